"""A task's record: killed at any moment it goes on, played again it is the same, and exported it holds no code."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from agent.players import Player, Say
from agent.test_run import GOAL, contents, forgetful, ideal, project
from hearth.agent.base import Consenting, Parts
from hearth.agent.cassette import NAME, CassetteError, records, redacted, replayed
from hearth.agent.run import resume_task, run_task
from hearth.core.exchange import Request, ToolCall
from hearth.core.task_page import certificate, page
from hearth.core.task_protocol import Demand
from scenarios.scenario import scenarios
from scenarios.tasks.harness import Run, room


def parts(player: Player, home: Path) -> Parts:
    # Nothing is run, so that it is the loop that is looked at here.
    return Parts(ask=player.ask, person=Consenting(), home=home, trusted=False)


class Killed(BaseException):
    """The process is no more."""


async def recorded(tmp_path: Path) -> Path:
    await run_task(GOAL, project(tmp_path / "ws"), parts(Player(forgetful), tmp_path / "home"), "one")
    return tmp_path / "home" / "one" / NAME


async def test_a_run_is_played_again_without_anything(tmp_path: Path):
    outcome = await run_task(GOAL, project(tmp_path / "ws"), parts(Player(forgetful), tmp_path / "home"), "one")
    for path in sorted((tmp_path / "ws").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    found = replayed(tmp_path / "home" / "one" / NAME)
    assert found.differs == ()
    assert dict(found.state.changes) == dict(outcome.changes)
    assert page(found.state) == outcome.page
    assert certificate(found.state) == {key: value for key, value in outcome.certificate.items() if key != "conflicts"}


async def test_native_calls_are_played_again_as_they_came(tmp_path: Path):
    def native(now: Demand, request: Request, turn: int) -> str | Say:
        if now.phase != "implement" or turn > 1:
            return ideal(now, request, turn)
        arguments = {"start": 1, "path": now.files[0], "end": 3}
        return Say(
            calls=(ToolCall(f"c{turn}", "read", arguments), ToolCall(f"d{turn}", "symbols", {"path": "bill.py"}))
        )

    root = project(tmp_path / "ws")
    outcome = await run_task(GOAL, root, parts(Player(native), tmp_path / "home"), "one")
    assert outcome.ending == "unverified"
    assert replayed(tmp_path / "home" / "one" / NAME).differs == ()


async def test_killed_after_each_line_it_comes_to_the_same_end(tmp_path: Path):
    whole = (await recorded(tmp_path)).read_bytes().splitlines(keepends=True)
    expected = dict(replayed(tmp_path / "home" / "one" / NAME).state.changes)
    before = contents(tmp_path / "ws")
    for count in range(1, len(whole)):
        home = tmp_path / f"home{count}"
        (home / "one").mkdir(parents=True)
        torn = whole[count][: len(whole[count]) // 2]
        (home / "one" / NAME).write_bytes(b"".join(whole[:count]) + torn)
        outcome = await resume_task("one", parts(Player(forgetful), home))
        assert (outcome.ending, dict(outcome.changes)) == ("unverified", expected), count
        assert contents(tmp_path / "ws") == before


async def test_killed_while_a_model_is_asked_it_goes_on(tmp_path: Path):
    root = project(tmp_path / "ws")
    for number in range(1, 5):
        home = tmp_path / f"home{number}"
        player, asked = Player(ideal), 0

        async def dying(request: Request, player: Player = player, number: int = number):
            nonlocal asked
            asked += 1
            async for event in player.ask(request):
                if asked == number:
                    raise Killed
                yield event

        with pytest.raises(Killed):
            await run_task(GOAL, root, Parts(dying, Consenting(), home, trusted=False), "one")
        outcome = await resume_task("one", parts(Player(ideal), home))
        assert outcome.ending == "unverified"
        assert outcome.certificate["turns"] == 5


async def test_what_was_agreed_is_not_asked_again(tmp_path: Path):
    class Counting(Consenting):
        asked = 0

        async def plan(self, steps, page):  # type: ignore[no-untyped-def]
            self.asked += 1
            return steps

    class Tired(Player):
        async def ask(self, request: Request):
            if len(self.requests) == 4:
                raise Killed
            async for event in super().ask(request):
                yield event

    person, home = Counting(), tmp_path / "home"
    root = project(tmp_path / "ws")
    with pytest.raises(Killed):
        await run_task(GOAL, root, Parts(Tired(ideal).ask, person, home, trusted=False), "one")
    outcome = await resume_task("one", Parts(Player(ideal).ask, person, home, trusted=False))
    assert (outcome.ending, person.asked) == ("unverified", 1)


async def test_cancelled_it_can_be_taken_up(tmp_path: Path):
    begun = asyncio.Event()

    async def slow(request: Request):
        begun.set()
        await asyncio.sleep(3600)
        yield

    root = project(tmp_path / "ws")
    task = asyncio.create_task(run_task(GOAL, root, Parts(slow, Consenting(), tmp_path / "home", trusted=False), "one"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    outcome = await resume_task("one", parts(Player(ideal), tmp_path / "home"))
    assert outcome.ending == "unverified"


async def test_a_failed_question_is_asked_again(tmp_path: Path):
    async def nobody(request: Request):
        from hearth.errors import NobodyAnswers

        raise NobodyAnswers("No model answers.")
        yield

    root = project(tmp_path / "ws")
    failed = await run_task(GOAL, root, Parts(nobody, Consenting(), tmp_path / "home", trusted=False), "one")
    assert failed.ending == "failed"
    outcome = await resume_task("one", parts(Player(ideal), tmp_path / "home"))
    assert outcome.ending == "unverified"


async def test_a_changed_line_ends_the_record(tmp_path: Path):
    path = await recorded(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"e", b"a", 1)
    path.write_bytes(b"".join(lines))
    assert len(records(path)[0]) == 3


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\x00\xff\n", b'{"sum":"x","is":{}}\n', b"[1]\n"])
async def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CassetteError):
        replayed(tmp_path / "x")
    with pytest.raises(CassetteError):
        replayed(tmp_path / "missing")


async def test_an_export_holds_no_code(tmp_path: Path):
    path = await recorded(tmp_path)
    lines = list(redacted(path))
    text = b"".join(lines).decode()
    for word in ("total_price", "sum_of_prices", "shop.py", "EUR", "README", "Rename", str(tmp_path)):
        assert word not in text
    kinds = [json.loads(line)["is"].get("kind") for line in lines]
    assert kinds == [json.loads(line)["is"].get("kind") for line in path.read_bytes().splitlines()]
    (tmp_path / "bare").write_bytes(b"".join(lines))
    with pytest.raises(CassetteError, match="without its texts"):
        replayed(tmp_path / "bare")


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]{4,}", text))


async def test_an_export_of_a_whole_task_holds_no_line_of_it(tmp_path: Path):
    """No line, word, path, goal or folder of a project."""
    # What is in another project's export, too, and the kind of what a tool said.
    ours = words(b"".join(redacted(await recorded(tmp_path))).decode()) | {"tool"}
    name = "rename_function"
    with room(scenarios()[name]) as here:
        scenario = here.scenario
        told = Parts(Run(name, "ideal").model(here.places), Consenting(), here.state, trusted=False)
        outcome = await run_task(scenario.goal, here.workspace, told)
        assert len(outcome.changes) == len(scenario.solution)
        path = next(here.state.glob(f"*/{NAME}"))
        whole, bare = path.read_text(), b"".join(redacted(path)).decode()
        texts = [*scenario.files.values(), *(text or "" for text in scenario.solution.values())]
        mine = "\n".join([*texts, *scenario.files, *scenario.solution, scenario.goal, str(here.root)])
    lines = {line.strip() for line in mine.split("\n") if len(line.strip()) > 5}
    assert [line for line in lines if json.dumps(line)[1:-1] in bare] == []
    assert (words(mine) - ours) & words(bare) == set()
    assert len((words(mine) - ours) & words(whole)) > 60, "the original has them"


async def test_an_export_holds_no_name_that_a_model_made_up(tmp_path: Path):
    """A model can write a line of code where the name of an argument belongs, or as the id of a call."""
    code = "def total_price(items):"

    def odd(now: Demand, request: Request, turn: int) -> str | Say:
        if now.phase != "implement" or turn > 1:
            return ideal(now, request, turn)
        call = ToolCall(f"id {code}", "read", {code: code, "kind": code, "path": "shop.py", "place": code})
        return Say(calls=(call, ToolCall("other", code, {})))

    root = project(tmp_path / "ws")
    await run_task(GOAL, root, parts(Player(odd), tmp_path / "home"), "one")
    path = tmp_path / "home" / "one" / NAME
    assert code in path.read_text()
    bare = b"".join(redacted(path)).decode()
    assert "total_price" not in bare
    assert "shop.py" not in bare


async def test_nothing_is_kept_in_the_workspace(tmp_path: Path):
    root = project(tmp_path / "ws")
    before = contents(root)
    with pytest.raises(CassetteError, match="in the workspace"):
        await run_task(GOAL, root, parts(Player(ideal), root / "data"))
    assert contents(root) == before
