"""Gunicorn's settings that have no variable; an app's own gunicorn.conf.py takes their place."""

import os

# A socket in the home directory, which a read-only root or an arbitrary user has none of.
control_socket_disable = True

# Imported once, before the port is open: no request waits for a worker that still imports, an app
# that can't start ends the server instead of its workers for ever, and workers share the memory.
# APP_PRELOAD=0 is for an app that opens connections or starts threads when it is imported.
preload_app = os.environ.get("APP_PRELOAD", "1") != "0"
