"""The inline-completion pipeline: what happens between a keystroke and ghost text.

    switched on? -> just deleted? -> remembered? -> worth it here? -> on its way already? -> ask the model, or the
    workspace copy predictor where there is none -> shown -> what follows is prepared

`Completer.complete` reads in that order. It never raises but CancelledError, and it always says why.
"""

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from hearth.backends.base import Usage
from hearth.core.confidence import UNSURE
from hearth.core.copying import CopyPrediction
from hearth.core.gate import Extent, Gate, gate
from hearth.core.nextline import complete_line
from hearth.core.notebook import Around
from hearth.core.scan import CLOSERS
from hearth.core.syntax import context_at, window_at
from hearth.core.text import Position, Range, Snapshot
from hearth.core.trust import Trust
from hearth.flight import Flight
from hearth.gateway import Gateway, Target
from hearth.gather import WINDOW_CHARS_MAX, Spot, spot_at, with_selected
from hearth.pilot import Pilot
from hearth.sending import Sending
from hearth.settings import CompletionSettings
from hearth.store import Entry, Memory, Place, typed_since

ANSWER_DEADLINE_S = 5.5
"""Every request is answered within 6 s, empty if need be."""
FIRST_LINES_AFTER_S = 0.12
"""From so long after its start a generation is shown as far as its lines are sure; the rest is remembered when it
comes."""
PROBING_WAIT_S = 0.3
PROBING_WAIT_INVOKED_S = 3.0
"""Right after the start the servers are not known yet. Who asks for a suggestion is to get one."""
SPECULATE_AFTER_S = 0.005
SERVERS_TRIED_MAX = 2
TRACE_MAX = 30
SEVERAL_CURSORS = "there are several cursors"
BUSY = "the server is busy with a chat"
ONE_SLOT = f"{BUSY}, and has one slot: nothing else is asked of it meanwhile"
LATE = "the model has not answered in time; it is still working"
NEXT_LINE_READY = "the line is complete; what follows is ready for when you go on"

Source = Literal["model", "memory", "workspace", "none"]
Copy = Callable[[Spot, Extent], Awaitable[CopyPrediction | None]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Text to put in place of `range` (UTF-16, as in LSP). `id` comes back in `Engine.accepted`."""

    id: str
    text: str
    range: Range


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one completion request. `reason` is a short sentence, also when there is a suggestion."""

    suggestions: tuple[Suggestion, ...]
    source: Source
    reason: str
    backend: str = ""
    model: str = ""
    latency_ms: float = 0.0
    usage: Usage = Usage()


@dataclass(slots=True)
class Steps:
    """How far a request came. `gate`: "silent" or the extent; `model`: "asked" or "joined"; "" where it did not come to
    that. `own_ms`: what it took until then."""

    gate: Extent | Literal["silent", ""] = ""
    model: Literal["asked", "joined", ""] = ""
    own_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Traced:
    """One line of "why no suggestion?"."""

    uri: str
    position: Position
    outcome: Outcome
    steps: Steps


@dataclass(slots=True)
class Counts:
    """Live counters; names as in `hearth/status`."""

    requests: int = 0
    memory_hits: int = 0
    workspace_hits: int = 0
    cancelled: int = 0
    accepted: int = 0
    shown_none_by_reason: Counter[str] = field(default_factory=Counter[str])


class Completer:
    """One per engine. `copy` is the predictor that answers where no model does; `names` gives a document's
    repository and path for the prompt."""

    def __init__(
        self,
        gateway: Gateway,
        memory: Memory,
        copy: Copy,
        settings: CompletionSettings,
        names: Callable[[str], tuple[str, str]],
        sending: Sending,
        visited: Callable[[Spot], None] = lambda _spot: None,
    ) -> None:
        self.settings = settings
        self.counts = Counts()
        self.memory = memory
        self.trace: deque[Traced] = deque(maxlen=TRACE_MAX)
        self.pilot = Pilot(gateway, self.memory, lambda: self.settings, names, sending)
        self._gateway = gateway
        self._copy = copy
        self._visited = visited
        self.trust = Trust()
        self._kind = ""  # of the last suggestion shown
        self._last: tuple[Place, str] | None = None  # the last suggestion shown, and where
        self._taken: tuple[Place, str] | None = None  # the last suggestion accepted, and where
        self._ids = itertools.count(1)

    async def complete(
        self,
        snapshot: Snapshot,
        position: Position,
        *,
        invoked: bool,
        selected: tuple[Range, str] | None,
        around: Around | None = None,
        cursors: int = 1,
    ) -> Outcome:
        """See `Engine.complete`."""
        started, steps = time.perf_counter(), Steps()
        self.counts.requests += 1
        try:
            if cursors > 1 and not invoked:
                outcome = Outcome((), "none", SEVERAL_CURSORS)
            else:
                outcome = await self._complete(snapshot, position, invoked, selected, around, started, steps)
        except asyncio.CancelledError:
            self.counts.cancelled += 1
            raise
        outcome = replace(outcome, latency_ms=round((time.perf_counter() - started) * 1000, 3))
        if not outcome.suggestions:
            self.counts.shown_none_by_reason[outcome.reason] += 1
        self.trace.append(Traced(snapshot.uri, position, outcome, steps))
        return outcome

    def changed(self, snapshot: Snapshot) -> None:
        """A new version of a document: the generation on its way either agrees with it or ends."""
        self.pilot.changed(snapshot)

    def closed(self, uri: str) -> None:
        """Forget a document."""
        self.memory.forget(uri)

    async def aclose(self) -> None:
        """End the generation on its way."""
        await self.pilot.aclose()

    async def _complete(
        self,
        snapshot: Snapshot,
        position: Position,
        invoked: bool,
        selected: tuple[Range, str] | None,
        around: Around | None,
        started: float,
        steps: Steps,
    ) -> Outcome:
        if off := self._switched_off(snapshot):
            return Outcome((), "none", off)
        if selected:
            snapshot, position = with_selected(snapshot, position, selected)
        spot = spot_at(snapshot, position, around)
        self._visited(spot)
        if len(spot.line_before) + len(spot.line_after) > WINDOW_CHARS_MAX:
            return Outcome((), "none", "the line is too long")
        accepted, deleted = self._since_taken(spot.place)
        if deleted and not invoked:
            return Outcome((), "none", "you deleted this suggestion")
        further = accepted or invoked  # a suggestion may begin on the next line
        self.pilot.release(spot.place, asked_for=invoked)
        if found := self.memory.lookup_all(spot.place):
            self.counts.memory_hits += 1
            entry, rest = found[0]
            told = Outcome((), "memory", "remembered", entry.backend, entry.model)
            shown = self._shown(spot, rest, selected, told, further)
            return self._with_alternatives(shown, spot, [rest for _, rest in found[1:]], selected)
        decision = self._gate(spot, further)
        if accepted and not invoked and self._unwanted(decision):
            return Outcome((), "none", f"suggestions in a {decision.inside} are switched off")
        steps.gate = "silent" if decision.silent else decision.extent
        if decision.silent:
            return Outcome((), "none", decision.silent)
        if not invoked and (reason := self.pilot.nothing.get(spot.place)):
            return Outcome((), "none", reason)
        flight = self.pilot.joined(spot.place)
        steps.own_ms = (time.perf_counter() - started) * 1000
        if flight:
            steps.model = "joined"
            await self._arrive(flight, spot, started, invoked)
        if flight is None or not flight.agrees(spot.place) or (flight.over and not flight.candidate):
            steps.model = "asked"
            flight = await self._ask(spot, decision, started, invoked)
        if flight is None:
            steps.model = ""
            why = ONE_SLOT if self._occupied() == "no slot" else self._gateway.why_no_target("complete")
            return await self._from_workspace(spot, decision.extent, selected, why)
        if flight.error:
            return await self._from_workspace(spot, decision.extent, selected, flight.error.message)
        return self._offered(flight, spot, selected, invoked, further)

    def _gate(self, spot: Spot, invoked: bool) -> Gate:
        window = window_at(spot.wide, spot.wide_at)
        return gate(
            spot.line_before,
            spot.line_after.rstrip(),
            spot.above_nonblank,
            spot.below[0] if spot.below else "",
            spot.snapshot.language,
            invoked=invoked,
            context=context_at(window) if window else None,
            in_comments=self.settings.in_comments,
            in_strings=self.settings.in_strings,
            blank_above=bool(spot.above) and not spot.above[-1].strip(),
        )

    def _since_taken(self, now: Place) -> tuple[bool, bool]:
        """(accepted, deleted): whether `now` is right behind the last accepted suggestion, or inside what was
        deleted of it. Accepting shows as the whole of the suggestion standing in the document at once."""
        if self._last and len(self._last[1]) > 1 and self._last[1] in typed_since(self._last[0], now):
            self._taken, self._last = self._last, None
            self.trust.taken(self._kind)
        if not self._taken:
            return False, False
        place, text = self._taken
        for typed in typed_since(place, now):
            if typed.startswith(text):
                return typed == text, False
            if text.startswith(typed):
                return False, True
            self._taken = None  # another text stands there now
        return False, False

    def _unwanted(self, decision: Gate) -> bool:
        """Where the user wants nothing, accepting a suggestion brings no further one either."""
        comments, strings = self.settings.in_comments, self.settings.in_strings
        return (decision.inside == "comment" and not comments) or (decision.inside == "string" and not strings)

    def _switched_off(self, snapshot: Snapshot) -> str:
        if not self.settings.enabled:
            return "completion is switched off"
        if snapshot.language in self.settings.languages_off:
            return f"completion is switched off for {snapshot.language}"
        return ""

    async def _target(self, invoked: bool) -> Target | None:
        if not self._gateway.probed.is_set():
            try:
                async with asyncio.timeout(PROBING_WAIT_INVOKED_S if invoked else PROBING_WAIT_S):
                    await self._gateway.probed.wait()
            except TimeoutError:
                return None
        free = (one for one in self._gateway.targets("complete") if self._gateway.occupied(one) != "no slot")
        return next(free, None)

    def _occupied(self) -> str:
        """See `Gateway.occupied`."""
        target = self._gateway.target("complete")
        return self._gateway.occupied(target) if target else ""

    async def _ask(self, spot: Spot, decision: Gate, started: float, invoked: bool) -> Flight | None:
        """A generation for this place, waited for as long as a request may take; None if no model is ready.

        A server that fails before its first word is passed over for the next one.
        """
        flight: Flight | None = None
        for _ in range(SERVERS_TRIED_MAX):
            target = await self._target(invoked)
            if target is None:
                return None
            flight = await self.pilot.take_off(spot, decision, target, started + ANSWER_DEADLINE_S)
            await self._arrive(flight, spot, started, invoked)
            if not flight.error or flight.pieces:
                return flight
        return flight

    async def _arrive(self, flight: Flight, spot: Spot, started: float, invoked: bool) -> None:
        """Wait until the flight is over or turns out to go elsewhere, until it has whole lines to show when that takes
        long, or for the deadline."""
        while not (flight.candidate or flight.over) and flight.agrees(spot.place):
            now = time.perf_counter()
            early = now >= flight.started + FIRST_LINES_AFTER_S
            if now >= started + ANSWER_DEADLINE_S or (early and flight.rest(flight.so_far(), spot.place)):
                flight.answered = True  # it goes on: a model that is loading must not be interrupted
                flight.shown |= invoked or not flight.doubted(spot.place)
                return
            until = started + ANSWER_DEADLINE_S if early else flight.started + FIRST_LINES_AFTER_S
            await flight.wait(until - now)

    def _offered(
        self, flight: Flight, spot: Spot, selected: tuple[Range, str] | None, invoked: bool, further: bool
    ) -> Outcome:
        """What a flight gives at this place, unless it is only worth showing to who asks for it."""
        if not invoked and flight.agrees(spot.place) and flight.doubted(spot.place):
            return Outcome((), "none", UNSURE, flight.backend, flight.model, usage=flight.usage)
        kind = self.trust.kind(spot.snapshot.language, flight.confidence)
        if not invoked and not flight.shown and flight.candidate and not self.trust.worth_showing(kind):
            return Outcome((), "none", "suggestions of this kind were hardly ever taken", flight.backend, flight.model)
        outcome = self._landed(flight, spot, selected, further)
        self.pilot.release(spot.place, asked_for=bool(outcome.suggestions))
        if outcome.suggestions and not flight.counted:
            flight.counted, self._kind = True, kind
            self.trust.shown(kind)
        return outcome

    def _landed(self, flight: Flight, spot: Spot, selected: tuple[Range, str] | None, further: bool) -> Outcome:
        if (flight.over and not flight.candidate) or not flight.agrees(spot.place):
            return Outcome((), "none", "a newer key took over")
        candidate = flight.so_far()
        told = Outcome((), "model", candidate.reason, flight.backend, flight.model, usage=flight.usage)
        if rest := flight.rest(candidate, spot.place):
            return self._shown(spot, rest, selected, told, further)
        if not flight.over:
            late = f"{BUSY}, and has not come to this in time" if self._occupied() else LATE
            return replace(told, source="none", reason=late)
        return replace(told, source="none", reason="nothing left to add" if candidate.text else candidate.reason)

    async def _from_workspace(
        self,
        spot: Spot,
        extent: Extent,
        selected: tuple[Range, str] | None,
        why: str,
    ) -> Outcome:
        prediction = await self._copy(spot, extent)
        if prediction is None or not prediction.text:
            return Outcome((), "none", f"{why}, and the workspace shows no likely continuation")
        self.counts.workspace_hits += 1
        self.memory.remember(Entry(spot.place, prediction.text, "workspace"))
        reason = f"copied from the workspace ({prediction.confidence:.0%} sure); {why}"
        return self._shown(spot, prediction.text, selected, Outcome((), "workspace", reason, "workspace"), False)

    def _shown(
        self, spot: Spot, text: str, selected: tuple[Range, str] | None, outcome: Outcome, further: bool
    ) -> Outcome:
        """`outcome` with `text` as its suggestion, placed and in the document's line endings.

        What begins on the next line is kept for later unless `further`: at the end of a line one typed oneself it
        would be in the way.
        """
        on_next_line = complete_line(spot.line_before, spot.line_after, spot.snapshot.language)
        if text.startswith("\n") and on_next_line and not further:
            return replace(outcome, source="none", reason=NEXT_LINE_READY)
        where, insert = _placed(spot, text)
        if selected:
            # The editor shows ghost text beside its suggest widget only if the text begins with the highlighted item.
            where = Range(selected[0].start, selected[0].end)
            insert = selected[1] + insert
        else:
            self._last = (spot.place, text)
            if outcome.source != "workspace":
                # Not before the answer is on its way: preparing the next one must not delay this one.
                asyncio.get_running_loop().call_later(SPECULATE_AFTER_S, self._speculate, spot, text)
        return replace(outcome, suggestions=(self._suggestion(spot, where, insert),))

    def _speculate(self, spot: Spot, text: str) -> None:
        """Unless another suggestion was shown meanwhile, or this one was taken."""
        if self._last == (spot.place, text) and self._occupied() != "no slot":
            self.pilot.speculate(spot, text)

    def _with_alternatives(
        self, outcome: Outcome, spot: Spot, others: list[str], selected: tuple[Range, str] | None
    ) -> Outcome:
        """Other texts that were suggested here before, to be cycled through."""
        if not outcome.suggestions or selected:
            return outcome
        more = [self._suggestion(spot, *_placed(spot, text)) for text in others if not text.startswith("\n")]
        return replace(outcome, suggestions=(*outcome.suggestions, *more))

    def _suggestion(self, spot: Spot, where: Range, text: str) -> Suggestion:
        return Suggestion(str(next(self._ids)), text.replace("\n", spot.eol), where)


def _placed(spot: Spot, text: str) -> tuple[Range, str]:
    """Where `text` goes. Closing brackets that the editor typed ahead and that the text brings itself are replaced."""
    after = spot.line_after.rstrip()
    here = spot.position
    if after and all(char in CLOSERS or char in "'\"`" for char in after):
        first_line = text.split("\n", 1)[0]
        if _contains_in_order(_unbalanced(first_line), after):
            return Range(here, Position(here.line, here.character + len(after))), text
    return Range(here, here), text


def _unbalanced(line: str) -> str:
    """The closing brackets and quotes of a line that nothing in it opened."""
    depth: list[str] = []
    result = ""
    for char in line:
        if char in "([{":
            depth.append(char)
        elif char in CLOSERS:
            if depth and depth[-1] == CLOSERS[char]:
                depth.pop()
            else:
                result += char
        elif char in "'\"`":
            if depth and depth[-1] == char:
                depth.pop()
            elif line.count(char) % 2:
                result += char
            else:
                depth.append(char)
    return result


def _contains_in_order(text: str, wanted: str) -> bool:
    rest = iter(text)
    return all(char in rest for char in wanted)
