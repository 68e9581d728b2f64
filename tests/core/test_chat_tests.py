import json

import pytest

from hearth.core.chat_tests import framework, is_test, manifests_for, plan


@pytest.mark.parametrize(
    ("language", "files", "manifests", "expected"),
    [
        ("python", [], {"pyproject.toml": "[tool.pytest.ini_options]\n"}, "pytest"),
        ("python", [], {"requirements-dev.txt": "ruff\npytest==9\n"}, "pytest"),
        ("python", [], {"pyproject.toml": 'dev = ["ruff", "pytest>=8"]'}, "pytest"),
        ("python", ["tests/conftest.py"], {}, "pytest"),
        ("python", ["tests/test_a.py"], {"pyproject.toml": "[project]\n"}, "unittest"),
        ("typescript", [], {"package.json": json.dumps({"devDependencies": {"vitest": "1"}})}, "vitest"),
        ("typescript", [], {"package.json": json.dumps({"devDependencies": {"ts-jest": "1"}})}, "jest"),
        ("javascript", [], {"package.json": json.dumps({"scripts": {"test": "mocha -r x"}})}, "mocha"),
        ("javascript", [], {"package.json": json.dumps({"scripts": {"test": "node --import x --test"}})}, "node"),
        ("javascript", [], {"package.json": json.dumps({"jest": {}})}, "jest"),
        ("javascript", ["vitest.config.ts"], {"package.json": "{"}, "vitest"),
        ("javascript", [], {}, "node"),
        ("go", [], {}, "go"),
        ("rust", [], {}, "cargo"),
        ("java", [], {"pom.xml": "<artifactId>junit-jupiter</artifactId>"}, "junit5"),
        ("java", [], {"pom.xml": "<artifactId>junit</artifactId>"}, "junit4"),
        ("ruby", [], {"Gemfile": "gem 'rspec'"}, "rspec"),
        ("php", [], {}, "phpunit"),
    ],
)
def test_the_framework(language: str, files: list[str], manifests: dict[str, str], expected: str):
    found = framework(language, files, manifests)
    assert found
    assert found.id == expected
    assert found.why


def test_no_framework_is_known():
    assert framework("markdown", [], {}) is None
    assert plan("markdown", "a.md", [], {}) is None


PYTEST = {"pytest.ini": "[pytest]"}
VITEST = {"package.json": json.dumps({"devDependencies": {"vitest": "1"}})}


@pytest.mark.parametrize(
    ("language", "document", "files", "manifests", "path", "exists", "neighbour"),
    [
        ("python", "pkg/a.py", ["pkg/a.py"], {}, "tests/test_a.py", False, ""),
        ("python", "src/pkg/a.py", ["src/pkg/a.py", "tests/test_a.py"], PYTEST, "tests/test_a.py", True, ""),
        (
            "python", "src/pkg/core/b.py", ["src/pkg/core/a.py", "src/pkg/core/b.py", "tests/core/test_a.py"], PYTEST,
            "tests/core/test_b.py", False, "tests/core/test_a.py",
        ),
        (
            "python", "pkg/core/b.py", ["pkg/core/a.py", "pkg/core/b.py", "tests/pkg/core/test_a.py"], PYTEST,
            "tests/pkg/core/test_b.py", False, "tests/pkg/core/test_a.py",
        ),
        ("python", "a.py", ["a.py", "b.py", "b_test.py"], PYTEST, "a_test.py", False, "b_test.py"),
        (
            "python", "tests/test_x.py", ["tests/test_x.py", "tests/test_y.py"], PYTEST,
            "tests/test_x.py", True, "tests/test_y.py",
        ),
        ("typescript", "src/a.ts", ["src/a.ts"], VITEST, "src/a.test.ts", False, ""),
        (
            "typescript", "src/a.ts", ["src/a.ts", "src/b.ts", "src/__tests__/b.spec.ts"], VITEST,
            "src/__tests__/a.spec.ts", False, "src/__tests__/b.spec.ts",
        ),
        (
            "typescriptreact", "src/ui/A.tsx", ["src/ui/A.tsx", "src/ui/B.tsx", "test/ui/B.test.tsx"], VITEST,
            "test/ui/A.test.tsx", False, "test/ui/B.test.tsx",
        ),
        ("go", "internal/x/a.go", ["internal/x/a.go"], {}, "internal/x/a_test.go", False, ""),
        (
            "java", "src/main/java/org/x/Foo.java", [], {},
            "src/test/java/org/x/FooTest.java", False, "",
        ),
        ("ruby", "lib/a.rb", ["lib/a.rb"], {"Gemfile": "gem 'rspec'"}, "spec/a_spec.rb", False, ""),
        ("csharp", "src/Foo.cs", ["src/Foo.cs", "test/BarTests.cs"], {}, "test/FooTests.cs", False, "test/BarTests.cs"),
    ],
)  # fmt: skip
def test_where_tests_go(
    language: str, document: str, files: list[str], manifests: dict[str, str], path: str, exists: bool, neighbour: str
):
    found = plan(language, document, files, manifests)
    assert found
    assert (found.path, found.exists, found.neighbour) == (path, exists, neighbour)


def test_tests_of_rust_are_in_the_file():
    found = plan("rust", "src/a.rs", ["src/a.rs", "tests/it.rs"], {})
    assert found
    assert (found.path, found.inside, found.neighbour) == ("src/a.rs", True, "tests/it.rs")


def test_what_is_a_test():
    assert [
        p for p in ("a/test_x.py", "x_test.go", "x.spec.ts", "a/__tests__/x.ts", "FooTest.java") if not is_test(p)
    ] == []
    assert [p for p in ("latest.py", "contest.ts", "a/testing.py", "attest.go", "Test/x.py") if is_test(p)] == []


def test_manifests_are_looked_for_upwards():
    paths = manifests_for("a/b/c.py")
    assert paths.index("a/b/package.json") < paths.index("a/package.json") < paths.index("package.json")
