"""What Django answers: a page for people, and JSON as FastAPI has it."""

import json
import logging
from datetime import UTC, datetime
from socket import gethostname
from typing import Any

from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST
from redis.exceptions import RedisError

from hybrid.index import Index, IndexAway
from hybrid.lists import redis
from hybrid.models import Checkin, Habit

log = logging.getLogger(__name__)
index = Index(settings.QDRANT_URL)
ABOUT = {} if settings.SHARED.live else {"instance": gethostname()}
"""Nobody outside learns what the containers are called."""


class Refused(Exception):
    """What the client sent cannot be taken; the message says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@require_GET
def health(_: HttpRequest) -> JsonResponse:
    """Say that the process answers; no dependency is asked."""
    return JsonResponse({"status": "ok", **ABOUT})


@require_GET
def ready(_: HttpRequest) -> JsonResponse:
    """Say whether PostgreSQL, Redis and Qdrant answer, each by name."""
    found = {
        "postgres": _asked(lambda: connection.cursor().execute("SELECT 1")),
        "redis": _asked(lambda: redis().ping()),
        "qdrant": _asked(index.ping),
    }
    whole = set(found.values()) == {"ok"}
    body = {"status": "ok" if whole else "unavailable", **found}
    return JsonResponse(body, status=200 if whole else 503)


def page(request: HttpRequest) -> HttpResponse:
    """Show the habits, those that are like ``?text=``, and take a new one."""
    refused = ""
    if request.method == "POST":
        try:
            _add(request.POST.get("name", ""))
        except Refused as error:
            refused = str(error)
        else:
            return redirect("page")
    text = request.GET.get("text", "").strip()
    found: list[Any] = []
    if text:
        try:
            found = index.similar(_names(), text)
        except IndexAway as error:
            log.warning("no search: %s", error)
            refused = "The search is away. Try again in a moment."
    context = {"habits": Habit.objects.all(), "found": found, "text": text, "refused": refused}
    return render(request, "hybrid/habits.html", context, status=400 if refused else 200)


@method_decorator(csrf_exempt, name="dispatch")
class Habits(View):
    """All habits."""

    def get(self, _: HttpRequest) -> JsonResponse:
        """List them by name."""
        return JsonResponse([_shown(habit) for habit in Habit.objects.all()], safe=False)

    def post(self, request: HttpRequest) -> JsonResponse:
        """Add one."""
        try:
            habit = _add(_body(request).get("name"))
        except Refused as error:
            return JsonResponse({"detail": str(error)}, status=error.status)
        return JsonResponse(_shown(habit), status=201)


@method_decorator(csrf_exempt, name="dispatch")
class OneHabit(View):
    """One habit."""

    def get(self, _: HttpRequest, habit_id: int) -> JsonResponse:
        """Show it."""
        return JsonResponse(_shown(_habit(habit_id)))

    def delete(self, _: HttpRequest, habit_id: int) -> HttpResponse:
        """Delete it, with its check-ins."""
        # The database's own cascade takes the check-ins, whoever wrote them.
        _habit(habit_id).delete()
        return HttpResponse(status=204)


@csrf_exempt
@require_POST
def check_in(_: HttpRequest, habit_id: int) -> JsonResponse:
    """Check in for today; once more changes nothing."""
    habit = _habit(habit_id)
    today = datetime.now(UTC).date()
    try:
        Checkin.objects.get_or_create(habit=habit, day=today)
    except IntegrityError:
        # It was deleted meanwhile.
        raise Http404 from None
    return JsonResponse({"habit_id": habit_id, "day": today.isoformat()}, status=201)


@require_GET
def similar(request: HttpRequest) -> JsonResponse:
    """List the habits whose names are like ``text``."""
    text = request.GET.get("text", "")
    if not 0 < len(text) <= 100:
        return JsonResponse({"detail": "text has from 1 to 100 characters"}, status=422)
    try:
        found = index.similar(_names(), text)
    except IndexAway as error:
        log.warning("no search: %s", error)
        return JsonResponse({"detail": "the search is away"}, status=503)
    return JsonResponse([vars(match) for match in found], safe=False)


def _names() -> dict[int, str]:
    return dict(Habit.objects.values_list("id", "name"))


def _habit(habit_id: int) -> Habit:
    try:
        return Habit.objects.get(pk=habit_id)
    except (Habit.DoesNotExist, OverflowError):
        raise Http404 from None


def _shown(habit: Habit) -> dict[str, Any]:
    return {"id": habit.pk, "name": habit.name, "created_at": habit.created_at}


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise Refused(422, "the body is no object")
    return found


def _add(name: object) -> Habit:
    """Add a habit under the same rules as FastAPI does; raises Refused."""
    text = name.strip() if isinstance(name, str) else ""
    if not 0 < len(text) <= 100 or any(ord(x) < 32 or 0xD800 <= ord(x) < 0xE000 for x in text):
        raise Refused(422, "a name is one line of 1 to 100 characters")
    try:
        with transaction.atomic():
            habit = Habit.objects.create(name=text)
    except IntegrityError:
        raise Refused(409, f"there is a habit {text!r} already") from None
    return habit


def _asked(question: Any) -> str:
    try:
        question()
    except (DatabaseError, RedisError, OSError, IndexAway) as error:
        log.warning("not ready: %r", error)
        return type(error).__name__
    return "ok"
