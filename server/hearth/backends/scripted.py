"""A model that does what a script says: the test double for everything above the backends, shipped like httpx's mock.

It opens no socket, needs no model, is deterministic, and by default answers without any delay, so that what is measured
with it is the product's own overhead. From settings: `kind = "scripted"`, `model = "/path/script.json"`. The script is
one JSON object; every key may be left out:

    {
      "model": "scripted",         what the model calls itself
      "dialect": "qwen",           family of FIM tokens: how prompts are taken apart; "" = a model that cannot fill in
      "context_tokens": 32768,
      "embeds": 0,                 size of the vectors that it makes of texts: words in common, nearer vectors
      "prefills": 0,               1: it takes requests for no tokens, and counts them like others
      "chats": 1,                  0: a model that cannot chat
      "slots": 0,                  requests that it says to answer at once, 0: it does not say; it answers all
      "state": "ready",            what the probe says; anything but "ready" also fails every request
      "delay_ms": 0,               before the first piece (a prompt being read)
      "token_ms": 0,               before each further piece
      "chunk_chars": 4,            characters of one piece; 0: everything in one piece
      "text": "",                  the answer when no rule fits
      "chat_text": "",             the same, to a chat
      "document": "",              the finished file: the answer is what follows the text before the cursor in it
      "document_file": "",         the same, read from this path (relative to the script's folder)
      "log": "",                   append a JSON line per request start and end to this file
      "rules": [                   the first rule that fits answers
        {
          "ends_with": "def add(a, b):",   the text before the cursor ends with this
          "contains": "import os",         the text before the cursor contains this
          "after": "\\n",                  the text after the cursor starts with this
          "prompt_contains": "",           the raw prompt contains this
          "chat": 0,                       1: answers chats, and no prompts
          "times": 2,                      fits at most so often
          "text": "...",
          "calls": [],                     tools called after the text: {"name": "...", "arguments": {...}}
          "reason": "stop",                or "length", "filter", "truncated"
          "delay_ms": 0, "token_ms": 0,
          "fault": "server",               a key of FAULTS, or "hang": nothing more until cancelled
          "fault_after": 0                 pieces sent before the fault
        }
      ]
    }

The text before the cursor is the prompt's own: BEFORE, then what was typed since and stands after the middle token.
In a chat it is the last message, and the raw prompt is all messages, each with its role before it: "user: ...".
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast
from zlib import crc32

from hearth.backends.base import Chat, Delta, Finish, Generate, Probe, State, Usage
from hearth.core.dialect import DIALECTS, Dialect
from hearth.core.exchange import ToolCall
from hearth.errors import (
    BackendError,
    ContextOverflow,
    DeadlineExceeded,
    LimitExceeded,
    ModelLoading,
    ModelMissing,
    ProtocolFault,
    RateLimited,
    ServerFault,
    Unauthorised,
    Unreachable,
)

SCRIPT_BYTES_MAX = 10_000_000
RULES_MAX = 1_000
CHARS_PER_TOKEN = 4
DOCUMENT_MATCH_CHARS_MAX = 400

FAULTS: dict[str, type[BackendError]] = {
    "unreachable": Unreachable,
    "unauthorised": Unauthorised,
    "model_missing": ModelMissing,
    "loading": ModelLoading,
    "overflow": ContextOverflow,
    "rate_limited": RateLimited,
    "server": ServerFault,
    "protocol": ProtocolFault,
    "deadline": DeadlineExceeded,
    "limit": LimitExceeded,
}
_STATE_FAULTS: dict[str, str] = {
    "loading": "loading",
    "down": "unreachable",
    "unauthorised": "unauthorised",
    "wrong": "protocol",
    "no_model": "model_missing",
}

Reason = Literal["stop", "length", "filter", "truncated"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One answer and when to give it; see the module docstring."""

    ends_with: str = ""
    contains: str = ""
    after: str = ""
    prompt_contains: str = ""
    chat: int = 0
    times: int = 0
    text: str = ""
    calls: tuple[Mapping[str, Any], ...] = ()
    reason: Reason = "stop"
    delay_ms: int | None = None
    token_ms: int | None = None
    fault: str = ""
    fault_after: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script; see the module docstring."""

    model: str = "scripted"
    dialect: str = "qwen"
    context_tokens: int = 32768
    embeds: int = 0
    prefills: int = 0
    chats: int = 1
    slots: int = 0
    state: State = "ready"
    delay_ms: int = 0
    token_ms: int = 0
    chunk_chars: int = 4
    text: str = ""
    chat_text: str = ""
    document: str = ""
    log: str = ""
    rules: tuple[Rule, ...] = ()


@dataclass(slots=True)
class Counts:
    """What a test may want to know of the requests so far. Tokens are characters divided by CHARS_PER_TOKEN.

    `prefilled_tokens` counts as a server with one cached prompt would: what differs from the last prompt on.
    """

    calls: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    pieces: int = 0
    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    generated_tokens: int = 0
    prompts: list[str] = field(default_factory=list[str])
    chats: list[Chat] = field(default_factory=list[Chat])


PROMPTS_KEPT_MAX = 50
CHATS_KEPT_MAX = 50


class ScriptedBackend:
    """A Backend without a server. `script` is a Script, a script's path, or a function from prompt to answer (from all
    messages, in a chat)."""

    def __init__(self, script: Script | str | Path | Callable[[str], str]) -> None:
        self.counts = Counts()
        self._function: Callable[[str], str] | None = None
        self._problem = ""
        self.script = Script()
        if isinstance(script, Script):
            self.script = script
        elif isinstance(script, (str, Path)):
            try:
                self.script = load(Path(script))
            except ValueError as error:
                self._problem = f"{script}: {error}"
        else:
            self._function = script
        self._used: dict[int, int] = {}

    @property
    def name(self) -> str:
        return f"scripted {self.script.model}"

    @property
    def url(self) -> str:
        return "inproc:"

    async def probe(self) -> Probe:
        """What the script says; never a socket."""
        script = self.script
        if self._problem:
            remedy = "Correct the script, or remove this backend from settings.toml."
            return Probe("scripted", self.url, "wrong", server="scripted", problem=self._problem, remedy=remedy)
        return Probe(
            "scripted",
            self.url,
            script.state,
            model=script.model,
            server="scripted",
            dialect=script.dialect,
            context_tokens=script.context_tokens,
            cached_tokens_visible=True,
            slots=script.slots or None,
            prefills=bool(script.prefills),
            chats=bool(script.chats),
            calls_tools=bool(script.chats),
            constrains=bool(script.chats),
            problem="" if script.state == "ready" else f"the script says: {script.state}",
        )

    def generate(self, request: Generate) -> AsyncGenerator[Delta | Finish]:
        """Answer as scripted; see backends.base for the contract."""
        return self._run(request, request.prompt)

    def chat(self, request: Chat) -> AsyncGenerator[Delta | Finish]:
        """Answer as scripted; see backends.base.Chatter."""
        self.counts.chats.append(request)
        del self.counts.chats[:-CHATS_KEPT_MAX]
        return self._run(request, "".join(f"{said['role']}: {said['content']}\n" for said in request.messages))

    async def _run(self, request: Generate | Chat, prompt: str) -> AsyncGenerator[Delta | Finish]:
        if self._problem:
            raise ProtocolFault(self._problem, "Correct the script.")
        self._begin(request, prompt)
        outcome = "cancelled"
        try:
            async for event in self._answer(request, prompt):
                yield event
                if isinstance(event, Finish):
                    outcome = event.reason
        except BackendError as error:
            outcome = type(error).__name__
            self.counts.failed += 1
            raise
        finally:
            self.counts.cancelled += outcome == "cancelled"
            self.counts.finished += outcome in ("stop", "length", "filter", "truncated")
            self._log({"event": "end", "outcome": outcome})

    async def can_embed(self, model: str) -> bool:
        """See backends.base.Embedder."""
        return bool(self.script.embeds) and model == self.script.model

    async def embed(self, texts: Sequence[str], model: str) -> list[tuple[float, ...]]:
        """See backends.base.Embedder."""
        if not await self.can_embed(model):
            raise ModelMissing(f"the script has no embedding model {model}", "Set embeds in the script.")
        await _pause(self.script.delay_ms)
        return [bag_of_words(text, self.script.embeds) for text in texts]

    async def aclose(self) -> None:
        """Nothing to release."""

    async def _answer(self, request: Generate | Chat, prompt: str) -> AsyncGenerator[Delta | Finish]:
        script = self.script
        if script.state != "ready":
            raise FAULTS[_STATE_FAULTS[script.state]](f"the script says: {script.state}")
        if not request.max_tokens:
            await _pause(script.delay_ms)
            yield Finish("length", Usage(tokens(prompt), self._prefilled, 0))
            return
        rule = self._rule(request, prompt)
        await _pause(script.delay_ms if rule.delay_ms is None else rule.delay_ms)
        text, reason = _shorten(rule, request)
        token_ms = script.token_ms if rule.token_ms is None else rule.token_ms
        size = script.chunk_chars or max(1, len(text))
        for sent, start in enumerate(range(0, len(text), size)):
            if rule.fault and sent >= rule.fault_after:
                break
            if start:
                await _pause(token_ms)
            piece = text[start : start + size]
            self.counts.pieces += 1
            self.counts.generated_tokens += tokens(piece)
            yield Delta(piece)
        if rule.fault == "hang":
            await asyncio.Event().wait()
        if rule.fault:
            raise FAULTS[rule.fault](f"the script says: {rule.fault}")
        usage = Usage(tokens(prompt), self._prefilled, tokens(text))
        whole = _calls(rule) if reason == "stop" else ()
        yield Finish(reason, usage, whole, len(rule.calls) - len(whole))

    def _begin(self, request: Generate | Chat, prompt: str) -> None:
        counts = self.counts
        previous = counts.prompts[-1] if counts.prompts else ""
        self._prefilled = tokens(prompt[_common(previous, prompt) :])
        counts.calls += 1
        counts.prompt_tokens += tokens(prompt)
        counts.prefilled_tokens += self._prefilled
        counts.prompts.append(prompt)
        del counts.prompts[:-PROMPTS_KEPT_MAX]
        self._log({"event": "start", "prompt": prompt, "max_tokens": request.max_tokens})

    def _rule(self, request: Generate | Chat, prompt: str) -> Rule:
        if self._function is not None:
            return Rule(text=self._function(prompt))
        script, chat = self.script, isinstance(request, Chat)
        if isinstance(request, Chat):
            before, after = str(request.messages[-1]["content"]) if request.messages else "", ""
        else:
            before, after = take_apart(prompt, DIALECTS.get(script.dialect))
        for number, rule in enumerate(script.rules):
            used = self._used.get(number, 0)
            if rule.chat != chat or (rule.times and used >= rule.times):
                continue
            if _fits(rule, prompt, before, after):
                self._used[number] = used + 1
                return rule
        if chat:
            return Rule(text=script.chat_text)
        if script.document:
            return Rule(text=continuation(script.document, before))
        return Rule(text=script.text)

    def _log(self, record: dict[str, Any]) -> None:
        if self.script.log:
            with Path(self.script.log).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"call": self.counts.calls, **record}) + "\n")


def load(path: Path) -> Script:
    """The script in a file. Raises ValueError with a sentence for the user."""
    try:
        data = path.read_bytes()
        if len(data) > SCRIPT_BYTES_MAX:
            raise ValueError(f"larger than {SCRIPT_BYTES_MAX} bytes")
        raw = _json(data)
        if isinstance(raw, dict) and (name := cast(dict[str, Any], raw).pop("document_file", "")):
            raw["document"] = (path.parent / str(name)).read_bytes().decode("utf-8")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    script = parse(cast(object, raw))
    return replace(script, log=str(path.parent / script.log)) if script.log else script


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from error


def parse(raw: object) -> Script:
    """A Script from decoded JSON. Raises ValueError that names the key."""
    values = _record(raw, Script, "script")
    rules = cast(list[object], values.get("rules", []))
    if len(rules) > RULES_MAX:
        raise ValueError(f"rules: more than {RULES_MAX}")
    values["rules"] = tuple(_rule_of(rule, f"rules[{n}]") for n, rule in enumerate(rules))
    script = Script(**values)
    for rule in script.rules:
        if rule.fault not in ("", "hang", *FAULTS):
            raise ValueError(f"fault: expected one of hang, {', '.join(FAULTS)}")
    if script.state not in ("ready", *_STATE_FAULTS):
        raise ValueError(f"state: expected one of ready, {', '.join(_STATE_FAULTS)}")
    if script.dialect not in ("", *DIALECTS):
        raise ValueError(f"dialect: expected one of {', '.join(DIALECTS)}")
    return script


def _rule_of(raw: object, name: str) -> Rule:
    values = _record(raw, Rule, name)
    calls = tuple(cast(list[dict[str, Any]], values.pop("calls", [])))
    if not all(isinstance(call, dict) and {"name", "arguments"} == call.keys() for call in cast(list[object], calls)):
        raise ValueError(f"{name}.calls: expected objects with name and arguments")
    return replace(Rule(**values), calls=calls)


def _calls(rule: Rule) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(f"call_{n}", call["name"], call["arguments"]) for n, call in enumerate(rule.calls))


def take_apart(prompt: str, dialect: Dialect | None) -> tuple[str, str]:
    """The text before and after the cursor that a rendered prompt stands for; all of it is "before" without FIM."""
    if dialect is None or dialect.prefix.strip() not in prompt:
        return prompt, ""
    if dialect.order == "psm":
        head, _, typed = prompt.rpartition(dialect.middle)
        head, _, after = head.rpartition(dialect.suffix)
        return head.rpartition(dialect.prefix)[2] + typed, after
    head, _, before = prompt.rpartition(dialect.prefix)
    if dialect.middle:
        before = "".join(before.rpartition(dialect.middle)[::2])
    return before, head.rpartition(dialect.suffix)[2]


def continuation(document: str, before: str) -> str:
    """What follows in `document` at the place whose text agrees longest with the end of `before`; "" if none does."""
    line = before[before.rfind("\n") + 1 :] or before[-DOCUMENT_MATCH_CHARS_MAX:]
    best, best_length, at = "", 0, -1
    while line and (at := document.find(line, at + 1)) >= 0:
        end = at + len(line)
        length = _common_end(document[:end], before)
        if length > best_length:
            best, best_length = document[end:], length
    return best


def bag_of_words(text: str, size: int) -> tuple[float, ...]:
    """A vector of `size` numbers, each the count of some of the text's words."""
    counts = [0.0] * size
    for word in re.findall(r"[^\W_]+", text.casefold()):
        counts[crc32(word.encode("utf-8", "replace")) % size] += 1.0
    return tuple(counts)


def tokens(text: str) -> int:
    """How many tokens the scripted model counts for a text."""
    return -(-len(text) // CHARS_PER_TOKEN)


def _fits(rule: Rule, prompt: str, before: str, after: str) -> bool:
    return (
        before.endswith(rule.ends_with)
        and rule.contains in before
        and after.startswith(rule.after)
        and rule.prompt_contains in prompt
    )


def _shorten(rule: Rule, request: Generate | Chat) -> tuple[str, Reason]:
    """The rule's text up to the first stop string and the token limit, and why it ends there."""
    cuts = [at for stop in request.stop if stop and (at := rule.text.find(stop)) >= 0]
    text, reason = (rule.text[: min(cuts)], "stop") if cuts else (rule.text, rule.reason)
    most = request.max_tokens * CHARS_PER_TOKEN
    return (text[:most], "length") if len(text) > most else (text, reason)


async def _pause(milliseconds: int) -> None:
    if milliseconds > 0:
        await asyncio.sleep(milliseconds / 1000)


def _common(a: str, b: str) -> int:
    """Length of the common prefix, by halving: prompts are long and mostly equal."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_end(a: str, b: str) -> int:
    most = min(len(a), len(b), DOCUMENT_MATCH_CHARS_MAX)
    return next((n for n in range(most) if a[-1 - n] != b[-1 - n]), most)


def _record(raw: object, kind: type, name: str) -> dict[str, Any]:
    """The fields of `kind` in `raw`, types checked."""
    if not isinstance(raw, dict):
        raise ValueError(f"{name}: expected an object")
    defaults: Mapping[str, object] = {f.name: getattr(kind(), f.name) for f in fields(kind)}
    table = cast(dict[str, Any], raw)
    for key, value in table.items():
        if key not in defaults:
            raise ValueError(f"{name}.{key}: unknown key")
        default = defaults[key]
        wanted = cast("type[object]", list if isinstance(default, tuple) else int if default is None else type(default))
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ValueError(f"{name}.{key}: expected {wanted.__name__}")
    return dict(table)
