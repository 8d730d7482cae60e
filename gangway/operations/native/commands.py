"""`docker compose`'s commands, as far as the tasks use them, on native services."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gangway.base import output
from gangway.base.errors import GangwayError
from gangway.engines.native import data, tools
from gangway.engines.native.engine import (
    NativeEngine,
    container,
    log_lines,
    run_quietly,
    services,
    shown,
)
from gangway.engines.native.service import as_user, command, private, seconds, stop
from gangway.model.model import stop_order
from gangway.operations.project import Project

Verb = Callable[[Project, NativeEngine, argparse.Namespace], int]

# Compose's own flags before the command that mean nothing here, and how many words they take.
_IGNORED: Final = {"--profile": 1, "--progress": 1}
_FOLLOW_EVERY: Final = 0.1


def run(project: Project, words: Sequence[str]) -> int:
    """Do what `docker compose WORDS…` would do; return its exit status.

    Raises GangwayError for a command or a flag that native services don't know.
    """
    rest = list(words)
    while rest and rest[0] in _IGNORED:
        del rest[: 1 + _IGNORED[rest[0]]]
    if rest[:1] == ["config"]:
        # Compose's own, with all of its options.
        return project.runner.run(project.compose(*rest))
    if rest[:1] == ["stats"]:
        raise GangwayError(
            "stats needs a container engine: these services are plain processes",
            fix="top shows what they use; `ps` has their process numbers",
        )
    options = _parser().parse_args(rest)
    verb: Verb = options.verb
    return verb(project, project.processes, options)


def up(project: Project, _engine: NativeEngine, options: argparse.Namespace) -> int:
    """Start the named services, or all, and return when they are ready."""
    from gangway.operations.native import starting

    wanted = project.model.wanted(options.services)
    starting.up(project, wanted)
    return 0


def down(project: Project, engine: NativeEngine, options: argparse.Namespace) -> int:
    """Stop everything, dependents before what they depend on; forget it, and the data if asked."""
    present = {service.name: service for service in engine.present()}
    if options.timeout == 0:
        stop(list(present.values()), at_once=True)
    else:
        needs = {
            name: each.read("spec.json").get("depends_on") or () for name, each in present.items()
        }
        for level in stop_order(needs):
            stop([present[name] for name in level])
    shutil.rmtree(engine.state / "services", ignore_errors=True)
    if options.volumes or data.is_in_memory(project.environment.kind, project.model):
        data.remove(engine.data)
    return 0


def ps(_project: Project, engine: NativeEngine, _options: argparse.Namespace) -> int:
    """List the services with state, process and ports."""
    rows = []
    for service in engine.present():
        state, runs = service.seen()
        seen = shown(service, state, runs)
        status = f"{seen.state} ({seen.health})" if seen.health else seen.state
        if seen.state == "exited":
            status += f" with status {seen.exit_code}"
        ports = ", ".join(str(port) for port in sorted(seen.published))
        pid = str(state.get("pid") or "") if seen.state == "running" else ""
        restarts = str(state.get("restarts") or "")
        rows.append((service.name, status, pid, ports, restarts))
    print(output.table(rows, ("SERVICE", "STATUS", "PID", "PORTS", "RESTARTS")))
    return 0


def logs(_project: Project, engine: NativeEngine, options: argparse.Namespace) -> int:
    """Show log lines of the named services, or of all, in the order of their times."""
    names = options.services or [service.name for service in engine.present()]
    width = max((len(name) for name in names), default=0)
    since = _since(options.since)
    seen: dict[str, str] = dict.fromkeys(names, since)
    count = None if options.tail in ("", "all") else int(options.tail)
    while True:
        rows = []
        for name in names:
            new = [line for line in log_lines(engine.supervised(name)) if line > seen[name]]
            if new:
                seen[name] = new[-1]
            rows += [(line, name) for line in (new if count is None else new[len(new) - count :])]
        for line, name in sorted(rows):
            if not _wrote(f"{name:<{width}}  | {line.partition(' ')[2]}\n"):
                return 0
        if not options.follow:
            return 0
        count = None
        time.sleep(_FOLLOW_EVERY)


def _wrote(line: str) -> bool:
    """Write to standard output; return False once nobody reads it any more (`| head`)."""
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except BrokenPipeError:
        output.nobody_reads()
        return False
    return True


def _since(text: str) -> str:
    """Return the time that lines must be later than, as the log writes it; empty for all."""
    if not text:
        return ""
    age = seconds(text, -1.0)
    if age >= 0:
        moment = datetime.now(UTC) - timedelta(seconds=age)
    else:
        try:
            moment = datetime.fromisoformat(text).astimezone(UTC)
        except ValueError:
            raise GangwayError(
                f"--since {text!r} is neither a time nor an age",
                fix="--since 10m, or --since 2026-01-31T12:00:00",
            ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:23]


def exec_(project: Project, engine: NativeEngine, options: argparse.Namespace) -> int:
    """Run a command as a running service would: with its variables, in its folder."""
    seen = container(engine.supervised(options.service))
    if seen.state != "running":
        raise GangwayError(
            f"{options.service} isn't running",
            fix=f"invoke {project.name}.up {options.service}",
        )
    return run_quietly(*_in_place(project, engine, options.service, options.words))


def one_off(project: Project, engine: NativeEngine, options: argparse.Namespace) -> int:
    """Run a service's entrypoint with other words, once what it depends on is ready."""
    name = options.service
    service = services(project.model)[name]
    if not options.no_deps:
        from gangway.operations.native import starting

        needed = [each for each in project.model.wanted([name]) if each != name]
        starting.up(project, needed)
    words = command(engine.place, name, service, options.words or None)
    if name in project.model.one_shots():
        # Whatever it does to the data, the next `up` finds out.
        (engine.supervised(name).folder / "state.json").unlink(missing_ok=True)
    return run_quietly(*_in_place(project, engine, name, words))


def _in_place(
    project: Project, engine: NativeEngine, name: str, words: Sequence[str]
) -> tuple[list[str], Path, dict[str, str]]:
    """Return what runs `words` as the service would: program, working directory, environment."""
    service = services(project.model)[name]
    place = engine.place
    private(place.folder(name) / "tmp")
    argv = [*as_user(service), *place.program(words)]
    return argv, place.directory(service), place.environment(name, service)


def restart(project: Project, _engine: NativeEngine, options: argparse.Namespace) -> int:
    """Start the named services, or all, again."""
    from gangway.operations.native import starting

    one_shots = project.model.one_shots()
    wanted = options.services or [
        name for name in project.model.by_default() if name not in one_shots
    ]
    starting.up(project, wanted, renew=True)
    return 0


def build(project: Project, _engine: NativeEngine, _options: argparse.Namespace) -> int:
    """Install the apps' locked libraries: what an image has besides the sources."""
    tools.install(project.root, project.environment.apps, project.environment.process_environment())
    return 0


class _Parser(argparse.ArgumentParser):
    """Refuses as the tasks do."""

    def error(self, message: str) -> Any:
        """Raise what a task shows."""
        raise GangwayError(f"native services don't know that: {message}", fix="docs/native.md")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="gangway.operations.native", add_help=False)
    verbs = parser.add_subparsers(required=True, parser_class=_Parser)

    def verb(name: str, function: Verb, *flags: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, add_help=False)
        added.set_defaults(verb=function, name=name)
        for flag in flags:
            added.add_argument(flag, action="store_true")
        return added

    verb("up", up, "--detach").add_argument("services", nargs="*")
    stopping = verb("down", down, "--remove-orphans", "--volumes")
    stopping.add_argument("--timeout", type=float)
    verb("ps", ps, "--all")
    showing = verb("logs", logs, "--follow")
    showing.add_argument("--since", default="")
    showing.add_argument("--tail", default="")
    showing.add_argument("services", nargs="*")
    verb("restart", restart).add_argument("services", nargs="*")
    for name, function in (("exec", exec_), ("run", one_off)):
        inside = verb(name, function, "--rm", "--no-deps", "--no-TTY")
        inside.add_argument("service")
        inside.add_argument("words", nargs=argparse.REMAINDER)
    verb("build", build)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run `python -m gangway.operations.native --env-file FILE … COMMAND` as a task prints it."""
    from gangway.operations.opening import open_environment

    words, files = list(argv), []
    while words[:1] == ["--env-file"] and len(words) > 2:
        files.append(words[1])
        del words[:2]
    if not files:
        print(
            "usage: python -m gangway.operations.native --env-file FILE … COMMAND", file=sys.stderr
        )
        return 2
    layers = {Path(file).parent.name: Path(file).stem for file in files}
    try:
        project = open_environment(
            Path.cwd(),
            Path(files[0]).stem,
            engine="native",
            stack=layers.get("stacks"),
            images=layers.get("images"),
        )
        return run(project, words)
    except GangwayError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
