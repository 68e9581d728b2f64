"""Globs as users write them in settings: `*.key`, `private/`, `src/**/keys/*`, `**/*.{pem,der}`, `/home/me/work/**`.

A glob without a "/" fits a name anywhere, one with a "/" is counted from the folder's root, and what fits a folder fits
all that lies in it. Compared without regard to case and Unicode form. In doubt more is fitted than less, since what
fits is held back: a "!" undoes nothing, and a glob that is too long fits everything. Time grows with the product of the
lengths at worst, whatever the glob.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

GLOB_CHARS_MAX = 1_000
ALTERNATIVES_MAX = 64
GLOBS_KEPT_MAX = 512

_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_DRIVE = re.compile(r"[a-z]:")
_ANY = ""
"""Stands for one `*` in a name's pattern, and for one `**` in a path's."""

One = TypeVar("One")
Item = TypeVar("Item")
Name = tuple[str, ...]
"""A name's pattern: _ANY, "?", one character, or a class such as "[!a-z]"."""


def fitting(globs: Iterable[str], folder: str, path: str) -> str | None:
    """The first of the globs that fits the file at `path`, relative to `folder` (absolute where there is none)."""
    inside = _parts(path)
    whole = _parts(f"{folder}/{path}" if folder else path)
    return next((glob for glob in globs if any(fits(inside, whole) for fits in _compiled(glob))), None)


def _parts(path: str) -> tuple[str, ...]:
    parts = _plain(path).replace("\\", "/").split("/")
    return tuple(part for part in parts if part not in ("", "."))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


@lru_cache(maxsize=GLOBS_KEPT_MAX)
def _compiled(glob: str) -> tuple[Callable[[Sequence[str], Sequence[str]], bool], ...]:
    text = _plain(glob.strip()).replace("\\", "/")
    return tuple(
        _test_of(one) for one in _alternatives(text if len(text) <= GLOB_CHARS_MAX else "**") if one.strip("/")
    )


def _alternatives(glob: str) -> list[str]:
    """Without braces: `{a,b}c` is `ac` and `bc`. Beyond ALTERNATIVES_MAX a pair of braces is a star."""
    found, waiting = list[str](), [glob]
    while waiting:
        one = waiting.pop()
        braces = _BRACES.search(one)
        if braces is None:
            found.append(one)
            continue
        choices = braces[1].split(",")
        if len(found) + len(waiting) + len(choices) > ALTERNATIVES_MAX:
            choices = ["*"]
        waiting.extend(one[: braces.start()] + choice + one[braces.end() :] for choice in reversed(choices))
    return found


def _test_of(glob: str) -> Callable[[Sequence[str], Sequence[str]], bool]:
    if glob.startswith("~/"):
        glob = "**" + glob[1:]  # whose home it is cannot be known here
    bare = "/" not in glob.rstrip("/")
    anywhere = glob.startswith(("/", "**/")) or _DRIVE.match(glob) is not None
    names = [part for part in glob.split("/") if part not in ("", ".")]
    pattern = [("**",) if name == "**" else _name(name) for name in names]
    pattern = [("**",), *pattern, ("**",)] if bare else [*pattern, ("**",)]

    def fits(inside: Sequence[str], whole: Sequence[str]) -> bool:
        return _matches(pattern, inside, _is_folders, _name_fits) or (
            anywhere and _matches(pattern, whole, _is_folders, _name_fits)
        )

    return fits


def _is_folders(pattern: Name) -> bool:
    return pattern == ("**",)


def _name(text: str) -> Name:
    """A name's pattern cut into its tokens; a bracket that is not closed is a character."""
    tokens: list[str] = []
    at = 0
    while at < len(text):
        size = 1
        if text[at] == "[":
            end = text.find("]", at + 3 if text[at + 1 : at + 2] in ("!", "^") else at + 2)
            size = end - at + 1 if end > 0 else 1
        token = text[at : at + size]
        if token == "*":
            token = _ANY
        if token or tokens[-1:] != [_ANY]:
            tokens.append(token)
        at += size
    return tuple(tokens)


def _name_fits(pattern: Name, name: str) -> bool:
    # Windows ignores dots and blanks at the end of a name.
    return any(_matches(pattern, one, lambda token: token == _ANY, _char_fits) for one in {name, name.rstrip(". ")})


def _char_fits(token: str, char: str) -> bool:
    if len(token) < 3:
        return token in ("?", char)
    opposite = token[1] in "!^"
    return _in_class(token[2 if opposite else 1 : -1], char) != opposite


def _in_class(inside: str, char: str) -> bool:
    at = 0
    while at < len(inside):
        size = 3 if inside[at + 1 : at + 2] == "-" and at + 2 < len(inside) else 1
        if inside[at] <= char <= inside[at + size - 1]:
            return True
        at += size
    return False


def _matches(
    pattern: Sequence[One], items: Sequence[Item], is_star: Callable[[One], bool], fits: Callable[[One, Item], bool]
) -> bool:
    """Whether the whole of `items` fits, where a star is any number of them: at a mismatch the last takes more."""
    at = place = 0
    star, taken = -1, 0
    while place < len(items):
        if at < len(pattern) and is_star(pattern[at]):
            star, taken = at, place
            at += 1
        elif at < len(pattern) and fits(pattern[at], items[place]):
            at += 1
            place += 1
        elif star >= 0:
            taken += 1
            at, place = star + 1, taken
        else:
            return False
    return all(is_star(rest) for rest in pattern[at:])
