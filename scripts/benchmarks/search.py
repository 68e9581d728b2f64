"""Search by natural questions: is the function that answers among the first ten results?"""

import ast
import io
import random
import re
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from copying import fetch

from hearth.core.analysis import analysed
from hearth.core.chunks import names_in
from hearth.core.facts import Chunk, Sparse
from hearth.core.grammars import grammar_for, language_of, parser
from hearth.core.terms import (
    QUESTION_WORDS,
    STOP_WORDS,
    document_vector,
    number_of,
    query_vector,
    question_query,
    split,
    standing,
    stem,
)
from hearth.index.points import EdgePoints, Point

SEED = 20_26
QUESTIONS_MAX = 300
"""Per package, drawn by the seed."""
CONTENT_WORDS_MIN = 4
CANDIDATES = 50
RESULTS = 10
TRAINING = (
    ("pip", "celery==5.7.0"), ("pip", "tornado==6.6.1"), ("pip", "aiohttp==3.14.5"), ("pip", "werkzeug==3.1.9"),
    ("pip", "jinja2==3.1.6"), ("pip", "click==8.5.1"), ("npm", "eslint@9.39.2"),
)  # fmt: skip
HELD_OUT = (
    ("pip", "django==5.2.19"), ("pip", "sqlalchemy==2.1.9"), ("pip", "scrapy==2.19.0"), ("pip", "sphinx==9.0.4"),
    ("pip", "pytest==9.2.0"), ("npm", "rxjs@7.8.2"),
)  # fmt: skip
FILE_BYTES_MAX = 400_000
MEAN_LINE_CHARS_MAX = 200

CODE = (".py", ".pyi", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".c", ".h", ".cpp")
PROSE = (
    ".txt",
    ".rst",
    ".md",
    ".html",
    ".css",
    ".json",
    ".yaml",
    ".yml",
    ".toml",
    ".cfg",
    ".ini",
    ".po",
    ".sh",
    ".xml",
)
ANY = CODE + PROSE
_WORD = re.compile(r"\w+")
_ROLE = re.compile(r"(?::[\w:.]+:`|\{@\w+ )[~!.]*([^`}]*)[`}]")
"""Links to other parts of the documentation: only their text is kept."""
_TEST = re.compile(
    r"(^|/)(t|tests?|testing|__tests__|spec|examples?|docs?|benchmarks?)(/|\.)|(^|/)(test_|conftest)|_test\."
)
_USELESS = re.compile(
    r"^(like|same as|alias|see|helper|override)\b|deprecat|\breturns? self\b|\binternal use\b|\bsee\b"
    r"|not implemented|\btodo\b|\bhook\b$",
    re.IGNORECASE,
)
_FIRST = re.compile(r"(.+?[.!?])(?:\s|$)|(.+?)(?:\n\s*\n|$)", re.S)


@dataclass(frozen=True)
class Question:
    """A sentence, and the rows of the function it was written for."""

    text: str
    path: str
    start: int
    end: int
    name: str


@dataclass(frozen=True)
class Piece:
    """One chunk, with the names of what is defined in it."""

    path: str
    chunk: Chunk
    names: tuple[str, ...]


@dataclass
class Package:
    """The files of one, without docstrings of functions, and what is asked of them. `found`, `kept`: before drawing."""

    name: str
    files: dict[str, str] = field(default_factory=dict[str, str])
    questions: list[Question] = field(default_factory=list[Question])
    found: int = 0
    kept: int = 0


def first_sentence(doc: str) -> str:
    """What a docstring says first, without markup."""
    body = _ROLE.sub(r"\1", doc.strip().split("\n@")[0]).replace("``", "").replace("`", "")
    match = _FIRST.match(body)
    return " ".join((match.group(1) or match.group(2) if match else body).split())


def without_python_docs(text: str, path: str, out: list[Question]) -> str:
    """The text with every function's docstring blanked; the first sentences go to `out`."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    lines = text.split("\n")
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
            continue
        if not isinstance(first.value.value, str) or first.lineno == node.lineno:
            continue
        start = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
        last = first.end_lineno or first.lineno
        for row in range(first.lineno - 1, last):
            lines[row] = ""
        if len(node.body) == 1:
            lines[first.lineno - 1] = " " * first.col_offset + "pass"
            continue  # Nothing is left that could answer.
        out.append(Question(first_sentence(first.value.value), path, start, node.end_lineno or last, node.name))
    return "\n".join(lines)


_FUNCTIONS = ("function_declaration", "generator_function_declaration", "method_definition", "function_signature")


def without_jsdoc(text: str, path: str, out: list[Question]) -> str:
    """The same for `/** ... */` above functions and methods."""
    found = parser(*(grammar_for(language_of(path)) or ("", "")))
    if not found or "/**" not in text:
        return text
    source = text.encode()
    lines = text.split("\n")
    nodes = [found.parse(source).root_node]
    while nodes:
        node = nodes.pop()
        children = node.named_children
        nodes.extend(children)
        for comment, target in pairwise(children):
            if comment.type != "comment" or source[comment.start_byte : comment.start_byte + 3] != b"/**":
                continue
            inner = target
            if target.type == "export_statement" and target.named_children:
                inner = target.named_children[-1]
            arrow = inner.type == "lexical_declaration" and b"=>" in source[inner.start_byte : inner.end_byte]
            if inner.type not in _FUNCTIONS and not arrow:
                continue
            if target.start_point.row > comment.end_point.row + 1:
                continue
            for row in range(comment.start_point.row, comment.end_point.row + 1):
                lines[row] = ""
            body = source[comment.start_byte + 3 : comment.end_byte - 2].decode()
            body = "\n".join(re.sub(r"^\s*\*? ?", "", line) for line in body.split("\n")).strip()
            name = inner.child_by_field_name("name") or (inner.named_children[0].child_by_field_name("name"))
            if body and not body.startswith("@") and name:
                said = source[name.start_byte : name.end_byte].decode()
                out.append(Question(first_sentence(body), path, target.start_point.row, target.end_point.row + 1, said))
    return "\n".join(lines)


def useful(question: Question) -> bool:
    """Whether somebody could ask this, and only this function answers."""
    text = question.text
    if _USELESS.search(text) or _TEST.search(question.path):
        return False
    if len(question.name.strip("_").split("_")) > 1 and question.name in text:
        return False  # It says the answer's name.
    content = {w for w in re.findall(r"[A-Za-z]+", text) if question_query(w)}
    return len(content) >= CONTENT_WORDS_MIN


def load(name: str, archive: Path, endings: tuple[str, ...] = CODE) -> Package:
    """The files of an archive and their questions; nothing is written to disk or run."""
    package = Package(name)
    found: list[Question] = []
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            path = member.name.partition("/")[2]
            if not member.isfile() or member.size > FILE_BYTES_MAX or not path.endswith(endings):
                continue
            if ".min." in path or "/vendor" in path or (path.startswith("dist/")):
                continue
            stream = tar.extractfile(member)
            try:
                text = io.TextIOWrapper(stream, "utf-8").read() if stream else ""
            except UnicodeDecodeError:
                continue
            if len(text) > MEAN_LINE_CHARS_MAX * (text.count("\n") + 1):
                continue
            if path.endswith((".py", ".pyi")):
                text = without_python_docs(text, path, found)
            elif path.endswith((".js", ".mjs", ".cjs", ".ts", ".tsx", ".mts")):
                text = without_jsdoc(text, path, found)
            package.files[path] = text
    said: dict[str, int] = {}
    for question in found:
        said[question.text.lower()] = said.get(question.text.lower(), 0) + 1
    kept = [q for q in found if said[q.text.lower()] == 1 and useful(q)]
    package.found, package.kept = len(found), len(kept)
    package.questions = sorted(
        random.Random(f"{SEED} {name}").sample(kept, min(QUESTIONS_MAX, len(kept))), key=lambda q: (q.path, q.start)
    )
    return package


def facts(package: Package) -> list[Piece]:
    """The chunks of a package as the index has them."""
    result: list[Piece] = []
    for path, text in package.files.items():
        found = analysed(language_of(path), text)
        names = names_in(found.chunks, found.symbols)
        result.extend(Piece(path, chunk, said) for chunk, said in zip(found.chunks, names, strict=True))
    return result


def plain(word: str) -> list[str]:
    """Terms of a word for comparison: the word."""
    return [] if word.lower() in STOP_WORDS else [word.lower()]


def parted(word: str) -> list[str]:
    """Its parts and the whole, no stemming."""
    parts = split(word)
    said = [part for part in parts if len(part) > 1 and part not in STOP_WORDS]
    return said if len(parts) < 2 else [*said, "".join(parts)]


def stemmed(word: str) -> list[str]:
    """The same, stemmed."""
    parts = split(word)
    said = [stem(part) for part in parts if len(part) > 1 and part not in STOP_WORDS]
    return said if len(parts) < 2 else [*said, "".join(map(stem, parts))]


def vector(words: Iterable[str], mean: float) -> Sparse:
    """BM25 with the usual k1 and b, of text alone."""
    counts = Counter(map(number_of, words))
    damping = 1.2 * (0.25 + 0.75 * counts.total() / mean)
    return Sparse(tuple(sorted(counts)), tuple(2.2 * counts[i] / (counts[i] + damping) for i in sorted(counts)))


@dataclass(frozen=True)
class Way:
    """A way to search: how pieces and questions become vectors, and what comes after."""

    name: str
    document: Callable[[Piece], Sparse]
    query: Callable[[str], Sparse]
    standing: bool = False
    per_file: int = 0


def simple(name: str, terms_of_word: Callable[[str], list[str]], mean: float) -> Way:
    def words(text: str) -> list[str]:
        return [term for word in _WORD.findall(text) for term in terms_of_word(word)]

    def query(text: str) -> Sparse:
        kept = " ".join(word for word in _WORD.findall(text) if word.lower() not in QUESTION_WORDS)
        return query_vector(Counter(words(kept)))

    return Way(name, lambda piece: vector(words(piece.chunk.text), mean), query)


def asked(text: str) -> Sparse:
    return query_vector(question_query(text))


def bare(piece: Piece) -> Sparse:
    return document_vector(piece.chunk.text, "")


def placed(piece: Piece) -> Sparse:
    return document_vector(piece.chunk.text, piece.path, piece.chunk.symbol)


def whole(piece: Piece) -> Sparse:
    return document_vector(piece.chunk.text, piece.path, piece.chunk.symbol, piece.names)


WAYS = (
    simple("words as written", plain, 75),
    simple("identifiers split", parted, 105),
    simple("split, stemmed", stemmed, 105),
    Way("split, stemmed, abbreviations, k1 2.5", bare, asked),
    Way("... and path, enclosing definition", placed, asked),
    Way("... and names of what is defined", whole, asked),
    Way("... and tests stand back (= the product)", whole, asked, standing=True),
    Way("the product, but 3 results a file at most", whole, asked, standing=True, per_file=3),
)
PRODUCT = 6


def ranks(way: Way, package: Package, pieces: list[Piece], folder: Path) -> tuple[list[int], list[float]]:
    """For each question the place of the first result in the function, 0 if it is not among the first; seconds."""
    points = EdgePoints(folder)
    points.put(Point(uid, way.document(piece)) for uid, piece in enumerate(pieces))
    result: list[int] = []
    times: list[float] = []
    for question in package.questions:
        begun = time.perf_counter()
        hits = points.search(way.query(question.text), CANDIDATES)
        if way.standing:
            hits.sort(key=lambda hit: -hit[1] * standing(pieces[hit[0]].path, question.text))
        times.append(time.perf_counter() - begun)
        taken: Counter[str] = Counter()
        place = 0
        rank = 0
        for uid, _ in hits:
            piece = pieces[uid]
            taken[piece.path] += 1
            if way.per_file and taken[piece.path] > way.per_file:
                continue
            place += 1
            if place > RESULTS:
                break
            if piece.path == question.path and piece.chunk.start < question.end and piece.chunk.end > question.start:
                rank = place
                break
        result.append(rank)
    points.close()
    return result, times


@dataclass
class Outcome:
    """What was found of one package, by way."""

    package: Package
    pieces: int
    ranks: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    times: list[float] = field(default_factory=list[float])


def searched(kind: str, spec: str, ways: Iterable[Way] = WAYS, endings: tuple[str, ...] = CODE) -> Outcome:
    """Load, index and ask."""
    package = load(spec.replace("@", "==").split("==")[0], fetch(kind, spec), endings)
    pieces = facts(package)
    outcome = Outcome(package, len(pieces))
    for way in ways:
        with tempfile.TemporaryDirectory() as folder:
            outcome.ranks[way.name], times = ranks(way, package, pieces, Path(folder) / "points")
            outcome.times.extend(times)
    return outcome


def mrr(found: list[int]) -> float:
    return sum(1 / rank for rank in found if rank) / max(1, len(found))


def recall(found: list[int]) -> float:
    return sum(1 for rank in found if rank) / max(1, len(found))


_outcomes: list[Outcome] = []


def outcomes() -> list[Outcome]:
    """The held-out packages, once a process."""
    if not _outcomes:
        _outcomes.extend(searched(kind, spec) for kind, spec in HELD_OUT)
    return _outcomes


def together(found: list[Outcome], way: str) -> list[int]:
    return [rank for outcome in found for rank in outcome.ranks[way]]


def rows() -> list[tuple[str, str, str]]:
    """(figure, must reach, measured)."""
    found = outcomes()
    result: list[tuple[str, str, str]] = []
    for index, way in enumerate(WAYS):
        every = together(found, way.name)
        goal = "R@10 >= 0.60" if index == PRODUCT else ""
        result.append((f"MRR / R@10: {way.name}", goal, f"{mrr(every):.3f} / {recall(every):.3f}"))
    for outcome in found:
        every = outcome.ranks[WAYS[PRODUCT].name]
        text = f"{mrr(every):.3f} / {recall(every):.3f} ({len(every)} questions, {outcome.pieces:,} chunks)"
        result.append((f"the product, {outcome.package.name}", "", text))
    times = sorted(seconds for outcome in found for seconds in outcome.times)
    text = f"{times[len(times) // 2] * 1e3:.1f} / {times[int(len(times) * 0.95)] * 1e3:.1f} ms"
    result.append(("one search, p50 / p95", "", text))
    return result


def notes() -> str:
    """Markdown below the table."""
    found = outcomes()
    kept = "; ".join(f"{o.package.name} {len(o.package.questions)} of {o.package.kept}" for o in found)
    raw = sum(outcome.package.found for outcome in found)
    everything = [searched(kind, spec, WAYS[PRODUCT : PRODUCT + 1], ANY) for kind, spec in HELD_OUT]
    prose = together(everything, WAYS[PRODUCT].name)
    seen = [searched(kind, spec, WAYS[PRODUCT : PRODUCT + 1]) for kind, spec in TRAINING]
    tuned = together(seen, WAYS[PRODUCT].name)
    names = ", ".join(outcome.package.name for outcome in seen)
    chunks, more = (sum(outcome.pieces for outcome in some) for some in (found, everything))
    return "\n\n".join(
        (
            "Questions are first sentences of functions' docstrings (JSDoc in JavaScript and TypeScript), with all "
            "docstrings of functions taken out of what is indexed; classes' and modules' docstrings and comments stay. "
            "Candidates are all chunks of the package's code, its tests included; a result counts if it shares a line "
            f"with the function. Of {raw:,} sentences these were useful, and asked: {kept}. "
            "These packages took no part in choosing weights.",
            "Left out: sentences said of several functions, with fewer than "
            f"{CONTENT_WORDS_MIN} words of content, with the function's own several-word name in them, that only refer "
            "to other functions, on deprecation or returning self, and functions in tests and documentation. "
            f"At most {QUESTIONS_MAX} a package, drawn by a seed.",
            "With the packages' other texts as candidates too (documentation, translations, data, change logs: "
            f"{more:,} chunks instead of {chunks:,}): {mrr(prose):.3f} / {recall(prose):.3f}. Packages that "
            f"all weights were chosen on ({names}): {mrr(tuned):.3f} / {recall(tuned):.3f}.",
            "That tests stand back helps here because no question means a test; without it the row above holds. "
            "Few results of a file make it worse: what answers is often beside what is like it.",
        )
    )


def main() -> None:
    print("| figure | must reach | measured |\n|---|---|---|")
    for row in rows():
        print("| " + " | ".join(row) + " |")
    print("\n" + notes())


if __name__ == "__main__":
    main()
