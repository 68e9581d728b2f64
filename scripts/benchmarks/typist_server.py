"""`hearth serve` with memory, joining, anchoring and speculation taken out, to show what they are worth.

The product has no switches for this: its parts are replaced here, and a part that is no longer there is an error.
"""

import sys
from dataclasses import replace
from typing import Any

from hearth import cli, pilot
from hearth.flight import Flight
from hearth.pilot import Pilot
from hearth.store import Memory


def put(owner: Any, name: str, new: Any) -> Any:
    """Replace a method or a function, and return the one that was there."""
    old = getattr(owner, name)
    setattr(owner, name, new)
    return old


async def nothing_read(*_: Any, **__: Any) -> None:
    """In place of reading ahead."""


def without_memory() -> None:
    put(Memory, "remember", lambda self, entry: None)
    put(Memory, "lookup", lambda self, now: None)
    put(Memory, "lookup_all", lambda self, now, most=1: [])


def without_joining() -> None:
    put(Pilot, "joined", lambda self, *_, **__: None)
    put(Flight, "document_changed", lambda self, typed: self.abandon())


def without_anchors() -> None:
    """Prefix, suffix, middle, built anew at every key: what is typed belongs to the prefix."""

    def anchor(self: Pilot, spot: Any, target: Any) -> Any:
        self.anchors.clear()
        made = old(self, spot, target)
        before, token, after = made.head.rpartition(target.dialect.suffix)
        return replace(made, head=before + spot.line_before + token + after)

    old = put(Pilot, "_anchor", anchor)
    put(pilot, "_typed", lambda anchor, spot: "")
    put(Pilot, "read_ahead", nothing_read)


def without_speculation() -> None:
    put(Pilot, "speculate", lambda self, *_, **__: None)


if __name__ == "__main__":
    without_memory()
    without_joining()
    without_anchors()
    without_speculation()
    sys.exit(cli.main(sys.argv[1:]))
