"""What a task may reach: the files that must be looked at, each with the reason, found without asking a model.

In doubt a file is in: a model that knows better waives it and says why, which costs a line, while a file that nobody
thought of costs the task. What would name half of a large project (a name that everybody uses, a file that everybody
imports) is only mentioned.
"""

import re
from collections.abc import Iterable, Sequence

from hearth.core.grammars import language_of
from hearth.core.impact import importers, referrers
from hearth.core.task_guard import unfit
from hearth.core.task_parts import Impacted
from hearth.core.task_survey import DATA, PROSE, Survey, is_test, telling

IMPACTED_MAX = 60
UNSURE_MAX = 12
DEFINED_MAX = 20
"""A name that more files define says nothing about which is meant."""
WIDESPREAD_MAX = 12
"""Files that hold a text which the goal quotes, or that import what changes; of more each is only mentioned."""
SHARED_MAX = 4
"""Files that hold a text which a changed file holds: of more it is a word like any other."""
HITS_SURE = 8
"""Of what is found by the words of the goal."""
SEEDS_MAX = 12
LITERALS_MAX = 60
SIBLING_SHARE_MIN = 0.6
NAMED_CHARS_MIN = 2

_QUOTED = re.compile(r"`([^`\n]{2,80})`|\"([^\"\n]{2,80})\"|'([^'\n]{2,80})'")
_PIECE = re.compile(r"[\w./:@#-]*\w[\w./:@#-]*")
_LITERAL = re.compile(r"([\"'`])([\w/:.@#-]{3,60})\1")
_JOINED = re.compile(r"\w[/:._@#-]\w|^/\w|[a-z][A-Z]")
_URL = re.compile(r"\w+://\S+")
_FILE = re.compile(r"(?<![\w/])(?:[\w.-]+/)+[\w-]+\.[A-Za-z]\w{0,7}(?![\w/])")


def quoted(goal: str) -> tuple[str, ...]:
    """What a goal quotes, in the pieces that may stand somewhere in the project."""
    found: dict[str, None] = {}
    for match in _QUOTED.finditer(goal):
        text = next(part for part in match.groups() if part)
        for piece in _PIECE.findall(text):
            if len(bare := piece.strip(".:-#@")) >= NAMED_CHARS_MIN and not bare.isdecimal():
                found[bare] = None
    return tuple(found)


def new_files(goal: str, survey: Survey) -> tuple[str, ...]:
    """The paths in a goal that are not there yet: files to be made."""
    paths = dict.fromkeys(match[0] for match in _FILE.finditer(_URL.sub(" ", goal)))
    return tuple(path for path in paths if path not in survey.texts and not unfit(path))


def impacted(
    survey: Survey, goal: str, symbols: Sequence[str], files: Sequence[str], searches: Sequence[str]
) -> list[Impacted]:
    """The files that a change of `symbols` and `files` for a `goal` may reach, those to be looked at first."""
    found = _Found()
    for path in (*files, *new_files(goal, survey)):
        found.add(path, "is to be changed" if path in survey.texts else "is to be made", True)
    for name in symbols:
        _uses(found, survey, name)
    _quoting(found, survey, goal)
    seeds = [path for path in found.paths if path in survey.texts][:SEEDS_MAX]
    _importing(found, survey, seeds)
    _sharing(found, survey, seeds)
    _alike(found, survey, seeds)
    for number, hit in enumerate(survey.search(goal, HITS_SURE)):
        found.add(hit.path, "has to do with the goal, by its words", number < HITS_SURE)
    for query in searches:
        for hit in survey.search(query, 3):
            found.add(hit.path, f"was found by “{query[:60]}”", False)
    return found.listed()


class _Found:
    """Files with their reasons, the first ones kept; sure once anything says so."""

    def __init__(self) -> None:
        self._files: dict[str, Impacted] = {}

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self._files.values() if one.sure]

    def add(self, path: str, reason: str, sure: bool) -> None:
        old = self._files.get(path)
        if old is None or (sure and not old.sure):
            self._files[path] = Impacted(path, reason, sure)

    def listed(self) -> list[Impacted]:
        sure = [one for one in self._files.values() if one.sure]
        return [*sure, *[one for one in self._files.values() if not one.sure][:UNSURE_MAX]][:IMPACTED_MAX]


def _uses(found: _Found, survey: Survey, name: str) -> None:
    """Who defines a name, and who uses it."""
    last = name.rpartition(".")[2]
    there = {path for path, _ in survey.definitions(name)}
    if len(there) > DEFINED_MAX:
        return
    for path in sorted(there):
        found.add(path, f"defines {name}", True)
    for user in referrers(survey.users(name), there, survey.imports):
        if user.path not in there:
            certain = (user.sure and bool(there)) or telling(last)
            verb = "tests" if is_test(user.path) else "uses"
            found.add(user.path, f"{verb} {name} ({user.count} place{'s' if user.count > 1 else ''})", certain)
    if telling(last):
        for path in dict.fromkeys(one.path for one in survey.occurrences(last)):
            if path not in there:
                found.add(path, f"{_verb(path)} {last}", True)


def _verb(path: str) -> str:
    language = language_of(path)
    return "describes" if language in PROSE else "configures" if language in DATA else "mentions"


def _quoting(found: _Found, survey: Survey, goal: str) -> None:
    """Who holds what the goal quotes, word for word."""
    for text in quoted(goal):
        word = re.compile(rf"(?<![\w]){re.escape(text)}(?![\w])")
        there = [path for path in sorted(survey.texts) if word.search(survey.texts[path])]
        for path in there:
            found.add(path, f"{_verb(path)} {text}", len(there) <= WIDESPREAD_MAX)


def _importing(found: _Found, survey: Survey, seeds: Sequence[str]) -> None:
    """Who imports what is to be changed."""
    for path in seeds:
        near = importers(survey.imports, [path])
        for one in near:
            verb = "tests" if is_test(one.path) else "imports"
            found.add(one.path, f"{verb} {path}", len(near) <= WIDESPREAD_MAX)


def _sharing(found: _Found, survey: Survey, seeds: Sequence[str]) -> None:
    """Who holds a text that stands in quotes in what is to be changed: a route, a key, the name of an event."""
    texts: dict[str, str] = {}
    for path in seeds:
        if language_of(path) not in PROSE:
            for text in literals(survey.texts[path])[:LITERALS_MAX]:
                texts.setdefault(text, path)
    for text, source in texts.items():
        there = [path for path in sorted(survey.texts) if text in survey.texts[path]]
        if len(there) <= SHARED_MAX + 1:
            for path in there:
                if path != source:
                    found.add(path, f"has `{text}` in common with {source}", True)


def literals(text: str) -> list[str]:
    """The texts in quotes that say by themselves what they are: with a joint in them, and no import of a file."""
    found = (match[2] for match in _LITERAL.finditer(text))
    return list(dict.fromkeys(one for one in found if _JOINED.search(one) and not one.startswith((".", "node:", "@"))))


def _alike(found: _Found, survey: Survey, seeds: Iterable[str]) -> None:
    """Data files beside one that is to be changed, with mostly the same keys: the same text in other languages."""
    for path in seeds:
        own = _keys(survey, path)
        if not own:
            continue
        folder, _, ending = path.rpartition("/")[0], "", path.rpartition(".")[2]
        for other in sorted(survey.texts):
            if other == path or other.rpartition("/")[0] != folder or other.rpartition(".")[2] != ending:
                continue
            theirs = _keys(survey, other)
            if theirs and len(own & theirs) >= SIBLING_SHARE_MIN * min(len(own), len(theirs)):
                found.add(other, f"has the same keys as {path}", True)


def _keys(survey: Survey, path: str) -> frozenset[str]:
    if language_of(path) not in DATA:
        return frozenset()
    return frozenset(symbol.name for symbol in survey.symbols(path))
