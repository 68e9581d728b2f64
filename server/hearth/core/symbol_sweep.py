"""Puts what a query found in order: what contains what, what kind of thing it is there, and its signature.

Matches come as byte ranges. A sweep over them from the top of the file keeps a stack of what encloses the current one,
so a name's container needs no look at the tree.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple, cast

from hearth.core.facts import Symbol, SymbolKind

SIGNATURE_CHARS_MAX = 300
VALUE_CHARS_MAX = 120
PREFIX_BYTES_MAX = 80
"""Before a definition on its line: `export const`."""
NAME_BYTES_MAX = 200
TITLE_CHARS_MAX = 120
"""Of a name that is a piece of text: a heading, a list of selectors."""
KEYS_MAX = 1_000
"""Of one data file."""

_CLASSES = frozenset(("class", "interface", "enum", "type", "within"))
_FUNCTIONS = frozenset(("function", "method", "scope"))
_HEADS = frozenset(("class", "interface", "enum", "module", "function", "method"))
_TITLES = frozenset(("heading", "selector"))
_VALUES = frozenset(("attribute", "constant", "variable"))
_DROPPED_IN_FUNCTIONS = frozenset(("value", "const", "declared", "member"))
_NO_CONTAINERS = frozenset(("self", "field", "alias"))
_PLAIN = {
    "alias": "type", "const": "constant", "declared": "function", "field": "attribute", "member": "function",
    "self": "attribute",
}  # fmt: skip
_DECORATORS_SHOWN = frozenset(
    ("abstractmethod", "cached_property", "classmethod", "dataclass", "overload", "property", "staticmethod")
)
_DECORATOR = re.compile(r"@[\w.]*?(\w+)[ \t]*(?=[\n(])")
_PREFIX = re.compile(rb"(?!(?:await|case|do|else|new|return|then|yield)\b)[A-Za-z][\w$<>?.]*(?:[ \t]+[\w$<>?.]+)*")
_STATEMENT = re.compile(rb"[{};]")
_PUBLISHES = frozenset(("export", "default", "declare"))
_PARAMETER = re.compile(r"(\w+)\s*:\s*((?:[^,=()\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])+)")
_OWNER_WORD = re.compile(r"[^\W\d][\w$]*")
_GENERICS = re.compile(r"[\[<].*", re.DOTALL)
_EXPORTS = frozenset(("exports", "module"))
_RUBY_END = re.compile(r"[;\s]\s*end$")
_QUOTED = r"""("[^"\n]*"|'[^'\n]*')"""
_C_COMMENT = re.compile(_QUOTED + r"|/\*.*?\*/|//[^\n]*", re.DOTALL)
_HASH_COMMENT = re.compile(_QUOTED + r"|(?<=\s)\#[^\n]*")
_HASH_LANGUAGES = frozenset(("python", "ruby", "shellscript"))


class Event(NamedTuple):
    """A match of one of the patterns. Bytes and rows (0-based; `end_row` inclusive); sorts outer before inner.

    `kind` as in `symbol_queries`, and "self" for what Python sets on `self`. The signature is cut out of `head_start`
    to `head_end`; `headed` says that a body begins there.
    """

    start: int
    end_negative: int
    pattern: int
    kind: str
    name_start: int
    name_end: int
    head_start: int
    head_end: int
    headed: bool
    row: int
    end_row: int
    owner: str


class _Scope(NamedTuple):
    """What the sweep is inside of. `path`: the container of what is in it; `head`: its signature."""

    start: int
    end: int
    kind: str
    path: str
    head: str


class Sweep:
    """Goes over the events in the order of the text and keeps what encloses the current one."""

    def __init__(self, language: str, source: bytes, imported: set[int]) -> None:
        """`imported`: where the statements that are imports begin; they define no variables."""
        self._source = source
        self._imported = imported
        self._ruby = language == "ruby"
        self._comment = _HASH_COMMENT if language in _HASH_LANGUAGES else _C_COMMENT
        self._marks = ("#", "#") if language in _HASH_LANGUAGES else ("//", "/*")
        self._stack: list[_Scope] = []
        self._named: set[int] = set()
        self._values: set[tuple[str, str]] = set()
        self._keys = 0
        self._decorated: Event | None = None

    def symbols(self, events: list[Event]) -> Iterator[Symbol]:
        """The definitions among `events`, which are sorted."""
        stack = self._stack
        for event in events:
            while stack and stack[-1].end <= event.start:
                stack.pop()
            kind = event.kind
            if kind == "decorated":
                self._decorated = event
            elif kind == "scope":
                stack.append(_Scope(event.start, -event.end_negative, kind, stack[-1].path if stack else "", ""))
            elif event.name_start not in self._named:
                if kind in _DROPPED_IN_FUNCTIONS and stack and stack[-1].kind in _FUNCTIONS:
                    continue
                # Names that one statement defines beside each other (`x, y = 1, 2`) do not contain one another.
                while stack and stack[-1].start == event.start and stack[-1].end == -event.end_negative:
                    stack.pop()
                symbol = self._symbol(event)
                if symbol is not None:
                    self._named.add(event.name_start)
                    yield symbol

    def _symbol(self, event: Event) -> Symbol | None:
        name = self._name(event)
        if not name:
            return None
        kind, container = self._placed(event, name)
        if event.owner or "::" in name:
            owner, name = (event.owner, name) if event.owner else _split(name)
            container, kind = self._owned(owner, kind, container)
        if kind in _VALUES:
            # The first of them tells most; a name is set many times.
            if (container, name) in self._values or event.start in self._imported:
                return None
            self._values.add((container, name))
        elif kind == "key":
            self._keys += 1
            if self._keys > KEYS_MAX:
                return None
        row, prefix = event.row, ""
        if self._decorated is not None and self._decorated.end_negative == event.end_negative:
            prefix = self._decorators(self._decorated.start, event.start)
            row = self._decorated.row
            self._decorated = None
        signature = self._of_self(event, name) if event.kind == "self" else prefix + self._signature(event, kind)
        if event.kind not in _NO_CONTAINERS:
            path = f"{container}.{name}" if container else name
            self._stack.append(_Scope(event.start, -event.end_negative, kind, path, signature))
        if kind == "within":
            return None
        return Symbol(name, cast(SymbolKind, kind), container, row, event.end_row + 1, signature)

    def _name(self, event: Event) -> str:
        if event.name_end - event.name_start > NAME_BYTES_MAX and event.kind not in _TITLES:
            return ""
        name = self._source[event.name_start : event.name_end].decode("utf-8", "replace")
        if event.kind in _TITLES:
            name = " ".join(name.split())[:TITLE_CHARS_MAX]
            return name.rstrip("# ") if event.kind == "heading" else name
        if event.kind == "within":
            return name.partition("<")[0].rpartition("::")[2].strip("&' ")
        if event.kind == "attribute":
            name = name.lstrip(":")
        return name.strip("\"'` \n")

    def _placed(self, event: Event, name: str) -> tuple[str, str]:
        """What kind of thing it is where it stands, and its container."""
        kind, stack = event.kind, self._stack
        if not stack:
            if kind == "value":
                kind = "constant" if name.isupper() else "variable"
            return _PLAIN.get(kind, kind), ""
        scope = stack[-1]
        if kind in ("attribute", "self", "field"):
            # What a method sets on its object belongs to the class; without a class the function is one.
            outer = next((known for known in reversed(stack) if known.kind not in _FUNCTIONS), scope)
            return "attribute", (scope if outer.kind == "module" else outer).path
        if kind == "value" or kind == "const":
            upper = kind == "const" or name.isupper()
            kind = "attribute" if scope.kind in _CLASSES else "constant" if upper else "variable"
        elif kind == "member":
            kind = "method"
        elif kind in ("function", "declared"):
            kind = "method" if scope.kind in _CLASSES else "function"
        return _PLAIN.get(kind, kind), scope.path

    def _owned(self, owner: str, kind: str, container: str) -> tuple[str, str]:
        """Container and kind of what belongs to something that it does not stand in (`Foo.prototype.bar = ...`)."""
        stack = self._stack
        words = [word for word in _OWNER_WORD.findall(_GENERICS.sub("", owner)) if word != "prototype"]
        owned_kind = "method" if kind == "function" else kind
        if words and words[0] == "this":
            known = next((known for known in reversed(stack) if known.kind in _CLASSES), None)
            return (known.path if known else container), owned_kind
        if not words or words[0] in _EXPORTS:
            return container, kind
        if container and stack[-1].kind == "module":
            words.insert(0, container)
        return ".".join(words), owned_kind

    def _signature(self, event: Event, kind: str) -> str:
        """The head of a definition on one line, without its body."""
        limit = SIGNATURE_CHARS_MAX if kind in _HEADS else VALUE_CHARS_MAX
        source, start = self._source, event.head_start
        text = source[start : min(event.head_end, start + 4 * limit)].decode("utf-8", "ignore")
        if event.headed and (self._marks[0] in text or self._marks[1] in text):
            text = self._comment.sub(lambda found: found[1] or "", text)
        head = " ".join(text.split())
        if source[start - 1 : start] == b" ":
            lowest = max(0, start - PREFIX_BYTES_MAX)
            _, newline, line = source[lowest:start].rpartition(b"\n")
            before = b"" if line.isspace() else _STATEMENT.split(line)[-1].strip()
            if before == line.strip() and lowest and not newline:
                before = b""  # it goes on further to the left
            if before and _PREFIX.fullmatch(before):
                words = (word for word in before.decode("ascii", "ignore").split() if word not in _PUBLISHES)
                head = " ".join((*words, head))
        head = head.rstrip(" {:;").removesuffix("=>").rstrip(" =") if event.headed else head.rstrip(" ;,")
        if self._ruby and not event.headed and kind in _HEADS:
            head = _RUBY_END.sub("", head)
        return head if len(head) <= limit else head[: limit - 4].rstrip() + " ..."

    def _decorators(self, start: int, end: int) -> str:
        names = _DECORATOR.findall(self._source[start:end].decode("utf-8", "replace"))
        return "".join(f"@{name} " for name in names if name in _DECORATORS_SHOWN)

    def _of_self(self, event: Event, name: str) -> str:
        """`x: int = 0` for `self.x: int = 0`, `x: int` for `self.x = x` if the method says what `x` is."""
        text = self._source[event.start : -event.end_negative].decode("utf-8", "replace").strip()
        value = text.partition("=")[2].strip()
        if value == name and ":" not in text:
            method = next((known.head for known in reversed(self._stack) if known.kind in _FUNCTIONS), "")
            kind = next((found[2] for found in _PARAMETER.finditer(method) if found[1] == name), "").strip()
            return f"{name}: {kind}" if kind else name
        if text[-1:] in ("(", "[", "{", "\\"):
            text += " ..."
        return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 4].rstrip() + " ..."


def _split(name: str) -> tuple[str, str]:
    """`Foo<T>::bar` as what it belongs to and its own name."""
    owner, _, last = name.rpartition("::")
    return owner, last
