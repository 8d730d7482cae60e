"""What a native service is made of, computed from a part of Compose's model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.engines.native.monitor import Log
from gangway.engines.native.processes import Processes
from gangway.engines.native.service import (
    Place,
    Supervised,
    command,
    private,
    seconds,
    size,
    spec,
    stop,
)
from gangway.engines.native.unenforced import unenforced
from tests.support.processes import eventually

ROOT = Path("/srv/check out")
HARD = """p$a $$b ${HOME} 'q' "d" \\"""


def place(**shell: str) -> Place:
    return Place(ROOT, ROOT / "state", (ROOT / "venv" / "bin", ROOT / "scripts"), shell)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10s", 10.0), ("200ms", 0.2), ("1m30s", 90.0), ("1h", 3600.0), ("1m0.5s", 60.5),
        ("250us", 0.00025), ("0s", 0.0), ("", 7.0), (None, 7.0),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_compose_writes_it(text: str | None, expected: float) -> None:
    assert seconds(text, 7.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", 10 * 1024**2), ("64k", 65536), ("1g", 1024**3), ("512", 512), ("512b", 512),
        ("10MB", 10 * 1024**2), ("", 7), (None, 7),
    ],
)  # fmt: skip
def test_a_size_is_read_as_compose_writes_it(text: str | None, expected: int) -> None:
    assert size(text, 7) == expected


class TestEnvironment:
    def test_only_the_allow_list_of_the_shell_s_variables_is_kept(self) -> None:
        shell = {
            "HOME": "/home/me", "LANG": "C.UTF-8", "LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin",
            "FOO_LEAK": "1", "PYTHONPATH": "/leak", "PGPASSWORD": "leak", "LD_PRELOAD": "leak.so",
            "POSTGRES_PASSWORD": "leak", "DOCKER_HOST": "leak", "AWS_SECRET_ACCESS_KEY": "leak",
        }  # fmt: skip
        found = place(**shell).environment("api", {})
        assert set(found) == {
            "HOME", "LANG", "LC_ALL", "TZ", "PATH", "TMPDIR", "GANGWAY_PYTHON",
        }  # fmt: skip

    def test_the_model_s_variables_win_and_null_is_not_set(self) -> None:
        model = {"TZ": "Europe/Kyiv", "EMPTY": "", "UNSET": None, "HARD": HARD}
        found = place(TZ="UTC", UNSET="1").environment("api", {"environment": model})
        assert found["TZ"] == "Europe/Kyiv" and found["EMPTY"] == "" and found["HARD"] == HARD
        assert "UNSET" not in found

    def test_our_programs_are_found_before_the_machine_s(self) -> None:
        found = place(PATH="/usr/bin").environment("api", {"environment": {"PATH": "/leak"}})
        assert found["PATH"] == f"{ROOT}/venv/bin:{ROOT}/scripts:/usr/bin"
        assert place().environment("api", {})["PATH"].endswith(os.defpath)

    def test_each_service_has_temporary_files_of_its_own(self) -> None:
        folders = {place(TMPDIR="/tmp").environment(name, {})["TMPDIR"] for name in ("api", "app")}
        assert folders == {f"{ROOT}/state/services/{name}/tmp" for name in ("api", "app")}


class TestDirectory:
    MOUNTS = ({"type": "bind", "source": f"{ROOT}/apps/api", "target": "/srv/app"},)

    @pytest.mark.parametrize(
        ("service", "expected"),
        [
            ({}, ROOT),
            ({"working_dir": "apps/api"}, ROOT / "apps/api"),
            ({"working_dir": "/srv/app", "volumes": MOUNTS}, ROOT / "apps/api"),
            ({"working_dir": "/srv/app/deep/er", "volumes": MOUNTS}, ROOT / "apps/api/deep/er"),
            ({"working_dir": "/srv/application", "volumes": MOUNTS}, Path("/srv/application")),
        ],
    )
    def test_a_folder_in_a_bind_mount_is_the_one_here(
        self, service: dict[str, Any], expected: Path
    ) -> None:
        assert place().directory(service) == expected

    def test_a_volume_is_no_folder_here(self) -> None:
        mounts = [{"type": "volume", "source": "data", "target": "/srv/app"}]
        assert place().directory({"working_dir": "/srv/app", "volumes": mounts}) == Path("/srv/app")


class TestCommand:
    SERVICE: dict[str, Any] = {"entrypoint": ["scripts/run", "a/b"], "command": ["serve", "it's"]}  # noqa: RUF012

    def test_the_entrypoint_is_seen_from_the_checkout_and_its_arguments_are_not(self) -> None:
        assert command(place(), "api", self.SERVICE) == [
            f"{ROOT}/scripts/run", "a/b", "serve", "it's",
        ]  # fmt: skip

    def test_a_program_without_a_slash_is_found_on_path(self) -> None:
        assert command(place(), "api", {"entrypoint": ["entrypoint"]}) == ["entrypoint"]

    @pytest.mark.parametrize("words", [["migrate"], []])
    def test_other_words_replace_the_command_alone(self, words: list[str]) -> None:
        found = command(place(), "api", self.SERVICE, words)
        assert found == [f"{ROOT}/scripts/run", "a/b", *words]

    @pytest.mark.parametrize("entrypoint", [None, []])
    def test_a_service_that_nothing_describes_natively_is_refused(self, entrypoint: object) -> None:
        with pytest.raises(GangwayError) as caught:
            command(place(), "mail", {"entrypoint": entrypoint, "command": ["serve"]})
        message = str(caught.value)
        assert "mail has no native command" in message
        assert "docker-compose.native.yml" in message and "profile" in message


class TestSpec:
    SERVICE: dict[str, Any] = {  # noqa: RUF012
        "entrypoint": ["entrypoint"],
        "command": ["serve"],
        "working_dir": "apps/api",
        "environment": {"A": HARD},
        "restart": "on-failure",
        "stop_signal": "SIGINT",
        "stop_grace_period": "1m0s",
        "logging": {"driver": "json-file", "options": {"max-size": "64k"}},
        "depends_on": {"redis": {"condition": "service_healthy"}, "migrate": {}},
        "healthcheck": {
            "test": ["CMD", "scripts/check", "x"],
            "interval": "10s", "timeout": "3s", "retries": 4,
            "start_period": "30s", "start_interval": "200ms",
        },
    }  # fmt: skip

    def test_all_that_the_monitor_needs_is_in_it(self) -> None:
        found = spec(place(), "api", self.SERVICE, build="b1")
        assert found["argv"][-2:] == ["entrypoint", "serve"]
        assert found["cwd"] == f"{ROOT}/apps/api"
        assert found["environment"]["A"] == HARD
        assert (found["restart"], found["stop_signal"]) == ("on-failure", 2)
        assert (found["stop_seconds"], found["log_bytes"]) == (60.0, 65536)
        assert found["depends_on"] == ["migrate", "redis"]
        assert found["healthcheck"] == {
            "argv": [f"{ROOT}/scripts/check", "x"],
            "interval": 10.0, "timeout": 3.0, "retries": 4,
            "start_period": 30.0, "start_interval": 0.2,
        }  # fmt: skip

    def test_what_the_model_leaves_out_is_as_compose_has_it(self) -> None:
        found = spec(place(), "api", {"entrypoint": ["entrypoint"]})
        assert (found["restart"], found["stop_signal"]) == ("no", 15)
        assert found["stop_seconds"] == 10.0
        assert found["healthcheck"] is None

    @pytest.mark.parametrize(
        ("check", "argv"),
        [
            ({"test": ["CMD-SHELL", "a | b"]}, ["sh", "-c", "a | b"]),
            ({"test": ["CMD", "healthcheck"]}, ["healthcheck"]),
            ({"test": ["NONE"]}, None),
            ({"test": ["CMD", "healthcheck"], "disable": True}, None),
        ],
    )
    def test_a_health_check_is_run_as_compose_says(
        self, check: dict[str, Any], argv: list[str] | None
    ) -> None:
        found = spec(place(), "api", {"entrypoint": ["x"], "healthcheck": check})["healthcheck"]
        assert (found and found["argv"]) == argv

    def test_equal_models_make_equal_specs_and_others_do_not(self) -> None:
        same = spec(place(), "api", self.SERVICE, build="b1")
        assert same == spec(place(), "api", dict(self.SERVICE), build="b1")
        assert same != spec(place(), "api", self.SERVICE, build="b2")
        changed = self.SERVICE | {"environment": {"A": "other"}}
        assert same != spec(place(), "api", changed, build="b1")


class TestSupervised:
    def test_a_service_that_never_was_does_not_run(self, tmp_path: Path) -> None:
        service = Supervised(tmp_path / "api")
        assert (service.name, service.runs(), service.attended()) == ("api", False, False)
        assert service.read("state.json") == {}
        stop([service])

    def test_what_was_run_once_is_none(self, tmp_path: Path) -> None:
        engine = Processes(tmp_path, "gangway-test")
        private(engine.state / "services" / "test-runner" / "tmp")
        private(engine.state / "services" / "api")
        (engine.state / "services" / "api" / "spec.json").write_text("{}")
        assert [service.name for service in engine.present()] == ["api"]

    def test_a_file_that_is_not_whole_reads_as_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "state.json").write_text('{"state": "run')
        assert Supervised(tmp_path).read("state.json") == {}

    def test_a_number_in_the_state_is_no_sign_of_life(self, tmp_path: Path) -> None:
        """It may be another's by now: it is never signalled."""
        (tmp_path / "state.json").write_text(f'{{"state": "running", "pid": {os.getpid()}}}')
        (tmp_path / "lock").touch()
        service = Supervised(tmp_path)
        assert not service.runs()
        service.kill()
        stop([service], at_once=True)

    @pytest.mark.parametrize(
        ("on_sigterm", "tidied"), [("touch tidied; exit", True), ("", False)], ids=["hears", "deaf"]
    )
    def test_who_is_killed_may_tidy_up_first_if_that_is_quick(
        self, tmp_path: Path, on_sigterm: str, *, tidied: bool
    ) -> None:
        """What PostgreSQL shares memory by would stay behind for ever."""
        program = f"trap '{on_sigterm}' TERM; touch begun; while :; do sleep 0.01; done"
        found = place(PATH=os.environ["PATH"])
        wanted = spec(found, "api", {"entrypoint": ["sh", "-c"], "command": [program]})
        service = Supervised(tmp_path / "api")
        service.begun(service.launch({**wanted, "cwd": str(tmp_path), "ports": []}))
        eventually((tmp_path / "begun").exists, "its start")
        stop([service], at_once=True)
        assert not service.runs()
        assert (tmp_path / "tidied").exists() is tidied


class TestFiles:
    def test_every_folder_that_is_made_is_private(self, tmp_path: Path) -> None:
        private(tmp_path / "a" / "b" / "c")
        private(tmp_path / "a" / "b" / "c")
        modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
        assert modes == {0o700}

    @pytest.mark.parametrize("piece", [b"a line\n", b"x" * 5000 + b"\n", b"\n"])
    def test_a_log_keeps_to_its_bound_however_much_comes_at_once(
        self, tmp_path: Path, piece: bytes
    ) -> None:
        log = Log(str(tmp_path / "log"), 1000)
        for _ in range(3):
            log.feed(piece * 700)
        sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
        assert sizes.keys() == {"log", "log.1"}
        assert max(sizes.values()) <= 1000

    def test_what_is_short_is_kept_whole_each_line_with_its_time(self, tmp_path: Path) -> None:
        log = Log(str(tmp_path / "log"), 1000)
        for piece in (b"one\ntw", b"o\nthr", b"ee"):
            log.feed(piece)
        log.end()
        lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
        assert [line.partition(" ")[2] for line in lines] == ["one", "two", "three"]
        assert all(line.startswith("20") and line[23] == "Z" for line in lines)
        assert (tmp_path / "log").stat().st_mode & 0o077 == 0


class TestUnenforced:
    LIMITS = ({"deploy": {"resources": {"limits": {"memory": "512"}}}}, "limits")

    @pytest.mark.parametrize(
        ("service", "expected"),
        [
            ({"user": "4711:4711"}, "users"),
            LIMITS,
            ({"mem_limit": "64m"}, "limits"),
            ({"read_only": True}, "read-only files"),
            ({"volumes": [{"type": "bind", "read_only": True}]}, "read-only files"),
            ({"cap_drop": ["ALL"]}, "capabilities"),
            ({"security_opt": ["no-new-privileges:true"]}, "no-new-privileges"),
            ({"networks": {"data": None}}, "networks"),
            ({"deploy": {"replicas": 3}}, "replicas"),
        ],
    )
    def test_what_the_model_asks_for_in_vain_is_named(
        self, service: dict[str, Any], expected: str
    ) -> None:
        assert unenforced({"api": service}, ["api"]).endswith(f": {expected}")

    def test_where_only_some_ask_they_are_named(self) -> None:
        services: dict[str, dict[str, Any]] = {"api": {"read_only": True}, "app": {}, "other": {}}
        assert unenforced(services, ["api", "app"]).endswith(": read-only files (api)")
        assert unenforced(services, ["app", "other"]) == ""

    def test_who_runs_it_anyway_is_enforced(self) -> None:
        assert unenforced({"api": {"user": f"{os.geteuid()}:1"}}, ["api"]) == ""


def test_an_app_is_told_the_python_that_its_libraries_are_for(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.14.5\n")
    place = Place(ROOT, tmp_path, (), {}, {"api": tmp_path})
    assert place.environment("api", {})["PYTHON_VERSION"] == "3.14.5"
    assert "PYTHON_VERSION" not in place.environment("redis", {})
