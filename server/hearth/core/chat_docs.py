"""Documenting code: the convention that a file or its language has, and the proof that only comments changed."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from hearth.core.analysis import tree_of
from hearth.core.patch_base import Patch, Refusal
from hearth.core.scan import traits_of

if TYPE_CHECKING:
    from tree_sitter import Node

SAMPLE_CHARS_MAX = 60_000
CODE_CHARS_SHOWN_MAX = 80
TOKENS_SHOWN = 5
"""Before and after the first difference."""
_SCRIPTS = frozenset(("javascript", "javascriptreact", "typescript", "typescriptreact", "vue", "svelte"))


@dataclass(frozen=True, slots=True)
class Style:
    """`name`: of the convention. `instruction`: what the model is told. `seen`: whether the project shows it."""

    name: str
    instruction: str
    seen: bool = False


_PYTHON: dict[str, tuple[re.Pattern[str], str]] = {
    "google": (
        re.compile(r"(?m)^\s+(?:Args|Returns|Raises|Yields|Attributes):\s*$"),
        "Google style docstrings: a summary line, then sections such as `Args:`, `Returns:` and `Raises:`",
    ),
    "numpy": (
        re.compile(r"(?m)^\s*(?:Parameters|Returns|Raises|Yields|Attributes)\n\s*-{4,}\s*$"),
        "NumPy style docstrings: a summary line, then underlined sections such as `Parameters` and `Returns`",
    ),
    "sphinx": (
        re.compile(r"(?m)^\s*:(?:param|type|returns?|rtype|raises)\b"),
        "Sphinx style docstrings: a summary line, then fields such as `:param name:`, `:returns:` and `:raises Error:`",
    ),
    "epytext": (
        re.compile(r"(?m)^\s*@(?:param|type|return|rtype|raise)\b"),
        "Epytext style docstrings: a summary line, then fields such as `@param name:` and `@return:`",
    ),
}
_PLAIN = "docstrings of plain sentences, as PEP 257 has them: a summary line, then what a caller must know"
_OF_LANGUAGE: dict[str, tuple[str, str]] = {
    "go": ("godoc", "Go doc comments: `//` sentences right above, the first beginning with the name"),
    "rust": ("rustdoc", "rustdoc comments: `///` above items, `//!` for the module; `# Errors` and the like where due"),
    "java": ("javadoc", "Javadoc comments with @param, @return and @throws"),
    "kotlin": ("kdoc", "KDoc comments with @param, @return and @throws where they say more than the signature"),
    "csharp": ("xml", "XML documentation comments: `/// <summary>`, `<param name=\"...\">`, `<returns>`"),
    "php": ("phpdoc", "PHPDoc comments with @param, @return and @throws"),
    "ruby": ("yard", "comments above, as YARD reads them: a sentence, then @param, @return and @raise"),
    "dart": ("dartdoc", "`///` doc comments: a summary sentence, then what a caller must know"),
    "swift": ("swift", "`///` doc comments with `- Parameters:`, `- Returns:` and `- Throws:`"),
    "shellscript": ("comments", "`#` comments above functions: what they do, their arguments, what they print"),
    "css": ("comments", "`/* */` comments above rules that need one"),
}  # fmt: skip
_DOXYGEN = re.compile(r"[@\\](?:brief|param|return)\b")


def style_of(language: str, text: str, others: Iterable[str] = ()) -> Style:
    """The convention of a file: what it shows itself, else what `others` of the project show, else the language's
    own."""
    if language == "python":
        for seen in (text, "\n".join(other[:SAMPLE_CHARS_MAX] for other in others)):
            counts = Counter(
                {name: len(pattern.findall(seen[:SAMPLE_CHARS_MAX])) for name, (pattern, _) in _PYTHON.items()}
            )
            name, count = counts.most_common(1)[0]
            if count:
                return Style(name, _PYTHON[name][1], seen=True)
        return Style("plain", _PLAIN, seen='"""' in text)
    if language in _SCRIPTS:
        typed = language.startswith("typescript")
        types = "without types, since the code has them" if typed else "with types in braces"
        return Style("jsdoc", f"JSDoc comments (`/** */`) with @param and @returns, {types}", seen="/**" in text)
    if language in ("c", "cpp"):
        lead = "///" if text.count("///") > text.count("/**") else "/** */"
        if _DOXYGEN.search(text):
            backslashes = len(re.findall(r"\\(?:brief|param|return)\b", text))
            return _doxygen(lead, "\\" if backslashes > text.count("@param") else "@")
        return Style("comments", f"doc comments (`{lead}`) above declarations, in sentences")
    name, instruction = _OF_LANGUAGE.get(
        language, ("comments", "comments as the language has them, above what they say")
    )
    return Style(name, instruction)


def _doxygen(lead: str, mark: str) -> Style:
    return Style("doxygen", f"Doxygen comments (`{lead}`) with {mark}brief, {mark}param and {mark}return", seen=True)


# Only comments changed


def code_change(language: str, before: str, after: str) -> str:
    """What of the code itself differs between two texts, as the model wrote it; "" if only comments, docstrings
    and white space do.

    By the syntax trees without comments, so that an indentation which changes the meaning is seen. Without a
    grammar only whole lines of comment may differ."""
    one, other = (None if language == "yaml" else tree_of(language, text) for text in (before, after))
    if one is None or other is None:
        return _line_change(language, before, after)
    mine = list(_tokens(one.root_node, language))
    others = list(_tokens(other.root_node, language))
    if mine == others:
        return ""
    at = next((n for n, (a, b) in enumerate(zip(mine, others, strict=False)) if a != b), min(len(mine), len(others)))
    tokens = others if at < len(others) else mine
    texts = [token[2] for token in tokens[max(0, at - TOKENS_SHOWN) : at + TOKENS_SHOWN] if token[2]]
    return " ".join(texts)[:CODE_CHARS_SHOWN_MAX] or "the structure of the code"


def refused_code(patch: Patch, language: str) -> Refusal | None:
    """Why a patch that may only add comments is refused; None where it leaves the code alone."""
    for edit in patch.edits:
        changed = code_change(language, edit.before or "", edit.after or "")
        if changed:
            return Refusal(
                "not_allowed",
                "The answer changes code, though only comments may change.",
                f"Your answer changes code, at `{changed}`. Give it again with every line of code exactly as it is: "
                "only comments and docstrings may be added or changed.",
                edit.path,
            )
    return None


def _tokens(root: "Node", language: str) -> Iterator[tuple[int, str, str]]:
    """(depth, type, text) of every node of a tree but comments and docstrings; text of leaves only."""
    waiting: list[tuple[Node, int]] = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        kind = node.type
        if "comment" in kind or (language == "python" and _is_docstring(node)):
            continue
        children = node.children
        if not children:
            text = (node.text or b"").decode("utf-8", "replace")
            if text.strip() or node.is_named:
                yield depth, kind, text if kind not in ("\n", "_newline") else ""
            continue
        yield depth, kind, ""
        waiting.extend((child, depth + 1) for child in reversed(children))


def _is_docstring(node: "Node") -> bool:
    """A string that is a statement of its own does nothing, wherever it stands; but one that is all of a body
    holds it."""
    if node.type != "expression_statement" or node.named_child_count != 1:
        return False
    only = node.named_children[0]
    return only.type == "string" and not any(child.type == "interpolation" for child in only.children)


def _line_change(language: str, before: str, after: str) -> str:
    marks = (
        *traits_of(language).line_comments,
        *(part for pair in traits_of(language).block_comments for part in pair),
        "*",
    )
    old, new = ([line.rstrip() for line in text.split("\n")] for text in (before, after))
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        for line in (*old[a:b], *new[c:d]):
            bare = line.strip()
            if bare and not bare.startswith(marks):
                return bare[:CODE_CHARS_SHOWN_MAX]
    return ""
