"""The tasks that are kept on the disk: which can be taken up again, and what is known of each."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hearth.agent.cassette import ID, NAME, CassetteError, replayed
from hearth.agent.copying import GONE, removed
from hearth.agent.overlay import Overlay
from hearth.core.task_page import page
from hearth.core.task_state import State
from hearth.index.owner import lock

LISTED_MAX = 20
KEPT_MAX = 100
"""Tasks; of more the oldest are forgotten."""
COPIES = "copy-*"
SETTLED = "settled"
"""Beside a task's journal, where the user has applied its changes or discarded them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A task that there is a record of. `at_s`: when it was last at work, seconds since 1970. `now`: what it was doing,
    or how it ended, in words. `ending`: "" for one that was broken off. `waits`: it has ended, and its changes were
    neither applied nor discarded."""

    id: str
    goal: str
    folder: str
    at_s: float
    now: str
    ending: str = ""
    waits: bool = False


def listed(home: Path, most: int = LISTED_MAX) -> list[Kept]:
    """The newest tasks, the newest first; what is damaged is passed over. Blocks."""
    found: list[Kept] = []
    for at_s, folder in _folders(home)[:most]:
        try:
            found.append(_kept(replayed(folder / NAME).state, folder, at_s))
        except CassetteError:
            continue
    return found


def unfinished(home: Path) -> list[Kept]:
    """Those of the newest tasks that can be taken up, the newest first. Blocks.

    One that failed for want of a model goes on where somebody answers again; one that came to its end while nobody was
    there to accept it is asked about again."""
    return [
        one
        for one in listed(home)
        if (one.ending in ("", "failed") or one.waits) and not (home / one.id / SETTLED).exists()
    ]


def _kept(state: State, folder: Path, at_s: float) -> Kept:
    lines = page(state).split("\n", 3)
    start = state.start
    over = state.ending not in (None, "refused", "failed")
    waits = over and not (folder / SETTLED).exists() and bool(since(state)[1])
    return Kept(start.id, start.goal, start.folder, at_s, lines[2].strip("*"), state.ending or "", waits)


def settle(home: Path, identifier: str) -> None:
    """A task is no longer one that can be taken up: its changes were applied or discarded. Blocks."""
    with suppress(OSError):
        (home / identifier / SETTLED).touch(0o600)


def state_of(home: Path, identifier: str) -> State:
    """A task as it was left. Raises CassetteError. Blocks."""
    path = home / identifier / NAME
    if not ID.fullmatch(identifier) or not path.is_file():
        raise CassetteError(f"There is no task {identifier[:60]}.", "`hearth task --list` shows those that there are.")
    return replayed(path).state


def since(state: State) -> tuple[list[str], list[str]]:
    """Of the files that a task has changed: those that are now neither what it found nor what it made of them, so that
    its change of them cannot be applied any more; and those that are not yet what it made of them. Blocks."""
    overlay = Overlay(Path(state.start.folder))
    now = {path: overlay.read(path) for path in state.changes}
    other = [path for path in now if now[path] != state.changes[path]]
    return sorted(path for path in other if now[path] != state.bases.get(path)), sorted(other)


def page_of(home: Path, identifier: str) -> str:
    """A task's document as it was left. Raises CassetteError. Blocks."""
    return page(state_of(home, identifier))


def pruned(home: Path) -> None:
    """Forget the oldest tasks beyond KEPT_MAX, and what others left lying. Blocks."""
    for _, folder in _folders(home)[KEPT_MAX:]:
        if (held := _held(folder)) is not None:
            removed(folder)
            os.close(held)
    swept(home)


def swept(home: Path) -> None:
    """Remove the copies of tasks whose process was killed. Blocks."""
    for doomed in home.glob(f"*.{GONE}"):
        removed(doomed)
    for folder in {copy.parent for copy in home.glob(f"*/{COPIES}")}:
        if (held := _held(folder)) is not None:
            for copy in folder.glob(COPIES):
                removed(copy)
            os.close(held)


def _held(folder: Path) -> int | None:
    """The lock of a task that nobody is at work on; None for others."""
    with suppress(OSError):
        return lock(folder)
    return None


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
