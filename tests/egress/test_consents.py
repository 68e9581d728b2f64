"""Consent that is kept: where, for whom, and taken back by any process; and `hearth consent`."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from egress.rig import NOON
from hearth.cli import main
from hearth.consents import FILE_BYTES_MAX, Consents, kept_in
from hearth.core.approval import Request

ASKED = Request("https://cloud.example", "ask", "/work/cart", "aa")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEARTH_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def window(data: Path) -> Consents:
    return Consents(kept_in(data), lambda: NOON)


def test_what_is_kept_holds_in_all_windows_until_one_takes_it_back(data: Path) -> None:
    one, other = window(data), window(data)
    given = one.grant(ASKED, "workspace")
    assert given is not None
    anything = replace(ASKED, digest="bb")
    assert other.covering(anything) == given
    assert other.covering(replace(anything, kind="task")) is None
    assert other.covering(replace(anything, folder="/work")) is None
    assert other.revoke(given.id)
    assert one.covering(anything) is None
    assert one.given() == []


def test_what_ends_with_the_session_is_nobody_elses(data: Path) -> None:
    one, other = window(data), window(data)
    one.grant(ASKED, "session")
    one.grant(replace(ASKED, kind="task"), "each")
    (given,) = one.given()
    assert (given.kind, given.scope) == ("ask", "session")
    assert other.covering(ASKED) is None
    assert not kept_in(data).exists()
    assert one.revoke(given.id)
    assert one.covering(ASKED) is None


def test_it_is_for_the_user_alone(data: Path) -> None:
    window(data).grant(ASKED, "workspace")
    (path,) = kept_in(data).iterdir()
    assert (path.stat().st_mode & 0o777, kept_in(data).stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b"null", b" " * FILE_BYTES_MAX + b"{}",
     json.dumps({"destination": "https://evil.example", "kind": "ask", "folder": "/work/cart"}).encode()],
)  # fmt: skip
def test_what_is_damaged_or_under_anothers_name_allows_nothing(data: Path, content: bytes) -> None:
    one = window(data)
    one.grant(ASKED, "workspace")
    (path,) = kept_in(data).iterdir()
    path.write_bytes(content)
    assert one.covering(ASKED) is None
    assert one.given() == []
    evil = Request("https://evil.example", "ask", "/work/cart", "aa")
    assert one.covering(evil) is None


@pytest.mark.parametrize("name", ["../state", "../../x", "", "state", "0" * 15, "0" * 17, "/etc/x"])
def test_no_other_file_is_ever_taken_away(data: Path, name: str) -> None:
    one = window(data)
    one.grant(ASKED, "workspace")
    bystanders = [data / "cloud/state.json", data / "x.json", kept_in(data) / "state.json"]
    for path in bystanders:
        path.write_text("{}")
    one.revoke(name)
    assert all(path.exists() for path in bystanders)
    assert len(one.given()) == 1


def test_there_are_not_too_many(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth.consents.APPROVALS_MAX", 3)
    times = iter(range(100))
    one = Consents(kept_in(data), lambda: NOON + next(times))
    for number in range(6):
        one.grant(replace(ASKED, folder=f"/work/{number}"), "workspace")
    assert [given.folder for given in one.given()] == ["/work/5", "/work/4", "/work/3"]


def test_what_cannot_be_kept_holds_for_the_session(data: Path) -> None:
    data.parent.mkdir(exist_ok=True)
    data.write_text("a file where the folder should be")
    one = window(data)
    given = one.grant(ASKED, "workspace")
    assert given is not None
    assert given.scope == "session"
    assert one.covering(ASKED) == given
    assert window(data).covering(ASKED) is None


# The command


def test_they_are_listed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["consent"]) == 0
    assert "Nothing is allowed" in capsys.readouterr().out
    given = window(data).grant(ASKED, "workspace")
    assert given is not None
    assert main(["consent", "list"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{given.id}  ask to https://cloud.example, from /work/cart, since 20")
    assert "Take Back What You Allowed" in err
    assert main(["consent", "--json"]) == 0
    fields = {"destination": "https://cloud.example", "kind": "ask", "workspace": "/work/cart", "scope": "workspace"}
    assert json.loads(capsys.readouterr().out) == {"consents": [{"id": given.id, **fields, "since": NOON}]}


def test_one_or_all_are_taken_back(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = window(data)
    first = one.grant(ASKED, "workspace")
    for number in range(3):
        one.grant(replace(ASKED, folder=f"/work/{number}"), "workspace")
    assert first is not None
    assert main(["consent", "revoke", first.id]) == 0
    assert capsys.readouterr().out == f"taken back: {in_words()}\n"
    assert one.covering(ASKED) is None
    assert len(one.given()) == 3
    assert main(["consent", "revoke", "all", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["revoked"]) == 3
    assert one.given() == []
    assert os.listdir(kept_in(data)) == []


@pytest.mark.parametrize(("words", "code"), [(["revoke"], 2), (["revoke", "nothing"], 1), (["list", "x"], 2)])
def test_wrong_usage(data: Path, words: list[str], code: int) -> None:
    window(data).grant(ASKED, "workspace")
    assert main(["consent", *words]) == code
    assert len(window(data).given()) == 1


def in_words() -> str:
    return (
        f"ask to https://cloud.example, from /work/cart, since {time.strftime('%Y-%m-%d %H:%M', time.localtime(NOON))}"
    )
