"""What runs beside the web service: Celery's worker and beat, RQ, arq, Dramatiq, a scheduler."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gangway.operations.adoption.found import Program
from gangway.operations.adoption.look.locks import Lock
from gangway.operations.adoption.look.programs import Job
from gangway.operations.adoption.look.python import Sources, module_name, name_of
from gangway.operations.adoption.look.shell import Command

# Options that write where a container can't, or that need a terminal.
_FILES = ("--logfile", "-f", "--pidfile", "--schedule", "-s", "--statedb", "-S")
_SCHEDULE = "--schedule=/tmp/celerybeat-schedule"
_QUEUES = ("celery", "rq", "django-rq", "arq", "dramatiq", "huey", "taskiq", "flask-rq2")


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


def has_schedule(sources: Sources, files: Iterable[str], lock: Lock) -> str:
    """Return the place that gives beat something to do, nothing where there is none."""
    words = r"\bbeat_schedule\b|\bCELERY_BEAT_SCHEDULE\b|\bCELERYBEAT_SCHEDULE\b|add_periodic_task|django_celery_beat"
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
    embedded = job.kind == "worker" and ("-B" in kept or "--beat" in kept)
    if celery and (job.kind == "beat" or embedded) and not in_database:
        if not any("DatabaseScheduler" in word or "redbeat" in word.lower() for word in kept):
            kept.append(_SCHEDULE)
    return Command(tuple(kept), {}).text


def programs(
    jobs: Iterable[tuple[str, Job, str]],
    celery: Celery | None,
    *,
    schedule: str,
    in_database: bool,
    lock: Lock,
    django: bool,
    arq: str = "",
) -> tuple[list[Program], list[tuple[str, str]]]:
    """Return what runs beside the web service, and the evidence.

    `jobs` are what Compose files and a Procfile start: name, job, place. What nobody starts is
    made up from the code where that is plain: a worker for Celery, a beat where it has a schedule.
    """
    found: dict[str, Program] = {}
    evidence: list[tuple[str, str]] = []
    for name, job, where in jobs:
        if job.kind not in ("worker", "beat", "scheduler", "python"):
            continue
        line = command(job, in_database=in_database)
        if any(each.command == line for each in found.values()):
            continue
        known = _service_name(name, job.kind, found)
        if known not in found:
            found[known] = Program(known, line)
            evidence.append((f"{known}: {line}", where))
    kinds = " ".join(each.command for each in found.values())
    if celery and not re.search(r"\bcelery\b.*\bworker\b", kinds):
        job = Job(
            "worker", Command(("celery", "-A", celery.target, "worker", "--loglevel=info"), {})
        )
        found["worker"] = Program("worker", command(job, in_database=in_database))
        evidence.append((f"worker: {found['worker'].command}", celery.where))
    beats = re.search(r"\bbeat\b|\s-B\b|--beat\b", kinds)
    if celery and schedule and not beats:
        job = Job("beat", Command(("celery", "-A", celery.target, "beat", "--loglevel=info"), {}))
        found["beat"] = Program("beat", command(job, in_database=in_database))
        evidence.append((f"beat: {found['beat'].command}", schedule))
    if arq and not re.search(r"\barq\b", kinds):
        found["worker"] = Program("worker", f"arq {arq}")
        evidence.append((f"worker: arq {arq}", lock.path))
    if not found and lock.has("rq", "django-rq"):
        if django and lock.has("django-rq"):
            found["worker"] = Program("worker", "python manage.py rqworker default")
        elif not django:
            found["worker"] = Program("worker", "rq worker")
        if found:
            evidence.append((f"worker: {found['worker'].command}", lock.path))
    return list(found.values()), evidence


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


def keeps_queue(lock: Lock, found: Iterable[Program], broker: str) -> bool:
    """Say whether a queue is kept in Redis; `broker` is the broker's address where one is known."""
    if broker and not re.match(r"rediss?://|sentinel://|\{", broker):
        return False
    if lock.has(*_QUEUES):
        return True
    return any(re.match(r"(celery|rq|arq|dramatiq|taskiq)\b", each.command) for each in found)


def worker_settings(sources: Sources, files: Iterable[str], root: str) -> str:
    """Return the dotted name of arq's WorkerSettings."""
    for source in sources.saying(r"class WorkerSettings\b", sorted(files)):
        return f"{module_name(source.path, root)}.WorkerSettings"
    return ""
