"""What the events of a streamed chat completion mean. Sans-IO.

`ChatReader.read` gives the shared reader (backends.reading) its steps: text, the end, figures. What only a chat has is
collected on the side: tool calls out of their fragments, the price, who answered.
"""

import json
from itertools import count
from typing import Any, cast

from hearth.backends.base import Finish, Usage
from hearth.backends.reading import Reason, Step
from hearth.backends.wire import Value, clean, integer, string, table, tables
from hearth.courier.records import Outcome, ToolCall
from hearth.errors import LimitExceeded, ProtocolFault, ServerFault

TOOL_CALLS_MAX = 64
TOOL_ARGUMENT_CHARS_MAX = 1_000_000
TOOL_NAME_CHARS_MAX = 200
WHO_CHARS_MAX = 200
REASONS: dict[str, Reason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "content_filter": "filter",
}
BROKEN_REASONS = frozenset({"error", "abort"})


class _Fragments:
    """One tool call while it arrives."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def whole(self) -> Value | None:
        """The arguments as a JSON object, None if they are none: cut off, or never whole."""
        try:
            value: Any = _cleaned(json.loads("".join(self.arguments) or "{}"))
        except (ValueError, RecursionError):
            return None
        return cast(Value, value) if isinstance(value, dict) else None


class ChatReader:
    """Give every event to `read`; at the end, `outcome` says what it all came to."""

    def __init__(self) -> None:
        self._calls: list[_Fragments] = []
        self._by_index: dict[int, _Fragments] = {}
        self._argument_chars = 0
        self._who = {"model": "", "provider": "", "id": ""}
        self._cached: int | None = None
        self._written: int | None = None
        self._reasoning: int | None = None
        self._cost: float | None = None
        self._over = False
        self.begun = False

    def read(self, value: Value) -> Step:
        """The meaning of one event. Raises ProtocolFault, ServerFault or LimitExceeded."""
        self.begun = True
        for name in self._who:
            if said := string(value.get(name)):
                self._who[name] = clean(said)[:WHO_CHARS_MAX]
        usage = self._usage(table(value.get("usage"))) if value.get("usage") else None
        if "choices" not in value and usage is None:
            raise ProtocolFault("an event is not one of a chat's")
        choices = tables(value.get("choices"))
        if not choices:
            return Step(usage=usage)
        choice = choices[0]
        finish = choice.get("finish_reason")
        if string(finish) in BROKEN_REASONS:
            raise ServerFault(f"the provider broke the answer off ({finish})", "Try again, or choose another model.")
        delta = table(choice.get("delta") or choice.get("message"))
        if not self._over:
            for fragment in tables(delta.get("tool_calls")):
                self._collect(fragment)
        self._over = self._over or bool(finish)
        reason = REASONS.get(str(finish), "stop") if finish else None
        return Step(string(delta.get("content")), reason, usage)

    def outcome(self, finish: Finish) -> Outcome:
        """What the answer came to. Calls count only if the answer is whole and they are."""
        calls: list[ToolCall] = []
        taken: set[str] = set()
        whole = finish.reason == "stop"
        for call in self._calls:
            arguments = call.whole() if whole and call.name else None
            if arguments is not None:
                # Without an id, or with another's, the answer to a call could not be told from that to another.
                fresh = (f"call_{number}" for number in count() if f"call_{number}" not in taken)
                own = call.id if call.id and call.id not in taken else next(fresh)
                taken.add(own)
                calls.append(ToolCall(own, call.name, arguments))
        return Outcome(
            finish.reason,
            tuple(calls),
            len(self._calls) - len(calls),
            finish.usage.prompt_tokens,
            self._cached,
            self._written,
            finish.usage.generated_tokens,
            self._reasoning,
            self._cost,
            self._who["model"],
            self._who["provider"],
            self._who["id"],
        )

    def _usage(self, raw: Value) -> Usage:
        details = table(raw.get("prompt_tokens_details"))
        self._cached = integer(details.get("cached_tokens"))
        self._written = integer(details.get("cache_write_tokens"))
        self._reasoning = integer(table(raw.get("completion_tokens_details")).get("reasoning_tokens"))
        cost = raw.get("cost")
        if isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < float("inf"):
            self._cost = float(cost)
        return Usage(integer(raw.get("prompt_tokens")), None, integer(raw.get("completion_tokens")))

    def _collect(self, fragment: Value) -> None:
        function = table(fragment.get("function"))
        call = self._call(integer(fragment.get("index")), clean(string(fragment.get("id")))[:WHO_CHARS_MAX])
        call.name = call.name or clean(string(function.get("name")))[:TOOL_NAME_CHARS_MAX]
        raw = function.get("arguments")
        piece = json.dumps(raw) if isinstance(raw, dict) else string(raw)
        self._argument_chars += len(piece)
        if self._argument_chars > TOOL_ARGUMENT_CHARS_MAX:
            raise LimitExceeded(f"the arguments of the tool calls are longer than {TOOL_ARGUMENT_CHARS_MAX} characters")
        call.arguments.append(piece)

    def _call(self, index: int | None, own: str) -> _Fragments:
        """Which call a fragment belongs to: by its index; another id begins another call, with or without an index."""
        known = self._by_index.get(index) if index is not None else self._calls[-1] if self._calls else None
        if known is None or (own and known.id and own != known.id):
            if len(self._calls) >= TOOL_CALLS_MAX:
                raise LimitExceeded(f"the answer calls more than {TOOL_CALLS_MAX} tools")
            known = _Fragments()
            self._calls.append(known)
        if index is not None:
            self._by_index[index] = known
        known.id = known.id or own
        return known


def _cleaned(value: Any) -> Any:
    """JSON with clean texts: no NUL and no lone surrogate gets into a file by way of a tool."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {clean(key): _cleaned(item) for key, item in cast(Value, value).items()}
    return value
