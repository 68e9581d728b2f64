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

from hearth.core.facts import Import, Symbol, SymbolKind
from hearth.core.grammars import grammar, grammar_for
from hearth.core.symbol_imports import imports_of
from hearth.core.symbol_queries import PATTERNS

if TYPE_CHECKING:
    from tree_sitter import Node, Query, QueryCursor

SIGNATURE_CHARS_MAX = 300
VALUE_CHARS_MAX = 120
NAME_BYTES_MAX = 200
SYMBOLS_MAX = 10_000
"""Of one file; more are of machine-made code or data, and the first of them will do."""
IMPORTS_MAX = 2_000
REFERENCES_MAX = 5_000
"""Names of one file, those used most."""
REFERENCE_CHARS_MIN = 3
OPEN_MATCHES_MAX = 256
"""Matches that the query keeps open at once: they cost time at every node, and nesting can be made arbitrarily deep."""

_CLASSES = frozenset(("class", "interface", "enum", "type", "within"))
_FUNCTIONS = frozenset(("function", "method", "scope"))
_HEADS = frozenset(("class", "interface", "enum", "module", "function", "method"))
_NOT_REFERENCES = frozenset((
    "False", "None", "True", "and", "assert", "async", "await", "break", "class", "cls", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "import", "lambda", "nonlocal", "not", "pass",
    "raise", "return", "self", "try", "while", "with", "yield",
))  # fmt: skip
_DECORATORS_SHOWN = frozenset(
    ("abstractmethod", "cached_property", "classmethod", "dataclass", "overload", "property", "staticmethod")
)
_DECORATOR = re.compile(r"@[\w.]*?(\w+)[ \t]*(?=[\n(])")
_PYTHON_TOKEN = re.compile(
    r"""[\w#"']"""
    r"""(?:(?<=[fF])[rR]?(?:\"\"\"(?:[^"\\]|\\.|"(?!""))*\"\"\"|'''(?:[^'\\]|\\.|'(?!''))*'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?<=\w)\w*"""
    r"""|(?<=\#)[^\n]*"""
    r"""|(?<=")(?:""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*\"\"\"|[^"\\\n]*(?:\\.[^"\\\n]*)*")"""
    r"""|(?<=')(?:''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''|[^'\\\n]*(?:\\.[^'\\\n]*)*'))""",
    re.DOTALL,
)
_IN_BRACES = re.compile(r"\{([^{}]+)\}")
_WORD = re.compile(r"\w+")
_SELF = re.compile(rb"\n[ \t]+self\.([^\W\d]\w*)[ \t]*(?::([^=\n]+))?=(?!=)[ \t]*([^\n]*)")
_OWNER_WORD = re.compile(r"[^\W\d][\w$]*")
_DECLARES = re.compile(rb"\b(const|let|var)\s+$")
_EXPORTS = frozenset(("exports", "module"))


class Found(NamedTuple):
    """What a tree says of its file."""

    symbols: tuple[Symbol, ...]
    imports: tuple[Import, ...]
    references: dict[str, int]


class _Event(NamedTuple):
    """A match of one of the patterns. Bytes and rows (0-based; `end_row` inclusive); sorts outer before inner."""

    start: int
    end_negative: int
    pattern: int
    kind: str
    name_start: int
    name_end: int
    body: int
    row: int
    end_row: int
    owner: str


class _Scope(NamedTuple):
    """What the sweep is inside of. `path`: the container of what is in it."""

    start: int
    end: int
    kind: str
    path: str
    head: str


def symbols_of(root: "Node", source: bytes, language: str, text: str) -> Found:
    """The facts of a tree. `source`: the text in UTF-8, as it was parsed."""
    compiled = _compiled(language, *(grammar_for(language, text) or ("", "")))
    if compiled is None:
        return Found((), (), {})
    query, kinds, depth = compiled
    cursor = cast("QueryCursor", import_module("tree_sitter").QueryCursor(query, match_limit=OPEN_MATCHES_MAX))
    cursor.set_max_start_depth(depth)
    events: list[_Event] = []
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
        counts = _python_names(text)
    else:
        counts = Counter({name.decode("utf-8", "replace"): times for name, times in Counter(names).items()})
    events.sort()
    symbols = tuple(_Sweep(source, imported).symbols(events))
    return Found(symbols, tuple(imports[:IMPORTS_MAX]), _references(counts, symbols))


@lru_cache(maxsize=len(PATTERNS))
def _compiled(language: str, module: str, function: str) -> "tuple[Query, tuple[str, ...], int] | None":
    """A language's query, the kind of each of its patterns, and its depth. None if grammar and query do not fit."""
    patterns, found = PATTERNS.get(language), grammar(module, function) if module else None
    if patterns is None or found is None:
        return None
    try:
        query = import_module("tree_sitter").Query(found, "\n".join(pattern for _, pattern in patterns.patterns))
    except ValueError:
        return None
    return query, tuple(kind for kind, _ in patterns.patterns), patterns.depth


def _event(pattern: int, kind: str, captures: "dict[str, list[Node]]", source: bytes) -> _Event:
    node = captures["d"][0]
    row = node.start_point[0]
    last, column = node.end_point
    if kind == "scope" or kind == "decorated":
        return _Event(node.start_byte, -node.end_byte, pattern, kind, -1, -1, -1, row, last, "")
    name = captures["n"][0]
    body = captures["b"][0].start_byte if "b" in captures else -1
    owner = ""
    if "o" in captures:
        whose = captures["o"][0]
        owner = source[whose.start_byte : whose.end_byte].decode("utf-8", "replace") or "?"
    return _Event(
        node.start_byte,
        -node.end_byte,
        pattern,
        kind,
        name.start_byte,
        name.end_byte,
        body,
        row,
        last if column else max(row, last - 1),
        owner,
    )


def _set_on_self(source: bytes) -> Iterator[_Event]:
    """`self.x = ...` in Python: one line each, the value as far as it goes on that line."""
    row = at = 0
    for found in _SELF.finditer(source):
        row += source.count(b"\n", at, found.start(1))
        at = found.start(1)
        start, end = found.span(1)
        yield _Event(start, -found.end(), 0, "self", start, end, -1, row, row, "")


class _Sweep:
    """Goes over the events in the order of the text and keeps what encloses the current one."""

    def __init__(self, source: bytes, imported: set[int]) -> None:
        self.source = source
        self.imported = imported
        self.stack: list[_Scope] = []
        self.named: set[int] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.decorated: _Event | None = None

    def symbols(self, events: list[_Event]) -> Iterator[Symbol]:
        stack = self.stack
        for event in events:
            while stack and stack[-1].end <= event.start:
                stack.pop()
            if event.kind == "decorated":
                self.decorated = event
            elif event.kind == "scope":
                path = stack[-1].path if stack else ""
                stack.append(_Scope(event.start, -event.end_negative, "scope", path, ""))
            elif event.name_start not in self.named and event.name_end - event.name_start <= NAME_BYTES_MAX:
                while stack and _same(stack[-1], event):
                    stack.pop()
                symbol = self._symbol(event)
                if symbol is not None:
                    self.named.add(event.name_start)
                    yield symbol

    def _symbol(self, event: _Event) -> Symbol | None:
        name = self.source[event.name_start : event.name_end].decode("utf-8", "replace").strip("\"'`")
        stack = self.stack
        kind = event.kind
        scope = stack[-1] if stack else None
        container, inside = (scope.path, scope.kind) if scope else ("", "")
        if kind == "attribute" or kind == "self":
            owner = next((known for known in reversed(stack) if known.kind in _CLASSES), scope)
            container = owner.path if owner else ""
        elif kind == "value":
            if event.start in self.imported or inside in _FUNCTIONS:
                return None
            kind = "attribute" if inside in _CLASSES else "constant" if name.isupper() else "variable"
        elif kind == "function" and inside in _CLASSES:
            kind = "method"
        if event.owner:
            container, kind = _owned(event.owner, kind, container, stack)
        if kind == "attribute" or kind == "self":
            if (container, name) in self.attributes:
                return None
            self.attributes.add((container, name))
        if not name:
            return None
        row, prefix = event.row, ""
        if self.decorated is not None and self.decorated.end_negative == event.end_negative:
            prefix = self._decorators(self.decorated.start, event.start)
            row = self.decorated.row
            self.decorated = None
        signature = self._of_self(event, name) if kind == "self" else prefix + self._signature(event, kind)
        path = f"{container}.{name}" if container else name
        if kind != "self":
            stack.append(_Scope(event.start, -event.end_negative, kind, path, signature))
        if kind == "within":
            return None
        shown = cast(SymbolKind, "attribute" if kind == "self" else kind)
        return Symbol(name, shown, container, row, event.end_row + 1, signature)

    def _signature(self, event: _Event, kind: str) -> str:
        """The head of a definition on one line, without its body."""
        limit = SIGNATURE_CHARS_MAX if kind in _HEADS else VALUE_CHARS_MAX
        end = event.body if event.body >= 0 else -event.end_negative
        text = self.source[event.start : min(end, event.start + 4 * limit)].decode("utf-8", "ignore")
        if event.body >= 0 and ("#" in text or "//" in text or "/*" in text):
            text = _without_comments(text)
        head = " ".join(text.split())
        if declares := _DECLARES.search(self.source, max(0, event.start - 12), event.start):
            head = f"{declares[1].decode()} {head}"
        head = head.rstrip(" {:;").removesuffix("=>").rstrip(" =") if event.body >= 0 else head.rstrip(" ;,")
        return head if len(head) <= limit else head[: limit - 4].rstrip() + " ..."

    def _decorators(self, start: int, end: int) -> str:
        names = _DECORATOR.findall(self.source[start:end].decode("utf-8", "replace"))
        return "".join(f"@{name} " for name in names if name in _DECORATORS_SHOWN)

    def _of_self(self, event: _Event, name: str) -> str:
        """`x: int = 0` for `self.x: int = 0`, `x: int` for `self.x = x` if the method says what `x` is."""
        text = self.source[event.start : -event.end_negative].decode("utf-8", "replace").strip()
        value = text.partition("=")[2].strip()
        if value == name and ":" not in text:
            method = next((known.head for known in reversed(self.stack) if known.kind in _FUNCTIONS), "")
            found = re.search(rf"\b{name}\s*:\s*((?:[^,=()\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])+)", method)
            return f"{name}: {found[1].strip()}" if found else name
        if text[-1:] in ("(", "[", "{", "\\"):
            text += " ..."
        return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 4].rstrip() + " ..."


def _same(scope: _Scope, event: _Event) -> bool:
    """Whether they are names that one statement defines beside each other (`x, y = 1, 2`)."""
    return scope.start == event.start and scope.end == -event.end_negative


def _owned(owner: str, kind: str, container: str, stack: list[_Scope]) -> tuple[str, str]:
    """Container and kind of what belongs to something that it does not stand in (`Foo.prototype.bar = ...`)."""
    words = [word for word in _OWNER_WORD.findall(owner) if word != "prototype"]
    if words and words[0] == "this":
        known = next((known for known in reversed(stack) if known.kind in _CLASSES), None)
        return (known.path if known else container), "method" if kind == "function" else kind
    if not words or words[0] in _EXPORTS:
        return container, kind
    return ".".join(words), "method" if kind == "function" else kind


_COMMENT = re.compile(r"""("[^"\n]*"|'[^'\n]*')|/\*.*?\*/|//[^\n]*|(?<=\s)\#[^\n]*""", re.DOTALL)


def _without_comments(text: str) -> str:
    return _COMMENT.sub(lambda found: found[1] or "", text)


def _python_names(text: str) -> Counter[str]:
    """How often each name is used in Python code, and in the braces of its f-strings."""
    counts = Counter(_PYTHON_TOKEN.findall(text))
    inner: Counter[str] = Counter()
    for token, times in counts.items():
        if token[-1] in "\"'" and token[0] in "fF":
            for part in _IN_BRACES.findall(token):
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
