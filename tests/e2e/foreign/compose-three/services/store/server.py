"""Keeps what is PUT, gives it at GET, lists all at GET /. In /data."""

import http.server
import json
import pathlib

DATA = pathlib.Path("/data")


class Store(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = pathlib.Path(self.path).name
        if not name:
            return self.answer(200, json.dumps(sorted(p.name for p in DATA.iterdir())).encode())
        file = DATA / name
        self.answer(200, file.read_bytes()) if file.exists() else self.answer(404)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        (DATA / pathlib.Path(self.path).name).write_bytes(body)
        self.answer(201)

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("", 9000), Store).serve_forever()
