"""Embedding in the background: real stores, the real gateway, a model server that does what a test says."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chunked_files import entry
from engine.test_embed import Embeds
from hearth import embed as module
from hearth.backends.scripted import Script
from hearth.core.origin import Destination, Origin
from hearth.embed import AWAY_S, BAD_IN_A_ROW_MAX, BATCH_MAX, TEXT_CHARS_MIN, EmbedLoop, Ready
from hearth.errors import (
    ContextOverflow,
    HearthError,
    ModelMissing,
    ProtocolFault,
    RateLimited,
    ServerFault,
    Unreachable,
    WorkerError,
)
from hearth.gateway import Gateway, Member
from hearth.index.dense import Dense
from hearth.index.manifest import Manifest
from hearth.masking import Masks
from hearth.rulings import Rulings
from hearth.sending import Sending

pytest.importorskip("qdrant_edge", reason="there is no embedded store for this machine")
HANG_S = 20
MODEL = "bge"


class Server(Embeds):
    """Each text becomes a vector of its letters. `refuse` raises what a text is answered with."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.refuse: Callable[[Sequence[str]], Exception | None] = lambda _: None
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str], model: str) -> list[tuple[float, ...]]:
        await super().embed(texts, model)
        if error := self.refuse(texts):
            raise error
        self.texts += texts
        return [tuple(float(text.count(letter)) for letter in "abcdefgh \n") for text in texts]


class Index:
    """One folder's dense side, asked as the index process is."""

    def __init__(self, home: Path) -> None:
        self.manifest = Manifest(home / "manifest.sqlite")
        self.dense = Dense(home, self.manifest)
        self.away = False
        self.messages: list[dict[str, Any]] = []

    def write(self, files: int, chunks: int = 5, text: str = "text") -> None:
        self.manifest.replace(
            [entry(f"{n}.py", [f"{text} {n} {k} abc" for k in range(chunks)], mtime_ns=n) for n in range(files)]
        )

    async def ask(self, message: dict[str, Any], within_s: float) -> dict[str, Any]:
        self.messages.append(message)
        if self.away:
            raise WorkerError("the index is away")
        assert message["do"] == "dense"
        return self.dense.exchange(message)

    def close(self) -> None:
        self.dense.close()
        self.manifest.close()


class Bench:
    def __init__(self, loop: EmbedLoop, server: Server, index: Index, told: list[HearthError]) -> None:
        self.loop, self.server, self.index, self.told = loop, server, index, told
        self.waits: list[float] = []

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANG_S):
            while not true():
                await asyncio.sleep(0.002)

    async def done(self) -> None:
        await self.until(lambda: self.loop.status()["state"] == "done")


async def as_they_are(texts: Sequence[tuple[str, Origin]], destination: Destination) -> list[str | None]:
    return [text for text, _ in texts]


@asynccontextmanager
async def bench(
    home: Path,
    patch: pytest.MonkeyPatch,
    *,
    files: int = 6,
    model: str = MODEL,
    server: Server | None = None,
    rest_s: float = 0.0,
    ready: Ready | None = None,
    folder: str = "/folder",
) -> AsyncGenerator[Bench]:
    for name, value in (("REST_S", rest_s), ("PAUSE_S", 0.0), ("AWAY_S", (0.0, 0.001, 0.002)), ("LOOK_AGAIN_S", 0.02)):
        patch.setattr(module, name, value)
    told: list[HearthError] = []
    used = server or Server()
    index = Index(home)
    index.write(files)

    async def find() -> list[Member]:
        return [Member(used, ("complete", "chat"))]

    gateway = Gateway(find, ("box.lan",), told.append)
    loop = EmbedLoop(gateway, index.ask, lambda: [folder], model, told.append, ready or as_they_are)
    tasks = [asyncio.create_task(gateway.run())]
    await gateway.probed.wait()
    tasks.append(asyncio.create_task(loop.run()))
    try:
        yield Bench(loop, used, index, told)
        assert not any(task.done() for task in tasks) or not model
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await loop.aclose()
        index.close()


async def test_everything_is_embedded_newest_first_then_only_what_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, monkeypatch) as b:
        await b.done()
        assert b.loop.status() == {"model": MODEL, "state": "done", "embedded": 30, "left": 0, "problem": ""}
        assert len(b.server.texts) == len(set(b.server.texts)) == 30
        assert b.server.texts[0] == "5.py\nf\ntext 5 0 abc"
        b.index.manifest.replace([entry("new.py", ["brand new"])])
        b.loop.changed()
        await b.until(lambda: len(b.server.texts) == 31)
        await b.done()
        assert b.server.texts[-1] == "new.py\nf\nbrand new"
        assert b.told == []


async def test_batches_grow_while_the_server_is_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, monkeypatch, files=60) as b:
        await b.done()
        sizes = [len(texts) for texts in b.server.asked]
        assert sizes[0] == module.BATCH_FIRST
        assert max(sizes) == BATCH_MAX


async def test_a_slow_server_gets_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_SPAN_S", 0.0)
    async with bench(tmp_path, monkeypatch) as b:
        await b.done()
        assert [len(texts) for texts in b.server.asked[:4]] == [4, 2, 1, 1]


async def test_without_a_model_it_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, monkeypatch, model="") as b:
        await asyncio.wait_for(b.loop.run(), HANG_S)
        assert await b.loop.question("where is it?") is None
        assert b.index.messages == []
        assert b.loop.status()["state"] == "off"


async def test_nothing_is_embedded_while_something_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, monkeypatch, rest_s=0.2) as b:
        await b.until(lambda: bool(b.server.texts))
        b.loop.touched()
        await asyncio.sleep(0.05)  # what was on its way
        count = len(b.server.texts)
        for _ in range(20):
            b.loop.touched()
            await asyncio.sleep(0.01)
        assert len(b.server.texts) == count
        await b.done()


async def test_the_vector_of_a_question_finds_the_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, monkeypatch) as b:
        assert await b.loop.question("too early?") is None
        b.index.manifest.replace([entry("q.py", ["hhhh gggg"])])
        await b.done()
        found = await b.loop.question("  hhhhhh   gggggg ")
        assert found is not None
        model, vector = found
        assert model == MODEL
        assert b.server.texts[-1] == "hhhhhh gggggg"
        [(uid, _)] = b.index.dense.search(vector, 1, model)
        assert b.index.manifest.chunks([uid])[uid].path == "q.py"
        assert await b.loop.question("   ") is None


async def test_a_question_is_asked_with_the_model_that_the_index_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, monkeypatch) as b:
        await b.done()
    server = Server(models=(MODEL, "new"))
    server.refuse = lambda texts: Unreachable("away") if len(texts) > 1 else None
    async with bench(tmp_path, monkeypatch, model="new", server=server) as b:
        await b.until(lambda: b.loop.status()["left"] == 30)
        found = await b.loop.question("abc")
        assert found is not None
        assert found[0] == MODEL
        assert b.index.dense.search(found[1], 3, found[0])


async def test_a_question_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUESTION_WITHIN_S", 0.02)
    async with bench(tmp_path, monkeypatch) as b:
        await b.done()
        b.server.hold.clear()
        assert await b.loop.question("slow?") is None
        assert b.server.broken_off == 0, "the model may be loading: the next question is to find it loaded"
        b.server.hold.set()
        b.server.refuse = lambda _: ServerFault("broken")
        assert await b.loop.question("broken?") is None
        await asyncio.sleep(0)


# Trouble


async def test_a_server_that_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.refuse = lambda _: Unreachable("nothing listens there", "Start it.")
    async with bench(tmp_path, monkeypatch, server=server) as b:
        await b.until(lambda: len(server.asked) > 4)
        assert b.loop.status()["state"] == "waiting"
        assert b.loop.status()["problem"] == "nothing listens there"
        assert b.told == [], "the gateway tells of servers that are away"
        server.refuse = lambda _: None
        await b.done()
        assert b.loop.status()["problem"] == ""
        assert len(server.texts) == 30


async def test_a_model_that_no_server_has_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, monkeypatch, server=Server(models=())) as b:
        await b.until(lambda: bool(b.told))
        asked = len(b.index.messages)
        await b.until(lambda: len(b.index.messages) > asked + 5)
        assert [type(error) for error in b.told] == [ModelMissing]
        assert "embedding_model" in b.told[0].remedy
        b.server.models = (MODEL,)
        await b.done()


async def test_waiting_grows_and_a_server_may_say_how_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, monkeypatch, files=0) as b:
        waited: list[float] = []

        async def sleep(seconds: float) -> None:
            waited.append(seconds)

        monkeypatch.setattr(module, "AWAY_S", AWAY_S)
        monkeypatch.setattr(module.asyncio, "sleep", sleep)
        for error in (*[Unreachable("x")] * 6, RateLimited("slow", retry_after_s=30), RateLimited("slow", "", 9_999)):
            await b.loop._wait_for_server(error)
        monkeypatch.undo()
        assert waited == [2, 5, 15, 60, 60, 60, 60, 60]


async def test_one_chunk_that_cannot_be_embedded_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.refuse = lambda texts: ServerFault("NaN") if any("text 3 2" in text for text in texts) else None
    async with bench(tmp_path, monkeypatch, server=server) as b:
        await b.done()
        assert len(set(server.texts)) == 29
        assert b.told == []
        assert b.index.dense.left == 0


async def test_a_server_that_can_embed_nothing_is_named_and_costs_few_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    server.refuse = lambda _: ProtocolFault("not an embedding server", "Correct the url.")
    async with bench(tmp_path, monkeypatch, server=server) as b:
        await b.until(lambda: bool(b.told))
        assert [error.message for error in b.told] == ["not an embedding server"]
        server.refuse = lambda _: None
        await b.done()
        assert len(server.texts) == 30 - BAD_IN_A_ROW_MAX


async def test_a_model_with_a_small_context_gets_shorter_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.refuse = lambda texts: ContextOverflow("too long") if max(map(len, texts)) > 600 else None
    async with bench(tmp_path, monkeypatch, files=0, server=server) as b:
        b.index.write(3, text="word " * 300)
        await b.done()
        assert len(server.texts) == 15
        assert all(TEXT_CHARS_MIN <= len(text) <= 600 for text in server.texts)
    server = Server()
    server.refuse = lambda _: ContextOverflow("too long")
    async with bench(tmp_path / "2", monkeypatch, files=1, server=server) as b:
        await b.until(lambda: bool(b.told))


async def test_the_index_may_be_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, monkeypatch) as b:
        await b.until(lambda: len(b.server.texts) >= 8)
        b.index.away = True
        await b.until(lambda: b.loop.status()["state"] == "waiting")
        b.index.away = False
        await b.done()
        assert len(set(b.server.texts)) == 30
        assert b.index.dense.status()["embedded"] == 30


async def test_what_breaks_off_goes_on_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Server()
    async with bench(tmp_path, monkeypatch, server=first) as b:
        await b.until(lambda: len(first.texts) >= 12)
    second = Server(script=Script(text="x"))
    async with bench(tmp_path, monkeypatch, server=second) as b:
        await b.done()
        assert 0 < len(second.texts) < 30
        assert {*first.texts, *second.texts} >= {f"{n}.py\nf\ntext {n} {k} abc" for n in range(6) for k in range(5)}


# What may be embedded where


async def test_what_may_not_go_to_another_host_gets_no_vector_and_the_rest_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rulings = Rulings(("2.py",))
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws/.gitignore").write_text("3.py")
    (tmp_path / "ws/.env").write_text("DATABASE_PASSWORD=abcabcabc-4711\n")
    rulings.set_folders([tmp_path / "ws"])
    sending = Sending(rulings, Masks(lambda: [tmp_path / "ws"], {}, tmp_path).of)
    server = Server(url="http://box.lan:11434")
    async with bench(
        tmp_path / "home", monkeypatch, files=0, server=server, ready=sending.texts, folder=str(tmp_path / "ws")
    ) as b:
        b.index.write(5, 1, "value abcabcabc-4711")
        b.loop.changed()
        await b.until(lambda: b.loop.status()["left"] == 0 and bool(b.server.texts))
        await b.done()
        assert len(b.server.texts) == 3, "neither what must never leave nor what is ignored"
        assert not any("2.py" in text or "3.py" in text for text in b.server.texts)
        assert not any("abcabcabc" in text for text in b.server.texts)
        assert await b.loop.question("where is abcabcabc-4711?") is not None
        assert "abcabcabc" not in b.server.texts[-1]
        rulings.trusted = False
        asked = len(b.server.texts)
        assert await b.loop.question("from an untrusted workspace") is None
        assert len(b.server.texts) == asked
