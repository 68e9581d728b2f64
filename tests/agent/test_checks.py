"""A project's checks on a copy: what they can reach, what they cannot, and what is said of those that could not run."""

import asyncio
import json
import os
import secrets
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hearth.agent.base import Consenting
from hearth.agent.checks import Checks
from hearth.agent.copying import copied, removed
from hearth.agent.overlay import Overlay
from hearth.agent.running import environment, run
from hearth.core.task import begin
from hearth.core.task_outputs import new_failures
from hearth.core.task_state import Check, Prepared, Start, State

PASSING = "from shop import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"
FAILING = "from shop import total\n\n\ndef test_empty():\n    assert total([]) == 1\n"
SHOP = {"shop.py": "def total(items):\n    return sum(items)\n", "tests/test_shop.py": PASSING, "conftest.py": ""}


class Bench:
    def __init__(self, folder: Path, files: dict[str, str], *, trusted: bool = True) -> None:
        self.root, self.home = folder / "ws", folder / "home"
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        self.overlay = Overlay(self.root)
        self.overlay.load()
        self.checks = Checks(self.overlay, Consenting(), self.home, trusted)
        self.state: State = begin(Start("t", "g", str(self.root), "abcdef"))

    async def prepared(self) -> Prepared:
        found = await self.checks.prepared()
        self.state = replace(
            self.state,
            commands=found.commands,
            commands_agreed=found.agreed,
            commands_why_not=found.why_not,
            commands_digest=found.digest,
            baseline=found.baseline,
        )
        return found

    async def checked(self, changes: dict[str, str | None]) -> tuple[Check, ...]:
        self.overlay.restore(changes)
        return await self.checks.run(self.state)


async def script(folder: Path, code: str, within_s: float = 30.0):
    """A program on a copy, as a check is run; what came of it, and how it was confined."""
    copy, home = folder / "copy", folder / "tmp"
    copy.mkdir()
    home.mkdir()
    tag = secrets.token_hex(8)  # whatever carries it is ended: that of another test, running beside this one, must not
    env = environment(copy, home, folder / "ws", tag)
    return await run((sys.executable, "-c", code), copy, env, (copy, home), tag, within_s)


async def test_new_failures_are_told_from_those_that_were_there(tmp_path: Path):
    bench = Bench(tmp_path, SHOP | {"tests/test_empty.py": FAILING})
    prepared = await bench.prepared()
    assert [(one.status, one.passed, one.failed) for one in prepared.baseline] == [("failed", 1, 1)]
    broken = await bench.checked({"shop.py": "def total(items):\n    return sum(items) + 1\n"})
    assert [(one.status, one.passed, one.failed) for one in broken] == [("failed", 1, 1)]
    found = new_failures(prepared.baseline, broken)
    assert [(one.path, one.text.partition(":")[0]) for one in found] == [("tests/test_shop.py", "test_total")]
    assert new_failures(prepared.baseline, await bench.checked({})) == []
    assert not list(bench.home.iterdir())


async def test_a_test_that_cannot_be_imported_says_why(tmp_path: Path):
    bench = Bench(tmp_path, SHOP)
    prepared = await bench.prepared()
    found = new_failures(prepared.baseline, await bench.checked({"shop.py": "def sum_up(items):\n    return 0\n"}))
    assert [one.path for one in found] == ["tests/test_shop.py"]
    assert "cannot import name 'total'" in found[0].text


async def test_a_failure_says_where_in_the_code_it_was(tmp_path: Path):
    bench = Bench(tmp_path, SHOP)
    prepared = await bench.prepared()
    found = new_failures(
        prepared.baseline, await bench.checked({"shop.py": "def total(items):\n    return smu(items)\n"})
    )
    assert [one.text for one in found] == ["test_total: at shop.py:2: NameError: name 'smu' is not defined"]


async def test_unittest_is_found_and_read(tmp_path: Path):
    test = "import unittest\nfrom shop import total\n\n\nclass TotalTest(unittest.TestCase):\n"
    test += "    def test_total(self):\n        self.assertEqual(total([1]), 1)\n"
    files = {"shop.py": SHOP["shop.py"], "tests/__init__.py": "", "tests/test_shop.py": test}
    bench = Bench(tmp_path, files)
    prepared = await bench.prepared()
    assert [(one.status, one.passed) for one in prepared.baseline] == [("passed", 1)]
    broken = await bench.checked({"shop.py": "def total(items):\n    return 2\n"})
    assert [(one.status, one.passed, one.failed) for one in broken] == [("failed", 0, 1)]
    assert "TotalTest.test_total" in broken[0].failures[0].text


async def test_what_is_not_installed_is_not_verified_and_never_passed(tmp_path: Path):
    files = {"package.json": json.dumps({"scripts": {"test": "no-such-runner --all", "lint": "x | y"}})}
    bench = Bench(tmp_path, files)
    prepared = await bench.prepared()
    assert prepared.commands == ()
    assert "no-such-runner is not installed" in prepared.why_not
    assert "needs a shell" in prepared.why_not


async def test_no_test_at_all_is_not_verified(tmp_path: Path):
    bench = Bench(tmp_path, {"pytest.ini": "[pytest]\n", "tests/test_a.py": "x = 1\n"})
    prepared = await bench.prepared()
    assert [(one.status, one.summary) for one in prepared.baseline] == [("not verified", "no test was found")]


async def test_nothing_of_an_untrusted_workspace_is_run(tmp_path: Path):
    bench = Bench(tmp_path, SHOP, trusted=False)
    prepared = await bench.prepared()
    assert (prepared.commands, prepared.agreed) == ((), False)
    assert "not trusted" in prepared.why_not


async def test_the_copy_has_the_changes_and_no_secrets_and_is_no_link(tmp_path: Path):
    bench = Bench(tmp_path, SHOP | {"data/rows.csv": "1\n"})
    (bench.root / ".env").write_text("KEY=1\n")
    (bench.root / "link").symlink_to(tmp_path)
    (bench.root / "node_modules" / "left").mkdir(parents=True)
    (bench.root / "run.sh").write_text("#!/bin/sh\n")
    (bench.root / "run.sh").chmod(0o755)
    copy = tmp_path / "copy"
    copied(bench.root, copy, {"shop.py": "new\n", "conftest.py": None, "made/x.py": "x\n", "run.sh": "#!/bin/sh\nx\n"})
    names = sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*"))
    assert names == [
        "data", "data/rows.csv", "made", "made/x.py", "node_modules", "node_modules/left", "run.sh", "shop.py", "tests",
        "tests/test_shop.py",
    ]  # fmt: skip
    assert (copy / "shop.py").read_text() == "new\n"
    assert os.access(copy / "run.sh", os.X_OK)
    assert (copy / "tests/test_shop.py").stat().st_nlink == 1
    (copy / "tests" / "test_shop.py").write_text("changed\n")
    assert (bench.root / "tests/test_shop.py").read_text() == PASSING
    removed(copy)
    assert not copy.exists()
    assert (bench.root / "node_modules" / "left").is_dir()


async def test_a_check_sees_no_key_and_no_home_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("PATH", f"{tmp_path / 'ws' / 'bin'}{os.pathsep}.{os.pathsep}/usr/bin")
    ran, _ = await script(tmp_path, "import json, os; print(json.dumps(dict(os.environ)))")
    seen = json.loads(ran.output)
    assert "canary" not in ran.output
    assert seen["PATH"] == "/usr/bin"
    assert seen["HOME"] == str(tmp_path / "tmp")


@pytest.mark.skipif(sys.platform != "linux", reason="the smaller world is Linux's")
async def test_a_check_has_no_network_but_its_own_loopback(tmp_path: Path):
    code = (
        "import socket\n"
        "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname()); print('own')\n"
        "try:\n    socket.create_connection(('192.0.2.1', 80), 3)\nexcept OSError as error:\n    print(error.errno)\n"
    )
    ran, confinement = await script(tmp_path, code)
    if not confinement.network.startswith("off"):
        assert "with a network" in confinement.words
        pytest.skip(f"not to be had here: {confinement.network}")
    assert ran.output.split() == ["own", "101"]


@pytest.mark.skipif(sys.platform != "linux", reason="the smaller world is Linux's")
async def test_a_check_writes_only_into_its_copy(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine\n")
    code = (
        f"import os\nos.chdir({str(tmp_path / 'copy')!r}); open('inside.txt', 'w').write('x'); print('inside')\n"
        "new, old = '../evil.txt', '../mine.txt'\n"
        "acts = (lambda: open(new, 'w'), lambda: os.unlink(old), lambda: os.mkdir(new), lambda: open(old, 'r+'))\n"
        "for act in acts:\n    try:\n        act(); print('EVIL')\n    except OSError:\n        print('refused')\n"
    )
    ran, confinement = await script(tmp_path, code)
    if confinement.files != "confined":
        assert "not confined" in confinement.words
        pytest.skip(f"not to be had here: {confinement.files}")
    assert ran.output.split() == ["inside"] + ["refused"] * 4
    assert (tmp_path / "mine.txt").read_text() == "mine\n"


async def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path):
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "open('pid', 'w').write(str(child.pid)); time.sleep(600)\n"
    )
    ran, _ = await script(tmp_path, code, within_s=3.0)
    assert ran.code is None
    assert "longer than 3 s" in ran.why_not
    pid = int((tmp_path / "copy" / "pid").read_text())
    for _ in range(100):
        if not running(pid):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("a child is still there")


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def test_what_prints_without_end_is_ended(tmp_path: Path):
    ran, _ = await script(tmp_path, "while True: print('x' * 100_000)", within_s=120.0)
    assert "it printed more than" in ran.why_not
    assert len(ran.output) <= 1_000_000


async def test_a_program_that_is_not_there_could_not_be_run(tmp_path: Path):
    (tmp_path / "copy").mkdir()
    ran, _ = await run(("/no/such/program",), tmp_path / "copy", {}, (), secrets.token_hex(8), 5.0)
    assert ran.code == 127


@pytest.mark.parametrize(
    ("test", "status", "clear"),
    [
        ("import os\ndef test_a():\n    if 'HEARTH_COVER' not in os.environ: os.kill(os.getpid(), 9)\n    assert 0\n",
         "failed", True),
        ("import os\ndef test_a():\n    assert 'HEARTH_COVER' not in os.environ\n", "passed", False),
    ],
)  # fmt: skip
async def test_what_fails_while_it_is_seen_runs_again_without(tmp_path: Path, test: str, status: str, clear: bool):
    """A failure is not erased by a second run that does not end, and a second run that passes says nothing of lines."""
    bench = Bench(tmp_path, {"tests/test_a.py": test, "conftest.py": ""})
    await bench.prepared()
    bench.overlay.restore({"a.py": "x = 1\n"})
    checks, traced = await bench.checks.covered(bench.state)
    assert [one.status for one in checks] == [status]
    assert traced is not None
    assert traced.whole is clear
