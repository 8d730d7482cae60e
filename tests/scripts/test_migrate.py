"""Migrations run once, whoever runs them, and nothing follows a failure."""

import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.scripts.conftest import ROOT, SCRIPTS, Database, Environment, Script
from tests.support.processes import eventually, running

STEP = '''"""A step of the test's own."""
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{down}"


def upgrade() -> None:
    op.execute("{sql}")
'''

HOLDERS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"


@pytest.fixture(autouse=True)
def commands(env: Environment) -> None:
    """What core's stack runs; a test may run something else."""
    env |= {"MIGRATE_COMMAND": "alembic upgrade head", "SEED_COMMAND": "python -m api.seed"}


def add_step(api: Path, revision: str, down: str, sql: str) -> Path:
    step = api / "migrations" / "versions" / f"{revision}_step.py"
    step.write_text(STEP.format(revision=revision, down=down, sql=sql))
    return step


def test_an_empty_database_is_migrated_and_seeded(
    script: Script, database: Database, api: Path
) -> None:
    done = script("entrypoint", "migrate", cwd=api, SEED="1")
    assert done.status == 0, done.err
    assert int(database.query("SELECT count(*) FROM habits")) > 0


def test_without_seed_the_tables_stay_empty(script: Script, database: Database, api: Path) -> None:
    assert script("migrate", cwd=api).status == 0
    assert database.query("SELECT count(*) FROM habits") == "0"


def test_five_at_once_on_an_empty_database_run_each_migration_once(
    env: Environment, database: Database, api: Path
) -> None:
    database.query("CREATE TABLE runs (at timestamptz DEFAULT clock_timestamp())")
    add_step(api, "9998", "0002", "INSERT INTO runs DEFAULT VALUES")
    add_step(api, "9999", "9998", "INSERT INTO runs SELECT now() FROM pg_sleep(0.3)")
    env |= {"SEED": "1"}
    with (
        running(["migrate"], env=env, cwd=api) as one,
        running(["migrate"], env=env, cwd=api) as two,
        running(["migrate"], env=env, cwd=api) as three,
        running(["migrate"], env=env, cwd=api) as four,
        running(["migrate"], env=env, cwd=api) as five,
    ):
        everyone = [one, two, three, four, five]
        assert [each.ends(100) for each in everyone] == [0] * 5, [each.log for each in everyone]
        said = "".join(each.log for each in everyone)
    assert database.query("SELECT count(*) FROM runs") == "2"
    assert said.count("-> 9999") == 1
    assert "another migration is running" in said
    assert database.query("SELECT count(*) = count(DISTINCT name) FROM habits") == "t"


def test_a_failing_migration_shows_its_error_and_stops_everything_after_it(
    script: Script, database: Database, api: Path
) -> None:
    add_step(api, "9998", "0002", "CREATE TABLE half (id int)")
    broken = add_step(api, "9999", "9998", "SELECT no_such_column")
    failed = script("migrate", cwd=api, SEED="1", SEED_COMMAND="echo seeded")
    assert failed.status not in {0, 2}
    assert "no_such_column" in failed.err
    assert "nothing after it was run" in failed.err
    assert "seeded" not in failed.out
    assert database.query("SELECT to_regclass('half')") == ""

    add_step(api, "9999", "9998", "CREATE TABLE whole (id int)")
    assert broken.exists()
    mended = script("migrate", cwd=api, SEED="1")
    assert mended.status == 0, mended.err
    assert database.query("SELECT to_regclass('half'), to_regclass('whole')") == "half|whole"
    assert int(database.query("SELECT count(*) FROM habits")) > 0


def test_seeding_twice_changes_nothing(script: Script, database: Database, api: Path) -> None:
    contents = "SELECT string_agg(h::text, ',' ORDER BY h.id) FROM habits h"
    assert script("migrate", cwd=api).status == 0
    assert script("entrypoint", "seed", cwd=api).status == 0
    first = database.query(contents)
    assert first
    assert script("entrypoint", "seed", cwd=api).status == 0
    assert script("migrate", cwd=api, SEED="1").status == 0
    assert database.query(contents) == first


def test_commands_of_the_users_own_keep_their_words(
    script: Script, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "show.py").write_text("import sys; print(sys.argv[1:])")
    done = script("migrate", MIGRATE_COMMAND="""python show.py 'a b' "c'd" $HOME *""")
    assert done.out == """['a b', "c'd", '$HOME', '*']\n""", done.err


def test_several_commands_run_one_after_the_other_until_one_fails(
    script: Script, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "show.py").write_text(
        "import sys; print(sys.argv[1:]); sys.exit(len(sys.argv) - 2)"
    )
    command = "python show.py a && python -m show 'b c' && echo d e && python show.py f"
    done = script("migrate", "g", MIGRATE_COMMAND=command, SEED="1", SEED_COMMAND="echo seeded")
    assert done.out == "['a']\n['b c']\nd e\n['f', 'g']\n"
    assert done.status == 1
    assert "python show.py f g: ended with status 1; nothing after it was run" in done.err


def test_a_shell_runs_a_script_of_many_commands(
    env: Environment, script: Script, database: Database, api: Path
) -> None:
    """As in the FastAPI template: wait, migrate, add the first rows."""
    (api / "prestart.sh").write_text(
        "#! /usr/bin/env bash\n\nset -e\nset -x\n\npython -c 'import api'\nalembic upgrade head\n"
        "python -m api.seed\n"
    )
    for command in ("bash prestart.sh", "bash -c 'alembic upgrade head && python -m api.seed'"):
        done = script("migrate", cwd=api, MIGRATE_COMMAND=command)
        assert done.status == 0, done.err
        assert int(database.query("SELECT count(*) FROM habits")) > 0
    (api / "prestart.sh").write_text("set -e\nfalse\necho went on\n")
    done = script("migrate", cwd=api, MIGRATE_COMMAND="bash prestart.sh")
    assert (done.status, done.out) == (1, "")


@pytest.mark.parametrize("command", ["", "  "])
def test_without_a_command_the_database_is_waited_for_and_nothing_runs(
    script: Script, database: Database, api: Path, command: str
) -> None:
    done = script("entrypoint", "migrate", cwd=api, MIGRATE_COMMAND=command)
    assert (done.status, done.err) == (0, "db: there is nothing to migrate or to seed\n")
    assert database.query("SELECT to_regclass('habits')") == ""
    wrong = script("migrate", cwd=api, MIGRATE_COMMAND=command, POSTGRES_PASSWORD="wrong")
    assert wrong.status == 2
    assert "look at POSTGRES_USER and POSTGRES_PASSWORD" in wrong.err


def test_without_a_command_init_scripts_and_seed_run_all_the_same(
    script: Script, database: Database, initdb: Path
) -> None:
    (initdb / "20-notes.sql").write_text("CREATE TABLE IF NOT EXISTS notes (id int)")
    done = script(
        "migrate", MIGRATE_COMMAND="", INIT_SQL=str(initdb), SEED="1", SEED_COMMAND="echo seeded"
    )
    assert (done.status, done.out) == (0, "seeded\n"), done.err
    assert database.query("SELECT to_regclass('notes')") == "notes"


def test_seeding_is_left_out_where_nothing_seeds(script: Script, database: Database) -> None:
    done = script("migrate", MIGRATE_COMMAND="echo migrated", SEED="1", SEED_COMMAND="")
    assert (done.status, done.out) == (0, "migrated\n"), done.err


def test_seeding_by_itself_says_what_it_needs(script: Script, database: Database) -> None:
    done = script("entrypoint", "seed", SEED_COMMAND="")
    assert (done.status, done.out) == (2, "")
    assert done.err == "seed: there is nothing to seed with: set SEED_COMMAND\n"


def test_an_app_without_a_database_has_nothing_to_wait_for(script: Script, bare: Path) -> None:
    nothing = {"MIGRATE_COMMAND": "", "DATABASE_URL": ""}
    assert script("migrate", **nothing).status == 0
    # Nor has one without a driver.
    own = {"PATH": f"{SCRIPTS}:{bare}:/usr/bin:/bin"}
    assert script("migrate", **nothing, **own, POSTGRES_HOST="nowhere.invalid").status == 0


def test_arguments_go_to_the_migration(script: Script, database: Database, tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text("import sys; print(sys.argv[1:])")
    done = script("migrate", "--sql", "a b", MIGRATE_COMMAND="python show.py")
    assert done.out == "['--sql', 'a b']\n"


def test_a_program_that_is_not_python_runs_as_well(script: Script, database: Database) -> None:
    done = script("migrate", MIGRATE_COMMAND="bash -c 'echo $0 $1; exit 3' a b")
    assert (done.status, done.out) == (3, "a b\n")


def test_a_migration_that_is_not_there_is_named(script: Script, database: Database) -> None:
    done = script("migrate", MIGRATE_COMMAND="no-such-program up", SEED="1", SEED_COMMAND="echo x")
    assert (done.status, done.out) == (127, "")
    assert "no-such-program" in done.err


def test_the_scripts_modules_do_not_shadow_the_apps_own(
    script: Script, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("import db, launch; print(db.name, launch.name)")
    for name in ("db", "launch"):
        (tmp_path / f"{name}.py").write_text(f"name = 'the app\\'s {name}'")
    for command in ("python -m main", "python main.py"):
        done = script("migrate", MIGRATE_COMMAND=command)
        assert done.out == "the app's db the app's launch\n", done.err


def test_the_lock_is_held_while_the_command_runs_and_given_back_after_it(
    env: Environment, database: Database, tmp_path: Path
) -> None:
    env |= {"MIGRATE_COMMAND": "bash -c 'echo begun; until [[ -e go ]]; do sleep 0.01; done'"}
    with running(["migrate"], env=env, cwd=tmp_path) as first:
        first.says("begun")
        assert database.query(HOLDERS) == "1"
        with running(["migrate"], env=env, cwd=tmp_path) as second:
            second.says("another migration is running")
            assert "begun" not in second.log
            (tmp_path / "go").touch()
            assert first.ends() == 0
            assert second.ends() == 0
            assert "begun" in second.log
    assert database.query(HOLDERS) == "0"


def test_a_blocked_migration_does_not_hold_up_a_concurrent_index(
    env: Environment, database: Database, tmp_path: Path
) -> None:
    database.query("CREATE TABLE wide (id int)")
    (tmp_path / "index.py").write_text(
        "import asyncio, asyncpg, os, pathlib, time\n"
        "print('begun', flush=True)\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
        "async def main():\n"
        "    e = os.environ\n"
        "    c = await asyncpg.connect(host=e['POSTGRES_HOST'], port=e['POSTGRES_PORT'],\n"
        "        user=e['POSTGRES_USER'], password=e['POSTGRES_PASSWORD'],\n"
        "        database=e['POSTGRES_DB'])\n"
        "    await c.execute('CREATE INDEX CONCURRENTLY narrow ON wide (id)', timeout=10)\n"
        "    await c.close()\n"
        "asyncio.run(main())\n"
    )
    first_env = {**env, "MIGRATE_COMMAND": "python index.py"}
    second_env = {**env, "MIGRATE_COMMAND": "true"}
    with running(["migrate"], env=first_env, cwd=tmp_path) as first:
        first.says("begun")
        with running(["migrate"], env=second_env, cwd=tmp_path) as second:
            second.says("another migration is running")
            (tmp_path / "go").touch()
            assert first.ends() == 0, first.log
            assert second.ends() == 0


def test_waiting_for_the_lock_has_an_end(
    env: Environment, script: Script, database: Database
) -> None:
    env |= {"MIGRATE_COMMAND": "bash -c 'echo begun; sleep 30'"}
    with running(["migrate"], env=env) as first:
        first.says("begun")
        done = script("migrate", MIGRATE_COMMAND="echo ran", DB_LOCK_SECONDS="0.3")
    assert (done.status, done.out) == (2, "")
    assert "DB_LOCK_SECONDS" in done.err


def test_two_migrations_that_both_come_last_are_named_with_the_way_out(
    script: Script, database: Database, api: Path
) -> None:
    add_step(api, "9998", "0002", "CREATE TABLE one (id int)")
    add_step(api, "9999", "0002", "CREATE TABLE other (id int)")
    done = script("migrate", cwd=api, MIGRATE_COMMAND="python -m api.migrate")
    assert done.status == 2
    assert "9998 and 9999 both come last" in done.err and "alembic merge" in done.err
    assert script("migrate", cwd=api, MIGRATE_COMMAND="alembic upgrade heads").status == 0
    again = script("migrate", cwd=api, MIGRATE_COMMAND="python -m api.migrate")
    assert again.status == 0 and "up to date" in again.err


def test_a_migration_that_waits_for_a_table_is_cancelled_and_says_who_holds_it(
    env: Environment, script: Script, database: Database, api: Path
) -> None:
    assert script("migrate", cwd=api).status == 0
    add_step(api, "9999", "0002", "ALTER TABLE habits ADD COLUMN note text")
    hold = (
        "import os, psycopg, pathlib, time\n"
        "e = os.environ\n"
        "c = psycopg.connect(host=e['POSTGRES_HOST'], port=e['POSTGRES_PORT'],\n"
        "    user=e['POSTGRES_USER'], password=e['POSTGRES_PASSWORD'], dbname=e['POSTGRES_DB'],\n"
        "    application_name='a forgotten shell')\n"
        "c.execute('SELECT count(*) FROM habits')\n"
        "print('holds', c.info.backend_pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with running(["python", "-c", hold], env=env) as holder:
        holder.says("holds")
        pid = re.search(r"holds (\d+)", holder.log)
        done = script("migrate", cwd=api, DB_TABLE_SECONDS="1")
        assert database.query("SELECT count(*) FROM habits") == "0"
    assert done.status == 1, done.err
    assert pid and f"waited 1 s for the table habits: it is held by pid {pid[1]}" in done.err
    assert "a forgotten shell, idle in transaction, its transaction since 20" in done.err
    assert "DB_TABLE_SECONDS" in done.err


@pytest.mark.parametrize("status", [0, 3])
def test_a_lost_lock_leaves_the_commands_result_as_it_was(
    env: Environment, database: Database, tmp_path: Path, status: int
) -> None:
    wait = f"bash -c 'echo begun; until [[ -e go ]]; do sleep 0.01; done; exit {status}'"
    env |= {"MIGRATE_COMMAND": wait}
    with running(["migrate"], env=env, cwd=tmp_path) as migration:
        migration.says("begun")
        killed = database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        )
        assert killed == "t"
        (tmp_path / "go").touch()
        assert migration.ends() == status
        assert "the lock's connection was lost" in migration.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_migration_and_nothing_follows(
    env: Environment, database: Database, number: signal.Signals
) -> None:
    polite = (
        "bash -c 'trap \"echo mended; exit 0\" TERM INT; echo begun; while :; do sleep .01; done'"
    )
    env |= {"MIGRATE_COMMAND": polite, "SEED": "1", "SEED_COMMAND": "echo seeded"}
    with running(["migrate"], env=env) as migration:
        migration.says("begun")
        migration.signal(number)
        assert migration.ends() == 128 + number
        assert "mended" in migration.log
        assert "seeded" not in migration.log
    eventually(lambda: database.query(HOLDERS) == "0", "the lock given back")


def test_a_signal_ends_the_waiting_for_the_lock(env: Environment, database: Database) -> None:
    env |= {"MIGRATE_COMMAND": "bash -c 'echo begun; sleep 30'"}
    with running(["migrate"], env=env) as first, running(["migrate"], env=env) as second:
        eventually(lambda: "begun" in first.log + second.log, "one that runs")
        waiting = second if "begun" in first.log else first
        waiting.says("another migration is running")
        waiting.signal()
        assert waiting.ends(5) == 128 + signal.SIGTERM


def test_a_killed_migrate_keeps_the_lock_until_its_command_has_ended(
    env: Environment, database: Database, tmp_path: Path
) -> None:
    env |= {"MIGRATE_COMMAND": "bash -c 'echo begun; until [[ -e go ]]; do sleep 0.01; done'"}
    with running(["migrate"], env=env, cwd=tmp_path) as migration:
        migration.says("begun")
        migration.signal(signal.SIGKILL)
        migration.ends()
        assert database.query(HOLDERS) == "1"
        (tmp_path / "go").touch()
        eventually(lambda: database.query(HOLDERS) == "0", "the lock given back")


def test_a_wrong_password_runs_nothing(script: Script, database: Database) -> None:
    done = script("migrate", MIGRATE_COMMAND="echo ran", POSTGRES_PASSWORD="wrong")
    assert (done.status, done.out) == (2, "")
    assert done.err.count("POSTGRES_PASSWORD") == 1


INITDB = ROOT / "stacks" / "fullstack" / "initdb.d"


@pytest.fixture
def initdb(tmp_path: Path) -> Path:
    """Copy a stack's init scripts, so that a test may add to them."""
    return Path(shutil.copytree(INITDB, tmp_path / "initdb.d"))


def test_init_scripts_run_by_name_before_the_migrations_whenever_those_do(
    script: Script, database: Database, api: Path, initdb: Path
) -> None:
    note = "CREATE TABLE IF NOT EXISTS notes (id serial, text text); "
    for name in ("10-third", "03-first", "05-second"):
        insert = f"INSERT INTO notes (text) VALUES ('{name} ' || (to_regclass('habits') IS NULL))"
        (initdb / f"{name}.sql").write_text(note + insert, encoding="utf-8")
    done = script("migrate", cwd=api, INIT_SQL=str(initdb))
    assert done.status == 0, done.err
    order = "SELECT string_agg(text, ', ' ORDER BY id) FROM notes"
    first = "03-first true, 05-second true, 10-third true"
    assert database.query(order) == first
    # The volume is an old one now, which the image's own /docker-entrypoint-initdb.d never touches.
    assert script("migrate", cwd=api, INIT_SQL=str(initdb)).status == 0
    assert database.query(order) == f"{first}, {first.replace('true', 'false')}"


def test_the_stacks_own_init_scripts_change_nothing_the_second_time(
    script: Script, database: Database, api: Path
) -> None:
    schemas = (
        "SELECT string_agg(oid || nspname || nspacl::text || obj_description(oid), ' ')"
        " FROM pg_namespace WHERE nspname = 'langflow'"
    )
    assert script("migrate", cwd=api, INIT_SQL=str(INITDB)).status == 0
    before = database.query(schemas)
    assert "langflow" in before
    database.query("CREATE TABLE langflow.flow (id int); INSERT INTO langflow.flow VALUES (7)")
    assert script("migrate", cwd=api, INIT_SQL=str(INITDB)).status == 0
    assert database.query(schemas) == before
    assert database.query("SELECT id FROM langflow.flow") == "7"


def test_a_failing_init_script_is_named_and_nothing_follows_it(
    script: Script, database: Database, api: Path, initdb: Path
) -> None:
    (initdb / "03-half.sql").write_text("CREATE TABLE half (id int); SELECT nothing_such")
    failed = script("migrate", cwd=api, INIT_SQL=str(initdb))
    assert failed.status == 2
    assert 'initdb.d/03-half.sql: column "nothing_such" does not exist' in failed.err
    assert "Traceback" not in failed.err
    assert database.query("SELECT to_regclass('half'), to_regclass('habits')") == "|"


def test_a_folder_of_init_scripts_that_is_not_there_is_named(
    script: Script, database: Database, api: Path
) -> None:
    failed = script("migrate", cwd=api, INIT_SQL="/etc/fulstack")
    assert failed.status == 2
    assert "/etc/fulstack has no .sql file; look at INIT_SQL" in failed.err
    assert database.query("SELECT to_regclass('habits')") == ""


def test_a_commands_threads_and_exit_functions_come_to_their_end(
    script: Script, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "last.py").write_text(
        "import atexit, threading, time\n"
        "atexit.register(print, 'exit function')\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()\n"
    )
    done = script("migrate", MIGRATE_COMMAND="python -m last")
    assert (done.status, done.out) == (0, "thread\nexit function\n")


@pytest.fixture
def imports(tmp_path: Path, env: Environment) -> None:
    """Modules for DB_IMPORTS, and a command that tells which of them it found imported."""
    (tmp_path / "needed.py").write_text("import sys\nprint('importing', file=sys.stderr)\n")
    (tmp_path / "broken.py").write_text("raise RuntimeError\n")
    tell = "import sys\nprint('ahead' if 'needed' in sys.modules else 'not ahead')\n"
    (tmp_path / "tell.py").write_text(tell)
    env |= {"PYTHONPATH": str(tmp_path), "DB_IMPORTS": "broken missing.one needed"}
    env |= {"MIGRATE_COMMAND": "python -m tell"}


@pytest.mark.usefixtures("imports")
def test_who_has_to_wait_imports_what_the_command_needs_meanwhile(
    env: Environment, database: Database, tmp_path: Path
) -> None:
    first = {"MIGRATE_COMMAND": "bash -c 'echo begun; until [[ -e go ]]; do sleep 0.01; done'"}
    with running(["migrate"], env=env | first, cwd=tmp_path) as holder:
        holder.says("begun")
        with running(["migrate"], env=env, cwd=tmp_path) as waiting:
            waiting.says("importing")
            (tmp_path / "go").touch()
            assert waiting.ends(5) == 0
            assert "\nahead" in waiting.log
            assert "Traceback" not in waiting.log


@pytest.mark.usefixtures("imports")
def test_who_need_not_wait_imports_nothing_ahead(script: Script, database: Database) -> None:
    assert script("migrate").out == "not ahead\n"
