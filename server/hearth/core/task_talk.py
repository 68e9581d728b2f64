"""The conversation of a task: what is added to it, how long it is, and how it is folded when it grows too long.

It only grows, so that a server's prefix cache holds. A fold is rare and large: it makes the conversation half as long
as the window, in one go. The outputs of tools go first, to the signatures in them; then what calls wrote; then whole
turns, to one line each. The system message and the demand in force stay.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hearth.core.exchange import Message, Part, ToolCall
from hearth.core.invisible import cleaned
from hearth.core.origin import PRODUCT, Origin, sources, summary_of
from hearth.core.task_protocol import SYSTEM, demand, headed, header

FOLD_TO = 0.5
"""Of the room for a prompt."""
MESSAGE_TOKENS = 8
RECENT_MESSAGES = 4
"""At the end, which are folded last."""
FOLDED_LINES_MAX = 14
FOLDED_LINE_CHARS_MAX = 160
TURN_CHARS_MAX = 400
CUT_CHARS_MIN = 400
SAID_CHARS_MAX = 400_000

_SIGNATURE = re.compile(
    r"^\s*(?:\d+\| ?)?\s*(?:@\w|(?:export |public |private |protected |static |async |default |abstract |pub |final )*"
    r"(?:def|class|function|func|fn|interface|type|struct|enum|trait|impl|const|module|namespace|record)\b)"
)
_DATA = re.compile(r"^(?:<<<|>>>) data [0-9a-z]{6}$", re.MULTILINE)


def system_message() -> Message:
    """The same for every task, so that servers have it in their cache."""
    return Message("system", (Part(SYSTEM, (PRODUCT,)),))


def framed(text: str, mark: str) -> str:
    """Text of the project or of a command: between marks that it cannot contain, without what nobody sees."""
    seen, hidden = cleaned(text)
    seen = seen.replace(f"data {mark}", "data ______").rstrip("\n")
    note = f"\n({sum(one.count for one in hidden)} invisible characters were left out.)" if hidden else ""
    return f"<<< data {mark}\n{seen}\n>>> data {mark}{note}"


def said(fields: dict[str, object], body: str, origins: Iterable[Origin], *, call_id: str = "") -> Message:
    """A turn of the code's. `origins` of what is in the body and the header beside Hearth's own words."""
    text = headed(fields, body)[:SAID_CHARS_MAX]
    known = sources((PRODUCT, *origins))
    return Message("tool" if call_id else "user", (Part(text, known),), call_id=call_id)


def answered(text: str, asked: Iterable[Message], calls: Sequence[ToolCall]) -> Message:
    """A model's turn. Its origins are those of all that it saw."""
    origin = summary_of((origin for message in asked for origin in message.origins), "a model's answer")
    shown = text[:SAID_CHARS_MAX]
    return Message("assistant", (Part(shown or ("" if calls else "(nothing)"), (origin,)),), tuple(calls))


def size(messages: Iterable[Message], chars_per_token: float) -> int:
    """About how many tokens a conversation has."""
    chars = count = 0
    for message in messages:
        count += 1
        chars += len(message.text) + sum(len(call.name) + len(str(dict(call.arguments))) for call in message.calls)
    return int(chars / chars_per_token) + MESSAGE_TOKENS * count


def fitted(messages: tuple[Message, ...], tokens_max: int, chars_per_token: float) -> tuple[tuple[Message, ...], bool]:
    """The conversation as it may be sent, and whether it had to be folded for that."""
    if size(messages, chars_per_token) <= tokens_max:
        return messages, False
    aim = int(tokens_max * FOLD_TO)
    now = demand(messages)
    kept = now.index if now else -1
    folded = [_plain(message) for message in messages]
    last = len(folded) - RECENT_MESSAGES
    for change in (_short_result, _short_calls, _one_line):
        for number in range(1, last):
            if size(folded, chars_per_token) <= aim:
                return tuple(alternating(folded)), True
            if number != kept:
                folded[number] = change(folded[number])
    if size(folded, chars_per_token) > aim:
        folded = _without_turns(folded, kept, last)
    folded = alternating(folded)
    if size(folded, chars_per_token) > tokens_max:
        folded = _cut(folded, tokens_max, chars_per_token)
    return tuple(folded), True


def _plain(message: Message) -> Message:
    """Native calls and their results as text: what is folded need not keep its pairs."""
    if message.role == "tool":
        return Message("user", message.parts)
    if message.calls:
        calls = "".join(
            f"\n```call {call.name}\n{json.dumps(dict(call.arguments), ensure_ascii=False)}\n```"
            for call in message.calls
        )
        return Message("assistant", (*message.parts, Part(calls, message.origins)))
    return message


def alternating(messages: Sequence[Message]) -> list[Message]:
    """Turns of one side that follow each other as one, as many chat templates want it; a demand comes first in it."""
    found: list[Message] = []
    for message in messages:
        last = found[-1] if found else None
        plain = not message.calls and not message.call_id
        if last is None or last.role != message.role or not plain or last.calls or message.role in ("system", "tool"):
            found.append(message)
            continue
        parts = (last, message) if "Phase" not in header(message.text) else (message, last)
        gap = Part("\n\n", (PRODUCT,))
        found[-1] = replace(last, parts=(*parts[0].parts, gap, *parts[1].parts))
    return found


def shortened(text: str) -> str:
    """A tool's output by the signatures in it, or by its first lines where there are none."""
    lines = [line for line in text.split("\n") if not _DATA.match(line)]
    body = [line for line in lines if line.strip()]
    if len(body) <= FOLDED_LINES_MAX:
        return "\n".join(line[:FOLDED_LINE_CHARS_MAX] for line in body)
    kept = [line for line in body if _SIGNATURE.match(line)] or body
    shown = [line[:FOLDED_LINE_CHARS_MAX] for line in kept[: FOLDED_LINES_MAX - 1]]
    return "\n".join([*shown, f"({len(body) - len(shown)} more lines; ask again to see them)"])


def _short_result(message: Message) -> Message:
    if message.role != "user":
        return message
    fields = header(message.text)
    if "Result" not in fields:
        return message
    parts: list[str] = []
    for piece in re.split(r"(?m)^(?=Result: )", message.text):
        if piece.strip():
            own = header(piece)
            parts.append(headed(dict(own), shortened(piece.partition("\n\n")[2])))
    return replace(message, parts=(Part("\n\n".join(parts), message.origins),))


_BODY = re.compile(r"(```+)([^\n]*)\n.*?\n\1[ \t]*(?=\n|$)", re.DOTALL)


def _short_calls(message: Message) -> Message:
    """Without the text of edits: what they did is in the files."""
    if message.role != "assistant" or len(message.text) <= TURN_CHARS_MAX:
        return message
    text = _BODY.sub(lambda match: f"{match[1]}{match[2]}\n(folded)\n{match[1]}", message.text)
    return replace(message, parts=(Part(text[: TURN_CHARS_MAX * 4], message.origins),))


def _one_line(message: Message) -> Message:
    text = " ".join(message.text.split())
    if len(text) <= TURN_CHARS_MAX:
        return message
    fields = header(message.text)
    if fields:
        text = "; ".join(f"{name}: {value}" for name, value in fields.items() if name != "Phase")
    return replace(message, parts=(Part(f"(folded) {text[:TURN_CHARS_MAX]}", message.origins),))


def _without_turns(messages: list[Message], kept: int, last: int) -> list[Message]:
    """The middle as one message that says how much there was."""
    middle = [message for number, message in enumerate(messages[1:last], 1) if number != kept]
    if not middle:
        return messages
    origins = sources(origin for message in middle for origin in message.origins)
    note = Message("user", (Part(f"({len(middle)} earlier turns are left out.)", origins or (PRODUCT,)),))
    demanded = [messages[kept]] if 0 < kept < last else []
    return [messages[0], note, *demanded, *messages[max(1, last) :]]


def _cut(messages: list[Message], tokens_max: int, chars_per_token: float) -> list[Message]:
    """The longest texts cut, until it fits or nothing is left to cut."""
    while size(messages, chars_per_token) > tokens_max:
        number = max(range(1, len(messages)), key=lambda one: len(messages[one].text), default=0)
        text = messages[number].text if number else ""
        if len(text) < CUT_CHARS_MIN:
            return messages
        half = len(text) // 2
        cut = f"{text[: half // 2 + half // 4]}\n(… cut …)\n{text[-(half // 4) :]}"
        messages[number] = replace(messages[number], parts=(Part(cut, messages[number].origins),))
    return messages
