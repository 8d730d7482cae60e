"""`docker compose`'s commands, as far as the tasks use them, on a Swarm's services."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from gangway.base import output
from gangway.base.errors import GangwayError, unknown
from gangway.base.output import say
from gangway.base.process import Ended
from gangway.engines import inside
from gangway.engines.command_line import Commands, Verb
from gangway.engines.interface import CannotDo, split
from gangway.engines.swarm import deploying, files, jobs, logs
from gangway.engines.swarm.api import Refused
from gangway.engines.swarm.cluster import Swarm, Task, container, newest
from gangway.engines.swarm.labels import ONE_OFF
from gangway.engines.swarm.starting import SwarmStart
from gangway.engines.timeline import View
from gangway.model.model import stop_order
from gangway.model.render import compose

_TICK: Final = 0.2
# Seconds that a container may take to be gone once it was told to stop, on top of its grace.
_GONE: Final = 60.0
_SHOWN_LINES: Final = 20


def run(swarm: Swarm, words: Sequence[str]) -> int:
    """Do what `docker compose WORDS…` would do; return its exit status.

    Raises GangwayError for a command or a flag that a Swarm has nothing for.
    """
    rest = split(words)[1]
    if rest[:1] == ["config"]:
        # Compose's own, with all of its options.
        return swarm.environment.runner.run(compose(swarm.environment, *rest))
    options = _commands().parse(rest)
    verb: Verb = options.verb
    return verb(swarm, options)


def begin(swarm: Swarm, words: Sequence[str]) -> SwarmStart:
    """Return the start that an `up` or a `restart` is, to be gone on with."""
    return _begin(swarm, _commands().parse(split(words)[1]))


def _begin(swarm: Swarm, options: argparse.Namespace) -> SwarmStart:
    model, named = swarm.model, options.services
    alone = options.no_deps or options.name == "restart"
    wanted = named if named and alone else model.wanted(named)
    renewed = wanted if options.name == "restart" else named if options.force_recreate else ()
    specs = deploying.prepared(swarm, model, wanted)
    for name, _, number in (words.partition("=") for words in options.scale):
        specs[name] = deploying.scaled(specs[name], int(number))
    return SwarmStart(swarm, model, specs, renewed=renewed)


def up(swarm: Swarm, options: argparse.Namespace) -> int:
    """Start the named services, or all, and return when they are ready."""
    start = _begin(swarm, options)
    view = View(start.timeline, sys.stderr, output.state_colours(sys.stderr))
    while not start.done() or start.timeline.pending():
        if start.poll():
            view.update()
        if failed := start.timeline.failed():
            for each in start.containers():
                if each.service == failed[0]:
                    for line in logs.last(swarm, each.id, _SHOWN_LINES).splitlines():
                        say(f"  | {line}")
            raise GangwayError(
                f"dependency failed to start: {', '.join(failed)}",
                fix=f"the lines above are the last words of {failed[0]}",
            )
    return 0


def down(swarm: Swarm, options: argparse.Namespace) -> int:
    """Stop and remove everything, dependents before what they depend on; the data if asked."""
    there = swarm.services()
    raw = swarm.model.services
    needs = {name: raw[name].get("depends_on") or () if name in raw else () for name in there}
    for each in swarm.api.find("/services", label=[swarm.own, ONE_OFF]):
        swarm.api.delete(f"/services/{each['ID']}")
    for level in stop_order({name: [n for n in of if n in there] for name, of in needs.items()}):
        numbers = {there[name]["ID"] for name in level}
        for number in numbers:
            swarm.api.delete(f"/services/{number}")
        _wait_until_gone(swarm, numbers)
    for network in swarm.api.find("/networks", label=[swarm.own]):
        swarm.remove_network(network["Id"])
    files.clean(swarm.api, swarm.project)
    swarm.clear()
    if options.volumes:
        _remove_volumes(swarm)
    return 0


def _wait_until_gone(swarm: Swarm, numbers: set[str]) -> None:
    until = time.monotonic() + _GONE
    while any(
        task["ServiceID"] in numbers
        and (task.get("Status") or {}).get("State") in ("starting", "running")
        for task in swarm.api.find("/tasks", label=[swarm.own])
    ):
        if time.monotonic() > until:
            say("some containers haven't ended yet, of a node that doesn't answer perhaps")
            return
        time.sleep(_TICK)


def _remove_volumes(swarm: Swarm) -> None:
    """Remove the project's volumes of every node that can be asked, and say whose can't."""
    for node in swarm.nodes():
        try:
            engine = swarm.engine_of(node.id)
            for volume in engine.get("/volumes", filters={"label": [swarm.own]})["Volumes"] or ():
                _remove_volume(engine, volume["Name"])
        except GangwayError as error:
            say(f"note: the volumes on {node.name} are still there: {error.message}")


def _remove_volume(engine: Any, name: str) -> None:
    until = time.monotonic() + _GONE
    while True:
        try:
            engine.delete(f"/volumes/{name}")
        except Refused:
            if time.monotonic() > until:
                raise
            time.sleep(_TICK)
        else:
            return


def ps(swarm: Swarm, options: argparse.Namespace) -> int:
    """List the replicas with their nodes and states, and those that wait for a node."""
    services, nodes = swarm.services(), {node.id: node for node in swarm.nodes()}
    rows = []
    for task in sorted(newest(swarm.tasks()), key=lambda task: (task.service, task.slot)):
        if options.services and task.service not in options.services:
            continue
        seen = container(task, services[task.service])
        status = f"{seen.state} ({seen.health})" if seen.health else seen.state
        if seen.state == "exited":
            status += f" with status {seen.exit_code}"
        if seen.state == "created" or task.failed:
            status += f": {task.said}"
        node = nodes.get(task.node)
        where = (node.name if node.ready else f"{node.name} (down)") if node else ""
        ports = ", ".join(str(port) for port in sorted(seen.published))
        image = str(task.spec["ContainerSpec"]["Image"]).partition("@")[0]
        rows.append((task.service, task.id[:12], where, status, ports, image))
    if options.quiet:
        print("\n".join(row[1] for row in rows))
    else:
        print(output.table(rows, ("SERVICE", "TASK", "NODE", "STATUS", "PORTS", "IMAGE")))
    return 0


def show_logs(swarm: Swarm, options: argparse.Namespace) -> int:
    """Show log lines of the named services, or of all, from every node."""
    return logs.show(
        swarm, options.services, follow=options.follow, since=options.since, tail=options.tail
    )


def exec_(swarm: Swarm, options: argparse.Namespace) -> int:
    """Run a command in a running container, by way of its node's own engine."""
    task, host = _running(swarm, options.service)
    docker = ["docker", *(["--host", host] if host else [])]
    terminal = ["--interactive"] if options.no_TTY else ["--interactive", "--tty"]
    runner = swarm.environment.runner
    try:
        return runner.run([*docker, "exec", *terminal, task.container, *options.words])
    except Ended:
        words = options.words[options.words[:1] == ["entrypoint"] :]
        runner.capture([*docker, "exec", task.container, "sh", "-c", inside.END, "sh", *words])
        raise


def _running(swarm: Swarm, service: str) -> tuple[Task, str]:
    """Return a running task of a service, and where its node's engine answers.

    One of this node where there is one, else of any that can be asked.
    """
    found = [
        task
        for task in swarm.tasks()
        if task.service == service and task.state == "running" and task.container
    ]
    if not found:
        raise GangwayError(
            f"{service} isn't running", fix=f"invoke {swarm.environment.name}.up {service}"
        )
    *others, last = sorted(found, key=lambda task: task.node == swarm.here, reverse=True)
    for task in others:
        with contextlib.suppress(GangwayError):
            return task, swarm.engine_of(task.node).host
    return last, swarm.engine_of(last.node).host


def one_off(swarm: Swarm, options: argparse.Namespace) -> int:
    """Run a service's entrypoint with other words, as a job that is removed when it ends."""
    name, model = options.service, swarm.model
    if name not in model.services:
        raise unknown("service", name, list(model.services))
    # As it runs, which is as it was deployed.
    running = swarm.services().get(name)
    spec = running["Spec"] if running else deploying.prepared(swarm, model, [name])[name]
    job = jobs.job(spec, name, options.words)
    return jobs.shown(swarm, job) if options.no_TTY else jobs.attached(swarm, job)


def stats(swarm: Swarm, options: argparse.Namespace) -> int:
    """Show what the containers use, node by node; only one node can be followed."""
    by_node: dict[str, list[Task]] = {}
    for task in newest(swarm.tasks()):
        if task.state == "running" and (not options.services or task.service in options.services):
            by_node.setdefault(task.node, []).append(task)
    names = {node.id: node.name for node in swarm.nodes()}
    status = 0
    for node, tasks in by_node.items():
        try:
            host = swarm.engine_of(node).host
        except GangwayError as error:
            say(f"note: {error}")
            continue
        if len(by_node) > 1:
            print(f"{names.get(node, node)}:", flush=True)
        docker = ["docker", *(["--host", host] if host else []), "stats"]
        flags = ["--no-stream"] if options.no_stream else []
        status |= swarm.environment.runner.run([*docker, *flags, *(t.container for t in tasks)])
    return status


def build(_swarm: Swarm, _options: argparse.Namespace) -> int:
    """Say who builds."""
    raise CannotDo(
        "a Swarm builds no images", fix="invoke prod.build --engine docker, then prod.deploy"
    )


def _commands() -> Commands:
    found = Commands("swarm", "a Swarm's services")
    for name in ("up", "restart"):
        flags = ("--detach", "--no-deps", "--force-recreate", "--no-recreate", "--remove-orphans")
        starting = found.add(name, up, *flags)
        starting.add_argument("--scale", action="append", default=[])
        starting.add_argument("services", nargs="*")
    found.add_usual(down=down, logs=show_logs, exec_=exec_, run=one_off)
    found.add("ps", ps, "--all", "--quiet").add_argument("services", nargs="*")
    found.add("stats", stats, "--no-stream").add_argument("services", nargs="*")
    found.add("build", build, "--no-cache").add_argument("services", nargs="*")
    return found
