"""Scripted models of several strengths, as somebody to ask: `Ask` of hearth.agent.base.

What a model is able to do comes from the scenario's solution: that is its intelligence. What it reacts to comes through
the messages of a request and nowhere else. It remembers nothing between requests, so it can be asked by another process
after the first was killed. The same request always gets the same answer.

- `Ideal` changes every file as it should be, in the form that is asked for.
- `Forgetful` does so too, but one file of the solution does not come to its mind: not in the list, not in the plan, not
  when its step comes. Only when it is named as left out, stale or failed does it see what is to be done there.

`weak.Weak` and `hostile.Hostile` are in files of their own.
"""

import json
import random
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hearth.core.exchange import Done, Ending, Event, Message, Placed, Request, Text, ToolCall
from hearth.core.task_protocol import Demand, demand
from scenarios import changes
from scenarios.conversation import Said, calls_of, findings, listed, seen
from scenarios.scenario import Scenario

CHARS_PER_TOKEN = 4
PIECE_CHARS = 400
"""An answer comes in pieces of this length."""
STEP_FILES = 4
WAIVED = "nothing in it depends on what changes"
RIGHT = "it is as the goal wants it"
SEARCHES_MAX = 3

Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What a model says. `native`: the calls go beside the text instead of in it."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    native: bool = False
    ending: Ending = "stop"


@dataclass(frozen=True)
class Situation:
    """A demand, and what the conversation shows of the project."""

    asked: Demand
    messages: Sequence[Message]
    known: Mapping[str, str]

    @property
    def since(self) -> Sequence[Message]:
        return self.messages[self.asked.index + 1 :]

    @property
    def turns(self) -> int:
        """Answers that the model gave to this demand so far."""
        return sum(message.role == "assistant" for message in self.since)

    @property
    def told(self) -> str:
        """What came after the last answer."""
        texts: list[str] = []
        for message in reversed(self.since):
            if message.role == "assistant":
                break
            texts.append(message.text)
        return "\n".join(reversed(texts))

    @property
    def last_calls(self) -> list[Call]:
        turns = [message for message in self.since if message.role == "assistant"]
        return calls_of(turns[-1]) if turns else []


class Ideal:
    """See the module's words. `seed` tells runs of the same scenario apart."""

    strength = "ideal"
    forgotten = ""
    """The file of the solution that does not come to its mind, if there is one."""

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        self.scenario = scenario
        self.seed = seed

    async def __call__(self, request: Request) -> AsyncGenerator[Event, None]:
        answer = self.answer(request)
        window = 32_768
        yield Placed("machine", "scripted", self.strength, "it is the only one", context_tokens=window)
        for start in range(0, len(answer.text), PIECE_CHARS):
            yield Text(answer.text[start : start + PIECE_CHARS])
        calls = answer.calls if answer.native and answer.ending == "stop" else ()
        turn = sum(message.role == "assistant" for message in request.messages)
        yield Done(
            answer.ending,
            "machine",
            "scripted",
            self.strength,
            calls=tuple(ToolCall(f"call{turn}x{n}", name, args) for n, (name, args) in enumerate(calls)),
            prompt_tokens=sum(_chars(message) for message in request.messages) // CHARS_PER_TOKEN,
            generated_tokens=(len(answer.text) + sum(map(_call_chars, calls))) // CHARS_PER_TOKEN,
        )

    def answer(self, request: Request) -> Answer:
        """The answer to a request, calls as the request wants them."""
        asked = demand(request.messages)
        if asked is None:
            return Answer(self.once(request.messages[-1].text))
        now = Situation(asked, request.messages, seen(request.messages))
        return self.placed(self.said(now), bool(request.tools))

    def placed(self, answer: Answer, tools: bool) -> Answer:
        """Calls beside the text where there are tools, else in it."""
        if not answer.calls:
            return answer
        if tools:
            return replace(answer, native=True)
        return replace(answer, text="\n\n".join(filter(None, [answer.text, *map(written, answer.calls)])))

    def said(self, now: Situation) -> Answer:
        match now.asked.phase:
            case "analyse":
                return Answer(_json(self.analysis(now)))
            case "impact":
                return Answer(_json(self.impact(now)))
            case "plan":
                return Answer(_json({"steps": self.plan(now)}))
            case "implement":
                return self.work(now, now.asked.files)
            case "correct":
                return self.work(now, self.blamed(now))

    # What it knows

    def mine(self, messages: Sequence[Message]) -> list[str]:
        """The files that come to its mind, those first that others need."""
        known = self.scenario.solution
        if self.forgotten and not self.reminded(messages):
            known = [path for path in known if path != self.forgotten]
        return sorted(known, key=_rank)

    def reminded(self, messages: Sequence[Message]) -> bool:
        """Whether anything said that the forgotten file was left out, is stale, or is why a check fails."""
        for message in messages:
            if message.role not in ("user", "tool"):
                continue
            if "Correction: untouched" in message.text and self.forgotten in message.text:
                return True
            if any(self.recognised(self.forgotten, one) for one in findings(message.text)):
                return True
        return False

    def analysis(self, now: Situation) -> dict[str, Any]:
        mine = self.mine(now.messages)
        solution = {path: self.scenario.solution[path] for path in mine}
        symbols = changes.definitions(self.scenario.files, solution)
        return {
            "goal": self.scenario.goal,
            "questions": [],
            "symbols": list(symbols),
            "files": mine,
            "searches": [],
        }

    def impact(self, now: Situation) -> dict[str, Any]:
        """Who forgets a file does not look twice at what others list either: it waives nothing."""
        mine, shown = self.mine(now.messages), listed(now.asked.body)
        return {
            "add": [{"path": path, "reason": "the goal needs it"} for path in mine if path not in shown],
            "waive": [{"path": path, "reason": WAIVED} for path in shown if path not in mine and not self.forgotten],
        }

    def plan(self, now: Situation) -> list[dict[str, Any]]:
        mine = self.mine(now.messages)
        groups = [mine[start : start + STEP_FILES] for start in range(0, len(mine), STEP_FILES)]
        return [{"title": f"Change {', '.join(group)}", "files": group, "check": "tests"} for group in groups]

    def blamed(self, now: Situation) -> list[str]:
        """The files that findings lead it to: those they name, and its own whose words they use."""
        said = findings(now.asked.body)
        paths = [one.path for one in said if one.path]
        paths += [path for path in self.mine(now.messages) if any(self.recognised(path, one) for one in said)]
        return list(dict.fromkeys(paths))

    def recognised(self, path: str, finding: Said) -> bool:
        """Whether a finding's words make it think of a file of the solution."""
        words = f"{finding.path} {finding.text}"
        dotted = path.rpartition(".")[0].replace("/", ".")
        if path in words or dotted in words or path.rpartition("/")[2] in words:
            return True
        telltales = changes.telltales(self.scenario.files, path, self.scenario.solution[path])
        return any(word in words for word in telltales)

    # What it does

    def work(self, now: Situation, files: Iterable[str]) -> Answer:
        """Read what it has not seen as it is now, change it, waive the rest, and be done. A file that does not come to
        its mind is passed over, and not waived either."""
        mine = self.mine(now.messages)
        files = [path for path in files if path in mine or path != self.forgotten]
        wanted = [path for path in files if path in mine]
        unseen = [path for path in wanted if not self.visible(path, now)]
        if unseen:
            return Answer(calls=tuple(("read", {"path": path}) for path in unseen))
        calls = [call for path in wanted for call in self.changing(path, now)]
        calls += [("waive", {"path": path, "reason": WAIVED}) for path in files if path not in mine]
        if now.asked.phase == "correct":
            right = [path for path in wanted if now.known.get(path, "") == self.scenario.solution[path]]
            calls += [("waive", {"path": path, "reason": RIGHT}) for path in right]
        return Answer(calls=(*calls, ("done", {"summary": "As the goal asks."})))

    def visible(self, path: str, now: Situation) -> bool:
        """Whether it has seen a file as it is now, or need not: what it creates, what it has just changed and nobody
        complains of, and what it asked for in vain."""
        if path in now.known or path not in self.scenario.files:
            return True
        names = {name for name, arguments in now.last_calls if arguments.get("path") == path}
        complaint = now.told.partition("Correction: ")[2]
        return names == {"read"} or (bool(names) and path not in complaint)

    def changing(self, path: str, now: Situation) -> list[Call]:
        """The calls that make a file what it should be, from what the conversation shows of it."""
        new, old = self.scenario.solution[path], now.known.get(path)
        if new is None:
            return [("remove", {"path": path})] if old is not None else []
        if old is None:
            gone = path in self.scenario.files
            return [] if gone else [("write", {"path": path, "text": new})]
        if old == new:
            return []
        return [("edit", {"path": path, "old": part, "new": text}) for part, text in changes.places(old, new)]

    # Without the loop

    def once(self, text: str) -> str:
        """The whole change in one answer, in the form that the question asks for."""
        wanted = {path: self.scenario.solution[path] for path in self.mine(())}
        return self.whole(wanted, as_diff="diff" in text.rpartition("\n\n")[2])

    def whole(self, wanted: Mapping[str, str | None], *, as_diff: bool) -> str:
        if as_diff:
            parts = "".join(changes.diff(path, self.scenario.files.get(path), new) for path, new in wanted.items())
            return f"```diff\n{parts}```\n"
        return "\n\n".join(
            _fenced(path, blocks(self.scenario.files.get(path), new)) for path, new in wanted.items() if new is not None
        )


class Forgetful(Ideal):
    """`forgotten`: the file that it forgets."""

    strength = "forgetful"

    def __init__(self, scenario: Scenario, forgotten: str, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        self.forgotten = forgotten


def written(call: Call) -> str:
    """A call as text, in the form that is asked for."""
    name, arguments = call
    if name == "edit":
        body = f"<<<<<<< SEARCH\n{arguments['old']}=======\n{arguments['new']}>>>>>>> REPLACE\n"
        return _fenced(f"call edit {arguments['path']}", body, bare=True)
    if name == "write":
        return _fenced(f"call write {arguments['path']}", arguments["text"], bare=True)
    return _fenced(f"call {name}", _json(arguments) + "\n", bare=True)


def blocks(old: str | None, new: str) -> str:
    """SEARCH/REPLACE blocks; of a new file one with nothing to look for."""
    return f"<<<<<<< SEARCH\n=======\n{new}>>>>>>> REPLACE" if old is None else changes.blocks(old, new)


def chance(*what: object) -> random.Random:
    """The same numbers for the same words."""
    return random.Random(" ".join(map(str, what)))


def _fenced(head: str, body: str, *, bare: bool = False) -> str:
    marks = "```"
    while marks in body:
        marks += "`"
    text = body if body.endswith("\n") else f"{body}\n"
    return f"{marks}{head}\n{text}{marks}" if bare else f"{head}\n{marks}\n{text}{marks}"


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _rank(path: str) -> tuple[int, str]:
    """Code before tests before words."""
    if path.endswith((".md", ".txt")):
        return 2, path
    return int("test" in path.rpartition("/")[2] or path.startswith("test")), path


def _chars(message: Message) -> int:
    return len(message.text) + sum(_call_chars((call.name, dict(call.arguments))) for call in message.calls)


def _call_chars(call: Call) -> int:
    return len(call[0]) + len(_json(call[1]))
