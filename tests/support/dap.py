"""A client of the Debug Adapter Protocol: just what a test needs of what an editor does."""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from contextlib import suppress
from typing import Any, Self

Message = dict[str, Any]


class Restarted(AssertionError):
    """The program ends, another will follow, and an editor attaches again."""


class Client:
    """An editor at a debug adapter. A message that doesn't come in time fails the test."""

    def __init__(self, port: int, *, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._port = port
        self._wanted: tuple[dict[str, list[int]], dict[str, Any]] = ({}, {})
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), self._timeout)
        self._stream = self._socket.makefile("rwb")
        self._number = 0
        self._waiting: deque[Message] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            # So that nothing is left of the session when the next client attaches.
            with suppress(Restarted):
                self.request("disconnect")
        self.close()

    def close(self) -> None:
        """Break the connection off, as an editor that ends does."""
        self._stream.close()
        self._socket.close()

    def attach(self, breakpoints: dict[str, list[int]], **settings: Any) -> None:
        """Attach, and stop at these lines of these files from now on."""
        self._wanted = (breakpoints, settings)
        try:
            self._attach(breakpoints, **settings)
        except Restarted:
            self._attach_again()

    def _attach_again(self) -> None:
        self.close()
        self._connect()
        breakpoints, settings = self._wanted
        self.attach(breakpoints, **settings)

    def _attach(self, breakpoints: dict[str, list[int]], **settings: Any) -> None:
        self.request("initialize", adapterID="debugpy", pathFormat="path", linesStartAt1=True)
        attached = self.send("attach", justMyCode=True, **settings)
        self.event("initialized")
        for path, lines in breakpoints.items():
            body = self.request(
                "setBreakpoints", source={"path": path}, breakpoints=[{"line": n} for n in lines]
            )
            assert all(each["verified"] for each in body["breakpoints"]), body
        self.request("configurationDone")
        self.response(attached)

    def stopped(self) -> int:
        """Return the thread that has reached a breakpoint, in the next program if need be."""
        try:
            event = self.event("stopped")
        except Restarted:
            self._attach_again()
            return self.stopped()
        assert event["body"]["reason"] == "breakpoint", event
        return int(event["body"]["threadId"])

    def variables(self, thread: int) -> dict[str, str]:
        """Return the local variables where a thread stands."""
        frame = self.request("stackTrace", threadId=thread)["stackFrames"][0]
        scopes = self.request("scopes", frameId=frame["id"])["scopes"]
        local = next(scope for scope in scopes if scope["name"] == "Locals")
        found = self.request("variables", variablesReference=local["variablesReference"])
        return {each["name"]: each["value"] for each in found["variables"]}

    def request(self, command: str, **arguments: Any) -> Message:
        """Send a request; return the body of its response."""
        return self.response(self.send(command, **arguments))

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request; return its number."""
        self._number += 1
        message = {
            "seq": self._number, "type": "request", "command": command, "arguments": arguments,
        }  # fmt: skip
        data = json.dumps(message).encode()
        self._stream.write(b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
        self._stream.flush()
        return self._number

    def response(self, number: int) -> Message:
        """Return the body of the response to a request."""
        found = self._next("response", "request_seq", number)
        assert found["success"], found
        body: Message = found.get("body") or {}
        return body

    def event(self, name: str) -> Message:
        """Return the next event of a name."""
        return self._next("event", "event", name)

    def _next(self, kind: str, key: str, value: object) -> Message:
        deadline = time.monotonic() + self._timeout
        for message in list(self._waiting):
            if message["type"] == kind and message[key] == value:
                self._waiting.remove(message)
                return message
        while time.monotonic() < deadline:
            message = self._read()
            if message["type"] == kind and message[key] == value:
                return message
            # What fails or ends while something else is waited for makes the wait vain.
            assert message.get("success", True), message
            if message.get("event") == "terminated" and message.get("body", {}).get("restart"):
                raise Restarted(f"no {kind} {value}: the program was started again")
            self._waiting.append(message)
        raise AssertionError(f"no {kind} {value} in time; there were {list(self._waiting)}")

    def _read(self) -> Message:
        length = 0
        while line := self._stream.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, f"the adapter is gone; there were {list(self._waiting)}"
        message: Message = json.loads(self._stream.read(length))
        return message
