"""One generation on its way, which several requests may wait for.

While the user types along what the model is streaming, each new request joins the flight instead of starting over.
Typing that disagrees ends it at once, and so does a cursor that left: the server's slot is free for the next request.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from hearth.backends.base import Delta, Finish, Usage
from hearth.core.candidate import Candidate
from hearth.core.confidence import SURE_MIN, Said
from hearth.core.nextline import LineOrNext
from hearth.errors import HearthError
from hearth.store import Place, typed_since

LEFT_GRACE_S = 0.05
"""A flight nobody waits for ends after this, unless the document changed in agreement with it meanwhile."""
AGREED_GRACE_S = 1.0
"""Editors cancel the last request before they send the next; agreeing text is worth waiting for that long."""


class Flight:
    """Drives `events` through a trimmer in its own task; `candidate` is set when that is done.

    `place` is where the user is, and `lead` what must be accepted there first: "" for a request, the suggestion that
    is shown for a speculation.
    """

    def __init__(
        self,
        place: Place,
        lead: str,
        trimmer: LineOrNext,
        events: AsyncGenerator[Delta | Finish],
        check: Callable[[Candidate], tuple[Candidate, float]],
        on_done: Callable[["Flight"], None],
        *,
        head: str,
        backend: str,
        model: str,
    ) -> None:
        self.place = place
        self.lead = lead
        self.head = head  # the frozen part of its prompt
        self.backend = backend
        self.model = model
        self.candidate: Candidate | None = None
        self.error: HearthError | None = None
        self.usage = Usage()
        self.answered = False  # a part of it was shown: it goes on until typing disagrees
        self.pieces = 0
        self.started = time.perf_counter()
        self.confidence = 1.0
        self.counted = False  # it is part of what is known of the user's taste
        self.shown = False  # some of its lines were: they must stay
        self._said = Said()
        self._trimmer = trimmer
        self._check = check
        self._events = events
        self._on_done = on_done
        self._waiters = 0
        self._typed = ""  # what stands in the document now where this flight started
        self._agreed = False
        self._abandoned = False
        self._cancelled = False
        self._leaving: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._drive(), name="completion flight")

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._task.done()

    def so_far(self) -> Candidate:
        """The whole lines that are sure by now."""
        return self.candidate or self._surest(self._trimmer.so_far())[0]

    def doubted(self, now: Place) -> bool:
        """Whether the model was too unsure of the first line to show it at `now` unasked. Never where it does not
        tell, once a part was shown, or where what was typed since proved its beginning right."""
        if self.shown or not self._said.known:
            return False
        candidate, sure = self.candidate, self.confidence
        if candidate is None:
            candidate, sure = self._surest(self._trimmer.so_far())
        if not candidate.text or sure >= SURE_MIN:
            return False
        text, past = self.lead + candidate.text, len(self.lead)
        return not any(text.startswith(typed) and typed[past:].strip() for typed in typed_since(self.place, now))

    def agrees(self, now: Place) -> bool:
        """Whether the text at `now` is where this flight started plus a part of what it streams (or the other way
        round, while little has come yet)."""
        return any(self._fits(typed) for typed in typed_since(self.place, now))

    def rest(self, candidate: Candidate, now: Place) -> str:
        """What `candidate` still adds at `now`; "" if nothing or if the typed text went another way."""
        for typed in typed_since(self.place, now):
            text = self.lead + candidate.text
            if text.startswith(typed) and len(typed) >= len(self.lead):
                return text[len(typed) :]
        return ""

    def document_changed(self, typed: str | None) -> None:
        """The document has a new version, with `typed` where the flight started (None: it no longer connects)."""
        if typed is None or not self._fits(typed):
            self.abandon()
        else:
            self._typed = typed
            self._agreed = True

    async def wait(self, timeout_s: float) -> None:
        """Return when there is news, when the flight is over, or in time. Cancelling the waiter may end the flight."""
        self._waiters += 1
        if self._leaving:
            self._leaving.cancel()
            self._leaving = None
        self._agreed = self._abandoned = False
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
            self._changed.clear()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if self._waiters == 1 and not self.answered:
                # `document_changed` arrives right after the cancel or before it: the grace is chosen when it ends.
                self._leave(LEFT_GRACE_S)
            raise
        finally:
            self._waiters -= 1

    def cancel(self) -> None:
        """End it now: the response is closed, the server stops generating. Once: a second cancel would break off the
        closing itself."""
        if not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    def abandon(self) -> None:
        """End it as soon as the model begins to write: now, or once it has read the prompt.

        What it reads is the next request's prompt too, and a server notices late that a request it has not begun yet
        was given up: breaking off at every key would only fill its queue.
        """
        if self.pieces:
            self.cancel()
        else:
            self._abandoned = True

    async def ended(self, timeout_s: float | None = None) -> bool:
        """Wait until the task is over, whatever its result; whether it is. Cancelling the waiter does not touch it."""
        return bool((await asyncio.wait((self._task,), timeout=timeout_s))[0])

    def _leave(self, grace_s: float) -> None:
        self._leaving = asyncio.get_running_loop().call_later(grace_s, self._left, grace_s)

    def _left(self, grace_s: float) -> None:
        if self._waiters:
            return
        if self._agreed and grace_s < AGREED_GRACE_S:
            self._leave(AGREED_GRACE_S)
        else:
            self.cancel()

    def _fits(self, typed: str) -> bool:
        if self.candidate is not None:
            return (self.lead + self.candidate.text).startswith(typed)
        text = self.lead + self._trimmer.text
        return text.startswith(typed) or typed.startswith(text)

    def _surest(self, candidate: Candidate) -> tuple[Candidate, float]:
        """`candidate` up to a later line that the model was unsure of, and how sure it was of the first."""
        text, sure = self._said.judged(candidate.text)
        if text != candidate.text:
            candidate = replace(candidate, text=text, reason="cut where the model was unsure")
        return candidate, sure

    async def _drive(self) -> None:
        try:
            reason = "truncated"
            async with aclosing(self._events) as events:
                async for event in events:
                    self.usage = event.usage or self.usage
                    if isinstance(event, Finish):
                        reason = event.reason
                        break
                    self.pieces += 1
                    self._said.add(event.text, event.logprobs)
                    if self._abandoned:
                        return
                    if self._trimmer.feed(event.text) == "stop":
                        reason = "stop"
                        break
                    self._changed.set()
                    if not self._fits(self._typed):
                        return  # what was typed so far could have become this text, but it did not
            whole, sure = self._surest(self._trimmer.finish(reason))
            checked, confidence = (whole, 1.0) if self.shown else self._check(whole)
            self.candidate, self.confidence = checked, confidence * sure
        except HearthError as error:
            self.error = error
        finally:
            if self._leaving:
                self._leaving.cancel()
            self._on_done(self)
            self._changed.set()
