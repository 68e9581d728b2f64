"""`hearth.revokeConsent`: what the user allowed to be sent without being asked again, shown and taken back."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from hearth.consents import Consents
from hearth.core.approval import Approval
from hearth.lsp import convert
from hearth.lsp.asking import Client, Item
from hearth.lsp.messages import say

ALL = "all"


async def take_back(
    consents: Consents,
    client: Client,
    tell: Callable[[Literal["info", "warning"], str], None],
    fields: Mapping[str, Any],
) -> dict[str, Any]:
    """{consent?: id or "all"} -> {revoked, left}, each a list of {id, destination, kind, workspace, scope, since}."""
    language = client.language()
    given = await asyncio.to_thread(consents.given)
    wanted = convert.string(fields["consent"], "consent") if fields.get("consent") else ""
    if not given:
        tell("info", say("allowed_nothing", language))
    elif not wanted:
        items = [Item(one.id, f"{one.kind} → {one.destination}", _facts(one, language)) for one in given]
        if len(items) > 1:
            items.append(Item(ALL, say("allowed_all", language)))
        wanted = await client.input(say("allowed_pick", language), "", items) or ""
    chosen = [one for one in given if wanted in (ALL, one.id)]
    gone = [one for one in chosen if await asyncio.to_thread(consents.revoke, one.id)]
    if gone:
        what = "; ".join(f"{one.kind} → {one.destination}" for one in gone)
        tell("info", say("allowed_gone", language, what=what))
    if len(gone) < len(chosen):
        tell("warning", say("allowed_stays", language, count=len(chosen) - len(gone), folder=consents.folder))
    left = await asyncio.to_thread(consents.given)
    return {"revoked": [one.as_json() for one in gone], "left": [one.as_json() for one in left]}


def _facts(one: Approval, language: str) -> str:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.since))
    until = say("allowed_kept" if one.scope == "workspace" else "allowed_session", language)
    return say("allowed_facts", language, folder=one.folder or "-", since=since, until=until)
