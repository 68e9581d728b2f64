"""The last look at a suggestion before it is shown: does the document still parse with it, and are its names known?

A suggestion that adds a parse error is cut back to the whole lines that add none, or dropped. Names that occur nowhere
lower the confidence; what to do about a low one is the caller's choice.
"""

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hearth.core.candidate import Candidate, Site
from hearth.core.scan import scanned, traits_of
from hearth.core.shape import KEPT_WORDS
from hearth.core.syntax import ERRORS_MAX, LANGUAGES, Window, closed, errors, parsed, statement_end, with_inserted

if TYPE_CHECKING:
    from tree_sitter import Tree

CUTS_MAX = 4
"""How many shorter forms of a suggestion are tried; each is one parse of a window."""
HALF_PARSED = 0.8
HOPELESS_ERRORS = 12
"""So many are not the cursor's line's doing."""
UNFINISHED = 0.85
UNKNOWN_NAMES_COST = 0.6

_WORD = re.compile(r"[^\W\d]\w*")
_STRING = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`[^`]*`")
_INTRODUCED = re.compile(
    r"\b(?:def|class|function|fn|func|fun|let|mut|const|var|val|type|struct|enum|trait|interface|module|import|from|as|"
    r"for|catch|except|use|using|package|namespace|lambda|int|string|bool|float|double|char|auto|void|String|final|new)"
    r"\s+([^\W\d]\w*)|([^\W\d]\w*)\s*(?::=|=(?!=)|:(?!:)|=>)|([^\W\d]\w*)\s*(?:,|\))(?=[^\n]*(?::=|=>|->|\{\s*$|:\s*$))"
)
_COMMON = frozenset(
    """abs all any append args apply assert bool break byte bytes call callable catch close concat console const count
    data date debug default delete dict dir document done echo else empty end endif enumerate equals err error Error
    Errorf eprintln exec exit expect extend extends fail false filter find first fmt forEach format from get getattr
    group has hash hasattr id index indexOf info init input insert int is isEmpty isinstance issubclass items iter join
    json key keys kwargs last len length let line list load local log lower main map match math max message min module
    name next none nil null number object open option parse path pop print printf println push puts raise range read
    readonly remove render repeat replace require res result Result return reverse round self set setdefault shift
    size slice some Some None Ok Err sort sorted split splice start startsWith startswith std stderr stdin stdout str
    String strip substring sum super switch sys test then this throw time title toString trim true try tuple type
    typeof undefined union unwrap update upper use value values vec Vec void warn while with window write yield zip
    static cast async await fn impl pub struct public private protected internal override virtual final abstract
    readonly where params string bool double float char long short unsigned uint var new using namespace include define
    ifdef endif ifndef nullptr auto template typename delete operator cout cin endl vector Console WriteLine System Math
    Array Object Promise Date Map Set List Dict Optional Any Union Exception ValueError TypeError KeyError RuntimeError
    IndexError AttributeError OSError StopIteration NotImplementedError elif elsif unless until begin rescue ensure
    attr_accessor attr_reader function fi esac local export exit foreach isset array count div span class style href
    src alt h1 h2 h3 ul li ol p a body head html script link meta button label form table tr td th px em rem flex grid
    block inline none auto center color background margin padding border width height display""".split()  # noqa: SIM905
)


_NO_NAMES = frozenset({"html", "css", "json", "jsonc", "yaml"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """`text`: what of the suggestion may be shown, "" unless `ok`. `confidence`: 0..1. `reason`: why it was cut,
    dropped or doubted, "" if there is nothing to say."""

    ok: bool
    confidence: float
    reason: str
    text: str


def checked(site: Site, candidate: Candidate, window: Window | None, known_names: Set[str] = frozenset()) -> Verdict:
    """Judge a candidate for `site` in its `window` (`syntax.window_at` of the same position; None: no parser).

    `known_names` are names that may be used though the window does not show them.
    """
    text = candidate.text
    if not text:
        return Verdict(False, 0.0, candidate.reason, "")
    reason, factor = "", 1.0
    if window and not site.quote:
        tree = with_inserted(window, text)
        end = statement_end(window, text, tree) if site.extent == "statement" else len(text)
        if end < len(text) and text[:end].strip():
            text, reason = text[:end].rstrip(), "cut at the end of the statement"
            tree = with_inserted(window, text)
        if tree and tree.root_node.has_error:
            text, factor, why = _parsing(window, text, tree)
            reason = why or reason
        if not text:
            return Verdict(False, 0.0, reason, "")
    if _is_prose(site):
        return Verdict(True, round(factor, 3), reason, text)
    seen = _names_of(window, site)
    share = unknown_share(site.line_before + text, len(site.line_before), seen | known_names, site.language)
    confidence = round(factor * (1 - UNKNOWN_NAMES_COST * share), 3)
    if share > 0.5 and not reason:
        reason = "it uses names that occur nowhere around"
    return Verdict(True, confidence, reason, text)


def unknown_share(code: str, start: int, known: Set[str], language: str) -> float:
    """The share of the names used in `code[start:]` that are neither known nor introduced there, 0..1."""
    bare = _without_text(code, language)
    introduced = {name for found in _INTRODUCED.finditer(bare) for name in found.groups() if name}
    used = [found for found in _WORD.finditer(bare) if found.end() > start and len(found.group()) > 1]
    if not used:
        return 0.0
    unknown = 0.0
    total = 0.0
    for found in used:
        name = found.group()
        # A member of something known is often not to be seen anywhere else.
        weight = 0.4 if bare[: found.start()].rstrip()[-1:] in (".", ">", ":") else 1.0
        total += weight
        if not (name in known or name in introduced or name in KEPT_WORDS or name in _COMMON):
            unknown += weight
    return unknown / total


def _is_prose(site: Site) -> bool:
    """Where words are not names: comments, strings, markup and data."""
    if site.quote or site.language not in LANGUAGES or site.language in _NO_NAMES:
        return True
    scanner = scanned(site.line_before, traits_of(site.language))
    return scanner.comment or bool(scanner.quote)


def _parsing(window: Window, text: str, tree: "Tree") -> tuple[str, float, str]:
    """What of `text`, which has errors in its `tree`, parses here, what that does to the confidence, and why."""
    before = _errors_before(window)
    if before > ERRORS_MAX:
        return text, HALF_PARSED, "the code around does not parse"
    if not _shows_more(window, text, before, tree):
        return text, 1.0, ""
    tail = closed(window.language, window.before, text, window.after.split("\n", 1)[0])
    if tail and not _adds(window, text + tail, before):
        return text, UNFINISHED, ""
    lines = text.split("\n")
    for count in range(len(lines) - 1, max(0, len(lines) - 1 - CUTS_MAX), -1):
        shorter = "\n".join(lines[:count]).rstrip()
        if shorter.strip() and not _adds(window, shorter, before):
            return shorter, UNFINISHED, "cut back to the lines that parse"
    return "", 0.0, "the code would not parse with it"


def _errors_before(window: Window) -> int:
    """Parse errors of the document as it is or without the cursor's line, whichever has fewer."""
    as_it_is = _count(window.language, window.before + window.after)
    if as_it_is == 0 or as_it_is > HOPELESS_ERRORS:
        return as_it_is
    line_after = window.after.find("\n")
    rest = "" if line_after < 0 else window.after[line_after:]
    without = window.before[: window.before.rfind("\n") + 1] + rest
    return min(as_it_is, _count(window.language, without))


def _adds(window: Window, text: str, before: int) -> bool:
    tree = with_inserted(window, text)
    return tree is not None and tree.root_node.has_error and _shows_more(window, text, before, tree)


def _shows_more(window: Window, text: str, before: int, tree: "Tree") -> bool:
    """Whether a tree has more errors than there were `before`, or one within the suggestion's own lines."""
    found = errors(tree.root_node)
    if len(found) > before:
        return True
    start = len((window.before[: window.before.rfind("\n") + 1]).encode("utf-8", "replace"))
    end = len((window.before + text + window.after.split("\n", 1)[0]).encode("utf-8", "replace"))
    return any(start <= begin and stop <= end for begin, stop in found)


def _count(language: str, text: str) -> int:
    tree = parsed(language, text)
    return len(errors(tree.root_node)) if tree else 0


def _names_of(window: Window | None, site: Site) -> frozenset[str]:
    around = window.before + window.after if window else "\n".join((*site.above, site.line_before, *site.below))
    return frozenset(_WORD.findall(around))


def _without_text(code: str, language: str) -> str:
    """The code with strings and line comments blanked."""
    lines: list[str] = []
    traits = traits_of(language)
    for line in code.split("\n"):
        bare = _STRING.sub(lambda found: " " * len(found.group()), line)
        at = scanned(bare, traits).comment_at
        lines.append(bare if at < 0 else bare[:at] + " " * (len(bare) - at))
    return "\n".join(lines)
