"""What a client cannot provoke from outside: faults inside the server, full pipes, limits of the session."""

import asyncio
import logging
import os
import re
import string
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lsp_client import CAPABILITIES, Client, completion_params, environment, frame, write_settings

from hearth.core.text import Edit, Position, Range
from hearth.engine import Notice
from hearth.lsp import commands, offered, offers, transport
from hearth.lsp import session as session_module
from hearth.lsp.logs import STDERR_BYTES_MAX, FewWarnings
from hearth.lsp.messages import LANGUAGES, MESSAGES, language_of, say
from hearth.lsp.session import NOTICES_MAX, Session

URI = "file:///a.py"

# A server with one more feature, or with an engine that is broken.
SABOTAGED = """
import asyncio, sys, time
import hearth.lsp.server as server
import hearth.lsp.workshop as workshop

async def boom(ls, params):
    raise RuntimeError("/secret/path")

async def unencodable(ls, params):
    return {"x": float("nan")}

async def sleepy(ls, params):
    await asyncio.to_thread(time.sleep, 60)

async def noisy(ls, params):
    print("noise")
    import os
    os.system("echo noise; cat")

def broken_engine(*args, **kwargs):
    raise OSError("no engine today")

server.FEATURES |= {"test/boom": boom, "test/unencodable": unencodable, "test/sleepy": sleepy, "test/noisy": noisy}
if "broken" in sys.argv:
    workshop.open_engine = broken_engine
sys.exit(server.serve())
"""


@pytest.fixture
async def sabotaged(tmp_path: Path) -> AsyncIterator[Any]:
    clients: list[Client] = []

    async def begin(*arguments: str) -> Client:
        write_settings(tmp_path, {"text": "1"})
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SABOTAGED, *arguments, env=environment(tmp_path), cwd=tmp_path,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        clients.append(Client(process))
        await clients[-1].initialize(capabilities=CAPABILITIES)
        return clients[-1]

    yield begin
    for client in clients:
        await client.kill()


@pytest.mark.parametrize("method", ["test/boom", "test/unencodable"])
async def test_a_fault_in_a_handler_is_a_plain_sentence_and_the_log_has_the_traceback(sabotaged, tmp_path, method):
    client = await sabotaged()
    error = (await client.answer(await client.ask(method)))["error"]
    assert error["code"] == -32603
    assert set(error) == {"code", "message"}
    assert method in error["message"]
    assert "secret" not in error["message"]
    await client.notify(method)
    assert client.shown() == []
    assert await client.stop() == 0
    assert "Traceback" in (tmp_path / "data" / "logs" / "serve.log").read_text("utf-8")


async def test_a_print_or_a_child_cannot_disturb_the_stream(sabotaged):
    client = await sabotaged()
    await client.request("test/noisy")
    assert await client.request("hearth/status")
    assert await client.stop() == 0


async def test_a_thread_that_hangs_does_not_keep_the_process(sabotaged):
    client = await sabotaged()
    await client.ask("test/sleepy")
    assert await client.stop() == 0


async def test_without_an_engine_the_editor_is_told_once_and_goes_on(sabotaged):
    client = await sabotaged("broken")
    for name in ("a", "b"):
        await client.open(f"file:///{name}.py", "x = ")
        assert await client.request("textDocument/inlineCompletion", completion_params(URI, 0, 4)) == {"items": []}
    assert await client.command("hearth.toggleCompletion") == {"enabled": False}
    assert "version" in await client.request("hearth/status")
    assert [text for text in client.shown() if "engine" in text] == client.shown()[:1]
    assert await client.stop() == 0


# Channels


async def test_what_a_client_does_not_read_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transport, "OUTGOING_BYTES_MAX", 500_000)
    (input_end, input_writer), (reader, output_end) = os.pipe(), os.pipe()
    channel = transport.StdioChannel(input_end, output_end)
    try:
        for _ in range(4):
            channel.send(b"x" * 100_000)
        with pytest.raises(ConnectionError, match="stopped reading"):
            channel.send(b"x" * 200_000)
    finally:
        os.close(reader)
        await channel.aclose()
        os.close(input_writer)
    assert [chunk async for chunk in channel.chunks()] == []


async def test_a_client_that_closed_its_end_is_noticed():
    (input_end, input_writer), (reader, output_end) = os.pipe(), os.pipe()
    os.close(reader)
    channel = transport.StdioChannel(input_end, output_end)

    async def keep_sending() -> None:
        while True:
            channel.send(b"x")
            await asyncio.sleep(0.01)

    with pytest.raises(ConnectionError, match="closed"):
        await asyncio.wait_for(keep_sending(), 30)
    os.close(input_writer)
    await channel.aclose()


async def test_input_arrives_whole_and_in_order():
    (input_end, input_writer), (reader, output_end) = os.pipe(), os.pipe()
    channel = transport.StdioChannel(input_end, output_end)
    data = b"".join(frame({"n": number, "x": "y" * 5_000}) for number in range(2_000))

    def write() -> None:
        with os.fdopen(input_writer, "wb") as stream:
            stream.write(data)

    writing = asyncio.create_task(asyncio.to_thread(write))
    assert b"".join([chunk async for chunk in channel.chunks()]) == data
    await writing
    channel.send(b"answer")
    await channel.aclose()
    assert os.read(reader, 100) == b"answer"
    os.close(reader)


def test_stdio_is_claimed_for_the_protocol_alone():
    code = (
        "import os; from hearth.lsp.transport import claim_stdio; i, o = claim_stdio();"
        "print('noise', flush=True); os.system('echo child'); os.write(o, os.read(0, 9) + os.read(i, 9))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"in", capture_output=True, check=True)
    assert done.stdout == b"in"
    assert done.stderr.split() == [b"noise", b"child"]


def test_stderr_is_bounded():
    reader, writer = os.pipe()
    handler = FewWarnings(writer)
    for number in range(5_000):
        handler.handle(logging.LogRecord("x", logging.WARNING, "f", 1, "warning\n%d", (number,), None))
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        text = stream.read()
    assert 1_000 < len(text) <= STDERR_BYTES_MAX
    assert text.startswith(b"hearth: warning 0\n")


# Session


def make_session() -> tuple[Session, list[str]]:
    shown: list[str] = []
    return Session(show=lambda _level, text: shown.append(text)), shown


def test_each_notice_is_shown_once_and_not_too_many():
    session, shown = make_session()
    for _ in range(2):
        session.notice(Notice("warning", "No server.", "Start one."))
    assert shown == ["No server. Start one."]
    for number in range(2 * NOTICES_MAX):
        session.notice(Notice("info", f"{number}"))
    assert len(shown) == NOTICES_MAX


def test_too_many_documents_are_not_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_module, "DOCUMENTS_MAX", 2)
    session, _ = make_session()
    for number in range(3):
        session.open(f"file:///{number}", "python", 1, "x")
    assert session.snapshot("file:///1") is not None
    assert session.snapshot("file:///2") is None
    assert "too many" in session.why()
    session.close("file:///0")
    session.open("file:///2", "python", 2, "x")
    assert session.snapshot("file:///2") is not None


def test_the_total_of_open_text_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_module, "TOTAL_CHARS_MAX", 10)
    session, _ = make_session()
    session.open("a", "python", 1, "x" * 8)
    session.open("b", "python", 1, "x" * 8)
    assert session.snapshot("b") is None
    session.change("a", 2, [Edit(None, "x")])
    session.open("b", "python", 1, "x" * 8)
    assert session.snapshot("b") is not None


def test_a_document_that_grows_too_large_is_dropped_and_comes_back_with_its_full_text(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(session_module, "DOCUMENT_CHARS_MAX", 10)
    session, _ = make_session()
    session.open("a", "python", 1, "x" * 8)
    start = Range(Position(0, 0), Position(0, 0))
    session.change("a", 2, [Edit(start, "y" * 8)])
    assert session.snapshot("a") is None
    session.change("a", 3, [Edit(start, "z")])
    assert session.snapshot("a") is None
    session.change("a", 4, [Edit(None, "small")])
    found = session.snapshot("a")
    assert found is not None
    assert (found.text, found.version) == ("small", 4)


def test_a_client_that_does_not_count_versions_is_understood():
    session, _ = make_session()
    session.open("a", "python", 0, "x")
    for _ in range(3):
        session.change("a", None, [Edit(Range(Position(0, 0), Position(0, 0)), "y")])
    found = session.snapshot("a")
    assert found is not None
    assert found.text == "yyyx"


@pytest.mark.parametrize("opening", [True, False])
def test_a_lost_message_about_an_unknown_document_makes_all_careful(opening: bool):
    session, _ = make_session()
    session.open("a", "python", 1, "x")
    session.lost("", opening=opening)
    session.change("a", 3, [Edit(Range(Position(0, 0), Position(0, 0)), "y")])
    assert session.snapshot("a") is None
    session.save("a", "whole")
    found = session.snapshot("a")
    assert found is not None
    assert found.text == "whole"


# Messages


def test_every_message_exists_in_every_language_with_the_same_fields():
    for key, texts in MESSAGES.items():
        assert tuple(texts) == LANGUAGES, key
        fields = {language: {f for _, f, _, _ in string.Formatter().parse(t) if f} for language, t in texts.items()}
        assert len({frozenset(names) for names in fields.values()}) == 1, key
        assert all(re.search(r"\w", text) for text in texts.values())


@pytest.mark.parametrize(
    ("locale", "language"), [("fr", "fr"), ("fr-CA", "fr"), ("es_MX", "es"), ("EN-us", "en"), ("de", "en"), ("", "en")]
)
def test_language_of(locale: str, language: str):
    assert language_of(locale) == language
    assert say("binary", language_of(locale)) == MESSAGES["binary"][language]


def test_what_is_offered_by_name_is_there():
    assert set(offers.LATER) == set(offered.FEATURES)
    assert set(offers.COMMANDS) == set(commands.COMMANDS)
