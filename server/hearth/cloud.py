"""The cloud's side of the door: what models it has at what price, how it is doing, and the sending itself.

Nothing here decides where a request goes (core.route) or what may be in it (hearth.door). What is sent is on the disk
before (ledger), and admitted under the ledger's lock by what all processes together have spent and asked today: so the
budget and the free quota hold whoever else sends at the same time.
"""

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hearth.backends.base import Delta
from hearth.bills import ASK_AFTER_S, Bills
from hearth.consents import Consents, kept_in
from hearth.core import breaker as breakers
from hearth.core import budget as budgets
from hearth.core import catalogue as catalogues
from hearth.core import quota as quotas
from hearth.core import standing as standings
from hearth.core.budget import HELD_S_MAX, Budget
from hearth.core.catalogue import ID_CHARS_MAX, Catalogue, Entry, expired
from hearth.core.jsonlike import items, number, table, text
from hearth.core.ledger_record import CATALOGUE, Intent, Prices
from hearth.core.origin import PRODUCT, Origin
from hearth.core.quota import DAY_S, Quota, Refused
from hearth.core.route import best_free, when
from hearth.core.standing import Failure, Standing
from hearth.core.tally import Tally
from hearth.courier.client import Courier
from hearth.courier.crossing import origin_of
from hearth.courier.records import Ask, Outcome
from hearth.errors import (
    ContentRefused,
    ContextOverflow,
    DeadlineExceeded,
    EgressDenied,
    HearthError,
    LedgerError,
    ModelLoading,
    ModelMissing,
    NotAffordable,
    OutOfCredits,
    RateLimited,
    ServerFault,
    Unauthorised,
    Unreachable,
)
from hearth.ledger import Admission, Ledger
from hearth.settings import CloudSettings
from hearth.trip import Trip

LOG = logging.getLogger(__name__)
CATALOGUE_S = 3_600.0
"""How old the list of models may be before it is asked for again."""
CATALOGUE_OLD_S_MAX = 7 * 86_400.0
"""How old it may be where it cannot be asked for. Prices that rose meanwhile are refused by the request's own limit."""
CONTEXT_TOKENS = 32_768
"""Of a model, as long as no catalogue was ever read."""
KEY_S = 300.0
FILE_BYTES_MAX = 20_000_000

# What a failure means for the next request, the first that fits.
_MEANINGS: tuple[tuple[type[HearthError], Failure], ...] = (
    (Unreachable, "unreachable"),
    (DeadlineExceeded, "timeout"),
    (Unauthorised, "key"),
    (OutOfCredits, "credit"),
    (RateLimited, "busy"),
    (ServerFault, "busy"),
    (ModelLoading, "busy"),
    (ModelMissing, "missing"),
    (ContentRefused, "declined"),
    (ContextOverflow, "overflow"),
)


@dataclass(frozen=True, slots=True)
class Arrived:
    """The one last event of a request that did not fail. `entries`: the numbers of its attempts in the ledger."""

    outcome: Outcome
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shipment:
    """A request that may leave. `messages` are as they will be sent. `approval`: by what it is allowed, in words.
    `reason`: why it does not stay here. `session`: any text, the same for all of a conversation. `most`: USD."""

    entry: Entry
    kind: str
    messages: tuple[dict[str, Any], ...]
    output_tokens: int
    most: Decimal
    origins: tuple[Origin, ...]
    reason: str
    approval: str
    session: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    urgent: bool = True


class Cloud:
    """See the module docstring. `home` is a folder of Hearth's own; `clock` gives seconds since the epoch."""

    def __init__(
        self,
        settings: CloudSettings,
        home: Path,
        *,
        courier: Courier,
        ledger: Ledger,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
        bills_after_s: Sequence[float] = ASK_AFTER_S,
    ) -> None:
        self.settings = settings
        self._home = home
        self._courier = courier
        self._ledger = ledger
        self._environ = environ
        self._clock = clock
        self._looking = asyncio.Lock()
        self._loaded = False
        self._catalogue_at = self._key_at = 0.0
        self.consents = Consents(kept_in(home.parent), clock)
        self.bills = Bills(ledger, lambda path: self._fetch(path, self._key), bills_after_s)
        self.models: Catalogue = catalogues.EMPTY
        self.standing = Standing()

    @property
    def origin(self) -> str:
        """`scheme://host[:port]`. Raises EgressDenied where the setting is no address that may be contacted."""
        return origin_of(self.settings.base_url)

    @property
    def host(self) -> str:
        """With the port, as it is shown and recorded."""
        return urlsplit(self.settings.base_url).netloc

    @property
    def problem(self) -> str:
        """A clause, why nothing can be sent there whatever it is; "" if it can."""
        if not self.settings.enabled:
            return "the cloud is switched off"
        if not self._key:
            return f"the environment variable {self.settings.api_key_env} has no key"
        try:
            origin_of(self.settings.base_url)
        except EgressDenied as error:
            return error.message
        return ""

    @property
    def remedy(self) -> str:
        """What to do about `problem`."""
        if not self.settings.enabled:
            return "To allow it, set cloud.enabled; you are asked before anything is sent."
        return f"Put your key into {self.settings.api_key_env} and start the editor from there, or use a local model."

    @property
    def _key(self) -> str:
        return self._environ.get(self.settings.api_key_env, "").strip()

    # What it has, and how it is doing

    def context_tokens(self, model: str = "") -> int:
        """The context of the model that would be asked: of the one that is named, else of the first that is known."""
        names = [model, *self.settings.models, *best_free(self.models, self.now)]
        known = (entry.context_tokens for name in names if (entry := self.models.get(name)))
        return next(known, CONTEXT_TOKENS)

    async def recall(self) -> None:
        """What was known when Hearth ended, from the disk: nothing is asked."""
        if self.settings.enabled and not self._loaded:
            async with self._looking:
                await self._load()

    async def look(self) -> str:
        """Bring the list of models and the key's state up to date where they are old; a clause if that failed.

        None of the user's content is in these requests; they are ledger entries like all others.
        """
        if self.problem:
            return self.problem
        async with self._looking:
            await self._load()
            now = self._clock()
            try:
                # Whether it is back is tried with this, and not with what the user wants to send.
                resting = breakers.state(self.standing.door, now) == "half-open"
                if resting or not 0 <= now - self._key_at < KEY_S:
                    status = catalogues.key_status(await self._fetch("/key", self._key))
                    quota = quotas.observed(self.standing.quota, status, now)
                    self.standing = replace(self.standing, quota=quota, door=breakers.succeeded())
                    self._key_at = now
                if not 0 <= now - self._catalogue_at < CATALOGUE_S:
                    await self._read_catalogue()
            except HearthError as error:
                return self._failed("", error)
        return ""

    async def money(self) -> Budget:
        """What is spent and reserved today, by all processes; brings the free quota up to date as well.

        Raises LedgerError.
        """
        now, cap = self._clock(), self._cap
        money, seen = await self._ledger.look(
            self._since(now), lambda tally: (tally.budget(cap, now), tally.quota(Quota(), now))
        )
        # What came in meanwhile stays: a refusal by the other side, permits of our own.
        quota = quotas.counted(self.standing.quota, seen.recent, dict(seen.days), self._clock())
        self.standing = replace(self.standing, quota=quota)
        return money

    @property
    def now(self) -> float:
        """Seconds since the epoch, by the clock that everything here is counted with."""
        return self._clock()

    @property
    def _cap(self) -> Decimal:
        return Decimal(str(self.settings.budget_per_day))

    async def _read_catalogue(self) -> None:
        listed = await self._fetch("/models", "")
        kept = await self._fetch("/models?zdr=true", "")
        read = catalogues.catalogue(listed)
        if not read.entries:
            return  # an empty list is no news: what was known stays, and is asked for again
        private = list(catalogues.catalogue(kept).entries)
        self.models = catalogues.marked(read, private)
        self._catalogue_at = self._clock()
        record = {"base_url": self.settings.base_url, "at": self._catalogue_at, "models": listed, "private": private}
        await asyncio.to_thread(_write, self._home / "catalogue.json", record)

    async def _fetch(self, path: str, key: str) -> dict[str, Any]:
        trip = Trip(self._ledger, Intent(CATALOGUE, self.host, origins=(PRODUCT,), approval="cloud.enabled"))
        try:
            value = await self._courier.fetch(
                self.origin, self.settings.base_url, path, key, trip.leaving, trip.returned
            )
            trip.outcome = Outcome("stop", cost=0.0)
            return value
        except HearthError as error:
            trip.error = error
            raise
        finally:
            await asyncio.shield(trip.close())

    # Sending

    async def send(self, shipment: Shipment) -> AsyncGenerator[Delta | Arrived]:
        """Deltas, then one Arrived. Raises NotAffordable, LedgerError or EgressDenied, and nothing was sent; or what
        came of it (BackendError)."""
        entry, now = shipment.entry, self._clock()
        if expired(entry, now):
            raise ModelMissing(f"{entry.id} ended on {entry.expires}", "Choose another model.")
        self.standing, refused = standings.entered(
            self.standing, entry.id, now, free=entry.free, urgent=shipment.urgent
        )
        if refused:
            raise _refusal(entry.id, refused, now)
        ask = Ask(
            self.origin,
            self.settings.base_url,
            entry.id,
            shipment.messages,
            shipment.output_tokens,
            {
                **catalogues.options(
                    entry, sha256(shipment.session.encode()).hexdigest()[:32], _needs(shipment.fields)
                ),
                **shipment.fields,
            },
        )
        trip = Trip(self._ledger, self._intent(shipment), _prices(entry), self._admission(shipment))
        try:
            async with aclosing(self._courier.generate(ask, self._key, trip.leaving, trip.returned)) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        yield event
                        continue
                    trip.outcome = event
                    await asyncio.shield(trip.close())
                    self.standing = standings.succeeded(self.standing, entry.id)
                    yield Arrived(event, tuple(trip.seqs))
        except HearthError as error:
            trip.error = error
            self._failed(entry.id, error)
            raise
        finally:
            await asyncio.shield(trip.close())
            if shipment.most:
                self.bills.later(trip.unpriced)

    def _intent(self, shipment: Shipment) -> Intent:
        return Intent(
            shipment.kind,
            self.host,
            feature=shipment.kind,
            reason=shipment.reason,
            approval=shipment.approval,
            model=shipment.entry.id,
            origins=shipment.origins,
            estimated=shipment.most,
        )

    def _admission(self, shipment: Shipment) -> Admission:
        """The last look at money and quota, in the ledger's thread: of its own values only."""
        now, cap, entry, most = self._clock(), self._cap, shipment.entry, shipment.most
        quota = Quota(
            self.standing.quota.day_max,
            self.standing.quota.minute_max,
            blocked_until=self.standing.quota.blocked_until,
        )

        def admit(tally: Tally) -> None:
            refused = budgets.refusal(tally.budget(cap, now), most, now)
            if refused is None and entry.free:
                refused = quotas.refusal(tally.quota(quota, now), now, urgent=shipment.urgent)
            if refused is not None:
                raise _refusal(entry.id, refused, now)

        return Admission(self._since(now), admit)

    def _since(self, now: float) -> float:
        """From when on requests count for today: those that began before midnight may still be on their way."""
        return now // DAY_S * DAY_S - HELD_S_MAX

    def _failed(self, model: str, error: HearthError) -> str:
        """Take a failure in; a clause for the user."""
        failure = _meaning(error)
        if failure is None:
            return error.message
        now = self._clock()
        wait_s = error.retry_after_s if isinstance(error, RateLimited) else None
        retry_at = None if wait_s is None else now + wait_s
        self.standing, why = standings.after(self.standing, model or "the cloud", failure, now, retry_at)
        LOG.warning("cloud: %s: %s", failure, type(error).__name__)
        return why

    # What is kept

    async def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        now = self._clock()
        kept = await asyncio.to_thread(_read, self._home / "state.json")
        self.standing = replace(self.standing, quota=quotas.restored(kept.get("quota")))
        known = await asyncio.to_thread(_read, self._home / "catalogue.json")
        at = number(known.get("at"), 1e12) or 0.0
        if text(known.get("base_url"), 4_096) == self.settings.base_url and 0 <= now - at < CATALOGUE_OLD_S_MAX:
            names = [text(name, ID_CHARS_MAX) for name in items(known.get("private"))]
            self.models = catalogues.marked(catalogues.catalogue(known.get("models")), names)
            self._catalogue_at = at

    async def _save(self) -> None:
        record = {"quota": quotas.record(self.standing.quota)}
        await asyncio.to_thread(_write, self._home / "state.json", record)

    async def aclose(self) -> None:
        """Keep what is known, and end the courier."""
        await self.bills.aclose()
        if self._loaded:
            await self._save()
        await self._courier.aclose()


def _refusal(model: str, refused: Refused, now: float) -> NotAffordable:
    again = when(refused.retry_at, now)
    return NotAffordable(f"{model} was not asked: {refused.reason}{again}.", "The local model answers meanwhile.")


def _meaning(error: HearthError) -> Failure | None:
    """None where it says nothing of the cloud: refused here, by us."""
    if isinstance(error, RateLimited) and error.span in ("minute", "day"):
        return "minute" if error.span == "minute" else "day"
    if isinstance(error, ModelMissing) and "privacy" in error.remedy:
        return "retained"
    for kind, failure in _MEANINGS:
        if isinstance(error, kind):
            return failure
    return None if isinstance(error, NotAffordable | LedgerError | EgressDenied) else "broken"


def _prices(entry: Entry) -> Prices | None:
    if entry.prompt is None or entry.completion is None:
        return None
    return Prices(entry.prompt, entry.completion, entry.prompt if entry.cached is None else entry.cached)


def _needs(fields: Mapping[str, Any]) -> list[str]:
    """The parameters that a provider must support for these."""
    return [name for name in ("tools", "response_format") if fields.get(name)]


def _read(path: Path) -> dict[str, Any]:
    """A file of ours; empty where there is none or it is damaged."""
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
        return table(json.loads(data)) if len(data) <= FILE_BYTES_MAX else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _write(path: Path, record: Mapping[str, Any]) -> None:
    """All or nothing. What cannot be kept is asked for again."""
    new = path.with_suffix(f".{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump(record, stream)
        new.replace(path)
    except OSError as error:
        LOG.warning("cloud: %s was not kept: %s", path.name, error.strerror)
        with contextlib.suppress(OSError):
            new.unlink()
