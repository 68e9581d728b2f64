"""An answer that holds some definitions of a file where all of it was asked for: they are put in their places."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from hearth.core.facts import Symbol
from hearth.core.patch_base import Target
from hearth.core.patch_loss import FUNCTIONS
from hearth.core.patch_syntax import PIECE, outlined
from hearth.core.patch_text import Piece, Text, indent_of, trimmed
from hearth.core.patch_whole import apart, import_pieces, span_of, span_pieces

_HASH_COMMENT, _COMMENT = re.compile(r"\s*#"), re.compile(r"\s*(?://|/?\*)")
_HASH_LANGUAGES = frozenset({"python", "ruby", "shellscript"})


class _Part(NamedTuple):
    """Lines `start` to `end` of the answer, which are to stand in place of lines `top` to `last` of the file."""

    top: int
    last: int
    start: int
    end: int


Pairs = list[tuple[Symbol | None, Symbol]]
"""(the file's, the answer's) definition; None for a new one."""


def part_pieces(target: Target, text: Text, code: Sequence[str], *, adds: bool) -> list[Piece] | None:
    """The pieces that replace each definition in `code` within the file, or the target's span of it; None where the
    code holds anything else that the file does not have, or it is not clear what it replaces.

    A new definition stays beside the one that it was written beside. Where there are only new ones, and `adds` says
    that some were asked for, they go to the end."""
    new, imports = apart(target.tongue, trimmed(code))
    start, end = span_of(target, text)
    whole = outlined(target.tongue, _joined(text.lines)).symbols
    own = [one for one in whole if start <= one.start and one.end <= end]
    answered = outlined(target.tongue, _joined(new), PIECE).symbols
    pairs = _paired(_outermost(answered), answered, own, {one.name for one in whole})
    if not pairs:
        return None
    comment = _HASH_COMMENT if target.tongue in _HASH_LANGUAGES else _COMMENT
    if all(mine is None for mine, _ in pairs):
        if not _fits(target, text, own, [theirs for _, theirs in pairs], new):
            return None
        home = [one for one in own if one.container and one.container == pairs[0][1].container] or own
        last = max((one.end for one in home), default=end)
        parts = [_Part(last, last, _above(new, pairs[0][1].start, comment), pairs[-1][1].end)] if adds else []
    else:
        parts = _parts(pairs, new, text.lines, comment)
    used = {number for part in parts for number in range(part.start, part.end)}
    known = {line.strip() for line in text.lines}
    if not parts or any(n not in used and new[n].strip() and new[n].strip() not in known for n in range(len(new))):
        return None
    parts.sort()
    if any(one.last > other.top for one, other in pairwise(parts)):
        return None
    pieces: list[Piece] = []
    for part in parts:
        lines = new[part.start : part.end]
        if part.top == part.last:
            blank = 2 if target.tongue == "python" and not indent_of(lines[0]) else 1
            pieces.append(Piece(part.top, part.top, (*[""] * blank, *lines)))
        else:
            pieces += span_pieces(replace(target, span=part[:2]), text, lines)
    return import_pieces(target, text, pieces, imports, parts[0].top)


def _fits(target: Target, text: Text, own: Sequence[Symbol], fresh: Sequence[Symbol], new: Sequence[str]) -> bool:
    """Whether new definitions can stand behind those of the span: members only where they are written as such."""
    if len({one.container for one in fresh}) > 1:
        return False
    members = [one for one in own if one.container]
    if not members or (target.span is None and not fresh[0].container):
        return True
    return indent_of(new[fresh[0].start]) == indent_of(text.lines[members[-1].start])


def _parts(pairs: Pairs, new: Sequence[str], lines: Sequence[str], comment: re.Pattern[str]) -> list[_Part]:
    """What replaces what, comments above included; a new definition belongs to its neighbour. [] where it has none."""
    parts: list[_Part] = []
    beside = None  # where the last part is from
    waiting: tuple[int, str] | None = None  # the first line and container of new definitions above the next part
    for mine, theirs in pairs:
        first = _above(new, theirs.start, comment)
        if mine is None:
            if beside == theirs.container and waiting is None:
                parts[-1] = parts[-1]._replace(end=theirs.end)
            else:
                waiting = waiting or (first, theirs.container)
            continue
        if waiting is not None and waiting[1] != theirs.container:
            return []
        top = _above(lines, mine.start, comment) if first < theirs.start and waiting is None else mine.start
        parts.append(_Part(top, mine.end, waiting[0] if waiting else first, theirs.end))
        beside, waiting = theirs.container, None
    return [] if waiting else parts


def _above(lines: Sequence[str], line: int, comment: re.Pattern[str]) -> int:
    """The first line of the comments right above a line."""
    while line and comment.match(lines[line - 1]):
        line -= 1
    return line


def _paired(
    outer: Sequence[Symbol], answered: Sequence[Symbol], own: Sequence[Symbol], names: Collection[str]
) -> Pairs:
    """The definitions of `outer` with their counterparts among `own`; [] if that is not clear. Of a class that lacks
    some of its members those that are there. `names`: of all that the file defines."""
    found: Pairs = []
    for theirs in outer:
        same = [one for one in own if one.name == theirs.name and theirs.container in ("", one.container)]
        if not same and theirs.name not in names:
            found.append((None, theirs))
            continue
        if len(same) != 1 or not (same[0].kind == theirs.kind or {same[0].kind, theirs.kind} <= FUNCTIONS):
            return []
        mine = same[0]
        members, written = _inside(mine, own), _inside(theirs, answered)
        if mine.kind in FUNCTIONS or {one.name for one in members} <= {one.name for one in written}:
            found.append((mine, theirs))
        elif inner := _paired(_outermost(written), written, members, names):
            found += inner
        else:
            return []
    return found


def _inside(outer: Symbol, symbols: Sequence[Symbol]) -> list[Symbol]:
    return [one for one in symbols if one is not outer and outer.start <= one.start and one.end <= outer.end]


def _outermost(symbols: Sequence[Symbol]) -> list[Symbol]:
    """Those that are in no other; they come in the order of the text."""
    found: list[Symbol] = []
    for one in symbols:
        if not found or one.start >= found[-1].end:
            found.append(one)
    return found


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
