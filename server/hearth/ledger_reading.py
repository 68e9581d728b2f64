"""Reading the ledger: what left, of which file, and whether everything is still as it was written.

Readers take no lock but for the moment in which they look where the end is: records are only ever added. Everything
here blocks, and raises LedgerError.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from hearth.core.ledger_record import (
    RECORD_BYTES_MAX,
    BadRecord,
    Bill,
    Chain,
    Cut,
    Head,
    Intent,
    Record,
    Result,
    begins_record,
    decode,
)
from hearth.core.origin import Origin, files_of
from hearth.core.tally import Tally
from hearth.errors import LedgerDamaged, LedgerError
from hearth.ledger_files import LedgerFolder, read_at

RECENT_BYTES = 64 * 1024
"""What is read from the end at first."""
BROKEN_OFF = "no result"
"""The status of a request of which only the intent is known: it is on its way, or its end was not recorded."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: its intent, and the result if there is one."""

    seq: int
    time: str
    intent: Intent
    ended: str = ""
    result: Result | None = None

    @property
    def status(self) -> str:
        """In a word."""
        return self.result.status if self.result else BROKEN_OFF

    @property
    def model(self) -> str:
        """The one that answered, else the one that was asked."""
        return (self.result.model if self.result else "") or self.intent.model

    def parts_of(self, path: Path) -> tuple[Origin, ...]:
        """What of a file, or of a folder's files, was in it; empty if nothing was."""
        ways = {os.path.normcase(way(path)) for way in (os.path.abspath, os.path.realpath)}
        return tuple(
            origin
            for origin in files_of(self.intent.origins)
            if (name := os.path.normcase(os.path.abspath(os.path.join(origin.folder, origin.path)))) in ways
            or name.startswith(tuple(way.rstrip(os.sep) + os.sep for way in ways))
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of the whole ledger found. `bad` is the first bad record; 0: the head, or a file beside the log."""

    records: int
    entries: int
    hash: str
    problem: str = ""
    bad: int = 0
    note: str = ""

    @property
    def whole(self) -> bool:
        """Whether everything is as it was written."""
        return not self.problem

    @property
    def sentence(self) -> str:
        """For the user."""
        if self.problem:
            return self.problem
        if not self.records:
            return "The ledger is empty: nothing has left this machine." + self.note
        return (
            f"The ledger is whole: {self.records} records of {self.entries} requests, the last one is "
            f"{self.hash[:16]}.{self.note}"
        )


def summary(folder: Path) -> Head:
    """Where the ledger ends, from the head alone: cheap."""
    with _readable(folder) as files:
        return files.read_head() or Head()


def records(folder: Path) -> Iterator[Record]:
    """All records that are sound in themselves, in order. Raises LedgerDamaged at one that is not."""
    for number, line in enumerate(_lines(folder), 1):
        try:
            yield decode(line, number)
        except BadRecord as error:
            if not line.endswith(b"\n"):
                return  # it is being written, or never was finished
            raise LedgerDamaged(
                f"Record {number} of the ledger is bad: {error}.", "See `hearth ledger verify`."
            ) from error


def entries(folder: Path) -> list[Entry]:
    """All requests, the oldest first."""
    return _entries(records(folder))


class Today:
    """What the requests of the last days amount to. Of a log that only grew since it was looked at, only what is new is
    read, whoever wrote it: so neither the ledger's size nor the day's requests make the next look slow. For several
    threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._from = 0.0
        self._log: tuple[int, int] | None = None
        self._end = 0
        self._last_line = b""
        self._tally = Tally()
        self.records_read = 0
        """In all looks together."""

    def look(self, since: float, ask: Callable[[Tally], T]) -> T:
        """What `ask` finds in the requests since a time, in seconds since the epoch. Raises what it raises."""
        with self._lock:
            with _readable(self._folder) as files:
                self._refresh(files, since)
            return ask(self._tally)

    def _refresh(self, files: LedgerFolder, since: float) -> None:
        handle = files.open_log(writing=False)
        if handle is None:
            self._log, self._tally = None, Tally()
            return
        try:
            self._read(handle, since)
        except BadRecord as error:
            self._log = None
            raise LedgerDamaged(
                f"The ledger's last records are bad: {error}.", "See `hearth ledger verify`."
            ) from error
        finally:
            os.close(handle)

    def _read(self, handle: int, since: float) -> None:
        stat = os.fstat(handle)
        log = (stat.st_dev, stat.st_ino)
        before = self._end - len(self._last_line)
        same = log == self._log and since >= self._from and stat.st_size >= self._end
        if not same or read_at(handle, before, len(self._last_line)) != self._last_line:
            self._log, self._from, self._tally, self._last_line = None, since, Tally(), b""
            lines, start = _last(handle, since, stat.st_size)
        else:
            lines, start = _whole_lines(read_at(handle, self._end, stat.st_size - self._end)), self._end
        self._log = None  # what was begun to be counted and was bad is counted anew
        if since > self._from:
            self._tally.forget(since)
        self._tally.feed(map(timed, map(decode, lines)), since)
        self.records_read += len(lines)
        self._log, self._from = log, since
        self._end = start + sum(map(len, lines))
        self._last_line = lines[-1] if lines else self._last_line


def _last(handle: int, since: float, size: int) -> tuple[list[bytes], int]:
    """The log's last lines, at least all since a time, and where the first of them begins.

    A clock may have been wrong for a while: so only where a whole block lies before that time, nothing older is read.
    """
    back, known = RECENT_BYTES, 0
    while True:
        start = max(0, size - back)
        data = read_at(handle, start, size - start)
        if start:
            begins = data.find(b"\n") + 1  # the block begins within a line
            data, start = data[begins:], start + begins
        lines = _whole_lines(data)
        block = _whole_lines(data[: max(0, size - known - start)])  # what the round before did not read
        if back >= size or (block and all(timed(decode(line))[0] < since for line in reversed(block))):
            return lines, start
        back, known = back * 4, back


def timed(record: Record) -> tuple[float, Record]:
    """With its time in seconds since the epoch."""
    return datetime.fromisoformat(record.time.replace("Z", "+00:00")).timestamp(), record


def _whole_lines(data: bytes) -> list[bytes]:
    lines = data.splitlines(keepends=True)
    return lines[:-1] if lines and not lines[-1].endswith(b"\n") else lines


def _entries(known: Iterable[Record]) -> list[Entry]:
    found: dict[int, Entry] = {}
    for record in known:
        what = record.what
        if isinstance(what, Intent):
            found[record.seq] = Entry(record.seq, record.time, what)
        elif isinstance(what, Result) and (entry := found.get(what.intent)):
            found[what.intent] = replace(entry, ended=record.time, result=what)
        elif isinstance(what, Bill) and (entry := found.get(what.intent)) and entry.result:
            found[what.intent] = replace(entry, result=what.settled(entry.result))
    return list(found.values())


def cuts(folder: Path) -> list[Record]:
    """Where a record that was never finished has been cut."""
    return [record for record in records(folder) if isinstance(record.what, Cut)]


def sent(folder: Path, entry: Entry) -> bytes:
    """The exact bytes of a request. Raises LedgerDamaged if they are not there as they were sent."""
    if not entry.intent.size:
        return b""
    with _readable(folder) as files:
        if files.digest_of(entry.intent.sha256) != entry.intent.sha256:
            raise LedgerDamaged(f"The bytes of request {entry.seq} are missing or were changed.")
        return files.body(entry.intent.sha256)


def verify(folder: Path) -> Finding:
    """Read everything and compare it with every checksum there is."""
    with _readable(folder) as files:
        if not files.path.exists():
            return Finding(0, 0, Head().hash)
        try:
            head, size = _end(files)
        except LedgerDamaged as error:
            return Finding(0, 0, "", error.message)
        chain = Chain()
        known: set[str] = set()
        try:
            left = _checked(files, chain, head, size, known)
            if left:
                return _behind(chain, head, left)
            problem = _end_problem(chain, head) or _strays(files, known)
        except BadRecord as error:
            why = f"Record {error.number} of the ledger is bad: {error}."
            return Finding(chain.seq, chain.entries, chain.hash, why, error.number)
        if problem:
            return Finding(chain.seq, chain.entries, chain.hash, problem[1], problem[0])
        ahead = " It was not yet confirmed in the head." if head and head.seq < chain.seq else ""
        return Finding(chain.seq, chain.entries, chain.hash, note=ahead)


def _end(files: LedgerFolder) -> tuple[Head | None, int]:
    """What the head says, and the log's size, as they were at one moment."""
    with contextlib.ExitStack() as stack:
        # A folder that can only be read has no writer either.
        with contextlib.suppress(OSError):
            stack.enter_context(files.locked())
        try:
            size = os.stat(files.log).st_size
        except FileNotFoundError:
            size = -1
        head = files.read_head()
    if size < 0 and ((head and head.seq) or files.kept()):
        raise LedgerDamaged("The ledger's records are gone.")
    if head is None and size > 0:
        raise LedgerDamaged("The ledger's head is gone.")
    return head, max(size, 0)


def _checked(files: LedgerFolder, chain: Chain, head: Head | None, size: int, known: set[str]) -> bytes:
    """Feed the log's first `size` bytes; what is left behind the last record whose end is there."""
    for line in _lines(files.path, size):
        if head and chain.end >= head.end and not line.endswith(b"\n"):
            return line
        start = chain.end
        what = chain.feed(line).what
        if head and chain.seq == head.seq and (head.hash, head.start, head.end) != (chain.hash, start, chain.end):
            raise BadRecord(chain.seq, "the head says otherwise")
        if head and chain.seq == head.seq and head.entries != chain.entries:
            raise BadRecord(chain.seq, "the head counts other requests")
        if isinstance(what, Intent) and what.size and what.sha256 not in known:
            if files.digest_of(what.sha256) != what.sha256:
                raise BadRecord(chain.seq, "the bytes that were sent are missing or were changed")
            known.add(what.sha256)
    return b""


def _end_problem(chain: Chain, head: Head | None) -> tuple[int, str] | None:
    """What is wrong with the end, as (record, sentence)."""
    seq = head.seq if head else 0
    if chain.seq < seq:
        missing = f"Records {chain.seq + 1} to {seq} of the ledger are missing" if seq > chain.seq + 1 else (
            f"Record {seq} of the ledger is missing"
        )  # fmt: skip
        return chain.seq + 1, f"{missing}: it was cut off."
    if chain.seq > seq + 1:
        return seq + 2, f"Record {seq + 2} of the ledger is bad: the head ends with record {seq}."
    return None


def _strays(files: LedgerFolder, known: set[str]) -> tuple[int, str] | None:
    """Bytes that no record names were left by an end in between; they too must be what their name says."""
    for name in files.kept():
        if name not in known and files.digest_of(name) != name:
            return 0, f"The file sent/{name[:16]}... beside the ledger was changed."
    return None


def _behind(chain: Chain, head: Head | None, left: bytes) -> Finding:
    number = chain.seq + 1
    if not begins_record(left, number, chain.hash) or (head and chain.seq > head.seq):
        why = f"Record {number} of the ledger is bad: {len(left)} bytes that are none."
        return Finding(chain.seq, chain.entries, chain.hash, why, number)
    note = f" {len(left)} bytes behind it were never finished; the next request cuts them off."
    return Finding(chain.seq, chain.entries, chain.hash, note=note)


def _lines(folder: Path, size: int | None = None) -> Iterator[bytes]:
    """The lines of the log, of its first `size` bytes; the last one may have no line feed."""
    with _readable(folder) as files:
        handle = files.open_log(writing=False)
        if handle is None:
            return
        with open(handle, "rb") as stream:
            while size is None or size > 0:
                line = stream.readline(RECORD_BYTES_MAX + 1 if size is None else min(size, RECORD_BYTES_MAX + 1))
                if not line:
                    return
                if size is not None:
                    size -= len(line)
                yield line


@contextlib.contextmanager
def _readable(folder: Path) -> Generator[LedgerFolder]:
    try:
        yield LedgerFolder(folder)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise LedgerError(f"The ledger in {folder} cannot be read: {why}.") from error
