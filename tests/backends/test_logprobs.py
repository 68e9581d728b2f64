"""How sure the model was: asked for only where that is cheap and sure to be understood, and never trusted blindly."""

import json
import math

import pytest

from backends.fake import WIRES, Answer, Fake, js
from hearth.backends import ollama
from hearth.backends.base import Delta, Generate
from hearth.backends.discover import make
from hearth.backends.llamacpp import NEAR_GREEDY, RIVALS
from hearth.backends.reading import LOGPROB_MIN, LOGPROBS_PER_EVENT_MAX
from hearth.settings import BackendSettings

HALF = math.log(0.5)
ODD = ["x", None, True, {}, [], [1], 1.0, 0.1, 10**400, -(10**400), float("nan"), float("inf"), -float("inf"), -1e38]
"""Values that are no logarithm of a token's probability."""


def cooled(*probabilities: float, chosen: int = 0):
    """llama.cpp's entry for a token that had these rivals, after sampling at NEAR_GREEDY."""
    weights = [p ** (1 / NEAR_GREEDY) for p in probabilities]
    probs = [weight / sum(weights) for weight in weights]
    rivals = [{"id": n, "token": "x", "bytes": [120], "prob": p} for n, p in enumerate(probs)]
    return {"id": chosen, "token": "x", "bytes": [120], "prob": probs[chosen], "top_probs": rivals}


def llama(text, entries):
    return {**WIRES["llamacpp"].value(text), "completion_probabilities": entries}


def vllm(text, logprobs):
    value = WIRES["openai"].value(text)
    value["choices"][0]["logprobs"] = logprobs
    return value


def numbers(values):
    return {"tokens": ["x"], "token_logprobs": values, "top_logprobs": None, "text_offset": [0]}


def plain(text, entries):
    return {**WIRES["ollama"].value(text), "logprobs": entries}


GOOD = {
    "one token, llama.cpp": ("llamacpp", llama("a", [cooled(0.5, 0.3, 0.2)]), [0.5]),
    "a second best": ("llamacpp", llama("a", [cooled(0.5, 0.3, 0.2, chosen=1)]), [0.3]),
    "among few it is relative": ("llamacpp", llama("a", [cooled(0.4, 0.4)]), [0.5]),
    "two tokens, llama.cpp": ("llamacpp", llama("ab", [cooled(0.9, 0.1), cooled(1.0)]), [0.9, 1.0]),
    "llama.cpp, before sampling": ("llamacpp", llama("a", [{"logprob": HALF, "top_logprobs": []}]), [0.5]),
    "vLLM": ("openai", vllm("a", numbers([HALF])), [0.5]),
    "vLLM, three tokens": ("openai", vllm("abc", numbers([HALF, 0, None, 2 * HALF])), [0.5, 1.0, 0.25]),
    "Ollama": ("ollama", plain("a", [{"token": "a", "logprob": HALF, "bytes": [97]}]), [0.5]),
}


async def told(kind, *values, requests=1):
    """(the deltas, the bodies of the requests) of generations in which the server sends these events."""
    wire = WIRES[kind]
    body = b"".join(map(wire.frame, values)) + wire.last() + wire.end()
    async with Fake({**wire.routes(), wire.path: Answer(body, media=wire.media)}) as fake:
        backend = make(BackendSettings(kind, url=fake.url, model=getattr(wire, "model", "")))
        try:
            assert (await backend.probe()).state == "ready"
            for _ in range(requests):
                events = [event async for event in backend.generate(Generate("def f(", 8))]
        finally:
            await backend.aclose()
        return [event for event in events if isinstance(event, Delta)], fake.seen.bodies(wire.path)


@pytest.mark.parametrize("name", GOOD)
async def test_each_servers_own_format(name):
    kind, value, probabilities = GOOD[name]
    (delta,), _ = await told(kind, value)
    assert [math.exp(x) for x in delta.logprobs] == pytest.approx(probabilities)


@pytest.mark.parametrize("kind", WIRES)
async def test_a_server_that_does_not_tell(kind):
    deltas, _ = await told(kind, WIRES[kind].value("a"), WIRES[kind].value("b"))
    assert [(delta.text, delta.logprobs) for delta in deltas] == [("a", ()), ("b", ())]


ODD_EVENTS = [
    *(("openai", vllm("a", odd)) for odd in ODD),
    *(("openai", vllm("a", numbers(odd))) for odd in ODD),
    *(("openai", vllm("a", numbers([odd]))) for odd in ODD),
    *(("ollama", plain("a", odd)) for odd in ODD),
    *(("ollama", plain("a", [odd, {}, {"logprob": odd}])) for odd in ODD),
    *(("llamacpp", llama("a", odd)) for odd in ODD),
    *(("llamacpp", llama("a", [odd, {"logprob": odd}])) for odd in ODD),
    *(("llamacpp", llama("a", [{"prob": odd, "top_probs": [{"prob": 0.5}]}])) for odd in ODD if odd not in (0.1, 1.0)),
    *(("llamacpp", llama("a", [{"prob": 0.5, "top_probs": [{"prob": odd}]}])) for odd in ODD if odd not in (0.1, 1.0)),
    *(("llamacpp", llama("a", [{"prob": 0.5, "top_probs": odd}])) for odd in ODD),
    ("llamacpp", llama("a", [{"prob": 1.0, "top_probs": []}])),  # a token that a smaller model drafted
    ("llamacpp", llama("a", [{"prob": 1.0}])),
]


@pytest.mark.parametrize("number", range(len(ODD_EVENTS)))
async def test_anything_else_counts_as_not_told(number):
    kind, value = ODD_EVENTS[number]
    (delta,), _ = await told(kind, value)
    assert (delta.text, delta.logprobs) == ("a", ())


async def test_odd_ones_leave_the_others():
    (delta,), _ = await told("openai", vllm("abc", numbers([None, HALF, float("nan"), LOGPROB_MIN - 1, HALF])))
    assert delta.logprobs == (HALF, HALF)


async def test_there_is_an_end_to_them():
    (delta,), _ = await told("openai", vllm("a", numbers([HALF] * 10_000)))
    assert len(delta.logprobs) == LOGPROBS_PER_EVENT_MAX


async def test_those_of_text_that_is_held_back_come_with_it():
    deltas, _ = await told("openai", vllm("\ud83d", numbers([HALF])), vllm("\ude00", numbers([2 * HALF])))
    assert [(delta.text, delta.logprobs) for delta in deltas] == [("\U0001f600", (HALF, 2 * HALF))]


async def test_llama_cpp_is_asked_for_what_costs_it_nothing():
    _, (body,) = await told("llamacpp", llama("a", [cooled(0.9, 0.1)]))
    assert body["post_sampling_probs"] is True
    assert body["n_probs"] == body["top_k"] == RIVALS
    assert 0 < body["temperature"] < 0.1


async def test_a_llama_cpp_that_sorts_its_vocabulary_for_it_is_not_asked_again():
    _, (first, second) = await told("llamacpp", llama("a", [{"logprob": HALF, "top_logprobs": []}]), requests=2)
    assert "n_probs" in first
    assert "n_probs" not in second
    assert second["temperature"] == 0


async def test_reading_ahead_asks_for_nothing_more():
    for kind, wire in WIRES.items():
        async with Fake({**wire.routes(), wire.path: Answer(wire.last() + wire.end(), media=wire.media)}) as fake:
            backend = make(BackendSettings(kind, url=fake.url, model=getattr(wire, "model", "")))
            await backend.probe()
            assert [event async for event in backend.generate(Generate("def f(", 0))]
            await backend.aclose()
            (body,) = fake.seen.bodies(wire.path)
            assert not {"n_probs", "logprobs"} & set(body)


@pytest.mark.parametrize(
    ("routes", "asked"),
    [
        ({"/v1/models": js({"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]})}, True),
        ({"/.well-known/serviceinfo": js({"software": {"name": "TabbyAPI"}}), "/v1/model": js({"id": "m"})}, True),
        ({"/v1/models": js({"object": "list", "data": [{"id": "m", "owned_by": "somebody"}]})}, False),
        ({"/v1/models": js({"object": "list", "data": [{"id": "m", "owned_by": "llamacpp"}]})}, False),
        (
            {
                "/v1/models": js({"object": "list", "data": [{"id": "m"}]}),
                "/api/v1/models": js({"models": [{"key": "m", "loaded_instances": [{"id": "m"}]}]}),
            },
            False,
        ),
    ],
    ids=["vLLM", "TabbyAPI", "unknown", "llama.cpp", "LM Studio"],
)
async def test_only_servers_that_are_known_to_tell_are_asked(routes, asked):
    wire = WIRES["openai"]
    answer = Answer(wire.event("a") + wire.last() + wire.end(), media=wire.media)
    async with Fake({**routes, wire.path: answer}) as fake:
        backend = make(BackendSettings("openai", url=fake.url))
        assert (await backend.probe()).state == "ready"
        assert [event async for event in backend.generate(Generate("def f(", 8))]
        await backend.aclose()
        (body,) = fake.seen.bodies(wire.path)
        assert ("logprobs" in body) is asked
        assert not isinstance(body.get("logprobs"), bool)


@pytest.mark.parametrize(("cost_s", "asked"), [(0.0, True), (1e9, False)])
async def test_ollama_is_asked_where_it_costs_little_of_what_a_token_costs(monkeypatch, cost_s, asked):
    monkeypatch.setattr(ollama, "LOGPROB_COST_S", cost_s)
    values = [WIRES["ollama"].value(f"{n} ") for n in range(20)]
    _, bodies = await told("ollama", *values, requests=2)
    assert [bool(body.get("logprobs")) for body in bodies] == [asked, asked]
    assert all(json.dumps(body["options"]) == json.dumps(bodies[0]["options"]) for body in bodies)
