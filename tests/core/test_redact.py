"""Redaction as a whole: the planted corpus, stable placeholders, what comes back, and properties of any text."""

import base64
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.redact import Redacted, Redactor, Span
from hearth.core.secret_values import KnownValues
from secrets_corpus import PLANTS, known_values, plants

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
OTHER = "glpat-" + "Zx9Yw8Vu7Ts6Rq5Po4Nm"
KNOWN = "correct&horse/Battery:staple"
PATTERN_SHARE_MIN = 0.98


def redacted(text: str, *known: str) -> str:
    return Redactor(known).redact(text).text


@pytest.fixture(scope="module")
def corpus_values() -> KnownValues:
    return KnownValues(known_values())


def test_the_planted_corpus(corpus_values: KnownValues):
    """No known value leaves, and hardly a pattern; masking twice changes nothing; all of it can be put back."""
    assert len(plants()) == PLANTS
    missed: Counter[str] = Counter()
    known = patterns = 0
    for plant in plants():
        redactor = Redactor(corpus_values)
        out = redactor.redact(plant.text)
        known += bool(plant.known)
        patterns += not plant.known
        if plant.leaks(out.text):
            missed["known" if plant.known else plant.rule] += 1
        assert redactor.restore(out.text) == plant.text
        assert redactor.redact(out.text) == Redacted(out.text, ())
        assert Redactor(corpus_values).redact(out.text).text == out.text
    assert known >= 300
    assert missed["known"] == 0
    assert missed.total() <= (1 - PATTERN_SHARE_MIN) * patterns, missed


def test_the_corpus_can_fail():
    """Without rules and values, every plant leaks."""
    assert all(plant.leaks(plant.text) for plant in plants() if plant.pieces)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"x = {TOKEN!r}\n", "x = '<HEARTH_SECRET_1:github-token>'\n"),
        (f"{TOKEN} {OTHER} {TOKEN}", "<HEARTH_SECRET_1:github-token> <HEARTH_SECRET_2:gitlab-token> "
         "<HEARTH_SECRET_1:github-token>"),
        ("password: hunter2hunter2\n", "password: <HEARTH_SECRET_1:password>\n"),
        ("postgres://app:s3cr3tPw@db/x", "postgres://app:<HEARTH_SECRET_1:url-password>@db/x"),
        ("héé = 'é' # " + TOKEN + " é", "héé = 'é' # <HEARTH_SECRET_1:github-token> é"),
        ("𝕏 " + TOKEN, "𝕏 <HEARTH_SECRET_1:github-token>"),
    ],
)  # fmt: skip
def test_what_is_masked(text: str, masked: str):
    assert redacted(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        'password = os.environ["DB_PASSWORD"]\n',
        "password = settings.DATABASE_PASSWORD2\n",
        'password = "<your password>"\n',
        'API_KEY = "${API_KEY_2024}"\n',
        "token = parser.next_token2(line10, column20)\n",
        "self.token_type = TokenType.IDENTIFIER2\n",
        'form = PasswordChangeForm(user2, {"new_password2": value})\n',
        "def check_password(password, encoded, setter=None, preferred='default'):\n",
        "url = 'https://user:password@example.com/'\n",
        'secret_key: str = Field(description="The secret key of version 2")\n',
        "SECRET_NAMES = ('password1', 'password2')\n",
        "key = 'abcdefghijklmnopqrstuvwxyz0123456789'\n",
        "hash = 'da39a3ee5e6b4b0d3255bfef95601890afd80709'\n",
        "id = '3f2504e0-4f89-11d3-9a0c-0305e82c3301'\n",
        "import { tokenizer2Factory } from './token2/factory3'\n",
    ],
)
def test_what_is_no_secret(text: str):
    assert Redactor().redact(text) == Redacted(text, ())


def test_spans_say_where_and_why():
    text = f"é {TOKEN}\npassword='{KNOWN}'"
    spans = Redactor([KNOWN]).redact(text).spans
    assert [(span.rule, text[span.start : span.end]) for span in spans] == [
        ("github-token", TOKEN),
        ("known-value", KNOWN),
    ]
    assert isinstance(spans[0], Span)


def test_placeholders_are_stable_within_a_conversation():
    redactor = Redactor([KNOWN])
    first = redactor.redact(f"a {TOKEN} b {KNOWN}").text
    second = redactor.redact(f"c {KNOWN} d {OTHER} e {TOKEN}").text
    assert first == "a <HEARTH_SECRET_1:github-token> b <HEARTH_SECRET_2:known-value>"
    assert second == (
        "c <HEARTH_SECRET_2:known-value> d <HEARTH_SECRET_3:gitlab-token> e <HEARTH_SECRET_1:github-token>"
    )
    assert redactor.restore(second) == f"c {KNOWN} d {OTHER} e {TOKEN}"


def test_a_number_that_the_text_already_shows_is_not_given():
    redactor = Redactor()
    text = f"<HEARTH_SECRET_1:github-token> hearth_secret_2 {TOKEN}"
    out = redactor.redact(text).text
    assert out == "<HEARTH_SECRET_1:github-token> hearth_secret_2 <HEARTH_SECRET_3:github-token>"
    assert redactor.restore(out) == text


def test_a_placeholder_of_an_unknown_kind_hides_nothing():
    out = redacted(f"<HEARTH_SECRET_7:{'hunter2hunter2'}> password=<HEARTH_SECRET_8:x1>{TOKEN}")
    assert TOKEN not in out


def test_a_secret_around_a_placeholder_is_masked_too():
    redactor = Redactor()
    masked = redactor.redact(TOKEN).text
    out = redactor.redact(f'password = "{masked}Xy7Zq9Lm2Kp4"').text
    assert masked in out
    assert "Xy7Zq9Lm2Kp4" not in out
    assert redactor.restore(out) == f'password = "{TOKEN}Xy7Zq9Lm2Kp4"'


@pytest.mark.parametrize(
    "written",
    [
        "<HEARTH_SECRET_1:github-token>",
        "<hearth_secret_1:github-token>",
        "<Hearth_Secret_1>",
        "< HEARTH_SECRET_1 : github-token >",
        r"<HEARTH\_SECRET\_1:github-token>",
        "&lt;HEARTH_SECRET_1:github-token&gt;",
        "<HEARTH_SECRET_1:password>",
    ],
)
def test_what_a_model_makes_of_a_placeholder_is_restored(written: str):
    redactor = Redactor()
    redactor.redact(TOKEN)
    assert redactor.restore(f"a {written} b") == f"a {TOKEN} b"


@pytest.mark.parametrize(
    "written", ["<HEARTH_SECRET_2:github-token>", "<HEARTH_SECRET_>", "HEARTH_SECRET_1", "<HEARTH"]
)
def test_what_is_no_placeholder_of_ours_stays(written: str):
    redactor = Redactor()
    redactor.redact(TOKEN)
    assert redactor.restore(written) == written


PARTS = st.sampled_from(
    ["<HEARTH_SECRET_1:github-token>", "<hearth_secret_2>", "&lt;HEARTH_SECRET_1&gt;", "<", "&", "&lt;", "&l", "a < b",
     "<HEARTH_SECRET_9:x>", "HEARTH_SECRET_1", "<HEARTH_SEC", "\n", "text ", ">", r"<HEARTH\_SECRET\_1>", "<<", "é"]
)  # fmt: skip


@given(st.lists(PARTS, max_size=12).map("".join), st.data())
def test_the_streaming_restorer_equals_the_whole_however_it_is_cut(text: str, data: st.DataObject):
    redactor = Redactor([KNOWN])
    redactor.redact(f"{TOKEN} {KNOWN}")
    restorer = redactor.restorer()
    shown: list[str] = []
    at = 0
    while at < len(text):
        size = data.draw(st.integers(1, 9))
        shown.append(restorer.feed(text[at : at + size]))
        at += size
    assert "".join([*shown, restorer.finish()]) == redactor.restore(text)


def test_the_restorer_holds_back_no_more_than_it_must():
    redactor = Redactor()
    redactor.redact(TOKEN)
    restorer = redactor.restorer()
    assert restorer.feed("a <b> c < d <HEAR") == "a <b> c < d "
    assert restorer.feed("TH_SECRET_1:github-token") == ""
    assert restorer.feed("> e") == f"{TOKEN} e"
    assert restorer.feed("<HEARTHSTONE") == "<HEARTHSTONE"
    assert restorer.finish() == ""


PIECES = st.sampled_from(
    [TOKEN, OTHER, KNOWN, "password = ", "'", '"', "\n", "token: ", "hunter2hunter2", " ", "é", "𝕏", "https://u:",
     "@h/", "<HEARTH_SECRET_1:github-token>", "<HEARTH_SECRET_3:nothing>", "-----BEGIN PRIVATE KEY-----", "Bearer ",
     "%3D", "\\n", "AKIA", "Q3J9X7Z2M5N6P4R7", base64.b64encode(KNOWN.encode()).decode(), TOKEN.encode().hex(), "+",
     "\\", "<", ">", json.dumps({"password": "x9Y8z7W6v5"}), "\ud800", "\x7f"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=10).map("".join))
def test_masking_twice_changes_nothing_and_all_comes_back(text: str):
    values = KnownValues([KNOWN])
    redactor = Redactor(values)
    out = redactor.redact(text)
    assert redactor.redact(out.text) == Redacted(out.text, ())
    assert Redactor(values).redact(out.text).text == out.text
    assert TOKEN not in out.text
    assert KNOWN not in out.text
    assert [span.start for span in out.spans] == sorted(span.start for span in out.spans)
    assert all(0 <= span.start < span.end <= len(text) for span in out.spans)
    if "HEARTH_SECRET" not in text:
        assert redactor.restore(out.text) == text


def test_nothing_shows_a_secret():
    redactor = Redactor([KNOWN])
    redactor.redact(f"{TOKEN} {KNOWN}")
    restorer = redactor.restorer()
    restorer.feed("<HEARTH")
    shown = f"{redactor!r} {redactor} {KnownValues([KNOWN])!r} {restorer!r}"
    assert TOKEN not in shown
    assert KNOWN not in shown
    assert shown.startswith("Redactor(2 secrets)")
