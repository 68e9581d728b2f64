"""Keeping a folder's index up to date, with the real stores and the real reader's thread, but no process."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.core.facts import Facts
from hearth.errors import IndexAway, IndexCorrupt
from hearth.index import indexing, project, reading
from hearth.index.indexing import FolderWork
from hearth.index.project import ProjectIndex, open_project
from hearth.index.reading import Job, Reader
from hearth.index.walk import Folder

WAIT_S = 20.0


def code(name: str) -> str:
    return f"class {name.title()}:\n    def area_of_{name}(self) -> float:\n        return self.{name}_width * 2\n"


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


class Bench:
    """A folder, its index and the thread that reads; `jobs` are the paths that were read."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root, self.home = root, home
        self.jobs: list[str] = []
        self.reader = Reader(lambda: None)
        give = self.reader.give

        def noted(job: Job, then):
            self.jobs.append(job.path)
            give(job, then)

        self.reader.give = noted
        self.work: FolderWork | None = None

    def open(self, opened: list[str] | None = None, *, verify: bool = False) -> FolderWork:
        self.work = FolderWork(Folder(self.root), open_project(self.home), self.reader)
        self.work.begin(opened or [], verify=verify)
        return self.work

    @property
    def project(self) -> ProjectIndex:
        assert self.work
        return self.work.project

    def settle(self) -> None:
        assert self.work
        until = time.monotonic() + WAIT_S
        while not self.work.settled or self.work.state == "walking":
            assert time.monotonic() < until, f"still {self.work.state}"
            if not self.reader.take() and not self.work.busy:
                time.sleep(0.002)
            self.work.step()

    def files(self) -> set[str]:
        return {row.path for row in self.project.files()}

    def found(self, query: str) -> set[str]:
        return {hit.path for hit in self.project.find(query, 10)}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "project").mkdir()
    one = Bench(tmp_path / "project", tmp_path / "home")
    yield one
    if one.work:
        one.work.close()


def test_what_is_in_the_folder_is_found(bench: Bench) -> None:
    plant(bench.root, {"a.py": code("circle"), "deep/b.py": code("square"), "notes.md": "# Plans\n\nbuy apples\n"})
    bench.open()
    bench.settle()
    assert bench.found("area of circle") >= {"a.py"}
    assert bench.found("apples") == {"notes.md"}
    (hit, *_) = bench.project.find("area_of_square", 5)
    assert (hit.path, hit.start, hit.end) == ("deep/b.py", 0, 3)
    assert hit.text == code("square")
    assert next(iter(bench.project.definitions(["area_of_square"], 3)["area_of_square"]))[0] == "deep/b.py"
    assert bench.project.counts()["files"] == 3


def test_a_saved_file_is_read_again(bench: Bench) -> None:
    plant(bench.root, {"a.py": code("circle"), "b.py": code("square")})
    work = bench.open()
    bench.settle()
    plant(bench.root, {"a.py": code("hexagon"), "new.py": code("octagon")})
    bench.jobs.clear()
    work.saved("a.py")
    work.saved("new.py")
    bench.settle()
    assert bench.jobs == ["a.py", "new.py"]
    assert "a.py" in bench.found("area_of_hexagon")
    assert "new.py" in bench.found("area_of_octagon")
    assert "a.py" not in bench.found("circle")


def test_only_changed_pieces_of_a_file_are_written(bench: Bench) -> None:
    long = "\n\n".join(code(f"shape{n}") * 4 for n in range(24))
    plant(bench.root, {"a.py": long})
    work = bench.open()
    bench.settle()
    before = bench.project.uids_of("a.py")
    plant(bench.root, {"a.py": long.replace("self.shape23_width * 2", "self.shape23_width * 3")})
    work.saved("a.py")
    bench.settle()
    after = bench.project.uids_of("a.py")
    assert len(before) > 8
    assert 1 <= len(after - before) <= 3


def test_what_goes_from_the_folder_goes_from_the_index(bench: Bench) -> None:
    plant(bench.root, {"a.py": code("circle"), "sub/b.py": code("square"), "sub/deep/c.py": code("oval")})
    work = bench.open()
    bench.settle()
    (bench.root / "a.py").unlink()
    work.saved("a.py")
    shutil.rmtree(bench.root / "sub")
    work.saved("sub")
    bench.settle()
    assert bench.files() == set()
    assert bench.found("square") == set()


def test_a_second_start_reads_only_what_changed(bench: Bench) -> None:
    plant(bench.root, {"a.py": code("circle"), "b.py": code("square"), "c.py": code("oval"), "blob.py": "\0" * 50})
    bench.open()
    bench.settle()
    bench.project.close()
    bench.jobs.clear()
    plant(bench.root, {"b.py": code("rhombus")})
    (bench.root / "c.py").unlink()
    bench.open()
    bench.settle()
    assert bench.jobs == ["b.py"]
    assert bench.files() == {"a.py", "b.py", "blob.py"}
    assert "b.py" in bench.found("rhombus")


def test_a_file_that_was_only_touched_is_not_parsed_again_and_not_read_twice(bench: Bench) -> None:
    plant(bench.root, {"a.py": code("circle")})
    bench.open()
    bench.settle()
    bench.project.close()
    os.utime(bench.root / "a.py", ns=(1, 1))
    bench.open()
    bench.settle()
    row = bench.project.file("a.py")
    assert row is not None
    assert row.mtime_ns == 1
    bench.project.close()
    bench.jobs.clear()
    bench.open()
    bench.settle()
    assert bench.jobs == []
    assert bench.found("circle") == {"a.py"}


def test_open_files_come_first_then_those_that_changed_last(bench: Bench) -> None:
    plant(bench.root, {f"f{n:02}.py": code(f"shape{n}") for n in range(20)})
    for n in range(20):
        os.utime(bench.root / f"f{n:02}.py", ns=(n * 10**9, n * 10**9))
    bench.open(["f03.py"])
    bench.settle()
    assert bench.jobs[:3] == ["f03.py", "f19.py", "f18.py"]
    assert len(bench.jobs) == 20


def test_secrets_and_ignored_files_stay_out(bench: Bench) -> None:
    plant(
        bench.root, {".gitignore": "skip/\n", "skip/a.py": code("a"), ".env": "KEY=1", "id_rsa": "x", "b.py": code("b")}
    )
    work = bench.open()
    for path in (".env", "skip/a.py", "../outside.py"):
        work.saved(path)
    bench.settle()
    assert bench.files() == {".gitignore", "b.py"}


def test_a_changed_ignore_file_takes_files_out(bench: Bench) -> None:
    plant(bench.root, {"a.py": code("circle"), "b.py": code("square")})
    work = bench.open()
    bench.settle()
    plant(bench.root, {".gitignore": "b.py\n"})
    work.saved(".gitignore")
    bench.settle()
    assert bench.files() == {".gitignore", "a.py"}


def test_many_changes_at_once_are_one_walk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "SAVED_QUEUE_MAX", 3)
    plant(bench.root, {f"f{n}.py": code(f"shape{n}") for n in range(6)})
    work = bench.open()
    bench.settle()
    bench.jobs.clear()
    plant(bench.root, {f"f{n}.py": code(f"form{n}") for n in range(6)})
    for n in range(6):
        work.saved(f"f{n}.py")
    bench.settle()
    assert set(bench.jobs) == {f"f{n}.py" for n in range(6)}
    assert bench.project.definitions(["area_of_form5", "area_of_shape5"], 3).keys() == {"area_of_form5"}


def test_a_branch_switch_is_noticed(bench: Bench) -> None:
    plant(bench.root, {"a.py": code("circle")})
    work = bench.open()
    bench.settle()
    plant(bench.root, {"a.py": code("square"), ".git/HEAD": "ref: refs/heads/other\n"})
    work.saved(".git/HEAD")
    bench.settle()
    assert bench.found("square") == {"a.py"}


def test_a_file_that_changes_while_it_is_read_is_read_again(bench: Bench) -> None:
    plant(bench.root, {"a.py": code("circle")})
    work = bench.open()
    while not bench.jobs:
        work.step()
    plant(bench.root, {"a.py": code("square")})
    work.saved("a.py")
    bench.settle()
    assert bench.found("square") == {"a.py"}


def test_stopping_keeps_what_is_there_and_starting_again_goes_on(bench: Bench) -> None:
    plant(bench.root, {f"f{n:03}.py": code(f"shape{n}") for n in range(150)})
    work = bench.open()
    while bench.project.counts()["files"] < 20:
        bench.reader.take()
        work.step()
    work.stop()
    bench.settle()
    assert work.state == "stopped"
    done = bench.project.counts()["files"]
    assert 20 <= done < 150
    work.begin([])
    bench.settle()
    assert work.state == "ready"
    assert bench.project.counts()["files"] == 150
    assert len(bench.jobs) <= 150 + indexing.BATCH_FILES_MAX


def test_links_are_not_followed(bench: Bench, tmp_path: Path) -> None:
    plant(tmp_path, {"outside/secret.py": code("outside")})
    plant(bench.root, {"a.py": code("circle")})
    (bench.root / "loop").symlink_to(bench.root, target_is_directory=True)
    (bench.root / "out").symlink_to(tmp_path / "outside", target_is_directory=True)
    (bench.root / "link.py").symlink_to(tmp_path / "outside" / "secret.py")
    work = bench.open()
    work.saved("out/secret.py")
    work.saved("link.py")
    bench.settle()
    assert bench.files() == {"a.py"}


def test_a_huge_minified_file_is_passed_over(bench: Bench) -> None:
    plant(bench.root, {"a.js": "function circle() { return 1; }\n"})
    with (bench.root / "huge.js").open("wb") as stream:
        stream.write(b"var a=1;" * 100_000)
        stream.truncate(50_000_000)
    bench.open()
    bench.settle()
    row = bench.project.file("huge.js")
    assert row is not None
    assert row.language == ""
    assert bench.project.uids_of("huge.js") == frozenset()
    assert bench.found("circle") == {"a.js"}


def test_a_full_disk_pauses_and_room_heals(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(bench.root, {"a.py": code("circle")})
    work = bench.open()
    bench.settle()
    monkeypatch.setattr(project, "DISK_FREE_BYTES_MIN", 1 << 60)
    monkeypatch.setattr(indexing, "RETRY_S", 0.05)
    plant(bench.root, {"b.py": code("square")})
    work.saved("b.py")
    until = time.monotonic() + WAIT_S
    while work.state != "waiting" and time.monotonic() < until:
        bench.reader.take()
        work.step()
    assert "free" in work.problem
    assert bench.found("circle") == {"a.py"}  # what was there is still answered from
    monkeypatch.undo()
    while work.state == "waiting":
        work.look()
        time.sleep(0.01)
        assert time.monotonic() < until
    bench.settle()
    assert work.problem == ""
    assert bench.found("square") == {"b.py"}


def test_points_and_manifest_agree_again_after_a_crash(bench: Bench) -> None:
    plant(bench.root, {"a.py": code("circle"), "b.py": code("square")})
    bench.open()
    bench.settle()
    lost = bench.project.uids_of("a.py")
    bench.project._points.drop(lost)  # as if the machine had lost power: the manifest knows them, the points do not
    bench.project._manifest.remove(["b.py"])  # and the other way round
    bench.project.close()
    bench.jobs.clear()
    bench.open()
    assert bench.project._points.uids() == set()
    assert bench.files() == set()
    bench.settle()
    assert sorted(bench.jobs) == ["a.py", "b.py"]
    assert bench.found("area") == {"a.py", "b.py"}


@pytest.mark.parametrize("damaged", ["manifest.sqlite", "points/segments"])
def test_a_damaged_store_is_put_aside_and_built_again(bench: Bench, damaged: str) -> None:
    plant(bench.root, {"a.py": code("circle")})
    bench.open()
    bench.settle()
    bench.project.close()
    target = bench.home / "store" / damaged
    for path in [target] if target.is_file() else [p for p in target.rglob("*") if p.is_file()]:
        path.write_bytes(os.urandom(4_096))
    try:
        bench.open()
    except IndexCorrupt:
        bench.open()
    bench.settle()
    assert bench.found("circle") == {"a.py"}
    assert (bench.home / "damaged").is_dir()


def test_a_file_whose_parser_comes_to_no_end_is_read_as_text(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(bench.root, {"a.py": code("circle")})
    monkeypatch.setattr(reading, "STUCK_S", 0.05)
    monkeypatch.setattr(reading, "analysed", lambda *_: time.sleep(0.5) or Facts())
    work = bench.open()
    until = time.monotonic() + WAIT_S
    while (job := bench.reader.stuck()) is None:
        work.step()
        time.sleep(0.005)
        assert time.monotonic() < until
    assert work.too_slow(job.path)
    work.close()
    monkeypatch.undo()
    bench.open()
    bench.settle()
    row = bench.project.file("a.py")
    assert row is not None
    assert row.language == "plaintext"
    assert bench.found("circle") == {"a.py"}


def test_an_import_may_mean_a_folder(bench: Bench) -> None:
    shape = "package shape\n\ntype Circle struct {\n\tRadius float64\n}\n"
    plant(bench.root, {"internal/shape/circle.go": shape, "main.go": "package main\n", "other/shapes/x.go": shape})
    bench.open()
    bench.settle()
    assert bench.project.resolve("go", "example.org/app/internal/shape", "main.go") == ("internal/shape/circle.go",)


def test_a_vector_server_that_goes_away_pauses_and_its_return_heals(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(bench.root, {"a.py": code("circle")})
    work = bench.open()
    bench.settle()

    def away(*_: object) -> None:
        raise IndexAway("The Qdrant server does not answer.")

    monkeypatch.setattr(indexing, "RETRY_S", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(bench.project._points, "put", away)
        patch.setattr(bench.project._points, "search", away)
        plant(bench.root, {"b.py": code("square")})
        work.saved("b.py")
        until = time.monotonic() + WAIT_S
        while work.state != "waiting" and time.monotonic() < until:
            bench.reader.take()
            work.step()
        assert work.problem == "The Qdrant server does not answer."
        assert bench.project.search({"circle": 1.0}, 5) == []
        assert bench.project.definitions(["Circle"], 3)["Circle"][0][0] == "a.py"
        with pytest.raises(IndexAway):
            bench.project.find("circle", 5)
    while work.state == "waiting":
        work.look()
        time.sleep(0.01)
        assert time.monotonic() < until
    bench.settle()
    assert bench.found("square") >= {"b.py"}


def test_a_folder_that_cannot_be_read_is_passed_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(bench.root, {"a.py": code("circle"), "locked/b.py": code("square"), "other/c.py": code("oval")})
    scandir = os.scandir

    def locked(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    bench.open()
    bench.settle()
    assert bench.files() == {"a.py", "other/c.py"}
