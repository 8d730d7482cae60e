"""What an app behind a proxy is told of its clients, as if they had come by themselves.

Where who is connected is to be believed, X-Forwarded-For, -Proto, -Host and -Prefix become the
client's address, the scheme, the host, and what a path begins with (root_path or SCRIPT_NAME). Of
several values the last counts, which is the nearest proxy's own; of addresses, the last that isn't
a trusted proxy's itself.

And what its clients are told of a server that is leaving: that their connection ends with this
answer, and that a stream of events or a WebSocket has ended, so that they come back elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any
from urllib.parse import unquote

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]
WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

# So many clients' addresses are kept in mind.
KNOWN = 4096
SCHEMES = ("http", "https")
EVENTS = "text/event-stream"
# "Service restart" in the registry of RFC 6455, 11.7.
RESTART = 1012
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+").fullmatch
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+").fullmatch


class Proxies:
    """Those whose word is taken: addresses and networks with commas or blanks between, or ``*``.

    This machine itself always is: a health check asks as a proxy would.
    """

    def __init__(self, names: str) -> None:
        words = names.replace(",", " ").split()
        self._all = "*" in words
        named = [] if self._all else [ipaddress.ip_network(word, strict=False) for word in words]
        self._networks = [*map(ipaddress.ip_network, ("127.0.0.0/8", "::1")), *named]
        self.trusts = functools.lru_cache(KNOWN)(self._trusts)
        self.client = functools.lru_cache(KNOWN)(self._client)

    def _trusts(self, peer: str) -> bool:
        address = _address(peer)
        return self._all or (
            address is not None and any(address in network for network in self._networks)
        )

    def _client(self, told: str) -> str:
        """Return the client's address in an X-Forwarded-For; "" where it has none."""
        found = ""
        for word in reversed(told.split(",")):
            if not (address := _address(_without_port(word.strip()))):
                break
            found = str(address)
            if not self._all and not self.trusts(found):
                break
        return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A server that listens on both families sees the one as the other.
    return (address.version == 6 and address.ipv4_mapped) or address


def _without_port(word: str) -> str:
    if word.startswith("["):
        return word[1:].partition("]")[0]
    return word.partition(":")[0] if word.count(":") == 1 else word


def _last(value: str) -> str:
    return value.rpartition(",")[2].strip()


class Asgi:
    """An ASGI app behind a proxy.

    Nor does it fail once it has answered: its server would then close the connection unannounced,
    and the proxy has perhaps sent the next client's request on it. For the same reason an
    answer of a server that is leaving (its byte is 1) says that the connection ends with it.
    """

    def __init__(self, app: AsgiApp, proxies: Proxies, leaving: Sequence[int] = b"\0") -> None:
        self._app, self._proxies, self._leaving = app, proxies, leaving
        self._log = logging.getLogger("uvicorn.error")
        self._lasting: set[_Lasting] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        kind = scope["type"]
        if kind != "lifespan" and (peer := scope.get("client")) and self._proxies.trusts(peer[0]):
            self._tell(scope)
        if kind == "http":
            await self._answer(_Answer(scope, send, self._lasting, self._leaving), receive)
        elif kind == "websocket":
            await self._answer(_Socket(scope, send, self._lasting), receive)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, answer: _Lasting, receive: Receive) -> None:
        try:
            await self._app(answer.scope, receive, answer.send)
        except Exception:
            if not answer.over:
                raise
            if not answer.ended:
                self._log.exception("Exception in ASGI application")
        finally:
            self._lasting.discard(answer)

    async def see_off(self, seconds: float = 0.0) -> None:
        """End each stream of events like a whole one, and each WebSocket, over so many seconds."""
        lasting = list(self._lasting)
        for each in lasting:
            await each.end()
            await asyncio.sleep(seconds / len(lasting))

    def _tell(self, scope: Message) -> None:
        told: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name == b"host" or name.startswith(b"x-forwarded-"):
                before = told.get(name)
                told[name] = b"%b,%b" % (before, value) if before else value

        def said(name: bytes) -> str:
            return told.get(name, b"").decode("latin-1")

        if client := self._proxies.client(said(b"x-forwarded-for")):
            scope["client"] = (client, 0)
        if (scheme := _last(said(b"x-forwarded-proto")).lower()) in SCHEMES:
            web = scope["type"] == "websocket"
            scope["scheme"] = scheme.replace("http", "ws") if web else scheme
        host = _last(said(b"x-forwarded-host")).encode()
        if host and host != told.get(b"host") and _HOST(host.decode()):
            kept = [header for header in scope["headers"] if header[0] != b"host"]
            scope["headers"] = [(b"host", host), *kept]
        prefix = _last(said(b"x-forwarded-prefix")).rstrip("/")
        if _PREFIX(prefix):
            scope["root_path"] = unquote(prefix) + scope.get("root_path", "")
            scope["path"] = unquote(prefix) + scope["path"]
            if raw := scope.get("raw_path"):
                scope["raw_path"] = prefix.encode() + raw


class _Lasting:
    """What may last: whether it is over, and whether that is because we ended it."""

    def __init__(self, scope: Message, send: Send, lasting: set[_Lasting]) -> None:
        self.scope, self._send, self._lasting = scope, send, lasting
        self.over = self.ended = False

    async def send(self, message: Message) -> None:
        """Pass on what the app sends; raises OSError once it was ended."""
        if self.ended:
            raise OSError("the server stops, and has ended it")
        await self._send(message)

    async def end(self) -> None:
        """End it here, unless it is over; to its app the client has gone."""
        self._lasting.discard(self)
        if not self.over:
            self.over = self.ended = True
            # A WebSocket's server minds where the client has just gone, or was told to go.
            with contextlib.suppress(OSError, RuntimeError):
                await self._send(self._last())

    def _last(self) -> Message:
        raise NotImplementedError


class _Answer(_Lasting):
    """An answer to a request; it lasts if it is a stream of events."""

    def __init__(
        self, scope: Message, send: Send, lasting: set[_Lasting], leaving: Sequence[int]
    ) -> None:
        super().__init__(scope, send, lasting)
        self._leaving = leaving

    async def send(self, message: Message) -> None:
        """Pass on what the app sends."""
        if message["type"] == "http.response.start":
            headers = message.get("headers", ())
            if _is_for_events(headers, b"content-type") and _comes_back(self.scope):
                self._lasting.add(self)
            if self._leaving[0]:
                message["headers"] = [*headers, (b"connection", b"close")]
        await super().send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.over = True

    def _last(self) -> Message:
        return {"type": "http.response.body", "body": b""}


class _Socket(_Lasting):
    """A WebSocket; it lasts from when it was accepted."""

    async def send(self, message: Message) -> None:
        """Pass on what the app sends."""
        await super().send(message)
        if message["type"] == "websocket.accept":
            self._lasting.add(self)
        elif message["type"] == "websocket.close":
            self.over = True

    def _last(self) -> Message:
        return {"type": "websocket.close", "code": RESTART}


def _comes_back(scope: Message) -> bool:
    """Return whether that is a browser's EventSource, and nobody who wants an answer's end."""
    return scope["method"] == "GET" and _is_for_events(scope["headers"], b"accept")


def _is_for_events(headers: Iterable[tuple[bytes, bytes]], header: bytes) -> bool:
    wanted = EVENTS.encode()
    return any(name.lower() == header and value.startswith(wanted) for name, value in headers)


def wsgi(app: WsgiApp, proxies: Proxies, leaving: Sequence[int] = b"\0") -> WsgiApp:
    """Return a WSGI app behind a proxy; its server is leaving once the byte is 1."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if proxies.trusts(environ.get("REMOTE_ADDR", "")):
            _tell_wsgi(environ, proxies)
        streams = False

        def starting(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            nonlocal streams
            streams = any(
                name.lower() == "content-type" and value.startswith(EVENTS)
                for name, value in headers
            )
            # Gunicorn takes no header for it from an app.
            if leaving[0] and (end := getattr(start_response, "__self__", None)):
                end.force_close()
            return start_response(status, headers, *error)

        chunks = app(environ, starting)
        asked = environ["REQUEST_METHOD"], environ.get("HTTP_ACCEPT", "")[: len(EVENTS)]
        return _until(chunks, leaving) if streams and asked == ("GET", EVENTS) else chunks

    return answer


def _until(chunks: Iterable[bytes], leaving: Sequence[int]) -> Iterator[bytes]:
    try:
        for chunk in chunks:
            yield chunk
            if leaving[0]:
                break
    finally:
        if close := getattr(chunks, "close", None):
            close()


def _tell_wsgi(environ: dict[str, Any], proxies: Proxies) -> None:
    if client := proxies.client(environ.get("HTTP_X_FORWARDED_FOR", "")):
        environ["REMOTE_ADDR"] = client
        environ.pop("REMOTE_PORT", None)
    if (scheme := _last(environ.get("HTTP_X_FORWARDED_PROTO", "")).lower()) in SCHEMES:
        environ["wsgi.url_scheme"] = scheme
    if _HOST(host := _last(environ.get("HTTP_X_FORWARDED_HOST", ""))):
        environ["HTTP_HOST"] = host
    if _PREFIX(prefix := _last(environ.get("HTTP_X_FORWARDED_PREFIX", "")).rstrip("/")):
        told = unquote(prefix).encode().decode("latin-1")
        environ["SCRIPT_NAME"] = told + environ.get("SCRIPT_NAME", "")
