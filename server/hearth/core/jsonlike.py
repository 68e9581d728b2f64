"""Reading values of which nothing is sure but that a JSON parser gave them: what does not fit counts as absent."""

from typing import Any, cast


def table(raw: object) -> dict[str, Any]:
    """An object's entries; none for anything else."""
    return cast(dict[str, Any], raw) if isinstance(raw, dict) else {}


def items(raw: object) -> list[Any]:
    """A list's items; none for anything else."""
    return cast(list[Any], raw) if isinstance(raw, list) else []


def text(raw: object, chars_max: int) -> str:
    """A string of at most so many characters, else ""."""
    return raw if isinstance(raw, str) and len(raw) <= chars_max else ""


def whole(raw: object, most: int) -> int | None:
    """An integer from 0 to `most`; 20.0 is one, True is none."""
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= most else None


def number(raw: object, most: float) -> float | None:
    """A number from 0 to `most`."""
    return float(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) and 0 <= raw <= most else None
