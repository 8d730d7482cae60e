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
from typing import Any, NoReturn

FOLDER = os.environ.get("DEBUG_PATH") or "/opt/debugger"
# Seconds that a connection waits for the program, which may have ended until a mistake is fixed.
PATIENCE = 600.0
# Seconds that a program takes at most from the end of its debugger to its own.
AFTERMATH = 5.0
_LENGTH = re.compile(rb"Content-Length: *(\d+)", re.IGNORECASE)
_Message = dict[str, Any]
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


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
        self._sessions: set[_Session] = set()
        self._over: list[_Session] = []

    async def run(self, listener: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(self._reports, self._read)
        await asyncio.start_server(self._accept, sock=listener)
        await self._ended.wait()

    def _read(self) -> None:
        data = os.read(self._reports, 4096)
        if not data:
            self._end_sessions(restart=False)
            self._ended.set()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._end_sessions(restart=True)
            self._port = int(line)
            if self._port:
                self._running.set()
                while self._over:
                    self._over.pop().detach()
            else:
                self._running.clear()

    def _end_sessions(self, *, restart: bool) -> None:
        """Tell the editors at once: a program's adapter may outlive it, silent for many seconds."""
        while self._sessions:
            session = self._sessions.pop()
            session.end(restart=restart)
            self._over.append(session)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError):
            # Till the editor has said something, it needn't be told that a program is gone.
            if first := await _receive(reader):
                async with asyncio.timeout(PATIENCE):
                    session = await self._begin_session(reader, writer)
                await asyncio.gather(session.pass_requests(first), session.pass_events())
                self._sessions.discard(session)
        writer.close()

    async def _begin_session(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> _Session:
        """Connect to the program that runs, or else to the next one."""
        while True:
            await self._running.wait()
            port = self._port
            try:
                adapter = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                # It has ended before the reloader said so, unless there is another by now.
                if port == self._port:
                    self._running.clear()
                continue
            if port == self._port:
                session = _Session((reader, writer), adapter)
                self._sessions.add(session)
                return session
            adapter[1].close()


class _Session:
    """What an editor and the debug adapter of one program say to each other."""

    def __init__(self, editor: _Connection, adapter: _Connection) -> None:
        self._editor, self._editor_writer = editor
        self._adapter, self._adapter_writer = adapter
        self._number = 0
        self._leaving = False
        self._over = asyncio.Event()

    def end(self, *, restart: bool) -> None:
        """Tell the editor that the session has ended.

        The adapter may only know after ``detach``: a program that stands at a breakpoint would
        go on.
        """
        if not self._leaving:
            self._over.set()
            self._say(type="event", event="terminated", body={"restart": True} if restart else {})

    def detach(self) -> None:
        self._adapter_writer.close()

    async def pass_requests(self, message: _Message) -> None:
        """Pass on what the editor says; once the session is over, answer in the adapter's place."""
        while message:
            command = message.get("command")
            if self._over.is_set():
                left = command == "disconnect"
                self._say(
                    type="response", request_seq=message.get("seq"), command=command, success=left,
                    message="the program has ended",
                )  # fmt: skip
                if left:
                    break
            else:
                # An editor that asks for the end doesn't want to attach again.
                self._leaving = self._leaving or command in ("disconnect", "terminate")
                await _send(self._adapter_writer, message)
            message = await _receive(self._editor)
        if not self._over.is_set():
            self.detach()
        self._editor_writer.close()

    async def pass_events(self) -> None:
        """Pass on what the adapter says."""
        while (message := await _receive(self._adapter)) and not self._over.is_set():
            if message.get("event") == "terminated" and not self._leaving:
                # The reloader, which knows whether another program will follow, may learn it later.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), AFTERMATH)
                    return
            self._number = message["seq"]
            await _send(self._editor_writer, message)
        if not self._over.is_set():
            self._editor_writer.close()

    def _say(self, **message: object) -> None:
        self._number += 1
        _write(self._editor_writer, {"seq": self._number, **message})


async def _receive(reader: asyncio.StreamReader) -> _Message:
    """Return the next message; at the end, and for what is none, an empty one."""
    try:
        found = _LENGTH.search(await reader.readuntil(b"\r\n\r\n"))
        message: _Message = json.loads(await reader.readexactly(int(found[1]))) if found else {}
    except (OSError, ValueError, EOFError, asyncio.LimitOverrunError):
        return {}
    return message


async def _send(writer: asyncio.StreamWriter, message: _Message) -> None:
    _write(writer, message)
    # Whoever is gone is noticed where it is read from.
    with contextlib.suppress(OSError):
        await writer.drain()


def _write(writer: asyncio.StreamWriter, message: _Message) -> None:
    body = json.dumps(message).encode()
    writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


def _say(message: str) -> None:
    print(f"reload: {message}", file=sys.stderr, flush=True)
