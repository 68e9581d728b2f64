"""An index of lines by the lines before them, in flat arrays: about 150 bytes a line beside its text.

Every line that says something has a slot. Slots of a file are linked in order, and each kind of key keeps its slots in
hash chains, newest first, that can be unlinked in constant time: changing one line of a file costs the same in a small
and in a large index.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hearth.core.shape import shape, tokens

KEY_MASK = 0xFFFFFFFF
LONG_LINE_KEY = 1
LINE_CHARS_MAX = 240
KEY_LINES = 2
PREFIX_CHARS = 80
SHAPES_CACHED_MAX = 20_000
SLOTS_GROWN = 256
COMPARE_LINES = 256

LITERAL_2, SHAPE_2, LITERAL_1, SHAPE_1, PREFIX_5, PREFIX_3, PREFIX_2 = range(7)
KINDS = 7
PREFIXES = ((PREFIX_5, 5), (PREFIX_3, 3), (PREFIX_2, 2))


def line_key(text: str) -> int:
    """Key of one line without its indentation and ending; long lines share one."""
    return hash(text) & KEY_MASK if len(text) <= LINE_CHARS_MAX else LONG_LINE_KEY


def pair_key(family: int, first: int, second: int) -> int:
    return hash((family, first, second)) & KEY_MASK


def prefix_key(family: int, first_tokens: Sequence[str]) -> int:
    return hash((family, *first_tokens)) & KEY_MASK


class Chains:
    """One kind of key: a hash table whose buckets are doubly linked lists of slots. Key 0 means: not in the table."""

    __slots__ = ("_heads", "_key", "_mask", "_next", "_previous")

    def __init__(self, buckets: int) -> None:
        self._mask = buckets - 1
        self._heads = _zeros(buckets)
        self._next = array("I", [0])
        self._previous = array("I", [0])
        self._key = array("I", [0])

    def grow(self, slots: int) -> None:
        for column in (self._next, self._previous, self._key):
            column.frombytes(bytes(column.itemsize * slots))

    def add(self, key: int, slot: int) -> None:
        bucket = key & self._mask
        head = self._heads[bucket]
        self._key[slot] = key
        self._next[slot] = head
        self._previous[slot] = 0
        if head:
            self._previous[head] = slot
        self._heads[bucket] = slot

    def remove(self, slot: int) -> None:
        key = self._key[slot]
        if not key:
            return
        after, before = self._next[slot], self._previous[slot]
        if before:
            self._next[before] = after
        else:
            self._heads[key & self._mask] = after
        if after:
            self._previous[after] = before
        self._key[slot] = 0

    def find(self, key: int, limit: int, steps_max: int) -> list[int]:
        """At most `limit` slots with `key`, newest first, looking at no more than `steps_max` entries."""
        slot = self._heads[key & self._mask]
        keys, following = self._key, self._next
        found: list[int] = []
        while slot and steps_max:
            if keys[slot] == key:
                found.append(slot)
                if len(found) == limit:
                    break
            slot = following[slot]
            steps_max -= 1
        return found


@dataclass(slots=True)
class IndexedFile:
    """`slots[i]` is the slot of `lines[i]`, 0 where the line is blank."""

    number: int
    path: str
    folder: str
    family: int
    lines: tuple[str, ...] = ()
    slots: "array[int]" = field(default_factory=lambda: array("I"))
    chars: int = 0


class LineIndex:
    """Lines of files by context. Slot 0 stands for none. No limits of its own: see CopyModel."""

    def __init__(self, lines_max: int) -> None:
        buckets = 1 << max(10, (lines_max - 1).bit_length() - 1)
        self.kinds = [Chains(buckets) for _ in range(KINDS)]
        self.text: list[str] = [""]
        self.literal = array("I", [0])
        self.shapes = array("I", [0])
        self.before = array("I", [0])
        self.after = array("I", [0])
        self.owner = array("I", [0])
        self.gap = bytearray(1)  # 1: a blank line is above
        self._free: list[int] = []
        self._shape_cache: dict[str, int] = {}

    def replace(self, file: IndexedFile, lines: Sequence[str]) -> None:
        """Make `lines` (endings may be on them) the content of `file`; costs as much as there are changed lines."""
        new = tuple(lines)
        old = file.lines
        start = _same(old, new)
        tail = _same(old[start:][::-1], new[start:][::-1])
        old_end, new_end = len(old) - tail, len(new) - tail
        # The keys of the next lines hold the changed ones.
        keyed = 0
        while old_end < len(old) and keyed < KEY_LINES:
            keyed += 1 if file.slots[old_end] else 0
            old_end += 1
            new_end += 1
        above = _last_slot(file.slots, start)
        for slot in file.slots[start:old_end]:
            if slot:
                self._drop(slot)
        file.slots[start:old_end] = _zeros(new_end - start)
        file.chars += sum(map(len, new[start:new_end])) - sum(map(len, old[start:old_end]))
        file.lines = new
        blank = start > 0 and not new[start - 1].strip()
        for i in range(start, new_end):
            body = new[i].strip()
            if not body:
                blank = True
                continue
            above = file.slots[i] = self._insert(file, new[i], body, above, blank)
            blank = False
        below = _first_slot(file.slots, new_end)
        if above:
            self.after[above] = below
        if below:
            self.before[below] = above

    def shape_key(self, body: str) -> int:
        """Key of a line's shape; as `line_key`."""
        if len(body) > LINE_CHARS_MAX:
            return LONG_LINE_KEY
        key = self._shape_cache.get(body)
        if key is None:
            if len(self._shape_cache) > SHAPES_CACHED_MAX:
                self._shape_cache.clear()
            key = self._shape_cache[body] = hash(shape(body)) & KEY_MASK
        return key

    def _insert(self, file: IndexedFile, text: str, body: str, above: int, blank: bool) -> int:
        slot = self._new_slot()
        long = len(body) > LINE_CHARS_MAX
        self.text[slot] = text[: len(text) - len(text.lstrip())] if long else text
        self.literal[slot] = line_key(body)
        self.shapes[slot] = self.shape_key(body)
        self.before[slot] = above
        self.after[slot] = 0
        self.owner[slot] = file.number
        self.gap[slot] = 1 if blank else 0
        family = file.family
        kinds = self.kinds
        first = self.before[above] if above else 0
        if above:
            self.after[above] = slot
        if long:
            # It is there as context for the next lines, but never found.
            return slot
        l1, s1 = self.literal[above], self.shapes[above]
        kinds[LITERAL_1].add(pair_key(family, 0, l1), slot)
        kinds[SHAPE_1].add(pair_key(family, 1, s1), slot)
        kinds[LITERAL_2].add(pair_key(family, self.literal[first], l1), slot)
        kinds[SHAPE_2].add(pair_key(family, self.shapes[first], s1), slot)
        solid = [t for t in tokens(body[:PREFIX_CHARS]) if not t.isspace()]
        for kind, count in PREFIXES:
            if len(solid) > count:
                kinds[kind].add(prefix_key(family, solid[:count]), slot)
        return slot

    def _new_slot(self) -> int:
        if not self._free:
            first = len(self.text)
            self.text.extend([""] * SLOTS_GROWN)
            for column in (self.literal, self.shapes, self.before, self.after, self.owner):
                column.frombytes(bytes(column.itemsize * SLOTS_GROWN))
            self.gap.extend(bytes(SLOTS_GROWN))
            for kind in self.kinds:
                kind.grow(SLOTS_GROWN)
            self._free.extend(range(len(self.text) - 1, first - 1, -1))
        return self._free.pop()

    def _drop(self, slot: int) -> None:
        for kind in self.kinds:
            kind.remove(slot)
        self.text[slot] = ""
        self.literal[slot] = self.shapes[slot] = self.owner[slot] = 0
        above, below = self.before[slot], self.after[slot]
        if above:
            self.after[above] = 0
        if below:
            self.before[below] = 0
        self._free.append(slot)

    def above(self, slot: int) -> Iterator[int]:
        """The slots before `slot` in its file, nearest first."""
        while slot := self.before[slot]:
            yield slot


def _zeros(count: int) -> "array[int]":
    column = array("I")
    column.frombytes(bytes(column.itemsize * count))
    return column


def _same(a: Sequence[str], b: Sequence[str]) -> int:
    """How many items at the front of both are equal."""
    shorter = min(len(a), len(b))
    start = 0
    while start < shorter and a[start : start + COMPARE_LINES] == b[start : start + COMPARE_LINES]:
        start += COMPARE_LINES
    start = min(start, shorter)
    while start < shorter and a[start] == b[start]:
        start += 1
    return start


def _last_slot(slots: "array[int]", end: int) -> int:
    """The slot of the nearest line above `end` that is not blank."""
    for i in range(end - 1, -1, -1):
        if slots[i]:
            return slots[i]
    return 0


def _first_slot(slots: "array[int]", start: int) -> int:
    for i in range(start, len(slots)):
        if slots[i]:
            return slots[i]
    return 0
