"""Frozen prompts read back after a restart: the same bytes, or nothing."""

import json
from dataclasses import replace

import pytest

from hearth.anchors import ANCHORS_MAX, Anchors, state_name
from hearth.core.background import EMPTY, Background
from hearth.core.context import Diagnostic, Hunk, Snippet
from hearth.core.dialect import DIALECTS
from hearth.core.prompt import anchor_at, rendered, tail_of
from hearth.core.text import Snapshot
from hearth.store_disk import Shelf

TEXT = "import os\n\n" + "".join(f"value_{n} = {n}\n" for n in range(200)) + "x = \n\nprint(x)\n"
URI = "file:///work/a.py"
SNIPPET = Snippet("b.py", "def helper():\n    return 1\n", "file:///work/b.py", "open", 0.7)
BACKGROUND = Background(
    ((SNIPPET,), (replace(SNIPPET, path="c.py"),)),
    (Hunk("b.py", "file:///work/b.py", 3, ("old",), ("new", "newer")),),
    (Diagnostic(4, "error", "no such name"),),
)


def anchor(uri=URI, dialect="qwen", background=BACKGROUND):
    snapshot = Snapshot.of(TEXT, uri=uri, language="python")
    position = snapshot.position_at(TEXT.index("x = ") + 4)
    made = anchor_at(
        snapshot, position, DIALECTS[dialect], path="a.py", repo="work", prompt_tokens_max=4000, background=background
    )
    return made, snapshot, position


class Disk:
    """Keeps the last record of each name, as JSON."""

    def __init__(self):
        self.records: dict[str, str] = {}

    def put(self, name, record, slots=1):
        self.records[name] = json.dumps(record)
        return True

    async def load(self, name, slots=1):
        return [json.loads(self.records[name])] if name in self.records else []


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_same_anchor_comes_back(dialect):
    made, snapshot, position = anchor(dialect=dialect)
    anchors = Anchors(Disk())
    anchors.save("/work", "model", {URI: made}, BACKGROUND)
    found, background = await anchors.load_all("/work", "model")
    assert found == {URI: made}
    assert background == BACKGROUND
    tail = tail_of(found[URI], snapshot, position)
    assert tail is not None
    assert rendered(found[URI], tail) == rendered(made, tail)


async def test_another_workspace_or_model_has_none():
    anchors = Anchors(Disk())
    anchors.save("/work", "model", {URI: anchor()[0]})
    assert await anchors.load("/elsewhere", "model") == {}
    assert await anchors.load("/work", "another") == {}
    assert list(await anchors.load("/work", "model")) == [URI]


async def test_it_is_kept_on_a_real_disk(tmp_path):
    made = anchor()[0]
    shelf = Shelf(tmp_path / "prompts")
    shelf.start()
    Anchors(shelf).save("/work", "model", {URI: made}, BACKGROUND)
    Anchors(shelf).save("/work", "model", {f"file:///work/{n}.py": made for n in range(20)}, BACKGROUND)
    await shelf.aclose()
    shelf = Shelf(tmp_path / "prompts")
    shelf.start()
    found = await Anchors(shelf).load("/work", "model")
    assert list(found) == [f"file:///work/{n}.py" for n in range(20 - ANCHORS_MAX, 20)], "the newest of them"
    assert set(found.values()) == {made}
    await shelf.aclose()


async def test_nothing_of_secrets_is_kept():
    disk = Disk()
    anchors = Anchors(disk)
    secret = replace(SNIPPET, origin="file:///work/.env", text="PASSWORD=1")
    made = anchor(background=Background(((secret,),)))[0]
    anchors.save("/work", "model", {"file:///work/id_rsa": anchor()[0], URI: made}, Background(((secret,),)))
    assert "PASSWORD" not in "".join(disk.records.values())
    assert await anchors.load_all("/work", "model") == ({}, EMPTY)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(format=0),
        lambda record: record.update(anchors=5),
        lambda record: record.update(anchors=[5]),
        lambda record: record.pop("anchors"),
        lambda record: record["anchors"][0][1].update(before=5),
        lambda record: record["anchors"][0][1].update(dialect="klingon"),
        lambda record: record["anchors"][0][1].update(head="another"),
        lambda record: record["anchors"][0][1].update(more="another"),
        lambda record: record["anchors"][0][1].pop("after"),
        lambda record: record["anchors"][0][1]["segments"][0].update(stability=99),
        lambda record: record["background"].update(pages=[[{"path": "x"}]]),
        lambda record: record["background"]["diagnostics"][0].update(severity="fatal"),
    ],
)
async def test_what_is_not_as_it_was_written_is_nothing(change):
    disk = Disk()
    anchors = Anchors(disk)
    anchors.save("/work", "model", {URI: anchor()[0]}, BACKGROUND)
    [name] = disk.records
    record = json.loads(disk.records[name])
    change(record)
    disk.records[name] = json.dumps(record)
    assert await anchors.load_all("/work", "model") == ({}, EMPTY)


def test_a_state_has_a_name_of_its_own():
    names = {state_name(workspace, uri) for workspace in ("/a", "/b") for uri in ("file:///x", "file:///y")}
    assert len(names) == 4
    assert state_name("/a", "file:///x") == state_name("/a", "file:///x")
