"""The egress ledger: what it takes until a record is on the disk, and to check everything that ever left.

A request is an intent, with its bytes, and a result; both are durable when the call returns. The disk's own share, an
append with fdatasync, is measured beside it.
"""

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "server"))

from hearth.core.ledger_record import Intent, Masked, Result  # noqa: E402
from hearth.core.origin import file_origin  # noqa: E402
from hearth.ledger import Ledger, LedgerLog  # noqa: E402
from hearth.ledger_reading import entries, verify  # noqa: E402

REQUESTS = 400
BODY_BYTES = 40_000
ORIGINS = 12
CALLERS = 16


def intent() -> Intent:
    origins = tuple(file_origin("/home/user/project", f"src/part/module_{n}.py", n, n + 80) for n in range(ORIGINS))
    return Intent(
        "chat", "openrouter.ai:443", "ask", "it does not fit the local model", "session",
        "POST /api/v1/chat/completions", "a/model", "", (Masked("generic-key", 812),), origins, Decimal("0.004"),
    )  # fmt: skip


def done(seq: int) -> Result:
    return Result(seq, "done", http=200, prompt_tokens=9_000, completion_tokens=400, cost=Decimal("0.0031"))


def timed(times: list[float], call: Callable[[], object]) -> object:
    begun = time.perf_counter()
    value = call()
    times.append((time.perf_counter() - begun) * 1000)
    return value


def spread(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} / {statistics.quantiles(times, n=20)[-1]:.2f} ms"


def appends(folder: Path) -> list[float]:
    times: list[float] = []
    handle = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sync = getattr(os, "fdatasync", os.fsync)
    for _ in range(REQUESTS):
        timed(times, lambda: (os.write(handle, b"x" * 1_500), sync(handle)))
    os.close(handle)
    return times


async def together(folder: Path) -> float:
    """Seconds for the requests of many callers at once, through the event loop."""
    ledger, body = Ledger(folder), random.randbytes(BODY_BYTES)

    async def caller(number: int) -> None:
        for each in range(REQUESTS // CALLERS):
            handle = await ledger.intent(intent(), b"%d %d" % (number, each) + body)
            await ledger.result(done(handle.seq))

    begun = time.perf_counter()
    await asyncio.gather(*map(caller, range(CALLERS)))
    taken = time.perf_counter() - begun
    await ledger.aclose()
    return taken


def rows() -> list[tuple[str, str, str]]:
    # Beside the project and not in the system's folder for temporary files, which may be memory.
    (ROOT / ".cache").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache") as name:
        folder = Path(name)
        plain = appends(folder)
        log, intents, results = LedgerLog(folder / "ledger"), [], []
        for number in range(REQUESTS):
            body = b"%d" % number + random.randbytes(BODY_BYTES)
            handle = timed(intents, lambda body=body: log.intent(intent(), body))
            timed(results, lambda seq=handle.seq: log.result(done(seq)))
        taken = asyncio.run(together(folder / "together"))
        listing: list[float] = []
        timed(listing, lambda: entries(folder / "ledger"))
        checks: list[float] = []
        finding = timed(checks, lambda: verify(folder / "ledger"))
        assert finding.whole
        size = sum(path.stat().st_size for path in (folder / "ledger").rglob("*") if path.is_file())
        record = (folder / "ledger" / "records").stat().st_size / finding.records
    rate = size / 1e6 / (checks[0] / 1000)
    return [
        ("a plain append with fdatasync, p50 / p95", "", spread(plain)),
        (f"an intent with {BODY_BYTES // 1000} KB, durable, p50 / p95", "", spread(intents)),
        ("a result, durable, p50 / p95", "", spread(results)),
        (f"{CALLERS} callers at once, requests a second", "", f"{REQUESTS / taken:.0f}"),
        ("bytes of a record", "", f"{record:.0f}"),
        (f"list of {REQUESTS} requests", "", f"{listing[0]:.0f} ms"),
        (f"verify: {finding.records} records and {size / 1e6:.0f} MB", "", f"{checks[0]:.0f} ms, {rate:.0f} MB/s"),
    ]


if __name__ == "__main__":
    for row in rows():
        print(*row, sep="\t")
