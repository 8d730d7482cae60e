"""The API, as the pages see it: one pool of connections for all threads of a worker."""

from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from web import request_id


class ApiAway(Exception):
    """The API cannot be reached (502), or answers that it cannot serve (503)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the API is away ({status})")
        self.status = status


class ApiRefused(Exception):
    """The API did not do what it was asked; the text says why, for the user."""


class Api:
    """Requests to the API at ``url``; each raises ApiAway or ApiRefused where it fails."""

    def __init__(self, url: str) -> None:
        self._url = url
        # One retry, for a kept connection that the API closed meanwhile. urllib3 tries reads only
        # for methods that may be repeated; an unsent request may be repeated whatever it is.
        self._pool = urllib3.PoolManager(
            maxsize=16,
            timeout=urllib3.Timeout(connect=2, read=10),
            retries=urllib3.Retry(1, redirect=False, status=0, other=0, backoff_factor=0),
        )

    def habits(self) -> list[dict[str, Any]]:
        """Return all habits with their streaks."""
        found: list[dict[str, Any]] = self._ask("GET", "/habits")
        return found

    def add(self, name: str) -> None:
        """Add a habit."""
        self._ask("POST", "/habits", {"name": name})

    def check_in(self, habit_id: int) -> None:
        """Check in for today."""
        self._ask("POST", f"/habits/{habit_id}/checkins")

    def delete(self, habit_id: int) -> None:
        """Delete a habit."""
        self._ask("DELETE", f"/habits/{habit_id}")

    def ready(self) -> None:
        """Return if the API could serve now."""
        self._ask("GET", "/ready")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        # The API's log names the request that made us ask.
        current = request_id.current()
        headers = {request_id.HEADER: current} if current else {}
        try:
            answer = self._pool.request(method, self._url + path, json=body, headers=headers)
            content = answer.json() if answer.data else None
        except (HTTPError, ValueError) as error:
            raise ApiAway(502) from error
        if answer.status >= 500:
            raise ApiAway(503)
        if answer.status >= 400:
            raise ApiRefused(_reason(content))
        return content


def _reason(content: Any) -> str:
    """Return the text in an error of the API's, which is a string or a list of findings."""
    detail = content.get("detail") if isinstance(content, dict) else None
    if isinstance(detail, list):
        detail = "; ".join(str(finding.get("msg")) for finding in detail)
    return str(detail or "the request was refused")
