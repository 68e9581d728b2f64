"""The only door to a model.

Every generation passes through `Gateway.stream`, all text to embed through `Gateway.embed`: they check where a request
goes (this machine, or a host the user declared as their own; there is no other way out yet) and count what passes.
The health of each server is kept current, and a server's trouble is named once. Discovery and probing run in the
background; nothing here blocks a keystroke.
"""

import asyncio
import ipaddress
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, overload
from urllib.parse import urlsplit

from hearth.backends.base import (
    Backend,
    Chat,
    Chatter,
    Delta,
    Embedder,
    Finish,
    Generate,
    Probe,
    State,
    Stateful,
    Usage,
)
from hearth.backends.cut import was_cut
from hearth.core.dialect import DIALECTS, Dialect
from hearth.core.origin import Destination
from hearth.core.pace import Pace
from hearth.core.quoting import unquoted
from hearth.errors import (
    BackendError,
    ContextOverflow,
    DeadlineExceeded,
    EgressDenied,
    HearthError,
    ModelLoading,
    ModelMissing,
    Unauthorised,
    Unreachable,
)

LOG = logging.getLogger(__name__)
EMBED = "embed"
PROBE_AGAIN_S = (1.0, 2.0, 5.0, 15.0, 30.0)
"""How long to wait before a server that does not answer is asked again; the last figure repeats."""
LOADING_AGAIN_S = 0.2
"""A server that loads its model is asked again this soon: it is about to be of use."""
EMBED_WARM_S = 240.0
"""For so long after an answer an embedding model counts as loaded: a request to it may be broken off. One that may be
loading it must not be, or a server such as Ollama gives the load up and begins anew with the next one."""
FAILURES_BEFORE_DOWN = 2
"""A single failed generation may be chance: the server is asked again at once, and rested after this many in a row."""


Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Member:
    """A backend and what the user wants it for."""

    backend: Backend
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can serve a role now."""

    backend: Backend
    probe: Probe


@dataclass(frozen=True, slots=True)
class Target(Server):
    """One for completion, and how its model takes text before and after the cursor."""

    dialect: Dialect


@dataclass(slots=True)
class Totals:
    """Live counters of what went through the door. Tokens as counted by the servers."""

    calls: int = 0
    failures: int = 0
    prompt: int = 0
    prefilled: int = 0
    generated: int = 0
    embedded: int = 0  # texts

    def add(self, usage: Usage) -> None:
        self.prompt += usage.prompt_tokens or 0
        self.prefilled += usage.prefilled_tokens or 0
        self.generated += usage.generated_tokens or 0


@dataclass(slots=True)
class _Health:
    """`streak` counts failures since the last success: a server that answers probes but fails every generation is
    asked ever more rarely. It is not probed before `rest_until` (loop time)."""

    probe: Probe
    streak: int = 0
    rest_until: float = 0.0
    told: set[str] = field(default_factory=set[str])


class _Traffic:
    """The generations on their way to one machine: whose model servers share its processors, however many they are."""

    def __init__(self) -> None:
        self._running = 0
        self.quiet = asyncio.Event()
        self.busy = asyncio.Event()
        self.quiet.set()

    @contextmanager
    def one(self) -> Generator[None]:
        """While a generation runs."""
        self._running += 1
        self.quiet.clear()
        self.busy.set()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self.busy.clear()
                self.quiet.set()


class _Stopwatch:
    """Measures one generation for a Pace, and keeps its figures.

    A chat counts only once it has ended, and only if all that the model wrote was text: it thinks before it answers,
    and writes calls, without a Delta to show for it.
    """

    def __init__(self, pace: Pace, *, chat: bool) -> None:
        self.usage = Usage()
        self._pace = pace
        self._counts = not chat
        self._read = 0
        self._begun, self._first, self._last, self._pieces = time.perf_counter(), 0.0, 0.0, 0

    def saw(self, event: Delta | Finish) -> None:
        """The next event of the generation."""
        self._last = time.perf_counter()
        self.usage = event.usage or self.usage
        if not self._pieces:
            self._first = self._last
            self._read = (event.usage and event.usage.prefilled_tokens) or 0
            if self._counts:
                self._pace.read(self._read, self._first - self._begun)
        self._pieces += 1
        if isinstance(event, Finish) and not self._counts:
            self._counts = not (event.calls or event.broken_calls or event.thought_chars)
            if self._counts:
                self._pace.read(self._read, self._first - self._begun)

    def stop(self) -> None:
        """It is over, in whatever way."""
        if self._counts:
            self._pace.wrote(self._pieces - 1, self._last - self._first)


class Gateway:
    """See the module docstring. `find` lists the backends; it is asked again while none is usable."""

    def __init__(
        self,
        find: Callable[[], Awaitable[Sequence[Member]]],
        own_hosts: Sequence[str],
        tell: Callable[[HearthError], None],
    ) -> None:
        self._find = find
        self._own_hosts = frozenset(host.lower() for host in own_hosts)
        self._tell = tell
        self._members: list[Member] = []
        self._health: dict[str, _Health] = {}
        self._wake = asyncio.Event()
        self._chats: Counter[str] = Counter()  # on their way, by the server's address
        self._paces: dict[tuple[str, bool], Pace] = {}  # by the server's name, and whether it is of chats
        self._traffics: dict[str, _Traffic] = {}
        self._embedder: tuple[str, Member] | None = None  # the one that has a model, once it is known
        self._warm_until: dict[tuple[str, str], float] = {}  # (backend, embedding model): loop time
        self.probed = asyncio.Event()
        self.totals = Totals()

    def probes(self) -> list[Probe]:
        """What is known of every server, in order of preference."""
        return [self._health[m.backend.name].probe for m in self._members]

    @overload
    def target(self, role: Literal["complete"]) -> Target | None: ...
    @overload
    def target(self, role: Literal["chat"]) -> Server | None: ...
    def target(self, role: Literal["complete", "chat"]) -> Server | None:
        """The first server that is ready for `role`."""
        return next(self._ready_for(role), None)

    @overload
    def targets(self, role: Literal["complete"]) -> list[Target]: ...
    @overload
    def targets(self, role: Literal["chat"]) -> list[Server]: ...
    def targets(self, role: Literal["complete", "chat"]) -> Sequence[Server]:
        """All servers that are ready for `role`, in the user's order."""
        return list(self._ready_for(role))

    def why_no_target(self, role: Literal["complete", "chat"]) -> str:
        """One sentence for the user: why `target` has nothing."""
        if not self.probed.is_set():
            return "model servers are still being looked for"
        for member in self._members:
            probe = self._health[member.backend.name].probe
            if role not in member.roles:
                continue
            model = probe.model or "the model"
            if probe.state == "loading":
                return f"{model} is still loading"
            if probe.state == "ready":
                return f"{model} {_LACKS[role]}"
            if probe.problem:
                return probe.problem
        if any(probe.state == "ready" for probe in self.probes()):
            return f'no model server has "{role}" among its roles in settings.toml'
        return "no model server answers on this machine"

    async def run(self) -> None:
        """Find, probe, and keep asking those that are not ready. Runs until cancelled."""
        attempt = 0
        while True:
            if not any(p.state in ("ready", "loading") for p in self.probes()):
                await self._find_again()
            await asyncio.gather(*(self._probe(m) for m in self._members if not self._is_ready(m)))
            self.probed.set()
            idle = bool(self._members) and all(self._is_ready(m) for m in self._members)
            attempt = 0 if idle or self._loading() else attempt + 1
            delay = None if idle else PROBE_AGAIN_S[min(attempt, len(PROBE_AGAIN_S) - 1)]
            delay = LOADING_AGAIN_S if self._loading() else delay
            self._wake.clear()
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
                attempt = 0
            except TimeoutError:
                pass

    def stream(self, target: Server, request: Generate) -> AsyncGenerator[Delta | Finish]:
        """One generation, through the door. Raises EgressDenied before anything is sent, or BackendError."""
        return self._through(target, lambda: target.backend.generate(request), lambda: (request.prompt,))

    def chat(self, target: Server, request: Chat) -> AsyncGenerator[Delta | Finish]:
        """One answer of a chat model, through the door: see `stream`. `Finish.cut` is seen to here.

        A chat takes minutes where a completion takes a second, and the user goes on typing. Where the server works at
        several requests at once (llama.cpp with more than one slot, the embedded engine, vLLM), completions go on
        beside it, with their cache. Where it says that it has one slot, no completion is asked of it meanwhile (see
        `occupied`). Where it may have one (Ollama's default), a completion waits in the server's queue: it is answered
        empty when its time is up, and leaves the queue when the user types on; so it never waits longer than the chat's
        own deadline, and its failure meanwhile is not held against the server. A chat that fails says so to whoever
        asked, and is held against the server only if it proves that it is of no use for anything.
        """
        backend = target.backend
        assert isinstance(backend, Chatter)
        return self._chat(target, request, lambda: backend.chat(request))

    async def _chat(
        self, target: Server, request: Chat, begin: Callable[[], AsyncGenerator[Delta | Finish]]
    ) -> AsyncGenerator[Delta | Finish]:
        def said() -> list[str]:
            return [str(message.get("content")) for message in request.messages]

        url = target.backend.url
        self._chats[url] += 1
        try:
            async with aclosing(self._through(target, begin, said, chat=True)) as events:
                async for event in events:
                    if isinstance(event, Finish) and was_cut(request.messages, event.usage):
                        LOG.warning("%s read less of a chat than it was given", target.backend.name)
                        event = replace(event, cut=True)
                    yield event
        finally:
            self._chats[url] -= 1

    def occupied(self, target: Server) -> Literal["", "chat", "no slot"]:
        """Whether the server writes an answer of a chat: "no slot" if it says that it can do nothing else meanwhile."""
        if not self._chats[target.backend.url]:
            return ""
        return "no slot" if target.probe.slots == 1 else "chat"

    async def _through(
        self,
        target: Server,
        begin: Callable[[], AsyncGenerator[Delta | Finish]],
        said: Callable[[], Sequence[str]],
        *,
        chat: bool = False,
    ) -> AsyncGenerator[Delta | Finish]:
        self.check(target.backend.url)
        self.totals.calls += 1
        stopwatch = _Stopwatch(self._pace(target.backend.name, chat=chat), chat=chat)
        traffic = self._traffic(target.backend.url)
        try:
            with traffic.one():
                async with aclosing(begin()) as events:
                    async for event in events:
                        stopwatch.saw(event)
                        if isinstance(event, Finish) and (health := self._health.get(target.backend.name)):
                            health.streak = 0
                        yield event
        except BackendError as error:
            self.totals.failures += 1
            _without_quotes(error, said())
            if not chat or _state_after(error):
                self._failed(target, error, busy=not traffic.quiet.is_set())
            raise
        finally:
            stopwatch.stop()
            self.totals.add(stopwatch.usage)

    def pace(self, target: Server) -> Pace:
        """How fast the server was seen to read and to write: its completions for a Target, else its chats, or its
        completions as long as nobody has chatted with it."""
        name = target.backend.name
        own = (name, not isinstance(target, Target))
        return self._paces.get(own) or self._paces.get((name, False)) or Pace()

    def _pace(self, name: str, *, chat: bool) -> Pace:
        known = self._paces.get((name, chat))
        # A chat's first figures count beside those of the completions, if there are any.
        return self._paces.setdefault((name, chat), known or replace(self._paces.get((name, False)) or Pace()))

    async def prefill(self, target: Target, prompt: str) -> Usage | None:
        """Have the server read `prompt` into its cache while nothing else is to be done; cancel it for anything else.

        None where the server would gain nothing from it, or where it failed.
        """
        if not target.probe.prefills:
            return None
        usage = Usage()
        try:
            async with aclosing(self.stream(target, Generate(prompt, max_tokens=0))) as events:
                async for event in events:
                    usage = event.usage or usage
        except HearthError:
            return None
        return usage

    async def save_state(self, target: Target, name: str) -> bool:
        """Have the server keep what it has read, under `name`; False where it cannot."""
        backend = self._stateful(target)
        return backend is not None and await backend.save_state(name)

    async def restore_state(self, target: Target, name: str) -> int | None:
        """Have the server bring back what was kept under `name`: its tokens, None if there is nothing."""
        backend = self._stateful(target)
        return None if backend is None else await backend.restore_state(name)

    async def embeds_at(self, model: str) -> Destination:
        """Where the server is that has `model`. Raises BackendError."""
        return destination_of((await self._embedder_of(model)).backend.url)

    async def embed(
        self, texts: Sequence[str], model: str, *, urgent: bool = False, place: Destination = "machine"
    ) -> list[tuple[float, ...]]:
        """One vector for each text, by the server that has `model`. Raises EgressDenied, or BackendError.

        `place`: where the texts were made ready to go; a server that turns out to be farther away gets none of them.

        Unless `urgent` (the user waits for it), it waits while a server of that machine generates, and makes way for a
        generation that begins: the request is broken off and sent again after it.
        """
        member = await self._embedder_of(model)
        backend, url = member.backend, member.backend.url
        assert isinstance(backend, Embedder)
        traffic, key, loop = self._traffic(url), (backend.name, model), asyncio.get_running_loop()
        vectors: list[tuple[float, ...]] | None = None
        while vectors is None:
            self.check(url)
            if place == "machine" and destination_of(url) != "machine":
                raise EgressDenied(f"{backend.name} is not on this machine, and these texts were to stay here.")
            try:
                if urgent:
                    vectors = await backend.embed(texts, model)
                else:
                    await traffic.quiet.wait()
                    warm = loop.time() < self._warm_until.get(key, 0.0)
                    vectors = await _unless(traffic.busy if warm else None, backend.embed(texts, model))
            except BackendError as error:
                _without_quotes(error, texts)
                self._embedder = None  # the next request looks again for who has it
                raise
        self._warm_until[key] = loop.time() + EMBED_WARM_S
        self.totals.embedded += len(texts)
        return vectors

    def check(self, url: str) -> None:
        """Raise EgressDenied unless `url` is on this machine or on a host the user declared."""
        if url.startswith("inproc:"):
            return
        host = (urlsplit(url).hostname or "").lower()
        if host in self._own_hosts or is_loopback(host):
            return
        raise EgressDenied(
            f"{host or url} is not on this machine, so nothing was sent to it.",
            f'If it is yours, add it to the machine settings: [privacy] own_hosts = ["{host}"].',
        )

    async def aclose(self) -> None:
        """Close every backend."""
        await asyncio.gather(*(m.backend.aclose() for m in self._members), return_exceptions=True)

    def _traffic(self, url: str) -> _Traffic:
        host = (urlsplit(url).hostname or "").lower()
        return self._traffics.setdefault("" if is_loopback(host) else host, _Traffic())

    async def _embedder_of(self, model: str) -> Member:
        """The server that the user chose for embedding, else the first that has the model. Raises BackendError."""
        if self._embedder and self._embedder[0] == model and self._embedder[1] in self._members:
            return self._embedder[1]
        if not self.probed.is_set():
            raise ModelLoading("model servers are still being looked for")
        able = [m for m in self._members if isinstance(m.backend, Embedder)]
        chosen = [m for m in able if EMBED in m.roles]
        problem: BackendError | None = None
        for member in chosen or able:
            probe = self._health[member.backend.name].probe
            if probe.state not in ("ready", "no_model"):  # it may have no other model than the one for embedding
                problem = problem or Unreachable(probe.problem or f"{member.backend.name} is not ready", probe.remedy)
            elif chosen or await _has(member.backend, model):
                self._embedder = (model, member)
                return member
        remedy = f"Load {model} in one of your model servers, or name another: [index] embedding_model."
        raise problem or ModelMissing(f"no model server has the embedding model {model}", remedy)

    def _stateful(self, target: Target) -> Stateful | None:
        if not target.probe.saves_state or not isinstance(target.backend, Stateful):
            return None
        try:
            self.check(target.backend.url)
        except EgressDenied:
            return None
        return target.backend

    async def _find_again(self) -> None:
        members = list(await self._find())
        kept = {m.backend.name for m in members}
        # A failed probe of a server that was found again by the same name keeps what the user was told already.
        gone = [m for m in self._members if m not in members]
        self._members = members
        for member in members:
            name = member.backend.name
            if name not in self._health:
                self._health[name] = _Health(Probe(kind="openai", url=member.backend.url, state="loading"))
        for name in [n for n in self._health if n not in kept]:
            del self._health[name]
        await asyncio.gather(*(m.backend.aclose() for m in gone), return_exceptions=True)

    def _ready_for(self, role: str) -> Iterator[Server]:
        for member in self._members:
            probe = self._health[member.backend.name].probe
            if role not in member.roles or probe.state != "ready":
                continue
            if role == "chat":
                if probe.chats and isinstance(member.backend, Chatter):
                    yield Server(member.backend, probe)
            elif dialect := DIALECTS.get(probe.dialect):
                yield Target(member.backend, probe, dialect)

    def _is_ready(self, member: Member) -> bool:
        return self._health[member.backend.name].probe.state == "ready"

    def _loading(self) -> bool:
        return any(p.state == "loading" for p in self.probes())

    async def _probe(self, member: Member) -> None:
        health = self._health[member.backend.name]
        if asyncio.get_running_loop().time() < health.rest_until:
            return
        try:
            self.check(member.backend.url)
        except EgressDenied as error:
            health.probe = replace(health.probe, state="wrong", problem=error.message, remedy=error.remedy)
            self._tell_once(health, error)
            return
        health.probe = await member.backend.probe()
        if "complete" not in member.roles and health.probe.state == "ready":
            # That it cannot fill in the middle is no trouble of a model that is only there to chat or to embed.
            health.probe = replace(health.probe, problem="", remedy="")
        LOG.info("%s: %s %s", member.backend.name, health.probe.state, health.probe.problem)
        if health.probe.problem and health.probe.state != "loading":
            self._tell_once(health, HearthError(health.probe.problem, health.probe.remedy))

    def _tell_once(self, health: _Health, error: HearthError) -> None:
        if error.message not in health.told:
            health.told.add(error.message)
            self._tell(error)

    def _failed(self, target: Server, error: BackendError, *, busy: bool = False) -> None:
        """Hold a failure against the server. `busy`: its machine is at work on something else as well."""
        health = self._health.get(target.backend.name)
        LOG.warning("%s: %s: %s", target.backend.name, type(error).__name__, error.message)
        if health is None or (busy and isinstance(error, DeadlineExceeded)):
            return
        if isinstance(error, ContextOverflow):
            self._tell_once(health, error)  # the next prompt may fit
            return
        health.streak += 1
        state = _state_after(error)
        if state or health.streak >= FAILURES_BEFORE_DOWN:
            health.probe = replace(health.probe, state=state or "down", problem=error.message, remedy=error.remedy)
            rest_s = PROBE_AGAIN_S[min(health.streak, len(PROBE_AGAIN_S)) - 1]
            health.rest_until = asyncio.get_running_loop().time() + rest_s
            if state != "loading":
                self._tell_once(health, error)
            self._wake.set()


def _without_quotes(error: BackendError, sent: Sequence[str]) -> None:
    """Errors are logged and shown: what a server repeats of the request does not belong there."""
    error.message = unquoted(error.message, sent)
    error.args = (error.message,)


def destination_of(url: str) -> Destination:
    """Where a model server is. Any other than this machine that the gateway lets pass is the user's own."""
    here = url.startswith("inproc:") or is_loopback((urlsplit(url).hostname or "").lower())
    return "machine" if here else "own"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _has(backend: Backend, model: str) -> bool:
    try:
        return isinstance(backend, Embedder) and await backend.can_embed(model)
    except BackendError:
        return False


async def _unless(event: asyncio.Event | None, work: Coroutine[Any, Any, Answer]) -> Answer | None:
    """What `work` gives; None if `event` came first, and `work` was cancelled."""
    if event is None:
        return await work
    task, interrupted = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait((task, interrupted), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        interrupted.cancel()
        await asyncio.gather(task, interrupted, return_exceptions=True)


def _state_after(error: BackendError) -> State | None:
    """The state an error proves by itself; None if it may have been chance."""
    for kind, state in _PROVES:
        if isinstance(error, kind):
            return state
    return None


_LACKS = {
    "complete": "has no known fill-in-the-middle tokens",
    "chat": "is a model for completion, which cannot chat",
}
_PROVES: tuple[tuple[type[BackendError], State], ...] = (
    (ModelLoading, "loading"),
    (Unauthorised, "unauthorised"),
    (ModelMissing, "no_model"),
    (Unreachable, "down"),
)
