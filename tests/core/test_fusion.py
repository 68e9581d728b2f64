"""Fusion of rankings: by rank alone, deterministic, and a half-made dense index counts half."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.fusion import DENSE_WEIGHT, LEXICAL_WEIGHT, K, dense_weight, fused

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
    ranked = fused([(lexical, LEXICAL_WEIGHT), (dense, DENSE_WEIGHT)], 10)
    assert "".join(item for item, _ in ranked) == expected


def test_the_score_is_the_sum_of_weighted_reciprocal_ranks() -> None:
    assert dict(fused([("ab", 1.0), ("b", 2.0)], 5)) == {"b": 1 / (K + 2) + 2 / (K + 1), "a": 1 / (K + 1)}


def test_a_weight_of_nothing_adds_nothing() -> None:
    assert fused([("a", 1.0), ("xyz", 0.0), ("q", -1.0)], 5) == [("a", 1 / (K + 1))]
    assert fused([("abc", 1.0)], 2) == fused([("ab", 1.0)], 5)
    assert fused([("abc", 1.0)], 0) == fused([("abc", 1.0)], -1) == []


@given(RANKINGS, st.integers(0, 30))
def test_best_first_each_once_and_a_smaller_limit_is_a_prefix(rankings: list[tuple[list[int], float]], n: int) -> None:
    whole = fused(rankings, 1_000)
    assert len({item for item, _ in whole}) == len(whole)
    assert all(a >= b for (_, a), (_, b) in itertools.pairwise(whole))
    assert fused(rankings, n) == whole[:n]
    assert {item for item, _ in whole} == {item for ranking, weight in rankings if weight > 0 for item in ranking}


@pytest.mark.parametrize(
    ("embedded", "known", "weight"), [(0, 10, 0), (0, 0, 0), (5, 0, 0), (5, 10, 1.0), (10, 10, 2.0), (12, 10, 2.0)]
)
def test_a_half_made_dense_index_counts_half(embedded: int, known: int, weight: float) -> None:
    assert dense_weight(embedded, known) == weight
