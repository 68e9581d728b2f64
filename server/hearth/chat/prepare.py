"""From a command to a first question: what it is about, what goes with it, and why it cannot be done."""

from dataclasses import dataclass, field, replace
from secrets import token_hex

from hearth.chat.attach import attach
from hearth.chat.desk import Desk
from hearth.core.chat import EDITS, SELECTION_CHARS_MAX, Command, Scope, scope_of
from hearth.core.chat_docs import Style, style_of
from hearth.core.chat_offers import offered
from hearth.core.chat_prompt import asked_for, code_parts, fitting, place, question, sample, system_for, words
from hearth.core.chat_tests import Plan, manifests_for, plan
from hearth.core.conversation import Conversation, Turn, title_of, tokens_about, tokens_in, used_by
from hearth.core.exchange import Message, Part
from hearth.core.grammars import language_of
from hearth.core.invisible import cleaned, warning
from hearth.core.origin import file_origin
from hearth.core.patch import Ability, Format, Target, format_for, instructions
from hearth.core.rules import INTRODUCTION, gathered
from hearth.core.text import Position, Range, Snapshot, split_lines
from hearth.errors import HearthError

OUTPUT_TOKENS_TALK = 2_048
OUTPUT_TOKENS_EDIT_MIN = 1_024
OUTPUT_TOKENS_MAX = 16_384
OUTPUT_SHARE_MAX = 0.45
"""Of the model's context: the rest is for the question."""
GROWTH = 1.6
"""Code that is written anew may be so much longer than it was."""
RULES_SHARE_MAX = 0.15
ATTACHMENTS_SHARE_MAX = 0.6
ID_BYTES = 8
STYLE_SAMPLES_MAX = 3
SELECT_REMEDY = "Select some lines, or put the cursor into a function."


@dataclass(slots=True)
class Work:
    """What a conversation works on, as long as it runs: not kept over a restart. `snapshot`: the document as the model
    was shown it. `targets`: what an edit may change; `format`: the form that was asked for. `output_tokens`: the most
    to ask for."""

    snapshot: Snapshot | None = None
    folder: str = ""
    path: str = ""
    targets: tuple[Target, ...] = ()
    format: Format = "symbol"
    output_tokens: int = OUTPUT_TOKENS_TALK
    tests: Plan | None = None
    flags: list[str] = field(default_factory=list[str])

    @property
    def name(self) -> str:
        return self.path or "an unsaved document"


async def begun(
    command: Command, desk: Desk, context_tokens: int, ability: Ability, now: float, *, away: bool = False
) -> tuple[Conversation, Work]:
    """A new conversation with its first question. `away`: see `attach`. Raises HearthError with what to do instead."""
    work = Work()
    command, scope = await _placed(command, desk, work)
    talk = Conversation(
        f"{int(now):x}{token_hex(ID_BYTES)}", command.kind, title_of(command, scope, _short(work)), command, scope, now,
        choice=command.choice, updated=now,
    )  # fmt: skip
    room = await based(talk, work, desk, context_tokens, ability)
    await asked(talk, work, desk, command.prompt, room, away=away)
    return talk, work


async def _placed(command: Command, desk: Desk, work: Work) -> tuple[Command, Scope | None]:
    """The document and the lines of a command; what speaks against it is raised."""
    if command.kind == "ask" and not command.prompt.strip():
        raise HearthError("There is no question.", "Write one; @file:PATH, @codebase and the like attach something.")
    if not command.uri:
        if command.kind != "ask":
            raise HearthError("No document is open.", "Open a file, and try again.")
        work.folder = next(iter(desk.folders), "")
        return command, None
    work.snapshot = snapshot = await desk.snapshot(command.uri)
    work.folder, work.path = desk.place(command.uri)
    if command.kind in EDITS and command.kind != "test" and command.read_only:
        raise HearthError(
            f"{work.name} is read-only, so Hearth does not change it.", "Make it writable, or ask for an explanation."
        )
    if command.kind == "ask":
        return command, scope_of(snapshot, command.selection) if snapshot.text.strip() else None
    if not snapshot.text.strip():
        remedy = (
            "Write something first, or use Hearth: Ask." if command.kind != "test" else "Write something to test first."
        )
        raise HearthError(f"{work.name} is empty.", remedy)
    if command.kind == "refactor" and command.refactoring and offered(command.refactoring) is None:
        raise HearthError(f"There is no refactoring called {command.refactoring}.", "Describe in words what you want.")
    if command.kind == "fix" and not command.diagnostics:
        command = _with_diagnostics(command, desk, snapshot)
    selection = command.selection
    if command.kind == "fix" and (selection is None or selection.start == selection.end):
        line = command.diagnostics[0].line
        selection = Range(Position(line, 0), Position(line, 0))
    scope = scope_of(snapshot, selection)
    lines = snapshot.lines[scope.start : scope.end]
    if sum(map(len, lines)) > SELECTION_CHARS_MAX:
        raise HearthError(f"{place(scope, work.name)} is too much for any model.", "Select less.")
    if not "".join(lines).strip():
        raise HearthError("The selected lines are empty.", SELECT_REMEDY)
    return command, scope


def _with_diagnostics(command: Command, desk: Desk, snapshot: Snapshot) -> Command:
    """What the editor's tools say of the selected lines, else of the document."""
    said = [one for one in desk.diagnostics(command.uri) if one.severity in ("error", "warning")]
    if command.selection is not None:
        first, last = sorted((command.selection.start.line, command.selection.end.line))
        said = [one for one in said if first <= one.line <= last] or said
    if not said:
        raise HearthError(
            "There is nothing to fix: the editor's tools report no error or warning here.",
            "Use Hearth: Refactor with an instruction, or wait until the tools have looked at the file.",
        )
    nearest = sorted(said, key=lambda one: (one.severity != "error", one.line))[:1]
    return replace(command, diagnostics=tuple(nearest))


# What every question of a conversation is shown


async def based(talk: Conversation, work: Work, desk: Desk, context_tokens: int, ability: Ability) -> int:
    """Give a conversation its base (notes, code) and its targets; the tokens left for the turns."""
    flags: list[str] = []
    _aim(talk, work, ability)
    await _test_plan(talk, work, desk)
    _limit(talk, work, context_tokens)
    room = max(256, context_tokens - work.output_tokens)
    parts: list[Part] = []
    rules = gathered(work.folder, await desk.rules_files(work.folder, work.path), int(room * RULES_SHARE_MAX * 3))
    flags += rules.flags
    if rules.parts:
        parts += [Part(INTRODUCTION, system_for(talk.kind).origins), *rules.parts]
    if work.snapshot is not None and talk.scope is not None:
        scope = talk.scope if talk.edits else fitting(work.snapshot, talk.scope, room)
        if scope is not talk.scope:
            flags.append(f"{work.name} is long: the model has room for lines {scope.start + 1}-{scope.end} of it only.")
        code = code_parts(work.folder, work.path, work.snapshot, scope, room)
        hidden = cleaned(work.snapshot.text)[1]
        if hidden:
            flags.append(f"{warning(work.name, hidden)} They were shown to the model as they are.")
        parts += code
    parts += await _samples(talk, work, desk, flags)
    talk.base = tuple(parts)
    work.flags = flags
    return room


def _aim(talk: Conversation, work: Work, ability: Ability) -> None:
    """What an edit may change."""
    if not talk.edits or work.snapshot is None or talk.scope is None:
        return
    span = (talk.scope.start, talk.scope.end) if talk.scope.how != "file" else None
    path = work.path or f"untitled.{work.snapshot.language}"
    work.targets = (Target(path, work.snapshot.text, work.snapshot.language, span),)
    work.format = format_for(ability, work.targets)


async def _test_plan(talk: Conversation, work: Work, desk: Desk) -> None:
    if talk.kind != "test" or work.snapshot is None:
        return
    if not work.folder:
        raise HearthError(
            f"{work.name} is not in the workspace, so nobody knows where its tests go.", "Open its folder."
        )
    files = await desk.files(work.folder)
    manifests = await desk.manifests(work.folder, manifests_for(work.path))
    work.tests = plan(work.snapshot.language, work.path, files, manifests)
    if work.tests is None:
        raise HearthError(
            f"Hearth knows no test framework for {work.snapshot.language or 'this language'}.",
            "Use Hearth: Ask, and say what you test with.",
        )
    if work.tests.inside:
        work.targets = (replace(work.targets[0], span=None),)
    else:
        text = (await desk.snapshot(desk.uri(work.folder, work.tests.path))).text if work.tests.exists else None
        work.targets = (Target(work.tests.path, text, language_of(work.tests.path)),)


def _limit(talk: Conversation, work: Work, context_tokens: int) -> None:
    """How long the answer may be: long enough to write the targets anew."""
    work.output_tokens = OUTPUT_TOKENS_TALK
    if talk.edits:
        written = 0
        for target in work.targets:
            text = target.text or ""
            if target.span and work.format == "symbol":
                text = "".join(split_lines(text)[slice(*target.span)])
            written += tokens_about(text)
        if work.format in ("blocks", "diff"):
            written //= 2
        work.output_tokens = OUTPUT_TOKENS_EDIT_MIN + int(written * GROWTH)
    most = max(256, int(context_tokens * OUTPUT_SHARE_MAX))
    work.output_tokens = min(work.output_tokens, most, OUTPUT_TOKENS_MAX)


async def _samples(talk: Conversation, work: Work, desk: Desk, flags: list[str]) -> list[Part]:
    """Of other files what shows the project's manner."""
    parts: list[Part] = []
    if work.tests is None:
        return parts
    for path, there in ((work.tests.path, work.tests.exists and not work.tests.inside), (work.tests.neighbour, True)):
        if not path or not there:
            continue
        try:
            snapshot = await desk.snapshot(desk.uri(work.folder, path))
        except HearthError:
            continue
        parts.append(sample(path, snapshot.text, file_origin(work.folder, path), flags))
    return parts


async def _style(work: Work, desk: Desk) -> Style | None:
    if work.snapshot is None:
        return None
    others: list[str] = []
    if work.folder:
        files = [
            p for p in await desk.files(work.folder) if language_of(p) == work.snapshot.language and p != work.path
        ]
        near = sorted(files, key=lambda path: (path.rpartition("/")[0] != work.path.rpartition("/")[0], path))
        for path in near[:STYLE_SAMPLES_MAX]:
            try:
                others.append((await desk.snapshot(desk.uri(work.folder, path))).text)
            except HearthError:
                continue
    return style_of(work.snapshot.language, work.snapshot.text, others)


# A turn


async def asked(talk: Conversation, work: Work, desk: Desk, prompt: str, room: int, *, away: bool = False) -> None:
    """Add a turn with the user's words and what they mention. The first one is the command's own question."""
    first = not talk.turns
    left = room - tokens_in((system_for(talk.kind), Message("user", talk.base)))
    most, command = int(left * ATTACHMENTS_SHARE_MAX), talk.command
    found = await attach(prompt, desk, command.uri, command.selection, most, away=away)
    if first:
        style = await _style(work, desk) if talk.kind == "document" else None
        text = question(
            talk.command, talk.scope if talk.kind != "ask" else None, work.name, style=style, tests=work.tests
        )
        shown = asked_for(talk.command, talk.scope if talk.kind != "ask" else None, work.name)
    else:
        text = shown = prompt.strip()
    form = (
        [Part("\n\n" + instructions(work.format, work.targets), system_for(talk.kind).origins)] if work.targets else []
    )
    parts = (*found.parts, words(text), *form)
    used = used_by((*talk.base, *found.parts) if first else found.parts)
    talk.turns.append(Turn(shown, parts, used, (*(work.flags if first else ()), *found.flags)))


def _short(work: Work) -> str:
    return work.path.rpartition("/")[2] or "an unsaved document"
