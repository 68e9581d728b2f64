"""A request as it would leave: how long it is, what goes with its messages, and what the user is shown before."""

import json
from typing import Any

from hearth.core import approval as approvals
from hearth.core import budget, catalogue
from hearth.core.budget import ZERO
from hearth.core.catalogue import Entry
from hearth.core.exchange import Request, wire_tool
from hearth.core.proposal import Proposal
from hearth.core.route import Attempt, Plan, Task

CHARS_PER_TOKEN = 3.2
"""Of code and prose together, a little low: a prompt should fit."""
MESSAGE_TOKENS = 8
"""What a chat template puts around a message, about."""
ABOUT_OUTPUT_SHARE = 3
"""An answer takes about a third of what it may."""
RETENTION = "providers that neither keep nor train on it"


def tokens_about(chars: int) -> int:
    """How many tokens a text has, about."""
    return int(chars / CHARS_PER_TOKEN) + 1


def task_of(request: Request) -> Task:
    """What the router must know of it."""
    chars = sum(len(message.text) for message in request.messages)
    around = MESSAGE_TOKENS * len(request.messages)
    calls = sum(len(json.dumps(dict(call.arguments))) for message in request.messages for call in message.calls)
    tools = len(json.dumps([wire_tool(tool) for tool in request.tools])) if request.tools else 0
    most = sum(len(message.text.encode("utf-8", "surrogatepass")) for message in request.messages) + calls + tools
    needs = frozenset(
        name for name, wanted in (("tools", request.tools), ("response_format", request.schema)) if wanted
    )
    return Task(
        request.kind,
        tokens_about(chars + calls + tools) + around,
        request.output_tokens,
        most + 2 * around,  # no token is shorter than a byte
        request.files,
        needs,
        urgent=request.urgent,
    )


def fields_of(request: Request, entry: Entry) -> dict[str, Any]:
    """What goes into the body beside the messages: tools, a schema, where to stop."""
    fields: dict[str, Any] = {}
    if request.tools:
        fields["tools"] = [wire_tool(tool) for tool in request.tools]
    if request.schema is not None and "response_format" in entry.parameters:
        named = {"name": "answer", "strict": True, "schema": dict(request.schema)}
        fields["response_format"] = {"type": "json_schema", "json_schema": named}
    if request.stop:
        fields["stop"] = list(request.stop[:4])
    return fields


def with_marks(messages: tuple[dict[str, Any], ...], marks: int) -> tuple[dict[str, Any], ...]:
    """With the prefix marked that a provider should keep: behind the system's words, and behind the last turn but one,
    where the next request of the conversation will still be the same."""
    if not marks:
        return messages
    system = max((at for at, one in enumerate(messages) if one["role"] == "system"), default=-1)
    wanted = [at for at in dict.fromkeys((len(messages) - 1, system)) if at >= 0][:marks]
    return tuple(_marked(one) if at in wanted and one["content"] else one for at, one in enumerate(messages))


def _marked(message: dict[str, Any]) -> dict[str, Any]:
    part = {"type": "text", "text": message["content"], "cache_control": {"type": "ephemeral"}}
    return {**message, "content": [part]}


def proposal_of(
    bound: approvals.Request,
    request: Request,
    attempt: Attempt,
    plan: Plan,
    messages: tuple[dict[str, Any], ...],
    rules: tuple[str, ...],
    host: str,
    money: budget.Budget,
    now: float,
) -> Proposal:
    """What the user is asked about. `messages`: with all secrets masked, by these `rules`. `money`: of the day."""
    entry = attempt.entry
    assert entry is not None
    chars = sum(len(str(message["content"])) for message in messages)
    tokens = tokens_about(chars) + MESSAGE_TOKENS * len(messages)
    about = catalogue.forecast(entry, tokens, attempt.output_tokens // ABOUT_OUTPUT_SHARE) or ZERO
    behind = [one for one in plan.attempts if one.place == "cloud" and one is not attempt]
    return Proposal(
        bound,
        host,
        entry.id,
        tuple(one.model for one in behind),
        request.origins,
        rules,
        len(json.dumps(messages, ensure_ascii=False).encode("utf-8", "surrogatepass")),
        tokens,
        min(about, attempt.forecast),
        max((one.forecast for one in (attempt, *behind)), default=ZERO),
        budget.left(money, now),
        RETENTION,
        attempt.reason,
        _exact(messages),
    )


def _exact(messages: tuple[dict[str, Any], ...]) -> str:
    """To be read: each message under its role."""
    pages: list[str] = []
    for message in messages:
        calls = json.dumps(message["tool_calls"], ensure_ascii=False, indent=2) if "tool_calls" in message else ""
        pages.append(f"[{message['role']}]\n{message['content']}{calls}\n")
    return "\n".join(pages)
