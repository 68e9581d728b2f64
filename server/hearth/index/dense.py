"""The dense side of a folder's index: which chunks have a vector, which are next, and the nearest ones to a question.

The process that keeps it opens no socket. The serving side asks for texts that have no vector yet, has them embedded by
the user's own server, and hands the vectors back. What is in a shard is done, so this can be broken off anywhere.

Vectors of different models, or of different sizes, cannot be compared: each (model, dimensions) has a shard of its own.
When the model changes, a new shard is filled beside the old one, which answers until the new one is complete and is
removed then. Shards do not depend on the manifest's being the same file: chunks have their numbers by content.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from hearth.core.embedtext import TEXT_VERSION
from hearth.core.fusion import dense_weight
from hearth.errors import IndexAway, IndexCorrupt, IndexFault, IndexFull
from hearth.index.manifest import ChunkRow, Manifest
from hearth.index.points import UID_MAX, EdgePoints, Point, Points
from hearth.index.team import Team

BATCH_MAX = 64
FILES_PER_CALL_MAX = 50
"""Looked through for chunks without a vector in one call; more take another call."""
FEW_MISSING_MAX = 2_000
"""So few are looked up one by one; for more, all files are gone through."""
SKIPPED_MAX = 10_000
"""Chunks that the server cannot embed; they are tried again after a restart."""
LEASE_S = 150.0
"""How long one of several windows is waited for: a little longer than an embedding server is."""
SHARDS_MAX = 2
"""The one being filled and the one that answers."""
DIMENSIONS_MAX = 8_192
FREE_BYTES_MIN = 400_000_000
"""The store dies on a full disk, so it is not written to long before."""
RECORD = "shard.json"
OPENING = "opening"
"""A file that is there while a shard is opened. One that is there before: the last time ended the process."""
RECORD_BYTES_MAX = 10_000


class Wanted(NamedTuple):
    """A chunk that has no vector yet."""

    uid: int
    path: str
    symbol: str
    text: str


@dataclass(slots=True)
class _Shard:
    """`done`: the chunks that have a vector in it. `complete`: it once had one for every chunk, so it may answer."""

    folder: Path
    model: str
    dimensions: int
    complete: bool
    points: Points | None = None
    done: set[int] = field(default_factory=set[int])


@runtime_checkable
class Shares(Protocol):
    """Points whose vectors others may have computed already."""

    def known_vectors(self, contents: Iterable[int]) -> dict[int, list[float]]:
        """See points_server.ServerPoints."""
        ...


def address_of(chunk: Wanted | ChunkRow) -> int:
    """What is embedded of a chunk, as a number: the same for everybody who has the same lines in the same file."""
    text = f"{TEXT_VERSION}\0{chunk.path}\0{chunk.symbol}\0{chunk.text}".encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) & UID_MAX


class Dense:
    """Made by the project; `folder` is this module's own below the one given. One thread at a time.

    Nothing here raises for what is found on disk: a shard that cannot be read is removed and filled again.
    """

    def __init__(self, folder: Path, manifest: Manifest, team: Team | None = None) -> None:
        self._folder = folder / "dense"
        self._manifest = manifest
        self._team = team
        self._model = ""
        self._queue: dict[str, None] = {}  # files to look through, next first
        self._skipped: set[int] = set()
        self._known: int | None = None
        self._shards = list(_found(self._folder))
        self._lease = ("", 0.0)  # who embeds, until when
        self.problem = ""

    # Filling

    def missing(self, model: str, limit: int) -> list[Wanted]:
        """Up to `limit` chunks that have no vector of `model` yet, the same ones until they are put or skipped.

        [] with `left` > 0 means: ask again, a part of the files was looked through.
        """
        self._use(model)
        if not self._model:
            return []
        target = self._target()
        if target is None and self._team:
            limit = min(limit, 1)  # that tells the size; with it what others have put is found
        done = target.done if target else set[int]()
        if not self._queue:
            self._known = None
            if self.left:
                self._look_for_missing(target)
        batch: list[Wanted] = []
        for path in list(self._queue)[:FILES_PER_CALL_MAX]:
            rows = self._manifest.chunks_in(path)
            todo = [row for row in rows if row.uid not in done and row.uid not in self._skipped]
            if not todo:
                del self._queue[path]
            batch += [Wanted(row.uid, row.path, row.symbol, row.text) for row in todo]
            if len(batch) >= min(limit, BATCH_MAX):
                break
        if not self._queue and target is not None:
            self._completed(target)
        return self._not_shared(target, batch[: max(0, min(limit, BATCH_MAX))])

    def _not_shared(self, target: _Shard | None, batch: list[Wanted]) -> list[Wanted]:
        """Those of which nobody else has put a vector on the server; the others are taken over."""
        if target is None or not batch or not isinstance(target.points, Shares):
            return batch
        with self._minding(target):
            found = target.points.known_vectors([address_of(one) for one in batch])
            ready = [(one, found[address_of(one)]) for one in batch if address_of(one) in found]
            target.points.put([Point(one.uid, vector, address_of(one)) for one, vector in ready])
            target.done.update(one.uid for one, _ in ready)
        return [one for one in batch if one.uid not in target.done]

    def put(self, model: str, vectors: Sequence[tuple[int, Sequence[float]]]) -> None:
        """Keep vectors, all of one size. Raises ValueError; IndexFull where there is no room, IndexAway."""
        sizes = {len(vector) for _, vector in vectors}
        if sizes and (len(sizes) > 1 or not 0 < min(sizes) <= DIMENSIONS_MAX):
            raise ValueError("vectors to keep are of different sizes, or too large")
        self._use(model)
        known = self._manifest.chunks([uid for uid, _ in vectors])  # the others changed meanwhile
        points = [Point(uid, vector, address_of(known[uid])) for uid, vector in vectors if uid in known]
        if not points or not model:
            return
        self._check_room()
        target = self._target(min(sizes))
        if target is None:
            if self._found(min(sizes)):
                raise IndexAway("The vectors cannot be opened for now.")
            target = self._new(min(sizes))
        with self._minding(target):
            assert target.points is not None
            target.points.put(points)
            target.done.update(point.uid for point in points)

    def skip(self, model: str, uids: Iterable[int]) -> None:
        """Leave chunks out that cannot be embedded."""
        self._use(model)
        self._skipped.update(list(uids)[: max(0, SKIPPED_MAX - len(self._skipped))])

    def first(self, paths: Iterable[str]) -> None:
        """These files were committed anew, or are open: their chunks come next, where they have no vector yet."""
        self._known = None
        if self._model:
            self._queue = dict.fromkeys((*dict.fromkeys(paths), *self._queue))

    def drop(self, uids: Iterable[int]) -> None:
        """These chunks are no more. Never raises: what stays is invisible, and gone after the next opening."""
        gone = set(uids)
        self._known = None
        self._skipped -= gone
        for shard in list(self._shards):
            if shard.points is not None and (there := gone & shard.done):
                with suppress(IndexFault), self._minding(shard):
                    shard.points.drop(there)
                    shard.done -= there

    # Asking

    @property
    def answers(self) -> str:
        """The model that a question must be embedded with, "" while there is nothing to search."""
        shard = self._serving()
        return shard.model if shard else ""

    @property
    def weight(self) -> float:
        """What its ranking is worth beside a lexical one: less while it is being filled."""
        shard = self._serving()
        return dense_weight(len(shard.done), self._chunks()) if shard else 0.0

    @property
    def left(self) -> int:
        """How many chunks have no vector of the present model."""
        target = self._target()
        return max(0, self._chunks() - len(target.done if target else ()) - len(self._skipped)) if self._model else 0

    def search(self, vector: Sequence[float], limit: int, model: str = "") -> list[tuple[int, float]]:
        """(uid, score) of the chunks nearest to a question's vector, which was made with `model` ("": not known).

        [] where there are none of that model and size.
        """
        shard = self._serving()
        if shard is None or len(vector) != shard.dimensions or (model and model != shard.model):
            return []
        with suppress(IndexFault), self._minding(shard):
            assert shard.points is not None
            return shard.points.search(vector, limit)
        return []

    def exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        """One turn of the serving side, as plain JSON; ValueError, TypeError or LookupError for what does not fit.

        {"model", "who", "put": [[uid, [number]]], "skip": [uid], "first": [path], "limit"} -> {"texts": [[uid, path,
        symbol, text]], "again", "left", "embedded", "answers", "problem"}; all but "model" may be left out. "again": no
        texts yet, but ask at once. With a "problem", in words, nothing more is wanted for now. Of several who ask, one
        gets texts, until it wants none for LEASE_S.
        """
        model = message["model"]
        if not isinstance(model, str):
            raise TypeError("a model's name is text")
        vectors = [(int(uid), [float(n) for n in vector]) for uid, vector in cast(list[Any], message.get("put", []))]
        try:
            self.put(model, vectors)
            self.skip(model, [int(uid) for uid in cast(list[Any], message.get("skip", []))])
            self.first([str(path) for path in cast(list[Any], message.get("first", []))])
            limit, lent = int(message.get("limit", 0)), self._lent_to(str(message.get("who", "")))
            wanted = self.missing(model, limit) if lent else []
            again = lent and not wanted and bool(self._queue)
            if lent and not wanted and not again:
                self._lease = ("", 0.0)
            self.problem = ""
        except IndexCorrupt:
            raise  # the manifest's; a shard's own is minded here
        except IndexFault as error:
            wanted, again, self.problem = [], False, error.message
        return {"texts": [list(one) for one in wanted], "again": again, **self.status()}

    def _lent_to(self, who: str) -> bool:
        """Whether `who` may embed now: two windows on one folder would otherwise do everything twice."""
        now = time.monotonic()
        if self._lease[0] not in ("", who) and now < self._lease[1]:
            return False
        self._lease = (who, now + LEASE_S)
        return True

    def status(self) -> dict[str, Any]:
        """Plain figures for `doctor`."""
        target = self._target()
        embedded = len(target.done) if target else 0
        return {"left": self.left, "embedded": embedded, "answers": self.answers, "problem": self.problem}

    def close(self) -> None:
        """Give the shards back; never raises."""
        for shard in self._shards:
            if shard.points is not None:
                shard.points.close()
                shard.points = None

    # Shards

    def _use(self, model: str) -> None:
        """Fill shards of `model` from now on."""
        if model == self._model:
            return
        self._model = model
        self._skipped.clear()
        self._queue = {}
        if model:
            self._look_for_missing(self._target())

    def _look_for_missing(self, target: _Shard | None) -> None:
        """Queue the files with chunks that have no vector, newest first: all files, where such chunks are many."""
        missing = self._manifest.all_uids() - self._skipped
        missing -= target.done if target else set()
        files = self._manifest.files()
        if len(missing) <= FEW_MISSING_MAX:
            paths = {row.path for row in self._manifest.chunks(missing).values()}
            files = [row for row in files if row.path in paths]
        self._queue = dict.fromkeys(row.path for row in sorted(files, key=lambda row: -row.mtime_ns))

    def _target(self, size: int | None = None) -> _Shard | None:
        """The shard of the present model, opened; the newest if its size has changed; of `size`, if that is known."""
        found = self._found(size)
        return found if found and self._opened(found) else None

    def _found(self, size: int | None) -> _Shard | None:
        fitting = [s for s in self._shards if s.model == self._model and size in (None, s.dimensions)]
        return fitting[-1] if self._model and fitting else None

    def _serving(self) -> _Shard | None:
        """The shard of the present model if it is complete, else one that is, else the one being filled."""
        target = self._target()
        if not self._model or (target is not None and target.complete):
            return target
        for shard in list(self._shards):
            if shard is not target and shard.complete and self._opened(shard):
                return shard
        return target

    def _opened(self, shard: _Shard) -> bool:
        """Open a shard, with only what the manifest knows in it; False if that cannot be, for now or for ever."""
        if shard.points is not None:
            return True
        every = self._manifest.all_uids()
        with suppress(IndexFault, OSError), self._minding(shard):
            marker = shard.folder / OPENING
            if marker.exists():
                raise IndexCorrupt("The vectors could not be opened.")
            marker.touch()
            shard.points = self._points_of(shard)
            shard.done = shard.points.uids()
            if stale := shard.done - every:
                shard.points.drop(stale)
                shard.done -= stale
        with suppress(OSError):
            (shard.folder / OPENING).unlink(missing_ok=True)
        return shard.points is not None

    def _points_of(self, shard: _Shard) -> Points:
        if self._team:
            return self._team.dense(shard.model, shard.dimensions)
        return EdgePoints(shard.folder / "points", shard.dimensions)

    def _new(self, size: int) -> _Shard:
        """A shard for the present model; all its chunks are missing from it. Raises IndexFault."""
        shard = _Shard(self._folder / _name(self._model, size), self._model, size, complete=False)
        for other in [s for s in self._shards if not s.complete or s.folder == shard.folder]:
            self._remove(other)  # half filled for a model that is not wanted any more
        shutil.rmtree(shard.folder, ignore_errors=True)
        try:
            shard.folder.mkdir(mode=0o700, parents=True)
            _write(shard)
        except OSError as error:
            raise IndexAway(
                f"The vectors cannot be kept in {self._folder} ({error}).", "Look at its folder."
            ) from error
        shard.points = self._points_of(shard)
        self._shards.append(shard)
        self._look_for_missing(shard)
        return shard

    def _completed(self, shard: _Shard) -> None:
        if not shard.complete:
            shard.complete = True
            with suppress(OSError, IndexFault):
                if shard.points is not None:
                    shard.points.flush()
                _write(shard)
        for other in [s for s in self._shards if s is not shard]:
            self._remove(other)

    def _remove(self, shard: _Shard) -> None:
        if shard.points is not None:
            shard.points.close()
            shard.points = None
        if shard in self._shards:
            self._shards.remove(shard)
        self._queue = {}  # looked for anew
        shutil.rmtree(shard.folder, ignore_errors=True)

    @contextmanager
    def _minding(self, shard: _Shard) -> Generator[None]:
        """A shard that turns out to be damaged is removed; its vectors are made again."""
        try:
            yield
        except IndexCorrupt as error:
            self._remove(shard)
            # For the caller it is as if the store had been away for a moment.
            raise IndexAway(error.message, error.remedy) from error

    def _check_room(self) -> None:
        parent = next(folder for folder in (self._folder, *self._folder.parents) if folder.exists())
        with suppress(OSError):
            if shutil.disk_usage(parent).free < FREE_BYTES_MIN:
                raise IndexFull("Less than 400 MB are free, so no more text is embedded.", "Free some space.")

    def _chunks(self) -> int:
        if self._known is None:
            self._known = self._manifest.counts()["chunks"]
        return self._known


def _name(model: str, dimensions: int) -> str:
    """A folder's name: what makes vectors comparable."""
    return hashlib.blake2b(
        f"{TEXT_VERSION}\0{model}\0{dimensions}".encode("utf-8", "replace"), digest_size=8
    ).hexdigest()


def _write(shard: _Shard) -> None:
    record = {"model": shard.model, "dimensions": shard.dimensions, "complete": shard.complete}
    new = shard.folder / f"{RECORD}.new"
    new.write_text(json.dumps(record), "utf-8")
    new.replace(shard.folder / RECORD)


def _found(folder: Path) -> Iterator[_Shard]:
    """The shards in a folder, those that answer first. What is none, or one too many, is removed."""
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    shards = sorted((shard for one in inside if (shard := _read(one))), key=lambda shard: not shard.complete)
    for shard in shards[:SHARDS_MAX]:
        yield shard
    kept = {shard.folder for shard in shards[:SHARDS_MAX]}
    for one in inside:
        if one not in kept:
            shutil.rmtree(one, ignore_errors=True)


def _read(folder: Path) -> _Shard | None:
    try:
        with (folder / RECORD).open("rb") as stream:
            record: Any = json.loads(stream.read(RECORD_BYTES_MAX))
        model, dimensions, complete = record["model"], record["dimensions"], record["complete"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    if not isinstance(model, str) or not isinstance(dimensions, int) or folder.name != _name(model, dimensions):
        return None
    return _Shard(folder, model, dimensions, complete is True)
