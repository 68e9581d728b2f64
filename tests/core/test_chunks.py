"""Chunks: whole lines, on syntax boundaries, nothing lost and nothing twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.chunks import (
    CHUNK_BYTES_MAX,
    CHUNK_BYTES_MIN,
    NAME_BYTES_MAX,
    PIECE_BYTES_MAX,
    chunks_of,
    names_in,
)
from hearth.core.facts import Chunk, Symbol
from hearth.core.grammars import GRAMMARS, grammar_for, parser


def cut(language: str, text: str) -> tuple[Chunk, ...]:
    """The chunks of a text, after a check that they are a partition of it."""
    source = text.encode()
    grammar = grammar_for(language, text)
    found = parser(*grammar) if grammar else None
    chunks = chunks_of(found.parse(source).root_node if found else None, source, language)
    check(text, chunks)
    return chunks


def check(text: str, chunks: tuple[Chunk, ...]) -> None:
    lines = text.split("\n")
    said: list[int] = []
    for chunk in chunks:
        assert chunk.start < chunk.end
        assert not blank(lines[chunk.start])
        assert not blank(lines[chunk.end - 1])
        assert chunk.text == "".join(line.removesuffix("\r") + "\n" for line in lines[chunk.start : chunk.end])
        said.extend(range(chunk.start, chunk.end))
    assert said == sorted(set(said)), "chunks overlap or are out of order"
    assert {row for row, line in enumerate(lines) if not blank(line)} <= set(said), "lines are lost"


def blank(line: str) -> bool:
    return not line.encode().strip()


def body(lines: int, indent: str = "    ") -> str:
    return "".join(f"{indent}total = total + number_{number};\n" for number in range(lines))


def test_empty_and_blank_texts_have_no_chunks():
    assert cut("python", "") == ()
    assert cut("python", "\n\n  \n") == ()
    assert cut("nothing", " \n\t\n") == ()


def test_a_small_file_is_one_chunk():
    (chunk,) = cut("python", "\n\nimport os\n\n\ndef f():\n    pass\n\n")
    assert (chunk.start, chunk.end) == (2, 7)


def test_a_definition_that_fits_stays_whole():
    one, two = f"def one(a):\n{body(18)}", f"def two(a):\n{body(18)}"
    assert len(one) < CHUNK_BYTES_MAX < len(one + two)
    assert [chunk.text for chunk in cut("python", f"{one}\n\n{two}")] == [one, two]


def test_small_neighbours_share_a_chunk():
    text = "".join(f"def f{number}():\n    return {number}\n\n\n" for number in range(60))
    chunks = cut("python", text)
    assert all(chunk.text.startswith("def ") for chunk in chunks)
    assert all(CHUNK_BYTES_MIN <= len(chunk.text) <= CHUNK_BYTES_MAX for chunk in chunks[:-1])


def test_a_large_class_is_cut_between_members():
    methods = "".join(f"    def method_{n}(self):\n        return self.field_{n} + {n}\n\n" for n in range(40))
    chunks = cut("python", f'class Large(Base):\n    """Is large."""\n\n{methods}')
    assert chunks[0].text.startswith('class Large(Base):\n    """Is large."""\n\n    def method_0')
    assert all(chunk.text.startswith("    def ") for chunk in chunks[1:])
    assert {chunk.symbol for chunk in chunks[:-1]} == {"Large"}


def test_a_large_function_is_cut_between_statements():
    inner = "".join(f"    if a[{n}]:\n        first(a)\n        second(a)\n" for n in range(40))
    head, *others = cut("python", f"class A:\n    x = 1\n\n\ndef large(a):\n{inner}")[1:]
    assert head.text.startswith("def large(a):\n    if a[0]:")
    assert all(chunk.text.startswith("    if ") for chunk in others)
    assert {chunk.symbol for chunk in (head, *others)} == {"large"}


def test_the_shallowest_cut_is_taken():
    small = "".join(f"x{n} = {n}\n" for n in range(80))  # 600 characters or so
    block = "if x1:\n" + body(14)
    chunks = cut("python", small + block + small)
    assert chunks[0].text == small
    assert chunks[1].text.startswith("if x1:")


@pytest.mark.parametrize(
    ("language", "introduction", "definition"),
    [
        ("python", "# Says why.\n# In two lines.\n@decorated\n@twice(1)\n", f"def f(a):\n{body(16)}"),
        ("python", "", f'def f(a):\n    """Says what."""\n{body(15)}'),
        ("typescript", "/** Says why. */\n", f"export function f(a) {{\n{body(16)}}}\n"),
        ("javascript", "// Says why.\n", f"const f = (a) => {{\n{body(16)}}};\n"),
        ("go", "// f says why.\n", f"func f(a int) {{\n{body(16)}}}\n"),
        ("rust", "/// Says why.\n#[inline]\n", f"fn f(a: i32) {{\n{body(16)}}}\n"),
        ("java", "/** Says why. */\n", f"class F {{\n    @Override\n    void f(int a) {{\n{body(15)}    }}\n}}\n"),
        ("ruby", "# Says why.\n", f"def f(a)\n{body(16)}end\n"),
        ("c", "/* Says why. */\n", f"static int\nf(int a)\n{{\n{body(16)}}}\n"),
        ("dart", "/// Says why.\n", f"int f(int a) {{\n{body(16)}}}\n"),
    ],
)
def test_what_introduces_a_definition_stays_with_it(language: str, introduction: str, definition: str):
    before = "import a;\n" if language in ("java", "dart", "typescript", "javascript") else "\n"
    filler = "".join(f"# {n}\n" if language in ("python", "ruby") else f"// {n}\n" for n in range(100))
    chunks = cut(language, f"{before}{filler}\n{introduction}{definition}")
    assert chunks[-1].text == introduction + definition


def test_a_large_class_keeps_its_comment_and_its_decorators():
    text = (
        f"x = 1\n\n# Says why.\n@decorated\nclass A:\n    y = 2\n\n    # Of f.\n    def f(self):\n{body(40, ' ' * 8)}"
    )
    chunks = cut("python", text)
    assert any(chunk.text.startswith("x = 1\n\n# Says why.\n@decorated\nclass A:\n    y = 2\n") for chunk in chunks)
    assert any(chunk.text.startswith("    # Of f.\n    def f(self):\n") for chunk in chunks)


def test_a_long_comment_has_the_symbol_of_what_it_introduces():
    doc = "".join(f"   * Line {n} of what there is to say about it.\n" for n in range(40))
    chunks = cut("typescript", f"export class A {{\n  x = 1;\n\n  /**\n{doc}   */\n  f() {{\n    return 1;\n  }}\n}}\n")
    assert [chunk.symbol for chunk in chunks[1:]] == ["A.f"] * (len(chunks) - 1)
    assert chunks[-1].text.startswith("   * Line"), "the comment's end and the function are together"


@pytest.mark.parametrize(
    ("language", "text", "symbol"),
    [
        ("python", f"class A:\n    class B:\n        def f(self):\n{body(80, ' ' * 12)}", "A.B.f"),
        ("python", f"@decorated\ndef f(self):\n{body(80)}", "f"),
        ("typescript", f"export class A {{\n  f() {{\n{body(80)}  }}\n}}\n", "A.f"),
        ("typescript", f"export const f = () => {{\n{body(80)}}};\n", "f"),
        ("go", f"func (s *Stack[T]) Push(item T) {{\n{body(80)}}}\n", "Stack.Push"),
        ("rust", f"impl<T> Stack<T> {{\n    fn push(&self) {{\n{body(80)}    }}\n}}\n", "Stack.push"),
        ("java", f"class A {{\n  void f() {{\n{body(80)}  }}\n}}\n", "A.f"),
        ("c", f"static int *f(int a)\n{{\n{body(80)}}}\n", "f"),
        ("cpp", f"namespace n {{\nint A::f(int a) {{\n{body(80)}}}\n}}\n", "n.A.f"),
        ("csharp", f"class A {{\n  void F() {{\n{body(80)}  }}\n}}\n", "A.F"),
        ("ruby", f"module M\n  class A\n    def f\n{body(80)}    end\n  end\nend\n", "M.A.f"),
        ("php", f"<?php\nclass A {{\n  function f() {{\n{body(80)}  }}\n}}\n", "A.f"),
        ("shellscript", f"f() {{\n{body(80)}}}\n", "f"),
        ("markdown", f"# Title\n\n## Part\n\n{body(80, '')}", "Title.Part"),
    ],
)
def test_symbol_is_the_innermost_definition(language: str, text: str, symbol: str):
    chunks = cut(language, text)
    assert len(chunks) > 2
    assert chunks[1].symbol == symbol


def test_a_long_or_broken_name_is_no_symbol():
    (chunk,) = cut("python", f"def {'f' * (NAME_BYTES_MAX + 1)}():\n    pass\n")
    assert chunk.symbol == ""
    (chunk,) = cut("javascript", "const {\n  a,\n} = require('b');\n")
    assert chunk.symbol == ""


def test_a_long_string_is_cut_between_lines():
    chunks = cut("python", 'TEXT = """\n' + "Some words that say something.\n" * 100 + '"""\n')
    assert len(chunks) > 2
    assert all(len(chunk.text) <= CHUNK_BYTES_MAX for chunk in chunks)


def test_a_line_that_is_too_long_stays_whole():
    text = "x = 1\ny = [" + "1, " * 2_000 + "]\nz = 2\n"
    assert any(len(chunk.text) > 6_000 for chunk in cut("python", text))


def test_syntax_nested_without_end_is_cut_between_lines():
    text = "x = " + "(\n" * 2_000 + "1" + "\n)" * 2_000 + "\n"
    assert max(len(chunk.text) for chunk in cut("python", text)) <= PIECE_BYTES_MAX


def test_without_a_grammar_paragraphs_stay_together():
    paragraph = "A line of some forty characters of text.\n" * 8
    chunks = cut("plaintext", "\n".join([paragraph] * 9))
    assert all(chunk.text.count("\n\n") == chunk.text.count(paragraph) - 1 for chunk in chunks)


def test_without_a_grammar_little_indentation_is_the_better_place():
    text = "".join(f"function f{n}()\n  if x then\n    first(x)\n    second(x)\n  end\nend\n" for n in range(40))
    assert all(chunk.text.startswith("function ") for chunk in cut("lua", text))


def test_line_endings_are_normalised_and_rows_are_kept():
    chunks = cut("python", f"def one(a):\n{body(18)}\n\n\ndef two(a):\n{body(18)}".replace("\n", "\r\n"))
    assert all("\r" not in chunk.text for chunk in chunks)
    assert [(chunk.start, chunk.end) for chunk in chunks] == [(0, 19), (22, 41)]


def test_bytes_that_are_no_text_do_not_raise():
    (chunk,) = chunks_of(None, b"a = '\xff\xfe'\n", "python")
    assert chunk.text == "a = '\ufffd\ufffd'\n"


def test_names_in_chunks():
    chunks = (Chunk(0, 3, ""), Chunk(5, 9, ""))
    starts = {"a": 0, "b": 2, "between": 4, "c": 5, "d": 8, "after": 9}
    symbols = [Symbol(name, "function", "", start, start + 1, "") for name, start in starts.items()]
    assert names_in(chunks, [*symbols, symbols[0]]) == [("a", "b"), ("between", "c", "d")]
    assert names_in((), symbols) == []


_PIECES = st.sampled_from(
    [
        "", "", "  ", "\t", "x = 1", "# comment", "// comment", "/* a", "*/", "/** doc */", '"""', "'", "`",
        "@decorated", "class A:", "class A {", "class B extends A", "def f(self):", "function f(a) {", "fn f() {",
        "func f() {", "end", "    return 1", "        if a:", "    else:", "  else {", "}", "});", "# Title",
        "## Part", "- item", "key: value", "  key:", '{"a": [', "]}", "<div>", "</div>", "é = 'ü'", "\U0001f600",
        "x" * 400, "y = " + "(a + " * 60, "impl A {", "#[test]", "namespace a {", "module M", "import a", "<?php",
        "#include <a.h>", "#ifdef A", "#endif",
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*sorted(GRAMMARS), "plaintext"]),
    st.lists(st.tuples(st.integers(0, 3), _PIECES, st.integers(1, 12)), max_size=60),
    st.sampled_from(["\n", "\r\n"]),
)
def test_lines_are_a_partition(language: str, pieces: list[tuple[int, str, int]], ending: str):
    lines = [f"{'    ' * indent}{piece}" for indent, piece, times in pieces for _ in range(times)]
    cut(language, ending.join(lines))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([*sorted(GRAMMARS), "plaintext"]), st.text(st.characters(codec="utf-8", exclude_characters="\r"))
)
def test_any_text_is_a_partition(language: str, text: str):
    cut(language, text)
