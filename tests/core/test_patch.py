"""The patch engine on cases in files (tests/data/patch, see README there): an answer, and what becomes of the files."""

from pathlib import Path
from typing import NamedTuple, cast

import pytest

from hearth.core.patch import (
    FILES_MAX,
    Format,
    Patch,
    Refusal,
    Target,
    format_for,
    instructions,
    read,
)

FOLDER = Path(__file__).resolve().parents[1] / "data" / "patch"
CASES_MIN = 250
MARK = "▶ "


class Case(NamedTuple):
    id: str
    format: Format
    create: bool
    delete: bool
    targets: tuple[Target, ...]
    answer: str
    gives: dict[str, str | None]
    refused: str
    says: tuple[str, ...]
    done: bool
    instruction: str | None
    notes: tuple[str, ...]


def real(text: str, options: list[str]) -> str:
    """Text of a case file as it is meant: ␍ a carriage return, ␣ a blank that trails."""
    text = text.replace("␍", "\r").replace("␣", " ")
    if "crlf" in options:
        text = text.replace("\n", "\r\n")
    if "open" in options:
        text = text.removesuffix("\n").removesuffix("\r")
    return ("\ufeff" if "bom" in options else "") + text


def cases() -> list[Case]:
    found: list[Case] = []
    for path in sorted(FOLDER.glob("*.txt")):
        for block in path.read_text("utf-8").split(f"\n{MARK}case ")[1:]:
            found.append(parsed(path.stem, block))
    return found


def parsed(group: str, block: str) -> Case:
    head, *parts = block.split(f"\n{MARK}")
    name, _, flags = head.partition("\n")[0].rpartition(":")
    format, *more = flags.split()
    targets: list[Target] = []
    gives: dict[str, str | None] = {}
    answer, refused, says, done = "", "", (), False
    instruction: str | None = None
    notes: tuple[str, ...] = ()
    for part in parts:
        line, _, body = part.partition("\n")
        kind, *words = line.split()
        # A body ends where its last line does; the blank line before the next mark is not part of it.
        body = body[:-1] if body.endswith("\n\n") else body + ("" if body.endswith("\n") or not body else "\n")
        if kind == "file":
            span = next((word for word in words[1:] if word[0].isdigit()), "")
            first, _, last = span.partition("-")
            where = (int(first) - 1, int(last)) if span else None
            text = None if "new" in words else real(body, words)
            language = next((word[5:] for word in words if word.startswith("lang=")), "")
            targets.append(Target(words[0], text, language, where))
        elif kind == "answer":
            answer = real(body, words)
        elif kind == "gives":
            gives[words[0]] = None if "nothing" in words else real(body, words)
        elif kind == "refused":
            refused, says = words[0], tuple(line for line in body.split("\n") if line)
        elif kind == "asked":
            instruction = body.strip()
        elif kind == "notes":
            notes = tuple(line for line in body.split("\n") if line)
        elif kind == "done":
            done = True
        else:
            raise ValueError(f"{group}: {line}")
    return Case(
        f"{group}: {name.strip()}", cast(Format, format), "create" in more, "delete" in more, tuple(targets), answer,
        gives, refused, says, done, instruction, notes,
    )  # fmt: skip


ALL = cases()


@pytest.mark.parametrize("case", ALL, ids=[case.id for case in ALL])
def test_case(case: Case) -> None:
    outcome = read(
        case.answer, case.format, case.targets, may_create=case.create, may_delete=case.delete,
        instruction=case.instruction,
    )  # fmt: skip
    if case.refused:
        assert isinstance(outcome, Refusal), outcome
        assert outcome.code == case.refused, outcome
        for said in case.says:
            assert said in outcome.feedback, outcome.feedback
        assert outcome.message
        return
    assert isinstance(outcome, Patch), outcome
    for note in case.notes:
        assert note in " ".join(outcome.notes)
    got = {edit.path: edit.after for edit in outcome.edits}
    if case.done:
        assert got == {}
        assert outcome.notes
        return
    assert got == case.gives
    before = {target.path: target.text for target in case.targets}
    for edit in outcome.edits:
        assert edit.before == before.get(edit.path)


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    assert len(ALL) >= CASES_MIN
    assert len({case.id for case in ALL}) == len(ALL)
    for case in ALL:
        assert bool(case.gives) + bool(case.refused) + case.done == 1, case.id


def test_every_reason_to_refuse_has_a_case() -> None:
    small = {case.refused for case in ALL if case.refused}
    assert small >= {
        "nothing", "prose", "unfinished", "format", "several", "language", "elision", "no_match", "ambiguous",
        "conflict", "partial", "syntax", "path", "not_allowed", "placeholder",
    }  # fmt: skip
    many = [Target(f"{n}.py", "") for n in range(FILES_MAX + 1)]
    outcome = read("x", "file", many)
    assert isinstance(outcome, Refusal)
    assert outcome.code == "too_large"


@pytest.mark.parametrize(
    ("ability", "targets", "format"),
    [
        ("able", [Target("a.py", "x = 1\n")], "blocks"),
        ("able", [Target("a.py", None)], "file"),
        ("small", [Target("a.py", "x = 1\n", span=(0, 1))], "symbol"),
        ("unknown", [Target("a.py", "x = 1\n")], "file"),
        ("unknown", [Target("a.py", "x = 1\n" * 10_000)], "blocks"),
        ("small", [Target("a.py", "x = 1\n", span=(0, 1)), Target("b.py", "")], "file"),
    ],
)
def test_the_form_depends_on_the_model_and_the_files(ability: str, targets: list[Target], format: str) -> None:
    assert format_for(ability, targets) == format  # type: ignore[arg-type]


@pytest.mark.parametrize("format", ["file", "blocks", "diff"])
def test_the_example_that_a_model_is_given_can_be_read(format: Format) -> None:
    """A model that copies the example's form exactly has answered in the right form."""
    text = "context\nline as it is\nlines as they are now\ncontext\n"
    target = Target("notes/a.txt", text)
    told = instructions(format, [target])
    example = told.partition("\n\n")[2]
    if format == "blocks":
        example = example.partition("\n\nThe path")[0]
    outcome = read(example, format, [target])
    if format == "diff":
        # The example's lines are not in the file: it is read as a diff, and found not to fit.
        assert isinstance(outcome, Refusal)
        assert outcome.code == "no_match"
    else:
        assert isinstance(outcome, Patch), outcome
        assert outcome.paths == ("notes/a.txt",)
