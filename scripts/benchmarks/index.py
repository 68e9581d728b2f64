"""Measure the project index: a cold read of django's source, saving a file, searching, and typing while it works.

    .venv/bin/python scripts/benchmarks/index.py

Everything is asked of real processes: the index process by the handle that the server has on it, and `hearth serve` by
its own protocol. CPU time and memory are the index process's own, as the system counts them. Source archives come by
name from the package registries into .cache/bench/, once.
"""

import asyncio
import json
import random
import shutil
import statistics
import string
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent))
from copying import fetch

from hearth.index.client import IndexClient
from hearth.index.walk import Folder, text_lines
from lsp import finish, initialize_with, reply_to, send, spawn, surroundings

ROOT = Path(__file__).resolve().parents[2]
DJANGO = ("pip", "django==5.2.19")
LARGE = (
    DJANGO, ("pip", "sqlalchemy==2.1.9"), ("pip", "sphinx==9.0.4"), ("pip", "aiohttp==3.14.5"),
    ("pip", "celery==5.7.0"), ("pip", "scrapy==2.19.0"), ("pip", "pytest==9.2.0"), ("pip", "paramiko==5.1.0"),
    ("npm", "rxjs@7.8.2"), ("npm", "eslint@9.39.2"), ("npm", "fastify@5.12.8"), ("npm", "zod@4.6.7"),
)  # fmt: skip
SEED = 11
SAVES = 100
SEARCHES = 300
KEYS = 250
KEY_EVERY_S = 0.05
WAIT_S = 300.0
QUESTIONS = 400

Row = tuple[str, str, str]


def rows() -> list[Row]:
    """(figure, must reach, measured) for each figure of this benchmark."""
    with tempfile.TemporaryDirectory() as home:
        base = Path(home)
        django = unpacked(DJANGO, base / "django")
        python = only_python(django, base / "python")
        return [
            *asyncio.run(cold(python, base / "d1", "django's Python source")),
            *asyncio.run(cold(django, base / "d2", "django's source archive, all text")),
            *asyncio.run(saves(django, base / "d2")),
            *asyncio.run(large(base)),
            *typing(django, base),
        ]


def unpacked(package: tuple[str, str], folder: Path) -> Path:
    with tarfile.open(fetch(*package)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def only_python(folder: Path, target: Path) -> Path:
    """A copy with the Python files alone."""
    for path in sorted(folder.rglob("*.py")):
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return target


def files_in(folder: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(folder.rglob(pattern)) if path.is_file()]


@asynccontextmanager
async def serving(data: Path, folder: Path) -> AsyncIterator[IndexClient]:
    client = IndexClient(data)
    try:
        await client.start([folder])
        yield client
    finally:
        await client.aclose()


async def finished(client: IndexClient) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        while client.progress.get("state") != "ready":
            await asyncio.sleep(0.05)
    return await client.status()


def peak_mb(pid: int) -> float:
    """The most that was resident at once."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return psutil.Process(pid).memory_info().rss / 2**20


def cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


async def cold(folder: Path, data: Path, name: str) -> list[Row]:
    """A first read: cost, and how soon a search finds something of a file that is open."""
    files = files_in(folder, "*")
    megabytes = sum(p.stat().st_size for p in files) / 1e6
    client = IndexClient(data)
    opened = next(p for p in files if p.name == "query.py" and p.parent.name == "models")
    began = time.perf_counter()
    try:
        await client.start([folder], [opened])
        useful_s = None
        while useful_s is None:
            if any("query.py" in hit["path"] for hit in await client.search("class QuerySet", 5)):
                useful_s = time.perf_counter() - began
            await asyncio.sleep(0.01)
        status = await finished(client)
        wall_s = time.perf_counter() - began
        assert client.pid is not None
        cost, peak = cpu_s(client.pid), peak_mb(client.pid)
    finally:
        await client.aclose()
    began = time.perf_counter()
    async with serving(data, folder) as again:
        await finished(again)
        again_s = time.perf_counter() - began
    size = f"{status['files']:,} files, {megabytes:.0f} MB, {status['chunks']:,} chunks, {status['symbols']:,} symbols"
    return [
        (f"cold index of {name} ({size}): CPU", "<= 8 s", f"{cost:.1f} s ({wall_s:.1f} s by the clock)"),
        (f"the same: most memory at once ({name})", "<= 250 MB", f"{peak:.0f} MB"),
        (f"the same: start -> an open file is found ({name})", "<= 2 s", f"{useful_s:.2f} s"),
        (f"the same: next start, nothing changed ({name})", "", f"{again_s:.2f} s"),
    ]


async def saves(folder: Path, data: Path) -> list[Row]:
    """From a file's being written to its being found, for files of all sizes drawn by a seed."""
    rng = random.Random(SEED)
    walked = sorted(folder / path for path in Folder(folder).walk() if path and path.endswith(".py"))
    pool = [p for p in walked if 500 < p.stat().st_size < 200_000 and text_lines(p.read_bytes())]
    took: list[float] = []
    async with serving(data, folder) as client:
        await finished(client)
        for path in rng.sample(pool, SAVES):
            word = "".join(rng.choices(string.ascii_lowercase, k=14))  # nothing is like it
            lines = path.read_text("utf-8").split("\n")
            lines.insert(rng.randrange(len(lines)), f"{word} = 1")
            path.write_text("\n".join(lines), "utf-8")
            began = time.perf_counter()
            client.saved(path)
            async with asyncio.timeout(WAIT_S):
                while not any(word in hit["text"] for hit in await client.search(word, 3)):
                    pass
            took.append(time.perf_counter() - began)
    return [("save -> found, p50 / p95", "p95 <= 300 ms", spread(took))]


async def large(base: Path) -> list[Row]:
    """Search in many packages at once, while they are read and afterwards, and context for completions."""
    folder = base / "large"
    for package in LARGE:
        unpacked(package, folder / package[1].replace("@", "-"))
    queries = questions(folder)
    async with serving(base / "d3", folder) as client:
        while not client.progress.get("chunks"):
            await asyncio.sleep(0.05)
        during: list[float] = []
        while client.progress.get("state") != "ready":
            during.append(await timed(client, queries[len(during) % len(queries)]))
            await asyncio.sleep(0.02)
        status = await client.status()
        after = [await timed(client, query) for query in queries[:SEARCHES]]
    chunks = f"{status['chunks']:,} chunks"
    served = through_serve(base, folder, queries[:SEARCHES])
    return [
        (f"search over {chunks}, asked of the index process, p50 / p95", "p95 <= 5 ms", spread(after)),
        (f"search over {chunks}, `hearth/search` of a server, p50 / p95", "p95 <= 10 ms", spread(served)),
        ("search while a cold index runs, p50 / p95", "p95 <= 50 ms", spread(during)),
    ]


def questions(folder: Path) -> list[str]:
    """Stretches of comments and names, drawn by a seed: queries of two to eight words."""
    rng = random.Random(SEED)
    found: list[str] = []
    paths = files_in(folder, "*.py")
    while len(found) < QUESTIONS:
        words = [w for w in rng.choice(paths).read_text("utf-8", "replace").split() if w.isidentifier()]
        if len(words) > 20:
            at = rng.randrange(len(words) - 10)
            found.append(" ".join(words[at : at + rng.randrange(2, 9)]))
    return found


async def timed(client: IndexClient, query: str) -> float:
    began = time.perf_counter()
    await client.search(query, 10)
    return time.perf_counter() - began


def through_serve(base: Path, folder: Path, queries: list[str]) -> list[float]:
    """The same of `hearth serve`, with the index that is there."""
    with tempfile.TemporaryDirectory() as home, surroundings(Path(home)) as environment:
        (Path(home) / "data").mkdir()
        shutil.copytree(base / "d3" / "index", Path(home) / "data" / "index", ignore=lambda *_: ["owner.sock", "lock"])
        process = served(environment, folder)
        settle(process)
        took: list[float] = []
        for number, query in enumerate(queries):
            began = time.perf_counter()
            send(process, {"id": 1000 + number, "method": "hearth/search", "params": {"query": query, "limit": 10}})
            assert "result" in reply_to(process, 1000 + number)
            took.append(time.perf_counter() - began)
        finish(process)
    return took


def served(environment: dict[str, str], folder: Path) -> "subprocess.Popen[bytes]":
    process = spawn(environment)
    initialize_with(process, {"rootUri": folder.as_uri(), "initializationOptions": {"index": {"enabled": True}}})
    return process


def settle(process: "subprocess.Popen[bytes]") -> None:
    """Wait until the index has read everything."""
    for number in range(100, 100 + int(WAIT_S * 10)):
        send(process, {"id": number, "method": "hearth/status"})
        if reply_to(process, number)["result"]["index"].get("state") == "ready":
            return
        time.sleep(0.1)
    raise TimeoutError("the index was not ready")


def typing(folder: Path, base: Path) -> list[Row]:
    """A key every 50 ms and a completion for each, with a model that answers at once, alone and beside a cold index."""
    with tempfile.TemporaryDirectory() as home, surroundings(Path(home)) as environment:
        process = served(environment, folder)
        settle(process)
        idle = typed(process, folder)
        finish(process)
        shutil.rmtree(Path(home) / "data" / "index")
        process = served(environment, folder)
        busy = typed(process, folder)
        send(process, {"id": 7000, "method": "hearth/status"})
        state = reply_to(process, 7000)["result"]["index"]
        finish(process)
    ratio = p(busy, 0.99) / p(idle, 0.99)
    how_far = f"{state.get('seen', 0):,} of {state.get('total', 0):,} files read when the typing ended"
    return [
        ("key -> completion answered, index at rest, p50 / p99", "", spread(idle, 0.99)),
        (f"the same while a cold index runs ({how_far})", "p99 <= 2x", f"{spread(busy, 0.99)} ({ratio:.1f}x)"),
    ]


def typed(process: "subprocess.Popen[bytes]", folder: Path) -> list[float]:
    """Seconds from a key to the answer of the completion that it asked for."""
    uri = (folder / "typed.py").as_uri()
    document = {"uri": uri, "languageId": "python", "version": 1, "text": "import os\n\n\ndef main():\n    \n"}
    send(process, {"method": "textDocument/didOpen", "params": {"textDocument": document}})
    text = "value = compute_something(argument, other_argument)"
    took: list[float] = []
    for number in range(KEYS):
        column = number % len(text)
        at = {"line": 4, "character": 4 + column}
        end = {"line": 4, "character": 400} if column == 0 else at  # the line begins anew
        key = {"range": {"start": at, "end": end}, "text": text[column]}
        change = {"textDocument": {"uri": uri, "version": number + 2}, "contentChanges": [key]}
        after = {"line": 4, "character": 5 + column}
        ask = {"textDocument": {"uri": uri}, "position": after, "context": {"triggerKind": 2}}
        began = time.perf_counter()
        send(
            process,
            {"method": "textDocument/didChange", "params": change},
            {"id": 2000 + number, "method": "textDocument/inlineCompletion", "params": ask},
        )
        reply_to(process, 2000 + number)
        took.append(time.perf_counter() - began)
        time.sleep(max(0.0, KEY_EVERY_S - took[-1]))
    return took


def p(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def spread(values: list[float], share: float = 0.95) -> str:
    return f"{statistics.median(values) * 1000:.1f} / {p(values, share) * 1000:.1f} ms ({len(values)} times)"


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row), file=sys.stdout)
