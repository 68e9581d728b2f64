"""Ollama: `/api/generate` with `raw`, so that our own rendered prompt reaches the model as it is; `/api/chat`.

Three habits of Ollama rule here. Its default context is small and a longer prompt is silently cut in the middle, so
`num_ctx` is always sent. A different `num_ctx` reloads the model, so it is the same in every request. And a client that
disconnects while a model loads aborts the load, so no request of a user ever does the loading: a background task does.
A completion does not wait for that, a chat does.

It serves one request at a time unless OLLAMA_NUM_PARALLEL says otherwise: a completion that comes during a chat waits
in its queue, and is given up after some seconds as any slow one is.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from hearth.backends.base import Chat, Delta, Finish, Generate, Probe, Usage
from hearth.backends.calls import Calls
from hearth.backends.chatting import CHAT_DEADLINES, chatted
from hearth.backends.embedding import Vector, embed_ollama, evicted, held, ollama_has
from hearth.backends.http import Deadlines, Hints, Http, converse, failed_probe
from hearth.backends.llamacpp import choose_dialect
from hearth.backends.reading import Reason, Step, logprobs_of
from hearth.backends.wire import Value, integer, string, table, tables
from hearth.core.dialect import detect
from hearth.errors import BackendError, ModelLoading, ModelMissing, NoRoom, ProtocolFault
from hearth.settings import BackendSettings

SERVER = "Ollama"
KEEP_ALIVE = "30m"
LOADED_FRESH_S = 3.0
"""For so long after an answer the model counts as loaded; after that `/api/ps` is asked first (a millisecond)."""
LOAD_S = 600.0
NO_ROOM_S = 1800.0
"""Loading one model in place of the other, again and again, would cost the user every completion."""
EMBEDS_FRESH_S = 60.0
LOGPROB_COST_S = 0.0015
"""What a token costs more with its probability, estimated: an exponential for each of 150,000 words, on one core."""
LOGPROB_SHARE_MAX = 0.05
"""Of the time for a token; a model that writes faster is not asked how sure it is."""
PACE_PIECES_MIN = 8
LOADS_WAITED_FOR = 2
"""By one chat: another client may have the model loaded with another context meanwhile."""
CHAT_MARKS = (".Messages", ".System", ".Role")
"""Of templates that know who says what. One that has only a prompt belongs to a model for completion."""
CHAT_ABILITIES = frozenset({"tools", "thinking"})
RECOMMENDED = "qwen2.5-coder:1.5b-base"


class Ollama:
    """A Backend for Ollama."""

    def __init__(self, settings: BackendSettings, *, api_key: str = "", deadlines: Deadlines | None = None) -> None:
        self._settings = settings
        self._http = Http(settings.url, _hints(settings.url, settings.model), api_key=api_key, deadlines=deadlines)
        # A pool of its own, so that no chat can take the last connection.
        self._chat_http = Http(settings.url, self._http.hints, api_key=api_key, deadlines=deadlines or CHAT_DEADLINES)
        self._model = settings.model
        self._context_tokens = settings.context_tokens
        self._loaded_until = 0.0
        self._embeds_until = self._no_room_until = 0.0
        self._token_s: float | None = None  # the time between two tokens, in the last generation
        self._load: asyncio.Task[BackendError | None] | None = None

    @property
    def name(self) -> str:
        return f"ollama {self.url} {self._settings.model}".rstrip()

    @property
    def url(self) -> str:
        return self._http.url

    async def probe(self) -> Probe:
        """State, model, family and context. Loads nothing: the first generation does."""
        try:
            if not isinstance((await self._http.json("/api/version")).get("version"), str):
                raise ProtocolFault(f"{self._http.hints.label} is not Ollama", self._http.hints.wrong)
            model = await self._choose()
            shown = await self._http.json("/api/show", {"model": model})
        except BackendError as error:
            return failed_probe("ollama", self.url, error, SERVER)
        if self._load is not None and not self._load.done():
            return Probe("ollama", self.url, "loading", model=model, server=SERVER, problem="the model is loading")
        failure = self._load.result() if self._load is not None and not self._load.cancelled() else None
        if failure is not None:
            self._load = None  # Said once; the next generation tries again.
            return failed_probe("ollama", self.url, failure, SERVER)
        self._model = model
        self._context_tokens = min(self._settings.context_tokens, _trained(shown) or self._settings.context_tokens)
        found = detect(model, None, string(shown.get("template")))
        dialect, problem, remedy = choose_dialect(self._settings.fim, found, None)
        return Probe(
            "ollama",
            self.url,
            "ready",
            model=model,
            server=SERVER,
            dialect=dialect,
            context_tokens=self._context_tokens,
            chats=_chats(shown),
            calls_tools=_calls_tools(shown),
            constrains=True,
            prefills=True,  # by one token, the fewest that it takes; its cache keeps the prompt then, too
            problem=problem,
            remedy=remedy,
        )

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Finish]:
        """Stream one generation; ModelLoading (and a load that goes on) if the model is not in memory."""
        await self._need_loaded()
        body = {**self._body(request), "prompt": request.prompt, "raw": True}
        if request.max_tokens and (self._token_s or 0.0) * LOGPROB_SHARE_MAX >= LOGPROB_COST_S:
            body["logprobs"] = True  # servers from before 0.12.11 do not know it, and pass over it
        clock = asyncio.get_running_loop().time
        first_at, pieces = 0.0, 0
        stream = converse(self._http, "/api/generate", body, "ndjson", read_event, max_tokens=request.max_tokens)
        async with aclosing(stream) as events:
            async for event in events:
                now = clock()
                self._loaded_until = now + LOADED_FRESH_S
                if isinstance(event, Delta):
                    first_at, pieces = first_at or now, pieces + 1
                    if pieces > PACE_PIECES_MIN:
                        self._token_s = (now - first_at) / (pieces - 1)
                yield event

    async def chat(self, request: Chat) -> AsyncGenerator[Delta | Finish]:
        """See backends.base.Chatter. Waits for a model that is being loaded."""
        await self._wait_loaded()
        body = {**self._body(request), "messages": [*_messages(request.messages)]}
        if request.tools:
            body["tools"] = list(request.tools)
        if request.schema is not None:
            body["format"] = request.schema
        calls = Calls()

        def read(value: Value) -> Step:
            return read_chat_event(value, calls)

        stream = converse(
            self._chat_http, "/api/chat", body, "ndjson", read, max_tokens=request.max_tokens, thinks=True
        )
        async with aclosing(chatted(stream, calls)) as events:
            async for event in events:
                self._loaded_until = asyncio.get_running_loop().time() + LOADED_FRESH_S
                yield event

    async def embed(self, texts: Sequence[str], model: str) -> list[Vector]:
        """See backends.base.Embedder. NoRoom if that drove the model for completion out of memory, and from then on."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._no_room_until:
            raise self._no_room(model)
        before = await held(self._http) if loop.time() > self._embeds_until else frozenset[str]()
        vectors = await embed_ollama(self._http, texts, model)
        if await evicted(self._http, before):
            self._no_room_until = loop.time() + NO_ROOM_S
            raise self._no_room(model)
        self._embeds_until = loop.time() + EMBEDS_FRESH_S
        return vectors

    def _no_room(self, model: str) -> NoRoom:
        return NoRoom(
            f"{self._http.hints.label} cannot hold {model} beside the model for completion",
            "Let it hold two (OLLAMA_MAX_LOADED_MODELS=2), or name a smaller model, or none: [index] embedding_model.",
        )

    async def can_embed(self, model: str) -> bool:
        """See backends.base.Embedder."""
        return await ollama_has(self._http, model)

    async def aclose(self) -> None:
        """Close the connections; a load in progress ends with them."""
        if self._load is not None:
            self._load.cancel()
            await asyncio.wait({self._load})
        await self._http.aclose()
        await self._chat_http.aclose()

    def _body(self, request: Generate | Chat) -> Value:
        """What every request says alike: another context, above all, would have the model loaded again."""
        return {
            "model": self._model,
            "stream": True,
            # An error instead of a prompt that lost its middle; servers before these options ignore them.
            "truncate": False,
            "shift": False,
            "keep_alive": KEEP_ALIVE,
            "options": {
                "num_ctx": self._context_tokens,
                "num_predict": max(1, request.max_tokens),
                "temperature": request.temperature,
                "stop": list(request.stop),
            },
        }

    async def _choose(self) -> str:
        """The configured model, else a loaded one, else one that can fill in. Raises ModelMissing."""
        names = _names(await self._http.json("/api/tags"))
        wanted = self._settings.model
        if wanted:
            found = next((name for name in names if name in (wanted, f"{wanted}:latest")), None)
            if found is None:
                raise ModelMissing(f"{SERVER} does not have the model {wanted}", f"Run: ollama pull {wanted}")
            return found
        loaded = _names(await self._http.json("/api/ps"))
        able = [name for name in [*loaded, *names] if "complete" not in self._settings.roles or detect(name)]
        if not able and not names:
            raise ModelMissing(f"{SERVER} has no models", f"Run: ollama pull {RECOMMENDED}")
        return (able or loaded or names)[0]

    async def _need_loaded(self) -> None:
        """Return if the model is in memory as we need it, else see to it and raise ModelLoading."""
        if asyncio.get_running_loop().time() < self._loaded_until:
            return
        if self._load is None or self._load.done():
            running = tables((await self._http.json("/api/ps")).get("models"))
            if any(self._fits(entry) for entry in running):
                return
            self._load = asyncio.create_task(self._load_model(), name="ollama load")
        raise ModelLoading(f"{self._http.hints.label} is loading {self._model}", self._http.hints.loading)

    async def _wait_loaded(self) -> None:
        """Return once the model is in memory. Raises what its loading failed with, or ModelLoading."""
        for _ in range(LOADS_WAITED_FOR):
            try:
                await self._need_loaded()
            except ModelLoading:
                if self._load is None:
                    raise
                await asyncio.wait({self._load})  # whoever gives up waiting leaves the load alone
                if not self._load.cancelled() and (failure := self._load.result()) is not None:
                    raise failure from None
            else:
                return
        await self._need_loaded()

    def _fits(self, running: Value) -> bool:
        # Loaded with another context it would be loaded again by our request.
        same = running.get("context_length") in (None, 0, self._context_tokens)
        return same and self._model in (running.get("name"), running.get("model"))

    async def _load_model(self) -> BackendError | None:
        """Load the model, by a request without a prompt that outlives the user's own; the result is why it failed."""
        body: Value = {
            "model": self._model,
            "stream": False,
            "keep_alive": KEEP_ALIVE,
            "options": {"num_ctx": self._context_tokens},
        }
        try:
            await self._http.json("/api/generate", body, within_s=LOAD_S)
        except BackendError as error:
            return error
        self._loaded_until = asyncio.get_running_loop().time() + LOADED_FRESH_S
        return None


def read_event(value: Value) -> Step:
    """One line of `/api/generate`'s stream."""
    if "response" not in value and "done" not in value:
        raise ProtocolFault("a line is not one of Ollama's")
    text = string(value.get("response"))
    if value.get("done") is not True:
        return Step(text, logprobs=logprobs_of(entry.get("logprob") for entry in tables(value.get("logprobs"))))
    reason: Reason = "length" if value.get("done_reason") == "length" else "stop"
    # The count contains what came from the cache, so the part that was evaluated now is not known.
    usage = Usage(integer(value.get("prompt_eval_count")), None, integer(value.get("eval_count")))
    return Step(text, reason, usage)


def read_chat_event(value: Value, calls: Calls) -> Step:
    """One line of `/api/chat`'s stream. Its calls are not cut in pieces, and go to `calls`."""
    if "message" not in value and "done" not in value:
        raise ProtocolFault("a line is not one of Ollama's")
    message = table(value.get("message"))
    for call in tables(message.get("tool_calls")):
        calls.whole(call)
    step = read_event({"done": False, **value, "response": message.get("content")})
    return replace(step, thought=string(message.get("thinking")))


def _messages(messages: Sequence[Mapping[str, Any]]) -> list[Value]:
    """OpenAI's messages as Ollama takes them: arguments are objects, and what answers a call names the tool."""
    names: dict[str, str] = {}
    said: list[Value] = []
    for message in messages:
        one = dict(message)
        calls: list[Value] = []
        for call in tables(one.pop("tool_calls", None)):
            function = table(call.get("function"))
            names[string(call.get("id"))] = string(function.get("name"))
            calls.append({"function": {"name": function.get("name"), "arguments": _object(function.get("arguments"))}})
        if calls:
            one["tool_calls"] = calls
        if name := names.get(string(one.pop("tool_call_id", ""))):
            one["tool_name"] = name
        said.append(one)
    return said


def _object(arguments: object) -> Value:
    try:
        return table(json.loads(string(arguments) or "{}"))
    except (ValueError, RecursionError):
        return {}


def _chats(shown: Value) -> bool:
    """Whether a model is one to talk to, from what `/api/show` says of it."""
    able, template = _abilities(shown), string(shown.get("template"))
    if able is not None and "completion" not in able:
        return False
    # A model whose prompt the server builds by itself has no template to speak of.
    built_in = "RENDERER " in string(shown.get("modelfile")) or bool(CHAT_ABILITIES & (able or frozenset()))
    return built_in or any(mark in template for mark in CHAT_MARKS)


def _calls_tools(shown: Value) -> bool | None:
    able = _abilities(shown)
    return None if able is None else "tools" in able


def _abilities(shown: Value) -> frozenset[str] | None:
    """None for servers from before they were told."""
    told: object = shown.get("capabilities")
    return frozenset(map(string, cast(list[object], told))) if isinstance(told, list) else None


def _names(listing: Value) -> list[str]:
    return [name for entry in tables(listing.get("models")) if (name := string(entry.get("name")))]


def _trained(shown: Value) -> int | None:
    """The context that the model was trained with, from `model_info`."""
    info = table(shown.get("model_info"))
    return next((integer(value) for key, value in info.items() if key.endswith(".context_length")), None)


def _hints(url: str, model: str) -> Hints:
    return Hints(
        f"{SERVER} at {url}",
        start="Start it: ollama serve",
        pull=f"Run: ollama pull {model or RECOMMENDED}",
        context="Raise context_tokens of this backend in settings.toml.",
        loading="Nothing to do: suggestions start once it is loaded.",
    )
