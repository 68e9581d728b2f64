"""One streamed answer, read: bytes -> Deltas and one Finish. Sans-IO, the same for every kind of server.

The server's own meaning of an event comes from outside as `read`. Here are the rules that all share: when an answer is
done and when it is only cut off, what is held back until it is certain, and how much is too much.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Literal

from hearth.backends.base import Delta, Finish, Usage
from hearth.backends.wire import Framing, StopWatcher, StreamParser, TextCleaner, Value, WholeBody, fault_from
from hearth.errors import BackendError, LimitExceeded

TOKEN_SLACK = 16
"""Pieces a server may send beyond the tokens asked for, before it counts as endless."""
TEXT_CHARS_PER_TOKEN_MAX = 200
LOGPROB_MIN = -100.0
"""Less is what servers say for "impossible", which no token is that was chosen."""
LOGPROBS_PER_EVENT_MAX = 64

Reason = Literal["stop", "length", "filter"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one JSON event means: text, the end, figures; any of them may be missing. Figures add to earlier ones.

    `logprobs`: as in Delta, of the tokens of this text.
    """

    text: str = ""
    reason: Reason | None = None
    usage: Usage | None = None
    logprobs: tuple[float, ...] = ()


class Reading:
    """Feed it the body; then `finish()`. Iterate every result to its end. Raises BackendError for a bad stream.

    `over`: the answer is complete, by a reason, by [DONE] or by a stop string that we watch (`stopped`). What follows
    can only add figures, and whatever is wrong with it is nobody's concern any more.
    """

    def __init__(
        self,
        framing: Framing,
        media_type: str,
        read: Callable[[Value], Step],
        *,
        max_tokens: int,
        watched_stops: Sequence[str] = (),
        fault: Callable[[object], BackendError] = fault_from,
    ) -> None:
        whole = framing == "sse" and media_type == "application/json"
        self._parser = WholeBody(fault=fault) if whole else StreamParser(framing, fault=fault)
        self._read = read
        self._max_tokens = max_tokens
        self._cleaner = TextCleaner()
        self._watcher = StopWatcher(watched_stops)
        self._reason: Reason | None = None
        self._usage = self._told = Usage()
        self._logprobs: tuple[float, ...] = ()  # of text that is held back
        self._pieces = 0
        self._chars = 0
        self.events = 0

    @property
    def stopped(self) -> bool:
        return self._watcher.stopped

    @property
    def over(self) -> bool:
        return self._reason is not None or self._parser.done or self._watcher.stopped

    def feed(self, data: bytes) -> Iterator[Delta]:
        """The next bytes of the body."""
        return self._take(self._parser.feed(data))

    def close(self) -> Iterator[Delta]:
        """The body ended or broke off."""
        return self._take(self._parser.close())

    def finish(self) -> Iterator[Delta | Finish]:
        """What was held back, and the one terminal event."""
        rest = self._watcher.feed(self._cleaner.close()) + self._watcher.close()
        if rest:
            yield Delta(rest, logprobs=self._logprobs)
        yield Finish(self._reason or ("stop" if self.over else "truncated"), self._usage)

    def _take(self, values: Iterator[Value]) -> Iterator[Delta]:
        try:
            for value in values:
                self.events += 1
                step = self._read(value)
                news = _merged(self._usage, step.usage)
                text = "" if self._reason else self._watcher.feed(self._cleaner.feed(step.text))
                self._count(step.text)
                self._logprobs += step.logprobs if step.text else ()
                self._reason = self._reason or step.reason
                self._usage, told = news, news is not self._told
                if text:
                    self._told = news
                    logprobs, self._logprobs = self._logprobs, ()
                    yield Delta(text, news if told else None, logprobs)
                if self._watcher.stopped:
                    return
        except BackendError:
            if not self.over:
                raise

    def _count(self, text: str) -> None:
        self._pieces += bool(text)
        self._chars += len(text)
        most = self._max_tokens
        if self._pieces > most + TOKEN_SLACK or self._chars > (most + TOKEN_SLACK) * TEXT_CHARS_PER_TOKEN_MAX:
            raise LimitExceeded(f"the server went on beyond the {most} tokens that were asked for")


def logprobs_of(values: Iterable[object]) -> tuple[float, ...]:
    """Those of some JSON values that are the logarithm of a token's probability; foreign JSON may have anything."""
    return tuple(
        float(value)
        for value in islice(values, LOGPROBS_PER_EVENT_MAX)
        if isinstance(value, int | float) and not isinstance(value, bool) and LOGPROB_MIN <= value <= 0
    )


def _merged(old: Usage, new: Usage | None) -> Usage:
    """`old` with what `new` knows in its place; the same object if nothing changed."""
    if new is None:
        return old
    values = {f.name: getattr(new, f.name) for f in fields(Usage)}
    merged = replace(old, **{name: value for name, value in values.items() if value is not None})
    return old if merged == old else merged
