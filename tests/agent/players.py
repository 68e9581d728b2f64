"""Models that play a part: a function from what is asked to an answer, behind the events of a real one."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hearth.core.exchange import Done, Event, Message, Placed, Request, Text, ToolCall
from hearth.core.task_protocol import Demand, demand

Script = Callable[[Demand, Request, int], "str | Say"]
"""What is asked, the request, and how many answers were given to this demand; the answer's text, or more."""


@dataclass(frozen=True)
class Say:
    """An answer. `reason`: how it ended."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    reason: Any = "stop"


@dataclass
class Player:
    """Answers by a script, and keeps what it was asked."""

    script: Script
    requests: list[Request] = field(default_factory=list[Request])
    context_tokens: int | None = 32_768

    async def ask(self, request: Request) -> AsyncGenerator[Event]:
        self.requests.append(request)
        now = demand(request.messages)
        assert now is not None
        turn = sum(1 for message in request.messages[now.index :] if message.role == "assistant")
        said = self.script(now, request, turn)
        said = Say(said) if isinstance(said, str) else said
        yield Placed("machine", "scripted", "player", "it is there", context_tokens=self.context_tokens)
        for start in range(0, len(said.text), 50):
            yield Text(said.text[start : start + 50])
        read = sum(len(message.text) for message in request.messages) // 4
        yield Done(said.reason, "machine", "scripted", "player", said.calls, 0, read, 0, len(said.text) // 4 + 1)


def call(name: str, **arguments: Any) -> str:
    """A call as text."""
    return f"```call {name}\n{json.dumps(arguments)}\n```\n"


def edit(path: str, old: str, new: str) -> str:
    return f"```call edit {path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n```\n"


def write(path: str, text: str) -> str:
    return f"````call write {path}\n{text}````\n"


def done(summary: str = "done") -> str:
    return call("done", summary=summary)


def planned(*steps: Sequence[str]) -> str:
    """A plan of steps with these files each."""
    return json.dumps({"steps": [{"title": f"change {files[0]}", "files": list(files)} for files in steps]})


def last_user(request: Request) -> Message:
    return next(message for message in reversed(request.messages) if message.role == "user")
