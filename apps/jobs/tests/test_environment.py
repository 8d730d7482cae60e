"""What the environment may say, and one line for what it may not."""

from pathlib import Path

import pytest

from jobs.environment import load


def test_database_url_alone_says_where_the_database_is() -> None:
    url = "postgresql://some.user:p%40ss%3A%2F@pooler.example.com:6543/db?sslmode=require"
    found = load({"DATABASE_URL": url, "POSTGRES_HOST": "elsewhere"}).database
    assert (found.host, found.port, found.name) == ("pooler.example.com", 6543, "db")
    assert (found.user, found.password) == ("some.user", "p@ss:/")
    assert found.options == {"sslmode": "require"}


def test_database_url_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgres://u:p@h/d\n")
    found = load({"DATABASE_URL_FILE": str(file)}).database
    assert (found.host, found.port, found.name, found.user) == ("h", 5432, "d", "u")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:hush@h/d", "begins with mysql"),
        ("postgresql://u:hush@h:port/d", "not an address"),
        ("postgresql://u:hush@/d", "no host"),
        ("postgresql://u:hush@h", "no database"),
        ("postgresql://h:6543/d", "no user"),
        ("postgresql://u:hush@h/d?pgbouncer=true", "pgbouncer"),
    ],
)
def test_a_malformed_url_ends_with_one_line_without_the_password(
    url: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        load({"DATABASE_URL": url})
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert printed.count("\n") == 1 and "DATABASE_URL" in printed and said in printed
    assert "hush" not in printed


@pytest.mark.parametrize(
    "wrong",
    [
        {"REDIS_PORT": "x"},
        {"JOBS_RATE_LIMIT": "many"},
        {"JOBS_STEP_SECONDS": "-1"},
        {"WORKER_CONCURRENCY": "nan"},
        {"SECRET_KEY": "a", "SECRET_KEY_FILE": "b"},
        {"REDIS_PASSWORD_FILE": "/no/such/file"},
    ],
)
def test_a_wrong_value_is_named(wrong: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(wrong)
    assert next(iter(wrong)) in capsys.readouterr().err


def test_a_password_with_anything_in_it_fits_into_the_address_of_redis() -> None:
    address = load({"REDIS_PASSWORD": "a:/?#@ %"}).redis_url(0)
    assert address == "redis://:a%3A%2F%3F%23%40%20%25@redis:6379/0"
