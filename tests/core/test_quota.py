"""The free quota: never exceeded under any interleaving, nor by the other side's clock, and never locked for good."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.quota import (
    CLOCK_SKEW_S,
    DAY_KEPT_SHARE,
    DAY_MAX,
    DAY_MAX_PAID,
    DAY_S,
    MINUTE_KEPT,
    MINUTE_MAX,
    MINUTE_S,
    KeyStatus,
    Quota,
    counted,
    days_at,
    left_today,
    limited,
    observed,
    record,
    refusal,
    restored,
    take,
)

NOON = 20_000 * DAY_S + DAY_S / 2
MIDNIGHT = 20_001 * DAY_S


def taken(quota: Quota, count: int, now: float, step: float = 0.0, *, urgent: bool = True) -> tuple[Quota, int]:
    """The quota after so many attempts, and how many of them got a permit."""
    got = 0
    for number in range(count):
        quota, refused = take(quota, now + number * step, urgent=urgent)
        got += refused is None
    return quota, got


def test_a_minute_and_a_day() -> None:
    assert taken(Quota(), 30, NOON)[1] == MINUTE_MAX
    assert taken(Quota(), 200, NOON, 10.0)[1] == DAY_MAX
    assert taken(Quota(day_max=DAY_MAX_PAID), 1_100, NOON, 5.0)[1] == DAY_MAX_PAID


def test_refusals_say_why_and_when() -> None:
    quota, _ = taken(Quota(), MINUTE_MAX, NOON, 1.0)
    refused = refusal(quota, NOON + 30)
    assert refused is not None
    assert refused.reason == "20 free requests a minute are the most"
    assert refused.retry_at == NOON + MINUTE_S + CLOCK_SKEW_S
    quota, _ = taken(Quota(), DAY_MAX, NOON, 10.0)
    refused = refusal(quota, NOON + 5_000)
    assert refused is not None
    assert refused.reason == "today's 50 free requests are used up"
    assert refused.retry_at == MIDNIGHT + CLOCK_SKEW_S


def test_what_nobody_waits_for_leaves_some() -> None:
    quota, got = taken(Quota(), 30, NOON, urgent=False)
    assert got == MINUTE_MAX - MINUTE_KEPT
    assert taken(quota, 30, NOON)[1] == MINUTE_KEPT
    quota, got = taken(Quota(), 100, NOON, 10.0, urgent=False)
    assert got == DAY_MAX - int(DAY_MAX * DAY_KEPT_SHARE)
    assert taken(quota, 100, NOON + 2_000, 10.0)[1] == DAY_MAX - got


def test_a_new_day_is_new() -> None:
    quota, _ = taken(Quota(), DAY_MAX, NOON, 10.0)
    assert left_today(quota, NOON + 5_000) == 0
    assert left_today(quota, MIDNIGHT + CLOCK_SKEW_S) == DAY_MAX
    assert take(quota, MIDNIGHT + CLOCK_SKEW_S)[1] is None


def test_at_midnight_a_permit_counts_for_both_days() -> None:
    quota, refused = take(Quota(), MIDNIGHT - 1)
    assert refused is None
    assert left_today(quota, MIDNIGHT - 10) == left_today(quota, MIDNIGHT + 10) == DAY_MAX - 1


STATUSES = (
    (KeyStatus(), DAY_MAX, DAY_MAX - 3),
    (KeyStatus(free_tier=True), DAY_MAX, DAY_MAX - 3),
    (KeyStatus(free_tier=False), DAY_MAX_PAID, DAY_MAX_PAID - 3),
    (KeyStatus(free_tier=False, day_limit=50), 50, 47),
    (KeyStatus(free_tier=True, day_limit=1_000, day_used=400), 1_000, 600),
    (KeyStatus(day_used=1), DAY_MAX, DAY_MAX - 3),  # two are on their way
    (KeyStatus(day_used=70), DAY_MAX, 0),
    (KeyStatus(day_limit=0), 0, 0),
)


@pytest.mark.parametrize(("status", "day_max", "left"), STATUSES)
def test_the_key_endpoint_is_believed(status: KeyStatus, day_max: int, left: int) -> None:
    quota = observed(taken(Quota(), 3, NOON)[0], status, NOON)
    assert (quota.day_max, left_today(quota, NOON)) == (day_max, left)


def test_no_free_requests_at_all() -> None:
    refused = refusal(Quota(day_max=0), NOON)
    assert refused is not None
    assert (refused.reason, refused.retry_at) == ("this account has no free requests", None)


def test_the_other_sides_refusal_is_kept_to() -> None:
    daily = limited(Quota(), NOON, daily=True)
    assert refusal(daily, MIDNIGHT - 1) is not None
    assert refusal(daily, MIDNIGHT + CLOCK_SKEW_S) is None
    minute = limited(Quota(), NOON, daily=False)
    assert refusal(minute, NOON + MINUTE_S - 1) is not None
    assert refusal(minute, NOON + MINUTE_S) is None
    named = limited(Quota(), NOON, daily=True, until=NOON + 10)
    assert refusal(named, NOON + 9) is not None
    assert refusal(named, NOON + 10) is None
    absurd = limited(Quota(), NOON, daily=False, until=NOON + 1e9)
    assert refusal(absurd, NOON + DAY_S + 3) is None


def noted(quota: Quota, times: list[float], now: float) -> Quota:
    return counted(quota, times, Counter(day for time in times for day in days_at(time)), now)


def test_several_processes_share_what_is_written_down() -> None:
    times = [NOON + number for number in range(12)]
    quota = noted(Quota(), times, NOON + 20)
    assert (len(quota.recent), left_today(quota, NOON + 20)) == (12, DAY_MAX - 12)
    assert taken(quota, 30, NOON + 20)[1] == MINUTE_MAX - 12
    mine, _ = taken(Quota(), 5, NOON + 19.9)
    assert left_today(noted(mine, times[:3], NOON + 20), NOON + 20) == DAY_MAX - 5  # not written down yet
    assert len(noted(mine, [NOON - 4_000.0] * 30, NOON + 20).recent) == 5
    assert noted(Quota(), [NOON - 2 * DAY_S] * 80, NOON) == Quota()


def test_it_is_kept_over_a_restart() -> None:
    quota = limited(taken(Quota(), 7, MIDNIGHT - 1)[0], NOON, daily=False)
    assert restored(json.loads(json.dumps(record(quota)))) == quota


@pytest.mark.parametrize(
    "raw",
    [None, [], {"recent": 3, "days": {}}, {"days": [[1], [1, -2], ["a", 1], 4]}, {"recent": [True, "x", -1, 1e99]},
     {"day_max": True, "blocked_until": float("nan")}, {"day_max": -1, "blocked_until": None}],
)  # fmt: skip
def test_a_damaged_record_is_passed_over(raw: object) -> None:
    assert restored(raw) == Quota()


# Steps of several requesters: wait, then ask, be told something, or restart.
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.1, 1.0, 7.0, 61.0, 3_000.0, DAY_S / 3]),
        st.sampled_from(
            ["take", "take", "take", "spare", "burst", "restart", "ledger", "paid", "free", "status", "429"]
        ),
    ),
    max_size=60,
)


def seen_by(skew: float, times: list[float]) -> tuple[int, Counter[int]]:
    """The fullest minute and the requests of each day, by a clock that is off by `skew`."""
    arrived = sorted(time + skew for time in times)
    minute = max((sum(1 for t in arrived if start <= t < start + MINUTE_S) for start in arrived), default=0)
    return minute, Counter(int(time // DAY_S) for time in arrived)


@given(STEPS, st.sampled_from([NOON, MIDNIGHT - 5, MIDNIGHT - 0.5]))
def test_the_quota_is_never_exceeded(steps: list[tuple[float, str]], now: float) -> None:
    quota, sent, limits = Quota(), list[float](), list[int]()
    for wait, what in steps:
        now += wait
        if what in ("take", "spare", "burst"):
            for _ in range(25 if what == "burst" else 1):
                quota, refused = take(quota, now, urgent=what != "spare")
                if refused is None:
                    sent.append(now)
                else:
                    assert refused.retry_at is None or refused.retry_at > now
        elif what == "restart":
            quota = restored(json.loads(json.dumps(record(quota))))
        elif what in ("paid", "free"):
            quota = observed(quota, KeyStatus(free_tier=what == "free"), now)
        elif what == "ledger":
            quota = noted(Quota(quota.day_max, blocked_until=quota.blocked_until), sent, now)
        elif what == "status":
            quota = observed(quota, KeyStatus(day_used=40), now)
        else:
            quota = limited(quota, now, daily=False, until=now + 5)
        limits.append(quota.day_max)
    for skew in (-CLOCK_SKEW_S / 2, 0.0, CLOCK_SKEW_S / 2):
        minute, days = seen_by(skew, sent)
        assert minute <= MINUTE_MAX
        assert max(days.values(), default=0) <= max(limits, default=0)


@given(STEPS)
def test_who_waits_as_told_gets_through(steps: list[tuple[float, str]]) -> None:
    quota, now = Quota(), NOON
    for wait, _ in steps:
        now += wait
        quota, refused = take(quota, now)
        while refused is not None:
            assert refused.retry_at is not None
            assert refused.retry_at > now
            now = refused.retry_at
            quota, refused = take(quota, now)


@given(st.lists(st.sampled_from([-400 * DAY_S, -DAY_S, -3_600.0, -30.0, 0.0, 1.0]), max_size=60))
def test_turning_the_clock_back_opens_nothing(steps: list[float]) -> None:
    quota, now, got, forth = Quota(), NOON, 0, 0.0
    for step in steps:
        now += step
        forth += max(0.0, step)
        quota, refused = take(quota, now)
        got += refused is None
    assert got <= MINUTE_MAX * (1 + forth // MINUTE_S) <= DAY_MAX + MINUTE_MAX


@given(st.integers(0, 60), st.floats(1.0, 400 * DAY_S))
def test_turning_the_clock_back_does_not_lock(count: int, back: float) -> None:
    quota, _ = taken(Quota(), count, NOON)
    quota, _ = take(quota, NOON - back)
    assert refusal(quota, NOON - back + DAY_S + MINUTE_S + 3 * CLOCK_SKEW_S) is None


@given(STEPS)
def test_asking_changes_nothing(steps: list[tuple[float, str]]) -> None:
    quota, now = Quota(), NOON
    for wait, _ in steps:
        now += wait
        told = refusal(quota, now)
        quota, refused = take(quota, now)
        assert told == refused
