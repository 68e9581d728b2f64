"""Vectors over each wire: an answer counts as a whole or not at all, and each failure says what to do about it."""

import asyncio
import json
import math
import subprocess
import sys
from contextlib import aclosing

import pytest

from backends.fake import HTML, WIRES, Answer, Fake, js
from hearth.backends.base import Embedder
from hearth.backends.discover import make
from hearth.backends.embedding import DIMENSIONS_MAX, REQUEST_CHARS_MAX, TEXT_CHARS_MAX, TEXTS_MAX
from hearth.backends.http import ANSWER_BYTES_MAX, Deadlines
from hearth.errors import (
    BackendError,
    ContextOverflow,
    LimitExceeded,
    ModelLoading,
    ModelMissing,
    NoRoom,
    ProtocolFault,
    RateLimited,
    ServerFault,
    Unauthorised,
    Unreachable,
)
from hearth.settings import BackendSettings, parse
from tiny_model import tiny_model

MODEL = "nomic-embed-text"
TEXTS = ["def area(self):", "café \U0001f600", "x\ud83dy"]
VECTORS = [[0.5, -1.25, 0], [1e-9, 2, 3.5], [-0.0, 4, 5]]
PATHS = {"llamacpp": "/v1/embeddings", "ollama": "/api/embed", "openai": "/v1/embeddings"}
HANG_S = 30


def good(kind, vectors=VECTORS):
    """What the server documents as its answer."""
    if kind == "ollama":
        return {"model": MODEL, "embeddings": vectors, "total_duration": 9, "load_duration": 1, "prompt_eval_count": 8}
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    return {"object": "list", "data": data, "model": MODEL, "usage": {"prompt_tokens": 8, "total_tokens": 8}}


async def ask(kind, answer, texts=TEXTS, model=MODEL):
    """(vectors or the error, what the server was sent)"""
    async with Fake({**WIRES[kind].routes(), PATHS[kind]: answer}) as fake, asyncio.timeout(HANG_S):
        backend = make(BackendSettings(kind=kind, url=fake.url, model="qwen"), deadlines=Deadlines())
        assert isinstance(backend, Embedder)
        try:
            return await backend.embed(texts, model), fake.seen.bodies(PATHS[kind])
        except BackendError as error:
            return error, fake.seen.bodies(PATHS[kind])
        finally:
            await backend.aclose()


@pytest.mark.parametrize("kind", WIRES)
async def test_vectors_come_in_the_order_of_the_texts(kind):
    vectors, sent = await ask(kind, js(good(kind)))
    assert vectors == [tuple(map(float, v)) for v in VECTORS]
    assert all(type(n) is float for v in vectors for n in v)
    assert len(sent) == 1
    assert (sent[0]["model"], sent[0]["input"]) == (MODEL, [*TEXTS[:2], "x\ufffdy"])
    assert sent[0].get("encoding_format", "float") == "float"


@pytest.mark.parametrize("kind", ["llamacpp", "openai"])
async def test_the_index_rules_over_the_order_of_the_answer(kind):
    answer = good(kind)
    answer["data"].reverse()
    vectors, _ = await ask(kind, js(answer))
    assert vectors == [tuple(map(float, v)) for v in VECTORS]
    for entry in answer["data"]:
        del entry["index"]
    vectors, _ = await ask(kind, js(answer))
    assert vectors == [tuple(map(float, v)) for v in reversed(VECTORS)]


def bodies(kind):
    """name -> (body, error): whole answers that are not to be believed."""
    row = [0.5] * 3

    def text(*rows):
        return json.dumps(good(kind, ["@"])).replace('"@"', ", ".join(rows)).encode()

    faults = {
        "one too few": (js(good(kind, [row] * 2)), ProtocolFault),
        "one too many": (js(good(kind, [row] * 4)), ProtocolFault),
        "none": (js(good(kind, [])), ProtocolFault),
        "null for a vector": (js(good(kind, [row, None, row])), ProtocolFault),
        "null in a vector": (js(good(kind, [row, [0.5, None, 1], row])), ProtocolFault),
        "text in a vector": (js(good(kind, [row, [0.5, "1", 1], row])), ProtocolFault),
        "true in a vector": (js(good(kind, [row, [0.5, True, 1], row])), ProtocolFault),
        "an empty vector": (js(good(kind, [[], [], []])), ProtocolFault),
        "ragged": (js(good(kind, [row, row, [0.5] * 4])), ProtocolFault),
        "base64 text": (js(good(kind, ["AAAAPw=="] * 3)), ProtocolFault),
        "a table for a vector": (js(good(kind, [{"0": 1}] * 3)), ProtocolFault),
        "too wide": (js(good(kind, [[0.5] * (DIMENSIONS_MAX + 1)] * 3)), LimitExceeded),
        "too large for a float": (js(good(kind, [row, [10**400, 1, 1], row])), ProtocolFault),
        "too large for the store": (js(good(kind, [row, [1e300, 1, 1], row])), ProtocolFault),
        "no vectors at all": (js({"model": MODEL}), ProtocolFault),
        "a list": (js([row] * 3), ProtocolFault),
        "empty": (Answer(b""), ProtocolFault),
        "a web page": (Answer(b"<html>Sign in</html>", media=HTML), ProtocolFault),
        "cut in the middle": (Answer(js(good(kind)).body[:-9]), ProtocolFault),
        "huge": (Answer(b'{"embeddings": [[' + b"0.5," * ANSWER_BYTES_MAX), (ProtocolFault, LimitExceeded)),
        "deep": (Answer(b'{"embeddings":' + b"[" * 50_000), ProtocolFault),
        "not UTF-8": (Answer(js(good(kind)).body.replace(MODEL.encode(), b"\xff")), ProtocolFault),
        "reset": (Answer(js(good(kind)).body[:20], end="reset"), (Unreachable, ProtocolFault)),
    }
    numbers = {number: (Answer(text(*[f"[0.5, {number}, 1]"] * 3)), ProtocolFault) for number in ("NaN", "-Infinity")}
    return faults | numbers


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in WIRES for name in bodies(kind)])
async def test_what_is_wrong_is_not_taken(kind, name):
    answer, expected = bodies(kind)[name]
    error, sent = await ask(kind, answer)
    assert isinstance(error, expected), error
    assert len(sent) == 1


@pytest.mark.parametrize("kind", ["llamacpp", "openai"])
@pytest.mark.parametrize("places", [(0, 0, 1), (1, 2, 3), (0, 1, None), (0, 1, -1)])
async def test_an_index_that_names_no_text(kind, places):
    answer = good(kind)
    for entry, place in zip(answer["data"], places, strict=True):
        entry["index"] = place
    error, _ = await ask(kind, js(answer))
    assert isinstance(error, ProtocolFault)


LLAMACPP_OFF = "This server does not support embeddings. Start it with `--embeddings`"
LLAMACPP_LARGE = (
    "input (1200 tokens) is too large to process. increase the physical batch size (current batch size: 512)"
)
STATUSES = {
    "llamacpp": {
        "not an embedding server": ("501 X", LLAMACPP_OFF, ModelMissing, "--embeddings"),
        "no pooling": ("400 X", "Pooling type 'none' is not OAI compatible. Please use a different pooling type",
                       ProtocolFault, "--pooling"),
        "too long": ("500 X", LLAMACPP_LARGE, ContextOverflow, "--ubatch-size"),
        "loading": ("503 X", "Loading model", ModelLoading, ""),
    },
    "ollama": {
        "model missing": ("404 X", f'model "{MODEL}" not found, try pulling it first', ModelMissing,
                          f"ollama pull {MODEL}"),
        "not an embedding model": ("501 X", "this model does not support embeddings", ModelMissing, "nomic-embed-text"),
        "too long": ("400 X", "the input length exceeds the context length", ContextOverflow, "embedding model"),
        "a vector with NaN": ("500 X", "failed to encode response: json: unsupported value: NaN", ServerFault, "log"),
    },
    "openai": {
        "model missing": ("404 X", f"The model `{MODEL}` does not exist.", ModelMissing, "Load the model"),
        "not an embedding model": ("400 X", "The model does not support Embeddings API", ModelMissing,
                                   "nomic-embed-text"),
        "too long": ("400 X", "This model's maximum context length is 512 tokens.", ContextOverflow, "embedding model"),
        "no key": ("401 X", "Invalid API Key", Unauthorised, "api_key_env"),
        "slow down": ("429 X", "slow down", RateLimited, "Wait"),
    },
}  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, cases in STATUSES.items() for name in cases])
async def test_what_servers_say_is_told_apart(kind, name):
    status, message, expected, remedy = STATUSES[kind][name]
    error, sent = await ask(kind, js(WIRES[kind].error(message), status))
    assert type(error) is expected
    assert remedy in error.remedy
    assert len(sent) == 1


async def test_an_ollama_from_before_the_path_existed():
    error, _ = await ask("ollama", Answer(b"404 page not found", "404 X", media="text/plain"))
    assert isinstance(error, ProtocolFault)
    assert "Update" in error.remedy


@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize(
    "texts", [[], ["x"] * (TEXTS_MAX + 1), ["x" * (TEXT_CHARS_MAX + 1)], ["x" * TEXT_CHARS_MAX] * 9]
)
async def test_a_request_beyond_the_limits_is_not_sent(kind, texts):
    assert TEXT_CHARS_MAX * 9 > REQUEST_CHARS_MAX
    error, sent = await ask(kind, js(good(kind)), texts)
    assert isinstance(error, LimitExceeded)
    assert sent == []


async def test_without_a_model_nothing_is_sent():
    error, sent = await ask("ollama", js(good("ollama")), model="")
    assert isinstance(error, ModelMissing)
    assert "embedding_model" in error.remedy
    assert sent == []


@pytest.mark.parametrize(
    ("kind", "routes", "has", "lacks"),
    [
        ("ollama", {"/api/tags": {"models": [{"name": "nomic-embed-text:latest"}, {"name": "bge-m3:567m"}]}},
         ("nomic-embed-text", "nomic-embed-text:latest", "bge-m3:567m"), ("bge-m3", "nomic")),
        ("openai", {"/v1/models": {"object": "list", "data": [{"id": "BAAI/bge-m3"}, {"id": "qwen"}]}},
         ("BAAI/bge-m3", "bge-m3", "qwen"), ("bge", "", "BAAI")),
        ("llamacpp", {"/v1/models": {"data": [{"id": "/m/bge-m3-q8_0.gguf", "aliases": ["bge", 7, None]}]}},
         ("bge-m3-q8_0", "bge-m3-q8_0.gguf", "bge"), ("bge-m3", "m")),
        ("openai", {"/v1/models": {"object": "list", "data": None}}, (), ("qwen",)),
        ("openai", {"/v1/models": {"data": [{"id": None, "aliases": "qwen"}, 7]}}, (), ("qwen",)),
    ],
)  # fmt: skip
async def test_which_models_a_server_has(kind, routes, has, lacks):
    async with Fake({path: js(value) for path, value in routes.items()}) as fake:
        backend = make(BackendSettings(kind=kind, url=fake.url))
        assert isinstance(backend, Embedder)
        assert [model for model in (*has, *lacks) if model and await backend.can_embed(model)] == list(has)
        await backend.aclose()


@pytest.mark.parametrize("kind", WIRES)
async def test_a_server_that_is_away(kind, unused_tcp_port):
    backend = make(BackendSettings(kind=kind, url=f"http://127.0.0.1:{unused_tcp_port}"))
    with pytest.raises(Unreachable) as caught:
        await backend.embed(["x"], MODEL)
    assert caught.value.remedy
    with pytest.raises(Unreachable):
        await backend.can_embed(MODEL)
    await backend.aclose()


async def test_giving_up_closes_the_socket():
    async with Fake({"/api/embed": Answer(raw=True, end="hang")}) as fake:
        backend = make(BackendSettings(kind="ollama", url=fake.url))
        task = asyncio.create_task(backend.embed(["x"], MODEL))
        async with asyncio.timeout(HANG_S):
            while not fake.seen.bodies("/api/embed"):
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await fake.seen.gone.wait()
        await backend.aclose()


def test_the_other_backends_do_not_pretend_to():
    assert not isinstance(make(BackendSettings(kind="embedded", model="x.gguf")), Embedder)


async def test_an_embedding_server_in_lm_studio_is_not_taken_for_one_without_a_model():
    models = {"models": [{"type": "embedding", "key": MODEL, "loaded_instances": [], "max_context_length": 2048}]}
    routes = {
        "/v1/models": js({"object": "list", "data": [{"id": MODEL, "owned_by": "organization_owner"}]}),
        "/api/v1/models": js(models),
    }
    for roles, state in (("embed",), "ready"), (("complete", "embed"), "no_model"):
        async with Fake(dict(routes)) as fake:
            settings, problems = parse(
                {"backends": [{"kind": "openai", "url": fake.url, "model": MODEL, "roles": list(roles)}]}
            )
            assert problems == []
            backend = make(settings.backends[0])
            assert (await backend.probe()).state == state
            await backend.aclose()


CODE = "qwen2.5-coder:1.5b-base"


@pytest.mark.parametrize(
    ("before", "after", "room"),
    [
        ([], [MODEL], True),
        ([CODE], [CODE, MODEL], True),
        ([CODE, MODEL], [CODE, MODEL], True),
        ([CODE], [MODEL], False),
    ],
)
async def test_an_ollama_without_room_for_two_models_is_asked_once(before, after, room):
    """It would drop the model for completion at each pause of the user's, and load it again at the next key."""
    states = [js({"models": [{"name": name} for name in names]}) for names in (before, after)]
    async with Fake({"/api/ps": states, "/api/embed": js(good("ollama"))}) as fake:
        backend = make(BackendSettings(kind="ollama", url=fake.url))
        for _ in range(3):
            if room:
                assert len(await backend.embed(TEXTS, MODEL)) == 3
            else:
                with pytest.raises(NoRoom) as caught:
                    await backend.embed(TEXTS, MODEL)
                assert "OLLAMA_MAX_LOADED_MODELS" in caught.value.remedy
        assert len(fake.seen.bodies("/api/embed")) == (3 if room else 1)
        assert len(fake.seen.bodies("/api/ps")) <= 2
        await backend.aclose()


# A llama-server as a user would start it, for embeddings or not.
SERVER = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path = sys.argv[1]
p.n_ctx = 2048; p.n_parallel = 2; p.hostnames = ["127.0.0.1"]; p.port = 0; p.verbosity = 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.embedding = sys.argv[2] == "on"
if p.embedding:
    p.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
s = xllamacpp.Server(p)
print(s.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["on", "off"])
def llama_server(request):
    """(its address, the model's name, whether it was started for embeddings)"""
    pytest.importorskip("xllamacpp", reason="the embedded engine is an optional extra")
    model = tiny_model(context=2048)
    argv = [sys.executable, "-c", SERVER, str(model), request.param]
    with subprocess.Popen(argv, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL) as child:
        yield child.stdout.readline().decode().strip(), model.stem, request.param == "on"
        child.stdin.close()


async def test_the_real_llama_cpp(llama_server):
    url, model, embeds = llama_server
    async with aclosing(make(BackendSettings(kind="llamacpp", url=url))) as backend:
        await check_real(backend, model, embeds)


async def check_real(backend, model, embeds):
    assert await backend.can_embed(model)
    assert not await backend.can_embed("another")
    if embeds:
        first, second, again = await backend.embed(["def f(x):", "import os", "def f(x):"], model)
        assert len(first) == 128
        assert math.dist(first, again) < 0.01 < math.dist(first, second)
        with pytest.raises(ContextOverflow):
            await backend.embed(["x = 1 " * 2_000], model)
    else:
        with pytest.raises(ModelMissing) as caught:
            await backend.embed(["def f(x):"], model)
        assert "--embeddings" in caught.value.remedy
