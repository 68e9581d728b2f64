"""The chat commands in an editor: what is asked of the user, the transcript beside the code, the change at the end.

A command runs as long as its answer: its request is answered when the transcript is whole and the change, if there is
one, was applied or declined. Stopping (the command, the lens, the progress bar's button) ends the answer, not the
conversation.
"""

import asyncio
import os
import stat
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from lsprotocol import types

from hearth.chat.chats import Chats, Proposed
from hearth.chat.naming import names
from hearth.core.chat import Command, Kind
from hearth.core.chat_fix import Verdict, verify
from hearth.core.chat_offers import offers
from hearth.core.context import Diagnostic
from hearth.core.conversation import Conversation
from hearth.core.exchange import AUTO, Placed, Restarted, Text
from hearth.core.markdown import file_uri
from hearth.core.mentions import quoted, unfinished
from hearth.core.route import Choice
from hearth.core.text import Position, Range, Snapshot
from hearth.engine import path_of
from hearth.errors import HearthError
from hearth.lsp import convert
from hearth.lsp.asking import Bar, Client, Item
from hearth.lsp.editing import Applied, Editing
from hearth.lsp.messages import say
from hearth.lsp.pages import SCHEME, Pages, file_name

CHAT_PAGE = "hearth:/chat/"
PROMPT_CHARS_MAX = 100_000
MODELS_MAX = 200
LISTED_MAX = 200
NAMES_SHOWN_MAX = 2_000
DIAGNOSTICS_WAIT_S = 8.0
"""How long after a fix the editor's other tools may take to look again."""
DIAGNOSTICS_REST_S = 2.0
"""They first take back and then say anew: so long nothing more must come."""
DIAGNOSTICS_NEWS_S = 1.5
LOOK_S = 0.05
REVEAL_WAIT_S = 3.0
TURN = "---"
"""The line between two turns of a transcript."""
PROPOSED_MAX = 100
PROBLEM_CHARS_MAX = 200
OWN_WORDS = "…"
WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_CLOUD, _LOCAL = "cloud:", "local:"


@dataclass(frozen=True, slots=True)
class Model:
    """One that may be chosen. `where`: for the user."""

    place: Literal["local", "cloud"]
    name: str
    where: str


@dataclass(slots=True)
class Talk:
    """`show` opens a page, at a line; `models` lists who could answer; `diagnostics` is what is said of a document now,
    with a number that grows at each news of it; `documents` are those that are open."""

    client: Client
    pages: Pages
    engine_chats: Callable[[], Chats]
    editing: Editing
    show: Callable[[str, int | None], object]
    tell: Callable[[Literal["info", "warning"], str], None]
    lenses_changed: Callable[[], None]
    models: Callable[[], Awaitable[Sequence[Model]]]
    diagnostics: Callable[[str], tuple[int, tuple[Diagnostic, ...]]]
    documents: Callable[[], Sequence[Snapshot]]
    choice: Choice = AUTO
    running: dict[str, "asyncio.Task[Any]"] = field(default_factory=dict[str, "asyncio.Task[Any]"])
    proposed: dict[str, Proposed] = field(default_factory=dict[str, Proposed])
    applied: dict[str, str] = field(default_factory=dict[str, str])
    """The change in the journal that came of a conversation."""
    latest: str = ""
    _tasks: "set[asyncio.Task[Any]]" = field(default_factory=set["asyncio.Task[Any]"])

    @property
    def chats(self) -> Chats:
        """The conversations of the workspace; others when its folders change."""
        return self.engine_chats()

    # Commands

    async def command(self, kind: Kind, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.explain` and its like."""
        asked = await self._command(kind, fields)
        if asked is None:
            return {"cancelled": True}
        return await self.answer(await self.chats.start(asked))

    async def reply(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.reply`: {conversation?, prompt?}."""
        conversation = self._conversation(fields)
        prompt = _prompt(fields) or await self._written(
            say("reply_prompt", self.client.language(), title=conversation.title)
        )
        if prompt is None:
            return {"cancelled": True}
        return await self.answer(await self.chats.reply(conversation.id, prompt))

    async def retry(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.retry`: {conversation?, model?}: the last answer again, by another model."""
        conversation = self._conversation(fields)
        choice = await self._picked(fields)
        if choice is None:
            return {"cancelled": True}
        return await self.answer(await self.chats.retry(conversation.id, choice))

    async def select_model(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.selectModel`: {model?}: who answers from now on."""
        choice = await self._picked(fields)
        if choice is None:
            return {"cancelled": True}
        self.choice = choice
        label = choice.model or say("pick_local" if choice.place == "local" else "pick_auto", self.client.language())
        self.tell("info", say("picked", self.client.language(), label=label))
        return {"place": choice.place, "model": choice.model}

    async def apply(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.apply`: {conversation?}: the change that was not applied when it came."""
        conversation = self._conversation(fields)
        proposed = self.proposed.get(conversation.id)
        if proposed is None:
            raise HearthError(say("edit_nothing", self.client.language()))
        return self._result(conversation, await self._apply(conversation, proposed))

    async def undo(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.undoLastChange`: {change?, uri?}."""
        identifier = _text(fields, "change")
        return {"message": await self._undo(_document(fields), identifier)}

    async def keep(self, fields: Mapping[str, Any]) -> None:
        """`hearth.keep`: {change}: no lens any more."""
        self.editing.forget(_text(fields, "change"))

    async def copy(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """`hearth.copy`: {conversation?, text?} -> {copy}: what the client is to put on the clipboard."""
        return {"copy": _text(fields, "text") or self._conversation(fields).last.answer.text}

    async def export(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """`hearth.exportConversation`: {conversation?} -> {document}: Markdown for a new document."""
        return {"document": await self.chats.export(self._conversation(fields).id)}

    async def delete(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.deleteConversation`: {conversation?}; asks first."""
        conversation, language = self._conversation(fields), self.client.language()
        sure = say("delete", language)
        if await self.client.choose(types.MessageType.Warning, say("delete_sure", language), (sure,)) != sure:
            return {"cancelled": True}
        await self.stop(conversation.id)
        done = await self.chats.delete(conversation.id)
        self.pages.put(_page(conversation), f"{say('deleted', language)}\n")
        self.proposed.pop(conversation.id, None)
        self.latest = "" if self.latest == conversation.id else self.latest
        self.lenses_changed()
        return {"deleted": done}

    async def conversations(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.conversations`: {query?, conversation?} -> {conversations}: one is chosen and opened."""
        language = self.client.language()
        if wanted := _text(fields, "conversation"):
            self._open(self.chats.get(wanted).id)
            return {"conversation": wanted}
        query = _text(fields, "query")
        found = await self.chats.list(query, LISTED_MAX)
        listed = [{"id": one.id, "title": one.title, "updated": one.updated, "turns": one.turns} for one in found]
        if query:
            return {"conversations": listed}
        if not found:
            raise HearthError(say("no_conversation", language))
        items = [Item(one.id, one.title, f"{_day(one.updated)} {one.model}".strip()) for one in found]
        chosen = await self.client.input(say("pick_conversation", language), say("pick_search", language), items)
        if chosen is not None:
            self._open(self.chats.get(chosen).id)
        return {"conversations": listed, "conversation": chosen}

    async def stop(self, identifier: str = "") -> int:
        """End the answer of a conversation, or all; how many there were."""
        ended = [await self.chats.stop(one) for one in ([identifier] if identifier else list(self.running))]
        return sum(ended)

    # An answer

    async def answer(self, conversation: Conversation) -> dict[str, Any]:
        """Stream the answer that is due, and apply what comes of it."""
        identifier, title = conversation.id, conversation.title
        self.latest = identifier
        self.proposed.pop(identifier, None)
        task = asyncio.current_task()
        assert task is not None
        self.running[identifier] = task
        page = self._open(identifier)
        proposed: Proposed | None = None
        if len(conversation.turns) > 1:
            self._reveal_soon(page)
        try:
            async with self.client.bar(f"Hearth: {title}", lambda: self._stop_soon(identifier)) as bar:
                proposed = await self._streamed(identifier, page, bar)
        finally:
            self.running.pop(identifier, None)
            self.pages.changed(page, at_once=True)
            self.lenses_changed()
        conversation = self.chats.get(identifier)
        if proposed is None:
            return self._result(conversation, None)
        while len(self.proposed) >= PROPOSED_MAX:
            del self.proposed[next(iter(self.proposed))]
        self.proposed[identifier] = proposed
        return self._result(conversation, await self._apply(conversation, proposed))

    async def _streamed(self, identifier: str, page: str, bar: Bar) -> Proposed | None:
        proposed: Proposed | None = None
        words = False
        async with aclosing(self.chats.run(identifier)) as updates:
            async for update in updates:
                first = False
                match update:
                    case Proposed():
                        proposed = update
                    case Text():
                        first, words = not words, True
                    case Placed(model=model, reason=reason):
                        bar.say(f"{model}: {reason}")
                    case Restarted(note=note):
                        bar.say(note)
                    case _:
                        pass
                self.pages.changed(page, at_once=first)
        return proposed

    def _stop_soon(self, identifier: str) -> None:
        task = asyncio.get_running_loop().create_task(self.stop(identifier), name="stop")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _open(self, identifier: str) -> str:
        """Show a transcript; its URI."""
        uri = _page(self.chats.get(identifier))
        self.pages.put(uri, lambda: self.transcript(identifier))
        self.show(uri, None)
        self.lenses_changed()
        return uri

    def transcript(self, identifier: str) -> str:
        """The page of a conversation. Links into the workspace are shortened to the path in it: it is read as text."""
        text = self.chats.page(identifier)
        folder = next(iter(self.editing.desk.folders), "")
        return text.replace(f"]({file_uri(folder)}/", "](") if folder else text

    def _reveal_soon(self, page: str) -> None:
        """Scroll to the newest question, as soon as the client has it: it stands at the end of a long page."""

        async def reveal() -> None:
            before = self.pages.shown(page)
            for _ in range(round(REVEAL_WAIT_S / LOOK_S)):
                await asyncio.sleep(LOOK_S)
                text = self.pages.shown(page)
                if text != before:
                    lines = text.split("\n")
                    turns = [number for number, line in enumerate(lines) if line == TURN]
                    self.show(page, turns[-1] + 1 if turns else len(lines) - 1)
                    return

        task = asyncio.get_running_loop().create_task(reveal(), name="reveal")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def show_running(self) -> None:
        """Show the transcript of the newest answer that is being written."""
        if self.running:
            self.show(_page(self.chats.get(list(self.running)[-1])), None)

    def _result(self, conversation: Conversation, applied: Applied | None) -> dict[str, Any]:
        answer = conversation.last.answer
        found: dict[str, Any] = {
            "conversation": conversation.id,
            "page": _page(conversation),
            "text": answer.text,
            "model": answer.model,
            "place": answer.place,
            "ending": answer.ending,
        }
        if applied is not None:
            found |= {"applied": applied.done, "change": applied.id, "message": applied.problem}
        return found

    # A change

    async def _apply(self, conversation: Conversation, proposed: Proposed) -> Applied:
        document = conversation.command.uri
        before = self.diagnostics(document)
        applied = await self.editing.apply(proposed.patch, conversation.title, document, _page(conversation))
        if applied.done:
            self.proposed.pop(conversation.id, None)
            self.applied[conversation.id] = applied.id
        else:
            self.tell("warning", applied.problem)
        self.lenses_changed()
        if applied.done and conversation.kind == "fix":
            await self._judge(conversation, applied, before)
        return applied

    async def _judge(
        self, conversation: Conversation, applied: Applied, before: tuple[int, tuple[Diagnostic, ...]]
    ) -> None:
        """Whether a fix made things better, by what the editor's other tools say; undone if not, with consent."""
        document, language = conversation.command.uri, self.client.language()
        fixed = conversation.command.diagnostics or before[1]
        verdict = await self._verdict(document, fixed, before)
        if not verdict.worse:
            self.tell("info", say("fix_gone", language))
            return
        worst = (*verdict.left, *verdict.new)[0].message[:PROBLEM_CHARS_MAX]
        text = say("fix_left" if verdict.left else "fix_new", language, problem=worst)
        undo, keep = say("undo", language), say("keep", language)
        if await self.client.choose(types.MessageType.Info, text, (undo, keep)) == undo:
            await self._undo(document, applied.id)

    async def _undo(self, document: str, identifier: str) -> str:
        """Take back a change, the last one if none is named: no page offers that any more."""
        said = await self.editing.undo(document, identifier)
        self.applied = {name: change for name, change in self.applied.items() if change not in self.editing.undone}
        self.lenses_changed()
        self.tell("info", said)
        return said

    async def _verdict(
        self, document: str, fixed: Sequence[Diagnostic], before: tuple[int, tuple[Diagnostic, ...]]
    ) -> Verdict:
        """As soon as nothing more has come for a while; at the latest after `DIAGNOSTICS_WAIT_S`."""
        seen, since = before[0], time.monotonic()
        deadline = since + DIAGNOSTICS_WAIT_S
        while (now := time.monotonic()) < deadline:
            number, _ = self.diagnostics(document)
            if number != seen:
                seen, since = number, now
            elif seen != before[0] and now - since > DIAGNOSTICS_REST_S:
                break
            await asyncio.sleep(LOOK_S)
        return verify(fixed, before[1], self.diagnostics(document)[1])

    # What is asked of the user

    async def _command(self, kind: Kind, fields: Mapping[str, Any]) -> Command | None:
        """None if the user turned away."""
        language, document, prompt = self.client.language(), _document(fields), _prompt(fields)
        selection = convert.span(fields["selection"], "selection") if document and "selection" in fields else None
        refactoring = _text(fields, "refactoring")
        if not document and kind != "ask":
            raise HearthError(say("no_document", language))
        if kind == "ask" and not prompt:
            answer = await self._written(say("ask_prompt", language), say("ask_placeholder", language))
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
        return Command(
            kind,
            document,
            selection,
            prompt,
            refactoring,
            problems,
            self.choice,
            _read_only(document),
        )

    async def _written(self, prompt: str, placeholder: str = "") -> str | None:
        """What the user writes, with a name chosen for each @file, @folder and @symbol that has none yet; None if they
        turned away."""
        written = await self.client.input(prompt, placeholder)
        if written is None:
            return None
        for one in reversed(unfinished(written)):
            known = await names(one.kind or "file", "", self.editing.desk, self.documents())
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
        snapshot = await self.editing.desk.snapshot(document)
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
        words = await self._written(prompt, hint)
        return None if words is None else ("", words)

    async def _picked(self, fields: Mapping[str, Any]) -> Choice | None:
        """A place or model: `auto`, `local`, `local:NAME`, `cloud:NAME`, as an argument or chosen from a list."""
        language = self.client.language()
        wanted = _text(fields, "model")
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

    def _conversation(self, fields: Mapping[str, Any]) -> Conversation:
        """The one that is named, else that of the page the user looks at, else the latest. Raises HearthError."""
        uri = _text(fields, "uri")
        identifier = _text(fields, "conversation") or (conversation_of(uri) or self.latest)
        if not identifier:
            raise HearthError(say("no_conversation", self.client.language()))
        return self.chats.get(identifier)


KINDS: tuple[Kind, ...] = get_args(Kind)


def conversation_of(uri: str) -> str:
    """The conversation whose transcript a URI is, "" for none."""
    if not uri.startswith(CHAT_PAGE):
        return ""
    return uri.removeprefix(CHAT_PAGE).partition("/")[0].removesuffix(".md")


def _page(conversation: Conversation) -> str:
    """The URI of a transcript: its last part is what an editor writes on the tab."""
    return f"{CHAT_PAGE}{conversation.id}/{file_name(conversation.title) or conversation.kind}.md"


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    return "" if value is None else convert.string(value, key)


def _prompt(fields: Mapping[str, Any]) -> str:
    return _text(fields, "prompt").strip()[:PROMPT_CHARS_MAX]


def _document(fields: Mapping[str, Any]) -> str:
    """The document that a command is about; Hearth's own pages are none."""
    uri = _text(fields, "uri")
    return "" if uri.startswith(f"{SCHEME}:") else uri


def _read_only(uri: str) -> bool:
    """By its permissions too: the administrator could write to any file, and the editor then shows it as changed."""
    path = path_of(uri)
    try:
        return path is not None and not (path.stat().st_mode & WRITABLE and os.access(path, os.W_OK))
    except OSError:
        return False  # it was never saved


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
