"""Chats with every kind of server: what is asked, what comes back, and every fault on the way."""

import asyncio
import itertools
import json
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.fake import CHATS, WIRES, Answer, Fake, js
from backends.test_faults import (
    DONE,
    HANG_S,
    PATIENT,
    SHORT,
    TRUNCATED,
    check,
    framing_faults,
    http_faults,
    stream,
    stream_faults,
    whole,
)
from hearth.backends.base import Chat, Chatter, Delta, Finish, Generate, Usage
from hearth.backends.cut import CUT_TOKENS_MIN, least_tokens, was_cut
from hearth.backends.discover import make
from hearth.backends.reading import Reading, Step
from hearth.core.exchange import ToolCall, user, wire
from hearth.errors import BackendError, ContextOverflow, DeadlineExceeded, LimitExceeded, ProtocolFault, ServerFault
from hearth.settings import BackendSettings

HELLO = (wire(user("hello")),)
READ = {"type": "function", "function": {"name": "read", "description": "", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def backend_for(kind, fake, deadlines=PATIENT, **settings):
    return make(BackendSettings(kind=kind, url=fake.url, **settings), {}, deadlines)


async def run(backend, request=None):
    """(text, Finish or the error)"""
    text, finish, failure = "", None, None
    async with asyncio.timeout(HANG_S):
        try:
            async with aclosing(backend.chat(request or Chat(HELLO, 8))) as events:
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
        assert failure.remedy, f"no remedy: {failure!r}"
        return text, failure
    assert isinstance(finish, Finish), "no terminal event"
    return text, finish


async def play(kind, answer, seed=0, request=None, deadlines=PATIENT):
    """(text, Finish or the error, requests made) where the server answers so."""
    wire = CHATS[kind]
    async with Fake({**wire.routes(), wire.path: answer}, seed) as fake:
        backend = backend_for(kind, fake, deadlines)
        await backend.probe()
        try:
            text, end = await run(backend, request)
        finally:
            await backend.aclose()
        return text, end, len(fake.seen.bodies(wire.path))


def called(kind, *groups, reason="stop", rest=b""):
    """An answer whose events carry these groups of tool call fragments."""
    wire = CHATS[kind]
    return stream(wire, b"".join(wire.frame(wire.value("", tool_calls=g)) for g in groups) + wire.last(reason) + rest)


def fragment(index, arguments, own="", name=""):
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return {"index": index, **({"id": own, "type": "function"} if own else {}), "function": function}


FRAMING = [(kind, name) for kind, w in CHATS.items() for name in framing_faults(w)]
STREAM = [(kind, name) for kind, w in CHATS.items() for name in stream_faults(w)]
HTTP = [(kind, name) for kind, w in CHATS.items() for name in http_faults(w)]


@pytest.mark.parametrize(("kind", "name"), FRAMING)
async def test_framing(kind, name):
    answer, text, terminal = framing_faults(CHATS[kind])[name]
    await check_fault(kind, answer, text, terminal, 1)


@pytest.mark.parametrize(("kind", "name"), STREAM)
async def test_stream(kind, name):
    answer, text, terminal = stream_faults(CHATS[kind])[name]
    await check_fault(kind, answer, text, terminal, None)


@pytest.mark.parametrize(("kind", "name"), HTTP)
async def test_http(kind, name):
    answer, text, terminal, requests = http_faults(CHATS[kind])[name]
    await check_fault(kind, answer, text, terminal, requests)


async def check_fault(kind, answer, text, terminal, requests):
    deadlines = SHORT if terminal is DeadlineExceeded else PATIENT
    got, end, made = await play(kind, answer, 5, deadlines=deadlines)
    check((got, end.reason if isinstance(end, Finish) else end, None), text, terminal)
    assert made == requests if requests else made <= 2


@pytest.mark.parametrize("kind", CHATS)
async def test_what_is_asked(kind):
    """The same options on every call to a server, completions included, so that it never reloads or forgets."""
    chat, completion = CHATS[kind], WIRES[kind]
    routes = {
        **chat.routes(),
        chat.path: stream(chat, whole(chat, "a", "b")),
        completion.path: stream(completion, whole(completion, "x")),
    }
    async with Fake(routes) as fake:
        backend = backend_for(kind, fake)
        assert isinstance(backend, Chatter)
        await backend.probe()
        stops = tuple("123456")
        for _ in range(2):
            text, finish = await run(backend, Chat(HELLO, 64, 0.5, stops, (READ,), SCHEMA))
        assert (text, finish.reason, finish.thought_chars) == ("ab", DONE, 0)
        assert finish.usage == Usage(9, None if kind == "ollama" else 2, 2)
        first, second = fake.seen.bodies(chat.path)
        assert first == second
        assert first["tools"] == [READ]
        assert first["messages"] == [{"role": "user", "content": "hello"}]
        async for _ in backend.generate(Generate("x", 3)):
            pass
        raw = fake.seen.bodies(completion.path)[-1]
        if kind == "ollama":
            assert first["options"] == {"num_ctx": 8192, "num_predict": 64, "temperature": 0.5, "stop": list(stops)}
            assert first["options"]["num_ctx"] == raw["options"]["num_ctx"]
            assert {k: first[k] for k in ("keep_alive", "truncate", "shift")} == {
                k: raw[k] for k in ("keep_alive", "truncate", "shift")
            }
            assert first["format"] == SCHEMA
        else:
            assert (first["max_tokens"], first["temperature"]) == (64, 0.5)
            assert first["response_format"]["json_schema"]["schema"] == SCHEMA
            assert len(first["stop"]) == (6 if kind == "llamacpp" else 4)
        if kind == "llamacpp":
            assert first["cache_prompt"]
            assert raw["cache_prompt"]
            # The completion's slot comes first: the server serves it first.
            assert (raw["id_slot"], first["id_slot"]) == (0, 1)
        # Nothing that was not asked for.
        await run(backend)
        assert not {"tools", "response_format", "format", "stop"} & fake.seen.bodies(chat.path)[-1].keys()
        await backend.aclose()


async def test_a_slot_that_the_server_no_longer_has_is_not_named():
    """llama-server ends when it is asked for one: it may have been started again since the probe."""
    chat = CHATS["llamacpp"]
    one = js({**WIRES["llamacpp"].props(), "total_slots": 1})
    async with Fake({"/props": [chat.routes()["/props"], one], chat.path: stream(chat, whole(chat, "a"))}) as fake:
        backend = backend_for("llamacpp", fake)
        assert (await backend.probe()).slots == 2
        await run(backend)
        assert fake.seen.bodies(chat.path)[0]["id_slot"] == 0
        await backend.aclose()


async def test_slots_that_are_cleared_by_a_chat_are_no_longer_named():
    """Only what a chat did to a prompt that the server has read counts: nothing else that leaves the cache empty."""
    chat, wire = CHATS["llamacpp"], WIRES["llamacpp"]
    progress = wire.frame({**wire.value(""), "prompt_progress": {"total": 900, "cache": 0, "processed": 900}})
    read = stream(wire, progress + whole(wire, "x"))
    unread = stream(wire, progress, end="hang")
    prompt = "p" * 3000
    routes = {chat.path: stream(chat, whole(chat, "a")), wire.path: [read, read, unread, read, read, read]}
    async with Fake({**wire.routes(), **routes}) as fake:
        backend = backend_for("llamacpp", fake)
        await backend.probe()

        async def complete(typed):
            async for _ in backend.generate(Generate(prompt + typed, 8)):
                pass

        async def named(typed):
            await complete(typed)
            return "id_slot" in fake.seen.bodies(wire.path)[-1]

        assert await named("")
        assert await named("1"), "without a chat it may be any other client's doing"
        task = asyncio.create_task(complete("12"))
        async with asyncio.timeout(HANG_S):
            while len(fake.seen.bodies(wire.path)) < 3:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await run(backend)
        assert await named("123")
        assert await named("123"), "a prompt that was not read to its end is in no cache"
        await run(backend)
        assert await named("1234"), "found out only now"
        assert not await named("12345")
        await run(backend)
        assert "id_slot" not in fake.seen.bodies(chat.path)[-1]
        await backend.probe()
        assert await named("123456"), "a new probe may have found a new server"
        await backend.aclose()


async def test_ollama_takes_objects_and_the_names_of_tools():
    chat = CHATS["ollama"]
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path":"a"}'}}
    messages = (
        *HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "text", "tool_call_id": "c1"},
    )
    async with Fake({**chat.routes(), chat.path: stream(chat, whole(chat, "a"))}) as fake:
        backend = backend_for("ollama", fake)
        await backend.probe()
        await run(backend, Chat(messages, 8))
        _, asked, told = fake.seen.bodies(chat.path)[0]["messages"]
        assert asked["tool_calls"] == [{"function": {"name": "read", "arguments": {"path": "a"}}}]
        assert told == {"role": "tool", "content": "text", "tool_name": "read"}
        assert call["function"]["arguments"] == '{"path":"a"}', "what was given is left as it was"
        await backend.aclose()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", ["llamacpp", "openai"])
async def test_fragments_of_calls_become_calls(kind, seed):
    answer = called(
        kind,
        [fragment(0, "", "a", "read")],
        [fragment(0, '{"pa')],
        [fragment(1, '{"n": ', "b", "list"), fragment(0, 'th": "x\u00e9"}')],
        [fragment(1, "1}")],
        reason="tool_calls",
        rest=b"data: [DONE]\n\n",
    )
    text, end, _ = await play(kind, answer, seed)
    assert (text, end.reason) == ("", "stop")
    assert end.calls == (ToolCall("a", "read", {"path": "x\u00e9"}), ToolCall("b", "list", {"n": 1}))
    assert end.broken_calls == 0


async def test_ollamas_calls_come_whole():
    one = {"function": {"name": "read", "arguments": {"path": "a\0"}}}
    other = {"function": {"index": 0, "name": "read", "arguments": {"path": "b"}}}
    text, end, _ = await play("ollama", called("ollama", [one], [other, {"function": {"arguments": {}}}]))
    assert text == ""
    assert end.calls == (ToolCall("call_0", "read", {"path": "a"}), ToolCall("call_1", "read", {"path": "b"}))
    assert end.broken_calls == 1, "one without a name"


@pytest.mark.parametrize("kind", CHATS)
async def test_calls_of_an_answer_that_is_not_whole_are_broken(kind):
    """45: also where what there is of them is valid JSON."""
    made = [{"id": "a", "index": 0, "function": {"name": "rm", "arguments": "{}" if kind != "ollama" else {}}}]
    chat = CHATS[kind]
    frame = chat.frame(chat.value("", tool_calls=made))
    for answer, reason in ((stream(chat, frame), TRUNCATED), (stream(chat, frame + chat.last("length")), "length")):
        _, end, _ = await play(kind, answer)
        assert (end.reason, end.calls, end.broken_calls) == (reason, (), 1)
    _, end, _ = await play(kind, stream(chat, frame, end="reset"))
    assert (end.reason, end.calls) == (TRUNCATED, ())


@pytest.mark.parametrize("kind", ["llamacpp", "openai"])
async def test_calls_that_are_no_json_are_broken(kind):
    end = (await play(kind, called(kind, [fragment(0, '{"path": ', "a", "read")], reason="tool_calls")))[1]
    assert (end.reason, end.calls, end.broken_calls) == ("stop", (), 1)
    endless = called(kind, *[[fragment(0, "x" * 900_000, "a", "read")]] * 2)
    assert isinstance((await play(kind, endless))[1], LimitExceeded)


@pytest.mark.parametrize("kind", ["llamacpp", "openai"])
async def test_reasons_and_figures(kind):
    chat = CHATS[kind]
    text, end, _ = await play(kind, stream(chat, chat.event("a") + chat.frame(chat.value("", "error"))))
    assert (text, type(end)) == ("a", ServerFault)
    text, end, _ = await play(kind, stream(chat, chat.event("a") + chat.frame(chat.value("", "content_filter"))))
    assert (text, end.reason) == ("a", "filter")
    # Figures alone, after the end, still count; a bare message in place of a stream is an answer.
    whole_body = {"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
    text, end, _ = await play(kind, js({**whole_body, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}))
    assert (text, end.reason, end.usage) == ("hi", "stop", Usage(3, None, 1))


async def test_how_far_the_prompt_is_read_is_told_before_the_answer():
    chat = CHATS["llamacpp"]
    progress = chat.frame({**chat.value(None), "prompt_progress": {"total": 50, "cache": 30, "processed": 40}})
    async with Fake({**chat.routes(), chat.path: stream(chat, progress + chat.event("a"), end="hang")}) as fake:
        backend = backend_for("llamacpp", fake)
        async with aclosing(backend.chat(Chat(HELLO, 8))) as events:
            assert await anext(events) == Delta("a", Usage(50, 20, None))
        await backend.aclose()


@pytest.mark.parametrize("kind", CHATS)
async def test_thoughts_are_no_answer(kind):
    chat = CHATS[kind]
    own = {"thinking": "hmm, well"} if kind == "ollama" else {"reasoning_content": "hmm, well"}
    thought = chat.frame(chat.value("", **own))
    text, end, _ = await play(kind, stream(chat, thought + whole(chat, "a", "b")))
    assert (text, end.reason, end.thought_chars) == ("ab", DONE, 9)
    for seed in (1, 2):
        inline = whole(chat, "\n<thi", "nk>hmm", "\n</thin", "k>\n", "\nIn <think> ", "tags</think>")
        text, end, _ = await play(kind, stream(chat, inline), seed)
        assert (text, end.thought_chars) == ("In <think> tags</think>", 4)
    endless = chat.frame(chat.value("", **dict.fromkeys(own, "x" * 600000)))
    text, end, _ = await play(kind, stream(chat, endless * 2))
    assert isinstance(end, LimitExceeded)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "a", "\n", " ", "<", "th", "ink>", "[THINK]", "[/THINK]"])),
    st.randoms(use_true_random=False),
)
def test_thoughts_are_the_same_however_they_are_cut(parts, random):
    text = "".join(parts)
    cuts = sorted({0, len(text), *(random.randrange(len(text) + 1) for _ in range(6))})
    pieces = [text[a:b] for a, b in itertools.pairwise(cuts)]

    def read(pieces):
        reading = Reading("ndjson", "", lambda v: Step(v["t"]), max_tokens=1000, thinks=True)
        events = [e for piece in pieces for e in reading.feed(json.dumps({"t": piece}).encode() + b"\n")]
        *rest, end = reading.finish()
        return "".join(e.text for e in [*events, *rest]), end.thought_chars

    assert read(pieces) == read([text])
    said, thought = read(pieces)
    assert said in text
    assert len(said) + thought <= len(text)
    if "<think>" not in text and "[THINK]" not in text:
        assert (said, thought) == (text, 0)


OVERFLOWS = {
    "llamacpp": js({"error": {"code": 400, "message": "request (60012 tokens) exceeds the available context size (8192 "
                    "tokens), try increasing it", "type": "exceed_context_size_error"}}, "400 X"),
    "llamacpp, while it answers": b'data: {"error": {"code": 500, "message": "Context size has been exceeded."}}\n\n',
    "ollama": js({"error": "the input length exceeds the context length"}, "400 X"),
    "openai": js({"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you "
                  "requested 9000 tokens.", "code": 400}, "400 X"),
    "openai, LM Studio": js({"error": "Trying to keep the first 5000 tokens when context the overflows. However, the "
                             "model is loaded with context length of only 4096 tokens"}, "400 X"),
    "openai, TabbyAPI": js({"detail": "Prompt length 5000 is greater than max_seq_len 4096"}, "400 X"),
}  # fmt: skip


@pytest.mark.parametrize("name", OVERFLOWS)
async def test_overflow_is_named(name):
    kind, answer = name.partition(",")[0], OVERFLOWS[name]
    if isinstance(answer, bytes):
        answer = stream(CHATS[kind], answer)
    _, error, made = await play(kind, answer)
    assert (type(error), made) == (ContextOverflow, 1)


TEMPLATE = "{{ range .Messages }}{{ .Role }}: {{ .Content }}{{ end }}"


@pytest.mark.parametrize(
    ("shown", "chats", "tools"),
    [
        ({"template": "{{ .Prompt }}{{ .Suffix }}", "capabilities": ["completion", "insert"]}, False, False),
        ({"template": TEMPLATE, "capabilities": ["completion", "tools"]}, True, True),
        ({"template": TEMPLATE}, True, None),
        ({"template": "{{ .System }} {{ .Prompt }}", "capabilities": ["completion"]}, True, False),
        ({"template": "{{ .Prompt }}", "capabilities": ["completion", "thinking", "tools"]}, True, True),
        ({"template": "{{ .Prompt }}", "modelfile": "FROM x\nRENDERER qwen3-coder"}, True, None),
        ({"template": TEMPLATE, "capabilities": ["embedding"]}, False, False),
        ({}, False, None),
    ],
)
async def test_what_ollama_says_a_model_can_do(shown, chats, tools):
    async with Fake({**WIRES["ollama"].routes(), "/api/show": js(shown)}) as fake:
        backend = backend_for("ollama", fake)
        probe = await backend.probe()
        assert (probe.state, probe.chats, probe.calls_tools, probe.constrains) == ("ready", chats, tools, True)
        await backend.aclose()


@pytest.mark.parametrize("able", [True, False, None])
async def test_what_llama_cpp_says_a_model_can_do(able):
    caps = {} if able is None else {"chat_template_caps": {"supports_tools": able}}
    async with Fake({"/props": js({**WIRES["llamacpp"].props(), **caps})}) as fake:
        backend = backend_for("llamacpp", fake)
        probe = await backend.probe()
        assert (probe.chats, probe.calls_tools, probe.constrains) == (True, able, True)
        assert probe.context_tokens == 4096
        await backend.aclose()


async def test_an_unknown_server_is_not_asked_to_hold_to_a_schema():
    chat = CHATS["openai"]
    listed = js({"object": "list", "data": [{"id": "some-model", "owned_by": "somebody"}]})
    async with Fake({"/v1/models": listed, chat.path: stream(chat, whole(chat, "a"))}) as fake:
        backend = backend_for("openai", fake)
        probe = await backend.probe()
        assert (probe.chats, probe.calls_tools, probe.constrains) == (True, None, False)
        await run(backend, Chat(HELLO, 8, schema=SCHEMA))
        assert "response_format" not in fake.seen.bodies(chat.path)[0]
        await backend.aclose()


async def test_a_chat_waits_for_ollama_to_load_and_never_ends_the_load():
    chat = CHATS["ollama"]
    loaded, asked = False, asyncio.Event()

    def load(body):
        nonlocal loaded
        assert "prompt" not in body
        asked.set()
        loaded = True
        return js({"model": chat.model, "response": "", "done": True, "done_reason": "load"})

    def ps(_):
        return chat.routes()["/api/ps"] if loaded else js({"models": []})

    routes = {**chat.routes(), "/api/ps": ps, "/api/generate": load, chat.path: stream(chat, whole(chat, "a"))}
    async with Fake(routes) as fake:
        backend = backend_for("ollama", fake)
        await backend.probe()
        assert (await run(backend))[0] == "a"
        assert len(fake.seen.bodies("/api/generate")) == 1
        await backend.aclose()
    hanging = {**chat.routes(), "/api/ps": js({"models": []}), "/api/generate": Answer(raw=True, end="hang")}
    async with Fake(hanging) as fake:
        backend = backend_for("ollama", fake)
        await backend.probe()
        task = asyncio.create_task(run(backend))
        async with asyncio.timeout(HANG_S):
            while not fake.seen.bodies("/api/generate"):
                await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await backend.probe()).state == "loading"
        assert not fake.seen.gone.is_set()
        await backend.aclose()
    failing = {**chat.routes(), "/api/ps": js({"models": []}), "/api/generate": js({"error": "no memory"}, "500 X")}
    async with Fake(failing) as fake:
        backend = backend_for("ollama", fake)
        await backend.probe()
        assert "no memory" in (await run(backend))[1].message
        assert fake.seen.bodies(chat.path) == []
        await backend.aclose()


@pytest.mark.parametrize("kind", CHATS)
async def test_a_cancelled_chat_closes_its_socket(kind):
    chat = CHATS[kind]
    async with Fake({**chat.routes(), chat.path: stream(chat, chat.event("a"), end="hang")}) as fake:
        backend = backend_for(kind, fake)
        await backend.probe()
        generator = backend.chat(Chat(HELLO, 8))
        async with asyncio.timeout(HANG_S):
            assert (await anext(generator)).text == "a"
            task = asyncio.create_task(anext(generator))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await fake.seen.gone.wait()
        await backend.aclose()


def test_what_was_cut_is_seen_by_its_figures():
    source = "def total(prices):\n    return sum(price for price in prices)\n" * 100
    messages = ({"role": "system", "content": "Answer."}, {"role": "user", "content": source})
    least = least_tokens(source) + 1
    assert least == 1001
    assert was_cut(messages, Usage(least - 1))
    assert not was_cut(messages, Usage(least))
    assert not was_cut(messages, Usage()), "the server does not say"
    assert not was_cut(({"role": "user", "content": "a " * (CUT_TOKENS_MIN - 1)},), Usage(1)), "nobody cuts so little"
    assert not was_cut(({"role": "assistant", "content": None, "tool_calls": []},), Usage(0))
    # What one token may stand for is counted once, or not at all.
    assert least_tokens("=" * 500 + "\n" * 300 + " " * 900 + "12345") == 0
    assert least_tokens("gr\u00f6\u00dfer f\u00fcr na\u00efve \u4f60\u597d \u0939\u093f\u0928\u094d\u0926\u0940") == 0
    assert least_tokens("getElementById snake_case don't") == 5


def test_a_whole_answer_without_a_word_is_an_answer_and_a_page_is_none():
    """Nothing is a legal answer; whoever asked says so. Another server's event is not one."""
    for value in ({"choices": [{"delta": {}, "finish_reason": "stop"}]},):
        reading = Reading("sse", "", lambda v: Step(reason="stop" if v else None), max_tokens=8)
        assert list(reading.feed(b"data: " + json.dumps(value).encode() + b"\n\n")) == []
        assert list(reading.finish()) == [Finish("stop")]
    with pytest.raises(ProtocolFault):
        list(Reading("sse", "", lambda _: Step(), max_tokens=8).feed(b"<html>\n"))
