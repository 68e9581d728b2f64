"""Many requests through the door, with all that can go wrong on the way, against what arrived at the other end."""

import asyncio
import random
from collections import Counter
from contextlib import aclosing

from backends.fake import Answer
from egress.rig import Asked, House
from hearth.core.exchange import Text
from hearth.errors import HearthError
from hearth.ledger_reading import entries, sent, verify
from openrouter.account import Refused
from openrouter.emulator import Emulator, Reply

CALLERS = 8


def fate(dice: random.Random) -> Reply | Answer:
    """What becomes of a request: mostly an answer."""
    return dice.choices(
        [
            Reply("fine"),
            Reply(refuse=Refused(503, "No endpoints available", {})),
            Reply(refuse=Refused(429, "slow down", {"error_type": "rate_limit_exceeded"})),
            Reply("half", error=(502, "Provider disconnected", "provider_unavailable")),
            Reply("endless", hang=True),
        ],
        [90, 3, 3, 2, 2],
    )[0]


async def many(home: House, count: int, seed: int = 1) -> Counter[str]:
    """So many questions, by several callers at once; how they ended."""
    home.router.account.credits = 1e6
    dice, ends = random.Random(seed), Counter[str]()
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            home.router.then(fate(dice))
            words = "".join(dice.choices('abc xyz\n\t"\\é漢😀', k=dice.randrange(1, 400)))
            request = home.request(f"{number} {words}", conversation=f"talk-{number % 50}")
            ends[await one(home, request)] += 1
            home.cloud.standing = type(home.cloud.standing)()  # nobody rests: each one should try

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return ends


async def one(home: House, request) -> str:
    """How it ended; one that never does is broken off by the user."""
    try:
        async with aclosing(home.door.ask(request, Asked(["Send for this session"]))) as events:
            async for event in events:
                if isinstance(event, Text) and "endless" in event.text:
                    return "broken off"
        return "answered"
    except HearthError as error:
        return type(error).__name__


def differences(home: House, router: Emulator) -> tuple[int, list[str]]:
    """How many requests arrived, and what is in the ledger but did not arrive, or the other way round."""
    folder = home.home / "ledger"
    arrived = Counter((f"{seen.method} {seen.path}", seen.body) for seen in router.captured)
    recorded = Counter(
        (entry.intent.target.partition("?")[0], sent(folder, entry))
        for entry in entries(folder)
        if entry.status != "not sent"
    )
    found = [f"arrived, not recorded: {what} {body[:80]!r}" for what, body in (arrived - recorded)]
    found += [f"recorded, did not arrive: {what} {body[:80]!r}" for what, body in (recorded - arrived)]
    finding = verify(folder)
    return arrived.total(), found if finding.whole else [*found, finding.problem]
