"""What Hearth remembers of its own suggestions, so that the model need not be asked twice.

`Memory` serves a suggestion on while the user types along it, after backspacing into it, and when it is asked for again
at the same place. The key is the document's own text before the cursor, never the prompt's, and it is built by the
same function for reading and writing; nothing is ever stripped from it, since Python's indentation is part of it.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

BEFORE_CHARS = 1_000
"""How much of the document before the cursor identifies a place."""
BELOW_CHARS = 200
ENTRIES_PER_DOCUMENT_MAX = 64
DOCUMENTS_MAX = 32
_PROBE_CHARS = 80
_OCCURRENCES_MAX = 8
_CLOSERS = " \t\n)]};,"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a suggestion was asked for: all text with LF line endings.

    `before`: up to BEFORE_CHARS before the cursor. `line_after`: the rest of its line. `below`: BELOW_CHARS of the
    lines below.
    """

    uri: str
    before: str
    line_after: str
    below: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A suggestion as it was made at `place`."""

    place: Place
    text: str
    backend: str = ""
    model: str = ""


def typed_since(then: Place, now: Place) -> Iterator[str]:
    """What may have been typed between two places: each text T with now = then + T. Usually one, none if they do not
    connect: another document, another place, an edit before the cursor, or a change below it.

    Closing brackets that the editor put after the cursor meanwhile do not matter.
    """
    if then.uri != now.uri or not _same_after(then, now):
        return
    if len(then.before) < BEFORE_CHARS and len(now.before) < BEFORE_CHARS:
        # Both reach back to the document's start, so there is nothing to search for.
        if now.before.startswith(then.before):
            yield now.before[len(then.before) :]
        return
    if not then.before:
        return
    probe = then.before[-_PROBE_CHARS:]
    at = len(now.before)
    for _ in range(_OCCURRENCES_MAX):
        at = now.before.rfind(probe, 0, at + len(probe) - 1 if at < len(now.before) else at)
        if at < 0:
            return
        end = at + len(probe)
        size = min(end, len(then.before))
        if now.before[end - size : end] == then.before[-size:]:
            yield now.before[end:]


def _same_after(then: Place, now: Place) -> bool:
    if now.line_after != then.line_after:
        added = now.line_after.removesuffix(then.line_after) if then.line_after else now.line_after
        if now.line_after.endswith(then.line_after) and not added.strip(_CLOSERS + "'\"`"):
            return _below_key(then.below) == _below_key(now.below)
        if then.line_after.strip(_CLOSERS):
            return False
    return _below_key(then.below) == _below_key(now.below)


def _below_key(below: str) -> str:
    """Without the closing brackets it begins with: editors move them there when Enter is pressed inside a pair."""
    return below.lstrip(_CLOSERS)[: BELOW_CHARS // 2]


class Memory:
    """Suggestions by document, newest last; bounded. In memory only."""

    def __init__(self) -> None:
        self._by_uri: OrderedDict[str, list[Entry]] = OrderedDict()

    def remember(self, entry: Entry) -> None:
        """Keep a suggestion; an older one for the same place is replaced."""
        entries = self._by_uri.setdefault(entry.place.uri, [])
        self._by_uri.move_to_end(entry.place.uri)
        entries[:] = [e for e in entries if e.place != entry.place][-(ENTRIES_PER_DOCUMENT_MAX - 1) :]
        entries.append(entry)
        while len(self._by_uri) > DOCUMENTS_MAX:
            self._by_uri.popitem(last=False)

    def lookup(self, now: Place) -> tuple[Entry, str] | None:
        """The newest suggestion that `now` lies on, and the part of it that is still to be typed (never empty)."""
        for entry in reversed(self._by_uri.get(now.uri, ())):
            for typed in typed_since(entry.place, now):
                if entry.text.startswith(typed) and len(typed) < len(entry.text):
                    return entry, entry.text[len(typed) :]
        return None

    def forget(self, uri: str) -> None:
        """Drop what is known of a document."""
        self._by_uri.pop(uri, None)

    def __len__(self) -> int:
        return sum(map(len, self._by_uri.values()))
