"""The program in docker/backup as its image runs it, for a small shop's database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.conftest import Database, installed
from tests.support.backups import Backups, backups

ROWS = 5000


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install age and rclone as the image has them; return the folder."""
    folder = tmp_path_factory.mktemp("backup-packages")
    # Another user runs what is in there.
    for path in (folder, folder.parent):
        path.chmod(0o755)
    return installed(folder, "docker/requirements-backup.txt")


@pytest.fixture
def backup(database: Database, packages: Path) -> Iterator[Backups]:
    """The program for a small shop's database."""
    database.query(
        f"""CREATE TABLE orders (t bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, price numeric,
            at timestamptz DEFAULT now(), note text);
        INSERT INTO orders (price, note)
            SELECT g * 1.5, 'order ''' || g FROM generate_series(1, {ROWS}) g;
        CREATE TABLE "Odd ""name" (a int, b bytea, c float8[], d jsonb);
        INSERT INTO "Odd ""name"
            VALUES (1, '\\x00ff', '{{0.1,NaN}}', '{{"a": [1]}}'), (1, NULL, NULL, NULL);
        CREATE TABLE alembic_version (version_num text);
        INSERT INTO alembic_version VALUES ('0002');
        CREATE VIEW dear AS SELECT * FROM orders WHERE price > 100;
        CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE INDEX ON orders (price); ALTER DATABASE {database.name} SET work_mem = '5MB';
        SELECT lo_from_bytea(0, 'large')"""
    )
    with backups(database.server, database.name, packages) as program:
        yield program
