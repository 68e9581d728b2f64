"""The courier and what it survives: start, warm round trip and memory against an OpenRouter on this machine, and every
fault of the list with 20 seeds, against the courier and against each kind of local server.

A round trip is one generation of 8 tokens with the ledger's two messages, against the same request made directly.
"Late" is an end more than 250 ms after the total deadline; a false end is an answer that was cut off, or in error, and
is called complete.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from backends import test_faults as local  # noqa: E402
from backends.fake import WIRES, Fake  # noqa: E402
from courier import test_faults as cloud  # noqa: E402
from courier.rig import KEY, WIRE, Told, an_ask, carry  # noqa: E402
from hearth.backends.discover import make  # noqa: E402
from hearth.backends.http import Deadlines  # noqa: E402
from hearth.courier.client import Courier  # noqa: E402
from hearth.settings import BackendSettings  # noqa: E402
from openrouter.account import Account  # noqa: E402
from openrouter.emulator import Emulator, Reply  # noqa: E402

Row = tuple[str, str, str]
SEEDS = 20
ROUNDS = 200
LATE_S = 0.25
DEADLINES = Deadlines(connect_s=1.0, first_byte_s=0.3, idle_s=0.3, total_s=1.0, probe_s=1.0)
PATIENT = Deadlines(connect_s=10, first_byte_s=10, idle_s=10, total_s=20, probe_s=10)
DONE = frozenset({"stop"})


class Tally:
    """Runs counted: how many, the latest, those that ended late, and those that ended falsely."""

    def __init__(self) -> None:
        self.runs = 0
        self.faults: set[str] = set()
        self.late: list[str] = []
        self.false: list[str] = []
        self.latest_s = 0.0

    async def run(self, name: str, terminal: Any, go: Callable[[], Awaitable[Any]]) -> None:
        """`go` returns how it ended; a terminal that is not "stop" must not be one."""
        begun = time.perf_counter()
        reason = await go()
        took = time.perf_counter() - begun
        self.runs += 1
        self.faults.add(name)
        self.latest_s = max(self.latest_s, took)
        if took > DEADLINES.total_s + LATE_S:
            self.late.append(name)
        if terminal not in DONE and reason in DONE:
            self.false.append(name)

    def rows(self, label: str) -> list[Row]:
        late = f"{len(self.late)} of {self.runs}" + (f" ({', '.join(sorted(set(self.late))[:3])})" if self.late else "")
        false = f"{len(self.false)} of {self.runs}" + (
            f" ({', '.join(sorted(set(self.false))[:3])})" * bool(self.false)
        )
        ends = f"the last after {self.latest_s:.2f} s of {DEADLINES.total_s:g} s"
        return [
            (f"{label}: {len(self.faults)} faults, {SEEDS} seeds: late ends", "0", f"{late}; {ends}"),
            (f"{label}: cut off or in error, yet called complete", "0", false),
        ]


def rows() -> list[Row]:
    """The benchmark's table."""
    return asyncio.run(_rows())


async def _rows() -> list[Row]:
    courier = Courier()
    begun = time.perf_counter()
    await courier.warm()
    started_s = time.perf_counter() - begun
    try:
        table = [("start, until it can send", "", f"{started_s:.1f} s"), *await _round_trips(courier)]
        memory = psutil.Process(courier.pid).memory_info().rss / 1e6
        table += [("its memory", "", f"{memory:.0f} MB")]
        table += await _cloud_faults(courier)
    finally:
        await courier.aclose()
    for kind in WIRES:
        table += await _local_faults(kind)
    return table


async def _round_trips(courier: Courier) -> list[Row]:
    reply = Reply("eight tokens of text, more or less", comments=0)
    raw: list[float] = []
    ours: list[float] = []
    async with Emulator(account=Account(credits=1e6, credits_ever=1e6)) as router:
        body = {"model": cloud.FREE, "messages": [{"role": "user", "content": "hello"}], "stream": True}
        async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {KEY}"}) as client:
            for _ in range(ROUNDS):
                router.account.used_in_minute.clear()
                router.account.used_in_day.clear()
                router.then(reply, reply)
                begun = time.perf_counter()
                await client.post(f"{router.base_url}/chat/completions", json={**body, "max_tokens": 8})
                raw.append(time.perf_counter() - begun)
                begun = time.perf_counter()
                told = await carry(courier, an_ask(router.url), PATIENT)
                ours.append(time.perf_counter() - begun)
                assert told.reason == "stop"
    over = statistics.median(ours) - statistics.median(raw)
    p95 = statistics.quantiles(ours, n=20)[18]
    figures = f"{over * 1e3:.1f} ms ({statistics.median(ours) * 1e3:.1f} against {statistics.median(raw) * 1e3:.1f})"
    return [
        ("warm round trip over a direct call, median", "<= 15 ms", figures),
        ("warm round trip, 95th percentile", "", f"{p95 * 1e3:.1f} ms"),
    ]


async def _cloud_faults(courier: Courier) -> list[Row]:
    tally = Tally()
    cases = [(name, answer, terminal) for name, (answer, _, terminal) in cloud.SHARED.items()]
    cases += [(name, answer, terminal) for name, (answer, terminal, _) in cloud.http_faults().items()]
    for name, (fragments, ending, _, broken) in cloud.TOOLS.items():
        body = b"".join(cloud.call(fragment) for fragment in fragments) + ending
        cases.append((name, local.stream(WIRE, body), "stop" if not broken or ending == cloud.FINISH else "cut"))
    for name, answer, terminal in cases:
        for seed in range(SEEDS):

            async def go(answer: Any = answer, seed: int = seed) -> Any:
                script = answer if not isinstance(answer, list) else [*answer]
                async with Fake({WIRE.path: script}, seed) as fake:
                    told: Told = await carry(courier, an_ask(fake.url), DEADLINES)
                    return told.reason

            await tally.run(name, terminal, go)
    return tally.rows("courier")


async def _local_faults(kind: str) -> list[Row]:
    tally, wire = Tally(), WIRES[kind]
    shared = {**local.framing_faults(wire), **local.stream_faults(wire)}
    cases = [(name, answer, terminal) for name, (answer, _, terminal) in shared.items()]
    cases += [(name, answer, terminal) for name, (answer, _, terminal, _) in local.http_faults(wire).items()]
    for name, answer, terminal in cases:
        for seed in range(SEEDS):

            async def go(answer: Any = answer, seed: int = seed) -> Any:
                script = answer if not isinstance(answer, list) else [*answer]
                async with Fake({**wire.routes(), wire.path: script}, seed) as fake:
                    settings = BackendSettings(kind=kind, url=fake.url, model=getattr(wire, "model", ""))
                    backend = make(settings, deadlines=DEADLINES)
                    try:
                        return (await local.run(backend))[1]
                    finally:
                        await backend.aclose()

            await tally.run(name, terminal, go)
    return tally.rows(kind)
