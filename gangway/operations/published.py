"""The ports of this machine that a start publishes: refused where they are taken, or moved."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gangway.base.output import say
from gangway.engines.container import Container
from gangway.operations.project import Project, with_choices, with_overlay, with_settings
from gangway.settings import contract, overlay, ports


def settle(
    project: Project, services: Sequence[str], containers: Sequence[Container], *, auto: bool
) -> Project:
    """Refuse published ports that somebody else has; with `auto`, move to a free block.

    `containers` are the project's own, whose ports count as free.
    """
    project = _up_to_date(project)
    own = {
        port
        for container in containers
        if container.state == "running"
        for port in container.published
    }
    wanted = set(project.model.wanted(services))
    taken = [
        port
        for port in project.model.published()
        if port.service in wanted
        and port.port not in own
        and not _is_free(project, port.port, port.host, port.protocol)
    ]
    if not taken:
        return project
    if not auto:
        port, publisher = taken[0], project.engine.publisher(taken[0].port)
        raise ports.taken(project.environment, port.port, publisher, port.service)
    return _moved(project, wanted, taken[0].host)


def _moved(project: Project, wanted: Collection[str], host: str) -> Project:
    """Return the project with all its ports moved by one distance, to where they are free.

    Variables move those that they name, the checkout's overlay all others.
    """
    known = contract.load(project.root)
    variables = ports.published(project.environment, known)
    fixed = {
        f"{port.service}:{port.target}": port.port
        for port in project.model.published()
        if port.port not in variables.values()
    }
    before = {**variables, **fixed}

    def wholly_free(port: int, host: str) -> bool:
        return all(_is_free(project, port, host, protocol) for protocol in ("tcp", "udp"))

    block = ports.free_block(project.root, before, host=host, free=wholly_free)
    first = next(iter(block))
    distance = block[first] - before[first]
    moved = with_settings(project, {name: str(block[name]) for name in variables})
    moved = _with_fixed(moved, set(block.values()), distance)
    # The others move along, for the stacks and tasks that want them later.
    used = {port.port for port in moved.model.published() if port.service in wanted}
    shown = [
        f"{name} {port}"
        for name, port in sorted(block.items())
        if port in used
        and (name in fixed or not known.knows(name) or known.variables[name].service in wanted)
    ]
    say("ports: " + ", ".join(shown))
    return moved


def _is_free(project: Project, port: int, host: str, protocol: str) -> bool:
    """Say whether a port can be published; of another machine only its engine tells."""
    if project.engine.host:
        return project.engine.publisher(port) is None
    return ports.is_free(port, host, protocol)


def _with_fixed(project: Project, moved: Collection[int], distance: int) -> Project:
    """Return the project with the ports, too, that no variable has moved."""
    left = [port for port in project.model.published() if port.port not in moved]
    if not left:
        return project
    env = project.environment
    services, known = overlay.read(env), overlay.ports_before(env)
    names = {
        value: name for name, value in ports.published(env, contract.load(project.root)).items()
    }
    for service in dict.fromkeys(port.service for port in left):
        own = [port.port for port in left if port.service == service]
        # A debugger's port is there for as long as somebody debugs.
        there = [
            each
            for each in project.model.services[service]["ports"]
            if names.get(_number(each)) != "PUBLISHED_DEBUG_PORT"
        ]
        known.setdefault(service, [each for each in there if _number(each) in own])
        services.setdefault(service, {})["ports"] = [
            {**each, "published": _published(each, own, names, distance)} for each in there
        ]
    return with_overlay(project, services, known)


def _published(
    port: Mapping[str, Any], fixed: Collection[int], names: Mapping[int, str], distance: int
) -> str:
    number = _number(port)
    if number in fixed:
        return str(number + distance)
    # The rest of the list is replaced with it, and goes on to follow its variables.
    return f"${{{names[number]}:-{number}}}" if number in names else str(port.get("published", ""))


def _number(port: Mapping[str, Any]) -> int:
    published = str(port.get("published") or "")
    return int(published) if published.isdecimal() else 0


def _up_to_date(project: Project) -> Project:
    """Return the project without moved ports of a service whose Compose file has others now."""
    env = project.environment
    services, known = overlay.read(env), overlay.ports_before(env)
    if not services or overlay.is_up_to_date(env):
        return project
    files = [file for file in env.compose_files if file != overlay.file(env)]
    bare = with_choices(project, overrides={"COMPOSE_FILE": env.separator.join(files)})
    variables = set(ports.published(env, contract.load(project.root)).values())
    for name, before in list(known.items()):
        there = bare.model.services.get(name, {}).get("ports") or []
        if _wished(before) != _wished([each for each in there if _number(each) not in variables]):
            say(f"{name} has other ports in its Compose file now: they count again")
            del known[name]
            services[name].pop("ports", None)
    return with_overlay(project, {name: each for name, each in services.items() if each}, known)


def _wished(there: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    keys = ("target", "published", "host_ip", "protocol")
    return sorted(tuple(str(port.get(key)) for key in keys) for port in there)
