"""What the requests of the last days amount to, kept up record by record: a look costs no more on a busy day.

It is made of records since a moment, in the ledger's order, of all processes. Money counts on the UTC day on which a
request ended; one without a result holds what it reserved for HELD_S_MAX, then whoever sent it is dead and it counts as
spent on the day on which it began. Times are seconds since the epoch.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from hearth.core.budget import HELD_S_MAX, ZERO, Budget, paid
from hearth.core.ledger_record import CATALOGUE, NOT_SENT, Bill, Intent, Record, Result
from hearth.core.quota import DAY_S, MINUTE_MAX, Quota, counted, days_at

LATEST_MAX = 4 * MINUTE_MAX
"""Of how many of the last free requests the time is kept: more than the quota of a minute has."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A request without a result."""

    began: float
    reserved: Decimal
    free: bool


@dataclass(slots=True)
class Tally:
    """See the module docstring. For reading by others: `budget` and `quota`."""

    _open: dict[int, _Open] = field(default_factory=dict[int, _Open])
    _unpriced: dict[int, tuple[int, Decimal]] = field(default_factory=dict[int, tuple[int, Decimal]])
    """Of requests that count with all they reserved: on which day, and how much."""
    _spent: dict[int, Decimal] = field(default_factory=dict[int, Decimal])
    _free: Counter[int] = field(default_factory=Counter[int])
    """Requests to free models by day; failed ones count as well, those that were never sent do not."""
    _latest: list[float] = field(default_factory=list[float])

    def feed(self, records: Iterable[tuple[float, Record]], since: float) -> None:
        """More of the log, each record with its time. Requests that began before `since` are left out."""
        for at, record in records:
            what = record.what
            if isinstance(what, Intent):
                if what.kind != CATALOGUE and at >= since:
                    self._began(record.seq, at, what.estimated)
            elif isinstance(what, Result):
                self._ended(what, at)
            elif isinstance(what, Bill) and (known := self._unpriced.pop(what.intent, None)):
                day, reserved = known
                self._pay(day, paid(what.cost, reserved) - reserved)

    def forget(self, before: float) -> None:
        """What began before a time, as far as it no longer counts."""
        day = int(before // DAY_S)
        self._open = {seq: one for seq, one in self._open.items() if one.began >= before}
        self._unpriced = {seq: one for seq, one in self._unpriced.items() if one[0] >= day}
        self._spent = {known: amount for known, amount in self._spent.items() if known >= day}
        self._free = Counter({known: count for known, count in self._free.items() if known >= day})

    def budget(self, cap: Decimal, now: float) -> Budget:
        """The budget of today, for a cap that holds for all processes together."""
        today = int(now // DAY_S)
        # A later day was noted by a clock that was wrong.
        spent = sum((amount for day, amount in self._spent.items() if day >= today), ZERO)
        held: list[tuple[str, Decimal]] = []
        for seq, one in self._open.items():
            if now - one.began < HELD_S_MAX:
                held.append((str(seq), one.reserved))
            elif int(one.began // DAY_S) >= today:
                spent += one.reserved
        return Budget(cap, today, spent, tuple(held))

    def quota(self, quota: Quota, now: float) -> Quota:
        """The quota with the requests that are written down."""
        return counted(quota, self._latest, self._free, now)

    def _began(self, seq: int, at: float, estimated: Decimal | None) -> None:
        self._open[seq] = _Open(at, estimated or ZERO, estimated == 0)
        if estimated == 0:
            self._free.update(days_at(at))
            self._latest = [*self._latest[1 - LATEST_MAX :], at]

    def _ended(self, result: Result, at: float) -> None:
        begun = self._open.pop(result.intent, None)
        if begun is None:
            return
        if result.status == NOT_SENT:
            if begun.free:
                self._free.subtract(days_at(begun.began))
                self._latest = [time for time in self._latest if time != begun.began]
            return
        day = int(at // DAY_S)
        self._pay(day, paid(result.cost, begun.reserved))
        if result.cost is None:
            self._unpriced[result.intent] = (day, begun.reserved)

    def _pay(self, day: int, amount: Decimal) -> None:
        self._spent[day] = self._spent.get(day, ZERO) + amount
