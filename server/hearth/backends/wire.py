"""Bytes of a streamed answer -> JSON events: one sans-IO parser for server-sent events and for JSON lines.

Feed it the body in any pieces: the events and the error are the same however the bytes were cut. What a stream may get
wrong (comments, line ends, byte order mark, split characters, endless lines, foreign text) is settled here, so that the
backends only read whole JSON objects. Nothing here knows HTTP.
"""

import codecs
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, cast

from hearth.errors import (
    BackendError,
    ContextOverflow,
    LimitExceeded,
    ModelLoading,
    ModelMissing,
    ProtocolFault,
    ServerFault,
)

LINE_BYTES_MAX = 1024 * 1024
EVENT_BYTES_MAX = 2 * 1024 * 1024
STREAM_BYTES_MAX = 32 * 1024 * 1024
MESSAGE_CHARS_MAX = 300

Framing = Literal["sse", "ndjson"]
Value = dict[str, Any]

_HIGH = range(0xD800, 0xDC00)
_LOW = range(0xDC00, 0xE000)


class StreamParser:
    """`feed(data)` and `close()` yield the JSON objects that are complete; iterate each to its end.

    Raises while iterated, after the events before the fault: ProtocolFault for broken framing, ServerFault (or a more
    exact BackendError) where the stream itself reports an error, LimitExceeded for the named caps.
    `done` is True once the stream said `[DONE]`; what follows is ignored. `fault` reads what an error says.
    """

    def __init__(
        self,
        framing: Framing,
        *,
        line_bytes_max: int = LINE_BYTES_MAX,
        event_bytes_max: int = EVENT_BYTES_MAX,
        stream_bytes_max: int = STREAM_BYTES_MAX,
        fault: Callable[[object], BackendError] | None = None,
    ) -> None:
        self.done = False
        self._fault = fault or fault_from
        self._sse = framing == "sse"
        self._line_bytes_max = line_bytes_max
        self._event_bytes_max = event_bytes_max
        self._stream_bytes_max = stream_bytes_max
        self._line = bytearray()
        self._after_cr = False
        self._first_line = True
        self._bytes = 0
        self._data: list[str] = []
        self._data_bytes = 0
        self._event = ""

    def feed(self, data: bytes) -> Iterator[Value]:
        """Take the next bytes of the body."""
        room = max(0, self._stream_bytes_max - self._bytes)
        self._bytes += len(data)
        for line in self._lines(data[:room]):
            if self.done:
                return
            yield from self._read(line)
        if len(data) > room and not self.done:
            raise LimitExceeded(f"the answer is larger than {self._stream_bytes_max} bytes")

    def close(self) -> Iterator[Value]:
        """The body ended. An event whose end is missing counts only if it is whole all the same."""
        if self.done:
            return
        try:
            yield from self._read(bytes(self._line))
            yield from self._dispatch()
        except ProtocolFault:
            return  # The cut went through the event: the stream is truncated, which its reader sees from the end.

    def _lines(self, data: bytes) -> Iterator[bytes]:
        """Complete lines without their end: LF, CRLF, and for events a lone CR, but never U+2028 or U+0085."""
        start = 0
        while start < len(data):
            if self._after_cr:
                self._after_cr = False
                if data[start] == 0x0A:
                    start += 1
                    continue
            end = data.find(b"\n", start)
            if self._sse and (cr := data.find(b"\r", start, end if end >= 0 else len(data))) >= 0:
                end = cr
            self._line += data[start : end if end >= 0 else len(data)]
            if len(self._line) > self._line_bytes_max:
                raise LimitExceeded(f"one line of the answer is longer than {self._line_bytes_max} bytes")
            if end < 0:
                return
            self._after_cr = data[end] == 0x0D
            line = bytes(self._line)
            self._line.clear()
            yield line
            start = end + 1

    def _read(self, raw: bytes) -> Iterator[Value]:
        if self._first_line:
            self._first_line = False
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolFault("the answer is not valid UTF-8") from error
        if not self._sse:
            if line.strip():
                yield decode(line, self._fault)
        elif not line:
            yield from self._dispatch()
        else:
            self._field(line)

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data_bytes += len(value) + 1
            if self._data_bytes > self._event_bytes_max:
                raise LimitExceeded(f"one event of the answer is larger than {self._event_bytes_max} bytes")
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "error":
            raise self._fault(_json_or_text(value))
        elif line.lstrip().startswith(("{", "<")):
            # Not a field of the format at all: the server answers with a bare JSON error or a web page.
            decode(line, self._fault)
            raise ProtocolFault("the answer is not a stream of events")

    def _dispatch(self) -> Iterator[Value]:
        text, event = "\n".join(self._data), self._event
        self._data.clear()
        self._data_bytes = 0
        self._event = ""
        if not text.strip():
            return
        if text.strip() == "[DONE]":
            self.done = True
        elif event == "error":
            raise self._fault(_json_or_text(text))
        else:
            yield decode(text, self._fault)


class WholeBody:
    """The same interface for a server that answers with one JSON object although a stream was asked for."""

    def __init__(
        self, *, bytes_max: int = LINE_BYTES_MAX, fault: Callable[[object], BackendError] | None = None
    ) -> None:
        self.done = False
        self._fault = fault or fault_from
        self._bytes_max = bytes_max
        self._body = bytearray()

    def feed(self, data: bytes) -> Iterator[Value]:
        """Take the next bytes; nothing is known before the end."""
        self._body += data
        if len(self._body) > self._bytes_max:
            raise LimitExceeded(f"the answer is larger than {self._bytes_max} bytes")
        yield from ()

    def close(self) -> Iterator[Value]:
        """The body ended: its one object, or the error that it reports."""
        try:
            text = bytes(self._body).removeprefix(codecs.BOM_UTF8).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolFault("the answer is not valid UTF-8") from error
        if text.strip():
            yield decode(text, self._fault)


class StopWatcher:
    """Finds stop strings that the server was not told of, also where one is cut in pieces. `stopped` once found."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stopped = False
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held: str = ""

    def feed(self, text: str) -> str:
        """The text that is certainly before any stop string."""
        if self.stopped or not self._stops:
            return "" if self.stopped else text
        text, self._held = self._held + text, ""
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            return text[: min(found)]
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-size:]
            if any(stop.startswith(tail) for stop in self._stops):
                self._held = tail
                return text[:-size]
        return text

    def close(self) -> str:
        """The stream ended: what looked like the start of a stop string was text."""
        rest, self._held = self._held, ""
        return "" if self.stopped else rest


class TextCleaner:
    """Model text -> text that an editor can take: no NUL, no lone surrogate, also where a pair is cut in two pieces."""

    def __init__(self) -> None:
        self._high: str = ""

    def feed(self, text: str) -> str:
        """The clean text that is certain so far; may be empty."""
        text, self._high = self._high + text, ""
        if text and ord(text[-1]) in _HIGH:
            text, self._high = text[:-1], text[-1]
        return clean(text)

    def close(self) -> str:
        """What was held back, as U+FFFD."""
        rest, self._high = self._high, ""
        return clean(rest)


def clean(text: str) -> str:
    """Without NUL; surrogate pairs joined, lone surrogates as U+FFFD."""
    if text.isascii():
        return text.replace("\0", "")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "")


def decode(text: str, fault: Callable[[object], BackendError] | None = None) -> Value:
    """One JSON object. ProtocolFault if it is none; the error it reports, read by `fault`, if it reports one."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "a web page" if text.lstrip().startswith("<") else "broken JSON"
        raise ProtocolFault(f"the answer contains {what} where an event should be") from error
    if not isinstance(value, dict):
        raise ProtocolFault("the answer contains JSON that is not an object where an event should be")
    event = cast(Value, value)
    if event.get("error"):
        raise (fault or fault_from)(event)
    return event


def table(value: object) -> Value:
    """`value` if it is a JSON object, else {}: foreign JSON may have any type anywhere."""
    return cast(Value, value) if isinstance(value, dict) else {}


def tables(value: object) -> list[Value]:
    """The JSON objects in `value` if it is a list, else []."""
    return [cast(Value, v) for v in cast(list[object], value) if isinstance(v, dict)] if isinstance(value, list) else []


def integer(value: object) -> int | None:
    """`value` if it is a count, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def string(value: object) -> str:
    """`value` if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def error_text(value: object) -> str:
    """The sentence in a server's error body, whatever its shape; cleaned and short."""
    for _ in range(4):
        if not isinstance(value, dict):
            break
        body = cast(Value, value)
        value = next((body[k] for k in ("error", "message", "detail", "msg") if body.get(k)), "")
    if isinstance(value, list):
        value = json.dumps(value)
    text = " ".join(clean(str(value or "")).split())
    return text if len(text) <= MESSAGE_CHARS_MAX else text[: MESSAGE_CHARS_MAX - 1] + "…"


def fault_from(value: object) -> BackendError:
    """The exception for an error that the server reports in words: what servers say is told apart here, once."""
    text = error_text(value)
    lower = text.lower()
    if is_overflow(lower):
        return ContextOverflow(
            f"the prompt does not fit the model's context: {text}",
            "Start the server with a larger context (for example 8192 tokens), or use a model with a larger one.",
        )
    if "loading model" in lower or "is loading" in lower or "still loading" in lower:
        return ModelLoading("the server is still loading the model", "Nothing to do: it answers once it is loaded.")
    if "model" in lower and ("not found" in lower or "does not exist" in lower or "no model" in lower):
        return ModelMissing(f"the server does not have the model: {text}", "Load the model there, or name another.")
    return ServerFault(f"the server reports an error: {text or 'without saying which'}", "Look at the server's log.")


def is_overflow(lower: str) -> bool:
    """True if a lower-case error sentence says that the prompt is too long."""
    about = "context" in lower or "prompt" in lower or "input" in lower
    return about and any(
        word in lower
        for word in (
            "exceed",
            "too long",
            "too large",
            "maximum context",
            "context length",
            "greater than",
            "longer than",
        )
    )


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
