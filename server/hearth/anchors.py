"""The frozen prompts of a workspace, kept beside the server's saved state.

A state that the server brings back is worth nothing unless the very same head is sent again, byte for byte. So the
anchors (and the background that they were made with) outlive the process in the prompt store; what is read back is
taken only if it is in every field what today's code would have written.
"""

import hashlib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from hearth.core.background import EMPTY, Background
from hearth.core.deny import is_secret
from hearth.core.dialect import DIALECTS, Dialect
from hearth.core.origin import Origin
from hearth.core.prompt import Anchor
from hearth.store import Records, document_key, worth_keeping

FORMAT = 2
ANCHORS_MAX = 8
ANCHOR_CHARS_MAX = 60_000
RECORD_CHARS_MAX = 240_000
"""All anchors of a workspace together."""


class Anchors:
    """Anchors and background by workspace and model. `kept`: documents of which nothing may be written are left out."""

    def __init__(self, disk: Records, kept: Callable[[str], bool] = worth_keeping) -> None:
        self._disk = disk
        self._kept = kept

    def save(self, workspace: str, model: str, anchors: Mapping[str, Anchor], background: Background = EMPTY) -> None:
        """Keep the last ANCHORS_MAX of `anchors` (by URI, newest last), in place of all that was kept before."""
        room = RECORD_CHARS_MAX
        entries: list[list[Any]] = []
        for uri, anchor in reversed(list(anchors.items())[-ANCHORS_MAX:]):
            size = len(anchor.before) + len(anchor.after) + len(anchor.head)
            if size > min(room, ANCHOR_CHARS_MAX) or not self._allowed(uri, anchor):
                continue
            room -= size
            entries.insert(0, [uri, _coded(anchor)])
        record: dict[str, Any] = {"format": FORMAT, "anchors": entries}
        if all(self._kept(snippet.origin) for snippet in background.snippets):
            record["background"] = _coded(background)
        self._disk.put(_name(workspace, model), record)

    def keeps(self, uri: str) -> bool:
        """Whether anything of a document may be kept."""
        return self._kept(uri)

    async def load(self, workspace: str, model: str) -> dict[str, Anchor]:
        """The anchors that were kept, by URI, newest last; {} if there are none or nothing can be read."""
        return (await self.load_all(workspace, model))[0]

    async def load_all(self, workspace: str, model: str) -> tuple[dict[str, Anchor], Background]:
        """The anchors as in `load`, and the background that was saved with them."""
        records = await self._disk.load(_name(workspace, model))
        record = records[-1] if records else {}
        if record.get("format") != FORMAT:
            return {}, EMPTY
        try:
            found = cast(list[list[Any]], record["anchors"])
            anchors = {uri: _anchor(coded) for uri, coded in found[-ANCHORS_MAX:] if worth_keeping(uri)}
            coded = record.get("background")
            background = EMPTY if coded is None else _decoded(Background, coded)
        except (KeyError, TypeError, ValueError, AttributeError):
            return {}, EMPTY
        return anchors, background

    def _allowed(self, uri: str, anchor: Anchor) -> bool:
        origins = {origin for part in anchor.segments for origin in part.origins}
        return self._kept(uri) and all(map(self._may_stay, origins))

    def _may_stay(self, origin: Origin) -> bool:
        if origin.kind == "product":
            return True
        return not is_secret(f"{origin.folder}/{origin.path}") if origin.path else self._kept(origin.name)


def state_name(workspace: str, uri: str) -> str:
    """The name under which a server keeps what it has read for a document."""
    return f"{document_key(workspace)} {document_key(uri)}"


def _name(workspace: str, model: str) -> str:
    return "anchors-" + hashlib.blake2b(repr((workspace, model)).encode("utf-8", "replace"), digest_size=16).hexdigest()


def _anchor(coded: Any) -> Anchor:
    anchor = _decoded(Anchor, coded)
    if anchor.segments and "".join(segment.text for segment in anchor.segments) != anchor.head:
        raise ValueError("the head is not what its segments make")
    return anchor


def _coded(value: Any) -> Any:
    """A value of frozen dataclasses, tuples and plain types as JSON."""
    if isinstance(value, Dialect):
        return value.name
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_coded(part) for part in cast(tuple[Any, ...], value)]
    if is_dataclass(value):
        return {field.name: _coded(getattr(value, field.name)) for field in fields(value)}
    return value


def _decoded(kind: Any, value: Any) -> Any:
    """The value of type `kind` that `_coded` made `value` from. Raises ValueError, TypeError or KeyError."""
    origin = get_origin(kind)
    if kind is Dialect:
        return DIALECTS[value]
    if origin is Literal:
        if value not in get_args(kind):
            raise ValueError(f"not one of {get_args(kind)}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError("not a list")
        return tuple(_decoded(get_args(kind)[0], part) for part in cast(list[Any], value))
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in get_args(kind):
            return None
        return _decoded(next(part for part in get_args(kind) if part is not type(None)), value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        if not isinstance(value, dict) or cast(dict[str, Any], value).keys() != {field.name for field in fields(kind)}:
            raise ValueError("other fields")
        return cast(Any, kind)(**{name: _decoded(hints[name], part) for name, part in cast(Any, value).items()})
    if issubclass(kind, Enum):
        return kind(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"not {kind.__name__}")
    return value
