"""What may be asked of one folder's index, as messages: plain JSON in, plain JSON out."""

from typing import Any, cast

from hearth.core.facts import Import
from hearth.core.retrieval import context
from hearth.core.sight import Sight
from hearth.core.terms import completion_query
from hearth.index.indexing import FolderWork
from hearth.index.owner import Message

QUERY_CHARS_MAX = 10_000
LINES_MAX = 200
LINE_CHARS_MAX = 1_000
SNIPPET_CHARS_MAX = 20_000
VECTOR_DIMENSIONS_MAX = 8_192


def answered(work: FolderWork, root: str, message: Message) -> Message:
    """The answer to one message; ValueError, LookupError or TypeError for one that does not fit.

    {"do": "search", "query", "limit", "vector"?, "model"?} -> {"results": [{"path", "start_line", "end_line", "score",
        "text", "symbol"}]}; lines 0-based, end exclusive
    {"do": "context", "path", "sight": a `core.sight.Sight` as a table, "chars"} -> {"folder", "snippets": [[path, text,
        kind, weight]]}
    {"do": "map" | "impact", ...}: see `index.overview`; {"do": "dense", ...}: see `index.dense`
    {"do": "saved", "path"}, {"do": "reindex"} -> {}
    {"do": "status"} -> {"state", "files", "chunks", "symbols", "seen", "total", "problem"}
    """
    match message.get("do"):
        case "search":
            return _search(work, message)
        case "context":
            return {"folder": root, **_context(work, message)}
        case "map" | "impact":
            return work.project.overview.answered(message)
        case "dense":
            return work.project.dense.exchange(message)
        case "status":
            return _status(work)
        case "saved":
            work.saved(str(message["path"]))
        case "reindex":
            work.begin([], verify=True)
        case other:
            raise ValueError(f"unknown request {other!r}")
    return {}


def _status(work: FolderWork) -> Message:
    counts: dict[str, Any] = dict(work.project.counts())
    return {**counts, "state": work.state, "seen": work.seen, "total": work.total, "problem": work.problem}


def _search(work: FolderWork, message: Message) -> Message:
    vector = [float(n) for n in cast(list[Any], message.get("vector", []))[:VECTOR_DIMENSIONS_MAX]]
    query = str(message["query"])[:QUERY_CHARS_MAX]
    hits = work.project.find(query, max(1, int(message.get("limit", 10))), vector, str(message.get("model", "")))
    return {
        "results": [
            {
                "path": hit.path,
                "start_line": hit.start,
                "end_line": hit.end,
                "score": round(hit.score, 4),
                "text": hit.text,
                "symbol": hit.symbol,
            }
            for hit in hits
        ]
    }


def _context(work: FolderWork, message: Message) -> Message:
    sight = _sight(cast(Message, message["sight"]), str(message["path"]))
    query = completion_query(sight.above, sight.line_before, sight.below)
    found = context(sight, work.project.known, query, min(SNIPPET_CHARS_MAX, int(message["chars"])))
    return {"snippets": [[one.path, one.text, one.kind, one.weight] for one in found]}


def _sight(value: Message, path: str) -> Sight:
    """A Sight that came as `dataclasses.asdict` gives it; `path` is the file's in its folder."""
    imports = [
        Import(
            str(one["module"]), int(one["line"]), tuple((str(a), str(b)) for a, b in one["names"]), str(one["alias"])
        )
        for one in cast(list[Any], value["imports"])[:LINES_MAX]
    ]
    lines = {name: _lines(value[name]) for name in ("above", "below", "further", "enclosing")}
    return Sight(
        path=path,
        language=str(value["language"]),
        line_before=str(value["line_before"])[-LINE_CHARS_MAX:],
        line_after=str(value["line_after"])[:LINE_CHARS_MAX],
        imports=tuple(imports),
        **lines,
    )


def _lines(value: Any) -> tuple[str, ...]:
    return tuple(str(line)[:LINE_CHARS_MAX] for line in cast(list[Any], value)[:LINES_MAX])
