"""Runs a task: does what the machine of `core.task` says, and tells it what came of it.

Every observation is on the disk before the next action begins (`agent.cassette`), and no action writes into the
workspace: so a task that is killed at any moment goes on from its last observation, and the user's files are as they
were.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from secrets import token_hex

from hearth.agent.base import Outcome, Parts
from hearth.agent.cassette import Cassette, CassetteError, resumed
from hearth.agent.checks import Checks
from hearth.agent.kept import pruned
from hearth.agent.overlay import Overlay
from hearth.agent.tools import Tools, hits_in
from hearth.core.exchange import Done, Event, Note, Placed, Request, Restarted, Text
from hearth.core.origin import Origin, sources
from hearth.core.task import begin, next_action, observed, tools_of
from hearth.core.task_cover import uncovered
from hearth.core.task_findings import findings
from hearth.core.task_outputs import new_failures
from hearth.core.task_page import certificate, page, plan_page
from hearth.core.task_parts import Impacted
from hearth.core.task_protocol import SCHEMAS
from hearth.core.task_reach import impacted
from hearth.core.task_state import (
    Action,
    Answered,
    AskModel,
    AskUser,
    Check,
    Find,
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
    Survey,
    Surveyed,
    WeakenedAgreed,
)
from hearth.core.task_survey import names_in, paths_in
from hearth.errors import ConsentRefused, ContextOverflow, HearthError, WorkerError

ACTIONS_MAX = 5_000
"""A task that takes more is stopped: each of its limits should have been reached long before."""
FOUND_HITS = 8
CUT_REMEDY = "Start it with a larger context."
ANSWER_CHARS_MAX = 400_000


async def run_task(goal: str, root: Path, parts: Parts, task_id: str = "") -> Outcome:
    """Carry out a goal in the folder `root`. Nothing is written there: see `Outcome.changes`. Cancelling leaves it to
    be taken up again. Raises CassetteError where its journal cannot be written, or may not be."""
    name = task_id or token_hex(6)
    folder = os.path.realpath(root)  # noqa: ASYNC240
    start = Start(name, goal, folder, token_hex(3), parts.limits, parts.abilities, parts.choice, parts.trusted)
    if Path(os.path.realpath(parts.home)).is_relative_to(folder):  # noqa: ASYNC240
        raise CassetteError("What is kept of a task would lie in the workspace.", "Choose another data directory.")
    await asyncio.to_thread(pruned, parts.home)
    with Cassette(parts.home / name) as cassette:
        await asyncio.to_thread(cassette.begin, start)
        return await _Run(parts, cassette).whole(begin(start))


async def resume_task(task_id: str, parts: Parts) -> Outcome:
    """Go on with a task from its last observation. Raises CassetteError where there is none."""
    state, cassette = await asyncio.to_thread(resumed, parts.home / task_id)
    with cassette:
        return await _Run(parts, cassette).whole(state)


class _Run:
    """One run of a task's loop."""

    def __init__(self, parts: Parts, cassette: Cassette) -> None:
        self._parts = parts
        self._cassette = cassette

    async def whole(self, state: State) -> Outcome:
        self._overlay = Overlay(Path(state.start.folder))
        await asyncio.to_thread(self._overlay.load)
        for path, text in state.bases.items():
            # What was there when the task first changed it, whatever is there now.
            self._overlay.remember(path, text)
        self._overlay.restore(state.changes)
        self._checks = Checks(self._overlay, self._parts.person, self._cassette.path.parent, state.start.trusted)
        self._state = state
        self._tools = Tools(self._overlay, self._parts.person, self._checked, self._parts.index)
        for _ in range(ACTIONS_MAX):
            self._tell()
            action = next_action(self._state)
            if isinstance(action, Finish):
                break
            began = time.monotonic()
            seen = await self._did(action)
            seconds = _counted(action, seen, time.monotonic() - began)
            await asyncio.to_thread(self._cassette.saw, seen, seconds)
            self._state = observed(self._state, seen, round(seconds, 3))
            if self._state.changes != self._overlay.changes:
                self._overlay.restore(self._state.changes)
        return self._outcome()

    def _tell(self) -> None:
        self._parts.on_page(self._state.start.id, page(self._state))

    def _outcome(self) -> Outcome:
        state = self._state
        told = certificate(state)
        told["conflicts"] = self._overlay.conflicts(state.bases)
        bases = {path: state.bases.get(path) for path in state.changes}
        return Outcome(
            state.start.id, state.ending or "stopped", state.stop, dict(state.changes), page(state), told, bases
        )

    async def _did(self, action: Action) -> Observation:
        person = self._parts.person
        match action:
            case Survey():
                return await self._surveyed(action)
            case AskModel():
                return await self._asked(action)
            case AskUser(questions):
                return Replied(tuple(await person.questions(questions) or ()))
            case Find():
                return Found(tuple(await self._found(action)))
            case ShowImpacted(files):
                agreed = await person.impacted(files)
                return ImpactAgreed(None if agreed is None else self._inside(agreed))
            case ShowPlan(steps):
                wanted = await person.plan(steps, plan_page(steps))
                return PlanAgreed(None if wanted is None else tuple(wanted))
            case Prepare():
                return await self._checks.prepared()
            case RunTools(calls, chars_max):
                return await self._tools.run(self._state, calls, chars_max)
            case Inspect():
                return await self._inspected()
            case ShowWeakened(found):
                return WeakenedAgreed(await person.weakened([one.line_text.removeprefix("- ") for one in found]))
            case Finish():
                raise AssertionError("the loop ends before")

    def _inside(self, files: Sequence[Impacted]) -> tuple[Impacted, ...]:
        return tuple(one for one in files if not self._overlay.refused(one.path))

    # Looking

    async def _surveyed(self, action: Survey) -> Surveyed:
        survey = self._overlay.before()
        symbols = [name for name in names_in(action.goal) if survey.definitions(name)]
        files = paths_in(action.goal, survey.texts)
        mentioned = [name.rpartition(".")[2] for name in symbols]
        text = await asyncio.to_thread(survey.map, action.map_tokens, conversation=files, mentioned=mentioned)
        chars = int(action.found_tokens * self._state.chars_per_token)
        paths = [line[:-1] for line in text.split("\n") if line.endswith(":") and not line.startswith(" ")]
        pieces: list[str] = []
        for path, start, end, body in await self._hits(action.goal):
            piece = f"{path}:{start + 1}-{end}\n{body.rstrip()}"
            if len(piece) < chars:
                chars -= len(piece)
                pieces.append(piece)
                paths.append(path)
        whole = "\n\n".join(part for part in (text, *pieces) if part)
        problem = f"{self._overlay.left_out} files were too many, too large or no text, and are not looked at"
        folder = self._state.start.folder
        return Surveyed(
            whole,
            sources(Origin("file", path, folder) for path in dict.fromkeys(paths) if path in survey.texts),
            tuple(symbols),
            files,
            problem if self._overlay.left_out else "",
        )

    async def _hits(self, query: str) -> list[tuple[str, int, int, str]]:
        """What the project's own index finds, or else the texts at hand."""
        found: list[tuple[str, int, int, str]] = []
        if self._parts.index is not None:
            try:
                found = hits_in(self._overlay, await self._parts.index.search(query, FOUND_HITS))
            except WorkerError:
                found = []
        if not found:
            hits = await asyncio.to_thread(self._overlay.after().search, query, FOUND_HITS)
            found = [(hit.path, hit.start, hit.end, hit.text) for hit in hits]
        return found

    async def _found(self, action: Find) -> list[Impacted]:
        survey = self._overlay.before()
        files = [path for path in action.files if not self._overlay.refused(path)]
        return await asyncio.to_thread(impacted, survey, action.goal, action.symbols, files, action.searches)

    # Asking

    async def _asked(self, action: AskModel) -> Answered | NoAnswer:
        state = self._state
        await asyncio.to_thread(self._cassette.asked, state.conversation)
        request = Request(
            "task",
            state.conversation,
            action.output_tokens,
            f"task-{state.start.id}",
            workspace=state.start.folder,
            files=action.files,
            tools=tools_of(action),
            schema=SCHEMAS.get(action.phase) if action.schema else None,
            choice=action.choice,
            urgent=False,
        )
        try:
            return await _answer(self._parts.ask(request))
        except ConsentRefused as error:
            return NoAnswer(error.message, error.remedy, refused=True)
        except HearthError as error:
            return NoAnswer(error.message, error.remedy, overflow=isinstance(error, ContextOverflow))

    # Verifying

    async def _checked(self, kind: str) -> tuple[Check, ...]:
        return await self._checks.run(self._state, kind)

    async def _inspected(self) -> Inspected:
        overlay, state = self._overlay, self._state
        if not state.changes:
            return Inspected((), ())
        before, after = overlay.before(), overlay.after()
        found = await asyncio.to_thread(findings, before, after, tuple(state.changes), state.start.goal, state.steps)
        checks, traced = await self._checks.covered(state)
        failures = new_failures(state.baseline, checks)
        if traced is None or any(one.kind == "test" for one in failures):
            return Inspected((*found, *failures), checks)
        missed, unknown = await asyncio.to_thread(uncovered, before.texts, after.texts, tuple(state.changes), traced)
        return Inspected((*found, *failures, *missed), checks, tuple(unknown))


def _counted(action: Action, seen: Observation, seconds: float) -> float:
    """How long an action took, without waiting for the user."""
    if isinstance(seen, Prepared):
        return sum(check.seconds for check in seen.baseline)
    return 0.0 if isinstance(action, AskUser | ShowImpacted | ShowPlan | ShowWeakened) else seconds


async def _answer(events: AsyncGenerator[Event]) -> Answered | NoAnswer:
    """One answer out of its events."""
    pieces: list[str] = []
    notes: list[str] = []
    window: int | None = None
    chars = 0
    async with aclosing(events):
        async for event in events:
            match event:
                case Text(text):
                    chars += len(text)
                    if chars <= ANSWER_CHARS_MAX:
                        pieces.append(text)
                case Placed():
                    window = event.context_tokens
                case Restarted(note):
                    pieces.clear()
                    chars = 0
                    notes.append(note)
                case Note(note):
                    notes.append(note)
                case Done() if event.cut:
                    # It answered something else than it was asked.
                    return NoAnswer("The model server read only a part of the prompt.", CUT_REMEDY, overflow=True)
                case Done():
                    return _whole(event, "".join(pieces), window, notes, cut=chars > ANSWER_CHARS_MAX)
    return NoAnswer("The model's answer had no end.", "Try again.")


def _whole(done: Done, text: str, window: int | None, notes: list[str], *, cut: bool) -> Answered:
    return Answered(
        text,
        done.calls,
        done.broken_calls,
        "truncated" if cut else done.reason,
        done.place,
        done.name,
        done.model,
        window,
        done.prompt_tokens,
        done.cached_tokens,
        done.generated_tokens,
        done.cost,
        done.entries,
        tuple(notes),
    )
