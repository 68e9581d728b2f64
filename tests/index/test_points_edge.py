"""Qdrant Edge in a folder: who may have it, what it makes of damage, what is kept of dropped points."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hearth.core.facts import Sparse
from hearth.errors import IndexFault
from hearth.index import points as module
from hearth.index.points import EdgePoints, Point, PointsAway, PointsCorrupt, PointsFull


def sparse(*indices):
    return Sparse(tuple(sorted(indices)), (1.0,) * len(indices))


@pytest.fixture
def points(tmp_path):
    opened = EdgePoints(tmp_path / "points")
    yield opened
    opened.close()


SECOND = """
import sys
import time
from pathlib import Path
from hearth.index.points import EdgePoints, PointsAway
try:
    EdgePoints(Path(sys.argv[1]))
except PointsAway as error:
    print(error.message)
"""


def test_a_folder_has_one_owner(tmp_path, points):
    points.put([Point(1, sparse(1))])
    done = subprocess.run(
        [sys.executable, "-c", SECOND, str(tmp_path / "points")], capture_output=True, text=True, timeout=60
    )
    assert "in use by another process" in done.stdout, done.stderr
    with pytest.raises(PointsAway):
        EdgePoints(tmp_path / "points")
    points.put([Point(2, sparse(2))])
    points.close()
    again = EdgePoints(tmp_path / "points")
    assert again.uids() == {1, 2}
    again.close()


def test_it_is_for_the_user_alone(tmp_path):
    folder = tmp_path / "deep" / "points"
    EdgePoints(folder).close()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_other_vectors_than_before(tmp_path):
    EdgePoints(tmp_path / "sparse").close()
    EdgePoints(tmp_path / "dense", 3).close()
    for folder, dimensions in (("sparse", 3), ("dense", None), ("dense", 4)):
        with pytest.raises(PointsCorrupt):
            EdgePoints(tmp_path / folder, dimensions)
    EdgePoints(tmp_path / "dense", 3).close()


def test_damage_to_a_closed_folder_is_found_before_it_is_used(tmp_path):
    """Some of it would crash the native code, or hang it, or lose points without a word."""
    folder = tmp_path / "points"
    points = EdgePoints(folder)
    points.put([Point(n, sparse(n)) for n in range(50)])
    points.close()
    (mapping,) = folder.rglob("mutable_id_tracker.mappings")
    data = mapping.read_bytes()
    for damaged in (data[:-13], bytes([data[0] ^ 1]) + data[1:], None):
        mapping.unlink() if damaged is None else mapping.write_bytes(damaged)
        for _ in range(2):
            with pytest.raises(PointsCorrupt):
                EdgePoints(folder)
    mapping.write_bytes(data)
    again = EdgePoints(folder)
    assert again.count() == 50
    assert not (folder / module.SEAL).exists(), "whoever is killed now leaves none that is wrong"
    again.close()


def test_a_place_where_no_folder_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PointsCorrupt):
        EdgePoints(tmp_path / "file")
    with pytest.raises(IndexFault):
        EdgePoints(tmp_path / "file" / "points")


def test_a_folder_of_something_else(tmp_path):
    """What is missing is made; what is wrong is named."""
    folder = tmp_path / "points"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    points = EdgePoints(folder)
    points.put([Point(1, sparse(1))])
    points.close()
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "edge_config.json").write_text("{")
    with pytest.raises(PointsCorrupt):
        EdgePoints(folder)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "segments").write_text("not a folder")
    with pytest.raises(PointsCorrupt):
        EdgePoints(folder)


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write"
)
def test_a_folder_that_may_not_be_written(tmp_path):
    (tmp_path / "points").mkdir(mode=0o500)
    (tmp_path / "points").chmod(0o500)
    with pytest.raises(IndexFault):
        EdgePoints(tmp_path / "points" / "deeper")


class Panic(BaseException):
    """Named like what a panic of Rust becomes in Python; it derives from BaseException there, too."""


Panic.__name__ = "PanicException"


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (Panic("index out of bounds"), PointsCorrupt),
        (Exception("Service runtime error: Failed to load ID tracker"), PointsCorrupt),
        (Exception("IO Error: No space left on device (os error 28)"), PointsFull),
        (Exception("Can't init WAL: Kind(WouldBlock)"), PointsAway),
        (Exception("Permission denied (os error 13)"), PointsAway),
    ],
)
def test_what_the_native_code_raises_is_named(error, named):
    with pytest.raises(named) as caught, module._naming:
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), ValueError(), TypeError(), MemoryError()])
def test_everything_else_passes(error):
    with pytest.raises(type(error)), module._naming:
        raise error


def test_without_a_wheel_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EDGE_AVAILABLE", False)
    with pytest.raises(PointsAway) as caught:
        EdgePoints(tmp_path)
    assert "qdrant_url" in caught.value.remedy


def test_without_a_wheel_the_module_can_be_imported():
    code = "import sys; sys.modules['qdrant_edge'] = None; import hearth.index.points as p; print(p.EDGE_AVAILABLE)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr


def test_garbage_goes_at_rest(tmp_path, points, monkeypatch):
    monkeypatch.setattr(module, "COMPACT_EVERY_POINTS", 1_000)
    points.put([Point(n, sparse(1, 10_000 + n)) for n in range(3_000)])
    assert points.garbage() == 0
    assert not points.compact(), "nothing to do"
    points.drop(range(900))
    assert not points.compact(), "not worth it"
    points.drop(range(2_000))
    assert points.garbage() == 2_000
    assert points.compact()
    assert points.garbage() == 0
    left = set(range(2_000, 3_000))
    assert points.uids() == left
    assert {uid for uid, _ in points.search(sparse(1), 5_000)} == left
    points.put([Point(7, sparse(1, 7)), Point(2_500, sparse(9))])
    points.drop([2_999])
    points.close()
    again = EdgePoints(tmp_path / "points")
    assert again.uids() == (left | {7}) - {2_999}
    assert [uid for uid, _ in again.search(sparse(9), 5)] == [2_500]
    assert [uid for uid, _ in again.search(sparse(7), 5)] == [7]
    again.close()


def test_it_is_looked_at_once_after_opening(tmp_path, points, monkeypatch):
    """Whoever had it before may have been killed before there was time."""
    points.put([Point(n, sparse(1, 10_000 + n)) for n in range(3_000)])
    points.drop(range(2_000))
    points.close()
    again = EdgePoints(tmp_path / "points")
    assert again.compact()
    assert again.uids() == set(range(2_000, 3_000))
    assert not again.compact()
    again.close()


def test_dense_points_are_left_as_they_are(tmp_path, monkeypatch):
    points = EdgePoints(tmp_path, 2)
    points.put([Point(n, [1.0, float(n)]) for n in range(3_000)])
    points.drop(range(2_900))
    assert not points.compact()
    points.close()


def test_the_log_is_played_again_from_the_last_flush_only(tmp_path, monkeypatch):
    """Beyond that it would grow with everything ever put."""
    monkeypatch.setattr(module, "FLUSH_EVERY_POINTS", 400)
    flushed = []
    points = EdgePoints(tmp_path / "points")
    monkeypatch.setattr(points, "flush", lambda: flushed.append(EdgePoints.flush(points)))
    for n in range(10):
        points.put([Point(n * 100 + k, sparse(k)) for k in range(100)])
    assert 2 <= len(flushed) <= 5
    points.close()


KILLED = """
import os, sys
from pathlib import Path
from hearth.core.facts import Sparse
from hearth.index.points import EdgePoints, Point
points = EdgePoints(Path(sys.argv[1]), int(sys.argv[2]) or None)
for n in range(int(sys.argv[3])):
    vector = [float(n), 1.0] if int(sys.argv[2]) else Sparse((1, 100 + n), (1.0, 1.0))
    points.put([Point(n, vector)])
points.drop(range(0, int(sys.argv[3]), 10))
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("dimensions", [0, 2])
def test_a_kill_loses_nothing(tmp_path, dimensions):
    """200 more in test_store_faults, with the manifest."""
    argv = [sys.executable, "-c", KILLED, str(tmp_path / "points"), str(dimensions), "500"]
    assert subprocess.run(argv, timeout=60).returncode == -9
    points = EdgePoints(tmp_path / "points", dimensions or None)
    assert points.uids() == {n for n in range(500) if n % 10}
    assert points.search([1.0, 1.0] if dimensions else sparse(199), 1)[0][0] == (1 if dimensions else 99)
    points.close()


COMPACTING = """
import os, sys
from pathlib import Path
from hearth.core.facts import Sparse
from hearth.index.points import EdgePoints, Point
points = EdgePoints(Path(sys.argv[1]))
points.put([Point(n, Sparse((1, 100 + n), (1.0, 1.0))) for n in range(10_000)])
points.drop(range(0, 10_000, 2))
print("compacting", flush=True)
points.compact()
print("done", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_kill_while_it_compacts_loses_nothing(tmp_path):
    left = set(range(1, 10_000, 2))
    for number in range(6):
        folder = tmp_path / str(number)
        with subprocess.Popen(
            [sys.executable, "-c", COMPACTING, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == b"compacting\n"
            time.sleep(number * 0.02)
            process.kill()
        points = EdgePoints(folder)
        assert points.uids() == left
        assert [uid for uid, _ in points.search(sparse(199), 1)] == [99]
        points.close()


def test_a_put_in_several_batches_is_bounded(tmp_path, monkeypatch, points):
    sizes = []
    plain = module.EdgePoints._update
    monkeypatch.setattr(module.EdgePoints, "_update", lambda self, op, n: (sizes.append(n), plain(self, op, n)))
    points.put([Point(n, sparse(n)) for n in range(module.BATCH_MAX * 2 + 1)])
    assert len(sizes) == 3
    assert Path(tmp_path / "points" / "wal").is_dir()
