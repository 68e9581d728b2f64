"""Windows of a document that parse like the whole, and what the tree says of the cursor."""

import argparse
from pathlib import Path

import pytest

from hearth.core.syntax import (
    HEADERS_MAX,
    LANGUAGES,
    LINES_AFTER,
    LINES_BEFORE,
    LINES_PARSED_MAX,
    WINDOW_CHARS_PARSED_MAX,
    Window,
    closed,
    closers_missing,
    context_at,
    errors,
    parsed,
    statement_end,
    window_at,
    with_inserted,
)
from hearth.core.text import Position, Snapshot

SAMPLES = {
    "c": "int f(void) {\n    return 1;\n}\n",
    "cpp": "int f() {\n    auto x = g<int>();\n    return x;\n}\n",
    "csharp": "class A {\n    int F() => 1;\n}\n",
    "css": "a {\n  color: red;\n}\n",
    "dart": "void main() {\n  print('x');\n}\n",
    "go": "package a\n\nfunc f() int {\n\treturn 1\n}\n",
    "html": "<ul>\n  <li>One</li>\n</ul>\n",
    "java": "class A {\n  int f() {\n    return 1;\n  }\n}\n",
    "javascript": "const f = () => <b>x</b>;\n",
    "javascriptreact": "const f = () => <b>x</b>;\n",
    "json": '{"a": [1, 2]}\n',
    "jsonc": '{"a": 1 // one\n}\n',
    "php": "<?php\nfunction f() {\n    return 1;\n}\n",
    "python": "def f():\n    return 1\n",
    "ruby": "def f\n  1\nend\n",
    "rust": "fn f() -> i32 {\n    1\n}\n",
    "shellscript": "for f in *; do\n  echo $f\ndone\n",
    "typescript": "const f = (a: number): string => `${a}`;\n",
    "typescriptreact": "const f = (a: number) => <b>{a}</b>;\n",
    "yaml": "a:\n  - b: 1\n",
}


def window(marked: str, language: str) -> Window:
    before, after = marked.split("█")
    snapshot = Snapshot.of(before + after, language=language)
    found = window_at(snapshot, snapshot.position_at(len(before)))
    assert found
    return found


def test_there_is_a_sample_for_every_grammar() -> None:
    assert set(SAMPLES) == LANGUAGES


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_grammar_loads_and_tells_good_from_bad(language: str) -> None:
    good = parsed(language, SAMPLES[language])
    assert good
    assert errors(good.root_node) == []
    bad = parsed(language, SAMPLES[language] + "<<< { [ ( = = ;\n")
    assert bad
    assert errors(bad.root_node)


def test_no_grammar_no_window() -> None:
    assert window_at(Snapshot.of("x", language="cobol"), Position(0, 0)) is None
    assert parsed("cobol", "x") is None


def test_a_very_long_document_is_left_to_the_scanner() -> None:
    lines = "x = 1\n" * LINES_PARSED_MAX
    assert window_at(Snapshot.of(lines, language="python"), Position(4_000, 0)) is None
    assert window_at(Snapshot.of("x = 1\n" * 7_000, language="python"), Position(4_000, 0))


def test_a_very_long_line_is_left_to_the_scanner() -> None:
    text = "x = [" + "1, " * WINDOW_CHARS_PARSED_MAX + "]\n"
    assert window_at(Snapshot.of(text, language="python"), Position(0, 4)) is None


def test_a_window_is_small_wherever_the_cursor_is() -> None:
    snapshot = Snapshot.of(Path(argparse.__file__).read_text("utf-8"), language="python")
    assert len(snapshot.lines) > 2_000
    for line in range(0, len(snapshot.lines), 50):
        found = window_at(snapshot, Position(line, 0))
        assert found
        lines = (found.before + found.after).count("\n")
        assert lines <= LINES_BEFORE + LINES_AFTER + 2 * HEADERS_MAX + 2 + LINES_AFTER


def test_a_window_in_a_long_class_parses_as_the_class_does() -> None:
    methods = "\n".join(f"  method{n}(a) {{\n    if (a) {{\n      return {n};\n    }}\n  }}\n" for n in range(200))
    text = f"export class Long {{\n{methods}\n}}\n"
    snapshot = Snapshot.of(text, language="javascript")
    for line in range(100, len(snapshot.lines) - 100, 37):
        found = window_at(snapshot, Position(line, 0))
        assert found
        tree = parsed("javascript", found.before + found.after)
        assert tree
        assert errors(tree.root_node) == [], line
        assert found.before.startswith("export class Long {")


def test_a_window_in_a_long_python_class_has_its_header() -> None:
    methods = "\n".join(f"    def method{n}(self):\n        return {n}\n" for n in range(200))
    snapshot = Snapshot.of(f"class Long(\n    Base,\n):\n{methods}\n", language="python")
    found = window_at(snapshot, Position(400, 8))
    assert found
    assert found.before.startswith("class Long(\n    Base,\n):\n")
    tree = parsed("python", found.before + found.after)
    assert tree
    assert errors(tree.root_node) == []


def test_crlf_becomes_lf() -> None:
    found = window("a = 1\r\nb = █\r\nc = 3\r\n", "python")
    assert found == Window("python", "a = 1\nb = ", "\nc = 3\n")


@pytest.mark.parametrize(
    ("language", "marked", "inside", "quote"),
    [
        ("python", "x = █1\n", "code", ""),
        ("python", "x = 'a█'\n", "string", ""),
        ("python", "x = 'a'█\n", "code", ""),
        ("python", "x = 1  # a█\n", "comment", ""),
        ("python", 'def f():\n    """One.\n\n    Don\'t █\n    """\n', "string", '"""'),
        ("python", 'def f():\n    """One."""\n    █\n', "code", ""),
        ("python", "x = f'{█}'\n", "code", ""),
        ("javascript", "/*\n * a█\n */\n", "comment", "*/"),
        ("javascript", "// a█\n", "comment", ""),
        ("javascript", "const a = `one\n  two█\n`;\n", "string", "`"),
        ("javascript", "const a = `one\n  ${█}\n`;\n", "code", ""),
        ("html", "<!-- one\n  two█\n-->\n", "comment", "-->"),
        ("go", "x := `a\nb█\n`\n", "string", "`"),
        ("css", "a { /* b█ */ }\n", "comment", ""),
        ("unknown", "// a█\n", "code", ""),
    ],
)
def test_what_the_cursor_is_in(language: str, marked: str, inside: str, quote: str) -> None:
    if language == "unknown":
        assert window_at(Snapshot.of(marked, language=language), Position(0, 0)) is None
        return
    context = context_at(window(marked, language))
    assert (context.inside, context.quote) == (inside, quote)


@pytest.mark.parametrize(
    ("language", "marked", "arguments"),
    [
        ("python", "f(█)\n", True),
        ("python", "f(a, [█])\n", True),
        ("python", "f(lambda: █)\n", True),
        ("javascript", "f(\n  █\n);\n", True),
        ("javascript", "f(() => {\n  █\n});\n", False),
        ("python", "x = [█]\n", False),
    ],
)
def test_whether_it_is_an_argument(language: str, marked: str, arguments: bool) -> None:
    assert context_at(window(marked, language)).in_arguments is arguments


def test_code_that_is_too_broken_is_said_to_be() -> None:
    broken = "\n".join(["def ) (", "x = = 1", "if : y ]", "class 1 2:", "return ( }"] * 3)
    assert context_at(window(f"{broken}\n█\n{broken}\n", "python")).half_parsed
    assert not context_at(window("def f():\n    x = █\n    return x\n", "python")).half_parsed


@pytest.mark.parametrize(
    ("language", "marked", "candidate", "kept"),
    [
        ("python", "x = █\n", "1\ny = 2", "1"),
        ("python", "█\n", "if a:\n    b()\nelse:\n    c()\nd()", "if a:\n    b()\nelse:\n    c()"),
        ("python", "if a:\n    b()\n█\n", "else:\n    c()", "else:\n    c()"),
        ("javascript", "█\n", "a()\n  .b()\n  .c()\nd()", "a()\n  .b()\n  .c()"),
        ("javascript", "█\n", "a(); // one\nb();", "a(); // one"),
        ("java", "class A {\n  void f() {\n    █\n  }\n}\n", "a();\n    b();", "a();"),
        ("python", "x = foo(\n    █\n)\n", "a,\n    b,", "a,\n    b,"),
        ("python", "x = █\n", "1 +", "1 +"),
    ],
)
def test_where_a_statement_ends(language: str, marked: str, candidate: str, kept: str) -> None:
    here = window(marked, language)
    assert candidate[: statement_end(here, candidate, with_inserted(here, candidate))].rstrip() == kept


def test_a_window_does_not_begin_amid_a_docstring() -> None:
    text = "\n".join(
        ["class A:", '    """Prose (', *["    it's prose: really!"] * 100, '    """', "", "    x = 1", "    y = 2"]
    )
    snapshot = Snapshot.of(text, language="python")
    after, within = window_at(snapshot, Position(104, 9)), window_at(snapshot, Position(100, 10))
    assert after
    assert within
    tree = parsed("python", after.before + after.after)
    assert tree
    assert errors(tree.root_node) == []
    assert context_at(after).inside == "code"
    assert context_at(within).inside == "string"


def test_a_window_does_not_begin_amid_a_comment() -> None:
    text = "\n".join(["/*", *[" * it's ( prose"] * 100, " */", "f();", "g();"])
    window = window_at(Snapshot.of(text, language="javascript"), Position(103, 2))
    assert window
    assert window.before == "f();\ng("


@pytest.mark.parametrize(
    ("language", "before", "candidate", "after", "tail"),
    [
        ("python", "x = ", "f(a, [1", "", "])"),
        ("python", "x = f(", "a, [1", ")", "]"),
        ("python", "", "def f():", "", "\n    pass"),
        ("javascript", "", "if (a) {\n  b(", "", ")}"),
        ("javascript", "x = ", "1;", "", ""),
    ],
)
def test_what_closes_a_suggestion(language: str, before: str, candidate: str, after: str, tail: str) -> None:
    assert closed(language, before, candidate, after) == tail


@pytest.mark.parametrize("text", ["- " * 400, "[" * 400, "\n".join(" " * n + "a:" for n in range(400)), "? " * 400])
def test_yaml_that_nests_too_deep_is_not_parsed(text: str) -> None:
    assert parsed("yaml", text) is None  # the grammar would end the process


def test_a_parser_that_gave_up_goes_on_with_the_next_text() -> None:
    assert parsed("c", "int f() { return ((((((1; }\n" * 700) is None
    tree = parsed("c", SAMPLES["c"])
    assert tree
    assert not tree.root_node.has_error


@pytest.mark.parametrize(
    ("language", "marked", "text", "missing"),
    [
        ("javascript", "f(() => {\n  g(1)\n█\nh()\n", "})", True),
        ("javascript", "f(() => {\n  g(1)\n█\n})\nh()\n", "})", False),
        ("javascript", "f(() => {\n  g(1)\n█\n})\nh(\n", "})", False),  # it does not parse in either case
        ("go", "package a\n\nfunc f() {\n\tif a {\n\t\tg()\n\t█\n}\n", "}", True),
        ("html", "<script>\nif (a) {\n█\n</script>\n", "}", False),  # nothing of a script shows in its tree
        ("python", "x = [\n    1,\n█\ny = 2\n", "]", True),
    ],
)
def test_whether_a_closing_bracket_is_missing(language: str, marked: str, text: str, missing: bool) -> None:
    before, after = marked.split("█")
    assert closers_missing(Window(language, before, after), text) is missing
