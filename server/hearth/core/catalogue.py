"""The models of a cloud, as its models endpoint describes them: what they take, what they cost, what must be asked for.

Prices are USD per token, as Decimal. One that is missing, negative (a router's: "it depends") or no number is not
known, and what is not known is never sent to: `forecast` gives None. A forecast is the most that a request can cost, as
long as it carries the limits of `options`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hearth.core.jsonlike import items, number, table, text, whole
from hearth.core.quota import DAY_S, LIMIT_MAX, KeyStatus

ENTRIES_MAX = 5_000
ID_CHARS_MAX = 200
PARAMETERS_MAX = 100
PRICE_CHARS_MAX = 32
PRICE_MAX = Decimal(1)
PRICE_MIN = Decimal("1e-15")
"""A price between nothing and this is none: the arithmetic would lose it."""
CONTEXT_TOKENS_MAX = 100_000_000
SESSION_CHARS_MAX = 256
PER_MILLION = Decimal(1_000_000)
FREE_ROUTER = "openrouter/free"
FREE_ENDING = ":free"
ZERO = Decimal(0)

_PRICE = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_BREAKPOINTS = {"anthropic/": 4, "qwen/": 4, "google/gemini": 1}
"""Where a prefix is kept only if the request marks it: how many marks may be set. Elsewhere it is kept unasked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model. `context_tokens` is what prompt and answer may have together, by the provider's own word where that is
    less; 0 where nobody says. `output_tokens_max`: None where nobody says. `prompt`, `completion` and `request` (a fee
    for each) are prices, each the highest that may apply, None where one is not known; `cached` is that of a prompt
    token which the provider has read before, None where nobody says. `expires`: a date, "" for none.
    """

    id: str
    context_tokens: int = 0
    output_tokens_max: int | None = None
    prompt: Decimal | None = None
    completion: Decimal | None = None
    request: Decimal | None = ZERO
    parameters: frozenset[str] = frozenset()
    expires: str = ""
    writes: bool = True
    private: bool | None = None
    cached: Decimal | None = None

    @property
    def free(self) -> bool:
        """Whether it costs nothing, and so counts against the quota of free requests."""
        return self.prompt == self.completion == self.request == ZERO


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What was read at a time; `problems`: entries that were passed over, one clause each."""

    entries: Mapping[str, Entry]
    problems: tuple[str, ...] = ()

    def get(self, model: str) -> Entry | None:
        """The model of this exact name."""
        return self.entries.get(model)


EMPTY = Catalogue({})


def catalogue(raw: object) -> Catalogue:
    """From the body of the models endpoint, parsed as JSON. Never raises; of two entries of one name none is taken."""
    entries: dict[str, Entry] = {}
    problems: list[str] = []
    twice: set[str] = set()
    listed = items(table(raw).get("data"))
    if not listed:
        problems.append("the list of models is empty")
    if len(listed) > ENTRIES_MAX:
        problems.append(f"only the first {ENTRIES_MAX} models are looked at")
    for one in listed[:ENTRIES_MAX]:
        entry = _entry(table(one))
        if entry is None:
            problems.append("a model without a name is passed over")
        elif entry.id in entries:
            twice.add(entry.id)
        else:
            entries[entry.id] = entry
    for name in sorted(twice):
        del entries[name]
        problems.append(f"{name} is listed twice and passed over")
    return Catalogue(entries, tuple(dict.fromkeys(problems)))


def marked(models: Catalogue, private: Iterable[str]) -> Catalogue:
    """With `private` known: the names of those that a provider serves without keeping anything."""
    names = frozenset(private)
    return replace(models, entries={name: replace(e, private=name in names) for name, e in models.entries.items()})


def key_status(raw: object) -> KeyStatus:
    """From the body of the key endpoint, parsed as JSON."""
    data = table(table(raw).get("data"))
    daily = table(data.get("free_model_daily_requests"))
    tier = data.get("is_free_tier")
    return KeyStatus(
        free_tier=tier if isinstance(tier, bool) else None,
        day_limit=whole(daily.get("limit"), LIMIT_MAX),
        day_used=whole(daily.get("used"), LIMIT_MAX),
        left=number(data.get("limit_remaining"), 1e9),
    )


def forecast(entry: Entry, prompt_tokens: int, output_tokens: int) -> Decimal | None:
    """The most that a request can cost, in USD; None if a price is not known."""
    if entry.prompt is None or entry.completion is None or entry.request is None:
        return None
    return entry.prompt * prompt_tokens + entry.completion * output_tokens + entry.request


def expired(entry: Entry, now: float) -> bool:
    """Whether its last day has come, by UTC. A date that cannot be read is none."""
    date = _DATE.match(entry.expires)
    if date is None:
        return False
    year, month, day = (int(part) for part in date.groups())
    # Days since the epoch, in the proleptic Gregorian calendar, counted in years that begin in March.
    year -= month <= 2
    days = year * 365 + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719_468
    return now >= days * DAY_S


def breakpoints(model: str) -> int:
    """How many `cache_control` marks a request to this model should set; 0 where prefixes are kept without."""
    return next((count for start, count in _BREAKPOINTS.items() if model.startswith(start)), 0)


def options(entry: Entry, session: str, needs: Iterable[str] = ()) -> dict[str, Any]:
    """What a request's body must carry beside its messages: nobody keeps or trains on what is sent, nobody takes more
    than was forecast, and a session stays at one provider, whose cache has its beginning."""
    provider: dict[str, Any] = {"data_collection": "deny", "zdr": True}
    if set(needs):
        provider["require_parameters"] = True
    if entry.prompt is not None and entry.completion is not None:
        # Floats here, since the field is a JSON number; rounded up, so that the model's own price still passes.
        provider["max_price"] = {"prompt": _per_million(entry.prompt), "completion": _per_million(entry.completion)}
    # Small contexts are shortened by the other side unless it is told not to: what was approved would not be read.
    found: dict[str, Any] = {"provider": provider, "plugins": [{"id": "context-compression", "enabled": False}]}
    if session:
        found["session_id"] = session[:SESSION_CHARS_MAX]
    return found


def _per_million(price: Decimal) -> float:
    return float((price * PER_MILLION).quantize(Decimal("0.000001"), rounding="ROUND_UP"))


def _entry(raw: dict[str, Any]) -> Entry | None:
    name = text(raw.get("id"), ID_CHARS_MAX)
    if not name or not name.isprintable():
        return None
    top, pricing = table(raw.get("top_provider")), table(raw.get("pricing"))
    contexts = [
        whole(raw.get("context_length"), CONTEXT_TOKENS_MAX),
        whole(top.get("context_length"), CONTEXT_TOKENS_MAX),
    ]
    cached = [value for key, value in pricing.items() if key.startswith("input_cache_write")]
    parameters = (text(one, ID_CHARS_MAX) for one in items(raw.get("supported_parameters"))[:PARAMETERS_MAX])
    return Entry(
        name,
        context_tokens=min((context for context in contexts if context), default=0),
        output_tokens_max=whole(top.get("max_completion_tokens"), CONTEXT_TOKENS_MAX) or None,
        # What is written into a provider's cache, and what a model thinks, may cost more than what it reads and says.
        prompt=_highest(pricing.get("prompt"), *cached),
        completion=_highest(pricing.get("completion"), pricing.get("internal_reasoning", "0")),
        request=_highest(pricing.get("request", "0")),
        cached=_price(pricing.get("input_cache_read")),
        parameters=frozenset(parameter for parameter in parameters if parameter),
        expires=text(raw.get("expiration_date"), ID_CHARS_MAX),
        writes="text" in (items(table(raw.get("architecture")).get("output_modalities")) or ["text"]),
    )


def _highest(*raw: object) -> Decimal | None:
    prices = [_price(one) for one in raw]
    known = [price for price in prices if price is not None]
    return max(known) if len(known) == len(prices) else None


def _price(raw: object) -> Decimal | None:
    """A price as the endpoint writes it: a string. A JSON number is taken too, by its shortest form."""
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        raw = str(raw)
    if not isinstance(raw, str) or len(raw) > PRICE_CHARS_MAX or not _PRICE.fullmatch(raw):
        return None
    price = Decimal(raw)
    if not price:
        return ZERO
    return price if PRICE_MIN <= price <= PRICE_MAX else None
