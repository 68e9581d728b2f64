"""The money of a day, as a state machine: what is spent and what is reserved for requests on their way pass no cap.

A request reserves the most it can cost before it is sent, and settles what it did cost; one whose price is not known is
refused. Amounts are USD as Decimal, days are UTC, times are seconds since the epoch and arguments. As long as no
request costs more than it reserved (it must say so to the provider), spent and reserved are never above the cap.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from hearth.core.quota import DAY_S, Refused

HELD_MAX = 64
"""Requests on their way at once."""
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


def reserve(budget: Budget, name: str, forecast: Decimal | None, now: float) -> tuple[Budget, Refused | None]:
    """Set `forecast`, the most that the request `name` can cost, aside; or why it may not be sent."""
    budget = _aged(budget, now)
    refused = _refusal(budget, forecast)
    if refused is None and any(held == name for held, _ in budget.held):
        refused = Refused(f"request {name} has its money already")
    if refused is None and len(budget.held) >= HELD_MAX:
        refused = Refused(f"{HELD_MAX} requests are on their way", now)
    if refused is not None or forecast is None:
        return budget, refused
    return replace(budget, held=(*budget.held, (name, forecast))), None


def refusal(budget: Budget, forecast: Decimal | None, now: float) -> Refused | None:
    """What `reserve` would say of the amount, without setting it aside."""
    return _refusal(_aged(budget, now), forecast)


def settle(budget: Budget, name: str, cost: Decimal | None, now: float) -> Budget:
    """The request ended. `cost` is what the provider said; None where it did not: then all that was reserved is spent.

    A request that never left costs nothing: Decimal(0). One that is not known changes nothing but what was spent.
    """
    budget = _aged(budget, now)
    held = dict(budget.held)
    reserved = held.pop(name, ZERO)
    return replace(budget, spent=budget.spent + paid(cost, reserved), held=tuple(held.items()))


def left(budget: Budget, now: float) -> Decimal:
    """What may still be reserved today."""
    budget = _aged(budget, now)
    return max(ZERO, budget.cap - budget.spent - budget.reserved)


def _refusal(budget: Budget, forecast: Decimal | None) -> Refused | None:
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
