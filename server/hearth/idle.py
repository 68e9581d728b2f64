"""What is done while nothing is typed, so that less is left to do at the next key.

After IDLE_S of rest: the prompt's background (snippets of other files) is renewed where that is worth its price, a long
tail is frozen into a new anchor, the server is made to read what is not in its cache yet, and it keeps what it has read
for the next start. When a server comes up, what it kept is brought back. Where the user turns to, a first, short prompt
is read FOCUS_S later. A key ends all of it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hearth.anchors import Anchors, state_name
from hearth.core.background import Background, renewed, snippet_tokens_max
from hearth.core.notebook import Around
from hearth.core.prompt import lf
from hearth.core.text import Position, Snapshot
from hearth.gateway import Gateway, Target
from hearth.gather import Source, gather, spot_at
from hearth.pilot import CONTEXT_TOKENS_ASSUMED, Pilot

IDLE_S = 3.0
FOCUS_S = 0.3
"""Who goes through the open files looks at each for less."""
SAVE_EVERY_S = 60.0
GUESS_CHARS_MAX = 1_000_000
SECOND_LOOK_S = 0.5


@dataclass(slots=True)
class _Place:
    snapshot: Snapshot
    position: Position
    around: Around | None


class Idle:
    """One per engine; `run` until cancelled. `sources`: what a prompt's background is made of; `workspace` names what
    is saved together."""

    def __init__(
        self,
        gateway: Gateway,
        pilot: Pilot,
        anchors: Anchors,
        sources: Mapping[str, Source],
        workspace: Callable[[], str],
    ) -> None:
        self._gateway = gateway
        self._pilot = pilot
        self._anchors = anchors
        self._sources = sources
        self._workspace = workspace
        self._place: _Place | None = None
        self._touched = asyncio.Event()
        self._turned = False  # the user went there, and has not typed yet
        self._warming = asyncio.Lock()
        self._warmed: set[str] = set()  # backends whose saved state was asked for
        self._saved_at = 0.0
        self._saved_head = ""

    def touched(self, snapshot: Snapshot, position: Position | None = None, around: Around | None = None) -> None:
        """A document was opened, changed or completed in: rest begins anew. O(1). `around`: as in `Engine.complete`,
        known only where the position is."""
        known = self._place
        if position is None:
            same = known is not None and known.snapshot.uri == snapshot.uri
            position = known.position if known and same else self._guess(snapshot)
            around = known.around if known and same else None
        self._place = _Place(snapshot, position, around) if position else None
        self._turned = False
        self._touched.set()

    def focused(self, snapshot: Snapshot, position: Position, around: Around | None) -> None:
        """The user turned to this place, and has not typed there yet: the sooner it is read, the better."""
        self.touched(snapshot, position, around)
        self._turned = True

    def resume(self) -> None:
        """A server, or the index, is ready and was not when the user came to this place: rest begins anew."""
        if self._place:
            self._touched.set()

    def _guess(self, snapshot: Snapshot) -> Position | None:
        """Where the user goes on in a document that was opened again: where its frozen prompt stands. Of a document
        that is new to us nothing is known: reading it ahead of the cursor would mostly be for nothing."""
        anchor = self._pilot.anchors.get(snapshot.uri)
        if anchor is None or sum(map(len, snapshot.lines)) > GUESS_CHARS_MAX:
            return None
        text = lf(snapshot.text)
        at = text.find(anchor.before)
        return Position(text.count("\n", 0, at + len(anchor.before)), 0) if at >= 0 else None

    async def run(self) -> None:
        """Wait for rest, use it, and wait for the next. Runs until cancelled."""
        while True:
            await self._touched.wait()
            self._touched.clear()
            if self._turned and await self._quiet(FOCUS_S):
                await self._rested(whole=False)
            if await self._quiet(IDLE_S):
                await self._rested()

    async def _quiet(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._touched.wait()
        except TimeoutError:
            return True
        return False

    async def warm(self) -> None:
        """Bring back what a server kept from the last time, once per server. Called while nothing was asked yet."""
        async with self._warming:
            await self._warm()

    async def _warm(self) -> None:
        target = self._gateway.target("complete")
        if target is None or target.backend.name in self._warmed:
            return
        self._warmed.add(target.backend.name)
        if not target.probe.saves_state or self._pilot.anchors:
            return
        workspace = self._workspace()
        anchors, background = await self._anchors.load_all(workspace, target.probe.model)
        if not anchors or self._pilot.anchors:
            return
        newest = next(reversed(anchors))
        if await self._gateway.restore_state(target, state_name(workspace, newest)):
            self._pilot.adopt(anchors, background, (newest, anchors[newest].head))

    async def aclose(self) -> None:
        """Keep what the server has read, for the next start."""
        await self._save(force=True)

    async def _rested(self, *, whole: bool = True) -> None:
        target, place = self._gateway.target("complete"), self._place
        if target is None or place is None:
            return
        await self.warm()
        work = asyncio.create_task(self._prepare(target, place, whole), name="read ahead")
        interrupted = asyncio.create_task(self._touched.wait())
        try:
            await asyncio.wait({work, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The reading itself goes on if the next request wants the same prompt; the pilot decides.
            for task in (work, interrupted):
                task.cancel()
            await asyncio.gather(work, interrupted, return_exceptions=True)

    async def _prepare(self, target: Target, place: _Place, whole: bool) -> None:
        """`whole`: all that the prompt may hold. Else no more than a request would make the user wait for."""
        spot = spot_at(place.snapshot, place.position, place.around)
        background = await self._renewed(target, place) if whole else self._pilot.background
        await self._pilot.read_ahead(spot, target, background, whole=whole)
        if whole:
            await self._save()

    async def _renewed(self, target: Target, place: _Place) -> Background:
        rate = self._gateway.pace(target).prefill_tokens_per_s
        spot = spot_at(place.snapshot, place.position, place.around)
        context = await gather(spot, self._sources)
        if context.late:
            # A first answer takes longer, and a busy machine longer still: nobody waits, and it is ready by now.
            context = await gather(spot, self._sources, SECOND_LOOK_S)
        context = await self._pilot.sending.cleared(context, target.backend.url)
        tokens = snippet_tokens_max(rate, target.probe.context_tokens or CONTEXT_TOKENS_ASSUMED)
        anew = not self._pilot.has_whole(place.snapshot.uri)
        return renewed(self._pilot.background, context, tokens_max=tokens, prefill_tokens_per_s=rate, anew=anew)

    async def _save(self, *, force: bool = False) -> None:
        """Have the server keep its state, if it has read something else since, and not too often."""
        target, resident = self._gateway.target("complete"), self._pilot.resident
        now = asyncio.get_running_loop().time()
        if target is None or not target.probe.saves_state or resident is None or resident[1] == self._saved_head:
            return
        if not force and now - self._saved_at < SAVE_EVERY_S:
            return
        uri, head = resident
        if not self._anchors.keeps(uri):
            return  # a saved state holds the prompt's text
        workspace = self._workspace()
        if await self._gateway.save_state(target, state_name(workspace, uri)):
            self._saved_at, self._saved_head = now, head
            # The saved document's anchor goes last: it is the one whose state is brought back.
            anchors = {u: a for u, a in self._pilot.anchors.items() if u != uri}
            if uri in self._pilot.anchors:
                anchors[uri] = self._pilot.anchors[uri]
            self._anchors.save(workspace, target.probe.model, anchors, self._pilot.background)
