"""Which of a stack's secrets is whose, and what is said of those that nobody here can change."""

from __future__ import annotations

import pytest

from gangway.base.errors import GangwayError
from gangway.model.release import Image, Release
from gangway.operations.project import Project, opened
from gangway.operations.rollout.moving import Change, changed
from gangway.operations.rotation import rotate
from gangway.settings.environment import load
from tests.unit.conftest import ROOT


@pytest.fixture
def project(shell: dict[str, str]) -> Project:
    env = load(ROOT, "prod", engine="docker", shell=shell)
    return opened(env, dry_run=True)


def test_a_store_s_password_is_told_from_a_key(project: Project) -> None:
    def stores(name: str, variable: str) -> list[str]:
        return list(rotate.served_by(project, name, variable))

    assert stores("postgres_password", "POSTGRES_PASSWORD_FILE") == ["postgres"]
    assert stores("redis_password", "REDIS_PASSWORD_FILE") == ["redis"]
    assert stores("secret_key", "REDIS_PASSWORD_FILE") == []


def test_an_unknown_name_is_met_with_the_nearest(project: Project) -> None:
    with pytest.raises(GangwayError, match="no secret named 'secret_kay'") as refused:
        rotate.rotate(project, "secret_kay")
    assert "did you mean secret_key?" in str(refused.value)


@pytest.mark.parametrize("name", ["database_url", "postgres_password"])
def test_somebody_elses_database_is_theirs(shell: dict[str, str], name: str) -> None:
    url = {"DATABASE_URL": "postgresql://u:p@db.example.com/d"}
    env = load(ROOT, "prod", stack="jobs", engine="docker", shell=shell, overrides=url)
    with pytest.raises(GangwayError, match="somebody else's") as refused:
        rotate.rotate(opened(env, dry_run=True), name)
    assert "make a second login" in str(refused.value)
    assert "invoke prod.up moves the apps" in str(refused.value)


def made(**services: dict[str, object]) -> Release:
    images = {"api": Image("shop-api:1", "sha256:1")}
    return Release(
        "1", "shop", "core", revision="", dirty=False, made="", made_by="", images=images,
        model={"services": services},
    )  # fmt: skip


def test_a_variable_changes_in_the_apps_that_have_it_so_and_back() -> None:
    user = {"POSTGRES_USER": "anna", "LEVEL": "info"}
    data = {"type": "volume", "source": "data", "target": "/data"}
    before = made(
        api={"image": "shop-api:1", "environment": user},
        other={"image": "x", "environment": {"POSTGRES_USER": "berta"}},
        postgres={"image": "p", "environment": dict(user), "volumes": [data]},
    )
    after = changed(before, Change("POSTGRES_USER", "anna", "anna_between"))
    values = {
        name: entry["environment"]["POSTGRES_USER"]
        for name, entry in after.model["services"].items()
    }
    assert values == {"api": "anna_between", "other": "berta", "postgres": "anna"}
    assert changed(after, Change("POSTGRES_USER", "anna", "anna_between")) == after
    assert changed(after, Change("POSTGRES_USER", "anna_between", "anna")) == before


def test_a_login_that_no_app_takes_from_a_variable_changes_for_nobody() -> None:
    with pytest.raises(GangwayError, match="no app of 1 has POSTGRES_USER=anna"):
        changed(made(api={"image": "shop-api:1"}), Change("POSTGRES_USER", "anna", "b"))


def test_there_is_nothing_to_forget_where_no_other_key_is_good(project: Project) -> None:
    with pytest.raises(GangwayError, match="no other secret_key is good"):
        rotate.rotate(project, "secret_key", forget_old=True)


def test_a_dry_run_says_what_it_would_do(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    rotate.rotate(project, "redis_password")
    assert capsys.readouterr().out == "# would make a new redis_password, and move apps\n"
