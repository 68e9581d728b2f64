"""The money of a day: what is spent and what is reserved for requests on their way pass no cap.

A request reserves the most it can cost before it is sent, and settles what it did cost (see core.tally); one whose
price is not known is refused. Amounts are USD as Decimal, days are UTC, times are seconds since the epoch and
arguments. As long as no request costs more than it reserved (it must say so to the provider), spent and reserved are
never above the cap.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from hearth.core.quota import DAY_S, Refused

HELD_S_MAX = 3_600.0
"""So long a request that has no result may still be on its way."""
AMOUNT_MAX = Decimal(10_000)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Budget:
    """`spent` in `day`, and `held`: (name of the request, what it reserved)."""

    cap: Decimal = ZERO
    day: int = 0
    spent: Decimal = ZERO
    held: tuple[tuple[str, Decimal], ...] = ()

    @property
    def reserved(self) -> Decimal:
        """By the requests on their way, whatever day they began."""
        return sum((amount for _, amount in self.held), ZERO)


def refusal(budget: Budget, forecast: Decimal | None, now: float) -> Refused | None:
    """Why a request that may cost `forecast` at most may not be sent; None if it may."""
    budget = _aged(budget, now)
    if forecast is None or not _is_amount(forecast):
        return Refused("its price is not known")
    if forecast == ZERO:
        return None
    if not _is_amount(budget.cap):
        return Refused("the budget per day is not a number")
    room = budget.cap - budget.spent - budget.reserved
    if forecast <= room:
        return None
    tomorrow = (budget.day + 1) * DAY_S if forecast <= budget.cap else None
    said = f"it may cost {money(forecast)}, and of today's {money(budget.cap)} there is {money(max(ZERO, room))} left"
    return Refused(said, tomorrow)


def left(budget: Budget, now: float) -> Decimal:
    """What may still be reserved today."""
    budget = _aged(budget, now)
    return max(ZERO, budget.cap - budget.spent - budget.reserved)


def money(amount: Decimal) -> str:
    """As shown to the user: cents, or as many digits as a smaller amount needs; never less than it is."""
    unit = next((Decimal(unit) for unit in ("0.01", "0.0001") if amount >= Decimal(unit) * 10), Decimal("0.000001"))
    whole, _, digits = f"{amount.quantize(unit, rounding='ROUND_UP'):f}".partition(".")
    return f"${whole}.{digits.rstrip('0'):0<2}"


def paid(cost: Decimal | None, reserved: Decimal) -> Decimal:
    """What counts as spent, where the provider said this, or nothing."""
    return cost if cost is not None and _is_amount(cost) else reserved


def _is_amount(amount: Decimal) -> bool:
    return amount.is_finite() and ZERO <= amount <= AMOUNT_MAX


def _aged(budget: Budget, now: float) -> Budget:
    """A new day has nothing spent. A clock that was turned back does not give back what was."""
    today = int(now // DAY_S)
    if today > budget.day:
        return replace(budget, day=today, spent=ZERO)
    return budget if today == budget.day else replace(budget, day=today)
