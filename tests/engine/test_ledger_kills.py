"""Two hundred writers killed in the midst of it: nothing that they were told is on the disk is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hearth.core.ledger_record import Intent, Result
from hearth.ledger import LedgerLog
from hearth.ledger_reading import cuts, records, sent, verify
from hearth.ledger_reading import entries as entries_of

LIVES = 200
TOLD_MAX = 4
"""How many records a writer is let to tell of before it is killed,"""
LATER_S = 0.015
"""and how much later at most: in the midst of the next."""
WRITER = Path(__file__).with_name("ledger_writer.py")


@pytest.mark.skipif(os.name == "nt", reason="no fork there")
def test_kills(tmp_path: Path) -> None:
    folder, pick = tmp_path / "ledger", random.Random(7)
    told: dict[int, str] = {}
    command = [sys.executable, str(WRITER), "lives", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as writer:
        assert writer.stdin
        assert writer.stdout
        for life in range(LIVES):
            print(life, file=writer.stdin)
            pid, left = 0, pick.randint(0, TOLD_MAX)
            while (words := writer.stdout.readline().split()) != ["dead"]:
                assert words, "the writer's parent ended"
                if words[0] == "pid":
                    pid = int(words[1])
                else:
                    told[int(words[1])] = words[2] if words[0] == "intent" else ""
                    left -= 1
                if pid and left <= 0:
                    time.sleep(pick.uniform(0, LATER_S))
                    os.kill(pid, signal.SIGKILL)
                    pid = 0
        writer.stdin.close()
        assert writer.wait(30) == 0
    assert len(told) > LIVES
    assert verify(folder).whole
    LedgerLog(folder).open()
    found = {record.seq: record.what for record in records(folder)}
    lost = [
        seq for seq, digest in told.items()
        if not isinstance(found.get(seq), Intent if digest else Result)
        or (digest and getattr(found[seq], "sha256", "") != digest)
    ]  # fmt: skip
    assert lost == []
    for entry in entries_of(folder):
        assert len(sent(folder, entry)) == entry.intent.size
    end = verify(folder)
    assert end.whole
    assert "never" not in end.sentence
    # Each life leaves at most one record that nobody was told of, or one that had to be cut.
    assert len(found) - len(told) <= LIVES
    print(f"{len(told)} records told of, {len(found)} there, {len(cuts(folder))} cut")
