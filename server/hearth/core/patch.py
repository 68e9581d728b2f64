"""From a model's text to edits of files, or to a refusal that tells the model what to do better. Pure.

    patch = read(answer, "blocks", [Target("src/a.py", text)])
    if isinstance(patch, Refusal): show patch.message; at most twice ask again with patch.feedback
    else: for edit in patch.edits: patch.text_edits(edit.path) -> the editor

What is read is never guessed at. Code is found in the answer among prose, fences and tags; what a block or hunk wants
replaced is looked for exactly, then with other white space at line ends and other blank lines, then with its
indentation shifted as a whole. Nothing fuzzier: what is not found, or found twice, is refused, with the nearest lines
shown to the model. Code that is left out ("rest unchanged") is refused, and so is a result that does not parse where
the file did. Line endings, byte order mark, final newline and indentation unit of a file stay.

An answer in another known format than the one asked for is taken as such, where only one meaning is possible.
"""

import re
from collections import Counter
from collections.abc import Sequence

from hearth.core.patch_answer import OUTPUT, Section, comment_path, prepared, sections
from hearth.core.patch_apply import Applier, File
from hearth.core.patch_base import (
    ANSWER_CHARS_MAX,
    BLOCKS_MAX,
    FILES_MAX,
    PATH_CHARS_MAX,
    TARGET_CHARS_MAX,
    Ability,
    Code,
    FileEdit,
    Format,
    Patch,
    Refusal,
    Refused,
    Target,
)
from hearth.core.patch_elision import is_elision
from hearth.core.patch_hunks import blocks_of, diff_of, has_blocks, has_diff
from hearth.core.patch_loss import Loss, adding, check_loss, lost
from hearth.core.patch_match import shown
from hearth.core.patch_part import part_pieces
from hearth.core.patch_paths import Paths, unfit
from hearth.core.patch_syntax import PIECE, broken_line, outlined
from hearth.core.patch_text import Piece, Text, is_blank, trimmed
from hearth.core.patch_whole import bare_code, chosen, file_pieces, heads_of, symbol_pieces, without_path
from hearth.core.text import split_lines

__all__ = [
    "ANSWER_CHARS_MAX", "BLOCKS_MAX", "FILES_MAX", "PATH_CHARS_MAX", "TARGET_CHARS_MAX", "Ability", "Code",
    "FileEdit", "Format", "Patch", "Refusal", "Target", "format_for", "instructions", "read",
]  # fmt: skip

WHOLE_FILE_CHARS_MAX = 16_000
"""Of files that a model is asked to write out whole, together: more takes it longer than anybody waits."""


def read(
    answer: str,
    format: Format,
    targets: Sequence[Target],
    *,
    may_create: bool = False,
    may_delete: bool = False,
    instruction: str | None = None,
) -> Patch | Refusal:
    """The patch that `answer` means, all files or none. Never raises, whatever the text.

    `may_create`: files that are no target may be made (relative paths without ".." only; whether one is there already
    is for the caller to see: such an edit has `before` None). `may_delete`: a diff may delete files; renaming needs
    both. Targets without text may always be made. `instruction`: what the user asked for, in their own words: a
    definition that goes without having been asked for is then refused, or, where the answer says plainly that it goes,
    noted; an answer that holds only some definitions of a file is put in their places. None: neither.
    """
    try:
        return _Reading(format, targets, may_create, may_delete, instruction).patch(answer)
    except Refused as refused:
        return refused.refusal


def instructions(format: Format, targets: Sequence[Target]) -> str:
    """What a model is told about the form of its answer: a few lines and one small example."""
    path = targets[0].path if targets else "path/to/file"
    if format == "symbol":
        return (
            f"Answer with one fenced code block and nothing else. It holds the whole new text of the marked part of "
            f"{path}, from its first line to its last, ready to replace it. Leave nothing out: no `...`, no comment "
            "that stands for code.\n\n```\nthe whole new text\n```"
        )
    if format == "file":
        several = "For each file that changes, write" if len(targets) != 1 else "Write"
        return (
            f"{several} its path on a line of its own, then the whole new text of the file in a fenced code block. "
            "Leave nothing out: no `...`, no comment that stands for code. Where the text has ``` in it, fence it "
            f"with ````.\n\n{path}\n```\nthe whole new text\n```"
        )
    if format == "blocks":
        return (
            "Answer with one block for each change, in this form, without code fences:\n\n"
            f"{path}\n<<<<<<< SEARCH\nlines as they are now\n=======\nlines as they shall be\n>>>>>>> REPLACE\n\n"
            "The path stands above each block. The lines to search for are copied from the file exactly, with their "
            "indentation, whole lines only, and just enough of them that they stand in the file once. No `...` for "
            "lines left out: write a second block instead. For a new file the first part is empty."
        )
    return (
        "Answer with one unified diff in a fenced block, paths relative to the project, three lines of context "
        f"around each change, copied exactly.\n\n```diff\n--- a/{path}\n+++ b/{path}\n@@ -1,3 +1,3 @@\n context\n"
        "-line as it is\n+line as it shall be\n context\n```"
    )


def format_for(ability: Ability, targets: Sequence[Target]) -> Format:
    """The form to ask a model for. Whole symbols or files of what cannot copy lines exactly, as long as they are short
    enough to be written out; blocks otherwise."""
    if targets and all(target.text is None for target in targets):
        return "file"
    if ability == "able":
        return "blocks"
    if len(targets) == 1 and targets[0].span is not None:
        return "symbol"
    return "file" if sum(len(target.text or "") for target in targets) <= WHOLE_FILE_CHARS_MAX else "blocks"


class _Reading:
    """One answer on its way to a patch. What is wrong with it is raised as Refused."""

    def __init__(
        self, format: Format, targets: Sequence[Target], may_create: bool, may_delete: bool, instruction: str | None
    ) -> None:
        self._format: Format = format
        self._instruction = instruction
        self._written_out = True
        self._targets = targets
        self._paths = Paths(targets, may_create)
        self._applier = Applier(self._paths, may_create, may_delete)

    def patch(self, answer: str) -> Patch:
        self._check_limits(answer)
        lines = prepared(answer)
        if all(is_blank(line) for line in lines):
            raise Refused("nothing", "The model answered nothing.", "Your answer was empty. " + self._form())
        kind = self._kind(lines)
        self._written_out = kind not in ("blocks", "diff")
        if kind == "blocks":
            self._applier.apply(blocks_of(lines, self._paths))
        elif kind == "diff":
            self._applier.apply(diff_of(lines, self._paths))
        else:
            return self._whole(lines)
        if not self._applier.files:
            raise Refused("format", "The answer holds no changes that can be read.", self._form())
        return self._result()

    def _form(self) -> str:
        return instructions(self._format, self._targets)

    def _check_limits(self, answer: str) -> None:
        if len(answer) > ANSWER_CHARS_MAX:
            raise Refused("too_large", f"The answer is longer than {ANSWER_CHARS_MAX:,} characters.")
        if len(self._targets) > FILES_MAX:
            raise Refused("too_large", f"More than {FILES_MAX} files cannot be changed at once.")
        for target in self._targets:
            if len(target.text or "") > TARGET_CHARS_MAX:
                raise Refused(
                    "too_large", f"{target.path} is longer than {TARGET_CHARS_MAX:,} characters.", path=target.path
                )
            if problem := unfit(target.path):
                raise Refused("path", f"{target.path[:80]!r} cannot be changed, {problem}.")

    def _kind(self, lines: Sequence[str]) -> Format:
        """The form that the answer has."""
        if self._format == "blocks" and has_blocks(lines):
            return "blocks"
        if self._format == "diff" and has_diff(lines):
            return "diff"
        # A file that is about such blocks may well have them in its new text.
        own = [split_lines(target.text or "") for target in self._targets]
        if has_blocks(lines) and not any(has_blocks(text) for text in own):
            return "blocks"
        if has_diff(lines) and not any(has_diff(text) for text in own):
            return "diff"
        return "symbol" if self._format == "symbol" else "file"

    def _whole(self, lines: list[str]) -> Patch:
        """An answer of whole files or a symbol, its fences read the usual way, or to the last that could end them."""
        first = sections(lines, self._paths)
        later = sections(lines, self._paths, last=True) if first else first
        if later != first and self._is_longer(first, later):
            first = later
        try:
            self._take(lines, first)
            return self._result()
        except Refused as failed:
            if later == first or failed.refusal.code not in ("several", "syntax", "partial", "path"):
                raise
            self._applier.files.clear()
            try:
                self._take(lines, later)
                return self._result()
            except Refused:
                raise failed from None

    def _is_longer(self, first: Sequence[Section], later: Sequence[Section]) -> bool:
        """Whether Markdown's fence ends late: what stands between the two ends is in the file already, or the whole
        answer is one fence of Markdown."""
        only = self._paths.only()
        if only is None or only.tongue != "markdown" or len(later) != 1:
            return False
        if later[0].info in ("md", "markdown"):
            return True
        known = {line.strip() for line in (only.text or "").split("\n")}
        between = [line.strip() for line in later[0].lines[len(first[0].lines) + 1 :] if not is_blank(line)]
        return bool(between) and 2 * sum(line in known for line in between) >= len(between)

    def _take(self, lines: Sequence[str], found: Sequence[Section]) -> None:
        only = self._paths.only()
        if not found:
            code = bare_code(lines, only) if only else None
            if code is None or only is None:
                raise Refused(
                    "prose",
                    "The model answered in words where code was due.",
                    "Your answer holds no code block. " + self._form(),
                )
            found = [Section("", only.path, code, 0, len(lines))]
        told = [section.path for section in found if section.path]
        if only is not None and not any(self._paths.resolve(path).path != only.path for path in told):
            symbol = self._format == "symbol" and only.span is not None and only.text is not None
            section = self._the_one(found, only, symbol)
            self._put(only, without_path(section, only, self._paths), symbol)
        else:
            self._several(found)

    def _the_one(self, found: Sequence[Section], only: Target, symbol: bool) -> Section:
        if only.text is None and len(found) == 1 and found[0].path:
            return found[0]  # a new file may be empty
        return chosen(found, only, self._paths, symbol=symbol)

    def _several(self, found: Sequence[Section]) -> None:
        """Sections that name their files."""
        taken: dict[str, list[str]] = {}
        for section in found:
            path = section.path or comment_path(section, self._paths)
            if not path:
                if section.info in OUTPUT or (section.info and self._is_output(section)):
                    continue
                raise Refused(
                    "path",
                    "The answer does not say which file its code is for.",
                    f"A code block names no file. Write the path on the line above each. {self._paths.listed()}",
                )
            target = self._paths.resolve(path)
            code = without_path(section, target, self._paths)
            if taken.setdefault(target.path, code) != code:
                raise Refused(
                    "several",
                    f"The answer holds two texts for {target.path}.",
                    f"There are two code blocks for {target.path}. Write one, with its whole new text.",
                    target.path,
                )
            if taken[target.path] is code:
                self._put(target, code, symbol=False)
        if not taken:
            raise Refused("path", "The answer does not say which file its code is for.", self._form())

    def _is_output(self, section: Section) -> bool:
        return section.info in ("bash", "sh", "shell", "console") and not any(
            target.tongue == "shellscript" for target in self._targets
        )

    def _put(self, target: Target, code: Sequence[str], symbol: bool) -> None:
        """Take code as the text of a file, or of its symbol."""
        file = self._applier.file(target)
        if target.text is None:
            file.replace([Piece(0, 0, tuple(trimmed(code)))])
            return
        if all(is_blank(line) for line in code):
            raise Refused("nothing", f"The answer would empty {target.path}.", self._form(), target.path)
        asked = self._format in ("symbol", "file")
        if not asked and not symbol:
            symbol = self._is_symbol(target, file.text, code)
            if not symbol and not _is_whole(target, file.text, code):
                raise Refused(
                    "format",
                    "The answer is not in the form that it was asked for.",
                    "It is not clear what your code block replaces. " + self._form(),
                    target.path,
                )
        file.replace(self._pieces(target, file, code, symbol))

    def _pieces(self, target: Target, file: File, code: Sequence[str], symbol: bool) -> list[Piece]:
        """What replaces the file or its symbol; where that would take definitions away, what replaces those that the
        code holds."""
        made = symbol_pieces if symbol else file_pieces
        if self._instruction is None:
            return made(target, file.text, code)
        failed, pieces = None, list[Piece]()
        try:
            pieces = made(target, file.text, code)
            if not self._loss(target, target.text or "", file.text.replaced(pieces).whole()).missing:
                return pieces
        except Refused as refused:
            if refused.refusal.code != "partial":
                raise
            failed = refused
        if (part := part_pieces(target, file.text, code, adds=adding(self._instruction))) is not None:
            file.notes.append(f"The answer holds only a part of {target.path}; the rest stays as it is.")
            return part
        if failed is not None:
            raise failed
        return pieces  # what is wrong with the result is said of it

    def _loss(self, target: Target, before: str, after: str) -> Loss:
        heads = [one.name for one in heads_of(target, Text.of(before))[1]] if target.span else []
        return lost(target.tongue, before, after, self._instruction or "", written_out=self._written_out, subject=heads)

    def _is_symbol(self, target: Target, text: Text, code: Sequence[str]) -> bool:
        if target.span is None or _is_whole(target, text, code):
            return False
        names = {one.name for one in heads_of(target, text)[1]}
        found = outlined(target.tongue, "\n".join(code) + "\n", PIECE).symbols
        return bool(names) and names <= {one.name for one in found}

    def _result(self) -> Patch:
        """The patch, once nothing speaks against it."""
        edits: list[FileEdit] = []
        notes: list[str] = []
        for file, edit in self._applier.edits():
            notes += dict.fromkeys(file.notes)
            if edit.before is None and edit.after is None:
                continue
            if edit.before == edit.after or (edit.before is not None and edit.after == Text.of(edit.before).whole()):
                notes.append(f"{edit.path} is already as the answer wants it.")
                continue
            if edit.after is not None:
                notes += _judged(file, edit.before, edit.after)
                if self._instruction is not None and edit.before is not None:
                    loss = self._loss(file.target, edit.before, edit.after)
                    if loss.missing and broken_line(file.target.tongue, edit.before) >= 0:
                        loss = Loss((), (*loss.missing, *loss.gone))  # what it defines is a guess
                    notes += filter(None, [check_loss(edit.path, loss)])
            edits.append(edit)
        if len(edits) > FILES_MAX:
            raise Refused("too_large", f"The answer changes more than {FILES_MAX} files.")
        folded = Counter(edit.path.casefold() for edit in edits)
        twice = next((edit.path for edit in edits if folded[edit.path.casefold()] > 1), "")
        if twice:
            raise Refused("path", f"The answer writes {twice} twice, in different letters.", path=twice)
        return Patch(tuple(edits), tuple(notes))


WHOLE_SHARE = 0.6
"""Code that was not asked for as a whole file is one if it has so much of the file's lines."""
_PLACEHOLDER = re.compile(r"<HEARTH_SECRET_\d+:[\w-]+>")


def _is_whole(target: Target, text: Text, code: Sequence[str]) -> bool:
    """Whether code is the whole of a file, by what of the file is in it."""
    solid = [line.strip() for line in text.lines if not is_blank(line)]
    answered = {line.strip() for line in code}
    if target.span is not None:
        start, end = target.span
        outside = [line.strip() for line in (*text.lines[:start], *text.lines[end:]) if not is_blank(line)]
        return bool(outside) and sum(line in answered for line in outside) >= WHOLE_SHARE * len(outside)
    return not solid or sum(line in answered for line in solid) >= WHOLE_SHARE * len(solid)


def _judged(file: File, before: str | None, after: str) -> list[str]:
    """Notes on a result. Raises Refused where it cannot be meant."""
    path, language = file.path, file.target.tongue
    old = Counter(line.strip() for line in Text.of(before or "").lines)
    lines = Text.of(after).lines
    for number, line in enumerate(lines):
        bare = line.strip()
        if old[bare] > 0:
            old[bare] -= 1
            continue
        if "\0" in line:
            raise Refused("format", f"The answer would put a NUL into {path}.", path=path, line=number)
        if is_elision(lines, number, language):
            raise Refused(
                "elision",
                f"The answer leaves code of {path} out.",
                f"Line {number + 1} of the result for {path}, `{bare}`, stands for code that you left out. Write "
                "that code.",
                path,
                number,
            )
        if "<HEARTH" in line and (hidden := _PLACEHOLDER.search(line)) and hidden.group() not in (before or ""):
            raise Refused(
                "placeholder",
                f"The answer would write {hidden.group()} into {path} in place of a secret.",
                f"{hidden.group()} stands for a secret that you cannot see. Leave its line as it is.",
                path,
                number,
            )
    wrong = broken_line(language, after)
    if wrong < 0:
        return []
    if before is not None and broken_line(language, before) >= 0:
        return [f"{path} did not parse before, so whether it does now was not judged."]
    raise Refused(
        "syntax",
        f"{path} would not parse any more: line {wrong + 1}.",
        f"With your change {path} does not parse. The first error is at line {wrong + 1} of the result:\n"
        f"{shown(lines, max(0, wrong - 3), wrong + 3)}",
        path,
        wrong,
    )
