"""What the threats share: a machine whose user allows the cloud (an emulator on loopback), and others that listen."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lsp.lsp_client import COMPILED
from threats.wires import Watch

KEY = "sk-or-v1-test"
ASKER = Path(__file__).with_name("asker.py")
ENDS_WITHIN_S = 90


class Capture:
    """Listens on loopback, keeps what comes, and answers nothing. `async with Capture() as far`."""

    def __init__(self) -> None:
        self.connections = 0
        self.received = b""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    async def __aenter__(self) -> "Capture":
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError):
            self.received += await reader.read(65_536)
        writer.close()


class Machine:
    """A user's machine. `settings`: more TOML for the machine's own settings."""

    def __init__(self, root: Path, base_url: str = "", settings: str = "", index: bool = False) -> None:
        self.root, self.work = root, root / "work"
        self.config, self.data = root / "config", root / "data"
        for folder in (self.work, self.config):
            folder.mkdir(parents=True, exist_ok=True)
        cloud = f'[cloud]\nenabled = true\nbase_url = "{base_url}"\n' if base_url else ""
        indexed = "true" if index else "false"
        (self.config / "settings.toml").write_text(f"{settings}\n{cloud}\n[index]\nenabled = {indexed}\n")

    def write(self, files: Mapping[str, str]) -> None:
        """Files of the workspace."""
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def environment(self, **more: str) -> dict[str, str]:
        ours = {"HEARTH_CONFIG_DIR": str(self.config), "HEARTH_DATA_DIR": str(self.data), "OPENROUTER_API_KEY": KEY}
        return {**os.environ, **ours, "PYTHONPYCACHEPREFIX": str(COMPILED), **more}

    async def ask(self, words: str, *names: str, watch: Watch | None = None, **more: str) -> dict[str, str]:
        """One question with files of the workspace attached, from within it; see asker.py."""
        out = await self.run(str(ASKER), words, *names, watch=watch, **more)
        return json.loads(out)

    async def hearth(self, *arguments: str, **more: str) -> str:
        return await self.run("-m", "hearth", *arguments, **more)

    async def run(self, *arguments: str, watch: Watch | None = None, **more: str) -> str:
        """A Python program as the editor's client starts ours: isolated, but from within the workspace."""
        argv = [sys.executable, "-I", *arguments]
        process = await asyncio.create_subprocess_exec(
            *(watch.argv(*argv) if watch else argv), cwd=self.work, env=self.environment(**more),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(ENDS_WITHIN_S):
            out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return out.decode()

    def everything_kept(self) -> bytes:
        """Every byte of every file beneath the data folder: logs, stores, ledger."""
        return b"\n".join(path.read_bytes() for path in sorted(self.data.rglob("*")) if path.is_file())


def scripted(root: Path, script: Mapping[str, Any]) -> str:
    """TOML for a scripted model of the user's own."""
    path = root / "script.json"
    path.write_text(json.dumps(script))
    return f'[[backends]]\nkind = "scripted"\nmodel = {json.dumps(str(path))}\n'


def posted(router: Any) -> list[Any]:
    """The requests of the emulator that carry something of the user's."""
    return [seen for seen in router.captured if seen.method == "POST"]
