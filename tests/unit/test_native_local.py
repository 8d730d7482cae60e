"""The model's services as they are on this machine, computed from Compose's own output."""

from __future__ import annotations

from typing import Any

import pytest

from gangway.engines.native.local import local_words, localized
from gangway.model.model import Model, unescaped

HERE = "/home/me/check out"
RAW: dict[str, Any] = {
    "name": "gangway-dev",
    "services": {
        "api": {
            "environment": {"APP_PORT": "8000"},
            "ports": [{"host_ip": "127.0.0.1", "published": "18000", "target": 8000}],
        },
        # No port on this machine.
        "worker": {"environment": {"APP_PORT": "9000"}},
    },
    "secrets": {
        "postgres_password": {"file": f"{HERE}/secrets/dev/postgres_password"},
        "index_url": {"environment": "BUILD_INDEX_URL"},
    },
    "configs": {
        "redis": {"file": f"{HERE}/scripts/redis"},
        "schemas": {"file": f"{HERE}/stacks/mail/initdb.d/01-schemas.sql"},
        "privileges": {"file": f"{HERE}/stacks/mail/initdb.d/02-privileges.sql"},
        "inline": {"content": "here"},
    },
}
MOUNTS = {
    "volumes": [
        {"type": "bind", "source": f"{HERE}/apps/api", "target": "/srv/app"},
        {"type": "volume", "source": "data", "target": "/var/lib/data"},
    ],
    "secrets": [{"source": "postgres_password"}, {"source": "index_url"}],
    "configs": [
        {"source": "redis", "target": "/etc/gangway/redis"},
        {"source": "schemas", "target": "/etc/initdb.d/01-schemas.sql"},
        {"source": "privileges", "target": "/etc/initdb.d/02-privileges.sql"},
        {"source": "inline", "target": "/etc/inline"},
    ],
}


def local(service: dict[str, Any], name: str = "mail") -> dict[str, Any]:
    """Return a service as it is on this machine, beside those of RAW."""
    return localized(Model({**RAW, "services": {**RAW["services"], name: service}}))[name]


def value(text: str | None) -> str | None:
    """Return a variable's value as it is on this machine, for a service with all mounts."""
    found: str | None = local({**MOUNTS, "environment": {"X": text}})["environment"]["X"]
    return found


@pytest.mark.parametrize(
    ("inside", "here"),
    [
        ("/srv/app", f"{HERE}/apps/api"),
        ("/srv/app/deep/er.py", f"{HERE}/apps/api/deep/er.py"),
        ("/run/secrets/postgres_password", f"{HERE}/secrets/dev/postgres_password"),
        ("/etc/gangway/redis", f"{HERE}/scripts/redis"),
        ("/etc/initdb.d/02-privileges.sql", f"{HERE}/stacks/mail/initdb.d/02-privileges.sql"),
        ("/etc/initdb.d", f"{HERE}/stacks/mail/initdb.d"),
    ],
)
def test_a_path_where_something_is_mounted_is_that_file_or_folder(inside: str, here: str) -> None:
    assert value(inside) == here


@pytest.mark.parametrize(
    "text",
    [
        "/srv/application", "/srv", "srv/app", "see /srv/app", "/var/lib/data", "/etc/inline",
        "/run/secrets/index_url", "/etc", "/", "", None,
    ],
)  # fmt: skip
def test_what_is_no_such_path_stays(text: str | None) -> None:
    assert value(text) == text


def test_a_config_that_names_no_place_is_mounted_at_the_top() -> None:
    service = {"configs": [{"source": "redis"}], "environment": {"X": "/redis"}}
    assert local(service)["environment"]["X"] == f"{HERE}/scripts/redis"


def test_a_dollar_sign_in_the_checkout_s_path_is_one() -> None:
    raw = {
        "name": "x",
        "services": {
            "mail": {
                "secrets": [{"source": "key", "target": "/run/secrets/key"}],
                "environment": {"X": "/run/secrets/key"},
            }
        },
        # As Compose writes it.
        "secrets": {"key": {"file": "/home/a$$b/secrets/dev/key"}},
    }
    assert localized(Model(raw))["mail"]["environment"]["X"] == "/home/a$b/secrets/dev/key"


def test_a_secret_may_be_mounted_elsewhere() -> None:
    mounts = [{"source": "postgres_password", "target": "/etc/password"}]
    service = {"secrets": mounts, "environment": {"X": "/etc/password"}}
    assert local(service)["environment"]["X"] == f"{HERE}/secrets/dev/postgres_password"


def test_a_file_that_is_mounted_under_another_name_makes_no_folder() -> None:
    service = {
        "configs": [{"source": "redis", "target": "/etc/tools/tool"}],
        "environment": {"X": "/etc/tools"},
    }
    assert local(service)["environment"]["X"] == "/etc/tools"


def test_paths_in_entrypoint_command_and_health_check_are_this_machine_s() -> None:
    found = local(
        {
            **MOUNTS,
            "entrypoint": ["bash", "/etc/gangway/redis"],
            "command": ["serve", "/srv/app/x"],
            "healthcheck": {"test": ["CMD", "bash", "/etc/gangway/redis", "ping"], "retries": 3},
        }
    )
    assert found["entrypoint"] == ["bash", f"{HERE}/scripts/redis"]
    assert found["command"] == ["serve", f"{HERE}/apps/api/x"]
    test = ["CMD", "bash", f"{HERE}/scripts/redis", "ping"]
    assert found["healthcheck"] == {"test": test, "retries": 3}


def test_so_are_those_in_other_words_for_a_service() -> None:
    words = ["python", "/srv/app/one.py", "--all"]
    found = local_words(words, MOUNTS, Model(RAW))
    assert found == ["python", f"{HERE}/apps/api/one.py", "--all"]


def test_what_a_service_does_not_have_is_not_made_up() -> None:
    assert local({"image": "x"}) == {"image": "x", "environment": {}}


@pytest.mark.parametrize(
    ("inside", "here"),
    [
        ("http://api:8000", "http://127.0.0.1:18000"),
        ("http://api:8000/path?to=http://api:8000/", "http://127.0.0.1:18000/path?to=http://127.0.0.1:18000/"),
        ("postgresql://me:p%40ss@api:8000/db", "postgresql://me:p%40ss@127.0.0.1:18000/db"),
        ("redis://:pw@api:8000/0", "redis://:pw@127.0.0.1:18000/0"),
        ("http://api:8000,http://worker:9000", "http://127.0.0.1:18000,http://worker:9000"),
    ],
)  # fmt: skip
def test_a_url_of_a_service_is_where_its_port_is_published(inside: str, here: str) -> None:
    assert value(inside) == here


@pytest.mark.parametrize(
    "text",
    [
        "http://worker:9000", "http://api:8001", "http://api", "http://api:80000",
        "http://api.example.com:8000", "http://example.com/api:8000", "http://me:api:8000@x:1/",
        "api:8000", "http://nobody:8000",
    ],
)  # fmt: skip
def test_an_address_that_is_published_nowhere_stays(text: str) -> None:
    assert value(text) == text


@pytest.mark.parametrize("variable", ["APP_PORT", "PORT"])
def test_a_service_listens_where_its_own_port_is_published(variable: str) -> None:
    found = local(
        {
            "environment": {variable: "8025"},
            "ports": [
                {"host_ip": "127.0.0.1", "published": "9999", "target": 25},
                {"host_ip": "127.0.0.2", "published": "18025", "target": 8025},
            ],
        }
    )
    assert found["environment"] == {variable: "18025", "APP_HOST": "127.0.0.2"}


def test_a_host_and_a_port_are_where_that_is_published() -> None:
    given = {"API_HOST": "api", "API_PORT": "8000", "OTHER_HOST": "api", "OTHER_PORT": "9"}
    environment = local({"environment": given})["environment"]
    assert environment == {**given, "API_HOST": "127.0.0.1", "API_PORT": "18000"}


def test_without_an_address_it_is_published_on_all_of_them() -> None:
    ports = [{"published": "18025", "target": 8025}]
    found = local({"environment": {"APP_PORT": 8025}, "ports": ports})
    assert found["environment"] == {"APP_PORT": "18025", "APP_HOST": "0.0.0.0"}


def test_a_service_that_publishes_nothing_is_left_alone() -> None:
    services = localized(Model(RAW))
    assert services["worker"] == RAW["services"]["worker"]


def test_a_port_that_only_another_service_publishes_is_not_its_own() -> None:
    assert local({"environment": {"APP_PORT": "8000"}})["environment"] == {"APP_PORT": "8000"}


def test_compose_s_escapes_are_undone_everywhere() -> None:
    hard = """p$a $$b ${HOME} 'q' "d" \\"""
    escaped = hard.replace("$", "$$")
    node = {"a": [escaped, {"b": escaped}], "n": 1, "none": None, "yes": True}
    assert unescaped(node) == {"a": [hard, {"b": hard}], "n": 1, "none": None, "yes": True}


def test_so_are_those_of_a_service() -> None:
    found = local({**MOUNTS, "environment": {"X": "a$$b $${C}"}, "command": ["echo", "$$1"]})
    assert found["environment"]["X"] == "a$b ${C}"
    assert found["command"] == ["echo", "$1"]


def test_the_model_itself_stays_as_it_is() -> None:
    service = {"environment": {"APP_PORT": "8000", "X": "http://api:8000"}}
    local(service, name="api")
    assert service == {"environment": {"APP_PORT": "8000", "X": "http://api:8000"}}
