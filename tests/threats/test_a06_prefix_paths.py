"""A06: a path check by prefix lets `/ws-evil` pass for `/ws`; and every other way out of the workspace.

Control: paths are relative, have no `..`, and their real path must be the workspace's own plus themselves.
"""

from pathlib import Path

import pytest

from hearth.agent.applying import NotApplied, apply
from hearth.journal import Journal
from threats.desk import Desk

WAYS_OUT = (
    "../ws-evil/x.txt", "../evil.txt", "../../evil.txt", "a/../../evil.txt", "./../evil.txt", "a/./../../evil.txt",
    "/tmp/evil.txt", "//tmp/evil.txt", "~/evil.txt", "~root/evil.txt", "C:/evil.txt", "C:\\evil.txt", "c:evil.txt",
    "..\\evil.txt", "a\\..\\..\\evil.txt", "\\\\server\\share\\evil.txt", "..", ".", "", "a/..", "a//b.txt",
    "evil\x00.txt", "evil\n.txt", "\x1b[2Jevil.txt", "con", "nul.txt", "AUX.py", "evil.txt:stream", "x" * 500,
    "/".join("a" * 60),
)  # fmt: skip


@pytest.mark.parametrize("path", WAYS_OUT)
async def test_no_path_leads_out(tmp_path: Path, path: str) -> None:
    (tmp_path / "ws-evil").mkdir()
    desk = Desk(tmp_path, {"a.py": "x = 1\n"})
    assert not await desk.tried("read", path=path)
    assert not await desk.tried("write", path=path, text="evil\n")
    assert not await desk.tried("edit", path=path, old="", new="evil\n")
    assert not await desk.tried("remove", path=path)
    assert not await desk.tried("move", path="a.py", to=path)
    assert not await desk.tried("move", path=path, to="b.py")
    assert desk.untouched()


@pytest.mark.parametrize("path", ["../ws-evil/x.txt", "/tmp/hearth-evil.txt", "a/../../x"])
def test_nor_does_applying(tmp_path: Path, path: str) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws-evil").mkdir()
    with pytest.raises(NotApplied):
        apply(tmp_path / "ws", "g", {path: "evil\n"}, {path: None}, Journal(tmp_path / "journal"))
    assert list((tmp_path / "ws-evil").iterdir()) == []
    assert not Path("/tmp/hearth-evil.txt").exists()
