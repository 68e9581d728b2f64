"""A conversation as JSON, and back. What is damaged is passed over; what was attached is not kept, only where it was.

Files' texts are read anew when a restored conversation goes on: so nothing of them lies in the data folder but what
answers quote.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, cast, get_args

from hearth.core.chat import Command, Kind, Scope
from hearth.core.conversation import TITLE_CHARS_MAX, TURNS_MAX, Answer, Conversation, Summary, Turn
from hearth.core.exchange import Part
from hearth.core.jsonlike import items, number, table, text, whole
from hearth.core.origin import DESTINATIONS, USER, WHOLE, Origin
from hearth.core.origin import Kind as OriginKind
from hearth.core.route import Choice
from hearth.core.text import Position, Range

VERSION = 1
TEXT_CHARS_MAX = 1_000_000
FIELD_CHARS_MAX = 10_000
ORIGINS_MAX = 500
NOTES_MAX = 50
COUNT_MAX = 10**12
LINES_MAX = 10**8
_KINDS: tuple[Kind, ...] = get_args(Kind)
_ORIGINS: tuple[OriginKind, ...] = get_args(OriginKind)


def record(talk: Conversation) -> dict[str, Any]:
    """What is kept of a conversation."""
    selection = talk.command.selection
    scope = talk.scope
    return {
        "version": VERSION,
        "id": talk.id,
        "kind": talk.kind,
        "title": talk.title,
        "created": talk.created,
        "updated": talk.updated,
        "uri": talk.command.uri,
        "prompt": talk.command.prompt,
        "selection": None
        if selection is None
        else [selection.start.line, selection.start.character, selection.end.line, selection.end.character],
        "scope": None if scope is None else [scope.start, scope.end, scope.symbol, scope.how],
        "turns": [_turn(turn) for turn in talk.turns[-TURNS_MAX:]],
    }


def head(talk: Conversation) -> dict[str, Any]:
    """What a list needs."""
    line = talk.summary
    return {
        "version": VERSION, "id": line.id, "kind": line.kind, "title": line.title, "updated": line.updated,
        "turns": line.turns, "model": line.model,
    }  # fmt: skip


def summary(raw: object) -> Summary | None:
    """A line of a list, None for a damaged one."""
    fields = table(raw)
    identifier, kind = text(fields.get("id"), 100), fields.get("kind")
    updated, turns = number(fields.get("updated"), COUNT_MAX), whole(fields.get("turns"), COUNT_MAX)
    if not identifier or kind not in _KINDS or updated is None or turns is None:
        return None
    title = text(fields.get("title"), FIELD_CHARS_MAX)
    return Summary(identifier, kind, title, updated, turns, text(fields.get("model"), FIELD_CHARS_MAX))


def restored(raw: object) -> Conversation | None:
    """A conversation out of its record, None for one that is damaged; of turns the whole ones."""
    fields = table(raw)
    line = summary({**fields, "turns": len(items(fields.get("turns")))})
    created = number(fields.get("created"), COUNT_MAX)
    if line is None or created is None or fields.get("version") != VERSION:
        return None
    turns = [turn for one in items(fields.get("turns"))[:TURNS_MAX] if (turn := _restored_turn(table(one)))]
    command = Command(
        line.kind,
        text(fields.get("uri"), FIELD_CHARS_MAX),
        _range(fields.get("selection")),
        text(fields.get("prompt"), TEXT_CHARS_MAX),
    )
    title = line.title[: TITLE_CHARS_MAX * 4]
    return Conversation(
        line.id, line.kind, title, command, _scope(fields.get("scope")), created, turns, Choice(), line.updated
    )


def _turn(turn: Turn) -> dict[str, Any]:
    one = turn.answer
    answer: dict[str, Any] = {
        "text": one.text[:TEXT_CHARS_MAX], "place": one.place, "name": one.name, "model": one.model,
        "reason": one.reason, "ending": one.ending or "stopped", "problem": one.problem,
        "outcome": one.outcome, "fate": one.fate, "notes": list(one.notes),
        "prompt_tokens": one.prompt_tokens, "cached_tokens": one.cached_tokens,
        "generated_tokens": one.generated_tokens, "cost": None if one.cost is None else str(one.cost),
        "entries": list(one.entries),
    }  # fmt: skip
    used = [[o.kind, o.path, o.folder, o.start, o.end, o.name] for o in turn.used[:ORIGINS_MAX]]
    return {"asked": turn.asked[:TEXT_CHARS_MAX], "used": used, "flags": list(turn.flags), "answer": answer}


def _restored_turn(fields: Mapping[str, Any]) -> Turn | None:
    asked = text(fields.get("asked"), TEXT_CHARS_MAX)
    raw = table(fields.get("answer"))
    if not asked or not raw:
        return None
    place = raw.get("place")
    name, model, reason = (text(raw.get(key), FIELD_CHARS_MAX) for key in ("name", "model", "reason"))
    read, cached, written = (
        whole(raw.get(key), COUNT_MAX) for key in ("prompt_tokens", "cached_tokens", "generated_tokens")
    )
    answer = Answer(
        text(raw.get("text"), TEXT_CHARS_MAX),
        place if place in DESTINATIONS else None,
        name,
        model,
        reason,
        text(raw.get("ending"), 20) or "stopped",
        text(raw.get("problem"), FIELD_CHARS_MAX),
        text(raw.get("outcome"), FIELD_CHARS_MAX),
        _notes(raw.get("notes")),
        read,
        cached,
        written,
        _cost(raw.get("cost")),
        tuple(n for one in items(raw.get("entries"))[:NOTES_MAX] if (n := whole(one, COUNT_MAX)) is not None),
        text(raw.get("fate"), FIELD_CHARS_MAX),
    )
    used = tuple(origin for one in items(fields.get("used"))[:ORIGINS_MAX] if (origin := _origin(items(one))))
    return Turn(asked, (Part(asked, (USER, *used)),), used, _notes(fields.get("flags")), answer)


def _origin(raw: list[Any]) -> Origin | None:
    if len(raw) != 6 or raw[0] not in _ORIGINS or raw[0] == "product":
        return None
    start = whole(raw[3], LINES_MAX)
    end = WHOLE if raw[4] == WHOLE else whole(raw[4], LINES_MAX)
    path, folder, name = (text(one, FIELD_CHARS_MAX) for one in (raw[1], raw[2], raw[5]))
    if start is None or end is None:
        return None
    return Origin(raw[0], path, folder, start, end, (), name)


def _scope(raw: object) -> Scope | None:
    values = items(raw)
    if len(values) != 4 or values[3] not in ("selection", "symbol", "file"):
        return None
    start, end = whole(values[0], LINES_MAX), whole(values[1], LINES_MAX)
    return None if start is None or end is None else Scope(start, end, text(values[2], FIELD_CHARS_MAX), values[3])


def _range(raw: object) -> Range | None:
    values = [whole(one, LINES_MAX) for one in items(raw)]
    if len(values) != 4 or None in values:
        return None
    a, b, c, d = cast(list[int], values)
    return Range(Position(a, b), Position(c, d))


def _notes(raw: object) -> tuple[str, ...]:
    return tuple(note for one in items(raw)[:NOTES_MAX] if (note := text(one, FIELD_CHARS_MAX)))


def _cost(raw: object) -> Decimal | None:
    try:
        cost = Decimal(text(raw, 40) or "nan")
    except InvalidOperation:
        return None
    return cost if cost.is_finite() and cost >= 0 else None
