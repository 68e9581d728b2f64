"""Which changed lines no test ran."""

import pytest

from hearth.core.task_cover import Traced, changed_rows, of_interest, uncovered

PYTHON = """\
import os
LIMIT = 3


def used(a, b=LIMIT):
    \"\"\"Says something.\"\"\"
    if a > b:
        return [
            a,
            b,
        ]
    return None


class Base:
    name: str

    def left(self):
        raise NotImplementedError

    def unused(self):
        return os.sep
"""
SCRIPT = """\
import type { A } from "./a.ts";
interface B { x: number }

export function used(a: A): number {
  if (a.x > 3) {
    return 3;
  }
  const all = [1, 2].map((n) => n + 1)
    .filter((n) => n > a.x);
  return all.length;
}

export const table = {
  one: (b: B) => b.x,
};
"""


def missed(path: str, text: str, traced: Traced, before: str | None = None) -> list[str]:
    found, unknown = uncovered({} if before is None else {path: before}, {path: text}, [path], traced)
    return [*(one.text.partition(":")[0] for one in found), *unknown]


def test_python_lines_that_did_not_run():
    ran = frozenset((1, 2, 5, 7, 12, 15, 16, 18, 21))
    assert missed("a.py", PYTHON, Traced({"a.py": ran})) == ["no test ran lines 8-11, 21-22"]
    every = frozenset(range(1, 23))
    assert missed("a.py", PYTHON, Traced({"a.py": every})) == []
    assert missed("a.py", PYTHON, Traced()) == ["no test ran lines 1-2, 5, 7-12, 15, 21-22"]


def test_the_head_of_a_function_proves_nothing():
    changed = PYTHON.replace("def unused(self)", "def unused(self, x)")
    assert missed("a.py", changed, Traced({"a.py": frozenset((1, 21))}), PYTHON) == ["no test ran line 21"]
    assert missed("a.py", changed, Traced({"a.py": frozenset((1, 21, 22))}), PYTHON) == []


def ranges(text: str, *not_run: str) -> tuple[tuple[int, int, int], ...]:
    """As V8 tells it: the whole file, and pieces in it that did not run."""
    pieces = [(text.index(piece), text.index(piece) + len(piece), 0) for piece in not_run]
    return ((0, len(text), 1), *pieces)


def test_script_lines_that_did_not_run():
    seen = ranges(SCRIPT, "{\n    return 3;\n  }", "(n) => n > a.x", "(b: B) => b.x")
    assert missed("a.ts", SCRIPT, Traced(scripts={"a.ts": (seen,)})) == ["no test ran lines 6, 9, 14"]
    other = ranges(SCRIPT, "(n) => n > a.x")
    assert missed("a.ts", SCRIPT, Traced(scripts={"a.ts": (seen, other)})) == ["no test ran line 9"]
    assert missed("a.ts", SCRIPT, Traced()) == ["no test ran lines 4-6, 8-10, 13-15"]


def test_wide_characters_do_not_move_what_ran():
    text = 'const a = "😀ü";\n' + SCRIPT
    wide = len(text.encode("utf-16-le")) // 2
    start = wide - len(text) + text.index("(b: B)")
    seen = ((0, wide, 1), (start, start + len("(b: B) => b.x"), 0))
    assert missed("a.ts", text, Traced(scripts={"a.ts": (seen,)})) == ["no test ran line 15"]


@pytest.mark.parametrize(
    ("path", "traced", "found"),
    [
        ("a.py", Traced(whole=False), ["which lines of a.py the tests ran is not known"]),
        ("a.ts", Traced(scripts={"a.ts": (((0, 7, 1),),)}), ["which lines of a.ts the tests ran is not known"]),
        ("a.go", Traced(), ["which lines of a.go the tests ran is not known"]),
        ("a.css", Traced(), ["whether tests read a.css is not known"]),
        ("a.css", Traced(read=frozenset()), ["no test reads this file"]),
        ("a.css", Traced(read=frozenset(("a.css",))), []),
        ("README.md", Traced(), []),
        ("docs/a.html", Traced(), []),
    ],
)
def test_what_is_not_known_is_not_claimed(path, traced, found):
    text = {"py": PYTHON, "ts": SCRIPT}.get(path.rpartition(".")[2], "x = 1\n")
    assert missed(path, text, traced) == found


def test_comments_and_what_was_there_before_want_no_test():
    changed = PYTHON.replace("import os", "# about files\nimport os").replace("Says something", "Says more")
    assert missed("a.py", changed, Traced(), PYTHON) == []
    assert missed("a.py", PYTHON, Traced(), PYTHON) == []
    assert changed_rows("a\n\nb\n", "a\n\nc\n\nb\n") == {2}
    assert changed_rows("a\na\n", "a\na\na\n") == {2}
    assert uncovered({"a.py": PYTHON}, {}, ["a.py"], Traced()) == ([], [])


@pytest.mark.parametrize(
    "path",
    [
        "server/hearth/agent/copying.py", "src/authors.py", "src/license.ts", "a/readme.py", "app/docs/views.py",
        "src/doc/parser.py", "src/doc/parser.ex", "CMakeLists.txt", "requirements-dev.txt", "constraints.txt",
        "data/a.txt",
    ],
)  # fmt: skip
def test_programs_are_no_documentation(path: str):
    assert of_interest(path)


@pytest.mark.parametrize(
    "path",
    [
        "README",
        "README.fr.md",
        "a/Readme.rst",
        "LICENSE-MIT",
        "COPYING.txt",
        "notes.txt",
        "docs/a/b.yaml",
        "doc/Doxyfile",
    ],
)
def test_documentation_wants_no_test(path: str):
    assert not of_interest(path)


def test_what_is_in_no_statement_is_not_claimed():
    """Decorators, exports, heads of classes and imports are statements; of what else runs nothing is known."""
    python = "import a\n\n\n@a.on(1)\ndef f():\n    return 1\n"
    changed = python.replace("on(1)", "on(2)")
    assert missed("a.py", changed, Traced({"a.py": frozenset((1,))}), python) == ["no test ran line 4"]
    assert missed("a.py", changed, Traced({"a.py": frozenset((1, 4))}), python) == []
    script = 'import { b } from "./b";\nexport * from "./c";\nexport type { T } from "./d";\nexport { b };\n'
    script += "class A extends b {\n  x = 1;\n}\nexport default {\n  one: 1,\n};\n"
    assert missed("a.ts", script, Traced()) == ["no test ran lines 1-2, 5-6, 8-10"]
    assert missed("a.ts", script, Traced(scripts={"a.ts": (ranges(script),)})) == []
    enum = "enum E {\n  A = 1,\n}\n"
    assert missed("a.ts", enum, Traced(scripts={"a.ts": (ranges(enum),)})) == [
        "which lines of a.ts the tests ran is not known"
    ]
    keywords = "from __future__ import annotations\nif a:\n    pass\nelse:\n    global b\n"
    assert missed("a.py", keywords, Traced({"a.py": frozenset((2,))}), "if a:\n") == []
