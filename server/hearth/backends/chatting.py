"""Chats in OpenAI's wire format, as llama.cpp, LM Studio, vLLM and TabbyAPI speak it; and what every chat has in
common. Sans-IO but for `chatted`, which passes a conversation on.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from hearth.backends.base import Chat, Delta, Finish, Usage
from hearth.backends.calls import Calls
from hearth.backends.http import Deadlines
from hearth.backends.reading import Reason, Step
from hearth.backends.wire import Value, integer, string, table, tables
from hearth.errors import ProtocolFault, ServerFault

CHAT_FIRST_BYTE_S = 300.0
CHAT_IDLE_S = 60.0
CHAT_TOTAL_S = 1_800.0
CHAT_DEADLINES = Deadlines(first_byte_s=CHAT_FIRST_BYTE_S, idle_s=CHAT_IDLE_S, total_s=CHAT_TOTAL_S)
"""A chat's prompt is long and its answer too, and somebody watches it come: a processor alone reads 8,000 tokens in
minutes, and most servers send nothing meanwhile. Whoever does not want to wait cancels."""
CHAT_PATH = "/v1/chat/completions"
REASONS: dict[str, Reason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "content_filter": "filter",
}
BROKEN_REASONS = frozenset({"error", "abort"})
THOUGHT_FIELDS = ("reasoning_content", "reasoning")
SCHEMA_NAME = "answer"


class ChatEvents:
    """What the events of one streamed chat completion mean: `read` gives each its step, `calls` collects the calls.

    Fragments of calls that come after the end are no part of the answer.
    """

    def __init__(self, who: str = "the server", remedy: str = "Look at the server's log.") -> None:
        self.calls = Calls()
        self._who = who
        self._remedy = remedy
        self._over = False

    def read(self, value: Value, usage: Usage | None = None) -> Step:
        """The meaning of one event; `usage` is what it counts. Raises ProtocolFault, ServerFault or LimitExceeded."""
        if "choices" not in value and usage is None:
            raise ProtocolFault("an event is not one of a chat's")
        choices = tables(value.get("choices"))
        if not choices:
            return Step(usage=usage)
        finish = choices[0].get("finish_reason")
        if string(finish) in BROKEN_REASONS:
            raise ServerFault(f"{self._who} broke the answer off ({finish})", self._remedy)
        delta = table(choices[0].get("delta") or choices[0].get("message"))
        if not self._over:
            for fragment in tables(delta.get("tool_calls")):
                self.calls.add(fragment)
        self._over = self._over or bool(finish)
        reason = REASONS.get(str(finish), "stop") if finish else None
        thought = next((said for name in THOUGHT_FIELDS if (said := string(delta.get(name)))), "")
        return Step(string(delta.get("content")), reason, usage, thought=thought)


def chat_body(request: Chat, *, stops: Sequence[str], schema: bool) -> Value:
    """The request, without a model's name. `stops`: those that the server is told of. `schema`: it understands one."""
    body: Value = {
        "messages": list(request.messages),
        "max_tokens": max(1, request.max_tokens),
        "temperature": request.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if stops:
        body["stop"] = list(stops)
    if request.tools:
        body["tools"] = list(request.tools)
    if schema and request.schema is not None:
        held = {"name": SCHEMA_NAME, "strict": True, "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": held}
    return body


def usage_of(raw: Value) -> Usage:
    """The figures of an OpenAI `usage` object."""
    prompt = integer(raw.get("prompt_tokens"))
    cached = integer(table(raw.get("prompt_tokens_details")).get("cached_tokens"))
    prefilled = prompt - cached if prompt is not None and cached is not None and cached <= prompt else None
    return Usage(prompt, prefilled, integer(raw.get("completion_tokens")))


async def chatted(events: AsyncGenerator[Delta | Finish], calls: Calls) -> AsyncGenerator[Delta | Finish]:
    """A conversation, and its calls with its end."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finish):
                whole, broken = calls.taken(complete=event.reason == "stop")
                event = replace(event, calls=whole, broken_calls=broken)
            yield event
