"""Known secret values, found however they are written: plain, encoded, escaped, or in pieces over several lines.

Values and text are both reduced to their letters and digits, in lower case. Quotes, escapes, joints between pieces and
the difference between the two base64 alphabets all vanish, so one form of a value stands for many spellings.
"""

import base64
import bisect
import json
import re
from collections.abc import Iterable, Iterator

VALUE_CHARS_MIN = 8
VALUE_CHARS_MAX = 16_384
VALUES_MAX = 4_000
GAP_BYTES_MAX = 600
"""How much may stand between the pieces of one value, in all."""
RUN_BYTES_MAX = 8_192
"""How far an encoded run is followed from the value in it."""

WORD_CHARS_MAX = 12
"""A value of letters alone that is shorter may also be two words of a sentence."""

_WINDOW = 5
_STRIDE = VALUE_CHARS_MIN - _WINDOW + 1
"""Any stretch of VALUE_CHARS_MIN holds a whole window that begins at a multiple of this."""
_UPPER, _LOWER = bytes(range(65, 91)), bytes(range(97, 123))
_FOLD = bytes.maketrans(_UPPER, _LOWER)
_DROPPED = bytes(c for c in range(128) if not chr(c).isalnum())
_KEPT = re.compile(rb"[0-9A-Za-z\x80-\xff]+")
_SENTENCE = b" \t,.;:!?()-_"
_RUN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-")

COMMON = frozenset(
    {
        "password", "passwort", "username", "localhost", "postgres", "postgresql", "mongodb", "production", "staging",
        "development", "developer", "testing1", "undefined", "disabled", "changeme", "default1", "database",
        "anonymous", "administrator", "superuser", "required", "optional", "unlimited", "internal", "external",
        "keychain", "libsecret", "osxkeychain", "username1", "password1", "basic-auth", "bearer", "truetrue",
        "12345678", "123456789", "1234567890", "00000000", "11111111", "abcdefgh", "qwertyui", "placeholder",
        "your-password", "your_password", "yourpassword",
    }
)  # fmt: skip
"""Words that stand where secrets do and are none: masking them would riddle ordinary text."""


def squeezed(data: bytes) -> bytes:
    """Letters and digits alone, in lower case; bytes beyond ASCII stay as they are."""
    return data.translate(_FOLD, _DROPPED)


def worth_knowing(value: str) -> bool:
    """Whether a value is long and particular enough to be looked for."""
    text = value.strip()
    if not VALUE_CHARS_MIN <= len(text) <= VALUE_CHARS_MAX or len(set(text.lower())) < 4:
        return False
    return text.lower() not in COMMON


def _base64_cores(data: bytes) -> Iterator[bytes]:
    """The characters that the data alone decides, for each of the three places it may begin at within a triple."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data)
        yield encoded[(0, 2, 3)[shift] : (shift + len(data)) * 8 // 6]


def _percent(data: bytes, plain: bytes) -> bytes:
    return b"".join(bytes((c,)) if (chr(c).isalnum() and c < 128) or c in plain else b"%%%02X" % c for c in data)


def spellings(value: str) -> Iterator[tuple[bytes, bool]]:
    """The ways to write a value that differ in letters or digits; and whether each is part of a longer run."""
    raw = value.encode("utf-8", "surrogatepass")
    yield raw, False
    escaped = json.dumps(value)[1:-1]
    yield escaped.encode(), False
    yield json.dumps(escaped)[1:-1].encode(), False
    yield json.dumps(value, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass"), False
    yield _percent(raw, b"-_.~"), False
    yield _percent(raw, b"-_.~/:@!$&'()*+,;="), False
    yield _percent(_percent(raw, b"-_.~"), b"-_.~"), False
    for old, new in ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;"), (b'"', b"&quot;"), (b"'", b"&#39;")):
        raw = raw.replace(old, new)
    yield raw, False
    raw = value.encode("utf-8", "surrogatepass")
    yield raw.hex().encode(), False
    yield b"".join(b"x%02x" % c for c in raw), False
    yield b"".join(b"0x%02x" % c for c in raw), False
    yield "".join(f"u{ord(c):04x}" for c in value).encode(), False
    for core in _base64_cores(raw):
        yield core, True
    for core in _base64_cores(value.encode("utf-16-le", "surrogatepass")):
        yield core, True


class KnownValues:
    """A set of values to be found. Neither its text nor its representation ever shows one."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        kept = sorted({value.strip() for value in values if worth_knowing(value)}, key=lambda v: (-len(v), v))
        self._count = len(kept[:VALUES_MAX])
        self._windows: dict[bytes, list[tuple[bytes, int]]] = {}
        self._forms: dict[bytes, tuple[bool, bytes, bytes, bool]] = {}
        self._exact: list[bytes] = []
        for value in kept[:VALUES_MAX]:
            for written, is_run in spellings(value):
                self._add(written, is_run)

    def __repr__(self) -> str:
        return f"KnownValues({self._count} values)"

    def __len__(self) -> int:
        return self._count

    def _add(self, written: bytes, is_run: bool) -> None:
        form = squeezed(written)
        if len(form) < VALUE_CHARS_MIN:
            if len(written) >= VALUE_CHARS_MIN and written not in self._exact:
                self._exact.append(written)
                if is_run:
                    self._exact.append(written.translate(bytes.maketrans(b"+/", b"-_")))
            return
        if form in self._forms:
            return
        pieces = list(_KEPT.finditer(written))
        is_word = len(pieces) == 1 and form.isalpha() and len(form) < WORD_CHARS_MAX
        self._forms[form] = (is_run, written[: pieces[0].start()], written[pieces[-1].end() :], is_word)
        for phase in range(_STRIDE):
            self._windows.setdefault(form[phase : phase + _WINDOW], []).append((form, phase))

    def find(self, data: bytes) -> list[tuple[int, int]]:
        """Where known values stand, as (start, end); they may overlap."""
        found = [span for written in self._exact for span in _everywhere(data, written)]
        if not self._windows:
            return found
        text = squeezed(data)
        windows = self._windows
        hits: set[tuple[int, bytes]] = set()
        for at in range(0, len(text) - _WINDOW + 1, _STRIDE):
            for form, phase in windows.get(text[at : at + _WINDOW], ()):
                if at >= phase and text.startswith(form, at - phase):
                    hits.add((at - phase, form))
        if hits:
            places = _Places(data)
            found += [span for at, form in hits if (span := self._span(data, places, at, form)) is not None]
        return found

    def _span(self, data: bytes, places: "_Places", at: int, form: bytes) -> tuple[int, int] | None:
        start, end = places.of(at), places.of(at + len(form) - 1) + 1
        is_run, before, after, is_word = self._forms[form]
        gap = end - start - len(form)
        if gap > GAP_BYTES_MAX + 3 * len(form):
            return None
        # A word whose parts only meet across blanks is a sentence, not a value in pieces.
        if gap and is_word and not data[start:end].translate(_FOLD, _LOWER + _UPPER + _SENTENCE):
            return None
        if is_run:
            return _run_around(data, start, end)
        if before and data.endswith(before, 0, start):
            start -= len(before)
        if after and data.startswith(after, end):
            end += len(after)
        return start, end


class _Places:
    """Where each squeezed byte stands in the text."""

    def __init__(self, data: bytes) -> None:
        self._starts: list[int] = []
        self._counts: list[int] = []
        count = 0
        for piece in _KEPT.finditer(data):
            self._starts.append(piece.start())
            self._counts.append(count)
            count += piece.end() - piece.start()

    def of(self, index: int) -> int:
        at = bisect.bisect_right(self._counts, index) - 1
        return self._starts[at] + index - self._counts[at]


def _everywhere(data: bytes, written: bytes) -> Iterator[tuple[int, int]]:
    at = data.find(written)
    while at >= 0:
        yield at, at + len(written)
        at = data.find(written, at + 1)


def _run_around(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The whole encoded run, whose ragged ends hold bits of the value."""
    first, last = max(0, start - RUN_BYTES_MAX), min(len(data), end + RUN_BYTES_MAX)
    while start > first and data[start - 1] in _RUN:
        start -= 1
    while end < last and data[end] in _RUN:
        end += 1
    return start, end
