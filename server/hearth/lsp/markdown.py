"""The little Markdown that Hearth's own pages are written in."""

import re
from collections.abc import Iterable, Sequence

_TICKS = re.compile(r"`+")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


def fenced(text: str, language: str = "") -> str:
    """A block that shows `text` as it is, whatever is in it."""
    longest = max((len(found[0]) for found in _TICKS.finditer(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}"


def plain(text: str) -> str:
    """Words that are no Markdown, whatever is in them, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def tabled(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """A table; cells are Markdown already. `right`: the columns of numbers."""
    numbers = set(right)
    rule = ["---:" if at in numbers else "---" for at in range(len(head))]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
