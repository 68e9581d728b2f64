"""Every fault of a model server, for every kind: one terminal event, within the deadline, and no false "complete"."""

import asyncio
import functools
import gzip
import json
import random
from contextlib import aclosing

import pytest

from backends.fake import HTML, JSON, SSE, WIRES, Answer, Fake, js
from hearth.backends.base import Delta, Finish, Generate, Usage
from hearth.backends.discover import make
from hearth.backends.http import Deadlines
from hearth.errors import (
    BackendError,
    ContextOverflow,
    DeadlineExceeded,
    LimitExceeded,
    ModelLoading,
    ModelMissing,
    ProtocolFault,
    RateLimited,
    ServerFault,
    Unauthorised,
    Unreachable,
)
from hearth.settings import BackendSettings

SHORT = Deadlines(connect_s=0.5, first_byte_s=0.2, idle_s=0.2, total_s=0.5, probe_s=0.5)
PATIENT = Deadlines(connect_s=10, first_byte_s=10, idle_s=10, total_s=20, probe_s=10)
"""For what must not end by a deadline, however busy the machine is."""
HANG_S = 30
DONE, TRUNCATED = "stop", "truncated"
SEEDS = (1, 2, 3)
TEXT = "caf\u00e9 \U0001f600\u2028\u0085x"


def backend_for(kind, url, model="", deadlines=PATIENT):
    return make(BackendSettings(kind=kind, url=url, model=model), deadlines=deadlines)


async def run(backend, *, max_tokens=8, stop=()):
    """(text, "stop" | "length" | "filter" | "truncated" | the error, usage)"""
    text, finish, failure = "", None, None
    async with asyncio.timeout(HANG_S):
        try:
            async with aclosing(backend.generate(Generate("def f(", max_tokens, stop))) as events:
                async for event in events:
                    assert finish is None, "an event after the terminal one"
                    if isinstance(event, Delta):
                        assert event.text
                        assert "\0" not in event.text
                        event.text.encode("utf-8")
                        text += event.text
                    else:
                        finish = event
        except BackendError as error:
            failure = error
    if failure is not None:
        assert finish is None, "an error after the terminal event"
        assert failure.message
        assert failure.remedy, f"no remedy: {failure!r}"
        return text, failure, None
    assert isinstance(finish, Finish), "no terminal event"
    return text, finish.reason, finish.usage


async def play(kind, answer, seed=0, terminal=None, **how):
    """Let the server answer with `answer` (or a list of them) and run one request."""
    wire = WIRES[kind]
    async with Fake({**wire.routes(), wire.path: answer}, seed) as fake:
        deadlines = SHORT if terminal is DeadlineExceeded else PATIENT
        backend = backend_for(kind, fake.url, getattr(wire, "model", ""), deadlines)
        try:
            text, end, usage = await run(backend, **how)
        finally:
            await backend.aclose()
        return text, end, usage, len(fake.seen.bodies(wire.path))


def stream(wire, body, **more):
    return Answer(body, media=more.pop("media", wire.media), **more)


def whole(wire, *texts, reason="stop"):
    return b"".join(wire.event(text) for text in texts) + wire.last(reason) + wire.end()


@functools.cache
def framing_faults(wire):
    """name -> (answer, text, terminal); what only events (SSE) can have is left out for JSON lines."""
    ab = wire.event("a") + wire.event("b")
    good = ab + wire.last() + wire.end()
    raw = wire.frame(wire.value(TEXT), ascii_only=False)
    lone = wire.frame(wire.value("a\ud83d")), wire.frame(wire.value("\ude00b\ud83d")), wire.frame(wire.value("c"))
    faults = {
        "0 a good stream": (stream(wire, good), "ab", DONE),
        "0 a good stream, chunked": (stream(wire, good, chunked=True), "ab", DONE),
        "19 CRLF": (stream(wire, good.replace(b"\n", b"\r\n")), "ab", DONE),
        "22 byte order mark": (stream(wire, b"\xef\xbb\xbf" + good), "ab", DONE),
        "23-25 split characters, raw U+2028 and NEL": (stream(wire, raw + wire.last() + wire.end()), TEXT, DONE),
        "26 malformed event": (stream(wire, ab + wire.event("c").replace(b"}", b"", 1)[:-1] + b"\n" + good), "ab",
                               ProtocolFault),
        "26 event of another server": (stream(wire, wire.frame({"foo": 1}) + good), "", ProtocolFault),
        "27 invalid UTF-8": (stream(wire, ab + wire.event("Q").replace(b"Q", b"\xff") + good), "ab", ProtocolFault),
        "28 NUL": (stream(wire, wire.event("a\0b") + wire.last() + wire.end()), "ab", DONE),
        "28 nothing but NUL": (stream(wire, wire.event("\0") + wire.event("b") + wire.last() + wire.end()), "b", DONE),
        "29 lone and split surrogates": (stream(wire, b"".join(lone) + wire.last() + wire.end()),
                                         "a\U0001f600b\ufffdc", DONE),
        "29 a lone surrogate at the end": (stream(wire, wire.event("a\ud83d") + wire.last() + wire.end()), "a\ufffd",
                                           DONE),
        "30 a line of 10 MB": (stream(wire, ab + b'data: {"content": "' + b"x" * 10_000_000), "ab", LimitExceeded),
        "31 corrupt gzip": (stream(wire, b"\x1f\x8b\x08\x00garbage garbage", headers=("Content-Encoding: gzip",)), "",
                            ProtocolFault),
        "31 gzip corrupt in the middle": (stream(wire, corrupt(good * 50), headers=("Content-Encoding: gzip",)), ...,
                                          ProtocolFault),
        "31 good gzip": (stream(wire, gzip.compress(good), headers=("Content-Encoding: gzip",)), "ab", DONE),
        "31 gzip bomb": (stream(wire, gzip.compress(b" " * 50_000_000), headers=("Content-Encoding: gzip",)), "",
                         (LimitExceeded, ProtocolFault)),
        "31 unknown compression": (stream(wire, good, headers=("Content-Encoding: br",)), "", ProtocolFault),
    }  # fmt: skip
    if wire.kind == "ollama":
        faults["40 bare error line"] = (
            stream(wire, ab + b'{"error": "model runner has stopped"}\n'),
            "ab",
            ServerFault,
        )
        return faults
    split = wire.event("b").replace(b'"index": 0, ', b'"index": 0,\ndata: ')
    return faults | {
        "17 comments": (stream(wire, b": ping\n\n" + wire.event("a") + b":\n\n: x\n" + whole(wire, "b")), "ab", DONE),
        "18 endless comments": (stream(wire, wire.event("a"), forever=b": ping\n\n"), "a", DeadlineExceeded),
        "18 nothing but comments": (stream(wire, b": ping\n\n", forever=b": ping\n\n"), "", DeadlineExceeded),
        "19 lone CR": (stream(wire, good.replace(b"\n", b"\r")), "ab", DONE),
        "20 data: without space": (stream(wire, good.replace(b"data: ", b"data:")), "ab", DONE),
        "21 data over several lines": (stream(wire, wire.event("a") + split + wire.last() + wire.end()), "ab", DONE),
        "32 error field": (stream(wire, ab + b'error: {"message": "boom"}\n\n'), "ab", ServerFault),
        "32 error event": (stream(wire, ab + b'event: error\ndata: {"message": "boom"}\n\n'), "ab", ServerFault),
    }


@functools.cache
def stream_faults(wire):
    ab = wire.event("a") + wire.event("b")
    done = b"data: [DONE]\n\n" if wire.media.startswith(SSE) else b""
    faults = {
        "33 reset in the middle": (stream(wire, ab, end="reset"), "ab", TRUNCATED),
        "33 reset in the middle, chunked": (stream(wire, ab, end="reset", chunked=True), "ab", TRUNCATED),
        "34 clean end without finish": (stream(wire, ab), "ab", TRUNCATED),
        "34 clean end, chunked": (stream(wire, ab, chunked=True), "ab", TRUNCATED),
        "34 cut inside an event": (stream(wire, ab + wire.event("c")[:-9]), "ab", TRUNCATED),
        "35 finish, then the end": (stream(wire, ab + wire.last()), "ab", DONE),
        "35 finish, then reset": (stream(wire, ab + wire.last(), end="reset"), "ab", DONE),
        "35 finish, then silence": (stream(wire, ab + wire.last(), end="hang"), "ab", DONE),
        "35 finish, then garbage": (stream(wire, ab + wire.last() + b"\xff{{{\n\n"), "ab", DONE),
        "36 data after the end": (stream(wire, ab + wire.last() + done + wire.event("c") + wire.last("length")), "ab",
                                  DONE),
        "37 stall": (stream(wire, ab, end="hang"), "ab", DeadlineExceeded),
        "38 endless stream": (stream(wire, ab, forever=wire.event("c")), ..., LimitExceeded),
        "38 endless text in one piece": (stream(wire, wire.event("x" * 10_000)), ..., LimitExceeded),
        "39 error in the middle": (stream(wire, ab + wire.frame(wire.error("boom"))), "ab", ServerFault),
        "39 overflow in the middle": (stream(wire, wire.frame(wire.error("the request exceeds the context size"))), "",
                                      ContextOverflow),
        "43 length": (stream(wire, ab + wire.last("length") + wire.end()), "ab", "length"),
        "47 crash before an answer": (stream(wire, b"", end="reset"), "", Unreachable),
        "47 crash without a word": (Answer(raw=True, end="reset"), "", Unreachable),
    }  # fmt: skip
    if wire.kind != "openai":
        return faults
    nothing = [{"choices": []}, {"choices": None}, {"usage": {"prompt_tokens": 9, "completion_tokens": 2}}]
    empty = b"".join(wire.frame(value) for value in nothing)
    finish = {reason: wire.frame(wire.value("", reason)) for reason in ("error", "abort", "content_filter", "length")}
    return faults | {
        "34 [DONE] alone is an end": (stream(wire, ab + done), "ab", DONE),
        "41 finish_reason error": (stream(wire, ab + finish["error"] + done), "ab", ServerFault),
        "41 finish_reason abort": (stream(wire, ab + finish["abort"] + done), "ab", ServerFault),
        "42 empty choices": (stream(wire, empty + wire.event("a") + empty + whole(wire, "b")), "ab", DONE),
        "42 null text": (stream(wire, wire.frame(wire.value(None)) + whole(wire, "a", "b")), "ab", DONE),
        "43 content_filter": (stream(wire, ab + finish["content_filter"] + done), "ab", "filter"),
    }


@functools.cache
def http_faults(wire):
    page = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
    good = stream(wire, whole(wire, "a", "b"))

    def error(status, message):
        return js(wire.error(message), status)

    busy = [error(f"{s} X", "busy") for s in (408, 502, 503)]
    return {
        "5 no first byte": (Answer(raw=True, end="hang"), "", DeadlineExceeded, 1),
        "6 headers, then silence": (stream(wire, b"", end="hang"), "", DeadlineExceeded, 1),
        "7 web page": (Answer(page, media=HTML), "", ProtocolFault, 1),
        "7 web page, called a stream": (stream(wire, page), "", ProtocolFault, 1),
        "8 empty": (stream(wire, b""), "", ProtocolFault, 1),
        "8 empty, length 0": (stream(wire, b"", headers=("Content-Length: 0",)), "", ProtocolFault, 1),
        "9 redirect": (Answer(b"", "307 X", headers=("Location: http://127.0.0.1:9/",)), "", ProtocolFault, 1),
        "10 no key": (error("401 X", "Invalid API Key"), "", Unauthorised, 1),
        "10 forbidden": (Answer(page, "403 X", media=HTML), "", Unauthorised, 1),
        "12 model missing": (error("404 X", 'model "m" not found, try pulling it first'), "", ModelMissing, 1),
        "12 no such path": (error("404 X", "File Not Found"), "", ProtocolFault, 1),
        "13 408 twice": (busy[0], "", ServerFault, 2),
        "13 502 twice": (busy[1], "", ServerFault, 2),
        "13 503 twice": (busy[2], "", ServerFault, 2),
        "13 502, then good": ([busy[1], good], "ab", DONE, 2),
        "13 503 while loading": (error("503 X", "Loading model"), "", ModelLoading, 1),
        "13 500": (error("500 X", "boom"), "", ServerFault, 1),
        "14 429": (js(wire.error("slow down"), "429 X", headers=("Retry-After: 7",)), "", RateLimited, 1),
        "15 413": (error("413 X", "too large"), "", ContextOverflow, 1),
        "15 overflow, llama.cpp": (error("400 X", "request (34790 tokens) exceeds the available context size (8192)"),
                                   "", ContextOverflow, 1),
        "15 overflow, vLLM": (error("400 X", "This model's maximum context length is 4096 tokens."), "",
                              ContextOverflow, 1),
        "16 200 with an error": (js(wire.error("boom")), "", ServerFault, 1),
        "16 200 with other JSON": (js({"status": "ok"}), "", ProtocolFault, 1),
        "47 closed at once, then good": ([Answer(raw=True), good], "ab", DONE, 2),
        "not HTTP at all": (Answer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", raw=True), "", ProtocolFault, 1),
        "a huge error body": (Answer(b"x" * 5_000_000, "500 X", media=JSON), "", ServerFault, 1),
    }  # fmt: skip


def corrupt(data):
    packed = bytearray(gzip.compress(data, 1))
    rng = random.Random(0)
    for at in range(20, len(packed) - 8, 7):
        packed[at] = rng.randrange(256)
    return bytes(packed)


def check(got, text, terminal):
    got_text, end, _ = got
    if text is not ...:
        assert got_text == text
    if isinstance(terminal, str):
        assert end == terminal, end
    else:
        assert isinstance(end, terminal), end


FRAMING = [(kind, name, seed) for kind, w in WIRES.items() for name in framing_faults(w) for seed in SEEDS]
STREAM = [(kind, name, seed) for kind, w in WIRES.items() for name in stream_faults(w) for seed in SEEDS]
HTTP = [(kind, name) for kind, w in WIRES.items() for name in http_faults(w)]


@pytest.mark.parametrize(("kind", "name", "seed"), FRAMING)
async def test_framing(kind, name, seed):
    answer, text, terminal = framing_faults(WIRES[kind])[name]
    *got, requests = await play(kind, answer, seed, terminal)
    check(got, text, terminal)
    assert requests == 1


@pytest.mark.parametrize(("kind", "name", "seed"), STREAM)
async def test_stream(kind, name, seed):
    answer, text, terminal = stream_faults(WIRES[kind])[name]
    *got, requests = await play(kind, answer, seed, terminal)
    check(got, text, terminal)
    assert requests <= 2


@pytest.mark.parametrize(("kind", "name"), HTTP)
async def test_http(kind, name):
    answer, text, terminal, requests = http_faults(WIRES[kind])[name]
    *got, made = await play(kind, answer, 0, terminal)
    check(got, text, terminal)
    assert made == requests
    if name == "14 429":
        assert got[1].retry_after_s == 7
    if name == "12 model missing" and kind == "ollama":
        assert "ollama pull" in got[1].remedy


@pytest.mark.parametrize("kind", WIRES)
async def test_connect(kind, unused_tcp_port):
    """1 refused, 2 no such host."""
    for url in (f"http://127.0.0.1:{unused_tcp_port}", "http://no-such-host.invalid:8080"):
        backend = backend_for(kind, url, deadlines=SHORT)
        _, error, _ = await run(backend)
        assert isinstance(error, Unreachable | DeadlineExceeded)
        probe = await backend.probe()
        assert probe.state == "down"
        assert probe.problem
        assert probe.remedy
        await backend.aclose()


@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize("when", ["before the first byte", "while streaming"])
async def test_cancel_closes_the_socket(kind, when):
    """48: the server sees the connection go, for a cancelled task and for a closed generator."""
    wire = WIRES[kind]
    body = b"" if when.startswith("before") else wire.event("a")
    answer = Answer(raw=True, end="hang") if not body else stream(wire, body, end="hang")
    for way in ("cancel", "aclose"):
        async with Fake({**wire.routes(), wire.path: answer}) as fake:
            backend = make(BackendSettings(kind=kind, url=fake.url, model=getattr(wire, "model", "")))
            generator = backend.generate(Generate("def f(", 8))
            task = asyncio.create_task(anext(generator))
            async with asyncio.timeout(HANG_S):
                if body:
                    assert await task == Delta("a", task.result().usage)
                    if way == "cancel":
                        task = asyncio.create_task(anext(generator))
                while not fake.seen.bodies(wire.path):
                    await asyncio.sleep(0.001)
                if way == "aclose" and body:
                    await generator.aclose()
                else:
                    await asyncio.sleep(0.01)
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                await fake.seen.gone.wait()
            await backend.aclose()


@pytest.mark.parametrize("kind", WIRES)
async def test_connections_are_reused(kind):
    wire = WIRES[kind]
    async with Fake({**wire.routes(), wire.path: stream(wire, whole(wire, "a", "b"), chunked=True)}) as fake:
        backend = backend_for(kind, fake.url, getattr(wire, "model", ""))
        await run(backend)
        before = fake.seen.connections
        for _ in range(5):
            assert (await run(backend))[:2] == ("ab", DONE)
        assert fake.seen.connections == before
        await backend.aclose()


@pytest.mark.parametrize("kind", WIRES)
async def test_usage_and_request(kind):
    wire = WIRES[kind]
    async with Fake({**wire.routes(), wire.path: stream(wire, whole(wire, "a", "b"))}) as fake:
        backend = make(BackendSettings(kind=kind, url=fake.url), {}, PATIENT)
        await backend.probe()
        for _ in range(2):
            _, _, usage = await run(backend, stop=("1", "2", "3", "4", "5", "6"))
        assert usage == Usage(9, None if kind == "ollama" else 2, 2)
        first, second = fake.seen.bodies(wire.path)
        assert first == second
        headers = next(h for path, _, h in fake.seen.requests if path == wire.path)
        assert headers["accept-encoding"] == "identity"
        assert "authorization" not in headers
        if kind == "llamacpp":
            assert (first["cache_prompt"], first["id_slot"], len(first["stop"])) == (True, 0, 6)
        elif kind == "ollama":
            assert first["raw"] is True
            assert (first["options"]["num_ctx"], first["truncate"]) == (8192, False)
            assert "suffix" not in first
        else:
            assert first["stop"] == ["1", "2", "3", "4"]
            assert (first["model"], first["stream_options"]) == (wire.model, {"include_usage": True})
        await backend.aclose()


async def test_stops_beyond_the_servers_limit_are_ours_to_watch():
    wire = WIRES["openai"]
    body = b"".join(wire.event(t) for t in ("ab<", "|x", "yz<|e", "nd|>more")) + wire.last() + wire.end()
    stops = ("1", "2", "3", "4", "<|end|>")
    text, end, _, _ = await play("openai", stream(wire, body), stop=stops)
    assert (text, end) == ("ab<|xyz", DONE)
    text, end, _, _ = await play("openai", stream(wire, wire.event("ab<|en")), stop=stops)
    assert (text, end) == ("ab<|en", TRUNCATED)


async def test_the_key_comes_from_the_named_variable_and_is_sent():
    wire = WIRES["openai"]
    async with Fake({**wire.routes(), wire.path: stream(wire, whole(wire, "a"))}) as fake:
        backend = make(BackendSettings(kind="openai", url=fake.url, api_key_env="K"), {"K": " secret\n"}, PATIENT)
        await run(backend)
        assert fake.seen.requests[-1][2]["authorization"] == "Bearer secret"
        await backend.aclose()
        bad = make(BackendSettings(kind="openai", url=fake.url, api_key_env="K"), {"K": "clé\nx"}, SHORT)
        _, error, _ = await run(bad)
        assert isinstance(error, ProtocolFault)
        await bad.aclose()


async def test_bad_urls_are_protocol_faults():
    for url in ("", "ftp://127.0.0.1", "http://", "http://127.0.0.1:notaport", "127.0.0.1:8080", "http://[::1"):
        backend = make(BackendSettings(kind="openai", url=url or "nonsense"), {}, SHORT)
        _, error, _ = await run(backend)
        assert isinstance(error, ProtocolFault | Unreachable), url
        assert (await backend.probe()).state in ("wrong", "down")
        await backend.aclose()


async def test_a_prompt_with_a_lone_surrogate_is_still_json():
    wire = WIRES["llamacpp"]
    async with Fake({wire.path: stream(wire, whole(wire, "a"))}) as fake:
        backend = backend_for("llamacpp", fake.url)
        async for _ in backend.generate(Generate("x\ud83dy😀", 4)):
            pass
        assert fake.seen.bodies(wire.path)[0]["prompt"] == "x\ufffdy😀"
        await backend.aclose()


async def test_ollama_never_loads_in_a_users_request():
    """A model that is not in memory is loaded by a task of ours, which a cancelled keystroke does not touch."""
    wire = WIRES["ollama"]
    loading = asyncio.Event()
    loaded = False

    def generate(body):
        nonlocal loaded
        if "prompt" in body:
            return stream(wire, whole(wire, "a"))
        loading.set()
        loaded = True
        return js({"model": wire.model, "response": "", "done": True, "done_reason": "load"})

    def ps(_):
        return wire.routes()["/api/ps"] if loaded else js({"models": []})

    async with Fake({**wire.routes(), "/api/ps": ps, wire.path: generate}) as fake:
        backend = backend_for("ollama", fake.url)
        assert (await backend.probe()).state == "ready"
        for _ in range(3):
            _, error, _ = await run(backend)
            assert isinstance(error, ModelLoading)
        async with asyncio.timeout(HANG_S):
            await loading.wait()
            while (await run(backend))[1] != DONE:
                await asyncio.sleep(0.01)
        first, *rest = fake.seen.bodies(wire.path)
        assert "prompt" not in first
        assert all("prompt" in body for body in rest), "loaded once"
        assert first["options"]["num_ctx"] == rest[0]["options"]["num_ctx"] == 8192
        await backend.aclose()


async def test_ollama_that_holds_the_model_with_another_context_counts_as_not_loaded():
    wire = WIRES["ollama"]
    other = js({"models": [{"name": wire.model, "context_length": 4096}]})
    failure = js({"error": "not enough memory"}, "500 X")
    async with Fake({**wire.routes(), "/api/ps": other, wire.path: failure}) as fake:
        backend = backend_for("ollama", fake.url, wire.model)
        assert isinstance((await run(backend))[1], ModelLoading)
        async with asyncio.timeout(HANG_S):
            while (probe := await backend.probe()).state == "loading":
                await asyncio.sleep(0.01)
        assert (probe.state, "not enough memory" in probe.problem) == ("down", True)
        await backend.aclose()


def test_the_tables_cover_the_reference():
    """Each number of the reference list that a local server can show is played for the kinds it applies to."""
    numbers = {n.split()[0] for w in WIRES.values() for t in (framing_faults, stream_faults, http_faults) for n in t(w)}
    spelled = {int(part) for n in numbers for part in n.split("-") if part.isdigit()} | {24}
    assert spelled - {0} >= {*range(5, 11), *range(12, 44), 47}
    assert json.dumps(sorted(spelled))
