"""The requests that must be answered everywhere as the bare app answers them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.e2e.front.exchange import Headers, Request

ASGI = "fast"
WSGI = ("plain", "classic")
ALL = (ASGI, *WSGI)
#: What CLIENT_MAX_HEADER and CLIENT_MAX_BODY are unless somebody sets them.
MAX_HEADER = 16 * 2**10
MAX_BODY = 10 * 2**20
BROWSER = ("Accept-Encoding", "gzip, deflate, br, zstd")
JSON = ("Content-Type", "application/json")
SPOOFED = "what a client says of proxies is nobody's word"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
MULTIPART = ("Content-Type", "multipart/form-data; boundary=edge")


@dataclass(frozen=True)
class Row:
    """A request, which apps get it, and the status that a server itself must give it.

    A row with a status isn't compared with the bare app, whose server has other limits and other
    words; one with `like` is answered as the bare app answers that.
    """

    name: str
    request: Request
    apps: tuple[str, ...] = ALL
    status: int = 0
    like: Request | None = None

    def under(self, prefix: str) -> Request:
        """Return the request for the app below a prefix."""
        return replace(self.request, target=prefix + self.request.target)

    def reference(self, prefix: str) -> Request:
        """Return the request for the bare app."""
        asked = self.like or self.request
        return replace(asked, target=prefix + asked.target)


def row(
    name: str,
    target: str,
    method: str = "GET",
    headers: Headers = (),
    body: bytes = b"",
    *,
    apps: tuple[str, ...] = ALL,
    status: int = 0,
    chunked: bool = False,
    host: str | None = "shop.example",
    version: str = "HTTP/1.1",
) -> Row:
    """Return a row of the table."""
    request = Request(target, method, headers, body, chunked, host, version)
    return Row(name, request, apps, status)


def utf8(text: str) -> str:
    """Return text whose bytes on the wire are those of its UTF-8."""
    return text.encode().decode("latin-1")


def multipart(name: str, size: int) -> bytes:
    """Return the body of a form with one file."""
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="a.bin"\r\n\r\n'
    return head.encode() + b"u" * size + b"\r\n--edge--\r\n"


ROWS = [
    # Addresses, as the app sees them.
    row("plain", "/echo/a"),
    row("the app's own root is a 404", "/nowhere"),
    row("host with a port", "/echo/a", host="shop.example:8443"),
    row("host in capitals", "/echo/a", host="Shop.Example"),
    row("host is an address of IPv6", "/echo/a", host="[::1]:8080"),
    row("slash at the end", "/echo/a/"),
    row("two slashes", "/echo//a"),
    row("dots in the path", "/echo/a/../b"),
    row("a dot in the path", "/echo/a/./b"),
    row("slash as %2F", "/echo/a%2Fb"),
    row("percent as %25", "/echo/a%252Fb"),
    row("blank as %20", "/echo/a%20b"),
    row("plus in the path", "/echo/a+b"),
    row("question mark as %3F", "/echo/a%3Fb"),
    row("semicolon", "/echo/a;v=1"),
    row("other marks", "/echo/a:b@c,d=e&f!g~h*i('j')"),
    row("UTF-8, escaped", "/echo/caf%C3%A9"),
    row("UTF-8, as it is", utf8("/echo/café"), status=400),
    row("a name with a dot in front", "/echo/.well-known/acme"),
    row("a name that looks like a script", "/echo/index.php"),
    row("a name that looks like a style", "/echo/site.css"),
    row("a name that looks like a stream", "/echo/7/stream/"),
    row("long path", "/echo/" + "p" * 5000),
    # Queries.
    row("query", "/echo?a=1&a=2&b="),
    row("empty query", "/echo?"),
    row("query of odd characters", "/echo?q=a%20b+c%26d&url=https://x.example/?y=[1]"),
    row("query in UTF-8", utf8("/echo?q=ü"), status=400),
    row("long query", "/echo?q=" + "q" * 8000),
    row("query near the limit", "/echo?q=" + "q" * (MAX_HEADER - 200)),
    row("query over the limit", "/echo?q=" + "q" * (MAX_HEADER + 2000), status=414),
    # Headers.
    row("header twice", "/echo", headers=(("X-Two", "1"), ("X-Two", "2"))),
    row("empty header", "/echo", headers=(("X-Empty", ""),)),
    row("header in UTF-8", "/echo", headers=(("X-Name", utf8("Zoë")),)),
    row("authorization", "/echo", headers=(("Authorization", "Bearer a.b-c_d="),)),
    row("origin and referer", "/echo", headers=(("Origin", "null"), ("Referer", "https://x/?y"))),
    row("large cookie", "/echo", headers=(("Cookie", "a=" + "c" * 9000),)),
    row("cookie near the limit", "/echo", headers=(("Cookie", "a=" + "c" * (MAX_HEADER - 200)),)),
    row(
        "cookie over the limit",
        "/echo",
        headers=(("Cookie", "a=" + "c" * (MAX_HEADER + 2000)),),
        status=431,
    ),
    row("fifty headers", "/echo", headers=tuple((f"X-H{n}", "v" * 100) for n in range(50))),
    row(
        SPOOFED,
        "/echo",
        headers=(
            ("X-Forwarded-For", "203.0.113.7"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Prefix", "/evil"),
        ),
    ),
    row("HTTP/1.0", "/echo", version="HTTP/1.0"),
    # Methods and bodies.
    row("HEAD", "/page", "HEAD"),
    row("HEAD of a file", "/file", "HEAD"),
    row("OPTIONS", "/echo", "OPTIONS"),
    row("DELETE", "/echo/1", "DELETE"),
    row("DELETE with a body", "/echo/1", "DELETE", body=b"why"),
    row("a method of WebDAV", "/echo", "PROPFIND", body=b"<x/>"),
    row("a method that the path has not", "/items", "PUT", body=b"x"),
    row("GET with a body", "/echo", body=b"asked"),
    row("POST without a body", "/echo", "POST"),
    row(
        "POST of JSON",
        "/echo",
        "POST",
        (("Content-Type", "application/json"),),
        b'{"a": "\xc3\xa9"}',
    ),
    row("POST of a form", "/form", "POST", (FORM,), b"a=1&b=%C3%A9"),
    row("POST of a file", "/form", "POST", (MULTIPART,), multipart("file", 300_000)),
    row("PUT of binary", "/echo", "PUT", body=bytes(range(256)) * 40),
    row("PATCH", "/echo", "PATCH", body=b"{}"),
    row("chunked body of nothing", "/echo", "POST", chunked=True),
    row("a client that waits for 100", "/echo", "POST", (("Expect", "100-continue"),), b"sent"),
    row("upload of 9 MB", "/upload", "POST", body=b"u" * 9 * 2**20),
    row("upload over the limit", "/upload", "POST", body=b"u" * (MAX_BODY + 1000), status=413),
    row(
        "chunked upload over the limit",
        "/upload",
        "POST",
        body=b"u" * (MAX_BODY + 1000),
        chunked=True,
        status=413,
    ),
    # Answers.
    row("redirect of the framework", "/folder"),
    row("redirect with a host of the framework", "/folder?a=1", host="shop.example:8443"),
    row("redirect to a whole address", "/away"),
    row("redirect to a relative address", "/away/relative"),
    row("two cookies", "/cookies"),
    row("large answer headers", "/cookies?size=12000"),
    row("page", "/page"),
    row("page for a browser", "/page", headers=(BROWSER,)),
    row(
        "page that is compressed already", "/page?encoding=br", headers=(("Accept-Encoding", "br"),)
    ),
    row("page with headers of its own", "/page?say=Cache-Control:no-store|X-Frame-Options:DENY"),
    row("page that says CSP", "/page?say=Content-Security-Policy:default-src%20'self'"),
    row("file", "/file"),
    row("range of a file", "/file", headers=(("Range", "bytes=10-19"),)),
    row("end of a file", "/file", headers=(("Range", "bytes=-10"),)),
    row("range that no file has", "/file", headers=(("Range", "bytes=900000-"),)),
    row(
        "range for a browser",
        "/file",
        headers=(("Range", "bytes=0-9"), BROWSER),
    ),
    row("what is known already", "/file", headers=(("If-None-Match", '"other", *'),)),
    row("204", "/status/204"),
    row("304", "/status/304"),
    row("404 of the app", "/status/404"),
    row("413 of the app", "/status/413"),
    row("418", "/status/418"),
    row("429 of the app", "/status/429"),
    row("502 of the app", "/status/502"),
    row("503 of the app", "/status/503"),
    row("504 of the app", "/status/504"),
    row("answer in pieces", "/chunks"),
    row("exception", "/boom"),
    # Django behind a bare server takes a body without a length for none.
    Row(
        "chunked body",
        Request("/echo", "POST", body=b"chunk" * 1000, chunked=True),
        like=Request("/echo", "POST", body=b"chunk" * 1000),
    ),
]
