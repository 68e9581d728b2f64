"""One command on a copy: without a shell, without the user's environment, within limits, and without a network where
the system allows that. Nothing of it is left when this returns."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hearth.core.task_outputs import Ran

if sys.platform == "linux":
    from hearth.agent.launch import SERVER_GONE

COMMAND_S_MAX = 300.0
OUTPUT_BYTES_MAX = 400_000
"""Kept of a command's output: its end."""
PRINTED_BYTES_MAX = 50_000_000
"""Of what prints more, nothing more is wanted."""
FILE_BYTES_MAX = 500_000_000
OPEN_FILES_MAX = 4_096
PROCESSES_MORE_MAX = 512
READ_BYTES = 65_536
STATUS_BYTES_MAX = 4_096
LOOKED_AFTER_S_MAX = 5.0
"""In which the launcher ends what it looks after, before it is ended itself."""
TAG = "HEARTH_CHECK"
"""In the environment of everything that a check starts: by this what it left behind is found."""

_LAUNCH = Path(__file__).with_name("launch.py")
_KEPT = ("SYSTEMROOT", "LANG", "LC_ALL", "TZ", "JAVA_HOME", "GOROOT", "NODE_PATH")
_HOMES = {"CARGO_HOME": ".cargo", "RUSTUP_HOME": ".rustup", "GOMODCACHE": "go/pkg/mod"}


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the smaller world is like, in words."""

    network: str
    files: str

    @property
    def words(self) -> str:
        network = "without a network" if self.network.startswith("off") else f"with a network ({self.network})"
        files = "writing only into the copy" if self.files == "confined" else f"not confined to it ({self.files})"
        return f"on a copy, {network}, {files}"


def environment(copy: Path, home: Path, root: Path, tag: str) -> dict[str, str]:
    """What a check is given of the environment: no key, no token, nothing that leads into the workspace."""
    sources = [str(copy), *(str(copy / name) for name in ("src", "lib") if (copy / name).is_dir())]
    found = {
        "PATH": path_apart(root),
        "HOME": str(home),
        "USERPROFILE": str(home),
        "TMPDIR": str(home),
        "TEMP": str(home),
        "TMP": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "CI": "1",
        "PYTHONPATH": os.pathsep.join(sources),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONIOENCODING": "utf-8",
        "GOPROXY": "off",
        "GOCACHE": str(home / "go-cache"),
        "CARGO_NET_OFFLINE": "true",
        "CARGO_TARGET_DIR": str(home / "target"),
        "npm_config_offline": "true",
        "npm_config_update_notifier": "false",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        TAG: tag,
    }
    for name in _KEPT:
        if value := os.environ.get(name, ""):
            found[name] = value
    for name, place in _HOMES.items():
        folder = Path(os.environ.get(name, "") or Path.home() / place)
        if folder.is_dir():
            found[name] = str(folder)
    return found


def path_apart(root: Path) -> str:
    """The user's path of programs, without what is relative or in the workspace."""
    parts = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(part for part in parts if _apart(part, os.path.realpath(root)))


def _apart(folder: str, root: str) -> bool:
    if not os.path.isabs(folder):
        return False
    try:
        return os.path.commonpath([os.path.realpath(folder), root]) != root
    except ValueError:
        return True  # another drive


async def run(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], writable: Sequence[Path], tag: str, within_s: float
) -> tuple[Ran, Confinement]:
    """Run a command to its end. Cancelling ends it and everything that it started."""
    readable, writing = os.pipe()
    order = {
        "cwd": str(cwd),
        "writable": [*map(str, writable), "/dev/null", "/dev/shm", "/dev/tty"],
        "limits": _limits(within_s),
    }
    try:
        process = await asyncio.create_subprocess_exec(
            *_launched(argv, writing, json.dumps(order)),
            cwd=cwd,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(writing,) if os.name == "posix" else (),
        )
    except OSError as error:
        os.close(readable)
        os.close(writing)
        return Ran(None, "", f"it could not be started: {error.strerror}"), Confinement("unknown", "unknown")
    os.close(writing)
    why, kept = "", bytearray()
    try:
        async with asyncio.timeout(within_s):
            why = await _read(process, kept)
            if not why:
                await process.wait()
    except TimeoutError:
        why = f"it took longer than {within_s:.0f} s"
    finally:
        try:
            await _end_looked_after(process)
        finally:
            _end(process, tag)
        with suppress(TimeoutError):  # where something got away all the same, and holds the pipe
            await _emptied(process)
        confinement = _status(readable)
    code = None if why else process.returncode
    if code is not None and code < 0:
        code, why = None, f"it was ended by signal {-code}"
    return Ran(code, kept.decode("utf-8", "replace"), why), confinement


def _launched(argv: Sequence[str], status: int, order: str) -> Sequence[str]:
    """What was agreed to stands at the end, word for word."""
    if os.name != "posix":
        return argv
    return (sys.executable, "-I", str(_LAUNCH), str(status), order, *argv)


async def _read(process: asyncio.subprocess.Process, kept: bytearray) -> str:
    """The output's end into `kept`; why it was not read to its end, "" if it was."""
    assert process.stdout is not None
    printed = 0
    while piece := await process.stdout.read(READ_BYTES):
        printed += len(piece)
        kept += piece
        if len(kept) > 2 * OUTPUT_BYTES_MAX:
            del kept[:-OUTPUT_BYTES_MAX]
        if printed > PRINTED_BYTES_MAX:
            return f"it printed more than {PRINTED_BYTES_MAX // 1_000_000} MB"
    return ""


def _limits(within_s: float) -> dict[str, int]:
    if os.name != "posix":
        return {}
    return {
        "CORE": 0,
        "CPU": int(within_s) * 4 + 1,
        "FSIZE": FILE_BYTES_MAX,
        "NOFILE": OPEN_FILES_MAX,
        "NPROC": _processes() + PROCESSES_MORE_MAX,
    }


def _processes() -> int:
    """About how many threads and processes the user has now: the limit is on all of them together."""
    count = 0
    try:
        for name in os.listdir("/proc"):
            if name.isdecimal():
                try:
                    count += len(os.listdir(f"/proc/{name}/task"))
                except OSError:
                    continue
    except OSError:
        return OPEN_FILES_MAX
    return count


async def _end_looked_after(process: asyncio.subprocess.Process) -> None:
    """Let the launcher end all of it: what has a session and an environment of its own only its parent can find."""
    if sys.platform == "linux" and process.returncode is None:
        with suppress(ProcessLookupError, TimeoutError):
            process.send_signal(SERVER_GONE)
            await _emptied(process)


async def _emptied(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a process that is being ended; a pipe that is not read to its end is never closed."""
    assert process.stdout is not None
    async with asyncio.timeout(LOOKED_AFTER_S_MAX):
        while await process.stdout.read(READ_BYTES):
            pass
        await process.wait()


def _end(process: asyncio.subprocess.Process, tag: str) -> None:
    """End the command's session, and whatever left it and carries its tag."""
    if os.name != "posix":
        if process.returncode is None:
            process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    wanted = f"{TAG}={tag}".encode()
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for name in names:
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as stream:
                if wanted in stream.read().split(b"\0"):
                    os.kill(int(name), signal.SIGKILL)
        except OSError:
            continue


def _status(readable: int) -> Confinement:
    with os.fdopen(readable, "rb") as stream:
        data = stream.read(STATUS_BYTES_MAX)
    try:
        told: dict[str, str] = json.loads(data)
        return Confinement(str(told["network"]), str(told["files"]))
    except (ValueError, KeyError, TypeError):
        return Confinement("unknown", "unknown")
