"""The proxy with slots, and replicas beside it: servers in containers, known by their aliases."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.front import nginx
from tests.e2e.front.nginx import IMAGE, Front
from tests.e2e.support import Result, docker

#: What a replica answers: who it is, and at /stream the same for some seconds.
SERVER = """
error_log /dev/stderr error;
pid /tmp/pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path /tmp/body;
    keepalive_timeout 75s;
    keepalive_requests 1000000;
    server {{
        listen 8000;
        location / {{
            default_type application/json;
            set $prefix $http_x_forwarded_prefix;
            return 200 '{{"from": "{name}", "host": "$http_host", "prefix": "$prefix"}}';
        }}
        location /stream {{ limit_rate 100; return 200 "{long}"; }}
        location /broken {{ return 502 "broken\\n"; }}
    }}
}}
"""


class Place:
    """A network of the engine's with replicas and proxies on it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Make the network."""
        self.name = f"gangway-e2e-front-{uuid.uuid4().hex[:8]}"
        self._folder, self._stack = folder, stack
        done = docker("network", "create", self.name)
        assert done.status == 0, done.text
        stack.callback(docker, "network", "rm", self.name)

    def replica(self, name: str, *aliases: str) -> str:
        """Start a server that answers with its name; return its container."""
        file = self._folder / f"{name}.conf"
        file.write_text(SERVER.format(name=name, long=f"{name} goes on\n" * 20), encoding="utf-8")
        container = f"{self.name}-{name}"
        words = [word for alias in aliases for word in ("--network-alias", alias)]
        done = docker(
            "run", "--detach", "--rm", "--name", container, "--network", self.name, *words,
            "--volume", f"{file}:/server.conf:ro", "--entrypoint", "nginx", IMAGE,
            "-c", "/server.conf", "-g", "daemon off;",
        )  # fmt: skip
        assert done.status == 0, done.text
        self._stack.callback(docker, "rm", "--force", container)
        return container

    @contextmanager
    def front(self, *words: str, **options: str) -> Iterator[Front]:
        """Run the proxy with slots, before the services api and app."""
        places = {"PROXY_API": "api:8000", "PROXY_ROOT": "app:8000", "PROXY_SLOTS": "on"}
        with nginx.started(places, "--network", self.name, *words, **options) as front:
            yield front


def told(front: Front, *words: str) -> Result:
    """Run `front` in the proxy's container."""
    return docker("exec", front.container, "front", *words)


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """Make a network, and take it down with all that is on it."""
    folder.chmod(0o755)
    for parent in folder.parents[:2]:
        parent.chmod(0o755)
    with ExitStack() as stack:
        yield Place(folder, stack)
