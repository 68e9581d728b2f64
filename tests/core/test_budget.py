"""The budget of a day: a hard cap, also under parallel reservations, and nothing without a known price."""

from decimal import Decimal

import pytest

from hearth.core.budget import (
    AMOUNT_MAX,
    ZERO,
    Budget,
    left,
    money,
    paid,
    refusal,
)
from hearth.core.quota import DAY_S

NOON = 20_000 * DAY_S + DAY_S / 2
TOMORROW = 20_001 * DAY_S
CAP = Decimal("0.50")


def holding(*amounts: str, spent: str = "0") -> Budget:
    held = tuple((str(number), Decimal(amount)) for number, amount in enumerate(amounts))
    return Budget(CAP, int(NOON // DAY_S), Decimal(spent), held)


CASES = (
    ((), "0.50", None),
    ((), "0.500001", "it may cost $0.51, and of today's $0.50 there is $0.50 left"),
    (("0.30",), "0.20", None),
    (("0.30", "0.10"), "0.11", "it may cost $0.11, and of today's $0.50 there is $0.10 left"),
    (("0.50",), "0", None),
    (("0.50",), "0.0000001", "it may cost $0.000001, and of today's $0.50 there is $0.00 left"),
    ((), "NaN", "its price is not known"),
    ((), "Infinity", "its price is not known"),
    ((), "-1", "its price is not known"),
    ((), "1e99", "its price is not known"),
)


@pytest.mark.parametrize(("held", "amount", "reason"), CASES)
def test_what_may_be_sent(held: tuple[str, ...], amount: str, reason: str | None) -> None:
    refused = refusal(holding(*held), Decimal(amount), NOON)
    assert (refused.reason if refused else None) == reason


def test_an_unknown_price_is_refused() -> None:
    refused = refusal(Budget(AMOUNT_MAX), None, NOON)
    assert refused is not None
    assert refused.reason == "its price is not known"


@pytest.mark.parametrize("cap", ["NaN", "Infinity", "-1", "0"])
def test_a_cap_that_is_none_lets_only_free_requests_pass(cap: str) -> None:
    assert refusal(Budget(Decimal(cap)), Decimal("0.000001"), NOON) is not None
    assert refusal(Budget(Decimal(cap)), ZERO, NOON) is None


@pytest.mark.parametrize(
    ("cost", "counts"),
    [(None, "0.10"), ("0", "0"), ("0.02", "0.02"), ("0.60", "0.60"), ("NaN", "0.10"), ("-1", "0.10"), ("1e9", "0.10")],
)
def test_what_counts_as_spent(cost: str | None, counts: str) -> None:
    assert paid(None if cost is None else Decimal(cost), Decimal("0.10")) == Decimal(counts)


def test_what_cost_more_than_thought_counts_in_full() -> None:
    budget = holding(spent="0.60")
    assert left(budget, NOON) == ZERO
    refused = refusal(budget, Decimal("0.01"), NOON)
    assert refused is not None
    assert refused.retry_at == TOMORROW


def test_what_passes_the_cap_alone_is_not_for_tomorrow() -> None:
    refused = refusal(Budget(CAP), Decimal(1), NOON)
    assert refused is not None
    assert refused.retry_at is None


def test_over_midnight_reservations_stay_and_spending_is_forgotten() -> None:
    budget = holding("0.10", spent="0.30")
    assert left(budget, NOON) == Decimal("0.10")
    assert left(budget, TOMORROW) == Decimal("0.40")


def test_a_clock_turned_back_gives_nothing_back() -> None:
    assert left(holding(spent="0.50"), NOON - 3 * DAY_S) == ZERO


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0", "$0.00"), ("12.3", "$12.30"), ("0.123", "$0.13"), ("0.0123", "$0.0123"), ("0.00001", "$0.00001"),
     ("0.005", "$0.005"), ("0.0999", "$0.0999"),
     ("0.00000001", "$0.000001"), ("1.001", "$1.01")],
)  # fmt: skip
def test_money_is_never_shown_as_less(amount: str, shown: str) -> None:
    assert money(Decimal(amount)) == shown
