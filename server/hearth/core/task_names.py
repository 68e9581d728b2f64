"""Names in a change that are probably slips: used and defined nowhere, or standing alone, and almost another one.

Compilers find what they can resolve; most of what binds a project together they cannot: attributes, keys of JSON,
columns, classes of CSS, options, what the documentation says. So a name is looked at as people do: it is new, it hangs
in the air, and there is one of which it is a letter away. Names of the languages' own libraries are known, and a
finding is asked about, not insisted on (`core.task`).
"""

import builtins
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from json import loads
from symtable import symtable
from typing import cast

from hearth.core.grammars import language_of
from hearth.core.task_library import library
from hearth.core.task_state import Finding
from hearth.core.task_survey import DATA, PROSE, Survey, is_test, telling
from hearth.core.task_tokens import READ_AS_CODE, SCRIPTS, Token, tokens

NAME_CHARS_MIN = 4
SUSPECTS_MAX = 60
FOUND_MAX = 12
KNOWN_MAX = 60_000
SLIP_CHARS_MIN = 4
"""A shorter word has too many neighbours."""
LIBRARY_CHARS_MIN = 7
"""Of a library's name that may have been meant."""
TWO_SLIPS_CHARS_MIN = 8
CHANGED_CHARS_MIN = 6
"""In a shorter word another letter makes another word."""
PREFIX_CHARS_MAX = 5
SIBLINGS_MAX = 30
SIBLING_SHARE_MIN = 0.6
SIBLING_KEYS_MIN = 2

_BACKTICKED = re.compile(r"`([^`\n]{2,160})`")
_IDENTIFIER = re.compile(r"[^\W\d][\w$]*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+|\d+")
_JOINTS = re.compile(r"[\w$]+")
_BUILTINS = frozenset((*dir(builtins), "__file__", "__path__", "__builtins__", "__annotations__", "__class__"))
_PREFIXES = frozenset(("get", "set"))


def name_findings(before: Survey, after: Survey, changed: Sequence[str], goal: str) -> Iterator[Finding]:
    """What hangs in the air in the changed files."""
    project = _Project(before, after, changed, goal)
    found = [
        *undefined(before, after, changed),
        *project.unbound(),
        *project.alone(),
        *project.unsaid(),
        *_siblings(before, after, changed),
    ]
    yield from list({(one.path, one.text): one for one in found}.values())[:FOUND_MAX]


class _Project:
    """The names of a change, against those of the project and of the goal."""

    def __init__(self, before: Survey, after: Survey, changed: Sequence[str], goal: str) -> None:
        self._before = before
        self._after = after
        self._places: dict[str, list[tuple[str, Token]]] = {}
        for path in changed:
            for token in tokens(path, after.texts[path]) if path in after.texts else ():
                if len(token.name) >= NAME_CHARS_MIN and token.name not in before.words:
                    self._places.setdefault(token.name, []).append((path, token))
        self._foreign: dict[str, frozenset[str]] = {}
        self._quoted = frozenset(quoted_in(goal))
        self._named = self._quoted | {name for name in _IDENTIFIER.findall(goal) if telling(name)}

    @property
    def _new(self) -> Iterator[tuple[str, list[tuple[str, Token]]]]:
        for name, places in list(self._places.items())[: 10 * SUSPECTS_MAX]:
            if name not in library() and name not in self._named:
                yield name, places

    def _bound(self, name: str, path: str, *, plain: bool) -> bool:
        """Whether a new name is given a meaning somewhere, be it in the form that another language writes it in."""
        places = self._places.get(name, ())
        if plain:
            return any(where == path and token.plain and token.role != "uses" for where, token in places)
        if any(token.role != "uses" for _, token in places):
            return True
        group = _group(path)
        for other in _forms(name) - {name}:
            if "-" in other and (other in self._before.words or other in self._places):
                return True
            if any(token.role != "uses" and _group(where) != group for where, token in self._places.get(other, ())):
                return group != "prose"
        return False

    def unbound(self) -> Iterator[Finding]:
        """Used, and defined nowhere."""
        for name, places in self._new:
            for path, token in places:
                plain = token.plain and language_of(path) in SCRIPTS
                if token.role != "uses" or token.of in self._others(path) or self._bound(name, path, plain=plain):
                    continue
                if meant := self._meant(name, beyond=not token.said):
                    text = f"`{name}` is used here and defined nowhere: is `{meant}` meant?"
                    yield Finding("name", path, text, token.line)
                    break

    def alone(self) -> Iterator[Finding]:
        """Defined in one place, used nowhere."""
        for name, places in self._new:
            if len(places) > 1 or places[0][1].role != "binds" or places[0][1].test or name.startswith("__"):
                continue
            path, token = places[0]
            if self._after.words[name] > 1 or (is_test(path) and (token.said or not telling(name))):
                continue
            meant = self._meant(name)
            code = language_of(path) in READ_AS_CODE
            if code and (not token.said or not telling(name)) and meant not in self._named:
                continue  # a definition may be for others, and a word in a text for people
            if meant:
                yield Finding("name", path, f"`{name}` stands nowhere else: is `{meant}` meant?", token.line)

    def unsaid(self) -> Iterator[Finding]:
        """Named by the goal, and nowhere as it is spelt there."""
        for name in sorted(self._quoted):
            if name in self._before.words or name in self._after.words or any(name in t for t in self._texts()):
                continue
            like = next((other for other in self._places if near(other, name)), "")
            path, token = self._places[like][0] if like else ("", None)
            hint = f"; `{like}` does" if like else ""
            yield Finding(
                "name", path, f"the goal names `{name}`, which stands nowhere{hint}", token.line if token else -1
            )

    def _others(self, path: str) -> frozenset[str]:
        """The names in a file by which it has what is not of the project."""
        if path not in self._foreign:
            found = set(_BUILTINS)
            for one in self._after.facts(path).imports:
                if not self._after.resolver.files(path, [one]):
                    found.update(here for _, here in one.names)
                    found.update((one.alias, one.module.split(".")[0], one.module.rpartition(".")[2]))
            self._foreign[path] = frozenset(found - {""})
        return self._foreign[path]

    def _texts(self) -> Iterable[str]:
        return self._after.texts.values()

    def _meant(self, name: str, *, beyond: bool = False) -> str:
        """The known name of which this one is a slip, "" for none. `beyond`: one of a library's will do."""
        for other in sorted(self._named):
            if near(name, other):
                return other
        here = {other for other, places in self._places.items() if other != name and not self._same(name, places)}
        fitting = [other for other in here if near(name, other)]
        fitting += [other for other in self._known(len(name)) if other not in here and near(name, other)]
        alive = [other for other in fitting if self._after.words[other] or other in here]
        if beyond and not alive:
            alive = [other for other in library() if abs(len(other) - len(name)) <= PREFIX_CHARS_MAX]
            alive = [other for other in alive if len(other) >= LIBRARY_CHARS_MIN and near(name, other)]
        return max(alive, key=lambda other: (self._after.words[other], other), default="")

    def _same(self, name: str, places: list[tuple[str, Token]]) -> bool:
        """Whether a name hangs in the air just as the other one does."""
        return len(places) == 1 and places[0][1].role == "uses" and len(self._places.get(name, ())) >= 1

    def _known(self, length: int) -> list[str]:
        return [one for one in self._before.code_names if abs(len(one) - length) <= PREFIX_CHARS_MAX]


def quoted_in(goal: str) -> tuple[str, ...]:
    """The names that a goal has in backticks."""
    found = dict.fromkeys(name for match in _BACKTICKED.finditer(goal) for name in _IDENTIFIER.findall(match[1]))
    return tuple(name for name in found if len(name) >= NAME_CHARS_MIN)


# What is almost the same


@lru_cache(maxsize=200_000)
def parts(name: str) -> tuple[str, ...]:
    """The words that a name is joined of, in small letters."""
    return tuple(part.lower() for part in _PART.findall(name))


def near(name: str, other: str) -> bool:
    """Whether one may be a slip of the other: its case, its joints, a prefix, a letter or two."""
    if name == other:
        return False
    own, theirs = parts(name), parts(other)
    if not own or not theirs or _style(name) != _style(other):
        return False  # a TextEdit is one of the textEdits, and LIMIT the limit of somebody
    if "".join(own) == "".join(theirs):
        # `max-attempts` is how others write max_attempts.
        alike = name.strip("_$").lower() == other.strip("_$").lower()
        return not alike and _JOINTS.sub("", name) == _JOINTS.sub("", other)
    if abs(len(own) - len(theirs)) == 1:
        longer, shorter = (own, theirs) if len(own) > len(theirs) else (theirs, own)
        without = [
            part for at, part in enumerate(longer) if part in _PREFIXES and longer[:at] + longer[at + 1 :] == shorter
        ]
        if without:
            return len("".join(shorter)) >= SLIP_CHARS_MIN
    unlike = [(a, b) for a, b in zip(own, theirs, strict=False) if a != b]
    return len(own) == len(theirs) and len(unlike) == 1 and _slipped(*unlike[0])


def _style(name: str) -> tuple[bool, bool]:
    """Whether it begins with a capital, as classes do, or has nothing else, as constants."""
    bare = name.strip("_$")
    return bare[:1].isupper(), bare.isupper()


def _slipped(one: str, other: str) -> bool:
    """Whether a word is another one but for a letter (or two, where it is long) left out, put in, swapped, changed."""
    shorter = min(len(one), len(other))
    most = 2 if shorter >= TWO_SLIPS_CHARS_MIN else 1
    if shorter < SLIP_CHARS_MIN or abs(len(one) - len(other)) > most or one.isdecimal() or other.isdecimal():
        return False
    if abs(len(one) - len(other)) > 1 and (one in other or other in one):
        return False  # un-register, decompress-or
    if one in (f"{other}d", f"{other}r"):
        return False  # merged, merger
    if len(one) == len(other) < CHANGED_CHARS_MIN and sorted(one) != sorted(other):
        return False
    return 0 < _distance(one, other, most) <= most


def _distance(one: str, other: str, most: int) -> int:
    """Letters put in, left out, changed or swapped with the next; more than `most` if there are more."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        rows.append(row)
    return rows[-1][-1]


def _forms(name: str) -> set[str]:
    """A name as other languages and command lines write it."""
    own = parts(name)
    return {name, "-".join(own), "_".join(own), own[0] + "".join(map(str.title, own[1:]))} if own else {name}


def _group(path: str) -> str:
    """Languages that write names in the same manner."""
    language = language_of(path)
    if language in PROSE:
        return "prose"
    return "script" if language in SCRIPTS or language in ("json", "jsonc", "css") else "other"


def undefined(before: Survey, after: Survey, changed: Sequence[str]) -> Iterator[Finding]:
    """Names in Python that nothing defines where they are used."""
    for path in changed:
        if language_of(path) != "python" or path not in after.texts:
            continue
        known = _undefined(before.texts.get(path, ""))
        for name in sorted(_undefined(after.texts[path]) - known):
            places = [token.line for token in tokens(path, after.texts[path]) if token.name == name and token.plain]
            yield Finding("name", path, f"`{name}` is used here, and nothing defines it", min(places, default=-1))


@lru_cache(maxsize=512)
def _undefined(text: str) -> frozenset[str]:
    """The names that a module looks for outside of itself and would not find; none where that cannot be told."""
    try:
        top = symtable(text, "module", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    if re.search(r"^\s*from\s+\S+\s+import\s+\*|\bglobals\(\)|\bexec\(", text, re.MULTILINE):
        return frozenset()
    own = {one.get_name() for one in top.get_symbols() if one.is_assigned() or one.is_imported() or one.is_namespace()}
    found: set[str] = set()
    waiting = [top]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        for one in table.get_symbols():
            if one.is_declared_global() and one.is_assigned():
                own.add(one.get_name())
            if one.is_referenced() and (one.is_global() or table is top):
                found.add(one.get_name())
    return frozenset(found - own - _BUILTINS)


# Files that say the same in several languages or places


def _siblings(before: Survey, after: Survey, changed: Sequence[str]) -> Iterator[Finding]:
    """A key that came into one of several files with mostly the same keys, and into others not."""
    tables = {path: _keys(after.texts[path]) for path in changed if _data(after, path)}
    for path, own in tables.items():
        others = _beside(after, path, own)
        fresh = own - _keys(before.texts.get(path, ""))
        for other, theirs in others.items():
            for key in sorted(fresh - theirs):
                if len(others) == 1 or sum(key in one for one in others.values()) * 2 >= len(others):
                    slip = next((one for one in sorted(theirs - own) if near(key, one)), "")
                    hint = f", but `{slip}`" if slip else ""
                    yield Finding("name", other, f"`{key}` is in {path} and not here{hint}")
        missing = Counter(key for theirs in others.values() for key in theirs - own)
        for key, count in sorted(missing.items()):
            old = any(key in _keys(before.texts.get(other, "")) for other in others)
            if not old and count * 2 > len(others):
                yield Finding("name", path, f"`{key}` is in the files beside this one and not here")


def _data(survey: Survey, path: str) -> bool:
    return language_of(path) in DATA and path in survey.texts


def _beside(survey: Survey, path: str, own: frozenset[str]) -> Mapping[str, frozenset[str]]:
    folder, ending = path.rpartition("/")[0], path.rpartition(".")[2]
    found: dict[str, frozenset[str]] = {}
    for other in sorted(survey.texts):
        if other == path or other.rpartition("/")[0] != folder or other.rpartition(".")[2] != ending:
            continue
        theirs = _keys(survey.texts[other])
        common = len(own & theirs)
        if common >= SIBLING_KEYS_MIN and common >= SIBLING_SHARE_MIN * max(len(own), len(theirs)) - 2:
            found[other] = theirs
        if len(found) >= SIBLINGS_MAX:
            break
    return found


@lru_cache(maxsize=512)
def _keys(text: str) -> frozenset[str]:
    """The keys of a JSON text, those of objects in it with the way to them."""
    try:
        value: object = loads(text) if text else None
    except (ValueError, RecursionError):
        return frozenset()
    found: set[str] = set()
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting and len(found) < KNOWN_MAX:
        way, one = waiting.pop()
        if isinstance(one, dict):
            for key, inner in cast(dict[str, object], one).items():
                found.add(f"{way}{key}")
                waiting.append((f"{way}{key}.", inner))
    return frozenset(found)
