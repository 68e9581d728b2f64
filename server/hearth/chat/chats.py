"""The chat commands: from what the user asked for to a streamed answer and, for an edit, a proposed change.

    conversation = await chats.start(Command("refactor", uri, selection, prompt="split it"))
    async for update in chats.run(conversation.id):      # the door's events; at the end of an edit `Proposed`
        ...                                              # refresh chats.page(conversation.id) at leisure
    await chats.reply(conversation.id, "and now the tests"); async for update in chats.run(conversation.id): ...

Nothing here changes a file: what `Proposed` holds is for the editor to preview and to apply.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hearth.chat.desk import Desk
from hearth.core.chat import Command
from hearth.core.conversation import Conversation, Summary
from hearth.core.exchange import Event, Request
from hearth.core.route import Choice

Ask = Callable[[Request], AsyncGenerator[Event]]
"""The door, with consent bound."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """The change that an answer amounts to, checked; nothing is applied yet. `patch`: a `core.patch.Patch`, over the
    snapshots that the command began with: their versions say whether it still fits."""

    patch: Any


Update = Event | Proposed


class Chats:
    """One per workspace."""

    def __init__(self, ask: Ask, desk: Desk, room: Callable[[Choice], int]) -> None:
        """`room(choice)`: the true context, in tokens, of the model that would be asked first."""

    async def start(self, command: Command) -> Conversation:
        """A new conversation, ready to `run`. Raises HearthError, with what to do instead: an empty or binary file, a
        selection that is too large, a read-only document for an edit, nothing to fix, no question."""
        raise NotImplementedError

    async def reply(self, identifier: str, prompt: str) -> Conversation:
        """The user says more (@mentions too); then `run`. In a conversation that edits, the reply asks for
        another edit. Raises HearthError: nothing was said, it is still answering, or the conversation is
        gone."""
        raise NotImplementedError

    def retry(self, identifier: str, choice: Choice) -> Conversation:
        """The last answer is dropped, to be asked for again of another model or place; then `run`."""
        raise NotImplementedError

    def run(self, identifier: str) -> AsyncGenerator[Update]:
        """Have the last question answered. Closing the generator stops the model; what was said is kept.

        An edit whose answer does not fit goes back to the model with what did not match, at most twice (`Restarted`
        between); then, and for an answer that is no code at all, a HearthError is raised: the file is untouched. So are
        the door's own errors."""
        raise NotImplementedError

    async def stop(self, identifier: str) -> bool:
        """End a `run` that is under way; False if there is none. Returns once it has ended."""
        raise NotImplementedError

    def running(self, identifier: str) -> bool:
        """Whether an answer is being written."""
        raise NotImplementedError

    def get(self, identifier: str) -> Conversation:
        """Raises HearthError if it is gone."""
        raise NotImplementedError

    def page(self, identifier: str) -> str:
        """The transcript as Markdown, safe to show. Cheap: only what is new is rendered."""
        raise NotImplementedError

    async def list(self, query: str = "", limit: int = 50) -> Sequence[Summary]:
        """Those kept of this workspace, the newest first; those that hold all words of `query`."""
        raise NotImplementedError

    async def export(self, identifier: str) -> str:
        """The transcript as Markdown, to be saved by the user."""
        raise NotImplementedError

    async def delete(self, identifier: str) -> bool:
        """Forget a conversation, on the disk too."""
        raise NotImplementedError
