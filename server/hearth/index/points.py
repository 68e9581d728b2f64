"""Vectors by number: what finds the chunks that are like a query. Texts, paths and lines live in the manifest.

`EdgePoints` keeps them in a folder, in this process: for the index process only, because native code can end a process
(SIGBUS on a full disk, abort on a damaged file), and because every call holds the interpreter while it runs.
`points_server.ServerPoints` keeps them on a Qdrant server that several people share.

Scores are an order within one answer, nothing more: they differ between the two by up to 0.08.
"""

import ctypes
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hearth.core.facts import Sparse
from hearth.errors import IndexAway, IndexCorrupt, IndexFault, IndexFull
from hearth.index.seal import digest_of

if TYPE_CHECKING:
    import qdrant_edge
else:
    try:
        import qdrant_edge
    except ImportError:  # no wheel for this machine (Windows on Arm), or a system library too old for it
        qdrant_edge = None

EDGE_AVAILABLE = bool(sys.modules.get("qdrant_edge"))
UID_MAX = 2**63 - 1
BATCH_MAX = 200
"""Points in one call, which holds the interpreter for 2 to 5 ms."""
DROPPED_AT_ONCE_MAX = 2_000
SCROLL_MAX = 10_000
FLUSH_EVERY_POINTS = 50_000
"""Changes that are only in the write-ahead log, to be played again after a crash: 10 ms for each 1,000. A flush waits
for the disk, up to 200 ms on a slow one, and holds the interpreter meanwhile."""
COMPACT_EVERY_POINTS = 20_000
SEAL = "sealed"
"""The file with the checksum of the others, while nobody has the folder open."""
_SPARSE = "t"
_DENSE = "d"
_REMEDY = "Nothing to do: the project is read again."


class PointsCorrupt(IndexCorrupt):
    """The folder holds no points, damaged ones, or vectors of another kind or size."""


class PointsFull(IndexFull):
    """No room on the disk, where that could be told before it ended the process."""


class PointsAway(IndexAway):
    """Another process has the folder, or the server does not answer."""


class Point(NamedTuple):
    """A vector under a number: `uid` 0..UID_MAX, `content` 0..UID_MAX says what was embedded (for servers only)."""

    uid: int
    vector: Sparse | Sequence[float]
    content: int = 0


class Points(Protocol):
    """What both kinds of store can do. Every method may raise an IndexFault."""

    def put(self, points: Iterable[Point]) -> None:
        """Add points, or replace those with the same uid. What was put is still there after a crash."""
        ...

    def drop(self, uids: Iterable[int]) -> None:
        """Forget points, also unknown ones. A shared store keeps them for the others: see ServerPoints."""
        ...

    def search(self, vector: Sparse | Sequence[float], limit: int) -> list[tuple[int, float]]:
        """(uid, score) of the points most like `vector`, best first; of a sparse one only points that share a term."""
        ...

    def uids(self) -> set[int]:
        """Every point's uid."""
        ...

    def count(self) -> int:
        """How many points there are."""
        ...

    def flush(self) -> None:
        """Bring what was put to where it need not be played again after a crash."""
        ...

    def close(self) -> None:
        """Give the store back; never raises. Any other call after it raises PointsAway."""
        ...


class EdgePoints:
    """Points in a folder, with Qdrant Edge: sparse with IDF if `dimensions` is None, else dense with cosine.

    One process has the folder at a time; a second one gets PointsAway, and so does a second object in this process. A
    new folder has about 130 MB of apparent size, of which 100 kB are on the disk: where the disk is full, the process
    ends with SIGBUS at a write to a mapped page, so whoever puts points looks for room before.
    """

    def __init__(self, folder: Path, dimensions: int | None = None) -> None:
        """Open or create it. PointsCorrupt if it is damaged or its vectors are of another kind or size."""
        if not EDGE_AVAILABLE:
            raise PointsAway(
                "There is no embedded vector store for this machine.", "Set index.qdrant_url to a Qdrant server."
            )
        self._name = _SPARSE if dimensions is None else _DENSE
        self._dimensions = dimensions
        self._unflushed = 0
        self._changes = COMPACT_EVERY_POINTS
        self._seal = folder / SEAL
        self._shard: qdrant_edge.EdgeShard | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)  # the files in it are made readable for all
            sealed = self._unseal()
        except (FileExistsError, NotADirectoryError) as error:
            raise PointsCorrupt(f"{folder} is not a folder.", _REMEDY) from error
        except OSError as error:
            raise PointsAway(
                f"The index cannot be kept in {folder} ({error}).", "Look whether it can be written."
            ) from error
        with _naming:
            self._shard = qdrant_edge.EdgeShard.load(str(folder), _config(dimensions))
        if not sealed:
            # Or the log would be played again and again, and grow with every crash.
            try:
                self.flush()
            except IndexFault:
                self.close()
                raise

    def put(self, points: Iterable[Point]) -> None:
        """See Points. ValueError for a dense vector of another size or kind."""
        every = [qdrant_edge.Point(point.uid, {self._name: self._vector(point.vector)}) for point in points]
        for at in range(0, len(every), BATCH_MAX):
            some = every[at : at + BATCH_MAX]
            self._update(qdrant_edge.UpdateOperation.upsert_points(some), len(some))

    def drop(self, uids: Iterable[int]) -> None:
        """See Points."""
        every: list[qdrant_edge.PointId] = [*uids]
        for at in range(0, len(every), DROPPED_AT_ONCE_MAX):
            some = every[at : at + DROPPED_AT_ONCE_MAX]
            self._update(qdrant_edge.UpdateOperation.delete_points(some), len(some))

    def search(self, vector: Sparse | Sequence[float], limit: int) -> list[tuple[int, float]]:
        """See Points."""
        query = qdrant_edge.Query.Nearest(self._vector(vector), using=self._name)
        with _naming:
            found = self._open().query(qdrant_edge.QueryRequest(limit=limit, query=query))
            return [(_uid(point.id), point.score) for point in found]

    def uids(self) -> set[int]:
        """See Points. About 1 ms for each 1,000."""
        found: set[int] = set()
        offset: qdrant_edge.PointId | None = None
        while True:
            request = qdrant_edge.ScrollRequest(offset=offset, limit=SCROLL_MAX, with_payload=False, with_vector=False)
            with _naming:
                page, offset = self._open().scroll(request)
            found.update(_uid(record.id) for record in page)
            if offset is None:
                return found

    def count(self) -> int:
        """See Points."""
        with _naming:
            return self._open().count(qdrant_edge.CountRequest(exact=True))

    def garbage(self) -> int:
        """How many vectors of dropped or replaced points are still searched through, and thrown away then."""
        with _naming:
            info = self._open().info()
        return max(0, info.indexed_vectors_count - info.points_count)

    def compact(self) -> bool:
        """Get rid of garbage and of memory, if that is worth it; whether anything was done. For times of rest.

        What was put since the last time is kept in memory, 1.6 kB a point, and dropped points' terms stay in the index:
        after 120,000 replacements among 10,000 points a query takes 1.2 ms instead of 0.1. Afterwards all of it is in
        files: 100,000 points take 45 MB instead of 155. It holds the interpreter for 10 ms for each 1,000 points that
        are moved. Nothing of that after less than COMPACT_EVERY_POINTS changes, but once after opening: it is not known
        then what the last process did. Dense points are left alone: they would be made into a graph for minutes.
        """
        if self._dimensions is not None or self._changes < COMPACT_EVERY_POINTS:
            return False
        with _naming:
            done = self._open().optimize()
        self._changes = 0
        if done:
            self.flush()
            with _naming:
                self._open().close()
                self._shard = None
                self._shard = qdrant_edge.EdgeShard.load(str(self._seal.parent), _config(self._dimensions))
            _give_memory_back()
        return done

    def flush(self) -> None:
        """See Points."""
        with _naming:
            self._open().flush()
        self._unflushed = 0

    def close(self) -> None:
        """See Points."""
        shard, self._shard = self._shard, None
        if shard is not None:
            with suppress(IndexFault, OSError), _naming:
                shard.close()
                self._seal.write_bytes(digest_of(self._seal.parent, SEAL))

    def _unseal(self) -> bool:
        """Damaged files can crash the native code, hang it, or make it lose points: a seal finds that first.

        There is none after a process that did not close: what the disk did to its files meanwhile is met in there.
        Whether there was one.
        """
        try:
            seal = self._seal.read_bytes()
        except FileNotFoundError:
            return False
        if seal != digest_of(self._seal.parent, SEAL):
            raise PointsCorrupt("The index is damaged (its files are not as they were left).", _REMEDY)
        self._seal.unlink()
        return True

    def _open(self) -> "qdrant_edge.EdgeShard":
        if self._shard is None:
            raise PointsAway("The index was closed.")
        return self._shard

    def _update(self, operation: "qdrant_edge.UpdateOperation", changes: int) -> None:
        with _naming:
            self._open().update(operation)
        self._changes += changes
        self._unflushed += changes
        if self._unflushed >= FLUSH_EVERY_POINTS:
            self.flush()

    def _vector(self, vector: Sparse | Sequence[float]) -> "qdrant_edge.SparseVector | list[float]":
        if self._dimensions is None:
            if not isinstance(vector, Sparse):
                raise ValueError("a dense vector for a sparse store")
            return qdrant_edge.SparseVector(list(vector.indices), list(vector.values))
        if isinstance(vector, Sparse) or len(vector) != self._dimensions:
            raise ValueError(f"not a vector of {self._dimensions} numbers")
        return list(vector)


class _Naming:
    """A context that makes IndexFaults of what the native code raises: bare `Exception`s, and panics."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # A panic of Rust derives from BaseException and has no importable name.
        if error is not None and (kind is Exception or type(error).__name__ == "PanicException"):
            raise _named(str(error)) from error


_naming = _Naming()


def _give_memory_back() -> None:
    """glibc keeps what native code has freed, unless it is told otherwise."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _named(text: str) -> IndexFault:
    if "WouldBlock" in text or "os error 33" in text:
        return PointsAway("The index is in use by another process.", "It is used again once that one has ended.")
    if "os error 28" in text or "StorageFull" in text or "os error 112" in text:
        return PointsFull("The disk is full, so the index is not kept up to date.", "Free some space.")
    if "os error 13" in text or "os error 30" in text or "os error 24" in text:
        return PointsAway(f"The index cannot be used for now ({text}).", "Look whether its folder can be written to.")
    return PointsCorrupt(f"The index is damaged ({text}).", _REMEDY)


def _config(dimensions: int | None) -> "qdrant_edge.EdgeConfig":
    cold = qdrant_edge.Memory.Cold
    if dimensions is None:
        sparse = qdrant_edge.EdgeSparseVectorParams(modifier=qdrant_edge.Modifier.Idf, memory=cold)
        return qdrant_edge.EdgeConfig(
            vectors={}, sparse_vectors={_SPARSE: sparse}, payload_memory=cold, max_search_threads=1, wal_enabled=True
        )
    dense = qdrant_edge.EdgeVectorParams(size=dimensions, distance=qdrant_edge.Distance.Cosine, memory=cold)
    return qdrant_edge.EdgeConfig(vectors={_DENSE: dense}, payload_memory=cold, max_search_threads=1, wal_enabled=True)


def _uid(number: "qdrant_edge.PointId") -> int:
    if not isinstance(number, int) or not 0 <= number <= UID_MAX:
        raise PointsCorrupt("The index is damaged (a point with a foreign number).", _REMEDY)
    return number
