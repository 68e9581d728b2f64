"""A conversation: what was asked, what was answered by whom, and what of it a model is shown again."""

from dataclasses import dataclass, field
from decimal import Decimal

from hearth.core.chat import EDITS, Command, Kind, Scope
from hearth.core.exchange import Ending, Message
from hearth.core.origin import Destination, Origin
from hearth.core.route import Choice


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. `text`: as it came, not yet made safe to show. `origins`: of everything it was shown.
    `ending`: "" while it is being written; "stopped" by the user; "failed" with `problem`. Counts are None where
    nobody said."""

    text: str = ""
    place: Destination | None = None
    name: str = ""
    model: str = ""
    reason: str = ""
    ending: Ending | str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    generated_tokens: int | None = None
    cost: Decimal | None = None
    entries: tuple[int, ...] = ()
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """`asked`: what the user reads of their own words. `message`: what the model is shown for it. `used`: the
    origins of what was attached. `flags`: what the user should know of the attachments (invisible characters, what
    was left out)."""

    asked: str
    message: Message
    used: tuple[Origin, ...] = ()
    flags: tuple[str, ...] = ()
    answer: Answer = field(default_factory=Answer)


@dataclass(slots=True)
class Conversation:
    """`id` is safe as part of a URI and as a file's name. `choice`: where the next question goes. `scope`: the
    lines it is about, None for none."""

    id: str
    kind: Kind
    title: str
    command: Command
    scope: Scope | None
    created: float
    turns: list[Turn] = field(default_factory=list[Turn])
    choice: Choice = field(default_factory=Choice)

    @property
    def edits(self) -> bool:
        """Whether its answers are changes."""
        return self.kind in EDITS

    @property
    def last(self) -> Turn:
        return self.turns[-1]


@dataclass(frozen=True, slots=True)
class Summary:
    """A line in a list of conversations. `updated`: epoch seconds."""

    id: str
    kind: Kind
    title: str
    updated: float
    turns: int
    model: str = ""
