"""What the user agreed to send, and what that covers.

An approval is bound to a destination (scheme, host and port), a kind of work and a workspace; one for a single request
also to the digest of what was shown, so that what was changed afterwards asks again. Approvals are kept in memory or in
the user's own folder, never in a workspace.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from hearth.core.jsonlike import items, table, text

Scope = Literal["each", "session", "workspace"]
"""each: this request. session: all of its kind in this workspace till Hearth ends. workspace: the same, from now on."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
Answer = Literal["Send", "Send for this session", "Show exactly", "Use local model", "Cancel"]
"""The titles of the question, as the user sees them."""
ANSWERS: tuple[Answer, ...] = get_args(Answer)
APPROVALS_MAX = 256
FIELD_CHARS_MAX = 4_096
_NAMES: dict[Scope, str] = {
    "each": "for this request",
    "session": "for this session",
    "workspace": "for this workspace",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What consent is asked for. `destination`: `scheme://host[:port]`. `kind`: of work. `folder`: the workspace, ""
    for none. `digest`: of the exact text to be sent, whichever of the models that were shown will get it."""

    destination: str
    kind: str
    folder: str
    digest: str


@dataclass(frozen=True, slots=True)
class Approval:
    """`digest` is "" unless the scope is `each`."""

    destination: str
    kind: str
    folder: str
    scope: Scope
    digest: str = ""

    @property
    def name(self) -> str:
        """For the ledger and the user."""
        return _NAMES[self.scope]


@dataclass(frozen=True, slots=True)
class Approvals:
    """Those that are in force, the newest last."""

    given: tuple[Approval, ...] = ()


def scope_of(answer: str | None, setting: Scope) -> Scope | None:
    """How far an answer goes; None for every answer that is no consent, one that never came among them.

    `setting` is `[cloud] approval`, how long one "Send" lasts.
    """
    if answer == "Send":
        return setting
    return "session" if answer == "Send for this session" else None


def granted(approvals: Approvals, request: Request, scope: Scope) -> Approvals:
    """With the user's consent to a request. Without a workspace it ends with the session at the latest. Of too many the
    oldest are forgotten: they ask again."""
    if not (request.destination and request.kind and request.digest):
        return approvals
    if scope == "workspace" and not request.folder:
        scope = "session"
    digest = request.digest if scope == "each" else ""
    new = Approval(request.destination, request.kind, request.folder, scope, digest)
    others = tuple(one for one in approvals.given if one != new)
    return Approvals((*others, new)[-APPROVALS_MAX:])


def covering(approvals: Approvals, request: Request) -> Approval | None:
    """The approval under which a request may be sent, the widest first; None if the user must be asked."""
    fitting = [one for one in approvals.given if _covers(one, request)]
    return max(fitting, key=lambda one: SCOPES.index(one.scope), default=None)


def used(approvals: Approvals, request: Request) -> Approvals:
    """After a request came to its end: an approval for it alone is used up."""
    return Approvals(tuple(one for one in approvals.given if one.scope != "each" or not _covers(one, request)))


def revoked(approvals: Approvals, folder: str | None = None) -> Approvals:
    """Without all that was given for a workspace, or without any."""
    return Approvals(tuple(one for one in approvals.given if folder is not None and one.folder != folder))


def record(approvals: Approvals) -> list[dict[str, Any]]:
    """What outlives the session."""
    return [
        {"destination": one.destination, "kind": one.kind, "folder": one.folder}
        for one in approvals.given
        if one.scope == "workspace"
    ]


def restored(raw: object) -> Approvals:
    """From a record; what is damaged in it is forgotten, and asks again."""
    approvals = Approvals()
    for entry in items(raw)[-APPROVALS_MAX:]:
        fields = table(entry)
        destination, kind, folder = (
            text(fields.get(key), FIELD_CHARS_MAX) for key in ("destination", "kind", "folder")
        )
        if destination and kind and folder:
            approvals = granted(approvals, Request(destination, kind, folder, "-"), "workspace")
    return approvals


def _covers(approval: Approval, request: Request) -> bool:
    bound = (approval.destination, approval.kind, approval.folder) == (
        request.destination,
        request.kind,
        request.folder,
    )
    return bound and (approval.scope != "each" or approval.digest == request.digest)
