"""SIGKILL of a real server while it writes what it suggested: what stood on disk before stands there after."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

from lsp_client import Client, completion_params, start, write_settings

from hearth.store_disk import FILE_NAME

KILLS = 6
PLACES = 40


def document(life: int) -> str:
    return "".join(f"value_{life}_{number} = \n" for number in range(PLACES))


def on_disk(home: Path) -> dict[str, bytes]:
    """The store's rows as another process sees them; none before there is a store."""
    path = home / "data" / "prompts" / FILE_NAME
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if ("Cache",) not in base.execute("SELECT name FROM sqlite_master"):
            return {}  # it is being made
        return dict(base.execute("SELECT key, value FROM Cache").fetchall())


async def remembered(client: Client, life: int) -> None:
    """What was suggested in an earlier life is answered without the model."""
    uri = f"file:///work/life_{life}.py"
    await client.open(uri, document(life))
    async with asyncio.timeout(20):
        while not (await client.request("hearth/status"))["completions"]["memory_hits"]:
            (item,) = await client.complete(uri, 0, len(f"value_{life}_0 = "))
            assert item["insertText"] == "f(1)"
            await asyncio.sleep(0.01)


async def test_no_kill_of_the_server_loses_what_it_had_written(tmp_path):
    write_settings(tmp_path, {"text": "f(1)\n"})
    pick = random.Random(4)
    written = 0
    for life in range(KILLS):
        client = await start(tmp_path)
        try:
            await client.initialize()
            if life:
                await remembered(client, life - 1)
            uri = f"file:///work/life_{life}.py"
            await client.open(uri, document(life))
            before = on_disk(tmp_path)
            sure = pick.randint(PLACES // 4, PLACES // 2)
            for number in range(sure):
                await client.complete(uri, number, len(f"value_{life}_{number} = "))
            known = on_disk(tmp_path)
            written += len(known.keys() - before.keys())
            # It dies amid the next ones.
            for number in range(sure, PLACES):
                place = completion_params(uri, number, len(f"value_{life}_{number} = "))
                await client.ask("textDocument/inlineCompletion", place)
            await asyncio.sleep(pick.random() * 0.03)
        finally:
            await client.kill()
        after = on_disk(tmp_path)
        assert {key: value for key, value in known.items() if after.get(key) != value} == {}
    assert written > KILLS * PLACES / 8
    client = await start(tmp_path)
    try:
        await client.initialize()
        await remembered(client, KILLS - 1)
        assert (await client.request("hearth/status"))["cache"]["problem"] == ""
        assert client.shown() == []
        assert await client.stop() == 0
    finally:
        await client.kill()
    assert [path.name for path in (tmp_path / "data").iterdir() if "corrupt" in path.name] == []
