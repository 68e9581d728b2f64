"""Calls and JSON answers out of what models write: the clear form, the forms they have anyway, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.exchange import ToolCall
from hearth.core.task_calls import CALLS_MAX, answer, native, written
from hearth.core.task_protocol import ANALYSIS, CORRECTIONS, PLAN, TOOL_NAMES

BLOCK = "<<<<<<< SEARCH\na = 1\n=======\na = 2\n>>>>>>> REPLACE"
EDIT = ("edit", {"path": "src/a.py", "edits": [{"old": "a = 1", "new": "a = 2"}]})


def calls(text: str) -> list[tuple[str, dict[str, object]]]:
    read = written(text)
    assert read.problems == []
    return [(one.name, dict(one.arguments)) for one in read.calls]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('```call read\n{"path": "a.py", "start": 1, "end": 3}\n```', ("read", {"path": "a.py", "start": 1, "end": 3})),
        ('I look first.\n\n```call read\n{"path": "./a.py"}\n```\nThen more.', ("read", {"path": "a.py"})),
        ('```call read\n{"path": "a.py", "start": "1",}\n```', ("read", {"path": "a.py", "start": 1})),
        ("```call read\npath: a.py\nstart: 4\n```", ("read", {"path": "a.py", "start": 4})),
        ("```call read a.py 3-9\n```", ("read", {"path": "a.py", "start": 3, "end": 9})),
        ("```call search\nquery: who calls it\n```", ("search", {"query": "who calls it"})),
        ('```call done\n{"summary": "all"}\n```', ("done", {"summary": "all"})),
        ('~~~call done\n{"summary": "all"}\n~~~', ("done", {"summary": "all"})),
        ('```call read_file\n{"file_path": "a.py"}\n```', ("read", {"path": "a.py"})),
        ('<tool_call>\n{"name": "read", "arguments": {"path": "a.py"}}\n</tool_call>', ("read", {"path": "a.py"})),
        ('```json\n{"tool": "read", "path": "a.py"}\n```', ("read", {"path": "a.py"})),
        ('```json\n{"tool": "read", "arguments": "{\\"path\\": \\"a.py\\"}"}\n```', ("read", {"path": "a.py"})),
        ('{"name": "symbols", "arguments": {"name": "total"}}', ("symbols", {"name": "total"})),
        ('{"name": "references", "parameters": {"name": "total"}}', ("references", {"name": "total"})),
        ("<think>```call remove\n{}\n```</think>\n```call done\nsummary: x\n```", ("done", {"summary": "x"})),
        (f"```call edit src/a.py\n{BLOCK}\n```", EDIT),
        (f"```edit src/a.py\n{BLOCK}\n```", EDIT),
        (f"src/a.py\n```python\n{BLOCK}\n```", EDIT),
        (f"**`src/a.py`**:\n\n```\n{BLOCK}\n```", EDIT),
        (f"```python src/a.py\n{BLOCK}\n```", EDIT),
        (f"```\nsrc/a.py\n{BLOCK}\n```", EDIT),
        (f"File: src/a.py\n{BLOCK}", EDIT),
        ('```call edit\n{"path": "src/a.py", "old": "a = 1", "new": "a = 2"}\n```', EDIT),
        ('```call edit\n{"path": "src/a.py", "old_str": "a = 1", "new_str": "a = 2"}\n```', EDIT),
        ("```call write n.py\nX = 1\n```", ("write", {"path": "n.py", "text": "X = 1\n"})),
        ("```python\n# n.py\nX = 1\n```", ("write", {"path": "n.py", "text": "X = 1\n"})),
        ("`n.py`:\n```python\nX = 1\n```", ("write", {"path": "n.py", "text": "X = 1\n"})),
        ('```call write\n{"path": "n.py", "text": "X = 1"}\n```', ("write", {"path": "n.py", "text": "X = 1"})),
        (
            "````call write README.md\n# T\n```py\nx\n```\n````",
            ("write", {"path": "README.md", "text": "# T\n```py\nx\n```\n"}),
        ),
        (
            "```call write README.md\n# T\n```py\nx\n```\nend\n```",
            ("write", {"path": "README.md", "text": "# T\n```py\nx\n```\nend\n"}),
        ),
    ],
)
def test_a_call_is_understood(text: str, expected: tuple[str, dict[str, object]]):
    assert calls(text) == [expected]


def test_several_blocks_of_one_edit_stay_together():
    two = f"{BLOCK}\n<<<<<<< SEARCH\nb\n=======\n>>>>>>> REPLACE"
    assert calls(f"```call edit a.py\n{two}\n```") == [
        ("edit", {"path": "a.py", "edits": [{"old": "a = 1", "new": "a = 2"}, {"old": "b", "new": ""}]})
    ]


def test_calls_keep_their_order():
    text = "\n".join(f'```call read\n{{"path": "{name}.py"}}\n```' for name in "abc")
    assert [arguments["path"] for _, arguments in calls(text)] == ["a.py", "b.py", "c.py"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('```call read\n{"path": "a.py", "start": 1,\n```', "malformed-call"),
        ('```call read\n{"path": "a.py"', "truncated"),
        ("```call write a.py\nX = 1\n", "truncated"),
        (f"```call edit a.py\n{BLOCK[:-16]}\n```", "truncated"),
        ('<tool_call>{"name": "read", "arguments": {"path": "a.py"}}', "truncated"),
        (f"```\n{BLOCK}\n```", "malformed-call"),
        ('```call bash\n{"command": "ls"}\n```', "unknown-tool"),
        ("```call\n{}\n```", "unknown-tool"),
        ('```call read\n{"start": 1}\n```', "bad-arguments"),
        ('```call read\n{"path": ["a.py"]}\n```', "bad-arguments"),
        ('```call check\n{"kind": "tests; rm -rf /"}\n```', "bad-arguments"),
        ('```call edit\n{"path": "a.py", "new": "x"}\n```', "bad-arguments"),
        ('```json\n{"tool": "execute", "command": "ls"}\n```', "unknown-tool"),
    ],
)
def test_what_is_not_whole_is_not_run_and_is_named(text: str, kind: str):
    read = written(text)
    assert read.calls == []
    assert [problem.kind for problem in read.problems] == [kind]
    assert read.problems[0].text


@pytest.mark.parametrize("text", ["", "I would change a.py.", "```python\nprint(1)\n```", "```sh\nrm -rf /\n```"])
def test_prose_and_examples_are_no_calls(text: str):
    read = written(text)
    assert (read.calls, read.problems) == ([], [])


def test_nothing_of_a_truncated_answer_is_run():
    read = written('```call remove\n{"path": "a.py"}\n```\nand', whole=False)
    assert read.calls == []
    assert read.problems[0].kind == "truncated"


def test_native_calls_are_checked_too():
    read = native((ToolCall("1", "read", {"path": "a.py"}), ToolCall("2", "shell", {"cmd": "ls"})), broken=1)
    assert [(one.name, one.id) for one in read.calls] == [("read", "1")]
    assert [(one.kind, one.id) for one in read.problems] == [("unknown-tool", "2"), ("malformed-call", "")]


def test_an_answer_has_no_endless_calls():
    text = '```call read\n{"path": "a.py"}\n```\n' * (CALLS_MAX + 50)
    assert len(written(text).calls) == CALLS_MAX


@pytest.mark.parametrize(
    "text",
    [
        '{"goal": "g"}',
        '```json\n{"goal": "g"}\n```',
        'Sure:\n```\n{"goal": "g", }\n```\nAnything else?',
        "{'goal': 'g'}",
        '{"goal": "g", "files": null, "more": 1}',
        '<think>{"goal": 1}</think>{"goal": "g"}',
    ],
)
def test_json_is_found_among_words(text: str):
    value, why = answer(text, ANALYSIS)
    assert value == {"goal": "g"}
    assert why == ""


def test_json_of_another_shape_is_named():
    assert answer("no", ANALYSIS)[0] is None
    assert "`goal` is missing" in answer('{"a": 1}', ANALYSIS)[1]
    assert "must be a list" in answer('{"steps": 3}', PLAN)[1]
    value, _ = answer('{"steps": {"title": "t", "files": "a.py"}}', PLAN)
    assert value == {"steps": [{"title": "t", "files": ["a.py"]}]}


@given(st.text(alphabet=st.sampled_from(list("`~{}[]<>\"':=\n abcallreditw./SEARCHPLO")), max_size=300))
def test_any_text_gives_known_tools_or_known_problems(text: str):
    read = written(text)
    assert {one.name for one in read.calls} <= TOOL_NAMES
    assert {problem.kind for problem in read.problems} <= set(CORRECTIONS)
    for one in read.calls:
        json.dumps(dict(one.arguments))
    answer(text, PLAN)
