"""Definitions that a change takes away without a word of it in the goal or in the plan.

Where something still uses them, that is found anyway (`core.task_findings`), and tests may miss them. What is left is
what others may use: nothing in the project notices that it is gone. It may be meant so: it is asked about, not insisted
on, and stands in the certificate. Fields, members of enums and what a module only hands on are not looked at.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from hearth.core.facts import Symbol
from hearth.core.grammars import language_of
from hearth.core.patch_loss import REMOVE, asked_in_general, lost
from hearth.core.patch_syntax import outlined
from hearth.core.task_parts import Step
from hearth.core.task_state import Finding
from hearth.core.task_survey import DATA, PROSE, Survey, is_test

GONE_MAX = 20
"""Of one file."""
FRESH_MAX = 200
"""New definitions in which the lines of one that is gone are looked for."""
SHARED_MIN = 0.5
"""Of its lines: then it has another name or place now."""
_SENTENCE = re.compile(r"[.;!?](?:\s|$)|\n")
_WORD = re.compile(r"[\w$]+")
_GOES = re.compile(
    rf"\b(?:{REMOVE}|unif|renam|mov(?:e|ing)|split|extract|renomm|d[eé]plac|renombr|muev|umbenenn|verschieb|unused"
    r"|obsolet|deprecat|superfluous|(?:no longer|not|never) (?:need|us|call|read))",
    re.IGNORECASE,
)
"""With a definition's name in the same sentence: it is to go from where it is."""
_BECOMES = (
    r"\b(?:replac|remplac|reemplaz|ersetz)\w*\s+(?:\w+\s+){{0,2}}?[`'\"]?{0}\b"
    r"|\b(?:turn|convert|chang|mak)\w*\s+(?:\w+\s+){{0,2}}?[`'\"]?{0}\b[`'\"]?\s+(?:in)?to\s+(?:an?|the|one)\b"
)
"""It is to be something else; "convert it to use that" says nothing of the kind."""
_REMADE = re.compile(r"\b(?:turn|convert|mak|replac|simplif|rewrit|collaps|flatten)", re.IGNORECASE)
"""With a class's name: its members may be others then."""


class _Said(NamedTuple):
    """A sentence, its words, and whether it lets definitions go without naming them."""

    text: str
    words: frozenset[str]
    general: bool


class _Fresh(NamedTuple):
    """A new definition: its name, and its lines without that."""

    name: str
    lines: Counter[str]


def lost_findings(
    before: Survey, after: Survey, changed: Sequence[str], goal: str, steps: Iterable[Step] = ()
) -> Iterator[Finding]:
    """What the changed files define no longer, under whatever name and place. What a step says counts for its own
    files. A file that goes as a whole is seen to go, and what begins with an underscore is nobody else's business."""
    wanted = _said(goal)
    planned = [(step, _said(step.title)) for step in steps]
    fresh: list[_Fresh] | None = None
    for path in changed:
        if path not in before.texts or path not in after.texts or not _is_code(path):
            continue
        loss = lost(language_of(path), before.texts[path], after.texts[path], "", written_out=True)
        if not loss.unsaid:
            continue
        said = [*wanted, *(one for step, part in planned if path in step.files for one in part)]
        bound = outlined(language_of(path), after.texts[path]).names
        if fresh is None:
            fresh = list(_fresh(before, after, changed))
        own = _Own(before, path)
        names = (name for name in loss.unsaid if _public(name) and name not in bound and not _told(name, said))
        for name in islice((name for name in names if not own.elsewhere(name, fresh)), GONE_MAX):
            yield Finding("gone", path, f"`{name}` is defined nowhere any more, and nobody said that it is to go")


def _is_code(path: str) -> bool:
    return not is_test(path) and language_of(path) not in PROSE | DATA


def _said(text: str) -> list[_Said]:
    parts = [part for part in _SENTENCE.split(text) if part.strip()]
    return [_Said(part, frozenset(_WORD.findall(part)), asked_in_general(part)) for part in parts]


def _public(name: str) -> bool:
    return not any(part.startswith("_") and not part.endswith("__") for part in name.split("."))


def _told(name: str, said: Iterable[_Said]) -> bool:
    """Whether any of the sentences explains that a definition goes."""
    container, _, last = name.rpartition(".")
    for one in said:
        if one.general:
            return True
        if last in one.words and (
            _GOES.search(one.text) or re.search(_BECOMES.format(re.escape(last)), one.text, re.I)
        ):
            return True
        if container and one.words & {*container.split(".")} and (_GOES.search(one.text) or _REMADE.search(one.text)):
            return True
    return False


def _fresh(before: Survey, after: Survey, changed: Iterable[str]) -> Iterator[_Fresh]:
    """The definitions of the change's code that its files had not, or had fewer of."""
    for path in changed:
        if path in after.texts and _is_code(path):
            had = Counter(one.name for one in before.facts(path).symbols) if path in before.texts else Counter[str]()
            lines = after.texts[path].split("\n")
            for one in after.facts(path).symbols:
                had[one.name] -= 1
                if had[one.name] < 0:
                    yield _Fresh(one.name, _lines(lines, one))


class _Own:
    """The definitions that a file had."""

    def __init__(self, before: Survey, path: str) -> None:
        self._lines = before.texts[path].split("\n")
        self._symbols = {one.name: one for one in reversed(before.facts(path).symbols)}

    def elsewhere(self, name: str, fresh: Sequence[_Fresh]) -> bool:
        """Whether one of the new definitions is this one, by its name or by its lines. A variable in small letters that
        is gone is nobody's loss."""
        last = name.rpartition(".")[2]
        if any(one.name == last for one in fresh):
            return True
        own = self._symbols.get(last)
        if own is None or own.kind in ("constant", "variable"):
            return not last.isupper()
        lines = _lines(self._lines, own)
        enough = SHARED_MIN * max(1, lines.total())
        return any((lines & one.lines).total() >= enough for one in fresh[:FRESH_MAX])


def _lines(lines: Sequence[str], one: Symbol) -> Counter[str]:
    """Its lines, without its name."""
    own = re.compile(rf"\b{re.escape(one.name)}\b")
    return Counter(own.sub("", line).strip() for line in lines[one.start : one.end] if _WORD.search(line))
