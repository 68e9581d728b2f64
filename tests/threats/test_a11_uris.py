"""A11: a tool that fetches is given a `file:` URI, or another scheme, and reads what it should not.

Control: no tool of a task fetches anything, and none takes a URI for a path.
"""

from pathlib import Path

import pytest

from hearth.core.task_protocol import TOOLS
from threats.desk import Desk

SCHEMES = (
    "file",
    "FILE",
    "http",
    "https",
    "ftp",
    "data",
    "jar",
    "gopher",
    "vscode",
    "hearth",
    "untitled",
    "smb",
    "ssh",
)
FORMS = ("{}:///etc/passwd", "{}://localhost/etc/passwd", "{}:/etc/passwd", "{}:etc/passwd", "{}:%2Fetc%2Fpasswd")


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_no_scheme_is_a_path(tmp_path: Path, scheme: str) -> None:
    desk = Desk(tmp_path, {"a.py": "x = 1\n"})
    for form in FORMS:
        uri = form.format(scheme)
        assert not await desk.tried("read", path=uri)
        assert not await desk.tried("write", path=uri, text="evil\n")
        assert not await desk.tried("move", path="a.py", to=uri)
    assert desk.untouched()


def test_no_tool_has_an_address_to_give() -> None:
    named = {name for tool in TOOLS for name in tool.parameters["properties"]}
    assert named.isdisjoint({"url", "uri", "href", "host", "address", "command", "argv", "cwd", "env"})
