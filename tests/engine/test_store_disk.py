"""The store on disk: killed, damaged, planted, full. It loses nothing that it acknowledged and never runs anything."""

import asyncio
import json
import os
import pickle
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import diskcache
import pytest
from store_writer import entry

from hearth import store_disk
from hearth.errors import HearthError
from hearth.store import STORED_PER_DOCUMENT_MAX, Entry, Memory, Place
from hearth.store_disk import ASIDE_MAX, FILE_NAME, RECORD_BYTES_MAX, NotOurs, PlainDisk, Shelf

WRITER = Path(__file__).with_name("store_writer.py")
KILLS = 200
FLIPS = 1_000
URI = "file:///a.py"


@asynccontextmanager
async def opened(folder, told=None):
    shelf = Shelf(folder, (lambda error: told.append(error)) if told is not None else print)
    shelf.start()
    try:
        yield shelf
    finally:
        await shelf.aclose()


async def stored(folder, records, name="name", slots=64):
    async with opened(folder) as shelf:
        for record in records:
            assert shelf.put(name, record, slots)
        assert await shelf.flush(60)


async def loaded(folder, name="name", slots=64, told=None):
    async with opened(folder, told) as shelf:
        return await shelf.load(name, slots)


# What it is for


async def test_suggestions_outlive_the_process(tmp_path):
    place = Place(URI, "x = ", "", "below")
    async with opened(tmp_path / "prompts") as shelf:
        memory = Memory(shelf)
        memory.remember(Entry(place, "old\n", "backend", "model"))
        memory.remember(Entry(place, "new(\ud83d\n", "backend", "model"))
        memory.remember(Entry(Place(URI, "y = ", "", ""), "copied", "workspace"))
    async with opened(tmp_path / "prompts") as shelf:
        memory = Memory(shelf)
        assert memory.lookup(place) is None
        await memory.opened(URI)
        assert [rest for _, rest in memory.lookup_all(place)] == ["new(\ud83d\n", "old\n"]
        assert memory.lookup(Place(URI, "x = ne", "", "below"))[1] == "w(\ud83d\n"
        assert memory.lookup(Place(URI, "y = ", "", "")) is None, "a copy of the workspace is not worth the disk"
        # What was remembered meanwhile is newer than what the disk had.
        memory.forget(URI)
        memory.remember(Entry(place, "newest", "backend", "model"))
        memory.remember(Entry(place, "old\n", "backend", "model"))
        await memory.opened(URI)
        await memory.opened(URI)
        assert [rest for _, rest in memory.lookup_all(place)] == ["old\n", "newest", "new(\ud83d\n"]


async def test_what_was_dropped_stays_away(tmp_path):
    place = Place(URI, "x = ", "", "")
    async with opened(tmp_path) as shelf:
        memory = Memory(shelf)
        for text in ("one", "two"):
            memory.remember(Entry(place, text, "backend", "model"))
        memory.drop(Entry(place, "two"))
        memory.drop(Entry(place, "two", "backend", "model"))
        assert [rest for _, rest in memory.lookup_all(place)] == ["one"]
    async with opened(tmp_path) as shelf:
        memory = Memory(shelf)
        await memory.opened(URI)
        assert [rest for _, rest in memory.lookup_all(place)] == ["one"]
        memory.remember(Entry(place, "two", "backend", "model"))
    async with opened(tmp_path) as shelf:
        memory = Memory(shelf)
        await memory.opened(URI)
        assert [rest for _, rest in memory.lookup_all(place)] == ["two", "one"], "suggested anew, it is wanted anew"


@pytest.mark.parametrize(
    "uri", ["file:///w/.env", "file:///w/%2Eenv", "file:///home/u/.ssh/config", "untitled:1", "http://[", ""]
)
async def test_nothing_of_secrets_is_written(tmp_path, uri):
    async with opened(tmp_path) as shelf:
        memory = Memory(shelf)
        memory.remember(Entry(Place(uri, "PASSWORD=", "", ""), "hunter2", "backend", "model"))
        assert memory.lookup(Place(uri, "PASSWORD=", "", ""))
        await memory.opened(uri)
    assert b"hunter2" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


async def test_the_folder_is_the_users_alone(tmp_path):
    await stored(tmp_path / "deep" / "prompts", [{"n": 1}])
    assert (tmp_path / "deep" / "prompts").stat().st_mode & 0o777 == 0o700


# Bounds


async def test_the_newest_records_are_kept_oldest_first(tmp_path):
    await stored(tmp_path, [{"n": n} for n in range(10)], slots=4)
    assert await loaded(tmp_path, slots=4) == [{"n": n} for n in (6, 7, 8, 9)]
    await stored(tmp_path, [{"n": 10}], slots=4)
    assert await loaded(tmp_path, slots=4) == [{"n": n} for n in (7, 8, 9, 10)]
    assert await loaded(tmp_path, "another") == []


async def test_everything_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(store_disk, "RECORDS_MAX", 100)
    monkeypatch.setattr(store_disk, "COUNTED_EVERY", 50)
    async with opened(tmp_path) as shelf:
        assert not shelf.put("big", {"text": "x" * RECORD_BYTES_MAX})
        for number in range(400):
            shelf.put(f"name {number}", {"n": number})
            if number % 20 == 0:
                assert await shelf.flush(60)
        assert await shelf.flush(60)
        assert await shelf.load("name 399") == [{"n": 399}]
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as base:
        assert base.execute("SELECT count(*) FROM Cache").fetchone()[0] <= 150


async def test_bytes_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setitem(store_disk._SETTINGS, "size_limit", 300_000)
    async with opened(tmp_path) as shelf:
        for number in range(200):
            shelf.put(f"name {number}", {"text": "x" * 10_000})
            if number % 20 == 0:
                assert await shelf.flush(60)
    assert (tmp_path / FILE_NAME).stat().st_size < 400_000


async def test_old_records_are_not_served(tmp_path, monkeypatch):
    monkeypatch.setattr(store_disk, "AGE_MAX_S", -1.0)
    await stored(tmp_path, [{"n": 1}])
    assert await loaded(tmp_path) == []


async def test_what_does_not_fit_the_queue_is_dropped(tmp_path):
    shelf = Shelf(tmp_path)
    assert not shelf.put("name", {}), "not started"
    assert await shelf.load("name") == []
    held = threading.Event()
    shelf._store.open = held.wait  # the disk hangs
    shelf.start()
    fits = [shelf.put("name", {"n": n}) for n in range(store_disk.QUEUE_MAX + 10)]
    assert fits.count(False) >= 9
    assert shelf.dropped == fits.count(False)
    held.set()
    del shelf._store.open
    await asyncio.sleep(0)
    while not await shelf.flush(60):
        await asyncio.sleep(0.01)
    await shelf.aclose()
    assert not shelf.put("name", {})


async def test_a_hanging_disk_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setattr(store_disk, "LOAD_S", 0.05)
    monkeypatch.setattr(store_disk, "CLOSE_S", 0.05)
    held = threading.Event()
    shelf = Shelf(tmp_path)
    shelf._store.open = held.wait
    shelf.start()
    memory = Memory(shelf)
    memory.remember(Entry(Place(URI, "x", "", ""), "y", "backend", "model"))
    await memory.opened(URI)
    assert memory.lookup(Place(URI, "x", "", ""))[1] == "y"
    await shelf.aclose()
    held.set()


async def test_two_windows_share_a_store(tmp_path):
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        for number in range(20):
            one.put("one", {"n": number}, 64)
            other.put("other", {"n": number}, 64)
        assert await one.flush(60)
        assert await other.flush(60)
        assert await one.load("other", 64) == await other.load("one", 64) == [{"n": n} for n in range(20)]


async def test_a_lock_that_is_not_given_back_costs_only_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(store_disk, "LOCK_S", 0)
    await stored(tmp_path, [{"n": 1}])
    told: list[HearthError] = []
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as base:
        base.execute("BEGIN IMMEDIATE")
        async with opened(tmp_path, told) as shelf:
            shelf.put("name", {"n": 2})
            assert not await shelf.flush(60)
            assert shelf.problem
        base.execute("ROLLBACK")
    assert len(told) == 1
    assert await loaded(tmp_path) == [{"n": 1}]


# Killed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_no_kill_loses_what_was_acknowledged(tmp_path):
    folder = tmp_path / "prompts"
    pick = random.Random(1)
    acknowledged: dict[int, int] = {}
    argv = (sys.executable, str(WRITER), "lives", str(folder))
    process = await asyncio.create_subprocess_exec(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    async with asyncio.timeout(120):
        for life in range(KILLS):
            process.stdin.write(f"{life}\n".encode())
            patience = pick.randint(0, 12)
            pid = 0
            while (line := (await process.stdout.readline()).decode().split()) != ["dead"]:
                assert line[0] != "told", line
                if line[0] == "pid":
                    pid = int(line[1])
                else:
                    acknowledged[life] = int(line[1])
                    patience -= 1
                if pid and patience <= 0:
                    await asyncio.sleep(pick.random() * 0.004)
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        process.stdin.close()
        await process.wait()
    assert sum(acknowledged.values()) > KILLS * 5
    lost: list[tuple[int, int]] = []
    told: list[HearthError] = []
    async with opened(folder, told) as shelf:
        memory = Memory(shelf)
        for life, count in acknowledged.items():
            await memory.opened(f"file:///life_{life}.py")
            for number in range(count):
                wanted = entry(life, number)
                found = memory.lookup(wanted.place)
                if found is None or found[0] != wanted:
                    lost.append((life, number))
    assert lost == []
    assert told == []
    assert [path.name for path in tmp_path.iterdir()] == ["prompts"], "nothing was put aside"
    with closing(sqlite3.connect(folder / FILE_NAME)) as base:
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = base.execute("SELECT key, value FROM Cache").fetchall()
    assert len(rows) >= sum(acknowledged.values())
    assert all(store_disk._unsealed(key, value) for key, value in rows)


# Damaged


def copy_of(folder, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)


def flip_one(folder, pick):
    """Flip one bit of one of the store's files; often near its start, where the layout is described."""
    path = pick.choice([path for path in sorted(folder.iterdir()) if path.stat().st_size])
    data = bytearray(path.read_bytes())
    at = pick.randrange(min(len(data), 200) if pick.random() < 0.3 else len(data))
    data[at] ^= 1 << pick.randrange(8)
    path.write_bytes(data)
    return f"{path.name}[{at}]"


async def test_bit_flips_never_block_and_never_lie(tmp_path):
    """Also with a write-ahead log that a killed process left behind."""
    records = [{"n": n, "text": f"text {n} " * 20} for n in range(40)]
    clean, crashed, target = tmp_path / "clean", tmp_path / "crashed", tmp_path / "flipped"
    await stored(clean, records)
    async with opened(tmp_path / "live") as shelf:
        for record in records:
            shelf.put("name", record, 64)
        assert await shelf.flush(60)
        copy_of(tmp_path / "live", crashed)
    assert {path.name for path in crashed.iterdir()} >= {FILE_NAME, f"{FILE_NAME}-wal"}
    pick = random.Random(7)
    whole = none = 0
    for number in range(FLIPS):
        copy_of(pick.choice([clean, crashed]), target)
        where = flip_one(target, pick)
        told: list[HearthError] = []
        async with opened(target, told) as shelf:
            found = await shelf.load("name", 64)
            assert all(record in records for record in found), where
            whole += len(found) == len(records)
            none += not found
            assert shelf.put("name", {"n": number}, 64)
            assert await shelf.flush(60), (where, shelf.problem)
            assert await shelf.load("name", 64) == [*found, {"n": number}] or told, where
        assert len(told) <= 1, (where, told)
    assert whole > FLIPS / 4, "most damage is in free space or in one record"
    assert none < FLIPS / 2
    assert len(list(tmp_path.glob("flipped.corrupt-*"))) <= ASIDE_MAX


@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0" + b"\xff" * 5000, b"not a database" * 500])
async def test_a_file_that_is_no_database_is_put_aside(tmp_path, content):
    folder = tmp_path / "prompts"
    for _ in range(ASIDE_MAX + 2):
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        (folder / FILE_NAME).write_bytes(content)
        told: list[HearthError] = []
        async with opened(folder, told) as shelf:
            assert await shelf.load("name") == []
            assert shelf.put("name", {"n": 1})
            assert await shelf.flush(60)
        assert told == []
    aside = {path.name for path in tmp_path.iterdir()} - {"prompts"}
    assert aside == ({f"prompts.corrupt-{n + 1}" for n in range(ASIDE_MAX)} if len(content) > 1 else set())
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0


async def test_a_cut_or_missing_part_is_no_trouble(tmp_path):
    await stored(tmp_path / "whole", [{"n": n, "text": "x" * 3000} for n in range(40)])
    size = (tmp_path / "whole" / FILE_NAME).stat().st_size
    for cut in range(0, size, size // 20):
        copy_of(tmp_path / "whole", tmp_path / "cut")
        os.truncate(tmp_path / "cut" / FILE_NAME, cut)
        async with opened(tmp_path / "cut") as shelf:
            await shelf.load("name", 64)
            shelf.put("name", {"n": 1})
            assert await shelf.flush(60)


async def test_a_folder_in_place_of_the_file(tmp_path):
    (tmp_path / "prompts" / FILE_NAME).mkdir(parents=True)
    async with opened(tmp_path / "prompts") as shelf:
        shelf.put("name", {"n": 1})
        assert await shelf.flush(60)


async def test_a_place_where_no_folder_can_be_is_named_once(tmp_path):
    (tmp_path / "file").write_text("")
    told: list[HearthError] = []
    async with opened(tmp_path / "file" / "prompts", told) as shelf:
        for _ in range(3):
            shelf.put("name", {"n": 1})
            assert not await shelf.flush(60)
        assert await shelf.load("name") == []
        assert "cannot be kept" in shelf.problem
    assert len(told) == 1
    assert told[0].remedy


# Planted


class Bomb:
    """Unpickling it makes the file `path`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


PLANTED = (
    "UPDATE Cache SET mode = 4, value = :bomb",
    "UPDATE Cache SET mode = 4, value = NULL, filename = 'bomb.pickle'",
    "UPDATE Cache SET mode = 4, value = NULL, filename = :outside",
    "UPDATE Cache SET mode = 2, value = NULL, filename = :outside",
    "UPDATE Cache SET mode = 3, value = NULL, filename = '../victim'",
    "UPDATE Cache SET raw = 0, key = :bomb",
    "UPDATE Cache SET raw = 0, key = :bomb, expire_time = 1",
    "INSERT INTO Cache(key, raw, mode, value, expire_time, filename) VALUES (:bomb, 0, 4, :bomb, 1, '../victim')",
    "INSERT INTO Settings VALUES ('disk_pickle', :bomb)",
    "UPDATE Settings SET value = :bomb WHERE key = 'disk_pickle_protocol'",
    "UPDATE Settings SET value = :bomb WHERE key = 'eviction_policy'",
    "UPDATE Settings SET value = :bomb",
    "CREATE TRIGGER more AFTER INSERT ON Cache BEGIN DELETE FROM Cache; END",
    "CREATE VIEW more AS SELECT 1",
)


@pytest.mark.parametrize("plant", PLANTED)
async def test_a_planted_row_never_runs_and_reaches_no_file(tmp_path, plant):
    folder, mark, victim = tmp_path / "prompts", tmp_path / "mark", tmp_path / "victim"
    victim.write_bytes(pickle.dumps(Bomb(mark)))
    await stored(folder, [{"n": 1}], slots=1)
    (folder / "bomb.pickle").write_bytes(pickle.dumps(Bomb(mark)))
    with closing(sqlite3.connect(folder / FILE_NAME)) as base:
        base.execute(plant, {"bomb": pickle.dumps(Bomb(mark)), "outside": str(victim)} if ":" in plant else {})
        base.commit()
    async with opened(folder) as shelf:
        assert await shelf.load("name") in ([], [{"n": 1}])
        for number in range(store_disk.COUNTED_EVERY + 1):
            shelf.put("name", {"n": number})
            if number % 100 == 0:
                assert await shelf.flush(60)
        assert await shelf.flush(60)
        assert await shelf.load("name") == [{"n": store_disk.COUNTED_EVERY}]
    assert not mark.exists()
    assert victim.exists()
    pickle.loads(victim.read_bytes())
    assert mark.exists(), "the test's own bomb works"


def test_rows_that_are_planted_while_it_is_open_are_refused(tmp_path):
    """The second line of defence, and proof that diskcache alone would run them."""
    mark = tmp_path / "mark"
    bomb = pickle.dumps(Bomb(mark))
    with diskcache.Cache(str(tmp_path / "c"), disk=PlainDisk) as cache:
        cache.set("a", b"1")
        with closing(sqlite3.connect(tmp_path / "c" / FILE_NAME)) as base:
            base.execute("UPDATE Cache SET mode = 4, value = ?", (bomb,))
            base.execute("INSERT INTO Cache(key, raw, mode, value) VALUES (?, 0, 1, x'00')", (bomb,))
            base.commit()
        with pytest.raises(NotOurs):
            cache.get("a")
        with pytest.raises(NotOurs):
            list(cache)
        with pytest.raises(NotOurs):
            cache.set("b", {"an": "object"})
        with pytest.raises(NotOurs):
            cache.set(("a", "tuple"), b"1")
        with pytest.raises(NotOurs):
            cache.set("c", b"x" * (RECORD_BYTES_MAX + 1))
    assert not mark.exists()
    with diskcache.Cache(str(tmp_path / "c")) as cache:
        cache.get("a")
    assert mark.exists()


async def test_a_link_in_place_of_the_file_is_not_followed(tmp_path):
    await stored(tmp_path / "theirs", [{"n": 1}])
    before = (tmp_path / "theirs" / FILE_NAME).read_bytes()
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / FILE_NAME).symlink_to(tmp_path / "theirs" / FILE_NAME)
    async with opened(tmp_path / "prompts") as shelf:
        assert await shelf.load("name") == []
        shelf.put("name", {"n": 2})
        assert await shelf.flush(60)
    assert (tmp_path / "theirs" / FILE_NAME).read_bytes() == before


# Full


def small_disk(folder):
    """A command that runs another one with a disk of its own, of eight megabytes; None where that is not allowed."""
    script = f'mount -t tmpfs -o size=8m tmpfs {folder} && exec "$@"'
    argv = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh"]
    try:
        works = subprocess.run([*argv, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        works = False
    return argv if works else None


@pytest.mark.parametrize("way", ["disk", "limit"])
def test_a_full_disk_leaves_completion_working(tmp_path, way):
    prefix = []
    if way == "disk":
        prefix = small_disk(tmp_path)
        if prefix is None:
            pytest.skip("no disk of its own can be mounted here")
    elif os.name == "nt":
        pytest.skip("needs a limit on the size of files")
    argv = [*prefix, sys.executable, str(WRITER), "full", str(tmp_path), *(["limit"] if way == "limit" else [])]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["found"] == 400, "memory serves all of it"
    assert False in told["written"]
    assert len(told["told"]) == 1, told
    assert (True in told["written"]) == (way == "disk"), "the limit leaves no room from the start"
    if way == "disk":
        assert "disk is full" in told["told"][0]
        assert told["again"], "once there is room it goes on"


def test_a_document_has_room_for_a_life():
    assert STORED_PER_DOCUMENT_MAX >= 60
