"""Snippets, edits, diagnostics and imports: what is kept, what is left out, and that nothing is cut in the middle."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.context import (
    HUNK_LINES_MAX,
    IMPORTS_CHARS_MAX,
    RECENT_CHARS_MAX,
    SNIPPET_LINES_MAX,
    SNIPPETS_PER_ORIGIN_MAX,
    Diagnostic,
    Hunk,
    Snippet,
    commented,
    diagnostics_text,
    edits_text,
    fingerprint,
    fitted,
    hunks_between,
    imports_of,
    likeness,
    nearby,
    pieces,
    ranked,
    resembles,
    similarity,
)

REGION = """\
def load(path, strict):
    with open(path) as stream:
        raw = parse(stream.read())
    if strict:
        validate(raw)
    return raw
"""
OTHER = """\
class Invoice:
    def total(self):
        return sum(item.price for item in self.items)
"""


def snippet(text: str, path: str = "b.py", weight: float = 0.5) -> Snippet:
    return Snippet(path, text, f"file:///{path}", "open", weight)


# Similarity


def test_similarity_knows_equal_other_and_empty_text() -> None:
    assert similarity(REGION, REGION.replace("    ", "\t")) == 1.0
    assert similarity(REGION, OTHER) < 0.1
    assert similarity("", "") == 0.0
    assert likeness(fingerprint(REGION), fingerprint(REGION)) == 1.0
    assert likeness(fingerprint(REGION), fingerprint(OTHER)) < 0.3
    assert likeness(0, 0) == 0.0


def test_a_copy_is_found_inside_a_larger_region() -> None:
    region = OTHER * 3 + REGION + OTHER * 3
    assert resembles(REGION, region)
    assert resembles(REGION.replace("raw", "data"), region)
    assert not resembles("def save(target):\n    target.flush()\n    target.close()\n", region)


# Snippets


def test_ranking_leaves_out_what_resembles_the_cursor_or_another_snippet() -> None:
    found = ranked([snippet(OTHER), snippet(REGION, "copy.py", 1.0), snippet(OTHER, "c.py", 0.4)], REGION)
    assert [s.path for s in found] == ["b.py"]


def test_ranking_prefers_weight_and_shared_names_and_takes_few_of_one_file() -> None:
    texts = [
        f"def step_{word}(engine, {word}):\n    return engine.{word}.run()\n"
        for word in ("alpha", "beta", "gamma", "delta", "eps")
    ]
    many = [snippet(text, "b.py", 0.3) for text in texts]
    near = snippet("def validate(raw):\n    return schema.check(raw, strict=True)\n", "near.py", 0.3)
    best = snippet(OTHER, "best.py", 0.9)
    found = ranked([*many, near, best], REGION)
    assert [s.path for s in found[:2]] == ["best.py", "near.py"]
    assert sum(s.path == "b.py" for s in found) == SNIPPETS_PER_ORIGIN_MAX
    assert found == ranked([best, near, *reversed(many)], REGION)


def test_data_and_blank_text_are_no_snippets() -> None:
    assert (
        ranked([snippet("\n\n"), snippet("x = '" + "a" * 500 + "'\n"), snippet("}\n)\n"), snippet("a b c " * 900)], "")
        == ()
    )


def test_snippets_are_kept_or_dropped_whole() -> None:
    small, large = snippet("a" * 40), snippet("b" * 400)
    assert fitted([large, small], 100) == (small,)
    assert fitted([small, large], 1_000) == (small, large)
    assert fitted([small], 10) == ()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["", "def f():", "    x = 1", "}"]), max_size=150))
def test_pieces_cover_every_line_once(lines: list[str]) -> None:
    cut = pieces(lines)
    assert [n for start, end in cut for n in range(start, end)] == list(range(len(lines)))
    assert all(0 < end - start <= SNIPPET_LINES_MAX for start, end in cut)


def test_pieces_begin_where_a_reader_would_cut() -> None:
    lines = [line for n in range(4) for line in (f"def f{n}():", *["    x = 1"] * 13, "")]
    assert [start for start, _ in pieces(lines)] == [0, 15, 30, 45]


# Edits


def hunks(before: str, after: str) -> list[Hunk]:
    return hunks_between("a.py", "file:///a.py", before.splitlines(True), after.splitlines(True))


def test_edits_as_a_compact_difference() -> None:
    found = hunks("a\nb\nc\nd\ne\n", "a\nB\nc\nd\ne\nf\n")
    assert [(h.line, h.removed, h.added) for h in found] == [(1, ("b",), ("B",)), (5, (), ("f",))]
    assert edits_text(found) == "a.py\n-b\n+B\n+f"


def test_edits_of_white_space_and_rewrites_are_not_told() -> None:
    assert hunks("a\nb\n", "a\n  b\n") == []
    assert hunks("a\nb\n", "a\n\n\nb\n") == []
    assert hunks("".join(f"{n}\n" for n in range(HUNK_LINES_MAX)), "x\n") == []
    assert hunks("".join(f"{n}\n" for n in range(900)), "".join(f"x{n}\n" for n in range(900))) == []
    assert hunks("a\n", f"a\n{'x' * 1_000}\n") == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("abcd"), max_size=8))
def test_edits_lead_from_one_text_to_the_other(before: list[str], after: list[str]) -> None:
    text = list(before)
    for hunk in hunks_between("a", "u", before, after):
        assert tuple(text[hunk.line : hunk.line + len(hunk.removed)]) == hunk.removed
        text[hunk.line : hunk.line + len(hunk.removed)] = hunk.added
    assert text == after


def test_the_newest_edits_are_kept_whole_within_the_limit() -> None:
    many = [Hunk("a.py", "u", n, (), (f"line {n} " + "x" * 200,)) for n in range(20)]
    text = edits_text(many)
    assert len(text) <= RECENT_CHARS_MAX
    assert text.endswith("line 19 " + "x" * 200)
    assert text.startswith("a.py\n+line 1")
    assert edits_text([]) == ""


# Diagnostics


def test_diagnostics_nearby_errors_first() -> None:
    found = nearby(
        [
            Diagnostic(90, "error", "far"),
            Diagnostic(12, "warning", "near\n  warning"),
            Diagnostic(5, "error", "error"),
            Diagnostic(10, "hint", "hint"),
        ],
        10,
    )
    assert diagnostics_text(found) == "error: error\nwarning: near warning"


# Imports


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "python",
            '"""Doc."""\nimport os\nfrom a import (\n    b,\n    c,\n)\n\nx = 1\n    import no\n',
            ["import os", "from a import (", "    b,", "    c,", ")"],
        ),
        ("python", "from a import \\\n    b\nfrom_x = 1\n", ["from a import \\", "    b"]),
        (
            "typescript",
            'import {\n  a,\n} from "x";\nconst f = require("g");\nconst h = 1;\n',
            ["import {", "  a,", '} from "x";', 'const f = require("g");'],
        ),
        ("go", 'package main\n\nimport (\n\t"fmt"\n)\nfunc f() {}\n', ["package main", "import (", '\t"fmt"', ")"]),
        ("rust", "use std::{\n    io,\n};\nmod a;\nfn main() {}\n", ["use std::{", "    io,", "};", "mod a;"]),
        ("cpp", "#pragma once\n#include <a>\nusing namespace b;\nint x;\n", ["#include <a>", "using namespace b;"]),
        ("java", "package a;\nimport b.C;\nclass D {}\n", ["package a;", "import b.C;"]),
        ("unheard-of", "import a\nlet b = 1\n", ["import a"]),
    ],
)
def test_imports(language: str, text: str, expected: list[str]) -> None:
    found = imports_of(text.splitlines(True), language)
    assert [line for _, line in found] == expected
    assert all(text.splitlines()[number].rstrip() == line for number, line in found)


def test_imports_are_bounded_and_never_half_a_statement() -> None:
    many = [f"import module_number_{n}\n" for n in range(400)]
    assert sum(len(line) + 1 for _, line in imports_of(many, "python")) <= IMPORTS_CHARS_MAX
    assert imports_of(["import (\n", *["a,\n"] * 500], "python") == ()
    assert imports_of(["from a import (b,\n", "c"], "python") == ()


# Comments


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("python", "# a\n#\n# b"),
        ("typescript", "// a\n//\n// b"),
        ("css", "/* a */\n\n/* b */"),
        ("html", "<!-- a -->\n\n<!-- b -->"),
        ("json", ""),
        ("plaintext", ""),
    ],
)
def test_comments(language: str, expected: str) -> None:
    assert commented("a\n\nb", language) == expected


def test_a_comment_cannot_be_ended_by_what_it_holds() -> None:
    assert commented("x */ y", "css").count("*/") == 1
    assert commented("x --> y", "html").count("-->") == 1
    assert commented("", "python") == ""
