"""Measure the copy predictor on real packages, and fit its weights.

    .venv/bin/python scripts/bench/copying.py            the tables: precision, coverage, curve, latency, memory
    .venv/bin/python scripts/bench/copying.py --fit      fit on the training packages, print the weights' table

Source archives come by name from the package registries into .cache/bench/ (pip download, npm pack), once.

In each package `HELD_FILES` files are drawn by a seed and left out of the index; the rest of the package is the
project. For each drawn line the held-out file is the open document with that line taken out: nothing of the line beyond
the typed prefix is in either model. Two positions a line: after its indentation, and one random place inside. Left out
as trivial: lines without a letter or digit, lines of a leading licence comment, lines over 240 characters. Left out as
copies: files of which more than half of the five-line windows occur in one other file of the package.
"""

import argparse
import random
import resource
import statistics
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hearth.core import copyscore
from hearth.core.copying import CONFIDENCE_MIN, CopyModel

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"
SEED = 20_26
HELD_FILES = 15
LINES_PER_PACKAGE = 1_500
CURVE = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

TRAINING = (
    ("pip", "requests==2.34.2"), ("pip", "click==8.5.1"), ("pip", "attrs==26.1.0"), ("pip", "httpx==0.28.1"),
    ("pip", "jinja2==3.1.6"), ("pip", "werkzeug==3.1.9"), ("pip", "starlette==1.10.0"), ("pip", "tornado==6.6.1"),
    ("pip", "celery==5.7.0"), ("npm", "express@5.3.0"), ("npm", "zod@4.6.7"),
)  # fmt: skip
HELD_OUT = (
    ("pip", "flask==3.1.3"), ("pip", "rich==15.0.0"), ("pip", "pytest==9.2.0"), ("pip", "django==5.2.19"),
    ("pip", "sqlalchemy==2.1.9"), ("pip", "scrapy==2.19.0"), ("pip", "paramiko==5.1.0"), ("npm", "fastify@5.12.8"),
    ("npm", "commander@14.0.3"),
)  # fmt: skip
SUFFIXES = (".py", ".ts", ".tsx", ".js", ".mjs", ".cjs", ".mts", ".cts")
FILE_BYTES_MAX = 400_000
MEAN_LINE_CHARS_MAX = 150


@dataclass(frozen=True)
class Sample:
    """One position: did a candidate's text equal the truth, with features of every candidate, both models' first."""

    inside: bool
    truth: str
    candidates: list[tuple[str, tuple[float, ...]]]

    def best(self) -> tuple[float, bool]:
        """Confidence of the suggestion and whether its line is exactly right; (0, False) for silence."""
        scored = [(copyscore.probability(f, self.inside), text) for text, f in self.candidates]
        confidence, text = max(scored, default=(0.0, ""))
        return confidence, text == self.truth


def fetch(kind: str, spec: str) -> Path:
    """The package's source archive, downloaded if it is not in the cache."""
    name, version = spec.replace("@", "==").split("==")
    folder = CACHE / ("sdist" if kind == "pip" else "npm")
    folder.mkdir(parents=True, exist_ok=True)
    have = sorted(folder.glob(f"{name}-{version}.t*gz"))
    if not have:
        print(f"fetching {spec} ...", file=sys.stderr)
        pip = [sys.executable, "-m", "pip"]
        if subprocess.run([*pip, "--version"], capture_output=True).returncode:
            pip = ["pip"]
        command = [*pip, "download", "-q", "--no-deps", "--no-binary", name, spec] if kind == "pip" else []
        subprocess.run(command or ["npm", "pack", "-s", spec], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        have = sorted(folder.glob(f"{name}-{version}.t*gz"))
    return have[0]


def load(archive: Path) -> dict[str, tuple[str, ...]]:
    """Path -> lines of the source files in an archive; nothing is written to disk or run."""
    files: dict[str, tuple[str, ...]] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name
            if not (member.isfile() and name.endswith(SUFFIXES) and member.size <= FILE_BYTES_MAX):
                continue
            if ".min." in name or "/node_modules/" in name or "/vendor" in name:
                continue
            stream = tar.extractfile(member)
            try:
                text = stream.read().decode() if stream else ""
            except UnicodeDecodeError:
                continue
            lines = tuple(text.splitlines())
            if len(lines) >= 5 and len(text) / len(lines) <= MEAN_LINE_CHARS_MAX:
                files[name] = lines
    return files


def copies(files: dict[str, tuple[str, ...]]) -> set[str]:
    """Files of which more than half of the five-line windows occur in one other file."""
    def windows(lines: tuple[str, ...]) -> set[int]:
        said = [line.strip() for line in lines if line.strip()]
        return {hash(tuple(said[i : i + 5])) for i in range(len(said) - 4)}

    where: dict[int, list[str]] = {}
    all_windows = {name: windows(lines) for name, lines in files.items()}
    for name, found in all_windows.items():
        for window in found:
            where.setdefault(window, []).append(name)
    result: set[str] = set()
    for name, found in all_windows.items():
        shared = Counter(other for w in found if len(where[w]) <= 50 for other in where[w] if other != name)
        if found and shared and shared.most_common(1)[0][1] > len(found) / 2:
            result.add(name)
    return result


def worth_asking(lines: tuple[str, ...]) -> Iterator[int]:
    """Line numbers that are not trivial."""
    header = True
    for number, line in enumerate(lines):
        body = line.strip()
        header = header and (not body or body.startswith(("#", "//", "/*", "*", '"""')))
        if not header and any(c.isalnum() for c in body) and len(line) <= 240:
            yield number


class Run:
    """One package: its index without the held-out files, and samples with latencies."""

    def __init__(self, kind: str, spec: str, *, with_after: bool = True) -> None:
        self.name = spec.replace("@", "==").split("==")[0]
        files = load(fetch(kind, spec))
        twins = copies(files)
        rng = random.Random(f"{SEED} {self.name}")
        pool = sorted(set(files) - twins)
        held = set(rng.sample(pool, min(HELD_FILES, max(1, len(pool) // 3))))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.index = CopyModel()
        for name in sorted(set(files) - held):
            self.index.add(name, files[name])
        self.index_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        self.twins = len(twins)
        spots = [(name, n) for name in sorted(held) for n in worth_asking(files[name])]
        self.spots = sorted(rng.sample(spots, min(LINES_PER_PACKAGE, len(spots))))
        self.latency_ms: list[float] = []
        self.samples: list[Sample] = []
        for name, number in self.spots:
            body = files[name][number].strip()
            for cut in (0, rng.randrange(1, len(body))) if len(body) > 1 else (0,):
                self.samples.append(self._ask(name, files[name], number, cut, with_after))

    def _ask(self, path: str, lines: tuple[str, ...], number: int, cut: int, with_after: bool) -> Sample:
        line = lines[number].rstrip()
        at = len(line) - len(line.lstrip()) + cut
        before, after = lines[:number], lines[number + 1 :] if with_after else ()
        opened = CopyModel(lines_max=20_000)
        opened.add(path, (*before, line[:at], *after))
        start = time.perf_counter()
        for model in (opened, self.index):
            model.predict(before, line[:at], "", after, path)
        self.latency_ms.append((time.perf_counter() - start) * 1000)
        found = [c for m in (opened, self.index) for c in m.candidates(before, line[:at], "", after, path)]
        return Sample(cut > 0, line[at:], found)
