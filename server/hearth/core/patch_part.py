"""An answer that holds some definitions of a file where all of it was asked for: they are put in their places."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from hearth.core.facts import Symbol
from hearth.core.patch_base import Target
from hearth.core.patch_loss import FUNCTIONS
from hearth.core.patch_syntax import PIECE, outlined
from hearth.core.patch_text import Piece, Text, is_blank, trimmed
from hearth.core.patch_whole import apart, import_pieces, span_of, span_pieces

_HASH_COMMENT, _COMMENT = re.compile(r"\s*#"), re.compile(r"\s*(?://|/?\*)")
_HASH_LANGUAGES = frozenset({"python", "ruby", "shellscript"})


def part_pieces(target: Target, text: Text, code: Sequence[str]) -> list[Piece] | None:
    """The pieces that replace each definition in `code` within the file, or the target's span of it; None where the
    code holds anything else that the file does not have, or it is not clear what it replaces."""
    new, imports = apart(target.tongue, trimmed(code))
    start, end = span_of(target, text)
    own = [one for one in outlined(target.tongue, _joined(text.lines)).symbols if start <= one.start and one.end <= end]
    answered = outlined(target.tongue, _joined(new), PIECE).symbols
    found = _paired(_outermost(answered), answered, own)
    if not found:
        return None
    comment = _HASH_COMMENT if target.tongue in _HASH_LANGUAGES else _COMMENT
    parts: list[tuple[int, int, list[str]]] = []
    used: set[int] = set()
    for mine, theirs in found:
        first, top = theirs.start, mine.start
        while first and comment.match(new[first - 1]):
            first -= 1
        while first < theirs.start and top and comment.match(text.lines[top - 1]):
            top -= 1
        parts.append((top, mine.end, new[first : theirs.end]))
        used.update(range(first, theirs.end))
    known = {line.strip() for line in text.lines}
    if any(not is_blank(line) and line.strip() not in known for n, line in enumerate(new) if n not in used):
        return None
    parts.sort(key=lambda part: part[:2])
    if any(one[1] > other[0] for one, other in pairwise(parts)):
        return None
    pieces = [
        piece for top, last, part in parts for piece in span_pieces(replace(target, span=(top, last)), text, part)
    ]
    return import_pieces(target, text, pieces, imports, parts[0][0])


def _paired(outer: Sequence[Symbol], answered: Sequence[Symbol], own: Sequence[Symbol]) -> list[tuple[Symbol, Symbol]]:
    """(the file's, the answer's) definition, of each of `outer`; [] if one has no counterpart, or several. Of a class
    that lacks some of its members those that are there."""
    found: list[tuple[Symbol, Symbol]] = []
    for theirs in outer:
        same = [one for one in own if one.name == theirs.name and theirs.container in ("", one.container)]
        if len(same) != 1 or not (same[0].kind == theirs.kind or {same[0].kind, theirs.kind} <= FUNCTIONS):
            return []
        mine = same[0]
        members, written = _inside(mine, own), _inside(theirs, answered)
        if mine.kind in FUNCTIONS or {one.name for one in members} <= {one.name for one in written}:
            found.append((mine, theirs))
        elif inner := _paired(_outermost(written), written, members):
            found += inner
        else:
            return []
    return found


def _inside(outer: Symbol, symbols: Sequence[Symbol]) -> list[Symbol]:
    return [one for one in symbols if one is not outer and outer.start <= one.start and one.end <= outer.end]


def _outermost(symbols: Sequence[Symbol]) -> list[Symbol]:
    return [one for one in symbols if not any(one in _inside(other, symbols) for other in symbols)]


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
