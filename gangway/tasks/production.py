"""Production: its secrets, its releases, its certificate, and what is known against it."""

from __future__ import annotations

from typing import Annotated as A

from gangway.operations.project import Project
from gangway.tasks.options import Option, Service, Services, Yes

Timeout = A[float, Option("give up after this many seconds; 0: once nothing happens")]
Replace = A[list[str], Option("a data store that may be stopped for a moment; may be repeated")]


def build(
    project: Project,
    no_cache: A[bool, Option("build every layer anew")] = False,
) -> None:
    """Build the images of all services, and make a release of them; prints its name."""
    from gangway.operations.releases import build

    build.make(project, no_cache=no_cache)


def releases(
    project: Project,
    *names: A[str, Option("for --diff: two releases, or parts of their names; one: what runs")],
    diff: A[bool, Option("say in what two releases differ", "d")] = False,
) -> None:
    """List the releases with what runs now and their deploys, or say in what two differ."""
    from gangway.operations.releases import show

    show.show(project, names, diff=diff)


def sbom(
    project: Project,
    service: Service,
    release: A[str, Option("a release, or a part of its name; else what runs, or the newest")] = "",
) -> None:
    """Print what is in a service's image, as CycloneDX: Debian, Python and npm packages."""
    from gangway.operations.releases import sbom

    sbom.show(project, service, release)


def rebuild(project: Project, service: Service) -> None:
    """Build the image of one service without the cache, and run the service from it."""
    from gangway.operations.rollout import deploy

    deploy.rebuild(project, service)


def init(project: Project) -> None:
    """Make production's secrets, strong and readable by nobody else; keeps those there are."""
    from gangway.operations import production

    production.init(project)


def up(
    project: Project,
    *services: Services,
    build: A[bool, Option("make a release of the sources first, as a deploy does", "b")] = False,
    ports: A[str, Option("auto: move to free ports where these are taken", "p")] = "",
    timeout: Timeout = 0.0,
) -> int:
    """Start the stack; returns when every service is healthy, and lists the URLs.

    That is the current release, with this checkout's settings; the first one is made. Sources that
    are newer are said, and left for a deploy.
    """
    from gangway.operations import start
    from gangway.operations.rollout import deploy

    options = start.StartOptions(services, build=build, ports=ports, timeout=timeout)
    return start.show(deploy.up(project, options), services, watch=False)


def restart(project: Project, *services: Services) -> None:
    """Restart all services, or those named; returns when they are healthy again.

    New replicas take the place of the old ones, so that nobody notices.
    """
    from gangway.operations.rollout import deploy

    deploy.restart(project, services)


def scale(project: Project, *services: A[str, Option("SERVICE=NUMBER, such as api=3")]) -> None:
    """Run several containers of a service: prod.scale api=3."""
    from gangway.operations.rollout import deploy

    deploy.scale(project, services)


def reset(project: Project, yes: Yes = False) -> int:
    """Delete the database's data, then start again with an empty one; asks first."""
    from gangway.operations.rollout import deploy

    return deploy.reset(project, yes=yes)


def deploy(
    project: Project,
    release: A[str, Option("this release, or a part of its name, in place of a new one")] = "",
    bundle: A[str, Option("the release in this file, as prod.bundle writes it")] = "",
    allow_destructive: A[bool, Option("go on though migrations break what runs")] = False,
    replace: Replace = [],  # noqa: B006 - Invoke's lists are made anew
    timeout: Timeout = 0.0,
) -> None:
    """Make a release of the sources, or a named one, what runs: all of it, or nothing."""
    from gangway.operations.rollout import deploy

    options = deploy.Options(release, bundle, allow_destructive, tuple(replace), timeout)
    deploy.deploy(project, options)


def rollback(
    project: Project,
    *release: A[str, Option("a release, or a part of its name; else the one before")],
    allow_destructive: A[bool, Option("go on though the database has lost what it needs")] = False,
    timeout: Timeout = 0.0,
) -> None:
    """Make an older release what runs again, by the same transaction."""
    from gangway.operations.rollout import deploy

    name = release[0] if release else ""
    deploy.rollback(project, name, timeout=timeout, allow_destructive=allow_destructive)


def rotate(
    project: Project,
    secret: A[str, Option("a secret's file, such as postgres_password or secret_key")],
    forget: A[
        bool, Option("nothing new: what was signed with the old key is good no more")
    ] = False,
) -> None:
    """Make a new secret in place of an old one; both are good until all have the new one."""
    from gangway.operations.rotation import rotate

    rotate.rotate(project, secret, forget_old=forget)


def pause(
    project: Project,
    seconds: A[float, Option("let requests wait so long before they get 503; 0: at once")] = 0.0,
) -> None:
    """Turn requests away with 503, or let them wait: until prod.resume."""
    from gangway.operations import maintenance

    maintenance.pause(project, seconds)


def resume(project: Project) -> None:
    """Let requests through again after prod.pause."""
    from gangway.operations import maintenance

    maintenance.resume(project)


def backup(project: Project) -> None:
    """Back the database up, and prove it: restored into a scratch server, and compared."""
    from gangway.operations import backups

    backups.make(project)


def backups(
    project: Project,
    prove: A[str, Option("prove this one again; newest: the newest one")] = "",
    as_json: A[bool, Option("for programs", "j")] = False,
) -> int:
    """List the backups: age, size, how each was proven; status 1 if any is due or unproven."""
    from gangway.operations import backups

    if prove:
        backups.prove(project, "" if prove == "newest" else prove)
    return backups.show(project, as_json=as_json)


def restore(
    project: Project,
    *name: A[str, Option("a backup, or a part of its name; else the newest")],
    at: A[str, Option("a moment instead: a time, a transaction's number, or latest")] = "",
    back: A[bool, Option("put back what the last restore put aside")] = False,
    forget: A[bool, Option("delete what restores have put aside")] = False,
    yes: Yes = False,
) -> None:
    """Put a backup in the database's place once it is proven; what was there is kept aside."""
    from gangway.operations import restore

    if back:
        restore.back(project, yes=yes)
    elif forget:
        restore.forget(project, yes=yes)
    elif at:
        restore.restore_moment(project, at, yes=yes)
    else:
        restore.restore(project, name[0] if name else "", yes=yes)


def move(
    project: Project,
    to: A[str, Option("the engine that is to run it: swarm, or docker for the way back")],
    at: A[str, Option("where that answers, such as ssh://HOST; else where this one does")] = "",
    yes: Yes = False,
    timeout: Timeout = 0.0,
) -> None:
    """Stop, copy the data to another engine, and run there: from one machine into a Swarm."""
    from gangway.operations import move

    move.move(project, to, at=at, yes=yes, timeout=timeout)


def nodes(project: Project) -> None:
    """List the machines of a Swarm: their state, and what of the project they have."""
    from gangway.operations import nodes

    nodes.show(project)


def join(
    project: Project,
    at: A[str, Option("where the engine that joins answers, such as ssh://USER@HOST")] = "",
    to: A[str, Option("the manager whose Swarm this machine joins, with --token")] = "",
    token: A[str, Option("what that manager's prod.join prints")] = "",
    manager: A[bool, Option("as a manager")] = False,
) -> None:
    """Have another machine join the Swarm; without --at or --to print how it does by itself."""
    from gangway.operations import nodes

    nodes.join(project, at=at, to=to, token=token, manager=manager)


def drain(
    project: Project,
    *node: A[str, Option("the node's name or ID, as prod.nodes has it")],
    undo: A[bool, Option("let it run services again")] = False,
    yes: Yes = False,
) -> None:
    """Have everything that runs on a node run elsewhere, so that it can be taken away."""
    from gangway.operations import nodes

    nodes.drain(project, node[0] if node else "", undo=undo, yes=yes)


def tls(project: Project) -> int:
    """Show the certificate that the proxy serves: its names, its issuer and how long it is good."""
    from gangway.operations import tls

    return tls.show(project)


def publish(project: Project, *release: A[str, Option("a release; else the newest")]) -> None:
    """Send a release to the registry in RELEASE_REGISTRY, for prod.deploy on other machines."""
    from gangway.operations.releases import publish

    publish.publish(project, release)


def bundle(
    project: Project,
    *release: A[str, Option("a release; else the newest")],
    output: A[str, Option("the file to write; else one named after the release", "o")] = "",
    since: A[str, Option("a release that is there already: its layers are left out")] = "",
) -> None:
    """Write a release to one file, for prod.deploy --bundle FILE where there is no registry."""
    from gangway.operations.releases import bundle

    bundle.bundle(project, release, output, since=since)


def scan(project: Project) -> int:
    """Look for known weaknesses: Dockerfiles, the model, locked packages and images."""
    from gangway.operations import scan as scanning

    return scanning.scan(project)
