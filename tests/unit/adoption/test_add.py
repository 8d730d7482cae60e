"""One service more in a stack: put into its files as text, and rendered by the real Compose."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Added:
    """A stack that four services were added to, one after the other."""

    root: Path
    before: Mapping[str, Mapping[str, Any]]
    after: Mapping[str, Mapping[str, Any]]
    texts: Mapping[str, bytes]

    def each(self, service: str) -> list[Mapping[str, Any]]:
        return [services[service] for services in self.after.values()]

    def text(self, name: str) -> str:
        return (self.root / JOBS / name).read_text()


def copy(root: Path) -> Path:
    """Copy what the stacks of this checkout are made of."""
    if not compose_programs():
        pytest.skip("no Compose here")
    ignore = shutil.ignore_patterns("__pycache__", "local.env", "node_modules", ".next")
    for name in ("docker/tls", "env", "secrets/dev", "secrets/test", "stacks"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for path in ROOT.glob("docker-compose*.yml"):
        if "override" not in path.name:
            shutil.copy(path, root)
    return root


@pytest.fixture(autouse=True, scope="module")
def own_images() -> Iterator[None]:
    """Have the stacks' own images, whatever the shell says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GANGWAY_IMAGES", raising=False)
        yield


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Added:
    root = copy(tmp_path_factory.mktemp("added"))
    before, before_texts = models(root), texts(root)
    for make in MAKERS.values():
        add(jobs(root), make(jobs(root)))
    return Added(root, before, models(root), before_texts)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """This checkout's own files, where its sample stacks may be changed."""
    return copy(tmp_path)


def jobs(root: Path) -> Stack:
    return opened(root, "jobs")


def models(root: Path) -> dict[str, Mapping[str, Any]]:
    stack = jobs(root)
    names = [each.name for each in stack.environments]
    names += [f"{each.name}, natively" for each in stack.native_ones]
    return dict(zip(names, stack.models(), strict=True))


def texts(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / JOBS).iterdir())}


MAKERS: Mapping[str, Callable[[Stack], Addition]] = {
    "second": lambda stack: program(stack, Beside("second", "celery -A jobs worker")),
    "beat": lambda stack: program(stack, Beside("beat", celery(stack, "beat"), alone=True)),
    "nightly": lambda stack: program(stack, Beside("nightly", "python -m x", "0 3 * * *")),
    "mail": lambda stack: container(stack, "mail", "mail:1.0", 8025),
}


def test_every_environment_is_rendered_with_them_and_nothing_else_changes(added: Added) -> None:
    assert {"dev", "test", "prod", "dev, natively"} <= set(added.after)
    for name, services in added.after.items():
        before = added.before[name]
        assert set(services) == {*before, *MAKERS}
        changed = {each for each in before if services[each] != before[each]}
        assert changed <= {"test-runner"}
    assert jobs(added.root).faults() == []


def test_each_has_a_profile_of_its_own_that_is_on(added: Added) -> None:
    for name in MAKERS:
        assert added.after["prod"][name]["profiles"] == [name]
    assert f"=database,api,worker,{','.join(MAKERS)}\n" in added.text("stack.env")


@pytest.mark.parametrize("name", ["second", "beat", "nightly"])
def test_a_program_has_the_image_secrets_and_sources_of_the_api_and_no_port(
    added: Added, name: str
) -> None:
    for own, api in zip(added.each(name), added.each("api"), strict=True):
        for key in ("image", "secrets", "volumes", "user"):
            assert own.get(key) == api.get(key), key
        assert not own.get("ports")


def test_what_a_program_runs_is_a_fact_of_the_stack(added: Added) -> None:
    for own in added.each("second"):
        assert own["environment"]["APP_INTERFACE"] == "program"
        assert own["environment"]["APP_TARGET"] == "celery -A jobs worker"
    fact = "\n# What the second runs\nSECOND_COMMAND='celery -A jobs worker'\n"
    assert fact in added.text("stack.env")


def test_a_heartbeat_is_wanted_of_what_has_one(added: Added) -> None:
    beats = ["CMD", "healthcheck", "heartbeat", "30"]
    for name in ("second", "beat", "nightly"):
        assert [own["healthcheck"]["test"] for own in added.each(name)] == [beats] * len(
            added.after
        )
    other = program(jobs(added.root), Beside("mailer", "python -m mailer"))
    assert "healthcheck: !override {disable: true}\n" in other.entries[0].text


def test_there_is_one_beat_and_one_of_what_cron_starts(added: Added) -> None:
    for name in ("beat", "nightly"):
        assert {own["deploy"]["replicas"] for own in added.each(name)} == {1}
        orders = {own["deploy"]["update_config"]["order"] for own in added.each(name)}
        assert orders == {"stop-first"}
    assert "BEAT_REPLICAS" not in added.text("contract.yml")


def test_a_beat_is_of_the_worker_that_is_there(added: Added) -> None:
    assert celery(jobs(added.root), "worker") == "celery -A jobs worker"
    assert added.after["prod"]["beat"]["environment"]["APP_TARGET"] == "celery -A jobs beat"


def test_a_cron_line_has_its_schedule_as_a_fact(added: Added) -> None:
    for own in added.each("nightly"):
        assert own["environment"]["APP_INTERFACE"] == "cron"
        assert own["environment"]["APP_TARGET"] == "0 3 * * * python -m x"
    assert "\nNIGHTLY_SCHEDULE='0 3 * * *'\n" in added.text("stack.env")


@pytest.mark.parametrize(
    "text", ["0 3 * * *", "*/5 0-6,12 1 1-12/2 0", " 59 23 31 dec mon-fri ", "@daily"]
)
def test_a_schedule_is_a_line_of_cron(text: str) -> None:
    assert schedule(text) == " ".join(text.split())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@often",
        "@daily x",
        "jan * * * *",
        "* * * *",
        "60 * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
    ],
)
def test_what_cron_does_not_take_is_refused(text: str) -> None:
    with pytest.raises(GangwayError, match="is no time"):
        schedule(text)


def test_a_container_publishes_its_port_in_development_alone(added: Added) -> None:
    for name, services in added.after.items():
        ports = [(each["published"], each["target"]) for each in services["mail"].get("ports", ())]
        assert ports == ([("8025", 8025)] if name.startswith("dev") else [])
    assert "mail" in added.after["test"]["test-runner"]["depends_on"]


def test_a_port_that_development_or_the_tests_have_moves_to_the_next(added: Added) -> None:
    search = container(jobs(added.root), "search", "search:1.0", 8000)
    assert dict(search.specs)["PUBLISHED_SEARCH_PORT"]["default"] == {"dev": 8002}


def test_a_container_is_left_out_where_there_are_none(added: Added) -> None:
    assert added.after["dev, natively"]["mail"]["profiles"] == ["containers-only"]


def test_the_users_text_stays_and_comes_first(added: Added) -> None:
    after = texts(added.root)
    for name in ("compose.yml", "dev.yml", "contract.yml"):
        assert after[name].startswith(added.texts[name])


def test_the_stack_must_say_how_a_worker_is_started(root: Path) -> None:
    with pytest.raises(GangwayError, match="--command 'celery -A jobs worker"):
        celery(jobs(root), "worker")


def test_a_dry_run_prints_the_difference_and_writes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = texts(root)
    add(jobs(root), MAKERS["second"](jobs(root)), dry_run=True)
    assert texts(root) == before
    said = capsys.readouterr().out
    assert "--- stacks/jobs/compose.yml\n" in said
    assert "\n+  second:\n" in said
    assert "\n+COMPOSE_PROFILES=database,api,worker,second\n" in said


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("worker", "the jobs stack has a worker already"),
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
    wrong = MAKERS["mail"](jobs(root))
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
