"""Definitions, imports and references of a file, from its tree.

One query per language finds them all in one pass (`symbol_queries`); what is here puts the matches in order, tells by
their nesting what contains what, and cuts signatures out of the text. Python's identifiers and the attributes set on
`self` are read off the text: for the language with most files that saves a third of the time.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

from hearth.core.facts import Import, Symbol
from hearth.core.grammars import grammar, grammar_for
from hearth.core.symbol_imports import imports_of
from hearth.core.symbol_queries import PATTERNS
from hearth.core.symbol_sweep import Event, Sweep

if TYPE_CHECKING:
    from tree_sitter import Node, Query, QueryCursor

SYMBOLS_MAX = 10_000
"""Of one file; more are of machine-made code or data, and the first of them will do."""
IMPORTS_MAX = 2_000
REFERENCES_MAX = 5_000
"""Names of one file, those used most."""
REFERENCE_CHARS_MIN = 3
OPEN_MATCHES_MAX = 256
"""Matches that the query keeps open at once: they cost time at every node, and nesting can be made arbitrarily deep."""

_NOT_REFERENCES = frozenset((
    "False", "None", "True", "and", "assert", "async", "await", "break", "class", "cls", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "import", "lambda", "nonlocal", "not", "pass",
    "raise", "return", "self", "try", "while", "with", "yield",
))  # fmt: skip
_DOUBLE = r'''(?:""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""|[^"\\\n]*(?:\\.[^"\\\n]*)*")'''
_SINGLE = _DOUBLE.replace('"', "'")
_PYTHON_TOKEN = re.compile(
    r"""[\w\#"'](?:(?<=[^\WfFrR])\w*|(?<=[fFrR])(?:[fFrR]?(?:"""
    rf""""{_DOUBLE}|'{_SINGLE})|\w*)|(?<=\#)[^\n]*|(?<="){_DOUBLE}|(?<='){_SINGLE})""",
    re.DOTALL,
)
"""A word, a string or a comment; an f-string with its prefix. The rest of the code is passed over."""
_IN_BRACES = re.compile(r"\{([^{}]+)\}")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
_WORD = re.compile(r"\w+")
_SELF = re.compile(rb"\n[ \t]+self\.([^\W\d]\w*)[ \t]*(?::([^=\n]+))?=(?!=)[ \t]*([^\n]*)")


class Found(NamedTuple):
    """What a tree says of its file."""

    symbols: tuple[Symbol, ...]
    imports: tuple[Import, ...]
    references: dict[str, int]


def symbols_of(root: "Node", source: bytes, language: str, text: str, *, references: bool = True) -> Found:
    """The facts of a tree. `source`: the text in UTF-8, as it was parsed. Without `references`: in half the time."""
    compiled = _compiled(language, *(grammar_for(language, text) or ("", "")), references)
    if compiled is None:
        return Found((), (), {})
    query, kinds, depth = compiled
    cursor = cast("QueryCursor", import_module("tree_sitter").QueryCursor(query, match_limit=OPEN_MATCHES_MAX))
    cursor.set_max_start_depth(depth)
    events: list[Event] = []
    imports: list[Import] = []
    imported: set[int] = set()
    names: list[bytes] = []
    for pattern, captures in cursor.matches(root):
        kind = kinds[pattern]
        if kind == "reference":
            node = captures["n"][0]
            names.append(source[node.start_byte : node.end_byte])
        elif kind == "import":
            node = captures["d"][0]
            imported.add(node.start_byte)
            if len(imports) < IMPORTS_MAX:
                statement = source[node.start_byte : node.end_byte].decode("utf-8", "replace")
                imports.extend(imports_of(language, statement, node.start_point[0]))
        elif len(events) < SYMBOLS_MAX:
            events.append(_event(pattern, kind, captures, source))
    if language == "python":
        events.extend(_set_on_self(source))
        counts = _python_names(text) if references else Counter[str]()
    else:
        counts = Counter({name.decode("utf-8", "replace"): times for name, times in Counter(names).items()})
    events.sort()
    symbols = tuple(Sweep(language, source, imported).symbols(events))
    return Found(symbols, tuple(imports[:IMPORTS_MAX]), _references(counts, symbols))


@lru_cache(maxsize=2 * len(PATTERNS))
def _compiled(
    language: str, module: str, function: str, references: bool = True
) -> "tuple[Query, tuple[str, ...], int] | None":
    """A language's query, the kind of each of its patterns, and its depth. None if grammar and query do not fit."""
    patterns, found = PATTERNS.get(language), grammar(module, function) if module else None
    if patterns is None or found is None:
        return None
    wanted = [one for one in patterns.patterns if references or one[0] != "reference"]
    try:
        query = import_module("tree_sitter").Query(found, "\n".join(pattern for _, pattern in wanted))
    except ValueError:
        return None
    return query, tuple(kind for kind, _ in wanted), patterns.depth


def _event(pattern: int, kind: str, captures: "dict[str, list[Node]]", source: bytes) -> Event:
    node = captures["d"][0]
    start, end, row = node.start_byte, node.end_byte, node.start_point[0]
    if kind == "scope" or kind == "decorated":
        return Event(start, -end, pattern, kind, -1, -1, -1, -1, False, row, row, "")
    name = captures["n"][0]
    last, column = node.end_point
    head_start, head_end, owner = start, end, ""
    if len(captures) > 2:
        if "h" in captures:
            head = captures["h"][0]
            head_start, head_end = head.start_byte, head.end_byte
        if "b" in captures:
            head_end = captures["b"][0].start_byte
        if "e" in captures:
            end = captures["e"][0].end_byte
            last, column = captures["e"][0].end_point
        if "o" in captures:
            whose = captures["o"][0]
            owner = source[whose.start_byte : whose.end_byte].decode("utf-8", "replace") or "?"
    end_row = last if column else max(row, last - 1)
    return Event(
        start,
        -end,
        pattern,
        kind,
        name.start_byte,
        name.end_byte,
        head_start,
        head_end,
        "b" in captures,
        row,
        end_row,
        owner,
    )


def _set_on_self(source: bytes) -> Iterator[Event]:
    """`self.x = ...` in Python: one line each, the value as far as it goes on that line."""
    row = at = 0
    for found in _SELF.finditer(source):
        row += source.count(b"\n", at, found.start(1))
        at = found.start(1)
        start, end = found.span(1)
        yield Event(start, -found.end(), 0, "self", start, end, start, found.end(), False, row, row, "")


def _python_names(text: str) -> Counter[str]:
    """How often each name is used in Python code, and in the braces of its f-strings."""
    counts = Counter(_PYTHON_TOKEN.findall(text))
    inner: Counter[str] = Counter()
    for token, times in counts.items():
        if token[-1] in "\"'" and (token[0] in "fF" or (token[0] in "rR" and token[1] in "fF")):
            parts = _IN_BRACES.findall(token)
            if token.count("{") > len(parts):  # an f-string in one: the braces around, once more
                parts += _IN_BRACES.findall(_IN_BRACES.sub("", token))
            for part in parts:
                if '"' in part or "'" in part:
                    part = _QUOTED.sub("", part)
                for word in _WORD.findall(part):
                    inner[word] += times
    counts.update(inner)
    return counts


def _references(counts: Counter[str], symbols: tuple[Symbol, ...]) -> dict[str, int]:
    """What is used beyond being defined here, those used most."""
    left = {
        name: times
        for name, times in counts.items()
        if len(name) >= REFERENCE_CHARS_MIN and name.isidentifier() and name not in _NOT_REFERENCES
    }
    for symbol in symbols:
        times = left.get(symbol.name)
        if times is not None:
            if times > 1:
                left[symbol.name] = times - 1
            else:
                del left[symbol.name]
    if len(left) > REFERENCES_MAX:
        return dict(Counter(left).most_common(REFERENCES_MAX))
    return left
