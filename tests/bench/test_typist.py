"""The typist benchmark's own parts: its cost model counts right, its oracle is always the same, its person is fair."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

# Benchmarks are no package: their folder is on the path for these lines alone, since some are named like our tests.
BEFORE = sys.path[:]
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "benchmarks"))

import typist_editor  # noqa: E402
from typist_editor import Ghost, Run, Typist, offset, position, typed  # noqa: E402
from typist_sim import BATCH_TOKENS, DIALECT, Oracle, SimServer, common, tokens_of  # noqa: E402
from typist_traces import Trace, brace_blocks, python_blocks  # noqa: E402

sys.path[:] = BEFORE

SPEED = 100.0
ABOVE = "".join(f"value_{number} = compute({number}, other={number * 7})\n" for number in range(40))
HUNK = (
    "def merge(defaults, overrides):\n    result = dict(defaults)\n    for name, value in overrides.items():\n"
    "        if value is not None:\n            result[name] = value\n    return result"
)
BELOW = "\n\n\ndef unrelated(one, two):\n    return one + two\n"
TRACE = Trace("own", "src/own.py", "python", ABOVE + HUNK + BELOW, len(ABOVE), len(ABOVE + HUNK))


def oracle(seed: int = 1, rate: float = 0.3) -> Oracle:
    return Oracle(TRACE.target, TRACE.start, TRACE.end, seed, rate)


def prompt(before: str, after: str = BELOW, tail: str = "") -> str:
    return f"{DIALECT.prefix}{before}{DIALECT.suffix}{after}{DIALECT.middle}{tail}"


@pytest.fixture
async def sim() -> AsyncIterator[SimServer]:
    async with SimServer(oracle(rate=0.0), SPEED) as server:
        yield server


async def complete(sim: SimServer, text: str, **more: Any) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        body = {"prompt": text, "stream": True, "cache_prompt": True, "return_progress": True, **more}
        response = await client.post(f"{sim.url}/completion", json=body)
        return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]


# Tokens


@given(st.text())
def test_tokens_are_the_text(text: str) -> None:
    assert "".join(tokens_of(text)) == text


@given(st.text(alphabet="ab_ 1.(\n", max_size=60), st.text(alphabet="ab_ 1.(\n", max_size=10))
def test_appended_text_changes_at_most_the_last_token(text: str, more: str) -> None:
    before, after = tokens_of(text), tokens_of(text + more)
    assert common(before, after) >= len(before) - 1


def test_special_tokens_are_one_token_each() -> None:
    assert tokens_of("a <|fim_middle|>b") == ["a", " ", "<|fim_middle|>", "b"]


# The cost model


async def test_the_first_prompt_is_read_whole_and_in_batches(sim: SimServer) -> None:
    events = await complete(sim, prompt(ABOVE), n_predict=5)
    whole = len(tokens_of(prompt(ABOVE)))
    read = [event["prompt_progress"]["processed"] for event in events if "prompt_progress" in event]
    assert read == [*range(BATCH_TOKENS, whole, BATCH_TOKENS), whole]
    assert events[-1]["timings"] == {"cache_n": 0, "prompt_n": whole, "predicted_n": 5}
    assert events[-1]["stop_type"] == "limit"
    assert "".join(event["content"] for event in events) == "".join(tokens_of(HUNK)[:5])


async def test_what_was_read_and_written_is_not_read_again(sim: SimServer) -> None:
    await complete(sim, prompt(ABOVE), n_predict=6)
    written = "".join(tokens_of(HUNK)[:6])
    events = await complete(sim, prompt(ABOVE, tail=written + "X = 1"), n_predict=0)
    assert events[-1]["timings"]["prompt_n"] == len(tokens_of("X = 1"))
    same = await complete(sim, prompt(ABOVE, tail=written + "X = 1"), n_predict=0)
    assert same[-1]["timings"]["prompt_n"] == 1  # the last token is always evaluated
    assert same[-1]["timings"]["predicted_n"] == 0


async def test_a_change_in_the_middle_costs_all_that_follows(sim: SimServer) -> None:
    await complete(sim, prompt(ABOVE), n_predict=0)
    events = await complete(sim, prompt(ABOVE + "x"), n_predict=0)
    assert events[-1]["timings"]["prompt_n"] == len(tokens_of(prompt("x"))) - 1


async def test_a_client_that_leaves_stops_the_work() -> None:
    async with SimServer(oracle(rate=0.0), 1.0) as sim, httpx.AsyncClient(trust_env=False, timeout=30) as client:
        body = {"prompt": prompt(ABOVE), "stream": True, "return_progress": True, "n_predict": 100}
        async with client.stream("POST", f"{sim.url}/completion", json=body) as response:
            await anext(response.aiter_raw())
        while not sim.jobs[0].ended:
            await asyncio.sleep(0.01)
        job = sim.jobs[0]
        assert job.outcome == "cancelled"
        assert 0 < job.prefilled < job.prompt
        assert job.prefilled % BATCH_TOKENS == 0
        events = await complete(sim, prompt(ABOVE), n_predict=0)
        assert events[-1]["timings"]["cache_n"] == job.prefilled


async def test_one_slot_and_a_queue(sim: SimServer) -> None:
    await asyncio.gather(*(complete(sim, prompt(ABOVE), n_predict=3) for _ in range(3)))
    first, second, third = sorted(sim.jobs, key=lambda job: job.began)
    assert first.ended <= second.began <= second.ended <= third.began
    assert [job.prefilled for job in (first, second, third)] == [first.prompt, 1, 1]
    assert sim.busy_s(first.began, third.ended) <= third.ended - first.began


async def test_who_leaves_the_queue_costs_nothing(sim: SimServer) -> None:
    running = asyncio.create_task(complete(sim, prompt(ABOVE), n_predict=20))
    while not sim.jobs:
        await asyncio.sleep(0)
    waiting = asyncio.create_task(complete(sim, prompt(BELOW), n_predict=20))
    while len(sim.jobs) < 2:
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    while not sim.jobs[1].ended:
        await asyncio.sleep(0.001)
    assert sim.jobs[1].outcome == "left the queue"
    assert sim.jobs[1].prefilled == sim.jobs[1].decoded == 0


async def test_stop_strings_and_the_end_of_text(sim: SimServer) -> None:
    stopped = await complete(sim, prompt(ABOVE), n_predict=200, stop=["\n"])
    assert "".join(event["content"] for event in stopped) == HUNK.split("\n")[0]
    assert stopped[-1]["stop_type"] == "word"
    ended = await complete(sim, prompt(ABOVE), n_predict=200)
    assert "".join(event["content"] for event in ended) == HUNK
    assert ended[-1]["stop_type"] == "eos"


# The oracle


def test_the_oracle_is_the_same_every_time() -> None:
    assert oracle().answer(ABOVE) == oracle().answer(ABOVE)
    assert oracle(seed=1).wrong != oracle(seed=2).wrong


def test_it_is_found_at_every_place() -> None:
    knows = oracle()
    for at in range(TRACE.start, TRACE.end + 1):
        assert knows.locate(TRACE.target[:at]) == (at, "")


def test_without_errors_it_writes_the_rest() -> None:
    knows = oracle(rate=0.0)
    for cut in (0, 5, 40, len(HUNK)):
        assert knows.answer(ABOVE + HUNK[:cut]) == (TRACE.start + cut, HUNK[cut:])


def test_a_wrong_line_stays_wrong_until_the_place_is_past() -> None:
    knows = oracle()
    assert len(knows.wrong) == round(0.3 * 6)
    for number, (at, text) in knows.wrong.items():
        begin = knows.line_starts[number]
        for cursor in range(begin, at + 1):
            _, said = knows.answer(TRACE.target[:cursor])
            assert said.split("\n")[0] == TRACE.target[cursor:at] + text
            assert text[0] != TRACE.target[at]
            assert knows.errs_at(cursor)
        _, said = knows.answer(TRACE.target[: at + 1])
        assert said.split("\n")[0] == knows.line(number)[at + 1 - begin :]
        assert not knows.errs_at(at + 1)


def test_after_a_wrong_line_it_goes_on_with_the_next() -> None:
    knows = oracle()
    number = min(knows.wrong)
    at, text = knows.wrong[number]
    place, said = knows.answer(TRACE.target[:at] + text + "\n")
    assert place == knows.line_starts[number + 1]
    assert said == knows.answer(TRACE.target[:place])[1]
    assert knows.answer(TRACE.target[:at] + text) == (place, "\n" + said)


def test_the_bound_is_half_of_the_wrong_lines() -> None:
    shares = [1 - oracle(seed).unavoidable() / len(HUNK) for seed in range(200)]
    assert 0.80 < sum(shares) / len(shares) < 0.86


# The person


class Helper:
    """Keeps what the person did."""

    def __init__(self) -> None:
        self.edits: list[tuple[int, int, str]] = []

    def changed(self, before: str, begin: int, end: int, text: str) -> None:
        self.edits.append((begin, end, text))

    def accepted(self, suggestion: str) -> None:
        pass


async def person(sim: SimServer) -> Typist:
    typist = Typist(Run(TRACE, "hearth", sim.oracle, sim))
    typist.helper = Helper()
    return typist


@pytest.mark.parametrize(
    ("text", "agrees"),
    [
        ("def merge(defaults, overrides):", True),
        ("def merge(defaults, overrides):\n    wrong = 1", True),
        ("def merge(", True),
        ("def merge(self", False),
        ("d", False),
        ("\ndef merge", False),
    ],
)
async def test_what_is_taken(sim: SimServer, text: str, agrees: bool) -> None:
    typist = await person(sim)
    typist.show(text, 0, "")
    assert typist.agrees() is agrees


async def test_a_line_that_went_wrong_is_taken_out_whole(sim: SimServer) -> None:
    typist = await person(sim)
    typist.show("def merge(defaults, overrides):\n    result = 1\n    more()", 0, "")
    stray = typist._tab()
    typist._repair(stray)
    first = HUNK.split("\n")[0] + "\n"
    assert typist.run.by_tab == len(first)
    assert typist.text == ABOVE + first + BELOW
    assert typist.rest == HUNK[len(first) :]


async def test_vanishing_is_noticed(sim: SimServer) -> None:
    typist = await person(sim)
    for answer, vanished in (("ef merge(", 0), ("f merge(defaults", 0), ("", 1)):
        typist.ghost = Ghost(typist.rest[:10], 0, 0.0)
        typist._key()
        typist.show(answer if answer != "ef merge(" else typist.rest[:9], 0, "")
        assert len(typist.run.vanished) == vanished or answer == "f merge(defaults"
    typist.ghost = Ghost("zzz", 0, 0.0)
    before = len(typist.run.vanished)
    typist._key()
    typist.show("", 0, "")
    assert len(typist.run.vanished) == before


def test_places_count_in_utf16() -> None:
    text = "a = 1\n😀 = 'é'\nlast"
    for at in range(len(text) + 1):
        assert offset(text, position(text, at)) == at
    assert position(text, 7) == {"line": 1, "character": 2}


@pytest.mark.parametrize("mode", ["hearth", "off", "naive"])
async def test_a_whole_run(monkeypatch: pytest.MonkeyPatch, mode: typist_editor.Mode) -> None:
    """Every mode types the text to its end, with a real server where there is one."""
    for name in ("KEY_S", "LINE_END_S", "REACTION_S", "REPAIR_S"):
        monkeypatch.setattr(typist_editor, name, (0.02, 0.03))
    for name in ("OPENED_S", "DEBOUNCE_S"):
        monkeypatch.setattr(typist_editor, name, 0.0)
    run = await typed(TRACE, mode)
    assert run.final == TRACE.target
    assert run.sim.jobs
    assert len(run.keys) <= len(HUNK) * 2
    if mode == "hearth":
        assert run.vanished == []
        assert all(
            job.cached >= job.prompt // 2 for job in run.sim.jobs if job.began and job.began > run.sim.jobs[0].read
        )


# What is typed


def test_blocks() -> None:
    python = ("x = 1", "def f(", "    a,", ") -> int:", "    return a", "", "def g():", "    pass")
    assert list(python_blocks(python)) == [(1, 5), (6, 8)]
    braces = ("class A {", "  m(a: string): void {", "    if (a) {", "    }", "  }", "}", "function f() {", "}")
    assert list(brace_blocks(braces)) == [(1, 5), (6, 8)]
