"""The index process: what it holds, and that it answers while it works."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from hearth import worker
from hearth.index import copy_client as client
from hearth.index import copy_service as service
from hearth.index.copy_client import CopyClient
from hearth.index.copy_service import CopyIndexer

WAIT_S = 60.0
BEFORE = ["import json", "", "def load(path):", "    with open(path) as stream:"]
FILE = "\n".join([*BEFORE, "        data = json.load(stream)", "    return data", ""])
CANARY = FILE.replace("data = json.load(stream)", "data = canary")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process yields to every other; here it is waited for."""
    monkeypatch.setattr(client, "STATUS_DEADLINE_S", WAIT_S)


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def finish(indexer: CopyIndexer) -> int:
    steps = 0
    while indexer.busy:
        indexer.step()
        steps += 1
    return steps


def ask(indexer: CopyIndexer, path: str = "/elsewhere/now.py") -> str | None:
    message = {
        "do": "predict",
        "before": BEFORE,
        "line_before": "        ",
        "line_after": "",
        "after": [],
        "path": path,
    }
    return indexer.handle(message).get("text")


def indexed(root: Path, opened: tuple[Path, ...] = ()) -> CopyIndexer:
    indexer = CopyIndexer()
    indexer.handle({"do": "folders", "folders": [str(root)], "open": [str(p) for p in opened]})
    finish(indexer)
    return indexer


def names(indexer: CopyIndexer, root: Path) -> set[str]:
    return {os.path.relpath(p, root) for p in indexer.model.paths}


def test_a_folder_is_read_and_answers(tmp_path: Path) -> None:
    plant(tmp_path, {f"{n}.py": FILE for n in range(4)} | {"image.png.py": "\x00\x01", "gen.py": "# @generated\n"})
    indexer = indexed(tmp_path)
    assert ask(indexer) == "data = json.load(stream)"
    assert indexer.status() == {
        "state": "ready",
        "files": 4,
        "lines": 28,
        "chars": 4 * (len(FILE) - 6),
        "seen": 6,
        "refused": 2,
    }


def test_the_file_being_edited_gives_no_evidence(tmp_path: Path) -> None:
    plant(tmp_path, {"only.py": FILE * 4})
    indexer = indexed(tmp_path)
    assert ask(indexer, str(tmp_path / "only.py")) is None
    assert ask(indexer) == "data = json.load(stream)"


def test_canaries_are_never_held(tmp_path: Path) -> None:
    canaries = [".env", "ignored.py", "node_modules/a.py", "credentials.py", "sub/id_rsa"]
    plant(tmp_path, dict.fromkeys(canaries, CANARY) | {".aiignore": "ignored.py\n", "ok.py": "x = 1\n"})
    (tmp_path / "link.py").symlink_to(tmp_path / ".env")
    opened = [tmp_path / name for name in [*canaries, "link.py", "../outside.py"]]
    indexer = indexed(tmp_path, tuple(opened))
    for path in opened:
        indexer.handle({"do": "saved", "path": str(path)})
    finish(indexer)
    assert names(indexer, tmp_path) == {".aiignore", "ok.py"}
    assert not any("canary" in text for text in indexer.model._index.text)  # pyright: ignore


def test_open_files_come_first(tmp_path: Path) -> None:
    plant(tmp_path, {f"{n:03}.py": "x = 1\n" for n in range(50)} | {"z/deep/open.py": FILE})
    indexer = CopyIndexer()
    opened = tmp_path / "z/deep/open.py"
    indexer.handle({"do": "folders", "folders": [str(tmp_path)], "open": [str(opened)]})
    while not indexer.model.files:
        indexer.step()
    assert names(indexer, tmp_path) == {"z/deep/open.py"}
    finish(indexer)
    assert (indexer.model.files, indexer.seen) == (51, 51)


def test_saved_files_are_read_again_and_deleted_ones_forgotten(tmp_path: Path) -> None:
    plant(tmp_path, {f"{n}.py": FILE for n in range(4)})
    indexer = indexed(tmp_path)
    for n in range(4):
        (tmp_path / f"{n}.py").write_text(FILE.replace("json.load(stream)", "parse(stream)"))
        indexer.handle({"do": "saved", "path": str(tmp_path / f"{n}.py")})
    finish(indexer)
    assert ask(indexer) == "data = parse(stream)"
    (tmp_path / "0.py").unlink()
    indexer.handle({"do": "saved", "path": str(tmp_path / "0.py")})
    (tmp_path / "new.py").write_text("x = 1\n")
    indexer.handle({"do": "saved", "path": str(tmp_path / "new.py")})
    finish(indexer)
    assert names(indexer, tmp_path) == {"1.py", "2.py", "3.py", "new.py"}


def test_a_changed_ignore_file_takes_effect(tmp_path: Path) -> None:
    plant(tmp_path, {"a.py": FILE, "b.py": FILE})
    indexer = indexed(tmp_path)
    (tmp_path / ".gitignore").write_text("a.py\n")
    indexer.handle({"do": "saved", "path": str(tmp_path / ".gitignore")})
    finish(indexer)
    assert names(indexer, tmp_path) == {".gitignore", "b.py"}


def test_other_folders_are_forgotten(tmp_path: Path) -> None:
    plant(tmp_path, {"one/a.py": FILE, "two/b.py": FILE})
    indexer = indexed(tmp_path / "one")
    indexer.handle({"do": "folders", "folders": [str(tmp_path / "two"), str(tmp_path / "missing")]})
    assert indexer.model.files == 0
    finish(indexer)
    assert names(indexer, tmp_path) == {"two/b.py"}


def test_a_long_file_is_read_in_portions(tmp_path: Path) -> None:
    lines = [f"value_{n} = {n}" for n in range(5 * service.SLICE_LINES)]
    plant(tmp_path, {"long.py": "\n".join(lines)})
    indexer = CopyIndexer()
    indexer.handle({"do": "folders", "folders": [str(tmp_path)], "open": []})
    grown: list[int] = []
    while indexer.busy:
        before = indexer.model.lines
        indexer.step()
        grown.append(indexer.model.lines - before)
    assert max(grown) == service.SLICE_LINES
    assert sum(grown) == len(lines)


def test_files_that_vanish_or_turn_into_something_else_while_read(tmp_path: Path) -> None:
    plant(tmp_path, {f"{n}.py": FILE for n in range(6)})
    indexer = CopyIndexer()
    indexer.handle({"do": "folders", "folders": [str(tmp_path)], "open": []})
    while indexer.busy:
        indexer.step()
        if indexer.seen == 2 and not (tmp_path / "3.py").is_dir():
            for n in range(6):
                (tmp_path / f"{n}.py").unlink(missing_ok=True)
            (tmp_path / "3.py").mkdir()
            (tmp_path / "4.py").symlink_to("/etc/hostname")
    assert indexer.model.files <= 2
    assert indexer.state == "ready"


def test_prose_leaves_room_for_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LINES_MAX", 160)
    plant(tmp_path, {f"{n}.md": "text\n" * 19 for n in range(5)} | {f"{n}.py": "x = 1\n" * 19 for n in range(5)})
    indexer = indexed(tmp_path)
    kept = names(indexer, tmp_path)
    assert {f"{n}.py" for n in range(5)} <= kept
    assert 0 < sum(name.endswith(".md") for name in kept) < 5


@pytest.mark.parametrize(
    "message",
    [
        {}, {"do": "other"}, {"do": "predict"}, {"do": "saved"}, {"do": "saved", "path": 5},
        {"do": "folders", "folders": "x"},
        {"do": "predict", "before": [1], "line_before": "", "line_after": "", "after": [], "path": ""},
    ],
)  # fmt: skip
def test_messages_that_do_not_fit(message: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        CopyIndexer().handle(message)


# ---------------------------------------------------------------------------------------------- the real process


@asynccontextmanager
async def serving(*folders: Path, gone: list[str] | None = None) -> AsyncIterator[CopyClient]:
    told: list[str] = [] if gone is None else gone
    one = CopyClient(lambda message, _remedy: told.append(message))
    try:
        await one.start(folders)
        yield one
    finally:
        await one.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def text_of(one: CopyClient) -> str | None:
    found = await one.predict(BEFORE, "        ", "", [], "/elsewhere/now.py", deadline_s=WAIT_S)
    return found.text if found else None


async def test_the_process_answers(tmp_path: Path) -> None:
    plant(tmp_path, {f"{n}.py": FILE for n in range(4)})
    async with serving(tmp_path) as one:
        await until(lambda: one.progress.get("state") == "ready")
        assert await text_of(one) == "data = json.load(stream)"
        for n in range(4):
            (tmp_path / f"{n}.py").unlink()
            one.saved(tmp_path / f"{n}.py")
        while (status := await one.status())["files"]:
            assert status["restarts"] == 0
        assert await text_of(one) is None
        pid = one.pid
        assert pid is not None
        assert not psutil.Process(pid).net_connections()
    assert not psutil.pid_exists(pid)


async def test_a_killed_process_starts_again_and_reads_again(tmp_path: Path) -> None:
    plant(tmp_path, {f"{n}.py": FILE for n in range(4)} | {f"more/{n}.py": f"x = {n}\n" * 50 for n in range(2_000)})
    gone: list[str] = []
    async with serving(tmp_path, gone=gone) as one:
        await until(lambda: one.progress.get("files", 0) > 100)
        first = one.pid
        assert first is not None
        pending = [asyncio.create_task(text_of(one)) for _ in range(3)]
        os.kill(first, signal.SIGKILL)
        await asyncio.gather(*pending)
        await until(lambda: one.pid not in (None, first))
        await until(lambda: one.progress.get("state") == "ready")
        await until(lambda: one.progress.get("files") == 2_004)
        assert await text_of(one) == "data = json.load(stream)"
        assert (await one.status())["restarts"] == 1
    assert gone == []


async def test_a_process_that_cannot_live_is_reported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BACKOFF_FIRST_S", 0.001)
    monkeypatch.setattr(client, "python_argv", lambda _module: ["false"])
    gone: list[str] = []
    async with serving(tmp_path, gone=gone) as one:
        await until(lambda: bool(gone))
        assert await text_of(one) is None
        one.saved(tmp_path / "a.py")
        one.set_folders([tmp_path])
        assert (await one.status())["state"] == "off"
    assert len(gone) == 1
    monkeypatch.setattr(client, "python_argv", lambda _module: ["/nonexistent"])
    async with serving(tmp_path, gone=gone) as one:
        assert await text_of(one) is None
    assert len(gone) == 2


async def test_a_hanging_process_is_left_alone_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, {f"{n}.py": FILE for n in range(4)})
    monkeypatch.setattr(client, "LATE_PAUSE_S", 0.05)
    async with serving(tmp_path) as one:
        await until(lambda: one.progress.get("state") == "ready")
        assert one.pid is not None
        os.kill(one.pid, signal.SIGSTOP)
        try:
            for _ in range(client.LATE_IN_A_ROW_MAX):
                assert await one.predict(BEFORE, "        ", "", [], "/now.py", deadline_s=0.01) is None
            assert one._paused_until > 0  # pyright: ignore[reportPrivateUsage]
        finally:
            os.kill(one.pid, signal.SIGCONT)
        await asyncio.sleep(0.06)
        assert await text_of(one) == "data = json.load(stream)"


async def test_it_answers_between_the_slices_of_a_large_folder(tmp_path: Path) -> None:
    """20,000 small files and a minified one of 50 MB: many answers arrive before the walk is done."""
    (tmp_path / "many").mkdir()
    for n in range(20_000):
        (tmp_path / "many" / f"{n}.py").write_text(f"x_{n} = 1\n")
    with (tmp_path / "bundle.js").open("wb") as stream:
        stream.truncate(50_000_000)
    async with serving(tmp_path) as one:
        answers = 0
        while one.progress.get("state") != "ready":
            await text_of(one)
            answers += 1
        status = await one.status()
        assert status["seen"] == 20_001
        assert status["files"] == 20_000
        assert answers > 100
        assert status["lines"] == 40_000


def stamps(root: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in root.rglob("*")}


async def test_nothing_is_written_to_the_workspace(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {"a.py": "raise SystemExit('run')\n", "sitecustomize.py": "open('ran', 'w')\n", "hearth.py": "x = 1\n"},
    )
    before = stamps(tmp_path)
    async with serving(tmp_path) as one:
        await until(lambda: one.progress.get("state") == "ready")
    assert stamps(tmp_path) == before
