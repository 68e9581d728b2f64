"""Changes on their way into the user's files, through the editor, and back out of them.

A change is applied if every file is still what it was when the model was shown it; else nothing is, and the user is
told. Its pre-images are in the journal before. One place is changed directly, with a lens that takes it back; more are
shown by the editor first. What really became of the files (in a preview some can be left out) is what the journal
keeps, so that undoing never overwrites anything else.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from lsprotocol import types

from hearth.chat.desk import Desk
from hearth.core.patch import FileEdit, Patch
from hearth.core.text import Edit
from hearth.errors import HearthError, JournalError
from hearth.journal import Change, Conflict, Entry, Journal
from hearth.lsp.asking import Client
from hearth.lsp.convert import range_of
from hearth.lsp.messages import say
from hearth.lsp.offers import Abilities

SETTLE_S = 1.5
"""How long the editor's own news of a change may come after its word that it was made."""
LOOK_S = 0.02
MARKS_MAX = 50
NAMES_SHOWN_MAX = 5
ENTRIES_SEEN_MAX = 20
CONFIRM = "hearth"


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a change. `id`: in the journal, "" where it is in none. `problem`: why nothing was done, for the
    user. `places`: (document, first changed line) of what was done. `whole`: nothing of it was left out. `note`: what
    the user is to know of it, and was told."""

    done: bool
    id: str = ""
    problem: str = ""
    places: tuple[tuple[str, int], ...] = ()
    whole: bool = True
    note: str = ""


class Undone(NamedTuple):
    """A change in the journal that was taken back, what it had come of, and a sentence that says so."""

    id: str
    origin: str
    said: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a document was changed, as long as it stays at `version`."""

    line: int
    version: int | None
    id: str
    page: str


@dataclass(slots=True)
class Editing:
    """`version`: of an open document, None for others. `now`: seconds since 1970."""

    client: Client
    desk: Desk
    journal: Journal
    version: Callable[[str], int | None]
    abilities: Abilities
    lenses_changed: Callable[[], None]
    warn: Callable[[str], None]
    show: Callable[[str], None] = lambda _uri: None
    """Open a new file, which the user would have to look for otherwise."""
    folders: Callable[[], Sequence[Path]] = tuple
    """Of the workspace, as the editor names them: the desk knows them by their real paths."""
    now: Callable[[], float] = time.time
    marks: dict[str, Mark] = field(default_factory=dict[str, Mark])

    async def apply(
        self,
        patch: Patch,
        title: str,
        document: str,
        page: str = "",
        *,
        origin: str = "",
        confirm: bool | None = None,
    ) -> Applied:
        """Apply a change that was asked for in `document`; `page` is where it was, `origin` comes back when it is
        undone. `confirm`: the editor shows it first; unless it is said, it does so for more than one place."""
        place, language = self._place(document), self.client.language()
        files = {self._uri(place, document, edit.path): edit for edit in patch.edits}
        if not files:
            return Applied(False, problem=" ".join(patch.notes) or say("edit_already", language))
        # The versions before the texts: what is typed from here on, while the journal is written too, makes the editor
        # refuse the edit. A version read later would vouch for a text that nobody looked at.
        versions = self._versions(files)
        if problem := await self._strange(files):
            return Applied(False, problem=problem)
        if confirm is None:
            confirm = patch.places > 1 or len(files) > 1
        edits = {uri: patch.text_edits(edit.path) for uri, edit in files.items()}
        edit = self._workspace_edit(files, edits, versions, confirm=confirm)
        made = await asyncio.to_thread(_missing_folders, place[0], patch.edits)
        change = Change(place[0], title, self.now(), patch.edits, made, origin)
        noted = await self._noted(change)
        current = versions == self._versions(files)
        said = current and await self.client.apply(edit, title)
        became = await self._became(patch, files, surely=bool(said)) if current else {}
        if not became:
            if said is not None:  # else it may still be looked at in the preview, and is to be found if it is taken
                await self._journal(self.journal.dropped, noted)
            return Applied(False, problem=await self._strange(files) or say("edit_refused", language))
        mixed = [uri for uri, text in became.items() if not patch.holds(files[uri].path, text)]
        if any(text != files[uri].after for uri, text in became.items()) or len(became) < len(files):
            noted = await self._noted_anew(noted, _kept(change, files, became, mixed))
        await self._journal(self.journal.done, noted)
        note = say("edit_mixed", language, files=names(mixed)) if mixed else ""
        if note:
            self.warn(note)
        places = tuple((uri, _first_line(edits[uri])) for uri in became)
        self._mark(places, noted, page)
        for uri in became:
            if files[uri].before is None:
                self.show(uri)
        whole = len(became) == len(files) and all(patch.whole(files[uri].path, text) for uri, text in became.items())
        return Applied(True, noted, places=places, whole=whole, note=note)

    async def undo(self, document: str, identifier: str = "") -> Undone:
        """Take back a change, the last one if none is named. Raises HearthError."""
        language = self.client.language()
        entry = await self._entry(document, identifier)
        if entry is None:
            raise HearthError(say("undo_none", language))
        uris = {path: self._uri((entry.folder, ""), "", path) for path in entry.paths}
        versions = self._versions(uris.values())
        now = await self._texts(uris.values())
        found = await asyncio.to_thread(self.journal.revert, entry.id, lambda path: now.get(uris[path]))
        if isinstance(found, Conflict):
            strange = [uris.get(path, path) for path in found.paths]
            raise HearthError(say("undo_conflict", language, files=names(strange)) if strange else found.message)
        files = {uris[edit.path]: edit for edit in found.edits}
        edits = {uri: found.text_edits(edit.path) for uri, edit in files.items()}
        if files:
            edit = self._workspace_edit(files, edits, versions, confirm=False)
            if versions != self._versions(uris.values()) or not await self.client.apply(edit, entry.title):
                now = await self._texts(files)
                strange = [uri for uri, one in files.items() if now[uri] != one.before]
                raise HearthError(say("undo_conflict" if strange else "edit_refused", language, files=names(strange)))
            await self._settled(found, files)  # its own news of it may come a little later
        await self._journal(self.journal.undone, entry.id)
        if entry.made:
            await asyncio.to_thread(_remove_empty, entry.folder, entry.made)
        self.forget(entry.id)
        return Undone(entry.id, entry.origin, say("undo_done", language, files=names([*files] or [*uris.values()])))

    def mark(self, uri: str) -> Mark | None:
        """Where a document was changed, if it has not been edited since."""
        mark = self.marks.get(uri)
        return mark if mark is not None and mark.version == self.version(uri) else None

    def forget(self, identifier: str) -> None:
        """Show no lens of a change any more."""
        self.marks = {uri: mark for uri, mark in self.marks.items() if mark.id != identifier}
        self.lenses_changed()

    # Where things are

    def _place(self, document: str) -> tuple[str, str]:
        """Folder and path of a document; a file outside of every workspace is in its own folder; ("", "") of one that
        was never saved."""
        folder, path = self.desk.place(document)
        if not folder and path:
            whole = PurePath(path)
            return str(whole.parent), whole.name
        return folder, path

    def _uri(self, place: tuple[str, str], document: str, path: str) -> str:
        folder, own = place
        if path == own or not folder:
            return document
        named = next((one for one in self.folders() if os.path.realpath(one) == folder), folder)
        return self.desk.uri(str(named), path)

    async def _entry(self, document: str, identifier: str) -> Entry | None:
        """A change in the journal; without a name the newest of the workspace, or of the document's folder."""
        for one in await asyncio.to_thread(self._entries, document, identifier):
            if identifier or one.state == "done" or await self._took_place(one):
                return one
        return None

    def _entries(self, document: str, identifier: str) -> list[Entry]:
        """Those that may be meant, the newest first."""
        every = self.journal.list()
        if identifier:
            return [one for one in every if one.id == identifier]
        folders = {*self.desk.folders, self._place(document)[0] if document else ""} - {""}
        found = [one for one in every if one.folder in folders and one.state != "undone"][:ENTRIES_SEEN_MAX]
        return sorted(found, key=lambda one: one.at_s, reverse=True)

    async def _took_place(self, entry: Entry) -> bool:
        """Whether a change of which nobody said that it was made can be seen in the files, and nothing else."""
        uris = {path: self._uri((entry.folder, ""), "", path) for path in entry.paths}
        now = await self._texts(uris.values())
        found = await asyncio.to_thread(self.journal.revert, entry.id, lambda path: now.get(uris[path]))
        return isinstance(found, Patch) and bool(found.edits)

    def _versions(self, uris: Iterable[str]) -> dict[str, int | None]:
        return {uri: self.version(uri) for uri in uris}

    async def _strange(self, files: Mapping[str, FileEdit]) -> str:
        """What to say of files that are not what the change was made for; "" if all are."""
        now = await self._texts(files)
        strange = [uri for uri, edit in files.items() if now[uri] != edit.before]
        if not strange:
            return ""
        there = all(files[uri].before is None for uri in strange)
        return say("edit_exists" if there else "edit_conflict", self.client.language(), files=names(strange))

    async def _texts(self, uris: Iterable[str]) -> dict[str, str | None]:
        return {uri: await self._text(uri) for uri in uris}

    async def _text(self, uri: str) -> str | None:
        """A file's text now, None if it does not exist."""
        try:
            return (await self.desk.snapshot(uri)).text
        except HearthError:
            return None

    # The journal

    async def _noted(self, change: Change) -> str:
        """The change's id in the journal; "" for none: then the editor's own undo is all there is."""
        if not change.folder:
            return ""
        try:
            return await asyncio.to_thread(self.journal.note, change)
        except JournalError as error:
            self.warn(f"{error.message} {error.remedy}".strip())
            return ""

    async def _noted_anew(self, before: str, change: Change) -> str:
        """The id of what takes an entry's place, which stays if there is no room for another."""
        noted = await self._noted(change)
        if noted:
            await self._journal(self.journal.dropped, before)
        return noted or before

    async def _journal(self, act: Callable[[str], None], identifier: str) -> None:
        if not identifier:
            return
        try:
            await asyncio.to_thread(act, identifier)
        except JournalError as error:
            self.warn(f"{error.message} {error.remedy}".strip())

    # The editor

    async def _became(self, patch: Patch, files: Mapping[str, FileEdit], *, surely: bool) -> dict[str, str | None]:
        """The texts of the files that were changed. `surely`: the editor says so; its own news of it may come a little
        later. Else of several files those that are wholly as they were to be: a part of one may be the user's own."""
        if surely:
            now = await self._settled(patch, files)
            return {uri: text for uri, text in now.items() if text != files[uri].before}
        now = await self._texts(files) if len(files) > 1 else {}
        return {uri: text for uri, text in now.items() if patch.whole(files[uri].path, text)}

    async def _settled(self, patch: Patch, files: Mapping[str, FileEdit]) -> dict[str, str | None]:
        """The texts as soon as they are what they should be, else after a little while."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            now = await self._texts(files)
            done = all(patch.whole(edit.path, now[uri]) for uri, edit in files.items())
            if done or time.monotonic() > deadline:
                return now
            await asyncio.sleep(LOOK_S)

    def _workspace_edit(
        self,
        files: Mapping[str, FileEdit],
        edits: Mapping[str, Sequence[Edit]],
        versions: Mapping[str, int | None],
        *,
        confirm: bool,
    ) -> types.WorkspaceEdit:
        """`versions`: of the texts that the edits were made for. Raises HearthError where the client cannot do what is
        needed."""
        able = self.abilities
        made = any(edit.before is None for edit in files.values())
        gone = any(edit.after is None for edit in files.values())
        if (made and not able.creates) or (gone and not able.deletes):
            raise HearthError(say("edit_no_files", self.client.language()))
        if not able.versions:
            return types.WorkspaceEdit(changes={uri: [_plain(one) for one in edits[uri]] for uri in files})
        annotation = CONFIRM if confirm and able.annotations else None
        steps: list[types.TextDocumentEdit | types.CreateFile | types.RenameFile | types.DeleteFile] = []
        for uri, edit in files.items():
            if edit.after is None:
                steps.append(types.DeleteFile(uri, annotation_id=annotation))
                continue
            if edit.before is None:
                steps.append(types.CreateFile(uri, annotation_id=annotation))
            if edits[uri]:
                document = types.OptionalVersionedTextDocumentIdentifier(uri, versions[uri])
                steps.append(types.TextDocumentEdit(document, [_annotated(one, annotation) for one in edits[uri]]))
        label = say("edit_confirm", self.client.language())
        kept = {CONFIRM: types.ChangeAnnotation("Hearth", needs_confirmation=True, description=label)}
        return types.WorkspaceEdit(document_changes=steps, change_annotations=kept if annotation else None)

    def _mark(self, places: Sequence[tuple[str, int]], identifier: str, page: str) -> None:
        if identifier:
            for uri, line in places:
                self.marks.pop(uri, None)
                self.marks[uri] = Mark(line, self.version(uri), identifier, page)
            while len(self.marks) > MARKS_MAX:
                del self.marks[next(iter(self.marks))]
        self.lenses_changed()


def names(uris: Sequence[str]) -> str:
    """File names, for a sentence."""
    shown = [unquote(uri.rpartition("/")[2]) for uri in uris[:NAMES_SHOWN_MAX]]
    return ", ".join(shown) + ("…" if len(uris) > NAMES_SHOWN_MAX else "")


def _kept(
    change: Change, files: Mapping[str, FileEdit], became: Mapping[str, str | None], mixed: Sequence[str]
) -> Change:
    """A change as the journal is to know it: without what was left out in the preview. What something else wrote into
    too stays as it was meant: so it is found to be another text, and undoing overwrites nothing."""
    told = [
        FileEdit(files[uri].path, files[uri].before, files[uri].after if uri in mixed else text)
        for uri, text in became.items()
    ]
    new = [edit.path for edit in told if edit.before is None]
    made = tuple(folder for folder in change.made if any(path.startswith(f"{folder}/") for path in new))
    return replace(change, edits=tuple(told), made=made)


def _missing_folders(folder: str, edits: Sequence[FileEdit]) -> tuple[str, ...]:
    """Those that new files need; relative, the deepest first."""
    needed = {parent for edit in edits if edit.before is None for parent in PurePosixPath(edit.path).parents}
    missing = [path.as_posix() for path in needed if folder and not os.path.exists(Path(folder) / path)]
    return tuple(sorted(missing, key=len, reverse=True))


def _remove_empty(folder: str, made: Sequence[str]) -> None:
    """Take back folders that were made for files that are gone again, unless something else lies in them by now."""
    for path in made:
        with suppress(OSError):
            (Path(folder) / path).rmdir()


def _first_line(edits: Sequence[Edit]) -> int:
    return min((edit.range.start.line for edit in edits if edit.range is not None), default=0)


def _plain(edit: Edit) -> types.TextEdit:
    assert edit.range is not None
    return types.TextEdit(range_of(edit.range), edit.text)


def _annotated(edit: Edit, annotation: str | None) -> types.TextEdit | types.AnnotatedTextEdit:
    plain = _plain(edit)
    return plain if annotation is None else types.AnnotatedTextEdit(annotation, plain.range, plain.new_text)
