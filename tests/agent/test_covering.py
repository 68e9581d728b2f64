"""What tests run is seen from outside, with real programs; and they are as they would be without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.players import Player, edit, planned
from agent.test_run import GOAL, ideal, parts, project
from hearth.agent import covering
from hearth.agent.base import Consenting, Parts
from hearth.agent.covering import Probe
from hearth.agent.run import run_task
from hearth.core.exchange import Request
from hearth.core.task_protocol import Demand
from scenarios.scenario import node

ENV = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
DONE = '```call done\n{"summary": "done"}\n```\n'
MODULE = """\
import threading

def ran():
    return 1

def threaded():
    return 2

def child():
    return 3

def never():
    return 4
"""
MAIN = """\
import os, subprocess, sys, threading
import module
assert module.ran() == 1
one = threading.Thread(target=module.threaded)
one.start()
one.join()
subprocess.run([sys.executable, "-c", "import os, module; module.child(); os._exit(0)"], check=True)
open("data.json").read()
print(sys.path[0], getattr(sys.modules.get("sitecustomize"), "MARK", "none"))
"""


def probed(folder: Path, argv: list[str], files: dict[str, str]) -> tuple[Probe, str]:
    """A command run in a folder with these files, all of them changed."""
    project(folder / "copy", files)
    probe = Probe(folder / "probe", folder / "copy", files)
    probe.begin()
    env = probe.environment({**ENV, "PYTHONPATH": str(folder / "copy"), "PYTHONDONTWRITEBYTECODE": "1"})
    done = subprocess.run(argv, cwd=folder / "copy", env=env, capture_output=True, text=True, check=True)
    probe.ran(argv)
    return probe, done.stdout


def test_python_is_seen_in_threads_and_children(tmp_path: Path):
    files = {"module.py": MODULE, "main.py": MAIN, "data.json": "{}", "other.json": "{}"}
    probe, said = probed(tmp_path, [sys.executable, "main.py"], files)
    traced = probe.traced()
    assert traced is not None
    assert traced.lines["module.py"] == {1, 3, 4, 6, 7, 9, 10, 12}
    assert traced.whole
    assert traced.read in (None, {"data.json", "module.py", "main.py"})
    assert said.split() == [str(tmp_path / "copy"), "none"]


def test_who_customizes_python_still_does(tmp_path: Path):
    files = {"module.py": MODULE, "sitecustomize.py": "MARK = 'theirs'\n", "main.py": MAIN, "data.json": "{}"}
    probe, said = probed(tmp_path, [sys.executable, "main.py"], files)
    traced = probe.traced()
    assert traced is not None
    assert said.split()[1] == "theirs"
    assert 4 in traced.lines["module.py"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="newer ones are watched, not traced")
def test_where_others_trace_nothing_is_claimed(tmp_path: Path):
    files = {"main.py": "import sys\nsys.settrace(None)\nx = 1\n"}
    traced = probed(tmp_path, [sys.executable, "main.py"], files)[0].traced()
    assert traced is not None
    assert (traced.lines, traced.whole) == ({}, False)


@pytest.mark.skipif(node() is None, reason="there is no node here")
def test_node_is_seen_with_types_and_without(tmp_path: Path):
    files = {
        "a.ts": "interface A { x: number }\nexport const f = (a: A): number => a.x;\nexport const g = () => 2;\n",
        "main.mjs": 'import { f } from "./a.ts";\nf({ x: 1 });\n',
        "package.json": "{}",
    }
    probe, _ = probed(tmp_path, [str(node()), "main.mjs"], files)
    traced = probe.traced()
    assert traced is not None
    (ranges,) = traced.scripts["a.ts"]
    assert (0, len(files["a.ts"]), 1) in ranges
    assert (files["a.ts"].index("() => 2"), files["a.ts"].index("() => 2") + 7, 0) in ranges
    assert not Probe(tmp_path / "other", tmp_path / "copy", files).traced()


async def test_lines_without_a_test_are_asked_about_once(tmp_path: Path):
    def adds(now: Demand, request: Request, turn: int) -> str:
        if now.phase == "plan":
            return planned(["shop.py"], ["bill.py"], ["tests/test_shop.py", "README.md"])
        if now.phase == "implement" and now.files == ("shop.py",):
            new = "def sum_of_prices(items):\n    return sum(items)\n\n\ndef half(items):\n    return sum(items) / 2"
            return edit("shop.py", "def total_price(items):\n    return sum(items)", new) + DONE
        if now.phase == "correct":
            old = "    assert sum_of_prices([1, 2]) == 3"
            return edit("tests/test_shop.py", old, f"{old}\n    import shop\n    assert shop.half([2]) == 1") + DONE
        return ideal(now, request, turn)

    player = Player(adds)
    outcome = await run_task(GOAL, project(tmp_path / "ws"), parts(player, tmp_path / "home"))
    assert (outcome.ending, outcome.certificate["rounds"]) == ("done", 1), outcome.page
    asked = player.requests[-1].messages[-1].text
    assert "[uncovered] shop.py:5: no test ran lines 5-6: def half(items):" in asked
    assert outcome.certificate["not_verified"] == []


async def test_nothing_changed_is_not_done(tmp_path: Path):
    def waives(now: Demand, request: Request, turn: int) -> str:
        calls = [f'```call waive\n{{"path": "{path}", "reason": "it is right"}}\n```\n' for path in now.files]
        return "".join(calls) + DONE if now.phase in ("implement", "correct") else ideal(now, request, turn)

    told = Parts(Player(waives).ask, Consenting(), tmp_path / "home", trusted=False)
    outcome = await run_task("Rename it", project(tmp_path / "ws"), told)
    assert (outcome.ending, outcome.stop) == ("stopped", "nothing was changed: what is impacted was waived")
    assert outcome.changes == {}


def test_where_a_limit_is_reached_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    project(tmp_path / "copy", {"a.py": "x = 1\n", "a.js": "x\n"})
    probe = Probe(tmp_path / "probe", tmp_path / "copy", ["a.py", "a.js"])
    probe.begin()
    probe.ran(["pytest"])
    (tmp_path / "probe" / "lines").write_bytes(b"1:1\n")
    ranges = [{"startOffset": 0, "endOffset": 2, "count": 1}] * 2
    script = {"url": (tmp_path / "copy" / "a.js").as_uri(), "functions": [{"ranges": ranges}]}
    for name in ("1.json", "2.json"):
        (tmp_path / "probe" / "node" / name).write_text(json.dumps({"result": [script]}))

    def seen() -> tuple[int, int, bool]:
        traced = probe.traced()
        assert traced is not None
        return len(traced.lines), len(traced.scripts), traced.whole

    assert seen() == (1, 1, True)
    for name, limit, left in (
        ("LINES_BYTES_MAX", 3, (0, 1, False)),
        ("REPORTS_MAX", 1, (1, 0, False)),
        ("REPORT_BYTES_MAX", 20, (1, 0, False)),
        ("RANGES_MAX", 1, (1, 0, False)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(covering, name, limit)
            assert seen() == left, name
