"""Three Docker Engines on this one machine as one Swarm, for tests; `swarm()` is the way in.

`python -m tests.e2e.swarm.lab IMAGE...` keeps one up until Ctrl-C, to look at; with `--apart` it is
a single engine that knows of no swarm.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.swarm import names, network
from tests.e2e.swarm.machine import Machine
from tests.e2e.swarm.network import Switch

#: What the engines' images are kept in from run to run.
CACHE = Path("/var/lib/gangway-lab")
NAMES = ("one", "two", "three")
PROGRAMS = ("dockerd", "docker-init", "containerd", "nsenter", "unshare", "setpriv", "iptables")
LABS = 8
#: The nodes' first plug; the machine's own is before it.
FIRST = 11


class Swarm:
    """Engines that are one Swarm: the first manages it, the others work for it.

    Nodes are named as in NAMES; `node` finds one.
    """

    def __init__(self, switch: Switch, nodes: Sequence[Machine]) -> None:
        self.switch = switch
        self.nodes = nodes

    @property
    def manager(self) -> Machine:
        """The node that takes orders."""
        return self.nodes[0]

    def node(self, name: str) -> Machine:
        """Return a node by its name."""
        return next(node for node in self.nodes if node.name == name)

    def begin(self) -> None:
        """Make the first engine a Swarm of its own, which misses a node after three seconds."""
        address = self.manager.address
        beat = ["--dispatcher-heartbeat", "1s"]
        self.manager.ask("swarm", "init", "--advertise-addr", address, *beat)

    def form(self) -> None:
        """Make one Swarm of the engines."""
        self.begin()
        token = self.manager.ask("swarm", "join-token", "-q", "worker")
        for node in self.nodes[1:]:
            node.ask(
                "swarm", "join", "--advertise-addr", node.address, "--token", token,
                f"{self.manager.address}:2377",
            )  # fmt: skip

    def cut(self, node: Machine) -> None:
        """Take a node off the network; it goes on running."""
        self.switch.cut(node.plug)

    def mend(self, node: Machine) -> None:
        """Put a node back on the network."""
        self.switch.mend(node.plug)

    def states(self) -> dict[str, str]:
        """Return the state of each node, such as `ready`, as the manager sees it."""
        form = "{{.Description.Hostname}} {{.Status.State}}"
        ids = self.manager.ask("node", "ls", "-q").split()
        lines = self.manager.ask("node", "inspect", "--format", form, *ids).splitlines()
        return dict(line.split() for line in lines)

    def tasks(self, service: str = "", *, desired: str = "running") -> list[dict[str, Any]]:
        """Return the API's records of tasks that are wanted in this state (`` for all)."""
        filters: dict[str, list[str]] = {}
        if service:
            filters["service"] = [service]
        if desired:
            filters["desired-state"] = [desired]
        found: list[dict[str, Any]] = api(self.manager, "/tasks", filters=json.dumps(filters))
        return found


def api(machine: Machine, path: str, **params: str) -> Any:
    """Return what an engine's API answers to a GET."""
    transport = httpx.HTTPTransport(uds=str(machine.socket))
    with httpx.Client(transport=transport, base_url="http://engine", timeout=30.0) as client:
        answer = client.get(path, params=params)
        answer.raise_for_status()
        return answer.json()


def load(machines: Sequence[Machine], images: Collection[str]) -> None:
    """Give engines those of this machine's images that they lack; raises RuntimeError."""
    form = ["--format", "{{.Id}}"]
    found = network.run(["docker", "image", "inspect", *form, *images]).split() if images else []
    ids = dict(zip(images, found, strict=True))

    def fill(machine: Machine) -> None:
        theirs = machine.images()
        missing = [name for name in images if theirs.get(name) != ids[name]]
        if missing:
            _pipe(["docker", "save", *missing], ["docker", "--host", machine.host, "load", "-q"])

    with ThreadPoolExecutor(len(machines)) as pool:
        list(pool.map(fill, machines))


def _pipe(source: Sequence[str], sink: Sequence[str]) -> None:
    with subprocess.Popen(source, stdout=subprocess.PIPE) as giver:
        taker = subprocess.run(
            sink, stdin=giver.stdout, capture_output=True, text=True, check=False
        )
        if giver.stdout is not None:
            giver.stdout.close()
    if giver.returncode or taker.returncode:
        raise RuntimeError(f"{' '.join(source)} | {' '.join(sink)}: {taker.stderr}")


def unusable() -> str:
    """Return why this machine can't have engines of its own; empty where it can."""
    if os.geteuid() != 0:
        return "engines of one's own need root"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"there is no {', no '.join(missing)}"
    return network.unusable()


@contextmanager
def machines(
    called: Sequence[str], images: Collection[str] = (), hidden: Sequence[Path] = ()
) -> Iterator[tuple[Switch, list[Machine]]]:
    """Have engines of these names with these images, on one switch; all of it goes in the end.

    What a run that was killed has left goes first.
    """
    with _number() as number:
        switch = Switch(number)
        folder = CACHE / str(number)
        found = [
            Machine(name, switch, FIRST + index, folder / name, hidden)
            for index, name in enumerate(called)
        ]
        with ExitStack() as stack:
            stack.callback(switch.remove)
            for machine in found:
                stack.callback(machine.remove)
                machine.remove()
            switch.remove()
            switch.build()
            stack.enter_context(names.server(switch.address(network.HOST)))
            for machine in found:
                machine.start()
            for machine in found:
                machine.wait()
            load(found, images)
            yield switch, found


@contextmanager
def swarm(
    images: Collection[str] = (), called: Sequence[str] = NAMES, *, joined: bool = True
) -> Iterator[Swarm]:
    """Have one Swarm of engines with these images of this machine's; all of it goes in the end.

    Where they aren't to have `joined`, the first one is a Swarm by itself.
    """
    with machines(called, images) as (switch, nodes):
        made = Swarm(switch, nodes)
        if joined:
            made.form()
        else:
            made.begin()
        yield made


@contextmanager
def apart(images: Collection[str] = (), hidden: Sequence[Path] = ()) -> Iterator[Machine]:
    """Have one engine as on another machine: it sees nothing of what is in `hidden`."""
    with machines(["apart"], images, hidden) as (_, found):
        yield found[0]


@contextmanager
def _number() -> Iterator[int]:
    """Yield the number of a lab that nobody else has."""
    for number in range(LABS):
        with Path("/run", f"lab{number}.lock").open("w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield number
            return
    raise RuntimeError(f"all {LABS} labs are in use")


def main() -> None:
    """Keep a lab until Ctrl-C, and say how to reach it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="*", help="images of this machine's that the engines get")
    parser.add_argument("--apart", action="store_true", help="one engine alone")
    parser.add_argument("--hide", action="append", default=[], type=Path, help="a folder")
    parser.add_argument("--unusable", action="store_true", help="say why there can be none here")
    parser.add_argument("--nodes", type=int, default=len(NAMES), choices=range(1, len(NAMES) + 1))
    options = parser.parse_args()
    reason = unusable()
    if options.unusable:
        print(reason)
        return
    if reason:
        sys.exit(reason)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        if options.apart:
            found = [stack.enter_context(apart(options.images, options.hide))]
        else:
            found = list(stack.enter_context(swarm(options.images, NAMES[: options.nodes])).nodes)
        for machine in found:
            print(f"{machine.name} {machine.address} DOCKER_HOST={machine.host}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
