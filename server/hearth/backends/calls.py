"""The tool calls of one answer, put together from the pieces in which they are streamed. Sans-IO.

Only whole calls of a whole answer may be carried out: a call that was cut off can be valid JSON and still be half of
what the model meant.
"""

import json
from itertools import count
from typing import Any, cast

from hearth.backends.wire import Value, clean, integer, string, table
from hearth.core.exchange import ToolCall
from hearth.errors import LimitExceeded

CALLS_MAX = 64
ARGUMENT_CHARS_MAX = 1_000_000
NAME_CHARS_MAX = 200
ID_CHARS_MAX = 200


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


class Calls:
    """`add` each fragment, or `whole` calls where the server does not cut them up; then `taken`."""

    def __init__(self) -> None:
        self._calls: list[_Fragments] = []
        self._by_index: dict[int, _Fragments] = {}
        self._argument_chars = 0

    def add(self, fragment: Value) -> None:
        """A piece of a call as OpenAI's format has it. Raises LimitExceeded."""
        own = clean(string(fragment.get("id")))[:ID_CHARS_MAX]
        self._extend(self._call(integer(fragment.get("index")), own), table(fragment.get("function")))

    def whole(self, call: Value) -> None:
        """A call that came in one piece, whatever came before. Raises LimitExceeded."""
        fragments = self._new()
        fragments.id = clean(string(call.get("id")))[:ID_CHARS_MAX]
        self._extend(fragments, table(call.get("function")))

    def taken(self, *, complete: bool) -> tuple[tuple[ToolCall, ...], int]:
        """(the calls that may be carried out, how many may not). None may unless the answer is `complete`."""
        calls: list[ToolCall] = []
        used: set[str] = set()
        for call in self._calls:
            arguments = call.whole() if complete and call.name else None
            if arguments is not None:
                # Without an id, or with another's, the answer to a call could not be told from that to another.
                fresh = (f"call_{number}" for number in count() if f"call_{number}" not in used)
                own = call.id if call.id and call.id not in used else next(fresh)
                used.add(own)
                calls.append(ToolCall(own, call.name, arguments))
        return tuple(calls), len(self._calls) - len(calls)

    def _extend(self, call: _Fragments, function: Value) -> None:
        call.name = call.name or clean(string(function.get("name")))[:NAME_CHARS_MAX]
        raw = function.get("arguments")
        piece = json.dumps(raw) if isinstance(raw, dict) else string(raw)
        self._argument_chars += len(piece)
        if self._argument_chars > ARGUMENT_CHARS_MAX:
            raise LimitExceeded(f"the arguments of the tool calls are longer than {ARGUMENT_CHARS_MAX} characters")
        call.arguments.append(piece)

    def _call(self, index: int | None, own: str) -> _Fragments:
        """Which call a fragment belongs to: by its index; another id begins another call, with or without an index."""
        known = self._by_index.get(index) if index is not None else self._calls[-1] if self._calls else None
        if known is None or (own and known.id and own != known.id):
            known = self._new()
        if index is not None:
            self._by_index[index] = known
        known.id = known.id or own
        return known

    def _new(self) -> _Fragments:
        if len(self._calls) >= CALLS_MAX:
            raise LimitExceeded(f"the answer calls more than {CALLS_MAX} tools")
        self._calls.append(_Fragments())
        return self._calls[-1]


def _cleaned(value: Any) -> Any:
    """JSON with clean texts: no NUL and no lone surrogate gets into a file by way of a tool."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {clean(key): _cleaned(item) for key, item in cast(Value, value).items()}
    return value
