"""From model text to one suggestion, by tables: a document with the cursor, what the model says, what is shown."""

# ruff: noqa: E501 (a case is one line)

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.candidate import Candidate, Site, Trimmer
from hearth.core.gate import gate
from hearth.core.text import Snapshot
from hearth.gather import spot_at

LEAKS = ("<|fim_middle|>", "<|endoftext|>", "<|fim_prefix|>")


def site(marked: str, language: str, max_lines: int = 12) -> Site:
    before, after = marked.split("█")
    snapshot = Snapshot.of(before + after, uri="file:///x", language=language)
    spot = spot_at(snapshot, snapshot.position_at(len(before)))
    below = spot.below[0] if spot.below else ""
    decision = gate(spot.line_before, spot.line_after, spot.above_nonblank, below, language, invoked=True)
    return Site(language, spot.line_before, spot.line_after, spot.above, spot.below, decision.extent, max_lines, LEAKS)


def trimmed(where: Site, text: str, pieces: int = 0, reason: str = "stop") -> Candidate:
    trimmer = Trimmer(where)
    step = pieces or max(1, len(text))
    for start in range(0, len(text), step):
        if trimmer.feed(text[start : start + step]) == "stop":
            break
    return trimmer.finish(reason)


CASES = [
    # Python: one statement, a statement that opens a block, a whole empty block
    ("python", "def add█\n", "(a, b):\n    return a + b\n\n\ndef sub(a, b):\n", "(a, b):\n    return a + b"),
    ("python", "x = █\n", "1\ny = 2\n", "1"),
    ("python", "x = █\n", " 1\ny = 2\n", "1"),
    ("python", "def f():\n    █\n", "x = 1\n    return x\n\n\ndef g():", "x = 1\n    return x"),
    ("python", "def f():\n    a = 1\n    █\n    return a\n", "b = 2\n    return a\n", "b = 2"),
    ("python", "def f():\n    █\n\ndef g():\n    pass\n", "pass\n\ndef g():\n    pass\n", "pass"),
    ("python", "if x:\n    a()\n█\n", "else:\n    b()\nc()\n", "else:\n    b()"),
    ("python", "try█\n", ":\n    a()\nexcept E:\n    b()\nfinally:\n    c()\nd()", ":\n    a()\nexcept E:\n    b()\nfinally:\n    c()"),
    ("python", "values = [\n    1,\n    █\n]\n", "2,\n    3,\n]\n", "2,"),
    ("python", "call(█)\n", "a, b)\nnext()\n", "a, b"),
    ("python", "call(█)\n", "other(a), b", "other(a), b"),
    ("python", 'print("█")\n', 'hello")\n', "hello"),
    ("python", 'print("█")\n', "hello", "hello"),
    ("python", "d = {█}\n", "'a': [1, 2]}\n", "'a': [1, 2]"),
    ("python", "total = sum(█\n", "\n    a,\n    b,\n)\nprint(total)\n", "\n    a,\n    b,\n)"),
    ("python", "s = \"\"\"█\n", "one\ntwo\n\"\"\"\nt = 1\n", "one\ntwo\n\"\"\""),
    ("python", "@█\n", "property\ndef f(self):\n    return 1\nx", "property\ndef f(self):\n    return 1"),
    ("python", "x = a + \\█\n", "\n    b\ny", "\n    b"),
    ("python", "for i in x█:\n", "s", "s"),
    ("python", "x = 1█\n", "\n\n\n\n", ""),
    ("python", "█\n", "x = 1\nx = 1\nx = 1\n", "x = 1"),
    ("python", "load(a)\nload_all(b)\n█\n", "load_all(b)\n", ""),
    ("python", "import os\n█\nimport sys\n", "import sys\n", ""),
    ("python", "x = █\n", "1<|endoftext|>garbage", "1"),
    ("python", "x = █\n", "1<|fim_mid", "1"),
    ("python", "x = █\n", "1, 0000000000000000000000000000000000000000000000000000000000000000000000000000000", ""),
    ("python", "x = █\n", "a._get_GEPAIT_GEPAIT_GEPAIT_GEPAIT_GEPAIT_GEPAIT_GEPAIT_GEPAIT_GEPAIT_GEPAIT_GEPAIT", ""),
    ("python", "# █\n", "-" * 70, "-" * 70),
    ("python", "x = █\n", "1\r\ny = 2\r\n", "1"),
    ("python", "█\n", "```python\nx = 1\n```", "x = 1"),
    ("python", "█\n", "Here is the code you asked for:\nx = 1\n", ""),
    ("python", "def f(a, b█):\n", "=1):\n    pass", "=1"),
    ("python", "x = foo(bar█)\n", "(1))\n", "(1)"),
    # Braces
    ("python", 'text."""\n\ndef f():\n    """Doc."""\n    call(\n        a\n    █\n', ")\nnext()\n", ")"),
    ("javascript", "function add█\n", "(a, b) {\n  return a + b;\n}\n\nadd(1, 2);\n", "(a, b) {\n  return a + b;\n}"),
    ("javascript", "const x = █\n", "1;\nconst y = 2;\n", "1;"),
    ("javascript", "function f() {\n  █\n}\n", "const a = 1;\n  return a;\n}\n", "const a = 1;\n  return a;"),
    ("javascript", "function f() {\n  █\n", "const a = 1;\n  return a;\n}\n\nf();\n", "const a = 1;\n  return a;\n}"),
    ("javascript", "if (x) {█\n}\n", "\n  y();\n}\nz();", "\n  y();"),
    ("javascript", "const p = fetch(u)█\n", "\n  .then(a)\n  .catch(b);\nnext();", "\n  .then(a)\n  .catch(b);"),
    ("javascript", "const r = items█\n", ".filter(a)\n  .map(b)\nconst q = 1", ".filter(a)\n  .map(b)"),
    ("javascript", "if (a) {\n  b();\n█\n", "} else {\n  c();\n}\nd();", "} else {\n  c();\n}"),
    ("typescript", "const o = {\n  a: 1,\n  █\n};\n", "b: 2,\n};\n", "b: 2,"),
    ("typescript", "foo(█);\n", "1, 2);\nbar();", "1, 2"),
    ("typescript", "const x = █;\n", "5;\n", "5"),
    ("typescript", "it('adds', () => {█});\n", "\n  expect(1).toBe(1);\n});\n", "\n  expect(1).toBe(1);"),
    ("go", "func add█\n", "(a, b int) int {\n\treturn a + b\n}\n\nfunc main() {", "(a, b int) int {\n\treturn a + b\n}"),
    ("go", "\tif err != nil {\n\t\t█\n\t}\n", "return err\n\t}\n\treturn nil\n", "return err"),
    ("rust", "fn f<'a>(x: &'a str) -> █{\n", "&'a str ", "&'a str"),
    ("java", "int x = █\n", "compute(\n    a,\n    b);\nint y;", "compute(\n    a,\n    b);"),
    ("c", "for (int i = 0; █\n", "i < n; i++) {\n  f(i);\n}\nreturn;", "i < n; i++) {\n  f(i);\n}"),
    ("ruby", "def add█\n", "(a, b)\n  a + b\nend\n\nputs 1\n", "(a, b)\n  a + b\nend"),
    ("shellscript", "for f in *; do█\n", "\n  echo $f\ndone\necho end\n", "\n  echo $f\ndone"),
    ("yaml", "jobs:\n  build:\n    runs-on: █\n", "ubuntu\n    steps:\n", "ubuntu"),
    ("json", '{\n  "a": 1,\n  █\n}\n', '"b": 2\n}\n', '"b": 2'),
    ("plaintext", "Dear █\n", "friend,\nhow are you\n", "friend,"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "marked", "model", "shown"), CASES)
def test_the_suggestion_ends_where_it_should(language: str, marked: str, model: str, shown: str) -> None:
    assert trimmed(site(marked, language), model).text == shown


@pytest.mark.parametrize(("language", "marked", "model", "shown"), CASES)
def test_the_result_does_not_depend_on_how_the_stream_was_cut(
    language: str, marked: str, model: str, shown: str
) -> None:
    where = site(marked, language)
    for pieces in (1, 2, 3, 7):
        assert trimmed(where, model, pieces).text == shown


_TEXT = st.text(alphabet=st.sampled_from(list("ab(){}[]:;,.\"'`\n\r \t\\#/<|>end")), max_size=80)


@settings(max_examples=400, deadline=None)
@given(before=_TEXT, after=_TEXT, model=_TEXT, cuts=st.lists(st.integers(1, 9), max_size=40))
@pytest.mark.parametrize("language", ["python", "typescript", "ruby"])
def test_any_cutting_gives_the_same(language: str, before: str, after: str, model: str, cuts: list[int]) -> None:
    where = site(before.replace("█", "") + "█" + after, language)
    whole = trimmed(where, model)
    trimmer, rest = Trimmer(where), model
    for size in [*cuts, len(model) + 1]:
        trimmer.feed(rest[:size])
        rest = rest[size:]
    assert trimmer.finish("stop").text == whole.text


_WORDS = st.lists(
    st.sampled_from(
        [
            "```",
            "```py\n",
            "Here is ",
            "Sure,",
            "<|fim_",
            "middle|>",
            "<|endoftext|>",
            "/*",
            "*/",
            "</p>",
            "/>",
            "\r\n",
            "\n",
            "\n",
            "    ",
            "\t",
            "  ",
            "}",
            "{",
            "else",
            "def f():",
            "x = 1",
            "return x",
            ";",
            ",",
            ".then(",
            ")",
            '"',
            "&& b",
            "foo(a, b)",
            '"""',
            "# it's",
            "case 1) ",
            "@dec",
            "class A",
            "\\",
            "😀",
        ]
    ),
    max_size=16,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(before=_WORDS, after=_WORDS, model=_WORDS, cuts=st.lists(st.integers(1, 9), max_size=40))
@pytest.mark.parametrize("language", ["python", "typescriptreact", "shellscript", "rust", "markdown"])
def test_any_cutting_of_what_models_say_gives_the_same(
    language: str, before: str, after: str, model: str, cuts: list[int]
) -> None:
    where = site(before + "█" + after, language)
    whole = trimmed(where, model)
    trimmer, rest = Trimmer(where), model
    for size in [*cuts, len(model) + 1]:
        trimmer.feed(rest[:size])
        rest = rest[size:]
    assert trimmer.finish("stop").text == whole.text


@settings(max_examples=300, deadline=None)
@given(before=_TEXT, after=_TEXT, model=_TEXT)
@pytest.mark.parametrize("language", ["python", "javascript", "lua"])
def test_what_is_shown_is_a_part_of_what_the_model_said(language: str, before: str, after: str, model: str) -> None:
    text = trimmed(site(before + "█" + after, language), model).text
    assert text in model.replace("\r\n", "\n").replace("\r", "\n")
    # A blank may end what goes into a string that is closed already.
    assert text == text.rstrip() or after.strip()
    assert text.count("\n") < 14


def test_a_broken_stream_shows_only_whole_lines() -> None:
    where = site("def f():\n    █\n", "python")
    assert trimmed(where, "x = 1\n    y = 2 +", reason="truncated").text == "x = 1"
    assert trimmed(where, "x = 1 +", reason="truncated").text == ""


def test_the_first_lines_can_be_shown_early() -> None:
    trimmer = Trimmer(site("def f():\n    █\n", "python"))
    trimmer.feed("x = 1\n    y = ")
    assert trimmer.so_far().text == "x = 1"


def test_it_stops_at_the_named_number_of_lines() -> None:
    where = site("def f():\n    █\n", "python", max_lines=3)
    text = "\n".join(f"{'    ' if i else ''}x{i} = {i}" for i in range(10))
    assert trimmed(where, text).text.count("\n") == 2


def test_a_runaway_line_is_dropped() -> None:
    assert trimmed(site("x = █\n", "python"), "a" * 5_000).text == ""
