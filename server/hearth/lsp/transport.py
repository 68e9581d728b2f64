"""Bytes in, bytes out: framing that cannot be knocked over, the stdio and TCP channels, the watch over the parent.

Framing is sans-IO (`FrameReader`). A wrong Content-Length is survived in both directions: raw line breaks cannot occur
inside a JSON string, so a header found inside a body proves that the body was shorter than announced, and whatever
stands in front of a header on its line is skipped.
"""

import asyncio
import contextlib
import logging
import os
import re
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

HEADER_BYTES_MAX = 8 * 1024
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
# How much of a message that is skipped is kept, to find out what it was.
PEEK_BYTES = 4 * 1024
READ_BYTES = 256 * 1024
READ_AHEAD_CHUNKS_MAX = 16
OUTGOING_BYTES_MAX = 32 * 1024 * 1024
FLUSH_WAIT_S = 1.0
PARENT_POLL_S = 2.0

_BLANK_LINE = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"content-length[ \t]*:[ \t]*(\d{1,20})[ \t]*\r?\n", re.IGNORECASE)
# A blank line, and the longest header line with a length that we look for in front of it.
_SEAM_BYTES = 256

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """The body of one message."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """A message over `MESSAGE_BYTES_MAX`, of which only the beginning is known."""

    head: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that belong to no message."""

    size: int


Frame = Message | Skipped | Garbage


class FrameReader:
    """Cuts a byte stream into messages. Memory is bounded by one message and one chunk."""

    def __init__(self, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._max = message_bytes_max
        self._buffer = bytearray()
        self._searched = 0
        self._length: int | None = None  # of the body being read; None: between messages
        self._skipped = -1  # bytes of an oversized body seen so far; -1: not skipping
        self._head = b""

    def feed(self, data: bytes) -> list[Frame]:
        """What is complete now that `data` has arrived."""
        self._buffer += data
        frames: list[Frame] = []
        while self._step(frames):
            pass
        return frames

    def _step(self, frames: list[Frame]) -> bool:
        """Take one header, body or piece of a skipped body off the buffer; False: more bytes are needed."""
        if self._skipped >= 0:
            return self._skip(frames)
        if self._length is None:
            return self._header(frames)
        return self._body(frames)

    def _header(self, frames: list[Frame]) -> bool:
        end = _BLANK_LINE.search(self._buffer, max(0, self._searched - 2))
        if end is None:
            self._searched = len(self._buffer)
            if len(self._buffer) > HEADER_BYTES_MAX:
                frames.append(Garbage(len(self._buffer) - _SEAM_BYTES))
                self._drop(len(self._buffer) - _SEAM_BYTES)
            return False
        header = bytes(self._buffer[: end.end()])
        self._drop(end.end())
        lengths = list(_LENGTH.finditer(header))
        if not lengths:
            frames.append(Garbage(len(header)))
            return True
        # What stands before the last header line is the rest of a message that was longer than it said.
        length = int(lengths[-1].group(1))
        if length > self._max:
            self._length, self._skipped, self._head = length, 0, b""
        else:
            self._length = length
        return True

    def _body(self, frames: list[Frame]) -> bool:
        assert self._length is not None
        cut = self._inner_header(max(0, self._searched - _SEAM_BYTES), self._length + _SEAM_BYTES)
        if cut is not None and cut < self._length:
            # A shorter body than announced; the header behind it stays in the buffer.
            frames.append(Message(bytes(self._buffer[:cut])))
            self._drop(cut)
            self._length = None
            return True
        if len(self._buffer) < self._length:
            self._searched = len(self._buffer)
            return False
        frames.append(Message(bytes(self._buffer[: self._length])))
        self._drop(self._length)
        self._length = None
        return True

    def _skip(self, frames: list[Frame]) -> bool:
        assert self._length is not None
        window = min(self._length - self._skipped, len(self._buffer))
        cut = self._inner_header(0, window)
        done = cut is not None or self._skipped + window >= self._length
        if not done and window <= _SEAM_BYTES:
            return False
        # A header may be split between this piece and the next, so the end of the piece stays.
        taken = cut if cut is not None else (window if done else window - _SEAM_BYTES)
        if len(self._head) < PEEK_BYTES:
            self._head += bytes(self._buffer[: min(taken, PEEK_BYTES - len(self._head))])
        self._skipped += taken
        self._drop(taken)
        if done:
            frames.append(Skipped(self._head, self._length))
            self._length, self._skipped, self._head = None, -1, b""
        return done

    def _inner_header(self, start: int, stop: int) -> int | None:
        """Where a message header begins within the first `stop` bytes, if one does."""
        for blank in _BLANK_LINE.finditer(self._buffer, start, stop):
            line_area = max(0, blank.start() - _SEAM_BYTES)
            found = list(_LENGTH.finditer(self._buffer, line_area, blank.end()))
            if found:
                return found[-1].start()
        return None

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._searched = 0


def frame(body: bytes) -> bytes:
    """A message body with its header."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class Channel(Protocol):
    """Where bytes come from and go to."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Pieces of the incoming stream, until its end."""
        ...

    def send(self, data: bytes) -> None:
        """Queue bytes without waiting. Raises ConnectionError when the client is gone or has stopped reading."""
        ...

    async def aclose(self) -> None:
        """Flush what was queued, at most for `FLUSH_WAIT_S`."""
        ...


class StdioChannel:
    """The process's own stdin and stdout, each served by a thread, so that neither can block the event loop.

    The loop is told of input by the reading thread; the reading thread waits when `READ_AHEAD_CHUNKS_MAX` chunks have
    not been taken yet. The writing thread takes from a queue of at most `OUTGOING_BYTES_MAX`.
    """

    def __init__(self, stdin: int, stdout: int) -> None:
        self._stdin, self._stdout = stdin, stdout
        self._loop = asyncio.get_running_loop()
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self._ahead = threading.Semaphore(READ_AHEAD_CHUNKS_MAX)
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._wake = threading.Condition()
        self._broken = False
        self._closing = False
        threading.Thread(target=self._read, name="lsp-stdin", daemon=True).start()
        self._writer = threading.Thread(target=self._write, name="lsp-stdout", daemon=True)
        self._writer.start()

    async def chunks(self) -> AsyncIterator[bytes]:
        while data := await self._incoming.get():
            self._ahead.release()
            yield data

    def send(self, data: bytes) -> None:
        with self._wake:
            if self._broken:
                raise ConnectionError("the client has closed its end")
            if self._outgoing_bytes + len(data) > OUTGOING_BYTES_MAX:
                raise ConnectionError("the client has stopped reading")
            self._outgoing.append(data)
            self._outgoing_bytes += len(data)
            self._wake.notify()

    async def aclose(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._writer.join, FLUSH_WAIT_S)

    def _read(self) -> None:
        data = b"-"
        while data:
            self._ahead.acquire()
            try:
                data = os.read(self._stdin, READ_BYTES)
            except OSError:
                data = b""
            try:
                self._loop.call_soon_threadsafe(self._incoming.put_nowait, data)
            except RuntimeError:
                return  # The loop is closed: the server is already leaving.

    def _write(self) -> None:
        while True:
            with self._wake:
                while not self._outgoing:
                    if self._closing:
                        return
                    self._wake.wait()
                data = self._outgoing[0]
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(self._stdout, view) :]
            except OSError:
                with self._wake:
                    self._broken = True
                    self._outgoing.clear()
                return
            with self._wake:
                self._outgoing.popleft()
                self._outgoing_bytes -= len(data)


class TcpChannel:
    """One TCP connection, for debugging."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def chunks(self) -> AsyncIterator[bytes]:
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(READ_BYTES):
                yield data

    def send(self, data: bytes) -> None:
        transport = self._writer.transport
        if transport.is_closing():
            raise ConnectionError("the client has closed its end")
        if transport.get_write_buffer_size() + len(data) > OUTGOING_BYTES_MAX:
            raise ConnectionError("the client has stopped reading")
        self._writer.write(data)

    async def aclose(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(FLUSH_WAIT_S):
                await self._writer.drain()
                self._writer.close()
                await self._writer.wait_closed()


def claim_stdio() -> tuple[int, int]:
    """Take stdin and stdout for the protocol alone; returns the descriptors to use.

    Afterwards whatever prints goes to stderr, and neither this process's libraries nor its children can read from or
    write to the stream by accident.
    """
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (0, 1):
            msvcrt.setmode(descriptor, os.O_BINARY)
    sys.stdout.flush()
    stdin, stdout = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(null, 1)  # There is no stderr.
    os.close(null)
    return stdin, stdout


async def parent_gone(pid: int) -> None:
    """Return when the process is gone. On Windows never: there the end of stdin has to do."""
    if sys.platform == "win32":
        await asyncio.Event().wait()
    if sys.platform == "linux":
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError:
            pass  # An old kernel or a sandbox: ask again and again instead.
        else:
            await _readable(descriptor)
            return
    while _alive(pid):
        await asyncio.sleep(PARENT_POLL_S)


async def _readable(descriptor: int) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


async def serve_one(port: int, talk: Callable[[Channel], Awaitable[int]]) -> int:
    """Listen on the loopback interface, talk to the first client that connects, and return what `talk` returns."""
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    taken = False

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        if taken:
            writer.close()
            return
        taken = True
        code = 1
        try:
            code = await talk(TcpChannel(reader, writer))
        finally:
            if not done.done():
                done.set_result(code)

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    host, bound = server.sockets[0].getsockname()[:2]
    log.warning("listening on %s:%d", host, bound)
    async with server:
        return await done
