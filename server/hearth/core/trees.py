"""The trees of the documents that one works in: parsed once for all who ask, and after an edit only where it changed.

A lightbulb, a command and its prompt look at the same document one after the other. Parsing 5,000 lines takes
15 ms, parsing them again after an edit 1 or 2; in Python, where all below may have to be read again, up to 15.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from hearth.core.analysis import meant, tree_of
from hearth.core.grammars import grammar_for
from hearth.core.symbol_yaml import yaml_keys
from hearth.core.symbols import Found, symbols_of

if TYPE_CHECKING:
    from tree_sitter import Tree

TREES_KEPT_MAX = 6
BYTES_KEPT_MAX = 1_000_000
"""Of their texts, together: a tree takes 25 times as much."""


SAME_SHARE_MIN = 0.5
"""A text that has less of the one before is parsed as a new one."""


class Parsed(NamedTuple):
    """A text with "\\n" alone at the ends of its lines, in UTF-8 too, and its tree."""

    language: str
    text: str
    source: bytes
    tree: "Tree"


class Trees:
    """Of the documents asked for last, by their URIs. What is kept is replaced and never changed, so several threads
    may ask."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, tuple[str, str] | None], Parsed] = OrderedDict()

    def parsed(self, uri: str, language: str, text: str) -> Parsed | None:
        """None where there is no grammar, or the parser would take too long."""
        text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
        if language == "yaml":
            return None  # its grammar ends the process on deep nesting
        language = meant(language, text)
        key = (uri, grammar_for(language, text))
        before = self._kept.pop(key, None)
        kept = list(self._kept.values())
        found = next((one for one in (before, *kept) if one and one[:2] == (language, text)), None)
        if found is None:
            source = text.encode("utf-8", "replace")
            tree = tree_of(language, text, source, _edited(before, source) if before else None)
            found = Parsed(language, text, source, tree) if tree is not None else None
        if found is not None:
            self._kept[key] = found
            while len(self._kept) > TREES_KEPT_MAX or self._bytes() > BYTES_KEPT_MAX:
                self._kept.popitem(last=False)
        return found

    def _bytes(self) -> int:
        return sum(len(one.source) for one in list(self._kept.values()))

    def definitions(self, uri: str, language: str, text: str) -> Found:
        """What a document defines and imports, without references."""
        if language == "yaml":
            return Found(tuple(yaml_keys(text)), (), {})
        found = self.parsed(uri, language, text)
        if found is None:
            return Found((), (), {})
        return symbols_of(found.tree.root_node, found.source, found.language, found.text, references=False)


TREES = Trees()
"""Of the documents that are worked on."""


def _edited(before: Parsed, source: bytes) -> "Tree | None":
    """A tree that knows where the text is another by now; None if it is another text."""
    old = before.source
    most = min(len(old), len(source))
    start = _same(old[:most], source[:most])
    end = _same(old[len(old) - most + start :][::-1], source[len(source) - most + start :][::-1])
    if start + end < SAME_SHARE_MIN * len(source):
        return None
    tree = before.tree.copy()
    tree.edit(
        start, len(old) - end, len(source) - end,
        _point(old, start), _point(old, len(old) - end), _point(source, len(source) - end),
    )  # fmt: skip
    return tree


def _same(one: bytes, other: bytes) -> int:
    """How many bytes two strings of one length begin with together."""
    low, high = 0, len(one)
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _point(source: bytes, at: int) -> tuple[int, int]:
    return source.count(b"\n", 0, at), at - source.rfind(b"\n", 0, at) - 1
