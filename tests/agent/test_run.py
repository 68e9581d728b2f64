"""A whole task on a small project: from the goal to changes that are proved, with the workspace as it was."""

import json
from dataclasses import replace
from pathlib import Path

from agent.players import Player, call, done, edit, planned, write
from hearth.agent.base import Consenting, Limits, Parts
from hearth.agent.run import run_task
from hearth.core.exchange import Done, Request
from hearth.core.task_protocol import Demand

SHOP = {
    "shop.py": "def total_price(items):\n    return sum(items)\n",
    "bill.py": "from shop import total_price\n\n\ndef bill(items):\n    return f'{total_price(items)} EUR'\n",
    "README.md": "# Shop\n\nCall `total_price(items)`.\n",
    "tests/test_shop.py": (
        "from bill import bill\nfrom shop import total_price\n\n\n"
        "def test_total():\n    assert total_price([1, 2]) == 3\n    assert bill([1, 2]) == '3 EUR'\n"
    ),
    "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\n",
}
GOAL = "Rename `total_price` to `sum_of_prices` everywhere"


def project(folder: Path, files: dict[str, str] = SHOP) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def renamed(path: str) -> str:
    """The calls that rename in one file."""
    old = SHOP[path].rstrip("\n")
    return edit(path, old, old.replace("total_price", "sum_of_prices"))


def ideal(now: Demand, request: Request, turn: int) -> str:
    match now.phase:
        case "analyse":
            return json.dumps({"goal": now.goal, "symbols": ["total_price"], "files": ["shop.py"]})
        case "impact":
            return "{}"
        case "plan":
            return planned(["shop.py", "bill.py"], ["tests/test_shop.py", "README.md"])
        case _:
            return "".join(renamed(path) for path in now.files) + done()


def forgetful(now: Demand, request: Request, turn: int) -> str:
    """Plans and changes only the file with the definition, until it is told of others."""
    if now.phase == "plan":
        return planned(["shop.py"])
    if now.phase == "implement" and now.step == 1:
        return renamed("shop.py") + done()
    return ideal(now, request, turn)


def parts(player: Player, home: Path, **more: object) -> Parts:
    return Parts(ask=player.ask, person=Consenting(), home=home, **more)  # type: ignore[arg-type]


async def test_an_ideal_model_is_done_and_proved(tmp_path: Path):
    root = project(tmp_path / "ws")
    before = contents(root)
    player = Player(ideal)
    pages: list[str] = []
    outcome = await run_task(GOAL, root, parts(player, tmp_path / "home", on_page=lambda _id, page: pages.append(page)))
    assert (outcome.ending, outcome.stop) == ("done", "")
    assert sorted(outcome.changes) == ["README.md", "bill.py", "shop.py", "tests/test_shop.py"]
    assert all("total_price" not in (text or "") for text in outcome.changes.values())
    checks = outcome.certificate["checks"]
    assert [(one["kind"], one["status"], one["passed"], one["before"]) for one in checks] == [
        ("tests", "passed", 1, "passed")
    ]
    assert outcome.certificate["not_verified"] == []
    assert contents(root) == before
    assert len(player.requests) == 5
    assert "## Certificate" in outcome.page
    assert any("Step 2 of 2" in page for page in pages)
    assert not list((tmp_path / "home").rglob("copy-*"))


async def test_a_forgotten_file_is_found(tmp_path: Path):
    root = project(tmp_path / "ws")
    player = Player(forgetful)
    outcome = await run_task(GOAL, root, parts(player, tmp_path / "home"))
    assert outcome.ending == "done", outcome.page
    assert sorted(outcome.changes) == ["README.md", "bill.py", "shop.py", "tests/test_shop.py"]


async def test_the_prefix_of_the_conversation_stays(tmp_path: Path):
    player = Player(ideal)
    await run_task(GOAL, project(tmp_path / "ws"), parts(player, tmp_path / "home"))
    for one, other in zip(player.requests, player.requests[1:], strict=False):
        assert other.messages[: len(one.messages)] == one.messages


async def test_without_a_model_it_fails_in_words(tmp_path: Path):
    from hearth.errors import NobodyAnswers

    async def nobody(request: Request):
        raise NobodyAnswers("No model answers.", "Start one.")
        yield

    told = Parts(ask=nobody, person=Consenting(), home=tmp_path / "home")
    outcome = await run_task(GOAL, project(tmp_path / "ws"), told)
    assert (outcome.ending, outcome.stop) == ("failed", "No model answers.")
    assert "Start one." in outcome.page.replace("\\", "")


async def test_a_limit_stops_it_and_says_so(tmp_path: Path):
    def talks(now: Demand, request: Request, turn: int) -> str:
        return call("read", path="shop.py", start=turn + 1) if now.phase == "implement" else ideal(now, request, turn)

    outcome = await run_task(
        GOAL, project(tmp_path / "ws"), parts(Player(talks), tmp_path / "home", limits=Limits(turns=7))
    )
    assert outcome.ending == "stopped"
    assert "the limit of 7 answers was reached" in outcome.stop
    assert outcome.changes == {}


async def test_a_server_that_reads_only_a_part_is_asked_less(tmp_path: Path):
    player = Player(ideal)
    sizes: list[int] = []

    async def cutting(request: Request):
        size = sum(len(message.text) for message in request.messages)
        sizes.append(size)
        async for event in player.ask(request):
            yield replace(event, cut=True) if isinstance(event, Done) and len(sizes) == 1 else event

    told = Parts(ask=cutting, person=Consenting(), home=tmp_path / "home", trusted=False)
    outcome = await run_task(GOAL, project(tmp_path / "ws"), told)
    assert outcome.ending == "unverified"
    assert len(sizes) == 6


async def test_what_is_changed_meanwhile_is_named(tmp_path: Path):
    root = project(tmp_path / "ws")

    def meanwhile(now: Demand, request: Request, turn: int) -> str:
        if now.phase == "implement" and now.step == 2:
            (root / "shop.py").write_text("# mine\n")
        return ideal(now, request, turn)

    outcome = await run_task(GOAL, root, parts(Player(meanwhile), tmp_path / "home", trusted=False))
    assert outcome.certificate["conflicts"] == ["shop.py"]
    assert (root / "shop.py").read_text() == "# mine\n"


async def test_a_workspace_with_nothing_in_it(tmp_path: Path):
    (tmp_path / "ws").mkdir()

    def makes(now: Demand, request: Request, turn: int) -> str:
        if now.phase == "analyse":
            return json.dumps({"goal": "make it", "files": ["hello.py"]})
        if now.phase == "plan":
            return planned(["hello.py"])
        return write("hello.py", "print('hello')\n") + done() if now.phase == "implement" else "{}"

    outcome = await run_task("Write hello.py", tmp_path / "ws", parts(Player(makes), tmp_path / "home"))
    assert (outcome.ending, dict(outcome.changes)) == ("unverified", {"hello.py": "print('hello')\n"})
    assert any("no check was run" in one for one in outcome.certificate["not_verified"])
