"""Nothing of a check outlives it, or the server that started it."""

import asyncio
import os
import secrets
import signal
import sys
import time
from pathlib import Path

import pytest

from hearth.agent.running import environment, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody looks after what a check leaves")

GONE_WITHIN_S = 20.0
TAG = secrets.token_hex(8)
"""Whatever carries it is ended: not what runs in another process of the tests."""
SERVER = Path(__file__).parents[2] / "server"
STUBBORN = """
import os, signal, subprocess, sys, time
child = "import os, signal, sys, time; os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); {}; time.sleep(300)"
child = child.format("open(sys.argv[1], 'w').write(str(os.getpid()))")
# Without the environment by which it could be found.
subprocess.Popen([sys.executable, "-c", child, "pid.part"], env={}, stdout=subprocess.DEVNULL)
while not os.path.exists("pid.part") or not os.path.getsize("pid.part"):
    time.sleep(0.01)
os.rename("pid.part", "pid")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""
RUNNER = """
import asyncio, sys
from pathlib import Path
from hearth.agent.running import environment, run
copy = Path(sys.argv[1])
env = environment(copy, copy, copy, sys.argv[3])
asyncio.run(run((sys.executable, "-c", sys.argv[2]), copy, env, (copy,), sys.argv[3], 60.0))
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


async def pid_in(folder: Path) -> int:
    async with asyncio.timeout(GONE_WITHIN_S):
        while not (folder / "pid").exists():
            await asyncio.sleep(0.02)
    return int((folder / "pid").read_text())


async def gone(pid: int) -> bool:
    until = time.monotonic() + GONE_WITHIN_S
    while alive(pid) and time.monotonic() < until:
        await asyncio.sleep(0.02)
    return not alive(pid)


async def test_what_a_check_left_behind_ends_with_it(tmp_path: Path):
    env = environment(tmp_path, tmp_path, tmp_path / "ws", TAG)
    ran, _ = await run((sys.executable, "-c", f"{STUBBORN}\nsys.exit(3)"), tmp_path, env, (tmp_path,), TAG, 60.0)
    assert ran.code == 3
    assert not alive(await pid_in(tmp_path))


async def test_it_ends_with_a_server_that_is_killed(tmp_path: Path):
    endless = f"{STUBBORN}\nwhile True:\n    time.sleep(1)\n"
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUNNER, str(tmp_path), endless, TAG, env={**os.environ, "PYTHONPATH": str(SERVER)}
    )
    pid = await pid_in(tmp_path)
    assert alive(pid)
    server.kill()
    await server.wait()
    assert await gone(pid)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL])
async def test_it_ends_as_the_program_did(tmp_path: Path, number: int):
    env = environment(tmp_path, tmp_path, tmp_path / "ws", TAG)
    code = f"import os; os.kill(os.getpid(), {int(number)})"
    ran, _ = await run((sys.executable, "-c", code), tmp_path, env, (tmp_path,), TAG, 60.0)
    assert (ran.code, ran.why_not) == (None, f"it was ended by signal {int(number)}")


async def test_a_pipe_that_nobody_reads_ends_a_program(tmp_path: Path):
    """As it does everywhere: Python's own way of ignoring it is not handed on."""
    env = environment(tmp_path, tmp_path, tmp_path / "ws", TAG)
    ran, _ = await run(("/bin/sh", "-c", "yes | head -1"), tmp_path, env, (tmp_path,), TAG, 60.0)
    assert (ran.code, ran.output) == (0, "y\n")


async def test_what_a_program_tells_its_group_is_for_the_program(tmp_path: Path):
    env = environment(tmp_path, tmp_path, tmp_path / "ws", TAG)
    code = "import os, signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); os.killpg(0, signal.SIGTERM)"
    ran, _ = await run((sys.executable, "-c", code), tmp_path, env, (tmp_path,), TAG, 60.0)
    assert (ran.code, ran.why_not) == (5, "")


async def test_it_ends_when_it_is_cancelled(tmp_path: Path):
    endless = f"{STUBBORN}\nwhile True:\n    time.sleep(1)\n"
    env = environment(tmp_path, tmp_path, tmp_path / "ws", TAG)
    task = asyncio.create_task(run((sys.executable, "-c", endless), tmp_path, env, (tmp_path,), TAG, 60.0))
    pid = await pid_in(tmp_path)
    assert alive(pid)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pid)
