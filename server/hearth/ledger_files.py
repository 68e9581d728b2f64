"""The ledger's folder: what lies where, the lock, and writes that are on the disk when they return.

    records      the log, one line for each record (core.ledger_record); only ever appended to
    head/last    the last record's number, hash and place; replaced as a whole after each append
    sent/SHA256  the exact bytes of one request
    lock         held by whoever appends, or looks where the end is

Everything here blocks and raises OSError, or LedgerError where it says so.
"""

import contextlib
import hashlib
import os
import stat
import sys
import time
from collections.abc import Generator
from pathlib import Path

from hearth.core.ledger_record import BadRecord, Head, decode_head, encode_head
from hearth.errors import LedgerDamaged, LedgerError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

BODY_BYTES_MAX = 64 * 1024 * 1024
"""Of one request."""
LOG_BYTES_MAX = 4 * 1024 * 1024 * 1024
HEAD_BYTES_MAX = 1_000
READ_BYTES = 1024 * 1024
LOCK_WAIT_S = 5.0
LOCK_AGAIN_S = 0.002
REPLACE_ATTEMPTS = 20
REPLACE_AGAIN_S = 0.01
"""Windows does not replace a file while somebody reads it."""
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_NAME_LENGTH = 64


class LedgerFolder:
    """Paths and plain operations; who calls them in which order is for `ledger` and `ledger_reading`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "records"
        self.head_folder = path / "head"
        self.head = path / "head" / "last"
        self.sent = path / "sent"

    def make(self) -> None:
        """Make the folders that are not there, for the user alone."""
        for folder in (self.path, self.head_folder, self.sent):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)

    def sync(self) -> None:
        """The folders and the log have their names on the disk on return."""
        sync_folder(self.path)
        sync_folder(self.path.parent)

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Hold the lock, over processes and within this one. Raises LedgerError if others hold it for too long."""
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        try:
            until = time.monotonic() + LOCK_WAIT_S
            while not _took(handle):
                if time.monotonic() > until:
                    raise LedgerError("Another program holds the ledger.", "Look for other windows of your editor.")
                time.sleep(LOCK_AGAIN_S)
            yield
        finally:
            os.close(handle)

    def open_log(self, writing: bool) -> int | None:
        """The log; None if there is none."""
        try:
            handle = os.open(self.log, (os.O_RDWR if writing else os.O_RDONLY) | _FLAGS)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise LedgerDamaged(f"{self.log} is not a plain file.")
        return handle

    def new_log(self) -> int:
        """A new, empty log."""
        return os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)

    def read_head(self) -> Head | None:
        """What the head file says; None if there is none. Raises LedgerDamaged."""
        try:
            content = read_small(self.head, HEAD_BYTES_MAX)
            return decode_head(content)
        except FileNotFoundError:
            return None
        except BadRecord as error:
            raise LedgerDamaged(f"The ledger's head was changed: {error}.") from error

    def write_head(self, head: Head) -> None:
        """Replace the head; it is durable on return."""
        self._put(self.head, encode_head(head))

    def keep(self, digest: str, body: bytes) -> None:
        """Keep the bytes of a request under their SHA-256. Raises LedgerDamaged if other bytes lie there."""
        path = self.sent / digest
        if path.exists():
            if self.digest_of(digest) != digest:
                raise LedgerDamaged(f"{path} was changed.")
            sync_folder(self.sent)
        else:
            self._put(path, body)

    def digest_of(self, digest: str) -> str:
        """The SHA-256 of what lies under a SHA-256; "" if there is nothing."""
        whole = hashlib.sha256()
        try:
            with open(os.open(self.sent / digest, os.O_RDONLY | _FLAGS), "rb", buffering=0) as stream:
                while block := stream.read(READ_BYTES):
                    whole.update(block)
        except FileNotFoundError:
            return ""
        return whole.hexdigest()

    def body(self, digest: str) -> bytes:
        """The bytes under a SHA-256."""
        return read_small(self.sent / digest, BODY_BYTES_MAX)

    def kept(self) -> list[str]:
        """The hashes under which something lies, sorted."""
        try:
            return sorted(name for name in os.listdir(self.sent) if len(name) == _NAME_LENGTH)
        except FileNotFoundError:
            return []

    def _put(self, path: Path, content: bytes) -> None:
        """Make or replace a file, so that after a crash it is there whole, or as it was before."""
        # One name for all: whoever holds the lock may overwrite what a crash has left.
        near = path.with_name("new")
        handle = os.open(near, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o600)
        try:
            write_all(handle, content, 0)
            sync_data(handle)
        finally:
            os.close(handle)
        _replace(near, path)
        sync_folder(path.parent)


def write_all(handle: int, content: bytes, place: int) -> None:
    """Write at a place, however many pieces it takes."""
    view = memoryview(content)
    os.lseek(handle, place, os.SEEK_SET)
    while view:
        written = os.write(handle, view)
        view = view[written:]


def read_at(handle: int, place: int, size: int) -> bytes:
    """Up to `size` bytes from a place."""
    os.lseek(handle, place, os.SEEK_SET)
    parts: list[bytes] = []
    while size > 0 and (part := os.read(handle, min(size, READ_BYTES))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_small(path: Path, bytes_max: int) -> bytes:
    """A file's content, cut behind `bytes_max` + 1 bytes."""
    handle = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        return read_at(handle, 0, bytes_max + 1)
    finally:
        os.close(handle)


def sync_data(handle: int) -> None:
    """What was written is on the disk on return, with the file's size."""
    if sys.platform == "linux":
        os.fdatasync(handle)
    elif sys.platform == "darwin":
        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)  # fsync leaves it in the drive's cache there
    else:
        os.fsync(handle)


def sync_folder(path: Path) -> None:
    """New names in a folder are on the disk on return."""
    if sys.platform == "win32":
        return  # a folder cannot be opened there; NTFS keeps names in its journal
    handle = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(source: Path, target: Path) -> None:
    for attempt in range(REPLACE_ATTEMPTS):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == REPLACE_ATTEMPTS - 1:
                raise
            time.sleep(REPLACE_AGAIN_S)


def _took(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
