"""Servers that speak OpenAI's `/v1/completions` and `/v1/chat/completions`: LM Studio, vLLM, TabbyAPI, and any other.

None of them takes a `suffix` that can be relied on, so they get our own rendered prompt. Some refuse more than four
stop strings: they get the first four, and the rest is watched here.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import cast

from hearth.backends.base import Chat, Delta, Finish, Generate, Probe
from hearth.backends.chatting import CHAT_DEADLINES, CHAT_PATH, ChatEvents, chat_body, chatted, usage_of
from hearth.backends.embedding import Vector, embed_openai, lists_model
from hearth.backends.http import Deadlines, Hints, Http, converse, failed_probe
from hearth.backends.llamacpp import choose_dialect
from hearth.backends.reading import Reason, Step, logprobs_of
from hearth.backends.wire import Value, integer, string, table, tables
from hearth.core.dialect import detect
from hearth.errors import BackendError, ModelMissing, ProtocolFault, ServerFault, Unauthorised
from hearth.settings import BackendSettings

STOP_LIMIT = 4
CACHING_SERVERS = frozenset({"llama.cpp", "vLLM", "LM Studio", "TabbyAPI"})
"""Servers that keep a prompt's cache from one request to the next without being asked to."""
TELLING_SERVERS = frozenset({"vLLM", "TabbyAPI"})
"""Servers that are documented to give probabilities here. LM Studio takes the wish and gives none, llama.cpp sorts the
whole vocabulary for it, and an unknown one might refuse it."""
CONSTRAINING_SERVERS = frozenset({"llama.cpp", "vLLM", "LM Studio", "TabbyAPI"})
"""Servers that are documented to hold an answer to a JSON schema; an unknown one might refuse the wish."""
REASONS: dict[str, Reason] = {"stop": "stop", "length": "length", "content_filter": "filter"}
BROKEN_REASONS = frozenset({"error", "abort"})


@dataclass(frozen=True, slots=True)
class _Found:
    """What a server says of itself: its name, its model, the model's context."""

    server: str
    model: str
    context_tokens: int | None
    calls_tools: bool | None = None


class OpenAi:
    """A Backend. The url may end with /v1 or not."""

    def __init__(self, settings: BackendSettings, *, api_key: str = "", deadlines: Deadlines | None = None) -> None:
        self._settings = settings
        url = settings.url.rstrip("/").removesuffix("/v1")
        self._http = Http(url, Hints(f"the model server at {url}"), api_key=api_key, deadlines=deadlines)
        # A pool of its own, so that no chat can take the last connection.
        self._chat_http = Http(url, self._http.hints, api_key=api_key, deadlines=deadlines or CHAT_DEADLINES)
        self._model = settings.model
        self._cache_seen = False
        self._server = ""

    @property
    def name(self) -> str:
        return f"openai {self.url} {self._settings.model}".rstrip()

    @property
    def url(self) -> str:
        return self._http.url

    @property
    def connects(self) -> int:
        """Connections made so far; a reused one does not count."""
        return self._http.connects

    async def probe(self) -> Probe:
        """Which server it is, its model and context; the family by the model's name."""
        try:
            found = await self._identify()
            if not found.model:
                hints = self._http.hints
                raise ModelMissing(f"{found.server or hints.label} has no model loaded", hints.pull)
        except BackendError as error:
            return failed_probe("openai", self.url, error)
        self._model, self._server = found.model, found.server
        dialect, problem, remedy = choose_dialect(self._settings.fim, detect(found.model), None)
        return Probe(
            "openai",
            self.url,
            "ready",
            model=found.model,
            server=found.server,
            dialect=dialect,
            context_tokens=found.context_tokens,
            cached_tokens_visible=self._cache_seen,
            stop_limit=STOP_LIMIT,
            # By one token, the fewest that is allowed: of use only where the server is known to keep what it read.
            prefills=self._cache_seen or found.server in CACHING_SERVERS,
            chats=self._settings.roles != ("embed",),
            calls_tools=found.calls_tools,
            constrains=found.server in CONSTRAINING_SERVERS,
            problem=problem,
            remedy=remedy,
        )

    def generate(self, request: Generate) -> AsyncGenerator[Delta | Finish]:
        """Stream one generation; see backends.base for the contract."""
        body: Value = {
            "model": self._model,
            "prompt": request.prompt,
            "max_tokens": max(1, request.max_tokens),
            "temperature": request.temperature,
            "stop": list(request.stop[:STOP_LIMIT]),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._server in TELLING_SERVERS and request.max_tokens:
            body["logprobs"] = 1
        return converse(
            self._http,
            "/v1/completions",
            body,
            "sse",
            self._read,
            max_tokens=request.max_tokens,
            watched_stops=request.stop[STOP_LIMIT:],
        )

    def chat(self, request: Chat) -> AsyncGenerator[Delta | Finish]:
        """See backends.base.Chatter."""
        tabby = self._server == "TabbyAPI"
        known = self._server in CONSTRAINING_SERVERS and not tabby
        body = chat_body(request, stops=request.stop[:STOP_LIMIT], schema=known)
        body["model"] = self._model
        if tabby and request.schema is not None:
            body["json_schema"] = request.schema
        events = ChatEvents()

        def read(value: Value) -> Step:
            return self._seen(events.read(value, usage_of(table(value["usage"])) if value.get("usage") else None))

        stream = converse(
            self._chat_http,
            CHAT_PATH,
            body,
            "sse",
            read,
            max_tokens=request.max_tokens,
            watched_stops=request.stop[STOP_LIMIT:],
            thinks=True,
        )
        return chatted(stream, events.calls)

    async def embed(self, texts: Sequence[str], model: str) -> list[Vector]:
        """See backends.base.Embedder."""
        return await embed_openai(self._http, texts, model, pull=self._http.hints.pull)

    async def can_embed(self, model: str) -> bool:
        """See backends.base.Embedder."""
        return await lists_model(self._http, model)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._chat_http.aclose()

    def _read(self, value: Value) -> Step:
        return self._seen(read_event(value))

    def _seen(self, step: Step) -> Step:
        self._cache_seen |= step.usage is not None and step.usage.prefilled_tokens is not None
        return step

    async def _identify(self) -> _Found:
        """What answers there. Raises BackendError if nothing usable does."""
        service = await self._try("/.well-known/serviceinfo")
        if "tabbyapi" in str(service.get("software") or service).lower():
            return await self._tabby()
        models = await self._http.json("/v1/models")
        entries = tables(models.get("data"))
        if models.get("object") != "list" and not entries:
            raise ProtocolFault(f"{self._http.hints.label} does not list models", self._http.hints.wrong)
        owner = string(entries[0].get("owned_by")).lower() if entries else ""
        if owner == "llamacpp":
            meta = table(self._pick(entries).get("meta"))
            return _Found("llama.cpp", self._id(entries), integer(meta.get("n_ctx")))
        if owner == "vllm" or "version" in await self._try("/version"):
            return _Found("vLLM", self._id(entries), integer(self._pick(entries).get("max_model_len")))
        studio = await self._try("/api/v1/models")
        if isinstance(studio.get("models"), list):
            return self._studio(tables(studio["models"]))
        return _Found("", self._id(entries), integer(self._pick(entries).get("max_model_len")))

    async def _tabby(self) -> _Found:
        """TabbyAPI: its one loaded model is at `/v1/model`, which needs the key."""
        try:
            model = await self._http.json("/v1/model")
        except Unauthorised:
            raise
        except BackendError:
            return _Found("TabbyAPI", self._settings.model, None)
        parameters = table(model.get("parameters"))
        return _Found("TabbyAPI", string(model.get("id")), integer(parameters.get("max_seq_len")))

    def _studio(self, models: list[Value]) -> _Found:
        """LM Studio: the configured model, else a loaded one. Embedding models count where they are wanted."""
        only = self._settings.roles == ("embed",)
        able = [model for model in models if (model.get("type") == "embedding") == only]
        wanted = self._settings.model
        for model in able:
            key, loaded = string(model.get("key")), tables(model.get("loaded_instances"))
            if wanted and wanted not in (key, *(string(instance.get("id")) for instance in loaded)):
                continue
            trained = table(model.get("capabilities")).get("trained_for_tool_use")
            tools = trained if isinstance(trained, bool) else None
            if loaded:
                settings, own = table(loaded[0].get("config")), string(loaded[0].get("id")) or key
                return _Found("LM Studio", own, integer(settings.get("context_length")), tools)
            if wanted:
                # It loads the model for the first request, with a context that it does not tell before.
                return _Found("LM Studio", wanted, None, tools)
        if wanted:
            raise ModelMissing(f"LM Studio does not have the model {wanted}", f"Run: lms get {wanted}")
        raise ModelMissing("LM Studio has no model loaded", "Load a code model in LM Studio's developer view.")

    def _pick(self, entries: list[Value]) -> Value:
        """The entry of the configured model, else the first; {} if there is none. Raises ModelMissing."""
        wanted = self._settings.model
        if not wanted or not entries:
            return entries[0] if entries else {}
        for entry in entries:
            aliases = entry.get("aliases")
            if entry.get("id") == wanted or (isinstance(aliases, list) and wanted in aliases):
                return entry
        raise ModelMissing(f"{self._http.hints.label} does not have the model {wanted}", self._http.hints.pull)

    def _id(self, entries: list[Value]) -> str:
        return self._settings.model or string(self._pick(entries).get("id"))

    async def _try(self, path: str) -> Value:
        """The JSON object at `path`, {} if there is none: for what only some servers have."""
        try:
            return await self._http.json(path)
        except BackendError:
            return {}


def read_event(value: Value) -> Step:
    """One event of `/v1/completions`' stream."""
    usage = usage_of(table(value["usage"])) if value.get("usage") else None
    if "choices" not in value and usage is None:
        raise ProtocolFault("an event is not one of a completion's")
    choices = tables(value.get("choices"))
    if not choices:
        return Step(usage=usage)
    finish = choices[0].get("finish_reason")
    if string(finish) in BROKEN_REASONS:
        raise ServerFault(f"the server broke the answer off ({finish})", "Look at the server's log.")
    reason = REASONS.get(str(finish), "stop") if finish else None
    # Some give a logarithm, some null, for the first token; what is none is passed over.
    values: object = table(choices[0].get("logprobs")).get("token_logprobs")
    logprobs = logprobs_of(cast(list[object], values)) if isinstance(values, list) else ()
    return Step(string(choices[0].get("text")), reason, usage, logprobs)


def is_models_list(value: Value) -> bool:
    """Whether this is what `/v1/models` answers."""
    return value.get("object") == "list" and isinstance(value.get("data"), list)
