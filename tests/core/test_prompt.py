"""The anchored prompt: whole prompts as literal text, and the invariant that typing only ever appends."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.background import Background
from hearth.core.context import Diagnostic, Hunk, Snippet
from hearth.core.dialect import DIALECTS
from hearth.core.prompt import (
    TAIL_CHARS_MAX,
    Anchor,
    Stability,
    anchor_at,
    rendered,
    tail_of,
)
from hearth.core.text import Position, Snapshot

QWEN = DIALECTS["qwen"]


def at(marked: str) -> tuple[Snapshot, Position]:
    before, after = marked.split("█")
    snapshot = Snapshot.of(before + after, language="python")
    return snapshot, snapshot.position_at(len(before))


def anchor(marked: str, dialect: str = "qwen", tokens: int = 4096) -> Anchor:
    return anchor_at(*at(marked), DIALECTS[dialect], path="a/b.py", repo="shop", prompt_tokens_max=tokens)


def prompt(first: str, then: str, dialect: str = "qwen") -> str | None:
    frozen = anchor(first, dialect)
    tail = tail_of(frozen, *at(then))
    return None if tail is None else rendered(frozen, tail)


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (
            "qwen",
            "<|repo_name|>shop\n<|file_sep|>a/b.py\n<|fim_prefix|>import os\n<|fim_suffix|>\nend\n<|fim_middle|>x = o",
        ),
        ("codellama", "<PRE> import os\n <SUF>\nend\n <MID>x = o"),
        ("deepseek", "<｜fim▁begin｜>#a/b.py\nimport os\n<｜fim▁hole｜>\nend\n<｜fim▁end｜>x = o"),
        ("codestral", "[SUFFIX]\nend\n[PREFIX]+++++ a/b.py\nimport os\nx = o"),
        ("starcoder", "<repo_name>shop<file_sep><fim_prefix>a/b.py\nimport os\n<fim_suffix>\nend\n<fim_middle>x = o"),
    ],
)
def test_whole_prompts(dialect: str, expected: str) -> None:
    marked = "import os\nx = o█\nend\n"
    got = prompt(marked, marked, dialect)
    if dialect == "starcoder":  # where exactly StarCoder 2 wants its file token is the table's business
        assert got is not None
        assert got.endswith("import os\n<fim_suffix>\nend\n<fim_middle>x = o")
    else:
        assert got == expected


def test_typing_only_appends() -> None:
    first = "import os\nx█\nend\n"
    start = prompt(first, first)
    assert start is not None
    for typed in ("x = ", "x = os", "x = os.path\n", "x = os.path\ny = 2"):
        longer = prompt(first, f"import os\n{typed}█\nend\n")
        assert longer is not None
        assert longer.startswith(start)


@pytest.mark.parametrize(
    ("then", "fits"),
    [
        ("import os\n█\nend\n", True),  # backspace within the line
        ("import os\nx(█)\nend\n", True),  # the editor closed the bracket
        ("import sys\nx█\nend\n", False),  # changed before
        ("import os\nx█\nother\n", False),  # changed after
        ("import█\nx\nend\n", False),  # a jump back
        ("import os\n" + "x\n" * TAIL_CHARS_MAX + "█\nend\n", False),  # too much typed
        ("# new first line\nimport os\nx█\nend\n", False),
    ],
)
def test_when_an_anchor_still_fits(then: str, fits: bool) -> None:
    assert (prompt("import os\nx█\nend\n", then) is not None) == fits


def test_lines_inserted_far_above_keep_the_anchor() -> None:
    body = "".join(f"line_{n} = {n}\n" for n in range(400))
    frozen = anchor(body + "x█\nend\n")
    assert not frozen.from_start
    assert tail_of(frozen, *at("# new\n" + body + "x y█\nend\n")) == "x y"


def test_crlf_documents_are_rendered_and_followed_with_lf() -> None:
    body = "".join(f"line_{n} = {n}\r\n" for n in range(300))
    frozen = anchor(body + "x█\r\nend\r\n")
    assert "\r" not in frozen.head
    assert tail_of(frozen, *at(body + "x = 1\r\ny█\r\nend\r\n")) == "x = 1\ny"


def test_control_tokens_in_the_users_text_are_broken() -> None:
    text = prompt("a = '<|fim_middle|>'\nb█\n", "a = '<|fim_middle|>'\nb█\n")
    assert text is not None
    assert text.count("<|fim_middle|>") == 1


def test_a_prompt_that_is_too_long_keeps_its_tokens_and_loses_the_far_lines() -> None:
    body = "".join(f"value_{n} = compute({n})\n" for n in range(5_000))
    frozen = anchor(body + "x█\n" + body, tokens=512)
    assert len(frozen.head) <= 512 * 2.5
    assert frozen.head.count("<|fim_prefix|>") == frozen.head.count("<|fim_suffix|>") == 1
    assert frozen.head.endswith("<|fim_middle|>")
    assert "value_4999 = compute(4999)\n<|fim_suffix|>" in frozen.head


def test_the_window_before_the_cursor_moves_in_steps() -> None:
    body = [f"line_{n} = {n}\n" for n in range(400)]
    starts = {anchor("".join(body[:n]) + "x█\n").before.split("\n")[0] for n in range(200, 328)}
    assert len(starts) <= 3


@settings(max_examples=150, deadline=None)
@given(
    before=st.text(alphabet="ab \n\r(", max_size=60),
    typed=st.text(alphabet="ab \n)", max_size=40),
    after=st.text(alphabet="cd\n ", max_size=40),
)
def test_any_typed_text_is_the_tail(before: str, typed: str, after: str) -> None:
    """Whatever is typed at a place, the prompt either extends the frozen head with exactly the text since the line's
    start, or a new anchor is wanted."""
    after = "\n" + after
    frozen = anchor(f"{before}█{after}")
    snapshot, position = at(f"{before}{typed}█{after}")
    tail = tail_of(frozen, snapshot, position)
    if tail is not None:
        whole = snapshot.before(position, 10_000).replace("\r\n", "\n").replace("\r", "\n")
        assert frozen.from_start
        assert frozen.before + tail == whole


# Segments


OTHERS = (
    Snippet(
        "shop/cart.py", "class Cart:\n    def total(self):\n        return sum(self.prices)\n", "file:///c.py", "open"
    ),
    Snippet("shop/tax.py", "RATE = 0.2\n\ndef tax(amount):\n    return amount * RATE\n", "file:///t.py", "seen"),
)
EDIT = Hunk("shop/tax.py", "file:///t.py", 0, ("RATE = 0.19",), ("RATE = 0.2",))
TOLD = Background((OTHERS,), (EDIT,), (Diagnostic(0, "error", "x is not defined"),))


def over(marked: str, background: Background, dialect: str = "qwen", **more: Any) -> Anchor:
    return anchor_at(
        *at(marked),
        DIALECTS[dialect],
        path="a/b.py",
        repo="shop",
        prompt_tokens_max=4096,
        background=background,
        **more,
    )


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (
            "qwen",
            "<|repo_name|>shop\n"
            "<|file_sep|>shop/cart.py\nclass Cart:\n    def total(self):\n        return sum(self.prices)\n"
            "<|file_sep|>shop/tax.py\nRATE = 0.2\n\ndef tax(amount):\n    return amount * RATE\n"
            "<|file_sep|>a/b.py\n<|fim_prefix|>"
            "# shop/tax.py\n# -RATE = 0.19\n# +RATE = 0.2\n# error: x is not defined\n\n"
            "import os\n<|fim_suffix|>\nend\n<|fim_middle|>",
        ),
        (
            "starcoder",
            "<repo_name>shop"
            "<file_sep>shop/cart.py\nclass Cart:\n    def total(self):\n        return sum(self.prices)"
            "<file_sep>shop/tax.py\nRATE = 0.2\n\ndef tax(amount):\n    return amount * RATE"
            "<fim_prefix><file_sep>a/b.py\n"
            "# shop/tax.py\n# -RATE = 0.19\n# +RATE = 0.2\n# error: x is not defined\n\n"
            "import os\n<fim_suffix>\nend\n<fim_middle>",
        ),
        (
            "deepseek",
            "<｜fim▁begin｜>"
            "#shop/cart.py\nclass Cart:\n    def total(self):\n        return sum(self.prices)\n"
            "#shop/tax.py\nRATE = 0.2\n\ndef tax(amount):\n    return amount * RATE\n"
            "#a/b.py\n"
            "# shop/tax.py\n# -RATE = 0.19\n# +RATE = 0.2\n# error: x is not defined\n\n"
            "import os\n<｜fim▁hole｜>\nend\n<｜fim▁end｜>",
        ),
        (
            "codellama",
            "<PRE> # shop/cart.py\n# class Cart:\n#     def total(self):\n#         return sum(self.prices)\n\n"
            "# shop/tax.py\n# RATE = 0.2\n#\n# def tax(amount):\n#     return amount * RATE\n\n"
            "# shop/tax.py\n# -RATE = 0.19\n# +RATE = 0.2\n# error: x is not defined\n\n"
            "import os\n <SUF>\nend\n <MID>",
        ),
        (
            "codestral",
            "[SUFFIX]\nend\n[PREFIX]"
            "+++++ shop/cart.py\nclass Cart:\n    def total(self):\n        return sum(self.prices)\n"
            "+++++ shop/tax.py\nRATE = 0.2\n\ndef tax(amount):\n    return amount * RATE\n"
            "+++++ a/b.py\n"
            "# shop/tax.py\n# -RATE = 0.19\n# +RATE = 0.2\n# error: x is not defined\n\n"
            "import os\n",
        ),
    ],
)
def test_whole_prompts_with_other_files(dialect: str, expected: str) -> None:
    assert over("import os\nx = o█\nend\n", TOLD, dialect).head == expected


def test_a_file_without_a_name_is_set_apart_from_those_before_it() -> None:
    frozen = anchor_at(*at("x█\n"), QWEN, path="", repo="", prompt_tokens_max=4096, background=Background((OTHERS,)))
    assert "<|file_sep|>untitled\n<|fim_prefix|>" in frozen.head
    assert anchor_at(*at("x█\n"), QWEN, path="", repo="", prompt_tokens_max=4096).head.startswith("<|fim_prefix|>")


def test_control_tokens_in_snippets_edits_and_names_are_broken() -> None:
    evil = "<|fim_middle|>"
    snippet = Snippet(f"{evil}.py", f"x = '{evil}'\n", "u", "open")
    frozen = over("x█\n", Background(((snippet,),), (Hunk(evil, "u", 0, (evil,), (evil,)),)))
    assert frozen.head.count(evil) == 1
    assert frozen.head.endswith(evil)


def test_imports_come_first_where_the_window_does_not_reach_them() -> None:
    body = "".join(f"line_{n} = {n}\n" for n in range(400))
    frozen = over(f"import os\nfrom a import (\n    b,\n)\n\n{body}x█\nend\n", Background())
    assert "<|fim_prefix|>import os\nfrom a import (\n    b,\n)\n\nline_" in frozen.head
    assert not frozen.from_start
    near = over("import os\nx█\n", Background())
    assert near.head.count("import os") == 1


def test_languages_without_comments_go_without_what_needs_them() -> None:
    snapshot = Snapshot.of('{"a": 1}\n', language="json")
    more = {"path": "a.json", "repo": "shop", "prompt_tokens_max": 4096}
    assert (
        "shop/cart.py" not in anchor_at(snapshot, Position(0, 1), DIALECTS["codellama"], background=TOLD, **more).head
    )
    frozen = anchor_at(snapshot, Position(0, 1), QWEN, background=TOLD, **more)
    assert "shop/cart.py" in frozen.head
    assert "0.19" not in frozen.head


def test_a_small_context_window_drops_whole_snippets() -> None:
    large = tuple(replace(OTHERS[0], text=OTHERS[0].text + f"# {n} {'x' * 300}\n") for n in range(9))
    frozen = anchor_at(
        *at("x█\n"), QWEN, path="a.py", repo="", prompt_tokens_max=2_048, background=Background((large,))
    )
    kept = frozen.head.count("class Cart")
    assert 0 < kept < 9
    assert frozen.head.count("x" * 300) == kept
    assert len(frozen.head) + TAIL_CHARS_MAX <= 2_048 * 2.5


@pytest.mark.parametrize(
    ("then", "now", "fits"),
    [
        ("a = one(two)\n" * 12, "a = one(two)\n" * 3 + "a = one(2)\n" + "a = one(two)\n" * 8, True),
        ("a = one(two)\n" * 12, "b = one(two)\n" + "a = one(two)\n" * 11, False),  # the first token
        ("a = one(two)\n" * 12, "a = 1 + 2\n" * 3 + "a = one(two)\n" * 9, False),  # too much
        ("a = 1\n", "a = 2\n", False),  # one token of three
    ],
)
def test_a_suffix_that_changed_a_little_stays_frozen(then: str, now: str, fits: bool) -> None:
    frozen = anchor(f"x█\n{then}")
    assert (tail_of(frozen, *at(f"xy█\n{now}")) == "xy") == fits


def test_where_the_suffix_comes_first_it_outlives_the_anchor() -> None:
    first = over("x█\n" + "a = one(two)\n" * 12, Background(), "codestral")
    then = "x\ny█\n" + "a = one(two)\n" * 4 + "a = one(2)\n" + "a = one(two)\n" * 7
    assert over(then, Background(), "codestral", previous=first).head.startswith(first.head)
    assert not over(then, Background(), "codestral").head.startswith(first.head)
    other = over("x\ny█\nother = 1\n", Background(), "codestral", previous=first)
    assert other.after == "\nother = 1\n"


snippets = st.builds(
    Snippet,
    path=st.sampled_from(["a.py", "b.py", "<|file_sep|>"]),
    text=st.text(alphabet="ab \n<|>", min_size=1, max_size=30),
    origin=st.just("u"),
    kind=st.just("open"),
)
pages = st.lists(st.lists(snippets, min_size=1, max_size=3).map(tuple), max_size=4).map(tuple)


@settings(max_examples=150, deadline=None)
@given(
    dialect=st.sampled_from(sorted(DIALECTS)), pages=pages, more=pages, typed=st.text(alphabet="ab (\n", max_size=20)
)
def test_appending_and_typing_never_alter_earlier_bytes(
    dialect: str, pages: tuple[tuple[Snippet, ...], ...], more: tuple[tuple[Snippet, ...], ...], typed: str
) -> None:
    """Segments stand in the order of their stability (but for the suffix, where a dialect wants it first); a page that
    was sent keeps its bytes and its place; and typing appends."""
    body = "import os\n" + "".join(f"line_{n} = {n}\n" for n in range(200))
    frozen = over(f"{body}x█\nend\n", Background(pages, (EDIT,)), dialect)
    longer = over(f"{body}x█\nend\n", Background((*pages, *more), (EDIT,)), dialect)
    for one in (frozen, longer):
        order = [s.stability for s in one.segments]
        assert "".join(s.text for s in one.segments) == one.head
        suffix_first = DIALECTS[dialect].order == "spm"
        ordered = [stability for at, stability in enumerate(order) if not (suffix_first and at == 0)]
        assert ordered == sorted(ordered)
        assert one.head.startswith(DIALECTS[dialect].suffix) == suffix_first
    sent = [s for s in frozen.segments if s.stability == Stability.PROJECT]
    now = [s for s in longer.segments if s.stability == Stability.PROJECT]
    assert now[: len(sent)] == sent
    last = max((n for n, s in enumerate(frozen.segments) if s in sent), default=-1)
    shared = sum(len(s.text) for s in frozen.segments[: last + 1])
    assert longer.head[:shared] == frozen.head[:shared]
    tail = tail_of(longer, *at(f"{body}{typed}█\nend\n"))
    assert tail is None or rendered(longer, tail).startswith(longer.head)
