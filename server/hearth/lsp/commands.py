"""What `workspace/executeCommand` can run. Arguments are one object; a command answers with plain JSON."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hearth import __version__
from hearth.consents import Consents, kept_in
from hearth.core.chat import Kind
from hearth.lsp import convert, reports
from hearth.lsp.allowed import take_back
from hearth.lsp.messages import say
from hearth.lsp.offers import ACCEPTED
from hearth.lsp.talk import KINDS, Talk
from hearth.lsp.workshop import Workshop
from hearth.settings import data_dir

WHY_PAGE = "hearth:/why.md"

Run = Callable[[Workshop, Sequence[Any]], Awaitable[Any]]
Said = Callable[[Talk, Mapping[str, Any]], Awaitable[Any]]


async def status(work: Workshop) -> dict[str, Any]:
    """What `hearth doctor --json` prints, with the live counters."""
    await work.ls.engine_started()
    found = await work.session.engine.status() if work.session.engine is not None else {"version": __version__}
    return {**found, "workspace_trusted": work.session.workspace_trusted}


async def command_status(work: Workshop, arguments: Sequence[Any]) -> dict[str, Any]:
    found = await status(work)
    sums = await asyncio.to_thread(reports.spent, data_dir() / "ledger")
    work.ls.show_page(reports.STATUS, reports.status_page(found, sums, work.session.language))
    return found


async def command_egress(work: Workshop, arguments: Sequence[Any]) -> dict[str, str]:
    """`hearth.showEgress`: {uri?} -> {page, text}: the ledger; what left of that document comes first."""
    document = _fields(arguments).get("uri")
    page = reports.egress_uri(document if isinstance(document, str) else "")
    text = await asyncio.to_thread(reports.egress, page, data_dir() / "ledger", work.session.language)
    work.ls.show_page(page, text or "", focus=True)
    return {"page": page, "text": text or ""}


async def command_consent(work: Workshop, arguments: Sequence[Any]) -> dict[str, bool]:
    """`hearth.consent`: {page, answer}: the answer on the page that shows exactly what would be sent."""
    fields = _fields(arguments)
    page, answer = (convert.string(fields.get(key), key) for key in ("page", "answer"))
    return {"taken": work.consent.answered(page, answer)}


async def command_revoke(work: Workshop, arguments: Sequence[Any]) -> dict[str, Any]:
    """`hearth.revokeConsent`: {consent?}: see allowed.take_back."""
    ls = work.ls
    await ls.engine_wanted()
    engine = work.session.engine
    # What is kept can be taken back where the engine could not start, too.
    consents = engine.cloud.consents if engine is not None else Consents(kept_in(data_dir()), time.time)
    return await take_back(consents, ls.client_side, ls.show, _fields(arguments))


async def command_why(work: Workshop, arguments: Sequence[Any]) -> str:
    text = work.session.why()
    work.ls.show_page(WHY_PAGE, text)
    return text


async def command_toggle(work: Workshop, arguments: Sequence[Any]) -> dict[str, bool]:
    enabled = not work.session.completion.enabled
    work.session.set_completion(enabled=enabled)
    work.ls.show("info", say("completion_on" if enabled else "completion_off", work.session.language))
    return {"enabled": enabled}


async def command_accepted(work: Workshop, arguments: Sequence[Any]) -> None:
    suggestion = convert.string(arguments[0] if arguments else None, "arguments[0]")
    if work.session.engine is not None:
        work.session.engine.accepted(suggestion)


async def command_reindex(work: Workshop, arguments: Sequence[Any]) -> None:
    """`hearth.reindex`: read the whole workspace again."""
    engine = work.session.engine
    if engine is not None and engine.index:
        engine.index.reindex()
        work.ls.show("info", say("reindexing", work.session.language))
    else:
        work.ls.show("warning", say("index_off", work.session.language))


async def command_stop(work: Workshop, arguments: Sequence[Any]) -> dict[str, int]:
    """`hearth.stop`: {conversation?}: end one answer, or everything that is being done."""
    talking = work.talking
    conversation = _fields(arguments).get("conversation")
    if talking is not None and isinstance(conversation, str):
        return {"stopped": await talking.stop(conversation)}
    answering = [] if talking is None else list(talking.running.values())
    ended = await talking.stop() if talking is not None else 0
    return {"stopped": ended + work.ls.protocol.cancel_all(spare=answering)}


async def command_task(work: Workshop, arguments: Sequence[Any]) -> dict[str, Any]:
    """`hearth.task`: {prompt?, folder?}."""
    return await (await work.tasks_started()).task(_fields(arguments))


async def command_resume(work: Workshop, arguments: Sequence[Any]) -> dict[str, Any]:
    """`hearth.resumeTask`: {task?}."""
    return await (await work.tasks_started()).resume(_fields(arguments))


async def _say(act: Said, work: Workshop, arguments: Sequence[Any]) -> Any:
    return await act(await work.talk_started(), _fields(arguments))


def _kind(kind: Kind) -> Said:
    return lambda talking, fields: talking.command(kind, fields)


def _fields(arguments: Sequence[Any]) -> Mapping[str, Any]:
    return convert.table(arguments[0], "arguments[0]") if arguments else {}


COMMANDS: dict[str, Run] = {
    "hearth.status": command_status,
    "hearth.whyNoSuggestion": command_why,
    "hearth.toggleCompletion": command_toggle,
    "hearth.stop": command_stop,
    "hearth.reindex": command_reindex,
    "hearth.showEgress": command_egress,
    "hearth.consent": command_consent,
    "hearth.revokeConsent": command_revoke,
    ACCEPTED: command_accepted,
    **{f"hearth.{kind}": partial(_say, _kind(kind)) for kind in KINDS},
    "hearth.task": command_task,
    "hearth.resumeTask": command_resume,
    "hearth.reply": partial(_say, Talk.reply),
    "hearth.retry": partial(_say, Talk.retry),
    "hearth.apply": partial(_say, Talk.apply),
    "hearth.copy": partial(_say, Talk.copy),
    "hearth.keep": partial(_say, Talk.keep),
    "hearth.undoLastChange": partial(_say, Talk.undo),
    "hearth.conversations": partial(_say, Talk.conversations),
    "hearth.exportConversation": partial(_say, Talk.export),
    "hearth.deleteConversation": partial(_say, Talk.delete),
    "hearth.selectModel": partial(_say, Talk.select_model),
}
