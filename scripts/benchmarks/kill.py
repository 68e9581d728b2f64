"""A server that is killed amid a multi-file task: what is left, and whether the task goes on.

A real `hearth serve` runs a task of tests/scenarios over the protocol, the project's checks included, with a scripted
model and an editor that agrees to everything. It gets SIGKILL at a random moment; another is started, the task taken
up, applied, and undone.
"""

import random
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "server"), str(ROOT / "tests")]

from scenarios.kills import KillReport, killed, told  # noqa: E402

KILLS = 50
SEED = 11

_found: list[KillReport] = []


def rows() -> list[tuple[str, str, str]]:
    _found.extend(killed(KILLS, random.Random(SEED)))
    amid = [one for one in _found if one.hit]
    counted = [
        ("user's files untouched until the change is applied", sum(not one.touched for one in _found)),
        ("nothing of it runs on, and no copy lies about after the next start", sum(not one.left for one in _found)),
        ("taken up, it comes to its end", sum(one.ended for one in _found)),
        ("then hidden tests pass", sum(one.solved for one in _found)),
        ("undone, all files are as before", sum(one.whole for one in _found)),
    ]
    return [
        ("killed amid the task, of all kills", "", f"{len(amid)} / {len(_found)}"),
        *[(figure, "all", f"{count} / {len(_found)}") for figure, count in counted],
    ]


def notes() -> str:
    kinds = Counter(one.moment.what for one in _found)
    words = {
        "records": "after a random number of the task's records",
        "check": "amid a check",
        "before": "when the editor is asked to apply the change",
        "after": "when it has applied it, and the server does not know yet",
    }
    lines = [f"- {count} {words[kind]}" for kind, count in kinds.most_common()]
    return "\n".join(["Killed, up to 250 ms later:", "", *lines, *([told(_found)] if told(_found) else [])])
