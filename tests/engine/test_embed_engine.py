"""The whole way: the real index process, the gateway, a scripted embedding model, and search by meaning and words."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from hearth.engine import open_engine
from hearth.settings import parse

pytest.importorskip("qdrant_edge", reason="there is no embedded store for this machine")
HANG_S = 60
FILES = {
    "invoice.py": "def total(lines):\n    return sum(line.price for line in lines)\n",
    "weather.py": "def forecast(city):\n    return fetch(city).temperature\n",
    "notes.txt": "the price of bread and of milk\n",
}


def settings(folder: Path, model: str, size: int, embedding: str | None = None) -> Any:
    script = folder / f"{model}.json"
    script.write_text(json.dumps({"model": model, "embeds": size}))
    raw = {
        "backends": [{"kind": "scripted", "model": str(script), "roles": ["complete", "embed"]}],
        "index": {"embedding_model": model if embedding is None else embedding},
    }
    made, problems = parse(raw)
    assert problems == []
    return made


async def embedded(engine: Any, count: int) -> dict[str, Any]:
    async with asyncio.timeout(HANG_S):
        while True:
            status = (await engine.status())["index"].get("embedding", {})
            if (status.get("state"), status.get("embedded")) == ("done", count):
                return status
            await asyncio.sleep(0.05)


async def test_a_project_is_embedded_and_found_also_after_a_restart_and_another_model(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for name, text in FILES.items():
        (work / name).write_text(text)
    for model, size in (("bag", 64), ("bag", 64), ("other", 96)):
        chosen = settings(tmp_path, model, size)
        async with open_engine(chosen, data_dir=tmp_path / "data", folders=[work]) as engine:
            await engine.indexed()
            status = await embedded(engine, len(FILES))
            assert (status["model"], status["left"], status["problem"]) == (model, 0, "")
            found = await engine.search("temperature forecast of a city")
            assert found[0]["path"] == "weather.py"
            # No chunk has any of these words, so only the vectors can have an answer, whatever it is.
            assert len(await engine.search("zebra quagga okapi")) == len(FILES)
        chosen = settings(tmp_path, model, size, embedding="")
        async with open_engine(chosen, data_dir=tmp_path / "data", folders=[work]) as engine:
            await engine.indexed()
            assert await engine.search("zebra quagga okapi") == []
