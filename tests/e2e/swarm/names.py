"""A name server that knows nothing: what a network without one of its own has to ask."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PORT = 53
#: An answer (QR) by one who could look further (RA), and there is no such name (NXDOMAIN).
NO_SUCH_NAME = bytes([0x81, 0x83])


@contextmanager
def server(address: str) -> Iterator[None]:
    """Answer every question that reaches this address: no such name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((address, PORT))
        thread = threading.Thread(target=_answer, args=[own], daemon=True)
        thread.start()
        try:
            yield
        finally:
            with suppress(OSError):
                # It wakes the thread, though it complains that nobody is connected.
                own.shutdown(socket.SHUT_RDWR)
            thread.join()


def _answer(own: socket.socket) -> None:
    while True:
        question, sender = own.recvfrom(4096)
        if not sender:
            return
        # Number, flags, one question, no answers of any kind; and the question itself.
        count = b"\0\1" + bytes(6)
        own.sendto(question[:2] + NO_SUCH_NAME + count + question[12:], sender)
