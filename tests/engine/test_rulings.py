"""What the world says of a file: folders, links, ignore files that change, what is open, trust."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from hearth import rulings as module
from hearth.core import policy
from hearth.core.origin import DESTINATIONS, USER, Origin, file_origin, summary_of
from hearth.core.policy import PURPOSES
from hearth.errors import HearthError
from hearth.index import walk
from hearth.rulings import ELSEWHERE, NO_FOLDER, SECRET_LINK, UNREAD, Rulings


def world(root: Path, files: dict[str, str], **how: object) -> Rulings:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = Rulings(**how)  # type: ignore[arg-type]
    found.set_folders([root])
    return found


async def verdict(found: Rulings, origin: Origin, destination: str = "cloud", **how: bool) -> tuple[str, str]:
    decision = await found.decide([origin], destination, "prompt", **how)  # type: ignore[arg-type]
    return decision.verdict, decision.reason


async def test_the_rule_is_named(tmp_path: Path) -> None:
    found = world(tmp_path, {".gitignore": "# built\ndist/\n", "dist/a.js": "x", "a.js": "x"}, cloud=True)
    origin = found.origin((tmp_path / "dist/a.js").as_uri())
    assert origin == file_origin(str(tmp_path), "dist/a.js")
    assert await verdict(found, origin) == (
        "deny",
        "dist/a.js is excluded by .gitignore, line 2 (dist/), so it does not go to the cloud",
    )
    assert (await verdict(found, found.origin((tmp_path / "a.js").as_uri())))[0] == "ask"
    assert (await verdict(found, found.origin((tmp_path / "a.js").as_uri()), approved=True))[0] == "redact"


async def test_what_was_not_prepared_is_excluded(tmp_path: Path) -> None:
    found = world(tmp_path, {"a.py": "x"}, cloud=True)
    origin = file_origin(str(tmp_path), "a.py")
    decision = policy.decide([origin], "machine", "prompt", found.rules())
    assert (decision.verdict, UNREAD in decision.reason) == ("deny", True)
    await found.prepare([origin])
    assert policy.decide([origin], "machine", "prompt", found.rules()).verdict == "allow"
    other = file_origin(str(tmp_path), "b.py")
    assert policy.decide([origin, other], "machine", "prompt", found.rules()).verdict == "deny"


@pytest.mark.parametrize("notified", [True, False])
async def test_every_decision_sees_the_rules_of_now(tmp_path: Path, notified: bool) -> None:
    found = world(tmp_path, {"d/a.py": "x"}, cloud=True)
    origin = file_origin(str(tmp_path), "d/a.py")
    for name, rules, expected in (
        (".gitignore", "a.py", "deny"), (".gitignore", "b.py", "ask"), ("d/.aiignore", "*", "deny"),
        ("d/.aiignore", None, "ask"), (".ignore", "d/", "deny"), (".ignore", "e/", "ask"),
    ):  # fmt: skip
        path = tmp_path / name
        if rules is None:
            path.unlink()
        else:
            path.write_text(rules)
        version = found.version
        if notified:
            found.file_changed(path)
            await found.prepare([origin], age_s=3600)
        assert (await verdict(found, origin))[0] == expected
        assert found.version > version


async def test_on_the_way_of_a_key_a_look_may_be_a_moment_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = world(tmp_path, {"a.py": "x"})
    looks: list[int] = []
    look = module._look
    monkeypatch.setattr(module, "_look", lambda *args: (looks.append(1), look(*args))[1])
    origin = file_origin(str(tmp_path), "a.py")
    for _ in range(5):
        await found.prepare([origin], age_s=3600)
    assert len(looks) == 1
    await found.prepare([origin])
    await found.prepare([origin])
    assert len(looks) == 3


async def test_reading_goes_on_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = world(tmp_path, {"a.py": "x", ".gitignore": "b.py"})
    threads: list[threading.Thread] = []
    read = walk.read_bytes
    monkeypatch.setattr(walk, "read_bytes", lambda *args: (threads.append(threading.current_thread()), read(*args))[1])
    await found.prepare([file_origin(str(tmp_path), "a.py")])
    assert threads
    assert threading.main_thread() not in threads


async def test_an_ignore_file_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    told: list[HearthError] = []
    found = world(tmp_path, {"d/a.py": "x", "b.py": "x"}, cloud=True, tell=told.append)
    (tmp_path / "d/.cursorignore").write_bytes(b"a\x00b")
    for _ in range(3):
        kind, reason = await verdict(found, file_origin(str(tmp_path), "d/a.py"))
        assert (kind, "d/.cursorignore, which is not text" in reason) == ("deny", True)
    assert (await verdict(found, file_origin(str(tmp_path), "b.py")))[0] == "ask"
    assert [error.message for error in told] == [
        f"{tmp_path / 'd/.cursorignore'} is not text, so nothing beneath its folder is read or sent."
    ]
    assert told[0].remedy


async def test_names_that_lead_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    found = world(root, {"a.py": "x", ".env": "A=1", "private/b.py": "x", ".gitignore": "private/", "q.sql": "x"},
                  cloud=True, never=("*.sql",))  # fmt: skip
    (tmp_path / "ws-evil").mkdir()
    (tmp_path / "ws-evil/c.py").write_text("x")
    for name, target in (
        ("out.py", "../ws-evil/c.py"), ("notes.txt", ".env"), ("inner.py", "private/b.py"), ("alias.py", "a.py"),
        ("query.txt", "q.sql"), ("folder", "private"), ("loop", "loop"),
    ):  # fmt: skip
        (root / name).symlink_to(target)

    async def rule(path: str) -> str | None:
        origin = file_origin(str(root), path)
        await found.prepare([origin])
        return found.rules().ignored(str(root), path)

    assert await rule("out.py") == ELSEWHERE
    assert await rule("notes.txt") == SECRET_LINK
    assert await rule("inner.py") == ".gitignore, line 1 (private/)"
    assert await rule("folder/b.py") == ".gitignore, line 1 (private/)"
    assert "privacy.never" in (await rule("query.txt") or "")
    assert await rule("alias.py") is None
    assert await rule("not there yet.py") is None
    assert found.origin((tmp_path / "ws-evil/c.py").as_uri()) == file_origin("", str(tmp_path / "ws-evil/c.py"))
    assert found.origin(f"{root.as_uri()}/../ws-evil/c.py").folder == ""
    assert found.origin(f"{root.as_uri()}/%2e%2e/ws-evil/c.py").folder == ""
    assert (await verdict(found, file_origin(str(root), "../ws-evil/c.py")))[0] == "deny"
    assert (await verdict(found, file_origin(str(tmp_path / "ws-evil"), "c.py")))[1].count(NO_FOLDER) == 1


async def test_a_link_that_is_swapped_is_seen(tmp_path: Path) -> None:
    found = world(tmp_path, {"a.py": "x", ".env": "A=1"}, cloud=True)
    (tmp_path / "link.py").symlink_to("a.py")
    origin = file_origin(str(tmp_path), "link.py")
    assert (await verdict(found, origin))[0] == "ask"
    (tmp_path / "link.py").unlink()
    (tmp_path / "link.py").symlink_to(".env")
    assert (await verdict(found, origin))[0] == "deny"


async def test_what_is_open(tmp_path: Path) -> None:
    found = world(tmp_path, {"private.py": "x", ".aiexclude": "private.py", ".env": "A=1"}, cloud=True)
    uri = (tmp_path / "private.py").as_uri()
    cell = uri.replace("file:", "vscode-notebook-cell:") + "#W0s"
    (tmp_path / "link.py").symlink_to(".env")
    loose = Path("/somewhere/else.py").as_uri()
    for one in (uri, cell, loose, (tmp_path / "link.py").as_uri()):
        found.opened(one)
        found.opened(one)
    assert found.origin(cell) == found.origin(uri)
    assert (await verdict(found, found.origin(uri), "machine"))[0] == "allow"
    assert (await verdict(found, found.origin(uri), "cloud"))[0] == "deny"
    assert (await verdict(found, found.origin(loose), "machine"))[0] == "allow"
    assert (await verdict(found, found.origin((tmp_path / "link.py").as_uri()), "machine"))[0] == "deny"
    found.closed(uri)
    assert (await verdict(found, found.origin(uri), "machine"))[0] == "allow", "a cell of it is open still"
    found.closed(cell)
    found.closed(cell)
    assert (await verdict(found, found.origin(uri), "machine"))[0] == "deny"


async def test_other_documents(tmp_path: Path) -> None:
    found = world(tmp_path, {}, cloud=True)
    for uri, expected in (
        ("untitled:Untitled-1", Origin("file")),
        (f"untitled:{tmp_path}/new.env", file_origin(str(tmp_path), "new.env")),
        ("hearth:/plan.md", Origin("summary", name="a page of Hearth")),
        (f"git:{tmp_path}/a.py?ref=HEAD", file_origin(str(tmp_path), "a.py")),
        ("file://[", Origin("file")),
        ("", Origin("file")),
    ):
        assert found.origin(uri) == expected
    found.opened("hearth:/plan.md")
    page = found.origin("hearth:/plan.md")
    assert [(await verdict(found, page, place))[0] for place in DESTINATIONS] == ["allow", "deny", "deny"]
    assert (await verdict(found, file_origin(str(tmp_path), "new.env"), "machine"))[0] == "deny"


async def test_a_folder_reached_through_a_link(tmp_path: Path) -> None:
    world(tmp_path / "real", {"a.py": "x", "b.py": "x", ".gitignore": "b.py"})
    (tmp_path / "alias").symlink_to("real")
    found = Rulings(cloud=True)
    found.set_folders([tmp_path / "alias"])
    for root in ("alias", "real"):
        origin = found.origin((tmp_path / root / "a.py").as_uri())
        assert origin.folder
        assert (await verdict(found, origin))[0] == "ask"
        assert (await verdict(found, found.origin((tmp_path / root / "b.py").as_uri())))[0] == "deny"
    found.opened((tmp_path / "alias/b.py").as_uri())
    assert (await verdict(found, file_origin(str(tmp_path / "real"), "b.py"), "machine"))[0] == "allow"


async def test_folders_within_folders_keep_all_their_rules(tmp_path: Path) -> None:
    found = world(tmp_path, {".gitignore": "inner/a.py", "inner/a.py": "x"}, cloud=True)
    found.set_folders([tmp_path / "inner", tmp_path])
    origin = found.origin((tmp_path / "inner/a.py").as_uri())
    assert (await verdict(found, origin))[0] == "deny"


async def test_trust_and_the_cloud_may_change(tmp_path: Path) -> None:
    found = world(tmp_path, {"a.py": "x"}, trusted=False)
    origin = file_origin(str(tmp_path), "a.py")
    assert [(await verdict(found, origin, place))[0] for place in DESTINATIONS] == ["allow", "deny", "deny"]
    found.trusted = True
    assert [(await verdict(found, origin, place))[0] for place in DESTINATIONS] == ["allow", "redact", "deny"]
    found.cloud = True
    assert (await verdict(found, origin))[0] == "ask"
    found.trusted = False
    assert (await verdict(found, USER))[0] == "deny"


async def test_folders_that_change_while_they_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = world(tmp_path, {"a.py": "x"}, cloud=True)
    look = module._look
    loop = asyncio.get_running_loop()

    def slow(*args: object) -> object:
        asyncio.run_coroutine_threadsafe(changed(), loop).result()
        return look(*args)  # type: ignore[arg-type]

    async def changed() -> None:
        found.set_folders([tmp_path / "elsewhere"])

    monkeypatch.setattr(module, "_look", slow)
    origin = file_origin(str(tmp_path), "a.py")
    assert (await verdict(found, origin))[0] == "deny"
    monkeypatch.setattr(module, "_look", look)
    assert (await verdict(found, origin))[0] == "deny", "it is no longer of the workspace"


async def test_a_summary_stands_for_its_sources(tmp_path: Path) -> None:
    found = world(tmp_path, {"a.py": "x", "b.py": "x", ".gitignore": "b.py"}, cloud=True)
    for places in (("a.py",), ("a.py", "b.py")):
        told = summary_of(file_origin(str(tmp_path), name) for name in places)
        assert (await verdict(found, told))[0] == ("deny" if "b.py" in places else "ask")


async def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = world(tmp_path, {})
    many = [file_origin(str(tmp_path), f"{n}.py") for n in range(policy.FILES_MAX + 1)]
    assert (await found.decide(many, "machine", "prompt")).verdict == "deny"
    monkeypatch.setattr(module, "SEEN_MAX", 50)
    for start in range(0, 200, 40):
        await found.prepare(many[start : start + 40])
        assert len(found._seen) <= 50
        assert all(found.rules().ignored(one.folder, one.path) is None for one in many[start : start + 40])
    deep = file_origin(str(tmp_path), "/".join("d" * 60) + "/a.py")
    assert (await found.decide([deep], "machine", "prompt")).verdict == "deny"


async def test_odd_names_end_in_a_verdict(tmp_path: Path) -> None:
    found = world(tmp_path, {}, cloud=True)
    for path in ("a\0b.py", "x" * 5_000, "/".join("ab" * 400), "a\nb.py", "\udcff.py", "C:\\a.py", "//a", "."):
        for purpose in PURPOSES:
            decision = await found.decide([file_origin(str(tmp_path), path)], "cloud", purpose)
            assert decision.verdict in ("ask", "deny")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    found = world(tmp_path, {"d/a.py": "x", "d/.gitignore": ""}, cloud=True)
    (tmp_path / "d/.gitignore").chmod(0)
    assert (await verdict(found, file_origin(str(tmp_path), "d/a.py")))[0] == "deny"


@pytest.mark.parametrize("platform", ["darwin", "win32"])
async def test_where_names_have_no_case_rules_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr(walk.sys, "platform", platform)
    found = world(tmp_path, {".gitignore": "Private/\n*.KEY.py\nCafe\u0301.py"}, cloud=True)
    for path in ("private/a.py", "PRIVATE/a.py", "a.key.py", "Caf\u00e9.PY"):
        assert (await verdict(found, file_origin(str(tmp_path), path)))[0] == "deny", path
