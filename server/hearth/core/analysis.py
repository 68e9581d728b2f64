"""All that the index keeps of one file, out of its text: parsed once, then symbols, imports, references and chunks.

Any text gives facts. What has no grammar, is too long, or takes the parser too long, is cut into chunks by lines, and
nothing else is known of it. Parsers are made anew for each file, which costs microseconds, so files may be analysed in
any thread while others parse.
"""

import re
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, cast

from hearth.core.chunks import chunks_of
from hearth.core.facts import Facts
from hearth.core.grammars import grammar, grammar_for
from hearth.core.symbol_yaml import yaml_keys
from hearth.core.symbols import symbols_of

if TYPE_CHECKING:
    from tree_sitter import Parser, Tree

PARSED_BYTES_MAX = 2_000_000
PARSED_BYTES_MAX_BY_LANGUAGE = {"dart": 200_000, "shellscript": 100_000}
"""Of grammars that take seconds for broken code of this size."""
PARSE_STEPS_BASE = 200
BYTES_PER_PARSE_STEP = 50
"""How often the parser may report progress: code, broken code too, takes one step for 90 to 160 bytes; what takes many
more is no code, and each of its steps takes longer."""
UNCLOSED_MAX = 1_000
"""Brackets of one kind that are open or closed too often. Some grammars take time by the square of that."""
CSS_STRETCH_MAX = 10_000
"""Characters without a brace or semicolon: CSS's grammar looks ahead to the next one, again and again."""
READ_BYTES = 65_536

_CSS_STRETCH = re.compile(rf"[^{{}};]{{{CSS_STRETCH_MAX}}}")
_CPP_IN_HEADER = re.compile(
    r"^[ \t]*(?:class|namespace|template|using|public:|private:|protected:)(?!\w)", re.MULTILINE
)


def analysed(language: str, text: str) -> Facts:
    """The facts of a file. `language`: its id as editors name it. Never raises."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    language = meant(language, text)
    source = text.encode("utf-8", "replace")
    if language == "yaml":
        return Facts(tuple(yaml_keys(text)), chunks=chunks_of(None, source, language))
    tree = tree_of(language, text, source)
    if tree is None:
        return Facts(chunks=chunks_of(None, source, language))
    root = tree.root_node
    found = symbols_of(root, source, language, text)
    return Facts(found.symbols, found.imports, chunks_of(root, source, language), found.references)


def meant(language: str, text: str) -> str:
    """The language that a text is read as: headers of C and of C++ have the same ending."""
    return "cpp" if language == "c" and _CPP_IN_HEADER.search(text) else language


def tree_of(language: str, text: str, source: bytes | None = None, before: "Tree | None" = None) -> "Tree | None":
    """The tree, None where there is no grammar or the parser would take too long. `source`: the text in UTF-8, if that
    is at hand. `before`: the tree of an earlier text that was told of the edit (`Tree.edit`). Not for YAML that nests
    deeply: its grammar ends the process."""
    source = text.encode("utf-8", "replace") if source is None else source
    fits = len(source) <= PARSED_BYTES_MAX_BY_LANGUAGE.get(language, PARSED_BYTES_MAX)
    name = grammar_for(language, text) if fits and _parses(language, text) else None
    found = grammar(*name) if name is not None else None
    if found is None:
        return None
    parser = cast("Parser", import_module("tree_sitter").Parser(found))
    steps, steps_max = count(), PARSE_STEPS_BASE + len(source) // BYTES_PER_PARSE_STEP

    def piece(at: int, _: object) -> bytes:
        return source[at : at + READ_BYTES]

    def too_long(_at: int, _bad: bool) -> bool:
        return next(steps) > steps_max

    try:
        if before is None:
            return parser.parse(piece, progress_callback=too_long)
        return parser.parse(piece, before, progress_callback=too_long)
    except ValueError:
        return None


def _parses(language: str, text: str) -> bool:
    """Whether the parser can be trusted with a text: a step may be long, and it is not asked during one."""
    if language == "css" and _CSS_STRETCH.search(text):
        return False
    return all(abs(text.count(opens) - text.count(closes)) <= UNCLOSED_MAX for opens, closes in ("{}", "()", "[]"))
