"""The question before anything leaves this machine, as a `window/showMessageRequest`.

It never takes the keyboard (a dialog would, and Enter, typed into the code, would answer it), and whatever is no clear
"Send" is no consent: a closed message, a client that cannot ask, no answer in time.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

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


class Consent:
    """`show` opens a page of a URI."""

    def __init__(self, client: Client, show: Callable[[str, str], None]) -> None:
        self._client = client
        self._show = show
        self._previews = 0

    async def __call__(self, proposal: Proposal) -> Answer | None:
        """The user's answer; None for none. "Show exactly" is never it: it shows, and the question comes again."""
        language = self._client.language()
        shown = ""
        with suppress(TimeoutError):
            async with asyncio.timeout(CONSENT_WAIT_S):
                while (answer := await self._asked(question(proposal, language, shown))) == "Show exactly":
                    if not shown:
                        self._previews += 1
                        shown = PREVIEW.format(number=self._previews)
                    self._show(shown, exact_page(proposal, language))
                return answer
        return None

    async def _asked(self, text: str) -> Answer | None:
        title = await self._client.choose(types.MessageType.Warning, text, ANSWERS)
        return next((answer for answer in ANSWERS if answer == title), None)


def question(proposal: Proposal, language: str, shown: str = "") -> str:
    """One paragraph: messages in an editor have no lines."""
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
        shown and say("consent_shown", language),
    ]
    return " ".join(filter(None, sentences))


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
