"""Where a team shares one index: a Qdrant server by URL. Which repository and branch a folder is, is read, not run."""

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hearth.index.walk import read_bytes

if TYPE_CHECKING:
    from hearth.index.project import OpenPoints

COLLECTION = "hearth"
CONFIG_BYTES_MAX = 256 * 1024
HEAD_BYTES_MAX = 4_096
NAME_CHARS_MAX = 200

_ORIGIN = re.compile(r'\[remote "origin"\][^\[]*?\burl\s*=\s*(\S+)')
_SCP = re.compile(r"^(?:[^@/]+@)?([^:/]+):(?!//)(.+)$")


def connector(url: str, key: str, root: Path) -> "tuple[OpenPoints | None, str]":
    """(how to come by the vectors of the folder `root`, what sets its chunks apart from those of other folders).

    Without a URL: (None, ""), for those on this machine.
    """
    if not url:
        return None, ""
    repository, branch = identity(root)
    # Only where a server is used: importing its client takes a second and much memory.
    server = import_module("hearth.index.points_server")

    def connect(_folder: Path):
        return server.ServerPoints(url, COLLECTION, repository, branch, api_key=key)

    return connect, f"{repository}\0{branch}"


def identity(root: Path) -> tuple[str, str]:
    """(repository, branch) of a folder: the same for everyone who has it, without credentials; the folder's name and
    "" where there is no git."""
    git = root / ".git"
    config = read_bytes(git / "config", CONFIG_BYTES_MAX) or b""
    head = (read_bytes(git / "HEAD", HEAD_BYTES_MAX) or b"").decode("utf-8", "replace").strip()
    branch = head.removeprefix("ref: refs/heads/") if head.startswith("ref: ") else head[:12]
    found = _ORIGIN.search(config.decode("utf-8", "replace"))
    repository = _normal(found.group(1)) if found else root.name
    return repository[:NAME_CHARS_MAX], branch[:NAME_CHARS_MAX]


def _normal(origin: str) -> str:
    """`git@host:a/b.git` and `https://user:key@host/a/b` are both `host/a/b`."""
    if scp := _SCP.match(origin):
        host, path = scp.group(1), scp.group(2)
    else:
        parts = urlsplit(origin)
        host, path = parts.hostname or "", parts.path
    return f"{host}/{path.strip('/').removesuffix('.git')}".casefold()
