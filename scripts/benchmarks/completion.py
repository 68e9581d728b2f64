"""The completion path: our own overhead, answers from memory, tokens per typed character, and how soon a slot is free.

The first two go through a real server process over stdio with an instant scripted backend; the others through the
product's engine and a real llama.cpp with a tiny random-weight model, where counts, not the clock, are what matters.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from hearth.backends.base import Generate
from hearth.core.dialect import DIALECTS
from hearth.core.text import Snapshot
from hearth.engine import Engine, open_engine
from hearth.gateway import Target
from hearth.settings import parse

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "lsp"))

from lsp_client import Client, span, start, write_settings  # noqa: E402

from tiny_model import tiny_model  # noqa: E402

Row = tuple[str, str, str]
KEYS = 300
CANCELS = 60
TYPED = (
    "def merge_settings(defaults, overrides):\n    result = dict(defaults)\n"
    "    for name, value in overrides.items():\n        if value is not None:\n"
    "            result[name] = value\n    return result\n\n\n"
    "def load_settings(path, *, strict=False):\n    with open(path) as stream:\n        raw = parse(stream.read())\n"
)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def source_lines(count: int) -> list[str]:
    """Real Python source, as many lines as asked for: argparse's, again and again."""
    lines = Path(argparse.__file__).read_text(encoding="utf-8").split("\n")
    return [lines[n % len(lines)] for n in range(count)]


async def through_the_server() -> tuple[list[float], list[float]]:
    """Milliseconds per request in a 10,000-line file: (asking the instant model, answered from memory)."""
    lines = source_lines(10_000)
    asked: list[float] = []
    remembered: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        write_settings(Path(folder), {"text": "compute(value, other)\n", "chunk_chars": 0})
        client = await start(Path(folder))
        try:
            await client.initialize()
            await client.open("file:///big.py", "\n".join(lines))
            await client.complete("file:///big.py", 0, 0)
            version = 1
            for number in range(KEYS):
                line = 4_000 + number * 7
                version += 2
                text = f"unique_{number} = "
                await client.change("file:///big.py", version - 1, {"range": span(line, 0, line, 10_000), "text": text})
                asked.append(await _timed(client, line, len(text), "compute(value, other)"))
                await client.change("file:///big.py", version, {"range": span(line, len(text)), "text": "comp"})
                remembered.append(await _timed(client, line, len(text) + 4, "ute(value, other)"))
            counters = (await client.request("hearth/status"))["completions"]
            assert counters["memory_hits"] >= KEYS, counters
            await client.stop()
        finally:
            await client.kill()
    return asked, remembered


async def _timed(client: Client, line: int, column: int, expected: str) -> float:
    begun = time.perf_counter()
    items = await client.complete("file:///big.py", line, column)
    spent = (time.perf_counter() - begun) * 1000
    assert items[0]["insertText"] == expected, items
    return spent


async def tokens_per_key(engine: Engine) -> tuple[float, float, float]:
    """Tokens prefilled per typed character: (after the first prompt, with it, naive prompt rebuilt at every key)."""
    above, below = source_lines(500)[:250], source_lines(500)[250:]
    typed = TYPED[:KEYS]
    first = 0
    for count in range(len(typed) + 1):
        text = "\n".join(above) + "\n" + typed[:count] + "\n" + "\n".join(below)
        snapshot = Snapshot.of(text, uri="file:///middle.py", language="python", version=count)
        position = snapshot.position_at(len("\n".join(above)) + 1 + count)
        (engine.changed if count else engine.opened)(snapshot)
        engine._completer.memory.forget(snapshot.uri)  # so that every key asks the model, whatever it said before
        await engine.complete(snapshot, position, invoked=True)
        if count == 0:
            first = engine.gateway.totals.prefilled
    # Before anything else is awaited: at rest the engine may give up the anchor for a better one.
    anchor = engine._completer.pilot.anchors["file:///middle.py"]
    status = await engine.status()
    counts = status["completions"]
    assert counts["model_calls"] + counts["joined"] >= KEYS, counts
    ours = engine.gateway.totals.prefilled
    naive = 0
    dialect = DIALECTS["qwen"]
    target = engine.gateway.target("complete")
    assert target
    for count in range(len(typed) + 1):
        # The same text as ours, but what is typed belongs to the prefix, so that the suffix is read again.
        before = anchor.before + typed[:count]
        prompt = f"{dialect.prefix}{before}{dialect.suffix}{anchor.after}{dialect.middle}"
        naive += await _prefilled(target, prompt)
    return (ours - first) / len(typed), ours / len(typed), naive / len(typed)


async def _prefilled(target: Target, prompt: str) -> int:
    """Tokens the server read for this prompt, beyond what it had cached."""
    read = 0
    async for event in target.backend.generate(Generate(prompt, max_tokens=1)):
        if event.usage and event.usage.prefilled_tokens is not None:
            read = event.usage.prefilled_tokens
    return read


async def slot_free_after(engine: Engine) -> list[float]:
    """Milliseconds from a keystroke that disagrees with the running generation until the engine, whose only slot that
    generation held, has begun to answer the next one: an upper bound of when the slot was free."""
    rng = random.Random(1)
    above = "\n".join(source_lines(120)) + "\n"
    completer = engine._completer.pilot
    spent: list[float] = []
    typed = ""
    for number in range(CANCELS + 1):
        typed += "abcdefghijklmnopqrstuvwxyz"[number % 26] if number % 40 else "\n"
        snapshot = Snapshot.of(above + typed, uri="file:///c.py", language="python", version=number)
        old = completer.flight
        running = old is not None and not old.over
        joined = completer.counts.joined
        begun = time.perf_counter()
        (engine.changed if number else engine.opened)(snapshot)
        asked = asyncio.create_task(engine.complete(snapshot, snapshot.position_at(len(above + typed)), invoked=True))
        await asyncio.sleep(0)
        while not asked.done() and not (completer.flight.pieces and completer.flight.place.before.endswith(typed)):
            await asyncio.sleep(0.0005)
        if running and completer.counts.joined == joined:
            spent.append((time.perf_counter() - begun) * 1000)
        # The next key comes while the model still writes: a random moment of a fast typist's pause.
        await asyncio.sleep(rng.uniform(0.0, 0.02))
    assert len(spent) >= CANCELS // 2, f"only {len(spent)} keystrokes met a running generation"
    return spent


@asynccontextmanager
async def real_engine(model: Path) -> AsyncGenerator[Engine]:
    """The product's engine over its embedded llama.cpp with this model."""
    settings, _ = parse({"backends": [{"kind": "embedded", "model": str(model)}], "index": {"enabled": False}})
    with tempfile.TemporaryDirectory() as folder:
        async with open_engine(settings, data_dir=Path(folder)) as engine:
            await engine.settled(60)
            yield engine


async def measure() -> list[Row]:
    asked, remembered = await through_the_server()
    async with real_engine(tiny_model()) as engine:
        after_first, all_in, naive = await tokens_per_key(engine)
    async with real_engine(tiny_model(layers=6, width=512)) as engine:
        free = await slot_free_after(engine)
    return [
        (
            "own overhead per completion, 10,000-line file, p50 / p99",
            "<= 3 / 8 ms",
            f"{percentile(asked, 0.5):.2f} / {percentile(asked, 0.99):.2f} ms",
        ),
        ("served from memory, p99", "<= 3 ms", f"{percentile(remembered, 0.99):.2f} ms"),
        ("tokens prefilled per typed character, after the first prompt", "<= 1.5", f"{after_first:.2f}"),
        ("the same with the first prompt counted", "", f"{all_in:.2f}"),
        ("naive prompt, rebuilt at every key", "", f"{naive:.1f}"),
        ("ratio naive / Hearth", "> 15", f"{naive / after_first:.0f}"),
        ("cancelled keystroke -> slot free, p95", "<= 100 ms", f"{percentile(free, 0.95):.0f} ms"),
    ]


def rows() -> list[Row]:
    return asyncio.run(measure())


if __name__ == "__main__":
    print(json.dumps(rows(), indent=1))
