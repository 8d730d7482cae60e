"""What a command line is for: a web server, a worker, a migration, tests, or something else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gangway.operations.adoption.look.shell import Command, commands, words_of

_WRAPPERS = frozenset(
    {"s6-setuidgid", "tini", "dumb-init", "gosu", "su-exec", "nice", "exec", "env", "time"}
)
_RUNNERS = {
    "uv": "run",
    "poetry": "run",
    "pipenv": "run",
    "pdm": "run",
    "hatch": "run",
    "rye": "run",
}
_SHELLS = frozenset({"sh", "bash", "dash", "ash"})
# Options without a value, of the servers.
_SWITCHES = frozenset(
    {
        "--preload", "--reload", "--daemon", "-D", "--capture-output", "--no-sendfile",
        "--reuse-port", "--proxy-headers", "--no-proxy-headers", "--no-access-log",
        "--access-log", "--factory", "--use-colors", "--no-use-colors", "--no-server-header",
        "--no-date-header", "--debug", "--call", "--enable-stdio-inheritance", "--statsd",
        "--spew", "--check-config", "--print-config", "-R", "--insecure", "--noreload",
        "--no-reload", "--debugger", "--no-debugger", "--with-threads", "--without-threads",
        "--nothreading", "--nostatic",
    }
)  # fmt: skip
_ADDRESS = re.compile(r"(?:.*:)?(\d{2,5})/?")
_PYTHON = re.compile(r"python[\d.]*")
_APP_SERVERS = frozenset(
    {"gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve"}
)
_SERVERS = frozenset(
    {"gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve", "fastapi", "flask",
     "uwsgi", "quart"}
)  # fmt: skip


_KNOWN = _SERVERS | {"celery", "alembic", "pytest", "dramatiq", "arq", "rq", "manage.py"}


@dataclass(frozen=True)
class Server:
    """A command that serves the app over HTTP."""

    program: str
    target: str = ""
    """`module:attribute`, or a file; empty where the command doesn't say."""
    interface: str = ""
    """`asgi` or `wsgi`, where the command says it."""
    port: int | None = None


@dataclass(frozen=True)
class Job:
    """A command that does something else for the app."""

    kind: str
    """`worker`, `beat`, `flower`, `scheduler`, `migrate`, `seed`, `collect`, `test`, `python`."""
    command: Command
    app: str = ""
    """What `-A` names, for Celery."""


def unwrapped(command: Command, values: Mapping[str, str] | None = None) -> list[Command]:
    """Return a command without what only starts it: `sh -c`, `uv run`, `tini --`, `exec`.

    One that is a whole shell line becomes the commands of that.
    """
    words = list(command.words)
    while words:
        program = words[0].rpartition("/")[2]
        if program in _SHELLS and len(words) > 2 and re.fullmatch(r"-\w*c", words[1]):
            inner = commands(words[2], values)
            return [each for one in inner for each in unwrapped(one, values)]
        rest = _without_wrapper(program, words)
        if rest is None:
            break
        words = rest
    if not words:
        return []
    return [replace(command, words=tuple(_plainly(program, words)))]


def _plainly(program: str, words: list[str]) -> list[str]:
    """Return a command's words as they are here: Django's alike, of no other environment."""
    if program in ("manage.py", "django-admin", "django-admin.py"):
        return ["python", "manage.py", *words[1:]]
    if _PYTHON.fullmatch(program) and words[1:3] in (["-m", "manage"], ["-m", "django"]):
        return ["python", "manage.py", *words[3:]]
    if _PYTHON.fullmatch(program):
        return ["python", *words[1:]]
    return [program, *words[1:]] if words[0].startswith("/") and program in _KNOWN else words


def _without_wrapper(program: str, words: list[str]) -> list[str] | None:
    """Return a command without its first program, None where that isn't a mere wrapper."""
    if program in _SHELLS and len(words) > 1 and not words[1].startswith("-"):
        return words[1:]
    if program in _WRAPPERS:
        rest = words[1:]
        while rest and (rest[0].startswith("-") or re.fullmatch(r"\w+=.*", rest[0])):
            rest = rest[1:]
        return rest[1:] if program in ("gosu", "su-exec", "s6-setuidgid") else rest
    if program in _RUNNERS and _RUNNERS[program] in words[1:2]:
        return _after_options(words[2:])
    if program in ("watchfiles", "watchmedo"):
        return words[words.index("--") + 1 :] if "--" in words else _watched(words)
    is_module = _PYTHON.fullmatch(program) and words[1:2] == ["-m"]
    return words[2:] if is_module and _KNOWN & set(words[2:3]) else None


def _after_options(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        takes_value = words[0] in ("--package", "--with", "--group", "--directory", "--project")
        words = words[2 if takes_value else 1 :]
    return words


def _watched(words: list[str]) -> list[str]:
    """Return what watchfiles runs: a command line, or a function with its arguments."""
    inner: list[str] = []
    at = 1
    while at < len(words):
        if words[at] == "--args" and at + 1 < len(words):
            return [*(inner or ["python"]), *words_of(words[at + 1])]
        if words[at].startswith("-"):
            at += 1 if "=" in words[at] or words[at] in ("--verbose", "--quiet") else 2
            continue
        if not inner:
            inner = (
                ["celery"] if words[at].startswith("celery.__main__") else list(words_of(words[at]))
            )
        at += 1
    return inner


def server(command: Command) -> Server | None:
    """Return what a command serves, None where it serves nothing."""
    program, words = command.program, list(command.words[1:])
    if program in _APP_SERVERS:
        return _app_server(program, words)
    plain, options = _options(words)
    port = _port(options, "--port", "-p", "--http", "--http-socket", "--socket")
    found: Server | None = None
    if program == "uwsgi":
        target = options.get("--module", options.get("-w", options.get("--wsgi-file", "")))
        found = Server("uwsgi", target, "wsgi", port)
    elif program == "fastapi" and plain[:1] in (["run"], ["dev"]):
        named = options.get("--entrypoint", options.get("-e", ""))
        found = Server("fastapi", plain[1] if len(plain) > 1 else named, "asgi", port or 8000)
    elif program in ("flask", "quart") and "run" in plain:
        target = options.get("--app", options.get("-A", ""))
        found = Server(program, target, "asgi" if program == "quart" else "wsgi", port or 5000)
    elif is_python(command) and re.match(r"\S*manage\.py runserver", " ".join(plain)):
        found = Server("manage.py", port=_port({"": plain[2]}, "") if plain[2:] else 8000)
    return found


def _app_server(program: str, words: Sequence[str]) -> Server:
    plain, options = _options(words)
    port = _port(options, "-b", "--bind", "--port", "-p", "--listen")
    if not plain:
        return Server(program, "", "", port)
    worker = options.get("-k", options.get("--worker-class", "")).lower()
    is_wsgi = {
        "gunicorn": "uvicorn" not in worker and "asgi" not in worker,
        "waitress-serve": True,
        "granian": options.get("--interface") == "wsgi",
    }.get(program, False)
    return Server(program, plain[0], "wsgi" if is_wsgi else "asgi", port)


def _options(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the plain words of a command line and its options with their values."""
    plain: list[str] = []
    options: dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-") or word == "-":
            plain.append(word)
        elif "=" in word:
            name, _, value = word.partition("=")
            options.setdefault(name, value)
        elif re.fullmatch(r"-[bpwkct]\S+", word) and not word.startswith("--"):
            options.setdefault(word[:2], word[2:])
        elif word in _SWITCHES or at >= len(words) or words[at].startswith("--"):
            options.setdefault(word, "")
        else:
            options.setdefault(word, words[at])
            at += 1
    return plain, options


def _port(options: Mapping[str, str], *names: str) -> int | None:
    for name in names:
        match = _ADDRESS.fullmatch(options.get(name, ""))
        if match:
            return int(match[1])
    return None


_JOBS = {
    "rq": "worker", "rqworker": "worker", "arq": "worker", "dramatiq": "worker",
    "huey_consumer": "worker", "taskiq": "worker", "rqscheduler": "scheduler",
    "aerich": "migrate", "piccolo": "migrate", "yoyo": "migrate", "pytest": "test", "nox": "test",
    "tox": "test",
}  # fmt: skip


def is_python(command: Command) -> bool:
    """Say whether a command is Python with a script or a module."""
    return _PYTHON.fullmatch(command.program) is not None


def job(command: Command) -> Job | None:
    """Return what else a command does for the app, None where that can't be told."""
    program, words = command.program, command.words[1:]
    if program == "celery":
        return _celery(command)
    if is_python(command) and words:
        return _python(command)
    kind = _JOBS.get(program, "")
    if kind == "worker" and "scheduler" in words:
        kind = "scheduler"
    if program == "alembic":
        kind = "migrate" if "upgrade" in words else ""
    if program == "flask":
        steps = {"digest", "assets", "translate", "compile", "build"} & set(words)
        migrates = {"db", "upgrade"} <= set(words)
        kind = "migrate" if migrates else "collect" if steps else "python"
    return Job(kind, command) if kind else None


def _celery(command: Command) -> Job | None:
    plain, options = _options(command.words[1:])
    app = options.get("-A", options.get("--app", ""))
    for kind in ("flower", "beat", "worker"):
        if kind in plain or kind in command.words:
            return Job(kind, command, app)
    return None


_MANAGE = {
    "migrate": "migrate", "collectstatic": "collect", "compilemessages": "collect",
    "compress": "collect", "tailwind": "collect", "test": "test", "loaddata": "seed",
    "rqworker": "worker", "rqscheduler": "scheduler", "run_huey": "worker", "qcluster": "worker",
    "procrastinate": "worker", "rundramatiq": "worker", "db_worker": "worker",
}  # fmt: skip


def _python(command: Command) -> Job:
    words = command.words[1:]
    if words[0].endswith("manage.py"):
        name = next((word for word in words[1:] if not word.startswith("-")), "")
        kind = _MANAGE.get(name, "")
        if not kind:
            kind = "seed" if re.search(r"seed|populate|initial|fixture|demo", name) else "python"
        return Job(kind, command)
    if words[:2] in (("-m", "unittest"), ("-m", "pytest")):
        return Job("test", command)
    if words[:2] == ("-m", "rq"):
        return Job("worker", command)
    text = " ".join(words)
    kinds = (kind for kind, pattern in _SCRIPTS if re.search(pattern, text))
    return Job(next(kinds, "python"), command)


_SCRIPTS = (
    ("seed", r"initial_data|seed|populate|fixtures"),
    ("migrate", r"\bmigrat(e|ions)\b"),
    ("wait", r"pre_start|wait_for|wait-for"),
    ("scheduler", r"schedul|cron"),
    ("worker", r"worker|consumer"),
)


_SHELLS_OWN = frozenset(
    {
        "wait-for-it", "wait-for-it.sh", "wait-for", "wait_for_it", "dockerize", "nc", "ncat",
        "pg_isready", "wait4ports", "sleep", "until", "while", "done", "wait", "set", "echo",
        "printf", "shift", "true", ":", "cd", "trap", "if", "fi", "else", "elif", "[", "[[",
        "mkdir", "exit", "rm", "source", ".", "export", "return", "do", "unset", "test", "local",
        "declare",
    }
)  # fmt: skip


def is_waiting(command: Command) -> bool:
    """Say whether a command only waits for a service, or is only the shell's."""
    return (
        command.program in _SHELLS_OWN
        or re.search(r"wait[-_]?for", command.text) is not None
        or command.words[0].startswith(("$", "#"))
        or command.words[0].endswith("()")
    )
