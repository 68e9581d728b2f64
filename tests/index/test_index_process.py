"""The real index process: that it answers, that one owns a folder, and what happens when it is killed."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from hearth.core.facts import Import
from hearth.core.sight import sight_at
from hearth.core.text import Position, Snapshot
from hearth.errors import WorkerError
from hearth.gather import spot_at
from hearth.index.asking import _sight
from hearth.index.client import IndexClient
from hearth.index.owner import Guest, address_of, lock
from hearth.project import ProjectSource

WAIT_S = 60.0
SHAPES = {
    "shapes/circle.py": """class Circle:
    radius: float

    def circumference(self) -> float:
        return 6.28 * self.radius
""",
    "shapes/square.py": """class Square:
    side: float

    def perimeter(self) -> float:
        return 4 * self.side
""",
    "notes.md": "# Plans\n\nA pentagon would be nice.\n",
}


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@asynccontextmanager
async def serving(data: Path, *folders: Path, gone: list[str] | None = None) -> AsyncIterator[IndexClient]:
    told: list[str] = [] if gone is None else gone
    one = IndexClient(data, on_gone=lambda message, _remedy: told.append(message))
    try:
        await one.start(folders)
        yield one
    finally:
        await one.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def ready(one: IndexClient) -> dict[str, Any]:
    """Its status, once everything is read."""
    async with asyncio.timeout(WAIT_S):
        while (status := await one.status())["state"] != "ready":
            await asyncio.sleep(0.02)
    return status


async def paths(one: IndexClient, query: str) -> set[str]:
    return {hit["path"] for hit in await one.search(query, 10)}


def modes(folder: Path) -> set[int]:
    """Access rights of the folders, and of the files that are not in a folder of the vector store."""
    found = [p for p in folder.rglob("*") if p.is_dir() or p.parent.name == "store"]
    return {path.stat().st_mode & 0o777 for path in found if "points" not in path.parent.parts}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path / "project", SHAPES)
    return tmp_path / "project"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def test_it_finds_what_is_there_and_goes_when_told(root: Path, data: Path) -> None:
    async with serving(data, root) as one:
        assert (await ready(one))["files"] == 3
        (hit, *_) = await one.search("how long is the circumference of a circle", 3)
        assert hit["path"] == "shapes/circle.py"
        assert hit["folder"] == str(root)
        assert (hit["start_line"], hit["end_line"]) == (0, 5)
        assert hit["text"] == SHAPES["shapes/circle.py"]
        pid = one.pid
        assert pid is not None
        network = [c for c in psutil.Process(pid).net_connections() if c.family != socket.AF_UNIX]
        assert network == []
    assert not psutil.pid_exists(pid)


async def test_a_saved_file_is_found_at_once(root: Path, data: Path) -> None:
    async with serving(data, root) as one:
        await ready(one)
        plant(root, {"shapes/hexagon.py": "class Hexagon:\n    def hexagonal_area(self): ...\n"})
        one.saved(root / "shapes" / "hexagon.py")
        async with asyncio.timeout(WAIT_S):
            while "shapes/hexagon.py" not in await paths(one, "hexagonal_area"):
                await asyncio.sleep(0.01)


async def test_what_was_indexed_is_there_at_the_next_start(root: Path, data: Path) -> None:
    async with serving(data, root) as one:
        await ready(one)
    async with serving(data, root) as one:
        assert (await ready(one))["files"] == 3
        assert "notes.md" in await paths(one, "pentagon")
    assert modes(data) <= {0o700, 0o600}


async def test_a_second_window_asks_the_first_and_takes_over_from_it(root: Path, data: Path) -> None:
    async with serving(data, root) as first:
        await ready(first)
        async with serving(data, root) as second:
            await ready(second)
            assert await paths(second, "perimeter") == {"shapes/square.py"}
            plant(root, {"new.py": "def dodecahedron(): ...\n"})
            second.saved(root / "new.py")
            async with asyncio.timeout(WAIT_S):
                while "new.py" not in await paths(first, "dodecahedron"):
                    await asyncio.sleep(0.01)
            assert first.pid is not None
            os.kill(first.pid, signal.SIGKILL)
            async with asyncio.timeout(WAIT_S):
                while "new.py" not in await paths(second, "dodecahedron"):
                    await asyncio.sleep(0.01)
            await ready(second)


async def test_two_windows_may_have_different_folders(root: Path, data: Path, tmp_path: Path) -> None:
    plant(tmp_path / "other", {"b.py": "def icosahedron(): ...\n"})
    async with serving(data, root) as first, serving(data, root, tmp_path / "other") as second:
        await ready(first)
        await ready(second)
        assert await paths(first, "icosahedron") == set()
        assert await paths(second, "icosahedron") == {"b.py"}
        assert await paths(second, "circumference") == {"shapes/circle.py"}


async def test_a_killed_process_comes_back_with_everything(root: Path, data: Path) -> None:
    async with serving(data, root) as one:
        await ready(one)
        pid = one.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: one.pid not in (None, pid))
        assert (await ready(one))["files"] == 3
        assert "shapes/circle.py" in await paths(one, "circumference")


async def test_stores_that_crash_the_process_are_put_aside(root: Path, data: Path) -> None:
    async with serving(data, root) as one:
        await ready(one)
        for _ in range(2):
            pid = one.pid
            assert pid is not None
            os.kill(pid, signal.SIGSEGV)
            await until(lambda pid=pid: one.pid not in (None, pid))
        assert (await ready(one))["files"] == 3
        assert "shapes/circle.py" in await paths(one, "circumference")
    (home,) = (data / "index").iterdir()
    assert (home / "damaged").is_dir()


async def test_without_a_place_to_keep_it_there_is_no_index_but_an_answer(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    async with serving(tmp_path / "file", root) as one:
        assert await paths(one, "circle") == set()
        assert (await one.status())["problem"]


async def test_folders_come_and_go(root: Path, data: Path, tmp_path: Path) -> None:
    plant(tmp_path / "other", {"b.py": "def icosahedron(): ...\n"})
    async with serving(data, root) as one:
        await ready(one)
        one.set_folders([tmp_path / "other"])
        async with asyncio.timeout(WAIT_S):
            while await paths(one, "icosahedron circumference") != {"b.py"}:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "message",
    [{"do": "nonsense"}, {"do": "search"}, {"do": "search", "query": 5, "limit": "x"}, {"do": "context", "path": "a"}],
)
async def test_a_message_that_does_not_fit_is_the_senders_fault(
    root: Path, data: Path, message: dict[str, Any]
) -> None:
    async with serving(data, root) as one:
        await ready(one)
        with pytest.raises(WorkerError):
            await one.ask(message, WAIT_S)
        assert "notes.md" in await paths(one, "pentagon")


async def test_context_for_a_completion(root: Path, data: Path) -> None:
    text = "from shapes.circle import Circle\n\n\ndef round_trip(circle: Circle) -> float:\n    return circle.\n"
    plant(root, {"trip.py": text})
    snapshot = Snapshot.of(text, uri=(root / "trip.py").as_uri(), language="python")
    async with serving(data, root) as one:
        await ready(one)
        source = ProjectSource(one, lambda uri: Path(uri.removeprefix("file://")))
        found = await source(spot_at(snapshot, Position(4, 18)))
        text = "".join(snippet.text for snippet in found.snippets)
        assert "circumference(self) -> float" in text
        assert "radius: float" in text
        assert {s.path.partition("/")[0] for s in found.snippets} <= {"shapes", "notes.md"}
        assert all(s.origin.startswith(root.as_uri()) for s in found.snippets)
        elsewhere = Snapshot.of("x", uri="file:///elsewhere/x.py", language="python")
        assert (await source(spot_at(elsewhere, Position(0, 1)))).snippets == ()


async def test_the_map_and_who_depends_on_what(root: Path, data: Path) -> None:
    plant(root, {"trip.py": "from shapes.circle import Circle\n\n\ndef trip():\n    return Circle().circumference()\n"})
    async with serving(data, root) as one:
        await ready(one)
        shown = await one.repository_map(root, 500, mentioned=["circumference"])
        assert "shapes/circle.py" in shown
        assert "def circumference(self) -> float" in shown
        found = await one.impact(root, name="Circle.circumference")
        assert found["definitions"] == [["shapes/circle.py", 3]]
        assert [line[:2] for line in found["lines"]] == [["trip.py", 4]]
        assert (await one.impact(root, path="shapes/circle.py"))["importers"] == [["trip.py", 1]]
        with pytest.raises(WorkerError):
            await one.repository_map(root / "nowhere", 500)


def test_only_one_has_the_lock(tmp_path: Path) -> None:
    held = lock(tmp_path / "home")
    assert held is not None
    assert lock(tmp_path / "home") is None
    os.close(held)
    again = lock(tmp_path / "home")
    assert again is not None
    os.close(again)


def test_a_socket_that_nobody_or_somebody_else_made_is_not_asked(tmp_path: Path) -> None:
    with pytest.raises(WorkerError):
        Guest(tmp_path)
    Path(address_of(tmp_path)).write_text("not a socket")
    with pytest.raises(WorkerError):
        Guest(tmp_path)


def test_a_sight_survives_the_wire() -> None:
    made = sight_at("a.py", "python", ["import x", "", "x.y("], 2, 4, [Import("x", 0, (("a", "b"),), "c")])
    assert _sight(json.loads(json.dumps(asdict(made))), "a.py") == made
