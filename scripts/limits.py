"""The proxy's limits where there is no proxy: what is refused in production is in development.

CLIENT_MAX_HEADER is the longest address and the longest header, CLIENT_MAX_BODY the largest body,
REQUEST_SECONDS how long an answer may be waited for. Refusals have the proxy's own words, and each
request has an X-Request-ID.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Mapping

from behind import AsgiApp, Message, Receive, Send

# Of lines as long as the longest: nginx has so many buffers.
LINES = 8
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}").fullmatch


def size(text: str) -> int:
    """Return the bytes in a size of nginx's, such as `16k`."""
    unit = UNITS.get(text[-1:].lower(), 1)
    return int(text[:-1] if unit > 1 else text) * unit


class _TooLarge(ConnectionError):
    """The body of a request that has been refused."""


class Limits:
    """An ASGI app that gets no more than the proxy lets through, nor more time."""

    def __init__(self, app: AsgiApp, variables: Mapping[str, str]) -> None:
        self._app = app
        self._body_text = variables.get("CLIENT_MAX_BODY") or "10m"
        self._header_text = variables.get("CLIENT_MAX_HEADER") or "16k"
        self._body, self._header = size(self._body_text), size(self._header_text)
        self._seconds = float(variables.get("REQUEST_SECONDS") or 900)
        self._left: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, _identified(scope))
        if refusal := self._refusal(scope):
            await answer.refuse(*refusal)
            return
        received = 0
        too_large = 413, f"The body is larger than CLIENT_MAX_BODY ({self._body_text})."

        async def taken() -> Message:
            nonlocal received
            if answer.over:
                return {"type": "http.disconnect"}
            message = await receive()
            answer.note()
            received += len(message.get("body", b""))
            if self._body and received > self._body:
                await answer.refuse(*too_large)
                raise _TooLarge
            return message

        await self._awaited(asyncio.ensure_future(self._app(scope, taken, answer.send)), answer)

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        path = scope.get("raw_path") or scope["path"].encode()
        asked = f"{scope['method']} ? HTTP/1.1\r\n"
        if len(asked) + len(path) + len(scope["query_string"]) > self._header:
            return 414, f"The address is longer than CLIENT_MAX_HEADER ({self._header_text})."
        lines = [len(name) + len(value) + 4 for name, value in scope["headers"]]
        if max(lines, default=0) > self._header or sum(lines) > LINES * self._header:
            return 431, f"A header is longer than CLIENT_MAX_HEADER ({self._header_text})."
        told = dict(scope["headers"]).get(b"content-length", b"")
        if self._body and told.isdigit() and int(told) > self._body:
            return 413, f"The body is larger than CLIENT_MAX_BODY ({self._body_text})."
        return None

    async def _awaited(self, task: asyncio.Future[None], answer: _Answer) -> None:
        """Wait for an app until it is silent for too long; it then goes on, unheard."""
        now = asyncio.get_running_loop().time
        try:
            while not task.done() and (left := answer.last + self._seconds - now()) > 0:
                await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done():
            within = f"REQUEST_SECONDS ({self._seconds:g})"
            await answer.refuse(504, f"The app has not answered within {within}.")
            self._left.add(task)
            task.add_done_callback(self._ended)
        elif not answer.over or not task.exception():
            task.result()

    def _ended(self, task: asyncio.Future[None]) -> None:
        self._left.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log = logging.getLogger("uvicorn.error")
            log.error("Exception in ASGI application", exc_info=error)


class _Answer:
    """An answer on its way: `over` once a refusal has taken its place, `last` when it went on."""

    def __init__(self, send: Send, request_id: bytes) -> None:
        self._send, self._id = send, request_id
        self.over = self._started = False
        self.note()

    def note(self) -> None:
        self.last = asyncio.get_running_loop().time()

    async def send(self, message: Message) -> None:
        """Send the app's answer on, as long as there is none of ours."""
        if self.over:
            return
        if message["type"] == "http.response.start":
            self._started = True
            kept = [one for one in message.get("headers", ()) if one[0].lower() != b"x-request-id"]
            message["headers"] = [*kept, (b"x-request-id", self._id)]
        await self._send(message)
        self.note()

    async def refuse(self, status: int, text: str) -> None:
        """Answer in the app's place; what it has begun is broken off."""
        if self._started:
            self.over = True
            return
        body = f"{text}\n".encode()
        length = str(len(body)).encode()
        headers = [(b"content-type", b"text/plain"), (b"content-length", length)]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        self.over = True
        await self._send({"type": "http.response.body", "body": body})


def _identified(scope: Message) -> bytes:
    """Return a request's id, made where it has none that will do."""
    found = dict(scope["headers"]).get(b"x-request-id", b"")
    if _ID(found):
        return bytes(found)
    made = uuid.uuid4().hex.encode()
    kept = [header for header in scope["headers"] if header[0] != b"x-request-id"]
    scope["headers"] = [*kept, (b"x-request-id", made)]
    return made
