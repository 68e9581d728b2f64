"""The least of a language server, to see what the client sends: answers `initialize` and what `handlers` name.

Every message received is appended to `log`, one JSON object per line.
"""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any


def run(log: str, handlers: dict[str, Callable[[Any], Any]], commands: Sequence[str] = ()) -> None:
    capabilities = {"executeCommandProvider": {"commands": list(commands)}}
    while (message := read(log)) is not None:
        method, number = message.get("method"), message.get("id")
        if method == "exit":
            return
        if method is None:
            continue
        result = handlers[method](message.get("params")) if method in handlers else None
        if number is not None:
            write({"id": number, "result": {"capabilities": capabilities} if method == "initialize" else result})


def ask(log: str, method: str, params: Any) -> Any:
    """A request to the client; other messages that come meanwhile are dropped."""
    write({"id": "asked", "method": method, "params": params})
    while (message := read(log)) is not None:
        if message.get("id") == "asked":
            return message.get("result")
    return None


def read(log: str) -> Any:
    length = 0
    while (line := sys.stdin.buffer.readline()).strip():
        name, _, value = line.decode().partition(":")
        length = int(value) if name.lower() == "content-length" else length
    if not line:
        return None
    message = json.loads(sys.stdin.buffer.read(length))
    with open(log, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(message) + "\n")
    return message


def write(message: dict[str, Any]) -> None:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    sys.stdout.buffer.flush()
