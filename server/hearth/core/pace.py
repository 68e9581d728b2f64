"""How fast a server reads and writes, from what it was seen to do. Pure: the caller brings the clock."""

from dataclasses import dataclass

PREFILL_TOKENS_MIN = 64
"""Shorter prompts tell more of the network than of the model."""
DECODE_TOKENS_MIN = 8
"""So do shorter answers."""


@dataclass(slots=True)
class Pace:
    """Tokens per second, None until there was enough to measure; later figures count as much as all before."""

    prefill_tokens_per_s: float | None = None
    decode_tokens_per_s: float | None = None

    def read(self, tokens: int, spent_s: float) -> None:
        """The server took this long to read so many tokens."""
        if tokens >= PREFILL_TOKENS_MIN and spent_s > 0:
            self.prefill_tokens_per_s = _mean(self.prefill_tokens_per_s, tokens / spent_s)

    def wrote(self, tokens: int, spent_s: float) -> None:
        """The server took this long to write so many tokens, after the first."""
        if tokens >= DECODE_TOKENS_MIN and spent_s > 0:
            self.decode_tokens_per_s = _mean(self.decode_tokens_per_s, tokens / spent_s)

    def lines_in(self, span_s: float, least: int, most: int, tokens_per_line: int = 12) -> int:
        """How many lines the server writes in `span_s`, between `least` and `most`; `least` while nothing is known."""
        if self.decode_tokens_per_s is None:
            return least
        return max(least, min(most, int(self.decode_tokens_per_s * span_s / tokens_per_line)))


def _mean(known: float | None, new: float) -> float:
    return new if known is None else (known + new) / 2
