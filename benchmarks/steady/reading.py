"""Opening a connection whose answer has no end: streams and WebSockets."""

from __future__ import annotations

import asyncio

from benchmarks.steady.exchange import CONNECT_SECONDS, Failed, Server

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Head = tuple[int, dict[str, str]]


async def opened(
    server: Server, path: str, headers: dict[str, str], seconds: float
) -> tuple[Head, Pair]:
    """Send a GET and return status and headers of the answer, and the connection behind them.

    Raises Failed. Whoever gets the connection closes it.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(
                server.host, server.port, ssl=server.tls, limit=2**16
            )
    except TimeoutError:
        raise Failed("connect-timeout") from None
    except OSError as error:
        raise Failed("connect", str(error)) from None
    lines = [f"GET {path} HTTP/1.1", f"Host: {server.name}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(seconds):
            head = await reader.readuntil(b"\r\n\r\n")
    except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise Failed("no-answer", repr(error)) from None
    return _parsed(head), (reader, writer)


def _parsed(head: bytes) -> Head:
    first, *rest = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in rest if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in fields}
