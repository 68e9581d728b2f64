"""What is proved of a change, what is asked about, and how often."""

from dataclasses import replace

from hearth.core.task import begin
from hearth.core.task_page import certificate, page
from hearth.core.task_parts import Command
from hearth.core.task_proof import NO_TEST_RUN, TESTS_FAIL, TESTS_UNKNOWN, asking, summary, unproved, waits
from hearth.core.task_state import Check, Finding, Start

NAME = Finding("name", "a.py", "`totl` is used here and defined nowhere: is `total` meant?", 3)
LINES = Finding("uncovered", "a.py", "no test ran lines 5-6: x = 1", 4)
FAILED = Finding("test", "tests/test_a.py", "test_a: no")
STATE = replace(begin(Start("id", "goal", "/ws", "abc123")), changes={"a.py": "x = 1\n"}, bases={"a.py": ""})
PASSED = Check(Command("tests", ("/usr/bin/python3",), "", ""), "passed", "1 passed")


def test_what_a_model_may_judge_is_asked_about_once_or_twice():
    once = asking(STATE, (NAME, LINES, FAILED))
    assert [waits(STATE, one) for one in (NAME, LINES, FAILED)] == [True, True, True]
    assert [waits(once, one) for one in (NAME, LINES, FAILED)] == [True, False, True]
    assert not waits(once, replace(LINES, text="no test ran line 9: y = 2", line=8))
    assert [waits(asking(once, (NAME,)), one) for one in (NAME, FAILED)] == [False, True]
    waived = replace(once, waived={"a.py": "it is right"})
    assert [waits(waived, one) for one in (NAME, FAILED)] == [False, True]


def test_what_stays_of_it_is_said():
    assert unproved(STATE) == [NO_TEST_RUN]
    assert unproved(replace(STATE, checks=(PASSED,))) == []
    assert unproved(replace(STATE, checks=(replace(PASSED, status="not verified"),))) == [NO_TEST_RUN]
    assert unproved(replace(STATE, changes={"README.md": "words\n"})) == []
    left = replace(STATE, checks=(PASSED,), findings=(NAME, LINES), unknown=("nobody knows",), waived={"a.py": "so"})
    assert unproved(left) == [
        "a.py:4: `totl` is used here and defined nowhere: is `total` meant? (waived: so)",
        "a.py: no test ran lines 5-6: x = 1 (waived: so)",
        "nobody knows",
    ]
    assert summary(left) == (
        "no test ran all that changed in a.py; 1 name hangs in the air; of 1 file it is not known what tests ran"
    )
    assert summary(replace(STATE, checks=(PASSED,))) == ""
    ended = replace(left, stage="end", ending="unverified", stop="a.py: no test ran lines 5-6")
    assert certificate(ended)["not_verified"] == unproved(left)
    assert "**Done, not all of it verified: a.py: no test ran lines 5-6.**" in page(ended)


def test_definitions_that_are_gone_are_asked_about_once_and_then_said():
    gone = Finding("gone", "a.py", "`total` is defined nowhere any more, and nobody said that it is to go")
    assert waits(STATE, gone)
    assert not waits(asking(STATE, (gone,)), gone)
    left = replace(STATE, checks=(PASSED,), findings=(gone,))
    assert unproved(left) == [f"a.py: {gone.text}"]
    assert summary(left) == "1 definition is gone, and nobody said so"


def test_tests_that_still_fail_prove_nothing():
    failed, not_run = replace(PASSED, status="failed"), replace(PASSED, status="not verified")
    assert unproved(replace(STATE, checks=(PASSED, failed))) == [TESTS_FAIL]
    assert summary(replace(STATE, checks=(failed,))) == TESTS_FAIL
    assert summary(replace(STATE, checks=(PASSED, not_run))) == TESTS_UNKNOWN
    assert unproved(replace(STATE, checks=(failed,), changes={"README.md": "words\n"})) == []
