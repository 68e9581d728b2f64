"""A weak model: it knows what to do about as often as small models do, and mostly cannot say it.

Each answer begins as the ideal one's and is then spoilt, or not, by a die that the scenario, the seed and the turn
throw. Told precisely what is wrong it does better, as such models do; some faults it has for good. The rates are what
small local models show at first sight (a third to a half of their calls wrong), set once and not fitted to a result.
"""

import json
from typing import Any

from hearth.core.exchange import Request
from hearth.core.task_protocol import SCHEMAS, demand
from scenarios import changes
from scenarios.conversation import seen
from scenarios.models import Answer, Call, Ideal, Situation, _json, chance, written
from scenarios.scenario import Scenario

JSON_FAULT = 0.4
CALL_FAULT = 0.45
SLIP = 0.2
"""Of each changed file: one word of it is wrong."""
TOLD = 0.4
"""What is left of these rates once somebody said precisely what is wrong."""
FORGETS = 0.5
"""Of the runs: one of the files does not come to its mind."""
FOR_GOOD = 0.12
"""Of the runs: one of its files it never gets right."""
ELISION = "# ... the rest stays as it is ...\n"


class Weak(Ideal):
    strength = "weak"

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        die = chance(scenario.name, seed, "run")
        self.forgotten = die.choice(scenario.forgettable) if die.random() < FORGETS else ""
        self.hopeless = die.choice(scenario.needed) if die.random() < FOR_GOOD else ""

    def answer(self, request: Request) -> Answer:
        asked = demand(request.messages)
        if asked is None:
            return Answer(self.once(request.messages[-1].text))
        now = Situation(asked, request.messages, seen(request.messages))
        die = chance(self.scenario.name, self.seed, asked.phase, asked.step, asked.round, len(request.messages))
        told = "Correction: " in now.told or " did not work" in now.told
        rate = TOLD if told else 1.0
        answer = self.said(now)
        if asked.phase in SCHEMAS:
            return self._spoilt_json(answer, die, rate, held=request.schema is not None)
        return self._spoilt_calls(answer, now, die, rate, tools=bool(request.tools))

    # JSON

    def _spoilt_json(self, answer: Answer, die: Any, rate: float, *, held: bool) -> Answer:
        """`held`: the server holds it to the schema, so the shape is right whatever it says."""
        value = json.loads(answer.text)
        if die.random() >= JSON_FAULT * rate:
            dressed = die.choice(("{}", "Sure! Here it is:\n\n```json\n{}\n```", "```\n{}\n```\nI hope this helps."))
            return Answer(answer.text if held else dressed.replace("{}", answer.text))
        fault = die.choice(("few", "invented") if held else ("prose", "cut", "shape", "few", "invented"))
        if fault == "prose":
            return Answer("First I would look at the files, and then change them one after the other.")
        if fault == "cut":
            return Answer(answer.text[: len(answer.text) * 2 // 3], ending="length")
        if fault == "shape":
            return Answer(_json({"result": [value], "status": "ok"}))
        return Answer(_json(_with_fewer(value) if fault == "few" else _with_invented(value)))

    # Calls

    def _spoilt_calls(self, answer: Answer, now: Situation, die: Any, rate: float, *, tools: bool) -> Answer:
        calls = [spoilt for call in answer.calls for spoilt in self._slipped(call, die, rate)]
        # In two cases of five it writes its calls into the text, tools or not.
        native = tools and die.random() < 0.6
        if die.random() >= CALL_FAULT * rate:
            return self._said(calls, native, die)
        fault = die.choice(
            ("prose", "malformed", "tool", "arguments", "inexact", "elision", "partial", "repeat", "cut", "early")
        )
        return self._with_fault(fault, calls, now, native, die)

    def _said(self, calls: list[Call], native: bool, die: Any) -> Answer:
        if native:
            return Answer(calls=tuple(calls), native=True)
        form = die.choice((written, written, _tagged, _as_json))
        return Answer("\n\n".join(["Let me do this.", *map(form, calls)]))

    def _with_fault(self, fault: str, calls: list[Call], now: Situation, native: bool, die: Any) -> Answer:
        edits = [number for number, (name, _) in enumerate(calls) if name == "edit"]
        text = "\n\n".join(map(written, calls))
        if fault == "prose":
            return Answer("The change is simple: the files named above have to be adapted. Shall I go on?")
        if fault == "cut":
            return Answer(text[: len(text) // 2], ending="length")
        if fault == "malformed":
            return Answer('```call read\n{"path": "' + (calls[0][1].get("path") or "x") + '", "start": 1,\n```')
        if fault == "tool":
            return self._said([("apply_patch", {"patch": "*** Begin Patch"}), *calls[:1]], native, die)
        if fault == "early":
            return self._said([("done", {"summary": "All done."})], native, die)
        if fault == "repeat" and now.last_calls:
            return self._said(now.last_calls, native, die)
        if fault == "partial" and edits:
            return self._said([calls[edits[0]], ("done", {"summary": "Done."})], native, die)
        if fault == "arguments" and edits:
            path = calls[edits[0]][1]["path"]
            wrong: Call = ("edit", {"path": path, "new": calls[edits[0]][1]["new"]})
            return Answer(calls=(wrong,), native=True) if native else Answer(_as_json(wrong))
        if fault == "inexact" and edits:
            name, arguments = calls[edits[0]]
            wrong = {**arguments, "old": arguments["old"].replace("(", " (").replace(",", " ,") + "    pass\n"}
            calls[edits[0]] = (name, wrong)
        elif fault == "elision" and edits:
            path = calls[edits[0]][1]["path"]
            lines = now.known.get(path, "").splitlines(keepends=True)
            short = "".join([*lines[: len(lines) // 3], ELISION, *lines[len(lines) * 2 // 3 :]])
            calls = [("write", {"path": path, "text": short}), ("done", {"summary": "Done."})]
        return self._said(calls, native, die)

    def _slipped(self, call: Call, die: Any, rate: float) -> list[Call]:
        """An edit or a new file with a word of it wrong, at times; always for the file it never gets right."""
        name, arguments = call
        key = {"edit": "new", "write": "text"}.get(name)
        if key is None:
            return [call]
        if arguments["path"] == self.hopeless or die.random() < SLIP * rate:
            return [(name, {**arguments, key: _misspelt(arguments[key])})]
        return [call]

    # Without the loop

    def once(self, text: str) -> str:
        die = chance(self.scenario.name, self.seed, "once")
        wanted: dict[str, str | None] = {}
        for path in self.mine(()):
            new = self.scenario.solution[path]
            if new is not None and (path == self.hopeless or die.random() < SLIP):
                new = _misspelt(new, self.scenario.files.get(path, ""))
            wanted[path] = new
        as_diff = "diff" in text.rpartition("\n\n")[2]
        answer = self.whole(wanted, as_diff=as_diff)
        if die.random() >= CALL_FAULT:
            return f"Here is the change:\n\n{answer}"
        fault = die.choice(("prose", "cut", "partial", "inexact", "elision"))
        if fault == "prose":
            return "You need to adapt the files one after the other; tell me if I should show how."
        if fault == "cut":
            return answer[: len(answer) // 2]
        if fault == "partial":
            return self.whole(dict(list(wanted.items())[:1]), as_diff=as_diff)
        if fault == "inexact":
            return answer.replace("(", " (", 3)
        lines = answer.splitlines(keepends=True)
        return "".join([*lines[: len(lines) // 3], ELISION, *lines[len(lines) * 2 // 3 :]])


def _with_fewer(value: dict[str, Any]) -> dict[str, Any]:
    """Lists with only the first half of what is in them."""
    return {key: one[: (len(one) + 1) // 2] if isinstance(one, list) else one for key, one in value.items()}


def _with_invented(value: dict[str, Any]) -> dict[str, Any]:
    """A file that is not there, and that nothing needs."""
    found = dict(value)
    if "files" in found:
        found["files"] = [*found["files"], "src/utils/helpers.py"]
    elif "add" in found:
        found["add"] = [*found["add"], {"path": "src/utils/helpers.py", "reason": "helpers"}]
    elif found.get("steps"):
        found["steps"] = [*found["steps"], {"title": "Helpers", "files": ["src/utils/helpers.py"], "check": "tests"}]
    return found


def _misspelt(new: str, old: str = "") -> str:
    """With the longest of its words that are not in `old` written wrongly, in one of several ways."""
    words = sorted(set(changes.words(new)) - set(changes.words(old)), key=lambda word: (-len(word), word))
    if not words:
        return new
    word = words[0]
    swapped = word[:-2] + word[-1] + word[-2]
    first, _, rest = word.partition("_")
    camel = first + rest.title().replace("_", "") if rest else word[0].swapcase() + word[1:]
    wrong = (swapped, word[:-1], f"{word}s", camel, f"get_{word}", f"{word[: len(word) // 2]}_{word[len(word) // 2 :]}")
    return new.replace(word, chance(new, old).choice(wrong))


def _tagged(call: Call) -> str:
    return f"<tool_call>\n{_json({'name': call[0], 'arguments': call[1]})}\n</tool_call>"


def _as_json(call: Call) -> str:
    return f"```json\n{_json({'tool': call[0], 'arguments': call[1]})}\n```"
