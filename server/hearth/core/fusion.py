"""One ranking out of several, by reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009).

Scores of different searches cannot be compared, ranks can: an item gets weight / (K + rank) from each ranking that has
it. Measured on natural questions about code, a dense ranking is worth twice a lexical one.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

K = 60
"""How little the first ranks matter more than the next ones; the customary figure."""
LEXICAL_WEIGHT = 1.0
DENSE_WEIGHT = 2.0

Item = TypeVar("Item", bound=Hashable)


def fused(lexical: Sequence[Item], dense: Sequence[Item], weight: float = DENSE_WEIGHT) -> list[tuple[Item, float]]:
    """A lexical and a dense ranking of the same things as one; `weight`: of the dense one, see `dense_weight`."""
    return combined([(lexical, LEXICAL_WEIGHT), (dense, weight)])


def combined(rankings: Iterable[tuple[Sequence[Item], float]]) -> list[tuple[Item, float]]:
    """All items of (ranking, its weight), best first, with their scores (0 to the sum of weights / K).

    A ranking lists items best first; one that is there twice counts where it is first. Items of equal score keep the
    order in which they were first met, so the result does not depend on hashing.
    """
    scores: dict[Item, float] = {}
    for ranking, weight in rankings:
        if weight <= 0:
            continue
        for rank, item in enumerate(dict.fromkeys(ranking), 1):
            scores[item] = scores.get(item, 0.0) + weight / (K + rank)
    return sorted(scores.items(), key=lambda pair: -pair[1])


def dense_weight(embedded: int, known: int) -> float:
    """What a dense ranking over `embedded` of `known` chunks is worth: while few are embedded it is mostly chance."""
    return DENSE_WEIGHT * min(1.0, embedded / known) if known > 0 and embedded > 0 else 0.0
