"""Whether a file parses, and what it defines: asked of tree-sitter about whole files."""

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hearth.core.analysis import tree_of
from hearth.core.facts import Symbol
from hearth.core.grammars import GRAMMARS
from hearth.core.syntax import errors, too_deep
from hearth.core.trees import TREES

if TYPE_CHECKING:
    from tree_sitter import Tree

PARSED_CHARS_MAX = 1_000_000
LINE_CHARS_PARSED_MAX = 10_000
"""Longer ones are data, or made to cost time."""
UNJUDGED = frozenset({"markdown", "plaintext"})
"""Any text parses as Markdown."""
DEFINITIONS = frozenset({"class", "interface", "enum", "type", "function", "method", "module", "macro"})
VALUES = frozenset({"constant", "variable"})
OUTLINES_KEPT_MAX = 8
"""Of the file before, the file after and the answer: each is looked at several times."""


FILE, PIECE = "a file before and after", "a piece of an answer"
"""What a text is: the file after is much like the one before, and is parsed where it differs."""


class Outlined(NamedTuple):
    """What a text defines: the definitions, and the lines that its imports begin on. `values`: the constants and
    variables outside of all definitions; `names`: what is imported, by its name here."""

    symbols: tuple[Symbol, ...]
    imports: tuple[int, ...]
    values: tuple[str, ...]
    names: frozenset[str]


def tree(language: str, text: str, what: str = FILE) -> "Tree | None":
    """The tree of a whole file; None where there is no grammar, or it would take too long."""
    if language in UNJUDGED or language not in GRAMMARS or (language == "yaml" and too_deep(text)):
        return None
    if len(text) > PARSED_CHARS_MAX or any(len(line) > LINE_CHARS_PARSED_MAX for line in text.split("\n")):
        return None
    if language == "yaml":
        return tree_of(language, text.replace("\r\n", "\n").replace("\r", "\n"))
    found = TREES.parsed(what, language, text)
    return found.tree if found else None


def parses(language: str, text: str, what: str = FILE) -> bool | None:
    """Whether a text parses; None where that cannot be told."""
    found = tree(language, text, what)
    return None if found is None else not found.root_node.has_error


def broken_line(language: str, text: str) -> int:
    """The first line (0-based) that does not parse; -1 if all do or that cannot be told."""
    found = tree(language, text)
    if found is None or not found.root_node.has_error:
        return -1
    wrong = errors(found.root_node)
    if not wrong:
        return 0
    at = wrong[0][0]
    node = found.root_node.descendant_for_byte_range(at, at)
    row = node.start_point[0] if node is not None else 0
    # The node found may begin above the byte: count down to it.
    if node is not None and node.start_byte < at:
        source = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
        row += source.count(b"\n", node.start_byte, at)
    return row


@lru_cache(maxsize=OUTLINES_KEPT_MAX)
def outlined(language: str, text: str, what: str = FILE) -> Outlined:
    """The definitions and imports of a text."""
    facts = TREES.definitions(what, language, text)
    symbols = tuple(symbol for symbol in facts.symbols if symbol.kind in DEFINITIONS)
    values = tuple(one.name for one in facts.symbols if one.kind in VALUES and not one.container)
    names = frozenset(alias or name for one in facts.imports for name, alias in (*one.names, (one.module, one.alias)))
    return Outlined(symbols, tuple(sorted({one.line for one in facts.imports})), values, names)
