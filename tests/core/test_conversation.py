from decimal import Decimal

import pytest

from hearth.core.chat import Command, Scope
from hearth.core.chat_page import Page, page
from hearth.core.conversation import (
    FOLD_ABOVE_SHARE,
    Answer,
    Conversation,
    Turn,
    condense,
    messages,
    title_of,
    tokens_in,
)
from hearth.core.exchange import Message, Part, system
from hearth.core.origin import USER, file_origin, sources

SYSTEM = system("You are Hearth.")
A = file_origin("/ws", "src/a.py", 2, 9)


def conversation(turns: int = 0, *, size: int = 200) -> Conversation:
    talk = Conversation(
        "c1",
        "explain",
        "Explain f in a.py",
        Command("explain", "file:///ws/src/a.py"),
        None,
        1.0,
        base=(Part("code\n", (A,)),),
    )
    for number in range(turns):
        talk.turns.append(turn(number, size))
    return talk


def turn(number: int, size: int = 200) -> Turn:
    answer = Answer(f"Because {number}. " + "word " * (size // 5), "machine", "ollama", "m", "it fits", "stop")
    origin = file_origin("/ws", f"f{number}.py")
    return Turn(
        f"why {number}?", (Part(f"file {number}\n", (origin,)), Part(f"why {number}?", (USER,))), (origin,), (), answer
    )


def flat(shown: tuple[Message, ...]) -> str:
    return "".join(f"<{one.role}>{one.text}" for one in shown)


def test_roles_take_turns_and_the_question_is_last():
    talk = conversation(3)
    talk.turns[1] = Turn("lost", (Part("lost", (USER,)),), answer=Answer(ending="failed", problem="gone"))
    talk.turns.append(Turn("and?", (Part("and?", (USER,)),)))
    shown = messages(talk, SYSTEM)
    assert [one.role for one in shown] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert shown[1].text == "code\nfile 0\nwhy 0?"
    assert shown[-1].text == "and?"
    assert "lost" not in flat(shown)


def test_an_answer_inherits_what_was_shown():
    shown = messages(conversation(2), SYSTEM)
    assert A in sources(shown[2].origins)


def test_over_forty_turns_the_prefix_changes_seldom():
    """The requirement: what a server has cached of the last request is the start of the next, but for few times."""
    talk, room = conversation(), 4_000
    last, changes, largest = "", 0, 0
    for number in range(40):
        talk.turns.append(Turn(f"why {number}?", turn(number).parts))
        condense(talk, SYSTEM, room)
        shown = messages(talk, SYSTEM)
        largest = max(largest, tokens_in(shown))
        changes += not flat(shown).startswith(last)
        last = flat(shown)
        talk.turns[-1] = turn(number, 900)
    assert changes <= 7
    assert largest <= room * FOLD_ABOVE_SHARE
    assert "Earlier in this conversation" in last


def test_without_need_nothing_is_folded():
    talk = conversation(5)
    assert not condense(talk, SYSTEM, 100_000)
    assert talk.folded == 0


def test_what_is_folded_keeps_its_origins_and_signatures():
    talk = conversation(3, size=3_000)
    code = "So:\n```py\nclass Ring:\n    def area(self): ...\n    x = 1\n```\n"
    talk.turns[0] = Turn(
        "make a ring", talk.turns[0].parts, talk.turns[0].used, (), Answer(code + "z " * 2_000, ending="stop")
    )
    assert condense(talk, SYSTEM, 3_000)
    (digest,) = talk.digest
    assert "make a ring" in digest.text
    assert "class Ring:; def area(self): ..." in digest.text
    assert "f0.py" in digest.text
    assert file_origin("/ws", "f0.py") in sources(digest.origins)
    assert USER in sources(digest.origins)


def test_a_question_that_is_too_long_alone_stays():
    talk = conversation()
    talk.turns.append(Turn("x", (Part("long " * 9_000, (USER,)),)))
    assert not condense(talk, SYSTEM, 1_000)
    assert messages(talk, SYSTEM)[-1].text.endswith("long ")


@pytest.mark.parametrize(
    ("command", "scope", "title"),
    [
        (Command("explain"), Scope(1, 5, "A.f", "symbol"), "Explain A.f in a.py"),
        (Command("test"), Scope(0, 9, "", "file"), "Tests for a.py"),
        (Command("fix"), Scope(4, 5, "", "selection"), "Fix line 5 of a.py"),
        (Command("ask", prompt="why\n  so?"), None, "why so?"),
    ],
)
def test_titles(command: Command, scope: Scope | None, title: str):
    assert title_of(command, scope, "a.py") == title
    assert len(title_of(Command("ask", prompt="long " * 100), None, "")) <= 80


# The page


def test_the_header_says_who_where_why_and_what():
    talk = conversation(1)
    done = Answer(
        "Done.", "cloud", "openrouter.ai", "qwen/coder", "you chose the cloud", "stop", prompt_tokens=1_204,
        cached_tokens=1_100, generated_tokens=56, cost=Decimal("0.0002"), entries=(7,),
    )  # fmt: skip
    talk.turns[0] = Turn("why?", talk.turns[0].parts, (A,), (), done)
    text = page(talk, ["/ws"])
    head = text.partition("\n---\n")[0]
    assert head.startswith("# Explain f in a.py\n")
    assert "**qwen/coder**, in the cloud: you chose the cloud." in head
    assert "1,204 tokens read (1,100 of them cached), 56 written; $0.0002" in head
    assert "[src/a.py, lines 3-9](file:///ws/src/a.py#L3-L9)" in head
    assert "request 7 of the ledger" in head
    assert "\n> why?\n" in text
    assert text.rstrip().endswith("Done.")


def test_a_local_answer_says_that_nothing_left():
    assert "Nothing left this machine." in page(conversation(1), ["/ws"])


def test_hostile_titles_labels_and_words_are_shown_safely():
    talk = conversation(1)
    evil = "![x](https://evil.example)"
    talk.title = evil
    origin = file_origin("/ws", "a](https://evil.example) [b.py")
    answer = Answer(evil, "machine", evil, evil, evil, "failed", evil, evil, (evil,))
    talk.turns[0] = Turn(evil, (), (origin,), (evil,), answer)
    text = page(talk, ["/ws"])
    assert "![" not in text
    assert "](https" not in text
    assert "](file:///ws/a%5D%28https://evil.example%29%20%5Bb.py)" in text


def test_a_page_that_grows_is_the_page_at_the_end():
    talk = conversation(2)
    shown = Page(talk, ["/ws"])
    talk.turns.append(Turn("more?", (Part("more?", (USER,)),), flags=("AGENTS.md hides something.",)))
    assert "*…*" in shown.text()
    said = ""
    for piece in ("Look:\n``", "`py\nx = 1\n", "```\nand [a](src/a.py", ":3)", " `open\n"):
        shown.wrote(piece)
        said += piece
        text = shown.text()
        assert text.count("\n```") % 2 == 0
    talk.turns[-1] = Turn(
        "more?", talk.last.parts, flags=talk.last.flags, answer=Answer(said, "machine", "o", "m", "r", "stop")
    )
    assert shown.text() == page(talk, ["/ws"])
    assert "[a](file:///ws/src/a.py#L3)" in shown.text()


def test_what_was_rendered_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch):
    talk = conversation(200, size=1_000)
    shown = Page(talk, ["/ws"])
    talk.turns.append(Turn("more?", ()))
    shown.text()
    lines: list[str] = []
    monkeypatch.setattr("hearth.core.markdown._prose", lambda line, links, depth=0: lines.append(line) or line)
    monkeypatch.setattr("hearth.core.chat_page.safe", lambda text, links=None: lines.append(text) or text)
    for number in range(100):
        shown.wrote(f"line {number}\n")
        shown.text()
    assert len(lines) <= 100 * 12, "a refresh costs the new line and the header, not the page"
    assert sum(map(len, lines)) < 40_000


def test_a_dropped_turn_is_gone_from_the_page():
    talk = conversation(2)
    shown = Page(talk, ["/ws"])
    assert "why 1?" in shown.text()
    talk.turns.pop()
    assert "why 1?" not in shown.text()
