"""Two texts line by line: which lines differ, in time that does not grow with their product.

Lines that occur once in both texts are the fixed points (as in patience diff); between two of them the difference is
looked for exactly if there is little, and taken as a whole if there is much.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import NamedTuple

from hearth.core.text import Position, Range, split_lines, utf16_length

EXACT_PRODUCT_MAX = 40_000
"""Lines before times lines after, between two fixed points: the time of an exact comparison may grow with it."""


class Change(NamedTuple):
    """Lines `before[start:end]` become `after[new_start:new_end]`."""

    start: int
    end: int
    new_start: int
    new_end: int


def changes(before: Sequence[str], after: Sequence[str]) -> list[Change]:
    """Where two lists of lines differ, in order; between two changes there is at least one equal line."""
    found: list[Change] = []
    points = [(-1, -1), *_fixed(before, after), (len(before), len(after))]
    for (start, new_start), (end, new_end) in pairwise(points):
        for change in _between(before, after, start + 1, end, new_start + 1, new_end):
            last = found[-1] if found else None
            if last and last.end == change.start and last.new_end == change.new_start:
                found[-1] = Change(last.start, change.end, last.new_start, change.new_end)
            else:
                found.append(change)
    return found


def changed_ranges(before: str, after: str) -> list[tuple[Range, str]]:
    """Ranges of `before` (UTF-16) and what to put there to make it `after`. A range ends where its last line does, or
    at the start of the next one."""
    if before == after:
        return []
    old, new = split_lines(before), split_lines(after)
    result: list[tuple[Range, str]] = []
    for start, end, new_start, new_end in changes(old, new):
        first, text = Position(start, 0), "".join(new[new_start:new_end])
        last = Position(end, 0)
        if end == len(old):
            # Behind the last line there is no next one: the range ends with its text.
            last = Position(len(old) - 1, utf16_length(old[-1]))
            stretch = "".join(old[start:])
            if text.startswith(stretch):
                first, text = last, text[len(stretch) :]
        result.append((Range(first, last), text))
    return result


def common_ends(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """How many lines are equal at the beginning, and of the rest at the end."""
    head, most = 0, min(len(before), len(after))
    while head < most and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < most - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return head, tail


def _fixed(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of equal lines in increasing order: common head and tail, and lines that occur once on both sides."""
    head, tail = common_ends(before, after)
    old_end, new_end = len(before) - tail, len(after) - tail
    old_counts, new_counts = Counter(before[head:old_end]), Counter(after[head:new_end])
    places = {after[n]: n for n in range(head, new_end) if new_counts[after[n]] == 1}
    once = [(n, places[before[n]]) for n in range(head, old_end) if old_counts[before[n]] == 1 and before[n] in places]
    middle = _increasing(once)
    ends = [(old_end + n, new_end + n) for n in range(tail)]
    return [*((n, n) for n in range(head)), *middle, *ends]


def _increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part of pairs (sorted by the first number) in which the second grows too."""
    tops: list[int] = []
    owners: list[int] = []
    previous: list[int] = []
    for index, (_, place) in enumerate(pairs):
        pile = bisect_left(tops, place)
        previous.append(owners[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [place]
        owners[pile : pile + 1] = [index]
    result: list[tuple[int, int]] = []
    at = owners[-1] if owners else -1
    while at >= 0:
        result.append(pairs[at])
        at = previous[at]
    return result[::-1]


def _between(
    before: Sequence[str], after: Sequence[str], start: int, end: int, new_start: int, new_end: int
) -> list[Change]:
    while start < end and new_start < new_end and before[start] == after[new_start]:
        start, new_start = start + 1, new_start + 1
    while start < end and new_start < new_end and before[end - 1] == after[new_end - 1]:
        end, new_end = end - 1, new_end - 1
    if start == end and new_start == new_end:
        return []
    if start == end or new_start == new_end or (end - start) * (new_end - new_start) > EXACT_PRODUCT_MAX:
        return [Change(start, end, new_start, new_end)]
    matcher = SequenceMatcher(None, before[start:end], after[new_start:new_end], autojunk=False)
    return [
        Change(start + a, start + b, new_start + c, new_start + d)
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]
