"""What a task asks the user in an editor: questions, the files and the plan, which can be changed, checks to be run,
files that steer other programs, tests that would lose something. Closing a question is a no.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lsprotocol import types

from hearth.agent.base import Command, Impacted, Step
from hearth.lsp.asking import Client, Item
from hearth.lsp.markdown import fenced
from hearth.lsp.messages import say
from hearth.lsp.pages import TASK_PAGE, Pages

FILES_SHOWN_MAX = 12
COMMANDS_SHOWN_MAX = 12
FINDINGS_SHOWN_MAX = 6
EDITS_MAX = 40
"""How often the user may change a list before it is agreed to."""
ADD = "+"
"""The value of the choice to add one; no path and no number."""


@dataclass(slots=True)
class Agreeing:
    """The user, asked in the editor. Closing a question is a no."""

    client: Client
    pages: Pages
    show: Callable[[str], object]
    tell: Callable[[Literal["info", "warning"], str], None]
    shown: int = 0

    async def questions(self, asked: Sequence[str]) -> Sequence[str] | None:
        answers: list[str] = []
        for question in asked:
            answer = await self.client.input(question)
            if answer is None:
                return None
            answers.append(answer)
        return answers

    async def impacted(self, files: Sequence[Impacted]) -> Sequence[Impacted] | None:
        language, kept = self.client.language(), list(files)
        go, change, stop = (say(key, language) for key in ("task_go", "task_change_list", "task_end"))
        for _ in range(EDITS_MAX):
            open_ones = [one for one in kept if not one.waived]
            named = [one.path for one in open_ones[:FILES_SHOWN_MAX]]
            more = f" + {len(open_ones) - len(named)}" if len(open_ones) > len(named) else ""
            text = say("task_impacted", language, count=len(open_ones), files=", ".join(named) + more)
            answer = await self.client.choose(types.MessageType.Warning, text, (go, change, stop), closes=True)
            if answer != change:
                return kept if answer == go else None
            kept = await self._other_files(kept)
        return None

    async def _other_files(self, files: list[Impacted]) -> list[Impacted]:
        """The list after one change of the user's: a file left out, taken back, or added."""
        language = self.client.language()
        out = say("task_left_out", language)
        items = [Item(one.path, one.path, f"{out}: {one.waived}" if one.waived else one.reason) for one in files]
        items.append(Item(ADD, say("task_add_file", language)))
        chosen = await self.client.input(say("task_leave_which", language), "", items)
        if chosen == ADD:
            path = await self.client.input(say("task_add_path", language))
            if not path or any(one.path == path for one in files):
                return files
            return [*files, Impacted(path, say("task_added", language), by="user")]
        waived = say("task_by_you", language)
        return [
            replace(one, waived="" if one.waived else waived, by="user") if one.path == chosen else one for one in files
        ]

    async def plan(self, steps: Sequence[Step], page: str) -> Sequence[Step] | None:
        language, kept = self.client.language(), list(steps)
        go, change, stop = (say(key, language) for key in ("task_carry_out", "task_change_plan", "task_end"))
        for _ in range(EDITS_MAX):
            text = f"{say('task_plan', language, count=len(kept))}\n{_listed(kept)}"
            answer = await self.client.choose(types.MessageType.Warning, text, (go, change, stop), closes=True)
            if answer != change:
                return kept if answer == go and kept else None
            kept = await self._other_steps(kept)
        return None

    async def _other_steps(self, steps: list[Step]) -> list[Step]:
        """The plan after one change of the user's: a step in other words, of other files, elsewhere, left out, or
        added."""
        language = self.client.language()
        items = [Item(str(at), f"{at + 1}. {step.title}", ", ".join(step.files)) for at, step in enumerate(steps)]
        items.append(Item(ADD, say("task_add", language)))
        chosen = await self.client.input(say("task_which_step", language), "", items)
        if chosen == ADD:
            title = await self.client.input(say("task_add_title", language))
            files = await self.client.input(say("task_add_files", language)) if title else None
            return [*steps, Step(title, _paths(files))] if title and files else steps
        if chosen is None or not chosen.isdecimal() or int(chosen) >= len(steps):
            return steps
        at = int(chosen)
        acts = [
            "task_reword",
            "task_files",
            *(["task_up"] if at else []),
            *(["task_down"] if at + 1 < len(steps) else []),
        ]
        actions = [Item(key, say(key, language)) for key in (*acts, "task_drop")]
        return await self._changed(steps, at, await self.client.input(steps[at].title, "", actions) or "")

    async def _changed(self, steps: list[Step], at: int, act: str) -> list[Step]:
        language, step, others = self.client.language(), steps[at], [*steps[:at], *steps[at + 1 :]]
        match act:
            case "task_reword":
                title = await self.client.input(say("task_add_title", language), value=step.title)
                return [*steps[:at], replace(step, title=title or step.title), *steps[at + 1 :]]
            case "task_files":
                files = await self.client.input(say("task_add_files", language), value=", ".join(step.files))
                return [*steps[:at], replace(step, files=_paths(files) or step.files), *steps[at + 1 :]]
            case "task_up" | "task_down":
                to = at - 1 if act == "task_up" else at + 1
                return [*others[:to], step, *others[to:]]
            case "task_drop":
                return others
            case _:
                return steps

    async def commands(self, commands: Sequence[Command], digest: str) -> bool:
        language = self.client.language()
        lines = [
            " ".join(one.argv) + (f"  ({one.folder}/)" if one.folder else "") for one in commands[:COMMANDS_SHOWN_MAX]
        ]
        text = say("task_checks", language) + "\n" + "\n".join(lines)
        run, skip = say("task_run", language), say("task_skip", language)
        return await self.client.choose(types.MessageType.Warning, text, (run, skip), closes=True) == run

    async def protected(self, path: str, why: str, before: str, after: str) -> bool:
        language = self.client.language()
        self.shown += 1
        page = f"{TASK_PAGE}protected-{self.shown}.md"
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path, path, lineterm="")
        self.pages.put(page, f"# {path}\n\n{fenced(chr(10).join(lines), 'diff')}\n")
        self.show(page)
        change, leave = say("task_change", language), say("task_leave_it", language)
        text = say("task_protected", language, path=path, why=why)
        return await self.client.choose(types.MessageType.Warning, text, (leave, change), closes=False) == change

    async def weakened(self, findings: Sequence[str]) -> bool:
        language = self.client.language()
        let, no = say("task_let", language), say("task_restore", language)
        text = say("task_weakened", language) + "\n" + "\n".join(findings[:FINDINGS_SHOWN_MAX])
        return await self.client.choose(types.MessageType.Warning, text, (no, let), closes=False) == let


def _listed(steps: Sequence[Step]) -> str:
    lines: list[str] = []
    for number, step in enumerate(steps, 1):
        said = {word.strip("`,;:()").rstrip(".") for word in step.title.split()}
        unnamed = [path for path in step.files if path not in said]
        lines.append(f"{number}. {step.title}" + (f" ({', '.join(unnamed)})" if unnamed else ""))
    return "\n".join(lines)


def _paths(text: str | None) -> tuple[str, ...]:
    return tuple(path.strip() for path in (text or "").split(",") if path.strip())
