"""A suggestion as a whole, fitted between what stands before and after the cursor: the end of the Trimmer's work."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from hearth.core.cleaning import reindented
from hearth.core.gate import Extent
from hearth.core.scan import CLOSERS, Scanner, traits_of

_TAG_ENDS = re.compile(r"/?>|</[\w.:-]*>?")


@dataclass(frozen=True, slots=True)
class Site:
    """Where a suggestion goes. All text with LF line endings.

    `above`: up to 60 lines before the cursor's line, nearest last. `below`: non-blank lines after it, nearest first.
    `leaks`: tokens that end the text wherever they appear. `quote`: what ends the string or comment that the cursor is
    in, where that began above the cursor's line (`Gate.quote`). `missing`: whether the document lacks the closing
    brackets that end the given text, if that is inserted at the cursor (`syntax.closers_missing`); asked in doubt only.
    """

    language: str
    line_before: str
    line_after: str = ""
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    extent: Extent = "statement"
    max_lines: int = 12
    leaks: tuple[str, ...] = ()
    quote: str = ""
    missing: Callable[[str], bool] = field(default=lambda _text: False, compare=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Text to insert at the cursor (LF line endings), "" with the `reason` if there is nothing worth showing."""

    text: str
    reason: str


def fitted(site: Site, text: str, reason: str) -> Candidate:
    """What of `text` adds something at `site`, in the document's unit of indentation. `reason`: why `text` ended."""
    text = text.rstrip()
    if site.line_after.strip():
        text = _without_overlap(site, text)
    elif _ends_with_a_part_of_below(site, text, reason):
        text = text.rpartition("\n")[0].rstrip()
    if _repeats_above(site, text):
        return Candidate("", "it would repeat the lines above" if "\n" in text else "it would repeat the line above")
    if not text.strip():
        return Candidate("", "it already stands after the cursor")
    if text.endswith(",") and site.language in ("json", "jsonc") and _closes_next(site):
        text = text[:-1]  # a comma before a closing bracket is an error there
    if not site.quote:
        text = reindented(text, site.line_before, site.above, site.below, site.language)
    return Candidate(text, reason)


def _closes_next(site: Site) -> bool:
    after = site.line_after.strip() or (site.below[0].strip() if site.below else "")
    return after[:1] in CLOSERS


def _ends_with_a_part_of_below(site: Site, text: str, reason: str) -> bool:
    """The model was cut off while it wrote what already stands below."""
    last = text.rpartition("\n")[2]
    cut_off = reason.endswith("length") and "\n" in text and bool(site.below)
    return cut_off and len(last.strip()) > 1 and site.below[0].startswith(last.rstrip())


def _repeats_above(site: Site, text: str) -> bool:
    """Whether the suggestion is the line above once more, or begins with the three lines above."""
    above = [line.rstrip() for line in site.above if line.strip()]
    mine = [line.rstrip() for line in (site.line_before + text).split("\n") if line.strip()]
    if len(mine) == 1:
        return bool(above) and mine == above[-1:] and len(mine[0].strip()) > 3
    size = min(3, len(mine))
    return mine[:size] == above[-size:] and sum(len(line.strip()) for line in mine[:size]) > 12


def _without_overlap(site: Site, text: str) -> str:
    """Cut from the end of `text` what the text after the cursor begins with, if that leaves the line balanced."""
    after = site.line_after.strip()
    if after[-1] in ":;,{" and len(after) == 1:
        return text.removesuffix(after).rstrip(" ")
    if after in ("*/", "-->"):
        return text.partition(after)[0].rstrip()
    if after[0] in "\"'" and after[0] not in traits_of(site.language).quotes and site.line_before.count(after[0]) % 2:
        return text.partition(after[0])[0]  # an attribute's value
    if after[0] in "</>" and (tag := _TAG_ENDS.match(after)):
        return _without_tag(text, tag.group())
    if _balanced(site, text):
        return text
    for size in range(min(len(after), len(text)), 0, -1):
        if text.endswith(after[:size]) and _balanced(site, text[:-size]):
            return text[:-size]
    return text


def _without_tag(text: str, tag: str) -> str:
    """As above for what ends a tag or an element, which no bracket tells."""
    end = text.find(tag)
    while end >= 0:
        mine = text[:end]
        opened = mine.count("<" + tag[2:-1]) - mine.count(tag) if tag[:2] == "</" else mine.count("<")
        if opened <= 0 or (tag[:2] != "</" and opened <= mine.count(">") - mine.count("=>") - mine.count("->")):
            return mine.rstrip(" ") if tag == "/>" else mine
        end = text.find(tag, end + 1)
    return text


def _balanced(site: Site, text: str) -> bool:
    line = Scanner(traits_of(site.language))
    line.feed(site.line_before + text + site.line_after)
    return not line.surplus and not line.quote
