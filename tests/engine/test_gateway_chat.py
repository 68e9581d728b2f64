"""Chats through the gateway: who may answer them, what is measured, and what is held against a server."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest

from hearth.backends.base import Chat, Delta, Finish, Generate, Probe, Usage
from hearth.backends.scripted import Rule, Script, ScriptedBackend
from hearth.core.exchange import ToolCall, user, wire
from hearth.errors import BackendError, ContextOverflow, DeadlineExceeded, EgressDenied, HearthError
from hearth.gateway import Gateway, Member, Server, Target

BOTH = ("complete", "chat")
HELLO = Chat((wire(user("hello")),), 64)


class Elsewhere(ScriptedBackend):
    """A scripted backend with a name and an address."""

    def __init__(self, script: Script, name: str, url: str = "inproc:") -> None:
        super().__init__(script)
        self._name = name
        self._url = url

    @property
    def name(self) -> str:
        return self._name

    @property
    def url(self) -> str:
        return self._url


class Bare:
    """A backend that is no Chatter, whatever its probe says."""

    name, url = "bare", "inproc:"

    async def probe(self) -> Probe:
        return Probe("openai", self.url, "ready", model="bare", dialect="qwen", chats=True)

    def generate(self, request: Generate) -> AsyncGenerator[Delta | Finish]:
        return ScriptedBackend(Script(text="x")).generate(request)

    async def aclose(self) -> None:
        pass


@asynccontextmanager
async def running(*members: Member, own_hosts: Sequence[str] = (), told: list[HearthError] | None = None):
    async def find() -> list[Member]:
        return list(members)

    gateway = Gateway(find, own_hosts, (told if told is not None else []).append)
    task = asyncio.create_task(gateway.run())
    await gateway.probed.wait()
    try:
        yield gateway
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(gateway: Gateway, target: Server, request: Chat = HELLO) -> tuple[str, Finish]:
    *deltas, end = [event async for event in gateway.chat(target, request)]
    assert isinstance(end, Finish)
    return "".join(delta.text for delta in deltas if isinstance(delta, Delta)), end


async def test_a_model_needs_no_fill_in_tokens_to_chat() -> None:
    chatty = Elsewhere(Script(dialect="", model="chatty", chat_text="hi"), "chatty")
    base = Elsewhere(Script(chats=0, model="base"), "base")
    other = Elsewhere(Script(model="other"), "other")
    members = [Member(base, BOTH), Member(chatty, ("chat",)), Member(Bare(), BOTH), Member(other, BOTH)]
    async with running(*members) as gateway:
        assert [target.backend.name for target in gateway.targets("chat")] == ["chatty", "other"]
        assert [target.backend.name for target in gateway.targets("complete")] == ["base", "bare", "other"]
        target, completing = gateway.target("chat"), gateway.target("complete")
        assert target
        assert not isinstance(target, Target)
        assert isinstance(completing, Target)
        assert completing.dialect.name == "qwen"
        assert (await ask(gateway, target))[0] == "hi"
        assert (gateway.totals.calls, gateway.totals.prompt) == (1, 3)
        assert chatty.counts.chats == [HELLO]


class Problem(Elsewhere):
    """A scripted backend whose model has no tokens to fill in with."""

    async def probe(self) -> Probe:
        return replace(await super().probe(), dialect="", problem="no tokens", remedy="another model")


async def test_that_it_cannot_fill_in_is_no_trouble_of_a_model_that_only_chats() -> None:
    for roles, problems in ((("chat",), 0), (BOTH, 1)):
        told: list[HearthError] = []
        async with running(Member(Problem(Script(), "x"), roles), told=told) as gateway:
            assert gateway.target("chat")
            assert len(told) == problems


async def test_why_nobody_chats() -> None:
    async with running(Member(Elsewhere(Script(chats=0, model="base"), "base"), BOTH)) as gateway:
        assert gateway.why_no_target("chat") == "base is a model for completion, which cannot chat"
    async with running(Member(Elsewhere(Script(state="loading", model="big"), "big"), BOTH)) as gateway:
        assert gateway.why_no_target("chat") == "big is still loading"


async def test_nothing_is_sent_to_another_host() -> None:
    backend = Elsewhere(Script(chat_text="x"), "far", "http://192.0.2.1:8080")
    async with running(Member(backend, BOTH)) as gateway:
        assert gateway.targets("chat") == []
        with pytest.raises(EgressDenied):
            await ask(gateway, Server(backend, await backend.probe()))
        assert backend.counts.calls == 0


class Told(Elsewhere):
    """A scripted backend that says what it is told to of its figures."""

    def __init__(self, name: str, **figures: object) -> None:
        super().__init__(Script(chat_text="x" * 400, chunk_chars=4), name)
        self._figures = figures

    async def chat(self, request: Chat) -> AsyncGenerator[Delta | Finish]:
        async with aclosing(super().chat(request)) as events:
            async for event in events:
                yield replace(event, **self._figures) if isinstance(event, Finish) else event


async def test_a_server_that_read_less_than_it_was_given_is_found_out() -> None:
    long = Chat((wire(user("one two three four " * 500)),), 8)
    for tokens, cut in ((900, True), (2600, False), (None, False)):
        backend = Told("x", usage=Usage(tokens))
        async with running(Member(backend, BOTH)) as gateway:
            target = gateway.target("chat")
            assert target
            _, end = await ask(gateway, target, long)
            assert (end.cut, end.usage.prompt_tokens) == (cut, tokens)


async def test_the_pace_of_chats_is_their_own() -> None:
    """Thoughts and calls take time without text: an answer with them says nothing of the pace."""
    for figures, counts in (
        ({}, True),
        ({"thought_chars": 5}, False),
        ({"calls": (ToolCall("a", "f", {}),)}, False),
        ({"broken_calls": 1}, False),
    ):
        backend = Told("x", **figures)
        async with running(Member(backend, BOTH)) as gateway:
            target, completing = gateway.target("chat"), gateway.target("complete")
            assert target
            assert completing
            await ask(gateway, target, replace(HELLO, max_tokens=1000))
            assert (gateway.pace(target).decode_tokens_per_s is not None) == counts
            assert gateway.pace(completing).decode_tokens_per_s is None
    backend = Elsewhere(Script(text="x" * 400), "x")
    async with running(Member(backend, BOTH)) as gateway:
        target, completing = gateway.target("chat"), gateway.target("complete")
        assert target
        assert completing
        async for _ in gateway.stream(completing, Generate("p", 1000)):
            pass
        # The best guess as long as nobody has chatted.
        known = gateway.pace(target).decode_tokens_per_s
        assert known
        assert known == gateway.pace(completing).decode_tokens_per_s


@pytest.mark.parametrize(
    ("fault", "down"),
    [
        ("server", False),
        ("deadline", False),
        ("overflow", False),
        ("protocol", False),
        ("unreachable", True),
        ("unauthorised", True),
    ],
)
async def test_a_chats_failure_costs_completion_nothing_that_it_does_not_prove(fault: str, down: bool) -> None:
    told: list[HearthError] = []
    backend = Elsewhere(Script(rules=(Rule(chat=1, text="abcdefgh", fault=fault, fault_after=1),)), "x")
    async with running(Member(backend, BOTH), told=told) as gateway:
        target = gateway.target("chat")
        assert target
        for _ in range(3):
            with pytest.raises(BackendError):
                await ask(gateway, target)
        assert (gateway.target("complete") is None) == down
        assert gateway.totals.failures == 3
        assert len(told) == down


async def test_a_completion_that_waits_behind_a_chat_is_not_held_against_the_server() -> None:
    rules = (Rule(chat=1, text="abcdefgh", fault="hang", fault_after=1), Rule(fault="deadline"))
    backend = Elsewhere(Script(rules=rules), "x")
    async with running(Member(backend, BOTH)) as gateway:
        target, completing = gateway.target("chat"), gateway.target("complete")
        assert target
        assert completing
        async with aclosing(gateway.chat(target, HELLO)) as answer:
            await anext(answer)
            for _ in range(4):
                with pytest.raises(DeadlineExceeded):
                    _ = [e async for e in gateway.stream(completing, Generate("p", 10))]
            assert gateway.target("complete")
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                _ = [e async for e in gateway.stream(completing, Generate("p", 10))]
        assert gateway.target("complete") is None


async def test_a_prompt_that_does_not_fit_says_nothing_of_the_server() -> None:
    told: list[HearthError] = []
    backend = Elsewhere(Script(rules=(Rule(fault="overflow"),)), "x")
    async with running(Member(backend, BOTH), told=told) as gateway:
        for _ in range(3):
            completing = gateway.target("complete")
            assert completing
            with pytest.raises(ContextOverflow):
                _ = [e async for e in gateway.stream(completing, Generate("p", 10))]
        assert gateway.target("complete")
        assert [type(error) for error in told] == [ContextOverflow], "it is named all the same, once"


async def test_closing_a_chat_ends_it() -> None:
    backend = Elsewhere(Script(rules=(Rule(chat=1, text="abcdefgh", fault="hang", fault_after=1),)), "x")
    async with running(Member(backend, BOTH)) as gateway:
        target = gateway.target("chat")
        assert target
        async with aclosing(gateway.chat(target, HELLO)) as answer:
            await anext(answer)
        assert backend.counts.cancelled == 1
