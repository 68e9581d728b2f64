"""What the user makes of suggestions, and which kinds are therefore not worth showing. On this device only, and pure.

Suggestions are told apart by language and by how sure the last check was of them. Of a kind that was shown often and
hardly ever taken, only one in RETRY_EVERY is shown from then on, so that it can win back its place.
"""

from collections.abc import Mapping
from typing import Any, cast

SHOWN_MIN = 40
TAKEN_SHARE_MIN = 0.04
RETRY_EVERY = 10
MEMORY_SHOWN = 200
"""Older experience fades: counts are halved when a kind was shown so often."""
KINDS_MAX = 200
STEPS = (0.6, 0.9)


class Trust:
    """Counts of shown and taken suggestions by kind."""

    def __init__(self, record: Mapping[str, Any] | None = None) -> None:
        self._counts: dict[str, list[int]] = {}
        self._held = 0
        for kind, counts in (record or {}).items():
            if isinstance(counts, list) and len(self._counts) < KINDS_MAX:
                numbers = [n for n in cast(list[Any], counts) if type(n) is int and 0 <= n <= MEMORY_SHOWN]
                if len(numbers) == 2:
                    self._counts[kind] = numbers

    def kind(self, language: str, confidence: float) -> str:
        """The kind of a suggestion."""
        return f"{language} {sum(confidence >= step for step in STEPS)}"

    def worth_showing(self, kind: str) -> bool:
        """Whether to show a suggestion of this kind; now and then also of one that is never taken."""
        shown, taken = self._counts.get(kind, (0, 0))
        if shown < SHOWN_MIN or taken >= shown * TAKEN_SHARE_MIN:
            return True
        self._held += 1
        return self._held % RETRY_EVERY == 0

    def shown(self, kind: str) -> None:
        """A new suggestion of this kind was shown."""
        counts = self._counts.setdefault(kind, [0, 0])
        counts[0] += 1
        if counts[0] >= MEMORY_SHOWN:
            counts[:] = [counts[0] // 2, counts[1] // 2]
        if len(self._counts) > KINDS_MAX:
            del self._counts[next(iter(self._counts))]

    def taken(self, kind: str) -> None:
        """One of this kind was accepted."""
        counts = self._counts.setdefault(kind, [1, 0])
        counts[1] = min(counts[0], counts[1] + 1)

    def record(self) -> dict[str, Any]:
        """What to keep for the next start."""
        return {kind: list(counts) for kind, counts in self._counts.items()}
