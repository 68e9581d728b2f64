"""The prompt of a completion, laid out so that a server's prefix cache keeps nearly all of it from key to key.

The text around the cursor is frozen at an *anchor*: everything up to and including the model's middle token (the
`head`) stays byte for byte the same while the user types, and the typed text (the `tail`) is appended after it, as if
the model had written it. A keystroke then costs the model a token or two instead of the whole suffix. Measured on
llama.cpp this is about 18 times cheaper than rebuilding prefix-suffix-middle at every key.

A new anchor is taken only when the frozen text no longer describes the document: a jump, a changed prefix, a suffix
that changed by more than a little, a tail that grew too long. The window before the cursor begins at a multiple of
WINDOW_STEP_LINES, so that a new anchor further down still shares its beginning with the old one.

A head is made of segments in the order of their stability, so that a change of one leaves the bytes before it alone:

    PROJECT  snippets of other places, in pages that are only ever appended to (core.background)
    FILE     the file's name, and its imports where the window does not reach them
    RECENT   recent edits elsewhere, and what tools say about the lines nearby
    CURSOR   the window before the cursor, what follows it, and the middle token

Dialects with `order == "spm"` want what follows the cursor first; their other segments keep the order.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from hearth.core.background import EMPTY, Background
from hearth.core.context import HUNKS_MAX, Snippet, commented, diagnostics_text, edits_text, imports_of
from hearth.core.dialect import Dialect
from hearth.core.origin import PRODUCT, Origin
from hearth.core.text import Position, Snapshot

WINDOW_STEP_LINES = 64
WINDOW_LINES = 64
"""The window holds WINDOW_LINES to WINDOW_LINES + WINDOW_STEP_LINES lines before the cursor's."""
PREFIX_CHARS_MAX = 8_000
SUFFIX_CHARS_MAX = 2_000
SUFFIX_LINES_MAX = 40
TAIL_CHARS_SOFT = 600
"""Beyond this a new anchor is taken at the next blank line, where little is lost."""
TAIL_CHARS_MAX = 1_500
SUFFIX_SHORT_CHARS = 60
SUFFIX_COMPARED_CHARS = 400
"""A frozen suffix still serves while this much of it, after the cursor's line, is unchanged."""
SUFFIX_COMPARED_TOKENS = 50
SUFFIX_CHANGED_SHARE_MAX = 0.1
"""It also serves while its first token is the same and less than this share of the first tokens differs."""
CHARS_PER_TOKEN_MIN = 2.5
"""Code has 2.5 to 4 characters a token; the small figure keeps a prompt inside the context window."""
UNNAMED = "untitled"
"""Stands for the name of the current file where it has none but other files precede it."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Stability(IntEnum):
    """How long a segment stays as it is, the longest first: the order in which segments are rendered."""

    PROJECT = 1
    FILE = 2
    RECENT = 3
    CURSOR = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a prompt, and where its text is from: never empty, nothing stands in a prompt unjudged."""

    stability: Stability
    text: str
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Anchor:
    """A frozen prompt. `before` and `after` are the document's text (LF line endings) that `head` was rendered from.

    `from_start`: `before` begins at the document's first character. `head` is what `segments` are together.
    """

    before: str
    after: str
    head: str
    from_start: bool
    dialect: Dialect
    segments: tuple[Segment, ...] = ()


OriginOf = Callable[[str], Origin]


def of_nobody_knows_what(uri: str) -> Origin:
    """The origin of a document where nobody tells: it may be shown to a model on this machine, and go nowhere else."""
    return Origin("summary", name=uri)


def anchor_at(
    snapshot: Snapshot,
    position: Position,
    dialect: Dialect,
    *,
    path: str,
    repo: str,
    prompt_tokens_max: int,
    background: Background = EMPTY,
    previous: Anchor | None = None,
    origin_of: OriginOf = of_nobody_knows_what,
) -> Anchor:
    """Freeze the text around the start of the cursor's line (so that backspacing within the line keeps the anchor).

    `background` is what stands before the file's own text. `previous` is the document's last anchor: where a dialect
    puts the suffix first, its suffix is kept while the document's differs little, because all the rest follows it.
    `origin_of` gives the origin of a document by its URI.
    """
    room = max(200, int(prompt_tokens_max * CHARS_PER_TOKEN_MIN) - TAIL_CHARS_MAX - len(path) - len(repo))
    here = origin_of(snapshot.uri)
    project, recent = _affordable(background, dialect, snapshot.language, room // 3, origin_of, here)
    room -= sum(len(segment.text) for segment in (*project, *recent))
    imports = imports_of(snapshot.lines[: position.line], snapshot.language)
    imports_room = sum(len(line) + 1 for _, line in imports) + 1
    imports, imports_room = (imports, imports_room) if imports_room <= room // 4 else ((), 0)
    room -= imports_room
    suffix_room = min(SUFFIX_CHARS_MAX, room // 4)
    first, before = _window_before(snapshot, position.line, min(PREFIX_CHARS_MAX, room - suffix_room))
    after = _window_after(snapshot, position, suffix_room)
    if dialect.order == "spm" and previous and previous.dialect == dialect and _like(previous.after, after):
        after = previous.after
    above = "".join(f"{line}\n" for number, line in imports if number < first)
    above = f"{above}\n" if above else ""
    parts = _Parts(repo, path, above, before, after, here, project, recent)
    segments = _laid_out(parts, dialect)
    head = "".join(segment.text for segment in segments)
    return Anchor(before, after, head, first == 0, dialect, segments)


def tail_of(anchor: Anchor, snapshot: Snapshot, position: Position) -> str | None:
    """The text typed since `anchor`, to be appended to its head; None if the anchor no longer fits the document."""
    room = len(anchor.before) + TAIL_CHARS_MAX
    if snapshot.lines[0].endswith("\r\n"):
        room += anchor.before.count("\n") + TAIL_CHARS_MAX  # a CRLF counts twice until it is an LF
    raw = snapshot.before(position, room + 1)
    text = lf(raw)
    if anchor.from_start:
        at = 0 if len(raw) <= room and text.startswith(anchor.before) else -1
    else:
        at = text.find(anchor.before)
    if at < 0:
        return None
    tail = text[at + len(anchor.before) :]
    if len(tail) > TAIL_CHARS_MAX or (len(tail) > TAIL_CHARS_SOFT and tail.endswith("\n\n")):
        return None
    return tail if _same_after(anchor, snapshot, position) else None


def rendered(anchor: Anchor, tail: str) -> str:
    """The prompt to send: the frozen head and what was typed since, without anything the model reads as a token."""
    return anchor.head + _harmless(tail, anchor.dialect)


def lf(text: str) -> str:
    """Text with LF line endings, as every model and every comparison wants it."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _window_before(snapshot: Snapshot, line: int, chars_max: int) -> tuple[int, str]:
    first = max(0, (line - WINDOW_LINES) // WINDOW_STEP_LINES * WINDOW_STEP_LINES)
    text = lf("".join(snapshot.lines[first:line]))
    while len(text) > chars_max and first < line:
        # Whole steps first, so that the window still begins at a place where it stays for a while.
        step = WINDOW_STEP_LINES // 4 if line - first > WINDOW_STEP_LINES // 4 else 1
        first += step
        text = lf("".join(snapshot.lines[first:line]))
    return first, text


def _window_after(snapshot: Snapshot, position: Position, chars_max: int) -> str:
    """Lines below the cursor's. The rest of the cursor's own line is left out: it is closing brackets at most, the
    editor adds and removes them while one types, and the trimmer never repeats them."""
    text = "\n" + lf("".join(snapshot.lines[position.line + 1 : position.line + 1 + SUFFIX_LINES_MAX]))
    if len(text) <= chars_max:
        return text
    return text[: text.rfind("\n", 0, chars_max) + 1]


def _same_after(anchor: Anchor, snapshot: Snapshot, position: Position) -> bool:
    count = SUFFIX_COMPARED_CHARS
    now = "\n" + lf("".join(snapshot.lines[position.line + 1 : position.line + 1 + SUFFIX_LINES_MAX]))
    size = min(count, len(anchor.after))
    return (
        (size >= SUFFIX_SHORT_CHARS and now[:size] == anchor.after[:size])  # a short prompt has a short suffix
        or now[:count] == anchor.after[:count]
        or now.strip()[:count] == anchor.after.strip()[:count]
        or _like(anchor.after, now)
    )


def _like(then: str, now: str) -> bool:
    """Whether two suffixes begin alike: the first token is the same and the first SUFFIX_COMPARED_TOKENS differ by
    less than SUFFIX_CHANGED_SHARE_MAX of them."""
    mine, others = _first_tokens(then), _first_tokens(now)
    if not mine or not others or mine[0] != others[0]:
        return mine == others
    longest = max(len(mine), len(others))
    return _distance(mine, others, longest) < SUFFIX_CHANGED_SHARE_MAX * longest


def _first_tokens(text: str) -> list[str]:
    return [match.group() for match, _ in zip(_TOKEN.finditer(text), range(SUFFIX_COMPARED_TOKENS), strict=False)]


def _distance(a: Sequence[str], b: Sequence[str], longest: int) -> int:
    """Edit distance of two lists as far as it matters here; `longest` stands for "too far". Only a band of the table
    is computed."""
    band = int(SUFFIX_CHANGED_SHARE_MAX * longest)
    row = {column: column for column in range(min(band, len(b)) + 1)}
    for number in range(1, len(a) + 1):
        fresh: dict[int, int] = {}
        for column in range(max(0, number - band), min(len(b), number + band) + 1):
            best = row.get(column, longest) + 1
            if column:
                changed = 0 if a[number - 1] == b[column - 1] else 1
                best = min(best, row.get(column - 1, longest) + changed, fresh.get(column - 1, longest) + 1)
            fresh[column] = best
        row = fresh
    return row.get(len(b), longest)


@dataclass(frozen=True, slots=True)
class _Parts:
    repo: str
    path: str
    imports: str
    before: str
    after: str
    here: Origin
    project: tuple[Segment, ...]
    recent: tuple[Segment, ...]


def _laid_out(parts: _Parts, dialect: Dialect) -> tuple[Segment, ...]:
    """The segments of a head in the order in which the dialect's models were trained to see them."""
    path = parts.path or (UNNAMED if parts.project and dialect.file else "")
    header = dialect.file.format(path=_harmless(path, dialect)) if dialect.file and path else ""
    repo = dialect.repo.format(repo=_harmless(parts.repo, dialect)) if dialect.repo and parts.repo and header else ""
    imports, before, after = (_harmless(text, dialect) for text in (parts.imports, parts.before, parts.after))
    file = f"{dialect.prefix}{header}{imports}" if dialect.path_inside else f"{header}{dialect.prefix}{imports}"
    project = parts.project
    if not _outside(dialect):
        # The prefix token comes first and the other files follow it, as text.
        first = project[0] if project else None
        file = file.replace(dialect.prefix, "", 1) if first else file
        if first:
            project = (Segment(Stability.PROJECT, dialect.prefix + first.text, first.origins), *project[1:])
    here = (parts.here,)
    head = [Segment(Stability.PROJECT, repo, here), *project, Segment(Stability.FILE, file, here), *parts.recent]
    suffix = Segment(Stability.CURSOR, f"{dialect.suffix}{after}", here)
    window = Segment(Stability.CURSOR, before, here)
    end = Segment(Stability.CURSOR, dialect.middle, (PRODUCT,))
    if dialect.order == "spm":
        whole = [suffix, *head, window, end] if not _outside(dialect) else [head[0], suffix, *head[1:], window, end]
    else:
        whole = [*head, window, suffix, end]
    return tuple(segment for segment in whole if segment.text)


def _outside(dialect: Dialect) -> bool:
    """Whether other files stand before the prefix token: so where a control token of its own begins a file."""
    return any(dialect.file.startswith(token) for token in dialect.tokens)


def _affordable(
    background: Background, dialect: Dialect, language: str, chars_max: int, origin_of: OriginOf, here: Origin
) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """PROJECT and RECENT as segments; what does not fit is left out from the end, snippet by snippet, so that the
    same background always gives the same bytes in the same context window."""
    project: list[Segment] = []
    for snippet in background.snippets:
        text = _shown(snippet, dialect, language)
        if not text or len(text) > chars_max:
            break
        project.append(Segment(Stability.PROJECT, text, (origin_of(snippet.origin),)))
        chars_max -= len(text)
    told = "\n".join(part for part in (edits_text(background.hunks), diagnostics_text(background.diagnostics)) if part)
    comment = commented(told, language)
    recent = f"{_harmless(comment, dialect)}\n\n" if comment else ""
    if not recent or len(recent) > chars_max:
        return tuple(project), ()
    # What tools say, they say of the document at hand.
    told_of = dict.fromkeys((*(origin_of(hunk.origin) for hunk in background.hunks[-HUNKS_MAX:]), here))
    return tuple(project), (Segment(Stability.RECENT, recent, tuple(told_of)),)


def _shown(snippet: Snippet, dialect: Dialect, language: str) -> str:
    """One snippet as the dialect names files, or as comments of the current language where it does not name them."""
    text = snippet.text.strip("\n")
    if dialect.file:
        header = dialect.file.format(path=_harmless(snippet.path, dialect))
        return f"{header}{_harmless(text, dialect)}{dialect.file_end}"
    comment = commented(f"{snippet.path}\n{text}", language)
    return f"{_harmless(comment, dialect)}\n\n" if comment else ""


def _harmless(text: str, dialect: Dialect) -> str:
    """Break control tokens that occur in the user's own text: the model would take them for the real ones."""
    for token in dialect.tokens:
        if token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
