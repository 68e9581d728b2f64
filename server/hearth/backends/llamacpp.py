"""llama.cpp's llama-server: raw `/completion` with our own rendered prompt.

Its prompt cache belongs to a slot, so every request names the same slot and sends the same options; then a prompt that
extends the last one costs only its new tokens, which `timings` shows.

Completion has the first slot and chat the last one, since the server fills each batch from the first slot on: measured
with a chat's 6,000 tokens being read, a completion of 4 new tokens took 0.4 s in the first slot, and 14 s in the last
one, when the chat had been read. Where there is one slot, each finds its prompt again in the server's own prompt cache
after the other (1 token to read), but has to wait until the other is done.

A server whose slots share one cache (its default) clears the others when a slot begins to work, and does not look into
its prompt cache for a slot that is named: completion would read everything again after each chat. That is noticed from
the figures, and from then on no slot is named: the server then finds both prompts again, in any slot.
"""

import hashlib
import logging
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from hearth.backends.base import Chat, Delta, Finish, Generate, Kind, Probe, Usage
from hearth.backends.chatting import CHAT_DEADLINES, CHAT_PATH, ChatEvents, chat_body, chatted, usage_of
from hearth.backends.embedding import Vector, embed_openai, lists_model
from hearth.backends.http import Deadlines, Hints, Http, converse, failed_probe
from hearth.backends.reading import Reason, Step, logprobs_of
from hearth.backends.wire import Value, integer, string, table, tables
from hearth.core.dialect import DIALECTS, PROBE_TOKENS, detect
from hearth.errors import BackendError, ProtocolFault
from hearth.settings import BackendSettings

LOG = logging.getLogger(__name__)
SERVER = "llama.cpp"
EMBED_HINT = "Start llama-server with that model and --embeddings, or name another model."
STATE_S = 10.0
"""For saving or restoring a slot's state, and for the generation that it waits for."""
SHARED_CHARS_MIN = 500
"""So much of a prompt must be the same as before, for a cache that knows none of it to mean anything."""
STATES_PER_MODEL = 8
"""Files with states that one model leaves in a server's own folder, which is not ours to clean up."""

NEAR_GREEDY = 0.05
"""The temperature that stands for 0: there, llama.cpp gives no probability but 1, and what it gives before sampling
costs a sort of the vocabulary for each token (measured with 0.5 billion weights and 150,000 words: a third of the
speed; this way, under 1 %). A rival half as likely as the best is taken once in a million tokens, and the
probabilities are computed back from it, down to rivals 150 times less likely."""
RIVALS = 10
SEED = 141_190
"""The first 60 draws of its generator are below 0.9: the best token is taken unless a rival is within a tenth of it."""


class LlamaCpp:
    """A Backend for llama-server. `kind` and `label` are for the embedded engine, which speaks the same."""

    def __init__(
        self,
        settings: BackendSettings,
        *,
        api_key: str = "",
        deadlines: Deadlines | None = None,
        kind: Kind = "llamacpp",
        hints: Hints | None = None,
    ) -> None:
        self._settings = settings
        self._kind: Kind = kind
        label = f"{SERVER} at {settings.url}"
        self._http = Http(settings.url, hints or _hints(label), api_key=api_key, deadlines=deadlines)
        # A pool of its own, so that no chat can take the last connection.
        self._chat_http = Http(settings.url, self._http.hints, api_key=api_key, deadlines=deadlines or CHAT_DEADLINES)
        self._slot: int | None = None
        self._slots: int | None = None
        self._shared = False  # the slots share one cache: none is named
        self._last_prompt = ""  # for completion, if the server has read it
        self._chatted = False  # since then
        self._fingerprint = ""
        self._tells = True  # how sure the model is, at no cost
        self._tried: set[str] = set()  # states that a restore failed with: a damaged one can end the server

    @property
    def name(self) -> str:
        return f"{self._kind} {self.url} {self._settings.model}".rstrip()

    @property
    def url(self) -> str:
        return self._http.url

    @property
    def connects(self) -> int:
        """Connections made so far; a reused one does not count."""
        return self._http.connects

    async def probe(self) -> Probe:
        """State, model, family, context and slots from `/props`, the family checked against the vocabulary."""
        try:
            props = await self._http.json("/props")
            if "default_generation_settings" not in props and "total_slots" not in props:
                raise ProtocolFault(f"{self._http.hints.label} is not llama.cpp", self._http.hints.wrong)
            vocabulary = await self._vocabulary()
        except BackendError as error:
            return failed_probe(self._kind, self.url, error)
        slots = integer(props.get("total_slots"))
        self._slot = 0 if slots else None
        self._slots = slots
        self._shared, self._last_prompt = False, ""
        alias, path = string(props.get("model_alias")), string(props.get("model_path"))
        name = alias or path
        if name.lower().endswith(".gguf"):
            name = name.replace("\\", "/").rpartition("/")[2]
        model = self._settings.model if self._settings.model and self._kind == "llamacpp" else name
        found = detect(f"{model} {path}", vocabulary, string(props.get("chat_template")))
        dialect, problem, remedy = choose_dialect(self._settings.fim, found, vocabulary)
        defaults = table(props.get("default_generation_settings"))
        context_tokens = integer(defaults.get("n_ctx"))
        self._fingerprint = f"{path} {context_tokens} {string(props.get('build_info'))}"
        return Probe(
            self._kind,
            self.url,
            "ready",
            model=model,
            server=SERVER,
            dialect=dialect,
            context_tokens=context_tokens,
            cached_tokens_visible=True,
            slots=slots,
            prefills=True,
            chats=True,  # where the model has no template of its own, the server takes ChatML
            calls_tools=_calls_tools(props),
            constrains=True,
            saves_state=await self._saves_state(),
            problem=problem,
            remedy=remedy,
        )

    def generate(self, request: Generate) -> AsyncGenerator[Delta | Finish]:
        """Stream one generation; see backends.base for the contract."""
        body: Value = {
            "prompt": request.prompt,
            "n_predict": request.max_tokens,
            "stop": list(request.stop),
            "stream": True,
            "cache_prompt": True,
            # It writes after each batch of the prompt then, and so notices at once that we have gone.
            "return_progress": True,
            **self._sampling(request),
        }
        if self._settings.model and self._kind == "llamacpp":
            body["model"] = self._settings.model
        if self._slot is not None and not self._shared:
            body["id_slot"] = self._slot
        should_know = self._chatted and _share_most(self._last_prompt, request.prompt)
        self._last_prompt = ""

        def read(value: Value) -> Step:
            self._look_at(value, should_know)
            step = read_event(value)
            if step.text:
                self._last_prompt, self._chatted = request.prompt, False
            return step

        return converse(self._http, "/completion", body, "sse", read, max_tokens=request.max_tokens)

    async def chat(self, request: Chat) -> AsyncGenerator[Delta | Finish]:
        """See backends.base.Chatter. The model's own chat template is the server's to apply."""
        body = chat_body(request, stops=request.stop, schema=True)
        body |= {"cache_prompt": True, "return_progress": True}
        if self._settings.model and self._kind == "llamacpp":
            body["model"] = self._settings.model
        if (slot := await self._slot_for_chat()) is not None:
            body["id_slot"] = slot
        self._chatted = True
        events = ChatEvents()

        def read(value: Value) -> Step:
            return events.read(value, usage_of(table(value["usage"])) if value.get("usage") else _progress(value))

        stream = converse(self._chat_http, CHAT_PATH, body, "sse", read, max_tokens=request.max_tokens, thinks=True)
        async with aclosing(chatted(stream, events.calls)) as answer:
            async for event in answer:
                yield event

    async def save_state(self, name: str) -> bool:
        """See backends.base.Stateful. The file is in the folder that the server was started with."""
        file = self._state_file(name)
        saved = await self.save_slot(file) is not None
        if saved:
            self._tried.discard(file)
        return saved

    async def restore_state(self, name: str) -> int | None:
        """See backends.base.Stateful."""
        file = self._state_file(name)
        if file in self._tried:
            return None
        self._tried.add(file)
        tokens = await self.restore_slot(file)
        if tokens is not None:
            self._tried.discard(file)
        return tokens

    async def save_slot(self, file: str) -> int | None:
        """Have our slot's state written to `file` in the server's folder: its bytes, None if it was not."""
        answer = await self._slot_action("save", file)
        return integer(answer.get("n_written")) or None

    async def restore_slot(self, file: str) -> int | None:
        """Have our slot's state read from `file`: its tokens, None if it was not."""
        answer = await self._slot_action("restore", file)
        return integer(answer.get("n_restored")) or None

    async def embed(self, texts: Sequence[str], model: str) -> list[Vector]:
        """See backends.base.Embedder."""
        return await embed_openai(self._http, texts, model, pull=EMBED_HINT)

    async def can_embed(self, model: str) -> bool:
        """See backends.base.Embedder."""
        return await lists_model(self._http, model)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._chat_http.aclose()

    async def _slot_action(self, action: str, file: str) -> Value:
        """The server's answer, {} if it did not do it."""
        if self._slot is None:
            return {}
        try:
            path = f"/slots/{self._slot}?action={action}"
            return await self._http.json(path, {"filename": file}, within_s=STATE_S, again=True)
        except BackendError as error:
            LOG.info("%s of a state: %s", action, error.message)
            return {}

    def _sampling(self, request: Generate) -> Value:
        """How the next token is chosen: the best one, and how likely that was."""
        if request.temperature or not request.max_tokens or not self._tells:
            return {"temperature": request.temperature}
        return {
            "temperature": NEAR_GREEDY,
            "samplers": ["top_k", "temperature"],
            "top_k": RIVALS,
            "seed": SEED,
            "n_probs": RIVALS,
            "post_sampling_probs": True,
        }

    async def _slot_for_chat(self) -> int | None:
        """The slot to name. Asked for one that it does not have, the server ends: so it is asked how many it has, since
        it may have been started again. The embedded engine is always another one then."""
        if self._shared or self._slots is None:
            return None
        if self._kind != "embedded":
            try:
                self._slots = integer((await self._http.json("/props", again=True)).get("total_slots"))
            except BackendError:
                return None  # whatever is wrong, the request itself will tell
        return self._slots - 1 if self._slots else None

    def _look_at(self, value: Value, should_know: bool) -> None:
        """What an event tells of the server. `should_know`: only a chat came since it read most of this prompt."""
        if self._shared and value.get("stop") is True:
            self._slot = integer(value.get("id_slot"))  # whose state is the one to save
        progress, timings = table(value.get("prompt_progress")), table(value.get("timings"))
        cached = integer(progress.get("cache", timings.get("cache_n")))
        if should_know and cached == 0 and not self._shared and self._slots != 1:
            LOG.info("%s clears its slots: none is named from now on", self._http.hints.label)
            self._shared, self._slot = True, None
        if self._tells and any("top_logprobs" in entry for entry in tables(value.get("completion_probabilities"))):
            LOG.info("%s gives probabilities only at a cost: not asked for again", self._http.hints.label)
            self._tells = False

    async def _saves_state(self) -> bool:
        """Whether the server was started with a folder for slot states: then it only objects to the missing name."""
        if self._slot is None:
            return False
        try:
            await self._http.json(f"/slots/{self._slot}?action=save", {"filename": ""})
        except BackendError as error:
            return isinstance(error, ProtocolFault) and "filename" in error.message
        return False

    def _state_file(self, name: str) -> str:
        """Few names for each model, so that states replace each other."""
        model = hashlib.sha256(self._fingerprint.encode("utf-8", "replace")).hexdigest()[:16]
        number = hashlib.sha256(name.encode("utf-8", "replace")).digest()[0] % STATES_PER_MODEL
        return f"hearth-{model}-{number}.bin"

    async def _vocabulary(self) -> frozenset[str] | None:
        """Those of PROBE_TOKENS that are one token of the model; None if the server does not tell."""
        body: Value = {"content": " ".join(PROBE_TOKENS), "add_special": False, "with_pieces": True}
        try:
            answer = await self._http.json("/tokenize", body)
        except BackendError:
            return None
        # A token's piece is a list of bytes where it is not whole characters.
        pieces = {string(entry.get("piece")).replace("▁<", "<").strip() for entry in tables(answer.get("tokens"))}
        if not any(pieces):
            return None
        return frozenset(token for token in PROBE_TOKENS if token in pieces)


def read_event(value: Value) -> Step:
    """One event of `/completion`'s stream."""
    if "content" not in value and "stop" not in value:
        raise ProtocolFault("an event is not one of llama.cpp's")
    text = string(value.get("content"))
    if value.get("stop") is not True:
        return Step(text, usage=_progress(value), logprobs=_logprobs(tables(value.get("completion_probabilities"))))
    limited = value.get("stop_type") == "limit" or value.get("stopped_limit") is True
    reason: Reason = "length" if limited else "stop"
    timings = table(value.get("timings"))
    prefilled, cached = integer(timings.get("prompt_n")), integer(timings.get("cache_n"))
    whole = integer(value.get("tokens_evaluated"))
    if whole is None and prefilled is not None and cached is not None:
        whole = prefilled + cached
    usage = Usage(whole, prefilled, integer(value.get("tokens_predicted")))
    return Step(text, reason, usage)


def _calls_tools(props: Value) -> bool | None:
    """Whether the model's template has a place for tools: without one, the server leaves them out in silence."""
    able = table(props.get("chat_template_caps")).get("supports_tools")
    return able if isinstance(able, bool) else None


def _share_most(old: str, new: str) -> bool:
    """Whether `new` begins with the larger part of `old`, and that is more than a batch."""
    size = len(old) // 2
    return size >= SHARED_CHARS_MIN and new[:size] == old[:size]


def _logprobs(entries: list[Value]) -> tuple[float, ...]:
    """Of the tokens of one event, from their probabilities after sampling at NEAR_GREEDY."""
    return logprobs_of(
        entry["logprob"] if "logprob" in entry else _warmed(entry.get("prob"), tables(entry.get("top_probs")))
        for entry in entries
    )


def _warmed(chosen: object, rivals: list[Value]) -> float | None:
    """The logarithm of a token's probability among its rivals (itself one of them), as it was before the cooling."""
    weights = [_weight(rival.get("prob")) for rival in rivals]
    mine, total = _weight(chosen), sum(weights)
    # Without rivals it is only a filler: tokens that a smaller model drafted come like that.
    return math.log(min(1.0, mine / total)) if mine and total else None


def _weight(probability: object) -> float:
    if isinstance(probability, int | float) and not isinstance(probability, bool) and 0 < probability <= 1:
        return float(probability) ** NEAR_GREEDY
    return 0.0


def _progress(value: Value) -> Usage | None:
    """The figures of an event before the last one."""
    generated = integer(value.get("tokens_predicted"))
    progress = table(value.get("prompt_progress"))
    if not progress:
        return None if generated is None else Usage(generated_tokens=generated)
    whole, cached = integer(progress.get("total")), integer(progress.get("cache"))
    prefilled = whole - cached if whole is not None and cached is not None else None
    return Usage(whole, prefilled, generated)


def choose_dialect(fim: str, found: str, vocabulary: frozenset[str] | None) -> tuple[str, str, str]:
    """(dialect, problem, remedy) from the setting, what was detected, and the vocabulary where it is known."""
    if fim == "auto":
        if found:
            return found, "", ""
        return (
            "",
            "no fill-in-the-middle tokens are known for this model",
            "Use a code model that has them, such as qwen2.5-coder, or set fim to its family.",
        )
    if fim == "none":
        return "", "fill-in-the-middle is turned off for this model", 'Set fim = "auto" to use it for completion.'
    if vocabulary is not None and not set(DIALECTS[fim].fim_tokens) <= vocabulary:
        return (
            fim,
            f"the model's vocabulary lacks the tokens of fim = {fim!r}",
            f'Set fim = "{found}".' if found else 'Set fim = "auto", or use a model of that family.',
        )
    return fim, "", ""


def _hints(label: str) -> Hints:
    return Hints(
        label,
        start="Start it, for example: llama-server -m MODEL.gguf -c 8192 --port 8080",
        pull="Start llama-server with the model, or leave `model` empty in settings.toml.",
        context="Start llama-server with a larger context, for example -c 8192.",
    )
