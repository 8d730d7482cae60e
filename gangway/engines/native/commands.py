"""`docker compose`'s commands, as far as the tasks use them, on native services."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from gangway.base import output
from gangway.base.errors import GangwayError, unknown
from gangway.base.output import say
from gangway.base.process import Runner
from gangway.engines.command_line import Commands, Verb
from gangway.engines.interface import CannotDo, split
from gangway.engines.native import data
from gangway.engines.native.local import local_words, localized
from gangway.engines.native.processes import Processes, container, log_lines, shown
from gangway.engines.native.service import Place, as_user, command, private, seconds, stop
from gangway.engines.native.starting import NativeStart
from gangway.engines.native.tools import Tools, programs
from gangway.engines.native.unenforced import unenforced
from gangway.engines.timeline import View
from gangway.model.model import Model, stop_order
from gangway.model.render import compose, rendered
from gangway.settings.environment import Environment

_FOLLOW_EVERY: Final = 0.1
_SHOWN_LINES: Final = 20


@dataclass(frozen=True)
class Native:
    """One environment's services as processes: what every command is about."""

    environment: Environment

    @cached_property
    def model(self) -> Model:
        """The merged model of the stack."""
        return rendered(self.environment)

    @cached_property
    def services(self) -> Processes:
        """Those that run, and those that did."""
        env = self.environment
        return Processes(env.root, env.get("COMPOSE_PROJECT_NAME"))

    @cached_property
    def tools(self) -> Tools:
        """What they run with."""
        return Tools.of(self.environment, self.model)

    @cached_property
    def place(self) -> Place:
        """Where they run."""
        found = {name: self.tools.venv(name) for name in self.model.services}
        return Place(
            root=self.environment.root,
            state=self.services.state,
            programs=programs(self.environment.root),
            shell=self.environment.process_environment(),
            venvs={name: venv for name, venv in found.items() if venv},
            variables=self.tools.variables,
        )


def run(here: Native, words: Sequence[str]) -> int:
    """Do what `docker compose WORDS…` would do; return its exit status.

    Raises GangwayError for a command or a flag that native services don't know.
    """
    rest = split(words)[1]
    if rest[:1] == ["config"]:
        # Compose's own, with all of its options.
        return here.environment.runner.run(compose(here.environment, *rest))
    if rest[:1] == ["stats"]:
        raise CannotDo(
            "stats needs a container engine: these services are plain processes",
            fix="top shows what they use; `ps` has their process numbers",
        )
    options = _commands().parse(rest)
    verb: Verb = options.verb
    return verb(here, options)


def begin(here: Native, words: Sequence[str]) -> NativeStart:
    """Return the start that an `up` or a `restart` is, to be gone on with."""
    return _begin(here, _commands().parse(words))


def _begin(here: Native, options: argparse.Namespace) -> NativeStart:
    model, named = here.model, options.services
    # What the named ones depend on goes on running.
    alone = options.no_deps or options.name == "restart"
    wanted = named if named and alone else model.wanted(named)
    renewed = wanted if options.name == "restart" else named if options.force_recreate else ()
    if data.is_in_memory(here.environment.kind, model):
        data.keep_in_memory(here.services.data)
    builds = {name: here.tools.stamp(name) for name in wanted}
    start = NativeStart(here.services, here.place, model, wanted, renewed=renewed, builds=builds)
    if note := unenforced(start.services, wanted):
        say(note)
    return start


def up(here: Native, options: argparse.Namespace) -> int:
    """Start the named services, or all, and return when they are ready."""
    start = _begin(here, options)
    view = View(start.timeline, sys.stderr, output.state_colours(sys.stderr))
    while start.timeline.pending():
        if start.poll():
            view.update()
        if failed := start.timeline.failed():
            for line in log_lines(here.services.supervised(failed[0]))[-_SHOWN_LINES:]:
                say(f"  | {line.partition(' ')[2]}")
            raise GangwayError(
                f"dependency failed to start: {', '.join(failed)}",
                fix=f"the lines above are the last words of {failed[0]}",
            )
    return 0


def down(here: Native, options: argparse.Namespace) -> int:
    """Stop everything, dependents before what they depend on; forget it, and the data if asked."""
    processes = here.services
    present = {service.name: service for service in processes.present()}
    if options.timeout == 0:
        stop(list(present.values()), at_once=True)
    else:
        needs = {
            name: each.read("spec.json").get("depends_on") or () for name, each in present.items()
        }
        for level in stop_order(needs):
            stop([present[name] for name in level])
    shutil.rmtree(processes.state / "services", ignore_errors=True)
    if options.volumes or data.is_in_memory(here.environment.kind, here.model):
        data.remove(processes.data)
    return 0


def ps(here: Native, _options: argparse.Namespace) -> int:
    """List the services with state, process and ports."""
    rows = []
    for service in here.services.present():
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


def logs(here: Native, options: argparse.Namespace) -> int:
    """Show log lines of the named services, or of all, in the order of their times."""
    names = options.services or [service.name for service in here.services.present()]
    width = max((len(name) for name in names), default=0)
    since = _since(options.since)
    seen: dict[str, str] = dict.fromkeys(names, since)
    count = None if options.tail in ("", "all") else int(options.tail)
    while True:
        rows = []
        for name in names:
            new = [line for line in log_lines(here.services.supervised(name)) if line > seen[name]]
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


def exec_(here: Native, options: argparse.Namespace) -> int:
    """Run a command as a running service would: with its variables, in its folder."""
    if container(here.services.supervised(options.service)).state != "running":
        raise GangwayError(
            f"{options.service} isn't running",
            fix=f"invoke {here.environment.name}.up {options.service}",
        )
    return _run_in_place(here, options.service, options.words)


def one_off(here: Native, options: argparse.Namespace) -> int:
    """Run a service's entrypoint with other words, once what it depends on is ready."""
    name, model = options.service, here.model
    if name not in model.services:
        raise unknown("service", name, list(model.services))
    needed = [each for each in model.wanted([name]) if each != name]
    if needed and not options.no_deps:
        up(here, _commands().parse(["up", *needed]))
    words = command(here.place, name, localized(model)[name], options.words or None)
    if name in model.one_shots():
        # Whatever it does to the data, the next `up` finds out.
        (here.services.supervised(name).folder / "state.json").unlink(missing_ok=True)
    return _run_in_place(here, name, words)


def _run_in_place(here: Native, name: str, words: Sequence[str]) -> int:
    """Run a program as the service would: as its user, in its folder, with its variables."""
    model, place = here.model, here.place
    service = localized(model)[name]
    private(place.folder(name) / "tmp")
    runner = Runner(place.directory(service), place.environment(name, service))
    return runner.run([*as_user(service), *place.program(local_words(words, service, model))])


def build(here: Native, options: argparse.Namespace) -> int:
    """Install the apps' locked libraries: what an image has besides the sources."""
    here.tools.install(anew=options.no_cache)
    return 0


def watch(_here: Native, _options: argparse.Namespace) -> int:
    """Say that there is nothing to stay for."""
    say("sources are watched anyway; run up again when a lock file has changed")
    return 0


def _commands() -> Commands:
    found = Commands("native", "native services")
    for name in ("up", "restart"):
        starting = found.add(name, up, "--detach", "--no-deps", "--force-recreate")
        starting.add_argument("services", nargs="*")
    found.add_usual(down=down, logs=logs, exec_=exec_, run=one_off)
    found.add("ps", ps, "--all")
    # Of all services: they share libraries.
    found.add("build", build, "--no-cache").add_argument("services", nargs="*")
    found.add("watch", watch, "--no-up").add_argument("services", nargs="*")
    return found
