"""Our transport, beneath the library: what leaves is checked, told and counted here, and what comes back is read here.

A `Crossing` is one approved request: the origin is pinned to the approval, every attempt is told before its first byte
is written, and deadlines, caps, refused redirects and framing are those of every other backend (backends.http). A
`Passage` is what the library gets in place of a network: it takes one request, compares it with what was approved, and
answers with a clean stream made of what was read, so that nothing a server does wrong reaches the library.
"""

import asyncio
import contextlib
import hashlib
import ipaddress
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from hearth.backends.base import Delta, Finish
from hearth.backends.http import Deadlines, Hints, Http, converse, encode
from hearth.backends.wire import Value, string, table
from hearth.courier.chat import ChatReader
from hearth.courier.faults import fault_in_stream, fault_of
from hearth.courier.records import Ask, Outcome, Received, Sent
from hearth.errors import BackendError, EgressDenied, HearthError, LimitExceeded, ProtocolFault, RateLimited

REQUEST_BYTES_MAX = 4 * 1024 * 1024
RETRY_AFTER_S_MAX = 10.0
"""A limit that is over this soon is waited for, once; else another model or the local one answers sooner."""
GENERATION_ID_CHARS_MAX = 200
KEEP_ALIVE_S = 60.0
CONNECTIONS_MAX = 8
PIECES_PER_TOKEN_MAX = 4
"""Some providers send their answer letter by letter, so that it looks smooth."""
PATH = "/chat/completions"
BODY_OURS = frozenset({"model", "messages", "max_tokens", "stream", "stream_options", "usage"})


def origin_of(url: str) -> str:
    """`scheme://host[:port]` of a url that may be contacted, in lower case. Raises EgressDenied for any other."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port
    except ValueError:
        raise EgressDenied(f"not a usable address: {url}", "Correct cloud.base_url in settings.toml.") from None
    if not host or parts.username or parts.password or parts.query or parts.fragment:
        raise EgressDenied(f"not a usable address: {url}", "Correct cloud.base_url in settings.toml.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise EgressDenied(f"{host} would be contacted without encryption", "Use an https address.")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def new_pool(origin: str) -> httpx.AsyncClient:
    """Connections to one origin: no proxies, no cookies, no redirects, no settings from the environment."""
    return httpx.AsyncClient(
        verify=origin.startswith("https:"),
        trust_env=False,
        follow_redirects=False,
        timeout=None,
        limits=httpx.Limits(
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=CONNECTIONS_MAX,
            keepalive_expiry=KEEP_ALIVE_S,
        ),
    )


class Crossing(Http):
    """See the module docstring. `told(sent)` is awaited before each attempt; `heard(received)` is called after it."""

    def __init__(
        self,
        pool: httpx.AsyncClient,
        origin: str,
        base_url: str,
        key: str,
        deadlines: Deadlines,
        told: Callable[[Sent], Awaitable[None]],
        heard: Callable[[Received], None],
    ) -> None:
        if origin_of(base_url) != origin_of(origin):
            raise EgressDenied(
                f"the approval is for {origin}, not for {base_url}", "Approve the request again; it was not sent."
            )
        self.host = urlsplit(base_url).hostname or origin
        hints = Hints(
            self.host,
            start="Check the network connection. The local model answers meanwhile.",
            wrong="Something between here and the provider may answer in its place: look at the network.",
            key="Set the key again: it is wrong, or was revoked.",
            pull="Choose another model: `hearth models` lists them.",
            context="Attach less, or choose a model with a larger context.",
        )
        super().__init__(base_url, hints, api_key=key, deadlines=deadlines)
        self._pool = pool
        self._told = told
        self._heard = heard
        self._attempt = 0
        self._answer: _Counted | None = None
        self._open_attempt = False

    def settle(self) -> None:
        """Tell how the last attempt went, if that was not told yet."""
        if self._open_attempt:
            self._open_attempt = False
            answer = self._answer
            if answer is None:
                self._heard(Received(self._attempt, 0, 0, ""))
            else:
                told = (self._attempt, answer.status, answer.size, answer.digest.hexdigest(), answer.generation)
                self._heard(Received(*told))

    def error_in_stream(self, said: object) -> BackendError:
        """The exception for an error in place of an event."""
        return fault_in_stream(said, self.hints.label)

    def _opened(self) -> httpx.AsyncClient:
        return self._pool

    async def _send(self, path: str, body: Value | None, trace: Callable[..., Any] | None = None) -> httpx.Response:
        content = b"" if body is None else encode(body)
        if len(content) > REQUEST_BYTES_MAX:
            raise LimitExceeded(f"the request is larger than {REQUEST_BYTES_MAX} bytes", "Attach less.")
        self.settle()
        self._attempt += 1
        self._answer = None
        await self._told(Sent("GET" if body is None else "POST", self.url + path, content, self._attempt))
        self._open_attempt = True
        response = await super()._send(path, body, trace)
        self._answer = _Counted(response)
        response.stream = self._answer
        return response

    def _status_fault(self, response: httpx.Response, data: bytes) -> BackendError:
        try:
            said: object = json.loads(data)
        except (ValueError, RecursionError):
            # A page of a proxy or a content delivery network says nothing that helps.
            said = ""
        return fault_of(response.status_code, said, response.headers, self.hints.label)


class _Counted(httpx.AsyncByteStream):
    """A body as it comes, counted and hashed for the ledger."""

    def __init__(self, response: httpx.Response) -> None:
        self._inner = cast(httpx.AsyncByteStream, response.stream)
        self.status = response.status_code
        self.generation = response.headers.get("x-generation-id", "")[:GENERATION_ID_CHARS_MAX]
        self.size = 0
        self.digest = hashlib.sha256()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._inner:
            self.size += len(data)
            self.digest.update(data)
            yield data

    async def aclose(self) -> None:
        await self._inner.aclose()


class Stopped(httpx.TransportError):
    """What the library gets to see of any fault. The fault itself is in the passage."""


class Passage(httpx.AsyncBaseTransport):
    """The library's way out, for one request. Afterwards either `outcome` or `fault` is set, never both.

    `on_text(text)` is called for every piece of the answer.
    """

    def __init__(self, crossing: Crossing, ask: Ask, on_text: Callable[[str], None]) -> None:
        self._crossing = crossing
        self._ask = ask
        self._on_text = on_text
        self._used = False
        self.events: AsyncGenerator[bytes] | None = None
        self.outcome: Outcome | None = None
        self.fault: HearthError | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            body = self._approved(request, await request.aread())
        except HearthError as error:
            self.fault = self.fault or error
            raise Stopped(error.message) from error
        self.events = self._stream(body)
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, stream=_Clean(self.events), request=request)

    async def drain(self) -> None:
        """Read on where the library gave up: the answer is judged by its own end, not by the library's."""
        if self.events is not None and self.outcome is None and self.fault is None:
            with contextlib.suppress(Stopped):
                async for _ in self.events:
                    pass

    async def release(self) -> None:
        """Break the answer off, if it still runs. Nobody may be reading it now."""
        if self.events is not None:
            await self.events.aclose()

    def _approved(self, request: httpx.Request, data: bytes) -> Value:
        """The body, if this is the request that was approved, the first time. Raises EgressDenied."""
        ask = self._ask
        wanted = ask.base_url.rstrip("/") + PATH
        body: Value = table(json.loads(data)) if data else {}
        model = string(body.get("model"))
        if self._used:
            problem = "a second time"
        elif request.method != "POST" or str(request.url) != str(httpx.URL(wanted)):
            problem = f"to {request.url}"
        elif model != ask.model or body.get("messages") != [*ask.messages] or body.get("max_tokens") != ask.max_tokens:
            problem = "with other contents"
        elif other := [name for name in body if name not in BODY_OURS and name not in ask.fields]:
            problem = f"with {', '.join(sorted(other))}, which nobody asked for,"
        elif any(body.get(name) != value for name, value in ask.fields.items()):
            problem = "with other options"
        else:
            self._used = True
            return body
        raise EgressDenied(f"a request {problem} was stopped: it is not the approved one", "Please report this.")

    async def _stream(self, body: Value) -> AsyncGenerator[bytes]:
        """The answer as clean events. What is wrong with it is kept in `fault`, for whoever asked."""
        reader = ChatReader()
        head: Value = {"id": "answer", "object": "chat.completion.chunk", "created": 0, "model": self._ask.model}
        try:
            async with aclosing(self._conversation(body, reader)) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        self._on_text(event.text)
                        yield _frame({**head, "choices": [_choice(event.text)]})
                    else:
                        self.outcome = reader.outcome(event)
                        reason = "length" if event.reason in ("length", "truncated") else "stop"
                        yield _frame({**head, "choices": [_choice("", reason)]})
                        yield _frame({**head, "choices": [], "usage": _usage(self.outcome)})
            yield b"data: [DONE]\n\n"
        except HearthError as error:
            self.fault = error
            raise Stopped(error.message) from error

    async def _conversation(self, body: Value, reader: ChatReader) -> AsyncGenerator[Delta | Finish]:
        """The shared conversation, begun again once where the server says that waiting a moment helps."""
        crossing = self._crossing
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + crossing.deadlines.total_s
        for last in (False, True):
            try:
                events = converse(
                    crossing, PATH, body, "sse", reader.read,
                    max_tokens=self._ask.max_tokens * PIECES_PER_TOKEN_MAX, fault=crossing.error_in_stream, thinks=True,
                )  # fmt: skip
                async with aclosing(events):
                    async for event in events:
                        yield event
                return
            except RateLimited as limited:
                wait_s = limited.retry_after_s
                left_s = ends_at - loop.time() - (wait_s or 0)
                if last or reader.begun or wait_s is None or wait_s > RETRY_AFTER_S_MAX or left_s <= 0:
                    raise
                await asyncio.sleep(wait_s)
                crossing.deadlines = replace(crossing.deadlines, total_s=ends_at - loop.time())
        raise ProtocolFault(f"{crossing.hints.label} gave no answer", crossing.hints.wrong)


class _Clean(httpx.AsyncByteStream):
    """The clean events as a body. Closing it ends nothing: when the answer is over is not the library's to say."""

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._events:
            yield data


def _frame(value: Value) -> bytes:
    return b"data: " + json.dumps(value).encode("ascii") + b"\n\n"


def _choice(text: str, finish: str | None = None) -> Value:
    return {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}


def _usage(outcome: Outcome) -> Value:
    prompt, generated = outcome.prompt_tokens or 0, outcome.generated_tokens or 0
    return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}
