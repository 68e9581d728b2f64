"""Known values: every spelling, every place in an encoded run, and what is not taken for one."""

import base64
import json
import random
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.redact import Redactor
from hearth.core.secret_values import COMMON, VALUES_MAX, KnownValues, squeezed, worth_knowing
from hearth.core.secret_views import decoded, escapes_undone, joined

VALUE = 'blue&Kettle/19+"moon'
DATA = VALUE.encode()
LATER = 'value = "{}"\nnext = 1\n'


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        VALUE.upper(),
        json.dumps(VALUE),
        json.dumps(json.dumps(VALUE)),
        urllib.parse.quote(VALUE),
        urllib.parse.quote(VALUE, safe=""),
        urllib.parse.quote(urllib.parse.quote(VALUE, safe="")),
        "".join(f"%{c:02x}" for c in DATA),
        DATA.hex(),
        DATA.hex().upper(),
        DATA.hex(" "),
        ", ".join(f"0x{c:02X}" for c in DATA),
        "".join(f"\\x{c:02x}" for c in DATA),
        "".join(f"\\u{c:04x}" for c in DATA),
        VALUE.replace("&", "&amp;").replace('"', "&quot;"),
        base64.b64encode(DATA).decode(),
        base64.b64encode(b"a" + DATA).decode(),
        base64.b64encode(b"ab" + DATA + b"c").decode(),
        base64.urlsafe_b64encode(b"abc" + DATA).decode().rstrip("="),
        base64.encodebytes(b"user:" * 20 + DATA + b"x" * 60).decode(),
        base64.b64encode(base64.b64encode(DATA)).decode(),
        base64.b64encode(VALUE.encode("utf-16-le")).decode(),
        'blue&Kett" \\\n    "le/19+\\"moon',
        "blue&Kettle'\n  + '/19+\"moon",
        "blue&Ket\\\ntle/19+\"moon",
        "> blue&Ket\n> tle/19+\"moon",
        "# blue&Kettle/1\n# 9+\"moon",
    ],
)  # fmt: skip
def test_every_spelling_is_masked(written: str):
    redactor = Redactor([VALUE])
    out = redactor.redact(LATER.format(written))
    assert len(out.spans) == 1
    squeeze = squeezed(out.text.encode())
    for piece in (squeezed(DATA), squeezed(written.encode())):
        assert piece not in squeeze
    assert "next = 1" in out.text
    assert redactor.restore(out.text) == LATER.format(written)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=9), st.binary(max_size=9), st.booleans())
def test_base64_hides_a_value_at_no_offset(before: bytes, after: bytes, web: bool):
    encode = base64.urlsafe_b64encode if web else base64.b64encode
    written = encode(before + DATA + after).decode()
    out = Redactor([VALUE]).redact(f"x {written} y").text
    assert out == "x <HEARTH_SECRET_1:known-value> y"


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=255), min_size=8, max_size=40), st.text(max_size=8))
def test_any_value_is_masked_as_it_is(value: str, around: str):
    out = Redactor([value]).redact(f"{around} {value} {around}").text
    if worth_knowing(value) and value.strip() not in around:
        assert value.strip() not in out.replace("HEARTH_SECRET", "")


def test_what_is_not_taken():
    assert not any(worth_knowing(word) for word in COMMON)
    assert not any(map(worth_knowing, ("short", "", " " * 20, "aaaaaaaaaaaa", "abababababab", "Password")))
    assert worth_knowing("hunter2hunter2")
    assert len(KnownValues(["short", "localhost", "hunter2hunter2"])) == 1
    assert Redactor(["localhost"]).redact("http://localhost:80").spans == ()


def test_values_are_bounded_and_the_longest_are_kept():
    values = KnownValues([f"value-{number:06d}-x" for number in range(VALUES_MAX + 5)] + ["the-longest-of-them-all-7"])
    assert len(values) == VALUES_MAX
    assert values.find(b"the-longest-of-them-all-7") == [(0, 25)]


def test_words_that_only_meet_across_blanks_are_no_value():
    assert Redactor(["bluemoon"]).redact("a blue moon rises").spans == ()
    for written in ("a bluemoon rises", '"blue"\n  "moon"', "blue\\\nmoon", "Blue+Moon"):
        assert Redactor(["bluemoon"]).redact(written).spans != (), written
    assert Redactor(["blue-moon"]).redact("a blue-moon rises").spans != ()


def test_a_value_of_marks_is_found_as_it_stands():
    value = "!#%&/()=?*+~"
    assert Redactor([value]).redact(f"x {value} y").text == "x <HEARTH_SECRET_1:known-value> y"


def test_marks_at_the_ends_of_a_value_are_masked_with_it():
    assert Redactor(["!!kettle19moon??"]).redact("x !!kettle19moon?? y").text == "x <HEARTH_SECRET_1:known-value> y"


def test_joined_puts_pieces_together_and_knows_their_places():
    data = b'a = 1\nx = (\n    "first"\n    "second"\n)\nb = 2\n'
    view = joined(data)
    at = view.data.index(b"firstsecond")
    assert data[slice(*view.place(at, at + 11))] == b'first"\n    "second'
    assert b"a = 1" not in view.data
    assert joined(b"no joints here\n").data == b""


def test_of_a_long_line_what_is_beside_a_joint_is_read():
    """Minified code is one line, in which some strings are put together."""
    filler = b"var a=1;b(a,2);" * 4_000
    line = filler + b'c.join("x"+"y")' + filler + b'd("."+".")' + filler
    view = joined(line)
    assert len(view.data) < 20_000
    assert b'"xy"' in view.data
    start = view.data.index(b"xy")
    assert line[slice(*view.place(start, start + 2))] == b'x"+"y'


@pytest.mark.parametrize("length", [10, 1_000, 5_000])
def test_a_string_is_put_together_whole_also_in_a_long_line(length: int):
    filler, half = b"var a=1;b(a,2);" * 4_000, b"k" * length
    view = joined(filler + b'token="' + half + b'"+"' + half + b'"' + filler)
    assert b'token="' + half + half + b'"' in view.data


@pytest.mark.parametrize("joint", ["\\\n", "\\\n    ", "^\r\n", "`\n  "])
@pytest.mark.parametrize("cut", [20, 2_700])
def test_a_long_secret_is_followed_over_the_end_of_a_line(cut: int, joint: str):
    body = base64.urlsafe_b64encode(random.Random(7).randbytes(2_500)).decode().rstrip("=")
    token = f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ{body[:3_400]}.{body[-43:]}"
    out = Redactor().redact(f'curl "https://a/{token[:cut]}{joint}{token[cut:]}"\nnext = 1\n').text
    assert token[cut - 15 : cut] not in out
    assert token[cut : cut + 15] not in out
    assert token[-60:-45] not in out
    assert "next = 1" in out


def test_escapes_are_undone_in_place():
    data = b"one\nGET /?q=a%3Db%26c HTTP\ntwo\n"
    view = escapes_undone(data)
    assert view.data == b"GET /?q=a=b&c HTTP"
    assert data[slice(*view.place(9, 10))] == b"%3D"
    assert escapes_undone(b"nothing to undo").data == b""


def test_decoded_is_only_what_is_text():
    text = base64.b64encode(b"a text of some words")
    data = b"x " + text + b" " + bytes(range(1, 40)).hex().encode() + b" some_long_identifier_of_a_program"
    view = decoded(data)
    assert view.data.startswith(b"a text of some words")
    assert data[slice(*view.place(3, 5))] == text
