"""What is typed: whole functions of 10 to 40 lines out of real packages' sources, with the rest of their file around.

Packages come by name from the registries, as for the copy predictor's benchmark. Left out are functions that are mostly
comments or docstrings, since what is measured is code, and files that are very short or very long.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from copying import fetch, load

SEED = 20_26
PYTHON = (
    ("pip", "flask==3.1.3"), ("pip", "rich==15.0.0"), ("pip", "httpx==0.28.1"), ("pip", "click==8.5.1"),
    ("pip", "paramiko==5.1.0"), ("pip", "werkzeug==3.1.9"),
)  # fmt: skip
TYPESCRIPT = (("npm", "zod@4.6.7"), ("npm", "rxjs@7.8.2"), ("npm", "immer@10.1.1"))
LINES = (10, 40)
CHARS = (350, 1_000)
FILE_LINES = (80, 1_500)
COMMENT_SHARE_MAX = 0.15
LINE_CHARS_MAX = 120
FILE_LINE_CHARS_MAX = 400

_DEF = re.compile(r"\s*(async )?def \w+")
_FUNCTION = re.compile(
    r"\s*(export |async |static |private |public |protected |default )*(function\b.*|[\w$]+(<.*>)?\(.*)\{$"
)


@dataclass(frozen=True)
class Trace:
    """`target` is the finished file; `target[start:end]` is typed: whole lines, without the last one's ending."""

    name: str
    path: str
    language: str
    target: str
    start: int
    end: int

    @property
    def hunk(self) -> str:
        return self.target[self.start : self.end]


def traces(count: int, seed: int = SEED) -> list[Trace]:
    """Python and TypeScript in turn, the packages of each in turn; the same for the same seed."""
    dice = random.Random(seed)
    result: list[Trace] = []
    for number in range(count):
        packages = TYPESCRIPT if number % 2 else PYTHON
        for turn in range(len(packages)):
            if trace := _drawn(*packages[(number // 2 + turn) % len(packages)], dice, result):
                result.append(trace)
                break
    return result


def _drawn(kind: str, spec: str, dice: random.Random, taken: list[Trace]) -> Trace | None:
    suffix = ".py" if kind == "pip" else ".ts"
    files = load(fetch(kind, spec))
    name = spec.replace("@", "==").partition("==")[0]
    paths = sorted(path for path, lines in files.items() if path.endswith(suffix) and _is_source(path, lines))
    while paths:
        path = dice.choice(paths)
        lines = files[path]
        blocks = [b for b in (python_blocks(lines) if suffix == ".py" else brace_blocks(lines)) if fits(lines, *b)]
        if not blocks:
            paths.remove(path)
            continue
        first, last = dice.choice(blocks)
        target = "\n".join(lines) + "\n"
        start = len("\n".join(lines[:first])) + 1 if first else 0
        hunk = "\n".join(lines[first:last])
        trace = Trace(
            f"{name} {path.rpartition('/')[2]}:{first + 1}",
            path.partition("/")[2],
            "python" if suffix == ".py" else "typescript",
            target,
            start,
            start + len(hunk),
        )
        if target.count(hunk) == 1 and all(trace.name != other.name for other in taken):
            return trace
        paths.remove(path)
    return None


def python_blocks(lines: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of each function, without decorators and trailing blank lines."""
    for first, line in enumerate(lines):
        if not _DEF.match(line):
            continue
        indent = _indent(line)
        last = first + 1
        while last < len(lines) and (
            not lines[last].strip() or _indent(lines[last]) > indent or lines[last].lstrip().startswith(")")
        ):
            last += 1
        while not lines[last - 1].strip():
            last -= 1
        yield first, last


def brace_blocks(lines: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of each function or method whose braces stand where they are usually put."""
    for first, line in enumerate(lines):
        if not _FUNCTION.match(line) or re.match(r"\s*(if|for|while|switch|return|catch)\b", line):
            continue
        indent = _indent(line)
        for last in range(first + 1, len(lines)):
            if lines[last].strip() and _indent(lines[last]) <= indent:
                if lines[last].lstrip().startswith("}"):
                    yield first, last + 1
                break


def fits(lines: tuple[str, ...], first: int, last: int) -> bool:
    """Whether a block is worth typing here."""
    block = lines[first:last]
    chars = sum(len(line) + 1 for line in block)
    if not (LINES[0] <= len(block) <= LINES[1] and CHARS[0] <= chars <= CHARS[1]) or first < 8:
        return False
    if max(map(len, block)) > LINE_CHARS_MAX or any("\t" in line for line in block):
        return False
    return comments(block) <= COMMENT_SHARE_MAX * len(block)


def comments(block: tuple[str, ...]) -> int:
    """Lines that are comments or parts of docstrings."""
    count, inside = 0, False
    for line in block:
        text = line.strip()
        quotes = text.count('"""') + text.count("'''")
        if inside or quotes or text.startswith(("#", "//", "*", "/*")):
            count += 1
        inside ^= quotes % 2 == 1
    return count


def _is_source(path: str, lines: tuple[str, ...]) -> bool:
    """Written by hand, of a usual size, and part of the package proper."""
    if path.endswith(".d.ts") or re.search(r"tests?[/_.]|/(docs?|examples)/", path):
        return False
    if not FILE_LINES[0] <= len(lines) <= FILE_LINES[1] or max(map(len, lines)) > FILE_LINE_CHARS_MAX:
        return False
    return all(line.replace("\t", " ").isprintable() for line in lines)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
