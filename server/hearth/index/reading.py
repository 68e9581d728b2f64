"""Reading one file for the index: from bytes on disk to everything that is stored of it, in a thread of its own.

Parsing lets other threads run, so searches are answered while a cold index is built. What comes out is plain data; the
stores are written by the main thread alone.
"""

import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hearth.core.analysis import analysed
from hearth.core.chunks import names_in
from hearth.core.facts import Chunk, Facts
from hearth.core.grammars import language_of
from hearth.core.terms import document_vector
from hearth.index.manifest import FileEntry, FileRow
from hearth.index.points import Point
from hearth.index.walk import FILE_BYTES_MAX, read_bytes, text_lines

DIGEST_BYTES = 16
UID_BYTES = 8
UID_MASK = (1 << 63) - 1
STUCK_S = 20.0
AHEAD_MAX = 8
"""Files that wait for the thread or for the main thread to take what it made of them."""

State = Literal["changed", "touched", "refused", "gone"]


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read. `known`: what is stored of it, and `uids` of which chunks; `salt` sets stores apart;
    `plain`: its parser once took too long, so that it is read as text."""

    path: str
    absolute: Path
    known: FileRow | None
    uids: frozenset[int]
    salt: str = ""
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file. `touched`: it is what is stored, but for its time. `refused`: binary, generated or too
    large; it is stored as a file without language, so that it is not read again. `points`: of those chunks that are not
    stored yet; `before`: the chunks that are."""

    path: str
    state: State
    entry: FileEntry | None = None
    points: tuple[Point, ...] = ()
    before: frozenset[int] = frozenset()
    size: int = 0
    mtime_ns: int = 0


def read(job: Job) -> Outcome:
    """Do a job. Never raises for what a file may hold."""
    try:
        status = os.stat(job.absolute, follow_symlinks=False)
    except (OSError, ValueError):
        return Outcome(job.path, "gone")
    data = read_bytes(job.absolute) if status.st_size <= FILE_BYTES_MAX else None
    if data is None:
        return _refused(job, b"", status)
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
    if job.known is not None and job.known.digest == digest:
        return Outcome(job.path, "touched", size=status.st_size, mtime_ns=status.st_mtime_ns)
    lines = text_lines(data)
    if lines is None:
        return _refused(job, digest, status)
    language = "plaintext" if job.plain else language_of(job.path)
    facts = analysed(language, "\n".join(lines))
    uids = _uids(job, facts.chunks)
    points = [
        Point(
            uid, document_vector(chunk.text, job.path, chunk.symbol, names), content_of(chunk.text) if job.salt else 0
        )
        for uid, chunk, names in zip(uids, facts.chunks, names_in(facts.chunks, facts.symbols), strict=True)
        if uid not in job.uids
    ]
    entry = FileEntry(job.path, digest, len(data), status.st_mtime_ns, language, facts, uids)
    return Outcome(job.path, "changed", entry, tuple(points), job.uids)


def _refused(job: Job, digest: bytes, status: os.stat_result) -> Outcome:
    entry = FileEntry(job.path, digest, status.st_size, status.st_mtime_ns, "", Facts(), ())
    return Outcome(job.path, "refused", entry, before=job.uids)


def content_of(text: str) -> int:
    """A chunk's content address, whatever file it is in."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=UID_BYTES).digest()) & UID_MASK


def _uids(job: Job, chunks: tuple[Chunk, ...]) -> tuple[int, ...]:
    """Addresses of a file's chunks: the same text at the same place has the same one, wherever it is computed."""
    seen: dict[bytes, int] = {}
    uids: list[int] = []
    head = f"{job.salt}\0{job.path}\0".encode("utf-8", "replace")
    for chunk in chunks:
        body = f"{chunk.symbol}\0{chunk.text}".encode("utf-8", "replace")
        turn = seen[body] = seen.get(body, -1) + 1
        hashed = hashlib.blake2b(head + b"%d\0" % turn + body, digest_size=UID_BYTES)
        uids.append(int.from_bytes(hashed.digest()) & UID_MASK)
    return tuple(uids)


class Reader:
    """The thread. `wake` is called in it when an outcome is ready. One job after the other, in order."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._jobs: queue.SimpleQueue[tuple[Callable[[Outcome], None], Job]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Callable[[Outcome], None], Outcome]] = queue.SimpleQueue()
        self._begun: tuple[Job, float] | None = None
        self.waiting = 0
        """Jobs given and not yet taken back."""
        threading.Thread(target=self._work, name="index reader", daemon=True).start()

    @property
    def has_room(self) -> bool:
        return self.waiting < AHEAD_MAX

    @property
    def has_outcomes(self) -> bool:
        return not self._done.empty()

    def give(self, job: Job, then: Callable[[Outcome], None]) -> None:
        """Have a file read; `then` is called with the outcome by `take`."""
        self.waiting += 1
        self._jobs.put((then, job))

    def take(self) -> bool:
        """Hand out one outcome, in the calling thread; whether there was one."""
        try:
            then, outcome = self._done.get_nowait()
        except queue.Empty:
            return False
        self.waiting -= 1
        then(outcome)
        return True

    def stuck(self) -> Job | None:
        """The job that has taken longer than STUCK_S: a parser that comes to no end cannot be interrupted."""
        begun = self._begun
        return begun[0] if begun is not None and time.monotonic() - begun[1] > STUCK_S else None

    def _work(self) -> None:
        while True:
            then, job = self._jobs.get()
            self._begun = (job, time.monotonic())
            outcome = read(job)
            self._begun = None
            self._done.put((then, outcome))
            self._wake()
