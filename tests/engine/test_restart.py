"""A restart of everything: what was suggested is remembered, what the engine had read need not be read again."""

import asyncio
import json
from pathlib import Path

import pytest

from hearth.core.text import Snapshot
from hearth.engine import open_engine
from hearth.settings import parse
from tiny_model import tiny_model

HANG_S = 30
SOURCE = (Path(json.__file__).parent / "decoder.py").read_text("utf-8").replace("\r\n", "\n")
URI = "file:///workspace/decoder.py"
TYPED = "def parse_all("


def snapshot(typed: str) -> tuple[Snapshot, int]:
    at = SOURCE.index("\n\n", len(SOURCE) // 2) + 1
    return Snapshot.of(f"{SOURCE[:at]}\n{typed}\n{SOURCE[at:]}", uri=URI, language="python"), at + 1 + len(typed)


async def asked(data_dir, backend, typed, *, resident=False):
    """One life of the engine with one completion in it: its outcome."""
    settings, problems = parse({"backends": [backend], "index": {"enabled": False}})
    assert problems == []
    there, at = snapshot(typed)
    async with open_engine(settings, data_dir=data_dir, folders=[Path("/workspace")]) as engine:
        engine.opened(there)
        async with asyncio.timeout(HANG_S):
            await engine.gateway.probed.wait()
            while resident and not engine.resident:
                await asyncio.sleep(0.01)
            while backend["kind"] == "embedded" and not engine.gateway.target("complete"):
                await asyncio.sleep(0.01)
            # Reading what is remembered is no part of what is tested here.
            await asyncio.gather(*engine._loads)
            return await engine.complete(there, there.position_at(at), invoked=True)


async def test_the_first_prompt_after_a_restart_is_read_already(tmp_path):
    pytest.importorskip("xllamacpp", reason="the embedded engine is an optional extra")
    backend = {"kind": "embedded", "model": str(tiny_model(context=8192)), "context_tokens": 8192}
    first = await asked(tmp_path, backend, TYPED)
    assert first.usage.prefilled_tokens == first.usage.prompt_tokens > 200
    for typed in ("a", "ab"):
        outcome = await asked(tmp_path, backend, TYPED + typed, resident=True)
        assert outcome.usage.prompt_tokens > 200
        assert outcome.usage.prefilled_tokens <= 16
    assert (tmp_path / "slots").stat().st_mode & 0o077 == 0


async def test_what_was_suggested_is_remembered_without_any_model(tmp_path):
    script = tmp_path / "script.json"
    backend = {"kind": "scripted", "model": str(script)}
    script.write_text(json.dumps({"text": "text, strict):\n    return decode(text)\n"}))
    first = await asked(tmp_path / "data", backend, TYPED)
    assert first.source == "model"
    script.write_text(json.dumps({"state": "down"}))
    again = await asked(tmp_path / "data", backend, TYPED)
    assert (again.source, again.suggestions[0].text) == ("memory", first.suggestions[0].text)
    further = await asked(tmp_path / "data", backend, TYPED + "text, s")
    assert (further.source, further.suggestions[0].text) == ("memory", first.suggestions[0].text[len("text, s") :])
    elsewhere = await asked(tmp_path / "data", backend, "def another(")
    assert elsewhere.source != "memory"
