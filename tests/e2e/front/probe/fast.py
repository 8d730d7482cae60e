"""The probe on FastAPI: says what it was asked, and answers in every way that matters."""

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import FileResponse, RedirectResponse, Response, StreamingResponse

HERE = Path(__file__).parent
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]
PIECE = b"z" * 65536

router = APIRouter()


@router.get("/health")
async def health() -> str:
    return "ok"


@router.api_route("/echo", methods=METHODS)
@router.api_route("/echo/{rest:path}", methods=METHODS)
async def echo(request: Request) -> dict[str, Any]:
    body = await request.body()
    return {
        "method": request.method,
        "scheme": request.url.scheme,
        "client": request.client.host if request.client else "",
        "root": request.scope["root_path"],
        "path": request.scope["path"],
        "raw_path": request.scope["raw_path"].decode("latin-1"),
        "query": request.scope["query_string"].decode("latin-1"),
        "url": str(request.url),
        "address": str(request.url_for("items")),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")]
                    for name, value in request.headers.raw],
        "body": [len(body), hashlib.sha256(body).hexdigest()],
    }  # fmt: skip


@router.get("/items", name="items")
async def items() -> str:
    return "items"


@router.get("/folder/")
async def folder() -> str:
    return "folder"


@router.get("/away")
async def away(request: Request) -> Response:
    return RedirectResponse(str(request.url_for("items")), 303)


@router.get("/away/relative")
async def away_relative() -> Response:
    return RedirectResponse("items", 302)


@router.get("/cookies")
async def cookies(request: Request, size: int = 10) -> Response:
    secure = request.url.scheme == "https"
    answer = Response("ok")
    path = request.scope["root_path"] or "/"
    answer.set_cookie("session", "x" * size, secure=secure, httponly=True, path=path)
    answer.set_cookie("second", "y")
    return answer


@router.api_route("/page", methods=["GET", "HEAD"])
async def page(say: str = "", encoding: str = "") -> Response:
    headers = dict(line.split(":", 1) for line in say.split("|") if line)
    if encoding:
        headers["content-encoding"] = encoding
    return Response("<p>page</p>\n" * 5000, media_type="text/html", headers=headers)


@router.api_route("/file", methods=["GET", "HEAD"])
async def file() -> Response:
    return FileResponse(HERE / "file.txt", media_type="text/plain")


@router.get("/status/{number}")
async def status(number: int) -> Response:
    return Response("" if number in (204, 205, 304) else f"{number} by the app", number)


@router.get("/chunks")
async def chunks() -> Response:
    async def body() -> AsyncIterator[bytes]:
        for number in range(5):
            yield f"piece {number}\n".encode()
            await asyncio.sleep(0)

    return StreamingResponse(body(), media_type="text/plain")


@router.api_route("/boom", methods=["GET", "POST"])
async def boom() -> None:
    raise RuntimeError("probe boom")


@router.post("/upload")
async def upload(request: Request) -> dict[str, Any]:
    total, digest = 0, hashlib.sha256()
    with tempfile.TemporaryFile() as kept:
        async for piece in request.stream():
            total += kept.write(piece)
            digest.update(piece)
    return {"bytes": total, "sha256": digest.hexdigest()}


@router.post("/form")
async def form(request: Request) -> dict[str, Any]:
    async with request.form() as fields:
        sizes: dict[str, int] = {}
        for name, value in fields.multi_items():
            sizes[name] = len(value if isinstance(value, str) else await value.read())
        return sizes


@router.get("/download")
async def download(mib: int = 200) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(mib * 16):
            yield PIECE

    return StreamingResponse(body(), headers={"content-length": str(mib * 2**20)})


@router.get("/slow")
async def slow(seconds: float, name: str) -> str:
    print(f"probe slow {name}", flush=True)
    await asyncio.sleep(seconds)
    return name


@router.get("/block")
async def block(seconds: float, name: str) -> str:
    print(f"probe block {name} {os.getpid()}", flush=True)
    time.sleep(seconds)  # noqa: ASYNC251 # as a handler does that blocks
    return name


@router.get("/events")
async def events(seconds: float) -> Response:
    async def body() -> AsyncIterator[str]:
        yield "data: first\n\n"
        await asyncio.sleep(seconds)
        yield "data: last\n\n"

    return StreamingResponse(body(), media_type="text/event-stream")


@router.websocket("/socket")
async def socket(websocket: WebSocket, seconds: float = 0) -> None:
    await websocket.accept(subprotocol=next(iter(websocket.scope["subprotocols"]), None))
    url = str(websocket.url)
    client = websocket.client.host if websocket.client else ""
    await websocket.send_json({"url": url, "client": client, "root": websocket.scope["root_path"]})
    await asyncio.sleep(seconds)
    while (message := await websocket.receive())["type"] == "websocket.receive":
        if (text := message.get("text")) is not None:
            await websocket.send_text(text)
        else:
            await websocket.send_bytes(message["bytes"])


@router.websocket("/refused")
async def refused(websocket: WebSocket) -> None:
    raise HTTPException(403)


app = FastAPI(title="probe", openapi_url=None)
app.include_router(router)
# For whom the prefix is kept.
app.include_router(router, prefix="/api")
