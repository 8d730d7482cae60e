"""Which migrations a database has had and which would come next, of Alembic and of Django."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.operations.releases.migrations import Pending, judge, pending
from tests.scripts.conftest import Database, Environment, Outcome, Script
from tests.scripts.test_migrate import add_step

TABLES = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
)
SETTINGS = """
import os

SECRET_KEY = "x"
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["POSTGRES_DB"],
    "USER": os.environ["POSTGRES_USER"], "PASSWORD": os.environ["POSTGRES_PASSWORD"],
    "HOST": os.environ["POSTGRES_HOST"], "PORT": os.environ["POSTGRES_PORT"],
}}
"""
MANAGE = """
import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
execute_from_command_line(sys.argv)
"""
MIGRATION = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [{depends}]
    operations = [{operation}]
"""
FIRST = """migrations.CreateModel("Thing", [
    ("id", models.BigAutoField(primary_key=True)), ("name", models.CharField(max_length=9))])"""
SECOND = 'migrations.RemoveField("Thing", "name")'


@pytest.fixture(autouse=True)
def commands(env: Environment) -> None:
    env["MIGRATE_COMMAND"] = "alembic upgrade head"


@pytest.fixture
def shop(tmp_path: Path, env: Environment) -> Path:
    """Make a Django project with one migration."""
    folder = tmp_path / "site"
    (folder / "shop" / "migrations").mkdir(parents=True)
    for package in ("shop", "shop/migrations"):
        (folder / package / "__init__.py").touch()
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "manage.py").write_text(MANAGE)
    django_step(folder, "0001_thing", "", FIRST)
    env["MIGRATE_COMMAND"] = "python manage.py migrate --no-input"
    return folder


def django_step(folder: Path, name: str, depends: str, operation: str) -> Path:
    step = folder / "shop" / "migrations" / f"{name}.py"
    before = f'("shop", "{depends}")' if depends else ""
    step.write_text(MIGRATION.format(depends=before, operation=operation))
    return step


def good(done: Outcome) -> str:
    assert done.status == 0, done.err
    return done.out


class TestCurrent:
    def test_a_new_database_is_at_nothing(self, script: Script, database: Database) -> None:
        assert good(script("entrypoint", "migrate", "--current")) == ""

    def test_alembic_has_a_line_for_each_of_its_tables(
        self, script: Script, database: Database, api: Path
    ) -> None:
        good(script("migrate", cwd=api))
        database.query(
            "CREATE SCHEMA shop; CREATE TABLE shop.its_own (version_num varchar(32));"
            "INSERT INTO shop.its_own VALUES ('b'), ('a');"
            "CREATE TABLE other (version_num varchar(32), more int)"
        )
        lines = "alembic_version 0002\nshop.its_own a b\n"
        assert good(script("migrate", "--current", cwd=api)) == lines

    def test_django_has_a_line_for_the_last_of_each_app(
        self, script: Script, database: Database, shop: Path
    ) -> None:
        django_step(shop, "0002_less", "0001_thing", SECOND)
        good(script("entrypoint", "migrate", cwd=shop))
        said = good(script("migrate", "--current", cwd=shop))
        assert said == "django_migrations shop.0002_less\n"

    def test_it_asks_no_app(self, script: Script, database: Database, tmp_path: Path) -> None:
        database.query("CREATE TABLE alembic_version (version_num varchar(32))")
        database.query("INSERT INTO alembic_version VALUES ('from the future')")
        done = script("migrate", "--current", cwd=tmp_path, MIGRATE_COMMAND="false")
        assert good(done) == "alembic_version from the future\n"

    def test_without_a_database_there_is_nothing_to_say(self, script: Script) -> None:
        assert good(script("migrate", "--current")) == ""

    def test_a_database_that_refuses_is_named(self, script: Script, database: Database) -> None:
        done = script("migrate", "--current", POSTGRES_PASSWORD="wrong")
        assert done.status == 2 and "POSTGRES_PASSWORD" in done.err


class TestPlan:
    def test_alembics_pending_sql_is_printed_and_not_run(
        self, script: Script, database: Database, api: Path
    ) -> None:
        good(script("migrate", cwd=api))
        add_step(api, "9999", "0002", "ALTER TABLE habits DROP COLUMN name")
        said = good(script("entrypoint", "migrate", "--plan", cwd=api))
        assert said.startswith("-- at: alembic_version 0002\n-- alembic upgrade head\n")
        assert "ALTER TABLE habits DROP COLUMN name;" in said and "CREATE TABLE" not in said
        assert database.query("SELECT version_num FROM alembic_version") == "0002"
        assert database.query("SELECT count(name) FROM habits") == "0"

    def test_of_a_new_database_it_is_all(
        self, script: Script, database: Database, api: Path
    ) -> None:
        said = good(script("migrate", "--plan", cwd=api))
        assert "CREATE TABLE alembic_version" in said and "CREATE TABLE habits" in said
        assert database.query(f"{TABLES} AND relkind = 'r'") == "0"

    def test_what_it_prints_is_what_a_migration_does(
        self, script: Script, database: Database, api: Path
    ) -> None:
        """Of two branches that are joined, too, from where the database is."""
        good(script("migrate", cwd=api))
        add_step(api, "9997", "0002", "CREATE TABLE one (id int)")
        add_step(api, "9998", "0002", "CREATE TABLE other (id int)")
        good(script("migrate", cwd=api, MIGRATE_COMMAND="alembic upgrade heads"))
        joined = add_step(api, "9999", "0002", "CREATE TABLE joined (id int)")
        joined.write_text(joined.read_text().replace('"0002"', '("9997", "9998")'))
        database.query(good(script("migrate", "--plan", cwd=api)))
        assert database.query("SELECT to_regclass('joined')") == "joined"
        assert good(script("migrate", "--current", cwd=api)) == "alembic_version 9999\n"

    def test_djangos_pending_sql_is_printed_and_not_run(
        self, script: Script, database: Database, shop: Path
    ) -> None:
        good(script("migrate", cwd=shop))
        django_step(shop, "0002_less", "0001_thing", SECOND)
        said = good(script("entrypoint", "migrate", "--plan", cwd=shop))
        assert said.startswith("-- at: django_migrations shop.0001_thing\n")
        assert "-- shop.0002_less\n" in said
        assert 'ALTER TABLE "shop_thing" DROP COLUMN "name" CASCADE;' in said
        assert "CREATE TABLE" not in said
        assert database.query("SELECT count(name) FROM shop_thing") == "0"

    def test_the_whole_of_django_on_a_new_database_leaves_it_new(
        self, script: Script, database: Database, shop: Path
    ) -> None:
        django_step(shop, "0002_less", "0001_thing", SECOND)
        said = good(script("migrate", "--plan", cwd=shop))
        assert said.index('CREATE TABLE "shop_thing"') < said.index("DROP COLUMN")
        assert database.query(f"{TABLES} AND relkind = 'r'") == "0"

    def test_a_script_says_in_a_variable_what_it_migrates_with(
        self, script: Script, database: Database, api: Path
    ) -> None:
        (api / "prestart.sh").write_text("echo must not run; exit 1")
        command = {"MIGRATE_COMMAND": "bash prestart.sh"}
        unknown = script("migrate", "--plan", cwd=api, **command)
        assert (unknown.status, unknown.out) == (2, "")
        assert "bash prestart.sh: what it would do isn't known" in unknown.err
        assert "MIGRATE_PLAN_COMMAND" in unknown.err
        known = {**command, "MIGRATE_PLAN_COMMAND": "alembic upgrade head"}
        assert "CREATE TABLE habits" in good(script("migrate", "--plan", cwd=api, **known))
        own = {**command, "MIGRATE_PLAN_COMMAND": "echo 'CREATE TABLE own ();'"}
        assert "\nCREATE TABLE own ();\n" in good(script("migrate", "--plan", cwd=api, **own))

    def test_commands_beside_the_migration_are_not_run(
        self, script: Script, database: Database, api: Path
    ) -> None:
        command = "touch run && alembic upgrade head"
        done = script("migrate", "--plan", cwd=api, MIGRATE_COMMAND=command)
        assert "CREATE TABLE habits" in good(done)
        assert "touch run: what it would do isn't known" in done.err
        assert not (api / "run").exists()

    def test_one_that_cannot_be_told_fails_with_its_name(
        self, script: Script, database: Database, api: Path
    ) -> None:
        step = add_step(api, "9999", "0002", "SELECT 1")
        step.write_text(step.read_text().replace("op.execute(", "op.get_bind().nothing("))
        done = script("migrate", "--plan", cwd=api)
        assert done.status not in {0, 2}
        assert "alembic upgrade head: what it would do isn't known: status" in done.err


class TestJudged:
    """What the tools really print, as a deploy reads it."""

    def pending(self, script: Script, folder: Path) -> Pending:
        def run(words: Sequence[str]) -> Completed:
            done = script("entrypoint", *words, cwd=folder)
            return Completed(tuple(words), done.status, done.out, done.err)

        return pending(run)

    @pytest.mark.parametrize("name", ["api", "shop"])
    def test_a_new_database_has_nothing_to_break(
        self, script: Script, database: Database, request: pytest.FixtureRequest, name: str
    ) -> None:
        found = self.pending(script, request.getfixturevalue(name))
        assert (found.at, found.newer, found.destructive, found.untold) == ((), (), (), ())
        assert "CREATE TABLE" in found.sql

    def test_nothing_pending_is_no_statement(
        self, script: Script, database: Database, api: Path
    ) -> None:
        good(script("migrate", cwd=api))
        found = self.pending(script, api)
        assert found.at == ("alembic_version 0002",) and found.additive and found.empty

    def test_alembic(self, script: Script, database: Database, api: Path) -> None:
        good(script("migrate", cwd=api))
        step = add_step(api, "9999", "0002", "SELECT 1")
        operations = (
            'op.alter_column("habits", "name", new_column_name="title")',
            'op.add_column("checkins", sa.Column("note", sa.Text, nullable=False))',
            'op.add_column("checkins", sa.Column("price", sa.Numeric(5, 2), server_default="0"))',
            'op.drop_table("summaries")',
        )
        step.write_text(step.read_text().replace('op.execute("SELECT 1")', "; ".join(operations)))
        found = self.pending(script, api)
        places = [(each.table, each.column) for each in found.destructive]
        assert places == [("habits", "name"), ("checkins", "note"), ("summaries", "")]

    def test_a_column_that_only_gets_wider_breaks_nothing(
        self, script: Script, database: Database, api: Path, shop: Path
    ) -> None:
        alembic = {"MIGRATE_COMMAND": "alembic upgrade head"}
        good(script("migrate", cwd=api, **alembic))
        step = add_step(api, "9999", "0002", "ALTER TABLE habits ALTER name TYPE varchar(101)")
        said = good(script("migrate", "--plan", cwd=api, **alembic))
        assert said.endswith("-- has: habits.name character varying(100)\n")
        assert judge(said) == ([], [])
        step.write_text(step.read_text().replace("101", "99"))
        narrower = judge(good(script("migrate", "--plan", cwd=api, **alembic)))
        assert [each.column for each in narrower[0]] == ["name"]
        good(script("migrate", cwd=shop))
        wider = 'migrations.AlterField("Thing", "name", models.TextField())'
        django_step(shop, "0002_more", "0001_thing", wider)
        assert self.pending(script, shop).additive

    def test_django(self, script: Script, database: Database, shop: Path) -> None:
        good(script("migrate", cwd=shop))
        for number, operation in enumerate((
            'migrations.AddField("Thing", "n", models.IntegerField(default=1))',
            'migrations.AddField("Thing", "m", models.IntegerField(null=True, default=1))',
            'migrations.AddField("Thing", "o", models.IntegerField(db_default=1))',
            'migrations.AddField("Thing", "p", models.ForeignKey("shop.Thing", models.CASCADE,'
            " null=True))",
            'migrations.AlterField("Thing", "name", models.CharField(max_length=5, unique=True))',
            "migrations.RunPython(migrations.RunPython.noop)",
            'migrations.RenameField("Thing", "name", "title")',
        )):  # fmt: skip
            before = f"000{number + 1}_step" if number else "0001_thing"
            django_step(shop, f"000{number + 2}_step", before, operation)
        found = self.pending(script, shop)
        places = [(each.table, each.column) for each in found.destructive]
        # The type, and that it is unique; an index for LIKE has nothing to do with it.
        name = ("shop_thing", "name")
        assert places == [("shop_thing", "n"), name, name, name]
        assert found.untold == ("shop.0007_step: Raw Python operation, which is no SQL",)

    def test_a_newer_database_is_told(self, script: Script, database: Database, api: Path) -> None:
        step = add_step(api, "9999", "0002", "CREATE TABLE more (id int)")
        good(script("migrate", cwd=api))
        step.unlink()
        assert self.pending(script, api).newer == ("9999",)

    def test_a_database_that_refuses_is_an_error(
        self, script: Script, database: Database, api: Path, env: Environment
    ) -> None:
        env["POSTGRES_PASSWORD"] = "wrong"
        with pytest.raises(GangwayError, match="look at POSTGRES_USER and POSTGRES_PASSWORD"):
            self.pending(script, api)


class TestNewer:
    """An older release's code, at a database that a newer one has migrated."""

    @pytest.fixture
    def api_behind(self, script: Script, database: Database, api: Path) -> Path:
        step = add_step(api, "9999", "0002", "CREATE TABLE more (id int)")
        good(script("migrate", cwd=api))
        step.unlink()
        return api

    @pytest.fixture
    def shop_behind(self, script: Script, database: Database, shop: Path) -> Path:
        step = django_step(shop, "0002_less", "0001_thing", SECOND)
        good(script("migrate", cwd=shop))
        step.unlink()
        return shop

    @pytest.mark.parametrize("command", ["alembic upgrade head", "python -m api.migrate"])
    def test_alembic_says_so_and_how_to_go_on(
        self, script: Script, api_behind: Path, command: str
    ) -> None:
        plan = {"MIGRATE_COMMAND": command, "MIGRATE_PLAN_COMMAND": "alembic upgrade head"}
        done = script("migrate", cwd=api_behind, SEED="1", SEED_COMMAND="echo seeded", **plan)
        assert (done.status, done.out.count("seeded")) == (2, 0)
        last = done.err.splitlines()[-1]
        assert "newer than this code, which doesn't know 9999" in last and "MIGRATE_NEWER" in last

    def test_django_does_not_pass_over_it(self, script: Script, shop_behind: Path) -> None:
        done = script("migrate", cwd=shop_behind)
        assert done.status == 2
        assert "doesn't know shop.0002_less" in done.err.splitlines()[-1]

    def test_where_that_is_accepted_nothing_is_migrated_and_all_is_well(
        self, script: Script, database: Database, api_behind: Path
    ) -> None:
        done = script("migrate", cwd=api_behind, MIGRATE_NEWER="accept")
        assert done.out == "" and done.status == 0
        assert "doesn't know 9999; nothing is migrated" in done.err
        assert done.err.count("\n") == 1
        seed = {"SEED": "1", "SEED_COMMAND": "echo seeded"}
        done = script("migrate", cwd=api_behind, MIGRATE_NEWER="accept", **seed)
        assert (done.status, done.out) == (0, "seeded\n")
        assert database.query("SELECT version_num FROM alembic_version") == "9999"

    def test_django_is_accepted_as_well(self, script: Script, shop_behind: Path) -> None:
        done = script("migrate", cwd=shop_behind, MIGRATE_NEWER="accept")
        assert done.status == 0 and "doesn't know shop.0002_less" in done.err

    def test_a_database_that_is_not_newer_is_migrated_all_the_same(
        self, script: Script, database: Database, api: Path
    ) -> None:
        done = script("migrate", cwd=api, MIGRATE_NEWER="accept")
        assert done.status == 0 and "newer" not in done.err
        assert database.query("SELECT count(*) FROM habits") == "0"

    def test_another_word_than_accept_is_refused(
        self, script: Script, database: Database, api: Path
    ) -> None:
        done = script("migrate", cwd=api, MIGRATE_NEWER="yes")
        assert done.status == 2 and "MIGRATE_NEWER=yes" in done.err

    def test_what_is_left_over_from_before_is_not_newer(
        self, script: Script, database: Database, shop: Path
    ) -> None:
        """Of an app that has gone, and of migrations that were squashed."""
        good(script("migrate", cwd=shop))
        django_step(shop, "0002_less", "0001_thing", SECOND)
        database.query(
            "INSERT INTO django_migrations (app, name, applied) VALUES"
            " ('gone', '0001_x', now()), ('shop', '0001_half', now())"
        )
        assert script("migrate", cwd=shop).status == 2
        database.query("UPDATE django_migrations SET id = -id WHERE name = '0001_half'")
        good(script("migrate", cwd=shop))
        assert good(script("migrate", "--current", cwd=shop)).endswith("shop.0002_less\n")

    @pytest.mark.parametrize("name", ["api_behind", "shop_behind"])
    def test_a_plan_names_what_the_database_is_ahead_by(
        self, script: Script, request: pytest.FixtureRequest, name: str
    ) -> None:
        said = good(script("migrate", "--plan", cwd=request.getfixturevalue(name)))
        newer = "9999" if name == "api_behind" else "shop.0002_less"
        assert f"-- newer: {newer}\n" in said
        assert "DROP" not in said and "CREATE" not in said
