"""Which language a file is in, and the tree-sitter grammar for it, loaded at the first use.

Grammars cost memory and most people use three of them, so each is its own package. Where one is missing or of another
version, there is no parser, and callers go by lines or by the scanner alone.
"""

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Parser

GRAMMARS: dict[str, tuple[str, str]] = {
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "css": ("tree_sitter_css", "language"),
    "dart": ("tree_sitter_dart", "language"),
    "go": ("tree_sitter_go", "language"),
    "html": ("tree_sitter_html", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "javascriptreact": ("tree_sitter_javascript", "language"),
    "json": ("tree_sitter_json", "language"),
    "jsonc": ("tree_sitter_json", "language"),
    "markdown": ("tree_sitter_markdown", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "python": ("tree_sitter_python", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "shellscript": ("tree_sitter_bash", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "typescriptreact": ("tree_sitter_typescript", "language_tsx"),
    "yaml": ("tree_sitter_yaml", "language"),
}
PHP_ONLY = ("tree_sitter_php", "language_php_only")
"""For PHP text without an opening tag."""

_LANGUAGES_BY_ENDING = {
    ".py": "python", ".pyi": "python", ".pyw": "python", ".js": "javascript", ".mjs": "javascript",
    ".cjs": "javascript", ".jsx": "javascriptreact", ".ts": "typescript", ".mts": "typescript", ".cts": "typescript",
    ".tsx": "typescriptreact", ".go": "go", ".rs": "rust", ".java": "java", ".c": "c", ".h": "c", ".cc": "cpp",
    ".cpp": "cpp", ".cxx": "cpp", ".hh": "cpp", ".hpp": "cpp", ".hxx": "cpp", ".inl": "cpp", ".cs": "csharp",
    ".rb": "ruby", ".rake": "ruby", ".gemspec": "ruby", ".php": "php", ".phtml": "php", ".dart": "dart",
    ".sh": "shellscript", ".bash": "shellscript", ".zsh": "shellscript", ".html": "html", ".htm": "html",
    ".css": "css", ".scss": "scss", ".less": "less", ".json": "json", ".jsonc": "jsonc", ".yaml": "yaml",
    ".yml": "yaml", ".md": "markdown", ".markdown": "markdown", ".lua": "lua", ".kt": "kotlin", ".kts": "kotlin",
    ".swift": "swift", ".sql": "sql", ".toml": "toml", ".vue": "vue", ".svelte": "svelte",
}  # fmt: skip
_LANGUAGES_BY_NAME = {
    "rakefile": "ruby", "gemfile": "ruby", "dockerfile": "dockerfile", "makefile": "makefile",
    "cmakelists.txt": "cmake", ".bashrc": "shellscript", ".profile": "shellscript",
}  # fmt: skip
PARSERS_KEPT_MAX = len(GRAMMARS) + 1


def language_of(path: str) -> str:
    """The language id (as editors name them) of a file, by its name; "plaintext" if the name does not tell."""
    name = path.replace("\\", "/").rpartition("/")[2].casefold()
    ending = name[dot:] if (dot := name.rfind(".")) >= 0 else ""
    return _LANGUAGES_BY_NAME.get(name) or _LANGUAGES_BY_ENDING.get(ending, "plaintext")


def grammar_for(language: str, text: str = "") -> tuple[str, str] | None:
    """Module and function of the grammar that fits, None if there is none."""
    return PHP_ONLY if language == "php" and text and "<?" not in text else GRAMMARS.get(language)


@lru_cache(maxsize=PARSERS_KEPT_MAX)
def grammar(module: str, function: str) -> "Language | None":
    """The grammar itself, None if its package is missing or does not fit."""
    try:
        return import_module("tree_sitter").Language(getattr(import_module(module), function)())
    except (ImportError, AttributeError, ValueError):
        return None


@lru_cache(maxsize=PARSERS_KEPT_MAX)
def parser(module: str, function: str) -> "Parser | None":
    """A parser of a grammar. Not for use by two threads at once."""
    found = grammar(module, function)
    return import_module("tree_sitter").Parser(found) if found is not None else None
