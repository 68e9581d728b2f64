"""What a change reaches: who refers to a symbol, and who imports a file, directly and through others.

Both come from tables that the index has anyway: which names each file uses how often, and which files its imports mean.
Names are no types, so a referring file is `sure` only if its imports lead to the definition; others are worth a look.
"""

import re
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from hearth.core.grammars import language_of

DEPTH_MAX = 8
"""Of imports through imports: beyond that nearly everything is reached."""
HAND_ON_STEPS_MAX = 3
"""From a package to the one that it hands on from, and so on."""
IMPORTERS_MAX = 5_000
OCCURRENCES_MAX = 1_000
LINE_CHARS_MAX = 300

References = tuple[str, "array[int]", "array[int]"]
"""A file; crc32 of the names that it uses, each once, ascending; how often it uses each."""

_HANDS_ON = re.compile(r"(?:^|/)(?:__init__\.pyi?|index\.[cm]?[jt]sx?|mod\.rs|lib\.rs)$")
_SHARED_NAMESPACE = frozenset(("go", "java", "csharp", "kotlin"))
"""Languages in which the files of one folder see each other without an import."""


@dataclass(frozen=True, slots=True)
class Referrer:
    """A file that uses a name `count` times; `sure`: it can see the definition that was asked about."""

    path: str
    count: int
    sure: bool


@dataclass(frozen=True, slots=True)
class Importer:
    """A file that imports another: `depth` 1 directly, 2 through one file between, ..."""

    path: str
    depth: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One place of a name: 0-based line and code point column, and the line without its indentation."""

    path: str
    line: int
    column: int
    text: str


def hands_on(path: str) -> bool:
    """Whether a file, by its name, mostly hands on what others define: whoever imports it means those."""
    return _HANDS_ON.search(path) is not None


def name_key(name: str) -> int:
    """By what references are kept: 32 bits, so two names in a million share one."""
    return crc32(name.encode("utf-8", "surrogatepass"))


def reached(imports: Mapping[str, Collection[str]], path: str) -> frozenset[str]:
    """The files whose definitions `path` can see by its imports: those it imports, and what is handed on to them."""
    found: set[str] = set()
    new = set(imports.get(path, ()))
    for _ in range(HAND_ON_STEPS_MAX):
        found |= new
        new = {other for one in new if hands_on(one) for other in imports.get(one, ())} - found
        if not new:
            break
    return frozenset(found - {path})


def referrers(
    users: Iterable[tuple[str, int]], defined_in: Collection[str], imports: Mapping[str, Collection[str]]
) -> list[Referrer]:
    """The `users` of a name (path, count), with what is sure of them: the sure ones first, then by count.

    `defined_in`: the files of the definition that was asked about; () for any of this name, which makes all sure.
    """
    wanted = frozenset(defined_in)
    folders = {path.rpartition("/")[0] for path in wanted if language_of(path) in _SHARED_NAMESPACE}

    def sure(path: str) -> bool:
        beside = path.rpartition("/")[0] in folders and language_of(path) in _SHARED_NAMESPACE
        return not wanted or path in wanted or beside or not wanted.isdisjoint(reached(imports, path))

    found = [Referrer(path, count, sure(path)) for path, count in users]
    return sorted(found, key=lambda one: (not one.sure, -one.count, one.path))


def importers(imports: Mapping[str, Collection[str]], paths: Collection[str], depth_max: int = 1) -> list[Importer]:
    """Who imports any of `paths`, nearest first, then by path; through others up to `depth_max` (at most DEPTH_MAX)."""
    back: dict[str, list[str]] = {}
    for path, targets in imports.items():
        for target in targets:
            back.setdefault(target, []).append(path)
    seen = dict.fromkeys(paths, 0)
    level: Sequence[str] = list(seen)
    for depth in range(1, min(depth_max, DEPTH_MAX) + 1):
        level = sorted({path for target in level for path in back.get(target, ())} - seen.keys())
        seen.update(dict.fromkeys(level[: max(0, IMPORTERS_MAX - len(seen))], depth))
        if not level or len(seen) >= IMPORTERS_MAX:
            break
    return [Importer(path, depth) for path, depth in seen.items() if depth]


def occurrences(name: str, texts: Iterable[tuple[str, str]], limit: int = OCCURRENCES_MAX) -> list[Occurrence]:
    """The places of a name as a whole word in (path, text), in their order, at most `limit`; also in comments."""
    if not name:
        return []
    word = re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])")
    found: list[Occurrence] = []
    for path, text in texts:
        line = start = 0
        for match in word.finditer(text):
            if len(found) >= limit:
                return found
            line += text.count("\n", start, match.start())
            start = match.start()
            begin = text.rfind("\n", 0, start) + 1
            end = text.find("\n", start)
            whole = text[begin : end if end >= 0 else len(text)].strip()
            found.append(Occurrence(path, line, start - begin, whole[:LINE_CHARS_MAX]))
    return found
