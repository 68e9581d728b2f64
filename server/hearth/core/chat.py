"""A chat command, and the code that it is about: the selection, else the enclosing function or class, else the file."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from hearth.core.context import Diagnostic
from hearth.core.exchange import AUTO
from hearth.core.facts import Symbol
from hearth.core.route import Choice
from hearth.core.text import Position, Range, Snapshot
from hearth.core.trees import TREES

Kind = Literal["explain", "refactor", "fix", "test", "document", "ask"]
EDITS: frozenset[Kind] = frozenset(("refactor", "fix", "test", "document"))
"""Commands that end with a proposed change."""
SELECTION_CHARS_MAX = 1_000_000
"""A larger selection is refused: no model could take it."""
DOCUMENTS_KEPT_MAX = 32
"""Whose symbols are remembered: a lightbulb asks at every move of the cursor, and a command asks several times."""
SYMBOLS_CHARS_MAX = 1_500_000
"""In a longer document no function is looked for."""
WIDE = frozenset(("class", "interface", "enum", "type", "function", "method", "module", "macro"))
"""Kinds of symbols that a command without a selection works on."""


@dataclass(frozen=True, slots=True)
class Command:
    """What the user asked for. `uri`: the document, "" for none (only `ask`). `prompt`: the instruction or
    question, as typed, with its @mentions. `refactoring`: the id of an offered `Refactoring`. `diagnostics`: what
    to fix. `read_only`: the editor says that the document cannot be changed."""

    kind: Kind
    uri: str = ""
    selection: Range | None = None
    prompt: str = ""
    refactoring: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    choice: Choice = AUTO
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """The lines a command is about, whole: `start` up to, not including, `end`, 0-based. `symbol`: the innermost
    function or class that encloses or is them, with its containers (`Circle.area`); "" for none. `how`: where the
    lines come from."""

    start: int
    end: int
    symbol: str
    how: Literal["selection", "symbol", "file"]

    @property
    def range(self) -> Range:
        return Range(Position(self.start, 0), Position(self.end, 0))


def scope_of(snapshot: Snapshot, selection: Range | None) -> Scope:
    """The selected lines; for an empty selection those of the innermost function or class around it, else the file."""
    count = len(snapshot.lines) - (not snapshot.lines[-1] and len(snapshot.lines) > 1)
    symbols = [one for one in symbols_in(snapshot) if one.kind in WIDE]
    if selection is not None and selection.start != selection.end:
        first, last = sorted((snapshot.clamp(selection.start), snapshot.clamp(selection.end)))
        end = last.line + (last.character > 0 or last.line == first.line)
        symbol = _around(symbols, first.line, end)
        return Scope(first.line, end, _name(symbol), "selection")
    if selection is not None:
        line = snapshot.clamp(selection.start).line
        if symbol := _around(symbols, line, line + 1):
            return Scope(symbol.start, symbol.end, _name(symbol), "symbol")
    return Scope(0, count, "", "file")


def symbols_in(snapshot: Snapshot) -> tuple[Symbol, ...]:
    """What a document defines; () in one of more than SYMBOLS_CHARS_MAX."""
    if sum(map(len, snapshot.lines)) > SYMBOLS_CHARS_MAX:
        return ()
    return _symbols(snapshot.uri, snapshot.language, snapshot.text)


@lru_cache(maxsize=DOCUMENTS_KEPT_MAX)
def _symbols(uri: str, language: str, text: str) -> tuple[Symbol, ...]:
    return TREES.definitions(uri, language, text).symbols


def _around(symbols: list[Symbol], start: int, end: int) -> Symbol | None:
    """The innermost symbol that holds these lines."""
    holding = [one for one in symbols if one.start <= start and end <= one.end]
    return min(holding, key=lambda one: (one.end - one.start, -one.start), default=None)


def _name(symbol: Symbol | None) -> str:
    if symbol is None:
        return ""
    return f"{symbol.container}.{symbol.name}" if symbol.container else symbol.name


def moved(scope: Scope, before: Snapshot, after: Snapshot) -> Scope:
    """Where the lines of a scope are in a later version: the symbol of that name, else by the lines that stayed
    the same above and below the change."""
    count = len(after.lines)
    if scope.how == "file":
        return replace(scope, end=count - (not after.lines[-1] and count > 1))
    if scope.how == "symbol" and scope.symbol:
        same = [one for one in symbols_in(after) if one.kind in WIDE and _name(one) == scope.symbol]
        if same:
            nearest = min(same, key=lambda one: abs(one.start - scope.start))
            return replace(scope, start=nearest.start, end=nearest.end)
    above = below = 0
    most = min(len(before.lines), count)
    while above < most and before.lines[above] == after.lines[above]:
        above += 1
    while below < most - above and before.lines[-1 - below] == after.lines[-1 - below]:
        below += 1
    shift = count - len(before.lines)
    if scope.end <= above:
        return scope
    start = scope.start + shift if scope.start >= len(before.lines) - below else min(scope.start, count - 1)
    return replace(scope, start=start, end=min(count, max(start + 1, scope.end + shift)))
