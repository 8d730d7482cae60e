"""What holds for every request of Django's, as it does for FastAPI's."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from api.request_id import FORM, HEADER, current

Answer = Callable[[HttpRequest], HttpResponse]


def request_id(answer: Answer) -> Answer:
    """Know each request's id while it is answered, for the log."""

    def named(request: HttpRequest) -> HttpResponse:
        said = request.headers.get(HEADER, "")
        current.set(said if FORM.fullmatch(said) else "")
        return answer(request)

    return named


def secure_cookies(answer: Answer) -> Answer:
    """Send cookies for HTTPS alone, whenever the page came over HTTPS."""

    def secured(request: HttpRequest) -> HttpResponse:
        response = answer(request)
        if request.is_secure():
            for cookie in response.cookies.values():
                cookie["secure"] = True
        return response

    return secured
