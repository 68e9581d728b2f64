"""What is done at rest: prompts read in advance, kept for the next start, and given up for a key."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hearth.core.text import Snapshot
from hearth.engine import Engine, Outcome, open_engine
from hearth.settings import parse
from tiny_model import tiny_model

BODY = "".join(f"value_{number} = compute({number})\n" for number in range(40))


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth.idle.IDLE_S", 0.05)


@asynccontextmanager
async def engine_with(folder: Path, backend: dict[str, Any]) -> AsyncGenerator[Engine]:
    settings, problems = parse({"backends": [backend], "index": {"enabled": False}})
    assert problems == []
    async with open_engine(settings, data_dir=folder / "data", folders=[folder / "work"]) as engine:
        await engine.settled(30)
        yield engine


def scripted(folder: Path, **script: Any) -> tuple[dict[str, Any], Callable[[], list[dict[str, Any]]]]:
    """A backend, and what it was asked so far."""
    path, log = folder / "script.json", folder / "log"
    path.write_text(json.dumps({"prefills": 1, "log": str(log), **script}))

    def asked() -> list[dict[str, Any]]:
        lines = log.read_text().splitlines() if log.exists() else []
        return [event for line in lines if (event := json.loads(line))["event"] == "start"]

    return {"kind": "scripted", "model": str(path)}, asked


def document(folder: Path, text: str, name: str = "a.py") -> Snapshot:
    return Snapshot.of(text, uri=(folder / "work" / name).as_uri(), language="python")


async def ask(engine: Engine, snapshot: Snapshot) -> Outcome:
    """A completion at the end of the document's last line but one."""
    engine.changed(snapshot)
    return await engine.complete(snapshot, snapshot.position_at(len(snapshot.text.rstrip("\n"))))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_document_that_is_opened_again_is_read_in_advance(tmp_path: Path) -> None:
    backend, asked = scripted(tmp_path, text="1\n")
    async with engine_with(tmp_path, backend) as engine:
        first, other = document(tmp_path, BODY + "x = \n"), document(tmp_path, "y = \n", "b.py")
        engine.opened(first)
        await ask(engine, first)
        engine.closed(first.uri)
        await ask(engine, other)
        count = len(asked())
        engine.opened(first)
        await until(lambda: len(asked()) > count and "value_12 = compute(12)" in asked()[-1]["prompt"])
        assert asked()[-1]["max_tokens"] == 0
        count = len(asked())
        await asyncio.sleep(0.3)
        assert len(asked()) == count  # it is in the server's cache now


async def test_a_long_tail_is_frozen_at_rest_and_not_at_a_key(tmp_path: Path) -> None:
    backend, asked = scripted(tmp_path, text="zzz\n")
    async with engine_with(tmp_path, backend) as engine:
        await ask(engine, document(tmp_path, BODY + "x = \n"))
        typed = BODY + "".join(f"typed_{number} = {number}\n" for number in range(20))
        await ask(engine, document(tmp_path, typed + "y = \n"))
        head = asked()[0]["prompt"].partition("<|fim_middle|>")[0]
        assert asked()[-1]["prompt"].startswith(head)
        count = len(asked())
        await until(lambda: any(one["max_tokens"] == 0 for one in asked()[count:]))
        read = next(one["prompt"] for one in asked()[count:] if one["max_tokens"] == 0)
        assert "typed_19 = 19" in read.partition("<|fim_suffix|>")[0]
        await ask(engine, document(tmp_path, typed + "y = 1 + \n"))
        last = [one["prompt"] for one in asked() if one["max_tokens"]][-1]
        assert last.startswith(read.partition("<|fim_middle|>")[0])


async def test_a_key_in_another_document_ends_the_reading(tmp_path: Path) -> None:
    backend, asked = scripted(
        tmp_path, text="1\n", delay_ms=5_000, rules=[{"ends_with": "x = ", "text": "2\n", "delay_ms": 0}]
    )
    async with engine_with(tmp_path, backend) as engine:
        asking = asyncio.create_task(ask(engine, document(tmp_path, BODY + "z = \n")))
        await until(asked)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: any(one["max_tokens"] == 0 for one in asked()))
        outcome = await ask(engine, document(tmp_path, "x = \n", "b.py"))
        assert outcome.suggestions[0].text == "2"
        assert outcome.latency_ms < 4_000  # the reading alone would have taken longer


async def test_what_the_engine_has_read_outlives_it(tmp_path: Path) -> None:
    """The real engine: the same place after a restart costs a few tokens instead of the whole prompt."""
    (tmp_path / "work").mkdir()
    backend = {"kind": "embedded", "model": str(tiny_model())}
    text = BODY * 3 + "x = "
    async with engine_with(tmp_path, backend) as engine:
        await ask(engine, document(tmp_path, text))
        cold = engine.gateway.totals.prefilled
        await until(lambda: list((tmp_path / "data" / "slots").rglob("*.seal")))  # saved at rest
    assert cold > 500
    async with engine_with(tmp_path, backend) as engine:
        await until(lambda: engine.resident)
        outcome = await ask(engine, document(tmp_path, text + "y"))
        assert outcome.usage.prompt_tokens
        assert outcome.usage.prompt_tokens > 500
        assert engine.gateway.totals.prefilled < cold / 20
