"""What the project's index adds to a completion's context: a source for `gather`."""

import os
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from hearth.core.analysis import analysed
from hearth.core.context import Snippet, imports_of
from hearth.core.facts import Import
from hearth.core.prompt import lf
from hearth.core.sight import sight_at
from hearth.errors import WorkerError
from hearth.gather import Found, Spot
from hearth.index.client import IndexClient

ANSWER_WITHIN_S = 1.0
"""`gather` waits less; the rest is for a machine that is busy."""
CHARS_ASKED = 3_000
"""Two thirds of what a prompt has room for; the rest is for files that are open."""
DEFINITION_WEIGHT_MIN = 0.7
"""Definitions of what is in sight come before pieces that are merely alike."""
CHUNK_WEIGHT_MAX = 0.6
LINES_SEEN_MAX = 600
"""Above the cursor: far enough to find the heads of the blocks that it is in."""
BELOW_LINES_SEEN = 100
IMPORTS_KEPT_MAX = 64


class ProjectSource:
    """One per engine."""

    def __init__(self, index: IndexClient, path_of: Callable[[str], Path | None]) -> None:
        self._index = index
        self._path_of = path_of

    async def __call__(self, spot: Spot) -> Found:
        """Snippets of files that are not open; nothing while there is no index."""
        path = self._path_of(spot.snapshot.uri)
        if path is None:
            return Found()
        wide, at = spot.wide, spot.wide_at
        text = "\n".join(line for _, line in imports_of(wide.lines, wide.language))
        seen = wide.lines[max(0, at.line - LINES_SEEN_MAX) : at.line + BELOW_LINES_SEEN]
        lines = [lf(line).rstrip("\n") for line in seen]
        imports = imports_in(wide.language, text)
        sight = sight_at("", wide.language, lines, min(at.line, LINES_SEEN_MAX), wide.column_at(at), imports)
        message = {"do": "context", "path": os.fspath(path), "sight": asdict(sight), "chars": CHARS_ASKED}
        try:
            answer = await self._index.ask(message, ANSWER_WITHIN_S)
        except WorkerError:
            return Found()
        found: list[Snippet] = []
        for relative, body, kind, weight in cast(list[Any], answer.get("snippets", [])):
            origin = Path(str(answer["folder"]), str(relative)).as_uri()
            found.append(_snippet(str(relative), str(body), origin, str(kind), float(weight)))
        return Found(snippets=tuple(found))


def _snippet(path: str, text: str, origin: str, kind: str, weight: float) -> Snippet:
    if kind == "chunk":
        return Snippet(path, text, origin, "index", CHUNK_WEIGHT_MAX * weight)
    return Snippet(path, text, origin, "definition", DEFINITION_WEIGHT_MIN + (1 - DEFINITION_WEIGHT_MIN) * weight)


@lru_cache(maxsize=IMPORTS_KEPT_MAX)
def imports_in(language: str, text: str) -> tuple[Import, ...]:
    """The imports among some lines of a document."""
    return analysed(language, text).imports if text else ()
