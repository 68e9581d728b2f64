"""The one gate: every class of source for every purpose and place, and what no combination may loosen."""

import itertools
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.origin import DESTINATIONS, PRODUCT, USER, Destination, Origin, file_origin, summary_of, tool_origin
from hearth.core.policy import CLASSES, FILES_MAX, PURPOSES, VERDICTS, Decision, Purpose, Rules, Verdict, decide

HERE = "/home/me/work"


def ignored(folder: str, path: str) -> str | None:
    assert folder, "asked for a file that is in no folder"
    return f".cursorignore ({path.partition('/')[0]})" if path.startswith("hidden") else None


def opened(folder: str, path: str) -> bool:
    return "open" in path


RULES = Rules(ignored, opened, never=("customers/**", "*.private"), trusted=True, cloud=True)
APPROVED = replace(RULES, approved=True)
LETTERS: dict[Verdict, str] = {"allow": "a", "redact": "m", "ask": "c", "deny": "d"}


@dataclass(frozen=True)
class Case:
    kind: str
    origins: tuple[Origin, ...]
    machine: str
    own: str
    cloud: str


# The table once more, from the words and written down by hand: nobody changes one place by mistake.
CASES = (
    Case("product", (PRODUCT,), "aaaaa", "aaaad", "adaad"),
    Case("words", (USER,), "aaaam", "mmmmd", "cdccd"),
    Case("output", (Origin("tool", name="pytest"), tool_origin("git log")), "aaaam", "mmmmd", "cdccd"),
    Case(
        "file",
        (
            file_origin(HERE, "src/a.py"),
            file_origin(HERE, "src/open.py", 3, 9),
            file_origin("", ""),
            Origin("tool", "src/a.py", HERE, name="read"),
            Origin("user", "src/a.py", HERE),
        ),
        "aaaam",
        "mmmmd",
        "cdccd",
    ),
    Case("loose", (file_origin("", "/tmp/open.txt"), file_origin("", "C:\\open.txt")), "adadm", "mdmdd", "cdcdd"),
    Case("shown", (file_origin(HERE, "hidden/open.py"),), "adadd", "mdmdd", "ddddd"),
    Case(
        "never",
        (
            file_origin(HERE, "customers/list.py"),
            file_origin(HERE, "Customers/open.py"),
            file_origin(HERE, "notes.PRIVATE"),
            file_origin("", "/x/open.private"),
        ),
        "a....",
        "ddddd",
        "ddddd",
    ),
    Case("unknown", (Origin("summary"), summary_of([])), "adaam", "ddddd", "ddddd"),
    Case(
        "ignored",
        (file_origin(HERE, "hidden/a.py"), Origin("tool", "hidden/a.py", HERE), Origin("product", "hidden/a", HERE)),
        "ddddd",
        "ddddd",
        "ddddd",
    ),
    Case("outside", (file_origin("", "/etc/hosts"),), "ddddd", "ddddd", "ddddd"),
    Case(
        "secret",
        (
            file_origin(HERE, ".env"),
            file_origin(HERE, ".ENV.local"),
            file_origin(HERE, "open/.env"),
            file_origin(HERE, "deploy/id_rsa"),
            file_origin(HERE, ".git/config"),
            file_origin("/home/me/.ssh", "open"),
            file_origin("", "/home/me/.aws/open"),
        ),
        "ddddd",
        "ddddd",
        "ddddd",
    ),
    Case(
        "odd",
        (
            file_origin(HERE, "../work-evil/open.py"),
            file_origin(HERE, "src/../../open.py"),
            file_origin(HERE, "src\\..\\open.py"),
            file_origin(HERE, "/etc/open"),
            file_origin(HERE, "C:\\open"),
            file_origin(HERE, "open\0.py"),
            file_origin("", "open.py"),
        ),
        "ddddd",
        "ddddd",
        "ddddd",
    ),
)
CLASSED = [(case, origin) for case in CASES for origin in case.origins]
ORIGINS = [origin for _, origin in CLASSED]


def letters(origin: Origin, destination: Destination, rules: Rules = RULES) -> str:
    return "".join(LETTERS[decide([origin], destination, purpose, rules).verdict] for purpose in PURPOSES)


def strictness(decision: Decision) -> int:
    return VERDICTS.index(decision.verdict)


def test_every_class_has_its_cases() -> None:
    assert {case.kind for case in CASES} == set(CLASSES)


@pytest.mark.parametrize(("case", "origin"), CLASSED, ids=lambda value: getattr(value, "kind", None))
def test_the_table(case: Case, origin: Origin) -> None:
    for destination, expected in (("machine", case.machine), ("own", case.own), ("cloud", case.cloud)):
        found = letters(origin, destination)
        assert all(want in (".", got) for want, got in zip(expected, found, strict=True)), (destination, found)


def test_what_never_leaves_is_an_ordinary_file_at_home() -> None:
    assert letters(file_origin(HERE, "customers/list.py"), "machine") == "aaaad"


@pytest.mark.parametrize("origin", ORIGINS)
def test_consent_opens_what_needs_consent_and_nothing_else(origin: Origin) -> None:
    for destination in DESTINATIONS:
        assert letters(origin, destination, APPROVED) == letters(origin, destination).replace("c", "m")


@pytest.mark.parametrize("origin", ORIGINS)
def test_nothing_leaves_an_untrusted_workspace(origin: Origin) -> None:
    rules = replace(APPROVED, trusted=False)
    assert letters(origin, "own", rules) == letters(origin, "cloud", rules) == "ddddd"
    assert letters(origin, "machine", rules) == letters(origin, "machine")


@pytest.mark.parametrize("origin", ORIGINS)
def test_nothing_goes_to_a_cloud_that_is_switched_off(origin: Origin) -> None:
    rules = replace(APPROVED, cloud=False)
    assert letters(origin, "cloud", rules) == "ddddd"
    assert letters(origin, "own", rules) == letters(origin, "own", APPROVED)


def test_what_is_not_said_is_forbidden() -> None:
    bare = Rules(ignored)
    assert letters(USER, "own", bare) == letters(USER, "cloud", bare) == "ddddd"
    assert letters(file_origin(HERE, "hidden/open.py"), "machine", bare) == "ddddd"


@pytest.mark.parametrize("destination", DESTINATIONS)
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_text_from_nowhere_is_denied(destination: Destination, purpose: Purpose) -> None:
    decision = decide([], destination, purpose, APPROVED)
    assert (decision.verdict, decision.origin) == ("deny", None)


def test_a_text_from_too_many_places_is_denied() -> None:
    many = [file_origin(HERE, f"src/{number}.py") for number in range(FILES_MAX + 1)]
    assert decide(many, "machine", "prompt", APPROVED).verdict == "deny"
    assert decide(many[1:], "machine", "prompt", APPROVED).verdict == "allow"


def test_a_rule_without_a_name_is_a_rule() -> None:
    assert letters(file_origin(HERE, "a.py"), "machine", replace(RULES, ignored=lambda folder, path: "")) == "ddddd"


def test_an_excluded_file_does_not_leave_in_other_words() -> None:
    """A19: one gate, whatever the feature: the canary is in a tool's output, its summary, a summary of that."""
    canary = file_origin(HERE, "hidden/canary.py")
    ways = (
        canary,
        Origin("tool", "hidden/canary.py", HERE, name="read"),
        tool_origin("grep", [canary]),
        summary_of([USER, canary]),
        summary_of([summary_of([tool_origin("grep", [summary_of([canary])])]), PRODUCT]),
    )
    for way, destination, purpose in itertools.product(ways, DESTINATIONS, PURPOSES):
        decision = decide([way, PRODUCT, USER], destination, purpose, APPROVED)
        assert decision.verdict == "deny", (way, destination, purpose)
        assert decide([PRODUCT, USER, way], destination, purpose, APPROVED).verdict == "deny"


def test_a_repository_has_no_say() -> None:
    """A01-A03 as far as a decision can hold them: nothing that lies in the workspace loosens a rule, since a rule comes
    as an argument only, and a callable that says "not ignored" opens neither secrets nor what never leaves."""
    lenient = Rules(lambda folder, path: None, lambda folder, path: True, RULES.never, True, True, True)
    for path in (".env", ".vscode/.env", "customers/list.py", "x.private", ".netrc"):
        assert decide([file_origin(HERE, path)], "cloud", "prompt", lenient).verdict == "deny"


HIDDEN = ".cursorignore (hidden)"
REASONS = (
    (
        file_origin(HERE, ".env"),
        "cloud",
        "prompt",
        ".env is a file of secrets by its name, so it does not go to the cloud",
    ),
    (
        file_origin(HERE, ".env"),
        "machine",
        "prompt",
        ".env is a file of secrets by its name, so it goes into no prompt",
    ),
    (file_origin(HERE, "hidden/a"), "machine", "index", f"hidden/a is excluded by {HIDDEN}, so it is not indexed"),
    (file_origin(HERE, "hidden/a"), "own", "log", f"hidden/a is excluded by {HIDDEN}, so it is not written to a log"),
    (
        file_origin(HERE, "x.private"),
        "own",
        "tool",
        "x.private must never leave, by '*.private' of privacy.never, so it does not leave this machine",
    ),
    (
        file_origin(HERE, "hidden/open"),
        "machine",
        "prompt",
        f"hidden/open is open, though excluded by {HIDDEN}, so it may be used on this machine",
    ),
    (
        file_origin(HERE, "a.py", 2, 4),
        "cloud",
        "prompt",
        "a.py is a file of the workspace, so it may go to the cloud with its secrets masked, if you agree",
    ),
    (USER, "own", "prompt", "your words were typed for this, so it may go to a host of yours with its secrets masked"),
    (PRODUCT, "cloud", "prompt", "Hearth says the same to everybody, so it may go to the cloud"),
    (
        Origin("summary"),
        "cloud",
        "prompt",
        "a summary does not say what it was made from, so it does not go to the cloud",
    ),
    (file_origin("", "/etc/hosts"), "machine", "read", "/etc/hosts is not in the workspace, so it is not read"),
)


@pytest.mark.parametrize(("origin", "destination", "purpose", "words"), REASONS)
def test_reasons(origin: Origin, destination: Destination, purpose: Purpose, words: str) -> None:
    assert decide([origin], destination, purpose, RULES).reason == words


def test_the_reason_is_that_of_the_source_that_decided() -> None:
    decision = decide([PRODUCT, USER, file_origin(HERE, ".env"), file_origin(HERE, "hidden/a")], "own", "prompt", RULES)
    assert decision.origin == file_origin(HERE, ".env")
    assert decide([USER, file_origin(HERE, "a.py")], "own", "prompt", RULES).origin == USER
    assert "not trusted" in decide([USER], "own", "prompt", replace(RULES, trusted=False)).reason


SOME = st.lists(st.sampled_from(ORIGINS), min_size=1, max_size=5)
NESTED = st.recursive(st.sampled_from(ORIGINS), lambda inner: st.lists(inner, min_size=1, max_size=3).map(summary_of))
ALL_RULES = st.builds(
    Rules,
    st.just(ignored),
    st.sampled_from([opened, lambda folder, path: False]),
    st.sampled_from([(), RULES.never, ("**",)]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
PLACES, USES = st.sampled_from(DESTINATIONS), st.sampled_from(PURPOSES)


@given(SOME, NESTED, PLACES, USES, ALL_RULES)
def test_one_more_origin_never_loosens(
    origins: list[Origin], more: Origin, at: Destination, use: Purpose, rules: Rules
):
    alone = decide(origins, at, use, rules)
    for together in ([*origins, more], [more, *origins], [summary_of([*origins, more])]):
        assert strictness(decide(together, at, use, rules)) >= strictness(alone)


@given(SOME, PLACES, USES, ALL_RULES)
def test_a_set_is_as_strict_as_its_strictest(origins: list[Origin], at: Destination, use: Purpose, rules: Rules):
    single = max(strictness(decide([origin], at, use, rules)) for origin in origins)
    assert strictness(decide(origins, at, use, rules)) == single


@given(st.lists(NESTED, min_size=1, max_size=4), USES, ALL_RULES)
def test_farther_away_is_never_milder(origins: list[Origin], use: Purpose, rules: Rules):
    found = [strictness(decide(origins, at, use, rules)) for at in DESTINATIONS]
    assert found == sorted(found)


@given(st.lists(NESTED, min_size=1, max_size=4), PLACES, USES, ALL_RULES)
def test_a_summary_may_do_what_its_sources_may(origins: list[Origin], at: Destination, use: Purpose, rules: Rules):
    assert decide([summary_of(origins)], at, use, rules).verdict == decide(origins, at, use, rules).verdict


@given(SOME, PLACES, USES, ALL_RULES)
def test_more_rules_are_stricter(origins: list[Origin], at: Destination, use: Purpose, rules: Rules):
    before = strictness(decide(origins, at, use, rules))
    for stricter in (
        replace(rules, never=(*rules.never, "src/**")),
        replace(rules, trusted=False),
        replace(rules, cloud=False),
        replace(rules, approved=False),
        replace(rules, ignored=lambda folder, path: "a rule"),
        replace(rules, opened=lambda folder, path: False),
    ):
        assert strictness(decide(origins, at, use, stricter)) >= before


@given(SOME, PLACES, USES, ALL_RULES)
def test_the_order_of_origins_does_not_matter(origins: list[Origin], at: Destination, use: Purpose, rules: Rules):
    assert decide(origins[::-1], at, use, rules).verdict == decide(origins, at, use, rules).verdict


@given(SOME, PLACES, USES, ALL_RULES)
def test_every_decision_says_why_and_by_whom(origins: list[Origin], at: Destination, use: Purpose, rules: Rules):
    decision = decide(origins, at, use, rules)
    assert decision.reason
    assert decision.origin in summary_of(origins).parents
    assert decision.allowed == (decision.verdict in ("allow", "redact"))
