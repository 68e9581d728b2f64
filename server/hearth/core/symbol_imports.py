"""Reads import statements: what `symbols` found with patterns of kind "import", as text.

A statement's grammar is simple in every language, and its text is small, so regular expressions do; they are faster
than asking the tree for the parts. What does not look like an import gives nothing.

Modules are as written, but for three: `require_relative "x"` is `./x`, `__DIR__ . "/x.php"` is `./x.php`, and Rust's
`mod x;` is `self::x`.
"""

import re
from collections.abc import Callable, Iterator

from hearth.core.facts import Import

STATEMENT_CHARS_MAX = 20_000
NAMES_MAX = 500
"""Of one statement."""

ALL = (("*", "*"),)
"""The names of an import that puts all that is in it within reach: `from x import *`, an `#include`."""

_HASH_COMMENT = re.compile(r"#[^\n]*")
_PYTHON_FROM = re.compile(r"from\b([.\w\s]*?)\bimport\b\s*\(?([^)]*)")
_C_COMMENT = re.compile(r"""("[^"\n]*"|'[^'\n]*')|/\*.*?\*/|//[^\n]*""", re.DOTALL)
_ES_SOURCE = re.compile(r"""(?:\bfrom|\brequire\s*\(|\bimport\s*\(?)\s*(?:"([^"\n]*)"|'([^'\n]*)'|`([^`$\n]*)`)""")
_ES_NAMED = re.compile(r"\{([^}]*)\}")
_ES_WHOLE = re.compile(r"\*\s*as\s+([\w$]+)")
_ES_DEFAULT = re.compile(r"import\s+(?:type\s+)?(?!type\b|typeof\b)([\w$]+)\s*(?:,|from\b|=)")
_ES_TAKEN = re.compile(r"\s*\)\s*\.([\w$]+)")
_ES_VARIABLE = re.compile(r"\s*([\w$]+)\s*(?::[^=]*)?=\s*require\b")
_NAME = re.compile(r"[\w$]+")
_GO = re.compile(r"""(?:([\w.]+)\s+)?["`]([^"`\n]+)["`]""")
_GO_VERSION = re.compile(r"v\d+")
_RUST = re.compile(r"(?:pub\b\s*(?:\([^)]*\))?\s*)?(use|mod|extern\s+crate)\b(.*)", re.DOTALL)
_RUST_TOKEN = re.compile(r"[\w#]+|::|[{},*]")
_JAVA = re.compile(r"import\s+(static\s+)?([\w.\s]+\*?)")
_INCLUDE = re.compile(r"""#\s*\w+\s*["<]([^">\n]+)""")
_CSHARP = re.compile(r"(?:global\s+)?using\s+(static\s+)?(?:(\w+)\s*=\s*)?([\w.:\s]+)")
_RUBY = re.compile(r"""(\w+)[\s(]+(?::(\w+)\s*,\s*)?["']([^"'\n]+)["']""")
_PHP_FILE = re.compile(r"""(?:require|include)(?:_once)?\b[\s(]*(__DIR__\s*\.\s*)?["']([^"'\n]+)["']""")
_PHP_KIND = re.compile(r"^(?:function|const)\s+")
_PHP_USE = re.compile(r"use\s+(?:(?:function|const)\s+)?(.*)", re.DOTALL)
_DART = re.compile(r"""(?:import|export|part(?:\s+of)?)\s+(?:"([^"\n]+)"|'([^'\n]+)')""")
_DART_AS = re.compile(r"\bas\s+(\w+)")
_DART_SHOW = re.compile(r"\bshow\s+([\w$\s,]+?)(?:\bhide\b|;|$)")
_SOURCE = re.compile(r"(?:source|\.)\s+(\S+)")
_CSS = re.compile(r"""@import\s+(?:url\()?\s*["']?([^"'()\s;]+)""", re.IGNORECASE)
_HTML = re.compile(r"""\b(?:src|href)\s*=\s*(?:"([^"]+)"|'([^']+)'|([^\s>"']+))""", re.IGNORECASE)


def imports_of(language: str, statement: str, line: int) -> list[Import]:
    """The imports of one statement that begins on `line`."""
    read = _READERS.get(language)
    return list(read(statement[:STATEMENT_CHARS_MAX], line)) if read else []


def _pairs(text: str, separator: re.Pattern[str]) -> tuple[tuple[str, str], ...]:
    """`a, b as c` as (("a", "a"), ("b", "c"))."""
    found: list[tuple[str, str]] = []
    for part in text.split(",")[:NAMES_MAX]:
        words = separator.split(part.strip())
        if words[0]:
            found.append((words[0], words[-1]))
    return tuple(found)


_AS = re.compile(r"\s+as\s+")
_AS_OR_COLON = re.compile(r"\s+as\s+|\s*:\s*|\s*=.*", re.DOTALL)
_TYPE = re.compile(r"^\s*type\s+(?!as\b)|,\s*type\s+(?!as\b)")


def _uncommented(text: str) -> str:
    """Without comments as in C; what looks like one in quotes stays."""
    return _C_COMMENT.sub(lambda found: found[1] or "", text)


def _python(text: str, line: int) -> Iterator[Import]:
    if "#" in text:
        text = _HASH_COMMENT.sub("", text)
    if "\\" in text:
        text = text.replace("\\\n", " ")
    if text.startswith("from"):
        if found := _PYTHON_FROM.match(text):
            yield Import("".join(found[1].split()), line, _pairs(found[2], _AS))
        return
    for module, name in _pairs(text.removeprefix("import"), _AS):
        yield Import("".join(module.split()), line, (), name)


def _es(text: str, line: int) -> Iterator[Import]:
    if "/*" in text or "//" in text:
        text = _uncommented(text)
    source = _ES_SOURCE.search(text)
    if source is None:
        return
    module = source[1] or source[2] or source[3] or ""
    head = text[: source.start()]
    names: tuple[tuple[str, str], ...] = ()
    if named := _ES_NAMED.search(head):
        names = tuple(
            (name, here) if here else (name, name)
            for name, here in _pairs(_TYPE.sub(lambda found: "," if "," in found[0] else "", named[1]), _AS_OR_COLON)
        )
    alias = ""
    if whole := _ES_WHOLE.search(head):
        alias = whole[1]
    elif variable := _ES_VARIABLE.match(text):
        if taken := _ES_TAKEN.match(text, source.end()):
            names = ((taken[1], variable[1]),)
        else:
            alias = variable[1]
    elif text.startswith("import"):
        if default := _ES_DEFAULT.match(text):
            if "=" in default[0]:
                alias = default[1]
            else:
                names = (("default", default[1]), *names)
    elif head.startswith("export") and "*" in head:
        names = ALL
    if text.startswith("import") and whole and (default := _ES_DEFAULT.match(text)):
        names = (("default", default[1]),)
    if module:
        yield Import(module, line, names, alias)


def _go(text: str, line: int) -> Iterator[Import]:
    """`fmt`, `m "math/rand"`: without a name of its own a package is known by the last part of its path."""
    if not (found := _GO.match(text)):
        return
    name, module = found[1] or "", found[2]
    if name == ".":
        yield Import(module, line, ALL)
    else:
        parts = [part for part in module.split("/") if not _GO_VERSION.fullmatch(part)]
        yield Import(module, line, (), "" if name == "_" else name or (parts or [module])[-1])


def _rust(text: str, line: int) -> Iterator[Import]:
    """A tree of uses, one import for each module that names are taken out of; `mod x;` is `self::x`."""
    text = _uncommented(text)
    found = _RUST.match(text)
    if not found:
        return
    word, rest = found[1], found[2].strip().rstrip(";")
    if word != "use":
        name, _, alias = rest.partition(" as ")
        yield Import(f"self::{name.strip()}" if word == "mod" else name.strip(), line, (), (alias or name).strip())
        return
    taken: dict[str, list[tuple[str, str]]] = {}
    for path, alias in _use_tree(rest):
        last = path[-1]
        if last == "self" and len(path) > 1:
            yield Import("::".join(path[:-1]), line, (), alias or path[-2])
        elif len(path) == 1:
            yield Import(last, line, (), alias or last)
        else:
            taken.setdefault("::".join(path[:-1]), []).append((last, alias or last))
    for module, names in taken.items():
        yield Import(module, line, tuple(names))


def _use_tree(text: str) -> Iterator[tuple[list[str], str]]:
    """The paths of `a::{b, c::{d as e, *}}`, each with its alias."""
    before: list[list[str]] = []
    path: list[str] = []
    alias, aliased = "", False
    for token in (*_RUST_TOKEN.findall(text)[:NAMES_MAX], ","):
        if token == "{":
            before.append(path)
            path = list(path)
        elif token in (",", "}"):
            base = before[-1] if before else []
            if len(path) > len(base):
                yield path, alias
            path, alias, aliased = list(base), "", False
            if token == "}" and before:
                before.pop()
                path = list(before[-1]) if before else []
        elif token == "as":
            aliased = True
        elif aliased:
            alias = token
        elif token != "::":
            path = [*path, token]


def _java(text: str, line: int) -> Iterator[Import]:
    if not (found := _JAVA.match(text)):
        return
    static, module = found[1], "".join(found[2].split())
    package, _, name = module.rpartition(".")
    if name == "*":
        yield Import(package, line, ALL)
    elif static:
        yield Import(package, line, ((name, name),))
    else:
        yield Import(module, line, (), name)


def _c(text: str, line: int) -> Iterator[Import]:
    if found := _INCLUDE.match(text):
        yield Import(found[1], line, ALL)


def _csharp(text: str, line: int) -> Iterator[Import]:
    if found := _CSHARP.match(text):
        yield Import("".join(found[3].split()), line, () if found[2] else ALL, found[2] or "")


def _ruby(text: str, line: int) -> Iterator[Import]:
    if not (found := _RUBY.match(text)):
        return
    word, constant, module = found[1], found[2] or "", found[3]
    relative = word == "require_relative" and not module.startswith(".")
    yield Import(f"./{module}" if relative else module, line, ALL if not constant else (), constant)


def _php(text: str, line: int) -> Iterator[Import]:
    if found := _PHP_FILE.match(text):
        module = found[2]
        yield Import(f".{module}" if found[1] and module.startswith("/") else module, line, ALL)
        return
    if not (found := _PHP_USE.match(text)):
        return
    base, brace, group = found[1].partition("{")
    for part in (group if brace else base).rstrip(";} \n").split(",")[:NAMES_MAX]:
        words = _PHP_KIND.sub("", part.strip()).split()
        if words:
            module = (base.strip() if brace else "") + words[0]
            yield Import(module.strip("\\"), line, (), words[-1].rpartition("\\")[2])


def _dart(text: str, line: int) -> Iterator[Import]:
    found = _DART.match(text)
    if not found:
        return
    alias, shown = _DART_AS.search(text, found.end()), _DART_SHOW.search(text, found.end())
    names = tuple((name, name) for name in _NAME.findall(shown[1])) if shown else ()
    if not names and not alias:
        names = ALL
    yield Import(found[1] or found[2], line, names, alias[1] if alias else "")


def _shell(text: str, line: int) -> Iterator[Import]:
    if found := _SOURCE.match(text):
        yield Import(found[1].replace('"', "").replace("'", ""), line, ALL)


def _css(text: str, line: int) -> Iterator[Import]:
    if found := _CSS.match(text):
        yield Import(found[1], line)


def _html(text: str, line: int) -> Iterator[Import]:
    if found := _HTML.search(text):
        yield Import(found[1] or found[2] or found[3], line)


_READERS: dict[str, Callable[[str, int], Iterator[Import]]] = {
    "c": _c,
    "cpp": _c,
    "csharp": _csharp,
    "css": _css,
    "dart": _dart,
    "go": _go,
    "html": _html,
    "java": _java,
    "javascript": _es,
    "javascriptreact": _es,
    "php": _php,
    "python": _python,
    "ruby": _ruby,
    "rust": _rust,
    "shellscript": _shell,
    "typescript": _es,
    "typescriptreact": _es,
}
