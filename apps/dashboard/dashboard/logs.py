"""Logging: plain lines for people, or one JSON object a line for machines.

Gunicorn's own messages and its access log, which goes through `logging` as well, are covered.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import flask

SERVERS = ("gunicorn.error", "gunicorn.access")
REQUEST_ID = "X-Request-ID"
"""The header in which the proxy names each request."""
FORM = re.compile(r"[A-Za-z0-9._-]{1,128}")


class JsonFormatter(logging.Formatter):
    """One JSON object for each record: time, level, logger, message, and of a request its fields.

    A request's fields are `method`, `path`, `client`, `request_id` if it has one, and in the access
    log also `status`, `bytes` and `milliseconds`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return `record` as one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _request(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _request(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of the request that is being answered, or was; nothing without one."""
    if record.name == "gunicorn.access" and isinstance(record.args, Mapping):
        # Gunicorn's names: https://docs.gunicorn.org/en/stable/settings.html#access-log-format
        atoms = record.args
        return {
            "method": atoms["m"],
            "path": atoms["U"],
            "client": _shown(atoms["{x-forwarded-for}i"]) or atoms["h"],
            **_request_id(_shown(atoms[f"{{{REQUEST_ID.lower()}}}i"])),
            "status": int(str(atoms["s"])),
            "bytes": int(str(atoms["B"] or 0)),
            "milliseconds": int(str(atoms["M"])),
            "agent": _shown(atoms["a"]),
        }
    if flask.has_request_context():
        request = flask.request
        return {
            "method": request.method,
            "path": request.path,
            "client": request.remote_addr,
            **_request_id(request.headers.get(REQUEST_ID)),
        }
    return {}


def _request_id(said: str | None) -> dict[str, str]:
    return {"request_id": said} if said and FORM.fullmatch(said) else {}


def _shown(atom: object) -> str | None:
    # Gunicorn escapes quotes for a log of text.
    return None if atom in (None, "", "-") else str(atom).replace('\\"', '"')


def configure(level: str, form: str) -> None:
    """Log at `level` (`INFO`) to stderr as `form` (`json` or `text`) says, the server's too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Their messages about each attempt would repeat what we say once.
    for library in ("psycopg.pool", "redis"):
        logging.getLogger(library).setLevel(logging.ERROR)
    if form == "json":
        for logger in (root, *map(logging.getLogger, SERVERS)):
            for found in logger.handlers:
                found.setFormatter(JsonFormatter())
