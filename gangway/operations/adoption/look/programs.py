"""What a command line is for: a web server, a worker, a migration, tests, or something else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
        "--preload", "--reload", "--daemon", "-D", "--capture-output", "--no-sendfile", "--reuse-port",
        "--proxy-headers", "--no-proxy-headers", "--no-access-log", "--access-log", "--factory",
        "--use-colors", "--no-use-colors", "--no-server-header", "--no-date-header", "--debug", "--call",
        "--enable-stdio-inheritance", "--statsd", "--spew", "--check-config", "--print-config", "-R",
        "--insecure", "--noreload", "--no-reload", "--debugger", "--no-debugger", "--with-threads",
        "--without-threads", "--nothreading", "--nostatic",
    }
)  # fmt: skip
_ADDRESS = re.compile(r"(?:.*:)?(\d{2,5})/?")
_PYTHON = re.compile(r"python[\d.]*")
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
    folder: str = ""
    """The folder that it changes to, as it says it."""
    factory: bool = False


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
    if words[0].startswith("/") and (_PYTHON.fullmatch(program) or program in _KNOWN):
        # Of a virtual environment, which is another one here.
        words[0] = program
    if program in ("manage.py", "django-admin", "django-admin.py"):
        words = ["python", "manage.py", *words[1:]]
    elif _PYTHON.fullmatch(program) and words[1:3] in (["-m", "manage"], ["-m", "django"]):
        words = ["python", "manage.py", *words[3:]]
    return [replace(command, words=tuple(words))]


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
    if program == "watchfiles":
        return _watched(words)
    if program == "watchmedo" and "--" in words:
        return words[words.index("--") + 1 :]
    if (
        _PYTHON.fullmatch(program)
        and words[1:2] == ["-m"]
        and len(words) > 2
        and words[2] in _KNOWN
    ):
        return words[2:]
    return None


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
    if program in ("gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve"):
        return _app_server(program, words)
    if program == "uwsgi":
        return _uwsgi(words)
    if program == "fastapi" and words[:1] in (["run"], ["dev"]):
        plain, options = _options(words[1:])
        target = plain[0] if plain else options.get("--entrypoint", options.get("-e", ""))
        return Server("fastapi", target, "asgi", _port(options, "--port") or 8000)
    if program in ("flask", "quart") and "run" in words:
        _, options = _options(words)
        target = options.get("--app", options.get("-A", ""))
        interface = "asgi" if program == "quart" else "wsgi"
        return Server(program, target, interface, _port(options, "--port", "-p") or 5000)
    if is_python(command) and words and words[0].endswith("manage.py"):
        if words[1:2] and re.fullmatch(r"runserver(_plus)?", words[1]):
            plain, _ = _options(words[2:])
            match = _ADDRESS.fullmatch(plain[0]) if plain else None
            return Server("manage.py", "", "", int(match[1]) if match else 8000)
    return None


def _app_server(program: str, words: Sequence[str]) -> Server | None:
    plain, options = _options(words)
    if not plain:
        return Server(program, "", "", _port(options, "-b", "--bind", "--port", "-p"))
    target, factory = plain[0], "--factory" in words or "--call" in words
    interface = "" if program == "gunicorn" else "asgi"
    if program == "waitress-serve":
        interface = "wsgi"
    if program == "granian":
        interface = "wsgi" if options.get("--interface") == "wsgi" else "asgi"
    worker = options.get("-k", options.get("--worker-class", ""))
    if program == "gunicorn":
        interface = "asgi" if "uvicorn" in worker.lower() or "asgi" in worker.lower() else "wsgi"
    port = _port(options, "-b", "--bind", "--port", "-p", "--listen")
    folder = options.get("--chdir", options.get("--app-dir", options.get("--root-path", "")))
    return Server(program, target, interface, port, folder, factory)


def _uwsgi(words: Sequence[str]) -> Server:
    _, options = _options(words)
    target = options.get("--module", options.get("-w", options.get("--wsgi-file", "")))
    port = _port(options, "--http", "--http-socket", "--socket")
    return Server("uwsgi", target, "wsgi", port, options.get("--chdir", ""))


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


def is_python(command: Command) -> bool:
    """Say whether a command is Python with a script or a module."""
    return _PYTHON.fullmatch(command.program) is not None


def job(command: Command) -> Job | None:
    """Return what else a command does for the app, None where that can't be told."""
    words = command.words[1:]
    program = command.program
    if program == "celery":
        return _celery(command)
    if program in ("rq", "rqworker") or program in ("arq", "dramatiq", "huey_consumer", "taskiq"):
        kind = "scheduler" if "scheduler" in words else "worker"
        return Job(kind, command)
    if program in ("rqscheduler",):
        return Job("scheduler", command)
    if program == "alembic":
        return Job("migrate", command) if "upgrade" in words else None
    if program in ("aerich", "piccolo", "yoyo"):
        return Job("migrate", command)
    if program == "pytest" or program == "nox" or program == "tox":
        return Job("test", command)
    if program == "flask":
        if "db" in words and "upgrade" in words:
            return Job("migrate", command)
        return Job(
            "collect"
            if {"digest", "assets", "translate", "compile", "build"} & set(words)
            else "python",
            command,
        )
    if is_python(command) and words:
        return _python(command)
    return None


def _celery(command: Command) -> Job | None:
    plain, options = _options(command.words[1:])
    app = options.get("-A", options.get("--app", ""))
    for kind in ("flower", "beat", "worker"):
        if kind in plain or kind in command.words:
            return Job(kind, command, app)
    return None


_MANAGE = {
    "migrate": "migrate",
    "collectstatic": "collect",
    "compilemessages": "collect",
    "compress": "collect",
    "tailwind": "collect",
    "test": "test",
    "loaddata": "seed",
    "rqworker": "worker",
    "rqscheduler": "scheduler",
    "run_huey": "worker",
    "qcluster": "worker",
    "procrastinate": "worker",
    "rundramatiq": "worker",
    "db_worker": "worker",
}


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
    for kind, pattern in (
        ("seed", r"initial_data|seed|populate|fixtures"),
        ("migrate", r"\bmigrat(e|ions)\b"),
        ("wait", r"pre_start|wait_for|wait-for"),
        ("scheduler", r"schedul|cron"),
        ("worker", r"worker|consumer"),
    ):
        if re.search(pattern, text):
            return Job(kind, command)
    return Job("python", command)


_WAITS = frozenset({"wait-for-it", "wait-for-it.sh", "wait-for", "wait_for_it", "dockerize", "nc", "ncat",
                    "pg_isready", "wait4ports", "sleep", "until", "while", "done", "wait"})  # fmt: skip
_PLAIN = frozenset(
    {"set", "echo", "printf", "shift", "true", ":", "cd", "trap", "if", "fi", "else", "elif", "[", "[[",
     "mkdir", "exit", "rm", "source", ".", "export", "return", "do", "unset", "test", "local", "declare"}
)  # fmt: skip


def is_waiting(command: Command) -> bool:
    """Say whether a command only waits for a service, or is only the shell's."""
    program = command.program
    return (
        program in _WAITS
        or program in _PLAIN
        or bool(re.search(r"wait[-_]?for", command.text))
        or command.words[0].startswith(("$", "#"))
        or command.words[0].endswith(("()", ">&2", ">"))
        or bool(re.match(r">|2>", command.words[0]))
    )


def first_server(every: Iterable[Command]) -> tuple[Server, Command] | None:
    """Return the first command that serves, with what it says."""
    for command in every:
        for inner in unwrapped(command):
            if found := server(inner):
                return found, inner
    return None
