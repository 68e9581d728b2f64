"""The serving side's handle on the index process. Whatever happens to it, completion goes on without it."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from hearth.errors import WorkerError
from hearth.worker import Worker, python_argv

SEARCH_WITHIN_S = 10.0
STATUS_WITHIN_S = 6.0
TELL_AGAIN_S = 0.2
NATIVE_CRASHES_MAX = 2
"""After so many in a row the stores are put aside: it may be them."""

GONE = "The project index stopped: suggestions and search no longer know the project."
GONE_REMEDY = "Run the command Hearth: Rebuild the Project Index; if it happens again, `hearth doctor` says more."
_NATIVE = frozenset(
    -int(getattr(signal, name))
    for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE")
    if hasattr(signal, name)
)


class IndexClient:
    """`share`: whether vectors may go to the Qdrant server at `qdrant_url` for folders told of from now on; then files
    that `never` fits are not indexed. `on_progress(status)` is called with every status that the process tells of
    itself; `on_gone(message, remedy)` once, when it cannot be kept running."""

    def __init__(
        self,
        data: Path,
        *,
        qdrant_url: str = "",
        qdrant_key_env: str = "",
        never: Sequence[str] = (),
        share: Callable[[], bool] = lambda: True,
        on_gone: Callable[[str, str], None] = lambda _message, _remedy: None,
        on_progress: Callable[[dict[str, Any]], None] = lambda _status: None,
    ) -> None:
        self._never = [*never]
        self._share = share
        self._on_gone = on_gone
        self._on_progress = on_progress
        self._told = False
        self._folders: list[str] = []
        self._open: list[str] = []
        self._crashes = 0
        self._progress: dict[str, Any] = {}
        self.started = asyncio.Event()
        """Set once the process runs, or cannot be started."""
        key = os.environ.get(qdrant_key_env, "") if qdrant_key_env else ""
        self._worker = Worker(
            "index",
            python_argv("hearth.index.service", os.fspath(data), qdrant_url, qdrant_key_env),
            env={qdrant_key_env: key} if key else None,
            on_exit=self._exited,
            on_announce=self._announced,
            on_message=self._said,
        )

    @property
    def pid(self) -> int | None:
        """Process id of the index process, None while there is none."""
        return self._worker.pid

    @property
    def progress(self) -> dict[str, Any]:
        """The last status that the process told of itself; {} before the first."""
        return self._progress

    async def start(self, folders: Sequence[Path], open_files: Sequence[Path] = ()) -> None:
        """Start the process; it reads `folders` in the background, `open_files` first."""
        self._folders = [os.fspath(f) for f in folders]
        self._open = [os.fspath(f) for f in open_files]
        try:
            await self._worker.start()
            self._announced({})
        except WorkerError as error:
            self._gone(error.message)
        self.started.set()

    def set_folders(self, folders: Sequence[Path], open_files: Sequence[Path] = ()) -> None:
        """The workspace's folders changed."""
        self._folders = [os.fspath(f) for f in folders]
        self._open = [os.fspath(f) for f in open_files]
        self._tell(self._folders_message())

    def saved(self, path: Path) -> None:
        """A file was written, created or deleted: it is read again or forgotten."""
        self._tell({"do": "saved", "path": os.fspath(path)})

    def reindex(self) -> None:
        """Read everything again."""
        self._tell({"do": "reindex"})

    def stop(self) -> None:
        """Give up the present walk; what is indexed stays."""
        self._tell({"do": "stop"})

    async def search(
        self, query: str, limit: int, question: tuple[str, Sequence[float]] | None = None
    ) -> list[dict[str, Any]]:
        """Chunks that answer a question, best first: folder, path, start_line, end_line, score, text, symbol.

        `question`: (embedding model, vector), if there is one. Raises WorkerError where there is no index to ask.
        """
        message: dict[str, Any] = {"do": "search", "query": query, "limit": limit}
        if question is not None:
            message["model"], message["vector"] = question
        answer = await self._worker.request(message, SEARCH_WITHIN_S)
        return cast(list[dict[str, Any]], answer.get("results", []))

    async def repository_map(
        self, folder: Path, tokens: int, *, conversation: Sequence[str] = (), mentioned: Sequence[str] = ()
    ) -> str:
        """What matters most in a folder, as a tree of signatures of at most `tokens`; see core.repomap.

        `conversation`: paths (relative to the folder) of the files that it is about. Raises WorkerError.
        """
        message = {"do": "map", "tokens": tokens, "conversation": [*conversation], "mentioned": [*mentioned]}
        return str((await self._of(folder, message)).get("map", ""))

    async def impact(self, folder: Path, *, name: str = "", path: str = "", depth: int = 1) -> dict[str, Any]:
        """What depends on a symbol, or on a file if no `name` is given; see index.overview. Raises WorkerError."""
        return await self._of(folder, {"do": "impact", "name": name, "path": path, "depth": depth})

    async def _of(self, folder: Path, message: dict[str, Any]) -> dict[str, Any]:
        return await self._worker.request({**message, "folder": os.path.realpath(folder)}, SEARCH_WITHIN_S)  # noqa: ASYNC240

    async def ask(self, message: dict[str, Any], within_s: float) -> dict[str, Any]:
        """Any question of `index.asking`. Raises WorkerError."""
        return await self._worker.request(message, within_s)

    async def status(self) -> dict[str, Any]:
        """Counts of the process (see index.service) and `restarts`; {"state": "off"} if it does not answer."""
        try:
            # What is asked before the folders are told would be answered as if there were none.
            async with asyncio.timeout(STATUS_WITHIN_S):
                await self.started.wait()
            counts = await self._worker.request({"do": "status"}, STATUS_WITHIN_S)
        except TimeoutError:
            return {"state": "off", "problem": "The index process has not started yet.", "restarts": 0}
        except WorkerError as error:
            return {"state": "off", "problem": error.message, "restarts": self._worker.restarts}
        return {**counts, "restarts": self._worker.restarts}

    async def aclose(self) -> None:
        """End the process."""
        await self._worker.aclose()

    def _tell(self, message: dict[str, Any]) -> None:
        # A process that is not there gets the folders when it announces itself.
        try:
            self._worker.notify(message)
        except WorkerError:
            return

    def _folders_message(self) -> dict[str, Any]:
        told = {"do": "folders", "folders": self._folders, "open": self._open}
        return {**told, "never": self._never, "share": self._share()}

    def _announced(self, _message: dict[str, Any]) -> None:
        distrust = self._crashes >= NATIVE_CRASHES_MAX
        message = {**self._folders_message(), "distrust": distrust}
        try:
            self._worker.notify(message)
        except WorkerError:
            # Its first words may come before its pipes are ours: told again in a moment, it knows folders only once.
            asyncio.get_running_loop().call_later(TELL_AGAIN_S, self._tell, message)
        if distrust:
            self._crashes = 0

    def _said(self, message: dict[str, Any]) -> None:
        if isinstance(message.get("progress"), dict):
            self._progress = message["progress"]
            self._on_progress(self._progress)

    def _exited(self, code: int, restarting: bool) -> None:
        self._crashes = self._crashes + 1 if code in _NATIVE else 0
        if not restarting:
            self._gone(f"exit code {code}")

    def _gone(self, why: str) -> None:
        if not self._told:
            self._told = True
            self._on_gone(f"{GONE} ({why})", GONE_REMEDY)
