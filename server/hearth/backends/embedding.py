"""Texts into vectors: the wire formats of the servers that can, and the checks that all of their answers must pass.

A vector that is wrong is worse than one that is missing: it stays in the index and is found for everything. So an
answer counts only as a whole: as many vectors as texts, of one size, of numbers that the store can hold.
"""

from collections.abc import Sequence
from typing import cast

from hearth.backends.http import Http
from hearth.backends.wire import Value, integer, string, tables
from hearth.errors import BackendError, ContextOverflow, LimitExceeded, ModelMissing, ProtocolFault

TEXTS_MAX = 64
TEXT_CHARS_MAX = 16_000
REQUEST_CHARS_MAX = 128_000
DIMENSIONS_MAX = 8_192
NUMBER_MAX = 3.4e38
"""The store keeps 32-bit floats."""
EMBED_S = 120.0
"""For one request; the first one loads the model."""
RECOMMENDED = "nomic-embed-text"

Vector = tuple[float, ...]


async def embed_ollama(http: Http, texts: Sequence[str], model: str) -> list[Vector]:
    """Ollama's `/api/embed`. It cuts what is longer than the model's context, and loads the model if need be."""
    _check_request(texts, model)
    try:
        answer = await http.json(
            "/api/embed", {"model": model, "input": list(texts), "truncate": True}, within_s=EMBED_S
        )
    except ProtocolFault as error:
        if " 404" in error.message:
            raise ProtocolFault(f"{http.hints.label} is too old to embed", "Update Ollama.") from error
        raise _explained(error, model, f"Run: ollama pull {model}") from error
    except BackendError as error:
        raise _explained(error, model, f"Run: ollama pull {model}") from error
    return checked(http, answer.get("embeddings"), len(texts))


async def evicted(http: Http, before: frozenset[str]) -> frozenset[str]:
    """Which of the models that Ollama held `before` it holds no more."""
    return before - await held(http) if before else before


async def held(http: Http) -> frozenset[str]:
    """The models that Ollama holds in memory; none where it does not say."""
    try:
        entries = tables((await http.json("/api/ps")).get("models"))
    except BackendError:
        return frozenset()
    return frozenset(filter(None, (string(entry.get("name")) for entry in entries)))


async def embed_openai(http: Http, texts: Sequence[str], model: str, *, pull: str) -> list[Vector]:
    """`/v1/embeddings`, of llama.cpp and of all that speak like OpenAI. `pull`: how the user gets the model there."""
    _check_request(texts, model)
    body: Value = {"model": model, "input": list(texts), "encoding_format": "float"}
    try:
        answer = await http.json("/v1/embeddings", body, within_s=EMBED_S)
    except BackendError as error:
        raise _explained(error, model, pull) from error
    return checked(http, _in_order(http, answer, len(texts)), len(texts))


async def lists_model(http: Http, model: str) -> bool:
    """Whether `/v1/models` names `model`, by id, alias or file name. Raises BackendError."""
    return any(_same_model(name, model) for name in _names(tables((await http.json("/v1/models")).get("data"))))


async def ollama_has(http: Http, model: str) -> bool:
    """Whether Ollama has `model`; without a tag that means `:latest`. Raises BackendError."""
    entries = tables((await http.json("/api/tags")).get("models"))
    return any(string(entry.get("name")) in (model, f"{model}:latest") for entry in entries)


def checked(http: Http, vectors: object, count: int) -> list[Vector]:
    """`count` vectors of one size and of finite numbers, or ProtocolFault (LimitExceeded for too large ones)."""
    label, wrong = http.hints.label, http.hints.wrong
    if not isinstance(vectors, list):
        raise ProtocolFault(f"{label} answers without vectors", wrong)
    rows = cast(list[object], vectors)
    if len(rows) != count:
        raise ProtocolFault(f"{label} gave {len(rows)} vectors for {count} texts", wrong)
    result = [_vector(http, row) for row in rows]
    if len({len(vector) for vector in result}) > 1:
        raise ProtocolFault(f"{label} gave vectors of different sizes", wrong)
    return result


def _vector(http: Http, row: object) -> Vector:
    label = http.hints.label
    if not isinstance(row, list) or not row:
        raise ProtocolFault(f"{label} gave something else than a vector", http.hints.wrong)
    numbers = cast(list[object], row)
    if len(numbers) > DIMENSIONS_MAX:
        raise LimitExceeded(f"{label} gave a vector of {len(numbers)} numbers, more than {DIMENSIONS_MAX}")
    # Not a number and infinity fail the comparison, and a whole number may be too large for a float.
    if not all(
        isinstance(n, float | int) and not isinstance(n, bool) and -NUMBER_MAX <= n <= NUMBER_MAX for n in numbers
    ):
        remedy = "Restart the server; if this goes on, use another embedding model."
        raise ProtocolFault(f"{label} gave a vector with something that is not a number", remedy)
    return tuple(map(float, cast(list[float], numbers)))


def _in_order(http: Http, answer: Value, count: int) -> list[object]:
    """The vectors by their `index`; as they come where no entry has one."""
    entries = tables(answer.get("data"))
    found: list[object] = [entry.get("embedding") for entry in entries]
    places = [integer(entry.get("index")) for entry in entries]
    if all(place is None for place in places) or len(entries) != count:
        return found  # a wrong number of them is told by the check that all answers pass
    if sorted(-1 if place is None else place for place in places) != list(range(count)):
        raise ProtocolFault(f"{http.hints.label} does not say which vector is whose", http.hints.wrong)
    return [vector for _, vector in sorted(zip(places, found, strict=True), key=lambda pair: pair[0] or 0)]


def _check_request(texts: Sequence[str], model: str) -> None:
    if not model:
        raise ModelMissing("no embedding model is named", "Name one: [index] embedding_model in settings.toml.")
    if not 0 < len(texts) <= TEXTS_MAX:
        raise LimitExceeded(f"{len(texts)} texts in one request, not 1 to {TEXTS_MAX}")
    longest, chars = max(map(len, texts)), sum(map(len, texts))
    if longest > TEXT_CHARS_MAX or chars > REQUEST_CHARS_MAX:
        raise LimitExceeded(f"texts to embed are too long: {longest} characters, {chars} in all")


def _explained(error: BackendError, model: str, pull: str) -> BackendError:
    """The same failure with a remedy that is about the embedding model: the server's own is about the other one."""
    lower = error.message.lower()
    if isinstance(error, ContextOverflow):
        return ContextOverflow(
            error.message, "Use an embedding model, or a batch size (--ubatch-size), that takes more."
        )
    if isinstance(error, ModelMissing):
        return ModelMissing(error.message, pull)
    if "embed" in lower and "support" in lower:
        if "--embedding" in lower:
            return ModelMissing(
                error.message, "Start an embedding model, for example: llama-server -m MODEL.gguf --embeddings"
            )
        remedy = f"Name a model that is made for it in [index] embedding_model, for example {RECOMMENDED}."
        return ModelMissing(f"{error.message} ({model})", remedy)
    if "pooling" in lower:
        return ProtocolFault(error.message, "Start llama-server with the --pooling that the model's card names.")
    return error


def _names(entries: Sequence[Value]) -> list[str]:
    names: list[str] = []
    for entry in entries:
        aliases: object = entry.get("aliases")
        names.append(string(entry.get("id")))
        if isinstance(aliases, list):
            names += [string(alias) for alias in cast(list[object], aliases)]
    return names


def _same_model(name: str, model: str) -> bool:
    """A server with one file calls it by its path, its name, or its name without the ending."""
    file = name.replace("\\", "/").rpartition("/")[2]
    return model in (name, file, file.removesuffix(".gguf"))
