"""What the events of a streamed chat completion mean. Sans-IO.

`ChatReader.read` gives the shared reader (backends.reading) its steps: text, the end, figures. What only a chat has is
collected on the side: the tool calls, the price, who answered.
"""

from hearth.backends.base import Finish, Usage
from hearth.backends.chatting import ChatEvents
from hearth.backends.reading import Step
from hearth.backends.wire import Value, clean, integer, string, table
from hearth.courier.records import Outcome

WHO_CHARS_MAX = 200


class ChatReader:
    """Give every event to `read`; at the end, `outcome` says what it all came to."""

    def __init__(self) -> None:
        self._events = ChatEvents("the provider", "Try again, or choose another model.")
        self._who = {"model": "", "provider": "", "id": ""}
        self._cached: int | None = None
        self._written: int | None = None
        self._reasoning: int | None = None
        self._cost: float | None = None
        self.begun = False

    def read(self, value: Value) -> Step:
        """The meaning of one event. Raises ProtocolFault, ServerFault or LimitExceeded."""
        self.begun = True
        for name in self._who:
            if said := string(value.get(name)):
                self._who[name] = clean(said)[:WHO_CHARS_MAX]
        usage = self._usage(table(value.get("usage"))) if value.get("usage") else None
        return self._events.read(value, usage)

    def outcome(self, finish: Finish) -> Outcome:
        """What the answer came to. Calls count only if the answer is whole and they are."""
        calls, broken = self._events.calls.taken(complete=finish.reason == "stop")
        return Outcome(
            finish.reason,
            calls,
            broken,
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
