"""Ten thousand seeded messages that no sane client sends: no crash, no unanswered id, no foreign byte, one popup."""

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lsp_client import frame, start, write_settings

SEED = 20_250
MESSAGES = 10_000
ALIVE_EVERY = 500
INTERNAL_ERROR = -32603

METHODS = (
    "initialize", "initialized", "textDocument/didOpen", "textDocument/didChange", "textDocument/didClose",
    "textDocument/didSave", "textDocument/inlineCompletion", "workspace/executeCommand", "hearth/status",
    "workspace/didChangeConfiguration", "workspace/didChangeWorkspaceFolders", "workspace/textDocumentContent",
    "notebookDocument/didOpen", "notebookDocument/didChange", "notebookDocument/didClose", "notebookDocument/didSave",
    "$/cancelRequest", "$/setTrace", "window/workDoneProgress/cancel", "textDocument/hover", "no/such", "",
)  # fmt: skip
COMMANDS = (
    "hearth.status", "hearth.whyNoSuggestion", "hearth.toggleCompletion", "hearth.completionAccepted", "hearth.stop",
    "hearth.nothing", "",
)  # fmt: skip
TEXTS = (
    "",
    "a",
    "def f(x):\n    ",
    "\r",
    "\n",
    "\r\n",
    "\u2028",
    "\x85",
    "\x0c",
    "😀",
    "\ud83d",
    "\udc00",
    "\0",
    "é" * 50,
)
URIS = (
    "file:///a.py", "file:///b.py", "untitled:1", "", "http://[bad", "file://%00", "file:///\ud800", "hearth:/why.md",
    "file:///" + "x" * 9_000,
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 7, 2**31 - 1, 2**31, 2**64, 10**30, 1.5, 1e300, True, None, "1")


class Fuzzer:
    """Makes messages, and knows which ids must be answered."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.expected: list[Any] = []
        self.count = 0

    def chunk(self) -> bytes:
        """One message, or what pretends to be one."""
        self.count += 1
        kinds = (
            self.whole, self.whole, self.whole, self.edit, self.edit, self.batch, self.malformed, self.bad_header,
            self.wrong_length, self.invalid, self.response,
        )  # fmt: skip
        return self.dice.choice(kinds)()

    # Values

    def new_id(self) -> Any:
        number = self.count * 1_000 + len(self.expected) % 1_000
        return self.dice.choice(
            [
                number,
                str(number),
                -number,
                f"é😀{number}",
                f"\ud800{number}",
                number + 0.5,
                10**20 + number,
                f'"{number}',
            ]
        )

    def value(self, depth: int = 0) -> Any:
        kind = self.dice.randrange(9 if depth < 4 else 6)
        if kind < 3:
            return self.dice.choice(NUMBERS)
        if kind < 6:
            return self.dice.choice((*TEXTS, *URIS[:3]))
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.dice.randrange(4))]
        keys = (
            "jsonrpc",
            "id",
            "method",
            "params",
            "textDocument",
            "uri",
            "position",
            "range",
            "text",
            "settings",
            "x",
        )
        return {self.dice.choice(keys): self.value(depth + 1) for _ in range(self.dice.randrange(4))}

    def maybe(self, good: Any) -> Any:
        return good if self.dice.random() < 0.9 else self.value()

    def position(self) -> Any:
        numbers = (0, 0, 1, 2, 3, 5, *NUMBERS)
        return self.maybe({"line": self.dice.choice(numbers), "character": self.dice.choice(numbers)})

    def params(self, method: str) -> Any:
        dice = self.dice
        if dice.random() < 0.15:
            return self.value()
        uri = self.maybe(dice.choice(URIS[:3] if dice.random() < 0.7 else URIS))
        document = self.maybe({"uri": uri, "version": dice.choice((*NUMBERS, self.count)), "languageId": "python"})
        if method == "textDocument/didOpen" and isinstance(document, dict):
            document["text"] = self.maybe("".join(dice.choices(TEXTS, k=dice.randrange(8))))
        match method:
            case "textDocument/inlineCompletion":
                context = {"triggerKind": dice.choice(NUMBERS), "selectedCompletionInfo": self.maybe(None)}
                return {"textDocument": document, "position": self.position(), "context": self.maybe(context)}
            case "textDocument/didChange":
                return {
                    "textDocument": document,
                    "contentChanges": self.maybe([self.change() for _ in range(dice.randrange(4))]),
                }
            case "textDocument/didSave":
                return {"textDocument": document, "text": self.maybe("saved")}
            case "notebookDocument/didOpen":
                return {
                    "notebookDocument": self.notebook(),
                    "cellTextDocuments": self.maybe([self.text(), self.text()]),
                }
            case "notebookDocument/didChange":
                return {"notebookDocument": self.notebook(), "change": self.maybe({"cells": self.cells()})}
            case "notebookDocument/didClose" | "notebookDocument/didSave":
                return {"notebookDocument": self.notebook(), "cellTextDocuments": self.maybe([document])}
            case "workspace/executeCommand":
                return {"command": self.maybe(dice.choice(COMMANDS)), "arguments": self.maybe([self.value()])}
            case "workspace/didChangeConfiguration":
                return {"settings": self.maybe({"hearth": self.maybe({"completion": self.maybe({"enabled": True})})})}
            case "workspace/didChangeWorkspaceFolders":
                return {"event": self.maybe({"added": self.maybe([{"uri": uri, "name": "x"}]), "removed": []})}
            case "$/cancelRequest":
                return {"id": self.maybe(dice.choice(self.expected) if self.expected else 1)}
            case "initialize":
                return {"processId": None, "capabilities": self.value()}
            case _:
                return {"textDocument": document, "uri": uri}

    def notebook(self) -> Any:
        cells = [self.maybe({"kind": self.dice.choice((1, 2)), "document": uri}) for uri in self.dice.sample(URIS, 2)]
        return self.maybe({"uri": self.dice.choice(("nb:1", "nb:2")), "version": 1, "cells": self.maybe(cells)})

    def cells(self) -> Any:
        fresh = [{"kind": 2, "document": self.dice.choice(URIS)} for _ in range(self.dice.randrange(3))]
        array = {
            "start": self.dice.choice(NUMBERS),
            "deleteCount": self.dice.choice(NUMBERS),
            "cells": self.maybe(fresh),
        }
        structure = {"array": self.maybe(array), "didOpen": self.maybe([self.text()]), "didClose": self.maybe(None)}
        contents = [{"document": {"uri": self.dice.choice(URIS), "version": 3}, "changes": [self.change()]}]
        return self.maybe({"structure": self.maybe(structure), "textContent": self.maybe(contents), "data": None})

    def text(self) -> Any:
        return self.maybe({"uri": self.dice.choice(URIS), "languageId": "python", "version": 1, "text": "x = 1\ny"})

    def change(self) -> Any:
        where = {"start": self.position(), "end": self.position()}
        text = self.maybe("".join(self.dice.choices(TEXTS, k=self.dice.randrange(4))))
        change = {"range": self.maybe(where), "text": text, "rangeLength": self.dice.choice(NUMBERS)}
        return {key: value for key, value in change.items() if self.dice.random() < 0.9}

    # Messages

    def request(self) -> dict[str, Any]:
        method = self.dice.choice(METHODS)
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": self.params(method)}
        if self.dice.random() < 0.7:
            message["id"] = self.new_id()
            self.expected.append(message["id"])
        if self.dice.random() < 0.1:
            del message["params"]
        return message

    def whole(self) -> bytes:
        body = json.dumps(self.request(), ensure_ascii=self.dice.random() < 0.5).encode("utf-8", "surrogatepass")
        return self.dice.choice((b"", b"", b"\r\n\r\n", b"junk")) + frame(body)

    def edit(self) -> bytes:
        method = self.dice.choice(("textDocument/didChange", "textDocument/didChange", "textDocument/didOpen"))
        return frame({"jsonrpc": "2.0", "method": method, "params": self.params(method)})

    def batch(self) -> bytes:
        members = [self.dice.choice((self.request, self.value))() for _ in range(self.dice.randrange(6))]
        for member in members:
            # A value that happens to look like a request or an answer must not claim an id.
            if isinstance(member, dict) and member.get("jsonrpc") != "2.0":
                member.pop("id", None)
        return frame(members)

    def malformed(self) -> bytes:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hearth/status", "params": self.value()}).encode()
        cut = self.dice.randrange(len(body))
        return frame(
            self.dice.choice((body[:cut], body + b"}", b"\xff" + body, b"[" * 3_000, body.replace(b":", b"", 1)))
        )

    def bad_header(self) -> bytes:
        length = self.dice.choice((b"-5", b"abc", b"", b"1_0", b"0x10", b"+1"))
        return b"Content-Length: " + length + b"\r\n\r\n" + self.dice.choice((b"", b"{}", b"\0" * 500, b"x" * 9_000))

    def wrong_length(self) -> bytes:
        """Too long: the next message's header shows where it ends. Too short: the message is lost, its id with it."""
        message = {"jsonrpc": "2.0", "id": self.new_id(), "method": "hearth/status"}
        body = json.dumps(message).encode()
        if self.dice.random() < 0.5:
            return b"Content-Length: %d\r\n\r\n%b" % (self.dice.randrange(1, len(body) - 1), body)
        more = self.dice.choice((200, 10**4, 10**7))
        self.expected.append(message["id"])
        return b"content-length: %d\r\n\r\n%b" % (len(body) + more, body) + self.edit()

    def invalid(self) -> bytes:
        message = self.request()
        wrong = self.dice.choice(("jsonrpc", "method", "version", "params"))
        if wrong == "params":
            message["params"] = self.dice.choice((5, "x", True))
        elif wrong == "version":
            message["jsonrpc"] = self.dice.choice((2, "1.0", None))
        else:
            del message[wrong]
        return frame(message)

    def response(self) -> bytes:
        message = {"jsonrpc": "2.0", "id": self.maybe(f"hearth-{self.dice.randrange(9)}"), "result": self.value()}
        return frame(message if self.dice.random() < 0.7 else {**message, "error": self.value()})


def chunks(fuzzer: Fuzzer) -> Iterator[bytes]:
    for _ in range(MESSAGES):
        yield fuzzer.chunk()


@pytest.mark.parametrize("seed", [SEED])
async def test_fuzzed_messages(tmp_path: Path, seed: int):
    write_settings(tmp_path, {"text": "1"})
    client = await start(tmp_path, stderr=asyncio.subprocess.DEVNULL)
    fuzzer = Fuzzer(seed)
    try:
        await client.initialize()
        for number, chunk in enumerate(chunks(fuzzer)):
            client.asked.update(fuzzer.expected)
            await client.raw(chunk)
            if number % ALIVE_EVERY == 0:
                assert await client.request("hearth/status"), f"after message {number}"
        assert await client.request("hearth/status")
        await client.until(lambda: len(client.answers) >= len(client.asked), "every id is answered")
        assert len(client.asked) > MESSAGES / 3
        faults = [reply for reply in client.answers.values() if reply.get("error", {}).get("code") == INTERNAL_ERROR]
        assert not faults, faults[0]
        log = (tmp_path / "data" / "logs" / "serve.log").read_text("utf-8")
        assert "Traceback" not in log, log[log.index("Traceback") :][:2_000]
        assert len(set(client.shown()) - TOGGLED) <= 1
        assert await client.stop() == 0
    finally:
        await client.kill()


# What the toggle command answers is not an error popup.
TOGGLED = {"Hearth: suggestions are on.", "Hearth: suggestions are off."}
