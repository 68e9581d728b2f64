"""What a broken answer did cost: asked for later, a few times, and only an answer that can be one is believed."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hearth.bills import TOKENS_MAX, WAITING_MAX, Bills, read_bill
from hearth.core.ledger_record import Bill, Intent, Result
from hearth.errors import LedgerError, ModelMissing, Unreachable
from hearth.ledger import Ledger
from hearth.ledger_reading import entries

SAID = {
    "total_cost": 0.0012, "native_tokens_prompt": 10, "native_tokens_cached": 4, "native_tokens_completion": 7,
    "provider_name": "P", "cancelled": True, "finish_reason": None,
}  # fmt: skip


def test_a_bill_is_read() -> None:
    wanted = Bill(3, Decimal("0.0012"), 10, 4, 7, "P")
    assert read_bill(3, {"data": SAID}) == wanted
    assert read_bill(3, {"data": {**SAID, "cancelled": False, "finish_reason": "stop"}}) == wanted
    odd = {**SAID, "native_tokens_prompt": TOKENS_MAX + 1, "native_tokens_cached": "4", "provider_name": "x" * 999}
    assert read_bill(3, {"data": odd}) == Bill(3, Decimal("0.0012"), None, None, 7, "")


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"data": None}, {"data": []}, {"data": {}}, {"data": {**SAID, "cancelled": False}},
     *({"data": {**SAID, "total_cost": cost}} for cost in (None, "0.1", -1, 1e9, float("nan"), float("inf"), True))],
)  # fmt: skip
def test_what_is_no_bill_is_none(answer: Any) -> None:
    assert read_bill(3, answer) is None


class Asked:
    """The host: says these in turn, the last one again and again."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says)
        self.paths: list[str] = []

    async def __call__(self, path: str) -> dict[str, Any]:
        self.paths.append(path)
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, Exception):
            raise said
        return said


async def broken(ledger: Ledger) -> int:
    handle = await ledger.intent(Intent("chat", "h", estimated=Decimal("0.1")), b"x")
    await ledger.result(Result(handle.seq, "cancelled"))
    return handle.seq


@pytest.mark.parametrize(
    ("says", "times", "cost"),
    [
        ([{"data": SAID}], 1, "0.0012"),
        ([ModelMissing("not yet", ""), {"data": {}}, {"data": SAID}], 3, "0.0012"),
        ([Unreachable("gone", "")], 3, None),
        ([LedgerError("the disk is full")], 1, None),
    ],
)
async def test_it_is_asked_for_a_few_times(tmp_path: Path, says: list[Any], times: int, cost: str | None) -> None:
    ledger, host = Ledger(tmp_path / "ledger"), Asked(*says)
    bills = Bills(ledger, host, (0.0, 0.0, 0.0))
    bills.later([(await broken(ledger), "gen-1/../models?x#y")])
    await bills.settled()
    assert host.paths == ["/generation?id=gen-1%2F..%2Fmodels%3Fx%23y"] * times
    (entry,) = entries(tmp_path / "ledger")
    assert entry.result is not None
    assert entry.result.cost == (None if cost is None else Decimal(cost))
    await ledger.aclose()


async def test_there_are_not_too_many_and_closing_ends_them(tmp_path: Path) -> None:
    host = Asked({"data": SAID})
    bills = Bills(Ledger(tmp_path / "ledger"), host, (60.0,))
    bills.later((seq, "g") for seq in range(3 * WAITING_MAX))
    assert len(bills._tasks) == WAITING_MAX
    await bills.aclose()
    assert not bills._tasks
    assert host.paths == []
