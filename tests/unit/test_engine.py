"""What is read out of the engine's and Compose's answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangway.engines.docker.client import Client
from gangway.engines.docker.failure import compose_failed
from gangway.model.compose_version import MINIMUM, version
from gangway.model.model import Model, stop_order
from gangway.operations.inspect import addresses
from gangway.settings.environment import load

ROOT = Path(__file__).parents[2]

MODEL = Model(
    {
        "name": "x",
        "services": {
            "db": {"ports": [{"host_ip": "127.0.0.1", "published": "5433", "target": 5432}]},
            "migrate": {"depends_on": {"db": {"condition": "service_healthy"}}},
            "api": {
                "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
                "ports": [{"published": "8000", "target": 8000}, {"target": 9000}],
            },
            "tool": {"profiles": ["tools"], "ports": [{"published": "1", "target": 1}]},
        },
        "volumes": {"data": {"name": "x_data"}},
    }
)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("2.26.1-4", (2, 26, 1)), ("v2.24.4", (2, 24, 4)), ("5.6", (5, 6, 0)), ("dev", (0, 0, 0))],
)
def test_a_version_is_read_as_numbers(text: str, numbers: tuple[int, int, int]) -> None:
    assert version(text) == numbers


def test_the_least_compose_is_the_one_with_override_and_reset() -> None:
    assert version("2.24.3") < MINIMUM <= version("2.24.4")


def test_a_service_is_wanted_with_all_it_depends_on() -> None:
    assert MODEL.wanted(["api"]) == ["db", "migrate", "api"]
    assert MODEL.wanted(["db"]) == ["db"]


def test_what_others_wait_for_to_complete_is_a_one_shot() -> None:
    assert MODEL.one_shots() == {"migrate"}


def test_urls_name_what_the_host_can_reach() -> None:
    assert addresses(MODEL) == [
        ("api", "http://127.0.0.1:8000"),
        ("db", "postgresql://127.0.0.1:5433"),
    ]


def test_an_ipv6_address_is_in_brackets() -> None:
    port = {"target": 80, "published": "8080", "host_ip": "::1", "protocol": "tcp"}
    model = Model({"name": "x", "services": {"web": {"image": "x", "ports": [port]}}})
    assert addresses(model) == [("web", "http://[::1]:8080")]


# As the engine and Compose wrote it.
@pytest.mark.parametrize(
    ("said", "message", "fix"),
    [
        (
            "Error response from daemon: driver failed programming external connectivity on"
            " endpoint x (2f): Bind for 127.0.0.1:8000 failed: port is already allocated",
            "port 8000 is taken by",
            "PUBLISHED_API_PORT",
        ),
        (
            "Error response from daemon: driver failed programming external connectivity on"
            " endpoint x: Error starting userland proxy: listen tcp4 127.0.0.1:5432: bind:"
            " address already in use",
            "port 5432 is taken by",
            "--ports auto",
        ),
        (
            "#3 ERROR: failed to copy: write /var/lib/docker/tmp/x: no space left on device",
            "the disk is full",
            "docker system df",
        ),
        (
            "failed to solve: python:3.13-slim-trixie: failed to resolve source metadata for"
            " registry.example/python:3.13-slim-trixie: failed to do request: Head: dial tcp:"
            " lookup registry.example: no such host",
            "an image can't be pulled",
            "--images offline",
        ),
        (
            ' a Error Get "https://registry.example/v2/": dial tcp: no such host\n'
            'Error response from daemon: Get "https://registry.example/v2/": dial tcp: connect:'
            " connection refused",
            "an image can't be pulled (a): Error response from daemon: Get",
            "is the registry reachable?",
        ),
        (
            "Error response from daemon: pull access denied for shop, repository does not exist or"
            " may require 'docker login'",
            "an image can't be pulled: pull access denied for shop",
            "docker login",
        ),
        (
            "failed to solve: gangway.local/python:3.13: failed to resolve source metadata for"
            " gangway.local/python:3.13: failed to do request: Head: dial tcp: no such host",
            "an image can't be pulled",
            "it is made on this machine",
        ),
        # Compose looks for what it is going to build, too, and warns.
        (
            ' api Warning Get "https://registry.example/v2/": dial tcp: lookup: no such host\n'
            '#5 ERROR: process "/bin/sh -c false" did not complete successfully: exit code: 1\n'
            'failed to solve: process "/bin/sh -c false" did not complete: exit code: 1',
            "docker compose failed: failed to solve: process",
            "above",
        ),
        (
            "#18 [dependencies 3/3] RUN with-index install-dependencies\n"
            "#18 0.4 install-dependencies: warning: app/pyproject.toml was changed\n"
            "#18 0.5 install-dependencies: dkimpy has no wheel: API_FROM_SOURCE\n"
            '#18 ERROR: process "/bin/sh -c with-index" did not complete: exit code: 2\n'
            'failed to solve: process "/bin/sh -c with-index" did not complete: exit code: 2',
            "an image can't be built: dkimpy has no wheel: API_FROM_SOURCE",
            "",
        ),
        (
            ' api Warning Get "https://registry.example/v2/": dial tcp: lookup: no such host\n'
            'Error response from daemon: invalid mount config for type "bind": bind source path'
            " does not exist: /home/me/shop/secrets/prod/mail_key",
            "/home/me/shop/secrets/prod/mail_key isn't there",
            "a secret, a config or a volume",
        ),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker"
            " daemon running?",
            "no container engine answers",
            "start Docker",
        ),
        (
            'service "x" refers to undefined network y: invalid compose project',
            "refers to",
            "above",
        ),
    ],
)
def test_a_failed_start_is_told_by_its_cause(said: str, message: str, fix: str) -> None:
    shell = {"PATH": "/usr/bin:/bin"}
    # Whatever ports this checkout has moved to.
    environment = load(ROOT, "dev", shell=shell, overrides={"PUBLISHED_API_PORT": "8000"})
    error = compose_failed(Client(environment), said.splitlines(), 1)
    assert message in error.message
    assert fix in (error.fix or "")


def test_nothing_stops_before_those_that_depend_on_it() -> None:
    needs = {
        "db": [],
        "api": ["db", "cache"],
        "proxy": ["api", "away"],
        "cache": [],
        "cron": ["db"],
    }
    assert list(stop_order(needs)) == [["cron", "proxy"], ["api"], ["cache", "db"]]


def test_what_depends_on_itself_in_a_circle_stops_all_the_same() -> None:
    assert list(stop_order({"a": ["b"], "b": ["a"]})) == [["a", "b"]]
