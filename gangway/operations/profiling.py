"""A flame graph of a service at work: py-spy looks at its memory from outside, now and then."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.container import Container
from gangway.operations import calls
from gangway.operations.project import Project
from gangway.settings import checkout
from gangway.settings.plain import plain

_LONGEST: Final = 3600
_YAMA: Final = Path("/proc/sys/kernel/yama/ptrace_scope")


@dataclass(frozen=True)
class Process:
    """A process, and whether Python runs it; `began` only orders them."""

    pid: int
    parent: int
    began: int
    python: bool


def profile(project: Project, service: str, *, seconds: int) -> None:
    """Record what a running service does; print the path of the flame graph.

    Raises GangwayError where the service doesn't run, isn't Python, or may not be looked at.
    """
    calls.check_services(project, [service])
    if not 1 <= seconds <= _LONGEST:
        raise GangwayError(f"--seconds is {seconds}", fix=f"between 1 and {_LONGEST}")
    folder = checkout.state(project.root, "profiles")
    path = folder / f"{service}-{time.strftime('%Y%m%d-%H%M%S')}.svg"
    if project.dry_run:
        project.announce("ps", "--quiet", service)
        say("and py-spy on the program that runs in it")
        return
    project = calls.answering(project)
    container = _running(project, service)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = project.engine.inside(container)
    pid = program(list(processes(found.lines)), found.main)
    if pid is None:
        raise GangwayError(f"{service} has no Python process to look at")
    argv = project.engine.profiler(container, str(pid), seconds)
    path.write_bytes(_recorded(project, argv, service, path))
    say("the wider, the longer at work; a browser shows it, and a click there looks closer:")
    print(os.path.relpath(path))


def processes(lines: Iterable[str]) -> Iterator[Process]:
    """Yield what lines of `/proc/PID/stat`, each with the program's path behind, tell."""
    for line in lines:
        # The name, in brackets, may have blanks and brackets of its own.
        found = re.match(r"(\d+) \(.*\) \S (\d+)((?: -?\d+)+) ?(.*)$", line)
        if found:
            numbers = found[3].split()
            path = found[4].rpartition("/")[2]
            yield Process(int(found[1]), int(found[2]), int(numbers[17]), "python" in path)


def program(found: Sequence[Process], main: int | None = None) -> int | None:
    """Return the process that serves: what the reloader started last, not the reloader.

    `main` is the service's first process, in a container the first one that Python runs. None
    where there is no Python.
    """
    pythons = sorted((each for each in found if each.python), key=lambda each: each.began)
    if main is None:
        main = next((each.pid for each in pythons), None)
    elif not any(each.pid == main for each in pythons):
        # A shell that has not become the program yet, or never does.
        main = next((each.pid for each in pythons if each.parent == main), None)
    children = [each.pid for each in pythons if each.parent == main]
    return children[-1] if children else main


def _running(project: Project, service: str) -> Container:
    for each in project.engine.containers():
        if each.service == service and each.state == "running":
            return each
    raise GangwayError(f"{service} isn't running", fix=f"invoke {project.name}.up {service}")


def _recorded(project: Project, argv: Sequence[str], service: str, path: Path) -> bytes:
    """Run a recording to its end; return what it writes to standard output."""
    say(f"$ {plain(project.environment, argv)} > {os.path.relpath(path)}")
    say(f"looking at {service}; it needs something to do meanwhile")
    done = subprocess.run(
        argv,
        cwd=project.root,
        env=project.environment.process_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise failure(done.stderr.decode(errors="replace"), service)
    return done.stdout


def failure(said: str, service: str) -> GangwayError:
    """Return the error for what py-spy said when it failed."""
    last = next((line for line in reversed(said.strip().splitlines()) if line.strip()), "")
    if "No stack counts found" in said or "no samples" in said.lower():
        return GangwayError(
            f"{service} did nothing in that time",
            fix="send it requests meanwhile, or look longer: --seconds 30",
        )
    if "Permission Denied" in said or "Operation not permitted" in said:
        scope = _YAMA.read_text().strip() if _YAMA.exists() else "0"
        why = f" (kernel.yama.ptrace_scope={scope})" if scope != "0" else ""
        return GangwayError(
            f"this system doesn't let py-spy look at another process{why}",
            fix="as root, or: sudo sysctl kernel.yama.ptrace_scope=0; or with a container engine",
        )
    if re.search(r"py-spy: (not found|no such file)", said, re.IGNORECASE):
        return GangwayError(
            f"{service}'s image has no py-spy", fix="build it again: its stage is `development`"
        )
    return GangwayError(f"py-spy could not look at {service}: {last or 'it said nothing'}")
