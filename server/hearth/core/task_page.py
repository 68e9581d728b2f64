"""A task as a Markdown document that grows while it runs, and the certificate at its end: what changed, what proves it,
what is not verified, what it cost, what left the machine, which limit was reached.

What came from a model, a file or a command is shown as text: nothing in it becomes a link, an image or markup.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hearth.core.task import impacted_left
from hearth.core.task_outputs import identity
from hearth.core.task_parts import Ending, Step
from hearth.core.task_proof import NO_TEST_RUN, unproved
from hearth.core.task_state import Check, State

LINES_MAX = 60
TEXT_CHARS_MAX = 500
PHASES = (
    ("analyse", "Analyse"),
    ("impact", "Impacted files"),
    ("plan", "Plan"),
    ("implement", "Implement"),
    ("verify", "Verify"),
    ("correct", "Correct"),
    ("end", "Certificate"),
)
_ENDINGS: dict[Ending, str] = {
    "done": "Done",
    "unverified": "Done, not all of it verified",
    "stopped": "Stopped before its end",
    "refused": "Ended by you",
    "failed": "Failed",
}
_MARKUP = re.compile(r"([\\`*\[\]<~]|(?<![^\W_])_|_(?![^\W_])|^[#>])")
"""What Markdown would make something of, and no more: the page is read as text, too."""
_SPAN = re.compile(r"((?<![\\`])`[^`]+`(?!`))")
_STATUS = {"passed": "passed", "failed": "FAILED", "not verified": "not verified"}


def escaped(text: str) -> str:
    """A text on one line that Markdown shows as it is; a span of code may stay one, as nothing in it is markup."""
    parts = _SPAN.split(" ".join(text.split())[:TEXT_CHARS_MAX])
    return "".join(part if number % 2 else _MARKUP.sub(r"\\\1", part) for number, part in enumerate(parts))


def code(text: str) -> str:
    """A text on one line as code."""
    plain = " ".join(text.split())[:TEXT_CHARS_MAX].replace("`", "'")
    return f"`{plain}`" if plain else ""


def plan_page(steps: Sequence[Step]) -> str:
    """The plan alone, as it is shown to be agreed to."""
    return "\n".join(_steps(steps, -1)) + "\n"


def page(state: State) -> str:
    """The live document of a task."""
    lines = [f"# {escaped(state.start.goal)[:TEXT_CHARS_MAX]}", "", f"*{_now(state)}*", ""]
    if state.goal and state.stage != "survey":
        lines += ["## Analyse", "", escaped(state.goal), ""]
        for number, question in enumerate(state.questions):
            answer = state.answers[number] if number < len(state.answers) else ""
            lines.append(f"- {escaped(question)}{f' — {escaped(answer)}' if answer else ''}")
    if state.impacted:
        lines += ["", "## Impacted files", "", *_impacted(state)]
    if state.steps:
        lines += ["", "## Plan", "", *_steps(state.steps, _at(state))]
    if state.changes:
        lines += ["", "## Changes", "", *_changes(state)]
    if state.baseline or state.checks or state.commands_why_not:
        lines += ["", "## Verify", "", *_checks(state)]
    if state.findings:
        lines += ["", f"## Findings (round {state.round})", ""]
        lines += [f"- {code(one.line_text.removeprefix('- '))}" for one in state.findings[:LINES_MAX]]
    if state.notes:
        lines += ["", "## Notes", "", *[f"- {escaped(note)}" for note in state.notes]]
    if state.ending is not None:
        lines += ["", *_certificate(state)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _now(state: State) -> str:
    if state.ending is not None:
        return f"{_ENDINGS[state.ending]}{f': {escaped(state.stop)}' if state.stop else ''}"
    match state.stage:
        case "survey" | "find":
            return "Looking at the project"
        case "questions":
            return "Waiting for your answers"
        case "impacted" | "agree" | "weakened":
            return "Waiting for you"
        case "prepare":
            return "Looking for the project's checks, and running them once before the change"
        case "inspect":
            return "Verifying"
        case _:
            names = {"analyse": "Analysing", "impact": "Looking at what is impacted", "plan": "Planning"}
            if state.phase == "implement":
                return f"Step {state.step + 1} of {len(state.steps)}"
            if state.phase == "correct":
                return f"Correcting, round {state.round} of {state.start.limits.rounds}"
            return names[state.phase]


def progress(state: State) -> int:
    """Per cent of the way, about."""
    order = {"analyse": 5, "impact": 15, "plan": 22}
    if state.ending is not None:
        return 100
    if state.phase in order:
        return order[state.phase]
    if state.stage in ("inspect", "weakened") or state.phase == "correct":
        return min(95, 80 + 4 * state.round)
    return 30 + int(50 * state.step / max(1, len(state.steps)))


def _at(state: State) -> int:
    """The step that is being carried out; those before it are through."""
    return len(state.steps) if state.phase == "correct" or state.stage in ("inspect", "weakened", "end") else state.step


def _steps(steps: Sequence[Step], at: int) -> list[str]:
    lines: list[str] = []
    for number, step in enumerate(steps):
        mark = "" if at < 0 else "[x] " if number < at else "[ ] "
        check = f" (check: {escaped(step.check)})" if step.check else ""
        title = _with_code(step.title, step.files)
        lines.append(f"{number + 1}. {mark}{escaped(title)}{check}")
        lines += [f"   - {code(path)}" for path in step.files if f"`{path}`" not in title]
    return lines


def _with_code(text: str, paths: Sequence[str]) -> str:
    """A text with the files that it names as code: the page is also read as it is, without a preview."""
    if not paths or "`" in text:
        return text
    named = "|".join(re.escape(path) for path in sorted(paths, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])(?:{named})(?![\w/-])", r"`\g<0>`", text)


def _impacted(state: State) -> list[str]:
    lines: list[str] = []
    for one in state.impacted[:LINES_MAX]:
        touched = "changed" if one.path in state.changes else ""
        waived = state.waived.get(one.path) or one.waived
        tail = f" — waived: {escaped(waived)}" if waived else f" — {touched}" if touched else ""
        lines.append(f"- {code(one.path)}: {escaped(one.reason)}{'' if one.sure else ' (perhaps)'}{tail}")
    return lines


def changed_lines(before: str | None, after: str | None) -> tuple[int, int]:
    """How many lines were added and removed."""
    old, new = (before or "").splitlines(), (after or "").splitlines()
    added = removed = 0
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            removed, added = removed + j - i, added + m - k
    return added, removed


def _kind(state: State, path: str) -> str:
    if state.changes[path] is None:
        return "deleted"
    return "new" if state.bases.get(path) is None else "changed"


def _changes(state: State) -> list[str]:
    lines: list[str] = []
    for path in sorted(state.changes):
        added, removed = changed_lines(state.bases.get(path), state.changes[path])
        lines.append(f"- {code(path)}: {_kind(state, path)}, +{added} −{removed}")
    return lines


def _command(check: Check) -> str:
    argv = (check.command.argv[0].rpartition("/")[2], *check.command.argv[1:])
    return code(" ".join(argv) + (f" (in {check.command.folder})" if check.command.folder else ""))


def _checks(state: State) -> list[str]:
    if not state.checks and not state.baseline:
        return [f"- nothing was run: {escaped(state.commands_why_not)}"]
    before = {(one.command.argv, one.command.folder): one for one in state.baseline}
    lines: list[str] = []
    for check in state.checks or state.baseline:
        old = before.get((check.command.argv, check.command.folder))
        then = f"; before the change: {_STATUS[old.status]}, {escaped(old.summary)}" if old and state.checks else ""
        lines.append(f"- {_command(check)}: **{_STATUS[check.status]}**, {escaped(check.summary)}{then}")
    return lines


def _certificate(state: State) -> list[str]:
    found = certificate(state)
    spent = state.spent
    lines = ["## Certificate", "", f"**{_now(state)}.**", ""]
    if state.stop_remedy:
        lines += [escaped(state.stop_remedy), ""]
    lines += ["### Not verified", "", *([f"- {escaped(one)}" for one in found["not_verified"]] or ["- nothing"]), ""]
    lines += ["### Cost", ""]
    lines.append(f"- {spent.turns} answers of {escaped(', '.join(spent.models)) or 'no model'}")
    cached = f" ({spent.cached_tokens} of them cached)" if spent.cached_tokens else ""
    lines.append(f"- {spent.prompt_tokens} tokens read{cached}, {spent.generated_tokens} written")
    lines.append(f"- ${spent.cost} in {spent.seconds:.0f} s")
    lines += ["", "### What left this machine", ""]
    if spent.entries:
        shown = ", ".join(str(number) for number in spent.entries)
        lines.append(f"- requests {shown} of the ledger: `hearth ledger show N` has them byte for byte")
    else:
        lines.append("- nothing")
    return lines


def certificate(state: State) -> dict[str, Any]:
    """The certificate for machines."""
    spent = state.spent
    return {
        "id": state.start.id,
        "goal": state.start.goal,
        "ending": state.ending or "",
        "stop": state.stop,
        "changes": [_change_record(state, path) for path in sorted(state.changes)],
        "checks": [_check_record(check, state.baseline) for check in state.checks],
        "findings": [one.line_text.removeprefix("- ") for one in state.findings],
        "not_verified": not_verified(state),
        "waived": {**{one.path: one.waived for one in state.impacted if one.waived}, **state.waived},
        "steps": [{"title": one.title, "files": list(one.files)} for one in state.steps],
        "rounds": state.round,
        "turns": spent.turns,
        "folds": state.folds,
        "tokens": {"prompt": spent.prompt_tokens, "cached": spent.cached_tokens, "generated": spent.generated_tokens},
        "seconds": round(spent.seconds, 1),
        "cost": str(spent.cost),
        "models": list(spent.models),
        "left_machine": list(spent.entries),
        "notes": list(state.notes),
    }


def _change_record(state: State, path: str) -> dict[str, Any]:
    added, removed = changed_lines(state.bases.get(path), state.changes[path])
    return {"path": path, "kind": _kind(state, path), "added": added, "removed": removed}


def _check_record(check: Check, baseline: Iterable[Check]) -> dict[str, Any]:
    old = next((one for one in baseline if one.command == check.command), None)
    return {
        "kind": check.command.kind,
        "command": list(check.command.argv),
        "folder": check.command.folder,
        "status": check.status,
        "summary": check.summary,
        "passed": check.passed,
        "failed": check.failed,
        "before": old.status if old else "",
        "seconds": check.seconds,
        "isolation": check.isolation,
    }


def not_verified(state: State) -> list[str]:
    """What nothing proves, in sentences."""
    found: list[str] = []
    if not state.changes:
        return ["nothing was changed"]
    if not state.checks:
        found.append(f"no check was run: {state.commands_why_not or 'the task ended before'}")
    for check in state.checks:
        if check.status == "not verified":
            found.append(f"{check.command.kind} ({check.command.argv[0].rpartition('/')[2]}): {check.summary}")
        elif check.status == "failed":
            found += _failed(check, state.baseline)
        elif check.isolation and "without a network" not in check.isolation:
            found.append(f"{check.command.kind} ran {check.isolation}")
    if state.checks and state.commands_why_not:
        found.append(state.commands_why_not)
    found += [one for one in unproved(state) if one != NO_TEST_RUN or state.checks]
    found += [f"{one.path} was neither changed nor waived: {one.reason}" for one in impacted_left(state)]
    return list(dict.fromkeys(found))


def _failed(check: Check, baseline: Iterable[Check]) -> list[str]:
    old: Mapping[str, bool] = {
        identity(one): True for before in baseline if before.command == check.command for one in before.failures
    }
    same = [one for one in check.failures if identity(one) in old]
    if not same:
        return []
    count = f"{len(same)} failures that were" if len(same) > 1 else "a failure that was"
    return [f"{check.command.kind}: {count} there before"]
