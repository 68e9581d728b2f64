"""`hearth task`: a multi-file task from the terminal, with the same loop and the same policy as in the editor.

The changes go to stdout as a diff (or as JSON), everything else to stderr. Plan, checks and protected files are agreed
to on a terminal; `--yes` agrees to the plan, the checks and to sending within the budget, and to nothing else.
"""

import argparse
import asyncio
import difflib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from hearth.agent.abilities import abilities
from hearth.agent.applying import apply
from hearth.agent.base import Command, Impacted, Outcome, Parts, Step
from hearth.agent.cassette import CassetteError, redacted, replayed, unwritten
from hearth.agent.kept import listed, settle, since, state_of
from hearth.agent.run import resume_task, run_task
from hearth.cli_ask import described, sentences, typed_line, visible
from hearth.core.approval import Answer
from hearth.core.proposal import Proposal, price
from hearth.core.route import Choice
from hearth.core.task_page import certificate, page
from hearth.core.task_state import State
from hearth.engine import Engine, Notice, open_engine
from hearth.errors import HearthError
from hearth.journal import Journal
from hearth.settings import Settings, data_dir

DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 3
_CODES = {"done": DONE, "unverified": DONE, "stopped": FAILED, "failed": FAILED, "refused": REFUSED}
THROUGH = ("done", "unverified")
"""Endings after which there is nothing left to do but to accept it."""
GOAL_CHARS_MAX = 20_000
SHOWN_LINES_MAX = 60
SHOWN_FILES_MAX = 12
INDEX_WAIT_S = 10.0
"""A task does not wait longer for the project's index, and makes do with what is read by then."""
INDEX_TOLD_EVERY_S = 2.0
Say = Callable[[str], None]


def task(options: argparse.Namespace, settings: Settings, out: Say, note: Say) -> int:
    """Run, resume or replay a task; the exit code. `out` writes to stdout as it is, `note` a line to stderr."""
    try:
        if options.replay:
            return _replay(options.replay, options.json, out, note)
        if options.redacted:
            for record in redacted(options.redacted):
                out(record.decode("ascii"))
            return DONE
        if options.list:
            return _list(options.json, out)
        if not options.resume and not options.goal.strip():
            note("GOAL must not be empty.")
            return USAGE
        if len(options.goal) > GOAL_CHARS_MAX:
            note(f"GOAL is longer than {GOAL_CHARS_MAX} characters; write the rest into a file and name it.")
            return USAGE
        return asyncio.run(_Tasking(options, settings, out, note).run())
    except HearthError as error:
        if options.json:
            out(json.dumps({"error": error.message, "remedy": error.remedy}) + "\n")
        note(visible(sentences(error.message, error.remedy)))
        return FAILED


def _list(as_json: bool, out: Say) -> int:
    """The recorded tasks."""
    found = listed(data_dir() / "tasks")
    if as_json:
        out(json.dumps({"tasks": [asdict(one) for one in found]}) + "\n")
    for one in () if as_json else found:
        when = datetime.fromtimestamp(one.at_s).strftime("%Y-%m-%d %H:%M")
        now = "not applied" if one.waits and one.ending in THROUGH else one.ending or "broken off"
        out(visible(f"{one.id}  {when}  {now:11}  {' '.join(one.goal.split())[:80]}") + "\n")
    return DONE


def _replay(path: Path, as_json: bool, out: Say, note: Say) -> int:
    """The same task again out of its record."""
    found = replayed(path)
    told = certificate(found.state)
    told["replayed"] = {"observations": found.observations, "differs": list(found.differs), "product": found.product}
    out(json.dumps(told) + "\n" if as_json else page(found.state))
    for number in found.differs:
        note(f"question {number} is asked in other words now than when it was recorded")
    note(f"{found.observations} observations played, recorded by Hearth {found.product}")
    return DONE


class _Tasking:
    """One task from the terminal."""

    def __init__(self, options: argparse.Namespace, settings: Settings, out: Say, note: Say) -> None:
        self._options = options
        self._settings = settings
        self._out = out
        self._note = note
        self._choice = Choice("local" if options.local else "cloud" if options.cloud else "auto")
        self._shown = ""

    async def run(self) -> int:
        folder, home = Path.cwd(), data_dir() / "tasks"
        if self._options.resume:
            self._look_at(await asyncio.to_thread(state_of, home, self._options.resume), folder)
        async with open_engine(self._settings, data_dir=data_dir(), folders=[folder], notify=self._tell) as engine:
            engine.consent = self._consent
            await engine.answerable()
            index = engine if await self._indexed(engine) else None
            person = _Terminal(self._options.yes, self._note)
            able = abilities(
                engine.gateway.targets("chat"), self._choice, engine.cloud.context_tokens(self._choice.model)
            )
            parts = Parts(engine.ask, person, home, index, abilities=able, choice=self._choice, on_page=self._progress)
            try:
                if self._options.resume:
                    outcome = await resume_task(self._options.resume, parts)
                else:
                    outcome = await run_task(self._options.goal, folder, parts)
            except OSError as error:
                raise unwritten(home, error) from error
        return self._finish(outcome, folder, home)

    def _look_at(self, state: State, folder: Path) -> None:
        """Whether a task can go on here. Raises CassetteError."""
        known = state.start.folder
        if not os.path.isdir(known):
            raise CassetteError(f"The folder of this task is not there any more: {known}.")
        if os.path.realpath(folder) != known:
            raise CassetteError(f"This task is of another folder: {known}.", "Run it there.")
        if strange := since(state)[0]:
            shown = ", ".join(strange[:SHOWN_FILES_MAX])
            told = f"{shown} changed since the task changed them, so its changes cannot be applied."
            self._note(visible(f"{told} Put them back (is it another branch?), or begin a new task."))

    async def _indexed(self, engine: Engine) -> bool:
        """Whether there is an index to ask; told how far it is, on the way."""
        if engine.index is None:
            return False
        told = time.monotonic()

        def progress(status: Mapping[str, Any]) -> None:
            nonlocal told
            if status.get("total") and time.monotonic() - told >= INDEX_TOLD_EVERY_S:
                told = time.monotonic()
                self._note(f"reading the project: {status.get('seen', 0)} of {status['total']} files")

        status: Mapping[str, Any] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(INDEX_WAIT_S):
                status = await engine.indexed(progress)
        if status.get("state") != "ready":
            why = str(status.get("problem") or f"it took longer than {INDEX_WAIT_S:.0f} s")
            self._note(visible(f"the index is not ready ({why.rstrip('.')}); the task goes on with what there is"))
        return True

    def _progress(self, id: str, page: str) -> None:
        """The phase, when it is another one."""
        now = page.split("\n", 3)[2].strip("*")
        if now != self._shown:
            self._shown = now
            self._note(visible(f"task {id}: {now}"))

    def _finish(self, outcome: Outcome, folder: Path, home: Path) -> int:
        code = _CODES[outcome.ending]
        applied: Sequence[str] = ()
        problem = ""
        if self._options.apply and outcome.changes and outcome.ending in THROUGH:
            try:
                journal = Journal(data_dir() / "journal")
                goal = str(outcome.certificate["goal"])
                applied = apply(folder, goal, outcome.changes, outcome.bases, journal).paths
                settle(home, outcome.id)
            except HearthError as error:
                problem, code = sentences(error.message, error.remedy), FAILED
        if self._options.json:
            told = {"certificate": outcome.certificate, "changes": outcome.changes, "applied": list(applied)}
            self._out(json.dumps({**told, **({"error": problem} if problem else {})}) + "\n")
        else:
            self._out(diff(outcome.bases, outcome.changes))
            self._note(visible(outcome.page[outcome.page.find("## Certificate") :]) if outcome.page else "")
        if problem:
            self._note(visible(problem))
        if applied:
            self._note(f"{len(applied)} files were changed.")
        elif outcome.changes:
            self._note("Nothing was changed yet: `--apply` writes it, or pipe the diff into `git apply`.")
        why = outcome.stop.rstrip(".")
        if outcome.ending == "unverified":
            self._note(visible(f"not all of it is proved: {why}."))
        elif outcome.ending != "done":
            self._note(visible(f"{outcome.ending}: {why}. `hearth task --resume {outcome.id}` goes on."))
        return code

    async def _consent(self, proposal: Proposal) -> Answer | None:
        """Asks the user whether something may leave, if there is one."""
        if self._options.yes:
            self._note(f"sending to {proposal.host} ({proposal.model}), {price(proposal)}")
            return "Send"
        if not sys.stdin.isatty():
            return "Use local model"
        for text in described(proposal):
            self._note(visible(text))
        said = await _asked("send it? [y/N, a for the whole task, l for a local model]")
        answers: Mapping[str, Answer] = {
            "y": "Send",
            "yes": "Send",
            "a": "Send for this session",
            "l": "Use local model",
        }
        return answers.get(said)

    def _tell(self, notice: Notice) -> None:
        self._note(visible(sentences(notice.message, notice.remedy)))


class _Terminal:
    """Whoever sits at the terminal. Without one nothing is agreed to but what `--yes` says."""

    def __init__(self, yes: bool, note: Say) -> None:
        self._yes = yes
        self._note = note

    async def questions(self, asked: Sequence[str]) -> Sequence[str] | None:
        if not sys.stdin.isatty():
            return None
        return [await _asked(visible(question)) for question in asked]

    async def impacted(self, files: Sequence[Impacted]) -> Sequence[Impacted] | None:
        for one in files:
            state = f"waived: {one.waived}" if one.waived else one.reason
            self._note(visible(f"  {one.path}: {state}"))
        return files

    async def plan(self, steps: Sequence[Step], page: str) -> Sequence[Step] | None:
        self._note(visible(page.replace("\\", "").rstrip()))
        return steps if await self._agreed("carry out this plan?") else None

    async def commands(self, commands: Sequence[Command], digest: str) -> bool:
        self._note("These checks would be run on a copy of the project, before and after the change:")
        for one in commands:
            place = f" in {one.folder}" if one.folder else ""
            self._note(visible(f"  {json.dumps(list(one.argv))}{place} ({one.why})"))
        return await self._agreed("run them?")

    async def protected(self, path: str, why: str, before: str, after: str) -> bool:
        self._note(visible(f"{path} would be changed like this; it is protected: {why}."))
        for text in diff({path: before}, {path: after}).split("\n")[:SHOWN_LINES_MAX]:
            self._note(visible(f"  {text}"))
        # Not what --yes is for: whoever said it has not seen this.
        return sys.stdin.isatty() and await _asked("change it? [y/N]") in ("y", "yes")

    async def weakened(self, findings: Sequence[str]) -> bool:
        self._note("Tests would lose something:")
        for finding in findings:
            self._note(visible(f"  {finding}"))
        return sys.stdin.isatty() and await _asked("let them? [y/N]") in ("y", "yes")

    async def _agreed(self, question: str) -> bool:
        if self._yes:
            return True
        if not sys.stdin.isatty():
            self._note("nothing is agreed to without a terminal, or --yes")
            return False
        return await _asked(f"{question} [y/N]") in ("y", "yes")


async def _asked(question: str) -> str:
    """A line from the terminal."""
    sys.stderr.write(f"hearth: {question} ")
    sys.stderr.flush()
    return (await typed_line()).strip()


def diff(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> str:
    """The changes as a diff that git takes."""
    pieces: list[str] = []
    for path in sorted(after):
        old, new = before.get(path), after[path]
        names = ("/dev/null" if old is None else f"a/{path}", "/dev/null" if new is None else f"b/{path}")
        lines = difflib.unified_diff(_lines(old), _lines(new), *names)
        for text in lines:
            pieces.append(text if text.endswith("\n") else f"{text}\n\\ No newline at end of file\n")
    return "".join(pieces)


def _lines(text: str | None) -> list[str]:
    parts = (text or "").split("\n")
    ended = [f"{part}\n" for part in parts[:-1]]
    return [*ended, parts[-1]] if parts[-1] else ended
