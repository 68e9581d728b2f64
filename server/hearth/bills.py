"""What requests cost whose answers broke off: the host tells later, and is asked for it quietly.

Until then, and where it never tells, they count with all that they reserved. Nothing of the user's is in these
questions; they are ledger entries like all others, and what they find is one more record (ledger_record.Bill).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from hearth.core.budget import AMOUNT_MAX
from hearth.core.jsonlike import number, table, text, whole
from hearth.core.ledger_record import Bill
from hearth.errors import BackendError, HearthError
from hearth.ledger import Ledger

LOG = logging.getLogger(__name__)
ASK_AFTER_S = (10.0, 60.0, 240.0)
"""How long to wait before each question. All of them are over before the courier would end for want of work."""
WAITING_MAX = 64
TOKENS_MAX = 1_000_000_000
NAME_CHARS_MAX = 200

Fetch = Callable[[str], Awaitable[dict[str, Any]]]
"""The JSON at a path of the host's."""


class Bills:
    """Asks for them, each in a task of its own. `fetch` raises HearthError."""

    def __init__(self, ledger: Ledger, fetch: Fetch, ask_after_s: Sequence[float] = ASK_AFTER_S) -> None:
        self._ledger = ledger
        self._fetch = fetch
        self._ask_after_s = ask_after_s
        self._tasks: set[asyncio.Task[None]] = set()

    def later(self, unpriced: Iterable[tuple[int, str]]) -> None:
        """Ask for the cost of requests: the number of each in the ledger, and the host's name for the generation."""
        for seq, generation in unpriced:
            if len(self._tasks) < WAITING_MAX:
                task = asyncio.create_task(self._ask(seq, generation), name=f"the bill of request {seq}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until none is asked for any more."""
        await asyncio.gather(*self._tasks)

    async def aclose(self) -> None:
        """Ask no more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, seq: int, generation: str) -> None:
        path = f"/generation?id={quote(generation, safe='')}"
        for wait_s in self._ask_after_s:
            await asyncio.sleep(wait_s)
            try:
                bill = read_bill(seq, await self._fetch(path))
                if bill is not None:
                    await self._ledger.bill(bill)
                    return
            except BackendError as error:
                LOG.info("bills: not yet told for request %d: %s", seq, type(error).__name__)
            except HearthError as error:
                LOG.warning("bills: request %d counts with all it reserved: %s", seq, error.message)
                return


def read_bill(seq: int, answer: object) -> Bill | None:
    """The bill in the host's answer; None where there is none, or not one that can be."""
    said = table(table(answer).get("data"))
    cost = number(said.get("total_cost"), float(AMOUNT_MAX))
    if cost is None or not (said.get("cancelled") is True or said.get("finish_reason")):
        return None  # it is not there, or the model still writes
    tokens = {
        f"{kind}_tokens": whole(said.get(f"native_tokens_{kind}"), TOKENS_MAX)
        for kind in ("prompt", "cached", "completion")
    }
    return Bill(seq, Decimal(str(cost)), **tokens, provider=text(said.get("provider_name"), NAME_CHARS_MAX))
