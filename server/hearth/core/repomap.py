"""A map of the project for a model's prompt: the definitions that matter most, as a tree, within a budget of tokens.

Which ones matter is decided by personalised PageRank over references: a file that uses a name votes for the files that
define it. Names alone would rank noise, so what everybody calls something (`get`, `run`) does not vote, a file whose
imports lead to a definition votes for that one, and names that say much count more. The weights are those that aider
has published for its repository map; everything is deterministic.

`Graph` is made once for a state of the project (a pass over its tables); each map is a few milliseconds from there.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth.core.facts import Symbol
from hearth.core.impact import References, name_key, reached

MENTIONED = 10.0
"""A name that the conversation mentions."""
TELLING = 10.0
"""A long name of several words: nobody uses it by chance."""
TELLING_CHARS_MIN = 8
PRIVATE = 0.1
WIDESPREAD = 0.1
"""A name that many files define."""
WIDESPREAD_DEFINERS = 5
IN_CONVERSATION = 50.0
"""References from a file that the conversation is about. They count more where votes are turned into scores: within the
walk, where what a file gives is shared out, it would make no difference."""
UNIMPORTED = 0.1
"""A definition in a file that the user of the name does not import; once more, where it does import another that
defines it."""
MEMBER = 0.1
"""Attributes and methods: whose they are is not known without types, and keyword arguments look the same."""
DEFINERS_MAX = 20
"""A name with more of them is no name for anything; without this limit the edges would be its uses times them."""
NAME_CHARS_MIN = 3
DAMPING = 0.85
ANYWHERE = 0.1
"""Of the walk's new beginnings, where it is drawn to something: the rest of the project stays in sight."""
ITERATIONS_MAX = 50
TOLERANCE = 1e-4
SYMBOLS_MAX = 2_000
"""In one map, whatever the budget."""
CHARS_PER_TOKEN = 3.5
SIGNATURE_CHARS_MAX = 160

_COMMON_WORDS = (
    "add all append apply as_dict build call check clean clear clone close copy count create data decode delete"
    " description dump emit empty encode end error execute exists exit extend filter find first flush format forward"
    " from_dict get handle id index info init insert is_valid items join json key keys kind last len length list"
    " load log main map match message method model name new next node open options parse path pop pos print process"
    " push put query read register remove render repr request reset response result run save send session set setUp"
    " setup size sort source split start state status stop str string submit tearDown test text timeout title"
    " to_dict toString type update url user validate value values version view wait warn write"
)
_BUILT_IN_WORDS = (
    "any array bool boolean bytes callable char console dict double enumerate exports float function getattr hasattr"
    " input int integer isinstance iter max memory min module number object property range repr reversed require round"
    " self setattr slice sorted static std string sum super symbol tuple typeof undefined unknown var vec void zip"
)
COMMON_NAMES = frozenset(f"{_COMMON_WORDS} {_BUILT_IN_WORDS}".split())
"""Names that are used for anything: without knowing types, a use of one says nothing about who is meant."""
NO_CODE = frozenset(("heading", "key", "selector"))
FUNCTIONS = frozenset(("function", "method"))
MEMBERS = frozenset(("attribute", "method"))
_VENDORED = re.compile(
    r"(?:^|/)(?:vendor|vendored|_vendor|third_party|third-party|node_modules|site-packages|bower_components|dist)/"
    r"|\.min\.\w+$"
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A definition (all of this name in this file) and its share of the votes, 0 to 1."""

    path: str
    name: str
    score: float


class Graph:
    """Who uses whose definitions. `definitions`: for each file the (name, kind) of what it defines. `imports`: for each
    file the files that its imports were resolved to."""

    def __init__(
        self,
        definitions: Iterable[tuple[str, Sequence[tuple[str, str]]]],
        references: Iterable[References],
        imports: Mapping[str, Collection[str]],
    ) -> None:
        self._files: dict[str, int] = {}
        self._define(definitions)
        refs = self._refer(references)
        self.paths = tuple(self._files)
        self._connect(*refs, self._import_pairs(imports))
        self._by_word: dict[str, list[int]] = {}
        for number, path in enumerate(self.paths):
            for word in _words_of(path):
                self._by_word.setdefault(word, []).append(number)

    def __len__(self) -> int:
        """How many edges there are."""
        return len(self._edge_from)

    def ranked(self, *, conversation: Collection[str] = (), mentioned: Collection[str] = ()) -> list[Ranked]:
        """The definitions that most vote for, best first, at most SYMBOLS_MAX.

        `conversation`: paths of the files that it is about, which are not in the result; `mentioned`: names, and words
        of paths, that occur in it.
        """
        edges, files = self._edge_weights(mentioned), len(self.paths)
        if not len(edges):
            return []
        pairs = _sums(self._edge_pair, edges, len(self._pair_from))
        out = _sums(self._pair_from, pairs, files)
        rank = _page_rank(self._pair_from, self._pair_to, pairs, out, self._starts(conversation, mentioned))
        share = np.divide(rank, out, out=np.zeros(files), where=out > 0)
        share[self._known(conversation)] *= IN_CONVERSATION
        scores = _sums(self._edge_to, edges * share[self._edge_from], len(self._def_name))
        self._favour(scores, mentioned)
        hidden = np.zeros(files, dtype=bool)
        hidden[self._known(conversation)] = True
        scores[hidden[self._def_file]] = 0.0
        # Rounded, so that the order does not depend on the order of additions in another version of numpy.
        rounded = np.round(scores, 12)
        voted = np.flatnonzero(rounded > 0)
        if len(voted) > SYMBOLS_MAX:
            # Ties at the limit stay in, or which of them are kept would be up to chance.
            least = np.partition(rounded[voted], len(voted) - SYMBOLS_MAX)[len(voted) - SYMBOLS_MAX]
            voted = voted[rounded[voted] >= least]
        best = voted[np.lexsort((voted, -rounded[voted]))][:SYMBOLS_MAX]
        total = float(scores.sum()) or 1.0
        return [
            Ranked(self.paths[self._def_file[d]], self._names[self._def_name[d]], float(scores[d]) / total)
            for d in best.tolist()
        ]

    # Made once

    def _define(self, definitions: Iterable[tuple[str, Sequence[tuple[str, str]]]]) -> None:
        """Names and definitions as numbers, both in the order of the table."""
        ids: dict[str, int] = {}
        seen: dict[tuple[int, int], float] = {}
        for path, symbols in definitions:
            if _VENDORED.search(path):
                continue
            file = self._files.setdefault(path, len(self._files))
            for name, kind in symbols:
                if kind in NO_CODE:
                    continue
                if len(name) >= NAME_CHARS_MIN and name not in COMMON_NAMES and not name.startswith("__"):
                    one = ids.setdefault(name, len(ids)), file
                    seen[one] = max(seen.get(one, 0.0), MEMBER if kind in MEMBERS else 1.0)
        self._ids, self._names = ids, list(ids)
        pairs = sorted(seen)
        self._def_name = np.array([name for name, _ in pairs], dtype=np.int64)
        self._def_file = np.array([file for _, file in pairs], dtype=np.int64)
        self._def_weight = np.array([seen[pair] for pair in pairs], dtype=np.float64)
        self._definers = np.bincount(self._def_name, minlength=len(ids))
        self._first_def = np.cumsum(self._definers) - self._definers
        weights = np.array([_name_weight(name) for name in self._names], dtype=np.float64)
        weights[self._definers > WIDESPREAD_DEFINERS] *= WIDESPREAD
        weights[self._definers > DEFINERS_MAX] = 0.0
        self._name_weight: Floats = weights

    def _refer(self, references: Iterable[References]) -> tuple[Ints, Ints, Floats]:
        """(file, name, how much it uses it) for the references to names that are defined here."""
        files: list[int] = []
        sizes: list[int] = []
        keys: list[NDArray[np.uint32]] = []
        counts: list[NDArray[np.uint16]] = []
        for path, crcs, uses in references:
            if len(crcs) and not _VENDORED.search(path):
                files.append(self._files.setdefault(path, len(self._files)))
                sizes.append(len(crcs))
                keys.append(np.frombuffer(crcs, dtype=np.uint32))
                counts.append(np.frombuffer(uses, dtype=np.uint16))
        if not keys or not self._names:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        crc = np.array([name_key(name) for name in self._names], dtype=np.uint32)
        order = np.argsort(crc, kind="stable")
        every = np.concatenate(keys)
        at = np.minimum(np.searchsorted(crc[order], every), len(order) - 1)
        name = order[at]
        hit = (crc[name] == every) & (self._name_weight[name] > 0)
        source = np.repeat(np.array(files, dtype=np.int64), sizes)
        return source[hit], name[hit], np.sqrt(np.concatenate(counts)[hit].astype(np.float64))

    def _import_pairs(self, imports: Mapping[str, Collection[str]]) -> Ints:
        """(importing file, imported file) as single numbers, sorted; through files that hand on, as far as they do."""
        files, count = self._files, len(self._files)
        found: set[int] = set()
        for path, source in files.items():
            found.update(source * count + files[one] for one in reached(imports, path) if one in files)
        return np.array(sorted(found), dtype=np.int64)

    def _connect(self, source: Ints, name: Ints, use: Floats, imported: Ints) -> None:
        """One edge for each (file, definition of a name that it uses), none to itself."""
        fan = self._definers[name]
        which = np.repeat(np.arange(len(name)), fan)
        within = np.arange(len(which)) - np.repeat(np.cumsum(fan) - fan, fan)
        target = self._first_def[name[which]] + within
        start, end = source[which], self._def_file[target]
        count = max(1, len(self._files))
        at = np.minimum(np.searchsorted(imported, start * count + end), max(0, len(imported) - 1))
        direct = imported[at] == start * count + end if len(imported) else np.zeros(len(start), dtype=bool)
        # A file's own definition is what it means by the name, as far as can be told: such uses go nowhere else.
        own = np.zeros(len(name), dtype=bool)
        own[which[start == end]] = True
        resolved = np.zeros(len(name), dtype=bool)
        resolved[which[direct]] = True
        trust = np.where(direct, 1.0, np.where(resolved[which], UNIMPORTED**2, UNIMPORTED))
        weight = use[which] * self._name_weight[name[which]] * self._def_weight[target] * trust
        keep = ~own[which]
        self._edge_from, self._edge_to, self._edge_weight = start[keep], target[keep], weight[keep]
        pair, self._edge_pair = np.unique(start[keep] * count + end[keep], return_inverse=True)
        self._pair_from, self._pair_to = pair // count, pair % count

    # Made for each map

    def _known(self, paths: Iterable[str]) -> list[int]:
        return sorted({self._files[path] for path in paths if path in self._files})

    def _named(self, mentioned: Iterable[str]) -> list[int]:
        return sorted({self._ids[name] for name in mentioned if name in self._ids})

    def _edge_weights(self, mentioned: Collection[str]) -> Floats:
        weights = self._edge_weight
        if mentioned:
            names = np.ones(len(self._names))
            names[self._named(mentioned)] = MENTIONED
            weights = weights * names[self._def_name[self._edge_to]]
        return weights

    def _favour(self, scores: Floats, mentioned: Collection[str]) -> None:
        """What is mentioned by name is wanted also if hardly anybody refers to it: its share is the new beginnings'."""
        files = np.zeros(len(self.paths), dtype=bool)
        files[self._spoken_of(mentioned)] = True
        scores[files[self._def_file]] *= MENTIONED
        names = np.zeros(len(self._names), dtype=bool)
        names[self._named(mentioned)] = True
        wanted = names[self._def_name]
        if wanted.any():
            scores[wanted] += float(scores.sum()) * (1.0 - DAMPING) / np.count_nonzero(wanted)

    def _spoken_of(self, mentioned: Iterable[str]) -> list[int]:
        return sorted({n for word in mentioned for n in self._by_word.get(word, ())})

    def _starts(self, conversation: Collection[str], mentioned: Collection[str]) -> Floats:
        """Where the walk begins anew: the conversation's files, those whose path or definitions are mentioned; all
        files, where there are none such."""
        starts = np.zeros(len(self.paths))
        starts[self._known(conversation)] += 1.0
        starts[self._spoken_of(mentioned)] += 1.0
        names = np.zeros(len(self._names), dtype=bool)
        names[self._named(mentioned)] = True
        starts[self._def_file[names[self._def_name]]] += 1.0
        anywhere = np.full(len(self.paths), 1.0 / len(self.paths))
        return ANYWHERE * anywhere + (1.0 - ANYWHERE) * starts / starts.sum() if starts.any() else anywhere


def repository_map(
    ranked: Sequence[Ranked], symbols_in: Callable[[str], Sequence[Symbol]], tokens_max: int, *, outline: bool = True
) -> str:
    """As many of `ranked`, best first, as fit: a tree of files with the signatures of their definitions, or where not
    even one fits "". `outline`: enclosing classes are named, too."""
    chars_max = int(tokens_max * CHARS_PER_TOKEN)
    known: dict[str, Sequence[Symbol]] = {}

    def text_of(count: int) -> str:
        wanted: dict[str, set[str]] = {}
        for one in ranked[:count]:
            wanted.setdefault(one.path, set()).add(one.name)
            if one.path not in known:
                known[one.path] = symbols_in(one.path)
        trees = (_file_tree(path, known[path], names, outline) for path, names in sorted(wanted.items()))
        return "\n".join(tree for tree in trees if tree)

    low, high = 0, min(len(ranked), SYMBOLS_MAX, chars_max // 8)
    best = ""
    while low < high:
        middle = (low + high + 1) // 2
        text = text_of(middle)
        if len(text) <= chars_max:
            low, best = middle, text
        else:
            high = middle - 1
    return best


def _file_tree(path: str, symbols: Sequence[Symbol], names: Collection[str], outline: bool) -> str:
    lines: dict[tuple[int, str, str], str] = {}
    containers = {f"{s.container}.{s.name}" if s.container else s.name: s for s in reversed(symbols)}
    for symbol in symbols:
        around = symbol.container.split(".") if symbol.container else []
        paths = [".".join(around[: depth + 1]) for depth in range(len(around))]
        # What is defined inside a function is nobody else's.
        if symbol.name not in names or any(p in containers and containers[p].kind in FUNCTIONS for p in paths):
            continue
        around = around if outline else []
        for depth in range(len(around)):
            if outer := containers.get(paths[depth]):
                lines[outer.start, outer.container, outer.name] = _line(outer, depth)
        lines[symbol.start, symbol.container, symbol.name] = _line(symbol, len(around))
    return "\n".join([f"{path}:", *(line for _, line in sorted(lines.items()))]) if lines else ""


def _line(symbol: Symbol, depth: int) -> str:
    signature = symbol.signature or symbol.name
    if len(signature) > SIGNATURE_CHARS_MAX:
        signature = signature[: SIGNATURE_CHARS_MAX - 1] + "…"
    return "  " * (depth + 1) + signature


def _name_weight(name: str) -> float:
    weight = 1.0
    bare = name.strip("_")
    words = "_" in bare or "-" in bare or (any(map(str.isupper, bare[1:])) and any(map(str.islower, bare)))
    if words and len(bare) >= TELLING_CHARS_MIN:
        weight *= TELLING
    if name.startswith("_"):
        weight *= PRIVATE
    return weight


def _words_of(path: str) -> frozenset[str]:
    """A path, its last part, that without its ending, and its folders: what one may mention of it."""
    folders, _, name = path.rpartition("/")
    return frozenset((path, name, name.partition(".")[0], folders))


def _sums(index: Ints, weights: Floats, size: int) -> Floats:
    """The sum of the weights for each index below `size`."""
    return np.bincount(index, weights, minlength=size).astype(np.float64, copy=False)


def _page_rank(source: Ints, target: Ints, weights: Floats, out: Floats, starts: Floats) -> Floats:
    """Each file's share of the votes. What a file without votes to give has goes back to where the walk begins."""
    size = len(starts)
    share = weights / out[source]
    silent = out <= 0
    rank = starts
    for _ in range(ITERATIONS_MAX):
        moved = _sums(target, share * rank[source], size)
        new = (1.0 - DAMPING) * starts + DAMPING * (moved + float(rank[silent].sum()) * starts)
        change = float(np.abs(new - rank).sum())
        rank = new
        if change < TOLERANCE:
            break
    return rank
