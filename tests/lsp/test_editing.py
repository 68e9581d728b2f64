"""What a change does with what is typed while it is under way: between our look, the journal and the editor's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from lsprotocol import types

from hearth.core.patch import FileEdit, Patch
from hearth.core.text import Document, Snapshot
from hearth.journal import Change, Journal
from hearth.lsp.asking import Client
from hearth.lsp.editing import Editing
from hearth.lsp.offers import Abilities

URI = "file:///project/main.py"
BEFORE, AFTER = "one\n", "two\n"


class OneDocument:
    """An editor with a document that has a version, and that refuses edits of another one."""

    def __init__(self) -> None:
        self.text_now, self.version_now = BEFORE, 1
        self.folders = ("/project",)
        self.asked: list[types.WorkspaceEdit] = []
        self.before_edit: Callable[[], None] = lambda: None

    def type(self, text: str) -> None:
        self.text_now += text
        self.version_now += 1

    def place(self, uri: str) -> tuple[str, str]:
        return ("/project", "main.py") if uri == URI else ("", "")

    def uri(self, folder: str, path: str) -> str:
        return f"file://{folder}/{path}"

    async def snapshot(self, uri: str) -> Snapshot:
        return Document(uri, "python", self.version_now, self.text_now).snapshot()

    def language(self) -> str:
        return "en"

    async def apply(self, edit: types.WorkspaceEdit, label: str) -> tuple[bool, str]:
        self.asked.append(edit)
        self.before_edit()
        (step,) = edit.document_changes or ()
        assert isinstance(step, types.TextDocumentEdit)
        if step.text_document.version != self.version_now:
            return False, ""
        self.text_now, self.version_now = AFTER if self.text_now == BEFORE else BEFORE, self.version_now + 1
        return True, ""


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
def editor() -> OneDocument:
    return OneDocument()


@pytest.fixture
def journal(tmp_path: Path) -> SlowJournal:
    return SlowJournal(tmp_path / "journal")


@pytest.fixture
def editing(editor: OneDocument, journal: SlowJournal) -> Editing:
    return Editing(
        cast("Client", editor),
        cast("Any", editor),
        journal,
        lambda _uri: editor.version_now,
        Abilities(versions=True, annotations=True),
        lenses_changed=lambda: None,
        warn=pytest.fail,
    )


PATCH = Patch((FileEdit("main.py", BEFORE, AFTER),), ())


async def test_what_is_typed_while_the_journal_is_written_is_kept(
    editing: Editing, editor: OneDocument, journal: SlowJournal
):
    journal.meanwhile = lambda: editor.type("mine\n")
    done = await editing.apply(PATCH, "Refactor", URI)
    assert not done.done
    assert "main.py changed while the answer was written" in done.problem
    assert editor.text_now == BEFORE + "mine\n"
    assert journal.list() == []


async def test_what_is_typed_while_the_edit_is_on_its_way_is_a_conflict_too(
    editing: Editing, editor: OneDocument, journal: SlowJournal
):
    editor.before_edit = lambda: editor.type("mine\n")
    done = await editing.apply(PATCH, "Refactor", URI)
    assert not done.done
    assert "main.py changed while the answer was written" in done.problem
    assert len(editor.asked) == 1
    assert editor.text_now == BEFORE + "mine\n"
    assert journal.list() == []


@pytest.mark.parametrize("when", ["journal", "edit"])
async def test_what_is_typed_while_a_change_is_undone_is_kept(
    editing: Editing, editor: OneDocument, journal: SlowJournal, when: str
):
    assert (await editing.apply(PATCH, "Refactor", URI)).done
    if when == "journal":
        journal.meanwhile = lambda: editor.type("mine\n")
    else:
        editor.before_edit = lambda: editor.type("mine\n")
    with pytest.raises(Exception, match=r"main\.py changed since"):
        await editing.undo(URI)
    assert editor.text_now == AFTER + "mine\n"
    (entry,) = journal.list()
    assert entry.state == "done"


async def test_a_file_that_cannot_be_written_is_told_as_that(editing: Editing, editor: OneDocument):
    async def refused(edit: types.WorkspaceEdit, label: str) -> tuple[bool, str]:
        return False, ""

    editor.apply = refused  # type: ignore[method-assign]
    done = await editing.apply(PATCH, "Refactor", URI)
    assert "declined, or the file cannot be written" in done.problem
