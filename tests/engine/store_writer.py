"""Children of test_store_disk: `lives FOLDER` forks a writer for each line it reads; `full FOLDER` fills a small disk.

Run as a program. Forking spares each of the 200 lives the start of an interpreter.
"""

import asyncio
import json
import os
import random
import sys
from contextlib import suppress
from pathlib import Path

from hearth import store_disk
from hearth.store import Entry, Memory, Place
from hearth.store_disk import Shelf

ENTRIES_PER_LIFE = 60


def entry(life: int, number: int) -> Entry:
    before = f"def f_{life}_{number}(a, b):\n    "
    return Entry(Place(f"file:///life_{life}.py", before, "", "end"), f"return {number}\n" * 20, "backend", "model")


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def write(folder: Path, life: int) -> None:
    """Remember, wait until it is written, say so; for ever, though no more than fits the document's records."""
    pick = random.Random(life)
    shelf = Shelf(folder, lambda error: say("told", error.message))
    shelf.start()
    memory = Memory(shelf)
    number = 0
    while number < ENTRIES_PER_LIFE:
        for _ in range(min(pick.randint(1, 5), ENTRIES_PER_LIFE - number)):
            memory.remember(entry(life, number))
            number += 1
        if await shelf.flush(60):
            say("ack", number)
    await asyncio.Event().wait()


def lives(folder: Path) -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            asyncio.run(write(folder, int(line)))
        say("pid", pid)
        os.waitpid(pid, 0)
        say("dead")


def fill(filler: Path) -> None:
    """Take all the room there is."""
    with suppress(OSError), filler.open("wb") as stream:
        while True:
            stream.write(b"x" * 4096)
            stream.flush()


async def full(folder: Path, filler: Path) -> None:
    """Remember while the disk fills, then make room again. `filler` takes the room; "" leaves that to the limit."""
    store_disk.AGAIN_S = 0.0
    told: list[str] = []
    shelf = Shelf(folder / "prompts", lambda error: told.append(error.message))
    shelf.start()
    memory = Memory(shelf)
    written: list[bool] = []
    found = 0
    for number in range(400):
        memory.remember(entry(number % 20, number))
        found += memory.lookup(entry(number % 20, number).place) is not None
        if number == 100 and filler.name:
            fill(filler)
        if number % 20 == 19:
            written.append(await shelf.flush(60))
    told_when_full = list(told)
    if filler.name:
        os.remove(filler)
    memory.remember(entry(60_000, 60_000))
    again = await shelf.flush(60)
    await shelf.aclose()
    print(json.dumps({"told": told_when_full, "found": found, "written": written, "again": again}))


def main() -> None:
    folder = Path(sys.argv[2])
    if sys.argv[1] == "lives":
        lives(folder)
    elif sys.argv[3:] == ["limit"]:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        asyncio.run(full(folder, Path()))
    else:
        asyncio.run(full(folder, folder / "filler"))


if __name__ == "__main__":
    main()
