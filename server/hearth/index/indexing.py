"""Keeping one folder's index up to date: what to read next, and when to commit what was read.

Order: files that were saved, open files, recently changed ones, the rest from the top of the folder down. A file whose
size and time are as stored is not opened. Everything is done in short steps between which searches are answered.
"""

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from hearth.errors import IndexAway, IndexFull
from hearth.index.manifest import FileRow
from hearth.index.project import ProjectIndex
from hearth.index.reading import Job, Outcome, Reader
from hearth.index.walk import IGNORE_FILE_NAMES, Folder

RECENT_FILES_MAX = 300
"""So many of the files that were changed last come before the others."""
FILES_MAX = 200_000
SAVED_QUEUE_MAX = 2_000
"""More changes than this at once, a branch switch perhaps: the folder is walked again."""
BATCH_FILES_MAX = 64
BATCH_POINTS_MAX = 200
BATCH_AGE_S = 0.15
"""What was read is committed this long after the first file of its batch, or when there is nothing more to read."""
LOOKED_AT_ONCE = 50
RETRY_S = 10.0
GIT_HEAD = ".git/HEAD"
DAY_S = 86_400

State = Literal["idle", "walking", "ready", "stopped", "waiting"]


class FolderWork:
    """One folder: `step` does a little of the work; `busy` says that there is some to do now."""

    def __init__(self, folder: Folder, project: ProjectIndex, reader: Reader, salt: str = "") -> None:
        self.folder = folder
        self.project = project
        self.state: State = "idle"
        self.problem = ""
        self.seen = 0
        self.total = 0
        self._reader = reader
        self._salt = salt
        self._slow = project.slow()
        self._saved: deque[str] = deque()
        self._walk: Iterator[None] | None = None
        self._again = False
        self._flying: dict[str, bool] = {}  # whether it changed again meanwhile
        self._batch: list[Outcome] = []
        self._batch_since = 0.0
        self._kept: set[str] = set()
        self._waits_until = 0.0
        self._walked = False
        self._untidy = True

    @property
    def busy(self) -> bool:
        """Whether `step` would do something now, not counting what the reader is still at."""
        if time.monotonic() < self._waits_until:
            return False
        wants_to_read = self._walk is not None or bool(self._saved)
        return (wants_to_read and self._reader.has_room) or self._batch_is_due()

    @property
    def settled(self) -> bool:
        """Whether everything that is known of is committed."""
        return self._walk is None and not (self._saved or self._flying or self._batch)

    def begin(self, opened: list[str], *, verify: bool = False) -> None:
        """Walk the folder again, `opened` files (paths in the folder) first. `verify`: times are not trusted."""
        self.folder.forget_rules()
        self.seen = self.total = 0
        self._kept = set()
        self._walk = self._walking(opened, verify)
        self.state = "walking"
        self._waits_until = 0.0
        self.problem = ""

    def stop(self) -> None:
        """Give up the walk; what is committed stays, and saved files are still read."""
        if self._walk is not None:
            self._walk = None
            self.state = "stopped"

    def close(self) -> None:
        """End well. What is still being read is not waited for."""
        self._walk, self._saved, self._batch = None, deque(), []
        self.project.close()

    def saved(self, path: str) -> None:
        """A file (path in the folder) was written, created or deleted."""
        name = path.rpartition("/")[2]
        if name in IGNORE_FILE_NAMES or path == GIT_HEAD or len(self._saved) >= SAVED_QUEUE_MAX:
            self._saved.clear()
            self.begin([])
        elif path not in self._saved:
            self._saved.append(path)

    def step(self) -> None:
        """A slice of the work. Raises IndexCorrupt."""
        try:
            if self._batch_is_due():
                self._commit()
            elif self._saved and self._reader.has_room:
                self._look_again(self._saved.popleft())
            elif self._walk is not None and self._reader.has_room and next(self._walk, self) is self:
                self._walk = None
                self._walked = True
            self._rest()
        except (IndexFull, IndexAway) as error:
            self._pause(error.message)

    def _rest(self) -> None:
        if self.state == "walking" and self.settled:
            self.state = "ready"
        if self.settled and self._walked and self.state == "ready":
            self._walked = False
            if self.project.renew(int(time.time() // DAY_S)):
                self.begin([])

    def _pause(self, why: str) -> None:
        """No room on the disk, or the vectors' server is away: nothing is written until that is over. What was read is
        read again then."""
        self._batch.clear()
        self._walk, self._saved = None, deque()
        self.state, self.problem = "waiting", why
        self._waits_until = time.monotonic() + RETRY_S
        self._again = True

    def look(self) -> None:
        """Called now and then: tidy up at rest, try again after a pause when its time has come."""
        if self.settled and self._untidy:
            self._untidy = False
            self.project.flush()  # it may wait for the disk
            self.project.tidy()
        if self._again and time.monotonic() >= self._waits_until:
            self._again = False
            self.begin([])

    # Walking

    def _walking(self, opened: list[str], verify: bool) -> Iterator[None]:
        for path in opened:
            if self.folder.allows(path):
                yield from self._consider(path, self.project.file(path), verify)
        found: list[tuple[int, int, str]] = []
        for relative in self.folder.walk():
            if relative is not None and len(found) < FILES_MAX:
                found.append((*self._stat(relative), relative))
            if relative is None or len(found) % LOOKED_AT_ONCE == 0:
                yield
        self.total = len(found)
        known = {row.path: row for row in self.project.files()}
        recent = sorted(found, reverse=True)[:RECENT_FILES_MAX]
        for count, (mtime_ns, size, path) in enumerate([*recent, *found]):
            if path not in self._kept:
                row = known.get(path)
                if verify or row is None or (row.size, row.mtime_ns) != (size, mtime_ns):
                    yield from self._consider(path, row, verify)
                else:
                    self._kept.add(path)
                    self.seen += 1
            if count % LOOKED_AT_ONCE == 0:
                yield
        gone = [path for path in known if path not in self._kept]
        for first in range(0, len(gone), BATCH_FILES_MAX):
            self.project.remove(gone[first : first + BATCH_FILES_MAX])
            yield

    def _stat(self, relative: str) -> tuple[int, int]:
        try:
            status = os.stat(self.folder.root / relative, follow_symlinks=False)
        except OSError:
            return (0, -1)
        return (status.st_mtime_ns, status.st_size)

    def _consider(self, path: str, row: FileRow | None, verify: bool) -> Iterator[None]:
        if path in self._kept:
            return
        self._kept.add(path)
        self.seen += 1
        while not self._reader.has_room:
            yield
        self._give(path, row, verify=verify)
        yield

    def _look_again(self, path: str) -> None:
        if self.folder.allows(path) and self.folder.relative(os.fspath(self.folder.root / path)) is not None:
            self._give(path, self.project.file(path))
        else:
            self.project.remove_under(path)

    def _give(self, path: str, row: FileRow | None, *, verify: bool = False) -> None:
        if path in self._flying:
            self._flying[path] = True
            return
        self._flying[path] = False
        uids = self.project.uids_of(path) if row else frozenset[int]()
        known, plain = None if verify else row, path in self._slow
        job = Job(path, Path(self.folder.root) / path, known, uids, self._salt, plain)
        self._reader.give(job, self._came)

    def too_slow(self, path: str) -> bool:
        """Remember that a file's parser comes to no end, if it is one that is read now; whether it is."""
        if path in self._flying:
            self.project.add_slow(path)
        return path in self._flying

    def _came(self, outcome: Outcome) -> None:
        self._kept.add(outcome.path)  # the walk need not read it again
        if self._flying.pop(outcome.path, False):
            self._saved.append(outcome.path)
        if not self._batch:
            self._batch_since = time.monotonic()
        self._batch.append(outcome)

    # Committing

    def _batch_is_due(self) -> bool:
        if not self._batch:
            return False
        if len(self._batch) >= BATCH_FILES_MAX or sum(len(o.points) for o in self._batch) >= BATCH_POINTS_MAX:
            return True
        nothing_more = self._walk is None and not self._saved and not self._flying
        return nothing_more or time.monotonic() - self._batch_since >= BATCH_AGE_S

    def _commit(self) -> None:
        batch, self._batch = self._batch, []
        self._untidy = True
        for outcome in batch:
            if outcome.state == "gone":
                self.project.remove_under(outcome.path)
        self.project.take(batch)
