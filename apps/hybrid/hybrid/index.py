"""Habits with similar names, found by Qdrant: for Django and FastAPI alike.

PostgreSQL has the habits; Qdrant has only what can be made of them again. Before each search the
index is brought up to date with the names that are there now, so that it doesn't matter which of
the two wrote, or whether Qdrant was away meanwhile.

A name's vector counts its trigrams, each at a place that its hash gives: nothing is learned or
loaded, spelling is all that counts, and the same name has the same vector everywhere.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

COLLECTION = "habits"
SIZE = 256
PAGE = 1000
LEAST = 0.1
"""The cosine below which two names have nothing in common but chance."""


class IndexAway(Exception):
    """Qdrant does not answer, or not as it should."""


@dataclass(frozen=True)
class Match:
    """A habit and how near it is: 1 is the same name."""

    id: int
    name: str
    score: float


def vector(name: str) -> list[float]:
    """Return the vector of a name, of length 1."""
    text = f"  {' '.join(name.lower().split())}  "
    counts = [0.0] * SIZE
    for start in range(len(text) - 2):
        counts[zlib.crc32(text[start : start + 3].encode()) % SIZE] += 1
    length = math.hypot(*counts)
    return [count / length for count in counts]


class Index:
    """The index at ``url``; safe to be used by several threads."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=2.0, trust_env=False)

    def similar(self, habits: Mapping[int, str], text: str, limit: int = 5) -> list[Match]:
        """Return the habits (id and name) that are nearest to ``text``, the nearest first.

        Raises IndexAway.
        """
        try:
            self._refresh(habits)
            query = {"query": vector(text), "limit": limit, "score_threshold": LEAST}
            found = self._call("POST", "/points/query", query)["points"]
        except (httpx.HTTPError, KeyError, ValueError) as error:
            raise IndexAway(str(error) or type(error).__name__) from error
        # One that was deleted a moment ago may still have been there.
        return [
            Match(point["id"], habits[point["id"]], round(point["score"], 4))
            for point in found
            if point["id"] in habits
        ]

    def ping(self) -> None:
        """Raise IndexAway where Qdrant is not ready."""
        try:
            self._client.get("/readyz").raise_for_status()
        except httpx.HTTPError as error:
            raise IndexAway(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _refresh(self, habits: Mapping[int, str]) -> None:
        known = self._known()
        gone = [number for number in known if number not in habits]
        new = [number for number, name in habits.items() if known.get(number) != name]
        if gone:
            self._call("POST", "/points/delete?wait=true", {"points": gone})
        for start in range(0, len(new), PAGE):
            page = {number: habits[number] for number in new[start : start + PAGE]}
            points = [
                {"id": number, "vector": vector(name), "payload": {"name": name}}
                for number, name in page.items()
            ]
            self._call("PUT", "/points?wait=true", {"points": points})

    def _known(self) -> dict[int, str]:
        """Return what the index has; makes it where it isn't there."""
        if not self._call("GET", "/exists")["exists"]:
            wanted = {"vectors": {"size": SIZE, "distance": "Cosine"}}
            made = self._client.put(f"/collections/{COLLECTION}", json=wanted)
            # 409: somebody else was sooner.
            if made.status_code != 409:
                made.raise_for_status()
        found: dict[int, str] = {}
        offset: Any = None
        while True:
            wish = {"limit": PAGE, "offset": offset, "with_payload": True}
            page = self._call("POST", "/points/scroll", wish)
            found |= {point["id"]: point["payload"]["name"] for point in page["points"]}
            offset = page["next_page_offset"]
            if offset is None:
                return found

    def _call(self, method: str, path: str, body: object = None) -> Any:
        answer = self._client.request(method, f"/collections/{COLLECTION}{path}", json=body)
        answer.raise_for_status()
        return answer.json()["result"]
