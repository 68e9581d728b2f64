"""What client and server say in `initialize` that they can do.

Names alone, where what they stand for is loaded later (`hearth.lsp.offered`, `hearth.lsp.commands`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lsprotocol import types

from hearth.lsp import convert, notebooks

STATUS_REQUEST = "hearth/status"
SEARCH_REQUEST = "hearth/search"
LATER = (
    types.WORKSPACE_TEXT_DOCUMENT_CONTENT,
    types.WORKSPACE_EXECUTE_COMMAND,
    types.TEXT_DOCUMENT_CODE_ACTION,
    types.CODE_ACTION_RESOLVE,
    types.TEXT_DOCUMENT_CODE_LENS,
    types.TEXT_DOCUMENT_DOCUMENT_LINK,
    types.TEXT_DOCUMENT_COMPLETION,
    types.TEXT_DOCUMENT_HOVER,
    STATUS_REQUEST,
    SEARCH_REQUEST,
)
"""Requests that `hearth.lsp.offered` answers."""
ACCEPTED = "hearth.completionAccepted"
COMMANDS = (
    "hearth.status",
    "hearth.whyNoSuggestion",
    "hearth.toggleCompletion",
    "hearth.stop",
    "hearth.reindex",
    "hearth.showEgress",
    "hearth.consent",
    "hearth.revokeConsent",
    ACCEPTED,
    "hearth.explain",
    "hearth.refactor",
    "hearth.fix",
    "hearth.test",
    "hearth.document",
    "hearth.ask",
    "hearth.task",
    "hearth.resumeTask",
    "hearth.reply",
    "hearth.retry",
    "hearth.apply",
    "hearth.copy",
    "hearth.keep",
    "hearth.undoLastChange",
    "hearth.conversations",
    "hearth.exportConversation",
    "hearth.deleteConversation",
    "hearth.selectModel",
)
"""What `hearth.lsp.commands` runs."""
MENTION_TRIGGERS = ("@", ":", "/", ".")
PROMPT_LANGUAGE = "hearth"
"""The language of documents in which prompts are written."""
FIX, REWRITE, OTHER = types.CodeActionKind.QuickFix.value, types.CodeActionKind.RefactorRewrite.value, "hearth"
"""Kinds of code actions."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """Of the client, concerning edits."""

    versions: bool = False
    annotations: bool = False
    creates: bool = False
    deletes: bool = False


@dataclass(frozen=True, slots=True)
class Offers:
    """What the client can take, concerning what is offered to it."""

    edits: Abilities = field(default_factory=Abilities)
    lazy_actions: bool = False
    tagged_actions: bool = False
    dynamic_lenses: bool = False
    refreshes_lenses: bool = False
    dynamic_links: bool = False
    dynamic_mentions: bool = False

    @classmethod
    def of(cls, capabilities: object) -> "Offers":
        """From `initialize`."""
        has, holds = convert.has, convert.holds
        edit = ("workspace", "workspaceEdit")
        action = ("textDocument", "codeAction")
        return cls(
            edits=Abilities(
                versions=has(capabilities, *edit, "documentChanges"),
                annotations=isinstance(convert.within(capabilities, *edit, "changeAnnotationSupport"), Mapping),
                creates=holds(capabilities, "create", *edit, "resourceOperations"),
                deletes=holds(capabilities, "delete", *edit, "resourceOperations"),
            ),
            lazy_actions=holds(capabilities, "command", *action, "resolveSupport", "properties"),
            tagged_actions=isinstance(convert.within(capabilities, *action, "tagSupport"), Mapping),
            dynamic_lenses=has(capabilities, "textDocument", "codeLens", "dynamicRegistration"),
            refreshes_lenses=has(capabilities, "workspace", "codeLens", "refreshSupport"),
            dynamic_links=has(capabilities, "textDocument", "documentLink", "dynamicRegistration"),
            dynamic_mentions=has(capabilities, "textDocument", "completion", "dynamicRegistration")
            and has(capabilities, "textDocument", "hover", "dynamicRegistration"),
        )


def capabilities(offers: Offers) -> types.ServerCapabilities:
    """What this server offers. A client that is told of mentions later is not made to ask in every document."""
    mentions = None if offers.dynamic_mentions else types.CompletionOptions(trigger_characters=list(MENTION_TRIGGERS))
    return types.ServerCapabilities(
        position_encoding=types.PositionEncodingKind.Utf16,
        text_document_sync=types.TextDocumentSyncOptions(
            open_close=True,
            change=types.TextDocumentSyncKind.Incremental,
            # The text at saving is how a document that lost a change gets well again.
            save=types.SaveOptions(include_text=True),
        ),
        notebook_document_sync=notebooks.sync_options(),
        inline_completion_provider=types.InlineCompletionOptions(),
        code_action_provider=types.CodeActionOptions(code_action_kinds=[FIX, REWRITE, OTHER], resolve_provider=True),
        code_lens_provider=types.CodeLensOptions(),
        completion_provider=mentions,
        hover_provider=mentions is not None,
        execute_command_provider=types.ExecuteCommandOptions(commands=list(COMMANDS)),
        workspace=types.WorkspaceOptions(
            workspace_folders=types.WorkspaceFoldersServerCapabilities(supported=True, change_notifications=True)
        ),
    )
