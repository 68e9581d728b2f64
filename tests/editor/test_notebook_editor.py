"""Completion in the cells of a notebook, in the real editor."""

import json
from pathlib import Path
from typing import Any

import pytest
from harness import Open, wait_for

pytestmark = pytest.mark.editor


def code(*lines: str) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": list(lines)}


def notebook(*cells: dict[str, Any]) -> str:
    info = {"language_info": {"name": "python"}}
    return json.dumps({"cells": cells, "metadata": info, "nbformat": 4, "nbformat_minor": 5})


def prompts(folder: Path) -> list[str]:
    log = folder / "prompts.log"
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    return [record["prompt"] for record in map(json.loads, lines) if record["event"] == "start"]


def test_the_last_cell_of_a_notebook_is_completed_and_sees_the_others(open_workbench: Open, tmp_path: Path):
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"model": "scripted-coder", "text": "prices.sum()\n", "log": "prompts.log"}), "utf-8")
    toml = f'[[backends]]\nkind = "scripted"\nmodel = {json.dumps(str(script))}\n[index]\nenabled = false\n'
    book = notebook(code("import numpy\n", "prices = numpy.ones(3)"), code("# here"))
    bench = open_workbench({"a.py": "", "book.ipynb": book}, toml=toml)
    bench.ready("scripted-coder")
    page = bench.page
    page("click", selector=".explorer-folders-view .monaco-list-row", text="book.ipynb")
    page("see", selector=".notebookOverlay .view-line", text="# here")
    page("click", selector=".notebookOverlay .view-line", text="# here")
    page("press", key="Control+End")
    page("press", key="Enter")
    page("type", text="total = ")
    page("waitGhost", text="prices.sum()")
    page.shot("ghost-text-in-a-cell")
    wait_for(lambda: prompts(tmp_path), "a prompt")
    assert any("prices = numpy.ones(3)\n\n# %%\n# here\n" in prompt for prompt in prompts(tmp_path))
    page("press", key="Tab")
    bench.save("book.ipynb", lambda text: "prices.sum()" in text)
    cells = json.loads(bench.read("book.ipynb"))["cells"]
    assert "".join(cells[1]["source"]) == "# here\ntotal = prices.sum()"
