"""What the door's tests share: an emulator for the cloud, a scripted model of the user's own, and a whole door."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from hearth.backends.base import Chat, Delta, Finish, Generate, Probe, Usage
from hearth.cloud import Cloud
from hearth.core.exchange import Done, Message, Note, Part, Placed, Request, Restarted, Text, system, user
from hearth.core.origin import file_origin
from hearth.core.proposal import Proposal
from hearth.core.route import Choice
from hearth.courier.client import Courier
from hearth.door import Door
from hearth.errors import BackendError
from hearth.gateway import Gateway, Member
from hearth.ledger import Ledger
from hearth.ledger_reading import entries
from hearth.masking import Masks
from hearth.rulings import Rulings
from hearth.settings import CloudSettings
from openrouter.emulator import Emulator

KEY = "sk-or-v1-test"
FREE, PAID, CLAUDE = "qwen/qwen3-coder:free", "deepseek/deepseek-v3.2", "anthropic/claude-sonnet-4.5"
NOON = 1_795_262_400.0
PATIENT_S = 60


@dataclass
class Local:
    """A model server of the user's: answers `text` piece by piece, and remembers what it was asked."""

    text: str = "from here"
    context_tokens: int = 8_192
    url: str = "inproc:local"
    name: str = "local"
    fails: BackendError | None = None
    fails_after: int = 0
    counts: int = 100
    """Tokens that it says it was given."""
    asked: list[Chat] = field(default_factory=list)

    async def probe(self) -> Probe:
        return Probe("scripted", self.url, "ready", model="local-model", context_tokens=self.context_tokens, chats=True)

    async def chat(self, request: Chat) -> AsyncGenerator[Delta | Finish]:
        self.asked.append(request)
        pieces = [self.text[at : at + 4] for at in range(0, len(self.text), 4)]
        for number, piece in enumerate(pieces):
            if self.fails and number >= self.fails_after:
                raise self.fails
            yield Delta(piece)
        if self.fails:
            raise self.fails
        yield Finish("stop", Usage(self.counts, min(self.counts, 20), len(pieces)))

    def generate(self, request: Generate) -> AsyncGenerator[Delta | Finish]:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


@dataclass
class Asked:
    """The user: answers every question with the next of `answers`, the last one again and again."""

    answers: list[str | None] = field(default_factory=lambda: ["Send"])
    proposals: list[Proposal] = field(default_factory=list)

    async def __call__(self, proposal: Proposal):
        self.proposals.append(proposal)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass
class Told:
    """What came out of the door."""

    events: list = field(default_factory=list)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def text(self) -> str:
        """What counts in the end."""
        text = ""
        for event in self.events:
            text = "" if isinstance(event, Restarted) else text + event.text if isinstance(event, Text) else text
        return text

    @property
    def done(self) -> Done:
        (done,) = self.of(Done)
        assert self.events[-1] is done
        return done

    @property
    def notes(self) -> str:
        return " ".join([e.text for e in self.of(Note)] + [e.note for e in self.of(Restarted)])

    @property
    def places(self) -> list[str]:
        return [event.model for event in self.of(Placed)]


class SharedCourier(Courier):
    """One for many tests: it takes seconds to start."""

    async def aclose(self) -> None:
        pass

    async def end(self) -> None:
        await super().aclose()


class House:
    """A door with everything behind it."""

    def __init__(self, folder: Path, home: Path, router: Emulator, local: Local, cloud: CloudSettings, **how):
        self.folder, self.home, self.router, self.local = folder, home, router, local
        self.environ = how.get("environ", {"OPENROUTER_API_KEY": KEY})
        self.rulings = Rulings(how.get("never", ()), cloud=cloud.enabled, trusted=how.get("trusted", True))
        self.rulings.set_folders([folder])
        members = [Member(local, ("chat",))] if local else []

        async def find():
            return members

        self.gateway = Gateway(find, how.get("own_hosts", ()), lambda _error: None)
        self.ledger = Ledger(home / "ledger", lambda: datetime.fromtimestamp(router.clock(), UTC))
        self.courier = how.get("courier") or Courier()
        self.cloud = Cloud(
            cloud, home / "cloud", courier=self.courier, ledger=self.ledger, environ=self.environ, clock=router.clock,
            bills_after_s=how.get("bills_after_s", ()),
        )  # fmt: skip
        masks = Masks(lambda: [folder], self.environ, home / "nobody")
        self.door = Door(self.gateway, self.cloud, self.rulings, masks)

    def file(self, name: str, text: str) -> Part:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Part(text, (file_origin(str(self.folder), name),))

    def request(self, words="what is this?", *parts: Part, **how) -> Request:
        messages = how.pop("messages", None) or (system("You help."), user(words, *parts))
        base = Request("ask", messages, 200, "talk-1", str(self.folder))
        return replace(base, **{"choice": Choice("cloud"), **how})

    async def ask(self, request: Request, consent=None) -> Told:
        told = Told()
        async for event in self.door.ask(request, consent or Asked()):
            told.events.append(event)
        return told

    def left(self):
        """The requests in the ledger that carried something of the user's."""
        return [entry for entry in entries(self.home / "ledger") if entry.intent.kind != "catalogue"]

    async def aclose(self):
        await self.cloud.aclose()
        await self.ledger.aclose()
        await self.gateway.aclose()


@asynccontextmanager
async def house(tmp_path: Path, *, router: Emulator | None = None, local: Local | None = None, **how):
    """`models`, `budget`, `approval`: cloud settings; `enabled`. `bills_after_s`: when bills are asked for."""
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    async with router or Emulator(clock=lambda: NOON) as emulator:
        cloud = CloudSettings(
            how.pop("enabled", True),
            emulator.base_url,
            "OPENROUTER_API_KEY",
            tuple(how.pop("models", ())),
            how.pop("budget", 0.5),
            how.pop("approval", "each"),
        )
        one = House(folder.resolve(), tmp_path / "home", emulator, local, cloud, **how)
        run = asyncio.create_task(one.gateway.run())
        await one.gateway.probed.wait()
        try:
            yield one
        finally:
            run.cancel()
            await one.aclose()


def said_to(emulator: Emulator) -> str:
    """Every byte that reached the cloud, as text."""
    return b"\n".join(seen.raw for seen in emulator.captured).decode("utf-8", "replace")


def turn(role: str, text: str) -> Message:
    return Message(role, (Part(text, user(text).origins),))
