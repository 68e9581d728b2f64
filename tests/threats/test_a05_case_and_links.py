"""A05: another spelling of a protected name, or a link, leads to a file that may not be touched.

Control: names are compared as any file system may take them; real paths count, are looked at again at each access, and
what is written at the end follows no link, not even one put in place meanwhile.
"""

import os
from pathlib import Path

import pytest

from hearth.agent.applying import NotApplied, apply
from hearth.core.task_guard import protected, secret, unfit
from hearth.journal import Change, Journal
from threats.desk import Desk

SPELLINGS = (
    ".VSCODE/settings.json", ".vScOdE/tasks.json", ".vscode./settings.json", ".vscode /settings.json",
    ".\u200bvscode/settings.json", "\uff0evscode/settings.json", ".vs\u00adcode/tasks.json", ".GITHUB/workflows/x.yml",
    "MAKEFILE", "Package.json", "package.json.", "package.json ", "package.json::$DATA", "AGENTS.MD", "Agents.md",
    "\uff30ackage.json", "pac\u212aage.json", "Doc\u212aerfile", "\u017fetup.py", "make\ufb01le",
)  # fmt: skip


@pytest.mark.parametrize("path", SPELLINGS)
def test_every_spelling_of_a_protected_name_is_protected_or_refused(path: str) -> None:
    assert unfit(path) or protected(path)


@pytest.mark.parametrize(
    "path", [".git/config", ".GIT/config", ".git./hooks/pre-commit", ".env", ".ENV", "id_rsa", "x.PEM"]
)
def test_secrets_and_gits_own_folder_are_never_touched(path: str) -> None:
    assert unfit(path) or secret(path)


@pytest.mark.parametrize("slash", "∕⁄⧸／＼∖")
def test_what_looks_like_a_slash_is_no_part_of_a_name(slash: str) -> None:
    assert unfit(f"outside{slash}evil.txt")


async def test_links_are_neither_read_nor_written(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "diary.txt").write_text("mine\n")
    desk = Desk(tmp_path, {"a.py": "x = 1\n"})
    (desk.root / "link").symlink_to(tmp_path / "outside")
    (desk.root / "link.txt").symlink_to(tmp_path / "outside" / "diary.txt")
    (desk.root / "inner").symlink_to(desk.root / "a.py")
    before = desk.everything()
    for path in ("link/diary.txt", "link/new.txt", "link.txt", "inner"):
        assert not await desk.tried("read", path=path)
        assert not await desk.tried("write", path=path, text="evil\n")
        assert not await desk.tried("remove", path=path)
        assert not await desk.tried("move", path="a.py", to=path)
    assert desk.overlay.changes == {}
    assert desk.everything() == before


async def test_another_spelling_of_a_file_that_is_there_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"src/Shop.py": "x = 1\n"})
    assert not await desk.tried("write", path="src/shop.py", text="evil\n")
    assert not await desk.tried("write", path="SRC/other.py", text="evil\n")
    assert desk.untouched()


async def test_a_link_put_in_place_after_the_look_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    desk = Desk(tmp_path, {"src/a.py": "x = 1\n", "b.py": "y = 1\n"})
    assert await desk.tried("write", path="b.py", text="y = 2\n")
    assert await desk.tried("write", path="src/new.py", text="evil\n")
    os.rename(desk.root / "src", desk.root / "moved")
    (desk.root / "src").symlink_to(outside)
    with pytest.raises(NotApplied):
        apply(desk.root, "g", desk.overlay.changes, {"b.py": "y = 1\n", "src/new.py": None}, Journal(tmp_path / "j"))
    assert list(outside.iterdir()) == []
    assert (desk.root / "b.py").read_text() == "y = 1\n"


async def test_a_link_put_in_place_between_the_look_and_the_writing_is_not_followed(tmp_path: Path) -> None:
    """The change is written down after the files were looked at, and before the first is written."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.py").write_text("x = 1\n")
    desk = Desk(tmp_path, {"src/a.py": "x = 1\n", "b.py": "y = 1\n"})

    class Late(Journal):
        def note(self, change: Change) -> str:
            os.rename(desk.root / "src", desk.root / "moved")
            (desk.root / "src").symlink_to(outside)
            return super().note(change)

    changes, bases = {"b.py": "y = 2\n", "src/a.py": "evil\n"}, {"b.py": "y = 1\n", "src/a.py": "x = 1\n"}
    with pytest.raises(NotApplied):
        apply(desk.root, "g", changes, bases, Late(tmp_path / "j"))
    assert (outside / "a.py").read_text() == "x = 1\n"
    assert [path.name for path in outside.iterdir()] == ["a.py"]
    assert (desk.root / "b.py").read_text() == "y = 1\n"


@pytest.mark.parametrize("path", [".env", ".git/hooks/pre-commit", "private/plan.md", "a\u200b.py"])
def test_applying_looks_at_each_path_itself(tmp_path: Path, path: str) -> None:
    """Whatever a task's changes say: they may come from a journal that somebody else has written."""
    desk = Desk(tmp_path, {"src/a.py": "x = 1\n", ".cursorignore": "private/\n"})
    with pytest.raises(NotApplied):
        apply(desk.root, "g", {path: "evil\n"}, {path: None}, Journal(tmp_path / "j"))
    assert not (desk.root / path).exists()
