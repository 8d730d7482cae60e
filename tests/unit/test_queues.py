"""Jobs in Redis: who takes them, and what may not happen to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gangway.base.errors import FindingsError, GangwayError
from gangway.operations import preflight, redis_keys
from gangway.operations.project import Project, opened
from gangway.settings.environment import load
from tests.unit.conftest import ROOT

if TYPE_CHECKING:
    from tests.unit.conftest import Checkout

SERVICES = """services:
  redis:
    image: x
    environment: {REDIS_MAXMEMORY_POLICY: "${REDIS_MAXMEMORY_POLICY:-allkeys-lru}"}
  worker:
    image: x
    environment: {%s}
"""
WORKER = "REDIS_HOST: redis, APP_INTERFACE: command, APP_TARGET: mail.worker"
CONTRACT = """groups:
  Ours:
    REDIS_MAXMEMORY_POLICY: {type: string, meaning: m}
    CACHE_KEYS: {type: string, default: "*", meaning: m}
"""


def project(checkout: Checkout, variables: str = WORKER, lines: str = "") -> Project:
    root = checkout(
        {
            "env/dev.env": "ENVIRONMENT=development\nCOMPOSE_FILE=c.yml\nCOMPOSE_PROJECT_NAME=x\n"
            f"SECRETS_DIR=.\n{lines}",
            "env/contract.yml": CONTRACT,
            "c.yml": SERVICES % variables,
        }
    )
    return opened(load(root, "dev", engine="docker", shell={}), dry_run=True)


def test_a_worker_on_a_redis_that_lets_any_key_go_is_refused(checkout: Checkout) -> None:
    with pytest.raises(FindingsError, match="worker takes its jobs from Redis, where allkeys-lru"):
        preflight.prepare(project(checkout), [])


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru"])
def test_a_policy_that_keeps_jobs_is_fine(policy: str, checkout: Checkout) -> None:
    preflight.prepare(project(checkout, lines=f"REDIS_MAXMEMORY_POLICY={policy}\n"), [])


@pytest.mark.parametrize(
    "variables",
    [
        "REDIS_HOST: redis, APP_INTERFACE: asgi, APP_TARGET: worker.main:app",
        "APP_INTERFACE: command, APP_TARGET: mail.worker",
        f"{WORKER}, BROKER_HOST: broker",
    ],
)
def test_who_takes_no_jobs_from_redis_may_have_any_policy(
    variables: str, checkout: Checkout
) -> None:
    preflight.prepare(project(checkout, variables), [])


def test_emptying_the_cache_deletes_no_jobs(checkout: Checkout) -> None:
    found = project(checkout)
    with pytest.raises(GangwayError, match=r"CACHE_KEYS is \*, which are the jobs of worker"):
        redis_keys.cache(found, flush=True)
    assert redis_keys.cache(found, flush=False) == 0


def test_the_sample_stacks_lose_no_job() -> None:
    for name in ("dev", "prod"):
        jobs = opened(load(ROOT, name, stack="jobs", engine="docker", shell={}))
        assert not list(preflight._lost_jobs(jobs))
