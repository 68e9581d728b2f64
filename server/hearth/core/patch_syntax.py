"""Whether a file parses, and what it defines: asked of tree-sitter about whole files."""

from typing import TYPE_CHECKING, NamedTuple

from hearth.core.analysis import analysed, tree_of
from hearth.core.facts import Symbol
from hearth.core.grammars import GRAMMARS
from hearth.core.syntax import errors, too_deep

if TYPE_CHECKING:
    from tree_sitter import Tree

PARSED_CHARS_MAX = 1_000_000
LINE_CHARS_PARSED_MAX = 10_000
"""Longer ones are data, or made to cost time."""
UNJUDGED = frozenset({"markdown", "plaintext"})
"""Any text parses as Markdown."""
DEFINITIONS = frozenset({"class", "interface", "enum", "type", "function", "method", "module", "macro"})


class Outlined(NamedTuple):
    """What a text defines: the definitions, and the lines that its imports begin on."""

    symbols: tuple[Symbol, ...]
    imports: tuple[int, ...]


def tree(language: str, text: str) -> "Tree | None":
    """The tree of a whole file; None where there is no grammar, or it would take too long."""
    if language in UNJUDGED or language not in GRAMMARS or (language == "yaml" and too_deep(text)):
        return None
    if len(text) > PARSED_CHARS_MAX or any(len(line) > LINE_CHARS_PARSED_MAX for line in text.split("\n")):
        return None
    plain = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    return tree_of(language, plain, plain.encode("utf-8", "replace"))


def parses(language: str, text: str) -> bool | None:
    """Whether a text parses; None where that cannot be told."""
    found = tree(language, text)
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


def outlined(language: str, text: str) -> Outlined:
    """The definitions and imports of a text."""
    facts = analysed(language, text)
    symbols = tuple(symbol for symbol in facts.symbols if symbol.kind in DEFINITIONS)
    return Outlined(symbols, tuple(sorted({one.line for one in facts.imports})))
