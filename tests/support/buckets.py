"""A server of S3, as a target of backups."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.backups import Backups
from tests.support.past import until


@dataclass
class Bucket:
    """A server of S3 with one bucket, and the folder that is the target there."""

    folder: Path
    command: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Have it take connections."""
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        until(self._answers, what="S3 answers")

    def stop(self) -> None:
        """End it at once."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def _answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def serving(program: Backups, packages: Path) -> Iterator[Bucket]:
    """Yield an S3 server that wants a signature, and is the program's target."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = program.folder / "s3"
    (folder / "shop").mkdir(parents=True)
    command = [
        str(packages / "bin/rclone"), "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}",
        "--auth-key", "shop,a-long-secret", "--config", "",
    ]  # fmt: skip
    config = program.folder / "rclone.conf"
    config.write_text(
        "[offsite]\ntype = s3\nprovider = Rclone\naccess_key_id = shop\n"
        f"secret_access_key = a-long-secret\nendpoint = http://127.0.0.1:{port}\n"
    )
    program.variables |= {"BACKUP_TARGET": "offsite:shop/kept", "BACKUP_TARGET_FILE": str(config)}
    found = Bucket(folder / "shop/kept", command, port)
    found.start()
    try:
        yield found
    finally:
        found.stop()
