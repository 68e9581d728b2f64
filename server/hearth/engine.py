"""The facade and composition root: the only module that knows every part.

`async with open_engine(settings) as engine` starts everything and ends everything: no task outlives the block.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hearth import __version__, why
from hearth.anchors import Anchors
from hearth.backends.discover import Finder
from hearth.backends.websearch import WebSearch
from hearth.chat.chats import Chats
from hearth.chat.transcripts import Transcripts
from hearth.chat.workspace import WorkspaceDesk
from hearth.cloud import Cloud
from hearth.complete import Completer, Outcome, Source, Suggestion
from hearth.copies import Copies
from hearth.core import policy
from hearth.core.budget import left
from hearth.core.context import Diagnostic
from hearth.core.copying import CopyPrediction
from hearth.core.exchange import Event, Request
from hearth.core.gate import Extent
from hearth.core.notebook import Around
from hearth.core.origin import USER, Origin
from hearth.core.quota import left_today
from hearth.core.text import Position, Range, Snapshot
from hearth.core.trust import Trust
from hearth.core.websearch import WebPage
from hearth.courier.client import Courier
from hearth.door import Consent, Door, nobody
from hearth.embed import EmbedLoop
from hearth.errors import EgressDenied, HearthError, LedgerError, WorkerError
from hearth.gateway import Gateway, Member, destination_of
from hearth.gather import Recent, Spot
from hearth.gather import Source as ContextSource
from hearth.idle import Idle
from hearth.index.client import IndexClient
from hearth.ledger import Ledger
from hearth.ledger_reading import summary
from hearth.masking import Masks
from hearth.project import ProjectSource
from hearth.rulings import LOOK_EVERY_S, Rulings
from hearth.sending import Sending
from hearth.settings import Settings
from hearth.store import Memory, worth_keeping
from hearth.store_disk import Shelf
from hearth.uris import path_of

__all__ = ["Engine", "Notice", "Outcome", "Source", "Suggestion", "open_engine", "path_of"]

TRUST = "trust"
"""Where the prompt store keeps what is known of the user's taste."""
INDEX_LOOK_S = 0.1
INDEX_OFF = "The index is turned off."
INDEX_OFF_REMEDY = "Set index.enabled to true."
WARM_LOOK_S = 0.1
SAVE_AT_END_S = 1.0
DISK_FREE_BYTES_MIN = 200_000_000


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know once. `remedy` says what to do next."""

    level: Literal["info", "warning", "error"]
    message: str
    remedy: str = ""


class Engine:
    """Everything Hearth can do, without knowing that editors exist. One per process; made by `open_engine`."""

    def __init__(self, settings: Settings, data_dir: Path, notify: Callable[[Notice], None]) -> None:
        self.settings = settings
        self._data_dir = data_dir
        self._notify = notify
        self.on_progress: Callable[[dict[str, Any]], None] = lambda _status: None
        """Called with every status that the index tells of itself."""
        self._folders: list[Path] = []
        self._open: dict[str, Snapshot] = {}
        self.rulings = Rulings(settings.privacy.never, cloud=settings.cloud.enabled, tell=self._tell)
        self._masks = Masks(lambda: self._folders, os.environ, Path.home())
        self._finder = Finder(settings, states_dir=data_dir / "slots")
        self.gateway = Gateway(self._find, settings.privacy.own_hosts, self._tell)
        self.ledger = Ledger(data_dir / "ledger")
        self.cloud = Cloud(settings.cloud, data_dir / "cloud", courier=Courier(), ledger=self.ledger)
        self._door = Door(self.gateway, self.cloud, self.rulings, self._masks)
        self.consent: Consent = nobody
        """Asks the user before something leaves, for whoever brings no consent of their own."""
        self._shelf = Shelf(data_dir / "prompts", self._tell)
        self._memory = Memory(self._shelf, self._kept)
        self.copies = Copies(
            lambda: not self.gateway.target("complete"), _name_of, self._index_gone, files=settings.index.enabled
        )
        self.index = self._index_client() if settings.index.enabled else None
        self._recent = Recent(self._names)
        self._sending = sending = Sending(self.rulings, self._masks.of)
        self._web = WebSearch(settings.chat.web_url, self.gateway.check) if settings.chat.web_url else None
        self._completer = Completer(
            self.gateway, self._memory, self._copied, settings.completion, self._names, sending, self._recent.visited
        )
        self._embed = EmbedLoop(
            self.gateway,
            self._ask_index,
            lambda: [os.path.realpath(folder) for folder in self._folders],
            settings.index.embedding_model if settings.index.enabled else "",
            self._tell,
            sending.texts,
        )
        self._idle = Idle(
            self.gateway,
            self._completer.pilot,
            Anchors(self._shelf, self._kept),
            self._sources(),
            lambda: self._workspace,
        )
        self._index_state: str | None = None
        self.chats = self._new_chats()
        self._loads: set[asyncio.Task[None]] = set()

    async def complete(
        self,
        snapshot: Snapshot,
        position: Position,
        *,
        invoked: bool = False,
        selected: tuple[Range, str] | None = None,
        around: Around | None = None,
        cursors: int = 1,
    ) -> Outcome:
        """Suggest what comes at `position`. Never raises but CancelledError, which stops the model's work.

        `invoked`: the user asked for it by a key, so gates of taste do not apply. `selected`: the suggest widget's
        highlighted item (its range and text): a suggestion must begin with it. `around`: the notebook's other cells,
        if the document is a cell. `cursors`: how many there are; `position` is the first one's.
        """
        self._idle.touched(snapshot, position, around)
        if snapshot.uri not in self._open:
            self.rulings.opened(snapshot.uri)  # by whoever asks without an editor
        return await self._completer.complete(
            snapshot, position, invoked=invoked, selected=selected, around=around, cursors=cursors
        )

    def ask(self, request: Request, consent: Consent | None = None) -> AsyncGenerator[Event]:
        """One answer of a chat model, of the user's own or, with consent, in the cloud: see hearth.door."""
        return self._door.ask(request, consent or self.consent)

    async def answerable(self) -> None:
        """Wait a little until it is known who could answer a chat: right after the start, and while a model loads."""
        await self._door.settled()

    @property
    def trusted(self) -> bool:
        """Whether the user trusts the workspace: else nothing of it leaves this machine."""
        return self.rulings.trusted

    @trusted.setter
    def trusted(self, value: bool) -> None:
        self.rulings.trusted = value

    def focused(self, snapshot: Snapshot, position: Position, around: Around | None = None) -> None:
        """The user looks at a document, with the cursor at `position`: it is read ahead, where completion is on."""
        settings = self._completer.settings
        if settings.enabled and snapshot.language not in settings.languages_off:
            self._idle.focused(snapshot, position, around)

    def opened(self, snapshot: Snapshot) -> None:
        """A document was opened."""
        self.rulings.opened(snapshot.uri)
        self._note(snapshot)
        load = asyncio.create_task(self._recall_document(snapshot.uri), name="remembered suggestions")
        self._loads.add(load)
        load.add_done_callback(self._loads.discard)

    def changed(self, snapshot: Snapshot) -> None:
        """A document has a new version. Cheap: called on every keystroke."""
        self._note(snapshot)
        self._embed.touched()
        self._completer.changed(snapshot)

    def _note(self, snapshot: Snapshot) -> None:
        self._open[snapshot.uri] = snapshot
        self.copies.noted(snapshot)
        self._recent.touched(snapshot)
        self._idle.touched(snapshot)

    def saved(self, uri: str) -> None:
        """A document was written to disk."""
        if path := path_of(uri):
            self.file_changed(path)

    def file_changed(self, path: Path) -> None:
        """A file was written, created or deleted, by whomever."""
        self.rulings.file_changed(path)
        self.copies.saved(path)
        if self.index:
            self.index.saved(path)

    def closed(self, uri: str) -> None:
        """A document was closed."""
        self._open.pop(uri, None)
        self.rulings.closed(uri)
        self.copies.closed(uri)
        self._completer.closed(uri)
        self._recent.closed(uri)

    def diagnosed(self, uri: str, diagnostics: Iterable[Diagnostic]) -> None:
        """What the editor's other tools say about a document now."""
        self._recent.diagnosed(uri, diagnostics)

    def accepted(self, suggestion_id: str) -> None:
        """The user took a whole suggestion."""
        self._completer.counts.accepted += 1

    def set_folders(self, folders: Sequence[Path]) -> None:
        """The workspace's folders changed."""
        before, self._folders = self._folders, [folder.absolute() for folder in folders]
        if self._folders != before:
            self.chats = self._new_chats()  # conversations are kept by workspace
        self.rulings.set_folders(self._folders)
        self.copies.set_folders(self._folders, self._open_files)
        if self.index:
            self.index.set_folders(self._folders, self._open_files())

    def configure_completion(self, *, enabled: bool | None = None, languages_off: Sequence[str] | None = None) -> None:
        """The only settings an editor may change while running."""
        now = self._completer.settings
        if enabled is not None:
            now = replace(now, enabled=enabled)
        if languages_off is not None:
            now = replace(now, languages_off=tuple(languages_off))
        self._completer.settings = now

    async def settled(self, timeout_s: float) -> None:
        """Wait until every server was asked once and the workspace was read, at most `timeout_s`: for the command
        line, where there is no second keystroke."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.gateway.probed.wait()
                if self.index:
                    await self.index.started.wait()
                while any(probe.state == "loading" for probe in self.gateway.probes()):
                    await asyncio.sleep(0.05)
                while not self.gateway.target("complete") and self.copies.state not in ("ready", "off"):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass

    async def indexed(self, on_progress: Callable[[dict[str, Any]], None] = lambda _status: None) -> dict[str, Any]:
        """Wait until the workspace is read, or cannot be; the index's last status. `on_progress` is told on the way."""
        status: dict[str, Any] = {"state": "off", "problem": INDEX_OFF}
        if self.index:
            await self.index.started.wait()
        while self.index and (status := await self.index.status())["state"] in ("walking", "idle"):
            on_progress(status)
            await asyncio.sleep(INDEX_LOOK_S)
        return status

    async def search(self, query: str, limit: int = 10) -> list[dict[str, Any]]:
        """Pieces of the workspace that answer a question or match words, best first, as `hearth search --json` gives
        them: path (relative to its folder), start_line, end_line (0-based), score, text; and symbol, folder.

        Raises WorkerError where there is no index.
        """
        if self.index is None:
            raise WorkerError(INDEX_OFF, INDEX_OFF_REMEDY)
        await self.index.started.wait()
        return await self.index.search(query, limit, await self._embed.question(query))

    async def status(self) -> dict[str, Any]:
        """What `hearth doctor --json` prints, plus the live counters of `hearth/status`."""
        counts, totals = self._completer.counts, self.gateway.totals
        target = self.gateway.target("complete")
        return {
            "version": __version__,
            "completion": {
                "enabled": self._completer.settings.enabled,
                "source": "model" if target else "workspace",
                "backend": target.backend.name if target else "",
                "model": target.probe.model if target else "",
                "why": "" if target else self.gateway.why_no_target("complete"),
            },
            "backends": [asdict(probe) for probe in self.gateway.probes()],
            "index": {**await self.index.status(), "embedding": self._embed.status()}
            if self.index
            else {"state": "off"},
            "cache": {"suggestions": len(self._memory), "problem": self._shelf.problem},
            "ledger": self._ledger(),
            "cloud": await self._cloud_status(),
            "disk": self._disk(),
            "gpu": _gpus(),
            "problems": self._problems(),
            "completions": {
                **asdict(counts),
                **asdict(self._completer.pilot.counts),
                "shown_none_by_reason": dict(counts.shown_none_by_reason),
            },
            "tokens": {"prompt": totals.prompt, "prefilled": totals.prefilled, "generated": totals.generated},
        }

    async def _cloud_status(self) -> dict[str, Any]:
        """Money in USD. What is spent is known from the ledger: nobody is asked."""
        cloud = self.cloud
        if not cloud.settings.enabled:
            return {"enabled": False, "problem": "", "host": cloud.host}
        given = await asyncio.to_thread(cloud.consents.given)
        found: dict[str, Any] = {"enabled": True, "problem": cloud.problem, "host": cloud.host}
        found["allowed"] = [one.as_json() for one in given]
        try:
            money = await cloud.money()
        except LedgerError as error:
            return {**found, "problem": error.message}
        found |= {"spent_today": float(money.spent), "left_today": float(left(money, cloud.now))}
        return {**found, "free_requests_left_today": left_today(cloud.standing.quota, cloud.now)}

    def _ledger(self) -> dict[str, Any]:
        try:
            return {"entries": summary(self._data_dir / "ledger").entries, "problem": ""}
        except LedgerError as error:
            return {"entries": 0, "problem": error.message}

    def why(self) -> str:
        """Markdown that lists what was decided for the last completion requests."""
        target = self.gateway.target("complete")
        if target:
            model = target.probe.model or "the loaded model"
            source = f"Suggestions come from **{model}** ({target.backend.name})."
        else:
            source = f"Suggestions come from your workspace: {self.gateway.why_no_target('complete')}."
        return why.page(source, self._completer.trace)

    async def run(self) -> None:
        """The background work, until cancelled: servers, the index, open documents, the prompt store."""
        self._shelf.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.gateway.run(), name="gateway")
            tasks.create_task(self.copies.run(self.gateway.probed), name="copies")
            tasks.create_task(self._idle.run(), name="idle")
            tasks.create_task(self._embed.run(), name="embedding")
            tasks.create_task(self._warm(), name="warm start")
            tasks.create_task(self._recall(), name="taste")
            tasks.create_task(self.cloud.recall(), name="catalogue")
            if self.index:
                tasks.create_task(self.index.start(self._folders, self._open_files()), name="index")

    async def _warm(self) -> None:
        """As soon as a server is ready, which takes a model's loading time: bring back what it kept."""
        while not self.gateway.target("complete"):
            await asyncio.sleep(WARM_LOOK_S)
        await self._idle.warm()
        self._idle.resume()

    def _new_chats(self) -> Chats:
        desk = WorkspaceDesk(
            folders=lambda: self._folders,
            opened=self._open.get,
            path_of=path_of,
            search=self.search,
            diagnostics=self._recent.diagnostics,
            trusted=lambda: self.trusted,
            web=self._search_web if self._web else None,
            repository_map=self._map if self.index else None,
            stays=self._stays,
        )
        transcripts = Transcripts(self._data_dir, desk.folders)
        door = self._door
        return Chats(
            self.ask, desk, door.room, transcripts, ability=door.ability, settled=door.settled, away=door.asks_away
        )

    async def _stays(self, origins: Sequence[Origin]) -> str:
        if self.cloud.problem or not self.trusted:
            return ""  # nothing goes there anyway
        # Asked of many files one after the other; the door looks again before anything is sent.
        await self.rulings.prepare(origins, LOOK_EVERY_S)
        found = policy.decide(origins, "cloud", "prompt", self.rulings.rules())
        return found.reason if found.verdict == "deny" else ""

    async def _map(self, folder: str, tokens: int, mentioned: Sequence[str]) -> str:
        assert self.index is not None
        await self.index.started.wait()
        return await self.index.repository_map(Path(folder), tokens, mentioned=mentioned)

    async def _search_web(self, query: str) -> Sequence[WebPage]:
        """By the search engine that the user set; on another machine it is told no secrets."""
        assert self._web is not None
        (words,) = await self._sending.texts([(query, USER)], destination_of(self.settings.chat.web_url))
        if words is None:
            raise EgressDenied(
                "This workspace is not trusted, so nothing of it leaves this machine.", "Trust it first."
            )
        return await self._web(words)

    @property
    def resident(self) -> bool:
        """Whether a server is known to have a prompt of ours in its cache."""
        return self._completer.pilot.resident is not None

    @property
    def _workspace(self) -> str:
        """The name under which prompts of this workspace are kept."""
        return "\n".join(sorted(map(str, self._folders)))

    async def _recall(self) -> None:
        """What is known of the user's taste from earlier days."""
        records = await self._shelf.load(TRUST)
        if records:
            self._completer.trust = Trust(records[-1])

    async def aclose(self) -> None:
        """Give back sockets and child processes."""
        if record := self._completer.trust.record():
            self._shelf.put(TRUST, record)
        try:
            async with asyncio.timeout(SAVE_AT_END_S):
                await self._idle.aclose()
        except TimeoutError:
            pass
        for load in self._loads:
            load.cancel()
        await self._completer.aclose()
        await self._shelf.aclose()
        await self.cloud.aclose()
        await self.ledger.aclose()
        await self.gateway.aclose()
        if self._web:
            await self._web.aclose()
        await self._embed.aclose()
        await self.copies.aclose()
        if self.index:
            await self.index.aclose()

    async def _find(self) -> Sequence[Member]:
        return [Member(backend, roles) for backend, roles in await self._finder()]

    async def _copied(self, spot: Spot, extent: Extent) -> CopyPrediction | None:
        return await self.copies.predict(spot)

    def _sources(self) -> dict[str, ContextSource]:
        sources: dict[str, ContextSource] = {"open": self._recent.source}
        if self.index:
            sources["index"] = ProjectSource(self.index, path_of)
        return sources

    def _index_progress(self, status: dict[str, Any]) -> None:
        self._embed.changed()
        if status.get("state") == "ready" and self._index_state != "ready":
            self._idle.resume()  # it knows more now than when the user came to rest
        self._index_state = status.get("state")
        self.on_progress(status)

    async def _ask_index(self, message: dict[str, Any], within_s: float) -> dict[str, Any]:
        if self.index is None:
            raise WorkerError(INDEX_OFF, INDEX_OFF_REMEDY)
        return await self.index.ask(message, within_s)

    def _index_client(self) -> IndexClient:
        url = self.settings.index.qdrant_url
        try:
            if url:
                self.gateway.check(url)
        except EgressDenied as error:
            self._tell(error)
            url = ""  # the index is kept on this machine then
        leaves = bool(url) and destination_of(url) != "machine"
        return IndexClient(
            self._data_dir,
            qdrant_url=url,
            qdrant_key_env=self.settings.index.qdrant_api_key_env if url else "",
            never=self.settings.privacy.never if leaves else (),
            share=lambda: not leaves or self.rulings.trusted,
            on_gone=self._index_gone,
            on_progress=self._index_progress,
        )

    async def _recall_document(self, uri: str) -> None:
        await self.rulings.prepare((self.rulings.origin(uri),))
        await self._memory.opened(uri)

    def _kept(self, uri: str) -> bool:
        """Whether something of a document may be kept on the disk."""
        return worth_keeping(uri) and not self.rulings.excluded(uri)

    def _names(self, uri: str) -> tuple[str, str]:
        """Repository and path for the prompt's header."""
        path = path_of(uri)
        for folder in self._folders:
            if path and path.is_relative_to(folder):
                return folder.name, path.relative_to(folder).as_posix()
        return "", path.name if path else ""

    def _open_files(self) -> list[Path]:
        return [path for uri in self._open if (path := path_of(uri))]

    def _index_gone(self, message: str, remedy: str) -> None:
        self._notify(Notice("warning", message, remedy))

    def _tell(self, error: HearthError) -> None:
        self._notify(Notice("warning", error.message, error.remedy))

    def _problems(self) -> list[dict[str, str]]:
        found = [{"message": p.problem, "remedy": p.remedy} for p in self.gateway.probes() if p.problem]
        disk = self._disk()
        if disk["free_bytes"] is not None and disk["free_bytes"] < DISK_FREE_BYTES_MIN:
            remedy = "Free some space; suggestions go on without it."
            found.append({"message": f"Less than 200 MB are free at {disk['path']}.", "remedy": remedy})
        if self.gateway.probed.is_set() and not self.gateway.target("complete") and not found:
            remedy = "Start Ollama, llama.cpp, LM Studio, vLLM or TabbyAPI with a code model; see the README."
            found.append({"message": _sentence(self.gateway.why_no_target("complete")), "remedy": remedy})
        if self.cloud.settings.enabled and self.cloud.problem:
            found.append({"message": _sentence(self.cloud.problem), "remedy": self.cloud.remedy})
        if problem := self._ledger()["problem"]:
            found.append({"message": problem, "remedy": "Nothing is sent to the cloud. See `hearth ledger verify`."})
        return found

    def _disk(self) -> dict[str, Any]:
        folder = self._data_dir
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            free: int | None = shutil.disk_usage(folder).free
        except OSError:
            free = None
        return {"path": str(self._data_dir), "free_bytes": free}


def _name_of(uri: str) -> str:
    path = path_of(uri)
    return str(path) if path else uri


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _gpus() -> list[str]:
    """Graphics cards that a model server could use, as far as the kernel's own files tell."""
    found = ["NVIDIA" for _ in Path("/proc/driver/nvidia/gpus").glob("*")]
    for path in Path("/sys/class/kfd/kfd/topology/nodes").glob("*/gpu_id"):
        try:
            found += ["AMD"] if path.read_text().strip() not in ("", "0") else []
        except OSError:
            continue
    return found


@asynccontextmanager
async def open_engine(
    settings: Settings,
    *,
    data_dir: Path,
    folders: Sequence[Path] = (),
    trusted: bool = True,
    notify: Callable[[Notice], None] = lambda _notice: None,
) -> AsyncGenerator[Engine]:
    """Start the engine: discovery and indexing begin in the background, so this returns at once."""
    engine = Engine(settings, data_dir, notify)
    engine.trusted = trusted
    engine.set_folders(folders)
    background = asyncio.create_task(engine.run(), name="engine")
    try:
        yield engine
    finally:
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
        await engine.aclose()
