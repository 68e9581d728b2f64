"""What is asked of a project as a whole: its map, and what a change reaches. Made of the manifest's tables when it is
first asked for, and again after the project has changed: half a second for 3,000 files.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from hearth.core.impact import Occurrence, Referrer, importers, occurrences, referrers
from hearth.core.resolver import Resolver
from hearth.index.manifest import Manifest

if TYPE_CHECKING:
    from hearth.core.repomap import Graph

TOKENS_MAX = 16_000
PATHS_MAX = 1_000
WORDS_MAX = 1_000
REFERRERS_MAX = 500
LINES_MAX = 500
DEFINERS_MAX = 200

Message = dict[str, Any]


class Overview:
    """One per project. One thread at a time. Every method may raise an IndexFault."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._imports: dict[str, tuple[str, ...]] | None = None
        self._graph: Graph | None = None

    def changed(self) -> None:
        """Files were committed or forgotten. O(1)."""
        self._imports = self._graph = None

    def answered(self, message: Message) -> Message:
        """The answer to one message, as plain JSON; ValueError, TypeError or LookupError for one that does not fit.

        {"do": "map", "tokens", "conversation"?: [path], "mentioned"?: [word]} -> {"map"}: see `core.repomap`
        {"do": "impact", "name"?, "path"?, "depth"?} -> {"definitions": [[path, line]], "referrers": [[path, count,
            sure]], "lines": [[path, line, column, text]], "importers": [[path, depth]]}; lines 0-based. `name`: a
            symbol, also as Class.method; with `path` the one that is defined there. Without `name`: the file `path`.
        """
        match message.get("do"):
            case "map":
                conversation = _texts(message.get("conversation", []), PATHS_MAX)
                mentioned = _texts(message.get("mentioned", []), WORDS_MAX)
                return {"map": self.map(int(message["tokens"]), conversation, mentioned)}
            case "impact":
                name, path = str(message.get("name", "")), str(message.get("path", ""))
                return self.impact(name, path, int(message.get("depth", 1)))
            case other:
                raise ValueError(f"unknown request {other!r}")

    def map(self, tokens: int, conversation: list[str], mentioned: list[str]) -> str:
        """The repository map, at most `tokens` long."""
        # numpy costs a tenth of a second and 16 MB, which only those who want a map are to pay.
        repomap = import_module("hearth.core.repomap")
        if self._graph is None:
            manifest = self._manifest
            self._graph = cast(
                "Graph", repomap.Graph(manifest.definition_table(), manifest.reference_table(), self.imports())
            )
        ranked = self._graph.ranked(conversation=conversation, mentioned=mentioned)
        return cast(str, repomap.repository_map(ranked, self._manifest.symbols_in, min(tokens, TOKENS_MAX)))

    def impact(self, name: str, path: str, depth: int) -> Message:
        """What depends on a symbol, or on a file: see `answered`."""
        imports = self.imports()
        if not name:
            found = importers(imports, [path], depth)
            return {"definitions": [], "referrers": [], "lines": [], "importers": [[i.path, i.depth] for i in found]}
        container, _, last = name.rpartition(".")
        known = self._manifest.definitions([last], DEFINERS_MAX).get(last, [])
        there = [
            (where, symbol)
            for where, symbol in known
            if (not path or where == path) and (not container or f".{symbol.container}".endswith(f".{container}"))
        ]
        files = {where for where, _ in there} if path or container else set[str]()
        users = referrers(self._manifest.references_of(last), files, imports)[:REFERRERS_MAX]
        seen = importers(imports, sorted({where for where, _ in there}), depth)
        return {
            "definitions": [[where, symbol.start] for where, symbol in there],
            "referrers": [[one.path, one.count, one.sure] for one in users],
            "lines": [[one.path, one.line, one.column, one.text] for one in self._lines(last, users)],
            "importers": [[one.path, one.depth] for one in seen],
        }

    def imports(self) -> dict[str, tuple[str, ...]]:
        """For each file that imports anything of the project: the files that it imports."""
        if self._imports is None:
            resolver = Resolver(row.path for row in self._manifest.files())
            resolved = ((path, resolver.files(path, found)) for path, found in self._manifest.all_imports())
            self._imports = {path: targets for path, targets in resolved if targets}
        return self._imports

    def _lines(self, name: str, users: list[Referrer]) -> list[Occurrence]:
        """The exact places, out of the texts that the manifest keeps."""
        found: list[Occurrence] = []
        for user in users:
            for chunk in self._manifest.chunks_in(user.path):
                places = occurrences(name, [(user.path, chunk.text)], LINES_MAX - len(found))
                found += [Occurrence(one.path, one.line + chunk.start, one.column, one.text) for one in places]
            if len(found) >= LINES_MAX:
                break
        return found


def _texts(value: object, count_max: int) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return [str(one) for one in cast(list[object], value)[:count_max]]
