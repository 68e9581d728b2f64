"""Laws of the patch engine: an edit comes back as it was, twice is once, and no text makes it raise."""

import difflib
import string
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearth.core.patch import FileEdit, Format, Patch, Refusal, Target, instructions, read
from hearth.core.patch_lines import changes
from hearth.core.text import Document, Edit

WORDS = st.text(string.ascii_letters + "äß😀 =(){}\t.,", min_size=1, max_size=12)
LINE = st.one_of(
    st.just(""),
    st.builds(lambda indent, text: "    " * indent + "w" + text.strip(), st.integers(0, 3), WORDS),
)
LINES = st.lists(LINE, min_size=1, max_size=14).filter(lambda lines: lines[0].strip() != "" and lines[-1].strip() != "")
ENDINGS = st.sampled_from(["\n", "\r\n", "\r"])
SEVERAL = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def joined(lines: list[str], ending: str, final: bool) -> str:
    return ending.join(lines) + (ending if final else "")


def as_file(path: str, before: list[str], after: list[str]) -> str:
    return f"{path}\n```\n" + "\n".join(after) + "\n```\n"


def as_diff(path: str, before: list[str], after: list[str]) -> str:
    old, new = [line + "\n" for line in before], [line + "\n" for line in after]
    return "".join(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))


def as_blocks(path: str, before: list[str], after: list[str]) -> str:
    """One block for each change, with enough lines around it that they are in the file once."""
    parts: list[str] = []
    floor = 0
    for one in changes(before, after):
        start, end, new_start, new_end = one
        while True:
            searched = before[start:end]
            places = [n for n in range(len(before)) if before[n : n + len(searched)] == searched]
            if any(line.strip() for line in searched) and len(places) == 1:
                break
            grown = (max(floor, start - 1), min(len(before), end + 1))
            if grown == (start, end):
                break
            new_start, new_end = new_start - (start - grown[0]), new_end + (grown[1] - end)
            start, end = grown
        parts.append(
            "\n".join(
                [path, "<<<<<<< SEARCH", *before[start:end], "=======", *after[new_start:new_end], ">>>>>>> REPLACE"]
            )
        )
        floor = one.end
    return "\n\n".join(parts) + "\n"


# Of two units of indentation the file's own is kept, so these have the same.
SHALLOW = LINES.map(lambda lines: [line.strip() if line.startswith(" " * 5) else line for line in lines])


@SEVERAL
@given(SHALLOW, SHALLOW, ENDINGS, st.booleans())
def test_a_whole_file_comes_back(before: list[str], after: list[str], ending: str, final: bool) -> None:
    text = joined(before, ending, final)
    outcome = read(as_file("a.txt", before, after), "file", [Target("a.txt", text)])
    assert isinstance(outcome, Patch), outcome
    edit = outcome.edit("a.txt")
    assert (edit.after if edit else text) == joined(after, ending if len(before) > 1 or final else "\n", final)


@SEVERAL
@given(LINES, LINES, ENDINGS, st.booleans())
def test_a_diff_comes_back(before: list[str], after: list[str], ending: str, final: bool) -> None:
    text = joined(before, ending, final)
    outcome = read(as_diff("a.txt", before, after) or "nothing", "diff", [Target("a.txt", text)])
    if before == after:
        assert isinstance(outcome, Refusal)
        return
    if isinstance(outcome, Refusal):
        assert outcome.code == "no_match", outcome  # a hunk of nothing but blank lines and additions
        assert not any(line.strip() for line in before[:3])
        return
    edit = outcome.edit("a.txt")
    assert (edit.after if edit else text) == joined(after, ending if len(before) > 1 or final else "\n", final)


@SEVERAL
@given(LINES, LINES, ENDINGS, st.data())
def test_a_text_with_some_of_the_edits_is_known_and_one_with_more_is_not(
    before: list[str], after: list[str], ending: str, data: st.DataObject
) -> None:
    was = joined(before, ending, True)
    patch = Patch((FileEdit("a.txt", was, joined(after, ending, True)),), ())
    taken = [one for one in patch.text_edits("a.txt") if data.draw(st.booleans())]
    document = Document("a.txt", "plaintext", 1, was)
    assert document.apply(2, list(reversed(taken)))
    now = document.snapshot().text
    assert patch.holds("a.txt", now)
    at = data.draw(st.integers(0, len(now)))
    assert not patch.holds("a.txt", now[:at] + "§" + now[at:])
    assert not patch.holds("a.txt", None)


@SEVERAL
@given(LINES, st.data(), ENDINGS)
def test_blocks_come_back_and_twice_is_once(before: list[str], data: st.DataObject, ending: str) -> None:
    after = list(before)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(after)))
        length = data.draw(st.integers(0, 2))
        after[at : at + length] = [
            f"new {data.draw(st.integers(0, 10**6))} {n}" for n in range(data.draw(st.integers(1, 3)))
        ]
    text = joined(before, ending, True)
    answer = as_blocks("a.txt", before, after)
    outcome = read(answer, "blocks", [Target("a.txt", text)])
    if isinstance(outcome, Refusal):
        # Only where the lines around a change say nothing of its place.
        assert outcome.code in ("ambiguous", "no_match", "conflict"), outcome
        assert len(set(before)) < len(before)
        return
    edit = outcome.edit("a.txt")
    assert edit
    if len(set(before)) == len(before):
        assert edit.after == joined(after, ending, True)
        again = read(answer, "blocks", [Target("a.txt", edit.after)])
        assert isinstance(again, Patch), again
        assert again.edits == ()
        assert again.notes


@SEVERAL
@given(LINES, LINES, st.lists(st.sampled_from(["\n", "\r\n", "\r", "\n"]), min_size=30, max_size=30), st.booleans())
def test_text_edits_make_the_new_text_of_the_old(
    before: list[str], after: list[str], endings: list[str], final: bool
) -> None:
    old = "".join(line + ending for line, ending in zip(before, endings, strict=False))
    new = "".join(line + ending for line, ending in zip(after, endings[5:], strict=False)) + ("" if final else "x😀")
    patch = Patch((FileEdit("a.txt", old, new),))
    edits = patch.text_edits("a.txt")
    document = Document("u", "plaintext", 1, old)
    # From the last to the first: what is before an edit keeps its place.
    assert document.apply(2, [Edit(edit.range, edit.text) for edit in reversed(edits)])
    assert document.snapshot().text == new
    ranges = [edit.range for edit in edits if edit.range]
    for first, second in pairwise(ranges):
        assert first.end < second.start
    assert patch.places == len(edits)


PIECES = st.sampled_from([
    "```", "```python", "````", "~~~", "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "--- a/a.py", "+++ b/a.py",
    "@@ -1,2 +1,2 @@", "@@", "+x = 2", "-x = 1", " x = 1", "x = 1", "def f():", "    return 1", "a.py", "`b.py`",
    "../c.py", "# ... existing code ...", "...", "<file path=\"a.py\">", "</file>", "<code>", "</code>", "<think>",
    "</think>", "*** Begin Patch", "*** Update File: a.py", "*** Delete File: a.py", "*** Move to: d.py", "", "  ",
    "\\ No newline at end of file", "rename from a.py", "diff --git a/a.py b/b.py", "--- /dev/null", "+++ /dev/null",
    "deleted file mode 1", "\t", "\ufeff", "\x00", "\ud800", "\u2028", "😀" * 3, "}" * 5, "<![CDATA[", "]]>",
    "<|im_end|>", "[/INST]", "C:\\x", "a" * 500, "(" * 50,
])  # fmt: skip
ANSWERS = st.one_of(
    st.text(max_size=200), st.lists(PIECES, max_size=25).map("\n".join), st.lists(PIECES, max_size=25).map("\r\n".join)
)
TEXTS = st.one_of(
    st.none(), st.just(""), st.text(max_size=80), st.lists(PIECES, max_size=12).map("\n".join),
    st.just("x = 1\ndef f():\n    return 1\n"),
)  # fmt: skip
PATHS = st.sampled_from(["a.py", "b.py", "src/a.py", "a.md", "a.go", "x.unknown", "A.py", "", "/a", "..", "a.yaml"])


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ANSWERS,
    st.sampled_from(["symbol", "file", "blocks", "diff"]),
    st.lists(st.tuples(PATHS, TEXTS, st.none() | st.tuples(st.integers(-2, 9), st.integers(-2, 9))), max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_it_never_raises(
    answer: str,
    format: Format,
    files: list[tuple[str, str | None, tuple[int, int] | None]],
    create: bool,
    delete: bool,
) -> None:
    targets = [Target(path, text, span=span) for path, text, span in files]
    outcome = read(answer, format, targets, may_create=create, may_delete=delete)
    if isinstance(outcome, Refusal):
        assert outcome.message
        assert outcome.feedback
    else:
        known = {target.path: target.text for target in targets}
        for edit in outcome.edits:
            assert edit.before != edit.after
            assert create or edit.path in known
            assert delete or edit.after is not None
            assert ".." not in edit.path
            assert not edit.path.startswith("/")
            assert edit.before == known.get(edit.path)
            assert outcome.text_edits(edit.path) or edit.after in (None, "")
    assert isinstance(instructions(format, targets), str)
