"""A fresh workbench for each test, and a browser that uses it the way a person does."""

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import provision
import psutil

SHOTS = provision.ROOT / ".cache" / "screenshots"
READY_TIMEOUT_S = 60.0
END_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 120.0
STATUS_ITEM = ".statusbar-item[id='hearth.hearth.hearth.status']"
TOAST = ".notification-toast"
CHECKER = Path(__file__).with_name("checker")
VSIX_SCHEMA = "http://schemas.microsoft.com/developer/vsx-schema/2011"
IDENTITY = (("Id", "name"), ("Publisher", "publisher"), ("Version", "version"))
SETTINGS: dict[str, Any] = {
    "chat.disableAIFeatures": True,  # VSCodium's default; Hearth must work with it.
    "files.hotExit": "off",
    "security.workspace.trust.enabled": False,
    "workbench.startupEditor": "none",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.tips.enabled": False,
    "editor.wordBasedSuggestions": "off",
    "telemetry.telemetryLevel": "off",
}


@dataclass
class Page:
    """The browser's side. Every method is an operation of driver.mjs; a failed one raises AssertionError."""

    process: "subprocess.Popen[str]"
    sent: int = 0

    def __call__(self, op: str, **arguments: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.sent += 1
        self.process.stdin.write(json.dumps({"id": self.sent, "op": op, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the browser's driver ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{op} {arguments}: {answer['error']}"
        return answer["value"]

    def shot(self, name: str, **clip: float) -> Path:
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        self("shot", path=str(path), **({"clip": clip} if clip else {}))
        return path


@dataclass
class Workbench:
    """One served workbench with the extension installed, its folders, and the browser on it."""

    root: Path
    folder: Path
    process: "subprocess.Popen[bytes]"
    port: int
    page: Page
    name: str
    seen: set[psutil.Process] = field(default_factory=set)

    def servers(self) -> list[psutil.Process]:
        """The language servers that run below this workbench."""
        found: list[psutil.Process] = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            self.seen.add(child)
            try:
                line = child.cmdline()
            except psutil.Error:
                continue
            if line[-1:] == ["serve"] and any("hearth" in part for part in line):
                found.append(child)
        return found

    def ready(self, label: str = "") -> None:
        """Wait until the status bar shows the server as running (and the label, if given)."""
        self.page("see", selector=f"{STATUS_ITEM} .codicon-flame", timeout=90_000)
        if label:
            self.page("see", selector=STATUS_ITEM, text=label, timeout=30_000)

    def open(self, name: str, locale: str = "en") -> None:
        """Open the workbench anew, in another of Hearth's languages: the editor's own words stay English."""
        user = self.root / "workbench" / "user"
        pack = user / "no-words.json"
        pack.write_text('{"contents": {}}', "utf-8")
        of = [{"extensionIdentifier": {"id": "tests.no-words"}, "version": "1.0.0"}]
        known = {locale: {"hash": locale, "label": locale, "extensions": of, "translations": {"vscode": str(pack)}}}
        (user / "languagepacks.json").write_text(json.dumps(known), "utf-8")
        (user / "User" / "argv.json").write_text(json.dumps({"locale": locale}), "utf-8")
        self.page("open", url=address(self.port, self.folder, name))

    def go(self, name: str, line: int, column: int = 1) -> None:
        """Open a file, with the cursor on a line, counted from 1."""
        self.page("go", name=name, line=line, column=column)

    def read(self, name: str) -> str:
        return (self.folder / name).read_bytes().decode()

    def save(self, name: str, done: Callable[[str], bool]) -> str:
        """Press Ctrl+S and wait until the file on disk is as wanted; answers what it is in the end."""
        self.page("press", key="Control+s")
        wait_for(lambda: done(self.read(name)), "the saved file", required=False)
        return self.read(name)


Open = Callable[..., Workbench]
"""The fixture `open_workbench`: files, and the options of `workbench`."""


def wait_for(done: Callable[[], Any], what: str, timeout_s: float = 30.0, *, required: bool = True) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := done():
            return value
        time.sleep(0.1)
    assert not required, f"{what}: not within {timeout_s:.0f} s"
    return None


def install(data: Path) -> Path:
    """The .vsix installed as a user would, and the checker of the tests; answers the folder that holds them."""
    packed = [part for path in (provision.VSIX, packed_checker(data)) for part in ("--install-extension", str(path))]
    command = provision.workbench_command(data, *packed, "--force")
    done = subprocess.run(command, env=provision.workbench_environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return data / "extensions"


def packed_checker(data: Path) -> Path:
    """The extension in `checker`, as a package that can be installed."""
    data.mkdir(parents=True, exist_ok=True)
    about = json.loads((CHECKER / "package.json").read_text("utf-8"))
    identity = " ".join(f'{key}="{about[name]}"' for key, name in IDENTITY)
    manifest = f"<Metadata><Identity {identity}/></Metadata>"
    manifest = f'<PackageManifest Version="2.0.0" xmlns="{VSIX_SCHEMA}">{manifest}</PackageManifest>'
    path = data / "checker.vsix"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("extension.vsixmanifest", manifest)
        for source in CHECKER.iterdir():
            package.write(source, f"extension/{source.name}")
    return path


@contextmanager
def workbench(
    root: Path,
    extensions: Path,
    files: dict[str, str],
    *,
    settings: dict[str, Any],
    user_settings: dict[str, Any] | None = None,
    toml: str = "",
    environment: dict[str, str] | None = None,
) -> Iterator[Workbench]:
    """Serve a fresh workbench on `files`, the first of them open. `settings` are of the machine scope."""
    folder, data, port = root / "project", root / "workbench", free_port()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    for scope, values in (("Machine", settings), ("User", {**SETTINGS, **(user_settings or {})})):
        path = data / "user" / scope / "settings.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values), "utf-8")
    (data / "extensions").symlink_to(extensions)
    config = root / "config"
    config.mkdir()
    (config / "settings.toml").write_text(toml, "utf-8")
    env = provision.workbench_environ() | (environment or {})
    env |= {"HEARTH_CONFIG_DIR": str(config), "HEARTH_DATA_DIR": str(root / "data")}
    log = root / "workbench.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            provision.workbench_command(data, "--port", str(port), "--disable-workspace-trust"),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    seen: set[psutil.Process] = set()
    try:
        wait_for(lambda: answers(port) or process.poll() is not None, "the workbench", READY_TIMEOUT_S)
        assert process.poll() is None, log.read_text()
        with browser() as page:
            bench = Workbench(root, folder, process, port, page, root.name, seen)
            page("open", url=address(port, folder, next(iter(files))))
            yield bench
            foreign = page("foreign")
            assert foreign == [], f"the page asked outside this machine: {foreign}"
            seen |= set(psutil.Process(process.pid).children(recursive=True))
    finally:
        provision.end_group(process, END_TIMEOUT_S)
        process.wait()
    _, alive = psutil.wait_procs(list(seen), END_TIMEOUT_S)
    assert not alive, f"still running after the workbench ended: {alive}"


@contextmanager
def browser() -> Iterator[Page]:
    env = provision.environ() | {
        "HEARTH_WORKBENCH": str(provision.WORKBENCH),
        "HEARTH_CHROMIUM": provision.chromium() or "",
    }
    process = subprocess.Popen(
        [str(provision.node()), str(Path(__file__).with_name("driver.mjs"))],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Page(process)
    finally:
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_TIMEOUT_S)
        provision.end_group(process, 1.0)
        process.wait()
        process.stdout.close()


def address(port: int, folder: Path, name: str) -> str:
    payload = json.dumps([["openFile", f"vscode-remote://127.0.0.1:{port}{folder / name}"]])
    query = urllib.parse.urlencode({"folder": str(folder), "payload": payload}, quote_via=urllib.parse.quote)
    return f"http://127.0.0.1:{port}/?{query}"


def answers(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def missing() -> str:
    """What the editor tests need and is not there; "" if everything is."""
    wanted = {"the workbench": provision.CODE_SERVER, "the .vsix": provision.VSIX, "Node": provision.node()}
    absent = [name for name, path in wanted.items() if not path.exists()]
    absent += [] if provision.chromium() else ["Chromium"]
    return ", ".join(absent)
