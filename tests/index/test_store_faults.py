"""Manifest and points together: killed 200 times, with 1,000 bits flipped, on a full disk.

What is asserted of damaged files: whatever is read is right, or the damage is named. One thing is not in our hands: a
folder of points that was *not* closed has no seal, and there a flipped bit can end or hang the native code. The index
process then dies or is ended by its supervisor, and must put the store aside if that happens again and again.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import store_breaker
from store_breaker import FILES, state

from hearth.index.manifest import Manifest
from hearth.index.points import EdgePoints

BREAKER = Path(store_breaker.__file__)
KILLS = 200

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or not hasattr(os, "SEEK_DATA"), reason="needs fork and holes")


@pytest.fixture
def folder():
    """In memory where there is such a place: nothing here is about the disk's own faults, and it syncs slowly."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name) / "index"


def run(*argv, check=True):
    return subprocess.run(
        [sys.executable, str(BREAKER), *map(str, argv)], capture_output=True, text=True, timeout=120, check=check
    )


async def test_no_kill_loses_a_file_or_halves_one(folder):
    """Killed at any moment: while it opens, writes, commits, drops. Each life checks what the one before left."""
    pick = random.Random(5)
    versions: dict[str, int] = {}
    acknowledged = opened = 0
    problems: list[str] = []
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(BREAKER), "lives", str(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    async with asyncio.timeout(120):
        for life in range(KILLS):
            process.stdin.write(f"{life}\n".encode())
            patience = pick.choice((-1, 0, 1, 2, 5, 10))
            pid = 0
            while (line := (await process.stdout.readline()).decode().split(maxsplit=1)) != ["dead"]:
                word, rest = line[0], line[1:]
                if word == "pid":
                    pid = int(rest[0])
                elif word == "bad":
                    problems.append(f"life {life}: {rest}")
                elif word == "open":
                    opened += 1
                    there = json.loads(rest[0])
                    # The last life may have committed one more change than it could say.
                    unlike = [path for path in {*there, *versions} if there.get(path) != versions.get(path)]
                    lost = [path for path in unlike if path in there and there[path] < versions.get(path, 0)]
                    if lost or len(unlike) > 1:
                        problems.append(f"life {life}: {unlike} of {versions} are {there}")
                    versions = there
                elif word == "ack":
                    path, version = rest[0].split()
                    versions[path] = int(version)
                    acknowledged += 1
                    patience -= 1
                elif word == "gone":
                    versions.pop(rest[0].strip(), None)
                    patience -= 1
                if pid and patience <= 0:
                    await asyncio.sleep(pick.random() * (0.05 if patience < 0 else 0.004))
                    os.kill(pid, signal.SIGKILL)  # until "dead" is read, nobody else can have this number
                    patience = sys.maxsize
        process.stdin.close()
        await process.wait()
    assert problems == []
    assert opened > KILLS / 2, "some were killed before they had opened"
    assert acknowledged > KILLS
    manifest, points = Manifest(folder / "manifest.db"), EdgePoints(folder / "points")
    there, bad = state(manifest, points)
    assert bad == []
    assert len(there) > FILES / 2
    assert len([path for path in {*there, *versions} if there.get(path) != versions.get(path)]) <= 1
    assert points.uids() >= manifest.all_uids()
    points.close()
    manifest.close()


@pytest.mark.parametrize(
    ("part", "end", "count"),
    [("manifest", "closed", 375), ("manifest", "crashed", 375), ("points", "closed", 150), ("points", "crashed", 100)],
)
def test_flipped_bits_are_named_or_do_no_harm(folder, part, end, count):
    run("made", folder, end, check=end == "closed")
    said = json.loads(run("flips", folder, part, count, 11).stdout)
    ends = said["ends"]
    assert sum(ends.values()) == count
    assert [name for name in ends if name.startswith("odd")] == [], said
    died = sum(many for name, many in ends.items() if name.startswith("died"))
    if (part, end) == ("points", "closed"):
        assert ends == {"named": count}, "sealed: nothing of it reaches the native code"
    elif (part, end) == ("points", "crashed"):
        assert died < count / 20, said
    else:
        assert died == 0, said
        assert ends["good"] > count / 4, "most damage is in free space or in a text"


def test_what_was_put_aside_is_built_anew(folder):
    """The way of the caller: damage is named, the folder moved, and the same place is used again."""
    run("made", folder, "closed")
    (folder / "points" / "edge_config.json").write_text("{}")
    (folder / "manifest.db").write_bytes(b"\xff" * 100)
    for opening in (lambda: Manifest(folder / "manifest.db"), lambda: EdgePoints(folder / "points")):
        with pytest.raises(store_breaker.IndexFault):
            opening()
    shutil.move(folder, folder.with_name("aside"))
    manifest, points = Manifest(folder / "manifest.db"), EdgePoints(folder / "points")
    store_breaker.update(manifest, points, "a", 1)
    assert state(manifest, points) == ({"a": 1}, [])
    points.close()
    manifest.close()
