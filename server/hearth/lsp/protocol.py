"""JSON-RPC that answers every request id, on top of pygls's registry of features.

pygls gives the registry and the typed calls to the client. Reading, dispatching, cancelling, answering and sending are
ours, because a malformed message must neither go unanswered nor stop the server.

Order: notifications run to their end before the next message is looked at, and a request runs up to its first wait, so
it sees exactly the documents that the client had when it asked. Members of a batch are answered one by one, as the
protocol has no batches and editors could not read an array.
"""

import asyncio
import json
import logging
import math
import re
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import Future
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from lsprotocol import converters, types
from pygls.protocol import LanguageServerProtocol

from hearth.errors import HearthError
from hearth.lsp.convert import BadParams
from hearth.lsp.transport import Channel, FrameReader, Garbage, Message, Skipped, frame

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

RUNNING_REQUESTS_MAX = 256
PENDING_REQUESTS_MAX = 256
LOGGED_NAME_CHARS_MAX = 80

PARSE_ERROR = types.ErrorCodes.ParseError.value
INVALID_REQUEST = types.ErrorCodes.InvalidRequest.value
METHOD_NOT_FOUND = types.ErrorCodes.MethodNotFound.value
INVALID_PARAMS = types.ErrorCodes.InvalidParams.value
INTERNAL_ERROR = types.ErrorCodes.InternalError.value
NOT_INITIALIZED = types.ErrorCodes.ServerNotInitialized.value
REQUEST_FAILED = types.LSPErrorCodes.RequestFailed.value
REQUEST_CANCELLED = types.LSPErrorCodes.RequestCancelled.value

_HEAD_ID = re.compile(r'"id"\s*:\s*(-?\d{1,19}|"(?:[^"\\]|\\.)*")')
_HEAD_METHOD = re.compile(r'"method"\s*:\s*"([^"\\]*)"')
_HEAD_URI = re.compile(r'"uri"\s*:\s*("(?:[^"\\]|\\.)*")')

log = logging.getLogger(__name__)

Handler = Callable[[Any], Awaitable[Any]]
RequestId = int | str


class RpcError(Exception):
    """A request is answered with this error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class LazyConverter:
    """lsprotocol's converter, built at its first use: it takes longer than answering `initialize`."""

    @cached_property
    def _real(self) -> Any:
        return converters.get_converter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class HearthProtocol(LanguageServerProtocol):
    """One conversation with one client."""

    def __init__(self, server: "LanguageServer", converter: Any) -> None:
        super().__init__(server, converter)
        self.ready = False
        self.on_lost: Callable[[str, str], None] = lambda _method, _uri: None
        """Called with method and URI (each "" if unknown) when a notification was lost on its way."""
        self._channel: Channel | None = None
        self._ended: asyncio.Future[int] | None = None
        self._running: dict[RequestId, asyncio.Task[bytes]] = {}
        self._pending: dict[RequestId, Future[Any]] = {}
        self._sent = 0

    def _register_builtin_features(self) -> None:
        """None of pygls's: its text documents must never see an edit."""

    # Incoming

    async def converse(self, channel: Channel) -> int:
        """Talk until the client leaves or `end` is called; returns the process's exit code."""
        self._channel = channel
        self._ended = ended = asyncio.get_running_loop().create_future()
        reading = asyncio.create_task(self._read(channel), name="lsp-read")
        try:
            await asyncio.wait((reading, ended), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                reading.result()  # Raises what ended the reader, if it was a fault of ours.
            return ended.result() if ended.done() else self._code()
        finally:
            reading.cancel()
            self.cancel_all()
            await asyncio.gather(reading, *self._running.values(), return_exceptions=True)

    def end(self, code: int, reason: str) -> None:
        """Stop talking."""
        if self._ended is not None and not self._ended.done():
            log.info("ending with %d: %s", code, reason)
            self._ended.set_result(code)

    def cancel_all(self, spare: Collection["asyncio.Task[Any]"] = ()) -> int:
        """Cancel every request that is running but `spare` and the one that asks for it; returns how many."""
        mine = asyncio.current_task()
        return sum(task.cancel() for task in self._running.values() if task is not mine and task not in spare)

    def begin_shutdown(self) -> None:
        """From now on requests are refused and notifications ignored, all but `exit`; what runs is cancelled."""
        self._shutdown = True
        self.cancel_all()

    def _code(self) -> int:
        return 0 if self._shutdown else 1

    async def _read(self, channel: Channel) -> None:
        reader = FrameReader()
        async for chunk in channel.chunks():
            for item in reader.feed(chunk):
                match item:
                    case Message(body):
                        await self._body(body)
                    case Skipped(head, length):
                        self._skipped(head.decode("utf-8", "replace"), length)
                    case Garbage(size):
                        log.info("skipped %d bytes that belong to no message", size)
                        self.on_lost("", "")
        self.end(self._code(), "the client closed the stream")

    async def _body(self, body: bytes) -> None:
        try:
            message = json.loads(_text_of(body), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            log.info("message of %d bytes is not JSON: %s", len(body), type(error).__name__)
            self.on_lost("", "")
            self._refuse(None, PARSE_ERROR, "the message is not JSON")
            return
        if not isinstance(message, list):
            await self._message(message)
            return
        members = cast(list[Any], message)
        if not members:
            self._refuse(None, INVALID_REQUEST, "the batch is empty")
        for member in members:
            await self._message(member)

    def _skipped(self, head: str, length: int) -> None:
        """A message too long to read: answer it if it was a request, else say which document it was about."""
        envelope = head.partition('"params"')[0]
        found_method, found_id, found_uri = _HEAD_METHOD.search(head), _HEAD_ID.search(envelope), _HEAD_URI.search(head)
        method = found_method.group(1) if found_method else ""
        log.warning("skipped a message of %d bytes: %s", length, _short(method))
        if found_id:
            self._refuse(_loads_or_empty(found_id.group(1)), INVALID_REQUEST, "the message is too large")
        else:
            self.on_lost(method, str(_loads_or_empty(found_uri.group(1))) if found_uri else "")

    async def _message(self, message: object) -> None:
        if not isinstance(message, dict):
            self._refuse(None, INVALID_REQUEST, "a message must be an object")
            return
        fields = cast(dict[str, Any], message)
        if "method" not in fields and "id" in fields and ("result" in fields or "error" in fields):
            self._response(fields)
            return
        method, request_id = fields.get("method"), fields.get("id")
        wrong_id = "id" in fields and not _is_id(request_id)
        if fields.get("jsonrpc") != "2.0" or not isinstance(method, str) or wrong_id:
            if "id" in fields or not isinstance(method, str):
                self._refuse(request_id, INVALID_REQUEST, 'a request needs "jsonrpc": "2.0", a method and a proper id')
            else:
                self.on_lost(method, "")
        elif "id" in fields:
            await self._request(cast(RequestId, request_id), method, fields.get("params"))
        else:
            await self._notification(method, fields.get("params"))

    async def _request(self, request_id: RequestId, method: str, params: object) -> None:
        handler = self._feature(method)
        first = method == types.INITIALIZE
        if self._shutdown:
            self._refuse(request_id, INVALID_REQUEST, "the server is shutting down")
        elif not self.ready and not first:
            self._refuse(request_id, NOT_INITIALIZED, "initialize comes first")
        elif self.ready and first:
            self._refuse(request_id, INVALID_REQUEST, "the server is initialized already")
        elif handler is None:
            self._refuse(request_id, METHOD_NOT_FOUND, f"no such method: {_short(method)}")
        elif params is not None and not isinstance(params, (dict, list)):
            self._refuse(request_id, INVALID_PARAMS, "params: expected an object")
        elif request_id in self._running:
            self._refuse(request_id, INVALID_REQUEST, "a request with this id is still running")
        elif len(self._running) >= RUNNING_REQUESTS_MAX:
            self._refuse(request_id, REQUEST_FAILED, f"{RUNNING_REQUESTS_MAX} requests are running already")
        else:
            task = asyncio.create_task(
                self._answer(request_id, method, handler, cast(object, params)), name=f"lsp {method}"
            )
            self._running[request_id] = task
            task.add_done_callback(partial(self._answered, request_id))
            if method in (types.INITIALIZE, types.SHUTDOWN):
                await asyncio.wait((task,))
            await asyncio.sleep(0)

    async def _notification(self, method: str, params: object) -> None:
        if method == types.EXIT:
            self.end(self._code(), "exit")
        elif method == types.CANCEL_REQUEST:
            request_id = cast(dict[str, Any], params).get("id") if isinstance(params, dict) else None
            if _is_id(request_id) and (task := self._running.get(cast(RequestId, request_id))) is not None:
                task.cancel()
        elif self.ready and not self._shutdown and (handler := self._feature(method)) is not None:
            try:
                await self._guard(method, handler, params)
            except RpcError as error:
                log.info("%s: %s", method, error.message)

    def _feature(self, method: str) -> Handler | None:
        registry: Any = self.fm
        return cast(dict[str, Handler], registry.features).get(method)

    async def _answer(self, request_id: RequestId, method: str, handler: Handler, params: object) -> bytes:
        """The whole reply to a request, encoded: a result that cannot be encoded is the handler's fault too."""

        async def encoded(params: object) -> bytes:
            return self._encode({"id": request_id, "result": await handler(params)})

        try:
            return await self._guard(method, encoded, params)
        except RpcError as error:
            return self._encode({"id": request_id, "error": {"code": error.code, "message": error.message}})

    async def _guard(self, method: str, handler: Handler, params: object) -> Any:
        """The one place where any exception of a feature ends: a plain sentence goes out, the traceback to the log."""
        try:
            return await handler(params)
        except RpcError:
            raise
        except BadParams as error:
            raise RpcError(INVALID_PARAMS, str(error)) from None
        except HearthError as error:
            raise RpcError(REQUEST_FAILED, f"{error.message} {error.remedy}".strip()) from None
        except Exception:
            log.exception("%s failed", method)
            raise RpcError(INTERNAL_ERROR, f"{method} failed inside Hearth; its log has the details") from None

    def _answered(self, request_id: RequestId, task: asyncio.Task[bytes]) -> None:
        del self._running[request_id]
        if task.cancelled():
            self._refuse(request_id, REQUEST_CANCELLED, "cancelled")
        else:
            self._send(task.result())

    def _response(self, fields: dict[str, Any]) -> None:
        request_id = fields["id"]
        future = self._pending.pop(request_id, None) if isinstance(request_id, str) else None
        if future is None or future.cancelled():
            return
        if fields.get("error") is not None:
            future.set_exception(RpcError(REQUEST_FAILED, "the client could not do it"))
        else:
            future.set_result(fields.get("result"))

    # Outgoing

    def notify(self, method: str, params: Any = None) -> None:
        """Send a notification."""
        self._send(self._encode({"method": method, "params": params}))

    def send_request(
        self,
        method: str,
        params: Any = None,
        callback: Callable[[Any], None] | None = None,
        msg_id: RequestId | None = None,
    ) -> Future[Any]:
        """Ask the client. The future holds the raw result, or an RpcError. The oldest of too many is given up."""
        self._sent += 1
        request_id = msg_id if msg_id is not None else f"hearth-{self._sent}"
        future: Future[Any] = Future()
        if callback is not None:
            future.add_done_callback(lambda done: callback(done.result()))
        if len(self._pending) >= PENDING_REQUESTS_MAX:
            self._pending.pop(next(iter(self._pending))).cancel()
        self._pending[request_id] = future
        future.add_done_callback(lambda done: self._given_up(request_id, done))
        self._send(self._encode({"id": request_id, "method": method, "params": params}))
        return future

    def _given_up(self, request_id: RequestId, done: Future[Any]) -> None:
        """Nobody waits for the client's answer any more: what it asks the user it may put away."""
        if done.cancelled():
            self.notify(types.CANCEL_REQUEST, types.CancelParams(request_id))

    def _refuse(self, request_id: object, code: int, message: str) -> None:
        """Answer with an error. An id that JSON-RPC does not know is answered as null."""
        if not _is_id(request_id) and not (isinstance(request_id, float) and math.isfinite(request_id)):
            request_id = None
        self._send(self._encode({"id": request_id, "error": {"code": code, "message": message}}))

    def _encode(self, fields: dict[str, Any]) -> bytes:
        message = {"jsonrpc": "2.0", **fields}
        if message.get("params", "") is None:
            del message["params"]
        return json.dumps(
            message, default=self._serialize_message, allow_nan=False, separators=(",", ":")
        ).encode("ascii")  # fmt: skip

    def _send(self, body: bytes) -> None:
        if self._channel is None or (self._ended is not None and self._ended.done()):
            return
        try:
            self._channel.send(frame(body))
        except ConnectionError as error:
            self.end(self._code(), str(error))


def _text_of(body: bytes) -> str:
    """Message text; what is not UTF-8 in it is replaced, so that the request's id can be found."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return body.decode("utf-8", "surrogatepass")  # Some clients write half a surrogate pair as three bytes.
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace")


def _is_id(value: object) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _loads_or_empty(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _short(name: str) -> str:
    return name[:LOGGED_NAME_CHARS_MAX]
