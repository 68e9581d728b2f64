"""A19: a file that is excluded is honoured by one feature and read by another.

Controls: `rulings.Rulings` behind every seam. Each case fails without its own: `index.walk.Folder` (index, search,
copies), `sending.Sending._admit` and `kept` (prompts), `door` (chat, here and in the cloud), `embed`'s `ready`
(vectors), `Engine._kept` (what is kept on the disk), `core.deny` (secrets by name).
"""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from index.test_walk import unreadable
from lsp.lsp_client import Client, environment
from openrouter.emulator import Emulator
from threats.scene import Machine, posted, scripted

CANARY = "canary_4f1d"
BODY = f"def {CANARY}(account):\n    return account.{CANARY}_balance + {CANARY}_interest(account)\n\n\n" * 3
VISIBLE = "def total(account):\n    return account.balance\n\n\nx = total\n"
RULES = {
    ".gitignore": "private/\n", ".aiignore": "*.hidden.py\n", ".cursorignore": "one.py\n", ".geminiignore": "two.py\n",
    "deep/.clineignore": "three.py\n", ".aiexclude": "/four.py\n", ".codeiumignore": "five*\n",
}  # fmt: skip
EXCLUDED = (
    "private/a.py", "private/deeper/b.py", "x.hidden.py", "one.py", "deep/two.py", "deep/three.py", "four.py",
    "five.py", "credentials.py", ".env", "config/id_rsa", "deep/secrets.yaml", "unclear/a.py", "unclear/b/c.py",
)  # fmt: skip


def build(machine: Machine) -> None:
    machine.write(dict.fromkeys(EXCLUDED, BODY) | RULES | {"a.py": VISIBLE, "b.py": VISIBLE.replace("total", "sum")})
    unreadable(machine.work / "unclear/.gitignore", "binary")
    outside = machine.root / "outside.py"
    outside.write_text(BODY)
    (machine.work / "linked.py").symlink_to(outside)
    (machine.work / "inner.py").symlink_to("private/a.py")


async def edit(machine: Machine, log: Path, opened: tuple[str, ...] = ()) -> list[str]:
    """An editor's session in a.py, with other files open as well; the prompts that its model was shown."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "hearth", "serve", cwd=machine.work,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**environment(machine.root), **machine.environment()},
    )  # fmt: skip
    client = Client(process)
    folder = machine.work.as_uri()
    try:
        await client.initialize(workspaceFolders=[{"uri": folder, "name": "work"}])
        for name in opened:
            await client.open(f"{folder}/{name}", BODY)
            await client.change(f"{folder}/{name}", 2, {"range": whole(0), "text": f"# {CANARY}_typed\nx = \n"})
            await client.complete(f"{folder}/{name}", 1, 4)  # an answer that would be remembered
            await client.notify("textDocument/didClose", {"textDocument": {"uri": f"{folder}/{name}"}})
        await client.open(f"{folder}/a.py", VISIBLE)
        async with asyncio.timeout(60):
            while (await client.request("hearth/status"))["index"]["state"] not in ("ready", "off"):
                await asyncio.sleep(0.1)
        found = await client.request("hearth/search", {"query": f"{CANARY} interest of an account", "limit": 20})
        assert CANARY not in json.dumps(found)
        for line, text in enumerate(("y = total(account)", "z = account.", "def canary")):
            await client.change(f"{folder}/a.py", line + 2, {"range": whole(5), "text": f"{text}\n"})
            await asyncio.sleep(3.4 if line == 1 else 0)  # the server rests, and gathers what else there is
            await client.complete(f"{folder}/a.py", 5, len(text))
        await client.stop()
    finally:
        await client.kill()
    return lines_of(log)


def lines_of(log: Path) -> list[str]:
    return log.read_text("utf-8").splitlines() if log.exists() else []


def whole(line: int) -> dict[str, dict[str, int]]:
    return {"start": {"line": line, "character": 0}, "end": {"line": line, "character": 0}}


async def test_no_feature_of_the_editor_shows_it(tmp_path: Path) -> None:
    log = tmp_path / "prompts.jsonl"
    script = {"text": "1\n", "prefills": 1, "log": str(log), "model": "qwen2.5-coder"}
    machine = Machine(tmp_path, settings=scripted(tmp_path, script), index=True)
    build(machine)
    prompts = await edit(machine, log)
    assert prompts, "the model was asked"
    assert not [line for line in prompts if CANARY in line]
    assert CANARY.encode() not in machine.everything_kept()
    told = await machine.hearth("search", CANARY, "--json")
    assert CANARY not in told


@pytest.mark.parametrize("model", [True, False])
async def test_what_was_open_is_forgotten_with_it(tmp_path: Path, model: bool) -> None:
    """Secrets stay out even while they are open; other excluded files are shown to the model on this machine as long as
    they are, and nothing of them is kept."""
    log = tmp_path / "prompts.jsonl"
    script = {"text": "1\n", "prefills": 1, "log": str(log), "model": "qwen2.5-coder"}
    machine = Machine(tmp_path, settings=scripted(tmp_path, script) if model else "", index=True)
    build(machine)
    opened = ("one.py", "credentials.py", ".env", "private/a.py", "inner.py")
    prompts = await edit(machine, log, opened)
    if model:
        of = {name: [line for line in prompts if CANARY in line and name in line] for name in opened}
        assert of["one.py"], "this one is open, and not a secret"
        assert not of["credentials.py"]
        assert not of[".env"]
        assert not [line for line in prompts[-3:] if CANARY in line], "and closed by now"
    assert CANARY.encode() not in machine.everything_kept()


@pytest.mark.parametrize("place", ["cloud", "local"])
async def test_no_chat_carries_it(tmp_path: Path, place: str) -> None:
    log = tmp_path / "prompts.jsonl"
    settings = scripted(tmp_path, {"chat_text": "hello", "log": str(log)}) if place == "local" else ""
    async with Emulator() as router:
        machine = Machine(tmp_path, router.base_url, settings)
        build(machine)
        for name in (*EXCLUDED, "linked.py", "inner.py"):
            if name not in EXCLUDED[::4] and name not in ("linked.py", "inner.py"):
                continue
            told = await machine.ask("what is this?", "a.py", name)
            assert not told["text"]
            assert told["problem"]
        assert not posted(router)
        assert CANARY not in (log.read_text() if log.exists() else "")
        assert CANARY.encode() not in machine.everything_kept()
