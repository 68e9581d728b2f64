"""Who is asked, in which order and why: local first, the cloud for what is too much, and nothing unpriced or unpaid."""

import itertools
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.budget import Budget, refusal
from hearth.core.catalogue import Catalogue, Entry, marked
from hearth.core.policy import Decision
from hearth.core.quota import DAY_S, MINUTE_MAX, Quota, take
from hearth.core.route import (
    CLOUD,
    CLOUD_ATTEMPTS_MAX,
    PASSED_MAX,
    SAID_MAX,
    Attempt,
    Choice,
    Health,
    Local,
    Plan,
    Task,
    asks_cloud,
    best_free,
    plan,
    seconds_for,
    when,
)
from hearth.core.standing import Standing, after

NOON = 20_000 * DAY_S + DAY_S / 2
ALLOW, MASK, ASK = Decision("allow", "fine"), Decision("redact", "masked"), Decision("ask", "only if you agree")
DENY = Decision("deny", ".env is a file of secrets")
OPEN = {"machine": ALLOW, "own": MASK, "cloud": ASK}
ZERO = Decimal(0)


def entry(name: str, price: str | None = "0", context: int = 100_000, **more: object) -> Entry:
    cost = None if price is None else Decimal(price)
    return Entry(name, context, 8_000, cost, cost, ZERO, frozenset({"tools", "max_tokens"}), **more)  # type: ignore[arg-type]


MODELS = [
    entry("maker/general:free"),
    entry("maker/coder:free"),
    entry("maker/devstral-2:free", context=30_000),
    entry("openrouter/free", context=200_000),
    entry("maker/old-coder:free", expires="2020-01-01"),
    entry("maker/painter:free", writes=False),
    entry("maker/stealth"),
    entry("maker/paid", "0.000001"),
    entry("maker/dear", "0.0001"),
    entry("openrouter/auto", None),
    entry("maker/tiny:free", context=1_000),
    entry("maker/unsized:free", context=0),
    replace(entry("maker/plain:free"), parameters=frozenset({"max_tokens"})),
]
SMALL = Local("llama.cpp", "small", 8_192, reads_per_s=500, writes_per_s=30)
BIG = Local("box", "big", 65_536, "own", reads_per_s=2_000, writes_per_s=60)
ASKED = Task("explain", 1_000, 500)
WIDE = Task("task", 3_000, 2_000, files=5, needs=frozenset({"tools"}))
NAMED = Choice(models=("maker/paid", "maker/coder:free"))


def catalogue_of(models: list[Entry]) -> Catalogue:
    return Catalogue({model.id: model for model in models})


WORLD = catalogue_of(MODELS)


def planned(
    task: Task = ASKED,
    verdicts: dict[str, Decision] | None = None,
    health: Health | None = None,
    money: Budget | None = None,
    choice: Choice | None = None,
    models: Catalogue = WORLD,
    now: float = NOON,
) -> Plan:
    return plan(
        task,
        OPEN if verdicts is None else verdicts,  # type: ignore[arg-type]
        health or Health((SMALL, BIG)),
        money or Budget(Decimal("0.50")),
        models,
        choice or Choice(),
        now,
    )


def order(made: Plan) -> list[str]:
    return [attempt.model for attempt in made.attempts]


def why_not(made: Plan, name: str) -> str:
    return next(passed.reason for passed in made.passed if passed.name == name)


FREE = ["maker/devstral-2:free", "maker/coder:free", "maker/general:free"]
DEEP = Task("ask", 70_000, 500)
DOWN = replace(SMALL, problem="it is not running")


@dataclass(frozen=True)
class Case:
    name: str
    expected: list[str]
    reason: str
    passed: dict[str, str]
    made: Plan


CASES = (
    Case(
        "local first",
        ["small", "big"],
        "small on this machine is ready and the task fits it",
        {CLOUD: "a local model can do this"},
        planned(),
    ),
    Case(
        "static analysis",
        [],
        "the symbol table answers this without a model",
        {},
        planned(replace(ASKED, answered="the symbol table"), choice=Choice("cloud")),
    ),
    Case(
        "what does not fit the first goes to the second",
        ["big"],
        "big on a host of yours is ready and the task fits it",
        {"llama.cpp": "20500 tokens do not fit its context of 8192", CLOUD: "a local model can do this"},
        planned(replace(ASKED, prompt_tokens=20_000)),
    ),
    Case(
        "what fits none goes to the cloud",
        ["maker/coder:free", "maker/general:free", "maker/plain:free", "openrouter/free"],
        "no local model can take this (llama.cpp: 70500 tokens do not fit its context of 8192), and maker/coder:free "
        "is free",
        {
            "llama.cpp": "70500 tokens do not fit its context of 8192",
            "maker/devstral-2:free": "70500 tokens do not fit its context of 30000",
            "maker/unsized:free": "its context is not known",
        },
        planned(DEEP),
    ),
    Case(
        "several files go to the cloud, and come back",
        [*FREE, "openrouter/free", "small", "big"],
        "the task touches 5 files, and maker/devstral-2:free is free",
        {
            "maker/plain:free": "it does not support tools",
            "maker/tiny:free": "5000 tokens do not fit its context of 1000",
        },
        planned(WIDE),
    ),
    Case(
        "the models that the user named, free and paid, in their order",
        ["maker/paid", "maker/coder:free", "small", "big"],
        "the task touches 5 files, and maker/paid costs at most $0.005",
        {},
        planned(WIDE, choice=NAMED),
    ),
    Case(
        "a slow model stands behind",
        [*FREE, "maker/plain:free", "small"],
        "small would take too long for this, and maker/devstral-2:free is free",
        {"openrouter/free": "4 models are enough"},
        planned(health=Health((replace(SMALL, writes_per_s=2),))),
    ),
    Case(
        "a quick one stands before a slow one",
        ["big", "small"],
        "big on a host of yours is ready and the task fits it",
        {},
        planned(health=Health((replace(SMALL, writes_per_s=2), BIG))),
    ),
    Case(
        "a slow one that the user chose by its name stands first",
        ["small", "big"],
        "small on this machine is ready and the task fits it, though it needs about 252 s",
        {CLOUD: "you chose a local model"},
        planned(health=Health((replace(SMALL, writes_per_s=2), BIG)), choice=Choice("local", "small")),
    ),
    Case(
        "no local model",
        [*FREE, "maker/plain:free"],
        "no local model can take this (llama.cpp: it is not running), and maker/devstral-2:free is free",
        {"llama.cpp": "it is not running"},
        planned(health=Health((DOWN,))),
    ),
    Case(
        "the user wants a local model",
        ["small", "big"],
        "the task touches 5 files, but the cloud: you chose a local model; so small answers",
        {CLOUD: "you chose a local model"},
        planned(WIDE, choice=Choice("local")),
    ),
    Case(
        "the user wants this local model",
        ["big", "small", ""],
        "big on a host of yours is ready and the task fits it",
        {},
        planned(health=Health((SMALL, BIG, Local("x", "", 8_192))), choice=Choice("local", "big")),
    ),
    Case(
        "a server that does not name its model keeps its place",
        ["small", ""],
        "small on this machine is ready and the task fits it",
        {},
        planned(health=Health((SMALL, Local("x", "", 8_192)))),
    ),
    Case(
        "the user wants the cloud",
        [*FREE, "maker/plain:free", "small", "big"],
        "you chose the cloud, and maker/devstral-2:free is free",
        {},
        planned(choice=Choice("cloud")),
    ),
    Case(
        "the user wants this cloud model",
        ["maker/paid", "small", "big"],
        "you chose the cloud, and maker/paid costs at most $0.0015",
        {},
        planned(choice=Choice("cloud", "maker/paid", ("maker/coder:free",))),
    ),
    Case(
        "a completion never goes away",
        [],
        "llama.cpp: it is not running; the cloud: completions stay with your own models",
        {CLOUD: "completions stay with your own models"},
        planned(replace(ASKED, kind="complete"), health=Health((DOWN,)), choice=Choice("cloud")),
    ),
    Case(
        "a secret stays",
        ["small"],
        "the task touches 5 files, but the cloud: .env is a file of secrets; so small answers",
        {"box": ".env is a file of secrets", CLOUD: ".env is a file of secrets"},
        planned(WIDE, {"machine": ALLOW, "own": DENY, "cloud": DENY}),
    ),
    Case("nothing is allowed", [], "llama.cpp: .env is a file of secrets; box: nobody decided whether it may be asked; "
         "the cloud: nobody decided whether it may be asked", {}, planned(verdicts={"machine": DENY})),
    Case(
        "offline",
        ["small", "big"],
        "the task touches 5 files, but the cloud: there is no network; so small answers",
        {CLOUD: "there is no network"},
        planned(WIDE, health=Health((SMALL, BIG), offline=True)),
    ),
    Case(
        "after a 402",
        ["small", "big"],
        "the task touches 5 files, but the cloud: the cloud wants to be paid first, again in 15 min; so small answers",
        {},
        planned(WIDE, health=Health((SMALL, BIG), after(Standing(), "x", "credit", NOON)[0])),
    ),
    Case(
        "after a 429 of one model",
        ["maker/coder:free", "small", "big"],
        "the task touches 5 files, and maker/coder:free is free",
        {"maker/paid": "maker/paid is overloaded, again in 40 s"},
        planned(
            WIDE,
            choice=NAMED,
            health=Health((SMALL, BIG), after(Standing(), "maker/paid", "busy", NOON, NOON + 40)[0]),
        ),
    ),
    Case(
        "after the free quota of the day",
        ["maker/paid", "small", "big"],
        "the task touches 5 files, and maker/paid costs at most $0.005",
        {"maker/coder:free": "the cloud's free quota is used up, again in 12 h"},
        planned(WIDE, choice=NAMED, health=Health((SMALL, BIG), after(Standing(), "x", "day", NOON)[0])),
    ),
    Case(
        "a price that is not known, a model that is not",
        ["maker/coder:free", "small", "big"],
        "you chose the cloud, and maker/coder:free is free",
        {
            "openrouter/auto": "its price is not known",
            "who/knows": "it is not in the catalogue, so its price is not known",
            "maker/old-coder:free": "it ended on 2020-01-01",
            "maker/painter:free": "it does not answer with text",
            "maker/general:free": "no provider of it promises to keep nothing",
        },
        planned(
            choice=Choice(
                "cloud",
                models=(
                    "openrouter/auto", "who/knows", "maker/old-coder:free", "maker/painter:free", "maker/coder:free",
                    "maker/coder:free", "maker/general:free",
                ),
            ),
            models=marked(WORLD, {model.id for model in MODELS} - {"maker/general:free"}),
        ),
    ),
    Case(
        "the budget",
        ["maker/paid", "small", "big"],
        "you chose the cloud, and maker/paid costs at most $0.0015",
        {"maker/dear": "it may cost $0.15, and of today's $0.10 there is $0.10 left"},
        planned(money=Budget(Decimal("0.10")), choice=Choice("cloud", models=("maker/dear", "maker/paid"))),
    ),
    Case(
        "no budget",
        ["maker/coder:free", "small", "big"],
        "the task touches 5 files, and maker/coder:free is free",
        {"maker/paid": "it may cost $0.005, and of today's $0.00 there is $0.00 left"},
        planned(WIDE, money=Budget(ZERO), choice=NAMED),
    ),
    Case(
        "money that others reserved",
        ["small", "big"],
        "you chose the cloud, but maker/dear: it may cost $0.15, and of today's $0.20 there is $0.10 left, "
        "again in 12 h; so small answers",
        {},
        planned(
            money=Budget(Decimal("0.20"), held=(("other", Decimal("0.10")),)),
            choice=Choice("cloud", "maker/dear"),
        ),
    ),
    Case(
        "an empty catalogue",
        ["small", "big"],
        "you chose the cloud, but the cloud: it lists no free model, and you named none; so small answers",
        {},
        planned(choice=Choice("cloud"), models=Catalogue({})),
    ),
    Case("nothing at all", [], "the cloud: there is no network", {}, planned(health=Health(offline=True))),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plans(case: Case) -> None:
    assert order(case.made) == case.expected
    assert case.made.reason == case.reason
    for name, reason in case.passed.items():
        assert why_not(case.made, name) == reason


def test_the_catalogue_is_not_asked_for_where_the_chosen_model_answers() -> None:
    slow, choice = replace(SMALL, reads_per_s=1), Choice(model="small")
    assert [attempt.place for attempt in planned(health=Health((slow,)), choice=choice).attempts] == ["machine"]
    assert not asks_cloud(ASKED, OPEN, Health((slow,)), choice, NOON)  # type: ignore[arg-type]
    assert asks_cloud(ASKED, OPEN, Health((slow,)), Choice(), NOON)  # type: ignore[arg-type]


def test_what_an_attempt_carries() -> None:
    cloud, *_, local = planned(replace(WIDE, output_tokens=20_000), choice=NAMED, health=Health((BIG,))).attempts
    assert (cloud.place, cloud.name, cloud.policy, cloud.entry) == ("cloud", CLOUD, ASK, WORLD.get("maker/paid"))
    assert (cloud.output_tokens, cloud.forecast) == (8_000, Decimal("0.011"))
    assert (local.place, local.name, local.policy, local.entry) == ("own", "box", MASK, None)
    assert (local.output_tokens, local.forecast) == (20_000, ZERO)
    assert local.reason == "big answers if the cloud does not"


def test_money_is_forecast_by_the_most_and_room_by_what_is_likely() -> None:
    task = replace(ASKED, prompt_tokens_max=50_000)
    assert order(planned(task)) == ["small", "big"]
    assert planned(task, choice=Choice("cloud", "maker/paid")).attempts[0].forecast == Decimal("0.0505")
    poor = planned(task, money=Budget(Decimal("0.05")), choice=Choice("cloud", "maker/paid"))
    assert why_not(poor, "maker/paid") == "it may cost $0.0505, and of today's $0.05 there is $0.05 left"


def test_what_nobody_waits_for_leaves_the_quota_to_others() -> None:
    quota = Quota()
    for _ in range(MINUTE_MAX - 2):
        quota, _ = take(quota, NOON)
    health = Health((SMALL,), Standing(quota=quota))
    assert order(planned(WIDE, health=health))[0] == FREE[0]
    assert order(planned(replace(WIDE, urgent=False), health=health)) == ["small"]


def test_the_best_free_models() -> None:
    assert best_free(WORLD, NOON) == [
        "maker/devstral-2:free",
        "maker/coder:free",
        "maker/general:free",
        "maker/plain:free",
        "maker/tiny:free",
        "maker/unsized:free",
        "openrouter/free",
    ]


def test_models_that_keep_what_they_are_sent_are_not_chosen() -> None:
    assert best_free(marked(WORLD, ["maker/general:free", "maker/paid"]), NOON) == ["maker/general:free"]
    assert best_free(marked(WORLD, []), NOON) == []


def test_there_is_no_end_to_nothing() -> None:
    many = Choice("cloud", models=tuple(f"who/knows{number}" for number in range(1_000)))
    assert len(planned(choice=many).passed) == PASSED_MAX
    assert planned(choice=many, health=Health()).reason.count("who/knows") == SAID_MAX
    lots = catalogue_of([entry(f"maker/m{number}:free") for number in range(50)])
    assert len([a for a in planned(WIDE, models=lots).attempts if a.place == "cloud"]) == CLOUD_ATTEMPTS_MAX


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, ", again in 1 s"), (119, ", again in 119 s"), (120, ", again in 2 min"), (7_199, ", again in 120 min"),
     (7_200, ", again in 2 h"), (43_202, ", again in 12 h")],
)  # fmt: skip
def test_times_in_words(seconds: float, words: str) -> None:
    assert when(NOON + seconds, NOON) == words
    assert when(None, NOON) == ""


def test_speeds() -> None:
    assert seconds_for(Task("ask", 1_000, 300), SMALL) == 12.0
    assert seconds_for(Task("ask", 1_000, 300), replace(SMALL, reads_per_s=None)) == 10.0
    assert seconds_for(Task("ask", 1_000, 300), Local("a", "b", 1)) == 0.0


VERDICTS = st.sampled_from([ALLOW, MASK, ASK, DENY])
TASKS = st.builds(
    Task,
    st.sampled_from(["complete", "explain", "ask", "task"]),
    st.integers(0, 100_000),
    st.integers(0, 10_000),
    st.integers(0, 200_000),
    st.integers(1, 5),
    st.sampled_from([frozenset(), frozenset({"tools"})]),
    st.sampled_from(["", "", "", "the index"]),
    st.booleans(),
)
SERVERS = st.lists(
    st.sampled_from([SMALL, BIG, DOWN, replace(SMALL, writes_per_s=1.0), Local("other", "new", 32_000)]), max_size=4
).map(tuple)
FAILED = st.lists(
    st.tuples(st.sampled_from([m.id for m in MODELS]), st.sampled_from(["busy", "missing", "day", "key"])), max_size=3
)
CHOICES = st.builds(
    Choice,
    st.sampled_from(["auto", "local", "cloud"]),
    st.sampled_from(["", "", "big", "maker/paid"]),
    st.lists(st.sampled_from([model.id for model in MODELS] + ["who/knows"]), max_size=6).map(tuple),
)


@st.composite
def plans(draw: st.DrawFn) -> tuple[Task, dict[str, Decision], Health, Budget, Choice, Plan]:
    task, choice = draw(TASKS), draw(CHOICES)
    verdicts = {place: draw(VERDICTS) for place in draw(st.sets(st.sampled_from(["machine", "own", "cloud"])))}
    standing = Standing()
    for model, failure in draw(FAILED):
        standing, _ = after(standing, model, failure, NOON)  # type: ignore[arg-type]
    health = Health(draw(SERVERS), standing, draw(st.booleans()))
    money = Budget(draw(st.sampled_from([ZERO, Decimal("0.01"), Decimal("0.50")])))
    return task, verdicts, health, money, choice, planned(task, verdicts, health, money, choice)


def checked(attempt: Attempt, task: Task, verdicts: dict[str, Decision], health: Health, money: Budget) -> None:
    assert verdicts[attempt.place] == attempt.policy
    assert attempt.policy.verdict != "deny"
    assert attempt.reason
    if attempt.place != "cloud":
        assert attempt.policy.allowed
        assert attempt.forecast == ZERO
        servers = [server for server in health.locals if server.name == attempt.name and server.model == attempt.model]
        assert any(task.prompt_tokens + task.output_tokens <= s.context_tokens and not s.problem for s in servers)
        return
    model = attempt.entry
    assert model is not None
    assert not health.offline
    assert task.kind != "complete"
    assert task.prompt_tokens + attempt.output_tokens <= model.context_tokens
    assert task.needs <= model.parameters
    assert model.prompt is not None
    tokens = max(task.prompt_tokens, task.prompt_tokens_max) + attempt.output_tokens
    assert attempt.forecast == model.prompt * tokens
    assert attempt.forecast <= money.cap
    assert attempt.model not in health.cloud.models


@given(plans())
def test_every_attempt_may_be_made(made: tuple[Task, dict[str, Decision], Health, Budget, Choice, Plan]) -> None:
    task, verdicts, health, money, choice, result = made
    for attempt in result.attempts:
        checked(attempt, task, verdicts, health, money)
        assert attempt.place != "cloud" or choice.place != "local"
    assert result.reason
    assert all(passed.name and passed.reason for passed in result.passed)
    if task.answered:
        assert result.attempts == result.passed == ()
    elif not any(attempt.place == "cloud" for attempt in result.attempts):
        assert result.passed  # why not the cloud is always said


@given(plans())
def test_local_models_stay_behind_the_cloud(
    made: tuple[Task, dict[str, Decision], Health, Budget, Choice, Plan],
) -> None:
    task, verdicts, health, money, choice, result = made
    places = [attempt.place == "cloud" for attempt in result.attempts]
    assert places == sorted(places, reverse=True)
    alone = planned(task, verdicts, health, money, replace(choice, place="local"))
    assert {a.model for a in alone.attempts} == {a.model for a in result.attempts if a.place != "cloud"}


@given(plans(), st.permutations(MODELS))
def test_the_order_does_not_depend_on_the_catalogues(
    made: tuple[Task, dict[str, Decision], Health, Budget, Choice, Plan], shuffled: list[Entry]
) -> None:
    task, verdicts, health, money, choice, result = made
    assert planned(task, verdicts, health, money, choice, catalogue_of(shuffled)) == result


@given(plans(), st.sampled_from([model.id for model in MODELS]))
def test_a_model_that_goes_leaves_the_order_of_the_others(
    made: tuple[Task, dict[str, Decision], Health, Budget, Choice, Plan], gone: str
) -> None:
    task, verdicts, health, money, choice, result = made
    fewer = planned(task, verdicts, health, money, choice, catalogue_of([m for m in MODELS if m.id != gone]))
    kept = [model for model in order(result) if model != gone]
    assert [model for model in order(fewer) if model in kept] == kept


@given(plans())
def test_a_stricter_policy_adds_no_attempt(
    made: tuple[Task, dict[str, Decision], Health, Budget, Choice, Plan],
) -> None:
    task, verdicts, health, money, choice, result = made
    for place in ("machine", "own", "cloud"):
        stricter = planned(task, {**verdicts, place: DENY}, health, money, choice)
        assert all(attempt.place != place for attempt in stricter.attempts)
        if place == "cloud":
            assert set(order(stricter)) <= set(order(result))


def test_what_is_planned_is_paid_for_in_parallel() -> None:
    """However many plan at once, only those whose money is set aside are sent, and these stay below the cap."""
    money, sent = Budget(Decimal("0.05")), ZERO
    for number in itertools.count():
        made = planned(WIDE, money=money, choice=Choice("cloud", "maker/paid"))
        if made.attempts[0].place != "cloud":
            break
        forecast = made.attempts[0].forecast
        assert refusal(money, forecast, NOON) is None
        money = replace(money, held=(*money.held, (str(number), forecast)))
        sent += forecast
    assert sent == Decimal("0.05")
