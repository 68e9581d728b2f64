"""What a change reaches, over small projects written out as tables."""

import pytest

from hearth.core.impact import (
    DEPTH_MAX,
    IMPORTERS_MAX,
    LINE_CHARS_MAX,
    Importer,
    Occurrence,
    Referrer,
    importers,
    occurrences,
    reached,
    referrers,
)

# Who imports

IMPORTS = {
    "app.py": ["pkg/__init__.py", "util.py"],
    "view.py": ["pkg/core.py"],
    "cli.py": ["app.py"],
    "pkg/__init__.py": ["pkg/core.py", "pkg/deep/__init__.py"],
    "pkg/deep/__init__.py": ["pkg/deep/low.py"],
    "pkg/core.py": ["util.py", "pkg/__init__.py"],
    "test_app.py": ["app.py", "pkg/core.py"],
}


@pytest.mark.parametrize(
    ("paths", "depth", "expected"),
    [
        (["util.py"], 1, [("app.py", 1), ("pkg/core.py", 1)]),
        (["util.py"], 2, [("app.py", 1), ("pkg/core.py", 1), ("cli.py", 2), ("pkg/__init__.py", 2), ("test_app.py", 2),
                          ("view.py", 2)]),
        (["pkg/core.py"], 99, [("pkg/__init__.py", 1), ("test_app.py", 1), ("view.py", 1), ("app.py", 2),
                               ("cli.py", 3)]),
        (["util.py", "app.py"], 1, [("cli.py", 1), ("pkg/core.py", 1), ("test_app.py", 1)]),
        (["cli.py"], 3, []),
        (["unknown.py"], 3, []),
        ([], 3, []),
        (["util.py"], 0, []),
    ],
)  # fmt: skip
def test_who_imports_a_file(paths: list[str], depth: int, expected: list[tuple[str, int]]) -> None:
    assert importers(IMPORTS, paths, depth) == [Importer(*one) for one in expected]


def test_importers_have_limits() -> None:
    chain = {f"f{n}.py": [f"f{n - 1}.py"] for n in range(1, 50)}
    assert importers(chain, ["f0.py"], 1_000)[-1].depth == DEPTH_MAX
    star = {f"f{n}.py": ["core.py"] for n in range(IMPORTERS_MAX + 50)}
    assert IMPORTERS_MAX - 1 <= len(importers(star, ["core.py"], 3)) <= IMPORTERS_MAX


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("app.py", {"pkg/__init__.py", "util.py", "pkg/core.py", "pkg/deep/__init__.py", "pkg/deep/low.py"}),
        ("view.py", {"pkg/core.py"}),
        ("cli.py", {"app.py"}),
        ("pkg/core.py", {"util.py", "pkg/__init__.py", "pkg/deep/__init__.py", "pkg/deep/low.py"}),
        ("none.py", set[str]()),
    ],
)
def test_packages_hand_on_what_they_import(path: str, expected: set[str]) -> None:
    assert reached(IMPORTS, path) == expected


# Who refers

USERS = [("app.py", 3), ("view.py", 1), ("cli.py", 9), ("pkg/core.py", 2), ("none.py", 9)]


def test_referrers_that_import_the_definition_come_first() -> None:
    assert referrers(USERS, ["pkg/core.py"], IMPORTS) == [
        Referrer("app.py", 3, True),
        Referrer("pkg/core.py", 2, True),
        Referrer("view.py", 1, True),
        Referrer("cli.py", 9, False),
        Referrer("none.py", 9, False),
    ]
    assert all(one.sure for one in referrers(USERS, [], IMPORTS))
    assert referrers([], ["pkg/core.py"], IMPORTS) == []


def test_files_of_one_folder_see_each_other_where_the_language_has_it_so() -> None:
    users = [("go/a/y.go", 1), ("go/b/z.go", 1), ("go/a/notes.py", 1)]
    assert [one.path for one in referrers(users, ["go/a/x.go"], {}) if one.sure] == ["go/a/y.go"]
    assert not any(one.sure for one in referrers([("a/y.py", 1)], ["a/x.py"], {}))


# Where exactly


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("area", "area = 1\n  x.area(areas)  # area\nsub_area\n", [(0, 0, "area = 1"), (1, 4, ...), (1, 19, ...)]),
        ("area", "", []),
        ("area", "no", []),
        ("", "any", []),
        ("x", "x", [(0, 0, "x")]),
        ("é", "né é\r\n  é", [(0, 3, "né é"), (1, 2, "é")]),
        ("$el", "$el $ele a$el", [(0, 0, "$el $ele a$el")]),
        ("a.b", "a.b axb", [(0, 0, "a.b axb")]),
        ("𝒙", "y = 𝒙", [(0, 4, "y = 𝒙")]),
    ],
)
def test_whole_words_are_found_with_their_lines(name: str, text: str, expected: list[tuple[int, int, object]]) -> None:
    found = occurrences(name, [("a.py", text)])
    assert [(one.line, one.column) for one in found] == [(line, column) for line, column, _ in expected]
    assert all(whole is ... or one.text == whole for one, (_, _, whole) in zip(found, expected, strict=True))


def test_occurrences_keep_to_their_limits_and_the_order_of_the_files() -> None:
    texts = [("b.py", "n\n" * 5), ("a.py", "n" * 5 + "\n" + "n " * 500)]
    assert occurrences("n", texts, 3) == [Occurrence("b.py", line, 0, "n") for line in range(3)]
    last = occurrences("n", texts, 7)[-1]
    assert (last.path, last.line, last.column, len(last.text)) == ("a.py", 1, 2, LINE_CHARS_MAX)
