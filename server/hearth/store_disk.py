"""Small JSON records that outlive the process: diskcache in a thread of its own, which nobody waits for.

`Shelf.put` hands a record to the thread and returns; `Shelf.load` asks the thread and gives up in time. Whatever goes
wrong there (no space, a corrupt or foreign file, a lock that is never released) is named once and costs only the
records: the caller gets fewer of them, never an error.

What is found in the folder is not trusted. diskcache can unpickle what it reads and open the files that its rows name,
so the Disk here does neither, rows that would need it are deleted before the first read, and each value carries a
checksum of its key and content. A database that is damaged or was not made here is put aside and begun anew.
"""

import asyncio
import errno
import hashlib
import json
import logging
import os
import queue
import shutil
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import diskcache  # pyright: ignore[reportMissingTypeStubs]

from hearth.errors import HearthError

LOG = logging.getLogger(__name__)
BYTES_MAX = 64_000_000
RECORDS_MAX = 20_000
RECORD_BYTES_MAX = 400_000
AGE_MAX_S = 30 * 24 * 3600.0
QUEUE_MAX = 256
"""Records waiting to be written; a further one is dropped."""
BATCH_MAX = 32
LOAD_S = 2.0
LOCK_S = 1
CLOSE_S = 2.0
ATTEMPTS = 2
AGAIN_S = 60.0
"""After trouble the disk is left alone for so long."""
ASIDE_MAX = 2
NAMES_MAX = 256
COUNTED_EVERY = 200
CULLED_AT_ONCE = 100
CHECKSUM_BYTES = 16
SEAL_BYTES = CHECKSUM_BYTES + 8
FREE_BYTES_MIN = 4_000_000
"""With less than that a failure to write is called a full disk, whatever the database says."""
FILE_NAME = "cache.db"

_SETTINGS: dict[str, Any] = {
    "size_limit": BYTES_MAX,
    "eviction_policy": "least-recently-stored",
    "disk_min_file_size": RECORD_BYTES_MAX * 4,  # nothing is ever kept in a file of its own
    "sqlite_mmap_size": 0,  # a mapped file that shrinks or lies on a full disk ends the process
    "sqlite_cache_size": 1_024,
    "statistics": 0,
    "tag_index": 0,
}
_OBJECTS = frozenset(
    {
        ("table", "Settings"), ("table", "Cache"), ("index", "Cache_key_raw"), ("index", "Cache_expire_time"),
        ("index", "Cache_store_time"), ("index", "sqlite_autoindex_Settings_1"), ("trigger", "Settings_count_insert"),
        ("trigger", "Settings_count_delete"), ("trigger", "Settings_size_insert"), ("trigger", "Settings_size_update"),
        ("trigger", "Settings_size_delete"),
    }
)  # fmt: skip
_MODE_RAW = 1


class NotOurs(ValueError):
    """A row that only unpickling or another file could make a value of, or a database with a foreign layout."""


class PlainDisk(diskcache.Disk):
    """Text keys and byte values in the database itself; everything else is refused, and no file is ever touched."""

    def __init__(self, directory: str, min_file_size: int = 0, pickle_protocol: int = 0, **_planted: Any) -> None:
        super().__init__(directory, min_file_size, pickle_protocol)

    def put(self, key: Any) -> Any:
        """A key as the database holds it."""
        if type(key) is not str:
            raise NotOurs("a key that is not text")
        return key, True

    def get(self, key: Any, raw: Any) -> Any:
        """A key from the database."""
        if not raw or type(key) is not str:
            raise NotOurs("a pickled key")
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> Any:
        """A value as the database holds it."""
        if read or type(value) is not bytes or len(value) > RECORD_BYTES_MAX:
            raise NotOurs("a value that is not a small piece of bytes")
        return 0, _MODE_RAW, None, value

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> bytes:
        """A value from the database."""
        if mode != _MODE_RAW or filename is not None or read or not isinstance(value, bytes):
            raise NotOurs("a pickled value, or one in a file")
        return value

    def filename(self, key: Any = None, value: Any = None) -> tuple[str, str]:
        """A new file's name: never, see `store`."""
        raise NotOurs("nothing is kept in files")

    def remove(self, file_path: Any) -> None:
        """Called with the file name of a row that goes: it is not ours, so it stays where it is."""


_TROUBLE = (sqlite3.Error, diskcache.Timeout, OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""What a damaged database makes sqlite3 and diskcache raise: its settings become attributes and arguments there."""


@dataclass(slots=True)
class _Job:
    """One thing for the thread to do. `done` is set when it was, or was given up."""

    kind: Literal["put", "load", "sync", "close"]
    name: str = ""
    data: bytes = b""
    slots: int = 1
    answer: asyncio.Future[Any] | None = None
    found: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class Shelf:
    """See the module docstring. `tell` hears of trouble on the event loop, once for each kind."""

    def __init__(self, folder: Path, tell: Callable[[HearthError], None] = lambda _error: None) -> None:
        self.problem = ""
        self.dropped = 0
        self._store = _Store(folder)
        self._tell = tell
        self._told: set[str] = set()
        self._jobs: queue.Queue[_Job] = queue.Queue(QUEUE_MAX)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to open the store, in the background. Called in the running loop."""
        self._loop = asyncio.get_running_loop()
        # A daemon: a disk that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def put(self, name: str, record: Mapping[str, Any], slots: int = 1) -> bool:
        """Have a record written; of those under `name` the last `slots` are kept. False if it was dropped."""
        data = json.dumps(record, separators=(",", ":")).encode("ascii")
        if len(data) > RECORD_BYTES_MAX - SEAL_BYTES:
            return False
        return self._submit(_Job("put", name, data, slots))

    async def load(self, name: str, slots: int = 1) -> list[dict[str, Any]]:
        """The records under `name`, oldest first; none after LOAD_S or on any trouble."""
        return (await self._ask(_Job("load", name, slots=slots), LOAD_S)) or []

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything that was put before is written; False if it was not, or not in time."""
        return bool(await self._ask(_Job("sync"), timeout_s))

    async def aclose(self) -> None:
        """Write what is waiting, and close."""
        if not self._closed:
            await self._ask(_Job("close"), CLOSE_S)
            self._closed = True

    async def _ask(self, job: _Job, timeout_s: float) -> Any:
        """The thread's answer to `job`; None if it does not come in time."""
        job.answer = asyncio.get_running_loop().create_future()
        if not self._submit(job):
            return None
        try:
            async with asyncio.timeout(timeout_s):
                return await job.answer
        except TimeoutError:
            return None

    def _submit(self, job: _Job) -> bool:
        if self._thread is None or self._closed:
            return False
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.dropped += 1
            return False
        return True

    def _work(self) -> None:
        """The thread: take jobs, as many as there are, and do them in one transaction."""
        self._guarded(self._store.open)
        whole = True  # whether everything since the last answer was written
        while True:
            jobs = [self._jobs.get()]
            with suppress(queue.Empty):
                while len(jobs) < BATCH_MAX:
                    jobs.append(self._jobs.get_nowait())
            if writes := [job for job in jobs if job.kind == "put"]:
                whole = self._guarded(partial(self._store.write, writes)) and whole
            for job in jobs:
                if job.kind == "load":
                    self._guarded(partial(self._store.read, job))
                    self._answer(job, job.found)
                elif job.kind == "sync":
                    self._answer(job, whole)
                    whole = True
                elif job.kind == "close":
                    self._guarded(self._store.close)
                    self._answer(job, whole)
                    return

    def _guarded(self, work: Callable[[], None]) -> bool:
        """Do it; on trouble say so, and try again in a new store or leave it alone for a while. Whether it was done."""
        for _ in range(ATTEMPTS):
            if not self._store.usable():
                return False
            try:
                work()
            except _TROUBLE as error:
                LOG.warning("store: %s: %s", type(error).__name__, error)
                self._trouble(self._store.failed(error))
            else:
                self.problem = ""
                return True
        return False

    def _trouble(self, error: HearthError) -> None:
        self.problem = error.message
        if error.message not in self._told and self._loop:
            self._told.add(error.message)
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._tell, error)

    def _answer(self, job: _Job, value: Any) -> None:
        if job.answer and self._loop:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_settle, job.answer, value)


class _Store:
    """The database; used by one thread only. Every method may raise _TROUBLE but `failed` and `usable`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cache: Any = None
        self._again_at = 0.0
        self._next: OrderedDict[str, int] = OrderedDict()  # by name: the number of its next record
        self._written = 0

    def usable(self) -> bool:
        """Whether it is worth trying."""
        return time.monotonic() >= self._again_at

    def open(self) -> None:
        """Open the database, a new one if what is there is damaged or foreign."""
        if self._cache is not None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        path = self._folder / FILE_NAME
        if path.exists() or path.is_symlink():
            try:
                _vet(path)
                self._cache = self._opened()
                return
            except _TROUBLE as error:
                if self._passing(error):
                    raise
                LOG.warning("store: %s: %s", type(error).__name__, error)
                self._put_aside()
        self._cache = self._opened()

    def write(self, jobs: list[_Job]) -> None:
        """Add records, all or none."""
        if not jobs:
            return
        self.open()
        with self._cache.transact():
            for job in jobs:
                number = self._number(job.name, job.slots)
                key = _key(job.name, number % job.slots)
                self._cache.set(key, _sealed(key, number, job.data), expire=AGE_MAX_S)
                self._next[job.name] = number + 1
        self._written += len(jobs)
        if self._written >= COUNTED_EVERY:
            self._written = 0
            self._cull()

    def read(self, job: _Job) -> None:
        """Fill in `job.found`."""
        self.open()
        found = self._records(job.name, job.slots)
        job.found = [record for _, record in sorted(found, key=lambda pair: pair[0])]
        self._keep_number(job.name, max((number + 1 for number, _ in found), default=0))

    def failed(self, error: BaseException) -> HearthError:
        """Recover from `error` as far as that goes; what to tell the user."""
        with suppress(*_TROUBLE):
            self.close()
        self._cache = None
        self._next.clear()
        if not self._passing(error):
            with suppress(OSError):
                self._put_aside()
                return HearthError("The stored suggestions were damaged and have been put aside.", "Nothing to do.")
        self._again_at = time.monotonic() + AGAIN_S
        if self._full(error):
            return HearthError(
                f"The disk is full, so suggestions are not kept in {self._folder}.",
                "Free some space; until then they live in memory only.",
            )
        return HearthError(
            f"Suggestions cannot be kept in {self._folder} ({error or type(error).__name__}).",
            "Look whether the folder can be written to; until then they live in memory only.",
        )

    def close(self) -> None:
        """Close the database."""
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def _passing(self, error: BaseException) -> bool:
        """Whether it may work again later with the files as they are: a lock, no space, no rights."""
        if isinstance(error, diskcache.Timeout | OSError):
            return True
        code = _code(error)
        if code == sqlite3.SQLITE_READONLY:
            # A damaged header looks like this, too.
            return not os.access(self._folder / FILE_NAME, os.W_OK)
        return code in _PASSING_CODES

    def _full(self, error: BaseException) -> bool:
        if _code(error) == sqlite3.SQLITE_FULL or getattr(error, "errno", None) == errno.ENOSPC:
            return True
        try:
            return shutil.disk_usage(self._folder).free < FREE_BYTES_MIN
        except OSError:
            return False

    def _opened(self) -> Any:
        return diskcache.Cache(str(self._folder), timeout=LOCK_S, disk=PlainDisk, **_SETTINGS)

    def _records(self, name: str, slots: int) -> list[tuple[int, dict[str, Any]]]:
        found: list[tuple[int, dict[str, Any]]] = []
        for slot in range(slots):
            key = _key(name, slot)
            value = self._cache.get(key)
            if value is None:
                continue
            opened = _unsealed(key, value)
            if opened is None:
                self._cache.delete(key)
            else:
                found.append(opened)
        return found

    def _number(self, name: str, slots: int) -> int:
        if name not in self._next:
            found = self._records(name, slots)
            self._keep_number(name, max((number + 1 for number, _ in found), default=0))
        self._next.move_to_end(name)
        return self._next[name]

    def _keep_number(self, name: str, number: int) -> None:
        self._next[name] = number
        self._next.move_to_end(name)
        while len(self._next) > NAMES_MAX:
            self._next.popitem(last=False)

    def _cull(self) -> None:
        """diskcache bounds bytes and age; the number of records is bounded here."""
        excess = min(len(self._cache) - RECORDS_MAX, CULLED_AT_ONCE + COUNTED_EVERY)
        for _ in range(excess):
            key, _value = self._cache.peekitem(last=False)
            self._cache.delete(key)

    def _put_aside(self) -> None:
        """Rename the folder; only the last few such are kept."""
        aside = [self._folder.with_name(f"{self._folder.name}.corrupt-{n}") for n in range(1, ASIDE_MAX + 1)]
        taken = [path for path in aside if path.exists()]
        target = next((path for path in aside if path not in taken), None)
        if target is None:
            target = min(taken, key=lambda path: path.stat().st_mtime)
            shutil.rmtree(target)
        self._folder.rename(target)
        os.utime(target)
        self._folder.mkdir(mode=0o700)


def _vet(path: Path) -> None:
    """Raise _TROUBLE unless this is a sound database of ours; rows that we would not have written are deleted."""
    if path.is_symlink() or not path.is_file():
        raise NotOurs(f"{path} is not a plain file")
    with closing(sqlite3.connect(path, timeout=LOCK_S, isolation_level=None)) as base:
        base.execute("PRAGMA trusted_schema = OFF")
        base.execute("PRAGMA cell_size_check = ON")
        result = base.execute("PRAGMA integrity_check(1)").fetchall()
        if result != [("ok",)]:
            raise NotOurs(f"the database is damaged: {result[:1]}")
        objects = set(base.execute("SELECT type, name FROM sqlite_master").fetchall())
        if not objects <= _OBJECTS:
            raise NotOurs(f"the database has {sorted(objects - _OBJECTS)[:3]}")
        if ("table", "Settings") in objects:
            known = {*diskcache.DEFAULT_SETTINGS, "count", "size", "hits", "misses"}
            settings = {key for (key,) in base.execute("SELECT key FROM Settings").fetchall()}
            if not settings <= known:
                raise NotOurs("the database has settings that are not ours")
        if ("table", "Cache") in objects:
            base.execute(
                "DELETE FROM Cache WHERE raw IS NOT 1 OR mode IS NOT 1 OR filename IS NOT NULL"
                " OR typeof(key) <> 'text' OR typeof(value) <> 'blob' OR length(value) > ?",
                (RECORD_BYTES_MAX,),
            )


_PASSING_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL,
    }
)  # fmt: skip


def _code(error: BaseException) -> int | None:
    """SQLite's primary result code, if `error` has one."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _key(name: str, slot: int) -> str:
    return f"{name}/{slot}"


def _sealed(key: str, number: int, data: bytes) -> bytes:
    body = number.to_bytes(8, "big") + data
    return _checksum(key, body) + body


def _unsealed(key: str, value: bytes) -> tuple[int, dict[str, Any]] | None:
    """(number, record) if the value is exactly what was stored under `key`."""
    checksum, body = value[:CHECKSUM_BYTES], value[CHECKSUM_BYTES:]
    if checksum != _checksum(key, body):
        return None
    try:
        record: object = json.loads(body[8:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    return int.from_bytes(body[:8], "big"), cast(dict[str, Any], record)


def _checksum(key: str, body: bytes) -> bytes:
    return hashlib.blake2b(key.encode() + b"\0" + body, digest_size=CHECKSUM_BYTES).digest()


def _settle(answer: asyncio.Future[Any], value: Any) -> None:
    if not answer.done():
        answer.set_result(value)
