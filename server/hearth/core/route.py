"""Who is asked, in which order, and why: each attempt and everything that was passed over has its reason in words.

1. What static analysis answers asks no model.
2. The user's own models come first. They are passed over where they are not ready, where the prompt and its answer do
   not fit their context, or where the policy says no.
3. The cloud comes first where the user chose it, where a task touches several files, where no local model can take it,
   or where each would take too long by its measured speed. The local models stay behind it, for when the cloud fails.
   A completion at the cursor never goes there: it must be quick, and cloud models are not made for it.
4. In the cloud: the models that the user named, in that order, be they free or paid; else the free ones of the
   catalogue, those for code first. Each is passed over where its price is not known, where it does not fit, where it
   lacks what the task needs, where it rests after failures, where the free quota is used up, or where its price could
   pass the budget.

Nothing here is a promise: permits, money and breakers are taken by whoever sends (`standing.entered`, the ledger),
and a plan is made anew after each failure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from hearth.core import breaker, budget, catalogue, standing
from hearth.core.budget import ZERO, Budget
from hearth.core.catalogue import FREE_ENDING, FREE_ROUTER, Catalogue, Entry
from hearth.core.origin import Destination
from hearth.core.policy import Decision
from hearth.core.standing import Standing

Work = Literal["complete", "explain", "refactor", "fix", "test", "document", "ask", "task"]
FILES_LOCAL_MAX = 1
"""A task that touches more files is for a larger model."""
LOCAL_S_MAX = 120.0
"""A local model that would take longer for its whole answer stands behind the cloud."""
CLOUD_ATTEMPTS_MAX = 4
PASSED_MAX = 40
SAID_MAX = 5
CLOUD = "the cloud"
CODERS = ("devstral", "qwen3-coder", "coder", "codestral", "mimo", "minimax", "deepseek", "code")
"""Parts of the names of models that are made for code, best first."""


@dataclass(frozen=True, slots=True)
class Task:
    """`prompt_tokens`: about how many it has; `prompt_tokens_max`: the most it can be, by which money is forecast.
    `files`: how many it will touch. `needs`: parameters that the model must support, such as "tools". `answered`: what
    answers it without a model, "" for nothing. `urgent`: the user waits for it."""

    kind: Work
    prompt_tokens: int
    output_tokens: int
    prompt_tokens_max: int = 0
    files: int = 1
    needs: frozenset[str] = frozenset()
    answered: str = ""
    urgent: bool = True


@dataclass(frozen=True, slots=True)
class Local:
    """A model server of the user's, on this machine or on a host of theirs. `context_tokens`: its true context. Speeds
    in tokens a second, None until measured. `problem`: why it is not ready, "" if it is."""

    name: str
    model: str
    context_tokens: int
    place: Literal["machine", "own"] = "machine"
    problem: str = ""
    reads_per_s: float | None = None
    writes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """`locals`: in the user's order. `offline`: there is no network."""

    locals: tuple[Local, ...] = ()
    cloud: Standing = field(default_factory=Standing)
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user chose: for this request (`place`, and there `model`), and in the settings (`models`)."""

    place: Literal["auto", "local", "cloud"] = "auto"
    model: str = ""
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """`name`: of the server, CLOUD for the cloud. `forecast`: the most it can cost, in USD. `policy`: what must be done
    before (mask, ask). `output_tokens`: the most to ask for. `entry`: in the cloud."""

    place: Destination
    name: str
    model: str
    reason: str
    policy: Decision
    output_tokens: int
    forecast: Decimal = ZERO
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """Who was not taken, and why: a clause."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`reason`: one clause, why the first is the first, or why there is none."""

    attempts: tuple[Attempt, ...]
    passed: tuple[Passed, ...]
    reason: str


def plan(
    task: Task,
    verdicts: Mapping[Destination, Decision],
    health: Health,
    money: Budget,
    models: Catalogue,
    choice: Choice,
    now: float,
) -> Plan:
    """The attempts in order. `verdicts` on the prompt's origins: a place without one is closed. `now`: epoch time."""
    if task.answered:
        return Plan((), (), f"{task.answered} answers this without a model")
    servers = sorted(health.locals, key=lambda one: bool(choice.model) and one.model != choice.model)
    quick, slow, passed = _local(task, verdicts, servers, choice.model)
    here = [*quick, *slow]
    why, closed = _why_cloud(task, quick, slow, passed, choice), _why_not_cloud(task, verdicts, health, choice, now)
    if not why:
        closed = closed or "a local model can do this"
    away: list[Attempt] = []
    if closed:
        passed.append(Passed(CLOUD, closed))
    else:
        away, over = _cloud(_Asked(task, verdicts["cloud"], health.cloud, money, models, now, why), choice)
        passed += over
    if away:
        here = [_behind(attempt) for attempt in here]
    attempts = (*away, *here)
    return Plan(attempts, tuple(passed[:PASSED_MAX]), _summary(attempts, passed, why))


def asks_cloud(
    task: Task, verdicts: Mapping[Destination, Decision], health: Health, choice: Choice, now: float
) -> bool:
    """Whether a plan would look at the cloud's models: then its catalogue must be known first."""
    quick, slow, passed = _local(task, verdicts, health.locals, choice.model)
    wanted = _why_cloud(task, quick, slow, passed, choice)
    return bool(wanted) and not task.answered and not _why_not_cloud(task, verdicts, health, choice, now)


def _summary(attempts: Sequence[Attempt], passed: Sequence[Passed], why: str) -> str:
    if not attempts:
        return "; ".join(f"{one.name}: {one.reason}" for one in passed[:SAID_MAX]) or "there is no model"
    first = attempts[0]
    if first.place != "cloud" and why:
        cloud = next((one for one in passed if one.name == CLOUD), None) or passed[-1]
        return f"{why}, but {cloud.name}: {cloud.reason}; so {first.model} answers"
    return first.reason


# The user's own models


def _local(
    task: Task, verdicts: Mapping[Destination, Decision], servers: Iterable[Local], chosen: str = ""
) -> tuple[list[Attempt], list[Attempt], list[Passed]]:
    """Those that can take the task, and those that would take too long for it. The one that the user has `chosen` by
    its name may take as long as it likes."""
    quick: list[Attempt] = []
    slow: list[Attempt] = []
    passed: list[Passed] = []
    for server in servers:
        verdict = verdicts.get(server.place)
        total = task.prompt_tokens + task.output_tokens
        if verdict is None or not verdict.allowed:
            passed.append(Passed(server.name, verdict.reason if verdict else "nobody decided whether it may be asked"))
        elif server.problem:
            passed.append(Passed(server.name, server.problem))
        elif total > server.context_tokens:
            room = f"{total} tokens do not fit its context of {server.context_tokens}"
            passed.append(Passed(server.name, room))
        else:
            seconds = seconds_for(task, server)
            where = "on this machine" if server.place == "machine" else "on a host of yours"
            pace = f", though it needs about {seconds:.0f} s" if seconds > LOCAL_S_MAX else ""
            reason = f"{server.model} {where} is ready and the task fits it{pace}"
            attempt = Attempt(server.place, server.name, server.model, reason, verdict, task.output_tokens)
            (slow if pace and server.model != chosen else quick).append(attempt)
    return quick, slow, passed


def seconds_for(task: Task, server: Local) -> float:
    """How long the whole answer takes at the measured speeds; what was not measured counts nothing."""
    read = task.prompt_tokens / server.reads_per_s if server.reads_per_s else 0.0
    return read + (task.output_tokens / server.writes_per_s if server.writes_per_s else 0.0)


def _behind(attempt: Attempt) -> Attempt:
    return replace(attempt, reason=f"{attempt.model} answers if {CLOUD} does not")


# The cloud


def _why_cloud(
    task: Task, quick: Sequence[Attempt], slow: Sequence[Attempt], passed: Sequence[Passed], choice: Choice
) -> str:
    """Why the cloud should be first, "" if it should not be asked."""
    if choice.place == "cloud":
        return "you chose the cloud"
    if task.files > FILES_LOCAL_MAX:
        return f"the task touches {task.files} files"
    if quick:
        return ""
    if slow:
        return f"{slow[0].model} would take too long for this"
    first = f" ({passed[0].name}: {passed[0].reason})" if passed else ""
    return f"no local model can take this{first}"


def _why_not_cloud(
    task: Task, verdicts: Mapping[Destination, Decision], health: Health, choice: Choice, now: float
) -> str:
    """Why nothing of the cloud can be asked at all, "" if it can."""
    if choice.place == "local":
        return "you chose a local model"
    if task.kind == "complete":
        return "completions stay with your own models"
    verdict = verdicts.get("cloud")
    if verdict is None or verdict.verdict == "deny":
        return verdict.reason if verdict else "nobody decided whether it may be asked"
    if health.offline:
        return "there is no network"
    refused = breaker.refusal(health.cloud.door, now)
    return f"{refused.reason}{when(refused.retry_at, now)}" if refused else ""


@dataclass(frozen=True, slots=True)
class _Asked:
    task: Task
    policy: Decision
    standing: Standing
    money: Budget
    models: Catalogue
    now: float
    why: str


def _cloud(asked: _Asked, choice: Choice) -> tuple[list[Attempt], list[Passed]]:
    attempts: list[Attempt] = []
    passed: list[Passed] = []
    named = (choice.model,) if choice.model and choice.place == "cloud" else choice.models
    for model in dict.fromkeys(named or best_free(asked.models, asked.now)):
        found = _attempt(asked, model)
        if isinstance(found, Passed):
            passed.append(found)
        elif len(attempts) >= CLOUD_ATTEMPTS_MAX:
            passed.append(Passed(model, f"{CLOUD_ATTEMPTS_MAX} models are enough"))
        else:
            attempts.append(found)
    if not named and not attempts and not passed:
        passed.append(Passed(CLOUD, "it lists no free model, and you named none"))
    return attempts, passed


def _attempt(asked: _Asked, model: str) -> Attempt | Passed:
    entry = asked.models.get(model)
    if entry is None:
        return Passed(model, "it is not in the catalogue, so its price is not known")
    output = min(asked.task.output_tokens, entry.output_tokens_max or asked.task.output_tokens)
    most = max(asked.task.prompt_tokens, asked.task.prompt_tokens_max)
    forecast = catalogue.forecast(entry, most, output)
    for test in (_unfit, _unable, _resting):
        if reason := test(asked, entry, output):
            return Passed(model, reason)
    if refused := budget.refusal(asked.money, forecast, asked.now):
        return Passed(model, f"{refused.reason}{when(refused.retry_at, asked.now)}")
    assert forecast is not None
    price = "is free" if entry.free else f"costs at most {budget.money(forecast)}"
    return Attempt("cloud", CLOUD, model, f"{asked.why}, and {model} {price}", asked.policy, output, forecast, entry)


def _unfit(asked: _Asked, entry: Entry, output: int) -> str:
    total = asked.task.prompt_tokens + output
    if not entry.context_tokens:
        return "its context is not known"
    return f"{total} tokens do not fit its context of {entry.context_tokens}" if total > entry.context_tokens else ""


def _unable(asked: _Asked, entry: Entry, output: int) -> str:
    lacking = sorted(asked.task.needs - entry.parameters)
    return _unable_at_all(entry, asked.now) or (f"it does not support {', '.join(lacking)}" if lacking else "")


def _unable_at_all(entry: Entry, now: float) -> str:
    """Why it can take no task whatever."""
    if catalogue.expired(entry, now):
        return f"it ended on {entry.expires}"
    if not entry.writes:
        return "it does not answer with text"
    return "no provider of it promises to keep nothing" if entry.private is False else ""


def _resting(asked: _Asked, entry: Entry, output: int) -> str:
    refused = standing.admits(asked.standing, entry.id, asked.now, free=entry.free, urgent=asked.task.urgent)
    return f"{refused.reason}{when(refused.retry_at, asked.now)}" if refused else ""


def best_free(models: Catalogue, now: float) -> list[str]:
    """The free models, those made for code first, then by context; the router that takes any of them last."""
    free = [entry for entry in models.entries.values() if entry.free and not _unable_at_all(entry, now)]
    free = [entry for entry in free if entry.id.endswith(FREE_ENDING) or entry.id == FREE_ROUTER]
    return [entry.id for entry in sorted(free, key=_rank)]


def _rank(entry: Entry) -> tuple[bool, int, int, str]:
    coder = next((number for number, part in enumerate(CODERS) if part in entry.id), len(CODERS))
    return entry.id == FREE_ROUTER, coder, -entry.context_tokens, entry.id


def when(retry_at: float | None, now: float) -> str:
    """`, again in 40 s`; "" where nobody knows."""
    if retry_at is None:
        return ""
    seconds = max(1, round(retry_at - now))
    for unit, size in (("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f", again in {round(seconds / size)} {unit}"
    return f", again in {seconds} s"
