"""Reading a prompt ahead: one token at the most is asked for, and only of servers that gain from it."""

import asyncio

import pytest

from backends.fake import WIRES, Answer, Fake, VllmWire, js
from hearth.backends.base import Generate, Probe, Usage
from hearth.backends.discover import make
from hearth.backends.scripted import Script, ScriptedBackend
from hearth.core.dialect import DIALECTS
from hearth.gateway import Gateway, Target
from hearth.settings import BackendSettings

ASKED = {"llamacpp": ("n_predict", 0), "ollama": ("num_predict", 1), "openai": ("max_tokens", 1)}


async def nobody():
    return []


def target_of(backend, probe: Probe) -> Target:
    return Target(backend, probe, DIALECTS["qwen"])


@pytest.mark.parametrize("kind", WIRES)
async def test_as_few_tokens_are_asked_for_as_the_server_takes(kind):
    wire = WIRES[kind]
    body = wire.event("x") + wire.last("length") + wire.end()
    async with Fake({**wire.routes(), wire.path: Answer(body, media=wire.media)}) as fake:
        backend = make(BackendSettings(kind, fake.url), {})
        probe = await backend.probe()
        assert probe.prefills
        assert not probe.saves_state
        gateway = Gateway(nobody, (), lambda _error: None)
        usage = await gateway.prefill(target_of(backend, probe), "a prompt")
        assert usage
        assert usage.prompt_tokens == 9
        [sent] = fake.seen.bodies(wire.path)
        name, count = ASKED[kind]
        assert sent.get("options", sent)[name] == count
        assert sent["prompt"] == "a prompt"
        assert not await gateway.save_state(target_of(backend, probe), "x")
        assert await gateway.restore_state(target_of(backend, probe), "x") is None
        await backend.aclose()


async def test_a_server_of_which_nothing_is_known_is_not_asked():
    entry = {"id": "qwen2.5-coder", "object": "model", "owned_by": "somebody"}
    routes = {"/v1/models": js({"object": "list", "data": [entry]})}
    wire = VllmWire()
    answer = Answer(wire.event("x") + wire.last() + wire.end(), media=wire.media)
    async with Fake({**routes, wire.path: answer}) as fake:
        backend = make(BackendSettings("openai", fake.url), {})
        gateway = Gateway(nobody, (), lambda _error: None)
        probe = await backend.probe()
        assert not probe.prefills
        assert await gateway.prefill(target_of(backend, probe), "a prompt") is None
        assert fake.seen.bodies(wire.path) == []
        # Once it has told of cached tokens, it keeps them.
        async for _ in gateway.stream(target_of(backend, probe), Generate("x", 1)):
            pass
        assert (await backend.probe()).prefills
        await backend.aclose()


async def test_a_failure_is_no_news_and_a_cancel_ends_it():
    backend = ScriptedBackend(Script(prefills=1, state="down"))
    gateway = Gateway(nobody, (), lambda _error: None)
    probe = Probe("scripted", "inproc:", "ready", prefills=True)
    assert await gateway.prefill(target_of(backend, probe), "x") is None
    backend = ScriptedBackend(Script(prefills=1, delay_ms=60_000))
    task = asyncio.create_task(gateway.prefill(target_of(backend, await backend.probe()), "x" * 400))
    while not backend.counts.calls:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.counts.cancelled == 1


async def test_the_scripted_backend_reads_ahead_without_using_its_rules():
    backend = ScriptedBackend(Script(prefills=1, text="answer"))
    gateway = Gateway(nobody, (), lambda _error: None)
    target = target_of(backend, await backend.probe())
    assert await gateway.prefill(target, "x" * 400) == Usage(100, 100, 0)
    assert await gateway.prefill(target, "x" * 404) == Usage(101, 1, 0)
    assert not (await ScriptedBackend(Script()).probe()).prefills


async def test_a_host_that_is_not_the_users_is_never_asked():
    """Neither for states nor ahead: nothing is sent, whatever the probe said."""
    backend = make(BackendSettings("llamacpp", "http://192.0.2.1:8080"), {})
    told = []
    gateway = Gateway(nobody, (), told.append)
    target = target_of(backend, Probe("llamacpp", backend.url, "ready", prefills=True, saves_state=True))
    assert await gateway.prefill(target, "x") is None
    assert not await gateway.save_state(target, "x")
    assert await gateway.restore_state(target, "x") is None
    assert backend.connects == 0
    await backend.aclose()
