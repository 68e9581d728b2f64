"""Measure the language server: start, memory, imports, and what a keystroke costs.

    .venv/bin/python scripts/benchmarks/lsp.py

Start and memory are those of a real process, byte-compiled as an installed one is. A keystroke is timed in this
process with the real server, engine and session around it: from the bytes of one `didChange` to the moment when the
server asks for the next bytes.
"""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hearth.lsp.server import create
from hearth.lsp.transport import frame

ROOT = Path(__file__).resolve().parents[2]
COMPILED = ROOT / ".cache" / "compiled"
STARTS = 15
SETTLE_S = 2.0
FILE_LINES = 10_000
FILE_KEYS = 3_000
LINE_CHARS = 10_000_000
LINE_KEYS = 300
HEAVY = ("litellm", "qdrant_client", "xllamacpp", "llama_cpp", "torch", "numpy")
URI = "file:///bench/file.py"


def rows() -> list[tuple[str, str, str]]:
    """(figure, must reach, measured) for each figure of this benchmark."""
    with tempfile.TemporaryDirectory() as home, surroundings(Path(home)) as environment:
        start_s, spread_s = start_times(environment)
        rss_mb, loaded = ready_process(environment)
        file_ms = keystrokes(file_text(), FILE_KEYS)
        line_ms = {name: keystrokes(line_text(unit), LINE_KEYS) for name, unit in LINES.items()}
    found = [
        ("spawn -> `initialize` answered, median of 15", "<= 0.6 s", f"{start_s:.2f} s (slowest {spread_s:.2f})"),
        ("RSS, ready, a file open", "<= 90 MB", f"{rss_mb:.0f} MB"),
        ("litellm, qdrant, xllamacpp imported", "none", ", ".join(loaded) or "none"),
        ("didChange, 10,000-line file, p50 / p99", "p99 <= 2 ms", milliseconds(file_ms)),
    ]
    for name, times in line_ms.items():
        found.append((f"didChange, one line of 10 MB, {name}, p50 / p99", "p99 <= 50 ms", milliseconds(times)))
    return found


@contextmanager
def surroundings(home: Path) -> Iterator[dict[str, str]]:
    """An own configuration without servers to look for, for this process and for children."""
    (home / "config").mkdir()
    (home / "script.json").write_text("{}")
    (home / "config" / "settings.toml").write_text(
        f'[[backends]]\nkind = "scripted"\nmodel = {json.dumps(str(home / "script.json"))}\n[index]\nenabled = false\n'
    )
    ours = {"HEARTH_CONFIG_DIR": str(home / "config"), "HEARTH_DATA_DIR": str(home / "data")}
    before = dict(os.environ)
    os.environ.update(ours)
    child = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    try:
        yield {**child, "PYTHONPYCACHEPREFIX": str(COMPILED)}
    finally:
        os.environ.clear()
        os.environ.update(before)


# Processes


def spawn(environment: dict[str, str], stderr: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hearth", "serve"]
    return subprocess.Popen(command, stdin=-1, stdout=-1, stderr=stderr, env=environment)


def send(process: subprocess.Popen[bytes], *messages: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.write(b"".join(frame(json.dumps({"jsonrpc": "2.0", **m}).encode()) for m in messages))
    process.stdin.flush()


def reply_to(process: subprocess.Popen[bytes], request_id: int) -> dict[str, Any]:
    assert process.stdout
    while True:
        length = int(process.stdout.readline().split()[1])
        process.stdout.readline()
        message = json.loads(process.stdout.read(length))
        if message.get("id") == request_id:
            return message


def initialize(process: subprocess.Popen[bytes]) -> None:
    initialize_with(process, {})


def initialize_with(process: subprocess.Popen[bytes], more: dict[str, Any]) -> None:
    send(process, {"id": 1, "method": "initialize", "params": {"processId": os.getpid(), "capabilities": {}, **more}})
    assert "result" in reply_to(process, 1)


def finish(process: subprocess.Popen[bytes]) -> None:
    send(process, {"id": 9, "method": "shutdown"}, {"method": "exit"})
    reply_to(process, 9)
    assert process.wait(10) == 0
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()


def start_times(environment: dict[str, str]) -> tuple[float, float]:
    """Median and slowest of `STARTS`, after one that compiles the modules."""
    times: list[float] = []
    for _ in range(STARTS + 1):
        began = time.perf_counter()
        process = spawn(environment)
        initialize(process)
        times.append(time.perf_counter() - began)
        finish(process)
    return statistics.median(times[1:]), max(times[1:])


def ready_process(environment: dict[str, str]) -> tuple[float, list[str]]:
    """Resident megabytes with a file open and completed in, and heavy modules that were imported."""
    process = spawn(environment)
    live(process)
    rss_mb = resident_mb(process.pid)
    finish(process)
    process = spawn({**environment, "PYTHONPROFILEIMPORTTIME": "1"}, stderr=subprocess.PIPE)
    assert process.stdin
    live(process)
    send(process, {"id": 9, "method": "shutdown"}, {"method": "exit"})
    _, report = process.communicate()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in report.decode().splitlines()}
    assert "hearth" in imported
    return rss_mb, sorted(imported & set(HEAVY))


def live(process: subprocess.Popen[bytes]) -> None:
    initialize(process)
    document = {"uri": URI, "languageId": "python", "version": 1, "text": file_text()}
    ask = {
        "textDocument": {"uri": URI},
        "position": {"line": 5, "character": 4},
        "context": {"triggerKind": 1},
    }
    send(
        process,
        {"method": "initialized", "params": {}},
        {"method": "textDocument/didOpen", "params": {"textDocument": document}},
        {"id": 2, "method": "textDocument/inlineCompletion", "params": ask},
    )
    reply_to(process, 2)
    time.sleep(SETTLE_S)


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


# Keystrokes

LINES = {"ASCII": "abcdefghij", "Latin-1": "abcdéfghij", "CJK": "漢字かな交じり文で", "emoji": "abc 😀 def"}


def file_text() -> str:
    return "".join(f"    value_{number} = compute({number})  # étape\n" for number in range(FILE_LINES))


def line_text(unit: str) -> str:
    return unit * (LINE_CHARS // len(unit))


class Typing:
    """A channel that types one key at a time and notes how long each took."""

    def __init__(self, text: str, keys: int) -> None:
        self.text, self.keys = text, keys
        self.times_s: list[float] = []

    async def chunks(self) -> AsyncIterator[bytes]:
        document = {"uri": URI, "languageId": "python", "version": 1, "text": self.text}
        yield message("initialize", {"capabilities": {}}, id=1)
        yield message("initialized", {})
        yield message("textDocument/didOpen", {"textDocument": document})
        await asyncio.sleep(0.2)
        dice = random.Random(1)
        lines = self.text.count("\n") or 1
        width = len(self.text) // lines
        for number in range(self.keys):
            # Mostly the next key of a word, sometimes somewhere else.
            if number % 20 == 0:
                line, column = dice.randrange(lines), dice.randrange(max(1, width - 1))
            place = {"line": line, "character": column}
            column += 1
            change = {"range": {"start": place, "end": place}, "rangeLength": 0, "text": dice.choice("abc(é ")}
            data = message(
                "textDocument/didChange",
                {"textDocument": {"uri": URI, "version": number + 2}, "contentChanges": [change]},
            )
            began = time.perf_counter()
            yield data
            self.times_s.append(time.perf_counter() - began)
            await asyncio.sleep(0)

    def send(self, data: bytes) -> None:
        """Answers are not looked at."""

    async def aclose(self) -> None:
        """Nothing is open."""


def message(method: str, params: dict[str, Any], **more: Any) -> bytes:
    return frame(json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode())


def keystrokes(text: str, keys: int) -> list[float]:
    """Seconds per keystroke."""

    async def run() -> list[float]:
        channel = Typing(text, keys)
        await create(Path(os.devnull)).talk(channel)
        return channel.times_s

    return asyncio.run(run())


def milliseconds(times_s: list[float]) -> str:
    ordered = sorted(times_s)
    return f"{ordered[len(ordered) // 2] * 1e3:.2f} / {ordered[int(len(ordered) * 0.99)] * 1e3:.2f} ms"


if __name__ == "__main__":
    print("| figure | must reach | measured |\n|---|---|---|")
    for row in rows():
        print(f"| {' | '.join(row)} |")
