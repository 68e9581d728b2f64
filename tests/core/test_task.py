"""The loop as a machine: what it asks for next, and how it ends, whatever is observed."""

import json
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.exchange import PRODUCT, Message, ToolCall
from hearth.core.route import Choice
from hearth.core.task import begin, next_action, observed, reached, result_chars
from hearth.core.task_page import certificate, page, progress
from hearth.core.task_parts import Abilities, Command, Impacted, Limits
from hearth.core.task_protocol import demand, header
from hearth.core.task_state import (
    Answered,
    AskModel,
    AskUser,
    Check,
    Find,
    Finding,
    Finish,
    Found,
    ImpactAgreed,
    Inspect,
    Inspected,
    NoAnswer,
    Observation,
    PlanAgreed,
    Prepare,
    Prepared,
    Replied,
    Result,
    RunTools,
    ShowImpacted,
    ShowPlan,
    ShowWeakened,
    Start,
    State,
    Stopped,
    Survey,
    Surveyed,
    ToolsRan,
    WeakenedAgreed,
)
from hearth.core.task_talk import size

TESTS = Command("tests", ("/usr/bin/pytest",), "", "pytest.ini")
PLAN = {"steps": [{"title": "first", "files": ["a.py"]}, {"title": "second", "files": ["b.py"]}]}
DONE = '```call done\n{"summary": "ok"}\n```'
FAULT = Finding("test", "tests/test_a.py", "test_a: wrong")


def answered(text: str, **more: Any) -> Answered:
    return Answered(text, **more)


class Hands:
    """Does what the machine says, with given answers. `faults`: findings of each inspection, the last one for ever."""

    def __init__(self, *says: Any, faults: Any = ((),), **start: Any) -> None:
        self.says = list(says)
        self.faults = list(faults)
        self.state = begin(Start("t", "Change a.py", "/ws", "abcdef", **start))
        self.seen: list[str] = []

    def does(self) -> Observation:
        action = next_action(self.state)
        self.seen.append(type(action).__name__)
        match action:
            case Survey():
                return Surveyed("a map", (PRODUCT,), (), ("a.py",))
            case AskModel():
                said = self.says.pop(0) if self.says else DONE
                said = said(self.state) if callable(said) else said
                return (
                    answered(said if isinstance(said, str) else json.dumps(said))
                    if not isinstance(said, Answered | NoAnswer)
                    else said
                )
            case AskUser(questions):
                return Replied(tuple(f"answer to {one}" for one in questions))
            case Find():
                return Found((Impacted("a.py", "is to be changed"), Impacted("b.py", "uses it")))
            case ShowImpacted(files):
                return ImpactAgreed(files)
            case ShowPlan(steps):
                return PlanAgreed(steps)
            case Prepare():
                return Prepared((TESTS,), True, (Check(TESTS, "passed", "3 passed", 3, 0),))
            case RunTools(calls):
                return self.tools(calls)
            case Inspect():
                found = self.faults.pop(0) if len(self.faults) > 1 else self.faults[0]
                return Inspected(tuple(found), (Check(TESTS, "failed" if found else "passed", "", 3, len(found)),))
            case ShowWeakened():
                return WeakenedAgreed(False)
            case Finish():
                raise AssertionError("it has ended")

    def tools(self, calls: Any) -> ToolsRan:
        changes, bases = dict(self.state.changes), {}
        results: list[Result] = []
        for call in calls:
            if call.name == "write":
                bases[call.arguments["path"]] = "old\n"
                changes[call.arguments["path"]] = call.arguments["text"]
            results.append(Result(call, f"did {call.name}", True, (PRODUCT,)))
        return ToolsRan(tuple(results), changes, bases)

    def until(self, kind: type) -> Any:
        for _ in range(300):
            action = next_action(self.state)
            if isinstance(action, kind):
                return action
            self.state = observed(self.state, self.does())
        raise AssertionError("it never comes")

    def run(self) -> State:
        self.until(Finish)
        return self.state


def write(path: str, text: str = "new") -> str:
    return f"```call write {path}\n{text}\n```\n"


PREFACE = ({"goal": "g"}, {}, PLAN)
WORK = (write("a.py") + DONE, write("b.py") + DONE)


def test_the_phases_follow_each_other():
    hands = Hands(*PREFACE, *WORK)
    state = hands.run()
    assert (state.ending, state.stop) == ("done", "")
    assert hands.seen == [
        "Survey", "AskModel", "Find", "AskModel", "ShowImpacted", "AskModel", "ShowPlan", "Prepare", "RunTools",
        "AskModel", "RunTools", "RunTools", "AskModel", "RunTools", "Inspect",
    ]  # fmt: skip
    assert certificate(state)["not_verified"] == []
    assert "**Done.**" in page(state)
    assert progress(state) == 100


def test_questions_are_asked_once_and_their_answers_told():
    hands = Hands({"goal": "g", "questions": ["which?"]}, *PREFACE[1:], *WORK)
    hands.until(AskUser)
    hands.until(ShowImpacted)
    assert "answer to which?" in hands.state.conversation[-2].text


def test_what_is_impacted_for_sure_and_forgotten_is_a_step():
    hands = Hands({"goal": "g"}, {}, {"steps": [{"title": "only", "files": ["a.py"]}]})
    plan = hands.until(ShowPlan)
    assert [step.files for step in plan.steps] == [("a.py",), ("b.py",)]


def test_a_waiver_needs_a_reason():
    hands = Hands({"goal": "g"}, {"waive": [{"path": "b.py", "reason": " "}]})
    assert [one.waived for one in hands.until(ShowImpacted).files] == ["", ""]
    hands = Hands({"goal": "g"}, {"waive": [{"path": "b.py", "reason": "only prints"}]})
    assert [one.waived for one in hands.until(ShowImpacted).files] == ["", "only prints"]


def test_a_plan_leads_nowhere_out():
    steps = [{"title": "evil", "files": ["../x", "/etc/passwd", "a.py", ".git/../../x"]}]
    plan = Hands({"goal": "g"}, {}, {"steps": steps}).until(ShowPlan)
    assert plan.steps[0].files == ("a.py",)


def test_without_usable_json_the_index_decides():
    hands = Hands(*["no"] * 12)
    plan = hands.until(ShowPlan)
    assert [step.files for step in plan.steps] == [("a.py", "b.py")]
    assert hands.state.spent.turns == 12
    corrections = [m for m in hands.state.conversation if header(m.text).get("Correction") == "json"]
    assert len(corrections) == 9


def test_done_counts_only_when_every_file_was_looked_at():
    hands = Hands(*PREFACE, DONE, write("a.py") + DONE, WORK[1])
    state = hands.run()
    assert state.ending == "done"
    told = [m for m in state.conversation if "Correction: untouched" in m.text]
    assert len(told) == 1
    assert "a.py" in told[0].text


def test_a_waived_file_needs_no_change_and_is_in_the_certificate():
    waive = '```call waive\n{"path": "b.py", "reason": "says nothing of it"}\n```\n'
    state = Hands(*PREFACE, WORK[0], waive + DONE).run()
    assert state.ending == "done"
    assert certificate(state)["waived"] == {"b.py": "says nothing of it"}


def test_what_is_never_touched_is_a_finding():
    state = Hands(*PREFACE, WORK[0], *[DONE] * 40).run()
    assert state.ending == "stopped"
    assert [(one.kind, one.path) for one in state.findings] == [("untouched", "b.py")]


def test_a_call_runs_once_and_its_repeat_is_named():
    read = '```call read\n{"path": "a.py"}\n```'
    hands = Hands(*PREFACE, read, read, *WORK)
    hands.run()
    assert hands.seen.count("RunTools") == 6
    told = [m.text for m in hands.state.conversation if "Correction: repeated" in m.text]
    assert len(told) == 1


def test_after_a_change_it_may_be_asked_again():
    read = '```call read\n{"path": "a.py"}\n```'
    hands = Hands(*PREFACE, read, write("a.py"), read, DONE, WORK[1])
    assert hands.run().ending == "done"
    assert not [m for m in hands.state.conversation if "Correction: repeated" in m.text]


def test_a_model_that_only_repeats_itself_ends_its_step():
    read = '```call read\n{"path": "a.py"}\n```'
    state = Hands(*PREFACE, *[read] * 60).run()
    assert state.ending == "stopped"
    assert any("only repeated itself" in note for note in state.notes)
    assert state.spent.turns < 60


@pytest.mark.parametrize("ending", ["length", "truncated"])
def test_a_truncated_call_never_runs(ending: Any):
    cut = answered(write("a.py"), ending=ending)
    native = answered("", calls=(ToolCall("1", "write", {"path": "a.py", "text": "x"}),), ending=ending)
    hands = Hands(*PREFACE, cut, native)
    hands.until(RunTools)
    for _ in range(3):
        hands.state = observed(hands.state, hands.does())
    assert hands.state.changes == {}
    assert "Correction: truncated" in hands.state.conversation[-1].text


def test_findings_go_back_to_the_model_until_they_are_gone():
    hands = Hands(*PREFACE, *WORK, write("a.py", "better") + DONE, faults=((FAULT,), ()))
    state = hands.run()
    assert (state.ending, state.round) == ("done", 1)
    told = next(m for m in state.conversation if header(m.text).get("Phase") == "correct")
    assert FAULT.line_text in told.text


def test_the_same_findings_stop_it_and_ask_a_larger_model_first():
    hands = Hands(*PREFACE, *WORK, faults=((FAULT,),))
    state = hands.run()
    assert state.ending == "stopped"
    assert "the same findings came back" in state.stop
    assert state.round == 2
    hands = Hands(*PREFACE, *WORK, faults=((FAULT,),))
    hands.until(Inspect)
    places = []
    while state.round < 3 and not isinstance(next_action(hands.state), Finish):
        action = next_action(hands.state)
        if isinstance(action, AskModel):
            places.append(action.choice.place)
        hands.state = observed(hands.state, hands.does())
    assert places == ["auto", "cloud"]


def test_rounds_are_limited():
    faults = tuple((replace(FAULT, text=f"test_a: {n}"),) for n in range(20))
    state = Hands(*PREFACE, *WORK, faults=faults, limits=Limits(rounds=3)).run()
    assert (state.ending, state.round) == ("stopped", 3)
    assert "the limit of 3 rounds was reached" in state.stop


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(turns=4), "4 answers"),
        (Limits(tokens=300), "300 tokens"),
        (Limits(seconds=5.0), "5 seconds"),
        (Limits(money=Decimal("0.01")), "$0.01"),
    ],
)
def test_each_limit_stops_it_with_what_there_is(limits: Limits, said: str):
    hands = Hands(*PREFACE, *WORK, limits=limits)
    for _ in range(60):
        if isinstance(next_action(hands.state), Finish):
            break
        seen = hands.does()
        if isinstance(seen, Answered):
            seen = replace(seen, cost=Decimal("0.004"))
        hands.state = observed(hands.state, seen, 1.0)
    assert hands.state.ending == "stopped"
    assert said in hands.state.stop
    assert said in reached(hands.state)
    assert said in page(hands.state).replace("\\", "")


def test_a_step_has_its_share_of_answers_and_no_more():
    reads = [f'```call read\n{{"path": "a.py", "start": {n}}}\n```' for n in range(1, 60)]
    state = Hands(*PREFACE, *reads, limits=Limits(turns_per_step=5, rounds=0)).run()
    assert any("the limit of 5 answers for one step" in note for note in state.notes)
    assert state.spent.turns == 3 + 5 + 5


def test_weaker_tests_that_nobody_agrees_to_are_put_back():
    weak = replace(FAULT, kind="weakened", path="tests/test_a.py", text="has 0 assertions where it had 1")
    hands = Hands(*PREFACE, *WORK, write("tests/test_a.py", "pass") + DONE, faults=((weak,),))
    hands.until(Inspect)
    base = "def test_a():\n    assert f() == 1\n"
    changes = {**hands.state.changes, "tests/test_a.py": "def test_a():\n    pass\n"}
    hands.state = replace(hands.state, changes=changes, bases={**hands.state.bases, "tests/test_a.py": base})
    hands.until(ShowWeakened)
    hands.state = observed(hands.state, WeakenedAgreed(False))
    assert "tests/test_a.py" not in hands.state.changes
    assert any("put back" in note for note in hands.state.notes)


def test_the_user_may_say_no_at_each_question():
    for kind, no in ((ShowImpacted, ImpactAgreed(None)), (ShowPlan, PlanAgreed(None))):
        hands = Hands(*PREFACE)
        hands.until(kind)
        state = observed(hands.state, no)
        assert (state.ending, dict(state.changes)) == ("refused", {})


def test_stopped_at_any_moment_it_ends_in_order():
    for count in range(14):
        hands = Hands(*PREFACE, *WORK)
        for _ in range(count):
            hands.state = observed(hands.state, hands.does())
        state = observed(hands.state, Stopped())
        assert (state.ending, state.stop) == ("stopped", "you stopped it")
        assert page(state)
        assert certificate(state)["ending"] == "stopped"


def test_refused_to_leave_it_goes_on_at_home():
    hands = Hands(NoAnswer("Nothing was sent.", refused=True), *PREFACE, *WORK)
    hands.until(AskModel)
    hands.state = observed(hands.state, hands.does())
    assert next_action(hands.state).choice.place == "local"  # type: ignore[union-attr]
    assert hands.run().ending == "done"
    assert any("your own models only" in note for note in hands.state.notes)


def test_refused_where_the_cloud_was_chosen_it_ends():
    state = Hands(NoAnswer("Nothing was sent.", refused=True), choice=Choice("cloud")).run()
    assert (state.ending, state.stop) == ("refused", "Nothing was sent.")


def test_nobody_in_the_cloud_answers_the_escalation():
    hands = Hands(*PREFACE, *WORK, DONE, NoAnswer("No credits."), faults=((FAULT,),))
    state = hands.run()
    assert state.local_only
    assert "the same findings came back" in state.stop


def test_what_does_not_belong_is_refused():
    with pytest.raises(ValueError, match="cannot be seen"):
        observed(begin(Start("t", "g", "/ws", "abcdef")), Inspected((), ()))


def test_an_overflow_makes_the_window_smaller_and_asks_again():
    hands = Hands(NoAnswer("too long", overflow=True), *PREFACE, *WORK)
    hands.until(AskModel)
    window = hands.state.window
    hands.state = observed(hands.state, hands.does())
    assert hands.state.window < window
    assert hands.run().ending == "done"


def test_the_conversation_stays_within_the_window():
    def reads(state: State) -> str:
        assert size(state.conversation, state.chars_per_token) <= state.window
        return f'```call read\n{{"path": "a.py", "start": {state.step_turns + 1}}}\n```'

    class Long(Hands):
        def tools(self, calls: Any) -> ToolsRan:
            long = ("def f():\n    pass\n" * 200)[: result_chars(self.state)]
            return ToolsRan(tuple(Result(call, long, True, (PRODUCT,)) for call in calls), {}, {})

    hands = Long(*PREFACE, *[reads] * 20, abilities=Abilities(8_192, 512))
    while hands.state.spent.turns < 18:
        hands.state = observed(hands.state, hands.does())
    assert 1 <= hands.state.folds <= 7
    now = demand(hands.state.conversation)
    assert now is not None
    assert now.phase == "implement"
    assert hands.state.conversation[0].role == "system"
    roles = [m.role for m in hands.state.conversation]
    assert all(one != other for one, other in pairwise(roles))


def test_turns_alternate_and_calls_have_their_results():
    calls = (ToolCall("x", "read", {"path": "a.py"}), ToolCall("y", "bash", {"cmd": "ls"}))
    hands = Hands(*PREFACE, answered("", calls=calls), *WORK)
    messages: list[Message] = list(hands.run().conversation)
    at = next(n for n, m in enumerate(messages) if m.calls)
    assert {m.call_id for m in messages[at + 1 : at + 3]} == {"x", "y"}
    for one, other in pairwise(messages):
        assert not (one.role == other.role == "user")


SAID = st.one_of(
    st.sampled_from([DONE, "no", "", write("a.py"), write("b.py") + DONE, '{"goal": "g"}', "{}", json.dumps(PLAN)]),
    st.text(max_size=40),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(SAID, max_size=40), st.lists(st.sampled_from([(), (FAULT,)]), min_size=1, max_size=5))
def test_whatever_a_model_says_it_comes_to_an_end(says: list[str], faults: list[Any]):
    state = Hands(*says, faults=(*faults, (FAULT,)), limits=Limits(turns=30)).run()
    assert state.ending in ("done", "stopped")
    assert state.spent.turns <= 30
    assert (state.ending == "done") == (not state.findings and not state.stop)
    json.dumps(certificate(state))
