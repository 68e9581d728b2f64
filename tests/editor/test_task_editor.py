"""A task over several files in the real editor: from the palette to the files, and back."""

from collections.abc import Iterator

import harness
import pytest
from harness import Open, Page

from chat_server import ChatServer, Reply
from scenarios.models import Ideal
from scenarios.scenario import Scenario, scenarios
from scenarios.served import served

pytestmark = pytest.mark.editor

DIALOG = ".monaco-dialog-box"
BUTTON = f"{DIALOG} .monaco-button"
INPUT = ".quick-input-widget"
ROW = ".quick-input-list .monaco-list-row"
PREVIEW = ".bulk-edit-panel"
STEP = "Begin where it is defined"
SETTINGS = {
    "editor.minimap.enabled": False,
    "workbench.tips.enabled": False,
    "files.autoSave": "afterDelay",
    "files.autoSaveDelay": 50,
}


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

    def becomes(files: dict[str, str]) -> None:
        harness.wait_for(lambda: {name: bench.read(name) for name in files} == files, "the files")

    page("command", title="Hearth: Task over Several Files…")
    page("see", selector=INPUT, text="What should be done?")
    page("answer", text=scenario.goal)
    # Enter presses what is said to go on.
    page("see", selector=DIALOG, text="files may have to change")
    page.shot("task-impacted")
    page("press", key="Enter")
    plan_changed(page)
    answer = model.answer
    page("see", selector=DIALOG, text="commands of the project would run on a copy")
    model.answer = lambda _messages: Reply("\f")
    asked = len(model.prompts)
    page("click", selector=BUTTON, text="Do not run")
    # The server is killed in the middle of the first step.
    harness.wait_for(lambda: len(model.prompts) > asked, "the first step")
    (killed,) = bench.servers()
    killed.kill()
    model.answer = answer
    model.go_on()
    # The next day, by somebody who reads French.
    bench.open(next(iter(scenario.files)), "fr")
    bench.ready()
    page("command", title="Hearth: Reprendre une tâche…")
    page("see", selector=INPUT, text="Quelle tâche reprendre ?")
    page.shot("task-resume")
    page("accept")
    page("see", selector=DIALOG, text="La tâche est terminée")
    page.shot("task-done")
    becomes(scenario.files)
    page("click", selector=BUTTON, text="Aperçu…")
    page("see", selector=f"{PREVIEW} .monaco-list-row", text="test_inventory.py")
    page.shot("task-preview")
    page("click", selector=f"{PREVIEW} .monaco-button", text="Discard")
    page("see", selector=harness.TOAST, text="Rien n'a été appliqué")
    # What was agreed to before it was killed is what was done.
    page("click", selector=".tab", text="Rename get_stock")
    page("press", key="Control+Home")
    page("see", selector=".view-line", text=STEP)
    # It was not lost: it is asked again, and taken as it is.
    page("command", title="Hearth: Reprendre une tâche…")
    page("see", selector=ROW, text="get_stock")
    page("accept")
    page("see", selector=DIALOG, text="La tâche est terminée")
    page("click", selector=BUTTON, text="Appliquer")
    page("see", selector=harness.TOAST, text="La tâche est terminée : ")
    page.shot("task-certificate")
    becomes(scenario.solved())
    page("command", title="Hearth: Annuler la dernière modification")
    becomes(dict(scenario.files))


def plan_changed(page: Page) -> None:
    """The first step in other words, and the plan agreed to."""
    page("see", selector=DIALOG, text="The plan has")
    page("see", selector=".view-line", text="Impacted files")
    page.shot("task-plan")
    page("click", selector=BUTTON, text="Change the plan…")
    page("see", selector=INPUT, text="Add a step…")
    page.shot("task-plan-steps")
    page("accept")
    page("see", selector=INPUT, text="Change its words…")
    page("accept")
    page("see", selector=INPUT, text="What should the step do?")
    page("answer", text=STEP)
    page("see", selector=DIALOG, text=f"1. {STEP} (")
    page("press", key="Enter")
