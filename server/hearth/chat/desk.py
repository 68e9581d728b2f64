"""What a chat may see of the workspace: documents as the editor has them, files as the disk has them, and what tools
say.

The engine has a real one (`hearth.chat.workspace.WorkspaceDesk`); tests put a dictionary of files behind the same
face."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hearth.core.context import Diagnostic
from hearth.core.origin import Origin
from hearth.core.text import Snapshot
from hearth.core.websearch import WebPage


@dataclass(frozen=True, slots=True)
class Hit:
    """A piece of the workspace that search found. Lines are 0-based, `end` exclusive."""

    folder: str
    path: str
    start: int
    end: int
    text: str
    symbol: str = ""


class Desk(Protocol):
    """One workspace. Folders are absolute real paths, paths in them relative with "/"."""

    @property
    def trusted(self) -> bool:
        """Whether the workspace is: else no rules file is read and git is not asked."""
        ...

    @property
    def folders(self) -> Sequence[str]: ...

    def place(self, uri: str) -> tuple[str, str]:
        """(folder, path in it) of a document; ("", absolute path) outside of all folders; ("", "") if it was never
        saved."""
        ...

    def uri(self, folder: str, path: str) -> str:
        """The URI of a file."""
        ...

    async def snapshot(self, uri: str) -> Snapshot:
        """A document: as it is open, else as it is on the disk. Raises HearthError: no file, binary, too large, or one
        that nothing may read."""
        ...

    def allows(self, folder: str, path: str) -> bool:
        """Whether a file may be read, by its name and the ignore files; whether it is there does not matter."""
        ...

    async def files(self, folder: str) -> Sequence[str]:
        """Paths of the files of a folder that may be read, near ones first; bounded."""
        ...

    async def rules_files(self, folder: str, document: str) -> Sequence[tuple[str, str]]:
        """(path, text) of the files of `core.rules.wanted(document)` that are there, in that order; () unless
        trusted."""
        ...

    async def manifests(self, folder: str, paths: Sequence[str]) -> dict[str, str]:
        """The texts of those of these files that are there, in this order."""
        ...

    async def search(self, query: str, limit: int) -> Sequence[Hit]:
        """Best first. Raises HearthError where there is no index."""
        ...

    async def map(self, folder: str, tokens: int, mentioned: Sequence[str]) -> str:
        """What matters most in a folder (see core.repomap), at most so long; "" where there is no index."""
        ...

    def diagnostics(self, uri: str) -> Sequence[Diagnostic]:
        """What the editor's tools say of a document now."""
        ...

    def diagnosed(self) -> Sequence[str]:
        """The documents of which they say something."""
        ...

    async def git_diff(self, folder: str) -> str:
        """What differs from the last commit; "" for nothing. Raises HearthError: no repository, not trusted."""
        ...

    async def stays(self, origins: Sequence[Origin]) -> str:
        """Why a text may not go to the cloud; "" where it may, and where the cloud is switched off."""
        ...

    async def web(self, query: str) -> Sequence[WebPage]:
        """What the user's own search engine finds. Raises HearthError: none is set, or it does not answer."""
        ...
