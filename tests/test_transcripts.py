import json
import os
import stat
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from hearth.chat import transcripts
from hearth.chat.transcripts import Transcripts
from hearth.core.chat import Command, Scope
from hearth.core.chat_page import page
from hearth.core.chat_record import record, restored
from hearth.core.conversation import Answer, Conversation, Turn
from hearth.core.exchange import Part
from hearth.core.origin import USER, file_origin
from hearth.core.text import Position, Range

A = file_origin("/ws", "a.py", 2, 5)


def talk(
    identifier: str = "abc1", asked: str = "why is it slow?", answer: str = "Because of the loop."
) -> Conversation:
    said = Answer(
        answer, "cloud", "host", "coder", "you chose it", "stop", "", "Two places changed.", ("a note",), 10, 5, 3,
        Decimal("0.001"), (4, 5),
    )  # fmt: skip
    command = Command("explain", "file:///ws/a.py", Range(Position(2, 0), Position(4, 1)))
    turn = Turn(asked, (Part("secret file text", (A,)), Part(asked, (USER,))), (A,), ("flagged",), said)
    return Conversation(
        identifier, "explain", "Explain f", command, Scope(2, 5, "f", "selection"), 100.5, [turn], updated=200.5
    )


def test_what_is_kept_comes_back(tmp_path: Path):
    store = Transcripts(tmp_path, ["/ws"])
    store.save(talk())
    found = Transcripts(tmp_path, ["/ws"]).load("abc1")
    assert found
    assert page(found, ["/ws"]) == page(talk(), ["/ws"])
    assert (found.command, found.scope, found.updated) == (talk().command, talk().scope, 200.5)
    assert found.last.answer == talk().last.answer
    assert record(found) == record(talk())


def test_the_text_of_attachments_is_not_kept(tmp_path: Path):
    Transcripts(tmp_path, ["/ws"]).save(talk())
    (path,) = tmp_path.rglob("*.chat")
    assert b"secret file text" not in path.read_bytes()


def test_what_was_used_still_counts_after_a_restart():
    found = restored(record(talk()))
    assert found
    assert A in found.last.parts[0].origins


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_only_the_user_can_read_it(tmp_path: Path):
    Transcripts(tmp_path, ["/ws"]).save(talk())
    (path,) = tmp_path.rglob("*.chat")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_workspaces_are_apart(tmp_path: Path):
    Transcripts(tmp_path, ["/ws"]).save(talk())
    other = Transcripts(tmp_path, ["/other"])
    assert other.listed("", 10) == []
    assert other.load("abc1") is None


def test_list_and_search(tmp_path: Path):
    store = Transcripts(tmp_path, ["/ws"])
    for number, words in enumerate(("about loops", "about trees", "about loops and trees")):
        store.save(talk(f"c{number}", words, "The answer."))
        (path,) = tmp_path.rglob(f"c{number}.chat")
        os.utime(path, (number, number))
    assert [line.id for line in store.listed("", 2)] == ["c2", "c1"]
    assert [line.id for line in store.listed("LOOPS answer", 9)] == ["c2", "c0"]
    assert store.listed("nothing", 9) == []
    assert store.delete("c2")
    assert not store.delete("c2")
    assert store.load("c2") is None


@pytest.mark.parametrize("identifier", ["../../etc/passwd", "", "a/b", "A", "x" * 100])
def test_ids_name_no_other_file(tmp_path: Path, identifier: str):
    store = Transcripts(tmp_path, ["/ws"])
    assert store.load(identifier) is None
    assert not store.delete(identifier)


def test_damaged_ones_are_passed_over(tmp_path: Path):
    store = Transcripts(tmp_path, ["/ws"])
    store.save(talk("good"))
    (path,) = tmp_path.rglob("good.chat")
    whole = path.read_bytes()
    for name, data in {
        "empty": b"", "cut": whole[: len(whole) // 2], "zeros": b"\0" * 100, "list": b"[]\n[]\n",
        "deep": b"[" * 100_000, "other": whole,
        "odd": json.dumps({"id": "odd", "kind": "explain", "updated": "x"}).encode() + b"\n{}\n",
    }.items():  # fmt: skip
        (path.parent / f"{name}.chat").write_bytes(data)
        assert store.load(name) is None
    assert {line.id for line in store.listed("", 99)} >= {"good"}
    assert {line.id for line in store.listed("loop", 99)} == {"good"}


def test_damaged_turns_are_passed_over():
    raw = record(talk())
    raw["turns"] = [{"asked": 5}, *raw["turns"], {"asked": "x", "answer": {"cost": "much", "entries": ["a", True, 7]}}]
    found = restored(raw)
    assert found
    assert [turn.asked for turn in found.turns] == ["why is it slow?", "x"]
    assert (found.turns[1].answer.cost, found.turns[1].answer.entries) == (None, (7,))
    assert restored({**raw, "version": 99}) is None


def test_there_are_not_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transcripts, "CONVERSATIONS_MAX", 3)
    store = Transcripts(tmp_path, ["/ws"])
    for number in range(5):
        store.save(talk(f"c{number}"))
        (path,) = tmp_path.rglob(f"c{number}.chat")
        os.utime(path, (number, number))
    store.save(talk("last"))
    assert len(store.listed("", 99)) == 3


def test_a_conversation_that_is_too_large_loses_its_oldest_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transcripts, "RECORD_BYTES_MAX", 20_000)
    one = talk()
    one.turns = [talk(asked=f"question {number}", answer="x" * 1_000).turns[0] for number in range(40)]
    store = Transcripts(tmp_path, ["/ws"])
    store.save(one)
    found = store.load("abc1")
    assert found
    assert 0 < len(found.turns) < 20
    assert found.last.asked == "question 39"
    assert len(one.turns) == 40
