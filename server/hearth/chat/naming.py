"""What an @mention can name: files, folders and symbols of the workspace, for whoever is choosing one."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress

from hearth.chat.desk import Desk
from hearth.core.chat import WIDE, symbols_in
from hearth.core.mentions import Kind
from hearth.core.text import Snapshot
from hearth.errors import HearthError

HITS_MAX = 16
DOCUMENTS_MAX = 30
DOCUMENTS_CHARS_MAX = 2_000_000
"""Of all open documents that are looked at, together."""
NAMES_MAX = 20_000


def looked_at(documents: Sequence[Snapshot]) -> Iterator[Snapshot]:
    """Those of the open documents whose symbols are looked for."""
    left = DOCUMENTS_CHARS_MAX
    for one in documents[:DOCUMENTS_MAX]:
        chars = sum(map(len, one.lines))
        if chars <= left:
            left -= chars
            yield one


async def names(kind: Kind, typed: str, desk: Desk, documents: Sequence[Snapshot]) -> list[str]:
    """Paths or names, each once; the symbols of `documents`, which are open, before those that search finds for what is
    typed. Never raises but CancelledError."""
    found: dict[str, None] = {}
    if kind == "symbol":
        for one in looked_at(documents):
            await asyncio.sleep(0)  # each may have to be parsed
            for symbol in symbols_in(one):
                if symbol.kind in WIDE:
                    found[f"{symbol.container}.{symbol.name}" if symbol.container else symbol.name] = None
        if typed:
            with suppress(HearthError):  # there may be no index
                found |= {hit.symbol: None for hit in await desk.search(typed, HITS_MAX) if hit.symbol}
        return list(found)[:NAMES_MAX]
    for folder in desk.folders:
        for path in await desk.files(folder):
            if kind == "file":
                found[path] = None
            else:
                while path := path.rpartition("/")[0]:
                    found[path] = None
    return list(found)[:NAMES_MAX]
