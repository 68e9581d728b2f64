"""Supervised child processes, with real ones: Python children that run `worker.Child` or misbehave on purpose."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from hearth import worker
from hearth.errors import WorkerError
from hearth.worker import Worker, clean_env, python_argv

WAIT_S = 30.0

SERVICE = """
import ctypes, os, sys, time
from hearth.worker import child_main

def handler(message):
    match message["do"]:
        case "echo":
            return {"said": message["say"]}
        case "sleep":
            time.sleep(message["s"])
        case "die":
            os._exit(3)
        case "raise":
            raise ValueError("no such thing")
        case "crash":
            raise RuntimeError("a bug in the child")
        case "print":
            print("plain text on stdout")
            os.write(1, b"native text on stdout\\n")
            ctypes.CDLL(None).puts(b"C text on stdout")
        case "where":
            return {"cwd": os.getcwd(), "env": dict(os.environ), "nice": os.nice(0), "path": sys.path}

child_main(handler, announce={"ready": True, "port": 1234}, niceness=5)
"""


def child(source: str) -> list[str]:
    return [sys.executable, "-I", "-c", source]


@asynccontextmanager
async def running(source: str, **options: Any) -> AsyncIterator[Worker]:
    one = Worker("test child", child(source), **options)
    try:
        await one.start()
        yield one
    finally:
        await one.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_announcement_and_answers() -> None:
    async with running(SERVICE) as one:
        assert await one.first_message(WAIT_S) == {"ready": True, "port": 1234}
        assert await one.request({"do": "echo", "say": "é\u2028\n😀"}, WAIT_S) == {"said": "é\u2028\n😀"}
        answers = await asyncio.gather(*(one.request({"do": "echo", "say": n}, WAIT_S) for n in range(50)))
        assert [a["said"] for a in answers] == list(range(50))


async def test_an_error_in_the_handler_fails_one_request_only() -> None:
    async with running(SERVICE) as one:
        for bad in ({"do": "raise"}, {"do": "echo"}, {}):
            with pytest.raises(WorkerError):
                await one.request(bad, WAIT_S)
        assert await one.request({"do": "echo", "say": 1}, WAIT_S) == {"said": 1}
        assert one.restarts == 0


async def test_output_of_native_code_never_reaches_the_protocol(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "hearth.worker"):
        async with running(SERVICE) as one:
            assert await one.request({"do": "print"}, WAIT_S) == {}
            assert await one.request({"do": "echo", "say": 2}, WAIT_S) == {"said": 2}
    assert "native text on stdout" in caplog.text
    assert "not a message" not in caplog.text


async def test_a_late_answer_is_a_worker_error_and_harms_nothing() -> None:
    async with running(SERVICE) as one:
        await one.first_message(WAIT_S)
        with pytest.raises(WorkerError, match="did not answer"):
            await one.request({"do": "sleep", "s": 0.3}, 0.01)
        assert await one.request({"do": "echo", "say": "after"}, WAIT_S) == {"said": "after"}


async def test_death_fails_pending_requests_and_a_new_child_answers() -> None:
    exits: list[tuple[int, bool]] = []
    announced: list[Any] = []
    async with running(SERVICE, on_exit=lambda c, again: exits.append((c, again)), on_announce=announced.append) as one:
        await one.first_message(WAIT_S)
        first = one.pid
        pending = asyncio.create_task(one.request({"do": "sleep", "s": WAIT_S}, WAIT_S))
        await asyncio.sleep(0.05)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        with pytest.raises(WorkerError, match="exit code -9"):
            await pending
        await until(lambda: len(announced) == 2)
        assert one.pid not in (None, first)
        assert await one.request({"do": "echo", "say": "again"}, WAIT_S) == {"said": "again"}
        assert exits == [(-9, True)]
        assert one.restarts == 1


async def test_a_child_that_keeps_dying_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BACKOFF_FIRST_S", 0.001)
    exits: list[tuple[int, bool]] = []
    source = "import sys; print('cannot load the library', file=sys.stderr); sys.exit(7)"
    async with running(source, restarts_max=2, on_exit=lambda c, again: exits.append((c, again))) as one:
        with pytest.raises(WorkerError):
            await one.first_message(WAIT_S)
        await until(lambda: len(exits) == 3)
        assert exits == [(7, True), (7, True), (7, False)]
        with pytest.raises(WorkerError, match=r"(?s)exit code 7.*cannot load the library"):
            await one.request({"do": "echo"}, WAIT_S)
        assert one.pid is None


async def test_a_program_that_is_not_there() -> None:
    one = Worker("missing", ["/nonexistent/program"])
    with pytest.raises(WorkerError, match="could not be started"):
        await one.start()
    with pytest.raises(WorkerError, match="not running"):
        await one.request({}, WAIT_S)
    await one.aclose()


async def test_no_announcement_in_time() -> None:
    async with running("import sys; sys.stdin.read()") as one:
        with pytest.raises(WorkerError, match="did not get ready"):
            await one.first_message(0.01)


async def test_garbage_and_unasked_lines_are_skipped() -> None:
    source = r"""
import sys
print("not json\n[1,2]\n" + "[" * 100000, flush=True)
print('{"ready":true}\n{"id":99,"x":1}\n{"id":[],"x":1}\n{"progress":5}\n', flush=True)
for line in sys.stdin:
    print('{"id":1,"ok":true}', flush=True)
"""
    said: list[Any] = []
    async with running(source, on_message=said.append) as one:
        assert await one.first_message(WAIT_S) == {"ready": True}
        assert await one.request({}, WAIT_S) == {"ok": True}
        assert said == [{"progress": 5}]


async def test_an_endless_line_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "LINE_BYTES_MAX", 100_000)
    exits: list[int] = []
    source = "import os\nwhile True: os.write(1, b'x' * 65536)"
    async with running(source, restarts_max=0, on_exit=lambda code, _again: exits.append(code)):
        await until(lambda: exits == [-9])


async def test_a_message_over_the_limit_is_refused_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(SERVICE) as one:
        monkeypatch.setattr(worker, "LINE_BYTES_MAX", 1_000)
        with pytest.raises(WorkerError, match="larger than"):
            await one.request({"do": "echo", "say": "x" * 1_000}, WAIT_S)
        assert await one.request({"do": "echo", "say": "x"}, WAIT_S) == {"said": "x"}


async def test_a_child_that_reads_nothing_cannot_fill_our_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "WRITE_BUFFER_BYTES_MAX", 200_000)
    monkeypatch.setattr(worker, "CLOSE_WAIT_S", 0.05)
    async with running("import time\nwhile True: time.sleep(1)") as one:
        for _ in range(3):
            one.notify({"say": "x" * 100_000})
        with pytest.raises(WorkerError, match="takes no more input"):
            one.notify({"say": "x" * 100_000})


async def test_too_many_waiting_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PENDING_REQUESTS_MAX", 2)
    async with running("import sys; sys.stdin.read()") as one:
        waiting = [asyncio.create_task(one.request({}, WAIT_S)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(WorkerError, match="2 requests waiting"):
            await one.request({}, WAIT_S)
        await one.aclose()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(o) for o in outcomes] == [WorkerError, WorkerError]


@pytest.mark.parametrize(
    "stubborn",
    [
        "import sys; sys.stdin.read()",
        "import time\ntime.sleep(1000)",
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('{}', flush=True)\ntime.sleep(1000)",
        "import subprocess, sys\nsubprocess.Popen(['sleep', '5'])\nprint('{}', flush=True)",
    ],
    ids=["leaves at EOF", "ignores EOF", "ignores EOF and SIGTERM", "leaves a grandchild on the pipes"],
)
async def test_close_leaves_no_process(stubborn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLOSE_WAIT_S", "TERMINATE_WAIT_S", "EXIT_DRAIN_S"):
        monkeypatch.setattr(worker, name, 0.1)
    async with running(stubborn, restarts_max=0) as one:
        pid = one.pid
        assert pid is not None
        if "{}" in stubborn:
            await one.first_message(WAIT_S)
    assert not psutil.pid_exists(pid)
    await one.aclose()


async def test_cancelling_the_close_still_kills() -> None:
    async with running("import time\ntime.sleep(1000)") as one:
        pid = one.pid
        assert pid is not None
        closing = asyncio.create_task(one.aclose())
        await asyncio.sleep(0.05)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await until(lambda: not psutil.pid_exists(pid))


PARENT = """
import asyncio, sys
from hearth.worker import Worker
SOURCE = '''
import time
from hearth.worker import child_main
child_main(lambda message: time.sleep(1000))
'''
async def main():
    one = Worker("orphan", [sys.executable, "-I", "-c", SOURCE])
    await one.start()
    await one.first_message(30)
    one.notify({"do": "block"})
    print(one.pid, flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


async def test_a_busy_child_dies_with_a_killed_parent() -> None:
    parent = subprocess.Popen(  # noqa: ASYNC220
        child(PARENT), stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        pid = int(parent.stdout.readline())
        orphan = psutil.Process(pid)
        parent.kill()
    await until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)


async def test_a_busy_child_leaves_when_its_input_ends() -> None:
    """The way out where the kernel has no parent-death signal."""
    source = "import time\nfrom hearth.worker import child_main\nchild_main(lambda message: time.sleep(1000))"
    alone = subprocess.Popen(  # noqa: ASYNC220
        child(source), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert alone.stdin is not None
    assert alone.stdout is not None
    with alone, alone.stdout:
        assert b"ready" in alone.stdout.readline()
        alone.stdin.write(b'{"id":1}\n')
        alone.stdin.close()
        assert await asyncio.to_thread(alone.wait, WAIT_S) == 0


async def test_a_child_sees_no_keys_and_no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-canary")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    async with running(SERVICE, env={"EXTRA": "1"}) as one:
        seen = await one.request({"do": "where"}, WAIT_S)
    assert "sk-canary" not in str(seen)
    assert "PYTHONPATH" not in seen["env"]
    assert seen["env"]["EXTRA"] == "1"
    assert seen["env"]["PATH"] == os.environ["PATH"]
    assert not Path(seen["cwd"]).is_relative_to(tmp_path)
    assert str(tmp_path) not in seen["path"]
    assert seen["nice"] >= 5


def test_clean_env_keeps_by_name() -> None:
    given = {"PATH": "p", "LC_ALL": "C", "Path": "q", "AWS_SECRET_ACCESS_KEY": "s", "PYTHONSTARTUP": "x"}
    assert clean_env({"A": "1"}, given) == {"PATH": "p", "LC_ALL": "C", "Path": "q", "A": "1"}


def test_python_argv_is_isolated() -> None:
    assert python_argv("hearth.index.copy_service", "x") == [
        sys.executable,
        "-I",
        "-m",
        "hearth.index.copy_service",
        "x",
    ]
