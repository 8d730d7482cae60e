"""An app finds in its environment what it reads, whatever the stack calls it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scripts.conftest import Database, Outcome, Script

Seen = dict[str, str]
Read = Callable[..., Seen]
Refused = Callable[..., str]

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
PARTS = {"POSTGRES_HOST": "db", "POSTGRES_DB": "shop", "POSTGRES_USER": "anna"}
# Everything that a shell, a URL or a file could make something else of.
AWKWARD = "pä ss:/?#[]@!$&'()*+,;=%41\"\\`${HOME}\n{x} end"
ENCODED = (
    "p%C3%A4%20ss%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%2541%22%5C%60%24%7BHOME%7D"
    "%0A%7Bx%7D%20end"
)


@pytest.fixture
def read(script: Script) -> Read:
    """Return the environment that a program finds with these variables."""

    def run(reads: str = "", **variables: str) -> Seen:
        given = {"APP_READS": reads} if reads else {}
        done = script("entrypoint", "python3", "-c", SHOW, **given, **variables)
        assert (done.status, done.err) == (0, "")
        seen: Seen = json.loads(done.out)
        return seen

    return run


@pytest.fixture
def refused(script: Script) -> Refused:
    """Return the one line with which these variables are refused."""

    def run(reads: str, **variables: str) -> str:
        done: Outcome = script("entrypoint", "echo", "ran", APP_READS=reads, **variables)
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), done
        return done.err

    return run


def test_a_secret_comes_from_its_file_and_the_path_is_gone(read: Read, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{AWKWARD}\r\n\n")
    seen = read("SECRET_KEY", SECRET_KEY_FILE="key")
    assert seen["SECRET_KEY"] == AWKWARD
    assert "SECRET_KEY_FILE" not in seen


def test_a_variable_gets_the_name_that_the_app_reads(read: Read, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(AWKWARD)
    seen = read(
        "DJANGO_SECRET_KEY={SECRET_KEY} POSTGRES_SERVER={POSTGRES_HOST}",
        SECRET_KEY_FILE="key", POSTGRES_HOST="db",
    )  # fmt: skip
    assert (seen["DJANGO_SECRET_KEY"], seen["POSTGRES_SERVER"]) == (AWKWARD, "db")
    # What isn't named stays as it is.
    assert (seen["SECRET_KEY_FILE"], "SECRET_KEY" in seen) == ("key", False)


@pytest.mark.parametrize(
    ("reads", "variables", "url"),
    [
        ("DATABASE_URL", {}, "postgresql://anna@db:5432/shop"),
        ("DATABASE_URL={database_url}", {"POSTGRES_PORT": "6"}, "postgresql://anna@db:6/shop"),
        (
            "DATABASE_URL={database_url:postgresql+asyncpg}",
            {"POSTGRES_PASSWORD": AWKWARD, "POSTGRES_USER": "a@b", "POSTGRES_DB": "é"},
            f"postgresql+asyncpg://a%40b:{ENCODED}@db:5432/%C3%A9",
        ),
        ("DATABASE_URL", {"POSTGRES_HOST": "fd00::1"}, "postgresql://anna@[fd00::1]:5432/shop"),
        ("DATABASE_URL", {"DATABASE_URL": ""}, "postgresql://anna@db:5432/shop"),
        ("DATABASE_URL", {"DATABASE_URL": "postgres://u:p@x/y?z"}, "postgres://u:p@x/y?z"),
        (
            "DATABASE_URL={database_url:postgresql+psycopg}",
            {"DATABASE_URL": "postgres://u:p@x/y?sslmode=require"},
            "postgresql+psycopg://u:p@x/y?sslmode=require",
        ),
    ],
)
def test_the_database_s_url_is_put_together_or_the_user_s_own(
    read: Read, reads: str, variables: dict[str, str], url: str
) -> None:
    assert read(reads, **PARTS | variables)["DATABASE_URL"] == url


def test_a_previous_key_is_empty_most_of_the_time(read: Read, tmp_path: Path) -> None:
    assert read("SECRET_KEY_PREVIOUS")["SECRET_KEY_PREVIOUS"] == ""
    nothing = read("OLD={SECRET_KEY_PREVIOUS}", SECRET_KEY_PREVIOUS_FILE="/dev/null")
    assert nothing["OLD"] == ""
    (tmp_path / "old").write_text("an old one\n")
    seen = read("SECRET_KEY_PREVIOUS", SECRET_KEY_PREVIOUS_FILE="old")
    assert seen["SECRET_KEY_PREVIOUS"] == "an old one"


def test_the_database_s_password_comes_from_its_file(read: Read, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{AWKWARD}\n")
    seen = read("DATABASE_URL", **PARTS, POSTGRES_PASSWORD_FILE="password")
    assert seen["DATABASE_URL"] == f"postgresql://anna:{ENCODED}@db:5432/shop"


@pytest.mark.parametrize(
    ("reads", "variables", "url"),
    [
        ("URL={redis_url}", {}, "redis://cache:6379/0"),
        ("URL={redis_url:12}", {"REDIS_PASSWORD": "a/b"}, "redis://:a%2Fb@cache:6379/12"),
        ("URL={broker_url:1}", {}, "redis://cache:6379/1"),
        ("URL={broker_url}", {"BROKER_HOST": "queue"}, "redis://queue:6379/0"),
        (
            "URL={broker_url:2}",
            {"BROKER_HOST": "queue", "BROKER_PORT": "1", "BROKER_PASSWORD": "x"},
            "redis://:x@queue:1/2",
        ),
    ],
)
def test_redis_and_the_queue_have_urls(
    read: Read, reads: str, variables: dict[str, str], url: str
) -> None:
    assert read(reads, REDIS_HOST="cache", **variables)["URL"] == url


def test_well_known_urls_need_no_more_than_their_names(read: Read) -> None:
    seen = read("DATABASE_URL REDIS_URL CELERY_BROKER_URL", **PARTS, REDIS_HOST="r")
    assert seen["DATABASE_URL"] == "postgresql://anna@db:5432/shop"
    assert seen["REDIS_URL"] == seen["CELERY_BROKER_URL"] == "redis://r:6379/0"


def test_a_url_that_the_user_has_set_stays(read: Read) -> None:
    given = {"REDIS_URL": "rediss://elsewhere", "CELERY_BROKER_URL": "amqp://rabbit"}
    seen = read(" ".join(given), REDIS_HOST="r", **given)
    assert {name: seen[name] for name in given} == given


def test_a_text_may_have_blanks_quotes_and_braces(read: Read) -> None:
    seen = read(
        "\n  'GREETING=hello  {NAME},  it''s'\tJSON='{{\"a\": \"{NAME}\"}' B=\"{X}{X}\" EMPTY=\n",
        NAME="O'Neil \"{X}\"", X="$x",
    )  # fmt: skip
    assert seen["GREETING"] == 'hello  O\'Neil "{X}",  its'
    assert seen["JSON"] == '{"a": "O\'Neil "{X}""}'
    assert (seen["B"], seen["EMPTY"]) == ("$x$x", "")


def test_what_was_handed_over_may_be_used_by_what_follows(read: Read) -> None:
    seen = read("DATABASE_URL CELERY_RESULT_BACKEND=db+{DATABASE_URL}", **PARTS)
    assert seen["CELERY_RESULT_BACKEND"] == "db+postgresql://anna@db:5432/shop"


def test_without_reads_nothing_is_handed_over(read: Read, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    seen = read(**PARTS, SECRET_KEY_FILE="key")
    assert seen["SECRET_KEY_FILE"] == "key"
    assert not {"SECRET_KEY", "DATABASE_URL", "HANDED_OVER"} & set(seen)


def test_a_file_that_compose_leaves_empty_is_absent(read: Read) -> None:
    assert "DATABASE_URL_FILE" not in read(DATABASE_URL_FILE="", OTHER_FILE="")


def test_every_variable_that_is_missing_is_named_at_once(refused: Refused) -> None:
    said = refused("DATABASE_URL API_KEY={SECRET_KEY} SECRET_KEY SMTP", POSTGRES_HOST="db")
    assert "needs POSTGRES_USER POSTGRES_DB SECRET_KEY SMTP:" in said
    assert "POSTGRES_HOST" not in said


def test_a_variable_that_is_empty_is_not_missing(read: Read) -> None:
    assert read("MAIL={SMTP_PASSWORD}", SMTP_PASSWORD="")["MAIL"] == ""


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        ("A={databse_url}", ["{databse_url}", "database_url"]),
        ("A={redis_url:x}", ["{redis_url:x}"]),
        ("A={database_url:}", ["{database_url:}"]),
        ("A={}", ["{}", "{{"]),
        ("A=x{NAME", ["{NAME", "}"]),
        ("1A=x", ["1A=x", "NAME=TEXT"]),
        ("A='x", ["quote"]),
    ],
)
def test_what_stands_for_nothing_is_refused(refused: Refused, reads: str, words: list[str]) -> None:
    said = refused(reads, NAME="x")
    assert "APP_READS" in said
    for word in words:
        assert word in said


def test_a_secret_given_twice_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file")
    said = refused("K={API_KEY}", API_KEY="from the variable", API_KEY_FILE="key")
    assert "both API_KEY and API_KEY_FILE are set" in said
    assert "from the" not in said


def test_a_file_that_cannot_be_read_is_named(refused: Refused) -> None:
    assert "cannot read /none, which API_KEY_FILE names" in refused("API_KEY", API_KEY_FILE="/none")


def test_an_entrypoint_inside_another_changes_nothing(script: Script, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    given = {"APP_READS": "KEY KEY2={KEY}{KEY}", "KEY_FILE": "key", "APP_PYTHONPATH": "src"}
    outer = script("entrypoint", "env", **given)
    inner = script("entrypoint", "entrypoint", "env", **given)
    assert sorted(inner.out.split("\n")) == sorted(outer.out.split("\n"))
    assert "KEY2=xx" in outer.out


def test_the_app_s_folders_come_first_on_the_python_path(read: Read, tmp_path: Path) -> None:
    seen = read(APP_PYTHONPATH="src:/opt/shared::../beside", PYTHONPATH="/before")
    here = str(tmp_path)
    assert seen["PYTHONPATH"].split(":") == [
        here, f"{here}/src", "/opt/shared", f"{here}/../beside", "/before"
    ]  # fmt: skip
    assert read()["PYTHONPATH"] == here


@pytest.mark.parametrize(
    "command", [["migrate"], ["seed"], ["serve"], ["python", "show.py"]], ids=lambda words: words[0]
)
def test_a_command_of_each_kind_sees_the_same(
    script: Script, database: Database, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "password").write_text(f"{database.server.password}\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "own.py").touch()
    (tmp_path / "show.py").write_text(
        "import os, own, sys\n"
        "print('never%20to%20be%20seen' in os.environ['DATABASE_URL'], os.getcwd() in sys.path)\n"
        "print(os.environ['PASSWORD'] == open('password').read().strip())\n"
        "print(os.environ.get('POSTGRES_PASSWORD_FILE'))\n"
    )
    done = script(
        "env", "--unset=POSTGRES_PASSWORD", "entrypoint", *command,
        APP_READS="PASSWORD={POSTGRES_PASSWORD} DATABASE_URL={database_url:postgresql+asyncpg}",
        POSTGRES_PASSWORD_FILE="password", APP_PYTHONPATH="src", MIGRATE_COMMAND="python show.py",
        SEED_COMMAND="python -m show", APP_INTERFACE="command", APP_TARGET="show",
    )  # fmt: skip
    assert (done.status, done.out) == (0, "True True\nTrue\npassword\n"), done.err


# -- what says what to look at ---------------------------------------------------------------------


@pytest.fixture
def handed(script: Script, database: Database, tmp_path: Path) -> Callable[..., Outcome]:
    """Wait for the database with what the entrypoint made of the variables, in place of ours."""

    def run(reads: str, password: str = "", **variables: str) -> Outcome:
        (tmp_path / "password").write_text(password or database.server.password)
        return script(
            "env", "--unset=POSTGRES_PASSWORD", "entrypoint", "wait-for-db", "--timeout", "5",
            APP_READS=reads, POSTGRES_PASSWORD_FILE="password", **variables,
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    "reads",
    [
        "POSTGRES_PASSWORD",
        "DATABASE_URL",
        "DATABASE_URL={database_url:postgresql+psycopg} POSTGRES_PASSWORD",
        "DATABASE_URL={database_url:postgis}?conn_max_age=60",
        "SQLALCHEMY_URL={database_url}",
    ],
)
def test_the_database_is_waited_for_whatever_the_app_reads(
    handed: Callable[..., Outcome], reads: str
) -> None:
    done = handed(reads)
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize("reads", ["POSTGRES_PASSWORD", "DATABASE_URL POSTGRES_PASSWORD"])
def test_a_wrong_password_names_the_variable_that_the_user_has_set(
    handed: Callable[..., Outcome], reads: str
) -> None:
    done = handed(reads, "wrong")
    assert done.status == 2
    assert "look at POSTGRES_USER and POSTGRES_PASSWORD_FILE;" in done.err


def test_a_database_that_is_not_there_names_the_variable_that_the_user_has_set(
    handed: Callable[..., Outcome],
) -> None:
    done = handed("DATABASE_URL={database_url:postgresql+asyncpg}", POSTGRES_DB="nosuch")
    assert done.status == 2
    assert "look at POSTGRES_DB, or create it" in done.err


@pytest.mark.parametrize("scheme", ["postgresql+asyncpg", "postgres", "postgis", "psql"])
def test_a_url_of_the_user_s_own_may_have_any_of_the_usual_schemes(
    script: Script, database: Database, tmp_path: Path, scheme: str
) -> None:
    server = database.server
    place = f"{server.user}:wrong@127.0.0.1:{server.port}/{database.name}"
    (tmp_path / "url").write_text(f"{scheme}://{place}?prepared_statement_cache_size=0")
    for reads, source in (
        ("DATABASE_URL", "DATABASE_URL_FILE"),
        ("POSTGRES_DB", "DATABASE_URL_FILE"),
    ):
        done = script("entrypoint", "migrate", APP_READS=reads, DATABASE_URL_FILE="url")
        assert done.status == 2
        assert f"look at {source}; a data volume" in done.err
