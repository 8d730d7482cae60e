"""Takes every mail (SMTP, 1025) and shows them as text (HTTP, 8025)."""

import http.server
import socketserver
import threading

mails = []


class Catch(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 mail")
        while line := self.rfile.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"DATA":
                self.say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                mails.append(b"".join(lines).decode(errors="replace"))
            if word == b"QUIT":
                return self.say("221 bye")
            self.say("250 ok")

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())


class Show(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write("\n----\n".join(mails).encode())


socketserver.ThreadingTCPServer.allow_reuse_address = True
catch = socketserver.ThreadingTCPServer(("", 1025), Catch)
threading.Thread(target=catch.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("", 8025), Show).serve_forever()
