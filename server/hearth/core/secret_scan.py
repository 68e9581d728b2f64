"""Runs the rules over text: a pre-filter by keyword, the expressions, then what the found has to look like.

Works on UTF-8 bytes, so that RE2 and `re` agree on every offset. RE2 is used where it is installed; its time grows
with the text alone, whatever the text is.
"""

import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

from hearth.core.secret_rules import RULES, Gate, Rule

ENGINE_BYTES_MAX = 32 << 20
"""What RE2 may use for one expression's program and states."""
WORD_CHARS_MIN = 3.4
"""Words of identifiers are at least so long on average."""
JUDGED_BYTES_MAX = 512
"""Of a long value, only the beginning is judged."""


REJECTED_MIN = 1_000
REJECTED_BYTES_EACH = 16
"""Of so many bytes, one may be the beginning of what is looked at and is no secret. A text made of more such beginnings
wants to cost time: what matches in the rest of it is masked without a look."""
_QUOTES = (b'"', b"'", b"`")
_VALUE_STOP = re.compile(rb"[\x00-\x20\"'`]")
MASK = "\x7f"
"""Stands for each character that is masked already. It is part of whatever it stands in, and says nothing."""


class Found(NamedTuple):
    """A secret: the rule's name and where it stands, as offsets into what was scanned."""

    rule: str
    start: int
    end: int


class Match(Protocol):
    def span(self, group: int = 0, /) -> tuple[int, int]: ...

    def group(self) -> bytes: ...


class Expression(Protocol):
    groups: int

    def search(self, text: bytes, pos: int = 0, /) -> Match | None: ...

    def finditer(self, text: bytes, /) -> Iterator[Match]: ...


class Engine(Protocol):
    """What compiles expressions, and finds which of many words occur in a text."""

    def compile(self, expression: str) -> Expression: ...

    def words(self, words: Sequence[bytes]) -> Callable[[bytes], Iterable[int]]: ...


class PlainEngine:
    """Python's own engine, for where RE2 is not installed."""

    def compile(self, expression: str) -> Expression:
        return cast(Expression, re.compile(expression.replace(r"\z", r"\Z").encode()))

    def words(self, words: Sequence[bytes]) -> Callable[[bytes], Iterable[int]]:
        def occurring(data: bytes) -> Iterable[int]:
            lowered = data.lower()
            return [index for index, word in enumerate(words) if word in lowered]

        return occurring


class LinearEngine:
    """RE2."""

    def __init__(self, re2: Any) -> None:
        self._re2 = re2

    def _options(self) -> Any:
        options = self._re2.Options()
        # Bytes, not code points: this is how `re` reads them too.
        options.encoding = self._re2.Options.Encoding.LATIN1
        options.max_mem = ENGINE_BYTES_MAX
        options.log_errors = False
        return options

    def compile(self, expression: str) -> Expression:
        return cast(Expression, self._re2.compile(expression.encode(), self._options()))

    def words(self, words: Sequence[bytes]) -> Callable[[bytes], Iterable[int]]:
        options = self._options()
        options.literal = True
        options.case_sensitive = False
        every = self._re2.Set.SearchSet(options)
        for word in words:
            every.Add(word)
        every.Compile()
        plainly = PlainEngine().words(words)

        def occurring(data: bytes) -> Iterable[int]:
            # Without a match or out of memory: RE2 does not say which, so nothing is taken on trust.
            return cast(Iterable[int], every.Match(data)) or plainly(data)

        return occurring


def engine() -> Engine:
    try:
        return LinearEngine(import_module("re2"))
    except ImportError:
        return PlainEngine()


class Scanner:
    """The rules, compiled one by one when their keyword is first met."""

    def __init__(self, rules: Sequence[Rule] = RULES, runs_on: Engine | None = None) -> None:
        self._engine = runs_on or engine()
        self._compiled: dict[str, Expression] = {}
        self._rules = {rule.name: rule for rule in rules}
        keywords: dict[bytes, list[str]] = {}
        for rule in rules:
            for keyword in rule.keywords:
                keywords.setdefault(keyword.encode(), []).append(rule.name)
        self._keywords = tuple(keywords.values())
        self._occurring = self._engine.words(tuple(keywords))

    def candidates(self, data: bytes) -> list[Rule]:
        """The rules of which a keyword occurs."""
        names = {name for index in self._occurring(data) for name in self._keywords[index]}
        return [rule for name, rule in self._rules.items() if name in names]

    def scan(self, data: bytes) -> list[Found]:
        """Every secret found, ordered by place; they may overlap."""
        found: list[Found] = []
        chances_max = max(REJECTED_MIN, len(data) // REJECTED_BYTES_EACH)
        for rule in self.candidates(data):
            chances = chances_max
            expression = self._expression(rule)
            match = expression.search(data, 0)
            while match is not None:
                start, end = _secret(expression, match)
                quoted = data[start - 1 : start] in _QUOTES
                kept = judged(rule, data[start : min(end, start + JUDGED_BYTES_MAX)], quoted=quoted)
                if not kept and (not chances or (not rule.gate and end - start >= JUDGED_BYTES_MAX)):
                    kept = end - start
                if kept:
                    end = _value_end(data, start, end) if kept >= JUDGED_BYTES_MAX else start + kept
                    found.append(Found(rule.name, start, end))
                chances -= not kept
                # What is no secret may hold the name of the next one: `token = options.token or "..."`.
                match = expression.search(data, max(end if kept else start, match.span()[0] + 1))
        return sorted(found, key=lambda f: (f.start, -f.end))

    def _expression(self, rule: Rule) -> Expression:
        known = self._compiled.get(rule.name)
        if known is None:
            known = self._compiled[rule.name] = self._engine.compile(rule.expression)
        return known


def _secret(expression: Expression, match: Match) -> tuple[int, int]:
    """The first group that took part, or all of the match."""
    for group in range(1, expression.groups + 1):
        start, end = match.span(group)
        if start >= 0:
            return start, end
    return match.span()


def _value_end(data: bytes, start: int, end: int) -> int:
    """Where a long value really ends: expressions are bounded, values need not be."""
    if end - start < JUDGED_BYTES_MAX:
        return end
    stop = _VALUE_STOP.search(data, end)
    return stop.start() if stop else len(data)


@functools.cache
def scanner() -> Scanner:
    return Scanner()


def entropy(value: str) -> float:
    """Shannon's, in bits per character."""
    if not value:
        return 0.0
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values())


def judged(rule: Rule, found: bytes, *, quoted: bool = False) -> int:
    """How many bytes of what a rule found are the secret; 0 if it is none."""
    value = found.decode("utf-8", "surrogateescape")
    if rule.gate in ("bare", "value"):
        value = _without_syntax(value, quoted)
    seen = value.replace(MASK, "")
    if (rule.entropy and entropy(seen) < rule.entropy) or not _GATES[rule.gate](seen, quoted):
        return 0
    return len(value.encode("utf-8", "surrogateescape"))


_NO_PASSWORDS = frozenset(
    {
        "pass", "passwd", "password", "passwort", "pwd", "pw", "secret", "token", "user", "username", "key", "xxx",
        "test", "testing", "null", "none", "true", "false", "undefined", "changeme", "string", "host", "hostname",
        "foo", "bar", "baz", "foobar", "admin", "root", "guest", "value", "default", "optional", "required", "port",
        "mypassword", "mypass", "secretpassword", "password123", "my-password", "my_password", "your_password",
    }
)  # fmt: skip
_STAND_INS = re.compile(
    r"(?i)example|^arn:|gettext|change[_-]?me|placeholder|your[_-]|dummy|redacted|hearth_secret_|insert[_-]|replace[_-]|xxxx|\*\*\*\*"
    r"|\.\.\.\.|0000000000|process\.env|os\.environ|getenv|undefined|abcdefgh|00000000|_here\b|-here\b|lorem|fixme"
)
_NAMELIKE = re.compile(
    r"(?:(?:new|old|my|your|the|user|re|confirm|raw|bad|wrong|test|some|usable|hashed|encoded|key)[_-]?)*"
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|key|username|user)[_-]?\d{0,3}"
)
_REFERENCE = re.compile(
    r"[$%#@&]?[{<(\[]|[{<(\[].*[)}>\]]|[$@%][A-Za-z_][\w.]*[%@]?\Z|.*\$\{|.*\{\{|.*%\(|&[a-z]{2,6};"
)
_CODE = re.compile(r"[A-Za-z_][\w]*(?:(?:\.|->|::)[A-Za-z_]\w*)+[(\[]?.*|[A-Za-z_]\w*[(\[].*|.*\(\)?.*")
_NAMES = re.compile(r"[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+|[A-Za-z_][\w.]*\(.*")
_MARKS = frozenset("!@#$%^&*+=?~()")
_PATH = re.compile(r"(?:\.{0,2}|~|[A-Za-z]:|[\w.-]+)?(?:[/\\][\w.@ -]*)+|[\w.-]+(?:/[\w.-]+)+|[a-z]+://.*|#[\w-]+")
_WORD = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+)\d{0,2}|\d{1,4}|")
_UNSPOKEN = re.compile(r"[b-df-hj-np-tv-xz]{5}|[B-DF-HJ-NP-TV-XZ][b-df-hj-np-tv-xz]{4}")
_DIGIT = re.compile(r"\d")
_PARTS = re.compile(r"[_\-.:/\\@ ,+]+|(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])")
_CHOSEN = re.compile(r"[A-Z]?[a-z]{4,}\d{1,4}|(?:[A-Za-z]{3,12}-){1,6}(?:[A-Za-z]{0,12}\d{1,4})")
_CODE_WORDS = re.compile(
    r"(?i)pass|pwd|token|secret|key|field|user|name|test|sha\d|md5|utf|pbkdf|argon|base|oauth|form|html|http"
    r"|version|latin|iso|level|line|page|item|arg|param|value|data|model|group|part"
)
_FOLLOWING = re.compile(r"[;&][A-Za-z][\w .]{0,30}=")
"""What comes next in a connection string or a query."""
_TAIL_SYNTAX = "\\,;:)]}>.'\""


def _without_syntax(value: str, quoted: bool) -> str:
    """The value without what a language puts after it."""
    for stop in ("\\n", "\\r", '\\"', "\\'", "),", ");", "};", "},", "];", "],", ");"):
        head, cut, _ = value.partition(stop)
        if cut and len(head) >= 6:
            value = head
    following = None if quoted else _FOLLOWING.search(value)
    return (value[: following.start()] if following else value).rstrip(_TAIL_SYNTAX)


def _is_stand_in(value: str) -> bool:
    """Whether a value stands for one to be filled in, or says where it comes from."""
    lowered = value.lower().strip("\"'`*<>()[]{}.,;: ")
    return (
        lowered in _NO_PASSWORDS
        or _NAMELIKE.fullmatch(lowered) is not None
        or len(set(lowered)) <= 2
        or _STAND_INS.search(value) is not None
        or _REFERENCE.match(value) is not None
    )


def _is_words(value: str) -> bool:
    """Whether a value is words put together: an identifier, a sentence, a name of a file."""
    parts = _PARTS.split(value)
    # Random letters fall into "words" too, but into short ones, and such as nobody could say.
    if _UNSPOKEN.search(value) or (_DIGIT.search(value) and any(len(part) == 1 and part.isalpha() for part in parts)):
        return False
    return len(value) >= WORD_CHARS_MIN * len(parts) and all(_WORD.fullmatch(part) is not None for part in parts)


def _is_code(value: str, quoted: bool) -> bool:
    """Whether a value is an expression: a call, an attribute. Within quotes, only what reads like nothing else."""
    return (_NAMES if quoted else _CODE).fullmatch(value) is not None


def _is_random(value: str, quoted: bool) -> bool:
    """Whether a value looks like a machine made it."""
    if len(value) < 10 or _is_code(value, quoted) or (_PATH.fullmatch(value) and not _many_switches(value)):
        return False
    letters = sum(c.isalpha() for c in value)
    digits = sum(c.isdigit() for c in value)
    marks = sum(c in _MARKS for c in value) if quoted else 0
    if not letters or letters + digits + marks < 0.7 * len(value):
        return False
    if _is_words(value):
        return False
    if digits:
        return entropy(value) >= (2.8 if len(value) < 20 else 3.0)
    return len(value) >= 16 and entropy(value) >= 3.5 and _many_switches(value)


def _is_password(value: str, quoted: bool) -> bool:
    """Whether a value looks like what a person or a machine chose for a password."""
    if len(value) < 6 or _is_code(value, quoted) or (_PATH.fullmatch(value) and not _many_switches(value)):
        return False
    letters = sum(c.isalpha() for c in value)
    digits = sum(c.isdigit() for c in value)
    marks = sum(c in _MARKS for c in value)
    if not letters or letters + digits + marks < 0.7 * len(value):
        return False
    if _is_words(value):
        # Two words in one are an identifier; one with a number, or several with dashes, are what people choose.
        return bool(digits) and _CHOSEN.fullmatch(value) is not None and not _CODE_WORDS.search(value)
    return bool(digits or marks) or (entropy(value) >= 3.2 and _many_switches(value))


def _many_switches(value: str) -> bool:
    """Whether a value goes between capitals, small letters and digits more often than names do."""
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "-" for c in value]
    switches = sum(a != b and "-" not in (a, b) for a, b in itertools.pairwise(kinds))
    return switches >= max(4, len(value) // 4)


def _is_phrase(value: str) -> bool:
    """Whether a text of several words is a pass phrase: small words without a sentence's marks."""
    words = re.split(r"[ ,.-]+", value.strip())
    return len(words) >= 4 and value == value.lower() and all(3 <= len(word) <= 12 for word in words) and " " in value


_GATES: dict[Gate, Callable[[str, bool], bool]] = {
    "": lambda value, quoted: bool(value),
    "phrase": lambda value, quoted: _is_phrase(value),
    "url": lambda value, quoted: not _is_stand_in(value),
    "bare": lambda value, quoted: _is_password(value, quoted) and not _is_stand_in(value),
    "value": lambda value, quoted: _is_random(value, quoted) and not _is_stand_in(value),
}
