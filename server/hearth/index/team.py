"""Where a team shares one index: a Qdrant server by URL. Which repository and branch a folder is, is read, not run."""

import hashlib
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hearth.core.embedtext import TEXT_VERSION
from hearth.index.points import Points
from hearth.index.walk import read_bytes

COLLECTION = "hearth"
CONFIG_BYTES_MAX = 256 * 1024
HEAD_BYTES_MAX = 4_096
NAME_CHARS_MAX = 200

_ORIGIN = re.compile(r'\[remote "origin"\][^\[]*?\burl\s*=\s*(\S+)')
_SCP = re.compile(r"^(?:[^@/]+@)?([^:/]+):(?!//)(.+)$")


@dataclass(frozen=True, slots=True)
class Team:
    """A folder's place on a Qdrant server. `salt` sets its chunks apart from those of other places."""

    url: str
    key: str
    repository: str
    branch: str

    @property
    def salt(self) -> str:
        return f"{self.repository}\0{self.branch}"

    def sparse(self) -> Points:
        """Where the vectors of words are."""
        return _server().ServerPoints(self.url, COLLECTION, self.repository, self.branch, api_key=self.key)

    def dense(self, model: str, dimensions: int) -> Points:
        """Where the vectors of an embedding model are: a collection for each, since they cannot be compared."""
        name = hashlib.sha256(f"{model}\0{TEXT_VERSION}\0{dimensions}".encode()).hexdigest()[:16]
        collection = f"{COLLECTION}-{name}"
        return _server().ServerPoints(
            self.url, collection, self.repository, self.branch, dimensions=dimensions, api_key=self.key
        )


def team_of(url: str, key: str, root: Path) -> Team | None:
    """Where the vectors of the folder `root` are shared; None without a URL, for those on this machine."""
    return Team(url, key, *identity(root)) if url else None


def _server() -> Any:
    # Only where a server is used: importing its client takes most of a second and much memory.
    return import_module("hearth.index.points_server")


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
