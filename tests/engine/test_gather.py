"""What is gathered for a place, from whom, within which time; and what never is."""

import asyncio
from collections.abc import Sequence

from hearth.core.context import Diagnostic, Hunk, Snippet
from hearth.core.notebook import Around
from hearth.core.text import Position, Snapshot
from hearth.errors import HearthError
from hearth.gather import READ_LINES_MAX, SEEN_MAX, Found, Recent, Spot, gather, spot_at

CART = """\
class Cart:
    def __init__(self, prices):
        self.prices = prices

    def total(self):
        return sum(self.prices)
"""
MAIN = """\
import cart

def checkout(prices):
    basket = cart.Cart(prices)
    return basket.total()
"""


def doc(name: str, text: str, version: int = 1, language: str = "python") -> Snapshot:
    return Snapshot.of(text, uri=f"file:///work/{name}", language=language, version=version)


def spot(snapshot: Snapshot, line: int = 0) -> Spot:
    return spot_at(snapshot, Position(line, 0))


def recent(*snapshots: Snapshot) -> Recent:
    found = Recent(lambda uri: ("work", uri.removeprefix("file:///work/")))
    for snapshot in snapshots:
        found.touched(snapshot)
    return found


async def paths(known: Recent, at: Spot) -> list[str]:
    return [s.path for s in (await gather(at, {"open": known.source}, 10)).snippets]


# Sources


async def test_who_is_late_is_left_out_and_named_and_ended() -> None:
    ended = asyncio.Event()

    async def slow(at: Spot) -> Found:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return Found()

    async def quick(at: Spot) -> Found:
        return Found((Snippet("cart.py", CART, "file:///work/cart.py", "index"),))

    context = await gather(spot(doc("a.py", "x\n")), {"slow": slow, "quick": quick}, 0.02)
    assert [s.path for s in context.snippets] == ["cart.py"]
    assert context.late == ("slow",)
    assert ended.is_set()


async def test_a_source_that_will_not_end_is_not_waited_for() -> None:
    stubborn_done = asyncio.Event()

    async def stubborn(at: Spot) -> Found:
        for _ in range(3):
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                continue
        stubborn_done.set()
        raise HearthError("too late to matter")

    context = await gather(spot(doc("a.py", "x\n")), {"stubborn": stubborn}, 0.01)
    assert context.late == ("stubborn",)
    assert not stubborn_done.is_set()
    await stubborn_done.wait()


async def test_a_source_that_fails_costs_the_others_nothing() -> None:
    async def broken(at: Spot) -> Found:
        raise ValueError("broken")

    known = recent(doc("cart.py", CART))
    context = await gather(spot(doc("main.py", MAIN), 3), {"broken": broken, "open": known.source}, 10)
    assert [s.path for s in context.snippets] == ["cart.py"]
    assert context.late == ()


async def test_cancelling_reaches_the_sources() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def slow(at: Spot) -> Found:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return Found()

    task = asyncio.create_task(gather(spot(doc("a.py", "x\n")), {"slow": slow}, 60))
    await began.wait()
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    await ended.wait()


async def test_nothing_of_a_secret_file_gets_through() -> None:
    async def careless(at: Spot) -> Found:
        hunk = Hunk("config", "file:///home/me/.aws/credentials", 1, (), ("key = 1",))
        return Found(
            (Snippet(".env", CART, "file:///work/.env", "index"), Snippet("a", CART, "file:///x/id_rsa", "index")),
            (hunk,),
        )

    known = recent(doc(".env", CART), doc("main.py", MAIN))
    known.visited(spot(doc(".env", CART), 2))
    known.visited(spot(doc("main.py", MAIN), 2))
    known.touched(doc(".env", CART + "TOKEN = 'abc'\n", 2))
    context = await gather(spot(doc("main.py", MAIN), 3), {"open": known.source, "careless": careless}, 10)
    assert context.snippets == ()
    assert context.hunks == ()


# Open documents


async def test_open_documents_are_found_but_not_the_one_at_hand() -> None:
    main = doc("main.py", MAIN)
    known = recent(doc("cart.py", CART), main)
    context = await gather(spot(main, 3), {"open": known.source}, 10)
    assert [(s.path, s.kind, s.text) for s in context.snippets] == [("cart.py", "open", CART)]
    assert "basket" in context.region


async def test_what_is_imported_comes_first() -> None:
    main = doc("main.py", MAIN)
    other = "class Report:\n    def render(self, rows):\n        return self.engine.write(rows)\n"
    assert await paths(recent(doc("cart.py", CART), doc("report.py", other)), spot(main)) == ["cart.py", "report.py"]
    assert await paths(recent(doc("report.py", other), doc("cart.py", CART)), spot(main)) == ["cart.py", "report.py"]


async def test_a_copy_of_the_text_at_the_cursor_is_left_out() -> None:
    main = doc("main.py", MAIN)
    assert await paths(recent(doc("copy.py", MAIN), main), spot(main, 3)) == []


async def test_changes_are_read_again_and_closed_documents_are_gone() -> None:
    main = doc("main.py", MAIN)
    known = recent(doc("cart.py", CART), main)
    assert await paths(known, spot(main)) == ["cart.py"]
    known.touched(doc("cart.py", CART.replace("total", "amount"), 2))
    context = await gather(spot(main), {"open": known.source}, 10)
    assert [(s.kind, "amount" in s.text) for s in context.snippets] == [("edited", True)]
    known.closed("file:///work/cart.py")
    assert await paths(known, spot(main)) == []


async def test_long_documents_are_read_a_part_at_a_time() -> None:
    lines = [f"def function_{n}(value_{n}):\n    return compute_{n}(value_{n})\n\n" for n in range(READ_LINES_MAX)]
    long = doc("long.py", "".join(lines))
    known = recent(long)
    target = len(lines) * 3 * 2 // 5  # beyond what one reading takes
    at = spot(doc("main.py", f"x = compute_{target // 3}(function_{target // 3}, value_{target // 3})\n"))
    first = await gather(at, {"open": known.source}, 10)
    assert not any(f"function_{target // 3}(" in s.text for s in first.snippets)
    for _ in range(3):
        then = await gather(at, {"open": known.source}, 10)
    assert any(f"function_{target // 3}(" in s.text for s in then.snippets)


# Places seen


async def test_a_place_that_was_left_is_kept_also_when_its_document_is_closed() -> None:
    cart, main = doc("cart.py", CART), doc("main.py", MAIN)
    known = recent(cart, main)
    known.visited(spot(cart, 3))
    known.visited(spot(cart, 5))  # the same place
    known.closed(cart.uri)
    known.visited(spot(main, 3))
    context = await gather(spot(main, 3), {"open": known.source}, 10)
    assert [(s.path, s.kind) for s in context.snippets] == [("cart.py", "seen")]


async def test_places_of_the_same_document_count_when_they_are_out_of_the_window() -> None:
    body = "".join(f"def function_{n}(value_{n}):\n    return compute_{n}(value_{n})\n\n" for n in range(300))
    main = doc("main.py", body)
    known = recent(main)
    known.visited(spot(main, 10))
    known.visited(spot(main, 700))
    context = await gather(spot(main, 700), {"open": known.source}, 10)
    assert [(s.path, s.kind) for s in context.snippets] == [("main.py", "seen")]
    assert "function_3(" in context.snippets[0].text
    assert (await gather(spot(main, 40), {"open": known.source}, 10)).snippets == ()


async def test_only_the_last_places_are_kept() -> None:
    texts = [
        f"class Thing_{n}:\n    alpha_{n} = beta_{n}(gamma_{n}, delta_{n})\n    epsilon_{n} = 1\n" for n in range(40)
    ]
    documents = [doc(f"m{n}.py", text) for n, text in enumerate(texts)]
    known = recent(*documents)
    for document in documents:
        known.visited(spot(document))
        known.closed(document.uri)
    found = await known.source(spot(doc("main.py", MAIN)))
    assert [s.path for s in found.snippets] == [f"m{n}.py" for n in range(40 - SEEN_MAX, 40)]


# Edits


def edits(hunks: Sequence[Hunk]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(h.path, h.removed, h.added) for h in hunks]


async def test_edits_elsewhere_are_told_in_their_order_and_those_in_view_are_not() -> None:
    cart, main = doc("cart.py", CART), doc("main.py", MAIN)
    known = recent(cart, main)
    known.touched(doc("cart.py", CART.replace("total", "amo"), 2))
    known.touched(doc("cart.py", CART.replace("total", "amount"), 3))
    now = doc("main.py", MAIN.replace("basket", "box"), 2)
    known.touched(now)
    context = await gather(spot(now, 3), {"open": known.source}, 10)
    assert edits(context.hunks) == [
        ("cart.py", ("    def total(self):",), ("    def amount(self):",)),
    ]
    again = await gather(spot(now, 3), {"open": known.source}, 10)
    assert again.hunks == context.hunks


async def test_an_edit_that_goes_on_stays_one() -> None:
    """What is typed piece by piece at one place is one edit, told once the cursor is elsewhere."""
    cart = doc("cart.py", CART)
    known = recent(cart, doc("main.py", MAIN))
    for version, name in enumerate(("a", "am", "amo", "amount"), 2):
        cart = doc("cart.py", CART.replace("total", name), version)
        known.touched(cart)
        assert (await gather(spot(cart, 4), {"open": known.source}, 10)).hunks == ()
    context = await gather(spot(doc("main.py", MAIN)), {"open": known.source}, 10)
    assert edits(context.hunks) == [("cart.py", ("    def total(self):",), ("    def amount(self):",))]


async def test_the_edits_of_a_closed_document_are_still_recent() -> None:
    known = recent(doc("cart.py", CART))
    known.touched(doc("cart.py", CART + "LIMIT = 3\n", 2))
    known.closed("file:///work/cart.py")
    context = await gather(spot(doc("main.py", MAIN)), {"open": known.source}, 10)
    assert edits(context.hunks) == [("cart.py", (), ("LIMIT = 3",))]


# Diagnostics


async def test_diagnostics_near_the_cursor() -> None:
    main = doc("main.py", MAIN)
    known = recent(main)
    known.diagnosed(main.uri, [Diagnostic(3, "error", "no cart"), Diagnostic(99, "error", "far")])
    known.diagnosed("file:///work/other.py", [Diagnostic(3, "error", "other")])
    assert [d.message for d in (await gather(spot(main, 3), {"open": known.source}, 10)).diagnostics] == ["no cart"]
    known.diagnosed(main.uri, [])
    assert (await gather(spot(main, 3), {"open": known.source}, 10)).diagnostics == ()


# Notebooks


def test_a_cell_is_completed_in_the_midst_of_its_notebook() -> None:
    cell = Snapshot.of("y = x\nz", uri="cell:2", language="python")
    at = spot_at(cell, Position(1, 1), Around(("# %%\n", "x = 1\n", "\n", "# %%\n"), ("# %%\n", "print(z)\n")))
    assert at.wide.text == "# %%\nx = 1\n\n# %%\ny = x\nz\n# %%\nprint(z)\n"
    assert at.wide_at == Position(5, 1)
    assert (at.snapshot, at.position) == (cell, Position(1, 1))
    assert at.above == ("# %%", "x = 1", "", "# %%", "y = x")
    assert at.below == ("# %%", "print(z)")
    assert at.place.before == "# %%\nx = 1\n\n# %%\ny = x\nz"
    assert at.place.below == ""
    assert (at.line_before, at.line_after) == ("z", "")


def test_an_ordinary_document_is_its_own_surroundings() -> None:
    main = doc("main.py", MAIN)
    at = spot(main, 3)
    assert at.wide is main
    assert at.wide_at == at.position
    assert at.around is None
