"""A task's change into the files without an editor: killed in its midst, it goes on, or is taken back."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hearth.agent.applying import NotApplied, apply
from hearth.core.patch import Patch
from hearth.journal import Change, Journal

GOAL = "make it new"
BEFORE: dict[str, str | None] = {"a.py": "a\n", "deep/b.py": "b\n", "gone.py": "gone\n", "made/c.py": None}
AFTER: dict[str, str | None] = {"a.py": "A\n", "deep/b.py": "B\n", "gone.py": None, "made/c.py": "C\n"}
SERVER = Path(__file__).parents[2] / "server"
DYING = """
import os, signal, sys
from pathlib import Path
from hearth.agent.applying import apply
from hearth.journal import Journal
import json
root, home, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def dying(real):
    def act(*arguments, **named):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*arguments, **named)
    return act
journal = Journal(home)
noted = journal.note
def note(change):
    found = noted(change)
    for name in ("rename", "unlink", "mkdir"):
        setattr(os, name, dying(getattr(os, name)))
    return found
journal.note = note
apply(root, sys.argv[4], json.loads(sys.argv[5]), json.loads(sys.argv[6]), journal)
"""
MOMENTS = 7
"""Of the renaming, unlinking and making of folders that this change takes, and the end."""


def written(root: Path) -> Path:
    for path, text in BEFORE.items():
        if text is not None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
    return root


def contents(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def there(texts: dict[str, str | None]) -> dict[str, str]:
    return {path: text for path, text in texts.items() if text is not None}


def killed(tmp_path: Path, moment: int) -> tuple[Path, Journal]:
    root, home = written(tmp_path / "ws"), tmp_path / "journal"
    done = subprocess.run(
        [sys.executable, "-c", DYING, root, home, str(moment), GOAL, json.dumps(AFTER), json.dumps(BEFORE)],
        env={**os.environ, "PYTHONPATH": str(SERVER)},
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if moment < MOMENTS - 1 else 0)
    return root, Journal(home)


@pytest.mark.skipif(os.name == "nt", reason="there is no signal that kills")
@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_amid_applying_it_goes_on_or_is_taken_back(tmp_path: Path, moment: int):
    root, journal = killed(tmp_path, moment)
    left = contents(root)
    last = journal.last(str(root))
    if moment < MOMENTS - 1:
        assert left != there(AFTER)
        assert last is not None
        patch = journal.revert(last.id, left.get)
        assert isinstance(patch, Patch), patch
        back = {**left, **{edit.path: edit.after for edit in patch.edits}}
        named = {path: text for path, text in back.items() if not path.rpartition("/")[2].startswith(".")}
        assert there(named) == there(BEFORE)
        apply(root, GOAL, AFTER, BEFORE, journal)
    assert contents(root) == there(AFTER), "and nothing that was being written lies beside"
    (entry,) = journal.list(str(root))
    assert (entry.state, set(entry.paths)) == ("done", set(AFTER))


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the third file finds no room."""
    root, journal = written(tmp_path / "ws"), Journal(tmp_path / "journal")
    real, count = os.fsync, -100

    def full(handle: int) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr("hearth.agent.applying.os.fsync", full)
    note = journal.note

    def noted(change: Change) -> str:
        nonlocal count
        found = note(change)
        count = 0
        return found

    monkeypatch.setattr(journal, "note", noted)
    with pytest.raises(NotApplied, match=r"could not be written: No space left on device\. *") as told:
        apply(root, GOAL, AFTER, BEFORE, journal)
    assert "as it was" in told.value.remedy
    assert contents(root) == there(BEFORE)
    assert journal.list() == []


def test_what_somebody_else_changed_is_never_overwritten(tmp_path: Path):
    root, journal = written(tmp_path / "ws"), Journal(tmp_path / "journal")
    (root / "deep/b.py").write_text("mine\n")
    with pytest.raises(NotApplied, match=r"deep/b\.py has changed"):
        apply(root, GOAL, AFTER, BEFORE, journal)
    assert contents(root) == {**there(BEFORE), "deep/b.py": "mine\n"}
