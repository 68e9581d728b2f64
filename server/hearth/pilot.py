"""Who may use the model, and when: at most one generation at a time, and the next one prepared while one is looked at.

The pilot starts a `Flight` for a request, lets typing that agrees join it, ends it when typing disagrees, and, once a
suggestion is shown, speculates: it asks for what would follow if that suggestion were accepted. The prompt for that is
the text the server has just read and written itself, so it costs next to nothing to read, and pressing Tab then shows
the next suggestion at once. A rejected suggestion ends its speculation.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from hearth.backends.base import Generate
from hearth.core.candidate import Site
from hearth.core.gate import Extent
from hearth.core.nextline import LineOrNext
from hearth.core.prompt import Anchor, anchor_at, lf, rendered, tail_of
from hearth.core.text import Position, Snapshot, split_lines, utf16_length
from hearth.flight import Flight
from hearth.gateway import Gateway, Target
from hearth.gather import Spot, spot_at
from hearth.settings import CompletionSettings
from hearth.store import Entry, Memory, Place

TOKENS_PER_LINE = 20
TOKENS_MAX = 256
ANCHORS_MAX = 8
CONTEXT_TOKENS_ASSUMED = 4_096
"""For a server that does not say how much its model takes."""
EMPTY_PLACES_MAX = 64


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
    ) -> None:
        self.flight: Flight | None = None
        self.counts = Counts()
        self.nothing: dict[Place, str] = {}  # places the model had nothing for, and why
        self._gateway = gateway
        self._memory = memory
        self._settings = settings
        self._names = names
        self._from: Spot | None = None  # where the flight on its way started
        self._anchors: dict[str, Anchor] = {}
        self._turn = 0

    def changed(self, snapshot: Snapshot) -> None:
        """A new version of a document: the generation on its way either agrees with it or ends."""
        flight, spot = self.flight, self._from
        if flight and spot and not flight.over and spot.snapshot.uri == snapshot.uri:
            flight.document_changed(typed_at(spot, snapshot))

    def closed(self, uri: str) -> None:
        """Forget a document."""
        self._anchors.pop(uri, None)

    async def aclose(self) -> None:
        """End the generation on its way."""
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

    async def take_off(self, spot: Spot, extent: Extent, target: Target, until: float) -> Flight:
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
        self.counts.model_calls += 1
        return self._start(spot, spot, "", extent, target, anchor)

    def speculate(self, spot: Spot, text: str) -> None:
        """Prepare what follows if `text`, which is shown at `spot`, is accepted. Only when the server is idle."""
        target = self._gateway.target("complete")
        if target is None or spot.line_after.strip() or (self.flight and not self.flight.over):
            return
        there = spot_at(*inserted(spot, text))
        if self._memory.lookup(there.place) or there.place in self.nothing:
            return
        self.counts.speculated += 1
        self._turn += 1
        self._start(spot, there, text, "statement", target, self._anchor(there, target)).answered = True

    def _start(self, base: Spot, there: Spot, lead: str, extent: Extent, target: Target, anchor: Anchor) -> Flight:
        """A flight for `there`, which is `base` with `lead` inserted."""
        site = Site(
            language=there.snapshot.language,
            line_before=there.line_before,
            line_after=there.line_after,
            above=there.above,
            below=there.below,
            extent=extent,
            max_lines=self._settings().max_lines,
            leaks=target.dialect.tokens,
        )
        tail = tail_of(anchor, there.snapshot, there.position)
        prompt = rendered(anchor, lf(there.line_before) if tail is None else tail)
        request = Generate(prompt, self._tokens_max(), target.dialect.stops)
        self._from = base
        self.flight = Flight(
            base.place,
            lead,
            LineOrNext(site),
            self._gateway.stream(target, request),
            lambda flight: self._flew(flight, there.place),
            head=anchor.head,
            backend=target.backend.name,
            model=target.probe.model,
        )
        return self.flight

    def _tokens_max(self) -> int:
        return min(TOKENS_MAX, self._settings().max_lines * TOKENS_PER_LINE)

    def _anchor(self, spot: Spot, target: Target) -> Anchor:
        """The document's frozen prompt, or a new one where that no longer fits."""
        uri = spot.snapshot.uri
        anchor = self._anchors.get(uri)
        fits = anchor and anchor.dialect == target.dialect
        if anchor and fits and tail_of(anchor, spot.snapshot, spot.position) is not None:
            return anchor
        room = (target.probe.context_tokens or CONTEXT_TOKENS_ASSUMED) - self._tokens_max()
        repo, path = self._names(uri)
        anchor = anchor_at(spot.snapshot, spot.position, target.dialect, path=path, repo=repo, prompt_tokens_max=room)
        self._anchors.pop(uri, None)
        self._anchors[uri] = anchor
        if len(self._anchors) > ANCHORS_MAX:
            del self._anchors[next(iter(self._anchors))]
        return anchor

    def _flew(self, flight: Flight, place: Place) -> None:
        """A generation is over: what it gave is remembered, also when nobody waits for it any more."""
        candidate = flight.candidate
        if candidate and candidate.text:
            self._memory.remember(Entry(place, candidate.text, flight.backend, flight.model))
        elif candidate:
            self.nothing[place] = candidate.reason
            if len(self.nothing) > EMPTY_PLACES_MAX:
                del self.nothing[next(iter(self.nothing))]


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
