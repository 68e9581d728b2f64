"""Terms of code and prose, and their vectors."""

import subprocess
import sys
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core import terms as module
from hearth.core.facts import Sparse
from hearth.core.terms import (
    ABOVE_DECAY,
    ABOVE_LINES_MAX,
    ASIDE_STANDING,
    BELOW_LINES_MAX,
    K1,
    LINE_WEIGHT,
    QUESTION_WORDS,
    STOP_WORDS,
    WHOLE_WEIGHT,
    WORD_CHARS_MAX,
    completion_query,
    document_vector,
    number_of,
    query_vector,
    question_query,
    split,
    standing,
    stem,
    terms,
    terms_of,
)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("HTTPServer", "http server"),
        ("parseHTTPResponse2", "parse http response 2"),
        ("get_or_create", "get or create"),
        ("__init__", "init"),
        ("MAX_SIZE", "max size"),
        ("camelCase", "camel case"),
        ("simple", "simple"),
        ("SIMPLE", "simple"),
        ("utf8", "utf 8"),
        ("URLs", "urls"),
        ("allowedURLsOnly", "allowed urls only"),
        ("IOError", "io error"),
        ("x1y2", "x 1 y 2"),
        ("größe_neu", "größe neu"),
        ("ИмяФайла", "имяфайла"),
        ("_", ""),
        ("1234", "1234"),
    ],
)
def test_split(word: str, parts: str):
    assert split(word) == parts.split()


@pytest.mark.parametrize(
    "forms",
    [
        "parse parses parsed parsing parser parsers",
        "connect connects connected connecting connection connections connector",
        "call calls called calling caller callers",
        "class classes",
        "pass passes passed passing",
        "query queries queried querying",
        "box boxes boxed boxing",
        "run runs running runner",
        "stop stops stopped stopping",
        "add adds added adding",
        "use uses used using",
        "tree trees",
        "copy copies copied copying",
        "validate validates validated validating validation validator",
        "create creates created creating creation creator",
        "cache caches cached caching",
        "file files",
        "size sizes sized sizing",
        "dependency dependencies",
        "recursive recursively",
        "match matches matched matching matcher",
        "process processes processed processing",
        "address addresses addressed",
        "value values",
    ],
)
def test_forms_of_a_word_have_one_stem(forms: str):
    assert len({stem(form) for form in forms.split()}) == 1, {form: stem(form) for form in forms.split()}


@pytest.mark.parametrize(
    "words", ["string stress", "need new", "thing thin", "king kin", "red re", "bus busy", "this thy", "status state"]
)
def test_other_words_keep_their_own_stems(words: str):
    one, other = words.split()
    assert stem(one) != stem(other)


@pytest.mark.parametrize("word", ["", "a", "is", "été", "страница", "get", "set", "string", "index", "user"])
def test_words_that_stay(word: str):
    assert stem(word) == word


@given(st.text(st.characters(min_codepoint=97, max_codepoint=122), max_size=15))
def test_a_stem_is_a_part_of_a_word(word: str):
    found = stem(word)
    assert len(found) <= len(word)
    assert bool(found) == bool(word)
    assert found[:2] == word[:2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HTTPServer", "http serv httpserv"),
        ("http_server", "http serv httpserv"),
        ("the cat is in the box", "cat box"),
        ("cfg.max_conns", "config maximum con maximumcon"),
        ("dir", "directory"),
        ("x = _ + __ + 1", ""),
        ("port 8080, status 404", "port 8080 status 404"),
        ("0123456789", ""),
        ("f(\u201cquoted\u201d \u2014 words)", "quot word"),
        ("get_or_create", "get creat getorcreat"),
    ],
)
def test_terms(text: str, expected: str):
    assert terms(text) == expected.split()


def test_an_abbreviation_finds_the_word():
    for short, long in [
        ("config", "configuration"),
        ("msg", "messages"),
        ("dirs", "directories"),
        ("args", "argument"),
    ]:
        assert terms(short) == terms(long)
    assert set(terms("parseConfig")) & set(terms("parsing the configuration")) == {"pars", "config"}


def test_whole_identifiers_are_the_same_however_their_words_are_joined():
    assert terms("rateLimit")[-1] == terms("rate_limit")[-1] == terms("RateLimits")[-1] == "ratlimit"


def test_long_words_are_no_terms():
    assert terms_of("a" * (WORD_CHARS_MAX + 1)) == ()
    assert document_vector("a" * (WORD_CHARS_MAX + 1), "") == Sparse((), ())


def test_numbers_are_the_same_in_every_run():
    code = "from hearth.core.terms import number_of; print(number_of('parse'), number_of('größe'))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{number_of('parse')} {number_of('größe')}\n"}
    assert number_of("parse") == 3_537_208_424


def values(vector: Sparse) -> dict[int, float]:
    return dict(zip(vector.indices, vector.values, strict=True))


def value(vector: Sparse, term: str) -> float:
    return values(vector).get(number_of(term), 0)


def test_counts_saturate():
    one, two, many = (value(document_vector("cat " * n + "dog " * (100 - n), ""), "cat") for n in (1, 2, 90))
    assert 0 < one < two < 2 * one
    assert many < K1 + 1


def test_a_longer_text_says_a_word_with_less_weight():
    long = document_vector("cat " + " ".join(f"word{n}" for n in range(500)), "")
    assert 0 < value(long, "cat") < value(document_vector("cat", ""), "cat")


def test_path_symbol_and_names_weigh_more_and_more():
    plain = document_vector("x = 1", "a/cats.py", "Dog.bark", ["MouseTrap", "cheese"])
    cat, dog, mouse = (value(plain, term) for term in ("cat", "dog", "mous"))
    assert 0 < cat < dog < mouse
    assert value(plain, "bark") == dog
    assert value(plain, "moustrap") == value(plain, "chees") == mouse
    assert value(plain, "py") == 0


def test_a_document_is_as_long_as_its_text():
    assert value(document_vector("cat", "a/very/long/path/of/many/parts.py", "A.b", ["c"]), "cat") == pytest.approx(
        value(document_vector("cat", ""), "cat")
    )


def test_what_is_remembered_does_not_change_what_comes_out(monkeypatch: pytest.MonkeyPatch):
    texts = [f"alpha{n} beta_{n} gammaDelta{n % 3} alpha{n // 2}" for n in range(50)]
    before = [document_vector(text, "a.py") for text in texts]
    monkeypatch.setattr(module, "WORDS_KEPT_MAX", 8)
    assert [document_vector(text, "a.py") for text in texts] == before


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)


@given(_TEXTS, _TEXTS, _TEXTS, st.lists(_TEXTS, max_size=3))
def test_vectors_are_well_formed(text: str, path: str, symbol: str, names: list[str]):
    for vector in (document_vector(text, path, symbol, names), query_vector(question_query(text))):
        assert list(vector.indices) == sorted(set(vector.indices))
        assert all(0 <= index < 2**32 for index in vector.indices)
        assert len(vector.values) == len(vector.indices)
        assert all(isfinite(number) and number > 0 for number in vector.values)


@given(st.one_of(_TEXTS, st.text("aB_1é \n.-", max_size=60)))
def test_documents_and_queries_have_the_same_terms(text: str):
    assert set(document_vector(text, "").indices) == {number_of(term) for term in terms(text)}


def test_text_that_is_no_unicode_has_a_vector():
    assert value(document_vector("cat \ud800 dog", ""), "dog") > 0
    assert query_vector({"\ud800": 1.0}).values == (1.0,)


def test_a_question_is_its_content_words():
    asked = question_query("How do I find where the HTTP connections are closed?")
    assert asked == {"http": 1, "connect": 1, "clos": 1}
    assert question_query("What is it?") == {}
    assert question_query("close the close")["clos"] == 2
    assert not QUESTION_WORDS & STOP_WORDS


def test_a_question_may_name_an_identifier():
    assert {"rat", "limit", "ratlimit"} == set(question_query("Where is rate_limit set up?")) - set(terms("set"))


def test_query_vectors():
    vector = query_vector({"cat": 0.5, "dog": 2.0})
    assert values(vector) == {number_of("cat"): 0.5, number_of("dog"): 2.0}
    assert query_vector({}) == Sparse((), ())


def test_a_completion_asks_for_what_is_near():
    query = completion_query(["zebra()", "lion()", "goat()"], "    result = horse.", ["bear()", "wolf()"])
    order = sorted(query, key=query.__getitem__, reverse=True)
    assert set(order[:2]) == {"result", "hors"}
    assert order.index("goat") < order.index("lion") < order.index("zebra")
    assert query["goat"] == query["bear"] > query["wolf"] > 0


def test_a_completion_looks_at_few_lines():
    above = [f"above{letter}x" for letter in "abcdefghijklmnopqrstuvwxyz"]
    query = completion_query(above, "", [f"below{letter}x" for letter in "abcdefghijklmnop"])
    assert len(query) == ABOVE_LINES_MAX + BELOW_LINES_MAX
    assert "abovezx" in query
    assert "aboveax" not in query
    assert "belowpx" not in query
    assert completion_query([], "", []) == {}


def test_a_term_weighs_what_its_nearest_line_gives_it():
    query = completion_query(["cat", "cat", "dog"], "bird", ["mouse", "bird"])
    assert query == {"bird": LINE_WEIGHT, "dog": 1, "mous": 1, "cat": ABOVE_DECAY}


def test_a_whole_identifier_weighs_more_than_its_words():
    query = completion_query(["catDog"], "", [])
    assert query == {"cat": 1, "dog": 1, "catdog": WHOLE_WEIGHT}


@pytest.mark.parametrize(
    ("path", "aside"),
    [
        ("tests/core/test_a.py", True),
        ("src/a_test.go", True),
        ("src/a.spec.ts", True),
        ("package/__tests__/a.js", True),
        ("conftest.py", True),
        ("examples/first.py", True),
        ("src/testing.py", False),
        ("src/latest/a.py", False),
        ("src/contest.py", False),
        ("src/inspect.py", False),
        ("docs/index.md", False),
    ],
)
def test_tests_and_examples_stand_back(path: str, aside: bool):
    assert standing(path, "how is a file opened") == (ASIDE_STANDING if aside else 1)
    assert standing(path, "which tests open a file?") == 1
