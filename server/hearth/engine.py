"""The facade and composition root: the only module that knows every part.

`async with open_engine(settings) as engine` starts everything and ends everything: no task outlives the block.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hearth.backends.base import Usage
from hearth.core.text import Position, Range, Snapshot
from hearth.settings import Settings

Source = Literal["model", "memory", "workspace", "none"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know once. `remedy` says what to do next."""

    level: Literal["info", "warning", "error"]
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Text to put in place of `range` (UTF-16, as in LSP). `id` comes back in `Engine.accepted`."""

    id: str
    text: str
    range: Range


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one completion request. `reason` is a short sentence, also when there is a suggestion."""

    suggestions: tuple[Suggestion, ...]
    source: Source
    reason: str
    backend: str = ""
    model: str = ""
    latency_ms: float = 0.0
    usage: Usage = Usage()


class Engine:
    """Everything Hearth can do, without knowing that editors exist. One per process."""

    def __init__(self, settings: Settings, notify: Callable[[Notice], None]) -> None:
        self.settings = settings
        self._notify = notify

    async def complete(
        self,
        snapshot: Snapshot,
        position: Position,
        *,
        invoked: bool = False,
        selected: tuple[Range, str] | None = None,
    ) -> Outcome:
        """Suggest what comes at `position`. Never raises but CancelledError, which stops the model's work.

        `invoked`: the user asked for it by a key, so gates of taste do not apply. `selected`: the suggest widget's
        highlighted item (its range and text): a suggestion must begin with it.
        """
        return Outcome((), "none", "not built yet")

    def opened(self, snapshot: Snapshot) -> None:
        """A document was opened."""

    def changed(self, snapshot: Snapshot) -> None:
        """A document has a new version. Cheap: called on every keystroke."""

    def closed(self, uri: str) -> None:
        """A document was closed."""

    def accepted(self, suggestion_id: str) -> None:
        """The user took a whole suggestion."""

    def set_folders(self, folders: Sequence[Path]) -> None:
        """The workspace's folders changed."""

    def configure_completion(self, *, enabled: bool | None = None, languages_off: Sequence[str] | None = None) -> None:
        """The only settings an editor may change while running."""

    async def status(self) -> dict[str, Any]:
        """What `hearth doctor --json` prints, plus the live counters of `hearth/status`."""
        return {"version": "", "backends": [], "problems": [], "completions": {}, "tokens": {}}

    def why(self) -> str:
        """Markdown that lists what was decided for the last completion requests."""
        return ""


@asynccontextmanager
async def open_engine(
    settings: Settings,
    *,
    folders: Sequence[Path] = (),
    notify: Callable[[Notice], None] = lambda _notice: None,
) -> AsyncIterator[Engine]:
    """Start the engine: discovery and indexing begin in the background, so this returns at once."""
    yield Engine(settings, notify)
