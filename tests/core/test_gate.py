"""Where to stay silent, and what a suggestion covers: documents with the cursor marked."""

import pytest

from hearth.core.gate import Gate, gate
from hearth.core.text import Snapshot
from hearth.gather import spot_at


def decide(marked: str, language: str = "python", *, invoked: bool = False) -> Gate:
    before, after = marked.split("█")
    snapshot = Snapshot.of(before + after, language=language)
    spot = spot_at(snapshot, snapshot.position_at(len(before)))
    below = spot.below[0] if spot.below else ""
    return gate(spot.line_before, spot.line_after, spot.above_nonblank, below, language, invoked=invoked)


@pytest.mark.parametrize(
    "marked",
    ["def █", "x = foo(█)", "x = [█],", "print('█')", "if x█:", "f(a, █)  ", "f(█);", "x = {█}", "█", "foo(█) {"],
)
def test_it_goes_on(marked: str) -> None:
    assert decide(marked).silent == ""


@pytest.mark.parametrize("marked", ["na█me = 1", "x = █value", "█x = 1", "x = {}█", "f()█", "a = [];█", "f(█, b)"])
def test_it_stays_silent(marked: str) -> None:
    assert decide(marked).silent
    assert decide(marked, invoked=True).silent == ""


@pytest.mark.parametrize(
    ("language", "marked", "extent"),
    [
        ("python", "def f():\n    █\n", "block"),
        ("python", "def f():\n    █\n    return 1\n", "statement"),
        ("python", "def f():\n    █\n\ndef g():\n    pass\n", "block"),
        ("python", "def f(): return█\n", "statement"),
        ("python", "x = 1\n█\n", "statement"),
        ("javascript", "if (x) {\n  █\n}\n", "block"),
        ("javascript", "if (x) {\n  █\n  y();\n}\n", "statement"),
        ("go", "func f() {\n\t█\n}\n", "block"),
        ("ruby", "def f\n  █\nend\n", "block"),
    ],
)
def test_one_statement_or_a_whole_empty_block(language: str, marked: str, extent: str) -> None:
    assert decide(marked, language).extent == extent
