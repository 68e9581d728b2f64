"""What the model is told beside the text at the cursor: what gathering it costs with many documents open, and how many
of the names that come next the index's context holds, in packages that its mix was not tuned on.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import coverage

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


_scores: dict[str, coverage.Scores] = {}


def scores(name: str) -> coverage.Scores:
    """Of the held-out packages or those of the tuning, measured once per process; the latter for Hearth's mix alone."""
    if name not in _scores:
        held_out = name == "held-out"
        packages = coverage.HELD_OUT if held_out else coverage.TUNING
        providers = list(coverage.PROVIDERS) if held_out else ["Hearth"]
        _scores[name] = coverage.measured(packages, coverage.POSITIONS_PER_PACKAGE, providers)
    return _scores[name]


def coverage_rows() -> list[Row]:
    small, large = coverage.BUDGETS
    start, inside = (scores("held-out")["", "Hearth", small, where] for where in (False, True))
    first = [seconds for place in (start, inside) for seconds in place.seconds]
    again = [seconds for place in (start, inside) for seconds in place.again]
    wide = scores("held-out")["", "Hearth", large, False]
    return [
        (f"names that come next in a context of {small:,} characters, M1 / M2", ">= 55 / >= 72", _both(start)),
        (f"the same of {large:,} characters", "", _both(wide)),
        (f"inside lines, M1 with {small:,} characters", ">= 55", f"{inside.m1:.1f}"),
        (
            "processor time of a context with its look-ups, first time in a file / while typing there, p95",
            "<= 8 ms",
            f"{coverage.percentile_ms(first, 0.95):.1f} / {coverage.percentile_ms(again, 0.95):.1f} ms",
        ),
    ]


def _both(score: coverage.Score) -> str:
    return f"{score.m1:.1f} / {score.m2:.1f}"


def notes() -> str:
    """Markdown beside the figures: what was counted, the providers beside each other, the packages."""
    providers = list(coverage.PROVIDERS)
    held, tuned = scores("held-out"), scores("tuning")
    counted = (coverage.__doc__ or "").split("\n\n")[2:]
    parts = [
        "Names that come next: what was counted.",
        *counted,
        "Held-out packages, at line starts:",
        coverage.table(held, False, providers),
        "Inside lines:",
        coverage.table(held, True, providers),
        f"By package, M1 / M2 / M1 inside lines, the smaller budget: {coverage.by_package(held, 'Hearth')}.",
        "The packages that the mix was tuned on, at line starts, then inside lines:",
        coverage.table(tuned, False, ["Hearth"]),
        coverage.table(tuned, True, ["Hearth"]),
        f"By package: {coverage.by_package(tuned, 'Hearth')}.",
    ]
    return "\n\n".join(part.strip() for part in parts)


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
        *coverage_rows(),
    ]
