"""Which variable is behind a value, in every sample stack."""

from __future__ import annotations

import pytest

from gangway.model.written import as_written
from gangway.settings.environment import load
from tests.unit.conftest import ROOT

MEMORY = ("deploy", "resources", "limits", "memory")


@pytest.mark.parametrize(
    ("name", "stack", "service", "variable"),
    [
        ("dev", "core", "api", "API_MEMORY"),
        ("prod", "core", "migrate", "MIGRATE_MEMORY"),
        ("prod", "core", "nginx", "NGINX_MEMORY"),
        ("test", "core", "test-runner", "TEST_MEMORY"),
        ("test", "jobs", "worker", "WORKER_MEMORY"),
        ("dev", "dashboards", "dashboard", "DASHBOARD_MEMORY"),
        ("dev", "core", "nobody", ""),
    ],
)
def test_the_variable_of_a_limit_is_found(
    name: str, stack: str, service: str, variable: str
) -> None:
    found = as_written(load(ROOT, name, stack=stack, shell={}), service, *MEMORY)
    assert found.startswith(f"${{{variable}:-") if variable else not found
