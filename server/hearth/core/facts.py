"""What the index keeps of one file: plain records, made by `core.analysis`, kept by `index.manifest`.

Lines are 0-based, `end` is exclusive. Names are as written in the source.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

SymbolKind = Literal[
    "class", "interface", "enum", "type", "function", "method", "attribute", "constant", "variable", "module", "macro",
    "heading", "key", "selector",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Symbol:
    """One definition. `container`: the enclosing symbols' names joined with ".", "" at the top level.

    `signature`: its head on one line, white space squeezed, without body: `def area(self, scale: float = 1) -> float`,
    `class Circle(Shape)`, `radius: float = 1.0`. For a class also what an outline needs is found by `container`.
    """

    name: str
    kind: SymbolKind
    container: str
    start: int
    end: int
    signature: str


@dataclass(frozen=True, slots=True)
class Import:
    """One import. `module` as written (`..models`, `./shape`, `java.util.List`, `foo.h`). `names`: (name, name it has
    here) of what is taken out of it, () if it is taken whole, then `alias` is its name here ("" where it has none)."""

    module: str
    line: int
    names: tuple[tuple[str, str], ...] = ()
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of whole lines, LF endings. `symbol`: the innermost definition it is part of, with its containers."""

    start: int
    end: int
    text: str
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything kept of a file. `references`: how often each name is used that this file does not only define."""

    symbols: tuple[Symbol, ...] = ()
    imports: tuple[Import, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    references: Mapping[str, int] = field(default_factory=dict[str, int])


class Sparse(NamedTuple):
    """A sparse vector: `indices` (unsigned 32 bit, ascending, each once) and their `values`."""

    indices: tuple[int, ...]
    values: tuple[float, ...]
