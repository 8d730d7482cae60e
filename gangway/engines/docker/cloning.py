"""A volume as a copy of another checkout's, and what a checkout that is gone has left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from gangway.base.process import Completed
from gangway.engines.docker.client import Client
from gangway.model.model import Model, keeps_data

_PROJECT: Final = "com.docker.compose.project"
_VOLUME: Final = "com.docker.compose.volume"
_SCRIPT: Final = "/clone"
_SOURCE: Final = "/source"


def clone(
    engine: Client, model: Model, source: Client, theirs: Model, service: str, script: str
) -> Completed | None:
    """See `gangway.engines.interface.Engine.clone`; the script runs in the data store's image."""
    run = engine.environment.runner.capture
    key, target = _kept(model, service)
    volume, other = (_name(each, key) for each in (model, theirs))
    if _is_there(engine, volume) or not _is_there(engine, other):
        return None
    image = model.services[service]["image"]
    data = PurePosixPath(_variable(engine, image, "PGDATA") or target)
    running = next(
        (
            each.id
            for each in source.containers()
            if each.service == service and each.state == "running"
        ),
        "",
    )
    labels = {_PROJECT: model.project, _VOLUME: key}
    marked = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    engine.do("volume", "create", *marked, volume)
    user = source.environment.get("POSTGRES_USER")
    # An image may have one of its own.
    place = {"PGHOST": "127.0.0.1" if running else "", "PGPORT": "5432"}
    server = {"PGUSER": user, **place}
    argv = [
        "docker", "run", "--rm", "--user", str(model.services[service]["user"]),
        "--network", f"container:{running}" if running else "none",
        "--volume", f"{volume}:{target}", "--volume", f"{other}:{_SOURCE}:ro",
        "--volume", f"{engine.environment.root / script}:{_SCRIPT}:ro",
        *(word for name, value in server.items() for word in ("--env", f"{name}={value}")),
        "--entrypoint", "bash", image, _SCRIPT,
        str(PurePosixPath(_SOURCE) / data.relative_to(target)), str(data),
    ]  # fmt: skip
    try:
        done = run(argv)
    except BaseException:
        run(["docker", "volume", "rm", "--force", volume])
        raise
    if done.status != 0:
        run(["docker", "volume", "rm", "--force", volume])
    return done


def left_by(engine: Client, project: str) -> list[str]:
    """Return what is here of a project, each with its kind before its name; nothing of its own."""
    if project == engine.project:
        return []
    label = ("--filter", f"label={_PROJECT}={project}")
    images = ("--filter", f"reference={project}-*")
    return [
        *_listed(engine, "container", ["ps", "-a", "--format", "{{.Names}}", *label]),
        *_listed(engine, "network", ["network", "ls", "--format", "{{.Name}}", *label]),
        *_listed(engine, "volume", ["volume", "ls", "--format", "{{.Name}}", *label]),
        *_listed(engine, "image", ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", *images]),
    ]


def remove_left(engine: Client, left: Sequence[str]) -> None:
    """Remove what `left_by` has returned."""
    for kind in ("container", "network", "volume", "image"):
        names = [each.removeprefix(f"{kind} ") for each in left if each.startswith(f"{kind} ")]
        if names:
            force = ["--force"] if kind == "container" else []
            engine.do(kind, "rm", *force, *names)


def _listed(engine: Client, kind: str, words: Iterable[str]) -> list[str]:
    done = engine.environment.runner.capture(["docker", *words], timeout=30)
    return [f"{kind} {name}" for name in done.stdout.split()]


def _kept(model: Model, service: str) -> tuple[str, str]:
    """Return the volume with a service's data, as the model calls it, and where it is mounted."""
    mounts: Iterable[dict[str, Any]] = model.services[service].get("volumes") or ()
    mount = next(each for each in mounts if keeps_data(each))
    return str(mount["source"]), str(mount["target"])


def _name(model: Model, key: str) -> str:
    return str(model.raw["volumes"][key]["name"])


def _is_there(engine: Client, volume: str) -> bool:
    argv = ["docker", "volume", "inspect", volume]
    return engine.environment.runner.capture(argv, timeout=30).status == 0


def _variable(engine: Client, image: str, name: str) -> str:
    """Return a variable that an image sets; empty where it sets none, or isn't here."""
    form = "{{range .Config.Env}}{{println .}}{{end}}"
    argv = ["docker", "image", "inspect", "--format", form, image]
    lines = engine.environment.runner.capture(argv, timeout=30).stdout.splitlines()
    return next((line.partition("=")[2] for line in lines if line.startswith(f"{name}=")), "")
