"""Notebooks as a model sees them: one text, in which the cells stand one below the other.

Only what goes into a prompt is made of it. Positions and ranges are always those of the cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hearth.core.context import commented
from hearth.core.text import Snapshot, split_lines

CELLS_ABOVE_MAX = 200
CELLS_BELOW_MAX = 20
CELL_MARK = "%%"
"""As a comment of the language it begins a cell: the form in which notebooks are kept as plain source."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. `code` is False for Markdown and other text."""

    snapshot: Snapshot
    code: bool


@dataclass(frozen=True, slots=True)
class Around:
    """What stands above and below a cell: lines that all end with LF."""

    above: tuple[str, ...]
    below: tuple[str, ...]


def around(cells: Sequence[Cell], index: int) -> Around:
    """The notebook around `cells[index]`, as source of that cell's language: the cells in order, each after a mark;
    text, and code of another language, as comments. The last cell ends with a mark too, so that the model knows that
    the cell is over and not the file. A text cell sees the others as they are."""
    language = cells[index].snapshot.language if cells[index].code else ""
    mark = commented(CELL_MARK, language)
    above = [line for cell in cells[max(0, index - CELLS_ABOVE_MAX) : index] for line in _shown(cell, language, mark)]
    if above or mark:
        above.append(f"{mark}\n")
    below = [line for cell in cells[index + 1 : index + 1 + CELLS_BELOW_MAX] for line in _shown(cell, language, mark)]
    if mark and not below:
        below.append(f"{mark}\n")
    return Around(tuple(above), tuple(below))


def _shown(cell: Cell, language: str, mark: str) -> list[str]:
    snapshot = cell.snapshot
    text = "\n".join(snapshot.line(number) for number in range(len(snapshot.lines))).rstrip()
    if not text:
        return []
    if snapshot.language != language or not cell.code:
        text = commented(text, language) or text
        mark = f"{mark} [markdown]" if mark and not cell.code else mark
    return [f"{mark}\n", *split_lines(f"{text}\n")[:-1], "\n"]


def widened(snapshot: Snapshot, where: Around) -> Snapshot:
    """The cell with what stands around it; its line 0 is at line `len(where.above)`."""
    lines = [f"{snapshot.line(number)}\n" for number in range(len(snapshot.lines))]
    return Snapshot(snapshot.uri, snapshot.language, snapshot.version, (*where.above, *lines, *where.below, ""))
