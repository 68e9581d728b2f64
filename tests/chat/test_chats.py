import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from chat.desks import DictDesk, Script
from hearth.chat.chats import Chats, Proposed, Update
from hearth.chat.desk import Hit
from hearth.chat.transcripts import Transcripts
from hearth.core.chat import Command
from hearth.core.context import Diagnostic
from hearth.core.conversation import mark_of
from hearth.core.exchange import Done, Ending, Event, Note, Placed, Request, Restarted, Text
from hearth.core.origin import USER, file_origin
from hearth.core.patch import Format, Target, instructions
from hearth.core.route import Choice
from hearth.core.text import Position, Range
from hearth.core.websearch import WebPage
from hearth.errors import HearthError, Unreachable

CODE = "def add(a, b):\n    return a - b\n\n\ndef two():\n    return 2\n"
URI = "file:///ws/src/a.py"
IN_ADD = Range(Position(1, 4), Position(1, 4))
FIXED = "def add(a, b):\n    return a + b\n"
ERROR = Diagnostic(1, "error", "wrong operator")


def desk(**texts: str) -> DictDesk:
    return DictDesk({"src/a.py": CODE, **texts})


def chats(script: Script, one: DictDesk | None = None, room: int = 16_000, **more: Any) -> Chats:
    return Chats(script, one or desk(), lambda choice: room, now=lambda: 1_000.0, **more)


async def all_of(one: Chats, identifier: str) -> list[Update]:
    return [update async for update in one.run(identifier)]


def fence(text: str, language: str = "python") -> str:
    return f"Here it is.\n\n```{language}\n{text}```\n"


def test_the_form_is_the_engines():
    """What this file's answers rely on."""
    form: Format = "symbol"
    assert "code block" in instructions(form, (Target("a.py", CODE, span=(0, 2)),))


async def test_explain_streams_and_shows():
    script = Script("It adds [two numbers](src/a.py#L2) ![x](https://evil.example).")
    one = chats(script)
    talk = await one.start(Command("explain", URI, IN_ADD))
    assert talk.title == "Explain add in a.py"
    updates = await all_of(one, talk.id)
    assert isinstance(updates[0], Placed)
    assert isinstance(updates[-1], Done)
    assert "".join(u.text for u in updates if isinstance(u, Text)).startswith("It adds")
    page = one.page(talk.id)
    assert "[two numbers](file:///ws/src/a.py#L2)" in page
    assert "![" not in page
    assert "**m**, local, on this machine: it is ready" in page
    assert "100 tokens read (40 of them cached), 9 written" in page
    assert "[src/a.py](file:///ws/src/a.py)" in page
    assert "Nothing left this machine." in page
    request = script.requests[0]
    assert request.kind == "explain"
    assert request.workspace == "/ws"
    assert request.conversation == talk.id
    assert "def add" in request.messages[1].text
    assert request.messages[1].parts[-1].origins == (USER,)
    assert file_origin("/ws", "src/a.py") in request.origins


async def test_a_fix_becomes_a_patch():
    one = chats(Script(fence(FIXED)), desk())
    talk = await one.start(Command("fix", URI, IN_ADD, diagnostics=(ERROR,)))
    updates = await all_of(one, talk.id)
    proposed = updates[-1]
    assert isinstance(proposed, Proposed)
    assert proposed.folder == "/ws"
    edit = proposed.patch.edit("src/a.py")
    assert edit
    assert edit.after == CODE.replace("a - b", "a + b")
    assert proposed.snapshot
    assert proposed.snapshot.version == 1
    assert "A change of 1 place in src/a.py." in one.page(talk.id)


async def test_a_fix_takes_the_nearest_diagnostic_of_the_editor():
    one = desk()
    one.said = {URI: [Diagnostic(4, "warning", "far"), ERROR]}
    script = Script(fence(FIXED))
    mine = chats(script, one)
    talk = await mine.start(Command("fix", URI))
    assert talk.command.diagnostics == (ERROR,)
    assert talk.scope
    assert talk.scope.symbol == "add"
    await all_of(mine, talk.id)
    assert "line 2, error: wrong operator" in script.requests[0].messages[-1].text


async def test_a_refused_answer_is_told_and_tried_again():
    script = Script("I would change the operator.", fence(FIXED))
    one = chats(script)
    talk = await one.start(Command("refactor", URI, IN_ADD, prompt="use plus"))
    updates = await all_of(one, talk.id)
    assert sum(isinstance(u, Restarted) for u in updates) == 1
    assert isinstance(updates[-1], Proposed)
    first, second = script.requests
    assert second.messages[: len(first.messages)] == first.messages, "the server's cache of the question holds"
    assert [m.role for m in second.messages[-2:]] == ["assistant", "user"]
    assert talk.last.answer.text == fence(FIXED)
    assert talk.last.answer.prompt_tokens == 200


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("", "nothing"),
        ("   \n", "nothing"),
        ("You should use plus here.", ""),
        ("```python\ndef add(a, b):\n    return (a +", ""),
        ("```python\ndef add(a, b):\n    # ... rest unchanged\n    ...\n```", ""),
        ("```javascript\nfunction add(a, b) { return a + b }\n```", ""),
        ("```python\ndef add(a, b:\n    return a + b\n```", ""),
    ],
)
async def test_bad_answers_end_with_a_clear_message(answer: str, word: str):
    script = Script(answer, answer, answer)
    one = chats(script)
    talk = await one.start(Command("refactor", URI, IN_ADD))
    with pytest.raises(HearthError) as caught:
        await all_of(one, talk.id)
    assert len(script.requests) == 3
    assert "nothing was changed" in caught.value.message
    assert word in caught.value.message
    assert caught.value.remedy
    assert "nothing was changed" in one.page(talk.id)
    assert not one.running(talk.id)


@pytest.mark.parametrize("reason", ["length", "truncated", "filter"])
async def test_an_answer_that_broke_off_changes_nothing(reason: Ending):
    async def half(request: Request) -> AsyncGenerator[Event]:
        yield Placed("machine", "o", "m", "r")
        yield Text(fence(FIXED))
        yield Done(reason, "machine", "o", "m")

    script = Script(half, half, half)
    one = chats(script)
    talk = await one.start(Command("refactor", URI, IN_ADD))
    with pytest.raises(HearthError, match="broke off"):
        await all_of(one, talk.id)
    asked = [request.output_tokens for request in script.requests]
    assert asked[0] < asked[-1] if reason == "length" else asked[0] == asked[-1]


async def test_an_empty_explanation_is_said():
    one = chats(Script("  "))
    talk = await one.start(Command("explain", URI))
    with pytest.raises(HearthError, match="m answered nothing"):
        await all_of(one, talk.id)


async def test_documenting_may_not_touch_code():
    documented = 'def add(a, b):\n    """Add two numbers."""\n    return a - b\n'
    script = Script(fence(documented.replace("a - b", "a + b")), fence(documented))
    one = chats(script)
    talk = await one.start(Command("document", URI, IN_ADD))
    updates = await all_of(one, talk.id)
    assert "every line of code exactly as it is" in script.requests[1].messages[-1].text
    assert "a + b" in script.requests[1].messages[-1].text
    proposed = updates[-1]
    assert isinstance(proposed, Proposed)
    assert '"""Add two numbers."""' in (proposed.patch.edits[0].after or "")


async def test_tests_go_where_the_project_has_them():
    here = desk(**{"pytest.ini": "[pytest]\n", "tests/test_b.py": "def test_b():\n    assert 1\n", "src/b.py": ""})
    script = Script(
        "tests/test_a.py\n```python\nfrom a import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n```\n"
    )
    one = chats(script, here)
    talk = await one.start(Command("test", URI, IN_ADD))
    updates = await all_of(one, talk.id)
    proposed = updates[-1]
    assert isinstance(proposed, Proposed)
    (edit,) = proposed.patch.edits
    assert (edit.path, edit.before) == ("tests/test_a.py", None)
    asked = script.requests[0].messages[-1].text
    assert "pytest" in asked
    assert "def test_b()" in asked


async def test_what_cannot_be_done_is_said_at_once():
    cases: list[tuple[Command, str]] = [
        (Command("explain", "file:///ws/empty.py"), "is empty"),
        (Command("explain", "file:///ws/gone.py"), "is not there"),
        (Command("explain", ""), "No document is open"),
        (Command("ask", "", prompt="  "), "no question"),
        (Command("refactor", URI, read_only=True), "read-only"),
        (Command("refactor", URI, refactoring="magic"), "no refactoring called magic"),
        (Command("fix", URI), "nothing to fix"),
        (Command("test", "untitled:1"), "is not there"),
        (Command("explain", "file:///ws/big.py", Range(Position(0, 0), Position(199_999, 0))), "too much"),
        (Command("explain", URI, Range(Position(2, 0), Position(3, 0))), "are empty"),
        (Command("test", "file:///ws/a.md"), "no test framework"),
    ]
    one = chats(Script(), desk(**{"empty.py": " \n", "big.py": "x = 1\n" * 200_000, "a.md": "# Hi\n"}))
    for command, said in cases:
        with pytest.raises(HearthError) as caught:
            await one.start(command)
        assert said in caught.value.message, command
    with pytest.raises(HearthError, match="gone"):
        one.get("nothing")


async def test_an_unsaved_document_is_fine():
    here = desk(**{"untitled:1": "def f():\n    return 1\n"})
    script = Script("It gives one.")
    one = chats(script, here)
    talk = await one.start(Command("explain", "untitled:1"))
    await all_of(one, talk.id)
    assert "def f()" in script.requests[0].messages[1].text
    assert "an unsaved document" in one.page(talk.id)


async def test_a_conversation_goes_on_and_keeps_the_cache():
    script = Script("One.", "Two.", "Three.")
    one = chats(script)
    talk = await one.start(Command("explain", URI, IN_ADD))
    await all_of(one, talk.id)
    for words in ("and why?", "and then?"):
        await one.reply(talk.id, words)
        await all_of(one, talk.id)
    texts = ["".join(f"<{m.role}>{m.text}" for m in request.messages) for request in script.requests]
    assert texts[1].startswith(texts[0])
    assert texts[2].startswith(texts[1])
    assert "Two." in one.page(talk.id)


async def test_a_reply_after_the_document_changed_shows_it_again():
    here, script = desk(), Script(fence(FIXED), fence(FIXED.replace("add", "plus")))
    one = chats(script, here)
    talk = await one.start(Command("refactor", URI, IN_ADD))
    await all_of(one, talk.id)
    here.texts["src/a.py"] = "import os\n" + CODE.replace("a - b", "a + b")
    here.version = 2
    await one.reply(talk.id, "call it plus")
    updates = await all_of(one, talk.id)
    assert "import os" in script.requests[1].messages[-1].text
    proposed = updates[-1]
    assert isinstance(proposed, Proposed)
    assert proposed.patch.edits[0].after == here.texts["src/a.py"].replace("def add", "def plus")
    assert proposed.snapshot
    assert proposed.snapshot.version == 2


async def test_mentions_bring_what_they_name():
    here = desk(
        **{"docs/notes.md": "Use care.\u202e", "src/b.py": "class Ring:\n    def area(self):\n        return 1\n"}
    )
    here.hits = [Hit("/ws", "src/b.py", 0, 3, "class Ring: ...", "Ring")]
    here.said = {URI: [ERROR]}
    here.diff = (
        "diff --git a/src/a.py b/src/a.py\n--- a/src/a.py\n+++ b/src/a.py\n@@ -1 +1 @@\n-x\n+y\n"
        "diff --git a/.env b/.env\n--- a/.env\n+++ b/.env\n@@ -1 +1 @@\n-OLD\n+TOKEN=1\n"
    )
    here.diff += "diff --git a/ignored/x b/ignored/x\n--- a/ignored/x\n+++ b/ignored/x\n@@ -1 +1 @@\n-x\n+IGNORED\n"
    here.overview = "src/b.py:\n  class Ring\nlib/c.py:\n  def c()\n"
    here.pages = [WebPage("Rings", "https://rings.example", "Rings are round.")]
    script = Script("Because.")
    one = chats(script, here)
    words = "@file:notes.md @symbol:Ring.area @codebase @diagnostics @git @web @folder:src @selection @nonsense:x why?"
    talk = await one.start(Command("ask", URI, Range(Position(0, 0), Position(1, 0)), prompt=words))
    await all_of(one, talk.id)
    text = script.requests[0].messages[1].text
    for piece in (
        "Use care.", "def area(self):\n        return 1", "class Ring: ...", "line 2, error: wrong operator", "+y",
        "Rings are round.", "src/a.py, lines 1-1", "def two()",
    ):  # fmt: skip
        assert piece in text, piece
    assert "TOKEN" not in text
    assert "IGNORED" not in text
    assert "src/b.py:\n  class Ring" in text
    assert file_origin("/ws", "lib/c.py") in script.requests[0].origins
    assert "\u202e" not in text
    assert text.endswith(words)
    flags = " ".join(talk.last.flags)
    assert "docs/notes.md holds characters that cannot be seen" in flags
    assert "@nonsense: is not known" in flags
    kinds = {(origin.kind, origin.name or origin.path) for origin in script.requests[0].origins}
    assert {("tool", "git"), ("tool", "web"), ("file", "docs/notes.md"), ("file", "src/b.py")} <= kinds


async def test_what_is_not_found_or_does_not_fit_is_said():
    here = desk(**{"big.txt": "words " * 20_000, "x/same.py": "", "y/same.py": ""})
    one = chats(Script("Well."), here, room=8_000)
    talk = await one.start(
        Command("ask", "", prompt="@file:big.txt @file:nope.py @file:same.py @symbol:Nope @codebase?")
    )
    flags = "\n".join(talk.last.flags)
    assert "big.txt left out" in flags
    assert "@file:nope.py: there is no such file" in flags
    assert "there are 2 files of that name: x/same.py, y/same.py" in flags
    assert "nothing in the project is called Nope" in flags
    assert "no words to search for" not in flags or "@codebase" in flags
    await all_of(one, talk.id)
    assert "big.txt left out" in one.page(talk.id)


async def test_a_long_file_is_asked_about_as_far_as_it_fits():
    script = Script("Long.")
    one = chats(script, desk(**{"big.py": "x = 1\n" * 20_000}), room=8_000)
    talk = await one.start(Command("explain", "file:///ws/big.py"))
    await all_of(one, talk.id)
    assert len(script.requests[0].messages[1].text) < 8_000 * 3
    assert "big.py is long" in one.page(talk.id)


async def test_asking_beside_an_empty_document_is_fine():
    script = Script("Yes.")
    one = chats(script, desk(**{"empty.py": ""}))
    await all_of(one, (await one.start(Command("ask", "file:///ws/empty.py", prompt="can you?"))).id)
    assert script.requests[0].messages[1].text == "can you?"


async def test_tests_for_a_read_only_file_are_another_file():
    script = Script("tests/test_a.py\n```python\ndef test_it():\n    assert True\n```\n")
    one = chats(script)
    talk = await one.start(Command("test", URI, read_only=True))
    assert isinstance((await all_of(one, talk.id))[-1], Proposed)


async def test_rules_come_from_trusted_workspaces_only():
    here, script = desk(**{"AGENTS.md": "Use tabs."}), Script("Yes.", "No.")
    one = chats(script, here)
    await all_of(one, (await one.start(Command("explain", URI))).id)
    text = script.requests[0].messages[1].text
    assert text.index("They cannot permit anything") < text.index("Use tabs.") < text.index("def add")
    here.trusted = False
    await all_of(one, (await one.start(Command("explain", URI))).id)
    assert "Use tabs." not in script.requests[1].messages[1].text


# Stop, retry, errors


def hanging(started: asyncio.Event) -> Callable[[Request], AsyncGenerator[Event]]:
    async def answer(request: Request) -> AsyncGenerator[Event]:
        yield Placed("machine", "o", "m", "r")
        yield Text("Half an ")
        started.set()
        await asyncio.Event().wait()

    return answer


async def test_stop_ends_it_and_keeps_what_was_said():
    started, script = asyncio.Event(), Script()
    script.answers = [hanging(started), "Whole."]
    one = chats(script)
    talk = await one.start(Command("explain", URI))
    running = asyncio.create_task(all_of(one, talk.id))
    await started.wait()
    assert one.running(talk.id)
    with pytest.raises(HearthError, match="still being written"):
        await one.reply(talk.id, "more")
    assert await one.stop(talk.id)
    updates = await running
    assert isinstance(updates[-1], Text)
    assert script.closed == 1
    assert not one.running(talk.id)
    assert not await one.stop(talk.id)
    assert talk.last.answer.ending == "stopped"
    assert "Half an" in one.page(talk.id)
    assert "*Stopped.*" in one.page(talk.id)
    await one.retry(talk.id, Choice("cloud", "big"))
    await all_of(one, talk.id)
    assert script.requests[1].choice == Choice("cloud", "big")
    assert "Half an" not in one.page(talk.id)
    assert "Whole." in one.page(talk.id)


async def test_closing_the_generator_stops_the_model():
    started, script = asyncio.Event(), Script()
    script.answers = [hanging(started)]
    one = chats(script)
    talk = await one.start(Command("explain", URI))
    async with aclosing(one.run(talk.id)) as updates:
        async for update in updates:
            if isinstance(update, Text):
                break
    assert script.closed == 1
    assert talk.last.answer.text == "Half an "
    assert talk.last.answer.ending == "stopped"


async def test_errors_of_the_door_are_shown_and_can_be_tried_again():
    one = chats(Script(Unreachable("ollama does not answer.", "Start it."), "Now."))
    talk = await one.start(Command("explain", URI))
    with pytest.raises(Unreachable):
        await all_of(one, talk.id)
    assert "ollama does not answer. Start it." in one.page(talk.id)
    await one.retry(talk.id, Choice())
    await all_of(one, talk.id)
    assert "does not answer" not in one.page(talk.id)


async def test_notes_and_restarts_are_kept():
    async def moody(request: Request) -> AsyncGenerator[Event]:
        yield Placed("cloud", "openrouter.ai", "big", "you chose the cloud")
        yield Text("lost")
        yield Restarted("The cloud broke off.", "Nothing to do.")
        yield Placed("machine", "o", "m", "m answers if the cloud does not")
        yield Note("Slow today.")
        yield Text("Found.")
        yield Note("m did not read all of this.")
        yield Done("stop", "machine", "o", "m", prompt_tokens=50, entries=(3,), cut=True)

    one = chats(Script(moody), room=16_000)
    talk = await one.start(Command("explain", URI))
    updates = await all_of(one, talk.id)
    page = one.page(talk.id)
    assert "lost" not in page
    assert "Found." in page
    assert "The cloud broke off. Nothing to do." in page
    assert "Slow today." in page
    assert "request 3 of the ledger" in page
    assert sum(isinstance(u, Note) and "did not read all" in u.text for u in updates) == 1, "told once"
    assert page.count("did not read all") == 1


async def test_what_a_model_thinks_is_not_shown():
    script = Script("<think>\nHm, <b>, what is it?\n</think>\n\nIt adds.", "<thinner> is a tag")
    one = chats(script)
    talk = await one.start(Command("explain", URI))
    await all_of(one, talk.id)
    assert talk.last.answer.text == "It adds."
    await one.reply(talk.id, "?")
    await all_of(one, talk.id)
    assert talk.last.answer.text == "<thinner> is a tag"


# Kept


async def test_a_conversation_is_there_after_a_restart(tmp_path: Path):
    here = desk()
    before = chats(Script(fence(FIXED)), here, transcripts=Transcripts(tmp_path, ["/ws"]))
    talk = await before.start(Command("refactor", URI, IN_ADD, prompt="plus"))
    await all_of(before, talk.id)
    await before.became(talk.id, mark_of(talk.last.answer), "Applied.")
    assert "**A change of 1 place in src/a.py.** Applied." in before.page(talk.id)
    script = Script(fence(FIXED.replace("add", "plus")), fence(FIXED))
    after = chats(script, here, transcripts=Transcripts(tmp_path, ["/ws"]))
    (line,) = await after.list()
    assert (line.id, line.kind, line.turns) == (talk.id, "refactor", 1)
    assert [one.id for one in await after.list("plus add")] == [talk.id]
    assert after.page(talk.id) == before.page(talk.id)
    await after.reply(talk.id, "call it plus")
    updates = await all_of(after, talk.id)
    assert isinstance(updates[-1], Proposed)
    assert "def two()" in script.requests[0].messages[1].text, "the file is read anew"
    assert "a + b" in script.requests[0].messages[2].text, "the answer is remembered"
    assert "A change of 1 place" in await after.export(talk.id)
    assert await after.delete(talk.id)
    assert await after.list() == []


async def test_what_became_of_a_change_is_said_while_the_next_answer_is_written():
    one = chats(Script(fence(FIXED), fence(FIXED.replace("add", "plus"))), desk())
    talk = await one.start(Command("refactor", URI, IN_ADD, prompt="plus"))
    await all_of(one, talk.id)
    first = mark_of(talk.last.answer)
    await one.reply(talk.id, "call it plus")
    async for update in one.run(talk.id):
        if isinstance(update, Text):
            before = one.page(talk.id)
            await one.became(talk.id, first, fate := f"{len(before)}.")
            page = one.page(talk.id)
            assert f"1 place in src/a.py.** {fate}" in page
            assert page.rpartition("---")[2] == before.rpartition("---")[2], "what was written meanwhile is still there"
    await one.became(talk.id, first, "Applied, then undone.")
    assert one.page(talk.id).count("Applied, then undone.") == 1
    await one.retry(talk.id, talk.choice)
    assert "Applied, then undone." in one.page(talk.id)
    with pytest.raises(HearthError, match="gone"):
        await one.became("gone", first, "Applied.")
    await one.became(talk.id, "another answer's", "Applied.")
    assert " Applied." not in one.page(talk.id)


async def test_the_last_answer_can_be_asked_again_after_a_restart(tmp_path: Path):
    before = chats(Script("prose", "prose", "prose"), transcripts=Transcripts(tmp_path, ["/ws"]))
    talk = await before.start(Command("refactor", URI, IN_ADD))
    with pytest.raises(HearthError):
        await all_of(before, talk.id)
    script = Script(fence(FIXED))
    after = chats(script, transcripts=Transcripts(tmp_path, ["/ws"]))
    await after.retry(talk.id, Choice())
    assert isinstance((await all_of(after, talk.id))[-1], Proposed)


async def test_long_conversations_are_condensed():
    answer = "word " * 1_500
    script = Script(*[answer] * 12)
    one = chats(script, room=12_000)
    talk = await one.start(Command("explain", URI))
    await all_of(one, talk.id)
    for number in range(11):
        await one.reply(talk.id, f"more {number}?")
        await all_of(one, talk.id)
    texts = ["".join(m.text for m in request.messages) for request in script.requests]
    assert max(map(len, texts)) < 12_000 * 3
    changes = sum(not b.startswith(a) for a, b in pairwise(texts))
    assert 1 <= changes <= 5
    assert "Earlier in this conversation" in texts[-1]
    assert "def add" in texts[-1]


async def test_what_must_not_leave_is_left_out_where_the_cloud_is_asked():
    here = desk(**{"src/a.py": "def one(): ...\n", "src/plan.py": "def plan(): ...\n"})
    here.kept_here = ("src/plan.py",)
    here.hits = [Hit("/ws", "src/a.py", 0, 1, "def one(): ..."), Hit("/ws", "src/plan.py", 0, 1, "def plan(): ...")]
    here.overview = "src/a.py:\n  def one()\nsrc/plan.py:\n  def plan()\n"
    command = Command("ask", "", prompt="@codebase @file:src/plan.py#L1-L1 what is planned?")

    script = Script("Well.", "Well.")
    away = chats(script, here, away=lambda _choice: True)
    talk = await away.start(replace(command, prompt="@codebase @folder:src what is planned?"))
    await all_of(away, talk.id)
    assert "def one" in script.requests[0].messages[-1].text
    assert "plan.py" not in script.requests[0].messages[-1].text
    assert all(origin.path != "src/plan.py" for origin in script.requests[0].origins)
    assert "@codebase: src/plan.py left out, since the cloud is asked: src/plan.py must never leave" in away.page(
        talk.id
    )

    named = await away.start(command)  # the user named it: it is shown, and where it cannot go is said
    await all_of(away, named.id)
    assert "def plan" in script.requests[1].messages[-1].text
    assert any("@file:src/plan.py#L1-L1: with src/plan.py this question is not" in flag for flag in named.last.flags)

    script = Script("Well.")
    stays = chats(script, here)
    talk = await stays.start(command)
    await all_of(stays, talk.id)
    assert "def plan" in script.requests[0].messages[-1].text
    assert any("@codebase: with src/plan.py this question is not for the cloud" in flag for flag in talk.last.flags)
