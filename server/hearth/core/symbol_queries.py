"""What to look for in a file's tree, per language: patterns of tree-sitter's query language, each with what it finds.

Captures:
    d  the definition; what is in it has it as its container
    n  its name, as it is written
    b  its body: the signature ends before it
    h  what the signature is cut out of, where that is not the definition
    e  where the definition ends, where its body stands beside it (Dart)
    o  whose it is, where it does not stand inside of it (a Go receiver)
Kinds other than those of `Symbol`:
    value      a variable; a constant if its name is in capitals, an attribute in a class; dropped in a function
    const      a constant; an attribute in a class; dropped in a function
    field      an attribute that is no container
    alias      a type that is no container
    declared   a function without body, dropped in a function
    member     a function that is a member of an object, dropped in a function
    scope      a function without name: what is in it is local
    within     a place whose name is a container but that is no definition (Rust's `impl`)
    decorated  begins a definition that ends where it ends
    import     a statement, or a part of one, that `symbol_imports` reads
    reference  an identifier
Of several patterns that fit the same name the outermost, then the first, counts.

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
        "member",
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

GO = Patterns(
    (
        ("function", "(function_declaration name: (_) @n body: (_)? @b) @d"),
        (
            "method",
            "(method_declaration receiver: (parameter_list (parameter_declaration type: (_) @o))"
            " name: (_) @n body: (_)? @b) @d",
        ),
        ("class", "(type_spec name: (_) @n type: (struct_type (field_declaration_list) @b)) @d"),
        ("interface", "(type_spec name: (_) @n type: (interface_type)) @d"),
        ("type", "[(type_spec name: (_) @n) (type_alias name: (_) @n)] @d"),
        ("method", "(method_elem name: (_) @n) @d"),
        ("attribute", "(field_declaration name: (_) @n) @d"),
        ("attribute", "(field_declaration !name type: [(type_identifier) (qualified_type) (generic_type)] @n) @d"),
        ("const", "(const_spec name: (_) @n) @d"),
        ("value", "(var_spec name: (_) @n) @d"),
        ("scope", "(func_literal) @d"),
        ("import", "(import_spec) @d"),
        ("reference", "[(identifier) (type_identifier) (field_identifier) (package_identifier)] @n"),
    )
)
RUST = Patterns(
    (
        ("function", "(function_item name: (_) @n body: (_) @b) @d"),
        ("function", "(function_signature_item name: (_) @n) @d"),
        ("class", "(struct_item name: (_) @n body: (field_declaration_list) @b) @d"),
        ("class", "(struct_item name: (_) @n) @d"),
        ("class", "(union_item name: (_) @n body: (_) @b) @d"),
        ("enum", "(enum_item name: (_) @n body: (_) @b) @d"),
        ("interface", "(trait_item name: (_) @n body: (_) @b) @d"),
        ("within", "(impl_item type: (_) @n body: (_)) @d"),
        ("module", "(mod_item name: (_) @n body: (_) @b) @d"),
        ("import", "(mod_item name: (_) !body) @d"),
        ("type", "[(type_item name: (_) @n) (associated_type name: (_) @n)] @d"),
        ("attribute", "(field_declaration name: (_) @n) @d"),
        ("attribute", "(enum_variant name: (_) @n) @d"),
        ("const", "(const_item name: (_) @n) @d"),
        ("value", "(static_item name: (_) @n) @d"),
        ("macro", "(macro_definition name: (_) @n . (_) @b) @d"),
        ("scope", "(closure_expression) @d"),
        ("import", "[(use_declaration) (extern_crate_declaration)] @d"),
        ("reference", "[(identifier) (type_identifier) (field_identifier) (shorthand_field_identifier)] @n"),
    )
)
JAVA = Patterns(
    (
        ("class", "[(class_declaration name: (_) @n body: (_) @b) (record_declaration name: (_) @n body: (_) @b)] @d"),
        (
            "interface",
            "[(interface_declaration name: (_) @n body: (_) @b)"
            " (annotation_type_declaration name: (_) @n body: (_) @b)] @d",
        ),
        ("enum", "(enum_declaration name: (_) @n body: (_) @b) @d"),
        ("method", "(method_declaration name: (_) @n body: (_)? @b) @d"),
        ("method", "(constructor_declaration name: (_) @n body: (_) @b) @d"),
        ("method", "(compact_constructor_declaration name: (_) @n body: (_) @b) @d"),
        ("method", "(annotation_type_element_declaration name: (_) @n) @d"),
        ("attribute", "(record_declaration parameters: (formal_parameters (formal_parameter name: (_) @n) @d))"),
        ("attribute", "(field_declaration declarator: (variable_declarator name: (_) @n)) @d"),
        ("attribute", "(constant_declaration declarator: (variable_declarator name: (_) @n)) @d"),
        ("attribute", "(enum_constant name: (_) @n body: (_)? @b) @d"),
        ("scope", "(lambda_expression) @d"),
        ("import", "(import_declaration) @d"),
        ("reference", "[(identifier) (type_identifier)] @n"),
    )
)

_C_COMMON = (
    ("function", "(function_definition declarator: (function_declarator declarator: (_) @n) body: (_) @b) @d"),
    ("function", "(function_definition declarator: (_ (function_declarator declarator: (_) @n)) body: (_) @b) @d"),
    (
        "function",
        "(function_definition declarator: (_ (_ (function_declarator declarator: (_) @n))) body: (_) @b) @d",
    ),
    ("declared", "(declaration declarator: (function_declarator declarator: (identifier) @n)) @d"),
    ("declared", "(declaration declarator: (_ (function_declarator declarator: (identifier) @n))) @d"),
    ("value", "(declaration declarator: (identifier) @n) @d"),
    ("value", "(declaration declarator: (init_declarator declarator: (identifier) @n)) @d"),
    ("value", "(declaration declarator: (_ declarator: (identifier) @n)) @d"),
    ("value", "(declaration declarator: (_ declarator: (_ declarator: (identifier) @n))) @d"),
    ("field", "(field_declaration declarator: (field_identifier) @n) @d"),
    (
        "field",
        "(field_declaration declarator: [(pointer_declarator declarator: (field_identifier) @n)"
        " (array_declarator declarator: (field_identifier) @n)"
        " (function_declarator declarator: (parenthesized_declarator (pointer_declarator (field_identifier) @n)))]) @d",
    ),
    ("class", "(struct_specifier name: (_) @n body: (_) @b) @d"),
    ("class", "(union_specifier name: (_) @n body: (_) @b) @d"),
    ("enum", "(enum_specifier name: (_) @n body: (_) @b) @d"),
    ("attribute", "(enumerator name: (_) @n) @d"),
    ("alias", "(type_definition type: (struct_specifier name: (_) body: (_) @b) declarator: (type_identifier) @n) @d"),
    ("class", "(type_definition type: (struct_specifier !name body: (_) @b) declarator: (type_identifier) @n) @d"),
    ("class", "(type_definition type: (union_specifier !name body: (_) @b) declarator: (type_identifier) @n) @d"),
    ("enum", "(type_definition type: (enum_specifier !name body: (_) @b) declarator: (type_identifier) @n) @d"),
    ("alias", "(type_definition declarator: (type_identifier) @n) @d"),
    ("alias", "(type_definition declarator: (_ declarator: (type_identifier) @n)) @d"),
    (
        "alias",
        "(type_definition declarator: (function_declarator declarator:"
        " (parenthesized_declarator (pointer_declarator (type_identifier) @n)))) @d",
    ),
    ("macro", "(preproc_function_def name: (_) @n value: (_)? @b) @d"),
    ("constant", "(preproc_def name: (_) @n value: (_)) @d"),
    ("import", "(preproc_include) @d"),
)
C = Patterns(
    (
        *_C_COMMON,
        ("reference", "[(identifier) (type_identifier) (field_identifier)] @n"),
    )
)
CPP = Patterns(
    (
        *_C_COMMON,
        ("class", "(class_specifier name: (_) @n body: (_) @b) @d"),
        ("module", "(namespace_definition name: (_) @n body: (_) @b) @d"),
        ("type", "(alias_declaration name: (_) @n) @d"),
        ("type", "(concept_definition name: (_) @n) @d"),
        ("field", "(field_declaration declarator: (reference_declarator (field_identifier) @n)) @d"),
        (
            "declared",
            "(declaration declarator: (function_declarator"
            " declarator: [(destructor_name) (qualified_identifier)] @n)) @d",
        ),
        (
            "declared",
            "(field_declaration declarator: (function_declarator"
            " declarator: [(field_identifier) (operator_name)] @n)) @d",
        ),
        (
            "declared",
            "(field_declaration declarator: (_ (function_declarator"
            " declarator: [(field_identifier) (operator_name)] @n))) @d",
        ),
        ("scope", "(lambda_expression) @d"),
        ("reference", "[(identifier) (type_identifier) (field_identifier) (namespace_identifier)] @n"),
    )
)
CSHARP = Patterns(
    (
        (
            "class",
            "[(class_declaration name: (_) @n body: (_) @b) (struct_declaration name: (_) @n body: (_) @b)"
            " (record_declaration name: (_) @n body: (_) @b)] @d",
        ),
        ("class", "(record_declaration name: (_) @n) @d"),
        ("interface", "(interface_declaration name: (_) @n body: (_) @b) @d"),
        ("enum", "(enum_declaration name: (_) @n body: (_) @b) @d"),
        ("module", "(namespace_declaration name: (_) @n body: (_) @b) @d"),
        ("module", "(file_scoped_namespace_declaration name: (_) @n) @d"),
        ("method", "(method_declaration name: (_) @n body: (_)? @b) @d"),
        ("method", "(constructor_declaration name: (_) @n body: (_)? @b) @d"),
        ("function", "(local_function_statement name: (_) @n body: (_) @b) @d"),
        ("type", "(delegate_declaration name: (_) @n) @d"),
        ("attribute", "(property_declaration name: (_) @n) @d"),
        ("attribute", "(field_declaration (variable_declaration (variable_declarator name: (_) @n))) @d"),
        ("attribute", "(event_field_declaration (variable_declaration (variable_declarator name: (_) @n))) @d"),
        ("attribute", "(event_declaration name: (_) @n) @d"),
        ("attribute", "(enum_member_declaration name: (_) @n) @d"),
        ("attribute", "(record_declaration (parameter_list (parameter name: (_) @n) @d))"),
        ("scope", "[(lambda_expression) (anonymous_method_expression)] @d"),
        ("import", "(using_directive) @d"),
        ("reference", "(identifier) @n"),
    )
)

RUBY = Patterns(
    (
        ("class", "(class name: (_) @n superclass: (_)? body: (_)? @b) @d"),
        ("module", "(module name: (_) @n body: (_)? @b) @d"),
        ("function", "(method name: (_) @n body: (_)? @b) @d"),
        ("method", "(singleton_method name: (_) @n body: (_)? @b) @d"),
        (
            "attribute",
            "(call method: (identifier) @f arguments: (argument_list (simple_symbol) @n)"
            ' (#any-of? @f "attr_accessor" "attr_reader" "attr_writer" "belongs_to" "has_one" "has_many")) @d',
        ),
        (
            "attribute",
            "[(assignment left: [(instance_variable) (class_variable)] @n)"
            " (operator_assignment left: [(instance_variable) (class_variable)] @n)] @d",
        ),
        ("value", "(assignment left: [(constant) (identifier) (global_variable)] @n) @d"),
        ("scope", "[(block) (do_block)] @d"),
        (
            "import",
            '(call !receiver method: (identifier) @f (#any-of? @f "require" "require_relative" "load" "autoload")) @d',
        ),
        ("reference", "[(identifier) (constant)] @n"),
    )
)
PHP = Patterns(
    (
        ("class", "[(class_declaration name: (_) @n body: (_) @b) (trait_declaration name: (_) @n body: (_) @b)] @d"),
        ("interface", "(interface_declaration name: (_) @n body: (_) @b) @d"),
        ("enum", "(enum_declaration name: (_) @n body: (_) @b) @d"),
        ("module", "(namespace_definition name: (_) @n body: (_)? @b) @d"),
        ("method", "(method_declaration name: (_) @n body: (_)? @b) @d"),
        ("function", "(function_definition name: (_) @n body: (_) @b) @d"),
        ("attribute", "(property_declaration (property_element name: (variable_name (name) @n))) @d"),
        ("attribute", "(property_promotion_parameter name: (variable_name (name) @n)) @d"),
        ("attribute", "(enum_case name: (_) @n) @d"),
        (
            "attribute",
            "(assignment_expression left: (member_access_expression object: (variable_name (name) @f) name: (name) @n)"
            ' (#eq? @f "this")) @d',
        ),
        ("const", "(const_declaration (const_element . (name) @n)) @d"),
        ("value", "(assignment_expression left: (variable_name (name) @n)) @d"),
        (
            "constant",
            "(function_call_expression function: (name) @f arguments: (arguments . (argument (string (string_content)"
            ' @n))) (#eq? @f "define")) @d',
        ),
        ("scope", "[(anonymous_function) (arrow_function)] @d"),
        (
            "import",
            "[(namespace_use_declaration) (include_expression) (include_once_expression) (require_expression)"
            " (require_once_expression)] @d",
        ),
        ("reference", "(name) @n"),
    )
)
_DART_BODY = ". (function_body) @b @e"
DART = Patterns(
    (
        ("class", "(class_definition name: (_) @n body: (_) @b) @d"),
        ("class", "(mixin_declaration . (mixin) . (identifier) @n (class_body) @b) @d"),
        ("class", "(extension_declaration name: (_) @n body: (_) @b) @d"),
        ("class", "(extension_type_declaration name: (_) @n body: (_) @b) @d"),
        ("enum", "(enum_declaration name: (_) @n body: (_) @b) @d"),
        ("method", f"((method_signature (_ name: (identifier) @n)) @d {_DART_BODY})"),
        (
            "method",
            "((method_signature (factory_constructor_signature (identifier) @n . (formal_parameter_list))) @d"
            f" {_DART_BODY})",
        ),
        ("method", f"((method_signature (operator_signature (binary_operator) @n)) @d {_DART_BODY})"),
        ("method", "(declaration (constructor_signature (identifier) @n . (formal_parameter_list))) @d"),
        ("method", "(declaration (constant_constructor_signature (identifier) @n . (formal_parameter_list))) @d"),
        ("method", "(declaration [(function_signature name: (_) @n) (getter_signature name: (_) @n)]) @d"),
        ("function", f"((function_signature name: (_) @n) @d {_DART_BODY})"),
        ("function", f"((getter_signature name: (_) @n) @d {_DART_BODY})"),
        ("function", "(lambda_expression parameters: (function_signature name: (_) @n) body: (_) @b) @d"),
        ("function", "(program (function_signature name: (_) @n) @d)"),
        ("attribute", "(enum_constant name: (_) @n) @d"),
        ("attribute", "(declaration (initialized_identifier_list (initialized_identifier . (identifier) @n))) @d"),
        ("attribute", "(declaration (static_final_declaration_list (static_final_declaration . (identifier) @n))) @d"),
        ("value", "(program (initialized_identifier_list (initialized_identifier . (identifier) @n)) @d)"),
        ("value", "(program (static_final_declaration_list (static_final_declaration . (identifier) @n)) @d)"),
        ("type", "(type_alias . (type_identifier) @n . [(type_parameters) (function_type)]) @d"),
        ("type", "(type_alias (type_identifier) @n . (formal_parameter_list)) @d"),
        ("scope", "(function_expression) @d"),
        ("import", "[(import_or_export) (part_directive) (part_of_directive)] @d"),
        ("reference", "[(identifier) (type_identifier)] @n"),
    )
)
SHELL = Patterns(
    (
        ("function", "(function_definition name: (_) @n body: (_) @b) @d"),
        ("value", "(variable_assignment name: (variable_name) @n) @d"),
        ("import", '(command name: (command_name (word) @f) (#any-of? @f "source" ".")) @d'),
        ("reference", "[(variable_name) (command_name (word))] @n"),
    )
)
HTML = Patterns(
    (
        (
            "key",
            "(element (start_tag (attribute (attribute_name) @f [(attribute_value) @n"
            ' (quoted_attribute_value (attribute_value) @n)])) @h (#eq? @f "id")) @d',
        ),
        ("heading", '(element . (start_tag (tag_name) @f) . (text) @n (#match? @f "^[hH][1-6]$")) @d'),
        (
            "heading",
            '(element . (start_tag (tag_name) @f) . (element (text) @n) (#match? @f "^[hH][1-6]$")) @d',
        ),
        ("import", '((start_tag (tag_name) @f (attribute)) @d (#any-of? @f "script" "link"))'),
    )
)
CSS = Patterns(
    (
        ("selector", "(rule_set (selectors) @n (block) @b) @d"),
        ("selector", "(keyframes_statement (keyframes_name) @n (keyframe_block_list) @b) @d"),
        ("variable", '(declaration (property_name) @n (#match? @n "^--")) @d'),
        ("import", "(import_statement) @d"),
    )
)
JSON = Patterns((("key", "(pair key: (string) @n) @d"),), depth=4)
"""Two levels: document, object, pair, object, pair."""
MARKDOWN = Patterns(
    (
        ("heading", "(section . (atx_heading heading_content: (_) @n) @h) @d"),
        ("heading", "(setext_heading heading_content: (_) @n @h) @d"),
    )
)

PATTERNS: dict[str, Patterns] = {
    "c": C,
    "cpp": CPP,
    "csharp": CSHARP,
    "css": CSS,
    "dart": DART,
    "go": GO,
    "html": HTML,
    "java": JAVA,
    "javascript": JAVASCRIPT,
    "javascriptreact": JAVASCRIPT,
    "json": JSON,
    "jsonc": JSON,
    "markdown": MARKDOWN,
    "php": PHP,
    "python": PYTHON,
    "ruby": RUBY,
    "rust": RUST,
    "shellscript": SHELL,
    "typescript": TYPESCRIPT,
    "typescriptreact": TYPESCRIPT,
}
