"""@mentions where one writes or reads what is for a model: completed while they are typed, and shown on hover.

In documents of Hearth's alone: its pages, and those whose language is PROMPT_LANGUAGE. What an @mention or a name in a
transcript stands for is shown as the model would be shown it.
"""

import asyncio
import re
from collections.abc import Sequence

from lsprotocol import types

from hearth.chat.attach import attach
from hearth.chat.desk import Desk
from hearth.chat.naming import looked_at, names
from hearth.core.chat import symbols_in
from hearth.core.markdown import safe
from hearth.core.mentions import DETAILS, NAMED, Mention, complete, parse, partial
from hearth.core.rules import framed
from hearth.core.text import Position, Snapshot, utf16_length
from hearth.lsp.offers import PROMPT_LANGUAGE
from hearth.lsp.pages import SCHEME

HOVER_TOKENS_MAX = 8_000
HOVER_LINES_MAX = 24
HOVER_CHARS_MAX = 4_000
_NAME = re.compile(r"`([^\W\d][\w.]*)(?:\(\))?`")
_FENCE = re.compile(r"^([^\n]*(?:\n[^\n]*){0,2}?)\n(`{3,})(\S*)\n(.*?)\n?\2\n?$", re.DOTALL)
_KINDS = {
    None: types.CompletionItemKind.Keyword,
    "file": types.CompletionItemKind.File,
    "folder": types.CompletionItemKind.Folder,
    "symbol": types.CompletionItemKind.Function,
}


def is_ours(uri: str, snapshot: Snapshot | None) -> bool:
    """Whether a document is one in which mentions mean something."""
    return uri.startswith(f"{SCHEME}:") or (snapshot is not None and snapshot.language == PROMPT_LANGUAGE)


async def completions(
    text: Snapshot, where: Position, desk: Desk, documents: Sequence[Snapshot]
) -> types.CompletionList:
    """What the mention before the cursor could become."""
    where = text.clamp(where)
    before = text.line(where.line)[: text.column_at(where)]
    typed = partial(before)
    if typed is None:
        return types.CompletionList(False, [])
    known = await names(typed.kind, typed.prefix, desk, documents) if typed.kind else []
    begin = types.Position(where.line, utf16_length(before[: typed.at]))
    place = types.Range(begin, types.Position(where.line, where.character))
    items = [
        types.CompletionItem(
            one.label,
            kind=_KINDS.get(typed.kind),
            detail=one.detail or None,
            # Ranked by the server, and it is asked again at each key.
            sort_text=f"{number:03}",
            filter_text=before[typed.at :],
            text_edit=types.TextEdit(place, one.insert),
        )
        for number, one in enumerate(complete(typed, known))
    ]
    return types.CompletionList(bool(items), items)


async def hover(text: Snapshot, where: Position, desk: Desk, documents: Sequence[Snapshot]) -> types.Hover | None:
    """What the mention, or the name in backticks, at a place stands for; None for neither."""
    where = text.clamp(where)
    line, column = text.line(where.line), text.column_at(where)
    mention = next((one for one in parse(line).mentions if one.start <= column <= one.end), None)
    if mention is None:
        name = next((one for one in _NAME.finditer(line) if one.start() <= column <= one.end()), None)
        if name is None:
            return None
        mention = Mention("symbol", name[1], *name.span())
    if mention.kind not in NAMED:
        shown = DETAILS[mention.kind]
    else:
        found = await attach(mention.text, desk, await _defining(mention, documents), None, HOVER_TOKENS_MAX)
        if not found.parts and text.line(where.line)[mention.start] == "`":
            return None  # a word of the answer
        shown = "\n\n".join([*(_short(part.text) for part in found.parts), *map(safe, found.flags)])
    start, end = (types.Position(where.line, utf16_length(line[:at])) for at in (mention.start, mention.end))
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, shown), types.Range(start, end))


async def _defining(mention: Mention, documents: Sequence[Snapshot]) -> str:
    """The open document that defines a symbol, "" for none: there it is looked for before search is asked."""
    name = mention.argument.rpartition(".")[2]
    for one in looked_at(documents):
        if name in one.text:
            await asyncio.sleep(0)  # it may have to be parsed
            if any(name == symbol.name for symbol in symbols_in(one)):
                return one.uri
    return ""


def _short(text: str) -> str:
    """The beginning of an attached piece; its fence stays whole."""
    found = _FENCE.match(text)
    if found is None:
        return safe(text)
    title, _, info, code = found.groups()
    lines = code.split("\n")
    more = len(lines) > HOVER_LINES_MAX or len(code) > HOVER_CHARS_MAX
    kept = "\n".join(lines[:HOVER_LINES_MAX])[:HOVER_CHARS_MAX] + ("\n…" if more else "")
    return framed(f"{safe(title)}\n", kept, info)
