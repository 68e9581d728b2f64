"""What the courier is asked, what it tells, and how both travel between the processes as JSON.

An `Ask` is one approved request. The messages in it are the ones that leave: nothing on the way may change them, and
the transport refuses to send a body that differs.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from hearth.backends.http import Deadlines
from hearth.backends.wire import Value, string, table, tables
from hearth.core.exchange import ToolCall
from hearth.errors import (
    ContentRefused,
    ContextOverflow,
    DeadlineExceeded,
    EgressDenied,
    HearthError,
    LimitExceeded,
    ModelLoading,
    ModelMissing,
    OutOfCredits,
    ProtocolFault,
    RateLimited,
    ServerFault,
    Unauthorised,
    Unreachable,
)

CLOUD_CONNECT_S = 10.0
CLOUD_FIRST_BYTE_S = 60.0
CLOUD_IDLE_S = 30.0
CLOUD_TOTAL_S = 300.0
CLOUD_FETCH_S = 10.0
CLOUD_DEADLINES = Deadlines(CLOUD_CONNECT_S, CLOUD_FIRST_BYTE_S, CLOUD_IDLE_S, CLOUD_TOTAL_S, CLOUD_FETCH_S)
"""Connecting includes the time that the ledger takes to make its intent durable; probing is for the catalogue."""

Reason = Literal["stop", "length", "filter", "truncated"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One generation. `origin` is the approval's `scheme://host[:port]`; `base_url` must lie there.

    `fields` are the provider's own and go into the body as they are: tools, stop, provider, session_id, models, ...
    """

    origin: str
    base_url: str
    model: str
    messages: tuple[Value, ...]
    max_tokens: int
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that is about to leave: `body` are its exact bytes. `attempt` counts from 1. The key is not in it."""

    method: str
    url: str
    body: bytes
    attempt: int


@dataclass(frozen=True, slots=True)
class Received:
    """How one attempt went. `status` is 0 if there was no answer; `size` and `sha256` are of the body as it came."""

    attempt: int
    status: int
    size: int
    sha256: str
    generation: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The one terminal event of a generation that did not fail.

    `tool_calls` only where the answer is whole (`stop`); `broken_calls` counts those that cannot be run, whatever was
    wrong with them. None: not told. `cost` in USD.
    """

    reason: Reason
    tool_calls: tuple[ToolCall, ...] = ()
    broken_calls: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    generated_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    model: str = ""
    provider: str = ""
    generation: str = ""


OnRequest = Callable[[Sent], Awaitable[None]]
"""Awaited before the first byte is written; what it raises stops the request."""
OnResponse = Callable[[Received], Awaitable[None]]
"""Awaited after every attempt, whatever became of it."""

_ERRORS: dict[str, type[HearthError]] = {
    kind.__name__: kind
    for kind in (
        ContentRefused, ContextOverflow, DeadlineExceeded, EgressDenied, LimitExceeded, ModelLoading, ModelMissing,
        OutOfCredits, ProtocolFault, RateLimited, ServerFault, Unauthorised, Unreachable,
    )
}  # fmt: skip


def error_to_json(error: HearthError) -> Value:
    """An error, for the other process."""
    kind = type(error).__name__
    value: Value = {
        "kind": kind if kind in _ERRORS else "ServerFault",
        "message": error.message,
        "remedy": error.remedy,
    }
    if isinstance(error, RateLimited):
        value["retry_after_s"], value["span"] = error.retry_after_s, error.span
    return value


def error_from_json(value: Value) -> HearthError:
    """The error that `error_to_json` wrote."""
    kind = _ERRORS.get(string(value.get("kind")), ServerFault)
    message, remedy = string(value.get("message")), string(value.get("remedy"))
    if kind is RateLimited:
        return RateLimited(message, remedy, value.get("retry_after_s"), string(value.get("span")))
    return kind(message, remedy)


def ask_to_json(ask: Ask) -> Value:
    """An Ask, for the other process."""
    return {**{f.name: getattr(ask, f.name) for f in fields(Ask)}, "messages": list(ask.messages)}


def ask_from_json(value: Value) -> Ask:
    """The Ask that `ask_to_json` wrote. Raises KeyError or ValueError for anything else."""
    tokens = value["max_tokens"]
    if not isinstance(tokens, int):
        raise ValueError("max_tokens is not a number")
    texts = [string(value[name]) for name in ("origin", "base_url", "model")]
    return Ask(texts[0], texts[1], texts[2], tuple(tables(value["messages"])), tokens, table(value.get("fields")))


def outcome_to_json(outcome: Outcome) -> Value:
    """An Outcome, for the other process."""
    return asdict(outcome)


def outcome_from_json(value: Value) -> Outcome:
    """The Outcome that `outcome_to_json` wrote."""
    calls = tuple(
        ToolCall(string(call.get("id")), string(call.get("name")), table(call.get("arguments")))
        for call in tables(value.get("tool_calls"))
    )
    known: dict[str, Any] = {f.name: value[f.name] for f in fields(Outcome) if f.name != "tool_calls"}
    return Outcome(tool_calls=calls, **known)


def deadlines_from_json(value: Value) -> Deadlines:
    """Deadlines as `dataclasses.asdict` wrote them."""
    return Deadlines(**{f.name: float(value[f.name]) for f in fields(Deadlines)})


def received_from_json(value: Value) -> Received:
    """A Received as `dataclasses.asdict` wrote it."""
    known: dict[str, Any] = {f.name: value[f.name] for f in fields(Received)}
    return Received(**known)
