"""How a project tests: its framework, the file where tests of a document belong, and a file whose style to follow.

By names of files and the texts of manifests alone: nothing is run.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from hearth.core.grammars import language_of
from hearth.core.jsonlike import table

FILES_LOOKED_AT_MAX = 20_000
MANIFESTS = (
    "pyproject.toml", "pytest.ini", "setup.cfg", "tox.ini", "noxfile.py", "requirements.txt", "requirements-dev.txt",
    "dev-requirements.txt", "requirements/dev.txt", "requirements/test.txt", "package.json", "deno.json", "bunfig.toml",
    "pom.xml", "build.gradle", "build.gradle.kts", "Gemfile", "composer.json", "pubspec.yaml", "Cargo.toml", "go.mod",
)  # fmt: skip
"""Looked for beside the document and in each folder above it."""
_SCRIPTS = frozenset(("javascript", "javascriptreact", "typescript", "typescriptreact"))


@dataclass(frozen=True, slots=True)
class Framework:
    """`id`: of FRAMEWORKS. `why`: a clause: what shows that it is this one."""

    id: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`path`: where the tests go; `exists`: they are added to it. `inside`: it is the document itself (Rust).
    `neighbour`: another test file whose style to follow, "" for none."""

    framework: Framework
    path: str
    exists: bool
    neighbour: str
    inside: bool = False


FRAMEWORKS: dict[str, str] = {
    "pytest": "pytest: plain functions named test_..., plain assert, fixtures as parameters",
    "unittest": "unittest: a TestCase class with test_... methods",
    "jest": "Jest: describe, it, expect",
    "vitest": "Vitest: import { describe, expect, it } from 'vitest'",
    "mocha": "Mocha: describe and it, with the assertion library that the project uses",
    "ava": "AVA: import test from 'ava'",
    "node": "Node's own runner: node:test and node:assert/strict",
    "bun": "Bun's runner: import { describe, expect, it } from 'bun:test'",
    "deno": "Deno.test with the standard assertions",
    "go": "go test: func TestXxx(t *testing.T), table driven where there are several cases",
    "cargo": "cargo test: a module `#[cfg(test)] mod tests` with #[test] functions at the end of the file",
    "junit5": "JUnit 5: org.junit.jupiter.api, methods with @Test",
    "junit4": "JUnit 4: org.junit.Test and org.junit.Assert",
    "testng": "TestNG: org.testng.annotations.Test",
    "xunit": "xUnit: [Fact] and [Theory]",
    "nunit": "NUnit: [TestFixture] and [Test]",
    "mstest": "MSTest: [TestClass] and [TestMethod]",
    "rspec": "RSpec: describe, it, expect",
    "minitest": "Minitest: a class that inherits Minitest::Test",
    "phpunit": "PHPUnit: a class that extends TestCase",
    "pest": "Pest: it(...) and expect(...)",
    "dart": "package:test: group, test, expect",
    "flutter": "flutter_test: testWidgets and test",
    "gtest": "GoogleTest: TEST(Suite, Name)",
    "bats": "Bats: @test blocks",
}


def manifests_for(document: str) -> tuple[str, ...]:
    """Paths of the manifests that may say something of a document, the nearest first."""
    parts = document.split("/")[:-1]
    folders = ["/".join(parts[:n]) for n in range(len(parts), -1, -1)]
    return tuple(f"{folder}/{name}" if folder else name for folder in folders for name in MANIFESTS)


def framework(language: str, files: Sequence[str], manifests: Mapping[str, str]) -> Framework | None:
    """What the project tests this language with; `manifests`: path -> text, the nearest first. None where no
    framework is known for the language."""
    found = _found(language, [*files[:FILES_LOOKED_AT_MAX]], manifests)
    if found is None:
        return None
    identifier, why = found
    return Framework(identifier, FRAMEWORKS[identifier].partition(":")[0], why)


def _found(language: str, files: list[str], manifests: Mapping[str, str]) -> tuple[str, str] | None:
    if language == "python":
        return _python(files, manifests)
    if language in _SCRIPTS or language in ("vue", "svelte"):
        return _script(files, manifests)
    fixed = {"go": "go", "rust": "cargo"}.get(language)
    if fixed:
        return fixed, "that is the language's own"
    words = _BY_WORDS.get(language)
    if words is None:
        return None
    for path, text in manifests.items():
        for word, identifier in words[1]:
            if word in text:
                return identifier, f"{path} names it"
    return words[0], "nothing else is set up"


_BY_WORDS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "java": (
        "junit5",
        (("jupiter", "junit5"), ("testng", "testng"), ("junit:junit", "junit4"), ("<artifactId>junit<", "junit4")),
    ),
    "kotlin": ("junit5", (("jupiter", "junit5"), ("junit:junit", "junit4"))),
    "csharp": ("xunit", (("xunit", "xunit"), ("NUnit", "nunit"), ("MSTest", "mstest"))),
    "ruby": ("minitest", (("rspec", "rspec"), ("minitest", "minitest"))),
    "php": ("phpunit", (("pestphp/pest", "pest"), ("phpunit", "phpunit"))),
    "dart": ("dart", (("flutter_test", "flutter"), ("test:", "dart"))),
    "c": ("gtest", ()),
    "cpp": ("gtest", ()),
    "shellscript": ("bats", ()),
}  # fmt: skip


def _python(files: list[str], manifests: Mapping[str, str]) -> tuple[str, str]:
    for path, text in manifests.items():
        name = path.rpartition("/")[2]
        if name == "pytest.ini" or "[tool.pytest" in text or "[tool:pytest]" in text or "[pytest]" in text:
            return "pytest", f"{path} configures it"
        if re.search(r"(?m)^\s*[\"']?pytest\b", text) or re.search(r"[\"'\s]pytest(?:[\"'<>=~! \[;]|$)", text):
            return "pytest", f"{path} names it"
    if conftest := next((path for path in files if path.rpartition("/")[2] == "conftest.py"), ""):
        return "pytest", f"there is {conftest}"
    return "unittest", "nothing else is set up"


def _script(files: list[str], manifests: Mapping[str, str]) -> tuple[str, str]:
    order = ("vitest", "jest", "mocha", "ava")
    for path, text in manifests.items():
        name = path.rpartition("/")[2]
        if name == "deno.json":
            return "deno", f"there is {path}"
        if name != "package.json":
            continue
        try:
            package = table(json.loads(text))
        except (ValueError, RecursionError):
            continue
        known = {*table(package.get("dependencies")), *table(package.get("devDependencies")), *package}
        script = " ".join(map(str, table(package.get("scripts")).values()))
        for one in order:
            if re.search(rf"\b{one}\b", script):
                return one, f"{path} runs it"
        for one in order:
            if one in known or f"ts-{one}" in known or f"@{one}/globals" in known:
                return one, f"{path} names it"
        if "bun test" in script:
            return "bun", f"{path} runs it"
        if re.search(r"node .*--test\b", script):
            return "node", f"{path} runs it"
    for one in order:
        if config := next(
            (p for p in files if re.fullmatch(rf"(?:.*/)?\.?{one}(?:\.config\.\w+|rc(?:\.\w+)?)", p)), ""
        ):
            return one, f"there is {config}"
    return "node", "nothing else is set up"


# Where tests are

_TEST = re.compile(
    r"(?:^|/)(?:test_[^/]*\.py|[^/]*_test\.(?:py|go|dart|cc|cpp|rb|exs?)|[^/]*_spec\.rb|[^/]*[.-](?:test|spec)\.[cm]?[jt]sx?"
    r"|[^/]*Tests?\.(?:java|kt|cs|php|swift)|test_[^/]*\.(?:rb|c|cc|cpp|sh|bats)|[^/]*\.bats|[^/]*_test\.\w+)$"
)
_FOLDERS = ("tests", "test", "__tests__", "spec", "src/test/java", "src/test/kotlin")
_SOURCES = ("src", "lib", "app", "source", "server", "python", "src/main/java", "src/main/kotlin")


def is_test(path: str) -> bool:
    """Whether a path is that of a file of tests, by its name or its folder."""
    return bool(_TEST.search(path)) or "/__tests__/" in f"/{path}"


def plan(language: str, document: str, files: Sequence[str], manifests: Mapping[str, str]) -> Plan | None:
    """Where the tests of a document go; None where no framework is known. `files`: those of its folder."""
    chosen = framework(language, files, manifests)
    if chosen is None:
        return None
    files = files[:FILES_LOOKED_AT_MAX]
    tests = [path for path in files if is_test(path) and _kin(language_of(path), language)]
    if chosen.id == "cargo":
        other = next((p for p in files if p.startswith("tests/") and p.endswith(".rs")), "")
        return Plan(chosen, document, True, other, inside=True)
    if is_test(document):
        return Plan(chosen, document, True, _nearest(document, [t for t in tests if t != document]))
    names = _names(chosen.id, language, PurePosixPath(document), tests)
    there = [path for path in tests if path.rpartition("/")[2] in names]
    if there:
        path = _nearest(document, there)
        return Plan(chosen, path, True, _nearest(path, [t for t in tests if t != path]))
    path = _place(language, document, names[0], tests, files)
    return Plan(chosen, path, path in set(files), _nearest(path, [t for t in tests if t != path]))


def _kin(one: str, other: str) -> bool:
    return one == other or (one in _SCRIPTS and other in (*_SCRIPTS, "vue", "svelte"))


def _names(identifier: str, language: str, document: PurePosixPath, tests: Sequence[str]) -> list[str]:
    """What a test file of a document may be called, the project's own way first."""
    stem, ending = document.name.partition(".")[0], document.suffix
    if language in _SCRIPTS or language in ("vue", "svelte"):
        ending = ".ts" if language in ("vue", "svelte") else ending
        used = Counter("spec" if ".spec." in t else "test" for t in tests)
        words = ["spec", "test"] if used["spec"] > used["test"] else ["test", "spec"]
        return [f"{stem}.{word}{ending}" for word in words]
    upper = stem[:1].upper() + stem[1:]
    if identifier in ("junit4", "junit5", "testng", "xunit", "nunit", "mstest", "phpunit", "pest"):
        many = identifier in ("xunit", "nunit", "mstest")
        return [f"{upper}Test{'s' if many else ''}{ending}", f"{upper}Test{'' if many else 's'}{ending}"]
    if identifier == "rspec":
        return [f"{stem}_spec{ending}"]
    if identifier == "bats":
        return [f"{stem}.bats", f"test_{stem}.sh"]
    before = sum(t.rpartition("/")[2].startswith("test_") for t in tests)
    first = identifier in ("pytest", "unittest", "minitest") and (before * 2 >= len(tests))
    both = [f"test_{stem}{ending}", f"{stem}_test{ending}"]
    return both if first or (before and before * 2 > len(tests)) else both[::-1]


def _place(language: str, document: str, name: str, tests: Sequence[str], files: Sequence[str]) -> str:
    """The path of a new test file: as the project's other tests lie to what they test, else as the language has it."""
    folder = document.rpartition("/")[0]
    by_stem: dict[str, list[str]] = {}
    for path in files:
        if not is_test(path):
            by_stem.setdefault(path.rpartition("/")[2].partition(".")[0], []).append(path)
    ways: Counter[str] = Counter()
    for test in tests:
        stem = re.sub(r"^test_|(?:_test|_spec|Tests?|\.test|\.spec)$", "", test.rpartition("/")[2].rpartition(".")[0])
        sources = by_stem.get(stem) or by_stem.get(stem.partition(".")[0]) or ()
        for source in sources:
            ways.update(way for way in _WAYS if _put(way, source.rpartition("/")[0], test.rpartition("/")[2]) == test)
    if ways:
        return _put(max(ways, key=lambda way: (ways[way], -_WAYS.index(way))), folder, name)
    if tests:
        return f"{_nearest(document, tests).rpartition('/')[0]}/{name}".lstrip("/")
    if language == "go":
        return _put("beside", folder, name)
    if language in ("java", "kotlin"):
        return _put(f"mirror src/main/{language} src/test/{language}", folder, name)
    if language in _SCRIPTS or language in ("vue", "svelte"):
        return _put("beside", folder, name)
    at = next((one for one in ("tests", "test", "spec") if any(path.startswith(one + "/") for path in files)), "tests")
    return _put(f"flat {'spec' if name.endswith('_spec.rb') else at}", folder, name)


_WAYS: tuple[str, ...] = (
    "beside",
    "below __tests__",
    "below tests",
    "below test",
    *(f"mirror {source} {tests}" for tests in _FOLDERS for source in _SOURCES),
    *(f"inner {source} {tests}" for tests in _FOLDERS for source in _SOURCES),
    *(f"under {tests}" for tests in _FOLDERS),
    *(f"package {tests}" for tests in _FOLDERS),
    *(f"flat {tests}" for tests in _FOLDERS),
)
"""beside: in the same folder. below: in a folder of it. mirror: `src/a/b` -> `tests/a/b`. inner: the same without the
package, `src/pkg/b` -> `tests/b`. under: `a/b` -> `tests/a/b`. package: `pkg/b` -> `tests/b`. flat: all in one
folder."""


def _put(way: str, folder: str, name: str) -> str:
    kind, _, rest = way.partition(" ")
    source, _, tests = rest.rpartition(" ")
    if kind == "below":
        parts = [folder, rest, name]
    elif kind == "flat":
        parts = [rest, name]
    elif kind == "under":
        parts = [rest, folder, name]
    elif kind == "package":
        parts = [rest, folder.partition("/")[2], name]
    elif kind in ("mirror", "inner"):
        if folder != source and not folder.startswith(source + "/"):
            return "" if kind == "inner" else _put(f"under {tests}", folder, name)
        inside = folder[len(source) :].strip("/")
        parts = [tests, inside.partition("/")[2] if kind == "inner" else inside, name]
    else:
        parts = [folder, name]
    return "/".join(part for part in parts if part)


def _nearest(path: str, others: Iterable[str]) -> str:
    """The path that shares most folders with another, then the shortest; "" for none."""
    here = path.split("/")[:-1]

    def distance(other: str) -> tuple[int, int, str]:
        there = other.split("/")[:-1]
        common = 0
        for a, b in zip(here, there, strict=False):
            if a != b:
                break
            common += 1
        return -common, len(there), other

    return min(others, key=distance, default="")
