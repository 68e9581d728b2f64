"""Between JSON as it arrives, the core's records, and lsprotocol's types.

What arrives is read by hand rather than through lsprotocol: a newer client's unknown capability must not stop the
server, an edit far out of range is legal, and a wrong value has to be named in one sentence.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lsprotocol import types
from pygls import uris

from hearth.core.context import DIAGNOSTIC_CHARS_MAX, Diagnostic, Severity
from hearth.core.text import Edit, Position, Range

if TYPE_CHECKING:
    from hearth.engine import Suggestion

PID_MAX = 2**31 - 1
FOLDERS_MAX = 64
EDITS_MAX = 100_000
DIAGNOSTICS_MAX = 200
SEVERITIES: dict[int, Severity] = {1: "error", 2: "warning", 3: "information", 4: "hint"}


class BadParams(ValueError):
    """The parameters of a message are not what its method takes; the text says where."""


@dataclass(frozen=True, slots=True)
class Initialize:
    """What we need to know of `initialize`."""

    process_id: int | None
    locale: str
    options: object
    workspace_trusted: bool
    folders: tuple[Path, ...]
    shows_documents: bool
    shows_content: bool
    shows_progress: bool
    watches_files: bool
    capabilities: object


@dataclass(frozen=True, slots=True)
class CompletionAsk:
    """`textDocument/inlineCompletion`."""

    uri: str
    position: Position
    invoked: bool
    selected: tuple[Range, str] | None
    cursors: int


def table(value: object, where: str = "params") -> Mapping[str, Any]:
    """`value` if it is an object."""
    if not isinstance(value, dict):
        raise BadParams(f"{where}: expected an object")
    return cast(dict[str, Any], value)


def string(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise BadParams(f"{where}: expected a string")
    return value


def integer(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadParams(f"{where}: expected an integer")
    return value


def array(value: object, where: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise BadParams(f"{where}: expected a list")
    return cast(list[Any], value)


def position(value: object, where: str = "position") -> Position:
    """Out of range is no error here: the document clamps."""
    fields = table(value, where)
    return Position(
        integer(fields.get("line"), f"{where}.line"), integer(fields.get("character"), f"{where}.character")
    )


def span(value: object, where: str = "range") -> Range:
    fields = table(value, where)
    return Range(position(fields.get("start"), f"{where}.start"), position(fields.get("end"), f"{where}.end"))


def document_uri(params: object) -> str:
    """`params.textDocument.uri`, or of a bare document identifier."""
    fields = table(params)
    return string(table(fields.get("textDocument"), "textDocument").get("uri"), "textDocument.uri")


def opened(params: object) -> tuple[str, str, int, str]:
    """URI, language, version and text of `textDocument/didOpen`."""
    fields = table(table(params).get("textDocument"), "textDocument")
    return (
        string(fields.get("uri"), "textDocument.uri"),
        string(fields.get("languageId", ""), "textDocument.languageId"),
        integer(fields.get("version", 0), "textDocument.version"),
        string(fields.get("text"), "textDocument.text"),
    )


def changed(params: object) -> tuple[int | None, list[Edit]]:
    """Version (None if the client does not count) and edits of `textDocument/didChange`."""
    fields = table(params)
    version = table(fields.get("textDocument"), "textDocument").get("version")
    changes = array(fields.get("contentChanges"), "contentChanges")
    if len(changes) > EDITS_MAX:
        raise BadParams(f"contentChanges: more than {EDITS_MAX}")
    edits: list[Edit] = []
    for item in changes:
        change = table(item, "contentChanges[]")
        where = change.get("range")
        length = change.get("rangeLength")
        edits.append(
            Edit(
                None if where is None else span(where),
                string(change.get("text"), "contentChanges[].text"),
                None if length is None else integer(length, "contentChanges[].rangeLength"),
            )
        )
    return None if version is None else integer(version, "textDocument.version"), edits


def saved_text(params: object) -> str | None:
    """The text in `textDocument/didSave`, if the client sends it."""
    text = table(params).get("text")
    return None if text is None else string(text, "text")


def completion_ask(params: object) -> CompletionAsk:
    fields = table(params)
    context = table(fields.get("context") or {}, "context")
    info = context.get("selectedCompletionInfo")
    selected = None
    if info is not None:
        details = table(info, "selectedCompletionInfo")
        text = details.get("text")
        if isinstance(text, dict):  # A snippet, as StringValue.
            text = cast(dict[str, Any], text).get("value")
        selected = (span(details.get("range")), string(text, "selectedCompletionInfo.text"))
    return CompletionAsk(
        uri=document_uri(fields),
        position=position(fields.get("position")),
        invoked=context.get("triggerKind") == types.InlineCompletionTriggerKind.Invoked.value,
        selected=selected,
        cursors=integer(fields.get("cursors", 1), "cursors"),
    )


def focus(params: object) -> tuple[str, Position] | None:
    """URI and cursor of `hearth/focus`, which has the shape of a command's argument; None where no text is edited."""
    fields = table(params)
    if "uri" not in fields:
        return None
    return string(fields["uri"], "uri"), span(fields.get("selection"), "selection").end


def command(params: object) -> tuple[str, Sequence[Any]]:
    """Name and arguments of `workspace/executeCommand`."""
    fields = table(params)
    arguments = fields.get("arguments")
    return string(fields.get("command"), "command"), array([] if arguments is None else arguments, "arguments")


def initialize(params: object) -> Initialize:
    """Never refuses for something that we could do without."""
    fields = table(params)
    capabilities = fields.get("capabilities")
    pid = fields.get("processId")
    locale = fields.get("locale")
    options = fields.get("initializationOptions")
    folders = fields.get("workspaceFolders")
    if not isinstance(folders, list):
        root = fields.get("rootUri")
        if not isinstance(root, str) and isinstance(fields.get("rootPath"), str):
            root = uris.from_fs_path(fields["rootPath"])
        folders = [{"uri": root}]
    return Initialize(
        process_id=pid if isinstance(pid, int) and not isinstance(pid, bool) and 0 < pid <= PID_MAX else None,
        locale=locale if isinstance(locale, str) else "",
        options=options,
        workspace_trusted=not isinstance(options, dict)
        or cast(dict[str, Any], options).get("workspace_trusted") is not False,
        folders=paths(cast(list[Any], folders)),
        shows_documents=has(capabilities, "window", "showDocument", "support"),
        shows_content=has(capabilities, "workspace", "textDocumentContent", "dynamicRegistration"),
        shows_progress=has(capabilities, "window", "workDoneProgress"),
        watches_files=has(capabilities, "workspace", "didChangeWatchedFiles", "dynamicRegistration"),
        capabilities=cast(object, capabilities),
    )


def folders_changed(params: object) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Folders added and removed."""
    event = table(table(params).get("event"), "event")
    return (
        paths(array(event.get("added", []), "event.added")),
        paths(array(event.get("removed", []), "event.removed")),
    )


def paths(folders: Sequence[object]) -> tuple[Path, ...]:
    """Paths of workspace folders on this machine; others are left out."""
    found: list[Path] = []
    for folder in folders[:FOLDERS_MAX]:
        uri = cast(dict[str, Any], folder).get("uri") if isinstance(folder, dict) else None
        if isinstance(uri, str) and uri.startswith("file:") and (path := uris.to_fs_path(uri)) and _possible(path):
            found.append(Path(path))
    return tuple(found)


def _possible(path: str) -> bool:
    """Whether a file system can have such a path: no zero byte, no half of a surrogate pair."""
    try:
        return "\0" not in path and bool(os.fsencode(path))
    except UnicodeEncodeError:
        return False


def configuration(params: object) -> dict[str, Any]:
    """The raw `completion` section of `workspace/didChangeConfiguration`, with or without `hearth` around it."""
    settings = table(params).get("settings")
    if isinstance(settings, dict):
        fields = cast(dict[str, Any], settings)
        inner = fields.get("hearth", fields)
        section = cast(dict[str, Any], inner).get("completion") if isinstance(inner, dict) else None
        if isinstance(section, dict):
            return cast(dict[str, Any], section)
    return {}


def diagnostics(params: object) -> tuple[str, tuple[Diagnostic, ...]]:
    """URI and diagnostics of `hearth/diagnostics`, which has the parameters of `textDocument/publishDiagnostics`."""
    fields = table(params)
    return string(fields.get("uri"), "uri"), diagnostic_list(fields)


def diagnostic_list(fields: Mapping[str, Any]) -> tuple[Diagnostic, ...]:
    """The member `diagnostics`."""
    found: list[Diagnostic] = []
    for item in array(fields.get("diagnostics"), "diagnostics")[:DIAGNOSTICS_MAX]:
        entry = table(item, "diagnostics[]")
        where = span(entry.get("range"), "diagnostics[].range")
        level = entry.get("severity")
        severity = SEVERITIES.get(level, "error") if isinstance(level, int) else "error"
        message = string(entry.get("message"), "diagnostics[].message")
        found.append(Diagnostic(where.start.line, severity, message[:DIAGNOSTIC_CHARS_MAX]))
    return tuple(found)


def range_of(where: Range) -> types.Range:
    """A range for the wire."""
    start, end = where.start, where.end
    return types.Range(types.Position(start.line, start.character), types.Position(end.line, end.character))


def json_range(where: Range) -> dict[str, dict[str, int]]:
    """A range as plain JSON, for a command's arguments."""
    start, end = where.start, where.end
    return {
        "start": {"line": start.line, "character": start.character},
        "end": {"line": end.line, "character": end.character},
    }


def item_of(suggestion: "Suggestion", accepted_command: str) -> types.InlineCompletionItem:
    """Always with a range: without one VS Code shows nothing."""
    return types.InlineCompletionItem(
        insert_text=suggestion.text,
        range=range_of(suggestion.range),
        command=types.Command("Hearth", accepted_command, arguments=[suggestion.id]),
    )


def has(value: object, *path: str) -> bool:
    """Whether a nested member is true."""
    return within(value, *path) is True


def holds(value: object, item: str, *path: str) -> bool:
    """Whether a nested list has an item."""
    found = within(value, *path)
    return isinstance(found, list) and item in found


def within(value: object, *path: str) -> object:
    """A nested member, None where there is none."""
    for key in path:
        value = cast(dict[str, Any], value).get(key) if isinstance(value, dict) else None
    return cast(object, value)
