"""Text as the Language Server Protocol sees it: lines, UTF-16 columns, edits.

A line ends at `\\n`, `\\r\\n` or `\\r` and at nothing else: `str.splitlines` also splits at form feed, NEL and U+2028,
where no editor does, so it must never be used on a document. Columns count UTF-16 code units. A position outside the
text is clamped as the protocol says; one inside a surrogate pair moves to the start of the pair. A lone surrogate in
the input becomes U+FFFD, which is as wide and can be encoded.

When an edit is refused. The protocol has no way to ask a client for its text, and a version number need not be
consecutive (Neovim counts in larger steps, VS Code merges events), so a jump alone proves nothing. These show that a
change was lost or repeated: a version that does not grow; a jump together with an edit that does not fit the text (a
range past its end, or a length that disagrees); a jump after a message that never arrived whole (`expect_loss`). The
document then keeps its last text, is `stale`, and refuses every edit until it is given its full text again: a change
without a range, a save that carries the text, or a new open.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

_LINE_WITH_CR = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
# Long lines are measured in pieces that stay in the processor's cache.
CHUNK_CHARS = 32_768


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """0-based line, and character in UTF-16 code units."""

    line: int
    character: int


@dataclass(frozen=True, order=True, slots=True)
class Range:
    """From `start` up to, not including, `end`."""

    start: Position
    end: Position


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in place of `range`; None replaces the whole document.

    `length` is what the client believes the range holds, in UTF-16 code units, if it says so.
    """

    range: Range | None
    text: str
    length: int | None = None


def split_lines(text: str) -> list[str]:
    """The lines of `text` with their endings: at least one, and the last has no ending (it may be empty)."""
    if "\r" not in text:
        parts = text.split("\n")
        last = parts.pop()
        lines = [part + "\n" for part in parts]
        lines.append(last)
        return lines
    lines = _LINE_WITH_CR.findall(text)
    if lines[-1][-1] in "\r\n":
        lines.append("")
    return lines


def well_formed(text: str) -> str:
    """`text` with each lone surrogate replaced by U+FFFD, so that it can be encoded."""
    if text.isascii():
        return text
    try:
        text.encode("utf-16-le")
    except UnicodeEncodeError:
        # Halves that stand side by side become the character they are halves of.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def utf16_length(text: str) -> int:
    """How many UTF-16 code units `text` takes."""
    if text.isascii():
        return len(text)
    units = 0
    for start in range(0, len(text), CHUNK_CHARS):
        units += len(text[start : start + CHUNK_CHARS].encode("utf-16-le", "surrogatepass")) // 2
    return units


def utf16_index(text: str, units: int) -> int:
    """Index of the code point that starts at or holds the UTF-16 unit `units`; at most `len(text)`."""
    return _find(text, units)[0]


def _find(text: str, units: int) -> tuple[int, int]:
    """As `utf16_index`, with the UTF-16 column of that code point: less than `units` if that was out of place."""
    if units <= 0:
        return 0, 0
    if text.isascii():
        index = min(units, len(text))
        return index, index
    index = column = 0
    while index < len(text) and column < units:
        chunk = text[index : index + min(CHUNK_CHARS, units - column)]
        encoded = chunk.encode("utf-16-le", "surrogatepass")
        wanted = 2 * (units - column)
        if len(encoded) > wanted:
            # Cut at the unit; half a pair at the cut is dropped, which moves the position to the pair's start.
            chunk = encoded[:wanted].decode("utf-16-le", "ignore")
            return index + len(chunk), column + utf16_length(chunk)
        index += len(chunk)
        column += len(encoded) // 2
    return index, column


def _content_length(line: str) -> int:
    """Code points of a line without its ending."""
    if line.endswith("\r\n"):
        return len(line) - 2
    return len(line) - 1 if line.endswith(("\n", "\r")) else len(line)


@dataclass(frozen=True)
class Snapshot:
    """A document at one version. Never changes, so it may be kept across an `await`.

    `lines` keep their endings; there is at least one, and the last has none.
    """

    uri: str
    language: str
    version: int
    lines: tuple[str, ...]

    @classmethod
    def of(cls, text: str, *, uri: str = "", language: str = "", version: int = 0) -> "Snapshot":
        """A snapshot of any text: for the command line, indexing and tests."""
        return cls(uri, language, version, tuple(split_lines(well_formed(text))))

    @cached_property
    def text(self) -> str:
        """The whole text, joined at the first use."""
        return "".join(self.lines)

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return (0, *accumulate(map(len, self.lines[:-1])))

    def line(self, number: int) -> str:
        """One line without its ending. Raises IndexError for a line that is not there."""
        line = self.lines[number]
        return line[: _content_length(line)]

    def clamp(self, position: Position) -> Position:
        """The nearest position that exists, by the protocol's rules."""
        number, index = self._locate(position)
        return Position(number, utf16_length(self.lines[number][:index]))

    def column_at(self, position: Position) -> int:
        """Code point index of the (clamped) position within its line."""
        return self._locate(position)[1]

    def offset_at(self, position: Position) -> int:
        """Code point offset of the (clamped) position in `text`."""
        number, index = self._locate(position)
        return self._starts[number] + index

    def position_at(self, offset: int) -> Position:
        """The position of a code point offset in `text`, clamped to it. Between `\\r` and `\\n` it is before both."""
        offset = max(0, offset)
        number = bisect_right(self._starts, offset) - 1
        line = self.lines[number]
        index = min(offset - self._starts[number], _content_length(line))
        return Position(number, utf16_length(line[:index]))

    def before(self, position: Position, chars: int) -> str:
        """The last up to `chars` code points before the position, without joining the whole text."""
        number, index = self._locate(position)
        parts = [self.lines[number][max(0, index - chars) : index]]
        missing = chars - len(parts[0])
        while missing > 0 and number > 0:
            number -= 1
            parts.append(self.lines[number][-missing:])
            missing -= len(parts[-1])
        return "".join(reversed(parts))

    def after(self, position: Position, chars: int) -> str:
        """The first up to `chars` code points after the position, without joining the whole text."""
        number, index = self._locate(position)
        parts = [self.lines[number][index : index + max(0, chars)]]
        missing = chars - len(parts[0])
        while missing > 0 and number + 1 < len(self.lines):
            number += 1
            parts.append(self.lines[number][:missing])
            missing -= len(parts[-1])
        return "".join(parts)

    def _locate(self, position: Position) -> tuple[int, int]:
        """Line and code point index of a position after clamping."""
        number = position.line
        if number < 0:
            return 0, 0
        if number >= len(self.lines):
            return len(self.lines) - 1, len(self.lines[-1])
        line = self.lines[number]
        return number, min(utf16_index(line, position.character), _content_length(line))


class Document:
    """The text of one open document, changed in place. `snapshot()` gives what others may keep."""

    def __init__(self, uri: str, language: str, version: int, text: str) -> None:
        self.uri = uri
        self.language = language
        self.version = version
        self.stale = False
        self._loss_expected = False
        self._lines = split_lines(well_formed(text))
        self._chars = sum(map(len, self._lines))
        self._snapshot: Snapshot | None = None
        # A column found before, as (line, UTF-16 column, index): in a line of megabytes the next edit is near the last.
        self._found = (0, 0, 0)

    @property
    def chars(self) -> int:
        """Code points in the text."""
        return self._chars

    def snapshot(self) -> Snapshot:
        """The document now. The same object until the next change."""
        if self._snapshot is None:
            self._snapshot = Snapshot(self.uri, self.language, self.version, tuple(self._lines))
        return self._snapshot

    def replace(self, version: int, text: str) -> None:
        """Take the full text, whatever was known before: heals a stale document."""
        self._lines = split_lines(well_formed(text))
        self._chars = sum(map(len, self._lines))
        self.version = version
        self.stale = self._loss_expected = False
        self._snapshot = None
        self._found = (0, 0, 0)

    def expect_loss(self) -> None:
        """A message was lost and may have been about this document: the next version must be the next number."""
        self._loss_expected = True

    def apply(self, version: int, changes: Iterable[Edit]) -> bool:
        """Apply one notification's edits, each to the result of the one before.

        False: refused, nothing after the last good edit was applied and the document is stale (see the module).
        """
        pending: Sequence[Edit] = tuple(changes)
        whole = max((number for number, edit in enumerate(pending) if edit.range is None), default=-1)
        if whole >= 0:
            # Whatever came before a full text does not matter, and it heals.
            self.replace(version, pending[whole].text)
            pending = pending[whole + 1 :]
        elif self.stale or version <= self.version:
            self.stale = True
            return False
        jumped = whole < 0 and version > self.version + 1
        if jumped and self._loss_expected:
            self.stale = True
            return False
        self._loss_expected = False
        for edit in pending:
            if edit.range is None:
                continue
            if jumped and not self._fits(edit.range, edit.length):
                self.stale = True
                return False
            self._splice(edit.range, well_formed(edit.text))
            self._snapshot = None
        if self.version != version:
            self.version = version
            self._snapshot = None
        return True

    def _splice(self, where: Range, text: str) -> None:
        lines = self._lines
        start, end = (where.start, where.end) if where.start <= where.end else (where.end, where.start)
        first, head_end = self._locate(start)
        found = self._found
        last, tail_start = self._locate(end)
        # The edit does not move what is before its start, so that column stays known; the one of its end does not.
        self._found = found
        head, tail = lines[first][:head_end], lines[last][tail_start:]
        removed = sum(map(len, lines[first : last + 1])) - head_end - len(tail)
        pieces = split_lines(text)
        if len(pieces) == 1:
            pieces[0] = f"{head}{text}{tail}"
        elif pieces[-1] == "" and tail == "\n" and pieces[-2].endswith("\r"):
            # A "\r" in front of a line that is only "\n": together they are one ending.
            pieces[0] = head + pieces[0]
            pieces[-2] += "\n"
            pieces.pop()
        else:
            pieces[0] = head + pieces[0]
            pieces[-1] += tail
        if first > 0 and pieces[0] == "\n" and lines[first - 1].endswith("\r"):
            # The line before ended with "\r", and now a "\n" follows it directly.
            first -= 1
            pieces[0] = lines[first] + "\n"
            self._found = (first, 0, 0)
        lines[first : last + 1] = pieces
        self._chars += len(text) - removed

    def _locate(self, position: Position) -> tuple[int, int]:
        """Line and code point index after clamping; remembers where it was, since the next one is near."""
        number, lines = position.line, self._lines
        if number < 0:
            self._found = (0, 0, 0)
            return 0, 0
        if number >= len(lines):
            self._found = (0, 0, 0)
            return len(lines) - 1, len(lines[-1])
        line, units = lines[number], position.character
        known, base_units, base_index = self._found
        if known != number or units < base_units:
            base_units = base_index = 0
        rest = line[base_index : base_index + units - base_units] if base_index else line
        index, column = _find(rest, units - base_units)
        index, column = base_index + index, base_units + column
        end = _content_length(line)
        if index > end:
            # Line endings are one unit wide each.
            index, column = end, column - (index - end)
        self._found = (number, column, index)
        return number, index

    def _fits(self, where: Range, length: int | None) -> bool:
        """Whether an edit's range lies inside the text and holds as much as the client thinks."""
        ends = [self._locate(position) for position in (where.start, where.end)]
        for position, (number, index) in zip((where.start, where.end), ends, strict=True):
            if position.line != number or position.character != utf16_length(self._lines[number][:index]):
                return False
        if length is None:
            return True
        (first, head), (last, tail) = ends
        if first == last:
            return utf16_length(self._lines[first][head:tail]) == length
        inner = sum(map(utf16_length, self._lines[first + 1 : last]))
        return utf16_length(self._lines[first][head:]) + inner + utf16_length(self._lines[last][:tail]) == length
