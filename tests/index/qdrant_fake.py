"""A small HTTP server on loopback that plays Qdrant's documented REST interface, as far as Hearth uses it.

The wire is real: paths, methods, status codes and JSON as documented, bodies checked by the strict models that the
client publishes of them. What stands behind it is the client's in-memory mode, so searches, filters and scrolls have a
server's semantics. `fault` makes it fail in one way until it is "" again; `stop` and `start` are a restart on the same
port, with everything that was stored still there.
"""

import json
import re
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models


class FakeQdrant:
    """`requests`: (method, path, headers) of all that came in."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.fault = ""
        self.elsewhere = ""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[Any] = []
        self.indexes: dict[str, dict[str, Any]] = {}
        self.released = threading.Event()
        self._memory = QdrantClient(":memory:")
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        fake = self

        class Handler(_Handler):
            owner = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close(self) -> None:
        self.released.set()
        self.stop()
        self._memory.close()

    def lose(self, collection: str) -> None:
        """Somebody deletes a collection."""
        self._memory.delete_collection(collection)
        self.indexes.pop(collection, None)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and result of a request that is in order."""
        with self._lock, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Payload indexes have no effect")
            for pattern, wanted, name in _ROUTES:
                if (match := re.fullmatch(pattern, path)) and method == wanted:
                    collection = match.group(1)
                    if name not in ("exists", "create") and not self._memory.collection_exists(collection):
                        return 404, f"Not found: Collection `{collection}` doesn't exist!"
                    return getattr(self, f"_{name}")(collection, body)
        return 404, "no such path"

    def _exists(self, collection: str, _body: Any) -> tuple[int, Any]:
        return 200, {"exists": self._memory.collection_exists(collection)}

    def _info(self, collection: str, _body: Any) -> tuple[int, Any]:
        info = self._memory.get_collection(collection).model_dump(mode="json", exclude_none=True)
        info["payload_schema"] = self.indexes.get(collection, {})
        return 200, info

    def _create(self, collection: str, body: Any) -> tuple[int, Any]:
        if self._memory.collection_exists(collection):
            return 409, f"Wrong input: Collection `{collection}` already exists!"
        wanted = models.CreateCollection.model_validate(body)
        self._memory.create_collection(
            collection, vectors_config=wanted.vectors, sparse_vectors_config=wanted.sparse_vectors
        )
        return 200, True

    def _index(self, collection: str, body: Any) -> tuple[int, Any]:
        wanted = models.CreateFieldIndex.model_validate(body)
        kind = body["field_schema"]["type"]
        self.indexes.setdefault(collection, {})[wanted.field_name] = {
            "data_type": kind, "params": body["field_schema"], "points": 0
        }  # fmt: skip
        return 200, _DONE

    def _upsert(self, collection: str, body: Any) -> tuple[int, Any]:
        wanted = models.PointsList.model_validate(body)
        self._memory.upsert(collection, wanted.points)
        return 200, _DONE

    def _query(self, collection: str, body: Any) -> tuple[int, Any]:
        wanted = models.QueryRequest.model_validate(body)
        query: Any = wanted.query
        found = self._memory.query_points(
            collection, query=getattr(query, "nearest", query), using=wanted.using, query_filter=wanted.filter,
            limit=wanted.limit, with_payload=wanted.with_payload,
        )  # fmt: skip
        return 200, found.model_dump(mode="json", exclude_none=True)

    def _scroll(self, collection: str, body: Any) -> tuple[int, Any]:
        wanted = models.ScrollRequest.model_validate(body)
        page, offset = self._memory.scroll(
            collection, wanted.filter, limit=min(wanted.limit, 3_000), offset=wanted.offset,
            with_payload=wanted.with_payload, with_vectors=wanted.with_vector or False,
        )  # fmt: skip
        points = [record.model_dump(mode="json", exclude_none=True) for record in page]
        return 200, {"points": points, "next_page_offset": offset}

    def _count(self, collection: str, body: Any) -> tuple[int, Any]:
        wanted = models.CountRequest.model_validate(body)
        return 200, {"count": self._memory.count(collection, wanted.filter).count}

    def _payload(self, collection: str, body: Any) -> tuple[int, Any]:
        wanted = models.SetPayload.model_validate(body)
        self._memory.set_payload(collection, wanted.payload, wanted.points)
        return 200, _DONE

    def _delete(self, collection: str, body: Any) -> tuple[int, Any]:
        selector: Any = TypeAdapter(models.PointsSelector).validate_python(body)
        self._memory.delete(collection, selector)
        return 200, _DONE


_DONE = {"operation_id": 1, "status": "completed"}
_ROUTES = (
    (r"/collections/([^/]+)/exists", "GET", "exists"),
    (r"/collections/([^/]+)", "GET", "info"),
    (r"/collections/([^/]+)", "PUT", "create"),
    (r"/collections/([^/]+)/index", "PUT", "index"),
    (r"/collections/([^/]+)/points", "PUT", "upsert"),
    (r"/collections/([^/]+)/points/query", "POST", "query"),
    (r"/collections/([^/]+)/points/scroll", "POST", "scroll"),
    (r"/collections/([^/]+)/points/count", "POST", "count"),
    (r"/collections/([^/]+)/points/payload", "POST", "payload"),
    (r"/collections/([^/]+)/points/delete", "POST", "delete"),
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FakeQdrant

    def _serve(self) -> None:
        fake = self.owner
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        fake.requests.append((self.command, path, {k.lower(): v for k, v in self.headers.items()}))
        fake.bodies.append(json.loads(data) if data else None)
        if fake.fault:
            self._fail(fake.fault)
        elif fake.key and self.headers.get("api-key") != fake.key:
            self._send(401, b"Must provide an API key or an Authorization bearer token", "text/plain")
        else:
            try:
                status, result = fake.answer(self.command, path, json.loads(data) if data else None)
            except ValueError as error:
                status, result = 400, f"Format error in JSON body: {error}"
            done = {"result": result, "status": "ok", "time": 0.001}
            if status != 200:
                done = {"status": {"error": result}, "time": 0.001}
            self._send(status, json.dumps(done).encode())

    def _fail(self, fault: str) -> None:
        fake = self.owner
        if fault == "hang":
            fake.released.wait(30)
            self.close_connection = True
        elif fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"result": {"poi')
            self.close_connection = True
        elif fault == "shut":
            self.close_connection = True
        elif fault == "redirect":
            self.send_response(302)
            self.send_header("Location", f"{fake.elsewhere}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif fault == "busy":
            self._send(429, b'{"status": {"error": "rate limit"}}', "application/json", {"Retry-After": "60"})
        elif fault == "web page":
            self._send(200, b"<html>Sign in</html>", "text/html")
        elif fault == "null":
            self._send(200, b'{"result": null, "status": "ok", "time": 0}')
        elif fault == "other":
            self._send(200, b'{"result": [1, {"points": "many"}], "status": "ok", "time": 0}')
        else:
            self._send(int(fault), b'{"status": {"error": "Service internal error: secret detail"}, "time": 0.1}')

    def _send(
        self, status: int, data: bytes, kind: str = "application/json", more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:
        pass
