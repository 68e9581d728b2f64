"""Kills a real server amid a task that was asked for in an editor, and looks what is left, and whether it goes on.

`hearth serve` runs the task over the protocol, with a scripted model behind a chat server, and an editor that agrees to
everything, the project's checks too. At some moment it is killed; another one is started, the task taken up, and in the
end the change applied and undone.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "lsp"))

import psutil
from lsp_client import Client, ServerError, start, write_settings

from chat_server import ChatServer
from editor import EDITOR_CAPABILITIES, Editor
from hearth.agent.cassette import NAME as JOURNAL
from hearth.journal import Journal
from scenarios.models import Ideal
from scenarios.scenario import Scenario, judged, scenarios
from scenarios.served import served

TASKS = ("rename_function", "move_function", "js_event_name", "deprecated_helper", "cli_option")
"""Killed in turn; with a few files each, so that there is much to interrupt."""
AT_ONCE = 2
LIFE_S = 240.0
GONE_S = 20.0
POLL_S = 0.005
RECORDS = 24
"""About as many as a task has: the moment of a kill is after so many."""
AFTER_S_MAX = 0.25
"""A kill comes up to so long after what it waits for."""
THROUGH = ("done", "unverified")
AGREED = ("Go on", "Carry out", "Run", "Restore them", "Apply")


@dataclass(frozen=True)
class Moment:
    """When a server is killed: after `count` records, amid its `count`th check, when the editor is asked to apply
    (`before` it does), or has (`after`); and `more_s` later."""

    what: str
    count: int = 0
    more_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.what} {self.count}, {1_000 * self.more_s:.0f} ms later"


@dataclass
class KillReport:
    """`touched`: the user's files that were not as before, though nothing was applied. `left`: what went on running, or
    lay about. `ended`: taken up, it came to its end. `whole`: undone, all files were as before."""

    scenario: str
    moment: Moment
    touched: list[str] = field(default_factory=list[str])
    left: list[str] = field(default_factory=list[str])
    ended: bool = False
    solved: bool = False
    whole: bool = False
    hit: bool = True
    """It was killed while the task ran, and not after."""
    said: str = ""

    @property
    def good(self) -> bool:
        return self.ended and self.solved and self.whole and not self.touched and not self.left


class Yes(Editor):
    """Agrees to everything, takes up what there is, and can be held where it is asked to apply."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.stranger: list[str] = []
        self.reached: dict[str, asyncio.Event] = {"before": asyncio.Event(), "after": asyncio.Event()}
        self.holds = ""

    async def run(self, name: str, uri: str = "", start: Any = None, end: Any = None, **more: Any) -> Any:
        """A command, for as long as it takes on a busy machine."""
        client = self.client
        params = {"command": f"hearth.{name}", "arguments": [more]}
        request = await client.ask("workspace/executeCommand", params)
        async with asyncio.timeout(LIFE_S), client.arrived:
            await client.arrived.wait_for(lambda: request in client.answers)
        answer = client.answers[request]
        if "error" in answer:
            raise ServerError(answer["error"])
        return answer["result"]

    async def _button(self, params: Any) -> dict[str, str] | None:
        titles = [action["title"] for action in params["actions"]]
        wanted = next((title for title in AGREED if title in titles), None)
        if wanted is None or "Begin anew" in titles:
            self.stranger.append(params["message"])
        return None if wanted is None else {"title": wanted}

    async def _input(self, params: Any) -> dict[str, Any]:
        return {"value": params["items"][0]["value"] if params.get("items") else None}

    async def _apply(self, params: Any) -> dict[str, bool]:
        await self._reach("before")
        done = await super()._apply(params)
        await self._reach("after")
        return done

    async def _reach(self, where: str) -> None:
        self.reached[where].set()
        if self.holds == where:
            await asyncio.sleep(LIFE_S)


class House:
    """A user's project, and the folders of Hearth beside it."""

    def __init__(self, scenario: Scenario, home: Path, model: ChatServer) -> None:
        self.scenario, self.home, self.model = scenario, home, model
        self.work, self.tasks = home / "work", home / "data" / "tasks"
        scenario.write(self.work)
        write_settings(home)
        (home / "config" / "settings.toml").write_text(model.toml)

    async def editor(self, documents: dict[str, str] | None = None) -> Yes:
        """A new server, and an editor that has these texts open."""
        one = Yes(await start(self.home, stderr=asyncio.subprocess.DEVNULL))
        folder = {"uri": self.work.as_uri(), "name": "work"}
        await one.client.initialize(capabilities=EDITOR_CAPABILITIES, workspaceFolders=[folder])
        for uri, text in (documents or {}).items():
            await one.open(uri, text)
        return one

    def on_disk(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for path in sorted(self.work.rglob("*")):
            if path.is_file():
                found[path.relative_to(self.work).as_posix()] = path.read_text("utf-8")
        return found

    def seen(self, editor: Yes) -> dict[str, str]:
        """Every file as the editor has it, else as the disk does."""
        texts = self.on_disk()
        for uri in editor.documents:
            name = Path(uri.removeprefix(self.work.as_uri() + "/")).as_posix()
            if name in texts:
                texts[name] = editor.text(uri)
        return texts

    def records(self) -> int:
        return sum(path.read_bytes().count(b"\n") for path in self.tasks.glob(f"*/{JOURNAL}"))

    def copies(self) -> list[str]:
        return sorted(path.name for path in self.tasks.glob("*/copy-*"))

    def solves(self, texts: dict[str, str]) -> bool:
        return texts == self.scenario.solved() or judged(self.scenario, texts) == ""


def killed(count: int, die: random.Random) -> list[KillReport]:
    """`count` tasks, each killed once, at random moments; the kinds of moments in turn."""
    kinds = ("records", "check", "before", "records", "after", "records")
    tasks = [(TASKS[number % len(TASKS)], moment(kinds[number % len(kinds)], die)) for number in range(count)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one_kill, *zip(*tasks, strict=True)))


def moment(what: str, die: random.Random) -> Moment:
    count = {"records": die.randrange(RECORDS), "check": die.randrange(2)}.get(what, 0)
    return Moment(what, count, die.random() * AFTER_S_MAX)


def one_kill(name: str, when: Moment) -> KillReport:
    scenario = scenarios()[name]
    report = KillReport(name, when)
    with tempfile.TemporaryDirectory(prefix="hearth-kill-") as folder, served(Ideal(scenario)) as model:
        house = House(scenario, Path(folder).resolve(), model)
        asyncio.run(_lives(house, report))
    return report


async def _lives(house: House, report: KillReport) -> None:
    documents = await _first(house, report)
    second = await house.editor(documents)
    try:
        await _second(house, second, report, killed_applying=report.moment.what == "after" and report.hit)
    except (ServerError, AssertionError, TimeoutError) as error:
        report.said = str(error) or type(error).__name__
    finally:
        await _over(second)
    report.left += house.copies()


async def _first(house: House, report: KillReport) -> dict[str, str]:
    """Until the kill; the documents that were open in the editor then."""
    editor = await house.editor()
    when = report.moment
    editor.holds = when.what
    task = asyncio.create_task(editor.run("task", prompt=house.scenario.goal))
    watch = asyncio.create_task(_come(house, editor, when))
    await asyncio.wait((task, watch), timeout=LIFE_S, return_when=asyncio.FIRST_COMPLETED)
    report.hit = not task.done()
    if task.done() and task.exception() is not None:
        report.said = f"it ended of itself: {task.exception()}"
    family = _family(editor.client.process.pid)
    for one in (task, watch):
        one.cancel()
    await _over(editor)
    await asyncio.gather(task, watch, return_exceptions=True)
    report.left += await _still_there(family, house)
    documents = {uri: editor.text(uri) for uri in editor.documents}
    if not editor.reached["after"].is_set() and when.what != "after" and report.hit:
        report.touched += _differing(house.seen(editor), house.scenario.files)
        report.touched += _differing(house.on_disk(), house.scenario.files)
    return documents


async def _come(house: House, editor: Yes, when: Moment) -> None:
    if when.what in editor.reached:
        await editor.reached[when.what].wait()
    copies: set[str] = set()
    while when.what == "records" and house.records() < when.count:
        await asyncio.sleep(POLL_S)
    while when.what == "check" and len(copies) <= when.count:
        copies |= set(house.copies())
        await asyncio.sleep(POLL_S)
    await asyncio.sleep(when.more_s)


async def _second(house: House, editor: Yes, report: KillReport, *, killed_applying: bool) -> None:
    """Taken up, applied, undone."""
    before = house.scenario.files
    if not killed_applying and report.hit:
        async with asyncio.timeout(LIFE_S):
            done = await _taken_up(house, editor)
        report.said = "; ".join((done.get("stop") or "", done.get("message") or "", *editor.stranger)).strip("; ")
        report.ended = (
            done.get("ending") in ("done", "unverified") and bool(done.get("applied")) and not editor.stranger
        )
    else:
        report.ended = not report.said
    after = house.seen(editor)
    report.solved = house.solves(after)
    await editor.run("undoLastChange")
    states = [entry.state for entry in Journal(house.home / "data" / "journal").list()]
    report.whole = _differing(house.seen(editor), before) == [] and "done" not in states
    if not report.whole:
        report.said += f" journal: {states}, undone: {_differing(house.seen(editor), before)}"


async def _taken_up(house: House, editor: Yes) -> dict[str, Any]:
    try:
        return await editor.run("resumeTask")
    except ServerError as error:
        # It was killed before anything of the task was written down.
        if "no task" not in error.message or house.records():
            raise
        return await editor.run("task", prompt=house.scenario.goal)


async def _over(editor: Yes) -> None:
    """SIGKILL, and the editor goes."""
    with suppress(ProcessLookupError):
        editor.client.process.kill()
    await editor.client.kill()
    for one in editor.fetching:
        one.cancel()
    await asyncio.gather(*editor.fetching, return_exceptions=True)


def _differing(now: dict[str, str], before: Any) -> list[str]:
    return sorted(path for path in {*now, *before} if now.get(path) != before.get(path))


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


async def _still_there(family: Sequence[psutil.Process], house: House) -> list[str]:
    """What goes on running a while after its server was killed: of its children, or with its folders. It is ended."""
    until = time.monotonic() + GONE_S
    while True:
        left = [one for one in family if _runs(one)] + _of(house.home)
        if not left or time.monotonic() > until:
            break
        await asyncio.sleep(POLL_S * 4)
    names: list[str] = []
    for one in left:
        with suppress(psutil.Error):
            names.append(" ".join(one.cmdline())[-200:])
            one.kill()
    return names


def _runs(one: psutil.Process) -> bool:
    try:
        return one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _of(home: Path) -> list[psutil.Process]:
    """The processes whose home is in one of Hearth's folders here: checks, wherever they went."""
    found: list[psutil.Process] = []
    for one in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if one.pid != os.getpid() and one.environ().get("HOME", "").startswith(str(home)):
                found.append(one)
    return found


def told(reports: Sequence[KillReport]) -> str:
    """What went wrong, for who reads the test's failure."""
    return "\n".join(str(one) for one in reports if not one.good)
