"""A light scanner for what completion must know at every key: brackets, strings, comments, indentation, block style.

It is not a parser. It reads a few lines in microseconds, in any language, also when the code is half written; where a
language is unknown it falls back to C-like rules. tree-sitter refines the decisions that can wait.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

OPENERS = {"(": ")", "[": "]", "{": "}"}
CLOSERS = {")": "(", "]": "[", "}": "{"}
BLOCK_COMMENTS = (("/*", "*/"), ("<!--", "-->"), ("--[[", "]]"), ("{-", "-}"))
_COMMENT_ENDS = frozenset(end for _, end in BLOCK_COMMENTS)


@dataclass(frozen=True, slots=True)
class Traits:
    """What the scanner needs to know of a language.

    `block`: how a block ends: by indentation, by a closing brace, or by the word `end` (or `fi`, `done`, `esac`).
    `chains`: a line that begins with `.` continues the statement above it.
    """

    block: Literal["indent", "brace", "end"] = "brace"
    line_comments: tuple[str, ...] = ("//",)
    quotes: tuple[str, ...] = ('"', "'", "`")
    multiline_quotes: tuple[str, ...] = ("`",)
    chains: bool = True
    openers: tuple[str, ...] = ()  # words that open a block at a line's end or start, for block == "end"
    block_comments: tuple[tuple[str, str], ...] = (("/*", "*/"),)


_HASH = ("#",)
_PYTHON = Traits("indent", _HASH, ('"""', "'''", '"', "'"), ('"""', "'''"), chains=False, block_comments=())
_RUBY = Traits(
    "end",
    _HASH,
    block_comments=(),
    openers=("def", "class", "module", "if", "unless", "while", "until", "case", "begin", "do", "for"),
)
_SHELL = Traits("end", _HASH, chains=False, block_comments=(), openers=("then", "do", "else", "in"))
_LUA = Traits(
    "end",
    ("--",),
    ('"', "'"),
    (),
    chains=False,
    openers=("then", "do", "else", "function", "repeat"),
    block_comments=(("--[[", "]]"),),
)
_RUST = Traits("brace", quotes=('"',), multiline_quotes=('"',))  # a lone ' is a lifetime more often than a char
_GO = Traits(chains=False)
_YAML = Traits("indent", _HASH, ('"', "'"), (), chains=False, block_comments=())
_MARKUP = Traits("indent", (), (), (), chains=False, block_comments=(("<!--", "-->"),))
_PROSE = Traits("indent", (), ("```",), ("```",), chains=False, block_comments=(("<!--", "-->"),))
_C_LIKE = Traits()
_CSS = Traits("brace", (), ('"', "'"), (), chains=False)
_PHP = Traits("brace", ("//", "#"), ('"', "'"), ())
_SQL = Traits("indent", ("--",), ('"', "'"), (), chains=False)

TRAITS: dict[str, Traits] = {
    "python": _PYTHON,
    "starlark": _PYTHON,
    "coffeescript": Traits("indent", _HASH, block_comments=()),
    "nim": Traits("indent", _HASH, ('"""', '"'), ('"""',)),
    "ruby": _RUBY,
    "crystal": _RUBY,
    "elixir": _RUBY,
    "shellscript": _SHELL,
    "lua": _LUA,
    "rust": _RUST,
    "go": _GO,
    "yaml": _YAML,
    "dockercompose": _YAML,
    "toml": Traits("indent", _HASH, chains=False, block_comments=()),
    "ini": Traits("indent", ("#", ";"), chains=False, block_comments=()),
    "makefile": Traits("indent", _HASH, chains=False, block_comments=()),
    "dockerfile": Traits("indent", _HASH, chains=False, block_comments=()),
    "html": _MARKUP,
    "xml": _MARKUP,
    "vue": _MARKUP,
    "svelte": _MARKUP,
    "markdown": _PROSE,
    "plaintext": _MARKUP,
    "json": Traits("brace", (), ('"',), (), chains=False),
    "jsonc": Traits("brace", ("//",), ('"',), (), chains=False),
    "css": _CSS,
    "scss": _CSS,
    "less": _CSS,
    "php": _PHP,
    "sql": _SQL,
    "haskell": Traits("indent", ("--",), ('"',), (), chains=False, block_comments=(("{-", "-}"),)),
}


def traits_of(language: str) -> Traits:
    """Traits of an LSP language id; C-like where it is unknown."""
    return TRAITS.get(language, _C_LIKE)


_PLAIN = re.compile(r"[\w \t]+")
_NO_STRING_END = re.compile(r"[\w \t.,;:!?(){}<>=+&|@#$%^~]+")


@dataclass(slots=True)
class Scanner:
    """Feed text; read the state. `stack` holds the open brackets, `quote` the open string's
    delimiter (also the end of an open block comment).

    `surplus` counts closing brackets that nothing in the fed text opened; `surplus_at` is where (in code points fed so
    far) the first of them stood, -1 if there is none.
    """

    traits: Traits
    stack: list[str] = field(default_factory=list[str])
    quote: str = ""
    comment: bool = False
    comment_at: int = -1  # where (in code points fed so far) the last comment began, -1 if there was none
    last_code: str = ""  # last non-blank character outside comments, of the current line
    surplus: int = 0
    surplus_at: int = -1
    fed: int = 0

    @property
    def in_comment(self) -> bool:
        """Whether what comes next is part of a comment."""
        return self.comment or self.quote in _COMMENT_ENDS

    def feed(self, text: str) -> None:
        index = 0
        while index < len(text):
            index = self._skipped(text, index) or index + self._step(text, index)
        self.fed += len(text)

    def _skipped(self, text: str, index: int) -> int:
        """The end of a run of characters that change nothing, 0 if there is none here."""
        if self.comment:
            end = text.find("\n", index)
            return end if end > index else 0 if end == index else len(text)
        found = (_NO_STRING_END if self.quote else _PLAIN).match(text, index)
        if not found:
            return 0
        if not self.quote and (run := found.group().rstrip()):
            self.last_code = run[-1]
        return found.end()

    def _step(self, text: str, index: int) -> int:
        char = text[index]
        if char == "\n":
            self.comment = False
            self.last_code = ""
            if self.quote and not self._spans_lines():
                self.quote = ""
            return 1
        if self.comment:
            return 1
        if self.quote:
            return self._in_string(text, index)
        for start in self.traits.line_comments:
            if text.startswith(start, index) and self._comment_may_start(text, index, start):
                self.comment = True
                self.comment_at = self.fed + index
                return len(start)
        if char == "'" and "'" not in self.traits.quotes and (size := _char_literal(text, index)):
            return size  # `'"'` in Rust, where a lone ' is a lifetime
        for opener, closer in self.traits.block_comments:
            if text.startswith(opener, index) and text[index - 1 : index] not in ("\\", "/", "*"):
                # Not in a regular expression (`/\/*$/`).
                self.quote = closer
                return len(opener)
        for quote in self.traits.quotes:
            if text.startswith(quote, index):
                self.quote = quote
                self.last_code = char
                return len(quote)
        if not char.isspace():
            self.last_code = char
        self._bracket(char, index)
        return 1

    def _spans_lines(self) -> bool:
        return self.quote in self.traits.multiline_quotes or self.quote in _COMMENT_ENDS

    def _in_string(self, text: str, index: int) -> int:
        if text[index] == "\\" and self.quote not in _COMMENT_ENDS:
            return 2
        if text.startswith(self.quote, index):
            size = len(self.quote)
            self.quote = ""
            return size
        return 1

    def _comment_may_start(self, text: str, index: int, start: str) -> bool:
        """`#` inside a word (`$#`, `${#x}`, CSS colours in PHP templates) and `://` are no comments."""
        before = text[index - 1] if index else " "
        return before.isspace() or before in ";)}]," if start == "#" else before != ":"

    def _bracket(self, char: str, index: int) -> None:
        if char in OPENERS:
            self.stack.append(char)
        elif char in CLOSERS:
            if self.stack and self.stack[-1] == CLOSERS[char]:
                self.stack.pop()
            elif self.surplus_at < 0:
                self.surplus += 1
                self.surplus_at = self.fed + index
            else:
                self.surplus += 1


def _char_literal(text: str, index: int) -> int:
    """The size of a character in single quotes, 0 if it is not one."""
    size = 4 if text[index + 1 : index + 2] == "\\" else 3
    return size if text[index + size - 1 : index + size] == "'" else 0


def scanned(text: str, language_traits: Traits) -> Scanner:
    """A scanner that has read `text`."""
    scanner = Scanner(language_traits)
    scanner.feed(text)
    return scanner


def indent_of(line: str) -> str:
    """The white space a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def indent_width(line: str, tab: int = 4) -> int:
    """Columns of indentation, tabs counted to the next multiple of `tab`."""
    width = 0
    for char in line:
        if char == " ":
            width += 1
        elif char == "\t":
            width += tab - width % tab
        else:
            break
    return width


def opens_block(line: str, language_traits: Traits) -> bool:
    """Whether the block that follows this (complete) line belongs to it: `def f():`, `if (x) {`, `while x; do`."""
    scanner = scanned(line, language_traits)
    if scanner.quote:
        return False
    if language_traits.block == "brace":
        return scanner.last_code in ("{", "(", "[") and bool(scanner.stack)
    if scanner.stack:
        return True
    code = _strip_comment(line, language_traits).rstrip()
    if language_traits.block == "indent":
        return code.endswith(":") and bool(language_traits.line_comments)
    words = code.replace(";", " ").split()
    if not words:
        return False
    if code.endswith("|") and " do " in f" {code} ":
        return True
    return words[-1] in language_traits.openers or (words[0] in language_traits.openers and "end" not in words)


def closes_block(line: str, language_traits: Traits) -> bool:
    """Whether this line ends a block that an earlier line opened: `}`, `});`, `end`, `fi`."""
    text = line.strip()
    if text[:1] in CLOSERS:
        return True
    return language_traits.block == "end" and text.split(" ")[0].rstrip(";.,)") in {
        "end",
        "fi",
        "done",
        "esac",
        "until",
    }


def resumes_block(line: str, language_traits: Traits) -> bool:
    """Whether a line at the opener's own indentation goes on with the same compound statement: `else:`, `except …:`."""
    text = line.strip()
    word = text.lstrip("}").strip().split(" ")[0].split("(")[0].rstrip(":{")
    if language_traits.block == "brace" and not text.startswith("}"):
        return word in {"else", "catch", "finally"}
    return word in {"else", "elif", "except", "finally", "elsif", "rescue", "ensure", "when", "catch", "case"}


def _strip_comment(line: str, language_traits: Traits) -> str:
    at = scanned(line, language_traits).comment_at
    return line if at < 0 else line[:at]
