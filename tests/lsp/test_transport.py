"""Framing under any cutting, and under headers that lie."""

import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.lsp.transport import HEADER_BYTES_MAX, FrameReader, Garbage, Message, Skipped, frame


def read(data: bytes, cuts: list[int] | None = None, limit: int = 10_000) -> list[object]:
    reader = FrameReader(limit)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or [])})
    return [f for a, b in itertools.pairwise(places) for f in reader.feed(data[a:b])]


def bodies(frames: list[object]) -> list[bytes]:
    return [f.body for f in frames if isinstance(f, Message)]


@given(st.lists(st.binary(max_size=80).filter(lambda b: b"ength" not in b), max_size=6), st.lists(st.integers(0, 999)))
def test_messages_come_out_as_they_went_in_under_any_cutting(messages: list[bytes], cuts: list[int]):
    assert bodies(read(b"".join(map(frame, messages)), cuts)) == messages


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 2\r\n\r\n",
        b"content-length:2\r\n\r\n",
        b"CONTENT-LENGTH:  2  \r\n\r\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 2\r\nContent-Type: x\r\n\r\n",
        b"Content-Length: 2\n\n",
        b"Content-Length: 99\r\nContent-Length: 2\r\n\r\n",
        b"left over}Content-Length: 2\r\n\r\n",
    ],
)
def test_headers_that_are_understood(header: bytes):
    assert bodies(read(header + b"{}")) == [b"{}"]


@pytest.mark.parametrize(
    "junk",
    [
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1_0\r\n\r\n",
        b"Content-Length: abc\r\n\r\n",
        b"Content-Length:\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b'{"jsonrpc":"2.0","id":1,"method":"x"}',
        b"\0" * 100,
        b"\r\n\r\n\r\n",
        b"x" * (3 * HEADER_BYTES_MAX),
    ],
)
def test_what_is_no_message_is_skipped_and_the_next_message_is_read(junk: bytes):
    assert bodies(read(junk + frame(b"[1]"), [1, 5, 9, 4000])) == [b"[1]"]


@pytest.mark.parametrize("length", [7, 300, 9_999, 10_001, 10**6, 10**12, 10**19])
@pytest.mark.parametrize("step", [1, 13, 100_000])
def test_a_length_that_is_too_large_does_not_swallow_the_next_message(length: int, step: int):
    data = b"Content-Length: %d\r\n\r\n" % length + b'{"a":1}' + frame(b"[2]") + frame(b"[3]")
    frames = read(data, list(range(0, len(data), step)))
    assert bodies(frames)[-2:] == [b"[2]", b"[3]"]
    assert b'{"a":1}' in [*bodies(frames), *(f.head for f in frames if isinstance(f, Skipped))]


def test_a_length_that_is_too_small_costs_one_message():
    data = b"Content-Length: 3\r\n\r\n" + b'{"a":1}' + frame(b"[2]")
    assert bodies(read(data)) == [b'{"a', b"[2]"]


@pytest.mark.parametrize("step", [1, 7, 100, 100_000])
def test_an_oversized_message_is_skipped_and_its_beginning_kept(step: int):
    body = json.dumps({"id": 7, "params": "x" * 30_000}).encode()
    data = frame(body) + frame(b"[2]")
    frames = read(data, list(range(0, len(data), step)))
    (skipped,) = [f for f in frames if isinstance(f, Skipped)]
    assert skipped.length == len(body)
    assert body.startswith(skipped.head)
    assert len(skipped.head) > 100
    assert bodies(frames) == [b"[2]"]


def test_memory_stays_bounded_while_garbage_and_oversized_bodies_pass():
    reader = FrameReader(1_000)
    for _ in range(200):
        reader.feed(b"y" * 5_000)
        assert len(reader._buffer) <= HEADER_BYTES_MAX + 5_000
    reader.feed(b"\r\n\r\nContent-Length: 100000000\r\n\r\n")
    for _ in range(200):
        reader.feed(b"z" * 5_000)
        assert len(reader._buffer) <= 5_000


def test_random_bytes_between_messages_lose_no_message():
    dice = random.Random(11)
    for _ in range(300):
        junk = bytes(dice.choice(b'ab:\r\n {}"0') for _ in range(dice.randrange(60)))
        frames = read(junk + frame(b"[1]") + frame(b"[2]"), [dice.randrange(200) for _ in range(4)])
        assert bodies(frames)[-2:] == [b"[1]", b"[2]"]
        assert all(isinstance(f, (Message, Garbage)) for f in frames)
