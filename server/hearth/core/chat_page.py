"""The page of a conversation: Markdown that is safe to show, with a header that says who answered, where, at what
price.

A page that grows with every token is not rendered anew for each: turns that are over and lines that are whole are kept.
"""

import re
from collections.abc import Sequence
from decimal import Decimal

from hearth.core.budget import money
from hearth.core.conversation import Answer, Conversation, Turn
from hearth.core.markdown import Links, Safe, file_uri, safe, workspace_links
from hearth.core.origin import WHOLE, Destination, Origin, sources

CONTEXT_SHOWN_MAX = 20
ASKED_CHARS_SHOWN_MAX = 4_000
PLACES: dict[Destination, str] = {
    "machine": "local, on this machine",
    "own": "on a host of yours",
    "cloud": "in the cloud",
}
WAITING = "*…*"


class Page:
    """One per conversation that is shown. `text()` at any time; `wrote(piece)` for each piece of the running answer."""

    def __init__(self, conversation: Conversation, folders: Sequence[str]) -> None:
        self._conversation = conversation
        self._links: Links = workspace_links(folders)
        self._over: list[str] = []
        self._joined = ""
        self._live = Safe(self._links)

    def wrote(self, piece: str) -> None:
        """The running answer goes on."""
        self._live.feed(piece)

    def restarted(self) -> None:
        """The running answer begins anew."""
        self._live = Safe(self._links)

    def rewound(self) -> None:
        """Turns were dropped or changed: everything is rendered again the next time."""
        self._over.clear()
        self._joined = ""
        self.restarted()

    def amended(self, number: int) -> None:
        """What stands below the answer of a turn that is over is different now; one that is running goes on."""
        if number < len(self._over):
            self._over[number] = self._whole(number)
            self._joined = "".join(self._over)

    def text(self) -> str:
        """The page as it is now."""
        talk = self._conversation
        running = bool(talk.turns) and not talk.last.answer.ending
        over = len(talk.turns) - running
        if over < len(self._over):
            self.rewound()
        for number in range(len(self._over), over):
            self._over.append(self._whole(number))
            self._joined += self._over[-1]
            self.restarted()
        parts = [_header(talk), self._joined]
        if running:
            answer = talk.last.answer
            body = self._live.text or WAITING
            notes = "".join(f"\n\n> {safe(note)}" for note in answer.notes)
            parts += [self._asked(over, talk.last), body, notes, "\n"]
        return "".join(parts)

    def _whole(self, number: int) -> str:
        """A turn that is over."""
        turn = self._conversation.turns[number]
        said = safe(turn.answer.text, self._links).rstrip("\n")
        return self._asked(number, turn) + said + _below(turn.answer)

    def _asked(self, number: int, turn: Turn) -> str:
        """The user's words and what was attached."""
        asked = turn.asked if len(turn.asked) <= ASKED_CHARS_SHOWN_MAX else turn.asked[:ASKED_CHARS_SHOWN_MAX] + "…"
        quoted = "\n".join(f"> {line}".rstrip() for line in _quotable(asked, self._links).split("\n"))
        used = f"\n\n{_context('With', turn.used)}" if number and turn.used else ""
        flags = "".join(f"\n\n⚠ {safe(flag)}" for flag in turn.flags)
        who = ""
        if number and turn.answer.model:
            who = f"\n\n*{_who(turn.answer)}*"
        return f"\n\n---\n\n{quoted}{used}{flags}{who}\n\n"


def page(conversation: Conversation, folders: Sequence[str]) -> str:
    """A whole page, rendered once."""
    one = Page(conversation, folders)
    if conversation.turns and not conversation.last.answer.ending:
        one.wrote(conversation.last.answer.text)
    return one.text()


def link(origin: Origin) -> str:
    """A source, with a link to its lines if it is a file."""
    label = safe(" ".join(origin.label.split()))
    if not origin.path:
        return label
    path = f"{origin.folder.rstrip('/')}/{origin.path}" if origin.folder else origin.path
    lines = None if origin.end == WHOLE and not origin.start else (origin.start, max(origin.end, origin.start + 1))
    return f"[{label}]({file_uri(path.replace(chr(92), '/'), lines)})"


def _header(talk: Conversation) -> str:
    lines = [f"# {safe(talk.title)}", ""]
    answers = [turn.answer for turn in talk.turns]
    latest = next((one for one in reversed(answers) if one.model), None)
    if latest:
        # Where it is was just said.
        reason = re.sub(rf"^{re.escape(latest.model)} on (?:this machine|a host of yours) ", "it ", latest.reason)
        lines.append(f"**{safe(latest.model)}**, {_place(latest)}: {safe(reason)}.")
    if counted := figures(answers):
        lines.append(f"{counted}.")
    used = sources(origin for turn in talk.turns[:1] for origin in turn.used)
    if used:
        lines.append(_context("Context", used))
    entries = [number for one in answers for number in one.entries]
    if entries:
        many = "requests" if len(entries) > 1 else "request"
        lines.append(f"Left this machine: {many} {', '.join(map(str, entries))} of the ledger.")
    elif latest:
        lines.append("Nothing left this machine." if latest.place == "machine" else "Nothing went to the cloud.")
    return "\n".join(line and f"{line}  " if number > 1 else line for number, line in enumerate(lines))


def _context(word: str, used: Sequence[Origin]) -> str:
    more = f" and {len(used) - CONTEXT_SHOWN_MAX} more" if len(used) > CONTEXT_SHOWN_MAX else ""
    return f"{word}: {', '.join(map(link, used[:CONTEXT_SHOWN_MAX]))}{more}."


def _who(answer: Answer) -> str:
    return f"{safe(answer.model)}, {_place(answer)}"


def _place(answer: Answer) -> str:
    return PLACES[answer.place] if answer.place else "nowhere yet"


def figures(answers: Sequence[Answer]) -> str:
    """`1,204 tokens read (1,100 of them cached), 56 written; $0.0002`"""
    parts: list[str] = []
    read, cached, written = (
        [getattr(one, name) for one in answers if getattr(one, name) is not None]
        for name in ("prompt_tokens", "cached_tokens", "generated_tokens")
    )
    if read:
        known = f" ({sum(cached):,} of them cached)" if any(cached) else ""
        parts.append(f"{sum(read):,} tokens read{known}")
    if written:
        parts.append(f"{sum(written):,} {'' if read else 'tokens '}written")
    costs = [one.cost for one in answers if one.cost is not None and one.place == "cloud"]
    text = ", ".join(parts)
    if costs:
        text += f"{'; ' if text else ''}{money(sum(costs, Decimal(0)))}"
    return text


def _below(answer: Answer) -> str:
    """What is to be said after an answer."""
    lines = [f"> {safe(note)}" for note in answer.notes]
    if answer.outcome:
        lines.append(f"**{safe(answer.outcome)}** {safe(answer.fate)}".rstrip())
    if answer.ending == "stopped":
        lines.append("*Stopped.*")
    elif answer.ending == "failed":
        lines.append(f"**{safe(answer.problem)}**")
    elif answer.ending == "length":
        lines.append("*The answer reached its limit of length here.*")
    elif answer.ending == "truncated":
        lines.append("*The answer broke off here.*")
    elif answer.ending == "filter":
        lines.append("*The provider held something back here.*")
    return "".join(f"\n\n{line}" for line in lines)


def _quotable(text: str, links: Links) -> str:
    """The user's words for a quotation: made safe, with blocks of code as they are."""
    return safe(text.strip("\n"), links)
