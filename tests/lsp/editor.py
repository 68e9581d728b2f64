"""An editor without a window: it has documents, applies edits as the protocol says, and answers what it is asked."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lsp_client import CAPABILITIES, Client, ServerError

from hearth.core.text import Document, Edit, Position, Range

EDITOR_CAPABILITIES: dict[str, Any] = json.loads(json.dumps(CAPABILITIES))
EDITOR_CAPABILITIES["textDocument"] |= {
    "codeAction": {"resolveSupport": {"properties": ["edit", "command"]}, "tagSupport": {"valueSet": [1]}},
    "codeLens": {"dynamicRegistration": True},
    "documentLink": {"dynamicRegistration": True},
}
EDITOR_CAPABILITIES["workspace"] |= {
    "applyEdit": True,
    "workspaceEdit": {
        "documentChanges": True,
        "resourceOperations": ["create", "rename", "delete"],
        "changeAnnotationSupport": {"groupsOnLabel": True},
    },
    "codeLens": {"refreshSupport": True},
}
EDITOR_CAPABILITIES["window"] |= {"workDoneProgress": True}

INVALID_REQUEST = -32600


class Editor:
    """`client` with documents. `input` and `buttons` are answered in turn; None closes. `accept` says what a preview
    lets through: a function of the edits of one document."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.documents: dict[str, Document] = {}
        self.input: list[str | None] = []
        self.buttons: list[str | None] = []
        self.asked: list[dict[str, Any]] = []
        self.edits: list[dict[str, Any]] = []
        self.shown: list[str] = []
        self.lines: list[int] = []
        """The line that was to be seen, -1 for none, of each page that was shown."""
        self.pages: dict[str, list[str]] = {}
        self.fetching: list[asyncio.Task[None]] = []
        self.refuses = False
        self.resting = False
        self.keeps: Any = lambda edits: edits
        self.before_edit: Any = None
        client.rest.append(self.rest)
        client.handlers |= {
            "workspace/applyEdit": self._apply,
            "window/showMessageRequest": self._button,
            "hearth/input": self._input,
            "window/showDocument": self._show,
            "workspace/textDocumentContent/refresh": self._refresh,
            "workspace/codeLens/refresh": self._nothing,
        }

    async def open(self, uri: str, text: str, language: str = "python") -> None:
        self.documents[uri] = Document(uri, language, 1, text)
        await self.client.open(uri, text, language)

    def text(self, uri: str) -> str:
        return self.documents[uri].snapshot().text

    async def type(self, uri: str, line: int, character: int, text: str) -> None:
        """Insert text, as a user does."""
        here = Position(line, character)
        await self._change(uri, [Edit(Range(here, here), text)])

    async def run(self, name: str, uri: str = "", start: tuple[int, int] = (0, 0), end: Any = None, **more: Any) -> Any:
        """A command with the place in a document as its argument; `start` and `end` as (line, character)."""
        end = end or start
        selection = {
            "start": {"line": start[0], "character": start[1]},
            "end": {"line": end[0], "character": end[1]},
        }
        argument = ({"uri": uri, "selection": selection} if uri else {}) | more
        return await self.client.command(f"hearth.{name}", argument)

    async def page(self, uri: str) -> str:
        return (await self.client.request("workspace/textDocumentContent", {"uri": uri}))["text"]

    async def lenses(self, uri: str) -> dict[str, dict[str, Any]]:
        """The lenses of a document by title, those of its top win; each as its command."""
        found = await self.client.request("textDocument/codeLens", {"textDocument": {"uri": uri}})
        by_title: dict[str, dict[str, Any]] = {}
        for lens in found:
            by_title.setdefault(lens["command"]["title"], {**lens["command"], "line": lens["range"]["start"]["line"]})
        return by_title

    async def press(self, lens: dict[str, Any]) -> Any:
        return await self.client.command(lens["command"], *lens["arguments"])

    async def rest(self) -> None:
        """Fetch no page any more, and see those through that are being fetched."""
        self.resting = True
        await asyncio.gather(*self.fetching)

    # What the server asks

    async def _nothing(self, _params: Any) -> None:
        return None

    async def _input(self, params: Any) -> dict[str, Any]:
        self.asked.append(params)
        if not self.input:
            raise ServerError({"code": -32601, "message": "no such method"})
        return {"value": self.input.pop(0)}

    async def _button(self, params: Any) -> dict[str, str] | None:
        self.asked.append(params)
        wanted = self.buttons.pop(0) if self.buttons else None
        return None if wanted is None else {"title": wanted}

    async def _show(self, params: Any) -> dict[str, bool]:
        self.shown.append(params["uri"])
        self.lines.append((params.get("selection") or {"start": {"line": -1}})["start"]["line"])
        if params["uri"].startswith("hearth:"):
            await self._refresh(params)
        return {"success": True}

    async def _refresh(self, params: Any) -> None:
        uri = params["uri"]
        if self.resting:
            return
        self.fetching.append(asyncio.get_running_loop().create_task(self._fetch(uri)))

    async def _fetch(self, uri: str) -> None:
        try:
            page = await self.page(uri)
        except ServerError as error:
            # What is asked for after `shutdown` is refused, as the protocol says; every editor meets it at its end.
            if error.code != INVALID_REQUEST:
                raise
        except AssertionError:
            if not self.client.gone:
                raise  # a server that was killed answers nothing any more
        else:
            self.pages.setdefault(uri, []).append(page)

    async def _apply(self, params: Any) -> dict[str, bool]:
        self.edits.append(params)
        edit = params["edit"]
        if self.before_edit:
            await self.before_edit()
        if self.refuses:
            return {"applied": False}
        steps = edit.get("documentChanges") or [
            {"textDocument": {"uri": uri, "version": None}, "edits": edits} for uri, edits in edit["changes"].items()
        ]
        for step in steps:
            document = step.get("textDocument")
            if document and document.get("version") is not None:
                known = self.documents.get(document["uri"])
                if known is None or known.version != document["version"]:
                    return {"applied": False}
        done = False
        for step in steps:
            done |= await self._step(step)
        return {"applied": done}

    async def _step(self, step: dict[str, Any]) -> bool:
        if step.get("kind") == "create":
            path_of(step["uri"]).parent.mkdir(parents=True, exist_ok=True)
            path_of(step["uri"]).write_text("", "utf-8")
            return True
        if step.get("kind") == "delete":
            path_of(step["uri"]).unlink()
            return True
        uri = step["textDocument"]["uri"]
        if uri not in self.documents:
            await self.open(uri, path_of(uri).read_text("utf-8"))
        kept = self.keeps(step["edits"])
        if kept:
            # As the protocol says: positions are those before any of the edits.
            edits = sorted((_edit(one) for one in kept), key=lambda one: one.range.start, reverse=True)
            await self._change(uri, edits)
        return bool(kept)

    async def _change(self, uri: str, edits: list[Edit]) -> None:
        document = self.documents[uri]
        version = document.version + 1
        assert document.apply(version, edits)
        changes = [
            {
                "range": {
                    "start": {"line": one.range.start.line, "character": one.range.start.character},
                    "end": {"line": one.range.end.line, "character": one.range.end.character},
                },
                "text": one.text,
            }
            for one in edits
            if one.range
        ]
        await self.client.change(uri, version, *changes)


def path_of(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def _edit(raw: dict[str, Any]) -> Edit:
    ends = [Position(raw["range"][end]["line"], raw["range"][end]["character"]) for end in ("start", "end")]
    return Edit(Range(*ends), raw["newText"])
