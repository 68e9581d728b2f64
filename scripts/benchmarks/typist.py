"""A typist: functions out of real packages, typed key by key at LSP level, against a simulated model server.

    .venv/bin/python scripts/benchmarks/typist.py --traces 3      a quick look: Hearth alone, about a minute

The person and the editor are described in typist_editor.py, the model server in typist_sim.py, what is typed in
typist_traces.py, what "switched off" means in typist_server.py.
"""

import argparse
import asyncio
import json
import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from typist_editor import Habits, Mode, Run, typed
from typist_sim import DECODE_TOKENS_PER_S, ERROR_RATE, PREFILL_TOKENS_PER_S
from typist_traces import Trace, traces

Row = tuple[str, str, str]
MODES: tuple[Mode, ...] = ("hearth", "off", "naive")
TRACES = 12
AT_ONCE = 6
VARIED_TRACES = 5
USUAL = Habits()
VARIANTS = (
    Habits("asked 50 ms after each change, as VS Code does", delay_s=0.05),
    Habits("a rest of 4 s when 40 % is typed", rest_s=4.0),
    Habits("the editor closes brackets and indents", helps=True),
)
ANCHOR_SHARE = 0.9

DEFINITIONS = f"""The model reads {PREFILL_TOKENS_PER_S} and writes {DECODE_TOKENS_PER_S} tokens a second in one slot.
{ERROR_RATE:.0%} of the lines go wrong somewhere, and stay wrong until the cursor is past that place. The bound is what
a client could reach that shows everything at once and has every line break accepted too.

- *by Tab*: characters of the finished text that were put in by Tab and stayed. A suggestion is taken if it is right up
  to the end of its first line; what is wrong in later lines is deleted again (*repaired*), and counts for nothing.
- *key -> visible*: from didChange to the answer with a suggestion, where that came before the next key; 5 ms of it are
  the editor's. A real editor waits about 50 ms before it asks, and draws.
- *vanished*: the key agreed with what was visible, and the answer to it did not begin with the rest.
- *prefilled per typed character*: per character of the finished text, however it got there. The first anchor is all
  that was read until a frozen prompt of about the full size (90 % of the longest) was read to its end, in one step or
  in several.
- *thrown away*: the share of what was decoded that neither came into the text by Tab nor was typed while it was
  visible.
- *prompt tokens*: of the longest prompt. The oracle answers as well with little context as with much, so what the
  context is worth is not measured here, only what it costs.
- *busy*: the share of the time from the first key to the last in which the model worked.
- *Switched off*: the same server without memory, joining, anchors (prefix, suffix, middle, built anew at every key) and
  speculation. *Naive*: a client that waits 300 ms after each key, asks for one line with prefix, suffix, middle, and
  remembers nothing."""


@dataclass(frozen=True)
class Figures:
    """What is reported of one run; shares in percent. NaN where there is nothing to tell."""

    tab: float
    bound: float
    p50: float
    p95: float
    visible: float
    vanished: int
    prefill_after: float
    """Tokens per character of the finished text, after the first anchor."""
    prefill_all: float
    key_after: float
    """The same per character typed by hand."""
    key_all: float
    prompt: float
    """Tokens of the longest prompt."""
    thrown: float
    busy: float
    requests: float
    exact: bool
    repaired: float
    seconds: float


def figures(run: Run) -> Figures:
    chars = len(run.trace.hunk)
    by_hand = sum(key.kind == "key" for key in run.keys)
    visible = [key.visible_ms for key in run.keys if key.visible_ms is not None]
    prefilled = sum(job.prefilled for job in run.sim.jobs)
    first = first_anchor(run)
    decoded = sum(job.chars for job in run.sim.jobs)
    return Figures(
        tab=100 * run.by_tab / chars,
        bound=100 * (1 - run.oracle.unavoidable() / chars),
        p50=percentile(visible, 0.5),
        p95=percentile(visible, 0.95),
        visible=100 * len(visible) / len(run.keys),
        vanished=len(run.vanished),
        prefill_after=(prefilled - first) / chars,
        prefill_all=prefilled / chars,
        key_after=(prefilled - first) / max(1, by_hand),
        key_all=prefilled / max(1, by_hand),
        prompt=max((job.prompt for job in run.sim.jobs), default=0),
        thrown=100 * (1 - (run.by_tab + run.shown_typed) / decoded) if decoded else math.nan,
        busy=100 * run.sim.busy_s(run.first_key, run.last_key) / (run.last_key - run.first_key),
        requests=100 * len(run.sim.jobs) / len(run.keys),
        exact=run.final == run.trace.target,
        repaired=100 * run.repaired / chars,
        seconds=run.last_key - run.first_key,
    )


def first_anchor(run: Run) -> int:
    """Tokens prefilled until the frozen prompt was read once, in however many steps of growing size: up to the first
    prompt that was read to its end and whose head is about as long as the longest of the run."""
    longest = max((job.head for job in run.sim.jobs), default=0)
    total = 0
    for job in run.sim.jobs:
        total += job.prefilled
        if job.read and job.head >= ANCHOR_SHARE * longest:
            break
    return total


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values) or [math.nan]
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def losses(runs: list[Run]) -> dict[str, float]:
    """Characters typed by hand, by reason, in percent of all characters."""
    chars = sum(len(run.trace.hunk) for run in runs)
    counts = Counter(key.loss for run in runs for key in run.keys if key.kind == "key")
    return {loss: 100 * count / chars for loss, count in counts.most_common()}


async def measure(
    chosen: list[Trace],
    modes: tuple[Mode, ...],
    told: Callable[[Run], None] = lambda _run: None,
    habits: Habits = USUAL,
) -> list[Run]:
    """Every trace in every mode, AT_ONCE at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(trace: Trace, mode: Mode) -> Run:
        async with gate:
            run = await typed(trace, mode, habits)
            told(run)
            return run

    # The slowest mode first, so that no run is left over alone at the end.
    pairs = [(trace, mode) for mode in reversed(modes) for trace in chosen]
    return list(await asyncio.gather(*(one(trace, mode) for trace, mode in pairs)))


COLUMNS = (
    ("by Tab %", ("tab",), 1),
    ("bound %", ("bound",), 0),
    ("ms p50 / p95", ("p50", "p95"), 0),
    ("keys with visible %", ("visible",), 0),
    ("vanished", ("vanished",), 0),
    ("prefilled per char after / all", ("prefill_after", "prefill_all"), 2),
    ("per key after / all", ("key_after", "key_all"), 1),
    ("prompt tokens", ("prompt",), 0),
    ("thrown %", ("thrown",), 0),
    ("busy %", ("busy",), 0),
    ("model requests per 100 keys", ("requests",), 0),
    ("repaired %", ("repaired",), 0),
    ("seconds", ("seconds",), 0),
    ("exact", ("exact",), 0),
)


def table(runs: list[Run]) -> str:
    """Markdown: each run, then the medians of each mode."""
    lines = heading()
    for mode in MODES:
        of = [run for run in runs if run.mode == mode]
        found = [figures(run) for run in of]
        lines += [line(run.trace.name, mode, [one]) for run, one in zip(of, found, strict=True)]
        if found:
            lines.append(line("**median**", mode, found))
    return "\n".join(lines)


def heading() -> list[str]:
    return ["| trace | mode | " + " | ".join(name for name, _, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]


def line(name: str, mode: Mode, found: list[Figures]) -> str:
    cells = [" / ".join(number(median(found, field), digits) for field in fields) for _, fields, digits in COLUMNS]
    return f"| {name} | {mode} | " + " | ".join(cells) + " |"


def number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def median(found: list[Figures], name: str) -> float:
    values = [float(getattr(one, name)) for one in found]
    return statistics.median([value for value in values if not math.isnan(value)] or [math.nan])


def losses_of(runs: list[Run]) -> str:
    """One sentence for each mode."""
    lines: list[str] = []
    for mode in MODES:
        if of := [run for run in runs if run.mode == mode]:
            parts = ", ".join(f"{name} {share:.1f}" for name, share in losses(of).items())
            lines.append(f"Typed by hand, {mode}, in % of all characters: {parts}.")
    return "\n\n".join(lines)


_measured: list[Run] = []


def measured() -> list[Run]:
    """Every trace in every mode, run once per process."""
    if not _measured:
        _measured.extend(asyncio.run(measure(traces(TRACES), MODES)))
    return _measured


def rows() -> list[Row]:
    """(figure, must reach, measured): medians over the traces."""
    found = {mode: [figures(run) for run in measured() if run.mode == mode] for mode in MODES}

    def cell(show: Callable[[list[Figures]], str]) -> str:
        ours, off, naive = (show(found[mode]) for mode in MODES)
        return f"{ours} (switched off {off}; naive {naive})"

    def mid(unit: str, *names: str, digits: int = 0) -> Callable[[list[Figures]], str]:
        return lambda of: " / ".join(number(median(of, name), digits) for name in names) + unit

    bound = median(found["hearth"], "bound")
    return [
        (
            f"characters got by Tab (the bound set by the errors: {bound:.0f} %)",
            ">= 80 %",
            cell(mid(" %", "tab", digits=1)),
        ),
        ("key -> visible p50 / p95", "<= 40 / <= 250 ms", cell(mid(" ms", "p50", "p95"))),
        ("keys with a suggestion visible before the next", "", cell(mid(" %", "visible"))),
        (
            "tokens prefilled per typed character, after the first anchor / all in",
            "<= 2 / <= 6",
            cell(mid("", "prefill_after", "prefill_all", digits=1)),
        ),
        ("the same per character typed by hand", "", cell(mid("", "key_after", "key_all", digits=1))),
        ("decoded tokens thrown away", "<= 50 %", cell(mid(" %", "thrown"))),
        ("model busy", "<= 50 %", cell(mid(" %", "busy"))),
        ("requests to the model per 100 keys", "", cell(mid("", "requests"))),
        ("vanishing suggestions, all traces", "0", cell(lambda of: str(sum(one.vanished for one in of)))),
        (
            "final text equals the target",
            "100 %",
            cell(lambda of: f"{100 * sum(one.exact for one in of) / len(of):.0f} %"),
        ),
    ]


def notes() -> str:
    """Definitions, the single runs, and where characters were lost."""
    parts = [DEFINITIONS, table(measured()), losses_of(measured()), lateness(measured())]
    some = traces(TRACES)[:VARIED_TRACES]
    same = [run for run in measured() if run.mode == "hearth" and run.trace in some]
    lines = [*heading(), line(f"median of {len(some)} traces, as above", "hearth", [figures(run) for run in same])]
    for habits in VARIANTS:
        varied = asyncio.run(measure(some, ("hearth",), habits=habits))
        lines.append(line(habits.name, "hearth", [figures(run) for run in varied]))
    return "\n\n".join([*parts, "The same with other habits:", "\n".join(lines)])


def lateness(runs: list[Run]) -> str:
    keys = [late * 1000 for run in runs for late in run.late_s]
    tokens = [late * 1000 for run in runs for late in run.sim.late_s]
    return (
        "Lateness of the simulation itself, p50 / p99: "
        f"keys {percentile(keys, 0.5):.1f} / {percentile(keys, 0.99):.1f} ms, "
        f"the model's tokens and batches {percentile(tokens, 0.5):.1f} / {percentile(tokens, 0.99):.1f} ms."
    )


def timeline(run: Run) -> str:
    """What happened when, in milliseconds since the first key."""
    events = list(run.events)
    for number, job in enumerate(run.sim.jobs):
        asked = f"job {number} asked: {job.prompt} tokens, limit {job.limit}"
        events.append((job.asked, asked))
        if job.began:
            events.append(
                (
                    job.began,
                    f"job {number} begins, cached {job.cached}, at hunk offset {(job.offset or 0) - run.trace.start}",
                )
            )
        if job.read:
            events.append((job.read, f"job {number} has read {job.prefilled}"))
        events.append((job.ended, f"job {number} {job.outcome}: decoded {job.decoded} {job.text!r}"))
    return "\n".join(f"{(at - run.first_key) * 1000:9.0f} {text}" for at, text in sorted(events, key=lambda e: e[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=TRACES)
    parser.add_argument("--only", type=int, action="append", help="only the trace of this number")
    parser.add_argument("--modes", default="hearth", help="of hearth,off,naive, or all")
    parser.add_argument("--variant", type=int, help="with the habits of this number")
    parser.add_argument("--timelines", type=Path, help="write what happened when to files in this folder")
    options = parser.parse_args()
    modes = MODES if options.modes == "all" else tuple(options.modes.split(","))
    chosen = traces(options.traces)
    if options.only:
        chosen = [chosen[number] for number in options.only]
    begun = time.monotonic()
    habits = USUAL if options.variant is None else VARIANTS[options.variant]

    def told(run: Run) -> None:
        print(f"{run.trace.name} {run.mode} done", file=sys.stderr)

    runs = asyncio.run(measure(chosen, modes, told, habits))
    print(table(runs))
    print(f"\n{losses_of(runs)}\n\n{lateness(runs)}\n")
    for run in runs:
        for text in run.vanished:
            print(f"vanished in {run.trace.name} ({run.mode}): {text}")
        if run.mode == "hearth":
            print(run.trace.name, json.dumps(run.status["completions"]))
    print(f"{time.monotonic() - begun:.0f} s")
    if options.timelines:
        options.timelines.mkdir(parents=True, exist_ok=True)
        for run in runs:
            name = f"{run.trace.name.replace(' ', '-').replace(':', '-')}-{run.mode}.txt"
            (options.timelines / name).write_text(timeline(run))


if __name__ == "__main__":
    main()
