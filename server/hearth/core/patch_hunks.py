"""Search/replace blocks and unified diffs, read into the same thing: hunks of lines to find and lines to put there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hearth.core.patch_base import BLOCKS_MAX, Refused
from hearth.core.patch_paths import Paths, path_in
from hearth.core.patch_text import is_blank

HEADING_LINES_MAX = 3
READINGS_MAX = 8
"""Lines in a block that could be its divider."""

_START = re.compile(r"^\s*(?:<{5,9}|-{5,9})\s*(?:SEARCH|ORIGINAL|FIND)\b[\s:>]*(\S.*)?$", re.IGNORECASE)
_END = re.compile(r"^\s*(?:>{5,9}|\+{5,9})\s*(?:REPLACE|UPDATED|REPLACEMENT)?\b[<\s]*$", re.IGNORECASE)
_DIVIDER = re.compile(r"^\s*={7}\s*$")
_DIVIDER_LOOSE = re.compile(r"^\s*={5,9}\s*$")
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})([^`]*)$")
_HUNK = re.compile(r"^@@+(?:\s*-(\d+)(?:,\d+)?\s+\+\d+(?:,\d+)?\s*@@+)?")
_OLD, _NEW = re.compile(r"^---\s+(\S.*)$"), re.compile(r"^\+\+\+\s+(\S.*)$")
_GIT = re.compile(r'^diff --git "?a/(.+?)"? "?b/(.+?)"?$')
_GIT_NOISE = ("index ", "similarity index", "dissimilarity index", "old mode", "new mode", "Index: ", "=====")
_STAR = re.compile(r"^\*\*\* (Update|Add|Delete|Move) (?:File|to): (.+)$")
NOWHERE = "/dev/null"


@dataclass(slots=True)
class Hunk:
    """`search` becomes `replacement`; more than one reading where the markers stand in the text too, the first is the
    likeliest. `line`: where a diff says that it is, -1 if nothing does. `final`: whether the new last line ends, where
    a diff says so. `number`: its place in the answer, from 1."""

    readings: list[tuple[list[str], list[str]]]
    number: int
    line: int = -1
    final: bool | None = None


@dataclass(slots=True)
class FileHunks:
    """The hunks of one file. `old` and `new` are its paths, "" where nothing names one, NOWHERE for none."""

    old: str
    new: str
    hunks: list[Hunk] = field(default_factory=list[Hunk])
    renamed: bool = False
    deleted: bool = False
    made: bool = False


def has_blocks(lines: Sequence[str]) -> bool:
    return any(_START.match(line) for line in lines)


def has_diff(lines: Sequence[str]) -> bool:
    """Whether there are a diff's headers, hunks with numbers, or the same in the form with stars."""
    for number, line in enumerate(lines):
        if line.startswith("--- ") and number + 1 < len(lines) and lines[number + 1].startswith("+++ "):
            return True
        if line.startswith("@@ -") and _HUNK.match(line):
            return True
        if line.startswith(("diff --git ", "*** Begin Patch")) or (line.startswith("*** ") and _STAR.match(line)):
            return True
        fence = _FENCE.match(line)
        if fence and fence[2].strip().lower() in ("diff", "patch", "udiff"):
            return True
    return False


def blocks_of(lines: Sequence[str], paths: Paths) -> list[FileHunks]:
    """The search/replace blocks of an answer, file by file as they come. Raises Refused."""
    found: list[FileHunks] = []
    path, number, count, fence = "", 0, 0, ""
    floor = 0
    while number < len(lines):
        start = _START.match(lines[number])
        if start is None:
            mark = _FENCE.match(lines[number])
            if mark:
                fence = "" if fence and mark[1].startswith(fence) and not mark[2].strip() else fence or mark[1]
            number += 1
            continue
        end = next((n for n in range(number + 1, len(lines)) if _END.match(lines[n]) or _START.match(lines[n])), -1)
        count += 1
        if end < 0 or _START.match(lines[end]):
            raise Refused(
                "unfinished",
                "The answer breaks off in the middle of a change.",
                f"Block {count} has no `>>>>>>> REPLACE` line. Write all blocks again, each of them whole.",
            )
        if count > BLOCKS_MAX:
            raise Refused("too_large", f"The answer holds more than {BLOCKS_MAX} changes.")
        told = start[1] if start[1] and path_in(start[1], paths) else ""
        path = told or _above(lines, number, floor, paths) or path
        hunk = Hunk(_readings(lines[number + 1 : end], count), count)
        if found and found[-1].new == path:
            found[-1].hunks.append(hunk)
        else:
            found.append(FileHunks(path, path, [hunk]))
        floor = number = end + 1
    if fence:
        raise Refused(
            "unfinished",
            "The answer breaks off: a code block in it is never closed.",
            "The code fence around your blocks is never closed. Write all blocks again, without a fence around them.",
        )
    return found


def _above(lines: Sequence[str], number: int, floor: int, paths: Paths) -> str:
    """The path on the lines above a block, passing over a fence."""
    seen = 0
    for at in range(number - 1, floor - 1, -1):
        fence = _FENCE.match(lines[at])
        if fence and fence[2].strip():
            told = path_in(fence[2].strip().rpartition(" ")[2].rpartition(":")[2], paths)
            if told and ("/" in told or paths.known(told) is not None):
                return told
        if fence or is_blank(lines[at]):
            continue
        seen += 1
        told = path_in(lines[at], paths)
        if told or seen >= HEADING_LINES_MAX:
            return told
    return ""


def _readings(inner: Sequence[str], number: int) -> list[tuple[list[str], list[str]]]:
    places = [n for n, line in enumerate(inner) if _DIVIDER.match(line)]
    places = places or [n for n, line in enumerate(inner) if _DIVIDER_LOOSE.match(line)]
    if not places:
        raise Refused(
            "format",
            "The answer is not in the form that it was asked for: a change has no dividing line.",
            f"Block {number} has no line with `=======` between what is there and what is to be there.",
        )
    if len(places) > READINGS_MAX:
        raise Refused(
            "format",
            "The answer can be read in many ways.",
            f"Block {number} holds {len(places)} lines `=======`. Leave such lines of the file out of the block.",
        )
    readings = [(list(inner[:at]), list(inner[at + 1 :])) for at in places]
    bare = [(_unfenced(old), _unfenced(new)) for old, new in readings]
    return [*readings, *(one for one, whole in zip(bare, readings, strict=True) if one != whole)]


def _unfenced(lines: list[str]) -> list[str]:
    """Without a fence that encloses all of it."""
    solid = [n for n, line in enumerate(lines) if not is_blank(line)]
    if len(solid) < 2 or not _FENCE.match(lines[solid[0]]):
        return lines
    last = _FENCE.match(lines[solid[-1]])
    return lines[solid[0] + 1 : solid[-1]] if last and not last[2].strip() else lines


def diff_of(lines: Sequence[str], paths: Paths) -> list[FileHunks]:
    """The hunks of a unified diff, file by file. Raises Refused."""
    reader = _DiffReader(paths)
    for number, line in enumerate(lines):
        reader.feed(line, lines[number + 1] if number + 1 < len(lines) else "")
    return reader.finish()


class _DiffReader:
    """Line by line; outside of hunks, what is no header is prose."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._files: list[FileHunks] = []
        self._body: list[str] | None = None
        self._line = -1
        self._fence = ""
        self._heading = ""
        self._old = ""
        self._count = 0

    def feed(self, line: str, following: str) -> None:
        fence = _FENCE.match(line)
        # A fence in a file stands behind a sign or a blank in its diff.
        if fence and (self._body is None or not line[0].isspace()) and self._is_fence(fence):
            return
        if self._header(line, following):
            return
        hunk = _HUNK.match(line)
        if hunk:
            self._close()
            self._line = int(hunk[1][:9]) - 1 if hunk[1] else -1
            self._open()
        elif self._body is not None:
            if line.startswith("*** End"):
                self._close()
            elif line[:1] in (" ", "+", "-", "\\", "\t", ""):
                self._body.append(line)
            elif self._fence or (following[:1] in ("+", "-") and not _OLD.match(following)):
                raise Refused(
                    "format",
                    "The answer is no diff that can be read.",
                    f"This line of your diff begins with none of ' ', '+' and '-': {line[:120]!r}",
                )
            else:
                self._close()
                self._heading = path_in(line, self._paths)
        elif self._fence and line[:1] in ("+", "-") and not _is_rule(line):
            self._open()
            self._feed_first(line)
        elif not is_blank(line) and not line.startswith(_GIT_NOISE):
            self._heading = path_in(line, self._paths)

    def _feed_first(self, line: str) -> None:
        if self._body is not None:
            self._body.append(line)

    def _is_fence(self, fence: "re.Match[str]") -> bool:
        if self._fence:
            if fence[1].startswith(self._fence) and not fence[2].strip():
                self._close()
                self._fence = ""
                return True
            return False
        self._close()
        self._fence = fence[1]
        return True

    def _header(self, line: str, following: str) -> bool:
        """Whether a line is a header of a file; takes in what it says."""
        git, star = _GIT.match(line), _STAR.match(line)
        if git:
            self._close()
            self._files.append(FileHunks(git[1], git[2], renamed=git[1] != git[2]))
        elif star:
            self._star(star)
        elif line.startswith(("*** Begin Patch", "*** End Patch")):
            self._close()
        elif line.startswith("--- ") and following.startswith("+++ "):
            self._close()
            self._old = _side(line, _OLD)
        elif line.startswith("+++ ") and self._body is None and self._old:
            self._file(self._old, _side(line, _NEW))
            self._old = ""
        elif self._body is None and self._files and line.startswith(("new file mode", "deleted file mode", "rename ")):
            last = self._files[-1]
            last.made = last.made or line.startswith("new")
            last.deleted = last.deleted or line.startswith("deleted")
        else:
            return False
        return True

    def _star(self, star: "re.Match[str]") -> None:
        self._close()
        path = star[2].strip()
        if star[1] == "Move" and self._files:
            self._files[-1].new, self._files[-1].renamed = path, True
            return
        made, deleted = star[1] == "Add", star[1] == "Delete"
        self._files.append(FileHunks(NOWHERE if made else path, NOWHERE if deleted else path))
        if made:
            self._open()

    def _file(self, old: str, new: str) -> None:
        last = self._files[-1] if self._files else None
        if last and not last.hunks and last.old not in ("", NOWHERE) and last.new != "":
            # A `diff --git` line said it already.
            if old == NOWHERE:
                last.made = True
            if new == NOWHERE:
                last.deleted = True
            if old in ("a/" + last.old, last.old, NOWHERE) and new in ("b/" + last.new, last.new, NOWHERE):
                return
        self._files.append(FileHunks(old, new))

    def _open(self) -> None:
        self._body = []
        last = self._files[-1] if self._files else None
        if last is None or (self._heading and last.hunks and last.new != self._heading):
            self._files.append(FileHunks(self._heading, self._heading))
        self._heading = ""

    def _close(self) -> None:
        if self._body is None:
            return
        body, self._body = self._body, None
        while body and not body[-1]:
            body.pop()  # what is between this hunk and the next is no context
        old: list[str] = []
        new: list[str] = []
        final: bool | None = None
        mark, open_old, open_new = "", False, False
        for line in body:
            if line.startswith("\\"):
                open_old, open_new = open_old or mark in " -", open_new or mark in " +"
                continue
            # A tab or nothing in front: editors and models trim the blank before an empty line.
            mark = line[:1] if line[:1] in ("+", "-") else " "
            content = line[1:] if line[:1] in ("+", "-", " ") else line
            if mark in " -":
                old.append(content)
            if mark in " +":
                new.append(content)
        if open_old != open_new:
            final = not open_new
        elif open_new:
            final = False
        self._count += 1
        if self._count > BLOCKS_MAX:
            raise Refused("too_large", f"The answer holds more than {BLOCKS_MAX} changes.")
        self._files[-1].hunks.append(Hunk([(old, new)], self._count, self._line, final))
        self._line = -1

    def finish(self) -> list[FileHunks]:
        if self._fence:
            raise Refused(
                "unfinished",
                "The answer breaks off in the middle of its diff.",
                "The code fence around your diff is never closed. Write the whole diff again.",
            )
        self._close()
        return self._files


def _side(line: str, form: "re.Pattern[str]") -> str:
    """The path on a `---` or `+++` line, without the time that may stand behind it."""
    found = form.match(line)
    return found[1].partition("\t")[0].strip().strip('"') if found else ""


def _is_rule(line: str) -> bool:
    return not line.strip("-+ ")
