"""The chat commands: from what the user asked for to a streamed answer and, for an edit, a proposed change.

    conversation = await chats.start(Command("refactor", uri, selection, prompt="split it"))
    async for update in chats.run(conversation.id):      # the door's events; at the end of an edit `Proposed`
        ...                                              # refresh chats.page(conversation.id) at leisure
    await chats.reply(conversation.id, "and now the tests"); async for update in chats.run(conversation.id): ...

Nothing here changes a file: what `Proposed` holds is for the editor to preview and to apply.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from hearth.chat.desk import Desk
from hearth.chat.prepare import Work, asked, based, begun
from hearth.chat.transcripts import Transcripts
from hearth.core.chat import Command, moved
from hearth.core.chat_docs import refused_code
from hearth.core.chat_page import Page, page
from hearth.core.chat_prompt import code_parts, system_for
from hearth.core.conversation import Answer, Conversation, Summary, Turn, asked_by_user, condense, mark_of, messages
from hearth.core.exchange import Done, Event, Message, Note, Part, Placed, Request, Restarted, Text, assistant
from hearth.core.origin import PRODUCT
from hearth.core.patch import Ability, Patch, Refusal, read
from hearth.core.route import Choice
from hearth.core.text import Snapshot
from hearth.core.thoughts import Thoughts
from hearth.errors import HearthError

LOG = logging.getLogger(__name__)
CORRECTIONS_MAX = 2
"""How often a model is told what is wrong with its answer."""
CONVERSATIONS_OPEN_MAX = 32
"""Kept in memory; others are read again from the disk."""
STOP_WITHIN_S = 2.0

Ask = Callable[[Request], AsyncGenerator[Event]]
"""The door, with consent bound."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """The change that an answer amounts to, checked; nothing is applied yet. `patch`: its paths are relative to
    `folder` ("" for a document outside of the workspace, whose URI is the command's). `snapshot`: the command's
    document as the model was shown it: its version says whether the change still fits."""

    patch: Patch
    folder: str
    snapshot: Snapshot | None


Update = Event | Proposed


@dataclass(slots=True)
class _Open:
    """A conversation in memory. `task`: reads the door while it runs. `restored`: from the disk, and what it is
    about was not read again yet."""

    talk: Conversation
    work: Work
    shown: Page
    task: asyncio.Task[None] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    restored: bool = False


class Chats:
    """One per workspace."""

    def __init__(
        self,
        ask: Ask,
        desk: Desk,
        room: Callable[[Choice], int],
        transcripts: Transcripts | None = None,
        *,
        ability: Callable[[Choice], Ability] = lambda _choice: "unknown",
        settled: Callable[[], Awaitable[None]] | None = None,
        away: Callable[[Choice], bool] = lambda _choice: False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`room(choice)`: the true context, in tokens, of the model that would be asked first; `ability(choice)`: what
        it was seen to do. Without `transcripts` nothing is kept. `settled` waits until it is known who could answer;
        `away(choice)`: whether the cloud would be asked first."""
        self._away = away
        self._settled = settled
        self._ask = ask
        self._desk = desk
        self._room = room
        self._transcripts = transcripts
        self._ability = ability
        self._now = now
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._seen: dict[str, Ability] = {}
        self._cut: dict[str, int] = {}
        self._answers: dict[str, str] = {}  # the model that answered last, by the place that was chosen

    # What the user does

    async def start(self, command: Command) -> Conversation:
        """A new conversation, ready to `run`. Raises HearthError, with what to do instead: an empty or binary file, a
        selection that is too large, a read-only document for an edit, nothing to fix, no question."""
        if self._settled is not None and command.choice.place != "cloud":
            await self._settled()
        choice = command.choice
        talk, work = await begun(
            command, self._desk, self._context(choice), self._able(choice), self._now(), away=self._away(choice)
        )
        self._keep(_Open(talk, work, Page(talk, self._desk.folders)))
        return talk

    async def reply(self, identifier: str, prompt: str) -> Conversation:
        """The user says more (@mentions too); then `run`. In a conversation that edits, the reply asks for
        another edit. Raises HearthError: nothing was said, it is still answering, or the conversation is
        gone."""
        if not prompt.strip():
            raise HearthError("Nothing was said.", "Write what you want to know or to be changed.")
        one = self._ready(identifier)
        talk, work = one.talk, one.work
        _drop_unanswered(talk)
        fresh = await self._document(talk)
        changed: tuple[Part, ...] = ()
        if one.restored:
            room = await self._rebased(one, fresh)
        else:
            room = max(256, self._context(talk.choice) - work.output_tokens)
            changed = self._changed(talk, work, fresh, room)
        await asked(talk, work, self._desk, prompt, room, away=self._away(talk.choice))
        if changed:
            talk.turns[-1] = replace(talk.last, parts=(*changed, *talk.last.parts))
        self._keep(one)
        return talk

    async def retry(self, identifier: str, choice: Choice) -> Conversation:
        """The last answer is dropped, to be asked for again of another model or place; then `run`. Raises HearthError:
        it is still answering, or the conversation is gone."""
        one = self._ready(identifier)
        if not one.talk.turns:
            raise HearthError("There is nothing to ask again.")
        one.talk.choice = choice
        one.talk.turns[-1] = replace(one.talk.last, answer=Answer())
        one.shown.rewound()
        return one.talk

    async def stop(self, identifier: str) -> bool:
        """End a `run` that is under way; False if there is none. Returns once it has ended."""
        one = self._open.get(identifier)
        if one is None or one.task is None:
            return False
        one.task.cancel()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await one.over.wait()
        except TimeoutError:
            pass
        return True

    # The answer

    async def run(self, identifier: str) -> AsyncGenerator[Update]:
        """Have the last question answered. Closing the generator stops the model; what was said is kept.

        An edit whose answer does not fit goes back to the model with what did not match, at most twice (`Restarted`
        between); then, and for an answer that is no code at all, a HearthError is raised: the file is untouched. So are
        the door's own errors."""
        one = self._ready(identifier)
        talk = one.talk
        if not talk.turns or talk.last.answer.ending:
            raise HearthError("There is no question that waits for an answer.", "Reply, or retry.")
        if one.restored:
            again = talk.turns.pop()
            room = await self._rebased(one, await self._document(talk))
            prompt = again.asked if talk.turns else talk.command.prompt
            await asked(talk, one.work, self._desk, prompt, room, away=self._away(talk.choice))
        one.over.clear()
        queue: asyncio.Queue[Update | BaseException | None] = asyncio.Queue()
        one.task = task = asyncio.create_task(self._work(one, queue), name=f"chat {identifier}")
        try:
            while True:
                update = await queue.get()
                if update is None:
                    return
                if isinstance(update, BaseException):
                    raise update
                yield update
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            one.task = None
            if not talk.last.answer.ending:
                _answer(talk, ending="stopped")
            talk.updated = self._now()
            await self._save(talk)
            one.over.set()

    async def became(self, identifier: str, mark: str, fate: str) -> None:
        """Note what became of the change that an answer proposed: the page says it. `mark`: the answer's (`mark_of`);
        if another one took its place meanwhile, nothing is noted. Raises HearthError if the conversation is gone."""
        one = self._known(identifier)
        turns = one.talk.turns
        turn = next((n for n in reversed(range(len(turns))) if mark_of(turns[n].answer) == mark), None)
        if turn is None:
            return
        turns[turn] = replace(turns[turn], answer=replace(turns[turn].answer, fate=fate))
        one.shown.amended(turn)
        if one.task is None:
            await self._save(one.talk)  # else it is, at the end of the answer that is being written

    def running(self, identifier: str) -> bool:
        """Whether an answer is being written."""
        one = self._open.get(identifier)
        return one is not None and one.task is not None

    async def _work(self, one: _Open, queue: "asyncio.Queue[Update | BaseException | None]") -> None:
        """All rounds of an answer; what happens goes into the queue, None at the end."""
        talk = one.talk
        try:
            await self._rounds(one, queue.put_nowait)
            queue.put_nowait(None)
        except asyncio.CancelledError:
            queue.put_nowait(None)
            raise
        except HearthError as error:
            _answer(talk, ending="failed", problem=f"{error.message} {error.remedy}".strip())
            queue.put_nowait(error)
        except BaseException as error:
            _answer(talk, ending="failed", problem="Something went wrong inside Hearth; its log says more.")
            queue.put_nowait(error)
            raise

    async def _rounds(self, one: _Open, tell: Callable[[Update], None]) -> None:
        talk, work = one.talk, one.work
        system = system_for(talk.kind)
        condense(talk, system, max(256, self._context(talk.choice) - work.output_tokens))
        shown = messages(talk, system)
        for number in range(CORRECTIONS_MAX + 1):
            text, done = await self._round(one, shown, work.output_tokens, tell)
            if not talk.edits:
                if not text.strip():
                    raise _nothing(done)
                _answer(talk, text=text, ending=done.reason)
                return
            patch = self._read(talk, work, text, done)
            self._learn(done.model, work, patch)
            if isinstance(patch, Patch):
                said = _outcome(patch)
                _answer(talk, text=text, ending=done.reason, outcome=said)
                if patch.edits:
                    tell(Proposed(patch, work.folder, work.snapshot))
                return
            if number == CORRECTIONS_MAX:
                raise HearthError(
                    f"{patch.message.rstrip('.')}. The model was told {CORRECTIONS_MAX} times; nothing was changed.",
                    "Retry with another model, or ask for less at once.",
                )
            LOG.info("answer refused: %s", patch.code)
            note = Restarted(f"{patch.message.rstrip('.')}. The model is told, and tries again.")
            one.shown.restarted()
            _answer(talk, text="", notes=(*talk.last.answer.notes, note.note))
            tell(note)
            if done.reason == "length":
                work.output_tokens = min(work.output_tokens * 2, max(256, self._context(talk.choice) // 2))
            shown = (*shown, *self._correction(shown, text, patch))

    def _correction(self, shown: Sequence[Message], text: str, patch: Refusal) -> tuple[Message, Message]:
        """The model's own answer, and what is wrong with it. The feedback quotes the file."""
        said = assistant(text.strip() or "(nothing)", shown)
        return said, Message("user", (Part(patch.feedback, (PRODUCT, *said.origins)),))

    async def _round(
        self, one: _Open, shown: tuple[Message, ...], output_tokens: int, tell: Callable[[Update], None]
    ) -> tuple[str, Done]:
        """One answer of one model: its text and how it ended."""
        talk = one.talk
        request = Request(talk.kind, shown, output_tokens, talk.id, one.work.folder, choice=talk.choice)
        pieces: list[str] = []
        try:
            done = await self._hear(one, request, pieces, tell)
        finally:
            # Also what was said before it was stopped or failed.
            _answer(talk, text="".join(pieces))
        if done is None:
            raise HearthError("The answer broke off.", "Try again.")
        return talk.last.answer.text, done

    async def _hear(
        self, one: _Open, request: Request, pieces: "list[str]", tell: Callable[[Update], None]
    ) -> Done | None:
        """Pass on what the door says; the answer's text goes into `pieces`."""
        talk, thoughts, done = one.talk, Thoughts(), None
        async with aclosing(self._ask(request)) as events:
            async for event in events:
                match event:
                    case Text():
                        if not (piece := thoughts.feed(event.text)):
                            continue
                        pieces.append(piece)
                        one.shown.wrote(piece)
                        event = Text(piece)
                    case Placed():
                        _answer(talk, place=event.place, name=event.name, model=event.model, reason=event.reason)
                        self._answers[talk.choice.place] = event.model
                    case Restarted():
                        pieces.clear()
                        thoughts = Thoughts()
                        one.shown.restarted()
                        _noted(talk, f"{event.note} {event.remedy}".strip())
                    case Note():
                        _noted(talk, f"{event.text} {event.remedy}".strip())
                    case Done():
                        done = event
                        self._counted(talk, event)
                tell(event)
                if isinstance(event, Text) and len(pieces) == 1:
                    # Whoever shows it is to have the first words before more are worked on.
                    await asyncio.sleep(0)
        return done

    def _counted(self, talk: Conversation, done: Done) -> None:
        before = talk.last.answer
        _answer(
            talk,
            prompt_tokens=_sum(before.prompt_tokens, done.prompt_tokens),
            cached_tokens=_sum(before.cached_tokens, done.cached_tokens),
            generated_tokens=_sum(before.generated_tokens, done.generated_tokens),
            cost=done.cost if before.cost is None else before.cost + (done.cost or 0),
            entries=(*before.entries, *done.entries),
        )
        if done.cut and done.prompt_tokens:
            self._cut[done.model] = done.prompt_tokens  # its true context; the door has told the user

    def _read(self, talk: Conversation, work: Work, text: str, done: Done) -> Patch | Refusal:
        """The patch of an answer that came to its end; for documentation only one that leaves the code alone."""
        patch = read(text, work.format, work.targets, instruction=asked_by_user(talk))
        if done.reason != "stop" and isinstance(patch, Patch):
            # Half of a file may parse too, and half of the blocks would be half of the change.
            return Refusal(
                "unfinished",
                "The answer broke off before its end.",
                "Your answer was cut off before its end. Give it again, without any words around the code.",
            )
        if talk.kind != "document" or isinstance(patch, Refusal):
            return patch
        return refused_code(patch, work.snapshot.language if work.snapshot else "") or patch

    def _learn(self, model: str, work: Work, patch: Patch | Refusal) -> None:
        """Whether a model copies lines exactly enough for blocks."""
        if work.format in ("blocks", "diff") and model:
            failed = isinstance(patch, Refusal) and patch.code in ("no_match", "ambiguous", "format", "partial")
            self._seen[model] = "small" if failed else "able"

    # What is known

    def get(self, identifier: str) -> Conversation:
        """A conversation, from the disk if need be. Raises HearthError if it is gone."""
        return self._known(identifier).talk

    def page(self, identifier: str) -> str:
        """The transcript as Markdown, safe to show. Cheap: only what is new is rendered. Raises HearthError if it is
        gone."""
        return self._known(identifier).shown.text()

    async def list(self, query: str = "", limit: int = 50) -> Sequence[Summary]:
        """Those kept of this workspace, the newest first; those that hold all words of `query`."""
        if self._transcripts is None:
            return [one.talk.summary for one in reversed(self._open.values())][:limit]
        return await asyncio.to_thread(self._transcripts.listed, query, limit)

    async def export(self, identifier: str) -> str:
        """The transcript as Markdown, to be saved by the user."""
        return page(self._known(identifier).talk, self._desk.folders)

    async def delete(self, identifier: str) -> bool:
        """Forget a conversation, on the disk too."""
        await self.stop(identifier)
        there = self._open.pop(identifier, None) is not None
        if self._transcripts is not None:
            there = await asyncio.to_thread(self._transcripts.delete, identifier) or there
        return there

    # Inside

    def _known(self, identifier: str) -> _Open:
        if one := self._open.get(identifier):
            return one
        talk = self._transcripts.load(identifier) if self._transcripts else None
        if talk is None:
            raise _gone()
        work = Work(folder=next(iter(self._desk.folders), ""))
        one = _Open(talk, work, Page(talk, self._desk.folders), restored=True)
        self._keep(one)
        return one

    def _ready(self, identifier: str) -> _Open:
        one = self._known(identifier)
        if one.task is not None:
            raise HearthError("The answer is still being written.", "Wait for it, or stop it.")
        return one

    def _keep(self, one: _Open) -> None:
        self._open[one.talk.id] = one
        self._open.move_to_end(one.talk.id)
        for identifier in [name for name, other in self._open.items() if other.task is None]:
            if len(self._open) <= CONVERSATIONS_OPEN_MAX:
                break
            if identifier != one.talk.id:
                del self._open[identifier]

    async def _save(self, talk: Conversation) -> None:
        if self._transcripts is None:
            return
        try:
            await asyncio.to_thread(self._transcripts.save, talk)
        except OSError as error:
            LOG.warning("conversation not kept: %s", error.strerror)

    def _context(self, choice: Choice) -> int:
        """The context to count on: what a server was seen to cut off at, where that is less than it says."""
        known = self._room(choice)
        return min(known, self._cut.get(self._model(choice), known))

    def _able(self, choice: Choice) -> Ability:
        return self._seen.get(self._model(choice)) or self._ability(choice)

    def _model(self, choice: Choice) -> str:
        """Who would probably answer."""
        return choice.model or self._answers.get(choice.place, "")

    async def _document(self, talk: Conversation) -> Snapshot | None:
        """The document as it is now, None if there is none any more."""
        if not talk.command.uri:
            return None
        try:
            return await self._desk.snapshot(talk.command.uri)
        except HearthError:
            return None

    async def _rebased(self, one: _Open, fresh: Snapshot | None) -> int:
        """Read again what a restored conversation is about; the tokens left for its turns."""
        talk, work = one.talk, one.work
        if talk.command.uri:
            if fresh is None and talk.edits:
                raise HearthError("The file that this was about is gone.", "Start a new conversation.")
            work.snapshot = fresh
            work.folder, work.path = self._desk.place(talk.command.uri)
            if fresh is not None and talk.scope is not None:
                end = min(talk.scope.end, len(fresh.lines))
                talk.scope = replace(talk.scope, start=min(talk.scope.start, end - 1), end=end)
        room = await based(talk, work, self._desk, self._context(talk.choice), self._able(talk.choice))
        one.restored = False
        return room

    def _changed(self, talk: Conversation, work: Work, fresh: Snapshot | None, room: int) -> tuple[Part, ...]:
        """The code again, if it is another since the model was last shown it."""
        if fresh is None or work.snapshot is None or fresh.text == work.snapshot.text or talk.scope is None:
            return ()
        before, work.snapshot = work.snapshot, fresh
        talk.scope = moved(talk.scope, before, fresh)
        span = (talk.scope.start, talk.scope.end) if talk.scope.how != "file" else None
        if talk.kind != "test" or (work.tests and work.tests.inside):
            work.targets = tuple(
                replace(target, text=fresh.text, span=span if target.span else None) for target in work.targets
            )
        lead = Part("The document is another by now.\n", (PRODUCT,))
        return (lead, *code_parts(work.folder, work.path, fresh, talk.scope, room))


def _drop_unanswered(talk: Conversation) -> None:
    """A question that was never run is replaced by the next."""
    if talk.turns and not talk.last.answer.ending:
        talk.turns.pop()


def _answer(talk: Conversation, **changes: object) -> None:
    turn: Turn = talk.last
    talk.turns[-1] = replace(turn, answer=replace(turn.answer, **changes))


def _noted(talk: Conversation, note: str) -> None:
    _answer(talk, notes=(*talk.last.answer.notes, note))


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other + (one or 0)


def _outcome(patch: Patch) -> str:
    notes = " ".join(patch.notes)
    if not patch.edits:
        return f"There is nothing to change. {notes}".strip()
    places = f"{patch.places} place{'s' if patch.places != 1 else ''}"
    return f"A change of {places} in {', '.join(patch.paths)}. {notes}".strip()


def _nothing(done: Done) -> HearthError:
    if done.reason == "filter":
        return HearthError("The provider held the answer back.", "Ask in other words, or retry with another model.")
    return HearthError(f"{done.model or 'The model'} answered nothing.", "Retry, perhaps with another model.")


def _gone() -> HearthError:
    return HearthError("This conversation is gone.", "Start a new one.")
