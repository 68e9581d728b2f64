"""The serving side's handle on the courier: starts it for the first approved request, ends it when it has been idle.

Nothing here contacts anybody. What the courier is about to write comes back first, byte for byte, and waits for the
ledger; without its word nothing is sent.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass, field
from typing import Any

from hearth.backends.base import Delta
from hearth.backends.http import Deadlines
from hearth.backends.wire import Value, string, table
from hearth.courier.records import (
    CLOUD_DEADLINES,
    Ask,
    OnRequest,
    OnResponse,
    Outcome,
    Received,
    Sent,
    ask_to_json,
    error_from_json,
    error_to_json,
    outcome_from_json,
    received_from_json,
)
from hearth.errors import DeadlineExceeded, HearthError, ServerFault, WorkerError
from hearth.worker import Worker, python_argv

IDLE_S = 300.0
"""A courier that carried nothing for so long is ended: it holds some 200 MB."""
START_S = 60.0
READY_S = 10.0
GRACE_S = 0.2
"""How much longer than the total deadline the courier is given to say how a request ended."""
CANCEL_WAIT_S = 0.5

Message = dict[str, Any]


@dataclass(slots=True)
class _Stream:
    """A request under way, and what the courier says of it."""

    number: int
    worker: Worker
    total_s: float
    messages: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue["Message"])
    over: bool = False
    leaving: int = 0
    """The attempt that may have left, as long as nothing was heard of it."""


class Courier:
    """Use from one event loop; requests may overlap. No process runs until one is asked for."""

    def __init__(self, *, deadlines: Deadlines = CLOUD_DEADLINES, idle_s: float = IDLE_S) -> None:
        self._deadlines = deadlines
        self._idle_s = idle_s
        self._worker: Worker | None = None
        self._starting = asyncio.Lock()
        self._warm = False
        self._streams: dict[int, _Stream] = {}
        self._numbers = itertools.count(1)
        self._timer: asyncio.TimerHandle | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The courier's process, None while there is none."""
        return self._worker.pid if self._worker else None

    async def warm(self) -> None:
        """Start the courier and let it load what it needs, which takes seconds. Raises BackendError."""
        try:
            worker = await self._started()
            if not self._warm:
                answer = await worker.request({"do": "warm"}, START_S)
                if "fault" in answer:
                    raise error_from_json(table(answer["fault"]))
                self._warm = True
        except WorkerError as error:
            raise ServerFault(error.message, "Run `hearth doctor`; the local model answers meanwhile.") from error
        finally:
            self._rest()

    async def generate(
        self,
        ask: Ask,
        key: str,
        on_request: OnRequest,
        on_response: OnResponse,
        deadlines: Deadlines | None = None,
    ) -> AsyncGenerator[Delta | Outcome]:
        """Deltas, then exactly one Outcome; or one HearthError. Closing it ends the request.

        Raises BackendError, EgressDenied where the address is not the approved one, and what `on_request` raises. The
        deadlines, the courier's own if none are given, count from when the courier is ready.
        """
        await self.warm()
        message = {"do": "ask", "ask": ask_to_json(ask), "key": key}
        limits = deadlines or self._deadlines
        async with contextlib.aclosing(self._run(message, limits, on_request, on_response)) as messages:
            async for said in messages:
                if "text" in said:
                    yield Delta(string(said["text"]))
                else:
                    yield outcome_from_json(table(said["done"]))

    async def fetch(
        self, origin: str, base_url: str, path: str, key: str, on_request: OnRequest, on_response: OnResponse
    ) -> Value:
        """The JSON object at `base_url + path`: the catalogue, the key's state. Raises like `generate`."""
        message = {"do": "fetch", "origin": origin, "base_url": base_url, "path": path, "key": key}
        async with contextlib.aclosing(self._run(message, self._deadlines, on_request, on_response)) as messages:
            async for said in messages:
                return table(said.get("value"))
        raise ServerFault("the courier said nothing", "Try again.")

    async def aclose(self) -> None:
        """End the courier and whatever it carries."""
        self._closed = True
        self._stop_timer()
        worker, self._worker = self._worker, None
        if worker is not None:
            self._lost(worker)
            await worker.aclose()
        await asyncio.gather(*self._endings)

    async def _run(
        self, message: Message, deadlines: Deadlines, on_request: OnRequest, on_response: OnResponse
    ) -> AsyncGenerator[Message]:
        """Begin a request, see it through the ledger, hand on texts and the last message."""
        worker = await self._started()
        stream = _Stream(next(self._numbers), worker, deadlines.total_s)
        self._streams[stream.number] = stream
        self._stop_timer()
        ends_at = asyncio.get_running_loop().time() + deadlines.total_s + GRACE_S
        try:
            _say(stream, {**message, "deadlines": asdict(deadlines)})
            while True:
                said = await self._next(stream, ends_at)
                if "sending" in said:
                    within_s = min(deadlines.connect_s, ends_at - asyncio.get_running_loop().time())
                    await _permit(stream, table(said["sending"]), on_request, within_s)
                elif "received" in said:
                    await _hear(stream, said, on_response)
                elif "fault" in said:
                    raise error_from_json(table(said["fault"]))
                else:
                    yield said
                    if "text" not in said:
                        return
        finally:
            await self._let_go(stream, on_response)

    async def _next(self, stream: _Stream, ends_at: float) -> Message:
        try:
            async with asyncio.timeout_at(ends_at):
                said = await stream.messages.get()
        except TimeoutError:
            told = f"the cloud was not done after {stream.total_s:g} s"
            raise DeadlineExceeded(told, "Choose a faster model.") from None
        stream.over = any(last in said for last in ("done", "value", "fault"))
        return said

    async def _let_go(self, stream: _Stream, on_response: OnResponse) -> None:
        """Break the request off if it still runs, and hear how its last attempt went."""
        try:
            if not stream.over:
                with contextlib.suppress(HearthError):
                    _say(stream, {"do": "cancel"})
                    await self._last_words(stream, on_response)
            if stream.leaving:
                await on_response(Received(stream.leaving, 0, 0, ""))
        finally:
            self._streams.pop(stream.number, None)
            self._rest()

    async def _last_words(self, stream: _Stream, on_response: OnResponse) -> None:
        ends_at = asyncio.get_running_loop().time() + CANCEL_WAIT_S
        while not stream.over:
            said = await self._next(stream, ends_at)
            if "received" in said:
                await _hear(stream, said, on_response)

    async def _started(self) -> Worker:
        """The courier, started if there is none. Raises BackendError."""
        async with self._starting:
            if self._closed:
                raise ServerFault("Hearth is being closed", "Nothing to do.")
            self._stop_timer()
            if self._worker is not None and self._worker.alive:
                return self._worker
            worker = Worker(
                "courier",
                python_argv("hearth.courier.service"),
                restarts_max=0,
                on_message=self._heard,
                on_exit=lambda _code, _again: self._lost(worker),
            )
            try:
                await worker.start()
                await worker.first_message(READY_S)
            except WorkerError as error:
                await worker.aclose()
                raise ServerFault(error.message, "Run `hearth doctor`; the local model answers meanwhile.") from error
            self._worker, self._warm = worker, False
            return worker

    def _heard(self, message: Message) -> None:
        stream = self._streams.get(message.get("stream", 0))
        if stream is not None:
            stream.messages.put_nowait(message)

    def _lost(self, worker: Worker) -> None:
        """The courier is gone, and with it every request: none of them can be known to be whole."""
        fault = error_to_json(ServerFault("the courier stopped before the answer was whole", "Try again."))
        from_it = [stream for stream in self._streams.values() if stream.worker is worker]
        for stream in from_it:
            stream.messages.put_nowait({"fault": fault})
        if self._worker is worker:
            self._worker, self._warm = None, False

    def _rest(self) -> None:
        """Begin to wait for the end, if nothing is under way."""
        self._stop_timer()
        if not self._streams and self._worker is not None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(self._idle_s, self._end)

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            task = asyncio.create_task(worker.aclose(), name="end the courier")
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _permit(stream: _Stream, raw: Value, on_request: OnRequest, within_s: float) -> None:
    """Let the ledger have the request; only then it may be sent."""
    sent = Sent(raw["method"], raw["url"], string(raw["body"]).encode("utf-8"), raw["attempt"])
    try:
        async with asyncio.timeout(within_s):
            await on_request(sent)
    except TimeoutError:
        told = f"the request could not be recorded within {within_s:.1f} s, so it was not sent"
        raise DeadlineExceeded(told, "Look whether the disk is busy; the local model answers meanwhile.") from None
    stream.leaving = sent.attempt
    _say(stream, {"do": "go"})


async def _hear(stream: _Stream, said: Message, on_response: OnResponse) -> None:
    stream.leaving = 0
    await on_response(received_from_json(table(said["received"])))


def _say(stream: _Stream, message: Message) -> None:
    try:
        stream.worker.notify({**message, "stream": stream.number})
    except WorkerError as error:
        raise ServerFault(error.message, "Try again, or use the local model.") from error
