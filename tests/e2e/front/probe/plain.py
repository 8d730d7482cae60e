"""The probe on Flask."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, redirect, request, send_file, url_for

HERE = Path(__file__).parent
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]
PIECE = b"z" * 65536

app = Flask(__name__, static_folder=None)
app.json.sort_keys = False  # type: ignore[attr-defined]


@app.get("/health")
def health() -> str:
    return "ok"


@app.route("/echo", methods=METHODS)
@app.route("/echo/<path:rest>", methods=METHODS)
def echo(rest: str = "") -> dict[str, Any]:
    body = request.get_data()
    return {
        "method": request.method,
        "scheme": request.scheme,
        "client": request.remote_addr or "",
        "root": request.root_path,
        "path": request.environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
        "query": request.query_string.decode("latin-1"),
        "url": request.url,
        "address": url_for("items", _external=True),
        "headers": [[name.lower(), value] for name, value in request.headers],
        "body": [len(body), hashlib.sha256(body).hexdigest()],
    }


@app.get("/items")
def items() -> str:
    return "items"


@app.get("/folder/")
def folder() -> str:
    return "folder"


@app.get("/away")
def away() -> Any:
    return redirect(url_for("items", _external=True), 303)


@app.get("/away/relative")
def away_relative() -> Any:
    return redirect("items", 302)


@app.get("/cookies")
def cookies() -> Response:
    answer = Response("ok")
    size = int(request.args.get("size", "10"))
    path = request.root_path or "/"
    answer.set_cookie("session", "x" * size, secure=request.is_secure, httponly=True, path=path)
    answer.set_cookie("second", "y")
    return answer


@app.get("/page")
def page() -> Response:
    answer = Response("<p>page</p>\n" * 5000, mimetype="text/html")
    for line in request.args.get("say", "").split("|"):
        if line:
            name, value = line.split(":", 1)
            answer.headers[name] = value
    if encoding := request.args.get("encoding"):
        answer.headers["content-encoding"] = encoding
    return answer


@app.get("/file")
def file() -> Response:
    return send_file(HERE / "file.txt", mimetype="text/plain", conditional=True, etag="probe")


@app.get("/status/<int:number>")
def status(number: int) -> tuple[str, int]:
    return "" if number in (204, 205, 304) else f"{number} by the app", number


@app.get("/chunks")
def chunks() -> Response:
    def body() -> Iterator[bytes]:
        for number in range(5):
            yield f"piece {number}\n".encode()

    return Response(body(), mimetype="text/plain")


@app.route("/boom", methods=["GET", "POST"])
def boom() -> str:
    raise RuntimeError("probe boom")


@app.post("/upload")
def upload() -> dict[str, Any]:
    total, digest = 0, hashlib.sha256()
    with tempfile.TemporaryFile() as kept:
        while piece := request.stream.read(65536):
            total += kept.write(piece)
            digest.update(piece)
    return {"bytes": total, "sha256": digest.hexdigest()}


@app.post("/form")
def form() -> dict[str, int]:
    texts = {name: len(value) for name, value in request.form.items(multi=True)}
    return texts | {name: len(kept.read()) for name, kept in request.files.items(multi=True)}


@app.get("/download")
def download() -> Response:
    mib = int(request.args.get("mib", "200"))
    body = (PIECE for _ in range(mib * 16))
    return Response(body, headers={"content-length": str(mib * 2**20)})


@app.get("/slow")
def slow() -> str:
    name = request.args["name"]
    print(f"probe slow {name} {os.getpid()}", flush=True)
    time.sleep(float(request.args["seconds"]))
    return name


@app.get("/events")
def events() -> Response:
    seconds = float(request.args["seconds"])

    def body() -> Iterator[str]:
        yield "data: first\n\n"
        time.sleep(seconds)
        yield "data: last\n\n"

    return Response(body(), mimetype="text/event-stream")
