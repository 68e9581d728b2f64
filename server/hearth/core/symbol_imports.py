"""Reads import statements: what `symbols` found with patterns of kind "import", as text.

A statement's grammar is simple in every language, and its text is small, so regular expressions do; they are faster
than asking the tree for the parts. What does not look like an import gives nothing.
"""

import re
from collections.abc import Callable, Iterator

from hearth.core.facts import Import

STATEMENT_CHARS_MAX = 20_000
NAMES_MAX = 500
"""Of one statement."""

_HASH_COMMENT = re.compile(r"#[^\n]*")
_PYTHON_FROM = re.compile(r"from\b([.\w\s]*?)\bimport\b\s*\(?([^)]*)")
_C_COMMENT = re.compile(r"""("[^"\n]*"|'[^'\n]*')|/\*.*?\*/|//[^\n]*""", re.DOTALL)
_ES_SOURCE = re.compile(r"""(?:\bfrom|\brequire\s*\(|\bimport\s*\(?)\s*(?:"([^"\n]*)"|'([^'\n]*)'|`([^`$\n]*)`)""")
_ES_NAMED = re.compile(r"\{([^}]*)\}")
_ES_WHOLE = re.compile(r"\*\s*as\s+([\w$]+)")
_ES_DEFAULT = re.compile(r"import\s+(?:type\s+)?(?!type\b|typeof\b)([\w$]+)\s*(?:,|from\b|=)")
_ES_TAKEN = re.compile(r"\s*\)\s*\.([\w$]+)")
_ES_VARIABLE = re.compile(r"\s*([\w$]+)\s*(?::[^=]*)?=\s*require\b")


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
        names = (("*", "*"),)
    if text.startswith("import") and whole and (default := _ES_DEFAULT.match(text)):
        names = (("default", default[1]),)
    if module:
        yield Import(module, line, names, alias)


_READERS: dict[str, Callable[[str, int], Iterator[Import]]] = {
    "javascript": _es,
    "javascriptreact": _es,
    "python": _python,
    "typescript": _es,
    "typescriptreact": _es,
}
