"""The id of the request that is being answered: the proxy makes it, and every log names it."""

import re

import flask

HEADER = "X-Request-ID"
FORM = re.compile(r"[A-Za-z0-9._-]{1,128}")


def current() -> str:
    """Return it; empty where no request is answered, or nobody named it."""
    said = flask.request.headers.get(HEADER, "") if flask.has_request_context() else ""
    return said if FORM.fullmatch(said) else ""
