"""The smallest thing that uvicorn serves."""

from collections.abc import Awaitable, Callable
from typing import Any


async def app(
    scope: dict[str, Any], receive: object, send: Callable[[Any], Awaitable[None]]
) -> None:
    """Answer every request with `ok`."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
