"""The fixture applications, served."""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import free_port
from tests.support.processes import Running, eventually, running

FIXTURES = Path(__file__).parent / "fixtures"
GRACE = 6


def fetch(port: int, path: str = "/", seconds: float = 20) -> tuple[int, str]:
    """Return the status and body, (0, "") where there is no connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        with connection.getresponse() as answer:
            return answer.status, answer.read().decode().strip('"')
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


@contextmanager
def started(
    env: Mapping[str, str], app: Path, *arguments: str, **variables: str
) -> Iterator[tuple[Running, int]]:
    """Yield ``serve`` for the application in ``app``, and its port, at once."""
    port = free_port()
    settings = {
        "APP_INTERFACE": app.name,
        "APP_TARGET": "service:app",
        "APP_HOST": "127.0.0.1",
        "APP_PORT": str(port),
        "GRACEFUL_SECONDS": str(GRACE),
        "WEB_CONCURRENCY": "2",
    }
    command = ["entrypoint", "serve", *arguments]
    with running(command, env={**env, **settings, **variables}, cwd=app) as server:
        yield server, port


@contextmanager
def serving(
    env: Mapping[str, str], app: Path, *arguments: str, **variables: str
) -> Iterator[tuple[Running, int]]:
    """Yield ``serve`` for the application in ``app``, and its port, once that answers."""
    with started(env, app, *arguments, **variables) as (server, port):
        eventually(lambda: fetch(port)[0] == 200 or server.process.poll() is not None, "an answer")
        assert server.process.poll() is None, server.log
        yield server, port
