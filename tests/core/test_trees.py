"""Trees that are parsed again only where the text changed say the same as trees parsed anew."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.analysis import analysed
from hearth.core.trees import BYTES_KEPT_MAX, TREES_KEPT_MAX, Trees

PYTHON = """\
LIMIT = 3


class Circle:
    def area(self, scale):
        return "é" * scale


def total(items):
    def one(item):
        return item.price

    return sum(one(item) for item in items)
"""
GO = """\
package a

const Limit = 3

func (c Circle) Area() int { return 1 }

func Total(items []Item) int {
\treturn Limit
}
"""
PIECES = ["", "x", "\n", "é", "😀", "    ", "def b():\n    pass\n", "func b() {\n}\n", "class A", "LIMIT", "\r\n"]


@given(
    which=st.sampled_from([("python", PYTHON), ("go", GO)]),
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60), st.sampled_from(PIECES)), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_after_edits_the_definitions_are_those_of_the_text(which: tuple[str, str], edits: list[tuple[int, int, str]]):
    language, text = which
    trees = Trees()
    for at, gone, put in edits:
        trees.definitions("file:///a", language, text)
        text = text[:at] + put + text[at + gone :]
    found = trees.parsed("file:///a", language, text)
    fresh = analysed(language, text).symbols
    assert found is not None
    if not found.tree.root_node.has_error:  # of broken code there may be two readings
        assert trees.definitions("file:///a", language, text).symbols == fresh


def test_a_tree_is_made_once_and_the_oldest_go():
    trees = Trees()
    first = trees.parsed("file:///0", "python", PYTHON)
    assert trees.parsed("file:///0", "python", PYTHON) is first
    assert trees.parsed("file:///copy", "python", PYTHON) is first
    for number in range(TREES_KEPT_MAX):
        trees.parsed(f"file:///{number}", "python", f"{PYTHON}# {number}\n")
    assert trees.parsed("file:///0", "python", PYTHON) is not first
    long = PYTHON * (BYTES_KEPT_MAX // len(PYTHON) + 1)
    assert trees.parsed("file:///long", "python", long) is not trees.parsed("file:///long", "python", long)


@pytest.mark.parametrize(
    ("language", "names"), [("yaml", ["a"]), ("plaintext", []), ("c", ["B"])], ids=["yaml", "none", "header of C++"]
)
def test_what_is_read_otherwise(language: str, names: list[str]):
    text = "class B {};\n" if language == "c" else "a: 1\n"
    assert [one.name for one in Trees().definitions("file:///a", language, text).symbols] == names
