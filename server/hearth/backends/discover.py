"""Which model servers there are: those in the settings, else those that answer on the well-known loopback ports."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from hearth.backends.base import Backend
from hearth.backends.embedded import Embedded
from hearth.backends.http import Deadlines, Hints, Http
from hearth.backends.llamacpp import LlamaCpp
from hearth.backends.ollama import Ollama
from hearth.backends.openai import OpenAi, is_models_list
from hearth.backends.scripted import ScriptedBackend
from hearth.errors import BackendError, DeadlineExceeded, ModelLoading
from hearth.settings import BackendSettings, Settings

PORTS = (8080, 8012, 11434, 1234, 8000, 5000)
"""llama-server, its FIM presets, Ollama, LM Studio, vLLM, TabbyAPI: best first, where several are usable."""
HOST = "127.0.0.1"
CONNECT_S = 0.3
IDENTIFY_S = 1.0
"""A server that leaves one question open for so long is asked no other: it must be configured."""

DEFAULT_URLS = {
    "llamacpp": "http://127.0.0.1:8080",
    "ollama": "http://127.0.0.1:11434",
    "openai": "http://127.0.0.1:1234",
}

Found = tuple[Backend, tuple[str, ...]]


class Finder:
    """Call it to get the backends and their roles. The same server keeps the same Backend over all calls.

    `states_dir`: where the embedded engine keeps its states; None: in the user's data directory.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ports: Sequence[int] = PORTS,
        env: Mapping[str, str] = os.environ,
        states_dir: Path | None = None,
    ) -> None:
        self._ports = ports
        self._env = env
        self._configured = [(make(entry, env, states_dir=states_dir), entry.roles) for entry in settings.backends]
        self._discovered: dict[BackendSettings, Backend] = {}

    async def __call__(self) -> list[Found]:
        """The configured backends as they are configured; with none, what is found now on the well-known ports."""
        if self._configured:
            return list(self._configured)
        entries = await asyncio.gather(*(_look(f"http://{HOST}:{port}", port) for port in self._ports))
        result: list[Found] = []
        for entry in entries:
            if entry is not None:
                if entry not in self._discovered:
                    self._discovered[entry] = make(entry, self._env)
                result.append((self._discovered[entry], entry.roles))
        # What is gone is its user's to close; if the server comes back it is a new one.
        self._discovered = {e: b for e, b in self._discovered.items() if e in entries}
        return result


async def find(settings: Settings) -> list[Found]:
    """The backends and their roles, once."""
    return await Finder(settings)()


def make(
    entry: BackendSettings,
    env: Mapping[str, str] = os.environ,
    deadlines: Deadlines | None = None,
    *,
    states_dir: Path | None = None,
) -> Backend:
    """The Backend for one entry. An empty url means the kind's usual port; nothing is contacted yet."""
    key = env.get(entry.api_key_env, "") if entry.api_key_env else ""
    if not entry.url and entry.kind in DEFAULT_URLS:
        entry = replace(entry, url=DEFAULT_URLS[entry.kind])
    match entry.kind:
        case "llamacpp":
            return LlamaCpp(entry, api_key=key, deadlines=deadlines)
        case "ollama":
            return Ollama(entry, api_key=key, deadlines=deadlines)
        case "openai":
            return OpenAi(entry, api_key=key, deadlines=deadlines)
        case "embedded":
            return Embedded(entry, deadlines=deadlines, states_dir=states_dir)
        case "scripted":
            return ScriptedBackend(entry.model)


async def identify(url: str) -> BackendSettings | None:
    """What kind of model server answers at `url`; None if none does. Never raises BackendError."""
    http = Http(url, Hints(url), deadlines=Deadlines(connect_s=CONNECT_S, probe_s=IDENTIFY_S))
    try:
        # llama-server comes first: it also answers like Ollama and like OpenAI.
        for ask in (_is_llamacpp, _is_ollama, _is_openai):
            if (kind := await ask(http)) is not None:
                return BackendSettings(kind=kind, url=url)
    except DeadlineExceeded:
        pass  # Whatever it is, the other servers must not wait for it.
    finally:
        await http.aclose()
    return None


async def _look(url: str, port: int) -> BackendSettings | None:
    """As `identify`, but a closed port, which is the usual case, costs one connection attempt."""
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(HOST, port)
    except (OSError, TimeoutError):
        return None
    writer.close()
    return await identify(url)


async def _is_llamacpp(http: Http) -> Literal["llamacpp"] | None:
    try:
        props = await http.json("/props")
    except ModelLoading:
        return "llamacpp"
    except DeadlineExceeded:
        raise
    except BackendError:
        return None
    return "llamacpp" if "default_generation_settings" in props or "total_slots" in props else None


async def _is_ollama(http: Http) -> Literal["ollama"] | None:
    try:
        version, tags = await http.json("/api/version"), await http.json("/api/tags")
    except DeadlineExceeded:
        raise
    except BackendError:
        return None
    return "ollama" if isinstance(version.get("version"), str) and isinstance(tags.get("models"), list) else None


async def _is_openai(http: Http) -> Literal["openai"] | None:
    try:
        return "openai" if is_models_list(await http.json("/v1/models")) else None
    except DeadlineExceeded:
        raise
    except BackendError:
        pass
    try:
        # TabbyAPI wants a key for its list of models, but says who it is without one.
        return "openai" if "tabbyapi" in str(await http.json("/.well-known/serviceinfo")).lower() else None
    except BackendError:
        return None
