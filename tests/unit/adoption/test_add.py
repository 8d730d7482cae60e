"""One service more in a stack: put into its files as text, and rendered by the real Compose."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.operations.adoption import add as adding
from gangway.operations.adoption.add import (
    Addition,
    Stack,
    add,
    celery,
    container,
    opened,
    program,
    schedule,
)
from gangway.operations.adoption.parts import Beside
from tests.unit.conftest import ROOT, compose_programs

JOBS = "stacks/jobs"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This checkout's own files, where its sample stacks may be changed."""
    if not compose_programs():
        pytest.skip("no Compose here")
    monkeypatch.delenv("GANGWAY_IMAGES", raising=False)
    ignore = shutil.ignore_patterns("__pycache__", "local.env", "node_modules", ".next")
    for name in ("env", "docker", "scripts", "secrets/dev", "stacks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for path in ROOT.glob("docker-compose*.yml"):
        if "override" not in path.name:
            shutil.copy(path, tmp_path)
    return tmp_path


def jobs(root: Path) -> Stack:
    return opened(root, "jobs")


def models(root: Path) -> dict[str, Mapping[str, Any]]:
    stack = jobs(root)
    names = [each.name for each in stack.environments]
    return dict(zip(names, stack.models(), strict=False))


def texts(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / JOBS).iterdir())}


def worker(stack: Stack) -> Addition:
    return program(stack, Beside("second", "celery -A jobs worker"))


def beat(stack: Stack) -> Addition:
    return program(stack, Beside("beat", "celery -A jobs beat", alone=True))


def cron(stack: Stack) -> Addition:
    return program(stack, Beside("nightly", "python manage.py clearsessions", "0 3 * * *"))


def mail(stack: Stack) -> Addition:
    return container(stack, "mail", "mail:1.0", 8025)


@pytest.mark.parametrize("make", [worker, beat, cron, mail])
def test_every_environment_is_rendered_with_it_and_nothing_else_changes(
    root: Path, make: Any
) -> None:
    before = models(root)
    addition = make(jobs(root))
    add(jobs(root), addition)
    after = models(root)
    assert {"dev", "test", "prod"} <= set(after)
    for name, services in after.items():
        assert set(services) == {*before[name], addition.name}
        assert services[addition.name]["profiles"] == [addition.name]
        changed = [each for each in before[name] if services[each] != before[name][each]]
        assert set(changed) <= {"test-runner"}
    assert jobs(root).faults() == []


def test_a_program_has_the_image_secrets_and_sources_of_the_api_and_no_port(root: Path) -> None:
    add(jobs(root), worker(jobs(root)))
    for services in models(root).values():
        api, own = services["api"], services["second"]
        for key in ("image", "secrets", "volumes", "user"):
            assert own.get(key) == api.get(key), key
        assert not own.get("ports")
        assert own["environment"]["APP_INTERFACE"] == "program"
        assert own["environment"]["APP_TARGET"] == "celery -A jobs worker"
        assert own["healthcheck"]["test"] == ["CMD", "healthcheck", "heartbeat", "30"]


def test_what_a_program_runs_is_a_fact_of_the_stack(root: Path) -> None:
    add(jobs(root), worker(jobs(root)))
    text = (root / JOBS / "stack.env").read_text()
    assert text.endswith("\n# What the second runs\nSECOND_COMMAND='celery -A jobs worker'\n")
    assert "\nCOMPOSE_PROFILES=database,api,worker,second\n" in text


def test_there_is_only_one_beat(root: Path) -> None:
    add(jobs(root), beat(jobs(root)))
    assert {each["beat"]["deploy"]["replicas"] for each in models(root).values()} == {1}
    assert "BEAT_REPLICAS" not in (root / JOBS / "contract.yml").read_text()


def test_what_has_no_heartbeat_of_its_own_has_no_health_check(root: Path) -> None:
    add(jobs(root), program(jobs(root), Beside("mailer", "python -m mailer")))
    assert models(root)["prod"]["mailer"]["healthcheck"] == {"disable": True}
    assert "heartbeat every few seconds" in (root / JOBS / "compose.yml").read_text()


def test_a_second_worker_or_a_beat_runs_what_the_first_one_says(root: Path) -> None:
    with pytest.raises(GangwayError, match="--command 'celery -A jobs worker"):
        celery(jobs(root), "worker")
    add(jobs(root), program(jobs(root), Beside("second", "celery -A jobs worker --queues=a,b")))
    assert celery(jobs(root), "worker") == "celery -A jobs worker --queues=a,b"
    assert celery(jobs(root), "beat") == "celery -A jobs beat"


def test_a_cron_line_is_one_with_its_schedule_as_a_fact(root: Path) -> None:
    add(jobs(root), cron(jobs(root)))
    for services in models(root).values():
        own = services["nightly"]
        assert own["environment"]["APP_INTERFACE"] == "cron"
        assert own["environment"]["APP_SCHEDULE"] == "0 3 * * *"
        assert own["environment"]["APP_TARGET"] == "python manage.py clearsessions"
        assert own["deploy"]["replicas"] == 1


@pytest.mark.parametrize("text", ["0 3 * * *", "*/5 0-6,12 1 1-12/2 0", "  59 23 31 12 7 "])
def test_a_schedule_is_a_line_of_cron(text: str) -> None:
    assert schedule(text) == " ".join(text.split())


@pytest.mark.parametrize(
    "text", ["", "@daily", "* * * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *"]
)
def test_what_cron_does_not_take_is_refused(text: str) -> None:
    with pytest.raises(GangwayError, match="is no schedule"):
        schedule(text)


def test_a_container_publishes_its_port_in_development_alone(root: Path) -> None:
    add(jobs(root), mail(jobs(root)))
    after = models(root)
    (port,) = after["dev"]["mail"]["ports"]
    assert (port["target"], port["published"], port["host_ip"]) == (8025, "8025", "127.0.0.1")
    assert not after["test"]["mail"].get("ports") and not after["prod"]["mail"].get("ports")
    assert "mail" in after["test"]["test-runner"]["depends_on"]


def test_a_port_that_development_or_the_tests_have_moves_to_the_next(root: Path) -> None:
    add(jobs(root), container(jobs(root), "search", "search:1.0", 8000))
    (port,) = models(root)["dev"]["search"]["ports"]
    assert (port["target"], port["published"]) == (8000, "8002")


def test_a_container_is_left_out_where_there_are_none(root: Path) -> None:
    add(jobs(root), mail(jobs(root)))
    assert "STACK_NATIVE=stacks/jobs/native.yml" in (root / JOBS / "stack.env").read_text()
    native = jobs(root).models()[-1]
    assert native["mail"]["profiles"] == ["containers-only"]


def test_the_users_text_stays_and_comes_first(root: Path) -> None:
    before = texts(root)
    add(jobs(root), worker(jobs(root)))
    after = texts(root)
    assert set(after) == set(before)
    for name in ("compose.yml", "dev.yml", "contract.yml"):
        assert after[name].startswith(before[name])


def test_several_are_added_one_after_the_other(root: Path) -> None:
    for make in (worker, beat, mail):
        add(jobs(root), make(jobs(root)))
    assert {"second", "beat", "mail"} <= set(models(root)["prod"])


def test_a_dry_run_prints_the_difference_and_writes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = texts(root)
    add(jobs(root), worker(jobs(root)), dry_run=True)
    assert texts(root) == before
    said = capsys.readouterr().out
    assert "--- stacks/jobs/compose.yml\n" in said
    assert "\n+  second:\n" in said
    assert "\n+COMPOSE_PROFILES=database,api,worker,second\n" in said


def test_it_says_what_starts_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(jobs(root), worker(jobs(root)))
    assert "start it: invoke dev.up --stack jobs second\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("worker", "the jobs stack has a worker already"),
        ("postgres", "the jobs stack has a postgres already"),
        ("django", "DJANGO_COMMAND is a variable already (Another)"),
        ("Worker", "can't be a service's name"),
        ("2nd", "can't be a service's name"),
        ("a b", "can't be a service's name"),
        ("w", "can't be a service's name"),
        ("a.b", "can't be a service's name"),
    ],
)
def test_a_name_that_is_there_or_that_compose_refuses_changes_nothing(
    root: Path, name: str, message: str
) -> None:
    if name == "django":
        (root / "stacks/hybrid/contract.yml").write_text(
            "groups:\n  h:\n    DJANGO_COMMAND: {type: string, meaning: Another}\n"
        )
    before = texts(root)
    with pytest.raises(GangwayError) as caught:
        add(jobs(root), program(jobs(root), Beside(name, "celery")))
    assert message in str(caught.value)
    assert texts(root) == before


def test_what_compose_refuses_is_said_and_nothing_is_written(root: Path) -> None:
    before = texts(root)
    wrong = container(jobs(root), "mail", "mail:1.0")
    broken = [*wrong.entries, adding.Entry("prod.yml", ("services", "mail"), "ports: nonsense")]
    with pytest.raises(GangwayError, match=r"(?s)nothing was added:.*can't be merged"):
        add(jobs(root), Addition("mail", broken, wrong.settings, wrong.specs))
    assert texts(root) == before


def test_what_the_contract_refuses_is_said_and_nothing_is_written(root: Path) -> None:
    before = texts(root)
    wrong = mail(jobs(root))
    settings = {"MAIL_FROM": ("a", "No contract has it")}
    with pytest.raises(GangwayError, match="MAIL_FROM is not a known variable"):
        add(jobs(root), Addition("mail", wrong.entries, settings, wrong.specs))
    assert texts(root) == before


def test_an_image_without_a_version_is_refused(root: Path) -> None:
    with pytest.raises(GangwayError, match="--image registry:5000/mail:VERSION"):
        container(jobs(root), "mail", "registry:5000/mail")


def test_the_stack_that_all_begin_with_stays_as_it_is(root: Path) -> None:
    with pytest.raises(GangwayError) as caught:
        opened(root)
    assert "--stack jobs" in str(caught.value)
