"""Children of test_store_faults. Run as a program: `lives FOLDER`, `made FOLDER closed|crashed`, and
`flips FOLDER manifest|points COUNT SEED`.

`lives` forks a writer for each line it reads; forking spares each of the 200 lives the start of an interpreter.
"""

import json
import os
import random
import signal
import sys
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

from hearth.core.facts import Chunk, Facts, Import, Sparse, Symbol
from hearth.errors import IndexFault
from hearth.index.manifest import FileEntry, Manifest
from hearth.index.points import EdgePoints, Point

FILES = 24
CHUNKS_MAX = 6
HANGS_S = 5
VERSION_TERM = 7


def uid_of(path: str, version: int, number: int) -> int:
    return int.from_bytes(blake2b(f"{path} {version} {number}".encode(), digest_size=8).digest()) >> 1


def version_of(path: str, version: int) -> tuple[FileEntry, list[Point]]:
    """Everything about one version of a file follows from its name and number."""
    pick = random.Random(f"{path} {version}")
    chunks = tuple(
        Chunk(n * 10, n * 10 + 10, f"{path} {version} {n}\n" * pick.randint(1, 60), "f")
        for n in range(pick.randint(0, CHUNKS_MAX))
    )
    facts = Facts(
        tuple(Symbol(f"{path}_{version}_{n}", "function", "", n, n + 1, "def f()") for n in range(pick.randint(0, 9))),
        (Import(f"m{version}", 1, (("a", "b"),)),),
        chunks,
        {f"name_{version}": 1 + version % 9},
    )
    uids = tuple(uid_of(path, version, n) for n in range(len(chunks)))
    vectors = [Sparse((VERSION_TERM, crc32(f"{uid}".encode())), (1.0, 2.0)) for uid in uids]
    entry = FileEntry(path, b"%d" % version, len(chunks), version, "python", facts, uids)
    return entry, [Point(uid, vector) for uid, vector in zip(uids, vectors, strict=True)]


def update(manifest: Manifest, points: EdgePoints, path: str, version: int) -> None:
    """In the order that a crash may break anywhere."""
    entry, new = version_of(path, version)
    stale = manifest.uids_of([path]) - set(entry.uids)
    points.put(new)
    manifest.replace([entry])
    points.drop(stale)


def state(manifest: Manifest, points: EdgePoints | None) -> tuple[dict[str, int], list[str]]:
    """Path -> version of every file, and what is not exactly as that version is."""
    problems: list[str] = []
    versions: dict[str, int] = {}
    there = points.uids() if points else manifest.all_uids()
    uses = {path: [*zip(names, counts, strict=True)] for path, names, counts in manifest.reference_table()}
    for row in manifest.files():
        version = int(row.digest)
        versions[row.path] = version
        entry, wanted = version_of(row.path, version)
        kept = manifest.chunks_in(row.path)
        same = (
            row.mtime_ns == version
            and tuple(chunk.uid for chunk in kept) == entry.uids
            and tuple(Chunk(c.start, c.end, c.text, c.symbol) for c in kept) == entry.facts.chunks
            and manifest.symbols_in(row.path) == list(entry.facts.symbols)
            and manifest.imports_in(row.path) == list(entry.facts.imports)
            and uses.get(row.path) == [(crc32(f"name_{version}".encode()), 1 + version % 9)]
        )
        if not same:
            problems.append(f"{row.path} is half of version {version}")
        if not there.issuperset(entry.uids):
            problems.append(f"{row.path} lost points")
        for point in wanted[:1] if points else ():
            assert points
            assert isinstance(point.vector, Sparse)
            hits = [uid for uid, _ in points.search(Sparse(point.vector.indices[-1:], (1.0,)), 3)]
            if point.uid not in hits and point.vector.indices[-1:] != (VERSION_TERM,):
                problems.append(f"{row.path} is not found")
    return versions, problems


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def live(folder: Path, life: int) -> None:
    """Open, say what is there, then write new versions for ever, saying which are committed."""
    pick = random.Random(life)
    manifest = Manifest(folder / "manifest.db")
    points = EdgePoints(folder / "points")
    versions, problems = state(manifest, points)
    say("open", json.dumps(versions))
    for problem in problems:
        say("bad", problem.replace(" ", "_"))
    # What a crash left behind is invisible; it is cleaned up as the index does it.
    points.drop(points.uids() - manifest.all_uids())
    version = max(versions.values(), default=0)
    say("ready")
    while True:
        version += 1
        path = f"file_{pick.randrange(FILES)}"
        if pick.random() < 0.1:
            stale = manifest.uids_of([path])
            manifest.remove([path])
            points.drop(stale)
            say("gone", path)
        else:
            update(manifest, points, path, version)
            say("ack", path, version)


def lives(folder: Path) -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            live(folder, int(line))
        say("pid", pid)
        os.waitpid(pid, 0)
        say("dead")


def made(folder: Path, end: str) -> None:
    """Leave a store as it is left by whoever closes it, or by a kill: with both logs unplayed."""
    manifest, points = Manifest(folder / "manifest.db"), EdgePoints(folder / "points")
    for version in range(1, 60):
        update(manifest, points, f"file_{version % FILES}", version)
    if end == "crashed":
        os.kill(os.getpid(), signal.SIGKILL)
    points.close()
    manifest.close()


# Flips

Snapshot = dict[str, tuple[int, list[tuple[int, bytes]]]]


def snapshot(folder: Path) -> Snapshot:
    """What is really on the disk of each file; the rest of 130 MB are holes."""
    kept: Snapshot = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = path.stat().st_size
        with path.open("rb") as stream:
            pieces: list[tuple[int, bytes]] = []
            at = 0
            while at < size:
                try:
                    start = os.lseek(stream.fileno(), at, os.SEEK_DATA)
                except OSError:
                    break
                at = os.lseek(stream.fileno(), start, os.SEEK_HOLE)
                pieces.append((start, os.pread(stream.fileno(), at - start, start)))
        kept[path.relative_to(folder).as_posix()] = (size, pieces)
    return kept


def restore(folder: Path, kept: Snapshot) -> None:
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in kept:
            path.unlink()
    for name, (size, pieces) in kept.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as stream:
            stream.truncate(size)
            for at, data in pieces:
                os.pwrite(stream.fileno(), data, at)


def flip(folder: Path, kept: Snapshot, part: str, pick: random.Random) -> str:
    """Flip one bit; half of the time near the start of a piece, where layouts are described."""
    names = [n for n, (size, _) in kept.items() if size and n.startswith(part)]
    name = pick.choice(names)
    size, pieces = kept[name]
    start, data = pick.choice(pieces) if pieces else (0, b"\0" * size)
    length = min(len(data), size - start)
    at = start + pick.randrange(min(length, 200) if pick.random() < 0.5 else length)
    with (folder / name).open("r+b") as stream:
        value = os.pread(stream.fileno(), 1, at) or b"\0"
        os.pwrite(stream.fileno(), bytes([value[0] ^ 1 << pick.randrange(8)]), at)
    return f"{name}[{at}]"


def manifest_used(folder: Path) -> str:
    """Open, read everything, write, close: "good", "lost" if something is not as it was, "named" for an IndexFault."""
    manifest = None
    try:
        manifest = Manifest(folder / "manifest.db")
        versions, problems = state(manifest, None)
        for table in (manifest.all_imports, manifest.reference_table, manifest.definition_table):
            list(table())
        manifest.chunks(manifest.all_uids())
        manifest.definitions([f"file_{n}_{n + 1}_0" for n in range(9)], 3)
        manifest.replace([version_of("new", 1_000)[0]])
        return "good" if not problems and len(versions) == FILES else "lost"
    except IndexFault:
        return "named"
    except ValueError as error:
        # A digest that is not a number; anything else that is not named is a fault of the store.
        return "lost" if "invalid literal" in str(error) else f"odd {error!r}"
    finally:
        if manifest:
            manifest.close()


def points_used(folder: Path) -> str:
    """The same for points; what they must be is in the manifest, which is sound."""
    points = None
    manifest = Manifest(folder / "manifest.db")
    try:
        points = EdgePoints(folder / "points")
        _, problems = state(manifest, points)
        points.search(Sparse((VERSION_TERM,), (1.0,)), 50)
        points.put(version_of("new", 1_000)[1])
        points.drop(points.uids() - manifest.all_uids())
        points.flush()
        return "lost" if problems else "good"
    except IndexFault:
        return "named"
    finally:
        if points:
            points.close()
        manifest.close()


def flips(folder: Path, part: str, count: int, seed: int) -> None:
    """Print how often each end was met, and an example of each."""
    import resource  # which Windows does not have

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pick = random.Random(seed)
    kept = snapshot(folder)
    ends: Counter[str] = Counter()
    examples: dict[str, str] = {}
    null = os.open(os.devnull, os.O_WRONLY)
    for _ in range(count):
        restore(folder, kept)
        where = flip(folder, kept, part, pick)
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.dup2(null, 2)
            signal.alarm(HANGS_S)
            end = "odd"
            try:
                end = (manifest_used if part == "manifest" else points_used)(folder)
            except BaseException as error:  # noqa: BLE001  (a panic derives from it)
                end = f"odd {error!r}"
            os.write(write, end.encode()[:400])
            os._exit(0)
        os.close(write)
        end = os.read(read, 400).decode()
        os.close(read)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            end = f"died of {signal.Signals(os.WTERMSIG(status)).name}"
        ends[end] += 1
        examples.setdefault(end, where)
    restore(folder, kept)
    print(json.dumps({"ends": ends, "examples": examples}))


def main() -> None:
    folder = Path(sys.argv[2])
    if sys.argv[1] == "lives":
        lives(folder)
    elif sys.argv[1] == "made":
        made(folder, sys.argv[3])
    else:
        flips(folder, sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))


if __name__ == "__main__":
    main()
