"""Fusion of rankings: by rank alone, deterministic, and a half-made dense index counts half."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.fusion import DENSE_WEIGHT, LEXICAL_WEIGHT, K, combined, dense_weight, fused

RANKINGS = st.lists(st.tuples(st.lists(st.integers(0, 20)), st.floats(0, 4)), max_size=4)


@pytest.mark.parametrize(
    ("lexical", "dense", "expected"),
    [
        ("abc", "", "abc"),
        ("", "abc", "abc"),
        ("abc", "abc", "abc"),
        ("ab", "ba", "ba"),  # the dense ranking decides
        ("abc", "xyz", "xyzabc"),
        ("abcd", "xc", "cxabd"),  # what both have comes first
        ("aab", "bb", "ba"),
        ("", "", ""),
    ],
)
def test_the_order(lexical: str, dense: str, expected: str) -> None:
    assert "".join(item for item, _ in fused(lexical, dense)) == expected


def test_the_score_is_the_sum_of_weighted_reciprocal_ranks() -> None:
    assert dict(fused("ab", "b")) == {"b": LEXICAL_WEIGHT / (K + 2) + DENSE_WEIGHT / (K + 1), "a": 1 / (K + 1)}


def test_a_weight_of_nothing_adds_nothing() -> None:
    assert combined([("a", 1.0), ("xyz", 0.0), ("q", -1.0)]) == [("a", 1 / (K + 1))]
    assert fused("abc", "cba", 0.0) == combined([("abc", 1.0)])


@given(RANKINGS)
def test_best_first_and_each_once(rankings: list[tuple[list[int], float]]) -> None:
    whole = combined(rankings)
    assert len({item for item, _ in whole}) == len(whole)
    assert all(a >= b for (_, a), (_, b) in itertools.pairwise(whole))
    assert {item for item, _ in whole} == {item for ranking, weight in rankings if weight > 0 for item in ranking}


@pytest.mark.parametrize(
    ("embedded", "known", "weight"), [(0, 10, 0), (0, 0, 0), (5, 0, 0), (5, 10, 1.0), (10, 10, 2.0), (12, 10, 2.0)]
)
def test_a_half_made_dense_index_counts_half(embedded: int, known: int, weight: float) -> None:
    assert dense_weight(embedded, known) == weight
