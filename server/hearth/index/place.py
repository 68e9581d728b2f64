"""One workspace folder, as a process sees it: it owns the folder's store, or asks the process that does."""

import os
from collections.abc import Callable
from pathlib import Path

from hearth.errors import HearthError, IndexCorrupt, IndexFault, WorkerError
from hearth.index.asking import answered
from hearth.index.indexing import FolderWork
from hearth.index.owner import Door, Guest, Message, Reply, lock
from hearth.index.project import open_project
from hearth.index.reading import Reader
from hearth.index.team import Team
from hearth.index.walk import Folder

Deliver = Callable[["Place", Message, Reply], None]


class Place:
    """One folder: its store if this process owns it, else the way to the owner."""

    def __init__(
        self, root: str, home: Path, reader: Reader, deliver: Deliver, team: Team | None, never: tuple[str, ...] = ()
    ) -> None:
        self.root = root
        self._folder = Folder(Path(root), never)
        self._home = home
        self._reader = reader
        self._deliver = deliver
        self._team = team
        self._opened: list[str] = []
        self._lock: int | None = None
        self._door: Door | None = None
        self._guest: Guest | None = None
        self.work: FolderWork | None = None
        self.problem = ""

    def start(self, opened: list[str], distrust: bool = False) -> None:
        """Become the owner, or a guest of the one there is."""
        self._opened = opened
        try:
            self._lock = lock(self._home)
            if self._lock is None:
                self._guest = Guest(self._home)
            else:
                self._own(distrust)
            self.problem = ""
        except (HearthError, OSError) as error:
            self.problem = str(error)
            self._let_go()

    def _own(self, distrust: bool) -> None:
        project = open_project(self._home, self._team, distrust=distrust)
        self.work = FolderWork(self._folder, project, self._reader, self._team.salt if self._team else "")
        self._door = Door(self._home, lambda message, reply: self._deliver(self, message, reply))
        self.work.begin([inside for path in self._opened if (inside := self.inside(path))])

    @property
    def kept_back(self) -> str:
        """What is not read because of an ignore file that nobody understands; "" for nothing."""
        return next((f"{path} {why}: nothing beneath is read" for path, why in self._folder.problems.items()), "")

    def inside(self, path: str) -> str | None:
        """A path relative to this folder, None if it is elsewhere."""
        return self._folder.relative(path)

    def look(self) -> None:
        """Now and then: take over from an owner that has gone, go on after a full disk, tidy up."""
        if self.work is not None:
            try:
                self.work.look()
            except IndexCorrupt:
                self._start_over()
        elif self._guest is None:
            self.start(self._opened)

    def step(self) -> None:
        """Do some work; a store that turns out to be damaged is put aside, and the folder read afresh."""
        if self.work is None:
            return
        try:
            self.work.step()
        except IndexCorrupt:
            self._start_over()

    def _start_over(self) -> None:
        self._let_go()
        self.start(self._opened, distrust=True)

    def ask(self, message: Message) -> Message:
        """An answer from here or from the owner. ValueError and the like for a message that does not fit."""
        if self.work is not None:
            try:
                return answered(self.work, self.root, message)
            except IndexCorrupt:
                self._start_over()
                return {"error": "the index was damaged and is being built again"}
            except IndexFault as error:
                return {"error": str(error)}
        if self._guest is None:
            return {"error": self.problem or "there is no index"}
        try:
            return self._guest.ask(message)
        except WorkerError as error:
            self._guest = None
            self.start(self._opened)
            return self.ask(message) if self.work is not None else {"error": str(error)}

    def _let_go(self) -> None:
        if self._door is not None:
            self._door.close()
        if self._guest is not None:
            self._guest.close()
        if self.work is not None:
            self.work.close()
        if self._lock is not None:
            os.close(self._lock)
        self._door = self._guest = self.work = self._lock = None

    def stop(self) -> None:
        """Give up the present walk."""
        if self.work is not None:
            self.work.stop()

    def close(self) -> None:
        """Give the folder up."""
        self._let_go()
