"""What the index knows of each file, in SQLite: its row is the commit marker, and everything else hangs on that row.

`replace` is one transaction: a file is wholly known as it was, or wholly as it is. Rows of one file lie together (their
keys begin with the file's number), so that a file is read, replaced and forgotten by ranges, and a bulk load appends.
A file keeps its number when it is replaced: what is asked for by name comes back in the same order as before.

What is found on disk is not trusted: the layout must be exactly ours, and what is read is checked for its types. Damage
raises ManifestCorrupt wherever it is met; the caller puts the file aside and reads the project again.
"""

import errno
import json
import os
import shutil
import sqlite3
import sys
import threading
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, cast
from zlib import crc32

from hearth.core.facts import Facts, Import, Symbol, SymbolKind
from hearth.errors import IndexAway, IndexCorrupt, IndexFault, IndexFull

APPLICATION_ID = 0x48524D46
SCHEMA_VERSION = 2
BUSY_S = 5.0
PAGE_CACHE_KB = 8_000
"""No memory map beside it: a mapped file that is cut short or lies on a full disk ends the process."""
CHECKPOINT_PAGES = 4_000
JOURNAL_BYTES_MAX = 32_000_000
AT_ONCE_MAX = 500
"""Keys in one question to the database."""
FILES_AT_ONCE = 1_000
"""Files whose rows are in memory together, where all files are gone through."""
ITEMS_PER_FILE_MAX = 1 << 20
"""Chunks, or symbols, of one file: the low bits of their keys."""
REFERENCE_COUNT_MAX = 0xFFFF
FREE_BYTES_MIN = 4_000_000
"""With less than that a failure to write is called a full disk, whatever the database says."""

_SHIFT = ITEMS_PER_FILE_MAX.bit_length() - 1
_SCHEMA = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE files(id INTEGER PRIMARY KEY, path TEXT NOT NULL, name TEXT NOT NULL, folder TEXT NOT NULL,"
    " digest BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, language TEXT NOT NULL)",
    "CREATE UNIQUE INDEX files_path ON files(path)",
    "CREATE INDEX files_name ON files(name)",
    "CREATE INDEX files_folder ON files(folder)",
    "CREATE TABLE facts(file INTEGER PRIMARY KEY, imports TEXT NOT NULL, names BLOB NOT NULL, counts BLOB NOT NULL)",
    "CREATE TABLE chunks(key INTEGER PRIMARY KEY, uid INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,"
    " text TEXT NOT NULL, symbol TEXT NOT NULL)",
    "CREATE UNIQUE INDEX chunks_uid ON chunks(uid)",
    "CREATE TABLE symbols(key INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, container TEXT NOT NULL,"
    " start INTEGER NOT NULL, end INTEGER NOT NULL, signature TEXT NOT NULL)",
    "CREATE INDEX symbols_name ON symbols(name)",
)
_PARTS = (("facts", "file", 0), ("chunks", "key", _SHIFT), ("symbols", "key", _SHIFT))
_CLEAN = "clean"
"""The meta row that says whether the last one who wrote also closed the database."""

_FILE = "path, digest, size, mtime_ns, language"
_SYMBOL = "symbols.name, kind, container, start, end, signature"
_FILE_TYPES = (str, bytes, int, int, str)
_CHUNK_TYPES = (int, str, int, int, str, str)
_SYMBOL_TYPES = (str, str, str, int, int, str)
_REMEDY = "Nothing to do: the project is read again."


class ManifestCorrupt(IndexCorrupt):
    """Not a database of ours, or a damaged one."""


class ManifestOutdated(ManifestCorrupt):
    """A sound database of another version of Hearth."""


class ManifestFull(IndexFull):
    """No room on the disk: the transaction was rolled back, what was committed before can be read."""


class ManifestAway(IndexAway):
    """Locked by somebody else, or not to be read or written for now."""


class FileEntry(NamedTuple):
    """A file to be known. `path`: relative to the folder, with "/". `uids`: one for each of `facts.chunks`."""

    path: str
    digest: bytes
    size: int
    mtime_ns: int
    language: str
    facts: Facts
    uids: tuple[int, ...]


class FileRow(NamedTuple):
    """A file that is known."""

    path: str
    digest: bytes
    size: int
    mtime_ns: int
    language: str


class ChunkRow(NamedTuple):
    """A chunk with the file it is in; lines 0-based, `end` exclusive."""

    uid: int
    path: str
    start: int
    end: int
    text: str
    symbol: str


class Manifest:
    """One folder's manifest. Threads may share it: their calls take turns. Every method may raise an IndexFault."""

    def __init__(self, path: Path) -> None:
        """Open or create it. Read through as a whole (`quick_check`) only if it was not closed after the last write.

        A database that was closed is looked at where that costs nothing (format, version, layout); damage elsewhere in
        it is met, and raised, when it is read.
        """
        self._path = path
        self._lock = threading.RLock()
        self._marked = False
        self._base = _connected(path)
        try:
            with self._guarded():
                self._prepare()
        except IndexFault:
            self._base.close()
            raise

    def replace(self, files: Sequence[FileEntry]) -> None:
        """Forget what was known of these paths and keep this instead, all or nothing: files of at most ~50 at once.

        A uid that another file has goes to the newer one. ValueError if uids and chunks do not match.
        """
        latest = {entry.path: entry for entry in files}
        for entry in latest.values():
            if len(entry.uids) != len(entry.facts.chunks) or len(set(entry.uids)) != len(entry.uids):
                raise ValueError(f"{entry.path}: each chunk needs a uid of its own")
            if max(len(entry.uids), len(entry.facts.symbols)) >= ITEMS_PER_FILE_MAX:
                raise ValueError(f"{entry.path}: more than {ITEMS_PER_FILE_MAX} chunks or symbols")
        with self._transaction() as base:
            bases = [(self._kept(entry), entry) for entry in latest.values()]
            base.executemany(
                "INSERT INTO facts VALUES (?, ?, ?, ?)",
                [(n, _packed_imports(e.facts.imports), *_packed_references(e.facts)) for n, e in bases],
            )
            base.executemany(
                "INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)",
                [
                    ((n << _SHIFT) + k, uid, c.start, c.end, c.text, c.symbol)
                    for n, e in bases
                    for k, (uid, c) in enumerate(zip(e.uids, e.facts.chunks, strict=True))
                ],
            )
            base.executemany(
                "INSERT INTO symbols VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    ((n << _SHIFT) + k, s.name, s.kind, s.container, s.start, s.end, s.signature)
                    for n, e in bases
                    for k, s in enumerate(e.facts.symbols)
                ],
            )

    def touch(self, files: Iterable[tuple[str, int, int]]) -> None:
        """These files (path, size, mtime_ns) are as they were, but for their times."""
        if some := [(size, mtime_ns, path) for path, size, mtime_ns in files]:
            with self._transaction() as base:
                base.executemany("UPDATE files SET size = ?, mtime_ns = ? WHERE path = ?", some)

    def remove(self, paths: Iterable[str]) -> None:
        """Forget these files, all or none; unknown paths are no trouble."""
        with self._transaction() as base:
            for path in paths:
                if (number := self._forget(path)) is not None:
                    base.execute("DELETE FROM files WHERE id = ?", (number,))

    def file(self, path: str) -> FileRow | None:
        """What is known of one file."""
        rows = self._rows(_FILE_TYPES, f"SELECT {_FILE} FROM files WHERE path = ?", (path,))
        return FileRow(*rows[0]) if rows else None

    def files(self) -> list[FileRow]:
        """Every known file, by path."""
        return [FileRow(*row) for row in self._rows(_FILE_TYPES, f"SELECT {_FILE} FROM files ORDER BY path")]

    def paths_named(self, basename: str) -> list[str]:
        """Paths of the files with exactly this name (the last part of the path), in order."""
        return [
            path for (path,) in self._rows((str,), "SELECT path FROM files WHERE name = ? ORDER BY path", (basename,))
        ]

    def paths_in(self, folder_name: str) -> list[str]:
        """Paths of the files right in folders of exactly this name, in order."""
        rows = self._rows((str,), "SELECT path FROM files WHERE folder = ? ORDER BY path", (folder_name,))
        return [path for (path,) in rows]

    def paths_under(self, folder: str) -> list[str]:
        """Paths of the files below a folder, at any depth, in order."""
        rows = self._rows(
            (str,), "SELECT path FROM files WHERE path > ? AND path < ? ORDER BY path", (f"{folder}/", f"{folder}0")
        )
        return [path for (path,) in rows]

    def uids_of(self, paths: Iterable[str]) -> set[int]:
        """The uids of these files' chunks."""
        found: set[int] = set()
        with self._guarded():
            for path in paths:
                if (number := self._number(path)) is not None:
                    found.update(uid for (uid,) in self._range((int,), "uid", "chunks", number))
        return found

    def all_uids(self) -> set[int]:
        """The uids of all chunks."""
        return {uid for (uid,) in self._rows((int,), "SELECT uid FROM chunks INDEXED BY chunks_uid")}

    def chunks(self, uids: Iterable[int]) -> dict[int, ChunkRow]:
        """Those of these chunks that are known."""
        wanted = list(uids)
        found: dict[int, ChunkRow] = {}
        for at in range(0, len(wanted), AT_ONCE_MAX):
            some = wanted[at : at + AT_ONCE_MAX]
            rows = self._rows(
                _CHUNK_TYPES,
                "SELECT uid, path, start, end, text, symbol FROM chunks"
                f" JOIN files ON files.id = chunks.key >> {_SHIFT} WHERE uid IN ({_marks(some)})",
                some,
            )
            found.update((row[0], ChunkRow(*row)) for row in rows)
        return found

    def chunks_in(self, path: str) -> list[ChunkRow]:
        """The chunks of one file, in its order."""
        with self._guarded():
            number = self._number(path)
            rows = (
                []
                if number is None
                else self._range((int, int, int, str, str), "uid, start, end, text, symbol", "chunks", number)
            )
        return [ChunkRow(uid, path, *rest) for uid, *rest in rows]

    def symbols_in(self, path: str) -> list[Symbol]:
        """The definitions of one file, in its order."""
        with self._guarded():
            number = self._number(path)
            rows = [] if number is None else self._range(_SYMBOL_TYPES, _SYMBOL, "symbols", number)
        return [_symbol(row) for row in rows]

    def definitions(self, names: Iterable[str], per_name_max: int) -> dict[str, list[tuple[str, Symbol]]]:
        """Name -> (path, definition), for the names that have any; in an order that edits do not change."""
        found: dict[str, list[tuple[str, Symbol]]] = {}
        for name in dict.fromkeys(names):
            rows = self._rows(
                (str, *_SYMBOL_TYPES),
                f"SELECT path, {_SYMBOL} FROM symbols JOIN files ON files.id = symbols.key >> {_SHIFT}"
                " WHERE symbols.name = ? ORDER BY symbols.key LIMIT ?",
                (name, per_name_max),
            )
            if rows:
                found[name] = [(path, _symbol(row)) for path, *row in rows]
        return found

    def imports_in(self, path: str) -> list[Import]:
        """The imports of one file, in its order."""
        with self._guarded():
            rows = self._rows((str,), "SELECT imports FROM facts JOIN files ON id = file WHERE path = ?", (path,))
            return _imports(rows[0][0]) if rows else []

    def all_imports(self) -> Iterator[tuple[str, list[Import]]]:
        """(path, imports) of every file that has any."""
        for path, packed in self._through((str,), "imports", "imports <> '[]'"):
            with self._guarded():
                found = _imports(packed)
            yield path, found

    def references_of(self, name: str) -> list[tuple[str, int]]:
        """(path, how often) of the files that use this name, most often first; one with the same crc32 counts too."""
        wanted = crc32(name.encode("utf-8", "surrogatepass"))
        needle = wanted.to_bytes(4, "little").hex()
        found: list[tuple[str, int]] = []
        for path, names, counts in self._through((bytes, bytes), "names, counts", f"instr(names, x'{needle}') > 0"):
            with self._guarded():
                count = dict(zip(*_references(names, counts), strict=True)).get(wanted, 0)
            if count:
                found.append((path, count))
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def reference_table(self) -> "Iterator[tuple[str, array[int], array[int]]]":
        """For every file that uses any name: its path, the names' crc32 (ascending, each once), and how often each."""
        for path, names, counts in self._through((bytes, bytes), "names, counts", "length(names) > 0"):
            with self._guarded():
                found = _references(names, counts)
            yield path, *found

    def definition_table(self) -> Iterator[tuple[str, list[tuple[str, SymbolKind]]]]:
        """For every file that defines anything: its path, and (name, kind) of its definitions in order."""
        last = -1
        while True:
            with self._guarded():
                files = self._rows(
                    (int, str), "SELECT id, path FROM files WHERE id > ? ORDER BY id LIMIT ?", (last, FILES_AT_ONCE)
                )
                found = [(path, self._range((str, str), "name, kind", "symbols", number)) for number, path in files]
            if not files:
                return
            last = files[-1][0]
            for path, rows in found:
                if rows:
                    yield path, [(name, cast(SymbolKind, kind)) for name, kind in rows]

    def counts(self) -> dict[str, int]:
        """How many `files`, `chunks` and `symbols` are known."""
        with self._guarded():
            return {
                table: self._base.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("files", "chunks", "symbols")
            }

    def get_meta(self, key: str) -> str | None:
        """A text kept under `key`, None if there is none."""
        rows = self._rows((str,), "SELECT value FROM meta WHERE key = ?", (f"of {key}",))
        return rows[0][0] if rows else None

    def set_meta(self, key: str, text: str) -> None:
        """Keep a text under `key`."""
        with self._transaction() as base:
            base.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"of {key}", text))

    def close(self) -> None:
        """Close the database and say in it that it was closed; never raises."""
        with self._lock:
            with suppress(IndexFault):
                if self._marked:
                    with self._transaction() as base:
                        base.execute("INSERT OR REPLACE INTO meta VALUES (?, '1')", (_CLEAN,))
            with suppress(sqlite3.Error):
                self._base.close()

    # The database

    def _prepare(self) -> None:
        """Vet what is there, or make what is not."""
        base = self._base
        for pragma in (
            "trusted_schema = OFF", "cell_size_check = ON", f"cache_size = -{PAGE_CACHE_KB}", "mmap_size = 0",
            "temp_store = MEMORY",
        ):  # fmt: skip
            base.execute(f"PRAGMA {pragma}")
        if not self._vetted():
            base.execute("PRAGMA journal_mode = WAL")
            with self._transaction(mark=False):
                if not self._vetted():
                    for statement in _SCHEMA:
                        base.execute(statement)
                    base.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    base.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        base.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")

    def _vetted(self) -> bool:
        """False for a new database. Raises ManifestCorrupt if it is not a sound one of ours."""
        base = self._base
        ours = base.execute("PRAGMA application_id").fetchone()[0]
        version = base.execute("PRAGMA user_version").fetchone()[0]
        layout = base.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        if not ours and not version and not layout:
            return False
        if ours == APPLICATION_ID and version != SCHEMA_VERSION:
            raise ManifestOutdated("The index was made by another version of Hearth.", _REMEDY)
        if ours != APPLICATION_ID or {sql for (sql,) in layout} != set(_SCHEMA):
            raise ManifestCorrupt(f"{self._path} is not an index of Hearth's.", _REMEDY)
        clean = base.execute("SELECT value FROM meta WHERE key = ?", (_CLEAN,)).fetchone()
        if clean and clean[0] != "1":
            faults = base.execute("PRAGMA quick_check(1)").fetchall()
            if faults != [("ok",)]:
                raise ManifestCorrupt(f"The index is damaged ({faults[0][0]}).", _REMEDY)
        return True

    @contextmanager
    def _transaction(self, *, mark: bool = True) -> Generator[sqlite3.Connection]:
        with self._guarded():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                if mark and not self._marked:
                    self._base.execute("INSERT OR REPLACE INTO meta VALUES (?, '0')", (_CLEAN,))
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                # After some errors SQLite has rolled back by itself.
                if self._base.in_transaction:
                    with suppress(sqlite3.Error):
                        self._base.execute("ROLLBACK")
                raise
            self._marked = self._marked or mark

    @contextmanager
    def _guarded(self) -> Generator[None]:
        """Take turns; name what goes wrong."""
        with self._lock:
            try:
                yield
            except (sqlite3.Error, json.JSONDecodeError, UnicodeDecodeError, _Garbled) as error:
                raise _named(error, self._path) from error

    def _rows(self, types: tuple[type, ...], statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._guarded():
            rows = self._base.execute(statement, values).fetchall()
            for row in rows:
                if tuple(map(type, row)) != types:
                    raise _Garbled("a value of another type")
            return rows

    def _range(self, types: tuple[type, ...], columns: str, table: str, number: int) -> list[Any]:
        """One file's rows of chunks or symbols, in order."""
        low = number << _SHIFT
        where = f"SELECT {columns} FROM {table} WHERE key BETWEEN ? AND ? ORDER BY key"
        return self._rows(types, where, (low, low + ITEMS_PER_FILE_MAX - 1))

    def _through(self, types: tuple[type, ...], columns: str, condition: str) -> Iterator[Any]:
        """(path, columns of facts) of the files for which it holds, some at a time: others may write meanwhile."""
        last = -1
        while True:
            rows = self._rows(
                (int, str, *types),
                f"SELECT file, path, {columns} FROM facts JOIN files ON id = file"
                f" WHERE file > ? AND {condition} ORDER BY file LIMIT ?",
                (last, FILES_AT_ONCE),
            )
            if not rows:
                return
            last = rows[-1][0]
            for row in rows:
                yield row[1:]

    def _number(self, path: str) -> int | None:
        rows = self._rows((int,), "SELECT id FROM files WHERE path = ?", (path,))
        return rows[0][0] if rows else None

    def _kept(self, entry: FileEntry) -> int:
        """Write a file's own row, forget the rest; its number. Within a transaction."""
        number = self._forget(entry.path)
        folders, _, name = entry.path.rpartition("/")
        done = self._base.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                entry.path,
                name,
                folders.rpartition("/")[2],
                entry.digest,
                entry.size,
                entry.mtime_ns,
                entry.language,
            ),
        )
        return cast(int, done.lastrowid) if number is None else number

    def _forget(self, path: str) -> int | None:
        """Delete everything of a file but its own row; its number. Within a transaction."""
        number = self._number(path)
        if number is not None:
            for table, key, shift in _PARTS:
                low = number << shift
                self._base.execute(f"DELETE FROM {table} WHERE {key} BETWEEN ? AND ?", (low, low + (1 << shift) - 1))
        return number


class _Garbled(ValueError):
    """A row that we would not have written."""


def _connected(path: Path) -> sqlite3.Connection:
    """A connection to an existing plain file, readable by the user alone; it is created empty if there is none."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise ManifestCorrupt(f"{path} is not a plain file.", _REMEDY)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)  # what SQLite puts beside it gets the same mode
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
    except (OSError, sqlite3.Error) as error:
        raise _named(error, path) from error


def _named(error: Exception, path: Path) -> IndexFault:
    """What an error of the database or the file system means to the caller."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    code = None if code is None else code & 0xFF
    if (
        code == sqlite3.SQLITE_FULL
        or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        or (code == sqlite3.SQLITE_IOERR and _short_of_room(path))
    ):
        return ManifestFull("The disk is full, so the index is not kept up to date.", "Free some space.")
    # A damaged header looks like a file that must not be written.
    readonly = code == sqlite3.SQLITE_READONLY and not os.access(path, os.W_OK)
    if isinstance(error, OSError | sqlite3.ProgrammingError) or readonly or code in _PASSING_CODES:
        return ManifestAway(
            f"The index cannot be used for now ({error or type(error).__name__}).",
            f"Look whether {path.parent} can be written to.",
        )
    return ManifestCorrupt(f"The index is damaged ({error or type(error).__name__}).", _REMEDY)


_PASSING_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT,
    }
)  # fmt: skip


def _short_of_room(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < FREE_BYTES_MIN
    except OSError:
        return False


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _symbol(row: Sequence[Any]) -> Symbol:
    return Symbol(*row)


def _packed_imports(imports: Iterable[Import]) -> str:
    return json.dumps([(i.module, i.line, i.names, i.alias) for i in imports], separators=(",", ":"))


def _imports(packed: str) -> list[Import]:
    """Raises ValueError (JSON) or _Garbled."""
    try:
        found: list[Any] = json.loads(packed)
        made = [
            Import(str(module), int(line), tuple((str(name), str(here)) for name, here in names), str(alias))
            for module, line, names, alias in found
        ]
    except (TypeError, ValueError, RecursionError) as error:
        raise _Garbled("imports that are none") from error
    return made


def _packed_references(facts: Facts) -> tuple[bytes, bytes]:
    """Two arrays, little-endian: crc32 of each name, ascending; how often it is used."""
    totals: dict[int, int] = {}
    for name, count in facts.references.items():
        key = crc32(name.encode("utf-8", "surrogatepass"))
        totals[key] = totals.get(key, 0) + count
    names = array("I", sorted(totals))
    counts = array("H", [min(totals[key], REFERENCE_COUNT_MAX) for key in names])
    return _little(names).tobytes(), _little(counts).tobytes()


def _references(names: bytes, counts: bytes) -> "tuple[array[int], array[int]]":
    """As they were packed. Raises _Garbled."""
    if len(names) % 4 or len(names) != 2 * len(counts):
        raise _Garbled("references that are none")
    keys, values = array("I"), array("H")
    keys.frombytes(names)
    values.frombytes(counts)
    return _little(keys), _little(values)


def _little(values: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        values.byteswap()
    return values
