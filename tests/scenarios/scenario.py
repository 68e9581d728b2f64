"""The scenarios of tests/scenarios/tasks: a small project, a goal in a user's words, a solution, and hidden tests.

A scenario is one text file. Its head has `key: value` lines, a value going on in lines that begin with a space:

    kind         what sort of task it is
    language     python, javascript, typescript or mixed
    forgettable  the files of the solution that are left out most easily
    goal         what the user asks for
    heldout      for what was never looked at while tasks were made better: "yes" if written after the loop, and
                 "verification" if written before names that are nowhere and lines that no test runs were looked for

Then come sections, each under a line `=== WHAT PATH`, without blank lines at their end:

    file       a file of the project
    change     how the solution changes it: `<<<<`, a text that occurs once, `====`, what stands there then, `>>>>`
    create     a file that the solution adds
    delete     a file that the solution removes
    optional   of the changed files, one that the hidden tests do not insist on
    hidden     acceptance tests: Python with functions `test_*`, or JavaScript (*.mjs) with node:test
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "tasks"
ROOT = Path(__file__).resolve().parents[2]
HIDDEN = "_hidden"
"""Where the hidden tests lie, within a project, while they run."""
HIDDEN_DEADLINE_S = 60.0
RUNNER = Path(__file__).parent / "run_hidden.py"


@dataclass(frozen=True)
class Scenario:
    """`files` is the project, `solution` what the changed files are afterwards (None: gone); both by path."""

    name: str
    kind: str
    language: str
    goal: str
    forgettable: tuple[str, ...]
    optional: tuple[str, ...]
    files: Mapping[str, str]
    solution: Mapping[str, str | None]
    hidden: Mapping[str, str]
    heldout: str = ""

    @property
    def needed(self) -> tuple[str, ...]:
        """The files that must be changed for the hidden tests to pass."""
        return tuple(path for path in self.solution if path not in self.optional)

    def solved(self, without: tuple[str, ...] = ()) -> dict[str, str]:
        """The project after the solution, some of its files left as they were."""
        files = dict(self.files)
        for path, text in self.solution.items():
            if path in without:
                continue
            if text is None:
                files.pop(path)
            else:
                files[path] = text
        return files

    def write(self, folder: Path, files: Mapping[str, str] | None = None) -> None:
        """Put a project into an empty folder."""
        for path, text in (self.files if files is None else files).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")


@cache
def scenarios() -> dict[str, Scenario]:
    return {path.stem: parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.scenario"))}


def parse(name: str, text: str) -> Scenario:
    head, *sections = ("\n" + text).split("\n=== ")
    values: dict[str, str] = {}
    key = ""
    for line in head.strip().splitlines():
        if line.startswith(" "):
            values[key] += line
        else:
            key, _, values[key] = line.partition(": ")
    files: dict[str, str] = {}
    solution: dict[str, str | None] = {}
    hidden: dict[str, str] = {}
    optional: list[str] = []
    for section in sections:
        title, _, body = section.partition("\n")
        what, path = title.split()
        body = f"{body.rstrip()}\n" if body.strip() else ""
        if what == "file":
            files[path] = body
        elif what == "change":
            solution[path] = changed(f"{name}: {path}", files[path], body)
        elif what == "create":
            assert path not in files, (name, path)
            solution[path] = body
        elif what == "delete":
            assert path in files, (name, path)
            solution[path] = None
        elif what == "hidden":
            hidden[path] = body
        elif what == "optional":
            optional.append(path)
        else:
            raise ValueError(f"{name}: what is {what}?")
    listed = tuple(path.strip() for path in values["forgettable"].split(","))
    assert set(listed) <= set(solution), (name, listed)
    assert set(optional) <= set(solution), (name, optional)
    return Scenario(
        name,
        values["kind"],
        values["language"],
        values["goal"],
        listed,
        tuple(optional),
        files,
        solution,
        hidden,
        values.get("heldout", ""),
    )


def changed(where: str, text: str, blocks: str) -> str:
    for block in blocks.removeprefix("<<<<\n").removesuffix("\n>>>>\n").split("\n>>>>\n<<<<\n"):
        old, _, new = block.partition("\n====\n")
        assert text.count(old) == 1, f"{where}: occurs {text.count(old)} times: {old}"
        text = text.replace(old, new)
    return text


def node() -> str | None:
    """The node that the tests use."""
    own = ROOT / ".tools" / "bin" / ("node.exe" if os.name == "nt" else "node")
    return str(own) if own.exists() else shutil.which("node")


def hidden_failure(scenario: Scenario, folder: Path) -> str:
    """What the hidden tests say of a project, "" if they all pass. They lie in it only while they run."""
    place = folder / HIDDEN
    place.mkdir()
    said: list[str] = []
    try:
        for name, text in scenario.hidden.items():
            (place / name).write_text(text, encoding="utf-8", newline="\n")
            if name.endswith(".mjs"):
                command = [node() or "node", "--disable-warning=ExperimentalWarning", f"{HIDDEN}/{name}"]
            else:
                command = [sys.executable, "-B", "-I", str(RUNNER), f"{HIDDEN}/{name}"]
            said.append(_output_of_failure(command, folder))
    finally:
        shutil.rmtree(place)
    return "\n".join(filter(None, said))


def judged(scenario: Scenario, files: Mapping[str, str]) -> str:
    """What the hidden tests say of a project that is written down just for them."""
    with tempfile.TemporaryDirectory() as name:
        scenario.write(Path(name), files)
        return hidden_failure(scenario, Path(name))


def _output_of_failure(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=HIDDEN_DEADLINE_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "the hidden tests came to no end"
    return "" if done.returncode == 0 else done.stdout.decode("utf-8", "replace") or f"status {done.returncode}"
