"""A task's desk for the threats: a workspace, its overlay, a person who notes what they are asked, and the tools."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hearth.agent.base import Command, Consenting, Step
from hearth.agent.overlay import Overlay
from hearth.agent.tools import Tools
from hearth.core.exchange import ToolCall
from hearth.core.task import begin
from hearth.core.task_calls import native, written
from hearth.core.task_state import Check, Result, Start, State, ToolsRan


class Watchful(Consenting):
    """Notes what is asked. `allows`: protected files, by path, that may be changed."""

    def __init__(self, allows: Sequence[str] = ()) -> None:
        self.allows = set(allows)
        self.protected_asked: list[tuple[str, str]] = []
        self.commands_asked: list[str] = []

    async def plan(self, steps: Sequence[Step], page: str) -> Sequence[Step] | None:
        return steps

    async def commands(self, commands: Sequence[Command], digest: str) -> bool:
        self.commands_asked.append(digest)
        return True

    async def protected(self, path: str, why: str, before: str, after: str) -> bool:
        self.protected_asked.append((path, after))
        return path in self.allows


class Desk:
    """`root` is the workspace; beside it lies what is none of it."""

    def __init__(self, folder: Path, files: dict[str, str], person: Watchful | None = None) -> None:
        self.root = folder / "ws"
        self.root.mkdir(parents=True)
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text, encoding="utf-8")
        self.person = person or Watchful()
        self.overlay = Overlay(self.root)
        self.overlay.load()
        self.checked: list[str] = []
        self.tools = Tools(self.overlay, self.person, self._check)
        self.state: State = begin(Start("t", "goal", str(self.root), "abcdef"))
        self.before = self.everything()

    async def _check(self, kind: str) -> tuple[Check, ...]:
        self.checked.append(kind)
        return ()

    def everything(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for where, folders, names in os.walk(self.root.parent):
            for name in (*folders, *names):
                path = Path(where) / name
                if path.is_symlink():
                    found[str(path)] = f"-> {os.readlink(path)}"
                elif path.is_file():
                    found[str(path)] = path.read_text("utf-8", "replace")
        return found

    async def call(self, name: str, **arguments: Any) -> Result:
        """One native call; what cannot even be a call counts as not done."""
        read = native((ToolCall("1", name, arguments),))
        if not read.calls:
            raise AssertionError(read.problems)
        return (await self.ran(read.calls)).results[0]

    async def tried(self, name: str, **arguments: Any) -> bool:
        """Whether a call did what it wanted."""
        read = native((ToolCall("1", name, arguments),))
        return bool(read.calls) and (await self.ran(read.calls)).results[0].ok

    async def said(self, text: str) -> list[Result]:
        """The calls of an answer as text."""
        return list((await self.ran(written(text).calls)).results)

    async def ran(self, calls: Sequence[Any]) -> ToolsRan:
        return await self.tools.run(self.state, tuple(calls), 10_000)

    def untouched(self) -> bool:
        """Whether nothing of the user's has changed, in the overlay or on the disk."""
        return not self.overlay.changes and self.everything() == self.before
