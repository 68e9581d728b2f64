"""The question before anything leaves this machine, as a `window/showMessageRequest`.

It is a dialog, because a message fades away after ten seconds and cuts five buttons short; and since a dialog takes the
keyboard, what Enter presses is "Show exactly", which sends nothing. Then the exact text is open as a page, the question
is a message beside it, and the page has the answers as lenses. Whatever is no clear "Send" is no consent: a closed
message, a client that cannot ask, no answer in time.
"""

import asyncio
from collections.abc import Callable

from lsprotocol import types

from hearth.core.approval import ANSWERS, Answer
from hearth.core.budget import money
from hearth.core.proposal import SHOWN_MAX, Proposal, masks, price, what
from hearth.lsp.asking import Client
from hearth.lsp.markdown import fenced
from hearth.lsp.messages import say

CONSENT_WAIT_S = 300.0
PREVIEW = "hearth:/egress/preview-{number}.md"
EXACT_CHARS_MAX = 4_000_000
MESSAGE_CHARS_MAX = 20_000
SHOWN: tuple[Answer, ...] = ("Show exactly", "Send", "Send for this session", "Use local model", "Cancel")
"""In the order of the buttons."""


class Consent:
    """`show` opens a page of a URI, False where the client has none; `over` is called when what was shown has been
    answered."""

    def __init__(self, client: Client, show: Callable[[str, str], bool], over: Callable[[], None]) -> None:
        self._client = client
        self._show = show
        self._over = over
        self._previews = 0
        self._open: dict[str, asyncio.Future[Answer | None]] = {}

    async def __call__(self, proposal: Proposal) -> Answer | None:
        """The user's answer; None for none. "Show exactly" is never it: it shows, and the question comes again."""
        language = self._client.language()
        page, exact = "", ""
        try:
            async with asyncio.timeout(CONSENT_WAIT_S):
                while (answer := await self._answer(proposal, page, exact)) == "Show exactly":
                    if not page:
                        self._previews += 1
                        page = PREVIEW.format(number=self._previews)
                        self._open[page] = asyncio.get_running_loop().create_future()
                    if not self._show(page, exact_page(proposal, language)):
                        exact = proposal.exact[:MESSAGE_CHARS_MAX]
                return answer
        except TimeoutError:
            return None
        finally:
            if self._open.pop(page, None) is not None:
                self._over()

    def waits(self, page: str) -> bool:
        """Whether a page shows what the user is being asked about now."""
        return page in self._open

    def answered(self, page: str, answer: str) -> bool:
        """The user chose on the page itself; whether that was still asked for."""
        waiting = self._open.get(page)
        if waiting is None or waiting.done() or answer not in ANSWERS:
            return False
        waiting.set_result(_known(answer))
        return True

    async def _answer(self, proposal: Proposal, page: str, exact: str) -> Answer | None:
        """From the message; where the page is open, from whichever comes first. `exact`: it cannot be open."""
        text = question(proposal, self._client.language(), "" if exact else page)
        if exact:
            text = f"{text}\n\n{exact}"
        if not page:
            return _known(await self._client.choose(types.MessageType.Warning, text, SHOWN, closes=True))
        asked = asyncio.ensure_future(self._client.choose(types.MessageType.Info, text, SHOWN, closes=True))
        try:
            await asyncio.wait((asked, self._open[page]), return_when=asyncio.FIRST_COMPLETED)
            return self._open[page].result() if self._open[page].done() else _known(asked.result())
        finally:
            asked.cancel()


def _known(title: str | None) -> Answer | None:
    return next((answer for answer in ANSWERS if answer == title), None)


def question(proposal: Proposal, language: str, shown: str = "") -> str:
    """The question, and the facts in lines below it. Where the page is open they are there."""
    if shown:
        head = say("consent_send", language, host=proposal.host, model=proposal.model)
        return f"{head} {say('consent_shown', language)}"
    named = what(proposal.origins)
    more = f" + {len(named) - SHOWN_MAX}" if len(named) > SHOWN_MAX else ""
    sentences = [
        say("consent_send", language, host=proposal.host, model=proposal.model),
        say(
            "consent_what",
            language,
            what="; ".join(named[:SHOWN_MAX]) + more,
            size=size(proposal.size),
            tokens=f"{proposal.tokens:,}",
        ),
        say("consent_masked", language, masked=masks(proposal.masked) or say("nothing", language)),
        say("consent_price", language, price=price(proposal), left=money(proposal.left)),
        proposal.retention and say("consent_retention", language, retention=proposal.retention.rstrip(".")),
        proposal.reason and say("consent_why", language, why=proposal.reason.rstrip(".")),
    ]
    return "\n".join(filter(None, sentences))


def exact_page(proposal: Proposal, language: str) -> str:
    """Everything that would be sent, as it would be sent."""
    facts = [
        say("consent_send", language, host=proposal.host, model=proposal.model),
        *(say("consent_behind", language, models=", ".join(proposal.behind)) for _ in proposal.behind[:1]),
        say("consent_masked", language, masked=masks(proposal.masked) or say("nothing", language)),
        say("consent_price", language, price=price(proposal), left=money(proposal.left)),
        *(say("consent_retention", language, retention=proposal.retention.rstrip(".")) for _ in proposal.retention[:1]),
    ]
    lines = [f"# {say('consent_title', language)}", "", *(f"- {fact}" for fact in facts), ""]
    lines += [f"## {say('consent_sources', language)}", "", *(f"- `{line}`" for line in what(proposal.origins)), ""]
    lines += [f"## {say('consent_exact', language)}", "", fenced(proposal.exact[:EXACT_CHARS_MAX]), ""]
    return "\n".join(lines)


def size(count: int) -> str:
    """Bytes as a person reads them."""
    return (
        f"{count} B" if count < 1_000 else f"{count / 1_000:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"
    )
