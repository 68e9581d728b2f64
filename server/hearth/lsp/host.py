"""The server as an object: one client's session, its pages, and pygls's typed calls to the client.

What needs the engine is in `hearth.lsp.workshop`, which is loaded once `initialize` was answered.
"""

import asyncio
import gc
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from hearth import __version__
from hearth.errors import HearthError
from hearth.lsp import indexing
from hearth.lsp.asking import Client
from hearth.lsp.messages import say
from hearth.lsp.offers import Offers
from hearth.lsp.pages import Pages
from hearth.lsp.protocol import HearthProtocol, LazyConverter
from hearth.lsp.session import Level, Session
from hearth.lsp.transport import Channel, parent_gone
from hearth.settings import Settings

if TYPE_CHECKING:
    from hearth.engine import Engine

WORKS = "hearth.lsp.offered"
"""The module that brings the engine and everything of it."""
ENGINE_WAIT_S = 3.0
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


class Works(Protocol):
    """`hearth.lsp.workshop.Workshop`, as it is seen from here: what serves the user beyond the text itself."""

    def opened(self, settings: Settings) -> AbstractAsyncContextManager["Engine"]: ...

    async def made_page(self, uri: str) -> Callable[[], str] | str | None: ...


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
        self.index_progress = indexing.IndexProgress(
            self.window_work_done_progress_create_async, self.progress, lambda: self.session.language
        )
        self._workshop: Works | None = None
        self._loaded = asyncio.Event()
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

    def show_file(self, uri: str) -> None:
        if self.session.shows_documents:
            self.window_show_document(types.ShowDocumentParams(uri, take_focus=False))

    def _refresh_page(self, uri: str) -> None:
        if self.session.shows_content:
            self.workspace_text_document_content_refresh(types.TextDocumentContentRefreshParams(uri))

    async def _made_page(self, uri: str) -> Callable[[], str] | str | None:
        return await (await self.workshop()).made_page(uri)

    def lenses_changed(self) -> None:
        """Lenses are to be asked for again."""
        if self.offers.refreshes_lenses:
            self.workspace_code_lens_refresh(None)

    async def workshop(self) -> Works:
        """As soon as it is loaded. Raises HearthError where it cannot."""
        await self._loaded.wait()
        if self._workshop is None:
            raise HearthError(say("no_engine", self.session.language))
        return self._workshop

    async def engine_wanted(self) -> None:
        """Wait for the engine, for what cannot do without it."""
        if self.session.engine is None:
            await _event_within(self.engine_up, ENGINE_COMMAND_WAIT_S)

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
        # Loading it takes a quarter of a second, which the answer to `initialize` does not wait for.
        works = await asyncio.to_thread(import_module, WORKS)
        gc.freeze()
        workshop: Works = works.Workshop(self)
        self._workshop = workshop
        self._loaded.set()
        async with workshop.opened(settings) as engine:
            self.session.attach(engine)
            self.engine_up.set()
            await self._stop.wait()
            self.session.engine = None

    def _engine_ended(self, task: asyncio.Task[None]) -> None:
        self.session.engine = None
        self._loaded.set()
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
