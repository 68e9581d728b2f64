"""`hearth ledger`, as a user runs it."""

import io
import json
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from hearth.cli import main
from hearth.core.ledger_record import Intent, Masked, Prices, Result
from hearth.core.origin import file_origin
from hearth.ledger import LedgerLog

PRICES = Prices(Decimal("0.000002"), Decimal("0.000008"), Decimal("0.0000002"))


def run(home: Path, *arguments: str, command: str = "ledger") -> "subprocess.CompletedProcess[str]":
    """The command. In this process, which spares each the start of an interpreter."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(home)
        patch.setenv("HEARTH_CONFIG_DIR", str(home / "config"))
        patch.setenv("HEARTH_DATA_DIR", str(home / "data"))
        try:
            code = main([command, *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Three requests: one done, one broken off, one that was never sent."""
    moments = iter(datetime(2026, 11, day, 12, tzinfo=UTC) for day in (20, 20, 21, 21, 21))
    log = LedgerLog(tmp_path / "data" / "ledger", lambda: next(moments))
    chat = Intent(
        "chat", "openrouter.ai:443", "ask", "it does not fit the local model", "once", "POST /api/v1/chat/completions",
        "a/model", masked=(Masked("aws-key", 5),), origins=(file_origin(str(tmp_path / "w"), "a.py", 2, 9),),
        estimated=Decimal("0.02"),
    )  # fmt: skip
    handle = log.intent(chat, "the question, in Größe\x1b[2J".encode())
    log.result(
        Result(
            handle.seq, "done", http=200, prompt_tokens=1_000, cached_tokens=500, completion_tokens=50,
            cost=Decimal("0.0012346"), prices=PRICES, model="a/model-2", provider="Somebody",
        )
    )  # fmt: skip
    log.intent(Intent("task", "openrouter.ai:443", "task", model="a/model", estimated=Decimal("0.5")), b"\xff")
    handle = log.intent(Intent("chat", "openrouter.ai:443", estimated=Decimal(9)), b"")
    log.result(Result(handle.seq, "not sent"))
    return tmp_path


def test_list(home: Path) -> None:
    done = run(home, "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    first, second, third = json.loads(done.stdout)["entries"]
    assert first == {
        "seq": 1, "time": "2026-11-20T12:00:00.000Z", "kind": "chat", "host": "openrouter.ai:443", "model": "a/model-2",
        "bytes": 28, "tokens": 1_050, "cost": 0.0012346, "status": "done",
    }  # fmt: skip
    assert (second["status"], second["tokens"], second["cost"]) == ("no result", None, None)
    assert third["status"] == "not sent"
    text = run(home).stdout.splitlines()
    assert len(text) == 4
    assert " ".join(text[1].split()) == "1 2026-11-20 12:00:00 chat openrouter.ai:443 a/model-2 28 1050 0.001235 done"
    filtered = run(home, "list", "--json", "--file", str(home / "w" / "a.py"))
    assert [entry["seq"] for entry in json.loads(filtered.stdout)["entries"]] == [1]


def test_show(home: Path) -> None:
    text = run(home, "show", "1").stdout
    for part in (
        "a/model-2 by Somebody", "it does not fit the local model", "a.py, lines 3-9", "aws-key at byte 5",
        "0.001235 USD", "the question, in Größe",
    ):  # fmt: skip
        assert part in text
    assert "\x1b" not in text
    shown = json.loads(run(home, "show", "1", "--json").stdout)
    assert shown["body"] == "the question, in Größe\x1b[2J"
    assert shown["intent"]["estimated"] == "0.02"
    assert shown["result"]["cost"] == "0.0012346"
    missing = run(home, "show", "9")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "no request 9" in missing.stderr


@pytest.mark.parametrize("arguments", [["show"], ["list", "1"], ["forget"], ["show", "x"]])
def test_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_export(home: Path) -> None:
    first, second, third = map(json.loads, run(home, "export").stdout.splitlines())
    assert (first["seq"], first["intent"]["origins"][0]["path"]) == (1, "a.py")
    assert (second["body_base64"], second["result"], third["body"]) == ("/w==", None, "")


def test_costs(home: Path) -> None:
    sums = json.loads(run(home, "costs", "--json").stdout)
    total = sums["total"]
    assert (total["requests"], total["cost"], total["forecast"]) == (2, 0.0012346, 0.5)
    assert total["saved_by_cache"] == 0.0009
    assert [(each["day"], each["cost"]) for each in sums["days"]] == [("2026-11-20", 0.0012346), ("2026-11-21", 0.0)]
    assert [each["model"] for each in sums["models"]] == ["a/model-2", "a/model"]
    assert [each["feature"] for each in sums["features"]] == ["ask", "task"]
    (month,) = sums["months"]
    assert month["month"] == "2026-11"
    assert all(each["difference"] == each["price"] - 0.0012346 for each in month["subscriptions"])
    text = run(home, "costs").stdout
    assert "Prefix caching saved 0.0009 USD." in text
    assert "2026-11: 0.001235 USD." in text


def test_verify(home: Path) -> None:
    whole = run(home, "verify")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.startswith("The ledger is whole: 5 records of 3 requests")
    assert len(whole.stdout.splitlines()) == 1
    path = home / "data" / "ledger" / "records"
    path.write_bytes(path.read_bytes().replace(b"not sent", b"was sent"))
    bad = run(home, "verify")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "Record 5" in bad.stderr
    told = json.loads(run(home, "verify", "--json").stdout)
    assert (told["whole"], told["first_bad"]) == (False, 5)
    assert run(home, "list").returncode == 1


def test_nothing_has_left_yet(tmp_path: Path) -> None:
    assert json.loads(run(tmp_path, "--json").stdout) == {"entries": []}
    assert run(tmp_path).stdout == "Nothing has left this machine.\n"
    assert run(tmp_path, "verify").returncode == 0
    assert run(tmp_path, "costs").returncode == 0
    assert not (tmp_path / "data" / "ledger").exists()


def test_doctor_counts_requests_and_tells_of_trouble(home: Path) -> None:
    assert json.loads(run(home, "--json", command="doctor").stdout)["ledger"] == {"entries": 3, "problem": ""}
    (home / "data" / "ledger" / "head" / "last").write_bytes(b"")
    status = json.loads(run(home, "--json", command="doctor").stdout)
    assert status["ledger"]["problem"].startswith("The ledger's head was changed")
    assert status["problems"][-1]["message"] == status["ledger"]["problem"]
