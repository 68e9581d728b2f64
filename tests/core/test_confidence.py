"""How sure a model was of its lines."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.confidence import SURE_MIN, Said, sureness


def said(*pieces: tuple[str, float | None]) -> Said:
    """A model's text, each piece with the probability of its token (None: not told)."""
    result = Said()
    for text, probability in pieces:
        result.add(text, () if probability is None else (math.log(probability),))
    return result


@pytest.mark.parametrize(
    ("probabilities", "sure"),
    [
        ((), 1.0),
        ((1.0, 1.0), 1.0),
        ((0.5,), 0.5),
        ((0.1,) * 20, 0.1),  # length alone makes nothing unsure
        ((0.7,) * 20, 0.7),
        ((0.04, 1.0, 1.0), math.sqrt(0.68 * 0.04)),  # one wild guess, and all that follows from it
        ((0.0625, 1.0, 1.0, 1.0, 1.0), math.sqrt(0.8125 * 0.0625)),
    ],
)
def test_the_mean_and_the_least_probable_token_count(probabilities: tuple[float, ...], sure: float) -> None:
    assert sureness([math.log(p) for p in probabilities]) == pytest.approx(sure)


def test_only_what_is_hopeless_is_doubted() -> None:
    assert sureness([math.log(0.03), *[0.0] * 4]) < SURE_MIN < sureness([math.log(0.1), *[0.0] * 4])
    assert sureness([math.log(0.15)] * 9) < SURE_MIN < sureness([math.log(0.25)] * 9)


CASES = [
    # What was said, the suggestion made of it, what is sure enough of that, and how sure the first line is.
    ([("a", 0.5), (" = 1", 0.5)], "a = 1", "a = 1", 0.5),
    ([("a = 1\n", 0.5), ("b = 2", 0.05)], "a = 1\nb = 2", "a = 1", 0.5),
    ([("a\n", 0.9), ("b\n", 0.9), ("c\n", 0.1), ("d", 0.9)], "a\nb\nc\nd", "a\nb", 0.9),
    ([("a\n", 0.1), ("b", 0.9)], "a\nb", "a\nb", 0.1),  # the first line stays, for whoever asked for it
    ([("\n", 0.01), ("    b", 0.8)], "\n    b", "\n    b", 0.8),  # not the line break, but the line
    ([("\n  b\n", 0.8), ("  c", 0.1)], "\n  b\n  c", "\n  b", 0.8),
    ([("Sure:\n```\n", 0.1), ("x = 1", 0.6), ("\n```\nDone", 0.1)], "x = 1", "x = 1", 0.6),  # unwrapped
    ([("if a:\r\n", 0.7), ("  b()\r\n", 0.1)], "if a:\n    b()", "if a:", 0.7),  # CRLF, indented anew
    ([("x = ", 0.1), ("f(1)", 0.9), (");", 0.05)], "f(1)", "f(1)", 0.9),  # what was cut off does not count
    ([("a = 1\n", 0.9), ("b = 2", 0.9)], "a = 1\nz = 3", "a = 1\nz = 3", 0.9),  # not what was said: nothing known
    ([("a", None), ("b", None)], "ab", "ab", 1.0),
    ([("a\n", 0.6), ("b", None)], "a\nb", "a\nb", 0.6),
    ([("a", 0.6)], "", "", 1.0),
    ([("x\n", 0.9), ("x\n", 0.1)], "x\nx", "x", 0.9),  # the same line twice is not the same place
]


@pytest.mark.parametrize(("pieces", "suggestion", "kept", "sure"), CASES)
def test_lines(pieces: list[tuple[str, float | None]], suggestion: str, kept: str, sure: float) -> None:
    text, first = said(*pieces).judged(suggestion)
    assert (text, first) == (kept, pytest.approx(sure))


def test_nothing_is_known_of_a_server_that_does_not_tell() -> None:
    assert not said(("a", None)).known
    assert said(("a", None), ("b", 0.5)).known


@given(st.lists(st.tuples(st.text("ab \n", min_size=1, max_size=4), st.floats(0.001, 1.0)), max_size=12))
def test_what_is_sure_is_a_beginning_and_stays_when_more_comes(pieces: list[tuple[str, float]]) -> None:
    """Lines that were shown early never vanish for what comes later."""
    whole = said(*pieces)
    text = "".join(piece for piece, _ in pieces)
    kept, sure = whole.judged(text)
    assert text.startswith(kept)
    assert 0 < sure <= 1
    for count in range(len(pieces)):
        part = said(*pieces[:count])
        so_far = "".join(piece for piece, _ in pieces[:count])
        lines = so_far.rpartition("\n")[0]  # those that are whole
        early, _ = part.judged(lines)
        if early.strip():
            assert kept.startswith(early.rstrip())
