"""The copy predictor's process: reads the workspace in the background and predicts from it, where no model answers.

Run as `python -I -m hearth.index.copy_service`.

Messages (see `hearth.worker` for the wire). From the parent:
    {"do": "folders", "folders": [path], "open": [path]}   walk these folders afresh, the open files first; no answer
    {"do": "saved", "path": path}                          read this file again (or forget it); no answer
    {"do": "predict", "id", "before": [line], "line_before", "line_after", "after": [line], "path", "language"}
        -> {"text", "confidence", "lines", "path"} or {} for silence; `path` itself gives no evidence
    {"do": "status", "id"} -> {"state": "idle"|"walking"|"ready", "files", "lines", "chars", "refused", "seen"}
To the parent: {"ready": true} first; then {"progress": <status>} every PROGRESS_FILES files, and when a walk is done.

Work is done in slices of a few milliseconds between which messages are answered. Nothing in the workspace is run,
imported or unpickled, and nothing is written: what is known lives in memory and is built again on the next start.
"""

import gc
import os
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from hearth.core.copying import CHARS_MAX, LINES_MAX, CopyModel
from hearth.index.walk import IGNORE_FILE_NAMES, Folder, read_bytes, text_lines
from hearth.worker import Child, answer_with

if sys.platform != "win32":
    import resource

MEMORY_BYTES_MAX = 1_500_000_000
NICENESS = 19
SLICE_LINES = 250
FOLDERS_MAX = 32
OPEN_FILES_MAX = 200
SAVED_QUEUE_MAX = 10_000
PROGRESS_FILES = 500
GIL_SWITCH_S = 0.001
# Text and data are indexed while there is plenty of room, and leave the rest of it to code.
PROSE_SHARE_MAX = 0.3
PROSE_ENDINGS = (".txt", ".md", ".rst", ".adoc", ".json", ".xml", ".html", ".htm", ".yaml", ".yml")

Message = dict[str, Any]


class CopyIndexer:
    """What the process knows, apart from its pipes. `step` does one slice of the background work."""

    def __init__(self) -> None:
        self.model = CopyModel(lines_max=LINES_MAX, chars_max=CHARS_MAX)
        self._folders: list[Folder] = []
        self._saved: deque[str] = deque(maxlen=SAVED_QUEUE_MAX)
        self._work: Iterator[None] | None = None
        self._kept: set[str] = set()
        self.state = "idle"
        self.seen = 0
        self.refused = 0

    @property
    def busy(self) -> bool:
        return self._work is not None or bool(self._saved)

    def handle(self, message: Message) -> Message:
        """Answer one message; ValueError, KeyError or TypeError for one that does not fit."""
        match message.get("do"):
            case "predict":
                return self._predict(message)
            case "status":
                return self.status()
            case "saved":
                self._saved.append(os.path.abspath(_text(message["path"])))
            case "folders":
                self._set_folders(_texts(message["folders"]), _texts(message.get("open", [])))
            case other:
                raise ValueError(f"unknown request {other!r}")
        return {}

    def status(self) -> Message:
        """Counts: files, lines, characters held; `seen` by the walk; `refused`: binary, generated or over a limit."""
        return {
            "state": self.state,
            "files": self.model.files,
            "lines": self.model.lines,
            "chars": self.model.chars,
            "seen": self.seen,
            "refused": self.refused,
        }

    def step(self) -> None:
        """A slice of work: a file, a part of a large one, or some directory entries."""
        if self._saved:
            path = self._saved.popleft()
            if os.path.basename(path) in IGNORE_FILE_NAMES:
                self._begin([])
            else:
                self._reread(path)
        elif self._work is not None and next(self._work, self) is self:
            self._work = None
            self.state = "ready"

    def _predict(self, message: Message) -> Message:
        found = self.model.predict(
            _texts(message["before"]),
            _text(message["line_before"]),
            _text(message["line_after"]),
            _texts(message["after"]),
            _key(os.path.realpath(_text(message["path"]))),
            _text(message.get("language", "")),
            own_file=False,
        )
        if found is None:
            return {}
        return {"text": found.text, "confidence": found.confidence, "lines": found.lines, "path": found.path}

    def _set_folders(self, folders: list[str], opened: list[str]) -> None:
        self._folders = [Folder(Path(os.path.realpath(f))) for f in folders[:FOLDERS_MAX]]
        for path in [p for p in self.model.paths if self._place(p) is None]:
            self.model.remove(path)
        self._begin(opened)

    def _begin(self, opened: list[str]) -> None:
        """Walk again from the start; what is indexed stays until the walk has shown that it is gone."""
        for folder in self._folders:
            folder.forget_rules()
        self.seen = self.refused = 0
        self._kept = set()
        self._work = self._walk([os.path.abspath(p) for p in opened[:OPEN_FILES_MAX]])
        self.state = "walking"

    def _walk(self, opened: list[str]) -> Iterator[None]:
        for path in opened:
            if (place := self._place(path)) is not None:
                yield from self._read(*place)
        for folder in self._folders:
            for relative in folder.walk():
                yield
                if relative is not None:
                    yield from self._read(folder, relative)
        for path in [p for p in self.model.paths if p not in self._kept]:
            self.model.remove(path)
            yield

    def _read(self, folder: Folder, relative: str) -> Iterator[None]:
        path = os.path.join(folder.root, relative)
        if path in self._kept:
            return
        self._kept.add(path)
        self.seen += 1
        lines = _lines(path)
        yield
        key = _key(path)
        self._kept.add(key)
        if lines is None:
            self.refused += 1
            self.model.remove(key)
            return
        crowded = self.model.lines > PROSE_SHARE_MAX * LINES_MAX and path.casefold().endswith(PROSE_ENDINGS)
        if crowded or not self.model.fits(key, lines):
            self.refused += 1
            self.model.remove(key)
            return
        if not self.model.has(key):
            # In portions, so that a long file does not hold up an answer.
            for end in range(SLICE_LINES, len(lines), SLICE_LINES):
                if not self.model.add(key, lines[:end]):
                    break
                yield
        if not self.model.add(key, lines):
            self.refused += 1

    def _reread(self, path: str) -> None:
        place = self._place(path)
        lines = _lines(path) if place is not None else None
        if lines is None:
            self.model.remove(_key(path))
        else:
            self._kept.add(_key(path))
            self.model.add(_key(path), lines)

    def _place(self, path: str) -> tuple[Folder, str] | None:
        """The folder that a file belongs to and its path there; None if it is not to be read."""
        for folder in self._folders:
            relative = folder.relative(path)
            if relative is not None:
                return (folder, relative) if folder.allows(relative) else None
        return None


def _lines(path: str) -> list[str] | None:
    data = read_bytes(Path(path))
    return None if data is None else text_lines(data)


def _key(path: str) -> str:
    return path.replace(os.sep, "/")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return [_text(item) for item in cast(list[object], value)]


def main() -> None:
    """Run until the parent goes."""
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    # The index is long-lived and has no cycles; passes of the collector over it would delay answers.
    gc.disable()
    sys.setswitchinterval(GIL_SWITCH_S)
    child = Child(niceness=NICENESS)
    child.send({"ready": True})
    indexer = CopyIndexer()
    reported = 0
    while True:
        try:
            message = child.receive(0 if indexer.busy else None)
        except EOFError:
            return
        if message is not None:
            answer_with(child, message, indexer.handle)
            continue
        state = indexer.state
        indexer.step()
        if indexer.seen - reported >= PROGRESS_FILES or indexer.state != state:
            reported = indexer.seen
            child.send({"progress": indexer.status()})


if __name__ == "__main__":
    main()
