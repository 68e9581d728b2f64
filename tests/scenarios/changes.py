"""What lies between two texts, as models write it: places to replace, diffs, and the names that change."""

import difflib
import re
from collections.abc import Mapping

_DEFINITION = re.compile(
    r"^\s*(?:export |default |async |static |readonly |abstract )*"
    r"(?:def|class|function\*?|const|let|interface|type)\s+(\w+)"
    r"|^ {2}(?:async |static )*(\w+)\([^)]*\)(?:: [\w<>\[\]| ]+)?(?: \{|;)$"
)
_WORD = re.compile(r"[^\W\d]\w{4,}")
_COMMON = frozenset(
    (
        "about", "after", "async", "await", "catch", "class", "columns", "const", "count", "error", "errors", "every",
        "example", "false", "files", "first", "format", "from", "function", "import", "items", "length", "message",
        "other", "print", "process", "return", "status", "there", "these", "title", "total", "value", "where", "which",
        "while", "without", "write",
    )
)  # fmt: skip
"""Words that stand in the words of checks, too."""
_NO_METHODS = frozenset(("if", "for", "while", "switch", "catch", "constructor", "super", "return"))


def places(old: str, new: str) -> list[tuple[str, str]]:
    """What to replace by what, so that each is found once when the ones before are done. Of whole lines."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    spans: list[list[int]] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            spans.append([i1, i2, j1, j2])
    while True:
        grown = _grown(spans, before)
        pairs = [("".join(before[i1:i2]), "".join(after[j1:j2])) for i1, i2, j1, j2 in grown]
        text = old
        for number, (part, replacement) in enumerate(pairs):
            if not part or text.count(part) != 1:
                spans = grown
                spans[number] = _wider(spans[number], len(before), len(after))
                break
            text = text.replace(part, replacement)
        else:
            assert text == new
            return pairs


def _wider(span: list[int], before: int, after: int) -> list[int]:
    i1, i2, j1, j2 = span
    up, down = int(i1 > 0 and j1 > 0), int(i2 < before and j2 < after)
    assert up or down, "a file without a line to hold on to"
    return [i1 - up, i2 + down, j1 - up, j2 + down]


def _grown(spans: list[list[int]], before: list[str]) -> list[list[int]]:
    """With an unchanged line where something is only inserted; what overlaps or touches becomes one."""
    joined: list[list[int]] = []
    for i1, i2, j1, j2 in spans:
        if i1 == i2 and i1 > 0 and j1 > 0:
            i1, j1 = i1 - 1, j1 - 1
        elif i1 == i2 and i2 < len(before):
            i2, j2 = i2 + 1, j2 + 1
        if joined and i1 <= joined[-1][1]:
            last = joined[-1]
            last[1], last[3] = max(last[1], i2), max(last[3], j2)
        else:
            joined.append([i1, i2, j1, j2])
    return joined


def blocks(old: str, new: str) -> str:
    """The same as SEARCH/REPLACE blocks."""
    return "\n".join(
        f"<<<<<<< SEARCH\n{part}=======\n{replacement}>>>>>>> REPLACE" for part, replacement in places(old, new)
    )


def diff(path: str, old: str | None, new: str | None) -> str:
    """A unified diff of one file; None where there is none."""
    lines = difflib.unified_diff(
        (old or "").splitlines(keepends=True),
        (new or "").splitlines(keepends=True),
        "/dev/null" if old is None else f"a/{path}",
        "/dev/null" if new is None else f"b/{path}",
    )
    return "".join(lines)


def touched(old: str | None, new: str | None) -> list[str]:
    """The lines that go and those that come."""
    lines = difflib.ndiff((old or "").splitlines(), (new or "").splitlines())
    return [line[2:] for line in lines if line.startswith(("- ", "+ "))]


def definitions(before: Mapping[str, str], after: Mapping[str, str | None]) -> tuple[str, ...]:
    """The names of what is defined before and not as before any more: signatures that change or go."""
    found: dict[str, None] = {}
    for path, new in after.items():
        old = before.get(path, "")
        kept = set((new or "").splitlines())
        for line in old.splitlines():
            match = _DEFINITION.match(line)
            name = (match[1] or match[2]) if match else ""
            if name and line not in kept and name not in _NO_METHODS:
                found[name] = None
    return tuple(found)


def telltales(before: Mapping[str, str], path: str, new: str | None) -> frozenset[str]:
    """Words of the lines that change in a file by which one who is told of them would think of this file: those that
    at most two files of the project have."""
    words = {word for line in touched(before.get(path), new) for word in _WORD.findall(line)}
    words -= _COMMON
    return frozenset(word for word in words if sum(word in text for text in before.values()) <= 2)


def words(text: str) -> list[str]:
    """The longer words of a text."""
    return _WORD.findall(text)
