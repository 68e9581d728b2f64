"""What becomes of a request: each outcome is counted, and its row says how far it came."""

import asyncio

import pytest
from test_complete import Bench, bench, text_of

from hearth import why
from hearth.backends.scripted import Script
from hearth.complete import NEXT_LINE_READY, SEVERAL_CURSORS
from hearth.core.copying import CopyPrediction
from hearth.core.text import Snapshot
from hearth.gather import WINDOW_CHARS_MAX
from hearth.settings import CompletionSettings

ONE = Script(text="1\n")


def rows(b: Bench) -> list[list[str]]:
    """The table's cells, newest first."""
    lines = why.page("", b.completer.trace).split("\n")
    table = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    assert len({len(row) for row in table}) == 1
    return [[cell.strip() for cell in row] for row in table[2:]]


def row(b: Bench) -> dict[str, str]:
    return dict(zip(("where", "from", "decision", "gate", "model", "tokens", "ms"), rows(b)[0], strict=True))


@pytest.mark.parametrize(
    ("marked", "settings", "gate", "reason"),
    [
        ("x = █\n", CompletionSettings(enabled=False), "", "completion is switched off"),
        ("x = █\n", CompletionSettings(languages_off=("python",)), "", "completion is switched off for python"),
        (f"x = '{'y' * WINDOW_CHARS_MAX}█'\n", None, "", "the line is too long"),
        ("na█me\n", None, "silent", "the cursor is inside a word"),
        ("f(█ + g(2)\n", None, "silent", "there is code after the cursor"),
        ("f()█\n", None, "silent", "the line looks finished"),
        ("# wo█\n", CompletionSettings(in_comments=False), "silent", "the cursor is in a comment"),
        ("x = 'wo█'\n", CompletionSettings(in_strings=False), "silent", "the cursor is in a string"),
        ("x = 1\n\n█", None, "silent", "the document ends here"),
    ],
)
async def test_silence_is_counted_with_its_reason(
    marked: str, settings: CompletionSettings | None, gate: str, reason: str
) -> None:
    async with bench(ONE, settings=settings) as b:
        outcome = await b.ask(marked)
        assert (outcome.suggestions, outcome.source, outcome.reason) == ((), "none", reason)
        assert b.completer.counts.shown_none_by_reason == {reason: 1}
        assert b.backend.counts.calls == 0
        found = row(b)
        assert (found["decision"], found["gate"], found["model"], found["tokens"]) == (reason, gate, "", "")


async def test_a_row_says_what_the_model_did() -> None:
    async with bench(Script(text="1", model="qwen2.5-coder")) as b:
        assert text_of(await b.ask("x = █\n")) == "1"
        found = row(b)
        assert found["where"] == "a.py:1:5"
        assert (found["from"], found["decision"]) == ("model", "the statement is complete")
        assert (found["gate"], found["model"]) == ("statement", "asked qwen2.5-coder")
        prompt, read, written = found["tokens"].split(" / ")
        assert int(prompt) >= int(read) > 0
        assert int(written) > 0
        own, model = found["ms"].split(" + ")
        assert float(own) >= 0 <= float(model)
        await b.ask("x = █\n")
        assert row(b)["from"] == "memory"
        assert (row(b)["gate"], row(b)["tokens"]) == ("", "")
        assert b.completer.counts.memory_hits == 1
        assert b.completer.pilot.counts.model_calls == 1
        assert not b.completer.counts.shown_none_by_reason


async def test_a_row_says_that_a_generation_was_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth.complete.FIRST_LINES_AFTER_S", 5.0)
    async with bench(Script(text="(a, b):\n    return a + b\n", token_ms=40)) as b:
        first = asyncio.create_task(b.ask("def add█\n"))
        await asyncio.sleep(0.05)
        snapshot, position = b.typed("def add(a█\n")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await b.completer.complete(snapshot, position, invoked=False, selected=None)
        assert row(b)["model"].startswith("joined")
        assert len(rows(b)) == 1  # what was given up is counted, and not listed
        assert b.completer.counts.cancelled == 1
        assert b.completer.pilot.counts.joined == 1


async def test_the_next_line_waits_for_enter() -> None:
    async with bench(Script(text="\ny = 2\n")) as b:
        assert (await b.ask("x = 1█\n")).reason == NEXT_LINE_READY
        assert b.completer.counts.shown_none_by_reason == {NEXT_LINE_READY: 1}
        assert row(b)["model"].startswith("asked")


async def test_nothing_from_the_model_is_said_and_not_asked_for_again() -> None:
    async with bench(Script(text="")) as b:
        reason = (await b.ask("x = █\n")).reason
        assert reason == "the model had nothing to add"
        assert (await b.ask("x = █\n")).reason == reason
        assert b.completer.counts.shown_none_by_reason == {reason: 2}
        assert [(cells[3], cells[4][:5]) for cells in rows(b)] == [("statement", ""), ("statement", "asked")]


async def test_without_a_model_there_is_the_workspace_or_a_reason() -> None:
    async with bench(copy=CopyPrediction("compute(1)", 0.9, 1, "b.py")) as b:
        assert text_of(await b.ask("x = █\n")) == "compute(1)"
        assert b.completer.counts.workspace_hits == 1
        assert (row(b)["from"], row(b)["model"]) == ("workspace", "")
    async with bench() as b:
        reason = (await b.ask("x = █\n")).reason
        assert reason.endswith("and the workspace shows no likely continuation")
        assert b.completer.counts.shown_none_by_reason == {reason: 1}


async def test_several_cursors_are_a_reason_too() -> None:
    async with bench(ONE) as b:
        snapshot, position = b.typed("x = █\n")
        await b.completer.complete(snapshot, position, invoked=False, selected=None, cursors=2)
        assert b.completer.counts.shown_none_by_reason == {SEVERAL_CURSORS: 1}
        assert row(b)["decision"] == SEVERAL_CURSORS


async def test_what_was_typed_whole_meanwhile_leaves_nothing_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth.complete.FIRST_LINES_AFTER_S", 5.0)
    async with bench(Script(text="12\n", delay_ms=200)) as b:
        first = asyncio.create_task(b.ask("x = █\n"))
        await asyncio.sleep(0.05)
        snapshot, position = b.typed("x = 12█\n")
        outcome = await b.completer.complete(snapshot, position, invoked=False, selected=None)
        assert (outcome.source, outcome.reason) == ("none", "nothing left to add")
        assert row(b)["model"].startswith("joined")
        assert text_of(await first) == "12"


async def test_a_request_that_one_elsewhere_overtook_is_told_so() -> None:
    async with bench(Script(text="12\n", delay_ms=300)) as b:
        first = asyncio.create_task(b.ask("x = █\n"))
        await asyncio.sleep(0.05)
        other = Snapshot.of("first = 0\ny = \n", uri="file:///w/b.py", language="python")
        second = asyncio.create_task(b.completer.complete(other, other.position_at(14), invoked=False, selected=None))
        assert (await first).reason == "a newer key took over"
        assert text_of(await second) == "12"
        assert b.completer.counts.shown_none_by_reason == {"a newer key took over": 1}


async def test_what_is_prepared_is_counted_apart() -> None:
    async with bench(ONE) as b:
        await b.ask("x = █\n")
        async with asyncio.timeout(10):
            while not b.completer.pilot.counts.speculated:
                await asyncio.sleep(0.01)
        assert (b.completer.counts.requests, b.completer.pilot.counts.model_calls) == (1, 1)


async def test_an_accepted_comment_is_not_followed_by_another_where_none_are_wanted() -> None:
    async with bench(Script(text="1  # one\n"), settings=CompletionSettings(in_comments=False)) as b:
        shown = text_of(await b.ask("x = █\n"))
        reason = "suggestions in a comment are switched off"
        assert (await b.ask(f"x = {shown}█\n")).reason == reason
        assert b.completer.counts.shown_none_by_reason == {reason: 1}
