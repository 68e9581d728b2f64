"""Which file an answer speaks of: paths in headings, fences and comments, and whether they may be named at all."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from hearth.core.deny import is_secret
from hearth.core.patch_base import PATH_CHARS_MAX, Refused, Target

NAMES_SHOWN_MAX = 8
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
"""Names that Windows takes for devices."""
_LABEL = re.compile(r"(?i)^(?:file ?name|file ?path|file|path|fichier|archivo|datei|new file|update|create)\s*[:=]\s*")
_DECORATION = re.compile(r"^(?:[#>*\-+=/;%\s]|<!--|\d+[.)])*|(?:[*\s:=/]|-->)*$")
_QUOTED = re.compile(r"`([^`\n]+)`|\*\*([^*\n]+)\*\*")
_PATH_LIKE = re.compile(r"(?:[\w.@+~()\[\]$ -]+[/\\])*[\w.@+~()\[\]$-]*(?:\.\w{1,12}|[/\\][\w.-]+)")


class Paths:
    """The targets by path, and the rules for any other."""

    def __init__(self, targets: Sequence[Target], may_create: bool) -> None:
        self.targets: Mapping[str, Target] = {target.path: target for target in targets}
        self._may_create = may_create
        self._folded = {_folded(path): path for path in self.targets}
        self._by_name: dict[str, list[str]] = {}
        for path in self.targets:
            self._by_name.setdefault(path.rpartition("/")[2], []).append(path)

    def only(self) -> Target | None:
        """The target, if there is just one."""
        return next(iter(self.targets.values())) if len(self.targets) == 1 else None

    def known(self, written: str) -> Target | None:
        """The target that a path means; None if it means none, or more than one."""
        path = plain(written)
        if path in self.targets:
            return self.targets[path]
        for prefix in ("a/", "b/"):
            if path.startswith(prefix) and path[2:] in self.targets:
                return self.targets[path[2:]]
        if self._may_create or not path or ".." in path.split("/") or path.startswith("/") or _DRIVE.match(path):
            return None  # `utils.py` may well be a new file beside `src/utils.py`
        alike = [
            one for one in self._by_name.get(path.rpartition("/")[2], ())
            if one.endswith("/" + path) or path.endswith("/" + one)
        ]  # fmt: skip
        return self.targets[alike[0]] if len(alike) == 1 else None

    def resolve(self, written: str) -> Target:
        """The target that a path means, or one to be made. Raises Refused."""
        found = self.known(written)
        if found is not None:
            return found
        path = plain(written)
        if problem := self._problem(path):
            raise Refused(
                "path",
                f"The answer changes {_short(path)}, {problem}.",
                f"The path {_short(path)} cannot be used: it is {problem.removeprefix('which is ')}. {self.listed()}",
                path=path if not _CONTROL.search(path) else "",
            )
        return Target(path, None)

    def listed(self) -> str:
        """The paths that may be used, in a sentence for the model."""
        names = list(self.targets)
        more = f" and {len(names) - NAMES_SHOWN_MAX} more" if len(names) > NAMES_SHOWN_MAX else ""
        if not names:
            return "Use a path relative to the project's folder."
        return f"Use exactly these paths: {', '.join(names[:NAMES_SHOWN_MAX])}{more}."

    def _problem(self, path: str) -> str:
        """Why a path that is no target cannot be made; "" if it can."""
        if problem := unfit(path):
            return problem
        same = self._folded.get(_folded(path))
        if same is not None:
            return f"which is {same} in other letters"
        if not self._may_create:
            return "which is not one of the files it was asked to change"
        return "which is where secrets are kept" if is_secret(path) else ""


def unfit(path: str) -> str:
    """Why a path is none within the workspace, as "which is ..."; "" if it is one."""
    parts = path.split("/")
    if not path or len(path) > PATH_CHARS_MAX:
        return "which is no path"
    if _CONTROL.search(path):
        return "which is no path: there are control characters in it"
    if path.startswith(("/", "~")) or _DRIVE.match(path):
        return "which is outside of the project: it is absolute"
    if ".." in parts:
        return 'which is outside of the project: there is ".." in it'
    if any(part in ("", ".") or part != part.rstrip(". ") or part[0] == " " or ":" in part for part in parts):
        return "which is no path that every system can have"
    return "which is a device's name" if any(_RESERVED.fullmatch(part) for part in parts) else ""


def plain(written: str) -> str:
    """A path as the answer has it, without quotes and `./`, with "/"."""
    path = written.strip().strip("`'\"*").strip().replace("\\", "/")
    while path.startswith("./"):
        path = path[2:]
    return path


def path_in(line: str, paths: Paths) -> str:
    """The path that a heading, a comment or a line before a block names; "" if it names none."""
    if len(line) > PATH_CHARS_MAX:
        return ""
    bare = _DECORATION.sub("", line.strip())
    bare = _LABEL.sub("", bare).strip().strip(":").strip()
    token = bare.strip("`'\"* ")
    if not token:
        return ""
    if paths.known(token) is not None:
        return token
    if looks_like_path(token) and not _QUOTED.search(token):
        return token
    quoted = [found[1] or found[2] for found in _QUOTED.finditer(line)]
    words = [word.strip("`'\"*,.:;()") for word in (*quoted, *bare.split())]
    named = [word for word in words if paths.known(word) is not None]
    if len({id(paths.known(word)) for word in named}) == 1:
        return named[0]
    unknown = [one for one in quoted if ("/" in one or "\\" in one) and looks_like_path(one)]
    return unknown[0] if not named and len(unknown) == 1 and bare.endswith("`") else ""


def looks_like_path(token: str) -> bool:
    """Whether a whole line is a path and nothing else: has an ending or a folder, and no blanks around words."""
    if " " in token.strip() and "/" not in token:
        return False
    if token.count(" ") > 3 or token.endswith((".", "/", "\\")) or "://" in token:
        return False
    return bool(_PATH_LIKE.fullmatch(token)) or bool(_DRIVE.match(token)) or token.startswith(("/", "../", "..\\"))


def _folded(path: str) -> str:
    return unicodedata.normalize("NFKC", path).casefold()


def _short(path: str) -> str:
    clean = _CONTROL.sub("?", path)
    return clean if len(clean) <= 80 else clean[:77] + "..."
