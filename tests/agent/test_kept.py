"""The tasks that are kept: one at a time has each, what a killed one left goes, and which wait for the user."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from agent.players import Player
from agent.test_run import GOAL, ideal, project
from hearth.agent.base import Consenting, Parts
from hearth.agent.cassette import NAME, CassetteError
from hearth.agent.copying import copied, removed
from hearth.agent.kept import SETTLED, settle, since, state_of, swept, unfinished
from hearth.agent.run import resume_task, run_task
from hearth.core.exchange import Request


def parts(player: Player, home: Path) -> Parts:
    return Parts(ask=player.ask, person=Consenting(), home=home, trusted=False)


def copy_in(home: Path, name: str) -> Path:
    copy = home / name / "copy-0123"
    (copy / "work").mkdir(parents=True)
    (copy / "work" / "a.py").write_text("x = 1\n")
    return copy


async def test_one_at_a_time_has_a_task(tmp_path: Path):
    home, begun, go_on = tmp_path / "home", asyncio.Event(), asyncio.Event()

    class Slow(Player):
        async def ask(self, request: Request):
            begun.set()
            await go_on.wait()
            async for event in super().ask(request):
                yield event

    root = project(tmp_path / "ws")
    running = asyncio.create_task(run_task(GOAL, root, parts(Slow(ideal), home), "one"))
    await begun.wait()
    journal = (home / "one" / NAME).read_bytes()
    with pytest.raises(CassetteError, match="another window"):
        await resume_task("one", parts(Player(ideal), home))
    assert (home / "one" / NAME).read_bytes() == journal
    mine, old = copy_in(home, "one"), copy_in(home, "two")
    await asyncio.to_thread(swept, home)
    assert (mine.exists(), old.exists()) == (True, False), "what is at work keeps its copy"
    go_on.set()
    outcome = await running
    assert outcome.changes
    await asyncio.to_thread(swept, home)
    assert not mine.exists()
    assert (await resume_task("one", parts(Player(ideal), home))).changes == outcome.changes


async def test_what_came_of_it_waits_until_it_is_there_or_settled(tmp_path: Path):
    home, root = tmp_path / "home", project(tmp_path / "ws")
    outcome = await run_task(GOAL, root, parts(Player(ideal), home), "one")
    assert [one.id for one in unfinished(home)] == ["one"]
    assert since(state_of(home, "one")) == ([], sorted(outcome.changes))
    (root / "bill.py").write_text("mine\n")
    assert since(state_of(home, "one")) == (["bill.py"], sorted(outcome.changes))
    for path, text in outcome.changes.items():
        (root / path).write_text(text or "")
    assert since(state_of(home, "one")) == ([], [])
    assert unfinished(home) == [], "whoever has written it there"
    (root / "bill.py").write_text("mine\n")
    assert [one.id for one in unfinished(home)] == ["one"]
    settle(home, "one")
    assert (home / "one" / SETTLED).exists()
    assert unfinished(home) == []


async def test_a_copy_that_is_removed_while_it_is_made_does_not_come_back(tmp_path: Path, monkeypatch):
    root, place = project(tmp_path / "ws", {f"{number}.py": "x\n" for number in range(9)}), tmp_path / "copy-1"
    place.mkdir()
    amid, go_on = threading.Event(), threading.Event()
    write = Path.write_bytes

    def slowly(path: Path, data: bytes) -> int:
        amid.set()
        assert go_on.wait(20)
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", slowly)
    making = asyncio.create_task(
        asyncio.to_thread(copied, root, place / "work", {"new/a.py": "a\n", "new/b.py": "b\n"})
    )
    assert await asyncio.to_thread(amid.wait, 20)
    await asyncio.to_thread(removed, place)
    go_on.set()
    with pytest.raises(FileNotFoundError):
        await making
    assert os.listdir(tmp_path) == ["ws"]


def test_what_cannot_be_read_is_removed_too(tmp_path: Path):
    copy = copy_in(tmp_path, "one")
    (copy / "work").chmod(0)
    removed(copy)
    assert os.listdir(tmp_path / "one") == []
