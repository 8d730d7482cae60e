"""The backup program as its image runs it: another user than root, PostgreSQL's programs first."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.postgres import BIN, Postgres

ROOT = Path(__file__).parents[2]
# A user that PostgreSQL accepts, and that reaches the Python in root's own folder all the same.
READS = ("-all,+dac_read_search",) * 2
AS_USER = (
    "setpriv", "--reuid=nobody", "--clear-groups",
    f"--inh-caps={READS[0]}", f"--ambient-caps={READS[1]}",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How the program ended, and what it said."""

    status: int
    out: str
    err: str


@dataclass
class Backups:
    """The program with a folder of its own, for one database of a server."""

    folder: Path
    server: Postgres
    database: str
    packages: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What the container's environment says."""
        path = [BIN, self.packages / "bin", Path(sys.executable).parent, ROOT / "scripts"]
        return {
            "PATH": os.pathsep.join([*map(str, path), "/usr/bin", "/bin"]),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "docker"), str(self.packages)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.folder),
            "BACKUP_FOLDER": str(self.folder / "backups"),
            "BACKUP_PROJECT": "shop",
            "BACKUP_RELEASE": "r1",
            **self.server.environment,
            "POSTGRES_DB": self.database,
            **self.variables,
        }

    @property
    def command(self) -> list[str]:
        """What starts it; a word follows."""
        prefix = AS_USER if os.geteuid() == 0 else ()
        return [*prefix, sys.executable, "-m", "backup"]

    def run(self, *words: str, **variables: str) -> Ended:
        """Run it to its end; whatever happens, it never prints the password."""
        done = subprocess.run(
            [*self.command, *words], env=self.environment | variables, cwd=self.folder,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert self.server.password not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(done.returncode, done.stdout.strip(), done.stderr.strip())

    def does(self, *words: str, **variables: str) -> str:
        """Run it where it must go well, and return what it printed."""
        done = self.run(*words, **variables)
        assert done.status == 0, done
        return done.out

    def names(self, kind: str = "logical") -> list[str]:
        """Return the folders of the backups of a kind, partial ones too."""
        folder = self.folder / "backups" / kind
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def path(self, name: str = "", kind: str = "logical") -> Path:
        """Return the folder of a backup; the newest for no name."""
        return self.folder / "backups" / kind / (name or self.names(kind)[-1])

    def manifest(self, name: str = "") -> dict[str, Any]:
        """Return a backup's manifest."""
        found: dict[str, Any] = json.loads((self.path(name) / "manifest.json").read_text())
        return found

    def query(self, sql: str) -> str:
        """Ask the live database."""
        return self.server.query(sql, self.database)

    def databases(self) -> list[str]:
        """Return the databases of the server that have to do with this one."""
        sql = f"SELECT datname FROM pg_database WHERE datname LIKE '{self.database}%' ORDER BY 1"
        return self.server.query(sql).split()


@contextmanager
def backups(
    server: Postgres, database: str, packages: Path, variables: Mapping[str, str] | None = None
) -> Iterator[Backups]:
    """Yield the program with a new folder, which goes afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gangway-backup-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    try:
        yield Backups(folder, server, database, packages, dict(variables or {}))
    finally:
        shutil.rmtree(folder)


def fails(program: Backups, *words: str, status: int = 2, **variables: str) -> str:
    """Run it where it has to end with a status, and return the one line that it says."""
    done = program.run(*words, **variables)
    assert done.status == status, done
    assert len(done.err.splitlines()) == 1, done.err
    return done.err


def wrong(program: Backups, **variables: str) -> str:
    """Return what it finds wrong, a line for each; it has a status for that."""
    done = program.run("list", "--json", **variables)
    found: list[str] = json.loads(done.out)["findings"]
    assert done.status == bool(found)
    return "\n".join(found)


def keys(packages: Path) -> tuple[str, str]:
    """Return a new public key of age, and its secret one."""
    program = "import pyrage; i = pyrage.x25519.Identity.generate(); print(i.to_public()); print(i)"
    done = subprocess.run(
        ["python3", "-c", program], env=os.environ | {"PYTHONPATH": str(packages)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    public, secret = done.stdout.split()
    return public, secret
