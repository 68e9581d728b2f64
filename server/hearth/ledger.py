"""The egress ledger: whatever leaves is on the disk before it leaves. See core.ledger_record and ledger_files.

`LedgerLog` is the plain, blocking part. An append takes the lock, looks whether log and head are as the last append
left them, writes, and has it all on the disk: first the bytes, then the record, then the head. Only then it returns, so
 - the head is never ahead of the log, unless the log was cut off: then nothing is written, and nothing leaves;
 - the log is at most one record ahead of the head, which an end in between leaves: that record is taken in;
 - what else lies behind the head was never finished, nor acknowledged: it is cut, and the cut is recorded.

Nothing is relied on between two appends, so several processes take turns, and a ledger that is moved away begins anew.

`Ledger` is for the event loop: it does all this in one thread of its own.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from hearth.core.ledger_record import (
    NOT_SENT,
    RECORD_BYTES_MAX,
    BadRecord,
    Bill,
    Chain,
    Cut,
    Head,
    Intent,
    Record,
    RecordFault,
    Result,
    What,
    decode,
    encode,
    hash_of,
)
from hearth.core.tally import Tally
from hearth.errors import HearthError, LedgerDamaged, LedgerError
from hearth.ledger_files import BODY_BYTES_MAX, LOG_BYTES_MAX, LedgerFolder, read_at, sync_data, write_all
from hearth.ledger_reading import Today

LOG = logging.getLogger(__name__)
WITHIN_S = 8.0
"""How long a caller waits for the disk; then nothing leaves."""
CLOSE_S = 5.0
WAITING_MAX = 1_000
DAMAGED_REMEDY = "See `hearth ledger verify`. To begin a new ledger, rename the folder {folder}."
UNWRITABLE_REMEDY = "Nothing is sent until it can: free some space, or look whether {folder} is writable."

Clock = Callable[[], datetime]
T = TypeVar("T")


def utc_now() -> datetime:
    """The clock on the wall."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Handle:
    """The proof that an intent is on the disk: its number, and the hash of the bytes that may now leave."""

    seq: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Admission:
    """A last look before an intent is written. `admit` runs in the ledger's thread: it touches nobody else's state."""

    since: float
    """Seconds since the epoch."""
    admit: Callable[[Tally], None]
    """With what the requests since then amount to. Raises HearthError to refuse."""


class LedgerLog:
    """The blocking part. Every method raises LedgerError if it could not do everything that it promises."""

    def __init__(self, folder: Path, clock: Clock = utc_now) -> None:
        self._folder = LedgerFolder(folder)
        self._clock = clock
        # By number, the log that it stands in, as device and inode: one that was moved away counts its own.
        self._open: dict[int, tuple[int, int]] = {}
        self._unpriced: dict[int, tuple[int, int]] = {}
        self.today = Today(folder)

    def intent(self, intent: Intent, body: bytes, admission: Admission | None = None) -> Handle:
        """Record what is about to leave, `body` exactly as it will; it is durable on return.

        `admission` looks at the last requests, of all processes, and refuses by raising a HearthError. No other can
        come in between: so a budget is kept by all of them together.
        """
        if len(body) > BODY_BYTES_MAX:
            raise LedgerError(f"A request of {len(body)} bytes is too large for the ledger.", "Attach less.")
        digest = hashlib.sha256(body).hexdigest()
        seq, place = self._append(replace(intent, size=len(body), sha256=digest), body, admission=admission)
        self._open[seq] = place
        return Handle(seq, digest)

    def result(self, result: Result) -> int:
        """Record what came of an intent of this object, once for each; its number. It is durable on return.

        If it fails, the same call may be made again.
        """
        if result.intent not in self._open:
            raise ValueError(f"record {result.intent} is no intent of this ledger that waits for a result")
        seq, place = self._append(result, b"", self._open[result.intent])
        del self._open[result.intent]
        if result.cost is None:
            self._unpriced[result.intent] = place
        return seq

    def bill(self, bill: Bill) -> int:
        """Record what an intent of this object cost after all, whose result did not know it; as `result`."""
        if bill.intent not in self._unpriced:
            raise ValueError(f"record {bill.intent} is no intent of this ledger that waits for a bill")
        seq, _ = self._append(bill, b"", self._unpriced[bill.intent])
        del self._unpriced[bill.intent]
        return seq

    def open(self) -> Head:
        """Make the ledger if there is none, and bring it in order as an append would. Where it ends."""
        with self._guarded(), self._ready() as (_, head):
            return head

    def _append(
        self,
        what: Intent | Result | Bill,
        body: bytes,
        known: tuple[int, int] | None = None,
        *,
        admission: Admission | None = None,
    ) -> tuple[int, tuple[int, int]]:
        """The record's number, and its log; `known`: in which it must be."""
        with self._guarded(), self._ready() as (log, head):
            stat = os.fstat(log)
            place = (stat.st_dev, stat.st_ino)
            if known is not None and place != known:
                raise LedgerError("The ledger was moved away meanwhile.")
            if admission is not None:
                self.today.look(admission.since, admission.admit)
            if body:
                self._folder.keep(hashlib.sha256(body).hexdigest(), body)
            return self._written(log, head, what).seq, place

    @contextlib.contextmanager
    def _guarded(self) -> Generator[None]:
        """Whatever the disk says becomes a LedgerError with a remedy."""
        folder = self._folder.path
        try:
            yield
        except LedgerError as error:
            if isinstance(error, LedgerDamaged) and not error.remedy:
                error.remedy = DAMAGED_REMEDY.format(folder=folder)
            raise
        except RecordFault as error:
            raise LedgerError(f"The ledger cannot record this: {error}.", "Attach less.") from error
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise LedgerError(
                f"The ledger cannot be written: {why}.", UNWRITABLE_REMEDY.format(folder=folder)
            ) from error

    @contextlib.contextmanager
    def _ready(self) -> Generator[tuple[int, Head]]:
        """The log and the head, in order, for as long as the lock is held."""
        self._folder.make()
        with self._folder.locked():
            head, log = self._folder.read_head(), self._folder.open_log(writing=True)
            if log is None:
                if (head is not None and head.seq) or self._folder.kept():
                    raise LedgerDamaged("The ledger's records are gone.")
                log = self._folder.new_log()
            try:
                yield log, self._recovered(log, head)
            finally:
                os.close(log)

    def _recovered(self, log: int, head: Head | None) -> Head:
        size = os.fstat(log).st_size
        if head is None:
            if size:
                raise LedgerDamaged("The ledger's head is gone.")
            # Nothing was ever acknowledged: the first append ended between log and head.
            head = Head()
            self._folder.sync()
            self._folder.write_head(head)
        if size < head.end:
            raise LedgerDamaged(f"The ledger's last records are missing: it ended with record {head.seq}.")
        last = read_at(log, head.start, min(head.end - head.start, RECORD_BYTES_MAX + 1))
        try:
            if head.seq and (decode(last, head.seq).seq != head.seq or hash_of(last) != head.hash):
                raise LedgerDamaged(f"Record {head.seq} of the ledger is another one than its head says.")
        except BadRecord as error:
            raise LedgerDamaged(f"Record {head.seq} of the ledger was changed: {error}.") from error
        return head if size == head.end else self._tail(log, head, size)

    def _tail(self, log: int, head: Head, size: int) -> Head:
        """What lies behind the head: a record to take in, or one to cut."""
        tail = read_at(log, head.end, min(size - head.end, RECORD_BYTES_MAX + 1))
        if len(tail) > RECORD_BYTES_MAX or b"\n" in tail[:-1]:
            raise LedgerDamaged(f"There is more behind record {head.seq} of the ledger than one end can leave.")
        chain = Chain(head.seq, head.hash, head.end, head.entries, AnyIntent(), AnyIntent())
        try:
            what = chain.feed(tail).what
            if isinstance(what, Intent) and what.size and self._folder.digest_of(what.sha256) != what.sha256:
                raise BadRecord(chain.seq, "its bytes are missing")
        except BadRecord as error:
            LOG.warning("ledger: %d bytes behind record %d are cut: %s", len(tail), head.seq, error)
            os.ftruncate(log, head.end)
            sync_data(log)
            return self._written(log, head, Cut(len(tail), hashlib.sha256(tail).hexdigest()))
        sync_data(log)
        taken = Head(chain.seq, chain.hash, head.end, chain.end, chain.entries)
        self._folder.write_head(taken)
        return taken

    def _written(self, log: int, head: Head, what: What) -> Head:
        """Append one record, durably; the new head."""
        line = encode(Record(head.seq + 1, head.hash, _text(self._clock()), what))
        end = head.end + len(line)
        if end > LOG_BYTES_MAX:
            raise LedgerError("The ledger is full.", f"Rename the folder {self._folder.path} to begin a new one.")
        new = Head(head.seq + 1, hash_of(line), head.end, end, head.entries + isinstance(what, Intent))
        try:
            write_all(log, line, head.end)
            sync_data(log)
            self._folder.write_head(new)
        except OSError:
            self._take_back(log, head)
            raise
        return new

    def _take_back(self, log: int, head: Head) -> None:
        """What is not acknowledged should not be there; if this fails, too, the next append takes it in or cuts it."""
        with contextlib.suppress(OSError, LedgerDamaged):
            # The head may have been replaced before the error: then log and head agree, and it stays.
            if self._folder.read_head() == head:
                os.ftruncate(log, head.end)


def _text(moment: datetime) -> str:
    """A time as it stands in records."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AnyIntent(set[int]):
    """Which intents are open is not known from the log's end alone."""

    def __contains__(self, _seq: object) -> bool:
        return True

    def remove(self, element: int) -> None:
        """Nothing to remember."""


class Ledger:
    """For the event loop: one thread, in which the appends of all callers follow one another."""

    def __init__(self, folder: Path, clock: Clock = utc_now) -> None:
        self.folder = folder
        self._log = LedgerLog(folder, clock)
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(WAITING_MAX)
        self._thread: threading.Thread | None = None
        self._closed = False

    async def intent(self, intent: Intent, body: bytes, admission: Admission | None = None) -> Handle:
        """As LedgerLog.intent. If the caller goes away meanwhile, or it takes too long, it is recorded as not sent."""
        gone = threading.Event()
        made: list[Handle] = []

        def write() -> Handle:
            if gone.is_set():
                raise LedgerError("Nobody waits for this any more.")
            made.append(self._log.intent(intent, body, admission))
            return made[0]

        def recant() -> None:
            if made:
                with contextlib.suppress(LedgerError):
                    self._log.result(Result(made[0].seq, NOT_SENT, "nobody waited for it any more"))

        try:
            return await self._done(write)
        except (HearthError, asyncio.CancelledError):
            # The thread may have written it all the same, or be about to: next it says that nothing left.
            gone.set()
            with contextlib.suppress(queue.Full):
                self._jobs.put_nowait(recant)
            raise

    async def result(self, result: Result) -> int:
        """As LedgerLog.result. It is recorded even if the caller goes away."""
        return await self._done(lambda: self._log.result(result))

    async def bill(self, bill: Bill) -> int:
        """As LedgerLog.bill."""
        return await self._done(lambda: self._log.bill(bill))

    async def look(self, since: float, ask: Callable[[Tally], T]) -> T:
        """What `ask` finds in what all processes have sent since a time (see Today.look); it runs in a thread."""
        return await asyncio.to_thread(self._log.today.look, since, ask)

    @property
    def records_read(self) -> int:
        """How many records were read for all these looks, those before sending included."""
        return self._log.today.records_read

    async def open(self) -> Head:
        """As LedgerLog.open."""
        return await self._done(self._log.open)

    async def aclose(self) -> None:
        """Write what is waiting, and end the thread."""
        if self._closed:
            return
        thread = self._thread
        if thread is not None:
            with contextlib.suppress(LedgerError, TimeoutError):
                await asyncio.wait_for(self._done(lambda: None), CLOSE_S)
        self._closed = True
        if thread is not None:
            with contextlib.suppress(queue.Full):
                self._jobs.put_nowait(None)

    async def _done(self, work: Callable[[], T]) -> T:
        """The result of `work`, done in the thread."""
        if self._closed:
            raise LedgerError("The ledger is closed.", "Nothing was sent.")
        if self._thread is None:
            # A daemon: a disk that hangs must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        try:
            self._jobs.put_nowait(lambda: _settle(loop, answer, work))
        except queue.Full:
            raise LedgerError("Too much waits for the ledger.", "Nothing was sent.") from None
        try:
            async with asyncio.timeout(WITHIN_S):
                return await answer
        except TimeoutError:
            raise LedgerError(
                "The disk with the ledger does not answer.", UNWRITABLE_REMEDY.format(folder=self.folder)
            ) from None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _settle(loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[T]", work: Callable[[], T]) -> None:
    """In the thread: do the work, and have the loop tell who waits for it, if somebody still does."""

    def tell(act: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(lambda: None if answer.done() else act())

    try:
        value = work()
    except (HearthError, ValueError) as error:
        tell(lambda kept=error: answer.set_exception(kept))
    except BaseException as error:
        # A fault of ours: who waits must not wait for ever, and the thread ends loudly.
        tell(lambda kept=error: answer.set_exception(kept))
        raise
    else:
        tell(lambda: answer.set_result(value))
