"""`hearth consent`: what may be sent without being asked about again, and how to take it back."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hearth.consents import Consents, kept_in
from hearth.core.approval import Approval

DONE, FAILED, USAGE = 0, 1, 2
ALL = "all"
NOTHING = "Nothing is allowed to leave for longer than the request that you are asked about."
SESSIONS = "What an editor's window was allowed for its session is listed there: Hearth: Take Back What You Allowed."
Say = Callable[[str], None]


def add(commands: Any, run: Any) -> None:
    """The subcommand, for the parser."""
    command = commands.add_parser("consent", help="what may be sent to the cloud without asking, and taking it back")
    command.add_argument("action", nargs="?", choices=("list", "revoke"), default="list")
    command.add_argument("which", nargs="?", metavar="ID", default="", help=f"which to take back, or `{ALL}`")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=run)


def consent(options: argparse.Namespace, data: Path, say: Say, note: Say) -> int:
    """List what is allowed, or take it back; the exit code. `data`: the user's data folder."""
    consents = Consents(kept_in(data), time.time)
    given = consents.given()
    if options.action == "list":
        if options.which:
            note("`hearth consent list` lists all of them.")
            return USAGE
        return _listed(given, options.json, say, note)
    chosen = [one for one in given if options.which in (ALL, one.id)]
    if not options.which or (not chosen and options.which != ALL):
        note(f"`hearth consent revoke ID` takes one back, `hearth consent revoke {ALL}` all of `hearth consent list`.")
        return FAILED if options.which else USAGE
    gone = [one for one in chosen if consents.revoke(one.id)]
    if options.json:
        say(json.dumps({"revoked": [one.as_json() for one in gone]}))
    else:
        for one in gone:
            say(f"taken back: {described(one)}")
        if not chosen:
            say(NOTHING)
    if len(gone) < len(chosen):
        note(f"{len(chosen) - len(gone)} could not be taken back: is {kept_in(data)} writable?")
        return FAILED
    return DONE


def _listed(given: list[Approval], as_lines: bool, say: Say, note: Say) -> int:
    if as_lines:
        say(json.dumps({"consents": [one.as_json() for one in given]}))
        return DONE
    for one in given:
        say(f"{one.id}  {described(one)}")
    if not given:
        say(NOTHING)
    note(SESSIONS)
    return DONE


def described(one: Approval) -> str:
    """For people: in one line."""
    since = f", since {time.strftime('%Y-%m-%d %H:%M', time.localtime(one.since))}" if one.since else ""
    return f"{one.kind} to {one.destination}, from {one.folder}{since}"
