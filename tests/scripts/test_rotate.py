"""Secrets of real data stores, changed while apps log in with them; and keys, while they sign."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import valkey

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.operations.rollout.moving import Change
from gangway.operations.rotation import steps, verifier
from gangway.operations.rotation.steps import Files
from gangway.operations.rotation.stores import Ask, Postgres, Redis
from tests.scripts.conftest import SCRIPTS, Environment
from tests.scripts.test_redis import env as redis_env
from tests.scripts.test_redis import serving
from tests.support.postgres import Postgres as Server

OLD = "an old one: 'quoted', ä \\ $x"
AWKWARD = 'Own "er'


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def files(tmp_path: Path) -> Files:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "secret").write_text(f"{OLD}\n")
    return Files(folder / "secret")


def nothing_left(files: Files) -> bool:
    return [each.name for each in files.path.parent.iterdir()] == ["secret"]


@dataclass
class Apps:
    """What apps are started with, and whether all that they have been started with is good."""

    files: Files
    user: str
    works: Callable[[str, str], bool]
    password: str = OLD
    moves: list[str] = field(default_factory=list)
    killed_in: int = 0

    def move(self, why: str, change: Change | None) -> None:
        self.moves.append(why)
        user = self.user
        if change and self.user == change.before:
            user = change.after
        new = (user, self.files.value)
        # The old ones go on for a while beside the new.
        assert self.works(self.user, self.password), self.moves
        assert self.works(*new), self.moves
        self.user, self.password = new
        if len(self.moves) == self.killed_in:
            raise Killed

    def work(self) -> bool:
        return self.works(self.user, self.password)


# ---- PostgreSQL


@pytest.fixture
def owner(server: Server) -> Iterator[Postgres]:
    """A database of an owner who is a superuser, as in the stack, and has a setting of its own."""
    server.query(
        f'CREATE ROLE admin SUPERUSER LOGIN PASSWORD \'admin\'; CREATE ROLE "Own ""er" SUPERUSER'
        f" LOGIN PASSWORD '{OLD.replace(chr(39), chr(39) * 2)}'"
    )
    server.query('ALTER ROLE "Own ""er" SET search_path = "$user", public, pg_catalog')
    server.create_database("owned")
    server.query('ALTER DATABASE owned OWNER TO "Own ""er"')
    server.query('ALTER ROLE "Own ""er" IN DATABASE owned SET work_mem = \'5MB\'')
    try:
        yield Postgres(asking(server), AWKWARD, "owned")
    finally:
        server.query("DROP DATABASE owned WITH (FORCE)")
        server.query('DROP ROLE IF EXISTS "Own ""er_between"')
        server.query('DROP ROLE "Own ""er"; DROP ROLE admin')


def asking(server: Server) -> Ask:
    """Ask as in the container, where nobody is asked for a password."""

    def ask(words: Sequence[str], text: str) -> Completed:
        assert words[0] == "psql" and OLD not in " ".join(words)
        argv = [str(server.psql()), *words[1:], "-h", "127.0.0.1", "-p", str(server.port)]
        argv[argv.index("-U") + 1] = "admin"
        done = subprocess.run(
            argv, input=text, env=os.environ | {"PGPASSWORD": "admin"}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        return Completed(tuple(words), done.returncode, done.stdout, done.stderr)

    return ask


def client(server: Server, user: str, password: str) -> subprocess.Popen[str]:
    """Log in as an app does; what it is told in its input it runs."""
    words = ["-XAtqw", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(server.port)]
    own = os.environ | {"PGPASSWORD": password}
    return subprocess.Popen(
        [server.psql(), *words, "-U", user, "-d", "owned"], env=own,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def apps(server: Server, files: Files) -> Apps:
    def works(user: str, password: str) -> bool:
        with client(server, user, password) as psql:
            said, refused = psql.communicate(
                "CREATE TABLE IF NOT EXISTS made (id int);"
                "SELECT current_user, current_setting('search_path'), current_setting('work_mem'),"
                " tableowner FROM pg_tables WHERE tablename = 'made'"
            )
        if psql.returncode == 0:
            assert said == f'{AWKWARD}|"$user", public, pg_catalog|5MB|{AWKWARD}\n'
        else:
            assert "password authentication failed" in refused
        return psql.returncode == 0

    return Apps(files, AWKWARD, works)


class TestDatabase:
    def test_the_password_changes_while_everybody_can_log_in(
        self, owner: Postgres, files: Files, apps: Apps
    ) -> None:
        steps.database(owner, files, apps.move)
        assert len(apps.moves) == 2 and apps.user == AWKWARD
        assert files.value != OLD and len(files.value) == 43
        assert apps.work() and not apps.works(AWKWARD, OLD)
        assert not owner.knows('Own "er_between') and nothing_left(files)

    def test_who_is_logged_in_stays_so(
        self, server: Server, owner: Postgres, files: Files, apps: Apps
    ) -> None:
        with client(server, AWKWARD, OLD) as psql:
            assert psql.stdin and psql.stdout
            psql.stdin.write("SELECT 'here';\n")
            psql.stdin.flush()
            assert psql.stdout.readline() == "here\n"
            steps.database(owner, files, apps.move)
            assert psql.communicate("SELECT 'still';\n")[0] == "still\n"

    @pytest.mark.parametrize("moment", [1, 2])
    def test_killed_as_the_apps_are_moved_they_work_and_it_goes_on(
        self, owner: Postgres, files: Files, apps: Apps, moment: int
    ) -> None:
        apps.killed_in = moment
        with pytest.raises(Killed):
            steps.database(owner, files, apps.move)
        assert apps.work()
        # What a deploy would start in between has its secret from the file.
        assert apps.works(AWKWARD, files.value)
        steps.database(owner, files, apps.move)
        assert apps.work() and not apps.works(AWKWARD, OLD)
        assert not owner.knows('Own "er_between') and nothing_left(files)

    @pytest.mark.parametrize("step", ["add", "change", "settle", "drop"])
    def test_killed_at_any_other_step_it_goes_on(
        self,
        owner: Postgres,
        files: Files,
        apps: Apps,
        step: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def killed(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(Files if step == "settle" else Postgres, step, killed)
            with pytest.raises(Killed):
                steps.database(owner, files, apps.move)
        assert apps.work()
        steps.database(owner, files, apps.move)
        assert apps.work() and not apps.works(AWKWARD, OLD)
        assert not owner.knows('Own "er_between') and nothing_left(files)

    def test_a_file_with_another_password_is_refused_with_nothing_changed(
        self, owner: Postgres, files: Files, apps: Apps
    ) -> None:
        files.put("not that one")
        with pytest.raises(GangwayError, match="isn't that of Own"):
            steps.database(owner, files, apps.move)
        assert apps.moves == [] and nothing_left(files) and apps.works(AWKWARD, OLD)

    def test_a_database_that_refuses_says_so(self, files: Files, apps: Apps) -> None:
        def away(words: Sequence[str], text: str) -> Completed:
            return Completed(tuple(words), 2, "", "psql: error: no server\n")

        with pytest.raises(GangwayError, match="PostgreSQL refuses: psql: error: no server"):
            steps.database(Postgres(away, "x", "y"), files, apps.move)

    def test_what_the_database_keeps_is_told_from_the_password(
        self, owner: Postgres, apps: Apps
    ) -> None:
        assert verifier.fits(OLD, AWKWARD, owner.verifier())
        assert not verifier.fits("another", AWKWARD, owner.verifier())
        owner.change(AWKWARD, verifier.made("mine"))
        assert apps.works(AWKWARD, "mine")
        digest = hashlib.md5(b"mine" + AWKWARD.encode(), usedforsecurity=False).hexdigest()
        assert verifier.fits("mine", AWKWARD, f"md5{digest}")
        assert not verifier.fits("mine", AWKWARD, "")


# ---- Redis


@contextmanager
def redis_of(tmp_path: Path, files: Files) -> Iterator[tuple[Environment, Redis, Apps]]:
    env = redis_env.__wrapped__(tmp_path)  # type: ignore[attr-defined]
    with serving(env, OLD):

        def ask(words: Sequence[str], text: str) -> Completed:
            assert OLD not in " ".join(words)
            done = subprocess.run(
                [SCRIPTS / "redis", *words[2:]], input=text, env=env, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            return Completed(tuple(words), done.returncode, done.stdout, done.stderr)

        def works(_user: str, password: str) -> bool:
            # The container sees the file as the last move has delivered it.
            Path(env["REDIS_PASSWORD_FILE"]).write_text(f"{files.value}\n")
            client = valkey.Valkey(port=int(env["REDIS_PORT"]), password=password)
            try:
                return bool(client.ping())
            except valkey.exceptions.AuthenticationError:
                return False
            finally:
                client.close()  # type: ignore[no-untyped-call]

        yield env, Redis(ask, "redis"), Apps(files, "default", works)


class TestRedis:
    def test_both_passwords_are_good_until_all_have_the_new_one(
        self, tmp_path: Path, files: Files
    ) -> None:
        with redis_of(tmp_path, files) as (env, redis, apps):
            steps.caches([redis], files, apps.move)
            assert len(apps.moves) == 1 and files.value != OLD
            assert apps.work() and not apps.works("", OLD)
            assert nothing_left(files)
            # Its own health check, and redis-cli, go by the file.
            done = subprocess.run([SCRIPTS / "redis", "ping"], env=env, check=False)
            assert done.returncode == 0

    def test_killed_as_the_apps_are_moved_they_work_and_it_goes_on(
        self, tmp_path: Path, files: Files
    ) -> None:
        with redis_of(tmp_path, files) as (_, redis, apps):
            apps.killed_in = 1
            with pytest.raises(Killed):
                steps.caches([redis], files, apps.move)
            assert apps.work() and apps.works("", OLD)
            new = files.value
            steps.caches([redis], files, apps.move)
            assert files.value == new and apps.work() and not apps.works("", OLD)

    @pytest.mark.parametrize("step", ["add", "settle", "only"])
    def test_killed_at_any_other_step_it_goes_on(
        self, tmp_path: Path, files: Files, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: object) -> None:
            raise Killed

        with redis_of(tmp_path, files) as (_, redis, apps):
            with monkeypatch.context() as patched:
                patched.setattr(Files if step == "settle" else Redis, step, killed)
                with pytest.raises(Killed):
                    steps.caches([redis], files, apps.move)
            assert apps.work()
            steps.caches([redis], files, apps.move)
            assert apps.work() and not apps.works("", OLD) and nothing_left(files)

    def test_one_that_has_been_restarted_in_between_is_rotated_all_the_same(
        self, tmp_path: Path, files: Files
    ) -> None:
        with redis_of(tmp_path, files) as (_, redis, apps):
            apps.killed_in = 1
            with pytest.raises(Killed):
                steps.caches([redis], files, apps.move)
            redis.only(files.value)
            steps.caches([redis], files, apps.move)
            assert apps.work() and nothing_left(files)


# ---- what apps sign with


@dataclass
class Signers:
    """Apps before and after a move, side by side: each accepts what the other signs."""

    files: Files
    signs: str = OLD
    accepts: frozenset[str] = frozenset({OLD})
    moves: int = 0
    killed_in: int = 0

    def move(self, why: str, change: Change | None) -> None:
        previous = self.files.path.with_name("secret_previous")
        also = {previous.read_text().strip()} if previous.exists() else set()
        new = self.files.value
        assert new in self.accepts and self.signs in {new, *also}, why
        self.signs, self.accepts = new, frozenset({new, *also})
        self.moves += 1
        if self.moves == self.killed_in:
            raise Killed


class TestKey:
    def test_no_app_meets_what_it_does_not_accept(self, files: Files) -> None:
        apps = Signers(files)
        steps.key(files, apps.move)
        assert apps.moves == 2 and apps.signs == files.value != OLD
        assert apps.accepts == {files.value, OLD}
        steps.forget(files, lambda why, change: None)
        assert nothing_left(files)

    @pytest.mark.parametrize("moment", [1, 2])
    def test_killed_as_the_apps_are_moved_it_goes_on(self, files: Files, moment: int) -> None:
        apps = Signers(files, killed_in=moment)
        with pytest.raises(Killed):
            steps.key(files, apps.move)
        steps.key(files, apps.move)
        assert apps.signs == files.value != OLD and apps.accepts == {files.value, OLD}

    def test_the_next_one_goes_by_way_of_the_last(self, files: Files) -> None:
        apps = Signers(files)
        steps.key(files, apps.move)
        first = files.value
        steps.key(files, apps.move)
        assert apps.accepts == {files.value, first} and files.value != first

    def test_where_apps_know_one_at_a_time_they_get_the_new_one(self, files: Files) -> None:
        moved: list[str] = []
        steps.alone(files, lambda why, change: moved.append(files.value))
        assert moved == [files.value] != [OLD] and nothing_left(files)


def test_a_new_secret_is_its_owners_alone(files: Files) -> None:
    files.prepare()
    files.put_previous("x")
    assert {each.stat().st_mode & 0o777 for each in files.path.parent.glob("secret?*")} == {0o600}
