"""Read-only Markdown documents of the scheme `hearth`: transcripts, the ledger, answers to "why".

A page's text is made when the client asks for it, so a page that changes often costs nothing between two looks. The
client is told of a change at most ten times a second, and not again before it has fetched what it was told of.
Now and then a page rests for half a second, or longer: an editor asks for the lenses of a text only when it has stopped
changing.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

SCHEME = "hearth"
NAME_CHARS_MAX = 40
_UNNAMED = re.compile(r"[^\w .()-]+")
TASK_PAGE = "hearth:/task/"
PAGES_MAX = 64
REFRESH_S = 0.1
"""Between two refreshes of one page."""
CHARS_PER_REFRESH_S = 1_000_000
"""The client is sent the whole text at each refresh: a long page is refreshed less often."""
REST_S = 0.5
REST_S_MAX = 2.0
"""An editor that is busy needs a longer rest: it doubles until the editor has made use of one."""
REST_EVERY_S = 3.0
FETCH_WAIT_S = 0.5
"""After that a client that did not fetch a page is told again, later each time: an editor that is about to open a page,
with a text that it has fetched already, passes over what it is told of it."""
TELLS_MAX = 6
"""Of one text: a page that nobody looks at is not fetched."""

Text = Callable[[], str]
Made = Callable[[str], Awaitable[Text | str | None]]


@dataclass(slots=True)
class _Page:
    uri: str
    """As it was put here, to name it to the client."""
    text: Text
    sent: str | None = None
    made: bool = False
    """On demand, to be made anew when it is looked at again."""
    told_at: float = 0.0
    fetched_at: float = 0.0
    rested_at: float = 0.0
    rest_s: float = REST_S
    tells: int = 0
    """Refreshes that were sent since the text was last fetched."""
    timer: asyncio.TimerHandle | None = None


class Pages:
    """`refresh(uri)` tells the client that a page changed. `made`: makes pages that nobody put here, by URI."""

    def __init__(self, refresh: Callable[[str], None], made: Made) -> None:
        self._refresh = refresh
        self._made = made
        self._pages: dict[str, _Page] = {}

    def put(self, uri: str, text: Text | str) -> bool:
        """A page is this from now on; whether it was there before."""
        source: Text = (lambda: text) if isinstance(text, str) else text
        key = unquote(uri)
        if known := self._pages.get(key):
            known.text = source
            self.changed(uri)
            return True
        while len(self._pages) >= PAGES_MAX:
            self.drop(next(iter(self._pages)))
        self._pages[key] = _Page(uri, source)
        return False

    def changed(self, uri: str, *, at_once: bool = False) -> None:
        """A page's text is another one now. Cheap: called for every piece of a stream. `at_once`: it is what the user
        waits for, the first words."""
        uri = unquote(uri)
        page = self._pages.get(uri)
        if page is None:
            return
        if at_once:
            if page.timer is not None:
                page.timer.cancel()
            page.tells = 0
            self._tell(uri)
            return
        if page.timer is not None:
            return
        pause = REFRESH_S + len(page.sent or "") / CHARS_PER_REFRESH_S
        if page.told_at - page.rested_at >= REST_EVERY_S:
            pause = max(pause, page.rest_s)
        wait = max(page.told_at, page.fetched_at) + pause - time.monotonic()
        page.timer = asyncio.get_running_loop().call_later(max(0.0, wait), self._tell, uri)

    def _tell(self, uri: str) -> None:
        page = self._pages.get(uri)
        if page is None:
            return
        now = time.monotonic()
        page.timer = None
        loop = asyncio.get_running_loop()
        pause = FETCH_WAIT_S * page.tells
        if page.tells and now - page.told_at < pause:
            page.timer = loop.call_later(max(REFRESH_S, page.told_at + pause - now), self._tell, uri)
        elif page.text() != page.sent:
            if page.told_at and now - max(page.told_at, page.fetched_at) >= page.rest_s:
                page.rested_at, page.rest_s = now, min(REST_S_MAX, 2 * page.rest_s)
            page.told_at, page.tells = now, page.tells + 1
            self._refresh(page.uri)
            if page.tells < TELLS_MAX:
                page.timer = loop.call_later(FETCH_WAIT_S * page.tells, self._tell, uri)

    async def content(self, uri: str) -> str:
        """The text of a page; "" for one that does not exist. Editors escape a URI each in their own way."""
        page = self._pages.get(unquote(uri))
        if page is None or page.made:
            made = await self._made(unquote(uri))
            if made is None:
                return ""
            self.put(uri, made)
            page = self._pages[unquote(uri)]
            page.made = isinstance(made, str)
        if page.timer is not None:
            page.timer.cancel()
        page.timer, page.tells, page.fetched_at = None, 0, time.monotonic()
        page.sent = page.text()
        return page.sent

    def shown(self, uri: str) -> str:
        """What the client was last sent of a page."""
        page = self._pages.get(unquote(uri))
        return "" if page is None else page.sent or ""

    def rested(self, uri: str) -> str:
        """The same, and the client has come to ask for its lenses."""
        if page := self._pages.get(unquote(uri)):
            page.rest_s = REST_S
        return self.shown(uri)

    def drop(self, uri: str) -> None:
        """Forget a page."""
        page = self._pages.pop(unquote(uri), None)
        if page is not None and page.timer is not None:
            page.timer.cancel()

    def aclose(self) -> None:
        """Refresh no more."""
        for uri in list(self._pages):
            self.drop(uri)


def task_of(uri: str) -> str:
    """The task whose document a URI is, "" for none."""
    if not uri.startswith(TASK_PAGE):
        return ""
    return uri.removeprefix(TASK_PAGE).partition("/")[0].removesuffix(".md")


def file_name(title: str) -> str:
    """The last part of a page's URI, which an editor writes on the tab; "" for a title without words."""
    words = " ".join(_UNNAMED.sub(" ", title).split())
    if len(words) > NAME_CHARS_MAX:
        words = words[: NAME_CHARS_MAX + 1].rpartition(" ")[0] or words[:NAME_CHARS_MAX]
    return quote(words.strip(" ."))
