"""Any text gives facts, and what they say holds together."""

import random
from collections import Counter
from pathlib import Path

import pytest
import tree_sitter_python
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_sitter import Language, Parser

from hearth.core.analysis import UNCLOSED_MAX, analysed
from hearth.core.facts import Facts
from hearth.core.grammars import GRAMMARS
from hearth.core.symbol_sweep import SIGNATURE_CHARS_MAX

LANGUAGES = sorted({*GRAMMARS, "vue", "plaintext", "scss", "no such language"})
ROOT = Path(__file__).parents[2]
SOURCES = [
    ("python", ROOT / "server/hearth/core/scan.py"),
    ("python", ROOT / "server/hearth/core/symbols.py"),
    ("typescript", ROOT / "client-extension/src/extension.ts"),
    ("markdown", ROOT / "README.md"),
    ("json", ROOT / "client-extension/package.json"),
]
MARKS = ["", "(", "{", "}", '"', "'''", '"""', "`", "\0", "/*", "<", "\ud800", "#", "\n", "\r", "${", "é", "end\n"]
PIECES = st.sampled_from(
    [
        *MARKS, "class A", "def f(self):", "self.x = 1\n", "function f", "import a from 'b'", "from . import x", "=>",
        ";", "  ", "- ", "a: b\n", "# t\n", "<div id=x>", "use a::{b, c", "struct S {", "enum E", "@d\n", "f'{x}'",
        "type T = ",
    ]
)  # fmt: skip


def check(found: Facts, text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    for symbol in found.symbols:
        assert 0 <= symbol.start < symbol.end <= lines, symbol
        assert symbol.name
        assert "\n" not in symbol.signature
        assert len(symbol.signature) <= SIGNATURE_CHARS_MAX + 100  # with decorators and `const`
    for one in found.imports:
        assert one.module
        assert 0 <= one.line < lines
    for name, times in found.references.items():
        assert len(name) >= 3
        assert times > 0
    for chunk in found.chunks:
        assert 0 <= chunk.start < chunk.end <= lines
    "".join((*(symbol.name + symbol.signature for symbol in found.symbols), *found.references)).encode()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(LANGUAGES), st.one_of(st.text(st.characters()), st.lists(PIECES, max_size=40).map("".join)))
def test_any_text_gives_facts(language: str, text: str):
    check(analysed(language, text), text)


@pytest.mark.parametrize(("language", "path"), SOURCES, ids=[path.name for _, path in SOURCES])
def test_broken_sources_give_facts(language: str, path: Path):
    source = path.read_text("utf-8")
    rng = random.Random(path.name)
    for _ in range(12):
        text = source
        for _ in range(rng.choice((1, 3, 20))):
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice(MARKS) + text[at + rng.choice((0, 1, 40)) :]
        for other in (language, "javascript", "cpp", "ruby"):
            check(analysed(other, text), text)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("piece", ["(", "{a:", "[", "<div>", "- ", "if(a){", "'", "\0", "\ud800", "a: {"])
def test_nesting_ends(language: str, piece: str):
    text = piece * 3_000
    check(analysed(language, text), text)


@pytest.mark.parametrize("language", ["python", "typescript", "json", "css", "html", "plaintext"])
def test_a_line_of_a_megabyte(language: str):
    text = "x = 1; " * 150_000
    check(analysed(language, text), text)


def test_what_is_around_a_broken_place_is_found():
    found = analysed(
        "python", "def first(a):\n    return (a\n\nclass Second:\n    x: int = 1\n    def third(self): pass\n"
    )
    assert {"first", "third"} <= {symbol.name for symbol in found.symbols}


def test_line_endings_do_not_matter():
    text = "import os\n\nclass A:\n    def f(self):\n        self.x = 1\n        return os.sep\n"
    expected = analysed("python", text)
    assert expected.symbols
    for ending in ("\r\n", "\r"):
        assert analysed("python", text.replace("\n", ending)) == expected


def test_text_without_a_grammar_is_cut_by_lines():
    found = analysed("vue", "<template>\n  <p>{{ title }}</p>\n</template>\n")
    assert (found.symbols, found.imports, dict(found.references)) == ((), (), {})
    assert [chunk.start for chunk in found.chunks] == [0]


def test_what_is_not_code_is_cut_by_lines():
    code = "function known() {}\n"
    assert analysed("javascript", code).symbols
    found = analysed("javascript", code + "(\n" * (UNCLOSED_MAX + 1))
    assert not found.symbols
    assert found.chunks


def test_php_without_a_tag_is_php():
    assert [symbol.name for symbol in analysed("php", "function known() {}\n").symbols] == ["known"]


def test_a_header_with_classes_is_cpp():
    found = analysed("c", "#pragma once\nclass Known {\n  int x_;\n};\n")
    assert [(symbol.name, symbol.container) for symbol in found.symbols] == [("Known", ""), ("x_", "Known")]


def test_definitions_are_not_references():
    found = analysed("python", "def used(): pass\ndef unused(): pass\nused()\n")
    assert found.references == {"used": 1}


WRONG_ONE_IN = 100


@pytest.mark.parametrize("path", sorted((ROOT / "server/hearth/core").glob("*.py")), ids=lambda path: path.name)
def test_python_names_are_those_of_the_tree(path: Path):
    """They are read off the text for speed: the tree is the judge."""
    text = path.read_text("utf-8")
    source = text.encode()
    tree = Parser(Language(tree_sitter_python.language())).parse(source)
    waiting, names = [tree.root_node], Counter[str]()
    while waiting:
        node = waiting.pop()
        waiting.extend(node.named_children)
        if node.type == "identifier":
            names[source[node.start_byte : node.end_byte].decode()] += 1
    found = analysed("python", text)
    names -= Counter(symbol.name for symbol in found.symbols)
    passed_over = {"self", "cls", "match", "case", "type"}  # the last three are keywords at times
    expected = {name: times for name, times in names.items() if len(name) >= 3 and name not in passed_over}
    read = Counter({name: times for name, times in found.references.items() if name not in passed_over})
    # What looks like an expression inside a string that is none may be taken for one, now and then.
    wrong = (read - Counter(expected)) + (Counter(expected) - read)
    assert wrong.total() <= sum(expected.values()) // WRONG_ONE_IN, wrong
