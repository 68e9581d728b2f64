"""What is given to an embedding model, and what becomes of its vectors."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.embedtext import DIGITS, HEAD_CHARS_MAX, QUESTION_CHARS_MAX, chunk_text, question_text, unit


@pytest.mark.parametrize(
    ("model", "chunk", "question"),
    [
        ("nomic-embed-text", "search_document: a.py\nf\nx = 1", "search_query: how is x set?"),
        ("nomic-embed-text-v1.5.Q8_0.gguf", "search_document: a.py\nf\nx = 1", "search_query: how is x set?"),
        ("intfloat/multilingual-e5-large", "passage: a.py\nf\nx = 1", "query: how is x set?"),
        ("bge-m3:567m", "a.py\nf\nx = 1", "how is x set?"),
        ("BAAI/bge-small-en-v1.5", "a.py\nf\nx = 1", ...),
        ("something-else", "a.py\nf\nx = 1", "how is x set?"),
        ("", "a.py\nf\nx = 1", "how is x set?"),
    ],
)
def test_some_models_want_words_before_the_text(model: str, chunk: str, question: object) -> None:
    assert chunk_text(model, "a.py", "f", "x = 1", 1_000) == chunk
    asked = question_text(model, "  how is\n x set? ")
    assert asked.endswith("how is x set?")
    assert question is ... or asked == question


def test_texts_have_limits_and_are_never_blank() -> None:
    assert len(chunk_text("nomic-embed-text", "a" * 9_999, "f", "x" * 9_999, 700)) == 700
    assert chunk_text("m", "a" * 9_999, "", "text", 9_999) == "a" * HEAD_CHARS_MAX + "\ntext"
    assert chunk_text("m", "a.py", "", "  ", 9_999).strip()
    assert len(question_text("m", "why " * 9_999)) <= QUESTION_CHARS_MAX


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=40))
def test_vectors_get_the_length_one(vector: list[float]) -> None:
    made = unit(vector)
    if not any(vector):
        assert made is None
    else:
        assert made is not None
        assert math.sqrt(math.fsum(n * n for n in made)) == pytest.approx(1, abs=len(vector) * 10**-DIGITS)
        assert all(a * b >= 0 for a, b in zip(vector, made, strict=True))


@pytest.mark.parametrize("vector", [[], [0.0, 0.0], [math.inf, 1.0]])
def test_a_vector_that_points_nowhere_is_none(vector: list[float]) -> None:
    assert unit(vector) is None
