"""Open documents, read in pieces, so that the ones nearest to the text at the cursor are found at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from operator import itemgetter

from hearth.core.context import fingerprint, pieces

DOCUMENT_LINES_MAX = 4_000
"""The rest of a longer document is not looked at."""
_SCORE = itemgetter(0, 1)
OVERLAP_LINES = 40
"""A reading that goes on begins a piece's length before its end, where a cut may have been forced."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines [start, end) of a document."""

    uri: str
    start: int
    end: int
    bits: int


@dataclass(slots=True)
class _Book:
    lines: tuple[str, ...] = ()
    read_to: int = 0
    pieces: list[Piece] = field(default_factory=list[Piece])


class Shelf:
    """Pieces of documents by URI. Reading is done in parts, by whoever has a moment."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}

    def read(self, uri: str, lines: tuple[str, ...], lines_max: int) -> int:
        """Read on in a document, at most about `lines_max` lines; returns how many, 0 if all was read already.

        What changed since the last reading is read again from there on.
        """
        book = self._books.setdefault(uri, _Book())
        if book.lines is not lines:
            same = _shared(book.lines, lines)
            book.pieces = [piece for piece in book.pieces if piece.end < same]
            book.read_to = book.pieces[-1].end if book.pieces else 0
            book.lines = lines
        start, end = book.read_to, min(len(lines), DOCUMENT_LINES_MAX)
        if start >= end:
            return 0
        stop = min(end, start + max(lines_max, OVERLAP_LINES))
        cut = pieces(lines, start, stop)
        if stop < end and len(cut) > 1:
            stop = cut.pop()[0]
        book.pieces += [Piece(uri, a, b, fingerprint("".join(lines[a:b]))) for a, b in cut]
        book.read_to = stop
        return stop - start

    def text(self, piece: Piece) -> str:
        """The lines of a piece, with their endings."""
        return "".join(self._books[piece.uri].lines[piece.start : piece.end])

    def best(self, bits: int, weights: Sequence[tuple[str, float]], count: int) -> list[tuple[float, Piece]]:
        """The pieces most like the fingerprint `bits`, with the documents' own weights: (weight, piece), best first."""
        found: list[tuple[float, int, float, Piece]] = []
        for uri, weight in weights:
            book = self._books.get(uri)
            # Spelled out here, since this runs for thousands of pieces: the Jaccard index of two sets of bits.
            for at, piece in enumerate(book.pieces if book else ()):
                shared = (piece.bits & bits).bit_count()
                like = shared / (piece.bits | bits).bit_count() if shared else 0.0
                found.append((weight + like, -at, weight, piece))
        return [(weight, piece) for _, _, weight, piece in nlargest(count, found, key=_SCORE)]

    def forget(self, uri: str) -> None:
        """Drop a document."""
        self._books.pop(uri, None)


def _shared(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low
