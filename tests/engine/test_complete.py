"""The completion pipeline over the scripted backend: what is asked, joined, cancelled, remembered and answered."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from hearth.backends.base import Chat, Delta
from hearth.backends.scripted import Rule, Script, ScriptedBackend
from hearth.complete import ONE_SLOT, Completer, Outcome
from hearth.core.confidence import UNSURE
from hearth.core.copying import CopyPrediction
from hearth.core.exchange import user, wire
from hearth.core.gate import Extent
from hearth.core.redact import Redactor
from hearth.core.text import Position, Range, Snapshot
from hearth.core.trust import SHOWN_MIN
from hearth.errors import HearthError
from hearth.gateway import Gateway, Member
from hearth.gather import Spot
from hearth.rulings import Rulings
from hearth.sending import Sending
from hearth.settings import CompletionSettings
from hearth.store import Entry, Memory
from hearth.why import page

ADD = "(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n"


@dataclass
class Bench:
    backend: ScriptedBackend
    gateway: Gateway
    completer: Completer
    told: list[HearthError]
    version: int = 0

    async def ask(self, marked: str, *, selected: tuple[Range, str] | None = None, invoked: bool = False) -> Outcome:
        snapshot, position = self.typed(marked)
        return await self.completer.complete(snapshot, position, invoked=invoked, selected=selected)

    def typed(self, marked: str) -> tuple[Snapshot, Position]:
        """A didChange to this text; returns it with the cursor's position."""
        before, after = marked.split("█")
        self.version += 1
        snapshot = Snapshot.of(before + after, uri="file:///w/a.py", language="python", version=self.version)
        self.completer.changed(snapshot)
        return snapshot, snapshot.position_at(len(before))


async def no_redactor(conversation: str) -> Redactor:
    raise AssertionError("nothing is masked on this machine")


@asynccontextmanager
async def bench(
    *scripts: Script,
    copy: CopyPrediction | None = None,
    settings: CompletionSettings | None = None,
    found: asyncio.Event | None = None,
) -> AsyncGenerator[Bench]:
    """`found`: when it is known which servers there are; else that is known before anything is asked."""
    told: list[HearthError] = []
    backends = [ScriptedBackend(script) for script in scripts]

    async def find() -> list[Member]:
        if found is not None:
            await found.wait()
        return [Member(backend, ("complete",)) for backend in backends]

    async def from_workspace(spot: Spot, extent: Extent) -> CopyPrediction | None:
        return copy

    gateway = Gateway(find, (), told.append)
    rulings = Rulings()
    for name in ("a", "b"):
        rulings.opened(f"file:///w/{name}.py")
    sending = Sending(rulings, no_redactor)
    completer = Completer(
        gateway, Memory(), from_workspace, settings or CompletionSettings(), lambda uri: ("w", "a.py"), sending
    )
    running = asyncio.create_task(gateway.run())
    if found is None:
        await gateway.probed.wait()
    try:
        yield Bench(backends[0] if backends else ScriptedBackend(Script()), gateway, completer, told)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await completer.aclose()
        await gateway.aclose()


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.005)


def text_of(outcome: Outcome) -> str:
    return outcome.suggestions[0].text if outcome.suggestions else ""


async def test_a_completion_ends_with_its_block_and_typing_along_asks_no_model() -> None:
    async with bench(Script(text=ADD)) as b:
        assert text_of(await b.ask("def add█\n")) == "(a, b):\n    return a + b"
        for typed in ("(", "(a", "(a, b):", "(a, b):\n    ret"):
            outcome = await b.ask(f"def add{typed}█\n")
            assert outcome.source == "memory"
            assert typed + text_of(outcome) == "(a, b):\n    return a + b"
        assert (await b.ask("def add(█\n")).source == "memory"  # backspace
        assert b.backend.counts.calls == 1
        assert b.completer.counts.memory_hits == 5


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is shown before it is whole."""
    monkeypatch.setattr("hearth.complete.FIRST_LINES_AFTER_S", 5.0)


@pytest.mark.usefixtures("patient")
async def test_typing_that_agrees_joins_the_stream() -> None:
    async with bench(Script(text=ADD, token_ms=40)) as b:
        first = asyncio.create_task(b.ask("def add█\n"))
        await asyncio.sleep(0.05)
        snapshot, position = b.typed("def add(a█\n")
        first.cancel()  # as editors do: change, cancel, ask again after a moment
        await asyncio.sleep(0.1)
        outcome = await b.completer.complete(snapshot, position, invoked=False, selected=None)
        assert text_of(outcome) == ", b):\n    return a + b"
        assert b.backend.counts.calls == 1
        assert b.completer.pilot.counts.joined == 1
        with pytest.raises(asyncio.CancelledError):
            await first


@pytest.mark.usefixtures("patient")
async def test_typing_that_disagrees_stops_the_model_at_once() -> None:
    async with bench(Script(text=ADD, token_ms=50)) as b:
        first = asyncio.create_task(b.ask("def add█\n"))
        await asyncio.sleep(0.12)
        b.typed("def addition█\n")
        await until(lambda: b.backend.counts.cancelled == 1)
        assert (await first).suggestions == ()


async def test_a_stream_that_turns_out_to_disagree_makes_way_for_a_new_one() -> None:
    first = Rule(ends_with="x = a", text="lpha + beta + gamma + delta\n", token_ms=30)
    second = Rule(ends_with="x = aX", text="Y\n")
    async with bench(Script(rules=(second, first), chunk_chars=1, delay_ms=300)) as b:
        asked = asyncio.create_task(b.ask("x = a█\n"))
        await asyncio.sleep(0.01)
        outcome = await b.ask("x = aX█\n")  # nothing has come yet, so it may still agree
        assert text_of(outcome) == "Y"
        assert b.backend.counts.calls == 2
        assert b.backend.counts.cancelled >= 1
        assert b.backend.counts.pieces < 10
        assert (await asked).suggestions == ()


async def test_a_cursor_that_leaves_stops_the_model() -> None:
    async with bench(Script(text=ADD, token_ms=50)) as b:
        first = asyncio.create_task(b.ask("def add█\n"))
        await asyncio.sleep(0.12)
        first.cancel()
        await until(lambda: b.backend.counts.cancelled == 1)


async def test_a_slow_model_shows_its_first_lines_and_the_rest_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth.pilot.LINES_AT_ONCE_MIN", 12)
    body = "\n    ".join(f"x{n} = {n}" for n in range(3))
    async with bench(Script(text=body, chunk_chars=11, token_ms=120)) as b:
        first = await b.ask("def f():\n    █\n")
        shown = text_of(first)
        assert body.startswith(shown)
        assert 0 < shown.count("\n") + 1 < 3
        lines = shown.count("\n") + 1
        await asyncio.sleep(1.2)
        then = await b.ask(f"def f():\n    {shown}█\n")
        assert b.backend.counts.calls == 1
        assert (shown + text_of(then)) == body
        assert lines < body.count("\n") + 1


async def test_the_prompt_is_frozen_while_typing_disagrees() -> None:
    async with bench(Script(rules=(Rule(text="zzz"),))) as b:
        line = "result = compute(value)"
        for count in range(1, len(line)):
            await b.ask(f"import os\n{line[:count]}█\nend\n", invoked=True)
        prompts = [prompt for prompt in b.backend.counts.prompts if "zzz" not in prompt]  # speculations
        assert len(prompts) > 10
        assert all(later.startswith(earlier) for earlier, later in pairwise(prompts))


async def test_no_model_means_the_workspace_answers_and_says_so() -> None:
    async with bench(Script(state="loading"), copy=CopyPrediction("1", 0.9, 1, "b.py")) as b:
        outcome = await b.ask("x = █\n")
        assert (outcome.source, text_of(outcome)) == ("workspace", "1")
        assert "loading" in outcome.reason
        assert b.backend.counts.calls == 0


async def test_who_asks_right_after_the_start_waits_for_the_servers_to_be_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hearth.complete.PROBING_WAIT_S", 0.01)
    monkeypatch.setattr("hearth.complete.PROBING_WAIT_INVOKED_S", 60.0)
    found = asyncio.Event()
    async with bench(Script(text=ADD), found=found) as b:
        assert (await b.ask("def add█\n")).suggestions == ()  # typing goes on
        asked = asyncio.create_task(b.ask("def add█\n", invoked=True))
        await asyncio.sleep(0.05)
        assert not asked.done()
        found.set()
        assert text_of(await asked) == "(a, b):\n    return a + b"


@asynccontextmanager
async def chatting(b: Bench) -> AsyncGenerator[None]:
    """While the server writes the answer of a chat."""
    server = b.gateway.target("complete")
    assert server is not None
    async with aclosing(b.gateway.chat(server, Chat((wire(user("hello")),), 64))) as events:
        await anext(events)
        yield


async def test_a_server_with_one_slot_is_asked_nothing_while_it_chats() -> None:
    script = Script(text="2\n", chat_text="a long answer", slots=1)
    async with bench(script, copy=CopyPrediction("1", 0.9, 1, "b.py")) as b:
        async with chatting(b):
            outcome = await b.ask("x = █\n")
            assert (outcome.source, text_of(outcome)) == ("workspace", "1")
            assert ONE_SLOT in outcome.reason
            assert b.backend.counts.calls == 1  # the chat
            assert "busy with a chat" in page("", b.completer.trace)
        assert (await b.ask("y = █\n")).source == "model"


async def test_a_server_with_several_slots_is_asked_while_it_chats() -> None:
    async with bench(Script(text="2\n", chat_text="a long answer", slots=2)) as b, chatting(b):
        assert (await b.ask("x = █\n")).source == "model"


async def test_another_server_answers_while_the_first_one_chats() -> None:
    first, second = Script(model="first", chat_text="a long answer", slots=1), Script(model="second", text="2\n")
    async with bench(first, second) as b, chatting(b):
        assert (await b.ask("x = █\n")).model == "second"


async def test_a_completion_that_waited_behind_a_chat_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth.complete.ANSWER_DEADLINE_S", 0.2)
    script = Script(chat_text="a long answer", rules=(Rule(text="1", delay_ms=900),))
    async with bench(script) as b, chatting(b):
        assert "busy with a chat" in (await b.ask("x = █\n")).reason


async def test_a_failing_server_is_passed_over_for_the_next() -> None:
    good = Script(model="good", text="2\n")
    async with bench(Script(model="bad", rules=(Rule(fault="unreachable"),)), good) as b:
        outcome = await b.ask("x = █\n")
        assert (text_of(outcome), outcome.model) == ("2", "good")
        assert len(b.told) == 1
        assert (await b.ask("y = █\n")).model == "good"
        assert b.backend.counts.calls == 1  # it is not asked again at every key


async def test_a_stream_that_breaks_shows_whole_lines_only() -> None:
    broken = Rule(text="x = 1\n    y = 2 + ", reason="truncated")
    async with bench(Script(rules=(broken,))) as b:
        assert text_of(await b.ask("def f():\n    █\n")) == "x = 1"


async def test_a_silent_model_is_answered_in_time_and_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth.complete.ANSWER_DEADLINE_S", 0.5)
    async with bench(Script(rules=(Rule(text="1", delay_ms=900),))) as b:
        outcome = await b.ask("x = █\n")
        assert outcome.suggestions == ()
        assert "still working" in outcome.reason
        await asyncio.sleep(0.6)
        assert (await b.ask("x = █\n")).source == "memory"
        assert b.backend.counts.calls == 1


async def test_brackets_that_the_editor_typed_ahead_are_replaced_not_doubled() -> None:
    async with bench(Script(text=ADD)) as b:
        await b.ask("def add█\n")
        outcome = await b.ask("def add(█)\n")
        suggestion = outcome.suggestions[0]
        assert suggestion.text == "a, b):\n    return a + b"
        assert suggestion.range == Range(Position(0, 8), Position(0, 9))


async def test_the_selected_item_of_the_suggest_widget_begins_the_text() -> None:
    rule = Rule(ends_with="os.path", text=".join(a)\n")
    async with bench(Script(rules=(rule,))) as b:
        where = Range(Position(0, 3), Position(0, 5))
        outcome = await b.ask("os.pa█\n", selected=(where, "path"))
        assert outcome.suggestions[0].text == "path.join(a)"
        assert outcome.suggestions[0].range == where


async def test_crlf_documents_get_crlf() -> None:
    async with bench(Script(text=ADD)) as b:
        assert text_of(await b.ask("x\r\ndef add█\r\n")) == "(a, b):\r\n    return a + b"


async def test_other_suggestions_for_the_place_are_offered_too() -> None:
    async with bench(Script(text="one\n")) as b:
        await b.ask("x = █\n")
        flight = b.completer.pilot.flight
        assert flight
        b.completer.memory.remember(Entry(flight.place, "two", "b", "m"))
        outcome = await b.ask("x = █\n")
        assert [s.text for s in outcome.suggestions] == ["two", "one"]


async def test_switched_off() -> None:
    async with bench(Script(text=ADD), settings=CompletionSettings(languages_off=("python",))) as b:
        assert (await b.ask("def add█\n")).reason == "completion is switched off for python"
        b.completer.settings = replace(b.completer.settings, languages_off=(), enabled=False)
        assert (await b.ask("def add█\n")).reason == "completion is switched off"
        assert b.backend.counts.calls == 0


async def test_nothing_found_is_not_asked_again_at_the_same_place() -> None:
    async with bench(Script(text="\n\n\n")) as b:
        assert text_of(await b.ask("x = 1█\n")) == ""
        again = await b.ask("x = 1█\n")
        assert again.reason
        assert b.backend.counts.calls == 1
        await b.ask("x = 1█\n", invoked=True)
        assert b.backend.counts.calls == 2


async def test_every_request_is_traced_and_counted() -> None:
    async with bench(Script(text=ADD)) as b:
        await b.ask("def add█\n")
        await b.ask("na█me\n")
        assert [t.outcome.source for t in b.completer.trace] == ["model", "none"]
        assert b.completer.counts.requests == 2
        assert sum(b.completer.counts.shown_none_by_reason.values()) == 1


PROGRAM = "import os\n\nfirst = 1\nsecond = 2\nthird = 3\n"


async def until_idle(b: Bench) -> None:
    """Until the generation on its way, a speculation mostly, has ended."""
    await asyncio.sleep(0.03)  # it begins when the answer is on its way
    await until(lambda: b.completer.pilot.flight is not None)
    assert b.completer.pilot.flight
    await b.completer.pilot.flight.ended(5)


async def test_what_follows_an_accepted_suggestion_is_there_at_once() -> None:
    async with bench(Script(document=PROGRAM)) as b:
        assert text_of(await b.ask("import os\n\nfir█\n")) == "st = 1"
        await until_idle(b)
        calls = b.backend.counts.calls
        outcome = await b.ask("import os\n\nfirst = 1█\n")  # Tab
        assert outcome.source == "memory"
        assert text_of(outcome) == "\nsecond = 2"
        await until_idle(b)
        outcome = await b.ask("import os\n\nfirst = 1\nsecond = 2█\n")  # Tab
        assert (outcome.source, text_of(outcome)) == ("memory", "\nthird = 3")
        assert calls == 2
        assert b.completer.pilot.counts.model_calls == 1


async def test_a_speculation_that_is_still_being_written_is_joined() -> None:
    async with bench(Script(document=PROGRAM, chunk_chars=2, token_ms=20)) as b:
        assert text_of(await b.ask("import os\n\nfir█\n")) == "st = 1"
        outcome = await b.ask("import os\n\nfirst = 1█\n")
        assert (outcome.source, text_of(outcome)) == ("model", "\nsecond = 2")
        assert b.backend.counts.calls == 2


async def test_a_rejected_suggestion_ends_its_speculation() -> None:
    async with bench(Script(rules=(Rule(ends_with="fir", text="st = 1\n"),), text="\nnext = 2", token_ms=200)) as b:
        await b.ask("fir█\n")
        await asyncio.sleep(0.03)
        speculation = b.completer.pilot.flight
        assert speculation
        assert speculation.lead == "st = 1"
        await asyncio.sleep(0.05)
        b.typed("fire█\n")
        assert await speculation.ended(1)
        assert speculation.candidate is None


async def test_at_the_end_of_a_line_one_typed_oneself_the_next_line_waits_for_enter() -> None:
    async with bench(Script(document=PROGRAM)) as b:
        outcome = await b.ask("import os\n\nfirst = 1█\n")
        assert outcome.suggestions == ()
        assert "ready" in outcome.reason
        outcome = await b.ask("import os\n\nfirst = 1\n█\n")
        assert (outcome.source, text_of(outcome)) == ("memory", "second = 2")
        assert text_of(await b.ask("import os\n\nfirst = 1█\n", invoked=True)) == "\nsecond = 2"


async def test_what_the_user_deleted_is_not_suggested_again() -> None:
    async with bench(Script(document=PROGRAM)) as b:
        await b.ask("import os\n\nfir█\n")
        await b.ask("import os\n\nfirst = 1█\n")
        for marked in ("import os\n\nfirst = █\n", "import os\n\nfir█\n"):
            assert (await b.ask(marked)).reason == "you deleted this suggestion"
        assert text_of(await b.ask("import os\n\nfir█\n", invoked=True)) == "st = 1"
        assert (await b.ask("import os\n\nfix█\n")).reason != "you deleted this suggestion"


async def test_what_is_hardly_ever_taken_is_held_back() -> None:
    async with bench(Script(text="value\n")) as b:
        for number in range(SHOWN_MIN):
            assert text_of(await b.ask(f"x{number} = █\n"))
        outcome = await b.ask("y = █\n")
        assert outcome.reason == "suggestions of this kind were hardly ever taken"
        assert text_of(await b.ask("z = █\n", invoked=True)) == "value"


async def test_taking_suggestions_keeps_them_coming() -> None:
    async with bench(Script(text="value\n")) as b:
        for number in range(SHOWN_MIN + 5):
            assert text_of(await b.ask(f"x{number} = █\n")) == "value"
            if number % 10 == 0:
                await b.ask(f"x{number} = value█\n")


@pytest.fixture
def sure_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, float], None]:
    """From now on the model tells how sure it is: certain, but for pieces that contain a text."""
    doubts: dict[str, float] = {}

    def telling(piece: str) -> Delta:
        probability = next((p for text, p in doubts.items() if text in piece), 1.0)
        return Delta(piece, logprobs=(math.log(probability),))

    monkeypatch.setattr("hearth.backends.scripted.Delta", telling)
    return doubts.__setitem__


Sure = Callable[[str, float], None]
WILD = Script(rules=(Rule(ends_with="x = ", text="wild()\n"),), text="other()\n")


async def test_what_the_model_is_unsure_of_is_shown_only_when_asked_for(sure_of: Sure) -> None:
    sure_of("wild", 0.02)
    async with bench(WILD) as b:
        for _ in range(2):
            outcome = await b.ask("x = █\n")
            assert (outcome.suggestions, outcome.reason) == ((), UNSURE)
        assert b.completer.counts.shown_none_by_reason[UNSURE] == 2
        assert text_of(await b.ask("x = █\n", invoked=True)) == "wild()"
        assert b.backend.counts.calls == 1  # it was kept all the time
        assert text_of(await b.ask("x = █\n")) == "wild()"  # what was shown stays
        assert text_of(await b.ask("y = █\n")) == "other()"


@pytest.mark.parametrize("token_ms", [0, 60])
async def test_who_asks_gets_it_at_once(sure_of: Sure, token_ms: int) -> None:
    sure_of("wild", 0.02)
    async with bench(replace(WILD, token_ms=token_ms)) as b:
        assert text_of(await b.ask("x = █\n", invoked=True)) == "wild()"
        assert (await b.ask("x = █\n")).source == "memory"


async def test_typing_its_beginning_proves_it_right(sure_of: Sure) -> None:
    sure_of("wild", 0.02)
    async with bench(WILD) as b:
        assert (await b.ask("x = █\n")).reason == UNSURE
        outcome = await b.ask("x = w█\n")
        assert (outcome.source, text_of(outcome)) == ("memory", "ild()")
        assert b.backend.counts.calls == 1
        assert text_of(await b.ask("x = █\n")) == "wild()"  # backspace


async def test_typing_something_else_does_not(sure_of: Sure) -> None:
    sure_of("wild", 0.02)
    async with bench(WILD) as b:
        await b.ask("x = █\n")
        assert text_of(await b.ask("x = o█\n")) == "other()"
        assert (await b.ask("x = █\n")).reason == UNSURE


async def test_a_slow_models_first_line_is_judged_before_it_is_shown(sure_of: Sure) -> None:
    sure_of("tot", 0.02)
    slow = Script(text="total = 0\n    for b in a:\n        total += b\n    return total\n", token_ms=30)
    async with bench(slow) as b:
        outcome = await b.ask("def f(a):\n    █\n")
        assert (outcome.suggestions, outcome.reason) == ((), UNSURE)
        outcome = await b.ask("def f(a):\n    t█\n")  # joins what is still being written
        assert text_of(outcome).startswith("otal = 0")
        assert b.backend.counts.calls == 1


@pytest.mark.parametrize("token_ms", [0, 25])
async def test_a_later_line_that_the_model_is_unsure_of_is_cut_off(sure_of: Sure, token_ms: int) -> None:
    sure_of("zz", 0.02)
    body = "total = 0\n    total += a\n    zzzzzzzz(a)\n    return total\n"
    async with bench(Script(text=body, token_ms=token_ms)) as b:
        first = text_of(await b.ask("def f(a):\n    █\n"))
        assert "total = 0\n    total += a".startswith(first)
        await until_idle(b)
        assert text_of(await b.ask("def f(a):\n    █\n")) == "total = 0\n    total += a"


async def test_a_speculation_that_the_model_is_unsure_of_is_not_shown_after_tab(sure_of: Sure) -> None:
    sure_of("seco", 0.02)
    async with bench(Script(document=PROGRAM, chunk_chars=5)) as b:
        assert text_of(await b.ask("import os\n\nfir█\n")) == "st = 1"
        await until_idle(b)
        outcome = await b.ask("import os\n\nfirst = 1█\n")  # Tab
        assert (outcome.suggestions, outcome.reason) == ((), UNSURE)
        assert text_of(await b.ask("import os\n\nfirst = 1\n█\n", invoked=True)) == "second = 2"
        assert b.completer.pilot.counts.model_calls == 1


async def test_doubts_of_names_and_of_the_model_add_up(sure_of: Sure) -> None:
    sure_of("gamma", 0.3)
    async with bench(Script(text="gamma_one + delta_two\n", chunk_chars=0)) as b:
        assert (await b.ask("x = █\n")).reason == UNSURE
    sure_of("gamma", 0.9)
    async with bench(Script(text="gamma_one + delta_two\n", chunk_chars=0)) as b:
        assert text_of(await b.ask("x = █\n")) == "gamma_one + delta_two"
