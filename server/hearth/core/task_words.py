"""What the code says to a model in each phase (`core.task_protocol` has the shape). Words only: nothing is decided."""

from collections.abc import Iterable, Sequence

from hearth.core.exchange import Message, Part
from hearth.core.origin import PRODUCT, USER, Origin, sources
from hearth.core.task_calls import Problem
from hearth.core.task_parts import Impacted, Step
from hearth.core.task_protocol import Correction, headed
from hearth.core.task_state import Result, State
from hearth.core.task_talk import framed

GOAL_CHARS_MAX = 8_000
FINDINGS_SHOWN_MAX = 30
FINDING_CHARS_MAX = 400
LISTED_MAX = 40

_ANALYSE = """\
Restate the goal, and name what has to change. Ask a question only if no sensible person could go on without its answer.

Answer with one JSON object:
{"goal": "...", "questions": [], "symbols": ["names of definitions that change, such as Class.method"], "files": \
["paths that change or are to be made"], "searches": ["words to look for in the project"]}"""
_IMPACT = """\
The index says that these files are impacted. Add what is missing, and waive what needs no change, each with a reason.

Answer with one JSON object:
{"add": [{"path": "...", "reason": "..."}], "waive": [{"path": "...", "reason": "..."}]}"""
_PLAN = """\
Plan the change in steps. Every impacted file belongs to a step, tests and documentation too; files that must change \
together belong to the same step.

Answer with one JSON object:
{"steps": [{"title": "...", "files": ["..."], "check": "tests"}]}"""
_IMPLEMENT = """\
Carry out this step with calls of tools. Change or `waive` each of its files, then call `done`."""
_CORRECT = """\
The change is not finished: this was found. Put it right with calls of tools, then call `done`. If a finding about a \
name or an untouched file is no fault, `waive` its file with the reason. For `uncovered`, look at the lines once more, \
then write or extend a test that runs them, or `waive` the file."""
_FORMS: dict[Correction, str] = {
    "json": "Answer with the JSON object that the phase asks for, and nothing else.",
    "no-call": (
        'Answer with calls of tools. When the step is finished, call `done`:\n```call done\n{"summary": "..."}\n```'
    ),
    "malformed-call": (
        "The form is:\n```call read\n"
        '{"path": "src/a.py", "start": 1, "end": 80}\n```\n'
        "and for a change:\n```call edit src/a.py\n<<<<<<< SEARCH\nlines as they are now\n=======\n"
        "lines as they are to be\n>>>>>>> REPLACE\n```"
    ),
    "unknown-tool": "Only the tools that were named exist.",
    "bad-arguments": "Send the call again with all its arguments.",
    "truncated": "Send less in one answer: one call at a time, and edits instead of whole files.",
    "repeated": "You made this call before, and nothing has changed since: the result is the same. Do something else.",
    "untouched": "Change each of these files, or `waive` it with a reason; then call `done`.",
}


def _demand(fields: dict[str, object], *parts: Part) -> Message:
    head = headed(fields)
    return Message("user", (Part(f"{head}\n\n", (PRODUCT, USER)), *parts))


def _own(text: str) -> Part:
    return Part(text, (PRODUCT,))


def analyse(state: State, text: str, origins: Sequence[Origin]) -> Message:
    """The first demand: the goal, the map, what was found."""
    start = state.start
    parts = [Part(f"The goal, in the user's words:\n{start.goal[:GOAL_CHARS_MAX]}\n\n", (USER,))]
    if text:
        parts += [_own("What the index knows of the project:\n"), Part(framed(text, start.mark), sources(origins))]
        parts.append(_own("\n\n"))
    return _demand({"Phase": "analyse", "Goal": start.goal}, *parts, _own(_ANALYSE))


def _listed(files: Iterable[Impacted]) -> str:
    shown = [one for one in files if not one.waived]
    lines = [f"- {one.path}: {one.reason}{'' if one.sure else ' (perhaps)'}" for one in shown[:LISTED_MAX]]
    return "\n".join(lines) or "- nothing was found"


def _answers(state: State) -> list[Part]:
    pairs = [f"- {asked}\n  {said}" for asked, said in zip(state.questions, state.answers, strict=False) if said]
    return [Part("The user's answers:\n" + "\n".join(pairs) + "\n\n", (USER,))] if pairs else []


def _file_names(state: State, paths: Iterable[str]) -> tuple[Origin, ...]:
    """Where names of files come from: the files."""
    return sources(Origin("file", path, state.start.folder, 0, 1) for path in paths)


def impact(state: State) -> Message:
    files = [one for one in state.impacted if not one.waived]
    origins = _file_names(state, (one.path for one in files)) or (PRODUCT,)
    listed = Part(framed(_listed(files), state.start.mark) + "\n\n", origins)
    fields: dict[str, object] = {"Phase": "impact", "Goal": state.goal, "Files": len(files)}
    return _demand(fields, *_answers(state), listed, _own(_IMPACT))


def plan(state: State) -> Message:
    origins = _file_names(state, (one.path for one in state.impacted)) or (PRODUCT,)
    listed = Part(framed(_listed(state.impacted), state.start.mark) + "\n\n", origins)
    return _demand({"Phase": "plan", "Goal": state.goal}, listed, _own(_PLAN))


def _opened(opened: Sequence[Result]) -> list[Part]:
    parts: list[Part] = []
    for result in opened:
        if result.ok:
            parts += [_own(f"{result.call.arguments['path']} as it is now:\n"), Part(result.text, result.origins)]
            parts.append(_own("\n\n"))
    return parts


def implement(state: State, step: Step, opened: Sequence[Result]) -> Message:
    """The demand of a step, with its files as they are."""
    fields: dict[str, object] = {
        "Phase": "implement",
        "Goal": state.goal,
        "Step": f"{state.step + 1} of {len(state.steps)}",
        "Title": step.title,
        "Files": ", ".join(step.files),
        "Check": step.check,
    }
    why = {one.path: one.reason for one in state.impacted}
    reasons = [f"- {path}: {why.get(path, 'planned')}" for path in step.files]
    named = Part(framed("\n".join(reasons), state.start.mark) + "\n\n", _file_names(state, step.files) or (PRODUCT,))
    return _demand(fields, named, *_opened(opened), _own(_IMPLEMENT))


def correct(state: State, opened: Sequence[Result]) -> Message:
    """The demand of a round of correcting: what was found."""
    fields: dict[str, object] = {
        "Phase": "correct",
        "Goal": state.goal,
        "Round": f"{state.round} of {state.start.limits.rounds}",
        "Findings": len(state.asking),
    }
    shown = state.asking[:FINDINGS_SHOWN_MAX]
    lines = [finding.line_text[:FINDING_CHARS_MAX] for finding in shown]
    if len(state.asking) > len(shown):
        lines.append(f"({len(state.asking) - len(shown)} more)")
    paths = [one.path for one in shown if one.path]
    origins = (Origin("tool", name="the project's checks"), *_file_names(state, paths))
    return _demand(
        fields, Part(framed("\n".join(lines), state.start.mark) + "\n\n", origins), *_opened(opened), _own(_CORRECT)
    )


def correction(kind: Correction, text: str) -> str:
    """What is wrong with an answer, and the right form."""
    return headed({"Correction": kind}, f"{text}\n{_FORMS[kind]}".strip())


def corrections(problems: Sequence[Problem]) -> str:
    """Several, the form of each kind said once."""
    said: list[str] = []
    kinds: set[str] = set()
    for problem in problems:
        form = "" if problem.kind in kinds else _FORMS[problem.kind]
        kinds.add(problem.kind)
        said.append(headed({"Correction": problem.kind}, f"{problem.text}\n{form}".strip()))
    return "\n\n".join(said)


def result(number: int, found: Result) -> str:
    """A result as text; what is of the project stands in a frame in it."""
    return headed({"Result": found.call.name, "Call": number}, found.text)
