"""A model server made of raw sockets, which can break in every way a real one does.

It speaks each kind's documented wire format as long as it is told nothing else; a test gives it the exact bytes of the
answer to a generation, cut at places that a seed chooses, and says how the connection ends.
"""

import asyncio
import itertools
import json
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
JSON = "application/json"
HTML = "text/html; charset=utf-8"


@dataclass
class Answer:
    """Bytes to send and how to end: `close`, `reset`, or `hang` (send nothing more, keep the connection)."""

    body: bytes = b""
    status: str = "200 OK"
    media: str = JSON
    headers: tuple[str, ...] = ()
    end: str = "close"
    chunked: bool = False
    forever: bytes = b""
    """Sent again and again after the body, every few milliseconds."""
    raw: bool = False
    """The body is everything: no status line, no headers."""


def js(value: Any, status: str = "200 OK", **more: Any) -> Answer:
    return Answer(json.dumps(value).encode(), status, **more)


@dataclass
class Seen:
    """What reached the server."""

    requests: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client closed its connection while an answer was hanging or running."""

    def bodies(self, path: str) -> list[Any]:
        return [body for at, body, _ in self.requests if at == path]


Routes = dict[str, Answer | Callable[[Any], Answer] | list[Answer]]


class Fake:
    """`async with Fake(routes, seed) as fake`. A list of answers is used up one by one, the last one repeats."""

    def __init__(self, routes: Routes, seed: int = 0) -> None:
        self.routes = routes
        self.seen = Seen()
        self.port = 0  # any; entered again, it is where it was
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Fake":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self.seen.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.seen.gone.set()
        except asyncio.CancelledError:
            pass  # Only `__aexit__` cancels; asyncio's own callback would report it as unhandled.
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = await reader.readline()
        if not line:
            return False
        headers = {}
        while (header := await reader.readline()).strip():
            name, _, value = header.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        path = line.split()[1].decode()
        body = json.loads(data) if data else None
        self.seen.requests.append((path, body, headers))
        route = self.routes.get(path, js({"error": "no such path"}, "404 Not Found"))
        if isinstance(route, list):
            route = route.pop(0) if len(route) > 1 else route[0]
        return await self._answer(route(body) if callable(route) else route, reader, writer)

    async def _answer(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if not answer.raw:
            framing = "Transfer-Encoding: chunked" if answer.chunked else "Connection: close"
            lines = [f"HTTP/1.1 {answer.status}", f"Content-Type: {answer.media}", framing, *answer.headers]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
            await writer.drain()
        for piece in self._cut(answer.body):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.chunked else piece)
            await writer.drain()
            await asyncio.sleep(0)
        while answer.forever:
            writer.write(answer.forever)
            await writer.drain()
            await asyncio.sleep(0.002)
        if answer.end == "hang":
            while await reader.read(1000):
                pass
            self.seen.gone.set()
        if answer.end == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # What was sent must arrive before the reset throws it away.
            await asyncio.sleep(0.05)
            writer.transport.abort()
        if answer.chunked and answer.end == "close":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
            return True
        return False

    def _cut(self, body: bytes) -> list[bytes]:
        """The body in up to 40 pieces at random places; single bytes are likely."""
        if len(body) > 100_000:
            return [body]
        points = {self._random.randrange(len(body)) for _ in range(20)} if body else set()
        points |= {min(p + 1, len(body)) for p in points}
        cuts = sorted({0, len(body), *points})
        return [body[a:b] for a, b in itertools.pairwise(cuts)]


class LlamaWire:
    """llama-server's formats."""

    kind = "llamacpp"
    path = "/completion"
    media = SSE

    def event(self, text: str) -> bytes:
        return self.frame(self.value(text))

    def value(self, text: str) -> Any:
        return {"index": 0, "content": text, "tokens": [1], "stop": False, "tokens_predicted": 1, "tokens_evaluated": 9}

    def last(self, reason: str = "eos") -> bytes:
        reason = {"stop": "eos", "length": "limit"}.get(reason, reason)
        timings = {"cache_n": 7, "prompt_n": 2, "predicted_n": 2}
        value = {
            "index": 0, "content": "", "stop": True, "stop_type": reason, "truncated": False, "tokens_predicted": 2,
            "tokens_evaluated": 9, "timings": timings,
        }  # fmt: skip
        return self.frame(value)

    def frame(self, value: Any, ascii_only: bool = True) -> bytes:
        return b"data: " + json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") + b"\n\n"

    def end(self) -> bytes:
        return b""

    def error(self, message: str) -> Any:
        return {"error": {"code": 500, "message": message, "type": "server_error"}}

    def routes(self) -> Routes:
        return {"/props": js(self.props())}

    def props(self) -> Any:
        return {
            "default_generation_settings": {"n_ctx": 4096, "params": {}},
            "total_slots": 2,
            "model_alias": "/models/Qwen2.5-Coder-1.5B.gguf",
            "model_path": "/models/Qwen2.5-Coder-1.5B.gguf",
            "chat_template": "",
        }


class OllamaWire(LlamaWire):
    """Ollama's formats."""

    kind = "ollama"
    path = "/api/generate"
    media = NDJSON
    model = "qwen2.5-coder:1.5b-base"

    def value(self, text: str) -> Any:
        return {"model": self.model, "created_at": "2026-01-01T00:00:00Z", "response": text, "done": False}

    def last(self, reason: str = "stop") -> bytes:
        figures = {"prompt_eval_count": 9, "prompt_eval_duration": 1000, "eval_count": 2, "eval_duration": 1000}
        return self.frame({"model": self.model, "response": "", "done": True, "done_reason": reason, **figures})

    def frame(self, value: Any, ascii_only: bool = True) -> bytes:
        return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") + b"\n"

    def error(self, message: str) -> Any:
        return {"error": message}

    def routes(self) -> Routes:
        template = "<|fim_prefix|>{{ .Prompt }}<|fim_suffix|>{{ .Suffix }}<|fim_middle|>"
        return {
            "/api/version": js({"version": "0.12.0"}),
            "/api/tags": js({"models": [{"name": self.model, "model": self.model}]}),
            "/api/ps": js({"models": [{"name": self.model, "model": self.model, "context_length": 8192}]}),
            "/api/show": js(
                {
                    "template": template,
                    "capabilities": ["completion", "insert"],
                    "model_info": {"general.architecture": "qwen2", "qwen2.context_length": 32768},
                }
            ),
        }


class VllmWire(LlamaWire):
    """vLLM's formats; the stream is what LM Studio and TabbyAPI send too."""

    kind = "openai"
    path = "/v1/completions"
    media = SSE + "; charset=utf-8"
    model = "Qwen/Qwen2.5-Coder-7B"

    def value(self, text: str, finish: str | None = None) -> Any:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "stop_reason": None}
        return {"id": "cmpl-1", "object": "text_completion", "model": self.model, "choices": [choice]}

    def last(self, reason: str = "stop") -> bytes:
        return self.frame(self.value("", reason))

    def end(self) -> bytes:
        usage = {
            "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11,
            "prompt_tokens_details": {"cached_tokens": 7},
        }  # fmt: skip
        return self.frame({"id": "cmpl-1", "choices": [], "usage": usage}) + b"data: [DONE]\n\n"

    def routes(self) -> Routes:
        entry = {"id": self.model, "object": "model", "owned_by": "vllm", "max_model_len": 16384}
        return {"/v1/models": js({"object": "list", "data": [entry]}), "/version": js({"version": "0.11.0"})}


WIRES = {"llamacpp": LlamaWire(), "ollama": OllamaWire(), "openai": VllmWire()}


class ChatWire(VllmWire):
    """OpenAI's chat format, as vLLM sends it."""

    backend = "openai"
    path = "/v1/chat/completions"

    def value(self, text: str | None, finish: str | None = None, **delta: Any) -> Any:
        choice = {"index": 0, "delta": {"role": "assistant", "content": text, **delta}, "finish_reason": finish}
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": self.model, "choices": [choice]}


class LlamaChatWire(ChatWire):
    """llama-server's chat: how much of the prompt is read comes first, exact figures last."""

    backend = "llamacpp"

    def end(self) -> bytes:
        return super().end().replace(b'"choices": []', b'"choices": [], "timings": {"cache_n": 7, "prompt_n": 2}')

    def routes(self) -> Routes:
        return LlamaWire().routes()


class OllamaChatWire(OllamaWire):
    """Ollama's chat."""

    backend = "ollama"
    path = "/api/chat"

    def value(self, text: str | None, **message: Any) -> Any:
        said = {"role": "assistant", "content": text, **message}
        return {"model": self.model, "created_at": "2026-01-01T00:00:00Z", "message": said, "done": False}

    def last(self, reason: str = "stop") -> bytes:
        return super().last(reason).replace(b'"response": ""', b'"message": {"role": "assistant", "content": ""}')


CHATS = {"llamacpp": LlamaChatWire(), "ollama": OllamaChatWire(), "openai": ChatWire()}
