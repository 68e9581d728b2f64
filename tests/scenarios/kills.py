"""Kills the process that runs a task at random moments, and looks what is left and whether it can be taken up."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scenarios.scenario import scenarios
from scenarios.tasks.harness import Room, Run, room

SCRIPT = Path(__file__).parent / "run_task.py"
DEADLINE_S = 240.0
GONE_DEADLINE_S = 20.0
POLL_S = 0.02
TASKS = ("rename_function", "move_function", "js_event_name", "deprecated_helper", "cli_option")
"""Killed in turn; with a few files each, so that there is much to interrupt."""


@dataclass(frozen=True)
class KillReport:
    """`after_s`: when it was killed, of the `whole_s` that the task takes. `touched`: the user's files that were not as
    before, then or later. `left`: programs of it that went on running. `ended`: taken up, it came to an end that is
    consistent."""

    scenario: str
    after_s: float
    whole_s: float
    touched: tuple[str, ...]
    left: bool
    ended: bool
    solved: bool
    said: str


def killed(count: int, die: random.Random) -> list[KillReport]:
    """`count` tasks, each killed once."""
    tasks = [Run(name, "ideal", tools=bool(number % 2)) for number, name in enumerate(TASKS)]
    lasted = {run: whole(run) for run in tasks[: min(count, len(tasks))]}
    return [
        one_kill(run, lasted[run] * die.random(), lasted[run])
        for run in (tasks[number % len(tasks)] for number in range(count))
    ]


def whole(run: Run) -> float:
    """Seconds that a task takes with nobody disturbing it."""
    with room(scenarios()[run.scenario]) as here:
        begun = time.monotonic()
        _wait(_begin(here, run))
        assert _result(here)["solved"], _result(here)
        return time.monotonic() - begun


def one_kill(run: Run, after_s: float, whole_s: float = 0.0) -> KillReport:
    with room(scenarios()[run.scenario]) as here:
        process = _begin(here, run)
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
        _wait(process)
        left = _programs_left(process.pid)
        touched = here.changed()
        if not _path(here).exists():
            _wait(_begin(here, run))
        found = _result(here)
        touched += here.changed()
        ended = bool(found.get("ending")) and not found.get("inconsistent") and not found.get("effects")
        said = found.get("error") or found.get("effects") or found.get("inconsistent") or found.get("stop", "")
        return KillReport(
            run.scenario, after_s, whole_s, tuple(touched), left, ended, bool(found.get("solved")), str(said)
        )


def _begin(here: Room, run: Run) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(SCRIPT), str(here.root), json.dumps(asdict(run)), str(_path(here))]
    with (here.root.parent / "errors").open("wb") as errors:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=os.name != "nt"
        )


def _wait(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(GONE_DEADLINE_S)


def _path(here: Room) -> Path:
    """Outside the user's folders."""
    return here.root.parent / "result"


def _result(here: Room) -> dict[str, Any]:
    errors = here.root.parent / "errors"
    try:
        return json.loads(_path(here).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"error": errors.read_text(encoding="utf-8", errors="replace")[-2_000:]}


def _programs_left(group: int) -> bool:
    """Whether anything that it started goes on running, a while after it was killed. Ends what does."""
    if os.name == "nt":
        return False
    deadline = time.monotonic() + GONE_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(POLL_S)
    os.killpg(group, signal.SIGKILL)
    return True


def told(reports: Sequence[KillReport]) -> str:
    """What went wrong, for who reads the test's failure."""
    return "\n".join(str(one) for one in reports if one.touched or one.left or not one.ended)
