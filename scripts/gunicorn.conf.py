"""Gunicorn's settings that have no variable; an app's own gunicorn.conf.py takes their place."""

import os
import signal
from functools import partial
from typing import Any

# A socket in the home directory, which a read-only root or an arbitrary user has none of.
control_socket_disable = True

# Imported once, before the port is open: no request waits for a worker that still imports, an app
# that can't start ends the server instead of its workers for ever, and workers share the memory.
# APP_PRELOAD=0 is for an app that opens connections or starts threads when it is imported.
preload_app = os.environ.get("APP_PRELOAD", "1") != "0"


# A worker has the master's handlers until it sets its own: a SIGTERM in between is queued for a
# master that it is not, and the server then waits for it as long as for a request. So the signal
# stays pending from just before the fork to where the worker can end by it.
_unblock = partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, {signal.SIGTERM})
os.register_at_fork(after_in_parent=_unblock)


def pre_fork(_server: Any, _worker: Any) -> None:
    """Hold SIGTERM back."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def post_fork(_server: Any, _worker: Any) -> None:
    """Let SIGTERM end a worker that has not begun."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _unblock()
