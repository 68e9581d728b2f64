"""What to look for in a file's tree, per language: patterns of tree-sitter's query language, each with what it finds.

Captures: `@d` the whole definition, `@n` its name, `@b` its body (the signature ends before it), `@o` whose it is
where it does not stand inside of it (a Go receiver). Names are looked for in `@n` and are taken as they are written.

Kinds other than those of `Symbol`:
    value      a variable, a constant if its name is in capitals, an attribute in a class; dropped in a function
    scope      a function without a name: what is in it is local
    within     a place whose name is a container, but which is no definition (Rust's `impl`)
    decorated  begins a definition that ends where it ends
    import     a statement or a part of one that `symbol_imports` reads
    reference  an identifier

A query goes over the whole tree once for all patterns, so one more pattern costs little, but each open match costs
something at every node: patterns begin at the node they define and do not go deep.
"""

from typing import NamedTuple


class Patterns(NamedTuple):
    """`depth`: how deep in the tree a pattern may begin; less is faster."""

    patterns: tuple[tuple[str, str], ...]
    depth: int = 60


PYTHON = Patterns(
    (
        ("class", "(class_definition name: (identifier) @n body: (_) @b) @d"),
        ("function", "(function_definition name: (identifier) @n body: (_) @b) @d"),
        ("value", "(assignment left: (identifier) @n) @d"),
        ("value", "(assignment left: (pattern_list (identifier) @n)) @d"),
        ("type", "(type_alias_statement left: (type [(identifier) @n (generic_type (identifier) @n)])) @d"),
        ("scope", "(lambda) @d"),
        ("decorated", "(decorated_definition) @d"),
        ("import", "[(import_statement) (import_from_statement)] @d"),
    ),
    depth=8,
)
"""References and attributes set on `self` come from the text, which is faster: see `symbols`."""

_ES_VALUES = (
    ("function", "(function_declaration name: (_) @n body: (_) @b) @d"),
    ("function", "(generator_function_declaration name: (_) @n body: (_) @b) @d"),
    ("method", "(method_definition name: (_) @n body: (_) @b) @d"),
    (
        "function",
        "(variable_declarator name: (identifier) @n value: [(arrow_function body: (_) @b)"
        " (function_expression body: (_) @b) (generator_function body: (_) @b)]) @d",
    ),
    ("class", "(variable_declarator name: (identifier) @n value: (class body: (_) @b)) @d"),
    ("value", "(variable_declarator name: (identifier) @n) @d"),
    ("value", "(variable_declarator name: (object_pattern (shorthand_property_identifier_pattern) @n)) @d"),
    ("value", "(variable_declarator name: (object_pattern (pair_pattern value: (identifier) @n))) @d"),
    ("value", "(variable_declarator name: (array_pattern (identifier) @n)) @d"),
    (
        "method",
        "(pair key: (property_identifier) @n value: [(arrow_function body: (_) @b)"
        " (function_expression body: (_) @b)]) @d",
    ),
    (
        "function",
        "(assignment_expression left: (member_expression object: (_) @o property: (property_identifier) @n)"
        " right: [(arrow_function body: (_) @b) (function_expression body: (_) @b)]) @d",
    ),
    (
        "class",
        "(assignment_expression left: (member_expression object: (_) @o property: (property_identifier) @n)"
        " right: (class body: (_) @b)) @d",
    ),
    (
        "attribute",
        "(assignment_expression left: (member_expression object: (this) property: (property_identifier) @n)) @d",
    ),
    ("class", "(class_declaration name: (_) @n body: (_) @b) @d"),
    ("scope", "[(arrow_function) (function_expression) (generator_function)] @d"),
    ("import", "[(import_statement) (export_statement source: (_))] @d"),
    ("import", '(variable_declarator value: (call_expression function: (identifier) @f (#eq? @f "require"))) @d'),
    (
        "import",
        "(variable_declarator value: (member_expression object: (call_expression"
        ' function: (identifier) @f (#eq? @f "require")))) @d',
    ),
    ("import", '(expression_statement (call_expression function: (identifier) @f (#eq? @f "require"))) @d'),
    ("import", "(call_expression function: (import)) @d"),
)
JAVASCRIPT = Patterns(
    (
        *_ES_VALUES,
        ("attribute", "(field_definition property: (_) @n value: (arrow_function body: (_) @b)) @d"),
        ("attribute", "(field_definition property: (_) @n) @d"),
        (
            "reference",
            "[(identifier) (property_identifier) (shorthand_property_identifier) (private_property_identifier)"
            " (shorthand_property_identifier_pattern)] @n",
        ),
    )
)
TYPESCRIPT = Patterns(
    (
        *_ES_VALUES,
        ("class", "(abstract_class_declaration name: (_) @n body: (_) @b) @d"),
        ("interface", "(interface_declaration name: (_) @n body: (_) @b) @d"),
        ("enum", "(enum_declaration name: (_) @n body: (_) @b) @d"),
        ("attribute", "(enum_body name: (_) @n @d)"),
        ("attribute", "(enum_assignment name: (_) @n) @d"),
        ("type", "(type_alias_declaration name: (_) @n) @d"),
        ("module", "(internal_module name: (_) @n body: (_) @b) @d"),
        ("module", "(module name: (_) @n body: (_) @b) @d"),
        ("function", "(function_signature name: (_) @n) @d"),
        ("method", "[(method_signature name: (_) @n) (abstract_method_signature name: (_) @n)] @d"),
        ("attribute", "(property_signature name: (_) @n) @d"),
        ("attribute", "(public_field_definition name: (_) @n value: (arrow_function body: (_) @b)) @d"),
        ("attribute", "(public_field_definition name: (_) @n) @d"),
        ("attribute", "(required_parameter (accessibility_modifier) pattern: (identifier) @n) @d"),
        ("attribute", '(required_parameter "readonly" pattern: (identifier) @n) @d'),
        ("attribute", "(optional_parameter (accessibility_modifier) pattern: (identifier) @n) @d"),
        (
            "reference",
            "[(identifier) (property_identifier) (shorthand_property_identifier) (private_property_identifier)"
            " (shorthand_property_identifier_pattern) (type_identifier)] @n",
        ),
    )
)

PATTERNS: dict[str, Patterns] = {
    "javascript": JAVASCRIPT,
    "javascriptreact": JAVASCRIPT,
    "python": PYTHON,
    "typescript": TYPESCRIPT,
    "typescriptreact": TYPESCRIPT,
}
