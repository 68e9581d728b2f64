"""A child of the journal's tests: for each line that it reads a writer, which notes changes until it is killed."""

import os
import random
import sys
from pathlib import Path

from hearth.core.patch import FileEdit
from hearth.journal import Change, Journal


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write(home: Path, life: int) -> None:
    pick = random.Random(life)
    journal = Journal(home)
    number = 0
    while True:
        number += 1
        # Entries of many pages: a kill may come between two of them.
        text = f"{life} {number}\n" + "x" * pick.randint(0, 60_000)
        id = journal.note(Change("/w", f"{life} {number}", 1e9, (FileEdit("a.py", text, text + "y"),)))
        say("noted", id, life, number)
        journal.done(id)
        say("done", id)


for line in sys.stdin:
    pid = os.fork()
    if not pid:
        write(Path(sys.argv[1]), int(line))
    say("pid", pid)
    os.waitpid(pid, 0)
    say("dead")
