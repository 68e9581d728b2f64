"""Requests that the workshop answers: what is offered where the user looks, commands, pages, search."""

from collections.abc import Awaitable, Callable
from typing import Any

from lsprotocol import types

from hearth.core.text import Position, Snapshot
from hearth.lsp import actions, convert, mentioning
from hearth.lsp.commands import COMMANDS, status
from hearth.lsp.convert import BadParams
from hearth.lsp.offers import SEARCH_REQUEST, STATUS_REQUEST
from hearth.lsp.pages import SCHEME
from hearth.lsp.workshop import Workshop

SEARCH_LIMIT = 10
QUERY_CHARS_MAX = 10_000


async def search(work: Workshop, params: object) -> dict[str, Any]:
    """`hearth/search`: {query, limit?} -> {"results": [...]}, as `hearth search --json` gives it."""
    fields = convert.table(params)
    query = convert.string(fields.get("query"), "query")[:QUERY_CHARS_MAX]
    limit = convert.integer(fields.get("limit", SEARCH_LIMIT), "limit")
    if limit < 1:
        raise BadParams("limit: expected at least 1")
    await work.ls.engine_started()
    engine = work.session.engine
    return {"results": [] if engine is None else await engine.search(query, limit)}


async def page_content(work: Workshop, params: object) -> types.TextDocumentContentResult:
    uri = convert.string(convert.table(params).get("uri"), "uri")
    return types.TextDocumentContentResult(await work.ls.pages.content(uri))


async def status_asked(work: Workshop, params: object) -> dict[str, Any]:
    return await status(work)


async def code_action(work: Workshop, params: object) -> list[types.CodeAction]:
    return actions.actions(
        params,
        work.session.snapshot(convert.document_uri(params)),
        work.session.language,
        lazy=work.ls.offers.lazy_actions,
        tagged=work.ls.offers.tagged_actions,
    )


async def resolve_code_action(work: Workshop, params: object) -> dict[str, Any]:
    return actions.resolved(params)


async def code_lens(work: Workshop, params: object) -> list[types.CodeLens]:
    uri, talking = convert.document_uri(params), work.talking
    if uri.startswith(f"{SCHEME}:"):
        if work.consent.waits(uri):
            return actions.consent_lenses(uri)
        return actions.page_lenses(uri, work.ls.pages.rested(uri), talking, work.session.language)
    return actions.code_lenses(talking.editing.mark(uri) if talking else None, work.session.language)


async def document_link(work: Workshop, params: object) -> list[types.DocumentLink]:
    uri = convert.document_uri(params)
    folder = next((one.as_uri() for one in work.session.folders), "")
    return actions.links(uri, work.ls.pages.shown(uri), folder)


async def completion(work: Workshop, params: object) -> types.CompletionList | None:
    """Of @mentions, in documents of Hearth's alone."""
    found = _written(work, params)
    if found is None or work.talking is None:
        return None
    return await mentioning.completions(*found, work.talking.editing.desk, work.session.documents())


async def hover(work: Workshop, params: object) -> types.Hover | None:
    """On what is mentioned, in documents of Hearth's alone."""
    found = _written(work, params)
    if found is None or work.talking is None:
        return None
    return await mentioning.hover(*found, work.talking.editing.desk, work.session.documents())


def _written(work: Workshop, params: object) -> tuple[Snapshot, Position] | None:
    """A document of Hearth's as the client has it, and the place in it; None for any other document."""
    uri = convert.document_uri(params)
    where = convert.position(convert.table(params).get("position"))
    snapshot = work.session.current(uri)
    if not mentioning.is_ours(uri, snapshot):
        return None
    return snapshot or Snapshot.of(work.ls.pages.shown(uri), uri=uri), where


async def execute_command(work: Workshop, params: object) -> Any:
    name, arguments = convert.command(params)
    if name not in COMMANDS:
        raise BadParams(f"command: {name[:80]} is not a command of this server")
    return await COMMANDS[name](work, arguments)


FEATURES: dict[str, Callable[[Workshop, object], Awaitable[Any]]] = {
    types.WORKSPACE_TEXT_DOCUMENT_CONTENT: page_content,
    types.WORKSPACE_EXECUTE_COMMAND: execute_command,
    types.TEXT_DOCUMENT_CODE_ACTION: code_action,
    types.CODE_ACTION_RESOLVE: resolve_code_action,
    types.TEXT_DOCUMENT_CODE_LENS: code_lens,
    types.TEXT_DOCUMENT_DOCUMENT_LINK: document_link,
    types.TEXT_DOCUMENT_COMPLETION: completion,
    types.TEXT_DOCUMENT_HOVER: hover,
    STATUS_REQUEST: status_asked,
    SEARCH_REQUEST: search,
}
