"""What an app behind a proxy is told of its clients, as if they had come by themselves.

Where who is connected is to be believed, X-Forwarded-For, -Proto, -Host and -Prefix become the
client's address, the scheme, the host, and what a path begins with (root_path or SCRIPT_NAME). Of
several values the last counts, which is the nearest proxy's own; of addresses, the last that isn't
a trusted proxy's itself.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
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
    and the proxy has perhaps sent the next client's request on it.
    """

    def __init__(self, app: AsgiApp, proxies: Proxies) -> None:
        self._app, self._proxies = app, proxies
        self._log = logging.getLogger("uvicorn.error")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        kind = scope["type"]
        if kind != "lifespan" and (peer := scope.get("client")) and self._proxies.trusts(peer[0]):
            self._tell(scope)
        if kind != "http":
            await self._app(scope, receive, send)
            return
        answered = False

        async def noted(message: Message) -> None:
            nonlocal answered
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                answered = True

        try:
            await self._app(scope, receive, noted)
        except Exception:
            if not answered:
                raise
            self._log.exception("Exception in ASGI application")

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


def wsgi(app: WsgiApp, proxies: Proxies) -> WsgiApp:
    """Return a WSGI app behind a proxy."""

    def answer(environ: dict[str, Any], start_response: object) -> Iterable[bytes]:
        if proxies.trusts(environ.get("REMOTE_ADDR", "")):
            _tell_wsgi(environ, proxies)
        return app(environ, start_response)

    return answer


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
