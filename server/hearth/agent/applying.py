"""A task's changes into the user's files, in one step that can be taken back: for where there is no editor to do it.

Nothing is written unless every file is as the task found it, or already as the task made it: then the process was
killed amid applying, and it goes on. What it was is in the journal first; each file is written aside and renamed; no
link is followed on the way, not even one that is put in place meanwhile; and if one file cannot be written, those
before it are put back.
"""

import os
import time
from collections.abc import Generator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hearth.agent.overlay import Overlay, Refusal
from hearth.core.patch import FileEdit
from hearth.errors import HearthError, JournalError
from hearth.journal import Change, Journal

TITLE_CHARS_MAX = 120
DIRECT = os.open in os.supports_dir_fd
"""Whether the system can open a file in an open folder."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class NotApplied(HearthError):
    """Nothing was changed: a file is no longer as the task found it, may not be written, or could not be. `partly`: not
    all could be put back."""

    partly = False


@dataclass(frozen=True, slots=True)
class Applied:
    """`id`: of the change in the journal."""

    id: str
    paths: tuple[str, ...]


def apply(
    root: Path, goal: str, changes: Mapping[str, str | None], bases: Mapping[str, str | None], journal: Journal
) -> Applied:
    """Write the changes. Blocks. Raises NotApplied, JournalError."""
    overlay = Overlay(root)
    edits: list[FileEdit] = []
    there: set[str] = set()
    for path in sorted(changes):
        now, before = overlay.read(path), bases.get(path)
        if isinstance(now, Refusal):
            raise NotApplied(f"{path} was not changed: {now.why}.", "Nothing was changed.")
        if now not in (before, changes[path]):
            remedy = "Nothing was changed. Run the task again, or apply the changes by hand."
            raise NotApplied(f"{path} has changed since the task read it.", remedy)
        if now != before:
            there.add(path)
        edits.append(FileEdit(path, before, changes[path]))
    title = f"Task: {goal}"[:TITLE_CHARS_MAX]
    _tidied(overlay.root, title, set(changes), journal)
    noted = journal.note(Change(str(overlay.root), title, time.time(), tuple(edits)))
    todo = [edit for edit in edits if edit.path not in there]
    try:
        with _Writer(overlay.root, noted) as writer:
            writer.all(todo)
    except NotApplied as error:
        if not error.partly:
            journal.dropped(noted)
        raise
    # A full disk, at the last moment: it can be taken back all the same.
    with suppress(JournalError):
        journal.done(noted)
    return Applied(noted, tuple(edit.path for edit in edits))


def _tidied(root: Path, title: str, paths: Set[str], journal: Journal) -> None:
    """Take away what an application of the same change that was killed has left: a file that was being written aside,
    and its entry in the journal, instead of which there will be one of the whole change."""
    for entry in journal.list(str(root)):
        if entry.state == "noted" and entry.title == title and set(entry.paths) == paths:
            for path in entry.paths:
                with suppress(OSError):
                    (root / path).with_name(_aside(path.rpartition("/")[2], entry.id)).unlink()
            journal.dropped(entry.id)


def _aside(name: str, noted: str) -> str:
    """What a file is called while it is written: by the change's id in the journal, so that it is found again."""
    return f".{name[:60]}.{noted}"


class _Writer:
    """Writes a change's files: first all of them aside, which a full disk may forbid, then each in its place. At its
    end nothing lies aside."""

    def __init__(self, root: Path, noted: str) -> None:
        self._root = root
        self._noted = noted
        self._staged: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for path in self._staged:
            with suppress(OSError):
                self._beside(path).unlink()

    def all(self, edits: Sequence[FileEdit]) -> None:
        """Raises NotApplied."""
        for edit in edits:
            try:
                self._stage(edit.path, edit.after)
            except OSError as error:
                raise _not_written(edit.path, error, ()) from error
        for count, edit in enumerate(edits):
            try:
                self._place(edit.path, edit.after)
            except OSError as error:
                raise _not_written(edit.path, error, self._put_back(edits[:count])) from error

    def _put_back(self, edits: Sequence[FileEdit]) -> list[str]:
        """The files that could not be."""
        left: list[str] = []
        for edit in reversed(edits):
            try:
                self._stage(edit.path, edit.before)
                self._place(edit.path, edit.before)
            except OSError:
                left.append(edit.path)
        return left

    def _beside(self, path: str) -> Path:
        whole = self._root / path
        return whole.with_name(_aside(whole.name, self._noted))

    def _stage(self, path: str, text: str | None) -> None:
        if text is None:
            return
        self._staged.append(path)
        content = text.encode("utf-8", "replace")
        if not DIRECT:
            (self._root / path).parent.mkdir(parents=True, exist_ok=True)
            self._beside(path).write_bytes(content)
            return
        with _folder_of(self._root, path, make=True) as (at, name):
            mode = 0o644
            with suppress(FileNotFoundError):
                mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode & 0o777
            handle = os.open(_aside(name, self._noted), _NEW, mode, dir_fd=at)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())

    def _place(self, path: str, text: str | None) -> None:
        self._placed(path, text)
        if text is not None:
            self._staged.remove(path)

    def _placed(self, path: str, text: str | None) -> None:
        if not DIRECT:
            if text is None:
                (self._root / path).unlink()
            else:
                os.replace(self._beside(path), self._root / path)
            return
        with _folder_of(self._root, path, make=False) as (at, name):
            if text is None:
                os.unlink(name, dir_fd=at)
            else:
                os.rename(_aside(name, self._noted), name, src_dir_fd=at, dst_dir_fd=at)


def _not_written(path: str, error: OSError, left: Sequence[str]) -> NotApplied:
    told = NotApplied(f"{path} could not be written: {error.strerror}.", "Everything is as it was.")
    if left:
        told.remedy = f"{', '.join(left)} could not be put back either: make room, then undo the change in the editor."
        told.partly = True
    return told


@contextmanager
def _folder_of(root: Path, path: str, *, make: bool) -> Generator[tuple[int, str]]:
    """The open folder of a file, and the file's name in it. No link is followed on the way."""
    *folders, name = path.split("/")
    at = os.open(root, _FOLDER)
    try:
        for folder in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(folder, dir_fd=at)
            inner = os.open(folder, _FOLDER, dir_fd=at)
            os.close(at)
            at = inner
        yield at, name
    finally:
        os.close(at)
