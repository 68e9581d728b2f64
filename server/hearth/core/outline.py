"""Signatures of symbols as text: shortened where they are long, and grouped below the types that they belong to."""

import re
from functools import lru_cache

from hearth.core.facts import Symbol

SIGNATURE_CHARS_MAX = 100
"""Longer ones lose their annotations, then their end."""
SIGNATURES_KEPT_MAX = 4_096
INDENT = "    "
TYPES = frozenset(("class", "interface", "enum", "type", "module"))
"""Kinds of symbols that have members."""

_DECORATORS = re.compile(r"^(?:@(?!property\b|staticmethod\b|classmethod\b)[\w.]+(?:\([^()]*\))?\s+)+")
_OPENING, _CLOSING = "([{<", ")]}>"


@lru_cache(maxsize=SIGNATURES_KEPT_MAX)
def shortened(signature: str) -> str:
    """A signature of at most SIGNATURE_CHARS_MAX characters: without most decorators; then without what is known of the
    parameters but their names; then cut off."""
    text = _DECORATORS.sub("", signature).replace("( ", "(").replace(", )", ")").replace(" )", ")")
    if len(text) <= SIGNATURE_CHARS_MAX:
        return text
    start = text.find("(")
    end = _closing(text, start) if start >= 0 else -1
    if end > 0:
        names = [_name(part) for part in _split(text[start + 1 : end])]
        text = f"{text[:start]}({', '.join(names)}){text[end + 1 :]}"
    return text if len(text) <= SIGNATURE_CHARS_MAX else text[: SIGNATURE_CHARS_MAX - 1].rstrip() + "…"


def _closing(text: str, start: int) -> int:
    depth = 0
    for at in range(start, len(text)):
        if text[at] in _OPENING:
            depth += 1
        elif text[at] in _CLOSING and text[at - 1] not in "-=":
            depth -= 1
            if not depth:
                return at
    return -1


def _split(text: str) -> list[str]:
    parts: list[str] = []
    depth, begin = 0, 0
    for at, char in enumerate(text):
        if char in _OPENING:
            depth += 1
        elif char in _CLOSING and text[at - 1] not in "-=":
            depth -= 1
        elif char == "," and not depth:
            parts.append(text[begin:at].strip())
            begin = at + 1
    return [*parts, text[begin:].strip()]


def _name(part: str) -> str:
    """`timeout: float | None = 5` -> `timeout=5`; of other languages' parameters what they are."""
    head, colon, rest = part.partition(":")
    if not colon:
        return part
    _, equals, default = rest.rpartition(" = ")
    return f"{head.strip()}={default.strip()}" if equals and len(default) < 12 else head.strip()


class Group:
    """Lines of symbols of one place, in the order of their files and lines, each below the type that it belongs to."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, int, str], Symbol] = {}
        self._types: set[tuple[str, str]] = set()
        self.size = 0
        """Characters of the text, at most."""

    def cost(self, path: str, symbol: Symbol) -> int:
        """Characters that one more symbol takes, at most."""
        size = len(shortened(symbol.signature)) + 1
        if symbol.container:
            size += len(INDENT)
            if (path, symbol.container) not in self._types:
                size += len(_head(symbol.container)) + 1
        return size

    def add(self, path: str, symbol: Symbol) -> None:
        """Take a symbol in."""
        self.size += self.cost(path, symbol)
        self._lines[path, symbol.start, symbol.name] = symbol
        self._types.add((path, symbol.container))

    @property
    def line(self) -> int:
        """The first line of the first file."""
        return min(self._lines)[1]

    def text(self) -> str:
        """The lines, LF endings."""
        members: dict[tuple[str, str], list[Symbol]] = {}
        for (path, _, _), symbol in sorted(self._lines.items(), key=lambda item: item[0]):
            members.setdefault((path, symbol.container), []).append(symbol)
        blocks: list[tuple[str, int, list[str]]] = []
        for (path, container), symbols in members.items():
            if not container:
                # A type that is here heads its members.
                for symbol in symbols:
                    inner = members.get((path, symbol.name), []) if symbol.kind in TYPES else []
                    blocks.append((path, symbol.start, [shortened(symbol.signature), *map(_member, inner)]))
            elif not any(one.name == container and one.kind in TYPES for one in members.get((path, ""), ())):
                blocks.append((path, symbols[0].start, [_head(container), *map(_member, symbols)]))
        return "".join(f"{line}\n" for _, _, lines in sorted(blocks) for line in lines)


def _member(symbol: Symbol) -> str:
    return INDENT + shortened(symbol.signature)


def _head(container: str) -> str:
    return f"class {container}:"
