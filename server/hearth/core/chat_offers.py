"""Which refactorings make sense at a place, by the syntax there. Offered, not run: cheap enough for a lightbulb."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hearth.core.text import Range, Snapshot
from hearth.core.trees import TREES

if TYPE_CHECKING:
    from tree_sitter import Node

CHARS_MAX = 400_000
"""A longer document takes longer to parse than a lightbulb may."""
NODES_VISITED_MAX = 5_000
SPLIT_LINES_MIN = 40
EXTRACT_LINES_MIN = 3
NESTING_MIN = 3
PARAMETERS_MIN = 5


@dataclass(frozen=True, slots=True)
class Refactoring:
    """`id`: what `Command.refactoring` takes. `title`: for a menu. `instruction`: what the model is told."""

    id: str
    title: str
    instruction: str


_ALL: tuple[Refactoring, ...] = (
    Refactoring(
        "extract", "Extract a function",
        "Extract the selected statements into a function of their own with a telling name, and call it there.",
    ),
    Refactoring(
        "split", "Split this function",
        "Split this function into smaller ones that each do one thing, with telling names. Its own name, its "
        "parameters and its behaviour stay.",
    ),
    Refactoring(
        "early-return", "Return early instead of nesting",
        "Reduce the nesting: handle the special cases first and leave the function or go on with the loop.",
    ),
    Refactoring(
        "simplify", "Simplify",
        "Simplify the conditions and the flow, without changing behaviour.",
    ),
    Refactoring(
        "comprehension", "Turn the loop into a comprehension",
        "Write the loop that collects values as a comprehension, where that is easier to read.",
    ),
    Refactoring(
        "array-methods", "Turn the loop into array methods",
        "Write the loop that collects values with map, filter or similar methods, where that is easier to read.",
    ),
    Refactoring(
        "types", "Add types",
        "Add type annotations to parameters, results and attributes, as exact as the code shows. Behaviour stays.",
    ),
    Refactoring(
        "async-await", "Use async and await",
        "Write the chain of promises with async and await. Errors are handled as before.",
    ),
    Refactoring(
        "match", "Turn the chain of conditions into a match",
        "Write the chain of conditions on one value as a match or switch, or as a table, where that is easier to read.",
    ),
    Refactoring(
        "parameters", "Group the parameters",
        "Group the parameters that belong together into one object. Callers in this file are adapted.",
    ),
    Refactoring(
        "fstring", "Use f-strings",
        "Write % formatting and str.format as f-strings, where that is easier to read.",
    ),
    Refactoring(
        "names", "Better names",
        "Give local variables and private helpers names that say what they hold. Public names stay.",
    ),
)  # fmt: skip
_BY_ID = {one.id: one for one in _ALL}
_SCRIPTS = frozenset(("javascript", "javascriptreact", "typescript", "typescriptreact"))
_FUNCTIONS = frozenset(
    {
        "function_definition", "function_declaration", "function_item", "method_definition", "method_declaration",
        "arrow_function", "function_expression", "generator_function_declaration", "constructor_declaration", "method",
        "singleton_method", "func_literal", "lambda", "function_signature", "local_function_statement",
    }
)  # fmt: skip
_CLASSES = frozenset(
    {
        "class_definition", "class_declaration", "class_specifier", "struct_specifier", "impl_item", "trait_item",
        "struct_item", "interface_declaration", "enum_declaration", "class", "type_declaration",
        "record_declaration", "struct_declaration",
    }
)  # fmt: skip
_LOOPS = frozenset(
    {
        "for_statement", "for_in_statement", "enhanced_for_statement", "while_statement", "for_expression",
        "do_statement", "while_expression", "loop_expression", "foreach_statement", "c_style_for_statement", "for",
        "while", "until",
    }
)  # fmt: skip
_BRANCHES = frozenset({"if_statement", "if_expression", "if", "conditional_expression", "ternary_expression", "unless"})
_NESTING = _LOOPS | _BRANCHES | {"try_statement", "with_statement", "switch_statement", "match_expression"}
_PARAMETERS = frozenset({"parameters", "formal_parameters", "parameter_list", "method_parameters"})


@dataclass(slots=True)
class _Seen:
    """What stands in some lines."""

    functions: int = 0
    loops: int = 0
    collecting: int = 0
    branches: int = 0
    chain: int = 0
    nesting: int = 0
    untyped: int = 0
    promises: int = 0
    formats: int = 0
    parameters: int = 0
    names: int = 0


def offers(snapshot: Snapshot, where: Range) -> list[Refactoring]:
    """Those that make sense for the selection, or for the function around an empty one; [] where nothing is known of
    the language, or the place is no code."""
    if sum(map(len, snapshot.lines)) > CHARS_MAX:
        return []
    parsed = TREES.parsed(snapshot.uri, snapshot.language, snapshot.text)
    if parsed is None:
        return []
    root = parsed.tree.root_node
    selected = where.start != where.end
    first, last = sorted((snapshot.clamp(where.start), snapshot.clamp(where.end)))
    start, end = first.line, last.line + (last.character > 0 or last.line == first.line)
    around = _around(root, start, end)
    if not selected:
        if around is None:
            return []
        start, end = around.start_point.row, around.end_point.row + 1
    seen = _seen(root, start, end, snapshot.language)
    lines = end - start
    python, script = snapshot.language == "python", snapshot.language in _SCRIPTS
    chosen = {
        "extract": selected and lines >= EXTRACT_LINES_MIN and around is not None and not seen.functions,
        "split": seen.functions == 1 and lines >= SPLIT_LINES_MIN,
        "early-return": seen.nesting >= NESTING_MIN and seen.functions > 0,
        "simplify": seen.branches > 1 or seen.nesting >= NESTING_MIN,
        "comprehension": python and seen.collecting > 0,
        "array-methods": script and seen.collecting > 0,
        "types": seen.untyped > 0 and (python or snapshot.language.startswith("typescript")),
        "async-await": script and seen.promises > 0,
        "match": seen.chain >= 3,
        "parameters": seen.parameters >= PARAMETERS_MIN,
        "fstring": python and seen.formats > 0,
        "names": seen.names > 0,
    }
    return [_BY_ID[identifier] for identifier, fits in chosen.items() if fits]


def offered(identifier: str) -> Refactoring | None:
    """The refactoring of an id."""
    return _BY_ID.get(identifier)


def _around(root: "Node", start: int, end: int) -> "Node | None":
    """The innermost function or class that holds these lines. Without the document's symbols: those take longer."""
    found, node = None, root
    while True:
        if node.type in _FUNCTIONS or node.type in _CLASSES:
            found = node
        inner = next(
            (c for c in node.named_children if c.start_point.row <= start and end - 1 <= c.end_point.row), None
        )
        if inner is None:
            return found
        node = inner


def _seen(root: "Node", start: int, end: int, language: str) -> _Seen:
    """What stands in the lines from `start` to `end`; stops at NODES_VISITED_MAX nodes."""
    seen = _Seen()
    waiting: list[tuple[Node, int]] = [(root, 0)]
    visited = 0
    while waiting and visited < NODES_VISITED_MAX:
        node, depth = waiting.pop()
        if node.end_point.row < start or node.start_point.row >= end or not node.is_named:
            continue
        visited += 1
        inside = start <= node.start_point.row and node.end_point.row <= end
        if inside:
            _note(seen, node, depth, language)
        deeper = inside and node.type in _NESTING and not _is_else_if(node)
        waiting.extend((child, depth + deeper) for child in reversed(node.children))
    return seen


def _note(seen: _Seen, node: "Node", depth: int, language: str) -> None:
    kind = node.type
    if kind in _FUNCTIONS:
        seen.functions += 1
    if kind in _NESTING:
        seen.nesting = max(seen.nesting, depth + 1)
    if kind in _LOOPS:
        seen.loops += 1
        text = node.text or b""
        seen.collecting += (
            any(call in text for call in (b".append(", b".add(", b".push(", b"[key] =")) and b"await" not in text
        )
    if kind in _BRANCHES:
        seen.branches += 1
        seen.chain = max(seen.chain, _chain(node))
    if kind in _PARAMETERS:
        seen.parameters = max(seen.parameters, node.named_child_count)
        seen.untyped += _untyped(node, language)
    if kind == "call_expression" and (node.text or b"")[-20_000:].count(b".then("):
        seen.promises += 1
    if language == "python":
        _note_python(seen, node)
    if (
        kind == "identifier"
        and len(node.text or b"") == 1
        and node.text not in (b"_", b"i", b"j", b"k", b"x", b"y", b"n", b"T")
    ):
        seen.names += 1


def _note_python(seen: _Seen, node: "Node") -> None:
    if node.type == "binary_operator":
        left, operator = node.child_by_field_name("left"), node.child_by_field_name("operator")
        seen.formats += left is not None and left.type == "string" and operator is not None and operator.type == "%"
    elif node.type == "attribute" and (node.text or b"").endswith(b".format"):
        value = node.child_by_field_name("object")
        seen.formats += value is not None and value.type == "string"


def _is_else_if(node: "Node") -> bool:
    """Whether an `if` is the `else if` of another: a chain is no nesting."""
    parent = node.parent
    return node.type in _BRANCHES and parent is not None and parent.type in ("else_clause", *_BRANCHES)


def _chain(node: "Node") -> int:
    """How many conditions an if and its else-ifs have."""
    links = 1 + sum(child.type in ("elif_clause", "elsif") for child in node.named_children)
    following = node.child_by_field_name("alternative")
    while following is not None and links < 100:
        if following.type == "else_clause" and following.named_child_count == 1:
            following = following.named_children[0]
        if following.type not in _BRANCHES:
            break
        links += 1
        following = following.child_by_field_name("alternative")
    return links


def _untyped(parameters: "Node", language: str) -> int:
    if language == "python":
        bare = [c for c in parameters.named_children if c.type in ("identifier", "default_parameter")]
        return sum(child.text not in (b"self", b"cls") for child in bare)
    return sum(
        child.child_by_field_name("type") is None
        for child in parameters.named_children
        if child.type == "required_parameter"
    )
