"""The index at 100,000, 300,000 and 1,000,000 chunks: time, memory, disk and latency of its two stores, in one process.

Synthetic, from real parts: django's source is read, cut and weighed once as the index does it, and then stored again
and again as further projects. Each copy keeps the words that are common in code (in 0.5 % of django's chunks or more)
and has every rarer word as one of its own, so that the lengths of posting lists grow as they would: common words with
the number of chunks, rare ones with the number of projects. Queries are lines of random chunks around a cursor.
"""

import gc
import random
import resource
import statistics
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from copying import fetch

from hearth.core.analysis import analysed
from hearth.core.facts import Facts, Sparse
from hearth.core.grammars import language_of
from hearth.core.terms import completion_query, document_vector, query_vector
from hearth.index.manifest import FileEntry, Manifest
from hearth.index.points import BATCH_MAX, EdgePoints, Point

SEED = 20_26
SOURCE = ("pip", "django==5.2.19")
SIZES = (100_000, 300_000, 1_000_000)
COMMON_SHARE = 0.005
QUERIES = 400
HITS = 40
FILES_AT_ONCE = 50
FILE_BYTES_MAX = 400_000
SUFFIXES = (".py", ".js", ".html", ".txt", ".css", ".json", ".md")
_MIX = np.uint32(2_654_435_761)


@dataclass(frozen=True)
class Base:
    """One project: its files' facts, and for each chunk its terms with which of them are common."""

    files: list[tuple[str, Facts]]
    vectors: list[tuple[Any, list[float], Any]]
    common: Any


@dataclass
class Measured:
    """At one number of chunks."""

    chunks: int
    cpu_s: float = 0.0
    resident_mb: float = 0.0
    disk_mb: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p95_cpu_ms: float = 0.0
    longest_ms: float = 0.0
    after: "Measured | None" = None


def read_base() -> Base:
    """django, as the index sees it."""
    files: list[tuple[str, Facts]] = []
    with tarfile.open(fetch(*SOURCE)) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() and member.name.endswith(SUFFIXES) else None
            if stream is None or member.size > FILE_BYTES_MAX:
                continue
            text = stream.read().decode("utf-8", "replace")
            facts = analysed(language_of(member.name), text)
            if facts.chunks:
                files.append((member.name, facts))
    raw = [document_vector(chunk.text, path, chunk.symbol) for path, facts in files for chunk in facts.chunks]
    frequency = Counter(term for vector in raw for term in vector.indices)
    common = np.array(sorted(t for t, n in frequency.items() if n >= COMMON_SHARE * len(raw)), dtype=np.uint32)
    vectors = []
    for vector in raw:
        terms = np.array(vector.indices, dtype=np.uint32)
        vectors.append((terms, list(vector.values), np.isin(terms, common)))
    return Base(files, vectors, common)


def copied(terms: Any, values: list[float], is_common: Any, copy: int) -> Sparse:
    """A vector in another project, where the words that are not common are others."""
    renamed = np.where(is_common, terms, terms * _MIX + np.uint32(copy * 40_503)) if copy else terms
    order = np.argsort(renamed, kind="stable")
    ordered = renamed[order].tolist()
    weights = [values[at] for at in order.tolist()]
    if len(set(ordered)) < len(ordered):  # two words have become one
        merged = dict(zip(ordered, weights, strict=True))
        return Sparse(tuple(merged), tuple(merged.values()))
    return Sparse(tuple(ordered), tuple(weights))


def uid(number: int) -> int:
    return number * 0x9E3779B97F4A7C15 % 2**63


def queries(base: Base, chunks: int) -> Iterator[Sparse]:
    """Cursors in random chunks of random copies."""
    pick = random.Random(SEED)
    every = [chunk for _, facts in base.files for chunk in facts.chunks]
    copies = max(1, chunks // len(every))
    for _ in range(QUERIES):
        lines = pick.choice(every).text.splitlines()
        at = pick.randrange(len(lines))
        line = lines[at][: pick.randrange(len(lines[at]) + 1)]
        plain = query_vector(completion_query(lines[:at], line, lines[at + 1 :]))
        terms = np.array(plain.indices, dtype=np.uint32)
        yield copied(terms, list(plain.values), np.isin(terms, base.common), pick.randrange(copies))


def resident_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def disk_mb(folder: Path) -> float:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 1e6


def timed(asks: Iterator[Callable[[], object]], into: Measured) -> None:
    took: list[float] = []
    worked: list[float] = []
    for ask in asks:
        begun, cpu = time.perf_counter(), time.process_time()
        ask()
        worked.append((time.process_time() - cpu) * 1000)
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    worked.sort()
    into.p50_ms, into.p95_ms = statistics.median(took), took[int(len(took) * 0.95)]
    into.p95_cpu_ms = worked[int(len(worked) * 0.95)]


def measure_points(base: Base, folder: Path) -> tuple[list[Measured], float]:
    """The vectors; and how long it takes to open them after a kill, in s."""
    before = resident_mb()
    points = EdgePoints(folder)
    found: list[Measured] = []
    now = Measured(0)
    number = 0
    batch: list[Point] = []
    cpu_s = longest_s = 0.0
    for copy in range(SIZES[-1] // len(base.vectors) + 1):
        for vector in base.vectors:
            batch.append(Point(uid(number), copied(*vector, copy)))
            number += 1
            if len(batch) == BATCH_MAX:
                cpu, begun = time.process_time(), time.perf_counter()
                points.put(batch)
                longest_s = max(longest_s, time.perf_counter() - begun)
                cpu_s += time.process_time() - cpu
                batch.clear()
            if number in SIZES:
                points.flush()
                now = Measured(number, cpu_s, resident_mb() - before, disk_mb(folder), longest_ms=longest_s * 1000)
                timed((lambda q=query: points.search(q, HITS) for query in queries(base, number)), now)
                found.append(now)
                cpu = time.process_time()
                points.compact()
                now.after = Measured(number, time.process_time() - cpu, resident_mb() - before, disk_mb(folder))
                timed((lambda q=query: points.search(q, HITS) for query in queries(base, number)), now.after)
                print(now, file=sys.stderr, flush=True)
    points.close()
    begun = time.perf_counter()
    EdgePoints(folder).close()
    return found, time.perf_counter() - begun


def measure_manifest(base: Base, path: Path) -> tuple[list[Measured], float]:
    """Texts, symbols and references; and how long a look through all of it takes after a kill, in s."""
    before = resident_mb()
    manifest = Manifest(path)
    found: list[Measured] = []
    number = 0
    pick = random.Random(SEED)
    names = sorted({symbol.name for _, facts in base.files for symbol in facts.symbols})
    cpu_s = longest_s = 0.0
    left = list(SIZES)
    copy = 0
    while left:
        for at in range(0, len(base.files), FILES_AT_ONCE):
            entries: list[FileEntry] = []
            for name, facts in base.files[at : at + FILES_AT_ONCE]:
                uids = tuple(uid(number + n) for n in range(len(facts.chunks)))
                number += len(uids)
                entries.append(FileEntry(f"{copy}/{name}", b"0" * 16, 1, 1, "python", facts, uids))
            cpu, begun = time.process_time(), time.perf_counter()
            manifest.replace(entries)
            longest_s = max(longest_s, time.perf_counter() - begun)
            cpu_s += time.process_time() - cpu
            if left and number >= left[0]:
                now = Measured(
                    left.pop(0), cpu_s, resident_mb() - before, disk_mb(path.parent), longest_ms=longest_s * 1000
                )
                some = [[uid(pick.randrange(number)) for _ in range(HITS)] for _ in range(QUERIES)]
                asked = [pick.sample(names, 20) for _ in range(QUERIES)]

                def ask(uids: list[int], wanted: list[str]) -> None:
                    manifest.chunks(uids)
                    manifest.definitions(wanted, 5)

                timed((lambda u=u, w=w: ask(u, w) for u, w in zip(some, asked, strict=True)), now)
                found.append(now)
                print(now, file=sys.stderr, flush=True)
                if not left:
                    break
        copy += 1
    begun = time.perf_counter()
    manifest._base.execute("PRAGMA quick_check(1)").fetchall()
    checked_s = time.perf_counter() - begun
    manifest.close()
    return found, checked_s


_opened_s: dict[str, float] = {}


def rows() -> list[tuple[str, str, str]]:
    base = read_base()
    print(f"{len(base.files)} files, {len(base.vectors)} chunks, {len(base.common)} common terms", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        points, _opened_s["points"] = measure_points(base, Path(name) / "points")
        manifest, _opened_s["manifest"] = measure_manifest(base, Path(name) / "manifest" / "m.db")
    made: list[tuple[str, str, str]] = []
    for vectors, texts in zip(points, manifest, strict=True):
        size, after = f"{vectors.chunks:,} chunks", vectors.after
        assert after
        goal = "<= 5 ms" if vectors.chunks == SIZES[0] else "-"
        made += [
            (f"{size}: search, p50 / p95 (CPU p95)", goal, latency(vectors)),
            (f"{size}: search after `compact`", goal, latency(after)),
            (f"{size}: {HITS} texts and 20 names' definitions", "-", latency(texts)),
            (
                f"{size}: memory of vectors, after `compact`, of the manifest",
                "-",
                f"{vectors.resident_mb:.0f}, {after.resident_mb:.0f}, {texts.resident_mb:.0f} MB",
            ),
            (f"{size}: disk, vectors + manifest", "-", f"{after.disk_mb:.0f} + {texts.disk_mb:.0f} MB"),
            (
                f"{size}: built in (vectors, `compact`, manifest)",
                "-",
                f"{vectors.cpu_s:.1f}, {after.cpu_s:.1f}, {texts.cpu_s:.1f} CPU s",
            ),
            (
                f"{size}: longest single write, vectors / manifest",
                "-",
                f"{vectors.longest_ms:.0f} / {texts.longest_ms:.0f} ms",
            ),
        ]
    return made


def latency(of: Measured) -> str:
    return f"{of.p50_ms:.1f} / {of.p95_ms:.1f} ms ({of.p95_cpu_ms:.1f})"


def notes() -> str:
    return f"""\
Not in these figures: reading and parsing the files, and dense vectors. At 1,000,000 chunks opening took
{_opened_s["points"]:.1f} s for the vectors (with the checksum of the closed folder) and
{_opened_s["manifest"]:.1f} s for the look through the manifest that follows a kill.

**When to move to a Qdrant server** (`index.qdrant_url`), on paper, from these figures: what was put since the
embedded store was last compacted takes 1.1 to 1.7 kB of memory a chunk; what is compacted lies in files. So a worker
of 250 MB holds 1,000,000 chunks, if it compacts after every 100,000 while it reads such a project for the first time.
A search costs in step with the chunks, because common words have posting lists as long as the store: it takes
5 ms of CPU at about 500,000. A server is worth it beyond 1,000,000 chunks, and at any size where several people work
on the same repositories: what one has stored is there for the next. Dense vectors are computed once for all.

**How a cluster divides it**: one collection for all repositories. `repo` is the tenant key of the payload index, so
that points of one repository lie together and a search, which always names its repository, reads no others: it costs
what that repository costs, not what the collection does. By default points are spread over shards by their number,
and a search asks every shard: up to some 10,000,000 points one shard needs no more than one node. Beyond that,
sharding by a key (the repository, or for many small ones a hash of it over a few keys) keeps each search on one node;
replication factor 2 keeps it up when a node goes. Dense vectors have a collection of their own for each model:
1,000,000 of 768 dimensions take 3 GB of memory, or 0.8 GB as bytes with the originals on disk.
"""
