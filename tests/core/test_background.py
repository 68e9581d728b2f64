"""Pages: appended to while there is room, never reordered, evicted only where they would mislead."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.background import (
    EMPTY,
    PAGE_CHARS_MIN,
    SNIPPET_TOKENS_MAX,
    SNIPPET_TOKENS_UNMEASURED,
    Background,
    renewed,
    snippet_tokens_max,
    wants_new_page,
)
from hearth.core.context import CompletionContext, Diagnostic, Hunk, Snippet

EDIT = Hunk("b.py", "u", 3, ("old",), ("new",))


def snippet(name: str, chars: int = PAGE_CHARS_MIN) -> Snippet:
    lines, number = f"class {name}:\n", 0
    while len(lines) < chars:
        number += 1
        lines += f"    {name}_{number} = {name}.make_{number}({number})\n"
    return Snippet(f"{name}.py", lines, f"file:///{name}.py", "open")


A, B, C, D = (snippet(name) for name in ("alpha", "beta", "gamma", "delta"))


def after(background: Background, *snippets: Snippet, region: str = "", tokens: int = 1_000) -> Background:
    return renewed(background, CompletionContext(region, snippets), tokens_max=tokens)


def test_new_snippets_are_appended_as_pages_of_their_own() -> None:
    one = after(EMPTY, A)
    two = after(one, B, A)
    assert one.pages == ((A,),)
    assert two.pages == ((A,), (B,))
    assert after(two, B, A) == two
    assert not wants_new_page(two, CompletionContext("", (A, B)), tokens_max=1_000)
    assert wants_new_page(two, CompletionContext("", (C,)), tokens_max=1_000)


def test_a_few_lines_are_not_worth_a_page() -> None:
    small = snippet("small", PAGE_CHARS_MIN // 3)
    assert after(EMPTY, small) == EMPTY
    assert after(EMPTY, small, A).pages == ((small, A),)


def test_what_resembles_the_cursor_is_evicted_and_the_rest_comes_again_behind() -> None:
    full = Background(((A,), (B, C)))
    assert after(full, region=B.text).pages == ((A,), (C,))
    assert after(full, region=A.text).pages == ((B, C),)


def test_a_newer_state_of_the_same_lines_is_not_sent_again() -> None:
    newer = Snippet(A.path, A.text.replace("alpha_3 ", "alpha_three "), A.origin, A.kind)
    assert after(Background(((A,),)), newer).pages == ((A,),)


def test_full_pages_are_given_up_only_when_nothing_in_them_is_wanted() -> None:
    tokens = (2 * PAGE_CHARS_MIN + 200) // 3
    full = after(EMPTY, A, B, tokens=tokens)
    assert full.pages == ((A, B),)
    assert after(full, B, C, D, tokens=tokens) == full
    assert after(full, C, D, tokens=tokens).pages == ((C, D),)


def test_a_smaller_budget_starts_over() -> None:
    full = Background(((A, B, C),))
    assert after(full, B, tokens=300).pages == ((B,),)
    assert after(full, tokens=0).pages == ()


def test_recent_edits_change_only_for_a_new_one() -> None:
    told = renewed(EMPTY, CompletionContext(hunks=(EDIT,)), tokens_max=0)
    assert told.hunks == (EDIT,)
    assert renewed(told, CompletionContext(), tokens_max=0) == told
    other = Hunk("c.py", "v", 1, (), ("x",))
    assert renewed(told, CompletionContext(hunks=(EDIT, other)), tokens_max=0).hunks == (EDIT, other)


def test_a_new_error_is_a_reason_only_where_it_costs_little() -> None:
    context = CompletionContext(diagnostics=(Diagnostic(1, "error", "no such name"),))
    assert renewed(EMPTY, context, tokens_max=0, prefill_tokens_per_s=200.0) == EMPTY
    told = renewed(EMPTY, context, tokens_max=0, prefill_tokens_per_s=5_000.0)
    assert told.diagnostics == context.diagnostics
    assert renewed(told, context, tokens_max=0, prefill_tokens_per_s=5_000.0) == told
    # Where the file is read anew in any case it costs a line.
    assert renewed(EMPTY, context, tokens_max=0, prefill_tokens_per_s=200.0, anew=True) == told
    assert renewed(told, context, tokens_max=0, anew=True) == told


@pytest.mark.parametrize(
    ("rate", "context_tokens", "expected"),
    [
        (None, 32_768, SNIPPET_TOKENS_UNMEASURED),
        (100.0, 32_768, 400),
        (5_000.0, 32_768, SNIPPET_TOKENS_MAX),
        (5_000.0, 2_048, 512),
        (0.0, 32_768, 0),
    ],
)
def test_the_budget_follows_the_server(rate: float | None, context_tokens: int, expected: int) -> None:
    assert snippet_tokens_max(rate, context_tokens) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.lists(st.sampled_from([A, B, C, D]), max_size=4), st.booleans()), max_size=6))
def test_whatever_comes_pages_keep_their_bytes_and_their_places(rests: list[tuple[list[Snippet], bool]]) -> None:
    """Each renewal keeps a beginning of the pages unless it starts over, sends nothing twice and stays in its limit."""
    background = EMPTY
    tokens = (3 * PAGE_CHARS_MIN + 300) // 3
    for offered, near in rests:
        region = A.text if near else ""
        old, background = background, after(background, *dict.fromkeys(offered), region=region, tokens=tokens)
        assert background.chars <= tokens * 3
        sent = background.snippets
        assert len(set(sent)) == len(sent)
        assert not (near and A in sent)
        if not near and len(set(old.snippets) & set(offered)) * 2 >= len(old.snippets):
            assert background.pages[: len(old.pages)] == old.pages
        again = after(background, *dict.fromkeys(offered), region=region, tokens=tokens)
        assert again == background
