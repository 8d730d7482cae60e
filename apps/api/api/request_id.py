"""The id of the request that is being answered: the proxy makes it, and every log names it."""

import re
from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

HEADER = "X-Request-ID"
FORM = re.compile(r"[A-Za-z0-9._-]{1,128}")

current: ContextVar[str] = ContextVar("request_id", default="")
"""Empty where no request is answered, or nobody named it."""


class RequestId:
    """Know each request's id while it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] in ("http", "websocket"):
            said = Headers(scope=scope).get(HEADER, "")
            # For the rest of its task: the server itself logs what the application raises.
            current.set(said if FORM.fullmatch(said) else "")
        await self.app(scope, receive, send)
