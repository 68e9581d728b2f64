"""Children of the ledger's tests: writers that are killed, that take turns, that run into the end of the disk.

Run as a program. `lives FOLDER` forks a writer for each line it reads; forking spares each the start of an interpreter.
"""

import os
import random
import sys
import time
from decimal import Decimal
from pathlib import Path

from hearth.core.budget import refusal
from hearth.core.ledger_record import Intent, Result
from hearth.core.origin import file_origin
from hearth.core.tally import Tally
from hearth.errors import LedgerError
from hearth.ledger import Admission, LedgerLog

ORIGINS_MAX = 400
CAP, COST = Decimal("0.30"), Decimal("0.01")


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write(folder: Path, life: int) -> None:
    """Requests of all sizes, each told of as soon as it is acknowledged, without end."""
    pick = random.Random(life)
    log = LedgerLog(folder)
    while True:
        # Records of many pages: a kill may come between two of them.
        origins = tuple(file_origin("/w", f"{number}.py") for number in range(pick.randint(0, ORIGINS_MAX)))
        handle = log.intent(
            Intent("task", "openrouter.ai:443", origins=origins), pick.randbytes(pick.randint(0, 60_000))
        )
        say("intent", handle.seq, handle.sha256)
        say("result", log.result(Result(handle.seq, "done")))


def lives(folder: Path) -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            write(folder, int(line))
        say("pid", pid)
        os.waitpid(pid, 0)
        say("dead")


def turns(folder: Path, count: int) -> None:
    log = LedgerLog(folder)
    for number in range(count):
        handle = log.intent(Intent("chat", "openrouter.ai:443"), b"%d of %d" % (number, os.getpid()))
        log.result(Result(handle.seq, "done"))
        say(handle.seq)


def capped(folder: Path, count: int) -> None:
    """So many requests of a hundredth each, as long as all that anybody sent today stays within the cap."""
    log, now = LedgerLog(folder), time.time()

    def admit(tally: Tally) -> None:
        if refusal(tally.budget(CAP, now), COST, now):
            raise LedgerError("That is enough for today.")

    for number in range(count):
        try:
            handle = log.intent(Intent("chat", "h", estimated=COST), b"%d" % number, Admission(now - 3_600, admit))
        except LedgerError:
            say("refused")
            continue
        if number % 2:
            log.result(Result(handle.seq, "done", cost=COST))
        say(handle.seq)


def limit(folder: Path) -> None:
    """Until no file may grow beyond the limit."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    log = LedgerLog(folder)
    try:
        while True:
            say(log.intent(Intent("chat", "openrouter.ai:443"), b"x").seq)
    except LedgerError:
        say("refused")


if __name__ == "__main__":
    where = Path(sys.argv[2])
    if sys.argv[1] == "lives":
        lives(where)
    elif sys.argv[1] == "capped":
        capped(where, int(sys.argv[3]))
    elif sys.argv[1] == "turns":
        turns(where, int(sys.argv[3]))
    else:
        limit(where)
