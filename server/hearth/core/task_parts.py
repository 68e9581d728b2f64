"""The words in which a task is told: what is impacted, the plan, the project's checks, limits."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Ending = Literal["done", "unverified", "stopped", "refused", "failed"]
"""done: every step is through, no check is known to fail, and tests ran what was changed. unverified: the same, but not
everything is proved: lines that no test ran, names that nobody knows, no tests at all. stopped: a limit was reached, or
findings are left, or nothing was changed; what there is can be looked at. refused: the user said no to the plan.
failed: no model answered, or none that could be used."""


@dataclass(frozen=True, slots=True)
class Impacted:
    """A file that the change may reach. `reason`: a clause. `sure`: its imports lead to what changes. `waived`: why it
    needs no change, "" if it may. `by`: who said so."""

    path: str
    reason: str
    sure: bool = True
    waived: str = ""
    by: Literal["index", "model", "user"] = "index"


@dataclass(frozen=True, slots=True)
class Step:
    """`check`: the kind of check that proves it, or a sentence."""

    title: str
    files: tuple[str, ...]
    check: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A project's own check: exactly what would be run, without a shell. `kind`: tests, lint, types or build. `folder`:
    relative to the workspace, "" for its root. `why`: the file that it was found by."""

    kind: str
    argv: tuple[str, ...]
    folder: str
    why: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one task. Reached: it stops where it is, in a state that is consistent, and says so."""

    turns: int = 120
    """Answers of a model."""
    turns_per_step: int = 24
    rounds: int = 4
    """Of correcting."""
    tokens: int = 2_000_000
    """Prompts and answers together, as counted or else estimated."""
    seconds: float = 3_600.0
    money: Decimal = Decimal(1)
    """USD."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """Of the model that will answer. `tools`: native calls work. `schema`: it can be held to a JSON schema."""

    context_tokens: int = 16_384
    output_tokens: int = 4_096
    tools: bool = True
    schema: bool = True
