"""The top two levels of a YAML file's keys, read off its lines.

Not by its grammar: that crashes, and its process with it, on blocks nested some hundreds of levels deep.
"""

import re
from collections.abc import Iterator

from hearth.core.facts import Symbol
from hearth.core.symbol_sweep import KEYS_MAX, VALUE_CHARS_MAX

_KEY = re.compile(
    r"""^([ ]*)(-[ ]+)?(?:"([^"\n]{1,100})"|'([^'\n]{1,100})'|([^\s\-#&*!|>%@`"'\[\]{},:][^\n:#]{0,100}?))[ ]*:"""
    r"""(?:[ \t]+(.*))?$""",
    re.MULTILINE,
)
_TEXT_FOLLOWS = re.compile(r"^(?:[&!]\S+\s+)*[|>][-+\d]*\s*(?:#.*)?$")


def yaml_keys(text: str) -> Iterator[Symbol]:
    """The keys, each up to the next one of its level, at most KEYS_MAX."""
    rows = text.count("\n") + 1
    found = list(_keys(text))[:KEYS_MAX]
    for index, (row, name, container, signature) in enumerate(found):
        following = (other[0] for other in found[index + 1 :] if not other[2] or container)
        yield Symbol(name, "key", container, row, max(row + 1, next(following, rows)), signature)


def _keys(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Row, name, container and signature of each key."""
    top, indent = "", -1  # indent: how far the keys below `top` are indented, -1: there are none so far
    row = at = 0
    for found in _KEY.finditer(text):
        row += text.count("\n", at, found.start())
        at = found.start()
        depth, name = len(found[1]), (found[3] or found[4] or found[5]).strip()
        if found[2]:
            indent = max(indent, 0)  # what is below is in the items of a list
            continue
        signature = " ".join(found[0].split())
        if len(signature) > VALUE_CHARS_MAX:
            signature = signature[: VALUE_CHARS_MAX - 4].rstrip() + " ..."
        if not depth:
            top, indent = name, 0 if _TEXT_FOLLOWS.match(found[6] or "") else -1
            yield row, name, "", signature
        elif top and indent < 0:
            indent = depth
        if depth and depth == indent:
            yield row, name, top, signature
