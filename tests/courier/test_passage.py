"""The transport beneath the library, with a library that misbehaves in its place; and the reading of a chat."""

import asyncio
import hashlib
import json
from dataclasses import replace

import httpx
import pytest

from backends.fake import Answer, Fake
from backends.test_faults import stream, whole
from courier.rig import KEY, PATIENT, WIRE, an_ask
from hearth.backends.base import Finish, Usage
from hearth.courier import faults
from hearth.courier.chat import ChatReader
from hearth.courier.crossing import Crossing, Passage, Stopped, new_pool, origin_of
from hearth.courier.records import (
    Outcome,
    ToolCall,
    ask_from_json,
    ask_to_json,
    deadlines_from_json,
    error_from_json,
    error_to_json,
    outcome_from_json,
    outcome_to_json,
)
from hearth.errors import (
    BackendError,
    EgressDenied,
    LimitExceeded,
    ProtocolFault,
    RateLimited,
    Unauthorised,
)


class Rig:
    """A passage to a fake server, and what was told."""

    def __init__(self, fake, **fields):
        self.ask = an_ask(fake.url, "hello", **fields)
        self.sent, self.received, self.texts = [], [], []
        self.pool = new_pool(self.ask.origin)
        crossing = (self.ask.origin, self.ask.base_url, KEY, PATIENT, self.told, self.received.append)
        self.crossing = Crossing(self.pool, *crossing)
        self.passage = Passage(self.crossing, self.ask, self.texts.append)

    async def told(self, sent):
        self.sent.append(sent)

    def body(self, **other):
        ask = self.ask
        body = {"model": ask.model, "messages": [*ask.messages], "max_tokens": ask.max_tokens, "stream": True}
        return {**body, **ask.fields, **other}

    async def post(self, body, url="", method="POST", **how):
        async with httpx.AsyncClient(transport=self.passage, trust_env=False) as client:
            return await client.request(method, url or f"{self.ask.base_url}/chat/completions", json=body, **how)


@pytest.fixture
async def fake():
    async with Fake({WIRE.path: stream(WIRE, whole(WIRE, "a", "b"))}) as fake:
        yield fake


@pytest.fixture
async def rig(fake):
    rig = Rig(fake, provider={"zdr": True})
    yield rig
    await rig.pool.aclose()


async def test_the_approved_request_goes_through(rig, fake):
    answer = await rig.post(
        rig.body(), headers={"X-Title": "litellm", "HTTP-Referer": "x", "Authorization": "Bearer y"}
    )
    assert answer.text.endswith("data: [DONE]\n\n")
    assert (rig.texts, rig.passage.outcome.reason, rig.passage.fault) == (["a", "b"], "stop", None)
    (_, body, headers), *more = fake.seen.requests
    assert (json.loads(rig.sent[0].body), more) == (body, [])
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "x-title" not in headers
    assert "http-referer" not in headers


@pytest.mark.parametrize(
    ("change", "how"),
    [
        ({"messages": []}, {}),
        ({"messages": [{"role": "user", "content": "hello and more"}]}, {}),
        ({"model": "another/model"}, {}),
        ({"max_tokens": 9}, {}),
        ({"provider": {"zdr": False}}, {}),
        ({"metadata": {"user": "x"}}, {}),
        ({}, {"method": "PUT"}),
        ({}, {"url": "http://127.0.0.1:1/api/v1/chat/completions"}),
        ({}, {"url": "{base}/completions"}),
        ({}, {"url": "{base}/chat/completions?x=1"}),
    ],
)
async def test_any_other_is_stopped(rig, fake, change, how):
    how = {name: value.format(base=rig.ask.base_url) for name, value in how.items()}
    with pytest.raises(Stopped):
        await rig.post(rig.body(**change), **how)
    assert isinstance(rig.passage.fault, EgressDenied)
    assert (fake.seen.connections, rig.sent) == (0, [])


async def test_an_option_left_out_is_another_request(rig, fake):
    body = rig.body()
    del body["provider"]
    with pytest.raises(Stopped):
        await rig.post(body)
    assert fake.seen.connections == 0


async def test_no_second_request(rig, fake):
    await rig.post(rig.body())
    with pytest.raises(Stopped):
        await rig.post(rig.body())
    assert len(fake.seen.requests) == len(rig.sent) == 1


async def test_a_library_that_gives_up_changes_no_verdict(rig, fake):
    """It closes the answer after a piece: the end is read all the same."""
    async with httpx.AsyncClient(transport=rig.passage, trust_env=False) as client:
        request = client.build_request("POST", f"{rig.ask.base_url}/chat/completions", json=rig.body())
        answer = await client.send(request, stream=True)
        pieces = answer.aiter_raw()
        await anext(pieces)
        await answer.aclose()
    await rig.passage.drain()
    assert (rig.texts, rig.passage.outcome.reason) == (["a", "b"], "stop")


async def test_what_a_library_left_open_is_closed(rig, fake):
    fake.routes[WIRE.path] = stream(WIRE, WIRE.event("a"), end="hang")
    async with httpx.AsyncClient(transport=rig.passage, trust_env=False) as client:
        request = client.build_request("POST", f"{rig.ask.base_url}/chat/completions", json=rig.body())
        answer = await client.send(request, stream=True)
        await anext(answer.aiter_raw())
        await rig.passage.release()
        await asyncio.wait_for(fake.seen.gone.wait(), 30)
        assert rig.passage.outcome is None
        await answer.aclose()


async def test_every_attempt_is_hashed(rig, fake):
    body = whole(WIRE, "a")
    fake.routes[WIRE.path] = [Answer(b"busy", "503 X"), stream(WIRE, body)]
    await rig.post(rig.body())
    rig.crossing.settle()
    rig.crossing.settle()
    assert [(r.attempt, r.status) for r in rig.received] == [(1, 503), (2, 200)]
    assert [s.attempt for s in rig.sent] == [1, 2]
    assert rig.received[0].sha256 == hashlib.sha256(b"busy").hexdigest()
    assert rig.received[1].size == len(body)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://openrouter.ai/api/v1", "https://openrouter.ai"),
        ("HTTPS://OpenRouter.AI:8443/x", "https://openrouter.ai:8443"),
        ("http://127.0.0.1:80/x", "http://127.0.0.1:80"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost", "http://localhost"),
        ("http://openrouter.ai", None),
        ("http://127.0.0.1.example.invalid", None),
        ("http://localhost.example.invalid", None),
        ("http://0.0.0.0", None),
        ("https://user@openrouter.ai", None),
        ("https://openrouter.ai/?a=b", None),
        ("https://openrouter.ai/#a", None),
        ("https:///x", None),
        ("file:///etc/passwd", None),
        ("https://[::1", None),
        ("https://a:port", None),
        ("", None),
    ],
)
def test_origins(url, origin):
    if origin is None:
        with pytest.raises(EgressDenied):
            origin_of(url)
    else:
        assert origin_of(url) == origin


def test_records_travel():
    ask = an_ask("http://127.0.0.1:1", "é", provider={"zdr": True})
    assert ask_from_json(json.loads(json.dumps(ask_to_json(ask)))) == ask
    outcome = Outcome("stop", (ToolCall("a", "f", {"x": [1]}),), 1, 2, 3, 4, 5, 6, 0.5, "m", "p", "g")
    assert outcome_from_json(json.loads(json.dumps(outcome_to_json(outcome)))) == outcome
    assert deadlines_from_json({**{n: getattr(PATIENT, n) for n in PATIENT.__slots__}}) == PATIENT
    limited = error_from_json(error_to_json(RateLimited("a", "b", 3.0)))
    assert (type(limited), limited.message, limited.remedy, limited.retry_after_s) == (RateLimited, "a", "b", 3.0)
    for kind in BackendError.__subclasses__():
        if kind is not RateLimited and kind.__module__ == "hearth.errors" and kind.__name__ != "NoRoom":
            assert type(error_from_json(error_to_json(kind("a", "b")))) is kind
    for bad in ({}, {"max_tokens": 1}, {**ask_to_json(ask), "max_tokens": "1"}):
        with pytest.raises((KeyError, ValueError)):
            ask_from_json(bad)


def test_the_end_of_a_limit_is_the_wait(monkeypatch):
    monkeypatch.setattr(faults, "time", lambda: 1_000.0)
    error = {"metadata": {"headers": {"X-RateLimit-Reset": "1030000"}}}
    for said, headers, wait in (
        (error, {}, 30.0),
        (error, {"retry-after": "4"}, 4.0),
        ({"metadata": {"headers": {"X-RateLimit-Reset": "9" * 400}}}, {}, None),
        ({"metadata": {"headers": ["x"]}}, {}, None),
        ({"metadata": None}, {}, None),
    ):
        fault = faults.fault_of(429, {"error": said}, headers, "x")
        assert isinstance(fault, RateLimited)
        assert fault.retry_after_s == wait


@pytest.mark.parametrize("value", [None, [], "x", 3, {"error": None}, {"error": "x"}, {"error": {"code": True}}])
def test_errors_of_any_shape(value):
    for status in (300, 400, 401, 402, 403, 404, 408, 413, 418, 422, 429, 500, 502, 503, 504, 524, 529, 599):
        assert faults.fault_of(status, value, {}, "x").remedy
    assert isinstance(faults.fault_in_stream(value, "x"), BackendError)
    assert isinstance(faults.fault_in_stream({"error": {"code": 401}}, "x"), Unauthorised)


def event(**delta):
    return {"choices": [{"delta": delta}]}


def test_a_chat_reader_takes_foreign_json():
    reader = ChatReader()
    for value in (
        {"choices": None},
        {"choices": [None, 3]},
        {"choices": [{"delta": None}]},
        event(content=[1], tool_calls="x"),
        event(tool_calls=[None, {"index": "a", "function": 3, "id": 4}]),
        {"usage": {"cost": "free", "prompt_tokens": -1, "prompt_tokens_details": []}, "choices": []},
        {"usage": {"cost": float("inf")}, "model": 3},
    ):
        assert reader.read(value).text == ""
    outcome = reader.outcome(Finish("stop", Usage()))
    assert outcome == replace(Outcome("stop"), broken_calls=1)
    with pytest.raises(ProtocolFault):
        reader.read({"foo": 1})


def test_too_many_calls():
    calls = [{"index": number, "id": f"{number}"} for number in range(1_000)]
    with pytest.raises(LimitExceeded):
        ChatReader().read(event(tool_calls=calls))


def test_fragments_after_the_end_are_ignored():
    reader = ChatReader()
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    reader.read({"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]})
    reader.read(event(tool_calls=[{"index": 0, "function": {"arguments": "x"}}]))
    assert [c.arguments for c in reader.outcome(Finish("stop", Usage())).tool_calls] == [{}]
