"""The one door: where it lets requests go, and how it keeps track of servers."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest

from hearth.backends.base import Finish, Generate, Probe
from hearth.backends.scripted import Rule, Script, ScriptedBackend
from hearth.errors import BackendError, EgressDenied, HearthError
from hearth.gateway import Gateway, Member, is_loopback


class Elsewhere(ScriptedBackend):
    """A backend that claims to be at another host and counts what reaches it."""

    def __init__(self, url: str) -> None:
        super().__init__(Script(text="x"))
        self._url = url
        self.probes = 0

    @property
    def url(self) -> str:
        return self._url

    async def probe(self) -> Probe:
        self.probes += 1
        return await super().probe()


@asynccontextmanager
async def running(
    backends: Sequence[ScriptedBackend], own_hosts: Sequence[str] = (), told: list[HearthError] | None = None
) -> AsyncGenerator[Gateway]:
    async def find() -> list[Member]:
        return [Member(backend, ("complete",)) for backend in backends]

    gateway = Gateway(find, own_hosts, (told if told is not None else []).append)
    task = asyncio.create_task(gateway.run())
    await gateway.probed.wait()
    try:
        yield gateway
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("api.localhost", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("", False),
    ],
)
def test_what_counts_as_this_machine(host: str, here: bool) -> None:
    assert is_loopback(host) == here


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1:8080", "https://models.example", "http://user@127.0.0.1@evil.example"]
)
async def test_another_host_is_not_even_probed(url: str) -> None:
    told: list[HearthError] = []
    backend = Elsewhere(url)
    async with running([backend], told=told) as gateway:
        assert gateway.target("complete") is None
        assert backend.probes == 0
        assert len(told) == 1
        assert "own_hosts" in told[0].remedy
        with pytest.raises(EgressDenied):
            gateway.check(url)


async def test_a_host_the_user_declared_is_used() -> None:
    backend = Elsewhere("http://BOX.lan:8080")
    async with running([backend], own_hosts=["box.lan"]) as gateway:
        target = gateway.target("complete")
        assert target
        events = [e async for e in gateway.stream(target, Generate("p", 10))]
        assert isinstance(events[-1], Finish)
        assert gateway.totals.calls == 1
        assert gateway.totals.prompt > 0


async def test_a_server_that_fails_every_generation_is_rested_and_named_once() -> None:
    told: list[HearthError] = []
    backend = ScriptedBackend(Script(rules=(Rule(fault="server"),)))
    async with running([backend], told=told) as gateway:
        for _ in range(2):
            target = gateway.target("complete")
            assert target
            with pytest.raises(BackendError):
                _ = [e async for e in gateway.stream(target, Generate("p", 10))]
        await asyncio.sleep(0)
        assert gateway.target("complete") is None
        assert len(told) == 1
        assert gateway.totals.failures == 2
        assert "scripted" not in gateway.why_no_target("chat")


async def test_a_role_that_no_server_has() -> None:
    async with running([ScriptedBackend(Script())]) as gateway:
        assert gateway.target("chat") is None
        assert gateway.targets("chat") == []
        assert gateway.why_no_target("chat") == 'no model server has "chat" among its roles in settings.toml'
    async with running([]) as gateway:
        assert gateway.why_no_target("chat") == "no model server answers on this machine"


async def test_a_model_without_fill_in_tokens_is_not_a_target_and_the_reason_says_so() -> None:
    async with running([ScriptedBackend(Script(dialect="", model="chatty"))]) as gateway:
        assert gateway.target("complete") is None
        assert "chatty has no known fill-in-the-middle tokens" in gateway.why_no_target("complete")
