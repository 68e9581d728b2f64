"""The last look before a suggestion is shown."""

import pytest

from hearth.core.candidate import Candidate, Site
from hearth.core.check import CUTS_MAX, HALF_PARSED, UNFINISHED, Verdict, checked
from hearth.core.syntax import window_at
from hearth.core.text import Snapshot
from hearth.gather import spot_at


def judge(marked: str, text: str, language: str = "python", *, known: frozenset[str] = frozenset()) -> Verdict:
    before, after = marked.split("█")
    snapshot = Snapshot.of(before + after, language=language)
    spot = spot_at(snapshot, snapshot.position_at(len(before)))
    site = Site(language, spot.line_before, spot.line_after, spot.above, spot.below, "block")
    return checked(site, Candidate(text, "the model ended with stop"), window_at(snapshot, spot.position), known)


def test_what_parses_is_shown() -> None:
    verdict = judge("def f(a):\n    b = █\n    return b\n", "a + 1")
    assert (verdict.ok, verdict.text, verdict.confidence, verdict.reason) == (True, "a + 1", 1.0, "")


def test_what_adds_a_parse_error_is_dropped() -> None:
    verdict = judge("def f(a):\n    b = █\n    return b\n", "a + * 1")
    assert (verdict.ok, verdict.text, verdict.confidence) == (False, "", 0.0)
    assert "parse" in verdict.reason


def test_it_is_cut_back_to_the_lines_that_parse() -> None:
    verdict = judge("def f(a):\n    █\n", "b = a\n    c = b\n    return b b")
    assert (verdict.ok, verdict.text, verdict.confidence) == (True, "b = a\n    c = b", UNFINISHED)


def test_only_so_many_shorter_forms_are_tried() -> None:
    bad = "\n    ".join(["b = a", *["c c c"] * (CUTS_MAX + 2)])
    assert not judge("def f(a):\n    █\n", bad).ok


def test_what_is_merely_unfinished_is_shown_with_less_confidence() -> None:
    verdict = judge("import os\n█\n", "os.walk(os.path.join(os.sep", known=frozenset({"walk"}))
    assert (verdict.ok, verdict.text) == (True, "os.walk(os.path.join(os.sep")
    assert 0 < verdict.confidence <= UNFINISHED


def test_an_error_elsewhere_is_not_held_against_it() -> None:
    assert judge("def broken(:\n    pass\n\n\ndef f(a):\n    b = █\n    return b\n", "a + 1").ok


def test_code_too_broken_to_judge_lowers_the_confidence_only() -> None:
    broken = "\n".join(["def ) (", "x = = 1", "if : y ]", "class 1 2:"] * 3)
    verdict = judge(f"{broken}\nx = █\n{broken}\n", "x")
    assert verdict.ok
    assert verdict.confidence <= HALF_PARSED


def test_unknown_names_lower_the_confidence() -> None:
    known = judge("def f(alpha, beta):\n    return █\n", "alpha + beta")
    unknown = judge("def f(alpha, beta):\n    return █\n", "gamma + delta")
    told = judge("def f(alpha, beta):\n    return █\n", "gamma + delta", known=frozenset({"gamma", "delta"}))
    assert known.confidence == told.confidence == 1.0
    assert unknown.ok
    assert unknown.confidence < 0.5
    assert "names" in unknown.reason


def test_members_weigh_less_than_names() -> None:
    member = judge("def f(alpha):\n    return █\n", "alpha.something")
    name = judge("def f(alpha):\n    return █\n", "alpha + something")
    assert name.confidence < member.confidence < 1.0


@pytest.mark.parametrize(
    "text",
    [
        "total = 0\n    total += a\n    return total",
        "for item in a:\n        yield item",
        "with open(a) as stream:\n        return stream",
    ],
)
def test_names_that_it_introduces_are_known(text: str) -> None:
    assert judge("def f(a):\n    █\n", text).confidence == 1.0


@pytest.mark.parametrize(
    ("language", "marked", "text"),
    [
        ("python", "# █\nx = 1\n", "anything may be said here"),
        ("python", "x = '█'\n", "whatever you like"),
        ("html", "<p>█</p>\n", "Some words"),
        ("yaml", "a: █\n", "some words"),
        ("plaintext", "Dear █\n", "unheard of words"),
    ],
)
def test_words_are_no_names(language: str, marked: str, text: str) -> None:
    assert judge(marked, text, language).confidence == 1.0


def test_an_empty_candidate_keeps_its_reason() -> None:
    site = Site("python", "x = ")
    assert (
        checked(site, Candidate("", "it would repeat the line above"), None).reason == "it would repeat the line above"
    )
