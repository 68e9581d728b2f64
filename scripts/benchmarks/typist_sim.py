"""A model server that is simulated: llama-server's wire format over an explicit cost model and an oracle.

Cost model: the prompt is read at PREFILL_TOKENS_PER_S in batches of BATCH_TOKENS, text is written at
DECODE_TOKENS_PER_S, one token at a time. There is one slot, first come, first served. The slot keeps the tokens of its
last prompt and of what it wrote after it; a new prompt is read from the first token on that differs (at least its last
token, as llama.cpp does). A client that closes its connection stops the work at the end of the batch or token that is
being computed, and leaves the queue at once.

Tokens: TOKEN cuts a text from left to right: a model's special token; a word piece of up to WORD_CHARS letters with the
space before it; up to 3 digits; up to 3 marks of punctuation; a line break; up to 16 spaces. It looks at nothing but
what follows, so text that is appended changes at most the last token, as with the tokenizers of real models. Written
tokens are kept as they were written: a prompt that later contains the same text cut otherwise (the cursor stood inside
a word) differs from them there, as it does in llama.cpp.

Oracle: it knows the finished file, finds the place whose text ends like the prompt's text before the cursor, and
answers with the rest of the hunk that is being typed. ERROR_RATE of the lines go wrong: each of those has one fixed
place, evenly spread over the line, from which on the oracle writes other code of about the same length, taken from
another line of the same file. As long as the cursor is not past that place it gives the same wrong line again, however
often it is asked; behind it, it is right. So a client that shows everything at once can give at most a share of
1 - ERROR_RATE / 2 of the characters, about 85 %: half of each wrong line has to be typed.
"""

import asyncio
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hearth.backends.scripted import take_apart
from hearth.core.dialect import DIALECTS, PROBE_TOKENS

PREFILL_TOKENS_PER_S = 400
DECODE_TOKENS_PER_S = 40
BATCH_TOKENS = 64
CONTEXT_TOKENS = 8_192
ERROR_RATE = 0.3
WORD_CHARS = 6
DIALECT = DIALECTS["qwen"]
MATCH_CHARS_MIN = 40
STRAY_LINES_MAX = 12
REQUEST_BYTES_MAX = 4_000_000
NOT_SUPPORTED = {"error": {"code": 501, "message": "not supported", "type": "not_supported_error"}}

_SPECIAL = re.compile("(" + "|".join(re.escape(token) for token in DIALECT.tokens) + ")")
TOKEN = re.compile(
    rf" ?[^\W\d_]{{1,{WORD_CHARS}}}|_[^\W\d_]{{0,{WORD_CHARS}}}| ?\d{{1,3}}| ?[^\w\s]{{1,3}}|\n"
    r"| {1,16}(?! ?\S)| {1,16}(?= )|\s|."
)


def tokens_of(text: str) -> list[str]:
    """The tokens of a text; joined they are the text."""
    result: list[str] = []
    for number, part in enumerate(_SPECIAL.split(text)):
        result += [part] if number % 2 else TOKEN.findall(part)
    return result


def common(a: list[str], b: list[str]) -> int:
    """How many tokens two lists begin with in common."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class Oracle:
    """See the module docstring. `target` is the finished file; the hunk is `target[start:end]`, whole lines without
    the last line's ending. `wrong`: line number -> (offset in `target` from which on it is wrong, the wrong rest)."""

    def __init__(self, target: str, start: int, end: int, seed: int, rate: float = ERROR_RATE) -> None:
        self.target, self.start, self.end = target, start, end
        self.line_starts = [0, *(m.end() for m in re.finditer("\n", target))]
        self.first = target.count("\n", 0, start)
        self.last = target.count("\n", 0, end)
        dice = random.Random(f"{seed} {target[start:end]}")
        numbers = [n for n in range(self.first, self.last + 1) if self.line(n).strip()]
        dice.shuffle(numbers)
        chosen = sorted(numbers[: round(rate * len(numbers))])
        # Where in the line it goes wrong: spread evenly, so that a short hunk is no easier than a long one.
        shares = [(n + dice.random()) / max(1, len(chosen)) for n in range(len(chosen))]
        dice.shuffle(shares)
        self.wrong: dict[int, tuple[int, str]] = {}
        for number, share in zip(chosen, shares, strict=True):
            column = int(share * len(self.line(number)))
            self.wrong[number] = (self.line_starts[number] + column, self._other(number, column, dice))

    def line(self, number: int) -> str:
        """A line of the finished file, without its ending."""
        ends = self.line_starts[number + 1] - 1 if number + 1 < len(self.line_starts) else len(self.target)
        return self.target[self.line_starts[number] : ends]

    def errs_at(self, offset: int) -> bool:
        """Whether the rest of the line at this offset of the finished file would be answered wrongly."""
        found = self.wrong.get(self.target.count("\n", 0, offset))
        return found is not None and offset <= found[0]

    def unavoidable(self) -> int:
        """Characters that must be typed whatever the client does: up to and with the one where each line goes wrong."""
        return sum(at + 1 - self.line_starts[number] for number, (at, _) in self.wrong.items())

    def locate(self, before: str) -> tuple[int, str] | None:
        """(offset in the finished file of a cursor with `before` in front of it, what to write first).

        After lines that are not the file's (a wrong suggestion that was taken) it goes on with the line after them.
        None if the place is not in the hunk.
        """
        lines = before.split("\n")
        for dropped in range(min(STRAY_LINES_MAX + 1, len(lines))):
            text = "\n".join(lines[:-dropped]) + "\n" if dropped else before
            offset = self._ends_like(text)
            if offset is None:
                continue
            if not dropped:
                return offset, ""
            whole = before.endswith("\n")
            number = min(self.target.count("\n", 0, offset) + dropped - whole, self.last)
            return self.line_starts[number], "" if whole else "\n"
        return None

    def _ends_like(self, text: str) -> int | None:
        """Where in the hunk the text before agrees longest with `text`: with its last two lines at the least."""
        need = min(len(text), max(MATCH_CHARS_MIN, len(text) - text.rfind("\n", 0, max(0, text.rfind("\n"))) - 1))
        best, length = None, need - 1
        tail = text[-need:]
        for offset in range(self.start, self.end + 1):
            if self.target.endswith(tail, 0, offset) and (agreed := _common_end(self.target, offset, text)) > length:
                best, length = offset, agreed
        return best

    def answer(self, before: str) -> tuple[int | None, str]:
        """(offset of the place, what the model would write there, to the end of the hunk)."""
        found = self.locate(before)
        if found is None:
            return None, ""
        offset, lead = found
        pieces: list[str] = []
        for number in range(self.target.count("\n", 0, offset), self.last + 1):
            begin = max(offset, self.line_starts[number])
            end = self.line_starts[number] + len(self.line(number))
            error = self.wrong.get(number)
            if error and begin <= error[0]:
                pieces.append(self.target[begin : error[0]] + error[1])
            else:
                pieces.append(self.target[begin:end])
        return offset, lead + "\n".join(pieces)

    def _other(self, number: int, column: int, dice: random.Random) -> str:
        """Other code in place of a line's rest: from a line of this file, about as long, another first character."""
        truth = self.line(number)[column:]
        lines = [self.line(n).strip() for n in range(len(self.line_starts))]
        code = re.compile(r"^(?![#*/]).*\w[=(.\[{ ].*[\w)\]};:,]$")
        pool = [line for line in lines if len(line) >= 8 and code.match(line) and re.search(r"[=(.\[{]", line)]
        for _ in range(200):
            line = dice.choice(pool or ["pass_on()"])
            begin = dice.randrange(max(1, len(line) - len(truth))) if len(truth) < len(line) else 0
            begin = next((m.start() for m in re.finditer(r"\b\w", line) if m.start() >= begin), 0)
            text = line[begin : begin + max(4, len(truth) + 4)].rstrip()
            if len(text) >= 3 and text[0] not in (truth[:1], " "):
                return text
        return "never()" if truth[:1] != "n" else "other()"


def _common_end(target: str, offset: int, text: str) -> int:
    most = min(offset, len(text), 2_000)
    return next((n for n in range(most) if target[offset - 1 - n] != text[-1 - n]), most)


@dataclass
class Job:
    """One request and what became of it. Times are the event loop's. `offset`: the place in the finished file."""

    asked: float
    prompt: int = 0
    head: int = 0
    """Tokens of the prompt up to and with the token after which the model writes: what stays while one types."""
    cached: int = 0
    prefilled: int = 0
    decoded: int = 0
    chars: int = 0
    began: float = 0.0
    read: float = 0.0
    """When its prompt was read; 0 if that did not come to pass."""
    ended: float = 0.0
    outcome: str = "queued"
    offset: int | None = None
    text: str = ""
    limit: int = 0


@dataclass
class Slot:
    """The one sequence that the server holds, and who is at it."""

    tokens: list[str] = field(default_factory=list)
    free: asyncio.Lock = field(default_factory=asyncio.Lock)


class SimServer:
    """`async with SimServer(oracle) as sim`; its `url` is what a client connects to, `jobs` what it did."""

    def __init__(self, oracle: Oracle, speed: float = 1.0) -> None:
        self.oracle = oracle
        self.jobs: list[Job] = []
        self.late_s: list[float] = []
        self._prefill_s = 1 / PREFILL_TOKENS_PER_S / speed
        self._decode_s = 1 / DECODE_TOKENS_PER_S / speed
        self._slot = Slot()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "SimServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=REQUEST_BYTES_MAX)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def busy_s(self, begin: float, end: float) -> float:
        """Seconds between two times in which the slot was working."""
        return sum(max(0.0, min(j.ended, end) - max(j.began, begin)) for j in self.jobs if j.began)

    # HTTP

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass  # Only `__aexit__` cancels.
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = await reader.readline()
        if not line:
            return False
        length = 0
        while (header := await reader.readline()).strip():
            name, _, value = header.decode().partition(":")
            if name.strip().lower() == "content-length":
                length = int(value)
        body = json.loads(await reader.readexactly(length)) if length else {}
        path = line.split()[1].decode().partition("?")[0]
        if path in ("/completion", "/completions"):
            return await self._completion(body, reader, writer)
        status, value = self._plain(path, body)
        data = json.dumps(value).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        return True

    def _plain(self, path: str, body: Any) -> tuple[str, Any]:
        model = "qwen2.5-coder-1.5b-simulated.gguf"
        if path == "/health":
            return "200 OK", {"status": "ok"}
        if path == "/props":
            return "200 OK", {
                "default_generation_settings": {"n_ctx": CONTEXT_TOKENS, "params": {}},
                "total_slots": 1,
                "model_alias": model,
                "model_path": f"/models/{model}",
                "chat_template": "",
            }
        if path == "/tokenize":
            pieces = tokens_of(str(body.get("content", "")))
            return "200 OK", {"tokens": [{"id": hash(p) % 150_000, "piece": p} for p in pieces]}
        if path == "/v1/models":
            meta = {"n_ctx": CONTEXT_TOKENS, "n_ctx_train": 32_768}
            return "200 OK", {"object": "list", "data": [{"id": model, "owned_by": "llamacpp", "meta": meta}]}
        if path.startswith("/slots"):
            return "501 Not Implemented", NOT_SUPPORTED
        return "404 Not Found", {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}

    async def _completion(self, body: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """True if the connection can be used again."""
        stream, started = body.get("stream") is True, False
        whole: dict[str, Any] = {}
        text = ""
        gone = asyncio.create_task(reader.read(1), name="client gone")
        try:
            async for value in self._events(body, gone):
                whole = value
                text += value["content"]
                if not stream or (value.get("prompt_progress") and body.get("return_progress") is not True):
                    continue
                if not started:
                    started = True
                    writer.write(
                        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                    )
                _chunk(writer, b"data: " + json.dumps(value).encode() + b"\n\n")
            if gone.done():
                return False
            if stream:
                _chunk(writer, b"")
            else:
                data = json.dumps({**whole, "content": text}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
            await writer.drain()
            return True
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    # The model

    async def _events(self, body: Any, gone: "asyncio.Task[bytes]") -> Any:
        """What is streamed for one request; ends early when the client is gone."""
        loop = asyncio.get_running_loop()
        job = Job(loop.time(), limit=int(body.get("n_predict", -1)))
        self.jobs.append(job)
        prompt = tokens_of(str(body["prompt"]))
        job.prompt = len(prompt)
        job.head = prompt.index(DIALECT.middle) + 1 if DIALECT.middle in prompt else len(prompt)
        before, _ = take_apart(str(body["prompt"]), DIALECT)
        turn = asyncio.create_task(self._slot.free.acquire())
        try:
            await asyncio.wait((turn, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not turn.done():
                turn.cancel()
        if not turn.done() or turn.cancelled():
            job.outcome, job.ended = "left the queue", loop.time()
            return
        try:
            if gone.done():
                job.outcome = "left the queue"
                return
            job.began, job.outcome = loop.time(), "cancelled"
            job.offset, text = self.oracle.answer(before)
            async for value in self._computed(job, prompt, text, body):
                if value is not None:
                    yield value
                if gone.done():
                    return
            job.outcome = "done"
        finally:
            job.ended = loop.time()
            self._slot.free.release()

    async def _computed(self, job: Job, prompt: list[str], text: str, body: Any) -> Any:
        """Read the prompt and write the answer at the rates of the cost model; None where nothing is to be sent."""
        loop = asyncio.get_running_loop()
        slot = self._slot.tokens
        due = loop.time()
        job.cached = min(common(slot, prompt), len(prompt) - 1) if body.get("cache_prompt", True) else 0
        del slot[job.cached :]
        while len(slot) < len(prompt):
            batch = prompt[len(slot) : len(slot) + BATCH_TOKENS]
            due += len(batch) * self._prefill_s
            await self._until(due)
            slot += batch
            job.prefilled += len(batch)
            progress = {"total": len(prompt), "cache": job.cached, "processed": len(slot), "time_ms": 0}
            yield {**_event("", job), "prompt_progress": progress}
        job.read = loop.time()
        limit = job.limit if job.limit >= 0 else CONTEXT_TOKENS
        kind = "eos"
        text, stopped = _cut(text, body.get("stop") or [])
        if stopped:
            kind = "word"
        for token in _limited(tokens_of(text), limit):
            due += self._decode_s
            await self._until(due)
            slot.append(token)
            job.decoded += 1
            job.chars += len(token)
            job.text += token
            yield _event(token, job)
        if job.decoded >= limit:
            kind = "limit"
        elif limit:
            due += self._decode_s  # The token that says that it is over.
            await self._until(due)
            job.decoded += 1
        timings = {"cache_n": job.cached, "prompt_n": job.prefilled, "predicted_n": job.decoded}
        yield {**_event("", job), "stop": True, "stop_type": kind, "truncated": False, "timings": timings}

    async def _until(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(due - loop.time())
        self.late_s.append(loop.time() - due)


def _cut(text: str, stops: list[str]) -> tuple[str, bool]:
    cuts = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return (text[: min(cuts)], True) if cuts else (text, False)


def _limited(tokens: list[str], limit: int) -> Iterator[str]:
    yield from tokens[:limit]


def _event(text: str, job: Job) -> dict[str, Any]:
    return {
        "index": 0,
        "content": text,
        "tokens": [],
        "stop": False,
        "id_slot": 0,
        "tokens_predicted": job.decoded,
        "tokens_evaluated": job.prompt,
    }


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


assert set(DIALECT.fim_tokens) <= set(PROBE_TOKENS)
