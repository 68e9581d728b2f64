"""What the server asks of the client: words of the user, a choice, an edit, a progress bar. Each within a time."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

from lsprotocol import types

from hearth.errors import HearthError
from hearth.lsp.messages import say
from hearth.lsp.protocol import RpcError

INPUT_REQUEST = "hearth/input"
INPUT_WAIT_S = 900.0
INPUT_CHARS_MAX = 100_000
CHOICE_WAIT_S = 900.0
APPLY_WAIT_S = 900.0
"""The user may look at a preview for long."""
BAR_WAIT_S = 2.0

SendRequest = Callable[[str, Any], "Future[Any]"]
Notify = Callable[[str, Any], None]


@dataclass(frozen=True, slots=True)
class Item:
    """One of several to choose from. `value`: what the choice amounts to."""

    value: str
    label: str
    description: str = ""


class Bar:
    """A progress bar that is shown, if the client could show it."""

    def __init__(self, token: str, notify: Notify) -> None:
        self._token = token
        self._notify = notify

    def say(self, message: str) -> None:
        """What is being done now."""
        value = types.WorkDoneProgressReport(message=message, cancellable=True)
        self._notify(types.PROGRESS, types.ProgressParams(self._token, value))


class Client:
    """The client, as something that can be asked. `language`: of the words it is asked with."""

    def __init__(self, send: SendRequest, notify: Notify, language: Callable[[], str]) -> None:
        self._send = send
        self._notify = notify
        self.language = language
        self.shows_progress = False
        self._cancels: dict[str, Callable[[], None]] = {}

    async def ask(self, method: str, params: object) -> Any:
        """The raw result; raises RpcError where the client cannot."""
        return await asyncio.wrap_future(self._send(method, params))

    async def input(
        self, prompt: str, placeholder: str = "", items: Sequence[Item] = (), value: str = ""
    ) -> str | None:
        """What the user types, or makes of `value`, or the value of what they choose of `items`; None if they do
        neither.

        Raises HearthError where the client has no way to ask: then the command's argument must say it.
        """
        params: dict[str, Any] = {"prompt": prompt, "placeholder": placeholder}
        if items:
            shown = [{"label": one.label, "description": one.description, "value": one.value} for one in items]
            params["items"] = shown
        if value:
            params["value"] = value
        try:
            async with asyncio.timeout(INPUT_WAIT_S):
                found = await self.ask(INPUT_REQUEST, params)
        except TimeoutError:
            return None
        except RpcError:
            raise HearthError(say("no_input", self.language())) from None
        given = cast(dict[str, Any], found).get("value") if isinstance(found, dict) else None
        if not isinstance(given, str) or not given.strip():
            return None
        # A client that does not know of items lets the user type one's name.
        typed = given.strip()[:INPUT_CHARS_MAX]
        return next((one.value for one in items if typed in (one.value, one.label)), typed)

    async def choose(
        self, kind: types.MessageType, text: str, titles: Sequence[str], *, closes: bool = False
    ) -> str | None:
        """Which button of a message was pressed; None for none. The first one is what Enter presses. A warning is a
        dialog in our own client, all else fades away after a while. `closes`: the last one is what closing the message
        presses."""
        actions: list[dict[str, Any]] = [{"title": title} for title in titles]
        if closes:
            actions[-1]["isCloseAffordance"] = True
        params = {"type": kind.value, "message": text, "actions": actions}
        try:
            async with asyncio.timeout(CHOICE_WAIT_S):
                found = await self.ask(types.WINDOW_SHOW_MESSAGE_REQUEST, params)
        except (TimeoutError, RpcError):
            return None
        title = cast(dict[str, Any], found).get("title") if isinstance(found, dict) else None
        return title if title in titles else None

    async def apply(self, edit: types.WorkspaceEdit, label: str) -> bool | None:
        """Whether the client did all of it, by its own word; None if it said nothing: it may do so yet."""
        params = types.ApplyWorkspaceEditParams(edit, label)
        try:
            async with asyncio.timeout(APPLY_WAIT_S):
                found = await self.ask(types.WORKSPACE_APPLY_EDIT, params)
        except TimeoutError:
            return None
        except RpcError:
            return False
        return isinstance(found, dict) and cast(dict[str, Any], found).get("applied") is True

    @asynccontextmanager
    async def bar(self, title: str, cancel: Callable[[], None]) -> AsyncGenerator[Bar]:
        """A progress bar for as long as the block runs; its button calls `cancel`."""
        token = uuid4().hex
        bar = Bar(token, self._notify if self.shows_progress else lambda _method, _params: None)
        if not self.shows_progress:
            yield bar
            return
        self._cancels[token] = cancel
        try:
            async with asyncio.timeout(BAR_WAIT_S):
                await self.ask(types.WINDOW_WORK_DONE_PROGRESS_CREATE, types.WorkDoneProgressCreateParams(token))
        except (TimeoutError, RpcError):
            pass
        try:
            begin = types.WorkDoneProgressBegin(title, cancellable=True)
            self._notify(types.PROGRESS, types.ProgressParams(token, begin))
            yield bar
        finally:
            del self._cancels[token]
            self._notify(types.PROGRESS, types.ProgressParams(token, types.WorkDoneProgressEnd()))

    def cancelled(self, token: object) -> bool:
        """The user pressed the button of a progress bar; whether it is one of these."""
        cancel = self._cancels.get(token) if isinstance(token, str) else None
        if cancel is not None:
            cancel()
        return cancel is not None
