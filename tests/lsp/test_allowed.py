"""`hearth.revokeConsent`: what may be sent without asking is listed, and taken back for every window."""

import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lsp_client import ServerError

from editor import EDITOR_CAPABILITIES, Editor
from hearth.consents import Consents, kept_in
from hearth.core.approval import Request
from hearth.lsp.allowed import take_back
from hearth.lsp.asking import Client

ASKED = Request("https://cloud.example", "ask", "/work/cart", "aa")
SINCE = 1_795_262_400.0


def window(home: Path) -> Consents:
    return Consents(kept_in(home), lambda: SINCE)


async def test_over_the_protocol(server: Any, tmp_path: Path) -> None:
    here = window(tmp_path / "data")
    client = await server(extra="[cloud]\nenabled = true\n", capabilities=EDITOR_CAPABILITIES)
    editor = Editor(client)
    # Nothing is allowed: nothing is asked.
    assert await editor.run("revokeConsent") == {"revoked": [], "left": []}
    await client.until(lambda: any("nothing to take back" in text for text in client.shown()), "it says so")
    assert editor.asked == []
    # Other windows allow something: one is chosen from the list.
    for kind in ("ask", "task", "explain"):
        here.grant(replace(ASKED, kind=kind), "workspace")
    allowed = {one.kind: one.id for one in here.given()}
    status = await client.request("hearth/status")
    assert {one["id"] for one in status["cloud"]["allowed"]} == set(allowed.values())
    editor.input = [allowed["task"]]
    found = await editor.run("revokeConsent")
    (asked,) = editor.asked
    assert {item["label"] for item in asked["items"]} == {
        "ask → https://cloud.example", "task → https://cloud.example", "explain → https://cloud.example", "All of them",
    }  # fmt: skip
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(SINCE))
    assert asked["items"][0]["description"] == f"until you take it back, since {day}, from /work/cart"
    assert [one["kind"] for one in found["revoked"]] == ["task"]
    assert {one["kind"] for one in found["left"]} == {"ask", "explain"}
    await client.until(lambda: any("Taken back: task" in text for text in client.shown()), "it says so")
    assert here.covering(replace(ASKED, kind="task")) is None
    assert here.covering(ASKED) is not None
    # Turning away takes nothing back.
    editor.input = [None]
    assert (await editor.run("revokeConsent"))["revoked"] == []
    assert len(here.given()) == 2
    # An editor that cannot ask names it; `all` is all.
    with pytest.raises(ServerError, match="cannot ask"):
        await client.command("hearth.revokeConsent", {})
    assert (await client.command("hearth.revokeConsent", {"consent": "../state"}))["revoked"] == []
    assert len((await client.command("hearth.revokeConsent", {"consent": "all"}))["revoked"]) == 2
    assert here.given() == []


@pytest.mark.parametrize("language", ["en", "fr", "es"])
async def test_what_ends_with_the_session_is_there_too(tmp_path: Path, language: str) -> None:
    consents, asked, told = window(tmp_path), list[Any](), list[tuple[str, str]]()
    consents.grant(ASKED, "session")
    consents.grant(replace(ASKED, folder=""), "session")
    consents.grant(replace(ASKED, kind="task"), "each")
    (first, second) = consents.given()

    def send(_method: str, params: Any) -> "Future[Any]":
        asked.append(params)
        future: Future[Any] = Future()
        future.set_result({"value": params["items"][0]["value"]})
        return future

    client = Client(send, lambda _method, _params: None, lambda: language)
    found = await take_back(consents, client, lambda level, text: told.append((level, text)), {})
    assert [item["value"] for item in asked[0]["items"]] == [first.id, second.id, "all"]
    session = {"en": "for this session", "fr": "pour cette session", "es": "para esta sesión"}[language]
    assert all(item["description"].startswith(session) for item in asked[0]["items"][:2])
    assert found == {"revoked": [first.as_json()], "left": [second.as_json()]}
    assert consents.covering(replace(ASKED, folder=second.folder)) == second
    assert [level for level, _ in told] == ["info"]


async def test_what_cannot_be_taken_back_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    consents, told = window(tmp_path), list[tuple[str, str]]()
    given = consents.grant(ASKED, "workspace")
    assert given is not None

    def refused(_path: Path, *, missing_ok: bool) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(Path, "unlink", refused)
    client = Client(lambda _m, _p: Future(), lambda _m, _p: None, lambda: "en")
    found = await take_back(consents, client, lambda level, text: told.append((level, text)), {"consent": given.id})
    assert found == {"revoked": [], "left": [given.as_json()]}
    assert told == [("warning", f"1 could not be taken back: is {kept_in(tmp_path)} writable?")]
