"""A thousand changes of one byte, anywhere in log, head and sent bytes: a check of the ledger finds every one."""

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from hearth.core.ledger_record import Bill, Intent, Masked, Prices, Result
from hearth.core.origin import file_origin
from hearth.ledger import LedgerLog
from hearth.ledger_reading import verify

CHANGES = 1_000
PICK = random.Random(5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "ledger"
    log = LedgerLog(folder)
    for number in range(12):
        intent = Intent(
            "task", "openrouter.ai:443", "task", "more files than fit here", "session", "POST /api/v1/chat/completions",
            "a/model", masked=(Masked("aws-key", 3),), origins=(file_origin("/w", f"{number}.py", 1, 9),),
        )  # fmt: skip
        handle = log.intent(intent, PICK.randbytes(300))
        prices = Prices(Decimal("0.000002"), Decimal("0.000008"), Decimal("0.0000002"))
        cost = Decimal("0.01") if number else None
        log.result(Result(handle.seq, "done", http=200, prompt_tokens=9, cost=cost, prices=prices))
        if cost is None:
            log.bill(Bill(handle.seq, Decimal("0.02"), 9))
    assert verify(folder).whole
    return folder


@pytest.fixture
def files(folder: Path) -> Iterator[dict[Path, bytes]]:
    kept = [folder / "records", folder / "head" / "last", *sorted((folder / "sent").iterdir())]
    before = {path: path.read_bytes() for path in kept}
    yield before
    for path, content in before.items():
        path.write_bytes(content)
    assert verify(folder).whole


def test_changed_bytes(folder: Path, files: dict[Path, bytes]) -> None:
    places = [(path, at) for path, content in files.items() for at in range(len(content))]
    head = [place for place in places if place[0].parent.name == "head"]
    # A fifth in the head, which is small; the rest anywhere.
    chosen = PICK.sample(head, min(CHANGES // 5, len(head)))
    chosen += PICK.sample(places, CHANGES - len(chosen))
    found = 0
    for path, at in chosen:
        content = bytearray(files[path])
        content[at] ^= PICK.randint(1, 255)
        path.write_bytes(content)
        finding = verify(folder)
        found += not finding.whole
        assert finding.problem == finding.sentence or finding.whole
        path.write_bytes(files[path])
    assert found == CHANGES


def test_bytes_put_in_and_taken_out(folder: Path, files: dict[Path, bytes]) -> None:
    for path, content in files.items():
        for at in (0, 1, len(content) // 2, len(content) - 1, len(content)):
            for changed in (content[:at] + b"x" + content[at:], content[:at] + content[at + 1 :]):
                if changed == content:
                    continue
                path.write_bytes(changed)
                assert not verify(folder).whole, (path.name, at)
        path.write_bytes(content)


def test_the_first_bad_record_is_named(folder: Path, files: dict[Path, bytes]) -> None:
    log = folder / "records"
    lines = files[log].splitlines(keepends=True)
    for number in range(len(lines)):
        log.write_bytes(b"".join([*lines[:number], lines[number].replace(b"a", b"b", 1), *lines[number + 1 :]]))
        assert verify(folder).bad == number + 1
        log.write_bytes(b"".join([*lines[:number], *lines[number + 1 :]]))
        assert verify(folder).bad == number + 1
    log.write_bytes(b"".join([*lines[:4], lines[6], lines[5], *lines[7:]]))
    assert verify(folder).bad == 5


def test_a_missing_file_of_bytes_is_found(folder: Path, files: dict[Path, bytes]) -> None:
    (folder / "records").read_bytes()
    for path in files:
        if path.parent.name == "sent":
            path.unlink()
            assert not verify(folder).whole
            path.write_bytes(files[path])
