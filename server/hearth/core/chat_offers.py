"""Which refactorings make sense at a place, by the syntax there. Offered, not run: cheap enough for a lightbulb."""

from dataclasses import dataclass

from hearth.core.text import Range, Snapshot


@dataclass(frozen=True, slots=True)
class Refactoring:
    """`id`: what `Command.refactoring` takes. `title`: for a menu. `instruction`: what the model is told."""

    id: str
    title: str
    instruction: str


def offers(snapshot: Snapshot, where: Range) -> list[Refactoring]:
    """Those that make sense for the selection, or for the function around an empty one; [] where nothing is known of
    the language."""
    del snapshot, where
    return []


def offered(identifier: str) -> Refactoring | None:
    """The refactoring of an id."""
    del identifier
    return None
