"""Where texts come from: what is made from others inherits every source of theirs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.origin import (
    PRODUCT,
    USER,
    WHOLE,
    Origin,
    file_origin,
    files_of,
    sources,
    summary_of,
    tool_origin,
)

A = file_origin("/w", "a.py")
B = file_origin("/w", "src/b.py", 2, 9)
LEAVES = st.sampled_from([A, B, USER, PRODUCT, Origin("tool", name="pytest"), Origin("summary")])
ORIGINS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4).flatmap(
        lambda parents: st.sampled_from([summary_of(parents), Origin("summary", parents=tuple(parents))])
    ),
    max_leaves=12,
)
STRETCHES = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("origin", "label"),
    [
        (A, "a.py"),
        (B, "src/b.py, lines 3-9"),
        (file_origin("/w", "a.py", 4, 5), "a.py, line 5"),
        (file_origin("/w", "a.py", 4), "a.py, from line 5"),
        (file_origin("", ""), "an unsaved document"),
        (USER, "your words"),
        (PRODUCT, "Hearth"),
        (Origin("tool", name="git diff"), "the output of git diff"),
        (Origin("tool"), "a tool's output"),
        (Origin("tool", "a.py", "/w", name="read"), "a.py"),
        (summary_of([A, B]), "a summary"),
    ],
)
def test_labels(origin: Origin, label: str) -> None:
    assert origin.label == label


def test_a_summary_has_the_sources_of_what_it_was_made_from() -> None:
    first = summary_of([A, USER])
    assert summary_of([first, B]).parents == (A, USER, B)
    assert sources([summary_of([first, summary_of([B])]), A]) == (A, USER, B)


def test_a_summary_of_nothing_stays_unknown() -> None:
    assert sources([summary_of([])]) == (Origin("summary"),)
    assert sources([summary_of([summary_of([]), A])]) == (Origin("summary"), A)


def test_the_output_of_a_tool_is_the_tool_and_what_it_read() -> None:
    assert set(sources([tool_origin("grep", [A])])) == {Origin("tool", name="grep"), A}


def test_files_are_found_in_whatever_they_went_into() -> None:
    assert files_of([USER, summary_of([tool_origin("grep", [A]), B])]) == (A, B)


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([(0, 5), (5, 9)], [(0, 9)]),
        ([(4, 9), (0, 5)], [(0, 9)]),
        ([(0, 3), (5, 9)], [(0, 3), (5, 9)]),
        ([(0, 3), (2, WHOLE)], [(0, WHOLE)]),
        ([(0, WHOLE), (50, 60)], [(0, WHOLE)]),
        ([(0, 9), (2, 3)], [(0, 9)]),
    ],
)
def test_stretches_that_touch_are_one(stretches: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    assert [(o.start, o.end) for o in sources(file_origin("/w", "a", *s) for s in stretches)] == expected


def test_no_depth_and_no_sharing_is_too_much() -> None:
    deep = A
    for _ in range(10_000):
        deep = Origin("summary", parents=(deep, deep))
    assert sources([deep]) == (A,)


@given(st.lists(ORIGINS, max_size=4), st.lists(ORIGINS, max_size=4))
def test_nothing_is_lost_by_summing_up(one: list[Origin], other: list[Origin]) -> None:
    together = set(sources([summary_of(one), summary_of(other)]))
    if sources(one) and sources(other):
        assert together == {*sources(one), *sources(other)}
    else:  # an empty one is unknown, and says so
        assert together >= {*sources(one), *sources(other), Origin("summary")}


@given(st.lists(ORIGINS, max_size=6))
def test_sources_are_final(origins: list[Origin]) -> None:
    once = sources(origins)
    assert sources(once) == once
    assert len(set(once)) == len(once)
    assert all(not origin.parents for origin in once)


@given(STRETCHES)
def test_lines_are_neither_lost_nor_added(stretches: list[tuple[int, int]]) -> None:
    origins = [file_origin("/w", "a", start, start + size) for start, size in stretches]
    lines = {line for origin in origins for line in range(origin.start, origin.end)}
    found = [line for origin in sources(origins) for line in range(origin.start, origin.end)]
    assert set(found) == lines
    assert len(found) == len(lines)
