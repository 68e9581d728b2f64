"""What checks print, as their tools print it, and what is said of it."""

import json

import pytest

from hearth.core.task_checks import detected
from hearth.core.task_outputs import Ran, judged

PYTEST = """\
..F                                                                      [100%]
=================================== FAILURES ===================================
__________________________________ test_empty __________________________________
tests/test_shop.py:10: in test_empty
    assert total([]) == 0
shop.py:2: in total
    return items[0]
E   IndexError: list index out of range
=========================== short test summary info ============================
FAILED tests/test_shop.py::test_empty - IndexError: list index out of range
1 failed, 2 passed in 0.02s
"""
COLLECTING = """\
==================================== ERRORS ====================================
_____________________ ERROR collecting tests/test_shop.py ______________________
ImportError while importing test module '/copy/tests/test_shop.py'.
E   ImportError: cannot import name 'total' from 'shop'
=========================== short test summary info ============================
ERROR tests/test_shop.py
1 error in 0.05s
"""
UNITTEST = """\
F.
======================================================================
FAIL: test_total (tests.test_shop.TotalTest.test_total)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/copy/tests/test_shop.py", line 6, in test_total
    self.assertEqual(total([1]), 1)
AssertionError: 2 != 1

----------------------------------------------------------------------
Ran 2 tests in 0.001s

FAILED (failures=1)
"""
TAP = """\
TAP version 13
not ok 1 - the average
  ---
  error: 'sum is not defined'
  stack: |-
    average (file:///copy/src/average.js:3:10)
  ...
ok 2 - the rest
# tests 2
# pass 1
# fail 1
"""
JEST = """\
FAIL src/cart.test.ts
  ● adds

Tests:       1 failed, 3 passed, 4 total
"""
GO = """\
--- FAIL: TestTotal (0.00s)
    shop_test.go:8: got 2, want 1
FAIL
FAIL\texample.org/shop\t0.002s
"""
GO_BUILD = "# example.org/shop\n./shop.go:4:2: undefined: total\nFAIL\texample.org/shop [build failed]\n"
CARGO = """\
running 2 tests
test tests::total ... FAILED
test tests::empty ... ok

---- tests::total stdout ----
test result: FAILED. 1 passed; 1 failed; 0 ignored
"""
MAVEN = (
    "[ERROR]   ShopTest.total:12 expected: <1> but was: <2>\n[ERROR] Tests run: 3, Failures: 1, Errors: 0, Skipped: 0\n"
)

PY, NODE = ("/usr/bin/python3", "-m", "pytest"), ("/usr/bin/node", "--test")
UNIT = ("/usr/bin/python3", "-m", "unittest", "discover")


@pytest.mark.parametrize(
    ("argv", "output", "counts", "failures"),
    [
        (PY, PYTEST, (2, 1), [("tests/test_shop.py", "test_empty: at shop.py:2: IndexError: list index out of range")]),
        (
            PY, COLLECTING, (0, 1),
            [("tests/test_shop.py", "it cannot be imported: ImportError: cannot import name 'total' from 'shop'")],
        ),
        (UNIT, UNITTEST, (1, 1), [("", "tests.test_shop.TotalTest.test_total: AssertionError: 2 != 1")]),
        (NODE, TAP, (1, 1), [("", "the average: at src/average.js:3: sum is not defined")]),
        (("/x/jest",), JEST, (3, 1), [("src/cart.test.ts", "it failed")]),
        (("/usr/bin/go", "test"), GO, (None, 1), [("", "TestTotal: shop_test.go:8: got 2, want 1")]),
        (("/usr/bin/go", "test"), GO_BUILD, (None, 1), [("shop.go", "undefined: total")]),
        (("/usr/bin/cargo", "test"), CARGO, (1, 1), [("", "tests::total")]),
        (("/usr/bin/mvn", "test"), MAVEN, (2, 1), [("", "ShopTest.total:12 expected: <1> but was: <2>")]),
        (("/usr/bin/make", "test"), "boom\n", (None, 1), [("", "make failed: boom")]),
    ],
)  # fmt: skip
def test_failures_are_read(argv: tuple[str, ...], output: str, counts: object, failures: object):
    status, _, passed, failed, found = judged("tests", argv, "", Ran(1, output, root="/copy"))
    assert status == "failed"
    assert (passed, failed) == counts
    assert [(one.path, one.text) for one in found] == failures


@pytest.mark.parametrize(
    ("kind", "output", "failures"),
    [
        ("lint", "a.py:3:5: F821 Undefined name `x`\nFound 1 error.\n", [("a.py", 2, "F821 Undefined name `x`")]),
        ("types", "a.py:3: error: Incompatible  [x]\na.py:4: note: see\n", [("a.py", 2, "error: Incompatible [x]")]),
        ("types", "  /copy/a.py:3:5 - error: Bad (r)\n1 error\n", [("a.py", 2, "error: Bad (r)")]),
        ("types", "src/a.ts(3,5): error TS2304: Cannot find\n", [("src/a.ts", 2, "error TS2304: Cannot find")]),
        (
            "lint", "\n/copy/src/a.js\n  3:5  error  'x' is not defined  no-undef\n  4:1  warning  w  r\n",
            [("src/a.js", 2, "'x' is not defined")],
        ),
    ],
)  # fmt: skip
def test_places_are_read(kind: str, output: str, failures: object):
    _, _, _, _, found = judged(kind, ("/x/tool",), "", Ran(1, output, root="/copy"))
    assert [(one.path, one.line, one.text) for one in found] == failures


@pytest.mark.parametrize(
    ("argv", "ran"),
    [
        (PY, Ran(5, "no tests ran in 0.01s\n")),
        (PY, Ran(1, "/usr/bin/python3: No module named pytest\n")),
        (PY, Ran(None, "", "it took longer than 300 s")),
        (UNIT, Ran(0, "Ran 0 tests in 0.000s\n\nOK\n")),
        (NODE, Ran(0, "# tests 0\n# pass 0\n# fail 0\n")),
        (("/x",), Ran(127, "/x: No such file or directory\n")),
        (("/usr/bin/mvn",), Ran(1, "[ERROR] Could not resolve dependencies for project\n")),
    ],
)
def test_what_did_not_run_is_never_passed(argv: tuple[str, ...], ran: Ran):
    assert judged("tests", argv, "", ran)[0] == "not verified"


def test_what_passes_says_how_much():
    assert judged("tests", PY, "", Ran(0, "...\n3 passed in 0.01s\n"))[:4] == ("passed", "3 passed", 3, 0)
    assert judged("lint", ("/x/ruff",), "", Ran(0, "All checks passed!\n"))[:2] == ("passed", "All checks passed!")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"a.py": "", "tests/test_a.py": "def test_a(): ..."}, ["python -m pytest"]),
        ({"a.py": "", "tests/test_a.py": "import unittest"}, ["python -m unittest"]),
        ({"a.py": "", "pyproject.toml": "[tool.ruff]\n[tool.mypy]"}, ["ruff check --no-cache", "python -m mypy"]),
        ({"a.py": "", "pyrightconfig.json": "{}"}, ["pyright"]),
        ({"tsconfig.json": "{}", "a.ts": ""}, ["tsc --noEmit --pretty"]),
        ({"package.json": json.dumps({"scripts": {"test": "vitest run"}})}, ["vitest run"]),
        ({"package.json": json.dumps({"scripts": {"test": 'echo "Error: no test specified" && exit 1'}})}, []),
        ({"web/package.json": json.dumps({"scripts": {"lint": "eslint ."}})}, ["eslint ."]),
        ({"go.mod": "", "a.go": ""}, ["go test ./...", "go vet ./..."]),
        ({"Cargo.toml": ""}, ["cargo test --offline"]),
        ({"pom.xml": ""}, ["mvn -q -o"]),
        ({"build.gradle": ""}, ["gradle --offline --console=plain"]),
        ({"Makefile": "test:\n\tx\n\nCHECK := 1\n"}, ["make test"]),
        ({"README.md": "pytest"}, []),
    ],
)
def test_checks_are_detected(files: dict[str, str], found: list[str]):
    wanted = detected(files, lambda path: files.get(path, "")).wanted
    assert [" ".join((one.program, *one.arguments[:2])) for one in wanted] == found
