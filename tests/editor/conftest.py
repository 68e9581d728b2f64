"""Fixtures of the tests that drive the real editor. `scripts/test` brings what they need."""

import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import harness
import provision

FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .vsix, installed once; every workbench has settings and storage of its own beside it."""
    if absent := harness.missing():
        pytest.fail(f"not there: {absent}. Run scripts/test, or scripts/test --fast to leave the editor out.")
    return harness.install(tmp_path_factory.mktemp("installed"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the editor looked like at a failure: here, or in the fixture of those that open one themselves."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    if report.failed and isinstance(item, pytest.Function):
        for bench in [one for one in item.funcargs.values() if isinstance(one, harness.Workbench)]:
            with suppress(AssertionError):
                bench.page.shot(f"failed-{item.name}")
    return report


@pytest.fixture(scope="module")
def open_shared(tmp_path_factory: pytest.TempPathFactory, extensions: Path) -> Iterator[harness.Open]:
    """`open_workbench` for one that lives as long as the tests of a file."""
    with ExitStack() as stack:

        def open_(files: dict[str, str], **options: Any) -> harness.Workbench:
            options.setdefault("settings", {"hearth.serverPath": str(provision.venv_tool("hearth"))})
            root = tmp_path_factory.mktemp("shared")
            return stack.enter_context(harness.workbench(root, extensions, files, **options))

        yield open_


@pytest.fixture
def open_workbench(request: pytest.FixtureRequest, tmp_path: Path, extensions: Path) -> Iterator[harness.Open]:
    """`open_workbench(files, **options)`: a workbench that lives as long as the test."""
    with ExitStack() as stack:

        def open_(files: dict[str, str], **options: Any) -> harness.Workbench:
            options.setdefault("settings", {"hearth.serverPath": str(provision.venv_tool("hearth"))})
            made: AbstractContextManager[harness.Workbench] = harness.workbench(tmp_path, extensions, files, **options)
            opened.append(stack.enter_context(made))
            return opened[-1]

        opened: list[harness.Workbench] = []
        yield open_
        if request.node.stash.get(FAILED, False):
            for bench in opened:
                bench.page.shot(f"failed-{request.node.name}")
