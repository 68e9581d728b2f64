"""The circuit breaker: closed, open, half-open, and nobody is left alone for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.breaker import (
    FAILURES_TO_OPEN,
    OPEN_S,
    OPEN_S_MAX,
    TRIAL_S,
    Breaker,
    enter,
    failed,
    refusal,
    state,
    succeeded,
)

NOW = 1_000_000.0


def opened(times: int = 1) -> tuple[Breaker, float]:
    """A breaker that opened so many times in a row, and when it did last."""
    breaker, now = failed(Breaker(), NOW, "it is away", at_once=True), NOW
    for _ in range(times - 1):
        now = breaker.until
        breaker = failed(breaker, now, "it is away")
    return breaker, now


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker = failed(breaker, NOW, "it is away")
        assert state(breaker, NOW) == "closed"
    breaker = failed(breaker, NOW, "it is away")
    assert state(breaker, NOW) == "open"
    refused = refusal(breaker, NOW)
    assert refused is not None
    assert (refused.reason, refused.retry_at) == ("it is away", NOW + OPEN_S[0])


def test_a_success_between_counts() -> None:
    breaker = Breaker()
    for _ in range(10):
        for _ in range(FAILURES_TO_OPEN - 1):
            breaker = failed(breaker, NOW, "it is away")
        breaker = succeeded()
    assert state(breaker, NOW) == "closed"


@pytest.mark.parametrize(("times", "rest"), [(1, 15), (2, 60), (3, 300), (4, 900), (5, 900), (9, 900)])
def test_it_rests_longer_each_time(times: int, rest: float) -> None:
    breaker, now = opened(times)
    assert breaker.until == now + rest
    assert state(breaker, now + rest - 0.1) == "open"
    assert state(breaker, now + rest) == "half-open"


def test_one_tries_when_it_is_half_open() -> None:
    breaker, _ = opened()
    now = breaker.until
    breaker, refused = enter(breaker, now)
    assert refused is None
    again, refused = enter(breaker, now + 1)
    assert refused is not None
    assert (refused.reason, refused.retry_at) == ("it is away, and it is being tried again", now + TRIAL_S)
    assert again == breaker
    assert enter(breaker, now + TRIAL_S)[1] is None  # nothing was heard of the first
    assert enter(succeeded(), now + 1)[1] is None
    assert state(failed(breaker, now + 1, "it is away"), now + 2) == "open"


def test_the_other_side_says_how_long() -> None:
    breaker = failed(Breaker(), NOW, "it is busy", until=NOW + 7)
    assert (state(breaker, NOW + 6.9), state(breaker, NOW + 7)) == ("open", "half-open")
    longer = failed(breaker, NOW + 1, "it is busy", until=NOW + 50)
    assert longer.until == NOW + 50
    assert failed(longer, NOW + 2, "it is busy", until=NOW + 3).until == NOW + 50
    assert failed(Breaker(), NOW, "it is busy", until=NOW + 1e9).until == NOW + OPEN_S_MAX


def test_late_news_of_the_same_trouble_does_not_prolong_it() -> None:
    breaker, now = opened()
    late = failed(failed(breaker, now + 1, "it is away"), now + 2, "it is away")
    assert (late.until, late.openings) == (breaker.until, breaker.openings)


def test_a_clock_turned_back_does_not_lock() -> None:
    breaker, _ = opened()
    long_ago = NOW - 500_000
    assert state(breaker, long_ago) == "half-open"
    breaker, refused = enter(breaker, long_ago)
    assert refused is None
    assert failed(breaker, long_ago, "it is away").until == long_ago + OPEN_S[1]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 5.0, 20.0, 70.0, 1_000.0]), st.sampled_from(["fail", "good", "silence", "429"])
    ),
    max_size=60,
)


@given(EVENTS)
def test_who_is_refused_is_told_when_and_gets_through_then(events: list[tuple[float, str]]) -> None:
    breaker, now = Breaker(), NOW
    for wait, outcome in events:
        now += wait
        told = refusal(breaker, now)
        before, (breaker, refused) = breaker, enter(breaker, now)
        assert told == refused
        if refused is not None:
            assert breaker == before
            assert refused.retry_at is not None
            assert now < refused.retry_at <= now + OPEN_S_MAX
            assert refused.reason
            assert enter(breaker, refused.retry_at)[1] is None
        elif outcome == "fail":
            breaker = failed(breaker, now, "it is away")
        elif outcome == "429":
            breaker = failed(breaker, now, "it is busy", until=now + 3)
            assert state(breaker, now) == "open"
        elif outcome == "good":
            breaker = succeeded()
            assert state(breaker, now) == "closed"
        else:
            assert state(breaker, now) == "closed" or refusal(breaker, now) is not None
