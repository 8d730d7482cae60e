"""Uvicorn under the reloader, for development: ``dev_server.py INTERFACE TARGET ARGUMENTS...``.

The target is gunicorn's ``module:name``, or ``module:name()``; the arguments are uvicorn's own. An
app for WSGI needs neither uvicorn nor a2wsgi, which makes it one for ASGI: they are beside debugpy.
Django's static files are served as its own `runserver` does it.

When it stops, uvicorn drops a connection that it has accepted but not read yet, and with it a
request that came in the moment of a save. Here such a request is answered first.

An app gets what it would get behind production's proxy: what trusted proxies say, and its limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import shutil
import socket
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, cast

import behind
import limits

TOOLS = os.environ.get("DEBUG_PATH") or "/opt/debugger"
sys.path[0] = os.getcwd()
# An app's own modules may have these names.
del sys.modules["behind"], sys.modules["limits"]
# Last, so that what the app has comes first, and only for as long as it takes.
sys.path.append(TOOLS)
try:
    import uvicorn

    # Uvicorn imports them late.
    for _late in ("loops.auto", "protocols.http.auto", "protocols.websockets.auto"):
        importlib.import_module(f"uvicorn.{_late}")
    with contextlib.suppress(ImportError):
        importlib.import_module("uvloop")

    if sys.argv[1] == "wsgi":
        WSGIMiddleware: Any = importlib.import_module("a2wsgi").WSGIMiddleware
except ImportError as error:
    sys.exit(f"dev_server: {error}, nor in {TOOLS}; is this image's stage `development`?")
finally:
    sys.path.remove(TOOLS)

# Seconds in which a request that was sent before the stop has arrived.
UNDER_WAY = 0.02
# Bytes of a body that are kept in memory.
IN_MEMORY = 1 << 20


class Patient(uvicorn.Server):
    """A server that stops accepting a moment before it closes what is idle."""

    see_off: Callable[[], Awaitable[None]]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve; `healthcheck tcp` goes by the file, for the port was open before."""
        await super().startup(sockets)
        if self.started and (starting := os.environ.get("RELOAD_STARTING")):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(starting)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in two steps."""
        await self.see_off()
        for server in self.servers:
            server.close()
        await asyncio.sleep(UNDER_WAY)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
        elif not self.force_exit:
            # Nobody is connected: what else uvicorn does is to wait for them.
            await self.lifespan.shutdown()


def _load(target: str, kind: str) -> Callable[..., Any]:
    """Return the application; what its import raises stays as it is."""
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in (name or "application").removesuffix("()").split("."):
        if not hasattr(found, part):
            sys.exit(f'dev_server: there is no "{part}" in {module}; look at APP_TARGET={target}')
        found = getattr(found, part)
    return _with_static_files(found() if name.endswith("()") else found, kind)


def _with_static_files(app: Any, kind: str) -> Callable[..., Any]:
    """Return the application, where it is Django's in debug mode with its static files."""
    # Django's own, Channels', WhiteNoise's, or a function around one of these.
    maker = type(app).__module__.partition(".")[0]
    if "django.conf" not in sys.modules or maker not in (
        "django",
        "channels",
        "whitenoise",
        "builtins",
    ):
        return cast("Callable[..., Any]", app)
    settings = importlib.import_module("django.conf").settings
    installed = importlib.import_module("django.apps").apps.is_installed
    wanted = (
        settings.configured
        and settings.DEBUG
        and settings.STATIC_URL
        and installed("django.contrib.staticfiles")
        # As with `runserver`, this leaves it to WhiteNoise.
        and not installed("whitenoise.runserver_nostatic")
    )
    if not wanted:
        return cast("Callable[..., Any]", app)
    handlers = importlib.import_module("django.contrib.staticfiles.handlers")
    name = "ASGIStaticFilesHandler" if kind == "asgi" else "StaticFilesHandler"
    return cast("Callable[..., Any]", getattr(handlers, name)(app))


def _with_body(app: Callable[..., Any]) -> Callable[..., Any]:
    """Have a request's body there as a file, also one whose length isn't told."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> object:
        def begin(status: str, headers: list[tuple[str, str]], *error: object) -> object:
            # As gunicorn does: an answer that has no body has no length.
            if status.startswith("204"):
                headers = [pair for pair in headers if pair[0].lower() != "content-length"]
            return start_response(status, headers, *error)

        # Closed when the request is forgotten: an answer may still be reading it.
        body = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        shutil.copyfileobj(environ["wsgi.input"], body, IN_MEMORY)
        # Some go by the length alone, Django among them.
        environ["CONTENT_LENGTH"] = str(body.tell())
        body.seek(0)
        environ |= {"wsgi.input": body, "wsgi.input_terminated": True}
        return app(environ, begin)

    return answer


def _in_front(app: Callable[..., Any]) -> Callable[..., Any]:
    """Return an ASGI application with what stands before it in production."""
    proxies = behind.Proxies(os.environ.get("FORWARDED_ALLOW_IPS", ""))
    asgi = behind.Asgi(app, proxies)
    Patient.see_off = staticmethod(asgi.see_off)
    return limits.Limits(asgi, os.environ)


def _application() -> Callable[..., Any]:
    """Load the application inside uvicorn's loop, once uvicorn has set up its log."""
    try:
        return _in_front(_load(TARGET, "asgi"))
    except TypeError:
        # Uvicorn would take it for a mistake in how this function is called.
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    _, interface, TARGET, *arguments = sys.argv
    if interface == "wsgi":
        application = _in_front(WSGIMiddleware(_with_body(_load(TARGET, interface))))
    else:
        application, arguments = _application, ["--factory", *arguments]
    # The package hides the module of this name behind the command.
    importlib.import_module("uvicorn.main").Server = Patient  # type: ignore[attr-defined]
    uvicorn.main(["__main__:application", *arguments], prog_name="uvicorn")
