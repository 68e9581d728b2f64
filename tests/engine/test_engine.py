"""The whole engine without an editor: a real workspace, the real index process, and what is left when parts go."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hearth.backends import discover
from hearth.core.text import Snapshot
from hearth.engine import Engine, Notice, Outcome, open_engine, path_of
from hearth.index.copy_client import CopyClient
from hearth.settings import parse

SHOP = '''from shop.errors import ShopError


class PriceError(ShopError):
    """A price that cannot be."""


def load_prices(path):
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def load_orders(path):
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)
'''


LOAD_USERS = """import json


def load_users(path):
    with open(path, encoding="utf-8") as stream:
        █
"""


READY_S = 60.0


@pytest.fixture(autouse=True)
def no_servers_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Discovery must not find a model server that happens to run where the tests do."""
    defaults = discover.Finder.__init__.__kwdefaults__
    monkeypatch.setattr(discover.Finder.__init__, "__kwdefaults__", {**defaults, "ports": (), "env": {}})


@pytest.fixture(autouse=True)
def patient_with_the_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process yields to every other: on a busy machine it answers later than anybody would wait."""
    monkeypatch.setitem(CopyClient.predict.__kwdefaults__, "deadline_s", READY_S)


@asynccontextmanager
async def engine_in(
    folder: Path, raw: dict[str, Any] | None = None, told: list[Notice] | None = None
) -> AsyncGenerator[Engine]:
    settings, problems = parse(raw or {})
    assert problems == []
    notices = told if told is not None else []
    async with open_engine(
        settings, data_dir=folder.with_name(f"{folder.name}-data"), folders=[folder], notify=notices.append
    ) as engine:
        await engine.settled(READY_S)
        yield engine


async def ask(engine: Engine, path: Path, marked: str) -> Outcome:
    before, after = marked.split("█")
    snapshot = Snapshot.of(before + after, uri=path.as_uri(), language="python", version=1)
    engine.opened(snapshot)
    return await engine.complete(snapshot, snapshot.position_at(len(before)))


async def test_without_any_model_the_workspace_answers(tmp_path: Path) -> None:
    (tmp_path / "prices.py").write_text(SHOP)
    async with engine_in(tmp_path) as engine:
        outcome = await ask(engine, tmp_path / "new.py", LOAD_USERS)
        assert outcome.source == "workspace"
        assert outcome.suggestions[0].text == "return json.load(stream)"
        status = await engine.status()
        assert status["completion"]["source"] == "workspace"
        assert (await engine.indexed())["files"] == 1
        assert status["completions"]["workspace_hits"] == 1
        assert "no model server answers" in status["problems"][0]["message"].lower()
        assert status["problems"][0]["remedy"]


async def test_what_is_saved_is_known(tmp_path: Path) -> None:
    async with engine_in(tmp_path) as engine:
        assert (await ask(engine, tmp_path / "new.py", LOAD_USERS)).suggestions == ()
        (tmp_path / "prices.py").write_text(SHOP)
        engine.saved((tmp_path / "prices.py").as_uri())
        async with asyncio.timeout(READY_S):
            while not (await engine.status())["index"].get("files"):
                await asyncio.sleep(0.05)
        outcome = await ask(engine, tmp_path / "other.py", LOAD_USERS)
        assert outcome.source == "workspace"


async def test_unsaved_documents_are_learned_from(tmp_path: Path) -> None:
    async with engine_in(tmp_path, {"index": {"enabled": False}}) as engine:
        engine.opened(Snapshot.of(SHOP, uri=(tmp_path / "a.py").as_uri(), language="python"))
        outcome = Outcome((), "none", "")
        for number in range(40):  # it is read once it rests
            outcome = await ask(engine, tmp_path / f"b{number}.py", LOAD_USERS)
            if outcome.suggestions:
                break
            await asyncio.sleep(0.1)
        assert outcome.source == "workspace"


async def test_the_engine_goes_on_without_its_index_process(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"text": "1\n"}))
    raw = {"backends": [{"kind": "scripted", "model": str(script)}]}
    async with engine_in(tmp_path, raw) as engine:
        assert engine.index
        for _ in range(100):
            if engine.index.pid:
                break
            await asyncio.sleep(0.05)
        assert engine.index.pid
        os.kill(engine.index.pid, signal.SIGKILL)
        outcome = await ask(engine, tmp_path / "a.py", "x = █\n")
        assert outcome.suggestions[0].text == "1"


async def test_no_process_is_left_behind(tmp_path: Path) -> None:
    async with engine_in(tmp_path) as engine:
        assert engine.index
        pid = engine.index.pid
        assert pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_server_that_is_not_there_is_named_once_with_what_to_do(tmp_path: Path) -> None:
    told: list[Notice] = []
    raw = {"backends": [{"kind": "llamacpp", "url": "http://127.0.0.1:9"}], "index": {"enabled": False}}
    async with engine_in(tmp_path, raw, told) as engine:
        for _ in range(3):
            await ask(engine, tmp_path / "a.py", "x = █\n")
        assert len(told) == 1
        assert "127.0.0.1:9" in told[0].message
        assert told[0].remedy
        assert "127.0.0.1:9" in engine.why()


async def test_the_page_of_reasons_lists_the_last_requests(tmp_path: Path) -> None:
    async with engine_in(tmp_path, {"index": {"enabled": False}}) as engine:
        await ask(engine, tmp_path / "a|b.py", "na█me\n")
        page = engine.why()
        assert "a\\|b.py:1:3" in page
        assert "inside a word" in page


@pytest.mark.parametrize("uri", ["untitled:Untitled-1", "file:///a%00b", "http://[bad", "", "file://"])
def test_odd_uris_have_no_path(uri: str) -> None:
    assert path_of(uri) is None


async def test_suggestions_are_remembered_across_restarts(tmp_path: Path) -> None:
    script, log = tmp_path / "script.json", tmp_path / "log"
    script.write_text(json.dumps({"text": "compute(value)\n", "log": str(log)}))
    raw = {"backends": [{"kind": "scripted", "model": str(script)}], "index": {"enabled": False}}
    async with engine_in(tmp_path, raw) as engine:
        assert (await ask(engine, tmp_path / "a.py", "x = █\n")).source == "model"
    async with engine_in(tmp_path, raw) as engine:
        engine.opened(Snapshot.of("", uri=(tmp_path / "a.py").as_uri()))
        async with asyncio.timeout(READY_S):  # what is remembered of the document is read in the background
            while not (await engine.status())["cache"]["suggestions"]:
                await asyncio.sleep(0.02)
        outcome = await ask(engine, tmp_path / "a.py", "x = com█\n")
        assert (outcome.source, outcome.suggestions[0].text) == ("memory", "pute(value)")
