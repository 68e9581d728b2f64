"""The language server: what it offers, and its life from the first byte to the exit code.

Handlers read alike: convert in, ask the session or the engine, convert out. They are all async, and none catches what
it does not understand: `HearthProtocol` holds the one guard.
"""

import asyncio
import gc
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from lsprotocol import types

from hearth import __version__
from hearth.lsp import convert, indexing, notebooks
from hearth.lsp.convert import BadParams
from hearth.lsp.host import WORKS, HearthServer
from hearth.lsp.logs import start_logging
from hearth.lsp.messages import language_of
from hearth.lsp.offers import ACCEPTED, LATER, MENTION_TRIGGERS, PROMPT_LANGUAGE, Offers, capabilities
from hearth.lsp.pages import SCHEME
from hearth.lsp.transport import StdioChannel, claim_stdio, serve_one
from hearth.settings import config_dir, data_dir, load, overlay, parse
from hearth.uris import path_of

EXIT_GRACE_S = 1.0
TRUST_NOTIFICATION = "hearth/didGrantTrust"
# A server hears nothing of what others say about a document, so a client that wants it used passes it on.
DIAGNOSTICS_NOTIFICATION = "hearth/diagnostics"
# At opening a file the protocol does not tell where the cursor is.
FOCUS_NOTIFICATION = "hearth/focus"
FILE_CHANGES_MAX = 10_000

log = logging.getLogger(__name__)


# Life


async def initialize(ls: HearthServer, params: object) -> types.InitializeResult:
    asked = convert.initialize(params)
    session = ls.session
    session.language = language_of(asked.locale)
    session.folders = asked.folders
    session.shows_documents, session.shows_content = asked.shows_documents, asked.shows_content
    session.shows_progress, session.watches_files = asked.shows_progress, asked.watches_files
    ls.client_side.shows_progress = asked.shows_progress
    ls.offers = Offers.of(asked.capabilities)
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
        capabilities=capabilities(ls.offers),
        server_info=types.ServerInfo("Hearth", __version__),
    )


async def initialized(ls: HearthServer, params: object) -> None:
    wanted: list[types.Registration] = []
    if ls.session.shows_content:
        options = types.TextDocumentContentRegistrationOptions(schemes=[SCHEME])
        wanted.append(types.Registration(SCHEME, types.WORKSPACE_TEXT_DOCUMENT_CONTENT, options))
        wanted += _page_registrations(ls.offers)
    if ls.session.watches_files:
        wanted.append(indexing.watch_registration())
    if wanted:
        ls.client_register_capability(types.RegistrationParams(wanted))


def _page_registrations(offers: Offers) -> list[types.Registration]:
    """Lenses and links of our own pages: what is offered statically is for the user's documents."""
    pages = [types.TextDocumentFilterScheme(SCHEME)]
    wanted: list[types.Registration] = []
    if offers.dynamic_lenses:
        lenses = types.CodeLensRegistrationOptions(pages)
        wanted.append(types.Registration("lenses", types.TEXT_DOCUMENT_CODE_LENS, lenses))
    if offers.dynamic_links:
        links = types.DocumentLinkRegistrationOptions(pages)
        wanted.append(types.Registration("links", types.TEXT_DOCUMENT_DOCUMENT_LINK, links))
    if offers.dynamic_mentions:
        written = [*pages, types.TextDocumentFilterLanguage(PROMPT_LANGUAGE)]
        completion = types.CompletionRegistrationOptions(written, trigger_characters=list(MENTION_TRIGGERS))
        wanted.append(types.Registration("mentions", types.TEXT_DOCUMENT_COMPLETION, completion))
        hover = types.HoverRegistrationOptions(written)
        wanted.append(types.Registration("hover", types.TEXT_DOCUMENT_HOVER, hover))
    return wanted


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
    if ls.session.engine is not None:
        ls.session.engine.trusted = True


async def did_diagnose(ls: HearthServer, params: object) -> None:
    ls.session.diagnosed(*convert.diagnostics(params))


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
    """The user ended a progress bar: of an answer, or of the walk; what is indexed by then stays."""
    engine, token = ls.session.engine, convert.table(params).get("token")
    if ls.client_side.cancelled(token):
        return
    if ls.index_progress.is_ours(token) and engine is not None and engine.index:
        engine.index.stop()


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
    types.WORKSPACE_DID_CHANGE_WATCHED_FILES: did_change_files,
    types.WINDOW_WORK_DONE_PROGRESS_CANCEL: did_cancel_progress,
    TRUST_NOTIFICATION: did_grant_trust,
    DIAGNOSTICS_NOTIFICATION: did_diagnose,
    FOCUS_NOTIFICATION: did_focus,
}


def _later(method: str) -> Callable[[HearthServer, object], Awaitable[Any]]:
    """A handler of the workshop, which may still be loading."""

    async def handler(ls: HearthServer, params: object) -> Any:
        work = await ls.workshop()
        return await import_module(WORKS).FEATURES[method](work, params)

    return handler


def create(log_path: Path) -> HearthServer:
    """A server with all its features, not yet connected. Needs a running event loop."""
    server = HearthServer(log_path)
    for method, handler in {**FEATURES, **{method: _later(method) for method in LATER}}.items():
        server.feature(method)(handler)
    return server


def serve(tcp_port: int | None = None) -> int:
    """Serve one client on stdin and stdout, or on a loopback port; returns the exit code."""
    stdio = claim_stdio() if tcp_port is None else None
    log_path = start_logging(data_dir())
    # What is loaded by now stays: the collector need not look at it again.
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
