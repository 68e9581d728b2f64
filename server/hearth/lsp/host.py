"""The server as an object: one client's session, its engine, its pages, and pygls's typed calls to the client."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from hearth import __version__
from hearth.engine import Engine, open_engine
from hearth.errors import HearthError
from hearth.journal import Journal
from hearth.lsp import convert, indexing, reports
from hearth.lsp.asking import Client
from hearth.lsp.chatting import desk_of, models_of
from hearth.lsp.consent import Consent
from hearth.lsp.editing import Abilities, Editing
from hearth.lsp.messages import say
from hearth.lsp.pages import Pages, task_of
from hearth.lsp.protocol import HearthProtocol, LazyConverter
from hearth.lsp.session import Level, Session
from hearth.lsp.talk import Talk, conversation_of
from hearth.lsp.transport import Channel, parent_gone
from hearth.settings import Settings, data_dir

if TYPE_CHECKING:
    from hearth.lsp.tasking import Tasking

ENGINE_WAIT_S = 0.3
ENGINE_COMMAND_WAIT_S = 10.0
"""A command that needs the engine waits longer for it than a keystroke does."""
ENGINE_CLOSE_S = 1.5

# Notifications that, if one is lost, leave a document in doubt; "" is one of which nothing could be read.
CARRY_TEXT = (
    "",
    types.TEXT_DOCUMENT_DID_CHANGE,
    types.TEXT_DOCUMENT_DID_SAVE,
    types.TEXT_DOCUMENT_DID_OPEN,
    types.NOTEBOOK_DOCUMENT_DID_CHANGE,
)

MESSAGE_TYPES: dict[Level, types.MessageType] = {
    "info": types.MessageType.Info,
    "warning": types.MessageType.Warning,
    "error": types.MessageType.Error,
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offers:
    """What the client can take, concerning what is offered to it."""

    edits: Abilities = field(default_factory=Abilities)
    lazy_actions: bool = False
    tagged_actions: bool = False
    dynamic_lenses: bool = False
    refreshes_lenses: bool = False
    dynamic_links: bool = False

    @classmethod
    def of(cls, capabilities: object) -> "Offers":
        """From `initialize`."""
        has, holds = convert.has, convert.holds
        edit = ("workspace", "workspaceEdit")
        action = ("textDocument", "codeAction")
        return cls(
            edits=Abilities(
                versions=has(capabilities, *edit, "documentChanges"),
                annotations=isinstance(convert.within(capabilities, *edit, "changeAnnotationSupport"), Mapping),
                creates=holds(capabilities, "create", *edit, "resourceOperations"),
                deletes=holds(capabilities, "delete", *edit, "resourceOperations"),
            ),
            lazy_actions=holds(capabilities, "command", *action, "resolveSupport", "properties"),
            tagged_actions=isinstance(convert.within(capabilities, *action, "tagSupport"), Mapping),
            dynamic_lenses=has(capabilities, "textDocument", "codeLens", "dynamicRegistration"),
            refreshes_lenses=has(capabilities, "workspace", "codeLens", "refreshSupport"),
            dynamic_links=has(capabilities, "textDocument", "documentLink", "dynamicRegistration"),
        )


class HearthServer(LanguageServer):
    """A client's session, its engine, and pygls's typed calls to the client."""

    protocol: HearthProtocol  # pyright: ignore[reportIncompatibleVariableOverride]: it is what protocol_cls makes

    def __init__(self, log_path: Path) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]: pygls leaves *args untyped
            "hearth",
            __version__,
            protocol_cls=HearthProtocol,
            converter_factory=LazyConverter,
            max_workers=1,
        )
        self.log_path = log_path
        self.session = Session(show=self.show)
        self.protocol.on_lost = self._lost
        self.engine_up = asyncio.Event()
        self.offers = Offers()
        self.client_side = Client(self.protocol.send_request, self.protocol.notify, lambda: self.session.language)
        self.pages = Pages(self._refresh_page, self._made_page)
        self.consent = Consent(self.client_side, self.show_page, self._consent_over)
        self.talking: Talk | None = None
        self._tasking: Tasking | None = None
        self.index_progress = indexing.IndexProgress(
            self.window_work_done_progress_create_async, self.progress, lambda: self.session.language
        )
        self._stop = asyncio.Event()
        self._engine_task: asyncio.Task[None] | None = None
        self._parent_task: asyncio.Task[None] | None = None

    async def engine_started(self) -> None:
        """Wait a little for the engine, at the start."""
        if self.session.engine is None:
            await _event_within(self.engine_up, ENGINE_WAIT_S)

    async def talk(self, channel: Channel) -> int:
        """One conversation; returns the exit code."""
        try:
            return await self.protocol.converse(channel)
        finally:
            if self._parent_task is not None:
                self._parent_task.cancel()
            self.pages.aclose()
            await channel.aclose()
            await self._close_engine()

    def show(self, level: Level, text: str) -> None:
        """Put a message in front of the user."""
        self.window_show_message(types.ShowMessageParams(MESSAGE_TYPES[level], text))

    def show_page(
        self, uri: str, text: Callable[[], str] | str | None = None, *, focus: bool = False, line: int | None = None
    ) -> bool:
        """Show a page as a read-only document, where the client can. Without a text it is made on demand. `focus`: the
        user turns to it; else it stands beside what they are at. `line`: the one to be seen. False: it cannot."""
        if text is not None:
            self.pages.put(uri, text)
        if self.session.shows_content and self.session.shows_documents:
            place = None if line is None else types.Position(line, 0)
            where = None if place is None else types.Range(place, place)
            self.window_show_document(types.ShowDocumentParams(uri, take_focus=focus, selection=where))
            return True
        return False

    def _show_file(self, uri: str) -> None:
        if self.session.shows_documents:
            self.window_show_document(types.ShowDocumentParams(uri, take_focus=False))

    def _refresh_page(self, uri: str) -> None:
        if self.session.shows_content:
            self.workspace_text_document_content_refresh(types.TextDocumentContentRefreshParams(uri))

    async def _made_page(self, uri: str) -> Callable[[], str] | str | None:
        """Pages that nobody put there: of the ledger, and transcripts that an editor brings back after a restart."""
        identifier = conversation_of(uri)
        if identifier:
            talking = await self.talk_started()
            return lambda: talking.transcript(identifier)
        if task := task_of(uri):
            kept = import_module("hearth.agent.kept")
            return await asyncio.to_thread(kept.page_of, data_dir() / "tasks", task)
        return await asyncio.to_thread(reports.egress, uri, data_dir() / "ledger", self.session.language)

    def lenses_changed(self) -> None:
        """Lenses are to be asked for again."""
        if self.offers.refreshes_lenses:
            self.workspace_code_lens_refresh(None)

    def _consent_over(self) -> None:
        """The page that was shown exactly took the transcript's place: give it back."""
        self.lenses_changed()
        if self.talking is not None:
            self.talking.show_running()

    async def talk_started(self) -> Talk:
        """The chat commands, as soon as the engine is up. Raises HearthError where it is not."""
        if self.session.engine is None:
            await _event_within(self.engine_up, ENGINE_COMMAND_WAIT_S)
        if self.talking is None:
            raise HearthError(say("no_engine", self.session.language))
        return self.talking

    async def tasks_started(self) -> "Tasking":
        """The multi-file tasks, as soon as the engine is up. Raises HearthError where it is not."""
        talking, session = await self.talk_started(), self.session
        if self._tasking is None:
            # Loading it takes longer than a tenth of a second: at the first task, and not at the start.
            self._tasking = import_module("hearth.lsp.tasking").Tasking(
                lambda: session.engine,
                self.client_side,
                self.pages,
                talking.editing,
                data_dir() / "tasks",
                self.show_page,
                self.show,
                lambda: session.folders,
                session.texts,
                choice=lambda: talking.choice,
            )
        assert self._tasking is not None
        return self._tasking

    def _talk(self, engine: Engine) -> Talk:
        """The chat commands of an engine."""
        session, desk = self.session, desk_of(engine, self.session)
        engine.consent = self.consent
        editing = Editing(
            self.client_side,
            desk,
            Journal(data_dir() / "journal"),
            session.version,
            self.offers.edits,
            self.lenses_changed,
            warn=lambda text: self.show("warning", text),
            show=self._show_file,
            folders=lambda: session.folders,
        )
        return Talk(
            self.client_side,
            self.pages,
            lambda: engine.chats,
            editing,
            lambda uri, line: self.show_page(uri, line=line),
            self.show,
            self.lenses_changed,
            models=lambda: models_of(engine),
            diagnostics=lambda uri: session.diagnostics.get(uri, (0, ())),
        )

    def start_engine(self, settings: Settings) -> None:
        """Open the engine in a task of its own, so that its failure is not ours."""
        self._engine_task = asyncio.create_task(self._run_engine(settings), name="engine life")
        self._engine_task.add_done_callback(self._engine_ended)

    def watch_parent(self, pid: int) -> None:
        """End when the process that started us is gone."""
        self._parent_task = asyncio.create_task(parent_gone(pid), name="parent watch")

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is None:
                self.protocol.end(1, "the parent process is gone")

        self._parent_task.add_done_callback(ended)

    async def _run_engine(self, settings: Settings) -> None:
        session = self.session
        async with open_engine(
            settings,
            data_dir=data_dir(),
            folders=session.folders,
            trusted=session.workspace_trusted,
            notify=session.notice,
        ) as engine:
            if session.shows_progress:
                engine.on_progress = self.index_progress.told
            session.attach(engine)
            self.talking = self._talk(engine)
            self.engine_up.set()
            await self._stop.wait()
            session.engine = None

    def _engine_ended(self, task: asyncio.Task[None]) -> None:
        self.session.engine = None
        self.engine_up.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the engine ended", exc_info=error)
            self.session.tell("error", say("engine_failed", self.session.language, log=self.log_path))

    async def _close_engine(self) -> None:
        if self._engine_task is None:
            return
        self._stop.set()
        _, late = await asyncio.wait((self._engine_task,), timeout=ENGINE_CLOSE_S)
        for task in late:
            log.warning("the engine did not close within %.1f s", ENGINE_CLOSE_S)
            task.cancel()

    def _lost(self, method: str, uri: str) -> None:
        if method in CARRY_TEXT:
            self.session.lost(uri, opening=method == types.TEXT_DOCUMENT_DID_OPEN)


async def _event_within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
