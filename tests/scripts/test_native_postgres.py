"""What the native PostgreSQL leaves for its clients on this machine."""

import subprocess
from pathlib import Path

import pytest

from tests.scripts.conftest import ROOT, Database, Environment
from tests.support.postgres import Postgres

SCRIPT = ROOT / "scripts" / "native" / "postgres"
HARD = r"""a:b \c\\ "d" 'e' $f é"""


def written(tmp_path: Path, secret: Path | None) -> Path:
    """Return the file that clients find the password in."""
    file = tmp_path / "pgpass"
    named = {"POSTGRES_PASSWORD_FILE": str(secret)} if secret else {}
    subprocess.run(
        ["bash", "-c", '. "$1"; write_password_file', "-", SCRIPT],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "PGPASSFILE": str(file), **named},
        check=True,
    )
    return file


@pytest.mark.parametrize("password", [HARD, "plain"])
def test_clients_find_the_password_whatever_is_in_it(
    tmp_path: Path, env: Environment, server: Postgres, database: Database, password: str
) -> None:
    name = f"reader_{database.name}"
    quoted = password.replace("'", "''")
    database.query(f"CREATE ROLE {name} LOGIN PASSWORD '{quoted}'")
    (tmp_path / "secret").write_text(f"{password}\n", encoding="utf-8")
    file = written(tmp_path, tmp_path / "secret")
    where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", name, "-d", database.name]
    done = subprocess.run(
        [server.psql(), "-XAtqw", *where, "-c", "SELECT current_user"],
        env={**env, "PGPASSFILE": str(file)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{name}\n", "")


def test_that_file_is_for_its_owner_alone_and_stands_by_itself(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    file = written(tmp_path, tmp_path / "secret")
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pgpass", "secret"]


def test_it_is_written_anew_at_each_start(tmp_path: Path) -> None:
    for password in ("one", "two"):
        (tmp_path / "secret").write_text(password)
        assert written(tmp_path, tmp_path / "secret").read_text() == f"*:*:*:*:{password}\n"
