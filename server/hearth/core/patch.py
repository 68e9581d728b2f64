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

from collections.abc import Sequence

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
) -> Patch | Refusal:
    """The patch that `answer` means, all files or none. Never raises, whatever the text.

    `may_create`: files that are no target may be made (relative paths without ".." only; whether one is there already
    is for the caller to see: such an edit has `before` None). `may_delete`: a diff may delete files; renaming needs
    both. Targets without text may always be made.
    """
    try:
        raise Refused("format", "The patch engine is not there yet.")
    except Refused as refused:
        return refused.refusal


def instructions(format: Format, targets: Sequence[Target]) -> str:
    """What a model is told about the form of its answer: a few lines and one small example."""
    return ""


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
