"""A scripted model behind a chat server's wire format: what a real server would be asked comes to it as a request."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from chat_server import ChatServer, Reply, chat_server
from hearth.core.exchange import Message, Part, Request
from hearth.core.origin import USER
from scenarios.models import Ideal


def said(model: Ideal, messages: Sequence[Mapping[str, Any]]) -> str:
    """What a model says to messages in wire form, with its calls as text."""
    known: list[Message] = []
    for one in messages:
        content = one["content"]
        text = content if isinstance(content, str) else "".join(part["text"] for part in content)
        known.append(Message(one["role"], (Part(text, (USER,)),)))
    return model.answer(Request("task", tuple(known), 1_000, "talk")).text


@contextmanager
def served(model: Ideal) -> Iterator[ChatServer]:
    """A chat server that has this model, for as long as the block runs."""
    with chat_server() as server:
        server.answer = lambda messages: Reply(said(model, messages))
        yield server
