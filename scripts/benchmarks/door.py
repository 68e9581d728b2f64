"""The door: what it takes from a question to a model in the cloud and back, and whether the ledger has what arrived.

The cloud is an OpenRouter as its documents describe it, on this machine and in this process; a raw call is the same
request by an HTTP client with its connection kept open. Memory is that of a real `hearth serve`, asked over the
protocol. Redaction is measured as processor time, so that it is the same on a busy machine.
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
sys.path[:0] = [
    str(ROOT / "tests"),
    str(ROOT / "tests/lsp"),
    str(ROOT / "server"),
    str(ROOT / "scripts" / "benchmarks"),
]

from lsp_client import start, write_settings  # noqa: E402
from redact import source  # noqa: E402

from courier.rig import PATIENT, Told, an_ask, carry  # noqa: E402
from editor import EDITOR_CAPABILITIES, Editor  # noqa: E402
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
QUESTIONS = 20


def spread(times_ms: list[float]) -> str:
    return f"{statistics.median(times_ms):.1f} / {statistics.quantiles(times_ms, n=20)[-1]:.1f} ms"


def redaction() -> list[Row]:
    files = source("pip", "django==5.2.19")
    text = "\n".join(files[name] for name in sorted(files))
    redactor = Redactor([f"known-value-number-{n:04}" for n in range(500)])
    passes: list[list[float]] = []
    for _ in range(2):
        times: list[float] = []
        for at in range(SAMPLES):
            piece = text[at * SIZE : (at + 1) * SIZE]
            begun = time.thread_time()
            redactor.redact(piece)
            times.append((time.thread_time() - begun) * 1000)
        passes.append(times)
    return [
        ("redaction of 100 KB of source, p50 / p95", "<= 40 ms", spread(passes[1])),
        ("the same where rules are compiled meanwhile, each once in a process", "", spread(passes[0])),
    ]


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


async def memory(folder: Path) -> list[Row]:
    """Of a real `hearth serve`: after a question to a model of its own, and after those to the cloud."""
    async with Emulator(Account(credits=1e6)) as router:
        cloud = f'[cloud]\nenabled = true\nbase_url = "{router.base_url}"\nmodels = ["{PAID}"]\nbudget_per_day = 5.0\n'
        os.environ["OPENROUTER_API_KEY"] = KEY
        write_settings(folder, {"model": "mine", "chat_text": "from here"}, cloud)
        client = await start(folder)
        try:
            editor = Editor(client)
            editor.buttons = ["Send for this session"]
            await client.initialize(capabilities=EDITOR_CAPABILITIES, rootUri=(folder / "config").as_uri())
            assert (await client.command("hearth.ask", {"prompt": "hi"}))["place"] == "machine"
            server = psutil.Process(client.process.pid)
            sizes = [server.memory_info().rss]
            await client.command("hearth.selectModel", {"model": f"cloud:{PAID}"})
            for _ in range(QUESTIONS):
                assert (await client.command("hearth.ask", {"prompt": "hi"}))["place"] == "cloud"
                sizes.append(server.memory_info().rss)
            couriers = [child for child in server.children() if "hearth.courier.service" in child.cmdline()]
            courier = couriers[0].memory_info().rss
            await editor.rest()
        finally:
            await client.kill()
    first, more = ((size - sizes[0]) / 1e6 for size in (sizes[1], sizes[-1]))
    return [
        ("`hearth serve` after a question to a model of its own", "", f"{sizes[0] / 1e6:.1f} MB"),
        (
            f"what its first question to the cloud adds to it; {QUESTIONS} of them",
            "unchanged",
            f"{first:.1f}; {more:.1f} MB",
        ),
        ("the courier, beside it and only then", "", f"{courier / 1e6:.0f} MB"),
    ]


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
        found = [*redaction(), *records(folder), asyncio.run(starts())]
        for part in ("trips", "memory", "capture"):
            (folder / part).mkdir()
        found += asyncio.run(trips(folder / "trips"))
        found += asyncio.run(memory(folder / "memory"))
        found.append(asyncio.run(capture(folder / "capture")))
        return found
