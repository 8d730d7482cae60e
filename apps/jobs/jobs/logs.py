"""Logging: plain lines for people, one JSON object a line where the environment is live."""

import json
import logging
from datetime import UTC, datetime

from jobs import request_id

CHATTY = ("amqp", "celery", "kombu", "redis", "asyncio")
"""Libraries whose debugging output buries everybody else's."""
SERVERS = ("uvicorn", "uvicorn.access", "gunicorn.error", "gunicorn.access")


class JsonFormatter(logging.Formatter):
    """One JSON object for each record; of a request and the job that it asked for, with its id."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``record`` as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.current.get():
            line["request_id"] = current
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, *, as_json: bool) -> None:
    """Log at ``level`` to stderr; ``as_json`` covers what the server itself logs as well."""
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLevelName(level)))
    if as_json:
        for logger in map(logging.getLogger, (None, *SERVERS)):
            for handler in logger.handlers:
                handler.setFormatter(JsonFormatter())
