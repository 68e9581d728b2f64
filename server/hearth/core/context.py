"""What a model may know beside the text at the cursor: snippets of other places, recent edits, diagnostics, imports.

Snippets are whole lines, and they are kept or dropped whole: half a function misleads more than none. A snippet that
resembles the text at the cursor is left out, because models copy what they have seen twice.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from hearth.core.scan import traits_of

SIMILAR_SHARE_MAX = 0.5
"""A snippet that has more than this in common with the text at the cursor is not shown to the model."""
SNIPPET_LINES_MAX = 40
SNIPPET_LINES_MIN = 12
SNIPPET_CHARS_MAX = 2_000
SNIPPETS_PER_ORIGIN_MAX = 3
HUNK_LINES_MAX = 16
"""Removed and added lines together; a larger edit is a rewrite, of which the result says more than the difference."""
HUNKS_MAX = 8
RECENT_CHARS_MAX = 1_200
DIFF_LINES_MAX = 400
IMPORTS_CHARS_MAX = 1_500
IMPORT_LINES_SEARCHED = 300
IMPORT_STATEMENT_LINES_MAX = 40
NEARBY_LINES = 20
DIAGNOSTICS_MAX = 5
DIAGNOSTIC_CHARS_MAX = 200
LINE_CHARS_MAX = 400
"""Longer lines are data; a snippet or hunk that holds one is left out."""
FINGERPRINT_BITS = 1_024
TEXTS_KEPT_MAX = 256
NAMES_MIN = 3
"""Text with fewer names says nothing."""
PAIRS_MIN = 24
"""A few words in common, an import perhaps, are no likeness."""

Kind = Literal["seen", "edited", "open", "definition", "index"]
Severity = Literal["error", "warning", "information", "hint"]

_WORD = re.compile(r"\w+|[^\w\s]")
_NAME = re.compile(r"[^\W\d]\w{2,}")


@dataclass(frozen=True, slots=True)
class Snippet:
    """Whole lines of another place, LF line endings. `path` is what the model is shown, `origin` the URI it is from.

    `weight` is how useful its source believes it to be, 0 to 1.
    """

    path: str
    text: str
    origin: str
    kind: Kind
    weight: float = 0.5


@dataclass(frozen=True, slots=True)
class Hunk:
    """One recent edit: `removed` became `added` (lines without endings) at 0-based line `line` of `origin`."""

    path: str
    origin: str
    line: int
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What a tool of the editor says about a 0-based line."""

    line: int
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class CompletionContext:
    """What was gathered for one place. `snippets`: best first, none resembling `region`, the text at the cursor.
    `hunks`: recent edits elsewhere, oldest first. `late`: the sources that were not waited for."""

    region: str = ""
    snippets: tuple[Snippet, ...] = ()
    hunks: tuple[Hunk, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    late: tuple[str, ...] = ()


# Similarity


@lru_cache(maxsize=TEXTS_KEPT_MAX)
def fingerprint(text: str) -> int:
    """The names in a text as a set of bits: comparing two of them takes a fraction of a microsecond."""
    bits = 0
    for name in set(_NAME.findall(text)):
        bits |= 1 << (zlib.crc32(name.encode("utf-8", "replace")) % FINGERPRINT_BITS)
    return bits


def likeness(a: int, b: int) -> float:
    """Jaccard index of two fingerprints, 0 to 1."""
    union = (a | b).bit_count()
    return (a & b).bit_count() / union if union else 0.0


def similarity(a: str, b: str) -> float:
    """Jaccard index of the word pairs of two texts, 0 to 1: 1 for texts that differ in white space only."""
    mine, others = _pairs(a), _pairs(b)
    union = len(mine | others)
    return len(mine & others) / union if union else 0.0


def resembles(text: str, region: str) -> bool:
    """Whether `text` is more than SIMILAR_SHARE_MAX like some stretch of `region` of its own size, or the other way
    round: two sets of equal size with a Jaccard index of s share 2 s / (1 + s) of either."""
    mine, others = _pairs(text), _pairs(region)
    smaller = max(PAIRS_MIN, min(len(mine), len(others)))
    return len(mine & others) > smaller * 2 * SIMILAR_SHARE_MAX / (1 + SIMILAR_SHARE_MAX)


@lru_cache(maxsize=TEXTS_KEPT_MAX)
def _pairs(text: str) -> frozenset[tuple[str, str]]:
    words = _WORD.findall(text)
    return frozenset(pairwise(words)) or frozenset((word, "") for word in words)


# Snippets


def pieces(lines: Sequence[str], first: int = 0, last: int | None = None) -> list[tuple[int, int]]:
    """Cut lines into stretches of SNIPPET_LINES_MIN to SNIPPET_LINES_MAX, as [start, end), where a reader would cut:
    before a line that is not indented and follows a blank one."""
    last = len(lines) if last is None else min(last, len(lines))
    found: list[tuple[int, int]] = []
    start = first
    for number in range(first, last):
        size = number - start
        if size >= SNIPPET_LINES_MAX or (size >= SNIPPET_LINES_MIN and _begins(lines, number)):
            found.append((start, number))
            start = number
    if start < last:
        found.append((start, last))
    return found


def _begins(lines: Sequence[str], number: int) -> bool:
    line = lines[number]
    return not line[:1].isspace() and line[:1] not in "})]" and not lines[number - 1].strip()


def presentable(text: str) -> bool:
    """Whether a text is worth a model's time as a snippet: code of ordinary size."""
    if not text.strip() or len(text) > SNIPPET_CHARS_MAX:
        return False
    return max(map(len, text.split("\n"))) <= LINE_CHARS_MAX and fingerprint(text).bit_count() >= NAMES_MIN


def ranked(snippets: Iterable[Snippet], region: str) -> tuple[Snippet, ...]:
    """Best first, without those that resemble `region` or each other, at most SNIPPETS_PER_ORIGIN_MAX of an origin.

    The order depends on the snippets alone, not on the order in which sources were heard.
    """
    here = fingerprint(region)
    scored = [(s.weight + likeness(fingerprint(s.text), here), s) for s in set(snippets) if presentable(s.text)]
    scored.sort(key=lambda item: (-item[0], item[1].path, item[1].text))
    kept: list[Snippet] = []
    for _, snippet in scored:
        same = [other for other in kept if other.origin == snippet.origin]
        if len(same) >= SNIPPETS_PER_ORIGIN_MAX or resembles(snippet.text, region):
            continue
        if any(resembles(snippet.text, other.text) for other in kept):
            continue
        kept.append(snippet)
    return tuple(kept)


def fitted(snippets: Iterable[Snippet], chars_max: int) -> tuple[Snippet, ...]:
    """Those that fit, in their order, each whole: one that is too large is passed over for smaller ones."""
    kept: list[Snippet] = []
    for snippet in snippets:
        size = len(snippet.text) + len(snippet.path)
        if size <= chars_max:
            kept.append(snippet)
            chars_max -= size
    return tuple(kept)


# Recent edits


def hunks_between(path: str, origin: str, before: Sequence[str], after: Sequence[str]) -> list[Hunk]:
    """The edits that lead from one list of lines (with or without endings) to another; none if they are too many.

    Lines are compared from both ends first, so that a keystroke in a file of any length costs little.
    """
    head = _common(before, after, 1)
    tail = _common(before[head:], after[head:], -1)
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    if len(old) + len(new) > DIFF_LINES_MAX:
        return []
    hunks: list[Hunk] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        removed, added = _bare(old[a:b]), _bare(new[c:d])
        if [line.split() for line in removed] == [line.split() for line in added]:
            continue  # Only white space changed.
        sizes = [len(line) for line in (*removed, *added)]
        if len(sizes) <= HUNK_LINES_MAX and max(sizes, default=0) <= LINE_CHARS_MAX:
            hunks.append(Hunk(path, origin, head + c, removed, added))
    return hunks


def _common(a: Sequence[str], b: Sequence[str], step: Literal[1, -1]) -> int:
    """How many lines two lists share at their start (step 1) or end (-1), by halving: slices compare at C speed."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        same = (
            a[low:middle] == b[low:middle]
            if step == 1
            else a[len(a) - middle : len(a) - low] == b[len(b) - middle : len(b) - low]
        )
        low, high = (middle, high) if same else (low, middle - 1)
    return low


def _bare(lines: Iterable[str]) -> tuple[str, ...]:
    stripped = [line.rstrip() for line in lines]
    return tuple(line for line in stripped if line)


def edits_text(hunks: Sequence[Hunk]) -> str:
    """A compact difference: the path once per file, then the lines with - and +. Newest hunks are kept if it gets
    longer than RECENT_CHARS_MAX, each whole; "" for none."""
    kept: list[Hunk] = []
    room = RECENT_CHARS_MAX
    for hunk in reversed(hunks[-HUNKS_MAX:]):
        room -= sum(len(line) + 2 for line in (*hunk.removed, *hunk.added)) + len(hunk.path) + 1
        if room < 0:
            break
        kept.insert(0, hunk)
    lines: list[str] = []
    for number, hunk in enumerate(kept):
        if number == 0 or kept[number - 1].path != hunk.path:
            lines.append(hunk.path)
        lines += [f"-{line}" for line in hunk.removed]
        lines += [f"+{line}" for line in hunk.added]
    return "\n".join(lines)


# Diagnostics


def nearby(diagnostics: Iterable[Diagnostic], line: int) -> tuple[Diagnostic, ...]:
    """Errors and warnings within NEARBY_LINES of a line, nearest first, at most DIAGNOSTICS_MAX."""
    close = [d for d in diagnostics if abs(d.line - line) <= NEARBY_LINES and d.severity in ("error", "warning")]
    close.sort(key=lambda d: (d.severity != "error", abs(d.line - line), d.line, d.message))
    return tuple(close[:DIAGNOSTICS_MAX])


def diagnostics_text(diagnostics: Sequence[Diagnostic]) -> str:
    """One line each, without line numbers: they would be wrong after the next Enter."""
    return "\n".join(f"{d.severity}: {' '.join(d.message.split())[:DIAGNOSTIC_CHARS_MAX]}" for d in diagnostics)


# Imports

_SCRIPT = r"import\b|export\b.*\bfrom\b|(?:const|let|var)\b.*\brequire\s*\("
_DOTTED = r"package\b|import\b|using\b|namespace\b.*;|library\b|part\b|export\b"
_INCLUDE = r"#\s*(?:include|import)\b"
_IMPORT: dict[str, str] = {
    "python": r"(?:from|import)\b",
    "javascript": _SCRIPT,
    "javascriptreact": _SCRIPT,
    "typescript": _SCRIPT,
    "typescriptreact": _SCRIPT,
    "vue": _SCRIPT,
    "svelte": _SCRIPT,
    "go": r"package\b|import\b",
    "rust": r"(?:pub(?:\([^)]*\))?\s+)?(?:use|mod)\b[^{]*(?:[;{]|$)|extern\s+crate\b",
    "c": _INCLUDE,
    "cpp": _INCLUDE + r"|using\b|import\b",
    "objective-c": _INCLUDE + r"|@import\b",
    "csharp": r"(?:global\s+)?using\b[^(]*;|namespace\b.*;",
    "ruby": r"require(?:_relative)?\b|load\b",
    "php": r"namespace\b|use\b|(?:require|include)(?:_once)?\b",
    "shellscript": r"(?:source|\.)\s",
    "lua": r"local\b.*\brequire\b",
    "elixir": r"\s*(?:alias|import|require|use)\b",
    "haskell": r"module\b|import\b",
    "css": r"@import\b",
    "scss": r"@(?:import|use|forward)\b",
    "less": r"@import\b",
}
_IMPORTS = {language: re.compile(pattern) for language, pattern in _IMPORT.items()}
_ANY_IMPORT = re.compile(_DOTTED)
_BRACKETS = re.compile(r"[()\[\]{}]")


def imports_of(lines: Sequence[str], language: str) -> tuple[tuple[int, str], ...]:
    """The import statements at the left margin of a file's first IMPORT_LINES_SEARCHED lines: (0-based line, text
    without ending) of each of their lines, at most IMPORTS_CHARS_MAX together and never half a statement."""
    pattern = _IMPORTS.get(language, _ANY_IMPORT)
    found: list[tuple[int, str]] = []
    chars, number = 0, 0
    end = min(len(lines), IMPORT_LINES_SEARCHED)
    while number < end:
        if not pattern.match(lines[number]):
            number += 1
            continue
        statement = [lines[number].rstrip()]
        depth = _depth(statement[0])
        while (depth > 0 or statement[-1].endswith("\\")) and len(statement) <= IMPORT_STATEMENT_LINES_MAX:
            if number + len(statement) >= len(lines):
                break
            statement.append(lines[number + len(statement)].rstrip())
            depth += _depth(statement[-1])
        whole = depth <= 0 and len(statement) <= IMPORT_STATEMENT_LINES_MAX
        chars += sum(len(line) + 1 for line in statement) if whole else 0
        if chars > IMPORTS_CHARS_MAX:
            break
        if whole:
            found += [(number + at, line) for at, line in enumerate(statement)]
        number += len(statement) if whole else 1
    return tuple(found)


def _depth(line: str) -> int:
    return sum(1 if char in "([{" else -1 for char in _BRACKETS.findall(line))


# Comments

_LINE_COMMENTS = {
    "latex": "%", "tex": "%", "bibtex": "%", "matlab": "%", "erlang": "%", "clojure": ";", "lisp": ";", "scheme": ";",
    "vb": "'", "bat": "REM", "fortran": "!", "fortran-modern": "!", "ada": "--", "r": "#", "julia": "#", "perl": "#",
    "perl6": "#", "powershell": "#", "cmake": "#", "nix": "#", "graphql": "#", "terraform": "#", "properties": "#",
    "dotenv": "#", "ignore": "#", "elm": "--", "purescript": "--", "vhdl": "--", "tcl": "#", "gdscript": "#",
    "fish": "#", "awk": "#", "git-commit": "#", "diff": "#",
}  # fmt: skip
_BLOCK_COMMENTS = {
    **dict.fromkeys(("html", "xml", "xsl", "markdown", "vue", "svelte", "handlebars", "razor"), ("<!-- ", " -->")),
    **dict.fromkeys(("css", "scss", "less"), ("/* ", " */")),
}
_NO_COMMENTS = {"json", "plaintext", "log", "csv", "tsv", ""}


def commented(text: str, language: str) -> str:
    """`text` with every line as a comment of `language`; "" if the language has none."""
    if language in _NO_COMMENTS or not text:
        return ""
    if pair := _BLOCK_COMMENTS.get(language):
        start, end = pair
        bare = text.replace(end.strip(), " ".join(end.strip()))
        return "\n".join(f"{start}{line}{end}" if line else "" for line in bare.split("\n"))
    marks = traits_of(language).line_comments
    mark = _LINE_COMMENTS.get(language) or (marks[0] if marks else "")
    return "\n".join(f"{mark} {line}".rstrip() for line in text.split("\n")) if mark else ""
