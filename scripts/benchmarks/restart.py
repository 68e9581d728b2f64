"""Restart to first suggestion: a real llama.cpp with 0.5 billion random weights (q4_0), cold and with what it had read
before restored from disk.

The engine is ended and started again before each measurement. Its prompt is a frozen anchor of about 2,000 tokens, as
the product makes them; after the restart a few characters were typed. The state is checked against its checksum before
the engine sees it, and that is part of the time.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hearth.anchors import Anchors, state_name
from hearth.backends.base import Delta, Generate
from hearth.backends.discover import make
from hearth.core.background import Background
from hearth.core.context import Snippet
from hearth.core.dialect import DIALECTS
from hearth.core.prompt import Anchor, anchor_at, rendered
from hearth.core.text import Position, Snapshot
from hearth.gateway import Gateway, Member, Target
from hearth.settings import BackendSettings
from hearth.store_disk import Shelf

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from tiny_model import big_model  # noqa: E402

Row = tuple[str, str, str]
ROUNDS = 3
PROMPT_TOKENS = 2_000
CONTEXT = 8_192
LINES_BEFORE, LINES_AFTER = 127, 40
SAMPLE_CHARS = 1_500
START_S = 60.0
WORKSPACE, URI = "/workspace", "file:///workspace/argparse.py"
TYPED = "    value = self."


@dataclass
class Run:
    """One start: seconds until the engine was ready, for the restore, and from there to the first token."""

    start_s: float
    restore_s: float
    first_s: float
    prompt_tokens: int
    prefilled_tokens: int

    @property
    def total_s(self) -> float:
        """From the moment a suggestion could be asked for to its first token."""
        return self.restore_s + self.first_s


@asynccontextmanager
async def engine(folder: Path) -> AsyncGenerator[tuple[Gateway, Target, float]]:
    """The product's gateway with a new engine, and the seconds until it was ready."""
    settings = BackendSettings("embedded", model=str(big_model()), context_tokens=CONTEXT)
    backend = make(settings, states_dir=folder / "slots")

    async def find() -> Sequence[Member]:
        return [Member(backend, ("complete",))]

    began = time.perf_counter()
    gateway = Gateway(find, (), lambda error: print(error.message, file=sys.stderr))
    running = asyncio.create_task(gateway.run())
    try:
        async with asyncio.timeout(START_S):
            while (target := gateway.target("complete")) is None:
                await asyncio.sleep(0.005)
        yield gateway, target, time.perf_counter() - began
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await gateway.aclose()


def anchor_of(other_chars: int) -> Anchor:
    """An anchor in the middle of real source, after that many characters of another file."""
    lines = Path(argparse.__file__).read_text(encoding="utf-8").split("\n")[200:]
    snapshot = Snapshot.of("\n".join(lines[: LINES_BEFORE + LINES_AFTER]), uri=URI, language="python")
    other = Path(tempfile.__file__).read_text(encoding="utf-8")[:other_chars]
    page = (Snippet("tempfile.py", other, "file:///workspace/tempfile.py", "open"),)
    return anchor_at(
        snapshot,
        Position(LINES_BEFORE, 0),
        DIALECTS["qwen"],
        path="argparse.py",
        repo="workspace",
        prompt_tokens_max=CONTEXT,
        background=Background((page,)),
    )


async def fitting(gateway: Gateway, target: Target) -> Anchor:
    """The anchor whose prompt has about PROMPT_TOKENS tokens."""
    base = anchor_of(0).head
    usage = await gateway.prefill(target, base[:SAMPLE_CHARS])
    assert usage
    assert usage.prompt_tokens
    missing = PROMPT_TOKENS * SAMPLE_CHARS / usage.prompt_tokens - len(base)
    return anchor_of(max(0, round(missing)))


async def first_token(gateway: Gateway, target: Target, prompt: str) -> tuple[float, int, int]:
    """Seconds to the first token of a completion; tokens of its prompt, and those that had to be read."""
    began = time.perf_counter()
    async with aclosing(gateway.stream(target, Generate(prompt, 64))) as events:
        async for event in events:
            if isinstance(event, Delta):
                spent, usage = time.perf_counter() - began, event.usage
                assert usage
                return spent, usage.prompt_tokens or 0, usage.prefilled_tokens or 0
    raise AssertionError("the model said nothing")


async def measured(folder: Path) -> tuple[list[Run], list[Run], float, float]:
    """(cold runs, warm runs, MB of a state, seconds to save it)."""
    shelf = Shelf(folder / "prompts")
    shelf.start()
    anchors = Anchors(shelf)
    async with engine(folder) as (gateway, target, _):
        anchor = await fitting(gateway, target)
    cold: list[Run] = []
    warm: list[Run] = []
    saved_s = 0.0
    for _ in range(ROUNDS):
        shutil.rmtree(folder / "slots")
        async with engine(folder) as (gateway, target, start_s):
            cold.append(Run(start_s, 0.0, *await first_token(gateway, target, rendered(anchor, TYPED))))
            began = time.perf_counter()
            assert await gateway.save_state(target, state_name(WORKSPACE, URI))
            saved_s = time.perf_counter() - began
            anchors.save(WORKSPACE, target.probe.model, {URI: anchor})
        async with engine(folder) as (gateway, target, start_s):
            began = time.perf_counter()
            kept = await anchors.load(WORKSPACE, target.probe.model)
            assert await gateway.restore_state(target, state_name(WORKSPACE, URI))
            restore_s = time.perf_counter() - began
            prompt = rendered(kept[URI], TYPED + "x")
            warm.append(Run(start_s, restore_s, *await first_token(gateway, target, prompt)))
    size = sum(path.stat().st_size for path in (folder / "slots").iterdir())
    await shelf.aclose()
    return cold, warm, size / 1e6, saved_s


def median(runs: list[Run], name: str) -> float:
    return statistics.median(getattr(run, name) for run in runs)


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        cold, warm, size_mb, saved_s = asyncio.run(measured(Path(folder)))
    before, after = median(cold, "total_s"), median(warm, "total_s")
    tokens = f"{median(warm, 'prompt_tokens'):.0f}"
    return [
        (f"first token after a restart, cold, prompt of {tokens} tokens", "", f"{before * 1000:.0f} ms"),
        ("the same with the state restored", "", f"{after * 1000:.0f} ms"),
        ("  of which checking and restoring it", "", f"{median(warm, 'restore_s') * 1000:.0f} ms"),
        ("how much sooner", ">= 5 times", f"{before / after:.0f} times"),
        ("tokens prefilled, cold", "", f"{median(cold, 'prefilled_tokens'):.0f}"),
        ("tokens prefilled, restored", "", f"{median(warm, 'prefilled_tokens'):.0f}"),
        (
            "the engine's own start and the loading of the model, besides",
            "",
            f"{median(warm, 'start_s') * 1000:.0f} ms",
        ),
        ("size of the state; time to save and seal it", "", f"{size_mb:.1f} MB; {saved_s * 1000:.0f} ms"),
    ]
