"""The embedded engine: llama.cpp in a child process of ours, with a GGUF file that the user names.

The child (hearth.backends.engine_process) says where it listens; from there on this is the llama.cpp backend. The
worker starts it again if it dies, and each life has a new address and a new key.

Where it is there to chat as well, it has a second slot, so that suggestions go on while an answer is written. That
costs the memory of a second context (28 KB a token with 1.5 billion weights); roles = ["complete"] gives it back. Chats
go through the model's own chat template; a file that has none gets llama.cpp's ChatML, which most models understand.
"""

import asyncio
import importlib.metadata
import importlib.util
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hearth.backends.base import Chat, Delta, Finish, Generate, Probe
from hearth.backends.http import Deadlines, Hints
from hearth.backends.llamacpp import LlamaCpp
from hearth.backends.states import States
from hearth.errors import BackendError, ModelLoading, Unreachable, WorkerError
from hearth.settings import BackendSettings, data_dir
from hearth.worker import Worker, python_argv

RESTARTS_MAX = 2
ANNOUNCE_S = 1.0
"""How long one probe waits for the engine; it goes on loading meanwhile."""
GGUF_MAGIC = b"GGUF"
# Threads that wait for each other must sleep, not spin: spinning takes the processor from the editor, and is six times
# slower where both cores are taken.
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}
RESTART_REMEDY = "Reload the window to start it again; try a smaller model if this goes on."


class Embedded:
    """A Backend with its own engine process, started by the first probe. `states_dir`: where states are saved."""

    def __init__(
        self, settings: BackendSettings, *, deadlines: Deadlines | None = None, states_dir: Path | None = None
    ) -> None:
        self._settings = settings
        self._states_dir = states_dir or data_dir() / "slots"
        self._states: States | None = None
        self._deadlines = deadlines
        self._path = Path(settings.model).expanduser()
        self._worker: Worker | None = None
        self._inner: LlamaCpp | None = None
        self._past: list[LlamaCpp] = []
        self._problem = ""

    @property
    def name(self) -> str:
        return f"embedded {self._path.name}"

    @property
    def url(self) -> str:
        """The engine's address once it is known; always on this machine."""
        return self._inner.url if self._inner else "http://127.0.0.1"

    @property
    def pid(self) -> int | None:
        """The engine's process, while it lives."""
        return self._worker.pid if self._worker else None

    async def probe(self) -> Probe:
        """Start the engine if need be, and ask it; `loading` until the model is there."""
        unusable = self._check()
        if unusable:
            return unusable
        if self._worker is None:
            arguments = await asyncio.to_thread(self._prepare_states)
            self._worker = self._worker or self._new_worker(arguments)
        try:
            await self._worker.start()
            await self._worker.first_message(ANNOUNCE_S)
        except WorkerError as error:
            if self._problem:
                return self._failed("down", self._problem, RESTART_REMEDY)
            if self._worker.alive or self._worker.restarts < RESTARTS_MAX:
                return self._failed("loading", "the engine is loading the model")
            return self._failed("down", error.message, RESTART_REMEDY)
        if self._inner is None:
            return self._failed("no_model", self._problem, "Check that the file is a complete GGUF model.")
        return await self._inner.probe()

    def generate(self, request: Generate) -> AsyncGenerator[Delta | Finish]:
        """Stream one generation; see backends.base for the contract."""
        return self._with(lambda inner: inner.generate(request))

    def chat(self, request: Chat) -> AsyncGenerator[Delta | Finish]:
        """See backends.base.Chatter."""
        return self._with(lambda inner: inner.chat(request))

    async def save_state(self, name: str) -> bool:
        """See backends.base.Stateful."""
        states, inner = self._states, self._inner
        if states is None or inner is None or (file := await asyncio.to_thread(states.begin, name)) is None:
            return False
        size = await inner.save_slot(file)
        if size is None:
            await asyncio.to_thread(states.give_up, name)
            return False
        return await asyncio.to_thread(states.keep, name, size)

    async def restore_state(self, name: str) -> int | None:
        """See backends.base.Stateful."""
        states, inner = self._states, self._inner
        if states is None or inner is None or (found := await asyncio.to_thread(states.unseal, name)) is None:
            return None
        file, digest = found
        tokens = await inner.restore_slot(file)
        if tokens is not None:
            await asyncio.to_thread(states.reseal, name, digest)
        return tokens

    async def aclose(self) -> None:
        """End the engine and close the connections."""
        if self._worker is not None:
            await self._worker.aclose()
        for inner in [*self._past, *([self._inner] if self._inner else [])]:
            await inner.aclose()
        self._inner = None
        self._past.clear()

    def _with(self, begin: Callable[[LlamaCpp], AsyncGenerator[Delta | Finish]]) -> AsyncGenerator[Delta | Finish]:
        if self._inner is not None:
            return begin(self._inner)
        if self._problem:
            return _refused(Unreachable(f"the embedded engine is not running: {self._problem}", RESTART_REMEDY))
        return _refused(ModelLoading("the embedded engine is still loading the model", "Nothing to do: it is coming."))

    def _prepare_states(self) -> list[str]:
        """What to tell the engine of the folder of states: nothing if it cannot be used."""
        try:
            model = self._path.stat()
        except OSError:
            return []
        fingerprint = f"{_requirement()} {self._path.resolve()} {model.st_size} {model.st_mtime_ns}"
        states = States(self._states_dir.absolute(), f"{fingerprint} {self._settings.context_tokens}")
        self._states = states if states.prepare() else None
        return [str(self._states_dir.absolute())] if self._states else []

    def _new_worker(self, arguments: list[str]) -> Worker:
        argv = python_argv(
            "hearth.backends.engine_process",
            str(self._path.resolve()),
            str(self._settings.context_tokens),
            str(2 if "chat" in self._settings.roles else 1),
            *arguments,
        )
        return Worker(
            "engine",
            argv,
            env=ENVIRONMENT,
            restarts_max=RESTARTS_MAX,
            on_exit=self._ended,
            on_announce=self._announced,
        )

    def _announced(self, message: dict[str, Any]) -> None:
        if not message.get("ready"):
            self._problem = f"the engine could not load {self._path.name}: {message.get('error') or 'no reason given'}"
            return
        self._problem = ""
        hints = Hints(
            f"the embedded engine ({self._path.name})",
            start=RESTART_REMEDY,
            wrong=RESTART_REMEDY,
            context="Raise context_tokens of this backend in settings.toml.",
        )
        settings = replace(self._settings, url=str(message["url"]), model="")
        key = str(message["key"])
        self._inner = LlamaCpp(settings, api_key=key, deadlines=self._deadlines, kind="embedded", hints=hints)

    def _ended(self, code: int, restarting: bool) -> None:
        if self._inner is not None:
            self._past.append(self._inner)
            self._inner = None
        if not restarting:
            self._problem = f"the embedded engine ended too often (last exit code {code})"

    def _check(self) -> Probe | None:
        """Why the engine need not even be started; None if it may be."""
        if importlib.util.find_spec("xllamacpp") is None:
            return self._failed(
                "no_model",
                "the embedded engine is not installed",
                f"Run: {sys.executable} -m pip install {_requirement()}",
            )
        if not self._settings.model:
            return self._failed("no_model", "no model file is named", "Set `model` to the path of a GGUF file.")
        try:
            with self._path.open("rb") as stream:
                magic = stream.read(len(GGUF_MAGIC))
        except OSError as error:
            return self._failed(
                "no_model", f"{self._path} cannot be read ({error.strerror})", "Set `model` to the path of a GGUF file."
            )
        if magic != GGUF_MAGIC:
            return self._failed("no_model", f"{self._path} is not a GGUF file", "Set `model` to a GGUF model file.")
        return None

    def _failed(self, state: Any, problem: str, remedy: str = "") -> Probe:
        return Probe(
            "embedded", self.url, state, model=self._path.name, server="llama.cpp", problem=problem, remedy=remedy
        )


def _requirement() -> str:
    """The engine's package, pinned as in Hearth's own metadata."""
    wanted = (line.partition(";")[0].strip() for line in importlib.metadata.requires("hearth") or ())
    return next((name for name in wanted if name.startswith("xllamacpp")), "xllamacpp")


async def _refused(error: BackendError) -> AsyncGenerator[Delta | Finish]:
    """A stream that is one error."""
    raise error
    yield  # pyright: ignore[reportUnreachable]
