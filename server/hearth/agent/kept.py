"""The tasks that are kept on the disk: which can be taken up again, and what is known of each."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hearth.agent.cassette import ID, NAME, CassetteError, replayed
from hearth.agent.copying import removed
from hearth.core.task_page import page
from hearth.core.task_state import State

LISTED_MAX = 20
KEPT_MAX = 100
"""Tasks; of more the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A task that there is a record of. `at_s`: when it was last at work, seconds since 1970. `now`: what it was doing,
    or how it ended, in words. `ending`: "" for one that was broken off."""

    id: str
    goal: str
    folder: str
    at_s: float
    now: str
    ending: str = ""


def listed(home: Path, most: int = LISTED_MAX) -> list[Kept]:
    """The newest tasks, the newest first; what is damaged is passed over. Blocks."""
    found: list[Kept] = []
    for at_s, folder in _folders(home)[:most]:
        try:
            found.append(_kept(replayed(folder / NAME).state, at_s))
        except CassetteError:
            continue
    return found


def unfinished(home: Path) -> list[Kept]:
    """Those of the newest tasks that can be taken up, the newest first. Blocks.

    One that failed for want of a model goes on where somebody answers again."""
    return [one for one in listed(home) if one.ending in ("", "failed")]


def _kept(state: State, at_s: float) -> Kept:
    lines = page(state).split("\n", 3)
    start = state.start
    return Kept(start.id, start.goal, start.folder, at_s, lines[2].strip("*"), state.ending or "")


def page_of(home: Path, identifier: str) -> str:
    """A task's document as it was left. Raises CassetteError. Blocks."""
    if not ID.fullmatch(identifier):
        raise CassetteError("That is no task.")
    return page(replayed(home / identifier / NAME).state)


def pruned(home: Path) -> None:
    """Forget the oldest tasks beyond KEPT_MAX. Blocks."""
    for _, folder in _folders(home)[KEPT_MAX:]:
        removed(folder)


def _folders(home: Path) -> list[tuple[float, Path]]:
    """The tasks' folders, the newest first."""
    found: list[tuple[float, Path]] = []
    try:
        folders = list(home.iterdir())
    except OSError:
        return []
    for folder in folders:
        if ID.fullmatch(folder.name):
            with suppress(OSError):
                found.append(((folder / NAME).stat().st_mtime, folder))
    return sorted(found, key=lambda one: (-one[0], one[1].name))
