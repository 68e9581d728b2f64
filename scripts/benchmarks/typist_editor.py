"""Who types: a person at the keys, and what asks for suggestions on their behalf.

The person types a key every KEY_S, waits LINE_END_S after Enter and after Tab, and looks at what is visible. It takes a
suggestion that is right up to the end of its first line that is not blank, if that was visible for NOTICED_S when the
next key was due; Tab comes REACTION_S after it appeared. What is taken and goes wrong in a later line is deleted
REPAIR_S later, back to the start of that line. Indentation and brackets are typed as they are in the file: the editor
adds none.

The editor is VS Code as far as the server sees it: didChange, `$/cancelRequest` for what is not answered yet, and the
next request EDITOR_DELAY_S later; after Tab the change, the suggestion's command, and a request. What is visible stays
while the keys agree with it, until the next answer comes; that answer must begin with the rest of it.
"""

import asyncio
import json
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import httpx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "lsp")]

from lsp_client import Client, environment, frame  # noqa: E402
from typist_sim import DIALECT, Oracle, SimServer  # noqa: E402
from typist_traces import Trace  # noqa: E402

Mode = Literal["hearth", "off", "naive"]

SEED = 1
KEY_S = (0.08, 0.18)
LINE_END_S = (0.3, 0.9)
REACTION_S = (0.25, 0.35)
NOTICED_S = 0.15
REPAIR_S = (0.4, 0.8)
EDITOR_DELAY_S = 0.005
OPENED_S = 2.0
"""From opening the file to the first key."""
READY_S = 20.0
DEBOUNCE_S = 0.3
NAIVE_TOKENS = 64
NAIVE_BEFORE_CHARS, NAIVE_AFTER_CHARS = 8_000, 2_000
TAB_CHARS_MIN = 2
REST_AT = 0.4
PAIRS = {"(": ")", "[": "]", "{": "}"}
INDENT = {"python": "    ", "typescript": "  "}


@dataclass(frozen=True)
class Habits:
    """What may be otherwise: `delay_s` from didChange to the request; `rest_s` of thinking, once, at the end of a line
    when REST_AT of the text is done; `helps`: the editor closes brackets and indents new lines, as VS Code does unless
    told otherwise. Brackets that it closed are typed over, or stepped over where they stand on a line of their own; an
    indentation that is too deep is taken back with one key."""

    name: str = ""
    delay_s: float = EDITOR_DELAY_S
    rest_s: float = 0.0
    helps: bool = False


@dataclass
class Ghost:
    """Suggested text that is visible: what is still to come of it, in place of `over` characters after the cursor."""

    text: str
    over: int
    since: float
    id: str = ""


@dataclass
class Key:
    """One key and what came of it."""

    at: float
    kind: Literal["key", "tab", "repair"]
    char: str = ""
    loss: str = ""
    """Why a typed character did not come by Tab."""
    visible_ms: float | None = None
    """When a suggestion was visible, if that was before the next key."""


@dataclass
class Run:
    """A trace as it went in one mode."""

    trace: Trace
    mode: Mode
    oracle: Oracle
    sim: SimServer
    habits: Habits = Habits()
    keys: list[Key] = field(default_factory=list)
    by_tab: int = 0
    """Characters of the finished hunk that came by Tab."""
    shown_typed: int = 0
    """Characters typed although, or just before, a suggestion that agreed was seen."""
    repaired: int = 0
    vanished: list[str] = field(default_factory=list)
    requests: int = 0
    final: str = ""
    first_key: float = 0.0
    last_key: float = 0.0
    late_s: list[float] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[float, str]] = field(default_factory=list)

    def log(self, text: str) -> None:
        self.events.append((asyncio.get_running_loop().time(), text))


class Helper(Protocol):
    """What asks for suggestions on behalf of the editor: a language server, or the naive client."""

    def changed(self, before: str, begin: int, end: int, text: str) -> None:
        """`text` replaced `[begin, end)` of the document, which was `before`."""
        ...

    def accepted(self, suggestion: str) -> None: ...


class Typist:
    """Types a trace. `show` is called by a helper whenever the newest request is answered."""

    def __init__(self, run: Run) -> None:
        trace = run.trace
        self.run = run
        self.text = trace.target[: trace.start] + trace.target[trace.end :]
        self.cursor = trace.start
        self.done = 0
        """Characters of the hunk that stand in the document."""
        self.ghost: Ghost | None = None
        self.expected = ""
        """What the answer to the last key must still show, because that key agreed with what was visible."""
        self.ahead = ""
        """Closing brackets that the editor put after the cursor."""
        self.answered = False
        self.news = asyncio.Event()
        self.helper: Helper | None = None
        self._rest_s = run.habits.rest_s
        self._dice = random.Random(f"{SEED} {trace.name}")
        self._loop = asyncio.get_running_loop()

    @property
    def rest(self) -> str:
        return self.run.trace.hunk[self.done :]

    # What is seen

    def show(self, text: str, over: int, suggestion: str) -> None:
        """The answer to the newest request: text at the cursor, "" for nothing."""
        now = self._loop.time()
        self.answered = True
        self.run.log(f"shown {text[:60]!r}")
        if self.expected and not text.startswith(self.expected):
            self.run.vanished.append(f"{self.expected[:40]!r} -> {text[:40]!r} at {self.text[: self.cursor][-20:]!r}")
            self.run.log("VANISHED")
        self.expected = ""
        if not text:
            self.ghost = None
            return
        since = self.ghost.since if self.ghost and self.ghost.text == text else now
        self.ghost = Ghost(text, over, since, suggestion)
        if self.run.keys and self.run.keys[-1].visible_ms is None:
            self.run.keys[-1].visible_ms = (now - self.run.keys[-1].at) * 1000
        self.news.set()

    def agrees(self) -> bool:
        """Whether what is visible is right up to the end of its first line that is not blank."""
        if not self.ghost:
            return False
        text, rest = self.ghost.text, self.rest + "\n"
        first = text[: text.find("\n", len(text) - len(text.lstrip()))] if "\n" in text.strip() else text.rstrip()
        return len(first) >= TAB_CHARS_MIN and rest.startswith(first)

    # What is done

    async def type_all(self) -> None:
        """From the first key to the last."""
        run = self.run
        run.first_key = due = self._loop.time()
        while self.rest:
            if "\n" in self.ahead and (self.rest + "\n").startswith(self.ahead + "\n"):
                self._step_over()
            elif await self._wait(due):
                stray = self._tab()
                if stray:
                    await asyncio.sleep(self._dice.uniform(*REPAIR_S))
                    self._repair(stray)
            else:
                self._key()
            ended = run.keys[-1].kind == "tab" or run.keys[-1].char == "\n"
            if self._rest_s and ended and self.done > REST_AT * len(run.trace.hunk):
                await asyncio.sleep(self._rest_s)  # whatever is visible meanwhile
                self._rest_s = 0.0
            due = self._loop.time() + self._pause()
        if self.ahead:
            self._edit(self.cursor, self.cursor + len(self.ahead), "")
            run.repaired += len(self.ahead)
        await asyncio.sleep(due - self._loop.time())
        run.last_key = self._loop.time()
        run.final = self.text

    def _pause(self) -> float:
        last = self.run.keys[-1]
        return self._dice.uniform(*(LINE_END_S if last.kind != "key" or last.char == "\n" else KEY_S))

    async def _wait(self, due: float) -> bool:
        """Until the next action; whether it is Tab. What was seen in time before the next key is due stops the
        fingers; a longer pause is cut short by it."""
        begun = self._loop.time()
        reaction = self._dice.uniform(*REACTION_S)
        while True:
            until, tab = due, False
            if self.ghost and self.agrees() and self.ghost.since + NOTICED_S <= due:
                until, tab = max(begun + KEY_S[0], self.ghost.since + reaction), True
            now = self._loop.time()
            if now >= until:
                self.run.late_s.append(now - until if until > begun else 0.0)
                return tab
            self.news.clear()
            try:
                async with asyncio.timeout(until - now):
                    await self.news.wait()
            except TimeoutError:
                pass

    def _key(self) -> None:
        run, char = self.run, self.rest[0]
        key = Key(self._loop.time(), "key", char, self._loss())
        run.keys.append(key)
        run.log(f"key {char!r} ({key.loss})")
        ghost = self.ghost
        if ghost and ghost.text.startswith(char):
            run.shown_typed += 1
            ghost.text = ghost.text[1:]
            self.expected = ghost.text.rstrip()
        else:
            self.expected = ""
            self.ghost = None
        if ghost and not ghost.text.strip():
            self.ghost, self.expected = None, ""
        self.done += 1
        if run.habits.helps:
            self._helped(char)
        else:
            self._edit(self.cursor, self.cursor, char)

    def _helped(self, char: str) -> None:
        """One key in an editor that closes brackets and indents."""
        if self.ahead.startswith(char):
            self.ahead = self.ahead[1:]
            self._edit(self.cursor, self.cursor + 1, char)
        elif char in PAIRS:
            self._edit(self.cursor, self.cursor, char + PAIRS[char], 1)
            self.ahead = PAIRS[char] + self.ahead
        elif char == "\n" and not self.rest.startswith("\n"):
            line = self.text[self.text.rfind("\n", 0, self.cursor) + 1 : self.cursor]
            indent = line[: len(line) - len(line.lstrip())]
            opened = bool(self.ahead) and PAIRS.get(line[-1:]) == self.ahead[0]
            deeper = indent + (INDENT[self.run.trace.language] if opened or line.endswith((":", "{", "(", "[")) else "")
            after = f"\n{indent}" if opened else ""
            if self.ghost and deeper and self.ghost.text.startswith(deeper):
                self.ghost.text = self.ghost.text[len(deeper) :]
                self.expected = self.ghost.text.rstrip()
            elif deeper:
                self.ghost, self.expected = None, ""
            self._edit(self.cursor, self.cursor, char + deeper + after, len(after))
            self.ahead = after + self.ahead
            wanted = len(self.rest) - len(self.rest.lstrip(" "))
            self.done += min(wanted, len(deeper))
            if wanted < len(deeper):
                self.run.keys.append(Key(self._loop.time(), "repair"))
                self.ghost, self.expected = None, ""
                self._edit(self.cursor - (len(deeper) - wanted), self.cursor, "")
        else:
            self._edit(self.cursor, self.cursor, char)

    def _step_over(self) -> None:
        """Move the cursor behind what the editor closed: not a change, so nothing is asked."""
        self.run.log(f"steps over {self.ahead!r}")
        self.cursor += len(self.ahead)
        self.done += len(self.ahead)
        self.ahead, self.ghost, self.expected = "", None, ""

    def _loss(self) -> str:
        """Why the next character is typed by hand."""
        run = self.run
        if run.oracle.errs_at(run.trace.start + self.done):
            return "oracle"
        if not self.ghost:
            if not any(job.read for job in run.sim.jobs):
                return "cold"
            where = "line end, " if self.rest.startswith("\n") else ""
            return where + ("silent" if self.answered else "late")
        if self.agrees():
            return "unnoticed"
        return "cut short" if (self.rest + "\n").startswith(self.ghost.text) else "unlike"

    def _tab(self) -> int:
        """Take what is visible; how many characters at its end are wrong and must go again."""
        run, ghost = self.run, self.ghost
        assert ghost
        run.keys.append(Key(self._loop.time(), "tab"))
        run.log(f"TAB {ghost.text!r}")
        text, rest = ghost.text, self.rest
        right = next((n for n, (a, b) in enumerate(zip(text, rest, strict=False)) if a != b), min(len(text), len(rest)))
        if right < min(len(text), len(rest)):
            right = text.rfind("\n", 0, right) + 1  # A line that went wrong is taken out whole.
        run.by_tab += right
        self.ghost, self.expected = None, ""
        self.done += right
        self.ahead = self.ahead[ghost.over :]
        self._edit(self.cursor, self.cursor + ghost.over, text)
        assert self.helper
        self.helper.accepted(ghost.id)
        return len(text) - right

    def _repair(self, stray: int) -> None:
        self.run.keys.append(Key(self._loop.time(), "repair"))
        self.run.log(f"repair {stray}")
        self.run.repaired += stray
        self.ghost, self.expected = None, ""
        self._edit(self.cursor - stray, self.cursor, "")

    def _edit(self, begin: int, end: int, text: str, back: int = 0) -> None:
        """`text` in place of `[begin, end)`; the cursor goes behind it, or `back` characters less far."""
        before = self.text
        self.text = before[:begin] + text + before[end:]
        self.cursor = begin + len(text) - back
        self.answered = False
        assert self.helper
        self.helper.changed(before, begin, end, text)


class Editor(Client):
    """A language client as VS Code is one: after each change it cancels the request that is not answered yet, and asks
    again a moment later."""

    def __init__(self, process: asyncio.subprocess.Process, typist: Typist, uri: str) -> None:
        super().__init__(process)
        self.typist = typist
        self.uri = uri
        self._version = 1
        self._ids = 1_000_000
        self._open: int | None = None
        self._commands: dict[str, Any] = {}
        self._timer: asyncio.TimerHandle | None = None

    def changed(self, before: str, begin: int, end: int, text: str) -> None:
        self._version += 1
        change = {"range": {"start": position(before, begin), "end": position(before, end)}, "text": text}
        document = {"uri": self.uri, "version": self._version}
        self._say("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})
        if self._open is not None:
            self._say("$/cancelRequest", {"id": self._open})
            self._open = None
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self.typist.run.habits.delay_s, self._ask)

    def accepted(self, suggestion: str) -> None:
        command = self._commands[suggestion]
        self._ids += 1
        self.asked.add(self._ids)
        self._say(
            "workspace/executeCommand",
            {"command": command["command"], "arguments": command.get("arguments", [])},
            id=self._ids,
        )

    def _ask(self) -> None:
        self._timer = None
        self._ids += 1
        self._open = self._ids
        self.asked.add(self._ids)
        self.typist.run.requests += 1
        where = position(self.typist.text, self.typist.cursor)
        params = {"textDocument": {"uri": self.uri}, "position": where, "context": {"triggerKind": 1}}
        self._say("textDocument/inlineCompletion", params, id=self._ids)

    def _say(self, method: str, params: Any, **more: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(frame({"jsonrpc": "2.0", "method": method, "params": params, **more}))

    async def _take(self, message: dict[str, Any]) -> None:
        if self._open is not None and message.get("id") == self._open and "method" not in message:
            self._open = None
            result = message.get("result") or {}
            self._answer(result.get("items", []) if isinstance(result, dict) else result)
        await super()._take(message)

    def _answer(self, items: list[dict[str, Any]]) -> None:
        typist = self.typist
        if not items:
            typist.show("", 0, "")
            return
        item = items[0]
        begin, end = (offset(typist.text, item["range"][name]) for name in ("start", "end"))
        typed = typist.text[begin : typist.cursor]
        if begin > typist.cursor or end < typist.cursor or not item["insertText"].startswith(typed):
            typist.run.log(f"not shown: {item}")
            typist.show("", 0, "")
            return
        name = str(self._ids)
        self._commands = {name: item["command"]}
        typist.show(item["insertText"][len(typed) :], end - typist.cursor, name)


class Naive:
    """The plain client: a fixed wait after each key, the prompt rebuilt as prefix, suffix, middle, one line, no memory;
    at least it cancels what it does not want any more."""

    def __init__(self, typist: Typist, url: str, client: httpx.AsyncClient) -> None:
        self._typist = typist
        self._url = url
        self._client = client
        self._task: asyncio.Task[None] | None = None

    def changed(self, before: str, begin: int, end: int, text: str) -> None:
        self.stop()
        self._task = asyncio.create_task(self._ask())

    def accepted(self, suggestion: str) -> None:
        """It does not care."""

    def stop(self) -> None:
        if self._task:
            self._task.cancel()

    async def _ask(self) -> None:
        await asyncio.sleep(DEBOUNCE_S)
        typist = self._typist
        typist.run.requests += 1
        before = typist.text[max(0, typist.cursor - NAIVE_BEFORE_CHARS) : typist.cursor]
        after = typist.text[typist.cursor : typist.cursor + NAIVE_AFTER_CHARS]
        body = {
            "prompt": f"{DIALECT.prefix}{before}{DIALECT.suffix}{after}{DIALECT.middle}",
            "n_predict": NAIVE_TOKENS,
            "stop": ["\n"] if before[-1:] != "\n" else ["\n\n"],
            "stream": True,
            "cache_prompt": True,
        }
        text = ""
        async with self._client.stream("POST", f"{self._url}/completion", json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    text += json.loads(line[6:])["content"]
        typist.show(text, 0, "")


def position(text: str, at: int) -> dict[str, int]:
    start = text.rfind("\n", 0, at) + 1
    return {"line": text.count("\n", 0, at), "character": len(text[start:at].encode("utf-16-le")) // 2}


def offset(text: str, where: dict[str, int]) -> int:
    start = 0
    for _ in range(where["line"]):
        start = text.index("\n", start) + 1
    line = text[start : text.find("\n", start) if "\n" in text[start:] else len(text)]
    return start + len(line.encode("utf-16-le")[: where["character"] * 2].decode("utf-16-le"))


async def hearth(run: Run, typist: Typist) -> None:
    """Type with a language server of its own, fresh."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "config").mkdir()
        (home / "config" / "settings.toml").write_text(
            f'[[backends]]\nkind = "llamacpp"\nurl = "{run.sim.url}"\n\n[index]\nenabled = false\n'
        )
        command = [str(HERE / "typist_server.py")] if run.mode == "off" else ["-m", "hearth"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "serve",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment(home), cwd=home,
        )  # fmt: skip
        uri = (home / "work" / run.trace.path).as_uri()
        editor = Editor(process, typist, uri)
        try:
            await editor.initialize()
            await editor.open(uri, typist.text, run.trace.language)
            async with asyncio.timeout(READY_S):
                while not (await editor.request("hearth/status")).get("completion", {}).get("model"):
                    await asyncio.sleep(0.05)
            await asyncio.sleep(OPENED_S)
            typist.helper = editor
            await typist.type_all()
            run.status = await editor.request("hearth/status")
            await editor.stop()
        finally:
            await editor.kill()


async def naive(run: Run, typist: Typist) -> None:
    async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
        helper = Naive(typist, run.sim.url, client)
        typist.helper = helper
        await typist.type_all()
        helper.stop()


async def typed(trace: Trace, mode: Mode, habits: Habits = Habits()) -> Run:
    """One trace in one mode."""
    oracle = Oracle(trace.target, trace.start, trace.end, SEED)
    async with SimServer(oracle) as sim:
        run = Run(trace, mode, oracle, sim, habits)
        typist = Typist(run)
        await (naive if mode == "naive" else hearth)(run, typist)
        return run
