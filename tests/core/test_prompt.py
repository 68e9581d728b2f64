"""The anchored prompt: whole prompts as literal text, and the invariant that typing only ever appends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.dialect import DIALECTS
from hearth.core.prompt import (
    TAIL_CHARS_MAX,
    Anchor,
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
