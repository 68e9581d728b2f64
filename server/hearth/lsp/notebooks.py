"""Notebooks that are open: which cells each has, in which order. The cells' texts are documents like any others.

A client that does not send notebooks sends their cells as plain documents, which are then completed each for itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsprotocol import types

from hearth.core.notebook import Around, Cell, around
from hearth.core.text import Edit, Snapshot
from hearth.lsp import convert

NOTEBOOKS_MAX = 200
CELLS_MAX = 5_000
"""The cells of a larger notebook are completed each for itself."""

Text = tuple[str, str, int, str]
"""URI, language, version and text of a cell that was opened."""


@dataclass(frozen=True, slots=True)
class CellName:
    """A cell's place in its notebook's list."""

    uri: str
    code: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """`notebookDocument/didOpen`."""

    uri: str
    cells: tuple[CellName, ...]
    texts: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """`notebookDocument/didChange`: `cells` in place of `deleted` ones from `start` on, what was opened and closed with
    that, cells of which the kind is told anew, and edits as (URI, version, edits)."""

    uri: str
    start: int
    deleted: int
    cells: tuple[CellName, ...]
    texts: tuple[Text, ...]
    closed: tuple[str, ...]
    renamed: tuple[CellName, ...]
    edits: tuple[tuple[str, int | None, list[Edit]], ...]


@dataclass(slots=True)
class Notebooks:
    """The open notebooks. `snapshot_of` gives the text of a cell that may be read."""

    snapshot_of: Callable[[str], Snapshot | None]
    _cells: dict[str, list[CellName]] = field(default_factory=lambda: dict[str, list[CellName]]())
    _of_cell: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    _last: tuple[str, list[Snapshot | None], Around] | None = None

    def open(self, opened: Opened) -> None:
        """A notebook was opened, or opened again."""
        self.close(opened.uri)
        if len(self._cells) < NOTEBOOKS_MAX:
            self._cells[opened.uri] = []
            self._splice(opened.uri, 0, 0, opened.cells)

    def change(self, changed: Changed) -> None:
        """The list of cells changed, or a cell's kind. One of a notebook that is not open is ignored."""
        if changed.uri not in self._cells:
            return
        self._splice(changed.uri, changed.start, changed.deleted, changed.cells)
        kinds = {cell.uri: cell for cell in changed.renamed}
        cells = self._cells.get(changed.uri, [])
        cells[:] = [kinds.get(cell.uri, cell) for cell in cells]
        self._last = None

    def close(self, uri: str) -> None:
        """Forget a notebook."""
        for cell in self._cells.pop(uri, ()):
            self._of_cell.pop(cell.uri, None)
        self._last = None

    def cells(self, uri: str) -> tuple[str, ...]:
        """The URIs of a notebook's cells, in order."""
        return tuple(cell.uri for cell in self._cells.get(uri, ()))

    def around(self, uri: str) -> Around | None:
        """What stands above and below the cell `uri`; None for what is no cell of a notebook.

        The same object while only that cell changes.
        """
        names = self._cells.get(self._of_cell.get(uri, ""))
        if names is None:
            return None
        # A cell without a text (too large, say) is left out; the cell at hand is there, or nobody would ask.
        snapshots = [self.snapshot_of(name.uri) for name in names]
        others = [None if name.uri == uri else snapshot for name, snapshot in zip(names, snapshots, strict=True)]
        if self._last and self._last[0] == uri and _all_the_same(self._last[1], others):
            return self._last[2]
        cells = [(n.uri, Cell(s, n.code)) for n, s in zip(names, snapshots, strict=True) if s is not None]
        index = next((number for number, (name, _) in enumerate(cells) if name == uri), None)
        if index is None:
            return None
        found = around([cell for _, cell in cells], index)
        self._last = (uri, others, found)
        return found

    def _splice(self, uri: str, start: int, deleted: int, fresh: Sequence[CellName]) -> None:
        cells = self._cells[uri]
        if len(cells) + len(fresh) > CELLS_MAX:
            self.close(uri)
            return
        start = max(0, min(start, len(cells)))
        for cell in cells[start : start + max(0, deleted)]:
            self._of_cell.pop(cell.uri, None)
        cells[start : start + max(0, deleted)] = fresh
        self._of_cell.update({cell.uri: uri for cell in fresh})


def _all_the_same(one: Sequence[object], other: Sequence[object]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def opened(params: object) -> Opened:
    """Of `notebookDocument/didOpen`."""
    fields = convert.table(params)
    book = convert.table(fields.get("notebookDocument"), "notebookDocument")
    return Opened(
        convert.string(book.get("uri"), "notebookDocument.uri"),
        _cells(book.get("cells"), "notebookDocument.cells"),
        _texts(fields.get("cellTextDocuments"), "cellTextDocuments"),
    )


def changed(params: object) -> Changed:
    """Of `notebookDocument/didChange`."""
    uri = notebook_uri(params)
    cells = _part(convert.table(convert.table(params).get("change"), "change"), "cells")
    structure = _part(cells, "structure")
    array = _part(structure, "array")
    closed = convert.array(structure.get("didClose") or [], "structure.didClose")
    contents = convert.array(cells.get("textContent") or [], "cells.textContent")
    edits: list[tuple[str, int | None, list[Edit]]] = []
    for item in contents:
        content = convert.table(item, "textContent[]")
        as_document = {"textDocument": content.get("document"), "contentChanges": content.get("changes")}
        edits.append((convert.document_uri(as_document), *convert.changed(as_document)))
    return Changed(
        uri,
        convert.integer(array.get("start", 0), "array.start"),
        convert.integer(array.get("deleteCount", 0), "array.deleteCount"),
        _cells(array.get("cells"), "array.cells"),
        _texts(structure.get("didOpen"), "structure.didOpen"),
        tuple(convert.document_uri({"textDocument": item}) for item in closed),
        _cells(cells.get("data"), "cells.data"),
        tuple(edits),
    )


def closed(params: object) -> tuple[str, tuple[str, ...]]:
    """URI and the cells' URIs of `notebookDocument/didClose`."""
    texts = convert.array(convert.table(params).get("cellTextDocuments") or [], "cellTextDocuments")
    return notebook_uri(params), tuple(convert.document_uri({"textDocument": item}) for item in texts)


def notebook_uri(params: object) -> str:
    """`params.notebookDocument.uri`."""
    book = convert.table(convert.table(params).get("notebookDocument"), "notebookDocument")
    return convert.string(book.get("uri"), "notebookDocument.uri")


def sync_options() -> types.NotebookDocumentSyncOptions:
    """All cells of all notebooks."""
    every = types.NotebookDocumentFilterWithNotebook(notebook="*")
    return types.NotebookDocumentSyncOptions(notebook_selector=[every], save=True)


def _part(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An optional object of a message."""
    value = fields.get(key)
    return {} if value is None else convert.table(value, key)


def _cells(value: object, where: str) -> tuple[CellName, ...]:
    code = types.NotebookCellKind.Code.value
    cells = [convert.table(item, f"{where}[]") for item in convert.array([] if value is None else value, where)]
    return tuple(
        CellName(convert.string(cell.get("document"), f"{where}[].document"), cell.get("kind") == code)
        for cell in cells
    )


def _texts(value: object, where: str) -> tuple[Text, ...]:
    items = convert.array([] if value is None else value, where)
    return tuple(convert.opened({"textDocument": item}) for item in items)
