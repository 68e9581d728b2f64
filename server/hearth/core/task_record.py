"""A task's records as plain JSON and back: its start, what was observed, and messages.

Written by the types of the records themselves, so that a field cannot be forgotten. What does not fit is a ValueError.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from hashlib import sha256
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from hearth.core.exchange import Message
from hearth.core.task_state import Observation, Start

DEPTH_MAX = 40
Record = TypeVar("Record")
_OBSERVATIONS: dict[str, type] = {one.__name__: one for one in get_args(Observation)}


def plain(value: object, depth: int = 0) -> Any:
    """A record as JSON's own types."""
    if depth > DEPTH_MAX:
        raise ValueError("too deep")
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name), depth + 1) for one in fields(value)}
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        table = cast(Mapping[object, object], value)
        return {str(key): plain(one, depth + 1) for key, one in table.items()}
    if isinstance(value, tuple | list | frozenset | set):
        items = sorted(cast(frozenset[str], value)) if isinstance(value, frozenset | set) else cast(list[object], value)
        return [plain(one, depth + 1) for one in items]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ValueError(f"{type(value).__name__} is no record")


def observation(seen: Observation) -> dict[str, Any]:
    """What was observed, with its kind."""
    return {"kind": type(seen).__name__, "value": plain(seen)}


def observation_of(raw: Mapping[str, Any]) -> Observation:
    """From a record. Raises ValueError."""
    kind = _OBSERVATIONS.get(str(raw.get("kind")))
    if kind is None:
        raise ValueError(f"{raw.get('kind')!r} is no observation")
    return cast(Observation, restored(kind, raw.get("value")))


def start_of(raw: object) -> Start:
    """From a record. Raises ValueError."""
    return restored(Start, raw)


def digest_of(messages: tuple[Message, ...]) -> str:
    """The same for the same conversation, word for word."""
    said = [[one.role, one.text, plain(one.calls), one.call_id] for one in messages]
    whole = json.dumps(said, ensure_ascii=False, sort_keys=True)
    return sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


def restored(kind: type[Record], raw: object) -> Record:
    """A record of a type, from JSON's own types. Raises ValueError."""
    if not isinstance(raw, dict):
        raise ValueError(f"{kind.__name__} must be an object")
    table = cast(dict[str, Any], raw)
    hints = _hints(kind)
    values = {name: _value(hint, table[name]) for name, hint in hints.items() if name in table}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(hint: Any, raw: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if raw is None and NoneType in inner:
            return None
        return _value(next(one for one in inner if one is not NoneType), raw)
    if origin is Literal:
        if raw not in inner:
            raise ValueError(f"{raw!r} is none of {inner}")
        return raw
    if origin in (tuple, frozenset):
        items: list[Any] = [_value(inner[0], one) for one in _list(raw)]
        return cast(Any, tuple(items) if origin is tuple else frozenset(items))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(raw, dict):
            raise ValueError("an object is due")
        key = int if inner[0] is int else str
        return {key(name): _value(inner[1], one) for name, one in cast(dict[str, Any], raw).items()}
    if hint is Decimal:
        try:
            return Decimal(str(raw))
        except InvalidOperation as error:
            raise ValueError(f"{raw!r} is no amount") from error
    if is_dataclass(hint):
        return restored(cast(type[Any], hint), raw)
    if hint is float and isinstance(raw, int | float):
        return float(raw)
    if hint in (str, int, bool) and type(raw) is not hint:
        raise ValueError(f"{raw!r} is no {hint.__name__}")
    return raw


def _list(raw: object) -> list[Any]:
    if not isinstance(raw, list):
        raise ValueError("a list is due")
    return cast(list[Any], raw)
