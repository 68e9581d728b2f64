"""The memory of suggestions: typed through, backspaced into, and never served anywhere else."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth import store
from hearth.core.text import Snapshot
from hearth.gather import spot_at
from hearth.store import (
    ALTERNATIVES_MAX,
    DOCUMENTS_MAX,
    ENTRIES_PER_DOCUMENT_MAX,
    TEXT_CHARS_MAX,
    Entry,
    Memory,
    Place,
    typed_since,
)


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


# Several suggestions for one place


def rests(memory: Memory, marked: str, most: int = ALTERNATIVES_MAX) -> list[str]:
    return [rest for _, rest in memory.lookup_all(place(marked), most)]


def test_alternatives_are_served_newest_first() -> None:
    memory = Memory()
    for text in ("one(1)", "two(2)", "one(3)"):
        memory.remember(Entry(place("x = █\n"), text))
    assert rests(memory, "x = █\n") == ["one(3)", "two(2)", "one(1)"]
    assert rests(memory, "x = █\n", 2) == ["one(3)", "two(2)"]
    memory.remember(Entry(place("x = █\n"), "one(1)"))
    assert rests(memory, "x = █\n") == ["one(1)", "one(3)", "two(2)"], "said again, it is the newest"
    assert rests(memory, "x = one█\n") == ["(1)", "(3)"], "typing chooses among them"
    assert rests(memory, "x = one(3█\n") == [")"]
    assert rests(memory, "x = three█\n") == []
    memory.remember(Entry(place("x = one█\n"), "(3)"))
    assert rests(memory, "x = one█\n") == ["(3)", "(1)"], "the same text from another place is no alternative"


def test_alternatives_are_bounded() -> None:
    memory = Memory()
    for number in range(ALTERNATIVES_MAX + 3):
        memory.remember(Entry(place("x = █\n"), f"f({number})"))
    newest = [f"f({number})" for number in reversed(range(3, ALTERNATIVES_MAX + 3))]
    assert rests(memory, "x = █\n", 100) == newest
    assert len(memory) == ALTERNATIVES_MAX
    memory.remember(Entry(place("y = █\n"), "x" * (TEXT_CHARS_MAX + 1)))
    assert rests(memory, "y = █\n") == []


def test_characters_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHARS_MAX", 10_000)
    memory = Memory()
    for number in range(20):
        memory.remember(Entry(place("x█", f"file:///{number}"), "y" * 999))
    assert len(memory) == 10
    assert memory.lookup(place("x█", "file:///19"))
    assert not memory.lookup(place("x█", "file:///9"))
    for number in range(20):
        memory.remember(Entry(place(f"{number}█", "file:///one"), "y" * 999))
    assert len(memory) == 20, "the document at hand is bounded by its number of suggestions"


def test_what_was_dropped_leaves_the_others() -> None:
    memory = Memory()
    for text in ("one", "two"):
        memory.remember(Entry(place("x = █\n"), text))
    memory.drop(Entry(place("x = █\n"), "two"))
    memory.drop(Entry(place("x = █\n"), "never said"))
    memory.drop(Entry(place("z█", "file:///b.py"), "one"))
    assert rests(memory, "x = █\n") == ["one"]
    assert len(memory) == 1


# Taken in parts


BLOCK = "(a, b):\n    total = a + b\n    return total"


@pytest.mark.parametrize("part", ["(", "(a, ", "(a, b):", "(a, b):\n", "(a, b):\n    ", "(a, b):\n    total "])
def test_a_part_taken_by_word_or_line_leaves_the_rest(part: str) -> None:
    memory = Memory()
    memory.remember(Entry(place("def add█\nend"), BLOCK))
    assert rests(memory, f"def add{part}█\nend") == [BLOCK[len(part) :]]
    # After a part was taken the model may have been asked again; going back finds the whole.
    memory.remember(Entry(place(f"def add{part}█\nend"), "other"))
    assert rests(memory, "def add█\nend") == [BLOCK]
    assert rests(memory, f"def add{part}█\nend") == ["other", BLOCK[len(part) :]]


def test_every_word_taken_one_after_the_other_leads_to_the_end() -> None:
    memory = Memory()
    memory.remember(Entry(place("def add█\nend"), BLOCK))
    text, steps = "", 0
    while found := memory.lookup(place(f"def add{text}█\nend")):
        word = re.match(r"\s*(\w+|[^\w\s]+)|\s+", found[1])
        assert word
        text += word[0]
        steps += 1
    assert text == BLOCK
    assert steps > 10


def test_a_suggestion_with_the_widgets_choice_is_found_without_it() -> None:
    """Lines taken one by one, with the editor's own indentation already there."""
    memory = Memory()
    memory.remember(Entry(place("if x:█\n"), "\n    y()\n    z()"))
    assert rests(memory, "if x:\n    y()\n█\n") == ["    z()"]
    assert rests(memory, "if x:\n    y()\n    █\n") == ["z()"]


# Found by the line


class Counted(str):
    """Text that counts how often it is compared."""

    compared = 0

    def startswith(self, *args: object) -> bool:  # type: ignore[override]
        Counted.compared += 1
        return super().startswith(*args)  # type: ignore[arg-type]


def test_a_lookup_looks_at_few_of_ten_thousand() -> None:
    """What a lookup costs is counted, not timed: about 0.1 ms in the worst case here."""
    memory = Memory()
    above = "".join(f"line {n} of the text above = {n * n}\n" for n in range(20))
    for document in range(40):
        for number in range(250):
            where = Place(f"file:///{document}", f"# {number}\n{above}    value_{number} = ", "", "")
            memory.remember(Entry(where, Counted(f"compute({number}, value)")))
    assert len(memory) == 10_000
    Counted.compared = 0
    now = Place("file:///7", f"# 8\n{above}    value_8 = comp", "", "")
    found = memory.lookup(now)
    assert found
    assert found[1] == "ute(8, value)"
    assert Counted.compared <= 3
    Counted.compared = 0
    assert memory.lookup(Place("file:///7", f"# 8\n{above}    value_8 = none", "", "")) is None
    assert Counted.compared <= 3


@settings(max_examples=300, deadline=None)
@given(
    data=st.lists(
        st.tuples(st.text(alphabet="ab\n ", max_size=30), st.text(alphabet="ab\n ", min_size=1, max_size=8)),
        max_size=12,
    ),
    above=st.sampled_from(["", "a\n" * 40, "b a\n" * 600, "ab\n" * 332, "a" * 950 + "\n", "\n" * 1200]),
    now=st.text(alphabet="ab\n ", max_size=36),
)
def test_the_index_finds_what_looking_at_all_finds(data: list[tuple[str, str]], above: str, now: str) -> None:
    memory = Memory()
    entries: list[Entry] = []
    for before, text in data:
        entry = Entry(place(f"{above}{before}█"), text)
        memory.remember(entry)
        entries = [e for e in entries if e != entry] + [entry]
    there = place(f"{above}{now}█")
    wanted: list[str] = []
    for entry in reversed(entries):
        for typed in typed_since(entry.place, there):
            if entry.text.startswith(typed) and len(typed) < len(entry.text):
                wanted.append(entry.text[len(typed) :])
                break
    alternatives = Counter(entry.place for entry in entries)
    if max(alternatives.values(), default=0) <= ALTERNATIVES_MAX:
        assert [rest for _, rest in memory.lookup_all(there, 100)] == list(dict.fromkeys(wanted))
