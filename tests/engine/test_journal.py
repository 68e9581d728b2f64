"""Every applied change can be taken back: after a restart or a kill, step by step, never over somebody's work."""

import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hearth import journal as module
from hearth.core.patch import FileEdit, Patch
from hearth.errors import JournalError
from hearth.journal import Change, Conflict, Journal

FOLDER = "/work/project"
NOW_S = 2e9
LIVES = 60
TOLD_MAX = 6
LATER_S = 0.006
WRITER = Path(__file__).with_name("journal_writer.py")


class Files(dict[str, str]):
    """The files of a workspace. `apply` does what an editor does."""

    def apply(self, edits: tuple[FileEdit, ...]) -> None:
        for edit in edits:
            assert self.get(edit.path) == edit.before
            if edit.after is None:
                del self[edit.path]
            else:
                self[edit.path] = edit.after


def applied(journal: Journal, files: Files, title: str, *edits: FileEdit) -> str:
    id = journal.note(Change(FOLDER, title, NOW_S, edits))
    files.apply(edits)
    journal.done(id)
    return id


def test_changes_go_back_step_by_step_after_a_restart(tmp_path: Path) -> None:
    home, files = tmp_path / "data" / "journal", Files({"a.py": "one\n", "old.py": "gone\n"})
    before = Files(files)
    journal = Journal(home)
    applied(journal, files, "first", FileEdit("a.py", "one\n", "two\r\n"), FileEdit("new.py", None, "\ufeffmade\n"))
    applied(journal, files, "second", FileEdit("a.py", "two\r\n", "three"), FileEdit("old.py", "gone\n", None))
    titles: list[str] = []
    while entry := Journal(home).last(FOLDER):
        journal = Journal(home)
        titles.append(entry.title)
        patch = journal.revert(entry.id, files.get)
        assert isinstance(patch, Patch)
        files.apply(patch.edits)
        journal.undone(entry.id)
        assert journal.revert(entry.id, files.get) == Conflict("This change was undone already.")
    assert titles == ["second", "first"]
    assert files == before
    assert [entry.state for entry in Journal(home).list()] == ["undone", "undone"]


def test_a_file_that_changed_since_is_named_and_nothing_goes_back(tmp_path: Path) -> None:
    journal, files = Journal(tmp_path), Files({"a.py": "1", "b.py": "1"})
    id = applied(journal, files, "both", FileEdit("a.py", "1", "2"), FileEdit("b.py", "1", "2"))
    files["b.py"] = "the user's"
    outcome = journal.revert(id, files.get)
    assert isinstance(outcome, Conflict)
    assert outcome.paths == ("b.py",)
    assert "b.py" in outcome.message
    files["b.py"] = "1"
    outcome = journal.revert(id, files.get)
    assert isinstance(outcome, Conflict), "half of it is back already: the rest alone is no undo"
    del files["b.py"]
    assert isinstance(journal.revert(id, files.get), Conflict)


def test_what_was_never_applied_has_nothing_to_take_back(tmp_path: Path) -> None:
    journal, files = Journal(tmp_path), Files({"a.py": "1", "b.py": "1"})
    id = journal.note(Change(FOLDER, "x", NOW_S, (FileEdit("a.py", "1", "2"), FileEdit("b.py", "1", "2"))))
    entry = journal.last(FOLDER)
    assert entry
    assert entry.state == "noted"
    outcome = journal.revert(id, files.get)
    assert isinstance(outcome, Patch)
    assert outcome.edits == ()
    assert outcome.notes
    files["a.py"] = "2"  # the editor died between two files: what it wrote goes back
    outcome = journal.revert(id, files.get)
    assert isinstance(outcome, Patch)
    assert outcome.edits == (FileEdit("a.py", "2", "1"),)
    journal.dropped(id)
    assert journal.list() == []
    assert isinstance(journal.revert(id, files.get), Conflict)


def test_folders_do_not_see_each_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.note(Change("/one", "a", NOW_S, ()))
    journal.note(Change("/two", "b", NOW_S, ()))
    assert [entry.title for entry in journal.list("/one")] == ["a"]
    assert [entry.title for entry in journal.list()] == ["b", "a"]
    assert journal.last("/three") is None


def test_secrets_are_not_copied(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    edits = (FileEdit(".env", "KEY=hunter2", "KEY=hunter3"), FileEdit("a.py", "1", "2"))
    id = journal.note(Change(FOLDER, "x", NOW_S, edits))
    journal.done(id)
    assert b"hunter" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    (entry,) = journal.list()
    assert not entry.revertible
    outcome = journal.revert(id, lambda path: {edit.path: edit.after for edit in edits}[path])
    assert isinstance(outcome, Conflict)
    assert outcome.paths == (".env",)


@pytest.mark.skipif(os.name == "nt", reason="modes are others there")
def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    home = tmp_path / "journal"
    home.mkdir(mode=0o755)
    journal = Journal(home)
    journal.done(journal.note(Change(FOLDER, "x", NOW_S, (FileEdit("a", "1", "2"),))))
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}


def test_it_never_lies_in_a_workspace(tmp_path: Path) -> None:
    link = tmp_path / "link"
    (tmp_path / "w").mkdir()
    link.symlink_to(tmp_path / "w")
    with pytest.raises(JournalError):
        Journal(link / ".hearth").note(Change(str(tmp_path / "w"), "x", NOW_S, ()))
    assert list((tmp_path / "w").iterdir()) == []


def test_it_stays_within_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRIES_MAX", 3)
    journal = Journal(tmp_path)
    ids = [journal.note(Change(FOLDER, str(n), NOW_S, ())) for n in range(6)]
    assert [entry.id for entry in journal.list()] == ids[:-4:-1]
    assert ids == sorted(ids)
    monkeypatch.setattr(module, "BYTES_MAX", 3_000)
    big = FileEdit("a", "x" * 1_200, None)
    for _ in range(5):
        journal.note(Change(FOLDER, "big", NOW_S, (big,)))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3_000
    assert len(journal.list()) == 2
    journal.note(Change(FOLDER, "later", NOW_S + 31 * 86_400, ()))
    assert [entry.title for entry in journal.list()] == ["later"]
    monkeypatch.setattr(module, "CHANGE_BYTES_MAX", 1_000)
    with pytest.raises(JournalError, match="larger"):
        journal.note(Change(FOLDER, "x", NOW_S, (big,)))


def cut(content: bytes) -> bytes:
    return content[:-20]


def flipped(content: bytes) -> bytes:
    return content[:90] + bytes([content[90] ^ 1]) + content[91:]


def forged(content: bytes) -> bytes:
    return content[:65] + b"[1]\n"


@pytest.mark.parametrize("damage", [cut, flipped, forged, lambda _: b"", lambda _: b"\xff\n\x00"])
def test_a_damaged_entry_is_passed_over(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    journal = Journal(tmp_path)
    first = journal.note(Change(FOLDER, "whole", NOW_S, (FileEdit("a", "1", "2"),)))
    second = journal.note(Change(FOLDER, "damaged", NOW_S, (FileEdit("a", "2", "3"),)))
    path = tmp_path / second
    path.write_bytes(damage(path.read_bytes()))
    os.utime(path, (NOW_S, NOW_S))
    (tmp_path / "00000009-abcdefgh.new").write_bytes(b"torn")
    (tmp_path / "notes").mkdir()
    assert [entry.id for entry in journal.list()] == [first]
    assert len(journal.problems) == 1
    assert second in journal.problems[0]
    assert isinstance(journal.revert(second, lambda _: "3"), Conflict)
    third = journal.note(Change(FOLDER, "next", NOW_S, ()))
    assert third > second


@pytest.mark.parametrize("id", ["", "..", "../../etc/passwd", "00000001", "00000001-zzzzzzz/", "x-12345678"])
def test_an_id_is_no_path(tmp_path: Path, id: str) -> None:
    journal = Journal(tmp_path / "journal")
    assert isinstance(journal.revert(id, lambda _: None), Conflict)
    journal.dropped(id)
    with pytest.raises(JournalError):
        journal.done(id)


@pytest.mark.skipif(os.name == "nt", reason="no such limit there")
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    kept = journal.note(Change(FOLDER, "before", NOW_S, ()))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        with pytest.raises(JournalError):
            journal.note(Change(FOLDER, "x", NOW_S, (FileEdit("a", "x" * 50_000, "y"),)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.iterdir()] == [kept]


@pytest.mark.skipif(os.name == "nt", reason="no fork there")
def test_kills_lose_nothing_that_was_told(tmp_path: Path) -> None:
    home, pick = tmp_path / "journal", random.Random(11)
    noted: dict[str, str] = {}
    done: set[str] = set()
    command = [sys.executable, str(WRITER), str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as writer:
        assert writer.stdin
        assert writer.stdout
        for life in range(LIVES):
            print(life, file=writer.stdin)
            pid, left = 0, pick.randint(0, TOLD_MAX)
            while (words := writer.stdout.readline().split()) != ["dead"]:
                assert words, "the writer's parent ended"
                if words[0] == "pid":
                    pid = int(words[1])
                elif words[0] == "noted":
                    noted[words[1]] = f"{words[2]} {words[3]}"
                    left -= 1
                else:
                    done.add(words[1])
                if pid and left <= 0:
                    time.sleep(pick.uniform(0, LATER_S))
                    os.kill(pid, signal.SIGKILL)
                    pid = 0
        writer.stdin.close()
        assert writer.wait(30) == 0
    kept = {entry.id: entry for entry in Journal(home).list()}
    # The oldest may have made room for the newest.
    newest = sorted(noted)[-module.ENTRIES_MAX // 2 :]
    assert len(noted) > LIVES
    for id in newest:
        assert kept[id].title == noted[id]
        assert kept[id].state == "done" or id not in done
    journal = Journal(home)
    journal.list()
    assert journal.problems == []
    outcome = journal.revert(newest[-1], lambda _: None)
    assert isinstance(outcome, Conflict), "the file is gone"
