"""Points on a Qdrant server or cluster that several people share: one collection, divided by repository and branch.

Whoever has the same file on the same branch computes the same uids, so what one of them put is a no-op for the next.
Nobody deletes points, because others may be on another commit: what a search finds is filtered by the caller's own
manifest. A point that nobody has renewed for KEPT_DAYS is deleted by whoever renews theirs.

The server sees vectors, hashes, repository and branch names: no text and no path. It is reached over REST by
qdrant-client, which takes 0.75 CPU s and 75 MB to import: this module is imported only where a URL is set.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from qdrant_client import QdrantClient, models

from hearth.core.facts import Sparse
from hearth.index.points import BATCH_MAX, SCROLL_MAX, UID_MAX, Point, PointsAway

SEARCH_S = 1
"""Whole seconds, because the client rounds up. Also for questions about the collection."""
WRITE_S = 5
AGAIN_S = 10.0
"""After a failure nothing is tried for so long: a server that hangs then costs a search one second in ten."""
AGAIN_MAX_S = 300.0
"""However long the server asks to be left alone."""
RENEWED_AT_ONCE = 1_000
CONTENTS_AT_ONCE = 50
SAME_CONTENT_MAX = 10
"""Points for each content (branches, copies of a file) that are looked through; what is not found is embedded again."""
KEPT_DAYS = 30
DAY_S = 86_400

_SPARSE = "t"
_DENSE = "d"
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_CHECK = "Look at index.qdrant_url, and whether the server runs."

T = TypeVar("T")


class ServerPoints:
    """See the module and `points.Points`. Every method may raise PointsAway; nothing is sent before the first one."""

    def __init__(
        self,
        url: str,
        collection: str,
        repository: str,
        branch: str,
        *,
        dimensions: int | None = None,
        api_key: str = "",
        client: QdrantClient | None = None,
        today: Callable[[], int] = lambda: int(time.time() // DAY_S),
    ) -> None:
        """`collection`: one for sparse vectors, and one for each embedding model. `client`: for tests."""
        self._collection = collection
        self._repository = repository
        self._branch = branch
        self._dimensions = dimensions
        self._name = _SPARSE if dimensions is None else _DENSE
        self._today = today
        self._again_at = 0.0
        self._problem: PointsAway | None = None
        self._checked = False
        self._closed = False
        self._client = client or _client(url, api_key)

    def put(self, points: Iterable[Point]) -> None:
        """See Points. ValueError for a vector of another size or kind."""
        day = self._today()
        every = [
            models.PointStruct(
                id=point.uid,
                vector={self._name: self._vector(point.vector)},
                payload={"repo": self._repository, "branch": self._branch, "content": point.content, "seen": day},
            )
            for point in points
        ]
        for some in _batches(every, BATCH_MAX):
            self._do(lambda some=some: self._client.upsert(self._collection, some, wait=True, timeout=WRITE_S))

    def drop(self, uids: Iterable[int]) -> None:
        """Nothing: others may still have them. What nobody has any more goes with `renew`."""

    def renew(self, uids: Iterable[int]) -> set[int]:
        """Say that these are in use, delete what nobody of this repository has used for KEPT_DAYS.

        Which of `uids` the server does not have (any more): their files are to be read again. Once a day is enough.
        """
        mine = set(uids)
        missing = mine - self.uids()
        seen = {"seen": self._today()}
        for some in _batches(sorted(mine - missing), RENEWED_AT_ONCE):
            ids = models.PointIdsList(points=[*some])
            self._do(lambda ids=ids: self._client.set_payload(self._collection, seen, ids, wait=True, timeout=WRITE_S))
        old = models.FieldCondition(key="seen", range=models.Range(lt=self._today() - KEPT_DAYS))
        purged = models.FilterSelector(filter=models.Filter(must=[_is("repo", self._repository), old]))
        self._do(lambda: self._client.delete(self._collection, purged, wait=True, timeout=WRITE_S))
        return missing

    def search(self, vector: Sparse | Sequence[float], limit: int) -> list[tuple[int, float]]:
        """See Points. Also finds what others have put and the caller's manifest does not know."""
        query = self._vector(vector)
        if limit <= 0 or (isinstance(query, models.SparseVector) and not query.indices):
            return []
        found = self._do(
            lambda: self._client.query_points(
                self._collection,
                query=query,
                using=self._name,
                query_filter=self._mine(),
                limit=limit,
                with_payload=False,
                timeout=SEARCH_S,
            )
        )
        return [(self._uid(point.id), point.score) for point in found.points]

    def uids(self) -> set[int]:
        """See Points: those of this repository and branch, whoever put them."""
        found: set[int] = set()
        offset: Any = None
        while True:
            page, offset = self._do(
                lambda offset=offset: self._client.scroll(
                    self._collection, self._mine(), limit=SCROLL_MAX, offset=offset, with_payload=False, timeout=WRITE_S
                )
            )
            found.update(self._uid(record.id) for record in page)
            if offset is None or not page:
                return found

    def count(self) -> int:
        """See Points: those of this repository and branch, whoever put them."""
        return self._do(lambda: self._client.count(self._collection, self._mine(), exact=True, timeout=SEARCH_S)).count

    def known_vectors(self, contents: Iterable[int]) -> dict[int, list[float]]:
        """Content -> dense vector, of what anybody has put in whatever repository: need not be embedded again."""
        found: dict[int, list[float]] = {}
        for some in _batches(sorted(set(contents)), CONTENTS_AT_ONCE):
            wanted = models.Filter(must=[models.FieldCondition(key="content", match=models.MatchAny(any=some))])
            records, _ = self._do(
                lambda wanted=wanted: self._client.scroll(
                    self._collection,
                    wanted,
                    limit=CONTENTS_AT_ONCE * SAME_CONTENT_MAX,
                    with_payload=["content"],
                    with_vectors=[self._name],
                    timeout=WRITE_S,
                )
            )
            for record in records:
                content = (record.payload or {}).get("content")
                vectors = record.vector
                vector = vectors.get(self._name) if isinstance(vectors, dict) else None
                if content in some and isinstance(vector, list) and len(vector) == self._dimensions:
                    found[content] = [float(number) for number in vector if isinstance(number, int | float)]
        return {content: vector for content, vector in found.items() if len(vector) == self._dimensions}

    def flush(self) -> None:
        """Nothing: the server answers a `put` when it has it."""

    def close(self) -> None:
        """See Points."""
        self._closed = True
        with suppress(PointsAway), _naming:
            self._client.close()

    def _do(self, work: Callable[[], T]) -> T:
        """Ask the server, unless it has just failed."""
        if self._closed:
            raise PointsAway("The index was closed.")
        if self._problem is not None and time.monotonic() < self._again_at:
            raise PointsAway(self._problem.message, self._problem.remedy)
        try:
            if not self._checked:
                with _naming:
                    self._check()
                self._checked = True
            with _naming:
                done = work()
        except PointsAway as error:
            # The collection may have been deleted, or the server be another one when it returns.
            self._checked = False
            self._problem = error
            wait_s = getattr(error.__cause__, "retry_after_s", 0)
            self._again_at = time.monotonic() + min(AGAIN_MAX_S, max(AGAIN_S, wait_s))
            raise
        self._problem = None
        return done

    def _check(self) -> None:
        """Create the collection if there is none; refuse one with vectors of another kind."""
        if not self._client.collection_exists(self._collection):
            # Somebody else may be creating it at this moment: what counts is what is there then.
            with suppress(PointsAway), _naming:
                self._create()
        there = self._client.get_collection(self._collection)
        self._compare(there.config.params)
        for field, schema in _INDEXES.items():
            if field not in there.payload_schema:
                self._client.create_payload_index(self._collection, field, schema, wait=True, timeout=WRITE_S)

    def _create(self) -> None:
        if self._dimensions is None:
            sparse = {_SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)}
            self._client.create_collection(
                self._collection, vectors_config={}, sparse_vectors_config=sparse, timeout=WRITE_S
            )
        else:
            dense = {_DENSE: models.VectorParams(size=self._dimensions, distance=models.Distance.COSINE)}
            self._client.create_collection(self._collection, vectors_config=dense, timeout=WRITE_S)

    def _compare(self, params: models.CollectionParams) -> None:
        if self._dimensions is None:
            sparse = (params.sparse_vectors or {}).get(_SPARSE)
            fits = sparse is not None and sparse.modifier == models.Modifier.IDF
        else:
            dense = params.vectors.get(_DENSE) if isinstance(params.vectors, dict) else None
            fits = dense is not None and dense.size == self._dimensions and dense.distance == models.Distance.COSINE
        if not fits:
            raise PointsAway(
                f"The collection {self._collection} on the Qdrant server holds vectors of another kind.",
                "Rename or delete that collection.",
            )

    def _mine(self) -> models.Filter:
        return models.Filter(must=[_is("repo", self._repository), _is("branch", self._branch)])

    def _vector(self, vector: Sparse | Sequence[float]) -> models.SparseVector | list[float]:
        if self._dimensions is None:
            if not isinstance(vector, Sparse):
                raise ValueError("a dense vector for a sparse store")
            return models.SparseVector(indices=list(vector.indices), values=list(vector.values))
        if isinstance(vector, Sparse) or len(vector) != self._dimensions:
            raise ValueError(f"not a vector of {self._dimensions} numbers")
        return list(vector)

    def _uid(self, number: object) -> int:
        """Of a point that is ours; 0 for one that somebody else has put under a number of another kind."""
        return number if isinstance(number, int) and 0 <= number <= UID_MAX else 0


_INDEXES: dict[str, Any] = {
    # Points of one repository are stored together, and a search in it reads no others.
    "repo": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    "branch": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD),
    "content": models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=False),
    "seen": models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=False, range=True),
}


class _Naming:
    """A context that makes PointsAway of everything that the client and what is under it raise."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None or isinstance(error, PointsAway):
            return
        ours = issubclass(kind, OSError | AssertionError | ValueError)
        if ours or kind.__module__.partition(".")[0] in ("qdrant_client", "httpx", "pydantic_core"):
            raise _named(error) from error


_naming = _Naming()


def _named(error: BaseException | None) -> PointsAway:
    """Without what the server said: that may hold anything."""
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return PointsAway(f"The Qdrant server does not accept the key ({status}).", "Look at its environment variable.")
    if status == 404:
        return PointsAway("The Qdrant server does not have the collection any more.", "It is made again.")
    if status is not None and 300 <= status < 400:
        return PointsAway("The Qdrant server redirects elsewhere; not followed.", _CHECK)
    if status is not None:
        return PointsAway(f"The Qdrant server answered {status}.", _CHECK)
    source = getattr(error, "source", None) or error
    return PointsAway(f"The Qdrant server does not answer as it should ({type(source).__name__}).", _CHECK)


def _client(url: str, api_key: str) -> QdrantClient:
    """Raises PointsAway for an address that is none, or a key that would travel in the clear."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise PointsAway("index.qdrant_url is not an address.", "Write it like http://127.0.0.1:6333.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise PointsAway("index.qdrant_url is not an address.", "Write it like http://127.0.0.1:6333.")
    if api_key and parts.scheme == "http" and host not in _LOCAL_HOSTS:
        raise PointsAway("The key of the Qdrant server would be sent unencrypted.", "Use an https address.")
    shown = f"[{host}]" if ":" in host else host
    with _naming:
        return QdrantClient(
            # Without name and password, which the client would ignore or log.
            url=f"{parts.scheme}://{shown}:{port or 6333}{parts.path.rstrip('/')}",
            # As a header: the parameter warns about what was decided above.
            metadata={"api-key": api_key} if api_key else {},
            prefer_grpc=False,
            check_compatibility=False,
            timeout=SEARCH_S,
            trust_env=False,
            follow_redirects=False,
            verify=parts.scheme == "https",
        )


def _is(key: str, value: str) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _batches(values: Sequence[T], size: int) -> Iterator[list[T]]:
    for at in range(0, len(values), size):
        yield [*values[at : at + size]]
