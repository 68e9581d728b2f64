"""What a model can know of the project at some point of a conversation: only what its messages say."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from hearth.core.exchange import Message
from hearth.core.task_protocol import CHANGING, header

_FRAME = re.compile(r"^<<< data (\w{6})\n(.*?)^>>> data \1$", re.MULTILINE | re.DOTALL)
_OPENED = re.compile(r"^(\S+) as it is now:\n(?=<<< data )", re.MULTILINE)
_NUMBERED = re.compile(r"\s*(\d+)\| ?(.*)")
_LISTED = re.compile(r"^- ([^\s:]+): ", re.MULTILINE)
_FINDING = re.compile(r"^- \[(\w+)\](?: ([^\s:]+?)(?::\d+)?)?: (.*)$", re.MULTILINE)
_CALL = re.compile(
    r"^(?P<marks>`{3,})call (?P<name>\w+)[ \t]*(?P<path>\S*)[ \t]*\n(?P<body>.*?)^(?P=marks)$"
    r"|^<tool_call>\n(?P<tagged>.*?)\n</tool_call>$|^```json\n(?P<fenced>\{\"tool\".*?)\n```$",
    re.MULTILINE | re.DOTALL,
)


class Said(NamedTuple):
    """A finding: its kind, the file it names ("" for none) and its words."""

    kind: str
    path: str
    text: str


def framed(text: str) -> str:
    """What stands between the marks, all frames of a text together."""
    return "\n".join(match[2] for match in _FRAME.finditer(text))


def listed(text: str) -> list[str]:
    """The paths of lines such as `- PATH: REASON`."""
    return list(dict.fromkeys(_LISTED.findall(text)))


def findings(text: str) -> list[Said]:
    return [Said(*match) for match in _FINDING.findall(text)]


def calls_of(message: Message) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a turn of the model's own, in the forms that it uses."""
    if message.calls:
        return [(call.name, dict(call.arguments)) for call in message.calls]
    found: list[tuple[str, dict[str, Any]]] = []
    for match in _CALL.finditer(message.text):
        if match["path"]:
            found.append((match["name"], {"path": match["path"]}))
            continue
        try:
            value = json.loads(match["body"] or match["tagged"] or match["fenced"])
        except ValueError:
            continue
        name = match["name"] or value.get("name") or value.get("tool")
        found.append((str(name), value if match["name"] else value.get("arguments", {})))
    return found


def whole(numbered: str) -> str | None:
    """A file's text from numbered lines, None if they are not all there."""
    lines: list[str] = []
    for line in numbered.rstrip("\n").split("\n"):
        match = _NUMBERED.fullmatch(line)
        if match is None or int(match[1]) != len(lines) + 1:
            return None
        lines.append(match[2])
    return "".join(f"{line}\n" for line in lines)


def seen(messages: Sequence[Message]) -> dict[str, str]:
    """The files whose text the conversation shows as it is now: not those that the model changed since."""
    known: dict[str, str] = {}
    calls: list[tuple[str, dict[str, Any]]] = []
    by_id: dict[str, tuple[str, dict[str, Any]]] = {}
    for message in messages:
        if message.role == "assistant":
            calls = calls_of(message)
            by_id |= {call.id: (call.name, dict(call.arguments)) for call in message.calls}
            for name, arguments in calls:
                if name in CHANGING:
                    known.pop(str(arguments.get("path", "")), None)
        elif message.role == "tool":
            _take(known, *by_id.get(message.call_id, ("", {})), message.text)
        elif message.role == "user":
            for match in _OPENED.finditer(message.text):
                frame = _FRAME.match(message.text, match.end())
                if frame and not message.text.startswith("\n(cut here", frame.end()):
                    known[match[1]] = frame[2] if frame[2].strip() else ""
            for number, text in results(message.text):
                if 0 < number <= len(calls):
                    _take(known, *calls[number - 1], text)
    return known


def _take(known: dict[str, str], name: str, arguments: dict[str, Any], text: str) -> None:
    if name == "read" and (frame := _FRAME.search(text)):
        body = whole(frame[2])
        if body is not None:
            known[str(arguments.get("path", ""))] = body


def results(text: str) -> Iterable[tuple[int, str]]:
    """(number of the call, what it gave) for each result that a message holds."""
    for piece in re.split(r"^(?=Result: )", text, flags=re.MULTILINE):
        fields = header(piece)
        if "Result" in fields and fields.get("Call", "").isdecimal():
            yield int(fields["Call"]), piece
