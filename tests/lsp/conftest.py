"""Server processes that are always ended."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from lsp_client import Client, ServerError, start, write_settings

Start = Callable[..., Awaitable[Client]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Start]:
    """`await server(script)` gives an initialized client of a new server process with the scripted backend."""
    clients: list[Client] = []

    async def begin(
        script: dict[str, Any] | None = None, *, extra: str = "", initialize: bool = True, **params: Any
    ) -> Client:
        write_settings(tmp_path, script, extra)
        client = await start(tmp_path)
        clients.append(client)
        if initialize:
            await client.initialize(**params)
            with suppress(ServerError):  # what waits for the engine, so that nothing asked next finds it missing
                await client.command("hearth.status", {})
        return client

    yield begin
    for client in clients:
        try:
            await client.rested()
            client.check()
        finally:
            await client.kill()
