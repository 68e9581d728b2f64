"""The rules: their number, their keywords, both engines, and what each gate lets through."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.redact import Redactor
from hearth.core.secret_rules import RULES, SHAPES, Rule
from hearth.core.secret_scan import LinearEngine, PlainEngine, Scanner, engine, entropy, judged, scanner
from secrets_corpus import Maker, documented, from_rule, plants

RULES_MIN = 120
UNGATED = [rule for rule in RULES if rule not in SHAPES]


@pytest.fixture(scope="module")
def plain() -> Scanner:
    return Scanner(runs_on=PlainEngine())


def test_there_are_enough_rules_with_names_of_their_own():
    assert len({rule.name for rule in RULES}) == len(RULES) >= RULES_MIN
    assert all(keyword == keyword.lower() and len(keyword) > 1 for rule in RULES for keyword in rule.keywords)


def test_re2_is_what_runs_here():
    assert isinstance(engine(), LinearEngine)


@pytest.mark.parametrize("rule", UNGATED, ids=lambda rule: rule.name)
def test_a_rule_finds_what_it_describes_and_its_keyword_is_in_it(rule: Rule):
    text, secret = from_rule(Maker(7), rule)
    about = rule.keywords[0]
    for found in (text, f"{about} {text}"):
        if any(keyword in found.lower() for keyword in rule.keywords):
            spans = Scanner([rule]).scan(f"x {found}".encode())
            assert any(secret in f"x {found}"[start:end] for _, start, end in spans)
            return
    pytest.fail("no keyword")


@pytest.mark.parametrize("name", documented(Maker(0)))
def test_documented_formats_are_found_by_a_rule_of_their_own(name: str):
    """Not only by the general ones, which look at names of variables."""
    text = documented(Maker(11))[name]()
    assert scanner().scan(f"value {text}\n".encode()) != []


def test_both_engines_find_the_same_in_the_corpus(plain: Scanner):
    for plant in plants()[::7]:
        data = plant.text.encode()
        assert plain.scan(data) == scanner().scan(data), plant.rule


ALPHABET = st.sampled_from(
    [*"aB3_-./:=\"'`<>{}()[]$%&@#!?,; \n\r\t\\é\x00\xff", "password", "token=", "sk-", "eyJ", "://"]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ALPHABET, max_size=80).map("".join))
def test_both_engines_find_the_same_in_anything(text: str):
    data = text.encode("latin-1", "ignore")
    assert _PLAIN.scan(data) == scanner().scan(data)


_PLAIN = Scanner(runs_on=PlainEngine())


def test_keywords_decide_which_rules_run(plain: Scanner):
    data = b"nothing to see here, GHP_ aside"
    names = [rule.name for rule in scanner().candidates(data)]
    assert names == [rule.name for rule in plain.candidates(data)] == ["github-token"]
    assert scanner().candidates(b"") == []


GENERIC = next(rule for rule in RULES if rule.name == "generic-secret")
PASSWORD = next(rule for rule in RULES if rule.name == "password")
URL = next(rule for rule in RULES if rule.name == "url-password")


@pytest.mark.parametrize(
    ("rule", "value", "kept"),
    [
        (GENERIC, "f3a9c17be2d84650", 16),
        (GENERIC, 'f3a9c17be2d84650",', 16),
        (GENERIC, "f3a9c17be2d84650\\n", 16),
        (GENERIC, "aaaaaaaaaaaaaaaaaaaa1", 0),
        (GENERIC, "get_token_value2", 0),
        (GENERIC, "request.user2.token", 0),
        (GENERIC, "src/token2/reader.py", 0),
        (GENERIC, "your_api_key_1234abcd", 0),
        (GENERIC, "1234567890123", 0),
        (PASSWORD, "hunter2hunter2", 14),
        (PASSWORD, "Summer2024", 10),
        (PASSWORD, "s3cr3t!Pa", 9),
        (PASSWORD, "new_password2", 0),
        (PASSWORD, "PasswordInput", 0),
        (PASSWORD, "get_password(user2)", 0),
        (URL, "s3cr3t", 6),
        (URL, "password", 0),
        (URL, "${DB_PASSWORD}", 0),
    ],
)
def test_gates(rule: Rule, value: str, kept: int):
    assert judged(rule, value.encode()) == kept


def test_entropy_is_shannons():
    assert entropy("") == 0
    assert entropy("aaaa") == 0
    assert entropy("abab") == pytest.approx(1.0)
    assert entropy("abcd") == pytest.approx(2.0)


HOSTILE = (
    "password = ", "token=", "_auth=", "eyJhbGciOi", "eyJaaaaaaaaaaaaaaaaaa.", '"\n"', "token: '", "a://b:", "A" * 50,
    "-----BEGIN PRIVATE KEY-----\n", "ghp_" + "a" * 36, "%41", "\\x41", "sk-", "&amp;", "bearer ", "<", "xox",
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_repetition_comes_to_an_end(piece: str, plain: Scanner):
    """An engine or a loop that goes over the text again and again would not."""
    text = piece * (100_000 // len(piece))
    redactor = Redactor(["kettle-moon-river"])
    assert redactor.restore(redactor.redact(text).text) == text
    data = text[:20_000].encode()
    assert plain.scan(data) == scanner().scan(data)


def test_a_long_value_is_masked_to_its_end():
    value = Maker(9).key("abcdefghijklmnop0123456789", 3_000)
    assert Redactor().redact(f'token = "{value}"\n').text == 'token = "<HEARTH_SECRET_1:generic-secret>"\n'


def test_the_makers_random_text_is_repeatable():
    assert Maker(3).uuid() == Maker(3).uuid() != Maker(4).uuid()
    assert random.Random(1).random() == random.Random(1).random()
