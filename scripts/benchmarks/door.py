"""The door: what it takes from a question to a model in the cloud and back, and whether the ledger has what arrived.

The cloud is an OpenRouter as its documents describe it, on this machine and in this process; a raw call is the same
request by an HTTP client with its connection kept open. Memory is that of a process like `hearth serve`, before and
after its first question to the cloud, without the courier's own process.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "server"), str(ROOT / "scripts" / "benchmarks")]

from redact import source  # noqa: E402

from courier.rig import PATIENT, Told, an_ask, carry  # noqa: E402
from egress.capture import differences, many  # noqa: E402
from egress.rig import KEY, NOON, PAID, Asked, house  # noqa: E402
from hearth.core.exchange import Text  # noqa: E402
from hearth.core.ledger_record import Intent, Result  # noqa: E402
from hearth.core.redact import Redactor  # noqa: E402
from hearth.courier.client import Courier  # noqa: E402
from hearth.ledger import LedgerLog  # noqa: E402
from openrouter.account import Account  # noqa: E402
from openrouter.emulator import Emulator, Reply  # noqa: E402

Row = tuple[str, str, str]
REQUESTS = 10_000
ROUNDS = 200
STARTS = 3
SIZE = 100_000
SAMPLES = 40
RECORDS = 400


def spread(times_ms: list[float]) -> str:
    return f"{statistics.median(times_ms):.1f} / {statistics.quantiles(times_ms, n=20)[-1]:.1f} ms"


def redaction() -> Row:
    files = source("pip", "django==5.2.19")
    text = "\n".join(files[name] for name in sorted(files))
    redactor, times = Redactor([f"known-value-number-{n:04}" for n in range(500)]), []
    for at in range(SAMPLES):
        piece = text[at * SIZE : (at + 1) * SIZE]
        begun = time.perf_counter()
        redactor.redact(piece)
        times.append((time.perf_counter() - begun) * 1000)
    return "redaction of 100 KB of source, p50 / p95", "<= 40 ms", spread(times)


def records(folder: Path) -> list[Row]:
    log, intents, results = LedgerLog(folder / "records"), [], []
    for _ in range(RECORDS):
        begun = time.perf_counter()
        handle = log.intent(Intent("chat", "openrouter.ai"), os.urandom(40_000))
        half = time.perf_counter()
        log.result(Result(handle.seq, "done"))
        intents.append((half - begun) * 1000)
        results.append((time.perf_counter() - half) * 1000)
    return [
        ("ledger: an intent with 40 KB, durable, p50 / p95", "", spread(intents)),
        ("ledger: a result, durable, p50 / p95", "", spread(results)),
    ]


async def starts() -> Row:
    times: list[float] = []
    for _ in range(STARTS):
        courier = Courier()
        begun = time.perf_counter()
        await courier.warm()
        times.append(time.perf_counter() - begun)
        await courier.aclose()
    return "courier: from nothing to ready, median", "", f"{statistics.median(times):.1f} s"


async def trips(folder: Path) -> list[Row]:
    """Raw, through the courier, and through the whole door, one after another in one loop."""
    router = Emulator(Account(credits=1e6), clock=lambda: NOON)
    raw: list[float] = []
    carried: list[float] = []
    whole: list[float] = []
    client = httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, trust_env=False)
    async with client, house(folder, router=router, models=[PAID], budget=5_000.0) as home:
        for number in range(ROUNDS + 5):
            body = {"model": PAID, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
            body["stream"] = True
            router.then(*[Reply("fine")] * 3)
            begun = time.perf_counter()
            async with client.stream("POST", f"{router.base_url}/chat/completions", json=body) as answer:
                async for _ in answer.aiter_bytes():
                    pass
            at_courier = time.perf_counter()
            told = await carry(home.courier, an_ask(router.url, model=PAID), PATIENT, KEY, Told())
            assert told.text
            at_door = time.perf_counter()
            text = ""
            async for event in home.door.ask(home.request("hi"), Asked(["Send for this session"])):
                text += event.text if isinstance(event, Text) else ""
            ended = time.perf_counter()
            assert text
            if number >= 5:
                raw.append((at_courier - begun) * 1000)
                carried.append((at_door - at_courier) * 1000)
                whole.append((ended - at_door) * 1000)
    over = statistics.median(c - r for c, r in zip(carried, raw, strict=True))
    door = statistics.median(w - r for w, r in zip(whole, raw, strict=True))
    return [
        ("a raw call, p50 / p95", "", spread(raw)),
        ("courier: a warm round trip over the raw call, median", "<= 15 ms", f"{over:.1f} ms"),
        ("the whole door (policy, masking, consent, ledger, courier) over the raw call, median", "", f"{door:.1f} ms"),
    ]


async def memory(folder: Path) -> Row:
    """Of this process, with everything loaded: what the first question to the cloud adds."""
    process = psutil.Process()
    async with house(folder, models=[PAID], router=Emulator(Account(credits=1e6), clock=lambda: NOON)) as home:
        before = process.memory_info().rss
        for _ in range(20):
            async for _event in home.door.ask(home.request("hi"), Asked(["Send for this session"])):
                pass
        after = process.memory_info().rss
        courier = psutil.Process(home.courier.pid).memory_info().rss if home.courier.pid else 0
    return (
        "memory added to the serving process by 20 questions; the courier's own",
        "unchanged",
        f"{(after - before) / 1e6:.1f} MB; {courier / 1e6:.0f} MB",
    )


async def capture(folder: Path) -> Row:
    router = Emulator(Account(credits=1e6), clock=lambda: NOON)
    async with house(folder, router=router, models=[PAID], budget=9_000.0) as home:
        begun = time.perf_counter()
        ends = await many(home, REQUESTS)
        took = time.perf_counter() - begun
        arrived, found = differences(home, router)
    said = ", ".join(f"{count} {name}" for name, count in ends.most_common())
    return (
        f"{REQUESTS} questions ({said}): requests that arrived; differences to the ledger, byte for byte",
        "0 differences",
        f"{arrived}; {len(found)} ({took:.0f} s)",
    )


def rows() -> list[Row]:
    (ROOT / ".cache").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache") as name:
        folder = Path(name)
        found = [redaction(), *records(folder), asyncio.run(starts())]
        for part in ("trips", "memory", "capture"):
            (folder / part).mkdir()
        found += asyncio.run(trips(folder / "trips"))
        found.append(asyncio.run(memory(folder / "memory")))
        found.append(asyncio.run(capture(folder / "capture")))
        return found
