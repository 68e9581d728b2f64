"""Documents against an oracle that knows only an array of UTF-16 code units, and the rules by example."""

import itertools
import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.text import (
    CHUNK_CHARS,
    Document,
    Edit,
    Position,
    Range,
    Snapshot,
    split_lines,
    utf16_index,
    utf16_length,
    well_formed,
)

SEED = 20_240_611
EDITS = 100_000
CURSOR = "█"


class Oracle:
    """The text as UTF-16 code units and nothing else; every question is answered by walking over them."""

    def __init__(self, text: str) -> None:
        self.units = to_units(text)

    def starts(self) -> list[int]:
        starts, units = [0], self.units
        for number, unit in enumerate(units):
            if unit == 10 or (unit == 13 and units[number + 1 : number + 2] != array("H", [10])):
                starts.append(number + 1)
        return starts

    def unit_offset(self, position: Position) -> int:
        starts = self.starts()
        if position.line < 0:
            return 0
        if position.line >= len(starts):
            return len(self.units)
        start = starts[position.line]
        end = start
        while end < len(self.units) and self.units[end] not in (10, 13):
            end += 1
        offset = min(start + max(0, position.character), end)
        if 0 < offset < len(self.units) and 0xDC00 <= self.units[offset] < 0xE000:
            offset -= 0xD800 <= self.units[offset - 1] < 0xDC00
        return offset

    def edit(self, where: Range, text: str) -> None:
        offsets = sorted(self.unit_offset(position) for position in (where.start, where.end))
        self.units[offsets[0] : offsets[1]] = to_units(text)

    def text(self) -> str:
        return self.units.tobytes().decode("utf-16-le")

    def lines(self) -> list[str]:
        starts = [*self.starts(), len(self.units)]
        pieces = [self.units[a:b] for a, b in itertools.pairwise(starts)]
        return [piece.tobytes().decode("utf-16-le") for piece in pieces]


def to_units(text: str) -> array:
    encoded = text.encode("utf-16-le", "surrogatepass")
    units = array("H")
    units.frombytes(encoded)
    for number, unit in enumerate(units):
        high = 0xD800 <= unit < 0xDC00 and 0xDC00 <= (units[number + 1] if number + 1 < len(units) else 0) < 0xE000
        low = 0xDC00 <= unit < 0xE000 and number > 0 and 0xD800 <= units[number - 1] < 0xDC00
        if 0xD800 <= unit < 0xE000 and not high and not low:
            units[number] = 0xFFFD
    return units


PIECES = ("\r\n", "bc", "def", "", *"\n\r\u2028\u0085\f\v\x1c😀𝒜é漢\ta\ud800\udc01")


def random_text(dice: random.Random, longest: int) -> str:
    return "".join(dice.choice(PIECES) for _ in range(dice.randrange(longest)))


def random_position(dice: random.Random, lines: int) -> Position:
    if dice.random() < 0.05:
        return Position(dice.choice([-1, lines, lines + 1, 2**31 - 1]), dice.choice([-1, 0, 5, 2**31 - 1]))
    character = dice.randrange(12) if dice.random() < 0.95 else dice.choice([-3, 1000, 2**31 - 1])
    return Position(dice.randrange(lines), character)


def test_random_edits_agree_with_the_oracle():
    dice = random.Random(SEED)
    oracle, document, version = Oracle(""), Document("u", "x", 0, ""), 0
    for number in range(EDITS):
        if document.chars > 160:
            fresh = random_text(dice, 30)
            oracle = Oracle(fresh)
            version += 1
            assert document.apply(version, [Edit(None, fresh)])
        edits: list[Edit] = []
        for _ in range(1 if dice.random() < 0.8 else 3):
            lines = len(document.snapshot().lines)
            start = random_position(dice, lines)
            end = start if dice.random() < 0.5 else random_position(dice, lines)
            edits.append(Edit(Range(start, end), random_text(dice, 5)))
            oracle.edit(Range(start, end), edits[-1].text)
        version += 1
        assert document.apply(version, edits)
        snapshot = document.snapshot()
        assert list(snapshot.lines) == oracle.lines(), f"edit {number}: {edits!r}"
        assert document.chars == len(snapshot.text)
        if number % 8 == 0:
            check_positions(dice, oracle, snapshot)


def check_positions(dice: random.Random, oracle: Oracle, snapshot: Snapshot) -> None:
    text = oracle.text()
    position = random_position(dice, len(snapshot.lines))
    units = oracle.unit_offset(position)
    offset = len(oracle.units[:units].tobytes().decode("utf-16-le"))
    clamped = snapshot.clamp(position)
    assert snapshot.offset_at(position) == offset
    assert snapshot.offset_at(clamped) == offset
    assert snapshot.position_at(offset) == clamped
    assert oracle.unit_offset(clamped) == units
    size = dice.randrange(20)
    assert snapshot.before(position, size) == text[max(0, offset - size) : offset]
    assert snapshot.after(position, size) == text[offset : offset + size]


texts = st.text(st.sampled_from(list("ab \n\r\u2028\u0085\f😀é漢\ud800\udc01")), max_size=60)


@given(texts)
def test_lines_join_to_the_text_and_agree_with_the_oracle(text: str):
    snapshot = Snapshot.of(text)
    assert snapshot.text == well_formed(text)
    assert list(snapshot.lines) == Oracle(well_formed(text)).lines()
    snapshot.text.encode("utf-8")


@given(texts, texts, st.integers(0, 8), st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
def test_an_edit_is_a_slice_assignment(text: str, new: str, line: int, char: int, line2: int, char2: int):
    document = Document("u", "x", 1, text)
    before = document.snapshot()
    where = Range(*sorted([Position(line, char), Position(line2, char2)]))
    start, end = before.offset_at(where.start), before.offset_at(where.end)
    assert document.apply(2, [Edit(where, new)])
    assert document.snapshot().text == before.text[:start] + well_formed(new) + before.text[end:]
    assert before.text == well_formed(text), "an old snapshot never changes"


@given(texts, st.integers(-2, 80))
def test_offsets_and_positions_round_trip(text: str, offset: int):
    snapshot = Snapshot.of(text)
    position = snapshot.position_at(offset)
    assert snapshot.clamp(position) == position
    clamped = min(max(offset, 0), len(snapshot.text))
    inside_ending = snapshot.text[clamped - 1 : clamped + 1] == "\r\n"
    assert snapshot.offset_at(position) == clamped - inside_ending


@given(st.text(max_size=30), st.integers(-1, 70))
def test_utf16_columns(text: str, units: int):
    text = well_formed(text)
    index = utf16_index(text, units)
    assert utf16_length(text[:index]) <= max(units, 0)
    assert index == len(text) or utf16_length(text[: index + 1]) > units


@pytest.mark.parametrize("unit", ["a", "é", "漢", "😀", "a😀"])
def test_columns_in_a_line_longer_than_one_chunk(unit: str):
    line = unit * (CHUNK_CHARS + 7)
    wide = utf16_length(unit)
    for count in (0, 1, CHUNK_CHARS // len(unit), CHUNK_CHARS - 1, CHUNK_CHARS, CHUNK_CHARS + 6):
        assert utf16_index(line, count * wide) == count * len(unit)
    if unit == "😀":
        assert utf16_index(line, 2 * CHUNK_CHARS + 1) == CHUNK_CHARS
        assert utf16_index(line, CHUNK_CHARS + 1) == CHUNK_CHARS // 2
    assert utf16_index(line, 10**9) == len(line)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a\n", ["a\n", ""]),
        ("a\r\nb\rc\n", ["a\r\n", "b\r", "c\n", ""]),
        ("\r\r\n\n", ["\r", "\r\n", "\n", ""]),
        ("a\u2028b\u0085c\x0cd\x0be\x1cf", ["a\u2028b\u0085c\x0cd\x0be\x1cf"]),
        ("a\r", ["a\r", ""]),
    ],
)
def test_only_the_protocols_line_endings_end_a_line(text: str, lines: list[str]):
    assert split_lines(text) == lines


@pytest.mark.parametrize(
    ("marked", "position"),
    [
        (f"ab{CURSOR}\ncd", Position(0, 2)),
        (f"ab{CURSOR}\ncd", Position(0, 99)),
        (f"ab{CURSOR}\r\ncd", Position(0, 3)),
        (f"ab\ncd{CURSOR}", Position(7, 0)),
        (f"{CURSOR}ab", Position(-1, 1)),
        (f"{CURSOR}ab", Position(0, -1)),
        (f"x{CURSOR}😀y", Position(0, 2)),
        (f"x😀{CURSOR}y", Position(0, 3)),
        (f"\n\n{CURSOR}", Position(2, 5)),
    ],
)
def test_clamping(marked: str, position: Position):
    snapshot = Snapshot.of(marked.replace(CURSOR, ""))
    offset = snapshot.offset_at(position)
    assert snapshot.text[:offset] + CURSOR + snapshot.text[offset:] == marked


@pytest.mark.parametrize(
    ("text", "where", "new", "lines"),
    [
        ("a\rb\nc", ((1, 0), (1, 1)), "", ["a\r\n", "c"]),
        ("a\rb", ((1, 0), (1, 0)), "\n", ["a\r\n", "b"]),
        ("a\n\nb", ((0, 1), (0, 1)), "\r", ["a\r\n", "\n", "b"]),
        ("\n", ((0, 0), (0, 0)), "x\r", ["x\r\n", ""]),
        ("a\r\nb", ((0, 1), (1, 0)), "\r", ["a\r", "b"]),
        ("a\r\nb", ((0, 1), (1, 0)), "", ["ab"]),
        ("\r", ((1, 0), (1, 0)), "\n\n", ["\r\n", "\n", ""]),
        ("ab", ((0, 2), (0, 0)), "x", ["x"]),
    ],
)
def test_edits_that_join_or_part_line_endings(text: str, where: tuple, new: str, lines: list[str]):
    document = Document("u", "x", 1, text)
    assert document.apply(2, [Edit(Range(Position(*where[0]), Position(*where[1])), new)])
    assert list(document.snapshot().lines) == lines


def insert(line: int, character: int, text: str, length: int | None = 0) -> Edit:
    return Edit(Range(Position(line, character), Position(line, character)), text, length)


def test_a_version_may_jump_if_the_edit_fits():
    document = Document("u", "x", 1, "ab\n")
    assert document.apply(9, [insert(0, 2, "c")])
    assert document.snapshot().text == "abc\n"
    assert document.snapshot().version == 9


@pytest.mark.parametrize(
    ("version", "edit"),
    [
        (1, insert(0, 0, "x")),
        (0, insert(0, 0, "x")),
        (5, insert(0, 3, "x")),
        (5, insert(4, 0, "x")),
        (5, Edit(Range(Position(0, 0), Position(1, 0)), "x", 9)),
        (5, Edit(Range(Position(0, 0), Position(0, 1)), "x", 2)),
    ],
)
def test_a_lost_or_repeated_change_makes_the_document_stale_until_its_full_text_comes(version: int, edit: Edit):
    document = Document("u", "x", 1, "ab\ncd")
    assert not document.apply(version, [edit])
    assert document.stale
    assert document.snapshot().text == "ab\ncd"
    assert not document.apply(version + 10, [insert(0, 0, "x")]), "stale stays stale"
    assert document.apply(version + 11, [insert(0, 0, "lost"), Edit(None, "new"), insert(0, 3, "!")])
    assert not document.stale
    assert document.snapshot().text == "new!"


def test_after_a_lost_message_a_jump_is_refused_and_the_next_number_is_not():
    document = Document("u", "x", 1, "ab")
    document.expect_loss()
    assert document.apply(2, [insert(0, 0, "x")]), "what was lost was not about this document"
    assert document.apply(9, [insert(0, 0, "y")])
    document.expect_loss()
    assert not document.apply(11, [insert(0, 0, "z")])
    assert document.stale
    assert document.snapshot().text == "yxab"


def test_a_length_that_fits_across_lines_is_accepted_after_a_jump():
    document = Document("u", "x", 1, "a😀\r\nb\ncd")
    assert document.apply(7, [Edit(Range(Position(0, 1), Position(2, 1)), "", 7)])
    assert document.snapshot().text == "ad"


def test_out_of_range_is_clamped_when_nothing_was_lost():
    document = Document("u", "x", 1, "ab\ncd")
    assert document.apply(2, [insert(9, 9, "!")])
    assert document.snapshot().text == "ab\ncd!"


def test_a_snapshot_is_kept_until_the_next_change():
    document = Document("u", "x", 1, "ab")
    first = document.snapshot()
    assert document.snapshot() is first
    assert document.apply(2, [])
    assert document.snapshot().version == 2
    document.apply(3, [insert(0, 0, "x")])
    assert document.snapshot() is not first
    assert first.text == "ab"


def test_lone_surrogates_never_reach_an_encoder():
    document = Document("u", "x", 1, "a\ud83d")
    document.apply(2, [insert(0, 2, "\ude00b")])
    assert document.snapshot().text == "a\ufffd\ufffdb"
    document.snapshot().text.encode("utf-8")
