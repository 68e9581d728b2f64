"""What the real client tells the server beyond the protocol: diagnostics, where the user turns to, several cursors."""

import json
from pathlib import Path
from typing import Any

import harness
import pytest
from harness import Open
from test_editor import PLAIN, fake_client_view, of, scripted

pytestmark = pytest.mark.editor

BROKEN = '\nconst count: number = "three";\n\n\n'
LONG = '{"keys": [' + ", ".join(f'{{"a{number}": }}' for number in range(300)) + "]}\n"
READY_S = 90.0
"""The TypeScript service needs its time on a busy machine."""


def starts(folder: Path) -> list[dict[str, Any]]:
    log = folder / "prompts.log"
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    return [record for record in map(json.loads, lines) if record["event"] == "start"]


def test_an_error_that_the_editor_shows_reaches_the_prompt(open_workbench: Open, tmp_path: Path):
    toml = scripted(tmp_path, text="double(count);\n", log="prompts.log", prefills=1)
    bench = open_workbench({"main.ts": BROKEN, "other.ts": "\n"}, toml=toml, user_settings=PLAIN)
    bench.ready("scripted-coder")
    # Nothing was typed yet: the file that is open is read ahead, since the client says where the cursor is.
    first = harness.wait_for(lambda: starts(tmp_path), "the first prompt")[0]
    assert first["max_tokens"] == 0
    assert "const count" in first["prompt"]
    page = bench.page
    page("see", selector=".squiggly-error", timeout=READY_S * 1000)
    # An edit elsewhere is what makes the prompt worth renewing; it is, at rest, and with the error.
    page("click", selector=".explorer-folders-view .monaco-list-row", text="other.ts")
    page("see", selector=".tab.active", text="other.ts")
    page("focus")
    page("type", text="export const limit = 10;")
    page("press", key="Control+s")
    page("click", selector=".explorer-folders-view .monaco-list-row", text="main.ts")
    page("see", selector=".tab.active", text="main.ts")
    told = "// error: Type 'string' is not assignable to type 'number'."
    read = harness.wait_for(lambda: [one for one in starts(tmp_path) if told in one["prompt"]], "the error")
    assert read[0]["max_tokens"] == 0  # at rest, and not at a key


def test_several_cursors_are_left_alone(open_workbench: Open, tmp_path: Path):
    bench = open_workbench({"main.py": "a\nb\n"}, toml=scripted(tmp_path, text="1\n"), user_settings=PLAIN)
    bench.ready("scripted-coder")
    page = bench.page
    page("focus")
    page("press", key="Control+Home")
    page("press", key="End")
    page("command", title="Add Cursor Below")
    page("type", text=" = ")
    page("wait", ms=1_500)
    assert page("ghost") == ""
    page("press", key="Escape")
    page("type", text="2 + ")
    page("waitGhost", text="1")
    page("press", key="Tab")
    assert bench.save("main.py", lambda text: "2 + 1" in text) == "a = 2 + 1\nb = \n"
    page("command", title="Hearth: Why No Suggestion?")
    page("seeAnywhere", text="there are several cursors")


def test_what_is_told_of_diagnostics_and_focus(open_workbench: Open, tmp_path: Path):
    log, program = fake_client_view(tmp_path, "run(LOG, {})")
    files = {"a.json": '{"a": 1,\n "b": }\n', "long.json": LONG}
    bench = open_workbench(files, settings=program)
    page = bench.page
    bench.ready()

    def latest(name: str) -> list[dict[str, Any]] | None:
        found = [one["diagnostics"] for one in of(log, "hearth/diagnostics") if one["uri"].endswith(f"/{name}")]
        return found[-1] if found else None

    (error,) = harness.wait_for(lambda: latest("a.json"), "the error", READY_S)
    assert error["severity"] == 1
    assert error["message"]
    assert error["range"]["start"]["line"] == 1
    assert set(error) == {"range", "severity", "message"}
    here = {"line": 0, "character": 0}
    focused = of(log, "hearth/focus")
    assert focused[0]["uri"].endswith("/a.json")
    assert focused[0]["selection"] == {"start": here, "end": here}
    page("click", selector=".explorer-folders-view .monaco-list-row", text="long.json")
    harness.wait_for(lambda: of(log, "hearth/focus")[-1].get("uri", "").endswith("/long.json"), "the other file")
    many = harness.wait_for(lambda: latest("long.json"), "its errors", READY_S)
    assert len(many) == 100
    # Mended: an empty list takes the error away.
    page("click", selector=".explorer-folders-view .monaco-list-row", text="a.json")
    page("see", selector=".tab.active", text="a.json")
    page("focus")
    page("press", key="ArrowUp")
    page("press", key="End")
    page("press", key="ArrowLeft")
    page("type", text="2")
    harness.wait_for(lambda: latest("a.json") == [], "no error")
