"""@mentions in a question: which files, folders, symbols and other sources the user wants the model to see.

    @file:src/a.py   @file:"my notes.md"#L3-L9   @folder:src   @symbol:Circle.area
    @codebase   @diagnostics   @git   @selection   @web

An @ within a word (an e-mail address) or in a span of code is none. Decorators, packages and names of people are left
alone; what looks like a mention and is none is reported.
"""

import difflib
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast, get_args

Kind = Literal["file", "folder", "symbol", "codebase", "diagnostics", "git", "selection", "web"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NAMED: frozenset[Kind] = frozenset(("file", "folder", "symbol"))
"""Kinds that need an argument."""
MENTIONS_MAX = 32
UNKNOWN_MAX = 16
QUESTION_CHARS_MAX = 50_000
"""Nobody types more: what comes behind was pasted, and its @ are none."""
ARGUMENT_CHARS_MAX = 1_000
ITEMS_MAX = 50
WORDS_KEPT_MAX = 512
KIND_CHARS_MAX = 20
DETAILS: dict[Kind, str] = {
    "file": "a file, or lines of it",
    "folder": "the files of a folder, as signatures",
    "symbol": "a function or class, by its name",
    "codebase": "what search finds for the question in the whole project",
    "diagnostics": "errors and warnings of the open files",
    "git": "what changed since the last commit",
    "selection": "the selected lines",
    "web": "what your own search engine finds",
}

_AT = re.compile(r"(?<![\w.@/\\])@(?P<word>[A-Za-z][\w-]*)(?P<colon>:?)")
_CODE = re.compile(r"```.*?(?:```|\Z)|(?<!`)`[^`\n]+`", re.DOTALL)
_QUOTED = re.compile(r"""(?P<quote>["'`])(?P<text>(?:(?!(?P=quote))[^\n])*)(?P=quote)""")
_BARE = re.compile(r"(?:\\[ ]|[^\s])+")
_LINES = re.compile(r"(?:#L|:)(\d{1,9})(?:-L?(\d{1,9}))?$")
_LINES_AFTER = re.compile(r"(?:#L|:)(\d{1,9})(?:-L?(\d{1,9}))?\b")
_TRAILING = ".,;:!?…'\"`*_"
_PAIRS = {")": "(", "]": "[", "}": "{", ">": "<", "»": "«", "”": "“"}


@dataclass(frozen=True, slots=True)
class Mention:
    """`argument`: the path or name, "" for kinds without. `lines`: 0-based, end exclusive. It stands at `start` to
    `end` of the question."""

    kind: Kind
    argument: str
    start: int
    end: int
    lines: tuple[int, int] | None = None

    @property
    def text(self) -> str:
        """As the user would write it."""
        if self.kind not in NAMED:
            return f"@{self.kind}"
        lines = "" if self.lines is None else f"#L{self.lines[0] + 1}-L{self.lines[1]}"
        return f"@{self.kind}:{quoted(self.argument)}{lines}"


@dataclass(frozen=True, slots=True)
class Unknown:
    """What looks like a mention and is none. `problem`: a sentence."""

    text: str
    problem: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """`mentions`: each once, in their order."""

    mentions: tuple[Mention, ...]
    unknown: tuple[Unknown, ...]


def parse(question: str) -> Parsed:
    """The mentions of a question, at most MENTIONS_MAX."""
    mentions: dict[tuple[str, str, tuple[int, int] | None], Mention] = {}
    unknown: list[Unknown] = []
    question = question[:QUESTION_CHARS_MAX]
    code = [found.span() for found in _CODE.finditer(question)]
    starts = [start for start, _ in code]
    at = 0
    while len(unknown) < UNKNOWN_MAX and (found := _AT.search(question, at)):
        at = found.end()
        # A quoted argument is no code: there the @ stands before it.
        before = bisect_right(starts, found.start()) - 1
        if before >= 0 and found.start() < code[before][1]:
            continue
        one = _mention(question, found)
        if isinstance(one, Mention):
            at = max(at, one.end)
            if len(mentions) < MENTIONS_MAX:
                mentions.setdefault((one.kind, one.argument, one.lines), one)
            else:
                unknown.append(Unknown(one.text, f"More than {MENTIONS_MAX} mentions are too many: {one.text}."))
        elif one is not None:
            unknown.append(one)
    return Parsed(tuple(mentions.values()), tuple(dict.fromkeys(unknown)))


def quoted(argument: str) -> str:
    """An argument as it must be written: in quotes if it would end too early without."""
    bare = _BARE.fullmatch(argument) and _trimmed(argument) == argument and argument[:1] not in "\"'`"
    if bare and "\\" not in argument and not _LINES.search(argument):
        return argument
    quote = next((one for one in "\"'`" if one not in argument), '"')
    return f"{quote}{argument}{quote}"


def _mention(question: str, found: re.Match[str]) -> Mention | Unknown | None:
    word, kind = found["word"], found["word"].casefold()
    if kind in KINDS:
        return _known(question, found, kind)
    follows = question[found.end() : found.end() + 1]
    if like := _like(kind):
        return Unknown(f"@{word}", f"@{word} is not known. Did you mean @{like}?")
    if found["colon"] and follows and not follows.isspace() and follows != ":":
        return Unknown(f"@{word}:", f"@{word}: is not known. There are {', '.join(f'@{one}' for one in KINDS)}.")
    return None


@lru_cache(maxsize=WORDS_KEPT_MAX)
def _like(word: str) -> str:
    """The kind that somebody may have meant, "" for none."""
    return next(iter(difflib.get_close_matches(word[:KIND_CHARS_MAX], KINDS, 1, 0.75)), "")


def _known(question: str, found: re.Match[str], kind: Kind) -> Mention | Unknown | None:
    if kind not in NAMED:
        word_goes_on = question[found.end("word") : found.end("word") + 1] in ("/", ".", "(") and not found["colon"]
        after = question[found.end("word") + 1 : found.end("word") + 2]
        if word_goes_on and after and not after.isspace():
            return None  # `@git/config`, `@web.route("/")`
        return Mention(kind, "", found.start(), found.end("word"))
    if not found["colon"]:
        return Unknown(f"@{kind}", f"@{kind} needs a name: @{kind}:{'NAME' if kind == 'symbol' else 'PATH'}.")
    start = found.end()
    if match := _QUOTED.match(question, start):
        argument, end = match["text"].strip(), match.end()
        lines = _LINES_AFTER.match(question, end) if kind == "file" else None
        end = lines.end() if lines else end
    else:
        match = _BARE.match(question, start)
        raw = _trimmed(match[0]) if match else ""
        end = start + len(raw)
        lines = _LINES.search(raw) if kind == "file" else None
        argument = (raw[: lines.start()] if lines else raw).replace("\\ ", " ")
    if not argument or len(argument) > ARGUMENT_CHARS_MAX:
        return Unknown(f"@{kind}:", f"@{kind}: needs a {'name' if kind == 'symbol' else 'path'} right after the colon.")
    return Mention(kind, argument, found.start(), end, _span(lines))


def _span(lines: re.Match[str] | None) -> tuple[int, int] | None:
    if lines is None:
        return None
    first = max(1, int(lines[1]))
    return first - 1, max(first, int(lines[2] or first))


def _trimmed(text: str) -> str:
    """Without the punctuation that ends a sentence; a closing bracket stays if its opening one is in the text."""
    while text:
        last = text[-1]
        if last in _TRAILING or (last in _PAIRS and text.count(last) > text.count(_PAIRS[last])):
            text = text[:-1]
        else:
            return text
    return ""


# Completing


@dataclass(frozen=True, slots=True)
class Partial:
    """The mention that is being typed. `kind` is None while the kind itself is typed. `prefix`: what of the
    argument (or kind) is there, without quotes; it begins at `start`, the @ of the whole stands at `at`."""

    kind: Kind | None
    prefix: str
    at: int
    start: int


@dataclass(frozen=True, slots=True)
class Item:
    """`insert` replaces everything from `Partial.at` to the cursor."""

    label: str
    insert: str
    detail: str = ""


_TYPED = re.compile(
    r"(?<![\w.@/\\])@(?:(?P<kind>file|folder|symbol):(?:(?P<quote>[\"'])(?P<quoted>[^\"'\n]*)|(?P<bare>\S*))"
    r"|(?P<word>[A-Za-z]*))$"
)


_NAMELESS = re.compile(r"(?<![\w.@/\\])@(?P<kind>file|folder|symbol):?(?=[\s,;!?)]|\.?$|\.\s)")


def partial(before: str) -> Partial | None:
    """What is being typed at the end of `before`, the text of the line before the cursor; None if it is no mention."""
    found = _TYPED.search(before[-ARGUMENT_CHARS_MAX:])
    if found is None:
        return None
    shift = max(0, len(before) - ARGUMENT_CHARS_MAX)
    if found["kind"] is None:
        return Partial(None, found["word"], found.start() + shift, found.start("word") + shift)
    group = "bare" if found["quote"] is None else "quoted"
    return Partial(cast(Kind, found["kind"]), found[group], found.start() + shift, found.start(group) + shift)


def unfinished(question: str) -> list[Partial]:
    """The mentions of a question that lack their name, as if the cursor stood behind them."""
    code = [found.span() for found in _CODE.finditer(question[:QUESTION_CHARS_MAX])]
    return [
        Partial(cast(Kind, found["kind"]), "", found.start(), found.end())
        for found in _NAMELESS.finditer(question[:QUESTION_CHARS_MAX])
        if not any(start <= found.start() < end for start, end in code)
    ][:MENTIONS_MAX]


def complete(typed: Partial, names: Iterable[str] = ()) -> Sequence[Item]:
    """What the mention could become. `names`: paths or symbols to choose from, best first, for kinds that need one."""
    prefix = typed.prefix.casefold()
    if typed.kind is None:
        kinds: list[Kind] = [kind for kind in KINDS if kind.startswith(prefix)]
        return [Item(f"@{kind}", f"@{kind}{':' if kind in NAMED else ' '}", DETAILS[kind]) for kind in kinds]
    ranked: list[tuple[int, int, str]] = []
    for number, name in enumerate(dict.fromkeys(names)):
        rank = _rank(prefix, name.casefold())
        if rank is not None:
            ranked.append((rank, number, name))
    ranked.sort()
    return [Item(name, f"@{typed.kind}:{quoted(name)} ") for _, _, name in ranked[:ITEMS_MAX]]


def _rank(prefix: str, name: str) -> int | None:
    """How well a name fits what was typed: the start of its last part, of the whole, somewhere in it, letter by
    letter."""
    last = re.split(r"[/.]", name.rstrip("/"))[0] if "/" not in name else name.rstrip("/").rpartition("/")[2]
    if last.startswith(prefix):
        return 0
    if name.startswith(prefix):
        return 1
    if prefix in name:
        return 2
    letters = iter(name)
    return 3 if all(char in letters for char in prefix) else None
