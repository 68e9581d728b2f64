"""Identifier coverage: how many of the names that come next the context at hand holds, in real packages.

    .venv/bin/python scripts/benchmarks/coverage.py [--tuning] [--packages A,B] [--positions N] [--fit]

Source archives come by name from the package registries into .cache/bench/. A position is a line of a source file, at
its start (after the indentation) or inside (after a `.`, `(` or `=`), drawn by a seed. As in an editor, the text above
and below stays and the rest of the line is gone; nothing of the file itself is in the context.

A *cross-file name* is an identifier of three or more characters in the rest of the line, outside strings and comments,
that is no keyword, no builtin and no method of a builtin type, that another file of the package defines (a function,
method, class, type, or something at its top level), and that this file does not define or bind itself, except by
importing it from a file of the package. Left out: import statements, and files of which most occurs in another file.

M1 = of the cross-file names that the text above does not hold, the share that the context holds.
     `strict`: of those among them that occur nowhere else in the file, not below the cursor either.
M2 = of all cross-file names, the share whose definition the context holds: a line of it begins as one of the
     definitions in another file does.

Positions for M1 are drawn from those with a new name, for M2 from all with a cross-file name. Shares are of names, all
packages together. Python's definitions are taken with `ast`, which is no part of the product, TypeScript's from its
tree. The index is the product's own, on disk.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from coverage_truth import POSITIONS_PER_PACKAGE, WORD, Package, Position, Score

from hearth.core import retrieval
from hearth.core.facts import Symbol
from hearth.core.outline import TYPES, Group
from hearth.core.remembering import Remembering
from hearth.core.sight import Sight, names_in, sight_at
from hearth.core.terms import completion_query
from hearth.index.project import ProjectIndex, open_project
from hearth.index.reading import Job, read

OPEN_FILES = 20
WINDOWS_KEPT_MAX = 1_000
WINDOW_LINES = 20
WINDOW_STEP = 10
REGION_LINES = 60
OUTLINE_CHARS_MAX = 700
HITS = 30
BATCH_FILES = 64
BUDGETS = (2_000, 7_000)
TUNING = (
    ("pip", "requests==2.34.2"), ("pip", "click==8.5.1"), ("pip", "httpx==0.28.1"), ("pip", "jinja2==3.1.6"),
    ("pip", "werkzeug==3.1.9"), ("pip", "celery==5.7.0"), ("pip", "aiohttp==3.14.5"), ("npm", "zod@4.6.7"),
)  # fmt: skip
HELD_OUT = (
    ("pip", "django==5.2.19"), ("pip", "scrapy==2.19.0"), ("pip", "sqlalchemy==2.1.9"), ("pip", "sphinx==9.0.4"),
    ("pip", "pytest==9.2.0"), ("pip", "rich==15.0.0"), ("npm", "rxjs@7.8.2"),
)  # fmt: skip

# Providers: what the tools do, each alone


@dataclass
class Case:
    """A position in a package, ready to be asked about."""

    package: Package
    project: ProjectIndex
    known: Remembering
    position: Position
    sight: Sight

    @property
    def query(self) -> dict[str, float]:
        return completion_query(self.sight.above, self.sight.line_before, self.sight.below)


def nothing(case: Case, budget: int) -> str:
    return ""


def joined(parts: Sequence[tuple[str, str]], budget: int) -> str:
    """Paths and texts, cut off at the budget."""
    found, size = [], 0
    for path, text in parts:
        found.append(f"{path}\n{text}")
        size += len(path) + len(text)
        if size >= budget:
            break
    return "\n".join(found)[:budget]


def jaccard(case: Case, budget: int) -> str:
    """The windows of some open files (imported ones, then neighbours) that have most words in common with the lines
    above the cursor."""
    here, package = case.position.path, case.package
    opened: dict[str, None] = {}
    for one in case.sight.imports:
        opened.update(dict.fromkeys(case.project.resolve(case.sight.language, one.module, here)))
    folder = here.rpartition("/")[0]
    opened.update(dict.fromkeys(sorted(path for path in package.sources if path.rpartition("/")[0] == folder)))
    opened.pop(here, None)
    lines = package.sources[here].lines
    region = set(WORD.findall("\n".join(lines[max(0, case.position.line - REGION_LINES) : case.position.line])))
    found: list[tuple[float, str, str]] = []
    for path in [path for path in opened if path in package.sources][:OPEN_FILES]:
        for words, text in windows(package.sources[path].text):
            found.append((len(words & region) / max(1, len(words | region)), path, text))
    found.sort(key=lambda one: -one[0])
    return joined([(path, text) for _, path, text in found[:HITS]], budget)


@lru_cache(maxsize=WINDOWS_KEPT_MAX)
def windows(text: str) -> list[tuple[frozenset[str], str]]:
    """The windows of a file, with the words of each."""
    lines = text.split("\n")
    starts = range(0, max(1, len(lines) - WINDOW_STEP), WINDOW_STEP)
    cut = ["\n".join(lines[first : first + WINDOW_LINES]) for first in starts]
    return [(frozenset(WORD.findall(one)), one) for one in cut]


def words_alone(case: Case, budget: int) -> str:
    hits = case.project.search(case.query, HITS, case.position.path)
    return joined([(hit.path, hit.text) for hit in hits], budget)


def imports_alone(case: Case, budget: int) -> str:
    """Outlines of what the document imports, those in sight first."""
    uses = names_in(case.sight).uses
    names = [(one.module, name, here) for one in case.sight.imports for name, here in one.names]
    names.sort(key=lambda one: -uses[one[2]].recency if one[2] in uses else 0.0)
    parts: list[tuple[str, str]] = []
    for module, name, _ in names:
        for path in case.project.resolve(case.sight.language, module, case.position.path):
            if path != case.position.path:
                symbols = case.project.symbols_in(path)
                parts += [
                    (path, outline(path, one, symbols)) for one in symbols if one.name == name and not one.container
                ]
    return joined(parts, budget)


def outline(path: str, head: Symbol, symbols: Sequence[Symbol]) -> str:
    group = Group()
    group.add(path, head)
    for one in symbols if head.kind in TYPES else ():
        if one.container == head.name and group.size < OUTLINE_CHARS_MAX:
            group.add(path, one)
    return group.text()


def mix(case: Case, budget: int) -> str:
    found = retrieval.context(case.sight, case.known, case.query, budget)
    size = sum(len(one.path) + len(one.text) for one in found)
    assert size <= budget, (size, budget)
    return "\n".join(f"{one.path}\n{one.text}" for one in found)


PROVIDERS: dict[str, Callable[[Case, int], str]] = {
    "none": nothing,
    "open files, Jaccard windows": jaccard,
    "BM25 alone": words_alone,
    "imports alone": imports_alone,
    "Hearth": mix,
}


# The run


def indexed(package: Package, folder: Path) -> ProjectIndex:
    """The product's own index of a package."""
    project = open_project(folder / "home")
    jobs: list[Job] = []
    for path, source in package.sources.items():
        file = folder / "files" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source.text, encoding="utf-8")
        jobs.append(Job(path, file, None, frozenset()))
    for first in range(0, len(jobs), BATCH_FILES):
        project.take([read(job) for job in jobs[first : first + BATCH_FILES]])
    return project


Scores = dict[tuple[str, str, int, bool], Score]
"""By package ("" for all), provider, budget, and whether inside a line."""


def measured(packages: Sequence[tuple[str, str]], count: int, providers: Sequence[str]) -> Scores:
    scores: Scores = defaultdict(Score)
    for kind, spec in packages:
        package = Package(kind, spec)
        with tempfile.TemporaryDirectory() as folder:
            project = indexed(package, Path(folder))
            for inside in (False, True):
                for new in (True, False):
                    for position in package.positions(inside, new, count):
                        _ask(scores, package, project, position, new, inside, providers)
            project.close()
        print(f"{package.name}: {len(package.sources)} files", file=sys.stderr)
    return scores


def sight_of(package: Package, project: ProjectIndex, position: Position) -> Sight:
    """What an editor would show with the rest of the line not written yet."""
    source = package.sources[position.path]
    lines = [*source.lines]
    lines[position.line] = lines[position.line][: position.column]
    imports = project.imports_in(position.path)
    return sight_at(position.path, source.language, lines, position.line, position.column, imports)


def _ask(
    scores: Scores,
    package: Package,
    project: ProjectIndex,
    position: Position,
    new: bool,
    inside: bool,
    providers: Sequence[str],
) -> None:
    sight = sight_of(package, project, position)
    none: frozenset[str] = frozenset()
    counted = replace(position, names=none) if new else replace(position, new=none, only=none)
    known = Remembering(project)
    case = Case(package, project, known, position, sight)
    for name in providers:
        for budget in BUDGETS:
            known.forget()
            began = time.thread_time()
            context = PROVIDERS[name](case, budget)
            seconds = time.thread_time() - began
            if name == "Hearth":
                began = time.thread_time()
                PROVIDERS[name](case, budget)
                again = time.thread_time() - began
                scores["", name, budget, inside].again.append(again)
            scores[package.name, name, budget, inside].add(package, counted, context, seconds)
            scores["", name, budget, inside].add(package, counted, context, seconds)


def fit() -> str:
    """The weights of `core.retrieval` as Python source: Newton's method on the logistic loss with an L2 penalty, on the
    names in sight at positions of the tuning packages."""
    import numpy as np

    values: list[tuple[float, ...]] = []
    right: list[bool] = []
    for kind, spec in TUNING:
        package = Package(kind, spec)
        with tempfile.TemporaryDirectory() as folder:
            project = indexed(package, Path(folder))
            for position in (one for inside in (False, True) for one in package.positions(inside, False)):
                for name, found in retrieval.evidence(sight_of(package, project, position), project):
                    values.append(found)
                    right.append(name in position.names)
            project.close()
    x, y = np.array(values, float), np.array(right, float)
    w = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        w -= np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 3 * np.eye(len(w)), x.T @ (p - y) + 3 * w)
    return "\n".join(f'    "{name}": {weight:.2f},' for name, weight in zip(retrieval.WEIGHTS, w, strict=True))


def percentile_ms(seconds: Sequence[float], share: float) -> float:
    return 1000 * sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


def table(scores: Scores, inside: bool, providers: Sequence[str]) -> str:
    """Markdown: the providers beside each other."""
    lines = ["| provider | M1@2k | M1@7k | strict M1@2k | M2@2k | M2@7k | p95 ms |", "|" + "---|" * 7]
    for name in providers:
        small, large = (scores["", name, budget, inside] for budget in BUDGETS)
        cells = (small.m1, large.m1, small.strict, small.m2, large.m2, percentile_ms(small.seconds, 0.95))
        lines.append(f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    return "\n".join(lines)


def by_package(scores: Scores, name: str) -> str:
    """One line: each package's figures at the small budget."""
    budget = BUDGETS[0]
    found: list[str] = []
    for package in sorted({key[0] for key in scores if key[0]}):
        start, inside = scores[package, name, budget, False], scores[package, name, budget, True]
        found.append(f"{package} {start.m1:.0f} / {start.m2:.0f} / {inside.m1:.0f}")
    return "; ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", action="store_true", help="the packages the mix was tuned on")
    parser.add_argument("--packages", default="", help="of these, the ones named")
    parser.add_argument("--positions", type=int, default=POSITIONS_PER_PACKAGE, help="of each kind in each package")
    parser.add_argument("--fit", action="store_true", help="fit the weights instead, print their table")
    options = parser.parse_args()
    if options.fit:
        print(fit())
        return
    wanted = options.packages.split(",") if options.packages else []
    chosen = [one for one in (TUNING if options.tuning else HELD_OUT) if not wanted or one[1].split("=")[0] in wanted]
    scores = measured(chosen, options.positions, list(PROVIDERS))
    for inside in (False, True):
        print(f"\n{'Inside lines' if inside else 'Line starts'}\n\n{table(scores, inside, list(PROVIDERS))}")
    print(f"\nBy package, M1 / M2 / M1 inside lines: {by_package(scores, 'Hearth')}")


if __name__ == "__main__":
    main()
