"""The state of a task, what may be done next, and what may be seen of it: plain frozen records.

`core.task` goes from one to the next. A task is wholly given by its beginning (`Start`) and what was observed since:
so a journal of observations is its memory, and replaying one gives the same state again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from hearth.core.exchange import Ending as AnswerEnding
from hearth.core.exchange import Message, ToolCall
from hearth.core.origin import Destination, Origin
from hearth.core.route import Choice
from hearth.core.task_calls import Call, Problem
from hearth.core.task_parts import Abilities, Command, Ending, Impacted, Limits, Step
from hearth.core.task_protocol import Kind, Phase

Stage = Literal[
    "survey",
    "ask",
    "questions",
    "find",
    "impacted",
    "agree",
    "prepare",
    "open",
    "tools",
    "inspect",
    "weakened",
    "end",
]
"""What is waited for: each is one action."""
Status = Literal["passed", "failed", "not verified"]
"""not verified: it could not be run, was not agreed to, or failed in the same way before the change."""


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning. `folder`: the workspace's absolute path. `mark`: six characters that frame data, by chance."""

    id: str
    goal: str
    folder: str
    mark: str
    limits: Limits = field(default_factory=Limits)
    abilities: Abilities = field(default_factory=Abilities)
    choice: Choice = field(default_factory=Choice)
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong. `line`: 0-based, -1 for none. `before`: it was so before the change, too."""

    kind: Kind
    path: str
    text: str
    line: int = -1
    before: bool = False

    @property
    def key(self) -> str:
        """The same for what is wrong in the same way, wherever in the file it is now."""
        return f"{self.kind} {self.path} {self.text}"

    @property
    def line_text(self) -> str:
        """One line for the model and the user, counted from 1."""
        place = f" {self.path}{f':{self.line + 1}' if self.line >= 0 else ''}" if self.path else ""
        return f"- [{self.kind}]{place}: {self.text}" if place else f"- [{self.kind}] {self.text}"


@dataclass(frozen=True, slots=True)
class Check:
    """What became of one command. `summary`: a line. `passed`, `failed`: how many tests or files, None if not known.
    `failures`: by name, for what is wrong in the same way the same."""

    command: Command
    status: Status
    summary: str
    passed: int | None = None
    failed: int | None = None
    failures: tuple[Finding, ...] = ()
    seconds: float = 0.0
    isolation: str = ""


# What is to be done


@dataclass(frozen=True, slots=True)
class Survey:
    """Look at the project: a map, and what is found by the goal. In tokens."""

    goal: str
    map_tokens: int
    found_tokens: int


@dataclass(frozen=True, slots=True)
class AskModel:
    """Ask a model. The messages are `state.conversation`."""

    phase: Phase
    output_tokens: int
    files: int
    tools: bool
    schema: bool
    choice: Choice


@dataclass(frozen=True, slots=True)
class AskUser:
    """Ask what only the user knows."""

    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Find:
    """Look up what a change of these reaches."""

    goal: str
    symbols: tuple[str, ...]
    files: tuple[str, ...]
    searches: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShowImpacted:
    files: tuple[Impacted, ...]


@dataclass(frozen=True, slots=True)
class ShowPlan:
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Prepare:
    """Find the project's checks, have them agreed to, and run them once before anything is changed."""


@dataclass(frozen=True, slots=True)
class RunTools:
    """Run calls, in their order. `chars_max`: of each result."""

    calls: tuple[Call, ...]
    chars_max: int


@dataclass(frozen=True, slots=True)
class Inspect:
    """Look for what is wrong: parse, stale names, weaker tests, the project's checks."""


@dataclass(frozen=True, slots=True)
class ShowWeakened:
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    ending: Ending
    stop: str


Action = (
    Survey | AskModel | AskUser | Find | ShowImpacted | ShowPlan | Prepare | RunTools | Inspect | ShowWeakened | Finish
)


# What is seen of it


@dataclass(frozen=True, slots=True)
class Surveyed:
    """`symbols` and `files` that the goal names. `text`: the map and what was found, from `origins`."""

    text: str
    origins: tuple[Origin, ...]
    symbols: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """`origins`: of the answer's text. Counts are None where nobody said."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    broken_calls: int = 0
    ending: AnswerEnding = "stop"
    place: Destination = "machine"
    name: str = ""
    model: str = ""
    context_tokens: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    generated_tokens: int | None = None
    cost: Decimal | None = None
    entries: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nobody could answer: `message` and `remedy` for the user. `refused`: the user said no to sending."""

    message: str
    remedy: str = ""
    refused: bool = False
    overflow: bool = False


@dataclass(frozen=True, slots=True)
class Replied:
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    files: tuple[Impacted, ...]


@dataclass(frozen=True, slots=True)
class ImpactAgreed:
    files: tuple[Impacted, ...] | None


@dataclass(frozen=True, slots=True)
class PlanAgreed:
    steps: tuple[Step, ...] | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """`agreed`: the user let these commands be run. `why_not`: why there is none to run, or none may be.
    `digest`: what the agreement is bound to."""

    commands: tuple[Command, ...]
    agreed: bool
    baseline: tuple[Check, ...] = ()
    why_not: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave. `ok`: it did what it should. `origins`: of the text. `fold`: what is kept of it later."""

    call: Call
    text: str
    ok: bool
    origins: tuple[Origin, ...]
    fold: str = ""


@dataclass(frozen=True, slots=True)
class ToolsRan:
    """`changes`: new texts by path, None for a file that is gone, as they are after all calls. `bases`: what was there
    before the task, of files touched for the first time (None: nothing). `approved`: protected files and the digest of
    what the user agreed to."""

    results: tuple[Result, ...]
    changes: Mapping[str, str | None]
    bases: Mapping[str, str | None]
    approved: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Inspected:
    """`unknown`: of what nobody knows whether tests ran it, in sentences."""

    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WeakenedAgreed:
    agreed: bool


@dataclass(frozen=True, slots=True)
class Stopped:
    """The user ended it."""

    why: str = "you stopped it"


Observation = (
    Surveyed
    | Answered
    | NoAnswer
    | Replied
    | Found
    | ImpactAgreed
    | PlanAgreed
    | Prepared
    | ToolsRan
    | Inspected
    | WeakenedAgreed
    | Stopped
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What the task has used so far. `left`: requests that left the machine, by their number in the ledger."""

    turns: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    seconds: float = 0.0
    cost: Decimal = Decimal(0)
    entries: tuple[int, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.generated_tokens


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is known of a task. `conversation`: what a model is shown; it grows, but for folds. `corrected`:
    corrections in a row. `pending`: the calls of the last answer, `canned` the results of those that are not run,
    `closing` the summary of its `done`. `seen`: keys of the calls since something was changed. `waived`: reasons by
    path. `fingerprints`: of the findings of each inspection. `asking`: the findings of this round; `asked`: how often
    each of those was put to a model that only it can judge. `last`: what the last inspection saw, of which changes."""

    start: Start
    stage: Stage = "survey"
    phase: Phase = "analyse"
    conversation: tuple[Message, ...] = ()
    folds: int = 0
    chars_per_token: float = 3.3
    window: int = 0
    goal: str = ""
    symbols: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    impacted: tuple[Impacted, ...] = ()
    steps: tuple[Step, ...] = ()
    step: int = 0
    step_notes: tuple[str, ...] = ()
    step_turns: int = 0
    round: int = 0
    corrected: int = 0
    repeats: int = 0
    untouched_told: int = 0
    pending: tuple[Call, ...] = ()
    canned: Mapping[int, Result] = field(default_factory=dict[int, Result])
    problems: tuple[Problem, ...] = ()
    native: bool = False
    closing: str | None = None
    seen: frozenset[str] = frozenset()
    changes: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    bases: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    approved: Mapping[str, str] = field(default_factory=dict[str, str])
    waived: Mapping[str, str] = field(default_factory=dict[str, str])
    commands: tuple[Command, ...] = ()
    commands_agreed: bool = False
    commands_why_not: str = ""
    commands_digest: str = ""
    baseline: tuple[Check, ...] = ()
    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()
    asking: tuple[Finding, ...] = ()
    asked: Mapping[str, int] = field(default_factory=dict[str, int])
    last: tuple[Inspected, Mapping[str, str | None]] | None = None
    fingerprints: tuple[str, ...] = ()
    weakened_asked: frozenset[str] = frozenset()
    weakened_agreed: frozenset[str] = frozenset()
    overflows: int = 0
    local_only: bool = False
    """The user did not let it leave, or nobody in the cloud answered: the rest is done by their own models."""
    escalated: bool = False
    notes: tuple[str, ...] = ()
    spent: Spent = field(default_factory=Spent)
    ending: Ending | None = None
    stop: str = ""
    stop_remedy: str = ""
