#!/usr/bin/env python3
"""A stand-in for Qdrant: the part of its HTTP interface that the apps use, on Qdrant's own engine.

``server.py serve`` answers on QDRANT_PORT (6333) and keeps its collections in QDRANT_STORAGE
(/qdrant/storage). The engine is Qdrant's embedded edition (PyPI: qdrant-edge-py), so that vectors,
distances and what is on the disk are the real thing; the server around it is not. It knows
collections with one unnamed vector, and upsert, delete, scroll and query of points by number.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

try:
    from qdrant_edge import (
        Distance,
        EdgeConfig,
        EdgeShard,
        EdgeVectorParams,
        Point,
        Query,
        QueryRequest,
        ScrollRequest,
        UpdateOperation,
    )
except ImportError as error:
    print(
        f"qdrant-stand-in: needs qdrant-edge-py for {sys.executable} ({error}); install what "
        "requirements-native.txt names",
        file=sys.stderr,
    )
    raise SystemExit(2) from None

NAME: Final = r"([A-Za-z0-9_-]{1,255})"
LARGEST: Final = 32 * 2**20
"""Bytes of a request's body, as Qdrant has it."""
DISTANCES: Final = {"Cosine": Distance.Cosine, "Dot": Distance.Dot, "Euclid": Distance.Euclid}


class Refused(Exception):
    """What the client did wrong, with the status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Collections:
    """Every collection by name; one request at a time, for each is over in a millisecond."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.lock = threading.Lock()
        self.shards: dict[str, EdgeShard] = {}
        for folder in sorted(storage.iterdir() if storage.exists() else ()):
            if (folder / "made").exists():
                self.shards[folder.name] = EdgeShard.load(str(folder / "shard"))
            elif folder.is_dir():
                # Its making was broken off, and nobody was told that it is there.
                shutil.rmtree(folder)

    def close(self) -> None:
        """Write everything down."""
        with self.lock:
            for shard in self.shards.values():
                shard.close()
            self.shards.clear()

    def shard(self, name: str) -> EdgeShard:
        """Return a collection's data; raises Refused where there is no such collection."""
        if name not in self.shards:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return self.shards[name]

    def names(self, _body: Mapping[str, Any]) -> Any:
        """List the collections."""
        return {"collections": [{"name": name} for name in self.shards]}

    def exists(self, name: str, _body: Mapping[str, Any]) -> Any:
        """Say whether a collection is there."""
        return {"exists": name in self.shards}

    def create(self, name: str, body: Mapping[str, Any]) -> Any:
        """Make a collection of vectors of one size and distance."""
        if name in self.shards:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        vectors = body.get("vectors") or {}
        size, distance = vectors.get("size"), vectors.get("distance")
        if not isinstance(size, int) or size < 1 or distance not in DISTANCES:
            raise Refused(400, "vectors must be an object with a size and a distance")
        folder = self.storage / name
        (folder / "shard").mkdir(parents=True)
        config = EdgeConfig(vectors=EdgeVectorParams(size=size, distance=DISTANCES[distance]))
        self.shards[name] = EdgeShard.create(str(folder / "shard"), config)
        (folder / "made").touch()
        return True

    def drop(self, name: str, _body: Mapping[str, Any]) -> Any:
        """Delete a collection with all that is in it."""
        if name not in self.shards:
            return False
        (self.storage / name / "made").unlink()
        self.shards.pop(name).close()
        shutil.rmtree(self.storage / name)
        return True

    def upsert(self, name: str, body: Mapping[str, Any]) -> Any:
        """Put points in, in the place of those with the same ids."""
        points = [
            Point(point["id"], point["vector"], point.get("payload") or {})
            for point in body["points"]
        ]
        return self._changed(self.shard(name), UpdateOperation.upsert_points(points))

    def delete(self, name: str, body: Mapping[str, Any]) -> Any:
        """Take the points with these ids out."""
        return self._changed(self.shard(name), UpdateOperation.delete_points(body["points"]))

    @staticmethod
    def _changed(shard: EdgeShard, operation: UpdateOperation) -> Any:
        shard.update(operation)
        shard.flush()
        return {"operation_id": 0, "status": "completed"}

    def scroll(self, name: str, body: Mapping[str, Any]) -> Any:
        """List points by id, a page at a time."""
        wish = ScrollRequest(
            offset=body.get("offset"),
            limit=body.get("limit", 10),
            with_payload=body.get("with_payload", True),
            with_vector=body.get("with_vector", False),
        )
        records, following = self.shard(name).scroll(wish)
        return {
            "points": [{"id": each.id, "payload": each.payload} for each in records],
            "next_page_offset": following,
        }

    def query(self, name: str, body: Mapping[str, Any]) -> Any:
        """List the points that are nearest to a vector, the nearest first."""
        wish = QueryRequest(
            limit=body.get("limit", 10),
            query=Query.Nearest(body["query"]),
            with_payload=body.get("with_payload", False),
            score_threshold=body.get("score_threshold"),
        )
        found = self.shard(name).query(wish)
        return {
            "points": [
                {"id": each.id, "version": each.version, "score": each.score}
                | ({"payload": each.payload} if body.get("with_payload") else {})
                for each in found
            ]
        }

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Do what a request asks for, and return its result; raises Refused."""
        known = False
        for wanted, pattern, action in ROUTES:
            if match := re.fullmatch(pattern, path):
                known = True
                if wanted == method:
                    with self.lock:
                        return action(self, *match.groups(), body)
        raise Refused(405 if known else 404, f"the stand-in does not know {method} {path}")


Action = Callable[..., Any]
ROUTES: Final[list[tuple[str, str, Action]]] = [
    ("GET", "/collections", Collections.names),
    ("GET", f"/collections/{NAME}/exists", Collections.exists),
    ("PUT", f"/collections/{NAME}", Collections.create),
    ("DELETE", f"/collections/{NAME}", Collections.drop),
    ("PUT", f"/collections/{NAME}/points", Collections.upsert),
    ("POST", f"/collections/{NAME}/points/delete", Collections.delete),
    ("POST", f"/collections/{NAME}/points/scroll", Collections.scroll),
    ("POST", f"/collections/{NAME}/points/query", Collections.query),
]


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: Server

    def respond(self) -> None:
        """Answer one request."""
        path = self.path.partition("?")[0]
        if self.command == "GET" and path in ("/readyz", "/livez", "/healthz"):
            self.send(200, b"all shards are ready", "text/plain")
            return
        try:
            result = self.server.collections.answer(self.command, path, self.body())
        except Refused as refused:
            self.send_json(refused.status, {"status": {"error": str(refused)}, "time": 0.0})
        except Exception as error:  # noqa: BLE001 (the engine has no exception of its own)
            said = f"Wrong input: {type(error).__name__}: {error}"
            self.send_json(400, {"status": {"error": said}, "time": 0.0})
        else:
            self.send_json(200, {"result": result, "status": "ok", "time": 0.0})

    # The names that the base class looks for.
    do_GET = do_PUT = do_POST = do_DELETE = respond  # noqa: N815

    def body(self) -> Mapping[str, Any]:
        """Return the request's JSON object."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST:
            self.close_connection = True
            raise Refused(413, f"a body of {length} bytes is too large")
        found = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(found, dict):
            raise Refused(400, "the body is no JSON object")
        return found

    def send_json(self, status: int, content: object) -> None:
        """Send an answer as JSON."""
        self.send(status, json.dumps(content).encode(), "application/json")

    def send(self, status: int, content: bytes, kind: str) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002
        """Say nothing of what went well."""

    def log_error(self, format: str, *values: Any) -> None:  # noqa: A002
        """Say what did not."""
        print(f"qdrant-stand-in: {format % values}", file=sys.stderr, flush=True)


class Server(ThreadingHTTPServer):
    """The server, with its collections."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], collections: Collections) -> None:
        super().__init__(address, Handler)
        self.collections = collections


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    if sys.argv[1:] not in ([], ["serve"]):
        raise SystemExit("usage: server.py serve")
    collections = Collections(Path(os.environ.get("QDRANT_STORAGE") or "/qdrant/storage"))
    host, port = os.environ.get("QDRANT_HOST") or "0.0.0.0", os.environ.get("QDRANT_PORT") or "6333"
    server = Server((host, int(port)), collections)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"qdrant-stand-in: not Qdrant itself; port {port}", file=sys.stderr, flush=True)
    server.serve_forever(poll_interval=0.05)
    collections.close()


if __name__ == "__main__":
    main()
