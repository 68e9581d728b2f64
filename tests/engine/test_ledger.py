"""The ledger on a real disk: what is acknowledged stays, what fails is not half there, and nothing waits for nobody."""

import asyncio
import errno
import hashlib
import os
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from hearth import ledger as ledger_module
from hearth import ledger_files, ledger_reading
from hearth.core.ledger_record import Bill, Cut, Head, Intent, Masked, Result, decode_head, encode_head
from hearth.core.origin import file_origin, summary_of
from hearth.core.quota import Quota
from hearth.core.tally import Tally
from hearth.errors import HearthError, LedgerDamaged, LedgerError
from hearth.ledger import Admission, Ledger, LedgerLog
from hearth.ledger_reading import Today, cuts, entries, records, sent, summary, timed, verify

CHAT = Intent("chat", "openrouter.ai:443", "ask", "five files", "once", "POST /api/v1/chat/completions", "a/model")
WRITER = Path(__file__).with_name("ledger_writer.py")


def noon() -> datetime:
    return datetime(2026, 11, 21, 12, 0, 0, 250_000, UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger"


def filled(folder: Path, count: int = 3) -> LedgerLog:
    log = LedgerLog(folder, noon)
    for number in range(count):
        handle = log.intent(CHAT, b"question %d" % number)
        log.result(Result(handle.seq, "done", prompt_tokens=10, completion_tokens=number, cost=Decimal("0.001")))
    return log


def test_a_request_is_two_records_and_its_bytes(folder: Path) -> None:
    log = LedgerLog(folder, noon)
    intent = Intent(
        "task", "openrouter.ai:443", masked=(Masked("aws-key", 9),), origins=(file_origin("/w", "a.py", 2, 5),)
    )
    handle = log.intent(intent, b"body\xff\x00")
    (entry,) = entries(folder)
    assert (handle.seq, entry.seq, entry.status) == (1, 1, "no result")
    assert (entry.intent.masked, entry.intent.origins) == (intent.masked, intent.origins)
    assert entry.intent.sha256 == handle.sha256 == hashlib.sha256(b"body\xff\x00").hexdigest()
    assert sent(folder, entry) == b"body\xff\x00"
    log.result(Result(1, "failed", "it broke off", 502, cost=Decimal("0.0000012")))
    (entry,) = entries(folder)
    assert (entry.time, entry.ended, entry.status) == ("2026-11-21T12:00:00.250Z", "2026-11-21T12:00:00.250Z", "failed")
    assert entry.result
    assert entry.result.cost == Decimal("0.0000012")
    assert verify(folder).whole
    assert summary(folder).entries == 1


def test_an_empty_body_leaves_no_file_and_equal_ones_leave_one(folder: Path) -> None:
    log = LedgerLog(folder, noon)
    for body in (b"", b"same", b"same"):
        log.intent(CHAT, body)
    assert [sent(folder, entry) for entry in entries(folder)] == [b"", b"same", b"same"]
    assert len(list((folder / "sent").iterdir())) == 1
    assert verify(folder).whole


def test_a_ledger_that_is_not_there_is_empty(folder: Path) -> None:
    assert entries(folder) == []
    assert summary(folder) == Head()
    assert verify(folder).whole
    assert not folder.exists()
    LedgerLog(folder, noon).open()
    assert verify(folder).sentence == "The ledger is empty: nothing has left this machine."


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
def test_it_is_for_the_user_alone(folder: Path) -> None:
    filled(folder)
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_everything_that_ever_left_of_a_file(folder: Path, tmp_path: Path) -> None:
    log, workspace = LedgerLog(folder, noon), str(tmp_path)
    of_a, of_b = file_origin(workspace, "src/a.py", 0, 9), file_origin(workspace, "src/b.py")
    for origins in ((of_a,), (of_b,), (summary_of([of_b, of_a]),)):
        log.intent(Intent("chat", "h", origins=origins), b"")

    def of(path: str) -> list[int]:
        return [entry.seq for entry in entries(folder) if entry.parts_of(tmp_path / path)]

    assert of("src/a.py") == [1, 3]
    assert of("src") == [1, 2, 3]
    assert of("src/a") == of("other") == []
    assert entries(folder)[2].parts_of(tmp_path / "src" / "a.py") == (of_a,)


def test_a_result_is_recorded_once_and_only_of_a_request_of_ours(folder: Path) -> None:
    log = filled(folder, 1)
    for seq in (1, 2, 7):
        with pytest.raises(ValueError, match="waits for a result"):
            log.result(Result(seq, "done"))
    assert verify(folder).records == 2


def test_what_is_too_large_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = filled(folder, 1)
    monkeypatch.setattr(ledger_module, "BODY_BYTES_MAX", 10)
    with pytest.raises(LedgerError, match="too large"):
        log.intent(CHAT, b"x" * 11)
    many = tuple(file_origin("/w", f"{number}.py") for number in range(60_000))
    with pytest.raises(LedgerError, match="origins"):
        log.intent(Intent("chat", "h", origins=many), b"")
    monkeypatch.setattr(ledger_module, "LOG_BYTES_MAX", 100)
    with pytest.raises(LedgerError, match="full"):
        log.intent(CHAT, b"")
    assert verify(folder).records == 2


def counts(folder: Path, since: datetime, looker: Today | None = None) -> tuple[object, Decimal]:
    """Free requests since, and what is spent and held; by `looker`, else by looking at all of the ledger."""

    def ask(tally: Tally) -> tuple[object, Decimal]:
        budget = tally.budget(Decimal(99), since.timestamp())
        return tally.quota(Quota(), since.timestamp()).days[-1:], budget.spent + budget.reserved

    if looker is not None:
        return looker.look(since.timestamp(), ask)
    whole = Tally()
    whole.feed(map(timed, records(folder)), since.timestamp())
    return ask(whole)


FREE = replace(CHAT, estimated=Decimal(0))
PRICED = replace(CHAT, estimated=Decimal("0.01"))


def test_the_last_requests_are_read_from_the_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_reading, "RECENT_BYTES", 700)
    moments = [datetime(2026, 11, day, tzinfo=UTC) for day in (18, 18, 19, 19, 20, 20, 20, 21, 21)]
    times = iter(moments)
    log = LedgerLog(folder, lambda: next(times))
    for seq in (1, 3, 5):
        log.intent(FREE, b"%d" % seq)
        log.result(Result(seq, "done"))
    for _ in range(3):
        log.intent(PRICED, b"")
    for day in range(17, 24):
        since = datetime(2026, 11, day, tzinfo=UTC)
        looker = Today(folder)
        assert counts(folder, since, looker) == counts(folder, since)
        # Of the log's end no more than is needed, and of one that did not grow nothing.
        known = looker.records_read
        assert known <= len(list(records(folder)))
        counts(folder, since, looker)
        assert looker.records_read == known
    assert counts(folder, since, Today(folder)) == ((), 0)
    assert counts(folder, moments[-1], Today(folder / "none")) == ((), 0)


def test_one_record_of_a_clock_that_was_wrong_does_not_hide_those_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_reading, "RECENT_BYTES", 2_000)
    today, long_ago = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 18, tzinfo=UTC)
    times = iter([*[long_ago] * 20, *[today] * 4, long_ago, *[today] * 8])
    log = LedgerLog(folder, lambda: next(times))
    for number in range(33):
        log.intent(FREE, b"")
        if number > 24:
            assert counts(folder, today, Today(folder)) == counts(folder, today)


def test_what_is_kept_up_to_date_is_what_is_there(folder: Path) -> None:
    """Whatever others append, cut or put in its place."""
    moments = [datetime(2026, 11, 18 + at // 12, at % 12, tzinfo=UTC) for at in range(60)]
    times = iter(moments)
    logs = [LedgerLog(folder, lambda: next(times)) for _ in range(2)]
    kept, dice = Today(folder), random.Random(5)
    opened: list[tuple[LedgerLog, int]] = []
    unpriced: list[tuple[LedgerLog, int]] = []
    for step in range(50):
        log = dice.choice(logs)
        if unpriced and dice.random() < 0.3:
            owner, seq = unpriced.pop()
            owner.bill(Bill(seq, Decimal("0.002")))
        elif opened and dice.random() < 0.5:
            owner, seq = opened.pop(dice.randrange(len(opened)))
            owner.result(Result(seq, "done"))
            unpriced.append((owner, seq))
        else:
            opened.append((log, log.intent(dice.choice((FREE, PRICED)), b"%d" % step).seq))
        if step == 30:  # an end that was never finished is cut at the next append
            with (folder / "records").open("ab") as stream:
                stream.write(b'{"half')
        since = datetime(2026, 11, 18 + step // 12, tzinfo=UTC)
        assert counts(folder, since, kept) == counts(folder, since)
    assert kept.records_read <= len(list(records(folder))), "each record once"
    folder.rename(folder.with_name("old"))
    assert counts(folder, moments[0], kept) == ((), 0)
    fresh = LedgerLog(folder, lambda: moments[0])
    fresh.intent(PRICED, b"")
    assert counts(folder, moments[0], kept) == ((), Decimal("0.01"))


def test_a_bill_comes_after_a_result_without_a_cost(folder: Path) -> None:
    log = LedgerLog(folder, noon)
    asked = log.intent(PRICED, b"x").seq
    log.result(Result(asked, "cancelled", provider="P", http=200))
    with pytest.raises(ValueError, match="waits for a bill"):
        log.bill(Bill(asked + 1, Decimal(1)))
    log.bill(Bill(asked, Decimal("0.003"), 10, 4, 7))
    with pytest.raises(ValueError, match="waits for a bill"):
        log.bill(Bill(asked, Decimal(1)))
    (entry,) = entries(folder)
    assert entry.result == Result(
        asked, "cancelled", http=200, provider="P", cost=Decimal("0.003"), prompt_tokens=10, cached_tokens=4,
        completion_tokens=7,
    )  # fmt: skip
    found = verify(folder)
    assert (found.whole, found.records, found.entries) == (True, 3, 1)


def test_the_numbers_of_a_ledger_that_was_moved_away_are_not_of_the_new_one(folder: Path) -> None:
    log = LedgerLog(folder, noon)
    billed, asked = log.intent(PRICED, b"x").seq, log.intent(PRICED, b"y").seq
    log.result(Result(billed, "cancelled"))
    folder.rename(folder.with_name("old"))
    others = [LedgerLog(folder, noon).intent(PRICED, b"z").seq for _ in range(2)]
    assert others == [billed, asked]
    with pytest.raises(LedgerError, match="moved away"):
        log.result(Result(asked, "done"))
    with pytest.raises(LedgerError, match="moved away"):
        log.bill(Bill(billed, Decimal("0.003")))
    assert [entry.status for entry in entries(folder)] == ["no result"] * 2
    new = log.intent(PRICED, b"").seq
    log.result(Result(new, "done"))
    assert verify(folder).whole


def test_a_send_reads_what_is_new_and_no_more(folder: Path) -> None:
    """However many requests the day had, and whoever else sends."""
    filled(folder, 200)
    logs = [LedgerLog(folder, noon), LedgerLog(folder, noon)]
    looked = Admission(noon().timestamp() - 3_600, lambda _tally: None)
    for log in logs:
        log.intent(CHAT, b"the first", looked)
    before = [log.today.records_read for log in logs]
    for number in range(20):
        handle = logs[number % 2].intent(CHAT, b"%d" % number, looked)
        logs[number % 2].result(Result(handle.seq, "done"))
    read = [log.today.records_read - known for log, known in zip(logs, before, strict=True)]
    assert sum(read) <= 2 * 42, "each of the new records once in each"
    assert min(read) >= 36


class TooMuch(HearthError):
    pass


def admission(most: int) -> Admission:
    def admit(tally: Tally) -> None:
        if len(tally.budget(Decimal(1), noon().timestamp()).held) >= most:
            raise TooMuch("That is enough for today.")

    return Admission(datetime(2026, 11, 21, tzinfo=UTC).timestamp(), admit)


async def test_no_more_than_is_admitted_leaves_whoever_asks(folder: Path) -> None:
    """Two ledgers on one folder are as two windows."""
    ledgers = [Ledger(folder, noon), Ledger(folder, noon)]
    asked = [ledgers[number % 2].intent(CHAT, b"%d" % number, admission(5)) for number in range(20)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(each, TooMuch) for each in done) == 15
    assert len(entries(folder)) == 5
    for ledger in ledgers:
        await ledger.aclose()


async def test_a_mistake_of_the_caller_does_not_end_the_thread(folder: Path) -> None:
    ledger = Ledger(folder, noon)
    with pytest.raises(ValueError, match="waits for a result"):
        await ledger.result(Result(1, "done"))
    assert (await ledger.intent(CHAT, b"")).seq == 1
    await ledger.aclose()


# An end in between


def test_a_torn_tail_is_cut_wherever_it_tore(folder: Path) -> None:
    filled(folder)
    head, before = (folder / "head" / "last").read_bytes(), (folder / "records").read_bytes()
    handle = LedgerLog(folder, noon).intent(CHAT, b"not yet acknowledged")
    after = (folder / "records").read_bytes()
    for end in (*range(len(before) + 1, len(after), 13), len(after) - 1):
        (folder / "records").write_bytes(after[:end])
        (folder / "head" / "last").write_bytes(head)
        found = verify(folder)
        assert found.whole
        assert "never finished" in found.sentence
        assert [entry.seq for entry in entries(folder)] == [1, 3, 5]
        LedgerLog(folder, noon).open()
        (cut,) = cuts(folder)
        assert cut.what == Cut(end - len(before), hashlib.sha256(after[len(before) : end]).hexdigest())
        assert cut.seq == handle.seq
        assert verify(folder).sentence == verify(folder).sentence.replace("never finished", "")


def test_a_record_ahead_of_the_head_is_taken_in(folder: Path) -> None:
    filled(folder)
    head = (folder / "head" / "last").read_bytes()
    LedgerLog(folder, noon).intent(CHAT, b"on the disk, but not acknowledged")
    new_head = (folder / "head" / "last").read_bytes()
    (folder / "head" / "last").write_bytes(head)
    assert "not yet confirmed" in verify(folder).sentence
    assert LedgerLog(folder, noon).open() == decode_head(new_head)
    assert [entry.seq for entry in entries(folder)] == [1, 3, 5, 7]
    assert verify(folder).whole


def test_a_record_ahead_of_the_head_without_its_bytes_is_cut(folder: Path) -> None:
    filled(folder)
    head = (folder / "head" / "last").read_bytes()
    handle = LedgerLog(folder, noon).intent(CHAT, b"lost")
    (folder / "head" / "last").write_bytes(head)
    (folder / "sent" / handle.sha256).unlink()
    LedgerLog(folder, noon).open()
    assert len(cuts(folder)) == 1
    assert verify(folder).whole


def test_more_than_one_end_can_leave_is_not_touched(folder: Path) -> None:
    log = filled(folder)
    head = (folder / "head" / "last").read_bytes()
    log.intent(CHAT, b"1")
    log.intent(CHAT, b"2")
    content = (folder / "records").read_bytes()
    (folder / "head" / "last").write_bytes(head)
    with pytest.raises(LedgerDamaged):
        log.intent(CHAT, b"3")
    assert (folder / "records").read_bytes() == content
    assert verify(folder).bad == 8


def cut_last(folder: Path) -> None:
    content = (folder / "records").read_bytes()
    (folder / "records").write_bytes(content[: content.rindex(b"\n", 0, -1) + 1])


DAMAGE: dict[str, tuple[Callable[[Path], object], int]] = {
    "the last record cut off": (cut_last, 6),
    "everything cut off": (lambda folder: (folder / "records").write_bytes(b""), 1),
    "no log": (lambda folder: (folder / "records").unlink(), 0),
    "no head": (lambda folder: (folder / "head" / "last").unlink(), 0),
    "an empty head": (lambda folder: (folder / "head" / "last").write_bytes(b""), 0),
    "a head of another ledger": (
        lambda folder: (folder / "head" / "last").write_bytes(encode_head(Head(6, "ab" * 32, 0, 10, 3))), 6,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_truncation_and_exchange_show_and_nothing_is_added(folder: Path, name: str) -> None:
    log = filled(folder)
    damage, first_bad = DAMAGE[name]
    damage(folder)
    found = verify(folder)
    assert not found.whole
    assert found.bad == first_bad
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(LedgerDamaged) as caught:
        log.intent(CHAT, b"must not leave")
    assert str(folder) in caught.value.remedy
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_changed_bytes_of_a_request_are_neither_shown_nor_reused(folder: Path) -> None:
    log = filled(folder, 1)
    (body,) = (folder / "sent").iterdir()
    body.write_bytes(b"question 1")
    assert verify(folder).bad == 1
    with pytest.raises(LedgerDamaged):
        sent(folder, entries(folder)[0])
    with pytest.raises(LedgerDamaged):
        log.intent(CHAT, b"question 0")


# Whatever fails, at whatever step


class PowerCut(BaseException):
    """The process ends here."""


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, BaseException, bool], None]]:
    """trouble(n, error, lasting): the n-th step on the disk fails half done, and those after it if it lasts."""
    steps: dict[str, object] = {"left": -1}

    def failing(name: str, half: Callable[..., object] | None) -> None:
        for module in (ledger_files, ledger_module):
            real = getattr(module, name, None)
            if real is None:
                continue

            def step(*args: object, real: Callable[..., object] = real) -> object:
                left = steps["left"] = int(str(steps["left"])) - 1
                if left == 0 or (left < 0 and steps.get("lasting") and left > -1000):
                    if half:
                        half(real, *args)
                    raise steps["error"]  # type: ignore[misc]
                return real(*args)

            monkeypatch.setattr(module, name, step)

    failing("write_all", lambda real, handle, content, place: real(handle, content[: len(content) // 2], place))
    failing("sync_data", None)
    failing("sync_folder", None)
    failing("_replace", None)

    def begin(number: int, error: BaseException, lasting: bool) -> None:
        steps.update(left=number, error=error, lasting=lasting)

    yield begin
    steps.update(left=-10_000, lasting=False)


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [FULL, OSError(errno.EIO, "I/O error"), PowerCut()], ids=["full", "io", "power"])
@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("first", [False, True], ids=["later", "first"])
def test_no_step_that_fails_loses_or_half_acknowledges(
    folder: Path, trouble: Callable[..., None], error: BaseException, lasting: bool, first: bool
) -> None:
    failed = 0
    for number in range(1, 40):
        where = folder / str(number)
        log = LedgerLog(where, noon)
        if not first:
            trouble(-10_000, error, False)
            filled(where, 1)
        before = {entry.seq: entry for entry in entries(where)}
        trouble(number, error, lasting)
        try:
            acknowledged = log.intent(CHAT, b"in doubt").seq
        except (LedgerError, PowerCut):
            acknowledged = 0
            failed += 1
        trouble(-10_000, error, False)
        again = LedgerLog(where, noon)
        handle = again.intent(CHAT, b"afterwards")
        again.result(Result(handle.seq, "done"))
        found = {entry.seq: entry for entry in entries(where)}
        assert verify(where).whole, verify(where)
        assert before.items() <= found.items()
        assert handle.seq in found
        if acknowledged:
            assert sent(where, found[acknowledged]) == b"in doubt"
            break
    assert failed >= 5


def test_where_no_folder_can_be_made_nothing_may_leave(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    with pytest.raises(LedgerError) as caught:
        LedgerLog(folder, noon).intent(CHAT, b"x")
    assert "writable" in caught.value.remedy


@pytest.mark.skipif(os.name == "nt" or getattr(os, "getuid", lambda: 0)() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder(folder: Path) -> None:
    log = filled(folder)
    for path in (folder / "head", folder):
        path.chmod(0o500)
    try:
        with pytest.raises(LedgerError):
            log.intent(CHAT, b"x")
        assert verify(folder).whole
    finally:
        for path in (folder, folder / "head"):
            path.chmod(0o700)


@pytest.mark.skipif(os.name == "nt", reason="no such limit there")
def test_a_real_limit_on_the_disk(folder: Path) -> None:
    """The file may not grow any more, in the middle of a record."""
    done = subprocess.run(
        [sys.executable, str(WRITER), "limit", str(folder)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert said[-1] == "refused"
    assert verify(folder).whole
    assert [entry.seq for entry in entries(folder)] == [int(seq) for seq in said[:-1]]
    assert (folder / "records").stat().st_size == summary(folder).end
    LedgerLog(folder).intent(CHAT, b"there is room again")
    assert not cuts(folder)


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere").write_bytes(b"")
    try:
        (folder / "records").symlink_to(tmp_path / "elsewhere")
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(LedgerError):
        LedgerLog(folder, noon).intent(CHAT, b"x")
    assert (tmp_path / "elsewhere").read_bytes() == b""


# Several at once


def test_two_processes_take_turns(folder: Path) -> None:
    command = [sys.executable, str(WRITER), "turns", str(folder), "25"]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [set(map(int, writer.communicate(timeout=60)[0].split())) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [len(each) for each in told] == [25, 25]
    assert {entry.seq for entry in entries(folder)} == told[0] | told[1]
    assert all(entry.status == "done" for entry in entries(folder))
    found = verify(folder)
    assert (found.whole, found.records, found.entries) == (True, 100, 50)


def test_two_processes_keep_one_cap(folder: Path) -> None:
    """Each counts on from what it has read, and sees what the other has sent meanwhile."""
    command = [sys.executable, str(WRITER), "capped", str(folder), "40"]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [writer.communicate(timeout=60)[0].split() for writer in writers]
    assert [len(each) for each in told] == [40, 40]
    assert len(entries(folder)) == 30
    assert sum(each.count("refused") for each in told) == 50
    assert verify(folder).whole


def test_a_lock_that_is_never_released(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = filled(folder, 1)
    monkeypatch.setattr(ledger_files, "LOCK_WAIT_S", 0.05)
    with ledger_files.LedgerFolder(folder).locked(), pytest.raises(LedgerError, match="Another program"):
        log.intent(CHAT, b"x")
    assert log.intent(CHAT, b"x").seq == 3


def test_readers_see_whole_records_while_somebody_writes(folder: Path) -> None:
    filled(folder, 1)
    writer = threading.Thread(target=filled, args=(folder, 30))
    writer.start()
    seen = 0
    while writer.is_alive():
        found = verify(folder)
        assert found.whole, found
        assert len(entries(folder)) >= found.entries
        assert len(list(records(folder))) >= seen
        seen = found.records
    writer.join()
    assert verify(folder).records == 62


async def test_concurrent_callers(folder: Path) -> None:
    ledger = Ledger(folder, noon)

    async def one(number: int) -> int:
        handle = await ledger.intent(CHAT, b"body %d" % number)
        (entry,) = [entry for entry in entries(folder) if entry.seq == handle.seq]
        assert sent(folder, entry) == b"body %d" % number
        await ledger.result(Result(handle.seq, "done"))
        return handle.seq

    handles = await asyncio.gather(*map(one, range(20)))
    await ledger.aclose()
    assert len(set(handles)) == 20
    found = verify(folder)
    assert (found.whole, found.records) == (True, 40)
    with pytest.raises(LedgerError, match="closed"):
        await ledger.intent(CHAT, b"")
    await ledger.aclose()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """(reached, go): the disk holds still in the midst of an append until it may go."""
    reached, go = threading.Event(), threading.Event()
    real = ledger_module.sync_data

    def slow(handle: int) -> None:
        reached.set()
        assert go.wait(30)
        real(handle)

    monkeypatch.setattr(ledger_module, "sync_data", slow)
    yield reached, go
    go.set()


async def test_a_slow_disk_holds_up_nobody_else_and_a_caller_who_leaves_sent_nothing(
    folder: Path, held: tuple[threading.Event, threading.Event]
) -> None:
    reached, go = held
    ledger = Ledger(folder, noon)
    caller = asyncio.create_task(ledger.intent(CHAT, b"given up"))
    waiting = asyncio.create_task(ledger.intent(CHAT, b"given up before its turn"))
    while not reached.is_set():
        await asyncio.sleep(0.001)
    for task in (caller, waiting):
        task.cancel()
    for task in (caller, waiting):
        with pytest.raises(asyncio.CancelledError):
            await task
    go.set()
    handle = await ledger.intent(CHAT, b"next")
    await ledger.result(Result(handle.seq, "done"))
    await ledger.aclose()
    assert [(entry.status, sent(folder, entry)) for entry in entries(folder)] == [
        ("not sent", b"given up"), ("done", b"next"),
    ]  # fmt: skip
    assert verify(folder).whole


async def test_a_disk_that_hangs_ends_in_an_error(
    folder: Path, held: tuple[threading.Event, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, go = held
    monkeypatch.setattr(ledger_module, "WITHIN_S", 0.05)
    ledger = Ledger(folder, noon)
    with pytest.raises(LedgerError, match="does not answer"):
        await ledger.intent(CHAT, b"x")
    monkeypatch.setattr(ledger_module, "WITHIN_S", 30)
    go.set()
    await ledger.open()
    assert [entry.status for entry in entries(folder)] == ["not sent"]
    await ledger.aclose()


async def test_a_full_queue_refuses(
    folder: Path, held: tuple[threading.Event, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, go = held
    monkeypatch.setattr(ledger_module, "WAITING_MAX", 1)
    ledger = Ledger(folder, noon)
    tasks = [asyncio.create_task(ledger.intent(CHAT, b"%d" % number)) for number in range(5)]
    refused, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    go.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    acknowledged = [each.seq for each in done if not isinstance(each, BaseException)]
    assert refused
    assert all(isinstance(each, LedgerError) for each in done if isinstance(each, BaseException))
    await ledger.aclose()
    assert {entry.seq for entry in entries(folder) if entry.status != "not sent"} == set(acknowledged)


def test_reading_says_what_is_wrong(folder: Path) -> None:
    filled(folder)
    content = (folder / "records").read_bytes()
    (folder / "records").write_bytes(content.replace(b"done", b"Done", 1))
    with pytest.raises(LedgerDamaged, match="Record 2"):
        entries(folder)
    assert verify(folder).sentence.startswith("Record 2 of the ledger is bad")
    assert ledger_reading.verify(folder).bad == 2
