"""What the user agreed to send, where it is kept, and how it is taken back.

Consent for a request or a session lives in this process. That for a workspace is a small file of its own in the user's
data folder, named after what it covers, and looked for anew before each sending: so it holds for all windows, and once
the file is gone it holds for none. Everything here blocks, for a moment, and may be called from several threads.
"""

import contextlib
import json
import logging
import os
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hearth.core import approval as approvals
from hearth.core.approval import APPROVALS_MAX, ID_CHARS, Approval, Approvals, Request, Scope

LOG = logging.getLogger(__name__)
FILE_BYTES_MAX = 32_768
_NAME = re.compile(rf"[0-9a-f]{{{ID_CHARS}}}\.json")


def kept_in(data: Path) -> Path:
    """The folder, in the user's data folder."""
    return data / "cloud" / "consents"


class Consents:
    """`folder` is Hearth's own; `clock` gives seconds since the epoch."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self.folder = folder
        self._clock = clock
        self._here = Approvals()
        self._lock = threading.Lock()

    def covering(self, request: Request) -> Approval | None:
        """The approval under which a request may be sent, the widest first; None if the user must be asked."""
        wanted = approvals.approval(request, "workspace")
        kept = self._read(wanted.id) if wanted is not None and wanted.scope == "workspace" else None
        return kept or approvals.covering(self._here, request)

    def grant(self, request: Request, scope: Scope) -> Approval | None:
        """The user agreed. What cannot be kept holds for the session."""
        new = approvals.approval(request, scope, self._clock())
        if new is not None and new.scope == "workspace":
            new = new if self._keep(new) else replace(new, scope="session")
        if new is not None and new.scope != "workspace":
            with self._lock:
                self._here = approvals.granted(self._here, new)
        return new

    def used(self, request: Request) -> None:
        """A request came to its end: an approval for it alone is used up."""
        with self._lock:
            self._here = approvals.used(self._here, request)

    def given(self) -> list[Approval]:
        """All that holds for longer than one request, the latest first: what is kept, and what ends with us."""
        here = [one for one in self._here.given if one.scope == "session"]
        kept = [one for name in self._names() if (one := self._read(name.removesuffix(".json")))]
        return sorted((*here, *kept), key=lambda one: one.since, reverse=True)

    def revoke(self, id: str) -> bool:
        """Take one back, in all windows where it was kept; whether it is gone."""
        with self._lock:
            self._here = approvals.revoked(self._here, id)
        if not _NAME.fullmatch(f"{id}.json"):
            return True
        try:
            self._path(id).unlink(missing_ok=True)
        except OSError as error:
            LOG.error("consents: %s was not taken back: %s", id, error.strerror)
            return False
        return True

    def _path(self, id: str) -> Path:
        return self.folder / f"{id}.json"

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.folder) if _NAME.fullmatch(name)][: 2 * APPROVALS_MAX]
        except OSError:
            return []

    def _read(self, id: str) -> Approval | None:
        try:
            with self._path(id).open("rb") as stream:
                kept = approvals.restored(json.loads(stream.read(FILE_BYTES_MAX)))
        except (OSError, ValueError, RecursionError):
            return None
        return kept if kept is not None and kept.id == id else None

    def _keep(self, new: Approval) -> bool:
        """All or nothing."""
        near = self.folder / f"{new.id}.{os.getpid()}.new"
        record: dict[str, Any] = approvals.record(new)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(near, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
                json.dump(record, stream)
            near.replace(self._path(new.id))
        except OSError as error:
            LOG.warning("consents: what you agreed to was not kept: %s", error.strerror)
            with contextlib.suppress(OSError):
                near.unlink()
            return False
        self._thin_out()
        return True

    def _thin_out(self) -> None:
        """Of too many the oldest are forgotten: they ask again."""
        kept = [one for one in self.given() if one.scope == "workspace"]
        for one in kept[APPROVALS_MAX:]:
            self.revoke(one.id)
