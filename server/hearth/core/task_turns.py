"""One turn of implementing or correcting: what a model's answer means, and what it is told next.

A call runs once. The same call again, with nothing changed since, is named as a repeat and not run; a model that only
repeats itself ends its step. `done` counts where each file of the step was changed or waived; what is missing is named
twice, and is a finding after that.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hearth.core import task_words as words
from hearth.core.exchange import Message, Part, Tool
from hearth.core.origin import PRODUCT
from hearth.core.task_calls import Call, Problem, Read, native, written
from hearth.core.task_parts import Ending
from hearth.core.task_protocol import CHANGING, CORRECTIONS_MAX
from hearth.core.task_state import Answered, Finding, Result, State, ToolsRan
from hearth.core.task_talk import answered as answered_message

__all__ = ["Demanding", "Ending", "Tool", "answered", "plain", "ran", "say", "touched", "untouched_findings"]

UNTOUCHED_TOLD_MAX = 2
REPEATS_MAX = 3
NOTES_MAX = 40

Demanding = Callable[[State], Message]


def say(state: State, *messages: Message) -> State:
    """With more turns in the conversation."""
    return replace(state, conversation=(*state.conversation, *messages))


def plain(text: str, call_id: str = "") -> Message:
    """Hearth's own words as a turn."""
    return Message("tool" if call_id else "user", (Part(text, (PRODUCT,)),), call_id=call_id)


def touched(state: State) -> frozenset[str]:
    """The files that were changed or waived."""
    return frozenset(state.changes) | frozenset(state.waived)


def answered(state: State, seen: Answered) -> State:
    """After an answer: its calls wait to be run, or it is told what is wrong with it."""
    asked = state.conversation
    read = native(seen.calls, seen.broken_calls)
    is_native = bool(read.calls or read.problems)
    if not is_native:
        read = written(seen.text, whole=seen.ending == "stop")
    elif seen.ending != "stop":
        read = Read([], [Problem("truncated", "Your answer was cut off before its end, so none of its calls ran.")])
        is_native = False
    kept = seen.calls if is_native else ()
    state = say(state, answered_message(seen.text, asked, kept))
    state = replace(state, step_turns=state.step_turns + 1, native=is_native)
    if read.calls:
        return _waiting(state, read)
    problems = read.problems or [Problem("no-call", "There was no call in your answer.")]
    return _told(state, problems)


def _told(state: State, problems: Sequence[Problem]) -> State:
    """An answer without a call that could be run. After too many the step ends."""
    by_id = [problem for problem in problems if problem.id]
    rest = [problem for problem in problems if not problem.id]
    messages = [plain(words.corrections([problem]), problem.id) for problem in by_id]
    if rest:
        messages.append(plain(words.corrections(rest)))
    state = replace(say(state, *messages), corrected=state.corrected + 1, problems=())
    if state.corrected > CORRECTIONS_MAX:
        return _given_up(state, "the model's answers could not be used")
    return _turned(state)


def _turned(state: State) -> State:
    """The model's turn again, unless the step has had its share of them."""
    if state.step_turns >= state.start.limits.turns_per_step:
        limit = state.start.limits.turns_per_step
        return _given_up(state, f"the limit of {limit} answers for one step was reached")
    return replace(state, stage="ask")


def _given_up(state: State, why: str) -> State:
    """The step ends as it is; what is missing is found by the inspection. The machine goes on at `ran`."""
    place = f"step {state.step + 1}" if state.phase == "implement" else f"round {state.round}"
    notes = (*state.notes, f"{place}: {why}")[:NOTES_MAX]
    empty = replace(state, notes=notes, pending=(), canned={}, problems=(), closing="")
    return replace(empty, stage="tools", untouched_told=UNTOUCHED_TOLD_MAX)


def _waiting(state: State, read: Read) -> State:
    """The calls up to `done`; those that need nobody's hands have their results."""
    pending: list[Call] = []
    canned: dict[int, Result] = {}
    closing: str | None = None
    waived = dict(state.waived)
    fresh = set(state.seen)
    for call in read.calls:
        number = len(pending)
        pending.append(call)
        if call.name == "done":
            closing = " ".join(str(call.arguments.get("summary", "")).split())
            canned[number] = _own(call, "Noted.")
            break
        if call.name == "waive":
            canned[number] = _waived(call, waived)
        elif call.key in fresh:
            canned[number] = _own(call, words.correction("repeated", ""), ok=False)
        if call.name in CHANGING:
            fresh.clear()
        fresh.add(call.key)
    only_repeats = all(call.key in state.seen for call in pending if call.name not in ("waive", "done"))
    moves = closing is not None or any(call.name == "waive" for call in pending)
    repeats = state.repeats + 1 if only_repeats and not moves else 0
    return replace(
        state,
        stage="tools",
        pending=tuple(pending),
        canned=canned,
        problems=tuple(read.problems),
        closing=closing,
        waived=waived,
        repeats=repeats,
        corrected=0,
    )


def _own(call: Call, text: str, *, ok: bool = True) -> Result:
    return Result(call, text, ok, (PRODUCT,))


def _waived(call: Call, waived: dict[str, str]) -> Result:
    path, reason = str(call.arguments["path"]), " ".join(str(call.arguments["reason"]).split())
    if not reason:
        return _own(call, "Not noted: say why.", ok=False)
    waived[path] = reason[:300]
    return _own(call, f"Noted: {path} needs no change.")


def ran(state: State, seen: ToolsRan) -> State:
    """After the calls ran: their results are told. `closing` is None unless the step has come to its end."""
    results = _in_order(state, seen.results)
    changed = dict(seen.changes) != dict(state.changes)
    known: frozenset[str] = frozenset() if changed else state.seen
    read_after = {one.call.key for one in (_after_last_change(results) if changed else results)}
    state = replace(
        state,
        changes={**seen.changes} if changed else state.changes,
        bases={**state.bases, **seen.bases},
        approved={**state.approved, **seen.approved},
        seen=known | read_after,
        pending=(),
        canned={},
    )
    if state.closing is not None:
        why = _unfinished(state, results)
        if not why:
            return _closed(state, results)
        state = replace(state, closing=None, untouched_told=state.untouched_told + 1)
        return _turned(_results_told(state, results, [Problem("untouched", why)]))
    state = _results_told(state, results, state.problems)
    if state.repeats >= REPEATS_MAX:
        # Nothing is left to be run, and the machine has only to be told that this is the end.
        return replace(_given_up(state, "the model only repeated itself"), closing="", stage="tools")
    return _turned(state)


def _in_order(state: State, found: Sequence[Result]) -> list[Result]:
    waiting = list(found)
    results: list[Result] = []
    for number in range(len(state.pending)):
        if number in state.canned:
            results.append(state.canned[number])
        elif waiting:
            results.append(waiting.pop(0))
    return results


def _after_last_change(results: Sequence[Result]) -> list[Result]:
    last = max((n for n, one in enumerate(results) if one.ok and one.call.name in CHANGING), default=-1)
    return list(results[last + 1 :])


def _unfinished(state: State, results: Sequence[Result]) -> str:
    """Why `done` does not count yet, "" if it does."""
    if state.untouched_told >= UNTOUCHED_TOLD_MAX:
        return ""
    failed = [one.call.label for one in results if one.call.name in CHANGING and not one.ok]
    if failed:
        return f"The step is not done: {'; '.join(failed)} did not work."
    if state.phase != "implement":
        return ""
    left = [path for path in state.steps[state.step].files if path not in touched(state)]
    return f"The step is not done: neither changed nor waived: {', '.join(left)}." if left else ""


def _closed(state: State, results: Sequence[Result]) -> State:
    """The step's end: its note kept, and what native calls must be answered with."""
    note = f"{state.steps[state.step].title}: {state.closing}" if state.phase == "implement" else str(state.closing)
    if state.closing:
        state = replace(state, step_notes=(*state.step_notes, note)[:NOTES_MAX])
    return _results_told(state, results, []) if state.native else state


def _results_told(state: State, results: Sequence[Result], problems: Sequence[Problem]) -> State:
    messages: list[Message] = []
    parts: list[Part] = []
    for number, result in enumerate(results, 1):
        text = words.result(number, result)
        if result.call.id:
            messages.append(Message("tool", (Part(text, result.origins),), call_id=result.call.id))
        else:
            parts += [Part(text, result.origins), Part("\n\n", (PRODUCT,))]
    for problem in problems:
        if problem.id:
            messages.append(plain(words.corrections([problem]), problem.id))
    rest = [problem for problem in problems if not problem.id]
    if rest:
        parts.append(Part(words.corrections(rest), (PRODUCT,)))
    if parts:
        messages.append(Message("user", tuple(parts)))
    return replace(say(state, *messages), problems=())


def untouched_findings(state: State) -> list[Finding]:
    """The planned and impacted files that nobody touched and nobody waived."""
    done = touched(state)
    found: list[Finding] = []
    for number, step in enumerate(state.steps, 1):
        for path in step.files:
            if path not in done and path not in {one.path for one in found}:
                text = f"neither changed nor waived (planned in step {number})"
                found.append(Finding("untouched", path, text))
    return found
