"""The id of the request that is being answered: the proxy makes it, and every log names it.

It goes with a job to the worker, whose log names the request that asked for it.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar

HEADER = "X-Request-ID"
FORM = re.compile(r"[A-Za-z0-9._-]{1,128}")

current: ContextVar[str] = ContextVar("request_id", default="")
"""Empty where nothing is answered or done, or nobody named it."""


def take(headers: Mapping[str, object]) -> None:
    """Take over what a request's or a message's headers say; whatever else it is, it is no id."""
    said = headers.get(HEADER)
    current.set(said if isinstance(said, str) and FORM.fullmatch(said) else "")
