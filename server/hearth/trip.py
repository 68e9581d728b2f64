"""The ledger's view of a request to the cloud: what is recorded before each of its attempts and after, and what the
host says later of one whose answer broke off.
"""

import logging
import re
from dataclasses import replace
from decimal import Decimal
from urllib.parse import urlsplit

from hearth.core.ledger_record import NOT_SENT, Intent, Masked, Prices, Result
from hearth.courier.records import Outcome, Received, Sent
from hearth.errors import HearthError, LedgerError, Unreachable
from hearth.ledger import Admission, Handle, Ledger

LOG = logging.getLogger(__name__)
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
_PLACEHOLDER = re.compile(rb"<HEARTH_SECRET_\d{1,6}:([a-z0-9-]{1,48})>")


class Trip:
    """One request with all its attempts: an intent before each, a result after."""

    def __init__(
        self,
        ledger: Ledger,
        intent: Intent,
        prices: Prices | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._ledger = ledger
        self._intent = intent
        self._prices = prices
        self._admission = admission
        self._open: dict[int, Handle] = {}
        self._heard: dict[int, Received] = {}
        self.seqs: list[int] = []
        self.unpriced: list[tuple[int, str]] = []
        """Of attempts whose cost nobody said: the intent's number, and the host's name for the generation."""
        self.outcome: Outcome | None = None
        self.error: HearthError | None = None

    async def leaving(self, sent: Sent) -> None:
        """Before the first byte: what raises here keeps everything here."""
        parts = urlsplit(sent.url)
        target = f"{sent.method} {parts.path}" + (f"?{parts.query}" if parts.query else "")
        masked = tuple(Masked(found[1].decode(), found.start()) for found in _PLACEHOLDER.finditer(sent.body))
        intent = replace(self._intent, target=target, masked=masked)
        handle = await self._ledger.intent(intent, sent.body, self._admission)
        self._open[sent.attempt] = handle
        self.seqs.append(handle.seq)

    async def returned(self, received: Received) -> None:
        """After an attempt. One that was refused is settled at once, so that the next is not refused for its money."""
        self._heard[received.attempt] = received
        if received.status not in (0, 200):
            refused = f"answered {received.status}"
            await self._settle(received.attempt, FAILED, refused, Decimal(0))

    async def close(self) -> None:
        """Record how what is still open ended."""
        for attempt in list(self._open):
            if self.outcome is not None:
                broken = "the answer broke off" if self.outcome.reason == "truncated" else ""
                await self._settle(attempt, DONE, broken, decimal(self.outcome.cost))
            elif self.error is None:
                await self._settle(attempt, CANCELLED, "broken off by the user", None)
            elif isinstance(self.error, Unreachable):
                await self._settle(attempt, NOT_SENT, self.error.message, Decimal(0))
            else:
                await self._settle(attempt, FAILED, self.error.message, None)

    async def _settle(self, attempt: int, status: str, detail: str, cost: Decimal | None) -> None:
        handle, heard, outcome = self._open.pop(attempt), self._heard.get(attempt), self.outcome
        result = Result(handle.seq, status, detail=detail, cost=cost, prices=self._prices)
        if heard is not None and heard.status:
            result = replace(result, http=heard.status, response_sha256=heard.sha256, response_bytes=heard.size)
        if outcome is not None:
            result = replace(
                result,
                prompt_tokens=outcome.prompt_tokens,
                cached_tokens=outcome.cached_tokens,
                completion_tokens=outcome.generated_tokens,
                model=outcome.model,
                provider=outcome.provider,
            )
        try:
            await self._ledger.result(result)
            if cost is None and heard is not None and heard.generation:
                self.unpriced.append((handle.seq, heard.generation))
        except LedgerError as error:
            # The intent is there: it counts as on its way, then as spent. Nothing more leaves while the disk is full.
            LOG.error("ledger: the result of record %d was not recorded: %s", handle.seq, error.message)


def decimal(cost: float | None) -> Decimal | None:
    """Money as it is counted, of a number in JSON."""
    return None if cost is None else Decimal(str(cost))
