"""Text to embed goes through the same door as prompts, to the right server, and never gets in a completion's way."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest

from hearth.backends.base import Backend, Finish, Generate, Probe
from hearth.backends.scripted import Script, ScriptedBackend
from hearth.errors import BackendError, EgressDenied, HearthError, ModelLoading, ModelMissing, ServerFault, Unreachable
from hearth.gateway import Gateway, Member

MODEL = "bge"
HANG_S = 10


class Embeds(ScriptedBackend):
    """A server that embeds: each text becomes (its length, 1). `hold`: answers wait until it is set."""

    def __init__(self, script: Script | None = None, *, models: Sequence[str] = (MODEL,), url: str = "inproc:") -> None:
        super().__init__(script or Script(text="x"))
        self.models = models
        self.asked: list[tuple[str, ...]] = []
        self.broken_off = 0
        self.fault: BackendError | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.began = asyncio.Event()
        self._url = url

    @property
    def name(self) -> str:
        return f"embeds {id(self)}"

    @property
    def url(self) -> str:
        return self._url

    async def can_embed(self, model: str) -> bool:
        if self.fault:
            raise self.fault
        return model in self.models

    async def embed(self, texts: Sequence[str], model: str) -> list[tuple[float, ...]]:
        self.asked.append(tuple(texts))
        self.began.set()
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.broken_off += 1
            raise
        if self.fault:
            raise self.fault
        if model not in self.models:
            raise ModelMissing(f"no {model}", "Get it.")
        return [(float(len(text)), 1.0) for text in texts]


@asynccontextmanager
async def running(
    *members: tuple[Backend, tuple[str, ...]], own_hosts: Sequence[str] = (), told: list[HearthError] | None = None
) -> AsyncGenerator[Gateway]:
    async def find() -> list[Member]:
        return [Member(backend, roles) for backend, roles in members]

    gateway = Gateway(find, own_hosts, (told if told is not None else []).append)
    task = asyncio.create_task(gateway.run())
    await gateway.probed.wait()
    try:
        async with asyncio.timeout(HANG_S):
            yield gateway
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


USUAL = ("complete", "chat")


async def test_vectors_come_through_the_door_and_are_counted() -> None:
    backend = Embeds()
    async with running((backend, USUAL)) as gateway:
        assert await gateway.embed(["ab", "c"], MODEL) == [(2.0, 1.0), (1.0, 1.0)]
        assert gateway.totals.embedded == 2
        assert gateway.totals.calls == 0


async def test_the_first_server_that_has_the_model_gets_the_text() -> None:
    first, second, third = ScriptedBackend(Script()), Embeds(models=("other",)), Embeds()
    async with running((first, USUAL), (second, USUAL), (third, USUAL)) as gateway:
        await gateway.embed(["ab"], MODEL)
        assert (second.asked, third.asked) == ([], [("ab",)])
        await gateway.embed(["ab"], "other")
        assert second.asked == [("ab",)]


async def test_the_role_decides_over_the_order() -> None:
    first, second = Embeds(), Embeds(models=())
    async with running((first, USUAL), (second, ("embed",))) as gateway:
        with pytest.raises(ModelMissing):  # it is asked all the same: some servers take any name for their one model
            await gateway.embed(["ab"], MODEL)
        assert (first.asked, second.asked) == ([], [("ab",)])


async def test_no_server_has_the_model() -> None:
    async with running((Embeds(models=()), USUAL), (ScriptedBackend(Script()), USUAL)) as gateway:
        with pytest.raises(ModelMissing) as caught:
            await gateway.embed(["ab"], MODEL)
        assert MODEL in caught.value.message
        assert "embedding_model" in caught.value.remedy


async def test_a_server_that_is_away_is_not_asked_and_one_that_fails_is_looked_for_again() -> None:
    away, other = Embeds(Script(state="down")), Embeds()
    async with running((away, USUAL)) as gateway:
        with pytest.raises(Unreachable):
            await gateway.embed(["ab"], MODEL)
        assert away.asked == []
    first = Embeds()
    async with running((away, USUAL), (first, USUAL), (other, USUAL)) as gateway:
        await gateway.embed(["ab"], MODEL)
        first.fault = ServerFault("broken")
        with pytest.raises(ServerFault):
            await gateway.embed(["cd"], MODEL)
        await gateway.embed(["cd"], MODEL)
        assert other.asked == [("cd",)]
        assert gateway.target("complete") is not None, "embedding has no say in whether a server completes"


async def test_before_the_servers_are_known() -> None:
    async def find() -> list[Member]:
        return []

    with pytest.raises(ModelLoading):
        await Gateway(find, (), lambda _: None).embed(["ab"], MODEL)


async def test_a_server_with_only_an_embedding_model_is_no_trouble() -> None:
    told: list[HearthError] = []

    class NoCode(Embeds):
        async def probe(self) -> Probe:
            return Probe("ollama", "inproc:", "ready", model="bge", problem="no fill-in-the-middle tokens are known")

    async with running((NoCode(), ("embed",)), told=told) as gateway:
        assert await gateway.embed(["ab"], MODEL)
        assert told == []
        assert gateway.target("complete") is None
    async with running((NoCode(), USUAL), told=told):
        assert len(told) == 1


@pytest.mark.parametrize("url", ["http://192.0.2.1:11434", "https://api.example/v1"])
async def test_nothing_is_sent_to_a_host_that_is_not_the_users(url: str) -> None:
    for roles in (USUAL, ("embed",)):
        backend = Embeds(url=url)
        async with running((backend, roles)) as gateway:
            with pytest.raises(HearthError):
                await gateway.embed(["secret"], MODEL)
            assert backend.asked == []


async def test_the_door_itself_refuses_also_where_the_server_was_chosen() -> None:
    backend = Embeds(url="http://box.lan:11434")
    async with running((backend, USUAL), own_hosts=["BOX.lan"]) as gateway:
        assert await gateway.embeds_at(MODEL) == "own"
        assert await gateway.embed(["ab"], MODEL, place="own")
        with pytest.raises(EgressDenied, match="were to stay here"):
            await gateway.embed(["made ready for this machine"], MODEL)
        backend._url = "http://elsewhere.example"
        with pytest.raises(EgressDenied):
            await gateway.embed(["secret"], MODEL, place="own")
        assert backend.asked == [("ab",)]


class Generates:
    """A generation that is held open."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __aenter__(self) -> None:
        target = self._gateway.target("complete")
        assert target
        self._events = self._gateway.stream(target, Generate("p", 10))
        await anext(self._events)

    async def __aexit__(self, *_: object) -> None:
        assert isinstance([event async for event in self._events][-1], Finish)


async def test_a_batch_waits_while_the_machine_generates() -> None:
    completes, backend = ScriptedBackend(Script(text="x" * 40)), Embeds(url="http://127.0.0.1:11434")
    # Another server, but the same processors.
    async with running((completes, USUAL), (backend, ("embed",))) as gateway:
        async with Generates(gateway):
            batch = asyncio.create_task(gateway.embed(["ab"], MODEL))
            await asyncio.sleep(0.02)
            assert backend.asked == []
            assert await gateway.embed(["question"], MODEL, urgent=True), "the user waits for this one"
        await batch
        assert backend.asked == [("question",), ("ab",)]


async def test_a_batch_makes_way_for_a_generation_and_is_sent_again() -> None:
    backend = Embeds(Script(text="x" * 40))
    async with running((backend, USUAL)) as gateway:
        await gateway.embed(["warm"], MODEL)
        backend.hold.clear()
        backend.began.clear()
        batch = asyncio.create_task(gateway.embed(["ab"], MODEL))
        await backend.began.wait()
        async with Generates(gateway):
            await asyncio.sleep(0.02)
            assert backend.broken_off == 1
            backend.hold.set()
            await asyncio.sleep(0.02)
            assert not batch.done()
        assert await batch == [(2.0, 1.0)]
        assert backend.asked == [("warm",), ("ab",), ("ab",)]


async def test_the_request_that_loads_the_model_is_not_broken_off() -> None:
    backend = Embeds(Script(text="x" * 40))
    async with running((backend, USUAL)) as gateway:
        backend.hold.clear()
        batch = asyncio.create_task(gateway.embed(["ab"], MODEL))
        await backend.began.wait()
        async with Generates(gateway):
            await asyncio.sleep(0.02)
            backend.hold.set()
            assert await batch
        assert (backend.broken_off, backend.asked) == (0, [("ab",)])


async def test_a_machine_of_its_own_is_not_waited_for() -> None:
    completes, backend = ScriptedBackend(Script(text="x" * 40)), Embeds(url="http://box.lan:11434")
    both = (completes, USUAL), (backend, ("embed",))
    async with running(*both, own_hosts=["box.lan"]) as gateway, Generates(gateway):
        assert await gateway.embed(["ab"], MODEL, place="own")


async def test_cancelling_ends_the_request() -> None:
    backend = Embeds()
    async with running((backend, USUAL)) as gateway:
        for _ in range(2):  # cold, then warm
            backend.hold.clear()
            backend.began.clear()
            batch = asyncio.create_task(gateway.embed(["ab"], MODEL))
            await backend.began.wait()
            batch.cancel()
            with pytest.raises(asyncio.CancelledError):
                await batch
            backend.hold.set()
            await gateway.embed(["ab"], MODEL)
        assert backend.broken_off == 2
