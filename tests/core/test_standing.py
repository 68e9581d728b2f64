"""What a failure of the cloud means for the next request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.breaker import FAILURES_TO_OPEN
from hearth.core.quota import DAY_S, MINUTE_MAX
from hearth.core.standing import (
    CREDIT_REST_S,
    FAILURES,
    KEY_REST_S,
    MISSING_REST_S,
    MODELS_KEPT_MAX,
    Failure,
    Standing,
    admits,
    after,
    entered,
    succeeded,
)

NOON = 20_000 * DAY_S + DAY_S / 2
# For each failure: the note; and for how long the same model, another paid one and another free one rest.
CASES: tuple[tuple[Failure, str, float, float, float], ...] = (
    ("unreachable", "the cloud cannot be reached", 0, 0, 0),
    ("timeout", "a:free did not answer in time", 0, 0, 0),
    ("key", "the cloud does not accept the key", KEY_REST_S, KEY_REST_S, KEY_REST_S),
    ("credit", "the cloud wants to be paid first", CREDIT_REST_S, CREDIT_REST_S, CREDIT_REST_S),
    ("minute", "the cloud's free requests of this minute are used up", 60, 0, 60),
    ("day", "the cloud's free requests of today are used up", DAY_S / 2 + 2, 0, DAY_S / 2 + 2),
    ("busy", "a:free is overloaded", 15, 0, 0),
    ("missing", "the cloud no longer has a:free", MISSING_REST_S, 0, 0),
    ("retained", "no provider of a:free promises to keep nothing", MISSING_REST_S, 0, 0),
    ("declined", "the cloud declined this content", 0, 0, 0),
    ("overflow", "this is too long for a:free", 0, 0, 0),
    ("broken", "the answer of a:free was damaged", 0, 0, 0),
)


def rest(standing: Standing, model: str, now: float) -> float:
    refused = admits(standing, model, now, free=model.endswith(":free"))
    if refused is None:
        return 0.0
    assert refused.reason
    assert refused.retry_at is not None
    return refused.retry_at - now


def test_every_failure_has_a_case() -> None:
    assert [failure for failure, *_ in CASES] == list(FAILURES)


@pytest.mark.parametrize(("failure", "note", "same", "paid", "free"), CASES)
def test_one_failure(failure: Failure, note: str, same: float, paid: float, free: float) -> None:
    standing, said = after(Standing(), "a:free", failure, NOON)
    assert said == note
    assert [rest(standing, model, NOON) for model in ("a:free", "b", "c:free")] == [same, paid, free]


@pytest.mark.parametrize("failure", ["credit", "minute", "day", "busy"])
def test_the_other_side_says_when(failure: Failure) -> None:
    standing, _ = after(Standing(), "a:free", failure, NOON, NOON + 5)
    assert rest(standing, "a:free", NOON) == 5


@pytest.mark.parametrize("failure", ["unreachable", "timeout"])
def test_the_door_closes_after_some(failure: Failure) -> None:
    standing = Standing()
    for number in range(FAILURES_TO_OPEN):
        assert rest(standing, "z", NOON) == 0
        standing, _ = after(standing, f"m{number}", failure, NOON)
    assert rest(standing, "z", NOON) > 0
    assert rest(succeeded(standing, "m0"), "z", NOON) == 0


@pytest.mark.parametrize("failure", ["timeout", "broken"])
def test_a_model_rests_after_some(failure: Failure) -> None:
    standing = Standing()
    for _ in range(FAILURES_TO_OPEN):
        standing, _ = after(standing, "a", failure, NOON)
        standing, _ = after(standing, "b", "declined", NOON)  # the door is well
    assert rest(standing, "a", NOON) > 0
    assert rest(standing, "b", NOON) == 0
    assert rest(succeeded(standing, "a"), "a", NOON) == 0


def test_what_answers_opens_the_door() -> None:
    standing = Standing()
    for failure in ("unreachable", "unreachable", "busy", "unreachable", "unreachable"):
        standing, _ = after(standing, "a", failure, NOON)
    assert rest(standing, "b", NOON) == 0


def test_one_request_tries_again() -> None:
    standing, _ = after(Standing(), "a", "busy", NOON, NOON + 5)
    standing, refused = entered(standing, "a", NOON + 5, free=False)
    assert refused is None
    assert entered(standing, "a", NOON + 6, free=False)[1] is not None
    assert entered(standing, "b", NOON + 6, free=False)[1] is None
    standing = succeeded(standing, "a")
    assert entered(standing, "a", NOON + 7, free=False)[1] is None
    assert standing.models == {}


def test_a_permit_is_taken_for_free_models_only() -> None:
    standing = Standing()
    for _ in range(MINUTE_MAX):
        standing, refused = entered(standing, "a:free", NOON, free=True)
        assert refused is None
    assert entered(standing, "a:free", NOON, free=True)[1] is not None
    standing, refused = entered(standing, "a", NOON, free=False)
    assert refused is None
    assert len(standing.quota.recent) == MINUTE_MAX


def test_a_refused_request_takes_no_permit() -> None:
    standing, _ = after(Standing(), "a:free", "busy", NOON, NOON + 5)
    assert entered(standing, "a:free", NOON, free=True)[0].quota.recent == ()


def test_models_are_not_kept_without_end() -> None:
    standing = Standing()
    for number in range(MODELS_KEPT_MAX + 10):
        standing, _ = after(standing, f"m{number}", "busy", NOON)
    assert len(standing.models) == MODELS_KEPT_MAX
    assert "m0" not in standing.models


@given(
    st.lists(st.tuples(st.sampled_from(FAILURES), st.sampled_from(["a:free", "b"]), st.sampled_from([0.0, 1.0, 90.0])))
)
def test_everything_recovers(failures: list[tuple[Failure, str, float]]) -> None:
    standing, now = Standing(), NOON
    for failure, model, wait in failures:
        now += wait
        standing, _ = after(standing, model, failure, now)
    for model in ("a:free", "b"):
        assert rest(standing, model, now) <= DAY_S + 2
        assert admits(standing, model, now + DAY_S + 2, free=model == "a:free") is None
