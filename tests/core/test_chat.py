import pytest

from hearth.core.chat import scope_of
from hearth.core.chat_fix import verify
from hearth.core.chat_offers import offered, offers
from hearth.core.context import Diagnostic
from hearth.core.text import Position, Range, Snapshot

PYTHON = """\
import os


class Circle:
    def area(self, scale):
        out = []
        for one in self.parts:
            if one:
                if one.ok:
                    out.append(one)
        return out

    def name(self) -> str:
        return "%s" % self.id


X = 1
"""


def at(line: int, character: int = 0) -> Range:
    return Range(Position(line, character), Position(line, character))


def lines(start: int, end: int) -> Range:
    return Range(Position(start, 0), Position(end, 0))


def python(text: str = PYTHON) -> Snapshot:
    return Snapshot.of(text, uri="file:///ws/a.py", language="python")


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (at(7, 3), (4, 11, "Circle.area", "symbol")),
        (at(3, 2), (3, 14, "Circle", "symbol")),
        (at(16), (0, 17, "", "file")),
        (None, (0, 17, "", "file")),
        (lines(6, 9), (6, 9, "Circle.area", "selection")),
        (Range(Position(8, 4), Position(6, 2)), (6, 9, "Circle.area", "selection")),
        (Range(Position(0, 0), Position(0, 3)), (0, 1, "", "selection")),
        (at(999), (0, 17, "", "file")),
    ],
)
def test_the_scope(where: Range | None, expected: tuple[int, int, str, str]):
    scope = scope_of(python(), where)
    assert (scope.start, scope.end, scope.symbol, scope.how) == expected


def test_the_scope_without_grammar_or_text():
    assert scope_of(Snapshot.of("a\nb", language="plaintext"), at(0)).how == "file"
    assert scope_of(Snapshot.of("", language="python"), None).end == 1


def ids(snapshot: Snapshot, where: Range) -> list[str]:
    return [one.id for one in offers(snapshot, where)]


def test_offers_fit_the_place():
    assert ids(python(), at(7)) == ["early-return", "simplify", "comprehension", "types"]
    assert ids(python(), at(13)) == ["fstring"]
    assert ids(python(), lines(6, 10)) == ["extract", "simplify", "comprehension"]
    assert ids(python(), at(16)) == []
    assert ids(python(""), at(0)) == []


@pytest.mark.parametrize(
    ("language", "text", "line", "expected"),
    [
        ("typescript", "function f(a, b: string) {\n  p.then(x => x)\n}\n", 1, ["types", "async-await"]),
        ("javascript", "function f(all) {\n  for (const i of all) {\n    out.push(it)\n  }\n}\n", 1, ["array-methods"]),
        (
            "javascript",
            "function f(kind) {\n  if (kind === 1) {\n  } else if (kind === 2) {\n  } else if (kind === 3) {\n  }\n}\n",
            1, ["simplify", "match"],
        ),
        ("go", "package x\n\nfunc F(aa, bb, cc, dd, ee int) int {\n\treturn aa\n}\n", 3, []),
        ("python", "def f(aa: int, bb: int, cc: int, dd: int, ee: int):\n    return aa\n", 1, ["parameters"]),
        ("python", "def f():\n" + "    go()\n" * 45, 3, ["split"]),
        ("plaintext", "if x then y", 0, []),
        ("python", "def f(:\n  if ((\n", 1, []),
    ],
)  # fmt: skip
def test_offers_of_languages(language: str, text: str, line: int, expected: list[str]):
    found = ids(Snapshot.of(text, language=language), at(line))
    assert [one for one in found if one != "names"] == expected


def test_every_offer_can_be_taken():
    for one in offers(python(), at(7)):
        assert offered(one.id) is one
    assert offered("nothing") is None


def error(line: int, message: str) -> Diagnostic:
    return Diagnostic(line, "error", message)


@pytest.mark.parametrize(
    ("before", "after", "left", "new", "worse"),
    [
        (["a"], [], 0, 0, False),
        (["a", "b"], ["b"], 0, 0, False),
        (["a"], ["a"], 1, 0, True),
        (["a", "a"], ["a"], 0, 0, False),
        (["a"], ["b"], 0, 1, True),
        (["a", "b"], ["b", "b"], 0, 1, True),
    ],
)
def test_whether_a_fix_worked(before: list[str], after: list[str], left: int, new: int, worse: bool):
    verdict = verify(
        [error(0, "a")],
        [error(n, text) for n, text in enumerate(before)],
        [error(n + 9, text) for n, text in enumerate(after)],
    )
    assert (len(verdict.left), len(verdict.new), verdict.worse) == (left, new, worse)
    assert verdict.gone == (left == 0)


def test_a_new_hint_is_not_worse():
    verdict = verify([error(0, "a")], [error(0, "a")], [Diagnostic(0, "hint", "could be shorter")])
    assert verdict.gone
    assert not verdict.worse
