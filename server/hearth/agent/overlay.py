"""A workspace as a task sees it: the files that may be read, with the task's changes on top, which are nowhere else.

A path is one of the workspace's only if by its letters it may be (`task_guard.unfit`), its real path lies where it says
(no link on the way), no ignore file and no secret's name speaks against it, and no other spelling of it is there. All
of that is looked at again for each access, since links can be put in place meanwhile.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hearth.core.task_guard import canonical, secret, unfit
from hearth.core.task_survey import Memory, Survey
from hearth.core.text import well_formed
from hearth.index.walk import Folder, read_bytes, text_lines

FILES_MAX = 4_000
BYTES_MAX = 40_000_000
FILE_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a path is not touched: a clause."""

    why: str


class Overlay:
    """One per task. `base` is the workspace as it was read at the beginning; `changes` is what the task made of it."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self._folder = Folder(self.root)
        self._memory = Memory()
        self.base: dict[str, str] = {}
        self.changes: dict[str, str | None] = {}
        self.left_out = 0
        """Files that were not read: too many, too large, or no text."""
        self._spellings: dict[str, str] = {}
        self._before: Survey | None = None
        self._after: Survey | None = None

    def load(self) -> None:
        """Read the workspace. Blocks: for a thread."""
        self._folder.forget_rules()
        size, base = 0, dict[str, str]()
        for path in self._walked():
            data = read_bytes(self.root / path, FILE_BYTES_MAX)
            if data is None or size + len(data) > BYTES_MAX or len(base) >= FILES_MAX or text_lines(data) is None:
                self.left_out += 1
                continue
            text = _decoded(data)
            if text is None:
                self.left_out += 1
                continue
            base[path] = text
            size += len(data)
        self.base = base
        self._before = self._after = None
        self._spellings = {canonical(path): path for path in base}

    def _walked(self) -> Iterator[str]:
        for count, path in enumerate(found for found in self._folder.walk() if found is not None):
            if count >= 2 * FILES_MAX:
                return
            yield path

    def remember(self, path: str, text: str | None) -> None:
        """What was there when a task first changed it."""
        if text is None:
            self.base.pop(path, None)
        else:
            self.base[path] = text
        self._before = self._after = None

    def restore(self, changes: Mapping[str, str | None]) -> None:
        """The changes of a task that is taken up again."""
        self.changes = dict(changes)
        self._after = None

    @property
    def texts(self) -> dict[str, str]:
        """Every text, as changed."""
        merged = {**self.base, **{path: text for path, text in self.changes.items() if text is not None}}
        for path, text in self.changes.items():
            if text is None:
                merged.pop(path, None)
        return merged

    def before(self) -> Survey:
        """The tables of the workspace as it was."""
        self._before = self._before or Survey(dict(self.base), self._memory)
        return self._before

    def after(self) -> Survey:
        """The tables of the workspace with the changes."""
        self._after = self._after or Survey(self.texts, self._memory)
        return self._after

    def refused(self, path: str) -> str:
        """Why a path may be neither read nor changed, "" if it may. Looks at the disk."""
        if why := unfit(path):
            return why
        if secret(path):
            return "it is a file of secrets by its name"
        whole = os.path.join(self.root, path)
        inside = self._folder.relative(whole)
        if inside is None or inside != path:
            return "it leads out of the workspace"
        for part in _ends(whole, self.root):
            if os.path.islink(part):
                return "it is a link"
        if not self._folder.allows(path):
            return "an ignore file or Hearth's own rules leave it out"
        other = self._spellings.get(canonical(path))
        if other is not None and other != path:
            return f"{other} is there already, which some file systems take for the same"
        for folder in _folders(path):
            # A folder of another spelling is another folder here and the same elsewhere.
            known = next((one for one in self.base if one.casefold().startswith(f"{folder.casefold()}/")), None)
            if known is not None and not known.startswith(f"{folder}/"):
                return f"{known[: len(folder)]}/ is there already, which some file systems take for the same"
        return ""

    def read(self, path: str) -> str | Refusal | None:
        """A text as changed so far, None if it is not there."""
        if why := self.refused(path):
            return Refusal(why)
        if path in self.changes:
            return self.changes[path]
        if path in self.base:
            return self.base[path]
        data = read_bytes(self.root / path, FILE_BYTES_MAX)
        if data is None:
            return Refusal("it is too large or no ordinary file") if os.path.lexists(self.root / path) else None
        text = _decoded(data)
        if text is None:
            return Refusal("it is not UTF-8 text")
        self.base[path] = text
        self._before = self._after = None
        return text

    def original(self, path: str) -> str | None:
        """What was there before the task."""
        return self.base.get(path)

    def put(self, path: str, text: str | None) -> None:
        """Change a file that `read` did not refuse. What is as it was before is no change."""
        new = None if text is None else well_formed(text)
        if new == self.base.get(path):
            self.changes.pop(path, None)
        else:
            self.changes[path] = new
        self._after = None
        if new is not None:
            self._spellings.setdefault(canonical(path), path)

    def conflicts(self, bases: Mapping[str, str | None]) -> list[str]:
        """The changed files that are no longer as they were when they were first changed."""
        found: list[str] = []
        for path in self.changes:
            data = read_bytes(self.root / path, FILE_BYTES_MAX)
            now = _decoded(data) if data is not None else None
            if path in bases and now != bases[path]:
                found.append(path)
        return sorted(found)


def _ends(whole: str, root: Path) -> Iterator[str]:
    """The path and each folder above it, up to the root."""
    while len(whole) > len(str(root)):
        yield whole
        whole = os.path.dirname(whole)


def _folders(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for end in range(1, len(parts) + 1):
        yield "/".join(parts[:end])


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
