"""The machines that production runs on, where those are several."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from gangway.base import output
from gangway.base.errors import GangwayError, unknown
from gangway.base.output import confirm, say
from gangway.engines.nodes import Node
from gangway.operations import calls
from gangway.operations.project import Project
from gangway.operations.rollout import transaction


def show(project: Project) -> None:
    """Print the table of the machines: what they are, and what of the project they have."""
    found = calls.answering(project)
    rows = [
        (
            node.name,
            node.id[:12],
            "ready" if node.ready else "down",
            node.manager or "worker",
            node.availability,
            node.engine,
            node.address,
            ", ".join(node.runs),
            ", ".join(node.data),
            node.reached or "no",
        )
        for node in found.engine.production.nodes.all()
    ]
    heads = ("NODE", "ID", "STATE", "ROLE", "TAKES", "ENGINE", "ADDRESS", "RUNS", "DATA", "REACHED")
    print(output.table(rows, heads))


def join(project: Project, *, at: str, to: str, token: str, manager: bool) -> None:
    """Have a machine join, or print the command by which one does.

    The engine `at` a place joins the project's; or, with `to` and `token`, this machine's own
    engine joins the managers at that address. Raises GangwayError where that fails.
    """
    if bool(to) != bool(token) or (at and to):
        raise GangwayError(
            "a machine joins by itself with --to and --token, or from a manager with --at",
            fix=f"on a manager: invoke {project.name}.join",
        )
    nodes = project.engine.production.nodes
    if project.dry_run:
        say("would join" if at or to else "would print the command")
        return
    if to:
        nodes.join(to, token)
        say(f"this machine has joined {to}")
        return
    found = calls.answering(project)
    nodes = found.engine.production.nodes
    if not at:
        print(shlex.join(nodes.joining(manager=manager)))
        return
    node = nodes.add(at, manager=manager)
    role = "a manager" if node.manager else "a worker"
    say(f"{node.name} ({node.address}) is {role} of {project.name}'s Swarm")


def drain(project: Project, name: str, *, undo: bool, yes: bool) -> None:
    """Have everything on a machine run elsewhere, or with `undo` let it run services again.

    What keeps data there stops, which is asked first. Raises GangwayError where there is no such
    machine, or no other to take over.
    """
    with project.changing("drain"):
        found = calls.answering(project)
        nodes = found.engine.production.nodes
        node = _named(nodes.all(), name)
        if project.dry_run:
            say(f"would {'use' if undo else 'drain'} {node.name}")
            return
        if undo:
            nodes.restore(node)
            say(f"{node.name} runs services again, as soon as some are started or changed")
            return
        if node.data:
            confirm(
                f"{node.name} has the data of {', '.join(node.data)}: what uses it stops", yes=yes
            )
        with transaction.alone(found, "drain"):
            nodes.drain(node)
        say(f"{node.name} runs nothing of a Swarm any more; invoke {project.name}.drain "
            f"{node.name} --undo lets it")  # fmt: skip


def _named(nodes: Sequence[Node], name: str) -> Node:
    """Return the machine of a name, or of the beginning of a number."""
    found = [node for node in nodes if name in (node.name, node.id)]
    found = found or [node for node in nodes if node.id.startswith(name)]
    if not found:
        raise unknown("node", name, [node.name for node in nodes])
    if len(found) > 1:
        numbers = ", ".join(node.id[:12] for node in found)
        raise GangwayError(f"several nodes are named {name}", fix=f"name one by its ID: {numbers}")
    return found[0]
