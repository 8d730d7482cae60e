"""The probe on Django, in one file."""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.middleware.csrf import get_token
from django.urls import path, re_path, reverse
from django.views.decorators.csrf import csrf_exempt

HERE = Path(__file__).parent
PIECE = b"z" * 65536

settings.configure(
    ALLOWED_HOSTS=["*"],
    # With a worker's threads, each upload above this is a file.
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    DEFAULT_CHARSET="utf-8",
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="probe",
    USE_TZ=True,
)


def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def echo(request: HttpRequest, rest: str = "") -> HttpResponse:
    body = request.body
    seen = {
        "method": request.method,
        "scheme": request.scheme,
        "client": request.META["REMOTE_ADDR"],
        "root": request.META["SCRIPT_NAME"],
        "path": request.path_info,
        "query": request.META["QUERY_STRING"],
        "url": request.build_absolute_uri(),
        "address": request.build_absolute_uri(reverse("items")),
        "headers": [[name.lower(), value] for name, value in request.headers.items()],
        "body": [len(body), hashlib.sha256(body).hexdigest()],
    }
    return JsonResponse(seen)


def items(request: HttpRequest) -> HttpResponse:
    return HttpResponse("items")


def folder(request: HttpRequest) -> HttpResponse:
    return HttpResponse("folder")


def away(request: HttpRequest) -> HttpResponse:
    answer = HttpResponseRedirect(request.build_absolute_uri(reverse("items")))
    answer.status_code = 303
    return answer


def away_relative(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("items")


def cookies(request: HttpRequest) -> HttpResponse:
    answer = HttpResponse("ok")
    size = int(request.GET.get("size", "10"))
    where = request.META["SCRIPT_NAME"] or "/"
    answer.set_cookie("session", "x" * size, secure=request.is_secure(), httponly=True, path=where)
    answer.set_cookie("second", "y")
    return answer


def page(request: HttpRequest) -> HttpResponse:
    answer = HttpResponse("<p>page</p>\n" * 5000, content_type="text/html")
    for line in request.GET.get("say", "").split("|"):
        if line:
            name, value = line.split(":", 1)
            answer[name] = value
    if encoding := request.GET.get("encoding"):
        answer["content-encoding"] = encoding
    return answer


def file(request: HttpRequest) -> HttpResponse:
    return FileResponse((HERE / "file.txt").open("rb"), content_type="text/plain")


def status(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse("" if number in (204, 205, 304) else f"{number} by the app", status=number)


def chunks(request: HttpRequest) -> HttpResponse:
    body = (f"piece {number}\n".encode() for number in range(5))
    return StreamingHttpResponse(body, content_type="text/plain")


def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("probe boom")


def upload(request: HttpRequest) -> HttpResponse:
    total, digest = 0, hashlib.sha256()
    with tempfile.TemporaryFile() as kept:
        while piece := request.read(65536):
            total += kept.write(piece)
            digest.update(piece)
    return JsonResponse({"bytes": total, "sha256": digest.hexdigest()})


def form(request: HttpRequest) -> HttpResponse:
    sizes: dict[str, Any] = {name: len(value) for name, value in request.POST.items()}
    return JsonResponse(sizes | {name: len(kept.read()) for name, kept in request.FILES.items()})


def guarded(request: HttpRequest) -> HttpResponse:
    """A form that Django guards: it compares the Origin with what it takes for its own."""
    return HttpResponse("taken" if request.method == "POST" else get_token(request))


def download(request: HttpRequest) -> HttpResponse:
    mib = int(request.GET.get("mib", "200"))
    answer = StreamingHttpResponse(PIECE for _ in range(mib * 16))
    answer["content-length"] = str(mib * 2**20)
    return answer


def slow(request: HttpRequest) -> HttpResponse:
    name = request.GET["name"]
    print(f"probe slow {name}", flush=True)
    time.sleep(float(request.GET["seconds"]))
    return HttpResponse(name)


def events(request: HttpRequest) -> HttpResponse:
    seconds = float(request.GET["seconds"])

    def body() -> Iterator[str]:
        yield "data: first\n\n"
        time.sleep(seconds)
        yield "data: last\n\n"

    return StreamingHttpResponse(body(), content_type="text/event-stream")


urlpatterns = [
    path("health", health),
    path("echo", csrf_exempt(echo)),
    re_path(r"^echo/(?P<rest>.*)$", csrf_exempt(echo)),
    path("items", items, name="items"),
    path("folder/", folder),
    path("away", away),
    path("away/relative", away_relative),
    path("cookies", cookies),
    path("page", page),
    path("file", file),
    path("status/<int:number>", status),
    path("chunks", chunks),
    path("boom", csrf_exempt(boom)),
    path("upload", csrf_exempt(upload)),
    path("form", csrf_exempt(form)),
    path("guarded", guarded),
    path("download", download),
    path("slow", slow),
    path("events", events),
]

app = get_wsgi_application()
