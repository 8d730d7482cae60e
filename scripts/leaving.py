"""How a server ends: no request that was sent is cut, and nobody is waited for in vain.

At first it goes on, but each answer says that its connection ends with it, and streams of events
and WebSockets are ended one after the other, so that they don't all come back at once. Then the
kernel refuses new clients, those who are in its queue are served, and the port is closed.
Connections on which nothing comes are closed; the rest has GRACEFUL_SECONDS (8).
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import select
import socket
import sys
import threading
import time
from typing import Any

# Seconds in which each answer says that its connection ends.
TOLD = 1.0
# Seconds in which those who stay for long are told to come back, within the ones before.
SPREAD = 0.8
# Seconds in which what was on its way has come.
UNDER_WAY = 0.05
# Seconds for which a thread waits for a request, and at the end each kept connection.
IDLE = 0.1
# Seconds that requests have.
GRACE = float(os.environ.get("GRACEFUL_SECONDS") or 8)

# Linux's option that binds a socket to an interface by number, and a number that none has: whoever
# comes is refused, and those in the queue stay there. Closing the port would reset them.
_SO_BINDTOIFINDEX, _NOWHERE = 62, (1 << 31) - 1


def in_steps(arbiter: Any) -> memoryview:
    """Have gunicorn's master stop that way; return a byte that all workers see as 1 then."""
    told = memoryview(mmap.mmap(-1, 1))
    stop = arbiter.stop

    def stopping(self: Any, graceful: bool = True) -> None:
        # A socket that was handed to us serves whoever has it next.
        own = not any("fd://" in word for word in sys.argv)
        if graceful and self.WORKERS and own:
            told[0] = 1
            time.sleep(TOLD)
            for listener in self.LISTENERS:
                with contextlib.suppress(OSError):
                    listener.sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NOWHERE)
            limit = time.monotonic() + GRACE / 2
            time.sleep(UNDER_WAY)
            # Workers that have little of a CPU take a while to accept who is in the queue.
            while time.monotonic() < limit and any(_has_more(each.sock) for each in self.LISTENERS):
                time.sleep(UNDER_WAY)
        stop(self, graceful)

    arbiter.stop = stopping
    return told


def _has_more(sock: Any) -> bool:
    """Return whether something is to be read, or accepted."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _ended(connection: Any) -> bool:
    """End it where nothing has come that is still to be read; return whether that is so.

    At once: what comes between a look and the end is lost.
    """
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as ours:
        if _has_more(ours):
            return False
        ours.shutdown(socket.SHUT_WR)
    return True


def by_loop(server: Any, told: memoryview) -> None:
    """Have uvicorn's servers end what lasts, and connections on which nothing comes."""
    stop, tick = server.shutdown, server.on_tick

    async def on_tick(self: Any, counter: int) -> Any:
        if told[0] and not hasattr(self, "seeing_off"):
            self.seeing_off = asyncio.create_task(self.config.app.see_off(SPREAD))
        return await tick(self, counter)

    async def shutdown(self: Any, sockets: Any = None) -> None:
        # After it the app has a moment for its own end.
        self.config.timeout_graceful_shutdown = max(TOLD, GRACE - TOLD)
        await self.config.app.see_off()
        for each in list(self.server_state.connections):
            # WebSockets have been told by a code.
            if not hasattr(each, "cycle") or (each.cycle and not each.cycle.response_complete):
                continue
            if _ended(each.transport.get_extra_info("socket")):
                each.shutdown()
        await asyncio.sleep(UNDER_WAY)
        await stop(self, sockets)

    server.on_tick, server.shutdown = on_tick, shutdown


def by_threads(gthread: Any, told: memoryview) -> None:
    """Have no thread of gunicorn's wait for a request: neither in between nor at the end."""
    connection, worker = gthread.TConn, gthread.ThreadWorker
    if hasattr(worker, "_cap_keepalive") and hasattr(connection, "wait_for_data"):
        gthread.STOP_KEEPALIVE_LINGER = IDLE
        _wait_briefly(connection, told)
        _end_what_is_idle(worker)


def _wait_briefly(connection: Any, told: memoryview) -> None:
    wait, close = connection.wait_for_data, connection.close

    def waiting(self: Any, seconds: float) -> bool:
        return bool(wait(self, 0 if told[0] else min(seconds, IDLE)))

    def closing(self: Any, graceful: bool = False) -> None:
        if graceful:
            # It waits for the client, and the worker's loop with it.
            threading.Thread(target=close, args=(self, True)).start()
        else:
            close(self)

    connection.wait_for_data, connection.close = waiting, closing


def _end_what_is_idle(worker: Any) -> None:
    murder = worker.murder_keepalived

    def at_the_end(self: Any, _deadline: float) -> None:
        for listener in self.sockets:
            listener.close()
        for each in self.keepalived_conns:
            each.timeout = time.monotonic() + IDLE
        for each in self.pending_conns:
            if _ended(each.sock):
                each.timeout = 0
        self.murder_pending()

    def murdering(self: Any, force: bool = False) -> None:
        now = time.monotonic()
        for each in () if self.alive else self.keepalived_conns:
            if each.timeout <= now and not _ended(each.sock):
                each.timeout = now + IDLE
        murder(self, force)

    worker._cap_keepalive, worker.murder_keepalived = at_the_end, murdering  # noqa: SLF001
