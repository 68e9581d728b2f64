"""Error messages without what they repeat of the request."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.quoting import LEFT_OUT, RUN_CHARS_MIN, unquoted

SENT = 'def pay(card):\n    token = "canary-1234567890"\n\treturn charge(card, token)\n'


@pytest.mark.parametrize(
    "message",
    [
        f"invalid input: {SENT}",
        f"invalid input: {json.dumps(SENT)}",
        f"invalid input: {' '.join(SENT.split())}",
        json.dumps([{"loc": ["body", "prompt"], "input": SENT, "msg": "too long"}]),
        f"invalid input: {SENT[10:60]}",
    ],
)
def test_what_is_repeated_is_left_out(message: str) -> None:
    said = unquoted(message, ["something else", SENT])
    assert "canary" not in said
    assert LEFT_OUT in said
    assert "in" in said


def test_what_is_not_stays_as_it_is() -> None:
    message = "the prompt has 9000 tokens, and the context 4096"
    assert unquoted(message, [SENT]) == message
    assert unquoted(message, []) == message
    assert unquoted("", [SENT]) == ""


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_long_run_of_what_was_sent_is_left(before: str, sent: str, after: str) -> None:
    said = "".join(unquoted(before + sent + after, [sent]).split())
    bare = "".join(sent.split())
    for at in range(len(bare) - RUN_CHARS_MIN + 1):
        run = bare[at : at + RUN_CHARS_MIN]
        assert run not in said.replace(LEFT_OUT, "\0")
