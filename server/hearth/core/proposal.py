"""What the user is shown before anything leaves: what, to whom, at what price, and what was masked."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from hearth.core.approval import Request
from hearth.core.budget import money
from hearth.core.origin import Origin, sources

SHOWN_MAX = 6
"""Sources named in the question; the exact page names them all."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """`bound`: what a consent will cover. `model`: the first to be asked, `behind`: those after it, should it fail.
    `origins`: of everything in it. `masked`: the rule of each secret that was masked. `size`: bytes. `tokens`: about
    how many. `forecast`: about what it costs, `most`: the most it can, in USD. `left`: of today's budget. `retention`:
    what is asked of the providers. `reason`: why it does not stay here. `exact`: the messages, as they will be sent."""

    bound: Request
    host: str
    model: str
    behind: tuple[str, ...]
    origins: tuple[Origin, ...]
    masked: tuple[str, ...]
    size: int
    tokens: int
    forecast: Decimal
    most: Decimal
    left: Decimal
    retention: str
    reason: str
    exact: str


def what(origins: Iterable[Origin]) -> list[str]:
    """What a text is from, one line each, files first; Hearth's own words are left out."""
    found = [origin for origin in sources(origins) if origin.kind != "product"]
    found.sort(key=lambda origin: (not origin.path, origin.kind != "user"))
    return list(dict.fromkeys(origin.label for origin in found))


def masks(rules: Iterable[str]) -> str:
    """`2 secrets (known-value, github-pat)`; "" for none."""
    counted = Counter(rules)
    total = sum(counted.values())
    if not total:
        return ""
    return f"{total} secret{'s' if total > 1 else ''} ({', '.join(sorted(counted))})"


def price(proposal: Proposal) -> str:
    """In words: free, or about how much and at most how much."""
    if not proposal.most:
        return "free"
    return f"about {money(proposal.forecast)}, at most {money(proposal.most)}"
