"""What lasts, for an api that has none of it: a stream of events, and a WebSocket that echoes.

Events are the clock's, the same from every replica, numbered without gaps: number N is due N times
PERIOD after the epoch. A stream begins after Last-Event-ID, or with the next event.
"""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from types import FrameType
from typing import Any

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

PERIOD = 0.5
RELEASE = 0

router = APIRouter(prefix="/live")


class Ending:
    """Whether the server stops: its streams end then, so that their clients come back elsewhere."""

    def __init__(self) -> None:
        self.event: asyncio.Event | None = None

    def watch(self) -> asyncio.Event:
        """Listen for the signal, and pass it on to the server."""
        if self.event is None:
            self.event = event = asyncio.Event()
            loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

            def handle(number: int, frame: FrameType | None) -> None:
                loop.call_soon_threadsafe(event.set)
                if callable(before):
                    before(number, frame)

            signal.signal(signal.SIGTERM, handle)
        return self.event


ENDING = Ending()


@router.get("/release")
async def release() -> dict[str, int]:
    return {"release": RELEASE}


@router.get("/events")
async def events(request: Request) -> StreamingResponse:
    last = int(request.headers.get("last-event-id") or time.time() / PERIOD)
    ending = ENDING.watch()

    async def body() -> AsyncIterator[str]:
        number = last + 1
        yield "retry: 500\n\n"
        while not ending.is_set():
            try:
                async with asyncio.timeout(max(0.0, number * PERIOD - time.time())):
                    await ending.wait()
            except TimeoutError:
                yield f"id: {number}\ndata: {json.dumps({'at': number * PERIOD})}\n\n"
                number += 1

    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(body(), media_type="text/event-stream", headers=headers)


@router.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        return


def add_to(app: Any) -> None:
    """Let an app have them."""
    app.include_router(router)
