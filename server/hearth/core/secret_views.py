"""Other readings of a text, in which secrets may stand that the text itself hides.

Each reading is a buffer and a map from its places back to the text's: strings in pieces put together, escapes undone,
base64 and hexadecimal decoded. A reading is scanned like a text, and may have readings of its own.
"""

import binascii
import bisect
import functools
import re
from collections.abc import Callable, Iterator

from hearth.core.secret_scan import Expression, engine

SEGMENT_BYTES_MAX = 1 << 20
"""Of a longer encoded segment, only the beginning is read."""
AROUND_BYTES_MAX = 2_000
"""Of a long line, so much is read on either side of an escape or a joint."""
JOINED_BYTES_MAX = 20_000
"""A string that is put together is followed so far, however long its line is."""
NAME_BYTES = 200
"""How far before a string its name may stand."""
_APART = b"\n\x7f\n"
_QUOTES = b"\"'`"

# All begin with one of a few characters, and the engine leaps from one of these to the next.
_JOINT = re.compile(
    rb"[\"'`\\^](?:"
    rb"(?<=[\"'`])[ \t]{0,40}(?:\+|\.\.?|&|<>|\|\|)?[ \t]{0,40}\\?\r?\n[ \t]{0,80}(?:[+#*>-]{1,2}[ \t]{1,40})?"
    rb"(?:\+|\.\.?|&|<>|\|\|)?[ \t]{0,40}[rbfuRBFU]{0,2}[\"'`]"
    rb"|(?<=[\"'])[ \t]{0,8}(?:\+|\.\.?|&|<>|\|\|)[ \t]{0,8}[\"']"
    rb"|(?<=[\\^`])[ \t]{0,8}\r?\n[ \t]{0,80}"
    rb"|(?<=\\)(?:r\\)?n[ \t]{0,80}(?:\\?[\"'][ \t]{0,8}\+?[ \t]{0,8}\\?[\"'])"
    rb")"
)
_CHANGE = re.compile(
    rb"%[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2}|\\u00[0-9A-Fa-f]{2}|\\/|&(?:amp|lt|gt|quot|apos|#\d{2,3}|#x[0-9A-Fa-f]{2});"
)
_ENTITIES = {b"&amp;": b"&", b"&lt;": b"<", b"&gt;": b">", b"&quot;": b'"', b"&apos;": b"'", b"\\/": b"/"}
_BASE64 = (
    r"(?:[0-9A-Za-z+/]{40,}(?:\\r|\\n|[\"'+,\\ \t]){0,4}\r?\n[ \t\"'+#*>]{0,40})*[0-9A-Za-z+/_-]{20,}={0,2}"
    r"|(?:[0-9A-Za-z+/]{60,80}(?:\\r)?\\n)+[0-9A-Za-z+/]{4,}={0,2}"
)
_HEX = r"(?:[0-9A-Fa-f]{2}){12,}|(?:0x[0-9A-Fa-f]{2},?[ \t\r\n]{0,40}){8,}"
_ASCII_FIRST = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
"""What a group of four begins with in base64, if the first of its three bytes is ASCII."""
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_NOT_HEX = bytes(c for c in range(256) if c not in b"0123456789abcdefABCDEF")
_PRINTABLE = bytes((9, 10, 13, *range(32, 127)))


class View:
    """A reading of a text: `data`, and `place` to find a stretch of it in the text."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0
        self._starts: list[int] = []
        self._pieces: list[tuple[int, int, bool]] = []

    @property
    def data(self) -> bytes:
        return b"".join(self._parts)

    def add(self, part: bytes, start: int, end: int, *, linear: bool) -> None:
        """A part read from [start, end) of the text; byte by byte if linear, else only as a whole."""
        if part:
            self._starts.append(self._length)
            self._pieces.append((start, end, linear))
            self._parts.append(part)
            self._length += len(part)

    def part(self, at: int) -> None:
        """What is next has nothing to do with what was before."""
        self.add(_APART, at, at, linear=False)

    def place(self, start: int, end: int) -> tuple[int, int]:
        return self._one(start, False), self._one(end - 1, True)

    def _one(self, at: int, is_end: bool) -> int:
        index = bisect.bisect_right(self._starts, at) - 1
        first, last, linear = self._pieces[index]
        if linear:
            return first + at - self._starts[index] + is_end
        return last if is_end else first


def joined(data: bytes) -> View:
    """Lines on which a string is put together from pieces, with the joints taken out."""
    view = View()
    at = -1  # Up to here the text has been read; nothing yet.
    for joint in _JOINT.finditer(data):
        start, stop = joint.start(), _ahead(data, at) if at >= 0 else -1
        if stop < start:
            # A line of its own, or a place far away in a long one.
            if at >= 0:
                view.add(data[at:stop], at, stop, linear=True)
                view.part(stop)
            at = max(at, _back(data, start, joint.end()))
        view.add(data[at:start], at, start, linear=True)
        at = joint.end()
    if at >= 0:
        stop = _ahead(data, at)
        view.add(data[at:stop], at, stop, linear=True)
    return view


def _back(data: bytes, start: int, end: int) -> int:
    """From where on what stands before a joint is read: the line before may hold the name of what is put together."""
    least = max(0, start - JOINED_BYTES_MAX)
    own = data.rfind(b"\n", least, start)
    line = max(least, data.rfind(b"\n", least, own) + 1 if own >= 0 else least)
    if data[start] not in _QUOTES or data[end - 1] not in _QUOTES:
        return line  # no quote tells where the string begins; there are few such joints on a line
    opening = data.rfind(data[start : start + 1], line, start)
    return max(line, min(start - AROUND_BYTES_MAX, opening - NAME_BYTES if opening >= 0 else start))


def _ahead(data: bytes, at: int) -> int:
    """How far what stands behind a joint is read: the line, but of a long one not more than the string and a little."""
    most = min(len(data), at + JOINED_BYTES_MAX)
    line_end = data.find(b"\n", at, most)
    line_end = most if line_end < 0 else line_end
    if data[at - 1] not in _QUOTES:
        return line_end  # a line that goes on: there is one such joint before it
    closing = data.find(data[at - 1 : at], at, most)
    return min(line_end, max(at + AROUND_BYTES_MAX, closing + 1))


def escapes_undone(data: bytes) -> View:
    """Lines with percent, backslash or entity escapes, as they read without."""
    view = View()
    if b"%" not in data and b"\\" not in data and b"&" not in data:
        return view
    at = -1  # Up to here the text has been read; nothing yet.
    for change in _CHANGE.finditer(data):
        start, end = change.span()
        if at < 0 or start - at > AROUND_BYTES_MAX or data.find(b"\n", at, start) >= 0:
            if at >= 0:
                at = _to_line_end(view, data, at)
                view.part(at)
            at = max(at, start - AROUND_BYTES_MAX, data.rfind(b"\n", 0, start) + 1)
        view.add(data[at:start], at, start, linear=True)
        view.add(_unescaped(change.group()), start, end, linear=False)
        at = end
    if at >= 0:
        _to_line_end(view, data, at)
    return view


def _to_line_end(view: View, data: bytes, at: int) -> int:
    line_end = data.find(b"\n", at, at + AROUND_BYTES_MAX)
    line_end = min(len(data), at + AROUND_BYTES_MAX) if line_end < 0 else line_end
    view.add(data[at:line_end], at, line_end, linear=True)
    return line_end


def _unescaped(escape: bytes) -> bytes:
    known = _ENTITIES.get(escape)
    if known is not None:
        return known
    if escape.startswith(b"&#x"):
        return bytes((int(escape[3:-1], 16),))
    if escape.startswith(b"&#"):
        return chr(int(escape[2:-1])).encode()
    return bytes((int(escape[-2:], 16),))


def decoded(data: bytes) -> View:
    """Base64 and hexadecimal segments that hold text, decoded; each stands for its whole segment."""
    view = View()
    for expression, decode in ((_BASE64, _from_base64), (_HEX, _from_hex)):
        _add_segments(view, data, _compiled(expression), decode)
    return view


@functools.cache
def _compiled(expression: str) -> Expression:
    return engine().compile(expression)


def _add_segments(view: View, data: bytes, segments: Expression, decode: Callable[[bytes], bytes]) -> None:
    for segment in segments.finditer(data):
        start, end = segment.span()
        text = decode(data[start : min(end, start + SEGMENT_BYTES_MAX)])
        if text:
            view.add(text, start, end, linear=False)
            view.part(end)


def _from_base64(segment: bytes) -> bytes:
    body = segment.translate(_TO_STANDARD, b"=\\\"', \t\r\n#*>").rstrip(b"+/")
    for shift in range(4):
        part = body[shift:]
        part = part[: len(part) - 1] if len(part) % 4 == 1 else part
        if len(part[::4].translate(None, _ASCII_FIRST)) * 10 > len(part):
            continue  # a name, mostly: more of it would be strange than may be
        try:
            text = _as_text(binascii.a2b_base64(part + b"=" * (-len(part) % 4)))
        except binascii.Error:
            continue
        if text:
            return text
    return b""


def _from_hex(segment: bytes) -> bytes:
    digits = segment.replace(b"0x", b"").translate(None, _NOT_HEX)
    return _as_text(bytes.fromhex(digits[: len(digits) // 2 * 2].decode()))


def _as_text(data: bytes) -> bytes:
    """The data if it is text, in UTF-8 or UTF-16; nothing if it is not."""
    if len(data) >= 8 and not any(data[1::2]):
        data = data[::2]
    strange = len(data.translate(None, _PRINTABLE))
    return data if len(data) >= 8 and strange * 10 <= len(data) else b""


def views(data: bytes) -> Iterator[View]:
    for read in (joined, escapes_undone, decoded):
        view = read(data)
        if view.data:
            yield view
