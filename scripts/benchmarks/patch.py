"""The patch engine on a file of 5,000 lines: processor time from a model's answer to the edits for the editor.

Nothing is remembered of the file, and it is looked whether a definition got lost, as for a chat command.
"""

import difflib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "server"))

from hearth.core.patch import Format, Patch, Refusal, Target, read  # noqa: E402
from hearth.core.patch_syntax import outlined  # noqa: E402
from hearth.core.trees import TREES  # noqa: E402

LINES = 5_000
BLOCKS = 50
RUNS = 7
PATH = "src/shop.py"


def source() -> list[str]:
    """Functions of ten lines that are alike, as in a real file of that length."""
    lines: list[str] = []
    for n in range(LINES // 10):
        lines += [
            f"def total_{n}(items, rate=0.{n % 90 + 1}):", '    """The total."""', "    amount = 0",
            "    for item in items:", "        if item.hidden:", "            continue", "        amount += item.price",
            f"    return amount * (1 + rate) + {n}", "", "",
        ]  # fmt: skip
    return lines


def changed(lines: list[str]) -> list[str]:
    step = LINES // 10 // BLOCKS
    result = list(lines)
    for n in range(0, LINES // 10, step):
        at = result.index(f"    return amount * (1 + rate) + {n}")
        result[at] = f"    return round(amount * (1 + rate) + {n}, 2)"
    return result


def blocks(lines: list[str], new: list[str], *, indent: str = "") -> str:
    parts: list[str] = []
    for at, (old, now) in enumerate(zip(lines, new, strict=True)):
        if old != now:
            head = [indent + line if line else line for line in lines[at - 7 : at]]
            parts += ["<<<<<<< SEARCH", *head, indent + old, "=======", *head, indent + now, ">>>>>>> REPLACE", ""]
    return PATH + "\n" + "\n".join(parts)


def timed(answer: str, format: Format, text: str, span: tuple[int, int] | None = None) -> tuple[float, Patch | Refusal]:
    """The median in milliseconds of reading an answer and asking for the editor's edits."""
    target = Target(PATH, text, span=span)
    outcome: Patch | Refusal = read(answer, format, [target])
    times: list[float] = []
    for _ in range(RUNS):
        outlined.cache_clear()
        TREES.__init__()
        begun = time.thread_time()
        outcome = read(answer, format, [target], instruction="make it faster")
        if isinstance(outcome, Patch):
            outcome.text_edits(PATH)
        times.append((time.thread_time() - begun) * 1_000)
    return statistics.median(times), outcome


def rows() -> list[tuple[str, str, str]]:
    lines = source()
    new, text = changed(lines), "\n".join(lines) + "\n"
    whole = f"```python\n{chr(10).join(new)}\n```\n"
    diff = "".join(difflib.unified_diff([x + "\n" for x in lines], [x + "\n" for x in new], f"a/{PATH}", f"b/{PATH}"))
    one = blocks(lines, [*lines[:7], new[7], *lines[8:]])
    function = "\n".join([*lines[:2], "    return sum(item.price for item in items if not item.hidden)"])
    alike = "\n".join(["same"] * LINES) + "\n"
    place = "same\n" * (LINES // 2)
    measured: list[tuple[str, str, Callable[[], tuple[float, Patch | Refusal]]]] = [
        ("one block", "<= 50 ms", lambda: timed(one, "blocks", text)),
        (f"{BLOCKS} blocks", "<= 100 ms", lambda: timed(blocks(lines, new), "blocks", text)),
        (
            f"{BLOCKS} blocks, indented otherwise", "<= 150 ms",
            lambda: timed(blocks(lines, new, indent="    "), "blocks", text),
        ),
        (f"a diff of {BLOCKS} hunks", "<= 100 ms", lambda: timed(diff, "diff", text)),
        ("the whole file", "<= 300 ms", lambda: timed(whole, "file", text)),
        ("one symbol", "<= 300 ms", lambda: timed(f"```python\n{function}\n```\n", "symbol", text, (0, 8))),
        (
            "equal lines only, half of them searched", "<= 100 ms",
            lambda: timed(f"{PATH}\n<<<<<<< SEARCH\n{place}=======\nx\n>>>>>>> REPLACE\n", "blocks", alike),
        ),
    ]  # fmt: skip
    found: list[tuple[str, str, str]] = []
    for name, goal, call in measured:
        took, outcome = call()
        what = f"{outcome.places} places" if isinstance(outcome, Patch) else f"refused: {outcome.code}"
        found.append((f"{LINES:,} lines, {name}", goal, f"{took:.0f} ms, {what}"))
    return found
