"""The stack of an adopted app: every model that Compose makes of it, and what a reader finds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gangway.model import model_cache
from gangway.operations.adoption import stack, writing
from gangway.operations.adoption.found import Foreign, Found, Program
from gangway.settings import contract, contract_check, environment, secrets
from tests.policy.rules import RULES, Subject
from tests.unit.adoption.repositories import (
    DJANGO,
    FASTAPI,
    FASTAPI_FILES,
    FOREIGN,
    SHAPES,
    adopted,
    plan,
    repository,
)
from tests.unit.conftest import compose_programs

PLAIN = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
# What an image that isn't ours may do, and look at, is its own.
OF_FOREIGN_IMAGES = {
    "users_are_set_and_not_root",
    "file_systems_are_read_only",
    "capabilities_are_dropped",
    "services_have_a_health_check_that_probes_at_once",
    "nothing_of_the_host_is_mounted",
}

Model = dict[str, Any]


@pytest.fixture(scope="module", params=SHAPES)
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one shape, adopted."""
    found, files = SHAPES[request.param]
    made = repository(tmp_path_factory.mktemp(request.param) / "theirs", files)
    adopted(made, found)
    return made


def adopt(tmp_path: Path, found: Found, files: Mapping[str, str] = FASTAPI_FILES) -> Path:
    root = repository(tmp_path / "theirs", files)
    adopted(root, found)
    return root


def loaded(root: Path, name: str, engine: str = "docker") -> environment.Environment:
    return environment.load(root, name, engine=engine, shell=PLAIN)


def rendered(
    root: Path, name: str, engine: str = "docker", compose: list[str] | None = None
) -> Model:
    """Return the model that Compose makes, all services included that are on or a task's."""
    here = loaded(root, name, engine)
    program = compose or next(iter(compose_programs().values()))
    profiles = [word for each in (*here.profiles, "test-runner") for word in ("--profile", each)]
    words = [*program, *here.env_files, *profiles, "config", "--format", "json"]
    done = subprocess.run(
        words, cwd=root, env=here.process_environment(), check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    # Natively, a stack needn't have a file of its own.
    unset = re.findall(r'"(\w+)\\?" variable is not set', done.stderr)
    assert set(unset) <= {"STACK_NATIVE"}
    model: Model = json.loads(done.stdout)
    return model


def test_every_environment_renders_with_every_compose(root: Path, compose: list[str]) -> None:
    for name in environment.environments(root):
        assert "api" in rendered(root, name, compose=compose)["services"]


def test_it_renders_without_containers(root: Path) -> None:
    for name in ("dev", "test"):
        services = rendered(root, name, "native")["services"]
        foreign = {"mail", "store", "search"}
        assert "api" in services and not foreign & set(services)


def test_the_contract_finds_nothing_to_mend(root: Path) -> None:
    known = contract.load(root)
    for name in environment.environments(root):
        here = loaded(root, name)
        if here.kind == "prod":
            secrets.init(root / here.get("SECRETS_DIR"), known.secret_files(here.stack))
        # What doesn't depend on who runs this.
        findings = contract_check.check(here, known, secrets=here.kind != "prod")
        assert [str(finding) for finding in findings] == []


@pytest.mark.parametrize("name", ["dev", "test", "prod", "staging"])
def test_the_models_keep_the_rules(root: Path, name: str) -> None:
    model = rendered(root, name)
    kind = loaded(root, name).kind
    foreign = {each.name for found, _ in SHAPES.values() for each in found.foreign}
    complaints = [
        f"{rule}: {complaint}"
        for rule in RULES.values()
        if kind in rule.kinds
        for complaint in rule.complaints(Subject(model, kind, contract.load(root)))
        if not (rule.name in OF_FOREIGN_IMAGES and complaint.split()[0].rstrip("'s") in foreign)
    ]
    assert complaints == []


def test_each_worker_imports_an_adopted_app_by_itself(tmp_path: Path) -> None:
    root = adopt(tmp_path, FASTAPI)
    assert rendered(root, "prod")["services"]["api"]["environment"]["APP_PRELOAD"] == "0"


def test_all_names_come_from_the_one_in_the_stacks_file(tmp_path: Path) -> None:
    root = adopt(tmp_path, FASTAPI)
    file = root / "stacks" / "shop" / "stack.env"
    file.write_text(file.read_text().replace("PROJECT=shop", "PROJECT=other"))
    assert [rendered(root, name)["name"] for name in ("dev", "test", "prod", "staging")] == [
        "other-dev", "other-test", "other-prod", "other-staging",
    ]  # fmt: skip


def test_the_stack_is_the_only_one_and_said_in_the_apps_own_words(tmp_path: Path) -> None:
    from gangway.operations import stacks

    root = adopt(tmp_path, DJANGO, SHAPES["django"][1])
    (only,) = stacks.load(root)
    assert (only.name, only.about) == (
        "book-shop", "A Django 5.2 site with Celery, locked by uv",
    )  # fmt: skip
    assert {"api", "worker", "beat", "broker", "migrate", "postgres", "redis"} <= set(only.services)


def test_an_app_without_anything_of_its_own_has_files_without_blocks(tmp_path: Path) -> None:
    root = adopt(tmp_path, FASTAPI)
    folder = root / "stacks" / "shop"
    assert {path.name for path in folder.iterdir()} == {
        "stack.env", "contract.yml", "compose.yml", "dev.yml", "test.yml", "prod.yml",
    }  # fmt: skip
    for name in ("compose.yml", "dev.yml", "test.yml", "prod.yml"):
        assert (folder / name).read_text().splitlines()[1:] in (
            ["services: {}"],
            ["", "services: {}"],
        )


def test_each_fact_stands_below_what_it_means(tmp_path: Path) -> None:
    root = adopt(tmp_path, FASTAPI)
    text = (root / "stacks" / "shop" / "stack.env").read_text()
    assert "# The port that it listens on\n" not in text
    assert (
        "# Folders that Python imports from as well, seen from the working directory, with colons "
        "between\nAPI_PYTHONPATH=src\n"
    ) in text
    assert max(map(len, text.splitlines())) <= 100 and "docs/" not in text


def test_the_apps_own_variables_reach_every_service_that_runs_it(tmp_path: Path) -> None:
    root = adopt(tmp_path, DJANGO, SHAPES["django"][1])
    for name, module in (("dev", "local"), ("test", "local"), ("prod", "production")):
        services = rendered(root, name)["services"]
        runner = ["test-runner"] if name == "test" else []
        for service in ("api", "migrate", "worker", "beat", *runner):
            got = services[service]["environment"]
            assert got["DJANGO_SETTINGS_MODULE"] == f"config.settings.{module}", service
            # A dollar sign is written so that it can be read again.
            assert got["MAIL_FROM"] == "Shop <a$$b@c.de>", service


def test_the_apps_secrets_are_files_and_handed_over(tmp_path: Path) -> None:
    root = adopt(tmp_path, DJANGO, SHAPES["django"][1])
    model = rendered(root, "prod")
    for name in ("api", "migrate", "worker", "beat"):
        service = model["services"][name]
        assert service["environment"]["STRIPE_KEY_FILE"] == "/run/secrets/stripe_key"
        assert {"stripe_key", "sentry_dsn"} <= {each["source"] for each in service["secrets"]}
        assert {"STRIPE_KEY", "SENTRY_DSN", "SECRET_KEY"} <= set(
            service["environment"]["APP_READS"].split()
        )
    assert model["secrets"]["stripe_key"]["file"].endswith("/secrets/prod/stripe_key")
    assert (root / "secrets" / "dev" / "stripe_key").read_text() == "sk_test_4711\n"
    assert (root / "secrets" / "test" / "sentry_dsn").read_text() == ""
    # One that every stack has is Gangway's.
    assert (root / "secrets" / "dev" / "secret_key").read_text() != "whatever\n"
    assert contract.load(root).variables["STRIPE_KEY"].insecure == {"sk_test_4711"}


def mounts(service: dict[str, Any]) -> set[tuple[str, str]]:
    return {(mount["source"], mount["target"]) for mount in service.get("volumes") or ()}


def test_a_program_is_the_api_with_another_command_and_no_port(tmp_path: Path) -> None:
    root = adopt(tmp_path, DJANGO, SHAPES["django"][1])
    for name in ("dev", "test", "prod"):
        services = rendered(root, name)["services"]
        worker, api = services["worker"], services["api"]
        assert worker["image"] == api["image"]
        assert worker["environment"]["APP_INTERFACE"] == "program"
        assert worker["environment"]["APP_TARGET"] == "celery -A config worker --loglevel=info"
        assert worker["healthcheck"]["test"] == ["CMD", "healthcheck", "heartbeat", "30"]
        assert not worker.get("ports")
        assert mounts(worker) == mounts(api)
        assert services["beat"]["deploy"]["replicas"] == 1
        order = {
            each: service.get("deploy", {}).get("update_config", {}).get("order")
            for each, service in services.items()
        }
        assert order["api"] == order["worker"] == "start-first"
        assert "start-first" not in (order["beat"], order["broker"], order["postgres"])


def test_a_program_may_have_a_name_that_is_taken(tmp_path: Path) -> None:
    root = adopt(tmp_path, replace(FASTAPI, programs=(Program("migrate", "rq worker"),)))
    services = rendered(root, "prod")["services"]
    assert services["migrate"]["command"] == ["migrate"]
    assert services["migrate-program"]["environment"]["APP_TARGET"] == "rq worker"


def test_a_queue_is_kept_where_nothing_makes_room(tmp_path: Path) -> None:
    root = adopt(tmp_path, DJANGO, SHAPES["django"][1])
    services = rendered(root, "prod")["services"]
    broker, redis = services["broker"], services["redis"]
    assert broker["image"] == redis["image"]
    assert broker["environment"]["REDIS_MAXMEMORY_POLICY"] == "noeviction"
    assert broker["environment"]["REDIS_APPENDONLY"] == "yes"
    assert redis["environment"]["REDIS_MAXMEMORY_POLICY"] == "allkeys-lru"
    assert [mount["source"] for mount in broker["volumes"]] == ["broker-data"]
    for name in ("api", "worker", "beat", "migrate"):
        assert services[name]["environment"]["BROKER_HOST"] == "broker"
    assert services["worker"]["depends_on"]["broker"]["condition"] == "service_healthy"
    assert "REDIS_APPENDONLY" not in rendered(adopt(tmp_path / "x", FASTAPI), "prod")["services"]


def test_the_proxy_shows_the_app_the_paths_that_it_has_alone(tmp_path: Path) -> None:
    keeps = rendered(adopt(tmp_path / "keeps", DJANGO, SHAPES["django"][1]), "prod")
    nginx = keeps["services"]["nginx"]["environment"]
    assert (nginx["PROXY_ROOT"], nginx["API_PREFIX"], nginx["API_MOUNT"]) == (
        "api:9000", "/api", "/api/",
    )  # fmt: skip
    strips = rendered(adopt(tmp_path / "strips", FOREIGN, SHAPES["foreign"][1]), "prod")
    nginx = strips["services"]["nginx"]["environment"]
    assert (nginx["API_PREFIX"], nginx["API_MOUNT"]) == ("/api", "/")


def test_a_foreign_service_stays_in_its_file_and_publishes_in_development_alone(
    tmp_path: Path,
) -> None:
    root = adopt(tmp_path, FOREIGN, SHAPES["foreign"][1])
    dev, test, prod = (rendered(root, name)["services"] for name in ("dev", "test", "prod"))
    assert dev["mail"]["image"] == "axllent/mailpit:v1.27"
    ports = [(each["target"], each["published"], each["host_ip"]) for each in dev["mail"]["ports"]]
    assert ports == [(8025, "8025", "127.0.0.1"), (1025, "1025", "127.0.0.1")]
    # 80 is no port for everybody, and the api has 8000.
    assert [each["published"] for each in dev["store"]["ports"]] == ["8080"]
    assert [each["published"] for each in dev["search"]["ports"]] == ["8001"]
    for services in (test, prod):
        assert not any(services[name].get("ports") for name in ("store", "search"))
    for name in ("mail", "store", "search"):
        assert "container_name" not in test[name]
        assert set(test[name]["networks"]) == {"data", "web-open"}
    assert set(test["search"]["depends_on"]) == {"store"}
    assert test["search"]["depends_on"]["store"]["condition"] == "service_healthy"
    assert "depends_on" not in test["mail"]


def test_what_developers_alone_have_is_not_in_production(tmp_path: Path) -> None:
    root = adopt(tmp_path, FOREIGN, SHAPES["foreign"][1])
    assert "mail" in rendered(root, "test")["services"]
    assert {"store", "search"} <= set(rendered(root, "prod")["services"])
    assert "mail" not in rendered(root, "prod")["services"]


def test_a_foreign_service_may_use_up_what_its_file_says(tmp_path: Path) -> None:
    root = adopt(tmp_path, FOREIGN, SHAPES["foreign"][1])
    services = rendered(root, "prod")["services"]
    limits = {name: services[name]["deploy"]["resources"]["limits"] for name in ("store", "search")}
    assert limits["store"]["memory"] == str(1 << 30) and limits["store"]["cpus"] == 0.5
    assert limits["search"]["memory"] == str(2 << 30)
    assert limits["search"]["pids"] == 200


def test_in_tests_a_foreign_service_keeps_nothing_and_has_its_settings(tmp_path: Path) -> None:
    root = adopt(tmp_path, FOREIGN, SHAPES["foreign"][1])
    services = rendered(root, "test")["services"]
    (mount,) = services["store"]["volumes"]
    assert (mount["type"], mount["source"]) == ("bind", str(root / "store.conf"))
    assert services["store"]["tmpfs"] == ["/data:mode=1777"]
    (mount,) = services["search"]["volumes"]
    assert mount["source"] == str(root / "search.conf")


def test_what_is_there_is_waited_for_where_it_is_on(tmp_path: Path) -> None:
    root = adopt(tmp_path, FOREIGN, SHAPES["foreign"][1])
    needs = rendered(root, "dev")["services"]["api"]["depends_on"]
    assert needs["store"]["condition"] == "service_healthy"
    assert needs["mail"]["condition"] == "service_started"
    native = rendered(root, "dev", "native")["services"]
    assert all(native["api"]["depends_on"][name]["required"] is False for name in ("mail", "store"))


def test_a_migration_that_isnt_there_is_said_to_be_none(tmp_path: Path) -> None:
    root = adopt(tmp_path, FOREIGN, SHAPES["foreign"][1])
    text = (root / "stacks" / "stock" / "stack.env").read_text()
    assert "\nMIGRATE_COMMAND=\n" in text and "\nSEED_COMMAND=\n" in text
    assert rendered(root, "dev")["services"]["migrate"]["environment"]["MIGRATE_COMMAND"] == ""


def test_what_migrates_is_read_ahead() -> None:
    assert "django" in stack.facts(DJANGO)["DB_IMPORTS"]
    assert "alembic" in stack.facts(FASTAPI)["DB_IMPORTS"]
    assert "DB_IMPORTS" not in stack.facts(FOREIGN)


def test_facts_of_the_users_own_stay_what_they_are() -> None:
    own = {"PROXY_ROOT": "mail:8025", "TEST_SOURCE": "tests", "API_MOUNT": "/v1/"}
    given = replace(FASTAPI, facts={**FASTAPI.facts, **own})
    assert own.items() <= stack.facts(given).items()


@pytest.mark.parametrize("shape", SHAPES)
def test_its_model_is_merged_once(shape: str, tmp_path: Path) -> None:
    found, files = SHAPES[shape]
    here = loaded(adopt(tmp_path, found, files), "dev")
    if not shutil.which("docker"):
        pytest.skip("no Compose plugin to tell a model by")
    argv = here.compose_command("config")
    assert model_cache.ingredients(here, argv) is not None


THEIRS = """services:
  web:
    build: .
    environment: {PASSWORD: "${DATABASE_PASSWORD?it must be set}"}
  mail:
    build: {context: images/mail}
    environment: {BASE: "${BASE}", FROM: "${FROM:-nobody}", TO: "$TO", PRICE: "$$5"}
    env_file: mail.env
    ports: ["8025:8025"]
    secrets: [key]
    configs: [{source: settings, target: /etc/mail.conf}]
    depends_on: [web]
    volumes: ["./mail.conf:/etc/mail.conf", "kept:/data"]
volumes: {kept: {name: everywhere, driver_opts: {type: tmpfs, device: tmpfs}}}
secrets: {key: {file: key.txt}}
configs: {settings: {file: mail.conf}}
"""
THERE = {
    **FASTAPI_FILES,
    ".env.example": "BASE=debian\nDATABASE_PASSWORD=\n",
    "deploy/docker-compose.yml": THEIRS,
}
MAIL = replace(FASTAPI, foreign=(Foreign("mail", "deploy/docker-compose.yml", (8025,), ("kept",)),))


def test_a_service_is_copied_where_its_file_needs_a_dot_env_of_its_own(tmp_path: Path) -> None:
    root = repository(tmp_path / "theirs", THERE)
    made = plan(root, MAIL)
    (loss,) = made.found.losses
    assert loss.what == "TO, of which mail is made, has no value here"
    writing.write(made, commit=False)
    mail = rendered(root, "test")["services"]["mail"]
    assert mail["environment"] == {"BASE": "debian", "FROM": "nobody", "TO": "", "PRICE": "$$5"}
    assert mail["build"]["context"] == str(root / "deploy" / "images" / "mail")
    assert [mount["source"] for mount in mail["volumes"]] == [str(root / "deploy" / "mail.conf")]
    text = (root / "stacks" / "shop" / "compose.yml").read_text()
    assert "extends" not in text and "8025" not in text


def test_what_a_service_refers_to_in_its_file_comes_along(tmp_path: Path) -> None:
    root = adopt(tmp_path, MAIL, THERE)
    model = rendered(root, "dev")
    assert model["secrets"]["key"]["file"] == str(root / "deploy" / "key.txt")
    assert model["configs"]["settings"]["file"] == str(root / "deploy" / "mail.conf")
    # Each environment has its own.
    assert model["volumes"]["kept"]["name"] == "shop-dev_kept"
    assert model["volumes"]["kept"]["driver_opts"] == {"type": "tmpfs", "device": "tmpfs"}


def test_a_private_env_file_is_read_by_nobody_here(tmp_path: Path) -> None:
    root = repository(tmp_path / "theirs", THERE)
    (root / ".env").write_text("TO=private@example.com\n")
    made = plan(root, MAIL)
    assert not [path for path, file in made.files.items() if "private@" in file.text]


def test_an_env_file_that_only_some_have_is_wanted_of_nobody(tmp_path: Path) -> None:
    theirs = "services:\n  mail: {image: 'mail:1.0', env_file: [.env]}\n"
    root = adopt(
        tmp_path,
        replace(FASTAPI, foreign=(Foreign("mail", "compose.yaml"),)),
        {**FASTAPI_FILES, "compose.yaml": theirs},
    )
    assert rendered(root, "dev")["services"]["mail"]["image"] == "mail:1.0"


def test_what_an_override_adds_is_for_developers(tmp_path: Path) -> None:
    theirs = "services:\n  tool: {image: 'tool:1.0'}\n"
    found = replace(FASTAPI, foreign=(Foreign("tool", "compose.override.yml"),))
    root = adopt(tmp_path, found, {**FASTAPI_FILES, "compose.override.yml": theirs})
    assert "tool" in rendered(root, "dev")["services"]
    assert "tool" not in rendered(root, "prod")["services"]
