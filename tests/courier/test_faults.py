"""Every fault of upstream-faults.md against the real courier: one terminal event, and nothing cut off called whole."""

import asyncio
import json
import os
import signal
from functools import cache

import pytest
import pytest_asyncio

from backends.fake import HTML, SSE, Answer, Fake, js
from backends.test_faults import framing_faults, stream, stream_faults, whole
from courier.rig import FREE, HANG_S, KEY, PATIENT, SHORT, WIRE, Told, an_ask, carry
from hearth.backends.http import Deadlines
from hearth.courier.client import Courier
from hearth.courier.records import Outcome
from hearth.errors import (
    ContentRefused,
    ContextOverflow,
    DeadlineExceeded,
    EgressDenied,
    LimitExceeded,
    ModelMissing,
    OutOfCredits,
    ProtocolFault,
    RateLimited,
    ServerFault,
    Unauthorised,
    Unreachable,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEEDS = (1, 2, 3)
DONE = "stop"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def courier():
    courier = Courier()
    await courier.warm()
    yield courier
    await courier.aclose()


async def play(courier, answer, seed=0, terminal=None, **how):
    """Let the server answer with `answer` (or a list of them); (what was told, how many requests it saw)."""
    async with Fake({WIRE.path: answer}, seed) as fake:
        told = await carry(courier, an_ask(fake.url, **how), SHORT if terminal is DeadlineExceeded else PATIENT)
        requests = fake.seen.bodies(WIRE.path)
    assert len(requests) == len(told.sent)
    return told, len(requests)


def check(told, text, terminal):
    if text is not ...:
        assert told.text == text
    if isinstance(terminal, str):
        assert told.reason == terminal, told.end
    else:
        assert isinstance(told.end, terminal), told.end


SHARED = {**framing_faults(WIRE), **stream_faults(WIRE)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SHARED)
async def test_framing_and_stream(courier, name, seed):
    """17 to 43."""
    answer, text, terminal = SHARED[name]
    told, requests = await play(courier, answer, seed, terminal)
    check(told, text, terminal)
    assert requests <= 2


def refusal(status, message="no", metadata=None, headers=(), **more):
    error = {"code": status, "message": message, "metadata": metadata or {}, **more}
    return js({"error": error}, f"{status} X", headers=headers)


@cache
def http_faults():
    """name -> (answer, terminal, requests made)"""
    page = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
    good = stream(WIRE, whole(WIRE, "a", "b"))
    overflow = "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens"
    flight, cap = {"limit_source": "openrouter_in_flight_budget"}, {"limit_source": "openrouter_key_limit"}
    reset = {"headers": {"X-RateLimit-Reset": "99999999999999"}}
    return {
        "5 no first byte": (Answer(raw=True, end="hang"), DeadlineExceeded, 1),
        "6 headers, then silence": (stream(WIRE, b"", end="hang"), DeadlineExceeded, 1),
        "7 web page": (Answer(page, media=HTML), ProtocolFault, 1),
        "7 web page, called a stream": (stream(WIRE, page), ProtocolFault, 1),
        "8 empty": (stream(WIRE, b""), ProtocolFault, 1),
        "8 empty, length 0": (stream(WIRE, b"", headers=("Content-Length: 0",)), ProtocolFault, 1),
        "10 wrong key": (refusal(401, "User not found."), Unauthorised, 1),
        "10 forbidden": (Answer(page, "403 X", media=HTML), Unauthorised, 1),
        "10 moderation": (refusal(403, metadata={"reasons": ["violence"]}), ContentRefused, 1),
        "11 no credits": (refusal(402, "Insufficient credits"), OutOfCredits, 1),
        "11 the key's limit": (refusal(402, metadata=cap), OutOfCredits, 1),
        "11 reserved by others": (refusal(402, metadata=flight), RateLimited, 1),
        "12 model unknown": (refusal(400, "x/y is not a valid model ID"), ModelMissing, 1),
        "12 free variant ended": (refusal(404, availability={"code": "free_variant_ended"}), ModelMissing, 1),
        "12 private": (refusal(404, availability={"code": "privacy_restricted"}), ModelMissing, 1),
        "13 408 twice": (refusal(408), ServerFault, 2),
        "13 502 twice": (refusal(502), ServerFault, 2),
        "13 503 twice": (refusal(503), ServerFault, 2),
        "13 502, then good": ([refusal(502), good], DONE, 2),
        "13 500": (refusal(500), ServerFault, 1),
        "13 524": (Answer(page, "524 X", media=HTML), ServerFault, 1),
        "13 529": (refusal(529), ServerFault, 1),
        "14 limit of the day": (refusal(429, metadata=reset), RateLimited, 1),
        "14 a long wait": (refusal(429, headers=("Retry-After: 3000",)), RateLimited, 1),
        "14 no wait named": (refusal(429), RateLimited, 1),
        "14 a short wait": ([refusal(429, headers=("Retry-After: 0",)), good], DONE, 2),
        "14 a short wait, twice": (refusal(429, headers=("Retry-After: 0",)), RateLimited, 2),
        "15 413": (refusal(413), ContextOverflow, 1),
        "15 overflow": (refusal(400, overflow), ContextOverflow, 1),
        "15 overflow, by its kind": (refusal(400, metadata={"error_type": "context_length_exceeded"}),
                                     ContextOverflow, 1),
        "16 200 with an error": (js({"error": {"code": 502, "message": "boom"}}), ServerFault, 1),
        "16 200 without credits": (js({"error": {"code": 402, "message": "Insufficient credits"}}), OutOfCredits, 1),
        "16 200 with a limit": (js({"error": {"code": 429, "message": "slow"}}), RateLimited, 1),
        "16 200 with other JSON": (js({"status": "ok"}), ProtocolFault, 1),
        "39 a word for a code": (stream(WIRE, WIRE.frame({"error": {"code": "server_error", "message": "x"},
                                 "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]})), ServerFault, 1),
        "47 closed at once, then good": ([Answer(raw=True), good], DONE, 2),
        "a whole answer instead of a stream": (js({"id": "g", "choices": [{"message": {"content": "ab"},
                                               "finish_reason": "stop"}]}), DONE, 1),
        "not HTTP at all": (Answer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", raw=True), ProtocolFault, 1),
        "a huge error body": (Answer(b"x" * 5_000_000, "500 X"), ServerFault, 1),
    }  # fmt: skip


@pytest.mark.parametrize("name", http_faults())
async def test_http(courier, name):
    answer, terminal, requests = http_faults()[name]
    told, made = await play(courier, answer if isinstance(answer, Answer) else [*answer], 0, terminal)
    check(told, "ab" if terminal is DONE else "", terminal)
    assert made == requests
    assert [r.attempt for r in told.received] == [*range(1, made + 1)]


async def test_refused_no_host_and_no_tls(courier, unused_tcp_port_factory):
    """1, 2, 3: never without encryption where encryption was asked for."""
    closed = f"http://127.0.0.1:{unused_tcp_port_factory()}"
    for url in (closed, "https://no-such-host.invalid"):
        told = await carry(courier, an_ask(url), Deadlines(2, 2, 2, 3, 2))
        assert isinstance(told.end, Unreachable | DeadlineExceeded)
        assert [r.status for r in told.received] == [0]
    seen = bytearray()

    async def plain(reader, writer):
        seen.extend(await reader.read(100_000))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        told = await carry(courier, an_ask(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        assert isinstance(told.end, Unreachable)
        assert "secure connection" in told.end.message
        assert seen
        assert b"hello" not in seen


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_refused(courier, status):
    """9: the prompt is not posted elsewhere, not even to the same host."""
    async with Fake({}) as elsewhere, Fake({}) as fake:
        for target in (f"{elsewhere.url}{WIRE.path}", "/other"):
            fake.routes[WIRE.path] = Answer(b"", f"{status} X", headers=(f"Location: {target}",))
            told = await carry(courier, an_ask(fake.url))
            assert isinstance(told.end, ProtocolFault)
        assert not elsewhere.seen.connections
        assert {path for path, _, _ in fake.seen.requests} == {WIRE.path}


def call(fragment, finish=None):
    choice = {"index": 0, "delta": {"content": None, "tool_calls": [fragment]}, "finish_reason": finish}
    return WIRE.frame({"id": "g", "choices": [choice]})


def begin(number, index=0, name="read", arguments=""):
    return {"index": index, "id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


def piece(text, index=0):
    return {"index": index, "function": {"arguments": text}}


FINISH = WIRE.last("tool_calls") + b"data: [DONE]\n\n"
TOOLS = {
    "44 in fragments, mixed": (
        [begin("a"), begin("b", 1), piece('{"p', 1), piece('{"q"'), piece('": 1}', 1), piece(": 2}")],
        FINISH, [("a", {"q": 2}), ("b", {"p": 1})], 0,
    ),
    "44 whole at once": ([begin("a", arguments='{"p": 1}')], FINISH, [("a", {"p": 1})], 0),
    "44 no arguments": ([begin("a")], FINISH, [("a", {})], 0),
    "45 arguments cut, finished": ([begin("a"), piece('{"p": ')], FINISH, [], 1),
    "45 arguments cut by length": ([begin("a"), piece('{"p": 1}')], WIRE.last("length"), [], 1),
    "45 arguments cut by the end": ([begin("a"), piece('{"p": 1}')], b"", [], 1),
    "45 arguments are no object": ([begin("a"), piece("[1]")], FINISH, [], 1),
    "45 no name": ([begin("a", name="")], FINISH, [], 1),
    "46 the same id twice": ([begin("a", 0), begin("a", 1)], FINISH, [("a", {}), ("call_0", {})], 0),
    "46 no ids": ([begin("", 0), begin(None, 1)], FINISH, [("call_0", {}), ("call_1", {})], 0),
    "46 one index for all": (
        [begin("a"), piece('{"p": 1}'), begin("b"), piece('{"q": 2}')], FINISH, [("a", {"p": 1}), ("b", {"q": 2})], 0,
    ),
    "46 no index": (
        [{k: v for k, v in begin(n, arguments='{"p": 1}').items() if k != "index"} for n in "ab"],
        FINISH, [("a", {"p": 1}), ("b", {"p": 1})], 0,
    ),
    "29 a lone surrogate within": ([begin("a"), piece('{"p": "\\ud83d\\u0000"}')], FINISH, [("a", {"p": "\ufffd"})], 0),
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", TOOLS)
async def test_tools(courier, name, seed):
    """44, 45, 46: a call that is not whole is none."""
    fragments, ending, calls, broken = TOOLS[name]
    body = b"".join(call(fragment) for fragment in fragments) + ending
    told, _ = await play(courier, stream(WIRE, body), seed)
    assert isinstance(told.end, Outcome)
    assert [(c.id, c.arguments) for c in told.end.tool_calls] == calls
    assert told.end.broken_calls == broken


async def test_endless_tool_arguments(courier):
    told, _ = await play(courier, stream(WIRE, call(begin("a")), forever=call(piece("x" * 100_000))))
    assert isinstance(told.end, LimitExceeded)


@pytest.mark.parametrize("when", ["before the first byte", "while streaming"])
@pytest.mark.parametrize("way", ["cancel", "aclose"])
async def test_cancel_closes_the_socket(courier, when, way):
    """48: and the ledger hears how far it came."""
    body = b"" if when.startswith("before") else WIRE.event("a")
    answer = Answer(raw=True, end="hang") if not body else stream(WIRE, body, end="hang")
    told = Told()
    async with Fake({WIRE.path: answer}) as fake, asyncio.timeout(HANG_S):
        events = courier.generate(an_ask(fake.url), KEY, told.on_request, told.on_response, PATIENT)
        task = asyncio.create_task(anext(events))
        if body:
            assert (await task).text == "a"
            task = asyncio.create_task(anext(events)) if way == "cancel" else task
        while not fake.seen.requests:
            await asyncio.sleep(0.001)
        if way == "aclose" and body:
            await events.aclose()
        else:
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await fake.seen.gone.wait()
    assert [r.status for r in told.received] == [200 if body else 0]
    assert (await play(courier, stream(WIRE, whole(WIRE, "a"))))[0].text == "a", "the courier goes on"


async def test_a_lone_surrogate_in_the_prompt_is_still_json(courier):
    async with Fake({WIRE.path: stream(WIRE, whole(WIRE, "a"))}) as fake:
        told = await carry(courier, an_ask(fake.url, "x\ud83dy😀"))
        assert told.text == "a"
        assert fake.seen.bodies(WIRE.path)[0]["messages"][0]["content"] == "x\ufffdy😀"


async def test_a_body_too_large_is_not_sent(courier):
    async with Fake({WIRE.path: stream(WIRE, whole(WIRE, "a"))}) as fake:
        told = await carry(courier, an_ask(fake.url, "x" * 5_000_000))
        assert isinstance(told.end, LimitExceeded)
        assert (told.sent, fake.seen.requests) == ([], [])


async def test_an_answer_letter_by_letter(courier):
    letters = "abcdefghijklmnopqrstuvwxyzabcdef"
    told, _ = await play(courier, stream(WIRE, whole(WIRE, *letters)))
    assert (told.text, told.reason) == (letters, DONE), "32 letters, 8 tokens"


async def test_sse_is_what_was_read_whatever_it_is_called(courier):
    told, _ = await play(courier, Answer(whole(WIRE, "a"), media=SSE.upper()))
    assert told.text == "a"
    assert json.loads(told.sent[0].body)["model"] == FREE


async def test_nothing_leaves_without_encryption(courier):
    for url in ("http://192.0.2.1", "http://example.invalid:80", "ftp://127.0.0.1", "nonsense"):
        told = await carry(courier, an_ask(url))
        assert isinstance(told.end, EgressDenied)
        assert told.sent == []


async def test_the_courier_dies_in_the_middle(courier):
    """47, of our own process: an error, and the next request starts another."""
    async with Fake({WIRE.path: stream(WIRE, WIRE.event("a"), end="hang")}) as fake:
        told = Told()
        events = courier.generate(an_ask(fake.url), KEY, told.on_request, told.on_response, PATIENT)
        async with asyncio.timeout(HANG_S):
            assert (await anext(events)).text == "a"
            first = courier.pid
            os.kill(first, signal.SIGTERM)
            with pytest.raises(ServerFault, match="before the answer was whole"):
                await anext(events)
        assert courier.pid is None
        assert [r.status for r in told.received] == [0], "that it may have left is told"
        fake.routes[WIRE.path] = stream(WIRE, whole(WIRE, "b"))
        again = await carry(courier, an_ask(fake.url))
        assert (again.text, again.reason) == ("b", DONE)
        assert courier.pid != first
