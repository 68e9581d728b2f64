"""OpenRouter on loopback, as its documents describe it: endpoints, refusals, streams, quotas, prices, and its faults.

It also is the capture proxy: every byte that arrives is kept as it came. A test scripts what the next generations do
with `Reply` (a generation as OpenRouter would stream it) or `Answer` (any bytes at all); unscripted ones get a plain
reply. What is refused is refused before a script is used, as the real one refuses before it routes.
"""

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backends.fake import SSE, Answer, Fake, js
from openrouter.account import MODELS, SESSION_CHARS_MAX, Account, Caches, Model, Refused, day_of, flat, tokens

BODY_BYTES_MAX = 4 * 1024 * 1024
DEFAULT_MAX_TOKENS = 1_024
BASE = "/api/v1"
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
COMMENT = b": OPENROUTER PROCESSING\n\n"
PIECE_CHARS = 12
RANDOM_FREE = "openrouter/free"


@dataclass
class Captured:
    """One request, byte for byte."""

    raw: bytes
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """One generation. `error` (code, message, error_type) ends it after `text`, with `finish_reason: "error"`.

    `tool_calls`: (id, name, arguments). `refuse`: an error answer instead, as a provider's failure would cause it.
    `comments` come before the first event; `pace_s` is waited before every event; `hang` never ends after the text.
    """

    text: str = "def add(a, b):\n    return a + b\n"
    finish: str = "stop"
    tool_calls: tuple[tuple[str, str, str], ...] = ()
    error: tuple[Any, str, str] | None = None
    refuse: Refused | None = None
    provider: str = ""
    comments: int = 2
    pace_s: float = 0.0
    hang: bool = False


@dataclass
class Plan:
    """A request that was let in: what will be answered and what it costs."""

    model: Model
    body: dict[str, Any]
    provider: str
    prompt_tokens: int
    cached_tokens: int
    generation: str
    reply: Reply
    cost: float = 0.0
    generated_tokens: int = 0

    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.generated_tokens,
            "total_tokens": self.prompt_tokens + self.generated_tokens,
            "cost": self.cost,
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens, "cache_write_tokens": 0},
            "cost_details": {"upstream_inference_cost": None},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    def settle(self, text: str) -> None:
        """Count what was generated. A cached token costs a tenth."""
        self.generated_tokens = tokens(text)
        fresh = self.prompt_tokens - self.cached_tokens + 0.1 * self.cached_tokens
        self.cost = fresh * self.model.prompt + self.generated_tokens * self.model.completion


@dataclass(eq=False)
class Emulator(Fake):
    """`async with Emulator() as router`; its address is `router.base_url`."""

    account: Account = field(default_factory=Account)
    models: tuple[Model, ...] = MODELS
    clock: Callable[[], float] = time.time
    """Epoch seconds, for quotas, caches and expiry."""
    seed: int = 0
    """Where an `Answer` is cut into pieces."""
    script: deque[Reply | Answer] = field(default_factory=deque)
    captured: list[Captured] = field(default_factory=list)
    generations: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__({}, self.seed)
        self._caches = Caches()
        self._numbers = itertools.count(1)

    @property
    def base_url(self) -> str:
        return f"{self.url}{BASE}"

    def then(self, *steps: Reply | Answer) -> None:
        """What the next generations do, in order."""
        self.script.extend(steps)

    @property
    def sent_bodies(self) -> list[Any]:
        """The JSON of every generation request that arrived."""
        return [seen.json for seen in self.captured if seen.path.endswith("/chat/completions")]

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        raw = line = await reader.readline()
        if not line:
            return False
        headers: dict[str, str] = {}
        while (header := await reader.readline()).strip():
            raw += header
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        raw += header
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, target = line.decode("latin-1").split()[:2]
        seen = Captured(raw + body, method, urlsplit(target).path, headers, body)
        self.captured.append(seen)
        try:
            answer = self._route(seen, parse_qs(urlsplit(target).query))
        except Refused as refused:
            answer = self._refusal(refused)
        if isinstance(answer, Plan):
            return await self._generate(answer, reader, writer)
        return await self._answer(answer, reader, writer)

    def _refusal(self, refused: Refused) -> Answer:
        return js(refused.body, f"{refused.status} X", headers=refused.headers)

    def _route(self, seen: Captured, query: dict[str, list[str]]) -> Answer | Plan:
        match seen.method, seen.path.removeprefix(BASE):
            case "GET", "/models":
                return js({"data": [m.entry() for m in self._listed(query)]})
            case "GET", "/models/user":
                self._authenticate(seen)
                return js({"data": [m.entry() for m in self._listed(query)]})
            case "GET", "/endpoints/zdr":
                listed = [{"model_id": m.id, "provider_name": m.providers[0]} for m in self._live() if m.zero_retention]
                return js({"data": listed})
            case "GET", "/key" | "/auth/key":
                self._authenticate(seen)
                return js({"data": self.account.status(self.clock())})
            case "GET", "/credits":
                self._authenticate(seen)
                raise Refused(403, "Only management keys can perform this operation")
            case "GET", "/generation":
                self._authenticate(seen)
                known = self.generations.get(query.get("id", [""])[0])
                if known is None:
                    raise Refused(404, "Generation not found")
                return js({"data": known})
            case "POST", "/chat/completions":
                return self._completion(seen)
        raise Refused(404, "Not Found")

    def _live(self) -> list[Model]:
        return [m for m in self.models if m.expires is None or m.expires > day_of(self.clock())]

    def _listed(self, query: dict[str, list[str]]) -> list[Model]:
        wanted = {p for value in query.get("supported_parameters", []) for p in value.split(",")}
        zero = query.get("zdr") == ["true"]
        return [m for m in self._live() if wanted <= set(m.parameters) and (m.zero_retention or not zero)]

    def _authenticate(self, seen: Captured) -> None:
        scheme, _, key = seen.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key:
            raise Refused(401, "No auth credentials found")
        if key != self.account.key:
            raise Refused(401, "User not found.")

    def _completion(self, seen: Captured) -> Answer | Plan:
        """In the real one's order: the key, the body's shape, the model, money or quota, the context, the provider."""
        self._authenticate(seen)
        if len(seen.body) > BODY_BYTES_MAX:
            raise Refused(413, "Request body too large", {"error_type": "payload_too_large"})
        body = self._checked(seen.body)
        model, provider = self._choose(body)
        prompt, marked = flat(body["messages"])
        room = body.get("max_tokens") or DEFAULT_MAX_TOKENS
        count = tokens(prompt) + tokens(json.dumps(body["tools"]) if body.get("tools") else "")
        if model.free:
            self.account.take_free(self.clock())
        else:
            self.account.afford(count * model.prompt + room * model.completion)
        if count + room > model.context:
            raise Refused(
                400,
                f"This endpoint's maximum context length is {model.context} tokens. However, you requested about"
                f" {count + room} tokens ({count} of text input, {room} in the output).",
                {"error_type": "context_length_exceeded", "provider_name": None},
            )
        step = self.script.popleft() if self.script else Reply()
        if isinstance(step, Answer):
            return step
        if step.refuse is not None:
            raise step.refuse
        session = body.get("session_id") or seen.headers.get("x-session-id", "")
        cached = self._caches.read(session, model, provider, prompt, marked, self.clock())
        return Plan(model, body, step.provider or provider, count, cached, f"gen-{next(self._numbers)}", step)

    def _checked(self, data: bytes) -> dict[str, Any]:
        """The body if its shape is right. Raises Refused 400."""
        try:
            body = json.loads(data)
        except ValueError:
            raise Refused(400, "Invalid JSON in request body") from None
        problems = {
            "body: expected object": lambda: isinstance(body, dict),
            "messages: expected a non-empty array": lambda: isinstance(body.get("messages"), list) and body["messages"],
            "messages.role: invalid": lambda: all(m.get("role") in ROLES for m in body["messages"]),
            "stream: expected boolean": lambda: isinstance(body.get("stream", False), bool),
            "max_tokens: expected a positive integer": lambda: is_count(body.get("max_tokens", 1)),
            "session_id: too long": lambda: len(body.get("session_id") or "") <= SESSION_CHARS_MAX,
            "models: expected array of strings": lambda: all(isinstance(m, str) for m in body.get("models", [])),
            "model: required": lambda: isinstance(body.get("model"), str) or body.get("models"),
            "tool_call_id: unknown": lambda: answers_only_calls(body["messages"]),
        }
        for problem, good in problems.items():
            if not good():
                raise Refused(400, f"Invalid request: {problem}", {"error_type": "invalid_request"})
        return body

    def _choose(self, body: dict[str, Any]) -> tuple[Model, str]:
        """The first model of the wish that exists and whose providers satisfy `provider`."""
        wishes = [body["model"]] if body.get("model") else []
        wishes += [m for m in body.get("models", []) if m not in wishes]
        rules = body.get("provider") or {}
        known = {m.id: m for m in self._live()}
        if wishes == [RANDOM_FREE]:
            # Any free model that can do what is asked for: here the first of them.
            free = [m.id for m in self._live() if m.free and m.id != RANDOM_FREE]
            able = {**rules, "require_parameters": True}
            return self._choose({**body, "model": None, "models": free, "provider": able})
        last = Refused(404, "No endpoints found", availability={"code": "no_endpoints", "retryable": False})
        for wish in wishes:
            model = known.get(wish)
            if model is None:
                ended = wish.endswith(":free")
                code = "free_variant_ended" if ended else "model_not_found"
                last = Refused(
                    404 if ended else 400,
                    f"No endpoints found for {wish}." if ended else f"{wish} is not a valid model ID",
                    availability={"code": code, "retryable": False, "retry_after": None, "fallback_models": []},
                )
                continue
            if (rules.get("data_collection") == "deny" and model.trains) or (
                rules.get("zdr") and not model.zero_retention
            ):
                last = Refused(
                    404,
                    "No endpoints found matching your data policy.",
                    availability={"code": "privacy_restricted", "retryable": False},
                )
                continue
            if rules.get("require_parameters") and not wanted_parameters(body) <= set(model.parameters):
                last = Refused(
                    404, "No endpoints found that can handle the requested parameters.",
                    availability={"code": "constraint_filtered", "retryable": False},
                )  # fmt: skip
                continue
            most = rules.get("max_price") or {}
            if model.prompt * 1e6 > most.get("prompt", 1e9) or model.completion * 1e6 > most.get("completion", 1e9):
                last = Refused(
                    404, "No endpoints found within max_price.", availability={"code": "constraint_filtered"}
                )
                continue
            only, ignore = rules.get("only"), rules.get("ignore", [])
            able = [p for p in model.providers if (not only or p in only) and p not in ignore]
            if able:
                order = rules.get("order", [])
                return model, next((p for p in order if p in able), able[0])
        raise last

    async def _generate(self, plan: Plan, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        reply = plan.reply
        plan.settle(reply.text + "".join(arguments for _, _, arguments in reply.tool_calls))
        if not plan.body.get("stream"):
            self._book(plan, cancelled=False)
            return await self._answer(js(whole(plan), headers=(f"X-Generation-Id: {plan.generation}",)), reader, writer)
        head = ("HTTP/1.1 200 OK", f"Content-Type: {SSE}", "Transfer-Encoding: chunked", "Cache-Control: no-cache")
        writer.write("\r\n".join((*head, f"X-Generation-Id: {plan.generation}")).encode() + b"\r\n\r\n")
        self._book(plan, cancelled=True)
        for event in events(plan):
            if reply.pace_s:
                await asyncio.sleep(reply.pace_s)
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
        if reply.hang:
            while await reader.read(1000):
                pass
            self.seen.gone.set()
            return False
        self._book(plan, cancelled=False)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _book(self, plan: Plan, *, cancelled: bool) -> None:
        """Record the generation. It is paid for when it begins: breaking off saves money with some providers only."""
        if plan.generation not in self.generations:
            self.account.pay(plan.cost)
        self.generations[plan.generation] = {
            "id": plan.generation,
            "model": plan.model.id,
            "provider_name": plan.provider,
            "total_cost": plan.cost,
            "native_tokens_prompt": plan.prompt_tokens,
            "native_tokens_completion": plan.generated_tokens,
            "native_tokens_cached": plan.cached_tokens,
            "native_tokens_reasoning": 0,
            "finish_reason": None if cancelled else plan.reply.finish,
            "cancelled": cancelled,
            "cache_discount": plan.cached_tokens * plan.model.prompt * 0.9,
        }


def is_count(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


def answers_only_calls(messages: list[dict[str, Any]]) -> bool:
    """Every tool message answers a call that an assistant message before it made."""
    made: set[str] = set()
    for message in messages:
        made |= {call["id"] for call in message.get("tool_calls") or []}
        if message["role"] == "tool" and message.get("tool_call_id") not in made:
            return False
    return True


def wanted_parameters(body: dict[str, Any]) -> set[str]:
    named = {"max_tokens", "temperature", "stop", "tools", "tool_choice", "response_format", "seed", "top_p"}
    return named & {name for name, value in body.items() if value is not None}


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(plan: Plan, delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "native_finish_reason": finish, "logprobs": None}
    choices = [] if delta is None else [choice]
    head = {"id": plan.generation, "provider": plan.provider, "model": plan.model.id}
    return frame({**head, "object": "chat.completion.chunk", "created": 1_790_000_000, "choices": choices, **more})


def events(plan: Plan) -> Iterator[bytes]:
    """The stream, event by event, in the order that OpenRouter sends it."""
    reply = plan.reply
    yield from itertools.repeat(COMMENT, reply.comments)
    yield chunk(plan, {"role": "assistant", "content": ""})
    for at in range(0, len(reply.text), PIECE_CHARS):
        yield chunk(plan, {"role": "assistant", "content": reply.text[at : at + PIECE_CHARS]})
    for index, (number, name, arguments) in enumerate(reply.tool_calls):
        first = {"index": index, "id": number, "type": "function", "function": {"name": name, "arguments": ""}}
        yield chunk(plan, {"role": "assistant", "content": None, "tool_calls": [first]})
        for at in range(0, len(arguments), PIECE_CHARS):
            piece = {"index": index, "function": {"arguments": arguments[at : at + PIECE_CHARS]}}
            yield chunk(plan, {"tool_calls": [piece]})
    if reply.hang:
        return
    if reply.error:
        code, message, kind = reply.error
        error = {"code": code, "message": message, "metadata": {"error_type": kind}}
        yield chunk(plan, {"content": ""}, "error", error=error)
        return
    finish = "tool_calls" if reply.tool_calls and reply.finish == "stop" else reply.finish
    yield chunk(plan, {"role": "assistant", "content": ""}, finish)
    yield chunk(plan, None, usage=plan.usage())
    yield b"data: [DONE]\n\n"


def whole(plan: Plan) -> dict[str, Any]:
    """The answer to a request that wants no stream."""
    message: dict[str, Any] = {"role": "assistant", "content": plan.reply.text, "refusal": None}
    if plan.reply.tool_calls:
        message["tool_calls"] = [
            {"id": number, "index": index, "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (number, name, arguments) in enumerate(plan.reply.tool_calls)
        ]
    choice = {"index": 0, "message": message, "finish_reason": plan.reply.finish, "logprobs": None}
    head = {"id": plan.generation, "provider": plan.provider, "model": plan.model.id, "object": "chat.completion"}
    return {**head, "created": 1_790_000_000, "choices": [choice], "usage": plan.usage()}
