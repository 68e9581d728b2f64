"""Notebooks as one text: the cells in their order, text as comments, the last cell too."""

from hearth.core.notebook import Around, Cell, around, widened
from hearth.core.text import Snapshot


def cell(text: str, language: str = "python", *, code: bool = True) -> Cell:
    return Cell(Snapshot.of(text, uri=f"cell:{text[:5]}", language=language), code)


CELLS = [
    cell("import os"),
    cell("# Title\n\ntext", "markdown", code=False),
    cell("x = 1\r\ny = 2\n"),
    cell("select 1", "sql"),
    cell("  \n"),
    cell("print(x)"),
]


def test_cells_above_and_below_in_order() -> None:
    found = around(CELLS, 2)
    assert "".join(found.above) == "# %%\nimport os\n\n# %% [markdown]\n# # Title\n#\n# text\n\n# %%\n"
    assert "".join(found.below) == "# %%\n# select 1\n\n# %%\nprint(x)\n\n"
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in (*found.above, *found.below))


def test_the_first_and_the_last_cell() -> None:
    assert around(CELLS, 0).above == ("# %%\n",)
    last = around(CELLS, 5)
    assert "".join(last.above).endswith("# %%\nx = 1\ny = 2\n\n# %%\n# select 1\n\n# %%\n")
    assert last.below == ("# %%\n",)


def test_a_text_cell_sees_the_others_as_they_are() -> None:
    assert around(CELLS[:2], 1) == Around(("\n", "import os\n", "\n", "\n"), ())
    plain = around([cell("a", "plaintext", code=False), cell("b", "plaintext", code=False)], 0)
    assert plain == Around((), ("\n", "b\n", "\n"))


def test_the_cell_in_its_notebook() -> None:
    wide = widened(CELLS[2].snapshot, around(CELLS, 2))
    at = len(around(CELLS, 2).above)
    assert wide.lines[at : at + 3] == ("x = 1\n", "y = 2\n", "\n")
    assert wide.uri == CELLS[2].snapshot.uri
    assert wide.lines[-1] == ""
