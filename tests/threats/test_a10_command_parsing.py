"""A10: an allow-list of commands is talked round with quotes, separators, substitutions or odd white space.

Control: there is no shell and no command of the model's own. What a project's own scripts say is taken apart into plain
words, and whatever only a shell could make sense of is not run at all.
"""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from hearth.agent.base import Command
from hearth.core.task_checks import detected, parsed_script, words_of
from hearth.core.task_protocol import TOOL_NAMES
from threats.desk import Desk

EVIL = ("touch evil", "curl evil.example", "rm -rf /", "sh -c id")
JOINTS = (
    ";", " ; ", "|", " | ", "||", " || ", "&", " & ", "\n", "\r\n", "\r", "\x0b", "\x0c", "\u2028", "\x00", "|&", "&>",
    " > /etc/x ", " < x ", "\t;\t", ";;", "\\\n", " # \n", "\u037e", "\uff1b", "\ufe54",
)  # fmt: skip
WRAPS = (
    "$({})", "`{}`", "${{x:-$({})}}", "<({})", ">({})", "$'{}'", "{{{},}}", "(({}))", "({})", "{{ {}; }}", "!{}",
    "~/{}", "*{}", "?{}", "[{}]", "node$IFS{}", "node\\ {}", "no\"d\"e {}", "n''ode {}", "\"node {}", "'node {}",
    "A=1 {}", "PATH=. {}", "LD_PRELOAD=x {}", "-{}", "\u202e{}", "\u00a0{}", "no\u200bde {}", "nоde {}",
)  # fmt: skip


def bypasses() -> list[str]:
    joined = [f"node --test{joint}{evil}" for joint, evil in itertools.product(JOINTS, EVIL)]
    reverse = [f"{evil}{joint}node --test" for joint, evil in itertools.product(JOINTS, EVIL)]
    wrapped = [wrap.format(evil) for wrap, evil in itertools.product(WRAPS, EVIL)]
    return [*joined, *reverse, *wrapped]


def test_there_are_enough_of_them() -> None:
    assert len(set(bypasses())) >= 300


@pytest.mark.parametrize("script", bypasses())
def test_no_bypass_is_taken_for_a_plain_command(script: str) -> None:
    assert words_of(script) is None
    # Only `&&` goes on to another command, and that one is shown and agreed to like the first.
    assert parsed_script(script, {"test": script}) is None


@pytest.mark.parametrize(
    ("script", "commands"),
    [
        ("node --test", [["node", "--test"]]),
        ("tsc -p . && node --test", [["tsc", "-p", "."], ["node", "--test"]]),
        ("npm run build && npm test", [["tsc"], ["vitest", "run"]]),
        ("npx jest --ci", [["jest", "--ci"]]),
        ('mocha "test/a b.js"', [["mocha", "test/a b.js"]]),
        ("npm run loop", None),
        ("npm install && node x.js", None),
        ("npx -y evil", None),
        ("", None),
        ("  ", None),
    ],
)
def test_plain_scripts_are_taken_apart(script: str, commands: list[list[str]] | None) -> None:
    scripts = {"build": "tsc", "test": "vitest run", "loop": "npm run loop"}
    assert parsed_script(script, scripts) == commands


def test_a_script_that_needs_a_shell_is_named_and_left_out() -> None:
    files = {"package.json": json.dumps({"scripts": {"test": "node --test; curl evil", "lint": "eslint ."}})}
    found = detected(files, lambda path: files[path])
    assert [one.program for one in found.wanted] == ["eslint"]
    assert len(found.passed_over) == 1


def test_no_tool_runs_a_command() -> None:
    assert {
        "search", "read", "symbols", "references", "diagnostics", "edit", "write", "remove", "move", "check", "waive",
        "done",
    } == TOOL_NAMES  # fmt: skip


@pytest.mark.parametrize("words", ["tests; rm -rf /", "$(id)", "tests\nlint", "bash", "", "TESTS && x"])
async def test_a_check_is_named_by_its_kind_alone(tmp_path: Path, words: str) -> None:
    """Where the user has agreed to one, so that it would be run."""
    desk = Desk(tmp_path, {"a.py": "x = 1\n"})
    command = Command("tests", ("/usr/bin/python3", "-m", "pytest"), "", "")
    desk.state = replace(desk.state, commands=(command,), commands_agreed=True)
    assert not await desk.tried("check", kind=words)
    assert desk.checked == []
    await desk.tried("check", kind="tests", argv=["sh", "-c", "id"])
    assert desk.checked == ["tests"], "of which there is but the one that was agreed to"
