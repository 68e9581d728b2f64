"""An answer in its parts: the code in fences and tags, apart from the prose around it."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from hearth.core.grammars import language_of
from hearth.core.patch_base import Refused
from hearth.core.patch_paths import Paths, looks_like_path, path_in
from hearth.core.patch_text import BOM, is_blank, trimmed
from hearth.core.text import split_lines, well_formed

FENCE_INDENT_MAX = 3
"""A closing fence may be indented so much further than its opening one; a fence in a docstring is further."""
TAGS_NESTED_MAX = 3
COMMENT_CHARS_MAX = 500
HEADING_LINES_MAX = 3
"""A file's name stands at most so many lines above its code."""

_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})([^`]*)$")
_THINKING_OPEN = re.compile(r"\s*<(think|thinking|reasoning)>")
_THINKING_END = re.compile(r"^.*?</(?:think|thinking|reasoning)>", re.DOTALL)
_SPECIAL = re.compile(r"<\|[\w|▁ -]{2,40}\|>|</s>|<eos>|<end_of_turn>|\[/INST\]")
SPECIAL_CHARS_MAX = 48
_TAG = re.compile(r"^\s*<([a-z_]{3,20})((?:\s+[a-z_]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*>\s*$")
_TAGS = frozenset({
    "file", "answer", "code", "new_code", "updated_code", "new_file", "edit", "patch", "diff", "symbol", "replacement",
    "file_content", "file_contents", "changes", "response", "result", "updated_file",
})  # fmt: skip
_ATTRIBUTE = re.compile(r"(?:path|name|file|filename|file_path)\s*=\s*[\"']([^\"']+)[\"']")
_INFO_PATH = re.compile(r"(?:title|file|filename|path|name)\s*=\s*[\"']?([^\s\"'}]+)")
_COMMENT = re.compile(r"^\s*(?://|#|--|;|%|/\*|<!--|\"|')\s*(.*?)\s*(?:\*/|-->)?\s*$")

_ALIASES = {
    "py": "python", "python3": "python", "py3": "python", "pyi": "python", "js": "javascript", "node": "javascript",
    "mjs": "javascript", "ecmascript": "javascript", "jsx": "javascriptreact", "ts": "typescript",
    "tsx": "typescriptreact", "golang": "go", "rs": "rust", "c++": "cpp", "cc": "cpp", "cxx": "cpp", "h": "c",
    "hpp": "cpp", "cs": "csharp", "c#": "csharp", "rb": "ruby", "sh": "shellscript", "bash": "shellscript",
    "zsh": "shellscript", "shell": "shellscript", "console": "shellscript", "yml": "yaml", "md": "markdown",
    "htm": "html", "xhtml": "html", "docker": "dockerfile", "make": "makefile", "kt": "kotlin",
}  # fmt: skip
_KNOWN = frozenset({
    "python", "javascript", "javascriptreact", "typescript", "typescriptreact", "go", "rust", "java", "c", "cpp",
    "csharp", "ruby", "php", "dart", "shellscript", "html", "css", "scss", "less", "json", "jsonc", "yaml", "markdown",
    "lua", "kotlin", "swift", "sql", "toml", "vue", "svelte", "dockerfile", "makefile", "cmake",
})  # fmt: skip
_FAMILIES: tuple[frozenset[str], ...] = (
    frozenset({"javascript", "javascriptreact", "typescript", "typescriptreact", "vue", "svelte"}),
    frozenset({"c", "cpp"}), frozenset({"json", "jsonc"}), frozenset({"css", "scss", "less"}),
    frozenset({"html", "vue", "svelte", "php"}), frozenset({"json", "javascript"}),
)  # fmt: skip
OUTPUT = frozenset({"shellscript", "plaintext", "text", "txt", "output", "log", "diff", "plain"})
"""Fences that often show how to run something, or what comes of it."""


class Section(NamedTuple):
    """Code of an answer. `info`: the fence's first word. `path`: the file it is said to be, "" if nothing says.
    `start`, `end`: its lines in the answer, fences included. `tag`: that it was enclosed by."""

    info: str
    path: str
    lines: list[str]
    start: int
    end: int
    tag: str = ""


def prepared(answer: str) -> list[str]:
    """The lines of an answer without endings, thoughts and the marks that a chat template leaves."""
    text = well_formed(answer).removeprefix(BOM)
    if "</think" in text or "</reason" in text or _THINKING_OPEN.match(text):
        head = _THINKING_OPEN.match(text)
        if head:
            end = text.find(f"</{head[1]}>", head.end())
            if end < 0:
                raise Refused(
                    "unfinished", "The model thought until its answer had to end.", "Answer without thinking aloud."
                )
            text = text[end + len(head[1]) + 3 :]
        elif not re.search(r"<(think|thinking|reasoning)>", text):
            text = _THINKING_END.sub("", text, count=1)
    while (mark := text.rfind("<", 0, -1) if text.rstrip().endswith(">") else text.rfind("[")) >= 0:
        if len(text) - mark > SPECIAL_CHARS_MAX or not _SPECIAL.fullmatch(text[mark:].strip()):
            break
        text = text[:mark]
    lines = [line.rstrip("\r\n") for line in split_lines(text)]
    while len(lines) > 1 and is_blank(lines[-1]):
        lines.pop()
    return lines


def sections(lines: Sequence[str], paths: Paths, *, last: bool = False, depth: int = 0) -> list[Section]:
    """The fences and tags of an answer, in order. `last`: a fence goes on to the last line that could end it, as in
    Markdown with fences of its own. Raises Refused ("unfinished") where one is not closed."""
    found: list[Section] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        fence, tag = _FENCE.match(line), _TAG.match(line)
        if fence:
            end = _close(lines, number, fence, last)
            if end < 0:
                raise _unfinished(number)
            info, path = _told(fence[3].strip(), paths)
            path = path or _heading(lines, number, found[-1].end if found else 0, paths)
            found.append(Section(info, path, _inside(lines, number, end, fence[1]), number, end + 1))
            number = end + 1
        elif tag and tag[1] in _TAGS:
            end = next((n for n in range(number + 1, len(lines)) if lines[n].strip() == f"</{tag[1]}>"), -1)
            if end < 0:
                raise _unfinished(number)
            attribute = _ATTRIBUTE.search(tag[2])
            path = attribute[1] if attribute else _heading(lines, number, found[-1].end if found else 0, paths)
            whole = Section("", path, trimmed(lines[number + 1 : end]), number, end + 1, tag[1])
            found += _tagged(whole, paths, last, depth)
            number = end + 1
        else:
            number += 1
    return found


def _tagged(whole: Section, paths: Paths, last: bool, depth: int) -> list[Section]:
    """What is in a tag: the fences and tags in it, or all of it."""
    inner = whole.lines
    if not inner or depth >= TAGS_NESTED_MAX:
        return [whole]
    if inner[0].strip() == "<![CDATA[" and inner[-1].strip() == "]]>":
        return [whole._replace(lines=inner[1:-1])]
    tag = _TAG.match(inner[0])
    if not _FENCE.match(inner[0]) and not (tag and tag[1] in _TAGS):
        return [whole]
    return [
        section._replace(path=section.path or whole.path, tag=whole.tag, start=whole.start, end=whole.end)
        for section in sections(inner, paths, last=last, depth=depth + 1)
    ]


def _unfinished(number: int) -> Refused:
    return Refused(
        "unfinished",
        "The answer breaks off in the middle of its code.",
        f"The block that begins in line {number + 1} of your answer is never closed. Write the answer again, whole.",
    )


def _close(lines: Sequence[str], number: int, opening: "re.Match[str]", last: bool) -> int:
    """The line that closes a fence; -1 if none does."""
    mark, indent = opening[2], len(opening[1])
    depth, closing = 0, -1
    for at in range(number + 1, len(lines)):
        fence = _FENCE.match(lines[at])
        if fence is None or fence[2][0] != mark[0] or len(fence[2]) < len(mark):
            continue
        if len(fence[1]) > indent + FENCE_INDENT_MAX:
            continue
        if fence[3].strip():
            depth += 1  # a closing fence says nothing more: this one opens another
        elif depth:
            depth -= 1
        elif last:
            closing = at
        else:
            return at
    return closing


def _inside(lines: Sequence[str], start: int, end: int, indent: str) -> list[str]:
    inner = list(lines[start + 1 : end])
    if indent and all(line.startswith(indent) or is_blank(line) for line in inner):
        return [line[len(indent) :] for line in inner]
    return inner


def _told(info: str, paths: Paths) -> tuple[str, str]:
    """The language and the path that a fence's first line tells."""
    if not info:
        return "", ""
    attribute = _INFO_PATH.search(info)
    word, _, rest = info.partition(" ")
    if attribute:
        return word.partition("{")[0].lower() if "=" not in word else "", attribute[1]
    if ":" in word:
        word, _, rest = word.partition(":")
        # ```12:30:src/a.py names lines too.
        rest = rest.rpartition(":")[2] if word.isdigit() else rest
        word = "" if word.isdigit() else word
    elif not rest and (paths.known(word) is not None or ("/" in word and looks_like_path(word))):
        return "", word
    rest = rest.strip().strip("{}").strip()
    return word.lower(), rest if rest and (paths.known(rest) is not None or looks_like_path(rest)) else ""


def _heading(lines: Sequence[str], number: int, floor: int, paths: Paths) -> str:
    """The path on the nearest lines above."""
    for at in range(number - 1, max(floor, number - HEADING_LINES_MAX) - 1, -1):
        if not is_blank(lines[at]):
            return path_in(lines[at], paths)
    return ""


def comment_path(section: Section, paths: Paths) -> str:
    """The path in a comment on the first line of the code; "" if that says none."""
    fits = section.lines and len(section.lines[0]) <= COMMENT_CHARS_MAX
    first = _COMMENT.match(section.lines[0]) if fits else None
    told = first[1] if first else ""
    if told.lower().startswith(("file:", "path:", "filename:")):
        told = told.partition(":")[2].strip()
    return told if told and paths.known(told) is not None else ""


def language_named(info: str) -> str:
    """The language that a fence names; "" if it names none that is known."""
    name = _ALIASES.get(info, info)
    if name in _KNOWN:
        return name
    by_name = language_of("x." + info) if info.isalnum() else "plaintext"
    return "" if by_name == "plaintext" else by_name


def compatible(info: str, language: str) -> bool:
    """Whether code of a fence may be of a language."""
    named = language_named(info)
    if not named or named == language or language not in _KNOWN:
        return True
    return any(named in family and language in family for family in _FAMILIES)
