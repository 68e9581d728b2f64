"""What serves the user beyond the text itself: the engine, the chat commands, the tasks, what is asked before sending.

Loaded once `initialize` was answered, which it would hold up by a quarter of a second.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from hearth.engine import Engine, open_engine
from hearth.errors import HearthError
from hearth.journal import Journal
from hearth.lsp import reports
from hearth.lsp.chatting import desk_of, models_of
from hearth.lsp.consent import Consent
from hearth.lsp.editing import Editing
from hearth.lsp.host import HearthServer
from hearth.lsp.messages import say
from hearth.lsp.pages import task_of
from hearth.lsp.talk import Talk, conversation_of
from hearth.lsp.wanted import Wanted
from hearth.settings import Settings, data_dir

if TYPE_CHECKING:
    from hearth.lsp.tasking import Tasking


def _tidied(home: Path) -> None:
    """Remove the copies of tasks whose server was killed. Blocks; loads what knows of tasks only if there is one."""
    if any(home.glob("*/copy-*")):
        import_module("hearth.agent.kept").swept(home)


log = logging.getLogger(__name__)


class Workshop:
    """Of one server, `ls`. `talking` is None until the engine is up, and stays so where it cannot start."""

    def __init__(self, ls: HearthServer) -> None:
        self.ls = ls
        self.session = ls.session
        self.consent = Consent(ls.client_side, ls.show_page, self._consent_over)
        self.talking: Talk | None = None
        self._tasking: Tasking | None = None
        self._tidying: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def opened(self, settings: Settings) -> AsyncGenerator[Engine]:
        """The engine, with the chat commands ready."""
        session = self.session
        async with open_engine(
            settings,
            data_dir=data_dir(),
            folders=session.folders,
            trusted=session.workspace_trusted,
            notify=session.notice,
        ) as engine:
            if session.shows_progress:
                engine.on_progress = self.ls.index_progress.told
            engine.consent = self.consent
            self.talking = self._talk(engine)
            self._tidying = asyncio.create_task(asyncio.to_thread(_tidied, data_dir() / "tasks"), name="tidy tasks")
            # Nobody waits for it, the end least of all: what it leaves, the next start finds.
            self._tidying.add_done_callback(_told)
            yield engine

    async def talk_started(self) -> "Talk":
        """The chat commands, as soon as the engine is up. Raises HearthError where it is not."""
        await self.ls.engine_wanted()
        if self.talking is None:
            raise HearthError(say("no_engine", self.session.language))
        return self.talking

    async def tasks_started(self) -> "Tasking":
        """The multi-file tasks, as soon as the engine is up. Raises HearthError where it is not."""
        talking, session, ls = await self.talk_started(), self.session, self.ls
        if self._tasking is None:
            # Loading it takes longer than a tenth of a second: at the first task, and not at the start.
            self._tasking = import_module("hearth.lsp.tasking").Tasking(
                lambda: session.engine,
                ls.client_side,
                ls.pages,
                talking.editing,
                data_dir() / "tasks",
                ls.show_page,
                ls.show,
                lambda: session.folders,
                session.texts,
                choice=lambda: talking.choice,
            )
        assert self._tasking is not None
        return self._tasking

    async def made_page(self, uri: str) -> Callable[[], str] | str | None:
        """Pages that nobody put there: of the ledger, and transcripts that an editor brings back after a restart."""
        identifier = conversation_of(uri)
        if identifier:
            talking = await self.talk_started()
            return lambda: talking.transcript(identifier)
        if task := task_of(uri):
            kept = import_module("hearth.agent.kept")
            return await asyncio.to_thread(kept.page_of, data_dir() / "tasks", task)
        return await asyncio.to_thread(reports.egress, uri, data_dir() / "ledger", self.session.language)

    def _talk(self, engine: Engine) -> Talk:
        """The chat commands of an engine."""
        ls, session = self.ls, self.session
        desk = desk_of(engine, session)
        editing = Editing(
            ls.client_side,
            desk,
            Journal(data_dir() / "journal"),
            session.version,
            ls.offers.edits,
            ls.lenses_changed,
            warn=lambda text: ls.show("warning", text),
            show=ls.show_file,
            folders=lambda: session.folders,
        )
        wanted = Wanted(
            ls.client_side,
            desk,
            models=lambda: models_of(engine),
            diagnostics=lambda uri: session.diagnostics.get(uri, (0, ())),
            documents=session.documents,
        )
        return Talk(
            ls.client_side,
            ls.pages,
            lambda: engine.chats,
            editing,
            lambda uri, line: ls.show_page(uri, line=line),
            ls.show,
            ls.lenses_changed,
            wanted,
        )

    def _consent_over(self) -> None:
        """The page that was shown exactly took the transcript's place: give it back."""
        self.ls.lenses_changed()
        if self.talking is not None:
            self.talking.show_running()


def _told(tidying: "asyncio.Task[None]") -> None:
    if not tidying.cancelled() and (error := tidying.exception()) is not None:
        log.warning("what a killed task left was not tidied up", exc_info=error)
