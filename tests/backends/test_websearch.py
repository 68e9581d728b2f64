"""@web's search engine: the user's own, and nothing else."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from backends.fake import Answer, Fake, js
from hearth.backends.websearch import WebSearch
from hearth.core.websearch import PAGES_MAX, WebPage, models, pages
from hearth.errors import BackendError, EgressDenied, HearthError, Unauthorised
from hearth.gateway import Gateway

RESULTS = {
    "results": [{"title": "Rings", "url": "https://r.example/a", "content": "Round\n things."}, {"url": "file:///x"}]
}
PROVIDERS = {
    "providers": [
        {"id": "p1", "chatModels": [], "embeddingModels": [{"name": "E", "key": "e1"}]},
        {"id": "p2", "chatModels": [{"name": "C", "key": "c1"}], "embeddingModels": []},
    ]
}
SOURCES = {
    "message": "They are round.",
    "sources": [{"pageContent": "Round.", "metadata": {"title": "R", "url": "https://r.example"}}],
}


async def nobody() -> list[Any]:
    return []


def gateway(*own: str) -> Gateway:
    return Gateway(nobody, own, lambda _error: None)


@pytest.fixture
async def engine() -> AsyncIterator[Fake]:
    async with Fake({}) as fake:
        yield fake


async def search(fake: Fake, query: str = "what is a ring?") -> list[WebPage]:
    one = WebSearch(fake.url, gateway().check)
    try:
        return list(await one(query))
    finally:
        await one.aclose()


def asked(fake: Fake) -> list[str]:
    return [path for path, _, _ in fake.seen.requests]


async def test_searxng(engine: Fake):
    engine.routes = {"/search?q=what%20is%20a%20ring%3F&format=json": js(RESULTS)}
    assert await search(engine) == [WebPage("Rings", "https://r.example/a", "Round things.")]


async def test_searxng_without_json_says_how(engine: Fake):
    engine.routes = {"/search?q=x&format=json": Answer(b"Forbidden", "403 Forbidden")}
    with pytest.raises(Unauthorised) as caught:
        await search(engine, "x")
    assert "settings.yml" in caught.value.remedy


async def test_perplexica_is_told_its_own_models(engine: Fake):
    engine.routes = {
        "/search?q=x&format=json": Answer(b"<html>", media="text/html"),
        "/api/providers": js(PROVIDERS),
        "/api/search": js(SOURCES),
    }
    found = await search(engine, "x")
    assert [page.url for page in found] == ["", "https://r.example"]
    (body,) = engine.seen.bodies("/api/search")
    assert body["query"] == "x"
    assert body["chatModel"] == {"providerId": "p2", "key": "c1"}
    assert body["embeddingModel"] == {"providerId": "p1", "key": "e1"}


async def test_redirects_are_not_followed(engine: Fake):
    async with Fake({"/search?q=x&format=json": js(RESULTS), "/api/search": js(SOURCES)}) as other:
        away = Answer(b"", "307 Temporary Redirect", headers=(f"Location: {other.url}/search?q=x&format=json",))
        engine.routes = {"/search?q=x&format=json": away, "/api/providers": away, "/api/search": away}
        with pytest.raises(BackendError):
            await search(engine, "x")
        assert asked(other) == []


async def test_other_hosts_are_refused_before_anything_is_sent():
    with pytest.raises(EgressDenied):
        await WebSearch("http://search.example:8080", gateway().check)("x")
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:70/"):
        with pytest.raises(HearthError):
            await WebSearch(url, gateway().check)("x")


async def test_nothing_that_speaks_either(engine: Fake):
    engine.routes = {"/search?q=x&format=json": js({"a": 1}), "/api/providers": js({}), "/api/search": js({"b": 2})}
    with pytest.raises(BackendError, match="neither SearXNG nor Perplexica"):
        await search(engine, "x")


async def test_words_are_bounded(engine: Fake):
    engine.routes = {}
    with pytest.raises(BackendError):
        await search(engine, "long " * 1_000)
    assert all(len(path) < 800 for path in asked(engine))


@pytest.mark.parametrize("raw", [None, [], "x", {}, {"results": "many"}, {"sources": 5}])
def test_what_is_no_answer(raw: object):
    assert pages(raw) is None


def test_results_are_read_tolerantly():
    odd = {
        "results": [
            None,
            5,
            {"url": 3},
            {"url": "javascript:x"},
            {"url": "https://a.example", "title": None, "content": 7},
        ]
    }
    assert pages(odd) == [WebPage("https://a.example", "https://a.example", "")]
    assert len(pages({"results": [{"url": "https://a.example"}] * 99}) or []) == PAGES_MAX
    assert models({"providers": [{"id": "x", "chatModels": [{}]}]}) is None
