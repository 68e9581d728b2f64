"""What every model server looks like from the inside: one small interface, four plain records.

A backend streams `Delta`s and then exactly one `Finish`, or raises one `BackendError`. It never does both, and it never
labels a stream that broke off as complete. Closing the iterator (or cancelling the task that drives it) closes the
socket, so that the server stops generating.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from hearth.core.exchange import ToolCall

Kind = Literal["llamacpp", "ollama", "openai", "embedded", "scripted"]
State = Literal["ready", "loading", "down", "unauthorised", "wrong", "no_model"]
"""`wrong`: something answers there, but it is not this kind of server. `no_model`: it runs, but has no usable model."""


@dataclass(frozen=True, slots=True)
class Generate:
    """One request to continue `prompt` (already rendered with the model's own FIM tokens).

    `stop` may be longer than the server takes: the backend sends the first `stop_limit` and the rest is ours to watch.
    `max_tokens` of 0: only read the prompt, for the server's cache (where `Probe.prefills`); a token may come anyway.
    """

    prompt: str
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class Chat:
    """One question to a chat model. `messages` and `tools` are in OpenAI's wire form, as `core.exchange.wire` and
    `wire_tool` give them. `stop` is as in Generate.

    `schema`: a JSON schema that the answer must fit; a server that cannot hold the model to it (`Probe.constrains`) is
    not told of it.
    """

    messages: tuple[Mapping[str, Any], ...]
    max_tokens: int
    temperature: float = 0.2
    stop: tuple[str, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; None where it does not say.

    `prompt_tokens` is the whole prompt, `prefilled_tokens` the part that had to be evaluated now (the rest was cached).
    """

    prompt_tokens: int | None = None
    prefilled_tokens: int | None = None
    generated_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of generated text, valid Unicode without NUL or lone surrogates, never empty.

    `usage` is what the server has counted by now, where it says so while it streams: generations are mostly stopped
    early, before any Finish could tell. `logprobs` are the natural logarithms of the probabilities that the model gave
    its tokens, in order; () where the server does not say.
    """

    text: str
    usage: Usage | None = None
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The one terminal event. `truncated`: the stream ended without the server saying that it was done.

    Of a chat: `calls` are the tools it calls, only where the answer is whole (`stop`); `broken_calls` counts those that
    must not be carried out. `thought_chars`: what the model thought aloud, which is in no Delta but did cost tokens.
    `cut`: the server is seen to have read less than it was given; the gateway looks for it.
    """

    reason: Literal["stop", "length", "filter", "truncated"]
    usage: Usage = Usage()
    calls: tuple[ToolCall, ...] = ()
    broken_calls: int = 0
    thought_chars: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of a server: taken once at start, again after a failure, and shown by `hearth doctor`.

    `context_tokens` is what one request may fill: prompt and answer together. None where the server does not say.
    """

    kind: Kind
    url: str
    state: State
    model: str = ""
    server: str = ""  # what the server calls itself, e.g. "llama.cpp", "LM Studio", "TabbyAPI"
    dialect: str = ""  # name in core.prompt.DIALECTS; "" = no FIM tokens known: not usable for completion
    context_tokens: int | None = None
    cached_tokens_visible: bool = False
    stop_limit: int | None = None  # None: no limit known
    slots: int | None = None
    prefills: bool = False  # a request for no tokens leaves its prompt in the server's cache
    chats: bool = False  # it is a Chatter, and its model is one that can chat
    calls_tools: bool | None = None  # None: not known before it is tried
    constrains: bool = False  # it can hold an answer to a JSON schema
    saves_state: bool = False  # it is Stateful: what it has read can be kept over a restart of the server
    problem: str = ""
    remedy: str = ""


class Backend(Protocol):
    """A model server. Safe to call from one event loop; several `generate` calls may run at once."""

    @property
    def name(self) -> str:
        """For logs and doctor, unlike any other's: kind, url and the configured model if there is one."""
        ...

    @property
    def url(self) -> str:
        """Where requests go; the gateway checks it before each one. `inproc:` for the scripted backend."""
        ...

    async def probe(self) -> Probe:
        """Ask the server what it is. Never raises BackendError: a failure is a Probe with state, problem, remedy."""
        ...

    def generate(self, request: Generate) -> AsyncGenerator[Delta | Finish]:
        """Stream one generation; see the module docstring for the contract."""
        ...

    async def aclose(self) -> None:
        """Release sockets and child processes."""
        ...


@runtime_checkable
class Chatter(Protocol):
    """What a Backend may also be: one whose model answers chats (where `Probe.chats`)."""

    def chat(self, request: Chat) -> AsyncGenerator[Delta | Finish]:
        """Stream one answer; the contract is that of `Backend.generate`. Raises ContextOverflow where the messages do
        not fit, rather than let the server leave some out."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """What a Backend may also be: one whose server can write what it has read of a prompt to a file, and read it back.

    `name` is any text; the same name, model and context find the same state. Both wait until the server is idle.
    """

    async def save_state(self, name: str) -> bool:
        """Keep the state that the last request left; whether it was kept. Never raises BackendError."""
        ...

    async def restore_state(self, name: str) -> int | None:
        """Bring a kept state back: how many tokens the server has read now, None if there is none to bring back.
        Never raises BackendError."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """What a Backend may also be: one whose server turns texts into vectors. Any model of the server's may be named."""

    async def embed(self, texts: Sequence[str], model: str) -> list[tuple[float, ...]]:
        """One vector for each text, in order, all of one size, every number finite. Raises BackendError."""
        ...

    async def can_embed(self, model: str) -> bool:
        """Whether the server has a model of this name. Raises BackendError where it cannot be asked."""
        ...
