"""A real server process and a real client: its life, its answers, its features."""

import asyncio
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from lsp_client import CAPABILITIES, Client, ServerError, completion_params, environment, frame, span, start
from lsp_client import write_settings as write

from hearth.backends.scripted import take_apart
from hearth.core.dialect import DIALECTS

URI = "file:///work/a.py"
CURSOR = "█"
# One rule that never ends, and the file whose continuation is suggested.
HANGING = {"rules": [{"fault": "hang"}]}
FINISHED = "def add(a, b):\n    return a + b\n"


def prompts(home: Path) -> list[dict[str, Any]]:
    log = home / "prompts.log"
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []


async def until_logged(home: Path, event: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while not (found := [line for line in prompts(home) if line["event"] == event]):
            await asyncio.sleep(0.01)
    return found[-1]


async def exit_code(process: asyncio.subprocess.Process) -> int:
    """As `wait`, which would also wait for the end of pipes that nobody reads."""
    async with asyncio.timeout(30):
        while process.returncode is None:
            await asyncio.sleep(0.01)
    return process.returncode


# Life


async def test_initialize_says_what_the_server_can_do(server):
    client = await server(initialize=False)
    reply = await client.initialize()
    capabilities = reply["capabilities"]
    assert capabilities["positionEncoding"] == "utf-16"
    assert capabilities["textDocumentSync"] == {"openClose": True, "change": 2, "save": {"includeText": True}}
    assert capabilities["inlineCompletionProvider"] == {}
    commands = {
        *(
            "status",
            "whyNoSuggestion",
            "toggleCompletion",
            "stop",
            "reindex",
            "completionAccepted",
            "showEgress",
            "revokeConsent",
        ),
        *("explain", "refactor", "fix", "test", "document", "ask", "reply", "retry", "apply", "copy", "keep"),
        *("undoLastChange", "conversations", "exportConversation", "deleteConversation", "selectModel"),
    }
    assert set(capabilities["executeCommandProvider"]["commands"]) >= {f"hearth.{name}" for name in commands}
    assert capabilities["codeActionProvider"]["resolveProvider"] is True
    assert capabilities["codeLensProvider"] == {}
    await client.until(lambda: client.calls, "textDocumentContent is registered")
    (registration,) = client.calls[0]["params"]["registrations"]
    assert registration["method"] == "workspace/textDocumentContent"
    assert registration["registerOptions"] == {"schemes": ["hearth"]}
    assert await client.stop() == 0


async def test_initialize_survives_capabilities_it_does_not_know(server):
    client = await server(initialize=False)
    odd = {**CAPABILITIES, "textDocument": {"completion": {"completionItemKind": {"valueSet": [999, "new"]}}}, "x": 1}
    await client.initialize(capabilities=odd, locale=7, workspaceFolders="no", clientInfo=None, trace="loud")
    assert await client.stop() == 0


async def test_a_second_initialize_is_refused_and_documents_stay(server, tmp_path):
    client = await server({"text": "x", "log": "prompts.log"})
    await client.open(URI, "spam = ")
    with pytest.raises(ServerError) as error:
        await client.request("initialize", {"processId": None, "capabilities": {}})
    assert error.value.code == -32600
    await client.complete(URI, 0, 7)
    assert "spam = " in (await until_logged(tmp_path, "start"))["prompt"]


async def test_requests_before_initialize_and_after_shutdown(server):
    client = await server(initialize=False)
    for method in ("textDocument/inlineCompletion", "no/such", "shutdown"):
        with pytest.raises(ServerError) as error:
            await client.request(method, {})
        assert error.value.code == -32002
    await client.open(URI, "ignored before initialize")
    await client.initialize()
    await client.request("shutdown")
    for method in ("textDocument/inlineCompletion", "initialize", "shutdown", "no/such"):
        with pytest.raises(ServerError) as error:
            await client.request(method, {})
        assert error.value.code == -32600
    await client.notify("exit")
    assert await client.ended() == 0


@pytest.mark.parametrize("initialize", [True, False])
async def test_exit_without_shutdown_is_a_failure(server, initialize):
    client = await server(initialize=initialize)
    await client.notify("exit")
    assert await client.ended() == 1


@pytest.mark.parametrize("shut", [True, False])
async def test_the_end_of_stdin_ends_the_server_even_while_a_request_runs(server, tmp_path, shut):
    client = await server({**HANGING, "log": "prompts.log"})
    if shut:
        await client.request("shutdown")
    else:
        await client.open(URI, "a = ")
        await client.ask("textDocument/inlineCompletion", completion_params(URI, 0, 4))
        await until_logged(tmp_path, "start")
    client.process.stdin.close()
    assert await asyncio.wait_for(client.process.wait(), 30) == (0 if shut else 1)
    client.asked.clear()


async def test_the_server_leaves_when_its_parent_is_gone(server):
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    client = await server(processId=parent.pid)
    await client.open(URI, "x")
    assert client.process.returncode is None
    parent.kill()
    await parent.wait()
    assert await client.ended() == 1


async def test_a_parent_that_is_gone_already(server):
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await parent.wait()
    client = await server(initialize=False)
    await client.ask("initialize", {"processId": parent.pid, "capabilities": {}})
    assert await client.ended() == 1


async def test_a_client_that_stops_reading_does_not_stop_the_server(tmp_path):
    write(tmp_path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hearth", "serve", env=environment(tmp_path),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    process._transport.get_pipe_transport(1).pause_reading()
    process.stdin.write(frame({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}))
    # The answers are far more than a pipe holds, so a server that writes on its event loop would stop here.
    long = "x" * 100
    for number in range(4_000):
        process.stdin.write(frame({"jsonrpc": "2.0", "id": f"{long}{number}", "method": "no/such"}))
    await process.stdin.drain()
    process.stdin.write(frame({"jsonrpc": "2.0", "id": 3, "method": "shutdown"}))
    process.stdin.write(frame({"jsonrpc": "2.0", "method": "exit"}))
    await process.stdin.drain()
    assert await exit_code(process) == 0
    process._transport.close()


async def test_tcp(tmp_path):
    write(tmp_path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hearth", "serve", "--tcp", "0", env=environment(tmp_path),
        stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(line.rpartition(":")[2]))
    for number, method in enumerate(("initialize", "shutdown", "exit")):
        message = {"jsonrpc": "2.0", "method": method, "params": {"capabilities": {}}}
        writer.write(frame(message if method == "exit" else {**message, "id": number}))
    text = (await asyncio.wait_for(reader.read(), 30)).decode()
    assert '"id":0,"result":{"capabilities"' in text
    assert '"id":1,"result":null' in text
    assert await asyncio.wait_for(process.wait(), 30) == 0
    writer.close()
    await writer.wait_closed()
    process._transport.close()


# Requests that are wrong


WRONG: list[tuple[dict[str, Any], int]] = [
        ({"jsonrpc": "2.0", "id": "x", "method": "no/such"}, -32601),
        ({"jsonrpc": "2.0", "id": "x", "method": "$/no/such", "params": {}}, -32601),
        ({"id": "x", "method": "hearth/status"}, -32600),
        ({"jsonrpc": "1.0", "id": "x", "method": "hearth/status"}, -32600),
        ({"jsonrpc": "2.0", "id": "x"}, -32600),
        ({"jsonrpc": "2.0", "id": "x", "method": 5}, -32600),
        ({"jsonrpc": "2.0", "id": "x", "method": "hearth/status", "params": 5}, -32602),
        ({"jsonrpc": "2.0", "id": "x", "method": "textDocument/inlineCompletion"}, -32602),
        ({"jsonrpc": "2.0", "id": "x", "method": "textDocument/inlineCompletion", "params": []}, -32602),
        (
            {"jsonrpc": "2.0", "id": "x", "method": "textDocument/inlineCompletion",
             "params": {"textDocument": {"uri": URI}, "position": {"line": "1", "character": True}}},
            -32602,
        ),
        ({"jsonrpc": "2.0", "id": "x", "method": "workspace/executeCommand", "params": {"command": "no"}}, -32602),
        ({"jsonrpc": "2.0", "id": "x", "method": "workspace/executeCommand",
          "params": {"command": "hearth.completionAccepted", "arguments": [{"jsonrpc": "2.0"}]}}, -32602),
    ]  # fmt: skip


async def test_wrong_requests_get_the_right_error(server):
    client = await server()
    for number, (message, code) in enumerate(WRONG):
        for batch in (False, True):
            request = {**message, "id": f"{number} {batch}"}
            client.asked.add(request["id"])
            await client.raw(frame([{"jsonrpc": "2.0", "method": "$/x"}, request] if batch else request))
            error = (await client.answer(request["id"]))["error"]
            assert error["code"] == code, message
            assert set(error) == {"code", "message"}
            assert "Traceback" not in error["message"]


NO_ID: list[tuple[bytes, int]] = [
    (b"{", -32700),
    (b"", -32700),
    (b"\xff\xfe", -32700),
    (b'{"jsonrpc":"2.0","id":NaN,"method":"x"}', -32700),
    (b"[" * 100_000, -32700),
    (b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"x"}', -32700),
    (b"[]", -32600),
    (b"5", -32600),
    (b"null", -32600),
    (b'{"jsonrpc":"2.0","id":null,"method":"hearth/status"}', -32600),
    (b'{"jsonrpc":"2.0","id":[1],"method":"hearth/status"}', -32600),
    (b'{"jsonrpc":"2.0","id":true,"method":"hearth/status"}', -32600),
    (b'{"jsonrpc":"2.0","id":1e999,"method":"hearth/status"}', -32600),
    (b'{"foo":1}', -32600),
]


async def test_what_has_no_usable_id_is_answered_with_null(server):
    client = await server()
    for number, (body, code) in enumerate(NO_ID):
        await client.raw(frame(body))
        await client.until(lambda: len(client.null_errors) > number, "an error for null")  # noqa: B023
        assert client.null_errors[-1]["code"] == code, body[:50]
    assert await client.stop() == 0


async def test_an_invalid_byte_does_not_cost_the_answer(server):
    client = await server()
    client.asked.add("é")
    await client.raw(frame('{"jsonrpc":"2.0","id":"é","method":"no/'.encode() + b'\xff\xed\xa0\x80"}'))
    assert (await client.answer("é"))["error"]["code"] == -32601


async def test_an_object_inside_may_have_a_key_jsonrpc(server):
    client = await server()
    nested = {"jsonrpc": "2.0", "id": 9, "method": "exit"}
    params = {**completion_params(URI, 0, 0), "context": {"triggerKind": 1, "jsonrpc": "2.0"}, "extra": nested}
    assert await client.request("textDocument/inlineCompletion", params) == {"items": []}
    assert await client.request("hearth/status", {"jsonrpc": "2.0", "error": nested})


async def test_an_id_that_is_still_in_use_is_refused(server, tmp_path):
    client = await server({**HANGING, "log": "prompts.log"})
    await client.open(URI, "a = ")
    await client.ask("textDocument/inlineCompletion", completion_params(URI, 0, 4), request_id="same")
    await until_logged(tmp_path, "start")
    await client.raw(frame({"jsonrpc": "2.0", "id": "same", "method": "hearth/status"}))
    assert (await client.answer("same"))["error"]["code"] == -32600
    del client.answers["same"]
    await client.notify("$/cancelRequest", {"id": "same"})
    assert (await client.answer("same"))["error"]["code"] == -32800


async def test_an_oversized_request_is_answered_and_the_next_one_works(server):
    client = await server()
    client.asked.add("big")
    body = b'{"jsonrpc":"2.0","id":"big","method":"hearth/status","params":{"x":"' + b"x" * (65 << 20) + b'"}}'
    await client.raw(frame(body))
    assert (await client.answer("big"))["error"]["code"] == -32600
    assert await client.request("hearth/status")


async def test_an_impossible_length_does_not_end_the_server(server):
    client = await server()
    await client.raw(b"Content-Length: 1000000000000\r\n\r\n{}")
    assert await client.request("hearth/status")


# Completion


async def test_an_item_has_a_range_and_reports_acceptance(server):
    client = await server({"document": FINISHED})
    await client.open(URI, "def add(a, b):\n    ret")
    (item,) = await client.complete(URI, 1, 7)
    assert item["insertText"].endswith("urn a + b")
    assert item["range"]["end"] == {"line": 1, "character": 7}
    assert item["command"]["command"] == "hearth.completionAccepted"
    assert await client.command(item["command"]["command"], *item["command"]["arguments"]) is None


@pytest.mark.parametrize("how", ["cancelRequest", "hearth.stop", "shutdown"])
async def test_cancelling_reaches_the_model(server, tmp_path, how):
    client = await server({**HANGING, "log": "prompts.log"})
    await client.open(URI, "a = ")
    asked = await client.ask("textDocument/inlineCompletion", completion_params(URI, 0, 4))
    await until_logged(tmp_path, "start")
    if how == "cancelRequest":
        await client.notify("$/cancelRequest", {"id": asked})
    elif how == "shutdown":
        await client.request("shutdown")
    else:
        assert await client.command("hearth.stop") == {"stopped": 1}
    assert (await client.answer(asked))["error"]["code"] == -32800
    if how != "shutdown":
        # A joined generation may outlive its request for a moment, so a fresh text is what surely ends it.
        await client.change(URI, 2, {"text": "b = "})
        await client.ask("textDocument/inlineCompletion", completion_params(URI, 0, 4), request_id="fresh")
    else:
        await client.notify("exit")
    assert (await until_logged(tmp_path, "end"))["outcome"] == "cancelled"
    if how != "shutdown":
        await client.notify("$/cancelRequest", {"id": "fresh"})
        await client.answer("fresh")


async def test_cancelling_what_is_not_running_is_harmless(server):
    client = await server()
    for params in ({"id": 77}, {"id": [1]}, {"id": True}, {}, None, [5]):
        await client.notify("$/cancelRequest", params)
    assert await client.request("hearth/status")


async def test_an_answer_for_an_older_text_is_dropped(server, tmp_path):
    client = await server({"text": "x", "delay_ms": 1_500, "log": "prompts.log"})
    await client.open(URI, "a = ")
    asked = await client.ask("textDocument/inlineCompletion", completion_params(URI, 0, 4))
    await until_logged(tmp_path, "start")
    await client.change(URI, 2, {"range": span(0, 0), "text": "# "})
    assert (await client.answer(asked))["result"] == {"items": []}


@pytest.mark.parametrize(
    ("text", "changes", "marked"),
    [
        ("ab = 1\ncd", [{"range": span(1, 2), "text": " = "}], "ab = 1\ncd = █"),
        ("x = '😀'\ny", [{"range": span(0, 6), "text": "!"}, {"range": span(1, 1), "text": " = "}], "x = '!😀'\ny = █"),
        ("a\u2028b\x0cc\x85d\ne", [{"range": span(0, 2), "text": "#"}, {"range": span(1, 1), "text": " = "}],
         "a\u2028#b\x0cc\x85d\ne = █"),
        ("a\r\nb\rc", [{"range": span(2, 1), "text": " = "}, {"range": span(0, 9), "text": "!"}], "a!\r\nb\rc = █"),
        ("old", [{"text": "new\n"}, {"range": span(99, 0), "text": "z = "}], "new\nz = █"),
    ],
)  # fmt: skip
async def test_the_model_sees_the_text_that_the_editor_has(server, tmp_path, text, changes, marked):
    client = await server({"text": "1", "log": "prompts.log"})
    await client.open(URI, text)
    await client.change(URI, 2, *changes)
    before, _, _ = marked.partition(CURSOR)
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    await client.complete(URI, len(lines) - 1, len(lines[-1]))
    await until_logged(tmp_path, "start")
    prompt = prompts(tmp_path)[0]["prompt"]  # a speculation on what follows comes after it
    assert take_apart(prompt, DIALECTS["qwen"])[0] == "\n".join(lines)


async def test_a_lost_change_silences_a_document_until_it_is_saved(server, tmp_path):
    client = await server({"text": "1", "log": "prompts.log"})
    await client.open(URI, "a = ")
    await client.change(URI, 7, {"range": span(0, 9), "rangeLength": 0, "text": "lost"})
    assert await client.complete(URI, 0, 4) == []
    assert URI in await client.command("hearth.whyNoSuggestion")
    assert prompts(tmp_path) == []
    await client.notify("textDocument/didSave", {"textDocument": {"uri": URI}, "text": "b = "})
    assert len(await client.complete(URI, 0, 4)) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [("x = 1\n" * 9_000_000, "larger than"), ("\x7fELF\0\0\0" * 1000, "binary")],
    ids=["50 MB", "binary"],
)
async def test_files_in_which_nothing_is_suggested(server, text, why):
    client = await server({"text": "1"})
    await client.open(URI, text)
    await client.change(URI, 2, {"range": span(5, 0), "text": "y"})
    assert await client.complete(URI, 5, 1) == []
    assert why in await client.command("hearth.whyNoSuggestion")
    await client.open("file:///work/b.py", "a = ")
    assert len(await client.complete("file:///work/b.py", 0, 4)) == 1
    await client.change(URI, 3, {"text": "small = "})
    assert len(await client.complete(URI, 0, 8)) == 1, "it became small"


async def test_lone_surrogates(server):
    client = await server({"text": "1"})
    await client.open(URI, "x['\ud83d'] = ")
    await client.change(URI, 2, {"range": span(0, 3), "text": "\udc00"})
    assert len(await client.complete(URI, 0, 10)) == 1


async def test_what_the_language_server_does_not_know_is_answered_emptily(server):
    client = await server()
    assert await client.complete("file:///never/opened.py", 3, 3) == []
    await client.change("file:///never/opened.py", 2, {"text": "x"})
    await client.notify("textDocument/didClose", {"textDocument": {"uri": "file:///never/opened.py"}})
    await client.notify("textDocument/didSave", {"textDocument": {"uri": "file:///never/opened.py"}})
    assert await client.request("workspace/textDocumentContent", {"uri": "hearth:/nothing"}) == {"text": ""}


# Settings and commands


async def test_completion_can_be_switched_off_and_on(server):
    client = await server({"text": "1"}, locale="fr-CA")
    await client.open(URI, "a = ")
    assert await client.command("hearth.toggleCompletion") == {"enabled": False}
    assert await client.complete(URI, 0, 4, kind=2) == []
    await client.notify("workspace/didChangeConfiguration", {"settings": {"hearth": {"completion": {"enabled": True}}}})
    assert len(await client.complete(URI, 0, 4)) == 1
    off = {"completion": {"languages_off": ["python"], "max_lines": 3}, "cloud": {"enabled": True}}
    await client.notify("workspace/didChangeConfiguration", {"settings": off})
    await client.change(URI, 2, {"text": "b = "})
    assert await client.complete(URI, 0, 4, kind=2) == []
    await client.notify("workspace/didChangeConfiguration", {"settings": None})
    await client.notify("workspace/didChangeConfiguration", {"settings": {"completion": {"enabled": "maybe"}}})
    await client.until(lambda: len(client.shown()) == 2, "one answer to the toggle, one problem")
    assert client.shown()[0] == "Hearth : les suggestions sont désactivées."
    assert "completion.enabled" in client.shown()[1]


async def test_settings_problems_are_one_message_in_the_editors_language(server):
    options = {"completion": {"max_lines": "many", "nonsense": 1}, "cloud": 5, "a": 1, "b": 2, "c": 3}
    client = await server(extra="[completion]\nenabled = 7\n", locale="es", initializationOptions=options)
    await client.until(lambda: client.shown(), "a message")
    (text,) = client.shown()
    assert text.startswith("Hearth no ha usado algunos ajustes:")
    assert "completion.max_lines" in text
    assert "y 2 más" in text
    assert await client.stop() == 0


@pytest.mark.parametrize("content", ["[[backends", "\udce9"])
async def test_an_unreadable_settings_file_stops_nothing(tmp_path, content):
    write(tmp_path)
    (tmp_path / "config" / "settings.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    client = await start(tmp_path)
    try:
        await client.initialize(initializationOptions={"index": {"enabled": False}, "backends": []})
        await client.until(lambda: client.shown(), "a message")
        assert "settings.toml" in client.shown()[0]
        assert await client.stop() == 0
    finally:
        await client.kill()


async def test_why_is_a_page_and_a_result(server):
    client = await server({"text": "1"})
    await client.open(URI, "a = ")
    await client.complete(URI, 0, 4)
    text = await client.command("hearth.whyNoSuggestion")
    assert "a.py" in text
    methods = [call["method"] for call in client.calls]
    await client.until(lambda: "window/showDocument" in [c["method"] for c in client.calls], f"shown, not {methods}")
    uri = client.calls[-1]["params"]["uri"]
    assert uri.startswith("hearth:")
    assert client.calls[-1]["params"]["takeFocus"] is False
    assert await client.request("workspace/textDocumentContent", {"uri": uri}) == {"text": text}
    await client.open("file:///b.py", "b = ")
    await client.complete("file:///b.py", 0, 4)
    assert "b.py" in await client.command("hearth.whyNoSuggestion")
    await client.until(
        lambda: "workspace/textDocumentContent/refresh" in [c["method"] for c in client.calls], "refreshed"
    )


async def test_status(server):
    client = await server({"text": "1", "model": "tiny"})
    await client.open(URI, "a = ")
    await client.complete(URI, 0, 4)
    status = await client.request("hearth/status")
    assert status["completions"]["requests"] == 1
    assert status["tokens"]["generated"] >= 1
    shown, asked = await client.command("hearth.status"), await client.request("hearth/status")
    assert shown.keys() == asked.keys()
    for outcome in ("requests", "model_calls", "memory_hits", "joined"):
        assert shown["completions"][outcome] == asked["completions"][outcome]


async def test_a_client_that_can_show_nothing_still_gets_the_result(server):
    client = await server(capabilities={})
    assert "why" in (await client.command("hearth.whyNoSuggestion")).lower()
    assert client.calls == []


# What lies on disk and on stderr


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX")
async def test_the_log_is_private_and_says_nothing_of_the_text(server, tmp_path):
    client = await server({"text": "SUGGESTED"})
    await client.open(URI, "SECRET = ")
    await client.complete(URI, 0, 9)
    await client.ask("textDocument/inlineCompletion", {"textDocument": "SECRET"})
    assert await client.stop() == 0
    folder = tmp_path / "data" / "logs"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    log = (folder / "serve.log").read_text("utf-8")
    assert "ending with 0" in log
    assert "SECRET" not in log
    assert "SUGGESTED" not in log


async def test_a_data_directory_that_cannot_be_made_stops_nothing(tmp_path):
    write(tmp_path, {"text": "1"})
    (tmp_path / "data").write_text("a file where the directory should be")
    client = await start(tmp_path)
    try:
        await client.initialize()
        await client.open(URI, "a = ")
        assert len(await client.complete(URI, 0, 4)) == 1
        assert await client.stop() == 0
    finally:
        await client.kill()


async def test_stderr_that_nobody_reads_does_not_stop_the_server(tmp_path):
    write(tmp_path)
    client = await start(tmp_path, stderr=asyncio.subprocess.PIPE)
    client.process._transport.get_pipe_transport(2).pause_reading()
    try:
        await client.initialize()
        for number in range(1_000):
            bad = {"settings": {"completion": {"enabled": f"{'x' * 50}{number}", "languages_off": number}}}
            await client.notify("workspace/didChangeConfiguration", bad)
        assert await client.request("hearth/status")
        await client.request("shutdown")
        await client.notify("exit")
        assert await exit_code(client.process) == 0
    finally:
        await client.kill()
        client.process._transport.close()


def test_the_client_itself_notices_a_foreign_byte():
    client = Client.__new__(Client)
    client.foreign = b""
    assert client._cut(bytearray(b"hello\nContent-Length: 2\r\n\r\n{}" + b" " * 64)) is None
    assert client.foreign


async def test_trust_granted_later_is_taken(server):
    client = await server(initializationOptions={"workspace_trusted": False})
    assert (await client.request("hearth/status"))["workspace_trusted"] is False
    await client.notify("hearth/didGrantTrust")
    assert (await client.request("hearth/status"))["workspace_trusted"] is True
