"""Backups of a real PostgreSQL: made, proven, damaged, restored, swapped in."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.backup.conftest import ROWS
from tests.support.backups import Backups, fails, keys, wrong
from tests.support.past import until
from tests.support.postgres import Postgres


def inside(folder: Path) -> list[str]:
    """Return the names of what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def flip(path: Path, at: float = 0.5) -> None:
    """Turn one bit of a file, at that part of its length."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    path.write_bytes(data)


def test_a_backup_is_restored_and_compared_before_it_counts(backup: Backups) -> None:
    said = backup.does("make")
    name = backup.names()[-1]
    assert name.endswith("-r1") and "3 tables" in said
    known = backup.manifest()
    assert known["proof"]["proven"] and known["content"]["migration"] == "0002"
    assert known["content"]["tables"]["public.orders"]["rows"] == ROWS
    assert known["content"]["large_objects"]["rows"] == 1
    assert backup.server.password not in json.dumps(known)
    listed = json.loads(backup.does("list", "--json"))
    assert [each["name"] for each in listed["backups"]] == [name] and listed["findings"] == []
    assert "proven" in backup.does("list")
    assert inside(backup.folder / "backups" / "scratch") == []
    assert backup.does("prove").startswith(f"{name}: restored into")


def test_a_backup_is_proven_though_rows_come_all_the_while(backup: Backups) -> None:
    # To look at them takes longer than to begin the dump.
    backup.query("INSERT INTO orders (note) SELECT 'more' FROM generate_series(1, 300000)")
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            backup.query("INSERT INTO orders (note) SELECT 'more' FROM generate_series(1, 10)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backup.does("make")
    finally:
        over.set()
        writer.join()
    assert backup.manifest()["proof"]["proven"]


def test_the_app_s_own_read_is_made_of_what_was_restored(backup: Backups) -> None:
    backup.variables["BACKUP_READ"] = "SELECT sum(price) FROM dear;"
    assert "the app's read the same" in backup.does("make")
    backup.variables["BACKUP_READ"] = "SELECT now()"
    assert "read" in fails(backup, "prove", status=1)
    assert "no_such" in fails(backup, "make", status=1, BACKUP_READ="SELECT * FROM no_such")


def test_a_dump_that_lacks_a_row_is_not_proven(backup: Backups) -> None:
    backup.does("make")
    folder = backup.path()
    known = backup.manifest()
    backup.query("DELETE FROM orders WHERE t = 7")
    dump = ["pg_dump", "-Fc", "-f", str(folder / "database.dump")]
    server = backup.server.environment
    where = {"PGHOST": server["POSTGRES_HOST"], "PGPORT": server["POSTGRES_PORT"],
             "PGUSER": server["POSTGRES_USER"], "PGPASSWORD": server["POSTGRES_PASSWORD"],
             "PGDATABASE": backup.database}  # fmt: skip
    subprocess.run(dump, env=backup.environment | where, check=True)
    # All else as it should be: only the comparison can find it.
    rewrite(folder, known)
    said = fails(backup, "prove", status=1)
    assert f"public.orders has {ROWS - 1} rows in place of {ROWS}" in said
    assert "public.orders" in wrong(backup)
    assert fails(backup, "prepare", status=1).count("public.orders") == 1
    assert backup.databases() == [backup.database]


def rewrite(folder: Path, known: dict[str, Any]) -> None:
    """Seal a manifest anew over the files that are there, as the program does."""
    program = (
        "import json, sys; from pathlib import Path; from backup import manifest;"
        "known = json.load(sys.stdin); folder = Path(sys.argv[1]); known.pop('digest');"
        "known['files'] = manifest.files(folder); manifest.write(folder, known)"
    )
    subprocess.run(
        ["python3", "-c", program, str(folder)], input=json.dumps(known), text=True, check=True,
        env=os.environ | {"PYTHONPATH": "docker", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=Path(__file__).parents[3],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: flip(folder / "database.dump"), "checksum differs"),
        (lambda folder: flip(folder / "database.dump", 0), "checksum differs"),
        (lambda folder: os.truncate(folder / "database.dump", 1000), "has 1000 bytes"),
        (lambda folder: os.truncate(folder / "database.dump", 0), "has 0 bytes"),
        (lambda folder: (folder / "database.dump").unlink(), "database.dump is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "it has no manifest.json"),
        (lambda folder: os.truncate(folder / "manifest.json", 200), "can't be read"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "can't be read"),
        (
            lambda folder: (folder / "manifest.json").write_text(
                (folder / "manifest.json").read_text().replace('"rows": 5000', '"rows": 5001')
            ),
            "changed after it was written",
        ),
    ],
)
def test_what_is_damaged_is_refused(backup: Backups, damage: object, says: str) -> None:
    backup.does("make")
    before = backup.query("SELECT count(*), sum(price) FROM orders")
    assert callable(damage)
    damage(backup.path())
    for word in ("check", "prepare"):
        assert says in fails(backup, word)
    assert backup.databases() == [backup.database]
    assert backup.query("SELECT count(*), sum(price) FROM orders") == before


def test_another_project_s_backup_is_refused(backup: Backups) -> None:
    backup.does("make")
    said = fails(backup, "prepare", BACKUP_PROJECT="other")
    assert "is of the project shop, not other" in said


def test_a_name_that_is_not_there_is_refused(backup: Backups) -> None:
    assert "there is no backup" in fails(backup, "prepare")
    backup.does("make")
    said = fails(backup, "prepare", "20010101")
    assert "there is no backup 20010101" in said and backup.names()[0] in said


def test_a_restore_is_proven_beside_and_swapped_in_by_name(backup: Backups) -> None:
    backup.does("make")
    backup.query("DELETE FROM orders WHERE t > 10; DROP VIEW dear")
    assert backup.does("prepare") == backup.names()[-1]
    assert backup.query("SELECT count(*) FROM orders") == "10"
    assert backup.databases() == [backup.database, f"{backup.database}_restoring"]
    old = backup.does("swap")
    assert old.startswith(f"{backup.database}_before_")
    assert backup.query("SELECT count(*) FROM dear") == str(ROWS - 66)
    assert backup.query("SHOW work_mem") == "5MB"
    assert backup.does("kept") == old
    assert f"{old} is {backup.database} again" in backup.does("back")
    assert backup.query("SELECT count(*) FROM orders") == "10"
    # And back once more: what was put aside for it.
    backup.does("back")
    assert backup.query("SELECT count(*) FROM orders") == str(ROWS)
    backup.does("forget")
    assert backup.databases() == [backup.database]
    assert "no restore has put a database aside" in fails(backup, "back")


def test_connections_are_moved_over_while_they_keep_coming(backup: Backups) -> None:
    backup.does("make")
    backup.query("DELETE FROM orders")
    backup.does("prepare")
    over, counts, errors = threading.Event(), [], []

    def use() -> None:
        while not over.is_set():
            try:
                counts.append(backup.query("SELECT pg_sleep(0.01), count(*) FROM orders"))
            except subprocess.CalledProcessError as error:
                errors.append(error.stderr)

    users = [threading.Thread(target=use) for _ in range(4)]
    for each in users:
        each.start()
    try:
        until(lambda: counts, what="it is used")
        backup.does("swap")
        done = len(counts)
        until(lambda: len(counts) >= done + 8, what="it is used again")
    finally:
        over.set()
        for each in users:
            each.join()
    assert counts[-1] == f"|{ROWS}" and counts[0] == "|0"
    # Never from one to the other and back.
    assert counts.index(f"|{ROWS}") >= counts.count("|0") - len(users)
    assert backup.query("SELECT count(*) FROM orders") == str(ROWS)


def test_a_transaction_under_way_may_end_before_the_swap(backup: Backups) -> None:
    backup.does("make")
    backup.does("prepare")
    said: list[str] = []
    slow = "SELECT pg_sleep(1), count(*) FROM orders"
    user = threading.Thread(target=lambda: said.append(backup.query(slow)))
    user.start()
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1)%'"
    until(lambda: backup.query(running) == "2", what="it runs")
    backup.does("swap")
    user.join()
    assert said == [f"|{ROWS}"]


def test_a_restore_that_is_killed_leaves_the_live_database_alone(backup: Backups) -> None:
    backup.does("make")
    backup.query("DELETE FROM orders WHERE t > 10")
    with subprocess.Popen(
        [*backup.command, "prepare"], env=backup.environment, stderr=subprocess.PIPE
    ) as program:
        until(lambda: len(backup.databases()) == 2, what="it is restored")
        program.kill()
    assert backup.query("SELECT count(*) FROM orders") == "10"
    backup.does("prepare")
    backup.does("swap")
    assert backup.query("SELECT count(*) FROM orders") == str(ROWS)


def test_two_at_once_are_one(backup: Backups) -> None:
    with subprocess.Popen(
        [*backup.command, "make"], env=backup.environment, stderr=subprocess.PIPE
    ) as program:
        until(backup.names, what="it is made")
        assert "not now: a backup is made since" in fails(backup, "make")
        assert len(backup.names()) == 1
        # Who comes by the clock waits, and the newest of a day stays.
        backup.does("make", "--patient")
    assert program.returncode == 0 and len(backup.names()) == 1


def test_a_table_that_is_dropped_meanwhile_is_in_the_backup_whole_or_not_at_all(
    backup: Backups,
) -> None:
    backup.query("INSERT INTO orders (note) SELECT 'more' FROM generate_series(1, 200000)")
    with subprocess.Popen(
        [*backup.command, "make"], env=backup.environment, stderr=subprocess.PIPE
    ) as program:
        locked = "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass"
        until(lambda: backup.query(locked) != "0", what="it is read")
        backup.query("DROP TABLE orders CASCADE")
    assert program.returncode == 0
    known = backup.manifest()
    orders = known["content"]["tables"].get("public.orders", {"rows": ROWS + 200000})
    assert known["proof"]["proven"] and orders["rows"] == ROWS + 200000


def test_a_server_that_is_away_or_refuses_is_said(backup: Backups) -> None:
    assert "refused" in fails(backup, "make", status=1, POSTGRES_PORT="1")
    said = fails(backup, "make", status=1, POSTGRES_PASSWORD="wrong")
    assert "password authentication failed" in said
    assert "the last backup failed" in wrong(backup)
    assert backup.names() == []


def test_programs_of_another_major_are_refused(backup: Backups, tmp_path: Path) -> None:
    other = backup.folder / "other"
    other.mkdir()
    (other / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 17.2'\n")
    (other / "pg_dump").chmod(0o755)
    path = f"{other}:{backup.environment['PATH']}"
    assert "the server is PostgreSQL 18" in fails(backup, "make", PATH=path)
    assert backup.names() == []
    backup.does("make")
    fails(backup, "prepare", PATH=path)


def test_an_encrypted_backup_opens_with_its_key_alone(backup: Backups, packages: Path) -> None:
    public, secret = keys(packages)
    identity = backup.folder / "identity"
    backup.variables |= {"BACKUP_RECIPIENTS": public, "BACKUP_IDENTITY_FILE": str(identity)}
    backup.does("make")
    (folder,) = backup.path().parent.iterdir()
    assert inside(folder) == ["database.dump.age", "manifest.json"]
    assert b"order" not in (folder / "database.dump.age").read_bytes()
    assert "no key to open it with" in fails(backup, "prepare")
    identity.write_text(keys(packages)[1])
    assert "not opened by the key" in fails(backup, "prepare")
    identity.write_text("rubbish")
    assert "no secret key of age" in fails(backup, "prepare")
    identity.write_text(f"# made today\n{secret}\n")
    backup.does("prove")
    backup.does("prepare")
    assert "is no public key of age" in fails(backup, "make", BACKUP_RECIPIENTS="age1nonsense")
    assert "encrypted" in backup.does("list")


def test_a_backup_is_copied_compared_and_got_back(backup: Backups) -> None:
    target = backup.folder / "elsewhere"
    backup.variables["BACKUP_TARGET"] = str(target)
    backup.does("make")
    name = backup.names()[0]
    assert json.loads(backup.does("list", "--json"))["backups"][0]["copied"]
    assert inside(target / "logical" / name) == ["database.dump", "manifest.json"]
    subprocess.run(["rm", "-r", backup.folder / "backups"], check=True)
    assert backup.does("prepare") == name
    flip(target / "logical" / name / "database.dump")
    subprocess.run(["rm", "-r", backup.folder / "backups"], check=True)
    assert "checksum differs" in fails(backup, "prepare")
    assert backup.names() == []


def test_a_target_out_of_reach_is_a_finding_until_the_copy_is_there(backup: Backups) -> None:
    target = backup.folder / "elsewhere"
    target.write_text("in the way")
    backup.variables["BACKUP_TARGET"] = str(target)
    assert f"the target {target}" in fails(backup, "make", status=1)
    assert len(backup.names()) == 1 and "not at" in wrong(backup)
    target.unlink()
    time.sleep(1.1)
    backup.does("make")
    assert inside(target / "logical") == backup.names()
    backup.does("list")


def test_old_backups_go_by_the_rule_and_never_the_last_that_is_proven(backup: Backups) -> None:
    backup.variables |= {"BACKUP_KEEP": "days=1", "BACKUP_TARGET": str(backup.folder / "there")}
    for _ in range(2):
        backup.does("make")
        time.sleep(1.1)
    (name,) = backup.names()
    assert inside(backup.folder / "there" / "logical") == [name]
    assert "days=x can't be read" in fails(backup, "make", BACKUP_KEEP="days=x")
    assert "keeps nothing" in fails(backup, "make", BACKUP_KEEP="days=0")


def test_overdue_and_a_clock_that_went_back_are_findings(backup: Backups) -> None:
    assert wrong(backup) == "there is no backup yet"
    backup.does("make")
    assert "overdue" in wrong(backup, BACKUP_OVERDUE_HOURS="0.0000001")
    known = backup.manifest()
    rewrite(backup.path(), known | {"time": time.time() + 86400})
    assert "the clock was changed" in wrong(backup)
    assert "BACKUP_OVERDUE_HOURS=soon is not a number" in fails(
        backup, "list", BACKUP_OVERDUE_HOURS="soon"
    )


def test_a_role_that_is_missing_is_made(backup: Backups, server: Postgres) -> None:
    backup.query(
        "CREATE ROLE seller; ALTER TABLE orders OWNER TO seller; GRANT SELECT ON orders TO PUBLIC"
    )
    try:
        backup.does("make")
    finally:
        backup.query("ALTER TABLE orders OWNER TO gangway; DROP OWNED BY seller; DROP ROLE seller")
    done = backup.run("prepare")
    assert done.status == 0 and "made the role seller" in done.err
    backup.does("swap")
    assert (
        backup.query("SELECT relowner::regrole FROM pg_class WHERE relname = 'orders'") == "seller"
    )
    backup.query("REASSIGN OWNED BY seller TO gangway; DROP OWNED BY seller")


def test_a_schedule_makes_what_is_due_at_once_and_shows_that_it_lives(backup: Backups) -> None:
    tmp = backup.folder / "tmp"
    tmp.mkdir(mode=0o777)
    tmp.chmod(0o777)
    backup.variables |= {"TMPDIR": str(tmp), "BACKUP_SCHEDULE": "0 3 1 1 *"}
    assert backup.run("healthy").status == 1
    with subprocess.Popen(
        [*backup.command, "serve"], env=backup.environment, stderr=subprocess.PIPE
    ) as program:
        try:
            until((tmp / "heartbeat").exists, what="the first heartbeat")
            deadline = time.monotonic() + 60
            while backup.run("list").status and time.monotonic() < deadline:
                assert backup.run("healthy").status == 0
            assert backup.does("healthy") == ""
            # By cron's own hand by now.
            until((tmp / "heartbeat").read_text, what="cron's heartbeat")
        finally:
            program.terminate()
    assert len(backup.names()) == 1
    os.utime(tmp / "heartbeat", (0, 0))
    assert "the schedule isn't kept" in backup.run("healthy").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("0 3 * *", "it has not five fields"),
        ("0 25 * * *", "25 is not an hour"),
        ("0 3 31 2 *", "there is no such day"),
        ("nightly", "nightly is not a minute"),
    ],
)
def test_a_schedule_that_can_t_be_read_is_refused(backup: Backups, words: str, says: str) -> None:
    assert says in fails(backup, "serve", BACKUP_SCHEDULE=words)
    assert backup.names() == []


def test_an_unknown_word_is_refused(backup: Backups) -> None:
    assert "there is no nonsense (one of: make, list" in fails(backup, "nonsense")
