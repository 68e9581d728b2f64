"""How sure a model was of each line it wrote, from the probabilities of its tokens: is that worth showing unasked?

Two things tell that a line is probably wrong. The mean probability of its tokens is low where the model gropes
throughout; it is the measure that goes best with a completed line's being right among those that need one pass only
(Spiess et al., "Calibration and Correctness of Language Models for Code", 2024). But it hides the one place where a
line went astray: after a wrong name the rest follows with certainty. The least probable token bounds the probability
that the whole line is right. Their geometric mean falls with either, and unlike a product of all tokens it does not
fall with a line's length.

Models of code are not well calibrated, mostly too sure, so the limit is low: only what is hopeless is held back.
"""

import math
from collections.abc import Sequence

SURE_MIN = 0.2
"""A line with less is not shown unasked. One choice among equals gets there with a probability of about 1 in 20, a
line that is unsure throughout with 1 in 5."""
UNSURE = "the model was unsure"


class Said:
    """What a model has said, with the natural logarithms of its tokens' probabilities where the server gives them."""

    def __init__(self) -> None:
        self._text = ""
        self._pieces: list[tuple[int, int, tuple[float, ...]]] = []  # from, to, of the tokens between

    @property
    def known(self) -> bool:
        """Whether there is anything to judge by."""
        return bool(self._pieces)

    def add(self, text: str, logprobs: tuple[float, ...]) -> None:
        """The next piece of the stream."""
        start = len(self._text)
        self._text += text
        if logprobs:
            self._pieces.append((start, len(self._text), logprobs))

    def judged(self, suggestion: str) -> tuple[str, float]:
        """(what of it is sure enough, how sure its first line is, 0 to 1). A later line that is doubtful is cut off
        with all that follows; the first one stays, for whoever asked for it. 1 where nothing is known.

        `suggestion` was trimmed, indented anew, and may lack parts of what was said: its lines are looked for in order.
        """
        lines = suggestion.split("\n")
        first: float | None = None
        at = 0
        for number, line in enumerate(lines):
            if not (wanted := line.strip()):
                continue
            found = self._text.find(wanted, at)
            sure = 1.0
            if found >= 0:
                at = found + len(wanted)
                sure = sureness(self._between(found, at))
            if first is None:
                first = sure
            elif sure < SURE_MIN:
                return "\n".join(lines[:number]).rstrip(), first
        return suggestion, 1.0 if first is None else first

    def _between(self, start: int, end: int) -> list[float]:
        return [value for begin, stop, values in self._pieces if begin < end and stop > start for value in values]


def sureness(logprobs: Sequence[float]) -> float:
    """How sure a model was of some tokens, 0 to 1; see the module docstring. 1 for none."""
    if not logprobs:
        return 1.0
    mean = math.fsum(map(math.exp, logprobs)) / len(logprobs)
    return math.sqrt(mean * math.exp(min(logprobs)))
