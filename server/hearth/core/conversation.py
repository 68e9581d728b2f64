"""A conversation: what was asked, what was answered by whom, and what of it a model is shown again.

What a model is shown is ordered by how stable it is: Hearth's own words, the project's notes, the code it is about, the
turns, the new question last. It only ever grows at its end, so a server's prefix cache holds; when it gets long, the
older turns are told in short, rarely and many at once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256

from hearth.core.chat import EDITS, Command, Kind, Scope
from hearth.core.exchange import Ending, Message, Part, assistant
from hearth.core.origin import Destination, Origin, sources, summary_of
from hearth.core.route import Choice

BYTES_PER_TOKEN = 3.0
"""A little low for code, lower for prose: what is thought to fit should."""
MESSAGE_TOKENS = 8
FOLD_ABOVE_SHARE = 0.7
"""Of the room; then older turns are told in short until FOLD_TO_SHARE is taken."""
FOLD_TO_SHARE = 0.4
DIGEST_SHARE_MAX = 0.1
DIGEST_ASKED_CHARS_MAX = 200
DIGEST_ANSWER_CHARS_MAX = 300
DIGEST_SIGNATURES_MAX = 6
TURNS_MAX = 400
TITLE_CHARS_MAX = 80
MARK_CHARS = 16

_SIGNATURE = re.compile(
    r"^\s*(?:(?:export|pub(?:\([^)]*\))?|public|private|protected|static|async|abstract|default)\s+)*"
    r"(?:def|class|function|func|fn|interface|struct|enum|trait|impl|type|record)\s+\w.*"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. `text`: as it came, not yet made safe to show. `ending`: "" while it is being written;
    "stopped" by the user; "failed" with `problem`. `outcome`: what change it amounts to, a sentence. `fate`: what
    became of that in the editor, in the user's language. Counts are None where nobody said."""

    text: str = ""
    place: Destination | None = None
    name: str = ""
    model: str = ""
    reason: str = ""
    ending: Ending | str = ""
    problem: str = ""
    outcome: str = ""
    notes: tuple[str, ...] = ()
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    generated_tokens: int | None = None
    cost: Decimal | None = None
    entries: tuple[int, ...] = ()
    fate: str = ""

    @property
    def worth_showing_again(self) -> bool:
        """Whether a model should see it in later turns."""
        return bool(self.text.strip()) and self.ending != "failed"


def mark_of(answer: Answer) -> str:
    """By which an answer is known again, also after a restart."""
    return sha256(answer.text.encode("utf-8", "replace")).hexdigest()[:MARK_CHARS]


@dataclass(frozen=True, slots=True)
class Turn:
    """`asked`: what the user reads of their own words. `parts`: what the model is shown for it, the words last. `used`:
    the origins of what was attached. `flags`: what the user should know of the attachments (invisible characters, what
    was left out)."""

    asked: str
    parts: tuple[Part, ...]
    used: tuple[Origin, ...] = ()
    flags: tuple[str, ...] = ()
    answer: Answer = field(default_factory=Answer)


@dataclass(slots=True)
class Conversation:
    """`id` is safe as part of a URI and as a file's name. `choice`: where the next question goes. `scope`: the
    lines it is about, None for none. `base`: what every question is shown first (notes, code); empty in one that
    was restored, to be read anew. `folded`: so many turns are told in short, as `digest`. `created`, `updated`:
    epoch seconds."""

    id: str
    kind: Kind
    title: str
    command: Command
    scope: Scope | None
    created: float
    turns: list[Turn] = field(default_factory=list[Turn])
    choice: Choice = field(default_factory=Choice)
    updated: float = 0.0
    base: tuple[Part, ...] = ()
    folded: int = 0
    digest: tuple[Part, ...] = ()

    @property
    def edits(self) -> bool:
        """Whether its answers are changes."""
        return self.kind in EDITS

    @property
    def last(self) -> Turn:
        return self.turns[-1]

    @property
    def summary(self) -> "Summary":
        """The line in a list."""
        model = next((turn.answer.model for turn in reversed(self.turns) if turn.answer.model), "")
        return Summary(self.id, self.kind, self.title, self.updated or self.created, len(self.turns), model)


@dataclass(frozen=True, slots=True)
class Summary:
    """A line in a list of conversations. `updated`: epoch seconds."""

    id: str
    kind: Kind
    title: str
    updated: float
    turns: int
    model: str = ""


def tokens_about(text: str) -> int:
    """How many tokens a text has, rather too many."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return int(size / BYTES_PER_TOKEN) + 1


def tokens_in(messages: Sequence[Message]) -> int:
    """How many tokens messages have, rather too many."""
    return sum(tokens_about(part.text) for one in messages for part in one.parts) + MESSAGE_TOKENS * len(messages)


def messages(conversation: Conversation, system: Message) -> tuple[Message, ...]:
    """What a model is shown for the last question: roles take turns, whatever happened before."""
    shown: list[Message] = [system]
    lead = (*conversation.base, *conversation.digest)
    turns = conversation.turns[conversation.folded :]
    for turn in turns[:-1]:
        if not turn.answer.worth_showing_again:
            continue
        shown.append(Message("user", (*lead, *turn.parts)))
        shown.append(assistant(turn.answer.text, shown))
        lead = ()
    if turns:
        shown.append(Message("user", (*lead, *turns[-1].parts)))
    return tuple(shown)


def condense(conversation: Conversation, system: Message, room_tokens: int) -> bool:
    """Tell older turns in short if the conversation takes more than FOLD_ABOVE_SHARE of the room; whether that was
    done.

    `room_tokens`: of the model's true context, less what it may answer. The last question stays whole.
    """
    if tokens_in(messages(conversation, system)) <= room_tokens * FOLD_ABOVE_SHARE:
        return False
    before = conversation.folded
    while conversation.folded < len(conversation.turns) - 1:
        conversation.folded += 1
        conversation.digest = _digest(conversation.turns[: conversation.folded], room_tokens)
        if tokens_in(messages(conversation, system)) <= room_tokens * FOLD_TO_SHARE:
            break
    return conversation.folded > before


def _digest(turns: Sequence[Turn], room_tokens: int) -> tuple[Part, ...]:
    """What was said, in short: of each turn the question's and the answer's beginning and the signatures in it.
    The newest are kept if it gets too long."""
    kept: list[str] = []
    left = room_tokens * DIGEST_SHARE_MAX
    for turn in reversed(turns):
        if turn.answer.worth_showing_again:
            line = _in_short(turn)
            left -= tokens_about(line)
            if left < 0:
                break
            kept.append(line)
    if not kept:
        return ()
    read = [origin for turn in turns for part in turn.parts for origin in part.origins]
    text = "Earlier in this conversation, in short:\n" + "".join(reversed(kept)) + "\n"
    return (Part(text, (summary_of(read, "the conversation so far"),)),)


def _in_short(turn: Turn) -> str:
    asked = " ".join(turn.asked.split())[:DIGEST_ASKED_CHARS_MAX]
    attached = ", ".join(origin.label for origin in turn.used[:DIGEST_SIGNATURES_MAX] if origin.path)
    prose: list[str] = []
    signatures: list[str] = []
    code = False
    for line in turn.answer.text.split("\n"):
        if line.lstrip().startswith(("```", "~~~")):
            code = not code
        elif code and len(signatures) < DIGEST_SIGNATURES_MAX and _SIGNATURE.match(line):
            signatures.append(line.strip()[:100])
        elif not code and line.strip():
            prose.append(line.strip())
    answer = " ".join(prose)[:DIGEST_ANSWER_CHARS_MAX]
    more = f" Code: {'; '.join(signatures)}." if signatures else ""
    return f"- Asked: {asked}{f' (with {attached})' if attached else ''}\n  Answered: {answer}{more}\n"


def used_by(parts: Sequence[Part]) -> tuple[Origin, ...]:
    """The sources of parts that the user should see: without Hearth's own words and theirs."""
    found = sources(origin for part in parts for origin in part.origins)
    return tuple(one for one in found if one.kind not in ("product", "user"))


def asked_by_user(talk: Conversation) -> str:
    """What is to be changed, in the words of the user and of the tools whose complaints are to be mended."""
    replies = (turn.asked for turn in talk.turns[1:])
    command = talk.command
    own = "write tests" if talk.kind == "test" else ""
    return "\n".join((own, command.prompt, *(one.message for one in command.diagnostics), *replies))


def title_of(command: Command, scope: Scope | None, name: str) -> str:
    """`Explain Circle.area in circle.py`"""
    if command.kind == "ask":
        words = " ".join(command.prompt.split())
        return words if len(words) <= TITLE_CHARS_MAX else words[: TITLE_CHARS_MAX - 1].rstrip() + "…"
    verbs: dict[Kind, str] = {"test": "Tests for"}
    verb = verbs.get(command.kind, command.kind.capitalize())
    if scope is None or scope.how == "file":
        return f"{verb} {name}"
    if scope.symbol:
        return f"{verb} {scope.symbol} in {name}"
    lines = f"line {scope.start + 1}" if scope.end <= scope.start + 1 else f"lines {scope.start + 1}-{scope.end}"
    return f"{verb} {lines} of {name}"
