"""What a task needs from outside: somebody to ask, a person to decide, limits, and where to keep its journal.

    parts = Parts(ask=ask, person=Consenting(), home=data_dir / "tasks")
    outcome = await run_task("rename total to sum_up", root, parts)          # hearth.agent.run
    outcome.ending, outcome.changes, outcome.page, outcome.certificate

Nothing is written below `root`: what came of the task is in `outcome.changes`, for the user to accept.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hearth.core.exchange import AUTO, Event, Request
from hearth.core.route import Choice
from hearth.core.task_parts import Abilities, Command, Ending, Impacted, Limits, Step

__all__ = [
    "Abilities",
    "Ask",
    "Command",
    "Consenting",
    "Ending",
    "Impacted",
    "Index",
    "Limits",
    "Outcome",
    "Parts",
    "Person",
    "Step",
]

Ask = Callable[[Request], AsyncGenerator[Event]]
"""A chat model, wherever it runs, with consent bound: raises HearthError where nobody can answer."""


class Person(Protocol):
    """The user, or who decides for them. Whatever is not agreed to does not happen."""

    async def questions(self, asked: Sequence[str]) -> Sequence[str] | None:
        """An answer to each; None to go on without."""
        ...

    async def impacted(self, files: Sequence[Impacted]) -> Sequence[Impacted] | None:
        """The list as the user wants it; None to end the task."""
        ...

    async def plan(self, steps: Sequence[Step], page: str) -> Sequence[Step] | None:
        """The steps as the user wants them; None to end the task. `page`: the plan as Markdown."""
        ...

    async def commands(self, commands: Sequence[Command], digest: str) -> bool:
        """Whether exactly these may be run on a copy; `digest` is over all that was shown."""
        ...

    async def protected(self, path: str, why: str, before: str, after: str) -> bool:
        """Whether a file that steers other programs may be changed like this ("" for a file that is not there)."""
        ...

    async def weakened(self, findings: Sequence[str]) -> bool:
        """Whether tests may lose what these sentences say."""
        ...


class Consenting:
    """Agrees to what a person would who said `--yes`: plan and checks, but no protected file and no weaker test."""

    async def questions(self, asked: Sequence[str]) -> Sequence[str] | None:
        return None

    async def impacted(self, files: Sequence[Impacted]) -> Sequence[Impacted] | None:
        return files

    async def plan(self, steps: Sequence[Step], page: str) -> Sequence[Step] | None:
        return steps

    async def commands(self, commands: Sequence[Command], digest: str) -> bool:
        return True

    async def protected(self, path: str, why: str, before: str, after: str) -> bool:
        return False

    async def weakened(self, findings: Sequence[str]) -> bool:
        return False


class Index(Protocol):
    """The project's index, where there is one: as `Engine.search` gives it."""

    async def search(self, query: str, limit: int = 10) -> Sequence[Mapping[str, Any]]:
        """path, start_line, end_line (0-based, exclusive), text; may raise WorkerError."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """`home`: the folder outside the workspace in which tasks are kept. `on_page(id, page)`: told the live document at
    every change of it."""

    ask: Ask
    person: Person
    home: Path
    index: Index | None = None
    limits: Limits = field(default_factory=Limits)
    abilities: Abilities = field(default_factory=Abilities)
    choice: Choice = AUTO
    trusted: bool = True
    """Of an untrusted workspace no command is run."""
    on_page: Callable[[str, str], None] = lambda _id, _page: None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`changes`: for each path its new text, None for a file to be deleted; applied to nothing yet. `stop`: why it did
    not come to its end, "" if it did. `id`: by which it can be taken up again."""

    id: str
    ending: Ending
    stop: str
    changes: Mapping[str, str | None]
    page: str
    certificate: Mapping[str, Any]
    bases: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    """What each changed file was when the task first changed it: if it is something else now, that is a conflict."""
