"""What is offered where the user looks: code actions at code, lenses over changes and transcripts, links in pages.

All of it is cheap and asks no model. The light bulb stays dark while one merely moves through code: unasked, actions
are listed for a selection, a problem, and the first line of a definition.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from lsprotocol import types

from hearth.core.chat_offers import offers
from hearth.core.text import Range, Snapshot
from hearth.lsp import convert
from hearth.lsp.consent import SHOWN
from hearth.lsp.editing import Mark
from hearth.lsp.messages import say
from hearth.lsp.offers import FIX, OTHER, REWRITE
from hearth.lsp.reports import EGRESS, EGRESS_OF, EGRESS_ONE
from hearth.lsp.talk import TURN, Talk, conversation_of

PROBLEMS_MAX = 5
PROBLEM_CHARS_MAX = 60
OFFERS_MAX = 6
BLOCKS_MAX = 100
LINES_FOR_FOOT = 40
LINKS_MAX = 500
LINE_CHARS_MAX = 300
OFFERS_CHARS_MAX = 200_000
"""Of a document in which refactorings are looked for unasked: that parses it."""
_DEFINITION = re.compile(
    r"\s*(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|override|virtual|inline|pub"
    r"(?:\([a-z]+\))?|unsafe|const|open|sealed|data)\s+)*"
    r"(?:def|class|function\*?|func|fn|fun|interface|struct|enum|trait|impl|module|type|record|object|sub|proc)\b"
)
_FENCE = re.compile(r"(`{3,}|~{3,})")
_ENTRY = re.compile(r"- (#(\d+)) ")
_LINK = re.compile(r"\]\(((?:file:|hearth:)?[^()\s:#][^()\s:]*)\)")


# Code actions


def actions(
    params: object, snapshot: Snapshot | None, language: str, *, lazy: bool, tagged: bool
) -> list[types.CodeAction]:
    """The actions of `textDocument/codeAction`. `lazy`: their commands come when one is chosen. `tagged`: the client
    takes the mark of what a model does."""
    fields = convert.table(params)
    where = convert.span(fields.get("range"))
    context = convert.table(fields.get("context") or {}, "context")
    problems = convert.array(context.get("diagnostics") or [], "context.diagnostics")
    unasked = context.get("triggerKind") == types.CodeActionTriggerKind.Automatic.value
    only = context.get("only")
    if snapshot is None or not snapshot.text.strip():
        return []
    where = Range(snapshot.clamp(where.start), snapshot.clamp(where.end))
    found = _fixes(snapshot.uri, problems, language)
    if not unasked or where.start != where.end or _begins(snapshot, where):
        found += _others(snapshot, where, language, look=not unasked or len(snapshot.text) <= OFFERS_CHARS_MAX)
    kinds = [one for one in cast(list[Any], only) if isinstance(one, str)] if isinstance(only, list) else []
    if kinds:
        found = [one for one in found if any(_within(one.kind or "", kind) for kind in kinds)]
    for action in found:
        if lazy:
            action.command = None
        if tagged:
            action.tags = [types.CodeActionTag.LlmGenerated]
    return found


def resolved(params: object) -> dict[str, Any]:
    """`codeAction/resolve`: the action with its command."""
    fields = dict(convert.table(params))
    data = convert.table(fields.get("data"), "data")
    name = convert.string(data.get("command"), "data.command")
    arguments = convert.table(data.get("argument"), "data.argument")
    fields["command"] = {"title": str(fields.get("title", "")), "command": name, "arguments": [dict(arguments)]}
    return fields


def _fixes(uri: str, problems: Sequence[Any], language: str) -> list[types.CodeAction]:
    found: list[types.CodeAction] = []
    for problem in problems[:PROBLEMS_MAX]:
        entry = convert.table(problem, "context.diagnostics[]")
        message = " ".join(convert.string(entry.get("message"), "context.diagnostics[].message").split())
        short = message if len(message) <= PROBLEM_CHARS_MAX else f"{message[:PROBLEM_CHARS_MAX].rstrip()}…"
        kept = {key: entry[key] for key in ("range", "severity", "message") if key in entry}
        argument = {"uri": uri, "selection": entry.get("range"), "diagnostics": [kept]}
        found.append(_action(say("action_fix", language, problem=short), FIX, "hearth.fix", argument))
    return found


def _others(snapshot: Snapshot, where: Range, language: str, *, look: bool) -> list[types.CodeAction]:
    selection = convert.json_range(where)
    argument = {"uri": snapshot.uri, "selection": selection}
    found = [_action(say("action_explain", language), OTHER, "hearth.explain", argument)]
    for offer in offers(snapshot, where)[:OFFERS_MAX] if look else ():
        title = say("action_offer", language, title=offer.title)
        found.append(_action(title, REWRITE, "hearth.refactor", {**argument, "refactoring": offer.id}))
    return [
        *found,
        _action(say("action_refactor", language), REWRITE, "hearth.refactor", argument),
        _action(say("action_test", language), OTHER, "hearth.test", argument),
        _action(say("action_document", language), OTHER, "hearth.document", argument),
    ]


def _action(title: str, kind: str, command: str, argument: Mapping[str, Any]) -> types.CodeAction:
    data = {"command": command, "argument": argument}
    return types.CodeAction(title, kind, command=types.Command(title, command, arguments=[argument]), data=data)


def _begins(snapshot: Snapshot, where: Range) -> bool:
    """Whether the cursor seems to be on the first line of a definition. Asked at every move of the cursor."""
    return _DEFINITION.match(snapshot.line(where.start.line)[:LINE_CHARS_MAX]) is not None


def _within(kind: str, wanted: str) -> bool:
    return kind == wanted or kind.startswith(f"{wanted}.")


# Lenses


def code_lenses(mark: Mark | None, language: str) -> list[types.CodeLens]:
    """Over what Hearth changed last in a document."""
    if mark is None:
        return []
    lenses = [
        _lens(mark.line, say("lens_undo", language), "hearth.undoLastChange", {"change": mark.id}),
        _lens(mark.line, say("lens_keep", language), "hearth.keep", {"change": mark.id}),
    ]
    if identifier := conversation_of(mark.page):
        lenses.append(
            _lens(mark.line, say("lens_show", language), "hearth.conversations", {"conversation": identifier})
        )
    return lenses


def page_lenses(uri: str, text: str, talk: Talk | None, language: str) -> list[types.CodeLens]:
    """Over a transcript: what can be done with it, and with each block of code."""
    identifier = conversation_of(uri)
    if talk is None or not identifier or not text:
        return []
    lines = text.split("\n")
    # Where the user may look: at the top, at the newest question, and at the end of what is long.
    newest = [number + 2 for number, line in enumerate(lines) if line == TURN][1:]
    places = [0, *newest[-1:], *([len(lines) - 1] if len(lines) > LINES_FOR_FOOT else [])]
    lenses = [_lens(line, *one) for line in dict.fromkeys(places) for one in _offered(identifier, talk, language)]
    return [*lenses, *_block_lenses(lines, language)]


def consent_lenses(page: str) -> list[types.CodeLens]:
    """Over what would be sent: the answers, as in the message."""
    answers = [answer for answer in SHOWN if answer != "Show exactly"]
    return [_lens(0, answer, "hearth.consent", {"page": page, "answer": answer}) for answer in answers]


def _offered(identifier: str, talk: Talk, language: str) -> list[tuple[str, str, dict[str, Any]]]:
    of = {"conversation": identifier}
    if talk.chats.running(identifier):
        return [(say("lens_stop", language), "hearth.stop", of)]
    found: list[tuple[str, str, dict[str, Any]]] = []
    if identifier in talk.proposed:
        found.append((say("lens_apply", language), "hearth.apply", of))
    if change := talk.applied.get(identifier):
        found.append((say("lens_undo_page", language), "hearth.undoLastChange", {"change": change.id}))
    return [
        *found,
        (say("lens_reply", language), "hearth.reply", of),
        (say("lens_copy", language), "hearth.copy", of),
        (say("lens_retry", language), "hearth.retry", of),
        (say("lens_export", language), "hearth.exportConversation", of),
        (say("delete", language), "hearth.deleteConversation", of),
    ]


def _block_lenses(lines: Sequence[str], language: str) -> Iterable[types.CodeLens]:
    """One over each block of code that is whole: it copies it."""
    at, count = 0, 0
    while at < len(lines) and count < BLOCKS_MAX:
        fence = _FENCE.match(lines[at])
        if not fence:
            at += 1
            continue
        end = next((n for n in range(at + 1, len(lines)) if lines[n].rstrip() == fence[1]), None)
        if end is None:
            return
        code = "\n".join(lines[at + 1 : end]) + "\n"
        yield _lens(at, say("lens_copy", language), "hearth.copy", {"text": code})
        at, count = end + 1, count + 1


def _lens(line: int, title: str, command: str, argument: Mapping[str, Any]) -> types.CodeLens:
    place = types.Position(line, 0)
    return types.CodeLens(types.Range(place, place), types.Command(title, command, arguments=[argument]))


# Links


def links(uri: str, text: str, folder: str = "") -> list[types.DocumentLink]:
    """The links of a page of ours: to files of the workspace (paths in it too, where its URI is `folder`), to other
    pages, and in the ledger to each request."""
    found: list[types.DocumentLink] = []
    ledger = uri.startswith((EGRESS, EGRESS_OF))
    for number, line in enumerate(text.split("\n")):
        if ledger and (entry := _ENTRY.match(line)):
            where = types.Range(types.Position(number, entry.start(1)), types.Position(number, entry.end(1)))
            found.append(types.DocumentLink(where, f"{EGRESS_ONE}{entry[2]}.md"))
        for match in _LINK.finditer(line):
            before = len(line[: match.start(1)].encode("utf-16-le")) // 2
            size = len(match[1].encode("utf-16-le")) // 2
            where = types.Range(types.Position(number, before), types.Position(number, before + size))
            target = match[1] if ":" in match[1].partition("/")[0] else f"{folder}/{match[1]}" if folder else ""
            if target:
                found.append(types.DocumentLink(where, target))
            if len(found) >= LINKS_MAX:
                return found
    return found
