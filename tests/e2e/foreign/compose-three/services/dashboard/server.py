"""Shows what the store has."""

import http.server
import os
import urllib.request


class Show(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with urllib.request.urlopen(os.environ["STORE_URL"]) as answer:
            names = answer.read()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(names)


http.server.ThreadingHTTPServer(("", 9181), Show).serve_forever()
