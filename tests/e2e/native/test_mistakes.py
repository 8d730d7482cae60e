"""What people get wrong without containers: one message says what, where and how to mend it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.native.checkout import NativeCheckout
from tests.e2e.native.support import serves
from tests.e2e.support import eventually, one_message


class TestMistakes:
    def test_a_taken_port_is_named_with_its_holder_and_variable(
        self, checkout: NativeCheckout
    ) -> None:
        with squatter() as (process, port):
            message = one_message(checkout.invoke("dev.up", "-e", f"PUBLISHED_API_PORT={port}"))
            assert f"port {port} is taken by python" in message
            assert f"(process {process})" in message
            assert "set PUBLISHED_API_PORT" in message and "--ports auto" in message
            assert checkout.healthy()

    def test_ports_auto_moves_away_from_a_taken_port(self, checkout: NativeCheckout) -> None:
        with squatter() as (_, port):
            test = ("--engine", "native", "-e", f"PUBLISHED_API_PORT={port}")
            assert f"port {port} is taken" in one_message(checkout.invoke("test.up", *test))
        urls = checkout.urls("dev")
        with squatter(checkout.urls("test")["api"].rpartition(":")[2]):
            try:
                up = checkout.succeed("test.up", "--engine", "native", "--ports", "auto")
                moved = dict(line.split(maxsplit=1) for line in up.stdout.splitlines())
                assert serves(f"{moved['api']}/health", "ok")
                assert not set(moved.values()) & set(urls.values())
            finally:
                checkout.succeed("test.down")

    def test_production_does_not_run_natively(self, checkout: NativeCheckout) -> None:
        for words in (("prod.up", "--engine", "native"), ("staging.ps", "--engine", "native")):
            message = one_message(checkout.invoke(*words))
            assert "doesn't run natively" in message and "limits" in message
        message = one_message(checkout.invoke("prod.up", GANGWAY_ENGINE="native"))
        assert "doesn't run natively" in message

    def test_a_failing_migration_says_why_and_mended_it_works(
        self, checkout: NativeCheckout
    ) -> None:
        checkout.succeed("dev.down")
        versions = "apps/api/migrations/versions"
        head = max(path.name for path in (checkout.root / versions).glob("*.py")).partition("_")[0]
        broken = checkout.write(
            f"{versions}/9999_broken.py",
            f'from alembic import op\n\nrevision = "9999"\ndown_revision = "{head}"\n\n\n'
            'def upgrade() -> None:\n    op.execute("select no_such_function()")\n\n\n'
            "def downgrade() -> None:\n    pass\n",
        )
        try:
            done = checkout.invoke("dev.up")
            message = done.stderr[done.stderr.index("error: migrate did not start") :]
            assert done.status == 2 and "invoke dev.logs migrate" in message, done.text
            assert re.search(r"(?m)^  \| .*function no_such_function\(\) does not", done.stderr)
            assert set(checkout.pids()) == {"postgres", "redis"}
        finally:
            broken.unlink()
        checkout.succeed("dev.up")
        assert checkout.healthy()

    def test_a_service_that_ends_at_once_shows_its_last_words(
        self, checkout: NativeCheckout
    ) -> None:
        file = "apps/scheduler/scheduler/__main__.py"
        with checkout.edited(file, 'log.info("started")', 'raise SystemExit("my last words")'):
            done = checkout.invoke("dev.restart", "scheduler")
            assert done.status in (0, 2), done.text
            eventually(
                lambda: "my last words" in checkout.succeed("dev.logs", "scheduler").stdout,
                within=10,
            )
        eventually(lambda: checkout.healthy("scheduler"), within=30)

    def test_a_wrong_service_gets_the_nearest_right_one(self, checkout: NativeCheckout) -> None:
        message = one_message(checkout.invoke("dev.exec", "ap", "--", "true"))
        assert "no service named 'ap'" in message

    def test_what_needs_containers_says_so(self, checkout: NativeCheckout) -> None:
        assert "stats needs a container engine" in one_message(checkout.invoke("dev.stats"))

    def test_there_is_no_watch_to_wait_for(self, checkout: NativeCheckout) -> None:
        done = checkout.succeed("dev.up", "--watch", timeout=30)
        assert "sources are watched anyway" in done.stderr

    def test_exec_in_a_service_that_is_down_says_how_to_start_it(
        self, checkout: NativeCheckout
    ) -> None:
        checkout.succeed("dev.down")
        message = one_message(checkout.invoke("dev.exec", "api", "--", "true"))
        assert "api isn't running" in message and "invoke dev.up api" in message


@contextmanager
def squatter(port: str = "0") -> Iterator[tuple[int, int]]:
    """Have a program listen on a port of this machine; yield its process and the port."""
    program = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
        "print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, port],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        yield process.pid, int(process.stdout.readline())
        process.communicate("\n")
