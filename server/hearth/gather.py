"""What a completion is made from: the text around the cursor, cut out of a snapshot once per request, and, while the
user rests, what else the model should know: other open files, recent edits, diagnostics, and whatever further sources
find within their deadline.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from hearth.core.context import (
    SNIPPET_LINES_MIN,
    CompletionContext,
    Diagnostic,
    Hunk,
    Snippet,
    fingerprint,
    hunks_between,
    imports_of,
    nearby,
    presentable,
    ranked,
)
from hearth.core.deny import is_secret
from hearth.core.notebook import Around, widened
from hearth.core.prompt import WINDOW_LINES, WINDOW_STEP_LINES, lf
from hearth.core.shelf import Piece, Shelf
from hearth.core.text import Position, Range, Snapshot
from hearth.store import BEFORE_CHARS, BELOW_CHARS, Place

ABOVE_LINES = 60
BELOW_LINES = 4
BELOW_LINES_SEARCHED = 40
WINDOW_CHARS_MAX = 200_000
"""A line longer than this (a minified file, a data blob) makes the position not worth completing."""
GATHER_DEADLINE_S = 0.020
STOP_S = 0.005
"""How long a source that is late may take to notice that nobody waits for it."""
REGION_LINES = 30
"""Above and below the cursor: the text that snippets must not resemble."""
DOCUMENTS_MAX = 64
EDITED_MAX = 32
SEEN_MAX = 16
HUNKS_KEPT_MAX = 32
DIAGNOSED_MAX = 64
DIAGNOSTICS_PER_DOCUMENT_MAX = 200
LEAVING_LINES = 64
"""A cursor that is this far from where it was, or in another document, has left a place behind."""
PIECES_CONSIDERED_MAX = 8
READ_LINES_MAX = 2_000
READ_LINES_AT_ONCE = 200
"""About a millisecond on the event loop."""

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spot:
    """A position and the text around it, LF line endings.

    `above`: up to ABOVE_LINES lines before the cursor's, nearest last. `below`: BELOW_LINES non-blank lines after it.
    `eol`: the document's own line ending. `wide`, `wide_at`: what a prompt is made of, and where the cursor is in it:
    the whole notebook in a notebook's cell (`around`), else `snapshot` and `position`.
    """

    snapshot: Snapshot
    position: Position
    place: Place
    line_before: str
    line_after: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    eol: str
    wide: Snapshot
    wide_at: Position
    around: Around | None = None

    @property
    def above_nonblank(self) -> str:
        """The nearest line above that is not blank, "" if there is none."""
        return next((line for line in reversed(self.above) if line.strip()), "")


def spot_at(snapshot: Snapshot, position: Position, around: Around | None = None) -> Spot:
    """Cut out the surroundings of a position. Costs the same in a file of a hundred and of a million lines.

    `around`: what stands above and below `snapshot` if that is a cell of a notebook.
    """
    position = snapshot.clamp(position)
    line = snapshot.line(position.line)
    column = snapshot.column_at(position)
    wide, at = snapshot, position
    if around:
        wide, at = widened(snapshot, around), Position(position.line + len(around.above), position.character)
    above = tuple(lf(text).rstrip("\n") for text in wide.lines[max(0, at.line - ABOVE_LINES) : at.line])
    following = [lf(text).rstrip("\n") for text in wide.lines[at.line + 1 : at.line + 1 + BELOW_LINES_SEARCHED]]
    below = tuple(text for text in following if text.strip())[:BELOW_LINES]
    if around:
        # What is typed is looked for in the cell alone.
        rest = snapshot.lines[position.line + 1 : position.line + 1 + BELOW_LINES_SEARCHED]
        following = [lf(text).rstrip("\n") for text in rest]
    # Twice the figure, since a CRLF counts as two until it is an LF.
    before = lf(wide.before(at, BEFORE_CHARS * 2))[-BEFORE_CHARS:]
    place = Place(snapshot.uri, before, line[column:], "\n".join(following)[:BELOW_CHARS])
    eol = "\r\n" if snapshot.lines[0].endswith("\r\n") else "\n"
    return Spot(snapshot, position, place, line[:column], line[column:], above, below, eol, wide, at, around)


def with_selected(snapshot: Snapshot, position: Position, selected: tuple[Range, str]) -> tuple[Snapshot, Position]:
    """The document as it would be with the suggest widget's highlighted item inserted, and the cursor after it.

    Only items on the cursor's own line are taken; others leave the document as it is.
    """
    where, text = selected
    position = snapshot.clamp(position)
    if where.start.line != position.line or where.end.line != position.line or "\n" in text or "\r" in text:
        return snapshot, position
    number = position.line
    start, end = snapshot.column_at(where.start), max(snapshot.column_at(where.end), snapshot.column_at(position))
    line = snapshot.lines[number]
    lines = (*snapshot.lines[:number], line[:start] + text + line[end:], *snapshot.lines[number + 1 :])
    virtual = Snapshot(snapshot.uri, snapshot.language, snapshot.version, lines)
    units = len((line[:start] + text).encode("utf-16-le", "surrogatepass")) // 2
    return virtual, Position(number, units)


# What else the model should know


@dataclass(frozen=True, slots=True)
class Found:
    """What one source knows of a place."""

    snippets: tuple[Snippet, ...] = ()
    hunks: tuple[Hunk, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


Source = Callable[[Spot], Awaitable[Found]]


async def gather(spot: Spot, sources: Mapping[str, Source], deadline_s: float = GATHER_DEADLINE_S) -> CompletionContext:
    """Ask every source at once; who is late is left out and named, who fails is left out and logged.

    Nothing of a secret file is ever in the result, whatever a source says.
    """
    tasks = {name: asyncio.ensure_future(source(spot)) for name, source in sources.items()}
    done, late = set[asyncio.Future[Found]](), set[asyncio.Future[Found]]()
    try:
        if tasks:
            done, late = await asyncio.wait(tasks.values(), timeout=deadline_s)
    finally:
        for task in tasks.values():
            task.add_done_callback(_heard)
            task.cancel()
    if late:
        await asyncio.wait(late, timeout=STOP_S)
    found: list[Found] = []
    for name, task in tasks.items():
        if task not in done or task.cancelled():
            continue
        if error := task.exception():
            LOG.warning("context from %s failed", name, exc_info=error)
        else:
            found.append(task.result())
    return _together(spot, found, tuple(name for name, task in tasks.items() if task in late))


def _heard(task: asyncio.Future[Found]) -> None:
    """Whatever a late source still raises is of no interest."""
    if not task.cancelled():
        task.exception()


def _together(spot: Spot, found: Iterable[Found], late: tuple[str, ...]) -> CompletionContext:
    number, lines = spot.wide_at.line, spot.wide.lines
    first = max(0, number - WINDOW_LINES - WINDOW_STEP_LINES)
    window = lf("".join(lines[first : number + BELOW_LINES_SEARCHED]))
    region = lf("".join(lines[max(0, number - REGION_LINES) : number + REGION_LINES]))
    snippets: list[Snippet] = []
    hunks: list[Hunk] = []
    diagnostics: list[Diagnostic] = []
    for one in found:
        snippets += [s for s in one.snippets if not _denied(s) and s.text.strip() not in window]
        hunks += [h for h in one.hunks if not _denied(h) and not _shown_already(h, window)]
        diagnostics += one.diagnostics
    return CompletionContext(
        region, ranked(snippets, region), tuple(hunks), nearby(diagnostics, spot.position.line), late
    )


def _denied(one: Snippet | Hunk) -> bool:
    return is_secret(one.path) or is_secret(_path_in(one.origin))


def _shown_already(hunk: Hunk, window: str) -> bool:
    """Whether the window before and after the cursor holds the result of an edit."""
    return bool(hunk.added) and all(line in window for line in hunk.added)


def _path_in(uri: str) -> str:
    """The path of a URI of any scheme; the URI itself if it has none that can be read."""
    try:
        return unquote(urlsplit(uri).path) or uri
    except ValueError:
        return uri


@lru_cache(maxsize=DOCUMENTS_MAX)
def _names_in(uri: str) -> tuple[str, str, str]:
    """Path, folder and name without ending of a URI."""
    path = PurePosixPath(_path_in(uri))
    return str(path), str(path.parent), path.stem


class Recent:
    """The documents that are open, the places that were seen and the edits that were made, newest last.

    Fed at every event at the cost of a few dictionary look-ups; what takes longer is done in `source`. `names` gives a
    document's repository and path. Secret files are not taken in.
    """

    def __init__(self, names: Callable[[str], tuple[str, str]]) -> None:
        self._names = names
        self._open: OrderedDict[str, Snapshot] = OrderedDict()
        self._base: dict[str, Snapshot] = {}
        self._unsettled: dict[str, None] = {}
        self._edited: OrderedDict[str, None] = OrderedDict()
        self._hunks: deque[Hunk] = deque(maxlen=HUNKS_KEPT_MAX)
        self._seen: deque[Snippet] = deque(maxlen=SEEN_MAX)
        self._diagnostics: OrderedDict[str, tuple[Diagnostic, ...]] = OrderedDict()
        self._last: Spot | None = None
        self._shelf = Shelf()

    def touched(self, snapshot: Snapshot) -> None:
        """A document was opened or changed. Called at every keystroke."""
        uri = snapshot.uri
        if uri not in self._open:
            if is_secret(_path_in(uri)):
                return
            self._base[uri] = snapshot
        elif self._open[uri] is not snapshot:
            self._unsettled[uri] = self._edited[uri] = None
            self._edited.move_to_end(uri)
            if len(self._edited) > EDITED_MAX:
                self._edited.popitem(last=False)
        self._open[uri] = snapshot
        self._open.move_to_end(uri)
        while len(self._open) > DOCUMENTS_MAX:
            self.closed(next(iter(self._open)))

    def closed(self, uri: str) -> None:
        """A document was closed: its edits and the places seen in it are still recent."""
        if uri in self._unsettled:
            self._settle(uri)
        if self._last and self._last.snapshot.uri == uri:
            self._leave(self._last)
            self._last = None
        self._open.pop(uri, None)
        self._base.pop(uri, None)
        self._edited.pop(uri, None)
        self._diagnostics.pop(uri, None)
        self._shelf.forget(uri)

    def visited(self, spot: Spot) -> None:
        """The cursor is at `spot`. The place that it left behind is kept, if it was another one."""
        last = self._last
        if last and (
            last.snapshot.uri != spot.snapshot.uri or abs(last.position.line - spot.position.line) > LEAVING_LINES
        ):
            self._leave(last)
        self._last = spot

    def diagnostics(self) -> dict[str, Sequence[Diagnostic]]:
        """What other tools say now, by document."""
        return dict(self._diagnostics)

    def diagnosed(self, uri: str, diagnostics: Iterable[Diagnostic]) -> None:
        """What the editor's tools say about a document now; replaces what they said before."""
        self._diagnostics.pop(uri, None)
        self._diagnostics[uri] = tuple(diagnostics)[:DIAGNOSTICS_PER_DOCUMENT_MAX]
        while len(self._diagnostics) > DIAGNOSED_MAX:
            self._diagnostics.popitem(last=False)

    async def source(self, spot: Spot) -> Found:
        """What is known for a place: a source for `gather`. Reads on in documents that are new or changed, a part at a
        time; what is not read yet is found the next time."""
        await self._read(spot.snapshot.uri)
        return Found(
            (*self._seen, *self._nearest(spot)),
            tuple(self._recent_hunks(spot)),
            self._diagnostics.get(spot.snapshot.uri, ()),
        )

    async def _read(self, current: str) -> None:
        left = READ_LINES_MAX
        for uri, snapshot in reversed(list(self._open.items())):
            if uri == current:
                continue
            while left > 0 and (count := self._shelf.read(uri, snapshot.lines, READ_LINES_AT_ONCE)):
                left -= count
                await asyncio.sleep(0)
                if self._open.get(uri) is not snapshot:
                    break

    def _nearest(self, spot: Spot) -> list[Snippet]:
        number = spot.wide_at.line
        region = "".join(spot.wide.lines[max(0, number - REGION_LINES) : number + REGION_LINES])
        best = self._shelf.best(fingerprint(region), self._weights(spot), PIECES_CONSIDERED_MAX)
        return [self._snippet(piece, weight) for weight, piece in best]

    def _weights(self, spot: Spot) -> list[tuple[str, float]]:
        """How much each open document has to do with the one at hand, 0 to 1: recency, edits, language, folder, and
        whether its name is in the imports."""
        current = spot.snapshot.uri
        imports = " ".join(line for _, line in imports_of(spot.wide.lines, spot.wide.language))
        here, folder, _ = _names_in(current)
        weights: list[tuple[str, float]] = []
        for age, (uri, snapshot) in enumerate(reversed(self._open.items())):
            path, parent, stem = _names_in(uri)
            if uri == current or (spot.around and path == here):
                continue
            weight = 0.2 * (1 - age / DOCUMENTS_MAX) + 0.1 * (parent == folder)
            weight += 0.2 * (snapshot.language == spot.snapshot.language) + 0.2 * (uri in self._edited)
            weight += 0.3 * (len(stem) > 2 and stem in imports)
            weights.append((uri, weight))
        return weights

    def _snippet(self, piece: Piece, weight: float) -> Snippet:
        kind = "edited" if piece.uri in self._edited else "open"
        return Snippet(self._path(piece.uri), lf(self._shelf.text(piece)).strip("\n") + "\n", piece.uri, kind, weight)

    def _leave(self, spot: Spot) -> None:
        uri, number = spot.snapshot.uri, spot.position.line
        if uri not in self._open:
            return
        text = lf("".join(spot.snapshot.lines[max(0, number - SNIPPET_LINES_MIN) : number + SNIPPET_LINES_MIN]))
        if presentable(text):
            self._seen.append(Snippet(self._path(uri), text.strip("\n") + "\n", uri, "seen", 0.6))

    def _recent_hunks(self, spot: Spot) -> list[Hunk]:
        """Edits in their order. Those of a place the cursor has left are settled; those at hand go on growing."""
        growing: list[Hunk] = []
        for uri in list(self._unsettled):
            hunks = self._changes(uri)
            here = uri == spot.snapshot.uri
            if here and any(abs(h.line - spot.position.line) <= LEAVING_LINES for h in hunks):
                growing += hunks
            else:
                self._settle(uri, hunks)
        return [*self._hunks, *growing]

    def _changes(self, uri: str) -> list[Hunk]:
        return hunks_between(self._path(uri), uri, self._base[uri].lines, self._open[uri].lines)

    def _settle(self, uri: str, hunks: list[Hunk] | None = None) -> None:
        self._hunks.extend(self._changes(uri) if hunks is None else hunks)
        self._base[uri] = self._open[uri]
        self._unsettled.pop(uri, None)

    def _path(self, uri: str) -> str:
        return self._names(uri)[1] or PurePosixPath(_path_in(uri)).name
