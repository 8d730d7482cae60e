"""Every rendered model keeps the rules, and every rule notices when a model does not."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from gangway.settings import contract
from tests.policy.rendering import BASE_ALONE, Case, cases, loaded, render
from tests.policy.rules import RULES, Rule, Subject
from tests.unit.conftest import ROOT

CONTRACT = contract.load(ROOT)
CASES = [*cases(), BASE_ALONE]
GONE = object()


def subject(case: Case) -> Subject:
    return Subject(render(case), case.kind, CONTRACT, case.images)


@pytest.mark.parametrize(
    ("case", "rule"),
    [(case, rule) for case in CASES for rule in RULES.values() if case.kind in rule.kinds],
    ids=str,
)
def test_a_rendered_model_keeps_the_rule(case: Case, rule: Rule) -> None:
    assert list(rule.complaints(subject(case))) == []


def test_the_rules_see_every_kind_of_environment_and_the_services_that_they_are_about() -> None:
    assert {case.kind for case in CASES} == {"dev", "test", "prod"}
    for case in CASES:
        # A service's profile has its own name, but the database's.
        found, asked = subject(case), set(loaded(case).profiles) - {"database"}
        assert asked and "migrate" in found.apps and asked & set(found.apps), case
        assert set(found.long_running) >= {"postgres", "redis"} | asked, case


def port(target: int, host: str = "127.0.0.1") -> dict[str, Any]:
    return {"target": target, "published": str(target), "host_ip": host, "protocol": "tcp"}


def bind(source: str, target: str) -> dict[str, str]:
    return {"type": "bind", "source": source, "target": target}


# For each rule: a change of a sound model (environment, path, value), and what the rule then says.
BREACHES: dict[str, list[tuple[str, str, object, str]]] = {
    "only_the_proxy_publishes_a_port": [
        ("prod", "postgres.ports", [port(5432)], "postgres publishes [5432]"),
    ],
    "data_stores_are_on_internal_networks_only": [
        ("prod", ".networks.data.internal", GONE, "postgres is on data, which is not internal"),
        ("prod", "redis.networks.front", None, "redis is on front, which is not internal"),
        ("prod", "redis.networks", GONE, "redis is on default, which is not internal"),
    ],
    "the_proxy_does_not_reach_the_data_stores": [
        ("prod", "nginx.networks.data", None, "nginx and postgres are both on data"),
    ],
    "apps_reach_nothing_outside": [
        ("prod", "api.networks.front", None, "api is on front, which has a way out"),
        ("prod", ".networks.web-none.internal", GONE, "api is on web-none, which has a way out"),
        ("prod", ".networks.web-none.driver_opts", GONE,
         "api is on web-none, on which the host answers"),
        ("prod", ".networks.data.driver_opts", GONE,
         "postgres is on data, on which the host answers"),
    ],
    "nothing_of_the_host_is_mounted": [
        ("prod", "api.volumes", [bind("/home/me/data", "/data")],
         "api mounts /home/me/data of the host"),
        ("prod", ".configs.redis", {"file": "/home/me/redis"},
         "redis mounts /home/me/redis as the config redis"),
        ("prod", ".configs.redis", {"file": "/srv/checkout/apps/scripts/redis"},
         "redis mounts /srv/checkout/apps/scripts/redis as the config redis"),
    ],
    "nothing_lies_over_the_source_in_the_image": [
        ("prod", "api.volumes", [{"type": "volume", "source": "code", "target": "/srv/app"}],
         "api mounts something on /srv/app"),
    ],
    "images_are_built_for_production": [
        ("prod", "api.build.target", "development", "api is built for development"),
        ("prod", "api.build.target", GONE, "api is built for None"),
    ],
    "apps_know_that_it_is_production": [
        ("prod", "api.environment.ENVIRONMENT", "development", "api has ENVIRONMENT=development"),
        ("prod", "app.environment.RELOAD", "1", "app reloads when its source changes"),
    ],
    "no_secret_is_in_an_environment": [
        ("prod", "api.environment.POSTGRES_PASSWORD", "4aJx0pLqT7vZ",
         "api has POSTGRES_PASSWORD in its environment"),
        ("staging", "api.environment.STRIPE_API_KEY", "sk_live_1",
         "api has STRIPE_API_KEY in its environment"),
        ("prod", "app.environment.COOKIES", "changeme", "app has a default secret as COOKIES"),
        ("prod", "api.environment.SOMEWHERE_ELSE", "postgresql://gangway:pw@postgres/gangway",
         "api has a password within SOMEWHERE_ELSE"),
    ],
    "secrets_are_files_of_the_secrets_directory": [
        ("prod", ".secrets.postgres_password", {"environment": "POSTGRES_PASSWORD"},
         "postgres gets the secret postgres_password from no"),
    ],
    "users_are_set_and_not_root": [
        ("prod", "api.user", "0:0", "api runs as 0:0"),
        ("prod", "api.user", "10001:0", "api runs as 10001:0"),
        ("prod", "redis.user", GONE, "redis runs as whom the image says"),
        ("prod", "redis.user", "redis", "redis runs as redis"),
    ],
    "file_systems_are_read_only": [
        ("prod", "nginx.read_only", GONE, "nginx can write to its file system"),
    ],
    "capabilities_are_dropped": [
        ("prod", "app.cap_drop", GONE, "app drops no capability"),
        ("prod", "nginx.cap_add", ["NET_BIND_SERVICE"], "nginx adds"),
    ],
    "no_new_privileges_can_be_got": [
        ("prod", "scheduler.security_opt", GONE, "scheduler can get new privileges"),
    ],
    "no_container_shares_with_the_host": [
        ("dev", "api.privileged", True, "api is privileged"),
        ("dev", "api.network_mode", "host", "api has the host's network_mode"),
        ("test", "api.volumes", [bind("/var/run/docker.sock", "/var/run/docker.sock")],
         "api mounts /var/run/docker.sock"),
    ],
    "limits_are_set": [
        ("prod", "api.deploy.resources.limits.cpus", 0, "api has no limit of cpus"),
        ("prod", "migrate.deploy", GONE, "migrate has no limit of memory"),
        ("prod", "redis.deploy.resources.limits.pids", GONE, "redis has no limit of pids"),
    ],
    "what_stops_is_started_again": [
        ("prod", "api.restart", "no", "api has restart: no"),
    ],
    "services_have_a_health_check_that_probes_at_once": [
        ("dev", "scheduler.healthcheck", GONE, "scheduler has no health check"),
        ("dev", "api.healthcheck.disable", True, "api has no health check"),
        ("dev", "api.healthcheck.start_interval", GONE, "api is probed every interval"),
        ("dev", "api.healthcheck.start_interval", "1m0s", "api is probed every 1m0s"),
        ("dev", "api.healthcheck.start_period", GONE, "api has no start_period"),
    ],
    "health_checks_probe_something_at_little_cost": [
        ("test", "api.healthcheck.test", ["CMD", "true"], "always passes: true"),
        ("test", "api.healthcheck.test", ["CMD-SHELL", "exit 0"], "always passes: exit 0"),
        ("test", "api.healthcheck.test", ["NONE"], "always passes: NONE"),
        ("test", "api.healthcheck.test", ["CMD", "curl", "-f", "http://localhost"], "starts curl"),
        ("test", "api.healthcheck.test", ["CMD-SHELL", "exec /usr/bin/python3 -c pass"],
         "starts python3"),
    ],
    "apps_have_an_init_that_passes_signals_on": [
        ("dev", "api.init", GONE, "api has no init"),
    ],
    "what_needs_the_database_waits_for_its_migration": [
        ("test", "app.depends_on.migrate.condition", "service_started",
         "app does not wait for migrate"),
        ("test", "migrate.command", ["alembic", "upgrade", "head"],
         "migrate does not start after postgres to wait"),
        ("test", "migrate.depends_on", GONE, "api has POSTGRES_HOST and does not wait"),
    ],
    "what_uses_redis_waits_for_it": [
        ("dev", "api.depends_on.redis", GONE, "api does not wait for redis"),
    ],
    "redis_loses_no_job": [
        ("dev", "api.environment",
         {"REDIS_HOST": "redis", "APP_INTERFACE": "command", "APP_TARGET": "shop.worker"},
         "api takes its jobs from Redis, which lets any key go"),
    ],
    "the_proxy_waits_for_what_it_passes_on_to": [
        ("prod", "nginx.depends_on.app", GONE, "nginx does not wait for app"),
    ],
    "what_is_behind_the_proxy_believes_it": [
        ("prod", "app.environment.FORWARDED_ALLOW_IPS", GONE, "app takes everybody"),
        ("prod", "api.environment.FORWARDED_ALLOW_IPS", "", "api takes everybody"),
    ],
    "only_what_may_be_there_twice_starts_beside_its_predecessor": [
        ("prod", "scheduler.deploy.update_config", {"order": "start-first"},
         "scheduler would do everything twice"),
        ("test", "app.environment.APP_TARGET", "celery -A shop worker -B",
         "app would do everything twice"),
        ("dev", "postgres.deploy.update_config", {"order": "start-first"},
         "postgres would share its data in postgres-data"),
        ("prod", "nginx.deploy.update_config", {"order": "start-first"},
         "nginx would find its port taken"),
    ],
    "what_is_behind_the_proxy_starts_beside_its_predecessor": [
        ("prod", "api.deploy.update_config", GONE, "api is stopped before its successor answers"),
        ("prod", "app.deploy.update_config.order", "stop-first",
         "app is stopped before its successor answers"),
    ],
    "logs_are_rotated": [
        ("dev", "migrate.logging", GONE, "migrate logs to None"),
        ("dev", "api.logging.options.max-size", GONE, "api has no max-size"),
    ],
    "images_are_pinned": [
        ("prod", "postgres.image", "postgres:latest", "does not state its version"),
        ("prod", "redis.image", "registry.example:5000/valkey", "does not state its version"),
        ("prod", "redis.image", "valkey/valkey:9", "does not state its version"),
        ("dev", "api.build.args.PYTHON_IMAGE", "python:3-slim", "does not state its version"),
        ("dev", "api.build.args.PYTHON_IMAGE", GONE, "does not say what its image is based on"),
        ("prod", "api.image", "gangway-api", "names the image that is built gangway-api"),
        ("prod", "postgres.image", "gangway.local/postgres:18.1", "with the images of registry"),
    ],
    "no_container_has_a_fixed_name": [
        ("dev", "postgres.container_name", "db", "postgres has container_name: db"),
    ],
    "ports_are_bound_to_this_machine": [
        ("dev", "postgres.ports", [port(5432, "0.0.0.0")], "postgres publishes 5432 on 0.0.0.0"),
    ],
    "merging_repeats_nothing": [
        ("dev", "api.ports", [port(8000), port(8000)], "api has the port 8000 more than once"),
        ("prod", "postgres.tmpfs", ["/var/lib/postgresql"],
         "postgres has the mount point /var/lib/postgresql more than once"),
    ],
    "data_outlives_a_power_cut": [
        ("dev", "postgres.command", ["postgres", "-c", "fsync=off"], "postgres has fsync=off"),
        ("prod", "postgres.environment.POSTGRES_INITDB_ARGS", "--no-sync",
         "postgres has --no-sync"),
        ("prod", "postgres.volumes", GONE, "postgres keeps its data in the container"),
    ],
    "tests_keep_nothing": [
        ("test", ".volumes", {"postgres-data": {}}, "there are volumes: postgres-data"),
        ("test", "postgres.tmpfs", GONE, "postgres keeps its data in the container"),
        ("test", "postgres.command", GONE, "postgres waits for the disk"),
    ],
}  # fmt: skip


def broken(model: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy of the model with another value at the path, or without what is there.

    A path starts at the services, or at the model where it starts with a dot.
    """
    changed = copy.deepcopy(model)
    node = changed if path.startswith(".") else changed["services"]
    *parents, last = path.removeprefix(".").split(".")
    for key in parents:
        node = node[key]
    if value is GONE:
        del node[last]
    else:
        node[last] = value
    return changed


@pytest.mark.parametrize(
    ("rule", "breach"),
    [
        pytest.param(RULES[name], breach, id=f"{name}-{breach[1]}")
        for name, breaches in BREACHES.items()
        for breach in breaches
    ],
)
def test_the_rule_notices(rule: Rule, breach: tuple[str, str, object, str]) -> None:
    name, path, value, expected = breach
    sound = subject(Case(name))
    assert sound.kind in rule.kinds
    faulty = replace(sound, raw=broken(render(Case(name)), path, value))
    assert any(expected in complaint for complaint in rule.complaints(faulty))


def test_every_rule_is_shown_to_notice_something() -> None:
    assert set(BREACHES) == set(RULES)
