"""Runs or takes up one task in a room that is there already, and writes what came of it to a file: for who kills it.

usage: run_task.py ROOM RUN RESULT      RUN is a JSON object with the fields of harness.Run
"""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "server"), str(ROOT / "tests")]

from scenarios.scenario import scenarios  # noqa: E402
from scenarios.tasks.harness import Room, Run, with_loop  # noqa: E402


def main(room: str, run: str, result: str) -> None:
    asked = Run(**json.loads(run))
    here = Room(scenarios()[asked.scenario], Path(room), there=True)
    report = asyncio.run(with_loop(here, asked.model(here.places), tools=asked.tools, resume=True))
    report.outcome = None
    partly = Path(f"{result}.part")
    partly.write_text(json.dumps(asdict(report)), encoding="utf-8")
    partly.rename(result)


if __name__ == "__main__":
    main(*sys.argv[1:])
