"""Is this position worth a suggestion, and of what extent? Pure, and decided before any request."""

import re
from dataclasses import dataclass
from typing import Literal

from hearth.core.scan import CLOSERS, indent_width, opens_block, traits_of

# What may stand after the cursor on its line: closing brackets and quotes, then at most one of `: { ; ,`.
_ONLY_CLOSERS = re.compile(r"^[\s)\]}'\"`>]*[:{;,]?\s*$")
_FINISHED = ("{}", "[]", "()", ";")

Extent = Literal["statement", "block"]


@dataclass(frozen=True, slots=True)
class Gate:
    """`silent` says why nothing should be suggested ("" = go on); `extent` says where a suggestion ends."""

    silent: str = ""
    extent: Extent = "statement"


def gate(line_before: str, line_after: str, above: str, below: str, language: str, *, invoked: bool = False) -> Gate:
    """Decide for a cursor between `line_before` and `line_after`.

    `above` and `below` are the nearest non-blank lines around the cursor's line ("" at the document's ends).
    `invoked` skips the rules of taste: the user asked.
    """
    extent = _extent(line_before, above, below, language)
    if invoked:
        return Gate("", extent)
    if line_after[:1].isalnum() or line_after[:1] == "_":
        return Gate("the cursor is inside a word", extent)
    if not _ONLY_CLOSERS.match(line_after):
        return Gate("there is code after the cursor", extent)
    if not line_after.strip() and line_before.rstrip().endswith(_FINISHED):
        return Gate("the line looks finished", extent)
    return Gate("", extent)


def _extent(line_before: str, above: str, below: str, language: str) -> Extent:
    """A block where the cursor stands on the blank first line of an empty block, one statement everywhere else."""
    if line_before.strip() or not above or not opens_block(above, traits_of(language)):
        return "statement"
    deeper_below = bool(below) and indent_width(below) > indent_width(above) and below.strip()[:1] not in CLOSERS
    return "statement" if deeper_below else "block"
