"""The loop of a multi-file task as a machine without hands: code drives the phases, a model fills them in.

    state = begin(start)
    while state.ending is None:
        action = next_action(state)
        state = observed(state, WHATEVER DID IT(action), seconds)

    survey -> analyse -> (questions) -> find -> impact -> agree -> plan -> agree -> prepare
           -> for each step: open its files -> implement: answer, tools, answer, ... done
           -> inspect -> done, or correct: open, answer, tools, ... done -> inspect -> ...

Nothing here does anything: no clock, no file, no model. So the same observations give the same state, whenever they are
observed, which is how a task is taken up after its process was killed, and how a recorded one is played again.

How it ends: every step is through and nothing is found to be wrong, proved or not all of it; or a limit of `Limits` is
reached; or the same findings come back, whatever was done about them; or the user says no. Whatever the end,
`state.changes` is what there is, and the findings say what is wrong with it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256

from hearth.core import task_turns as turns
from hearth.core import task_words as words
from hearth.core.route import Choice
from hearth.core.task_calls import Call, answer
from hearth.core.task_findings import weakened
from hearth.core.task_parts import Impacted, Step
from hearth.core.task_proof import asking, judged_by_model, summary, waits
from hearth.core.task_protocol import CORRECTIONS_MAX, QUESTIONS_MAX, SCHEMAS, STEP_FILES_MAX, STEPS_MAX, TOOLS
from hearth.core.task_reading import impact_of, items_of, plan_of, texts_of
from hearth.core.task_state import (
    Action,
    Answered,
    AskModel,
    AskUser,
    Find,
    Finding,
    Finish,
    Found,
    ImpactAgreed,
    Inspect,
    Inspected,
    NoAnswer,
    Observation,
    PlanAgreed,
    Prepare,
    Prepared,
    Replied,
    RunTools,
    ShowImpacted,
    ShowPlan,
    ShowWeakened,
    Start,
    State,
    Stopped,
    Survey,
    Surveyed,
    ToolsRan,
    WeakenedAgreed,
)
from hearth.core.task_survey import names_in
from hearth.core.task_talk import answered as answered_message
from hearth.core.task_talk import fitted, size, system_message

MAP_TOKENS_MAX = 1_500
FOUND_TOKENS_MAX = 2_500
OPENED_MAX = 6
"""Files shown with a demand."""
OVERFLOWS_MAX = 3
TOOLS_TOKENS = 1_000
"""What the schemas of the tools take in a prompt, about."""
WINDOW_MIN, WINDOW_MAX = 1_024, 64_000
"""A longer conversation costs more than it helps, whatever the model could take."""
SAME_FINDINGS_MAX = 2
"""How often the same findings may come back: the first time a larger model is asked, where there is one."""
RESULT_CHARS_MAX = 14_000
RESULT_SHARE = 0.2
"""Of the window, that one result of a tool may take."""
OUTPUT_SHARE_MAX = 3
"""The answer gets at most one part in so many of the window."""
CHARS_PER_TOKEN = (1.8, 4.2)
"""Between these a model's own measure is believed."""
_PLACE = re.compile(r"\bat ([\w./-]+):\d+: ")
REST_TITLE = "What else is impacted"
SYMBOLS_MAX = 40
FILES_MAX = 60
MODELS_MAX = 8


def begin(start: Start) -> State:
    """A task of which nothing is known yet."""
    window = _window(start.abilities.context_tokens)
    return State(start, conversation=(system_message(),), window=window, goal=_line(start.goal))


def _window(tokens: int) -> int:
    return min(max(WINDOW_MIN, tokens), WINDOW_MAX)


def next_action(state: State) -> Action:
    """What is to be done now. The same for the same state."""
    match state.stage:
        case "survey":
            window = state.window
            return Survey(state.start.goal, min(MAP_TOKENS_MAX, window // 8), min(FOUND_TOKENS_MAX, window // 5))
        case "ask":
            return _question(state)
        case "questions":
            return AskUser(state.questions)
        case "find":
            return Find(state.start.goal, state.symbols, state.files, state.searches)
        case "impacted":
            return ShowImpacted(state.impacted)
        case "agree":
            return ShowPlan(state.steps)
        case "prepare":
            return Prepare()
        case "open":
            return RunTools(_opening(state), result_chars(state))
        case "tools":
            run = tuple(call for number, call in enumerate(state.pending) if number not in state.canned)
            return RunTools(run, result_chars(state))
        case "inspect":
            return Inspect()
        case "weakened":
            return ShowWeakened(_unasked(state))
        case "end":
            return Finish(state.ending or "failed", state.stop)


def observed(state: State, seen: Observation, seconds: float = 0.0) -> State:
    """The state after an observation, `seconds` after the one before. ValueError for one that does not belong here."""
    if state.ending is not None:
        return state
    state = replace(state, spent=replace(state.spent, seconds=state.spent.seconds + max(0.0, seconds)))
    return _limited(_after(state, seen))


def _after(state: State, seen: Observation) -> State:
    stage = state.stage
    match seen:
        case Stopped():
            return _ended(state, "stopped", seen.why)
        case Surveyed() if stage == "survey":
            return _surveyed(state, seen)
        case Answered() if stage == "ask":
            return _answered(state, seen)
        case NoAnswer() if stage == "ask":
            return _no_answer(state, seen)
        case Replied() if stage == "questions":
            return replace(state, answers=tuple(_line(one) for one in seen.answers), stage="find")
        case Found() if stage == "find":
            return _ask(replace(state, impacted=seen.files, phase="impact"), words.impact)
        case ImpactAgreed() if stage == "impacted":
            if seen.files is None:
                return _ended(state, "refused", "you ended it at the impacted files")
            return _ask(replace(state, impacted=seen.files, phase="plan"), words.plan)
        case PlanAgreed() if stage == "agree":
            if not seen.steps:
                return _ended(state, "refused", "you did not agree to the plan")
            return replace(state, steps=seen.steps, stage="prepare")
        case Prepared() if stage == "prepare":
            return _prepared(state, seen)
        case ToolsRan() if stage == "open":
            return _opened(state, seen)
        case ToolsRan() if stage == "tools":
            return _ran(state, seen)
        case Inspected() if stage == "inspect":
            return _inspected(state, seen)
        case WeakenedAgreed() if stage == "weakened":
            return _weakened(state, seen.agreed)
        case _:
            raise ValueError(f"{type(seen).__name__} cannot be seen at {stage}")


# Asking


def result_chars(state: State) -> int:
    """How long one result of a tool may be."""
    return min(RESULT_CHARS_MAX, int(state.window * RESULT_SHARE * state.chars_per_token))


def output_tokens(state: State) -> int:
    return max(256, min(state.start.abilities.output_tokens, state.window // OUTPUT_SHARE_MAX))


def _question(state: State) -> AskModel:
    """Who is best asked: what touches several files is for a larger model, if there is one and the user lets it."""
    abilities = state.start.abilities
    calls = state.phase in ("implement", "correct")
    files = 2
    if state.phase == "implement":
        files = max(1, len(state.steps[state.step].files))
    elif state.phase == "correct" and state.round == 1:
        files = max(1, len({one.path for one in state.asking}))
    choice = state.start.choice
    if choice.place == "auto" and state.local_only:
        choice = Choice("local", "", choice.models)
    elif choice.place == "auto" and state.escalated:
        choice = Choice("cloud", choice.model, choice.models)
    return AskModel(
        state.phase, output_tokens(state), files, calls and abilities.tools, not calls and abilities.schema, choice
    )


def _ask(state: State, demand: turns.Demanding) -> State:
    return _fit(turns.say(replace(state, stage="ask", corrected=0), demand(state)))


def _fit(state: State) -> State:
    """The conversation within the window: folded, if it must be."""
    room = state.window - output_tokens(state) - (TOOLS_TOKENS if state.start.abilities.tools else 0)
    messages, folded = fitted(state.conversation, max(WINDOW_MIN // 2, room), state.chars_per_token)
    # What was folded away may be asked for again.
    return replace(state, conversation=messages, folds=state.folds + 1, seen=frozenset()) if folded else state


def _counted(state: State, seen: Answered) -> State:
    """With what an answer cost, and what it says of the window and of how many characters a token has."""
    spent, asked = state.spent, state.conversation
    prompt = seen.prompt_tokens if seen.prompt_tokens is not None else size(asked, state.chars_per_token)
    said = len(seen.text) + sum(len(str(dict(call.arguments))) for call in seen.calls)
    generated = seen.generated_tokens if seen.generated_tokens is not None else int(said / state.chars_per_token)
    models = dict.fromkeys((*spent.models, f"{seen.model or seen.name} ({seen.place})"))
    spent = replace(
        spent,
        turns=spent.turns + 1,
        prompt_tokens=spent.prompt_tokens + prompt,
        cached_tokens=spent.cached_tokens + (seen.cached_tokens or 0),
        generated_tokens=spent.generated_tokens + generated,
        cost=spent.cost + (seen.cost or Decimal(0)),
        entries=(*spent.entries, *seen.entries),
        models=tuple(models)[:MODELS_MAX],
    )
    ratio = state.chars_per_token
    if seen.prompt_tokens:
        measured = sum(len(message.text) for message in asked) / seen.prompt_tokens
        ratio = min(max(measured, CHARS_PER_TOKEN[0]), CHARS_PER_TOKEN[1])
    window = _window(seen.context_tokens) if seen.context_tokens else state.window
    notes = tuple(dict.fromkeys((*state.notes, *seen.notes)))
    return replace(state, spent=spent, chars_per_token=ratio, window=window, notes=notes, overflows=0)


def _no_answer(state: State, seen: NoAnswer) -> State:
    if seen.overflow and state.overflows < OVERFLOWS_MAX:
        smaller = replace(state, window=max(WINDOW_MIN, int(state.window * 0.6)), overflows=state.overflows + 1)
        return _fit(smaller)
    away = seen.refused or state.escalated
    if away and state.start.choice.place == "auto" and not state.local_only:
        note = f"from here on with your own models only: {seen.message}"
        return replace(state, local_only=True, notes=(*state.notes, note))
    stop = replace(state, stop_remedy=seen.remedy)
    if seen.refused:
        return _ended(stop, "stopped" if state.changes else "refused", seen.message)
    return _ended(stop, "stopped" if state.changes else "failed", seen.message)


def _answered(state: State, seen: Answered) -> State:
    asked = state.conversation
    state = _counted(state, seen)
    if state.phase not in SCHEMAS:
        return _fit(turns.answered(state, seen))
    state = turns.say(state, answered_message(seen.text, asked, ()))
    whole = seen.ending == "stop"
    value, why = answer(seen.text, SCHEMAS[state.phase])
    if value is None and state.corrected < CORRECTIONS_MAX:
        text = why if whole else f"Your answer was cut off before its end. {why}"
        told = turns.say(state, turns.plain(words.correction("json", text)))
        return _fit(replace(told, corrected=state.corrected + 1))
    found = value or {}
    match state.phase:
        case "analyse":
            return _analysed(state, found)
        case "impact":
            return replace(state, impacted=impact_of(state.impacted, found), stage="impacted", corrected=0)
        case _:
            return replace(state, steps=_steps(state, found), stage="agree", corrected=0)


# The phases


def _surveyed(state: State, seen: Surveyed) -> State:
    ready = replace(state, symbols=seen.symbols, files=seen.files, phase="analyse")
    if seen.problem:
        ready = replace(ready, notes=(*ready.notes, seen.problem))
    return _ask(ready, lambda now: words.analyse(now, seen.text, seen.origins))


def _analysed(state: State, found: dict[str, object]) -> State:
    goal = _line(str(found.get("goal") or "")) or state.goal
    symbols = tuple(dict.fromkeys((*state.symbols, *names_in(state.start.goal), *texts_of(found, "symbols"))))
    files = tuple(dict.fromkeys((*state.files, *items_of(found, "files"))))
    questions = tuple(texts_of(found, "questions"))[:QUESTIONS_MAX]
    state = replace(
        state,
        goal=goal,
        symbols=symbols[:SYMBOLS_MAX],
        files=files[:FILES_MAX],
        searches=tuple(texts_of(found, "searches"))[:QUESTIONS_MAX],
        questions=questions,
        corrected=0,
    )
    return replace(state, stage="questions" if questions else "find")


def _steps(state: State, found: dict[str, object]) -> tuple[Step, ...]:
    """The model's plan, and behind it whatever is impacted for sure and was forgotten."""
    steps = plan_of(found)[:STEPS_MAX]
    planned = {path for step in steps for path in step.files}
    rest = [one.path for one in state.impacted if one.sure and not one.waived and one.path not in planned]
    if not steps and not rest:
        rest = [one.path for one in state.impacted if not one.waived]
    title = REST_TITLE if steps else state.goal
    pieces = [rest[at : at + STEP_FILES_MAX] for at in range(0, len(rest), STEP_FILES_MAX)]
    added = [Step(title, tuple(piece), "tests") for piece in pieces]
    return (*steps, *added) or (Step(state.goal, (), "tests"),)


def _prepared(state: State, seen: Prepared) -> State:
    ready = replace(
        state,
        commands=seen.commands,
        commands_agreed=seen.agreed,
        commands_why_not=seen.why_not,
        commands_digest=seen.digest,
        baseline=seen.baseline,
    )
    return _to_step(ready, 0)


def _to_step(state: State, number: int) -> State:
    if number >= len(state.steps):
        return replace(state, step=len(state.steps) - 1, stage="inspect")
    return replace(
        state,
        phase="implement",
        step=number,
        stage="open",
        step_turns=0,
        corrected=0,
        repeats=0,
        untouched_told=0,
        pending=(),
        closing=None,
    )


def _opening(state: State) -> tuple[Call, ...]:
    """The files that are shown with a demand."""
    if state.phase == "implement":
        paths: Sequence[str] = state.steps[state.step].files
    else:
        places = [path for one in state.asking for path in _PLACE.findall(one.text) if path in state.changes]
        paths = tuple(dict.fromkeys((*places, *(one.path for one in state.asking if one.path))))
    return tuple(Call("read", {"path": path, "plain": True}) for path in paths[:OPENED_MAX])


def _opened(state: State, seen: ToolsRan) -> State:
    if state.phase == "implement":
        step = state.steps[state.step]
        return _ask(state, lambda now: words.implement(now, step, seen.results))
    return _ask(state, lambda now: words.correct(now, seen.results))


def _ran(state: State, seen: ToolsRan) -> State:
    state = turns.ran(state, seen)
    if state.closing is None:
        return _fit(state)
    if state.phase == "correct":
        return _again(replace(state, stage="inspect", closing=None))
    return _to_step(replace(state, closing=None), state.step + 1)


def _again(state: State) -> State:
    """After a round. Where it changed nothing, and all that was found is for a model to judge, nothing is run again."""
    if state.last is None or state.last[1] != state.changes or not all(map(judged_by_model, state.last[0].findings)):
        return state
    return _inspected(state, state.last[0])


def _inspected(state: State, seen: Inspected) -> State:
    waived = {"stale", "untouched"}
    found = [one for one in seen.findings if not (one.kind in waived and one.path in state.waived)]
    found += [one for one in turns.untouched_findings(state) if one.key not in {other.key for other in found}]
    found = [one for one in found if one.key not in state.weakened_agreed]
    state = replace(
        state, findings=tuple(found), checks=seen.checks, unknown=seen.unknown, last=(seen, dict(state.changes))
    )
    return replace(state, stage="weakened") if _unasked(state) else _judged(state)


def _unasked(state: State) -> tuple[Finding, ...]:
    return tuple(one for one in state.findings if one.kind == "weakened" and one.key not in state.weakened_asked)


def _weakened(state: State, agreed: bool) -> State:
    keys = frozenset(one.key for one in _unasked(state))
    state = replace(state, weakened_asked=state.weakened_asked | keys)
    if agreed:
        left = tuple(one for one in state.findings if one.key not in keys)
        state = replace(state, weakened_agreed=state.weakened_agreed | keys, findings=left)
    else:
        state = _put_back(state)
    return _judged(state)


def _put_back(state: State) -> State:
    """Tests that would lose something, which nobody agreed to, as they were before the task."""
    before = {path: text for path, text in state.bases.items() if text is not None}
    after = {path: text for path, text in state.changes.items() if text is not None}
    lost = [one for one in weakened(before, after, state.changes) if one.key not in state.weakened_agreed]
    paths = {one.path for one in lost}
    if not paths:
        return state
    notes = [f"{path} was put back as it was: it would have been weaker" for path in sorted(paths)]
    kept = {path: text for path, text in state.changes.items() if path not in paths}
    return replace(state, changes=kept, notes=tuple(dict.fromkeys((*state.notes, *notes))))


def _judged(state: State) -> State:
    """Whether it is finished, goes on, or goes nowhere."""
    if state.stop:
        return _ended(state, "stopped", state.stop)
    found = tuple(one for one in state.findings if waits(state, one))
    last = state.round >= state.start.limits.rounds
    if not found or (last and all(map(judged_by_model, found))):
        return _finished(state)
    mark = sha256("\n".join(sorted(one.key for one in found)).encode("utf-8", "replace")).hexdigest()
    times = state.fingerprints.count(mark)
    state = replace(asking(state, found), fingerprints=(*state.fingerprints, mark))
    count = len(found)
    left = f"{count} finding{'s are' if count > 1 else ' is'} left"
    if times >= SAME_FINDINGS_MAX:
        return _ended(state, "stopped", f"the same findings came back, whatever was tried; {left}")
    if last:
        return _ended(state, "stopped", f"the limit of {state.start.limits.rounds} rounds was reached; {left}")
    escalated = state.escalated or times > 0
    return replace(
        state,
        phase="correct",
        stage="open",
        round=state.round + 1,
        escalated=escalated,
        step_turns=0,
        corrected=0,
        repeats=0,
        pending=(),
        closing=None,
    )


# Ends


def _finished(state: State) -> State:
    """Nothing is known to be wrong. Whether that is proved is another question."""
    state = _put_back(state)
    if not state.changes:
        waived = any(one.waived for one in state.impacted) or bool(state.waived)
        return _ended(state, "stopped", f"nothing was changed{': what is impacted was waived' if waived else ''}")
    why = summary(state)
    return _ended(state, "unverified" if why else "done", why)


def _ended(state: State, ending: turns.Ending, stop: str) -> State:
    return replace(_put_back(state), stage="end", ending=ending, stop=stop)


def _limited(state: State) -> State:
    """Stops before another question where a limit is reached: what is there is looked at once more."""
    if state.stage not in ("ask", "open") or state.stop:
        return state
    stop = reached(state)
    if not stop:
        return state
    if state.changes and state.phase in ("implement", "correct"):
        return replace(state, stop=stop, stage="inspect")
    return _ended(state, "stopped", stop)


def reached(state: State) -> str:
    """Which limit is reached, in words; "" for none."""
    limits, spent = state.start.limits, state.spent
    if spent.turns >= limits.turns:
        return f"the limit of {limits.turns} answers was reached"
    if spent.tokens >= limits.tokens:
        return f"the limit of {limits.tokens} tokens was reached"
    if spent.seconds >= limits.seconds:
        return f"the limit of {limits.seconds:.0f} seconds was reached"
    if spent.cost >= limits.money and spent.cost > 0:
        return f"the limit of ${limits.money} was reached"
    return ""


def impacted_left(state: State) -> tuple[Impacted, ...]:
    """The impacted files that were neither changed nor waived."""
    touched = turns.touched(state)
    return tuple(one for one in state.impacted if one.sure and not one.waived and one.path not in touched)


def tools_of(action: AskModel) -> tuple[turns.Tool, ...]:
    """The tools that go with a question."""
    return TOOLS if action.tools else ()


def _line(text: str) -> str:
    return " ".join(text.split())
