"""The project's index over the wire: search, rebuild, progress, cancelling, and files that others change."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from lsp_client import CAPABILITIES, Client, ServerError
from test_context_seen import prompts

from hearth.lsp.indexing import IndexProgress

WAIT_S = 60.0
INDEXED = {"index": {"enabled": True}}
ABLE = {
    **CAPABILITIES,
    "window": {**CAPABILITIES.get("window", {}), "workDoneProgress": True},
    "workspace": {
        **CAPABILITIES.get("workspace", {}),
        "didChangeWatchedFiles": {"dynamicRegistration": True},
    },
}


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


async def opened(server: Any, root: Path, **more: Any) -> Client:
    return await server(rootUri=root.as_uri(), initializationOptions=INDEXED, **more)


async def found(client: Client, query: str, path: str) -> dict[str, Any]:
    """The result of `query` that is in `path`, as soon as there is one."""
    async with asyncio.timeout(WAIT_S):
        while True:
            results = (await client.request("hearth/search", {"query": query, "limit": 5}))["results"]
            for hit in results:
                if hit["path"] == path:
                    return hit
            await asyncio.sleep(0.02)


async def test_search(server, tmp_path):
    root = tmp_path / "project"
    plant(root, {"a.py": "def volume_of_sphere(r):\n    return r ** 3\n", "b.md": "# Nothing\n\nmuch\n"})
    client = await opened(server, root)
    hit = await found(client, "volume of a sphere", "a.py")
    assert {"path", "start_line", "end_line", "score", "text"} <= hit.keys()
    assert (hit["start_line"], hit["end_line"]) == (0, 2)
    for wrong in ({}, {"query": 5}, {"query": "a", "limit": 0}, {"query": "a", "limit": "b"}, []):
        with pytest.raises(ServerError):
            await client.request("hearth/search", wrong)
    status = await client.request("hearth/status")
    assert status["index"]["files"] == 2
    assert status["index"]["embedding"]["state"] == "off"
    assert await client.stop() == 0


async def test_without_an_index_search_says_so(server):
    client = await server()
    with pytest.raises(ServerError, match="turned off"):
        await client.request("hearth/search", {"query": "a"})
    await client.command("hearth.reindex")
    await client.until(lambda: client.shown(), "a message")
    assert "index.enabled" in client.shown()[0]


async def test_files_that_others_write_are_noticed(server, tmp_path):
    root = tmp_path / "project"
    plant(root, {"a.py": "def first(): ...\n"})
    client = await opened(server, root, capabilities=ABLE)
    await client.until(lambda: any("registrations" in c["params"] for c in client.calls), "files are watched")
    registered = [r for c in client.calls for r in c["params"].get("registrations", [])]
    assert "workspace/didChangeWatchedFiles" in [r["method"] for r in registered]
    await found(client, "first", "a.py")
    plant(root, {"sub/new.py": "def brand_new_thing(): ...\n"})
    (root / "a.py").unlink()
    changes = [{"uri": (root / name).as_uri(), "type": kind} for name, kind in (("sub/new.py", 1), ("a.py", 3))]
    await client.notify("workspace/didChangeWatchedFiles", {"changes": [*changes, {"uri": "untitled:x", "type": 1}]})
    await found(client, "brand new thing", "sub/new.py")
    async with asyncio.timeout(WAIT_S):
        while (await client.request("hearth/search", {"query": "first"}))["results"]:
            await asyncio.sleep(0.02)


async def test_rebuilding_reads_what_no_clock_shows(server, tmp_path):
    root = tmp_path / "project"
    plant(root, {"a.py": "def one_thing(): ...\n"})
    os.utime(root / "a.py", ns=(1, 1))
    client = await opened(server, root)
    await found(client, "one thing", "a.py")
    plant(root, {"a.py": "def two_thing(): ...\n"})  # as long as before, and of the same time
    os.utime(root / "a.py", ns=(1, 1))
    await client.command("hearth.reindex")
    hit = await found(client, "two", "a.py")
    assert "two_thing" in hit["text"]
    assert client.shown() == ["Hearth reads the whole project again."]


async def test_context_from_the_index_reaches_the_model_after_rest(server, tmp_path):
    root = tmp_path / "project"
    fields = "".join(
        f"    {name}_amount: float\n" for name in ("net", "tax", "total", "discount", "rounded", "shipping")
    )
    methods = "".join(
        f"    def {name}_value(self, rate: float, *, precise: bool = False): ...\n" for name in "abcdefgh"
    )
    plant(root, {"pricing.py": f"class Invoice:\n{fields}\n{methods}"})
    client = await server(
        {"text": "\n\n\n", "log": "prompts.log", "prefills": 1},
        rootUri=root.as_uri(),
        initializationOptions=INDEXED,
    )
    await found(client, "invoice", "pricing.py")
    here = (root / "b.py").as_uri()
    await client.open(here, "from pricing import Invoice\n\n\ndef total(invoice: Invoice):\n    return invoice.\n")
    await client.complete(here, 4, 19)
    assert not any("net_amount" in prompt for prompt in prompts(tmp_path))
    async with asyncio.timeout(WAIT_S):
        while not (seen := [prompt for prompt in prompts(tmp_path) if "net_amount: float" in prompt]):
            await asyncio.sleep(0.05)
    assert "<|file_sep|>pricing.py\nclass Invoice" in seen[-1]


class Told:
    """An IndexProgress and what it sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.created = 0
        self.progress = IndexProgress(self.create, self.send, lambda: "fr")

    async def create(self, _params: Any) -> None:
        self.created += 1

    def send(self, params: Any) -> None:
        self.sent.append(params.value)


async def test_a_long_walk_shows_progress_and_a_short_one_does_not(monkeypatch):
    one = Told()
    one.progress.told({"state": "walking", "seen": 1, "total": 10})
    one.progress.told({"state": "ready", "seen": 10, "total": 10})
    await asyncio.sleep(0)
    assert (one.created, one.sent) == (0, [])
    monkeypatch.setattr("hearth.lsp.indexing.SHOW_AFTER_S", 0.0)
    one.progress.told({"state": "walking", "seen": 1, "total": 10})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    one.progress.told({"state": "walking", "seen": 4, "total": 10})
    one.progress.told({"state": "ready", "seen": 10, "total": 10})
    assert one.created == 1
    begin, report, end = one.sent
    assert (begin.title, begin.cancellable, begin.percentage) == ("Hearth : lecture du projet", True, 0)
    assert (report.percentage, report.message) == (40, "4 fichiers sur 10")
    assert end.kind == "end"


async def test_cancelling_the_progress_stops_the_walk(server, tmp_path):
    root = tmp_path / "project"
    body = "\n".join(f"def function_{n}(a, b):\n    return a + b * {n}\n" for n in range(150))
    plant(root, {f"d{n % 20}/f{n}.py": body.replace("function", f"f{n}") for n in range(1_500)})
    client = await opened(server, root, capabilities=ABLE)

    def begun() -> list[Any]:
        sent = [m["params"] for m in client.notifications if m["method"] == "$/progress"]
        return [p["token"] for p in sent if p["value"]["kind"] == "begin"]

    await client.until(begun, "progress is shown")
    await client.notify("window/workDoneProgress/cancel", {"token": begun()[0]})
    async with asyncio.timeout(WAIT_S):
        while (await client.request("hearth/status"))["index"]["state"] != "stopped":
            await asyncio.sleep(0.02)
    status = await client.request("hearth/status")
    assert 0 < status["index"]["files"] < 1_500
    assert await client.stop() == 0
