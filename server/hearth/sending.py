"""The last gate before a completion's prompt goes to a server: may it, and in which words.

On this machine every word may be shown to a model but those of secret, excluded and foreign files. What goes to a host
of the user's own has its secrets masked as well, and what comes back has them put in again. A segment is masked once,
so that the prompt keeps its beginning from key to key; what was typed since is masked anew each time.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from hearth.backends.base import Delta, Finish
from hearth.core import policy
from hearth.core.background import Background
from hearth.core.context import CompletionContext, Hunk, Snippet
from hearth.core.origin import Destination, Origin
from hearth.core.prompt import Anchor, Stability, rendered
from hearth.core.redact import Redactor, Restorer
from hearth.errors import EgressDenied
from hearth.gateway import destination_of
from hearth.rulings import LOOK_EVERY_S, Rulings

DOCUMENTS_MAX = 64
"""Whose masked segments are kept."""
MASKED_AGAIN_S = 60.0
"""Segments are masked anew after this, for secrets that the machine has learned since."""
THREAD_CHARS_MIN = 8_000
"""About a millisecond of masking; more is done in a thread."""
SEAM_CHARS = 2_000
"""What stands before the typed text is looked at with it: a secret may have begun there."""
REMEDY = "What may go into a prompt is decided by ignore files, the names of secrets, and [privacy] in the settings."

RedactorOf = Callable[[str], Awaitable[Redactor]]
"""The redactor of a conversation, by its name."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A prompt as it may go. `restorer`: what its answer has to pass, None where nothing was masked."""

    prompt: str
    restorer: Restorer | None = None


@dataclass(slots=True)
class _Masked:
    redactor: Redactor
    since: float
    texts: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict[tuple[str, ...], tuple[str, ...]])


class Sending:
    """One per engine. `redactor_of`: see masking.Masks.of."""

    def __init__(self, rulings: Rulings, redactor_of: RedactorOf) -> None:
        self._rulings = rulings
        self._redactor_of = redactor_of
        self._admitted: dict[Destination, tuple[Anchor, str, int, float]] = {}
        self._masked: OrderedDict[str, _Masked] = OrderedDict()
        self._masking = asyncio.Lock()
        self._filtered: tuple[int, Destination, Background] | None = None

    def origin(self, uri: str) -> Origin:
        """Where a document's text is from."""
        return self._rulings.origin(uri)

    async def cleared(self, context: CompletionContext, url: str) -> CompletionContext:
        """What was gathered, without what may not stand in a prompt for the server at `url`."""
        found: tuple[Snippet | Hunk, ...] = (*context.snippets, *context.hunks)
        await self._rulings.prepare({self.origin(one.origin) for one in found}, LOOK_EVERY_S)
        may = self._may(destination_of(url))
        snippets = tuple(one for one in context.snippets if may(one.origin))
        return replace(context, snippets=snippets, hunks=tuple(one for one in context.hunks if may(one.origin)))

    def kept(self, background: Background, url: str) -> Background:
        """The background without what may not stand in a prompt (any more). Costs nothing while nothing changes."""
        destination = destination_of(url)
        known = self._filtered
        if known and known[:2] == (self._rulings.version, destination) and known[2] is background:
            return background
        may = self._may(destination)
        pages = tuple(
            page
            for page in (tuple(snippet for snippet in page if may(snippet.origin)) for page in background.pages)
            if page
        )
        hunks = tuple(hunk for hunk in background.hunks if may(hunk.origin))
        if pages != background.pages or hunks != background.hunks:
            background = replace(background, pages=pages, hunks=hunks)
        self._filtered = (self._rulings.version, destination, background)
        return background

    def _may(self, destination: Destination) -> Callable[[str], bool]:
        rules = self._rulings.rules()
        return lambda uri: policy.decide((self.origin(uri),), destination, "prompt", rules).allowed

    async def ready(self, uri: str, anchor: Anchor, tail: str, url: str) -> Sent:
        """The prompt of `anchor` and `tail`, as it may go to the server at `url`. Raises EgressDenied."""
        destination = destination_of(url)
        await self._admit(uri, anchor, destination)
        if destination == "machine":
            return Sent(rendered(anchor, tail))
        redactor = await self._redactor_of(f"document {uri}")
        async with self._masking:
            masked = await self._head(uri, anchor, redactor)
            typed = masked_apart(redactor, (anchor.before[-SEAM_CHARS:], tail))[1]
        return Sent(rendered(replace(anchor, head=masked), typed), redactor.restorer())

    async def texts(self, texts: Sequence[tuple[str, Origin]], destination: Destination) -> list[str | None]:
        """Texts to be embedded, as they may go there; None for each that may not."""
        await self._rulings.prepare([origin for _, origin in texts], LOOK_EVERY_S)
        rules = self._rulings.rules()
        found = [
            text if policy.decide((origin,), destination, "prompt", rules).allowed else None for text, origin in texts
        ]
        if destination == "machine":
            return found
        redactor = await self._redactor_of("embedding")
        async with self._masking:
            return await asyncio.to_thread(
                lambda: [None if one is None else redactor.redact(one).text for one in found]
            )

    async def _admit(self, uri: str, anchor: Anchor, destination: Destination) -> None:
        now = time.monotonic()
        known = self._admitted.get(destination)
        if known and known[0] is anchor and known[1:3] == (uri, self._rulings.version) and now < known[3]:
            return
        origins = list(dict.fromkeys(origin for segment in anchor.segments for origin in segment.origins))
        origins.append(self.origin(uri))
        await self._rulings.prepare(origins, LOOK_EVERY_S)
        decision = policy.decide(origins, destination, "prompt", self._rulings.rules())
        if not decision.allowed:
            self._admitted.pop(destination, None)
            raise EgressDenied(decision.reason, REMEDY)
        self._admitted[destination] = (anchor, uri, self._rulings.version, now + LOOK_EVERY_S)

    async def _head(self, uri: str, anchor: Anchor, redactor: Redactor) -> str:
        """The anchor's head with its secrets masked, segment by segment, each once."""
        known = self._masked.pop(uri, None)
        now = time.monotonic()
        if known is None or known.redactor is not redactor or now - known.since > MASKED_AGAIN_S:
            known = _Masked(redactor, now)
        self._masked[uri] = known
        while len(self._masked) > DOCUMENTS_MAX:
            self._masked.popitem(last=False)
        texts: dict[tuple[str, ...], tuple[str, ...]] = {}
        found: dict[int, str] = {}
        for group in _groups(anchor):
            key = tuple(anchor.segments[at].text for at in group)
            masked = known.texts.get(key)
            if masked is None:
                args = (redactor, key, anchor.dialect.tokens)
                large = sum(map(len, key)) >= THREAD_CHARS_MIN
                masked = await asyncio.to_thread(_masked_texts, *args) if large else _masked_texts(*args)
            texts[key] = masked
            found.update(zip(group, masked, strict=True))
        known.texts = texts
        return "".join(found[at] for at in range(len(anchor.segments)))


async def restored(events: AsyncGenerator[Delta | Finish], restorer: Restorer | None) -> AsyncGenerator[Delta | Finish]:
    """A stream with what its placeholders stand for. A piece that may be the beginning of one is held back."""
    if restorer is None:
        async for event in events:
            yield event
        return
    logprobs: tuple[float, ...] = ()
    async for event in events:
        if isinstance(event, Finish):
            if text := restorer.finish():
                yield Delta(text, logprobs=logprobs)
            yield event
            return
        logprobs += event.logprobs
        if text := restorer.feed(event.text):
            yield Delta(text, event.usage, logprobs)
            logprobs = ()


def _groups(anchor: Anchor) -> list[tuple[int, ...]]:
    """Segments that are masked together, by number: what is before and after the cursor is one text, in this order."""
    cursor = [at for at, segment in enumerate(anchor.segments) if segment.stability is Stability.CURSOR]
    cursor.sort(key=lambda at: anchor.segments[at].text.startswith(anchor.dialect.suffix))
    alone = [(at,) for at in range(len(anchor.segments)) if at not in cursor]
    return [*alone, tuple(cursor)] if cursor else alone


def _masked_texts(redactor: Redactor, texts: Sequence[str], tokens: Sequence[str]) -> tuple[str, ...]:
    """Texts that follow each other, masked as one, but for the dialect's tokens, which are no part of any secret."""
    between = re.compile(f"({'|'.join(map(re.escape, tokens))})") if tokens else None
    cut = [between.split(text) if between else [text] for text in texts]
    masked = iter(masked_apart(redactor, [piece for pieces in cut for piece in pieces[::2]]))
    return tuple(
        "".join(piece if number % 2 else next(masked) for number, piece in enumerate(pieces)) for pieces in cut
    )


def masked_apart(redactor: Redactor, parts: Sequence[str]) -> list[str]:
    """Parts of one text, which is masked as a whole. A secret that reaches over a border is masked in the part in
    which it begins, and missing from the next."""
    whole = "".join(parts)
    masked, spans = redactor.redact(whole)
    if not spans:
        return list(parts)
    result: list[str] = []
    start = 0
    for part in parts:
        end = start + len(part)
        pieces: list[str] = []
        at, shift = start, 0
        for _, first, behind in spans:
            begin = first + shift
            placeholder = masked[begin : masked.index(">", begin) + 1]
            shift += len(placeholder) - (behind - first)
            if behind <= start or first >= end:
                continue
            pieces.append(whole[at:first])
            pieces += [placeholder] if first >= start else []
            at = min(behind, end)
        pieces.append(whole[at:end])
        result.append("".join(pieces))
        start = end
    return result
