"""What the chat commands need of the engine, for this client."""

from collections.abc import Sequence

from hearth.chat.workspace import WorkspaceDesk
from hearth.core.route import best_free
from hearth.engine import Engine, path_of
from hearth.lsp.session import Session
from hearth.lsp.wanted import Model


def desk_of(engine: Engine, session: Session) -> WorkspaceDesk:
    """The workspace as this client has it open at this moment: what edits are compared with."""
    return WorkspaceDesk(
        folders=lambda: session.folders,
        opened=session.current,
        path_of=path_of,
        search=engine.search,
        diagnostics=lambda: {uri: said for uri, (_, said) in session.diagnostics.items()},
        trusted=lambda: session.workspace_trusted,
    )


async def models_of(engine: Engine) -> Sequence[Model]:
    """Who could answer: the user's own servers, then what may be asked in the cloud. Right after the start it
    waits a little until they are known."""
    await engine.answerable()
    found = [Model("local", server.probe.model, server.backend.name) for server in engine.gateway.targets("chat")]
    cloud = engine.cloud
    if not cloud.problem:
        names = cloud.settings.models or best_free(cloud.models, cloud.now)
        found += [Model("cloud", name, cloud.host) for name in names]
    return [one for one in found if one.name]
