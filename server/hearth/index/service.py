"""The index process: keeps an index of each workspace folder and answers from it.

Run as `python -I -m hearth.index.service DATA_DIR [QDRANT_URL [KEY_VARIABLE]]`. It runs at the lowest priority, opens
no socket but the one of the file system that other windows' processes ask by (and a Qdrant server's, if there is one);
nothing in the workspace is run, imported or unpickled.

Messages (see `hearth.worker` for the wire). From the parent:
    {"do": "folders", "folders": [path], "open": [path], "distrust": bool, "share": bool, "never": [glob]}   keep these
        folders, on the Qdrant server if they may be shared, then without the files that `never` fits; no answer
    {"do": "saved", "path"}         a file was written, created or deleted; no answer
    {"do": "reindex"}               read everything again, whatever the files' times say; no answer
    {"do": "stop"}                  give up the present walk; no answer
    {"do": "search", "id", "query", "limit", "vector"?, "model"?} -> {"results": [{"folder", "path", "start_line",
        "end_line", "score", "text", "symbol"}]}; best first, over all folders
    {"do": "context" | "map" | "impact" | "dense", "id", "path" | "folder", ...}   see `index.asking`
    {"do": "status", "id"} -> {"state", "files", "chunks", "symbols", "seen", "total", "problem"}, sums over the folders
To the parent: {"ready": true} first; then {"progress": <status>} while it works, and at its end.
"""

import gc
import os
import sys
import time
from pathlib import Path
from typing import Any, cast

from hearth.index.indexing import GIT_HEAD
from hearth.index.owner import Message, Reply, home_of
from hearth.index.place import Place
from hearth.index.reading import Reader
from hearth.index.team import team_of
from hearth.worker import Child, answer_with

if sys.platform != "win32":
    import resource

MEMORY_BYTES_MAX = 3_000_000_000
NICENESS = 19
FOLDERS_MAX = 32
OPEN_FILES_MAX = 200
GIL_SWITCH_S = 0.001
PROGRESS_EVERY_S = 0.25
EXIT_STUCK = 3
STARVED_S = 0.05
"""Questions go first, but not for longer than this."""
LOOK_EVERY_S = 3.0
"""How often a full disk or an owner that has gone is looked at."""
ASKED_OF_ONE = frozenset({"context", "map", "impact", "dense"})
COUNTS = ("files", "chunks", "symbols", "seen", "total")
STATES = ("waiting", "walking", "stopped", "idle", "ready")
"""The worst of the folders' states is the state of all."""


class Service:
    """What the process does, apart from its pipes: `handle` a message, or `step` while `busy`."""

    def __init__(self, data: Path, url: str, key: str, child: Child) -> None:
        self._data = data
        self._url = url
        self._key = key
        self._child = child
        self._reader = Reader(lambda: child.put({"do": "wake"}))
        self._places: dict[str, Place] = {}
        self._opened: list[str] = []
        self._share = False
        self._never: tuple[str, ...] = ()

    @property
    def busy(self) -> bool:
        """Whether `step` would do something now."""
        return self._reader.has_outcomes or any(p.work is not None and p.work.busy for p in self._places.values())

    @property
    def settled(self) -> bool:
        """Whether everything that this process keeps is up to date, as far as it knows."""
        return all(place.work is None or place.work.settled for place in self._places.values())

    def step(self) -> None:
        """A slice of the background work."""
        self._reader.take()
        for place in list(self._places.values()):
            place.step()

    def look(self) -> None:
        """What is done now and then. A parser that comes to no end is ended with the process; the next one knows."""
        if (job := self._reader.stuck()) is not None:
            for place in self._places.values():
                if place.work is not None and place.work.too_slow(job.path):
                    place.close()
            os._exit(EXIT_STUCK)
        for place in list(self._places.values()):
            place.look()

    def close(self) -> None:
        """Give all folders up."""
        for place in self._places.values():
            place.close()

    def handle(self, message: Message) -> Message:
        """Answer one message; ValueError, LookupError or TypeError for one that does not fit."""
        match message.get("do"):
            case "wake":
                pass
            case "guest":
                _answer_guest(message)
            case "folders":
                self._set_folders(message)
            case "stop":
                for place in self._places.values():
                    place.stop()
            case "saved":
                self._saved(_text(message["path"]))
            case "reindex":
                for place in self._places.values():
                    place.ask({"do": "reindex"})
            case "search":
                return self._search(message)
            case "status":
                return self.status()
            case str(do) if do in ASKED_OF_ONE:
                return self._place_of(message).ask(message)
            case other:
                raise ValueError(f"unknown request {other!r}")
        return {}

    def status(self) -> Message:
        """Counts over all folders, and the state of the one that has most to do."""
        each = [place.ask({"do": "status"}) for place in self._places.values()]
        found: Message = {name: sum(int(one.get(name, 0)) for one in each) for name in COUNTS}
        states = [one.get("state", "idle") for one in each]
        found["state"] = next((state for state in STATES if state in states), "idle")
        found["problem"] = next((text for one in each if (text := one.get("problem") or one.get("error"))), "")
        found["problem"] = found["problem"] or next((p.kept_back for p in self._places.values() if p.kept_back), "")
        return found

    def _set_folders(self, message: Message) -> None:
        roots = [os.path.realpath(root) for root in _texts(message["folders"])[:FOLDERS_MAX]]
        self._opened = _texts(message.get("open", []))[:OPEN_FILES_MAX]
        self._share = message.get("share") is True
        self._never = tuple(_texts(message.get("never", [])))
        for root in [root for root in self._places if root not in roots]:
            self._places.pop(root).close()
        for root in roots:
            if root not in self._places:
                self._open(root, distrust=bool(message.get("distrust")))

    def _open(self, root: str, *, distrust: bool = False) -> None:
        team = team_of(self._url if self._share else "", self._key, Path(root))
        never = self._never if team else ()
        place = self._places[root] = Place(root, home_of(self._data, root), self._reader, self._deliver, team, never)
        place.start(self._opened, distrust)

    def _deliver(self, place: Place, message: Message, reply: Reply) -> None:
        """In a guest's thread: its message waits in the queue like the parent's."""
        self._child.put({"do": "guest", "place": place, "message": message, "reply": reply})

    def _saved(self, path: str) -> None:
        for place in list(self._places.values()):
            if (inside := place.inside(path)) is not None:
                if self._url and inside == GIT_HEAD:
                    place.close()
                    self._open(place.root)  # on a server a branch is a place of its own
                else:
                    place.ask({"do": "saved", "path": inside})
                return

    def _search(self, message: Message) -> Message:
        """Over several folders by rank: scores of different indexes do not compare."""
        limit = int(message.get("limit", 10))
        lists = [place.ask(message).get("results", []) for place in self._places.values()]
        merged = [
            (rank, {**hit, "folder": root})
            for root, found in zip(self._places, lists, strict=True)
            for rank, hit in enumerate(cast(list[Message], found))
        ]
        merged.sort(key=lambda item: item[0])
        return {"results": [hit for _, hit in merged[:limit]]}

    def _place_of(self, message: Message) -> Place:
        """The folder that a message names, or that its file is in, or the first one."""
        if "folder" in message:
            return self._places[_text(message["folder"])]
        path = _text(message.get("path", ""))
        for place in self._places.values():
            if path and (inside := place.inside(path)) is not None:
                message["path"] = inside
                return place
        raise LookupError("no folder of the workspace holds this file")


def _answer_guest(message: Message) -> None:
    reply = cast(Reply, message["reply"])
    try:
        reply(cast(Place, message["place"]).ask(cast(Message, message["message"])))
    except (ValueError, LookupError, TypeError) as error:
        reply({"error": f"{type(error).__name__}: {error}"})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return [_text(item) for item in cast(list[object], value)]


def main(arguments: list[str]) -> None:
    """Run until the parent goes."""
    data, url, key_variable, *_ = [*arguments, "", "", ""]
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
        os.umask(0o077)
    # Long-lived data without cycles; passes of the collector over it would delay answers.
    gc.disable()
    sys.setswitchinterval(GIL_SWITCH_S)
    child = Child(niceness=NICENESS)
    child.send({"ready": True})
    service = Service(Path(data), url, os.environ.get(key_variable, "") if key_variable else "", child)
    reported: Any = None
    settled = False
    next_look = next_report = stepped = 0.0
    try:
        while True:
            message = child.receive(0 if service.busy else LOOK_EVERY_S)
            if message is not None:
                answer_with(child, message, service.handle)
            now = time.monotonic()
            if message is None or now - stepped > STARVED_S:
                service.step()
                stepped = now = time.monotonic()
            if now >= next_look:
                next_look = now + LOOK_EVERY_S
                service.look()
            if now >= next_report or (service.settled and not settled):
                next_report = now + PROGRESS_EVERY_S
                settled = service.settled
                if (status := service.status()) != reported:
                    reported = status
                    child.send({"progress": status})
    except EOFError:
        service.close()


if __name__ == "__main__":
    main(sys.argv[1:])
