"""Chats with the real engine: its template, its cache beside completion's, its slots, and what it does when full."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager, contextmanager

import gguf
import httpx
import pytest

from backends.test_engine import CONTEXT, HANG_S, PROMPT, idle, ready, run, slots
from hearth.backends.base import Chat, Delta, Finish
from hearth.backends.cut import least_tokens, was_cut
from hearth.backends.discover import make
from hearth.core.exchange import assistant, system, user, wire
from hearth.errors import ContextOverflow, ModelLoading
from hearth.settings import BackendSettings
from tiny_model import tiny_model

pytest.importorskip("xllamacpp", reason="the embedded engine is an optional extra")

SERVER = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path = sys.argv[1]
p.n_ctx = 8192; p.n_parallel = int(sys.argv[2]); p.kv_unified = sys.argv[3] == "unified"
p.hostnames = ["127.0.0.1"]; p.port = 0; p.verbosity = 0; p.cache_ram_mib = 256
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
s = xllamacpp.Server(p)
print(s.listening_address, flush=True)
sys.stdin.read()
"""
QUESTION = (system("You are a careful programmer."), user("What does this do?\n" + PROMPT[20:4000]))
TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}


@pytest.fixture(autouse=True)
def own_data(tmp_path, monkeypatch):
    """The engine keeps its states in the data directory: not in the user's."""
    monkeypatch.setenv("HEARTH_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def model():
    return str(tiny_model(context=CONTEXT))


@asynccontextmanager
async def engine(model, context_tokens=CONTEXT, **settings):
    backend = make(BackendSettings("embedded", model=model, context_tokens=context_tokens, **settings))
    try:
        probe = await ready(backend)
        assert probe.state == "ready", probe
        yield backend
    finally:
        await backend.aclose()


@contextmanager
def llama_server(model, count, kind):
    """The url of a llama-server as a user may have started it."""
    argv = [sys.executable, "-c", SERVER, model, str(count), kind]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(argv, env={**os.environ, "OMP_WAIT_POLICY": "passive"}, text=True, **pipes) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@asynccontextmanager
async def server(model, count, kind):
    with llama_server(model, count, kind) as url:
        backend = make(BackendSettings("llamacpp", url))
        try:
            assert (await backend.probe()).slots == count
            yield backend
        finally:
            await backend.aclose()


def chat_of(*messages, **how):
    return Chat(tuple(wire(message) for message in messages), **{"max_tokens": 8, **how})


async def ask(backend, request):
    text, finish = "", None
    async with asyncio.timeout(HANG_S):
        async for event in backend.chat(request):
            if isinstance(event, Delta):
                text += event.text
            else:
                finish = event
    assert isinstance(finish, Finish)
    return text, finish


async def test_an_answer_and_a_second_turn(model):
    async with engine(model) as backend:
        probe = await backend.probe()
        assert (probe.chats, probe.constrains) == (True, True)
        assert probe.calls_tools is False, "the test model's template has no place for tools"
        text, finish = await ask(backend, chat_of(*QUESTION, max_tokens=12))
        assert text
        assert (finish.reason, finish.usage.generated_tokens) == ("length", 12)
        whole = finish.usage.prompt_tokens
        assert finish.usage.prefilled_tokens == whole > 1_000
        turns = (*QUESTION, assistant(text, QUESTION), user("Why?"))
        _, finish = await ask(backend, chat_of(*turns))
        assert finish.usage.prompt_tokens > whole
        assert finish.usage.prefilled_tokens < 60, "the conversation so far is in the cache"
        # The same options on each call: tools that the template leaves out change nothing either.
        _, finish = await ask(backend, chat_of(*turns, tools=(TOOL,)))
        assert finish.usage.prefilled_tokens <= 2


async def test_the_models_own_template_is_used_and_chatml_where_it_has_none(model, tmp_path):
    told = chat_of(system("Be brief."), user("Hello there."), max_tokens=1)
    bare = tmp_path / "bare.gguf"
    without_template(model, bare)
    # The test model's template is ChatML but for the last line end, which a template loses.
    for path, end in ((model, ""), (str(bare), "\n")):
        async with engine(path, 512) as backend:
            assert (await backend.probe()).chats
            _, finish = await ask(backend, told)
            text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello there.<|im_end|>\n"
            _, _, raw = await run(backend, f"{text}<|im_start|>assistant{end}", 1)
            assert raw.usage.prompt_tokens == finish.usage.prompt_tokens


def without_template(source, target):
    """The same model without its chat template."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "qwen2")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "tokenizer.chat_template"):
            continue
        kind = field.types[0]
        sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=sub)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


async def test_completion_goes_on_beside_a_chat_and_keeps_its_cache(model):
    async with engine(model) as backend:
        await run(backend, PROMPT)
        await ask(backend, chat_of(*QUESTION))
        _, _, finish = await run(backend, PROMPT + "x")
        assert finish.usage.prefilled_tokens <= 8
        async with aclosing(backend.chat(chat_of(*QUESTION, max_tokens=6_000))) as answer:
            first = await anext(answer)
            assert first.usage.prefilled_tokens <= 8, "so did the chat"
            _, _, finish = await run(backend, PROMPT + "xy")
            assert finish.usage.prefilled_tokens <= 8
            assert isinstance(await anext(answer), Delta), "the chat goes on"
        # Left early, it is over: a chat that needs the same slot is answered.
        assert (await ask(backend, chat_of(user("Why?"))))[1].reason == "length"


async def test_only_who_chats_pays_for_a_second_slot(model):
    async with engine(model, 1024, roles=("complete",)) as backend:
        probe = await backend.probe()
        assert (probe.slots, probe.context_tokens) == (1, 1024)
    async with engine(model, 1024) as backend:
        probe = await backend.probe()
        assert (probe.slots, probe.context_tokens) == (2, 1024)


async def test_a_schema_holds_the_answer(model):
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["question", "statement"]}},
        "required": ["kind"],
        "additionalProperties": False,
    }
    async with engine(model, 1024) as backend:
        text, finish = await ask(backend, chat_of(user("Which?"), max_tokens=400, temperature=0.0, schema=schema))
        if finish.reason == "stop":
            assert json.loads(text)["kind"] in ("question", "statement")
        else:
            assert text.startswith("{"), "white space without end is within the schema"


async def test_overflow_is_named_and_nothing_is_left_out(model):
    async with engine(model, 512) as backend:
        with pytest.raises(ContextOverflow) as caught:
            await ask(backend, chat_of(*QUESTION))
        assert "context_tokens" in caught.value.remedy
        assert (await ask(backend, chat_of(user("Hello"))))[1].reason == "length"
        # An answer that fills what is left ends as one that is cut short, never as one that is done.
        _, finish = await ask(backend, chat_of(user("Hello"), max_tokens=5_000))
        assert finish.reason == "length"


async def test_a_real_tokenizer_makes_at_least_as_many_tokens(model):
    texts = [PROMPT, "The quick brown fox jumps over the lazy dog. " * 40, "getElementById(fooBar) # it's\n" * 50]
    async with server(model, 1, "split") as backend, httpx.AsyncClient(trust_env=False) as client:
        for text in texts:
            answer = await client.post(f"{backend.url}/tokenize", json={"content": text})
            assert 100 < least_tokens(text) <= len(answer.json()["tokens"])
        request = chat_of(*QUESTION)
        assert not was_cut(request.messages, (await ask(backend, request))[1].usage)


async def test_a_server_that_shares_its_cache_among_its_slots_is_noticed(model):
    """It clears what a named slot has read as soon as another one works; not if it may choose the slot itself."""
    async with server(model, 4, "unified") as backend:
        await run(backend, PROMPT)
        await ask(backend, chat_of(*QUESTION))
        _, _, finish = await run(backend, PROMPT + "x")
        assert finish.usage.prefilled_tokens == finish.usage.prompt_tokens, "read anew, once"
        for typed in ("xy", "xyz"):
            await ask(backend, chat_of(*QUESTION))
            _, _, finish = await run(backend, PROMPT + typed)
            assert finish.usage.prefilled_tokens <= 8
        _, finish = await ask(backend, chat_of(*QUESTION))
        assert finish.usage.prefilled_tokens <= 8


@pytest.mark.parametrize("count", [1, 2])
async def test_slots_of_their_own_keep_both_caches(model, count):
    async with server(model, count, "split") as backend:
        for typed in ("", "x", "xy"):
            _, _, completed = await run(backend, PROMPT + typed)
            _, chatted = await ask(backend, chat_of(*QUESTION))
        assert completed.usage.prefilled_tokens <= 8
        assert chatted.usage.prefilled_tokens <= 8


async def test_a_cancelled_chat_frees_its_slot(model):
    async with server(model, 2, "split") as backend:
        generator = backend.chat(chat_of(*QUESTION, max_tokens=2_500))
        await anext(generator)
        assert [slot["is_processing"] for slot in await slots(backend.url)] == [False, True]
        await generator.aclose()
        await idle(backend.url)


async def test_without_a_probe_a_chat_is_told_that_the_model_is_loading(model):
    backend = make(BackendSettings("embedded", model=model))
    with pytest.raises(ModelLoading):
        await ask(backend, chat_of(user("x")))
    await backend.aclose()


async def test_chats_that_queue_keep_no_completion_out(model):
    """More of them than the engine has slots, all of them long: the completion's slot is its own."""
    async with engine(model) as backend:
        await run(backend, PROMPT)
        long = [backend.chat(chat_of(user(f"{n}"), max_tokens=7_000)) for n in range(6)]
        tasks = [asyncio.create_task(anext(answer)) for answer in long]
        try:
            async with asyncio.timeout(HANG_S):
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            _, _, finish = await run(backend, PROMPT + "x")
            assert finish.usage.prefilled_tokens <= 8
            assert not all(task.done() for task in tasks), "the others still wait"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for answer in long:
                await answer.aclose()
