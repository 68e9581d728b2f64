"""A disk that is full amid a task: it stops in words, no file is touched, and it goes on once there is room."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from lsp_client import Client, ServerError, environment, write_settings

from chat_server import ChatServer, Reply
from editor import EDITOR_CAPABILITIES, Editor
from scenarios.models import Ideal
from scenarios.scenario import Scenario, scenarios
from scenarios.served import served

SMALL = 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"'
UNSHARED = ("unshare", "--mount", "--map-root-user", "sh", "-c", SMALL)
PIECE = b"x" * 4_096


def may_mount(folder: Path) -> bool:
    try:
        return subprocess.run([*UNSHARED, str(folder), "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def scenario() -> Scenario:
    return scenarios()["rename_function"]


@pytest.fixture
def model(scenario: Scenario) -> Iterator[ChatServer]:
    with served(Ideal(scenario)) as server:
        yield server


@pytest.fixture
async def editor(tmp_path: Path, scenario: Scenario, model: ChatServer) -> AsyncIterator[Editor]:
    """Its server has a small disk of its own for what it keeps."""
    scenario.write(tmp_path / "work")
    write_settings(tmp_path)
    (tmp_path / "config" / "settings.toml").write_text(model.toml)
    data = tmp_path / "data"
    data.mkdir()
    if not may_mount(data):
        pytest.skip("no disk of its own can be mounted here")
    process = await asyncio.create_subprocess_exec(
        *UNSHARED, str(data), sys.executable, "-m", "hearth", "serve",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment(tmp_path), cwd=tmp_path,
    )  # fmt: skip
    one = Editor(Client(process))
    try:
        folder = {"uri": (tmp_path / "work").as_uri(), "name": "work"}
        await one.client.initialize(capabilities=EDITOR_CAPABILITIES, workspaceFolders=[folder])
        yield one
        await one.client.rested()
        one.client.check()
    finally:
        await one.client.kill()


class Disk:
    """The server's disk, as it sees it."""

    def __init__(self, editor: Editor, tmp_path: Path) -> None:
        self.data = Path(f"/proc/{editor.client.process.pid}/root{tmp_path}/data")

    def fill(self) -> None:
        with open(self.data / "ballast", "ab", buffering=0) as stream:
            try:
                while True:
                    stream.write(PIECE)
            except OSError:
                return

    def make_room(self) -> None:
        os.truncate(self.data / "ballast", 0)

    def tasks(self) -> list[str]:
        return [path.name for path in (self.data / "tasks").glob("*")]


async def test_it_stops_in_words_and_goes_on(editor: Editor, tmp_path: Path, scenario: Scenario, model: ChatServer):
    disk, whole = Disk(editor, tmp_path), model.answer

    def fills(messages: list[dict[str, Any]]) -> Reply:
        if len(model.prompts) == 4:
            disk.fill()
        return whole(messages)

    model.answer = fills
    editor.buttons = ["Go on", "Carry out", "Do not run"]
    with pytest.raises(ServerError, match=r"cannot be written \(No space left on device\).*Make room on the disk"):
        await editor.run("task", prompt=scenario.goal)
    (task,) = disk.tasks()
    with pytest.raises(ServerError, match="Make room on the disk"):
        await editor.run("resumeTask", task=task)
    with pytest.raises(ServerError, match="Make room on the disk"):
        await editor.run("task", prompt="Another one")
    assert disk.tasks() == [task], "what could not begin is not there"
    files = {path: (tmp_path / "work" / path).read_text("utf-8") for path in scenario.files}
    assert files == scenario.files

    disk.make_room()
    editor.buttons = ["Apply"]
    done = await editor.run("resumeTask", task=task)
    assert done["applied"], done
    assert all(editor.text((tmp_path / "work" / path).as_uri()) == text for path, text in scenario.solution.items())
