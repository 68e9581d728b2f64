"""One process owns a folder's store, even with several windows open: who takes the lock owns it, the others ask it.

The owner listens on a socket of the file system (a named pipe on Windows), reachable for its user alone; nothing of it
is on the network. Messages are JSON in the framing of `multiprocessing.connection`, whose pickling is never used. When
the owner ends, the system gives the lock free, the connections break, and another process takes over.
"""

import contextlib
import hashlib
import json
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, cast

from hearth.errors import WorkerError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
ADDRESS_BYTES_MAX = 100
"""Of a socket's path: systems allow 104 or 108."""
CONNECTIONS_MAX = 64
ANSWER_WITHIN_S = 5.0

Message = dict[str, Any]
Reply = Callable[[Message], None]


def home_of(data: Path, root: str) -> Path:
    """Where the index of a folder (its real path) is kept."""
    return data / "index" / hashlib.sha256(os.fsencode(root)).hexdigest()[:24]


def lock(home: Path) -> int | None:
    """Take the lock of a store: the handle that holds it until it is closed, None if another process has it."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(home / "lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def address_of(home: Path) -> str:
    """Where the owner of a store listens."""
    if sys.platform == "win32":
        return rf"\\.\pipe\hearth-{hashlib.sha256(str(home).casefold().encode()).hexdigest()[:32]}"
    near = os.fspath(home / "owner.sock")
    if len(os.fsencode(near)) <= ADDRESS_BYTES_MAX:
        return near
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return os.path.join(tempfile.gettempdir(), f"hearth-{os.getuid()}-{name}.sock")


class Door:
    """The owner's side: `deliver(message, reply)` is called in a thread for each message of another process."""

    def __init__(self, home: Path, deliver: Callable[[Message, Reply], None]) -> None:
        self._address = address_of(home)
        self._deliver = deliver
        self._guests = threading.BoundedSemaphore(CONNECTIONS_MAX)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                os.unlink(self._address)  # of an owner that was killed: we hold the lock
        mask = os.umask(0o177) if sys.platform != "win32" else 0
        try:
            self._listener = Listener(self._address)
        finally:
            if sys.platform != "win32":
                os.umask(mask)
        threading.Thread(target=self._accept, name="index door", daemon=True).start()

    def close(self) -> None:
        """Let no one in any more."""
        with contextlib.suppress(OSError):
            self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                guest = self._listener.accept()
            except OSError:
                return
            if not self._guests.acquire(blocking=False):
                guest.close()
                continue
            threading.Thread(target=self._serve, args=(guest,), name="index guest", daemon=True).start()

    def _serve(self, guest: "Connection[Any, Any]") -> None:
        try:
            while True:
                message = _parsed(guest.recv_bytes(MESSAGE_BYTES_MAX))
                if message is None:
                    return
                answered = threading.Event()
                answers: list[Message] = []

                def reply(answer: Message, answers: list[Message] = answers, done: threading.Event = answered) -> None:
                    answers.append(answer)
                    done.set()

                self._deliver(message, reply)
                if not answered.wait(ANSWER_WITHIN_S):
                    answers.append({"error": "the index is busy"})
                guest.send_bytes(json.dumps(answers[0]).encode())
        except (OSError, EOFError):
            return
        finally:
            guest.close()
            self._guests.release()


class Guest:
    """The other side: asks the owner. Raises WorkerError once the owner has gone."""

    def __init__(self, home: Path) -> None:
        address = address_of(home)
        try:
            if sys.platform != "win32":
                found = os.stat(address, follow_symlinks=False)
                if found.st_uid != os.getuid() or not stat.S_ISSOCK(found.st_mode):
                    raise WorkerError("another user's socket is where the index should listen")
            self._connection = Client(address)
        except OSError as error:
            raise WorkerError(f"the index does not listen: {error}") from error

    def ask(self, message: Message, within_s: float = ANSWER_WITHIN_S) -> Message:
        """The owner's answer."""
        try:
            self._connection.send_bytes(json.dumps(message).encode())
            if not self._connection.poll(within_s):
                self.close()  # a late answer would be taken for the next one
                raise WorkerError("the index does not answer")
            answer = _parsed(self._connection.recv_bytes(MESSAGE_BYTES_MAX))
        except (OSError, EOFError) as error:
            raise WorkerError(f"the index has gone: {error}") from error
        if answer is None:
            raise WorkerError("the index said something that is not a message")
        return answer

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._connection.close()


def _parsed(data: bytes) -> Message | None:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast(Message, message) if isinstance(message, dict) else None
