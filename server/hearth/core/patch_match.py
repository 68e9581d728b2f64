"""Where in a file the lines stand that an answer wants replaced: exactly, or with other white space, never fuzzily.

Lines become numbers, a text of n lines a string of n characters, and a search is one for a substring: as fast as
Python finds one, and in linear time.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from hearth.core.patch_lines import changes
from hearth.core.patch_text import (
    UNIT_COLUMNS_MAX,
    UNIT_DEFAULT,
    UNITS_TRIED,
    Item,
    Kept,
    Piece,
    Shift,
    Text,
    Unit,
    columns_of,
    converted_columns,
    indent_of,
    is_blank,
    other_unit,
    shifted,
    unit_of,
)

PLACES_MAX = 6
"""So many places are told of."""
NEAREST_LINES_MAX = 16
POSITIONS_PER_LINE_MAX = 50
LINES_COMPARED_MAX = 400
SURROGATES_START, SURROGATES = 0xD800, 0x800
_WORD = re.compile(r"\w+")

Level = Literal["exact", "blanks at line ends", "blank lines", "indentation"]


class Place(NamedTuple):
    """Where lines were found. `lines`: for each of them its number in the file, -1 for a blank one that is not there.
    `shift`: what makes their indentation the file's."""

    lines: tuple[int, ...]
    level: Level
    shift: Shift | None = None

    @property
    def start(self) -> int:
        return next((number for number in self.lines if number >= 0), 0)

    @property
    def end(self) -> int:
        return next((number for number in reversed(self.lines) if number >= 0), -1) + 1


class _Alphabet:
    """The lines of a file as a string, by some key of theirs."""

    def __init__(self, keys: Sequence[Hashable]) -> None:
        self._letters: dict[Hashable, str] = {}
        letters = self._letters
        word: list[str] = []
        for key in keys:
            letter = letters.get(key)
            if letter is None:
                number = len(letters) + 1
                letter = letters[key] = chr(number if number < SURROGATES_START else number + SURROGATES)
            word.append(letter)
        self.word = "".join(word)

    def positions(self, keys: Sequence[Hashable], most: int = PLACES_MAX) -> list[int]:
        """Where the keys stand one after the other, overlapping or not."""
        letters = [self._letters.get(key) for key in keys]
        if None in letters:
            return []
        word = "".join(letter for letter in letters if letter)
        found: list[int] = []
        at = self.word.find(word)
        while at >= 0 and len(found) < most:
            found.append(at)
            at = self.word.find(word, at + 1)
        return found


class Finder:
    """Looks for lines in one text. What it needs is made at the first use."""

    def __init__(self, text: Text) -> None:
        self.text = text

    @cached_property
    def _exact(self) -> _Alphabet:
        return _Alphabet(self.text.lines)

    @cached_property
    def _stripped(self) -> _Alphabet:
        return _Alphabet([line.rstrip() for line in self.text.lines])

    @cached_property
    def _numbers(self) -> list[int]:
        """Numbers of the lines that are not blank."""
        return [number for number, line in enumerate(self.text.lines) if not is_blank(line)]

    @cached_property
    def _solid(self) -> _Alphabet:
        return _Alphabet([self.text.lines[number].rstrip() for number in self._numbers])

    @cached_property
    def _bare(self) -> list[str]:
        return [self.text.lines[number].strip() for number in self._numbers]

    @cached_property
    def _columns(self) -> list[int]:
        return [columns_of(indent_of(self.text.lines[number])) for number in self._numbers]

    @cached_property
    def _steps(self) -> _Alphabet:
        columns = self._columns
        return _Alphabet([(line, columns[n] - columns[n - 1] if n else 0) for n, line in enumerate(self._bare)])

    def find(self, wanted: Sequence[str]) -> list[Place]:
        """The places of the first way of looking that finds any, at most PLACES_MAX; [] if there is none."""
        if not wanted or all(is_blank(line) for line in wanted):
            return []
        if found := self._exact.positions(wanted):
            return [Place(tuple(range(at, at + len(wanted))), "exact") for at in found]
        ends = [line.rstrip() for line in wanted]
        if found := self._stripped.positions(ends):
            return [Place(tuple(range(at, at + len(wanted))), "blanks at line ends") for at in found]
        solid = [line for line in ends if line]
        if found := self._solid.positions(solid):
            return [Place(self._spread(at, ends), "blank lines") for at in found]
        return self._shifted(solid, ends)

    def at(self, wanted: Sequence[str], number: int) -> Place | None:
        """The place at a line, if `wanted` stands exactly there."""
        there = self.text.lines[number : number + len(wanted)]
        return Place(tuple(range(number, number + len(wanted))), "exact") if there == tuple(wanted) else None

    def _shifted(self, solid: list[str], ends: list[str]) -> list[Place]:
        """Places where the lines stand with another indentation, each line by as much."""
        bare = [line.lstrip(" \t") for line in solid]
        own = self.text.unit or Unit(False, UNIT_DEFAULT)
        first: list[Place] = []
        for source in _sources(solid, own):
            columns = [converted_columns(indent_of(line), source, own) for line in solid]
            keys = [(line, columns[n] - columns[n - 1]) for n, line in enumerate(bare)]
            if len(keys) == 1:
                found = [n for n, line in enumerate(self._bare) if line == bare[0]]
            else:
                most = len(self._bare)
                found = [at - 1 for at in self._steps.positions(keys[1:], most) if at and self._bare[at - 1] == bare[0]]
            # An indentation cannot become less than none.
            found = [at for at in found if self._columns[at] - columns[0] + min(columns) >= 0][:PLACES_MAX]
            places = [
                Place(self._spread(at, ends), "indentation", Shift(source, own, self._columns[at] - columns[0]))
                for at in found
            ]
            if places and (source is None or places[0].shift == Shift(source, own, 0)):
                return places
            first = first or places
        return first

    def _spread(self, at: int, wanted: Sequence[str]) -> tuple[int, ...]:
        """The line numbers of `wanted`, whose lines that are not blank begin with the file's `at`th such line. A blank
        one has the number of a blank line at the same place, if there is one left."""
        solid = [n for n, line in enumerate(wanted) if line]
        numbers = [-1] * len(wanted)
        for n, index in enumerate(solid):
            numbers[index] = self._numbers[at + n]
        first, last = numbers[solid[0]], numbers[solid[-1]]
        lines = self.text.lines
        for index in range(solid[0] - 1, -1, -1):
            first -= 1
            if first < 0 or not is_blank(lines[first]):
                break
            numbers[index] = first
        free = last
        for index in range(solid[-1] + 1, len(wanted)):
            free += 1
            if free >= len(lines) or not is_blank(lines[free]):
                break
            numbers[index] = free
        free = numbers[solid[0]]
        for index in range(solid[0], solid[-1] + 1):
            if wanted[index]:
                free = numbers[index] + 1
            elif is_blank(lines[free]):
                numbers[index] = free
                free += 1
        return tuple(numbers)

    def nearest(self, wanted: Sequence[str]) -> tuple[int, int]:
        """The lines of the file that are most like `wanted`; an empty range if none is."""
        bare = [line.strip() for line in wanted[:LINES_COMPARED_MAX]]
        places: dict[str, list[int]] = {line: [] for line in bare if _WORD.search(line)}
        for number, line in enumerate(self.text.lines):
            known = places.get(line.strip())
            if known is not None and len(known) <= POSITIONS_PER_LINE_MAX:
                known.append(number)
        votes: Counter[int] = Counter()
        for index, line in enumerate(bare):
            here = places.get(line, ())
            if len(here) <= POSITIONS_PER_LINE_MAX:
                votes.update(number - index for number in here)
        if votes:
            start = max(votes, key=lambda place: (votes[place], -place))
        else:
            words = set(_WORD.findall("\n".join(bare).lower()))
            alike = [len(words.intersection(_WORD.findall(line.lower()))) for line in self.text.lines]
            most = max(alike, default=0)
            if not most:
                return 0, 0
            start = alike.index(most)
        start = max(0, start)
        return start, min(len(self.text.lines), start + min(len(wanted), NEAREST_LINES_MAX))


def _sources(lines: Sequence[str], own: Unit) -> list[Unit | None]:
    """The units that lines may be indented by, the likeliest first; None: by the file's own."""
    tabs = any("\t" in indent_of(line) for line in lines)
    spaces = any(line.startswith(" ") for line in lines)
    guessed = unit_of(lines)
    if tabs and not spaces and not own.tab:
        return [Unit(True, 1)]
    if spaces and not tabs and own.tab:
        tried = [*([guessed.columns] if guessed else []), *UNITS_TRIED]
        return [*(Unit(False, columns) for columns in dict.fromkeys(tried)), None]
    if spaces and not tabs and guessed and guessed != own:
        return [None, guessed]
    return [None]


def piece_for(text: Text, place: Place, search: Sequence[str], replacement: Sequence[str]) -> Piece:
    """What becomes of the lines at a place. Lines that `search` and `replacement` share stay as the file has them."""
    start, end = place.start, place.end
    lines = text.lines
    old, new = [line.rstrip() for line in search], [line.rstrip() for line in replacement]
    if place.level == "exact":
        old, new = list(search), list(replacement)
    shift = place.shift
    if shift is None:
        shift = unit_shift(replacement, text, lines[start:end])
    verbatim = margin_of(lines[start:end]) if shift else set[str]()
    items: list[Item] = []
    at, taken = start, 0

    def keep(until: int) -> None:
        nonlocal at
        if until > at:
            items.append(Kept(at, until))
            at = until

    for change in (*changes(old, new), None):
        for index in range(taken, change.start if change else len(old)):
            if place.lines[index] >= 0:
                keep(place.lines[index] + 1)
        if change is None:
            break
        for index in range(change.start, change.end):
            if place.lines[index] >= 0:
                keep(place.lines[index])
                at = place.lines[index] + 1
        for line in replacement[change.new_start : change.new_end]:
            moved = shifted(line, shift) if shift else line
            items.append(line if line in verbatim else moved)
        taken = change.end
    keep(end)
    return Piece(start, end, tuple(items))


def margin_of(lines: Sequence[str]) -> set[str]:
    """Lines that stand less deep than their block begins: parts of strings, which no shift may move."""
    base = next((columns_of(indent_of(line)) for line in lines if not is_blank(line)), 0)
    return {line for line in lines if not is_blank(line) and columns_of(indent_of(line)) < base} if base else set()


def unit_shift(lines: Sequence[str], text: Text, near: Sequence[str]) -> Shift | None:
    """What makes the indentation of new lines the file's, where they use spaces and it tabs or the reverse."""
    theirs = other_unit(lines, text, near)
    if theirs is None or text.unit is None:
        return None
    old = next((indent_of(line) for line in near if not is_blank(line)), "")
    new = next((columns_of(indent_of(line)) for line in lines if not is_blank(line)), 0)
    if text.unit.tab and old and new % len(old) == 0 and 2 <= new // len(old) <= UNIT_COLUMNS_MAX:
        # A block begins as deep as what it replaces did, which tells the unit better than a few lines can.
        theirs = Unit(False, new // len(old))
    return Shift(theirs, text.unit, 0)


def already_there(finder: Finder, search: Sequence[str], replacement: Sequence[str], place: Place | None) -> bool:
    """Whether the file is as `replacement` wants it: that stands there, in one place, and says something that `search`
    does not. `place`: where `search` stands, if it does: as a part of the replacement, perhaps."""
    old = {line.strip() for line in search}
    telling = any(line.strip() not in old and _WORD.search(line) for line in replacement)
    if place is None:
        inner = len(replacement) > 1 and not telling and _ends_shared(search, replacement)
        if not telling and not inner:
            return False
        return len([one for one in finder.find(replacement) if one.level != "indentation"]) == 1
    if not telling or len(replacement) <= len(search):
        return False
    return any(one.start <= place.start and place.end <= one.end for one in finder.find(replacement))


def _ends_shared(search: Sequence[str], replacement: Sequence[str]) -> bool:
    """Whether both begin and end with the same line, so that what was between them is gone."""
    return (
        len(search) > len(replacement)
        and search[0].strip() == replacement[0].strip() != ""
        and search[-1].strip() == replacement[-1].strip() != ""
    )


def shown(lines: Sequence[str], start: int, end: int) -> str:
    """Lines with their numbers, for a message to the model."""
    return "\n".join(f"{number + 1}: {lines[number]}" for number in range(start, min(end, len(lines))))
