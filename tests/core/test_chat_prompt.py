from hearth.core.chat import Command, Scope, scope_of
from hearth.core.chat_docs import style_of
from hearth.core.chat_prompt import asked_for, attached, code_parts, fitting, question, system_for
from hearth.core.chat_tests import plan
from hearth.core.context import Diagnostic
from hearth.core.conversation import tokens_about
from hearth.core.origin import file_origin
from hearth.core.text import Position, Range, Snapshot

CODE = "import os\n\n\ndef f(a):\n    return a\n\n\ndef g():\n    return f(1)\n"
AT = Range(Position(4, 0), Position(4, 0))


def test_a_small_file_is_shown_whole_and_then_the_lines():
    snapshot = Snapshot.of(CODE, language="python")
    whole, lines = code_parts("/ws", "src/a.py", snapshot, scope_of(snapshot, AT), 10_000)
    assert whole.text == f"The file src/a.py:\n```python\n{CODE}```\n"
    assert lines.text == "Lines 4-5 of src/a.py (f):\n```python\ndef f(a):\n    return a\n```\n"
    assert lines.origins == (file_origin("/ws", "src/a.py", 3, 5),)


def test_a_large_file_is_shown_as_outline_and_surroundings():
    snapshot = Snapshot.of(CODE + "\n\ndef h():\n" + "    x = 1\n" * 3_000, language="python")
    outline, around, lines = code_parts("/ws", "src/a.py", snapshot, scope_of(snapshot, AT), 4_000)
    assert "def g()" in outline.text
    assert "def h()" in outline.text
    assert around.text.startswith("Lines 1-35 of src/a.py:")
    assert len(around.text) < 1_500
    assert "Lines 4-5" in lines.text


def test_the_whole_file_is_shown_once():
    snapshot = Snapshot.of(CODE, language="python")
    assert len(code_parts("/ws", "src/a.py", snapshot, scope_of(snapshot, None), 10)) == 1


def test_carriage_returns_are_not_shown():
    snapshot = Snapshot.of("a\r\nb\r\n", language="python")
    (part,) = code_parts("", "", snapshot, scope_of(snapshot, None), 1_000)
    assert part.text == "The file an unsaved document:\n```python\na\nb\n```\n"
    assert part.origins[0].path == ""


def test_the_questions():
    scope = Scope(3, 5, "f", "symbol")
    assert question(Command("explain"), scope, "a.py").startswith("Explain lines 4-5 of a.py (f): what it does")
    refactor = question(Command("refactor", refactoring="types", prompt="use PEP 604"), scope, "a.py")
    assert "Add type annotations" in refactor
    assert "use PEP 604" in refactor
    fix = question(Command("fix", diagnostics=(Diagnostic(3, "error", "a is\n not defined"),)), scope, "a.py")
    assert "- line 4, error: a is not defined" in fix
    assert "Google style" in question(Command("document"), scope, "a.py", style=style_of("python", "  Args:\n"))
    tests = plan("python", "src/a.py", ["tests/test_b.py", "src/b.py"], {"pytest.ini": "[pytest]"})
    asked = question(Command("test"), scope, "src/a.py", tests=tests)
    assert "pytest" in asked
    assert "tests/test_a.py" in asked
    assert "style of tests/test_b.py" in asked
    assert question(Command("ask", prompt=" why? "), None, "") == "why?"


def test_what_the_page_shows():
    scope = Scope(3, 5, "f", "symbol")
    assert (
        asked_for(Command("refactor", refactoring="types"), scope, "a.py")
        == "Refactor lines 4-5 of a.py (f): Add types"
    )
    assert asked_for(Command("explain"), Scope(0, 9, "", "file"), "a.py") == "Explain the file a.py"


def test_attachments_lose_what_is_hidden():
    flags: list[str] = []
    part = attached("b.md", "see\u202e this", "markdown", (file_origin("/ws", "b.md"),), flags)
    assert part.text == "b.md:\n```markdown\nsee this\n```\n"
    assert "Right-To-Left" in flags[0]


def test_commands_of_a_sort_share_their_first_words():
    assert system_for("fix") is system_for("test") is system_for("document")
    assert system_for("ask") is system_for("explain")


def test_lines_that_do_not_fit_are_cut_off():
    snapshot = Snapshot.of("x = 1\n" * 5_000, language="python")
    scope = scope_of(snapshot, None)
    shown = fitting(snapshot, scope, 2_000)
    assert 100 < shown.end < 1_000
    assert sum(tokens_about(part.text) for part in code_parts("/ws", "a.py", snapshot, shown, 2_000)) < 2_000
    assert fitting(snapshot, scope, 100_000) is scope
