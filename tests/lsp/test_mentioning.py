"""@mentions in documents of Hearth's: completed, shown on hover, and asked for where a prompt lacks a name."""

from pathlib import Path
from typing import Any

import pytest
from lsp_client import CAPABILITIES

from editor import EDITOR_CAPABILITIES, Editor
from hearth.chat.naming import DOCUMENTS_CHARS_MAX, DOCUMENTS_MAX, looked_at
from hearth.core.text import Snapshot
from hearth.lsp.mentioning import HOVER_LINES_MAX

SOURCE = '''class Circle:
    def area(self, scale):
        """The area."""
        return scale


def total(items):
    return sum(items)
'''
README = "# Shop\n\n" + "Some words.\n" * 30 + "```sh\nmake\n```\n" + "More words.\n" * 30
SECRET = "password = 1\n"


@pytest.fixture
async def editor(server, tmp_path: Path):
    folder = tmp_path / "work"
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "src" / "shop.py").write_text(SOURCE)
    (folder / "src" / "deep" / "my notes.md").write_text("# Notes\n")
    (folder / "README.md").write_text(README)
    (folder / ".env").write_text(SECRET)
    client = await server({"chat_text": "`Circle.area` scales; see `total`, not `nothing`."}, initialize=False)
    one = Editor(client)
    one.initialized = await client.initialize(
        capabilities=EDITOR_CAPABILITIES, workspaceFolders=[{"uri": folder.as_uri(), "name": "work"}]
    )
    shop = (folder / "src" / "shop.py").as_uri()
    await one.open(shop, SOURCE)
    one.shop = shop
    await client.command("hearth.status", {})  # the engine is up
    return one


async def offered(editor: Editor, text: str, uri: str = "untitled:Prompt", language: str = "hearth") -> list[Any]:
    """(label, what the line is with it) for the cursor at the end of a text."""
    if uri in editor.documents:
        await editor.client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    await editor.open(uri, text, language)
    here = {"line": text.count("\n"), "character": len(text.rpartition("\n")[2].encode("utf-16-le")) // 2}
    found = await editor.client.request("textDocument/completion", {"textDocument": {"uri": uri}, "position": here})
    line = text.rpartition("\n")[2]
    return [
        (one["label"], line[: one["textEdit"]["range"]["start"]["character"]] + one["textEdit"]["newText"])
        for one in (found or {"items": []})["items"]
    ]


async def shown(editor: Editor, uri: str, line: int, character: int) -> str:
    where = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
    found = await editor.client.request("textDocument/hover", where)
    return found["contents"]["value"] if found else ""


async def test_mentions_are_completed_and_shown(editor: Editor):
    assert editor.initialized["capabilities"]["completionProvider"]["triggerCharacters"][0] == "@"
    kinds = dict(await offered(editor, "why\nsee @"))
    assert kinds["@file"] == "see @file:"
    assert kinds["@git"] == "see @git "
    assert dict(await offered(editor, "see @fi")) == {"@file": "see @file:"}
    files = dict(await offered(editor, "see @file:"))
    assert files["src/shop.py"] == "see @file:src/shop.py "
    assert not any(".env" in label for label in files)
    assert dict(await offered(editor, "see @file:notes")) == {
        "src/deep/my notes.md": 'see @file:"src/deep/my notes.md" '
    }
    assert [label for label, _ in await offered(editor, "@folder:s")][:2] == ["src", "src/deep"]
    assert ("Circle.area", "@symbol:Circle.area ") in await offered(editor, "@symbol:area")
    assert await offered(editor, "a mail to me@") == []
    assert await offered(editor, "see @", editor.shop + "x", "python") == []  # no document of ours

    uri = "untitled:Prompt"
    await offered(editor, "@file:src/shop.py#L7-L8 @symbol:Circle.area @git @file:.env nothing")
    assert "return sum(items)" in await shown(editor, uri, 0, 8)
    assert "class Circle" not in await shown(editor, uri, 0, 8)
    assert "def area" in await shown(editor, uri, 0, 30)
    assert "last commit" in await shown(editor, uri, 0, 47)
    secret = await shown(editor, uri, 0, 53)
    assert secret
    assert "password" not in secret
    assert await shown(editor, uri, 0, 65) == ""
    assert await shown(editor, editor.shop, 0, 7) == ""
    await offered(editor, "@file:README.md")
    readme = await shown(editor, uri, 0, 8)
    assert "README.md" in readme.split("\n")[0]
    assert "# Shop" in readme
    assert len(readme.split("\n")) <= HOVER_LINES_MAX + 6  # a title, the fence, and that there is more


async def test_names_in_a_transcript_are_shown_and_missing_names_are_asked_for(editor: Editor):
    editor.input = ["Is @file. good, and `@file` too?", "src/shop.py"]
    answer = await editor.run("ask")
    assert editor.asked[1]["prompt"] == "@file"
    assert "src/shop.py" in [item["value"] for item in editor.asked[1]["items"]]
    text = await editor.page(answer["page"])
    assert "@file:src/shop.py. good, and `@file` too?" in text
    number = next(n for n, line in enumerate(text.split("\n")) if "scales" in line)
    line = text.split("\n")[number]
    assert "def total" in await shown(editor, answer["page"], number, line.index("total") + 1)
    assert await shown(editor, answer["page"], number, line.index("nothing") + 1) == ""
    editor.input = ["@symbol"]
    editor.asked.clear()
    editor.input.append(None)
    assert await editor.run("ask") == {"cancelled": True}


async def test_a_client_that_registers_later_is_asked_only_for_documents_of_ours(server):
    dynamic = {"dynamicRegistration": True}
    able = CAPABILITIES | {"textDocument": CAPABILITIES["textDocument"] | {"completion": dynamic, "hover": dynamic}}
    able["workspace"] = able["workspace"] | {"textDocumentContent": dynamic}
    registered: list[Any] = []
    client = await server({}, initialize=False)
    client.handlers["client/registerCapability"] = lambda params: _noted(registered, params)
    found = await client.initialize(capabilities=able)
    assert "completionProvider" not in found["capabilities"]
    await client.until(lambda: registered, "it registers")
    selectors = {one["method"]: one["registerOptions"].get("documentSelector") for one in registered}
    ours = [{"scheme": "hearth"}, {"language": "hearth"}]
    assert selectors["textDocument/completion"] == selectors["textDocument/hover"] == ours


async def _noted(registered: list[Any], params: Any) -> None:
    registered += params["registrations"]


def test_only_so_much_of_what_is_open_is_looked_at():
    def document(number: int, text: str) -> Snapshot:
        return Snapshot.of(text, uri=f"file:///{number}.py", language="python")

    small = [document(number, "a = 1\n") for number in range(DOCUMENTS_MAX + 1)]
    assert list(looked_at(small)) == small[:-1]
    large = [document(number, "a" * (DOCUMENTS_CHARS_MAX // 2)) for number in range(3)]
    assert list(looked_at([*large, small[0]])) == large[:2]
    assert list(looked_at([document(9, "a" * (DOCUMENTS_CHARS_MAX + 1)), small[0]])) == small[:1]
