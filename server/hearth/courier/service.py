"""The courier's process: takes approved requests, carries them out, tells what leaves and what comes back.

Run as `python -I -m hearth.courier.service`.

Messages (see `hearth.worker` for the wire). From the parent:
    {"do": "warm", "id"}                                            load the library; answered when it is ready
    {"do": "ask", "stream", "ask", "key", "deadlines"}              one generation, see records.Ask
    {"do": "fetch", "stream", "origin", "base_url", "path", "key", "deadlines"}     GET one JSON object
    {"do": "go", "stream"}                                          the ledger has the request: it may leave
    {"do": "cancel", "stream"}                                      also where the ledger could not take it
To the parent, {"ready": true} first; then with "stream" each:
    {"sending": {"method", "url", "body", "attempt"}}               nothing is written before the answer is "go"
    {"received": records.Received}                                  after each attempt
    {"text": piece}                                                 of the answer
    {"done": records.Outcome} | {"value": JSON} | {"fault": error}  the last one, exactly one of them

The key comes over this pipe with each request and is kept nowhere else: not in arguments, environment or logs.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from hearth.backends.wire import Value, integer, string
from hearth.courier import library
from hearth.courier.crossing import Crossing, Passage, new_pool, origin_of
from hearth.courier.records import (
    Received,
    Sent,
    ask_from_json,
    deadlines_from_json,
    error_to_json,
    outcome_to_json,
)
from hearth.errors import DeadlineExceeded, HearthError, ProtocolFault, ServerFault
from hearth.worker import Child

STREAMS_MAX = 8
POOLS_MAX = 4
DEADLINE_GRACE_S = 0.1
CLEAN_UP_S = 0.5
STOPPED = "the request was stopped"
INSTALL = 'Install it as Hearth locks it: `uv sync --extra cloud`, or `pip install "hearth[cloud]"`.'

Message = dict[str, Any]
Work = Callable[[int, Message], Awaitable[Message]]


@dataclass(slots=True)
class _Pool:
    """The connections to one origin."""

    client: httpx.AsyncClient
    users: int = 0


class Service:
    """See the module docstring. Everything but the reading of the pipe happens on one event loop."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._permits: dict[int, asyncio.Future[None]] = {}
        self._pools: dict[str, _Pool] = {}
        self._library: Any = None
        self._loading = asyncio.Lock()
        self._gone = asyncio.Event()
        self._warming: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the parent goes."""
        loop = asyncio.get_running_loop()

        def read() -> None:
            try:
                while (message := self._child.receive()) is not None:
                    loop.call_soon_threadsafe(self._take, message)
            except (EOFError, RuntimeError):
                pass
            finally:
                loop.call_soon_threadsafe(self._gone.set)

        threading.Thread(target=read, name="requests", daemon=True).start()
        self._child.send({"ready": True})
        await self._gone.wait()
        for task in self._tasks.values():
            task.cancel()

    def _take(self, message: Message) -> None:
        stream = integer(message.get("stream")) or 0
        match message.get("do"):
            case "warm":
                task = asyncio.create_task(self._warm(message.get("id")))
                self._warming.add(task)
                task.add_done_callback(self._warming.discard)
            case "ask":
                self._begin(stream, self._ask, message)
            case "fetch":
                self._begin(stream, self._fetch, message)
            case "cancel":
                if stream in self._tasks:
                    self._tasks[stream].cancel()
            case "go":
                permit = self._permits.get(stream)
                if permit is not None and not permit.done():
                    permit.set_result(None)
            case _:
                pass

    def _begin(self, stream: int, work: Work, message: Message) -> None:
        if len(self._tasks) >= STREAMS_MAX:
            full = ServerFault(f"more than {STREAMS_MAX} requests to the cloud at once", "Wait until one has ended.")
            self._child.send({"stream": stream, "fault": error_to_json(full)})
            return
        begun: list[bool] = []
        task = asyncio.create_task(self._finish(stream, work, message, begun), name=f"stream {stream}")
        self._tasks[stream] = task

        def ended(_: asyncio.Task[None]) -> None:
            self._tasks.pop(stream, None)
            if not begun:
                self._child.send({"stream": stream, "fault": error_to_json(ServerFault(STOPPED))})

        task.add_done_callback(ended)

    async def _finish(self, stream: int, work: Work, message: Message, begun: list[bool]) -> None:
        """Do the work and send its one last message. `begun` tells that this will be done, even if it is cancelled."""
        begun.append(True)
        last: Message = {"fault": error_to_json(ServerFault(STOPPED))}
        try:
            last = await work(stream, message)
        except HearthError as error:
            last = {"fault": error_to_json(error)}
        except (KeyError, TypeError, ValueError) as error:
            # Its words may hold a part of the prompt.
            kind = type(error).__name__
            last = {
                "fault": error_to_json(ProtocolFault(f"the request cannot be sent ({kind})", "Please report this."))
            }
        finally:
            # Whoever hears the last word may ask anew at once: by then this one must not count any more.
            self._tasks.pop(stream, None)
            self._child.send({"stream": stream, **last})

    async def _warm(self, number: object) -> None:
        try:
            await self._loaded()
        except ServerFault as error:
            self._child.send({"id": number, "fault": error_to_json(error)})
        else:
            self._child.send({"id": number})

    async def _loaded(self) -> Any:
        """The library, loaded by the first who asks. Raises ServerFault."""
        async with self._loading:
            if self._library is None:
                loading = asyncio.create_task(asyncio.to_thread(library.load))
                await asyncio.wait({loading})
                problem = loading.exception()
                if isinstance(problem, ImportError):
                    raise ServerFault("LiteLLM, which the cloud needs, is not installed", INSTALL)
                if problem is not None:
                    raise ServerFault(f"LiteLLM does not start ({type(problem).__name__})", INSTALL)
                rehearsal = asyncio.create_task(library.rehearse(loading.result()))
                # If it fails, so will the first request, and say why.
                await asyncio.wait({rehearsal})
                _ = rehearsal.exception()
                self._library = loading.result()
        return self._library

    @asynccontextmanager
    async def _crossing(self, stream: int, origin: str, base_url: str, message: Message) -> AsyncGenerator[Crossing]:
        """A way across to one origin, its connections kept for the next; the ledger hears of its last attempt."""
        place = origin_of(origin)
        pool = self._pools.setdefault(place, _Pool(new_pool(place)))

        async def told(sent: Sent) -> None:
            permit = self._permits[stream] = asyncio.get_running_loop().create_future()
            sending = {**asdict(sent), "body": sent.body.decode("utf-8")}
            self._child.send({"stream": stream, "sending": sending})
            try:
                await permit
            finally:
                self._permits.pop(stream, None)

        def heard(received: Received) -> None:
            self._child.send({"stream": stream, "received": asdict(received)})

        deadlines = deadlines_from_json(message["deadlines"])
        crossing = Crossing(pool.client, origin, base_url, string(message["key"]), deadlines, told, heard)
        pool.users += 1
        try:
            yield crossing
        finally:
            pool.users -= 1
            crossing.settle()
            await self._close_pools()

    async def _close_pools(self) -> None:
        """Close the connections to those hosts that were not asked for lately, where there are many."""
        idle = [place for place, pool in self._pools.items() if not pool.users]
        for place in idle[: max(0, len(self._pools) - POOLS_MAX)]:
            await self._pools.pop(place).client.aclose()

    async def _ask(self, stream: int, message: Message) -> Message:
        loaded = await self._loaded()
        ask = ask_from_json(message["ask"])
        async with self._crossing(stream, ask.origin, ask.base_url, message) as crossing:
            passage = Passage(crossing, ask, lambda text: self._child.send({"stream": stream, "text": text}))
            pump = asyncio.create_task(library.complete(loaded, ask, passage))
            span = crossing.deadlines.total_s
            try:
                async with asyncio.timeout(span + DEADLINE_GRACE_S):
                    await asyncio.wait({pump})
                    await passage.drain()
            except TimeoutError:
                told = f"{crossing.host} was not done after {span:g} s"
                passage.fault = passage.fault or DeadlineExceeded(told, "Choose a faster model.")
            finally:
                await _end(pump)
                if pump.done():
                    await passage.release()
        if passage.fault is not None:
            raise passage.fault
        if passage.outcome is None:
            # It never came to a request: what the library says of it may quote the prompt, so only its kind is told.
            kind = type(pump.exception()).__name__ if pump.done() and not pump.cancelled() else "nothing"
            raise ProtocolFault(f"the request could not be built ({kind})", "Choose another model.")
        return {"done": outcome_to_json(passage.outcome)}

    async def _fetch(self, stream: int, message: Message) -> Message:
        origin, base_url = string(message["origin"]), string(message["base_url"])
        async with self._crossing(stream, origin, base_url, message) as crossing:
            value: Value = await crossing.json(string(message["path"]))
        return {"value": value}


async def _end(pump: "asyncio.Task[None]") -> None:
    """See to it that the library lets go of the answer; its last words are of no interest."""
    if not pump.done():
        pump.cancel()
        await asyncio.wait({pump}, timeout=CLEAN_UP_S)
    if pump.done() and not pump.cancelled():
        _ = pump.exception()


def main() -> None:
    """Be the courier until the parent goes."""
    child = Child()
    library.prepare()

    async def serve() -> None:
        await Service(child).run()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
