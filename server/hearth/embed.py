"""Embedding the project in the background, for whoever has named an embedding model.

The index process says which chunks have no vector yet, the user's own server embeds them, a few at a time, and the
vectors go back with the next question. Nothing happens while anything is typed or generated; a server that is away is
asked ever more rarely; a chunk that it cannot embed is left out. Without an embedding model there is nothing to run.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from hearth.core.embedtext import chunk_text, question_text, unit
from hearth.core.origin import USER, Destination, Origin, file_origin
from hearth.errors import (
    BackendError,
    ContextOverflow,
    DeadlineExceeded,
    EgressDenied,
    HearthError,
    LimitExceeded,
    ModelLoading,
    ProtocolFault,
    RateLimited,
    ServerFault,
    Unreachable,
    WorkerError,
)
from hearth.gateway import Gateway

LOG = logging.getLogger(__name__)
REST_S = 2.0
"""Without a key for so long, the machine may embed."""
BATCH_FIRST = 4
BATCH_MAX = 32
BATCH_SPAN_S = 1.0
"""Batches grow until one takes this long: a completion that comes meanwhile has the server again after it at the
latest, also where breaking a request off is noticed late."""
PAUSE_S = 0.02
TEXT_CHARS_FIRST = 2_000
TEXT_CHARS_MIN = 250
EXCHANGE_WITHIN_S = 20.0
LOOK_AGAIN_S = 30.0
"""When everything is embedded, unless the index says before that something has changed."""
AWAY_S = (2.0, 5.0, 15.0, 60.0)
"""How long to wait for a server that does not answer; the last figure repeats."""
BAD_IN_A_ROW_MAX = 3
"""A server that cannot embed so many single chunks, one after the other, is broken, not they."""
QUESTION_WITHIN_S = 3.0
"""For the vector of a question, which the user waits for: without it the search goes by words alone."""

Ask = Callable[[dict[str, Any], float], Awaitable[dict[str, Any]]]
"""A message to the index process and how long to wait; WorkerError if there is no answer. See IndexClient.ask."""
Ready = Callable[[Sequence[tuple[str, Origin]], Destination], Awaitable[list[str | None]]]
"""Texts with their origins as they may go there, None for each that may not. See Sending.texts."""


@dataclass(slots=True)
class _Folder:
    """What is known of one folder, and what goes to the index with the next question."""

    put: list[list[Any]] = field(default_factory=list[list[Any]])
    skip: list[int] = field(default_factory=list[int])
    left: int = 0
    embedded: int = 0
    answers: str = ""
    problem: str = ""


class EmbedLoop:
    """One per engine. `run` until cancelled; it ends by itself if `model` is "". `folders`: those that are indexed."""

    def __init__(
        self,
        gateway: Gateway,
        ask: Ask,
        folders: Callable[[], Sequence[str]],
        model: str,
        tell: Callable[[HearthError], None],
        ready: Ready,
    ) -> None:
        self._ready = ready
        self._gateway = gateway
        self._ask = ask
        self._list = folders
        self._model = model
        self._tell = tell
        self._who = secrets.token_hex(8)
        self._folders: dict[str, _Folder] = {}
        self._touched_at = float("-inf")
        self._news = asyncio.Event()
        self._told: set[str] = set()
        self._batch = BATCH_FIRST
        self._chars = TEXT_CHARS_FIRST
        self._bad = 0
        self._away = 0
        self._problem = ""
        self._questions: set[asyncio.Task[list[tuple[float, ...]]]] = set()

    def touched(self) -> None:
        """Something was typed, or is asked of a model: rest begins anew. O(1)."""
        self._touched_at = asyncio.get_running_loop().time()

    def changed(self) -> None:
        """The index has committed something. O(1)."""
        self._news.set()

    def status(self) -> dict[str, Any]:
        """For `doctor`: model, state ("off", "working", "waiting", "done"), figures over all folders, problem."""
        folders = self._folders.values()
        left = sum(folder.left for folder in folders)
        problem = self._problem or next((folder.problem for folder in folders if folder.problem), "")
        state = "off" if not self._model else "waiting" if problem else "done" if folders and not left else "working"
        embedded = sum(folder.embedded for folder in folders)
        return {"model": self._model, "state": state, "embedded": embedded, "left": left, "problem": problem}

    async def run(self) -> None:
        """Embed what is missing, and what changes. Runs until cancelled."""
        while self._model:
            await self._rest()
            self._news.clear()
            worked = False
            for name in self._list():
                worked |= await self._turn(name)
            if not worked:
                await self._until_news()  # also where the index is away
            await asyncio.sleep(PAUSE_S)

    async def question(self, text: str) -> tuple[str, list[float]] | None:
        """(model, vector) to search the index with, by the model that its vectors are of. None where it has none, or
        where the server does not answer within QUESTION_WITHIN_S; it may go on loading the model meanwhile."""
        model = next((folder.answers for folder in self._folders.values() if folder.answers), "")
        if not self._model or not model or not text.strip():
            return None
        self.touched()
        task = asyncio.create_task(self._asked(text, model))
        self._questions.add(task)
        task.add_done_callback(self._answered)
        await asyncio.wait((task,), timeout=QUESTION_WITHIN_S)
        if not task.done() or task.cancelled() or task.exception() is not None:
            return None
        vector = unit(task.result()[0])
        return None if vector is None else (model, vector)

    async def _asked(self, text: str, model: str) -> list[tuple[float, ...]]:
        place = await self._gateway.embeds_at(model)
        [ready] = await self._ready([(question_text(model, text), USER)], place)
        if ready is None:
            raise EgressDenied("a question about this workspace may not go to the server that embeds")
        return await self._gateway.embed([ready], model, urgent=True, place=place)

    async def aclose(self) -> None:
        """Give up questions that are still asked."""
        for task in list(self._questions):
            task.cancel()
        await asyncio.gather(*self._questions, return_exceptions=True)

    def _answered(self, task: "asyncio.Task[list[tuple[float, ...]]]") -> None:
        self._questions.discard(task)
        if not task.cancelled() and (error := task.exception()):
            LOG.info("no vector for a question: %s", error)

    async def _rest(self) -> None:
        """Return once nothing was typed for REST_S."""
        loop = asyncio.get_running_loop()
        while (wait := self._touched_at + REST_S - loop.time()) > 0:
            await asyncio.sleep(wait)

    async def _until_news(self) -> None:
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _turn(self, name: str) -> bool:
        """Hand in what was embedded of one folder, and embed the next batch; whether there may be more to do now."""
        folder = self._folders.setdefault(name, _Folder())
        answer = await self._exchange(name, folder)
        texts = cast(list[tuple[int, str, str, str]], answer.get("texts", []))
        if not texts:
            return bool(answer.get("again"))
        made = [
            (chunk_text(self._model, path, symbol, text, self._chars), file_origin(name, path))
            for _, path, symbol, text in texts
        ]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        rows: list[tuple[int, str]] = [(uid, text) for (uid, *_), (text, _) in zip(texts, made, strict=True)]
        try:
            place = await self._gateway.embeds_at(self._model)
            ready = await self._ready(made, place)
            # What may not go there stays without a vector: words find it.
            folder.skip += [uid for (uid, _), text in zip(rows, ready, strict=True) if text is None]
            rows = [(uid, text) for (uid, _), text in zip(rows, ready, strict=True) if text is not None]
            vectors = await self._gateway.embed([text for _, text in rows], self._model, place=place) if rows else []
        except HearthError as error:
            await self._failed(folder, [uid for uid, _ in rows], error)
            return True
        self._went_well(loop.time() - begun)
        for (uid, _), vector in zip(rows, vectors, strict=True):
            if whole := unit(vector):
                folder.put.append([uid, whole])
            else:
                folder.skip.append(uid)
        return True

    async def _exchange(self, name: str, folder: _Folder) -> dict[str, Any]:
        """The index's answer; {} where there is none. What was not taken is handed in again with the next question."""
        message = {
            "do": "dense",
            "folder": name,
            "model": self._model,
            "who": self._who,
            "limit": self._batch,
            "put": folder.put,
            "skip": folder.skip,
        }
        try:
            answer = await self._ask(message, EXCHANGE_WITHIN_S)
        except WorkerError as error:
            folder.put, folder.skip, folder.problem = [], [], error.message  # it is asked for again
            return {}
        folder.put, folder.skip = [], []
        folder.left, folder.embedded = int(answer.get("left", 0)), int(answer.get("embedded", 0))
        folder.answers, folder.problem = str(answer.get("answers", "")), str(answer.get("problem", ""))
        return answer

    def _went_well(self, took_s: float) -> None:
        self._bad = self._away = 0
        self._problem = ""
        if took_s < BATCH_SPAN_S / 2:
            self._batch = min(self._batch * 2, BATCH_MAX)
        elif took_s > BATCH_SPAN_S:
            self._batch = max(1, self._batch // 2)

    async def _failed(self, folder: _Folder, uids: Sequence[int], error: HearthError) -> None:
        """See what it was: too long a text, one that the server cannot embed, or a server that is of no use for now."""
        LOG.info("%d texts not embedded: %s: %s", len(uids), type(error).__name__, error.message)
        about_texts = isinstance(error, ContextOverflow | ServerFault | ProtocolFault | LimitExceeded)
        if about_texts and len(uids) > 1:
            self._batch = max(1, len(uids) // 4)  # which of them was it?
        elif isinstance(error, ContextOverflow) and self._chars > TEXT_CHARS_MIN:
            self._chars //= 2
        elif about_texts and self._bad < BAD_IN_A_ROW_MAX:
            self._bad += 1
            folder.skip += uids
        else:
            await self._wait_for_server(error)

    async def _wait_for_server(self, error: HearthError) -> None:
        self._problem = error.message
        waits_s = AWAY_S[min(self._away, len(AWAY_S) - 1)]
        if isinstance(error, ModelLoading):
            waits_s = AWAY_S[0]
        elif isinstance(error, BackendError):
            self._away += 1
            waits_s = max(waits_s, (error.retry_after_s or 0.0) if isinstance(error, RateLimited) else 0.0)
        else:
            waits_s = AWAY_S[-1]
        # Of a server that does not answer, the gateway tells.
        passing = ModelLoading | RateLimited | Unreachable | DeadlineExceeded
        if not isinstance(error, passing) and error.message not in self._told:
            self._told.add(error.message)
            self._tell(error)
        await asyncio.sleep(min(waits_s, AWAY_S[-1]))
