"""The quota of a cloud's free models, as a state machine: a permit is taken or refused with the time to try again.

So many requests a minute and so many in a UTC day; failed ones count, so a permit is never given back. Times are
seconds since the epoch and arguments. The other side's clock may differ by CLOCK_SKEW_S: near midnight a permit counts
for both days. Turning our own clock back opens nothing, and locks nothing for longer than the quota itself would.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hearth.core.jsonlike import items, number, table, whole

MINUTE_S = 60.0
DAY_S = 86_400.0
CLOCK_SKEW_S = 2.0
MINUTE_MAX = 20
DAY_MAX = 50
"""Of an account that bought less than 10 credits; assumed until the key endpoint says more."""
DAY_MAX_PAID = 1_000
MINUTE_KEPT = 4
DAY_KEPT_SHARE = 0.1
"""What nobody waits for leaves so many of a minute's, and this share of a day's, to what somebody does."""
LIMIT_MAX = 1_000_000
DAYS_KEPT = 3
EPOCH_S_MAX = 1e12


@dataclass(frozen=True, slots=True)
class Refused:
    """`reason`: one clause for the user. `retry_at`: when it may work, None where waiting does not help."""

    reason: str
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """`recent`: when the last minute's permits were given, oldest first. `days`: (UTC day, permits given in it).
    `blocked_until`: the other side said so."""

    day_max: int = DAY_MAX
    minute_max: int = MINUTE_MAX
    recent: tuple[float, ...] = ()
    days: tuple[tuple[int, int], ...] = ()
    blocked_until: float = 0.0


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """What the key endpoint says of an account, None for what it does not say. `left`: what it may spend, in USD."""

    free_tier: bool | None = None
    day_limit: int | None = None
    day_used: int | None = None
    left: float | None = None


def take(quota: Quota, now: float, *, urgent: bool = True) -> tuple[Quota, Refused | None]:
    """A permit for one request, counted at once; or why there is none. `urgent`: the user waits for it."""
    quota = _aged(quota, now)
    if refused := _refusal(quota, now, urgent=urgent):
        return quota, refused
    used = dict(quota.days)
    for day in days_at(now):
        used[day] = used.get(day, 0) + 1
    return replace(quota, recent=(*quota.recent, now), days=tuple(sorted(used.items()))), None


def refusal(quota: Quota, now: float, *, urgent: bool = True) -> Refused | None:
    """What `take` would say, without taking anything."""
    return _refusal(_aged(quota, now), now, urgent=urgent)


def left_today(quota: Quota, now: float) -> int:
    """Permits left of the day."""
    used = dict(_aged(quota, now).days)
    return max(0, quota.day_max - max(used.get(day, 0) for day in days_at(now)))


def observed(quota: Quota, status: KeyStatus, now: float) -> Quota:
    """After the key endpoint was asked. Ours is the higher count while requests are on their way, theirs where another
    program uses the same account."""
    quota = _aged(quota, now)
    limit = status.day_limit
    if limit is None and status.free_tier is not None:
        limit = DAY_MAX if status.free_tier else DAY_MAX_PAID
    if limit is not None:
        quota = replace(quota, day_max=max(0, min(limit, LIMIT_MAX)))
    if status.day_used is not None:
        # At midnight theirs may still be the old day's.
        day, used = days_at(now)[0], dict(quota.days)
        used[day] = max(used.get(day, 0), min(status.day_used, LIMIT_MAX))
        quota = replace(quota, days=tuple(sorted(used.items())))
    return quota


def counted(quota: Quota, latest: Iterable[float], days: Mapping[int, int], now: float) -> Quota:
    """With the requests that are written down, by whichever process, for a quota that several share: the times of the
    latest, and how many there were on each of their days (see days_at)."""
    known = Counter(dict(days)) | Counter(dict(quota.days))
    # Our own permits are among them, a little earlier: so one list or the other, not both.
    quota = _aged(replace(quota, days=tuple(sorted(known.items()))), now)
    recent = _aged(replace(quota, recent=tuple(sorted(latest))), now).recent
    return replace(quota, recent=max(recent, quota.recent, key=len))


def limited(quota: Quota, now: float, *, daily: bool, until: float | None = None) -> Quota:
    """After a refusal by the other side (429) for its quota a minute or a day; `until`: when it said to come back."""
    usual = (days_at(now)[-1] + 1) * DAY_S + CLOCK_SKEW_S if daily else now + MINUTE_S
    until = usual if until is None else max(now, until)
    return _aged(replace(quota, blocked_until=max(quota.blocked_until, until)), now)


def record(quota: Quota) -> dict[str, Any]:
    """What to keep for the next start."""
    return {"day_max": quota.day_max, "recent": list(quota.recent), "days": [list(day) for day in quota.days],
            "blocked_until": quota.blocked_until}  # fmt: skip


def restored(raw: object) -> Quota:
    """A quota from a record; what is damaged in it is left out."""
    entries = table(raw)
    recent = [time for entry in items(entries.get("recent")) if (time := number(entry, EPOCH_S_MAX)) is not None]
    days: dict[int, int] = {}
    for entry in items(entries.get("days")):
        pair = [whole(value, LIMIT_MAX) for value in items(entry)]
        if len(pair) == 2 and pair[0] is not None and pair[1] is not None:
            days[pair[0]] = max(pair[1], days.get(pair[0], 0))
    limit = whole(entries.get("day_max"), LIMIT_MAX)
    return Quota(
        day_max=DAY_MAX if limit is None else limit,
        recent=tuple(sorted(recent)[-MINUTE_MAX:]),
        days=tuple(sorted(days.items())[-DAYS_KEPT:]),
        blocked_until=number(entries.get("blocked_until"), EPOCH_S_MAX) or 0.0,
    )


def days_at(now: float) -> tuple[int, ...]:
    """The UTC day, or both where the other side may already or still have another one."""
    first, last = int((now - CLOCK_SKEW_S) // DAY_S), int((now + CLOCK_SKEW_S) // DAY_S)
    return (first,) if first == last else (first, last)


def _aged(quota: Quota, now: float) -> Quota:
    """Without what no longer counts. What lies in the future was noted by a wrong clock: it counts from now."""
    first, last = days_at(now)[0], days_at(now)[-1]
    recent = tuple(min(time, now) for time in quota.recent if time > now - MINUTE_S - CLOCK_SKEW_S)
    days: dict[int, int] = {}
    for day, used in quota.days:
        if day >= first:
            days[min(day, last)] = max(used, days.get(min(day, last), 0))
    blocked = min(quota.blocked_until, now + DAY_S + CLOCK_SKEW_S)
    return replace(quota, recent=recent, days=tuple(sorted(days.items())), blocked_until=blocked)


def _refusal(quota: Quota, now: float, *, urgent: bool) -> Refused | None:
    if now < quota.blocked_until:
        return Refused("the cloud's free quota is used up", quota.blocked_until)
    kept = 0 if urgent else int(quota.day_max * DAY_KEPT_SHARE)
    used, days = dict(quota.days), days_at(now)
    full = [day for day in days if used.get(day, 0) >= quota.day_max - kept]
    if full:
        again = (full[-1] + 1) * DAY_S + CLOCK_SKEW_S
        if quota.day_max - kept <= 0:
            return Refused("this account has no free requests")
        return Refused(f"today's {quota.day_max} free requests are used up", again)
    most = quota.minute_max if urgent else quota.minute_max - MINUTE_KEPT
    if len(quota.recent) >= most:
        again = quota.recent[-most] + MINUTE_S + CLOCK_SKEW_S if most > 0 else None
        return Refused(f"{quota.minute_max} free requests a minute are the most", again)
    return None
