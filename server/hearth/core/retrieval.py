"""The completion context from the project: what is defined elsewhere and likely to be needed at the cursor.

Signatures of the names that are likely to come next, outlines of the types in sight, signatures of the types that those
speak of, and chunks found by words for the rest. How likely a name is, is a logistic model of how it is used around the
cursor, fitted on real packages; it and the shares are measured by scripts/benchmarks/coverage.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log1p
from operator import mul
from typing import Literal, Protocol

from hearth.core import modules
from hearth.core.facts import Import, Symbol
from hearth.core.outline import TYPES, Group
from hearth.core.sight import NAME_CHARS_MIN, WORD, Mode, Names, Sight, Use, mode_of, names_in
from hearth.core.terms import terms_of

Kind = Literal["outline", "signature", "hop", "chunk"]

NAMES_MAX = 80
"""Names looked up in the symbol table."""
GUESSES_MAX = 12
"""Names of which the type called like them is looked up too."""
DEFINERS_MAX = 10
"""A name with more definitions says nothing about which is meant, unless an imported file holds one."""
DEFINITIONS_PER_NAME_MAX = 24
MODULES_RESOLVED_MAX = 40
REEXPORTS_MAX = 3
ENTERED_MAX = 16
"""Modules imported as a whole of which the re-exports are followed."""
SYMBOLS_PER_FILE_MAX = 2_000
SIGNATURES_MAX = 60
OUTLINES_MAX = 12
OUTLINE_CHARS_MAX = 700
OUTLINE_SHARE_MAX = 0.2
"""Of the characters of a context: no single outline takes more."""
FRAGMENT_CHARS_MAX = 1_200
"""Signatures of a folder beyond this stand with their files."""
WORDS_KEPT_MAX = 8_192
HOPS_MAX = 16
LINE_CHARS_MIN = 50
"""A path and a head take about as much."""
HITS_MAX = 16
PART_CHARS_MIN = 120
"""A smaller part of a chunk says too little."""
PART_CHARS_MAX = 900
PART_SHARE = 0.2
"""Of the characters of a context: the parts of several chunks say more than one whole chunk."""
TYPE_BY_NAME_FACTOR = 0.5
"""How likely the type `Session` is meant where only something called `session` is in sight."""
BASE_FACTOR = 2.0
"""How much more an outline matters for what is named in the head of an enclosing block."""

SHARES: dict[Mode, dict[Kind, float]] = {
    "start": {"signature": 0.48, "outline": 0.13, "hop": 0.05},
    "inside": {"signature": 0.35, "outline": 0.24, "hop": 0.0},
    "call": {"signature": 0.45, "outline": 0.16, "hop": 0.04},
}
"""Of the characters; chunks get the rest, and what the others leave."""

WEIGHTS: dict[str, float] = {
    "one": -5.26,
    "recency": 0.83,
    "lines": -0.08,
    "here": -0.89,
    "below": 0.61,
    "enclosing": -0.86,
    "called": 0.15,
    "member": 1.35,
    "camel": 0.53,
    "constant": 0.47,
    "imported": 0.68,
    "unused": -1.60,
    "further": 0.33,
    "nearest": 0.45,
    "near": -0.45,
    "in sight": 0.44,
    "attribute": -2.34,
    "called function": 0.24,
    "of an imported file": 0.37,
}
"""Of the logistic model: how likely the rest of the line holds a name. Fitted by coverage.py --fit."""
_WEIGHTS = tuple(WEIGHTS.values())
KIND_WEIGHTS: dict[Kind, tuple[float, float]] = {
    "outline": (0.8, 1.0),
    "signature": (0.8, 1.0),
    "hop": (0.4, 0.6),
    "chunk": (0.3, 0.9),
}
"""From the least to the most useful of a kind: where there is less room than was asked for, the mix is kept."""
_FIELDS = frozenset(("attribute", "key", "selector", "heading"))
_ORDER: tuple[Kind, ...] = ("outline", "signature", "hop")


@dataclass(frozen=True, slots=True)
class Fragment:
    """What another file, or for signatures a folder, contributes: whole lines, LF endings. `line`: the first of them in
    its file, 0-based. `weight`: how useful it may be, 0 to 1."""

    path: str
    line: int
    text: str
    kind: Kind
    weight: float


class Hit(Protocol):
    """A chunk that a search found."""

    @property
    def path(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def score(self) -> float: ...


class Known(Protocol):
    """What the index knows of the project."""

    def definitions(self, names: Sequence[str], per_name_max: int) -> Mapping[str, Sequence[tuple[str, Symbol]]]:
        """Name -> (path, symbol) of where it is defined."""
        ...

    def symbols_in(self, path: str) -> Sequence[Symbol]:
        """What a file defines."""
        ...

    def imports_in(self, path: str) -> Sequence[Import]:
        """What a file imports."""
        ...

    def resolve(self, language: str, module: str, importer: str) -> Sequence[str]:
        """The files that an import means, () if none of the project."""
        ...

    def search(self, query: Mapping[str, float], limit: int, without_path: str) -> Sequence[Hit]:
        """Chunks by weighted terms, best first."""
        ...


def context(sight: Sight, known: Known, query: Mapping[str, float], chars_max: int) -> tuple[Fragment, ...]:
    """The context for a position, at most `chars_max` characters, paths included. `query`: weighted terms for the
    search (`core.terms.completion_query`).

    The order is stable: kinds in a fixed order, and within a kind by path and line.
    """
    mode, callee = mode_of(sight)
    finder = _Finder(sight, known)
    names = names_in(sight)
    targets = finder.targets(names)
    room = _Room(chars_max)
    shares = SHARES[mode]
    # Outlines first: a type that is outlined needs no signature beside it.
    room.allow(shares["outline"])
    for target in _wanted_outlines(targets, names):
        if room.full:
            break
        _outline(room, "outline", finder, target, query)
    room.allow(shares["signature"])
    for target in sorted(targets, key=lambda one: one.symbol.name != callee):
        if not target.guessed:
            room.add("signature", target)
    room.allow(shares["hop"])
    for target in finder.hops(targets) if not room.full else ():
        if room.full:
            break
        _outline(room, "hop", finder, target, query)
    return (*room.fragments(), *_chunks(known, query, sight, room.left, chars_max))


@dataclass(frozen=True, slots=True)
class Target:
    """A definition that may be wanted. `weight`: how likely its name comes next, 0 to 1. `guessed`: it is a type of
    which only something of the same name in lower case is in sight."""

    weight: float
    path: str
    symbol: Symbol
    guessed: bool = False


def features(name: str, use: Use, kind: str, imported: bool) -> tuple[float, ...]:
    """What the likelihood of a name depends on, in the order of WEIGHTS. `kind` of its definition, "" if not known yet;
    `imported`: that is in a file which the document imports."""
    used = use.lines > 0
    upper = name.isupper()
    return (
        1.0,
        log1p(use.recency),
        log1p(use.lines),
        use.here,
        log1p(use.below),
        use.enclosing,
        use.called,
        use.member,
        name[:1].isupper() and not upper,
        upper,
        use.imported,
        use.imported and not used and not use.further and not use.below,
        log1p(use.further),
        use.nearest == 0,
        use.nearest <= 2,
        used,
        kind in _FIELDS,
        use.called and kind in ("function", "method"),
        imported,
    )


def likelihood(name: str, use: Use, kind: str = "", imported: bool = False) -> float:
    """How likely the rest of the line holds the name, 0 to 1."""
    return 1 / (1 + exp(-sum(map(mul, _WEIGHTS, features(name, use, kind, imported)))))


def evidence(sight: Sight, known: Known) -> list[tuple[str, tuple[float, ...]]]:
    """The names of which definitions are known, with their features: what the weights are fitted on."""
    names, finder = names_in(sight), _Finder(sight, known)
    return [
        (name, features(name, use, one.symbol.kind, one.path in finder.imported))
        for one in finder.targets(names)
        if not one.guessed and (use := names.uses.get(name := one.symbol.name))
    ]


class _Finder:
    """Looks names up, each thing once per context."""

    def __init__(self, sight: Sight, known: Known) -> None:
        self._sight = sight
        self._known = known
        self._symbols: dict[str, Sequence[Symbol]] = {}
        self._modules: dict[tuple[str, str], Sequence[str]] = {}
        self.imported: set[str] = set()
        self._entered: set[str] = set()
        self._seen: set[str] = set()
        self._places: dict[str, Sequence[tuple[str, Symbol]]] = {}

    def symbols(self, path: str) -> Sequence[Symbol]:
        if path not in self._symbols:
            self._symbols[path] = self._known.symbols_in(path)[:SYMBOLS_PER_FILE_MAX]
        return self._symbols[path]

    def definitions(self, names: Iterable[str]) -> Mapping[str, Sequence[tuple[str, Symbol]]]:
        """Where names are defined, () for those that are not or that the document itself defines."""
        asked = [name for name in dict.fromkeys(names) if name not in self._places]
        if asked:
            self._places.update(dict.fromkeys(asked, ()))
            for name, found in self._known.definitions(asked, DEFINITIONS_PER_NAME_MAX).items():
                self._places[name] = () if any(path == self._sight.path for path, _ in found) else found
        return self._places

    def _defined(self, path: str, name: str) -> list[tuple[str, Symbol]]:
        """The definitions of a name at the top level of a file."""
        places = self.definitions((name,)).get(name, ())
        if len(places) >= DEFINITIONS_PER_NAME_MAX:
            places = [(path, symbol) for symbol in self.symbols(path) if symbol.name == name]
        return [(other, symbol) for other, symbol in places if other == path and not symbol.container]

    def targets(self, names: Names) -> list[Target]:
        """What the names in sight and the imported ones mean, the likeliest first."""
        self._seen = {name for name, use in names.uses.items() if use.lines or use.below or use.here or use.enclosing}
        likely = {name: likelihood(name, use) for name, use in names.uses.items()}
        order = sorted(likely, key=lambda name: (-likely[name], name))[:NAMES_MAX]
        guesses: dict[str, str] = {}
        for name in order[:GUESSES_MAX]:
            if name.islower():
                guesses.setdefault(_type_name(name), name)
        originals = [name for one in self._sight.imports for name, here in one.names if here in likely]
        known = self.definitions([*order, *(guess for guess in guesses if guess not in likely), *originals[:NAMES_MAX]])
        places = self._imported_places(set(order))
        for name in (*order, *(guess for guess in guesses if guess not in likely)):
            if name not in places and known.get(name):
                places[name] = known[name]
        targets: list[Target] = []
        for name, found in places.items():
            use = names.uses.get(name)
            if use is None:
                types = [(path, symbol) for path, symbol in found if symbol.kind in TYPES]
                weight = likely.get(guesses.get(name, ""), 0.0) * TYPE_BY_NAME_FACTOR
                targets += [Target(weight, path, symbol, True) for path, symbol in self._meant(types)[:1]]
                continue
            for path, symbol in self._meant(found, called=use.called):
                weight = likelihood(name, use, symbol.kind, path in self.imported)
                targets.append(Target(weight, path, symbol))
        targets.sort(key=lambda one: (-one.weight, one.path, one.symbol.start))
        return targets

    def _imported_places(self, wanted: set[str]) -> dict[str, Sequence[tuple[str, Symbol]]]:
        found: dict[str, Sequence[tuple[str, Symbol]]] = {}
        for one in self._sight.imports:
            whole = not one.names
            for name, here in one.names:
                if name == "*":
                    whole = True
                elif here in wanted:
                    if met := self._taken_out(one.module, name, self._sight.path, REEXPORTS_MAX):
                        found[here] = met
                    else:
                        whole = True  # It may stand for a module: its members are what is asked for.
            if whole:
                self._enter(self._resolve(one.module, self._sight.path), REEXPORTS_MAX)
        for path in sorted(self._entered):
            for one in self._known.imports_in(path):
                for name, here in one.names:
                    want = here in wanted and here not in found and name != "*"
                    if want and (met := self._taken_out(one.module, name, path, REEXPORTS_MAX - 1)):
                        found[here] = met
        return found

    def _enter(self, paths: Sequence[str], steps: int) -> None:
        """Files that are imported as a whole, and what they hand on of others as a whole."""
        for path in paths:
            self.imported.add(path)
            if path in self._entered or not steps or len(self._entered) >= ENTERED_MAX:
                continue
            self._entered.add(path)
            for one in self._known.imports_in(path):
                if one.names and one.names[0][0] == "*":
                    self._enter(self._resolve(one.module, path), steps - 1)

    def _resolve(self, module: str, importer: str) -> Sequence[str]:
        key = (module, importer)
        if key not in self._modules:
            full = len(self._modules) >= MODULES_RESOLVED_MAX
            found = () if full else self._known.resolve(self._sight.language, module, importer)
            self._modules[key] = [path for path in found if path != self._sight.path]
        return self._modules[key]

    def _taken_out(self, module: str, name: str, importer: str, steps: int) -> list[tuple[str, Symbol]]:
        """The definitions of a name in a module, through re-exports; none if it is a module itself."""
        paths = self._resolve(module, importer) if steps > 0 else ()
        for path in paths:
            self.imported.add(path)
            if found := self._defined(path, name):
                return found
            for one in self._known.imports_in(path):
                original = next((was for was, here in one.names if here == name), None)
                if original is None and not (one.names and one.names[0][0] == "*"):
                    continue
                if met := self._taken_out(one.module, original or name, path, steps - 1):
                    return met
        if steps > 0 and (deeper := modules.inner(self._sight.language, module, name)):
            self._enter(self._resolve(deeper, importer), steps - 1)
        return []

    def _meant(self, places: Sequence[tuple[str, Symbol]], *, called: bool = False) -> list[tuple[str, Symbol]]:
        """The one place that is meant most likely; none if there are too many to tell."""
        others = [(path, symbol) for path, symbol in places if path != self._sight.path]
        near = [(path, symbol) for path, symbol in others if path in self.imported or self._is_seen(symbol)]
        if len(others) > DEFINERS_MAX and not near:
            return []

        def order(place: tuple[str, Symbol]) -> tuple[bool, bool, bool, int, str, int]:
            path, symbol = place
            unfit = symbol.kind in _FIELDS or (called and symbol.kind in ("constant", "variable"))
            return (
                unfit,
                _is_test(path),
                len(symbol.signature) < 4,
                -_shared(path, self._sight.path),
                path,
                symbol.start,
            )

        return sorted(near or others, key=order)[:1]

    def _is_seen(self, symbol: Symbol) -> bool:
        """Whether the type that it belongs to is in sight, or something called like it."""
        owner = symbol.container.rpartition(".")[2]
        return len(owner) >= NAME_CHARS_MIN and (owner in self._seen or owner.casefold() in self._seen)

    def hops(self, targets: Sequence[Target]) -> list[Target]:
        """The types named in the signatures of what is in sight."""
        seen = {target.symbol.name for target in targets}
        names: dict[str, float] = {}
        for target in targets[:SIGNATURES_MAX]:
            for name in set(WORD.findall(target.symbol.signature)):
                if name[:1].isupper() and not name.isupper() and len(name) > 2 and name not in seen:
                    names[name] = names.get(name, 0.0) + target.weight
        order = sorted(names, key=lambda name: (-names[name], name))[:HOPS_MAX]
        known = self.definitions(order)
        found: list[Target] = []
        for name in order:
            places = [(path, symbol) for path, symbol in known.get(name, ()) if symbol.kind in TYPES]
            found += [Target(names[name], path, symbol) for path, symbol in self._meant(places)]
        return found


def _is_test(path: str) -> bool:
    parts = path.casefold().split("/")
    return any(part in ("test", "tests", "t", "spec", "__tests__", "testing") for part in parts[:-1]) or (
        parts[-1].startswith("test_") or ".test." in parts[-1] or ".spec." in parts[-1]
    )


def _shared(path: str, other: str) -> int:
    """Folders that two files have in common."""
    count = 0
    for a, b in zip(path.split("/")[:-1], other.split("/")[:-1], strict=False):
        if a != b:
            break
        count += 1
    return count


def _type_name(name: str) -> str:
    """`http_session` -> `HttpSession`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_") if part)


# What is told


def _wanted_outlines(targets: Sequence[Target], names: Names) -> list[Target]:
    found: list[tuple[float, Target]] = []
    for target in targets:
        if target.symbol.kind in TYPES:
            use = names.uses.get(target.symbol.name)
            found.append((target.weight * (BASE_FACTOR if use and use.enclosing else 1.0), target))
    found.sort(key=lambda one: -one[0])
    return [target for _, target in found[:OUTLINES_MAX]]


def _outline(room: "_Room", kind: Kind, finder: _Finder, target: Target, query: Mapping[str, float]) -> None:
    """The members of a type, those that have most to do with what is in sight first."""
    symbol = target.symbol
    inside = f"{symbol.container}.{symbol.name}" if symbol.container else symbol.name
    if not room.add(kind, target):
        return
    worth: list[tuple[float, int, Symbol]] = []
    for number, one in enumerate(finder.symbols(target.path)):
        if one.container == inside and not one.name.startswith("__"):
            score = sum(query.get(term, 0.0) for term in _terms(one.name)) - one.name.startswith("_")
            worth.append((-score, number, one))
    left = min(OUTLINE_CHARS_MAX, int(OUTLINE_SHARE_MAX * room.chars_max))
    for _, _, member in sorted(worth):
        left -= room.cost(kind, target.path, member)
        if left < 0 or not room.add(kind, Target(target.weight, target.path, member)):
            break


class _Room:
    """Collects the lines of symbols within a number of characters, each symbol once."""

    def __init__(self, chars_max: int) -> None:
        self.chars_max = chars_max
        self.left = chars_max
        self._allowed = 0
        self._groups: dict[tuple[Kind, str], Group] = {}
        self._weights: dict[tuple[Kind, str], float] = {}
        self._have: set[tuple[str, str, str]] = set()

    def allow(self, share: float) -> None:
        """What follows may take this share of all."""
        self._allowed = min(self.left, int(self.chars_max * share))

    @property
    def full(self) -> bool:
        """Whether there is no room for another outline in what is allowed."""
        return self._allowed < LINE_CHARS_MIN

    def _place(self, kind: Kind, path: str) -> str:
        """Signatures of a folder stand together, since a path for each of them would take as much as they do; but no
        fragment is larger than a snippet may be."""
        if kind != "signature":
            return path
        folder = path.rpartition("/")[0] or "."
        group = self._groups.get((kind, folder))
        return path if group and group.size > FRAGMENT_CHARS_MAX else folder

    def cost(self, kind: Kind, path: str, symbol: Symbol) -> int:
        """Characters that it takes, 0 if it is there already."""
        if (path, symbol.container, symbol.name) in self._have:
            return 0
        place = self._place(kind, path)
        group = self._groups.get((kind, place))
        return group.cost(path, symbol) if group else len(place) + Group().cost(path, symbol)

    def add(self, kind: Kind, target: Target) -> bool:
        """Whether there was room for it, or it is there already."""
        symbol = target.symbol
        cost = self.cost(kind, target.path, symbol)
        if cost > self._allowed:
            return False
        if cost:
            key = (kind, self._place(kind, target.path))
            self._allowed -= cost
            self.left -= cost
            self._groups.setdefault(key, Group()).add(target.path, symbol)
            self._weights.setdefault(key, target.weight)
            self._have.add((target.path, symbol.container, symbol.name))
        return True

    def fragments(self) -> list[Fragment]:
        """What was collected, in a stable order."""
        found: list[Fragment] = []
        for kind, place in sorted(self._groups, key=lambda key: (_ORDER.index(key[0]), key[1])):
            group = self._groups[kind, place]
            found.append(Fragment(place, group.line, group.text(), kind, _useful(kind, self._weights[kind, place])))
        return found


def _useful(kind: Kind, share: float) -> float:
    least, most = KIND_WEIGHTS[kind]
    return round(least + (most - least) * min(1.0, max(0.0, share)), 3)


# Chunks


@lru_cache(maxsize=WORDS_KEPT_MAX)
def _terms(word: str) -> frozenset[str]:
    return frozenset(terms_of(word))


def _chunks(known: Known, query: Mapping[str, float], sight: Sight, left: int, chars_max: int) -> Iterable[Fragment]:
    """The parts of chunks that have most to do with what is in sight."""
    part_max = max(min(PART_CHARS_MAX, int(PART_SHARE * chars_max)), PART_CHARS_MIN)
    hits = known.search(query, HITS_MAX, sight.path)
    best = max((hit.score for hit in hits), default=0.0) or 1.0
    found: list[Fragment] = []
    for hit in hits:
        line, text = _part(hit.text, min(part_max, left - len(hit.path)), query)
        if text:
            left -= len(hit.path) + len(text)
            found.append(Fragment(hit.path, hit.start + line, text, "chunk", _useful("chunk", hit.score / best)))
    return sorted(found, key=lambda one: (one.path, one.line))


def _part(text: str, chars_max: int, query: Mapping[str, float]) -> tuple[int, str]:
    """The text, or of one that is too long the stretch of whole lines with most terms of the query, and the number of
    its first line."""
    text = text.rstrip("\n") + "\n"
    if len(text) <= chars_max:
        return 0, text
    if chars_max < PART_CHARS_MIN:
        return 0, ""
    lines = text.splitlines(keepends=True)
    worth = [sum(query.get(t, 0.0) for t in {t for word in WORD.findall(line) for t in _terms(word)}) for line in lines]
    best, chosen = 0.0, (0, 0)
    first, size, total = 0, 0, 0.0
    for last, line in enumerate(lines):
        size += len(line)
        total += worth[last]
        while size > chars_max:
            size -= len(lines[first])
            total -= worth[first]
            first += 1
        if total > best:
            best, chosen = total, (first, last + 1)
    first, last = chosen
    while first < last and not lines[first].strip():
        first += 1
    return first, "".join(lines[first:last]).rstrip() + "\n" if first < last else ""
