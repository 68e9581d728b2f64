"""Who may use the model, and when: at most one generation at a time, and the next one prepared while one is looked at.

The pilot starts a `Flight` for a request, lets typing that agrees join it, ends it when typing disagrees, and, once a
suggestion is shown, speculates: it asks for what would follow if that suggestion were accepted. The prompt for that is
the text the server has just read and written itself, so it costs next to nothing to read, and pressing Tab then shows
the next suggestion at once. A rejected suggestion ends its speculation.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from hearth.backends.base import Delta, Finish, Generate
from hearth.core.background import EMPTY, Background
from hearth.core.candidate import Candidate, Site
from hearth.core.check import checked
from hearth.core.confidence import UNSURE
from hearth.core.gate import Gate
from hearth.core.nextline import LineOrNext, complete_line
from hearth.core.prompt import CHARS_PER_TOKEN_MIN, TAIL_CHARS_MAX, Anchor, anchor_at, lf, tail_of
from hearth.core.syntax import closers_missing, window_at
from hearth.core.text import Position, Snapshot, split_lines, utf16_length
from hearth.errors import EgressDenied
from hearth.flight import Flight
from hearth.gateway import Gateway, Target
from hearth.gather import Spot, spot_at
from hearth.sending import Sending, restored
from hearth.settings import CompletionSettings
from hearth.store import Entry, Memory, Place, typed_since

TOKENS_PER_LINE = 20
TOKENS_MAX = 256
ANCHORS_MAX = 8
CONTEXT_TOKENS_ASSUMED = 4_096
"""For a server that does not say how much its model takes."""
EMPTY_PLACES_MAX = 64
HELD_MAX = 8
CONFIDENCE_MIN = 0.3
ONLY_CLOSES = " \t\n)]};,"
LINES_AT_ONCE_MIN = 2
LINES_UNKNOWN = 4
ANSWER_SPAN_S = 1.0
"""A suggestion has as many lines as the server writes in this time. What goes further is asked for once it is shown: a
slow model would mostly write what is thrown away."""
SPECULATED_LINES = 1
FIRST_PROMPT_S = 2.0
FIRST_PROMPT_TOKENS = 600
TAIL_TOKENS = int(TAIL_CHARS_MAX / CHARS_PER_TOKEN_MIN)
"""The first prompt of a document is read while the user waits, so it is short: as much as the server reads in
FIRST_PROMPT_S, FIRST_PROMPT_TOKENS while that is not known. It is made whole at rest."""
TAIL_IDLE_CHARS = 200
"""A longer tail is frozen into a new anchor while nothing is typed."""


@dataclass(slots=True)
class Counts:
    """Live counters; names as in `hearth/status`."""

    model_calls: int = 0
    joined: int = 0
    speculated: int = 0


class Pilot:
    """One per engine. `names` gives a document's repository and path for the prompt's header."""

    def __init__(
        self,
        gateway: Gateway,
        memory: Memory,
        settings: Callable[[], CompletionSettings],
        names: Callable[[str], tuple[str, str]],
        sending: Sending,
    ) -> None:
        self.sending = sending
        self.flight: Flight | None = None
        self.counts = Counts()
        self.nothing: dict[Place, str] = {}  # places the model had nothing for, and why
        self._held: dict[Place, Entry] = {}  # what the model was too unsure of, newest last
        self.anchors: dict[str, Anchor] = {}  # by URI, newest last
        self.background: Background = EMPTY  # what stands before every file's own text
        self.resident: tuple[str, str] | None = None  # URI and head of what the server has read last
        self._short: set[str] = set()  # documents whose prompt is to be made whole at rest
        self._reading: asyncio.Task[object] | None = None
        self._reading_head = ""
        self._gateway = gateway
        self._memory = memory
        self._settings = settings
        self._names = names
        self._from: Spot | None = None  # where the flight on its way started
        self._turn = 0
        self._closed = False

    def changed(self, snapshot: Snapshot) -> None:
        """A new version of a document: the generation on its way either agrees with it or ends."""
        flight, spot = self.flight, self._from
        if flight and spot and not flight.over and spot.snapshot.uri == snapshot.uri:
            flight.document_changed(typed_at(spot, snapshot))

    async def aclose(self) -> None:
        """End the generation on its way, and begin no other."""
        self._closed = True
        if self._reading:
            self._reading.cancel()
            await asyncio.wait((self._reading,))
        if self.flight:
            self.flight.cancel()
            await self.flight.ended()

    def joined(self, place: Place) -> Flight | None:
        """The flight that a request at `place` can wait for, if there is one."""
        flight = self.flight
        if flight is None or flight.over or not flight.agrees(place):
            return None
        self.counts.joined += 1
        return flight

    def release(self, now: Place, *, asked_for: bool) -> None:
        """Remember what was held back for doubt and lies at `now`, if the user asks for it or has begun to type it."""
        for place, entry in list(self._held.items()):
            typed = [part for part in typed_since(place, now) if entry.text.startswith(part)]
            if (asked_for and typed) or any(part.strip() for part in typed):
                del self._held[place]
                self.nothing.pop(place, None)
                self._memory.remember(entry)

    async def take_off(self, spot: Spot, decision: Gate, target: Target, until: float) -> Flight:
        """Start a generation, after the one on its way, which disagrees, is ended.

        At most one request runs on the server and the newest waits here, until `until` (perf_counter) at the most.
        Where a newer one came meanwhile, or time is up, the old flight is returned: it has nothing for this place.
        """
        anchor = self._anchor(spot, target)
        self._turn += 1
        turn = self._turn
        if (old := self.flight) and not old.over:
            if old.head == anchor.head:
                old.abandon()
                ended = await old.ended(until - time.perf_counter())
                if turn != self._turn or not ended:
                    return old
            else:
                old.cancel()
        await self._end_reading(anchor.head, until)
        if turn != self._turn and self.flight:
            return self.flight
        self.counts.model_calls += 1
        return self._start(spot, spot, "", decision, target, anchor)

    def speculate(self, spot: Spot, text: str) -> None:
        """Prepare what follows if `text`, which is shown at `spot`, is accepted. Only when the server is idle."""
        target = self._gateway.target("complete")
        busy = (self.flight and not self.flight.over) or (self._reading and not self._reading.done())
        if self._closed or target is None or spot.line_after.strip() or busy:
            return
        there = spot_at(*inserted(spot, text), spot.around)
        if self._memory.lookup(there.place) or there.place in self.nothing:
            return
        self.counts.speculated += 1
        self._turn += 1
        self._start(spot, there, text, Gate(), target, self._anchor(there, target)).answered = True

    def adopt(self, anchors: dict[str, Anchor], background: Background, resident: tuple[str, str]) -> None:
        """Take over the frozen prompts of the last start, one of which the server has read again."""
        self.anchors, self.background, self.resident = dict(anchors), background, resident

    def has_whole(self, uri: str) -> bool:
        """Whether there is a frozen prompt of this document that is not the first, short one."""
        return uri in self.anchors and uri not in self._short

    async def read_ahead(self, spot: Spot, target: Target, background: Background, *, whole: bool = True) -> None:
        """While nothing is typed: freeze a prompt for `spot` with this background, and have the server read it.

        Unless `whole` it is as short as a first request's, which may come before it is read.
        Cancelling this does not end the reading: the next request does, if its prompt is another one.
        """
        if self.flight:
            await self.flight.ended()
        if self._reading:
            await asyncio.wait((self._reading,))
        if not target.probe.prefills:
            # A new anchor would have to be read at the next key.
            self.background = self.background if self.anchors else background
            return
        if background != self.background:
            self.background = background
            self.anchors.clear()  # it stands before every file's own text
        uri = spot.snapshot.uri
        known = self.anchors.get(uri)
        long = known and len(tail_of(known, spot.wide, spot.wide_at) or "") > TAIL_IDLE_CHARS
        if known and whole and (uri in self._short or long):
            del self.anchors[uri]
        anchor = self._anchor(spot, target, whole=whole)
        if self.resident == (uri, anchor.head):
            return
        self._reading_head = anchor.head
        self._reading = asyncio.create_task(self._read(uri, anchor, spot, target), name="prefill")
        await asyncio.wait((self._reading,))

    async def _read(self, uri: str, anchor: Anchor, spot: Spot, target: Target) -> None:
        try:
            sent = await self.sending.ready(uri, anchor, _typed(anchor, spot), target.backend.url)
        except EgressDenied:
            self.anchors.pop(uri, None)
            return
        if await self._gateway.prefill(target, sent.prompt):
            self.resident = (uri, anchor.head)

    async def _end_reading(self, head: str, until: float) -> None:
        """Make way for a request: what is being read is its own prompt, or is given up."""
        reading = self._reading
        if reading is None or reading.done():
            return
        if self._reading_head != head:
            reading.cancel()
        await asyncio.wait((reading,), timeout=max(0.0, until - time.perf_counter()))

    async def _events(self, anchor: Anchor, spot: Spot, target: Target) -> AsyncGenerator[Delta | Finish]:
        """What the server says, if the prompt may go there. An anchor that may not is given up: the next one is made
        without what is in its way."""
        uri = spot.snapshot.uri
        try:
            sent = await self.sending.ready(uri, anchor, _typed(anchor, spot), target.backend.url)
        except EgressDenied:
            self.anchors.pop(uri, None)
            raise
        events = self._gateway.stream(target, Generate(sent.prompt, self._tokens_max(), target.dialect.stops))
        if sent.restorer:
            events = restored(events, sent.restorer)
        async with aclosing(events):
            async for event in events:
                yield event

    def _start(self, base: Spot, there: Spot, lead: str, decision: Gate, target: Target, anchor: Anchor) -> Flight:
        """A flight for `there`, which is `base` with `lead` inserted."""

        def missing(text: str) -> bool:
            window = window_at(there.wide, there.wide_at)
            return window is not None and closers_missing(window, text)

        site = Site(
            language=there.snapshot.language,
            line_before=there.line_before,
            line_after=there.line_after,
            above=there.above,
            below=there.below,
            extent=decision.extent,
            quote=decision.quote,
            # Where the cursor's own line goes on below, what is left of it here counts as a line too.
            max_lines=self._lines(target, speculated=bool(lead)) + _goes_on(there),
            leaks=target.dialect.tokens,
            missing=missing,
        )
        self._from = base
        self.flight = Flight(
            base.place,
            lead,
            LineOrNext(site),
            self._events(anchor, there, target),
            lambda candidate: _judged(site, candidate, there),
            lambda flight: self._flew(flight, there.place),
            head=anchor.head,
            backend=target.backend.name,
            model=target.probe.model,
        )
        return self.flight

    def _lines(self, target: Target, *, speculated: bool) -> int:
        most = self._settings().max_lines
        pace = self._gateway.pace(target)
        least = LINES_UNKNOWN if pace.decode_tokens_per_s is None else LINES_AT_ONCE_MIN
        lines = pace.lines_in(ANSWER_SPAN_S, min(least, most), most)
        return lines if lines == most or not speculated else min(lines, SPECULATED_LINES)

    def _tokens_max(self) -> int:
        return min(TOKENS_MAX, self._settings().max_lines * TOKENS_PER_LINE)

    def _anchor(self, spot: Spot, target: Target, *, whole: bool = False) -> Anchor:
        """The document's frozen prompt, or a new one where that no longer fits: a short one if it is the document's
        first, unless `whole`."""
        uri = spot.snapshot.uri
        background = self.sending.kept(self.background, target.backend.url)
        if background is not self.background:
            self.background = background
            self.anchors.clear()
        known = self.anchors.get(uri)
        if known and known.dialect == target.dialect and tail_of(known, spot.wide, spot.wide_at) is not None:
            return known
        room = (target.probe.context_tokens or CONTEXT_TOKENS_ASSUMED) - self._tokens_max()
        self._short.discard(uri)
        if not whole and uri not in self.anchors:
            rate = self._gateway.pace(target).prefill_tokens_per_s
            short = FIRST_PROMPT_TOKENS if rate is None else int(rate * FIRST_PROMPT_S)
            if target.probe.prefills and short + TAIL_TOKENS < room:
                room = short + TAIL_TOKENS
                self._short.add(uri)
        repo, path = self._names(uri)
        anchor = anchor_at(
            spot.wide,
            spot.wide_at,
            target.dialect,
            path=path,
            repo=repo,
            prompt_tokens_max=room,
            background=self.background,
            previous=known,
            origin_of=self.sending.origin,
        )
        self.anchors.pop(uri, None)
        self.anchors[uri] = anchor
        if len(self.anchors) > ANCHORS_MAX:
            del self.anchors[next(iter(self.anchors))]
        return anchor

    def _flew(self, flight: Flight, place: Place) -> None:
        """A generation is over: what it gave is remembered, also when nobody waits for it any more."""
        if flight.pieces:
            self.resident = (place.uri, flight.head)
        candidate = flight.candidate
        if candidate and candidate.text:
            entry = Entry(place, candidate.text, flight.backend, flight.model)
            if not flight.doubted(flight.place):
                self._memory.remember(entry)
                return
            self._held.pop(place, None)
            self._held[place] = entry
            if len(self._held) > HELD_MAX:
                del self._held[next(iter(self._held))]
        if candidate:
            self.nothing[place] = UNSURE if candidate.text else candidate.reason
            if len(self.nothing) > EMPTY_PLACES_MAX:
                del self.nothing[next(iter(self.nothing))]


def _typed(anchor: Anchor, spot: Spot) -> str:
    """What follows the anchor's head in the prompt."""
    tail = tail_of(anchor, spot.wide, spot.wide_at)
    return lf(spot.line_before) if tail is None else tail


def _goes_on(spot: Spot) -> bool:
    return bool(spot.line_before.strip()) and not complete_line(
        spot.line_before, spot.line_after, spot.snapshot.language
    )


def _judged(site: Site, candidate: Candidate, spot: Spot) -> tuple[Candidate, float]:
    """The candidate as far as the document parses with it, if its names are not too far-fetched; and how sure that
    is, 0 to 1."""
    if not candidate.text:
        return candidate, 0.0
    if not candidate.text.strip(ONLY_CLOSES):
        return candidate, 1.0  # the trimmer has matched them with what is open, also where the code is half written
    verdict = checked(site, candidate, window_at(spot.wide, spot.wide_at))
    if verdict.ok and verdict.confidence < CONFIDENCE_MIN:
        return Candidate("", f"too unsure: {verdict.reason}"), verdict.confidence
    return Candidate(verdict.text, verdict.reason or candidate.reason), verdict.confidence


def inserted(spot: Spot, text: str) -> tuple[Snapshot, Position]:
    """The document with `text` (LF line endings) at the cursor, and the position after it."""
    snapshot, number = spot.snapshot, spot.position.line
    column = snapshot.column_at(spot.position)
    line = snapshot.lines[number]
    new = split_lines(line[:column] + text.replace("\n", spot.eol) + line[column:])
    if number < len(snapshot.lines) - 1 and new[-1] == "":
        new.pop()  # the line's own ending already separates it from the next
    lines = (*snapshot.lines[:number], *new, *snapshot.lines[number + 1 :])
    last = text.rsplit("\n", 1)[-1]
    before = last if "\n" in text else line[:column] + last
    virtual = Snapshot(snapshot.uri, snapshot.language, snapshot.version, lines)
    return virtual, Position(number + text.count("\n"), utf16_length(before))


def typed_at(spot: Spot, snapshot: Snapshot) -> str | None:
    """What stands now between the place of `spot` and the text that followed it; None if they no longer connect."""
    line = spot.position.line
    if line >= len(snapshot.lines) or not snapshot.line(line).startswith(spot.line_before):
        return None
    rest = lf(snapshot.after(spot.position, 2_000))
    followed = spot.line_after + "\n" + spot.place.below if spot.place.below else spot.line_after
    at = rest.find(followed[:120]) if followed.strip() else len(rest.rstrip("\n"))
    if at < 0:
        return None
    typed = rest[:at]
    return typed.rstrip(")]}'\"") if typed[-1:] in ")]}'\"" and spot.line_after == "" else typed
