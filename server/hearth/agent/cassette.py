"""A task's memory on the disk: what it began with and everything that was observed since, as JSON lines.

One file is three things: the journal by which a task is taken up after its process was killed; the cassette that plays
a run again without a model, a tool or a file; and, with every text replaced by its length and hash, a bug report
without the code. A line is on the disk before the next action begins, and carries a checksum: an unfinished one at the
end is an action that will be done again, which is harmless, since no action changes a file of the user's.

    {"record": "task", "version", "product", "start"}
    {"record": "asked", "digest", "new"}     the conversation's digest before a question, and the messages new in it
    {"record": "saw", "seconds", "kind", "value"}
"""

import errno
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, Self, cast, get_args, get_type_hints

from hearth import __version__
from hearth.agent.copying import removed
from hearth.core.exchange import Message, ToolCall
from hearth.core.task import begin, observed
from hearth.core.task_protocol import TOOL_NAMES, TOOLS
from hearth.core.task_record import digest_of, observation, observation_of, plain, start_of
from hearth.core.task_state import NoAnswer, Observation, Start, State, Stopped
from hearth.errors import HearthError
from hearth.index.owner import lock

VERSION = 1
LINE_BYTES_MAX = 64_000_000
LINES_MAX = 20_000
NAME = "journal.jsonl"
ID = re.compile(r"[0-9A-Za-z][\w-]{0,39}")
SUM_CHARS = 16
_KEPT_WHOLE = frozenset((
    "record", "kind", "version", "product", "sum", "role", "ending", "status", "stage", "place", "by",
))  # fmt: skip
_BY_PATH = frozenset(("changes", "bases", "approved"))
"""Tables whose keys are paths."""
_BY_MODEL = frozenset(("arguments",))
"""Tables that a model has filled: of these not even a word is kept that happens to stand under a name of ours."""
KEPT_CHARS_MAX = 64
PARAMETERS = frozenset(name for tool in TOOLS for name in tool.parameters["properties"])
"""The names that a tool's arguments have."""


class CassetteError(HearthError):
    """A cassette cannot be read, or does not play as it was recorded."""


@dataclass(frozen=True, slots=True)
class Replay:
    """`state` after everything that was recorded. `differs`: the numbers of the questions that are asked in other words
    now than when it was recorded: by another version of Hearth."""

    state: State
    differs: tuple[int, ...]
    observations: int
    product: str


class Cassette:
    """One task's file, open for writing by one process at a time: a context, at whose end others may go on with it.
    Every method may raise CassetteError."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._known = 0
        self._held: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Whoever waited for it in a thread was cancelled, and never got it.
        self.close()

    def hold(self) -> None:
        """From here on until `close` no other process, and nobody else in this one, can have it."""
        try:
            self._held = lock(self.path.parent)
        except OSError as error:
            raise unwritten(self.path.parent, error) from error
        if self._held is None:
            raise CassetteError(
                f"The task {self.path.parent.name} is at work in another window.", "Go on with it there."
            )

    def close(self) -> None:
        """Let others have it."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def begin(self, start: Start) -> None:
        """Write the first line. Where that cannot be, nothing of the task is left."""
        self.hold()
        try:
            self._append({"record": "task", "version": VERSION, "product": __version__, "start": plain(start)})
        except CassetteError:
            self.close()
            removed(self.path.parent)
            raise

    def asked(self, conversation: Sequence[Message]) -> None:
        """A question is about to be asked: what is new in it. After a fold all of it is."""
        messages = tuple(conversation)
        new = messages[self._known :] if self._known < len(messages) else messages
        self._known = len(messages)
        shown = [{"role": one.role, "text": one.text, "calls": plain(one.calls), "call_id": one.call_id} for one in new]
        self._append({"record": "asked", "digest": digest_of(messages), "new": shown})

    def saw(self, seen: Observation, seconds: float) -> None:
        """Something was observed. It is on the disk when this returns."""
        self._append({"record": "saw", "seconds": round(seconds, 3), **observation(seen)})

    def _append(self, record: dict[str, Any]) -> None:
        try:
            self._write(_summed(record))
        except OSError as error:
            raise unwritten(self.path.parent, error) from error

    def _write(self, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(self.path, flags, 0o600)
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        finally:
            os.close(handle)


def unwritten(folder: Path, error: OSError) -> CassetteError:
    """What to say where a task's folder cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = f"{'Make room on the disk' if full else f'Look at {folder}'}, then go on with the task."
    return CassetteError(f"The task stopped: what is kept of it cannot be written ({error.strerror or error}).", remedy)


def _summed(record: dict[str, Any]) -> bytes:
    body = json.dumps(record, ensure_ascii=True, separators=(",", ":"))
    return f'{{"sum":"{_sum(body)}","is":{body}}}\n'.encode("ascii")


def _sum(body: str) -> str:
    return sha256(body.encode("ascii", "replace")).hexdigest()[:SUM_CHARS]


def records(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The records that are whole, up to the first that is not; and how many bytes they take."""
    found: list[dict[str, Any]] = []
    size = 0
    try:
        with open(path, "rb") as stream:
            while len(found) < LINES_MAX and (line := stream.readline(LINE_BYTES_MAX)):
                record = _whole(line)
                if record is None:
                    break
                found.append(record)
                size += len(line)
    except OSError as error:
        raise CassetteError(
            f"{path} cannot be read: {error.strerror}.", "Give the path of a task's journal."
        ) from error
    return found, size


def _whole(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        table: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    fields = cast(dict[str, Any], table) if isinstance(table, dict) else {}
    record = fields.get("is")
    if not isinstance(record, dict):
        return None
    body = json.dumps(record, ensure_ascii=True, separators=(",", ":"))
    return cast(dict[str, Any], record) if fields.get("sum") == _sum(body) else None


def replayed(path: Path) -> Replay:
    """Play a recorded task: the same states again, without anything being done. Raises CassetteError."""
    found, _ = records(path)
    if not found or found[0].get("record") != "task" or found[0].get("version") != VERSION:
        raise CassetteError(f"{path} is no recorded task.", "Give the path of a task's journal.")
    if found[0].get("redacted"):
        raise CassetteError(f"{path} is without its texts, so it cannot be played.", "Give the original.")
    differs: list[int] = []
    count = questions = 0
    try:
        state = begin(start_of(found[0].get("start")))
        for record in found[1:]:
            if record.get("record") == "asked":
                questions += 1
                if record.get("digest") != digest_of(state.conversation):
                    differs.append(questions)
            elif record.get("record") == "saw":
                state = observed(state, observation_of(record), float(record.get("seconds", 0.0)))
                count += 1
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CassetteError(
            f"{path} does not play: {error}.", "It was recorded by another version of Hearth."
        ) from error
    return Replay(state, tuple(differs), count, str(found[0].get("product", "")))


def resumed(folder: Path) -> tuple[State, Cassette]:
    """A task as it was left, and its file with what was unfinished cut off: close it. A last observation that nobody
    answered, or that it was stopped, counts for nothing: it goes on from before. Raises CassetteError."""
    path = folder / NAME
    if not ID.fullmatch(folder.name) or not path.is_file():
        raise CassetteError(f"There is no task {folder.name[:60]}.", "`hearth task --list` shows those that there are.")
    cassette = Cassette(folder)
    cassette.hold()
    try:
        return _cut(path), cassette
    except CassetteError:
        cassette.close()
        raise


def _cut(path: Path) -> State:
    found, size = records(path)
    while found and (last := found[-1]).get("record") == "saw" and last.get("kind") in _UNDONE:
        found.pop()
        size -= len(_summed(last))
    if not found:
        raise CassetteError(f"Nothing of the task {path.parent.name} was written down.", "Begin it again.")
    try:
        os.truncate(path, size)
    except OSError as error:
        raise CassetteError(f"{path} cannot be written: {error.strerror}.") from error
    return replayed(path).state


_UNDONE = frozenset((NoAnswer.__name__, Stopped.__name__))


def redacted(path: Path) -> Iterator[bytes]:
    """The lines of a cassette without its texts: of each, its length and a hash. Raises CassetteError.

    The hashes are salted anew for each export: they say which texts are equal, not which they are."""
    found, _ = records(path)
    salt = token_hex(16)
    for number, record in enumerate(found):
        bare = cast(dict[str, Any], _bare(record, "", salt))
        if number == 0:
            bare["redacted"] = True
        yield _summed(bare)


def _bare(value: Any, key: str, salt: str, *, foreign: bool = False) -> Any:
    """`foreign`: a model, and not our own code, chose the names."""
    foreign = foreign or key in _BY_MODEL
    if isinstance(value, dict):
        table = cast(dict[str, Any], value)
        names = (PARAMETERS if foreign else _ours()) if key not in _BY_PATH else frozenset[str]()
        return {
            (name if name in names else _hashed(name, salt)): _bare(one, name, salt, foreign=foreign)
            for name, one in table.items()
        }
    if isinstance(value, list):
        return [_bare(one, key, salt, foreign=foreign) for one in cast(list[Any], value)]
    if isinstance(value, str) and value and (foreign or not _shown(key, value)):
        return _hashed(value, salt)
    return value


@cache
def _ours() -> frozenset[str]:
    """The names that our own code writes: of records, and of their fields."""
    found = {"record", "version", "product", "start", "digest", "new", "seconds", "kind", "value"}
    found |= {"role", "text", "calls", "call_id", "redacted"}
    waiting: list[Any] = [Start, ToolCall, *get_args(Observation)]
    seen: set[Any] = set()
    while waiting:
        kind = waiting.pop()
        if kind in seen:
            continue
        seen.add(kind)
        waiting += get_args(kind)
        if is_dataclass(kind) and isinstance(kind, type):
            found |= {one.name for one in fields(kind)}
            waiting += get_type_hints(kind).values()
    return frozenset(found)


def _shown(key: str, value: str) -> bool:
    return (key in _KEPT_WHOLE and len(value) <= KEPT_CHARS_MAX) or (key == "name" and value in TOOL_NAMES)


def _hashed(text: str, salt: str) -> str:
    return f"{len(text)} characters, {sha256(f'{salt}{text}'.encode('utf-8', 'replace')).hexdigest()[:12]}"
