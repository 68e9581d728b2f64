"""What one client has open, what was said to it, and the pages it can read. Knows the engine, not the wire."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hearth.core.context import Diagnostic
from hearth.core.text import Document, Edit, Position, Snapshot
from hearth.lsp.messages import say
from hearth.lsp.notebooks import Changed, Notebooks, Opened
from hearth.settings import CompletionSettings, parse
from hearth.uris import path_of

if TYPE_CHECKING:
    from hearth.engine import Engine, Notice

# Ten million characters in one line must work; fifty megabytes must not hurt.
DOCUMENT_CHARS_MAX = 16_000_000
DOCUMENTS_MAX = 2_000
TOTAL_CHARS_MAX = 128_000_000
BINARY_SNIFF_CHARS = 8_192
REFUSALS_KEPT = 20
NOTICES_MAX = 50
PROBLEMS_SHOWN_MAX = 5
URI_SHOWN_CHARS_MAX = 300

Refusal = Literal["too_large", "binary", "too_many", "stale"]
Level = Literal["info", "warning", "error"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Held:
    """One open document. Without `document` its text is not kept, and `refusal` says why."""

    language: str
    version: int
    document: Document | None
    refusal: Refusal | None
    first: Snapshot | None = None
    """As it was opened, until the engine is up: what was typed meanwhile is an edit for it, too."""


@dataclass
class Session:
    """State of one conversation. `show` puts a message in front of the user."""

    show: Callable[[Level, str], None]
    language: str = "en"
    workspace_trusted: bool = True
    shows_documents: bool = False
    shows_content: bool = False
    shows_progress: bool = False
    watches_files: bool = False
    completion: CompletionSettings = field(default_factory=CompletionSettings)
    engine: "Engine | None" = None
    folders: tuple[Path, ...] = ()
    diagnostics: dict[str, tuple[int, tuple[Diagnostic, ...]]] = field(
        default_factory=lambda: dict[str, tuple[int, tuple[Diagnostic, ...]]]()
    )
    """What the editor's other tools say of open documents, with a number that grows at each news."""
    notebooks: Notebooks = field(init=False)
    _held: dict[str, Held] = field(default_factory=lambda: dict[str, Held]())
    _chars: int = 0
    _focus: tuple[str, Position] | None = None
    _refused: deque[tuple[str, Refusal]] = field(default_factory=lambda: deque(maxlen=REFUSALS_KEPT))
    _shown: set[tuple[str, str]] = field(default_factory=lambda: set[tuple[str, str]]())

    def __post_init__(self) -> None:
        self.notebooks = Notebooks(self._text_now)

    # Documents

    def attach(self, engine: "Engine") -> None:
        """The engine is up: tell it what is open already, and what became of it since."""
        self.engine = engine
        engine.trusted = self.workspace_trusted
        for held in self._held.values():
            if held.document is not None and held.refusal is None:
                now = held.document.snapshot()
                engine.opened(held.first or now)
                if held.first is not None and held.first.version != now.version:
                    engine.changed(now)
            held.first = None
        for uri, (_, found) in self.diagnostics.items():
            engine.diagnosed(uri, found)
        engine.configure_completion(enabled=self.completion.enabled, languages_off=self.completion.languages_off)
        if self._focus:
            self.focus(*self._focus)

    def open(self, uri: str, language: str, version: int, text: str) -> None:
        """A document was opened, or opened again with its full text."""
        if uri in self._held:
            self.close(uri)
        self._start(uri, language, version, text)

    def focus(self, uri: str, position: Position) -> None:
        """The user looks at a document; one that is not ours is none of our business."""
        self._focus = (uri, position)
        snapshot = self._text_now(uri)
        if self.engine is not None and snapshot is not None:
            self.engine.focused(snapshot, snapshot.clamp(position), self.notebooks.around(uri))

    def change(self, uri: str, version: int | None, edits: Sequence[Edit]) -> None:
        """Edits to an open document. One that is not open is ignored, as the protocol says nothing of it."""
        held = self._held.get(uri)
        if held is None:
            log.info("a change to a document that is not open")
            return
        version = held.version + 1 if version is None else version
        if held.document is None:
            self._replace(uri, held, version, next((e.text for e in reversed(edits) if e.range is None), None))
            return
        before = held.document.chars
        refused_before = held.refusal
        applied = held.document.apply(version, edits)
        self._chars += held.document.chars - before
        held.version = held.document.version
        held.refusal = None if applied else "stale"
        if held.document.chars > DOCUMENT_CHARS_MAX:
            self._drop_text(uri, held, "too_large")
        elif self.engine is not None and applied:
            snapshot = held.document.snapshot()
            (self.engine.changed if refused_before is None else self.engine.opened)(snapshot)
        elif not applied and refused_before is None:
            log.warning("a change was lost or repeated; the document waits for its full text")
            if self.engine is not None:
                self.engine.closed(uri)

    def save(self, uri: str, text: str | None) -> None:
        """A document was saved. Its text, if the client sent it, ends every doubt about ours."""
        held = self._held.get(uri)
        if held is None:
            return
        if self.engine is not None and held.refusal is None:
            self.engine.saved(uri)
        if text is None:
            return
        if held.document is None or held.document.stale or held.document.snapshot().text != text:
            if held.document is not None and not held.document.stale:
                log.warning("the text at saving differed from ours; taken over")
            self._replace(uri, held, held.version, text)

    def close(self, uri: str) -> None:
        """A document was closed."""
        held = self._held.pop(uri, None)
        if held is not None and held.document is not None:
            self._chars -= held.document.chars
            if self.engine is not None and held.refusal is None:
                self.engine.closed(uri)

    def diagnosed(self, uri: str, found: tuple[Diagnostic, ...]) -> None:
        """News of what the editor's other tools say about a document."""
        number, _ = self.diagnostics.pop(uri, (0, ()))
        while len(self.diagnostics) >= DOCUMENTS_MAX:
            del self.diagnostics[next(iter(self.diagnostics))]
        self.diagnostics[uri] = (number + 1, found)
        if self.engine is not None:
            self.engine.diagnosed(uri, found)

    def lost(self, uri: str, *, opening: bool) -> None:
        """A notification about `uri` ("": unknown) did not arrive whole."""
        if opening and uri:
            # Only a message over the limit says that it was an opening, so this is what it carried.
            self.close(uri)
            self._held[uri] = Held("", 0, None, "too_large")
            return
        held = self._held.get(uri)
        for one in [held] if held is not None else self._held.values():
            if one.document is not None:
                one.document.expect_loss()

    def snapshot(self, uri: str) -> Snapshot | None:
        """The newest text of a document in which something may be suggested."""
        held = self._held.get(uri)
        if held is None or held.document is None or held.refusal is not None:
            if held is not None and held.refusal is not None:
                self._refuse(uri, held.refusal)
            return None
        return held.document.snapshot()

    def current(self, uri: str) -> Snapshot | None:
        """The newest text of an open document; None of one that is not open, or whose text we do not have."""
        return self._text_now(uri)

    def documents(self) -> list[Snapshot]:
        """All open documents whose text we have."""
        return [one for uri in self._held if (one := self._text_now(uri))]

    def texts(self) -> dict[Path, str]:
        """The open files, as the editor has them."""
        found = {path: one.text for uri in self._held if (one := self._text_now(uri)) and (path := path_of(uri))}
        return found

    # Notebooks

    def open_notebook(self, opened: Opened) -> None:
        """A notebook was opened, with the texts of its cells."""
        self.notebooks.open(opened)
        for text in opened.texts:
            self.open(*text)

    def change_notebook(self, changed: Changed) -> None:
        """Cells came, went or were edited."""
        self.notebooks.change(changed)
        for text in changed.texts:
            self.open(*text)
        for uri in changed.closed:
            self.close(uri)
        for uri, version, edits in changed.edits:
            self.change(uri, version, edits)

    def save_notebook(self, uri: str) -> None:
        """A notebook was saved; the texts of its cells do not come with that."""
        for cell in self.notebooks.cells(uri):
            self.save(cell, None)

    def close_notebook(self, uri: str, cells: Sequence[str]) -> None:
        """A notebook was closed. `cells`: those that the client names; ours are closed in any case."""
        for cell in dict.fromkeys((*self.notebooks.cells(uri), *cells)):
            self.close(cell)
        self.notebooks.close(uri)

    def lost_notebook(self, uri: str) -> None:
        """A notification about a notebook could not be read, and may have been about any of its cells."""
        for cell in self.notebooks.cells(uri):
            self.lost(cell, opening=False)

    def _text_now(self, uri: str) -> Snapshot | None:
        held = self._held.get(uri)
        return held.document.snapshot() if held and held.document and held.refusal is None else None

    def version(self, uri: str) -> int | None:
        """The newest version of a document, None if it is not open."""
        held = self._held.get(uri)
        return held.version if held is not None else None

    def _start(self, uri: str, language: str, version: int, text: str) -> None:
        refusal: Refusal | None = None
        if len(text) > DOCUMENT_CHARS_MAX:
            refusal = "too_large"
        elif "\0" in text[:BINARY_SNIFF_CHARS]:
            refusal = "binary"
        elif len(self._held) >= DOCUMENTS_MAX or self._chars + len(text) > TOTAL_CHARS_MAX:
            refusal = "too_many"
        if refusal is not None:
            self._refuse(uri, refusal)
            self._held[uri] = Held(language, version, None, refusal)
            return
        document = Document(uri, language, version, text)
        self._chars += document.chars
        self._held[uri] = held = Held(language, version, document, None)
        if self.engine is None:
            held.first = document.snapshot()
        else:
            self.engine.opened(document.snapshot())

    def _replace(self, uri: str, held: Held, version: int, text: str | None) -> None:
        """Start a document over from its full text, if there is one."""
        held.version = version
        if text is not None:
            self.close(uri)
            self._start(uri, held.language, version, text)

    def _drop_text(self, uri: str, held: Held, refusal: Refusal) -> None:
        if held.document is not None:
            self._chars -= held.document.chars
        held.document, held.refusal = None, refusal
        self._refuse(uri, refusal)
        if self.engine is not None:
            self.engine.closed(uri)

    def _refuse(self, uri: str, refusal: Refusal) -> None:
        if (uri, refusal) not in self._refused:
            self._refused.append((uri, refusal))

    # What the user is told

    def notice(self, notice: "Notice") -> None:
        """Show a notice of the engine, each distinct one once."""
        self.tell(notice.level, f"{notice.message} {notice.remedy}".strip())

    def tell(self, level: Level, text: str) -> None:
        """Show a text once, and no more than `NOTICES_MAX` different ones."""
        if (level, text) not in self._shown and len(self._shown) < NOTICES_MAX:
            self._shown.add((level, text))
            self.show(level, text)

    def settings_problems(self, problems: Sequence[str]) -> None:
        """One message for all that was wrong with the settings."""
        if not problems:
            return
        for problem in problems:
            log.warning("settings: %s", problem)
        lines = [say("settings", self.language), *problems[:PROBLEMS_SHOWN_MAX]]
        if len(problems) > PROBLEMS_SHOWN_MAX:
            lines.append(say("more", self.language, count=len(problems) - PROBLEMS_SHOWN_MAX))
        self.tell("warning", "\n".join(lines))

    def why(self) -> str:
        """Markdown: the engine's last decisions, then the documents that are left out altogether."""
        parts = [self.engine.why().strip() if self.engine is not None else ""]
        if self._refused:
            limit = DOCUMENT_CHARS_MAX // 1_000_000
            lines = [f"## {say('why_documents', self.language)}", ""]
            lines += [
                f"- `{uri[:URI_SHOWN_CHARS_MAX]}`: {say(why, self.language, limit=limit)}" for uri, why in self._refused
            ]
            parts.append("\n".join(lines))
        return "\n\n".join(part for part in parts if part) or say("why_nothing", self.language)

    # The workspace

    def set_folders(self, folders: tuple[Path, ...]) -> None:
        """The workspace's folders changed."""
        self.folders = folders
        if self.engine is not None:
            self.engine.set_folders(folders)

    # Settings that the editor may change while running

    def configure(self, section: dict[str, Any]) -> None:
        """Take `enabled` and `languages_off` from a raw `completion` section; everything else stays as it is."""
        wanted = {key: section[key] for key in ("enabled", "languages_off") if key in section}
        settings, problems = parse({"completion": wanted})
        wrong = {problem.partition(":")[0] for problem in problems}
        self.settings_problems(problems)
        fresh = settings.completion
        self.set_completion(
            enabled=fresh.enabled if "enabled" in wanted and "completion.enabled" not in wrong else None,
            languages_off=fresh.languages_off
            if "languages_off" in wanted and "completion.languages_off" not in wrong
            else None,
        )

    def set_completion(self, *, enabled: bool | None = None, languages_off: tuple[str, ...] | None = None) -> None:
        """None leaves a value as it is."""
        self.completion = CompletionSettings(
            enabled=self.completion.enabled if enabled is None else enabled,
            languages_off=self.completion.languages_off if languages_off is None else languages_off,
            max_lines=self.completion.max_lines,
        )
        if self.engine is not None and (enabled is not None or languages_off is not None):
            self.engine.configure_completion(enabled=enabled, languages_off=languages_off)
