"""What the client is asked for on the index's behalf: a progress bar that can be cancelled, and news of files."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from lsprotocol import types

from hearth.lsp.messages import say

SHOW_AFTER_S = 1.0
"""A walk that is over sooner is not worth a progress bar."""
WATCHED = "**/*"

Send = Callable[[types.ProgressParams], None]
Create = Callable[[types.WorkDoneProgressCreateParams], Awaitable[Any]]


class IndexProgress:
    """A progress bar while the workspace is read. `told` is called with each status of the index."""

    def __init__(self, create: Create, send: Send, language: Callable[[], str]) -> None:
        self._create = create
        self._send = send
        self._language = language
        self._since: float | None = None
        self._token: str | None = None
        self._begun = False
        self._tasks: set[asyncio.Task[None]] = set()

    def told(self, status: dict[str, Any]) -> None:
        """The index said how far it is."""
        if status.get("state") != "walking":
            self._end()
            return
        now = time.monotonic()
        self._since = self._since or now
        if self._token is None and now - self._since >= SHOW_AFTER_S:
            self._token = uuid4().hex
            task = asyncio.get_running_loop().create_task(self._begin(self._token), name="index progress")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._begun and self._token is not None:
            value = types.WorkDoneProgressReport(cancellable=True, **self._how_far(status))
            self._send(types.ProgressParams(self._token, value))

    def is_ours(self, token: object) -> bool:
        """Whether a progress bar is this one."""
        return token is not None and token == self._token

    async def _begin(self, token: str) -> None:
        await self._create(types.WorkDoneProgressCreateParams(token))
        if self._token == token:
            self._begun = True
            title = say("indexing", self._language())
            self._send(types.ProgressParams(token, types.WorkDoneProgressBegin(title, cancellable=True, percentage=0)))

    def _how_far(self, status: dict[str, Any]) -> dict[str, Any]:
        seen, total = int(status.get("seen", 0)), int(status.get("total", 0))
        if not total:
            return {}
        message = say("indexing_files", self._language(), seen=seen, total=total)
        return {"percentage": min(100, 100 * seen // total), "message": message}

    def _end(self) -> None:
        if self._begun and self._token is not None:
            self._send(types.ProgressParams(self._token, types.WorkDoneProgressEnd()))
        self._since = self._token = None
        self._begun = False


def watch_registration() -> types.Registration:
    """What asks the client to say when files change, by whomever."""
    watchers = [types.FileSystemWatcher(WATCHED)]
    options = types.DidChangeWatchedFilesRegistrationOptions(watchers)
    return types.Registration("files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
