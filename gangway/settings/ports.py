"""Ports of this machine: which are free, who holds one, and a free block for a checkout."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.settings import contract
from gangway.settings.contract import Contract
from gangway.settings.environment import Environment, environments, load, stacks

# A block is the wanted ports, all moved by the same multiple of this: the last digit still tells
# the services and environments apart.
STEP: Final = 10
BLOCKS: Final = 250  # 8000 moves to 10500 at most, below where systems take ports for clients

_LISTENING = "0A"
_PREFIX: Final = "PUBLISHED_"


def is_free(port: int, host: str = "127.0.0.1", protocol: str = "tcp") -> bool:
    """Say whether an engine can publish `port` of TCP or UDP on the address `host` now.

    Raises GangwayError where `host` is not an address of this machine.
    """
    addresses = {host}
    if sys.platform == "darwin":
        # There, a listener on all addresses does not stop another one on a single address.
        addresses.add("::" if ":" in host else "0.0.0.0")
    return all(_can_listen(port, address, protocol) for address in addresses)


def free_block(
    root: Path,
    ports: Mapping[str, int],
    *,
    host: str = "127.0.0.1",
    reserved: Collection[int] | None = None,
    free: Callable[[int, str], bool] = is_free,
) -> dict[str, int]:
    """Return a free port for each name in `ports`, all moved by the same distance.

    The search starts at a place that depends on the checkout's path, so that two checkouts seldom
    meet even while neither runs. `reserved` ports are left out: by default all that the
    checkout's environments name. Raises GangwayError where no block is free.
    """
    kept = reserved_ports(root) if reserved is None else reserved
    start = zlib.crc32(os.fsencode(root.resolve()))
    for turn in range(BLOCKS):
        distance = STEP * (1 + (start + turn) % BLOCKS)
        block = {name: port + distance for name, port in ports.items()}
        if all(port <= 65535 and port not in kept and free(port, host) for port in block.values()):
            return block
    raise GangwayError(
        f"no free block of {len(ports)} ports on {host}",
        fix="set " + ", ".join(ports) + " yourself, in env/local.env or a Compose file",
    )


def published(env: Environment, known: Contract) -> dict[str, int]:
    """Return the ports on this machine that an environment's variables say, by their names.

    Those of its stack, by default where nothing sets them, and whatever else an env file has.
    """
    found = {spec.name: spec.default_for(env.kind) or "" for spec in known.published(env.stack)}
    found |= {name: each.value for name, each in env.variables.items() if name.startswith(_PREFIX)}
    return {name: int(value) for name, value in found.items() if value.isdecimal()}


def reserved_ports(root: Path) -> set[int]:
    """Return every port that an environment of this checkout publishes, whatever its stack."""
    found: set[int] = set()
    for name in environments(root):
        # An environment that cannot be read is its own task's business.
        with suppress(GangwayError):
            known = contract.load(root)
            for stack in stacks(root):
                env = load(root, name, stack=stack, shell={})
                found.update(published(env, known).values())
    return found


def taken(env: Environment, port: int, publisher: str | None, service: str = "") -> GangwayError:
    """Return the error for a port of `service` that somebody else listens on.

    `publisher` is who of the engine's own has it, where that is known.
    """
    who = publisher or holder(port) or "another program"
    named = f"PUBLISHED_{service.upper().replace('-', '_')}_PORT"
    known = published(env, contract.load(env.root))
    variables = [name for name, value in known.items() if value == port]
    variable = named if named in variables else next(iter(variables), None)
    free = f"invoke {env.name}.up --ports auto picks free ports"
    if variable:
        fix = f"set {variable} to another port, or: {free}"
    elif service:
        # In the Compose file as a number.
        fix = f"{free}; or let it be chosen: ${{{named}:-{port}}} in {service}'s ports, and "
        fix += f"{named} in {contract.FILE}"
    else:
        fix = free
    return GangwayError(f"port {port} is taken by {who}", fix=fix)


def holder(port: int) -> str | None:
    """Return who listens on `port`, such as `python3 (process 4711)`; None where nobody is seen.

    A process of another user shows as that user's.
    """
    if Path("/proc/net/tcp").exists():
        return _holder_in_proc(port)
    return _holder_by_lsof(port)


def _can_listen(port: int, host: str, protocol: str) -> bool:
    wanted = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=wanted, flags=socket.AI_NUMERICHOST
        )[0]
    except socket.gaierror:
        raise _no_address(host) from None
    with socket.socket(family, kind, number) as probe:
        if sys.platform == "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif protocol != "udp":
            # As the engine does: connections of a stack that just went down (TIME_WAIT) do not
            # stop the next one.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(address)
            if protocol != "udp":
                probe.listen(1)
        except PermissionError:
            # A low port: the engine may have it where this user may not; is somebody there?
            return holder(port) is None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise _no_address(host) from None
            return False
    return True


def _no_address(host: str) -> GangwayError:
    return GangwayError(
        f"{host} is not an address of this machine", fix="set BIND_ADDRESS, e.g. to 127.0.0.1"
    )


def _holder_in_proc(port: int) -> str | None:
    sockets: dict[str, int] = {}  # inode -> uid
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text(encoding="utf-8").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    sockets[fields[9]] = int(fields[7])
    if not sockets:
        return None
    wanted = {f"socket:[{inode}]" for inode in sockets}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(_target(entry) in wanted for entry in (process / "fd").iterdir()):
                return _describe(process)
    return f"a process of {_user(min(sockets.values()))}"


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


def _describe(process: Path) -> str:
    name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    if name == "docker-proxy":
        return f"a container (docker-proxy, process {process.name})"
    return f"{name} (process {process.name})"


def _user(uid: int) -> str:
    try:
        import pwd

        return f"user {pwd.getpwuid(uid).pw_name}"
    except (ImportError, KeyError):
        return f"user {uid}"


def _holder_by_lsof(port: int) -> str | None:
    command = ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"^p(\d+)\nc(.+)$", done.stdout, re.MULTILINE)
    return f"{match.group(2)} (process {match.group(1)})" if match else None
