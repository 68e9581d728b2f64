"""What one consent covers, and all that it does not."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core import approval as approvals_module
from hearth.core.approval import (
    ANSWERS,
    APPROVALS_MAX,
    SCOPES,
    Approval,
    Approvals,
    Request,
    Scope,
    approval,
    covering,
    record,
    restored,
    revoked,
    scope_of,
    used,
)

ASKED = Request("https://cloud.example", "explain", "/w", "aa")


def granted(approvals: Approvals, request: Request, scope: Scope) -> Approvals:
    new = approval(request, scope)
    return approvals if new is None else approvals_module.granted(approvals, new)


def restarted(approvals: Approvals) -> Approvals:
    """What is kept of them."""
    kept = [json.loads(json.dumps(record(one))) for one in approvals.given if one.scope == "workspace"]
    return Approvals(tuple(one for raw in kept if (one := restored(raw))))


@pytest.mark.parametrize(
    ("answer", "scopes"),
    [
        ("Send", ("each", "session", "workspace")),
        ("Send for this session", ("session", "session", "session")),
        ("Show exactly", (None, None, None)),
        ("Use local model", (None, None, None)),
        ("Cancel", (None, None, None)),
        (None, (None, None, None)),
        ("", (None, None, None)),
        ("send", (None, None, None)),
    ],
)
def test_answers(answer: str | None, scopes: tuple[Scope | None, ...]) -> None:
    assert tuple(scope_of(answer, setting) for setting in SCOPES) == scopes


def test_the_titles_are_those_of_the_contract() -> None:
    assert ANSWERS == ("Send", "Send for this session", "Show exactly", "Use local model", "Cancel")


CHANGES = {
    "destination": (
        "http://cloud.example",
        "https://cloud.example:8443",
        "https://cloud.example.evil",
        "HTTPS://CLOUD",
    ),
    "kind": ("task", "", "Explain"),
    "folder": ("/w-evil", "/", ""),
}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("field", "value"), [(field, value) for field in CHANGES for value in CHANGES[field]])
def test_it_is_bound(scope: Scope, field: str, value: str) -> None:
    approvals = granted(Approvals(), ASKED, scope)
    assert covering(approvals, ASKED) is not None
    assert covering(approvals, replace(ASKED, **{field: value})) is None


@pytest.mark.parametrize(("scope", "covered"), [("each", False), ("session", True), ("workspace", True)])
def test_other_text_asks_again_unless_all_of_its_kind_may_go(scope: Scope, covered: bool) -> None:
    approvals = granted(Approvals(), ASKED, scope)
    assert (covering(approvals, replace(ASKED, digest="bb")) is not None) == covered


@pytest.mark.parametrize(("scope", "covered"), [("each", False), ("session", True), ("workspace", True)])
def test_once_is_once(scope: Scope, covered: bool) -> None:
    approvals = used(granted(Approvals(), ASKED, scope), ASKED)
    assert (covering(approvals, ASKED) is not None) == covered


@pytest.mark.parametrize(("scope", "covered"), [("each", False), ("session", False), ("workspace", True)])
def test_what_outlives_the_session(scope: Scope, covered: bool) -> None:
    approvals = restarted(granted(Approvals(), ASKED, scope))
    assert (covering(approvals, replace(ASKED, digest="bb")) is not None) == covered


def test_without_a_workspace_it_ends_with_the_session() -> None:
    approvals = granted(Approvals(), replace(ASKED, folder=""), "workspace")
    assert restarted(approvals) == Approvals()
    found = covering(approvals, replace(ASKED, folder="", digest="bb"))
    assert found is not None
    assert found.name == "for this session"


def test_the_widest_is_named() -> None:
    approvals = granted(granted(Approvals(), ASKED, "workspace"), ASKED, "each")
    found = covering(approvals, ASKED)
    assert found is not None
    assert found.name == "for this workspace"


@pytest.mark.parametrize("field", ["destination", "kind", "digest"])
def test_what_is_not_named_cannot_be_approved(field: str) -> None:
    asked = replace(ASKED, **{field: ""})
    assert covering(granted(Approvals(), asked, "session"), asked) is None


def test_each_can_be_taken_back() -> None:
    other = replace(ASKED, folder="/other")
    approvals = granted(granted(Approvals(), ASKED, "workspace"), other, "session")
    first, second = approvals.given
    assert revoked(approvals, first.id).given == (second,)
    assert covering(revoked(approvals, second.id), other) is None
    assert revoked(approvals, "").given == approvals.given


@pytest.mark.parametrize("field", ["destination", "kind", "folder", "digest"])
def test_what_is_bound_to_something_else_is_another(field: str) -> None:
    one = Approval("https://a", "ask", "/w", "each", "aa", since=1.0)
    assert one.id != replace(one, **{field: "x"}).id
    assert one.id != replace(one, scope="session").id
    assert one.id == replace(one, since=2.0).id


def test_there_are_not_too_many() -> None:
    approvals = Approvals()
    for number in range(APPROVALS_MAX + 5):
        approvals = granted(approvals, replace(ASKED, digest=str(number)), "each")
    assert len(approvals.given) == APPROVALS_MAX
    assert covering(approvals, replace(ASKED, digest="0")) is None


@pytest.mark.parametrize(
    "raw",
    [None, {}, [1, "x", {}], {"destination": "a", "kind": "b", "folder": ""},
     {"destination": "a", "kind": 3, "folder": "c"},
     {"destination": "a" * 10_000, "kind": "b", "folder": "c"}],
)  # fmt: skip
def test_a_damaged_record_approves_nothing(raw: object) -> None:
    assert restored(raw) is None


REQUESTS = st.builds(
    Request, st.sampled_from(["https://a", "https://b"]), st.sampled_from(["ask", "task"]),
    st.sampled_from(["", "/w", "/v"]), st.sampled_from(["aa", "bb"]),
)  # fmt: skip


@given(st.lists(st.tuples(REQUESTS, st.sampled_from(SCOPES)), max_size=8), REQUESTS)
def test_nothing_is_covered_that_nobody_agreed_to(given_: list[tuple[Request, Scope]], asked: Request) -> None:
    approvals = Approvals()
    for request, scope in given_:
        approvals = granted(approvals, request, scope)
    agreed = any(
        (one.destination, one.kind, one.folder) == (asked.destination, asked.kind, asked.folder)
        and (scope != "each" or one.digest == asked.digest)
        for one, scope in given_
    )
    assert (covering(approvals, asked) is not None) == agreed
