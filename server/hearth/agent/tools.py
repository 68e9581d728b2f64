"""The tools of a task, carried out on its overlay. None of them writes a file, starts a program of the model's choice
or reaches a network; `check` runs what the user agreed to, on a copy.

A tool that cannot do what it was asked says precisely why, in words that a model can act on.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

from hearth.agent.base import Index, Person
from hearth.agent.overlay import Overlay, Refusal
from hearth.core import patch
from hearth.core.exchange import PRODUCT
from hearth.core.origin import Origin, file_origin, sources, tool_origin
from hearth.core.patch import Target
from hearth.core.task_calls import Call
from hearth.core.task_findings import findings, of_file
from hearth.core.task_guard import protected
from hearth.core.task_protocol import READ_LINES_MAX
from hearth.core.task_state import Check, Finding, Result, State, ToolsRan
from hearth.core.task_survey import HIT_LINES_MAX
from hearth.core.task_talk import framed
from hearth.errors import WorkerError

HITS_SHOWN = 6
PLACES_SHOWN_MAX = 60
SYMBOLS_SHOWN_MAX = 80
LINE_CHARS_MAX = 400
PLAIN_LINES_MAX = 1_200
NEAR_MAX = 5
_SEARCH, _MIDDLE, _REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
_FENCE = "``````"

Checking = Callable[[str], Awaitable[tuple[Check, ...]]]
"""Runs the agreed checks of a kind ("" for all) on a copy of the overlay."""


@dataclass(slots=True)
class Tools:
    """One per task. `index`: None where only the texts at hand are searched."""

    overlay: Overlay
    person: Person
    check: Checking
    index: Index | None = None

    async def run(self, state: State, calls: Sequence[Call], chars_max: int) -> ToolsRan:
        """The results of calls, in their order, and what they changed."""
        approved: dict[str, str] = dict(state.approved)
        results: list[Result] = []
        bases: dict[str, str | None] = {}
        for call in calls:
            desk = _Desk(self, state, approved, chars_max)
            before = dict(self.overlay.changes)
            result = await desk.did(call)
            # A file that is gone now is None, as one that was never changed would be.
            for path in self.overlay.changes.keys() - before.keys() - state.bases.keys() - bases.keys():
                bases[path] = self.overlay.original(path)
            results.append(result)
        return ToolsRan(tuple(results), dict(self.overlay.changes), bases, approved)


@dataclass(slots=True)
class _Desk:
    """Where one call is carried out."""

    tools: Tools
    state: State
    approved: dict[str, str]
    chars_max: int

    async def did(self, call: Call) -> Result:
        arguments = call.arguments
        path, name = str(arguments.get("path", "")), str(arguments.get("name", ""))
        match call.name:
            case "read":
                return self._read(call, path)
            case "search":
                return await self._search(call)
            case "symbols":
                return self._symbols(call, path, name)
            case "references":
                return self._references(call, name)
            case "diagnostics":
                return await self._diagnostics(call, path)
            case "edit":
                return await self._edit(call, path)
            case "write":
                return await self._write(call, path, str(arguments["text"]))
            case "remove":
                return await self._remove(call, path)
            case "move":
                return await self._move(call, path, str(arguments["to"]))
            case "check":
                return await self._check(call, str(arguments.get("kind", "")))
            case _:
                return self._no(call, f"There is no tool {call.name}.")

    # What is told

    def _no(self, call: Call, why: str) -> Result:
        return Result(call, why, False, (PRODUCT,))

    def _noted(self, call: Call, text: str) -> Result:
        return Result(call, text, True, (PRODUCT,))

    def _data(self, call: Call, text: str, origins: Sequence[Origin], said: str = "") -> Result:
        """Text of the project, cut to what one result may take, in its frame."""
        cut = ""
        if len(text) > self.chars_max:
            text = text[: self.chars_max].rpartition("\n")[0] or text[: self.chars_max]
            cut = "\n(cut here: ask for less at once)"
        known = sources(origins) or (PRODUCT,)
        return Result(call, f"{said}{framed(text, self.state.start.mark)}{cut}", True, known)

    def _files(self, paths: Sequence[str]) -> list[Origin]:
        return [file_origin(self.state.start.folder, path) for path in dict.fromkeys(paths)]

    def _text(self, call: Call, path: str) -> "str | Result":
        """A file's text, or why there is none."""
        found = self.tools.overlay.read(path)
        if isinstance(found, Refusal):
            return self._no(call, f"{path} cannot be used: {found.why}.")
        if found is None:
            return self._no(call, f"There is no file {path}.{self._near(path)}")
        return found

    def _near(self, path: str) -> str:
        name = path.rpartition("/")[2].casefold()
        near = [one for one in sorted(self.tools.overlay.texts) if one.rpartition("/")[2].casefold() == name]
        return f" There is {', '.join(near[:NEAR_MAX])}." if near else ""

    # Looking

    def _read(self, call: Call, path: str) -> Result:
        text = self._text(call, path)
        if isinstance(text, Result):
            return text
        lines = text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        if call.arguments.get("plain"):
            shown = "\n".join(line[:LINE_CHARS_MAX] for line in lines[:PLAIN_LINES_MAX])
            return self._data(call, shown, self._files([path]))
        start = max(1, int(call.arguments.get("start", 1)))
        end = min(len(lines), int(call.arguments.get("end", start + READ_LINES_MAX - 1)), start + READ_LINES_MAX - 1)
        if start > max(1, len(lines)):
            return self._no(call, f"{path} has {len(lines)} lines.")
        shown = "\n".join(f"{number}| {lines[number - 1][:LINE_CHARS_MAX]}" for number in range(start, end + 1))
        said = f"{path}, lines {start} to {end} of {len(lines)}:\n" if lines else f"{path} is empty.\n"
        return self._data(call, shown, [file_origin(self.state.start.folder, path, start - 1, end)], said)

    async def _search(self, call: Call) -> Result:
        query, limit = str(call.arguments["query"]), min(HITS_SHOWN, int(call.arguments.get("limit", HITS_SHOWN)))
        pieces: list[str] = []
        paths: list[str] = []
        survey = self.tools.overlay.after()
        for hit in await asyncio.to_thread(survey.search, query, limit):
            body = "\n".join(line[:LINE_CHARS_MAX] for line in hit.text.split("\n")[:HIT_LINES_MAX])
            pieces.append(f"{hit.path}:{hit.start + 1}-{hit.end}\n{body}")
            paths.append(hit.path)
        for path, start, end, text in await self._indexed(query, limit) if len(pieces) < limit else ():
            if path not in paths and path not in self.tools.overlay.changes:
                pieces.append(f"{path}:{start + 1}-{end}\n{text}")
                paths.append(path)
        if not pieces:
            return self._noted(call, "Nothing was found. Try other words, or `symbols`.")
        return self._data(call, "\n\n".join(pieces), self._files(paths))

    async def _indexed(self, query: str, limit: int) -> list[tuple[str, int, int, str]]:
        if self.tools.index is None:
            return []
        try:
            return hits_in(self.tools.overlay, await self.tools.index.search(query, limit))
        except WorkerError:
            return []

    def _symbols(self, call: Call, path: str, name: str) -> Result:
        survey = self.tools.overlay.after()
        if path:
            text = self._text(call, path)
            if isinstance(text, Result):
                return text
            found = [(path, symbol) for symbol in survey.symbols(path) if not name or symbol.name == name]
        elif name:
            found = survey.definitions(name)
        else:
            return self._no(call, "`symbols` wants a path or a name.")
        if not found:
            return self._noted(call, f"No definition of {name or 'anything'} was found{f' in {path}' if path else ''}.")
        lines = [f"{where}:{symbol.start + 1} {symbol.signature or symbol.name}" for where, symbol in found]
        return self._data(call, "\n".join(lines[:SYMBOLS_SHOWN_MAX]), self._files([where for where, _ in found]))

    def _references(self, call: Call, name: str) -> Result:
        places = self.tools.overlay.after().occurrences(name, limit=PLACES_SHOWN_MAX)
        if not places:
            return self._noted(call, f"{name} is used nowhere.")
        lines = [f"{one.path}:{one.line + 1}: {one.text}" for one in places]
        if len(places) == PLACES_SHOWN_MAX:
            lines.append("(there are more)")
        return self._data(call, "\n".join(lines), self._files([one.path for one in places]))

    async def _diagnostics(self, call: Call, path: str) -> Result:
        found = [*await self.found(), *(one for check in self.state.checks for one in check.failures)]
        found = [one for one in found if not path or one.path == path]
        if not found:
            return self._noted(call, "Nothing is known to be wrong. `check` runs the project's own checks.")
        text = "\n".join(one.line_text for one in found)
        return self._data(
            call, text, [tool_origin("diagnostics"), *self._files([one.path for one in found if one.path])]
        )

    async def found(self) -> list[Finding]:
        """What the texts say is wrong."""
        overlay = self.tools.overlay
        before, after, changed = overlay.before(), overlay.after(), tuple(overlay.changes)
        state = self.state
        return await asyncio.to_thread(findings, before, after, changed, state.start.goal, state.steps)

    async def _check(self, call: Call, kind: str) -> Result:
        if not self.state.commands_agreed or not self.state.commands:
            return self._no(call, "No check may be run: " + (self.state.commands_why_not or "none was found") + ".")
        checks = await self.tools.check(kind)
        if not checks:
            return self._no(call, f"The project has no check of the kind {kind}.")
        lines: list[str] = []
        for check in checks:
            lines.append(f"{' '.join(check.command.argv[-4:])}: {check.status}: {check.summary}")
            lines += [one.line_text for one in check.failures]
        return self._data(call, "\n".join(lines), [tool_origin("the project's checks")])

    # Changing

    async def _edit(self, call: Call, path: str) -> Result:
        found = self.tools.overlay.read(path)
        edits = cast(list[dict[str, str]], call.arguments.get("edits", []))
        if found is None and edits and all(not one["old"].strip() for one in edits):
            return await self._write(call, path, "\n".join(one["new"] for one in edits))
        text = self._text(call, path)
        if isinstance(text, Result):
            return text
        if "diff" in call.arguments:
            read = patch.read(f"{_FENCE}diff\n{call.arguments['diff']}\n{_FENCE}", "diff", [Target(path, text)])
        else:
            blocks = [f"{_SEARCH}\n{_line(one['old'])}{_MIDDLE}\n{_line(one['new'])}{_REPLACE}" for one in edits]
            body = "\n".join(blocks)
            read = patch.read(f"{path}\n{_FENCE}\n{body}\n{_FENCE}\n", "blocks", [Target(path, text)])
        return await self._patched(call, path, text, read)

    async def _write(self, call: Call, path: str, new: str) -> Result:
        found = self.tools.overlay.read(path)
        if isinstance(found, Refusal):
            return self._no(call, f"{path} cannot be used: {found.why}.")
        if not new.strip():
            return await self._put(call, path, found, new, "is empty now")
        read = patch.read(f"{path}\n{_FENCE}\n{_line(new)}{_FENCE}\n", "file", [Target(path, found)])
        return await self._patched(call, path, found, read)

    async def _patched(self, call: Call, path: str, before: str | None, read: "patch.Patch | patch.Refusal") -> Result:
        if isinstance(read, patch.Refusal):
            why = framed(read.feedback, self.state.start.mark)
            return Result(call, f"{path} was not changed.\n{why}", False, sources(self._files([path])))
        edit = read.edit(path)
        if edit is None or edit.after is None or edit.after == before:
            return self._noted(call, f"{path} is like that already: nothing was changed.")
        return await self._put(call, path, before, edit.after, "was changed" if before is not None else "was made")

    async def _put(self, call: Call, path: str, before: str | None, after: str | None, done: str) -> Result:
        if why := await self._barred(path, before, after):
            return self._no(call, f"{path} was not changed: {why}.")
        self.tools.overlay.put(path, after)
        overlay = self.tools.overlay
        broken = [one.line_text for one in of_file(overlay.before(), overlay.after(), path)]
        said = f"{path} {done}."
        if not broken:
            return self._noted(call, said)
        return Result(
            call,
            f"{said} Look at:\n{framed(chr(10).join(broken), self.state.start.mark)}",
            True,
            sources(self._files([path])),
        )

    async def _barred(self, path: str, before: str | None, after: str | None) -> str:
        """Why a protected file stays as it is: the user agrees to exactly one text, or does not."""
        why = protected(path)
        if not why:
            return ""
        digest = sha256(f"{path}\0{'-' if after is None else '+'}{after or ''}".encode("utf-8", "replace")).hexdigest()
        if self.approved.get(path) == digest:
            return ""
        if not await self.tools.person.protected(path, why, before or "", after or ""):
            return f"it is a protected file ({why}), and the user did not agree"
        self.approved[path] = digest
        return ""

    async def _remove(self, call: Call, path: str) -> Result:
        text = self._text(call, path)
        if isinstance(text, Result):
            return text
        return await self._put(call, path, text, None, "was deleted")

    async def _move(self, call: Call, path: str, to: str) -> Result:
        text = self._text(call, path)
        if isinstance(text, Result):
            return text
        there = self.tools.overlay.read(to)
        if isinstance(there, Refusal):
            return self._no(call, f"{to} cannot be used: {there.why}.")
        if there is not None:
            return self._no(call, f"{to} is there already.")
        for one, before, after in ((path, text, None), (to, None, text)):
            if why := await self._barred(one, before, after):
                return self._no(call, f"{path} was not moved: {one}: {why}.")
        self.tools.overlay.put(path, None)
        self.tools.overlay.put(to, text)
        return self._noted(call, f"{path} is {to} now.")


def hits_in(overlay: Overlay, hits: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, int, str]]:
    """(path, first line, last, text) of what an index found in this workspace: not in another folder that is open, and
    nothing that the task may not see."""
    own = [hit for hit in hits if os.path.realpath(str(hit.get("folder", overlay.root))) == str(overlay.root)]
    known = [hit for hit in own if str(hit["path"]) in overlay.base]
    return [(str(hit["path"]), int(hit["start_line"]), int(hit["end_line"]), str(hit["text"])) for hit in known]


def _line(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
