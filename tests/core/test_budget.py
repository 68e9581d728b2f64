"""The budget of a day: a hard cap, also under parallel reservations, and nothing without a known price."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.budget import (
    AMOUNT_MAX,
    HELD_MAX,
    ZERO,
    Budget,
    left,
    money,
    refusal,
    reserve,
    settle,
)
from hearth.core.quota import DAY_S

NOON = 20_000 * DAY_S + DAY_S / 2
TOMORROW = 20_001 * DAY_S
CAP = Decimal("0.50")


def holding(*amounts: str) -> Budget:
    budget = Budget(CAP)
    for number, amount in enumerate(amounts):
        budget, refused = reserve(budget, f"r{number}", Decimal(amount), NOON)
        assert refused is None
    return budget


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
def test_reserving(held: tuple[str, ...], amount: str, reason: str | None) -> None:
    budget = holding(*held)
    after, refused = reserve(budget, "new", Decimal(amount), NOON)
    assert (refused.reason if refused else None) == reason
    assert refusal(budget, Decimal(amount), NOON) == refused
    assert after.reserved == budget.reserved + (Decimal(amount) if reason is None else ZERO)


def test_an_unknown_price_is_refused() -> None:
    budget, refused = reserve(Budget(AMOUNT_MAX), "a", None, NOON)
    assert refused is not None
    assert refused.reason == "its price is not known"
    assert budget.held == ()


@pytest.mark.parametrize("cap", ["NaN", "Infinity", "-1", "0"])
def test_a_cap_that_is_none_lets_only_free_requests_pass(cap: str) -> None:
    assert reserve(Budget(Decimal(cap)), "a", Decimal("0.000001"), NOON)[1] is not None
    assert reserve(Budget(Decimal(cap)), "a", ZERO, NOON)[1] is None


def test_settling() -> None:
    budget = holding("0.30", "0.10")
    budget = settle(budget, "r0", Decimal("0.02"), NOON)
    assert (budget.spent, budget.reserved, left(budget, NOON)) == (Decimal("0.02"), Decimal("0.10"), Decimal("0.38"))
    unknown = settle(budget, "r1", None, NOON)
    assert (unknown.spent, unknown.reserved) == (Decimal("0.12"), ZERO)
    odd = settle(budget, "r1", Decimal("NaN"), NOON)
    assert odd.spent == Decimal("0.12")
    unsent = settle(budget, "r1", ZERO, NOON)
    assert left(unsent, NOON) == Decimal("0.48")


def test_a_second_settlement_frees_nothing() -> None:
    budget = settle(holding("0.30"), "r0", Decimal("0.02"), NOON)
    assert settle(budget, "r0", None, NOON) == budget
    assert settle(budget, "nobody", Decimal("0.01"), NOON).spent == Decimal("0.03")


def test_what_cost_more_than_thought_counts_in_full() -> None:
    budget = settle(holding("0.10"), "r0", Decimal("0.60"), NOON)
    assert left(budget, NOON) == ZERO
    refused = refusal(budget, Decimal("0.01"), NOON)
    assert refused is not None
    assert refused.retry_at == TOMORROW


def test_what_passes_the_cap_alone_is_not_for_tomorrow() -> None:
    refused = refusal(Budget(CAP), Decimal(1), NOON)
    assert refused is not None
    assert refused.retry_at is None


def test_over_midnight_reservations_stay_and_spending_is_forgotten() -> None:
    budget = settle(holding("0.30", "0.10"), "r0", Decimal("0.30"), NOON)
    assert left(budget, TOMORROW) == Decimal("0.40")
    assert settle(budget, "r1", None, TOMORROW).spent == Decimal("0.10")


def test_a_clock_turned_back_gives_nothing_back() -> None:
    budget = settle(holding("0.50"), "r0", None, NOON)
    assert left(budget, NOON - 3 * DAY_S) == ZERO


def test_a_name_is_used_once_and_there_are_not_too_many() -> None:
    assert reserve(holding("0.01"), "r0", Decimal("0.01"), NOON)[1] is not None
    budget = holding(*["0.001"] * HELD_MAX)
    assert reserve(budget, "one more", Decimal("0.001"), NOON)[1] is not None
    assert reserve(budget, "one more", ZERO, NOON)[1] is not None


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0", "$0.00"), ("12.3", "$12.30"), ("0.123", "$0.13"), ("0.0123", "$0.0123"), ("0.00001", "$0.00001"),
     ("0.005", "$0.005"), ("0.0999", "$0.0999"),
     ("0.00000001", "$0.000001"), ("1.001", "$1.01")],
)  # fmt: skip
def test_money_is_never_shown_as_less(amount: str, shown: str) -> None:
    assert money(Decimal(amount)) == shown


AMOUNTS = st.decimals(min_value=0, max_value=1, places=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), AMOUNTS),
        st.tuples(st.just("settle"), st.integers(0, 9)),  # tenths of the reservation that it did cost
        st.tuples(st.just("unknown"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([1.0, DAY_S / 4, DAY_S])),
    ),
    max_size=60,
)


@given(STEPS, st.decimals(min_value=0, max_value=2, places=3), st.randoms(use_true_random=False))
def test_the_cap_holds_under_any_interleaving(steps: list[tuple[str, object]], cap: Decimal, chance) -> None:
    budget, now, running, spent = Budget(cap), NOON, dict[str, Decimal](), dict[int, Decimal]()
    for number, (what, value) in enumerate(steps):
        if what == "wait":
            assert isinstance(value, float)
            now += value
        elif what == "reserve":
            assert isinstance(value, Decimal)
            told = refusal(budget, value, now)
            budget, refused = reserve(budget, str(number), value, now)
            assert refused == told
            if refused is None:
                running[str(number)] = value
        elif running:
            name = chance.choice(sorted(running))
            held = running.pop(name)
            cost = held * value / 10 if isinstance(value, int) else None
            budget = settle(budget, name, cost, now)
            day = int(now // DAY_S)
            spent[day] = spent.get(day, ZERO) + (held if cost is None else cost)
        # What is still on its way may come to cost all that it reserved, today.
        assert spent.get(int(now // DAY_S), ZERO) + sum(running.values(), ZERO) <= cap
        assert budget.reserved == sum(running.values(), ZERO)
        assert left(budget, now) >= ZERO
