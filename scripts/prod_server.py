"""Gunicorn, as the app has it or else ours: ``prod_server.py ARGUMENTS...``, which are its own.

What `serve` needs of servers is in SERVERS_PATH. That comes last, so that each package which the
app has itself is the one that runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

SERVERS = os.environ.get("SERVERS_PATH") or "/opt/gangway/servers"
# Here are modules that nobody but us may find.
del sys.path[0]
sys.path.append(SERVERS)

if __name__ == "__main__":
    wanted = [
        "gunicorn",
        *(["uvicorn_worker"] if "uvicorn_worker.UvicornWorker" in sys.argv else []),
    ]
    for name in wanted:
        if not importlib.util.find_spec(name):
            print(
                f"serve: the app has no {name}, nor is it in {SERVERS}; build the image again, or "
                f"add {name.replace('_', '-')} to the app's lock file",
                file=sys.stderr,
            )
            sys.exit(2)
    importlib.import_module("gunicorn.app.wsgiapp").run(prog="gunicorn")
