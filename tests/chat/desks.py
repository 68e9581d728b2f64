"""A workspace in a dictionary, and a door that says what a test wants: the parts around `Chats`."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from hearth.chat.desk import Hit
from hearth.core.context import Diagnostic
from hearth.core.exchange import Done, Event, Placed, Request, Text
from hearth.core.grammars import language_of
from hearth.core.origin import Origin, sources
from hearth.core.text import Snapshot
from hearth.core.websearch import WebPage
from hearth.errors import HearthError

FOLDER = "/ws"


@dataclass
class DictDesk:
    """`texts`: path -> text. `hits`, `diff`, `pages`: what search, git and the web say."""

    texts: dict[str, str]
    said: dict[str, list[Diagnostic]] = field(default_factory=dict[str, list[Diagnostic]])
    hits: list[Hit] = field(default_factory=list[Hit])
    diff: str = ""
    overview: str = ""
    pages: list[WebPage] = field(default_factory=list[WebPage])
    trusted: bool = True
    kept_here: tuple[str, ...] = ()
    version: int = 1

    @property
    def folders(self) -> Sequence[str]:
        return [FOLDER]

    def place(self, uri: str) -> tuple[str, str]:
        path = uri.removeprefix(f"file://{FOLDER}/")
        return (FOLDER, path) if path != uri else ("", "")

    def uri(self, folder: str, path: str) -> str:
        return f"file://{folder}/{path}"

    async def snapshot(self, uri: str) -> Snapshot:
        path = self.place(uri)[1] or uri
        if path not in self.texts:
            raise HearthError(f"{path} is not there.")
        return Snapshot.of(self.texts[path], uri=uri, language=language_of(path), version=self.version)

    def allows(self, folder: str, path: str) -> bool:
        return not path.startswith("ignored/")

    async def map(self, folder: str, tokens: int, mentioned: Sequence[str]) -> str:
        return self.overview

    async def files(self, folder: str) -> Sequence[str]:
        return list(self.texts)

    async def rules_files(self, folder: str, document: str) -> Sequence[tuple[str, str]]:
        return [("AGENTS.md", self.texts["AGENTS.md"])] if self.trusted and "AGENTS.md" in self.texts else []

    async def manifests(self, folder: str, paths: Sequence[str]) -> dict[str, str]:
        return {path: self.texts[path] for path in paths if path in self.texts}

    async def search(self, query: str, limit: int) -> Sequence[Hit]:
        return self.hits[:limit]

    def diagnostics(self, uri: str) -> Sequence[Diagnostic]:
        return self.said.get(uri, [])

    def diagnosed(self) -> Sequence[str]:
        return list(self.said)

    async def git_diff(self, folder: str) -> str:
        return self.diff

    async def stays(self, origins: Sequence[Origin]) -> str:
        held = next((one.path for one in sources(origins) if one.path in self.kept_here), "")
        return f"{held} must never leave" if held else ""

    async def web(self, query: str) -> Sequence[WebPage]:
        return self.pages


class Script:
    """A door: answers one text after another, in pieces. An answer may be an error, or a function of the request."""

    def __init__(
        self, *answers: "str | HearthError | Callable[[Request], AsyncGenerator[Event]]", model: str = "m"
    ) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.model = model
        self.closed = 0

    async def __call__(self, request: Request) -> AsyncGenerator[Event]:
        self.requests.append(request)
        answer = self.answers.pop(0)
        try:
            if callable(answer):
                async for event in answer(request):
                    yield event
                return
            yield Placed("machine", "ollama", self.model, f"{self.model} on this machine is ready and the task fits it")
            if isinstance(answer, HearthError):
                raise answer
            for at in range(0, len(answer), 7):
                yield Text(answer[at : at + 7])
            yield Done(
                "stop", "machine", "ollama", self.model, prompt_tokens=100, cached_tokens=40, generated_tokens=9,
                cost=Decimal(0),
            )  # fmt: skip
        finally:
            self.closed += 1
