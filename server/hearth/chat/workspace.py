"""The real desk: open documents, files as the index's own rules allow to read them, git, search, the user's search
engine.

Reading goes on in threads. What an ignore file excludes, a file of secrets, and what lies outside of the folders is not
read from the disk; a document that is open in the editor may be asked about, and the policy decides where that may go.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from pathlib import Path

from hearth.chat import git
from hearth.chat.desk import Hit
from hearth.core.context import Diagnostic
from hearth.core.deny import is_secret
from hearth.core.grammars import language_of
from hearth.core.origin import Origin
from hearth.core.rules import FILE_BYTES_MAX as RULES_BYTES_MAX
from hearth.core.rules import FILES_MAX, FOLDER, FOLDER_ENDINGS, wanted
from hearth.core.text import Snapshot
from hearth.core.websearch import WebPage
from hearth.errors import HearthError
from hearth.index.walk import Folder, read_bytes

FILES_LISTED_MAX = 20_000
FILE_BYTES_MAX = 2_000_000
BINARY_PROBE_BYTES = 8_192
LIST_KEPT_S = 20.0
"""A folder's files are listed anew after so long: while one types a mention it is asked at each key."""


class WorkspaceDesk:
    """See `hearth.chat.desk.Desk`. Everything comes in as functions, so that what changes is asked anew:

    `folders()`: of the workspace; `opened(uri)`: the document as it is open; `path_of(uri)`: of a `file:` URI;
    `search(query, limit)`: as `Engine.search`; `diagnostics()`: by document; `trusted()`; `web(query)`: None if no
    search engine is set."""

    def __init__(
        self,
        *,
        folders: Callable[[], Sequence[Path]],
        opened: Callable[[str], Snapshot | None],
        path_of: Callable[[str], Path | None],
        search: Callable[[str, int], Awaitable[Sequence[dict[str, object]]]],
        diagnostics: Callable[[], dict[str, Sequence[Diagnostic]]],
        trusted: Callable[[], bool],
        web: Callable[[str], Awaitable[Sequence[WebPage]]] | None = None,
        repository_map: Callable[[str, int, Sequence[str]], Awaitable[str]] | None = None,
        stays: Callable[[Sequence[Origin]], Awaitable[str]] | None = None,
    ) -> None:
        self._folders = folders
        self._opened = opened
        self._path_of = path_of
        self._search = search
        self._diagnostics = diagnostics
        self._trusted = trusted
        self._web = web
        self._map = repository_map
        self._stays = stays
        self._listed: dict[str, tuple[float, Sequence[str]]] = {}

    @property
    def trusted(self) -> bool:
        return self._trusted()

    @property
    def folders(self) -> Sequence[str]:
        return [os.path.realpath(folder) for folder in self._folders()]

    def place(self, uri: str) -> tuple[str, str]:
        path = self._path_of(uri)
        if path is None:
            return "", ""
        for folder in self.folders:
            if (
                relative := Folder(Path(folder)).relative(os.path.join(os.path.realpath(path.parent), path.name))
            ) is not None:
                return folder, relative
        return "", os.fspath(path.absolute()).replace(os.sep, "/")

    def uri(self, folder: str, path: str) -> str:
        return Path(folder, path).as_uri()

    async def snapshot(self, uri: str) -> Snapshot:
        if snapshot := self._opened(uri):
            return snapshot
        path = self._path_of(uri)
        if path is None:
            raise HearthError("This document is not open any more.", "Open it, and try again.")
        return await asyncio.to_thread(self._read, uri, path)

    def _read(self, uri: str, path: Path) -> Snapshot:
        folder, relative = self.place(uri)
        name = relative or path.name
        if not folder:
            raise HearthError(f"{name} is not in the workspace.", "Open it in the editor, or open its folder.")
        if is_secret(relative) or not Folder(Path(folder)).allows(relative):
            why = (
                "its name is that of a file of secrets"
                if is_secret(relative)
                else "an ignore file or a built-in rule excludes it"
            )
            raise HearthError(f"{name} is not read: {why}.", "Open it in the editor to ask about it.")
        if path.is_dir():
            raise HearthError(f"{name} is a folder.", f"Write @folder:{name} to ask about it.")
        if not path.is_file() or path.is_symlink():
            raise HearthError(f"{name} is not there, or it is no ordinary file.")
        data = read_bytes(path, FILE_BYTES_MAX)
        if data is None:
            raise HearthError(f"{name} cannot be read, or it is larger than {FILE_BYTES_MAX // 1_000_000} MB.")
        return Snapshot.of(_text(data, name), uri=uri, language=language_of(path.name))

    def allows(self, folder: str, path: str) -> bool:
        return not is_secret(path) and Folder(Path(folder)).allows(path)

    async def files(self, folder: str) -> Sequence[str]:
        now = asyncio.get_running_loop().time()
        at, found = self._listed.get(folder, (-LIST_KEPT_S, ()))
        if now - at >= LIST_KEPT_S:
            found = await asyncio.to_thread(_listed, folder)
            self._listed = {folder: (now, found)} | {
                k: v for k, v in self._listed.items() if k in self.folders and k != folder
            }
        return found

    async def rules_files(self, folder: str, document: str) -> Sequence[tuple[str, str]]:
        if not self.trusted or not folder:
            return ()
        return await asyncio.to_thread(_rules, folder, document)

    async def manifests(self, folder: str, paths: Sequence[str]) -> dict[str, str]:
        return await asyncio.to_thread(_texts, folder, paths)

    async def search(self, query: str, limit: int) -> Sequence[Hit]:
        rows = await self._search(query, limit)
        hits: list[Hit] = []
        for row in rows:
            start, end = row.get("start_line"), row.get("end_line")
            if isinstance(start, int) and isinstance(end, int):
                text, symbol = str(row.get("text", "")), str(row.get("symbol", ""))
                hits.append(Hit(str(row.get("folder", "")), str(row.get("path", "")), start, end, text, symbol))
        return hits

    async def map(self, folder: str, tokens: int, mentioned: Sequence[str]) -> str:
        return await self._map(folder, tokens, mentioned) if self._map else ""

    def diagnostics(self, uri: str) -> Sequence[Diagnostic]:
        return self._diagnostics().get(uri, ())

    def diagnosed(self) -> Sequence[str]:
        return [uri for uri, said in self._diagnostics().items() if said]

    async def git_diff(self, folder: str) -> str:
        if not self.trusted:
            raise HearthError("this workspace is not trusted, so git was not asked.", "Trust the workspace first.")
        return await git.diff(folder)

    async def stays(self, origins: Sequence[Origin]) -> str:
        return await self._stays(origins) if self._stays else ""

    async def web(self, query: str) -> Sequence[WebPage]:
        if self._web is None:
            raise HearthError(
                "no search engine of yours is set.",
                "Run SearXNG or Perplexica, and set chat.web_url to its address in the machine settings.",
            )
        return await self._web(query)


def _text(data: bytes, name: str) -> str:
    """The text of a file. Raises HearthError for what is none."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\x00" in data[:BINARY_PROBE_BYTES]:
        raise HearthError(f"{name} is a binary file.", "Hearth works on text.")
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise HearthError(
            f"{name} is neither UTF-8 nor UTF-16 text.", "Save it as UTF-8, or open it in the editor."
        ) from None


def _listed(folder: str) -> Sequence[str]:
    return [path for path in islice(Folder(Path(folder)).walk(), FILES_LISTED_MAX * 4) if path][:FILES_LISTED_MAX]


def _rules(folder: str, document: str) -> list[tuple[str, str]]:
    allowed = Folder(Path(folder))
    found: list[tuple[str, str]] = []
    for name in wanted(document):
        path = Path(folder, name)
        names = [name]
        if name == FOLDER and path.is_dir() and not path.is_symlink():
            inside = sorted(one for one in os.listdir(path) if one.endswith(FOLDER_ENDINGS))
            names = [f"{name}/{one}" for one in inside[:FILES_MAX]]
        for one in names:
            # Rules of ignore files count here too, and no link on the way may lead out of the folder.
            if allowed.relative(os.path.join(folder, one)) is None or not allowed.takes(one):
                continue
            data = read_bytes(Path(folder, one), RULES_BYTES_MAX)
            if data is not None and b"\x00" not in data:
                found.append((one, data.decode("utf-8-sig", "replace")))
    return found


def _texts(folder: str, paths: Sequence[str]) -> dict[str, str]:
    """Those of some files of a folder that are there, read as far as they may be."""
    allowed = Folder(Path(folder))
    found: dict[str, str] = {}
    for one in paths:
        if is_secret(one) or ".." in one.split("/") or allowed.relative(os.path.join(folder, one)) is None:
            continue
        data = read_bytes(Path(folder, one), RULES_BYTES_MAX)
        if data is not None and b"\x00" not in data:
            found[one] = data.decode("utf-8", "replace")
    return found
