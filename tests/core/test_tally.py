"""What is kept up record by record is what one would find by looking at everything again."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from hearth.core.budget import HELD_S_MAX, ZERO, Budget, left, refusal
from hearth.core.ledger_record import NOT_SENT, Bill, Intent, Record, Result, What
from hearth.core.quota import DAY_S, MINUTE_MAX, Quota, left_today
from hearth.core.tally import LATEST_MAX, Tally

NOON = 20_000 * DAY_S + DAY_S / 2
MIDNIGHT = 20_000 * DAY_S
CAP = Decimal("0.50")


@dataclass(frozen=True)
class Outlay:
    """A request: when it began and ended (None: not yet), what it reserved and what it cost (None: nobody said)."""

    began: float
    reserved: Decimal
    ended: float | None = None
    cost: Decimal | None = None


def looked_at_again(outlays: Iterable[Outlay], now: float) -> tuple[Decimal, Decimal]:
    """What is spent today, and what is held, by going through all of them."""
    today, spent, held = int(now // DAY_S), ZERO, ZERO
    for one in outlays:
        if one.ended is None and now - one.began < HELD_S_MAX:
            held += one.reserved
        elif int((one.began if one.ended is None else one.ended) // DAY_S) >= today:
            spent += one.reserved if one.cost is None else one.cost
    return spent, held


Log = list[tuple[float, Record]]


def log_of(*events: tuple[float, What]) -> Log:
    return [(time, Record(seq, "", "", what)) for seq, (time, what) in enumerate(events, 1)]


def chat(estimated: str | None) -> Intent:
    return Intent("chat", "h", estimated=None if estimated is None else Decimal(estimated))


def of(records: Log, since: float = MIDNIGHT - HELD_S_MAX) -> Tally:
    tally = Tally()
    tally.feed(records, since)
    return tally


def test_what_counts() -> None:
    tally = of(
        log_of(
            (NOON - DAY_S, chat("0.40")),  # yesterday
            (MIDNIGHT - 5, chat("0.40")),
            (MIDNIGHT + 5, Result(2, "done", cost=Decimal("0.01"))),  # over midnight
            (NOON - 7_000, chat("0.03")),  # its sender died
            (NOON - 100, chat("0.10")),
            (NOON - 90, Result(5, "done", cost=Decimal("0.02"))),
            (NOON - 100, chat("0.10")),
            (NOON - 90, Result(7, "cancelled")),  # nobody said
            (NOON - 100, chat("0.10")),
            (NOON - 90, Result(9, NOT_SENT)),
            (NOON - 80, Intent("catalogue", "h")),
            (NOON - 10, chat("0.05")),  # on its way
        )
    )
    budget = tally.budget(CAP, NOON)
    assert budget == Budget(CAP, 20_000, Decimal("0.16"), (("12", Decimal("0.05")),))
    assert left(budget, NOON) == Decimal("0.29")
    assert tally.budget(CAP, NOON + DAY_S).spent == ZERO


def test_a_bill_gives_back_what_was_only_reserved() -> None:
    log = log_of(
        (NOON, chat("0.10")),
        (NOON + 1, Result(1, "cancelled")),
        (NOON + 2, Bill(1, Decimal("0.02"))),
        (NOON + 3, chat("0.10")),
        (NOON + 4, Result(4, "done", cost=Decimal("0.01"))),
    )
    assert of(log[:2]).budget(CAP, NOON + 5).spent == Decimal("0.10")
    assert of(log).budget(CAP, NOON + 5).spent == Decimal("0.03")
    # One that cannot be counts as what was reserved, and a second one for nothing.
    absurd = (NOON, replace(log[2][1], what=Bill(1, Decimal("-5"))))
    assert of([*log[:2], absurd, log[2]]).budget(CAP, NOON + 5).spent == Decimal("0.10")


def test_free_requests_count_once_they_were_sent() -> None:
    tally = of(
        log_of(
            (NOON, chat("0")),
            (NOON + 1, Result(1, "failed", cost=ZERO)),
            (NOON + 2, chat("0")),
            (NOON + 3, Result(3, NOT_SENT)),
            (NOON + 4, chat("0.1")),
            (NOON + 5, chat("0")),
        )
    )
    quota = tally.quota(Quota(), NOON + 6)
    assert (left_today(quota, NOON + 6), quota.recent) == (48, (NOON, NOON + 5))
    assert left_today(tally.quota(Quota(), NOON + DAY_S), NOON + DAY_S) == 50


def test_of_many_free_requests_enough_is_known() -> None:
    tally = of(log_of(*[(NOON + number / 10, chat("0")) for number in range(2 * LATEST_MAX)]))
    quota = tally.quota(Quota(day_max=1_000), NOON + 20)
    assert LATEST_MAX > len(quota.recent) - 1 >= MINUTE_MAX
    assert left_today(quota, NOON + 20) == 1_000 - 2 * LATEST_MAX


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 61.0, 1_800.0, HELD_S_MAX, DAY_S / 4, DAY_S]),
        st.sampled_from(["ask", "ask", "done", "unknown", "not sent", "bill"]),
        st.integers(0, 9),
    ),
    max_size=50,
)


@given(STEPS, st.sampled_from([NOON, MIDNIGHT - 1_000]))
def test_record_by_record_is_as_all_at_once(steps: list[tuple[float, str, int]], now: float) -> None:
    kept, outlays, unpriced, running = Tally(), dict[int, Outlay](), list[int](), list[int]()
    log: Log = []
    for wait, what, value in steps:
        now += wait
        since, amount = now // DAY_S * DAY_S - HELD_S_MAX, Decimal(value) / 100
        record: What | None = None
        if what == "ask":
            record = Intent("chat", "h", estimated=amount)
            running.append(len(log) + 1)
            outlays[len(log) + 1] = Outlay(now, amount)
        elif what == "bill" and unpriced:
            record = Bill(unpriced.pop(value % len(unpriced)), amount)
            outlays[record.intent] = replace(outlays[record.intent], cost=amount)
        elif what != "bill" and running:
            seq = running.pop(value % len(running))
            cost = {"done": amount, "unknown": None, "not sent": ZERO}[what]
            record = Result(seq, what, cost=cost)
            outlays[seq] = replace(outlays[seq], ended=now, cost=cost)
            unpriced += [seq] if cost is None else []
        if record is not None:
            log.append((now, Record(len(log) + 1, "", "", record)))
            kept.forget(since)
            kept.feed(log[-1:], since)
        counting = [one for one in outlays.values() if one.began >= since]
        for tally in (kept, of(log, since)):
            budget = tally.budget(CAP, now)
            spent, held = looked_at_again(counting, now)
            assert budget.reserved == held
            assert budget.spent >= spent, "what began too long ago may count still; never less"
            if all(one.began >= since for one in outlays.values()):
                assert budget.spent == spent
        assert kept.quota(Quota(), now).recent == of(log, since).quota(Quota(), now).recent


AMOUNTS = st.decimals(min_value=0, max_value=1, places=6)
SENDS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), AMOUNTS),
        st.tuples(st.just("settle"), st.integers(0, 10)),  # tenths of the reservation that it did cost
        st.tuples(st.just("unknown"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([1.0, HELD_S_MAX / 3, DAY_S / 4, DAY_S])),
    ),
    max_size=60,
)


@given(SENDS, st.decimals(min_value=0, max_value=2, places=3), st.randoms(use_true_random=False))
def test_the_cap_holds_under_any_interleaving(steps: list[tuple[str, object]], cap: Decimal, chance) -> None:
    """Each request is looked at as before sending: under the ledger's lock, by what is written down until then."""
    tally, now, number = Tally(), NOON, 0
    running, spent = dict[int, tuple[float, Decimal]](), dict[int, Decimal]()

    def write(what: What) -> int:
        nonlocal number
        number += 1
        tally.feed([(now, Record(number, "", "", what))], now // DAY_S * DAY_S - HELD_S_MAX)
        return number

    for what, value in steps:
        if what == "wait":
            assert isinstance(value, float)
            now += value
        elif what == "send":
            assert isinstance(value, Decimal)
            if refusal(tally.budget(cap, now), value, now) is None:
                running[write(Intent("chat", "h", estimated=value))] = (now, value)
        elif running:
            seq = chance.choice(sorted(running))
            _, held = running.pop(seq)
            cost = held * value / 10 if isinstance(value, int) else None
            write(Result(seq, "done", cost=cost))
            day = int(now // DAY_S)
            spent[day] = spent.get(day, ZERO) + (held if cost is None else cost)
        tally.forget(now // DAY_S * DAY_S - HELD_S_MAX)
        # What has not ended within its time never will, so far as money goes.
        running = {seq: one for seq, one in running.items() if now - one[0] < HELD_S_MAX}
        on_their_way = sum((amount for _, amount in running.values()), ZERO)
        # What is still on its way may come to cost all that it reserved, today.
        assert spent.get(int(now // DAY_S), ZERO) + on_their_way <= cap
        assert tally.budget(cap, now).reserved == on_their_way
