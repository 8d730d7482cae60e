"""A service, its monitor, or everything is killed with -9; what was committed stays."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import httpx
import pytest

from tests.e2e.native.checkout import SERVICES, NativeCheckout
from tests.e2e.native.support import BACK, add, comes_back, quiet, ready
from tests.e2e.support import eventually, habits, web


class TestKilled:
    @pytest.mark.parametrize("service", SERVICES)
    def test_a_service_that_is_killed_comes_back(
        self, checkout: NativeCheckout, api: httpx.Client, service: str
    ) -> None:
        name = add(api)
        pid, monitor = checkout.pids()[service]
        checkout.kill(pid)
        comes_back(checkout, service, pid)
        assert checkout.pids()[service][1] == monitor
        assert checkout.seen(service)["restarts"] == 1
        eventually(lambda: ready(api), within=BACK)
        assert name in habits(api)
        checkout.succeed("dev.restart", service)

    def test_no_acknowledged_row_is_lost_while_postgres_is_killed_again_and_again(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        with Writer(str(api.base_url)) as writer:
            for _ in range(3):
                seen = len(writer.acknowledged)
                eventually(lambda: len(writer.acknowledged) > seen + 20, within=BACK)  # noqa: B023
                pid, _ = checkout.pids()["postgres"]
                checkout.kill(pid)
                comes_back(checkout, "postgres", pid)
            seen = len(writer.acknowledged)
            eventually(lambda: len(writer.acknowledged) > seen + 20, within=BACK)
        kept = set(checkout.sql("dev", "select name from habits").splitlines())
        assert len(writer.acknowledged) > 80
        assert set(writer.acknowledged) <= kept
        checkout.sql("dev", f"delete from habits where name like '{writer.prefix}%'")

    @pytest.mark.parametrize("service", SERVICES)
    def test_a_service_whose_monitor_is_killed_goes_down_and_up_brings_it_back(
        self, checkout: NativeCheckout, api: httpx.Client, service: str
    ) -> None:
        name = add(api)
        _, monitor = checkout.pids()[service]
        checkout.kill(monitor)
        eventually(lambda: not checkout.held(service), within=10, what="its lock is free")
        assert checkout.of(service) == {}
        assert re.search(rf"(?m)^{service} +exited", checkout.succeed("dev.ps").stdout)
        quiet(checkout.succeed("dev.up"))
        assert checkout.healthy()
        assert name in habits(api)

    def test_after_everything_was_killed_up_brings_it_back(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        name = add(api)
        checkout.kill_all()
        assert "exited" in checkout.succeed("dev.ps").stdout
        quiet(checkout.succeed("dev.up"))
        assert checkout.healthy()
        assert name in habits(api)

    def test_after_everything_was_killed_down_works_too(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        name = add(api)
        checkout.kill_all()
        quiet(checkout.succeed("dev.down"))
        checkout.succeed("dev.up")
        assert name in habits(api)

    def test_a_service_that_goes_on_failing_is_given_pauses(self, checkout: NativeCheckout) -> None:
        file = "apps/scheduler/scheduler/__main__.py"
        checkout.succeed("test.up", "scheduler", "--engine", "native", "--ports", "auto")
        try:
            before = checkout.seen("scheduler", "test")
            with checkout.edited(file, 'log.info("started")', "raise SystemExit(3)"):
                os.kill(int(before["pid"]), signal.SIGKILL)
                began = time.monotonic()
                eventually(lambda: checkout.seen("scheduler", "test")["restarts"] >= 6, within=30)
                # 0.1 s, then twice as long each time: 3.1 s between six failures.
                assert time.monotonic() - began > 3
            eventually(lambda: checkout.healthy("scheduler", environment="test"), within=30)
        finally:
            checkout.succeed("test.down")


@dataclass
class Writer:
    """Adds one habit after the other, and keeps the names that the api has answered for."""

    url: str
    prefix: str = field(default_factory=lambda: f"row-{uuid.uuid4().hex[:8]}-")
    acknowledged: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _write(self) -> None:
        number = 0
        with web(self.url) as api:
            while not self._end.wait(0.005):
                number += 1
                name = f"{self.prefix}{number}"
                with suppress(httpx.TransportError):
                    if api.post("/habits", json={"name": name}).status_code == 201:
                        self.acknowledged.append(name)
