"""What can be seen from a position: the lines around it, what encloses it, and how each name in sight is used."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hearth.core.facts import Import

Mode = Literal["start", "inside", "call"]

ABOVE_LINES_MAX = 30
BELOW_LINES_MAX = 5
BELOW_LINES_SEARCHED = 20
FURTHER_LINES_MAX = 100
"""Above and below: the part of a document whose names are known beside those in sight."""
FURTHER_CHARS_MAX = 10_000
LINE_CHARS_MAX = 400
ENCLOSING_LINES_SEARCHED = 2_000
ENCLOSING_MAX = 4
CALL_LINES_MAX = 6
"""How far above the cursor the bracket of a call is looked for."""
NAME_CHARS_MIN = 3
ABOVE_DECAY = 0.9
BELOW_DECAY = 0.8

WORD = re.compile(r"(?:[^\W\d]|\$(?=\w))[\w$]*")
_USE = re.compile(r"(\.\s*|->\s*|::)?((?:[^\W\d]|\$(?=\w))[\w$]{2,})(\s*\()?")
_SIGILS = frozenset(("php", "shellscript", "perl"))
"""Languages in which a dollar is not part of a name."""
_TEXT = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`|(?:^|\s)#.*$|//.*$")
_CALLEE = re.compile(r"([^\W\d]\w*)\s*$")
_DEFINES = re.compile(r"\b(?:def|function|class|func|fn|new)\s*$")
_COMMON_WORDS = (
    "self cls this def class return import from for not and None True False if else elif with as try except finally",
    "raise yield lambda pass break continue while assert async await const let var function new export default extends",
    "implements interface type typeof null undefined true false case switch throw catch public private protected",
    "static readonly void string number boolean any super func struct package range nil fn pub impl mut use mod match",
    "str int float bool bytes list dict set tuple len print isinstance object property staticmethod classmethod end",
    "begin then unless elsif module require attr_accessor namespace using auto template typename include echo local",
    "override final abstract enum get",
)
COMMON = frozenset(word for line in _COMMON_WORDS for word in line.split())
"""Words of languages, of which nobody needs the definition."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A position and what can be seen from it. `path` is relative to the project's folder, with "/"; lines have no
    endings. `above`: up to ABOVE_LINES_MAX lines, nearest last; `below`: BELOW_LINES_MAX lines that are not blank;
    `further`: the document's lines beyond; `enclosing`: the heads of what encloses the position, outermost first;
    `imports`: the document's own, unsaved as it is."""

    path: str
    language: str
    above: tuple[str, ...]
    line_before: str
    line_after: str = ""
    below: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    enclosing: tuple[str, ...] = ()
    imports: tuple[Import, ...] = ()


@dataclass(slots=True)
class Use:
    """How a name in sight is used. `recency`: sum over its lines above, the nearer the more; `nearest`: lines above,
    without blank ones, 99 for none; the rest are how often or whether."""

    recency: float = 0.0
    lines: int = 0
    nearest: int = 99
    below: float = 0.0
    further: int = 0
    here: bool = False
    enclosing: bool = False
    called: bool = False
    member: bool = False
    imported: bool = False


@dataclass(slots=True)
class Names:
    """All names in sight."""

    language: str = ""
    uses: dict[str, Use] = field(default_factory=dict[str, Use])

    def of(self, name: str) -> Use:
        return self.uses.get(name) or self.uses.setdefault(name, Use())

    def read(self, line: str) -> list[Use]:
        """The uses that a line adds to, strings and comments left out."""
        found: dict[str, Use] = {}
        for dot, written, call in _USE.findall(_TEXT.sub(" ", line)):
            name = written.lstrip("$") if self.language in _SIGILS else written
            if name in COMMON:
                continue
            use = found[name] = self.of(name)
            use.called = use.called or bool(call)
            use.member = use.member or bool(dot)
        return list(found.values())


def sight_at(
    path: str, language: str, lines: Sequence[str], line: int, column: int, imports: Iterable[Import] = ()
) -> Sight:
    """What can be seen from a position (0-based, in code points) in `lines` without endings."""
    text = lines[line] if line < len(lines) else ""
    following = [one[:LINE_CHARS_MAX] for one in lines[line + 1 : line + 1 + BELOW_LINES_SEARCHED] if one.strip()]
    top, bottom = max(0, line - ABOVE_LINES_MAX), line + 1 + BELOW_LINES_MAX
    return Sight(
        path,
        language,
        tuple(one[:LINE_CHARS_MAX] for one in lines[top:line]),
        text[:column][-LINE_CHARS_MAX:],
        text[column:][:LINE_CHARS_MAX],
        tuple(following[:BELOW_LINES_MAX]),
        _bounded(
            [*reversed(lines[max(0, top - FURTHER_LINES_MAX) : top]), *lines[bottom : bottom + FURTHER_LINES_MAX]]
        ),
        _enclosing(lines, line, text[:column] if text[:column].strip() else text),
        tuple(imports),
    )


def _bounded(lines: Iterable[str]) -> tuple[str, ...]:
    found: list[str] = []
    left = FURTHER_CHARS_MAX
    for line in lines:
        left -= len(line)
        if left < 0:
            break
        found.append(line[:LINE_CHARS_MAX])
    return tuple(found)


def _enclosing(lines: Sequence[str], line: int, text: str) -> tuple[str, ...]:
    """The nearest lines above with ever smaller indentation: the heads of blocks wherever code is indented."""
    found: list[str] = []
    indent = len(text) - len(text.lstrip()) if text else -1
    for number in range(min(line, len(lines)) - 1, max(-1, line - 1 - ENCLOSING_LINES_SEARCHED), -1):
        other = lines[number]
        body = other.lstrip()
        if not body or body[0] in ")]}#/*":
            continue
        depth = len(other) - len(body)
        if indent < 0:
            indent = depth + 1 if body.rstrip()[-1:] in ":{(" else depth
        if depth < indent:
            indent = depth
            found.append(body.rstrip()[:LINE_CHARS_MAX])
            if not depth:
                break
    if len(found) > ENCLOSING_MAX:
        found = [*found[: ENCLOSING_MAX - 1], found[-1]]
    return tuple(reversed(found))


def names_in(sight: Sight) -> Names:
    """Every name in sight or imported, and how it is used."""
    names = Names(sight.language)
    for distance, line in enumerate(line for line in reversed(sight.above) if line.strip()):
        for use in names.read(line):
            use.recency += ABOVE_DECAY**distance
            use.lines += 1
            use.nearest = min(use.nearest, distance)
    for distance, line in enumerate(sight.below):
        for use in names.read(line):
            use.below += BELOW_DECAY**distance
    for line in (sight.line_before, sight.line_after):
        for use in names.read(line):
            use.here = True
    for line in sight.enclosing:
        for use in names.read(line):
            use.enclosing = True
    for name, count in Counter(WORD.findall("\n".join(sight.further))).items():
        if len(name) >= NAME_CHARS_MIN and name not in COMMON:
            names.of(name).further = count
    for one in sight.imports:
        for _, here in one.names:
            if len(here) >= NAME_CHARS_MIN:
                names.of(here).imported = True
    return names


def mode_of(sight: Sight) -> tuple[Mode, str]:
    """What kind of place it is, and inside a call's brackets the name of what is called."""
    if callee := _callee(sight):
        return "call", callee
    return ("inside", "") if sight.line_before.strip() else ("start", "")


def _callee(sight: Sight) -> str:
    depth = 0
    for number, line in enumerate((sight.line_before, *reversed(sight.above[-CALL_LINES_MAX:]))):
        text = _TEXT.sub(lambda match: " " * len(match.group()), line)
        if number and not depth and text.rstrip()[-1:] not in (",", "(", "[", "{"):
            return ""
        for at in range(len(text) - 1, -1, -1):
            char = text[at]
            if char in ")]}":
                depth += 1
            elif char in "([{":
                if depth:
                    depth -= 1
                    continue
                found = _CALLEE.search(text[:at]) if char == "(" else None
                if not found or found.group(1) in COMMON or _DEFINES.search(text[: found.start()]):
                    return ""
                return found.group(1)
    return ""
