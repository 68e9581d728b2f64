"""A project's own checks: which there are, by its files; never run here, and never a shell.

A script of `package.json` is taken apart into the programs that it calls; one that needs a shell (pipes, variables,
patterns) is left out and named as such. What is detected is shown to the user, who agrees to exactly that.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

COMMANDS_MAX = 8
PACKAGES_MAX = 4
SCRIPT_DEPTH_MAX = 3
SCRIPT_CHARS_MAX = 400
MANIFEST_CHARS_MAX = 200_000

_PYTEST = re.compile(r"\bpytest\b")
_PYTEST_TEST = re.compile(r"^(?:async )?def test_|^import pytest|^from pytest", re.MULTILINE)
_UNITTEST = re.compile(r"\bunittest\b|\bTestCase\b")
_SHELL = re.compile(r"[;|<>$`*?(){}~!\n\\\[\]#]|(?<!&)&(?!&)")
_WORD = re.compile(r"\"([^\"]*)\"|'([^']*)'|([^\s\"']+)")
_ASSIGNED = re.compile(r"\w+=")
_MAKE_TARGET = re.compile(r"^([A-Za-z][\w-]*):(?!=)", re.MULTILINE)
_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("tests", "test"),
    ("tests", "test:unit"),
    ("lint", "lint"),
    ("types", "typecheck"),
    ("types", "type-check"),
    ("types", "types"),
    ("types", "check-types"),
)
_RUNNERS = frozenset(("npm", "pnpm", "yarn"))
_NO_TEST = "no test specified"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A command before its program is found on this machine. `program`: "python" for the project's own interpreter,
    else a name to be looked for in the project's tools and on the path. `needs`: a module that the interpreter must
    have. `why`: the file it was found by, and what it says there."""

    kind: str
    program: str
    arguments: tuple[str, ...]
    folder: str
    why: str
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Detected:
    """`passed_over`: sentences on what was found and cannot be run as it is."""

    wanted: tuple[Wanted, ...]
    passed_over: tuple[str, ...]


def detected(paths: Iterable[str], read: Callable[[str], str]) -> Detected:
    """The checks of a project with these files; `read` gives a file's text, "" for none."""
    files = sorted(paths, key=lambda path: (path.count("/"), path))
    known = frozenset(files)
    over: list[str] = []
    found = [*_python(files, known, read), *_node(files, known, read, over), *_others(files, known)]
    if not any(one.kind == "tests" for one in found):
        found += _make(known, read)
    unique = {(one.program, one.arguments, one.folder): one for one in found}
    return Detected(tuple(unique.values())[:COMMANDS_MAX], tuple(over))


# Python


def _python(files: Sequence[str], known: frozenset[str], read: Callable[[str], str]) -> Iterator[Wanted]:
    sources = [path for path in files if path.endswith(".py")]
    if not sources:
        return
    for folder in _python_roots(sources, known):
        base = f"{folder}/" if folder else ""
        config = {
            name: read(f"{base}{name}")[:MANIFEST_CHARS_MAX]
            for name in (
                "pyproject.toml",
                "setup.cfg",
                "tox.ini",
                "pytest.ini",
                "requirements-dev.txt",
                "requirements.txt",
            )
            if f"{base}{name}" in known
        }
        yield from _python_tests(folder, base, [one for one in sources if one.startswith(base)], known, config, read)
        if any(f"{base}{name}" in known for name in ("ruff.toml", ".ruff.toml")) or "[tool.ruff" in config.get(
            "pyproject.toml", ""
        ):
            arguments = ("check", "--no-cache", "--output-format=concise", ".")
            yield Wanted("lint", "ruff", arguments, folder, f"{base}pyproject.toml or ruff.toml")
        if (
            f"{base}mypy.ini" in known
            or "[tool.mypy" in config.get("pyproject.toml", "")
            or "[mypy" in config.get("setup.cfg", "")
        ):
            arguments = ("-m", "mypy", "--no-color-output", "--cache-dir=/dev/null", ".")
            yield Wanted("types", "python", arguments, folder, f"{base}mypy's settings", "mypy")
        if f"{base}pyrightconfig.json" in known or "[tool.pyright" in config.get("pyproject.toml", ""):
            yield Wanted("types", "pyright", (), folder, f"{base}pyright's settings")


def _python_roots(sources: Sequence[str], known: frozenset[str]) -> list[str]:
    """Where Python's tools are to be started: the root, or the folders with a manifest of their own."""
    top = [
        path
        for path in known
        if path.count("/") == 1 and path.endswith(("/pyproject.toml", "/setup.py", "/pytest.ini"))
    ]
    rooted = any(name in known for name in ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "tox.ini"))
    below = sorted({path.partition("/")[0] for path in top})
    below = [one for one in below if any(path.startswith(f"{one}/") for path in sources)]
    return [""] if rooted or not below else below[:PACKAGES_MAX]


def _python_tests(
    folder: str,
    base: str,
    sources: Sequence[str],
    known: frozenset[str],
    config: Mapping[str, str],
    read: Callable[[str], str],
) -> Iterator[Wanted]:
    tests = [path for path in sources if re.search(r"(?:^|/)test_[^/]*\.py$|_test\.py$|(?:^|/)tests?\.py$", path)]
    told = "pytest.ini" in config or any(_PYTEST.search(text) for text in config.values())
    bare = any(_PYTEST_TEST.search(read(path)) for path in tests[:20])
    if told or bare or f"{base}conftest.py" in known or f"{base}tests/conftest.py" in known:
        if tests:
            arguments = ("-m", "pytest", "-q", "--no-header", "--tb=short", "-rfE", "-p", "no:cacheprovider")
            yield Wanted("tests", "python", arguments, folder, next(iter(config), tests[0]), "pytest")
        return
    if any(_UNITTEST.search(read(path)) for path in tests[:20]):
        where = ("-s", "tests") if any(path.startswith(f"{base}tests/") for path in tests) else ()
        yield Wanted("tests", "python", ("-m", "unittest", "discover", *where), folder, tests[0])


# Node


def _node(files: Sequence[str], known: frozenset[str], read: Callable[[str], str], over: list[str]) -> Iterator[Wanted]:
    manifests = [path for path in files if path == "package.json" or path.endswith("/package.json")][:PACKAGES_MAX]
    for manifest in manifests:
        folder = manifest.rpartition("/")[0]
        scripts = _scripts(read(manifest)[:MANIFEST_CHARS_MAX])
        found = set[str]()
        for kind, name in _SCRIPTS:
            script = scripts.get(name, "")
            if not script or _NO_TEST in script or (kind in found and name != "test"):
                continue
            commands = parsed_script(script, scripts)
            if commands is None:
                over.append(f"{manifest}: `{name}` needs a shell, and was not run: {script[:120]}")
                continue
            found.add(kind)
            for argv in commands:
                yield Wanted(kind, argv[0], tuple(argv[1:]), folder, f"{manifest}: {name}: {script[:SCRIPT_CHARS_MAX]}")
        config = f"{folder}/tsconfig.json" if folder else "tsconfig.json"
        if "types" not in found and config in known:
            yield Wanted("types", "tsc", ("--noEmit", "--pretty", "false", "-p", "."), folder, config)
    if not manifests and "tsconfig.json" in known:
        yield Wanted("types", "tsc", ("--noEmit", "--pretty", "false", "-p", "."), "", "tsconfig.json")


def _scripts(text: str) -> dict[str, str]:
    try:
        raw: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    table = cast(dict[str, Any], raw) if isinstance(raw, dict) else {}
    scripts = table.get("scripts")
    if not isinstance(scripts, dict):
        return {}
    return {name: script for name, script in cast(dict[str, object], scripts).items() if isinstance(script, str)}


def parsed_script(script: str, scripts: Mapping[str, str], depth: int = 0) -> list[list[str]] | None:
    """A script's commands, one after the other; None if only a shell could tell what it does. Denied in doubt."""
    if len(script) > SCRIPT_CHARS_MAX or depth > SCRIPT_DEPTH_MAX or not script.isprintable():
        return None
    commands: list[list[str]] = []
    for piece in script.split("&&"):
        argv = words_of(piece)
        if not argv:
            return None
        if argv[0] in _RUNNERS:
            name = _script_named(argv)
            inner = parsed_script(scripts[name], scripts, depth + 1) if name in scripts else None
            if inner is None:
                return None
            commands += inner
        elif argv[0] == "npx":
            if len(argv) < 2 or argv[1].startswith("-"):
                return None
            commands.append(argv[1:])
        else:
            commands.append(argv)
    return commands


def _script_named(argv: Sequence[str]) -> str:
    rest = [word for word in argv[1:] if word not in ("run", "--silent", "-s")]
    return rest[0] if len(rest) == 1 else ""


def words_of(command: str) -> list[str] | None:
    """The words of one plain command; None if it is not that plain."""
    text = command.strip(" ")
    if not text or not text.isprintable() or not text.isascii() or _SHELL.search(text) or "&" in text:
        return None
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == " ":
            at += 1
            continue
        match = _WORD.match(text, at)
        # A quote in the middle of a word, or right behind one, is for a shell to make sense of.
        if match is None or (match.end() < len(text) and text[match.end()] != " "):
            return None
        words.append(next(part for part in match.groups() if part is not None))
        at = match.end()
    if not words or not words[0] or _ASSIGNED.match(words[0]) or words[0].startswith("-"):
        return None
    return words


# The others


def _others(files: Sequence[str], known: frozenset[str]) -> Iterator[Wanted]:
    for manifest in [path for path in files if path.rpartition("/")[2] == "go.mod"][:PACKAGES_MAX]:
        folder = manifest.rpartition("/")[0]
        yield Wanted("tests", "go", ("test", "./..."), folder, manifest)
        yield Wanted("lint", "go", ("vet", "./..."), folder, manifest)
    cargo = next((path for path in files if path.rpartition("/")[2] == "Cargo.toml"), "")
    if cargo:
        yield Wanted("tests", "cargo", ("test", "--offline", "--quiet"), cargo.rpartition("/")[0], cargo)
    if "pom.xml" in known:
        yield Wanted("tests", "mvn", ("-q", "-o", "-B", "test"), "", "pom.xml")
    gradle = next((path for path in ("build.gradle", "build.gradle.kts") if path in known), "")
    if gradle:
        yield Wanted("tests", "gradle", ("--offline", "--console=plain", "-q", "test"), "", gradle)


def _make(known: frozenset[str], read: Callable[[str], str]) -> Iterator[Wanted]:
    name = next((path for path in ("Makefile", "makefile", "GNUmakefile") if path in known), "")
    targets = set(_MAKE_TARGET.findall(read(name)[:MANIFEST_CHARS_MAX])) if name else set[str]()
    for kind, target in (("tests", "test"), ("tests", "check"), ("lint", "lint")):
        if target in targets:
            yield Wanted(kind, "make", (target,), "", f"{name}: {target}")
            targets -= {"check"} if target == "test" else set()
