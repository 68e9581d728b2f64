"""`hearth task` from a terminal that is not there: what it agrees to, what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest

from agent.players import Player
from agent.test_run import GOAL, contents, ideal, project
from hearth import cli_task, door
from hearth.agent.applying import NotApplied, apply
from hearth.agent.base import Outcome, Parts
from hearth.cli import main
from hearth.engine import Engine
from hearth.journal import Journal


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace that is the current folder, folders of Hearth's own, and a model that plays the ideal one."""
    root = project(tmp_path / "ws")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text("[index]\nenabled = false\n")
    monkeypatch.setenv("HEARTH_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("HEARTH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(door, "PROBING_S", 0.1)
    monkeypatch.chdir(root)
    player = Player(ideal)
    monkeypatch.setattr(Engine, "ask", lambda _self, request, consent=None: player.ask(request))
    return root


def test_without_a_terminal_or_yes_nothing_is_carried_out(room: Path, capsys: pytest.CaptureFixture[str]):
    before = contents(room)
    assert main(["task", GOAL]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "you did not agree to the plan" in told.err
    assert contents(room) == before


def test_it_prints_a_diff_and_changes_nothing(room: Path, capsys: pytest.CaptureFixture[str]):
    before = contents(room)
    assert main(["task", GOAL, "--yes"]) == 0
    told = capsys.readouterr()
    assert "+def sum_of_prices(items):" in told.out
    assert "--- a/shop.py" in told.out
    assert "1 passed" in told.err or "Certificate" in told.err
    assert contents(room) == before


def test_json_is_for_machines_and_apply_writes(room: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["task", GOAL, "--yes", "--json", "--apply"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["certificate"]["ending"] in ("done", "unverified")
    assert sorted(told["applied"]) == ["README.md", "bill.py", "shop.py", "tests/test_shop.py"]
    assert "sum_of_prices" in (room / "shop.py").read_text()
    journal = Journal(room.parent / "data" / "journal")
    entry = journal.last(str(room.resolve()))
    assert entry is not None
    assert (entry.state, sorted(entry.paths)) == ("done", sorted(told["applied"]))
    back = journal.revert(entry.id, lambda path: (room / path).read_text())
    assert len(back.edits) == 4  # type: ignore[union-attr]


def test_replay_and_export_of_a_run(room: Path, capsys: pytest.CaptureFixture[str]):
    main(["task", GOAL, "--yes", "--json"])
    told = json.loads(capsys.readouterr().out)["certificate"]
    record = str(next((room.parent / "data" / "tasks").glob("*/journal.jsonl")))
    assert main(["task", "--replay", record, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again.pop("replayed")["differs"] == []
    assert again == {key: value for key, value in told.items() if key != "conflicts"}
    assert main(["task", "--redacted", record]) == 0
    exported = capsys.readouterr().out
    assert "pytest" in Path(record).read_text()
    assert all(word not in exported for word in ("total_price", "pytest", "shop.py", str(room), "1 passed"))
    assert main(["task", "--replay", str(room / "shop.py")]) == 1


@pytest.mark.parametrize("goal", ["", "  ", "x" * 30_000])
def test_wrong_use(room: Path, goal: str):
    assert main(["task", goal]) == 2


@pytest.mark.parametrize("name", ["none", "../../ws", "..", "a/b", "x" * 300])
def test_a_task_that_is_not_there(room: Path, name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["task", "--resume", name]) == 1
    assert "There is no task" in capsys.readouterr().err


def test_the_tasks_are_listed(room: Path, capsys: pytest.CaptureFixture[str]):
    main(["task", GOAL])
    capsys.readouterr()
    assert main(["task", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["tasks"]
    assert [(one["goal"], one["ending"]) for one in listed] == [(GOAL, "refused")]


def test_what_came_of_it_waits_until_it_is_applied_here(
    room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Taken up where it belongs, and not over what was changed meanwhile."""
    assert main(["task", GOAL, "--yes"]) == 0
    capsys.readouterr()

    def listed() -> tuple[str, str]:
        assert main(["task", "--list"]) == 0
        name, _, rest = capsys.readouterr().out.partition("  ")
        return name, rest

    name, words = listed()
    assert "not applied" in words
    monkeypatch.chdir(room.parent)
    assert main(["task", "--resume", name, "--apply"]) == 1
    assert f"another folder: {room.resolve()}" in capsys.readouterr().err
    monkeypatch.chdir(room)
    before = (room / "README.md").read_text()
    (room / "README.md").write_text("mine\n")
    assert main(["task", "--resume", name, "--apply"]) == 1
    told = capsys.readouterr().err
    assert "README.md changed since" in told
    assert "README.md has changed" in told
    assert "total_price" in (room / "shop.py").read_text(), "all or nothing"
    (room / "README.md").write_text(before)
    assert main(["task", "--resume", name, "--apply"]) == 0
    assert "total_price" not in (room / "shop.py").read_text()
    assert "not applied" not in listed()[1]
    room.rename(room.parent / "moved")
    monkeypatch.chdir(room.parent)
    assert main(["task", "--resume", name]) == 1
    assert "not there any more" in capsys.readouterr().err


def test_it_has_the_projects_index(room: Path, monkeypatch: pytest.MonkeyPatch):
    (room.parent / "config" / "settings.toml").write_text("[index]\nenabled = true\n")
    found: list[str] = []

    async def asks(goal: str, root: Path, parts: Parts) -> Outcome:
        assert parts.index is not None
        found.extend(hit["path"] for hit in await parts.index.search("total_price", 5))
        return Outcome("one", "stopped", "", {}, "", {})

    monkeypatch.setattr(cli_task, "run_task", asks)
    assert main(["task", GOAL, "--yes"]) == 1
    assert "shop.py" in found


def test_what_has_changed_meanwhile_is_never_overwritten(tmp_path: Path):
    root = project(tmp_path / "ws", {"a.py": "x = 1\n", "b.py": "y = 1\n"})
    before = contents(root)
    with pytest.raises(NotApplied, match=r"b\.py has changed"):
        apply(
            root, "g", {"a.py": "x = 2\n", "b.py": "y = 2\n"}, {"a.py": "x = 1\n", "b.py": "y = 0\n"}, Journal(tmp_path)
        )
    assert contents(root) == before


def test_all_or_nothing(tmp_path: Path):
    root = project(tmp_path / "ws", {"a.py": "x = 1\n", "b.py": "y = 1\n", "c": "a file\n"})
    before = contents(root)
    changes = {"a.py": "x = 2\n", "b.py": None, "c/d.py": "z = 1\n"}
    with pytest.raises(NotApplied):
        apply(root, "g", changes, {"a.py": "x = 1\n", "b.py": "y = 1\n", "c/d.py": None}, Journal(tmp_path / "j"))
    assert contents(root) == before


def test_new_folders_line_endings_and_deletions(tmp_path: Path):
    root = project(tmp_path / "ws", {"b.py": "y = 1\n"})
    (root / "a.py").write_bytes(b"\xef\xbb\xbfx = 1\r\n")
    old = (root / "a.py").read_bytes().decode()
    changes = {"a.py": old.replace("1", "2"), "b.py": None, "new/deep/c.py": "z\n"}
    apply(root, "g", changes, {"a.py": old, "b.py": "y = 1\n", "new/deep/c.py": None}, Journal(tmp_path / "j"))
    assert contents(root) == {"a.py": b"\xef\xbb\xbfx = 2\r\n", "new/deep/c.py": b"z\n"}


def test_a_diff_that_git_takes():
    text = cli_task.diff({"a": "x\n", "b": None, "c": "1"}, {"a": "y\n", "b": "new\n", "c": None})
    assert "--- a/a\n+++ b/a\n" in text
    assert "--- /dev/null\n+++ b/b\n" in text
    assert "-1\n\\ No newline at end of file\n" in text
