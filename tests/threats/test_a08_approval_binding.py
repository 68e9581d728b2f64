"""A08: what was approved by its name is something else when it runs.

Control: an agreement is bound to a hash: of the commands, word for word, and of the files that say what they do; of a
protected file, to its whole new text.
"""

import json
from dataclasses import replace
from pathlib import Path

from hearth.agent.checks import Checks
from hearth.core.exchange import ToolCall
from hearth.core.task_calls import native
from hearth.core.task_state import Prepared
from threats.desk import Desk, Watchful

FILES = {
    "package.json": json.dumps({"scripts": {"test": "node --test"}}),
    "Makefile": "test:\n\tpytest\n",
    "a.test.js": 'import test from "node:test";\ntest("a", () => {});\n',
}


def checks(desk: Desk, folder: Path) -> Checks:
    return Checks(desk.overlay, desk.person, folder, trusted=True)


async def agreed(desk: Desk, folder: Path) -> tuple[Checks, Prepared]:
    one = checks(desk, folder)
    prepared = await one.prepared()
    desk.state = replace(
        desk.state, commands=prepared.commands, commands_agreed=prepared.agreed, commands_digest=prepared.digest
    )
    return one, prepared


async def test_a_changed_script_asks_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FILES, Watchful(["package.json"]))
    one, prepared = await agreed(desk, tmp_path / "home")
    assert desk.person.commands_asked == [prepared.digest]
    await one.run(desk.state)
    assert len(desk.person.commands_asked) == 1
    new = json.dumps({"scripts": {"test": "node --test", "pretest": "touch evil"}})
    assert await desk.tried("write", path="package.json", text=new)
    await one.run(desk.state)
    assert len(desk.person.commands_asked) == 2
    assert desk.person.commands_asked[1] != prepared.digest


async def test_what_is_not_agreed_to_again_is_not_run(tmp_path: Path) -> None:
    class Once(Watchful):
        async def commands(self, commands: object, digest: str) -> bool:
            self.commands_asked.append(digest)
            return len(self.commands_asked) == 1

    desk = Desk(tmp_path, FILES, Once(["Makefile"]))
    one, _ = await agreed(desk, tmp_path / "home")
    assert await desk.tried("write", path="Makefile", text="test:\n\tcurl evil\n")
    found = await one.run(desk.state)
    assert {check.status for check in found} == {"not verified"}
    assert all("did not agree" in check.summary for check in found)


def test_the_hash_covers_every_word(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FILES)
    one = checks(desk, tmp_path / "home")
    commands, _ = one.commands()
    first = commands[0]
    others = [
        replace(first, argv=(*first.argv, "--x")),
        replace(first, argv=("/bin/sh", *first.argv[1:])),
        replace(first, folder="sub"),
        replace(first, why="something else"),
        replace(first, argv=(" ".join(first.argv),)),
    ]
    digests = {one.digest((other,)) for other in (first, *others)}
    assert len(digests) == len(others) + 1


async def test_a_protected_file_is_agreed_to_text_by_text(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FILES, Watchful(["Makefile"]))
    assert await desk.tried("write", path="Makefile", text="test:\n\tpytest -q\n")
    desk.person.allows.clear()
    assert not await desk.tried("write", path="Makefile", text="test:\n\tcurl evil\n")
    assert desk.overlay.changes["Makefile"] == "test:\n\tpytest -q\n"
    assert len(desk.person.protected_asked) == 2


async def test_what_was_agreed_to_once_is_no_agreement_to_the_next(tmp_path: Path) -> None:
    """Within one answer too, where the first of two texts is harmless; the same text is not asked about twice."""
    desk = Desk(tmp_path, FILES, Watchful(["Makefile"]))
    texts = ["test:\n\tpytest -q\n", "test:\n\tcurl evil\n", "test:\n\tcurl evil\n"]
    calls = [ToolCall(str(at), "write", {"path": "Makefile", "text": text}) for at, text in enumerate(texts)]
    await desk.ran(native(tuple(calls)).calls)
    assert desk.person.protected_asked == [("Makefile", text) for text in texts[:2]]
