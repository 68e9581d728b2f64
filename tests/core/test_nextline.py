"""The rest of a line, or the next line: by what the model says first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.candidate import Site
from hearth.core.nextline import LineOrNext
from hearth.core.syntax import Window, closers_missing

CASES = [
    ("python", "x = 1", "\ny = 2\nz = 3\n", "\ny = 2"),
    ("python", "x = 1", "\r\ny = 2\r\n", "\ny = 2"),
    ("python", "x = 1", "  \ny = 2\n", "\ny = 2"),
    ("python", "x = ", "1\ny = 2\n", "1"),
    ("python", "def f():", "\n    a = 1\n    return a\nx", "\n    a = 1\n    return a"),
    ("python", "x = 1", "\n\ny = 2\n", "\n\ny = 2"),
    ("python", "x = 1", "\n\n\n\n\n", ""),
    ("python", "    return x", "\n\n\ndef g():\n    pass\n\n\nx = 1\n", "\n\n\ndef g():\n    pass"),
    ("javascript", "foo();", "\nif (a) {\n  b();\n}\nc();\n", "\nif (a) {\n  b();\n}"),
    ("python", "f(", "\n    a,\n    b,\n)\nx", "\n    a,\n    b,\n)"),
    ("python", "", "\nx = 1\n", "\nx = 1"),
]


@pytest.mark.parametrize(("language", "line", "model", "text"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_cases(language: str, line: str, model: str, text: str, size: int) -> None:
    trimmer = LineOrNext(Site(language, line))
    for start in range(0, len(model), size):
        if trimmer.feed(model[start : start + size]) == "stop":
            break
    assert trimmer.finish("stop").text == text


@settings(max_examples=300, deadline=None)
@given(
    line=st.text(alphabet="ab =:(", max_size=10),
    model=st.text(alphabet="ab =:(\n\r ", max_size=40),
    cuts=st.lists(st.integers(1, 5), max_size=30),
)
def test_any_cutting_gives_the_same(line: str, model: str, cuts: list[int]) -> None:
    whole = LineOrNext(Site("python", line))
    whole.feed(model)
    parts, rest = LineOrNext(Site("python", line)), model
    for size in [*cuts, len(model) + 1]:
        parts.feed(rest[:size])
        rest = rest[size:]
    assert parts.finish("stop").text == whole.finish("stop").text


@pytest.mark.parametrize(("below", "text"), [("\n}\n", "\n  }"), ("\n  }\n}\n", "")])
def test_a_bracket_that_is_missing_on_the_next_line(below: str, text: str) -> None:
    window = Window("javascript", "function f(a) {\n  if (a) {\n    g(a);", below)
    above, line = tuple(window.before.split("\n")[:-1]), window.before.rpartition("\n")[2]
    site = Site(
        "javascript",
        line,
        above=above,
        below=tuple(below.split("\n")[1:2]),
        missing=lambda said: closers_missing(window, said),
    )
    trimmer = LineOrNext(site)
    trimmer.feed("\n  }\n}\n")
    assert trimmer.finish("stop").text == text
