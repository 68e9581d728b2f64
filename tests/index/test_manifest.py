"""The manifest: what is put in comes out, a file at a time, and whatever is wrong with the database is named."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from zlib import crc32

import pytest

from hearth.core.facts import Chunk, Facts, Import, Symbol
from hearth.errors import IndexCorrupt, IndexFault
from hearth.index import manifest as module
from hearth.index.manifest import (
    ChunkRow,
    FileEntry,
    FileRow,
    Manifest,
    ManifestAway,
    ManifestCorrupt,
    ManifestFull,
    ManifestOutdated,
)

SHAPE = Symbol("Shape", "class", "", 0, 9, "class Shape(Base)")
AREA = Symbol("area", "method", "Shape", 2, 5, "def area(self, scale: float = 1) -> float")
OTHER_AREA = Symbol("area", "function", "", 7, 8, "def area(x)")


def entry(path, *, symbols=(), imports=(), texts=(), references=None, uids=None, digest=b"d"):
    chunks = tuple(Chunk(n * 10, n * 10 + 10, text, "Shape.area") for n, text in enumerate(texts))
    facts = Facts(tuple(symbols), tuple(imports), chunks, references or {})
    made = tuple(crc32(f"{path} {text} {n}".encode()) for n, text in enumerate(texts))
    return FileEntry(path, digest, 7, 12_345_678_901_234_567, "python", facts, made if uids is None else tuple(uids))


@pytest.fixture
def kept(tmp_path):
    manifest = Manifest(tmp_path / "index" / "manifest.db")
    yield manifest
    manifest.close()


def test_what_is_put_in_comes_out(kept):
    imports = (
        Import("..models", 3, (("Shape", "Shape"), ("Circle", "Round"))),
        Import("numpy", 4, alias="np"),
        Import("foo.h", 5),
    )
    texts = ("zwölf\n\U0001f642\n", "a\0b\n")
    kept.replace(
        [
            entry("src/a.py", symbols=(SHAPE, AREA), imports=imports, texts=texts, uids=(2**63 - 1, 0)),
            entry("b.py", symbols=(OTHER_AREA,), texts=("x",), uids=(5,)),
        ]
    )
    assert kept.file("src/a.py") == FileRow("src/a.py", b"d", 7, 12_345_678_901_234_567, "python")
    assert kept.file("a.py") is None
    assert [row.path for row in kept.files()] == ["b.py", "src/a.py"]
    assert kept.uids_of(["src/a.py", "unknown"]) == {2**63 - 1, 0}
    assert kept.all_uids() == {2**63 - 1, 0, 5}
    assert kept.chunks([0, 5, 77]) == {
        0: ChunkRow(0, "src/a.py", 10, 20, "a\0b\n", "Shape.area"),
        5: ChunkRow(5, "b.py", 0, 10, "x", "Shape.area"),
    }
    assert [chunk.text for chunk in kept.chunks_in("src/a.py")] == list(texts)
    assert kept.symbols_in("src/a.py") == [SHAPE, AREA]
    assert kept.imports_in("src/a.py") == list(imports)
    assert list(kept.all_imports()) == [("src/a.py", list(imports))]
    assert kept.definitions(["area", "Shape", "none"], 5) == {
        "area": [("src/a.py", AREA), ("b.py", OTHER_AREA)],
        "Shape": [("src/a.py", SHAPE)],
    }
    assert kept.definitions(["area"], 1) == {"area": [("src/a.py", AREA)]}
    assert list(kept.definition_table()) == [
        ("src/a.py", [("Shape", "class"), ("area", "method")]),
        ("b.py", [("area", "function")]),
    ]
    assert kept.counts() == {"files": 2, "chunks": 3, "symbols": 3}
    for question in (kept.symbols_in, kept.imports_in, kept.chunks_in, kept.paths_named):
        assert question("unknown") == []


def test_references_are_counted_by_name(kept):
    kept.replace(
        [
            entry("a.py", references={"area": 3, "Shape": 1, "größe": 2}),
            entry("b.py", references={"area": 70_000}),
            entry("c.py"),
        ]
    )
    assert kept.references_of("area") == [("b.py", 0xFFFF), ("a.py", 3)]
    assert kept.references_of("größe") == [("a.py", 2)]
    assert kept.references_of("nothing") == []
    table = {path: dict(zip(names, counts, strict=True)) for path, names, counts in kept.reference_table()}
    assert table == {
        "a.py": {crc32(b"area"): 3, crc32(b"Shape"): 1, crc32("größe".encode()): 2},
        "b.py": {crc32(b"area"): 0xFFFF},
    }


def test_bytes_of_two_names_do_not_make_a_third(kept):
    """The needle is looked for at every byte, but counts only where a name begins."""
    names = {f"name_{n}": 1 for n in range(2_000)}
    kept.replace([entry("a.py", references=names)])
    ((_, keys, _counts),) = kept.reference_table()
    blob = b"".join(key.to_bytes(4, "little") for key in keys)
    between = int.from_bytes(blob[2:6], "little")
    spelled = next(n for n in (f"x{k}" for k in range(100)) if crc32(n.encode()) != between)
    monkey = module.crc32
    module.crc32 = lambda _data: between  # pyright: ignore
    try:
        assert kept.references_of(spelled) == []
    finally:
        module.crc32 = monkey


def test_replacing_forgets_the_old_and_keeps_the_order(kept):
    kept.replace(
        [entry("a.py", symbols=(AREA, SHAPE), texts=("one", "two"), references={"x": 1}, imports=(Import("m", 0),))]
    )
    kept.replace([entry("b.py", symbols=(OTHER_AREA,))])
    old = kept.uids_of(["a.py"])
    kept.replace([entry("a.py", symbols=(AREA,), texts=("three",), digest=b"new")])
    assert kept.uids_of(["a.py"]).isdisjoint(old)
    assert len(kept.all_uids()) == 1
    assert kept.symbols_in("a.py") == [AREA]
    assert kept.imports_in("a.py") == []
    assert kept.references_of("x") == []
    assert kept.file("a.py").digest == b"new"
    assert [path for path, _ in kept.definitions(["area"], 5)["area"]] == ["a.py", "b.py"], "as before the edit"
    kept.remove(["a.py", "unknown"])
    assert kept.file("a.py") is None
    assert kept.all_uids() == set()
    assert kept.counts() == {"files": 1, "chunks": 0, "symbols": 1}
    assert kept.definitions(["area"], 5) == {"area": [("b.py", OTHER_AREA)]}


def test_neighbours_are_left_alone(kept):
    """Keys of one file's rows must not reach into the next file's."""
    kept.replace(
        [entry(f"{n}.py", symbols=(AREA,) * 30, texts=tuple("abc"), references={"r": n + 1}) for n in range(40)]
    )
    kept.replace([entry("20.py")])
    kept.remove(["7.py"])
    for n in range(40):
        gone = n in (7, 20)
        assert len(kept.symbols_in(f"{n}.py")) == (0 if gone else 30)
        assert len(kept.uids_of([f"{n}.py"])) == (0 if gone else 3)
    assert len(kept.references_of("r")) == 38


def test_a_file_that_was_only_touched_keeps_everything_else(kept):
    kept.replace([entry("a.py", symbols=(AREA,), texts=("x",), uids=(1,))])
    kept.touch([("a.py", 8, 99), ("unknown", 1, 1)])
    kept.touch([])
    assert kept.files() == [FileRow("a.py", b"d", 8, 99, "python")]
    assert kept.symbols_in("a.py") == [AREA]
    assert kept.all_uids() == {1}


def test_files_are_found_by_their_last_name(kept):
    kept.replace([entry("b/models.py"), entry("a/models.py"), entry("models.py"), entry("a/models.pyi")])
    assert kept.paths_named("models.py") == ["a/models.py", "b/models.py", "models.py"]


def test_many_at_once_come_in_pages(kept, monkeypatch):
    monkeypatch.setattr(module, "FILES_AT_ONCE", 7)
    monkeypatch.setattr(module, "AT_ONCE_MAX", 7)
    kept.replace(
        [
            entry(
                f"{n}.py", symbols=(AREA,) * (n % 2), texts=(f"t{n}",), imports=(Import("m", n),), references={"r": 1}
            )
            for n in range(50)
        ]
    )
    assert len(kept.chunks(kept.all_uids())) == 50
    assert sorted(path for path, _ in kept.all_imports()) == sorted(f"{n}.py" for n in range(50))
    assert len(kept.references_of("r")) == len(list(kept.reference_table())) == 50
    assert len(list(kept.definition_table())) == 25


def test_going_through_everything_allows_writing_meanwhile(kept, monkeypatch):
    monkeypatch.setattr(module, "FILES_AT_ONCE", 3)
    kept.replace([entry(f"{n}.py", imports=(Import("m", n),)) for n in range(20)])
    seen = []
    for path, _ in kept.all_imports():
        seen.append(path)
        kept.replace([entry(path, imports=(Import("n", 0),))])
    assert len(seen) == len(set(seen)) == 20


@pytest.mark.parametrize("uids", [(1,), (1, 1), (1, 2, 3)])
def test_a_chunk_without_a_number_of_its_own_is_refused_whole(kept, uids):
    with pytest.raises(ValueError, match=r"a\.py"):
        kept.replace([entry("b.py"), entry("a.py", texts=("x", "y"), uids=uids)])
    assert kept.files() == []


def test_a_number_goes_to_whoever_used_it_last(kept):
    kept.replace([entry("a.py", texts=("x",), uids=(1,))])
    kept.replace([entry("b.py", texts=("y",), uids=(1,))])
    assert kept.chunks([1])[1].path == "b.py"
    assert kept.uids_of(["a.py"]) == set()


def test_the_last_of_two_entries_for_a_path_counts(kept):
    kept.replace([entry("a.py", digest=b"1", symbols=(AREA,)), entry("a.py", digest=b"2")])
    assert kept.file("a.py").digest == b"2"
    assert kept.symbols_in("a.py") == []


def test_a_transaction_that_fails_leaves_everything_as_it_was(kept):
    kept.replace([entry("a.py", texts=("x",), uids=(1,), symbols=(AREA,))])
    broken = entry("b.py")._replace(facts=Facts(symbols=(Symbol(None, "class", "", 0, 1, ""),)))
    with pytest.raises(IndexFault):
        kept.replace([entry("a.py"), broken])
    assert kept.symbols_in("a.py") == [AREA]
    assert kept.file("b.py") is None
    kept.replace([entry("b.py")])


def test_it_is_still_there_after_closing(tmp_path):
    path = tmp_path / "manifest.db"
    first = Manifest(path)
    first.replace([entry("a.py", symbols=(AREA,))])
    first.set_meta("grammar", "1")
    first.close()
    first.close()
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.db"]
    second = Manifest(path)
    assert second.symbols_in("a.py") == [AREA]
    assert second.get_meta("grammar") == "1"
    assert second.get_meta("clean") is None, "its own marks are not the caller's"
    second.close()
    with pytest.raises(ManifestAway):
        second.files()


def test_threads_take_turns(kept):
    def write(name):
        for n in range(30):
            kept.replace([entry(f"{name}{n}.py", texts=("x",))])
            assert kept.files()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.counts()["files"] == 90


def test_it_is_for_the_user_alone(tmp_path):
    folder = tmp_path / "deep" / "index"
    manifest = Manifest(folder / "manifest.db")
    manifest.replace([entry("a.py")])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 3, "with its log beside it"
    manifest.close()


# Not ours


@pytest.mark.parametrize("content", [b"x" * 5_000, b"SQLite format 3\0" + b"\xff" * 5_000, b"not a database"])
def test_a_file_that_is_no_database(tmp_path, content):
    (tmp_path / "m.db").write_bytes(content)
    with pytest.raises(ManifestCorrupt):
        Manifest(tmp_path / "m.db")
    assert (tmp_path / "m.db").read_bytes() == content, "left for the caller to put aside"


def test_an_empty_file_is_a_new_database(tmp_path):
    """What a process leaves that was killed while it made one."""
    (tmp_path / "m.db").touch()
    Manifest(tmp_path / "m.db").close()
    with closing(sqlite3.connect(tmp_path / "n.db")) as base:
        base.execute("PRAGMA journal_mode = WAL")
    Manifest(tmp_path / "n.db").close()


@pytest.mark.parametrize(
    "plant",
    [
        "CREATE TABLE more(x)",
        "CREATE VIEW more AS SELECT 1",
        "CREATE TRIGGER more AFTER INSERT ON files BEGIN DELETE FROM chunks; END",
        "DROP INDEX symbols_name",
        "PRAGMA application_id = 1",
    ],
)
def test_another_layout_is_not_ours(tmp_path, plant):
    path = tmp_path / "m.db"
    Manifest(path).close()
    with closing(sqlite3.connect(path)) as base:
        base.execute(plant)
        base.commit()
    with pytest.raises(ManifestCorrupt) as caught:
        Manifest(path)
    assert not isinstance(caught.value, ManifestOutdated)


@pytest.mark.parametrize("version", [0, 1, 99])
def test_another_version_is_told_apart(tmp_path, version):
    path = tmp_path / "m.db"
    Manifest(path).close()
    with closing(sqlite3.connect(path)) as base:
        base.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(ManifestOutdated):
        Manifest(path)


@pytest.mark.parametrize("kind", ["folder", "link", "loose end"])
def test_only_a_plain_file_is_opened(tmp_path, kind):
    path = tmp_path / "m.db"
    if kind == "folder":
        path.mkdir()
    else:
        target = tmp_path / "elsewhere.db"
        if kind == "link":
            Manifest(target).close()
        path.symlink_to(target)
    with pytest.raises(ManifestCorrupt):
        Manifest(path)
    assert kind != "loose end" or not (tmp_path / "elsewhere.db").exists()


def test_a_place_where_nothing_can_be_kept(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestAway):
        Manifest(tmp_path / "file" / "m.db")


def test_a_database_that_somebody_else_has_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BUSY_S", 0.01)
    manifest = Manifest(tmp_path / "m.db")
    manifest.replace([entry("a.py")])
    with closing(sqlite3.connect(tmp_path / "m.db", isolation_level=None)) as base:
        base.execute("BEGIN IMMEDIATE")
        with pytest.raises(ManifestAway):
            manifest.replace([entry("b.py")])
        assert len(manifest.files()) == 1, "reading goes on"
        base.execute("ROLLBACK")
    manifest.replace([entry("b.py")])
    manifest.close()


# Garbled rows


@pytest.mark.parametrize(
    ("garble", "ask"),
    [
        ("UPDATE files SET path = x'ff'", Manifest.files),
        ("UPDATE files SET size = 'seven'", Manifest.files),
        ("UPDATE files SET digest = 'text'", lambda m: m.file("a.py")),
        ("UPDATE chunks SET text = CAST(x'ff' AS TEXT)", lambda m: m.chunks([1])),
        ("UPDATE chunks SET text = x'00'", lambda m: m.chunks_in("a.py")),
        ("UPDATE symbols SET start = 1.5", lambda m: m.symbols_in("a.py")),
        ("UPDATE facts SET imports = '[['", lambda m: m.imports_in("a.py")),
        ("UPDATE facts SET imports = '[[1]]'", lambda m: list(m.all_imports())),
        ("UPDATE facts SET imports = '{}1'", lambda m: list(m.all_imports())),
        ("UPDATE facts SET imports = '7'", lambda m: list(m.all_imports())),
        ("UPDATE facts SET counts = x'00'", lambda m: list(m.reference_table())),
        ("UPDATE facts SET names = names || x'00'", lambda m: m.references_of("r")),
    ],
)
def test_a_garbled_row_is_named_when_it_is_read(tmp_path, garble, ask):
    path = tmp_path / "m.db"
    manifest = Manifest(path)
    manifest.replace(
        [entry("a.py", symbols=(AREA,), texts=("x",), uids=(1,), imports=(Import("m", 1),), references={"r": 1})]
    )
    manifest.close()
    with closing(sqlite3.connect(path)) as base:
        base.execute(garble)
        base.commit()
    manifest = Manifest(path)
    with pytest.raises(IndexCorrupt):
        ask(manifest)
    manifest.close()


# Full


FULL = """
import json, resource, sys
from pathlib import Path
from hearth.core.facts import Chunk, Facts
from hearth.index.manifest import FileEntry, Manifest, ManifestFull
import hearth.index.manifest as module
module.FREE_BYTES_MIN = 1 << 62  # where a limit refuses the bytes there is room, as far as the disk knows

def entry(n):
    return FileEntry(f"{n}.py", b"d", 1, 1, "python", Facts(chunks=(Chunk(0, 1, "x" * 20_000),)), (n,))

manifest = Manifest(Path(sys.argv[1]))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
committed, full = [], 0
for n in range(300):
    try:
        manifest.replace([entry(n)])
        committed.append(n)
    except ManifestFull:
        full += 1
    assert manifest.uids_of([f"{k}.py" for k in range(n + 1)]) == set(committed)
known = [row.path for row in manifest.files()]
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
manifest.replace([entry(1_000)])
manifest.close()
print(json.dumps({"committed": committed, "full": full, "known": known}))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_is_named_and_what_was_committed_can_be_read(tmp_path):
    """A limit on file sizes plays the full disk: SQLite sees its writes refused in the same places."""
    path = tmp_path / "m.db"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["full"] > 50
    assert len(said["committed"]) > 20
    assert set(said["known"]) == {f"{n}.py" for n in said["committed"]}
    manifest = Manifest(path)
    assert manifest.all_uids() == {*said["committed"], 1_000}
    manifest.close()


def test_no_room_for_a_new_database(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SCHEMA", ("PRAGMA max_page_count = 1", *module._SCHEMA))
    with pytest.raises(ManifestFull):
        Manifest(tmp_path / "m.db")


# Killed


def test_after_a_kill_it_is_read_through(tmp_path):
    """Damage that would be met late is found at once if the last one who wrote did not close."""
    path, live = tmp_path / "m.db", tmp_path / "live" / "m.db"
    manifest = Manifest(live)
    manifest.replace([entry(f"{n}.py", texts=("x" * 3_000,)) for n in range(50)])
    with closing(sqlite3.connect(live)) as base:
        base.execute("PRAGMA wal_checkpoint")
    shutil.copy(live, path)
    manifest.close()
    shutil.copy(live, tmp_path / "closed.db")
    for name in ("m.db", "closed.db"):
        data = bytearray((tmp_path / name).read_bytes())
        data[4_096 * 12 : 4_096 * 12 + 8] = b"\xff" * 8
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ManifestCorrupt):
        Manifest(path)
    closed = Manifest(tmp_path / "closed.db")
    with pytest.raises(ManifestCorrupt):
        [closed.chunks_in(row.path) for row in closed.files()]
    closed.close()


def test_only_who_wrote_marks_the_database_open(tmp_path):
    path = tmp_path / "m.db"
    Manifest(path).close()
    before = Path(path).read_bytes()
    reader = Manifest(path)
    assert reader.files() == []
    reader.close()
    assert Path(path).read_bytes() == before
