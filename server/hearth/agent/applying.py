"""A task's changes into the user's files, in one step that can be taken back: for where there is no editor to do it.

Nothing is written unless every file is as the task found it. What it was is in the journal first; each file is written
aside and renamed; no link is followed on the way, not even one that is put in place meanwhile; and if one file cannot
be written, those before it are put back.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from hearth.agent.overlay import Overlay, Refusal
from hearth.core.patch import FileEdit
from hearth.errors import HearthError
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
    for path in sorted(changes):
        now = overlay.read(path)
        if isinstance(now, Refusal):
            raise NotApplied(f"{path} was not changed: {now.why}.", "Nothing was changed.")
        if now != bases.get(path):
            remedy = "Nothing was changed. Run the task again, or apply the changes by hand."
            raise NotApplied(f"{path} has changed since the task read it.", remedy)
        edits.append(FileEdit(path, now, changes[path]))
    change = Change(str(overlay.root), f"Task: {goal}"[:TITLE_CHARS_MAX], time.time(), tuple(edits))
    noted = journal.note(change)
    written: list[FileEdit] = []
    try:
        for edit in edits:
            _write(overlay.root, edit.path, edit.after)
            written.append(edit)
    except OSError as error:
        for edit in reversed(written):
            with suppress(OSError):
                _write(overlay.root, edit.path, edit.before)
        journal.dropped(noted)
        failed = edits[len(written)].path
        raise NotApplied(f"{failed} could not be written: {error.strerror}.", "Everything is as it was.") from error
    journal.done(noted)
    return Applied(noted, tuple(edit.path for edit in edits))


def _write(root: Path, path: str, text: str | None) -> None:
    if os.open not in os.supports_dir_fd:
        _write_plainly(root / path, text)
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
        _put(at, name, text.encode("utf-8", "replace"))
    finally:
        os.close(at)


def _put(at: int, name: str, content: bytes) -> None:
    mode = 0o644
    with suppress(FileNotFoundError):
        mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode & 0o777
    aside = f".{name[:60]}.{token_hex(4)}"
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


def _write_plainly(path: Path, text: str | None) -> None:
    """Where the system cannot open a file in an open folder."""
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name[:60]}.{token_hex(4)}")
    aside.write_bytes(text.encode("utf-8", "replace"))
    os.replace(aside, path)
