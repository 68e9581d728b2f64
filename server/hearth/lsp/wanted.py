"""What the user wants of a chat command: what its argument does not say is asked of them."""

import asyncio
import os
import stat
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hearth.chat.desk import Desk
from hearth.chat.naming import names
from hearth.core.chat import Command, Kind
from hearth.core.chat_offers import offers
from hearth.core.context import Diagnostic
from hearth.core.exchange import AUTO
from hearth.core.mentions import quoted, unfinished
from hearth.core.route import Choice
from hearth.core.text import Position, Range, Snapshot
from hearth.engine import path_of
from hearth.errors import HearthError
from hearth.lsp import convert
from hearth.lsp.asking import Client, Item
from hearth.lsp.messages import say
from hearth.lsp.pages import SCHEME

PROMPT_CHARS_MAX = 100_000
MODELS_MAX = 200
NAMES_SHOWN_MAX = 2_000
DIAGNOSTICS_NEWS_S = 2.5
LOOK_S = 0.05
OWN_WORDS = "…"
WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_CLOUD, _LOCAL = "cloud:", "local:"


@dataclass(frozen=True, slots=True)
class Model:
    """One that may be chosen. `where`: for the user."""

    place: Literal["local", "cloud"]
    name: str
    where: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """`models` lists who could answer; `diagnostics` is what is said of a document now, with a number that grows at
    each news of it; `documents` are those that are open."""

    client: Client
    desk: Desk
    models: Callable[[], Awaitable[Sequence[Model]]]
    diagnostics: Callable[[str], tuple[int, tuple[Diagnostic, ...]]]
    documents: Callable[[], Sequence[Snapshot]]

    async def command(self, kind: Kind, fields: Mapping[str, Any], choice: Choice) -> Command | None:
        """None if the user turned away."""
        language, document, prompt = self.client.language(), document_of(fields), prompt_of(fields)
        selection = convert.span(fields["selection"], "selection") if document and "selection" in fields else None
        refactoring = text_of(fields, "refactoring")
        if not document and kind != "ask":
            raise HearthError(say("no_document", language))
        if kind == "ask" and not prompt:
            answer = await self.written(say("ask_prompt", language), say("ask_placeholder", language))
            if answer is None:
                return None
            prompt = answer
        problems = convert.diagnostic_list(fields) if fields.get("diagnostics") else ()
        if kind == "fix" and not problems:
            problems, selection = await self._problems(document, selection)
        if kind == "refactor" and not (prompt or refactoring):
            answer = await self._refactoring(document, selection)
            if answer is None:
                return None
            refactoring, prompt = answer
        return Command(kind, document, selection, prompt, refactoring, problems, choice, _read_only(document))

    async def written(self, prompt: str, placeholder: str = "") -> str | None:
        """What the user writes, with a name chosen for each @file, @folder and @symbol that has none yet; None if they
        turned away."""
        written = await self.client.input(prompt, placeholder)
        if written is None:
            return None
        for one in reversed(unfinished(written)):
            known = await names(one.kind or "file", "", self.desk, self.documents())
            items = [Item(name, name) for name in known[:NAMES_SHOWN_MAX]]
            name = await self.client.input(f"@{one.kind}", "", items)
            if name is None:
                return None
            written = f"{written[: one.at]}@{one.kind}:{quoted(name)}{written[one.start :]}"
        return written

    async def _problems(self, document: str, selection: Range | None) -> tuple[tuple[Diagnostic, ...], Range | None]:
        """What is wrong on the lines where the user is, and those lines; else () and the selection as it was.

        A client passes problems on once they rest: what the user sees already may be on its way."""
        deadline = time.monotonic() + DIAGNOSTICS_NEWS_S
        while not self.diagnostics(document)[1] and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_S)
        if selection is None:
            return (), None
        first, last = sorted((selection.start.line, selection.end.line))
        here = tuple(one for one in self.diagnostics(document)[1] if first <= one.line <= last)
        if not here or selection.start != selection.end:
            return here, selection
        return here, Range(Position(first, 0), Position(first + 1, 0))

    async def _refactoring(self, document: str, selection: Range | None) -> tuple[str, str] | None:
        """(offered refactoring, own words), one of them "", or None."""
        language = self.client.language()
        here = Position(0, 0)
        snapshot = await self.desk.snapshot(document)
        offered = offers(snapshot, selection or Range(here, here))
        prompt, hint = say("refactor_prompt", language), say("refactor_placeholder", language)
        if offered:
            items = [Item(one.id, one.title) for one in offered] + [Item(OWN_WORDS, say("refactor_own", language))]
            chosen = await self.client.input(prompt, hint, items)
            if chosen is None:
                return None
            if any(chosen == one.id for one in offered):
                return chosen, ""
            if chosen != OWN_WORDS:
                return "", chosen
        words = await self.written(prompt, hint)
        return None if words is None else ("", words)

    async def picked(self, fields: Mapping[str, Any]) -> Choice | None:
        """A place or model: `auto`, `local`, `local:NAME`, `cloud:NAME`, as an argument or chosen from a list."""
        language = self.client.language()
        wanted = text_of(fields, "model")
        if not wanted:
            items = [
                Item("auto", say("pick_auto", language), say("pick_auto_why", language)),
                Item("local", say("pick_local", language), say("pick_local_why", language)),
            ]
            known = (await self.models())[:MODELS_MAX]
            items += [Item(f"{one.place}:{one.name}", one.name, one.where) for one in known]
            wanted = await self.client.input(say("pick_model", language), "", items)
        if wanted is None:
            return None
        if wanted.startswith(_CLOUD):
            return Choice("cloud", wanted.removeprefix(_CLOUD))
        if wanted == "local" or wanted.startswith(_LOCAL):
            return Choice("local", wanted.removeprefix("local").removeprefix(":"))
        return AUTO


def text_of(fields: Mapping[str, Any], key: str) -> str:
    """A field of a command's argument, "" if it is not there. Raises BadParams."""
    value = fields.get(key)
    return "" if value is None else convert.string(value, key)


def prompt_of(fields: Mapping[str, Any]) -> str:
    """The user's own words in a command's argument."""
    return text_of(fields, "prompt").strip()[:PROMPT_CHARS_MAX]


def document_of(fields: Mapping[str, Any]) -> str:
    """The document that a command is about; Hearth's own pages are none."""
    uri = text_of(fields, "uri")
    return "" if uri.startswith(f"{SCHEME}:") else uri


def _read_only(uri: str) -> bool:
    """By its permissions too: the administrator could write to any file, and the editor then shows it as changed."""
    path = path_of(uri)
    try:
        return path is not None and not (path.stat().st_mode & WRITABLE and os.access(path, os.W_OK))
    except OSError:
        return False  # it was never saved
