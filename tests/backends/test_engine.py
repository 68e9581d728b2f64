"""The real engine: llama.cpp in its own process, with a tiny model that the tests make themselves."""

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from hearth.backends.base import Delta, Finish, Generate
from hearth.backends.discover import identify, make
from hearth.backends.engine_process import threads
from hearth.errors import BackendError, ContextOverflow, ModelLoading
from hearth.settings import BackendSettings
from tiny_model import tiny_model

pytest.importorskip("xllamacpp", reason="the embedded engine is an optional extra")

HANG_S = 30
CONTEXT = 8192
SOURCE = (Path(json.__file__).parent / "decoder.py").read_text()
PROMPT = f"<|fim_prefix|>{SOURCE[:8000]}<|fim_suffix|>{SOURCE[8100:10000]}<|fim_middle|>"

# A plain llama-server, as a user would start one: no key, a port of its own, two slots.
PLAIN = """
import sys, time, xllamacpp
p = xllamacpp.CommonParams()
p.model.path = sys.argv[1]
p.n_ctx = 8192; p.n_parallel = 2; p.hostnames = ["127.0.0.1"]; p.port = 0; p.verbosity = 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
s = xllamacpp.Server(p)
print(s.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_data(tmp_path, monkeypatch):
    """The engine keeps its states in the data directory: not in the user's."""
    monkeypatch.setenv("HEARTH_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def model():
    return str(tiny_model(context=CONTEXT))


async def ready(backend):
    """Probe until the model is there."""
    async with asyncio.timeout(HANG_S):
        while (probe := await backend.probe()).state == "loading":
            await asyncio.sleep(0.02)
    return probe


@asynccontextmanager
async def engine(model, context_tokens=CONTEXT):
    backend = make(BackendSettings("embedded", model=model, context_tokens=context_tokens))
    try:
        probe = await ready(backend)
        assert probe.state == "ready", probe
        yield backend
    finally:
        await backend.aclose()


@pytest.fixture(scope="module")
def plain(model):
    """(url, process) of a plain llama-server."""
    env = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    argv = [sys.executable, "-c", PLAIN, model]
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield process.stdout.readline().strip()
        process.kill()


async def run(backend, prompt, max_tokens=8, stop=()):
    text, deltas, finish = "", 0, None
    async with asyncio.timeout(HANG_S):
        async for event in backend.generate(Generate(prompt, max_tokens, stop)):
            if isinstance(event, Delta):
                text += event.text
                deltas += 1
            else:
                assert finish is None
                finish = event
    return text, deltas, finish


async def slots(url):
    """What the server says of its slots, asked on a connection of its own."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        return (await client.get(f"{url}/slots")).json()


async def idle(url):
    """Wait until no slot of the server works any more."""
    async with asyncio.timeout(HANG_S):
        while any(slot["is_processing"] for slot in await slots(url)):
            await asyncio.sleep(0.005)


async def test_probe_finds_family_context_and_slots(model):
    async with engine(model, 4096) as backend:
        probe = await backend.probe()
        assert (probe.kind, probe.server, probe.dialect) == ("embedded", "llama.cpp", "qwen")
        assert (probe.context_tokens, probe.slots) == (4096, 2)
        assert probe.cached_tokens_visible
        assert probe.problem == ""
        assert probe.model == Path(model).name
        assert backend.url == probe.url


async def test_a_prompt_that_grows_costs_only_its_new_tokens(model):
    async with engine(model) as backend:
        _, _, finish = await run(backend, PROMPT)
        whole = finish.usage.prompt_tokens
        assert finish.usage.prefilled_tokens == whole > 2_000
        typed = ""
        for character in "return self.parse(":
            typed += character
            _, _, finish = await run(backend, PROMPT + typed)
            assert finish.usage.prefilled_tokens <= 8
            assert finish.usage.prompt_tokens > whole
        # Another place, and back again: the engine's own prompt cache has the first one still.
        await run(backend, "<|fim_prefix|>import os\n<|fim_suffix|><|fim_middle|>")
        _, _, finish = await run(backend, PROMPT + "x")
        assert finish.usage.prefilled_tokens < 100


async def test_text_and_usage(model):
    async with engine(model) as backend:
        text, deltas, finish = await run(backend, PROMPT, 24)
        assert isinstance(finish, Finish)
        assert (finish.reason, finish.usage.generated_tokens, deltas) == ("length", 24, 24)
        assert text.isascii()
        assert not set(text) - {"\n"} - set(map(chr, range(32, 127)))
        again, _, _ = await run(backend, PROMPT, 24)
        assert again == text, "greedy decoding is deterministic"
        cut = text[3:6]
        short, _, finish = await run(backend, PROMPT, 24, stop=(cut,))
        assert (short, finish.reason) == (text[: text.index(cut)], "stop")
        # Usage is known from the first piece on, since most generations are stopped early.
        async with aclosing(backend.generate(Generate(PROMPT, 8))) as events:
            first = await anext(events)
        assert first.usage.prompt_tokens == finish.usage.prompt_tokens
        assert first.usage.prefilled_tokens is not None
        # A request for no tokens only fills the cache.
        _, deltas, finish = await run(backend, PROMPT + "def other(", 0)
        assert deltas <= 1


async def test_it_tells_how_sure_the_model_is(plain):
    """The probabilities that are computed back from a sampling that is almost greedy are the model's own: compared
    with those that the server gives before sampling, which take it long to find."""
    backend = make(BackendSettings("llamacpp", plain))
    await backend.probe()
    unsure = 0
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        for line in ("for ", "import ", "    if not ", "# ", "print("):
            prompt = f"<|fim_prefix|>{line}<|fim_suffix|>\n<|fim_middle|>"
            body = {"prompt": prompt, "n_predict": 6, "temperature": 0, "n_probs": 10, "id_slot": 1}
            answer = (await client.post(f"{plain}/completion", json=body, timeout=HANG_S)).json()
            exact = [entry["logprob"] for entry in answer["completion_probabilities"]]
            events = [event async for event in backend.generate(Generate(prompt, 6)) if isinstance(event, Delta)]
            assert "".join(event.text for event in events) == answer["content"]
            told = [value for event in events for value in event.logprobs]
            assert list(map(math.exp, told)) == pytest.approx(list(map(math.exp, exact)), abs=0.02)
            unsure += sum(value < math.log(0.9) for value in told)
    assert unsure >= 2, "a comparison of certainties alone tells nothing"
    await backend.aclose()


@pytest.mark.parametrize("way", ["cancel", "aclose"])
async def test_cancelling_frees_the_slot(plain, way):
    """48: thousands of tokens were asked for; after the cancel the slot is free and far fewer were made."""
    backend = make(BackendSettings("llamacpp", plain))
    assert (await backend.probe()).slots == 2
    asked = 5_000
    generator = backend.generate(Generate("def f(", asked))
    first = await anext(generator)
    assert first.text
    assert any(slot["is_processing"] for slot in await slots(plain))
    if way == "aclose":
        await generator.aclose()
    else:
        task = asyncio.create_task(drain(generator))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await idle(plain)
    made = max(t["n_decoded"] for slot in await slots(plain) for t in as_list(slot.get("next_token")))
    assert made < asked
    _, deltas, _ = await run(backend, "def g(", 3)
    assert deltas == 3
    await backend.aclose()


async def test_cancelling_while_the_prompt_is_read_frees_the_slot(model):
    """The engine reads in small batches and reports each, so it notices that nobody listens before the prompt ends."""
    async with engine(model) as backend:
        generator = backend.generate(Generate(PROMPT * 2, 5_000))
        task = asyncio.create_task(anext(generator))
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The next request needs the only slot: it is served although thousands of tokens were asked for before.
        _, _, finish = await run(backend, "def g(", 3)
        assert finish.reason == "length"


async def drain(generator):
    async for _ in generator:
        pass


def as_list(value):
    return value if isinstance(value, list) else [value or {"n_decoded": 0}]


async def test_overflow_is_named(model):
    async with engine(model, 512) as backend:
        with pytest.raises(ContextOverflow) as caught:
            await run(backend, PROMPT)
        assert "context_tokens" in caught.value.remedy


async def test_a_plain_llama_server_is_recognised_and_pinned_to_its_first_slot(plain):
    found = await identify(plain)
    assert found == BackendSettings("llamacpp", plain)
    backend = make(found)
    probe = await backend.probe()
    assert (probe.state, probe.dialect, probe.slots, probe.context_tokens) == ("ready", "qwen", 2, CONTEXT // 2)
    await run(backend, "def f(", 2)
    assert [slot["id"] for slot in await slots(plain) if slot.get("n_prompt_tokens")] in ([0], [0, 1])
    _, _, finish = await run(backend, "def f(x", 2)
    assert finish.usage.prefilled_tokens <= 2
    await backend.aclose()


async def test_the_openai_wire_against_the_real_server(plain):
    backend = make(BackendSettings("openai", plain + "/v1", fim="qwen"))
    probe = await backend.probe()
    assert (probe.state, probe.server, probe.dialect) == ("ready", "llama.cpp", "qwen")
    text, deltas, finish = await run(backend, "def f(", 6)
    assert text
    assert deltas
    assert (finish.reason, finish.usage.generated_tokens) == ("length", 6)
    await run(backend, PROMPT[:3000], 2)
    _, _, finish = await run(backend, PROMPT[:3000] + " x", 2)
    assert finish.usage.prefilled_tokens < finish.usage.prompt_tokens
    assert (await backend.probe()).cached_tokens_visible
    await backend.aclose()


async def test_a_killed_engine_comes_back(model):
    """47: the error names it, and the worker starts the engine again, at another address."""
    async with engine(model) as backend:
        before, pid = backend.url, backend.pid
        generator = backend.generate(Generate("def f(", 5_000))
        await anext(generator)
        os.kill(pid, signal.SIGKILL)
        ends = []
        async with asyncio.timeout(HANG_S):
            try:
                async for event in generator:
                    ends += [event.reason] if isinstance(event, Finish) else []
            except BackendError as error:
                ends.append(type(error).__name__)
            assert ends == ["truncated"]
            while (probe := await backend.probe()).state != "ready":
                assert probe.state in ("loading", "down")
                with pytest.raises(BackendError):
                    await run(backend, "def f(", 1)
                await asyncio.sleep(0.05)
        assert backend.pid != pid
        assert backend.url != before
        assert (await run(backend, "def f(", 2))[1] == 2


async def test_without_a_probe_a_request_is_told_that_the_model_is_loading(model):
    backend = make(BackendSettings("embedded", model=model))
    with pytest.raises(ModelLoading):
        await run(backend, "def f(", 1)
    await backend.aclose()


async def test_the_engine_refuses_other_users_of_the_machine(model):
    async with engine(model) as backend:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            for path in ("/props", "/slots", "/v1/models"):
                assert (await client.get(backend.url + path)).status_code == 401
            refused = await client.post(f"{backend.url}/completion", json={"prompt": "x"})
            assert refused.status_code == 401
        sockets = psutil.Process(backend.pid).net_connections("tcp")
        assert {c.laddr.ip for c in sockets} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read"), (b"", "not a GGUF"), (b"MZ\x90", "not a GGUF"), (b"GGUF\x03\0\0\0", "could not load")],
)
async def test_a_bad_model_file_is_named(tmp_path, content, says):
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    backend = make(BackendSettings("embedded", model=str(path)))
    probe = await ready(backend)
    assert (probe.state, says in probe.problem) == ("no_model", True), probe
    assert "model.gguf" in probe.problem
    assert probe.remedy
    with pytest.raises(BackendError):
        await run(backend, "x")
    await backend.aclose()


@pytest.fixture
def half(tmp_path, model):
    path = tmp_path / "half.gguf"
    path.write_bytes(Path(model).read_bytes()[:1_000_000])
    return str(path)


async def test_a_truncated_model_file_is_named(half):
    backend = make(BackendSettings("embedded", model=half))
    probe = await ready(backend)
    assert probe.state in ("no_model", "down")
    assert probe.remedy
    await backend.aclose()


PARENT = """
import asyncio, sys
from hearth.backends.discover import make
from hearth.settings import BackendSettings
async def main():
    backend = make(BackendSettings("embedded", model=sys.argv[1]))
    while (await backend.probe()).state == "loading":
        pass
    print(backend.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_the_engine_dies_with_its_parent(model):
    argv = (sys.executable, "-c", PARENT, model)
    parent = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    child = psutil.Process(int(await parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(HANG_S):
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)


async def test_closing_ends_the_process(model):
    async with engine(model) as backend:
        child = psutil.Process(backend.pid)
        environment = child.environ()
    assert not child.is_running()
    assert environment["OMP_WAIT_POLICY"] == "passive"
    assert not {name for name in environment if name.startswith("PYTHON") or name.endswith("_KEY")}


def test_the_engine_never_takes_every_core():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert threads() == 1 if cores < 4 else 1 < threads() < cores
