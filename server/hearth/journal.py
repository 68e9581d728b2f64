"""What every applied change looked like before and after, on the disk before it is applied, so that it can be undone.

One file for each change, written aside, synced and renamed, so it is there whole or not at all; `ID.done` and
`ID.undone` beside it say how far it got. Names begin with a growing number: the newest is the last. Nothing of it lies
in a workspace. It blocks: call it from a thread.

A file of secrets (`core.deny`) is not written down: a copy would outlive the secret's own file, in a place where nobody
looks for it when it is rotated or deleted. Such a change is listed, but only the editor can undo it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hearth.core.patch import FileEdit, Patch
from hearth.errors import JournalError

ENTRIES_MAX = 200
"""Of all workspaces together; the oldest go first."""
BYTES_MAX = 64 * 1024 * 1024
CHANGE_BYTES_MAX = 16 * 1024 * 1024
"""Of one change, before and after, as it is written."""
AGE_MAX_DAYS = 30
TITLE_CHARS_MAX = 200
PROBLEMS_MAX = 20
DAY_S = 86_400.0

State = Literal["noted", "done", "undone"]
"""noted: written down, and nobody said that it was applied: it may have been. done: applied. undone: reverted."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is about to be applied. `folder`: the workspace folder, absolute. `title`: what it is, for the user. `at_s`: when
    that was, in seconds since 1970."""

    folder: str
    title: str
    at_s: float
    edits: tuple[FileEdit, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A change as it is in the journal. `paths`: its files, relative to `folder`. `revertible`: False where it holds a
    file of secrets, whose text was not kept."""

    id: str
    state: State
    folder: str
    title: str
    at_s: float
    paths: tuple[str, ...]
    revertible: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why a change cannot be taken back: nothing of it may be. `message` for the user; `paths`: the files that are no
    longer what the change left."""

    message: str
    paths: tuple[str, ...] = ()


class Journal:
    """The journal in `home`, a folder of its own under the data directory. Several processes may use it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.problems: list[str] = []

    def note(self, change: Change) -> str:
        """Write a change down BEFORE it is applied; it is on the disk on return. Gives its id.

        Raises JournalError: it cannot be written (the disk is full, it is too large). Then it must not be applied,
        unless the user is told that it cannot be undone.
        """
        raise JournalError("The journal is not there yet.")

    def done(self, id: str) -> None:
        """The change was applied."""

    def dropped(self, id: str) -> None:
        """The change was not applied (the editor refused it): forget it."""

    def undone(self, id: str) -> None:
        """What `revert` gave was applied: `last` goes on to the change before."""

    def last(self, folder: str) -> Entry | None:
        """The newest change of a workspace folder that was not undone; None if there is none."""
        return None

    def list(self, folder: str = "") -> list[Entry]:
        """All changes, of one folder or of all (""), the newest first."""
        return []

    def revert(self, id: str, current: Callable[[str], str | None]) -> Patch | Conflict:
        """What takes a change back. `current`: a file's text now (by relative path, in the editor if it is open there),
        None if it does not exist.

        A file that is not what the change left makes it a Conflict, whole. Files that are already as they were before
        need no edit; a patch without edits says that there was nothing to take back. Call `undone` once it is applied.
        """
        return Conflict("The journal is not there yet.")
