"""One folder's index: a manifest (SQLite) that says what is known, and vectors to search it by.

A file is known once its row is in the manifest: its new points are put first, then the row is written with everything
that belongs to it in one transaction, then its old points are dropped. Whatever dies in between leaves points that no
row speaks of; they are invisible, and gone after the next opening. What cannot be read is put aside and built again.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from hearth.core import modules
from hearth.core.facts import Import, Sparse, Symbol
from hearth.core.fusion import fused
from hearth.core.remembering import Remembering
from hearth.core.terms import query_vector, question_query, standing
from hearth.errors import IndexAway, IndexCorrupt, IndexFull
from hearth.index.dense import Dense
from hearth.index.manifest import ChunkRow, FileRow, Manifest
from hearth.index.overview import Overview
from hearth.index.points import EdgePoints, Points
from hearth.index.reading import Outcome
from hearth.index.team import Team

DISK_FREE_BYTES_MIN = 400_000_000
"""The vector store maps files that it has not filled yet: a full disk would end the process."""
CANDIDATES_MIN = 50
"""What is searched for before tests and the like are made to stand back."""
POINTS_UNTIDIED_MAX = 25_000
"""New points take 1.6 kB of memory each until they are tidied away, and that takes as much again for a moment."""
LIMIT_MAX = 100
NAMED_KEPT_MAX = 2_000
"""File names looked up for imports: in a large project hundreds of files are called `__init__.py`."""
SLOW_MAX = 1_000
_SLOW = "slow"
_SALT = "salt"


@runtime_checkable
class Shared(Protocol):
    """Points that others use too: they are told now and then which of them are in use."""

    def renew(self, uids: Iterable[int]) -> set[int]:
        """See points_server.ServerPoints."""
        ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found. `score` orders the hits of one search, nothing else."""

    path: str
    start: int
    end: int
    text: str
    symbol: str
    score: float


class ProjectIndex:
    """Made by `open_project`. One thread at a time; the caller holds the folder's lock."""

    def __init__(self, home: Path, manifest: Manifest, points: Points, team: Team | None) -> None:
        self._home = home
        self._manifest = manifest
        self._points = points
        self._put = 0
        self._named: dict[str, Sequence[str]] = {}
        self.known = Remembering(self)
        """What `core.retrieval` needs to know, remembered until something changes."""
        if team is None:
            self._reconcile()
        self.dense = Dense(home, manifest, team)
        self.overview = Overview(manifest)

    def _reconcile(self) -> None:
        """Make manifest and points agree again, if the last process did not end well."""
        known, there = self._manifest.all_uids(), self._points.uids()
        self._points.drop(there - known)
        self._forget_lost(known - there)

    def _forget_lost(self, uids: Iterable[int]) -> None:
        """Files whose points are gone are not known: they are read again."""
        self._manifest.remove(sorted({row.path for row in self._manifest.chunks(uids).values()}))
        self.known.forget()
        self._named.clear()

    # Writing

    def take(self, outcomes: Sequence[Outcome]) -> None:
        """Commit what was read of some files. Raises IndexFault."""
        self._check_room()
        entries = [outcome.entry for outcome in outcomes if outcome.entry]
        points = [point for outcome in outcomes for point in outcome.points]
        stale = {uid for outcome in outcomes for uid in outcome.before}
        for entry in entries:
            stale.difference_update(entry.uids)
        self._points.put(points)
        self._put += len(points)
        if self._put >= POINTS_UNTIDIED_MAX:
            self.tidy()
        self._manifest.replace(entries)
        self._manifest.touch([(o.path, o.size, o.mtime_ns) for o in outcomes if o.state == "touched"])
        self._drop(stale)
        self.dense.first([entry.path for entry in entries])
        self._changed()

    def renew(self, today: int) -> bool:
        """Once a day, tell a shared server what is in use; whether files must be read again, because it lost them."""
        if not isinstance(self._points, Shared) or self._manifest.get_meta("renewed") == str(today):
            return False
        lost = self._points.renew(self._manifest.all_uids())
        self._forget_lost(lost)
        self._manifest.set_meta("renewed", str(today))
        return bool(lost)

    def remove(self, paths: Sequence[str]) -> None:
        """Forget files."""
        stale = self._manifest.uids_of(paths)
        self._manifest.remove(paths)
        self._changed()
        self._drop(stale)

    def remove_under(self, path: str) -> None:
        """Forget a file, or if it was a folder the files that were in it."""
        self.remove([path, *self._manifest.paths_under(path)])

    def _changed(self) -> None:
        self.overview.changed()
        self.known.forget()
        self._named.clear()

    def _drop(self, uids: Iterable[int]) -> None:
        if gone := list(uids):
            self._points.drop(gone)
            self.dense.drop(gone)

    def _check_room(self) -> None:
        _check_room(self._home)

    def tidy(self) -> None:
        """Give back memory and drop garbage, if there is much of it: for times of rest."""
        self._put = 0
        if isinstance(self._points, EdgePoints):
            self._points.compact()

    def flush(self) -> None:
        """Have what was written reach the disk."""
        self._points.flush()

    def close(self) -> None:
        """End well."""
        self._points.close()
        self.dense.close()
        self._manifest.close()

    # Reading

    def file(self, path: str) -> FileRow | None:
        """What is known of a file."""
        return self._manifest.file(path)

    def files(self) -> list[FileRow]:
        """All files."""
        return self._manifest.files()

    def uids_of(self, path: str) -> frozenset[int]:
        """The chunks of a file."""
        return frozenset(self._manifest.uids_of([path]))

    def slow(self) -> set[str]:
        """Files whose parser once came to no end."""
        try:
            found: object = json.loads(self._manifest.get_meta(_SLOW) or "[]")
        except ValueError:
            found = []
        return {str(path) for path in cast(list[object], found)} if isinstance(found, list) else set()

    def add_slow(self, path: str) -> None:
        """Remember one, before this process is given up for it."""
        self._manifest.set_meta(_SLOW, json.dumps(sorted({*self.slow(), path})[:SLOW_MAX]))

    def counts(self) -> dict[str, int]:
        """Numbers of files, chunks, symbols."""
        return self._manifest.counts()

    def find(self, question: str, limit: int, vector: Sequence[float] = (), model: str = "") -> list[Hit]:
        """Chunks that answer a question or match words, best first; by meaning too if its `vector` is given, made by
        `model`."""
        candidates = max(CANDIDATES_MIN, 2 * min(limit, LIMIT_MAX))
        lexical = self._points.search(query_vector(question_query(question)), candidates)
        near = self.dense.search(vector, candidates, model) if vector else []
        order = fused([uid for uid, _ in lexical], [uid for uid, _ in near], self.dense.weight) if near else lexical
        hits = [replace(hit, score=hit.score * standing(hit.path, question)) for hit in self._hits(order, candidates)]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def _hits(self, order: Sequence[tuple[int, float]], limit: int, without: str = "") -> list[Hit]:
        rows = self._manifest.chunks([uid for uid, _ in order])
        hits: list[Hit] = []
        for uid, score in order:
            row: ChunkRow | None = rows.get(uid)
            if row is None or row.path == without:
                continue
            hits.append(Hit(row.path, row.start, row.end, row.text, row.symbol, score))
            if len(hits) >= limit:
                break
        return hits

    # What core.retrieval needs to know

    def definitions(self, names: Sequence[str], per_name_max: int) -> Mapping[str, Sequence[tuple[str, Symbol]]]:
        """Where names are defined: (path, symbol) each."""
        return self._manifest.definitions(names, per_name_max)

    def symbols_in(self, path: str) -> Sequence[Symbol]:
        """What a file defines."""
        return self._manifest.symbols_in(path)

    def imports_in(self, path: str) -> Sequence[Import]:
        """What a file imports."""
        return self._manifest.imports_in(path)

    def resolve(self, language: str, module: str, importer: str) -> Sequence[str]:
        """The files that an import means."""
        return modules.resolved(language, module, importer, self._paths_named, self._manifest.paths_in)

    def _paths_named(self, basename: str) -> Sequence[str]:
        if basename not in self._named:
            if len(self._named) >= NAMED_KEPT_MAX:
                self._named.clear()
            self._named[basename] = self._manifest.paths_named(basename)
        return self._named[basename]

    def search(self, query: Mapping[str, float], limit: int, without_path: str = "") -> Sequence[Hit]:
        """Chunks by weighted terms, not those of `without_path`."""
        vector: Sparse = query_vector(query)
        try:
            found = self._points.search(vector, limit * 2)
        except IndexAway:
            return []  # what the manifest knows is still worth having
        return self._hits(found, limit, without_path)


def open_project(home: Path, team: Team | None = None, *, distrust: bool = False) -> ProjectIndex:
    """The index whose files are in `home`. What is damaged, or distrusted, is put aside for one that is empty.

    `team`: where the vectors are shared, None for those on this machine; for another repository or branch than the last
    time all is read again. Raises IndexFault, OSError.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_room(home)
    store = home / "store"
    if distrust:
        _put_aside(home, store)
        shutil.rmtree(home / "dense", ignore_errors=True)
    try:
        return _opened(home, store, team)
    except IndexCorrupt:
        _put_aside(home, store)
        return _opened(home, store, team)


def _opened(home: Path, store: Path, team: Team | None) -> ProjectIndex:
    store.mkdir(mode=0o700, exist_ok=True)
    manifest = Manifest(store / "manifest.sqlite")
    try:
        salt = team.salt if team else ""
        if manifest.get_meta(_SALT) not in (None, salt):
            manifest.remove([row.path for row in manifest.files()])
        manifest.set_meta(_SALT, salt)
        return ProjectIndex(home, manifest, team.sparse() if team else EdgePoints(store / "points"), team)
    except BaseException:
        manifest.close()
        raise


def _check_room(home: Path) -> None:
    try:
        free = shutil.disk_usage(home).free
    except OSError:
        return
    if free < DISK_FREE_BYTES_MIN:
        raise IndexFull("Less than 400 MB are free on the disk that the index is kept on.", "Free some space.")


def _put_aside(home: Path, store: Path) -> None:
    """One damaged store is kept for those who want to look at it; an older one goes."""
    aside = home / "damaged"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        os.replace(store, aside)
    except FileNotFoundError:
        return
    except OSError:
        shutil.rmtree(store, ignore_errors=True)
