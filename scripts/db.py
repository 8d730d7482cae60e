"""Wait for the database with the real credentials; run commands one at a time under its lock.

``db.py wait [--timeout SECONDS] [-- COMMAND...]`` returns, or becomes the command, once the
database answers. ``db.py lock -- COMMAND... [--then COMMAND...]`` waits, takes a lock in the
database and runs the commands one after the other; the first that fails ends it, with its status.
Without a command it only waits, for a database that the app can use.
``db.py init FOLDER`` runs the folder's ``*.sql`` files in the order of their names, each as one
transaction. They run before every migration, and so must change nothing the second time.

Reads DATABASE_URL or DATABASE_URL_FILE, or else POSTGRES_HOST, POSTGRES_PORT, POSTGRES_DB,
POSTGRES_USER, POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE; DB_WAIT_SECONDS (30) and
DB_LOCK_SECONDS (300); DB_TABLE_SECONDS (10), how long a command may wait for a table that others
use; DB_IMPORTS, modules that the commands are going to need; HANDED_OVER, what the entrypoint made
of what a user has set. Nothing depends on the session, so that a transaction pooler may be between.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import select
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

import launch

# "gangway", as the number that Postgres wants; the lock is the database's own, not the server's.
LOCK = int.from_bytes(b"gangway")
# One attempt's limit, in seconds: a host that swallows packets must not eat up the deadline.
ATTEMPT = 5.0
# Seconds between attempts: at first, and at most.
PAUSE, LONGEST_PAUSE = 0.05, 0.2
# Seconds in which a database that is there has answered.
PATIENCE = 0.2

# Server start-up, shutdown, crash recovery, too many connections: all of them pass.
PASSING = {"57P03", "57P01", "57P02", "53300"}
PASSWORD = {"28P01", "28000"}
MISSING = {"3D000"}
VIOLATION = "08P01"

SCHEMES = {"postgresql", "postgres", "psql", "pgsql", "postgis", "timescale", "timescalegis"}
# What a URL may tell us; the rest is the app's library's.
OPTIONS = {
    "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslnegotiation", "channel_binding",
    "gssencmode", "target_session_attrs", "hostaddr", "options",
}  # fmt: skip


class Mistake(Exception):
    """What the user can fix: the message says how."""


@dataclass(frozen=True)
class Settings:
    """Where the database is and who we are to it."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    # The variables that say so.
    place_from: str
    name_from: str
    user_from: str
    password_from: str
    # libpq's, such as sslmode.
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Settings:
        """Read the environment; every missing variable in one message."""
        url, source = _secret("DATABASE_URL")
        # The app's, put together from what is named in our messages.
        made = "DATABASE_URL" in _handed_over() and os.environ.get("POSTGRES_HOST")
        if url and not made:
            return cls.parse(url, source)
        names = ("POSTGRES_HOST", "POSTGRES_DB", "POSTGRES_USER")
        missing = [name for name in names if not os.environ.get(name)]
        if missing:
            raise Mistake(f"needs {', '.join(missing)}: set what is missing in the environment")
        host, name, user = (os.environ[name] for name in names)
        port = os.environ.get("POSTGRES_PORT") or "5432"
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise Mistake(f"POSTGRES_PORT={port} is not a port: give a number from 1 to 65535")
        password, source = _secret("POSTGRES_PASSWORD")
        place = "POSTGRES_HOST and POSTGRES_PORT"
        return cls(
            host, int(port), name, user, password, place, "POSTGRES_DB", "POSTGRES_USER", source
        )

    @classmethod
    def parse(cls, url: str, source: str) -> Settings:
        """Take DATABASE_URL apart; what is wrong is said without the password in it."""
        shape = "it looks like postgresql://USER:PASSWORD@HOST:6543/DATABASE"
        try:
            parts = urlsplit(url)
            port = parts.port or 5432
        except ValueError:
            raise Mistake(
                f"{source} is not an address: {shape}; in a password, : / ? # @ are written %3A "
                "%2F %3F %23 %40"
            ) from None
        # SQLAlchemy's and Django's name a driver or an extension, too.
        if parts.scheme.partition("+")[0] not in SCHEMES:
            raise Mistake(f"{source} does not begin with postgresql://: {shape}")
        name = unquote(parts.path.removeprefix("/"))
        wanted = {"host": parts.hostname, "user": parts.username, "database": name}
        if missing := [what for what, value in wanted.items() if not value]:
            raise Mistake(f"{source} names no {', no '.join(missing)}: {shape}")
        # SQLAlchemy's asyncpg calls it ssl.
        query = {"sslmode" if key == "ssl" else key: text for key, text in parse_qsl(parts.query)}
        return cls(
            parts.hostname or "", port, name, unquote(parts.username or ""),
            unquote(parts.password or ""), source, source, source, source,
            {key: text for key, text in query.items() if key in OPTIONS},
        )  # fmt: skip


def _secret(name: str) -> tuple[str, str]:
    """Return the secret ``name`` ("" where unset) and the variable that it came from."""
    value, path = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if value and path:
        raise Mistake(f"both {name} and {name}_FILE are set: keep one of them")
    if not path:
        file = f"{name}_FILE"
        return value, file if file in _handed_over() else name
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), f"{name}_FILE"
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise Mistake(f"cannot read {path}, which {name}_FILE names: {reason}") from None


def _handed_over() -> list[str]:
    """Return the variables that the entrypoint has made others of."""
    return os.environ.get("HANDED_OVER", "").split()


def limit(name: str, default: float) -> float:
    """Return the seconds that the variable ``name`` says."""
    text = os.environ.get(name) or str(default)
    try:
        return float(text)
    except ValueError:
        raise Mistake(f"{name}={text} is not a number of seconds") from None


# -- one connection, whichever driver the application brings ------------------------------------


@dataclass(frozen=True)
class Session:
    """An open connection that is in no transaction between two calls."""

    value: Callable[[str], Any]
    run: Callable[[str], object]
    close: Callable[[], None]


def _asyncpg(driver: ModuleType, settings: Settings, timeout: float) -> Session:
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        connection = loop.run_until_complete(
            driver.connect(
                host=settings.host,
                port=settings.port,
                user=settings.user,
                password=settings.password or None,
                database=settings.name,
                timeout=timeout,
                statement_cache_size=0,
                ssl=settings.options.get("sslmode"),
            )
        )
    except BaseException:
        # What the driver has closed, the loop lets go of at its next turn.
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        raise

    def close() -> None:
        loop.run_until_complete(connection.close(timeout=2))
        loop.close()

    return Session(
        lambda sql: loop.run_until_complete(connection.fetchval(sql)),
        lambda sql: loop.run_until_complete(connection.execute(sql)),
        close,
    )


def _psycopg(driver: ModuleType, settings: Settings, timeout: float) -> Session:
    connection = driver.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password or None,
        dbname=settings.name,
        **{**settings.options, "connect_timeout": max(2, int(timeout))},
    )
    connection.autocommit = True
    # Prepared statements would stay with a session that a pooler has given to others.
    connection.prepare_threshold = None

    def value(sql: str) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]

    def run(sql: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    return Session(value, run, connection.close)


def _pg8000(driver: ModuleType, settings: Settings, timeout: float) -> Session:
    connection = driver.Connection(
        settings.user,
        host=settings.host,
        port=settings.port,
        password=settings.password or None,
        database=settings.name,
        timeout=timeout,
        ssl_context=settings.options.get("sslmode") in {"require", "verify-ca", "verify-full"},
    )
    return Session(lambda sql: connection.run(sql)[0][0], connection.run, connection.close)


Connect = Callable[[ModuleType, Settings, float], Session]
DRIVERS: dict[str, Connect] = {
    "asyncpg": _asyncpg,
    "psycopg": _psycopg,
    "psycopg2": _psycopg,
    "pg8000.native": _pg8000,
}


def _driver() -> Callable[[Settings, float], Session]:
    """Return how to connect with the first driver that is installed."""
    for name, connect in DRIVERS.items():
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return lambda settings, timeout: connect(module, settings, timeout)
    raise Mistake(f"needs a PostgreSQL driver: install one of {', '.join(DRIVERS)}")


# -- waiting --------------------------------------------------------------------------------------

# What drivers on libpq say, for they keep the SQLSTATE of a failed connection to themselves; and
# PgBouncer, whose code is the same for whatever it refuses.
TEXTS = (
    (
        re.compile(r"(password|SASL) authentication failed|no password supplied|pg_hba\.conf"),
        "28P01",
    ),
    (re.compile(r'database ".*" does not exist'), "3D000"),
    (re.compile(r'role ".*" does not exist'), "28000"),
)


def _sqlstate(error: Exception) -> str:
    """Return the server's code for ``error``, or "" where no server said anything."""
    for name in ("sqlstate", "pgcode"):
        if isinstance(code := getattr(error, name, None), str) and code != VIOLATION:
            return code
    if error.args and isinstance(error.args[0], dict):
        return str(error.args[0].get("C", ""))
    return next((code for text, code in TEXTS if text.search(str(error))), "")


def _reason(error: Exception) -> str:
    if isinstance(error.__cause__, OSError):
        # pg8000 says only that there is no connection.
        error = error.__cause__
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer"
    if error.args and isinstance(error.args[0], dict):
        return str(error.args[0].get("M", error))
    return " ".join(str(error).split()) or type(error).__name__


def _diagnose(error: Exception, settings: Settings) -> None:
    """Raise ``Mistake`` where waiting cannot help; return where it can."""
    code, reason = _sqlstate(error), _reason(error)
    if code in PASSWORD:
        variables = " and ".join(dict.fromkeys((settings.user_from, settings.password_from)))
        raise Mistake(
            f'the database refuses user "{settings.user}": {reason}; look at '
            f"{variables}{'' if settings.password else ' (the password is empty)'}; a data "
            "volume keeps the password that it was made with"
        ) from None
    if code in MISSING:
        raise Mistake(
            f'there is no database "{settings.name}" on {settings.host}:{settings.port}; '
            f"look at {settings.name_from}, or create it"
        ) from None
    if code and code not in PASSING and not code.startswith("08"):
        raise Mistake(f"the database refuses the connection: {reason} (SQLSTATE {code})") from None


def _refuse_unreachable(settings: Settings) -> None:
    """Raise ``Mistake`` where the host has IPv6 addresses only, and we have no way to them."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_DGRAM)
    except OSError:
        return
    for family, kind, protocol, _, address in found:
        if family != socket.AF_INET6:
            return
        with socket.socket(family, kind, protocol) as probe:
            try:
                # Nothing is sent: this only looks for a route.
                probe.connect(address)
            except OSError as error:
                if error.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL}:
                    continue
            return
    raise Mistake(
        f"{settings.host} has IPv6 addresses only, and there is no IPv6 here, as in most "
        "containers: give the address of its connection pooler, port 6543, in "
        f"{settings.place_from}"
    )


def wait(settings: Settings, seconds: float) -> Session:
    """Return a session, within ``seconds``; raise ``Mistake`` as soon as waiting cannot help."""
    connect = _driver()
    deadline = time.monotonic() + seconds
    pause, last = PAUSE, ""
    while True:
        try:
            return connect(settings, max(0.1, min(ATTEMPT, deadline - time.monotonic())))
        except Exception as error:  # noqa: BLE001 - each driver has its own
            _diagnose(error, settings)
            _refuse_unreachable(settings)
            reason = _reason(error)
        if time.monotonic() + pause >= deadline:
            raise Mistake(
                f"no database at {settings.host}:{settings.port} after {seconds:g} s; look at "
                f"{settings.place_from}; the last error: {reason}"
            )
        if reason != last:
            say(f"waiting for {settings.host}:{settings.port}: {reason}")
            last = reason
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def answers(settings: Settings) -> bool:
    """Say whether the database lets us in at this moment."""
    with contextlib.suppress(Exception):
        _driver()(settings, ATTEMPT).close()
        return True
    return False


# -- the lock -------------------------------------------------------------------------------------


def _acquire(session: Session, seconds: float) -> None:
    """Take the lock, in a transaction that stays open: a pooler keeps it on one server.

    Asked for again and again: a statement that blocks on it would hold a snapshot, and a
    CREATE INDEX CONCURRENTLY in the migration that has the lock would wait for that for ever. The
    open transaction holds none between its statements.
    """
    deadline, told = time.monotonic() + seconds, False
    while True:
        session.run("BEGIN")
        if session.value(f"SELECT pg_try_advisory_xact_lock({LOCK})"):
            # It is idle for as long as the migration takes. And a further statement is what closes
            # the last one, with its snapshot.
            session.run("SET LOCAL idle_in_transaction_session_timeout = 0")
            return
        session.run("ROLLBACK")
        if time.monotonic() >= deadline:
            raise Mistake(
                f"another migration has held the lock for {seconds:g} s; if it hangs, end it, or "
                "raise DB_LOCK_SECONDS"
            )
        if not told:
            say(f"another migration is running; waiting for it, {seconds:g} s at most")
            told = True
        time.sleep(0.1)


def _hold(settings: Settings, ready: int, end: int) -> int:
    """Take the lock, say so on ``ready``, and let go when ``end`` closes; return a status."""
    session = wait(settings, limit("DB_WAIT_SECONDS", 30))
    _acquire(session, limit("DB_LOCK_SECONDS", 300))
    with contextlib.suppress(BrokenPipeError):
        os.write(ready, b"1")
    _watch(settings, end, limit("DB_TABLE_SECONDS", 10))
    try:
        session.run("ROLLBACK")
        session.close()
    except Exception as error:  # noqa: BLE001 - each driver has its own
        say(f"the lock's connection was lost on the way ({_reason(error)}); the result stands")
    return 0


# Seconds between two looks at what waits for a table.
LOOK = 0.5
# Of the statements from where we are, the one that waits for a table that it wants for itself, with
# who holds it. An index that is built CONCURRENTLY waits for transactions and holds nobody up.
WAITING = """
SELECT max(said) FROM (
    SELECT a.pid || chr(9) || extract(epoch FROM clock_timestamp() - l.waitstart) || chr(9)
        || CAST(CAST(l.relation AS regclass) AS text) || chr(9) || coalesce((
            SELECT string_agg(format('pid %s (%s, %s, its transaction since %s)', b.pid,
                coalesce(nullif(b.application_name, ''), 'no application name'), b.state,
                to_char(b.xact_start, 'YYYY-MM-DD HH24:MI:SS')), ', ')
            FROM pg_stat_activity b WHERE b.pid = ANY (pg_blocking_pids(a.pid))), 'somebody else')
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    JOIN pg_stat_activity own ON own.pid = pg_backend_pid()
    WHERE l.locktype = 'relation' AND NOT l.granted
        AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
        AND a.datname = own.datname AND a.usename = own.usename
        AND a.client_addr IS NOT DISTINCT FROM own.client_addr
    ORDER BY l.waitstart LIMIT 1) one (said)"""
NOBODY = "0\t0\t\t"


def _watch(settings: Settings, end: int, seconds: float) -> None:
    """Until something comes on ``end``, cancel what waits for a table for longer than ``seconds``.

    A statement that waits holds up everybody who comes after it, readers as well. The server's own
    lock_timeout would need each app's driver to ask for it, and names nobody. The connection is
    another than the lock's, whose open transaction must hold no snapshot.
    """
    session = None
    try:
        while not select.select([end], [], [], LOOK)[0]:
            # Most migrations have ended by now, and cost no second connection.
            session = session or _driver()(settings, ATTEMPT)
            pid, waited, table, holders = (session.value(WAITING) or NOBODY).split("\t")
            if float(waited) >= seconds:
                session.run(f"SELECT pg_cancel_backend({int(pid)})")
                say(
                    f"cancelled a statement that has waited {seconds:g} s for the table {table}: "
                    f"it is held by {holders}; end that one, or raise DB_TABLE_SECONDS"
                )
    except Exception as error:  # noqa: BLE001 - each driver has its own
        say(f"nobody watches what waits for a table ({_reason(error)})")
    finally:
        if session:
            with contextlib.suppress(Exception):
                session.close()
    os.read(end, 1)


class Lock:
    """The database's lock, held by a process of its own.

    So the process that forks has no connection that a fork might break. Should the caller be
    killed, the lock stays until the command that it forked has ended, too.
    """

    def __init__(self, settings: Settings) -> None:
        self._ready, ready = os.pipe()
        end, self._end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._ready)
            os.close(self._end)
            # These reach the whole group: the lock stays until the command has ended.
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            leave(guarded(lambda: _hold(settings, ready, end)))
        os.close(ready)
        os.close(end)
        os.set_inheritable(self._end, True)  # noqa: FBT003

    def taken_within(self, seconds: float) -> bool:
        """Say whether the waiting is over, one way or the other, after ``seconds`` at most."""
        return bool(select.select([self._ready], [], [], seconds)[0])

    def acquire(self) -> int:
        """Wait for the lock; return 0, or the status to end with."""
        if os.read(self._ready, 1):
            return 0
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status) or 1

    def abandon(self) -> None:
        """Stop waiting for it."""
        os.kill(self._pid, signal.SIGTERM)

    def release(self) -> None:
        """Give it back, if we have it."""
        with contextlib.suppress(BrokenPipeError, ChildProcessError):
            os.write(self._end, b"1")
            os.waitpid(self._pid, 0)


# -- the commands ---------------------------------------------------------------------------------

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Runner:
    """Forks this process, once for each command, and passes signals on."""

    def __init__(self) -> None:
        self._child = 0
        self._stopped_by = 0
        for number in SIGNALS:
            signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._stopped_by = number
        if not self._child:
            raise SystemExit(128 + number)
        # A terminal has sent its Ctrl-C to the child as well.
        if number != signal.SIGINT or not sys.stdin.isatty():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, number)

    def fork(self) -> int | None:
        """Return the status that the fork ended with; None in the fork itself."""
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._child = os.fork()
        if self._child == 0:
            for number in SIGNALS - {signal.SIGINT}:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if self._child == 0:
            return None
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        code = os.waitstatus_to_exitcode(status)
        # One that ends well because it was told to stop has not done its work.
        return (code if code >= 0 else 128 - code) or (self._stopped_by and 128 + self._stopped_by)


def lock(
    settings: Settings,
    commands: Sequence[Sequence[str]],
    before: Callable[[Sequence[str]], None] = lambda command: None,
) -> int:
    """Run ``commands`` under the lock; return the first status that is not 0, else 0.

    In the fork that is to become a command this does not return: ``before`` sees the command, and
    then it runs.
    """
    # Imported here, it is there for every fork that asks.
    _driver()
    runner = Runner()
    held = Lock(settings)
    try:
        _import_ahead(held)
        if status := held.acquire():
            return status
    except SystemExit:
        held.abandon()
        raise
    for command in commands:
        outcome = runner.fork()
        if outcome is None:
            before(command)
            launch.run(command)
        if outcome:
            say(f"{shlex.join(command)}: ended with status {outcome}; nothing after it was run")
            break
    held.release()
    return outcome or 0


def only_wait() -> int:
    """Wait for the database, if the app has one: there is nothing to run in it."""
    say("there is nothing to migrate or to seed")
    if has_database():
        wait(Settings.load(), limit("DB_WAIT_SECONDS", 30)).close()
    return 0


def has_database() -> bool:
    """Say whether the app has a driver, and the environment a database."""
    places = ("DATABASE_URL", "DATABASE_URL_FILE", "POSTGRES_HOST")
    return any(map(os.environ.get, places)) and any(map(_importable, DRIVERS))


def _importable(driver: str) -> bool:
    with contextlib.suppress(ImportError):
        return bool(importlib.import_module(driver))
    return False


def _import_ahead(held: Lock) -> None:
    """While a database isn't there yet, import what the commands will ask for (DB_IMPORTS).

    One that takes so long is most likely a new one, and its migrations begin with these imports.
    """
    for number, name in enumerate(os.environ.get("DB_IMPORTS", "").split()):
        if held.taken_within(0 if number else PATIENCE):
            return
        # What is missing or broken is the command's to complain of.
        with contextlib.suppress(Exception):
            importlib.import_module(name)


# -- the scripts before the migrations ------------------------------------------------------------


def initialise(settings: Settings, folder: Path) -> int:
    """Run the folder's scripts; the first that fails ends it, with its name and the reason."""
    scripts = sorted(folder.glob("*.sql"), key=lambda script: script.name)
    if not scripts:
        raise Mistake(f"{folder} has no .sql file; look at INIT_SQL")
    session = wait(settings, limit("DB_WAIT_SECONDS", 30))
    for script in scripts:
        try:
            session.run(script.read_text(encoding="utf-8"))
        except Exception as error:  # noqa: BLE001 - each driver has its own
            raise Mistake(f"{folder.name}/{script.name}: {_reason(error)}") from None
    session.close()
    say(f"{folder.name}: ran {', '.join(script.name for script in scripts)}")
    return 0


# -- the command line -----------------------------------------------------------------------------


def say(message: str) -> None:
    """Print one line for the user."""
    print(f"db: {message}", file=sys.stderr, flush=True)


def guarded(action: Callable[[], int]) -> int:
    """Return the status of ``action``; 2, with the message, for a mistake."""
    try:
        return action()
    except Mistake as mistake:
        say(str(mistake))
        return 2


def leave(status: int) -> NoReturn:
    """End at once: a name server that hangs in a thread must not keep us."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def split(arguments: Sequence[str], separator: str) -> list[list[str]]:
    """Return what is between the separators."""
    parts: list[list[str]] = [[]]
    for argument in arguments:
        if argument == separator:
            parts.append([])
        else:
            parts[-1].append(argument)
    return parts


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return the exit status."""
    what, *rest = arguments or [""]
    cut = rest.index("--") if "--" in rest else len(rest)
    options, command = rest[:cut], list(rest[cut + 1 :])
    if what == "lock" and not options:
        if not command:
            return only_wait()
        return lock(Settings.load(), split(command, "--then"))
    if what == "init" and len(options) == 1 and not command:
        return initialise(Settings.load(), Path(options[0]))
    if what != "wait" or (options and (len(options) != 2 or options[0] != "--timeout")):
        raise Mistake("usage: wait-for-db [--timeout SECONDS] [-- COMMAND...]")
    if options:
        os.environ["DB_WAIT_SECONDS"] = options[1]
    wait(Settings.load(), limit("DB_WAIT_SECONDS", 30)).close()
    if command:
        launch.replace(command)
    return 0


if __name__ == "__main__":
    launch.forget_ourselves()
    try:
        status = main(sys.argv[1:])
    except Mistake as mistake:
        say(str(mistake))
        status = 2
    leave(status)
