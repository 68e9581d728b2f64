"""What the courier's tests share: the chat's wire format, and one request from its beginning to its end."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field

from backends.fake import VllmWire
from hearth.backends.base import Delta
from hearth.backends.http import Deadlines
from hearth.courier.client import Courier
from hearth.courier.records import Ask, Outcome, Received, Sent
from hearth.errors import HearthError

KEY = "sk-or-v1-test"
FREE, PAID = "qwen/qwen3-coder:free", "deepseek/deepseek-v3.2"
HANG_S = 30
PATIENT = Deadlines(connect_s=10, first_byte_s=10, idle_s=10, total_s=20, probe_s=10)
"""For what must not end by a deadline, however busy the machine is."""
SHORT = Deadlines(connect_s=0.5, first_byte_s=0.2, idle_s=0.2, total_s=0.5, probe_s=0.5)


class ChatWire(VllmWire):
    """A streamed chat completion's format."""

    path = "/api/v1/chat/completions"
    model = FREE

    def value(self, text, finish=None):
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
        head = {"id": "gen-1", "object": "chat.completion.chunk", "provider": "Chutes", "model": self.model}
        return {**head, "created": 1, "choices": [choice]}


WIRE = ChatWire()


@dataclass
class Told:
    """What the ledger would have got, and the answer."""

    sent: list[Sent] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    text: str = ""
    end: Outcome | HearthError | None = None

    @property
    def reason(self) -> str | HearthError | None:
        return self.end.reason if isinstance(self.end, Outcome) else self.end

    async def on_request(self, sent: Sent) -> None:
        self.sent.append(sent)

    async def on_response(self, received: Received) -> None:
        self.received.append(received)


def an_ask(url, content="hello", *, origin="", model=FREE, max_tokens=8, **fields) -> Ask:
    """`url` without a path."""
    messages = ({"role": "user", "content": content},)
    return Ask(origin or url, f"{url}/api/v1", model, messages, max_tokens, fields)


async def carry(courier: Courier, ask: Ask, deadlines=PATIENT, key=KEY, told=None) -> Told:
    """One request to its end; exactly one terminal event."""
    told = told or Told()
    failure = None
    async with asyncio.timeout(HANG_S):
        try:
            async with aclosing(courier.generate(ask, key, told.on_request, told.on_response, deadlines)) as events:
                async for event in events:
                    assert told.end is None, "an event after the terminal one"
                    if isinstance(event, Delta):
                        assert event.text
                        assert "\0" not in event.text
                        event.text.encode("utf-8")
                        told.text += event.text
                    else:
                        told.end = event
        except HearthError as error:
            failure = error
    if failure is not None:
        assert told.end is None, "an error after the terminal event"
        assert failure.message
        assert failure.remedy, f"no remedy: {failure!r}"
        told.end = failure
    assert told.end is not None, "no terminal event"
    assert [r.attempt for r in told.received] == [s.attempt for s in told.sent], "each attempt is told twice"
    return told
