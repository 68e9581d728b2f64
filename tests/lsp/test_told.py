"""What only our client tells: where the user turns to, which is read ahead, and how many cursors there are."""

import asyncio
import json
from pathlib import Path

import pytest
from lsp_client import completion_params, start

from hearth.idle import FOCUS_S
from tiny_model import tiny_model

SOURCE = (Path(json.__file__).parent / "decoder.py").read_text("utf-8").replace("\r\n", "\n")
URI = "file:///work/decoder.py"
LINE = SOURCE[: SOURCE.index("\n\n", len(SOURCE) // 2)].count("\n") + 1
HERE = {"start": {"line": LINE, "character": 0}, "end": {"line": LINE, "character": 0}}


def starts(home: Path) -> list[dict]:
    log = home / "prompts.log"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    return [line for line in lines if line["event"] == "start"]


async def test_what_was_read_at_focus_is_not_read_again_at_the_first_key(tmp_path):
    pytest.importorskip("xllamacpp", reason="the embedded engine is an optional extra")
    (tmp_path / "config").mkdir()
    model = json.dumps(str(tiny_model(context=8192)))
    (tmp_path / "config" / "settings.toml").write_text(
        f'[[backends]]\nkind = "embedded"\nmodel = {model}\ncontext_tokens = 8192\n[index]\nenabled = false\n', "utf-8"
    )
    client = await start(tmp_path)
    try:
        await client.initialize()
        await client.open(URI, SOURCE)
        # Before the model is loaded: it is read as soon as there is one.
        await client.notify("hearth/focus", {"uri": URI, "selection": HERE})
        async with asyncio.timeout(60):
            while not (read := (await client.request("hearth/status"))["tokens"])["prefilled"]:
                await asyncio.sleep(0.05)
        assert read["prefilled"] > 200
        assert read["generated"] <= 1
        await client.complete(URI, LINE, 0)
        after = (await client.request("hearth/status"))["tokens"]
        assert after["prompt"] - read["prompt"] > 200
        assert after["prefilled"] - read["prefilled"] <= 16
        assert await client.stop() == 0
    finally:
        await client.kill()
    # After a restart the server's state is brought back first, so focus finds its prompt read already.
    client = await start(tmp_path)
    try:
        await client.initialize()
        await client.open(URI, SOURCE)
        await client.notify("hearth/focus", {"uri": URI, "selection": HERE})
        async with asyncio.timeout(60):
            while (await client.request("hearth/status"))["completion"]["source"] != "model":
                await asyncio.sleep(0.05)
        await asyncio.sleep(FOCUS_S + 0.7)
        await client.complete(URI, LINE, 0, 1)
        again = (await client.request("hearth/status"))["tokens"]
        assert again["prefilled"] <= 16
        assert await client.stop() == 0
    finally:
        await client.kill()


async def test_focus_reads_a_short_prompt_first_and_none_where_completion_is_off(server, tmp_path):
    client = await server(
        {"text": "1\n", "log": "prompts.log", "prefills": 1}, extra='[completion]\nlanguages_off = ["markdown"]'
    )
    await client.open("file:///work/a.md", "words\n", "markdown")
    await client.open(URI, SOURCE)
    await client.notify("hearth/focus", {"uri": "file:///work/a.md", "selection": HERE})
    await asyncio.sleep(0.5)
    assert starts(tmp_path) == []
    for nothing in ({}, {"uri": "file:///nowhere.py", "selection": HERE}, {"uri": URI}, None):
        await client.notify("hearth/focus", nothing)
    await client.notify("hearth/focus", {"uri": URI, "selection": HERE})
    async with asyncio.timeout(20):
        while len(starts(tmp_path)) < 2:
            await asyncio.sleep(0.05)
    short, whole = starts(tmp_path)[:2]
    assert short["max_tokens"] == whole["max_tokens"] == 0
    assert len(short["prompt"]) < len(whole["prompt"])
    assert SOURCE.splitlines()[LINE - 1] in short["prompt"]


async def test_several_cursors_are_left_alone_unless_asked_for(server):
    client = await server({"text": "1\n"})
    await client.open(URI, "x = \n")

    async def items(kind: int, **more: object) -> list:
        params = completion_params(URI, 0, 4, kind) | more
        return (await client.request("textDocument/inlineCompletion", params))["items"]

    assert await items(2, cursors=2) == []
    status = await client.request("hearth/status")
    assert status["completions"]["shown_none_by_reason"] == {"there are several cursors": 1}
    assert status["completions"]["model_calls"] == 0
    assert "there are several cursors" in await client.command("hearth.whyNoSuggestion")
    assert [item["insertText"] for item in await items(2, cursors=1)] == ["1"]
    assert [item["insertText"] for item in await items(1, cursors=2)] == ["1"]


async def test_what_was_taken_is_counted(server):
    client = await server({"text": "1\n"})
    await client.open(URI, "x = \n")
    (item,) = await client.complete(URI, 0, 4)
    await client.command(item["command"]["command"], *item["command"]["arguments"])
    assert (await client.request("hearth/status"))["completions"]["accepted"] == 1
