"""A07: a protected file that was not there when the task began is not on any list, and is created unprotected.

Control: files are protected by their name, at each access.
"""

import os
from pathlib import Path

from threats.desk import Desk


async def test_a_file_that_is_not_there_is_protected(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"a.py": "x = 1\n"})
    for path in (".vscode/tasks.json", ".github/workflows/new.yml", "conf/.clinerules/x.md", "deep/down/Makefile"):
        assert not await desk.tried("write", path=path, text="{}\n")
    assert desk.untouched()
    assert len(desk.person.protected_asked) == 4


async def test_a_folder_made_by_the_task_is_protected_too(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"a.py": "x = 1\n"})
    assert await desk.tried("write", path="tools/run.py", text="x = 1\n")
    assert not await desk.tried("move", path="tools/run.py", to=".husky/pre-commit")
    assert list(desk.overlay.changes) == ["tools/run.py"]


async def test_an_ignore_file_made_meanwhile_counts(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"a.py": "x = 1\n"})
    secret = desk.root / "private"
    secret.mkdir()
    (secret / "plan.md").write_text("canary\n")
    (desk.root / ".cursorignore").write_text("private/\n")
    desk.overlay.load()
    assert not await desk.tried("read", path="private/plan.md")
    assert not await desk.tried("write", path="private/plan.md", text="x\n")
    assert "canary" not in str(desk.overlay.texts)


async def test_a_link_made_meanwhile_counts(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"src/a.py": "x = 1\n"})
    outside = tmp_path / "outside"
    outside.mkdir()
    assert await desk.tried("read", path="src/a.py")
    os.rename(desk.root / "src", desk.root / "old")
    (desk.root / "src").symlink_to(outside)
    assert not await desk.tried("write", path="src/a.py", text="evil\n")
    assert not await desk.tried("read", path="src/a.py")
