"""Redaction: planted secrets that still leave, lines of real source masked without need, and milliseconds per 100 KB.

The secrets are the 2,000 of tests/secrets_corpus.py. The source is that of published packages, which hold no secrets:
every line of which something is masked counts as a mistake, passwords in examples and tests too.
"""

import statistics
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "server"), str(ROOT / "scripts" / "benchmarks")]

from copying import fetch  # noqa: E402

from hearth.core.redact import Redactor  # noqa: E402
from hearth.core.secret_rules import RULES  # noqa: E402
from hearth.core.secret_scan import PlainEngine, Scanner, scanner  # noqa: E402
from hearth.core.secret_values import KnownValues  # noqa: E402
from secrets_corpus import ALNUM, Maker, known_values, plants  # noqa: E402

PACKAGES = (
    ("pip", "django==5.2.19"), ("pip", "sqlalchemy==2.1.9"), ("pip", "scrapy==2.19.0"), ("pip", "paramiko==5.1.0"),
    ("npm", "zod@4.6.7"), ("npm", "fastify@5.12.8"),
)  # fmt: skip
SUFFIXES = (".py", ".ts", ".js", ".mjs", ".cjs")
FILE_BYTES_MAX = 300_000
SIZE = 100_000
SAMPLES = 40
KNOWN = 500
_notes: list[str] = []


def source(kind: str, spec: str) -> dict[str, str]:
    """Path -> text of a package's source files."""
    files: dict[str, str] = {}
    with tarfile.open(fetch(kind, spec)) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(SUFFIXES) and member.size <= FILE_BYTES_MAX:
                stream = archive.extractfile(member)
                files[member.name] = stream.read().decode("utf-8", "replace") if stream else ""
    return files


def recall() -> list[tuple[str, str, str]]:
    values = KnownValues(known_values())
    total: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for plant in plants():
        kind = "known values" if plant.known else "patterns"
        out = Redactor(values).redact(plant.text)
        for key in (kind, f"of them: {plant.kind}" if kind == "patterns" else ""):
            total[key] += 1
            left[key] += plant.leaks(out.text)
    found = {key: f"{total[key] - left[key]} / {total[key]} ({1 - left[key] / total[key]:.1%})" for key in total if key}
    rows = [("known values that leave", "0", f"{left['known values']} of {total['known values']}")]
    rows.append(("patterns found", ">= 98 %", found.pop("patterns")))
    found.pop("known values")
    return rows + [(key, "-", value) for key, value in sorted(found.items())]


def mistakes(packages: dict[str, dict[str, str]]) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    all_lines = all_masked = 0
    rules: Counter[str] = Counter()
    for spec, files in packages.items():
        lines = masked = 0
        for text in files.values():
            spans = Redactor().redact(text).spans
            touched = {n for _, a, b in spans for n in range(text.count("\n", 0, a), text.count("\n", 0, b) + 1)}
            rules.update(span.rule for span in spans)
            lines += text.count("\n") + 1
            masked += len(touched)
        rows.append(
            (f"lines masked in {spec.replace('@', '==')}", "<= 1 %", f"{masked} of {lines} ({masked / lines:.3%})")
        )
        all_lines += lines
        all_masked += masked
    _notes.append("Masked without need, by rule: " + ", ".join(f"{r} {n}" for r, n in rules.most_common(12)) + ".")
    return [
        ("lines masked in all packages", "<= 1 %", f"{all_masked} of {all_lines} ({all_masked / all_lines:.3%})"),
        *rows,
    ]


def samples(packages: dict[str, dict[str, str]]) -> list[str]:
    """Stretches of 100 KB of all packages, evenly spread."""
    text = "\n".join(text for files in packages.values() for text in files.values())
    step = max(SIZE, len(text) // SAMPLES)
    return [text[at : at + SIZE] for at in range(0, len(text) - SIZE, step)][:SAMPLES]


def spent(texts: list[str], known: KnownValues, rules: Scanner) -> str:
    redactor = Redactor(known, rules)
    redactor.redact(texts[0])
    times: list[float] = []
    for text in texts:
        begun = time.process_time()
        redactor.redact(text)
        times.append((time.process_time() - begun) * 1000 * SIZE / len(text.encode("utf-8", "surrogatepass")))
    return f"{statistics.median(times):.1f} ms, at most {max(times):.1f} ms"


def planted(text: str, maker: Maker, count: int) -> str:
    """The text with a secret in every so many lines."""
    lines = text.split("\n")
    chosen = [plant for plant in plants() if len(plant.text) < 400]
    for at in range(0, len(lines), max(1, len(lines) // count)):
        lines[at] += "\n" + maker.random.choice(chosen).text
    return "\n".join(lines)


def rows() -> list[tuple[str, str, str]]:
    packages = {spec: source(kind, spec) for kind, spec in PACKAGES}
    maker = Maker(5)
    known = KnownValues(maker.key(ALNUM, 24) for _ in range(KNOWN))
    texts = samples(packages)
    with_secrets = [planted(text, maker, 20) for text in texts]
    begun = time.process_time()
    KnownValues(maker.key(ALNUM, 24) for _ in range(KNOWN))
    building = (time.process_time() - begun) * 1000
    return [
        ("rules", ">= 120", str(len(RULES))),
        *recall(),
        *mistakes(packages),
        ("100 KB of source, 500 known values", "<= 40 ms", spent(texts, known, scanner())),
        ("the same with 20 secrets in it", "<= 40 ms", spent(with_secrets, known, scanner())),
        ("the same on Python's own engine", "-", spent(texts[:8], known, Scanner(runs_on=PlainEngine()))),
        ("taking in 500 known values, once", "-", f"{building:.0f} ms"),
    ]


def notes() -> str:
    return "\n\n".join(_notes)


if __name__ == "__main__":
    for row in rows():
        print(*row, sep="\t")
    print(notes())
