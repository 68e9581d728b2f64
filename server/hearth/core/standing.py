"""How the cloud is doing: the circuit breaker of its door, one for each model, and the quota of its free models.

`admits` says whether a model may be asked now; `entered` counts that it is; `after` turns a failure into what it means
for the next request, and into a clause for the user.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, get_args

from hearth.core import breaker as breakers
from hearth.core import quota as quotas
from hearth.core.breaker import Breaker
from hearth.core.quota import Quota, Refused

Failure = Literal[
    "unreachable", "timeout", "key", "credit", "minute", "day", "busy", "missing", "retained", "declined", "overflow",
    "broken",
]  # fmt: skip
"""unreachable: no connection. timeout: a deadline passed. key: 401, 403 for the key. credit: 402. minute, day: 429 by
the quota of free requests. busy: 429 or 5xx of the provider. missing: 404, or a free variant that ended. retained: no
provider promises to keep nothing. declined: 403 for the content. overflow: too long for the model. broken: the answer
is not what it should be, or ends in its midst."""
FAILURES: tuple[Failure, ...] = get_args(Failure)
KEY_REST_S = 3_600.0
CREDIT_REST_S = 900.0
MISSING_REST_S = 21_600.0
MODELS_KEPT_MAX = 64
_NOTES: dict[Failure, str] = {
    "unreachable": "the cloud cannot be reached",
    "timeout": "{model} did not answer in time",
    "key": "the cloud does not accept the key",
    "credit": "the cloud wants to be paid first",
    "minute": "the cloud's free requests of this minute are used up",
    "day": "the cloud's free requests of today are used up",
    "busy": "{model} is overloaded",
    "missing": "the cloud no longer has {model}",
    "retained": "no provider of {model} promises to keep nothing",
    "declined": "the cloud declined this content",
    "overflow": "this is too long for {model}",
    "broken": "the answer of {model} was damaged",
}


def _nothing() -> Mapping[str, Breaker]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Standing:
    """`door`: of the cloud as a whole. `models`: of those that failed lately."""

    door: Breaker = field(default_factory=Breaker)
    models: Mapping[str, Breaker] = field(default_factory=_nothing)
    quota: Quota = field(default_factory=Quota)


def admits(standing: Standing, model: str, now: float, *, free: bool, urgent: bool = True) -> Refused | None:
    """Why `model` may not be asked now; None if it may."""
    return (
        breakers.refusal(standing.door, now)
        or breakers.refusal(standing.models.get(model, Breaker()), now)
        or (quotas.refusal(standing.quota, now, urgent=urgent) if free else None)
    )


def entered(
    standing: Standing, model: str, now: float, *, free: bool, urgent: bool = True
) -> tuple[Standing, Refused | None]:
    """A request is about to be sent: a permit of the free quota is taken, and where somebody is being tried again, this
    is the one that tries. Or nothing is changed but what time has changed, and it may not be sent."""
    if refused := admits(standing, model, now, free=free, urgent=urgent):
        return standing, refused
    quota = quotas.take(standing.quota, now, urgent=urgent)[0] if free else standing.quota
    door, _ = breakers.enter(standing.door, now)
    models = dict(standing.models)
    if model in models:
        models[model], _ = breakers.enter(models[model], now)
    return Standing(door, MappingProxyType(models), quota), None


def succeeded(standing: Standing, model: str) -> Standing:
    """A request was answered."""
    models = {name: breaker for name, breaker in standing.models.items() if name != model}
    return replace(standing, door=breakers.succeeded(), models=MappingProxyType(models))


def after(
    standing: Standing, model: str, failure: Failure, now: float, retry_at: float | None = None
) -> tuple[Standing, str]:
    """A request failed; `retry_at`: when the other side said to come back. Gives a clause for the user as well."""
    why = _NOTES[failure].format(model=model)
    standing = replace(standing, door=_door_after(standing.door, failure, now, why, retry_at))
    if failure in ("minute", "day"):
        quota = quotas.limited(standing.quota, now, daily=failure == "day", until=retry_at)
        return replace(standing, quota=quota), why
    if failure in ("missing", "retained"):
        return _model_failed(standing, model, now, why, until=now + MISSING_REST_S), why
    if failure == "busy":
        return _model_failed(standing, model, now, why, until=retry_at), why
    if failure in ("timeout", "broken"):
        return _model_failed(standing, model, now, why, at_once=False), why
    return standing, why


def _door_after(door: Breaker, failure: Failure, now: float, why: str, retry_at: float | None) -> Breaker:
    if failure in ("unreachable", "timeout"):
        return breakers.failed(door, now, why)
    if failure == "key":
        return breakers.failed(door, now, why, until=now + KEY_REST_S)
    if failure == "credit":
        return breakers.failed(door, now, why, until=now + CREDIT_REST_S if retry_at is None else retry_at)
    return breakers.succeeded()  # it answered, whatever it said


def _model_failed(
    standing: Standing, model: str, now: float, why: str, *, at_once: bool = True, until: float | None = None
) -> Standing:
    models = dict(standing.models)
    models[model] = breakers.failed(models.pop(model, Breaker()), now, why, at_once=at_once, until=until)
    while len(models) > MODELS_KEPT_MAX:
        del models[next(iter(models))]  # the one that failed longest ago
    return replace(standing, models=MappingProxyType(models))
