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
THOUGHT_CHARS_MAX = 1_000_000
"""Of what a model thinks aloud. The tokens that it is given bound it first; this is for a server that forgets them."""
THOUGHTS = {"<think>": "</think>", "<thinking>": "</thinking>", "[THINK]": "[/THINK]"}
LOGPROB_MIN = -100.0
"""Less is what servers say for "impossible", which no token is that was chosen."""
LOGPROBS_PER_EVENT_MAX = 64

Reason = Literal["stop", "length", "filter"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one JSON event means: text, the end, figures; any of them may be missing. Figures add to earlier ones.

    `logprobs`: as in Delta, of the tokens of this text. `thought`: what the model says to itself.
    """

    text: str = ""
    reason: Reason | None = None
    usage: Usage | None = None
    logprobs: tuple[float, ...] = ()
    thought: str = ""


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
        thinks: bool = False,
    ) -> None:
        whole = framing == "sse" and media_type == "application/json"
        self._parser = WholeBody(fault=fault) if whole else StreamParser(framing, fault=fault)
        self._read = read
        self._max_tokens = max_tokens
        self._cleaner = TextCleaner()
        self._thoughts = Thoughts(on=thinks)
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
        rest = self._watcher.feed(self._thoughts.feed(self._cleaner.close()) + self._thoughts.close())
        if rest := rest + self._watcher.close():
            yield Delta(rest, logprobs=self._logprobs)
        reason = self._reason or ("stop" if self.over else "truncated")
        yield Finish(reason, self._usage, thought_chars=self._thoughts.chars)

    def _take(self, values: Iterator[Value]) -> Iterator[Delta]:
        try:
            for value in values:
                self.events += 1
                step = self._read(value)
                news = _merged(self._usage, step.usage)
                said = "" if self._reason else self._thoughts.feed(self._cleaner.feed(step.text))
                text = self._watcher.feed(said)
                self._count(step.text, step.thought)
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

    def _count(self, text: str, thought: str) -> None:
        self._thoughts.chars += len(thought)
        if self._thoughts.chars > THOUGHT_CHARS_MAX:
            raise LimitExceeded(f"the model thought aloud for more than {THOUGHT_CHARS_MAX} characters")
        self._pieces += bool(text)
        self._chars += len(text)
        most = self._max_tokens
        if self._pieces > most + TOKEN_SLACK or self._chars > (most + TOKEN_SLACK) * TEXT_CHARS_PER_TOKEN_MAX:
            raise LimitExceeded(f"the server went on beyond the {most} tokens that were asked for")


class Thoughts:
    """Takes out what a model thinks aloud before it answers, where the server leaves that in the text, and counts it.

    Only a block that the answer begins with is a thought: the same words later may be what was asked for. One that
    never ends is the whole answer. `on`: look for it at all; else everything passes.
    """

    def __init__(self, *, on: bool) -> None:
        self.chars = 0
        self._end = ""  # what ends the thought that we are in
        self._before = on  # the answer has not begun
        self._held: str = ""

    def feed(self, text: str) -> str:
        """The text that is certainly no thought."""
        if not self._before:
            return text
        text, self._held = self._held + text, ""
        if not self._end:
            begun = text.lstrip()
            mark = next((mark for mark in THOUGHTS if begun.startswith(mark)), "")
            if not mark:
                self._before = any(mark.startswith(begun) for mark in THOUGHTS)
                text = begun if self.chars else text  # the lines after a thought belong to neither
                self._held = text if self._before else ""
                return "" if self._before else text
            self._end, text = THOUGHTS[mark], begun.removeprefix(mark)
        thought, end, answer = text.partition(self._end)
        if not end:
            # What may be the first half of the end waits for the second one.
            keep = len(self._end) - 1
            self._held = text[-keep:]
            self.chars += len(text) - len(self._held)
            return ""
        self.chars += len(thought)
        self._end = ""
        return self.feed(answer)  # another thought may follow

    def close(self) -> str:
        """The stream ended: what looked like the start of a thought was text."""
        rest, self._held = self._held, ""
        self._before = False
        if self._end:
            self.chars += len(rest)
            return ""
        return rest


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
