"""Masks secrets before text leaves the machine, and puts them back into what returns.

A secret is a known value, what a rule finds, or what either finds in another reading of the text (see
`hearth.core.secret_views`). Each gets a placeholder that stays the same as long as the `Redactor` lives, one
conversation. Secrets are never logged, shown or part of an error.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from hearth.core.secret_rules import RULE_NAMES
from hearth.core.secret_scan import MASK, Found, Scanner, scanner
from hearth.core.secret_values import KnownValues
from hearth.core.secret_views import views

DEPTH_MAX = 2
"""How many encodings may be wrapped around a secret."""
ROUNDS_MAX = 4
"""A mask changes what stands beside a text; so it is looked at again until nothing more is found."""
SECRETS_MAX = 10_000
"""Secrets of one conversation that can be put back; more are masked for good."""
PLACEHOLDER_CHARS_MAX = 120
PIECE_CHARS_MIN = 4
"""What is left of a secret beside a placeholder, if it is shorter, says nothing."""
BESIDE_CHARS = 300
"""How far from a mask it may matter that it is there; whole lines are looked at."""
KNOWN_RULE = "known-value"

_LABELS = RULE_NAMES | {KNOWN_RULE}
_PLACEHOLDER = re.compile(r"<HEARTH_SECRET_\d{1,6}:([a-z0-9-]{1,48})>")
_NUMBER = re.compile(r"(?i)hearth\\?_secret\\?_(\d{1,6})")


class Span(NamedTuple):
    """What was masked: the rule, and where in the text that was handed in (code points)."""

    rule: str
    start: int
    end: int


class Redacted(NamedTuple):
    text: str
    spans: tuple[Span, ...]


class Redactor:
    """Masks and restores within one conversation."""

    def __init__(self, known: KnownValues | Iterable[str] = (), rules: Scanner | None = None) -> None:
        self._known = known if isinstance(known, KnownValues) else KnownValues(known)
        self._scanner = rules or scanner()
        self._placeholders: dict[str, str] = {}
        self._values: dict[int, str] = {}
        self._next = 1

    def __repr__(self) -> str:
        return f"Redactor({len(self._values)} secrets)"

    def learn(self, known: KnownValues) -> None:
        """From now on these are the known values; placeholders that were given stay."""
        self._known = known

    def redact(self, text: str) -> Redacted:
        """The text with every secret masked, and what was masked. Masked text comes back as it is."""
        spans = self._find(text)
        masked = self._masked(text, spans)
        for _ in range(ROUNDS_MAX):
            more = self._beside_masks(masked) if spans else []
            if not more:
                break
            spans = _merged([*spans, *self._back(text, spans, more)])
            masked = self._masked(text, spans)
        return Redacted(masked, tuple(spans))

    def restore(self, text: str) -> str:
        """The text with this conversation's placeholders replaced by what they stand for."""
        return _WRITTEN.sub(self._restored, text) if self._values else text

    def restorer(self) -> "Restorer":
        return Restorer(self)

    def _restored(self, found: re.Match[str]) -> str:
        return self._values.get(int(found.group(1)), found.group())

    def _find(self, text: str) -> list[Span]:
        # A placeholder's own letters look like a secret's name to some rules.
        bare = _PLACEHOLDER.sub(_blank, text)
        data = bare.encode("utf-8", "surrogatepass")
        spans = _in_code_points(bare, data, self._found(data, DEPTH_MAX))
        if bare != text:
            spans = [piece for span in spans for piece in _beside_placeholders(text, span)]
        return _merged(spans)

    def _beside_masks(self, masked: str) -> list[Span]:
        """What is found where a mask has changed what stands beside it: the lines around each."""
        spans: list[Span] = []
        start = end = 0
        for mask in _PLACEHOLDER.finditer(masked):
            begin = _line_start(masked, mask.start())
            if begin > end:
                spans += self._find_within(masked, start, end)
                start = begin
            end = max(end, _line_end(masked, mask.end()))
        return [*spans, *self._find_within(masked, start, end)]

    def _find_within(self, text: str, start: int, end: int) -> list[Span]:
        return [Span(rule, a + start, b + start) for rule, a, b in self._find(text[start:end])]

    def _found(self, data: bytes, depth: int) -> list[Found]:
        found = [Found(KNOWN_RULE, start, end) for start, end in self._known.find(data)] if len(self._known) else []
        found += self._scanner.scan(data)
        if depth:
            for view in views(data):
                for rule, start, end in self._found(view.data, depth - 1):
                    found.append(Found(rule, *view.place(start, end)))
        return found

    def _masked(self, text: str, spans: list[Span]) -> str:
        taken = {int(number) for number in _NUMBER.findall(text)} if "earth" in text.lower() else set[int]()
        parts: list[str] = []
        at = 0
        for rule, start, end in spans:
            parts += (text[at:start], self._placeholder(rule, text[start:end], taken))
            at = end
        return "".join((*parts, text[at:]))

    def _placeholder(self, rule: str, value: str, taken: set[int]) -> str:
        known = self._placeholders.get(value)
        if known is not None:
            return known
        if len(self._values) >= SECRETS_MAX:
            return f"<HEARTH_SECRET_0:{rule}>"
        # A number that the text already shows would be taken for ours when it returns.
        while self._next in taken:
            self._next += 1
        placeholder = f"<HEARTH_SECRET_{self._next}:{rule}>"
        self._placeholders[value], self._values[self._next] = placeholder, value
        self._next += 1
        return placeholder

    def _back(self, text: str, spans: list[Span], more: list[Span]) -> list[Span]:
        """Spans of the masked text as spans of the text itself; none of them touches a mask."""
        result: list[Span] = []
        shift, index = 0, 0
        for rule, start, end in more:
            while index < len(spans) and spans[index].start + shift < start:
                span = spans[index]
                value = text[span.start : span.end]
                shift += len(self._placeholders.get(value, f"<HEARTH_SECRET_0:{span.rule}>")) - len(value)
                index += 1
            result.append(Span(rule, start - shift, end - shift))
        return result


def _blank(placeholder: re.Match[str]) -> str:
    return MASK * len(placeholder.group()) if placeholder.group(1) in _LABELS else placeholder.group()


def _in_code_points(text: str, data: bytes, found: list[Found]) -> list[Span]:
    if text.isascii():
        return [Span(*each) for each in found]
    edges: dict[int, int] = {}
    at = count = 0
    for edge in sorted({edge for each in found for edge in each[1:]}):
        whole = edge
        while whole < len(data) and data[whole] & 0xC0 == 0x80:
            whole += 1
        count += len(data[at:whole].decode("utf-8", "surrogatepass"))
        at = whole
        edges[edge] = count
    # A start inside a character moves back to it, as its end has moved on behind it.
    return [
        Span(rule, edges[start] - (start < len(data) and data[start] & 0xC0 == 0x80), edges[end])
        for rule, start, end in found
    ]


def _beside_placeholders(text: str, span: Span) -> list[Span]:
    """What of a span is no placeholder."""
    pieces: list[Span] = []
    at = span.start
    window = max(0, span.start - PLACEHOLDER_CHARS_MAX)
    for found in _PLACEHOLDER.finditer(text, window, span.end + PLACEHOLDER_CHARS_MAX):
        if found.group(1) not in _LABELS or found.end() <= span.start or found.start() >= span.end:
            continue
        pieces.append(Span(span.rule, at, found.start()))
        at = found.end()
    if at == span.start:
        return [span]
    pieces.append(Span(span.rule, at, span.end))
    return [piece for piece in pieces if piece.end - piece.start >= PIECE_CHARS_MIN and _says_something(text, piece)]


def _line_start(text: str, at: int) -> int:
    """The start of the lines that reach BESIDE_CHARS before a place."""
    return text.rfind("\n", 0, max(0, at - BESIDE_CHARS)) + 1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at + BESIDE_CHARS)
    return len(text) if end < 0 else end + 1


def _says_something(text: str, piece: Span) -> bool:
    return sum(c.isalnum() for c in text[piece.start : piece.end]) >= PIECE_CHARS_MIN


def _merged(spans: list[Span]) -> list[Span]:
    """Spans in order, those that overlap made one; named after the known value, or else after the first."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end, s.rule != KNOWN_RULE)):
        if span.end <= span.start:
            continue
        if result and span.start < result[-1].end:
            last = result[-1]
            rule = KNOWN_RULE if KNOWN_RULE in (last.rule, span.rule) else last.rule
            result[-1] = Span(rule, last.start, max(last.end, span.end))
        else:
            result.append(span)
    return result


# What a model makes of a placeholder: another case, escaped or spaced out, its label lost or changed.
_ATOMS = (
    r"(?:<|&lt;)", r"[ \t]{0,2}", *(char for char in "HEARTH"), r"\\?", "_", *(char for char in "SECRET"), r"\\?", "_",
    r"(\d{1,6})", r"(?:[ \t]{0,2}:[ \t]{0,2}[0-9A-Za-z_-]{0,48})?", r"[ \t]{0,2}", r"(?:>|&gt;)",
)  # fmt: skip
_WRITTEN = re.compile("(?i)" + "".join(_ATOMS))


def _beginnings() -> re.Pattern[str]:
    """Matches a text that more characters could make a placeholder."""
    atoms = ["(?:<|&(?:l(?:t;?)?)?)", *_ATOMS[1:-3], r"(?:[ \t]{0,2}:[ \t]{0,2}[0-9A-Za-z_-]{0,48})?", r"[ \t]{0,2}"]
    pattern = r"(?:&(?:g(?:t)?)?)?"
    for atom in reversed(atoms[1:]):
        pattern = f"(?:{atom}{pattern})?"
    return re.compile(f"(?i)(?:<|&lt;){pattern}|&(?:l(?:t)?)?")


_BEGINNING = _beginnings()


class Restorer:
    """Restores a text that arrives in pieces: `feed` each, show what it returns, then what `finish` does.

    However the text was cut, all that is returned is what `Redactor.restore` makes of the whole.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def __repr__(self) -> str:
        return f"Restorer({len(self._held)} held)"

    def feed(self, text: str) -> str:
        text = self._held + text
        cut = len(text)
        for at in range(max(0, len(text) - PLACEHOLDER_CHARS_MAX), len(text)):
            if text[at] in "<&" and _BEGINNING.fullmatch(text, at):
                cut = at
                break
        self._held = text[cut:]
        return self._redactor.restore(text[:cut])

    def finish(self) -> str:
        text, self._held = self._held, ""
        return self._redactor.restore(text)
