"""The names in a file and what each of them is there: something that is given a meaning, used, or known only nearby.

    binds   a definition, a field, a key, a parameter that can be named: others may use it
    uses    read, called, passed by name, written in a text that is code elsewhere (SQL, documentation)
    local   a variable: nobody else can mean it

What a string of one word is depends on where it stands: `row["name"]` uses, `{"name": ...}` binds, as any other does.
In doubt a name binds, since what is bound is never looked for.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from hearth.core.grammars import language_of
from hearth.core.patch_syntax import tree

if TYPE_CHECKING:
    from tree_sitter import Node

TOKENS_MAX = 20_000
"""Of one file."""
NODES_MAX = 400_000

Role = Literal["binds", "uses", "local"]
SCRIPTS = frozenset(("javascript", "javascriptreact", "typescript", "typescriptreact"))
READ_AS_CODE = frozenset(("python", *SCRIPTS))
_SETTINGS = (".ini", ".cfg", ".conf", ".properties", ".env.example")

_ONE = re.compile(r"[^\W\d][\w$]*(?:[.:/-][\w$]+)*")
_PIECES = re.compile(r"[^\W\d][\w$]*(?:-[\w$]+)*")
_SINGLE = re.compile(r"^\w?-|-\w?$|-\w-")
"""A letter joined by a hyphen is a part of a word, or a range."""
_NAME = re.compile(r"[^\W\d][\w$]*")
_JOINED = re.compile(r"\w[_-]\w|[a-z][A-Z]")
_SQL = re.compile(r"\b(?:SELECT|INSERT\s+INTO|UPDATE|DELETE\s+FROM|CREATE\s+TABLE|ALTER\s+TABLE)\b", re.IGNORECASE)
_DDL = re.compile(r"\b(?:CREATE|ALTER)\s+TABLE\b", re.IGNORECASE)
_QUOTED = re.compile(r"`{1,3}([^`\n]{2,120})`{1,3}")
_SETTING = re.compile(r"^\s*-?\s*[\"']?(\w[\w.-]+)[\"']?\s*[:=]", re.MULTILINE)
_KEY = re.compile(r"[\"']([\w-]{2,60})[\"']\s*:")
_VALUE = re.compile(r"[\"'](\w[\w.:/-]{2,60})[\"']")
_MARKED = re.compile(r"\b(?:class|id|for|name|data-[\w-]+)=\\?[\"']([^\"'<>{}$]{1,200})")
_DATA_NAME = re.compile(r"\b(data-[\w-]+)\b")
_MARKS = frozenset(("string_start", "string_end"))
_READING = frozenset(("get", "pop", "setdefault", "getattr", "hasattr", "getItem", "has", "delete", "getAttribute"))
_PYTHON_LOCAL = frozenset(
    ("for_statement", "for_in_clause", "named_expression", "as_pattern_target", "lambda_parameters", "case_pattern")
)
_PATTERNS = frozenset(
    ("pattern_list", "tuple_pattern", "list_pattern", "list_splat_pattern", "object_pattern", "array_pattern",
     "dictionary_splat_pattern", "rest_pattern", "assignment_pattern", "parenthesized_expression", "pair_pattern",
     "object_assignment_pattern")
)  # fmt: skip
_FUNCTIONS = frozenset(
    ("function_definition", "lambda", "function_declaration", "function_expression", "arrow_function",
     "method_definition", "generator_function_declaration", "function")
)  # fmt: skip
_DEFINING = frozenset(
    ("function_definition", "class_definition", "function_declaration", "class_declaration", "method_definition",
     "generator_function_declaration", "interface_declaration", "type_alias_declaration", "enum_declaration",
     "property_signature", "method_signature", "public_field_definition", "field_definition", "enum_assignment",
     "abstract_class_declaration", "abstract_method_signature", "class", "function_expression", "internal_module",
     "type_parameter")
)  # fmt: skip
_NAMING = frozenset(
    ("identifier", "property_identifier", "type_identifier", "shorthand_property_identifier",
     "shorthand_property_identifier_pattern", "private_property_identifier")
)  # fmt: skip


class Token(NamedTuple):
    """`line`: 0-based. `test`: the name of a test, which nobody has to use. `plain`: a name by itself, which only its
    own file can define; not an attribute, not a text. `said`: a text. `of`: the first name of what an attribute, or an
    argument by name, belongs to, "" for none."""

    name: str
    line: int
    role: Role
    test: bool = False
    plain: bool = False
    said: bool = False
    of: str = ""


def tokens(path: str, text: str) -> list[Token]:
    """The names of a file; none where its language is not known well enough."""
    language = language_of(path)
    if language in READ_AS_CODE or language in ("json", "jsonc", "css", "html"):
        found = tree(language, text)
        walked = _walked(language, found.root_node) if found is not None else iter(())
    elif language == "sql":
        walked = _words(text, 0, "binds")
    elif language in ("toml", "yaml") or path.endswith(_SETTINGS):
        walked = _settings(text)
    elif language in ("markdown", "plaintext"):
        walked = _prose(text)
    else:
        return []
    named = (token for token in walked if not _SINGLE.search(token.name))
    return [token for _, token in zip(range(TOKENS_MAX), named, strict=False)]


def _words(text: str, line: int, role: Role) -> Iterator[Token]:
    for match in _PIECES.finditer(text):
        yield Token(match[0], line + text.count("\n", 0, match.start()), role)


def _settings(text: str) -> Iterator[Token]:
    for number, line in enumerate(text.split("\n")):
        for pattern in (_SETTING, _VALUE):
            for match in pattern.finditer(line):
                yield Token(match[1], number, "binds")


def _prose(text: str) -> Iterator[Token]:
    """What documentation and templates name: in backticks, as a key in what looks like data, or with a joint in it."""
    for number, line in enumerate(text.split("\n")):
        for match in _KEY.finditer(line):
            yield Token(match[1], number, "uses")
        for match in _PIECES.finditer(line):
            if _JOINED.search(match[0]):
                yield Token(match[0], number, "uses")
        for match in _QUOTED.finditer(line):
            if _ONE.fullmatch(match[1]):
                for name in _PIECES.findall(match[1]):
                    yield Token(name, number, "uses")


def _walked(language: str, root: "Node") -> Iterator[Token]:
    waiting, seen = [root], 0
    while waiting and seen < NODES_MAX:
        node = waiting.pop()
        seen += 1
        kind = node.type
        if kind == "comment":
            continue
        if language in ("json", "jsonc"):
            if (
                kind == "string_content"
                and _ONE.fullmatch(_text(node))
                and (_is_key(node) or _JOINED.search(_text(node)))
            ):
                yield Token(_text(node), node.start_point[0], "binds")
        elif language == "css":
            if kind in ("class_name", "id_name", "attribute_name", "plain_value") and node.child_count <= 1:
                yield Token(_text(node).lstrip("."), node.start_point[0], "binds")
        elif language == "html":
            if kind == "attribute":
                yield from _marked(_text(node), node.start_point[0])
        elif kind in ("string_content", "string_fragment"):
            yield from _string(node)
        elif kind in _NAMING:
            role = _python_role(node) if language == "python" else _script_role(node)
            if role is not None:
                plain = kind in ("identifier", "shorthand_property_identifier", "type_identifier")
                plain = plain and not _is_member(node)
                yield Token(_text(node), node.start_point[0], role, _is_test(node), plain, of=_owner(node))
        waiting.extend(reversed(node.children))


def _text(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _marked(text: str, line: int) -> Iterator[Token]:
    """The classes, ids and data attributes in a piece of markup."""
    for match in _MARKED.finditer(text):
        for name in match[1].split():
            yield Token(name, line, "binds")
    for match in _DATA_NAME.finditer(text):
        yield Token(match[1], line, "binds")


def _is_key(node: "Node") -> bool:
    whole = node.parent
    pair = whole.parent if whole is not None else None
    return pair is not None and pair.type == "pair" and pair.child_by_field_name("key") == whole


def _is_member(node: "Node") -> bool:
    """Whether a name belongs to what stands before it, or is that of an argument."""
    parent = node.parent
    if parent is None or parent.type not in ("attribute", "keyword_argument"):
        return False
    return parent.child_by_field_name("attribute" if parent.type == "attribute" else "name") == node


def _owner(node: "Node") -> str:
    """`shop` for `total` in `shop.bill().total` and in `shop.bill(total=1)`."""
    parent = node.parent
    if parent is None:
        return ""
    if parent.type == "keyword_argument" and parent.parent is not None and parent.parent.parent is not None:
        at = parent.parent.parent.child_by_field_name("function")
    elif parent.type in ("attribute", "member_expression") and parent.child_by_field_name("object") != node:
        at = parent.child_by_field_name("object")
    else:
        return ""
    while at is not None and at.type not in _NAMING:
        at = at.child_by_field_name("object") or at.child_by_field_name("function") or at.child_by_field_name("value")
    return _text(at) if at is not None else ""


def _is_test(node: "Node") -> bool:
    parent = node.parent
    named = parent is not None and parent.type in _DEFINING and parent.child_by_field_name("name") == node
    return named and _text(node).lower().startswith("test")


# Strings


def _string(node: "Node") -> Iterator[Token]:
    text, line = _text(node), node.start_point[0]
    whole = node.parent
    inside = [one for one in whole.named_children if one.type not in _MARKS] if whole is not None else []
    if _ONE.fullmatch(text.strip("-")) and whole is not None and len(inside) == 1:
        yield Token(text.strip("-"), line, _string_role(whole), said=True)
    elif _SQL.search(text):
        yield from _words(text, line, "binds" if _DDL.search(text) else "uses")
    elif "=" in text and "<" in text:
        yield from _marked(text, line)


def _string_role(node: "Node") -> Role:
    parent = node.parent
    if parent is None:
        return "binds"
    if parent.type in ("subscript", "subscript_expression"):
        return "binds" if _assigned(parent) else "uses"
    if parent.type in ("comparison_operator", "binary_expression"):
        return "uses"
    if parent.type in ("argument_list", "arguments") and parent.parent is not None:
        called = parent.parent.child_by_field_name("function")
        name = _NAME.findall(_text(called))[-1:] if called is not None else []
        first = parent.named_children[:2]
        return "uses" if name and name[0] in _READING and node in first else "binds"
    return "binds"


def _assigned(node: "Node") -> bool:
    """Whether it stands on the left of an assignment, alone or in a pattern."""
    parent, child = node.parent, node
    while parent is not None and parent.type in _PATTERNS:
        parent, child = parent.parent, parent
    if parent is None:
        return False
    if parent.type in ("assignment", "assignment_expression"):
        return parent.child_by_field_name("left") == child
    return False


# Names


def _inside_function(node: "Node") -> bool:
    parent = node.parent
    while parent is not None:
        if parent.type in _FUNCTIONS:
            return True
        if parent.type in ("class_definition", "class_body"):
            return False
        parent = parent.parent
    return False


def _above(node: "Node") -> tuple["Node | None", "Node"]:
    """What is above the patterns that a name stands in, and its child on the way."""
    parent, child = node.parent, node
    while parent is not None and parent.type in _PATTERNS:
        parent, child = parent.parent, parent
    return parent, child


def _python_role(node: "Node") -> Role | None:
    parent = node.parent
    if parent is None:
        return None
    kind = parent.type
    if kind in _DEFINING and parent.child_by_field_name("name") == node:
        return "binds"
    if kind == "attribute" and parent.child_by_field_name("attribute") == node:
        return "binds" if _assigned(parent) else "uses"
    if kind in ("dotted_name", "aliased_import", "import_from_statement", "import_statement"):
        return "local"
    if kind == "keyword_argument" and parent.child_by_field_name("name") == node:
        return "uses"
    if kind in ("parameters", "default_parameter", "typed_parameter", "typed_default_parameter"):
        value = parent.child_by_field_name("value")
        return "uses" if value == node else "binds"
    above, child = _above(node)
    if above is None:
        return "uses"
    if above.type in ("typed_parameter", "parameters"):
        return "binds"
    if above.type in _PYTHON_LOCAL:
        left = above.child_by_field_name("left") or above.child_by_field_name("name")
        return "local" if left is None or left == child else "uses"
    if above.type == "assignment" and above.child_by_field_name("left") == child:
        return "local" if _inside_function(above) else "binds"
    return "uses"


def _script_role(node: "Node") -> Role | None:
    parent, kind = node.parent, node.type
    if parent is None:
        return None
    if kind == "shorthand_property_identifier":
        return "binds"
    if kind == "shorthand_property_identifier_pattern":
        return "uses"
    if parent.type in _DEFINING and parent.child_by_field_name("name") == node:
        return "binds"
    if parent.type == "pair_pattern" and parent.child_by_field_name("key") == node:
        return "uses"
    if parent.type == "pair" and parent.child_by_field_name("key") == node:
        return "binds"
    if parent.type == "member_expression" and parent.child_by_field_name("property") == node:
        return "binds" if _assigned(parent) else "uses"
    if parent.type in ("import_specifier", "import_clause", "namespace_import", "jsx_attribute", "labeled_statement"):
        return "local"
    above, child = _above(node)
    if above is None:
        return "uses"
    if above.type == "variable_declarator" and above.child_by_field_name("name") == child:
        return "local" if _inside_function(above) else "binds"
    if above.type in ("formal_parameters", "required_parameter", "optional_parameter", "catch_clause"):
        value = above.child_by_field_name("value")
        return "uses" if value == child else "local"
    if above.type == "arrow_function" and above.child_by_field_name("parameter") == child:
        return "local"
    if above.type == "for_in_statement" and above.child_by_field_name("left") == child:
        return "local"
    return "uses"
