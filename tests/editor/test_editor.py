"""The whole way, in the real editor: what a user types, sees, accepts and saves."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import harness
import provision
import pytest
from harness import Open

pytestmark = pytest.mark.editor

START = '"""Money."""\n\n\n'
FINISHED = '''"""Money."""


def with_tax(amount, rate):
    """The amount with the tax added, in cents."""
    return round(amount * (1 + rate))
'''
ADDED = FINISHED.removeprefix(START).rstrip("\n")
TYPED = "def with_tax("
LATE_MAX = 5
# Auto-closed brackets are the editor's own text; without them what is typed is what stands in the file.
PLAIN = {"editor.autoClosingBrackets": "never", "editor.autoClosingQuotes": "never", "editor.autoIndent": "none"}


def scripted(folder: Path, *, index: bool = False, **script: Any) -> str:
    """settings.toml for a model that answers from a script; without an index unless it is what is tested."""
    path = folder / "script.json"
    path.write_text(json.dumps({"model": "scripted-coder", "chunk_chars": 8, **script}), "utf-8")
    return (
        f'[[backends]]\nkind = "scripted"\nmodel = {json.dumps(str(path))}\n[index]\nenabled = {str(index).lower()}\n'
    )


def fake_server(folder: Path, body: str) -> dict[str, str]:
    """Machine settings that name a program of our own as the server."""
    path = folder / "hearth"
    path.write_text(f"#!{sys.executable}\n{body}\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"hearth.serverPath": str(path)}


def fake_client_view(folder: Path, body: str) -> tuple[Path, dict[str, str]]:
    """A server made of `fake_server`'s parts; answers where it writes what it receives, and the settings to use it."""
    log = folder / "received.jsonl"
    lines = (
        "import sys",
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})",
        "from fake_server import ask, run",
        f"LOG = {str(log)!r}",
        body,
    )
    return log, fake_server(folder, "\n".join(lines))


def received(log: Path) -> list[dict[str, Any]]:
    text = log.read_text("utf-8") if log.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def of(log: Path, method: str) -> list[Any]:
    """The parameters of every message of one method, in the order they came."""
    return [message["params"] for message in received(log) if message.get("method") == method]


def accept(bench: harness.Workbench, typed: str) -> str:
    """Type, wait for the suggestion, take it with Tab, save; answers the file on disk."""
    page = bench.page
    page("focus")
    page("type", text=typed)
    page("waitGhost")
    page("press", key="Tab")
    return bench.save("main.py", lambda text: text != START)


def test_a_suggestion_is_accepted_with_tab_and_saved(open_workbench: Open, tmp_path: Path):
    bench = open_workbench({"main.py": START}, toml=scripted(tmp_path, document=FINISHED), user_settings=PLAIN)
    bench.ready("scripted-coder")
    page = bench.page
    page("focus")
    page("type", text=TYPED)
    shown = page("waitGhost", text="round(amount")
    assert "amount, rate):" in shown
    page("resize", width=960, height=400)
    page("waitGhost", text="round(amount")
    page.shot("ghost-text-small")
    page("press", key="Tab")
    assert bench.save("main.py", lambda text: "round" in text) == START + ADDED
    assert page("ghost") == ""


def test_brackets_that_the_editor_closes_are_not_doubled(open_workbench: Open, tmp_path: Path):
    bench = open_workbench({"main.py": START}, toml=scripted(tmp_path, document=FINISHED))
    bench.ready("scripted-coder")
    assert accept(bench, TYPED) == START + ADDED


def test_typing_along_keeps_the_suggestion_at_every_key(open_workbench: Open, tmp_path: Path):
    bench = open_workbench({"main.py": START}, toml=scripted(tmp_path, document=FINISHED), user_settings=PLAIN)
    bench.ready("scripted-coder")
    page = bench.page
    page("focus")
    page("type", text=TYPED)
    page("waitGhost", text="round(amount")
    along = "amount, rate):"
    seen = page("typeWatching", text=along)
    gone = [key for key, frames in zip(along, seen, strict=True) if not all("round" in frame for frame in frames)]
    assert gone == []
    page("press", key="Tab")
    assert bench.save("main.py", lambda text: "round" in text) == START + ADDED


def test_one_tab_after_another_writes_on(open_workbench: Open, tmp_path: Path):
    program = "first = 1\nsecond = first + 1\n\n\ndef third():\n    return second\n"
    bench = open_workbench({"main.py": "\n"}, toml=scripted(tmp_path, document=program), user_settings=PLAIN)
    bench.ready("scripted-coder")
    page = bench.page
    page("focus")
    page("type", text="fir")
    for shown in ("st = 1", "second = first + 1", "def third():", "return second"):
        page("waitGhost", text=shown)
        page.shot(f"tab-{shown.split()[0]}")
        page("press", key="Tab")
    assert bench.save("main.py", lambda text: "return" in text).strip("\n") == program.strip("\n")


def test_a_killed_server_comes_back_and_the_editor_goes_on(open_workbench: Open, tmp_path: Path):
    bench = open_workbench({"main.py": START}, toml=scripted(tmp_path, document=FINISHED), user_settings=PLAIN)
    bench.ready("scripted-coder")
    page = bench.page
    page("focus")
    page("type", text="def wi")
    page("waitGhost")
    (killed,) = bench.servers()
    killed.kill()
    page("type", text="th_tax")
    assert bench.save("main.py", lambda text: "with_tax" in text).startswith(START + "def with_tax")
    harness.wait_for(lambda: any(s.pid != killed.pid for s in bench.servers()), "a new server")
    bench.ready("scripted-coder")
    assert page("text", selector=harness.TOAST) == []
    page("type", text="(")
    page("waitGhost", text="round(amount")
    page("press", key="Tab")
    assert bench.save("main.py", lambda text: "round" in text) == START + ADDED


def test_without_a_model_suggestions_come_from_the_workspace(open_workbench: Open, tmp_path: Path):
    opening = "import logging\nfrom pathlib import Path\n\n"
    module = (
        opening
        + 'logger = logging.getLogger("shop")\n\n\ndef load_{0}(path: Path) -> str:\n    return path.read_text()\n'
    )
    files = {"main.py": opening} | {f"{name}.py": module.format(name) for name in ("orders", "customers", "invoices")}
    # A model server that is down, instead of none: whatever runs on this machine is left alone.
    bench = open_workbench(files, toml=scripted(tmp_path, index=True, state="down"), user_settings=PLAIN)
    bench.ready("from your files")
    page = bench.page
    page("focus")
    page("type", text="logger =")
    # Copies come from a process that yields to all others, and late ones are of no use: the key is pressed again.
    for _ in range(LATE_MAX):
        page("type", text=" ")
        if page("hasGhost", text='logging.getLogger("shop")', timeout=6_000):
            break
        page("press", key="Backspace")
    page("waitGhost", text='logging.getLogger("shop")')
    page.shot("from-the-workspace")
    page("press", key="Tab")
    assert bench.save("main.py", lambda text: "shop" in text) == opening + 'logger = logging.getLogger("shop")'


def test_why_no_suggestion_opens_a_document(open_workbench: Open, tmp_path: Path):
    bench = open_workbench({"main.py": START}, toml=scripted(tmp_path, document=FINISHED), user_settings=PLAIN)
    bench.ready("scripted-coder")
    page = bench.page
    page("focus")
    page("type", text=TYPED)
    page("waitGhost")
    page("command", title="Hearth: Why No Suggestion?")
    page("see", selector=".tab", text="why.md")
    shown = page("seeAnywhere", text="scripted-coder (")
    assert "main.py:4:" in shown
    assert "**" not in shown  # rendered, not its source
    page.shot("why-no-suggestion")


def test_suggestions_can_be_turned_off_in_the_menu(open_workbench: Open, tmp_path: Path):
    bench = open_workbench({"main.py": START}, toml=scripted(tmp_path, document=FINISHED), user_settings=PLAIN)
    bench.ready("scripted-coder")
    page = bench.page
    page("click", selector=harness.STATUS_ITEM)
    page("see", selector=".quick-input-list .monaco-list-row", text="Why is there no suggestion?")
    page.shot("status-menu")
    page("click", selector=".quick-input-list .monaco-list-row", text="Turn suggestions on or off")
    page("see", selector=f"{harness.STATUS_ITEM} .codicon-circle-slash")
    page("focus")
    page("type", text=TYPED)
    page("wait", ms=2_000)
    assert page("ghost") == ""
    page("command", title="Hearth: Toggle Completion")
    bench.ready("scripted-coder")
    page("type", text="amo")
    page("waitGhost", text="round(amount")


def test_a_workspace_cannot_choose_the_server_or_the_model(open_workbench: Open, tmp_path: Path):
    ran = tmp_path / "ran"
    evil = {
        **fake_server(tmp_path, f"open({str(ran)!r}, 'w')"),
        "hearth.backends": [{"kind": "openai", "url": "http://127.0.0.1:9", "model": "evil"}],
        "hearth.completion.enabled": False,
    }
    files = {"main.py": START, ".vscode/settings.json": json.dumps(evil)}
    # A module of the server's name in the workspace must not be imported either.
    files["hearth/__init__.py"] = files["json.py"] = f"open({str(ran)!r}, 'w')\n"
    bench = open_workbench(files, toml=scripted(tmp_path, document=FINISHED), user_settings=PLAIN)
    bench.ready("scripted-coder")
    assert accept(bench, TYPED) == START + ADDED
    assert not ran.exists()


def test_a_server_that_cannot_start_is_explained(open_workbench: Open, tmp_path: Path):
    settings = fake_server(tmp_path, "raise SystemExit('The disk is full: free some space, then retry.')")
    bench = open_workbench({"main.py": START}, settings=settings)
    page = bench.page
    message = page("see", selector=harness.TOAST, text="could not start")
    assert "Hearth's server could not start: The disk is full: free some space, then retry." in message
    page("see", selector=f"{harness.STATUS_ITEM} .codicon-error")
    page.shot("cannot-start")
    assert len(page("text", selector=harness.TOAST)) == 1
    # Mended: the button in the message brings it up.
    Path(settings["hearth.serverPath"]).write_text(f'#!/bin/sh\nexec {provision.venv_tool("hearth")} "$@"\n', "utf-8")
    page("click", selector=f"{harness.TOAST} .monaco-button", text="Retry")
    bench.ready()


def test_a_server_that_keeps_crashing_is_left_alone_with_a_message(open_workbench: Open, tmp_path: Path):
    # It comes up well, and dies as soon as the client asks for its status.
    log, settings = fake_client_view(tmp_path, 'run(LOG, {"hearth/status": lambda _: sys.exit(3)})')
    bench = open_workbench({"main.py": START}, settings=settings)
    page = bench.page
    page("see", selector=harness.TOAST, text="stopped 5 times within three minutes", timeout=90_000)
    assert [m["method"] for m in received(log)].count("initialize") == 5
    assert len(page("text", selector=harness.TOAST)) == 1
    page("focus")
    page("type", text="pass")
    assert bench.save("main.py", lambda text: "pass" in text) == START + "pass"


def test_what_the_client_tells_the_server(open_workbench: Open, tmp_path: Path):
    command = 'lambda _: ask(LOG, "hearth/input", {"prompt": "What next?", "placeholder": "one line"})'
    body = f'run(LOG, {{"workspace/executeCommand": {command}}}, ["hearth.status"])'
    log, program = fake_client_view(tmp_path, body)
    machine = {**program, "hearth.completion.max_lines": 5, "hearth.privacy.never": ["*.key"]}
    workspace = {"hearth.cloud.enabled": True, "hearth.completion.max_lines": 99}
    files = {"main.py": START, ".vscode/settings.json": json.dumps(workspace)}
    bench = open_workbench(files, settings=machine)
    page = bench.page
    bench.ready()
    assert of(log, "initialize")[0]["initializationOptions"] == {
        "completion": {"max_lines": 5},
        "privacy": {"never": ["*.key"]},
        "workspace_trusted": True,
    }
    page("focus")
    page("command", title="Hearth: Status")
    page("see", selector=".quick-input-widget", text="What next?")
    page("answer", text="tidy up")
    answers = harness.wait_for(lambda: [m for m in received(log) if m.get("id") == "asked"], "the answer")
    assert answers[0]["result"] == {"value": "tidy up"}
    (arguments,) = of(log, "workspace/executeCommand")[0]["arguments"]
    end = {"line": 3, "character": 0}
    assert arguments["selection"] == {"start": end, "end": end}
    assert arguments["uri"].endswith("/main.py")
    path = bench.root / "workbench" / "user" / "Machine" / "settings.json"
    path.write_text(json.dumps({**machine, "hearth.completion.enabled": False}), "utf-8")
    changed = harness.wait_for(lambda: of(log, "workspace/didChangeConfiguration"), "the changed setting")
    assert changed[-1]["settings"] == {"completion": {"enabled": False}}


def test_the_first_start_prepares_its_own_environment_once(open_workbench: Open, tmp_path: Path):
    toml = scripted(tmp_path, document=FINISHED)
    bench = open_workbench({"main.py": START}, settings={}, toml=toml, user_settings=PLAIN)
    page = bench.page
    page("see", selector=harness.TOAST, text="Hearth: preparing the server", timeout=60_000)
    page.shot("preparing")
    harness.wait_for(lambda: bench.servers(), "the installed server", 240)
    bench.ready("scripted-coder")
    assert accept(bench, TYPED) == START + ADDED
    storage = bench.root / "workbench" / "user" / "User" / "globalStorage" / "hearth.hearth"
    (environment,) = [p for p in storage.iterdir() if p.name.startswith("server-")]
    assert bench.servers()[0].cmdline()[0].startswith(str(environment))
    before = os.stat(environment).st_mtime_ns
    page("command", title="Hearth: Restart the Server")
    bench.ready("scripted-coder")
    assert [p.name for p in storage.iterdir() if p.name.startswith("server-")] == [environment.name]
    assert os.stat(environment).st_mtime_ns == before


def test_the_preparation_can_be_cancelled_and_leaves_nothing(open_workbench: Open):
    bench = open_workbench({"main.py": START}, settings={})
    page = bench.page
    page("see", selector=harness.TOAST, text="Hearth: preparing the server", timeout=60_000)
    page("click", selector=f"{harness.TOAST} .monaco-button", text="Cancel")
    page("see", selector=f"{harness.STATUS_ITEM} .codicon-error")
    storage = bench.root / "workbench" / "user" / "User" / "globalStorage" / "hearth.hearth"
    harness.wait_for(lambda: not list(storage.iterdir()), "nothing left behind")
    page("gone", selector=harness.TOAST)
    assert bench.servers() == []


def test_without_python_there_is_one_message_and_a_retry(open_workbench: Open, tmp_path: Path):
    settings = {"hearth.pythonPath": str(tmp_path / "no-such-python")}
    bench = open_workbench({"main.py": START}, settings=settings)
    page = bench.page
    message = page("see", selector=harness.TOAST, text="is not a Python 3.11 or newer", timeout=60_000)
    assert "no-such-python" in message
    page("see", selector=f"{harness.TOAST} .monaco-button", text="Retry")
    page("gone", selector=harness.TOAST, text="Hearth: preparing the server")
    page.shot("no-python")
    assert len(page("text", selector=harness.TOAST)) == 1
    storage = bench.root / "workbench" / "user" / "User" / "globalStorage" / "hearth.hearth"
    assert [p.name for p in storage.iterdir()] == []
    page("focus")
    page("type", text="pass")
    assert bench.save("main.py", lambda text: "pass" in text) == START + "pass"
