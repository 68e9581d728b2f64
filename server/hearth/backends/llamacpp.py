"""llama.cpp's llama-server: raw `/completion` with our own rendered prompt.

Its prompt cache belongs to a slot, so every request names the same slot and sends the same options; then a prompt that
extends the last one costs only its new tokens, which `timings` shows.
"""

from collections.abc import AsyncGenerator

from hearth.backends.base import Delta, Finish, Generate, Kind, Probe, Usage
from hearth.backends.http import Deadlines, Hints, Http, converse, failed_probe
from hearth.backends.reading import Reason, Step
from hearth.backends.wire import Value, integer, string, table, tables
from hearth.core.dialect import DIALECTS, PROBE_TOKENS, detect
from hearth.errors import BackendError, ProtocolFault
from hearth.settings import BackendSettings

SERVER = "llama.cpp"


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
        self._slot: int | None = None

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
        # The last slot: other clients of the server are given the first free one.
        self._slot = slots - 1 if slots else None
        alias, path = string(props.get("model_alias")), string(props.get("model_path"))
        name = alias or path
        if name.lower().endswith(".gguf"):
            name = name.replace("\\", "/").rpartition("/")[2]
        model = self._settings.model if self._settings.model and self._kind == "llamacpp" else name
        found = detect(f"{model} {path}", vocabulary, string(props.get("chat_template")))
        dialect, problem, remedy = choose_dialect(self._settings.fim, found, vocabulary)
        defaults = table(props.get("default_generation_settings"))
        return Probe(
            self._kind,
            self.url,
            "ready",
            model=model,
            server=SERVER,
            dialect=dialect,
            context_tokens=integer(defaults.get("n_ctx")),
            cached_tokens_visible=True,
            slots=slots,
            problem=problem,
            remedy=remedy,
        )

    def generate(self, request: Generate) -> AsyncGenerator[Delta | Finish]:
        """Stream one generation; see backends.base for the contract."""
        body: Value = {
            "prompt": request.prompt,
            "n_predict": request.max_tokens,
            "temperature": request.temperature,
            "stop": list(request.stop),
            "stream": True,
            "cache_prompt": True,
            # It writes after each batch of the prompt then, and so notices at once that we have gone.
            "return_progress": True,
        }
        if self._settings.model and self._kind == "llamacpp":
            body["model"] = self._settings.model
        if self._slot is not None:
            body["id_slot"] = self._slot
        return converse(self._http, "/completion", body, "sse", read_event, max_tokens=request.max_tokens)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

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
        return Step(text, usage=_progress(value))
    limited = value.get("stop_type") == "limit" or value.get("stopped_limit") is True
    reason: Reason = "length" if limited else "stop"
    timings = table(value.get("timings"))
    prefilled, cached = integer(timings.get("prompt_n")), integer(timings.get("cache_n"))
    whole = integer(value.get("tokens_evaluated"))
    if whole is None and prefilled is not None and cached is not None:
        whole = prefilled + cached
    usage = Usage(whole, prefilled, integer(value.get("tokens_predicted")))
    return Step(text, reason, usage)


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
