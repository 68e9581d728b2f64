"""The chat commands in an editor: what is asked of the user, the transcript beside the code, the change at the end.

A command runs as long as its answer: its request is answered when the transcript is whole and the change, if there is
one, was applied or declined. Stopping (the command, the lens, the progress bar's button) ends the answer, not the
conversation.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from lsprotocol import types

from hearth.chat.chats import Chats, Proposed
from hearth.core.chat import Kind
from hearth.core.chat_fix import Verdict, verify
from hearth.core.context import Diagnostic
from hearth.core.conversation import Conversation, mark_of
from hearth.core.exchange import AUTO, Placed, Restarted, Text
from hearth.core.markdown import file_uri
from hearth.core.route import Choice
from hearth.errors import HearthError
from hearth.lsp.asking import Bar, Client, Item
from hearth.lsp.editing import Applied, Editing
from hearth.lsp.messages import say
from hearth.lsp.pages import Pages, file_name
from hearth.lsp.wanted import Wanted, document_of, prompt_of, text_of

CHAT_PAGE = "hearth:/chat/"
LISTED_MAX = 200
DIAGNOSTICS_WAIT_S = 8.0
"""How long after a fix the editor's other tools may take to look again."""
DIAGNOSTICS_REST_S = 2.0
"""They first take back and then say anew: so long nothing more must come."""
LOOK_S = 0.05
REVEAL_WAIT_S = 3.0
TURN = "---"
"""The line between two turns of a transcript."""
PROPOSED_MAX = 100
PROBLEM_CHARS_MAX = 200


class Made(NamedTuple):
    """A change in the journal. `origin`: the conversation, and a mark of the answer in it that it came of."""

    id: str
    origin: str


@dataclass(slots=True)
class Talk:
    """`show` opens a page, at a line."""

    client: Client
    pages: Pages
    engine_chats: Callable[[], Chats]
    editing: Editing
    show: Callable[[str, int | None], object]
    tell: Callable[[Literal["info", "warning"], str], None]
    lenses_changed: Callable[[], None]
    wanted: Wanted
    choice: Choice = AUTO
    running: dict[str, "asyncio.Task[Any]"] = field(default_factory=dict[str, "asyncio.Task[Any]"])
    proposed: dict[str, Proposed] = field(default_factory=dict[str, Proposed])
    applied: dict[str, Made] = field(default_factory=dict[str, Made])
    """The last change that came of a conversation."""
    replaced: dict[str, Made] = field(default_factory=dict[str, Made])
    """The one whose place the change of another model's answer takes."""
    latest: str = ""
    _tasks: "set[asyncio.Task[Any]]" = field(default_factory=set["asyncio.Task[Any]"])

    @property
    def chats(self) -> Chats:
        """The conversations of the workspace; others when its folders change."""
        return self.engine_chats()

    # Commands

    async def command(self, kind: Kind, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.explain` and its like."""
        asked = await self.wanted.command(kind, fields, self.choice)
        if asked is None:
            return {"cancelled": True}
        return await self.answer(await self.chats.start(asked))

    async def reply(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.reply`: {conversation?, prompt?}."""
        conversation = self._conversation(fields)
        prompt = prompt_of(fields) or await self.wanted.written(
            say("reply_prompt", self.client.language(), title=conversation.title)
        )
        if prompt is None:
            return {"cancelled": True}
        self.replaced.pop(conversation.id, None)  # what comes now goes on from what is applied
        return await self.answer(await self.chats.reply(conversation.id, prompt))

    async def retry(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.retry`: {conversation?, model?}: the last answer again, by another model."""
        conversation = self._conversation(fields)
        choice = await self.wanted.picked(fields)
        if choice is None:
            return {"cancelled": True}
        change = self.applied.get(conversation.id)
        if change is not None and change.origin == self._turn(conversation):
            self.replaced[conversation.id] = change
        return await self.answer(await self.chats.retry(conversation.id, choice))

    async def select_model(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`hearth.selectModel`: {model?}: who answers from now on."""
        choice = await self.wanted.picked(fields)
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
        identifier = text_of(fields, "change")
        return {"message": await self._undo(document_of(fields), identifier)}

    async def keep(self, fields: Mapping[str, Any]) -> None:
        """`hearth.keep`: {change}: no lens any more."""
        self.editing.forget(text_of(fields, "change"))

    async def copy(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """`hearth.copy`: {conversation?, text?} -> {copy}: what the client is to put on the clipboard."""
        return {"copy": text_of(fields, "text") or self._conversation(fields).last.answer.text}

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
        if wanted := text_of(fields, "conversation"):
            self._open(self.chats.get(wanted).id)
            return {"conversation": wanted}
        query = text_of(fields, "query")
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
        if old := self.replaced.pop(conversation.id, None):
            # The other answer is of what was there before. Where something else was written since, it will not fit.
            with suppress(HearthError):
                await self._undo("", old.id)
        before = self.wanted.diagnostics(document)
        origin, page, language = self._turn(conversation), _page(conversation), self.client.language()
        applied = await self.editing.apply(proposed.patch, conversation.title, document, page, origin=origin)
        if applied.done:
            self.proposed.pop(conversation.id, None)
            if applied.id:
                self.applied[conversation.id] = Made(applied.id, origin)
        else:
            self.tell("warning", applied.problem)
        fate = applied.problem or applied.note or say("became_applied" if applied.whole else "became_part", language)
        await self._became(origin, fate)
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
        undone = await self.editing.undo(document, identifier)
        self.applied = {name: change for name, change in self.applied.items() if change.id != undone.id}
        await self._became(undone.origin, say("became_undone", self.client.language()))
        self.lenses_changed()
        self.tell("info", undone.said)
        return undone.said

    def _turn(self, conversation: Conversation) -> str:
        """The answer that is the last one now, as the origin of a change."""
        return f"{conversation.id} {mark_of(conversation.last.answer)}"

    async def _became(self, origin: str, fate: str) -> None:
        """Let the transcript say what became of a change, if the answer that it came of is still there."""
        identifier, _, mark = origin.partition(" ")
        if not mark:
            return
        with suppress(HearthError):
            await self.chats.became(identifier, mark, fate)
            self.pages.changed(_page(self.chats.get(identifier)), at_once=True)

    async def _verdict(
        self, document: str, fixed: Sequence[Diagnostic], before: tuple[int, tuple[Diagnostic, ...]]
    ) -> Verdict:
        """As soon as nothing more has come for a while; at the latest after `DIAGNOSTICS_WAIT_S`."""
        seen, since = before[0], time.monotonic()
        deadline = since + DIAGNOSTICS_WAIT_S
        while (now := time.monotonic()) < deadline:
            number, _ = self.wanted.diagnostics(document)
            if number != seen:
                seen, since = number, now
            elif seen != before[0] and now - since > DIAGNOSTICS_REST_S:
                break
            await asyncio.sleep(LOOK_S)
        return verify(fixed, before[1], self.wanted.diagnostics(document)[1])

    def _conversation(self, fields: Mapping[str, Any]) -> Conversation:
        """The one that is named, else that of the page the user looks at, else the latest. Raises HearthError."""
        uri = text_of(fields, "uri")
        identifier = text_of(fields, "conversation") or (conversation_of(uri) or self.latest)
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


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
