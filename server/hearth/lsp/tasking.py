"""A multi-file task in an editor: the goal, the live page, what the user agrees to on the way, the change at its end.

The command runs as long as the task. Stopping it (the command, the progress bar's button, the editor's end) leaves the
task where it is: it can be taken up again, also after a restart. Nothing is changed before the end; then all files are
changed in one step, which the editor shows first and which Undo Last Change takes back.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from lsprotocol import types

from hearth.agent.abilities import abilities
from hearth.agent.base import Outcome, Parts
from hearth.agent.cassette import unwritten
from hearth.agent.kept import Kept, settle, since, state_of, unfinished
from hearth.agent.run import resume_task, run_task
from hearth.core.exchange import AUTO
from hearth.core.patch import FileEdit, Patch
from hearth.core.route import Choice
from hearth.engine import Engine
from hearth.errors import HearthError
from hearth.lsp import convert
from hearth.lsp.agreeing import FILES_SHOWN_MAX, Agreeing
from hearth.lsp.asking import Bar, Client, Item
from hearth.lsp.editing import Editing
from hearth.lsp.messages import say
from hearth.lsp.pages import TASK_PAGE, Pages, file_name

GOAL_CHARS_MAX = 20_000
TASKS_AT_ONCE = 2
REVEAL_WAIT_S = 3.0
"""How long the editor may take to fetch the page before its certificate is brought into view."""
LOOK_S = 0.05
CERTIFICATE = "## Certificate"


class Show(Protocol):
    """Open a page beside, at a line."""

    def __call__(self, uri: str, *, line: int | None = None) -> object: ...


@dataclass(slots=True)
class Tasking:
    """`home`: where tasks are kept. `choice`: who the user chose to answer."""

    engine: Callable[[], Engine | None]
    client: Client
    pages: Pages
    editing: Editing
    home: Path
    show: Show
    tell: Callable[[Literal["info", "warning"], str], None]
    folders: Callable[[], Sequence[Path]]
    texts: Callable[[], Mapping[Path, str]]
    """Of the open files, as the editor has them."""
    choice: Callable[[], Choice] = lambda: AUTO
    running: dict[str, str] = field(default_factory=dict[str, str])
    """The last page of each task that runs, by its id."""
    _revealing: "set[asyncio.Task[None]]" = field(default_factory=set["asyncio.Task[None]"])

    async def task(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.task`: {prompt?, folder?}: a new one."""
        language = self.client.language()
        goal = _text(fields, "prompt").strip()[:GOAL_CHARS_MAX]
        if not goal:
            goal = await self.client.input(say("task_goal", language), say("task_goal_hint", language)) or ""
        if not goal:
            return {"cancelled": True}
        folder = await self._folder(_text(fields, "folder"))
        if folder is None:
            return {"cancelled": True}
        return await self._run(goal, str(folder), lambda parts: run_task(goal, folder, parts))

    async def resume(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.resumeTask`: {task?}: one that was broken off, or whose changes wait to be accepted."""
        language, chosen = self.client.language(), _text(fields, "task")
        left = await asyncio.to_thread(unfinished, self.home)
        left = [one for one in left if one.id not in self.running]
        here = [one for one in left if self._open(one.folder)]
        if not chosen:
            if not here:
                raise HearthError(
                    say("task_elsewhere", language, folder=left[0].folder) if left else say("task_none", language)
                )
            items = [Item(one.id, one.goal, one.now) for one in here]
            chosen = await self.client.input(say("task_resume", language), "", items) or ""
        if not chosen:
            return {"cancelled": True}
        one = next((one for one in left if one.id == chosen), None)
        if one is None:
            raise HearthError(say("task_none", language))
        if not await asyncio.to_thread(os.path.isdir, one.folder):
            raise HearthError(say("task_gone", language, folder=one.folder))
        if not self._open(one.folder):
            raise HearthError(say("task_elsewhere", language, folder=one.folder))
        return await self._again(one)

    async def _again(self, one: Kept) -> dict[str, Any]:
        """Go on with a task; where the files have gone another way meanwhile, as the user says."""
        language = self.client.language()
        strange, _ = await asyncio.to_thread(lambda: since(state_of(self.home, one.id)))
        if strange:
            anew, go, later = (say(key, language) for key in ("task_anew", "task_go", "task_later"))
            text = say("task_since", language, files=", ".join(strange[:FILES_SHOWN_MAX]))
            answer = await self.client.choose(types.MessageType.Warning, text, (anew, go, later), closes=True)
            if answer == anew:
                await asyncio.to_thread(settle, self.home, one.id)
                return await self.task({"prompt": one.goal, "folder": one.folder})
            if answer != go:
                return {"cancelled": True}
        return await self._run(one.goal, one.folder, lambda parts: resume_task(one.id, parts))

    def _open(self, folder: str) -> bool:
        """Whether a task's folder, its real path, is one of the workspace's."""
        return any(_real(one) == folder for one in self.folders())

    async def _run(self, goal: str, folder: str, start: Callable[[Parts], Awaitable[Outcome]]) -> dict[str, Any]:
        language, engine = self.client.language(), self.engine()
        if engine is None:
            raise HearthError(say("no_engine", language))
        if len(self.running) >= TASKS_AT_ONCE:
            raise HearthError(say("task_many", language, count=TASKS_AT_ONCE))
        if differ := await asyncio.to_thread(unsaved, Path(folder), self.texts()):
            # A task works on the files: what is typed and not saved would be lost to it, and a conflict at its end.
            raise HearthError(say("task_unsaved", language, files=", ".join(differ[:FILES_SHOWN_MAX])))
        await engine.answerable()
        work = asyncio.current_task()
        assert work is not None
        mine: list[str] = []
        try:
            async with self.client.bar(f"Hearth: {goal[:60]}", lambda: _stop(work)) as bar:
                outcome = await start(self._parts(engine, goal, bar, mine))
        except OSError as error:
            raise unwritten(self.home, error) from error
        finally:
            for identifier in mine:
                self.running.pop(identifier, None)
        return await self._ended(goal, folder, outcome)

    def _parts(self, engine: Engine, goal: str, bar: Bar, mine: list[str]) -> Parts:
        def on_page(identifier: str, page: str) -> None:
            fresh = identifier not in self.running
            self.running[identifier] = page
            uri = page_of(identifier, goal)
            if fresh:
                mine.append(identifier)
                self.pages.put(uri, lambda: self.running.get(identifier, page))
                self.show(uri)
            self.pages.changed(uri)
            bar.say(_now(page))

        choice = self.choice()
        return Parts(
            engine.ask,
            Agreeing(self.client, self.pages, self.show, self.tell),
            self.home,
            index=engine,
            abilities=abilities(engine.gateway.targets("chat"), choice, engine.cloud.context_tokens(choice.model)),
            choice=choice,
            trusted=engine.trusted,
            on_page=on_page,
        )

    async def _ended(self, goal: str, folder: str, outcome: Outcome) -> dict[str, Any]:
        """Show the certificate, and bring the change into the files."""
        language, uri = self.client.language(), page_of(outcome.id, goal)
        self.pages.put(uri, outcome.page)
        revealing = asyncio.create_task(self._reveal(uri, outcome.page), name="reveal the certificate")
        self._revealing.add(revealing)
        revealing.add_done_callback(self._revealing.discard)
        found: dict[str, Any] = {"task": outcome.id, "page": uri, "ending": outcome.ending, "stop": outcome.stop}
        if outcome.ending not in ("done", "unverified"):
            self.tell("warning", say("task_stopped", language, why=(outcome.stop or outcome.ending).rstrip(".")))
        if not outcome.changes or outcome.ending in ("refused", "failed"):
            return found
        take, look, leave, later = (
            say(key, language) for key in ("task_take", "task_look", "task_leave", "task_later")
        )
        key = {"done": "task_ready", "unverified": "task_to_change"}.get(outcome.ending, "task_unproved")
        text = say(key, language, count=len(outcome.changes)) + "\n" + ", ".join(sorted(outcome.changes))
        if outcome.ending == "unverified":
            text = say("task_unverified", language, why=outcome.stop.rstrip(".")) + "\n" + text
        answer = await self.client.choose(types.MessageType.Warning, text, (look, take, leave, later), closes=True)
        if answer == leave:
            await asyncio.to_thread(settle, self.home, outcome.id)
        if answer not in (take, look):
            return {**found, "applied": False}
        edits = tuple(FileEdit(path, outcome.bases.get(path), text) for path, text in outcome.changes.items())
        real = _real(folder)
        named = next((str(one) for one in self.folders() if _real(one) == real), real)
        document = self.editing.desk.uri(named, edits[0].path)
        applied = await self.editing.apply(Patch(edits, ()), goal, document, uri, confirm=answer == look)
        if applied.done:
            await asyncio.to_thread(settle, self.home, outcome.id)
            self.tell("info", say("task_done", language, count=len(applied.places)))
        else:
            refused = applied.problem == say("edit_refused", language)
            self.tell("warning", say("task_kept", language) if refused else applied.problem)
        return {**found, "applied": applied.done, "change": applied.id, "message": applied.problem}

    async def _reveal(self, uri: str, page: str) -> None:
        """The certificate is at the page's foot: bring it into view, once the editor has the text that it is in."""
        line = next((at for at, text in enumerate(page.split("\n")) if text == CERTIFICATE), None)
        for _ in range(round(REVEAL_WAIT_S / LOOK_S)):
            if line is not None and self.pages.shown(uri) == page:
                self.show(uri, line=line)
                return
            await asyncio.sleep(LOOK_S)

    async def _folder(self, wanted: str) -> Path | None:
        folders = list(self.folders())
        if not folders:
            raise HearthError(say("task_folder", self.client.language()))
        known = next((one for one in folders if wanted and wanted in (str(one), _real(one))), None)
        if known is not None or len(folders) == 1:
            return known or folders[0]
        items = [Item(str(one), one.name, str(one)) for one in folders]
        chosen = await self.client.input(say("task_which", self.client.language()), "", items)
        return next((one for one in folders if str(one) == chosen), None)


def _real(folder: str | Path) -> str:
    return os.path.realpath(folder)


def _stop(work: "asyncio.Task[Any]") -> None:
    work.cancel()


def unsaved(folder: Path, texts: Mapping[Path, str]) -> list[str]:
    """The files of a folder that the editor has otherwise than the disk. Blocks."""
    found: list[str] = []
    for path, text in texts.items():
        try:
            if path.is_relative_to(folder) and path.read_bytes().decode("utf-8-sig") != text:
                found.append(path.relative_to(folder).as_posix())
        except (OSError, UnicodeDecodeError):
            continue
    return sorted(found)


def page_of(identifier: str, goal: str) -> str:
    """The URI of a task's live document."""
    return f"{TASK_PAGE}{identifier}/{file_name(goal) or identifier}.md"


def _now(page: str) -> str:
    """The line that says what is being done."""
    lines = page.split("\n", 3)
    return lines[2].strip("*") if len(lines) > 2 else ""


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    return "" if value is None else convert.string(value, key)
