"""Multi-file tasks over the protocol: a scripted model behind a real server, plan and checks agreed to, one step that
changes every file, and back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from lsp_client import ServerError

from chat_server import ChatServer, Reply
from editor import EDITOR_CAPABILITIES, Editor
from scenarios.models import Ideal
from scenarios.scenario import Scenario, scenarios
from scenarios.served import served

NAME = "rename_function"
AGREED = ["Go on", "Carry out", "Do not run", "Preview…"]
THROUGH = ("done", "unverified")
"""How a task ends that has come to its end; without checks little of it is proved."""


@pytest.fixture
def scenario() -> Scenario:
    return scenarios()[NAME]


@pytest.fixture
def model(scenario: Scenario) -> Iterator[ChatServer]:
    with served(Ideal(scenario)) as server:
        yield server


@pytest.fixture
async def editor(server, tmp_path: Path, scenario: Scenario, model: ChatServer) -> Editor:
    scenario.write(tmp_path / "work")
    client = await begun(server, tmp_path, model)
    one = Editor(client)
    folder = {"uri": (tmp_path / "work").as_uri(), "name": "work"}
    await client.initialize(capabilities=EDITOR_CAPABILITIES, workspaceFolders=[folder])
    return one


async def begun(server, home: Path, model: ChatServer):
    """A server process that has our model server alone."""
    client = await server({}, initialize=False)
    (home / "config" / "settings.toml").write_text(model.toml)  # read at `initialize`
    return client


def now(tmp_path: Path, editor: Editor, scenario: Scenario) -> dict[str, str]:
    """Every file as the editor has it, else as the disk does."""
    found: dict[str, str] = {}
    for path in sorted((tmp_path / "work").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            uri = path.as_uri()
            text = editor.text(uri) if uri in editor.documents else path.read_text("utf-8")
            found[path.relative_to(tmp_path / "work").as_posix()] = text
    return found


async def test_a_task_from_goal_to_files_and_back(editor: Editor, tmp_path: Path, scenario: Scenario):
    editor.buttons = list(AGREED)
    done = await editor.run("task", prompt=scenario.goal)
    assert done["ending"] in THROUGH, done
    assert done["applied"], done
    texts = now(tmp_path, editor, scenario)
    assert texts == scenario.solved()
    (edit,) = editor.edits
    assert edit["edit"]["changeAnnotations"], "shown before"
    pages = editor.pages[done["page"]]
    assert "## Certificate" not in pages[0], "the page lived"
    foot = (await editor.page(done["page"])).split("\n").index("## Certificate")
    await editor.client.until(lambda: (done["page"], foot) in zip(editor.shown, editor.lines, strict=True), "in view")
    assert [one.get("message", "").partition(" ")[0] for one in editor.asked][:1], "the user was asked"
    await editor.run("undoLastChange")
    assert now(tmp_path, editor, scenario) == scenario.files


async def test_what_is_not_agreed_to_does_not_happen(editor: Editor, tmp_path: Path, scenario: Scenario):
    for buttons in (["End the task"], ["Go on", "End the task"], [None], []):
        editor.buttons = list(buttons)
        done = await editor.run("task", prompt=scenario.goal)
        assert done["ending"] == "refused"
    editor.buttons = [*AGREED[:-1], "Discard"]
    done = await editor.run("task", prompt=scenario.goal)
    assert done["ending"] in THROUGH, done
    assert not done["applied"]
    assert editor.edits == []
    assert now(tmp_path, editor, scenario) == scenario.files
    with pytest.raises(ServerError, match="no task that can be taken up"):
        await editor.run("resumeTask")


def picked(editor: Editor, count: int) -> list[dict[str, str]]:
    """The labels and descriptions of the lists that were chosen from last."""
    lists = [one["items"] for one in editor.asked if "items" in one]
    return [{item["label"]: item["description"] for item in items} for items in lists[-count:]]


async def test_files_and_plan_are_changed_before_they_are_agreed_to(editor: Editor, scenario: Scenario):
    """From the keyboard: lists to choose from, and words to change."""
    files, plan = ["Change the list…"] * 3, ["Change the plan…"] * 6
    editor.buttons = [*files, "Go on", *plan, "Carry out", "Do not run", "Discard"]
    editor.input = [
        *["README.md", "README.md"],  # left out, and taken back
        *["Add a file…", "docs/more.md"],
        *["Add a step…", "Tell of it", "docs/more.md, README.md"],
        *["3", "task_up"],
        *["Which is none"],
        *["0", "Change its words…", "Tell everybody"],
        *["0", "task_files", "README.md"],
        *["1", "Leave it out"],
    ]
    done = await editor.run("task", prompt=scenario.goal)
    assert done["ending"] in (*THROUGH, "stopped"), done
    dialogs = [one["message"] for one in editor.asked if "message" in one]
    (first, *_, last) = [text.split("\n")[1:] for text in dialogs if "steps" in text.split("\n")[0]]
    assert [line.partition(" ")[0] for line in first] == ["1.", "2.", "3."]
    assert last == [
        "1. Tell everybody (README.md)",
        "2. Tell of it (docs/more.md, README.md)",
        "3. What else is impacted (docs/more.md)",
    ]
    back = next(one for one in picked(editor, 99) if one.get("README.md", "").startswith("left out"))
    assert back["README.md"] == "left out: you left it out"
    values = [one["value"] for one in editor.asked if "value" in one]
    title = first[0].removeprefix("1. ")
    files = title.removeprefix("Change ")  # which the title names, so that the dialog does not name them again
    assert values == [title, files], "what is to be changed is there to be changed"
    assert "docs/more" in await editor.page(done["page"])


async def test_what_came_of_it_waits_for_the_user(editor: Editor, tmp_path: Path, scenario: Scenario):
    editor.buttons = [*AGREED[:-1], "Not now"]
    done = await editor.run("task", prompt=scenario.goal)
    assert done["ending"] in THROUGH, done
    assert not done["applied"]
    mine = tmp_path / "work" / "README.md"
    mine.write_text("# Mine\n", "utf-8")
    editor.buttons = ["Not now"]
    assert await editor.run("resumeTask", task=done["task"]) == {"cancelled": True}
    assert "README.md changed since" in editor.asked[-1]["message"]
    mine.write_text(scenario.files["README.md"], "utf-8")
    assert now(tmp_path, editor, scenario) == scenario.files
    editor.buttons = ["Apply"]
    assert (await editor.run("resumeTask", task=done["task"]))["applied"]
    assert now(tmp_path, editor, scenario) == scenario.solved()
    with pytest.raises(ServerError, match="no task that can be taken up"):
        await editor.run("resumeTask", task=done["task"])


async def test_stopped_and_taken_up_again(editor: Editor, tmp_path: Path, scenario: Scenario, model: ChatServer):
    """Stopped while the model writes: the task goes on from there, and what was agreed to is not asked again."""
    whole = model.answer
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(messages: list[dict[str, Any]]) -> Reply:
        if len(model.prompts) < 3:
            return whole(messages)
        loop.call_soon_threadsafe(held.set)
        return Reply("\f" + whole(messages).text)

    model.answer = slow
    editor.buttons = list(AGREED)
    running = asyncio.create_task(editor.run("task", prompt=scenario.goal))
    async with asyncio.timeout(30):
        await held.wait()
        assert (await editor.run("stop"))["stopped"] >= 1
        with pytest.raises(ServerError):
            await running
    assert now(tmp_path, editor, scenario) == scenario.files
    model.go_on()
    model.answer = whole
    editor.input = [None]
    assert await editor.run("resumeTask") == {"cancelled": True}
    listed = next(one["items"] for one in editor.asked if "items" in one)
    assert [one["label"] for one in listed] == [scenario.goal]
    editor.input, editor.buttons = [listed[0]["value"]], ["Carry out", "Do not run", "Apply"]
    async with asyncio.timeout(30):
        done = await editor.run("resumeTask")
    assert done["applied"], done
    assert now(tmp_path, editor, scenario) == scenario.solved()


STUCK = """
import os, signal, subprocess, sys, time
def test_stuck():
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('begun', 'w'); time.sleep(600)"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.run([sys.executable, "-c", child], start_new_session=True)
"""


async def stopped(editor: Editor, running: "asyncio.Task[Any]") -> None:
    async with asyncio.timeout(30):
        assert (await editor.run("stop"))["stopped"] >= 1
        with pytest.raises(ServerError):
            await running


async def test_stopped_while_the_user_is_asked_and_while_a_check_runs(
    editor: Editor, tmp_path: Path, scenario: Scenario
):
    (tmp_path / "work" / "tests" / "test_stuck.py").write_text(STUCK)
    before, asked = now(tmp_path, editor, scenario), asyncio.Event()

    async def nobody_there(_params: Any) -> None:
        asked.set()
        await asyncio.sleep(600)

    answers = editor.client.handlers["window/showMessageRequest"]
    editor.client.handlers["window/showMessageRequest"] = nobody_there
    running = asyncio.create_task(editor.run("task", prompt=scenario.goal))
    async with asyncio.timeout(30):
        await asked.wait()
    await stopped(editor, running)
    assert "$/cancelRequest" in [one["method"] for one in editor.client.notifications], "the question is put away"
    editor.client.handlers["window/showMessageRequest"] = answers

    (task,) = [path.name for path in (tmp_path / "data" / "tasks").iterdir()]
    editor.buttons = ["Go on", "Carry out", "Run"]
    running = asyncio.create_task(editor.run("resumeTask", task=task))
    copies = tmp_path / "data" / "tasks" / task
    async with asyncio.timeout(60):
        while not (begun := list(copies.glob("copy-*/work/begun"))):
            await asyncio.sleep(0.05)
    await stopped(editor, running)
    left = [one for one in psutil.process_iter() if str(begun[0].parent) in environment_of(one)]
    assert left == [], "nor what ignores being asked to end"
    assert list(copies.glob("copy-*")) == []
    assert now(tmp_path, editor, scenario) == before

    editor.buttons = ["Do not run", "Apply"]
    async with asyncio.timeout(60):
        assert (await editor.run("resumeTask", task=task))["applied"]


def environment_of(process: psutil.Process) -> str:
    try:
        return str(process.environ())
    except (psutil.Error, OSError):
        return ""


async def test_what_is_not_saved_is_to_be_saved_first(editor: Editor, tmp_path: Path, scenario: Scenario):
    uri = (tmp_path / "work" / "README.md").as_uri()
    await editor.open(uri, scenario.files["README.md"], "markdown")
    await editor.type(uri, 0, 0, "# Mine\n")
    with pytest.raises(ServerError, match=r"Save first.*README\.md"):
        await editor.run("task", prompt=scenario.goal)


async def test_without_a_folder_it_says_so(server, tmp_path: Path, model: ChatServer):
    client = await begun(server, tmp_path, model)
    await client.initialize(capabilities=EDITOR_CAPABILITIES)
    with pytest.raises(Exception, match="Open a folder"):
        await client.command("hearth.task", {"prompt": "do it"})
