"""The scripted models: what they know comes from the solution, what they react to from the messages alone."""

import json
from contextlib import suppress

import pytest

from hearth.core.exchange import Done, Message, Part, Request, Text, ToolCall, system, user
from hearth.core.origin import PRODUCT
from hearth.core.patch import Patch, Target, read
from hearth.core.task_protocol import TOOLS, headed
from hearth.core.task_protocol import demand as demanded
from scenarios import changes
from scenarios.conversation import calls_of, findings, seen
from scenarios.hostile import STYLES, Hostile
from scenarios.models import Forgetful, Ideal, Situation, written
from scenarios.scenario import Scenario, scenarios
from scenarios.weak import Weak

ALL = scenarios()
RENAME = ALL["rename_function"]


@pytest.fixture(params=ALL.values(), ids=ALL)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return request.param


def asked(*messages: Message, tools: bool = False) -> Request:
    return Request("task", (system("You change a project."), *messages), 4_096, "test", tools=TOOLS if tools else ())


def demand(phase: str, body: str = "", **fields: object) -> Message:
    named = {"Phase": phase, "Goal": RENAME.goal, **{key.title(): value for key, value in fields.items()}}
    return user(headed(named, body))


def said(text: str, *calls: ToolCall) -> Message:
    return Message("assistant", (Part(text, (PRODUCT,)),), calls)


@pytest.mark.parametrize("form", ["diff", "blocks"])
def test_one_answer_of_the_ideal_is_the_solution(scenario: Scenario, form: str):
    answer = Ideal(scenario).once(f"...\n\nAnswer with {form}.")
    targets = [Target(path, text) for path, text in scenario.files.items()]
    patch = read(answer, form, targets, may_create=True, may_delete=True)
    assert isinstance(patch, Patch), patch
    kept = {path: text for path, text in scenario.solution.items() if form == "diff" or text is not None}
    assert {edit.path: edit.after for edit in patch.edits} == kept


def test_places_make_the_one_text_of_the_other(scenario: Scenario):
    for path, new in scenario.solution.items():
        text = scenario.files.get(path)
        if not text or new is None:
            continue
        for old, replacement in changes.places(text, new):
            assert text.count(old) == 1
            text = text.replace(old, replacement)
        assert text == new


def test_the_same_request_gets_the_same_answer():
    request = asked(demand("analyse"))
    for make in (lambda: Ideal(RENAME), lambda: Weak(RENAME, 3), lambda: Hostile(RENAME, "mixed", 2)):
        assert make().answer(request) == make().answer(request)


def test_the_forgetful_one_is_reminded_by_words_alone():
    model = Forgetful(RENAME, "README.md")
    listed = "- README.md: describes get_stock\n- warehouse/cli.py: uses get_stock"
    for message in (demand("analyse"), demand("impact", listed), demand("plan", listed)):
        assert "README.md" not in model.answer(asked(message)).text
    step = demand("implement", files="README.md", step="1 of 1")
    assert "call done" in model.answer(asked(step)).text
    told = user(headed({"Correction": "untouched"}, "The step is not done: neither changed nor waived: README.md."))
    assert '"README.md"' in model.answer(asked(step, said("```call done\n{}\n```"), told)).text
    for finding in ("- [stale] README.md:8: get_stock is gone", "- [test]: assert 'stock_level' in README.md"):
        assert "README.md" in model.answer(asked(demand("correct", finding, round="1 of 3"))).text
    assert "README.md" not in model.answer(asked(demand("correct", "- [stale] warehouse/cli.py:3: gone"))).text


def test_what_the_conversation_shows_is_seen_until_it_is_changed():
    opened = "a.py as it is now:\n<<< data abc123\nx = 1\n>>> data abc123\n\nGo on."
    request = [user(opened), said('```call read\n{"path": "b.py"}\n```')]
    result = headed(
        {"Result": "read", "Call": 1}, "b.py, lines 1 to 2 of 2:\n<<< data abc123\n1| y\n2| z\n>>> data abc123"
    )
    request.append(user(result))
    assert seen(request) == {"a.py": "x = 1\n", "b.py": "y\nz\n"}
    part = headed(
        {"Result": "read", "Call": 1}, "c.py, lines 2 to 3 of 9:\n<<< data abc123\n2| y\n3| z\n>>> data abc123"
    )
    assert "c.py" not in seen([said('```call read\n{"path": "c.py"}\n```'), user(part)])
    call = ToolCall("1", "edit", {"path": "a.py", "old": "x", "new": "y"})
    assert seen([*request, said("", call)]) == {"b.py": "y\nz\n"}
    native = Message("tool", (Part(result, (PRODUCT,)),), call_id="7")
    assert seen([said("", ToolCall("7", "read", {"path": "b.py"})), native]) == {"b.py": "y\nz\n"}


def test_calls_are_written_as_they_are_read():
    for call in (("read", {"path": "a.py"}), ("done", {"summary": "Done."})):
        assert calls_of(said(written(call))) == [call]
    edit = ("edit", {"path": "a.md", "old": "```\nx\n", "new": "```\ny\n"})
    assert written(edit).startswith("````call edit a.md\n<<<<<<< SEARCH\n```\nx\n=======\n")
    assert findings("- [test] tests/test_a.py:12: no\n- [lint]: odd") == [
        ("test", "tests/test_a.py", "no"),
        ("lint", "", "odd"),
    ]


def test_the_weak_one_spoils_some_answers_and_not_all():
    good = 0
    for seed in range(40):
        with suppress(ValueError):
            good += set(json.loads(Weak(RENAME, seed).answer(asked(demand("analyse"))).text)) >= {"goal", "files"}
    assert 5 < good < 35


@pytest.mark.parametrize("style", STYLES)
def test_the_hostile_one_acts(style: str):
    model = Hostile(RENAME, style)
    step = demand("implement", files="README.md", step="1 of 1")
    answer = model.answer(asked(step, tools=True))
    assert model.acts > 0
    assert answer.calls or len(answer.text) > 1_000_000


async def test_calls_come_beside_the_text_where_there_are_tools():
    shown = f"README.md as it is now:\n<<< data abc123\n{RENAME.files['README.md']}>>> data abc123"
    step = demand("implement", shown, files="README.md", step="1 of 1")
    events = [event async for event in Ideal(RENAME)(asked(step, tools=True))]
    done = events[-1]
    assert isinstance(done, Done)
    assert [call.name for call in done.calls] == ["edit", "edit", "edit", "done"]
    texts = [event async for event in Ideal(RENAME)(asked(step))]
    assert "".join(event.text for event in texts if isinstance(event, Text)).count("<<<<<<< SEARCH") == 3
    assert texts[-1].calls == ()


def test_a_situation_knows_what_came_last():
    request = asked(demand("implement", files="a.py", step="1 of 1"), said("a"), user("b"), said("c"), user("d"))
    found = demanded(request.messages)
    assert found
    now = Situation(found, request.messages, {})
    assert (now.turns, now.told) == (2, "d")
