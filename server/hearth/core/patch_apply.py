"""Hunks put into files: each is located in the file as it is; all are applied, or it is said what is wrong."""

from collections.abc import Iterable, Sequence

from hearth.core.patch_base import FileEdit, Refused, Target
from hearth.core.patch_elision import is_elision
from hearth.core.patch_hunks import NOWHERE, FileHunks, Hunk
from hearth.core.patch_match import Finder, Place, already_there, piece_for, shown
from hearth.core.patch_paths import Paths, plain
from hearth.core.patch_text import Kept, Piece, Text, is_blank

FAILURES_TOLD_MAX = 5
LINES_TOLD_MAX = 6
LINE_CHARS_TOLD_MAX = 200


class File:
    """A file on its way from `before` to what it will be."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.path = target.path
        self.text = Text.of(target.text or "")
        self.exists = target.text is not None
        self.deleted = False
        self.final: bool | None = None
        self.notes: list[str] = []
        self._pieces: list[Piece] = []
        self._finder = Finder(self.text)
        self._original = True
        self._lost_count = 0

    def replace(self, pieces: Iterable[Piece]) -> None:
        """Put pieces in that were made for the text as it is."""
        self._pieces += pieces
        self._settle()
        self.exists = True

    def after(self) -> str | None:
        """The text at the end; None if the file is deleted or was not made."""
        if self.deleted or not self.exists:
            return None
        self._settle()
        return self.text.whole()

    def apply(self, hunk: Hunk) -> None:
        """Put one hunk in. Raises Refused."""
        search, replacement = hunk.readings[0]
        if not self.exists or not any(not is_blank(line) for line in self.text.lines):
            self._fill(hunk, search, replacement)
            return
        if not any(not is_blank(line) for line in search):
            self._without_search(hunk, replacement)
            return
        for attempt in (1, 2):
            found = self._located(hunk)
            if found is not None:
                place, search, replacement = found
                # What is found only by shifting it may be another place, once the right one is done.
                loose = None if place.level == "indentation" else place
                if already_there(self._finder, search, replacement, loose):
                    self._note_there(hunk)
                    return
                piece = _shrunk(piece_for(self.text, place, search, replacement))
                if piece in self._pieces:
                    return  # written twice
                if not any(piece.start < other.end and other.start < piece.end for other in self._pieces):
                    self._take(piece, place, hunk)
                    return
            if not self._pieces or attempt == 2:
                break
            # It may be meant for what the hunks before it have made.
            overlapped = found is not None
            self._settle()
            if overlapped and not self._finder.find(hunk.readings[0][0]):
                raise Refused(
                    "conflict",
                    f"Two changes in the answer touch the same lines of {self.path}.",
                    f"Change {hunk.number} touches lines of {self.path} that an earlier one changes. Make them one.",
                    self.path,
                )
        if any(already_there(self._finder, old, new, None) for old, new in hunk.readings):
            self._note_there(hunk)
            return
        raise self._lost(hunk)

    def _settle(self) -> None:
        if self._pieces:
            self._pieces.sort(key=lambda piece: (piece.start, piece.end))
            self.text = self.text.replaced(self._pieces)
            self._finder = Finder(self.text)
            self._pieces = []
            self._original = False
        if self.final is not None:
            self.text = self.text.replaced((), self.final)
            self.final = None

    def _take(self, piece: Piece, place: Place, hunk: Hunk) -> None:
        self._pieces.append(piece)
        if hunk.final is not None and place.end >= len(self.text.lines):
            self.final = hunk.final

    def _fill(self, hunk: Hunk, search: Sequence[str], replacement: Sequence[str]) -> None:
        """The first text of a file that is new or empty."""
        if any(not is_blank(line) for line in search):
            what = "is empty" if self.exists else "does not exist yet"
            raise Refused(
                "no_match",
                f"The answer changes lines in {self.path}, which {what}.",
                f"Change {hunk.number}: {self.path} {what}. Leave the part to search for empty, to write its text.",
                self.path,
            )
        self.text = self.text.replaced([Piece(0, len(self.text.lines), tuple(replacement))], hunk.final)
        self._finder = Finder(self.text)
        self.exists, self._original = True, False

    def _without_search(self, hunk: Hunk, replacement: Sequence[str]) -> None:
        self._settle()
        if [line.rstrip() for line in replacement] == [line.rstrip() for line in self.text.lines]:
            self._note_there(hunk)
            return
        raise Refused(
            "no_match",
            f"The answer does not say where in {self.path} its change belongs.",
            f"Change {hunk.number} has no lines of {self.path} to go by, and that file is not empty. Repeat the lines "
            "that stand there now, and then those with the change.",
            self.path,
        )

    def _note_there(self, hunk: Hunk) -> None:
        self.notes.append(f"Change {hunk.number} was already there in {self.path}.")

    def _located(self, hunk: Hunk) -> tuple[Place, list[str], list[str]] | None:
        """The one place of a hunk, None if there is none. Raises Refused ("ambiguous")."""
        hits: list[tuple[list[Place], list[str], list[str]]] = []
        for search, replacement in hunk.readings:
            places = self._finder.find(search)
            if len(places) > 1 and hunk.line >= 0 and self._original:
                # Right numbers are no guess; wrong ones hardly ever point to one of the places.
                numbered = self._finder.at(search, hunk.line)
                places = [numbered] if numbered else places
            if places and not any(found[0][0] == places[0] for found in hits):
                hits.append((places, search, replacement))
        if not hits:
            return None
        if len(hits) > 1:
            raise Refused(
                "format",
                f"The answer can be read in two ways in {self.path}.",
                f"Change {hunk.number} holds more than one line `=======`, so it is not clear where its two parts "
                "meet. Leave such lines of the file out of the block.",
                self.path,
            )
        places, search, replacement = hits[0]
        if len(places) == 1:
            return places[0], search, replacement
        if self._pieces:
            return None
        numbers = ", ".join(str(place.start + 1) for place in places)
        first = next(line.strip() for line in search if not is_blank(line))[:LINE_CHARS_TOLD_MAX]
        raise Refused(
            "ambiguous",
            f"The answer changes lines that stand more than once in {self.path} (lines {numbers}).",
            f"Change {hunk.number}: the lines to search for, which begin with `{first}`, stand in {self.path} more "
            f"than once, at lines {numbers}. Add lines around them until they can mean one place only.",
            self.path,
            places[0].start,
        )

    def _lost(self, hunk: Hunk) -> Refused:
        """What to say of a hunk that is not in the file."""
        search = hunk.readings[0][0]
        elided = next((n for n in range(len(search)) if is_elision(search, n, self.target.tongue)), -1)
        self._lost_count += 1
        # Looking for the nearest lines takes as long as all the rest: only for those that are told of.
        start, end = self._finder.nearest(search) if self._lost_count <= FAILURES_TOLD_MAX else (0, 0)
        lines = self.text.lines
        wanted = "\n".join(line[:LINE_CHARS_TOLD_MAX] for line in search[:LINES_TOLD_MAX])
        if elided >= 0 and search[elided].strip() not in {line.strip() for line in lines}:
            return Refused(
                "elision",
                f"The answer leaves code out instead of quoting {self.path}.",
                f"Change {hunk.number}: `{search[elided].strip()}` is not a line of {self.path}. Quote every line that "
                "is to be replaced; to change little, quote little.",
                self.path,
            )
        if start < end:
            near = "\n".join(line[:LINE_CHARS_TOLD_MAX] for line in shown(lines, start, end).split("\n"))
            where = f"The nearest lines there are:\n{near}\n{_difference(search, lines, start)}"
        else:
            where = "Nothing like them is there.\n"
        return Refused(
            "no_match",
            f"The answer changes lines that are not in {self.path}.",
            f"Change {hunk.number}: these lines to search for are not in {self.path}:\n{wanted}\n{where}"
            "Copy the lines from the file exactly, with their indentation.",
            self.path,
            start if start < end else -1,
        )


def _difference(search: Sequence[str], lines: Sequence[str], start: int) -> str:
    """The first line that is not as it should be, in a sentence."""
    for index, line in enumerate(search):
        there = lines[start + index] if start + index < len(lines) else None
        if there is None:
            return f"The file ends before your line {index + 1}.\n"
        if line.strip() != there.strip():
            return (
                f"Your line {index + 1} is `{line.strip()[:LINE_CHARS_TOLD_MAX]}`, the file has "
                f"`{there.strip()[:LINE_CHARS_TOLD_MAX]}`.\n"
            )
    return "The words are the same, but not how far the lines are indented against each other.\n"


def _shrunk(piece: Piece) -> Piece:
    """Without the lines at its ends that stay."""
    start, end, items = piece.start, piece.end, list(piece.items)
    while items and isinstance(first := items[0], Kept) and first.start == start:
        start = first.end
        items.pop(0)
    while items and isinstance(last := items[-1], Kept) and last.end == end and last.start >= start:
        end = last.start
        items.pop()
    return Piece(start, end, tuple(items))


class Applier:
    """Puts the hunks of one answer into the files that they are for."""

    def __init__(self, paths: Paths, may_create: bool, may_delete: bool) -> None:
        self._paths = paths
        self._may_create = may_create
        self._may_delete = may_delete
        self.files: dict[str, File] = {}
        self.renamed: dict[str, str] = {}
        self._finders: dict[str, Finder] = {}

    def file(self, target: Target) -> File:
        if target.path not in self.files:
            self.files[target.path] = File(target)
        return self.files[target.path]

    def apply(self, groups: Sequence[FileHunks]) -> None:
        """All hunks, or Refused with everything that is wrong."""
        failures: list[Refused] = []
        for group in groups:
            try:
                file = self._file_of(group)
            except Refused as refused:
                failures.append(refused)
                continue
            for hunk in group.hunks:
                try:
                    (file or self._by_lines(hunk)).apply(hunk)
                except Refused as refused:
                    failures.append(refused)
            if file is not None and (group.deleted or group.new == NOWHERE):
                file.deleted = True
        if failures:
            first = failures[0].refusal
            told = [failure.refusal.feedback for failure in failures[:FAILURES_TOLD_MAX]]
            if len(failures) > FAILURES_TOLD_MAX:
                told.append(f"{len(failures) - FAILURES_TOLD_MAX} more changes do not fit either.")
            told.append("Nothing was changed. Write all changes again, those that did fit too.")
            raise Refused(first.code, first.message, "\n\n".join(told), first.path, first.line)

    def _file_of(self, group: FileHunks) -> File | None:
        """The file that hunks are for; None where nothing names it. Raises Refused."""
        old, new = self._side(group.old, group), self._side(group.new, group)
        if not old and not new:
            only = self._paths.only()
            return self.file(only) if only else None
        if group.deleted or new == NOWHERE:
            return self._to_delete(self._paths.resolve(old if old and old != NOWHERE else new))
        if old in ("", NOWHERE) or old == new or group.made:
            return self.file(self._paths.resolve(new))
        source, goal = self._paths.known(old), self._paths.known(new)
        if source is None and old in self.renamed:
            return self.files[self.renamed[old]]
        if source is None or source is goal:
            return self.file(goal or self._paths.resolve(new))
        if not group.renamed and goal is None and not self._may_create:
            return self.file(source)
        return self._rename(source, new)

    def _side(self, written: str, group: FileHunks) -> str:
        if written in ("", NOWHERE):
            return written
        path = plain(written)
        other = (group.old, group.new)
        paired = all(one.startswith(("a/", "b/")) or one == NOWHERE for one in other)
        if path not in self._paths.targets and paired and path.startswith(("a/", "b/")):
            return path[2:]
        return path

    def _to_delete(self, target: Target) -> File:
        if target.text is None:
            raise Refused("path", f"The answer deletes {target.path}, which does not exist.", path=target.path)
        if not self._may_delete:
            raise Refused(
                "not_allowed",
                f"The answer deletes {target.path}, which it was not asked to.",
                f"No file may be deleted. Leave {target.path} where it is.",
                target.path,
            )
        return self.file(target)

    def _rename(self, source: Target, new: str) -> File:
        if not (self._may_create and self._may_delete):
            raise Refused(
                "not_allowed",
                f"The answer renames {source.path}, which it was not asked to.",
                f"No file may be renamed. Change {source.path} where it is.",
                source.path,
            )
        goal = self._paths.resolve(new)
        if goal.text is not None:
            raise Refused("path", f"The answer renames {source.path} to {goal.path}, which exists.", path=goal.path)
        self.renamed[source.path] = goal.path
        moved = File(Target(goal.path, source.text))
        self.files[goal.path] = moved
        gone = self.file(source)
        gone.deleted = True
        return moved

    def _by_lines(self, hunk: Hunk) -> File:
        """The one target that has the lines of a hunk which names no file. Raises Refused."""
        fitting = [
            target
            for target in self._paths.targets.values()
            if any(self._finder(target).find(search) for search, _ in hunk.readings)
        ]
        if len(fitting) == 1:
            return self.file(fitting[0])
        raise Refused(
            "path",
            "The answer does not say which file it changes.",
            f"Change {hunk.number} names no file. Write the file's path on the line before it. {self._paths.listed()}",
        )

    def _finder(self, target: Target) -> Finder:
        if target.path not in self._finders:
            self._finders[target.path] = Finder(Text.of(target.text or ""))
        return self._finders[target.path]

    def edits(self) -> list[tuple[File, FileEdit]]:
        """What became of each file that was touched, in the order in which they were."""
        result: list[tuple[File, FileEdit]] = []
        for file in self.files.values():
            before = None if file.path in self.renamed.values() else file.target.text
            result.append((file, FileEdit(file.path, before, file.after())))
        return result
