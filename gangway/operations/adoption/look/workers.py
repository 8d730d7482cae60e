"""What runs beside the web service: Celery's worker and beat, RQ, arq, Dramatiq, a scheduler."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gangway.operations.adoption.found import Loss, Program
from gangway.operations.adoption.look.locks.lock import Lock
from gangway.operations.adoption.look.programs import Job
from gangway.operations.adoption.look.python import Sources, module_name, name_of
from gangway.operations.adoption.look.shell import Command

# Options that write where a container can't, or that need a terminal.
_FILES = ("--logfile", "-f", "--pidfile", "--schedule", "-s", "--statedb", "-S")
_SCHEDULE = "--schedule=/tmp/celerybeat-schedule"
_QUEUES = ("rq", "django-rq", "arq", "huey", "taskiq", "flask-rq2")


@dataclass(frozen=True)
class Celery:
    """An instance of Celery: its target for `-A`, its place."""

    target: str
    where: str
    path: str


def celery_app(sources: Sources, files: Iterable[str], root: str) -> Celery | None:
    """Return the app's instance of Celery, the one with the plainest name first."""
    found = sorted(
        _instances(sources, files, root), key=lambda each: (len(each.target), each.target)
    )
    return found[0] if found else None


def _instances(sources: Sources, files: Iterable[str], root: str) -> Iterator[Celery]:
    for source in sources.saying(r"\bCelery\b", sorted(files)):
        makers = {
            node.name
            for node in source.nodes
            if hasattr(node, "name") and re.search(r"celery", str(node.name), re.IGNORECASE)
        }
        for name, value in source.assigned():
            call = value.func if isinstance(value, ast.Call) else None
            made = call is not None and source.origin(call) in (
                "celery.Celery",
                "celery.app.Celery",
            )
            # Flask's documents keep it in the app's extensions.
            text = ast.unparse(value)
            kept = "extensions" in text and "celery" in text
            if not (made or kept or (call is not None and name_of(call) in makers)):
                continue
            module = module_name(source.path, root)
            # Celery looks for these names by itself.
            target = module if name in ("app", "celery") else f"{module}.{name}"
            yield Celery(target, source.where(value), source.path)


def schedule(sources: Sources, files: Iterable[str]) -> str:
    """Return the place that gives beat something to do, nothing where there is none."""
    words = r"\bbeat_schedule\b|\bCELERY_?BEAT_SCHEDULE\b|add_periodic_task|django_celery_beat"
    for source in sources.saying(words, sorted(files)):
        match = re.search(words, source.text)
        if match:
            return f"{source.path}:{source.text.count(chr(10), 0, match.start()) + 1}"
    return ""


def scheduler_in_database(sources: Sources, files: Iterable[str]) -> bool:
    """Say whether beat keeps its schedule in the database."""
    return any(True for _ in sources.saying(r"DatabaseScheduler|RedBeatScheduler", sorted(files)))


def command(job: Job, *, in_database: bool) -> str:
    """Return a worker's or a beat's command as a container runs it: nothing is written to files."""
    words, kept, at = list(job.command.words), [], 0
    celery = job.command.program == "celery"
    while at < len(words):
        word = words[at]
        at += 1
        if celery and word in _FILES and job.kind in ("worker", "beat"):
            at += 1
            continue
        if celery and re.match(r"--(logfile|pidfile|schedule|statedb)=", word):
            continue
        if celery and word in ("--detach", "-D"):
            continue
        if word in ("-b", "--broker") and celery:
            at += 1
            continue
        if celery and word.startswith("--broker="):
            continue
        kept.append(word)
    beats = celery and (job.kind == "beat" or "-B" in kept or "--beat" in kept)
    elsewhere = in_database or re.search(r"DatabaseScheduler|redbeat", " ".join(kept))
    if beats and not elsewhere:
        kept.append(_SCHEDULE)
    return Command(tuple(kept), {}).text


@dataclass
class Beside:
    """What runs beside the web service, and where that was found."""

    programs: dict[str, Program] = field(default_factory=dict)
    evidence: list[tuple[str, str]] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def add(self, name: str, line: str, where: str) -> None:
        """Take a program in, unless it is there already."""
        if name not in self.programs and line not in self.lines:
            self.programs[name] = Program(name, line)
            self.evidence.append((f"{name}: {line}", where))

    @property
    def lines(self) -> list[str]:
        """The command lines."""
        return [each.command for each in self.programs.values()]

    def runs(self, pattern: str) -> bool:
        """Say whether one of the command lines is such a one."""
        return any(re.search(pattern, line) for line in self.lines)


def started(jobs: Iterable[tuple[str, Job, str]], *, in_database: bool) -> Beside:
    """Return what Compose files and a Procfile start: name, job and place of each.

    `in_database` says that beat keeps its schedule there.
    """
    found = Beside()
    for name, job, where in jobs:
        if job.kind not in ("worker", "beat", "scheduler", "python"):
            continue
        line = command(job, in_database=in_database)
        known = _service_name(name, job.kind, found.programs)
        unknown = [word for word in shlex.split(line) if "$" in word]
        if unknown:
            line = shlex.join(word for word in shlex.split(line) if "$" not in word)
            do = f"say what it is in {known.upper().replace('-', '_')}_COMMAND"
            found.losses.append(Loss(f"{' '.join(unknown)} of {known}'s command", where, do))
        found.add(known, line, where)
    return found


def made_up(
    found: Beside, celery: Celery | None, schedule_where: str, *, in_database: bool
) -> None:
    """Add the worker, and the beat, of a Celery that nobody starts."""
    if celery is None:
        return
    start = ("celery", "-A", celery.target)
    beats = found.runs(r"\bbeat\b|\s-B\b|--beat\b")
    if not found.runs(r"\bcelery\b.*\bworker\b"):
        job = Job("worker", Command((*start, "worker", "--loglevel=info"), {}))
        found.add("worker", command(job, in_database=in_database), celery.where)
    if schedule_where and not beats:
        job = Job("beat", Command((*start, "beat", "--loglevel=info"), {}))
        found.add("beat", command(job, in_database=in_database), schedule_where)


def of_library(found: Beside, lock: Lock, arq: str, *, django: bool) -> None:
    """Add the worker of arq or RQ that nobody starts; `arq` is its WorkerSettings."""
    if arq and not found.runs(r"\barq\b"):
        found.add("worker", f"arq {arq}", lock.path)
    if found.programs:
        return
    if django and lock.has("django-rq"):
        found.add("worker", "python manage.py rqworker default", lock.path)
    elif not django and lock.has("rq"):
        found.add("worker", "rq worker", lock.path)


def _service_name(name: str, kind: str, found: dict[str, Program]) -> str:
    """Return a service's name: the kind's own where that is free."""
    if kind in ("worker", "beat", "scheduler") and kind not in found:
        return kind
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")
    return (
        plain
        if plain not in ("api", "migrate", "postgres", "redis", "broker", "nginx", "test-runner")
        else f"{plain}-2"
    )


def keeps_queue(lock: Lock, lines: Iterable[str], broker: str) -> bool:
    """Say whether a queue is kept in Redis; `broker` is the broker's address where one is known."""
    if broker and not re.match(r"rediss?://|sentinel://", broker):
        return False
    has_client = lock.has("redis", "hiredis") or "redis" in lock.extras.get("celery", ())
    if lock.has("celery", "dramatiq", "kombu"):
        # These know other brokers, too.
        return has_client
    pattern = re.compile(r"(celery|rq|arq|dramatiq|taskiq)\b")
    return lock.has(*_QUEUES) or any(pattern.match(line) for line in lines)


def worker_settings(sources: Sources, files: Iterable[str], root: str) -> str:
    """Return the dotted name of arq's WorkerSettings."""
    for source in sources.saying(r"class WorkerSettings\b", sorted(files)):
        return f"{module_name(source.path, root)}.WorkerSettings"
    return ""
