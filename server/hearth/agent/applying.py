"""A task's changes into the user's files, in one step that can be taken back: for where there is no editor to do it.

Nothing is written unless every file is as the task found it, or already as the task made it: then the process was
killed amid applying, and it goes on. What it was is in the journal first; each file is written aside and renamed; no
link is followed on the way, not even one that is put in place meanwhile; and if one file cannot be written, those
before it are put back.
"""

import os
import time
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hearth.agent.overlay import Overlay, Refusal
from hearth.core.patch import FileEdit
from hearth.errors import HearthError, JournalError
from hearth.journal import Change, Journal

TITLE_CHARS_MAX = 120
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class NotApplied(HearthError):
    """Nothing was changed: a file is no longer as the task found it, may not be written, or could not be."""


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
    written: list[FileEdit] = []
    todo = [edit for edit in edits if edit.path not in there]
    try:
        for edit in todo:
            _write(overlay.root, edit.path, edit.after, noted)
            written.append(edit)
    except OSError as error:
        for edit in reversed(written):
            with suppress(OSError):
                _write(overlay.root, edit.path, edit.before, noted)
        journal.dropped(noted)
        failed = todo[len(written)].path
        raise NotApplied(f"{failed} could not be written: {error.strerror}.", "Everything is as it was.") from error
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


def _write(root: Path, path: str, text: str | None, noted: str) -> None:
    if os.open not in os.supports_dir_fd:
        _write_plainly(root / path, text, noted)
        return
    *folders, name = path.split("/")
    at = os.open(root, _FOLDER)
    try:
        for folder in folders:
            with suppress(FileExistsError):
                if text is not None:
                    os.mkdir(folder, dir_fd=at)
            inner = os.open(folder, _FOLDER, dir_fd=at)
            os.close(at)
            at = inner
        if text is None:
            os.unlink(name, dir_fd=at)
            return
        _put(at, name, text.encode("utf-8", "replace"), noted)
    finally:
        os.close(at)


def _put(at: int, name: str, content: bytes, noted: str) -> None:
    mode = 0o644
    with suppress(FileNotFoundError):
        mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode & 0o777
    aside = _aside(name, noted)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode, dir_fd=at)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(aside, name, src_dir_fd=at, dst_dir_fd=at)
    except OSError:
        with suppress(OSError):
            os.unlink(aside, dir_fd=at)
        raise


def _write_plainly(path: Path, text: str | None, noted: str) -> None:
    """Where the system cannot open a file in an open folder."""
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(_aside(path.name, noted))
    aside.write_bytes(text.encode("utf-8", "replace"))
    os.replace(aside, path)
