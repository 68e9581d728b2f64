"""The memory of suggestions: typed through, backspaced into, and never served anywhere else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.text import Snapshot
from hearth.gather import spot_at
from hearth.store import DOCUMENTS_MAX, ENTRIES_PER_DOCUMENT_MAX, Entry, Memory, Place, typed_since


def place(marked: str, uri: str = "file:///a.py") -> Place:
    before, after = marked.split("█")
    snapshot = Snapshot.of(before + after, uri=uri)
    return spot_at(snapshot, snapshot.position_at(len(before))).place


def rest(first: str, text: str, then: str) -> str | None:
    memory = Memory()
    memory.remember(Entry(place(first), text))
    found = memory.lookup(place(then))
    return found[1] if found else None


@pytest.mark.parametrize(
    ("first", "text", "then", "left"),
    [
        ("def add█\n", "(a, b):\n    return a", "def add█\n", "(a, b):\n    return a"),
        ("def add█\n", "(a, b):\n    return a", "def add(a█\n", ", b):\n    return a"),
        ("def add█\n", "(a, b):\n    return a", "def add(█)\n", "a, b):\n    return a"),
        ("def add█\n", "(a, b):\n    return a", "def add(a, b):\n    █\n", "return a"),
        ("def add█\n", "(a, b):\n    return a", "def add(a, b):\n█\n", "    return a"),
        ("def add█\n", "(a, b)", "def add(a, b)█\n", None),  # typed in full
        ("def add█\n", "(a, b)", "def add(x█\n", None),  # another way
        ("def add█\n", "(a, b)", "def ad█\n", None),  # behind the trigger
        ("x\ndef add█\nend", "(a, b)", "x\ndef add█\nother", None),  # the text below changed
        ("x\ndef add█\nend", "(a, b)", "y\ndef add█\nend", None),  # the text above changed
        ("if x {█\nend", "\n  y\n}", "if x {\n  █\n}\nend", "y\n}"),  # the editor moved its bracket down
        ("█\n", "import os", "imp█\n", "ort os"),
        ("  █\n", "x", "█\n", None),  # white space is never stripped from the key
        ("\r\nx = █\r\n", "1\ny", "\r\nx = 1\r\n█\r\n", "y"),
    ],
)
def test_lookup(first: str, text: str, then: str, left: str | None) -> None:
    assert rest(first, text, then) == left


def test_another_document_is_another_place() -> None:
    memory = Memory()
    memory.remember(Entry(place("x█"), "y"))
    assert memory.lookup(place("x█", "file:///b.py")) is None


def test_the_newest_wins_and_everything_is_bounded() -> None:
    memory = Memory()
    memory.remember(Entry(place("x█"), "old"))
    memory.remember(Entry(place("x█"), "new"))
    found = memory.lookup(place("x█"))
    assert found
    assert found[1] == "new"
    for number in range(ENTRIES_PER_DOCUMENT_MAX * 3):
        memory.remember(Entry(place(f"{number}█"), "text"))
    assert len(memory) == ENTRIES_PER_DOCUMENT_MAX
    for number in range(DOCUMENTS_MAX * 2):
        memory.remember(Entry(place("x█", f"file:///{number}"), "text"))
    assert len(memory) == DOCUMENTS_MAX


def test_a_repeated_line_does_not_confuse_the_place() -> None:
    line = "value = compute(value)\n" * 20
    assert rest(f"{line}va█\n", "lue = 1", f"{line}valu█\n") == "e = 1"


@settings(max_examples=300, deadline=None)
@given(
    before=st.text(alphabet="ab\n (", max_size=150),
    text=st.text(alphabet="ab\n )x", min_size=1, max_size=60),
    count=st.integers(0, 60),
    after=st.text(alphabet="cd\n", max_size=30),
)
def test_typing_along_always_finds_the_rest(before: str, text: str, count: int, after: str) -> None:
    """The read key is the write key: whatever was suggested is found again after any part of it was typed."""
    after = "\n" + after
    then = place(f"{before}█{after}")
    typed = text[:count]
    now = place(f"{before}{typed}█{after}")
    assert typed in list(typed_since(then, now))
    memory = Memory()
    memory.remember(Entry(then, text))
    found = memory.lookup(now)
    assert (found[1] if found else "") == text[len(typed) :]
