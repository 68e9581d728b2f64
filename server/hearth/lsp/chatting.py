"""Puts the chat commands together: the engine's parts, and this client as the one who is asked and shown."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from hearth.chat.chats import Chats
from hearth.chat.transcripts import Transcripts
from hearth.chat.workspace import WorkspaceDesk
from hearth.core.exchange import Event, Request
from hearth.core.route import Choice, best_free
from hearth.door import CONTEXT_UNKNOWN_TOKENS, Consent
from hearth.engine import Engine, path_of
from hearth.lsp.session import Session
from hearth.lsp.talk import Model


def desk_of(engine: Engine, session: Session) -> WorkspaceDesk:
    """The workspace as this client has it open."""
    return WorkspaceDesk(
        folders=lambda: session.folders,
        opened=session.current,
        path_of=path_of,
        search=engine.search,
        diagnostics=lambda: {uri: said for uri, (_, said) in session.diagnostics.items()},
        trusted=lambda: session.workspace_trusted,
    )


def chats_of(engine: Engine, desk: WorkspaceDesk, consent: Consent, data: Path) -> Chats:
    """The conversations of a workspace."""

    def ask(request: Request) -> AsyncGenerator[Event]:
        return engine.ask(request, consent)

    def room(choice: Choice) -> int:
        return room_of(engine, choice)

    return Chats(ask, desk, room, Transcripts(data, desk.folders))


def room_of(engine: Engine, choice: Choice) -> int:
    """The context, in tokens, of the model that would be asked first."""
    servers = engine.gateway.targets("chat")
    named = [server for server in servers if server.probe.model == choice.model] or servers
    entry = engine.cloud.models.get(choice.model) if choice.place == "cloud" else None
    if entry is not None and entry.context_tokens:
        return entry.context_tokens
    return (named[0].probe.context_tokens if named else None) or CONTEXT_UNKNOWN_TOKENS


def models_of(engine: Engine) -> Sequence[Model]:
    """Who could answer: the user's own servers, then what may be asked in the cloud."""
    found = [Model("local", server.probe.model, server.backend.name) for server in engine.gateway.targets("chat")]
    cloud = engine.cloud
    if not cloud.problem:
        names = cloud.settings.models or best_free(cloud.models, cloud.now)
        found += [Model("cloud", name, cloud.host) for name in names]
    return [one for one in found if one.name]
