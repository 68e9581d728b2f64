"""Web search through a SearXNG or Perplexica that the user runs: on this machine, or on a host of theirs.

Which of the two it is is found out by asking. Nothing else is ever contacted: redirects are refused, the pages that are
found are not fetched.
"""

from collections.abc import Callable, Sequence
from urllib.parse import quote, urlsplit

from hearth.backends.http import Hints, Http
from hearth.core.websearch import WebPage, models, pages
from hearth.errors import BackendError, HearthError, ProtocolFault, Unauthorised, Unreachable

SEARCH_S = 20.0
ANSWER_S = 90.0
"""Perplexica has a model read what it finds."""
QUERY_CHARS_MAX = 500
REMEDY = "chat.web_url must be the address of a SearXNG or Perplexica of yours."
JSON_REMEDY = "In SearXNG's settings.yml, list json beside html below search: formats:."


class WebSearch:
    """One per engine. `check(url)` raises EgressDenied for a host that is neither this machine nor the user's."""

    def __init__(self, url: str, check: Callable[[str], None]) -> None:
        self._url = url
        self._check = check
        self._http = Http(url, Hints("the search engine", start="Start it, or correct chat.web_url.", wrong=REMEDY))
        self._perplexica: bool | None = None

    async def __call__(self, query: str) -> Sequence[WebPage]:
        """What it finds, best first. Raises HearthError."""
        if urlsplit(self._url).scheme not in ("http", "https"):
            raise HearthError(f"{self._url} is no address of a search engine.", REMEDY)
        self._check(self._url)
        words = " ".join(query.split())[:QUERY_CHARS_MAX]
        if not words:
            return []
        if self._perplexica:
            return await self._asked(words)
        try:
            found = pages(await self._http.json(f"/search?q={quote(words)}&format=json", within_s=SEARCH_S))
        except Unreachable:
            raise
        except Unauthorised as error:
            raise Unauthorised("the search engine does not give its results as JSON", JSON_REMEDY) from error
        except BackendError:
            found = None
        if found is None:
            answer = await self._asked(words)
            self._perplexica = True
            return answer
        self._perplexica = False
        return found

    async def _asked(self, words: str) -> Sequence[WebPage]:
        """By Perplexica, which wants to be told its own models."""
        body = {
            "query": words,
            "focusMode": "webSearch",
            "sources": ["web"],
            "optimizationMode": "speed",
            "stream": False,
        }
        try:
            chosen = models(await self._http.json("/api/providers", within_s=SEARCH_S))
        except Unreachable:
            raise
        except BackendError:
            chosen = None  # an older one, which has defaults
        found = pages(await self._http.json("/api/search", {**body, **(chosen or {})}, within_s=ANSWER_S))
        if found is None:
            raise ProtocolFault("what answers there is neither SearXNG nor Perplexica", REMEDY)
        return found

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()
