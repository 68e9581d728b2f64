"""The language server: what it offers, and its life from the first byte to the exit code.

Handlers read alike: convert in, ask the session or the engine, convert out. They are all async, and none catches what
it does not understand: `HearthProtocol` holds the one guard.
"""

import asyncio
import gc
import json
import logging
import os
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from hearth import __version__
from hearth.engine import open_engine, path_of
from hearth.lsp import convert, indexing, notebooks
from hearth.lsp.convert import BadParams
from hearth.lsp.logs import start_logging
from hearth.lsp.messages import language_of, say
from hearth.lsp.protocol import HearthProtocol, LazyConverter
from hearth.lsp.session import Level, Session
from hearth.lsp.transport import Channel, StdioChannel, claim_stdio, parent_gone, serve_one
from hearth.settings import Settings, config_dir, data_dir, load, overlay, parse

ENGINE_WAIT_S = 0.3
ENGINE_CLOSE_S = 1.5
EXIT_GRACE_S = 1.0
PAGES_MAX = 32

SCHEME = "hearth"
WHY_PAGE = "hearth:/why.md"
STATUS_PAGE = "hearth:/status.md"
ACCEPTED = "hearth.completionAccepted"
TRUST_NOTIFICATION = "hearth/didGrantTrust"
# A server hears nothing of what others say about a document, so a client that wants it used passes it on.
DIAGNOSTICS_NOTIFICATION = "hearth/diagnostics"
# At opening a file the protocol does not tell where the cursor is.
FOCUS_NOTIFICATION = "hearth/focus"
STATUS_REQUEST = "hearth/status"
SEARCH_REQUEST = "hearth/search"
SEARCH_LIMIT = 10
QUERY_CHARS_MAX = 10_000
FILE_CHANGES_MAX = 10_000
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
            await channel.aclose()
            await self._close_engine()

    def show(self, level: Level, text: str) -> None:
        """Put a message in front of the user."""
        self.window_show_message(types.ShowMessageParams(MESSAGE_TYPES[level], text))

    def show_page(self, uri: str, text: str) -> None:
        """Show Markdown as a read-only document, where the client can."""
        known = self.session.pages.pop(uri, None) is not None
        while len(self.session.pages) >= PAGES_MAX:
            del self.session.pages[next(iter(self.session.pages))]
        self.session.pages[uri] = text
        if not (self.session.shows_content and self.session.shows_documents):
            return
        if known:
            self.workspace_text_document_content_refresh(types.TextDocumentContentRefreshParams(uri))
        self.window_show_document(types.ShowDocumentParams(uri, take_focus=False))

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
            settings, data_dir=data_dir(), folders=session.folders, notify=session.notice
        ) as engine:  # fmt: skip
            if session.shows_progress:
                engine.on_progress = self.index_progress.told
            session.attach(engine)
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


# Life


async def initialize(ls: HearthServer, params: object) -> types.InitializeResult:
    asked = convert.initialize(params)
    session = ls.session
    session.language = language_of(asked.locale)
    session.folders = asked.folders
    session.shows_documents, session.shows_content = asked.shows_documents, asked.shows_content
    session.shows_progress, session.watches_files = asked.shows_progress, asked.watches_files
    raw, problems = load(config_dir())
    settings, more = parse(overlay(raw, asked.options))
    session.completion = settings.completion
    session.workspace_trusted = asked.workspace_trusted
    if asked.process_id is not None:
        ls.watch_parent(asked.process_id)
    ls.start_engine(settings)
    ls.protocol.ready = True
    asyncio.get_running_loop().call_soon(partial(session.settings_problems, [*problems, *more]))
    return types.InitializeResult(
        capabilities=types.ServerCapabilities(
            position_encoding=types.PositionEncodingKind.Utf16,
            text_document_sync=types.TextDocumentSyncOptions(
                open_close=True,
                change=types.TextDocumentSyncKind.Incremental,
                # The text at saving is how a document that lost a change gets well again.
                save=types.SaveOptions(include_text=True),
            ),
            notebook_document_sync=notebooks.sync_options(),
            inline_completion_provider=types.InlineCompletionOptions(),
            execute_command_provider=types.ExecuteCommandOptions(commands=list(COMMANDS)),
            workspace=types.WorkspaceOptions(
                workspace_folders=types.WorkspaceFoldersServerCapabilities(supported=True, change_notifications=True)
            ),
        ),
        server_info=types.ServerInfo("Hearth", __version__),
    )


async def initialized(ls: HearthServer, params: object) -> None:
    wanted: list[types.Registration] = []
    if ls.session.shows_content:
        options = types.TextDocumentContentRegistrationOptions(schemes=[SCHEME])
        wanted.append(types.Registration(SCHEME, types.WORKSPACE_TEXT_DOCUMENT_CONTENT, options))
    if ls.session.watches_files:
        wanted.append(indexing.watch_registration())
    if wanted:
        ls.client_register_capability(types.RegistrationParams(wanted))


async def shutdown(ls: HearthServer, params: object) -> None:
    ls.protocol.begin_shutdown()


# Documents


async def did_open(ls: HearthServer, params: object) -> None:
    ls.session.open(*convert.opened(params))


async def did_change(ls: HearthServer, params: object) -> None:
    uri = convert.document_uri(params)
    try:
        version, edits = convert.changed(params)
    except BadParams:
        ls.session.lost(uri, opening=False)
        raise
    ls.session.change(uri, version, edits)


async def did_save(ls: HearthServer, params: object) -> None:
    ls.session.save(convert.document_uri(params), convert.saved_text(params))


async def did_close(ls: HearthServer, params: object) -> None:
    ls.session.close(convert.document_uri(params))


async def did_open_notebook(ls: HearthServer, params: object) -> None:
    ls.session.open_notebook(notebooks.opened(params))


async def did_change_notebook(ls: HearthServer, params: object) -> None:
    uri = notebooks.notebook_uri(params)
    try:
        changed = notebooks.changed(params)
    except BadParams:
        ls.session.lost_notebook(uri)
        raise
    ls.session.change_notebook(changed)


async def did_save_notebook(ls: HearthServer, params: object) -> None:
    ls.session.save_notebook(notebooks.notebook_uri(params))


async def did_close_notebook(ls: HearthServer, params: object) -> None:
    ls.session.close_notebook(*notebooks.closed(params))


async def inline_completion(ls: HearthServer, params: object) -> types.InlineCompletionList:
    ask = convert.completion_ask(params)
    session = ls.session
    snapshot = session.snapshot(ask.uri)
    if snapshot is None:
        return types.InlineCompletionList([])
    await ls.engine_started()
    if session.engine is None:
        return types.InlineCompletionList([])
    outcome = await session.engine.complete(
        snapshot,
        snapshot.clamp(ask.position),
        invoked=ask.invoked,
        selected=ask.selected,
        around=session.notebooks.around(ask.uri),
        cursors=ask.cursors,
    )
    if session.version(ask.uri) != snapshot.version:
        # The request carries no version: an answer for an older text would be drawn into the newer one.
        return types.InlineCompletionList([])
    return types.InlineCompletionList([convert.item_of(one, ACCEPTED) for one in outcome.suggestions])


# Workspace


async def did_change_folders(ls: HearthServer, params: object) -> None:
    added, removed = convert.folders_changed(params)
    kept = [folder for folder in ls.session.folders if folder not in removed]
    ls.session.set_folders((*kept, *(folder for folder in added if folder not in kept)))


async def did_change_configuration(ls: HearthServer, params: object) -> None:
    ls.session.configure(convert.configuration(params))


async def did_grant_trust(ls: HearthServer, params: object) -> None:
    ls.session.workspace_trusted = True


async def did_diagnose(ls: HearthServer, params: object) -> None:
    uri, found = convert.diagnostics(params)
    if ls.session.engine is not None:
        ls.session.engine.diagnosed(uri, found)


async def did_focus(ls: HearthServer, params: object) -> None:
    if found := convert.focus(params):
        ls.session.focus(*found)


async def did_change_files(ls: HearthServer, params: object) -> None:
    """Files were written, created or deleted."""
    changes = convert.array(convert.table(params).get("changes"), "changes")
    for change in changes[:FILE_CHANGES_MAX]:
        path = path_of(convert.string(convert.table(change, "changes[]").get("uri"), "changes[].uri"))
        if path is not None and ls.session.engine is not None:
            ls.session.engine.file_changed(path)


async def did_cancel_progress(ls: HearthServer, params: object) -> None:
    """The user ended a progress bar: the walk behind it stops, what is indexed stays."""
    engine = ls.session.engine
    if ls.index_progress.is_ours(convert.table(params).get("token")) and engine is not None and engine.index:
        engine.index.stop()


async def search(ls: HearthServer, params: object) -> dict[str, Any]:
    """`hearth/search`: {query, limit?} -> {"results": [...]}, as `hearth search --json` gives it."""
    fields = convert.table(params)
    query = convert.string(fields.get("query"), "query")[:QUERY_CHARS_MAX]
    limit = convert.integer(fields.get("limit", SEARCH_LIMIT), "limit")
    if limit < 1:
        raise BadParams("limit: expected at least 1")
    await ls.engine_started()
    engine = ls.session.engine
    return {"results": [] if engine is None else await engine.search(query, limit)}


async def page_content(ls: HearthServer, params: object) -> types.TextDocumentContentResult:
    uri = convert.string(convert.table(params).get("uri"), "uri")
    return types.TextDocumentContentResult(ls.session.pages.get(uri, ""))


async def status(ls: HearthServer, params: object) -> dict[str, Any]:
    await ls.engine_started()
    found = await ls.session.engine.status() if ls.session.engine is not None else {"version": __version__}
    return {**found, "workspace_trusted": ls.session.workspace_trusted}


async def execute_command(ls: HearthServer, params: object) -> Any:
    name, arguments = convert.command(params)
    if name not in COMMANDS:
        raise BadParams(f"command: {name[:80]} is not a command of this server")
    return await COMMANDS[name](ls, arguments)


# Commands


async def command_status(ls: HearthServer, arguments: Sequence[Any]) -> dict[str, Any]:
    found = await status(ls, None)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    ls.show_page(STATUS_PAGE, f"# {say('status_title', ls.session.language)}\n\n```json\n{text}\n```\n")
    return found


async def command_why(ls: HearthServer, arguments: Sequence[Any]) -> str:
    text = ls.session.why()
    ls.show_page(WHY_PAGE, text)
    return text


async def command_toggle(ls: HearthServer, arguments: Sequence[Any]) -> dict[str, bool]:
    enabled = not ls.session.completion.enabled
    ls.session.set_completion(enabled=enabled)
    ls.show("info", say("completion_on" if enabled else "completion_off", ls.session.language))
    return {"enabled": enabled}


async def command_accepted(ls: HearthServer, arguments: Sequence[Any]) -> None:
    suggestion = convert.string(arguments[0] if arguments else None, "arguments[0]")
    if ls.session.engine is not None:
        ls.session.engine.accepted(suggestion)


async def command_reindex(ls: HearthServer, arguments: object) -> None:
    """`hearth.reindex`: read the whole workspace again."""
    engine = ls.session.engine
    if engine is not None and engine.index:
        engine.index.reindex()
        ls.show("info", say("reindexing", ls.session.language))
    else:
        ls.show("warning", say("index_off", ls.session.language))


async def command_stop(ls: HearthServer, arguments: Sequence[Any]) -> dict[str, int]:
    return {"stopped": ls.protocol.cancel_all()}


FEATURES = {
    types.INITIALIZE: initialize,
    types.INITIALIZED: initialized,
    types.SHUTDOWN: shutdown,
    types.TEXT_DOCUMENT_DID_OPEN: did_open,
    types.TEXT_DOCUMENT_DID_CHANGE: did_change,
    types.TEXT_DOCUMENT_DID_SAVE: did_save,
    types.TEXT_DOCUMENT_DID_CLOSE: did_close,
    types.NOTEBOOK_DOCUMENT_DID_OPEN: did_open_notebook,
    types.NOTEBOOK_DOCUMENT_DID_CHANGE: did_change_notebook,
    types.NOTEBOOK_DOCUMENT_DID_SAVE: did_save_notebook,
    types.NOTEBOOK_DOCUMENT_DID_CLOSE: did_close_notebook,
    types.TEXT_DOCUMENT_INLINE_COMPLETION: inline_completion,
    types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: did_change_folders,
    types.WORKSPACE_DID_CHANGE_CONFIGURATION: did_change_configuration,
    types.WORKSPACE_TEXT_DOCUMENT_CONTENT: page_content,
    types.WORKSPACE_EXECUTE_COMMAND: execute_command,
    types.WORKSPACE_DID_CHANGE_WATCHED_FILES: did_change_files,
    types.WINDOW_WORK_DONE_PROGRESS_CANCEL: did_cancel_progress,
    STATUS_REQUEST: status,
    SEARCH_REQUEST: search,
    TRUST_NOTIFICATION: did_grant_trust,
    DIAGNOSTICS_NOTIFICATION: did_diagnose,
    FOCUS_NOTIFICATION: did_focus,
}
COMMANDS = {
    "hearth.status": command_status,
    "hearth.whyNoSuggestion": command_why,
    "hearth.toggleCompletion": command_toggle,
    "hearth.stop": command_stop,
    "hearth.reindex": command_reindex,
    ACCEPTED: command_accepted,
}


def create(log_path: Path) -> HearthServer:
    """A server with all its features, not yet connected. Needs a running event loop."""
    server = HearthServer(log_path)
    for method, handler in FEATURES.items():
        server.feature(method)(handler)
    return server


def serve(tcp_port: int | None = None) -> int:
    """Serve one client on stdin and stdout, or on a loopback port; returns the exit code."""
    stdio = claim_stdio() if tcp_port is None else None
    log_path = start_logging(data_dir())
    # What is loaded by now stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    return asyncio.run(_serve(log_path, stdio, tcp_port or 0))


async def _serve(log_path: Path, stdio: tuple[int, int] | None, port: int) -> int:
    server = create(log_path)
    code = await serve_one(port, server.talk) if stdio is None else await server.talk(StdioChannel(*stdio))
    # Nothing that still hangs, a thread or a library's clean-up, may keep the process alive.
    watchdog = threading.Timer(EXIT_GRACE_S, os._exit, (code,))
    watchdog.daemon = True
    watchdog.start()
    return code


async def _event_within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
