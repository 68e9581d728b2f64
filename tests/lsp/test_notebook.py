"""Notebooks through a real server: what the model is shown of the other cells, and that ranges stay the cell's."""

import json
from pathlib import Path
from typing import Any

import pytest
from lsp_client import Client, span

BOOK = "file:///work/plot.ipynb"
CODE, TEXT = 2, 1
FIRST, TITLE, SECOND, LAST = (f"vscode-notebook-cell:/work/plot.ipynb#{name}" for name in ("a", "b", "c", "d"))


def text(uri: str, content: str, language: str = "python", version: int = 1) -> dict[str, Any]:
    return {"uri": uri, "languageId": language, "version": version, "text": content}


def cell(uri: str, kind: int = CODE) -> dict[str, Any]:
    return {"kind": kind, "document": uri}


async def opened(client: Client) -> None:
    book = {
        "uri": BOOK,
        "notebookType": "jupyter-notebook",
        "version": 1,
        "cells": [cell(FIRST), cell(TITLE, TEXT), cell(SECOND), cell(LAST)],
    }
    texts = [
        text(FIRST, "import numpy\nprices = numpy.ones(3)"),
        text(TITLE, "# The total\n", "markdown"),
        text(SECOND, "total = "),
        text(LAST, "print(total)\nshow("),
    ]
    await client.notify("notebookDocument/didOpen", {"notebookDocument": book, "cellTextDocuments": texts})


async def changed(client: Client, **cells: Any) -> None:
    params = {"notebookDocument": {"uri": BOOK, "version": 2}, "change": {"cells": cells}}
    await client.notify("notebookDocument/didChange", params)


def edit(uri: str, version: int, change: dict[str, Any]) -> dict[str, Any]:
    return {"document": {"uri": uri, "version": version}, "changes": [change]}


def last_prompt(home: Path) -> str:
    lines = [json.loads(line) for line in (home / "prompts.log").read_text("utf-8").splitlines()]
    return [line["prompt"] for line in lines if line["event"] == "start"][-1]


async def asked(client: Client, home: Path, uri: str, line: int, character: int) -> tuple[str, str]:
    """The text before and after the cursor that the model was shown."""
    await client.complete(uri, line, character)
    prompt = last_prompt(home)
    before, _, rest = prompt.rpartition("<|fim_prefix|>")[2].partition("<|fim_suffix|>")
    after, _, typed = rest.partition("<|fim_middle|>")
    return before + typed, after


SCRIPT = {"text": "prices.sum()\n", "log": "prompts.log"}
# A model with nothing to add, so that only what the user asks for is logged.
SILENT = {"text": "\n\n\n", "log": "prompts.log"}


async def test_the_server_asks_for_every_cell(server):
    client = await server(initialize=False)
    reply = await client.initialize()
    assert reply["capabilities"]["notebookDocumentSync"] == {"notebookSelector": [{"notebook": "*"}], "save": True}


async def test_a_cell_sees_the_cells_around_it_and_its_ranges_are_its_own(server):
    client = await server(SCRIPT)
    await opened(client)
    (item,) = await client.complete(SECOND, 0, 8)
    assert item["insertText"] == "prices.sum()"
    assert item["range"] == span(0, 8)


async def test_what_the_model_is_shown_of_the_other_cells(server, tmp_path):
    client = await server(SILENT)
    await opened(client)
    before, after = await asked(client, tmp_path, SECOND, 0, 8)
    assert before == ("# %%\nimport numpy\nprices = numpy.ones(3)\n\n# %% [markdown]\n# # The total\n\n# %%\ntotal = ")
    assert after == "\n# %%\nprint(total)\nshow(\n\n"


async def test_the_last_cell_too(server, tmp_path):
    client = await server(SILENT)
    await opened(client)
    before, after = await asked(client, tmp_path, LAST, 1, 5)
    assert before.endswith("# %%\ntotal =\n\n# %%\nprint(total)\nshow(")
    assert after == "\n# %%\n"


async def test_edits_of_a_cell_are_seen_in_it_and_in_the_others(server, tmp_path):
    client = await server(SILENT)
    await opened(client)
    await changed(
        client,
        textContent=[
            edit(SECOND, 2, {"range": span(0, 8), "text": "sum("}),
            edit(FIRST, 2, {"text": "import math\n"}),
        ],
    )
    before, _ = await asked(client, tmp_path, SECOND, 0, 12)
    assert before == "# %%\nimport math\n\n# %% [markdown]\n# # The total\n\n# %%\ntotal = sum("


async def test_cells_come_go_and_move(server, tmp_path):
    client = await server(SILENT)
    await opened(client)
    new = "vscode-notebook-cell:/work/plot.ipynb#e"
    await changed(
        client,
        structure={
            "array": {"start": 1, "deleteCount": 1, "cells": [cell(new)]},
            "didOpen": [text(new, "rate = 0.2\n")],
            "didClose": [{"uri": TITLE}],
        },
    )
    before, _ = await asked(client, tmp_path, SECOND, 0, 8)
    assert before == "# %%\nimport numpy\nprices = numpy.ones(3)\n\n# %%\nrate = 0.2\n\n# %%\ntotal = "
    # The last cell to the top: as editors send it, taken out and put in again.
    await changed(client, structure={"array": {"start": 3, "deleteCount": 1}})
    await changed(client, structure={"array": {"start": 0, "deleteCount": 0, "cells": [cell(LAST)]}})
    before, after = await asked(client, tmp_path, SECOND, 0, 8)
    assert before.startswith("# %%\nprint(total)\nshow(\n\n# %%\nimport numpy\n")
    assert after == "\n# %%\n"
    assert await client.complete(TITLE, 0, 0) == []


async def test_a_cell_that_becomes_text_is_shown_as_text(server, tmp_path):
    client = await server(SILENT)
    await opened(client)
    await changed(client, data=[cell(FIRST, TEXT)])
    before, _ = await asked(client, tmp_path, SECOND, 0, 8)
    assert before.startswith("# %% [markdown]\n# import numpy\n# prices = numpy.ones(3)\n")


async def test_typing_in_a_cell_only_appends_to_the_prompt(server, tmp_path):
    client = await server({"rules": [{"text": "zzz"}], "log": "prompts.log"})
    await opened(client)
    prompts: list[str] = []
    for version, char in enumerate("prices + 1 * rate", 2):
        at = 8 + version - 2
        await changed(client, textContent=[edit(SECOND, version, {"range": span(0, at), "text": char})])
        await client.complete(SECOND, 0, at + 1)
        prompts.append(last_prompt(tmp_path))
    different = list(dict.fromkeys(prompts))
    assert len(different) > 5
    heads = {prompt.partition("<|fim_middle|>")[0] for prompt in different}
    assert len(heads) == 1


async def test_closing_and_saving(server, tmp_path):
    client = await server(SILENT)
    await opened(client)
    await client.notify("notebookDocument/didSave", {"notebookDocument": {"uri": BOOK}})
    closing = {"notebookDocument": {"uri": BOOK}, "cellTextDocuments": [{"uri": FIRST}]}
    await client.notify("notebookDocument/didClose", closing)
    for uri in (FIRST, SECOND, LAST):
        assert await client.complete(uri, 0, 0) == []
    # What is opened again starts over, with nothing left of the others.
    await client.open(SECOND, "total = ")
    before, after = await asked(client, tmp_path, SECOND, 0, 8)
    assert (before, after) == ("total = ", "\n")


@pytest.mark.parametrize(
    "cells",
    [
        {"structure": {"array": {"start": "x"}}},
        {"structure": 5},
        {"textContent": [{"document": {"uri": 3}, "changes": []}]},
        {"data": [{"kind": 2}]},
    ],
)
async def test_a_notification_that_cannot_be_read_changes_nothing(server, tmp_path, cells):
    client = await server(SILENT)
    await opened(client)
    await changed(client, **cells)
    before, _ = await asked(client, tmp_path, SECOND, 0, 8)
    assert before.startswith("# %%\nimport numpy\n")
    assert before.endswith("\n# %%\ntotal = ")


async def test_odd_places_and_unknown_notebooks_are_harmless(server, tmp_path):
    client = await server(SILENT)
    await changed(client, structure={"array": {"start": 0, "deleteCount": 0, "cells": [cell(FIRST)]}})
    await opened(client)
    await changed(client, structure={"array": {"start": -5, "deleteCount": -1}})
    await changed(client, structure={"array": {"start": 99, "deleteCount": 99}})
    before, _ = await asked(client, tmp_path, SECOND, 0, 8)
    assert before.startswith("# %%\nimport numpy\n")


@pytest.mark.parametrize("last", [True, False])
async def test_a_suggestion_ends_with_its_cell(server, last):
    """A model that goes on with a cell of its own is cut off there."""
    client = await server({"text": "[\n    1,\n]\n\n# %%\nprint(total)\n"})
    await opened(client)
    if last:
        await changed(client, textContent=[edit(LAST, 2, {"text": "show = "})])
    (item,) = await client.complete(LAST if last else SECOND, 0, 7 if last else 8)
    assert item["insertText"] == "[\n    1,\n]"
