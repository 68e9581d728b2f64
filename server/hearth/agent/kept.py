"""The tasks that are kept on the disk: which can be taken up again, and what is known of one."""

import os
from dataclasses import dataclass
from pathlib import Path

from hearth.agent.cassette import NAME, CassetteError, replayed
from hearth.core.task_page import page

LISTED_MAX = 20


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A task that did not come to its end. `at_s`: when it was last at work, seconds since 1970. `now`: what it was
    doing, in words."""

    id: str
    goal: str
    folder: str
    at_s: float
    now: str


def unfinished(home: Path) -> list[Unfinished]:
    """Those of the newest tasks that can be taken up, the newest first; what is damaged is passed over. Blocks."""
    try:
        with os.scandir(home) as entries:
            folders = [Path(one.path) for one in entries if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    dated: list[tuple[float, Path]] = []
    for folder in folders:
        try:
            dated.append(((folder / NAME).stat().st_mtime, folder))
        except OSError:
            continue
    found: list[Unfinished] = []
    for at_s, folder in sorted(dated, reverse=True)[:LISTED_MAX]:
        try:
            state = replayed(folder / NAME).state
        except CassetteError:
            continue
        # One that failed for want of a model goes on where somebody answers again.
        if state.ending in (None, "failed"):
            start, lines = state.start, page(state).split("\n", 3)
            found.append(Unfinished(start.id, start.goal, start.folder, at_s, lines[2].strip("*")))
    return found


def page_of(home: Path, identifier: str) -> str:
    """A task's document as it was left. Raises CassetteError. Blocks."""
    if not identifier.isalnum():
        raise CassetteError("That is no task.")
    return page(replayed(home / identifier / NAME).state)
