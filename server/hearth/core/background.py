"""What stands in a prompt before the file's own text, and when it may change.

Snippets are sent in pages. A page that was sent keeps its bytes and its place; new snippets only append, and a
reordering is impossible, since either would cost the server's whole prefix cache. Everything here changes only while
the user rests: `wants_new_page` says whether it is worth it, `renewed` gives the background after it.
"""

from dataclasses import dataclass

from hearth.core.context import CompletionContext, Diagnostic, Hunk, Snippet, fitted, resembles

SNIPPET_TOKENS_MAX = 1_500
SNIPPET_TOKENS_UNMEASURED = 1_000
"""While nobody knows how fast the server reads."""
SNIPPET_PREFILL_S = 4.0
"""Snippets may take a server that reads slowly this long, once."""
SNIPPET_CONTEXT_SHARE_MAX = 0.25
"""Of the context window: the file at hand matters more."""
CHARS_PER_TOKEN = 3.0
PAGE_CHARS_MIN = 300
"""A page moves all that stands after it, so a few lines are not worth one."""
PAGES_MAX = 16
WANTED_SHARE_MIN = 1 / 3
"""Full pages are given up when less than this of their text is still among the best snippets."""
FAST_PREFILL_TOKENS_PER_S = 1_500
"""From this rate on a new error nearby is a reason of its own to renew the prompt."""


@dataclass(frozen=True, slots=True)
class Background:
    """`pages`: snippets in the order in which they were sent. `hunks`, `diagnostics`: the RECENT segment."""

    pages: tuple[tuple[Snippet, ...], ...] = ()
    hunks: tuple[Hunk, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def snippets(self) -> tuple[Snippet, ...]:
        """Those of all pages, in order."""
        return tuple(snippet for page in self.pages for snippet in page)

    @property
    def chars(self) -> int:
        """Size of the pages."""
        return sum(_size(snippet) for snippet in self.snippets)


EMPTY = Background()


def snippet_tokens_max(prefill_tokens_per_s: float | None, context_tokens: int) -> int:
    """How many tokens of snippets a prompt may hold, given how fast the server reads (None: not measured yet)."""
    most = SNIPPET_TOKENS_UNMEASURED
    if prefill_tokens_per_s is not None:
        most = min(SNIPPET_TOKENS_MAX, int(prefill_tokens_per_s * SNIPPET_PREFILL_S))
    return max(0, min(most, int(context_tokens * SNIPPET_CONTEXT_SHARE_MAX)))


def wants_new_page(
    background: Background, context: CompletionContext, *, tokens_max: int, prefill_tokens_per_s: float | None = None
) -> bool:
    """Whether `renewed` would change anything: ask while the user rests, never at a keystroke."""
    return renewed(background, context, tokens_max=tokens_max, prefill_tokens_per_s=prefill_tokens_per_s) != background


def renewed(
    background: Background,
    context: CompletionContext,
    *,
    tokens_max: int,
    prefill_tokens_per_s: float | None = None,
    anew: bool = False,
) -> Background:
    """The background for a new anchor, taken while the user rests.

    What resembles the text at the cursor is evicted, with the pages behind it, whose other snippets come again at the
    end. New snippets are appended as one page while there is room; where there is none, pages are given up only when
    most of their text is no longer among the best. Recent edits change when there is one that was not told yet, and
    with an error that was not told yet where that costs little: on a fast server, or where the file's own text is to be
    read `anew` in any case.
    """
    pages = _pages(background, context, int(tokens_max * CHARS_PER_TOKEN))
    hunks, diagnostics = background.hunks, background.diagnostics
    news = any(hunk not in hunks for hunk in context.hunks)
    if anew or (prefill_tokens_per_s is not None and prefill_tokens_per_s >= FAST_PREFILL_TOKENS_PER_S):
        known = {(d.severity, d.message) for d in diagnostics}
        news = news or any(d.severity == "error" and (d.severity, d.message) not in known for d in context.diagnostics)
    if news or pages != background.pages:
        hunks, diagnostics = context.hunks, context.diagnostics
    return Background(pages, hunks, diagnostics)


def _pages(background: Background, context: CompletionContext, chars_max: int) -> tuple[tuple[Snippet, ...], ...]:
    offered = [s for s in context.snippets if not resembles(s.text, context.region)]
    kept: list[tuple[Snippet, ...]] = []
    for page in background.pages:
        if any(resembles(snippet.text, context.region) for snippet in page):
            break
        kept.append(page)
    evicted = len(kept) < len(background.pages)
    again = [s for page in background.pages[len(kept) :] for s in page if not resembles(s.text, context.region)]
    room = chars_max - sum(_size(snippet) for page in kept for snippet in page)
    if room < 0 or len(kept) >= PAGES_MAX:
        return _started_over(offered, chars_max)
    known = [snippet for page in kept for snippet in page]
    fresh: list[Snippet] = []
    for snippet in (*again, *offered):
        if not any(_same(snippet, other) for other in (*known, *fresh)):
            fresh.append(snippet)
    page = fitted(fresh, room)
    if len(page) < len(fresh) and _outlived([*known, *page], offered, chars_max):
        return _started_over(offered, chars_max)
    if page and (evicted or sum(map(_size, page)) >= PAGE_CHARS_MIN):
        return (*kept, page)
    return tuple(kept)


def _outlived(known: list[Snippet], offered: list[Snippet], chars_max: int) -> bool:
    """Whether most of the text that was sent is no longer among the best that there is."""
    best = fitted(offered, chars_max)
    wanted = sum(_size(snippet) for snippet in known if any(_same(snippet, other) for other in best))
    return wanted < WANTED_SHARE_MIN * sum(map(_size, known))


def _started_over(offered: list[Snippet], chars_max: int) -> tuple[tuple[Snippet, ...], ...]:
    page = fitted(offered, chars_max)
    return (page,) if page else ()


def _same(one: Snippet, other: Snippet) -> bool:
    """The same text, or a newer state of the same lines: not worth sending twice."""
    if one.text == other.text:
        return True
    return one.origin == other.origin and resembles(one.text, other.text)


def _size(snippet: Snippet) -> int:
    return len(snippet.text) + len(snippet.path)
