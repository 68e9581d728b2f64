"""May this text be used for that purpose, at that place? One answer for reading, indexing, prompts, tools and logs.

Each source of a text (summaries stand for what they were made from) is of a class, by what is known of it. Columns are
the purposes read, index, prompt, tool, log:

    class    what it is                                        this machine   own hosts   the cloud
    product  Hearth's own words                                a a a a a      a a a a d   a d a a d
    words    the user's words                                  a a a a m      m m m m d   c d c c d
    output   what a tool put out                               a a a a m      m m m m d   c d c c d
    file     a file of the workspace, a text not saved yet     a a a a m      m m m m d   c d c c d
    loose    a file outside of it that the user has open       a d a d m      m d m d d   c d c d d
    shown    an ignored file that the user has open            a d a d d      m d m d d   d d d d d
    never    a file that `[privacy] never` names               a a a a d      d d d d d   d d d d d
    unknown  a summary of nobody knows what                    a d a a m      d d d d d   d d d d d
    ignored  a file that an ignore file excludes               d d d d d      d d d d d   d d d d d
    outside  a file outside of the workspace                   d d d d d      d d d d d   d d d d d
    secret   a file of secrets, by its name                    d d d d d      d d d d d   d d d d d
    odd      a path that does not stay in its folder           d d d d d      d d d d d   d d d d d

a: allow. m: mask the secrets in it (verdict `redact`). c: mask them, and only with the user's consent (verdict `ask`;
once it is given, `redact`). d: deny. Beside the table: from a workspace that is not trusted nothing leaves this
machine, and nothing goes to the cloud while the cloud is switched off.

The strictest verdict over all sources and all classes of a source is the one: deny wins. A text without any origin is
denied, since nobody knows what it is. So one more origin never loosens a verdict, and a place farther away never has
a milder one.

What the editor shows in a document of its own is not asked about; what is made of it is: `prompt`, `index`, `log`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from hearth.core.deny import is_secret
from hearth.core.globs import fitting
from hearth.core.origin import Destination, Origin, sources

Verdict = Literal["allow", "redact", "ask", "deny"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""From the mildest to the strictest; `ask` includes `redact`."""
Purpose = Literal["read", "index", "prompt", "tool", "log"]
"""read: take its text up, for use at the destination. index: keep it, to be found. prompt: show it to a model. tool:
hand it to a tool, or fetch it because a model wants it. log: write it where people look for what went wrong."""
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
Class = Literal[
    "product", "words", "output", "file", "loose", "shown", "never", "unknown", "ignored", "outside", "secret", "odd"
]
CLASSES: tuple[Class, ...] = get_args(Class)
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
FILES_MAX = 5_000
"""A text made from more sources than this is denied: nobody could be shown what it is."""

PATHS_KEPT_MAX = 4_096
"""Judging a name takes some 50 us, and a prompt's names are the same from key to key."""

# For each class the three places; each with a letter for each purpose, as in the docstring.
_TABLE: dict[Class, dict[Destination, str]] = {
    "product": {"machine": "aaaaa", "own": "aaaad", "cloud": "adaad"},
    "words": {"machine": "aaaam", "own": "mmmmd", "cloud": "cdccd"},
    "output": {"machine": "aaaam", "own": "mmmmd", "cloud": "cdccd"},
    "file": {"machine": "aaaam", "own": "mmmmd", "cloud": "cdccd"},
    "loose": {"machine": "adadm", "own": "mdmdd", "cloud": "cdcdd"},
    "shown": {"machine": "adadd", "own": "mdmdd", "cloud": "ddddd"},
    "never": {"machine": "aaaad", "own": "ddddd", "cloud": "ddddd"},
    "unknown": {"machine": "adaam", "own": "ddddd", "cloud": "ddddd"},
    "ignored": {"machine": "ddddd", "own": "ddddd", "cloud": "ddddd"},
    "outside": {"machine": "ddddd", "own": "ddddd", "cloud": "ddddd"},
    "secret": {"machine": "ddddd", "own": "ddddd", "cloud": "ddddd"},
    "odd": {"machine": "ddddd", "own": "ddddd", "cloud": "ddddd"},
}
_ALWAYS: dict[str, Verdict] = {"a": "allow", "m": "redact", "d": "deny"}
_MAY: dict[Destination, str] = {
    "machine": "it may be used on this machine",
    "own": "it may go to a host of yours",
    "cloud": "it may go to the cloud",
}
_STAYS: dict[Destination, str] = {"own": "it does not leave this machine", "cloud": "it does not go to the cloud"}
_DENIED: dict[Purpose, str] = {
    "read": "it is not read",
    "index": "it is not indexed",
    "prompt": "it goes into no prompt",
    "tool": "it goes to no tool",
    "log": "it is not written to a log",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What the outside found out, for one decision. What is not said is forbidden.

    `ignored(folder, path)` names the rule of an ignore file that excludes a file of the workspace, None if there is
    none; it is asked for nothing else. `opened(folder, path)`: whether the user has this file open. `never`: the globs
    of `[privacy] never`. `trusted`: the workspace is. `cloud`: it is switched on. `approved`: the user consented to
    this very request, or to all of its kind.
    """

    ignored: Callable[[str, str], str | None]
    opened: Callable[[str, str], bool] = lambda folder, path: False
    never: tuple[str, ...] = ()
    trusted: bool = False
    cloud: bool = False
    approved: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """`origin`: the source that decided, None where it was none of them. `reason`: one clause for the user."""

    verdict: Verdict
    reason: str
    origin: Origin | None = None

    @property
    def allowed(self) -> bool:
        """Whether it may happen now, after masking where the verdict is `redact`."""
        return self.verdict in ("allow", "redact")


def decide(origins: Iterable[Origin], destination: Destination, purpose: Purpose, rules: Rules) -> Decision:
    """The verdict on a text with these origins; among equals the first origin decides."""
    leaves = sources(origins)
    if not leaves:
        return Decision("deny", f"nobody knows where this text is from, so {_denied(destination, purpose)}")
    distinct: dict[tuple[str, str, str, str], Origin] = {}
    for leaf in leaves:
        distinct.setdefault((leaf.kind, leaf.folder, leaf.path, leaf.name), leaf)
    if len(distinct) > FILES_MAX:
        return Decision("deny", f"this is made from more than {FILES_MAX} sources, so {_denied(destination, purpose)}")
    if destination != "machine" and not rules.trusted:
        return Decision("deny", "this workspace is not trusted, so nothing of it leaves this machine", leaves[0])
    if destination == "cloud" and not rules.cloud:
        return Decision("deny", "the cloud is switched off", leaves[0])
    strictest = Decision("allow", "")
    for leaf in distinct.values():
        decision = _judged(leaf, destination, purpose, rules)
        if strictest.origin is None or _strictness(decision.verdict) > _strictness(strictest.verdict):
            strictest = decision
        if strictest.verdict == "deny":
            break
    return strictest


def _judged(origin: Origin, destination: Destination, purpose: Purpose, rules: Rules) -> Decision:
    """The strictest verdict over the classes of one source."""
    verdict: Verdict = "allow"
    fact = ""
    for kind, found in _classes(origin, rules):
        one = _verdict(kind, destination, purpose, approved=rules.approved)
        if not fact or _strictness(one) > _strictness(verdict):
            verdict, fact = one, found
    may = _MAY[destination]
    outcome: dict[Verdict, str] = {
        "allow": may,
        "redact": f"{may} with its secrets masked",
        "ask": f"{may} with its secrets masked, if you agree",
        "deny": _denied(destination, purpose),
    }
    return Decision(verdict, f"{origin.path or origin.label} {fact}, so {outcome[verdict]}", origin)


def _verdict(kind: Class, destination: Destination, purpose: Purpose, *, approved: bool) -> Verdict:
    letter = _TABLE[kind][destination][PURPOSES.index(purpose)]
    return _ALWAYS.get(letter) or ("redact" if approved else "ask")


def _strictness(verdict: Verdict) -> int:
    return VERDICTS.index(verdict)


def _denied(destination: Destination, purpose: Purpose) -> str:
    return _DENIED[purpose] if purpose == "log" else _STAYS.get(destination, _DENIED[purpose])


def _classes(origin: Origin, rules: Rules) -> Iterator[tuple[Class, str]]:
    """The classes of a source without parents, each with the fact that makes it one. A path counts before the kind."""
    folder, path = origin.folder, origin.path
    if not path:
        plain: dict[str, tuple[Class, str]] = {
            "product": ("product", "says the same to everybody"),
            "user": ("words", "were typed for this"),
            "tool": ("output", "is not a file"),
            "file": ("file", "belongs to no file yet"),
        }
        yield plain.get(origin.kind, ("unknown", "does not say what it was made from"))
        return
    by_name = _by_name(folder, path, rules.never)
    yield from by_name
    if any(kind == "odd" for kind, _ in by_name):
        return
    opened = rules.opened(folder, path)
    if not folder:
        yield ("loose", "is open, but not in the workspace") if opened else ("outside", "is not in the workspace")
    elif (rule := rules.ignored(folder, path)) is not None:
        yield ("shown", f"is open, though excluded by {rule}") if opened else ("ignored", f"is excluded by {rule}")
    else:
        yield "file", "is a file of the workspace"


@lru_cache(maxsize=PATHS_KEPT_MAX)
def _by_name(folder: str, path: str, never: tuple[str, ...]) -> tuple[tuple[Class, str], ...]:
    """The classes that a path's name alone makes it one of."""
    if _is_odd(folder, path):
        return (("odd", "does not stay inside its folder"),)
    found: list[tuple[Class, str]] = []
    # With the folder, for one that itself lies in a folder of secrets.
    if is_secret(f"{folder}/{path}"):
        found.append(("secret", "is a file of secrets by its name"))
    if (glob := fitting(never, folder, path)) is not None:
        found.append(("never", f"must never leave, by {glob!r} of privacy.never"))
    return tuple(found)


def _is_odd(folder: str, path: str) -> bool:
    """Whether a path is none that stays in its folder. Absolute ones are right only where there is no folder."""
    parts = path.replace("\\", "/").split("/")
    return ".." in parts or "\0" in f"{folder}{path}" or bool(_ABSOLUTE.match(path)) == bool(folder)
