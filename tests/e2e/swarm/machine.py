"""One Docker Engine that takes itself for a machine of its own: for engines beside the real one.

Its processes have network, mounts, host name and process numbers of their own, so that ending the
first of them is what pulling the plug is: nothing that it ran is left, nothing said goodbye.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.support import Result
from tests.e2e.swarm.network import HOST, Switch

CGROUPS = Path("/sys/fs/cgroup")
START_SECONDS = 30.0
#: What is of the engine's images; all else in its data folder is of one run.
KEPT = ("image", "overlay2", "engine-id")

# What a machine of its own doesn't share: containerd's sockets, and what is hidden from it. Then
# the engine becomes the child of a small init, for what its containers orphan.
_BOOT = """
hostname "$1"
mkdir -p /run/containerd
mount -t tmpfs containerd /run/containerd
shift
while [ "$1" != -- ]; do
  mount -t tmpfs hidden "$1"
  shift
done
shift
exec docker-init -- "$@"
"""


@dataclass
class Machine:
    """An engine called `name` in a plug of a switch, with its files below `folder`.

    `hidden` are folders that it must not see. `start` and `wait` bring it up.
    """

    name: str
    switch: Switch
    plug: int
    folder: Path
    hidden: Sequence[Path] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return self.switch.address(self.plug)

    @property
    def socket(self) -> Path:
        """The socket by which this machine reaches it."""
        return self.runtime / "docker.sock"

    @property
    def host(self) -> str:
        """What DOCKER_HOST has to be to speak to it."""
        return f"unix://{self.socket}"

    @property
    def runtime(self) -> Path:
        """Where its sockets are: in a short path, for a socket's may have 107 letters at most."""
        return Path("/run", self.switch.name, self.name)

    @property
    def log(self) -> Path:
        """What it says itself."""
        return self.runtime / "dockerd.log"

    @property
    def cgroup(self) -> str:
        """The control group of its containers."""
        return f"{self.switch.name}-{self.name}"

    def start(self) -> None:
        """Boot it, without waiting for it; `wait` does.

        It ends with the thread that called this, so that nothing is left of a run that was killed.
        """
        self.switch.plug(self.plug)
        shutil.rmtree(self.runtime, ignore_errors=True)
        self.runtime.mkdir(parents=True)
        engine = [
            "dockerd", f"--host={self.host}", f"--data-root={self.folder}",
            f"--exec-root={self.runtime}", f"--pidfile={self.runtime}/dockerd.pid",
            # No systemd of its own to ask.
            "--exec-opt=native.cgroupdriver=cgroupfs", f"--cgroup-parent=/{self.cgroup}",
            f"--dns={self.switch.address(HOST)}", "--shutdown-timeout=3", "--config-file=/dev/null",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "setpriv", "--pdeathsig=KILL",
                    "nsenter", f"--net={self.switch.namespace(self.plug)}",
                    "unshare", "--mount", "--propagation=slave", "--uts",
                    "--pid", "--fork", "--kill-child=KILL", "--mount-proc",
                    "sh", "-euc", _BOOT, "sh", self.name, *map(str, self.hidden), "--", *engine,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # Its images are loaded, and there is no registry to ask about them.
                env={**os.environ, "DOCKER_SERVICE_PREFER_OFFLINE_IMAGE": "1"},
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until it answers; raises RuntimeError where it ends, or doesn't in time."""
        deadline = time.monotonic() + START_SECONDS
        while self.docker("version").status:
            ended = self.process is None or self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                said = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise RuntimeError(f"the engine {self.name} did not start:\n{said}")
            time.sleep(0.1)

    def docker(self, *argv: str, timeout: float = 60.0) -> Result:
        """Run a docker command on this engine to its end."""
        begun = time.monotonic()
        done = subprocess.run(
            ["docker", "--host", self.host, *argv],
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)

    def ask(self, *argv: str, timeout: float = 60.0) -> str:
        """Run a docker command that must succeed; return what it printed."""
        done = self.docker(*argv, timeout=timeout)
        assert done.status == 0, f"{self.name}: docker {' '.join(argv)}: {done.text}"
        return done.stdout.strip()

    def images(self) -> dict[str, str]:
        """Return the id of each image that it has, by name."""
        form = "{{.Repository}}:{{.Tag}} {{.ID}}"
        lines = self.ask("image", "ls", "--no-trunc", "--format", form).splitlines()
        return dict(line.split() for line in lines)

    def kill(self) -> None:
        """Pull the plug: the engine and all that it runs end at once, unasked."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        # Its first process was its containers' last one; the kernel needs a moment for them.
        self._clear_cgroups()

    def _clear_cgroups(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while left := [*CGROUPS.glob(self.cgroup), *CGROUPS.glob(f"*/{self.cgroup}")]:
            for top in left:
                for folder in sorted(top.rglob("*/"), reverse=True):
                    with suppress(OSError):
                        folder.rmdir()
                with suppress(OSError):
                    top.rmdir()
            if time.monotonic() > deadline:
                raise RuntimeError(f"processes are left in {left}")
            time.sleep(0.02)

    def forget(self) -> None:
        """Make its data folder that of a machine that has images, and has never run anything."""
        for path in self.folder.glob("*"):
            if path.name not in KEPT:
                shutil.rmtree(path, ignore_errors=True)
        layers = self.folder / "overlay2"
        # Each container's own layers; those of images stay.
        for mount in self.folder.glob("image/overlay2/layerdb/mounts/*"):
            for part in ("mount-id", "init-id"):
                with suppress(FileNotFoundError):
                    layer = layers / (mount / part).read_text(encoding="utf-8")
                    link = (layer / "link").read_text(encoding="utf-8")
                    (layers / "l" / link).unlink(missing_ok=True)
                    shutil.rmtree(layer, ignore_errors=True)
            shutil.rmtree(mount, ignore_errors=True)

    def remove(self) -> None:
        """End it, and leave nothing but its images."""
        self.kill()
        self.switch.unplug(self.plug)
        shutil.rmtree(self.runtime, ignore_errors=True)
        self.forget()
