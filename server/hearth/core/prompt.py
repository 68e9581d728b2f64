"""The prompt of a completion, laid out so that a server's prefix cache keeps nearly all of it from key to key.

The text around the cursor is frozen at an *anchor*: everything up to and including the model's middle token (the
`head`) stays byte for byte the same while the user types, and the typed text (the `tail`) is appended after it, as if
the model had written it. A keystroke then costs the model a token or two instead of the whole suffix. Measured on
llama.cpp this is about 18 times cheaper than rebuilding prefix-suffix-middle at every key.

A new anchor is taken only when the frozen text no longer describes the document: a jump, a changed prefix, a changed
suffix, a tail that grew too long. The window before the cursor begins at a multiple of WINDOW_STEP_LINES, so that a new
anchor further down still shares its beginning with the old one.
"""

from dataclasses import dataclass

from hearth.core.dialect import Dialect
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
SUFFIX_COMPARED_CHARS = 400
"""A frozen suffix still serves while this much of it, after the cursor's line, is unchanged."""
CHARS_PER_TOKEN_MIN = 2.5
"""Code has 2.5 to 4 characters a token; the small figure keeps a prompt inside the context window."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A frozen prompt. `before` and `after` are the document's text (LF line endings) that `head` was rendered from.

    `from_start`: `before` begins at the document's first character.
    """

    before: str
    after: str
    head: str
    from_start: bool
    dialect: Dialect


def anchor_at(
    snapshot: Snapshot, position: Position, dialect: Dialect, *, path: str, repo: str, prompt_tokens_max: int
) -> Anchor:
    """Freeze the text around the start of the cursor's line (so that backspacing within the line keeps the anchor)."""
    room = max(200, int(prompt_tokens_max * CHARS_PER_TOKEN_MIN) - TAIL_CHARS_MAX - len(path) - len(repo))
    suffix_room = min(SUFFIX_CHARS_MAX, room // 4)
    first, before = _window_before(snapshot, position.line, min(PREFIX_CHARS_MAX, room - suffix_room))
    after = _window_after(snapshot, position, suffix_room)
    return Anchor(before, after, _render(dialect, before, after, path, repo), first == 0, dialect)


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
    return now.strip()[:count] == anchor.after.strip()[:count] or now[:count] == anchor.after[:count]


def _render(dialect: Dialect, before: str, after: str, path: str, repo: str) -> str:
    before, after = _harmless(before, dialect), _harmless(after, dialect)
    path, repo = _harmless(path, dialect), _harmless(repo, dialect)
    header = dialect.file.format(path=path) if dialect.file and path else ""
    outside, inside = ("", header) if dialect.path_inside else (header, "")
    if dialect.repo and repo and header:
        outside = dialect.repo.format(repo=repo) + outside
    if dialect.order == "spm":
        return f"{outside}{dialect.suffix}{after}{dialect.prefix}{inside}{before}{dialect.middle}"
    return f"{outside}{dialect.prefix}{inside}{before}{dialect.suffix}{after}{dialect.middle}"


def _harmless(text: str, dialect: Dialect) -> str:
    """Break control tokens that occur in the user's own text: the model would take them for the real ones."""
    for token in dialect.tokens:
        if token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
