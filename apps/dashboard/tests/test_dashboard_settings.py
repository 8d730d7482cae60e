"""The environment is validated before anything starts, all of it at once."""

from pathlib import Path

import pytest

from dashboard.settings import SettingsError, load, read

RIGHT = {"ENVIRONMENT": "production", "POSTGRES_PASSWORD": "long and random"}


def findings(**env: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read(env)
    return caught.value.findings


def test_everything_that_is_wrong_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {
        "ENVIRONMENT": "prodution",
        "LOG_LEVEL": "loud",
        "LOG_FORMAT": "xml",
        "DASHBOARD_PATH": "plots",
        "CACHE_SECONDS": "-1",
        "POSTGRES_PORT": "70000",
        "REDIS_PORT": "redis",
        "POSTGRES_PASSWORD_FILE": "/nonexistent/password",
    }
    with pytest.raises(SystemExit) as ended:
        load(wrong)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("dashboard: 8 mistakes in the environment:\n")
    assert all(name in said for name in wrong)
    assert len(said.splitlines()) == 9


@pytest.mark.parametrize("environment", ["production", "staging"])
@pytest.mark.parametrize("password", ["", "gangway"])
def test_a_live_environment_needs_a_password_of_its_own(environment: str, password: str) -> None:
    (finding,) = findings(ENVIRONMENT=environment, POSTGRES_PASSWORD=password)
    assert finding.startswith("POSTGRES_PASSWORD is")
    assert (
        read({"ENVIRONMENT": "test", "POSTGRES_PASSWORD": password}).postgres_password == password
    )


def test_a_secret_is_a_variable_or_a_file_but_not_both(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from the file\n")
    env = {"ENVIRONMENT": "production", "POSTGRES_PASSWORD_FILE": str(file)}
    assert read(env).postgres_password == "from the file"
    (finding,) = findings(POSTGRES_PASSWORD="x", **env)
    assert "both set" in finding
    file.write_bytes(b"\xff")
    (finding,) = findings(**env)
    assert "not UTF-8" in finding


@pytest.mark.parametrize(
    ("environment", "form"), [("development", "text"), ("staging", "json"), ("production", "json")]
)
def test_logs_are_json_where_the_environment_is_live(environment: str, form: str) -> None:
    env = RIGHT | {"ENVIRONMENT": environment}
    assert read(env).log_format == form
    assert read(env | {"LOG_FORMAT": "text"}).log_format == "text"
    assert read(env | {"LOG_FORMAT": "json"}).log_format == "json"


def test_an_empty_variable_is_an_unset_one() -> None:
    empty = dict.fromkeys(("LOG_FORMAT", "CACHE_SECONDS", "POSTGRES_PORT", "DASHBOARD_PATH"), "")
    assert read(RIGHT | empty) == read(RIGHT)
