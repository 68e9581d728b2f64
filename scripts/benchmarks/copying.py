"""Measure the copy predictor on real packages, and fit its weights.

    .venv/bin/python scripts/benchmarks/copying.py            the tables: precision, coverage, curve, latency, memory
    .venv/bin/python scripts/benchmarks/copying.py --fit      fit on the training packages, print the weights' table

Source archives come by name from the package registries into .cache/bench/ (pip download, npm pack), once.

In each package `HELD_FILES` files are drawn by a seed and left out of the index; the rest of the package is the
project. For each drawn line the held-out file is the open document with that line taken out: nothing of the line beyond
the typed prefix is in either model. Two positions a line: after its indentation, and one random place inside. Left out
as trivial: lines without a letter or digit, lines of a leading licence comment, lines over 240 characters. Left out as
copies: files of which more than half of the five-line windows occur in one other file of the package.
"""

import argparse
import gc
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
from hearth.core.copying import CHARS_MAX, CONFIDENCE_MIN, LINES_MAX, CopyModel, best

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
    ("npm", "commander@14.0.3"), ("npm", "eslint@9.39.2"),
)  # fmt: skip
MEMORY_PACKAGE = ("pip", "django==5.2.19")
SUFFIXES = (".py", ".ts", ".tsx", ".js", ".mjs", ".cjs", ".mts", ".cts")
FILE_BYTES_MAX = 400_000
MEAN_LINE_CHARS_MAX = 150


@dataclass(frozen=True)
class Sample:
    """One position: how sure the suggestion was (0: silence), whether its first line was exactly right.

    `candidates` (text, features) of both models are kept for fitting only.
    """

    inside: bool
    truth: str
    confidence: float
    right: bool
    candidates: list[tuple[str, tuple[float, ...]]]


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

    def __init__(self, kind: str, spec: str, *, with_after: bool = True, fitting: bool = False) -> None:
        self.name = spec.replace("@", "==").split("==")[0]
        files = load(fetch(kind, spec))
        twins = copies(files)
        rng = random.Random(f"{SEED} {self.name}")
        pool = sorted(set(files) - twins)
        held = set(rng.sample(pool, min(HELD_FILES, max(1, len(pool) // 3))))
        self.index = CopyModel(lines_max=LINES_MAX, chars_max=CHARS_MAX)
        for name in sorted(set(files) - held):
            self.index.add(name, files[name])
        # As the index process does when it has read everything.
        gc.collect()
        gc.freeze()
        self.twins = len(twins)
        spots = [(name, n) for name in sorted(held) for n in worth_asking(files[name])]
        self.spots = sorted(rng.sample(spots, min(LINES_PER_PACKAGE, len(spots))))
        self._fitting = fitting
        self._opened = CopyModel(lines_max=20_000)
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
        if path not in self._opened.paths:
            self._opened = CopyModel(lines_max=20_000)
        self._opened.add(path, (*before, line[:at], *after))
        models = (self._opened, self.index)
        start = time.thread_time()
        for model in models:
            model.predict(before, line[:at], "", after, path)
        self.latency_ms.append((time.thread_time() - start) * 1000)
        said = best(m.predict(before, line[:at], "", after, path, confidence_min=0, lines_max=1) for m in models)
        truth = line[at:]
        found = [c for m in models for c in m.candidates(before, line[:at], "", after, path)] if self._fitting else []
        return Sample(cut > 0, truth, said.confidence if said else 0.0, said is not None and said.text == truth, found)


def memory_mb(kind: str, spec: str) -> tuple[int, float]:
    """Lines indexed of a whole package, and the growth of this process's memory with its texts."""
    files = load(fetch(kind, spec))
    model = CopyModel(lines_max=LINES_MAX, chars_max=CHARS_MAX)
    names = list(files)
    gc.collect()
    empty = _resident_mb() - sum(sys.getsizeof(line) for lines in files.values() for line in lines) / 1e6
    for name in names:
        model.add(name, files.pop(name))
    gc.collect()
    return model.lines, _resident_mb() - empty


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def at_threshold(samples: list[Sample], confidence_min: float) -> tuple[float, float]:
    """Coverage and precision, in percent."""
    made = [s.right for s in samples if s.confidence >= confidence_min]
    return 100 * len(made) / max(1, len(samples)), 100 * sum(made) / max(1, len(made))


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


_measured: list[Run] = []


def measured() -> list[Run]:
    """The held-out packages, run once per process."""
    if not _measured:
        _measured.extend(Run(kind, spec) for kind, spec in HELD_OUT)
    return _measured


def rows() -> list[tuple[str, str, str]]:
    """(figure, must reach, measured)."""
    runs = measured()
    result: list[tuple[str, str, str]] = []
    for run in runs:
        coverage, precision = at_threshold(run.samples, CONFIDENCE_MIN)
        text = f"{precision:.0f} % right at {coverage:.0f} % of {len(run.samples):,} positions"
        result.append((f"copy predictor, {run.name} ({run.index.lines:,} lines)", ">= 60 % at >= 10 %", text))
    everything = [s for run in runs for s in run.samples]
    coverage, precision = at_threshold(everything, CONFIDENCE_MIN)
    text = f"{precision:.0f} % right at {coverage:.0f} % of {len(everything):,} positions"
    result.append(("copy predictor, all held-out packages", ">= 60 % at >= 10 %", text))
    times = [ms for run in runs for ms in run.latency_ms]
    result.append(
        (
            "copy predictor, open document + index, CPU time, p50 / p99 / worst",
            "< 10 ms",
            f"{statistics.median(times):.1f} / {percentile(times, 0.99):.1f} / {max(times):.1f} ms",
        )
    )
    lines, mb = memory_mb(*MEMORY_PACKAGE)
    result.append((f"copy predictor, memory with {lines:,} lines, texts included", "", f"{mb:.0f} MB"))
    return result


def curve(runs: list[Run]) -> str:
    """Markdown: coverage and precision by confidence threshold."""
    groups = [(run.name, run.samples) for run in runs]
    everything = [s for run in runs for s in run.samples]
    groups += [("all", everything), ("line starts", [s for s in everything if not s.inside])]
    groups += [("inside lines", [s for s in everything if s.inside])]
    lines = ["| confidence >= | " + " | ".join(name for name, _ in groups) + " |", "|" + "---|" * (len(groups) + 1)]
    for confidence in CURVE:
        cells = [at_threshold(samples, confidence) for _, samples in groups]
        lines.append(f"| {confidence:.1f} | " + " | ".join(f"{p:.0f} % of {c:.0f} %" for c, p in cells) + " |")
    return "\n".join(lines)


def calibration(samples: list[Sample]) -> str:
    """Markdown: of suggestions said to be right with this confidence, how many were."""
    cells: list[str] = []
    for low in (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9):
        high = low + (0.2 if low < 0.5 else 0.1)
        right = [s.right for s in samples if low <= s.confidence < high]
        cells.append(f"{low:.1f}-{high:.1f}: {100 * sum(right) / max(1, len(right)):.0f} % of {len(right):,}")
    return "said-to-be / was right: " + "; ".join(cells)


def notes() -> str:
    """Markdown beside the figures: the trade-off, the calibration, and the same under harder and easier conditions."""
    everything = [s for run in measured() for s in run.samples]
    without = [Run(kind, spec, with_after=False) for kind, spec in HELD_OUT]
    parts = [
        "Exactly right, of the share of positions with a suggestion, in packages that took no part in the fit:",
        curve(measured()),
        calibration(everything),
        "The same without the text after the cursor:",
        curve(without),
        "The packages that the weights were fitted on, for comparison:",
        curve([Run(kind, spec) for kind, spec in TRAINING]),
    ]
    return "\n\n".join(parts)


def fit() -> str:
    """The weights' table as Python source. Newton's method on the logistic loss with an L2 penalty."""
    import numpy as np

    samples = [s for kind, spec in TRAINING for s in Run(kind, spec, fitting=True).samples]
    columns: list[list[float]] = []
    for inside in (False, True):
        pairs = [(f, text == s.truth) for s in samples if s.inside == inside for text, f in s.candidates]
        x, y = np.array([f for f, _ in pairs]), np.array([right for _, right in pairs], float)
        w = np.zeros(x.shape[1])
        for _ in range(40):
            p = 1 / (1 + np.exp(-x @ w))
            step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 3 * np.eye(len(w)), x.T @ (p - y) + 3 * w)
            w -= step
            if abs(step).max() < 1e-6:
                break
        columns.append([round(float(v), 3) for v in w])
    table = zip(copyscore.WEIGHTS, *columns, strict=True)
    return "\n".join(f'    "{name}": ({start}, {inside}),' for name, start, inside in table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="fit the weights instead of measuring them")
    if parser.parse_args().fit:
        print(fit())
        return
    print("| figure | must reach | measured |\n|---|---|---|")
    for row in rows():
        print("| " + " | ".join(row) + " |")
    print("\n" + notes())
    print(f"\nRepeat: .venv/bin/python scripts/benchmarks/copying.py (seed {SEED})")


if __name__ == "__main__":
    main()
