"""What tree-sitter says about the code around the cursor: where the cursor is, where a statement ends, what is broken.

Never a whole document: a `Window` holds the headers of the enclosing blocks, the lines around the cursor and the lines
that close those blocks, so that it parses like the document does and costs the same in files of any length. Where there
is no grammar, or a document is longer than LINES_PARSED_MAX, `window_at` gives None and the caller goes by the scanner
alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Literal

from hearth.core.grammars import GRAMMARS, grammar_for
from hearth.core.grammars import parser as parser_of
from hearth.core.scan import BLOCK_COMMENTS, CLOSERS, Scanner, indent_width, scanned, traits_of
from hearth.core.text import Position, Snapshot

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

LINES_PARSED_MAX = 8_000
LINES_BEFORE = 80
LINES_AFTER = 40
HEADER_LINES_SEARCHED = 3_000
HEADERS_MAX = 12
WINDOW_CHARS_PARSED_MAX = 20_000
CHARS_BEFORE = 5_000
CHARS_AFTER = 2_500
TREES_KEPT_MAX = 6
PARSE_STEPS_MAX = 150
"""How often the parser may report progress: broken code can make it search for long. A usual window takes under 60."""
NODES_VISITED_MAX = 2_000
YAML_LEVELS_MAX = 150
_YAML_LEVELS = re.compile(r"[-?:]\s|[\[{]")
ERRORS_MAX = 3
"""More of them around the cursor, and the tree is a guess."""

LANGUAGES = frozenset(GRAMMARS) - {"markdown"}
"""Where the tree is of use to completion."""

Inside = Literal["code", "comment", "string"]
_ARGUMENTS = frozenset(
    {
        "argument_list",
        "arguments",
        "parameters",
        "parameter_list",
        "formal_parameters",
        "formal_parameter_list",
        "method_parameters",
    }
)
_CODE_IN_STRING = frozenset({"interpolation", "template_substitution", "string_interpolation", "command_substitution"})
_BODIES = frozenset(
    {
        "block",
        "body",
        "body_statement",
        "class_body",
        "compound_statement",
        "declaration_list",
        "enum_body",
        "field_declaration_list",
        "interface_body",
        "module",
        "object_type",
        "program",
        "source_file",
        "statement_block",
        "compilation_unit",
        "translation_unit",
        "do_group",
        "constructor_body",
        "function_body",
        "statement_list",
        "switch_body",
        "then",
        "else_clause",
        "stylesheet",
        "document",
    }
)
_LEADING_CLOSERS = re.compile(r"[)\]}]+[;,)]*|end\b|fi\b|done\b|esac\b|</[\w.:-]+>")


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a document that parses like the whole: text (LF) up to the cursor, and from it on."""

    language: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Context:
    """Where the cursor is. `quote` ends the string or comment, if that began on an earlier line. `half_parsed`: the
    code around is too broken to be sure of more than `inside`."""

    inside: Inside = "code"
    quote: str = ""
    in_arguments: bool = False
    half_parsed: bool = False


def window_at(snapshot: Snapshot, position: Position) -> Window | None:
    """The window around a position; None where parsing does not pay (no grammar, a very long document or lines)."""
    lines = snapshot.lines
    if snapshot.language not in LANGUAGES or len(lines) > LINES_PARSED_MAX:
        return None
    position = snapshot.clamp(position)
    number, column = position.line, snapshot.column_at(position)
    line = lines[number]
    outside = _outside_docstrings if snapshot.language == "python" else _outside_comments
    start = outside(lines, _start(lines, number), number)
    headers = _headers(lines, start)
    end = _end(lines, number)
    before = "".join([*headers, *lines[start:number], line[:column]])
    after = "".join([line[column:], *lines[number + 1 : end]])
    if end < len(lines):
        after = after.rstrip("\r\n") + "\n" + "".join(_footers(lines, end, headers))
    if len(before) + len(after) > WINDOW_CHARS_PARSED_MAX:
        return None
    return Window(snapshot.language, before.replace("\r\n", "\n"), after.replace("\r\n", "\n"))


def context_at(window: Window) -> Context:
    """What the cursor is in: by the tree for what spans lines, by the scanner for what is on the cursor's line."""
    tree = parsed(window.language, window.before + window.after)
    line = window.before.rpartition("\n")[2]
    near = inside_of(scanned(line, traits_of(window.language)))
    if tree is None:
        return Context(near, "")
    at = len(_bytes(window.before))
    node = tree.root_node.descendant_for_byte_range(max(0, at - 1), at)
    inside, row = near, window.before.count("\n")
    arguments, quote = False, ""
    while node is not None:
        kind = node.type
        if kind in _CODE_IN_STRING and node.start_byte < at < node.end_byte:
            inside = "code"
            break
        if _is_text(kind) and node.start_point.row < row and node.start_byte < at < node.end_byte:
            inside = "comment" if "comment" in kind else "string"
            quote = _ending(node)
            break
        arguments = arguments or (kind in _ARGUMENTS and node.start_byte < at)
        if kind in _BODIES:
            break
        node = node.parent
    return Context(inside, quote, arguments, len(errors(tree.root_node)) > ERRORS_MAX)


def inside_of(scanner: Scanner) -> Inside:
    """What comes next is in, as far as the scanner has read."""
    return "comment" if scanner.in_comment else "string" if scanner.quote else "code"


@lru_cache(maxsize=TREES_KEPT_MAX)
def parsed(language: str, text: str) -> "Tree | None":
    """The tree of a text, None where there is no grammar or the text is too long. The same few texts are asked for
    again and again on a suggestion's way, and broken ones are slow to parse."""
    grammar = grammar_for(language, text) if language in LANGUAGES else None
    if grammar is None or len(text) > WINDOW_CHARS_PARSED_MAX or (language == "yaml" and too_deep(text)):
        return None
    parser = parser_of(*grammar)
    if parser is None:
        return None
    source, steps = _bytes(text), count()
    try:
        return parser.parse(
            lambda at, _: source[at:], progress_callback=lambda _at, _bad: next(steps) > PARSE_STEPS_MAX
        )
    except ValueError:
        parser.reset()  # it would go on where it was stopped
        return None


def too_deep(text: str) -> bool:
    """Whether YAML may nest deeper than its grammar bears: from 200 levels on it ends the process."""
    return any(
        len(line) - len(line.lstrip()) + len(_YAML_LEVELS.findall(line)) > YAML_LEVELS_MAX for line in text.split("\n")
    )


def errors(root: "Node") -> list[tuple[int, int]]:
    """Byte ranges of what does not parse or is missing, in order; stops at NODES_VISITED_MAX nodes."""
    found: list[tuple[int, int]] = []
    waiting = [root] if root.has_error else []
    visited = 0
    while waiting and visited < NODES_VISITED_MAX:
        node = waiting.pop()
        visited += 1
        if node.is_missing or node.is_error:
            found.append((node.start_byte, node.end_byte))
        if not node.is_missing:
            waiting.extend(child for child in node.children if child.has_error or child.is_missing)
    return sorted(found)


def with_inserted(window: Window, candidate: str) -> "Tree | None":
    """The tree of the window with `candidate` at the cursor."""
    return parsed(window.language, window.before + candidate + window.after)


def statement_end(window: Window, candidate: str, tree: "Tree | None") -> int:
    """Where in `candidate` the statement that the cursor's line begins ends; its length if that cannot be told.

    `tree`: what `with_inserted` gave for it.
    """
    line = window.before.rpartition("\n")[2]
    text = window.before + candidate + window.after
    if tree is None:
        return len(candidate)
    first = line + candidate
    begin = len(window.before) - len(line) + len(first) - len(first.lstrip())
    if begin >= len(text):
        return len(candidate)
    at = len(_bytes(text[:begin]))
    node = tree.root_node.descendant_for_byte_range(at, at + 1)
    while node is not None and node.parent is not None and node.parent.type not in _BODIES:
        if node.parent.start_byte < at:
            return len(candidate)  # the line goes on with a statement that began above
        node = node.parent
    if node is None or node.parent is None or node.has_error or node.start_byte != at or node.type in _BODIES:
        return len(candidate)
    if not node.is_named:
        return len(candidate)  # a bracket or a word such as `else`: it goes on with what began above
    end = len(_bytes(text)[: node.end_byte].decode("utf-8", "replace"))
    # What stands on the statement's last line belongs to it: `;`, `,`, a comment, the second of two statements.
    newline = text.find("\n", end)
    end = (len(text) if newline < 0 else newline) if text[end - 1 : end] != "\n" else end - 1
    return min(len(candidate), max(0, end - len(window.before)))


def closers_missing(window: Window, text: str) -> bool:
    """Whether the document lacks the closing brackets that end `text`, if that is inserted at the cursor: it parses
    with them and does not without them. Of code that does not parse in either case nothing can be told."""
    tree = with_inserted(window, text)
    if tree is None or tree.root_node.has_error:
        return False
    without = with_inserted(window, text.rstrip("".join(CLOSERS)))
    return without is not None and without.root_node.has_error


def closed(language: str, before: str, candidate: str, closes_later: str = "") -> str:
    """What must follow `candidate` to close what it leaves open itself: brackets, an empty body. "" if nothing."""
    traits = traits_of(language)
    line = before.rpartition("\n")[2]
    scanner = scanned(line, traits)
    for char in closes_later:
        if scanner.stack and CLOSERS.get(char) == scanner.stack[-1]:
            scanner.stack.pop()
    scanner.feed(candidate)
    tail = "".join({"(": ")", "[": "]", "{": "}"}[opener] for opener in reversed(scanner.stack))
    last = (line + candidate).rpartition("\n")[2]
    if scanner.quote and scanner.quote in traits.multiline_quotes:
        tail = scanner.quote + tail
    if traits.block == "indent" and not scanner.stack and last.rstrip().endswith(":") and language == "python":
        return tail + "\n" + " " * (indent_width(last) + 4) + "pass"
    return tail


def _is_text(kind: str) -> bool:
    return "comment" in kind or "string" in kind or "heredoc" in kind or kind in ("char_literal", "block_scalar")


def _ending(node: "Node") -> str:
    """The delimiter that ends a string or comment of several lines; "" for kinds that have none (here documents)."""
    while node.parent is not None and _is_text(node.parent.type):
        node = node.parent
    start = (node.text or b"")[:8].decode("utf-8", "replace").lstrip("rRbBuUfF")
    for opener, closer in (*BLOCK_COMMENTS, ('"""', '"""'), ("'''", "'''"), ("`", "`")):
        if start.startswith(opener):
            return closer
    return ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _depth(line: str) -> int:
    """Characters of indentation: enough to compare the lines of one document, and fast."""
    return len(line) - len(line.lstrip())


def _start(lines: Sequence[str], number: int) -> int:
    """Where the window begins: the first of the lines before the cursor that are indented least, so that it is not
    amid a statement or a docstring."""
    first, chars = number, len(lines[number])
    while first > 0 and number - first < LINES_BEFORE and chars < CHARS_BEFORE:
        first -= 1
        chars += len(lines[first])
    if first == 0:
        return 0
    least, start = 1_000, number
    for index in range(first, number):
        text = lines[index].strip()
        if text and text[0] not in CLOSERS and (indent := _depth(lines[index])) < least:
            least, start = indent, index
    return start


def _outside_docstrings(lines: Sequence[str], start: int, number: int) -> int:
    """`start`, or where the string of several lines that it is in begins (if the cursor is in it too) or is over."""
    above = "".join(lines[:start])
    for delimiter in ('"""', "'''"):
        if above.count(delimiter) % 2:
            opened = next(index for index in range(start - 1, -1, -1) if lines[index].count(delimiter) % 2)
            end = next((index for index in range(start, number) if lines[index].count(delimiter) % 2), -1)
            return opened if end < 0 else min(end + 1, number)
    return start


def _outside_comments(lines: Sequence[str], start: int, number: int) -> int:
    """As above for `/* */`, by what the lines from `start` on show."""
    for index in range(start, number):
        if "/*" in lines[index]:
            return start
        if "*/" in lines[index]:
            return min(index + 1, number)
    return start


def _end(lines: Sequence[str], number: int) -> int:
    """Where the window ends: before the last of the lines after the cursor that are indented least."""
    last, chars = number + 1, 0
    while last < len(lines) and last - number <= LINES_AFTER and chars < CHARS_AFTER:
        chars += len(lines[last])
        last += 1
    if last == len(lines):
        return last
    least, end = 1_000, last
    for index in range(number + 1, last):
        text = lines[index].strip()
        if text and text[0] not in CLOSERS and (indent := _depth(lines[index])) <= least:
            least, end = indent, index
    return end if end > number + 1 else last


def _headers(lines: Sequence[str], start: int) -> list[str]:
    """The lines that open the blocks that line `start` is in, outermost first."""
    indent = _depth(lines[start])
    headers: list[str] = []
    index = start
    lowest = max(0, start - HEADER_LINES_SEARCHED)
    while indent > 0 and index > lowest and len(headers) < HEADERS_MAX:
        index -= 1
        width = _depth(lines[index])
        if width >= indent or not lines[index].strip():
            continue
        last = index
        while index > lowest and (lines[index].strip()[:1] in (*CLOSERS, "") or _depth(lines[index]) > width):
            index -= 1  # `) -> int:` ends a header that began some lines above
            if last - index > LINES_AFTER:
                return headers
        headers[:0] = lines[index : last + 1]
        indent = min(width, _depth(lines[index]))
    return headers


def _footers(lines: Sequence[str], end: int, headers: Sequence[str]) -> list[str]:
    """The closing brackets and words of the blocks that line `end` is in, innermost first; those that are too far away
    are made up for `headers`."""
    indent = -1
    footers: list[str] = []
    for index in range(end, min(len(lines), end + HEADER_LINES_SEARCHED)):
        width = _depth(lines[index])
        text = lines[index].strip()
        if not text or 0 <= indent <= width:
            continue
        found = _LEADING_CLOSERS.match(text)
        if indent < 0:
            indent = width + 1 if found else width
        if width >= indent:
            continue
        if found:
            footers.append(" " * width + found.group() + "\n")
        indent = width
        if indent == 0 or len(footers) >= HEADERS_MAX:
            return footers
    made_up = [header for header in headers if header.rstrip().endswith("{") and _depth(header) < indent]
    return [*footers, *("}\n" for _ in made_up)]
