"""The tasks do natively what they do in containers."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime

import httpx
import pytest

from tests.e2e.native.checkout import SERVICES, NativeCheckout
from tests.e2e.native.support import BACK, add, override, quiet, ready
from tests.e2e.support import eventually, get, habits, one_message

AWKWARD = ("a b", "it's", '"quoted"', "$HOME", "*", "", "--flag", "back\\slash", "ünï")


class TestTasks:
    def test_ps_names_every_service_with_its_state(self, checkout: NativeCheckout) -> None:
        shown = checkout.succeed("dev.ps").stdout
        for service, (pid, _) in checkout.pids().items():
            assert re.search(rf"(?m)^{service} +running \(healthy\) +{pid}\b", shown), shown
        assert re.search(r"(?m)^migrate +exited with status 0", shown), shown

    @pytest.mark.parametrize("task", ["exec", "run"])
    def test_arguments_and_status_pass_through(self, checkout: NativeCheckout, task: str) -> None:
        words = ("printf", "<%s>\\n", *AWKWARD)
        done = checkout.succeed(f"dev.{task}", "api", "--", *words)
        assert done.stdout.splitlines() == [f"<{word}>" for word in AWKWARD]
        assert checkout.invoke(f"dev.{task}", "api", "--", "sh", "-c", "exit 7").status == 7

    def test_exec_takes_standard_input_and_runs_in_the_service_s_folder(
        self, checkout: NativeCheckout
    ) -> None:
        done = checkout.succeed("dev.exec", "api", "--", "sh", "-c", "pwd; cat", stdin="piped\n")
        assert done.stdout == f"{checkout.root}/apps/api\npiped\n"

    def test_an_unknown_program_is_named(self, checkout: NativeCheckout) -> None:
        done = checkout.invoke("dev.exec", "api", "--", "no-such-program")
        assert "no-such-program" in done.stderr and done.status in (2, 127), done.text
        quiet(done)

    def test_shell_takes_commands(self, checkout: NativeCheckout) -> None:
        assert checkout.succeed("dev.shell", stdin="echo $((6 * 7))\n").stdout == "42\n"

    def test_psql_takes_commands_and_scripts(self, checkout: NativeCheckout) -> None:
        assert checkout.sql("dev", "select 6 * 7") == "42"
        assert checkout.succeed("dev.psql", "--", "-At", stdin="select 'in';\n").stdout == "in\n"

    def test_redis_takes_commands(self, checkout: NativeCheckout) -> None:
        if shutil.which("redis-cli") or shutil.which("valkey-cli"):
            assert checkout.succeed("dev.redis", "--", "ping").stdout == "PONG\n"
        else:
            done = checkout.invoke("dev.redis", "--", "ping")
            assert done.status == 2, done.text
            assert "there is no redis-cli and no valkey-cli here; install one" in done.stderr

    def test_restart_is_of_the_named_service_alone(self, checkout: NativeCheckout) -> None:
        before = checkout.pids()
        quiet(checkout.succeed("dev.restart", "app"))
        after = checkout.pids()
        assert {name for name in before if after.get(name) != before[name]} == {"app"}
        assert checkout.healthy()

    def test_restart_of_the_database_does_not_wait_for_its_clients(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        name = add(api)
        done = quiet(checkout.succeed("dev.restart", "postgres"))
        assert done.seconds < 10
        eventually(lambda: ready(api), within=BACK)
        assert name in habits(api)

    def test_migrations_are_run_and_listed(self, checkout: NativeCheckout) -> None:
        checkout.succeed("dev.migrate")
        shown = checkout.succeed("dev.history").stdout
        assert re.search(r"\(head\) \(current\)", shown), shown

    def test_config_is_the_model_that_runs(self, checkout: NativeCheckout) -> None:
        shown = checkout.succeed("dev.config", "--engine", "native").stdout
        assert f"name: {checkout.project('dev')}\n" in shown
        assert "scripts/native/postgres" in shown and "127.0.0.1" in shown

    def test_the_printed_command_does_the_same_when_pasted(self, checkout: NativeCheckout) -> None:
        printed = checkout.succeed("dev.ps", "--dry-run").stdout.strip()
        assert " -m gangway.engines.native " in printed
        pasted = checkout.run("sh", "-c", printed)
        assert pasted.status == 0, pasted.text
        assert pasted.stdout == checkout.succeed("dev.ps").stdout

    def test_down_keeps_the_data(self, checkout: NativeCheckout, api: httpx.Client) -> None:
        name = add(api)
        done = quiet(checkout.succeed("dev.down"))
        assert checkout.processes() == {}, done.text
        assert get(str(api.base_url)) is None
        checkout.succeed("dev.up")
        assert name in habits(api)

    def test_down_with_volumes_asks_and_then_deletes(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        name = add(api)
        message = one_message(checkout.invoke("dev.down", "--volumes"))
        assert "--yes" in message and name in habits(api)
        checkout.succeed("dev.down", "--volumes", "--yes")
        assert not (checkout.state() / "volumes").exists()
        checkout.succeed("dev.up")
        assert name not in habits(api) and "Write to a friend" in habits(api)

    def test_reset_begins_again(self, checkout: NativeCheckout, api: httpx.Client) -> None:
        name = add(api)
        checkout.succeed("dev.reset", "--yes")
        assert checkout.healthy()
        assert name not in habits(api)


class TestLogs:
    def test_a_log_keeps_to_its_bound(self, checkout: NativeCheckout) -> None:
        bound, logging = 100 * 1024, "{options: {max-size: 100k}}"
        scheduler = checkout.folder("scheduler")
        flood = "print(*range(60_000), sep='\\n', flush=True); log.info('flooded')"
        try:
            with override(checkout, f"services: {{scheduler: {{logging: {logging}}}}}\n"):
                checkout.succeed("dev.up", "scheduler")
                with checkout.edited(
                    "apps/scheduler/scheduler/__main__.py", 'log.info("started")', flood
                ):
                    eventually(
                        lambda: "flooded" in (scheduler / "log").read_text(encoding="utf-8"),
                        within=20,
                    )
                sizes = [file.stat().st_size for file in scheduler.glob("log*")]
                assert len(sizes) == 2
                assert max(sizes) <= bound and sum(sizes) > bound / 2
                shown = checkout.succeed("dev.logs", "scheduler", "--tail", "300").stdout
                assert "| 59999\n" in shown
        finally:
            checkout.succeed("dev.up")

    def test_tail_shows_the_last_lines_of_one_service(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        for number in range(5):
            api.get(f"/habits/{1000 + number}")
        eventually(lambda: "/habits/1004" in logs(checkout, "api"), within=10)

        def shows_the_last_two() -> bool:
            lines = logs(checkout, "api", "--tail", "2").splitlines()
            assert len(lines) == 2
            # Unless a health check has come between the two.
            return lines == logs(checkout, "api").splitlines()[-2:]

        eventually(shows_the_last_two, within=10)

    def test_all_services_are_shown_by_name(self, checkout: NativeCheckout) -> None:
        shown = {line.split("|")[0].strip() for line in logs(checkout).splitlines()}
        assert shown == {*SERVICES, "migrate"}

    def test_since_leaves_out_what_came_before(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        api.get("/habits/2001")
        eventually(lambda: "/habits/2001" in logs(checkout, "api"), within=10)
        moment = datetime.now(UTC).isoformat()
        api.get("/habits/2002")
        eventually(lambda: "/habits/2002" in logs(checkout, "api"), within=10)
        shown = logs(checkout, "api", "--since", moment)
        assert "/habits/2002" in shown and "/habits/2001" not in shown
        assert "/habits/2001" in logs(checkout, "api", "--since", "10m")
        message = one_message(checkout.invoke("dev.logs", "--since", "yesterday"))
        assert "--since 'yesterday'" in message

    def test_following_shows_new_lines_until_it_is_interrupted(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        with checkout.started("dev.logs", "-f", "api", "--tail", "1") as following:
            following.says("api  | ")
            api.get("/habits/3001")
            following.says("/habits/3001", within=10)
            assert following.text.count("/habits/3001") == 1
            following.interrupt()
            assert following.ended(within=10) == 130
        assert "Traceback" not in following.text

    def test_a_reader_that_has_seen_enough_costs_no_traceback(
        self, checkout: NativeCheckout
    ) -> None:
        python = f"'{checkout.user.python[0]}' -m invoke"
        done = checkout.run("sh", "-c", f"{python} dev.logs -f | head -1", timeout=30)
        assert done.stdout.count("\n") == 1
        quiet(done)


def logs(checkout: NativeCheckout, *words: str) -> str:
    return checkout.succeed("dev.logs", *words).stdout
