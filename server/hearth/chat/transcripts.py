"""Conversations on the disk: one file each, readable by the user alone, in the data folder and never in the workspace.

A file has two lines of JSON: what a list needs, and everything. It is written beside and put in place, so an end amid
writing leaves the old one. What is damaged or foreign is passed over.
"""

import json
import os
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from hearth.core.chat_record import head, record, restored, summary
from hearth.core.conversation import Conversation, Summary
from hearth.index.walk import read_bytes

CONVERSATIONS_MAX = 200
"""Of a workspace; the oldest go."""
RECORD_BYTES_MAX = 8_000_000
HEAD_BYTES_MAX = 64_000
NAME = re.compile(r"[a-z0-9]{1,40}")
ENDING = ".chat"


class Transcripts:
    """Those of one workspace. Every method reads or writes files: call them in a thread. Only OSErrors of writing are
    raised."""

    def __init__(self, data_dir: Path, folders: Sequence[str]) -> None:
        workspace = "\n".join(sorted(folders))
        self._folder = data_dir / "chats" / sha256(workspace.encode("utf-8", "replace")).hexdigest()[:32]

    def save(self, talk: Conversation) -> None:
        """Keep a conversation, in place of what was kept of it before."""
        data = _bytes(talk)
        while len(data) > RECORD_BYTES_MAX and len(talk.turns) > 1:
            # The newest turns are those that are read again.
            half = len(talk.turns) // 2
            talk = Conversation(
                talk.id, talk.kind, talk.title, talk.command, talk.scope, talk.created, talk.turns[-half:], talk.choice,
                talk.updated,
            )  # fmt: skip
            data = _bytes(talk)
        if len(data) > RECORD_BYTES_MAX:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(talk.id)
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.replace(beside, path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        for old in self._paths()[CONVERSATIONS_MAX:]:
            old.unlink(missing_ok=True)

    def load(self, identifier: str) -> Conversation | None:
        """A conversation, None if it is gone or damaged."""
        if not NAME.fullmatch(identifier):
            return None
        data = read_bytes(self._path(identifier), RECORD_BYTES_MAX)
        try:
            _, _, body = (data or b"").partition(b"\n")
            talk = restored(json.loads(body))
        except (ValueError, RecursionError):
            return None
        return talk if talk and talk.id == identifier else None

    def listed(self, query: str, limit: int) -> list[Summary]:
        """The newest first; those that hold all words of `query`, in whatever place."""
        found: list[Summary] = []
        words = query.casefold().split()
        for path in self._paths():
            if len(found) >= limit:
                break
            line = _head(path)
            if line is None or line.id != path.stem:
                continue
            if words and not all(word in _text(self.load(line.id)) for word in words):
                continue
            found.append(line)
        return found

    def delete(self, identifier: str) -> bool:
        """Forget one; whether there was one."""
        if not NAME.fullmatch(identifier):
            return False
        try:
            self._path(identifier).unlink()
        except OSError:
            return False
        return True

    def _path(self, identifier: str) -> Path:
        return self._folder / f"{identifier}{ENDING}"

    def _paths(self) -> list[Path]:
        """The files, the newest first."""
        found: list[tuple[float, Path]] = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(ENDING) and entry.is_file(follow_symlinks=False):
                        found.append((entry.stat(follow_symlinks=False).st_mtime, Path(entry.path)))
        except OSError:
            return []
        return [path for _, path in sorted(found, reverse=True)]


def _bytes(talk: Conversation) -> bytes:
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in (head(talk), record(talk))]
    return "\n".join(lines).encode("utf-8", "replace") + b"\n"


def _head(path: Path) -> Summary | None:
    try:
        with path.open("rb") as stream:
            return summary(json.loads(stream.readline(HEAD_BYTES_MAX)))
    except (OSError, ValueError, RecursionError):
        return None


def _text(talk: Conversation | None) -> str:
    """Everything that can be searched for."""
    if talk is None:
        return ""
    parts = [talk.title, *(f"{turn.asked}\n{turn.answer.text}" for turn in talk.turns)]
    return "\n".join(parts).casefold()
