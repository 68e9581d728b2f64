"""What is asked of a chat model and what it says back: one vocabulary, wherever the model runs.

A `Request` goes through the door (hearth.door), which decides where, and yields events:

    Placed (Text* | Note*) (Restarted Placed (Text* | Note*))* Done

Every piece of a message knows its origins: the door judges them, and what a model says of them inherits them. Tokens
are as counted by whoever answered, money is USD.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from hearth.core.origin import PRODUCT, USER, Destination, Origin, sources, summary_of
from hearth.core.route import Choice, Work

Role = Literal["system", "user", "assistant", "tool"]
Ending = Literal["stop", "length", "filter", "truncated"]
"""stop: the model was done. length: the limit was reached. filter: its provider held something back. truncated: it
broke off, and nobody said that it was done."""
AUTO = Choice()


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message. `origins` is never empty: of what nobody knows the source, nothing may be sent."""

    text: str
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A whole call: `arguments` is a JSON object. Ids are unlike each other within an answer."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model may call. `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `calls`: what an assistant's turn called; `call_id`: which call a tool's turn answers."""

    role: Role
    parts: tuple[Part, ...]
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)

    @property
    def origins(self) -> tuple[Origin, ...]:
        return sources(origin for part in self.parts for origin in part.origins)


def system(text: str) -> Message:
    """Hearth's own words: the same for everybody."""
    return Message("system", (Part(text, (PRODUCT,)),))


def user(text: str, *parts: Part) -> Message:
    """The user's own words, and after them what else belongs to the turn."""
    return Message("user", (Part(text, (USER,)), *parts) if text else parts)


def assistant(text: str, asked: Iterable[Message], calls: tuple[ToolCall, ...] = ()) -> Message:
    """A model's answer to `asked`: it may repeat anything that was in it."""
    origin = summary_of((origin for message in asked for origin in message.origins), "a model's answer")
    return Message("assistant", (Part(text, (origin,)),), calls)


@dataclass(frozen=True, slots=True)
class Request:
    """One question. `conversation` names what it belongs to: secrets keep their placeholders in it, and servers their
    cache. `files`: how many will be touched. `schema`: a JSON schema that the answer must fit, where the server can
    hold the model to it. `workspace`: the absolute path of the folder it is about, "" for none."""

    kind: Work
    messages: tuple[Message, ...]
    output_tokens: int
    conversation: str
    workspace: str = ""
    files: int = 1
    tools: tuple[Tool, ...] = ()
    schema: Mapping[str, Any] | None = None
    stop: tuple[str, ...] = ()
    choice: Choice = AUTO
    urgent: bool = True

    @property
    def origins(self) -> tuple[Origin, ...]:
        return sources(origin for message in self.messages for origin in message.origins)


@dataclass(frozen=True, slots=True)
class Placed:
    """Who answers from here on, and why: a clause. `forecast`: the most it can cost. `context_tokens`: None if not
    known."""

    place: Destination
    name: str
    model: str
    reason: str
    forecast: Decimal = Decimal(0)
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer, secrets restored, never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The text so far counts for nothing: somebody else begins anew. `note`: a sentence, why."""

    note: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the user: what was passed over, what fell back."""

    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The one last event. `calls` only where the answer is whole; `broken_calls` counts those that cannot be run.
    Counts are None where nobody said. `entries`: the requests' numbers in the ledger. `cut`: the server is seen to
    have read less of the prompt than it was given."""

    reason: Ending
    place: Destination
    name: str
    model: str
    calls: tuple[ToolCall, ...] = ()
    broken_calls: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    generated_tokens: int | None = None
    cost: Decimal | None = None
    provider: str = ""
    entries: tuple[int, ...] = ()
    cut: bool = False


Event = Placed | Text | Restarted | Note | Done


def wire(message: Message) -> dict[str, Any]:
    """A message as OpenAI's chat format has it."""
    said: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.calls:
        said["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _compact(call.arguments)},
            }
            for call in message.calls
        ]
    if message.role == "tool":
        said["tool_call_id"] = message.call_id
    return said


def wire_tool(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI's chat format has it."""
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
