"""The secrets of conversations: masked before a message leaves this machine, put back into what the user sees.

A conversation keeps its placeholders, so that what was sent once is sent the same again, and a server's cache of it
holds. What is known of the machine's secrets is read anew now and then; masking runs beside the event loop.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hearth.core.exchange import Message, ToolCall, wire
from hearth.core.redact import Redactor
from hearth.core.secret_values import KnownValues
from hearth.known_values import known_values

CONVERSATIONS_MAX = 64
"""Whose placeholders are remembered; one that was forgotten gets new ones, and the old are no longer put back."""
KNOWN_S = 60.0
"""How old the list of this machine's secrets may be."""


@dataclass(frozen=True, slots=True)
class Masked:
    """Messages as they may leave, and the rule of each secret that was masked in them."""

    messages: tuple[dict[str, Any], ...]
    rules: tuple[str, ...]


class Masks:
    """Use from one event loop. `folders`: the workspace's, now. `environ`, `home`: where secrets are known from."""

    def __init__(self, folders: Callable[[], Sequence[Path]], environ: Mapping[str, str], home: Path) -> None:
        self._folders = folders
        self._environ = environ
        self._home = home
        self._known: KnownValues | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()
        self._redactors: OrderedDict[str, Redactor] = OrderedDict()

    async def of(self, conversation: str) -> Redactor:
        """The conversation's own, which knows the machine's secrets as of a minute ago at most."""
        known = await self._fresh()
        redactor = self._redactors.pop(conversation, None)
        if redactor is None:
            redactor = Redactor(known)
        redactor.learn(known)
        self._redactors[conversation] = redactor
        while len(self._redactors) > CONVERSATIONS_MAX:
            self._redactors.popitem(last=False)
        return redactor

    async def masked(self, redactor: Redactor, messages: Sequence[Message]) -> Masked:
        """In wire form, every text in them masked."""
        return await asyncio.to_thread(_masked, redactor, messages)

    async def _fresh(self) -> KnownValues:
        async with self._reading:
            now = time.monotonic()
            if self._known is None or now - self._read_at > KNOWN_S:
                folders = list(self._folders())
                self._known = await asyncio.to_thread(known_values, folders, self._environ, self._home)
                self._read_at = now
            return self._known


def restored_calls(redactor: Redactor, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """Tool calls with what their placeholders stand for. Only for tools that use no network."""
    return tuple(ToolCall(call.id, call.name, _each(redactor.restore, call.arguments)) for call in calls)


def _masked(redactor: Redactor, messages: Sequence[Message]) -> Masked:
    rules: list[str] = []

    def mask(text: str) -> str:
        found = redactor.redact(text)
        rules.extend(span.rule for span in found.spans)
        return found.text

    wires: list[dict[str, Any]] = []
    for message in messages:
        calls = tuple(ToolCall(call.id, call.name, _each(mask, call.arguments)) for call in message.calls)
        said = wire(Message(message.role, (), calls, message.call_id))
        said["content"] = mask(message.text)
        wires.append(said)
    return Masked(tuple(wires), tuple(rules))


def _each(change: Callable[[str], str], value: Any) -> Any:
    """JSON with every text in it changed, names included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each(change, item) for item in cast(list[Any], value)]
    if isinstance(value, Mapping):
        return {change(key): _each(change, item) for key, item in cast(Mapping[str, Any], value).items()}
    return value
