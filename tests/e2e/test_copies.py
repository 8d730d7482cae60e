"""Copies of development's database, natively and in containers: they are whole, and nobody's else.

The databases are a few rows; how long a gigabyte takes is the benchmark's to say.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeCheckout, MakeNative
from tests.e2e.native.checkout import NativeCheckout
from tests.e2e.support import Checkout, Result, eventually, get, habits, myself, one_message, web

# Several starts and copies each.
pytestmark = pytest.mark.timeout(400)

#: What gives nobody away, and what does: a production of ours.
PRODUCTION = """
CREATE TABLE users (
  id serial PRIMARY KEY, email varchar(60) UNIQUE NOT NULL, full_name text, phone text, born date,
  note text, iban text, last_ip inet, prefs jsonb NOT NULL DEFAULT '{}', country text);
CREATE TABLE orders (
  id serial PRIMARY KEY, customer varchar(60) REFERENCES users (email), total numeric);
CREATE TABLE lines (id serial PRIMARY KEY, stuff text);
CREATE TABLE audit (at timestamptz DEFAULT now(), old varchar(60));
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO audit (old) VALUES (old.email); RETURN new; END $$;
CREATE TRIGGER remember AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION remember();
INSERT INTO users (email, full_name, phone, born, note, iban, last_ip, country)
  SELECT 'real' || i || '@corp.test', 'Real Person ' || i, '+49 30 1234' || i,
    date '1980-01-01' + i, 'likes cats ' || i, 'DE00' || i, '10.0.0.1', 'DE'
  FROM generate_series(1, 300) i;
INSERT INTO orders (customer, total)
  SELECT 'real' || i || '@corp.test', i FROM generate_series(1, 300) i;
INSERT INTO lines (stuff) SELECT 'write to real' || i || '@corp.test' FROM generate_series(1, 9) i;
"""
RULES = """\
users.email: fake email
users.full_name: fake name
users.phone: fake phone
users.born: fake date
users.note: fake text
users.iban: hash
users.last_ip: fake ip
users.prefs: fake json
lines.stuff: fake text
"""


@pytest.fixture(scope="module", params=["native", pytest.param("engine", marks=pytest.mark.engine)])
def checkout(request: pytest.FixtureRequest) -> Checkout:
    """A repository with development up, natively or in containers."""
    if request.param == "native":
        native: MakeNative = request.getfixturevalue("make_native")
        checkout: Checkout = native("main", myself())
    else:
        make: MakeCheckout = request.getfixturevalue("make_checkout")
        checkout = make("main")
    git(checkout, "init", "--quiet", "--initial-branch=main")
    commit(checkout)
    checkout.succeed("dev.up", "--ports", "auto", timeout=600)
    return checkout


def git(checkout: Checkout, *words: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    done = checkout.run("git", *who, *words)
    assert done.status == 0, done.text
    return done.stdout


def commit(checkout: Checkout) -> None:
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "all")


def add(checkout: Checkout, name: str) -> None:
    checkout.sql("dev", f"INSERT INTO habits (name) VALUES ('{name}')")


def names(checkout: Checkout) -> set[str]:
    return set(checkout.sql("dev", "SELECT name FROM habits").splitlines())


def databases(checkout: Checkout) -> set[str]:
    return set(checkout.sql("dev", "SELECT datname FROM pg_database").splitlines())


def served(checkout: Checkout) -> set[str]:
    """Return the habits that the api serves, straight from the database."""
    with web(checkout.urls("dev")["api"]) as api:
        return habits(api)


def said(done: Result) -> str:
    """Return what a task said besides the commands that it ran."""
    return "\n".join(line for line in done.stderr.splitlines() if not line.startswith("$ "))


class TestSnapshots:
    def test_a_snapshot_is_gone_back_to_and_back_from(self, checkout: Checkout) -> None:
        add(checkout, "Before")
        checkout.succeed("dev.snapshot", "one")
        add(checkout, "After")
        checkout.succeed("dev.restore", "one")
        assert "Before" in names(checkout) and "After" not in names(checkout)
        shown = checkout.succeed("dev.snapshots").stdout
        assert {line.split()[0] for line in shown.splitlines()} >= {"one", "before-restore"}
        checkout.succeed("dev.restore", "before-restore")
        assert {"Before", "After"} <= names(checkout)
        # It stays what it was.
        checkout.succeed("dev.restore", "one")
        assert "After" not in names(checkout)

    def test_the_apps_go_on_with_what_was_restored(self, checkout: Checkout) -> None:
        checkout.succeed("dev.snapshot", "apps")
        add(checkout, "Gone again")
        checkout.succeed("dev.restore", "apps")
        url = checkout.urls("dev")["api"]
        eventually(lambda: (found := get(f"{url}/ready")) and found.status_code == 200, within=30)
        assert served(checkout) == names(checkout)

    def test_settings_and_privileges_of_the_database_come_along(self, checkout: Checkout) -> None:
        own = checkout.sql("dev", "SELECT current_database()")
        checkout.sql("dev", f'ALTER DATABASE "{own}" SET search_path TO public, "a b"')
        checkout.sql("dev", f"ALTER DATABASE \"{own}\" SET work_mem = '5MB'")
        checkout.sql("dev", f'REVOKE ALL ON DATABASE "{own}" FROM PUBLIC')
        try:
            checkout.succeed("dev.snapshot", "own")
            checkout.succeed("dev.restore", "own")
            found = checkout.sql(
                "dev",
                "SELECT current_setting('search_path'), current_setting('work_mem'), "
                "(SELECT datacl::text LIKE '%{=%' FROM pg_database "
                "WHERE datname = current_database())",
            )
            assert found == 'public, "a b"|5MB|f'
        finally:
            checkout.sql("dev", f'ALTER DATABASE "{own}" RESET ALL')

    def test_nobody_stays_connected_and_nobody_is_kept_out(self, checkout: Checkout) -> None:
        sleeping = ("dev.psql", "--", "-c", "SELECT 'here', pg_sleep(60)")
        with checkout.started(*sleeping) as one:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%here%pg_sleep(60)%'"
            eventually(lambda: checkout.sql("dev", waiting) == "2", within=20)
            checkout.succeed("dev.snapshot", "busy")
            assert one.ended(within=20) != 0
        assert checkout.sql("dev", "SELECT 1") == "1"

    def test_a_mistake_is_one_message_and_changes_nothing(self, checkout: Checkout) -> None:
        checkout.succeed("dev.snapshot", "mistakes")
        before = databases(checkout)
        for words, message in [
            (("dev.snapshot", "mistakes"), "there is a snapshot named mistakes already"),
            (("dev.snapshot", "a b"), "'a b' is no name for a snapshot"),
            (("dev.snapshot", "x", "y"), "one snapshot at a time"),
            (("dev.restore", "mistake"), "did you mean mistakes?"),
            (("dev.clean", "mistake"), "did you mean mistakes?"),
            (("dev.clean", "mistakes"), "this deletes 1 snapshot: mistakes"),
            (("dev.pull", "--from", "no-such"), "there is no backup at no-such"),
            (("dev.pull", "--from", "README.md"), "no dump in pg_dump's custom format"),
        ]:
            assert message in one_message(checkout.invoke(*words)), words
        assert databases(checkout) == before

    def test_none_is_made_while_migrations_run(self, checkout: Checkout) -> None:
        before = databases(checkout)
        lock = int.from_bytes(b"gangway", "big")
        held = f"BEGIN; SELECT pg_advisory_xact_lock({lock}); SELECT 'held', pg_sleep(60)"
        with checkout.started("dev.psql", "--", "-c", held) as one:
            locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            eventually(lambda: checkout.sql("dev", locks) == "1", within=20)
            message = one_message(checkout.invoke("dev.snapshot", "migrating"))
            assert "migrations run" in message
            assert one.process.poll() is None
        end = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'"
        checkout.sql("dev", end)
        assert databases(checkout) == before

    def test_clean_deletes_the_named_ones(self, checkout: Checkout) -> None:
        checkout.succeed("dev.snapshot", "useless")
        checkout.succeed("dev.clean", "useless", "--yes")
        assert "snapshot.useless" not in databases(checkout)

    def test_a_dry_run_prints_and_does_nothing(self, checkout: Checkout) -> None:
        before = databases(checkout)
        printed = checkout.succeed("dev.snapshot", "dry", "--dry-run").stdout
        assert "exec --no-TTY postgres psql" in printed
        assert databases(checkout) == before


class TestPulling:
    def test_only_what_the_rules_make_of_it_arrives(self, checkout: Checkout) -> None:
        backup = production(checkout)
        before = databases(checkout)
        missing = checkout.invoke("dev.pull", "--from", str(backup))
        assert missing.status == 2, missing.text
        for key in ("users.email", "users.phone", "users.born", "users.prefs"):
            assert f"{key} looks like personal data" in missing.stderr, missing.text
        assert "users.country" not in missing.stderr
        checkout.write("env/anonymise.yml", RULES.replace("lines.stuff: fake text\n", ""))
        # Its name is harmless, and what is in it isn't.
        found = checkout.invoke("dev.pull", "--from", str(backup))
        assert found.status == 2 and "lines.stuff looks like personal data" in found.stderr
        assert databases(checkout) == before
        checkout.succeed("dev.snapshot", "before-pull")
        checkout.write("env/anonymise.yml", RULES)
        checkout.succeed("dev.pull", "--from", str(backup))
        try:
            rows = checkout.sql("dev", "SELECT to_jsonb(u) FROM users u").splitlines()
            assert len(rows) == 300
            everything = "\n".join(rows) + checkout.sql(
                "dev", "SELECT to_jsonb(x) FROM orders x; SELECT to_jsonb(x) FROM lines x"
            )
            for real in ("corp.test", "Real", "+49", "cats", "DE00", "10.0.0.1"):
                assert real not in everything, real
            one = json.loads(rows[0])
            assert one["email"].endswith("@example.org") and one["country"] == "DE"
            assert len(one["note"]) == len("likes cats 1")
            # What belonged together still does, and no trigger has told on anybody.
            joined = "SELECT count(*) FROM orders JOIN users ON customer = email"
            assert checkout.sql("dev", joined) == "300"
            assert checkout.sql("dev", "SELECT count(*) FROM audit") == "0"
            # Nor is it in the tables' files, or in what the planner knows of them.
            known = "SELECT count(*) FROM pg_stats WHERE most_common_vals::text LIKE '%corp.test%'"
            assert checkout.sql("dev", known) == "0"
            assert checkout.sql("dev", "SELECT sum(n_dead_tup) FROM pg_stat_user_tables") == "0"
        finally:
            checkout.succeed("dev.restore", "before-pull")
            (checkout.root / "env/anonymise.yml").unlink()

    def test_a_backup_s_folder_is_held_to_its_manifest(self, checkout: Checkout) -> None:
        folder = checkout.home / "20261127-030000-abc"
        folder.mkdir()
        dump = folder / "database.dump"
        shutil.copy(production(checkout), dump)
        checkout.write("env/anonymise.yml", RULES)
        try:
            manifest(folder)
            checkout.succeed("dev.snapshot", "before-folder")
            checkout.succeed("dev.pull", "--from", str(folder))
            assert checkout.sql("dev", "SELECT count(*) FROM users") == "300"
            checkout.succeed("dev.restore", "before-folder")
            data = bytearray(dump.read_bytes())
            data[len(data) // 2] ^= 1
            dump.write_bytes(data)
            message = one_message(checkout.invoke("dev.pull", "--from", str(folder)))
            assert "is damaged" in message and "checksum" in message
            manifest(folder, server={"major": 99})
            message = one_message(checkout.invoke("dev.pull", "--from", str(folder)))
            assert "is of PostgreSQL 99" in message
            dump.rename(folder / "database.dump.age")
            message = one_message(checkout.invoke("dev.pull", "--from", str(folder)))
            assert "is encrypted" in message
            (folder / "manifest.json").write_text("{}")
            message = one_message(checkout.invoke("dev.pull", "--from", str(folder)))
            assert "manifest.json can't be read" in message
        finally:
            (checkout.root / "env/anonymise.yml").unlink()

    def test_a_backup_that_is_cut_off_changes_nothing(self, checkout: Checkout) -> None:
        dump = production(checkout)
        half = dump.with_name("half.dump")
        half.write_bytes(dump.read_bytes()[: dump.stat().st_size // 2])
        before, there = databases(checkout), names(checkout)
        message = one_message(checkout.invoke("dev.pull", "--from", str(half)))
        assert "can't be restored here" in message
        assert databases(checkout) == before and names(checkout) == there


class TestBranches:
    def test_each_branch_has_a_database_that_goes_with_it(self, checkout: Checkout) -> None:
        first = checkout.sql("dev", "SELECT current_database()")
        with on(checkout):
            checkout.succeed("dev.up")
            git(checkout, "switch", "--quiet", "--create", "feature/one")
            try:
                # Nothing has changed yet: what runs is what is asked.
                assert checkout.sql("dev", "SELECT current_database()") == first
                checkout.succeed("dev.up")
                own = checkout.sql("dev", "SELECT current_database()")
                assert own != first and own.startswith(f"{first}_feature_one")
                add(checkout, "Of the feature")
                assert "Of the feature" in served(checkout)
                git(checkout, "switch", "--quiet", "main")
                checkout.succeed("dev.up")
                assert checkout.sql("dev", "SELECT current_database()") == first
                assert "Of the feature" not in names(checkout) | served(checkout)
                git(checkout, "switch", "--quiet", "feature/one")
                checkout.succeed("dev.up")
                assert "Of the feature" in names(checkout)
                # Not while it is there.
                assert "nothing is left over" in checkout.succeed("dev.clean", "--yes").stderr
            finally:
                git(checkout, "switch", "--quiet", "main")
                checkout.succeed("dev.up")
            git(checkout, "branch", "--quiet", "-D", "feature/one")
            message = one_message(checkout.invoke("dev.clean"))
            assert "not confirmed" in message and own in databases(checkout)
            done = checkout.succeed("dev.clean", "--yes")
            assert f"database {own}" in done.stderr and own not in databases(checkout)
            assert first in databases(checkout)

    def test_another_choice_of_the_database_is_no_choice_as_well(self, checkout: Checkout) -> None:
        with on(checkout):
            message = one_message(checkout.invoke("dev.up", "-e", "POSTGRES_DB=mine"))
            assert "DATABASE_PER_BRANCH is on" in message


class TestWorktrees:
    @pytest.mark.parametrize("runs", [True, False], ids=["while it runs", "while it is down"])
    def test_a_worktree_has_a_copy_that_goes_with_it(self, checkout: Checkout, runs: bool) -> None:
        folder = checkout.home / ("beside" if runs else "beside it")
        checkout.succeed("dev.snapshot", f"stays-{runs}")
        add(checkout, f"Before the worktree {runs}")
        commit(checkout)
        git(checkout, "worktree", "add", "--quiet", "-b", f"work-{runs}", str(folder))
        if not runs:
            checkout.succeed("dev.down")
        beside = dataclasses.replace(checkout, root=folder)
        with on(checkout), on(beside):
            done = beside.succeed("dev.up", "--ports", "auto", timeout=600)
            try:
                assert "this worktree's data is a copy of" in done.stderr, done.text
                assert f"Before the worktree {runs}" in names(beside) & served(beside)
                assert not {each for each in databases(beside) if each.startswith("snapshot.")}
                add(beside, "Of the worktree")
                if not runs:
                    # The other one may have its ports by now.
                    checkout.succeed("dev.up", "--ports", "auto")
                assert "Of the worktree" not in names(checkout)
                assert f"snapshot.stays-{runs}" in databases(checkout)
                # Once: it has its own now.
                again = beside.succeed("dev.up")
                assert "is a copy of" not in again.stderr
            except BaseException:
                beside.invoke("dev.down", "--volumes", "--yes")
                raise
            git(checkout, "worktree", "remove", "--force", str(folder))
            assert not folder.exists()
            message = one_message(checkout.invoke("dev.clean"))
            assert "not confirmed" in message
            done = checkout.succeed("dev.clean", "--yes")
            assert f"{folder} is gone" in done.stderr, done.text
            assert "nothing is left over" in checkout.succeed("dev.clean", "--yes").stderr
        if isinstance(checkout, NativeCheckout):
            eventually(lambda: not checkout.processes(folder), within=20)
        assert checkout.sql("dev", "SELECT 1") == "1"


@contextmanager
def on(checkout: Checkout) -> Iterator[None]:
    """Have the checkout's branches each have a database while the block runs."""
    file = checkout.write("env/local.env", "DATABASE_PER_BRANCH=1\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def production(checkout: Checkout) -> Path:
    """Return a dump of a production of which all is made up, made by the server here."""
    file = checkout.home / "production.dump"
    if not file.exists():
        user = checkout.sql("dev", "SELECT current_user")
        checkout.sql("dev", "CREATE DATABASE production")
        checkout.succeed("dev.psql", "--", "-q", "-d", "production", stdin=PRODUCTION)
        dump = f"pg_dump -U {user} -Fc production | base64"
        done = checkout.succeed("dev.exec", "postgres", "--", "sh", "-c", dump)
        checkout.sql("dev", "DROP DATABASE production")
        file.write_bytes(base64.b64decode(done.stdout))
        file.chmod(0o644)
    return file


def manifest(folder: Path, **more: object) -> None:
    """Write a backup's manifest, as docker/backup writes it."""
    data = (folder / "database.dump").read_bytes()
    files = {"database.dump": {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
    known: dict[str, object] = {"format": 1, "kind": "logical", "files": files, **more}
    known["digest"] = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(known, sort_keys=True))
