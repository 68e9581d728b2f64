"""HTTP for model servers: one connection pool per server, deadlines, caps, and every failure as one BackendError.

Redirects are refused (a prompt must not travel on), proxies and other environment settings are ignored, and the
deadlines are ours (asyncio.timeout), so that a server which sends a comment now and then cannot outlive them.
"""

import asyncio
import json
import random
import zlib
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import httpx

from hearth.backends.base import Delta, Finish, Kind, Probe, State
from hearth.backends.reading import Reading, Step
from hearth.backends.wire import (
    Framing,
    Value,
    WholeBody,
    clean,
    error_text,
    fault_from,
    is_overflow,
)
from hearth.errors import (
    BackendError,
    ContextOverflow,
    DeadlineExceeded,
    LimitExceeded,
    ModelLoading,
    ModelMissing,
    ProtocolFault,
    RateLimited,
    ServerFault,
    Unauthorised,
    Unreachable,
)

CONNECT_S = 2.0
FIRST_BYTE_S = 60.0
IDLE_S = 20.0
TOTAL_S = 180.0
TAIL_S = 0.1
"""How long to wait, after the server said that it is done, for its usage figures and the end of the body."""
PROBE_S = 1.5
KEEP_ALIVE_S = 60.0
CONNECTIONS_MAX = 8
RETRY_DELAY_S = (0.05, 0.25)
RETRY_STATUSES = frozenset({408, 502, 503})
ANSWER_BYTES_MAX = 4 * 1024 * 1024
ERROR_BYTES_MAX = 64 * 1024
INFLATED_BYTES_MAX = 1024 * 1024
SLOW_REMEDY = "Look whether the server is busy or stuck; a smaller model answers sooner."


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds: to connect; from sending to the first byte of the body; between bytes; for the whole request."""

    connect_s: float = CONNECT_S
    first_byte_s: float = FIRST_BYTE_S
    idle_s: float = IDLE_S
    total_s: float = TOTAL_S
    probe_s: float = PROBE_S


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user can do, in the words of one kind of server."""

    label: str
    """For messages: `llama.cpp at http://127.0.0.1:8080`."""
    start: str = "Start the server, or correct its url in settings.toml."
    pull: str = "Load the model in the server, or name another one in settings.toml."
    key: str = "Set api_key_env to the name of the environment variable that holds the key."
    wrong: str = "Something else may be listening there: correct the url or the kind in settings.toml."
    context: str = "Start the server with a larger context (for example 8192 tokens)."
    loading: str = "Nothing to do: suggestions start once it is loaded."


class Http:
    """The connection to one server. `url` has no trailing slash; `api_key` is sent as a bearer token."""

    def __init__(self, url: str, hints: Hints, *, api_key: str = "", deadlines: Deadlines | None = None) -> None:
        self.url = url.rstrip("/")
        self.hints = hints
        self.deadlines = deadlines or Deadlines()
        self.connects = 0
        self._api_key = api_key.strip()
        self._client: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def json(
        self, path: str, body: Value | None = None, *, within_s: float | None = None, again: bool = False
    ) -> Value:
        """The JSON object at `path` (POST if there is a `body`), within the probe's deadline or `within_s`.

        `again`: what is asked does no harm twice, so a kept connection that turns out closed is not the last word.
        """
        span = self.deadlines.probe_s if within_s is None else within_s
        try:
            async with asyncio.timeout(span):
                try:
                    response, data = await self._whole(path, body)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                    if not again or not _closed_early(error):
                        raise
                    response, data = await self._whole(path, body)
        except TimeoutError:
            raise DeadlineExceeded(f"{self.hints.label} did not answer within {span:g} s", self.hints.start) from None
        except httpx.HTTPError as error:
            raise self._fault(error) from error
        self._check(response, data)
        parser = WholeBody(bytes_max=ANSWER_BYTES_MAX)
        with self.named():
            values = [*parser.feed(data), *parser.close()]
        if not values:
            raise ProtocolFault(f"{self.hints.label} gave an empty answer", self.hints.wrong)
        return values[0]

    @asynccontextmanager
    async def open(self, path: str, body: Value) -> AsyncGenerator["Answer"]:
        """POST `body` and hand out the running answer; statuses are checked, one retry where that is right."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self.deadlines.total_s
        response = await self._open(path, body, ends_at, last=False)
        if response is None:
            await asyncio.sleep(random.uniform(*RETRY_DELAY_S))
            response = await self._open(path, body, ends_at, last=True)
        assert response is not None
        try:
            yield Answer(self, response, ends_at)
        finally:
            # Closing before the end closes the socket: the server notices and frees its slot. Shielded, since whoever
            # cancels twice would otherwise leave the socket open, and the server generating.
            await asyncio.shield(response.aclose())

    async def _whole(self, path: str, body: Value | None) -> tuple[httpx.Response, bytes]:
        response = await self._send(path, body)
        try:
            return response, await _read_all(response, ANSWER_BYTES_MAX)
        finally:
            await response.aclose()

    async def _open(self, path: str, body: Value, ends_at: float, *, last: bool) -> httpx.Response | None:
        """The response if its status is 200. None if one more try is right (never when `last`)."""
        loop = asyncio.get_running_loop()
        limits = self.deadlines
        connected = False
        try:
            async with asyncio.timeout(min(limits.connect_s, ends_at - loop.time())) as limit:

                async def trace(name: str, _info: Any) -> None:
                    nonlocal connected
                    if name.endswith("connect_tcp.complete"):
                        self.connects += 1
                    elif name.endswith("send_request_headers.started"):
                        connected = True
                        limit.reschedule(min(loop.time() + limits.first_byte_s, ends_at))

                response = await self._send(path, body, trace)
                try:
                    if response.status_code == 200:
                        self._check_type(response)
                        return response
                    limit.reschedule(min(loop.time() + limits.idle_s, ends_at))
                    data = await _read_all(response, ERROR_BYTES_MAX)
                except BaseException:
                    await response.aclose()
                    raise
            await response.aclose()
        except TimeoutError:
            what = "did not answer" if connected else "could not be connected to"
            span = limits.first_byte_s if connected else limits.connect_s
            remedy = SLOW_REMEDY if connected else self.hints.start
            raise DeadlineExceeded(f"{self.hints.label} {what} within {span:g} s", remedy) from None
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            # A kept connection that the server closed at this very moment looks like this; a second one will not.
            if last or not _closed_early(error):
                raise self._fault(error) from error
            return None
        except httpx.HTTPError as error:
            raise self._fault(error) from error
        fault = self._status_fault(response, data)
        if not last and response.status_code in RETRY_STATUSES and not isinstance(fault, ModelLoading):
            return None
        raise fault

    async def _send(self, path: str, body: Value | None, trace: Callable[..., Any] | None = None) -> httpx.Response:
        client = self._opened()
        headers = {"Accept-Encoding": "identity", "Accept": "*/*"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = encode(body)
        try:
            request = client.build_request(
                "GET" if body is None else "POST", self.url + path, headers=headers, content=content
            )
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise ProtocolFault(
                f"{self.hints.label}: not a usable address or key ({error})", self.hints.wrong
            ) from error
        if trace is not None:
            request.extensions["trace"] = trace
        return await client.send(request, stream=True)

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                # Certificates take 30 ms to load, so they are loaded only where they are needed.
                verify=self.url.lower().startswith("https:"),
                trust_env=False,
                follow_redirects=False,
                timeout=None,
                limits=httpx.Limits(
                    max_connections=CONNECTIONS_MAX,
                    max_keepalive_connections=CONNECTIONS_MAX,
                    keepalive_expiry=KEEP_ALIVE_S,
                ),
            )
        return self._client

    def _check(self, response: httpx.Response, data: bytes) -> None:
        if response.status_code != 200:
            raise self._status_fault(response, data)
        self._check_type(response)

    def _check_type(self, response: httpx.Response) -> None:
        if _media_type(response) in ("text/html", "application/xhtml+xml"):
            raise ProtocolFault(f"{self.hints.label} answers with a web page", self.hints.wrong)

    def _status_fault(self, response: httpx.Response, data: bytes) -> BackendError:
        """The exception for a status that is not 200."""
        label, hints, status = self.hints.label, self.hints, response.status_code
        value = _json_or_text(data, response)
        says = error_text(value)
        told = f"{label} answered {status}" + (f": {says}" if says else "")
        lower = says.lower()
        if 300 <= status < 400:
            return ProtocolFault(f"{label} redirects elsewhere; not followed", hints.wrong)
        if status in (401, 403):
            return Unauthorised(f"{label} does not accept the key ({status})", hints.key)
        if status == 413 or (status in (400, 422, 500) and is_overflow(lower)):
            return ContextOverflow(told, hints.context)
        if "model" in lower and (status == 404 or "not found" in lower or "no models loaded" in lower):
            return ModelMissing(told, hints.pull)
        if status == 429:
            return RateLimited(told, "Wait a moment.", retry_after_s(response.headers))
        if status == 503 and isinstance(fault_from(value), ModelLoading):
            return ModelLoading(f"{label} is still loading the model", hints.loading)
        if status >= 500 or status == 408:
            return ServerFault(told, "Look at the server's log; restart it if this goes on.")
        return ProtocolFault(told, hints.wrong)

    def _fault(self, error: httpx.HTTPError) -> BackendError:
        """The exception for a connection that failed before there was an answer."""
        label, hints = self.hints.label, self.hints
        cause = _root(error)
        if isinstance(error, httpx.ConnectError):
            return Unreachable(f"no connection to {label}: {_connect_problem(cause)}", hints.start)
        if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
            return ProtocolFault(f"{label}: not a usable address or key ({error})", hints.wrong)
        if _closed_early(error):
            return Unreachable(f"{label} closed the connection without an answer", hints.start)
        return ProtocolFault(f"{label} does not speak HTTP", hints.wrong)

    @contextmanager
    def named(self) -> Generator[None]:
        """Put this server's name in front of what the parser reports, which knows no servers, and add the remedy."""
        hints = self.hints
        try:
            yield
        except BackendError as error:
            if not error.message.startswith(hints.label):
                error.message = f"{hints.label}: {error.message}"
                error.args = (error.message,)
                error.remedy = self._remedy(error) or error.remedy or hints.wrong
            raise

    def _remedy(self, error: BackendError) -> str:
        hints = self.hints
        if isinstance(error, ModelMissing):
            return hints.pull
        if isinstance(error, ContextOverflow):
            return hints.context
        return hints.loading if isinstance(error, ModelLoading) else ""


class Answer:
    """A running 200 answer: its body in pieces, each within the deadlines."""

    def __init__(self, http: Http, response: httpx.Response, ends_at: float) -> None:
        self._http = http
        self._response = response
        self._ends_at = ends_at
        self._raw = response.aiter_raw()
        self._inflate = _inflater(response, http.hints)
        self._started = False
        self.media_type = _media_type(response)

    async def read(self, tail_s: float | None = None) -> bytes | None:
        """The next piece; None at the end. `tail_s`: wait only so long, the answer itself is over.

        Raises DeadlineExceeded, and ConnectionResetError where the connection broke.
        """
        limits, label = self._http.deadlines, self._http.hints.label
        loop = asyncio.get_running_loop()
        span, what = (limits.idle_s, "sent nothing") if self._started else (limits.first_byte_s, "did not answer")
        span = span if tail_s is None else tail_s
        until = min(loop.time() + span, self._ends_at)
        try:
            async with asyncio.timeout_at(until):
                data = await anext(self._raw, None)
        except TimeoutError:
            if until == self._ends_at:
                raise DeadlineExceeded(f"{label} was not done after {limits.total_s:g} s", SLOW_REMEDY) from None
            raise DeadlineExceeded(f"{label} {what} for {span:g} s", SLOW_REMEDY) from None
        except httpx.HTTPError as error:
            raise ConnectionResetError from error
        self._started = True
        return data if data is None or self._inflate is None else self._inflate(data)


async def converse(
    http: Http,
    path: str,
    body: Value,
    framing: Framing,
    read: Callable[[Value], Step],
    *,
    max_tokens: int,
    watched_stops: Sequence[str] = (),
    fault: Callable[[object], BackendError] = fault_from,
    thinks: bool = False,
) -> AsyncGenerator[Delta | Finish]:
    """One streamed generation, as backends.base wants it: Deltas, then one Finish or one BackendError.

    `read` says what an event of this kind of server means, `fault` what an error in place of an event does. A
    connection that ends before the answer is over makes it truncated; one that ends before any event is an error, as
    is a deadline. `thinks`: the model may think aloud before it answers, which is no part of the answer.
    """
    async with http.open(path, body) as answer:
        reading = Reading(
            framing,
            answer.media_type,
            read,
            max_tokens=max_tokens,
            watched_stops=watched_stops,
            fault=fault,
            thinks=thinks,
        )
        data: bytes | None = b""
        while data is not None and not reading.stopped:
            try:
                data = await answer.read(TAIL_S if reading.over else None)
            except ConnectionResetError as error:
                if not reading.events:
                    raise Unreachable(f"{http.hints.label} broke off before an answer", http.hints.start) from error
                data = None
            except BackendError:
                if reading.over:
                    break  # It said that it was done; only figures may be missing.
                raise
            with http.named():
                for delta in reading.close() if data is None else reading.feed(data):
                    yield delta
        if not reading.events and not reading.over:
            raise ProtocolFault(f"{http.hints.label} gave an empty answer", http.hints.wrong)
    for event in reading.finish():
        yield event


def failed_probe(kind: Kind, url: str, error: BackendError, server: str = "") -> Probe:
    """The Probe for a server that could not be asked."""
    states: dict[type[BackendError], State] = {
        Unauthorised: "unauthorised",
        ModelLoading: "loading",
        ModelMissing: "no_model",
        ProtocolFault: "wrong",
        LimitExceeded: "wrong",
    }
    state = states.get(type(error), "down")
    return Probe(kind, url, state, server=server, problem=error.message, remedy=error.remedy)


def encode(body: Value) -> bytes:
    """JSON bytes; lone surrogates, which UTF-8 cannot carry, become U+FFFD."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return clean(text).encode("utf-8")


async def _read_all(response: httpx.Response, bytes_max: int) -> bytes:
    """The body as far as `bytes_max`: for errors and probes, where more than that is of no use."""
    body = bytearray()
    async for data in response.aiter_raw():
        body += data
        if len(body) > bytes_max:
            break
    return bytes(body[:bytes_max])


def _inflater(response: httpx.Response, hints: Hints) -> Callable[[bytes], bytes] | None:
    """For a server that compresses although plain bytes were asked for: bounded, and strict about corruption."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return None
    if coding not in ("gzip", "deflate"):
        raise ProtocolFault(f"{hints.label} compresses its answer ({coding})", "Turn compression off in the server.")
    inflate = zlib.decompressobj(wbits=47)

    def feed(data: bytes) -> bytes:
        try:
            plain = inflate.decompress(data, INFLATED_BYTES_MAX)
        except zlib.error as error:
            raise ProtocolFault(f"{hints.label}: its compressed answer is corrupt", hints.wrong) from error
        if inflate.unconsumed_tail:
            raise LimitExceeded(f"{hints.label}: its compressed answer unpacks to too much", hints.wrong)
        return plain

    return feed


def _media_type(response: httpx.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _json_or_text(data: bytes, response: httpx.Response) -> object:
    if _media_type(response) == "text/html":
        return ""
    text = data.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What the header Retry-After says, in seconds or as a date; None if it says nothing."""
    raw = headers.get("retry-after", "").strip()
    if raw.isdigit() and len(raw) < 10:
        return float(raw)
    try:
        return max(0.0, parsedate_to_datetime(raw).timestamp() - time())
    except (ValueError, OverflowError):
        return None


def _closed_early(error: BaseException) -> bool:
    """True if the other side closed or reset the connection, rather than talking something else than HTTP."""
    return isinstance(error, httpx.ReadError | httpx.WriteError) or "disconnected" in str(error)


def _root(error: BaseException) -> BaseException:
    """The first cause: httpx and its transport wrap the operating system's own error twice."""
    seen: set[int] = set()
    while (inner := error.__cause__ or error.__context__) is not None and id(inner) not in seen:
        seen.add(id(inner))
        error = inner
    return error


def _connect_problem(cause: BaseException) -> str:
    if isinstance(cause, ConnectionRefusedError):
        return "nothing listens there"
    text = str(cause)
    if "ssl" in type(cause).__name__.lower() or "certificate" in text.lower():
        return f"secure connection failed ({text})"
    return text or type(cause).__name__
