"""Records of the ledger: what is written is read back, and no change to a chain goes unnoticed."""

import hashlib
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.ledger_record import (
    GENESIS,
    RECORD_BYTES_MAX,
    BadRecord,
    Bill,
    Chain,
    Cut,
    Head,
    Intent,
    Masked,
    Prices,
    Record,
    RecordFault,
    Result,
    What,
    begins_record,
    decode,
    decode_head,
    encode,
    encode_head,
    hash_of,
)
from hearth.core.origin import USER, Origin, file_origin, summary_of

# Surrogates too: a file's name need not be Unicode.
TEXTS = st.text(st.characters(), max_size=20) | st.sampled_from(["\ud800", "a\nb", '"', "\\", "\x00", "\u2028"])
COUNTS = st.none() | st.integers(0, 2**60)
MONEY = st.decimals(Decimal("-999999"), Decimal("999999"), places=9)
HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
ORIGINS = st.builds(file_origin, TEXTS, TEXTS.filter(bool), st.integers(0, 50), st.integers(51, 99)) | st.just(USER)
INTENTS = st.builds(
    Intent, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS,
    masked=st.lists(st.builds(Masked, TEXTS, st.integers(0, 9**9)), max_size=3).map(tuple),
    origins=st.lists(ORIGINS, max_size=2, unique_by=lambda origin: origin.path).map(tuple),
    estimated=st.none() | MONEY, size=st.integers(0, 2**40), sha256=HASHES,
)  # fmt: skip
RESULTS = st.builds(
    Result, st.integers(1, 9), TEXTS, TEXTS, COUNTS, TEXTS, COUNTS, COUNTS, COUNTS, COUNTS, st.none() | MONEY,
    st.none() | st.builds(Prices, MONEY, MONEY, MONEY), TEXTS, TEXTS,
)  # fmt: skip
BILLS = st.builds(Bill, st.integers(1, 9), MONEY, COUNTS, COUNTS, COUNTS, TEXTS)
CUTS = st.builds(Cut, st.integers(0, 99), HASHES)
RECORDS = st.builds(Record, st.integers(1, 2**40), HASHES, TEXTS, INTENTS | RESULTS | BILLS | CUTS)


def lines_of(*whats: What) -> list[bytes]:
    lines: list[bytes] = []
    previous = GENESIS
    for seq, what in enumerate(whats, 1):
        lines.append(encode(Record(seq, previous, "2026-11-21T12:00:00.000Z", what)))
        previous = hash_of(lines[-1])
    return lines


def fed(lines: list[bytes]) -> Chain:
    chain = Chain()
    for line in lines:
        chain.feed(line)
    return chain


CHAIN = lines_of(
    Intent("catalogue", "openrouter.ai:443"),
    Result(1, "done", http=200),
    Intent("chat", "openrouter.ai:443", origins=(file_origin("/w", "a.py", 0, 9),), masked=(Masked("aws", 3),)),
    Cut(17, "0" * 64),
    Intent("task", "openrouter.ai:443"),
    Result(3, "failed", "it was refused"),
    Result(5, "done", cost=Decimal("0.0012")),
    Bill(3, Decimal("0.004"), completion_tokens=7),
)


@given(RECORDS)
def test_what_is_written_is_read(record: Record) -> None:
    line = encode(record)
    assert decode(line) == record
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert encode(decode(line)) == line


def test_a_chain_counts() -> None:
    chain = fed(CHAIN)
    assert (chain.seq, chain.entries, chain.open, chain.unpriced) == (8, 3, set(), {1})
    assert (chain.hash, chain.end) == (hash_of(CHAIN[-1]), len(b"".join(CHAIN)))


@settings(max_examples=300)
@given(st.integers(0, len(CHAIN) - 1), st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_found_in_its_record(number: int, at: int, change: int) -> None:
    line = bytearray(CHAIN[number])
    line[at % len(line)] ^= change
    with pytest.raises(BadRecord) as caught:
        fed([*CHAIN[:number], bytes(line), *CHAIN[number + 1 :]])
    assert caught.value.number == number + 1


@given(st.lists(st.integers(0, len(CHAIN) - 1), max_size=9))
def test_only_the_order_in_which_they_were_written_will_do(order: list[int]) -> None:
    if order == list(range(len(order))):
        assert fed([CHAIN[number] for number in order]).seq == len(order)
    else:
        with pytest.raises(BadRecord):
            fed([CHAIN[number] for number in order])


def test_a_rewritten_record_no_longer_fits_the_next() -> None:
    first = decode(CHAIN[0])
    forged = encode(replace(first, what=Intent("catalogue", "elsewhere.example:443")))
    with pytest.raises(BadRecord, match="does not follow") as caught:
        fed([forged, *CHAIN[1:]])
    assert caught.value.number == 2


@pytest.mark.parametrize("result", [Result(2, "done"), Result(9, "done"), Result(4, "done")])
def test_a_result_is_of_an_intent_that_waits_for_one(result: Result) -> None:
    with pytest.raises(BadRecord, match="waits for none"):
        fed(lines_of(Intent("chat", "h"), Result(1, "done"), Intent("chat", "h"), result))


@pytest.mark.parametrize("bill", [Bill(1, Decimal(1)), Bill(3, Decimal(1)), Bill(5, Decimal(1)), Bill(9, Decimal(1))])
def test_a_bill_is_of_a_request_whose_cost_nobody_said(bill: Bill) -> None:
    asked = (Intent("chat", "h"), Result(1, "done", cost=Decimal(1)), Intent("chat", "h"), Intent("chat", "h"))
    with pytest.raises(BadRecord, match="waits for none"):
        fed(
            lines_of(
                *asked, Result(4, "failed"), Bill(4, Decimal(1)), Bill(4, Decimal(1)) if bill.intent == 9 else bill
            )
        )


def test_a_bill_takes_nothing_away() -> None:
    result = Result(1, "cancelled", provider="P", prompt_tokens=10, cached_tokens=4, completion_tokens=7)
    settled = Bill(1, Decimal("0.1"), cached_tokens=0, completion_tokens=9).settled(result)
    assert settled == replace(result, cost=Decimal("0.1"), cached_tokens=0, completion_tokens=9)


def test_beginnings_of_a_record_are_known() -> None:
    line, previous = CHAIN[2], hash_of(CHAIN[1])
    assert all(begins_record(line[:end], 3, previous) for end in range(len(line)))
    assert begins_record(bytes(100), 3, previous)
    assert not begins_record(line, 3, previous)
    assert not begins_record(b"x", 3, previous)
    assert not begins_record(line[:80], 4, previous)
    assert not begins_record(line[:80], 3, GENESIS)


def test_the_head() -> None:
    head = Head(7, hash_of(CHAIN[-1]), 10, 20, 3)
    content = encode_head(head)
    assert decode_head(content) == head
    for at in range(len(content)):
        with pytest.raises(BadRecord):
            decode_head(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def test_origins_are_flat_and_each_once() -> None:
    one, other = file_origin("/w", "a.py", 0, 9), file_origin("/w", "b.py", 3, 4)
    told = summary_of([one, other])
    line = encode(Record(1, GENESIS, "", Intent("chat", "h", origins=(told, one, USER))))
    what = decode(line).what
    assert isinstance(what, Intent)
    assert set(what.origins) == {one, other, USER}


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0"), ("0E+999999", "0"), ("1E-7", "0.0000001"), ("12.50", "12.5"), ("999999", "999999"),
        ("1E-99", "0"), ("0.123456789012345678901234", "0.123456789012345678901234"),
    ],
)  # fmt: skip
def test_money_is_exact_text(amount: str, text: str) -> None:
    line = encode(Record(1, GENESIS, "", Intent("chat", "h", estimated=Decimal(amount))))
    assert json.loads(line[:-66])["estimated"] == text
    decode(line)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "1E+6", "-1E+999999"])
def test_what_is_no_money_is_not_written(amount: str) -> None:
    with pytest.raises(RecordFault):
        encode(Record(1, GENESIS, "", Intent("chat", "h", estimated=Decimal(amount))))


@pytest.mark.parametrize(
    "what",
    [
        Result(1, "done", http=-1), Result(1, "done", prompt_tokens=10**5000), Result(1, "done", cost=0.5),
        Result(1, None), Intent("chat", "h", size=-1), Intent("chat", "h", sha256=""),
        Intent("chat", "h", masked=(Masked("rule", None),)), Intent("chat", "h", origins=(Origin("folder"),)),
        Intent("chat", b"h"),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_could_not_be_read_again_is_not_written(what: Intent | Result) -> None:
    """One such record would stop everything that comes after it."""
    with pytest.raises(RecordFault):
        encode(Record(1, GENESIS, "", what))


def test_a_record_has_a_largest_size() -> None:
    many = tuple(Origin("file", f"{number}.py", "/w") for number in range(RECORD_BYTES_MAX // 20))
    with pytest.raises(RecordFault):
        encode(Record(1, GENESIS, "", Intent("chat", "h", origins=many)))


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1}, {"v": 2}, {"type": "other"}, {"seq": "1"}, {"seq": True}, {"previous": "0"}, {"size": -1},
        {"masked": [["a"]]}, {"masked": [["a", True]]}, {"origins": [["folder", "", "", 0, 0, ""]]}, {"origins": {}},
        {"estimated": 1}, {"estimated": "1e5"}, {"host": None},
    ],
)  # fmt: skip
def test_a_record_of_another_shape_is_bad(change: dict[str, object]) -> None:
    good = json.loads(CHAIN[0][:-66])
    body = json.dumps({**good, **change}, separators=(",", ":")).encode()
    with pytest.raises(BadRecord):
        Chain().feed(body + b" " + hashlib.sha256(body).hexdigest().encode() + b"\n")
