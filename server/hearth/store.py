"""What Hearth remembers of its own suggestions, so that the model need not be asked twice.

`Memory` serves a suggestion on while the user types along it, after backspacing into it, and when it is asked for again
at the same place. The key is the document's own text before the cursor, never the prompt's, and it is built by the
same function for reading and writing; nothing is ever stripped from it, since Python's indentation is part of it.

Lookups are served from memory alone. What a disk has of a document (`Records`, see store_disk) is read when the
document is opened, and every suggestion of a model is written there in passing.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from hearth.core.deny import is_secret

BEFORE_CHARS = 1_000
"""How much of the document before the cursor identifies a place."""
BELOW_CHARS = 200
ENTRIES_PER_DOCUMENT_MAX = 256
DOCUMENTS_MAX = 64
CHARS_MAX = 25_000_000
"""Of all suggestions in memory with their places; the documents used longest ago go first."""
ALTERNATIVES_MAX = 5
"""Different suggestions for one place: the oldest goes when there is one more."""
STORED_PER_DOCUMENT_MAX = 64
TEXT_CHARS_MAX = 20_000
"""A longer suggestion is not kept."""
RECORD_FORMAT = 1
_PROBE_CHARS = 80
_OCCURRENCES_MAX = 8
_CLOSERS = " \t\n)]};,"
_LINE_KEY_CHARS = 60
_LINES_BACK_MAX = 128


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


class Records(Protocol):
    """Where suggestions outlive the process: JSON objects under a name, at most `slots` of them, oldest first."""

    def put(self, name: str, record: Mapping[str, Any], slots: int = 1) -> bool:
        """Write soon, elsewhere; False if it was dropped. Never raises."""
        ...

    async def load(self, name: str, slots: int = 1) -> list[dict[str, Any]]:
        """What was written, oldest first; empty on any trouble."""
        ...


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


def worth_keeping(uri: str) -> bool:
    """Whether suggestions for a document may be written to disk: files only, and none that holds secrets."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.scheme == "file" and not is_secret(unquote(parts.path))


def document_key(uri: str) -> str:
    """The name of a document's records: tells nobody which document it is."""
    return hashlib.blake2b(uri.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Memory:
    """Suggestions by document, bounded. `disk` keeps those of a model across restarts, for documents that `kept`
    allows; without it they live in memory only."""

    def __init__(self, disk: Records | None = None, kept: Callable[[str], bool] = worth_keeping) -> None:
        self._disk = disk
        self._kept = kept
        self._documents: OrderedDict[str, _Document] = OrderedDict()

    def remember(self, entry: Entry) -> None:
        """Keep a suggestion. An older one for the same place becomes its alternative."""
        if len(entry.text) > TEXT_CHARS_MAX:
            return
        self._document(entry.place.uri).add(entry)
        self._make_room()
        # What was copied from the workspace names no model: it is found again as fast as it would be read.
        if entry.model:
            self._write(entry, gone=False)

    def lookup(self, now: Place) -> tuple[Entry, str] | None:
        """The newest suggestion that `now` lies on, and the part of it that is still to be typed (never empty)."""
        return next(iter(self.lookup_all(now, most=1)), None)

    def lookup_all(self, now: Place, most: int = ALTERNATIVES_MAX) -> list[tuple[Entry, str]]:
        """As `lookup`: every suggestion that `now` lies on, newest first, without those that add the same text."""
        found: dict[str, Entry] = {}
        document = self._documents.get(now.uri)
        for entry in document.near(now) if document else ():
            for typed in typed_since(entry.place, now):
                if _goes_on(entry.text, typed):
                    found.setdefault(entry.text[len(typed) :], entry)
                    break
            if len(found) >= most:
                break
        return [(entry, rest) for rest, entry in found.items()]

    def drop(self, entry: Entry) -> None:
        """Never serve a suggestion again, not after a restart either: the user did not want it."""
        if document := self._documents.get(entry.place.uri):
            document.remove(entry)
        if entry.model:
            self._write(entry, gone=True)

    async def opened(self, uri: str) -> None:
        """Read what the disk has of a document. Lookups before that only miss."""
        if self._disk is None or not self._kept(uri):
            return
        records = await self._disk.load(document_key(uri), STORED_PER_DOCUMENT_MAX)
        stored: dict[tuple[Place, str], Entry] = {}
        for record in records:
            if entry := _entry(uri, record):
                stored.pop((entry.place, entry.text), None)
                if not record.get("gone"):
                    stored[entry.place, entry.text] = entry
        if stored:
            self._document(uri).add_older(list(stored.values()))
            self._make_room()

    def forget(self, uri: str) -> None:
        """Drop what is known of a document from memory; the disk has it for the next time."""
        self._documents.pop(uri, None)

    def __len__(self) -> int:
        return sum(map(len, self._documents.values()))

    def _document(self, uri: str) -> "_Document":
        document = self._documents.setdefault(uri, _Document())
        self._documents.move_to_end(uri)
        while len(self._documents) > DOCUMENTS_MAX:
            self._documents.popitem(last=False)
        return document

    def _make_room(self) -> None:
        while len(self._documents) > 1 and sum(document.chars for document in self._documents.values()) > CHARS_MAX:
            self._documents.popitem(last=False)

    def _write(self, entry: Entry, *, gone: bool) -> None:
        if self._disk is not None and self._kept(entry.place.uri):
            self._disk.put(document_key(entry.place.uri), _record(entry, gone), STORED_PER_DOCUMENT_MAX)


class _Document:
    """The suggestions of one document, each found by the text that precedes the line it begins on.

    A place that lies on a suggestion has that line among the last ones before it, so a lookup costs as much as there
    are lines before the cursor, however many suggestions there are.
    """

    def __init__(self) -> None:
        self.chars = 0
        self._entries: dict[int, Entry] = {}  # by age: a larger number is newer
        self._lines: dict[str | None, list[int]] = {}
        self._newest = 0
        self._oldest = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """The newest suggestion of all."""
        self._newest += 1
        self._insert(self._newest, entry)

    def add_older(self, entries: list[Entry]) -> None:
        """Suggestions from before all others, oldest first; those that are there already stay as they are."""
        for entry in reversed(entries):
            bucket = self._lines.get(_line_key(entry.place.before), ())
            known = [self._entries[n] for n in bucket if self._entries[n].place == entry.place]
            full = len(known) >= ALTERNATIVES_MAX or len(self._entries) >= ENTRIES_PER_DOCUMENT_MAX
            if not full and all(other.text != entry.text for other in known):
                self._oldest -= 1
                self._insert(self._oldest, entry)

    def remove(self, entry: Entry) -> None:
        """Forget what was suggested at that place with that text."""
        for number in self._lines.get(_line_key(entry.place.before), [])[:]:
            known = self._entries[number]
            if known.text == entry.text and known.place == entry.place:
                self._remove(number)

    def near(self, now: Place) -> Iterator[Entry]:
        """The suggestions that `now` may lie on, newest first."""
        numbers = [n for key in {None, *_line_keys(now.before)} for n in self._lines.get(key, ())]
        for number in sorted(numbers, reverse=True):
            entry = self._entries[number]
            before = entry.place.before
            # Cheap, and in a text that repeats itself it leaves few that `typed_since` would refuse.
            if before[before.rfind("\n") :] in now.before or "\n" not in before:
                yield entry

    def _insert(self, number: int, entry: Entry) -> None:
        bucket = self._lines.setdefault(_line_key(entry.place.before), [])
        same = sorted(n for n in bucket if self._entries[n].place == entry.place)
        for other in [n for n in same if self._entries[n].text == entry.text] or same[: 1 - ALTERNATIVES_MAX]:
            self._remove(other)
        self._entries[number] = entry
        self.chars += _size(entry)
        self._lines.setdefault(_line_key(entry.place.before), []).append(number)
        if len(self._entries) > ENTRIES_PER_DOCUMENT_MAX:
            self._remove(min(self._entries))

    def _remove(self, number: int) -> None:
        entry = self._entries.pop(number)
        self.chars -= _size(entry)
        key = _line_key(entry.place.before)
        self._lines[key].remove(number)
        if not self._lines[key]:
            del self._lines[key]


def _size(entry: Entry) -> int:
    place = entry.place
    return len(entry.text) + len(place.before) + len(place.line_after) + len(place.below)


def _goes_on(text: str, typed: str) -> bool:
    return len(typed) < len(text) and text.startswith(typed)


def _line_key(before: str) -> str | None:
    """What precedes the line that `before` ends on; None where the window is too short to tell."""
    return _key_at(before, before.rfind("\n") + 1)


def _line_keys(before: str) -> Iterator[str]:
    """The same for that line and each one above it."""
    start = len(before)
    for _ in range(_LINES_BACK_MAX):
        start = before.rfind("\n", 0, start) + 1
        key = _key_at(before, start)
        if key is None:
            return
        yield key
        if not start:
            return
        start -= 1


def _key_at(before: str, start: int) -> str | None:
    if start < _LINE_KEY_CHARS and len(before) >= BEFORE_CHARS:
        return None
    return before[max(0, start - _LINE_KEY_CHARS) : start]


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


def _record(entry: Entry, gone: bool) -> dict[str, Any]:
    place = entry.place
    return {
        "format": RECORD_FORMAT,
        "before": place.before,
        "line_after": place.line_after,
        "below": place.below,
        "text": entry.text,
        "backend": entry.backend,
        "model": entry.model,
        **({"gone": True} if gone else {}),
    }


def _entry(uri: str, record: Mapping[str, Any]) -> Entry | None:
    """A record read back; None if it is not one of ours."""
    values = [record.get(name) for name in ("before", "line_after", "below", "text", "backend", "model")]
    if record.get("format") != RECORD_FORMAT or not all(isinstance(value, str) for value in values):
        return None
    before, line_after, below, text, backend, model = map(str, values)
    if len(before) > BEFORE_CHARS or len(text) > TEXT_CHARS_MAX or not text:
        return None
    return Entry(Place(uri, before, line_after, below), text, backend, model)
