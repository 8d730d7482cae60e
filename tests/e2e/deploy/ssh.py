"""Another machine's engine, reached by ssh."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.support import eventually
from tests.e2e.swarm.machine import Machine

#: What it takes.
PROGRAMS = ("sshd", "ssh-keygen", "ssh", "unshare")


@contextmanager
def ssh_server(folder: Path, machine: Machine) -> Iterator[None]:
    """Have a server by which `ssh other` is on the machine; the `ssh` to use is in the folder."""
    for name in ("host", "key"):
        call = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(call, check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    port, log = 5778, folder / "sshd.log"
    (folder / "server").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {folder / 'key.pub'}\nStrictModes no\nUsePAM no\n"
        f"PermitRootLogin prohibit-password\nSetEnv DOCKER_HOST={machine.host}\n",
        encoding="utf-8",
    )
    (folder / "client").write_text(
        f"Host other\n  HostName 127.0.0.1\n  Port {port}\n  User root\n"
        f"  IdentityFile {folder / 'key'}\n  StrictHostKeyChecking no\n"
        "  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
        # One connection for all calls.
        f"  ControlMaster auto\n  ControlPath {folder}/connection\n  ControlPersist 30\n",
        encoding="utf-8",
    )
    # ssh serves nobody whom the system has no name for, such as the tests' ordinary user.
    client = f'exec unshare --map-root-user {shutil.which("ssh")} -F {folder}/client "$@"'
    (folder / "ssh").write_text(f"#!/bin/sh\n{client}\n", encoding="utf-8")
    (folder / "ssh").chmod(0o755)
    server = [shutil.which("sshd") or "sshd", "-D", "-f", str(folder / "server"), "-E", str(log)]
    with subprocess.Popen(server) as process:
        try:
            eventually(lambda: log.exists() and "listening" in log.read_text(), what="sshd")
            yield
        finally:
            process.kill()
