"""Slot states: what the engine has read survives its end, and a damaged file never ends the engine twice."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from hearth.backends.base import Finish, Generate, Stateful
from hearth.backends.discover import make
from hearth.backends.states import FILES_MAX, STATE, UNFINISHED, States
from hearth.errors import HearthError
from hearth.gateway import Gateway, Member
from hearth.settings import BackendSettings
from tiny_model import tiny_model

HANG_S = 30
CONTEXT = 8192
HEAD = "<|fim_prefix|>" + "def f(x):\n    return x\n" * 300 + "<|fim_suffix|>\nend\n<|fim_middle|>"

# A llama-server as a user would start it, with a folder for states or without.
PLAIN = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path = sys.argv[1]
p.n_ctx = 8192; p.n_parallel = 2; p.hostnames = ["127.0.0.1"]; p.port = 0; p.verbosity = 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.slot_save_path = sys.argv[2]
s = xllamacpp.Server(p)
print(s.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("xllamacpp", reason="the embedded engine is an optional extra")
    return str(tiny_model(context=CONTEXT))


@asynccontextmanager
async def engine(model, folder):
    backend = make(BackendSettings("embedded", model=model, context_tokens=CONTEXT), states_dir=folder)
    try:
        yield backend, await ready(backend)
    finally:
        await backend.aclose()


async def ready(backend):
    async with asyncio.timeout(HANG_S):
        while (probe := await backend.probe()).state != "ready":
            await asyncio.sleep(0.02)
    return probe


async def prefilled(backend, prompt, max_tokens=2):
    """Tokens of the prompt that had to be read now."""
    async with asyncio.timeout(HANG_S):
        async for event in backend.generate(Generate(prompt, max_tokens)):
            if isinstance(event, Finish):
                return event.usage.prefilled_tokens
    return None


@pytest.mark.parametrize("end", ["close", "kill"])
async def test_what_was_read_survives_the_engine(model, tmp_path, end):
    folder = tmp_path / "slots"
    async with engine(model, folder) as (backend, probe):
        assert (probe.saves_state, probe.prefills) == (True, True)
        whole = await prefilled(backend, HEAD)
        assert whole > 2_000
        assert await backend.save_state("place")
        assert folder.stat().st_mode & 0o777 == 0o700
        if end == "kill":
            os.kill(backend.pid, signal.SIGKILL)
            while backend.pid is not None and (await backend.probe()).state == "ready":
                await asyncio.sleep(0.01)
    async with engine(model, folder) as (backend, _):
        assert await backend.restore_state("place") >= whole
        assert await prefilled(backend, HEAD + "x = ") <= 8
        assert await backend.restore_state("another place") is None
        # It may be read more than once.
        assert await backend.restore_state("place") >= whole
    async with engine(model, folder) as (backend, _):
        assert await prefilled(backend, HEAD + "x = ") >= whole, "without the state all of it is read again"


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def damage_flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def damage_other(path):
    path.write_bytes(b"GGUF" * 1000)


def damage_gone(path):
    path.unlink()


@pytest.mark.parametrize("damage", [damage_cut, damage_flip, damage_other, damage_gone])
async def test_a_damaged_state_is_not_shown_to_the_engine(model, tmp_path, damage):
    async with engine(model, tmp_path) as (backend, _):
        await prefilled(backend, HEAD)
        assert await backend.save_state("place")
        [path] = tmp_path.glob(f"*{STATE}")
        damage(path)
        pid = backend.pid
        assert await backend.restore_state("place") is None
        assert await prefilled(backend, HEAD + "x") <= 8, "it still has what it read"
        assert backend.pid == pid
        assert await backend.save_state("place")
        assert await backend.restore_state("place")


async def test_a_state_of_another_model_or_context_is_not_found(model, tmp_path):
    async with engine(model, tmp_path) as (backend, _):
        await prefilled(backend, HEAD)
        assert await backend.save_state("place")
    backend = make(BackendSettings("embedded", model=model, context_tokens=4096), states_dir=tmp_path)
    await ready(backend)
    assert await backend.restore_state("place") is None
    await backend.aclose()


async def test_a_folder_that_cannot_be_used_costs_only_the_states(model, tmp_path):
    (tmp_path / "slots").write_text("a file")
    async with engine(model, tmp_path / "slots") as (backend, probe):
        assert not probe.saves_state
        assert await prefilled(backend, "def f(") > 0
        assert not await backend.save_state("place")
        assert await backend.restore_state("place") is None


@pytest.fixture(params=[True, False], ids=["folder", "no folder"])
def plain(request, model, tmp_path):
    """(url, whether it was started with a folder for states) of a plain llama-server."""
    env = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    argv = [sys.executable, "-c", PLAIN, model, f"{tmp_path}/" if request.param else ""]
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield process.stdout.readline().strip(), request.param
        process.kill()


async def test_a_plain_llama_server_with_and_without_a_folder(plain, tmp_path):
    url, folder = plain
    backend = make(BackendSettings("llamacpp", url))
    probe = await ready(backend)
    assert (probe.saves_state, probe.prefills) == (folder, True)
    whole = await prefilled(backend, HEAD)
    assert await backend.save_state("place") == folder
    await prefilled(backend, "something else")
    restored = await backend.restore_state("place")
    assert (restored or 0) >= (whole if folder else 0)
    assert len(list(tmp_path.iterdir())) == folder
    if folder:
        assert await prefilled(backend, HEAD + "x = ") <= 8
        assert await backend.restore_state("never saved") is None
    await backend.aclose()


async def test_the_door_prefills_saves_and_restores(model, tmp_path):
    told: list[HearthError] = []
    backend = make(BackendSettings("embedded", model=model, context_tokens=CONTEXT), states_dir=tmp_path)

    async def find():
        return [Member(backend, ("complete",))]

    gateway = Gateway(find, (), told.append)
    running = asyncio.create_task(gateway.run())
    try:
        async with asyncio.timeout(HANG_S):
            while (target := gateway.target("complete")) is None:
                await asyncio.sleep(0.01)
        usage = await gateway.prefill(target, HEAD)
        assert usage.prefilled_tokens == usage.prompt_tokens > 2_000
        assert await prefilled(backend, HEAD + "x = ") <= 8
        assert await gateway.save_state(target, "place")
        assert await gateway.restore_state(target, "place") >= usage.prompt_tokens
        assert gateway.totals.prefilled >= usage.prompt_tokens
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await gateway.aclose()
    assert await gateway.prefill(target, HEAD) is None, "the engine has gone: nothing is raised"
    assert not await gateway.save_state(target, "place")


def test_a_file_is_kept_only_when_it_is_whole(tmp_path):
    states = States(tmp_path, "model", free_bytes_min=0)
    assert states.prepare()
    name = states.begin("a")
    assert name
    (tmp_path / name).write_bytes(b"12345")
    assert not states.keep("a", 6)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / states.begin("a")).write_bytes(b"12345")
    assert states.keep("a", 5)
    file, digest = states.unseal("a")
    assert (tmp_path / file).read_bytes() == b"12345"
    assert states.unseal("a") is None, "a file that the engine did not come back from is not tried again"
    states.reseal("a", digest)
    assert states.unseal("a") == (file, digest)
    assert States(tmp_path, "another model").unseal("a") is None


def test_nothing_is_written_on_a_disk_that_is_nearly_full(tmp_path):
    states = States(tmp_path, "model", free_bytes_min=10**18)
    assert states.prepare()
    assert states.begin("a") is None


def test_the_number_of_files_is_bounded(tmp_path):
    states = States(tmp_path, "model", free_bytes_min=0)
    assert states.prepare()
    for number in range(FILES_MAX + 5):
        part = tmp_path / states.begin(str(number))
        part.write_bytes(b"x")
        assert states.keep(str(number), 1)
        newest = max(tmp_path.glob(f"*{STATE}"), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (number, number))
    assert len(list(tmp_path.glob(f"*{STATE}"))) == FILES_MAX
    assert len(list(tmp_path.glob("*.seal"))) == FILES_MAX
    (tmp_path / f"left{UNFINISHED}").write_bytes(b"x")
    os.utime(tmp_path / f"left{UNFINISHED}", (0, 0))
    states.prepare()
    assert not list(tmp_path.glob(f"*{UNFINISHED}")), "what another life left unfinished is the first to go"


def test_the_embedded_engine_and_llama_servers_are_stateful():
    assert isinstance(make(BackendSettings("embedded", model="x")), Stateful)
    assert isinstance(make(BackendSettings("llamacpp")), Stateful)
    assert not isinstance(make(BackendSettings("ollama")), Stateful)
