"""A15: a cache or an index that comes with a repository runs code when it is opened; so do modules that lie in it.

Controls: programs are started isolated (`-I`) and never from the workspace's modules; every store lies in the user's
own folder; `store_disk.PlainDisk` and `_vet` unpickle nothing, whoever wrote the rows.
"""

import os
import pickle
import sqlite3
import sys
from pathlib import Path

import diskcache
import pytest

from hearth.store import document_key
from hearth.store_disk import _key
from lsp.lsp_client import Client, environment
from threats.scene import Machine, scripted

MODULES = ("hearth", "httpx", "pygls", "litellm", "sitecustomize", "usercustomize", "json", "numpy", "tree_sitter")


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"echo ran > {self.mark}",)


def plant_modules(work: Path, mark: Path) -> None:
    code = f"import os; os.system('echo ran > {mark}')\n"
    for name in MODULES:
        (work / f"{name}.py").write_text(code)
        (work / name).mkdir()
        (work / name / "__init__.py").write_text(code)
    (work / "evil.pth").write_text(f"import os; os.system('echo ran > {mark}')\n")
    (work / "conftest.py").write_text(code)
    (work / "setup.py").write_text(code)


def plant_stores(folder: Path, mark: Path) -> None:
    """A diskcache with pickled rows, a pickled index, and one of Qdrant's local mode, as they could lie anywhere. The
    rows have the names under which ours are looked for."""
    document = (folder.parents[0] / "a.py").as_uri()
    names = ("trust", document_key(document), document_key((folder.parents[0] / "work/a.py").as_uri()))
    for name in ("", "prompts", "cache", "index"):
        with diskcache.Cache(str(folder / name)) as cache:
            for number in range(8):
                for row in names:
                    cache.set(_key(row, number), Bomb(mark))
                cache.set(f"row{number}", Bomb(mark))
    for name in ("index.pkl", "index/store.pickle", ".cache/hearth.pickle", "manifest.pkl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    local = folder / "collection/hearth"
    local.mkdir(parents=True)
    with sqlite3.connect(local / "storage.sqlite") as base:
        base.execute("CREATE TABLE points (id TEXT PRIMARY KEY, point BLOB)")
        base.execute("INSERT INTO points VALUES ('1', ?)", (pickle.dumps(Bomb(mark)),))
    base.close()
    (folder / "meta.json").write_text('{"collections": {"hearth": {"vectors": {"size": 1, "distance": "Cosine"}}}}')


@pytest.mark.parametrize("where", ["workspace", "data folder"])
async def test_nothing_that_was_planted_runs(tmp_path: Path, where: str) -> None:
    mark = tmp_path / "mark"
    machine = Machine(tmp_path, settings=scripted(tmp_path, {"text": "1\n"}), index=True)
    machine.write({"a.py": "def total(prices):\n    return sum(prices)\n"})
    if where == "workspace":
        plant_modules(machine.work, mark)
        for name in (".", ".hearth", "data", ".cache", ".qdrant"):
            plant_stores(machine.work / name, mark)
    else:
        plant_stores(machine.data, mark)
    await a_session(machine)
    for arguments in (
        ("index", ".", "--json"),
        ("search", "total"),
        ("doctor", "--json"),
        ("complete", "a.py", "1", "4"),
    ):
        await machine.hearth(*arguments)
    assert not mark.exists()


def test_what_was_planted_would_leave_its_mark(tmp_path: Path) -> None:
    plant_stores(tmp_path / "planted", tmp_path / "mark")
    with diskcache.Cache(str(tmp_path / "planted")) as cache:
        assert cache["row1"] == 0
    assert (tmp_path / "mark").exists()


async def a_session(machine: Machine) -> None:
    """An editor's, in which a document is opened, typed in and completed."""
    import asyncio

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "hearth", "serve", cwd=machine.work,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**environment(machine.root), **machine.environment()},
    )  # fmt: skip
    client = Client(process)
    try:
        folder = machine.work.as_uri()
        await client.initialize(workspaceFolders=[{"uri": folder, "name": "work"}])
        await client.open(f"{folder}/a.py", "def total(prices):\n    return sum(prices)\nx = \n")
        await client.complete(f"{folder}/a.py", 2, 4)
        await client.request("hearth/status")
        await client.stop()
    finally:
        await client.kill()
