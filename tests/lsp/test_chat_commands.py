"""The chat commands over the protocol, with a scripted model: answers, changes, conflicts, bad input."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsp_client import Client, ServerError

from editor import EDITOR_CAPABILITIES, Editor, path_of

Work = Callable[..., Awaitable[Editor]]

SOURCE = '''"""Money."""


def with_tax(amount, rate):
    return round(amount * (1 + rate))


def total(amounts, rate):
    return sum(with_tax(amount, rate) for amount in amounts)
'''
BETTER = """def with_tax(amount, rate):
    taxed = amount * (1 + rate)
    return round(taxed)
"""
IN_IT = (4, 6)
"""Within `with_tax`."""


def fenced(code: str) -> str:
    return f"Here it is:\n\n```python\n{code}```\n"


@pytest.fixture
async def work(server, tmp_path: Path) -> Work:
    """An editor on a folder, with a server whose model says `text` to chats."""

    async def begin(
        text: str = "", *, files: dict[str, str] | None = None, locale: str = "en", **script: Any
    ) -> Editor:
        folder = tmp_path / "work"
        for name, content in ({"main.py": SOURCE} if files is None else files).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode())
        client: Client = await server({"chat_text": text, "model": "scripted-coder", **script}, initialize=False)
        editor = Editor(client)
        await client.initialize(
            capabilities=EDITOR_CAPABILITIES,
            workspaceFolders=[{"uri": folder.as_uri(), "name": "work"}],
            locale=locale,
        )
        return editor

    return begin


def on_disk(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else "(gone)"


def save(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


async def ready(editor: Editor, path: Path, language: str = "python") -> str:
    """Open a file of the folder; its URI."""
    uri = path.as_uri()
    await editor.open(uri, on_disk(path), language)
    return uri


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return tmp_path / "work" / "main.py"


async def test_an_explanation_streams_into_a_page_beside(work: Work, main: Path):
    words = "It **adds** the tax.\n\n```python\nx = 1\n```\n" + "And more. " * 60
    editor = await work(words, token_ms=20, chunk_chars=8)
    uri = await ready(editor, main)
    begun = time.monotonic()
    answer = await editor.run("explain", uri, IN_IT)
    assert answer["text"].strip() == words.strip()
    assert answer["ending"] == "stop"
    assert answer["place"] == "machine"
    page = answer["page"]
    assert page == f"hearth:/chat/{answer['conversation']}/Explain%20with_tax%20in%20main.py.md"
    assert page in editor.shown
    assert "with_tax" in await editor.page(page)
    assert "scripted-coder" in await editor.page(page)
    # It was seen to grow, and rarely enough.
    grown = [text for text in editor.pages[page] if "It **adds**" in text]
    assert len({len(text) for text in grown}) >= 3
    assert len(grown) <= 10 * (time.monotonic() - begun) + 3
    lenses = await editor.lenses(page)
    assert {"Reply", "Copy", "Another Model", "Export", "Delete"} <= set(lenses)
    assert "Stop" not in lenses
    assert editor.text(uri) == SOURCE
    assert (await editor.press(lenses["Copy"]))["copy"].strip() == words.strip()
    blocks = await editor.client.request("textDocument/codeLens", {"textDocument": {"uri": page}})
    copied = [one["command"]["arguments"][0] for one in blocks if "text" in one["command"]["arguments"][0]]
    assert {"text": "x = 1\n"} in copied


async def test_a_refactoring_is_applied_and_taken_back(work: Work, main: Path):
    editor = await work(fenced(BETTER))
    uri = await ready(editor, main)
    done = await editor.run("refactor", uri, IN_IT, prompt="name the product")
    assert done["applied"] is True
    assert "taxed = amount" in editor.text(uri)
    (edit,) = editor.edits
    assert "changeAnnotations" not in edit["edit"]  # one place: nothing to be confirmed
    assert edit["edit"]["documentChanges"][0]["textDocument"] == {"uri": uri, "version": 1}
    lenses = await editor.lenses(uri)
    assert lenses["Hearth changed this: Undo"]["line"] == 4
    assert "Undo" in await editor.lenses(done["page"])
    assert "**A change of 1 place in main.py.** Applied." in await editor.page(done["page"])
    await editor.press(lenses["Hearth changed this: Undo"])
    assert editor.text(uri) == SOURCE
    assert "**A change of 1 place in main.py.** Applied, then undone." in await editor.page(done["page"])
    assert await editor.lenses(uri) == {}
    with pytest.raises(ServerError, match="no change of Hearth's to undo"):
        await editor.run("undoLastChange", uri)


async def test_the_lens_goes_when_it_is_kept_or_edited(work: Work, main: Path):
    editor = await work(fenced(BETTER))
    uri = await ready(editor, main)
    await editor.run("refactor", uri, IN_IT, prompt="name the product")
    await editor.press((await editor.lenses(uri))["Keep"])
    assert await editor.lenses(uri) == {}
    await editor.run("undoLastChange", uri)
    await editor.run("refactor", uri, IN_IT, prompt="name the product")
    assert await editor.lenses(uri)
    await editor.type(uri, 0, 0, "# typed\n")
    assert await editor.lenses(uri) == {}
    with pytest.raises(ServerError, match=r"main\.py changed since"):
        await editor.run("undoLastChange", uri)
    assert editor.text(uri).startswith("# typed\n")


async def test_undo_works_after_a_restart(work: Work, main: Path, tmp_path: Path):
    editor = await work(fenced(BETTER))
    uri = await ready(editor, main)
    page = (await editor.run("refactor", uri, IN_IT, prompt="name the product"))["page"]
    changed = editor.text(uri)
    assert await editor.client.stop() == 0
    save(main, changed)
    again = await work()
    await again.open(uri, changed)
    assert "main.py" in (await again.run("undoLastChange", uri))["message"]
    assert again.text(uri) == SOURCE
    assert "1 place in main.py.** Applied, then undone." in await again.page(page)


async def test_another_models_answer_takes_the_place_of_one_that_was_applied(work: Work, main: Path):
    other = BETTER.replace("taxed", "product")
    rules = [{"chat": 1, "times": 1, "text": fenced(BETTER)}, {"chat": 1, "text": fenced(other)}]
    editor = await work(rules=rules)
    uri = await ready(editor, main)
    first = await editor.run("refactor", uri, IN_IT, prompt="name the product")
    assert "taxed" in editor.text(uri)
    editor.input = ["local"]
    again = await editor.press((await editor.lenses(first["page"]))["Another Model"])
    assert again["applied"] is True
    assert "product = amount" in editor.text(uri)
    assert "taxed" not in editor.text(uri)
    assert (await editor.page(first["page"])).count("1 place in main.py.** Applied.") == 1
    await editor.run("undoLastChange", uri)
    assert editor.text(uri) == SOURCE


async def test_another_models_answer_that_is_of_no_use_leaves_what_was_applied(work: Work, main: Path):
    rules = [{"chat": 1, "times": 1, "text": fenced(BETTER)}, {"chat": 1, "text": "I would rather not."}]
    editor = await work(rules=rules)
    uri = await ready(editor, main)
    first = await editor.run("refactor", uri, IN_IT, prompt="name the product")
    changed = editor.text(uri)
    editor.input = ["local"]
    with pytest.raises(ServerError):
        await editor.press((await editor.lenses(first["page"]))["Another Model"])
    assert editor.text(uri) == changed != SOURCE
    await editor.run("undoLastChange", uri)
    assert editor.text(uri) == SOURCE


async def test_several_places_are_previewed_and_what_is_left_out_stays_out(work: Work, main: Path):
    both = SOURCE.replace("return round", "# cents\n    return round").replace("return sum", "# all\n    return sum")
    editor = await work(fenced(both))
    uri = await ready(editor, main)
    editor.keeps = lambda edits: edits[:1]
    done = await editor.run("refactor", uri, (0, 0), (9, 0), prompt="comment it")
    assert done["applied"] is True
    annotations = editor.edits[0]["edit"]["changeAnnotations"]
    assert all(one["needsConfirmation"] for one in annotations.values())
    assert "# cents" in editor.text(uri)
    assert "# all" not in editor.text(uri)
    assert "2 places in main.py.** Applied in part." in await editor.page(done["page"])
    await editor.run("undoLastChange", uri)
    assert editor.text(uri) == SOURCE


async def test_a_preview_that_is_declined_can_be_applied_later(work: Work, main: Path):
    editor = await work(fenced(BETTER))
    uri = await ready(editor, main)
    editor.refuses = True
    declined = await editor.run("refactor", uri, IN_IT, prompt="name the product")
    assert declined["applied"] is False
    assert "Nothing was applied" in declined["message"]
    assert any("Nothing was applied" in text for text in editor.client.shown())
    assert editor.text(uri) == SOURCE
    editor.refuses = False
    await editor.press((await editor.lenses(declined["page"]))["Apply"])
    assert "taxed" in editor.text(uri)
    assert "Apply" not in await editor.lenses(declined["page"])


async def test_a_document_edited_meanwhile_is_a_conflict_and_never_overwritten(work: Work, main: Path):
    editor = await work(fenced(BETTER), delay_ms=400)
    uri = await ready(editor, main)
    asked = asyncio.ensure_future(editor.run("refactor", uri, IN_IT, prompt="name the product"))
    await editor.client.until(lambda: editor.shown, "the page")
    await editor.type(uri, 4, 0, "    # mine\n")
    result = await asked
    assert result["applied"] is False
    assert "main.py changed while the answer was written" in result["message"]
    assert "**A change of 1 place in main.py.** Nothing was applied: main.py changed" in await editor.page(
        result["page"]
    )
    assert editor.edits == []
    assert "# mine" in editor.text(uri)
    # Between our look and the editor's: the version in the edit stops it.
    editor.before_edit = lambda: editor.type(uri, 0, 0, "# again\n")
    late = await editor.run("refactor", uri, (5, 6), prompt="name the product")
    assert late["applied"] is False
    assert "main.py changed while the answer was written" in late["message"]
    assert editor.text(uri).startswith("# again\n")
    assert "taxed" not in editor.text(uri)


async def test_tests_are_written_into_a_new_file(work: Work, main: Path):
    body = "from main import with_tax\n\n\ndef test_with_tax():\n    assert with_tax(100, 0.2) == 120\n"
    editor = await work(fenced(body))
    uri = await ready(editor, main)
    done = await editor.run("test", uri, IN_IT)
    assert done["applied"] is True, done
    created = [step["uri"] for step in editor.edits[0]["edit"]["documentChanges"] if step.get("kind") == "create"]
    assert len(created) == 1
    assert "def test_with_tax" in editor.text(created[0])
    await editor.client.until(lambda: created[0] in editor.shown, "the new file is shown")
    assert path_of(created[0]).parent == main.parent / "tests"
    await editor.run("undoLastChange", uri)
    assert on_disk(path_of(created[0])) == "(gone)"
    assert sorted(path.name for path in main.parent.iterdir()) == ["main.py"], "its folder is gone with it"


async def test_a_folder_that_was_made_stays_if_something_else_is_in_it_by_now(work: Work, main: Path):
    body = "from main import with_tax\n\n\ndef test_with_tax():\n    assert with_tax(100, 0.2) == 120\n"
    editor = await work(fenced(body))
    uri = await ready(editor, main)
    assert (await editor.run("test", uri, IN_IT))["applied"] is True
    save(main.parent / "tests" / "mine.txt", "mine")
    await editor.run("undoLastChange", uri)
    assert [path.name for path in (main.parent / "tests").iterdir()] == ["mine.txt"]


async def test_a_reply_goes_on_and_another_model_answers_again(work: Work, main: Path):
    rules = [
        {"chat": 1, "contains": "shorter", "text": "It taxes."},
        {"chat": 1, "times": 1, "text": "It adds the tax to the amount."},
        {"chat": 1, "text": "Once more."},
    ]
    editor = await work(rules=rules)
    uri = await ready(editor, main)
    first = await editor.run("ask", uri, IN_IT, prompt="What is it for?")
    editor.input = ["shorter"]
    second = await editor.press((await editor.lenses(first["page"]))["Reply"])
    assert second["conversation"] == first["conversation"]
    assert second["text"].strip() == "It taxes."
    await editor.client.until(lambda: editor.lines[-1] > 0, "the new question is to be seen")
    assert (await editor.page(first["page"])).split("\n")[editor.lines[-1] - 1] == "---"
    assert "adds the tax" in await editor.page(first["page"])
    assert editor.asked[-1]["prompt"].startswith("Reply to: ")
    editor.input = ["local"]
    again = await editor.press((await editor.lenses(first["page"]))["Another Model"])
    labels = [item["label"] for item in editor.asked[-1]["items"]]
    assert labels[:2] == ["Automatic", "Only my own models"]
    assert "scripted-coder" in labels
    assert again["text"].strip() == "It taxes."


async def test_stop_ends_the_answer_and_keeps_what_was_said(work: Work, main: Path):
    editor = await work("word " * 4_000, token_ms=10)
    uri = await ready(editor, main)
    over: set[str] = set()
    for stop in ("command", "lens", "progress"):
        asked = asyncio.ensure_future(editor.run("explain", uri, IN_IT))

        def streaming() -> list[str]:
            return [page for page, seen in editor.pages.items() if page not in over and "word word" in seen[-1]]

        await editor.client.until(streaming, "words")
        (page,) = streaming()
        over.add(page)
        assert "Stop" in await editor.lenses(page)
        if stop == "command":
            assert (await editor.run("stop"))["stopped"] == 1
        elif stop == "lens":
            assert (await editor.press((await editor.lenses(page))["Stop"]))["stopped"] == 1
        else:
            begun = [m["params"] for m in editor.client.notifications if m["method"] == "$/progress"]
            token = [one["token"] for one in begun if one["value"]["kind"] == "begin"][-1]
            await editor.client.notify("window/workDoneProgress/cancel", {"token": token})
        answer = await asked
        assert answer["ending"] == "stopped"
        assert "word word" in answer["text"]
        assert "Reply" in await editor.lenses(page)


async def test_a_fix_is_judged_by_what_other_tools_say_after_it(work: Work, main: Path):
    editor = await work(fenced(BETTER))
    uri = await ready(editor, main)
    problem = {"range": {"start": {"line": 4, "character": 4}, "end": {"line": 4, "character": 9}}, "severity": 1,
               "message": "Name the product"}  # fmt: skip
    other = {**problem, "message": "Something else is wrong"}

    async def diagnosed(*found: dict[str, Any]) -> None:
        await editor.client.notify("hearth/diagnostics", {"uri": uri, "diagnostics": list(found)})

    async def fixed(*after: dict[str, Any]) -> Any:
        await diagnosed(problem)
        count = len(editor.edits)
        asked = asyncio.ensure_future(editor.run("fix", uri, IN_IT, diagnostics=[problem]))
        await editor.client.until(lambda: len(editor.edits) > count, "the edit")
        await asyncio.sleep(0.2)
        await diagnosed(*after)
        return await asked

    assert (await fixed())["applied"] is True
    assert "Hearth: the problem is gone." in editor.client.shown()
    await editor.run("undoLastChange", uri)
    editor.buttons = ["Undo"]
    await fixed(other)
    assert "new problem: Something else is wrong" in editor.asked[-1]["message"]
    assert editor.text(uri) == SOURCE
    editor.buttons = ["Keep"]
    await fixed(problem)
    assert "still there: Name the product" in editor.asked[-1]["message"]
    assert "taxed" in editor.text(uri)


async def test_conversations_are_listed_opened_exported_and_deleted(work: Work, main: Path):
    editor = await work("It adds the tax.")
    uri = await ready(editor, main)
    with pytest.raises(ServerError, match="no conversation yet"):
        await editor.run("conversations")
    first = await editor.run("explain", uri, IN_IT)
    editor.input = [first["conversation"]]
    listed = await editor.run("conversations")
    assert [one["id"] for one in listed["conversations"]] == [first["conversation"]]
    assert editor.shown[-1] == first["page"]
    assert (await editor.run("conversations", query="tax adds"))["conversations"]
    assert (await editor.run("conversations", query="elephants"))["conversations"] == []
    exported = await editor.press((await editor.lenses(first["page"]))["Export"])
    assert "It adds the tax." in exported["document"]
    editor.buttons = [None]
    assert await editor.press((await editor.lenses(first["page"]))["Delete"]) == {"cancelled": True}
    editor.buttons = ["Delete"]
    await editor.press((await editor.lenses(first["page"]))["Delete"])
    assert "deleted" in await editor.page(first["page"])
    with pytest.raises(ServerError, match="no conversation yet"):
        await editor.run("conversations")


async def test_a_transcript_is_there_again_after_a_restart(work: Work, main: Path):
    editor = await work("It adds the tax.")
    uri = await ready(editor, main)
    first = await editor.run("explain", uri, IN_IT)
    assert await editor.client.stop() == 0
    again = await work("And more.")
    assert "It adds the tax." in await again.page(first["page"])
    await again.open(uri, SOURCE)
    reply = await again.run("reply", conversation=first["conversation"], prompt="go on")
    assert reply["text"].strip() == "And more."


# What is offered


async def actions(editor: Editor, uri: str, line: int, **context: Any) -> list[dict[str, Any]]:
    here = {"line": line, "character": 4}
    params = {"textDocument": {"uri": uri}, "range": {"start": here, "end": here}}
    context = {"diagnostics": [], "triggerKind": 1, **context}
    return await editor.client.request("textDocument/codeAction", {**params, "context": context})


async def test_the_light_bulb_offers_what_can_be_done_here(work: Work, main: Path):
    editor = await work(fenced(BETTER))
    uri = await ready(editor, main)
    offered = await actions(editor, uri, 4)
    titles = [one["title"] for one in offered]
    assert {"Hearth: explain", "Hearth: refactor…", "Hearth: write tests", "Hearth: document"} <= set(titles)
    assert all("command" not in one and one["tags"] == [1] for one in offered)
    problem = {"range": {"start": {"line": 4, "character": 4}, "end": {"line": 4, "character": 9}}, "severity": 1,
               "message": "Name the\nproduct " + "x" * 100}  # fmt: skip
    unasked = await actions(editor, uri, 4, triggerKind=2, diagnostics=[problem])
    (fix,) = unasked
    assert fix["kind"] == "quickfix"
    assert fix["title"].startswith('Hearth: fix "Name the product xxx')
    assert len(fix["title"]) < 90
    assert await actions(editor, uri, 4, triggerKind=2) == []
    assert await actions(editor, uri, 3, triggerKind=2)  # the first line of a definition
    rewrites = await actions(editor, uri, 4, only=["refactor"])
    assert rewrites
    assert all(one["kind"].startswith("refactor") for one in rewrites)
    chosen = await editor.client.request("codeAction/resolve", fix)
    assert chosen["command"]["command"] == "hearth.fix"
    done = await editor.client.command(chosen["command"]["command"], *chosen["command"]["arguments"])
    assert done["applied"] is True


@pytest.mark.parametrize(
    ("locale", "explain", "lens", "asked"),
    [
        ("fr-CA", "Hearth : expliquer", "Répondre", "Demander à Hearth"),
        ("es", "Hearth: explicar", "Responder", "Preguntar a Hearth"),
    ],
)
async def test_all_of_it_in_the_language_of_the_editor(
    work: Work, main: Path, locale: str, explain: str, lens: str, asked: str
):
    editor = await work("Il ajoute la taxe.", locale=locale)
    uri = await ready(editor, main)
    assert explain in [one["title"] for one in await actions(editor, uri, 4)]
    editor.input = ["pourquoi ?"]
    answer = await editor.run("ask", uri, IN_IT)
    assert editor.asked[-1]["prompt"] == asked
    assert lens in await editor.lenses(answer["page"])


async def test_an_offered_refactoring_is_chosen_or_ones_own_words_are(work: Work, main: Path):
    editor = await work(fenced(BETTER))
    uri = await ready(editor, main)
    offers = [one for one in await actions(editor, uri, 4) if one["kind"] == "refactor.rewrite"][:-1]
    editor.input = [None]
    assert await editor.run("refactor", uri, IN_IT) == {"cancelled": True}
    items = editor.asked[-1].get("items", [])
    assert len(items) == (len(offers) + 1 if offers else 0)
    editor.input = ["name the product"]  # typed by a client that does not know of items
    done = await editor.run("refactor", uri, IN_IT)
    assert done["applied"] is True


async def test_a_page_of_ours_links_to_files(work: Work, main: Path):
    editor = await work("It adds the tax.")
    uri = await ready(editor, main)
    answer = await editor.run("explain", uri, IN_IT)
    assert "[main.py](main.py" in await editor.page(answer["page"])
    links = await editor.client.request("textDocument/documentLink", {"textDocument": {"uri": answer["page"]}})
    assert any(link["target"].startswith(uri) for link in links)


# What is amiss: a clear message, and the file untouched


BAD_ANSWERS = {
    "prose": ("I would rather talk about the weather today, it is lovely outside.", "in words where code was due"),
    "nothing": ("", "answered nothing"),
    "half a block": ("```python\ndef with_tax(amount, rate):\n    taxed = amount * (", "breaks off in the middle"),
    "cut off": (fenced(BETTER), "broke off before its end"),
    "another language": (
        "```rust\nfn with_tax(amount: f64, rate: f64) -> f64 { amount * (1.0 + rate) }\n```\n",
        "is rust where main.py is python",
    ),
    "elided": ("```python\ndef with_tax(amount, rate):\n    # ... rest of the code unchanged\n```\n", "leaves code"),
    "no code": ("```python\ndef with_tax(amount, rate:\n    return\n```\n", "would not parse any more: line 4"),
    "another function": (
        "```python\nRATE = 0.2\n\n\ndef total(amounts):\n    return with_tax(sum(amounts), RATE)\n```\n",
        "takes with_tax out of main.py, which nobody asked for",
    ),
}


async def test_an_answer_that_is_no_change_leaves_the_file_alone(work: Work, main: Path):
    rules = [
        {
            "chat": 1,
            "prompt_contains": f"as in {name}",
            "text": text,
            "reason": "length" if name == "cut off" else "stop",
        }
        for name, (text, _) in BAD_ANSWERS.items()
    ]
    editor = await work(rules=rules)
    uri = await ready(editor, main)
    for name, (_, why) in BAD_ANSWERS.items():
        everything = {} if name == "another function" else {"start": IN_IT}
        message = await refused(editor, "refactor", uri, **everything, prompt=f"as in {name}")
        assert why in message, name
        assert "nothing was changed" in message or name == "nothing", message
        assert "etry" in message, message
        assert editor.text(uri) == SOURCE
        page = editor.shown[-1]
        assert "Reply" in await editor.lenses(page)
        assert why in (await editor.page(page)).replace("`", "").replace("\\", "")
    assert on_disk(main) == SOURCE


async def refused(editor: Editor, name: str, *place: Any, **more: Any) -> str:
    """The message with which a command is refused."""
    with pytest.raises(ServerError) as raised:
        await editor.run(name, *place, **more)
    assert raised.value.code != -32603, raised.value.message
    assert editor.edits == []
    return raised.value.message


async def test_what_cannot_be_worked_on_is_said(work: Work, tmp_path: Path):
    files = {"main.py": SOURCE, "empty.py": "", "fixed.py": SOURCE, "big.py": "x = 1\n" * 200_000}
    editor = await work(fenced(BETTER), files=files)
    folder = tmp_path / "work"
    assert "Open a file first" in await refused(editor, "explain")
    empty = await ready(editor, folder / "empty.py")
    for name in ("explain", "refactor", "document", "test"):
        assert "empty.py is empty." in await refused(editor, name, empty, prompt="do it")
    read_only = folder / "fixed.py"
    read_only.chmod(0o444)
    fixed = await ready(editor, read_only)
    for name in ("refactor", "document"):
        message = await refused(editor, name, fixed, IN_IT, prompt="name the product")
        assert "fixed.py is read-only, so Hearth does not change it." in message
    assert (await editor.run("explain", fixed, IN_IT))["ending"] == "stop"
    big = await ready(editor, folder / "big.py")
    for name in ("refactor", "explain"):
        message = await refused(editor, name, big, (0, 0), (200_000, 0), prompt="shorten it")
        assert "lines 1-200000 of big.py is too much for any model. Select less." in message
    editor.input = []
    uri = await ready(editor, folder / "main.py")
    assert "prompt" in await refused(editor, "ask", uri, IN_IT)  # this editor cannot ask
    assert "There is nothing to fix" in await refused(editor, "fix", uri, IN_IT)
    assert "The selected lines are empty." in await refused(editor, "explain", uri, (1, 0), (2, 0))
    # Without a selection, or with the cursor outside of all functions, the whole file is meant.
    argument = {"uri": uri, "prompt": "name the product"}
    assert (await editor.client.command("hearth.explain", {"uri": uri}))["ending"] == "stop"
    done = await editor.client.command("hearth.refactor", argument)
    assert done["applied"] is True
    assert "taxed = amount" in editor.text(uri)
    assert "def total" in editor.text(uri)  # the answer holds one of its two functions


async def test_unsaved_documents_are_worked_on_as_they_are(work: Work, main: Path):
    editor = await work(fenced(BETTER))
    uri = await ready(editor, main)
    await editor.type(uri, 0, 0, "# not saved\n")
    done = await editor.run("refactor", uri, (5, 6), prompt="name the product")
    assert done["applied"] is True
    assert editor.text(uri).startswith("# not saved\n")
    assert on_disk(main) == SOURCE
    await editor.open("untitled:Untitled-1", SOURCE)
    new = await editor.run("refactor", "untitled:Untitled-1", IN_IT, prompt="name the product")
    assert new["applied"] is True
    assert "taxed" in editor.text("untitled:Untitled-1")


async def test_without_a_model_the_message_says_what_to_do(work: Work, main: Path):
    editor = await work(chats=0)
    uri = await ready(editor, main)
    message = await refused(editor, "explain", uri, IN_IT)
    assert len(message) > 20


async def test_arguments_that_make_no_sense_are_refused(work: Work):
    editor = await work("x")
    strange = {"uri": "file:///a.py"}
    for argument in ([], 7, {"uri": 7}, {**strange, "selection": []}, {**strange, "diagnostics": 3}):
        with pytest.raises(ServerError) as raised:
            await editor.client.command("hearth.fix", argument)
        assert raised.value.code in (-32602, -32803)


async def test_a_client_without_versions_or_annotations_is_served_too(server, tmp_path: Path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "main.py").write_text(SOURCE, "utf-8")
    client = await server({"chat_text": fenced(BETTER)}, initialize=False)
    editor = Editor(client)
    await client.initialize(workspaceFolders=[{"uri": folder.as_uri(), "name": "work"}])
    uri = await ready(editor, folder / "main.py")
    done = await editor.run("refactor", uri, IN_IT, prompt="name the product")
    assert done["applied"] is True
    assert list(editor.edits[0]["edit"]) == ["changes"]
    assert "taxed" in editor.text(uri)
