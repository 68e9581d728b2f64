"""What the user agreed to send, and what that covers.

An approval is bound to a destination (scheme, host and port), a kind of work and a workspace; one for a single request
also to the digest of what was shown, so that what was changed afterwards asks again. Approvals are kept in memory or in
the user's own folder, never in a workspace (see consents).
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, get_args

from hearth.core.jsonlike import number, table, text

Scope = Literal["each", "session", "workspace"]
"""each: this request. session: all of its kind in this workspace till Hearth ends. workspace: the same, from now on."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
Answer = Literal["Send", "Send for this session", "Show exactly", "Use local model", "Cancel"]
"""The titles of the question, as the user sees them."""
ANSWERS: tuple[Answer, ...] = get_args(Answer)
APPROVALS_MAX = 256
FIELD_CHARS_MAX = 4_096
EPOCH_S_MAX = 1e12
ID_CHARS = 16
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
    """`digest` is "" unless the scope is `each`. `since`: seconds since the epoch."""

    destination: str
    kind: str
    folder: str
    scope: Scope
    digest: str = ""
    since: float = field(default=0.0, compare=False)

    @property
    def name(self) -> str:
        """For the ledger and the user."""
        return _NAMES[self.scope]

    @property
    def id(self) -> str:
        """The same wherever and whenever this was agreed to."""
        bound = "\0".join((self.scope, self.destination, self.kind, self.folder, self.digest))
        return sha256(bound.encode("utf-8", "surrogatepass")).hexdigest()[:ID_CHARS]

    def as_json(self) -> dict[str, Any]:
        """For machines that ask what is allowed."""
        fields = {"id": self.id, "destination": self.destination, "kind": self.kind, "workspace": self.folder}
        return {**fields, "scope": self.scope, "since": self.since}


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


def approval(request: Request, scope: Scope, now: float = 0.0) -> Approval | None:
    """The user's consent to a request. Without a workspace it ends with the session at the latest. None: a request that
    does not say what it is cannot be agreed to."""
    if not (request.destination and request.kind and request.digest):
        return None
    if scope == "workspace" and not request.folder:
        scope = "session"
    digest = request.digest if scope == "each" else ""
    return Approval(request.destination, request.kind, request.folder, scope, digest, now)


def granted(approvals: Approvals, new: Approval) -> Approvals:
    """With one more. Of too many the oldest are forgotten: they ask again."""
    others = tuple(one for one in approvals.given if one != new)
    return Approvals((*others, new)[-APPROVALS_MAX:])


def covering(approvals: Approvals, request: Request) -> Approval | None:
    """The approval under which a request may be sent, the widest first; None if the user must be asked."""
    fitting = [one for one in approvals.given if _covers(one, request)]
    return max(fitting, key=lambda one: SCOPES.index(one.scope), default=None)


def used(approvals: Approvals, request: Request) -> Approvals:
    """After a request came to its end: an approval for it alone is used up."""
    return Approvals(tuple(one for one in approvals.given if one.scope != "each" or not _covers(one, request)))


def revoked(approvals: Approvals, id: str) -> Approvals:
    """Without one."""
    return Approvals(tuple(one for one in approvals.given if one.id != id))


def record(approval: Approval) -> dict[str, Any]:
    """Of one for a workspace, which outlives the session."""
    return {"destination": approval.destination, "kind": approval.kind, "folder": approval.folder, "at": approval.since}


def restored(raw: object) -> Approval | None:
    """From a record; what is damaged is forgotten, and asks again."""
    fields = table(raw)
    destination, kind, folder = (text(fields.get(key), FIELD_CHARS_MAX) for key in ("destination", "kind", "folder"))
    if not (destination and kind and folder):
        return None
    return Approval(destination, kind, folder, "workspace", since=number(fields.get("at"), EPOCH_S_MAX) or 0.0)


def _covers(approval: Approval, request: Request) -> bool:
    bound = (approval.destination, approval.kind, approval.folder) == (
        request.destination,
        request.kind,
        request.folder,
    )
    return bound and (approval.scope != "each" or approval.digest == request.digest)
