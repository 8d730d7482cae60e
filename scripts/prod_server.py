"""Gunicorn, as the app has it or else ours: ``prod_server.py INTERFACE ARGUMENTS...``.

The arguments are gunicorn's own. What `serve` needs of servers is in SERVERS_PATH. That comes last,
so that each package which the app has itself is the one that runs. The app is served as one behind
a proxy.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

import behind
import leaving

SERVERS = os.environ.get("SERVERS_PATH") or "/opt/gangway/servers"
# Here are modules that nobody but us may find.
del sys.path[0], sys.modules["behind"], sys.modules["leaving"]
sys.path.append(SERVERS)


def _check(wanted: list[str]) -> None:
    for name in wanted:
        if not importlib.util.find_spec(name):
            print(
                f"serve: the app has no {name}, nor is it in {SERVERS}; build the image again, or "
                f"add {name.replace('_', '-')} to the app's lock file",
                file=sys.stderr,
            )
            sys.exit(2)


def _run(interface: str) -> None:
    proxies = behind.Proxies(os.environ.get("FORWARDED_ALLOW_IPS", ""))
    told = leaving.in_steps(importlib.import_module("gunicorn.arbiter").Arbiter)
    if interface == "asgi":
        worker = importlib.import_module("uvicorn_worker").UvicornWorker
        # Ours does what uvicorn would do of it, and more.
        worker.CONFIG_KWARGS = {**worker.CONFIG_KWARGS, "proxy_headers": False}
        leaving.by_loop(importlib.import_module("uvicorn").Server, told)
    else:
        leaving.by_threads(importlib.import_module("gunicorn.workers.gthread"), told)
    base: Any = importlib.import_module("gunicorn.app.wsgiapp").WSGIApplication

    class Application(base):  # type: ignore[misc]
        """The app, behind a proxy."""

        def load(self) -> object:
            app = super().load()
            if interface == "asgi":
                return behind.Asgi(app, proxies, told)
            return behind.wsgi(app, proxies, told)

    Application("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").run()


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    _check(["gunicorn", *(["uvicorn_worker"] if kind == "asgi" else [])])
    _run(kind)
