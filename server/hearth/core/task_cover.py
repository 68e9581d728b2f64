"""Which changed lines no test ran, from what was seen while the tests ran.

A line stands for the smallest statement that it belongs to; the head of a function for its body, since defining a
function proves nothing. What is no code (JSON, SQL, styles, templates) counts as run if the tests read the file at all.
Documentation is for people. What cannot be told is not claimed, either way: it is said to be unknown.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hearth.core.grammars import language_of
from hearth.core.patch_lines import common_ends
from hearth.core.patch_syntax import tree
from hearth.core.task_state import Finding
from hearth.core.task_survey import DATA, is_test
from hearth.core.task_tokens import SCRIPTS

if TYPE_CHECKING:
    from tree_sitter import Node

SPANS_SHOWN_MAX = 6
LINE_CHARS_MAX = 80
DATA_LANGUAGES = DATA | {"html", "css", "scss", "less", "sql", "plaintext"}
"""Read while a program runs, not run themselves."""

_NO_PROGRAM = DATA_LANGUAGES | {"markdown"}
_DOCUMENT = re.compile(
    r"\.(?:md|markdown|rst|adoc|mdx)$|^[^/]*\.txt$"
    r"|(?:^|/)docs?/(?:.*/)?[^/]*\.(?:txt|jsonc?|ya?ml|toml|html?|css|scss|less|sql|csv|tsv|xml|svg)$"
    r"|(?:^|/)docs?/(?:.*/)?[^/.]+$"
    r"|(?:^|/)(?:readme|license|licence|changelog|authors|notice|copying)(?:-[\w.-]*)?(?:\.txt)?$",
    re.IGNORECASE,
)
_DEPENDENCIES = re.compile(r"(?:^|/)(?:requirements|constraints)[^/]*\.txt$", re.IGNORECASE)
_SIMPLE_PYTHON = frozenset(
    ("expression_statement", "return_statement", "assert_statement", "raise_statement", "delete_statement",
     "import_statement", "import_from_statement", "break_statement", "continue_statement", "type_alias_statement",
     "decorator")
)  # fmt: skip
_HEADED_PYTHON = frozenset(
    ("if_statement", "elif_clause", "for_statement", "while_statement", "with_statement", "match_statement",
     "case_clause", "except_clause", "except_group_clause", "class_definition")
)  # fmt: skip
_SIMPLE_SCRIPT = frozenset(
    ("expression_statement", "return_statement", "throw_statement", "lexical_declaration", "variable_declaration",
     "break_statement", "continue_statement", "public_field_definition", "field_definition",
     "import_statement", "export_statement")
)  # fmt: skip
_HEADED_SCRIPT = frozenset(
    ("if_statement", "for_statement", "for_in_statement", "while_statement", "do_statement", "switch_statement",
     "switch_case", "switch_default", "catch_clause", "function_declaration", "method_definition", "arrow_function",
     "function_expression", "generator_function_declaration", "class_declaration", "abstract_class_declaration")
)  # fmt: skip
_TYPES_ONLY = frozenset(
    ("interface_declaration", "type_alias_declaration", "ambient_declaration", "function_signature",
     "abstract_method_signature", "method_signature", "type_annotation")
)  # fmt: skip
_NEVER_RUN = frozenset(
    ("comment", "hash_bang_line", "pass_statement", "global_statement", "nonlocal_statement",
     "future_import_statement")
)  # fmt: skip
_NOT_WRITTEN = re.compile(r"^raise\s+NotImplementedError\b")


Range = tuple[int, int, int]
"""First character, last + 1 (in UTF-16), and how often it ran; those further in overrule those around them."""


@dataclass(frozen=True, slots=True)
class Traced:
    """What was seen while tests ran. `lines`: of Python, by path, counted from 1. `scripts`: of JavaScript, by path,
    for each process. `read`: the other files that were read; None where the file system does not tell. `whole`: every
    test runner was one that is seen through; where it is not, a file of which nothing was seen may have been run."""

    lines: Mapping[str, frozenset[int]] = field(default_factory=dict[str, frozenset[int]])
    scripts: Mapping[str, tuple[tuple[Range, ...], ...]] = field(
        default_factory=dict[str, tuple[tuple[Range, ...], ...]]
    )
    read: frozenset[str] | None = None
    whole: bool = True


class Unit(NamedTuple):
    """A statement, or the head of one: rows `start` to `end` (0-based, inclusive). It ran if a row of `first` to `last`
    did, or the character at `row`, `column` (in bytes)."""

    start: int
    end: int
    first: int
    last: int
    row: int
    column: int


def of_interest(path: str) -> bool:
    """Whether a changed file can be run or read by tests."""
    if language_of(path) not in _NO_PROGRAM or _DEPENDENCIES.search(path):
        return True
    return not _DOCUMENT.search(path)


def changed_rows(before: str | None, after: str) -> frozenset[int]:
    """The rows of `after` that are new or changed, without empty ones."""
    old, new = (before or "").splitlines(), after.splitlines()
    head, tail = common_ends(old, new)
    # What is compared takes time by its square.
    matcher = difflib.SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False)
    rows: set[int] = set()
    for tag, _, _, start, end in matcher.get_opcodes():
        if tag != "equal":
            rows.update(row for row in range(head + start, head + end) if new[row].strip())
    return frozenset(rows)


def uncovered(
    before: Mapping[str, str], after: Mapping[str, str], changed: Iterable[str], traced: Traced
) -> tuple[list[Finding], list[str]]:
    """The changed lines that no test ran, a finding for each file; and of which files that is not known, in words."""
    found: list[Finding] = []
    unknown: list[str] = []
    for path in sorted(changed):
        text = after.get(path)
        if text is None or (before.get(path) or "") == text or not of_interest(path):
            continue
        language = language_of(path)
        if language in DATA_LANGUAGES:
            if traced.read is None:
                unknown.append(f"whether tests read {path} is not known")
            elif path not in traced.read:
                found.append(Finding("uncovered", path, "no test reads this file"))
            continue
        rows = changed_rows(before.get(path), text)
        if not rows:
            continue
        missed = _missed(path, language, text, rows, traced)
        if missed is None:
            unknown.append(f"which lines of {path} the tests ran is not known")
        elif missed:
            found.append(Finding("uncovered", path, _told(text, missed, path), missed[0]))
    return found, unknown


def _told(text: str, rows: Sequence[int], path: str) -> str:
    spans = spans_of(rows)
    shown = ", ".join(f"{a + 1}-{b + 1}" if b > a else f"{a + 1}" for a, b in spans[:SPANS_SHOWN_MAX])
    more = ", ..." if len(spans) > SPANS_SHOWN_MAX else ""
    what = "is run by nothing" if is_test(path) else "no test ran"
    line = text.splitlines()[rows[0]].strip()[:LINE_CHARS_MAX]
    plural = "s" if len(rows) > 1 else ""
    return (
        f"line{plural} {shown}{more} {what}: {line}" if is_test(path) else f"{what} line{plural} {shown}{more}: {line}"
    )


def spans_of(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Rows that follow each other as one span."""
    spans: list[tuple[int, int]] = []
    for row in sorted(rows):
        if spans and row == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], row)
        else:
            spans.append((row, row))
    return spans


def _missed(path: str, language: str, text: str, rows: frozenset[int], traced: Traced) -> list[int] | None:
    """The changed rows that did not run; None where that cannot be told."""
    if language != "python" and language not in SCRIPTS:
        return None
    found = tree(language, text)
    if found is None:
        return None
    every = list(units(language, found.root_node))
    wanted = {row: _of_row(every, row) for row in sorted(rows)}
    strange = _says_more(language, found.root_node, frozenset(row for row, own in wanted.items() if not own))
    wanted = {row: own for row, own in wanted.items() if own}
    if not wanted:
        return None if strange else []  # comments, types
    if language == "python":
        if path not in traced.lines and not traced.whole:
            return None
        ran = traced.lines.get(path, frozenset())
        missed = [row for row, own in wanted.items() if not all(_python_ran(unit, ran) for unit in own)]
        return missed or (None if strange else [])
    processes = traced.scripts.get(path, ())
    if not processes and not traced.whole:
        return None
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + _wide(line) + 1)
    # What was run is another text than this one where a compiler stands between.
    if any(max(end for _, end, _ in one) != starts[-1] - 1 for one in processes if one):
        return None
    missed = [
        row
        for row, own in wanted.items()
        if not all(any(_script_ran(unit, lines, starts, one) for one in processes) for unit in own)
    ]
    return missed or (None if strange else [])


def _of_row(every: Sequence[Unit], row: int) -> list[Unit]:
    """The smallest statements around a row, and those that begin on it."""
    around = [unit for unit in every if unit.start <= row <= unit.end]
    if not around:
        return []
    smallest = min(unit.end - unit.start for unit in around)
    return [unit for unit in around if unit.start == row or unit.end - unit.start == smallest]


def _python_ran(unit: Unit, ran: frozenset[int]) -> bool:
    return any(row + 1 in ran for row in range(unit.first, unit.last + 1))


def _script_ran(unit: Unit, lines: Sequence[str], starts: Sequence[int], ranges: tuple[Range, ...]) -> bool:
    head = lines[unit.row].encode("utf-8")[: unit.column].decode("utf-8", "replace")
    at = starts[unit.row] + _wide(head)
    around = [(end - start, count) for start, end, count in ranges if start <= at < end]
    return bool(around) and min(around)[1] > 0


def _wide(text: str) -> int:
    """Its length in UTF-16."""
    return len(text) + sum(char > "\uffff" for char in text)


# Statements


def units(language: str, root: "Node") -> Iterator[Unit]:
    """The statements of a file."""
    python = language == "python"
    simple, headed = (_SIMPLE_PYTHON, _HEADED_PYTHON) if python else (_SIMPLE_SCRIPT, _HEADED_SCRIPT)
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if _silent(node, python):
            continue
        if node.type in simple and (node.type != "export_statement" or _exports(node)):
            yield _unit(node, node.start_point[0], node.end_point[0])
        elif python and node.type == "function_definition":
            yield from _function(node)
        elif node.type in headed:
            yield _unit(node, node.start_point[0], _head_end(node))
            body = node.child_by_field_name("body")
            if node.type == "arrow_function" and body is not None and body.type != "statement_block":
                yield _unit(body, body.start_point[0], body.end_point[0])
        waiting.extend(reversed(node.children))


def _unit(node: "Node", start: int, end: int) -> Unit:
    return Unit(start, end, start, end, node.start_point[0], node.start_point[1])


def _head_end(node: "Node") -> int:
    body = node.child_by_field_name("body") or node.child_by_field_name("consequence")
    start = node.start_point[0]
    return max(start, body.start_point[0] - (body.type == "block")) if body is not None else start


def _function(node: "Node") -> Iterator[Unit]:
    """The head of a function ran if anything of its body did; one whose body is empty is left out."""
    body = node.child_by_field_name("body")
    if body is None:
        return
    inside = [one for one in body.named_children if not (one.type in _SIMPLE_PYTHON and _says_nothing(one))]
    inside = [one for one in inside if one.type not in ("pass_statement", "comment")]
    if inside:
        start = node.start_point[0]
        end = max(start, body.start_point[0] - 1)
        yield Unit(start, end, inside[0].start_point[0], inside[-1].end_point[0], start, node.start_point[1])


def _silent(node: "Node", python: bool) -> bool:
    """What does nothing when a program runs."""
    if node.type in _NEVER_RUN or _for_types(node):
        return True
    if node.type in ("expression_statement", "raise_statement") and _says_nothing(node):
        return True
    if python:
        return node.type == "function_definition" and next(_function(node), None) is None
    if node.type in ("import_statement", "export_statement"):
        names = {child.type for child in node.children}
        return "type" in names or ("export_clause" in names and not _exports(node))
    return node.type in _TYPES_ONLY


def _exports(node: "Node") -> bool:
    """Whether an export does something itself, other than what it exports."""
    return any(node.child_by_field_name(name) is not None for name in ("value", "source"))


def _says_more(language: str, root: "Node", rows: frozenset[int]) -> bool:
    """Whether there is more on these rows than keywords, punctuation and what does nothing."""
    waiting = [root] if rows else []
    while waiting:
        node = waiting.pop()
        if _silent(node, language == "python"):
            continue
        span = range(node.start_point[0], node.end_point[0] + 1)
        if not node.children and node.is_named and any(row in rows for row in span):
            return True
        waiting.extend(node.children)
    return False


def _says_nothing(node: "Node") -> bool:
    """Docstrings, `...`, names of types for variables, and what is to be written by who inherits."""
    text = (node.text or b"").decode("utf-8", "replace")
    if node.type == "raise_statement":
        return bool(_NOT_WRITTEN.match(text))
    only = node.named_children[0] if node.named_child_count == 1 else None
    if node.type != "expression_statement" or only is None:
        return False
    if only.type == "assignment":
        return only.child_by_field_name("right") is None
    return only.type in ("string", "concatenated_string", "ellipsis")


def _for_types(node: "Node") -> bool:
    condition = node.child_by_field_name("condition") if node.type == "if_statement" else None
    return condition is not None and b"TYPE_CHECKING" in (condition.text or b"")
