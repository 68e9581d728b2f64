"""Hearth's own pages: how often they are refreshed, the ledger and the status as a person reads them, the consent."""

import asyncio
import itertools
from concurrent.futures import Future
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hearth.core.approval import ANSWERS, Request
from hearth.core.ledger_record import Intent, Masked, Prices, Result
from hearth.core.origin import PRODUCT, USER, file_origin
from hearth.core.proposal import Proposal
from hearth.ledger import LedgerLog
from hearth.lsp import consent as consent_module
from hearth.lsp import pages as pages_module
from hearth.lsp import reports
from hearth.lsp.actions import links
from hearth.lsp.asking import Client
from hearth.lsp.consent import Consent, question
from hearth.lsp.markdown import fenced, plain
from hearth.lsp.messages_pages import WORDS
from hearth.lsp.pages import REFRESH_S, REST_S, TELLS_MAX, Pages
from hearth.lsp.protocol import RpcError

PAGE = "hearth:/chat/1.md"
BODY = b'{"messages":[{"role":"user","content":"why\\n```is\\n````this"}]}'
BYTES = len(BODY)


async def nothing(_uri: str) -> None:
    return None


async def test_a_stream_of_changes_is_refreshed_rarely_and_its_end_is_never_missed():
    told: list[float] = []
    loop = asyncio.get_running_loop()
    words: list[str] = []

    def refresh(uri: str) -> None:
        assert uri == PAGE
        told.append(loop.time())
        loop.call_soon(lambda: fetches.append(loop.create_task(pages.content(PAGE))))

    fetches: list[asyncio.Task[str]] = []
    pages = Pages(refresh, nothing)
    assert pages.put(PAGE, lambda: "".join(words)) is False
    assert await pages.content(PAGE) == ""
    for number in range(200):
        words.append(f"{number} ")
        pages.changed(PAGE)
        await asyncio.sleep(0.002)
    await asyncio.sleep(3 * REFRESH_S)
    assert await fetches[-1] == "".join(words)
    # An editor that has asked for its lenses needs no longer rest the next time.
    rests = [later - sooner for sooner, later in itertools.pairwise(told) if later - sooner >= REST_S]
    assert rests
    assert pages.rested(PAGE) == "".join(words)
    assert all(later - sooner >= REFRESH_S * 0.95 for sooner, later in itertools.pairwise(told))
    before = len(told)
    pages.changed(PAGE)  # nothing is different
    await asyncio.sleep(3 * REFRESH_S)
    assert len(told) == before
    pages.aclose()


async def test_a_client_that_does_not_fetch_is_told_again_until_it_does_but_not_pressed(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(pages_module, "FETCH_WAIT_S", 0.02)
    told: list[str] = []
    words = ["a"]
    pages = Pages(told.append, nothing)
    pages.put(PAGE, lambda: "".join(words))
    assert await pages.content(PAGE) == "a"
    # The only change: an editor that is about to open the page passes over what it is told of it.
    words.append("b")
    pages.changed(PAGE)
    while len(told) < 2:
        await asyncio.sleep(0.01)
    assert await pages.content(PAGE) == "ab"
    known = len(told)
    await asyncio.sleep(3 * REFRESH_S)
    assert len(told) == known
    # Nobody looks at it any more.
    words.append("c")
    pages.changed(PAGE)
    while len(told) < known + TELLS_MAX:
        await asyncio.sleep(0.01)
    await asyncio.sleep(3 * REFRESH_S)
    assert len(told) == known + TELLS_MAX
    pages.aclose()


def test_what_is_shown_as_it_is_cannot_end_its_block():
    text = "a\n```\nb\n`````\nc"
    shown = fenced(text)
    fence = shown.split("\n")[0]
    assert shown == f"{fence}\n{text}\n{fence}"
    assert fence not in text
    assert plain("*a*\n[b](c) <img>") == r"\*a\* \[b\](c) \<img\>"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Two requests with a part of a.py in the first, and one that did not leave."""
    log = LedgerLog(tmp_path / "ledger")
    origins = (file_origin(str(tmp_path), "src/a.py", 2, 9), USER, PRODUCT)
    body = BODY
    first = log.intent(
        Intent(
            "explain", "cloud.example", feature="explain", model="big/coder", origins=origins,
            masked=(Masked("github-pat", 12),), estimated=Decimal("0.01"),
        ), body,
    )  # fmt: skip
    prices = Prices(Decimal("0.000001"), Decimal("0.000002"), Decimal("0.0000001"))
    log.result(
        Result(first.seq, "done", prompt_tokens=1000, cached_tokens=600, completion_tokens=10, cost=Decimal("0.004"),
               prices=prices)
    )  # fmt: skip
    second = log.intent(Intent("ask", "cloud.example", model="big/coder", origins=(USER,)), b"{}")
    log.result(Result(second.seq, "done", cost=Decimal("0.002")))
    return tmp_path / "ledger"


def test_the_ledger_as_a_page(ledger: Path, tmp_path: Path):
    whole = reports.egress(reports.EGRESS, ledger, "en")
    assert whole
    assert whole.startswith("# What left this machine\n")
    assert "src/a.py, lines 3-9" in whole
    rows = [line for line in whole.split("\n") if line.startswith("- #")]
    assert rows[0].startswith("- #3 ")  # the newest first
    assert rows[1].endswith(f"→ big/coder @ cloud.example ({BYTES} bytes, 1,010 tokens, 0.004 USD, done)")
    found = links(reports.EGRESS, whole)
    assert [link.target for link in found] == ["hearth:/egress/3.md", "hearth:/egress/1.md"]
    line, start = found[1].range.start.line, found[1].range.start.character
    assert whole.split("\n")[line][start:].startswith("#1 ")
    uri = reports.egress_uri((tmp_path / "src" / "a.py").as_uri())
    of_file = reports.egress(uri, ledger, "en")
    assert of_file
    first, second = of_file.split("## All")
    assert "## Of a.py" in first
    assert "- #1 " in first
    assert "- #3 " not in first
    assert "- #3 " in second
    other = reports.egress(reports.egress_uri((tmp_path / "b.py").as_uri()), ledger, "en")
    assert other
    assert "Nothing of b.py ever left." in other
    assert reports.egress_uri("untitled:1") == reports.EGRESS
    assert "Nothing has left" in (reports.egress(reports.EGRESS, tmp_path / "none", "en") or "")


def test_one_request_of_the_ledger_shows_its_exact_bytes(ledger: Path):
    page = reports.egress("hearth:/egress/1.md", ledger, "en")
    assert page
    assert BODY.decode() in page
    assert "`````\nwhy\n```is\n````this\n`````" in page  # the message to be read, whole
    assert "github-pat" in page
    assert reports.egress("hearth:/egress/2.md", ledger, "en") is None
    assert reports.egress("hearth:/egress/nonsense.md", ledger, "en") is None


def test_the_status_as_a_page_tells_costs_and_savings(ledger: Path):
    found: dict[str, Any] = {
        "completion": {"model": "/models/small.gguf", "backend": "llamacpp"},
        "index": {"state": "ready", "files": 12},
        "backends": [
            {"name": "one", "state": "ready", "model": "small", "url": "http://127.0.0.1:8080", "problem": ""}
        ],
        "problems": [{"message": "Less than 200 MB are free.", "remedy": "Free some."}],
        "completions": {"requests": 7, "shown_none_by_reason": {}},
        "tokens": {"prompt": 1000, "prefilled": 100, "generated": 50},
    }
    page = reports.status_page(found, reports.spent(ledger), "en")
    assert "**small.gguf** (llamacpp)" in page
    assert "900 prompt tokens again (90 %)" in page
    assert "| explain | 1 |" in page
    assert "In all **0.006 USD** for 2 requests." in page
    assert "Prefix caching saved 0.00054 USD." in page
    assert "GitHub Copilot Pro 10.00" in page
    assert '"generated": 50' in page
    fresh = reports.status_page({"version": "1"}, reports.spent(ledger.parent / "none"), "fr")
    assert "rien n'a été dépensé" in fresh


PROPOSAL = Proposal(
    bound=Request("https://cloud.example", "explain", "/work", "digest"),
    host="cloud.example",
    model="big/coder",
    behind=("other/coder",),
    origins=(file_origin("/work", "src/a.py", 2, 9), USER, PRODUCT),
    masked=("github-pat", "github-pat", "known-value"),
    size=4_321,
    tokens=1_200,
    forecast=Decimal("0.01"),
    most=Decimal("0.03"),
    left=Decimal("0.5"),
    retention="providers that neither keep nor train on it",
    reason="no local model can take this",
    exact="user: why?\n```",
)


class User:
    """Answers each question of the server with the next of `answers`; None closes it, an exception cannot ask."""

    def __init__(self, *answers: str | Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []
        self.client = Client(self.send, lambda _method, _params: None, lambda: "en")
        self.pages: list[tuple[str, str]] = []
        self.shows = True
        self.consent = Consent(self.client, self.show, lambda: None)

    def show(self, uri: str, text: str) -> bool:
        self.pages.append((uri, text))
        return self.shows

    def send(self, method: str, params: Any) -> "Future[Any]":
        assert method == "window/showMessageRequest"
        self.asked.append(params)
        future: Future[Any] = Future()
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(None if answer is None else {"title": answer})
        return future


@pytest.mark.parametrize("answer", [one for one in ANSWERS if one != "Show exactly"])
async def test_an_answer_of_the_user_is_the_answer(answer: str):
    user = User(answer)
    assert await user.consent(PROPOSAL) == answer
    titles = [one["title"] for one in user.asked[0]["actions"]]
    assert set(titles) == set(ANSWERS)
    assert titles[0] == "Show exactly"  # what Enter presses sends nothing
    assert user.asked[0]["actions"][-1] == {"title": "Cancel", "isCloseAffordance": True}
    text = user.asked[0]["message"]
    for part in (
        "big/coder at cloud.example", "src/a.py, lines 3-9; your words", "4.3 kB", "1,200 tokens",
        "3 secrets (github-pat, known-value)", "about $0.01, at most $0.03", "no local model can take this",
        "neither keep nor train",
    ):  # fmt: skip
        assert part in text


async def test_show_exactly_shows_and_asks_again():
    user = User("Show exactly", "Show exactly", "Send")
    assert await user.consent(PROPOSAL) == "Send"
    (uri, page), again = user.pages
    assert uri == "hearth:/egress/preview-1.md"
    assert again == (uri, page)
    assert "````\nuser: why?\n```\n````" in page
    assert [asked["type"] for asked in user.asked] == [2, 3, 3]  # a dialog would hide the page
    assert "open beside" in user.asked[1]["message"]


async def test_a_client_without_pages_is_shown_the_exact_text_in_the_question():
    user = User("Show exactly", "Use local model")
    user.shows = False
    assert await user.consent(PROPOSAL) == "Use local model"
    assert user.asked[1]["message"].endswith(f"\n\n{PROPOSAL.exact}")
    assert "open beside" not in user.asked[1]["message"]


async def test_the_page_that_shows_exactly_takes_the_answer_too():
    user = User("Show exactly")  # the message that comes with the page is never answered
    waiting = asyncio.ensure_future(user.consent(PROPOSAL))
    while not user.pages:
        await asyncio.sleep(0.01)
    page = user.pages[0][0]
    assert user.consent.waits(page)
    assert user.consent.answered(page, "yes please") is False
    assert user.consent.answered(page, "Send for this session") is True
    assert await waiting == "Send for this session"
    assert not user.consent.waits(page)
    assert user.consent.answered(page, "Send") is False


@pytest.mark.parametrize("answer", [None, "send", RpcError(-32601, "no such method")])
async def test_what_is_no_answer_is_no_consent(answer: str | Exception | None):
    assert await User(answer).consent(PROPOSAL) is None


async def test_no_answer_in_time_is_no_consent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(consent_module, "CONSENT_WAIT_S", 0.05)
    assert await User().consent(PROPOSAL) is None


def test_the_question_is_asked_in_the_languages_of_the_editor():
    french, spanish = (question(PROPOSAL, language) for language in ("fr", "es"))
    assert french.startswith("Envoyer à big/coder chez cloud.example ?")
    assert spanish.startswith("¿Enviar a big/coder en cloud.example?")


@pytest.mark.parametrize("key", sorted(WORDS))
def test_every_sentence_takes_the_same_values_in_each_language(key: str):
    english, *others = ({piece.partition("}")[0] for piece in text.split("{")[1:]} for text in WORDS[key])
    assert all(each == english for each in others)
    assert all(text.strip() for text in WORDS[key])
