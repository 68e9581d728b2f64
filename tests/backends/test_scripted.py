import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import pytest

from hearth.backends.base import Chat, Delta, Generate
from hearth.backends.scripted import Rule, Script, ScriptedBackend, continuation, load, parse, take_apart
from hearth.core.dialect import DIALECTS
from hearth.core.exchange import ToolCall, system, user, wire
from hearth.errors import ModelLoading, ProtocolFault, ServerFault

PROMPT = "<|fim_prefix|>def add(a, b):\n<|fim_suffix|>\n\nprint(add(1, 2))<|fim_middle|>    ret"


async def run(backend, prompt=PROMPT, max_tokens=100, stop=()):
    text, finish = "", None
    async for event in backend.generate(Generate(prompt, max_tokens, stop)):
        assert finish is None
        if isinstance(event, Delta):
            assert event.text
            text += event.text
        else:
            finish = event
    return text, finish


async def test_rules_see_the_text_before_the_cursor_with_what_was_typed_after_the_middle_token():
    script = Script(
        rules=(
            Rule(ends_with="def add(a, b):\n", text="wrong: the typed text was forgotten"),
            Rule(ends_with="add(a, b):\n    ret", after="\n\nprint", text="urn a + b"),
        )
    )
    backend = ScriptedBackend(script)
    text, finish = await run(backend)
    assert (text, finish.reason) == ("urn a + b", "stop")
    assert backend.counts.pieces == 3


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialects_prompt_is_taken_apart(name):
    d = DIALECTS[name]
    if d.order == "psm":
        prompt = f"{d.prefix}BEFORE{d.suffix}AFTER{d.middle}TYPED"
    else:
        prompt = f"{d.suffix}AFTER{d.prefix}BEFORE{d.middle}TYPED"
    assert take_apart(prompt, d) == ("BEFORETYPED", "AFTER")


async def test_document_is_continued_where_it_agrees_longest():
    document = "def a():\n    return 1\n\ndef b():\n    return 2\n"
    assert continuation(document, "x\ndef b():\n    return") == " 2\n"
    assert continuation(document, "x\ndef a():\n    return") == " 1\n\ndef b():\n    return 2\n"
    assert continuation(document, "nothing like it") == ""
    text, _ = await run(ScriptedBackend(Script(document=document)), "def b():\n    ret", stop=("\n",))
    assert text == "urn 2"


async def test_limits_stops_and_usage():
    backend = ScriptedBackend(Script(text="abcdefgh\nij"))
    text, finish = await run(backend, "12345678", max_tokens=1)
    assert (text, finish.reason, finish.usage.prompt_tokens) == ("abcd", "length", 2)
    text, finish = await run(backend, "12345678abcd", stop=("\n", "zz"))
    assert (text, finish.reason, finish.usage.prefilled_tokens) == ("abcdefgh", "stop", 1)
    assert backend.counts.calls == backend.counts.finished == 2


async def test_faults_come_after_the_pieces_asked_for():
    backend = ScriptedBackend(Script(rules=(Rule(text="abcdefgh", fault="server", fault_after=1, times=1),), text="ok"))
    stream = backend.generate(Generate(PROMPT, 10))
    assert await anext(stream) == Delta("abcd")
    with pytest.raises(ServerFault):
        await anext(stream)
    assert (await run(backend))[0] == "ok"
    assert (backend.counts.failed, backend.counts.finished) == (1, 1)


async def test_closing_and_cancelling_are_counted():
    backend = ScriptedBackend(Script(text="abcdefgh", rules=(Rule(contains="hang", fault="hang"),)))
    async with aclosing(backend.generate(Generate(PROMPT, 10))) as stream:
        await anext(stream)
    assert backend.counts.cancelled == 1
    task = asyncio.create_task(run(backend, "hang"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (backend.counts.cancelled, backend.counts.calls) == (2, 2)


async def test_script_file_with_log_and_document(tmp_path):
    (tmp_path / "whole.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"document_file": "whole.py", "log": "log.jsonl", "chunk_chars": 0}))
    backend = ScriptedBackend(path)
    assert (await backend.probe()).state == "ready"
    text, finish = await run(backend, "a = ")
    assert (text, finish.reason) == ("1\r\nb = 2\r\n", "stop")
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(r["event"], r.get("outcome")) for r in log] == [("start", None), ("end", "stop")]
    assert log[0]["prompt"] == "a = "


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "JSON"),
        ("[]", "expected an object"),
        ('{"texts": 1}', "script.texts: unknown key"),
        ('{"text": 1}', "script.text: expected str"),
        ('{"rules": [{"fault": "nope"}]}', "fault: expected one of"),
        ('{"rules": [{"times": "2"}]}', "rules[0].times"),
        ('{"document_file": "no.py"}', "cannot be read"),
        ('{"dialect": "klingon"}', "dialect"),
        ('{"state": "asleep"}', "state"),
    ],
)
async def test_a_bad_script_is_a_probe_with_a_problem(tmp_path, content, says):
    path = tmp_path / "script.json"
    path.write_text(content)
    backend = ScriptedBackend(path)
    probe = await backend.probe()
    assert probe.state == "wrong"
    assert says in probe.problem
    assert probe.remedy
    with pytest.raises(ProtocolFault):
        await run(backend)


async def test_states_fail_requests():
    backend = ScriptedBackend(parse({"state": "loading"}))
    assert (await backend.probe()).state == "loading"
    with pytest.raises(ModelLoading):
        await run(backend)
    with pytest.raises(ValueError, match="cannot be read"):
        load(Path("/nonexistent/script.json"))


async def test_chats_are_played_by_rules_of_their_own():
    rules = (
        Rule(text="a completion"),
        Rule(chat=1, contains="read it", times=1, text="reading", calls=({"name": "read", "arguments": {"p": "a"}},)),
        Rule(chat=1, prompt_contains="system: be brief", contains="cut", text="abcdefgh", reason="length", calls=({},)),
        Rule(chat=1, contains="fail", text="abcdefgh", fault="server", fault_after=1),
    )
    backend = ScriptedBackend(Script(rules=rules, chat_text="anything"))
    probe = await backend.probe()
    assert (probe.chats, probe.calls_tools, probe.constrains) == (True, True, True)

    async def chat(*said):
        messages = tuple(wire(message) for message in said)
        return [event async for event in backend.chat(Chat(messages, 100))]

    *deltas, end = await chat(user("read it"))
    assert "".join(delta.text for delta in deltas) == "reading"
    assert (end.reason, end.calls) == ("stop", (ToolCall("call_0", "read", {"p": "a"}),))
    assert backend.counts.chats[0].messages == ({"role": "user", "content": "read it"},)
    assert (await chat(user("read it")))[0].text == "anyt"
    end = (await chat(system("be brief"), user("cut it")))[-1]
    assert (end.reason, end.calls, end.broken_calls) == ("length", (), 1)
    with pytest.raises(ServerFault):
        await chat(user("fail"))
    assert (await run(backend))[0] == "a completion"
    assert (await chat(user("x"), user("read it")))[-1].usage.prompt_tokens == 6
    assert not (await ScriptedBackend(Script(chats=0)).probe()).chats
    loaded = parse({"rules": [{"chat": 1, "calls": [{"name": "f", "arguments": {}}]}]})
    assert loaded.rules[0].calls == ({"name": "f", "arguments": {}},)
    with pytest.raises(ValueError, match=r"rules\[0\]\.calls"):
        parse({"rules": [{"calls": [{"name": "f"}]}]})
