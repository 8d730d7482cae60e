"""A network of this machine's own for engines: a namespace for each, joined by a switch.

The switch is a bridge in a namespace of its own, so that no rule of this machine's firewall sees
what passes. The machine itself has one plug in it, and reaches every engine by its address.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

NAMESPACES = Path("/run/netns")
#: The plug of the machine itself.
HOST = 1


class Switch:
    """A switch and its plugs, each a network namespace: `plug` makes one, `cut` takes its link.

    `number` (0 to 255) tells this machine's switches apart; its addresses are 10.231.NUMBER.0/24.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = f"lab{number}"

    def address(self, plug: int) -> str:
        """Return the IPv4 address of a plug (2 to 254), or of the machine itself (HOST)."""
        return f"10.231.{self.number}.{plug}"

    def namespace(self, plug: int) -> Path:
        """Return the file of a plug's network namespace."""
        return NAMESPACES / f"{self.name}-{plug}"

    def build(self) -> None:
        """Make the switch, with the machine's own plug in it."""
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "add", "switch", "type", "bridge")
        ip("-n", self.name, "link", "set", "switch", "up")
        # The other end's name is what `remove` knows it by.
        ip("link", "add", self.name, "type", "veth", "peer", "name", "host", "netns", self.name)
        ip("address", "add", f"{self.address(HOST)}/24", "dev", self.name)
        ip("link", "set", self.name, "up")
        ip("-n", self.name, "link", "set", "host", "master", "switch", "up")

    def plug(self, plug: int) -> None:
        """Make a plug's namespace anew, with nothing in it but its link and loopback."""
        self.unplug(plug)
        inside = self.namespace(plug).name
        ip("netns", "add", inside)
        ip("-n", inside, "link", "set", "lo", "up")
        end = f"plug{plug}"
        ip(
            "-n", self.name, "link", "add", end, "type", "veth",
            "peer", "name", "eth0", "netns", inside,
        )  # fmt: skip
        # A machine's own, which it has again once it is back: the others remember it.
        ip(
            "-n",
            inside,
            "link",
            "set",
            "eth0",
            "address",
            f"02:0a:e7:00:{self.number:02x}:{plug:02x}",
        )
        ip("-n", inside, "address", "add", f"{self.address(plug)}/24", "dev", "eth0")
        ip("-n", inside, "link", "set", "eth0", "up")
        ip("-n", inside, "route", "add", "default", "via", self.address(HOST))
        ip("-n", self.name, "link", "set", end, "master", "switch", "up")

    def unplug(self, plug: int) -> None:
        """Take a plug and its namespace away, where it is there."""
        if self.namespace(plug).exists():
            # The namespace itself goes a while after its last process, and its link with it.
            ip("-n", self.name, "link", "delete", f"plug{plug}", missing=True)
            ip("netns", "delete", self.namespace(plug).name)

    def cut(self, plug: int) -> None:
        """Pull the cable: the engine goes on, and nobody can reach it."""
        ip("-n", self.name, "link", "set", f"plug{plug}", "down")

    def mend(self, plug: int) -> None:
        """Put the cable back."""
        ip("-n", self.name, "link", "set", f"plug{plug}", "up")

    def remove(self) -> None:
        """Take the switch and all of its plugs away, those of a run that was killed, too."""
        for namespace in sorted(NAMESPACES.glob(f"{self.name}-*")):
            self.unplug(int(namespace.name.rpartition("-")[2]))
        ip("link", "delete", self.name, missing=True)
        if (NAMESPACES / self.name).exists():
            ip("netns", "delete", self.name)


def ip(*words: str, missing: bool = False) -> None:
    """Run `ip`; raises RuntimeError where it fails, unless what it takes may be `missing`."""
    run(["ip", *words], missing=missing)


def run(command: Sequence[str], *, missing: bool = False) -> str:
    """Run a program of the system and return its output; raises RuntimeError where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and not missing:
        raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def unusable() -> str:
    """Return why no such network can be made on this machine; empty where it can."""
    if shutil.which("ip") is None:
        return "there is no ip (Debian: apt install iproute2)"
    try:
        run(["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "true"])
    except (OSError, RuntimeError) as error:
        return f"no network namespace can be made here (as root?): {error}"
    return ""
