"""Copy predictor: completes a line with what followed the same lines, or lines of the same shape, elsewhere.

It needs no model and is what answers while there is none. For a cursor it looks up, in this order, the places where
the two lines above (then the one line above) occur as they are or in shape, the lines that begin with the tokens typed
so far, and the lines just above as patterns for the one being written. Each place gives a text: the line there, or that
line with its names replaced by the names of the lines here. Equal texts add up their evidence, `copyscore` turns it
into a probability, and below `CONFIDENCE_MIN` nothing is said.

Further lines follow while they are likely to be right if the first one is: while the product of their probabilities
stays above `CONTINUE_CONFIDENCE_MIN`.

Measured by scripts/benchmarks/copying.py (docs/benchmarks.md has the figures).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from hearth.core import lineindex
from hearth.core.copyscore import Evidence, Scene, features, probability
from hearth.core.deny import is_secret
from hearth.core.lineindex import KEY_MASK, IndexedFile, LineIndex, line_key, pair_key, prefix_key
from hearth.core.shape import is_name, names, rewrite, tokens

FILES_MAX = 20_000
LINES_MAX = 600_000
CHARS_MAX = 60_000_000
OPEN_LINES_MAX = 100_000
OPEN_CHARS_MAX = 10_000_000
FILE_LINES_MAX = 20_000

CONFIDENCE_MIN = 0.5
CONTINUE_CONFIDENCE_MIN = 0.5
LINES_PREDICTED_MAX = 6

CONTEXT_LINES = 5
CONTEXT_SCAN_LINES = 60
SIGHT_LINES = 40
AFTER_SCAN_LINES = 12
FOUND_PER_KEY_MAX = 40
STEPS_PER_KEY_MAX = 160
REWRITTEN_MAX = 24
CANDIDATES_MAX = 8
SIBLING_LINES = 12
SIBLINGS_MAX = 4
TYPED_CHARS_MAX = 240
TAB_COLUMNS = 4

# How much one place counts against its rivals. Set by hand; the fitted part is in copyscore.
LITERAL_FACTOR = 3.0
SHAPE_FACTOR = 1.7
NEXT_SHAPE_FACTOR = 1.6
NEXT_LITERAL_FACTOR = 1.6
INDENT_FACTOR = 1.5
SAME_FILE_FACTOR = 1.7
SAME_FOLDER_FACTOR = 1.2
GAP_FACTOR = 1.3
STALE_FACTOR = 0.2  # of a line as it is, where the same line with the names of here is a candidate too
UNKNOWN_NAME_FACTOR = 0.3
SIBLING_WEIGHT = 2.0

_FAMILIES = {
    ".js": ".ts", ".jsx": ".ts", ".tsx": ".ts", ".mjs": ".ts", ".cjs": ".ts", ".mts": ".ts", ".cts": ".ts",
    ".h": ".c", ".cc": ".c", ".cpp": ".c", ".hpp": ".c", ".cxx": ".c", ".pyi": ".py", ".yml": ".yaml", ".htm": ".html",
}  # fmt: skip
_LANGUAGE_FAMILIES = {
    "python": ".py", "typescript": ".ts", "typescriptreact": ".ts", "javascript": ".ts", "javascriptreact": ".ts",
    "c": ".c", "cpp": ".c", "rust": ".rs", "go": ".go", "java": ".java", "ruby": ".rb", "php": ".php", "html": ".html",
    "csharp": ".cs", "shellscript": ".sh", "yaml": ".yaml", "json": ".json", "css": ".css", "markdown": ".md",
}  # fmt: skip
_CLOSERS = re.compile(r"[\])}>'\"`]*[:;,{]?")
_WORD = re.compile(r"\w")
# A value that looks like a key, or a string given to something called a password: never copied to another place.
_SECRET = re.compile(
    r"(?i:passw(?:or)?d|secret|api_?key|access_?key|private_?key|auth_?token)\w*['\"]?(?:\s*:\s*\w+)?\s*[:=]\s*['\"][^'\"]{6,}"
    r"|(?=[A-Za-z0-9+/_\-]*\d)(?=[A-Za-z0-9+/_\-]*[A-Z])(?=[A-Za-z0-9+/_\-]*[a-z])[A-Za-z0-9+/_\-]{32,}"
    r"|\b[0-9a-fA-F]{32,}\b|-----BEGIN "
)


@dataclass(frozen=True, slots=True)
class CopyPrediction:
    """`text` goes in at the cursor, with "\\n" between lines; `lines` counts them.

    `confidence` 0..1 is the chance that its first line is exactly right. `path`: where the best evidence is; "" if the
    line was made after a line just above.
    """

    text: str
    confidence: float
    lines: int
    path: str


@dataclass(slots=True)
class _Cursor:
    """The cursor's surroundings as keys. Lists of lines above go nearest first; `indent` None: any indentation."""

    family: int
    folder: str
    typed: str
    after: str
    indent: str | None
    own: int = 0
    skip_slot: int = 0
    lost: bool = False  # the own file is indexed, but where in it the cursor is could not be told
    skip_owner: int = -1
    gap: bool = False
    above: list[str] = field(default_factory=lambda: list[str]())
    raw_above: list[str] = field(default_factory=lambda: list[str]())
    literal: list[int] = field(default_factory=lambda: list[int]())
    shapes: list[int] = field(default_factory=lambda: list[int]())
    next_body: str = ""
    next_literal: int = 0
    next_shape: int = 0
    typed_tokens: list[str] = field(default_factory=lambda: list[str]())
    above_tokens: dict[int, list[str]] = field(default_factory=lambda: dict[int, list[str]]())
    sight: set[str] = field(default_factory=lambda: set[str]())


@dataclass(frozen=True, slots=True)
class _Place:
    """How well one place in the index fits the cursor."""

    slot: int
    literal: int
    shape: int
    indent: bool


class CopyModel:
    """Lines of a set of files, and what would come next at a cursor. Paths are keys; "/" separates folders.

    Not thread-safe. Within its limits: a file that does not fit is left out, and `add` says so. The default ones suit
    open documents; the tables take about 30 bytes for each line of `lines_max` even while empty.
    """

    def __init__(
        self, *, files_max: int = FILES_MAX, lines_max: int = OPEN_LINES_MAX, chars_max: int = OPEN_CHARS_MAX
    ) -> None:
        self._files_max, self._lines_max, self._chars_max = files_max, lines_max, chars_max
        self._index = LineIndex(lines_max)
        self._files: dict[str, IndexedFile] = {}
        self._by_number: dict[int, IndexedFile] = {}
        self._numbers = 0
        self.lines = 0
        self.chars = 0

    @property
    def files(self) -> int:
        return len(self._files)

    @property
    def paths(self) -> Iterable[str]:
        return self._files.keys()

    def has(self, path: str) -> bool:
        return path in self._files

    def fits(self, path: str, lines: Sequence[str]) -> bool:
        """Whether `add` would be within the limits of files and lines."""
        file = self._files.get(path)
        present = len(file.lines) if file else 0
        return (
            len(lines) <= FILE_LINES_MAX
            and self.lines - present + len(lines) <= self._lines_max
            and (file is not None or len(self._files) < self._files_max)
        )

    def add(self, path: str, lines: Sequence[str], language: str = "") -> bool:
        """Make `lines` the content of `path`; their endings may be on them.

        False: not indexed, being over a limit or, by its name, a file of secrets.

        Costs as much as there are changed lines, so it may be called after every edit.
        """
        if not self.fits(path, lines) or is_secret(path):
            return self._refuse(path)
        file = self._files.get(path)
        had_lines, had_chars = (len(file.lines), file.chars) if file else (0, 0)
        if file is None:
            self._numbers += 1
            file = IndexedFile(self._numbers, path, path.rpartition("/")[0], _family(path, language))
            self._files[path] = self._by_number[file.number] = file
        self._index.replace(file, lines)
        self.lines += len(lines) - had_lines
        self.chars += file.chars - had_chars
        return True if self.chars <= self._chars_max else self._refuse(path)

    replace = add

    def remove(self, path: str) -> None:
        """Forget a file; nothing happens if it is not there."""
        file = self._files.pop(path, None)
        if file is None:
            return
        self.lines -= len(file.lines)
        self.chars -= file.chars
        self._index.replace(file, ())
        del self._by_number[file.number]

    def predict(
        self,
        before_lines: Sequence[str],
        line_before_cursor: str,
        line_after_cursor: str,
        after_lines: Sequence[str],
        path: str,
        language: str = "",
        *,
        own_file: bool = True,
        confidence_min: float = CONFIDENCE_MIN,
        lines_max: int = LINES_PREDICTED_MAX,
    ) -> CopyPrediction | None:
        """What comes at the cursor, or None where the evidence is thin.

        `before_lines` and `after_lines` are the whole lines around the cursor's line, with or without endings; the
        nearest `CONTEXT_SCAN_LINES` and `AFTER_SCAN_LINES` are enough. If `path` is in this model, `add` its present
        lines first, or what was just deleted may come back. `own_file` False leaves `path` itself out: for an index of
        saved files, whose copy of an open document is out of date.
        """
        cursor = self._cursor(
            before_lines, line_before_cursor, line_after_cursor, after_lines, path, language, own_file
        )
        found = self._best(cursor) if cursor else None
        if cursor is None or found is None or found[1] < confidence_min:
            return None
        first, confidence = found
        text, lines = self._continue(cursor, first.text, lines_max)
        owner = self._by_number.get(self._index.owner[first.slot])
        return CopyPrediction(text, confidence, lines, owner.path if owner else "")

    def candidates(
        self,
        before_lines: Sequence[str],
        line_before_cursor: str,
        line_after_cursor: str,
        after_lines: Sequence[str],
        path: str,
        language: str = "",
        *,
        own_file: bool = True,
    ) -> list[tuple[str, tuple[float, ...]]]:
        """Texts and their features at a cursor, most evidence first: what weights are fitted on."""
        cursor = self._cursor(
            before_lines, line_before_cursor, line_after_cursor, after_lines, path, language, own_file
        )
        return [(e.text, numbers) for e, numbers in self._rank(cursor)] if cursor else []

    def _rank(self, c: _Cursor) -> list[tuple[Evidence, tuple[float, ...]]]:
        found = self._collect(c)
        total = sum(e.weight for e in found.values())
        scene = Scene(c.typed, c.after, c.gap, c.above, total, len(found))
        ranked = sorted(found.values(), key=lambda e: -e.weight)[:CANDIDATES_MAX]
        return [(e, features(e, scene)) for e in ranked]

    def _best(self, c: _Cursor) -> tuple[Evidence, float] | None:
        scored = [(e, probability(numbers, bool(c.typed))) for e, numbers in self._rank(c)]
        # What looks like a key is left out after ranking, so that the rest is not trusted more for its absence.
        found = max(scored, key=lambda pair: pair[1], default=None)
        return None if found is None or _SECRET.search(c.typed + found[0].text) else found

    def _continue(self, c: _Cursor, text: str, lines_max: int) -> tuple[str, int]:
        """`text` and the lines that follow it while the evidence holds, and how many lines that is."""
        if c.after:
            return text, 1
        parts = [text]
        newest = (c.indent or "") + c.typed + text
        base = _columns(newest)
        held = 1.0
        while len(parts) < lines_max:
            c = self._next_cursor(c, newest)
            found = self._best(c)
            if found is None:
                break
            held *= found[1]
            newest = found[0].text
            if held < CONTINUE_CONFIDENCE_MIN or _columns(newest) < base:
                break
            parts.append(newest)
        return "\n".join(parts), len(parts)

    def _cursor(
        self,
        before: Sequence[str],
        line_before: str,
        line_after: str,
        after: Sequence[str],
        path: str,
        language: str,
        own_file: bool,
    ) -> _Cursor | None:
        rest = line_after.strip()
        if len(line_before) > TYPED_CHARS_MAX or not _CLOSERS.fullmatch(rest):
            return None
        typed = line_before.lstrip()
        indent = line_before[: len(line_before) - len(typed)]
        c = _Cursor(_family(path, language), path.rpartition("/")[0], typed, rest, indent)
        c.typed_tokens = tokens(typed)
        if (file := self._files.get(path)) is not None:
            c.own = file.number
            c.skip_owner = -1 if own_file else file.number
            number = len(before)
            c.lost = not 0 < number < len(file.lines) or file.lines[number - 1].strip() != before[-1].strip()
            c.skip_slot = 0 if c.lost else file.slots[number]
        for i in range(len(before) - 1, max(-1, len(before) - 1 - CONTEXT_SCAN_LINES), -1):
            if before[i].strip():
                c.above.append(before[i].strip())
                if len(c.raw_above) < CONTEXT_LINES:
                    c.raw_above.append(before[i])
                if len(c.above) == SIGHT_LINES:
                    break
            elif not c.above:
                c.gap = True
        for line in after[:AFTER_SCAN_LINES]:
            if body := line.strip():
                c.next_body = body
                c.next_literal, c.next_shape = line_key(body), self._index.shape_key(body)
                break
        self._key_above(c)
        return c

    def _next_cursor(self, c: _Cursor, line: str) -> _Cursor:
        """The cursor at the start of the line after `line`, which takes the place of c's line."""
        n = _Cursor(
            c.family, c.folder, "", "", None, own=c.own, skip_slot=c.skip_slot, skip_owner=c.skip_owner, lost=c.lost
        )
        n.above = [line.strip(), *c.above[: SIGHT_LINES - 1]]
        n.raw_above = [line, *c.raw_above[: CONTEXT_LINES - 1]]
        n.next_body, n.next_literal, n.next_shape = c.next_body, c.next_literal, c.next_shape
        self._key_above(n)
        return n

    def _key_above(self, c: _Cursor) -> None:
        for raw in c.raw_above:
            body = raw.strip()
            c.literal.append(line_key(body))
            c.shapes.append(self._index.shape_key(body))

    def _places(self, c: _Cursor) -> Iterable[int]:
        """Slots of lines that may be what comes, best keys first."""
        kinds = self._index.kinds
        l1, l2, *_ = (*c.literal[:2], 0, 0)
        s1, s2, *_ = (*c.shapes[:2], 0, 0)
        keys = [
            (lineindex.LITERAL_2, pair_key(c.family, l2, l1)),
            (lineindex.SHAPE_2, pair_key(c.family, s2, s1)),
            (lineindex.LITERAL_1, pair_key(c.family, 0, l1)),
            (lineindex.SHAPE_1, pair_key(c.family, 1, s1)),
        ]
        solid = [t for t in c.typed_tokens if not t.isspace()]
        if solid and _unfinished(c.typed):
            solid.pop()
        for kind, count in lineindex.PREFIXES:
            if len(solid) >= count:
                keys.append((kind, prefix_key(c.family, solid[:count])))
                break
        found: dict[int, None] = {}
        for kind, key in keys:
            found.update(dict.fromkeys(kinds[kind].find(key, FOUND_PER_KEY_MAX, STEPS_PER_KEY_MAX)))
        return found

    def _collect(self, c: _Cursor) -> dict[str, Evidence]:
        index = self._index
        found: dict[str, Evidence] = {}
        rewritten = 0
        for slot in self._places(c):
            if slot == c.skip_slot or index.owner[slot] == c.skip_owner:
                continue
            body = index.text[slot].strip()
            literal, alike = self._compare_above(c, slot)
            if c.lost and index.owner[slot] == c.own and literal == len(c.literal):
                # Most likely the cursor's own line, as it was.
                continue
            indent, level = self._new_indent(c, slot)
            if indent is None and not c.typed:
                continue
            place = _Place(slot, literal, len(alike), indent is not None and level)
            front = indent if c.indent is None and indent is not None else ""
            better = False
            if literal < len(alike) and rewritten < REWRITTEN_MAX:
                rewritten += 1
                better = self._note_rewritten(found, c, place, body, alike, front)
            if body.startswith(c.typed):
                self._note(found, c, place, front + body[len(c.typed) :], factor=STALE_FACTOR if better else 1.0)
        if len(c.typed_tokens) >= 2:
            self._note_siblings(found, c)
        return found

    def _compare_above(self, c: _Cursor, slot: int) -> tuple[int, list[int]]:
        """How many lines above are the same as the cursor's, and the slots of those that at least look alike."""
        index = self._index
        literal = 0
        alike: list[int] = []
        for i, above in zip(range(len(c.literal)), index.above(slot)):  # noqa: B905 - ends with the shorter
            if index.literal[above] == c.literal[i]:
                literal += literal == i
            elif index.shapes[above] != c.shapes[i]:
                break
            alike.append(above)
        return literal, alike

    def _note_rewritten(
        self, found: dict[str, Evidence], c: _Cursor, place: _Place, body: str, alike: list[int], front: str
    ) -> bool:
        """Add the line with the names of here; False if that changes nothing or does not begin as typed."""
        pattern = tokens(body)
        renamed: dict[str, str] = {}
        if not _typed_names(pattern, c.typed_tokens, renamed):
            return False
        for i, above in enumerate(alike):
            if i not in c.above_tokens:
                c.above_tokens[i] = tokens(c.above[i])
            names(tokens(self._index.text[above].strip()), c.above_tokens[i], renamed)
        result = rewrite(pattern, renamed, self._sight(c))
        if not result.replaced or not result.text.startswith(c.typed):
            return False
        rest = front + result.text[len(c.typed) :]
        self._note(found, c, place, rest, replaced=result.replaced, unknown=result.unknown)
        return True

    def _note_siblings(self, found: dict[str, Evidence], c: _Cursor) -> None:
        """Lines just above as patterns of this one: `self.a = a` for `self.b`."""
        noted = 0
        for body in c.above[:SIBLING_LINES]:
            pattern = tokens(body)
            renamed: dict[str, str] = {}
            if (pattern[0] != c.typed_tokens[0] and not is_name(pattern[0])) or not _typed_names(
                pattern, c.typed_tokens, renamed
            ):
                continue
            result = rewrite(pattern, renamed, self._sight(c))
            if result.text.startswith(c.typed):
                rest = result.text[len(c.typed) :]
                self._note(found, c, None, rest, replaced=result.replaced, unknown=result.unknown)
                noted += 1
                if noted == SIBLINGS_MAX:
                    return

    def _sight(self, c: _Cursor) -> set[str]:
        if not c.sight:
            c.sight = set(c.typed_tokens).union(*(tokens(body) for body in c.above))
        return c.sight

    def _new_indent(self, c: _Cursor, slot: int) -> tuple[str | None, bool]:
        """Indentation that puts the line of `slot` here as it is there, None if that is not where the cursor is.

        And whether it is deeper or less deep by as many columns as there.
        """
        index = self._index
        above = index.before[slot]
        there = _columns(index.text[slot]) - _columns(index.text[above]) if above else 0
        last = c.raw_above[0] if c.raw_above else ""
        if c.indent is not None:
            here = len(c.indent.expandtabs(TAB_COLUMNS)) - _columns(last)
            # Deeper, level or back out: by how much may differ between files.
            return c.indent if (here > 0) == (there > 0) and (here < 0) == (there < 0) else None, here == there
        if index.gap[slot]:
            return None, False
        present = _indentation(last)
        if there == 0:
            return present, True
        if there > 0:
            extra = index.text[slot][: _indent_chars(index.text[slot])][_indent_chars(index.text[above]) :]
            return present + extra if extra and extra[0] == (present or extra)[0] else None, True
        wanted = _columns(last) + there
        return next((_indentation(line) for line in c.raw_above if _columns(line) == wanted), None), True

    def _note(
        self,
        found: dict[str, Evidence],
        c: _Cursor,
        place: _Place | None,
        rest: str,
        *,
        replaced: int = 0,
        unknown: int = 0,
        factor: float = 1.0,
    ) -> None:
        """Add one place's evidence for `rest` (None: a sibling line)."""
        if not rest.endswith(c.after):
            return
        rest = rest[: len(rest) - len(c.after)].rstrip()
        if not _WORD.search(rest) or (c.typed + rest + c.after).strip() == c.next_body:
            return
        e = found.get(rest)
        if e is None:
            e = found[rest] = Evidence(rest)
        e.places += 1
        e.exact |= not replaced
        e.replaced = min(e.replaced, replaced)
        e.unknown = min(e.unknown, unknown)
        doubt = UNKNOWN_NAME_FACTOR**unknown
        if place is None:
            e.sibling = e.indent = True
            e.weight += SIBLING_WEIGHT * doubt
            return
        index, slot = self._index, place.slot
        weight = LITERAL_FACTOR ** min(place.literal, 4) * SHAPE_FACTOR ** min(place.shape, 5)
        weight *= doubt * factor
        e.literal = max(e.literal, place.literal)
        e.shape = max(e.shape, place.shape)
        if place.indent:
            e.indent = True
            weight *= INDENT_FACTOR
        if (below := index.after[slot]) and c.next_literal:
            if index.shapes[below] == c.next_shape:
                e.next_shape = True
                weight *= NEXT_SHAPE_FACTOR
            if index.literal[below] == c.next_literal:
                e.next_literal = True
                weight *= NEXT_LITERAL_FACTOR
        owner = index.owner[slot]
        e.files.add(owner)
        if owner == c.own:
            e.same_file = True
            weight *= SAME_FILE_FACTOR
        if self._by_number[owner].folder == c.folder:
            e.same_folder = True
            weight *= SAME_FOLDER_FACTOR
        if bool(index.gap[slot]) == c.gap:
            e.gap = True
            weight *= GAP_FACTOR
        e.weight += weight
        if weight > e.slot_weight:
            e.slot, e.slot_weight = slot, weight

    def _refuse(self, path: str) -> bool:
        self.remove(path)
        return False


def best(predictions: Iterable[CopyPrediction | None]) -> CopyPrediction | None:
    """The most confident of the predictions of several models for one cursor; the first of equals."""
    return max((p for p in predictions if p is not None), key=lambda p: p.confidence, default=None)


def _family(path: str, language: str) -> int:
    """Files of one family learn from each other: by the name's ending, else by the LSP language id."""
    suffix = PurePosixPath(path.replace("\\", "/")).suffix.lower()
    return hash(_FAMILIES.get(suffix, suffix) or _LANGUAGE_FAMILIES.get(language, language)) & KEY_MASK


def _unfinished(typed: str) -> bool:
    """Whether the last word may go on."""
    return typed[-1:].isalnum() or typed[-1:] == "_"


def _typed_names(pattern: Sequence[str], typed: Sequence[str], renamed: dict[str, str]) -> bool:
    """Line up what is typed with the front of `pattern`; False if it does not go on like this."""
    if len(typed) > len(pattern):
        return False
    done = len(typed) - 1 if typed and _unfinished(typed[-1]) else len(typed)
    if not names(pattern[:done], typed[:done], renamed):
        return False
    if done == len(typed):
        return True
    if pattern[done].startswith(typed[done]):
        return True
    if is_name(pattern[done]) and is_name(typed[done]):
        # It may be unfinished, but only as a whole name can it stand for another.
        renamed.setdefault(pattern[done], typed[done])
        return True
    return False


def _indent_chars(text: str) -> int:
    return len(text) - len(text.lstrip())


def _indentation(text: str) -> str:
    return text[: _indent_chars(text)]


def _columns(text: str) -> int:
    """Width of the indentation with tabs of TAB_COLUMNS."""
    return len(_indentation(text).expandtabs(TAB_COLUMNS))
