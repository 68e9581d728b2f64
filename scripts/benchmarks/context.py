"""What the model is told beside the text at the cursor: what gathering it costs with many documents open."""

import argparse
import asyncio
import time
from pathlib import Path

from hearth.core.background import EMPTY, renewed
from hearth.core.text import Document, Edit, Position, Range
from hearth.gather import READ_LINES_MAX, Recent, gather, spot_at

Row = tuple[str, str, str]
DOCUMENTS = 20
KEYS = 300
LINES_MIN, LINES_MAX = 300, 700
"""Files of ordinary size, from Python's own library."""


def documents() -> list[Document]:
    found: list[Document] = []
    for path in sorted(Path(argparse.__file__).parent.glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if LINES_MIN <= text.count("\n") <= LINES_MAX:
            found.append(Document(path.as_uri(), "python", 1, text))
    return found[:DOCUMENTS]


async def measured() -> tuple[int, list[float], list[float], list[float], list[float]]:
    """Lines open, and seconds: first gatherings, those while typing, per keystroke, per renewal of the background."""
    opened = documents()
    recent = Recent(lambda uri: ("lib", uri.rpartition("/")[2]))
    for document in opened:
        recent.touched(document.snapshot())
    lines = sum(len(document.snapshot().lines) for document in opened)
    first: list[float] = []
    gathered: list[float] = []
    keys: list[float] = []
    renewals: list[float] = []
    typed, background = opened[0], EMPTY
    for _ in range(lines // READ_LINES_MAX + 1):
        began = time.perf_counter()
        await gather(spot_at(typed.snapshot(), Position(100, 0)), {"open": recent.source})
        first.append(time.perf_counter() - began)
    for number in range(KEYS):
        at = Position(100 + number // 4, 0)
        typed.apply(number + 2, [Edit(Range(at, at), "x")])
        snapshot = typed.snapshot()
        began = time.perf_counter()
        recent.touched(snapshot)
        spot = spot_at(snapshot, at)
        recent.visited(spot)
        keys.append(time.perf_counter() - began)
        began = time.perf_counter()
        context = await gather(spot, {"open": recent.source})
        gathered.append(time.perf_counter() - began)
        began = time.perf_counter()
        background = renewed(background, context, tokens_max=1_000)
        renewals.append(time.perf_counter() - began)
    return lines, first, gathered, keys, renewals


def milliseconds(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"{ordered[len(ordered) // 2] * 1e3:.3f} / {ordered[int(len(ordered) * 0.99)] * 1e3:.3f} ms"


def rows() -> list[Row]:
    lines, first, gathered, keys, renewals = asyncio.run(measured())
    return [
        (
            f"gather with {DOCUMENTS} documents open ({lines:,} lines), p50 / p99",
            "<= 1 / 20 ms",
            milliseconds(gathered),
        ),
        ("the first times, while they are read, worst", "<= 20 ms", f"{max(first) * 1e3:.1f} ms"),
        ("what a keystroke pays for it, p50 / p99", "<= 0.05 / 0.5 ms", milliseconds(keys)),
        ("deciding what to tell, p50 / p99", "<= 1 / 5 ms", milliseconds(renewals)),
    ]
