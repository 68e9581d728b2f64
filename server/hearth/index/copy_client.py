"""The serving side's handle on the copy predictor's process. Whatever happens to it, the answer is silence."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hearth.core.copying import AFTER_SCAN_LINES, CONTEXT_SCAN_LINES, CopyPrediction
from hearth.errors import WorkerError
from hearth.worker import Worker, python_argv

PREDICT_DEADLINE_S = 0.03
STATUS_DEADLINE_S = 1.0
LATE_IN_A_ROW_MAX = 5
LATE_PAUSE_S = 5.0
LINE_CHARS_SENT_MAX = 2_000

GONE = "The copy predictor stopped: suggestions no longer draw on files that are not open."
GONE_REMEDY = "Restart Hearth; if it happens again, `hearth doctor` says more."


class CopyClient:
    """`on_gone(message, remedy)` is called once, when the process cannot be kept running."""

    def __init__(self, on_gone: Callable[[str, str], None] = lambda _message, _remedy: None) -> None:
        self._on_gone = on_gone
        self._told = False
        self._folders: list[str] = []
        self._open: list[str] = []
        self._late = 0
        self._paused_until = 0.0
        self._progress: dict[str, Any] = {}
        self._worker = Worker(
            "copies",
            python_argv("hearth.index.copy_service"),
            on_exit=self._exited,
            on_announce=self._announced,
            on_message=self._said,
        )

    @property
    def pid(self) -> int | None:
        """Process id of the copy predictor's process, None while there is none."""
        return self._worker.pid

    @property
    def progress(self) -> dict[str, Any]:
        """The last counts that the process sent of itself, as `status` gives them; {} before the first."""
        return self._progress

    async def start(self, folders: Sequence[Path], open_files: Sequence[Path] = ()) -> None:
        """Start the process; it reads `folders` in the background, `open_files` first."""
        self._folders = [os.fspath(f) for f in folders]
        self._open = [os.fspath(f) for f in open_files]
        try:
            await self._worker.start()
            self._announced({})  # its first words may come before its pipes are ours
        except WorkerError as error:
            self._gone(error.message)

    def set_folders(self, folders: Sequence[Path], open_files: Sequence[Path] = ()) -> None:
        """The workspace's folders changed: files outside them are forgotten, new ones read."""
        self._folders = [os.fspath(f) for f in folders]
        self._open = [os.fspath(f) for f in open_files]
        self._tell({"do": "folders", "folders": self._folders, "open": self._open})

    def saved(self, path: Path) -> None:
        """A file was written, created or deleted: it is read again or forgotten."""
        self._tell({"do": "saved", "path": os.fspath(path)})

    async def predict(
        self,
        before_lines: Sequence[str],
        line_before_cursor: str,
        line_after_cursor: str,
        after_lines: Sequence[str],
        path: str,
        language: str = "",
        *,
        deadline_s: float = PREDICT_DEADLINE_S,
    ) -> CopyPrediction | None:
        """As CopyModel.predict, from all indexed files but `path` itself; None also when late or not running."""
        now = time.monotonic()
        if now < self._paused_until or len(line_before_cursor) > LINE_CHARS_SENT_MAX:
            return None
        message = {
            "do": "predict",
            "before": [line[:LINE_CHARS_SENT_MAX] for line in before_lines[-CONTEXT_SCAN_LINES:]],
            "line_before": line_before_cursor,
            "line_after": line_after_cursor[:LINE_CHARS_SENT_MAX],
            "after": [line[:LINE_CHARS_SENT_MAX] for line in after_lines[:AFTER_SCAN_LINES]],
            "path": path.replace(os.sep, "/"),
            "language": language,
        }
        try:
            answer = await self._worker.request(message, deadline_s)
        except WorkerError:
            self._late += 1
            if self._late >= LATE_IN_A_ROW_MAX:
                # A process that hangs must not cost every keystroke its deadline.
                self._late = 0
                self._paused_until = now + LATE_PAUSE_S
            return None
        self._late = 0
        if not answer.get("text"):
            return None
        return CopyPrediction(
            str(answer["text"]), float(answer["confidence"]), int(answer["lines"]), str(answer.get("path", ""))
        )

    async def status(self) -> dict[str, Any]:
        """Counts of the process (see index.copy_service) and `restarts`; {"state": "off"} if it does not answer."""
        try:
            counts = await self._worker.request({"do": "status"}, STATUS_DEADLINE_S)
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

    def _announced(self, _message: dict[str, Any]) -> None:
        self._tell({"do": "folders", "folders": self._folders, "open": self._open})

    def _said(self, message: dict[str, Any]) -> None:
        if isinstance(message.get("progress"), dict):
            self._progress = message["progress"]

    def _exited(self, code: int, restarting: bool) -> None:
        if not restarting:
            self._gone(f"exit code {code}")

    def _gone(self, why: str) -> None:
        if not self._told:
            self._told = True
            self._on_gone(f"{GONE} ({why})", GONE_REMEDY)
