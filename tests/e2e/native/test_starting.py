"""The services come up as processes of this machine, with what they need and no more."""

from __future__ import annotations

import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.e2e.native.checkout import NativeCheckout
from tests.e2e.native.conftest import Stack
from tests.e2e.native.support import quiet, serves
from tests.e2e.support import eventually, get

SAVED_TO_SERVED = 10.0


class TestUp:
    def test_without_an_engine_it_says_in_one_line_what_it_does_instead(self, stack: Stack) -> None:
        lines = [line for line in stack.up.stderr.splitlines() if "no container engine" in line]
        assert len(lines) == 1, stack.up.text
        assert "dev runs natively" in lines[0] and "--engine docker" in lines[0]
        quiet(stack.up)

    def test_what_is_not_enforced_is_said_once(self, stack: Stack) -> None:
        (line,) = re.findall(r"(?m)^not enforced without containers: .*$", stack.up.stderr)
        for what in ("limits", "read-only files", "capabilities", "networks"):
            assert what in line

    def test_api_and_app_are_served_at_the_urls_it_shows(
        self, stack: Stack, checkout: NativeCheckout
    ) -> None:
        shown = dict(line.split(maxsplit=1) for line in stack.up.stdout.splitlines())
        assert shown == stack.urls
        assert get(f"{stack.urls['api']}/ready").json() == {  # type: ignore[union-attr]
            "status": "ok", "postgres": "ok", "redis": "ok",
        }  # fmt: skip
        assert serves(stack.urls["app"], "Write to a friend")

    def test_a_saved_change_is_served(self, stack: Stack, checkout: NativeCheckout) -> None:
        url = f"{stack.urls['api']}/openapi.json"
        for number in (1, 2):
            with checkout.edited(
                "apps/api/api/main.py", 'title="Gangway habits"', f'title="Edit {number}"'
            ):
                eventually(lambda: serves(url, f"Edit {number}"), within=SAVED_TO_SERVED)  # noqa: B023
        eventually(lambda: serves(url, "Gangway habits"), within=SAVED_TO_SERVED)

    def test_a_saved_change_of_the_app_is_served(
        self, stack: Stack, checkout: NativeCheckout
    ) -> None:
        template = "apps/app/web/templates/habits.html"
        with checkout.edited(template, "<h1>Habits</h1>", "<h1>Edited</h1>"):
            eventually(lambda: serves(stack.urls["app"], "<h1>Edited</h1>"), within=SAVED_TO_SERVED)

    def test_a_second_up_changes_nothing(self, checkout: NativeCheckout) -> None:
        before = checkout.pids()
        quiet(checkout.succeed("dev.up"))
        assert checkout.pids() == before

    def test_a_changed_variable_starts_again_what_has_it(self, checkout: NativeCheckout) -> None:
        before = checkout.pids()
        checkout.succeed("dev.up", "-e", "LOG_LEVEL=info")
        changed = {name for name, pids in checkout.pids().items() if pids != before[name]}
        assert changed == {"api", "app", "scheduler"}
        shown = checkout.succeed("dev.exec", "api", "-e", "LOG_LEVEL=info", "--", "printenv")
        assert "LOG_LEVEL=info" in shown.stdout.splitlines()
        checkout.succeed("dev.up")
        assert {name for name, pids in checkout.pids().items() if pids != before[name]} == changed

    def test_it_needs_no_docker_on_path(self, checkout: NativeCheckout) -> None:
        """Compose comes with the requirements then."""
        before = checkout.pids()
        done = quiet(checkout.succeed("dev.up", PATH=without_docker(checkout.home)))
        assert checkout.pids().keys() == before.keys(), done.text
        assert checkout.healthy()

    def test_no_variable_of_the_shell_reaches_a_service(self, checkout: NativeCheckout) -> None:
        leak: dict[str, Any] = {"FOO_LEAK": "1", "PGPASSWORD": "leak", "PYTHONPATH": "/leak"}
        checkout.succeed("dev.restart", "api", "postgres", **leak)
        for task in ("dev.exec", "dev.run"):
            assert "leak" not in checkout.succeed(task, "api", "--", "env", **leak).stdout.lower()
        for service in ("api", "postgres"):
            pid, _ = checkout.pids()[service]
            assert b"leak" not in Path(f"/proc/{pid}/environ").read_bytes().lower()

    def test_nothing_below_the_state_is_for_others_to_read(self, checkout: NativeCheckout) -> None:
        top = checkout.state()
        paths = [top.parent, top, *top.rglob("*")]
        assert len(paths) > 100
        opened = [path for path in paths if not is_private(path)]
        assert opened == []

    def test_a_port_of_the_data_stores_answers_on_this_machine_alone(
        self, checkout: NativeCheckout
    ) -> None:
        ports = {int(found.rpartition(":")[2]) for found in checkout.urls("dev").values()}
        for table, anywhere in (("tcp", "00000000"), ("tcp6", "0" * 32)):
            for line in Path(f"/proc/net/{table}").read_text(encoding="utf-8").splitlines()[1:]:
                address, state = line.split()[1], line.split()[3]
                host, port = address.split(":")
                if state == "0A" and int(port, 16) in ports:
                    assert host != anywhere, line


def is_private(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # a temporary file of a server's
        return True
    return stat.S_ISLNK(mode) or not mode & 0o077


def without_docker(folder: Path) -> str:
    """Return a PATH with all the programs that there are, but for docker."""
    programs = folder / "programs"
    if not programs.exists():
        programs.mkdir(mode=0o755)
        for place in ("/usr/local/bin", "/usr/bin", "/bin"):
            for program in sorted(Path(place).glob("*")):
                if not program.name.startswith("docker"):
                    with suppress(FileExistsError):
                        (programs / program.name).symlink_to(program)
    return f"{programs}"


class TestPasswords:
    HARD = """p$a $$b ${HOME} 'q' "d" \\ #% é"""

    def test_any_character_can_be_in_a_password(self, checkout: NativeCheckout) -> None:
        # The password is what new data is made with.
        checkout.succeed("test.down", "--engine", "native", "--volumes", "--yes")
        hard: dict[str, Any] = {"SECRETS_DIR": "./secrets/hard"}
        for name in ("postgres_password", "redis_password", "secret_key"):
            checkout.write(f"secrets/hard/{name}", f"{self.HARD}\n")
        up = checkout.succeed("test.up", "--engine", "native", "--ports", "auto", **hard)
        try:
            assert checkout.healthy(environment="test"), up.text
            api = checkout.urls("test")["api"]
            assert serves(f"{api}/ready", '"redis":"ok"')
            select = ("psql", "-U", "gangway", "-d", "gangway_test", "-Atc", "select 6 * 7")
            right = checkout.succeed("test.exec", "postgres", "--", *select, **hard)
            assert right.stdout == "42\n"
            for wrong in ("wrong", ""):
                known = ("env", "PGPASSFILE=/dev/null", f"PGPASSWORD={wrong}")
                done = checkout.invoke("test.exec", "postgres", "--", *known, *select, **hard)
                assert done.status == 2 and "42" not in done.stdout, done.text
                assert re.search("password authentication failed|no password supplied", done.stderr)
            assert self.HARD not in up.stdout + up.stderr
            assert all(self.HARD not in words for words in checkout.processes().values())
        finally:
            checkout.succeed("test.down", "--volumes", "--yes", **hard)
