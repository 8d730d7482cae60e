"""A database of 1 GB: backed up and restored under load, copied for people, made newer."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks import bench, memory
from benchmarks.bench import Checkout, Samples
from benchmarks.rows import Row, none, seconds
from benchmarks.shipped import Shipped
from benchmarks.steady import driver
from benchmarks.steady.count import Histogram

#: Requests a second: what one core serves beside a backup on the other.
RATE, PEACE, PAUSE = 50.0, 30.0, 5.0
SIZE = """
CREATE TABLE bench_large (id bigint PRIMARY KEY, owner int, at timestamptz DEFAULT now(),
  body text, price numeric);
INSERT INTO bench_large
  SELECT n, n % 1000, now(), repeat(md5(n::text), 5), n * 1.5 FROM generate_series(1, 3800000) n;
CREATE INDEX ON bench_large (owner, at);
VACUUM ANALYZE bench_large;
CHECKPOINT;
"""
MEGABYTES = "SELECT pg_database_size(current_database()) / 1000000"
#: What a step of a backup or a restore is, by the program that runs for it.
STEPS = {"pg_restore": "restored", "pg_dump": "dumped and read", "postgres": "compared"}


def measure(runs: int) -> tuple[list[Row], list[str]]:
    """Measure it all, production's part `runs` times; return the rows, and a section of a page."""
    rows = [
        *_production(runs),
        *_development("docker"),
        *_development("native"),
        *_shown(_upgraded()),
    ]
    return rows, [
        (
            f"A database of 1 GB: one table of 3.8 million rows with two indexes. {RATE:g} requests"
            " a second, 30 % of them writes, by TLS through the proxy, on the same two cores;"
            " production's PostgreSQL has one of them at most, and the service `backup` one."
        ),
        "",
        "| what | measured | | goal | met |",
        "|---|---|---|---|---|",
        *(f"| {r.what} | {r.measured} | {r.ratio} | {r.goal} | {r.verdict} |" for r in rows),
    ]


def _production(runs: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="gangway-bench-") as folder:
        shipped = Shipped.made(Path(folder), "gangway-bench-data")
        try:
            yield from _shown(_backed_up(shipped, runs))
        finally:
            shipped.remove()


def _backed_up(shipped: Shipped, runs: int) -> Iterator[Row]:
    checkout = shipped.checkout
    settings = checkout.path / "env" / "prod.env"
    text = re.sub(r"(?m)^(COMPOSE_PROFILES=.*)", r"\1,backup", settings.read_text("utf-8"))
    # A first one is made at the start, of an empty database.
    settings.write_text(f"{text}BACKUP_SCHEDULE='0 0 1 1 *'\n", encoding="utf-8")
    checkout.invoke("prod.up")
    bench.until(lambda: "proven" in checkout.run(*_status(checkout)), 120)
    _fill(checkout, "prod")
    took: dict[str, list[float]] = {}
    plan = shipped.plan(RATE)

    def containers() -> list[str]:
        return shipped.containers("backup")

    def timed(client: driver.Load, phase: str, *words: str) -> None:
        client.phase(phase)
        took.setdefault(phase, []).append(bench.timed(lambda: checkout.invoke(*words)))
        client.phase("after")
        time.sleep(PAUSE)

    with memory.watched(containers, _step) as most, driver.running(plan) as client:
        time.sleep(PAUSE)
        client.phase("steady")
        time.sleep(PEACE)
        for _ in range(runs):
            timed(client, "backup", "prod.backup")
            timed(client, "restore", "prod.restore", "--yes")
            timed(client, "forget", "prod.restore", "--forget", "--yes")
        report = client.stop()
    late = {
        name: Histogram.of(e for e in report["phases"] if e["name"] == name).percentile(0.99)
        for name in ("steady", "backup")
    }
    ratio = late["backup"] / late["steady"]
    failed: Counter[str] = Counter()
    for each in report["phases"]:
        failed[each["name"]] += each["failed"]
    yield seconds("`prod.backup`, with its proof", Samples(tuple(took["backup"])), 90)
    yield seconds("`prod.restore`, compared and swapped in", Samples(tuple(took["restore"])), 60)
    for name, number in failed.items():
        yield none(f"failed requests: {name}", number)
    yield Row(
        "p99 while a backup is made, and steady",
        f"{late['backup'] * 1e3:.0f} ms, {late['steady'] * 1e3:.0f} ms",
        f"{ratio:.2f} ×", "at most 1.5 × steady", ratio <= 1.5,
    )  # fmt: skip
    for name, size in most.items():
        if name:
            what = f"memory of the service `backup`, while it is {name}"
            yield Row(what, f"{size / 1e6:.0f} MB", "", "", met=True)


def _step(programs: set[str]) -> str:
    return next((step for program, step in STEPS.items() if program in programs), "")


def _status(checkout: Checkout) -> list[str]:
    return [*checkout.plain("prod", "exec"), "-T", "backup", "backup", "list"]


def _development(engine: str) -> Iterator[Row]:
    """Snapshots and a worktree, in containers or natively."""
    with tempfile.TemporaryDirectory(prefix="gangway-bench-") as folder:
        checkout = Checkout.copied(Path(folder, "main"))
        checkout.environment |= {"GANGWAY_ENGINE": engine, "DATABASE_PER_BRANCH": "1"}
        who = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
        for words in (["init", "-q"], ["add", "--all"], ["commit", "-qm", "all"]):
            checkout.run("git", *who, *words)
        other = Checkout(Path(folder, "other"), checkout.environment)
        try:
            yield from _shown(_copied(checkout, other, engine))
        except bench.Failed as error:
            # The others' figures hold all the same.
            print(error, flush=True)
            yield Row(f"a worktree's own copy ({engine})", "it failed", "", "it works", met=False)
        finally:
            for each in (other, checkout):
                if each.path.exists():
                    _gone(each)


def _copied(checkout: Checkout, other: Checkout, engine: str) -> Iterator[Row]:
    way = "in containers" if engine == "docker" else "natively"
    checkout.invoke("dev.up", "--ports", "auto")
    _fill(checkout, "dev")
    snapshot = bench.timed(lambda: checkout.invoke("dev.snapshot", "one"))
    # Blocks that are shared are copied in no time, where the file system can.
    yield seconds(f"`dev.snapshot`, {way}, without shared blocks", Samples((snapshot,)), 5)
    restored = bench.timed(lambda: checkout.invoke("dev.restore", "one"))
    yield Row(f"`dev.restore`, {way}", f"{restored:.2f} s", "", "", met=True)
    checkout.invoke("dev.clean", "one", "before-restore", "--yes")
    checkout.run("git", "worktree", "add", "-q", str(other.path))
    up = bench.timed(lambda: other.invoke("dev.up", "--ports", "auto"))
    limit = 8 if engine == "docker" else 4
    yield seconds(f"a new worktree's `dev.up` on its own copy, {way}", Samples((up,)), limit)


def _upgraded() -> Iterator[Row]:
    """From PostgreSQL 17 to 18, in development."""
    with tempfile.TemporaryDirectory(prefix="gangway-bench-") as folder:
        checkout = Checkout.copied(Path(folder))
        images = f"env/images/{checkout.environment.get('GANGWAY_IMAGES') or 'registry'}.env"
        old = {
            images: (r"^(POSTGRES_IMAGE=.*:)18[.\d]*", r"\g<1>17"),
            "env/dev.env": (r"\Z", "\nPOSTGRES_DATA=/var/lib/postgresql/17/docker\n"),
        }
        try:
            with _settings(checkout, old):
                checkout.invoke("dev.up", "postgres", "--ports", "auto")
                _fill(checkout, "dev")
            said = checkout.invoke("dev.upgrade-postgres")
        finally:
            _gone(checkout)
    found = re.search(r"it took no writes for ([\d.]+) s", said)
    assert found, said
    yield seconds("`dev.upgrade-postgres`, no writes for", Samples((float(found[1]),)), 30)


def _fill(checkout: Checkout, environment: str) -> None:
    for statement in filter(str.strip, SIZE.split(";\n")):
        checkout.invoke(f"{environment}.psql", "--", "-c", statement)
    size = int(checkout.invoke(f"{environment}.psql", "--", "-Atc", MEGABYTES).split()[-1])
    assert size > 950, f"{size} MB"


def _gone(checkout: Checkout) -> None:
    subprocess.run(
        ["invoke", "dev.down", "--volumes", "--yes"], cwd=checkout.path,
        env=checkout.environment, capture_output=True, check=False,
    )  # fmt: skip


def _shown(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        row.show()
        yield row


@contextmanager
def _settings(checkout: Checkout, files: Mapping[str, tuple[str, str]]) -> Iterator[None]:
    """Have files say something else in the block: a pattern, and what takes its place."""
    before = {name: (checkout.path / name).read_text(encoding="utf-8") for name in files}
    for name, (pattern, new) in files.items():
        text = re.sub(pattern, new, before[name], flags=re.MULTILINE)
        (checkout.path / name).write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        for name, text in before.items():
            (checkout.path / name).write_text(text, encoding="utf-8")
