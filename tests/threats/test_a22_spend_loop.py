"""A22: something that always asks for more spends until the money is gone.

Controls: `core.budget` under the ledger's lock before each send (a hard cap per day, over all windows), and a price
that is not known is a refusal.
"""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from egress.rig import CLAUDE, NOON, Asked, House, house
from hearth.errors import HearthError
from hearth.ledger_reading import entries
from openrouter.account import Account
from openrouter.emulator import Emulator, Reply

CAP = 0.05
ASKED_MAX = 60


async def more(home: House, name: str) -> int:
    """Ask again with every answer, as a runaway loop does; how often that went through."""
    went = 0
    for number in range(ASKED_MAX):
        try:
            await home.ask(
                home.request(f"go on {number}", output_tokens=400, conversation=name), Asked(["Send for this session"])
            )
        except HearthError:
            break
        went += 1
    return went


@pytest.mark.parametrize("loops", [1, 4])
async def test_the_cap_holds_whoever_asks(tmp_path: Path, loops: int) -> None:
    account = Account(credits=100.0)
    router = Emulator(account, clock=lambda: NOON)
    router.script.extend(Reply(text="more, please. " * 60) for _ in range(loops * ASKED_MAX))
    async with house(tmp_path, router=router, models=[CLAUDE], budget=CAP) as home:
        went = await asyncio.gather(*(more(home, f"loop{number}") for number in range(loops)))
        assert 0 < sum(went) < loops * ASKED_MAX, "it was let through, and then it was not"
        assert account.usage <= CAP
        spent = sum(entry.result.cost for entry in entries(home.home / "ledger") if entry.result and entry.result.cost)
        assert 0 < spent <= Decimal(str(CAP))


async def test_a_price_that_is_not_known_is_a_refusal(tmp_path: Path) -> None:
    account = Account(credits=100.0)
    async with house(
        tmp_path, router=Emulator(account, clock=lambda: NOON), models=["openrouter/auto", "nobody/knows"]
    ) as home:
        assert await more(home, "loop") == 0
        assert home.left() == []
        assert account.usage == 0
