"""A chat server of OpenAI's wire format: it says what a test has prepared, in pieces, and sees when it is left."""

import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "scripted-chat"
PIECE_CHARS = 6
HELD_S_MAX = 60.0


@dataclass
class Reply:
    """`text` in pieces, each after `piece_s`. At each form feed it stops until the test says `go_on`."""

    text: str
    piece_s: float = 0.0


@dataclass
class ChatServer:
    """`answer(messages)` says what comes next. `prompts`: every request's messages as one text. `left`: when a client
    went away before the end, in `time.time()`; `sent`: when each piece of the last answer was sent, likewise."""

    answer: Callable[[list[dict[str, Any]]], Reply] = lambda _messages: Reply("Nothing was prepared.")
    model: str = MODEL
    port: int = 0
    prompts: list[str] = field(default_factory=list[str])
    left: list[float] = field(default_factory=list[float])
    sent: list[float] = field(default_factory=list[float])
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def backend(self) -> str:
        """This server in settings.toml, for chats alone."""
        return f'[[backends]]\nkind = "openai"\nurl = "http://127.0.0.1:{self.port}"\nfim = "none"\nroles = ["chat"]\n'

    @property
    def toml(self) -> str:
        """settings.toml with this server alone, for chats alone."""
        return f"{self.backend}[index]\nenabled = false\n"

    def says(self, text: str, **more: float) -> None:
        """From now on the answer is this."""
        self.answer = lambda _messages: Reply(text, **more)

    def go_on(self) -> None:
        """Past the next form feed."""
        self.gate.release()


@contextmanager
def chat_server(model: str = MODEL) -> Iterator[ChatServer]:
    """A server on a port of its own, for as long as the block runs."""
    script = ChatServer(model=model)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the test's own output."""

        def do_GET(self) -> None:
            models = {"object": "list", "data": [{"id": script.model, "object": "model", "max_model_len": 16_384}]}
            self._json(models if self.path == "/v1/models" else {}, 200 if self.path == "/v1/models" else 404)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                self._json({}, 404)
                return
            script.prompts.append("\n".join(f"{one['role']}: {one['content']}" for one in body["messages"]))
            reply = script.answer(body["messages"])
            script.sent.clear()
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                for number, part in enumerate(reply.text.split("\f")):
                    if number:
                        assert script.gate.acquire(timeout=HELD_S_MAX)
                    for at in range(0, len(part), PIECE_CHARS):
                        # A client that is gone makes its connection readable: it is noticed at once, and not at the
                        # second write after it.
                        if reply.piece_s and select.select([self.connection], [], [], reply.piece_s)[0]:
                            raise ConnectionResetError
                        script.sent.append(time.time())
                        self._event({"content": part[at : at + PIECE_CHARS]})
                self._event({}, "stop")
                self.wfile.write(b"data: [DONE]\n\n")
            except OSError:
                script.left.append(time.time())

        def _event(self, delta: dict[str, Any], reason: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            event = {"id": "1", "object": "chat.completion.chunk", "model": script.model, "choices": [choice]}
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            self.wfile.flush()

        def _json(self, value: Any, status: int = 200) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, name="chat server", daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
