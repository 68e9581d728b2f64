import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.backends import llamacpp, ollama, openai
from hearth.backends.calls import Calls
from hearth.backends.chatting import ChatEvents
from hearth.backends.wire import StopWatcher, StreamParser, TextCleaner, WholeBody, clean, error_text, fault_from
from hearth.errors import BackendError, ContextOverflow, LimitExceeded, ModelLoading, ProtocolFault, ServerFault


def parse(framing, pieces, **limits):
    """(events, error class or None, done)"""
    parser = StreamParser(framing, **limits)
    events = []
    try:
        for piece in pieces:
            for value in parser.feed(piece):
                events.append(value)
        for value in parser.close():
            events.append(value)
    except BackendError as error:
        return events, type(error), parser.done
    return events, None, parser.done


A, B = {"a": 1}, {"b": "é\u2028\u0085😀\x0c"}
RAW_B = json.dumps(B, ensure_ascii=False)

SSE = {
    "plain": ('data: {"a": 1}\n\ndata: [DONE]\n\n', [A], None, True),
    "17 comments": (': hi\n\n:\ndata: {"a": 1}\n: more\n\n', [A], None, False),
    "19 CRLF": ('data: {"a": 1}\r\n\r\ndata: [DONE]\r\n\r\n', [A], None, True),
    "lone CR": ('data: {"a": 1}\r\rdata: [DONE]\r\r', [A], None, True),
    "20 no space": ('data:{"a": 1}\n\n', [A], None, False),
    "21 multi-line data": ('data: {"a":\ndata: 1}\n\n', [A], None, False),
    "22 BOM": ('\ufeffdata: {"a": 1}\n\n', [A], None, False),
    "25 U+2028, NEL and form feed are text": (f"data: {RAW_B}\n\n", [B], None, False),
    "26 malformed": ('data: {"a": 1}\n\ndata: {"a"\n\ndata: {"a": 2}\n\n', [A], ProtocolFault, False),
    "not an object": ("data: [1]\n\n", [], ProtocolFault, False),
    "deep nesting": ("data: " + "[" * 100_000 + "\n\n", [], ProtocolFault, False),
    "27 invalid UTF-8": (b'data: {"a": 1}\n\ndata: {"a": "\xff"}\n\n', [A], ProtocolFault, False),
    "28 NUL is JSON's": ('data: {"a": "\\u0000"}\n\n', [{"a": "\0"}], None, False),
    "32 error field": ('data: {"a": 1}\n\nerror: {"message": "boom"}\n\n', [A], ServerFault, False),
    "32 error event": ('data: {"a": 1}\n\nevent: error\ndata: boom\n\n', [A], ServerFault, False),
    "39 error object": ('data: {"error": {"message": "boom"}}\n\n', [], ServerFault, False),
    "null error": ('data: {"a": 1, "error": null}\n\n', [{"a": 1, "error": None}], None, False),
    "36 after DONE": ('data: [DONE]\n\ndata: {"a": 1}\n\ndata: {bad\n\n', [], None, True),
    "end missing, event whole": ('data: {"a": 1}', [A], None, False),
    "end missing, event cut": ('data: {"a": 1}\n\ndata: {"a":', [A], None, False),
    "end missing, character cut": (b'data: {"a": 1}\n\ndata: {"a": "\xc3', [A], None, False),
    "end missing, DONE": ('data: {"a": 1}\n\ndata: [DONE]', [A], None, True),
    "empty data": ("data:\n\ndata\n\n", [], None, False),
    "other fields": ('id: 7\nretry: 10\nevent: x\ndata: {"a": 1}\nfoo: bar\nbaz\n\n', [A], None, False),
    "7 web page": ("<!DOCTYPE html>\n<html>", [], ProtocolFault, False),
    "16 bare JSON error": ('{"error": "boom"}\n', [], ServerFault, False),
    "bare JSON": ('{"a": 1}\n', [], ProtocolFault, False),
    "empty": ("", [], None, False),
}
NDJSON = {
    "plain": ('{"a": 1}\n' + RAW_B + "\n", [A, B], None, False),
    "CRLF and blank lines": ('{"a": 1}\r\n\r\n\n' + RAW_B + "\r\n", [A, B], None, False),
    "BOM": ('\ufeff{"a": 1}\n', [A], None, False),
    "26 malformed": ('{"a": 1}\n{"a"\n{"a": 1}\n', [A], ProtocolFault, False),
    "27 invalid UTF-8": (b'{"a": 1}\n{"a": "\xff"}\n', [A], ProtocolFault, False),
    "40 error line": ('{"a": 1}\n{"error": "model runner stopped"}\n', [A], ServerFault, False),
    "no last line end": ('{"a": 1}', [A], None, False),
    "cut": ('{"a": 1}\n{"a', [A], None, False),
    "web page": ("<html>\n", [], ProtocolFault, False),
}
CASES = [("sse", name, *case) for name, case in SSE.items()] + [("ndjson", n, *c) for n, c in NDJSON.items()]


@pytest.mark.parametrize(("framing", "name", "body", "events", "error", "done"), CASES, ids=lambda v: str(v)[:24])
def test_whole_and_byte_by_byte(framing, name, body, events, error, done):
    data = body if isinstance(body, bytes) else body.encode("utf-8")
    assert parse(framing, [data]) == (events, error, done)
    if len(data) < 10_000:
        assert parse(framing, [data[i : i + 1] for i in range(len(data))]) == (events, error, done)


FRAGMENTS = [
    b'data: {"t": "x"}', b"data:", b"data: ", b"data", b'{"a": 1}', b"[DONE]", b"\n", b"\n\n", b"\r\n", b"\r", b": c",
    b"event: error", b"error: no", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\x85", b"\xff", b"\xf0\x9f\x98\x80", b'"',
    b"{", b"}", b"<html>", b"retry: 1", b'{"error": "e"}', b"\0", b"x" * 50,
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["sse", "ndjson"]),
    st.lists(st.sampled_from(FRAGMENTS), max_size=30),
    st.lists(st.integers(0, 400), max_size=12),
    st.sampled_from([40, 200, 10_000]),
)
def test_any_rechunking_gives_the_same(framing, fragments, cuts, limit):
    data = b"".join(fragments)
    limits = {"line_bytes_max": limit, "event_bytes_max": limit, "stream_bytes_max": limit * 3}
    points = sorted({0, len(data), *(c for c in cuts if c < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(points)]
    assert parse(framing, pieces, **limits) == parse(framing, [data], **limits)
    assert parse(framing, [bytes([b]) for b in data], **limits) == parse(framing, [data], **limits)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=3).filter(lambda k: k != "error"), st.text(max_size=20)), max_size=6))
def test_what_a_server_writes_is_what_is_read(values):
    for ascii_only in (True, False):
        texts = [json.dumps(v, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for v in values]
        assert parse("ndjson", [b"\n".join(texts)]) == (values, None, False)
        assert parse("sse", [b"".join(b"data: " + t + b"\r\n\r\n" for t in texts)]) == (values, None, False)


def test_caps():
    line = b'data: {"a": "' + b"x" * 10_000_000 + b'"}\n\n'
    assert parse("sse", [b'data: {"a": 1}\n\n', line])[:2] == ([A], LimitExceeded)
    assert parse("ndjson", [b"x" * 10_000_000])[:2] == ([], LimitExceeded)
    many = b'data: "' + b"x" * 100 + b'"\n'
    assert parse("sse", [many * 1000], event_bytes_max=5_000)[:2] == ([], LimitExceeded)
    comments = [b": ping\n\n"] * 1000
    assert parse("sse", comments, stream_bytes_max=1_000)[:2] == ([], LimitExceeded)
    # The buffer never holds more than a line: the cap is checked on bytes that have no line end yet.
    parser = StreamParser("sse", line_bytes_max=100)
    with pytest.raises(LimitExceeded):
        list(parser.feed(b"x" * 101))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(alphabet="aé😀\0\ud83d\ude00\ud800\udfff", max_size=5), max_size=6))
def test_cleaned_text_is_valid_and_the_same_for_any_pieces(pieces):
    cleaner = TextCleaner()
    text = "".join(cleaner.feed(piece) for piece in pieces) + cleaner.close()
    assert text == clean("".join(pieces))
    assert "\0" not in text
    text.encode("utf-8")


def test_surrogates():
    assert clean("a\ud83d\ude00b") == "a😀b"
    assert clean("a\ud83db") == "a\ufffdb"
    cleaner = TextCleaner()
    assert [cleaner.feed("a\ud83d"), cleaner.feed("\ude00"), cleaner.feed("\ud83d"), cleaner.close()] == [
        "a", "😀", "", "\ufffd",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "text", "kind"),
    [
        ({"error": {"message": "Loading model", "code": 503}}, "Loading model", ModelLoading),
        ({"error": "boom"}, "boom", ServerFault),
        ({"detail": [{"msg": "field required"}]}, '[{"msg": "field required"}]', ServerFault),
        ("plain\0 words\n", "plain words", ServerFault),
        (
            {"error": {"message": "the request exceeds the available context size, try increasing it"}},
            "the request exceeds the available context size, try increasing it",
            ContextOverflow,
        ),
        (
            {"message": "This model's maximum context length is 4096 tokens."},
            "This model's maximum context length is 4096 tokens.",
            ContextOverflow,
        ),
        ({"error": {"error": {"error": {"error": {"error": "deep"}}}}}, "{'error': 'deep'}", ServerFault),
        (None, "", ServerFault),
    ],
)
def test_error_bodies(body, text, kind):
    assert error_text(body) == text
    assert type(fault_from(body)) is kind
    assert fault_from(body).remedy


def test_error_text_is_short():
    assert len(error_text("x" * 10_000)) == 300


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.text(alphabet="ab<|>\n", max_size=4), max_size=12),
    st.lists(st.sampled_from(["<|a|>", "\n\n", "ab", "aab", "<"]), max_size=3),
)
def test_stops_are_found_in_any_pieces(pieces, stops):
    watcher = StopWatcher(stops)
    text = "".join(watcher.feed(piece) for piece in pieces) + watcher.close()
    whole = "".join(pieces)
    # The earliest end decides: a stop that is complete first ends the text, as a server would do it token by token.
    places = [whole.find(stop) for stop in stops if stop in whole]
    assert watcher.stopped == bool(places)
    assert text == whole if not places else whole.startswith(text) and len(text) >= min(places)
    assert not any(stop in text for stop in stops)


def test_whole_body():
    body = WholeBody()
    assert list(body.feed(b'{"a"')) == list(body.feed(b":\n 1}")) == []
    assert list(body.close()) == [A]
    assert list(WholeBody().close()) == []
    body = WholeBody(bytes_max=10)
    with pytest.raises(LimitExceeded):
        list(body.feed(b"x" * 11))
    body = WholeBody()
    list(body.feed(b'{"error": "boom"}'))
    with pytest.raises(ServerFault, match="boom"):
        list(body.close())


KEYS = (
    "content", "stop", "stop_type", "timings", "cache_n", "prompt_n", "tokens_evaluated", "prompt_progress", "total",
    "cache", "response", "done", "done_reason", "eval_count", "choices", "text", "finish_reason", "usage",
    "prompt_tokens", "prompt_tokens_details", "cached_tokens", "delta", "message", "tool_calls", "index", "id",
    "function", "name", "arguments", "reasoning_content", "thinking",
)  # fmt: skip
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**12) | st.text(max_size=3) | st.floats(allow_nan=True),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JSON_VALUES, max_size=6))
def test_an_event_with_anything_in_it_is_read_or_refused(value):
    events, calls = ChatEvents(), Calls()
    readers = (llamacpp.read_event, ollama.read_event, openai.read_event, events.read)
    for read in (*readers, lambda value: ollama.read_chat_event(value, calls)):
        try:
            step = read(value)
        except BackendError:
            continue
        assert isinstance(step.text, str)
        assert step.reason in (None, "stop", "length", "filter")
        assert isinstance(step.thought, str)
    for collected in (events.calls, calls):
        whole, broken = collected.taken(complete=True)
        assert all(call.name and call.id and isinstance(call.arguments, dict) for call in whole)
        assert broken >= 0
