"""What is shown of what models say: the cases of tests/data/filters, each as one text and in pieces."""

import random
from dataclasses import replace

import pytest

from filter_cases import Case, load, shown

CASES = load()
LANGUAGES = (
    "bash c cpp csharp css dart go html java javascript json php python ruby rust typescript typescriptreact yaml"
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_the_user_sees(case: Case) -> None:
    text, decided_by = shown(case)
    assert text == case.shows
    if by := case.given.get("by"):
        assert decided_by == by
    for pieces in (1, 3, 7):
        assert shown(case, pieces) == (text, decided_by)


def test_every_language_has_its_cases() -> None:
    count = {language: sum(case.language == language for case in CASES) for language in {c.language for c in CASES}}
    assert len(CASES) >= 300
    for language in LANGUAGES.replace("bash", "shellscript").split():
        assert count.get(language, 0) >= 10, language


def test_no_case_is_there_twice() -> None:
    assert len({(case.language, case.at, case.says, str(case.given)) for case in CASES}) == len(CASES)


def test_damaged_cases_give_the_same_however_they_are_cut() -> None:
    """Half-written documents and broken model texts: nothing raises, and the pieces do not matter."""
    rng = random.Random(11)
    for _ in range(600):
        case = rng.choice(CASES)
        before, after = (_damaged(part, rng).replace("█", "") for part in case.at.split("█"))
        says = _damaged(rng.choice((case.says, rng.choice(CASES).says)), rng)
        damaged = replace(case, at=f"{before}█{after}", says=says, given={"invoked": True})
        assert len({shown(damaged, pieces) for pieces in (0, 1, 4)}) == 1, damaged


def _damaged(text: str, rng: random.Random) -> str:
    chars = list(text)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(chars) + 1)
        chars[at : at + rng.randrange(2)] = rng.choice(["", *"(){}[]'\"`#/*\n\t ;:,<>|\\"])
    return "".join(chars)
