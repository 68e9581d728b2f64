"""`hearth index` and `hearth search`, as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMPILED = Path(__file__).resolve().parents[2] / ".cache" / "compiled"
TIMEOUT_S = 60


def run(home: Path, *arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    ours = {"HEARTH_CONFIG_DIR": str(home / "config"), "HEARTH_DATA_DIR": str(home / "data")}
    environment = {**os.environ, **ours, "PYTHONPYCACHEPREFIX": str(COMPILED)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "hearth", *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "areas.py").write_text("import math\n\n\ndef circle_area(r):\n    return math.pi * r * r\n")
    (folder / "notes.md").write_text("# Notes\n\nbuy apples\n")
    (folder / ".env").write_text("APPLES_KEY=1\n")
    return folder


def test_index_then_search(tmp_path: Path, project: Path) -> None:
    made = run(tmp_path, "index", str(project))
    assert made.returncode == 0, made.stderr
    assert made.stdout == "2 files, 2 pieces, 2 symbols\n"
    found = run(tmp_path, "search", "area of a circle", "--folder", str(project), "--limit", "1", "--json")
    (hit,) = json.loads(found.stdout)["results"]
    assert {key: hit[key] for key in ("path", "start_line", "end_line")} == {
        "path": "deep/areas.py", "start_line": 0, "end_line": 5,
    }  # fmt: skip
    assert "return math.pi * r * r" in hit["text"]
    assert isinstance(hit["score"], float)
    shown = run(tmp_path, "search", "apples", cwd=project)
    assert shown.returncode == 0
    assert shown.stdout.startswith("notes.md:1-3  Notes\n    # Notes\n")
    assert ".env" not in shown.stdout


def test_search_makes_the_index_where_there_is_none_and_sees_what_changed(tmp_path: Path, project: Path) -> None:
    assert "notes.md" in run(tmp_path, "search", "apples", "--folder", str(project)).stdout
    (project / "notes.md").write_text("# Notes\n\nbuy pears, many of them\n")
    again = run(tmp_path, "search", "apples", "--folder", str(project))
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "hearth: nothing was found.\n")
    assert "notes.md" in run(tmp_path, "search", "pears", "--folder", str(project)).stdout


def test_index_as_json(tmp_path: Path, project: Path) -> None:
    status = json.loads(run(tmp_path, "index", str(project), "--json").stdout)
    assert {key: status[key] for key in ("state", "files", "problem")} == {"state": "ready", "files": 2, "problem": ""}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("index", "nowhere"), 1, "nowhere is not a folder"),
        (("search", "a", "--folder", "nowhere"), 1, "nowhere is not a folder"),
        (("search", "  "), 2, "QUERY must not be empty"),
        (("search", "a", "--limit", "0"), 2, "--limit at least 1"),
        (("search",), 2, "required"),
    ],
)
def test_what_cannot_be_done_says_why(tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = run(tmp_path, *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""


def test_an_index_that_is_turned_off_says_so(tmp_path: Path, project: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text("[index]\nenabled = false\n")
    done = run(tmp_path, "index", str(project))
    assert done.returncode == 1
    assert "turned off" in done.stderr
    assert "turned off" in run(tmp_path, "search", "a", "--folder", str(project)).stderr


def test_doctor_knows_the_index_but_makes_none(tmp_path: Path, project: Path) -> None:
    assert "`hearth index` makes one" in run(tmp_path, "doctor", cwd=project).stdout
    assert not (tmp_path / "data" / "index").exists()
    run(tmp_path, "index", cwd=project)
    assert "Index: 2 files, 2 pieces, 2 symbols" in run(tmp_path, "doctor", cwd=project).stdout
