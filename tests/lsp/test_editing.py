"""What a change does with what is written while it is under way: between our look, the journal and the editor's own, in
the preview, and before it is undone. The editor here is scripted; the journal is the real one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from lsprotocol import types

from hearth.core.patch import FileEdit, Patch
from hearth.core.text import Document, Edit, Position, Range, Snapshot
from hearth.errors import HearthError, JournalError
from hearth.journal import Change, Journal
from hearth.lsp.asking import Client
from hearth.lsp.editing import Editing
from hearth.lsp.offers import Abilities

MAIN, OTHER = "file:///project/main.py", "file:///project/other.py"
BEFORE, AFTER = "one\nstays\nthree\n", "two\nstays\nfour\n"
HALF = "two\nstays\nthree\n"
PATCH = Patch((FileEdit("main.py", BEFORE, AFTER),), ())
NEW = Patch((FileEdit("new.py", None, AFTER),), ())
BOTH = Patch((*PATCH.edits, FileEdit("other.py", BEFORE, AFTER)), ())


class Scripted:
    """An editor with two documents that refuses edits of another version. `before_edit` and `after_edit`: what happens
    just then; `takes`: which steps are taken; `word`: what it says in the end, if not the truth; `ending`: of the lines
    of a new file."""

    def __init__(self) -> None:
        self.documents = {uri: Document(uri, "python", 1, BEFORE) for uri in (MAIN, OTHER)}
        self.folders = ("/project",)
        self.asked = 0
        self.told: list[str] = []
        self.ending = "\n"
        self.before_edit: Callable[[], None] = lambda: None
        self.after_edit: Callable[[], None] = lambda: None
        self.takes: Callable[[str], bool] = lambda uri: True
        self.word: Callable[[bool], bool | None] = lambda truth: truth

    def text(self, uri: str = MAIN) -> str:
        return self.documents[uri].snapshot().text

    def writes(self, text: str, uri: str = MAIN) -> None:
        """Something that is not of the change."""
        self.documents[uri] = Document(uri, "python", (self.version(uri) or 0) + 1, text)

    def typed(self, text: str, uri: str = MAIN) -> None:
        self.writes(self.text(uri) + text, uri)

    def version(self, uri: str) -> int | None:
        return self.documents[uri].snapshot().version if uri in self.documents else None

    def place(self, uri: str) -> tuple[str, str]:
        return "/project", uri.rpartition("/")[2]

    def uri(self, folder: str, path: str) -> str:
        return f"file://{folder}/{path}"

    async def snapshot(self, uri: str) -> Snapshot:
        if uri not in self.documents:
            raise HearthError("there is no such file")
        return self.documents[uri].snapshot()

    def language(self) -> str:
        return "en"

    async def apply(self, edit: types.WorkspaceEdit, label: str) -> bool | None:
        self.asked += 1
        self.before_edit()
        steps = edit.document_changes or ()
        texts = [step.text_document for step in steps if isinstance(step, types.TextDocumentEdit)]
        if any(one.version is not None and one.version != self.version(one.uri) for one in texts):
            return self.word(False)
        taken = [step for step in steps if self.takes(self.uri_of(step))]
        for step in taken:
            self.do(step)
        self.after_edit()
        return self.word(bool(taken))

    def uri_of(self, step: Any) -> str:
        return step.text_document.uri if isinstance(step, types.TextDocumentEdit) else step.uri

    def do(self, step: Any) -> None:
        uri = self.uri_of(step)
        if isinstance(step, types.CreateFile):
            self.writes("", uri)
        elif isinstance(step, types.DeleteFile):
            del self.documents[uri]
        elif not self.text(uri):
            self.writes(step.edits[0].new_text.replace("\n", self.ending), uri)
        else:
            changes = [Edit(range_of(one.range), one.new_text) for one in reversed(step.edits)]
            assert self.documents[uri].apply((self.version(uri) or 0) + 1, changes)


def range_of(where: types.Range) -> Range:
    ends = (Position(end.line, end.character) for end in (where.start, where.end))
    return Range(*ends)


class SlowJournal(Journal):
    """One that takes its time: long enough for a user to type."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def note(self, change: Change) -> str:
        noted = super().note(change)
        self.meanwhile()
        return noted

    def revert(self, id: str, current: Callable[[str], str | None]) -> Any:
        found = super().revert(id, current)
        self.meanwhile()
        return found


@pytest.fixture
def editor() -> Scripted:
    return Scripted()


@pytest.fixture
def journal(tmp_path: Path) -> SlowJournal:
    return SlowJournal(tmp_path / "journal")


@pytest.fixture
def editing(editor: Scripted, journal: SlowJournal, monkeypatch: pytest.MonkeyPatch) -> Editing:
    monkeypatch.setattr("hearth.lsp.editing.SETTLE_S", 0.05)
    return Editing(
        cast("Client", editor),
        cast("Any", editor),
        journal,
        editor.version,
        Abilities(versions=True, annotations=True, creates=True, deletes=True),
        lenses_changed=lambda: None,
        warn=editor.told.append,
    )


async def test_a_change_is_made_and_undone(editing: Editing, editor: Scripted, journal: SlowJournal):
    done = await editing.apply(BOTH, "Refactor", MAIN, origin="talk 0")
    assert (done.done, done.whole, [uri for uri, _ in done.places]) == (True, True, [MAIN, OTHER])
    assert (editor.text(), editor.text(OTHER)) == (AFTER, AFTER)
    undone = await editing.undo(MAIN)
    assert (undone.id, undone.origin) == (done.id, "talk 0")
    assert (editor.text(), editor.text(OTHER)) == (BEFORE, BEFORE)
    assert editor.told == []


@pytest.mark.parametrize(("when", "asked"), [("journal", 0), ("edit", 1)])
async def test_what_is_typed_while_a_change_is_on_its_way_is_kept(
    editing: Editing, editor: Scripted, journal: SlowJournal, when: str, asked: int
):
    if when == "journal":
        journal.meanwhile = lambda: editor.typed("mine\n")
    else:
        editor.before_edit = lambda: editor.typed("mine\n")
    done = await editing.apply(PATCH, "Refactor", MAIN)
    assert not done.done
    assert "main.py changed while the answer was written" in done.problem
    assert editor.text() == BEFORE + "mine\n"
    assert (journal.list(), editor.asked) == ([], asked)


@pytest.mark.parametrize("when", ["journal", "edit"])
async def test_what_is_typed_while_a_change_is_undone_is_kept(
    editing: Editing, editor: Scripted, journal: SlowJournal, when: str
):
    assert (await editing.apply(PATCH, "Refactor", MAIN)).done
    if when == "journal":
        journal.meanwhile = lambda: editor.typed("mine\n")
    else:
        editor.before_edit = lambda: editor.typed("mine\n")
    with pytest.raises(HearthError, match=r"main\.py changed since"):
        await editing.undo(MAIN)
    assert editor.text() == AFTER + "mine\n"
    (entry,) = journal.list()
    assert entry.state == "done"


async def test_what_is_typed_right_after_the_change_is_not_taken_for_a_part_of_it(
    editing: Editing, editor: Scripted, journal: SlowJournal
):
    editor.after_edit = lambda: editor.typed("mine\n")
    done = await editing.apply(PATCH, "Refactor", MAIN)
    assert done.done
    (warning,) = editor.told
    assert done.note == warning
    assert warning.startswith("main.py: something else wrote there")
    with pytest.raises(HearthError, match=r"main\.py changed since"):
        await editing.undo(MAIN)
    assert editor.text() == AFTER + "mine\n"


async def test_what_a_preview_left_out_is_not_undone_though_something_else_wrote_there(
    editing: Editing, editor: Scripted, journal: SlowJournal
):
    editor.takes = lambda uri: uri == MAIN
    editor.after_edit = lambda: editor.typed("theirs\n", OTHER)
    done = await editing.apply(BOTH, "Refactor", MAIN)
    assert (done.done, done.whole) == (True, False)
    with pytest.raises(HearthError, match=r"other\.py changed since"):
        await editing.undo(MAIN)
    assert editor.text(OTHER) == BEFORE + "theirs\n"


async def test_a_part_of_the_places_is_known_as_that_and_can_be_undone(
    editing: Editing, editor: Scripted, journal: SlowJournal
):
    editor.takes = lambda uri: uri == MAIN
    editor.after_edit = lambda: editor.writes(HALF)  # the second place was not ticked
    done = await editing.apply(BOTH, "Refactor", MAIN)
    assert (done.done, done.whole, editor.told) == (True, False, [])
    (entry,) = journal.list()
    assert entry.paths == ("main.py",)
    editor.after_edit = lambda: None
    await editing.undo(MAIN)
    assert editor.text() == BEFORE


async def test_an_editor_that_did_a_part_and_says_no_is_not_believed(
    editing: Editing, editor: Scripted, journal: SlowJournal
):
    editor.takes = lambda uri: uri == MAIN
    editor.word = lambda truth: False
    done = await editing.apply(BOTH, "Refactor", MAIN)
    assert (done.done, done.whole) == (True, False)
    editor.word = lambda truth: truth
    await editing.undo(MAIN)
    assert (editor.text(), editor.text(OTHER)) == (BEFORE, BEFORE)


async def test_a_preview_that_is_accepted_after_all_can_still_be_undone(
    editing: Editing, editor: Scripted, journal: SlowJournal
):
    editor.takes = lambda uri: False
    editor.word = lambda truth: None
    done = await editing.apply(PATCH, "Refactor", MAIN)
    assert not done.done
    editor.writes(AFTER)  # the user came back to it
    editor.takes, editor.word = lambda uri: True, lambda truth: truth
    await editing.undo(MAIN)
    assert editor.text() == BEFORE


async def test_a_file_that_cannot_be_written_is_told_as_that(editing: Editing, editor: Scripted):
    editor.takes = lambda uri: False
    done = await editing.apply(PATCH, "Refactor", MAIN)
    assert "declined, or the file cannot be written" in done.problem


async def test_what_the_editor_cannot_do_leaves_no_trace_in_the_journal(
    editing: Editing, editor: Scripted, journal: SlowJournal
):
    editing.abilities = Abilities(versions=True)
    with pytest.raises(HearthError, match="cannot create"):
        await editing.apply(NEW, "Tests", MAIN)
    assert journal.list() == []


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
async def test_a_new_file_may_have_the_editors_own_line_endings(
    editing: Editing, editor: Scripted, journal: SlowJournal, ending: str
):
    editor.ending = ending
    done = await editing.apply(NEW, "Tests", MAIN)
    assert (done.done, done.whole, editor.told) == (True, True, [])
    await editing.undo(MAIN)
    assert "file:///project/new.py" not in editor.documents


async def test_what_the_user_wrote_by_hand_is_no_part_of_a_change_that_was_discarded(
    editing: Editing, editor: Scripted, journal: SlowJournal
):
    editor.takes = lambda uri: False
    editor.after_edit = lambda: editor.writes(HALF)
    done = await editing.apply(PATCH, "Refactor", MAIN)
    assert not done.done
    with pytest.raises(HearthError, match="no change"):
        await editing.undo(MAIN)
    assert editor.text() == HALF


async def test_a_preview_that_nobody_answered_does_not_stand_before_what_was_done(
    editing: Editing, editor: Scripted, journal: SlowJournal
):
    assert (await editing.apply(Patch((BOTH.edits[1],), ()), "Refactor", OTHER)).done
    editor.takes, editor.word = lambda uri: False, lambda truth: None
    assert not (await editing.apply(PATCH, "Fix", MAIN)).done
    editor.takes, editor.word = lambda uri: True, lambda truth: truth
    editor.typed("mine\n")
    undone = await editing.undo(MAIN)
    assert "other.py" in undone.said
    assert (editor.text(OTHER), editor.text()) == (BEFORE, BEFORE + "mine\n")


async def test_a_deletion_that_was_left_out_is_told_as_that(editing: Editing, editor: Scripted, journal: SlowJournal):
    editor.takes = lambda uri: uri == MAIN
    patch = Patch((*PATCH.edits, FileEdit("other.py", BEFORE, None)), ())
    done = await editing.apply(patch, "Merge", MAIN)
    assert (done.done, done.whole) == (True, False)
    assert [entry.paths for entry in journal.list()] == [("main.py",)]


async def test_the_journal_keeps_what_it_has_where_it_cannot_take_more(
    editing: Editing, editor: Scripted, journal: SlowJournal, monkeypatch: pytest.MonkeyPatch
):
    def full(change: Change) -> str:
        raise JournalError("The disk is full.")

    editor.takes = lambda uri: uri == MAIN
    editor.after_edit = lambda: monkeypatch.setattr(journal, "note", full)
    done = await editing.apply(BOTH, "Refactor", MAIN)
    assert done.done
    assert [entry.id for entry in journal.list()] == [done.id]


async def test_a_name_that_no_disk_takes_is_left_to_the_editor(editing: Editing, editor: Scripted):
    path = f"{'long' * 90}/new.py"
    assert (await editing.apply(Patch((FileEdit(path, None, AFTER),), ()), "Tests", MAIN)).done
