"""Calls and JSON answers out of what a model wrote: one clear form is asked for, and many are understood.

What is understood must be certain. A call that is not whole is never made of what is there of it: it is a problem, told
back to the model in words. See `core.task_protocol` for the forms.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from hearth.core.exchange import ToolCall
from hearth.core.task_protocol import TOOL_NAMES, TOOLS, Correction

ANSWER_CHARS_MAX = 400_000
CALLS_MAX = 24
"""Of one answer; the rest is left for the next one."""
OBJECTS_TRIED_MAX = 200
PATH_CHARS_MAX = 400

_FENCE = re.compile(r" {0,3}(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)")
_SEARCH = re.compile(r"<{5,9} ?(?:SEARCH|ORIGINAL|HEAD)\b.*")
_MIDDLE = re.compile(r"={5,9}\s*")
_REPLACE = re.compile(r">{5,9} ?(?:REPLACE|UPDATED)?\b.*")
_TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_TAG_OPEN = re.compile(r"<tool_call>")
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_PATH = re.compile(r"[\w.@+~()\[\]-]+(?:/[\w.@+~()\[\] -]+)*")
_ENDING = re.compile(r"\.[A-Za-z][\w-]{0,11}$|(?:^|/)(?:Makefile|Dockerfile|LICENSE|Procfile|Gemfile|Rakefile)$")
_BESIDE = re.compile(
    r"^\W*(?:(?:file|path|filename|update|create|new file|in)\b:?\s*)?[`*'\"(\[]*(?P<path>[^\s`*'\"]+?)[`*'\")\]:]*$",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"^\s*(?:#|//|--|;|/\*|<!--)\s*(?:file(?:name)?:|path:)?\s*(?P<path>\S+?)\s*(?:\*/|-->)?\s*$")
_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?</\1>|^.*?</think>", re.DOTALL)
_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
_FIELD = re.compile(r"^\s*[\"']?(\w+)[\"']?\s*[:=]\s*(.*?)\s*,?$")
_JSON_INFO = frozenset(("json", "tool", "tool_call", "tool_code", "tools", "jsonc", ""))
_SYNONYMS = {
    "read_file": "read", "open": "read", "view": "read", "cat": "read", "grep": "search", "find": "search",
    "write_file": "write", "create": "write", "create_file": "write", "replace": "edit", "edit_file": "edit",
    "delete": "remove", "rm": "remove", "delete_file": "remove", "rename": "move", "mv": "move", "finish": "done",
    "complete": "done", "run_tests": "check", "test": "check", "usages": "references",
}  # fmt: skip
_KEYS = {
    "file": "path", "filename": "path", "file_path": "path", "filepath": "path", "content": "text", "contents": "text",
    "old_str": "old", "old_string": "old", "search": "old", "new_str": "new", "new_string": "new", "replace": "new",
    "start_line": "start", "end_line": "end", "from": "start", "new_path": "to", "destination": "to",
    "pattern": "query", "symbol": "name", "message": "summary",
}  # fmt: skip
_SCHEMAS: Mapping[str, Mapping[str, Any]] = {tool.name: tool.parameters for tool in TOOLS}


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be run: `name` is one of the tools, `arguments` fit its schema. An edit's are {"path", "edits":
    [{"old", "new"}]}, whatever it was written as, or {"path", "diff"}. `id`: of a native call, else ""."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""

    @property
    def key(self) -> str:
        """Equal for calls that do the same."""
        return f"{self.name} {json.dumps(self.arguments, sort_keys=True, ensure_ascii=False)}"

    @property
    def label(self) -> str:
        """In a few words, without the text of edits."""
        path = str(self.arguments.get("path", ""))
        rest = self.arguments.get("query") or self.arguments.get("name") or self.arguments.get("kind") or ""
        return " ".join(part for part in (self.name, path, str(rest)) if part)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something that looks like a call was not run. `text`: sentences for the model. `id`: of a native call."""

    kind: Correction
    text: str
    id: str = ""


@dataclass(slots=True)
class Read:
    """What was found in an answer, in its order."""

    calls: list[Call] = field(default_factory=list[Call])
    problems: list[Problem] = field(default_factory=list[Problem])


def native(calls: Sequence[ToolCall], broken: int = 0) -> Read:
    """The calls of an answer that came as such."""
    found = Read()
    for call in calls[:CALLS_MAX]:
        _add(found, call.name, dict(call.arguments), call.id)
    if broken:
        found.problems.append(Problem("malformed-call", f"{broken} call(s) had arguments that are no JSON object."))
    return found


def written(text: str, *, whole: bool = True) -> Read:
    """The calls in a text. `whole`: the answer came to its end; of one that did not, nothing is run."""
    found = Read()
    text = _THINKING.sub("", text[:ANSWER_CHARS_MAX].replace("\r\n", "\n"))
    if not whole:
        found.problems.append(Problem("truncated", "Your answer was cut off before its end, so none of it was run."))
        return found
    rest: list[str] = []
    for block in _blocks(text.split("\n")):
        if block.fenced:
            _fenced(found, block)
        else:
            rest.append("\n".join(block.lines))
    outside = "\n".join(rest)
    for match in _TAGGED.finditer(outside):
        _object(found, match[1], must=True)
    if len(_TAG_OPEN.findall(outside)) > len(_TAGGED.findall(outside)):
        found.problems.append(Problem("truncated", "A <tool_call> has no end, so it was not run."))
    if not found.calls and not found.problems:
        _unfenced(found, outside)
    if len(found.calls) > CALLS_MAX:
        del found.calls[CALLS_MAX:]
    return found


def answer(text: str, schema: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The JSON object of an answer that fits a schema, and else why there is none: a sentence."""
    best = "There is no JSON object in your answer."
    text = _THINKING.sub("", text[:ANSWER_CHARS_MAX])
    candidates = [block.text for block in _blocks(text.split("\n")) if block.fenced]
    for source in (*candidates, text):
        for value in _objects(source):
            cleaned = coerced(value, schema)
            why = misfit(cleaned, schema)
            if not why:
                return cast(dict[str, Any], cleaned), ""
            best = f"The JSON object does not fit: {why}."
    return None, best


# Blocks


@dataclass(slots=True)
class _Block:
    """`before`: the last line with something in it before a fence. `closed`: the fence has its end."""

    fenced: bool
    info: str = ""
    before: str = ""
    closed: bool = True
    lines: list[str] = field(default_factory=list[str])

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    """A text cut at its fences."""
    plain = _Block(False)
    at, before = 0, ""
    while at < len(lines):
        opening = _FENCE.fullmatch(lines[at])
        if opening is None:
            plain.lines.append(lines[at])
            before = lines[at] if lines[at].strip() else before
            at += 1
            continue
        if plain.lines:
            yield plain
            plain = _Block(False)
        end = _closing(lines, at + 1, opening["marks"])
        closed = end < len(lines)
        yield _Block(True, opening["info"].strip(), before, closed, list(lines[at + 1 : end]))
        before = ""
        at = end + 1
    if plain.lines:
        yield plain


def _closing(lines: Sequence[str], start: int, marks: str) -> int:
    """The number of the line that ends a fence; `len(lines)` if none does. Fences inside it that say what they hold
    are passed over with their own ends, and so is all that lies within a SEARCH/REPLACE block."""
    depth, inside = 0, False
    for at in range(start, len(lines)):
        line = lines[at]
        if _SEARCH.fullmatch(line.strip()):
            inside = True
        elif inside:
            inside = not _REPLACE.fullmatch(line.strip()) or not line.strip().startswith(">")
        else:
            fence = _FENCE.fullmatch(line)
            if fence is None or fence["marks"][0] != marks[0] or len(fence["marks"]) < len(marks):
                continue
            if fence["info"].strip():
                depth += 1
            elif depth:
                depth -= 1
            else:
                return at
    return len(lines)


def _fenced(found: Read, block: _Block) -> None:
    words = block.info.split()
    named = words[1:] if words[:1] == ["call"] else words
    name = _SYNONYMS.get(named[0], named[0]) if named else ""
    if words[:1] == ["call"] and not named:
        name = "?"
    if words[:1] == ["call"] or name in TOOL_NAMES:
        _called(found, block, name, named[1:])
        return
    path = _named_path(block)
    if any(_SEARCH.fullmatch(line.strip()) for line in block.lines):
        _search_replace(found, block, path)
    elif words[:1] in (["diff"], ["patch"]) or block.text.startswith(("--- ", "diff --git ")):
        _diff(found, block)
    elif (words[0].casefold() if words else "") in _JSON_INFO and block.text.lstrip().startswith(("{", "[")):
        _object(found, block.text, must=bool(words) and words[0].startswith("tool"))
    elif path:
        if block.closed:
            _add(found, "write", {"path": path, "text": _file_text(block, path)})
        else:
            found.problems.append(_unfinished(f"The file {path}"))


def _unfinished(what: str) -> Problem:
    return Problem("truncated", f"{what} has no end (the closing fence is missing), so it was not run.")


def _called(found: Read, block: _Block, name: str, words: Sequence[str]) -> None:
    """A fence that says which tool."""
    path = " ".join(words).strip("`'\"") if words else ""
    if name == "edit" and any(_SEARCH.fullmatch(line.strip()) for line in block.lines):
        _search_replace(found, block, path)
        return
    if name == "write" and path:
        if block.closed:
            _add(found, name, {"path": path, "text": _ended(block.text)})
        else:
            found.problems.append(_unfinished(f"The call {name} {path}"))
        return
    arguments: dict[str, Any] | None = next(_objects(block.text), None)
    if arguments is None and not block.closed:
        found.problems.append(_unfinished(f"The call {name}"))
        return
    if arguments is None:
        arguments = _fields(block.lines)
    if arguments is None:
        text = f"The arguments of `{name}` are no JSON object."
        found.problems.append(Problem("malformed-call", text))
        return
    inner = arguments.get("arguments")
    if isinstance(inner, dict) and name not in ("write", "edit"):
        arguments = cast(dict[str, Any], inner)
    if path:
        _beside(name, path, arguments)
    _add(found, name, arguments)


def _beside(name: str, words: str, arguments: dict[str, Any]) -> None:
    """What stands behind a tool's name: a path with a range of lines perhaps, a name, or a query."""
    key = {"search": "query", "references": "name", "check": "kind", "done": "summary"}.get(name, "path")
    bounds = _RANGE.search(words) if name == "read" else None
    if bounds:
        arguments.setdefault("start", int(bounds[1]))
        arguments.setdefault("end", int(bounds[2]))
        words = words[: bounds.start()].strip(" :")
    if words:
        arguments.setdefault(key, words)


def _fields(lines: Sequence[str]) -> dict[str, Any] | None:
    """Arguments as `name: value`, one a line. {} for no lines at all."""
    found: dict[str, Any] = {}
    for line in lines:
        if not line.strip():
            continue
        match = _FIELD.match(line)
        if match is None:
            return None
        value = match[2].strip("\"'`")
        found[match[1]] = int(value) if value.isdecimal() else value
    return found


def _search_replace(found: Read, block: _Block, path: str) -> None:
    edits: list[dict[str, str]] = []
    old: list[str] = []
    new: list[str] = []
    state = ""
    for line in block.lines:
        bare = line.strip()
        if not state:
            if _SEARCH.fullmatch(bare):
                state, old, new = "old", [], []
            elif not path and (match := _BESIDE.match(bare)) and _is_path(match["path"]):
                path = match["path"]
        elif state == "old":
            if _MIDDLE.fullmatch(bare):
                state = "new"
            else:
                old.append(line)
        elif bare.startswith(">") and _REPLACE.fullmatch(bare):
            edits.append({"old": "\n".join(old), "new": "\n".join(new)})
            state = ""
        else:
            new.append(line)
    if state:
        found.problems.append(Problem("truncated", "A SEARCH/REPLACE block has no end, so it was not run."))
    elif not path:
        found.problems.append(Problem("malformed-call", "A SEARCH/REPLACE block does not say which file it is for."))
    elif edits:
        _add(found, "edit", {"path": path, "edits": edits})


def _diff(found: Read, block: _Block) -> None:
    if not block.closed:
        found.problems.append(_unfinished("The diff"))
        return
    target = next((line[4:].split("\t")[0].strip() for line in block.lines if line.startswith("+++ ")), "")
    path = target.removeprefix("b/")
    if path and path != "/dev/null":
        _add(found, "edit", {"path": path, "diff": _ended(block.text)})
    else:
        found.problems.append(Problem("malformed-call", "The diff does not say which file it is for (`+++ b/PATH`)."))


def _unfenced(found: Read, text: str) -> None:
    """Calls that stand in the open: SEARCH/REPLACE blocks with a path before them, or one JSON object."""
    lines = text.split("\n")
    starts = [at for at, line in enumerate(lines) if _SEARCH.fullmatch(line.strip())]
    if starts:
        before = next((line for line in reversed(lines[: starts[0]]) if line.strip()), "")
        match = _BESIDE.match(before.strip())
        path = match["path"] if match and _is_path(match["path"]) else ""
        _search_replace(found, _Block(True, "", "", True, lines[starts[0] :]), path)
        return
    stripped = text.strip()
    if stripped.startswith(("{", "[")):
        _object(found, stripped, must=False)


def _object(found: Read, text: str, *, must: bool) -> None:
    """Calls written as {"tool" or "name", "arguments" or the arguments themselves}, one or a list of them."""
    values = list(_objects(text))
    if not values:
        if must or '"tool"' in text or '"arguments"' in text:
            found.problems.append(Problem("malformed-call", "A call is no valid JSON object."))
        return
    for value in values:
        function = value.get("function")
        if isinstance(function, dict):
            value = cast(dict[str, Any], function)
        name = value.get("tool") or value.get("name") or (value.get("action") if "path" not in value else None)
        if not isinstance(name, str):
            if must:
                found.problems.append(Problem("malformed-call", 'A call must name its tool: {"tool": ...}.'))
            continue
        inner = value.get("arguments", value.get("parameters", value.get("args")))
        if isinstance(inner, str):
            inner = next(_objects(inner), None)
        if not isinstance(inner, dict):
            inner = {key: one for key, one in value.items() if key not in ("tool", "arguments", "parameters")}
            if "tool" not in value:
                inner.pop("name", None)
        _add(found, name, cast(dict[str, Any], inner))


def _named_path(block: _Block) -> str:
    """The file that a fence is about: in its first line, in the line before, or in a comment at its beginning."""
    for word in re.split(r"[\s:=,]+", block.info):
        bare = word.strip("`'\"{}()")
        if _is_path(bare) and ("/" in bare or "." in bare):
            return bare
    match = _BESIDE.match(block.before.strip())
    if match and _is_path(match["path"]):
        return match["path"]
    first = next(iter(block.lines), "")
    comment = _COMMENT.match(first)
    return comment["path"] if comment and _is_path(comment["path"]) else ""


def _is_path(text: str) -> bool:
    fits = len(text) <= PATH_CHARS_MAX and _PATH.fullmatch(text.removeprefix("./")) is not None
    return fits and _ENDING.search(text) is not None


def _file_text(block: _Block, path: str) -> str:
    """Without the comment that only names the file."""
    lines = block.lines
    comment = _COMMENT.match(lines[0]) if lines else None
    if comment and comment["path"] == path:
        lines = lines[1:]
    return _ended("\n".join(lines))


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


# Arguments


def _add(found: Read, name: str, arguments: dict[str, Any], call_id: str = "") -> None:
    """A call, or what is wrong with it."""
    name = _SYNONYMS.get(name, name).strip()
    if name not in TOOL_NAMES:
        text = f"There is no tool `{name[:60]}`. The tools are: {', '.join(tool.name for tool in TOOLS)}."
        found.problems.append(Problem("unknown-tool", text, call_id))
        return
    known = cast(Mapping[str, Any], _SCHEMAS[name]["properties"])
    fixed: dict[str, Any] = {}
    for key, value in arguments.items():
        fixed[key if key in known or key in ("edits", "diff") else _KEYS.get(key, key)] = value
    path = fixed.get("path")
    if isinstance(path, str):
        fixed["path"] = path.strip().removeprefix("./")
    if name == "edit" and ("edits" in fixed or "diff" in fixed):
        _add_edit(found, fixed, call_id)
        return
    fixed = cast(dict[str, Any], coerced(fixed, _SCHEMAS[name]))
    why = misfit(fixed, _SCHEMAS[name])
    if why:
        found.problems.append(Problem("bad-arguments", f"`{name}` was not run: {why}.", call_id))
        return
    if name == "edit":
        fixed = {"path": fixed["path"], "edits": [{"old": fixed["old"], "new": fixed["new"]}]}
    found.calls.append(Call(name, fixed, call_id))


def _add_edit(found: Read, fixed: dict[str, Any], call_id: str) -> None:
    edits = fixed.get("edits")
    path = fixed.get("path")
    if isinstance(path, str) and path and isinstance(fixed.get("diff"), str):
        found.calls.append(Call("edit", {"path": path, "diff": fixed["diff"]}, call_id))
        return
    pairs: list[dict[str, str]] = []
    for one in cast(list[object], edits) if isinstance(edits, list) else []:
        pair = {_KEYS.get(k, k): v for k, v in cast(dict[str, Any], one).items()} if isinstance(one, dict) else {}
        if isinstance(pair.get("old"), str) and isinstance(pair.get("new"), str):
            pairs.append({"old": pair["old"], "new": pair["new"]})
    if (
        isinstance(path, str)
        and path
        and pairs
        and isinstance(edits, list)
        and len(pairs) == len(cast(list[Any], edits))
    ):
        found.calls.append(Call("edit", {"path": path, "edits": pairs}, call_id))
    else:
        text = "`edit` was not run: it wants a path, and for each edit `old` and `new` as texts."
        found.problems.append(Problem("bad-arguments", text, call_id))


def coerced(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value with what is harmless put right: numbers as texts, one text where a list is due, unknown keys, null."""
    kind = schema.get("type")
    if kind == "object" and isinstance(value, dict):
        known = cast(Mapping[str, Any], schema["properties"])
        table = cast(dict[str, Any], value)
        return {key: coerced(one, known[key]) for key, one in table.items() if key in known and one is not None}
    if kind == "array":
        if isinstance(value, dict) and cast(Mapping[str, Any], schema["items"]).get("type") == "object":
            value = [value]
        if isinstance(value, str):
            value = [value] if value.strip() else []
        if isinstance(value, list):
            return [_item(one, cast(Mapping[str, Any], schema["items"])) for one in cast(list[Any], value)]
    if kind == "integer":
        if isinstance(value, str) and value.strip().isdecimal():
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and value < int(schema.get("minimum", value)):
            value = int(schema["minimum"])
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return cast(Any, value)


def _item(value: Any, schema: Mapping[str, Any]) -> Any:
    """An entry of a list: of a table of texts, the path where it has one."""
    if schema.get("type") == "string" and isinstance(value, dict):
        table = cast(dict[str, Any], value)
        return table.get("path") or table.get("name") or table.get("file") or json.dumps(table)
    return coerced(value, schema)


def misfit(value: Any, schema: Mapping[str, Any], where: str = "") -> str:
    """Why a value does not fit a schema of ours, "" if it does."""
    kind, place = schema.get("type"), f"`{where}`" if where else "it"
    if kind == "object":
        if not isinstance(value, dict):
            return f"{place} must be an object"
        table = cast(dict[str, Any], value)
        missing = [key for key in schema["required"] if key not in table]
        if missing:
            return f"`{missing[0]}` is missing" + (f" in {place}" if where else "")
        properties = cast(Mapping[str, Any], schema["properties"])
        inner = (misfit(one, properties[key], key) for key, one in table.items() if key in properties)
        return next((why for why in inner if why), "")
    if kind == "array":
        if not isinstance(value, list):
            return f"{place} must be a list"
        inner = (misfit(one, schema["items"], where) for one in cast(list[Any], value))
        return next((why for why in inner if why), "")
    if kind == "integer":
        return "" if isinstance(value, int) and not isinstance(value, bool) else f"{place} must be a whole number"
    if not isinstance(value, str):
        return f"{place} must be a text"
    allowed = schema.get("enum")
    return f"{place} must be one of {', '.join(allowed)}" if allowed and value not in allowed else ""


# JSON


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text, the outermost ones; of lists those in them. Small faults are put right."""
    decoder = json.JSONDecoder(strict=False)
    at = tried = 0
    while (start := text.find("{", at)) >= 0 and tried < OBJECTS_TRIED_MAX:
        tried += 1
        value, end = _decoded(decoder, text, start)
        if isinstance(value, dict):
            yield cast(dict[str, Any], value)
            at = end
        else:
            at = start + 1


def _decoded(decoder: json.JSONDecoder, text: str, start: int) -> tuple[object, int]:
    try:
        return decoder.raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError):
        pass
    end = text.rfind("}")
    if end < start:
        return None, start
    piece = text[start : end + 1]
    for repair in (_TRAILING_COMMA.sub(r"\1", piece), _pythonic(piece)):
        try:
            return decoder.raw_decode(repair)[0], end + 1
        except (json.JSONDecodeError, RecursionError):
            continue
    return None, start


def _pythonic(text: str) -> str:
    """Names of Python and typographic quotes as JSON has them."""
    text = text.replace("\u201c", '"').replace("\u201d", '"')
    text = re.sub(r"\bTrue\b", "true", re.sub(r"\bFalse\b", "false", re.sub(r"\bNone\b", "null", text)))
    if '"' not in text:
        text = text.replace("'", '"')
    return _TRAILING_COMMA.sub(r"\1", text)
