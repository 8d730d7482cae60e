"""Celery and RQ have a heartbeat without the app's doing, and one that hangs has none."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import valkey

from gangway.engines.native import tools
from tests.scripts.conftest import ROOT, SCRIPTS, Environment, Script
from tests.support.drivers import family, held
from tests.support.postgres import free_port
from tests.support.processes import Running, eventually, running

TASKS = """
import time
from celery import Celery
from celery.worker.control import control_command

app = Celery("shop")
app.conf.beat_schedule = {"each second": {"task": "shop.note", "schedule": 1.0}}

@app.task
def note():
    print("noted", flush=True)

@app.task
def work(seconds):
    print("task begun", flush=True)
    time.sleep(seconds)
    print("task done", flush=True)

@app.task(acks_late=True)
def late(seconds):
    work(seconds)

@control_command()
def hang(state):
    print("loop hangs", flush=True)
    time.sleep(600)
"""
JOBS = """
import time

def work(seconds):
    print("task begun", flush=True)
    time.sleep(seconds)
    print("task done", flush=True)
"""
MANAGE = """
import sys
from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(INSTALLED_APPS=["django_rq"], RQ_QUEUES={"default": {"URL": "%s"}})
execute_from_command_line(sys.argv)
"""
WORKER = "celery -A shop worker --concurrency=1 --loglevel=info"
# Seconds that a loop may stand still.
STUCK = 4
# Seconds that a heartbeat may be old, and RQ's: redis-py tries for seven before RQ hears of an end.
AGE, RQ_AGE = 6, 9


@dataclass
class Broker:
    """A Redis that comes and goes."""

    env: Environment
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    @contextmanager
    def there(self) -> Iterator[valkey.Valkey]:
        """Serve meanwhile."""
        command = ["valkey-server", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        with running(command, env=self.env) as process:
            process.says("Ready to accept connections")
            with valkey.Valkey(port=self.port) as client:
                yield client


@pytest.fixture(scope="session")
def queues(programs: Path) -> None:
    """Add RQ to what the applications need."""
    subprocess.run(
        ["uv", "pip", "install", "--quiet", "--no-build", "--require-hashes",
         "--python", programs / "python", "-r", ROOT / "tests/support/requirements-queues.txt"],
        check=True,
    )  # fmt: skip


@pytest.fixture
def broker(queues: None, env: Environment, tmp_path: Path) -> Broker:
    """Return a broker that isn't there yet; make the apps that use it."""
    (tmp_path / "tmp").mkdir()
    found = Broker({**os.environ, "PATH": f"{tools.valkey()}:{os.environ['PATH']}"}, free_port())
    (tmp_path / "shop.py").write_text(TASKS)
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "manage.py").write_text(MANAGE % found.url)
    env |= {
        "TMPDIR": str(tmp_path / "tmp"), "APP_INTERFACE": "program", "PYTHONUNBUFFERED": "1",
        "CELERY_BROKER_URL": found.url, "RQ_REDIS_URL": found.url, "HEARTBEAT_SECONDS": str(STUCK),
    }  # fmt: skip
    return found


@pytest.fixture
def healthy(script: Script) -> "Healthy":
    """Return what tells whether the program is."""
    return Healthy(script)


@dataclass
class Healthy:
    """The probe."""

    script: Script
    age: int = AGE
    why: str = ""

    def __call__(self) -> bool:
        done = self.script("healthcheck", "heartbeat", str(self.age))
        assert done.status in {0, 1}, done.err
        self.why = done.err
        return done.status == 0

    def soon(self) -> None:
        """Return once it is."""
        eventually(self, "a heartbeat")

    def stays(self, seconds: float) -> None:
        """Look for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self(), self.why
            time.sleep(0.3)

    def ends(self, seconds: float = 20) -> None:
        """Return once it isn't."""
        eventually(lambda: not self(), "no heartbeat", seconds)


@contextmanager
def program(env: Environment, folder: Path, target: str, **variables: str) -> Iterator[Running]:
    """Serve a command line."""
    given = {**env, **variables, "APP_TARGET": target}
    with running(["entrypoint", "serve"], env=given, cwd=folder) as process:
        yield process


def send(env: Environment, folder: Path, code: str) -> None:
    """Run code as the app would."""
    subprocess.run(["python", "-c", code], env=env, cwd=folder, check=True)


def enqueue(env: Environment, folder: Path, seconds: float, how: str = "") -> None:
    """Give RQ a job."""
    url = env["RQ_REDIS_URL"]
    send(env, folder, f"import redis, rq; rq.Queue(connection=redis.Redis.from_url('{url}'))"
         f".enqueue('jobs.work', {seconds}, {how})")  # fmt: skip


PROGRAMS = {
    "worker": (WORKER, "celery@"),
    "worker as a module": (f"python -m {WORKER}", "celery@"),
    "worker with beat": (f"{WORKER} -B", "noted"),
    "worker with threads": (f"{WORKER} --pool=threads", "celery@"),
    "worker without a pool": (f"{WORKER} --pool=solo", "celery@"),
    "beat": ("celery -A shop beat --loglevel=info", "Sending due task"),
    "rq": ("rq worker", "Listening on"),
    "rq without forks": ("rq worker --worker-class rq.SimpleWorker", "Listening on"),
    "rq as a module": ("python -m rq.cli worker", "Listening on"),
    "django-rq": ("python manage.py rqworker", "Listening on"),
}
EACH = pytest.mark.parametrize(("target", "says"), PROGRAMS.values(), ids=PROGRAMS)


@EACH
def test_a_program_that_hangs_has_no_heartbeat_and_one_that_ends_ends_well(
    env: Environment, broker: Broker, tmp_path: Path, healthy: Healthy, target: str, says: str
) -> None:
    with broker.there(), program(env, tmp_path, target) as process:
        process.says(says)
        healthy.soon()
        process.signal(signal.SIGSTOP)
        healthy.ends()
        process.signal(signal.SIGCONT)
        healthy.soon()
        process.signal()
        assert process.ends() == 0, process.log
        # The app's folder may be read-only.
        assert {path.name for path in tmp_path.iterdir()} <= {
            "tmp", "shop.py", "jobs.py", "manage.py"
        }  # fmt: skip


@pytest.mark.parametrize(
    "target", [WORKER, f"{WORKER} --pool=threads"], ids=["processes", "threads"]
)
def test_a_worker_s_loop_that_stands_still_has_no_heartbeat(
    env: Environment, broker: Broker, tmp_path: Path, healthy: Healthy, target: str
) -> None:
    with broker.there(), program(env, tmp_path, target) as process:
        process.says("ready")
        healthy.soon()
        send(env, tmp_path, "import shop; shop.app.control.broadcast('hang')")
        process.says("loop hangs")
        healthy.stays(STUCK - 2)
        healthy.ends()


def test_a_beat_inside_a_worker_that_hangs_takes_the_heartbeat_with_it(
    env: Environment, broker: Broker, tmp_path: Path, healthy: Healthy
) -> None:
    with broker.there(), program(env, tmp_path, f"{WORKER} -B") as process:
        process.says("noted")
        healthy.soon()
        # A pool's processes have one thread.
        [beat] = [pid for pid in family(process.process.pid)[1:] if held(pid).threads > 1]
        os.kill(beat, signal.SIGSTOP)
        healthy.stays(STUCK - 2)
        healthy.ends()


def waits_for_a_job(redis: valkey.Valkey) -> bool:
    """Say whether a client of Redis waits for the next element of a list."""
    clients: Any = redis.client_list()
    return any(client["cmd"].startswith("bl") for client in clients)


@pytest.mark.parametrize(
    "kind",
    ["worker", "worker with beat", "beat", "rq"],
)
def test_a_program_that_waits_for_its_broker_is_alive(
    env: Environment, broker: Broker, tmp_path: Path, healthy: Healthy, kind: str
) -> None:
    target, says = PROGRAMS[kind]
    if "rq" in kind:
        healthy.age = RQ_AGE
    with ExitStack() as programs:
        if "rq" not in kind:
            # RQ ends where nothing answers when it starts.
            process = programs.enter_context(program(env, tmp_path, target))
            healthy.soon()
            healthy.stays(STUCK + 3)
        with broker.there() as redis:
            if "rq" in kind:
                process = programs.enter_context(program(env, tmp_path, target))
            process.says(says)
            if "rq" in kind:
                # It ends as well where that goes before it waits for its first job.
                eventually(lambda: waits_for_a_job(redis), "a worker that waits for a job")
            healthy.soon()
        healthy.stays(STUCK + 3)
        with broker.there():
            before = process.log.count(says)
            if "rq" in kind:
                enqueue(env, tmp_path, 0)
                process.says("task done", 90)
            elif "beat" in kind:
                eventually(lambda: process.log.count(says) > before, "another", 40)
            else:
                send(env, tmp_path, "import shop; shop.work.delay(0)")
                process.says("task done", 40)
            healthy.soon()
            process.signal()
            assert process.ends() == 0, process.log


@pytest.mark.parametrize(
    "kind", ["worker", "worker without a pool", "worker with threads", "rq", "rq without forks"]
)
def test_a_task_that_takes_long_is_no_hang_and_is_done_before_the_end(
    env: Environment, broker: Broker, tmp_path: Path, healthy: Healthy, kind: str
) -> None:
    target, says = PROGRAMS[kind]
    with broker.there(), program(env, tmp_path, target) as process:
        process.says(says)
        if "rq" in kind:
            enqueue(env, tmp_path, STUCK + 5)
        else:
            send(env, tmp_path, f"import shop; shop.work.delay({STUCK + 5})")
        process.says("task begun")
        healthy.stays(STUCK + 2)
        process.signal()
        assert process.ends() == 0, process.log
        assert "task done" in process.log


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_celery_gives_back_what_outlasts_the_grace_period_and_what_has_not_begun(
    env: Environment, broker: Broker, tmp_path: Path, pool: str
) -> None:
    worker = f"{WORKER} --pool={pool}"
    with broker.there() as queue:
        with program(env, tmp_path, worker, GRACEFUL_SECONDS="2") as first:
            first.says("ready")
            send(env, tmp_path, "import shop; shop.late.delay(60); shop.late.delay(0)")
            send(env, tmp_path, "import shop; shop.work.apply_async((0,), countdown=30)")
            first.says("task begun")
            began = time.monotonic()
            first.signal()
            first.ends(8)
            assert time.monotonic() - began > 1.8
        assert queue.llen("celery") == 3, first.log
        assert queue.hlen("unacked") == 0


def test_celery_loses_and_repeats_no_task_when_its_successor_is_there_first(
    env: Environment, broker: Broker, tmp_path: Path
) -> None:
    with broker.there(), ExitStack() as workers:
        logs = [workers.enter_context(program(env, tmp_path, WORKER))]
        logs[0].says("ready")
        send(env, tmp_path, "import shop; [shop.work.delay(0.1) for _ in range(40)]")
        logs[0].says("task done")
        logs.append(workers.enter_context(program(env, tmp_path, WORKER)))
        logs[1].says("ready")
        logs[0].signal()
        assert logs[0].ends(8) == 0, logs[0].log
        eventually(lambda: sum(each.log.count("task done") for each in logs) >= 40, "all tasks")
        assert sum(each.log.count("task begun") for each in logs) == 40


@pytest.mark.parametrize(
    ("retry", "place"),
    [("rq.Retry(1)", "rq:queue:default"), ("None", "rq:failed:default")],
    ids=["again", "failed"],
)
def test_rq_loses_no_job_that_outlasts_the_grace_period(
    env: Environment, broker: Broker, tmp_path: Path, retry: str, place: str
) -> None:
    with broker.there() as queue, program(env, tmp_path, "rq worker", GRACEFUL_SECONDS="2") as rq:
        rq.says("Listening on")
        enqueue(env, tmp_path, 60, f"retry={retry}")
        rq.says("task begun")
        began = time.monotonic()
        rq.signal()
        assert rq.ends(8) == 0, rq.log
        assert time.monotonic() - began > 1.8
        kind = queue.type(place)
        found = queue.llen(place) if kind == b"list" else queue.zcard(place)
        assert found == 1, rq.log


def test_what_is_due_while_beat_is_replaced_is_sent_by_the_next_one_and_nothing_twice(
    env: Environment, broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(TASKS.replace('"schedule": 1.0', '"schedule": 6.0'))
    with broker.there() as queue:
        for sent, wait in ((1, 7), (2, 2)):
            with program(env, tmp_path, "celery -A shop beat --loglevel=info") as beat:
                began = time.monotonic()
                beat.says("Sending due task")
                # At its first start it waits for the first time; then it is late already.
                assert (time.monotonic() - began < 5) is (sent == 2)
                beat.signal()
                assert beat.ends(1) == 0, beat.log
            assert queue.llen("celery") == sent
            time.sleep(wait)
        with program(env, tmp_path, "celery -A shop beat --loglevel=info") as beat:
            beat.says("beat: Starting")
            beat.signal(signal.SIGKILL)
            beat.ends()
        assert queue.llen("celery") == 2


def test_under_the_reloader_a_worker_has_a_heartbeat_and_new_code(
    env: Environment, broker: Broker, tmp_path: Path, healthy: Healthy
) -> None:
    with broker.there(), program(env, tmp_path, WORKER, RELOAD="1") as process:
        process.says("ready")
        healthy.soon()
        (tmp_path / "shop.py").write_text(TASKS.replace("task begun", "task anew"))
        eventually(lambda: process.log.count("ready.") == 2, "the new worker")
        send(env, tmp_path, "import shop; shop.work.delay(0)")
        process.says("task anew")
        healthy.soon()
        process.signal()
        assert process.ends() == 0, process.log


def test_a_program_of_another_kind_runs_as_it_is(env: Environment, tmp_path: Path) -> None:
    for reload in ("", "1"):
        given = {**env, "APP_INTERFACE": "program", "RELOAD": reload, "TMPDIR": str(tmp_path)}
        target = (
            """bash -c 'trap "echo ended; exit 0" TERM; echo "$0 $HOME" "$@"; sleep 60 & wait' a"""
        )
        command = ["entrypoint", "serve", "b c"]
        with running(command, env={**given, "APP_TARGET": target}, cwd=tmp_path) as process:
            process.says("a  b c")
            process.signal()
            assert process.ends() == 0, process.log
            assert "ended" in process.log
    assert not (tmp_path / "heartbeat").exists()


def test_a_celery_that_is_not_there_is_named(script: Script, bare: Path) -> None:
    path = f"{SCRIPTS}:{bare}:/usr/bin:/bin"
    done = script("serve", APP_INTERFACE="program", APP_TARGET="celery -A x worker", PATH=path)
    assert done.status == 127
    assert "cannot run celery" in done.err
    assert "Traceback" not in done.err
