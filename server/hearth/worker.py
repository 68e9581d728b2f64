"""Supervised child processes that talk in JSON lines, and the helper their own side uses.

Wire: one JSON object per line on the child's stdin and stdout, UTF-8, at most `LINE_BYTES_MAX` with the newline.
    parent -> child   {"id": 7, ...}            a request; without "id" a notification that is not answered
    child -> parent   {"id": 7, ...}            the answer; {"id": 7, "error": "text"} makes `request` raise WorkerError
                      {...} without "id"        the first one of each life is the announcement, later ones go to
                                                `on_message`

A child starts with a clean environment (no keys, no PYTHON* variables), outside the workspace, in its own session, and
dies with its parent: it leaves when stdin ends, and on Linux the kernel kills it when the thread that started it dies.
A child that dies is started again with back-off, at most `restarts_max` times per `RESTART_WINDOW_S`.
Its stderr goes to the log `hearth.worker.<name>` at level DEBUG.
"""

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hearth.errors import WorkerError

LINE_BYTES_MAX = 16 * 1024 * 1024
WRITE_BUFFER_BYTES_MAX = 32 * 1024 * 1024
PENDING_REQUESTS_MAX = 256
STDERR_LINE_BYTES_MAX = 2_000
STDERR_TAIL_LINES_MAX = 20
RESTARTS_MAX = 5
RESTART_WINDOW_S = 300.0
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
EXIT_DRAIN_S = 1.0
CLOSE_WAIT_S = 2.0
TERMINATE_WAIT_S = 1.0
CHILD_EXIT_GRACE_S = 1.0
CHILD_QUEUE_MESSAGES_MAX = 1_024

# fmt: off
ENVIRONMENT_KEPT = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT",
    "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "NUMBER_OF_PROCESSORS", "HEARTH_CONFIG_DIR",
    "HEARTH_DATA_DIR",
})
# fmt: on
ENVIRONMENT_KEPT_PREFIXES = ("LC_", "XDG_")

_PR_SET_PDEATHSIG = 1
_WINDOWS_IDLE_PRIORITY_CLASS = 0x40

Message = dict[str, Any]


def clean_env(extra: Mapping[str, str] | None = None, source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a child: what a program needs to run, no keys, no PYTHON* variables; `extra` on top."""
    kept = {
        key: value
        for key, value in source.items()
        if key.upper() in ENVIRONMENT_KEPT or key.upper().startswith(ENVIRONMENT_KEPT_PREFIXES)
    }
    return {**kept, **(extra or {})}


def python_argv(module: str, *arguments: str) -> list[str]:
    """argv that runs one of our modules: isolated (-I), so neither the cwd nor PYTHONPATH can add code."""
    return [sys.executable, "-I", "-m", module, *arguments]


class _Life(asyncio.SubprocessProtocol):
    """One life of the child: splits its output into lines; `over` gets the exit code when all output was read."""

    def __init__(self, on_line: "Callable[[_Life, bytes], None]", log: logging.Logger) -> None:
        self._on_line = on_line
        self._log = log
        self._out = bytearray()
        self._err = bytearray()
        self.transport: asyncio.SubprocessTransport | None = None
        self.stderr_tail: deque[str] = deque(maxlen=STDERR_TAIL_LINES_MAX)
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[int] = loop.create_future()
        self.announced: asyncio.Future[Message] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self._out += data
            for line in _take_lines(self._out):
                self._on_line(self, line)
            if len(self._out) > LINE_BYTES_MAX:
                self._log.error("a line longer than %d bytes: ending the process", LINE_BYTES_MAX)
                self._out.clear()
                self.kill()
        else:
            self._err += data
            if len(self._err) > STDERR_LINE_BYTES_MAX and b"\n" not in self._err:
                self._err += b"\n"
            for line in _take_lines(self._err):
                self._note(line)

    def process_exited(self) -> None:
        # A grandchild may hold the pipes open: what has not arrived by then is given up.
        asyncio.get_running_loop().call_later(EXIT_DRAIN_S, self.close)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._err:
            self._note(bytes(self._err))
        code = self.transport.get_returncode() if self.transport else None
        self.close()  # whoever waits for the end may be cancelled before it comes to that
        if not self.over.done():
            self.over.set_result(-1 if code is None else code)

    def _note(self, line: bytes) -> None:
        text = line[:STDERR_LINE_BYTES_MAX].decode("utf-8", "replace").rstrip()
        if text:
            self.stderr_tail.append(text)
            self._log.debug("%s", text)

    def close(self) -> None:
        if self.transport:
            self.transport.close()

    def end_input(self) -> None:
        if self.transport and (pipe := self.transport.get_pipe_transport(0)):
            pipe.close()

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.transport:
                self.transport.terminate()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.transport:
                self.transport.kill()

    def write(self, data: bytes) -> bool:
        """False if the child takes no input any more, or takes it too slowly."""
        pipe = self.transport.get_pipe_transport(0) if self.transport else None
        stdin = cast("asyncio.WriteTransport | None", pipe)
        if stdin is None or stdin.is_closing() or stdin.get_write_buffer_size() > WRITE_BUFFER_BYTES_MAX:
            return False
        stdin.write(data)
        return True


def _take_lines(buffer: bytearray) -> list[bytes]:
    """Remove and return the complete lines at the front of `buffer`."""
    end = buffer.rfind(b"\n")
    if end < 0:
        return []
    lines = bytes(buffer[:end]).split(b"\n")
    del buffer[: end + 1]
    return lines


def _parse(line: bytes) -> Message | None:
    try:
        message: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast(Message, message) if isinstance(message, dict) else None


def _number(raw: object) -> int:
    """An id as sent by us, or one that no request has."""
    return raw if isinstance(raw, int) else -1


class Worker:
    """A supervised child process. Use from one event loop; requests may overlap.

    `on_exit(code, restarting)` after each death that `aclose` did not ask for; `on_message(message)` for what the
    child says on its own; `on_announce(message)` for the first message of each life, so that an owner can send its
    state again after a restart. Callbacks run on the loop and must be quick.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        restarts_max: int = RESTARTS_MAX,
        on_exit: Callable[[int, bool], None] | None = None,
        on_message: Callable[[Message], None] | None = None,
        on_announce: Callable[[Message], None] | None = None,
    ) -> None:
        self.name = name
        self._argv = tuple(argv)
        self._env = env
        self._restarts_max = restarts_max
        self._on_exit = on_exit
        self._on_message = on_message
        self._on_announce = on_announce
        self._log = logging.getLogger(f"hearth.worker.{name}")
        self._life: _Life | None = None
        self._last_words = ""
        self._supervisor: asyncio.Task[None] | None = None
        self._pending: dict[int, asyncio.Future[Message]] = {}
        self._next_id = 0
        self._closing = False
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """Process id of the living child, else None."""
        return self._life.transport.get_pid() if self.alive and self._life and self._life.transport else None

    @property
    def alive(self) -> bool:
        return self._life is not None and not self._life.over.done()

    async def start(self) -> None:
        """Start the child (once); WorkerError if the program cannot be run."""
        if self._supervisor is not None or self._closing:
            return
        await self._spawn()
        self._supervisor = asyncio.create_task(self._supervise(), name=f"worker {self.name}")

    async def first_message(self, timeout_s: float) -> Message:
        """The announcement of the present child; WorkerError if it dies first or says nothing in `timeout_s`."""
        life = self._life
        if life is None:
            raise self._gone()
        await asyncio.wait({life.announced, life.over}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if life.over.done():
            raise self._gone()
        if life.announced.done():
            return life.announced.result()
        raise WorkerError(f"{self.name} did not get ready within {timeout_s:g} s")

    async def request(self, message: Message, timeout_s: float) -> Message:
        """Send `message` (an "id" is added) and return the answer without its id; WorkerError if there is none."""
        if len(self._pending) >= PENDING_REQUESTS_MAX:
            raise WorkerError(f"{self.name} has {PENDING_REQUESTS_MAX} requests waiting already")
        self._next_id += 1
        number = self._next_id
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        try:
            self.notify({**message, "id": number})
            async with asyncio.timeout(timeout_s):
                reply = await answer
        except TimeoutError:
            raise WorkerError(f"{self.name} did not answer within {timeout_s:g} s") from None
        finally:
            self._pending.pop(number, None)
        if "error" in reply:
            raise WorkerError(f"{self.name}: {reply['error']}")
        return reply

    def notify(self, message: Message) -> None:
        """Send `message` without waiting for an answer; WorkerError if no child takes it."""
        data = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"
        if len(data) > LINE_BYTES_MAX:
            raise WorkerError(f"a message to {self.name} is larger than {LINE_BYTES_MAX} bytes")
        if not self.alive or self._life is None:
            raise self._gone()
        if not self._life.write(data):
            raise WorkerError(f"{self.name} takes no more input")

    async def aclose(self) -> None:
        """End the child: close its stdin, wait, terminate, kill. Safe to call twice."""
        self._closing = True
        life = self._life
        try:
            if life is not None and not life.over.done():
                await self._end(life)
        finally:
            if self._supervisor is not None:
                self._supervisor.cancel()
                await asyncio.wait({self._supervisor})
            self._fail_pending(WorkerError(f"{self.name} was stopped"))

    async def _end(self, life: _Life) -> None:
        try:
            life.end_input()
            for wait_s, harder in ((CLOSE_WAIT_S, life.terminate), (TERMINATE_WAIT_S, life.kill)):
                done, _ = await asyncio.wait({life.over}, timeout=wait_s)
                if done:
                    return
                harder()
        finally:
            # Also when cancelled: nothing may be left running, and a killed process leaves at once.
            life.kill()
            await asyncio.wait({life.over}, timeout=2 * EXIT_DRAIN_S)
            life.close()

    async def _spawn(self) -> None:
        loop = asyncio.get_running_loop()
        # Its first words may arrive before subprocess_exec returns, so it is the present life from here on.
        life = self._life = _Life(self._received, self._log)
        try:
            await loop.subprocess_exec(
                lambda: life,
                *self._argv,
                env=clean_env(self._env),
                cwd=Path(sys.base_prefix).anchor,
                start_new_session=os.name == "posix",
            )
        except (OSError, ValueError) as error:
            life.over.set_result(-1)
            raise WorkerError(f"{self.name} could not be started: {error}") from error

    async def _supervise(self) -> None:
        deaths: deque[float] = deque()
        while self._life is not None:
            life = self._life
            code = await asyncio.shield(life.over)
            life.close()
            self._last_words = f"exit code {code}" + "".join(f"\n{line}" for line in life.stderr_tail)
            self._fail_pending(self._gone())
            if self._closing:
                return
            now = time.monotonic()
            deaths.append(now)
            while deaths and now - deaths[0] > RESTART_WINDOW_S:
                deaths.popleft()
            again = len(deaths) <= self._restarts_max
            self._log.warning("ended with code %d%s", code, "; starting it again" if again else "; giving up")
            if self._on_exit:
                self._on_exit(code, again)
            if not again:
                return
            await asyncio.sleep(min(BACKOFF_FIRST_S * 2 ** (len(deaths) - 1), BACKOFF_MAX_S))
            self.restarts += 1
            try:
                await self._spawn()
            except WorkerError as error:
                # The program was there before: it is being updated or removed. The next child is the user's to ask for.
                self._last_words = str(error)
                return

    def _received(self, life: _Life, line: bytes) -> None:
        body = _parse(line)
        if body is None:
            self._log.debug("not a message: %s", line[:STDERR_LINE_BYTES_MAX].decode("utf-8", "replace"))
            return
        if "id" in body:
            waiting = self._pending.get(_number(body.pop("id")))
            if waiting is not None and not waiting.done():
                waiting.set_result(body)
        elif not life.announced.done():
            life.announced.set_result(body)
            if self._on_announce:
                self._on_announce(body)
        elif self._on_message:
            self._on_message(body)

    def _fail_pending(self, error: WorkerError) -> None:
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(error)

    def _gone(self) -> WorkerError:
        return WorkerError(f"{self.name} is not running" + (f": {self._last_words}" if self._last_words else ""))


class Child:
    """The child's side: takes over stdin and stdout, watches for the parent's end, lowers the priority.

    `niceness` 0 keeps the priority; 19 is the lowest. After this, anything printed lands on stderr, native code's
    output included, so nothing but messages reaches the parent.
    """

    def __init__(self, *, niceness: int = 0) -> None:
        _die_with_parent()
        _lower_priority(niceness)
        self._in = os.dup(0)
        self._out = os.fdopen(os.dup(1), "wb")
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._messages: queue.Queue[Message | None] = queue.Queue(CHILD_QUEUE_MESSAGES_MAX)
        threading.Thread(target=self._read, name="parent watch", daemon=True).start()

    def send(self, message: Message) -> None:
        """Send one message; the process ends here if the parent is gone. Any thread."""
        data = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            with self._lock:
                self._out.write(data)
                self._out.flush()
        except OSError:
            os._exit(0)

    def put(self, message: Message) -> None:
        """Have `receive` return a message of this process itself, of a thread of it perhaps, in its turn."""
        self._messages.put(message)

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """The parent's next message, None after `timeout_s` (0: do not wait); EOFError once the parent is gone."""
        try:
            message = self._messages.get(block=timeout_s != 0, timeout=timeout_s or None)
        except queue.Empty:
            return None
        if message is None:
            self._messages.put(None)
            raise EOFError("the parent closed the pipe")
        return message

    def _read(self) -> None:
        # Plain reads, not a buffered file: a thread inside one would hold its lock while the interpreter ends.
        buffer = bytearray()
        with contextlib.suppress(OSError):
            while len(buffer) <= LINE_BYTES_MAX and (data := os.read(self._in, 1 << 16)):
                buffer += data
                for line in _take_lines(buffer):
                    message = _parse(line)
                    if message is not None:
                        self._messages.put(message)
        with contextlib.suppress(queue.Full):
            self._messages.put(None, timeout=CHILD_EXIT_GRACE_S)
        # The main thread may be inside native code that never returns: leave for it.
        time.sleep(CHILD_EXIT_GRACE_S)
        os._exit(0)


def child_main(
    handler: Callable[[Message], Message | None],
    *,
    announce: Message | None = None,
    niceness: int = 0,
) -> None:
    """Serve requests one at a time until the parent goes: `handler(message without id) -> answer`.

    An exception that a bad message can cause becomes the request's error; any other ends the process, and the parent
    starts it again.
    """
    child = Child(niceness=niceness)
    child.send({"ready": True} if announce is None else announce)
    with contextlib.suppress(EOFError):
        while (message := child.receive()) is not None:
            answer_with(child, message, handler)


def answer_with(child: Child, message: Message, handler: Callable[[Message], Message | None]) -> None:
    """Let `handler` answer one message, as `child_main` does."""
    number = message.pop("id", None)
    try:
        answer = handler(message) or {}
    except (WorkerError, OSError, ValueError, LookupError, TypeError) as error:
        # A message that does not fit is the sender's fault, not a reason to lose what this process has built.
        answer = {"error": f"{type(error).__name__}: {error}"}
    if number is not None:
        child.send({**answer, "id": number})


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _lower_priority(niceness: int) -> None:
    if niceness <= 0:
        return
    if sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _WINDOWS_IDLE_PRIORITY_CLASS)
    else:
        with contextlib.suppress(OSError):
            os.nice(niceness)
