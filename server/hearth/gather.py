"""What a completion is made from: the text around the cursor, cut out of a snapshot once per request."""

from dataclasses import dataclass

from hearth.core.prompt import lf
from hearth.core.text import Position, Range, Snapshot
from hearth.store import BEFORE_CHARS, BELOW_CHARS, Place

ABOVE_LINES = 60
BELOW_LINES = 4
BELOW_LINES_SEARCHED = 40
WINDOW_CHARS_MAX = 200_000
"""A line longer than this (a minified file, a data blob) makes the position not worth completing."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A position and the text around it, LF line endings.

    `above`: up to ABOVE_LINES lines before the cursor's, nearest last. `below`: BELOW_LINES non-blank lines after it.
    `eol`: the document's own line ending.
    """

    snapshot: Snapshot
    position: Position
    place: Place
    line_before: str
    line_after: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    eol: str

    @property
    def above_nonblank(self) -> str:
        """The nearest line above that is not blank, "" if there is none."""
        return next((line for line in reversed(self.above) if line.strip()), "")


def spot_at(snapshot: Snapshot, position: Position) -> Spot:
    """Cut out the surroundings of a position. Costs the same in a file of a hundred and of a million lines."""
    position = snapshot.clamp(position)
    number = position.line
    line = snapshot.line(number)
    column = snapshot.column_at(position)
    lines = snapshot.lines
    above = tuple(lf(text).rstrip("\n") for text in lines[max(0, number - ABOVE_LINES) : number])
    following = [lf(text).rstrip("\n") for text in lines[number + 1 : number + 1 + BELOW_LINES_SEARCHED]]
    below = tuple(text for text in following if text.strip())[:BELOW_LINES]
    # Twice the figure, since a CRLF counts as two until it is an LF.
    before = lf(snapshot.before(position, BEFORE_CHARS * 2))[-BEFORE_CHARS:]
    place = Place(snapshot.uri, before, line[column:], "\n".join(following)[:BELOW_CHARS])
    eol = "\r\n" if lines[0].endswith("\r\n") else "\n"
    return Spot(snapshot, position, place, line[:column], line[column:], above, below, eol)


def with_selected(snapshot: Snapshot, position: Position, selected: tuple[Range, str]) -> tuple[Snapshot, Position]:
    """The document as it would be with the suggest widget's highlighted item inserted, and the cursor after it.

    Only items on the cursor's own line are taken; others leave the document as it is.
    """
    where, text = selected
    position = snapshot.clamp(position)
    if where.start.line != position.line or where.end.line != position.line or "\n" in text or "\r" in text:
        return snapshot, position
    number = position.line
    start, end = snapshot.column_at(where.start), max(snapshot.column_at(where.end), snapshot.column_at(position))
    line = snapshot.lines[number]
    lines = (*snapshot.lines[:number], line[:start] + text + line[end:], *snapshot.lines[number + 1 :])
    virtual = Snapshot(snapshot.uri, snapshot.language, snapshot.version, lines)
    units = len((line[:start] + text).encode("utf-16-le", "surrogatepass")) // 2
    return virtual, Position(number, units)
