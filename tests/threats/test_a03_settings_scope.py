"""A03: nested or dotted settings of a workspace get past a restricted mode.

Controls: `lsp.convert.configuration` takes two names from what a running editor says, and no others; the client reads
every setting that names an address, a key, a command or a policy through `inspect().globalValue`.
"""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from lsp.lsp_client import REPLY_S, Client, start, write_settings
from threats.scene import Capture

ROOT = Path(__file__).resolve().parents[2]
LOOK_S = 0.02


def forms(url: str) -> list[Any]:
    """One wish in every form that an editor, or a file of a workspace, can bring it in."""
    cloud = {"enabled": True, "base_url": url, "api_key_env": "HOME", "budget_per_day": 1e9, "approval": "workspace"}
    backends = [{"kind": "openai", "url": url, "roles": ["complete", "chat"]}]
    nested = {
        "cloud": cloud,
        "backends": backends,
        "privacy": {"own_hosts": ["127.0.0.1"], "never": []},
        "index": {"qdrant_url": url, "enabled": True},
        "workspace_trusted": True,
    }
    dotted = {f"cloud.{name}": value for name, value in cloud.items()} | {"backends": backends, "index.qdrant_url": url}
    return [
        nested,
        dotted,
        {"hearth": nested},
        {"hearth": dotted},
        {f"hearth.{name}": value for name, value in (nested | dotted).items()},
        {"hearth": {"hearth": nested}},
        {"hearth": {"completion": {"enabled": True, **nested, "cloud": cloud}}},
        {"hearth": {"completion.cloud.enabled": True, "completion": {"cloud.base_url": url}}},
        {"[python]": {"hearth.cloud.enabled": True}},
    ]


async def settled(client: Client) -> dict[str, Any]:
    """The server's status, once its engine is up and its model was found."""
    async with asyncio.timeout(REPLY_S):
        while True:
            status = await client.request("hearth/status")
            if [backend["state"] for backend in status.get("backends", [])] == ["ready"]:
                return status
            await asyncio.sleep(LOOK_S)


@pytest.mark.parametrize("trusted", [True, False])
async def test_what_an_editor_says_while_it_runs_changes_no_address_and_no_policy(
    tmp_path: Path, trusted: bool
) -> None:
    write_settings(tmp_path, {"text": "1\n", "chat_text": "from here"})
    async with Capture() as far:
        client = await start(tmp_path)
        try:
            await client.initialize(initializationOptions={"workspace_trusted": trusted})
            before = await settled(client)
            for form in forms(far.url):
                await client.notify("workspace/didChangeConfiguration", {"settings": form})
                # After each: a later one may take back what one before it has done.
                after = await client.request("hearth/status")
                for part in ("cloud", "backends", "index", "workspace_trusted"):
                    assert after[part] == before[part], (part, form)
                assert after["cloud"]["enabled"] is False
                assert after["workspace_trusted"] is trusted
            # Nor where it does not show: the same model answers, and the far one hears nothing.
            answered = await client.command("hearth.ask", {"prompt": "who are you?"})
            assert (answered["place"], answered["text"]) == ("machine", "from here")
            await client.stop()
        finally:
            await client.kill()
        assert far.connections == 0


def test_the_client_reads_such_settings_from_the_users_own_scope_only() -> None:
    sources = {path.name: path.read_text("utf-8") for path in (ROOT / "client-extension/src").glob("*.ts")}
    everything = "\n".join(sources.values())
    assert "inspect" in everything
    assert "globalValue" in everything
    assert "workspaceValue" not in everything
    assert "workspaceFolderValue" not in everything
    # Whatever `get` gives is a mixture of all scopes.
    assert re.findall(r"getConfiguration\([^)]*\)\s*\.\s*get\b", everything) == []
