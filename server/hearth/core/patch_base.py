"""What the patch engine is given and what it gives back: see `core.patch`, which is what callers import."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hearth.core.grammars import language_of
from hearth.core.patch_lines import changed_ranges
from hearth.core.prompt import lf
from hearth.core.text import Edit, Snapshot

Format = Literal["symbol", "file", "blocks", "diff"]
"""symbol: the lines of `Target.span`, whole. file: the file, whole. blocks: search/replace blocks. diff: unified."""
Ability = Literal["unknown", "small", "able"]
"""What a model was seen to do: only an able one copies lines exactly enough for blocks."""
Code = Literal[
    "nothing", "prose", "unfinished", "format", "several", "language", "elision", "no_match", "ambiguous", "conflict",
    "partial", "syntax", "path", "not_allowed", "placeholder", "too_large",
]  # fmt: skip
"""Why an answer is no patch.

nothing: it is empty. prose: words where code is due. unfinished: it breaks off. format: not what was asked for and
nothing else that is known. several: more than one piece of code could be meant. language: code of another language.
elision: it leaves code out ("rest unchanged"). no_match: what is to be replaced is not in the file. ambiguous: it is
there more than once. conflict: two of its changes touch the same lines. partial: only a part of what was to be whole.
syntax: the file would not parse any more. path: a file that may not be named. not_allowed: it makes, deletes or renames
a file. placeholder: it would write a masked secret into a file. too_large: over a named limit.
"""

ANSWER_CHARS_MAX = 2_000_000
TARGET_CHARS_MAX = 8_000_000
FILES_MAX = 200
BLOCKS_MAX = 500
"""Search/replace blocks or hunks of one answer."""
PATH_CHARS_MAX = 400


@dataclass(frozen=True, slots=True)
class Target:
    """A file that may be changed. `path`: relative to the workspace folder, with "/". `text`: as it is now, in the
    editor if it is open there; None: it does not exist and may be made. `language`: as editors name it, "" to go by the
    name. `span`: first and last + 1 line (0-based) of what the format "symbol" replaces."""

    path: str
    text: str | None
    language: str = ""
    span: tuple[int, int] | None = None

    @property
    def tongue(self) -> str:
        """The language, by the name if it was not given."""
        return self.language or language_of(self.path)


@dataclass(frozen=True, slots=True)
class FileEdit:
    """One file before and after; None where it does not exist. Whoever applies it looks first whether `before` is what
    is there now: if it is not, that is a conflict."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Patch:
    """Changes that belong together: all of them or none. `notes` are sentences for the user, such as that a part was
    already there. Without `edits` there is nothing left to do."""

    edits: tuple[FileEdit, ...]
    notes: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(edit.path for edit in self.edits)

    @cached_property
    def places(self) -> int:
        """How many stretches of lines change, over all files; a file made or deleted counts as one."""
        return sum(
            1 if edit.before is None or edit.after is None else len(self.text_edits(edit.path)) for edit in self.edits
        )

    def edit(self, path: str) -> FileEdit | None:
        """The edit of a path, None if it is not changed."""
        return next((edit for edit in self.edits if edit.path == path), None)

    def text_edits(self, path: str) -> tuple[Edit, ...]:
        """The smallest edits (UTF-16 positions in `before`, in order, none touching another) that make `after` of
        `before`. Lines that stay are not part of any. () for a path that is not there or a file that is deleted; one
        insertion at 0:0 for a new file."""
        edit = self.edit(path)
        if edit is None or edit.after is None:
            return ()
        return tuple(Edit(where, text) for where, text in changed_ranges(edit.before or "", edit.after))

    def whole(self, path: str, text: str | None) -> bool:
        """Whether a file's text now, None if there is none, is what it was to be. An editor may write a new file with
        line endings of its own."""
        edit = self.edit(path)
        if edit is None or text == edit.after:
            return True
        return edit.before is None and text is not None and edit.after is not None and lf(text) == lf(edit.after)

    def holds(self, path: str, text: str | None) -> bool:
        """Whether a file's text now is what was before with some of the edits, all or none: if not, something else was
        written too."""
        edit = self.edit(path)
        if edit is None or self.whole(path, text):
            return True
        if text is None or edit.before is None or edit.after is None:
            return text == edit.before or (edit.before is None and text == "")
        was, ends, at = Snapshot.of(edit.before), {0}, 0
        for one in self.text_edits(path):
            assert one.range is not None
            start, end = was.offset_at(one.range.start), was.offset_at(one.range.end)
            stays, old = edit.before[at:start], edit.before[start:end]
            ends = {place + len(stays) for place in ends if text.startswith(stays, place)}
            ends = {place + len(new) for place in ends for new in (old, one.text) if text.startswith(new, place)}
            at = end
        return any(text[place:] == edit.before[at:] for place in ends)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no patch. `message`: for the user. `feedback`: for the model, what exactly is wrong and how to
    answer instead. `path` and `line` (0-based, in the file as it is or would be) where it has to do with one, "" and -1
    otherwise."""

    code: Code
    message: str
    feedback: str
    path: str = ""
    line: int = -1


class Refused(Exception):
    """A refusal on its way out of the engine's parts; never leaves `core.patch.read`."""

    def __init__(self, code: Code, message: str, feedback: str = "", path: str = "", line: int = -1) -> None:
        super().__init__(message)
        self.refusal = Refusal(code, message, feedback or message, path, line)
