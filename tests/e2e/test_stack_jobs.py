"""The jobs stack: followed as it works, through the loss of a worker, of Redis, of the browser."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e import support
from tests.e2e.conftest import MakeCheckout, MakeNative
from tests.e2e.support import Checkout, docker, eventually, inspect, myself, one_message

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

#: How long a step takes at least, in seconds.
STEP = 0.4
#: The most that an api image may have over its base, and a worker image in all, in bytes.
API_OVER_BASE, WORKER_IN_ALL = 150e6, 1.0e9
PGBOUNCER = Path(__file__).parent / "pgbouncer"


@dataclass(frozen=True)
class Event:
    """One event of a stream, and when it came."""

    id: int | None
    kind: str
    data: dict[str, Any]
    at: float


@dataclass
class Listener:
    """A stream that is read in a thread."""

    events: list[Event] = field(default_factory=list)
    comments: int = 0
    ended: bool = False
    error: str = ""

    def wait(self, kind: str, within: float = 60) -> Event:
        """Return the first event of a kind, once there is one."""
        eventually(
            lambda: self.has(kind) or self.error, within=within, what=f"{kind}: {self.events}"
        )
        return next(event for event in self.events if event.kind == kind)

    def has(self, kind: str) -> bool:
        """Say whether an event of a kind has come."""
        return any(event.kind == kind for event in self.events)

    @property
    def ids(self) -> list[int]:
        """Return the numbers, of those that have one."""
        return [event.id for event in self.events if event.id is not None]


@dataclass(frozen=True)
class Stack:
    """A running jobs stack."""

    checkout: Checkout
    environment: str
    url: str
    client: httpx.Client

    def ask(self, *, mode: str = "plain", habits: int = 5) -> str:
        """Ask for a job; return its number."""
        days = [(date(2026, 11, 1) + timedelta(number)).isoformat() for number in range(20)]
        body = {
            "mode": mode, "title": "November", "from": "2026-11-01", "to": "2026-11-30",
            "habits": [{"name": f"Habit {n}", "days": days[n:]} for n in range(habits)],
        }  # fmt: skip
        answer = self.client.post("/api/jobs/", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def job(self, job: str) -> dict[str, Any]:
        answer = self.client.get(f"/api/jobs/{job}/")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def container(self, service: str) -> str:
        """Return the running container of a service."""
        running = [
            record["Id"]
            for record in self.checkout.containers(self.environment, service)
            if record["State"]["Running"]
        ]
        assert len(running) == 1, f"{service}: {running}"
        return str(running[0])

    @contextmanager
    def listening(self, job: str, after: int | None = None) -> Iterator[Listener]:
        """Read a job's stream in a thread for as long as the block lasts."""
        # As a browser's EventSource asks.
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        listener = Listener()
        stop = threading.Event()
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as client:
            thread = threading.Thread(target=_read, args=(client, job, headers, listener, stop))
            thread.start()
            try:
                yield listener
            finally:
                stop.set()
                client.close()
                thread.join(35)

    def followed(self, job: str, after: int | None = None, within: float = 60) -> Listener:
        """Return a job's stream from its beginning, or from an event on, to its end."""
        with self.listening(job, after) as listener:
            eventually(lambda: listener.ended or listener.error, within=within, what=str(listener))
        assert not listener.error, listener.error
        return listener

    def resumed(self, job: str, listener: Listener) -> Listener:
        """Return a stream that broke off with its rest, as an EventSource gets it.

        It comes back for as long as there is no end: a server that stops may still take it in,
        only to send it away at once.
        """
        whole = Listener(events=list(listener.events))

        def ended() -> bool:
            # Sent away before the first event, it has nothing to say that it has seen.
            after = whole.ids[-1] if whole.ids else None
            whole.events += self.followed(job, after=after).events
            return whole.has("finished")

        eventually(ended)
        return whole


def _read(
    client: httpx.Client, job: str, headers: dict[str, str], to: Listener, stop: threading.Event
) -> None:
    try:
        with client.stream("GET", f"/api/jobs/{job}/stream/", headers=headers) as answer:
            if answer.status_code != 200:
                to.error = f"status {answer.status_code}"
                return
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                if stop.is_set():
                    return
                name, _, value = line.partition(": ")
                if line.startswith(":"):
                    to.comments += 1
                elif name:
                    fields[name] = value
                elif "data" in fields:
                    number = int(fields["id"]) if "id" in fields else None
                    data = json.loads(fields["data"])
                    to.events.append(Event(number, fields["event"], data, time.monotonic()))
                    fields = {}
                else:
                    fields = {}
        to.ended = True
    except (httpx.HTTPError, httpx.StreamError, RuntimeError, OSError) as error:
        if not stop.is_set():
            to.error = repr(error)


def whole(listener: Listener, habits: int = 5) -> None:
    """Expect a stream that has all of a job once: no gap, nothing twice, one end."""
    assert listener.ids == list(range(1, len(listener.ids) + 1)), listener.events
    kinds = [event.kind for event in listener.events if event.id]
    assert kinds[0] == "queued" and kinds[-1] == "finished" and kinds.count("finished") == 1, kinds
    assert kinds.count("started") == 1, kinds
    steps = [event.data["done"] for event in listener.events if event.kind == "progress"]
    assert steps == list(range(1, habits + 1)), steps
    names = [habit["name"] for habit in listener.events[-1].data["result"]["habits"]]
    assert names == [f"Habit {n}" for n in range(habits)]


def kill_in(container: str, words: str, *, wait: bool = False) -> str:
    """Kill a process in a container whose command line has these words; the youngest of them."""
    code = (
        "import os, signal, sys, time\n"
        "end = time.monotonic() + 60\n"
        "while time.monotonic() < end:\n"
        "    found = []\n"
        "    for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "        try:\n"
        "            line = open(f'/proc/{pid}/cmdline').read().replace('\\0', ' ')\n"
        "        except OSError:\n"
        "            continue\n"
        f"        if {words!r} in line and int(pid) not in (1, os.getpid()):\n"
        "            found.append(int(pid))\n"
        "    if found:\n"
        "        os.kill(max(found), signal.SIGKILL)\n"
        "        print(max(found))\n"
        "        break\n"
        f"    if not {wait}:\n"
        "        break\n"
        "    time.sleep(0.02)\n"
    )
    done = docker("exec", container, "python", "-c", code, timeout=90)
    assert done.status == 0 and done.stdout.strip().isdigit(), done.text
    return done.stdout.strip()


@contextmanager
def running(checkout: Checkout, environment: str) -> Iterator[Stack]:
    """Yield the stack that runs in an environment."""
    urls = checkout.urls(environment)
    url = urls.get("nginx") or urls["api"]
    with support.web(url) as client:
        yield Stack(checkout, environment, url, client)


@pytest.fixture(scope="module")
def checkout(make_checkout: MakeCheckout) -> Checkout:
    return make_checkout(GANGWAY_STACK="jobs", JOBS_STEP_SECONDS=str(STEP))


@pytest.fixture(scope="module")
def stack(checkout: Checkout) -> Iterator[Stack]:
    # First, for it takes a while: free ports may not stay free for so long.
    checkout.succeed("dev.build", timeout=600)
    checkout.succeed("dev.up", "--ports", "auto", timeout=600)
    with running(checkout, "dev") as stack:
        yield stack
    checkout.succeed("dev.down", "--volumes", "--yes")


class TestStreams:
    def test_a_job_is_followed_from_its_beginning_to_its_end(self, stack: Stack) -> None:
        job = stack.ask()
        followed = stack.followed(job)
        whole(followed)
        progress = [event.at for event in followed.events if event.kind == "progress"]
        assert all(later - sooner > STEP / 2 for sooner, later in pairwise(progress))
        shown = stack.job(job)
        assert (shown["status"], shown["done"], shown["message"]) == ("finished", 5, "")
        assert shown["result"] == followed.events[-1].data["result"]
        page = stack.client.get(shown["report"])
        assert page.headers["Content-Type"].startswith("text/html") and "Habit 4" in page.text

    def test_who_comes_late_gets_the_state_so_far_and_the_rest_as_it_happens(
        self, stack: Stack
    ) -> None:
        job = stack.ask()
        eventually(lambda: stack.job(job)["done"] >= 2)
        begun = time.monotonic()
        late = stack.followed(job)
        whole(late)
        assert late.events[3].at - late.events[0].at < STEP / 2, "two steps were over: at once"
        assert late.events[-1].at - begun > STEP, "the end was still to come"

    def test_a_broken_stream_goes_on_after_the_last_event(self, stack: Stack) -> None:
        job = stack.ask()
        with stack.listening(job) as first:
            eventually(lambda: len(first.events) >= 3)
        last = first.ids[-1]
        rest = stack.followed(job, after=last)
        assert rest.ids[0] == last + 1
        both = Listener(events=[*first.events, *rest.events])
        whole(both)
        again = stack.client.get(
            f"/api/jobs/{job}/stream/", headers={"Last-Event-ID": str(rest.ids[-1])}
        )
        assert again.status_code == 204

    def test_many_follow_one_job_and_all_hear_the_same(self, stack: Stack) -> None:
        job = stack.ask(habits=3)
        with stack.listening(job) as one, stack.listening(job) as two, stack.listening(job) as six:
            eventually(lambda: one.ended and two.ended and six.ended)
        whole(one, 3)
        assert one.ids == two.ids == six.ids


class TestLosses:
    def test_the_job_of_a_killed_worker_is_taken_up_again_and_done_once(self, stack: Stack) -> None:
        job = stack.ask(habits=8)
        with stack.listening(job) as listener:
            eventually(lambda: stack.job(job)["done"] >= 2)
            docker("kill", "--signal", "KILL", stack.container("worker"))
            stack.checkout.succeed("dev.up")
            killed = time.monotonic()
            resumed = listener.wait("resumed")
            assert resumed.at - killed < 20
            assert 2 <= resumed.data["done"] < 8
            eventually(lambda: listener.ended)
        whole(listener, 8)

    def test_the_job_of_a_killed_process_is_taken_up_by_the_same_worker(self, stack: Stack) -> None:
        job = stack.ask(habits=8)
        with stack.listening(job) as listener:
            eventually(lambda: stack.job(job)["done"] >= 2)
            # The one that has the job, or else its neighbour: both are killed.
            for _ in range(2):
                kill_in(stack.container("worker"), "jobs.worker")
            eventually(lambda: listener.ended or listener.error)
        whole(listener, 8)
        assert stack.job(job)["status"] == "finished"

    def test_a_worker_that_has_to_stop_puts_its_job_back(self, stack: Stack) -> None:
        job = stack.ask(habits=12)
        with stack.listening(job) as listener:
            eventually(lambda: stack.job(job)["done"] >= 1)
            begun = time.monotonic()
            done = docker("stop", stack.container("worker"))
            assert done.status == 0 and time.monotonic() - begun < 9, "it was not killed"
            listener.wait("put-back", within=5)
            stack.checkout.succeed("dev.up")
            eventually(lambda: listener.ended)
        whole(listener, 12)

    def test_without_redis_the_job_ends_and_its_stream_says_so(self, stack: Stack) -> None:
        job = stack.ask(habits=8)
        with stack.listening(job) as listener:
            eventually(lambda: stack.job(job)["done"] >= 1)
            docker("kill", "--signal", "KILL", stack.container("redis"))
            try:
                eventually(lambda: listener.ended or listener.error, within=30)
                refused = stack.client.post("/api/jobs/", json={})
                assert refused.status_code == 503 and "Redis" in refused.json()["detail"]
                assert stack.client.get("/health").status_code == 200
                ready = stack.client.get("/ready")
                assert ready.status_code == 503 and ready.json()["postgres"] == "ok"
            finally:
                stack.checkout.succeed("dev.up")
        whole(listener, 8)
        assert listener.has("notice"), "it says that events come later"
        whole(stack.followed(stack.ask()))


class TestReports:
    def test_a_detailed_report_is_a_pdf_by_a_real_browser(self, stack: Stack) -> None:
        job = stack.ask(mode="detailed", habits=3)
        followed = stack.followed(job)
        whole(followed, 3)
        made = followed.wait("rendered").data
        report = stack.client.get(stack.job(job)["report"])
        assert report.headers["Content-Type"] == "application/pdf"
        assert report.content.startswith(b"%PDF-") and b"%%EOF" in report.content[-20:]
        assert b"Skia/PDF" in report.content and len(report.content) == made["bytes"] > 5000

    def test_a_browser_that_crashes_leaves_a_plain_report_and_a_message(self, stack: Stack) -> None:
        job = stack.ask(mode="detailed", habits=1)
        kill_in(stack.container("worker"), "headless", wait=True)
        followed = stack.followed(job)
        whole(followed, 1)
        message = stack.job(job)["message"]
        assert message.startswith("The report is plain: the browser failed"), message
        assert followed.wait("message").data["message"] == message
        page = stack.client.get(stack.job(job)["report"])
        assert page.headers["Content-Type"].startswith("text/html")
        left = docker("top", stack.container("worker"), "-o", "pid,args").stdout
        assert "chrom" not in left, left

    def test_without_a_browser_the_report_is_plain_and_says_why(self, stack: Stack) -> None:
        worker = stack.container("worker")
        code = "from jobs import rendering; rendering.pdf('x')"
        done = docker("exec", "-e", "CHROMIUM=/nowhere", worker, "python", "-c", code)
        assert "Unrendered: there is no /nowhere" in done.stderr, done.text


class TestTasks:
    def test_the_rate_limit_refuses_and_is_reset(self, stack: Stack) -> None:
        client = stack.client
        eventually(lambda: client.post("/api/jobs/", json={}).status_code == 429)
        refused = client.post("/api/jobs/", json={})
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        counted = stack.checkout.succeed("dev.ratelimit")
        assert "1 key of the rate limit" in counted.stderr, counted.text
        assert client.post("/api/jobs/", json={}).status_code == 429
        done = stack.checkout.succeed("dev.ratelimit", "--reset")
        assert "ratelimit:*" in done.stderr and "deleted 1 key" in done.stderr, done.text
        assert client.post("/api/jobs/", json={}).status_code == 400

    def test_flushing_the_cache_loses_no_queued_job(self, stack: Stack) -> None:
        finished = stack.ask(habits=1)
        stack.followed(finished)
        stack.job(finished)
        docker("pause", worker := stack.container("worker"))
        try:
            queued = stack.ask(habits=1)
            done = stack.checkout.succeed("dev.cache", "--flush")
            assert "cache:*" in done.stderr, done.text
            assert re.search(r"deleted [1-9]\d* keys?", done.stderr), done.text
            waiting = stack.checkout.succeed("dev.redis", "--", "llen", "jobs").stdout
            assert stack.job(queued)["status"] == "queued", waiting
        finally:
            docker("unpause", worker)
        whole(stack.followed(queued), 1)


class TestDevelopment:
    def test_django_s_migrations_are_listed_written_and_taken_back(self, stack: Stack) -> None:
        checkout = stack.checkout
        assert "[X] 0001_initial" in checkout.succeed("dev.history").stdout
        written = checkout.root / "apps/jobs/jobs/migrations/0002_add_a_note.py"
        field = '    """A report that was asked for."""\n'
        nullable = f"{field}\n    note = models.TextField(null=True)\n"
        with checkout.edited("apps/jobs/jobs/models.py", field, nullable):
            checkout.succeed("dev.makemigration", "-m", "Add a note!")
        # The sources are what they were: nobody misses the column that comes and goes.
        try:
            checkout.succeed("dev.migrate")
            assert "[X] 0002_add_a_note" in checkout.succeed("dev.history").stdout
            checkout.succeed("dev.downgrade", "--to", "0001")
            assert "[ ] 0002_add_a_note" in checkout.succeed("dev.history").stdout
        finally:
            written.unlink()

    def test_a_changed_source_restarts_the_worker_and_no_job_is_lost(self, stack: Stack) -> None:
        job = stack.ask(habits=8)
        with stack.listening(job) as listener:
            eventually(lambda: stack.job(job)["done"] >= 1)
            with stack.checkout.edited(
                "apps/jobs/jobs/work.py",
                "The report is plain: {reason}.",
                "The report is no PDF: {reason}.",
            ):
                log = ["logs", stack.container("worker")]
                eventually(lambda: "work.py changed" in docker(*log).stderr)
                # The api restarts as well: its client comes back.
                eventually(lambda: listener.ended or listener.error)
                resumed = stack.resumed(job, listener)
        whole(resumed, 8)
        assert "did not end within" not in docker(*log).stderr


class TestExternalDatabase:
    """DATABASE_URL, and PgBouncer in transaction mode behind it."""

    URL = "postgresql://gangway:p%40ss%3Aword@pooler:6543/external"

    @pytest.fixture(scope="class")
    @classmethod
    def pooled(cls, make_checkout: MakeCheckout) -> Iterator[Stack]:
        checkout = make_checkout(
            "pooled",
            GANGWAY_STACK="jobs",
            JOBS_STEP_SECONDS=str(STEP),
            DATABASE_URL=cls.URL,
            POOLER_ADDRESS=bridge_address(),
        )
        override = (PGBOUNCER / "override.yml").read_text(encoding="utf-8")
        checkout.write("docker-compose.override.yml", override)
        # In every environment: production reads no env/local.env.
        name = "stacks/jobs/stack.env"
        ours = (checkout.root / name).read_text(encoding="utf-8")
        checkout.write(name, ours.replace("PROFILES=database,api", "PROFILES=api"))
        checkout.succeed("dev.build", timeout=600)
        checkout.succeed("dev.up", "--ports", "auto", timeout=600)
        with running(checkout, "dev") as stack:
            yield stack
        checkout.succeed("dev.down", "--volumes", "--yes")

    def test_our_own_postgres_is_not_started(self, pooled: Stack) -> None:
        assert not pooled.checkout.containers("dev", "postgres")

    def test_both_databases_at_once_are_refused_with_the_profiles_that_leave_ours_out(
        self, pooled: Stack
    ) -> None:
        both = pooled.checkout.invoke("dev.up", "-e", "COMPOSE_PROFILES=database,api,worker")
        message = one_message(both)
        assert "DATABASE_URL is set, and the profile database is on as well" in message
        assert "COMPOSE_PROFILES=api,worker" in message

    def test_jobs_are_done_through_the_pooler(self, pooled: Stack) -> None:
        plain, detailed = pooled.ask(), pooled.ask(mode="detailed", habits=2)
        whole(pooled.followed(plain))
        whole(pooled.followed(detailed), 2)
        assert pooled.client.get(pooled.job(detailed)["report"]).content.startswith(b"%PDF-")
        where = docker(
            "exec", pooled.container("elsewhere"), "psql", "-h", "127.0.0.1", "-U", "gangway",
            "-d", "external", "-Atc",
            "SELECT count(*) FROM jobs_job WHERE status = 'finished'",
        )  # fmt: skip
        assert where.stdout.strip() == "2", where.text

    def test_a_killed_process_loses_nothing_there_either(self, pooled: Stack) -> None:
        job = pooled.ask(habits=8)
        eventually(lambda: pooled.job(job)["done"] >= 2)
        for _ in range(2):
            kill_in(pooled.container("worker"), "jobs.worker")
        whole(pooled.followed(job), 8)

    def test_two_migrations_at_once_exclude_each_other(self, pooled: Stack) -> None:
        # In two parts: the command itself is printed, too.
        slow = "import time; print('be' + 'gun', flush=True); time.sleep(8)"
        words = (
            "dev.run",
            "migrate",
            "--",
            "env",
            f'MIGRATE_COMMAND=python -c "{slow}"',
            "migrate",
        )
        with pooled.checkout.started(*words) as first:
            first.says("begun")
            with pooled.checkout.started(*words) as second:
                second.says("another migration is running")
                assert "begun" not in second.text
                assert first.ended() == 0, first.text
                assert second.ended() == 0, second.text
                assert "begun" in second.text

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("postgresql://gangway:x@pooler:6543/external", ("refuses", "DATABASE_URL")),
            ("postgresql://gangway:x@nowhere.invalid:6543/d", ("nowhere.invalid", "DATABASE_URL")),
            ("postgresql://gangway:x@[2001:db8::1]:5432/external", ("IPv6", "pooler", "6543")),
        ],
    )  # fmt: skip
    def test_a_database_out_of_reach_is_named_in_one_line(
        self, pooled: Stack, url: str, words: tuple[str, ...]
    ) -> None:
        done = pooled.checkout.invoke(
            "dev.run", "migrate", "--", "env", "DB_WAIT_SECONDS=1", f"DATABASE_URL={url}", "migrate"
        )
        said = [line for line in done.stderr.splitlines() if line.startswith("db: ")]
        assert done.status == 2 and "Traceback" not in done.stderr, done.text
        assert all(word in said[-1] for word in words), said

    def test_production_takes_its_address_from_a_file_only(self, pooled: Stack) -> None:
        checkout = pooled.checkout
        checkout.succeed("prod.init")
        message = one_message(checkout.invoke("prod.up"))
        assert "DATABASE_URL_FILE" in message and "p%40ss" not in message
        port = docker("port", pooled.container("pooler"), "6543").stdout.strip()
        file = checkout.root / "secrets/prod/database_url"
        file.write_text(self.URL.replace("pooler:6543", port))
        file.chmod(0o600)
        os.chown(file, *owner(file.with_name("secret_key")))
        file_alone = {"DATABASE_URL": "", "DATABASE_URL_FILE": "./secrets/prod/database_url"}
        inside = replace(checkout, variables={**checkout.variables, **file_alone})
        assert "DATA_INTERNAL=false" in one_message(inside.invoke("prod.up"))

        outside = replace(inside, variables={**inside.variables, "DATA_INTERNAL": "false"})
        outside.succeed("prod.build", timeout=600)
        outside.succeed("prod.up", "--ports", "auto")
        try:
            with running(outside, "prod") as production:
                whole(production.followed(production.ask(habits=2)), 2)
            assert not checkout.containers("prod", "postgres")
            told = "p%40ss", "p@ss"
            for record in checkout.containers("prod"):
                environment = str(record["Config"]["Env"])
                assert not any(word in environment for word in told), record["Name"]
        finally:
            outside.succeed("prod.down", "--volumes", "--yes")

    def test_a_malformed_address_is_refused_before_anything_starts(self, pooled: Stack) -> None:
        url = "postgresql://gangway:p@ss@pooler/external"
        message = one_message(pooled.checkout.invoke("dev.up", DATABASE_URL=url))
        assert "DATABASE_URL" in message and "USER:PASSWORD@HOST:6543/DATABASE" in message
        assert "p@ss" not in message


def bridge_address() -> str:
    """Return this machine's address on the engine's own network: containers reach it."""
    template = "{{(index .IPAM.Config 0).Gateway}}"
    return docker("network", "inspect", "bridge", "--format", template).stdout.strip()


def owner(file: Path) -> tuple[int, int]:
    """Return the uid and gid that a file belongs to."""
    status = file.stat()
    return status.st_uid, status.st_gid


def _python_image(checkout: Checkout) -> str:
    model = json.loads(checkout.succeed("dev.config", "--", "--format", "json").stdout)
    return str(model["services"]["api"]["build"]["args"]["PYTHON_IMAGE"])


class TestProduction:
    @pytest.fixture(scope="class")
    @classmethod
    def shipped(cls, checkout: Checkout, stack: Stack) -> Iterator[Stack]:
        checkout.succeed("prod.init")
        checkout.succeed("prod.build", timeout=600)
        checkout.succeed("prod.up", "--ports", "auto")
        with running(checkout, "prod") as production:
            yield production
        checkout.succeed("prod.down", "--volumes", "--yes")

    def test_the_proxy_passes_each_event_on_as_it_comes(self, shipped: Stack) -> None:
        followed = shipped.followed(shipped.ask(habits=6))
        whole(followed, 6)
        at = [event.at for event in followed.events if event.kind == "progress"]
        gaps = [later - sooner for sooner, later in pairwise(at)]
        assert min(gaps) > STEP / 2, gaps

    def test_a_hardened_worker_has_a_browser_that_works(self, shipped: Stack) -> None:
        record = shipped.checkout.containers("prod", "worker")[0]["HostConfig"]
        assert record["ReadonlyRootfs"] and record["CapDrop"] == ["ALL"]
        job = shipped.ask(mode="detailed", habits=1)
        whole(shipped.followed(job), 1)
        assert shipped.client.get(shipped.job(job)["report"]).content.startswith(b"%PDF-")

    def test_images_are_no_larger_than_they_need_be(self, shipped: Stack) -> None:
        base = inspect([os.environ.get("PYTHON_IMAGE") or _python_image(shipped.checkout)])[0]
        sizes = {
            service: inspect([shipped.checkout.containers("prod", service)[0]["Image"]])[0]["Size"]
            for service in ("api", "worker")
        }
        print({name: f"{size / 1e6:.0f} MB" for name, size in sizes.items()})
        assert sizes["api"] - base["Size"] <= API_OVER_BASE
        assert sizes["worker"] <= WORKER_IN_ALL
        for service, there in (("api", False), ("worker", True)):
            look = "command -v chromium-headless-shell && python -c 'import playwright'"
            found = docker("exec", shipped.container(service), "sh", "-c", look)
            assert (found.status == 0) is there, found.text

    def test_clients_behind_the_proxy_are_told_apart(self, shipped: Stack) -> None:
        shipped.ask(habits=1)
        keys = shipped.checkout.succeed("prod.redis", "--", "--scan", "--pattern", "ratelimit:*")
        gateway = keys.stdout.strip().removeprefix("ratelimit:jobs:")
        nginx = inspect([shipped.container("nginx")])[0]["NetworkSettings"]["Networks"]
        assert gateway not in {each["IPAddress"] for each in nginx.values()}, keys.stdout

    def test_the_server_stops_in_time_though_streams_are_open(self, shipped: Stack) -> None:
        job = shipped.ask(habits=40)
        with shipped.listening(job) as listener:
            listener.wait("progress")
            begun = time.monotonic()
            done = docker("stop", shipped.container("api"))
            assert done.status == 0 and time.monotonic() - begun < 6, done.text
        shipped.checkout.succeed("prod.up")


class TestNative:
    def test_api_and_worker_run_natively_and_detailed_reports_fall_back(
        self, make_native: MakeNative
    ) -> None:
        native = make_native("native", myself(), GANGWAY_STACK="jobs", JOBS_STEP_SECONDS="0.1")
        native.succeed("dev.up", "--engine", "native", "--ports", "auto", timeout=300)
        try:
            with running(native, "dev") as stack:
                whole(stack.followed(stack.ask()))
                job = stack.ask(mode="detailed", habits=2)
                whole(stack.followed(job), 2)
                assert stack.job(job)["message"].startswith("The report is plain: ")
            reset = native.succeed("dev.ratelimit", "--reset")
            assert "deleted 1 key" in reset.stderr, reset.text
        finally:
            native.succeed("dev.down", "--volumes", "--yes")
