"""Chat commands: what Hearth adds between the command and the first visible text, and what a refresh of a page costs.

The model answers at once (a scripted one, in the process), so all of the time to the first text is Hearth's own:
reading the document, its symbols, the project's notes, the policy, the route, and the page.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "server"))

from hearth.core.chat import Command  # noqa: E402
from hearth.core.chat_offers import offers  # noqa: E402
from hearth.core.chat_page import Page, page  # noqa: E402
from hearth.core.conversation import Answer, Conversation, Turn  # noqa: E402
from hearth.core.exchange import Text  # noqa: E402
from hearth.core.text import Position, Range, Snapshot  # noqa: E402
from hearth.engine import open_engine  # noqa: E402
from hearth.settings import parse  # noqa: E402

RUNS = 25
FIRST_MS_MAX = 60
TRANSCRIPT_CHARS = 200_000
REFRESHES = 200
PIECE = "and so `it` goes [on](src/a.py#L3), "
_notes: list[str] = []


def source(lines: int) -> str:
    """Functions of ten lines, as in a file of that length."""
    parts: list[str] = []
    for n in range(lines // 10):
        parts += [
            f"def total_{n}(items, rate=0.{n % 90 + 1}):", '    """The total."""', "    amount = 0",
            "    for item in items:", "        if item.hidden:", "            continue", "        amount += item.price",
            f"    return amount * (1 + rate) + {n}", "", "",
        ]  # fmt: skip
    return "\n".join(parts)


async def first_text(folder: Path, kind: str, lines: int) -> list[float]:
    """Milliseconds from the command to a page with the first words, RUNS times."""
    folder.mkdir()  # noqa: ASYNC240
    script = folder / "script.json"
    script.write_text(
        json.dumps({"chat_text": "It adds up what the items cost, and the tax.\n", "context_tokens": 32_768})
    )
    settings, problems = parse({"backends": [{"kind": "scripted", "model": str(script)}], "index": {"enabled": False}})
    assert not problems, problems
    work = folder / "work"
    (work / "src").mkdir(parents=True, exist_ok=True)
    (work / "AGENTS.md").write_text("Use tabs.\n" * 100)
    path = work / "src" / "shop.py"
    path.write_text(source(lines))
    line = lines // 2 + 3
    command = Command(kind, path.as_uri(), Range(Position(line, 0), Position(line, 0)))  # type: ignore[arg-type]
    times: list[float] = []
    async with open_engine(settings, data_dir=folder / "data", folders=[work]) as engine:
        await engine.gateway.probed.wait()
        for version in range(RUNS):
            # As after an edit above the place: nothing of this version is remembered.
            last = f"+ {lines // 20 - 1}\n"
            text = source(lines).replace(last, f"+ {version} {last}", 1)
            engine.opened(Snapshot.of(text, uri=path.as_uri(), language="python", version=version))
            await asyncio.sleep(0.05)
            begun = time.perf_counter()
            talk = await engine.chats.start(command)
            updates = engine.chats.run(talk.id)
            async for update in updates:
                if isinstance(update, Text):
                    shown = engine.chats.page(talk.id)
                    times.append((time.perf_counter() - begun) * 1_000)
                    assert update.text in shown
                    break
            await updates.aclose()
    return times


def refreshes(talk: Conversation, before: str) -> tuple[float, float]:
    """(median, largest) milliseconds of processor time of a refresh after a few words more."""
    shown = Page(talk, ["/ws"])
    shown.wrote(before)
    shown.text()
    times: list[float] = []
    for _ in range(REFRESHES):
        begun = time.thread_time()
        shown.wrote(PIECE)
        shown.text()
        times.append((time.thread_time() - begun) * 1_000)
    return statistics.median(times), max(times)


def conversation(chars: int) -> Conversation:
    """One whose turns that are over have so many characters together."""
    talk = Conversation("c", "explain", "Explain it", Command("explain"), None, 0.0)
    text = prose(20_000)
    for n in range(chars // len(text)):
        talk.turns.append(Turn(f"why {n}?", (), answer=Answer(text, "machine", "o", "m", "r", "stop")))
    talk.turns.append(Turn("and now?", ()))
    return talk


def prose(chars: int) -> str:
    code = "```python\ndef add(a, b):\n    return a + b\n```\n\n"
    return ((PIECE * 8 + "\n\n") * 6 + code) * (chars // 1_800)


def milliseconds(work: Callable[[], object]) -> float:
    begun = time.thread_time()
    work()
    return (time.thread_time() - begun) * 1_000


def rows() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        cases = (("explain", 300), ("refactor", 300), ("document", 300), ("explain", 5_000))
        for number, (kind, lines) in enumerate(cases):
            times = asyncio.run(first_text(Path(folder, str(number)), kind, lines))
            worst = sorted(times)[int(len(times) * 0.95)]
            figure = f"{kind}, {lines} lines: first visible text after the server's first token, p50 / p95"
            found.append((figure, f"<= {FIRST_MS_MAX} ms", f"{statistics.median(times):.1f} / {worst:.1f} ms"))
    large = Snapshot.of(source(5_000), language="python")
    where = Range(Position(2_503, 0), Position(2_503, 0))
    bulbs = [milliseconds(lambda: offers(large, where)) for _ in range(20)]
    value = f"{bulbs[0]:.1f} / {statistics.median(bulbs[1:]):.1f} ms"
    found.append(("refactorings offered in 5,000 lines, after an edit / a move, processor", "-", value))
    for name, talk, before in (
        ("over ten turns", conversation(TRANSCRIPT_CHARS), ""),
        ("in the running answer", conversation(0), prose(TRANSCRIPT_CHARS)),
    ):
        median, largest = refreshes(talk, before)
        value = f"{median:.2f} / {largest:.2f} ms"
        found.append((f"refresh of a page of 200 KB {name}, p50 / max, processor", "<= 5 ms", value))
    whole = conversation(TRANSCRIPT_CHARS)
    _notes.append(
        f"Such a page rendered whole takes {milliseconds(lambda: page(whole, ['/ws'])):.0f} ms of processor time."
    )
    return found


def notes() -> str:
    return "\n".join(_notes)
