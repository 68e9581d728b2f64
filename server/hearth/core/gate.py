"""Is this position worth a suggestion, and of what extent? Pure, and decided before any request."""

import re
from dataclasses import dataclass
from typing import Literal

from hearth.core.scan import CLOSERS, indent_width, opens_block, scanned, traits_of
from hearth.core.syntax import Context, Inside, inside_of

# What may stand after the cursor on its line: closing brackets and quotes, the end of a tag, then at most one of
# `: { ; ,`, or what every arm of a `match` and every `else` begins with.
_ONLY_CLOSERS = re.compile(r"(?:[\s)\]}'\"`>]|/>)*(?:</[\w.:-]*>)*(?:[:{;,]|=>|->|[%?]>|=> ?\{)?[ )\]}]*")
_AFTER_CHARS_MAX = 60
_FINISHED = ("{}", "[]", "()", ";")

Extent = Literal["statement", "block"]


@dataclass(frozen=True, slots=True)
class Gate:
    """`silent` says why nothing should be suggested ("" = go on); `extent` says where a suggestion ends; `inside` what
    the cursor is in, and `quote` what ends that, where it began on an earlier line."""

    silent: str = ""
    extent: Extent = "statement"
    inside: Inside = "code"
    quote: str = ""


def gate(
    line_before: str,
    line_after: str,
    above: str,
    below: str,
    language: str,
    *,
    invoked: bool = False,
    context: Context | None = None,
    in_comments: bool = True,
    in_strings: bool = True,
    deleted: bool = False,
    blank_above: bool = False,
) -> Gate:
    """Decide for a cursor between `line_before` and `line_after`.

    `above` and `below` are the nearest non-blank lines around the cursor's line ("" at the document's ends).
    `invoked` skips the rules of taste: the user asked. `context` is what the parser knows; without it the scanner says
    what the cursor is in. `in_comments` and `in_strings` are the user's settings. `deleted`: the user just removed what
    was suggested here. `blank_above`: the line above is blank.
    """
    inside = context.inside if context else _inside(line_before, language)
    extent = "statement" if inside != "code" else _extent(line_before, above, below, language, context)
    silent = "" if invoked else _silent(line_before, line_after, inside, language)
    if not invoked and not silent:
        if deleted:
            silent = "you removed what was suggested here"
        elif inside == "comment" and not in_comments:
            silent = "the cursor is in a comment"
        elif inside == "string" and not in_strings:
            silent = "the cursor is in a string"
        elif blank_above and above and not below and not (line_before + line_after):
            silent = "the document ends here"
    return Gate(silent, extent, inside, context.quote if context else "")


def _silent(line_before: str, line_after: str, inside: Inside, language: str) -> str:
    if line_after[:1].isalnum() or line_after[:1] == "_":
        return "the cursor is inside a word"
    after = line_after.strip()
    closes = len(after) <= _AFTER_CHARS_MAX and _ONLY_CLOSERS.fullmatch(after)
    if not closes and not (inside == "comment" and after in ("*/", "-->")):
        return "there is code after the cursor"
    if inside == "code" and not after and line_before.rstrip().endswith(_FINISHED):
        # `for (i = 0;` is not.
        return "" if "(" in scanned(line_before, traits_of(language)).stack else "the line looks finished"
    return ""


def _inside(line_before: str, language: str) -> Inside:
    return inside_of(scanned(line_before, traits_of(language)))


def _extent(line_before: str, above: str, below: str, language: str, context: Context | None) -> Extent:
    """A block where the cursor stands on the blank first line of an empty block, one statement everywhere else."""
    if line_before.strip() or not above or not opens_block(above, traits_of(language)):
        return "statement"
    if context and context.in_arguments and above.rstrip().endswith(("(", ",")):
        return "statement"  # the arguments of a call are written one by one
    deeper_below = bool(below) and indent_width(below) > indent_width(above) and below.strip()[:1] not in CLOSERS
    return "statement" if deeper_below else "block"
