"""A file's text as the patch engine takes it apart and puts it together: lines, their endings, their indentation."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from hearth.core.text import split_lines, well_formed

BOM = "\ufeff"
TAB_COLUMNS = 8
"""What a tab counts while two indentations are compared; what it looks like does not matter."""
UNIT_LINES_SEEN_MAX = 5_000
UNIT_COLUMNS_MAX = 8
UNIT_DEFAULT = 4
UNITS_TRIED = (4, 2, 8, 3)


class Unit(NamedTuple):
    """One step of indentation: a tab, or so many spaces."""

    tab: bool
    columns: int


class Kept(NamedTuple):
    """Lines `start` to `end` of the file, as they are."""

    start: int
    end: int


Item = Kept | str
"""A piece of the result: lines that stay, or one new line."""


class Piece(NamedTuple):
    """Lines `start` to `end` become `items`."""

    start: int
    end: int
    items: tuple[Item, ...]


class Shift(NamedTuple):
    """How indentations of an answer become the file's: each `source` step one step of `target` (None: as they are),
    then `columns` more."""

    source: Unit | None
    target: Unit
    columns: int


@dataclass(frozen=True)
class Text:
    """A text in lines without their endings; an empty text has none. `endings` has one for each line, the last is ""
    where there is no final newline."""

    bom: str
    lines: tuple[str, ...]
    endings: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Text":
        text = well_formed(text)
        bom = BOM if text.startswith(BOM) else ""
        if "\r" not in text:
            # Nearly every file: nothing has to be looked for at each line.
            plain = text[len(bom) :].split("\n")
            last = plain.pop()
            endings = ("\n",) * len(plain)
            return cls(bom, (*plain, last), (*endings, "")) if last else cls(bom, tuple(plain), endings)
        whole = split_lines(text[len(bom) :])
        if whole[-1] == "":
            whole.pop()
        lines = tuple(line.rstrip("\r\n") for line in whole)
        return cls(bom, lines, tuple(raw[len(line) :] for raw, line in zip(whole, lines, strict=True)))

    @cached_property
    def unit(self) -> Unit | None:
        """The file's unit of indentation, None if nothing shows it."""
        return unit_of(self.lines)

    @cached_property
    def ending(self) -> str:
        """The ending that most lines have, "\\n" if there are none."""
        counts = Counter(ending for ending in self.endings if ending)
        return max(counts, key=lambda ending: counts[ending]) if counts else "\n"

    def replaced(self, pieces: Sequence[Piece], final: bool | None = None) -> "Text":
        """The text with pieces (in order, not overlapping) put in. New lines end as their neighbours do. `final`:
        whether the last line ends too; None: as it is now."""
        lines: list[str] = []
        endings: list[str] = []
        at = 0
        for piece in (*pieces, Piece(len(self.lines), len(self.lines), ())):
            lines += self.lines[at : piece.start]
            endings += self.endings[at : piece.start]
            beside = self._ending_near(piece)
            for item in piece.items:
                if isinstance(item, str):
                    lines.append(item)
                    endings.append(beside)
                elif item.start < item.end:
                    lines += self.lines[item.start : item.end]
                    endings += self.endings[item.start : item.end]
                    beside = self.endings[item.end - 1] or beside
            at = piece.end
        if final is None:
            final = not self.endings or self.endings[-1] != ""
        endings = [ending or self.ending for ending in endings]
        if endings and not final:
            endings[-1] = ""
        return Text(self.bom, tuple(lines), tuple(endings))

    def whole(self) -> str:
        """The text in one."""
        return self.bom + "".join([line + ending for line, ending in zip(self.lines, self.endings, strict=True)])

    def _ending_near(self, piece: Piece) -> str:
        for number in (piece.start, piece.start - 1):
            if 0 <= number < len(self.endings) and self.endings[number]:
                return self.endings[number]
        return self.ending


def indent_of(line: str) -> str:
    """The spaces and tabs that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def columns_of(indent: str) -> int:
    """Columns of an indentation, a tab being TAB_COLUMNS wherever it stands."""
    return len(indent) + (TAB_COLUMNS - 1) * indent.count("\t") if "\t" in indent else len(indent)


def unit_of(lines: Sequence[str]) -> Unit | None:
    """The unit that a text is indented by; None if it is not."""
    tabs = spaces = before = 0
    steps: Counter[int] = Counter()
    for line in lines[:UNIT_LINES_SEEN_MAX]:
        if not line or line.isspace():
            continue
        first = line[0]
        if first == "\t":
            tabs += 1
            before = 0
        elif first == " ":
            width = len(line) - len(line.lstrip(" "))
            if width > 1 or line[1:2] != "*":
                spaces += 1
                if 1 < abs(width - before) <= UNIT_COLUMNS_MAX:
                    steps[abs(width - before)] += 1
                before = width
        else:
            before = 0
    if tabs > spaces:
        return Unit(True, TAB_COLUMNS)
    if not spaces:
        return None
    return Unit(False, max(steps, key=lambda step: (steps[step], -step)) if steps else UNIT_DEFAULT)


def converted_columns(indent: str, source: Unit | None, target: Unit) -> int:
    """Columns of an answer's indentation in the file's unit."""
    if source is None:
        return columns_of(indent)
    if source.tab:
        return indent.count("\t") * target.columns + indent.count(" ")
    steps, rest = divmod(columns_of(indent), source.columns)
    return steps * target.columns + rest


def shifted(line: str, shift: Shift) -> str:
    """A line of an answer, indented as the file wants it. Blank lines become empty."""
    if not line or line.isspace():
        return ""
    if shift.source is None and not shift.columns:
        return line
    indent = indent_of(line)
    columns = max(0, converted_columns(indent, shift.source, shift.target) + shift.columns)
    if shift.target.tab:
        steps, rest = divmod(columns, shift.target.columns)
        return "\t" * steps + " " * rest + line[len(indent) :]
    return " " * columns + line[len(indent) :]


def is_blank(line: str) -> bool:
    return not line or line.isspace()


def trimmed(lines: Sequence[str]) -> list[str]:
    """Without the blank lines at both ends."""
    start, end = 0, len(lines)
    while start < end and is_blank(lines[start]):
        start += 1
    while end > start and is_blank(lines[end - 1]):
        end -= 1
    return list(lines[start:end])


def other_unit(lines: Sequence[str], text: Text, near: Sequence[str]) -> Unit | None:
    """The unit of an answer's lines where it is of the other kind (tabs for spaces or the reverse) than the file's
    own, both in `near` and as a whole; None where they agree or cannot be told apart."""
    own, theirs = text.unit, unit_of(lines)
    if own is None or theirs is None or own.tab == theirs.tab:
        return None
    if any(line.startswith("\t") == theirs.tab for line in near if line[:1] in ("\t", " ") and not is_blank(line)):
        return None
    if any(line.startswith("\t") for line in lines) and any(re.match(" {2}", line) for line in lines):
        return None
    return theirs
