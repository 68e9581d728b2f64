"""The shape of a line: its tokens with the names abstracted, so that lines that differ only in names compare equal.

`self.width = width` and `self.height = height` share the shape `self.$0 = $0`. Given two lines of one shape, the names
of one can be put in place of the other's (`names`), and a third line rewritten with them (`rewrite`).
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"[^\W\d]\w*|\d[\w.]*|\s+|[^\w\s]")

# Words that carry the structure of a line in one of the common languages: a shape keeps them as they are.
KEPT_WORDS = frozenset(
    """False None True and as assert async await break class continue def del elif else except finally for from global
    if import in is lambda nonlocal not or pass raise return try while with yield match case self cls super
    const let var function new this typeof instanceof null undefined true false export default extends implements
    interface type enum namespace public private protected static readonly abstract switch throw catch void
    func struct package go defer chan map range select fn impl pub mut use mod trait where loop unsafe
    int str float bool bytes list dict set tuple object string number boolean any char long double unsigned
    len print isinstance getattr setattr hasattr Exception ValueError TypeError KeyError end do then fi done echo
    """.split()  # noqa: SIM905 - a list of a hundred quoted words would hide them
)


def tokens(text: str) -> list[str]:
    """Words, numbers, runs of white space and single other characters; joined they give `text` again."""
    return _TOKEN.findall(text)


def shape(text: str) -> str:
    """The line with names numbered in order of appearance, numbers as `#` and white space as one blank."""
    seen: dict[str, str] = {}
    out: list[str] = []
    for token in _TOKEN.findall(text):
        first = token[0]
        if first.isalpha() or first == "_":
            out.append(token if token in KEPT_WORDS else seen.setdefault(token, f"${len(seen)}"))
        elif first.isdigit():
            out.append("#")
        else:
            out.append(" " if first.isspace() else token)
    return "".join(out)


def is_name(token: str) -> bool:
    """A word that a shape abstracts."""
    return (token[0].isalpha() or token[0] == "_") and token not in KEPT_WORDS


def names(old: Sequence[str], new: Sequence[str], into: dict[str, str]) -> bool:
    """Add old name -> new name for each token that differs; what `into` has already wins. False: not the same shape."""
    if len(old) != len(new):
        return False
    for a, b in zip(old, new, strict=True):
        if a == b:
            if is_name(a):
                into.setdefault(a, a)
        elif (is_name(a) and is_name(b)) or (a[0].isdigit() and b[0].isdigit()):
            into.setdefault(a, b)
        elif not (a.isspace() and b.isspace()):
            return False
    return True


@dataclass(frozen=True, slots=True)
class Rewritten:
    """`text` after substitution; `replaced` names came from the map, `unknown` ones are neither mapped nor in sight."""

    text: str
    replaced: int
    unknown: int


def rewrite(line: Sequence[str], renamed: dict[str, str], in_sight: Collection[str]) -> Rewritten:
    """The tokens of a line with `renamed` applied."""
    out: list[str] = []
    replaced = unknown = 0
    for token in line:
        new = renamed.get(token)
        if new is None:
            new = token
            if is_name(token) and token not in in_sight:
                unknown += 1
        elif new != token:
            replaced += 1
        out.append(new)
    return Rewritten("".join(out), replaced, unknown)
