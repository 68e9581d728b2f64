"""What a check's output says: passed, failed and at what, or that it could not be run. Nothing is taken for passed that
does not say so."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hearth.core.task_protocol import Kind
from hearth.core.task_state import Check, Finding, Status
from hearth.core.task_survey import is_test

OUTPUT_CHARS_MAX = 400_000
FAILURES_MAX = 40
TEXT_CHARS_MAX = 300
TAIL_LINES = 12
NO_TEST = "no test was found"
MESSAGE_CHARS_MAX = 3_000

_KINDS: dict[str, Kind] = {"tests": "test", "lint": "lint", "types": "types", "build": "build"}
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PYTEST_LINE = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py)(?:::(\S+))?(?: - (.*))?$", re.MULTILINE)
_PYTEST_BLOCK = re.compile(
    r"^_{3,} (?:ERROR collecting )?(\S+) _{3,}\n(.*?)(?=^_{3,} \S|^=|\Z)", re.MULTILINE | re.DOTALL
)
_PYTHON_FRAME = re.compile(r"^(?:  File \")?([^\s:\"]+\.py)(?:\", line |:)(\d+)(?:: in |, in )", re.MULTILINE)
_NODE_FRAME = re.compile(r"(?:file://)?([\w./-]+\.[cm]?[jt]sx?):(\d+):\d+")
_PYTEST_SUMMARY = re.compile(r"^=*\s*((?:\d+ \w+(?:, )?)+) in [\d.]+s", re.MULTILINE)
_UNITTEST_LINE = re.compile(r"^(?:FAIL|ERROR): (\S+) \(([\w.]+)\)", re.MULTILINE)
_UNITTEST_RAN = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)
_UNITTEST_FAILED = re.compile(r"^FAILED \(([^)]*)\)", re.MULTILINE)
_TAP_FAILED = re.compile(
    r"^\s*not ok \d+ - (.+?)(?: # .*)?$|^\s*[✖×✗✕] (.+?)(?: \([\d.]+ ?ms\))?(?: \d+ms)?$", re.MULTILINE
)
_TAP_COUNT = re.compile(r"^(?:# |ℹ )(pass|fail) (\d+)$", re.MULTILINE)
_JEST_COUNT = re.compile(r"^\s*Tests:?\s+(.*)$", re.MULTILINE)
_JEST_FILE = re.compile(r"^\s*(?:FAIL|❯)\s+(\S+\.[cm]?[jt]sx?)(?: > (.*))?", re.MULTILINE)
_GO_FAILED = re.compile(r"^\s*--- FAIL: (\S+)", re.MULTILINE)
_CARGO_FAILED = re.compile(r"^test (\S+) \.\.\. FAILED|^---- (\S+) stdout ----", re.MULTILINE)
_CARGO_RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed", re.MULTILINE)
_CARGO_ERROR = re.compile(r"^error(?:\[\w+\])?: (.+)\n\s+--> ([^:\n]+):(\d+):", re.MULTILINE)
_JUNIT = re.compile(r"Tests run: (\d+), Failures: (\d+), Errors: (\d+)")
_JUNIT_FAILED = re.compile(r"^\[ERROR\]\s+(\w[\w.]*\.\w+:\d+.*)$|^(\w[\w.$]* > .+) FAILED$", re.MULTILINE)
_PLACED = re.compile(
    r"^\s*(?P<path>(?:[A-Za-z]:)?[^\s:(]+\.\w+)(?::(?P<line>\d+)(?::\d+)?|\((?P<row>\d+),\d+\))(?::| -)"
    r"\s*(?P<text>\S.*)$",
    re.MULTILINE,
)
_ESLINT = re.compile(r"^\s+(\d+):\d+\s+error\s+(.+?)(?:\s{2,}\S+)?$")
_PYTHON_ERROR = re.compile(r"^E\s+(.+)$", re.MULTILINE)
_MISSING = re.compile(
    r"No module named '?(?:pytest|mypy|unittest)'?$|command not found|is not recognized as|Cannot find module '[^.']"
    r"|Could not resolve dependencies|no matching package named|failed to (?:download|get) `|ERR_MODULE_NOT_FOUND"
    r"|Non-resolvable parent POM|Permission denied \(os error 13\)|Could not find or load main class",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended. `code`: None if it was ended from outside; `why_not`: why it could not be run, or did not
    come to its end. `root`: the copy's absolute path, which is cut off paths in the output."""

    code: int | None
    output: str
    why_not: str = ""
    root: str = ""


Judged = tuple[Status, str, int | None, int | None, tuple[Finding, ...]]
"""Status, summary, how many passed and failed, and the failures."""


def judged(command_kind: str, argv: Sequence[str], folder: str, ran: Ran) -> Judged:
    """What a command's run says."""
    text = _ANSI.sub("", ran.output[-OUTPUT_CHARS_MAX:])
    for prefix in ((f"{ran.root}/{folder}/" if folder else ""), f"{ran.root}/"):
        text = text.replace(prefix, "") if ran.root and prefix else text
    if ran.why_not or ran.code is None:
        return "not verified", ran.why_not or "it was ended", None, None, ()
    kind = _KINDS.get(command_kind, "test")
    passed, failed = _counts(text)
    failures = tuple(list(_failures(kind, text, argv, folder))[:FAILURES_MAX])
    summary = _summary(text, passed, failed)
    if ran.code == 0:
        if kind == "test" and passed == 0:
            return "not verified", NO_TEST, 0, failed, ()
        return "passed", summary or "it found nothing wrong", passed, failed, ()
    pytest = "pytest" in argv
    if (pytest and ran.code == 5) or (passed == 0 and failed in (0, None) and "unittest" in argv and not failures):
        return "not verified", NO_TEST, 0, 0, ()
    missing = _MISSING.search(text)
    if ran.code in (126, 127) or (missing and not failures):
        return (
            "not verified",
            f"it could not be run: {missing[0] if missing else f'exit code {ran.code}'}",
            None,
            None,
            (),
        )
    if not failures:
        tail = " / ".join(line.strip() for line in text.strip().split("\n")[-TAIL_LINES:] if line.strip())
        failures = (Finding(kind, "", f"{argv[0].rpartition('/')[2]} failed: {tail[-TEXT_CHARS_MAX:]}"),)
    return (
        "failed",
        summary or f"exit code {ran.code}",
        passed,
        failed if failed is not None else len(failures),
        failures,
    )


def _summary(text: str, passed: int | None, failed: int | None) -> str:
    if passed is None and failed is None:
        return next((line.strip()[:TEXT_CHARS_MAX] for line in reversed(text.strip().split("\n")) if line.strip()), "")
    return ", ".join([f"{passed or 0} passed", *([f"{failed} failed"] if failed else [])])


def _counts(text: str) -> tuple[int | None, int | None]:
    """How many passed and failed, where a known summary says so."""
    if found := _PYTEST_SUMMARY.findall(text):
        words = {name.rstrip("s"): int(count) for count, name in re.findall(r"(\d+) (\w+)", found[-1])}
        return words.get("passed", 0), words.get("failed", 0) + words.get("error", 0)
    if ran := _UNITTEST_RAN.search(text):
        bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", " ".join(_UNITTEST_FAILED.findall(text))))
        return int(ran[1]) - bad, bad
    if counts := dict(_TAP_COUNT.findall(text)):
        return int(counts.get("pass", 0)), int(counts.get("fail", 0))
    if (line := _JEST_COUNT.search(text)) and re.search(r"\d+ (?:passed|failed)", line[1]):
        words = {name: int(count) for count, name in re.findall(r"(\d+) (passed|failed)", line[1])}
        return words.get("passed", 0), words.get("failed", 0)
    if results := _CARGO_RESULT.findall(text):
        return sum(int(good) for good, _ in results), sum(int(bad) for _, bad in results)
    if runs := _JUNIT.findall(text):
        total, failures, errors = (int(part) for part in runs[-1])
        return total - failures - errors, failures + errors
    return None, None


def _failures(kind: Kind, text: str, argv: Sequence[str], folder: str) -> Iterator[Finding]:
    base = f"{folder}/" if folder else ""
    if kind == "test":
        yield from _failed_tests(text, argv, base)
        return
    yield from _placed(kind, text, base)


def _failed_tests(text: str, argv: Sequence[str], base: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for path, name, message in _pytest_lines(text) if "pytest" in argv else ():
        if f"{path} {name}" not in seen:
            seen.add(f"{path} {name}")
            yield Finding("test", base + path, _named(name or "it cannot be imported", message))
    if "unittest" in argv:
        blocks = re.split(r"^={20,}$", text, flags=re.MULTILINE)
        for name, owner in _UNITTEST_LINE.findall(text):
            block = next((one for one in blocks if f": {name} (" in one), "")
            frames = _PYTHON_FRAME.findall(block)
            last = [line for line in block.partition("\n\n----")[0].strip().split("\n") if line and line[0].isalpha()]
            full = owner if owner.endswith(f".{name}") else f"{owner}.{name}"
            yield Finding("test", "", _named(full, _placed_at(_place(frames, ""), last[-1] if last else "")))
    for one, other in _TAP_FAILED.findall(text):
        name = (one or other).strip()
        if name and name not in seen and not name.startswith("failing tests"):
            seen.add(name)
            yield Finding("test", "", _named(name, _node_message(text, name)))
    for path, name in _JEST_FILE.findall(text):
        if f"{path} {name}" not in seen:
            seen.add(f"{path} {name}")
            yield Finding("test", base + path, _named(name or "it failed", ""))
    for name in _GO_FAILED.findall(text):
        seen.add(name)
        yield Finding("test", "", _named(name, _message_near(text, name)))
    for one, other in _CARGO_FAILED.findall(text):
        if (name := one or other) not in seen:
            seen.add(name)
            yield Finding("test", "", _named(name, ""))
    for message, path, line in _CARGO_ERROR.findall(text):
        yield Finding("test", base + path, message[:TEXT_CHARS_MAX], int(line) - 1)
    for one, other in _JUNIT_FAILED.findall(text):
        yield Finding("test", "", _named((one or other).strip(), ""))
    if not seen and "go" in argv[0].rpartition("/")[2]:
        yield from _placed("test", text, base)


def _pytest_lines(text: str) -> Iterator[tuple[str, str, str]]:
    """(file, test, message with the place of the fault) of each failure."""
    errors = _PYTHON_ERROR.findall(text)
    blocks = {match[1]: match[2] for match in _PYTEST_BLOCK.finditer(text)}
    for path, name, message in _PYTEST_LINE.findall(text):
        block = blocks.get(name.rpartition("::")[2].replace("::", "."), "") or (
            blocks.get(path, "") if not name else ""
        )
        said = message
        if (not said or said.endswith("...")) and len(errors) == 1:
            said = errors[0]
        elif not name and errors:
            said = f"{message}: {errors[-1]}" if message else errors[-1]
        place = _place(_PYTHON_FRAME.findall(block), path)
        yield path, name, _placed_at(place, said)


def _placed_at(place: str, message: str) -> str:
    return f"at {place}: {message}" if place else message


def _place(frames: Sequence[tuple[str, str]], test: str) -> str:
    """The last place in the project's own code that a failure went through, where it is not the test itself."""
    own = [
        (path, line) for path, line in frames if not path.startswith(("/", "<")) and path != test and not is_test(path)
    ]
    return f"{own[-1][0]}:{own[-1][1]}" if own else ""


def _message_near(text: str, name: str) -> str:
    """The first line behind a failed test's name that looks like its message."""
    _, _, rest = text.partition(name)
    for line in rest.split("\n")[1:20]:
        found = re.search(r"error: ['\"|>-]*\s*(\S.*)|(\w*Error\b.*)|(\w+_test\.go:\d+: .*)", line)
        if found:
            return next(part for part in found.groups() if part).strip().strip("'\"")
    return ""


def _node_message(text: str, name: str) -> str:
    """What a failed test of node says, and the first place of the project that it was at."""
    said = _message_near(text, name)
    _, _, rest = text.partition(name)
    for path, line in _NODE_FRAME.findall(rest[:MESSAGE_CHARS_MAX]):
        if not path.startswith(("/", "node:")) and not re.search(r"\.test\.|(?:^|/)tests?/", path):
            return _placed_at(f"{path}:{line}", said)
    return said


def _named(name: str, message: str) -> str:
    message = " ".join(message.split())
    return (f"{name}: {message}" if message else name)[:TEXT_CHARS_MAX]


def _placed(kind: Kind, text: str, base: str) -> Iterator[Finding]:
    """Lines that name a place and what is wrong there."""
    seen: set[tuple[str, str]] = set()
    for match in _PLACED.finditer(text):
        said = " ".join(match["text"].split())[:TEXT_CHARS_MAX]
        if said.startswith(("note:", "warning:", "warning ")) or match["path"].startswith(("http", "node:")):
            continue
        if (match["path"], said) not in seen:
            seen.add((match["path"], said))
            path = match["path"].removeprefix("./")
            yield Finding(
                kind, path if path.startswith("/") else base + path, said, int(match["line"] or match["row"]) - 1
            )
    path = ""
    for line in text.split("\n"):
        if re.fullmatch(r"\S+\.[cm]?[jt]sx?", line.strip()):
            path = line.strip()
        elif path and (found := _ESLINT.match(line)):
            yield Finding(
                kind, path if path.startswith("/") else base + path, found[2][:TEXT_CHARS_MAX], int(found[1]) - 1
            )


def identity(finding: Finding) -> str:
    """The same for a failure before and after a change, even where its message differs."""
    text = finding.text.partition(": ")[0] if finding.kind == "test" else finding.text
    return f"{finding.kind} {finding.path} {text}"


def new_failures(baseline: Iterable[Check], checks: Iterable[Check]) -> list[Finding]:
    """The failures that were not there before, command by command."""
    before = {_command(check): check for check in baseline}
    found: list[Finding] = []
    for check in checks:
        old = before.get(_command(check))
        known = {identity(one) for one in old.failures} if old and old.status == "failed" else set[str]()
        found += [one for one in check.failures if identity(one) not in known]
        if old and old.passed and check.command.kind == "tests" and check.summary == NO_TEST:
            found.append(Finding("test", "", f"no test is found any more, where {old.passed} passed before"))
    return found


def _command(check: Check) -> tuple[tuple[str, ...], str]:
    return check.command.argv, check.command.folder
