"""What OpenRouter knows and counts, apart from the network: models, the account, free quotas, prompt caches, prices.

Time is an argument. Tokens are counted as four characters each, which is near enough to be priced and limited by.
"""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FREE_PER_MINUTE = 20
FREE_PER_DAY = 50
FREE_PER_DAY_AFTER_CREDITS = 1_000
CREDITS_FOR_MORE = 10.0
MINUTE_S, DAY_S = 60, 86_400
CACHE_TOKENS_MIN = 1_024
CACHE_LIFE_S = 600.0
CHARS_PER_TOKEN = 4
SESSION_CHARS_MAX = 256


class Refused(Exception):
    """An error answer: its status, what `error` holds, and headers."""

    def __init__(self, status: int, message: str, metadata: dict[str, Any] | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.headers: tuple[str, ...] = more.pop("headers", ())
        self.body = {"error": {"code": status, "message": message, **more}, "user_id": "user_2a"}
        if metadata is not None:
            self.body["error"]["metadata"] = metadata


@dataclass(frozen=True)
class Model:
    """A model of the catalogue. Prices in USD per token; `caching`: "", "automatic" or "explicit"."""

    id: str
    context: int = 32_768
    prompt: float = 0.0
    completion: float = 0.0
    parameters: tuple[str, ...] = ("max_tokens", "temperature", "stop", "tools", "tool_choice", "response_format")
    providers: tuple[str, ...] = ("Chutes", "Novita")
    trains: bool = False
    """Its providers keep prompts: not reachable with `data_collection: deny`."""
    zero_retention: bool = True
    caching: str = ""
    expires: str | None = None
    priced: bool = True

    @property
    def free(self) -> bool:
        return self.id.endswith(":free") or self.id == "openrouter/free"

    def entry(self) -> dict[str, Any]:
        """As `/models` lists it."""
        price = (lambda value: f"{value:.12f}".rstrip("0").rstrip(".") or "0") if self.priced else (lambda _: "-1")
        return {
            "id": self.id,
            "canonical_slug": self.id.removesuffix(":free"),
            "hugging_face_id": "",
            "name": self.id.partition("/")[2],
            "created": 1_780_000_000,
            "description": "",
            "context_length": self.context,
            "architecture": {"modality": "text->text", "input_modalities": ["text"], "output_modalities": ["text"]},
            "pricing": {"prompt": price(self.prompt), "completion": price(self.completion), "request": "0"},
            "top_provider": {"context_length": self.context, "max_completion_tokens": 8_192, "is_moderated": False},
            "per_request_limits": None,
            "supported_parameters": list(self.parameters),
            "expiration_date": self.expires,
        }


MODELS = (
    Model("qwen/qwen3-coder:free", 262_144, caching="explicit"),
    Model("mistralai/devstral-2-2512:free", 262_144, trains=True, zero_retention=False),
    Model("xiaomi/mimo-v2-flash:free", 8_192, parameters=("max_tokens", "temperature"), expires="2027-01-01"),
    Model("deepseek/deepseek-v3.2", 163_840, 0.27e-6, 0.4e-6, caching="automatic", providers=("DeepSeek", "Novita")),
    Model("anthropic/claude-sonnet-4.5", 1_000_000, 3e-6, 15e-6, caching="explicit", providers=("Anthropic",)),
    Model("openrouter/free", 200_000),
    Model("openrouter/auto", 2_000_000, priced=False),
)


@dataclass
class Account:
    """Whose key it is. USD; `limit` is the key's own cap. `now_s` is the epoch time that its quotas are counted by."""

    key: str = "sk-or-v1-test"
    credits: float = 0.0
    credits_ever: float = 0.0
    limit: float | None = None
    usage: float = 0.0
    used_in_minute: dict[int, int] = field(default_factory=dict)
    used_in_day: dict[int, int] = field(default_factory=dict)

    def per_day(self) -> int:
        return FREE_PER_DAY if self.credits_ever < CREDITS_FOR_MORE else FREE_PER_DAY_AFTER_CREDITS

    def status(self, now_s: float) -> dict[str, Any]:
        """As `/key` tells it."""
        used = self.used_in_day.get(int(now_s) // DAY_S, 0)
        return {
            "label": f"{self.key[:12]}...{self.key[-3:]}",
            "limit": self.limit,
            "limit_remaining": None if self.limit is None else max(0.0, self.limit - self.usage),
            "limit_reset": None,
            "usage": self.usage,
            "usage_daily": self.usage,
            "usage_weekly": self.usage,
            "usage_monthly": self.usage,
            "is_free_tier": self.credits_ever <= 0,
            "expires_at": None,
            "free_model_daily_requests": {
                "used": used,
                "limit": self.per_day(),
                "remaining": max(0, self.per_day() - used),
            },
        }

    def take_free(self, now_s: float) -> None:
        """Count a request to a free model, one that fails later too. Raises Refused over a limit."""
        minute, day = int(now_s) // MINUTE_S, int(now_s) // DAY_S
        for used, number, most, span, name, source in (
            (self.used_in_day, day, self.per_day(), DAY_S, "free-models-per-day", "daily"),
            (self.used_in_minute, minute, FREE_PER_MINUTE, MINUTE_S, "free-models-per-min", "per_minute"),
        ):
            if used.get(number, 0) >= most:
                hint = ". Add 10 credits to unlock 1000 free model requests per day" if most == FREE_PER_DAY else ""
                headers = {
                    "X-RateLimit-Limit": str(most),
                    "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Reset": str((number + 1) * span * 1000),
                }
                metadata = {"headers": headers, "limit_source": f"openrouter_free_tier_{source}"}
                raise Refused(
                    429,
                    f"Rate limit exceeded: {name}{hint}",
                    {**metadata, "error_type": "rate_limit_exceeded"},
                    headers=tuple(f"{key}: {value}" for key, value in headers.items()),
                )
        self.used_in_minute[minute] = self.used_in_minute.get(minute, 0) + 1
        self.used_in_day[day] = self.used_in_day.get(day, 0) + 1

    def afford(self, cost: float) -> None:
        """Raises Refused if credits or the key's limit do not cover `cost` USD."""
        if self.limit is not None and self.usage + cost > self.limit:
            raise Refused(
                402,
                "This request requires more credits, or fewer max_tokens: the key's limit is reached.",
                {"error_type": "payment_required", "limit_source": "openrouter_key_limit"},
            )
        if self.credits < cost:
            raise Refused(
                402,
                "Insufficient credits. Add more using the account's credits page.",
                {"error_type": "payment_required", "limit_source": "openrouter_credits"},
            )

    def pay(self, cost: float) -> None:
        self.credits -= cost
        self.usage += cost


class Caches:
    """Prompt prefixes that providers remember, by session, model and provider."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], tuple[str, float]] = {}

    def read(self, session: str, model: Model, provider: str, prompt: str, marked: str | None, now_s: float) -> int:
        """Tokens of `prompt` that are read from the cache; afterwards this prompt is remembered.

        `marked` is the part up to the last breakpoint, None where nothing is marked: explicit caches keep only that.
        """
        kept = prompt if model.caching == "automatic" else marked if model.caching == "explicit" else None
        key = (session, model.id, provider)
        old, at = self._seen.get(key, ("", 0.0))
        if kept is not None:
            self._seen[key] = (kept, now_s)
        if kept is None or now_s - at > CACHE_LIFE_S:
            return 0
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, kept, strict=False))
        count = sum(1 for _ in same) // CHARS_PER_TOKEN
        return count // 64 * 64 if count >= CACHE_TOKENS_MIN else 0


def tokens(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)


def day_of(now_s: float) -> str:
    return datetime.fromtimestamp(now_s, UTC).date().isoformat()


def flat(messages: list[dict[str, Any]]) -> tuple[str, str | None]:
    """(the whole prompt as one text, its part up to the last `cache_control` breakpoint or None)."""
    text, marked = "", None
    for message in messages:
        text += f"<{message['role']}>"
        content = message.get("content")
        for part in content if isinstance(content, list) else [{"type": "text", "text": content or ""}]:
            text += part.get("text", "")
            if part.get("cache_control"):
                marked = text
    return text, marked
