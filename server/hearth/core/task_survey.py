"""A project's texts as tables: who defines what, who uses it, who imports whom; as it is, or with a task's changes.

The same facts that the index keeps (`core.analysis`), made of texts at hand, so that they hold for changes that are
nowhere on the disk. What is analysed is remembered by its text: a second survey costs what changed.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from math import log
from typing import Any, cast

from hearth.core.analysis import analysed
from hearth.core.facts import Facts, Symbol
from hearth.core.grammars import language_of
from hearth.core.impact import Occurrence, References, name_key, occurrences, reached
from hearth.core.resolver import Resolver
from hearth.core.terms import document_vector, number_of, question_query, standing

REMEMBERED_MAX = 20_000
HITS_MAX = 20
HIT_LINES_MAX = 40
WORDS_MAX = 40
TELLING_CHARS_MIN = 6
PROSE = frozenset(("markdown", "plaintext", "html"))
DATA = frozenset(("json", "jsonc", "yaml", "toml"))

_WORD = re.compile(r"[^\W\d][\w$]{2,60}(?:-[\w$]{1,40}){0,4}")
_KEY = re.compile(r"[\"']([^\W\d][\w$-]{2,60})[\"']")
_IDENTIFIER = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_QUOTED = re.compile(r"`([^`\n]{2,80})`|\"([\w./-]{2,80})\"|'([\w./-]{2,80})'")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.\w{1,8}")
_TEST = re.compile(
    r"(?:^|/)(?:tests?|__tests__|specs?|testing)/|(?:^|/)test_[^/]*$|_test\.\w+$|\.(?:test|spec)\.\w+$|(?:^|/)conftest\.py$"
    r"|(?:^|/)[^/]*Tests?\.(?:java|kt|cs)$"
)


Piece = tuple[str, int, int, str, dict[int, float]]
"""A stretch of a file: path, first line, last + 1, text, and its terms with their weights."""


@dataclass(slots=True)
class Memory:
    """What was analysed before, by path and text."""

    facts: dict[tuple[str, int], Facts] = field(default_factory=dict[tuple[str, int], Facts])
    pieces: dict[tuple[str, int], "list[Piece]"] = field(default_factory=dict[tuple[str, int], "list[Piece]"])


@dataclass(frozen=True, slots=True)
class Hit:
    """Lines `start` to `end` (0-based, exclusive) of a file."""

    path: str
    start: int
    end: int
    text: str
    score: float


def is_test(path: str) -> bool:
    """Whether a file holds tests, by its name."""
    return _TEST.search(path) is not None


def words_in(text: str) -> list[str]:
    """Its words of three letters and more; of what is joined by hyphens the whole and its parts."""
    found: list[str] = []
    for word in _WORD.findall(text):
        found.append(word)
        if "-" in word:
            found += word.split("-")
    return found


def telling(name: str) -> bool:
    """Whether a name says by itself that it is one: several words joined, or long with a digit or underscore in it."""
    bare = name.rpartition(".")[2].strip("_")
    joined = "_" in bare or "-" in bare or (any(map(str.isupper, bare[1:])) and any(map(str.islower, bare)))
    return len(bare) >= TELLING_CHARS_MIN and joined


def names_in(goal: str) -> tuple[str, ...]:
    """What in a goal looks like the name of something: in quotes, with a dot or an underscore, or in camel case."""
    found: dict[str, None] = {}
    for match in _QUOTED.finditer(goal):
        text = next(part for part in match.groups() if part).removesuffix("()")
        if _IDENTIFIER.fullmatch(text):
            found[text] = None
    for match in _IDENTIFIER.finditer(goal):
        if telling(match[0]) or ("." in match[0] and not _PATH.fullmatch(match[0])):
            found[match[0]] = None
    return tuple(found)[:WORDS_MAX]


def paths_in(goal: str, known: Iterable[str]) -> tuple[str, ...]:
    """The project's files that a goal names, whole or by their last part where that is one file's alone."""
    paths = list(known)
    found: dict[str, None] = {}
    for match in _PATH.finditer(goal):
        fitting = [path for path in paths if path == match[0] or path.endswith(f"/{match[0]}")]
        if len(fitting) == 1:
            found[fitting[0]] = None
    return tuple(found)


class Survey:
    """The tables of one state of a project. `texts`: path (relative, with "/") to text. Made at their first use."""

    def __init__(self, texts: Mapping[str, str], memory: Memory | None = None) -> None:
        self.texts = texts
        self._memory = memory or Memory()

    def facts(self, path: str) -> Facts:
        """What is known of a file; nothing of one that is not there."""
        text = self.texts.get(path)
        if text is None:
            return Facts()
        key = (path, hash(text))
        known = self._memory.facts.get(key)
        if known is None:
            if len(self._memory.facts) >= REMEMBERED_MAX:
                self._memory.facts.clear()
                self._memory.pieces.clear()
            known = self._memory.facts[key] = analysed(language_of(path), text)
        return known

    def symbols(self, path: str) -> tuple[Symbol, ...]:
        """The definitions in a file."""
        return self.facts(path).symbols

    @cached_property
    def resolver(self) -> Resolver:
        return Resolver(self.texts)

    @cached_property
    def imports(self) -> dict[str, tuple[str, ...]]:
        """For each file that imports any of the project: those files."""
        found = ((path, self.resolver.files(path, self.facts(path).imports)) for path in self.texts)
        return {path: targets for path, targets in found if targets}

    @cached_property
    def _defined(self) -> dict[str, list[tuple[str, Symbol]]]:
        found: dict[str, list[tuple[str, Symbol]]] = {}
        for path in sorted(self.texts):
            if language_of(path) in PROSE:
                continue
            for symbol in self.facts(path).symbols:
                found.setdefault(symbol.name, []).append((path, symbol))
        return found

    def definitions(self, name: str) -> list[tuple[str, Symbol]]:
        """Where a name is defined, also as Class.method."""
        container, _, last = name.rpartition(".")
        return [
            (path, symbol)
            for path, symbol in self._defined.get(last, ())
            if not container or f".{symbol.container}".endswith(f".{container}")
        ]

    def users(self, name: str) -> list[tuple[str, int]]:
        """(path, how often) of the files whose code uses a name."""
        last = name.rpartition(".")[2]
        found = ((path, self.facts(path).references.get(last, 0)) for path in sorted(self.texts))
        return [(path, count) for path, count in found if count]

    def occurrences(self, name: str, paths: Iterable[str] | None = None, limit: int = 200) -> list[Occurrence]:
        """The places of a word, in any kind of text."""
        chosen = sorted(self.texts if paths is None else (path for path in paths if path in self.texts))
        return occurrences(name.rpartition(".")[2], ((path, self.texts[path]) for path in chosen), limit)

    def sees(self, path: str) -> frozenset[str]:
        """The files whose definitions a file can see by its imports."""
        return reached(self.imports, path)

    def map(self, tokens: int, *, conversation: Sequence[str] = (), mentioned: Sequence[str] = ()) -> str:
        """The repository map; of a project in which nobody uses anybody, the outlines of its files."""
        repomap: Any = import_module("hearth.core.repomap")
        table = [(path, [(one.name, one.kind) for one in self.facts(path).symbols]) for path in sorted(self.texts)]
        references = [_references(path, self.facts(path).references) for path in sorted(self.texts)]
        graph = repomap.Graph(table, references, self.imports)
        ranked = graph.ranked(conversation=conversation, mentioned=mentioned)
        text = cast(str, repomap.repository_map(ranked, self.symbols, tokens))
        if text:
            return text
        shown = [
            repomap.Ranked(path, one.name, 1.0)
            for path in sorted(self.texts)
            for one in self.facts(path).symbols
            if not one.container and one.kind not in ("heading", "key", "selector")
        ]
        return cast(str, repomap.repository_map(shown, self.symbols, tokens))

    @cached_property
    def words(self) -> Counter[str]:
        """How often each word stands in the project."""
        found: Counter[str] = Counter()
        for text in self.texts.values():
            found.update(words_in(text))
        return found

    @cached_property
    def code_names(self) -> frozenset[str]:
        """The names in what is no prose: those of code with texts of one word, all words of data."""
        found: set[str] = set()
        for path, text in self.texts.items():
            facts = self.facts(path)
            if language_of(path) in PROSE:
                continue
            found.update(facts.references)
            found.update(symbol.name for symbol in facts.symbols)
            found.update(_KEY.findall(text))
            if not facts.references:
                found.update(words_in(text))
        return frozenset(found)

    @cached_property
    def _chunks(self) -> list[Piece]:
        return [piece for path in sorted(self.texts) for piece in self._pieces(path)]

    def _pieces(self, path: str) -> list[Piece]:
        key = (path, hash(self.texts[path]))
        known = self._memory.pieces.get(key)
        if known is None:
            found: list[Piece] = []
            for chunk in self.facts(path).chunks:
                vector = document_vector(chunk.text, path, chunk.symbol)
                terms = dict(zip(vector.indices, vector.values, strict=True))
                found.append((path, chunk.start, chunk.end, chunk.text, terms))
            known = self._memory.pieces[key] = found
        return known

    @cached_property
    def _spread(self) -> Counter[int]:
        return Counter(term for chunk in self._chunks for term in chunk[4])

    def search(self, query: str, limit: int = HITS_MAX) -> list[Hit]:
        """Pieces that answer a question or hold words, best first."""
        total = len(self._chunks)
        weights = {number_of(term): weight for term, weight in question_query(query).items()}
        rarity = {n: log(1 + (total - self._spread[n] + 0.5) / (self._spread[n] + 0.5)) for n in weights}
        hits: list[Hit] = []
        for path, start, end, text, vector in self._chunks:
            score = sum(weights[n] * rarity[n] * vector[n] for n in weights if n in vector)
            if score > 0:
                hits.append(Hit(path, start, end, text, round(score * standing(path, query), 6)))
        hits.sort(key=lambda hit: (-hit.score, hit.path, hit.start))
        return hits[: min(limit, HITS_MAX)]


def _references(path: str, references: Mapping[str, int]) -> References:
    """As the index keeps them: sorted keys, and counts."""
    keyed = sorted((name_key(name), count) for name, count in references.items())
    merged = dict(keyed)
    return (
        path,
        array("I", list(merged)),
        array("H", [min(65_535, count) for count in merged.values()]),
    )
