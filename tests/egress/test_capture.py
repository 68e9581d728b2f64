"""What the ledger has is what a capture proxy sees: `scripts/bench door` does it with 10,000 requests."""

from egress.capture import differences, many
from egress.rig import NOON, PAID, house
from openrouter.account import Account
from openrouter.emulator import Emulator

REQUESTS = 160


async def test_the_ledger_has_what_arrived_byte_for_byte(tmp_path):
    router = Emulator(Account(credits=1e6), clock=lambda: NOON)
    async with house(tmp_path, router=router, models=[PAID], budget=5_000.0) as home:
        ends = await many(home, REQUESTS)
        arrived, found = differences(home, router)
        assert found == []
        assert arrived > REQUESTS
        assert ends["answered"] > REQUESTS // 2
        assert set(ends) > {"answered", "broken off"}, "something went wrong now and then"
