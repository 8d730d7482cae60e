"""The client that loads stacks while they are changed sees everything that a server does wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.steady import driver
from benchmarks.steady.client import Client, Plan
from benchmarks.steady.count import Histogram

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Handle = Callable[[str, dict[str, str], bytes, Reader, Writer], Awaitable[bool]]
SECONDS = 0.6


class Server:
    """Answers by a function, which says whether the connection goes on."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.requests: list[str] = []

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *rest = head.decode().split("\r\n")
                fields = {
                    name.lower(): value for name, _, value in (x.partition(": ") for x in rest)
                }
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                self.requests.append(first)
                if not await self.handle(first, fields, body, reader, writer):
                    break
        except (EOFError, OSError):
            pass
        finally:
            writer.close()


def answer(status: int, body: object = "ok") -> bytes:
    data = json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def run(handle: Handle, **options: Any) -> tuple[dict[str, Any], Server]:
    """Load a server for a moment; return the report, and the server."""
    server = Server(handle)

    async def loaded() -> dict[str, Any]:
        async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            plan = Plan(f"http://127.0.0.1:{port}", **{"rate": 100.0, "connections": 4, **options})
            client = Client(plan)
            running = asyncio.create_task(client.run())
            await asyncio.sleep(SECONDS)
            client.stop()
            await running
            return client.report()

    return asyncio.run(loaded()), server


def only(method: str, answers: Callable[[int], bytes | None]) -> Handle:
    """Answer the nth request of a method by these bytes, or end the connection."""
    count = 0

    async def handle(
        first: str, fields: dict[str, str], body: bytes, reader: Reader, writer: Writer
    ) -> bool:
        nonlocal count
        sent: bytes | None = answer(201, {"id": 7})
        if first.startswith(method):
            count += 1
            sent = answers(count)
        writer.write(sent or b"")
        return sent is not None

    return handle


class TestRequests:
    def test_all_well_is_no_failure(self) -> None:
        report, server = run(only("GET", lambda _: answer(200)), gets=("/x",))
        assert report["failed"] == report["unsent"] == 0
        assert report["ok"] == len(server.requests) == pytest.approx(SECONDS * 100, abs=15)

    def test_an_error_is_a_failure_and_never_repeated(self) -> None:
        report, server = run(
            only("GET", lambda n: answer(502 if n % 2 else 404)), gets=("/x",), writes=0.0
        )
        assert set(report["failed_by_kind"]) == {"502", "4xx"}
        assert report["ok"] == 0
        assert report["failed"] == len(server.requests)

    def test_a_connection_that_ends_without_an_answer_is_a_failure(self) -> None:
        report, server = run(
            only("GET", lambda n: None if n % 4 == 0 else answer(200)), gets=("/x",), writes=0.0
        )
        kinds = report["failed_by_kind"]
        assert set(kinds) <= {"reset", "reset-kept"}
        assert sum(kinds.values()) == len(server.requests) // 4

    def test_a_connection_that_was_closed_while_idle_is_none(self) -> None:
        async def handle(
            first: str, fields: dict[str, str], body: bytes, reader: Reader, writer: Writer
        ) -> bool:
            writer.write(answer(200))
            return False

        report, _ = run(handle, gets=("/x",), writes=0.0, rate=20.0)
        assert report["failed"] == 0
        assert report["closed_while_idle"] > 0

    def test_half_an_answer_is_a_failure(self) -> None:
        cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf"
        report, _ = run(
            only("GET", lambda n: cut), gets=("/x",), writes=0.0, seconds=0.2, rate=10.0
        )
        assert set(report["failed_by_kind"]) == {"timeout"}

    def test_a_wrong_id_is_a_failure(self) -> None:
        report, _ = run(only("GET", lambda _: answer(200, {"id": 8})), gets=("/x", "/{last}"))
        assert report["failed_by_kind"].keys() == {"wrong"}

    def test_no_server_is_a_failure_of_its_own_kind(self) -> None:
        async def loaded() -> dict[str, Any]:
            client = Client(Plan("http://127.0.0.1:1", rate=50.0))
            running = asyncio.create_task(client.run())
            await asyncio.sleep(0.2)
            client.stop()
            await running
            return client.report()

        assert asyncio.run(loaded())["failed_by_kind"].keys() == {"connect"}

    def test_a_stall_counts_from_when_a_request_was_due(self) -> None:
        async def handle(
            first: str, fields: dict[str, str], body: bytes, reader: Reader, writer: Writer
        ) -> bool:
            seen.append(first)
            if len(seen) == 1:
                await asyncio.sleep(0.4)
            writer.write(answer(200))
            return True

        seen: list[str] = []
        report, _ = run(handle, gets=("/x",), writes=0.0, connections=1)
        # One request was slow; of those that waited for its connection half took 0.2 s or more.
        assert report["phases"][0]["ms"]["p50"] > 50
        assert report["failed"] == 0


class TestWrites:
    def test_each_is_acknowledged_or_unknown(self, tmp_path: Path) -> None:
        acks = tmp_path / "acks"
        ids = iter(range(1, 1000))

        def answers(number: int) -> bytes | None:
            return None if number % 3 == 0 else answer(201, {"id": next(ids)})

        report, server = run(only("POST", answers), writes=1.0, acks=str(acks))
        entries = [json.loads(line) for line in acks.read_text().splitlines()]
        told = [each for each in entries if each["state"] == "acknowledged"]
        assert len(entries) == len(server.requests) == report["ok"] + report["failed"]
        assert len(told) == report["ok"]
        rows = [(each["id"], each["name"]) for each in told]
        found = driver.writes(acks, rows)
        assert (found.lost, found.unknown, found.unknown_there) == ({}, report["failed"], 0)
        lost = driver.writes(acks, rows[1:])
        assert lost.lost == {rows[0][0]: rows[0][1]}


def streaming(numbers: list[list[int]], *, whole: bool = True) -> tuple[Handle, list[str]]:
    """Send these events, a list on each connection; return what was asked for, too."""
    asked: list[str] = []

    async def handle(
        first: str, fields: dict[str, str], body: bytes, reader: Reader, writer: Writer
    ) -> bool:
        if "/events" not in first:
            writer.write(answer(200))
            return True
        asked.append(fields.get("last-event-id", ""))
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        events = numbers.pop(0) if numbers else []
        if not events:
            await asyncio.sleep(5)
        for number in events:
            data = f"retry: 20\n\nid: {number}\ndata: {{}}\n\n".encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if whole:
            writer.write(b"0\r\n\r\n")
        return False

    return handle, asked


class TestStreams:
    def test_a_stream_is_gone_on_with_after_the_last_event(self) -> None:
        handle, asked = streaming([[5, 6], [7, 8]])
        report, _ = run(handle, streams=1, events="/events", gets=("/x",), writes=0.0)
        counts = report["phases"][0]["streams"]
        assert asked == ["", "6", "8"]
        assert counts == {"opened": 3, "events": 4, "lost": 0, "ended": 2}

    def test_what_is_lost_or_doubled_is_counted(self) -> None:
        handle, _ = streaming([[5, 6], [6, 9]])
        report, _ = run(handle, streams=1, events="/events", gets=("/x",), writes=0.0)
        counts = report["phases"][0]["streams"]
        assert (counts["lost"], counts["doubled"]) == (2, 1)

    def test_a_stream_that_breaks_off_is_not_one_that_ended(self) -> None:
        handle, _ = streaming([[5, 6]], whole=False)
        report, _ = run(handle, streams=1, events="/events", gets=("/x",), writes=0.0)
        counts = report["phases"][0]["streams"]
        assert "ended" not in counts
        assert counts["cut: IncompleteReadError"] == 1


class TestSockets:
    @pytest.mark.parametrize(
        ("end", "count"),
        [(b"\x88\x02\x03\xf4", "ended"), (b"", "cut: IncompleteReadError")],
        ids=["told", "cut"],
    )
    def test_an_end_that_was_told_is_none_that_was_not(self, end: bytes, count: str) -> None:
        async def handle(
            first: str, fields: dict[str, str], body: bytes, reader: Reader, writer: Writer
        ) -> bool:
            if "/socket" not in first:
                writer.write(answer(200))
                return True
            writer.write(b"HTTP/1.1 101 X\r\n\r\n")
            _, size = await reader.readexactly(2)
            mask, data = await reader.readexactly(4), await reader.readexactly(size & 127)
            text = bytes(byte ^ mask[number % 4] for number, byte in enumerate(data))
            writer.write(bytes([0x81, len(text)]) + text + end)
            return False

        report, _ = run(handle, sockets=1, socket="/socket", gets=("/x",), writes=0.0)
        counts = report["phases"][0]["sockets"]
        assert counts["echoes"] >= 1
        assert counts[count] >= 1
        assert counts["lost" if end == b"" else "crossed"] == 0


class TestHistogram:
    def test_a_percentile_is_within_two_percent(self) -> None:
        found = Histogram()
        for number in range(1, 1001):
            found.add(number / 1000)
        assert found.percentile(0.5) == pytest.approx(0.5, rel=0.03)
        assert found.percentile(0.99) == pytest.approx(0.99, rel=0.03)
        assert found.percentile(1) == found.worst == 1

    def test_phases_together_are_as_if_they_were_one(self) -> None:
        parts, whole = [Histogram(), Histogram()], Histogram()
        for number in range(200):
            parts[number % 2].add(number / 100)
            whole.add(number / 100)
        reports = [{"buckets": each.buckets(), "ms": each.summary()} for each in parts]
        assert Histogram.of(json.loads(json.dumps(reports))).summary() == whole.summary()
