"""What OpenRouter's refusals mean for the user: a status and a body -> one BackendError, with what to do next.

Both shapes of an error's kind are read: in `metadata.error_type`, and beside the message as `availability`.
"""

from collections.abc import Mapping
from time import time

from hearth.backends.http import retry_after_s
from hearth.backends.wire import Value, error_text, fault_from, is_overflow, string, table
from hearth.errors import (
    BackendError,
    ContentRefused,
    ContextOverflow,
    ModelMissing,
    OutOfCredits,
    ProtocolFault,
    RateLimited,
    ServerFault,
    Unauthorised,
)

RESET_DIGITS_MAX = 16
WAIT = "The local model answers meanwhile; try the cloud again in a moment."
OTHER_MODEL = "Choose another model: `hearth models` lists them."
STATUSES_OF_THE_SERVER = frozenset({408, 500, 502, 503, 504, 522, 524, 529})
KINDS_OF_MODERATION = ("content_policy_violation", "moderation", "permission_denied")
NO_ENDPOINT_REMEDY = (
    "No provider of this model satisfies the privacy settings: choose another model, or allow more providers."
)


def fault_of(status: int, value: object, headers: Mapping[str, str], label: str) -> BackendError:
    """The exception for an answer that refuses. `value` is its JSON, or text."""
    error = table(table(value).get("error"))
    metadata = table(error.get("metadata"))
    availability = string(table(error.get("availability")).get("code"))
    kind = string(metadata.get("error_type")) or string(error.get("error_type")) or availability
    says = error_text(value)
    told = f"{label} answered {status}" + (f": {says}" if says else "")
    if 300 <= status < 400:
        return ProtocolFault(f"{label} redirects elsewhere; not followed", "Correct cloud.base_url in settings.toml.")
    if status == 401:
        return Unauthorised(f"{label} does not accept the key (401)", "Set the key again: it is wrong, or was revoked.")
    if status == 402 or kind == "payment_required":
        return _unpaid(told, metadata, headers)
    if status == 403:
        return _forbidden(told, kind, metadata, says)
    if status == 429 or kind == "rate_limit_exceeded":
        return RateLimited(told, WAIT, _wait_s(metadata, headers), _span(metadata, says))
    if status == 413 or kind == "context_length_exceeded" or (status in (400, 422, 500) and is_overflow(says.lower())):
        return ContextOverflow(told, "Attach less, or choose a model with a larger context.")
    if status == 404 or availability == "model_not_found" or "not a valid model" in says.lower():
        privacy = availability in ("privacy_restricted", "constraint_filtered")
        return ModelMissing(told, NO_ENDPOINT_REMEDY if privacy else OTHER_MODEL)
    if status in STATUSES_OF_THE_SERVER or status >= 500:
        return ServerFault(told, WAIT)
    return ProtocolFault(told, "Correct cloud.base_url in settings.toml, or choose another model.")


def fault_in_stream(said: object, label: str) -> BackendError:
    """The exception for an error that came with status 200: `error.code` may be a number or a word."""
    value = table(said)
    error = table(value.get("error"))
    code = error.get("code")
    kind = string(table(error.get("metadata")).get("error_type")) or string(error.get("error_type"))
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
        return fault_of(code, value, {}, label)
    if kind:
        return fault_of(502, value, {}, label)
    return fault_from(said)


def _unpaid(told: str, metadata: Value, headers: Mapping[str, str]) -> BackendError:
    source = string(metadata.get("limit_source"))
    if source == "openrouter_in_flight_budget":
        # Money is there, but reserved by requests that still run.
        return RateLimited(told, WAIT, _wait_s(metadata, headers))
    if source == "openrouter_key_limit":
        return OutOfCredits(told, "The key's own limit is reached: raise it there. The local model answers meanwhile.")
    return OutOfCredits(told, "Buy credits, or choose a free model. The local model answers meanwhile.")


def _forbidden(told: str, kind: str, metadata: Value, says: str) -> BackendError:
    if kind in KINDS_OF_MODERATION or "reasons" in metadata or "moderation" in says.lower():
        return ContentRefused(told, "The provider refuses this content: use the local model, or another one.")
    return Unauthorised(told, "The key may not do this: look at its permissions.")


def _span(metadata: Value, says: str) -> str:
    """Whose free requests are used up: those of the minute or of the day; "" where it is another limit."""
    source = string(metadata.get("limit_source"))
    if source.endswith("daily") or "free-models-per-day" in says:
        return "day"
    return "minute" if source.endswith("per_minute") or "free-models-per-min" in says else ""


def _wait_s(metadata: Value, headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: Retry-After, else the moment (epoch, milliseconds) at which the limit begins anew."""
    wait = retry_after_s(headers)
    reset = string(table(metadata.get("headers")).get("X-RateLimit-Reset"))
    if wait is None and reset.isdigit() and len(reset) <= RESET_DIGITS_MAX:
        wait = max(0.0, int(reset) / 1000 - time())
    return wait
