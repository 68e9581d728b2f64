import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.mentions import KINDS, MENTIONS_MAX, complete, parse, partial, quoted, unfinished


def found(text: str) -> list[tuple[str, str] | tuple[str, str, tuple[int, int]]]:
    return [(m.kind, m.argument, m.lines) if m.lines else (m.kind, m.argument) for m in parse(text).mentions]


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("what does @file:src/a.py do?", [("file", "src/a.py")]),
        ("see @file:src/a.py, @file:b.py.", [("file", "src/a.py"), ("file", "b.py")]),
        ("@file:\"my notes.md\" and @folder:'a b/c'", [("file", "my notes.md"), ("folder", "a b/c")]),
        (r"@file:my\ notes.md!", [("file", "my notes.md")]),
        ("(@file:a.py)", [("file", "a.py")]),
        ("@file:foo(1).py", [("file", "foo(1).py")]),
        ("@file:app/[id]/page.tsx?", [("file", "app/[id]/page.tsx")]),
        (r"@file:src\win.py", [("file", r"src\win.py")]),
        ("@file:a.py#L3-L9", [("file", "a.py", (2, 9))]),
        ("@file:a.py:12.", [("file", "a.py", (11, 12))]),
        ('@file:"a b.py"#L4 x', [("file", "a b.py", (3, 4))]),
        ("@symbol:Circle.area?", [("symbol", "Circle.area")]),
        (
            "@codebase where is it? @git, @selection: @web",
            [("codebase", ""), ("git", ""), ("selection", ""), ("web", "")],
        ),
        ("@Diagnostics", [("diagnostics", "")]),
        ("@git @git @file:a @file:a", [("git", ""), ("file", "a")]),
        ("mail me@file.example or a@git", []),
        ("`@file:x` is written so, ```\n@git\n```", []),
        ("@dataclass and @property, @angular/core, @alice", []),
        ("@web.route('/') is flask, @git/config a path", []),
        ("café@codebase @codebase", [("codebase", "")]),
    ],
)
def test_mentions(text: str, mentions: list[object]):
    assert found(text) == mentions
    if not mentions:
        assert parse(text).unknown == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@codebse", "Did you mean @codebase?"),
        ("@files:a.py", "Did you mean @file?"),
        ("@jira:ABC-1", "is not known"),
        ("@file", "needs a name: @file:PATH"),
        ("@file: a.py", "right after the colon"),
        ("@symbol:,", "needs a name"),
        ('@file:""', "needs a path"),
    ],
)
def test_what_is_no_mention_is_reported(text: str, said: str):
    parsed = parse(text)
    assert parsed.mentions == ()
    assert [said in one.problem for one in parsed.unknown] == [True]


def test_the_place_is_known():
    text = "see @file:a.py."
    one = parse(text).mentions[0]
    assert text[one.start : one.end] == "@file:a.py" == one.text


def test_too_many_are_said():
    parsed = parse(" ".join(f"@file:f{n}" for n in range(MENTIONS_MAX + 2)))
    assert len(parsed.mentions) == MENTIONS_MAX
    assert len(parsed.unknown) == 2


@given(st.text(alphabet="ab/ .#L3:()[]'\"`,!\\", min_size=1, max_size=20).map(str.strip).filter(bool))
def test_what_is_quoted_is_read_back(name: str):
    if all(quote in name for quote in "\"'`"):
        return
    assert [one.argument for one in parse(f"x @file:{quoted(name)} y").mentions] == [name]


@pytest.mark.parametrize(
    ("before", "kind", "prefix"),
    [
        ("ask @", None, ""),
        ("ask @co", None, "co"),
        ("@file:", "file", ""),
        ("@file:src/a", "file", "src/a"),
        ('@file:"my no', "file", "my no"),
        ("@symbol:Cir", "symbol", "Cir"),
    ],
)
def test_what_is_being_typed(before: str, kind: str | None, prefix: str):
    one = partial(before)
    assert one is not None
    assert (one.kind, one.prefix) == (kind, prefix)
    assert before[one.at] == "@"
    assert before[one.start :] == prefix


@pytest.mark.parametrize("before", ["a@", "ask @git ", "@file:a.py ", "", "me@exam"])
def test_nothing_is_being_typed(before: str):
    assert partial(before) is None


def test_completions():
    typed = partial("@")
    assert typed
    assert [item.label for item in complete(typed)] == [f"@{kind}" for kind in KINDS]
    typed = partial("@file:ba")
    assert typed
    names = ["foo/x.py", "src/bar.py", "bar baz.md", "a/b/a.py", "src/crab.py"]
    assert [item.insert for item in complete(typed, names)] == [
        "@file:src/bar.py ", '@file:"bar baz.md" ', "@file:a/b/a.py ",
    ]  # fmt: skip
    typed = partial("@c")
    assert typed
    assert [(item.label, item.insert) for item in complete(typed)] == [("@codebase", "@codebase ")]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("see @file", [("file", 4)]),
        ("@symbol: and @folder, please @file.", [("symbol", 0), ("folder", 13), ("file", 29)]),
        ("@file:a.py @git `@file` me@file @files @file.py", []),
    ],
)
def test_mentions_that_lack_their_name(question: str, expected: list[tuple[str, int]]):
    assert [(one.kind, one.at) for one in unfinished(question)] == expected
