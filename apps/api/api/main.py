"""The application: ``uvicorn api.main:app``."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from socket import gethostname
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import docs, habits, logs
from api.cache import Cache
from api.models import connect
from api.request_id import RequestId
from api.settings import Settings, load

INSTANCE = gethostname()
READY_SECONDS = 2.0

log = logging.getLogger(__name__)
probes = APIRouter()
test_aids = APIRouter()


@probes.get("/health")
async def health(request: Request) -> dict[str, str]:
    """Say that the process answers; no dependency is asked."""
    return {"status": "ok", **request.app.state.about}


@probes.get("/ready", responses={503: {"description": "PostgreSQL or Redis is away"}})
async def ready(request: Request) -> JSONResponse:
    """Say whether PostgreSQL and Redis answer, each by name."""
    state = request.app.state
    postgres, redis = await asyncio.gather(
        _ask(_select_1(state.sessions)), _ask(state.cache.ping())
    )
    whole = postgres == redis == "ok"
    return JSONResponse(
        {"status": "ok" if whole else "unavailable", "postgres": postgres, "redis": redis},
        status_code=200 if whole else 503,
    )


@test_aids.get("/slow")
async def slow(seconds: Annotated[float, Query(ge=0, le=60)] = 1.0) -> dict[str, float]:
    """Answer late, so that a test can stop the server in the middle of a request."""
    await asyncio.sleep(seconds)
    return {"slept": seconds}


class InstanceHeader:
    """Say in every response which instance made it: not where users are served."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the header to what ``app`` sends."""

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-instance", INSTANCE.encode())]
            await send(message)

        await self.app(scope, receive, send_with_header)


async def database_failed(request: Request, error: Exception) -> JSONResponse:
    """A database that is away, full or starting is a 503 that heals; the rest are bugs of ours."""
    if isinstance(error, DataError | IntegrityError | ProgrammingError):
        raise error
    log.error("the database is away: %s", error)
    return JSONResponse({"detail": "the database is away"}, 503, {"Retry-After": "1"})


async def refused(request: Request, error: RequestValidationError) -> Response:
    """What is wrong with a request, without what was sent: that may not even be text."""
    findings = [{key: found[key] for key in ("type", "loc", "msg")} for found in error.errors()]
    # In ASCII, as a name in the request may have half a character in it.
    return Response(json.dumps({"detail": findings}), 422, media_type="application/json")


async def failed(request: Request, error: Exception) -> JSONResponse:
    """A bug; this answer is made outside the middleware, so it names its instance itself."""
    named = {"X-Instance": INSTANCE} if request.app.state.about else {}
    return JSONResponse({"detail": "internal error"}, 500, named)


def create_app(settings: Settings) -> FastAPI:
    """Return the application; it connects to nothing before it is started."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Connections belong to one worker: a server may import this module before it forks.
        logs.configure(settings.log_level, as_json=settings.json_logs)
        engine = connect(settings)
        app.state.sessions = async_sessionmaker(engine)
        cache = app.state.cache = Cache(settings)
        yield
        await cache.close()
        await engine.dispose()

    app = FastAPI(
        title="Gangway habits",
        version="1.0.0",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
    )
    if settings.docs:
        docs.add(app)
    # Nobody outside learns what the containers are called.
    app.state.about = {} if settings.live else {"instance": INSTANCE}
    if not settings.live:
        app.add_middleware(InstanceHeader)
    app.add_middleware(RequestId)
    app.include_router(probes)
    app.include_router(habits.router)
    if not settings.live:
        app.include_router(test_aids)
    for lost in (OSError, DBAPIError):
        app.add_exception_handler(lost, database_failed)
    app.add_exception_handler(RequestValidationError, refused)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, failed)
    return app


async def _select_1(sessions: async_sessionmaker[AsyncSession]) -> None:
    async with sessions() as session:
        await session.execute(text("SELECT 1"))


async def _ask(question: Awaitable[object]) -> str:
    """Return "ok", or the kind of error that ``question`` met: its text may name hosts."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await question
    except Exception as error:  # noqa: BLE001 (whatever it is, it is not ready)
        log.warning("not ready: %r", error)
        return type(error).__name__
    return "ok"


app = create_app(load())
