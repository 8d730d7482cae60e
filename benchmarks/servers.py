"""Which server serves an app best: candidates in containers as production has them, in turn."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bench import ROOT, Checkout, Failed, until

PROJECT = "gangway-bench-servers"
CONNECTIONS, SECONDS, WARM = 16, 2.5, 0.5
HABITS = 20
# The one that is no part of the images.
GRANIAN = "granian==2.8.9"
ADDED = "/opt/candidates"

# As production's image ran it before: no uvloop, no httptools, each request in the log.
BEFORE = (
    "python -m gunicorn {target} --access-logfile - --log-level info --graceful-timeout 8"
    " --worker-tmp-dir /dev/shm --config /opt/gangway/bin/gunicorn.conf.py --bind 0.0.0.0:{port}"
    " --forwarded-allow-ips *"
)
OURS = {"PYTHONPATH": "/opt/gangway/servers"}


@dataclass(frozen=True)
class Candidate:
    """A server: its words for the table, its command line, the variables beside the service's."""

    name: str
    command: str
    variables: Mapping[str, str] = field(default_factory=dict)


def _workers(number: int, **variables: str) -> dict[str, str]:
    return {"WEB_CONCURRENCY": str(number), **variables}


ASGI = (
    Candidate("gunicorn, uvicorn's worker, h11, asyncio, access log (before)",
              f"{BEFORE} -k uvicorn_worker.UvicornWorker", _workers(2)),
    Candidate("the same without the access log",
              f"{BEFORE} -k uvicorn_worker.UvicornWorker".replace("--access-logfile - ", ""),
              _workers(2)),
    Candidate("`serve`: gunicorn, uvicorn's worker, uvloop, httptools", "serve", _workers(2)),
    Candidate("`serve` with the access log", "serve", _workers(2, ACCESS_LOG="1")),
    Candidate("`serve`, one worker", "serve", _workers(1)),
    Candidate("`serve`, four workers", "serve", _workers(4)),
    Candidate("gunicorn's own ASGI worker, uvloop",
              f"{BEFORE} -k asgi --asgi-loop uvloop".replace("--access-logfile - ", ""),
              {**_workers(2), **OURS}),
    Candidate("uvicorn alone, uvloop, httptools",
              "python -m uvicorn {target} --host 0.0.0.0 --port {port} --no-access-log"
              " --forwarded-allow-ips * --workers 2", OURS),
    Candidate("granian",
              "python -m granian --interface asgi --host 0.0.0.0 --port {port}"
              " --workers 2 {target}",
              {"PYTHONPATH": ADDED}),
)  # fmt: skip
WSGI = (
    Candidate("gunicorn, 4 threads, access log (before)", f"{BEFORE} --threads 4", _workers(2)),
    Candidate("`serve`: gunicorn, 4 threads", "serve", _workers(2)),
    Candidate("`serve`: gunicorn, one worker of 4 threads", "serve", _workers(1)),
    Candidate("granian, 4 threads",
              "python -m granian --interface wsgi --host 0.0.0.0 --port {port} --workers 2"
              " --blocking-threads 4 {target}", {"PYTHONPATH": ADDED}),
)  # fmt: skip


@dataclass(frozen=True)
class Load:
    """What came of the rounds with one server and path: requests a second, and milliseconds."""

    rates: tuple[float, ...]
    medians: tuple[float, ...]
    p99s: tuple[float, ...]
    worst: float
    failed: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return statistics.median(self.rates)

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return statistics.median(self.p99s)

    def __str__(self) -> str:
        """Rate, median, p99 and worst."""
        median = statistics.median(self.medians)
        lost = f", {self.failed} failed" if self.failed else ""
        return f"{self.rate:.0f}/s; {median:.1f}, {self.p99:.1f}, {self.worst:.0f} ms{lost}"


class Servers:
    """Production's stack, and each candidate beside it in its turn."""

    def __init__(self, checkout: Checkout, rounds: int) -> None:
        """`rounds` is how often each has its turn."""
        # A project of its own: the stack must not be in the way of one that runs.
        self._checkout = Checkout.copied(checkout.path / ".gangway" / "servers")
        settings = self._checkout.path / "env" / "prod.env"
        text = settings.read_text().replace("NAME=gangway-prod", f"NAME={PROJECT}")
        settings.write_text(f"{text}\nAPI_REPLICAS=1\nWEB_CONCURRENCY=2\n")
        self._rounds = rounds
        self._added = checkout.path / ".gangway" / "candidates"
        self._compose: list[str] = []
        self._got: dict[tuple[str, str], list[dict[str, float]]] = {}

    def measure(self) -> None:
        """Measure all of them."""
        try:
            self._checkout.invoke("prod.init")
            self._checkout.invoke("prod.up", "--ports", "auto")
            self._image = self._run("ps", "--format", "{{.Image}}", "api").split()[0]
            self._add_granian()
            self._habits()
            paths = (("/health", "GET"), ("/habits", "GET"), ("/habits", "POST"))
            whole = {"api, direct": "api:8000", "api, through nginx": "nginx:8080/api"}
            for number in range(self._rounds):
                print(f"     round {number + 1}", flush=True)
                for one in ASGI:
                    with self._candidate("api", "api.main:app", 8000, one) as place:
                        self._turn(one.name, place, paths)
                for name, place in whole.items():
                    self._turn(name, place, paths)
                for one in WSGI:
                    with self._candidate("app", "web.main:app", 5000, one) as place:
                        self._turn(one.name, place, paths[:1])
        finally:
            self._run("down", "--volumes", "--remove-orphans", "--timeout", "1")

    def load(self, name: str, path: str, method: str = "GET") -> Load:
        """Return what was measured of a server."""
        got = self._got[name, f"{method} {path}"]
        return Load(
            tuple(one["requests"] / one["seconds"] for one in got),
            tuple(one["median"] for one in got),
            tuple(one["p99"] for one in got),
            max(one["worst"] for one in got),
            int(sum(one["failed"] for one in got)),
        )

    def table(self) -> list[str]:
        """Return the section of docs/performance.md."""
        return [
            (
                f"Requests a second, then median, p99 and worst, medians of {self._rounds} "
                f"round(s) in turn, each of {SECONDS:g} s with {CONNECTIONS} kept connections from "
                "another container of the same network, in one run. Each server is a container as "
                "production has it: hardened, one CPU, and two workers unless it says otherwise."
            ),
            "",
            f"| the sample api | `/health` | | list of {HABITS} habits | | a habit is added |",
            "|---|---|---|---|---|---|",
            *(self._line(one, ASGI[0]) for one in ASGI),
            "",
            "| the sample app (Flask) | `/health` | |",
            "|---|---|---|",
            *(self._short(one) for one in WSGI),
            "",
            "| `serve`, with the rest of production | `/health` | list of habits |",
            "|---|---|---|",
            *(
                f"| {name} | {self.load(name, '/health')} | {self.load(name, '/habits')} |"
                for name in ("api, direct", "api, through nginx")
            ),
        ]

    def _line(self, one: Candidate, first: Candidate) -> str:
        cells = []
        for path in ("/health", "/habits"):
            got = self.load(one.name, path)
            cells += [str(got), f"{got.rate / self.load(first.name, path).rate:.2f} ×"]
        return f"| {one.name} | {' | '.join(cells)} | {self.load(one.name, '/habits', 'POST')} |"

    def _short(self, one: Candidate) -> str:
        got = self.load(one.name, "/health")
        return (
            f"| {one.name} | {got} | {got.rate / self.load(WSGI[0].name, '/health').rate:.2f} × |"
        )

    @contextmanager
    def _candidate(self, service: str, target: str, port: int, one: Candidate) -> Iterator[str]:
        """Run a server in the place of a service's own; yield where it is.

        For its turn alone: together they would want more connections than PostgreSQL has.
        """
        name = f"{PROJECT}-candidate"
        variables = [word for pair in one.variables.items() for word in ("-e", "=".join(pair))]
        command = one.command.format(target=target, port=port).split()
        place = f"{name}:{port}"
        try:
            self._run(
                "run", "--detach", "--no-deps", "--name", name, "--volume",
                f"{self._added}:{ADDED}:ro", "-e", "FORWARDED_ALLOW_IPS=*", *variables,
                service, *command,
            )  # fmt: skip
            until(lambda: self._answers(f"{place}/health"))
            yield place
        finally:
            self._checkout.run("docker", "rm", "--force", name)

    def _turn(self, name: str, place: str, paths: tuple[tuple[str, str], ...]) -> None:
        for path, method in paths:
            self._load(place + path, WARM, method)
            got = self._load(place + path, SECONDS, method)
            self._got.setdefault((name, f"{method} {path}"), []).append(got)
        self._forget()
        print(f"     {name}", flush=True)

    def _load(self, place: str, seconds: float, method: str) -> dict[str, float]:
        out = self._beside(f"http://{place}", str(seconds), str(CONNECTIONS), method)
        return dict(json.loads(out.splitlines()[-1]))

    def _beside(self, *arguments: str) -> str:
        """Run the load from a container of its own."""
        loader = ROOT / "benchmarks" / "load.py"
        return self._checkout.run(
            "docker", "run", "--rm", "--network", f"{PROJECT}_web-none", "--entrypoint", "python",
            "--volume", f"{loader}:/load.py:ro", self._image, "/load.py", *arguments,
        )  # fmt: skip

    def _answers(self, place: str) -> bool:
        try:
            return self._load(place, 0.1, "GET")["requests"] > 0
        except Failed:
            return False

    def _habits(self) -> None:
        name = "insert into habits (name) values ('habit {}')"
        self._psql("; ".join(name.format(number) for number in range(HABITS)))

    def _forget(self) -> None:
        self._psql("delete from habits where name like 'bench %'")

    def _psql(self, sql: str) -> None:
        self._run("exec", "-T", "postgres", "psql", "-qU", "gangway", "gangway", "-c", sql)

    def _run(self, *words: str) -> str:
        self._compose = self._compose or self._checkout.plain("prod")
        return self._checkout.run(*self._compose, *words)

    def _add_granian(self) -> None:
        version = self._checkout.run(
            "docker", "run", "--rm", "--entrypoint", "python", self._image, "-c",
            "import sys; print('%d.%d' % sys.version_info[:2])",
        ).strip()  # fmt: skip
        install = ["uv", "pip", "install", "--python-version", version]
        if not shutil.which("uv"):
            install = [sys.executable, "-m", "pip", "install", "--python-version", version]
        Path(self._added).mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [*install, "--quiet", "--only-binary=:all:", "--target", str(self._added), GRANIAN],
            check=True,
        )
