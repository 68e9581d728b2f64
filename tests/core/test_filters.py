"""What is shown of what models say: the cases of tests/data/filters, each as one text and in pieces."""

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
