"""Words of code and of prose as search terms, and BM25 as sparse vectors.

An identifier is found by any of its words (`HTTPServer`: http, server) and as a whole (`httpserver`, however its words
are joined). Words are lower-cased, common abbreviations are written out, endings are cut off, so that "parsing the
configuration" finds `parse_config`. A term is an unsigned 32-bit number: the CRC of its letters, on every machine.

The vectors give BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) in a store that weighs
terms by their rarity (IDF): a document's values are its saturated, length-normalised counts; a query's are weights.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from zlib import crc32

from hearth.core.facts import Sparse

K1 = 2.5
B = 0.75
TERMS_MEAN = 130
"""The length of a chunk that length normalisation refers to: constant, or each new file would change every vector."""
PATH_WEIGHT = 1
SYMBOL_WEIGHT = 3
NAME_WEIGHT = 6
ASIDE_STANDING = 0.6
WORD_CHARS_MAX = 60
"""Longer words are keys, hashes and data, which nobody searches for in pieces."""
WORDS_KEPT_MAX = 60_000
PARTS_KEPT_MAX = 20_000
DIGITS_MAX = 4
"""Longer numbers are data; shorter ones are years, ports, status codes and versions."""
PATHS_KEPT_MAX = 64
STEM_CHARS_MIN = 3

ABOVE_LINES_MAX = 15
BELOW_LINES_MAX = 8
LINE_WEIGHT = 1.2
ABOVE_DECAY = 0.7
BELOW_DECAY = 0.75
WHOLE_WEIGHT = 1.5
"""In a completion's query, how much more a whole identifier says than its words."""

STOP_WORDS = frozenset(
    word
    for line in (
        "a also an and any are as at be been being but by for from had has have he her his if in into is it its itself",
        "just no nor not of on only or other our out over own same she so some such than that the their them then",
        "there these they this those to too under until up upon very was we were while with within without you your",
    )
    for word in line.split()
)
QUESTION_WORDS = frozenset(
    word
    for line in (
        "can could did do does done explain find give how i may me might must my one ought please shall should show",
        "tell us want what whatever when where whether which who whom whose why will would",
    )
    for word in line.split()
)
_SAME = (
    "addr address|arg argument|args argument|attr attribute|attrs attribute|auth authentication|broken break",
    "built build|cb callback|cfg config|char character|children child|chosen choose|cls class|cmd command",
    "cnt count|col column|coll collection|cols column|cond condition|conf config|configuration config",
    "configure config|conn connection|ctx context|cur current|curr current|db database|dec decode",
    "decl declaration|def define|definition define|del delete|desc description|dest destination|dev development",
    "dict dictionary|diff difference|dir directory|dirs directory|doc document|docs document|dst destination",
    "dt datetime|elem element|enc encode|env environment|err error|errs error|evt event|exc exception",
    "expr expression|ext extension|fmt format|fn function|found find|func function|funcs function|gen generate",
    "given give|hdr header|held hold|id identifier|ids identifier|idx index|img image|impl implementation",
    "indices index|info information|init initialize|int integer|iter iterate|kept keep|kw keyword|kwarg keyword",
    "kwargs keyword|lang language|len length|lhs left|lib library|loc location|lost lose|made make",
    "matrices matrix|max maximum|mem memory|mgr manager|min minimum|misc miscellaneous|mod module|msg message",
    "msgs message|num number|nums number|obj object|objs object|op operation|opt option|opts option|orig original",
    "param parameter|params parameter|perf performance|perm permission|pkg package|pos position|prev previous",
    "priv private|proc process|prop property|props property|proto protocol|pub public|pwd password|recv receive",
    "ref reference|refs reference|regex regexp|rel relative|repr representation|req request|res result",
    "resp response|ret return|rhs right|sent send|sep separator|seq sequence|sig signature|spec specification",
    "specs specification|src source|srv server|stmt statement|str string|strs string|sync synchronize|sys system",
    "taken take|tbl table|temp temporary|tmp temporary|ts timestamp|txt text|typ type|util utility|utils utility",
    "val value|vals value|var variable|vars variable|ver version|vertices vertex|written write|wrote write",
)
"""Abbreviations, each with the word it stands for, and forms that no ending tells."""

_ASIDE = re.compile(
    r"(?:^|/)(?:t|tests?|testing|__tests__|specs?|examples?|samples?|demos?|benchmarks?|fixtures?)/"
    r"|(?:^|/)(?:test_|conftest)|[._-](?:test|spec)s?\."
)
_ASIDE_ASKED = re.compile(r"\b(?:test|spec|example|sample|demo|benchmark|fixture)(?:s|ed|ing)?\b", re.IGNORECASE)

_WORDS = re.compile(r"\w+")
_PARTS = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_NAMES = re.compile(r"[^\W\d_]+")
_VOWEL = re.compile(r"[aeiouy]")


def stem(word: str) -> str:
    """A lower-case word without its usual endings. What comes out need not be a word; it is the same for its forms."""
    if len(word) < STEM_CHARS_MIN or not word.isascii():
        return word
    word = _verb(_plural(word))
    if len(word) > 5 and word.endswith("ly"):
        word = word[:-2]
    if len(word) > 5 and word.endswith(("sion", "tion")):
        word = word[:-3]
    elif len(word) > 5 and word.endswith(("er", "or")):
        word = word[:-2]
    if len(word) > 2 and word[-1] == "e" and word[-2] != "e":
        word = word[:-1]
    if len(word) > 2 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word


def _plural(word: str) -> str:
    if not word.endswith("s") or word.endswith(("ss", "us", "is")) or len(word) < 4:
        return word
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1]


def _verb(word: str) -> str:
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        if word.endswith(ending) and not word.endswith("eed"):
            rest = word[: -len(ending)]
            return rest if len(rest) > 1 and _VOWEL.search(rest) else word
    return word


_LONG = {short: long for line in _SAME for short, long in (pair.split(" ") for pair in line.split("|"))}


def split(word: str) -> list[str]:
    """The words an identifier is made of, lower-case: `HTTPServer_v2` -> http, server, v, 2."""
    if not word.isascii():
        return _NAMES.findall(word.lower())
    if word.islower() and word.replace("_", "").isalpha():
        return word.strip("_").split("_") if "__" not in word else [part for part in word.split("_") if part]
    return [part.lower() for part in _PARTS.findall(word)]


def terms_of(word: str) -> tuple[str, ...]:
    """The terms of one word of a text: of its parts, then of the whole if there are several. () for stop words."""
    if len(word) > WORD_CHARS_MAX:
        return ()
    parts = split(word)
    if not parts:
        return ()
    if len(parts) == 1:
        part = parts[0]
        said = len(part) > 1 and part not in STOP_WORDS and (len(part) <= DIGITS_MAX or not part.isdigit())
        return (_term(part),) if said else ()
    found = [_term(part) for part in parts]
    whole = "".join(found)
    found = [_term(part) for part in parts if len(part) > 1 and part not in STOP_WORDS]
    found.append(whole)
    return tuple(found)


@lru_cache(maxsize=PARTS_KEPT_MAX)
def _term(part: str) -> str:
    return stem(_LONG.get(part, part))


def terms(text: str) -> list[str]:
    """All terms of a text, in order."""
    return list(chain.from_iterable(map(terms_of, _WORDS.findall(text))))


def number_of(term: str) -> int:
    """A term's place in a sparse vector: unsigned 32 bit, the same on every machine and in every run."""
    return crc32(term.encode("utf-8", "surrogatepass"))


_number_of_part = lru_cache(maxsize=PARTS_KEPT_MAX)(number_of)


class _Numbers(dict[bytes, tuple[int, ...]]):
    """The numbers of the terms of a word (in UTF-8), remembered: looked up from C, which is what makes vectors fast.

    When there are too many the older half is forgotten, unless it is used again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._older: dict[bytes, tuple[int, ...]] = {}

    def __missing__(self, word: bytes) -> tuple[int, ...]:
        found = self._older.get(word)
        if found is None:
            # What is not ASCII may also be what stands between words: dashes, curly quotes.
            text = word.decode("utf-8", "replace")
            said = terms_of(text) if word.isascii() else terms(text)
            found = (*map(_number_of_part, said[:-1]), *map(number_of, said[-1:]))
        if len(self) >= WORDS_KEPT_MAX // 2:
            self._older = dict(self)
            self.clear()
        self[word] = found
        return found


_numbers = _Numbers()
_numbers_of = _numbers.__getitem__
_WORDS_ONLY = bytes(code if code >= 128 or chr(code).isalnum() or chr(code) == "_" else ord(" ") for code in range(256))


def _all_numbers(text: str) -> Iterator[int]:
    """The numbers of all terms of a text. Splitting bytes is four times as fast as finding words."""
    words = text.encode("utf-8", "replace").translate(_WORDS_ONLY).split()
    return chain.from_iterable(map(_numbers_of, words))


@lru_cache(maxsize=PATHS_KEPT_MAX)
def _path_numbers(path: str) -> tuple[int, ...]:
    return tuple(set(_all_numbers(path.rpartition(".")[0] or path)))


def document_vector(text: str, path: str, symbol: str = "", names: Iterable[str] = ()) -> Sparse:
    """A chunk's vector. `path`: relative to its folder; `symbol`: the dotted name of the definition that it is or is
    part of; `names`: what is defined in it. All three count as if the text said them some more times."""
    numbers = list(_all_numbers(text))
    damping = K1 * (1 - B + B * len(numbers) / TERMS_MEAN)
    numbers.extend(PATH_WEIGHT * _path_numbers(path))
    if symbol:
        numbers.extend(SYMBOL_WEIGHT * list(_all_numbers(symbol)))
    if names:
        numbers.extend(NAME_WEIGHT * list(_all_numbers(" ".join(names))))
    counts = Counter(numbers)
    indices = sorted(counts)
    scale = K1 + 1
    return Sparse(tuple(indices), tuple([scale * n / (n + damping) for n in map(counts.__getitem__, indices)]))


def query_vector(weights: Mapping[str, float]) -> Sparse:
    """A query's vector, of terms with weights above 0."""
    values: dict[int, float] = {}
    for term, weight in weights.items():
        index = number_of(term)
        values[index] = values.get(index, 0) + weight
    indices = sorted(values)
    return Sparse(tuple(indices), tuple(values[index] for index in indices))


def standing(path: str, question: str) -> float:
    """What the score of a chunk in this file is multiplied with: tests and examples say a function's words more often
    than the function, but are seldom meant by those who do not speak of tests."""
    return ASIDE_STANDING if _ASIDE.search(path.lower()) and not _ASIDE_ASKED.search(question) else 1


def question_query(text: str) -> dict[str, float]:
    """Terms of a question in natural language, without the words that only ask."""
    weights: dict[str, float] = {}
    for word in _WORDS.findall(text):
        if word.lower() not in QUESTION_WORDS:
            for term in terms_of(word):
                weights[term] = weights.get(term, 0) + 1
    return weights


def completion_query(above: Sequence[str], line_before: str, below: Sequence[str]) -> dict[str, float]:
    """What chunks are looked for at a cursor: terms of the lines around it, the nearer the heavier.

    `above`: the lines over the cursor's, nearest last; `line_before`: its line up to it; `below`: nearest first.
    A term weighs what its nearest line gives it: sums would prefer what the file says all the time.
    """
    lines = [(LINE_WEIGHT, line_before)]
    lines += [(ABOVE_DECAY**distance, line) for distance, line in enumerate(reversed(above[-ABOVE_LINES_MAX:]))]
    lines += [(BELOW_DECAY**distance, line) for distance, line in enumerate(below[:BELOW_LINES_MAX])]
    weights: dict[str, float] = {}
    for weight, line in lines:
        for word in _WORDS.findall(line):
            found = terms_of(word)
            for term in found:
                own = weight * WHOLE_WEIGHT if len(found) > 1 and term is found[-1] else weight
                weights[term] = max(weights.get(term, 0), own)
    return weights
