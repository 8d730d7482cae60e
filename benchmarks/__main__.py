"""Measure everything and write docs/performance.md: `python -m benchmarks [--runs 5]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import bench, data, deploy, hmr
from benchmarks.bench import ROOT, Checkout, Samples
from benchmarks.rows import Row, against, put_section, seconds
from benchmarks.servers import ASGI, Servers

PARTS = [
    "start_and_stop",
    "reload",
    "images",
    "tests",
    "native",
    "fullstack",
    "servers",
    "deploy",
    "data",
]
EDITS = 50
STALE_CHECKS = 5
# Edits right after a start, and the seconds that somebody then takes to look at what came of them.
EARLY_EDITS, PAUSE = 10, 5.0


class Bench:
    """All measurements in one run, on a copy of this checkout."""

    def __init__(self, checkout: Checkout, runs: int) -> None:
        """`runs` is how often each figure is taken."""
        self.checkout = checkout
        self.runs = runs
        self.rows: list[Row] = []
        self.failed: list[Row] = []
        self.floor_up = self.floor_down = Samples((0.0,))
        self.server_table: list[str] = []
        self.deploys: list[str] = []
        self.data_section: list[str] = []

    def add(self, row: Row) -> None:
        """Keep a row and show it."""
        self.rows.append(row)
        row.show()

    def compose(self, environment: str, *args: str) -> Callable[[], object]:
        """Return a plain Compose call as something to time."""
        argv = self.checkout.plain(environment, *args)
        return lambda: self.checkout.run(*argv)

    def start_and_stop(self) -> None:
        """Starts and stops, in turn with the floor's so that both see the same machine."""
        invoke = self.checkout.invoke
        floor = self._floor()

        def up() -> object:
            return floor("up", "-d", "--wait")

        def down() -> object:
            return floor("down")

        plain_up = self.compose("dev", "up", "-d", "--wait")
        plain_down = self.compose("dev", "down")
        invoke("dev.up", "--ports", "auto")
        # The first of each fills caches.
        up()
        down()
        invoke("dev.down")
        figures: dict[str, list[float]] = {}

        def note(name: str, work: Callable[[], object]) -> None:
            figures.setdefault(name, []).append(bench.timed(work))

        for _ in range(self.runs):
            note("floor up", up)
            note("floor down", down)
            note("task up", lambda: invoke("dev.up"))
            note("task down", lambda: invoke("dev.down"))
            note("plain up", plain_up)
            plain_down()
            invoke("dev.down", "--volumes", "--yes")
            note("task up, empty", lambda: invoke("dev.up"))
            invoke("dev.down")
        got = {name: Samples(tuple(values)) for name, values in figures.items()}
        self.floor_up, self.floor_down = got["floor up"], got["floor down"]
        overhead = got["task up"].median - got["plain up"].median
        self.add(
            against("`dev.up`, data present, to all healthy", got["task up"], self.floor_up, 2.5)
        )
        self.add(against("`dev.up`, empty data", got["task up, empty"], self.floor_up, 3.0))
        self.add(
            Row(
                "`dev.up` over the bare `docker compose up -d --wait`",
                f"{overhead:+.2f} s (bare: {got['plain up'].median:.2f} s)",
                "", "at most 0.3 s", overhead <= 0.3,
            )
        )  # fmt: skip
        self.add(against("`dev.down`", got["task down"], self.floor_down, 1.5))
        floor("down", "-v")

    def _floor(self) -> Callable[..., object]:
        model = json.loads(
            self.checkout.run(*self.checkout.plain("dev", "config", "--format", "json"))
        )
        services = model["services"]
        environment = {
            **os.environ,
            "POSTGRES_IMAGE": services["postgres"]["image"],
            "REDIS_IMAGE": services["redis"]["image"],
            "FLOOR_APP_IMAGE": services["api"]["image"],
            "COMPOSE_PROJECT_NAME": "gangway-floor",
        }
        checkout = Checkout(self.checkout.path / "benchmarks" / "floor", environment)
        return lambda *args: checkout.run("docker", "compose", *args)

    def reload(self) -> None:
        """From saving a file to the new code being served, and never the old one after that."""
        self.checkout.invoke("dev.up")
        found = bench.urls(self.checkout.invoke("dev.urls"))
        apps = self.checkout.path / "apps"
        api = apps / "api" / "api" / "main.py"
        web = apps / "app" / "web" / "main.py"
        probe = '\n\n@app.get("/bench")\ndef bench_probe() -> str:\n    return "mark-{mark}"\n'
        for name, file, url in (("api", api, found["api"]), ("app", web, found["app"])):
            # In the first seconds after a start the libraries aren't imported ahead yet.
            early, stale_early = self._edits(file, probe, f"{url}/bench", EARLY_EDITS)
            what = f"save to served, {name}, {EARLY_EDITS} edits without a pause from the start on"
            self.add(Row(what, str(early), "", "", met=True))
            time.sleep(PAUSE)
            got, stale = self._edits(file, probe, f"{url}/bench")
            self.add(seconds(f"save to served, {name}, {EDITS} edits", got, 0.25))
            stale += stale_early
            total = (EDITS + EARLY_EDITS) * STALE_CHECKS
            self.add(
                Row(
                    f"stale answers after that, {name}",
                    f"{stale} of {total}",
                    "",
                    "none",
                    stale == 0,
                )
            )
        self._plain_reload(api, probe)
        self.checkout.invoke("dev.down", "--volumes", "--yes")

    def _plain_reload(self, file: Path, probe: str) -> None:
        """What uvicorn does by itself, in the api's container and with watchfiles as well."""
        self.compose("dev", "stop", "api")()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        run = ["run", "--rm", "--detach", "--no-deps", "--name", "gangway-bench-uvicorn"]
        # Uvicorn can't read an empty WEB_CONCURRENCY.
        run += ["--env", "PYTHONPATH=/opt/debugger", "--env", "WEB_CONCURRENCY=1"]
        run += ["--publish", f"127.0.0.1:{port}:8000"]
        plain = ["uvicorn", "api.main:app", "--reload", "--host", "0.0.0.0", "--port", "8000"]
        self.compose("dev", *run, "api", *plain)()
        try:
            got, stale = self._edits(file, probe, f"http://127.0.0.1:{port}/bench", EARLY_EDITS)
        finally:
            self.checkout.run("docker", "rm", "--force", "gangway-bench-uvicorn")
        what = f"save to served by plain `uvicorn --reload`, api, {EARLY_EDITS} edits"
        total = EARLY_EDITS * STALE_CHECKS
        self.add(Row(what, f"{got}, stale answers: {stale} of {total}", "", "", met=True))

    def _edits(self, file: Path, probe: str, url: str, count: int = EDITS) -> tuple[Samples, int]:
        source = file.read_text()
        values, stale = [], 0
        for number in range(-1, count):
            mark = f"mark-{number:04d}"
            text = source + probe.format(mark=f"{number:04d}")

            def served(mark: str = mark) -> bool:
                return mark in bench.get(url)

            def save(text: str = text, served: Callable[[], bool] = served) -> None:
                file.write_text(text)
                bench.until(served)

            took = bench.timed(save)
            if number >= 0:  # the first one adds the route
                values.append(took)
                stale += sum(mark not in bench.get(url) for _ in range(STALE_CHECKS))
        file.write_text(source)
        return Samples(tuple(values)), stale

    def images(self) -> None:
        """Builds of the production api, from a changed line to nothing at all."""
        build = self.compose("prod", "build", "api")
        build()
        source = self.checkout.path / "apps" / "api" / "api" / "main.py"
        lock = self.checkout.path / "apps" / "api" / "requirements.txt"
        original = source.read_text(), lock.read_text()
        counter = iter(range(1000))

        def edit() -> None:
            source.write_text(f"{original[0]}\n# {next(counter)}\n")

        self.add(
            seconds(
                "rebuild after a changed line", bench.sample(self.runs, build, before=edit), 0.7
            )
        )
        added = (ROOT / "apps" / "app" / "requirements.txt").read_text()
        dependency = re.search(r"^itsdangerous==.*?(?=^\S)", added, re.MULTILINE | re.DOTALL)
        assert dependency, "the app's lock no longer has itsdangerous"
        extra = [dependency[0], ""]

        def depend() -> None:
            # A comment makes the layer new each time; the dependency comes and goes.
            lock.write_text(f"{original[1]}\n# {next(counter)}\n{extra[0]}")

        self.add(
            seconds(
                "rebuild after a new dependency", bench.sample(self.runs, build, before=depend), 5.0
            )
        )
        source.write_text(original[0])
        lock.write_text(original[1])

        def forget() -> None:
            self.checkout.run("docker", "builder", "prune", "--all", "--force")

        out: list[str] = []
        whole = [*self.checkout.plain("prod"), "--progress", "plain", "build", "api"]
        got = bench.sample(self.runs, lambda: out.append(self.checkout.run(*whole)), before=forget)
        self.add(seconds("build from nothing, bases present", got, 12.0))
        sizes = re.findall(r"transferring context: ([\d.]+)(\w+)", out[-1])
        units = {"B": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
        sent = sum(float(number) * units[unit] for number, unit in sizes)
        self.add(Row("build context sent", f"{sent:.2f} MB", "", "under 0.5 MB", sent < 0.5))
        self._image_size()

    def _image_size(self) -> None:
        model = json.loads(
            self.checkout.run(*self.checkout.plain("prod", "config", "--format", "json"))
        )
        service = model["services"]["api"]
        names = (service["image"], service["build"]["args"]["PYTHON_IMAGE"])
        image, base = (
            int(self.checkout.run("docker", "image", "inspect", "--format", "{{.Size}}", name))
            for name in names
        )
        over = (image - base) / 1e6
        self.add(
            Row(
                "production api image over its base",
                f"{over:.0f} MB",
                "",
                "at most 60 MB",
                over <= 60,
            )
        )

    def tests(self) -> None:
        """`test.run` from all down to results, over what pytest itself says it took."""
        result = re.compile(r"passed.* in ([\d.]+)s")
        self.checkout.invoke("test.run")
        over, after, own = [], [], []
        for _ in range(self.runs):
            until, found, whole = self.checkout.invoke_until(result, "test.run")
            own.append(float(found[1]))
            over.append(until - own[-1])
            after.append(whole - until)
        got, taken_down = Samples(tuple(over)), Samples(tuple(after))
        shown = f"{got} (pytest's own: {Samples(tuple(own)).median:.2f} s)"
        self.add(
            Row(
                "`test.run`, all down to results, over pytest's own time",
                shown, "", "at most 4 s", got.median <= 4,
            )
        )  # fmt: skip
        self.add(Row("`test.run`, results to all down again", str(taken_down), "", "", met=True))

    def native(self) -> None:
        """Starts and stops without containers, where there is no container engine at all."""
        folder = self.checkout.path / ".gangway" / "bench-path"
        checkout = replace(
            self.checkout,
            environment={
                **self.checkout.environment,
                "GANGWAY_ENGINE": "native",
                "PATH": bench.path_without("docker", folder, self.checkout.environment["PATH"]),
            },
        )
        invoke = checkout.invoke
        invoke("dev.up", "--ports", "auto")
        invoke("dev.down", "--volumes", "--yes")
        merge = [str(Path(sys.executable).with_name("docker-compose"))]
        merge += [w for f in ("env/dev.env", "env/engines/native.env") for w in ("--env-file", f)]
        merge += ["--profile", "*", "config", "--format", "json"]
        figures: dict[str, list[float]] = {}

        def note(name: str, work: Callable[[], object]) -> None:
            figures.setdefault(name, []).append(bench.timed(work))

        result = re.compile(r"passed.* in ([\d.]+)s")
        for _ in range(max(self.runs, 7)):
            note("cold", lambda: invoke("dev.up"))
            note("no-op", lambda: invoke("dev.up"))
            note("ps", lambda: invoke("dev.ps"))
            note("down", lambda: invoke("dev.down"))
            note("warm", lambda: invoke("dev.up"))
            invoke("dev.down", "--volumes", "--yes")
            note("bare", lambda: checkout.run(*merge))
            note("config", lambda: invoke("dev.config", "--", "--format", "json"))
            until, found, _ = checkout.invoke_until(result, "test.run")
            figures.setdefault("tests", []).append(until)
            figures.setdefault("pytest", []).append(float(found[1]))
        got = {name: Samples(tuple(values)) for name, values in figures.items()}
        for name, what, limit in (
            ("cold", "`dev.up`, servers installed, empty data", 3.5),
            ("warm", "`dev.up`, data present", 2.0),
            ("no-op", "`dev.up`, all up already", 0.7),
            ("ps", "`dev.ps`", 0.3),
            ("down", "`dev.down`", 0.8),
        ):
            self.add(seconds(f"native: {what}", got[name], limit))
        shown = f"{got['tests']} (pytest's own: {got['pytest'].median:.2f} s)"
        goal = got["tests"].median <= 5
        self.add(Row("native: `test.run` from nothing to results", shown, "", "at most 5 s", goal))
        over = got["config"].median - got["bare"].median
        self.add(
            Row(
                "native: `dev.config` over the bare Compose binary",
                f"{over:+.2f} s (bare: {got['bare'].median:.2f} s)",
                "", "at most 0.25 s", over <= 0.25,
            )
        )  # fmt: skip

    def fullstack(self) -> None:
        """From saving to the change being served, and to the browser being told of it."""
        stack = ("--stack", "fullstack")
        self.checkout.invoke("dev.up", *stack, "--ports", "auto")
        found = bench.urls(self.checkout.invoke("dev.urls", *stack))
        apps, page = self.checkout.path / "apps", f"{found['frontend']}/"
        probe = '\n\n@app.get("/bench")\ndef bench_probe() -> str:\n    return "mark-{mark}"\n'
        got, _ = self._edits(apps / "api" / "api" / "main.py", probe, f"{found['api']}/bench")
        self.add(seconds(f"full stack: save to served, api, {EDITS} edits", got, 0.5))
        # The first request waits for the compiler, longer than any later one.
        with urllib.request.urlopen(page, timeout=180):
            pass
        sources = apps / "frontend" / "src" / "app"
        for what, file, old in (
            ("the page", sources / "page.tsx", "<h1>Habits"),
            ("its client's part", sources / "habits.tsx", ">New habit"),
        ):
            told, served = self._page_edits(file, old, page)
            name = f"full stack: save of {what} to"
            self.add(seconds(f"{name} the whole page served, {EDITS} edits", served, 0.2))
            self.add(seconds(f"{name} the browser being told, {EDITS} edits", told, 0.2))
        self.checkout.invoke("dev.down", *stack, "--volumes", "--yes")

    def _page_edits(self, file: Path, old: str, page: str) -> tuple[Samples, Samples]:
        """Return seconds to the message for the browser, and to the page with what is new.

        Measured in turn, an edit for each: a request while the compiler works would slow it down.
        """
        source = file.read_text()
        told: list[float] = []
        served: list[float] = []
        updates = hmr.Updates(page)
        try:
            for number in range(-2, 2 * EDITS):
                mark = f"mark-{number + 100:04d}"
                watched = number % 2 == 0

                def save(mark: str = mark, watched: bool = watched) -> None:
                    file.write_text(source.replace(old, old + mark))
                    if watched:
                        updates.told()
                    else:
                        bench.until(lambda: mark in bench.get(page))

                took = bench.timed(save)
                if number >= 0:
                    (told if watched else served).append(took)
                # Nobody saves again within the same instant.
                bench.until(lambda mark=mark: mark in bench.get(page))  # type: ignore[misc]
                updates.quiet()
        finally:
            file.write_text(source)
            updates.close()
        return Samples(tuple(told)), Samples(tuple(served))

    def servers(self) -> None:
        """Servers for the apps, against the one of before; and what nginx costs."""
        found = Servers(self.checkout, self.runs)
        found.measure()
        before, ours = ASGI[0].name, ASGI[2].name
        for what, path, least in (("`/health`", "/health", 2.4), ("the list", "/habits", 1.6)):
            gain = found.load(ours, path).rate / found.load(before, path).rate
            self.add(
                Row(
                    f"requests a second for {what}, direct", f"{found.load(ours, path).rate:.0f}",
                    f"{gain:.2f} × before", f"at least {least:g} × before", gain >= least,
                )
            )  # fmt: skip
        direct, through = (
            found.load(name, "/habits") for name in ("api, direct", "api, through nginx")
        )
        rate, late = through.rate / direct.rate, through.p99 / direct.p99
        self.add(
            Row(
                "the list through nginx", f"{through.rate:.0f}/s, p99 {through.p99:.1f} ms",
                f"{rate:.2f} × and {late:.2f} × direct",
                "at least 0.9 × and p99 at most 1.3 × direct", rate >= 0.9 and late <= 1.3,
            )
        )  # fmt: skip
        self.server_table = found.table()

    def deploy(self) -> None:
        """Deploys under load, beside how others do it."""
        found = deploy.measure(self.runs)
        # These have a table of their own.
        self.failed += [row for row in found.rows if not row.met]
        self.deploys = found.section

    def data(self) -> None:
        """A database of 1 GB: backups, copies, a newer major."""
        rows, self.data_section = data.measure(self.runs)
        self.failed += [row for row in rows if not row.met]

    def clean(self) -> None:
        """Leave nothing of the copy behind."""
        for environment in ("dev", "test", "prod"):
            argv = self.checkout.plain(
                environment, "--profile", "*", "down", "--volumes", "--rmi", "local"
            )
            subprocess.run(argv, cwd=self.checkout.path, capture_output=True, check=False)


def report(found: Bench) -> str:
    """Return docs/performance.md."""
    engine = found.checkout.run("docker", "version", "--format", "{{.Server.Version}}").strip()
    compose = found.checkout.run("docker", "compose", "version", "--short").strip()
    cores = f"{os.cpu_count()} cores ({platform.machine()})"
    python = platform.python_version()
    machine = f"{cores}, Python {python}, Docker Engine {engine}, Compose {compose}"

    lines = [
        "# Performance",
        "",
        "<!-- Written by `nox -s bench`; run it again rather than edit. -->",
        "",
        (
            f"Medians of {found.runs} (saves: {EDITS}) in one run, the range behind them, on "
            f"{machine}, {datetime.now(UTC):%Y-%m-%d}. The floor is `benchmarks/floor`: "
            "PostgreSQL, Redis and a bare uvicorn app with 200 ms start intervals, started and "
            "stopped in turn with the stack."
        ),
        "",
        f"The floor's `up -d --wait`: {found.floor_up}. Its `down`: {found.floor_down}.",
        "",
        "| what | measured | of the floor | goal | met |",
        "|---|---|---|---|---|",
        *(
            f"| {row.what} | {row.measured} | {row.ratio} | {row.goal} | {row.verdict} |"
            for row in found.rows
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the benchmark; the exit status says whether all goals were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gangway-bench-") as folder:
        found = Bench(Checkout.copied(Path(folder)), options.runs)
        try:
            found.checkout.invoke("prod.init")
            for name in options.only:
                getattr(found, name)()
        finally:
            found.clean()
        file = ROOT / "docs" / "performance.md"
        if options.only == PARTS:
            file.write_text(report(found))
        if found.server_table:
            put_section(file, "Servers", found.server_table)
        if found.deploys:
            put_section(file, "Deploys", found.deploys)
        if found.data_section:
            put_section(file, "Data", found.data_section)
    return 0 if all(row.met for row in found.rows) and not found.failed else 1


if __name__ == "__main__":
    sys.exit(main())
