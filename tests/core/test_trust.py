"""Which kinds of suggestions are held back, learnt from what the user takes."""

from typing import Any

import pytest

from hearth.core.trust import KINDS_MAX, MEMORY_SHOWN, RETRY_EVERY, SHOWN_MIN, Trust


def experienced(shown: int, taken: int) -> tuple[Trust, str]:
    trust = Trust()
    kind = trust.kind("python", 0.5)
    for number in range(shown):
        trust.shown(kind)
        if number < taken:
            trust.taken(kind)
    return trust, kind


def test_nothing_is_held_back_before_there_is_experience() -> None:
    trust, kind = experienced(SHOWN_MIN - 1, 0)
    assert all(trust.worth_showing(kind) for _ in range(50))


def test_a_kind_that_is_never_taken_is_shown_now_and_then() -> None:
    trust, kind = experienced(SHOWN_MIN, 0)
    assert [trust.worth_showing(kind) for _ in range(RETRY_EVERY * 2)].count(True) == 2
    assert trust.worth_showing(trust.kind("python", 1.0))
    assert trust.worth_showing(trust.kind("go", 0.5))


def test_it_wins_back_its_place() -> None:
    trust, kind = experienced(SHOWN_MIN, 0)
    trust.taken(kind)
    trust.taken(kind)
    assert all(trust.worth_showing(kind) for _ in range(50))


def test_older_experience_fades_and_everything_is_bounded() -> None:
    trust, kind = experienced(MEMORY_SHOWN * 3, 3)
    assert trust.record()[kind][0] < MEMORY_SHOWN
    for number in range(KINDS_MAX * 2):
        trust.shown(f"language{number} 0")
    assert len(trust.record()) <= KINDS_MAX


def test_it_is_kept() -> None:
    trust, kind = experienced(SHOWN_MIN, 0)
    again = Trust(trust.record())
    assert again.record() == trust.record()
    assert not again.worth_showing(kind)


@pytest.mark.parametrize("raw", [{"a": 1}, {"a": [1]}, {"a": ["x", 2]}, {"a": [-1, 2]}, {"a": [1, 10**9]}, {"a": None}])
def test_a_damaged_record_is_passed_over(raw: dict[str, Any]) -> None:
    assert Trust(raw).record() == {}
