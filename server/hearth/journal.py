"""What every applied change looked like before and after, on the disk before it is applied, so that it can be undone.

One file for each change, written aside, synced and renamed, so it is there whole or not at all; `ID.done` and
`ID.undone` beside it say how far it got. Names begin with a growing number: the newest is the last. Nothing of it lies
in a workspace. It blocks: call it from a thread.

A file of secrets (`core.deny`) is not written down: a copy would outlive the secret's own file, in a place where nobody
looks for it when it is rotated or deleted. Such a change is listed, but only the editor can undo it.
"""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from hearth.core.deny import is_secret
from hearth.core.patch import FileEdit, Patch
from hearth.errors import JournalError
from hearth.ledger_files import read_small, sync_data, sync_folder, write_all

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
    """What is about to be applied. `folder`: the workspace folder, absolute. `title`: what it is, for the user. `at_s`:
    when that was, in seconds since 1970. `made`: folders that its new files need and that are not there, relative.
    `origin`: what it came of, for who asked for it."""

    folder: str
    title: str
    at_s: float
    edits: tuple[FileEdit, ...]
    made: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A change as it is in the journal. `paths`: its files, relative to `folder`. `revertible`: False where it holds a
    file of secrets, whose text was not kept. `made`, `origin`: as in the change."""

    id: str
    state: State
    folder: str
    title: str
    at_s: float
    paths: tuple[str, ...]
    revertible: bool
    made: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why a change cannot be taken back: nothing of it may be. `message` for the user; `paths`: the files that are no
    longer what the change left."""

    message: str
    paths: tuple[str, ...] = ()


class _File(NamedTuple):
    """One file of a change. `kept`: False where its text was not written down."""

    path: str
    before: str | None
    after: str | None
    kept: bool


class _Record(NamedTuple):
    entry: Entry
    files: tuple[_File, ...]


class Journal:
    """The journal in `home`, a folder of its own under the data directory. Several processes may use it.

    `problems` says what could not be read; such entries are passed over.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.problems: list[str] = []

    def note(self, change: Change) -> str:
        """Write a change down BEFORE it is applied; it is on the disk on return. Gives its id.

        Raises JournalError: it cannot be written (the disk is full, it is too large, the journal would lie in the
        workspace). Then it must not be applied, unless the user is told that it cannot be undone.
        """
        if Path(os.path.realpath(self._home)).is_relative_to(os.path.realpath(change.folder)):
            raise JournalError("The journal would lie in the workspace.", "Choose another data directory.")
        content = _encoded(change)
        if len(content) > CHANGE_BYTES_MAX:
            raise JournalError(
                f"The change is larger than {CHANGE_BYTES_MAX >> 20} MiB, so it cannot be kept for undoing.",
                "Apply it in smaller parts.",
            )
        try:
            self._make()
            id = f"{self._next():08d}-{secrets.token_hex(4)}"
            self._prune(len(content), change.at_s)
            self._put(id, content, change.at_s)
        except OSError as error:
            raise JournalError(
                f"What is about to change could not be written down: {error.strerror or error}.",
                f"Look at {self._home}.",
            ) from error
        return id

    def done(self, id: str) -> None:
        """The change was applied. Raises JournalError."""
        self._mark(id, "done")

    def dropped(self, id: str) -> None:
        """The change was not applied (the editor refused it): forget it."""
        self._forget(id)

    def undone(self, id: str) -> None:
        """What `revert` gave was applied: `last` goes on to the change before. Raises JournalError."""
        self._mark(id, "undone")

    def last(self, folder: str) -> Entry | None:
        """The newest change of a workspace folder that was not undone; None if there is none."""
        return next((entry for entry in self.list(folder) if entry.state != "undone"), None)

    def list(self, folder: str = "") -> list[Entry]:
        """All changes, of one folder or of all (""), the newest first."""
        self.problems = []
        names = self._names()
        found: list[Entry] = []
        for id in _ids(names):
            record = self._read(id, names)
            if record is not None and (not folder or record.entry.folder == folder):
                found.append(record.entry)
        return found

    def revert(self, id: str, current: Callable[[str], str | None]) -> Patch | Conflict:
        """What takes a change back. `current`: a file's text now (by relative path, in the editor if it is open there),
        None if it does not exist.

        A file that is not what the change left makes it a Conflict, whole. Files that are already as they were before
        need no edit; a patch without edits says that there was nothing to take back. Call `undone` once it is applied.
        """
        record = self._read(id, self._names())
        if record is None:
            return Conflict("This change is not in the journal any more.")
        if record.entry.state == "undone":
            return Conflict("This change was undone already.")
        secret = tuple(file.path for file in record.files if not file.kept)
        if secret:
            return Conflict(
                f"{_named(secret)}: files of secrets are not kept in the journal. Undo this in the editor.", secret
            )
        edits: list[FileEdit] = []
        changed: list[str] = []
        for file in record.files:
            now = current(file.path)
            if now == file.after:
                edits.append(FileEdit(file.path, now, file.before))
            elif now != file.before:
                changed.append(file.path)
        if changed or (edits and len(edits) < len(record.files) and record.entry.state == "done"):
            back = tuple(file.path for file in record.files if file.path not in {edit.path for edit in edits})
            paths = tuple(changed) or back
            return Conflict(f"{_named(paths)} changed since, so this cannot be undone as a whole.", paths)
        notes = () if edits else ("The files are already as they were before this change.",)
        return Patch(tuple(edits), notes)

    def _make(self) -> None:
        if not self._home.is_dir():
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(self._home.parent)
        if os.name != "nt" and self._home.stat().st_mode & 0o077:
            self._home.chmod(0o700)

    def _names(self) -> dict[str, int]:
        """The journal's files and their sizes."""
        try:
            with os.scandir(self._home) as found:
                return {one.name: one.stat(follow_symlinks=False).st_size for one in found}
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._problem(f"The journal cannot be read: {error.strerror or error}.")
            return {}

    def _next(self) -> int:
        return max((_number(id) for id in _ids(self._names())), default=0) + 1

    def _put(self, name: str, content: bytes, at_s: float) -> None:
        """Write a file so that it is there whole or not at all. Its time is the caller's: ages are told by it."""
        near = self._home / f"{name}.new"
        handle = os.open(near, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            try:
                write_all(handle, content, 0)
                sync_data(handle)
            finally:
                os.close(handle)
            os.utime(near, (at_s, at_s))
            os.replace(near, self._home / name)
        except OSError:
            with contextlib.suppress(OSError):
                near.unlink()
            raise
        sync_folder(self._home)

    def _mark(self, id: str, state: str) -> None:
        if not _is_id(id):
            raise JournalError(f"{id!r} is no change of the journal.")
        try:
            handle = os.open(self._home / f"{id}.{state}", os.O_WRONLY | os.O_CREAT, 0o600)
            os.close(handle)
            sync_folder(self._home)
        except OSError as error:
            raise JournalError(f"The journal cannot be written: {error.strerror or error}.") from error

    def _read(self, id: str, names: dict[str, int]) -> _Record | None:
        """One entry; None, and a problem, if it is damaged."""
        if not _is_id(id) or id not in names:
            return None
        state: State = "undone" if f"{id}.undone" in names else "done" if f"{id}.done" in names else "noted"
        try:
            return _decoded(id, state, read_small(self._home / id, CHANGE_BYTES_MAX))
        except FileNotFoundError:
            return None  # another process took it away
        except OSError as error:
            self._problem(f"{id} cannot be read: {error.strerror or error}.")
        except (ValueError, KeyError, TypeError) as error:
            self._problem(f"{id} is damaged: {error}.")
        return None

    def _problem(self, text: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(text)

    def _prune(self, coming: int, now_s: float) -> None:
        """Make room: what is too old, then the oldest. Also what an end amid writing has left."""
        names = self._names()
        for name in names:
            if name.endswith(".new") and self._is_old(name, now_s):
                with contextlib.suppress(OSError):
                    (self._home / name).unlink()
        room, left = BYTES_MAX - coming, ENTRIES_MAX - 1
        for id in _ids(names):
            room -= names[id]
            left -= 1
            if room < 0 or left < 0 or self._age_days(id, now_s) > AGE_MAX_DAYS:
                self._forget(id)

    def _age_days(self, id: str, now_s: float) -> float:
        try:
            return (now_s - (self._home / id).stat().st_mtime) / DAY_S
        except OSError:
            return 0.0

    def _is_old(self, name: str, now_s: float) -> bool:
        return self._age_days(name, now_s) * DAY_S > LEFTOVER_AGE_S

    def _forget(self, id: str) -> None:
        if not _is_id(id):
            return
        # The entry goes first: a mark alone means nothing.
        for name in (id, f"{id}.done", f"{id}.undone"):
            with contextlib.suppress(OSError):
                (self._home / name).unlink()


LEFTOVER_AGE_S = 60.0
"""An unfinished file of that age is nobody's any more."""
_FORMAT = 1


def _encoded(change: Change) -> bytes:
    """A checksum on the first line, and what it is of on the second."""
    files: list[dict[str, Any]] = []
    for edit in change.edits:
        kept = not is_secret(edit.path)
        files.append(
            {"path": edit.path, "before": edit.before, "after": edit.after}
            if kept
            else {"path": edit.path, "secret": True}
        )
    body = json.dumps(
        {
            "format": _FORMAT, "folder": change.folder, "title": change.title[:TITLE_CHARS_MAX], "at_s": change.at_s,
            "files": files, "made": change.made, "origin": change.origin,
        },
        ensure_ascii=True,
    ).encode()  # fmt: skip
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body + b"\n"


def _decoded(id: str, state: State, content: bytes) -> _Record:
    """Raises ValueError, KeyError or TypeError if it is not what `_encoded` wrote."""
    digest, _, body = content.partition(b"\n")
    body = body[:-1] if body.endswith(b"\n") else body
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("its checksum does not fit")
    coded = cast(dict[str, Any], json.loads(body))
    if coded["format"] != _FORMAT:
        raise ValueError("it is of another version")
    files = tuple(
        _File(one["path"], one.get("before"), one.get("after"), not one.get("secret"))
        for one in cast(Iterable[dict[str, Any]], coded["files"])
    )
    entry = Entry(
        id, state, coded["folder"], coded["title"], coded["at_s"], tuple(file.path for file in files),
        all(file.kept for file in files), tuple(coded.get("made", ())), coded.get("origin", ""),
    )  # fmt: skip
    return _Record(entry, files)


def _ids(names: Iterable[str]) -> list[str]:
    """The entries, the newest first."""
    return sorted((name for name in names if _is_id(name)), reverse=True)


def _is_id(name: str) -> bool:
    number, _, mark = name.partition("-")
    return number.isascii() and number.isdecimal() and len(mark) == 8 and mark.isascii() and mark.isalnum()


def _number(id: str) -> int:
    return int(id.partition("-")[0])


def _named(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more
