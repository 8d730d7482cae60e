"""The Engine's API, spoken over docker's own way to an engine.

`docker system dial-stdio` connects to where every other `docker` command goes: a socket, a context,
DOCKER_HOST with TLS, or another machine by ssh.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final
from urllib.parse import urlencode

from gangway.base.errors import GangwayError
from gangway.base.process import Runner

VERSION: Final = "v1.45"
"""Of Engine 26: the first that keeps all that a model may ask of a Swarm."""
# Seconds for an answer; what may take longer is a stream.
_PATIENCE: Final = 60.0
_FRAME: Final = 8
# Seconds for what has nobody to talk to any more.
_LAST_WORDS: Final = 2.0


class Refused(GangwayError):
    """What the engine wouldn't do, in its own words; `code` is HTTP's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the engine says: {message}")
        self.code = code


class _Away(GangwayError):
    """The engine doesn't answer, or no longer."""


class _Connection(http.client.HTTPConnection):
    """A connection through a program of docker's, which ends with it."""

    def __init__(self, runner: Runner, host: str, patience: float | None) -> None:
        super().__init__("engine")
        self._runner, self._flags = runner, ["--host", host] if host else []
        self._patience = patience
        self._program: subprocess.Popen[str] | None = None
        self.said = ""
        """what the program had to say when it ended"""

    def connect(self) -> None:
        """Start the program."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._program = self._runner.start(
                ["docker", *self._flags, "system", "dial-stdio"],
                stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE,
                own_group=True,
            )  # fmt: skip
        ours.settimeout(self._patience)
        self.sock = ours

    def close(self) -> None:
        """End the program, and keep what it said."""
        super().close()
        program, self._program = self._program, None
        if program is None:
            return
        # What couldn't connect ends by itself, with something to say of it.
        try:
            self.said = program.communicate(timeout=_LAST_WORDS)[1] or ""
        except subprocess.TimeoutExpired:
            program.kill()
            self.said = program.communicate()[1] or ""


@dataclass
class Api:
    """One engine; `host` is as docker's `--host` has it, empty for the environment's own."""

    runner: Runner
    host: str = ""
    _kept: _Connection | None = field(default=None, repr=False)
    # Several threads look at once, and a connection answers one question after the other.
    _asking: Lock = field(default_factory=Lock, repr=False)

    def get(self, path: str, **query: Any) -> Any:
        """Return what is at a path; raises Refused, or GangwayError where nothing answers."""
        return self._ask("GET", path, None, query)

    def find(self, path: str, **filters: Any) -> list[Any]:
        """Return the list at a path, of what the filters let through."""
        found: list[Any] = self.get(path, filters=filters) if filters else self.get(path)
        return found or []

    def post(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, **query: Any
    ) -> Any:
        """Make or change something; raises as `get` does."""
        return self._ask("POST", path, body, query, headers)

    def delete(self, path: str, **query: Any) -> None:
        """Remove something; what is gone already is as good. Raises as `get` does."""
        try:
            self._ask("DELETE", path, None, query)
        except Refused as refused:
            if refused.code != http.client.NOT_FOUND:
                raise

    def close(self) -> None:
        """End the connection; the next call makes another."""
        kept, self._kept = self._kept, None
        if kept:
            kept.close()

    def output(self, path: str, **query: Any) -> Iterator[tuple[str, bytes]]:
        """Yield what containers write, in pieces, each with `stdout` or `stderr`.

        It has a connection of its own, so that it may stay.
        """
        connection = _Connection(self.runner, self.host, None)
        try:
            url = f"/{VERSION}{path}{_query(query)}"
            response = self._send(connection, "GET", url)
            if response.headers.get_content_type().endswith("raw-stream"):
                while chunk := response.read1(65536):
                    yield "stdout", chunk
                return
            while len(head := response.read(_FRAME)) == _FRAME:
                name = "stderr" if head[0] == 2 else "stdout"
                yield name, response.read(int.from_bytes(head[4:], "big"))
        finally:
            connection.close()

    def _ask(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        url = f"/{VERSION}{path}{_query(query)}"
        with self._asking:
            try:
                text = self._answer(method, url, body, headers)
            except _Away:
                # It may have been idle for too long; what changes something isn't sent twice.
                if method != "GET":
                    raise
                text = self._answer(method, url, body, headers)
        return json.loads(text) if text.strip() else None

    def _answer(self, method: str, url: str, body: Any, headers: Mapping[str, str] | None) -> bytes:
        if self._kept is None:
            self._kept = _Connection(self.runner, self.host, _PATIENCE)
        try:
            return self._send(self._kept, method, url, body, headers).read()
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
            raise self._lost(self._kept, said) from error

    def _send(
        self,
        connection: _Connection,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Return an answer whose body hasn't been read yet."""
        kind = {} if body is None else {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, url, data, {**kind, **(headers or {})})
            response = connection.getresponse()
        except TimeoutError as error:
            self.close()
            raise GangwayError(f"no answer within {_PATIENCE:g} s: {method} {url}") from error
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(connection, str(error) or type(error).__name__) from error
        if response.status >= http.client.BAD_REQUEST:
            raise Refused(response.status, _message(response.read()))
        return response

    def _lost(self, connection: _Connection, error: str) -> GangwayError:
        """Return the error for an engine that doesn't answer, with what docker said of it."""
        connection.close()
        said = connection.said.strip() or error
        if connection is self._kept:
            self._kept = None
        if "permission denied" in said.lower():
            fix = "join the docker group (sudo usermod -aG docker $USER, then log in again)"
        else:
            fix = "start Docker there, or name a manager of the Swarm: DOCKER_HOST=ssh://USER@HOST"
        at = f" at {self.host}" if self.host else ""
        return _Away(f"no container engine answers{at}: {said.splitlines()[-1]}", fix=fix)


def _query(query: Mapping[str, Any]) -> str:
    """Return the end of a URL; a mapping is JSON in it, as the API has its filters."""
    words = {
        key: json.dumps(value) if isinstance(value, Mapping | list) else str(value)
        for key, value in query.items()
        if value not in (None, "", {}, [])
    }
    return f"?{urlencode(words)}" if words else ""


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace").strip()
