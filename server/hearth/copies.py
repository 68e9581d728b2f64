"""What the workspace itself shows as the likely continuation, for when no model answers.

Open documents are learned from here, files that are not open in the copy predictor's process. That process is started
when it is first needed, and ended once a model has answered for a while: it costs memory.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from hearth.core.copying import CopyModel, CopyPrediction, best
from hearth.core.text import Snapshot
from hearth.gather import Spot
from hearth.index.copy_client import CopyClient

SETTLE_S = 0.5
"""An edited document is read again once it has rested this long."""
OPEN_DOCUMENT_CHARS_MAX = 2_000_000
"""Larger documents are completed, but not learned from."""
LEARN_LINES_AT_ONCE = 200
"""A few milliseconds on the event loop."""
LOOK_EVERY_S = 0.25
UNNEEDED_S = 60.0


class Copies:
    """One per engine. `needed`: whether no model answers. `path_of`: a document's name among the files."""

    def __init__(
        self,
        needed: Callable[[], bool],
        path_of: Callable[[str], str],
        on_gone: Callable[[str, str], None],
        *,
        files: bool,
    ) -> None:
        self._needed = needed
        self._path_of = path_of
        self._on_gone = on_gone
        self._files = files
        self._model = CopyModel()
        self._open: dict[str, Snapshot] = {}
        self._unread: set[str] = set()
        self._learned: set[str] = set()
        self._rest = asyncio.Event()
        self._folders: Sequence[Path] = ()
        self._opened: Callable[[], Sequence[Path]] = lambda: ()
        self.client: CopyClient | None = None

    @property
    def state(self) -> str:
        """`off`, "" before the process has told of itself, or as in `index.copy_service`."""
        if not self._files:
            return "off"
        return str(self.client.progress.get("state", "")) if self.client else ""

    def noted(self, snapshot: Snapshot) -> None:
        """A document was opened or changed."""
        self._open[snapshot.uri] = snapshot
        self._unread.add(snapshot.uri)
        self._rest.set()

    def saved(self, path: Path) -> None:
        """A file was written, created or deleted."""
        if self.client:
            self.client.saved(path)

    def closed(self, uri: str) -> None:
        """A document was closed."""
        self._open.pop(uri, None)
        self._unread.discard(uri)
        self._learned.discard(uri)
        self._model.remove(self._path_of(uri))

    def set_folders(self, folders: Sequence[Path], opened: Callable[[], Sequence[Path]]) -> None:
        """The workspace's folders changed; `opened` gives the files that are open."""
        self._folders, self._opened = folders, opened
        if self.client:
            self.client.set_folders(folders, opened())

    async def predict(self, spot: Spot) -> CopyPrediction | None:
        """The best guess of both, None for silence."""
        snapshot, number = spot.snapshot, spot.position.line
        path = self._path_of(snapshot.uri)
        if snapshot.uri in self._learned or len(snapshot.lines) <= LEARN_LINES_AT_ONCE:
            self._model.replace(path, snapshot.lines, snapshot.language)
            self._learned.add(snapshot.uri)
        before, after = snapshot.lines[:number], snapshot.lines[number + 1 :]
        args = (before, spot.line_before, spot.line_after, after, path, snapshot.language)
        found = [self._model.predict(*args)]
        if self.client:
            found.append(await self.client.predict(*args))
        return best(found)

    async def run(self, probed: asyncio.Event) -> None:
        """The background work, until cancelled. `probed` is set when it is known whether a model answers."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_documents(), name="open documents")
            if self._files:
                tasks.create_task(self._keep_process(probed), name="copy predictor")

    async def aclose(self) -> None:
        """End the process."""
        if self.client:
            await self.client.aclose()

    async def _keep_process(self, probed: asyncio.Event) -> None:
        await probed.wait()
        unneeded_since: float | None = None
        now = asyncio.get_running_loop().time
        while True:
            if self._needed():
                unneeded_since = None
                if self.client is None:
                    self.client = CopyClient(self._on_gone)
                    await self.client.start(self._folders, self._opened())
            elif self.client is not None:
                unneeded_since = unneeded_since or now()
                if now() - unneeded_since > UNNEEDED_S:
                    client, self.client = self.client, None
                    await client.aclose()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _read_documents(self) -> None:
        """Learn from open documents once they rest, a part at a time, so that typing is never held up by it."""
        while True:
            await self._rest.wait()
            self._rest.clear()
            await asyncio.sleep(SETTLE_S)
            while self._unread and self._needed():
                snapshot = self._open.get(self._unread.pop())
                if snapshot and sum(map(len, snapshot.lines)) <= OPEN_DOCUMENT_CHARS_MAX:
                    await self._learn(snapshot)

    async def _learn(self, snapshot: Snapshot) -> None:
        """Costs as much as there are new lines, so what is known already is no work."""
        known, path = snapshot.uri in self._learned, self._path_of(snapshot.uri)
        ends = range(LEARN_LINES_AT_ONCE, len(snapshot.lines), LEARN_LINES_AT_ONCE)
        for end in () if known else ends:
            self._model.replace(path, snapshot.lines[:end], snapshot.language)
            await asyncio.sleep(0)
        if self._open.get(snapshot.uri) is snapshot:
            self._model.replace(path, snapshot.lines, snapshot.language)
            self._learned.add(snapshot.uri)
