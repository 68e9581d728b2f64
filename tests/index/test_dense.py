"""The dense side of an index, with the real stores: resumable, never mixed, and the old answers until the new can."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from chunked_files import entry, uid_of
from hearth.errors import IndexAway, IndexFull
from hearth.index import dense as module
from hearth.index.dense import BATCH_MAX, FILES_PER_CALL_MAX, LEASE_S, Dense
from hearth.index.manifest import Manifest

pytest.importorskip("qdrant_edge", reason="there is no embedded store for this machine")


def vector(uid: int, size: int = 8) -> list[float]:
    rng = random.Random(uid)
    return [rng.uniform(-1, 1) for _ in range(size)]


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    made = Manifest(tmp_path / "manifest.sqlite")
    made.replace([entry(f"{n}.py", [f"text {n} {k}" for k in range(3)], mtime_ns=n) for n in range(10)])
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home"


def fill(side: Dense, model: str = "m", size: int = 8, batch: int = 4, most: int = 1_000) -> int:
    """Embed what is missing; how many texts were."""
    count = 0
    while count < most:
        wanted = side.missing(model, batch)
        if not wanted:
            if side.left:
                continue
            break
        side.put(model, [(one.uid, vector(one.uid, size)) for one in wanted])
        count += len(wanted)
    return count


def folders(folder: Path) -> int:
    return len(list((folder / "dense").iterdir())) if (folder / "dense").exists() else 0


def test_everything_is_embedded_once_newest_files_first(folder: Path, manifest: Manifest) -> None:
    side = Dense(folder, manifest)
    first = side.missing("m", 4)
    assert [one.path for one in first] == ["9.py", "9.py", "9.py", "8.py"]
    assert (first[0].symbol, first[0].text) == ("f", "text 9 0")
    assert side.missing("m", 4) == first, "the same until they are put"
    assert (side.left, side.answers, side.weight) == (30, "", 0)
    assert fill(side) == 30
    assert fill(side) == 0
    assert side.status() == {"left": 0, "embedded": 30, "answers": "m", "problem": ""}
    assert side.weight == 2
    uid = uid_of("4.py", "text 4 1")
    assert side.search(vector(uid), 5)[0][0] == uid
    assert len(side.search(vector(uid), 5, "m")) == 5
    assert folders(folder) == 1
    side.close()


def test_it_goes_on_where_it_was(folder: Path, manifest: Manifest) -> None:
    side = Dense(folder, manifest)
    assert fill(side, most=12) == 12
    assert side.weight == pytest.approx(2 * 12 / 30)
    side.close()
    side = Dense(folder, manifest)
    assert side.search(vector(1), 5) == [], "nothing is opened before a model is named"
    assert fill(side) == 18
    assert side.answers == "m"
    side.close()
    side = Dense(folder, manifest)
    assert fill(side) == 0
    assert len(side.search(vector(1), 99)) == 30
    side.close()


def test_a_changed_file_comes_first_and_what_is_gone_is_not_found(folder: Path, manifest: Manifest) -> None:
    side = Dense(folder, manifest)
    fill(side, most=8)
    manifest.replace([entry("3.py", ["text 3 0", "new"])])
    side.drop([uid_of("3.py", "text 3 1"), uid_of("3.py", "text 3 2")])
    side.first(["3.py", "unknown.py"])
    assert [one.path for one in side.missing("m", 2)] == ["3.py", "3.py"]
    fill(side)
    manifest.replace([entry("3.py", ["text 3 0"])])
    side.drop([uid_of("3.py", "new")])
    assert fill(side) == 0
    assert {uid for uid, _ in side.search(vector(1), 99)} == manifest.all_uids()
    # Nobody told it of this one: it is seen all the same.
    manifest.replace([entry("z.py", ["z1", "z2"])])
    assert fill(side) == 2
    side.close()


def test_vectors_of_chunks_that_changed_meanwhile_are_not_kept(folder: Path, manifest: Manifest) -> None:
    side = Dense(folder, manifest)
    wanted = side.missing("m", 4)
    manifest.remove(["9.py"])
    side.put("m", [(one.uid, vector(one.uid)) for one in wanted])
    assert {uid for uid, _ in side.search(vector(1), 99)} == {wanted[3].uid}
    side.close()


def test_what_became_stale_while_it_was_closed_is_dropped(folder: Path, manifest: Manifest) -> None:
    side = Dense(folder, manifest)
    fill(side)
    side.close()
    manifest.remove(["9.py", "8.py"])
    side = Dense(folder, manifest)
    assert fill(side) == 0
    assert {uid for uid, _ in side.search(vector(1), 99)} == manifest.all_uids()
    side.close()


@pytest.mark.parametrize("size", [8, 16])
def test_the_old_model_answers_until_the_new_one_is_complete(folder: Path, manifest: Manifest, size: int) -> None:
    side = Dense(folder, manifest)
    fill(side, "old")
    assert 0 < fill(side, "new", size, most=27) < 30
    side.close()
    side = Dense(folder, manifest)
    side.missing("new", 1)
    assert side.answers == "old"
    assert side.left > 0
    uid = uid_of("0.py", "text 0 0")
    assert side.search(vector(uid), 1, "old")[0][0] == uid
    assert side.search(vector(uid, size), 1, "new") == [], "never mixed, whatever the sizes"
    assert folders(folder) == 2
    fill(side, "new", size)
    assert (side.answers, folders(folder)) == ("new", 1)
    assert side.search(vector(uid, size), 1, "new")[0][0] == uid
    assert side.search(vector(uid), 1, "old") == []
    side.close()


def test_a_model_of_the_same_name_that_gives_another_size(folder: Path, manifest: Manifest) -> None:
    side = Dense(folder, manifest)
    fill(side, "m", 8)
    manifest.replace([entry("z.py", ["z"])])
    [one] = side.missing("m", 4)
    side.put("m", [(one.uid, vector(one.uid, 12))])
    assert side.left == 30, "all the others are wanted anew"
    assert side.answers == "m"
    uid = uid_of("0.py", "text 0 0")
    assert side.search(vector(uid, 8), 1)[0][0] == uid
    assert fill(side, "m", 12) == 30
    assert side.search(vector(uid, 8), 1) == []
    assert side.search(vector(uid, 12), 1)[0][0] == uid
    assert folders(folder) == 1
    side.close()


def test_a_change_of_mind_while_a_model_is_filled(folder: Path, manifest: Manifest) -> None:
    side = Dense(folder, manifest)
    fill(side, "old")
    fill(side, "second", most=8)
    fill(side, "third", most=8)
    assert folders(folder) == 2, "the half-filled one is gone"
    assert side.answers == "old"
    assert fill(side, "old") == 0
    assert (side.answers, folders(folder)) == ("old", 1)
    side.close()


def test_without_a_model_nothing_is_wanted_or_opened(folder: Path, manifest: Manifest) -> None:
    side = Dense(folder, manifest)
    assert side.missing("", 9) == []
    side.first(["1.py"])
    side.drop([1, 2])
    assert side.status() == {"left": 0, "embedded": 0, "answers": "", "problem": ""}
    assert not folder.exists()
    fill(side)
    assert side.missing("", 9) == []
    assert side.search(vector(1), 9) == []
    assert fill(side) == 0, "but what there was is kept"
    side.close()


def test_an_empty_project(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "empty.sqlite")
    side = Dense(folder, manifest)
    assert side.missing("m", 9) == []
    assert side.exchange({"model": "m", "limit": 9})["left"] == 0
    assert side.weight == 0
    side.close()
    manifest.close()


def test_what_cannot_be_embedded_is_left_out(folder: Path, manifest: Manifest) -> None:
    side = Dense(folder, manifest)
    bad = side.missing("m", 2)
    side.skip("m", [one.uid for one in bad])
    assert fill(side) == 28
    assert (side.left, side.answers) == (0, "m")
    side.close()
    side = Dense(folder, manifest)
    assert fill(side) == 2, "tried again after a restart"
    side.close()


def test_many_files_are_looked_through_in_slices(folder: Path, tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "many.sqlite")
    count = FILES_PER_CALL_MAX * 2 + 5
    manifest.replace([entry(f"{n}.py", [f"t{n}{k}" for k in range(25)], mtime_ns=n) for n in range(count)])
    side = Dense(folder, manifest)
    assert fill(side, batch=BATCH_MAX * 9, most=10_000) == count * 25
    side.close()
    manifest.replace([entry("0.py", ["another"], mtime_ns=0)])
    side = Dense(folder, manifest)
    side.first([f"{n}.py" for n in range(1, count)])
    assert fill(side) == 1
    side.close()
    manifest.close()


@pytest.mark.parametrize("vectors", [[[0.5] * 8, [0.5] * 9], [[], []], [[0.5] * 9_000, [0.5] * 9_000], [[0.5] * 8, []]])
def test_vectors_that_do_not_fit_are_refused(folder: Path, manifest: Manifest, vectors: list[list[float]]) -> None:
    side = Dense(folder, manifest)
    wanted = side.missing("m", 2)
    with pytest.raises(ValueError, match="sizes"):
        side.put("m", [(one.uid, numbers) for one, numbers in zip(wanted, vectors, strict=True)])
    assert not folder.exists()
    side.close()


# Messages


def test_the_exchange(folder: Path, manifest: Manifest) -> None:
    side = Dense(folder, manifest)
    answer = side.exchange({"model": "m", "limit": 4})
    total = 0
    while answer["texts"]:
        total += len(answer["texts"])
        put = [[uid, vector(uid)] for uid, *_ in answer["texts"]]
        answer = side.exchange({"model": "m", "limit": 4, "put": put})
    assert total == 30
    assert answer == {"texts": [], "again": False, "left": 0, "embedded": 30, "answers": "m", "problem": ""}
    assert side.exchange({"model": "m", "limit": 4, "first": ["1.py"], "skip": [5]})["texts"] == []
    side.close()


def test_of_two_windows_one_embeds(folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    side = Dense(folder, manifest)
    now = 1_000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)

    def turn(who: str) -> int:
        answer = side.exchange({"model": "m", "who": who, "limit": 4})
        assert answer["left"] == 30
        return len(answer["texts"])

    assert [turn("a"), turn("b"), turn("a")] == [4, 0, 4]
    now += LEASE_S - 1
    assert turn("b") == 0
    now += 2
    assert [turn("b"), turn("a")] == [4, 0]
    fill(side)
    assert side.exchange({"model": "m", "who": "b", "limit": 4})["texts"] == []
    manifest.replace([entry("z.py", ["z"])])
    assert len(side.exchange({"model": "m", "who": "a", "limit": 4})["texts"]) == 1, "who wants none gives way"
    side.close()


@pytest.mark.parametrize(
    "message",
    [{}, {"model": 7}, {"model": "m", "put": 7}, {"model": "m", "put": [[1]]}, {"model": "m", "put": [["x", [1.0]]]},
     {"model": "m", "put": [[1, ["x"]]]}, {"model": "m", "limit": "many"}, {"model": "m", "skip": ["x"]},
     {"model": None}],
)  # fmt: skip
def test_a_message_that_does_not_fit(folder: Path, manifest: Manifest, message: dict[str, object]) -> None:
    side = Dense(folder, manifest)
    with pytest.raises((ValueError, TypeError, LookupError)):
        side.exchange(message)
    side.close()


# Damage


def damaged_record(shard: Path) -> None:
    (shard / "shard.json").write_text("{")


def record_of_another(shard: Path) -> None:
    (shard / "shard.json").write_text('{"model": "other", "dimensions": 8, "complete": true}')


def record_gone(shard: Path) -> None:
    (shard / "shard.json").unlink()


def points_damaged(shard: Path) -> None:
    for path in (shard / "points").rglob("*.json"):
        path.write_text("{")


def points_gone(shard: Path) -> None:
    shutil.rmtree(shard / "points")


def ended_the_process(shard: Path) -> None:
    (shard / "opening").touch()


def flipped_bits(shard: Path) -> None:
    path = max((shard / "points").rglob("*"), key=lambda one: one.stat().st_size if one.is_file() else -1)
    data = bytearray(path.read_bytes()[:4096])
    data[100] ^= 4
    with path.open("r+b") as stream:
        stream.write(data)


@pytest.mark.parametrize(
    "damage",
    [ended_the_process, flipped_bits, damaged_record, record_of_another, record_gone, points_damaged, points_gone],
    ids=lambda f: f.__name__,
)
def test_a_damaged_shard_is_filled_again(folder: Path, manifest: Manifest, damage: object) -> None:
    side = Dense(folder, manifest)
    fill(side)
    side.close()
    [shard] = (folder / "dense").iterdir()
    (folder / "dense" / "junk").mkdir()
    assert callable(damage)
    damage(shard)
    side = Dense(folder, manifest)
    assert fill(side) == 30
    assert len(side.search(vector(1), 99)) == 30
    assert folders(folder) == 1
    side.close()


def test_a_shard_that_another_has_is_not_touched(folder: Path, manifest: Manifest) -> None:
    first = Dense(folder, manifest)
    fill(first, most=8)
    second = Dense(folder, manifest)
    wanted = second.missing("m", 2)
    with pytest.raises(IndexAway):
        second.put("m", [(one.uid, vector(one.uid)) for one in wanted])
    assert second.exchange({"model": "m", "put": [[one.uid, vector(one.uid)] for one in wanted]})["problem"]
    second.close()
    assert fill(first) == 22
    first.close()


def test_a_disk_that_is_nearly_full(folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    side = Dense(folder, manifest)
    fill(side, most=8)
    wanted = side.missing("m", 2)
    put = [[one.uid, vector(one.uid)] for one in wanted]
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
        with pytest.raises(IndexFull):
            side.put("m", [(uid, numbers) for uid, numbers in put])
        answer = side.exchange({"model": "m", "put": put, "limit": 2})
        assert answer["texts"] == []
        assert "400 MB" in answer["problem"]
        assert len(side.search(vector(1), 99)) == 8, "what there is can be searched"
    assert side.exchange({"model": "m", "put": put})["problem"] == ""
    assert fill(side) == 20
    side.close()
