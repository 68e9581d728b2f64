"""What may be done with a text, by what is true of the world now: the one gate for read, index, prompt, tool and log.

`core.policy` knows the rules and nothing of files. `Rulings` tells it of them: which folders are the workspace, what
the ignore files of every assistant say, what is open, whether the workspace is trusted, what the user's settings say.
Whoever is about to use a text asks `decide`, or `prepare` and then `core.policy.decide` with `rules()`.

Ignore files are read in a thread and looked at again before each decision, or, on the way of a keystroke, when the
last look is older than LOOK_EVERY_S. A file of which nothing was found out is excluded.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from hearth.core import policy
from hearth.core.deny import is_secret
from hearth.core.globs import fitting
from hearth.core.origin import WHOLE, Destination, Origin, file_origin, sources
from hearth.core.policy import Decision, Purpose, Rules
from hearth.errors import HearthError
from hearth.index.walk import IGNORE_FILE_NAMES, Folder

LOOK_EVERY_S = 1.0
"""On the way of a keystroke: what an ignore file says may be this old."""
SEEN_MAX = 8_192
"""Files of which it is kept what was found out; a request may have no more than policy.FILES_MAX."""
URIS_KEPT_MAX = 4_096
UNREAD = "ignore files that are not read yet"
SECRET_LINK = "being a link to a file of secrets"
ELSEWHERE = "a link that leads out of the workspace"
NO_FOLDER = "a folder that is not part of the workspace"


class Seen(NamedTuple):
    """What was found out of a file. `rule`: what excludes it. `hidden`: whoever opens it opens a file of secrets."""

    rule: str | None
    hidden: bool
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class _Root:
    given: str
    real: str
    folder: Folder


class Rulings:
    """One per engine. `never`: the globs of `[privacy] never`. `tell`: of an ignore file that cannot be read, once.

    `trusted` and `cloud` may be set at any time; `version` changes with everything that may change a verdict.
    """

    def __init__(
        self,
        never: Sequence[str] = (),
        *,
        cloud: bool = False,
        trusted: bool = True,
        tell: Callable[[HearthError], None] = lambda _error: None,
    ) -> None:
        self.version = 0
        self._never = tuple(never)
        self._cloud = cloud
        self._trusted = trusted
        self._tell = tell
        self._told: set[str] = set()
        self._roots: tuple[_Root, ...] = ()
        self._open: dict[str, str] = {}
        self._open_paths: Counter[str] = Counter()
        self._seen: dict[tuple[str, str], Seen] = {}
        self._origins: dict[str, Origin] = {}
        self._looking = asyncio.Lock()

    @property
    def trusted(self) -> bool:
        return self._trusted

    @trusted.setter
    def trusted(self, value: bool) -> None:
        self._trusted = value
        self.version += 1

    @property
    def cloud(self) -> bool:
        return self._cloud

    @cloud.setter
    def cloud(self, value: bool) -> None:
        self._cloud = value
        self.version += 1

    def set_folders(self, folders: Sequence[Path]) -> None:
        """The workspace's folders changed."""
        self._roots = tuple(
            _Root(os.path.abspath(folder), real, Folder(Path(real)))
            for folder in folders
            for real in (os.path.realpath(folder),)
        )
        self._origins.clear()
        self._seen.clear()
        self.version += 1

    def opened(self, uri: str) -> None:
        """A document was opened. What is open, the user shows on purpose."""
        if uri not in self._open:
            path = self._open[uri] = path_in(uri)
            self._open_paths[path] += 1
            self.version += 1

    def closed(self, uri: str) -> None:
        """A document was closed."""
        path = self._open.pop(uri, None)
        if path is not None:
            self._open_paths[path] -= 1
            if not self._open_paths[path]:
                del self._open_paths[path]
            self.version += 1

    def file_changed(self, path: Path) -> None:
        """A file was written, created or deleted: if it is an ignore file, everything is looked at again."""
        if path.name in IGNORE_FILE_NAMES:
            self._doubt()

    def origin(self, uri: str, start: int = 0, end: int = WHOLE) -> Origin:
        """Where the text of a document is from. No I/O: links are followed by `prepare`."""
        found = self._origins.get(uri)
        if found is None:
            if len(self._origins) >= URIS_KEPT_MAX:
                self._origins.clear()
            found = self._origins[uri] = self._origin(uri)
        return found if start == 0 and end == WHOLE else Origin(found.kind, found.path, found.folder, start, end)

    def excluded(self, uri: str) -> bool:
        """Whether an ignore file is known to exclude a document, or it is not known yet that none does. No I/O."""
        origin = self.origin(uri)
        return bool(origin.folder) and self._ignored(origin.folder, origin.path) is not None

    def rules(self, approved: bool = False) -> Rules:
        """For `core.policy.decide`, after `prepare` with the same origins: files not prepared count as excluded.

        `approved`: the user consented to this very request, or to all of its kind.
        """
        return Rules(self._ignored, self._opened, self._never, self._trusted, self._cloud, approved)

    async def decide(
        self, origins: Iterable[Origin], destination: Destination, purpose: Purpose, *, approved: bool = False
    ) -> Decision:
        """The verdict of `core.policy.decide` on a text with these origins, as things are now."""
        leaves = sources(origins)
        await self.prepare(leaves)
        return policy.decide(leaves, destination, purpose, self.rules(approved))

    async def prepare(self, origins: Iterable[Origin], age_s: float = 0.0) -> None:
        """Find out what is to be known of these files, in a thread, unless it was found out `age_s` ago or later."""
        since = time.monotonic() - age_s
        wanted = {(leaf.folder, leaf.path) for leaf in sources(origins) if leaf.path}
        if len(wanted) > policy.FILES_MAX:
            return  # policy denies it in any case
        missing = [key for key in wanted if key not in self._seen or self._seen[key].at < since]
        if not missing:
            return
        async with self._looking:
            version = self.version
            roots = self._roots
            found = await asyncio.to_thread(_look, missing, roots, self._never)
            changed = any(key not in self._seen or self._seen[key][:2] != seen[:2] for key, seen in found.items())
            if version != self.version and roots is not self._roots:
                return  # the folders changed meanwhile: nothing of it is sure
            if len(self._seen) + len(found) > SEEN_MAX:
                self._seen.clear()
            self._seen.update(found)
            self.version += changed
        self._tell_problems(roots)

    def _origin(self, uri: str) -> Origin:
        scheme = uri.partition(":")[0].lower()
        if scheme == "hearth":
            return Origin("summary", name="a page of Hearth")  # made of what, is not known here
        path = path_in(uri)
        if not path or (scheme == "untitled" and not os.path.isabs(path)):
            return Origin("file")
        for root in self._roots:
            for folder in (root.given, root.real):
                if (inside := _inside(folder, path)) is not None:
                    return file_origin(folder, inside)
        return file_origin("", path)

    def _ignored(self, folder: str, path: str) -> str | None:
        seen = self._seen.get((folder, path))
        return UNREAD if seen is None else seen.rule

    def _opened(self, folder: str, path: str) -> bool:
        seen = self._seen.get((folder, path))
        if seen is None or seen.hidden:
            return False
        names = [root.given for root in self._roots if root.real == folder] if folder else []
        return any(_whole(name, path) in self._open_paths for name in (folder, *names))

    def _doubt(self) -> None:
        self._seen = {key: seen._replace(at=float("-inf")) for key, seen in self._seen.items()}
        self.version += 1

    def _tell_problems(self, roots: Sequence[_Root]) -> None:
        for root in roots:
            for name, why in list(root.folder.problems.items()):
                if name not in self._told:
                    self._told.add(name)
                    self._tell(ignore_problem(name, why))


def ignore_problem(path: str, why: str) -> HearthError:
    """What the user is told of an ignore file that cannot be read."""
    return HearthError(
        f"{path} {why}, so nothing beneath its folder is read or sent.",
        "Make it a text file (UTF-8) that you may read, or delete it.",
    )


def path_in(uri: str) -> str:
    """The path that a URI of any scheme names, normalized; "" if it has none that can be read."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    path = unquote(parts.path)
    if os.name == "nt":
        path = path.lstrip("/").replace("/", os.sep)
    return os.path.normpath(path) if path else ""


def _look(
    keys: Sequence[tuple[str, str]], roots: Sequence[_Root], never: tuple[str, ...]
) -> dict[tuple[str, str], Seen]:
    """What is true of these files. Reads ignore files and follows links: for a thread."""
    for root in roots:
        root.folder.look_again()
    return {key: _found_out(*key, roots, never) for key in keys}


def _found_out(folder: str, path: str, roots: Sequence[_Root], never: tuple[str, ...]) -> Seen:
    now = time.monotonic()
    whole = _whole(folder, path)
    try:
        real = os.path.realpath(whole)
    except (OSError, ValueError):
        return Seen(ELSEWHERE, True, now)
    hidden = is_secret(real)
    if hidden and not is_secret(whole):
        return Seen(SECRET_LINK, hidden, now)
    if not folder:
        return Seen(None, hidden, now)
    if not any(folder in (root.given, root.real) for root in roots):
        return Seen(NO_FOLDER, hidden, now)
    holding = [(root, inside) for root in roots if (inside := _inside(root.real, real)) is not None]
    if not holding:
        return Seen(ELSEWHERE, hidden, now)
    # By the name under which it is asked for as well: a link in an excluded folder is excluded.
    named = [
        (root, inside) for root in roots for at in (root.given, root.real) if (inside := _inside(at, whole)) is not None
    ]
    for root, inside in dict.fromkeys((*named, *holding)):
        if rule := root.folder.excluded_by(inside.replace(os.sep, "/")):
            return Seen(rule, hidden, now)
        if (root, inside) not in named and (glob := fitting(never, root.real, inside)) is not None:
            return Seen(f"{glob!r} of privacy.never, which fits what it is a link to", hidden, now)
    return Seen(None, hidden, now)


def _whole(folder: str, path: str) -> str:
    return os.path.normpath(f"{folder}/{path}") if folder else path


@lru_cache(maxsize=URIS_KEPT_MAX)
def _inside(folder: str, path: str) -> str | None:
    """`path` relative to `folder`, with "/", None if it is not in it."""
    one, other = os.path.normcase(folder).rstrip(os.sep), os.path.normcase(path)
    if not other.startswith(one + os.sep):
        return None
    return path[len(folder.rstrip(os.sep)) + 1 :].replace(os.sep, "/")
