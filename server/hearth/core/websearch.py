"""What a search engine of the user's own answers, read tolerantly: SearXNG's and Perplexica's JSON."""

from dataclasses import dataclass
from typing import Any

from hearth.core.jsonlike import items, table, text

PAGES_MAX = 20
TITLE_CHARS_MAX = 300
URL_CHARS_MAX = 2_000
TEXT_CHARS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class WebPage:
    """One result of a web search: what the search engine says of it, not the page itself. Untrusted."""

    title: str
    url: str
    text: str


def pages(raw: object) -> list[WebPage] | None:
    """The results of an answer, at most PAGES_MAX; None if it is no answer of either."""
    fields = table(raw)
    if isinstance(fields.get("results"), list):
        found = [_page(table(one), "content") for one in items(fields["results"])]
    elif isinstance(fields.get("sources"), list):
        found = [_source(table(one)) for one in items(fields["sources"])]
        if message := text(fields.get("message"), TEXT_CHARS_MAX):
            found.insert(0, WebPage("What the search engine makes of it", "", message))
    else:
        return None
    return [page for page in found if page is not None][:PAGES_MAX]


def models(raw: object) -> dict[str, Any] | None:
    """The models that a Perplexica should use, out of its list of providers: its first ones; None if it has none."""
    chosen: dict[str, Any] = {}
    for provider in map(table, items(table(raw).get("providers"))):
        for field, name in (("chatModel", "chatModels"), ("embeddingModel", "embeddingModels")):
            first = next((key for one in items(provider.get(name)) if (key := table(one).get("key"))), None)
            if first and field not in chosen and provider.get("id"):
                chosen[field] = {"providerId": provider["id"], "key": first}
    return chosen if len(chosen) == 2 else None


def _page(fields: dict[str, Any], body: str) -> WebPage | None:
    title, url = _short(fields.get("title"), TITLE_CHARS_MAX), text(fields.get("url"), URL_CHARS_MAX)
    said = _short(fields.get(body), TEXT_CHARS_MAX)
    return WebPage(title or url, url, said) if url.startswith(("http://", "https://")) else None


def _source(fields: dict[str, Any]) -> WebPage | None:
    body = "pageContent" if "pageContent" in fields else "content"
    return _page({**table(fields.get("metadata")), body: fields.get(body)}, body)


def _short(raw: object, chars_max: int) -> str:
    return " ".join(raw[:chars_max].split()) if isinstance(raw, str) else ""
