"""A debugger's one address for a program that is started again and again: for development.

With DEBUG_PORT set, the reloader listens there for as long as it lives, and passes each connection
on to the debug adapter of the program that runs now. When the program is started again, the editor
is told to attach again (which the adapter itself doesn't know), and waits here until it can.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import re
import signal
import socket
import sys
from typing import NoReturn

FOLDER = os.environ.get("DEBUG_PATH") or "/opt/debugger"
# Seconds that a connection waits for the program, which may have ended until a mistake is mended.
PATIENCE = 600.0
_LENGTH = re.compile(rb"Content-Length: *(\d+)", re.IGNORECASE)


class Debugger:
    """The reloader's side, and in a child the program's: the way to the relay between.

    The relay lives for as long as anybody can write to ``reports``.
    """

    def __init__(self, reports: int) -> None:
        self._reports = reports

    def gone(self) -> None:
        """Have connections wait: the program ends, or has ended, and another will follow."""
        self._report(0)

    def handed_over(self) -> dict[str, str]:
        """Return the variables with which a program in this one's place goes on."""
        os.set_inheritable(self._reports, True)  # noqa: FBT003
        return {"DEBUG_RELAY": str(self._reports)}

    def enter_program(self) -> None:
        """In the program, before its own code runs: let a debugger in."""
        # Last, so that the program finds its own packages first.
        sys.path.append(FOLDER)
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        try:
            debugpy = importlib.import_module("debugpy")
        except ImportError:
            _say(f"there is no debugger in {FOLDER}; is this image's stage `development`?")
            return
        # A program's own children would all want the one address.
        debugpy.configure(subProcess=False)
        _, port = debugpy.listen(("127.0.0.1", 0))
        self._report(port)
        if os.environ.get("DEBUG_WAIT") == "1":
            _say("waiting for a debugger")
            debugpy.wait_for_client()

    def _report(self, port: int) -> None:
        try:
            os.write(self._reports, b"%d\n" % port)
        except BrokenPipeError:
            _say("the way to the debugger is gone; start the service again to debug it")


def wanted() -> Debugger | None:
    """Return the debugger of a reloader that DEBUG_PORT is set for; a taken port is status 2."""
    text = os.environ.get("DEBUG_PORT")
    if not text:
        return None
    if relay := os.environ.pop("DEBUG_RELAY", ""):
        os.set_inheritable(int(relay), False)  # noqa: FBT003
        return Debugger(int(relay))
    host = os.environ.get("DEBUG_HOST") or "127.0.0.1"
    if not text.isdecimal():
        _say(f"DEBUG_PORT={text} is not a whole number")
        raise SystemExit(2)
    try:
        listener = socket.create_server((host, int(text)))
    except (OSError, OverflowError) as error:
        _say(f"no debugger can listen on {host}:{text}: {error}; look at DEBUG_HOST and DEBUG_PORT")
        raise SystemExit(2) from None
    return Debugger(_start(listener))


def _start(listener: socket.socket) -> int:
    """Start the relay; return what it is told the program's port by."""
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() == 0:
        os.close(write)
        _relay(listener, read)
    os.close(read)
    listener.close()
    return write


# ---- the relay's process


def _relay(listener: socket.socket, reports: int) -> NoReturn:
    # Ctrl-C is for the reloader; its end is the end of what it writes to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_Relay(reports).run(listener))
    os._exit(0)


class _Relay:
    def __init__(self, reports: int) -> None:
        self._reports = reports
        self._rest = b""
        self._port = 0
        self._running = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self, listener: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(self._reports, self._read)
        await asyncio.start_server(self._accept, sock=listener)
        await self._ended.wait()

    def _read(self) -> None:
        data = os.read(self._reports, 4096)
        if not data:
            self._ended.set()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._port = int(line)
            if self._port:
                self._running.set()
            else:
                self._running.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.wait_for(self._running.wait(), PATIENCE)
            theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_requests(reader, ours), self._events(theirs, writer))

    async def _events(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what the adapter says, message by message."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while found := _LENGTH.search(await reader.readuntil(b"\r\n\r\n")):
                body = await reader.readexactly(int(found[1]))
                if not self._running.is_set():
                    body = attach_again(body)
                writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        writer.close()


async def _requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what the editor says."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def attach_again(body: bytes) -> bytes:
    """Return a message; where it says that the session has ended, with the wish for another."""
    message = json.loads(body)
    if message.get("event") != "terminated":
        return body
    message["body"] = {**(message.get("body") or {}), "restart": True}
    return json.dumps(message).encode()


def _say(message: str) -> None:
    print(f"reload: {message}", file=sys.stderr, flush=True)
