"""The migrations lead to what the models say, and back."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from api.migrate import applied, heads
from api.models import Base, connect, is_ours
from api.settings import Settings

CONFIG = Config(str(Path(__file__).parents[1] / "alembic.ini"))


def test_the_models_are_what_the_migrations_make(settings: Settings, run: Any) -> None:
    async def differences() -> Any:
        engine = connect(settings)
        async with engine.connect() as connection:
            found = await connection.run_sync(
                lambda sync: compare_metadata(
                    MigrationContext.configure(sync, opts={"include_name": is_ours}), Base.metadata
                )
            )
        await engine.dispose()
        return found

    assert run(differences()) == []


def test_the_migrations_go_up_down_and_up_again(
    database: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{settings.postgres_db}_migrations"
    database.execute(f"DROP DATABASE IF EXISTS {name}")
    database.execute(f"CREATE DATABASE {name}")
    monkeypatch.setenv("POSTGRES_DB", name)
    try:
        for move, target in (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head")):
            getattr(command, move)(CONFIG, target)
    finally:
        database.execute(f"DROP DATABASE {name}")


def test_what_is_up_to_date_is_known_without_alembic(settings: Settings, run: Any) -> None:
    assert heads() == set(ScriptDirectory.from_config(CONFIG).get_heads())
    assert run(applied(settings)) == heads()


def test_a_newer_migration_is_noticed_and_a_strange_one_left_to_alembic(tmp_path: Path) -> None:
    (tmp_path / "1.py").write_text('revision: str = "a"\ndown_revision: str | None = None\n')
    assert heads(tmp_path) == {"a"}
    (tmp_path / "2.py").write_text('revision = "b"\ndown_revision = ("a",)\n')
    assert heads(tmp_path) == {"b"}
    (tmp_path / "3.py").write_text('revision = "c"\ndown_revision = previous()\n')
    with pytest.raises(ValueError, match=r"3\.py"):
        heads(tmp_path)
