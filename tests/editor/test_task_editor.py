"""A task over several files in the real editor: from the palette to the files, and back."""

from collections.abc import Iterator

import harness
import pytest
from harness import Open

from chat_server import ChatServer
from scenarios.models import Ideal
from scenarios.scenario import Scenario, scenarios
from scenarios.served import served

pytestmark = pytest.mark.editor

DIALOG = ".monaco-dialog-box"
BUTTON = f"{DIALOG} .monaco-button"
INPUT = ".quick-input-widget"
SETTINGS = {"editor.minimap.enabled": False, "workbench.tips.enabled": False}


@pytest.fixture
def scenario() -> Scenario:
    return scenarios()["rename_function"]


@pytest.fixture
def model(scenario: Scenario) -> Iterator[ChatServer]:
    with served(Ideal(scenario)) as server:
        yield server


def test_a_task_from_the_palette_to_the_files_and_back(open_workbench: Open, model: ChatServer, scenario: Scenario):
    bench = open_workbench(dict(scenario.files), toml=model.toml, user_settings=SETTINGS)
    bench.ready()
    page = bench.page
    page("command", title="Hearth: Task over Several Files…")
    page("see", selector=INPUT, text="What should be done?")
    page("type", text=scenario.goal, delay=1)
    page("press", key="Enter")
    page("see", selector=DIALOG, text="files may have to change")
    page.shot("task-impacted")
    page("click", selector=BUTTON, text="Go on")
    page("see", selector=DIALOG, text="The plan has")
    page("see", selector=".view-line", text="Impacted files")
    page.shot("task-plan")
    page("click", selector=BUTTON, text="Carry out")
    page("see", selector=DIALOG, text="commands of the project would run on a copy")
    page("click", selector=BUTTON, text="Do not run")
    page("see", selector=DIALOG, text="The task is done")
    page.shot("task-done")
    assert {name: bench.read(name) for name in scenario.files} == scenario.files, "nothing is changed before"
    page("click", selector=BUTTON, text="Preview…")
    page("see", selector=".bulk-edit-panel .monaco-list-row", text="test_inventory.py")
    page.shot("task-preview")
    page("click", selector=".bulk-edit-panel .monaco-button", text="Discard")
    page("see", selector=harness.TOAST, text="did not apply")
    # Once more, with a step in other words, from the keyboard, and taken as it is.
    page("command", title="Hearth: Task over Several Files…")
    page("see", selector=INPUT, text="What should be done?")
    page("type", text=scenario.goal, delay=1)
    page("press", key="Enter")
    page("see", selector=DIALOG, text="files may have to change")
    page("click", selector=BUTTON, text="Go on")
    page("see", selector=DIALOG, text="The plan has")
    page("click", selector=BUTTON, text="Change the plan…")
    page("see", selector=INPUT, text="Add a step…")
    page.shot("task-plan-steps")
    page("press", key="Enter")
    page("see", selector=INPUT, text="Change its words…")
    page("press", key="Enter")
    page("see", selector=INPUT, text="What should the step do?")
    page("type", text="Begin where it is defined")
    page.shot("task-plan-words")
    page("press", key="Enter")
    for words, button in (
        ("1. Begin where it is defined (", "Carry out"),
        ("commands of the project would run on a copy", "Do not run"),
        ("The task is done", "Apply"),
    ):
        page("see", selector=DIALOG, text=words)
        page("click", selector=BUTTON, text=button)
    page("see", selector=harness.TOAST, text="The task is done")
    page("see", selector=".view-line", text="Done")
    page.shot("task-certificate")
    page("command", title="File: Save All Files")
    solved = scenario.solved()
    harness.wait_for(lambda: {name: bench.read(name) for name in solved} == solved, "every file")
    page("command", title="Hearth: Undo Last Change")
    page("command", title="File: Save All Files")
    harness.wait_for(lambda: {name: bench.read(name) for name in scenario.files} == scenario.files, "as before")
