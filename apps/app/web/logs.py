"""Logging: plain lines for people, one JSON object a line where the environment is live."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from web import request_id

SERVERS = ("werkzeug", "gunicorn.error", "gunicorn.access")


class JsonFormatter(logging.Formatter):
    """One JSON object for each record; of a request, with its id."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``record`` as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := _request_id(record):
            line["request_id"] = current
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _request_id(record: logging.LogRecord) -> str:
    if record.name == "gunicorn.access" and isinstance(record.args, Mapping):
        # Its request is over; `-` stands for none.
        said = str(record.args[f"{{{request_id.HEADER.lower()}}}i"])
        return said if request_id.FORM.fullmatch(said) and said != "-" else ""
    return request_id.current()


def configure(level: str, *, as_json: bool) -> None:
    """Log at ``level`` to stderr; ``as_json`` covers what the server itself logs as well."""
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    if as_json:
        for logger in map(logging.getLogger, (None, *SERVERS)):
            for handler in logger.handlers:
                handler.setFormatter(JsonFormatter())
