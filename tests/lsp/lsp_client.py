"""A small LSP client for tests: a real server process, raw framing, and nothing taken for granted.

It fails a test for a byte on stdout that is not the protocol, a request id that was not answered, an answer nobody
asked for, and a call from the server that the test does not expect.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

REPLY_S = 30.0
EXIT_S = 30.0
READ_BYTES = 1 << 16
COMPILED = Path(__file__).resolve().parents[2] / ".cache" / "compiled"
HEADER = re.compile(rb"Content-Length: (\d+)\r\n\r\n")

# What the server may ask of a client, and what this one answers.
SERVER_CALLS: dict[str, Any] = {
    "client/registerCapability": None,
    "window/showDocument": {"success": True},
    "window/workDoneProgress/create": None,
    "workspace/textDocumentContent/refresh": None,
}
CAPABILITIES = {
    "general": {"positionEncodings": ["utf-8", "utf-16"]},
    "textDocument": {"inlineCompletion": {"dynamicRegistration": True}},
    "window": {"showDocument": {"support": True}},
    "workspace": {"textDocumentContent": {"dynamicRegistration": True}},
}


def frame(body: bytes | object) -> bytes:
    """A message with its header; anything but bytes is encoded as JSON first."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(data), data)


class ServerError(Exception):
    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error))
        self.code = error["code"]
        self.message = error["message"]


class Client:
    """Talks to one server process. Ids of answers that are null are kept in `null_errors`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.foreign = b""
        self.answers: dict[Any, dict[str, Any]] = {}
        self.asked: set[Any] = set()
        self.null_errors: list[dict[str, Any]] = []
        self.unexpected: list[dict[str, Any]] = []
        self.notifications: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.arrived = asyncio.Condition()
        self.handlers: dict[str, Callable[[Any], Awaitable[Any]]] = {}
        """What the server may ask beyond `SERVER_CALLS`; one that raises ServerError is answered with its error."""
        self.rest: list[Callable[[], Awaitable[None]]] = []
        """Called before the end: to see through what is still being asked for, and to ask for no more."""
        self._serving: list[asyncio.Task[None]] = []
        self._next = 0
        self._reading = asyncio.create_task(self._read())

    # Sending

    async def raw(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)
        await self.process.stdin.drain()

    async def notify(self, method: str, params: Any = None) -> None:
        await self.raw(frame({"jsonrpc": "2.0", "method": method, "params": params}))

    async def ask(self, method: str, params: Any = None, request_id: Any = None) -> Any:
        """Send a request and return its id without waiting."""
        if request_id is None:
            self._next += 1
            request_id = self._next
        self.asked.add(request_id)
        await self.raw(frame({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}))
        return request_id

    async def answer(self, request_id: Any) -> dict[str, Any]:
        """The whole reply to a request."""
        await self.until(lambda: request_id in self.answers, f"no answer to {request_id!r}")
        return self.answers[request_id]

    @property
    def gone(self) -> bool:
        """Whether the server says nothing more."""
        return self._reading.done()

    async def request(self, method: str, params: Any = None) -> Any:
        """The result of a request; raises ServerError."""
        reply = await self.answer(await self.ask(method, params))
        if "error" in reply:
            raise ServerError(reply["error"])
        return reply["result"]

    async def until(self, condition: Any, what: str) -> None:
        """Wait until what has arrived makes `condition` true."""
        async with self.arrived:
            try:
                async with asyncio.timeout(REPLY_S):
                    await self.arrived.wait_for(lambda: condition() or self._reading.done())
            except TimeoutError:
                pass
        if not condition():
            self.check()
            raise AssertionError(what)

    # Common exchanges

    async def initialize(self, **params: Any) -> dict[str, Any]:
        reply = await self.request(
            "initialize", {"processId": os.getpid(), "capabilities": CAPABILITIES, "rootUri": None, **params}
        )
        await self.notify("initialized", {})
        return reply

    async def open(self, uri: str, text: str, language: str = "python", version: int = 1) -> None:
        document = {"uri": uri, "languageId": language, "version": version, "text": text}
        await self.notify("textDocument/didOpen", {"textDocument": document})

    async def change(self, uri: str, version: int | None, *changes: dict[str, Any]) -> None:
        document = {"uri": uri, "version": version}
        await self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)})

    async def complete(self, uri: str, line: int, character: int, kind: int = 1) -> list[dict[str, Any]]:
        return (await self.request("textDocument/inlineCompletion", completion_params(uri, line, character, kind)))[
            "items"
        ]

    async def command(self, name: str, *arguments: Any) -> Any:
        return await self.request("workspace/executeCommand", {"command": name, "arguments": list(arguments)})

    def shown(self) -> list[str]:
        """Texts of `window/showMessage`."""
        return [m["params"]["message"] for m in self.notifications if m["method"] == "window/showMessage"]

    # The end

    async def stop(self) -> int:
        """shutdown, exit, and the checks that hold for every conversation; returns the exit code."""
        await self.rested()
        if self.process.returncode is None:
            await self.request("shutdown")
            await self.notify("exit")
        return await self.ended()

    async def rested(self) -> None:
        for one in self.rest:
            await one()

    async def ended(self) -> int:
        """Wait for the process and check what it said."""
        async with asyncio.timeout(EXIT_S):
            code = await self.process.wait()
            await self._reading
        self.check()
        return code

    def check(self) -> None:
        assert not self.foreign, f"foreign bytes on stdout: {self.foreign[:200]!r}"
        assert not self.unexpected, f"not asked for: {self.unexpected[:3]!r}"
        unanswered = self.asked - set(self.answers)
        assert not unanswered, f"{len(unanswered)} ids unanswered: {list(unanswered)[:5]!r}"

    async def kill(self) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        for task in (self._reading, *self._serving):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        if self.process.stdin:
            self.process.stdin.close()
            with suppress(ConnectionError, BrokenPipeError):
                await self.process.stdin.wait_closed()

    # Receiving

    async def _read(self) -> None:
        assert self.process.stdout
        buffer = bytearray()
        while data := await self.process.stdout.read(READ_BYTES):
            buffer += data
            while message := self._cut(buffer):
                await self._take(json.loads(message))
        self.foreign += bytes(buffer)
        async with self.arrived:
            self.arrived.notify_all()

    async def _serve(self, message: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            reply["result"] = await self.handlers[message["method"]](message["params"])
        except ServerError as error:
            reply["error"] = {"code": error.code, "message": error.message}
        await self.raw(frame(reply))
        # Whoever waits for what a handler does was asked too early: when its message came.
        async with self.arrived:
            self.arrived.notify_all()

    def _cut(self, buffer: bytearray) -> bytes | None:
        header = HEADER.match(buffer)
        if header is None:
            if len(buffer) > 64 or (buffer and not b"Content-Length: ".startswith(bytes(buffer[:16]))):
                self.foreign += bytes(buffer)
                buffer.clear()
            return None
        end = header.end() + int(header.group(1))
        if len(buffer) < end:
            return None
        message = bytes(buffer[header.end() : end])
        del buffer[:end]
        return message

    async def _take(self, message: dict[str, Any]) -> None:
        assert message["jsonrpc"] == "2.0"
        if "method" in message and "id" in message:
            self.calls.append(message)
            method = message["method"]
            if method in self.handlers:
                self._serving.append(asyncio.create_task(self._serve(message)))
            elif method in SERVER_CALLS:
                await self.raw(frame({"jsonrpc": "2.0", "id": message["id"], "result": SERVER_CALLS[method]}))
            else:
                self.unexpected.append(message)
        elif "method" in message:
            self.notifications.append(message)
        elif message["id"] is None:
            self.null_errors.append(message["error"])
        elif message["id"] in self.answers or message["id"] not in self.asked:
            self.unexpected.append(message)
        else:
            self.answers[message["id"]] = message
        async with self.arrived:
            self.arrived.notify_all()


def completion_params(uri: str, line: int, character: int, kind: int = 1) -> dict[str, Any]:
    return {
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": kind},
    }


def span(line: int, character: int, end_line: int | None = None, end_character: int | None = None) -> dict[str, Any]:
    return {
        "start": {"line": line, "character": character},
        "end": {
            "line": line if end_line is None else end_line,
            "character": character if end_character is None else end_character,
        },
    }


def environment(home: Path) -> dict[str, str]:
    """The server's environment, with configuration and data under `home`; compiled modules are kept, for speed."""
    return {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPYCACHEPREFIX": str(COMPILED),
        "HEARTH_CONFIG_DIR": str(home / "config"),
        "HEARTH_DATA_DIR": str(home / "data"),
    }


def write_settings(home: Path, script: Mapping[str, Any] | None = None, extra: str = "") -> None:
    """settings.toml with the scripted backend, and nothing that reads the disk in the background."""
    config = home / "config"
    config.mkdir(parents=True, exist_ok=True)
    (home / "script.json").write_text(json.dumps(script or {}), encoding="utf-8")
    model = json.dumps(str(home / "script.json"))
    (config / "settings.toml").write_text(
        f'{extra}\n[[backends]]\nkind = "scripted"\nmodel = {model}\n\n[index]\nenabled = false\n', encoding="utf-8"
    )


async def start(home: Path, *arguments: str, stderr: int | None = None) -> Client:
    """A server process and a client for it, before `initialize`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hearth", "serve", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr,
        env=environment(home), cwd=home,
    )  # fmt: skip
    return Client(process)
