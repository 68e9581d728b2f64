"""The cloud's models as listed: a price that is not known is never taken for a small one."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.catalogue import (
    CONTEXT_TOKENS_MAX,
    SESSION_CHARS_MAX,
    Entry,
    breakpoints,
    catalogue,
    expired,
    forecast,
    key_status,
    marked,
    options,
)
from hearth.core.quota import KeyStatus
from openrouter.account import MODELS, Account

DAY = 86_400.0


def listed(**changes: Any) -> dict[str, Any]:
    """One entry as the endpoint gives it, with some fields changed."""
    usual = {
        "id": "maker/model",
        "context_length": 100_000,
        "pricing": {"prompt": "0.000001", "completion": "0.000002", "request": "0"},
        "top_provider": {"context_length": 64_000, "max_completion_tokens": 8_192},
        "supported_parameters": ["tools", "max_tokens"],
        "expiration_date": None,
    }
    return {**usual, **changes}


def read(**changes: Any) -> Entry:
    models = catalogue({"data": [listed(**changes)]})
    assert not models.problems
    (entry,) = models.entries.values()
    return entry


def test_an_entry() -> None:
    assert read() == Entry(
        "maker/model",
        64_000,
        8_192,
        Decimal("0.000001"),
        Decimal("0.000002"),
        Decimal(0),
        frozenset({"tools", "max_tokens"}),
    )


def test_the_emulators_models() -> None:
    models = catalogue({"data": [model.entry() for model in MODELS]})
    assert models.problems == ()
    assert {name for name, entry in models.entries.items() if entry.free} == {m.id for m in MODELS if m.free}
    assert forecast(models.entries["openrouter/auto"], 1, 1) is None
    assert forecast(models.entries["deepseek/deepseek-v3.2"], 1_000_000, 0) == Decimal("0.27")
    assert models.entries["xiaomi/mimo-v2-flash:free"].expires == "2027-01-01"


def test_the_emulators_account() -> None:
    assert key_status({"data": Account().status(0.0)}).free_tier is True


PRICES = (
    ({"prompt": "0", "completion": "0"}, Decimal(0)),
    ({"prompt": "0.000001", "completion": "0.000002"}, Decimal("0.003")),
    ({"prompt": "1e-6", "completion": "2E-6"}, Decimal("0.003")),
    ({"prompt": "0.000001", "completion": "0.000002", "request": "0.01"}, Decimal("0.013")),
    ({"prompt": "0.000001", "completion": "0.000002", "internal_reasoning": "0.000005"}, Decimal("0.006")),
    ({"prompt": "0.000001", "completion": "0.000002", "input_cache_write": "0.000003"}, Decimal("0.005")),
    ({"prompt": "0.000001", "completion": "0.000002", "input_cache_read": "0.0000001"}, Decimal("0.003")),
    ({"prompt": 0.000001, "completion": 0.000002}, Decimal("0.003")),
    ({"prompt": "-1", "completion": "-1"}, None),
    ({"prompt": "0"}, None),
    ({"completion": "0"}, None),
    ({}, None),
    ({"prompt": "0", "completion": "0", "request": "-1"}, None),
    ({"prompt": "0", "completion": "0", "request": None}, None),
    ({"prompt": "0", "completion": "0", "internal_reasoning": "much"}, None),
    ({"prompt": "", "completion": "0"}, None),
    ({"prompt": "free", "completion": "0"}, None),
    ({"prompt": "NaN", "completion": "0"}, None),
    ({"prompt": "sNaN", "completion": "0"}, None),
    ({"prompt": "Infinity", "completion": "0"}, None),
    ({"prompt": "1_0", "completion": "0"}, None),
    ({"prompt": "\u0661", "completion": "0"}, None),
    ({"prompt": "1e-400", "completion": "0"}, None),
    ({"prompt": "0.000001" + "0" * 40, "completion": "0"}, None),
    ({"prompt": "5", "completion": "0"}, None),
    ({"prompt": True, "completion": "0"}, None),
    ({"prompt": ["0"], "completion": "0"}, None),
)


@pytest.mark.parametrize(("pricing", "cost"), PRICES)
def test_forecasts(pricing: dict[str, Any], cost: Decimal | None) -> None:
    entry = read(pricing=pricing)
    assert forecast(entry, 1_000, 1_000) == cost
    assert entry.free == (cost == 0)


CONTEXTS = (
    (100, {"context_length": 50}, 50),
    (50, {"context_length": 100}, 50),
    (50, {}, 50),
    (50, None, 50),
    (None, {"context_length": 50}, 50),
    (0, {"context_length": 50}, 50),
    ("50", {}, 0),
    (-5, {}, 0),
    (True, {}, 0),
    (8192.0, {}, 8192),
    (CONTEXT_TOKENS_MAX * 2, {}, 0),
)


@pytest.mark.parametrize(("context", "top", "expected"), CONTEXTS)
def test_contexts(context: object, top: object, expected: int) -> None:
    assert read(context_length=context, top_provider=top).context_tokens == expected


@pytest.mark.parametrize("raw", [None, [], {}, {"data": None}, {"data": {}}, {"data": []}, "text"])
def test_a_list_that_is_none(raw: object) -> None:
    assert catalogue(raw).problems == ("the list of models is empty",)


def test_odd_entries_are_passed_over_and_named() -> None:
    models = catalogue({"data": [None, {"id": 5}, {"id": "a\nb"}, listed(), listed(id="x"), listed(id="x")]})
    assert set(models.entries) == {"maker/model"}
    assert models.problems == ("a model without a name is passed over", "x is listed twice and passed over")


def test_who_keeps_nothing() -> None:
    models = marked(catalogue({"data": [listed(id="a"), listed(id="c")]}), {"a", "b:free"})
    assert [entry.private for entry in models.entries.values()] == [True, False]
    assert read().private is None


def test_what_draws_does_not_write() -> None:
    assert not read(architecture={"output_modalities": ["image"]}).writes
    assert read(architecture={"output_modalities": ["image", "text"]}).writes
    assert read(architecture=None).writes


KEYS = (
    ({"data": {"is_free_tier": False, "limit_remaining": 1.5}}, KeyStatus(False, None, None, 1.5)),
    ({"data": {"is_free_tier": True, "free_model_daily_requests": {"used": 3, "limit": 50}}}, KeyStatus(True, 50, 3)),
    ({"data": {"is_free_tier": "no", "limit_remaining": None}}, KeyStatus()),
    ({"data": {"free_model_daily_requests": {"used": -3, "limit": "50"}}}, KeyStatus()),
    ({"error": {"code": 401}}, KeyStatus()),
    (None, KeyStatus()),
)


@pytest.mark.parametrize(("raw", "status"), KEYS)
def test_the_key(raw: object, status: KeyStatus) -> None:
    assert key_status(raw) == status


DATES = (
    ("1970-01-02", 1),
    ("2000-02-29", 11_016),
    ("2000-03-01", 11_017),
    ("2026-11-21", 20_778),
    ("2100-01-01", 47_482),
)


@pytest.mark.parametrize(("date", "day"), DATES)
def test_a_model_ends_on_its_day(date: str, day: int) -> None:
    for text in (date, f"{date}T12:00:00Z"):
        assert not expired(Entry("a", expires=text), day * DAY - 1)
        assert expired(Entry("a", expires=text), day * DAY)


@pytest.mark.parametrize("text", ["", "never", "2026", "21.11.2026"])
def test_a_date_that_is_none(text: str) -> None:
    assert not expired(Entry("a", expires=text), 1e12)


@pytest.mark.parametrize(
    ("model", "count"),
    [("anthropic/claude-sonnet-4.5", 4), ("qwen/qwen3-coder:free", 4), ("google/gemini-3-pro", 1),
     ("google/gemma-4", 0), ("deepseek/deepseek-v3.2", 0), ("openai/gpt-6", 0)],
)  # fmt: skip
def test_where_the_prefix_must_be_marked(model: str, count: int) -> None:
    assert breakpoints(model) == count


def test_what_a_request_carries() -> None:
    body = options(read(), "s" * 300, {"tools"})
    assert body == {
        "provider": {
            "data_collection": "deny",
            "zdr": True,
            "require_parameters": True,
            "max_price": {"prompt": 1.0, "completion": 2.0},
        },
        "plugins": [{"id": "context-compression", "enabled": False}],
        "session_id": "s" * SESSION_CHARS_MAX,
    }
    assert set(options(read(), "")) == {"provider", "plugins"}
    assert "require_parameters" not in options(read(), "")["provider"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["data", "id", "pricing", "prompt", "completion", "context_length", "top_provider", "x"]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_answer_is_read(raw: object) -> None:
    for entry in catalogue(raw).entries.values():
        cost = forecast(entry, 10**9, 10**9)
        assert cost is None or 0 <= cost < 10**10
        options(entry, "s")
    key_status(raw)


@given(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_forecast_grows_with_what_is_sent(prompt: int, output: int, more: int, price: int) -> None:
    entry = read(pricing={"prompt": f"{price}e-12", "completion": f"{price}e-11"})
    less, greater = forecast(entry, prompt, output), forecast(entry, prompt + more, output + more)
    assert less is not None
    assert greater is not None
    assert less <= greater
