"""The courier against the OpenRouter of the tests: what leaves, what the ledger hears of it, and what it never does."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from dataclasses import replace

import psutil
import pytest
import pytest_asyncio

from backends.fake import Answer, Fake
from backends.test_faults import stream, whole
from courier.rig import FREE, HANG_S, KEY, PAID, PATIENT, SHORT, WIRE, Told, an_ask, carry
from hearth.backends.base import Delta
from hearth.courier import client
from hearth.courier.client import Courier
from hearth.courier.records import Ask, Outcome
from hearth.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EgressDenied,
    LedgerError,
    OutOfCredits,
    ProtocolFault,
    RateLimited,
    ServerFault,
    Unauthorised,
)
from openrouter.account import Account
from openrouter.emulator import Emulator, Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOON = 1_795_262_400.0
SECRET = "sk-or-v1-never-to-be-seen"
PROMPT = "a prompt that no log may hold"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def courier():
    courier = Courier(deadlines=PATIENT)
    await courier.warm()
    yield courier
    await courier.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def router():
    async with Emulator(clock=lambda: NOON, account=Account(credits=50, credits_ever=50)) as emulator:
        yield emulator


async def test_an_answer(courier, router):
    router.then(Reply("def add(a, b):\n    return a + b\n", provider="Novita"))
    told = await carry(courier, an_ask(router.url, "write add", max_tokens=64))
    assert told.text == "def add(a, b):\n    return a + b\n"
    end = told.end
    assert isinstance(end, Outcome)
    assert (end.reason, end.model, end.provider, end.generation) == ("stop", FREE, "Novita", "gen-1")
    assert (end.prompt_tokens, end.generated_tokens, end.cached_tokens, end.cost) == (4, 8, 0, 0.0)
    assert [(r.status, r.generation) for r in told.received] == [(200, "gen-1")]


async def test_the_ledger_has_exactly_the_bytes_that_left(courier, router):
    marked = [{"type": "text", "text": "keep é😀 ", "cache_control": {"type": "ephemeral"}}]
    tools = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object", "properties": {}}}}]
    fields = {
        "tools": tools,
        "stop": ["\n\n"],
        "temperature": 0.2,
        "session_id": "s",
        "models": [PAID],
        "plugins": [{"id": "context-compression", "enabled": False}],
        "provider": {"data_collection": "deny", "zdr": True, "max_price": {"prompt": 1}},
    }
    told = await carry(courier, an_ask(router.url, marked, max_tokens=64, **fields))
    assert told.reason == "stop"
    assert [s.body for s in told.sent] == [seen.body for seen in router.captured]
    body = router.captured[0].json
    assert body["messages"][0]["content"] == marked, "what the cache needs is not taken out"
    assert {name: body[name] for name in fields} == fields
    assert set(body) <= {*fields, "model", "messages", "max_tokens", "stream", "stream_options", "usage"}


async def test_what_is_said_beside_the_body(courier, router):
    await carry(courier, an_ask(router.url, max_tokens=64))
    headers = router.captured[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["accept-encoding"] == "identity"
    allowed = {"host", "connection", "user-agent", "accept", "accept-encoding", "authorization", "content-type"}
    assert set(headers) == allowed | {"content-length"}
    assert b"litellm" not in router.captured[0].raw.lower()


async def test_nothing_leaves_before_the_ledger_has_it(courier, router):
    class Slow(Told):
        async def on_request(self, sent):
            await asyncio.sleep(0.1)
            assert router.seen.connections == before
            assert router.captured == []
            await super().on_request(sent)

    before = router.seen.connections
    told = await carry(courier, an_ask(router.url, max_tokens=64), told=Slow())
    assert (told.reason, len(router.captured)) == ("stop", 1)


async def test_nothing_leaves_if_the_ledger_fails(courier, router):
    class Full(Told):
        async def on_request(self, sent):
            raise LedgerError("the disk is full", "Make room.")

    told = await carry(courier, an_ask(router.url), told=Full())
    assert isinstance(told.end, LedgerError)
    assert (router.captured, router.seen.connections, told.received) == ([], 0, [])


async def test_nothing_leaves_if_the_ledger_is_too_slow(courier, router):
    class Stuck(Told):
        async def on_request(self, sent):
            await asyncio.sleep(HANG_S)

    told = await carry(courier, an_ask(router.url), SHORT, told=Stuck())
    assert isinstance(told.end, DeadlineExceeded)
    assert (router.captured, router.seen.connections) == ([], 0)


@pytest.mark.parametrize(
    "approved", ["http://127.0.0.1:1", "https://127.0.0.1:{port}", "http://localhost:{port}", "http://127.0.0.1", "x"]
)
async def test_the_host_is_pinned_to_the_approval(courier, router, approved):
    told = await carry(courier, an_ask(router.url, origin=approved.format(port=router.port)))
    assert isinstance(told.end, EgressDenied)
    assert (told.sent, router.seen.connections) == ([], 0)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}@192.0.2.1", "http://u:p@127.0.0.1:{port}", "http://[::1"])
async def test_an_address_that_pretends(courier, router, url):
    origin = url.format(port=router.port)
    told = await carry(courier, Ask(origin, f"{origin}/api/v1", FREE, ({"role": "user", "content": "x"},), 8))
    assert isinstance(told.end, EgressDenied)
    assert router.seen.connections == 0


async def test_the_key_is_seen_by_the_provider_alone(courier, router, caplog):
    router.account.key = SECRET
    caplog.set_level(logging.DEBUG)
    router.then(Reply(PROMPT), Answer(b"nonsense", "500 X"), Reply(PROMPT, error=(502, PROMPT, "x")))
    for _ in range(3):
        await carry(courier, an_ask(router.url, PROMPT, max_tokens=64), key=SECRET)
    assert [seen.headers["authorization"] for seen in router.captured] == [f"Bearer {SECRET}"] * 3
    process = psutil.Process(courier.pid)
    assert SECRET not in str([process.cmdline(), process.environ()])
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert SECRET not in told
    assert PROMPT not in told


async def test_a_wrong_key(courier, router):
    told = await carry(courier, an_ask(router.url), key="other")
    assert isinstance(told.end, Unauthorised)
    assert len(router.captured) == 1


async def test_quota_money_and_context(courier, router):
    router.account.used_in_day[int(NOON) // 86_400] = 1_000
    told = await carry(courier, an_ask(router.url))
    assert isinstance(told.end, RateLimited)
    assert told.end.retry_after_s is not None
    router.account.credits = 0
    assert isinstance((await carry(courier, an_ask(router.url, model=PAID))).end, OutOfCredits)
    router.account = Account()
    told = await carry(courier, an_ask(router.url, "x" * 40_000, model="xiaomi/mimo-v2-flash:free"))
    assert isinstance(told.end, ContextOverflow)
    assert len(router.captured) == 3, "none of these is tried twice"


async def test_what_a_session_saves(courier, router):
    """A repeated prefix is read from the cache, and the price told is the one that is charged."""
    costs = []
    for turn in ("a", "b"):
        ask = an_ask(router.url, "x" * 8_000 + turn, model=PAID, max_tokens=64, session_id="s")
        end = (await carry(courier, ask)).end
        assert isinstance(end, Outcome)
        costs.append((end.cached_tokens, end.cost))
    assert [cached for cached, _ in costs] == [0, 1_984]
    assert costs[1][1] < costs[0][1]
    assert sum(cost for _, cost in costs) == pytest.approx(router.account.usage)


async def test_an_error_in_the_middle(courier, router):
    router.then(Reply("half of ", error=("server_error", "Provider disconnected", "provider_unavailable")))
    told = await carry(courier, an_ask(router.url, max_tokens=64))
    assert told.text == "half of "
    assert isinstance(told.end, ServerFault)
    assert "Provider disconnected" in told.end.message


async def test_many_at_once(courier, router):
    router.script.extend(Reply(f"answer {n}", pace_s=0.005) for n in range(8))
    tolds = await asyncio.gather(*(carry(courier, an_ask(router.url, f"{n}", max_tokens=64)) for n in range(8)))
    assert sorted(told.text for told in tolds) == [f"answer {n}" for n in range(8)]
    router.script.extend(Reply("x", hang=True) for _ in range(8))
    streams = [courier.generate(an_ask(router.url, max_tokens=64), KEY, *sinks(), PATIENT) for _ in range(9)]
    async with asyncio.timeout(HANG_S):
        first = await asyncio.gather(*(anext(s) for s in streams), return_exceptions=True)
        assert sorted(type(f).__name__ for f in first) == ["Delta"] * 8 + ["ServerFault"]
        await asyncio.gather(*(s.aclose() for s in streams))
    assert (await carry(courier, an_ask(router.url, max_tokens=64))).reason == "stop"


def sinks():
    told = Told()
    return told.on_request, told.on_response


async def test_catalogue_and_key_status(courier, router):
    told = Told()
    how = (told.on_request, told.on_response)
    models = await courier.fetch(router.url, router.base_url, "/models", "", *how)
    assert FREE in {entry["id"] for entry in models["data"]}
    status = await courier.fetch(router.url, router.base_url, "/key", KEY, *how)
    assert status["data"]["free_model_daily_requests"]["limit"] == 1_000
    assert [(s.method, s.url, s.body) for s in told.sent] == [
        ("GET", f"{router.base_url}/models", b""),
        ("GET", f"{router.base_url}/key", b""),
    ]
    assert "authorization" not in router.captured[0].headers
    assert [r.status for r in told.received] == [200, 200]
    with pytest.raises(Unauthorised):
        await courier.fetch(router.url, router.base_url, "/key", "other", *how)
    with pytest.raises(EgressDenied):
        await courier.fetch("http://127.0.0.1:1", router.base_url, "/models", "", *how)


async def test_a_catalogue_that_is_none(courier):
    routes = {"/api/v1/models": Answer(b"<html>", media="text/html"), "/api/v1/key": Answer(b"[1]")}
    async with Fake(routes) as fake:
        for path in ("/models", "/key"):
            with pytest.raises(ProtocolFault):
                await courier.fetch(fake.url, f"{fake.url}/api/v1", path, "", *sinks())


async def test_a_message_that_does_not_fit_is_an_error(courier, router):
    bad = replace(an_ask(router.url), max_tokens="many")
    assert isinstance((await carry(courier, bad)).end, ProtocolFault)
    strange = replace(an_ask(router.url), messages=({"role": "user"},), model="")
    told = await carry(courier, strange)
    assert not isinstance(told.end, Outcome)


@pytest.mark.skipif(sys.platform == "win32", reason="stops the process by a signal")
async def test_a_courier_that_hangs_is_not_waited_for(courier, router):
    router.then(Reply("x", hang=True))
    patient = replace(SHORT, idle_s=20, first_byte_s=20, connect_s=20)
    async with aclosing(courier.generate(an_ask(router.url, max_tokens=64), KEY, *sinks(), patient)) as events:
        assert isinstance(await anext(events), Delta)
        os.kill(courier.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(HANG_S):
                with pytest.raises(DeadlineExceeded):
                    await anext(events)
        finally:
            os.kill(courier.pid, signal.SIGCONT)


async def test_it_is_there_only_while_it_is_needed(router):
    courier = Courier(deadlines=PATIENT, idle_s=0.05)
    assert courier.pid is None
    await courier.fetch(router.url, router.base_url, "/models", "", *sinks())
    first = courier.pid
    assert first is not None
    async with asyncio.timeout(HANG_S):
        while courier.pid is not None:
            await asyncio.sleep(0.01)
        await courier.fetch(router.url, router.base_url, "/models", "", *sinks())
    assert courier.pid not in (None, first)
    await courier.aclose()
    assert courier.pid is None
    with pytest.raises(ServerFault):
        await courier.warm()


async def test_without_litellm_it_says_how_to_get_it(router, monkeypatch):
    argv = client.python_argv("hearth.courier.service")
    without = "import sys, runpy; sys.modules['litellm'] = None; runpy.run_module(sys.argv[1], run_name='__main__')"
    monkeypatch.setattr(client, "python_argv", lambda module: [*argv[:2], "-c", without, module])
    courier = client.Courier(deadlines=PATIENT)
    told = await carry(courier, an_ask(router.url))
    assert isinstance(told.end, ServerFault)
    assert "hearth[cloud]" in told.end.remedy
    assert (await courier.fetch(router.url, router.base_url, "/models", "", *sinks()))["data"], "this needs none"
    await courier.aclose()


WATCH = """
import sys, json, os
seen = []
sys.addaudithook(lambda name, args: seen.append([name, str(args)]) if name in {
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen", "os.system",
    "urllib.Request"} or (name == "open" and str(args[0]).endswith(".env")) else None)
from hearth.courier import library
import asyncio
os.chdir(sys.argv[1])
out = sys.stdout
library.prepare()
loaded = library.load()
asyncio.run(library.rehearse(loaded))
names = sorted(n for n in os.environ if "PROXY" in n.upper() or "API" in n.upper())
json.dump([seen, names, os.environ.get("FROM_DOT_ENV"), os.getcwd()], out)
"""


async def test_the_library_contacts_nobody_and_reads_no_env_file(tmp_path):
    """Import and first use, in a folder with a hostile `.env`, with a hostile environment."""
    (tmp_path / ".env").write_text("FROM_DOT_ENV=1\nOPENROUTER_API_BASE=http://127.0.0.1:9/\n")
    hostile = {"HTTPS_PROXY": "http://127.0.0.1:9", "OPENROUTER_API_BASE": "http://127.0.0.1:9", "OR_API_KEY": SECRET}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", "-c", WATCH, str(tmp_path)],
        env={**os.environ, **hostile},
        capture_output=True,
        text=True,
        timeout=2 * HANG_S,
    )
    assert done.returncode == 0, done.stderr
    seen, names, from_file, folder = json.loads(done.stdout)
    assert seen == []
    assert (names, from_file) == ([], None)
    assert folder != str(tmp_path)


MODELS = (
    "openrouter/free", "openrouter/auto", "qwen/qwen3-coder:free", "mistralai/devstral-2-2512:free",
    "xiaomi/mimo-v2-flash:free", "minimax/minimax-m2.1", "deepseek/deepseek-v3.2", "anthropic/claude-sonnet-4.5",
    "anthropic/claude-3.7-sonnet:thinking", "openai/gpt-5", "openai/o3-mini", "openai/gpt-4o-mini",
    "google/gemini-2.5-pro", "x-ai/grok-code-fast-1", "moonshotai/kimi-k2", "z-ai/glm-4.6", "meta-llama/llama-3.3-70b",
    "cohere/command-a", "perplexity/sonar", "azure/x", "bedrock/x", "ollama/x", "no-vendor",
)  # fmt: skip
TALK = (
    {"role": "system", "content": [{"type": "text", "text": "rules", "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "content": "read it"},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "read", "arguments": '{"p": 1}'}}]},
    {"role": "tool", "tool_call_id": "a", "content": "text\u2028\ttext"},
    {"role": "assistant", "content": "so"},
    {"role": "user", "content": ""},
)  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
async def test_whatever_the_model_the_library_changes_nothing(courier, model):
    """It knows many providers by name, and treats their messages and options in ways of its own."""
    tools = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]
    fields = {"tools": tools, "tool_choice": "auto", "parallel_tool_calls": False, "temperature": 0, "seed": 1}
    fields["response_format"] = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {}}}
    async with Fake({WIRE.path: stream(WIRE, whole(WIRE, "a", "b"))}) as fake:
        told = await carry(courier, replace(an_ask(fake.url, model=model, **fields), messages=TALK))
        assert (told.text, told.reason) == ("ab", "stop")
        body = fake.seen.bodies(WIRE.path)[0]
    assert (body["model"], body["messages"]) == (model, [*TALK])
    assert {name: body[name] for name in fields} == fields
