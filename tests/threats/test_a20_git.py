"""A20: a repository's own git configuration, hooks or attributes run a program when git is used on it.

Control: a task runs no git; checks run on a copy without `.git`, with the user's git configuration switched off.
"""

import json
import os
import stat
from pathlib import Path

from hearth.agent.checks import Checks
from hearth.agent.copying import copied
from hearth.agent.running import environment
from threats.desk import Desk

CONFIG = '[core]\n\tfsmonitor = "touch {0}/evil"\n\thooksPath = {0}/hooks\n[diff "x"]\n\ttextconv = touch {0}/evil\n'


def hostile(folder: Path) -> Desk:
    desk = Desk(folder, {"test_a.py": "def test_a():\n    assert True is not None\n", "pytest.ini": "[pytest]\n"})
    git = desk.root / ".git"
    (git / "hooks").mkdir(parents=True)
    (git / "config").write_text(CONFIG.format(folder))
    hook = git / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\ntouch {folder}/evil\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    (desk.root / ".gitattributes").write_text("*.py diff=x filter=x\n")
    return desk


def test_the_copy_has_no_git(tmp_path: Path) -> None:
    desk = hostile(tmp_path)
    copied(desk.root, tmp_path / "copy", {})
    assert sorted(os.listdir(tmp_path / "copy")) == [".gitattributes", "pytest.ini", "test_a.py"]


async def test_nothing_of_it_runs(tmp_path: Path) -> None:
    desk = hostile(tmp_path)
    checks = Checks(desk.overlay, desk.person, tmp_path / "home", trusted=True)
    prepared = await checks.prepared()
    assert [check.status for check in prepared.baseline] == ["passed"]
    assert not (tmp_path / "evil").exists()


def test_git_is_told_of_no_configuration_and_asks_nobody(tmp_path: Path) -> None:
    env = environment(tmp_path / "copy", tmp_path / "home", tmp_path / "ws", "tag")
    assert env["GIT_CONFIG_GLOBAL"] == os.devnull
    assert (env["GIT_CONFIG_NOSYSTEM"], env["GIT_TERMINAL_PROMPT"]) == ("1", "0")


async def test_the_tools_reach_none_of_it(tmp_path: Path) -> None:
    desk = hostile(tmp_path)
    for path in (".git/config", ".git/hooks/pre-commit", ".git/HEAD", ".GIT/config", "sub/.git/config"):
        assert not await desk.tried("read", path=path)
        assert not await desk.tried("write", path=path, text="evil\n")
        assert not await desk.tried("move", path="test_a.py", to=path)
    assert json.dumps(desk.overlay.changes) == "{}"
