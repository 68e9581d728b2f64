"""Which server is it, and what does the probe say of it."""

import asyncio
import json
from dataclasses import replace

import pytest

from backends.fake import HTML, WIRES, Answer, Fake, OllamaWire, VllmWire, js
from hearth.backends.discover import DEFAULT_URLS, Finder, find, identify, make
from hearth.backends.http import Deadlines
from hearth.backends.scripted import ScriptedBackend
from hearth.settings import BackendSettings, Settings

SHORT = Deadlines(probe_s=0.3)
PATIENT = Deadlines(connect_s=10, probe_s=10)
LOADING = js({"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}, "503 X")
FIM = [{"id": n, "piece": f"<|fim_{t}|>"} for n, t in enumerate(("prefix", "suffix", "middle"))]

TABBY_INFO = js({"version": 0.1, "software": {"name": "TabbyAPI", "repository": "-"}, "api": {"openai": {}}})
NO_KEY = js({"detail": "Invalid API key"}, "401 X")
TABBY = {
    "/.well-known/serviceinfo": TABBY_INFO,
    "/v1/models": js({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}),
    "/v1/model": js({"id": "Codestral-22B", "parameters": {"max_seq_len": 16384}}),
}
STUDIO_MODELS = [
    {"type": "embedding", "key": "nomic-embed", "loaded_instances": [{"id": "nomic-embed", "config": {}}]},
    {"type": "llm", "key": "starcoder2-3b", "loaded_instances": [], "max_context_length": 16384},
    {
        "type": "llm",
        "key": "qwen/qwen2.5-coder-7b",
        "loaded_instances": [{"id": "qwen2.5-coder-7b", "config": {"context_length": 6000}}],
    },
]
STUDIO = {
    "/v1/models": js({"object": "list", "data": [{"id": "nomic-embed", "owned_by": "organization_owner"}]}),
    "/api/v1/models": js({"models": STUDIO_MODELS}),
}
# llama-server lists models in Ollama's shape too, and some builds answer Ollama's own paths.
LLAMA_LIKE_OLLAMA = {
    **WIRES["llamacpp"].routes(),
    "/v1/models": js({"models": [{"name": "x"}], "object": "list", "data": [{"id": "x", "owned_by": "llamacpp"}]}),
    "/api/tags": js({"models": [{"name": "x"}]}),
    "/api/version": js({"version": "0.0.0"}),
}


@pytest.mark.parametrize(
    ("name", "routes", "kind"),
    [
        ("llama-server", LLAMA_LIKE_OLLAMA, "llamacpp"),
        ("llama-server, loading", {"/props": LOADING, "/v1/models": LOADING}, "llamacpp"),
        ("Ollama", {**OllamaWire().routes(), "/v1/models": js({"object": "list", "data": []})}, "ollama"),
        ("vLLM", VllmWire().routes(), "openai"),
        ("LM Studio", {**STUDIO, "/props": js({"error": "Unexpected endpoint"})}, "openai"),
        ("TabbyAPI", TABBY, "openai"),
        ("TabbyAPI without our key", {**TABBY, "/v1/models": NO_KEY, "/v1/model": NO_KEY}, "openai"),
        ("a web server", dict.fromkeys(("/props", "/api/version", "/v1/models"), Answer(b"<html>", media=HTML)), None),
        ("an API of something else", {"/v1/models": js({"items": []}), "/props": js({"a": 1})}, None),
        ("something with a password", {"/v1/models": NO_KEY, "/props": NO_KEY}, None),
        ("not HTTP", {"/props": Answer(b"\x00\x01\x02\r\n\r\n", raw=True)}, None),
        ("silence", {"/props": Answer(raw=True, end="hang")}, None),
    ],
)
async def test_identify(name, routes, kind):
    async with Fake(routes) as fake:
        found = await identify(fake.url)
        assert (found.kind if found else None) == kind
        if found:
            assert found.url == fake.url


async def test_all_ports_are_looked_at_and_what_is_not_a_model_server_is_ignored(unused_tcp_port):
    silent = dict.fromkeys(("/props", "/api/version", "/v1/models"), Answer(raw=True, end="hang"))
    routes = (silent, OllamaWire().routes(), {}, WIRES["llamacpp"].routes())
    async with Fake(routes[0]) as a, Fake(routes[1]) as b, Fake(routes[2]) as c, Fake(routes[3]) as d:
        finder = Finder(Settings(), ports=(a.port, unused_tcp_port, b.port, c.port, d.port))
        found = await finder()
        assert [path for path, _, _ in a.seen.requests] == ["/props"], "a silent server is asked one question only"
        assert [backend.name for backend, _ in found] == [f"ollama {b.url}", f"llamacpp {d.url}"]
        assert all(roles == ("complete", "chat") for _, roles in found)
        # The same server stays the same backend, so that its connections and its state survive another look.
        again = await finder()
        assert [x is y for (x, _), (y, _) in zip(found, again, strict=True)] == [True, True]
        await asyncio.gather(*(backend.aclose() for backend, _ in found))


async def test_configured_backends_are_used_as_they_are(unused_tcp_port):
    entries = (
        BackendSettings("llamacpp", f"http://127.0.0.1:{unused_tcp_port}", roles=("complete",)),
        BackendSettings("scripted", model="x.json"),
        BackendSettings("embedded", model="/nowhere/model.gguf"),
    )
    found = await find(Settings(backends=entries))
    assert [backend.name.split()[0] for backend, _ in found] == ["llamacpp", "scripted", "embedded"]
    assert found[0][1] == ("complete",)
    assert isinstance(found[1][0], ScriptedBackend)
    for backend, _ in found:
        probe = await backend.probe()
        assert probe.state in ("down", "wrong", "no_model")
        assert probe.problem
        assert probe.remedy
        await backend.aclose()


@pytest.mark.parametrize("kind", DEFAULT_URLS)
def test_an_empty_url_is_the_usual_port(kind):
    assert make(BackendSettings(kind)).url == DEFAULT_URLS[kind]


async def probe(kind, routes, deadlines=PATIENT, **settings):
    async with Fake(routes) as fake:
        backend = make(BackendSettings(kind, fake.url, **settings), {}, deadlines)
        got = await backend.probe()
        await backend.aclose()
        assert got.url == fake.url
        return replace(got, url="")


async def test_probe_of_llama_server():
    routes = WIRES["llamacpp"].routes()
    got = await probe("llamacpp", routes)
    assert (got.state, got.server, got.model) == ("ready", "llama.cpp", "Qwen2.5-Coder-1.5B.gguf")
    assert (got.dialect, got.context_tokens, got.slots) == ("qwen", 4096, 2)
    assert got.cached_tokens_visible
    assert got.stop_limit is None

    # The vocabulary decides over the name.
    codegemma = js({"tokens": [*FIM, {"id": 9, "piece": "<|file_separator|>"}]})
    assert (await probe("llamacpp", {**routes, "/tokenize": codegemma})).dialect == "codegemma"
    none = js({"tokens": [{"id": 1, "piece": "<"}, {"id": 2, "piece": "|"}, {"id": 3, "piece": [195]}]})
    got = await probe("llamacpp", {**routes, "/tokenize": none})
    assert (got.state, got.dialect) == ("ready", "")
    assert "fill-in-the-middle" in got.problem
    assert got.remedy
    got = await probe("llamacpp", {**routes, "/tokenize": none}, fim="starcoder")
    assert got.dialect == "starcoder"
    assert "vocabulary lacks" in got.problem
    got = await probe("llamacpp", {**routes, "/tokenize": js({"tokens": FIM})}, fim="none")
    assert (got.dialect, got.state) == ("", "ready")


async def test_probe_of_ollama():
    routes = OllamaWire().routes()
    got = await probe("ollama", routes)
    assert (got.state, got.server, got.model) == ("ready", "Ollama", OllamaWire.model)
    assert (got.dialect, got.context_tokens) == ("qwen", 8192)
    assert (await probe("ollama", routes, context_tokens=100_000)).context_tokens == 32768

    got = await probe("ollama", routes, model="starcoder2:3b")
    assert (got.state, got.remedy) == ("no_model", "Run: ollama pull starcoder2:3b")
    got = await probe("ollama", {**routes, "/api/tags": js({"models": []}), "/api/ps": js({"models": []})})
    assert got.state == "no_model"
    assert "ollama pull" in got.remedy

    # Without a configured model: one that can fill in, and a loaded one before others.
    names = [{"name": n} for n in ("llama3.2:3b", "codellama:7b-code", "starcoder2:3b")]
    many = {**routes, "/api/tags": js({"models": names}), "/api/show": js({"template": "{{ .Prompt }}"})}
    loaded = js({"models": names[2:]})
    assert (await probe("ollama", {**many, "/api/ps": js({"models": []})})).model == "codellama:7b-code"
    assert (await probe("ollama", {**many, "/api/ps": loaded})).model == "starcoder2:3b"
    chat = {**many, "/api/tags": js({"models": names[:1]}), "/api/ps": js({"models": []})}
    got = await probe("ollama", chat)
    assert (got.model, got.dialect, got.state) == ("llama3.2:3b", "", "ready")
    assert got.remedy
    latest = js({"models": [{"name": "codellama:latest"}]})
    assert (await probe("ollama", {**many, "/api/tags": latest}, model="codellama")).model == "codellama:latest"


async def test_probe_of_openai_servers():
    got = await probe("openai", VllmWire().routes())
    assert (got.server, got.model, got.dialect) == ("vLLM", VllmWire.model, "qwen")
    assert (got.context_tokens, got.stop_limit) == (16384, 4)
    got = await probe("openai", VllmWire().routes(), model="other")
    assert got.state == "no_model"

    got = await probe("openai", STUDIO)
    assert (got.server, got.model, got.context_tokens) == ("LM Studio", "qwen2.5-coder-7b", 6000)
    got = await probe("openai", STUDIO, model="starcoder2-3b")
    assert (got.model, got.dialect, got.context_tokens) == ("starcoder2-3b", "starcoder", None)
    got = await probe("openai", STUDIO, model="nope")
    assert (got.state, got.remedy) == ("no_model", "Run: lms get nope")
    got = await probe("openai", {**STUDIO, "/api/v1/models": js({"models": STUDIO_MODELS[:2]})})
    assert got.state == "no_model"

    got = await probe("openai", TABBY)
    assert (got.server, got.model, got.dialect) == ("TabbyAPI", "Codestral-22B", "codestral")
    assert got.context_tokens == 16384
    got = await probe("openai", {**TABBY, "/v1/model": NO_KEY})
    assert got.state == "unauthorised"
    assert "api_key_env" in got.remedy

    got = await probe("openai", LLAMA_LIKE_OLLAMA)
    assert got.server == "llama.cpp"
    assert (await probe("openai", {"/v1/models": js({"object": "list", "data": []})})).state == "no_model"


async def test_probe_takes_the_url_with_or_without_v1():
    async with Fake(VllmWire().routes()) as fake:
        backend = make(BackendSettings("openai", fake.url + "/v1/"), {}, PATIENT)
        assert (await backend.probe()).state == "ready"
        await backend.aclose()


@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer(b"<!DOCTYPE html><html>", media=HTML), "wrong"),
        (Answer(b"<html>", media="application/json"), "wrong"),
        (Answer(b""), "wrong"),
        (js([1, 2]), "wrong"),
        (js({"unexpected": True}), "wrong"),
        (Answer(b"\xff\xfe{}"), "wrong"),
        (Answer(b"[" * 100_000), "wrong"),
        (Answer(b"x" * 6_000_000), "wrong"),
        (Answer(b"", "302 X", headers=("Location: http://127.0.0.1:9/",)), "wrong"),
        (js({"error": "x"}, "404 X"), "wrong"),
        (NO_KEY, "unauthorised"),
        (js({"error": "boom"}, "500 X"), "down"),
        (LOADING, "loading"),
        (Answer(raw=True, end="hang"), "down"),
        (Answer(raw=True, end="reset"), "down"),
        (Answer(b"{", end="hang"), "down"),
        (Answer(b"garbage\r\n\r\n", raw=True), "wrong"),
    ],
    ids=range(17),
)
async def test_a_bad_server_is_a_probe_with_a_remedy(kind, answer, state):
    paths = ("/props", "/tokenize", "/api/version", "/api/tags", "/api/show", "/v1/models", "/version")
    # Only a server that hangs is to be given up soon: the others may be slow on a busy machine.
    got = await probe(kind, dict.fromkeys(paths, answer), SHORT if answer.end == "hang" else PATIENT)
    assert got.state == state
    assert got.problem
    assert got.remedy


@pytest.mark.parametrize("kind", WIRES)
async def test_fields_of_the_wrong_type_never_raise(kind):
    """Another program may answer the right paths with anything: the probe has to come back."""
    wire = WIRES[kind]
    for junk in (None, 1, "x", [1], {"a": 1}, [None], [[]], [{"id": 5}], True):
        routes = {}
        for path, answer in wire.routes().items():
            keys = json.loads(answer.body)
            routes[path] = js(dict.fromkeys([*keys, "tokens", "models", "data", "software"], junk))
        routes["/tokenize"] = js({"tokens": junk})
        got = await probe(kind, routes)
        assert got.state in ("ready", "wrong", "no_model", "down")
