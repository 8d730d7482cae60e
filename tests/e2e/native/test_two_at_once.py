"""Two commands, or two engines, want one environment."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.native.checkout import NativeCheckout
from tests.e2e.native.conftest import Stack
from tests.e2e.native.support import override
from tests.e2e.support import UNSET, docker, eventually, one_message


class TestTwoAtOnce:
    @pytest.fixture
    def go(self, checkout: NativeCheckout) -> Iterator[Path]:
        """Take the stack down, and return a file that migrate waits for when it starts."""
        checkout.succeed("dev.down")
        wait = "[sh, -c, 'until [ -e go ]; do sleep 0.05; done; exec entrypoint migrate']"
        go = checkout.root / "apps" / "api" / "go"
        with override(checkout, f"services: {{migrate: {{command: {wait}}}}}\n"):
            try:
                yield go
            finally:
                go.unlink(missing_ok=True)

    def test_of_two_ups_one_works_and_the_other_is_refused(
        self, checkout: NativeCheckout, go: Path
    ) -> None:
        with checkout.started("dev.up") as up:
            up.says("\n  redis ")
            message = one_message(checkout.invoke("dev.up"))
            assert re.search(r"dev is being changed by invoke dev\.up \(process \d+\)", message)
            go.touch()
            assert up.ended() == 0, up.text
        assert checkout.healthy()

    def test_after_an_up_was_killed_the_next_one_goes_on(
        self, checkout: NativeCheckout, go: Path
    ) -> None:
        with checkout.started("dev.up") as up:
            eventually(lambda: checkout.seen("migrate").get("pid"))
            database = checkout.pids()["postgres"]
            up.process.kill()
            up.ended()
        go.touch()
        checkout.succeed("dev.up")
        assert checkout.healthy()
        assert checkout.pids()["postgres"] == database

    def test_an_interrupted_up_starts_nothing_more(
        self, checkout: NativeCheckout, go: Path
    ) -> None:
        with checkout.started("dev.up") as up:
            eventually(lambda: checkout.seen("migrate").get("pid"))
            up.interrupt()
            assert up.ended() == 130
        go.touch()
        eventually(lambda: checkout.seen("migrate").get("state") == "exited", within=30)
        assert not {"api", "app", "scheduler"}.intersection(checkout.pids())
        checkout.succeed("dev.up")
        assert checkout.healthy()


#: What reaches the engine, where there is one.
ENGINE: dict[str, Any] = {"DOCKER_HOST": os.environ.get("DOCKER_HOST", UNSET)}


@pytest.fixture
def _docker() -> None:
    if not shutil.which("docker") or docker("version").status:
        pytest.skip("no container engine answers")


@pytest.mark.usefixtures("_docker")
class TestTwoEngines:
    """Here an engine answers: two must not share an environment unawares."""

    @pytest.fixture
    def redis(self, stack: Stack) -> Iterator[NativeCheckout]:
        """Run the checkout's redis as a container, and nothing natively."""
        checkout = stack.checkout
        checkout.succeed("dev.down")
        up = checkout.invoke("dev.up", "redis", "--engine", "docker", "--ports", "auto", **ENGINE)
        try:
            if up.status and "can't be pulled" in up.stderr:
                pytest.skip("there is no image of redis here")
            assert up.status == 0, up.text
            yield checkout
        finally:
            checkout.invoke("dev.down", "--engine", "docker", "--volumes", "--yes", **ENGINE)

    def test_containers_of_the_environment_keep_it_from_running_natively(
        self, redis: NativeCheckout
    ) -> None:
        message = one_message(redis.invoke("dev.up", "--engine", "native", **ENGINE))
        assert "dev runs in containers already" in message
        assert "invoke dev.down --engine docker" in message
        assert redis.pids() == {}

    def test_native_services_keep_the_environment_out_of_containers(
        self, checkout: NativeCheckout
    ) -> None:
        message = one_message(checkout.invoke("dev.up", "--engine", "docker", **ENGINE))
        assert "dev runs natively already" in message
        assert "invoke dev.down --engine native" in message
        assert checkout.healthy()

    def test_what_runs_natively_is_what_auto_means(self, checkout: NativeCheckout) -> None:
        before = checkout.pids()
        checkout.succeed("dev.up", **ENGINE)
        assert checkout.pids() == before
