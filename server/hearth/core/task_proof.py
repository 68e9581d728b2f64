"""What is proved of a change, and what is not: the difference between done, and done but not all of it verified.

Some findings only a model or a person can judge: a name that hangs in the air may be meant so, and lines that no test
runs may be right. Those are asked about, once or twice, and what stays of them is said in the certificate.
"""

from collections.abc import Mapping
from dataclasses import replace

from hearth.core.task_cover import of_interest
from hearth.core.task_protocol import Kind
from hearth.core.task_state import Finding, State

ASKED_MAX: Mapping[Kind, int] = {"name": 2, "uncovered": 1, "gone": 1}
"""How often findings of these kinds are put to a model, unless it waives the file."""
NO_TEST_RUN = "no test was run"
TESTS_FAIL = "tests fail that failed before"
TESTS_UNKNOWN = "some of the tests could not be run"
NAMED_MAX = 3
"""Files that a summary names."""


def judged_by_model(finding: Finding) -> bool:
    """Whether it is asked about, and not insisted on."""
    return finding.kind in ASKED_MAX


def mark(finding: Finding) -> str:
    """By which it is remembered that a finding was asked about: lines without a test once for each file."""
    return f"uncovered {finding.path}" if finding.kind == "uncovered" else finding.key


def waits(state: State, finding: Finding) -> bool:
    """Whether a finding is still to be put right, or to be asked about."""
    most = ASKED_MAX.get(finding.kind)
    return most is None or (finding.path not in state.waived and state.asked.get(mark(finding), 0) < most)


def asking(state: State, found: tuple[Finding, ...]) -> State:
    """With a round in which these are asked about."""
    asked = dict(state.asked)
    for one in found:
        if judged_by_model(one):
            asked[mark(one)] = asked.get(mark(one), 0) + 1
    return replace(state, asking=found, asked=asked)


def unproved(state: State) -> list[str]:
    """What nothing proves of a change in which nothing is known to be wrong, in sentences."""
    found = _of_tests(state)
    for one in state.findings:
        if judged_by_model(one):
            waived = state.waived.get(one.path, "")
            place = f"{one.path}{f':{one.line + 1}' if one.line >= 0 and one.kind != 'uncovered' else ''}: "
            found.append(f"{place if one.path else ''}{one.text}{f' (waived: {waived})' if waived else ''}")
    return [*found, *state.unknown]


def _of_tests(state: State) -> list[str]:
    """Why the tests themselves prove nothing, or not all: those that fail prove nothing of what they reach."""
    if not any(map(of_interest, state.changes)):
        return []
    seen = {check.status for check in state.checks if check.command.kind == "tests"}
    if not seen - {"not verified"}:
        return [NO_TEST_RUN]
    found = [TESTS_FAIL] if "failed" in seen else []
    return [*found, TESTS_UNKNOWN] if "not verified" in seen else found


def summary(state: State) -> str:
    """The same in a clause, "" if everything is proved."""
    said = _of_tests(state)
    paths = [one.path for one in state.findings if one.kind == "uncovered"]
    if paths:
        more = f" and {len(paths) - NAMED_MAX} more" if len(paths) > NAMED_MAX else ""
        said.append(f"no test ran all that changed in {', '.join(paths[:NAMED_MAX])}{more}")
    if count := sum(one.kind == "name" for one in state.findings):
        said.append(f"{count} name{'s hang' if count > 1 else ' hangs'} in the air")
    if count := sum(one.kind == "gone" for one in state.findings):
        said.append(f"{count} definition{'s are' if count > 1 else ' is'} gone, and nobody said so")
    if count := len(state.unknown):
        said.append(f"of {count} file{'s' if count > 1 else ''} it is not known what tests ran")
    return "; ".join(said)
