"""A circuit breaker: whom to leave alone after failures, and for how long.

closed     all may pass; FAILURES_TO_OPEN in a row, or one that says so, open it
open       nobody passes until a time, which grows with each opening in a row
half-open  the time has passed: one may try. Its success closes the breaker, its failure opens it again; if nothing is
           heard of it for TRIAL_S, the next one may try

Pure: each function gives the next state; `now` is in seconds and always of the same clock.
"""

from dataclasses import dataclass, replace
from typing import Literal

from hearth.core.quota import Refused

State = Literal["closed", "open", "half-open"]
FAILURES_TO_OPEN = 3
OPEN_S = (15.0, 60.0, 300.0, 900.0)
"""How long it stays open, by openings in a row; the last figure repeats."""
OPEN_S_MAX = 86_400.0
"""Also where the other side asks for more."""
TRIAL_S = 60.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row. `openings` in a row, 0 while closed; the last was at `since`. `trial_until`: somebody tries.
    `why`: a clause."""

    failures: int = 0
    openings: int = 0
    since: float = 0.0
    until: float = 0.0
    trial_until: float = 0.0
    why: str = ""


def state(breaker: Breaker, now: float) -> State:
    """What it is at `now`."""
    if not breaker.openings:
        return "closed"
    # Before it opened: the clock was turned back, and must not keep it open until it is right again.
    return "open" if breaker.since <= now < breaker.until else "half-open"


def refusal(breaker: Breaker, now: float) -> Refused | None:
    """Why nobody may pass now, without passing."""
    if state(breaker, now) == "open":
        return Refused(breaker.why, breaker.until)
    if now < breaker.trial_until <= now + TRIAL_S:
        return Refused(f"{breaker.why}, and it is being tried again", breaker.trial_until)
    return None


def enter(breaker: Breaker, now: float) -> tuple[Breaker, Refused | None]:
    """Pass, or why not. Whoever passes says `failed` or `succeeded` in the end."""
    if refused := refusal(breaker, now):
        return breaker, refused
    if state(breaker, now) == "half-open":
        return replace(breaker, trial_until=now + TRIAL_S), None
    return breaker, None


def failed(breaker: Breaker, now: float, why: str, *, at_once: bool = False, until: float | None = None) -> Breaker:
    """After a failure. `at_once`: one is enough to open. `until`: how long the other side wants to be left alone."""
    failures = breaker.failures + 1
    if not (at_once or until is not None or breaker.openings or failures >= FAILURES_TO_OPEN):
        return replace(breaker, failures=failures, why=why)
    open_until = breaker.until if state(breaker, now) == "open" else now
    if open_until > now and until is None:
        # One that was on its way before it opened: news of the same trouble.
        return replace(breaker, failures=failures)
    rest = OPEN_S[min(breaker.openings, len(OPEN_S) - 1)]
    end = max(open_until, now + rest if until is None else min(until, now + OPEN_S_MAX))
    return Breaker(failures, breaker.openings + 1, now, end, 0.0, why)


def succeeded() -> Breaker:
    """After a success: nothing is held against anybody."""
    return Breaker()
